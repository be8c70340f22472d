"""Builders of classes that cut an image into tiles: on which canvas, and what is seen of all of it.

Where a docstring names a model, the rule is that of `transformers/models/<model>/
image_processing_<model>.py`, Transformers 5.24.
"""

from __future__ import annotations

from typing import Any

from jaxprep import codec, ops
from jaxprep.bounds import check_side, check_size
from jaxprep.formats.huggingface.builders.build import Build, builder
from jaxprep.formats.huggingface.builders.crop_and_pad import center_crop, mean_color
from jaxprep.formats.huggingface.builders.resize import resize
from jaxprep.formats.huggingface.settings import BOTH, EXACT, LONGEST, SHORTEST, Settings
from jaxprep.ops.fit import FitRule
from jaxprep.ops.sizes import LongestRounded
from jaxprep.ops.tile_sizes import (
    LONGEST_SIDE,
    AnyResolution,
    ClosestRatio,
    CoveredArea,
    DensePages,
    EnoughTiles,
    LargestCanvas,
    LeastScaled,
    LongestAtLeast,
    LongestEven,
    TiledCanvas,
    TiledCanvas32,
    TileRule,
    WholeTiles,
    check_tiles,
)
from jaxprep.types import Size

MOST_RESOLUTIONS = 1024
"""LLaVA-OneVision has 36."""


def most_tiles(settings: Settings, key: str, tile: Size) -> int:
    """Return a setting that is the largest number of tiles of an image.

    Args:
        tile: height and width of a tile.

    Raises:
        ConfigError: so many tiles that no image may have as many pixels.

    >>> most_tiles(Settings("MllamaImageProcessor", {}), "max_image_tiles", (448, 448))
    4
    """
    most = settings.integer(key)
    check_tiles(most, tile, f"$.{key}")
    return most


def tile_counts(settings: Settings, tile: Size) -> tuple[int, int]:
    """Return the least and the largest number of tiles of an image, `min_patches` and
    `max_patches`; see `most_tiles`.

    >>> tile_counts(Settings("GotOcr2ImageProcessor", {}), (384, 384))
    (1, 12)
    """
    return settings.integer("min_patches"), most_tiles(settings, "max_patches", tile)


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


def stretch(build: Build, rule: TileRule) -> None:
    """Append a resize to the canvas of a rule, and the layout that cuts it into tiles.

    >>> from jaxprep.formats.huggingface.builders.build import Source
    >>> build = Build(Settings("GotOcr2ImageProcessor", {}), "pil", Source())
    >>> stretch(build, ClosestRatio((8, 8), 1, 4))
    >>> build.layout.size
    (8, 8)
    """
    build.resize(rule=rule)
    build.layout = ops.Tiles(rule.tile)


def uncut(build: Build) -> bool:
    """Append the resize of images that are not cut, where the settings say that none is.

    >>> from jaxprep.formats.huggingface.builders.build import Source
    >>> uncut(Build(Settings("GotOcr2ImageProcessor", {}), "pil", Source()))
    True
    """
    if crops(build):
        return False
    _resize_uncut(build)
    return True


def _resize_uncut(build: Build) -> None:
    resize(build)
    build.layout = ops.ChannelsFirst()


def closest_ratio(settings: Settings, tile: Size) -> ClosestRatio:
    """Return the rule of the closest aspect ratio, with `min_patches` and `max_patches`.

    >>> closest_ratio(Settings("GotOcr2ImageProcessor", {}), (384, 384)).highest
    12
    """
    return ClosestRatio(tile, *tile_counts(settings, tile))


@builder("resize")
def tiles_by_ratio(build: Build) -> None:
    """GOT-OCR2: tiles of `size`, of the closest aspect ratio; where images are not cut, `size`.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("GotOcr2ImageProcessor", {"crop_to_patches": True})
    >>> config.pipeline.output_size((480, 640))
    (1152, 1536)
    """
    if not uncut(build):
        stretch(build, closest_ratio(build.settings, build.settings.pair("size")))


@builder("resize")
def tiles_by_scale(build: Build) -> None:
    """Cohere2-Vision: tiles of `size` that scale the image least.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Cohere2VisionImageProcessor").pipeline.output_size((480, 640))
    (512, 1024)
    """
    if uncut(build):
        return
    tile = build.settings.pair("size")
    # `min_patches` is not used there.
    _, highest = tile_counts(build.settings, tile)
    stretch(build, LeastScaled(tile, highest))


@builder("resize")
def tiles_by_area(build: Build) -> None:
    """Ovis2: tiles of `size` that cover the image, or, without `use_covering_area_grid`, of the
    closest aspect ratio.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("Ovis2ImageProcessor", {"crop_to_patches": True})
    >>> config.pipeline.output_size((480, 640))
    (768, 768)
    """
    settings = build.settings
    # Both backends of Ovis2 ask for more than one tile.
    if settings.get("max_patches") == 1 or not crops(build):
        _resize_uncut(build)
        return
    tile = settings.pair("size")
    closest = closest_ratio(settings, tile)
    covers = settings.flag("use_covering_area_grid")
    stretch(build, CoveredArea(tile, closest.highest) if covers else closest)


@builder("resize")
def tiles_of_pages(build: Build) -> None:
    """Granite-Docling: tiles of `size`, of the closest aspect ratio, at most `SIDE_OF_PAGES` a
    side, and more of them for dense pages.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("GraniteDoclingImageProcessor").pipeline.output_size((480, 640))
    (1536, 2048)
    """
    settings = build.settings
    tile = settings.pair("size")
    lowest, highest = tile_counts(settings, tile)
    is_cut = settings.flag("crop_to_patches") and highest > 1
    usual = _pages(tile, lowest, highest if is_cut else 1)
    most = settings.integer("dense_max_patches", lowest=0)
    if not most or not is_cut:
        stretch(build, usual)
        return
    check_tiles(most, tile, "$.dense_max_patches")
    names = ("dense_max_scale", "dense_min_aspect", "dense_max_aspect")
    stretch(build, DensePages(usual, _pages(tile, lowest, most), *map(settings.number, names)))


SIDE_OF_PAGES = 16
"""The tokenizer of Granite-Docling has no marker of more rows or columns."""


def _pages(tile: Size, lowest: int, highest: int) -> ClosestRatio:
    return ClosestRatio(tile, min(lowest, highest), highest, SIDE_OF_PAGES)


@builder("resize")
def tiles_of_largest(build: Build) -> None:
    """Perception LM: tiles of `tile_size`, on the canvas in which the image may be largest; one,
    where `vision_input_type` is null or "vanilla".

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("PerceptionLMImageProcessor").pipeline.output_size((480, 640))
    (2240, 3136)
    """
    settings = build.settings
    kinds = ("thumb+tile", "vanilla", None)
    has_tiles = settings.choice("vision_input_type", kinds) == "thumb+tile"
    if not settings.flag("do_resize"):
        build.layout = ops.ChannelsFirst()
    elif not has_tiles:
        thumbnail_tile(build)
    else:
        tile = _square(settings, "tile_size")
        stretch(build, LargestCanvas(tile, most_tiles(settings, "max_num_tiles", tile)))


def _square(settings: Settings, key: str) -> Size:
    side = settings.integer(key)
    check_size((side, side), f"$.{key}")
    return side, side


@builder("resize")
def thumbnail_tile(build: Build) -> None:
    """Perception LM: the image stretched to a tile.

    >>> from jaxprep.formats.huggingface.builders.build import Source
    >>> build = Build(Settings("PerceptionLMImageProcessor", {}), "torchvision", Source())
    >>> thumbnail_tile(build)
    >>> build.steps[0].output_size((480, 640))
    (448, 448)
    """
    build.resize(size=_square(build.settings, "tile_size"))
    build.layout = ops.ChannelsFirst()


@builder("center_crop", size_key="crop_size")
def center_crop_uncut(build: Build) -> None:
    """Ovis2: the middle of an image that is not cut; tiles are cropped each for itself.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("Ovis2ImageProcessor", {"do_center_crop": True, "crop_size": 8})
    >>> config.pipeline.output_size((480, 640))
    (8, 8)
    """
    if not isinstance(build.layout, ops.Tiles):
        center_crop(build)


# -- tiles beside the image ----------------------------------------------------------------------


@builder("resize")
def local_tiles(build: Build) -> None:
    """DeepSeek-OCR 2: tiles of `tile_size`, of the closest aspect ratio.

    >>> from jaxprep.formats.huggingface.builders.build import Source
    >>> build = Build(Settings("DeepseekOcr2ImageProcessor", {}), "torchvision", Source())
    >>> local_tiles(build)
    >>> build.steps[0].output_size((480, 640))
    (1536, 2304)
    """
    stretch(build, closest_ratio(build.settings, _square(build.settings, "tile_size")))


@builder("resize")
def fit_square(build: Build) -> None:
    """DeepSeek-OCR 2: in the middle of a square of the height of `size` or, where images are not
    cut, of `tile_size`, in the colour `background_color`.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("DeepseekOcr2ImageProcessor").pipeline.output_size((480, 640))
    (1024, 1024)
    """
    settings = build.settings
    is_cut = settings.flag("crop_to_patches")
    _add_square(build, settings.pair("size")[0] if is_cut else settings.integer("tile_size"))


@builder("resize")
def fit_or_stretch_square(build: Build) -> None:
    """UnlimitedOCR: as DeepSeek-OCR 2, but of the longer side of `size`; stretched, where images
    are not cut and that is at most `maximum_pad_value`.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("UnlimitedOcrImageProcessor").pipeline.output_size((480, 640))
    (1024, 1024)
    """
    settings = build.settings
    side = max(settings.pair("size"))
    is_small = side <= settings.integer("maximum_pad_value", lowest=0)
    if is_small and not settings.flag("crop_to_patches"):
        build.resize(size=(side, side))
        build.layout = ops.ChannelsFirst()
    else:
        _add_square(build, side)


def _add_square(build: Build, side: int) -> None:
    check_size((side, side), "$.size")
    color = build.settings.per_channel("background_color")
    # At least 1 pixel, where `round` makes a side of a very long image 0, which fails there.
    build.resize(rule=LongestRounded(side, 1))
    build.add(ops.PadToSquare(color))
    build.layout = ops.ChannelsFirst()


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
    _fit_resolutions(build, "image_grid_pinpoints", side, _view_size(build.settings))


def _fit_resolutions(build: Build, key: str, side: int, view: Size) -> None:
    """Append the fit into the best of several resolutions, in tiles of `side`, each of which
    becomes a view of the size `view`."""
    rule = AnyResolution(resolutions(build.settings, key))
    for canvas in rule.resolutions:
        rows, columns = (-(-n // side) for n in canvas)
        check_tiles(rows * columns, view, f"$.{key}")
    _fit_tiles(build, rule, side)


@builder()
def whole(build: Build) -> None:
    """The canvas as one image, instead of its tiles.

    >>> from jaxprep.formats.huggingface.builders.build import Source
    >>> build = Build(Settings("LlavaNextImageProcessor", {}), "torchvision", Source())
    >>> fit_any_resolution(build)
    >>> whole(build)
    >>> build.layout is None
    True
    """
    build.layout = None


@builder("resize")
def square_view(build: Build) -> None:
    """LLaVA-OneVision, of one of several images of a sample: a square around it, in the colour of
    the mean, resized to `size`.

    >>> from jaxprep.formats.huggingface.builders.build import Source
    >>> build = Build(Settings("LlavaOnevisionImageProcessor", {}), "torchvision", Source())
    >>> square_view(build)
    >>> [type(step).__name__ for step in build.steps]
    ['PadToSquare', 'Resize']
    """
    build.add(ops.PadToSquare(mean_color(build.settings)))
    resize(build)
    build.layout = ops.ChannelsFirst()


@builder("resize")
def fit_split(build: Build) -> None:
    """Aria: as LLaVA-NeXT on the best of `split_resolutions`, in tiles of `max_image_size`, where
    `split_image` is on; otherwise as `fit_longest`.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("AriaImageProcessor", {"split_image": True}).pipeline.output_size((480, 640))
    (490, 980)
    """
    if build.settings.flag("split_image"):
        side = _aria_side(build.settings)
        _fit_resolutions(build, "split_resolutions", side, (side, side))
    else:
        fit_longest(build)


@builder("resize")
def fit_longest(build: Build) -> None:
    """Aria: the longer side `max_image_size`, the other at least `min_image_size`, in the corner of
    a square, 0 around it.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("AriaImageProcessor").pipeline.output_size((480, 640))
    (980, 980)
    """
    build.fit(longest_at_least(build.settings))
    build.layout = ops.ChannelsFirst()


def longest_at_least(settings: Settings) -> LongestAtLeast:
    """Return the rule by which Aria resizes an image or a tile.

    >>> longest_at_least(Settings("AriaImageProcessor", {}))
    LongestAtLeast(side=980, minimum=336)
    """
    side, minimum = _aria_side(settings), settings.integer("min_image_size")
    if minimum > side:
        raise codec.expected("at most `max_image_size`", minimum, "$.min_image_size")
    return LongestAtLeast(side, minimum)


def _aria_side(settings: Settings) -> int:
    # transformers/models/aria/image_processing_aria.py refuses others.
    side = settings.integer("max_image_size")
    if side not in (490, 980):
        raise codec.expected("490 or 980", side, "$.max_image_size")
    return side


# -- a canvas of tiles, with the image in its corner ---------------------------------------------


def _square_size(settings: Settings) -> int:
    height, width = settings.pair("size")
    if height != width:
        raise codec.expected("a square", {"height": height, "width": width}, "$.size")
    return height


def _fit_tiles(build: Build, rule: FitRule, side: int, **how: Any) -> None:
    build.fit(rule, **how)
    build.layout = ops.Tiles((side, side))


@builder("resize")
def fit_canvas(build: Build) -> None:
    """Mllama: in the corner of at most `max_image_tiles` tiles that scale the image least.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("MllamaImageProcessor").pipeline.output_size((480, 640))
    (448, 448)
    """
    settings = build.settings
    side = _square_size(settings)
    highest = most_tiles(settings, "max_image_tiles", (side, side))
    _fit_tiles(build, TiledCanvas(side, highest), side)


@builder("resize")
def fit_canvas_32(build: Build) -> None:
    """Llama 4: the same in float32, of at most `max_patches`; as large as possible with
    `resize_to_max_canvas`.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Llama4ImageProcessor").pipeline.output_size((480, 640))
    (672, 672)
    """
    settings = build.settings
    side = _square_size(settings)
    highest = most_tiles(settings, "max_patches", (side, side))
    enlarges = settings.flag("resize_to_max_canvas")
    _fit_tiles(build, TiledCanvas32(side, highest, enlarges), side)


@builder("resize")
def fit_enough(build: Build) -> None:
    """Phi-4: in the corner of as many tiles of `size` as the image has pixels for, at most
    `dynamic_hd`, white around it; always bilinear.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Phi4MultimodalImageProcessor").pipeline.output_size((480, 640))
    (896, 896)
    """
    settings = build.settings
    side = _square_size(settings)
    highest = most_tiles(settings, "dynamic_hd", (side, side))
    patch = settings.integer("patch_size")
    # The mask of a tile has one value for each whole patch.
    if not 1 <= patch <= side:
        raise codec.expected(f"a patch of 1 to {side} pixels, the `size`", patch, "$.patch_size")
    # `tvF.resize(image, ...)` without a filter, and white as `tvF.pad` fills it.
    _fit_tiles(build, EnoughTiles(side, highest), side, fill=255.0, method="bilinear")


@builder()
def thumbnail_of_canvas(build: Build) -> None:
    """Phi-4: the normalised canvas, interpolated to a tile without antialiasing.

    >>> from jaxprep.formats.huggingface.builders.build import Source
    >>> build = Build(Settings("Phi4MultimodalImageProcessor", {}), "torchvision", Source())
    >>> thumbnail_of_canvas(build)
    >>> build.steps[0].antialias
    False
    """
    build.resize(size=build.settings.pair("size"), antialias=False)
    build.layout = ops.ChannelsFirst()


# -- the longer edge, then whole tiles -----------------------------------------------------------


@builder("resize")
def resize_longest_even(build: Build) -> None:
    """Idefics 3: the longer edge of `size`, or both sides.

    >>> from jaxprep.formats.huggingface.builders.build import Source
    >>> build = Build(Settings("Idefics3ImageProcessor", {}), "torchvision", Source())
    >>> resize_longest_even(build)
    >>> build.steps[0].output_size((427, 640))
    (972, 1456)
    """
    settings = build.settings
    if not settings.flag("do_resize"):
        return
    # `if size.longest_edge`, whatever is said of the shorter one: `resize` of
    # transformers/models/idefics3/image_processing_idefics3.py.
    edges = settings.needed_edges("size", LONGEST, BOTH, EXACT)
    if edges.pair is None:
        build.resize(rule=LongestEven(edges.side("longest_edge")))
    else:
        build.resize(size=settings.pair("size"))


@builder("resize")
def resize_longest_for_tiles(build: Build) -> None:
    """UltraVBert: as Idefics 3; where images are cut, the longer edge is lowered until there are at
    most `max_image_tiles`.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("UltraVBertImageProcessor")
    >>> config.pipeline.output_size((480, 640))
    (2048, 2560)
    """
    settings = build.settings
    if not settings.flag("do_resize") or not settings.flag("do_image_splitting"):
        resize_longest_even(build)
        return
    edge = settings.needed_edges("size", LONGEST, BOTH).side("longest_edge")
    side, highest = _long_side(settings), settings.integer("max_image_tiles")
    build.resize(rule=LongestEven(edge, side, highest))


def _long_side(settings: Settings) -> int:
    side = settings.needed_edges("max_image_size", LONGEST).side("longest_edge")
    check_size((side, side), "$.max_image_size")
    return side


@builder("resize")
def whole_tiles(build: Build) -> None:
    """Idefics 3: both sides up to multiples of `max_image_size`, in tiles of it; stretched to one,
    where `do_image_splitting` is off.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Idefics3ImageProcessor").pipeline.output_size((427, 640))
    (1092, 1456)
    """
    side = _long_side(build.settings)
    if build.settings.flag("do_image_splitting"):
        edges = build.settings.needed_edges("size", LONGEST, BOTH, EXACT)
        longest = min(edges.longest_edge or max(edges.pair or (1,)), LONGEST_SIDE)
        check_tiles((-(-longest // side)) ** 2, (side, side), "$.size")
        build.resize(rule=WholeTiles(side))
    else:
        build.resize(size=(side, side))
    build.layout = ops.Tiles((side, side))


@builder("resize")
def thumbnail_long(build: Build) -> None:
    """Idefics 3: what is cut, stretched to a tile.

    >>> from jaxprep.formats.huggingface.builders.build import Source
    >>> build = Build(Settings("Idefics3ImageProcessor", {}), "torchvision", Source())
    >>> thumbnail_long(build)
    >>> build.steps[0].output_size((1092, 1456))
    (364, 364)
    """
    side = _long_side(build.settings)
    build.resize(size=(side, side))
    build.layout = ops.ChannelsFirst()
