"""Donut, Nougat and PP-FormulaNet: pages that are turned upright, without their margins.

The rules are those of `transformers/models/donut/image_processing_donut.py` and
`transformers/models/nougat/image_processing_nougat.py`, 5.24, and of their PIL backends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Shaped

from jaxprep import ops
from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface.builders import Source, builder_named
from jaxprep.huggingface.call import Call, Family, Results, read, run, run_each
from jaxprep.huggingface.configs import json_settings
from jaxprep.huggingface.images import Image, Reading, images_of
from jaxprep.huggingface.operations import apply, channels_first, pipelines_of
from jaxprep.inputs import layout_of
from jaxprep.ops.color import luma
from jaxprep.ops.turn import align_long_axis
from jaxprep.pictures import is_pil
from jaxprep.pipeline import Pipeline
from jaxprep.postprocess import method
from jaxprep.types import Size

GRAY_THRESHOLD = 200
"""Of 255, between the darkest and the brightest pixel: what is brighter is margin."""


def documents(call: Call) -> Results:
    """Return pages of one size.

    Raises:
        InputError: the margin of a traced image is to be cropped.

    >>> from jaxprep.huggingface import NougatImageProcessor
    >>> page = np.full((40, 30, 3), 255, np.uint8)
    >>> page[10:20, 5:25] = 0
    >>> NougatImageProcessor(size={"height": 8, "width": 6})(page).pixel_values.shape
    (1, 3, 8, 6)
    """
    settings = call.config.effective
    images = read(call)
    if settings.flag("do_crop_margin"):
        if call.is_traced:
            raise InputError(
                "Expected `do_crop_margin=False` inside a transformation of JAX, since the size of "
                "what is left depends on the pixels. Crop the images before, by "
                "`processor.crop_margin(image)`."
            )
        images = [without_margin(image, call.config) for image in images]
    if settings.flag("do_align_long_axis"):
        # Here, not by the step of the pipeline: that sees a whole array, so that images of
        # different sizes would be compiled for one by one.
        size = settings.pair("size")
        images = [image._replace(pixels=align_long_axis(image.pixels, size)) for image in images]
        call = call.with_settings(do_align_long_axis=False)
    return {call.config.result_name: _run_pages(call, images)}


DOCUMENTS = Family(documents)


def _run_pages(call: Call, images: Sequence[Image]) -> Any:
    """The results of pages, those that Pillow reduces apart from the others."""
    reduced = []
    others = []
    for i, image in enumerate(images):
        members = others
        if is_reduced(call.config, image.size):
            members = reduced
        members.append(i)
    if not reduced:
        return run(call, images)
    results: list[Any] = [None] * len(images)
    for view, members in (("reducing", reduced), (None, others)):
        pages = [images[i] for i in members]
        results_of_view = run_each(call, pages, view)
        for i, result in zip(members, results_of_view, strict=True):
            results[i] = result
    return results


def is_reduced(config: HuggingFace, size: Size) -> bool:
    """Return whether an image becomes so small a thumbnail that Pillow reduces it before.

    >>> config = HuggingFace("NougatImageProcessor", backend="pil")
    >>> is_reduced(config, (4000, 3000)), is_reduced(config, (4000, 300))
    (False, True)
    """
    if config.backend != "pil" or "reducing" not in config.row.views:
        return False
    for step in config.pipeline_of(Source(), view="reducing").steps:
        if isinstance(step, ops.ReducingResize):
            return max(step.factors(size)) > 1
        if isinstance(step, ops.Resize):
            size = step.output_size(size)
    return False


# -- margins -------------------------------------------------------------------------------------


def without_margin(image: Image, config: HuggingFace, threshold: int = GRAY_THRESHOLD) -> Image:
    """Return an image of the host without its bright margin, as each backend crops it.

    Args:
        threshold: see `GRAY_THRESHOLD`.

    >>> pixels = np.full((4, 4, 3), 255, np.uint8)
    >>> pixels[1, 2] = 0
    >>> without_margin(Image(pixels), HuggingFace("NougatImageProcessor")).size
    (1, 1)
    """
    on_torch = config.backend == "torchvision"
    gray = _gray_values(image.pixels, on_torch)
    darkest = gray.min()
    brightest = gray.max()
    if not darkest < brightest:  # one colour, or NaN
        return image
    # NumPy divides integers in float64, torch in float32.
    dtype = np.float32 if on_torch else np.float64
    above_darkest = (gray - darkest).astype(dtype)
    contrast = dtype(brightest - darkest)
    stretched = above_darkest / contrast * dtype(255)
    top, bottom, left, right = bounds_of(stretched < threshold)
    cropped = image._replace(pixels=image.pixels[top:bottom, left:right])
    if on_torch:
        return cropped
    # The PIL backend made 8 bits of floats, and does not divide them by 255 again.
    return cropped._replace(value_range="uint8")


def _gray_values(pixels: np.ndarray, on_torch: bool) -> np.ndarray:
    if pixels.shape[-1] < 3:
        return pixels[..., 0]
    if on_torch:
        return gray_on_torch(pixels)
    return np.asarray(luma(pixels))[..., 0]


def gray_on_torch(pixels: Shaped[np.ndarray, "h w c"]) -> Shaped[np.ndarray, "h w"]:
    """Return the gray values of an RGB image, in its type: `rgb_to_grayscale` of torchvision.

    Its `add_(green, alpha=0.587)` is a fused multiply-add, rounded once:
    https://github.com/pytorch/vision/blob/main/torchvision/transforms/v2/functional/_color.py

    >>> gray_on_torch(np.uint8([[[100, 0, 0]]])).tolist()
    [[29]]
    """
    red, green, blue = (pixels[..., i].astype(np.float64) for i in range(3))
    # Of 24 bits and of as many as float64 holds exactly: products and sums of two are exact.
    gray = (red * np.float32(0.2989)).astype(np.float32)
    gray = (green * np.float32(0.587) + gray).astype(np.float32)
    gray = (blue * np.float32(0.114) + gray).astype(np.float32)
    return gray.astype(pixels.dtype)


def bounds_of(mask: Bool[np.ndarray, "h w"]) -> tuple[int, int, int, int]:
    """Return the first row of a mask that holds anything, the row after the last, and the same of
    the columns.

    >>> bounds_of(np.array([[False, False], [False, True]]))
    (1, 2, 1, 2)
    """
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    top = int(rows[0])
    bottom = int(rows[-1]) + 1
    left = int(columns[0])
    right = int(columns[-1]) + 1
    return top, bottom, left, right


# -- methods -------------------------------------------------------------------------------------

WITH_MARGIN = ("NougatImageProcessor", "PPFormulaNetImageProcessor")
PAGES = ("DonutImageProcessor", *WITH_MARGIN)


@method(WITH_MARGIN, "crop_margin", settings=["config"])
def crop_margin(
    image: Any, gray_threshold: int = GRAY_THRESHOLD, *, config: HuggingFace
) -> jax.Array:
    """Return an image without its bright margin (Nougat).

    Args:
        image: one image on the host.
        gray_threshold: of 255, between the darkest and the brightest pixel: what is brighter is
            margin.
        config: the processor's.

    Raises:
        InputError: a threshold that is not above 0 and at most 255, or several images.

    >>> from jaxprep.huggingface import NougatImageProcessor
    >>> page = np.full((3, 9, 9), 255, np.uint8)
    >>> page[:, 1:3, 2:7] = 0
    >>> NougatImageProcessor().crop_margin(page).shape
    (3, 2, 5)
    """
    # At 0 not even the darkest pixel is below it.
    if not isinstance(gray_threshold, (int, float, np.number)) or not 0 < gray_threshold <= 255:
        raise InputError(
            f"Expected a number above 0 and at most 255, got {gray_threshold!r} - at "
            "`gray_threshold`."
        )
    images = images_of(image, Reading(on_torch=config.backend == "torchvision"))
    if len(images) != 1:
        raise InputError(f"Expected one image, got {len(images)} - at `image`.")
    cropped = without_margin(images[0], config, gray_threshold).pixels
    if not is_pil(image) and np.ndim(image) == 3 and _is_channels_first(image):
        cropped = channels_first(cropped)
    return jax.device_put(np.ascontiguousarray(cropped))


def _is_channels_first(image: Any) -> bool:
    return layout_of(np.shape(image), "image") == "channels_first"


@method(PAGES, "align_long_axis", settings=["config"])
def align_page(image: Any, size: Any, *, config: HuggingFace) -> jax.Array:
    """Turn an image or a batch by a quarter where its longer side is not that of `size` (Donut).

    >>> from jaxprep.huggingface import DonutImageProcessor
    >>> image, size = np.zeros((3, 20, 30), np.uint8), {"height": 8, "width": 6}
    >>> DonutImageProcessor().align_long_axis(image, size).shape
    (3, 30, 20)
    """
    return _run_builder(config, "align_long_axis", image, size, do_align_long_axis=True)


@method("DonutImageProcessor", "thumbnail", settings=["config"])
def thumbnail(image: Any, size: Any, resample: Any = None, *, config: HuggingFace) -> jax.Array:
    """Shrink an image or a batch that is larger than `size` (Donut).

    >>> from jaxprep.huggingface import DonutImageProcessor
    >>> image, size = np.zeros((3, 20, 30), np.uint8), {"height": 8, "width": 6}
    >>> DonutImageProcessor().thumbnail(image, size).shape
    (3, 4, 6)
    """
    if resample is None:
        # The PIL backend's default is bicubic, that of torchvision bilinear.
        resample = 2 if config.backend == "torchvision" else 3
    settings = {"resample": resample, "do_thumbnail": True}
    return _run_builder(config, "shrink_page", image, size, **settings)


@method(WITH_MARGIN, "thumbnail", settings=["config"])
def thumbnail_bicubic(image: Any, size: Any, *, config: HuggingFace) -> jax.Array:
    """Shrink an image or a batch that is larger than `size`, bicubic (Nougat).

    >>> from jaxprep.huggingface import NougatImageProcessor
    >>> image, size = np.zeros((3, 20, 30), np.uint8), {"height": 8, "width": 6}
    >>> NougatImageProcessor().thumbnail(image, size).shape
    (3, 4, 6)
    """
    return _run_builder(config, "shrink_page_bicubic", image, size, do_thumbnail=True)


@method("DonutImageProcessor", "pad_image", settings=["config"])
def pad_page(
    image: Any, size: Any, random_padding: bool = False, *, config: HuggingFace
) -> jax.Array:
    """Pad an image or a batch with 0 on all sides, to `size` (Donut).

    Args:
        image: an image, or a batch of one size.
        size: height and width.
        random_padding: put it anywhere, by NumPy's global generator, which `numpy.random.seed`
            seeds, as the PIL backend does.
        config: the processor's.

    >>> from jaxprep.huggingface import DonutImageProcessor
    >>> image, size = np.zeros((3, 4, 5), np.uint8), {"height": 8, "width": 6}
    >>> DonutImageProcessor().pad_image(image, size).shape
    (3, 8, 6)
    """
    if not random_padding:
        return _run_builder(config, "pad_page", image, size, do_pad=True)
    sized = config.overridden(json_settings({"size": size}))
    height, width = sized.effective.pair("size")
    shape = np.shape(image)
    if _is_channels_first(image):
        rows, columns = shape[-2:]
    else:
        rows, columns = shape[-3:-1]
    # The rows are drawn first, as there: a seed gives the same page.
    top = int(np.random.randint(low=0, high=height - rows + 1))
    left = int(np.random.randint(low=0, high=width - columns + 1))
    pipeline = Pipeline((ops.Crop(-top, -left, height, width),))
    reading = Reading(on_torch=config.backend == "torchvision")
    return apply(lambda _: pipeline, image, reading)


@method(WITH_MARGIN, "pad_images", settings=["config"])
def pad_pages(image: Any, size: Any, *, config: HuggingFace) -> jax.Array:
    """Pad an image or a batch with 0 on all sides, to `size` (Nougat).

    >>> from jaxprep.huggingface import NougatImageProcessor
    >>> image, size = np.zeros((3, 4, 5), np.uint8), {"height": 8, "width": 6}
    >>> NougatImageProcessor().pad_images(image, size).shape
    (3, 8, 6)
    """
    return _run_builder(config, "pad_page", image, size, do_pad=True)


def _run_builder(
    config: HuggingFace, name: str, image: Any, size: Any, **settings: Any
) -> jax.Array:
    """Run one builder of a page on an image or a batch."""
    changed = json_settings({"size": size, **settings})
    builder = builder_named(name)
    pipeline_of = pipelines_of(config, builder, changed)
    on_torch = config.backend == "torchvision"
    is_pillow = builder.operation == "resize" and not on_torch
    return apply(pipeline_of, image, Reading(on_torch=on_torch), None, is_pillow)


@method(WITH_MARGIN, "python_find_non_zero")
def python_find_non_zero(image: Any) -> jax.Array:
    """Return where a map `(h, w)` or `(1, h, w)` is not 0: x and y, `(n, 1, 2)`, as `findNonZero`
    of OpenCV does (Nougat).

    >>> python_find_non_zero(np.array([[0, 0], [0, 1]])).tolist()
    [[[1, 1]]]
    """
    rows, columns = np.nonzero(np.asarray(image))[-2:]
    points = np.stack([columns, rows], axis=-1).astype(np.int32)
    return jax.device_put(points[:, None])


@method(WITH_MARGIN, "python_bounding_rect")
def python_bounding_rect(coordinates: Sequence[Any]) -> tuple[int, int, int, int]:
    """Return left, top, width and height of what holds points, as `boundingRect` of OpenCV does
    (Nougat).

    Args:
        coordinates: x and y, `(n, 1, 2)`.

    >>> python_bounding_rect([[[1, 2]], [[3, 2]]])
    (1, 2, 3, 1)
    """
    points = np.asarray(coordinates)
    left, top = points.min(axis=(0, 1)).tolist()
    right, bottom = points.max(axis=(0, 1)).tolist()
    return left, top, right - left + 1, bottom - top + 1
