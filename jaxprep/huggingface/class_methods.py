"""The public methods that single classes have besides those of every processor, by the names and
with the arguments of Transformers 5.24.

Where a docstring names a model, the source is `transformers/models/<model>/
image_processing_<model>.py`. Results are `jax.Array`s in the layout of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxprep import codec, ops
from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface import classes
from jaxprep.formats.huggingface.builders import Source, builder_named
from jaxprep.formats.huggingface.classes import ProcessorRow
from jaxprep.formats.huggingface.frozen import SizeDict
from jaxprep.huggingface.annotations import Target, relative, resized
from jaxprep.huggingface.configs import json_settings, layout_named
from jaxprep.huggingface.detection import nearest_of, target_of
from jaxprep.huggingface.features import BatchFeature, PerImage
from jaxprep.huggingface.images import IMAGES, Reading
from jaxprep.huggingface.operations import apply, pipelines_of
from jaxprep.huggingface.segmentation import reduce_labels
from jaxprep.inputs import as_numpy, layout_of
from jaxprep.ops import sizes
from jaxprep.pictures import is_pil
from jaxprep.pipeline import Pipeline
from jaxprep.postprocess import method
from jaxprep.postprocess.semantic import palette as palette_of
from jaxprep.types import Size

MAX_COLORS = 2**16
"""Of the palette of SegGPT, which is a list of them."""


def _classes(takes: Callable[[ProcessorRow], bool]) -> list[str]:
    return [name for name, row in classes.rows().items() if takes(row)]


def _with_builder(name: str) -> list[str]:
    """The classes one of whose steps a builder makes."""
    return _classes(lambda row: name in row.builder_names(row.backends[0]))


def _with_setting(name: str) -> list[str]:
    return _classes(lambda row: name in row.kwargs)


# -- padding and channels ------------------------------------------------------------------------


@method(_with_builder("pad_around"), "pad_image", settings=["config"])
def pad_image_around(image: Any, size_divisor: int = 1, *, config: HuggingFace) -> jax.Array:
    """Pad an image or a batch with 0 on all sides to multiples of `size_divisor` (DPT).

    >>> from jaxprep.huggingface import DPTImageProcessor
    >>> DPTImageProcessor().pad_image(np.ones((3, 5, 8), np.uint8), 4).shape
    (3, 8, 8)
    """
    return _apply(config, ops.PadToMultiple(size_divisor, centered=True), image)


@method("VitMatteImageProcessor", "pad_image", settings=["config"])
def pad_image_below(image: Any, size_divisor: int = 32, *, config: HuggingFace) -> jax.Array:
    """Pad an image or a batch with 0 below and to the right to multiples of `size_divisor`
    (ViTMatte).

    >>> from jaxprep.huggingface import VitMatteImageProcessor
    >>> VitMatteImageProcessor().pad_image(np.ones((3, 5, 40), np.uint8)).shape
    (3, 32, 64)
    """
    return _apply(config, ops.PadToMultiple(size_divisor), image)


TO_SQUARE = [
    *_with_builder("pad_square"),
    *_with_builder("high_resolution"),
    *_with_builder("fit_square"),
    *_with_builder("fit_or_stretch_square"),
    "LlavaOnevisionImageProcessor",
]


@method(TO_SQUARE, "pad_to_square", settings=["config"])
def pad_to_square(images: Any, background_color: Any = 0, *, config: HuggingFace) -> jax.Array:
    """Pad an image or a batch to a square, the image in its middle (LLaVA, Janus).

    Args:
        images: an image, or a batch of one size.
        background_color: a number for each channel; a lone one is that of the first channel, and
            the others are 0, as in the original.

    Raises:
        InputError: another number of numbers than channels.

    >>> from jaxprep.huggingface import LlavaImageProcessor
    >>> LlavaImageProcessor().pad_to_square(np.ones((3, 1, 2), np.uint8), (7, 8, 9))[0].tolist()
    [[1, 1], [7, 7]]
    """
    given = codec.plain(background_color)

    def pipeline_of(source: Source) -> Pipeline:
        is_lone = isinstance(given, (int, float))
        colors = [given] + [0] * (source.channels - 1) if is_lone else list(given)
        if len(colors) != source.channels:
            raise InputError(
                f"Expected a number for each of {source.channels} channels, got {given} - at "
                "`background_color`."
            )
        return Pipeline((ops.PadToSquare(tuple(float(color) for color in colors)),))

    return apply(pipeline_of, images, _reading(config))


@method(_with_builder("flip_channel_order"), "flip_channel_order", settings=["config"])
def flip_channel_order(images: Any, *, config: HuggingFace) -> jax.Array:
    """Make RGB images BGR, or the other way round (MobileViT); alpha as in each backend, see
    `jaxprep.formats.huggingface.builders.values.flip_channel_order`.

    >>> from jaxprep.huggingface import MobileViTImageProcessor
    >>> image = np.arange(3, dtype=np.uint8)[:, None, None].repeat(2, -1)
    >>> MobileViTImageProcessor().flip_channel_order(image)[:, 0, 0].tolist()
    [2, 1, 0]
    """
    on_torch = config.backend == "torchvision"
    return _apply(config, ops.ReverseChannels(keep_alpha=on_torch), images)


@method("EfficientNetImageProcessor", "rescale_and_normalize_efficientnet", settings=["config"])
def rescale_and_normalize_efficientnet(
    images: Any,
    do_rescale: bool,
    rescale_factor: float,
    do_normalize: bool,
    image_mean: Any,
    image_std: Any,
    rescale_offset: bool = False,
    *,
    config: HuggingFace,
) -> jax.Array:
    """Rescale and normalise an image or a batch; with `rescale_offset` 1 is subtracted between, and
    nothing is fused (EfficientNet).

    >>> from jaxprep.huggingface import EfficientNetImageProcessor
    >>> image, half = np.full((3, 2, 2), 255, np.uint8), [0.5, 0.5, 0.5]
    >>> processor = EfficientNetImageProcessor()
    >>> settings = (True, 1 / 255, True, half, half, True)
    >>> processor.rescale_and_normalize_efficientnet(image, *settings).round(3)[:, 0, 0].tolist()
    [-1.0, -1.0, -1.0]
    """
    changed = {
        "do_rescale": do_rescale,
        "rescale_factor": rescale_factor,
        "do_normalize": do_normalize,
        "image_mean": image_mean,
        "image_std": image_std,
        "rescale_offset": rescale_offset,
    }
    entry = builder_named("rescale_offset_and_normalize")
    pipeline_of = pipelines_of(config, entry, json_settings(changed))
    return apply(pipeline_of, images, _reading(config))


@method(["JanusImageProcessor", "Emu3ImageProcessor"], "unnormalize", settings=["normalize"])
def unnormalize(
    image: Any,
    image_mean: Any,
    image_std: Any,
    input_data_format: Any = None,
    *,
    normalize: Callable[..., jax.Array],
) -> jax.Array:
    """Undo `normalize`: an image or a batch times `image_std`, plus `image_mean` (Janus,
    Emu3).

    Args:
        image: floats.
        image_mean, image_std: one number, or one per channel.
        input_data_format: of the image, by default told by its channels.
        normalize: the processor's.

    >>> from jaxprep.huggingface import JanusImageProcessor
    >>> JanusImageProcessor().unnormalize(np.zeros((3, 2, 2)), 0.5, 0.5)[:, 0, 0].tolist()
    [0.5, 0.5, 0.5]
    """
    # In this order, as the original does: `(image - (-mean / std)) / (1 / std)`.
    mean, std = np.asarray(image_mean, np.float64), np.asarray(image_std, np.float64)
    return normalize(image, -mean / std, 1 / std, input_data_format=input_data_format)


# -- sizes ---------------------------------------------------------------------------------------


@method("PPLCNetImageProcessor", "get_image_size")
def image_size_pplcnet(
    image: Any, target_short_edge: int, size_divisor: int | None = None
) -> SizeDict:
    """Return the size that an image is resized to (PP-LCNet).

    >>> image_size_pplcnet(np.zeros((3, 40, 52)), 256, 32)
    {'height': 256, 'width': 352}
    """
    rule = sizes.ShortestMultiple(target_short_edge, size_divisor or 1, "round")
    return _size_dict(rule.output_size(_size_of(image)))


@method("PPOCRV5ServerDetImageProcessor", "get_image_size")
def image_size_ocr(
    image: Any, limit_side_len: int, limit_type: str, max_side_limit: int
) -> tuple[SizeDict, np.ndarray]:
    """Return the size that an image is resized to, and its own, float32 (PP-OCR detection).

    >>> image_size_ocr(np.zeros((3, 40, 52)), 736, "max", 4000)[0]
    {'height': 32, 'width': 64}
    """
    rule = sizes.SideLimit(limit_side_len, limit_type, max_side_limit)  # type: ignore[arg-type]
    size = _size_of(image)
    return _size_dict(rule.output_size(size)), np.asarray(size, np.float32)


@method(_with_setting("max_image_width"), "get_target_size", settings=["config"])
def target_size(shape_list: Sequence[Size], *, config: HuggingFace) -> SizeDict:
    """Return the one size that all images of a call are resized to (PP-OCR recognition).

    Args:
        shape_list: height and width of every image.
        config: the processor's.

    >>> from jaxprep.huggingface import PPOCRV5ServerRecImageProcessor
    >>> PPOCRV5ServerRecImageProcessor().get_target_size([(30, 900), (20, 30)])
    {'height': 48, 'width': 1440}
    """
    settings = config.effective
    pair, longest = settings.pair("size"), settings.integer("max_image_width")
    listed = [(int(height), int(width)) for height, width in shape_list]
    return _size_dict(sizes.widest(listed, pair, longest))


@method("PromptDepthAnythingImageProcessor", "resize_with_aspect_ratio", settings=["resize"])
def resize_with_aspect_ratio(
    image: Any,
    size: Any,
    keep_aspect_ratio: bool = False,
    ensure_multiple_of: int = 1,
    resample: Any = None,
    *,
    resize: Callable[..., jax.Array],
) -> jax.Array:
    """Resize an image or a batch to about `size` (Prompt Depth Anything).

    Args:
        image: an image, or a batch of one size.
        size: height and width.
        keep_aspect_ratio: keep that of the image.
        ensure_multiple_of: both sides are multiples of it.
        resample: by default bicubic.
        resize: the processor's.

    >>> from jaxprep.huggingface import PromptDepthAnythingImageProcessor
    >>> processor = PromptDepthAnythingImageProcessor()
    >>> image, size = np.zeros((3, 20, 30), np.uint8), {"height": 28, "width": 28}
    >>> processor.resize_with_aspect_ratio(image, size, True, 14).shape
    (3, 14, 28)
    """
    return resize(
        image,
        size,
        3 if resample is None else resample,
        keep_aspect_ratio=keep_aspect_ratio,
        ensure_multiple_of=ensure_multiple_of,
    )


# -- labels --------------------------------------------------------------------------------------


@method(_with_setting("do_reduce_labels"), "reduce_label")
def reduce_label(labels: Any) -> Any:
    """Return every label less one; 0, the background, becomes 255, and 255 stays.

    Args:
        labels: a map, which gives a map, or a list of them, which gives a list. The caller's maps
            are not written to.

    >>> reduce_label([np.array([0, 1, 255], np.uint8)])[0].tolist()
    [255, 0, 255]
    """
    if isinstance(labels, (list, tuple)):
        return [reduce_label(one) for one in labels]
    reduced = reduce_labels(as_numpy(labels, "labels", IMAGES))
    return PerImage([reduced]).converted("jax", "labels")[0]


@method("SegGptImageProcessor", "get_palette")
def get_palette(num_labels: int) -> list[tuple[int, int, int]]:
    """Return the colours of the background and of `num_labels` classes (SegGPT).

    Raises:
        InputError: not a number of classes.

    >>> get_palette(2)[0]
    (0, 0, 0)
    """
    if type(num_labels) is not int or not 0 <= num_labels <= MAX_COLORS:
        raise InputError(
            f"Expected an integer from 0 to {MAX_COLORS}, got {num_labels!r:.80} - at `num_labels`."
        )
    return [tuple(color) for color in palette_of(num_labels).tolist()]


@method("SegGptImageProcessor", "mask_to_rgb")
def mask_to_rgb(mask: Any, palette: Sequence[Sequence[int]] | None = None) -> jax.Array:
    """Paint a class map `(h, w)` or `(1, h, w)`: `(3, h, w)` (SegGPT).

    Args:
        mask: classes.
        palette: a colour for each class; without it the classes themselves, three times.

    Raises:
        InputError: not one map, or a class without a colour.

    >>> mask_to_rgb(np.ones((1, 1), np.uint8), [(0, 0, 0), (7, 8, 9)])[:, 0, 0].tolist()
    [7, 8, 9]
    """
    numbers = as_numpy(mask, "mask", IMAGES)
    if numbers.ndim == 3 and len(numbers) == 1:
        numbers = numbers[0]
    if numbers.ndim != 2:
        raise InputError(f"Expected a map (h, w), got shape {numbers.shape} - at `mask`.")
    if palette is None:
        painted = np.repeat(numbers[None], 3, axis=0)
    else:
        colors = np.asarray(palette, np.uint8)
        if numbers.min() < 0 or numbers.max() >= len(colors):
            raise InputError(
                f"Expected classes below {len(colors)}, the colours of `palette`, got "
                f"{numbers.min()} to {numbers.max()} - at `mask`."
            )
        painted = np.moveaxis(colors[numbers.astype(np.int64)], -1, 0)
    return PerImage([painted]).converted("jax", "mask")[0]


# -- annotations ---------------------------------------------------------------------------------

TARGETS = _classes(lambda row: row.annotations is not None)


@method(TARGETS, "prepare_annotation", settings=["config"])
def prepare_annotation(
    image: Any,
    target: Any,
    format: Any = None,
    return_segmentation_masks: bool | None = None,
    masks_path: Any = None,
    input_data_format: Any = None,
    *,
    config: HuggingFace,
) -> BatchFeature:
    """Return a COCO annotation as a target, in the coordinates of the image as it came (DETR).

    Args:
        image: only its size counts.
        target: the annotation.
        format: "coco_detection" or "coco_panoptic", by default the setting's.
        return_segmentation_masks: draw masks; by default of panoptic annotations alone.
        masks_path: the directory of the PNG files of panoptic annotations.
        input_data_format: of the image, by default told by its channels.
        config: the processor's.

    Raises:
        InputError: the annotation is not of its form.

    >>> from jaxprep.huggingface import DetrImageProcessor
    >>> box = {"bbox": [4, 4, 8, 8], "category_id": 7, "area": 64, "iscrowd": 0}
    >>> annotation = {"image_id": 1, "annotations": [box]}
    >>> target = DetrImageProcessor().prepare_annotation(np.zeros((3, 16, 16)), annotation)
    >>> target["boxes"].tolist()
    [[4.0, 4.0, 12.0, 12.0]]
    """
    if format is not None:
        config = config.overridden({"format": getattr(format, "value", format)})
    layout = layout_named(input_data_format, "input_data_format")
    found = target_of(
        config, target, _size_of(image, layout), return_segmentation_masks, masks_path, "target"
    )
    return BatchFeature(found, "jax")


@method(TARGETS, "resize_annotation", settings=["config"])
def resize_annotation(
    annotation: Mapping[str, Any],
    orig_size: Size,
    target_size: Size,
    threshold: float = 0.5,
    resample: Any = 0,
    *,
    config: HuggingFace,
) -> BatchFeature:
    """Return a target of an image of `orig_size` that is resized to `target_size` (DETR).

    Args:
        annotation: what `prepare_annotation` returns.
        orig_size, target_size: height and width.
        threshold: has no effect, since masks are resized by nearest neighbour.
        resample: 0, nearest, alone.
        config: the processor's.

    >>> from jaxprep.huggingface import DetrImageProcessor
    >>> target = {"boxes": np.ones((1, 4), np.float32)}
    >>> DetrImageProcessor().resize_annotation(target, (8, 8), (4, 16))["boxes"].tolist()
    [[2.0, 0.5, 2.0, 0.5]]
    """
    del threshold
    if getattr(resample, "value", resample) not in (0, "nearest", "nearest-exact"):
        raise InputError(
            f"Expected 0, the nearest neighbour, for masks, got {resample!r} - at `resample`."
        )
    arrays = _target_arrays(annotation)
    size, out = _pair(orig_size), _pair(target_size)
    return BatchFeature(resized(arrays, size, out, nearest_of(config)), "jax")


@method(TARGETS, "normalize_annotation")
def normalize_annotation(annotation: Mapping[str, Any], image_size: Size) -> BatchFeature:
    """Return a target with its boxes as centre, width and height in shares of an image (DETR).

    Args:
        annotation: what `prepare_annotation` returns.
        image_size: height and width.

    >>> target = {"boxes": np.array([[1, 2, 3, 4]], np.float32)}
    >>> normalize_annotation(target, (8, 4))["boxes"].tolist()
    [[0.5, 0.375, 0.5, 0.25]]
    """
    arrays = _target_arrays(annotation)
    if "boxes" in arrays:
        arrays = relative(arrays, _pair(image_size))
    return BatchFeature(arrays, "jax")


def _target_arrays(annotation: Mapping[str, Any]) -> Target:
    return {key: np.asarray(value) for key, value in annotation.items()}


def _pair(size: Any) -> Size:
    height, width = size
    return int(height), int(width)


# -- what they share -----------------------------------------------------------------------------


def _reading(config: HuggingFace) -> Reading:
    return Reading(on_torch=config.backend == "torchvision")


def _apply(config: HuggingFace, step: Any, image: Any) -> jax.Array:
    pipeline = Pipeline((step,))
    return apply(lambda _: pipeline, image, _reading(config))


def _size_of(image: Any, layout: Any = None) -> Size:
    """Height and width of one image in any form; its values do not count."""
    if is_pil(image):
        return image.height, image.width
    shape = np.shape(image)
    if len(shape) == 2:
        return shape[0], shape[1]
    if len(shape) != 3:
        raise InputError(f"Expected one image, got shape {shape} - at `image`.")
    is_first = (layout or layout_of(shape, "image")) == "channels_first"
    return (shape[1], shape[2]) if is_first else (shape[0], shape[1])


def _size_dict(size: Size) -> SizeDict:
    return SizeDict(height=size[0], width=size[1])
