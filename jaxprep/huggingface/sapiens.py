"""Sapiens2: images with their maps, or the crops of boxes of people, with heatmaps of keypoints.

The arithmetic is that of
https://github.com/huggingface/transformers/blob/main/src/transformers/models/sapiens2/image_processing_sapiens2.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Float32

from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.huggingface.call import Call, Family, Results, read, run
from jaxprep.huggingface.images import Image, one_by_one
from jaxprep.huggingface.segmentation import (
    config_of_maps,
    first_channels,
    paired_maps,
    reduce_labels,
    with_maps,
)
from jaxprep.ops.sample import sample_box, window_of
from jaxprep.types import Size, is_traced


def people(call: Call) -> Results:
    """Return the images and their `labels`; with `boxes`, a crop for each box, and with `keypoints`
    the labels of a pose.

    Inside a caller's transformation boxes and keypoints are known: they say what is computed.

    >>> from jaxprep.huggingface import Sapiens2ImageProcessor
    >>> processor = Sapiens2ImageProcessor(size={"height": 8, "width": 6})
    >>> image = np.zeros((32, 32, 3), np.uint8)
    >>> processor(image, boxes=[[[4, 4, 12, 16]]]).pixel_values.shape
    (1, 3, 8, 6)
    """
    _check(call)
    boxes = call.inputs.get("boxes")
    if boxes is None:
        return with_maps(call)
    images = one_by_one(read(call))
    boxes = boxes_of(boxes, len(images))
    cropped = crops(call, images, boxes)
    uncropped = call._replace(config=_uncropped(call.config))
    results: Results = {"pixel_values": run(uncropped, cropped)}
    maps = call.inputs.get("segmentation_maps")
    if maps is not None:
        maps = paired_maps(call, maps, len(images), "segmentation_maps")
        results["labels"] = labels_of_crops(call, maps, boxes)
    keypoints = call.inputs.get("keypoints")
    if keypoints is not None:
        results |= poses(call.config, boxes, keypoints)
    return results


SAPIENS = Family(people, ("segmentation_maps", "boxes", "keypoints"))


def _check(call: Call) -> None:
    given = {name for name, value in call.inputs.items() if value is not None}
    if {"keypoints", "segmentation_maps"} <= given:
        raise InputError(
            "Expected either `segmentation_maps` or `keypoints`, since both become `labels`, got "
            "both."
        )
    if "keypoints" in given and "boxes" not in given:
        raise InputError("Expected `boxes` beside `keypoints`: heatmaps are of their crops.")
    if not call.is_traced or "boxes" not in given:
        return
    others = {**call.inputs, "segmentation_maps": None}
    if "segmentation_maps" in given or is_traced(others):
        raise InputError(
            "Expected images alone to be traced where there are `boxes`, which say what is "
            "computed."
        )


def _crop_size(config: HuggingFace) -> Size:
    return config.effective.pair("size")


def _uncropped(config: HuggingFace) -> HuggingFace:
    """The config for crops, which have their size already."""
    return config.overridden({"do_resize": False, "do_convert_rgb": False})


def boxes_of(value: Any, count: int, dtype: Any = np.float32) -> list[Float[np.ndarray, "n 4"]]:
    """For each of `count` images its boxes: left, top, width, height, in pixels.

    Args:
        dtype: of the result; None keeps that of arrays and gives float64 for lists.

    Raises:
        InputError: other shapes, other numbers of them, or values that are not finite.

    >>> boxes_of([[[0, 0, 4, 8]]], 1)[0].tolist()
    [[0.0, 0.0, 4.0, 8.0]]
    """
    boxes_of_images = []
    wanted = f"a list of boxes for each of {count} images"
    for i, given in enumerate(_of_length(value, count, wanted, "boxes")):
        numbers = _numbers(given, dtype)
        if not _are_boxes(numbers):
            raise InputError(
                f"Expected boxes [left, top, width, height] in pixels, got {given!r:.80} - at "
                f"`boxes[{i}]`."
            )
        boxes_of_images.append(numbers.reshape(-1, 4))
    return boxes_of_images


def _are_boxes(numbers: np.ndarray) -> bool:
    """Whether the numbers are finite, four for each box, and no width or height is negative."""
    if numbers.size % 4 or not np.isfinite(numbers).all():
        return False
    sizes = numbers.reshape(-1, 4)[:, 2:]
    return bool((sizes >= 0).all())


def _of_length(
    value: Any,
    length: int,
    wanted: str,
    where: str,
) -> Any:
    """A sequence, whose length is checked."""
    got = len(value) if hasattr(value, "__len__") else f"`{type(value).__name__}`"
    if got != length:
        raise InputError(f"Expected {wanted}, got {got} - at `{where}`.")
    return value


def _numbers(value: Any, dtype: Any = np.float32) -> np.ndarray:
    """As an array of floats; one NaN for what are no numbers."""
    try:
        if dtype is None and getattr(value, "dtype", None) != np.float32:
            dtype = np.float64
        return np.asarray(value, dtype)
    except (TypeError, ValueError):
        # NaN fails the check of the caller, whose message says what it wants.
        return np.full((1,), np.nan, np.float32)


def crops(
    call: Call,
    images: Sequence[Image],
    boxes: Sequence[np.ndarray],
    method: str | None = None,
) -> list[Image]:
    """Return a float image for each box of each image.

    >>> config = HuggingFace("Sapiens2ImageProcessor", {"size": {"height": 8, "width": 6}})
    >>> image = Image(np.zeros((32, 32, 3), np.uint8))
    >>> boxes = [np.array([[4, 4, 12, 16]], np.float32)]
    >>> crops(Call(None, {}, config), [image], boxes)[0].pixels.shape
    (8, 6, 3)
    """
    size = _crop_size(call.config)
    cropped = []
    for image, boxes_of_image in zip(images, boxes, strict=True):
        for box in boxes_of_image:
            pixels = sample_box(image.pixels, box, size, method=method)
            if not call.is_traced:
                pixels = np.asarray(pixels)
            cropped.append(Image(pixels, "float"))
    if not cropped:
        raise InputError("Expected at least one box - at `boxes`.")
    return cropped


def labels_of_crops(
    call: Call,
    maps: Sequence[Image],
    boxes: Sequence[np.ndarray],
) -> list[np.ndarray]:
    """Return the crops of maps, int64, by nearest neighbour; 0 outside, which is reduced like any
    other label.

    Transformers interpolates labels and truncates the result, so that most of an area of 5 may
    become 4; jaxprep does not reproduce that (`docs/differences.md`).

    >>> config = HuggingFace("Sapiens2ImageProcessor", {"size": {"height": 8, "width": 6}})
    >>> labels = Image(np.ones((32, 32, 1), np.uint8))
    >>> boxes = [np.array([[4, 4, 12, 16]], np.float32)]
    >>> labels_of_crops(Call(None, {}, config), [labels], boxes)[0].shape
    (8, 6)
    """
    cropped = crops(call, maps, boxes, "nearest")
    if call.config.effective.flag("do_reduce_labels"):
        reduced = [reduce_labels(image.pixels) for image in cropped]
        cropped = [Image(pixels, "float") for pixels in reduced]
    config = _uncropped(config_of_maps(call.config))
    labels = run(call._replace(config=config), cropped)
    return [label.astype(np.int64) for label in first_channels(labels)]


# -- pose ----------------------------------------------------------------------------------------


def poses(config: HuggingFace, boxes: Sequence[np.ndarray], keypoints: Any) -> Results:
    """Return `labels`, heatmaps `(k, h, w)` of each person, and `label_weights` `(k,)`.

    >>> config = HuggingFace("Sapiens2ImageProcessor", {"size": {"height": 64, "width": 48}})
    >>> boxes = [np.array([[4, 4, 12, 16]], np.float32)]
    >>> poses(config, boxes, [[[[10, 12, 1]]]])["labels"][0].shape
    (1, 16, 12)
    """
    heatmaps = []
    weights = []
    wanted = f"keypoints for each of {len(boxes)} images"
    of_images = _of_length(keypoints, len(boxes), wanted, "keypoints")
    for i, boxes_of_image in enumerate(boxes):
        count = len(boxes_of_image)
        where = f"keypoints[{i}]"
        of_boxes = _of_length(of_images[i], count, f"keypoints for {count} boxes", where)
        for j, box in enumerate(boxes_of_image):
            points = _points(of_boxes[j], f"{where}[{j}]")
            heatmap, weight = draw_heatmaps(config, box, points)
            heatmaps.append(heatmap)
            weights.append(weight)
    return {"labels": heatmaps, "label_weights": weights}


def _points(value: Any, where: str) -> np.ndarray:
    points = _numbers(value)
    if points.size == 0:
        points = points.reshape(0, 3)
    is_table = points.ndim == 2 and points.shape[1] in (2, 3)
    if not is_table or not np.isfinite(points).all():
        raise InputError(
            f"Expected keypoints [x, y] or [x, y, visibility], got shape {points.shape} - at "
            f"`{where}`."
        )
    return points


def draw_heatmaps(
    config: HuggingFace,
    box: Float32[np.ndarray, 4],
    points: Float32[np.ndarray, "k c"],
) -> tuple[Float32[np.ndarray, "k h w"], Float32[np.ndarray, " k"]]:
    """Draw a Gaussian around each keypoint of one person, cut off at three sigma, and its weight
    0 or 1: `generate_udp_gaussian_heatmaps`.

    A keypoint that is not visible, or whose square lies outside the heatmap, weighs 0.

    Args:
        points: x, y and maybe visibility.

    >>> config = HuggingFace("Sapiens2ImageProcessor", {"size": {"height": 64, "width": 48}})
    >>> box = np.array([4, 4, 12, 16], np.float32)
    >>> points = np.full((1, 3), 8, np.float32)
    >>> draw_heatmaps(config, box, points)[1].tolist()
    [1.0]
    """
    settings = config.effective
    factor = settings.integer("keypoint_heatmap_downscale_factor")
    sigma = settings.number("keypoint_heatmap_sigma", 1e-3, 1e6)
    radius = int(sigma * 3)
    size = _crop_size(config)
    crop_height, crop_width = size
    height = crop_height // factor
    width = crop_width // factor
    # UDP: pixel centres, so that the last column of the crop is the last of the heatmap
    # (https://arxiv.org/abs/1911.07524).
    window = window_of(box, size)
    centers = _on_heatmap(points[:, :2], window, (height, width))
    visible = np.ones(len(points), bool)
    if points.shape[1] > 2:
        visible = points[:, 2] > 0
    # The cast truncates towards zero.
    starts = (centers + np.float32(0.5)).astype(np.int64) - radius
    ends = starts + 2 * radius + 1
    starts_inside = (starts < (width, height)).all(1)
    ends_inside = (ends >= 0).all(1)
    weight = (visible & starts_inside & ends_inside).astype(np.float32)
    x_center, y_center = centers.T
    left, top = starts.T
    right, bottom = ends.T
    x, in_columns = _along_axis(width, x_center, left, right)
    y, in_rows = _along_axis(height, y_center, top, bottom)
    squares = x[:, None, :] + y[:, :, None]
    is_inside = in_columns[:, None, :] & in_rows[:, :, None]
    variance = sigma**2
    drawn = np.exp(-squares / np.float32(2 * variance))
    heatmaps = drawn * weight[:, None, None] * is_inside
    return heatmaps.astype(np.float32), weight


def _along_axis(
    length: int,
    centers: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances `(k, length)` from the centres, and what lies between starts and ends."""
    positions = np.arange(length)
    distances = positions.astype(np.float32) - centers[:, None]
    after_start = positions >= starts[:, None]
    before_end = positions < ends[:, None]
    return np.square(distances), after_start & before_end


def _on_heatmap(
    points: np.ndarray,
    window: Sequence[Any],
    size: Size,
) -> np.ndarray:
    """Positions `(x, y)` in an image as positions on the heatmap of a window of it."""
    middle = np.asarray(window[:2], np.float32)
    sides = np.asarray(window[2:], np.float32)
    height, width = size
    last = np.asarray([width - 1, height - 1], np.float32)
    shares = (points - middle) / sides + np.float32(0.5)
    return shares * last
