"""Builders of classes that cut an image into tiles: on which canvas, and what is seen of all of it.

Where a docstring names a model, the rule is that of `transformers/models/<model>/
image_processing_<model>.py`, Transformers 5.24.
"""

from __future__ import annotations

from typing import Any

from jaxprep import codec, ops
from jaxprep.bounds import check_side, check_size
from jaxprep.formats.huggingface.builders.build import Build, builder
from jaxprep.formats.huggingface.builders.resize import resize
from jaxprep.formats.huggingface.settings import BOTH, EXACT, SHORTEST, Settings
from jaxprep.ops.tile_sizes import AnyResolution, ClosestRatio, TileRule, check_tiles
from jaxprep.types import Size

MOST_RESOLUTIONS = 1024
"""LLaVA-OneVision has 36."""


def tile_counts(settings: Settings, tile: Size) -> tuple[int, int]:
    """Return the least and the largest number of tiles of an image, `min_patches` and
    `max_patches`.

    Args:
        tile: height and width of a tile.

    Raises:
        ConfigError: so many tiles that no image may have as many pixels.

    >>> tile_counts(Settings("GotOcr2ImageProcessor", {}), (384, 384))
    (1, 12)
    """
    lowest, highest = (settings.integer(key) for key in ("min_patches", "max_patches"))
    check_tiles(highest, tile, "$.max_patches")
    return lowest, highest


def crops(build: Build) -> bool:
    """Return whether images are cut into tiles, the setting `crop_to_patches`.

    >>> from jaxprep.formats.huggingface.builders.build import Source
    >>> crops(Build(Settings("GotOcr2ImageProcessor", {}), "pil", Source()))
    False
    """
    settings = build.settings
    # `if crop_to_patches and max_patches > 1` of the PIL backend, where one tile is resized only
    # with `do_resize`; the torchvision backend does not ask.
    return settings.flag("crop_to_patches") and (build.on_torch or settings.get("max_patches") != 1)


def add_tiles(build: Build, rule: TileRule) -> None:
    """Append a resize to the canvas of a rule, and the layout that cuts it into tiles.

    >>> from jaxprep.formats.huggingface.builders.build import Source
    >>> build = Build(Settings("GotOcr2ImageProcessor", {}), "pil", Source())
    >>> add_tiles(build, ClosestRatio((8, 8), 1, 4))
    >>> build.layout.size
    (8, 8)
    """
    build.resize(rule=rule)
    build.layout = ops.Tiles(rule.tile)


@builder("resize")
def tiles_by_ratio(build: Build) -> None:
    """GOT-OCR2: tiles of `size`, of the closest aspect ratio; where images are not cut, `size`.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("GotOcr2ImageProcessor", {"crop_to_patches": True})
    >>> config.pipeline.output_size((480, 640))
    (1152, 1536)
    """
    if not crops(build):
        resize(build)
        build.layout = ops.ChannelsFirst()
        return
    tile = build.settings.pair("size")
    add_tiles(build, ClosestRatio(tile, *tile_counts(build.settings, tile)))


@builder("resize")
def thumbnail(build: Build) -> None:
    """The image stretched to a tile, whatever `do_resize` is.

    >>> from jaxprep.formats.huggingface.builders.build import Source
    >>> build = Build(Settings("LlavaNextImageProcessor", {}), "torchvision", Source())
    >>> thumbnail(build)
    >>> build.steps[0].output_size((480, 640))
    (224, 224)
    """
    build.resize(size=_view_size(build.settings))
    build.layout = ops.ChannelsFirst()


def _view_size(settings: Settings) -> Size:
    """The size of a view: `size`, or the square of its shorter edge."""
    # `size_tuple` of transformers/models/llava_next/image_processing_llava_next.py.
    edges = settings.needed_edges("size", EXACT, SHORTEST, BOTH)
    size = edges.pair or (edges.side("shortest_edge"), edges.side("shortest_edge"))
    check_size(size, "$.size")
    return size


# -- any resolution ------------------------------------------------------------------------------


def resolutions(settings: Settings, key: str) -> tuple[Size, ...]:
    """Return a setting that is a list of heights and widths.

    >>> resolutions(Settings("LlavaNextImageProcessor", {}), "image_grid_pinpoints")[0]
    (336, 672)
    """
    value = settings.get(key)
    is_list = isinstance(value, (list, tuple)) and 1 <= len(value) <= MOST_RESOLUTIONS
    if not is_list:
        raise codec.expected(f"a list of 1 to {MOST_RESOLUTIONS} sizes", value, f"$.{key}")
    return tuple(_resolution(item, f"$.{key}[{i}]") for i, item in enumerate(value))


def _resolution(value: Any, where: str) -> Size:
    is_pair = isinstance(value, (list, tuple)) and len(value) == 2
    if not is_pair or not all(type(side) is int for side in value):
        raise codec.expected("a height and a width in pixels", value, where)
    height, width = value
    check_size((height, width), where)
    return height, width


def cut_side(settings: Settings) -> int:
    """Return the side of the tiles that LLaVA-NeXT cuts: the height of `crop_size`, also where
    nothing is cropped, or that of `size`.

    >>> cut_side(Settings("LlavaNextImageProcessor", {"size": {"shortest_edge": 336}}))
    224
    """
    edges = settings.edges("crop_size")
    side = None if edges is None else edges.height
    side = side or _view_size(settings)[0]
    check_side(side, "$.crop_size")
    return side


@builder("resize")
def fit_any_resolution(build: Build) -> None:
    """LLaVA-NeXT: in the middle of the best of `image_grid_pinpoints`, 0 around it, in tiles.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("LlavaNextImageProcessor").pipeline.output_size((480, 640))
    (672, 672)
    """
    side = cut_side(build.settings)
    rule = AnyResolution(resolutions(build.settings, "image_grid_pinpoints"))
    for canvas in rule.resolutions:
        rows, columns = (-(-n // side) for n in canvas)
        # Each of them may be enlarged to a view.
        check_tiles(rows * columns, _view_size(build.settings), "$.image_grid_pinpoints")
    build.fit(rule)
    build.layout = ops.Tiles((side, side))


@builder("resize")
def canvas(build: Build) -> None:
    """The same, as one image.

    >>> from jaxprep.formats.huggingface.builders.build import Source
    >>> build = Build(Settings("LlavaNextImageProcessor", {}), "torchvision", Source())
    >>> canvas(build)
    >>> build.steps[0].output_size((480, 640)), build.layout
    ((672, 672), None)
    """
    fit_any_resolution(build)
    build.layout = None
