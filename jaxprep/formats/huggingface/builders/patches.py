"""Builders of classes whose results are patches, with grids of different sizes.

Where a docstring names a model, the rule is that of `transformers/models/<model>/
image_processing_<model>.py`, Transformers 5.24.
"""

from __future__ import annotations

from jaxprep import codec, ops
from jaxprep.formats.huggingface.builders.build import Build, builder
from jaxprep.formats.huggingface.settings import BOTH, Settings
from jaxprep.ops.patch_sizes import SmartSize


def pixel_bounds(settings: Settings) -> tuple[int, int]:
    """Return the least and the largest number of pixels of a result: `size`, in which the keys of
    edges hold numbers of pixels.

    Raises:
        ConfigError: the least is above the largest.

    >>> pixel_bounds(Settings("Qwen2VLImageProcessor", {}))
    (3136, 1003520)
    """
    edges = settings.needed_edges("size", BOTH)
    lowest, highest = edges.side("shortest_edge"), edges.side("longest_edge")
    if lowest > highest:
        raise codec.expected("a `shortest_edge` of at most `longest_edge`", edges, "$.size")
    return lowest, highest


def patch_factor(settings: Settings) -> int:
    """Return the side in pixels of the square whose patches are merged.

    >>> patch_factor(Settings("Qwen2VLImageProcessor", {}))
    28
    """
    return settings.integer("patch_size") * settings.integer("merge_size", highest=64)


@builder("resize")
def resize_smart(build: Build) -> None:
    """Qwen2-VL: sides that are multiples of a merged square, and a bounded number of pixels.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Qwen2VLImageProcessor").pipeline.output_size((427, 640))
    (420, 644)
    """
    if build.settings.flag("do_resize"):
        build.resize(rule=SmartSize(patch_factor(build.settings), *pixel_bounds(build.settings)))


@builder()
def patches(build: Build) -> None:
    """Qwen2-VL: patches of `(c, t, h, w)`, those of a merged square together, the image repeated as
    `temporal_patch_size` frames.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("Qwen2VLImageProcessor")
    >>> config.pipeline.layout.shape((56, 84), 3)
    (2, 3, 2, 2, 3, 2, 14, 14)
    """
    settings = build.settings
    build.layout = ops.Patches(
        settings.integer("patch_size"),
        settings.integer("merge_size", highest=64),
        order="cthw",
        frames=settings.integer("temporal_patch_size", highest=64),
    )
