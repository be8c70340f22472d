"""Builders of classes whose results are patches, with grids of different sizes.

Where a docstring names a model, the rule is that of `transformers/models/<model>/
image_processing_<model>.py`, Transformers 5.24.
"""

from __future__ import annotations

import math
from typing import Any

from jaxprep import codec, ops
from jaxprep.formats.huggingface.builders.build import Build, builder
from jaxprep.formats.huggingface.settings import BOTH, INSIDE, PIXELS, Settings
from jaxprep.ops.patch_sizes import (
    MAX_SCALE,
    ClosestGrid,
    HalvedSize,
    PatchLimit,
    PixelLimits,
    ScaledSize,
    SmartSize,
    TokenBudget,
)
from jaxprep.ops.resize import MAX_COUNT, Method

MAX_MERGED = 64
"""A bound on the patches in a row of a merged square, and on the frames of a patch."""
NO_PIXELS = -1.0
"""What Inkling pads with: it stands for no value of a pixel."""


def pixel_bounds(settings: Settings) -> tuple[int, int]:
    """Return the least and the largest number of pixels of a result: `size`, in which the keys of
    edges hold numbers of pixels.

    >>> pixel_bounds(Settings("Qwen2VLImageProcessor", {}))
    (3136, 1003520)
    """
    edges = settings.needed_edges("size", BOTH)
    return edges.side("shortest_edge"), edges.side("longest_edge")


def patch_side(settings: Settings) -> int:
    """Return the side of a patch in pixels.

    >>> names = "Qwen2VLImageProcessor", "Inkling2ImageProcessor"
    >>> [patch_side(Settings(name, {})) for name in names]
    [14, 40]
    """
    if settings.row.patches.side == "patch_size":
        return settings.integer("patch_size")
    return settings.square_side("size")


def patch_factor(settings: Settings) -> int:
    """Return the side in pixels of the square whose patches are merged.

    >>> patch_factor(Settings("Qwen2VLImageProcessor", {}))
    28
    """
    return settings.integer("patch_size") * settings.integer("merge_size", highest=MAX_MERGED)


def expanded_factor(build: Build) -> int:
    """Return the side of a merged square of GLM, times `patch_expand_factor`, which the PIL backend
    does not look at.

    >>> from jaxprep.formats.huggingface.builders.build import Source
    >>> settings = Settings("GlmgaImageProcessor", {"patch_expand_factor": 2})
    >>> [expanded_factor(Build(settings, backend, Source())) for backend in ("torchvision", "pil")]
    [56, 28]
    """
    settings = build.settings
    factor = patch_factor(settings)
    if "patch_expand_factor" not in settings.row.kwargs or not build.on_torch:
        return factor
    return factor * settings.integer("patch_expand_factor", highest=MAX_MERGED)


def frames_of(settings: Settings) -> int:
    """Return how often an image is repeated in its patches.

    >>> frames_of(Settings("Qwen2VLImageProcessor", {}))
    2
    """
    fixed = settings.row.patches.frames
    return fixed or settings.integer("temporal_patch_size", highest=MAX_MERGED)


# -- sizes that are whole patches ----------------------------------------------------------------


def _resize_smart(build: Build, method: Method | None = None, **fields: Any) -> None:
    if build.settings.flag("do_resize"):
        bounds = pixel_bounds(build.settings)
        build.resize(rule=SmartSize(expanded_factor(build), *bounds, **fields), method=method)


@builder("resize")
def resize_smart(build: Build) -> None:
    """Qwen2-VL: sides that are multiples of a merged square, and a bounded number of pixels.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Qwen2VLImageProcessor").pipeline.output_size((427, 640))
    (420, 644)
    """
    _resize_smart(build)


@builder("resize")
def resize_smart_bicubic(build: Build) -> None:
    """HunYuan-VL: as Qwen2-VL, by the bicubic filter whatever `resample` says.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("HunYuanVLImageProcessor", {"resample": 1}).pipeline.steps[1].method
    'bicubic'
    """
    # "Its config has `resample=1` (LANCZOS), but the original implementation never uses it."
    _resize_smart(build, method="bicubic")


@builder("resize")
def resize_smart_frames(build: Build) -> None:
    """GLM-4V: as Qwen2-VL, the bounds being for all repeated frames together; an image with a side
    below that of a merged square is enlarged first.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Glm4vImageProcessor").pipeline.output_size((20, 640))
    (28, 896)
    """
    frames = frames_of(build.settings)
    _resize_smart(build, enlarge="together", frames=frames, frame_step=frames)


@builder("resize")
def resize_smart_in_turn(build: Build) -> None:
    """PaddleOCR-VL: as Qwen2-VL; a side below that of a merged square is enlarged first.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("PaddleOCRVLImageProcessor").pipeline.output_size((20, 640))
    (84, 2184)
    """
    _resize_smart(build, enlarge="in_turn")


@builder("resize")
def resize_smart_area(build: Build) -> None:
    """Apertus 1.5 and Emu3: as Qwen2-VL, with sides that are multiples of `spatial_factor`.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Apertus1p5ImageProcessor").pipeline.output_size((427, 640))
    (432, 640)
    """
    settings = build.settings
    if not settings.flag("do_resize"):
        return
    edges = settings.needed_edges("size", PIXELS)
    lowest, highest = (edges.side(key) for key in PIXELS)
    build.resize(rule=SmartSize(settings.integer("spatial_factor"), lowest, highest))


@builder("resize")
def resize_halved(build: Build) -> None:
    """GLM-Image: half of an image, whose sides are bounded by the roots of the numbers of pixels.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("GlmImageImageProcessor").pipeline.output_size((480, 640))
    (252, 308)
    """
    settings = build.settings
    if settings.flag("do_resize"):
        shortest, longest = (round(math.sqrt(pixels)) for pixels in pixel_bounds(settings))
        build.resize(rule=HalvedSize(patch_factor(settings), shortest, longest))


@builder("resize")
def resize_closest_grid(build: Build) -> None:
    """Muse Glimmer: the grid of merged squares that is the nearest to the aspect ratio.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("MuseGlimmerImageProcessor").pipeline.output_size((427, 640))
    (420, 616)
    """
    settings = build.settings
    if settings.flag("do_resize"):
        tokens = settings.integer("max_image_tokens", highest=MAX_COUNT)
        build.resize(rule=ClosestGrid(patch_factor(settings), tokens))


# -- images that are padded to whole patches -----------------------------------------------------


@builder("resize")
def fit_token_budget(build: Build) -> None:
    """GLM-5: on a canvas of a bounded number of merged squares; the rest is 0.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Glm5NextImageProcessor").pipeline.output_size((480, 640))
    (504, 644)
    """
    settings = build.settings
    if not settings.flag("do_resize"):
        return
    lowest, highest = (
        settings.integer(key, highest=MAX_COUNT) for key in ("min_image_tokens", "max_image_tokens")
    )
    frames = frames_of(settings)
    build.fit(TokenBudget(expanded_factor(build), lowest, highest, frames, frames))


@builder("resize")
def resize_patch_limit(build: Build) -> None:
    """Kimi K2.5: at most `max_patches`, and so many a side as `size` says.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Kimi_K25ImageProcessor").resize_pipeline.output_size((480, 640))
    (480, 640)
    """
    settings = build.settings
    edges = settings.needed_edges("size", INSIDE)
    if edges.max_height != edges.max_width:
        raise codec.expected("`max_height` and `max_width` that are equal", edges, "$.size")
    if settings.flag("do_resize"):
        patches = settings.integer("max_patches", highest=MAX_COUNT)
        build.resize(rule=PatchLimit(patch_side(settings), patches, edges.side("max_height")))


@builder()
def pad_resized_to_squares(build: Build) -> None:
    """Kimi K2.5: 0 below and to the right, to whole merged squares, where images are resized.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Kimi_K25ImageProcessor").pipeline.output_size((480, 640))
    (504, 644)
    """
    if build.settings.flag("do_resize"):
        build.add(ops.PadToMultiple(patch_factor(build.settings)))


@builder("resize")
def resize_pixel_limits(build: Build) -> None:
    """NeoMME: by the bounds that are given, if any.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("NeoMMEImageProcessor", {"max_side": 500})
    >>> config.resize_pipeline.output_size((480, 640))
    (375, 500)
    """
    settings = build.settings
    lowest = highest = longest = None
    if settings.get("size") is not None:
        edges = settings.needed_edges("size", PIXELS)
        lowest, highest = edges.min_pixels, edges.max_pixels
    if settings.get("max_side") is not None:
        longest = settings.integer("max_side")
    has_bound = longest is not None or highest is not None
    if settings.flag("do_resize") and has_bound:
        build.resize(rule=PixelLimits(longest, lowest, highest))


@builder()
def pad_to_patches(build: Build) -> None:
    """NeoMME: 0 below and to the right, to whole patches.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("NeoMMEImageProcessor").pipeline.output_size((470, 640))
    (480, 640)
    """
    build.add(ops.PadToMultiple(patch_side(build.settings)))


@builder("resize")
def resize_scaled(build: Build) -> None:
    """Inkling: both sides times `rescale_image_frac`, where that is given.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("InklingImageProcessor", {"rescale_image_frac": 0.5})
    >>> config.resize_pipeline.output_size((480, 640))
    (240, 320)
    """
    settings = build.settings
    # `_validate_preprocess_kwargs` of inkling/image_processing_inkling.py.
    if settings.get("do_resize") is not None and not settings.flag("do_resize"):
        raise codec.expected("true or null", False, "$.do_resize")
    if settings.get("rescale_image_frac") is None:
        return
    longest = None
    if settings.get("rescale_image_max_upscaled_long_edge") is not None:
        longest = settings.integer("rescale_image_max_upscaled_long_edge")
    scale = settings.number("rescale_image_frac", 2.0**-20, MAX_SCALE)
    build.resize(rule=ScaledSize(scale, longest))


def _pad_with_no_pixels(build: Build, beyond_columns: bool) -> None:
    """Pad floats to whole patches, by a value that no pixel has."""
    build.add(ops.Cast("float32"))
    build.is_float = True
    divisor = patch_side(build.settings)
    build.add(ops.PadToMultiple(divisor, fill=NO_PIXELS, beyond_columns=beyond_columns))


@builder()
def pad_with_no_pixels(build: Build) -> None:
    """Inkling 2: -1 below and to the right, to whole patches, before values are rescaled.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("Inkling2ImageProcessor").pipeline.output_size((470, 640))
    (480, 640)
    """
    _pad_with_no_pixels(build, beyond_columns=False)


@builder()
def pad_beyond_with_no_pixels(build: Build) -> None:
    """Inkling: -1 below and to the right, to whole patches; to one more in each row where the width
    is a multiple of them already.

    >>> from jaxprep.formats import HuggingFace
    >>> HuggingFace("InklingImageProcessor").pipeline.output_size((480, 640))
    (480, 680)
    """
    # `num_cols = width // patch_size + 1` of `divide_to_patches` there.
    _pad_with_no_pixels(build, beyond_columns=True)


# -- layout --------------------------------------------------------------------------------------


@builder()
def patches(build: Build) -> None:
    """Patches as `ProcessorRow.patches` says; Qwen2-VL's are `(c, t, h, w)`, those of a merged
    square together, and the image is repeated as `temporal_patch_size` frames.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("Qwen2VLImageProcessor")
    >>> config.pipeline.layout.shape((56, 84), 3)
    (2, 3, 2, 2, 3, 2, 14, 14)
    """
    settings = build.settings
    layout = settings.row.patches
    if not build.on_torch and not build.is_float:
        # `np.asarray(image, dtype=np.float32)` in `patchify` of the PIL backend.
        build.add(ops.Cast("float32"))
        build.is_float = True
    build.layout = ops.Patches(
        patch_side(settings),
        settings.integer("merge_size", highest=MAX_MERGED) if layout.merges else 1,
        order=layout.order,
        frames=frames_of(settings) if "t" in layout.order else 1,
    )
