"""Builders of classes that cut large images into parts.

Where a docstring names a model, the rule is that of `transformers/models/<model>/
image_processing_<model>.py`, Transformers 5.24.
"""

from __future__ import annotations

from jaxprep import codec, ops
from jaxprep.bounds import MAX_PARTS
from jaxprep.formats.huggingface.builders.build import Build, builder
from jaxprep.formats.huggingface.builders.resize import resize_any
from jaxprep.formats.huggingface.builders.tiles import most_tiles
from jaxprep.formats.huggingface.settings import Settings
from jaxprep.ops.resize import SizeRule
from jaxprep.ops.slice_sizes import (
    AreaOfSquare,
    Cut,
    OverlappingCrops,
    ShrunkLongest,
    SliceCanvas,
    WindowCanvas,
    WindowPlan,
    pan_and_scan,
    plan_windows,
)
from jaxprep.types import Size


@builder("resize")
def resize_pan_and_scan(build: Build) -> None:
    """Gemma 3: as the base classes; the torchvision backend resizes whenever it cuts.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("Gemma3ImageProcessor", {"do_resize": False})
    >>> config.pipeline.output_size((480, 640))
    (480, 640)
    """
    settings = build.settings
    # `_preprocess` of transformers/models/gemma3/image_processing_gemma3.py looks at `do_resize`
    # only where it does not cut.
    if settings.flag("do_resize") or (build.on_torch and settings.flag("do_pan_and_scan")):
        resize_any(build)


def pan_and_scan_cuts(settings: Settings, size: Size) -> list[Cut]:
    """Return the parts of an image of `size`; none where `do_pan_and_scan` is off.

    Raises:
        ConfigError: one of the three settings of the cuts is missing.

    >>> keys = ("min_crop_size", "max_num_crops", "min_ratio_to_activate")
    >>> given = {f"pan_and_scan_{key}": value for key, value in zip(keys, (64, 4, 1.2))}
    >>> settings = Settings("Gemma3ImageProcessor", {"do_pan_and_scan": True, **given})
    >>> len(pan_and_scan_cuts(settings, (100, 310)))
    3
    """
    if not settings.flag("do_pan_and_scan"):
        return []
    least = settings.integer("pan_and_scan_min_crop_size")
    most = settings.integer("pan_and_scan_max_num_crops", highest=MAX_PARTS)
    ratio = settings.number("pan_and_scan_min_ratio_to_activate", 0.0)
    return pan_and_scan(size, least, most, ratio)


# -- MiniCPM-V -----------------------------------------------------------------------------------

TINY_SIDE = 84
"""`TINY_RESOLUTION` of `minicpm_ocr/image_processing_minicpm_ocr.py`."""


def slice_divisor(settings: Settings) -> int:
    """Return what the sides of slices are multiples of: a patch, merged once ("4x") or twice.

    >>> slice_divisor(Settings("MiniCPMV4_6ImageProcessor", {"downsample_mode": "4x"}))
    28
    """
    merged = 2 if settings.get("downsample_mode") == "4x" else 4
    return settings.integer("patch_size") * merged


def slice_canvas(settings: Settings) -> SliceCanvas:
    """Return the rule of the canvas that is cut into slices.

    >>> slice_canvas(Settings("MiniCPMV4_6ImageProcessor", {})).most
    9
    """
    side = settings.integer("scale_resolution")
    most = most_tiles(settings, "max_slice_nums", (side, side))
    return SliceCanvas(side, slice_divisor(settings), most)


def _resize_if_on(build: Build, rule: SizeRule) -> None:
    # A call refuses a `do_resize` that is off: see `jaxprep.huggingface.minicpm.sliced`.
    if build.settings.flag("do_resize"):
        build.resize(rule=rule)


def _scaled(build: Build, side: int, enlarges: bool = True) -> None:
    _resize_if_on(build, AreaOfSquare(side, slice_divisor(build.settings), enlarges))


@builder("resize")
def resize_to_area(build: Build) -> None:
    """MiniCPM-V 4.6: to the area of a square of `scale_resolution`.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("MiniCPMV4_6ImageProcessor").pipeline.output_size((480, 640))
    (392, 504)
    """
    _scaled(build, build.settings.integer("scale_resolution"))


@builder("resize")
def resize_to_smaller_area(build: Build) -> None:
    """MiniCPM-OCR, an image that is not to be enlarged.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.formats.huggingface.builders import Source
    >>> config = HuggingFace("MiniCPMOcrImageProcessor")
    >>> config.pipeline_of(Source(), view="native").output_size((60, 90))
    (56, 84)
    """
    _scaled(build, build.settings.integer("scale_resolution"), enlarges=False)


@builder("resize")
def resize_to_tiny_area(build: Build) -> None:
    """MiniCPM-OCR, a tiny image: to the area of a square of 84.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.formats.huggingface.builders import Source
    >>> config = HuggingFace("MiniCPMOcrImageProcessor")
    >>> config.pipeline_of(Source(), view="tiny").output_size((20, 30))
    (56, 112)
    """
    _scaled(build, TINY_SIDE)


@builder("resize")
def resize_to_slices(build: Build) -> None:
    """MiniCPM-V 4.6: to whole slices.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.formats.huggingface.builders import Source
    >>> config = HuggingFace("MiniCPMV4_6ImageProcessor")
    >>> config.pipeline_of(Source(), view="slices").output_size((480, 640))
    (560, 784)
    """
    _resize_if_on(build, slice_canvas(build.settings))


@builder()
def planes_of_patches(build: Build) -> None:
    """MiniCPM-V 4.6: patches of `(c, h, w)`, row by row; floats, on the torchvision backend.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("MiniCPMV4_6ImageProcessor").pipeline.layout.shape((56, 112), 3)
    (4, 8, 1, 1, 3, 14, 14)
    """
    if build.on_torch and not build.is_float:
        build.add(ops.Cast("float32"))
        build.is_float = True
    build.layout = ops.Patches(build.settings.integer("patch_size"), order="chw")


# -- Step 3.7 ------------------------------------------------------------------------------------


def window_plan(settings: Settings, size: Size) -> WindowPlan:
    """Return how an image of `size` is cut into windows; a sliver is padded to a square before.

    >>> window_plan(Settings("Step3p7ImageProcessor", {}), (600, 1000)).grid
    (1, 2)
    """
    return plan_windows(size, *_window_sides(settings))


def _window_sides(settings: Settings) -> tuple[int, int, int]:
    # Whatever the width is, as there.
    side = settings.pair("size")[0]
    return settings.integer("max_image_size"), side, settings.integer("patch_size")


@builder("resize")
def resize_to_square(build: Build) -> None:
    """Step 3.7: to a square of the height of `size`.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Step3p7ImageProcessor").pipeline.output_size((480, 640))
    (728, 728)
    """
    side = _window_sides(build.settings)[1]
    build.resize(size=(side, side))


@builder("resize")
def shrink_longest(build: Build) -> None:
    """Step 3.7: the longer side to at most `max_image_size`.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.formats.huggingface.builders import Source
    >>> config = HuggingFace("Step3p7ImageProcessor")
    >>> [type(step).__name__ for step in config.pipeline_of(Source(), view="large").steps]
    ['ToRGB', 'Resize', 'Resize', 'Normalize']
    """
    build.resize(rule=ShrunkLongest(_window_sides(build.settings)[0]))


@builder("resize")
def resize_to_windows(build: Build) -> None:
    """Step 3.7: to whole windows.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.formats.huggingface.builders import Source
    >>> config = HuggingFace("Step3p7ImageProcessor")
    >>> config.pipeline_of(Source(), view="canvas").output_size((600, 1000))
    (504, 1008)
    """
    build.resize(rule=WindowCanvas(*_window_sides(build.settings)))


@builder("resize")
def resize_window(build: Build) -> None:
    """Step 3.7: a window to a square of `patch_size`.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.formats.huggingface.builders import Source
    >>> config = HuggingFace("Step3p7ImageProcessor")
    >>> config.pipeline_of(Source(), view="window").output_size((300, 300))
    (504, 504)
    """
    side = build.settings.integer("patch_size")
    build.resize(size=(side, side))


# -- Molmo 2 -------------------------------------------------------------------------------------


def margins(settings: Settings) -> tuple[int, int]:
    """Return how many patches of a crop overlap: with the one before, and with the one after.

    >>> margins(Settings("Molmo2ImageProcessor", {}))
    (4, 4)
    """
    return _two_integers(settings, "overlap_margins", lowest=0)


def pooling(settings: Settings) -> tuple[int, int]:
    """Return height and width of the squares of patches that are one token.

    >>> pooling(Settings("Molmo2ImageProcessor", {}))
    (2, 2)
    """
    return _two_integers(settings, "pooling_size", lowest=1)


def _two_integers(settings: Settings, key: str, lowest: int) -> tuple[int, int]:
    value = settings.get(key)
    is_pair = isinstance(value, (list, tuple)) and len(value) == 2
    if not is_pair or not all(type(n) is int and lowest <= n <= 1024 for n in value):
        raise codec.expected(f"two integers from {lowest} to 1024", value, f"$.{key}")
    return value[0], value[1]


def crop_patches(settings: Settings) -> int:
    """Return how many patches are in a row of a crop.

    >>> crop_patches(Settings("Molmo2ImageProcessor", {}))
    27
    """
    return settings.square_side("size") // settings.integer("patch_size")


def overlapping_crops(settings: Settings) -> OverlappingCrops:
    """Return the rule of the canvas that is cut into crops.

    >>> overlapping_crops(Settings("Molmo2ImageProcessor", {})).window
    266
    """
    patch, margin = settings.integer("patch_size"), sum(margins(settings))
    window = crop_patches(settings) - margin
    if window < 1:
        got = settings.get("overlap_margins")
        raise codec.expected("less patches than a crop has in a row", got, "$.overlap_margins")
    return OverlappingCrops(
        window * patch, margin * patch, settings.integer("max_crops", highest=MAX_PARTS)
    )


def _interpolate(build: Build, **target: object) -> None:
    """Resize floats without antialiasing; integers are rounded, half to even."""
    method = build.settings.method()
    reference = "torch_exact" if method == "nearest" else "torch"
    build.add(ops.Resize(method=method, antialias=False, reference=reference, **target))  # type: ignore[arg-type]


@builder("resize")
def resize_to_crops(build: Build) -> None:
    """Molmo 2: to whole crops.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Molmo2ImageProcessor").pipeline.output_size((480, 640))
    (644, 644)
    """
    _interpolate(build, rule=overlapping_crops(build.settings))


@builder("resize")
def resize_to_one_crop(build: Build) -> None:
    """Molmo 2: the whole image to the size of a crop.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.formats.huggingface.builders import Source
    >>> config = HuggingFace("Molmo2ImageProcessor")
    >>> config.pipeline_of(Source(), view="whole").output_size((480, 640))
    (378, 378)
    """
    side = build.settings.square_side("size")
    _interpolate(build, size=(side, side))
