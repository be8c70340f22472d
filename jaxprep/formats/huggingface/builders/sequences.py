"""Builders of classes whose results are padded: patches to a sequence, images to a batch.

Where a docstring names a model, the rule is that of `transformers/models/<model>/
image_processing_<model>.py`, Transformers 5.24.
"""

from __future__ import annotations

from jaxprep import ops
from jaxprep.formats.huggingface.builders.build import Build, builder
from jaxprep.formats.huggingface.settings import EXACT, LONGEST, Settings
from jaxprep.ops.sequence_sizes import MostPatches, PatchesInBox, check_budget
from jaxprep.types import Size

MAX_PATCHES = 2**26


def patch_budget(settings: Settings) -> int:
    """Return how many patches results are padded to.

    >>> patch_budget(Settings("Siglip2ImageProcessor", {}))
    256
    """
    budget = settings.integer("max_num_patches", highest=MAX_PATCHES)
    check_budget(budget, settings.integer("patch_size") ** 2, "$.max_num_patches")
    return budget


@builder("resize")
def resize_patch_budget(build: Build) -> None:
    """SigLIP 2: as many whole patches as `max_num_patches` allows.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Siglip2ImageProcessor").pipeline.output_size((427, 640))
    (208, 304)
    """
    settings = build.settings
    budget = patch_budget(settings)
    if settings.flag("do_resize"):
        build.resize(rule=MostPatches(settings.integer("patch_size"), budget))


@builder()
def patches_row_by_row(build: Build) -> None:
    """SigLIP 2: patches of `(h, w, c)`, row by row.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Siglip2ImageProcessor").pipeline.layout.shape((32, 48), 3)
    (2, 3, 1, 768)
    """
    build.layout = ops.Patches(build.settings.integer("patch_size"))


def patch_sides(settings: Settings) -> Size:
    """Return height and width of a patch, where the setting may be one number.

    >>> patch_sides(Settings("PixtralImageProcessor", {"patch_size": 14}))
    (14, 14)
    """
    return settings.pair("patch_size")


@builder("resize")
def resize_in_box(build: Build) -> None:
    """Pixtral: shrunk into `size`, then both sides up to whole patches.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("PixtralImageProcessor").pipeline.output_size((1500, 2000))
    (768, 1024)
    """
    settings = build.settings
    patch = patch_sides(settings)
    if not settings.flag("do_resize"):
        return
    edges = settings.needed_edges("size", LONGEST, EXACT)
    # A longest edge bounds both sides.
    height, width = edges.pair or (edges.side("longest_edge"),) * 2
    build.resize(rule=PatchesInBox(height, width, *patch))
