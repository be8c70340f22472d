"""Sapiens2: whole images with their maps, or the crops of boxes, with heatmaps of keypoints."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.huggingface.families import Call, Results, read, run, traced
from jaxprep.huggingface.inputs import Image
from jaxprep.huggingface.segmentation import (
    config_of_maps,
    paired_maps,
    planes,
    reduced,
    singles,
    with_maps,
    with_maps_traced,
)
from jaxprep.ops.sample import sample_box, window_of
from jaxprep.types import Size, is_traced


def people(call: Call) -> Results:
    """The images and their `labels`; with `boxes`, a crop for each box, and with `keypoints` the
    labels of pose.
    """
    config = call.config
    assert isinstance(config, HuggingFace)
    given = call.inputs
    _check(given)
    if given.get("boxes") is None:
        return with_maps(call)
    images = read(call)
    boxes = boxes_of(given["boxes"], len(images))
    results: Results = {"pixel_values": run(_uncropped(config), crops(images, boxes, config))}
    if given.get("segmentation_maps") is not None:
        maps = paired_maps(given["segmentation_maps"], len(images), "segmentation_maps")
        results["labels"] = labels_of(config, maps, boxes)
    if given.get("keypoints") is not None:
        results |= poses(config, boxes, given["keypoints"])
    return results


def people_traced(call: Call) -> Results:
    """The same inside a caller's transformation; boxes are known outside of it, and keypoints
    belong there.
    """
    config = call.config
    assert isinstance(config, HuggingFace)
    _check(call.inputs)
    if call.inputs.get("boxes") is None:
        return with_maps_traced(call)
    if (
        is_traced({**call.inputs, "segmentation_maps": None})
        or call.inputs.get("segmentation_maps") is not None
    ):
        raise InputError(
            "Expected images alone to be traced where there are `boxes`, which say what is computed."
        )
    images = singles(call.images, call.layout)
    boxes = boxes_of(call.inputs["boxes"], len(images))
    found = [
        sample_box(image, box, _size(config))
        for image, own in zip(images, boxes, strict=True)
        for box in own
    ]
    results: Results = {"pixel_values": traced(_uncropped(config), found, "channels_last")}
    if call.inputs.get("keypoints") is not None:
        results |= poses(config, boxes, call.inputs["keypoints"])
    return results


def _check(given: dict[str, Any]) -> None:
    if given.get("keypoints") is not None:
        if given.get("segmentation_maps") is not None:
            raise InputError(
                "Expected either `segmentation_maps` or `keypoints`, since both become `labels`, got both."
            )
        if given.get("boxes") is None:
            raise InputError("Expected `boxes` beside `keypoints`: heatmaps are of their crops.")


def _size(config: HuggingFace) -> Size:
    return config.effective.pair("size")


def _uncropped(config: HuggingFace) -> HuggingFace:
    """The config for what has its size already."""
    return config.overridden({"do_resize": False, "do_convert_rgb": False})


def boxes_of(value: Any, count: int) -> list[np.ndarray]:
    """For each image its boxes `(n, 4)`, float32: left, top, width, height.

    Raises:
        InputError: other shapes, other numbers of them, or values that are not finite.
    """
    found = []
    for i, own in enumerate(
        _as_many(value, count, f"a list of boxes for each of {count} images", "boxes")
    ):
        boxes = _numbers(own)
        boxes = boxes.reshape(-1, 4) if boxes.size % 4 == 0 else np.zeros((0, 0))
        if boxes.shape[1] != 4 or not np.isfinite(boxes).all() or (boxes[:, 2:] < 0).any():
            raise InputError(
                f"Expected boxes [left, top, width, height] in pixels, got {own!r:.80} - at `boxes[{i}]`."
            )
        found.append(boxes)
    return found


def _as_many(value: Any, count: int, what: str, where: str) -> Any:
    """A sequence, held to its length."""
    found = len(value) if hasattr(value, "__len__") else f"`{type(value).__name__}`"
    if found != count:
        raise InputError(f"Expected {what}, got {found} - at `{where}`.")
    return value


def _numbers(value: Any) -> np.ndarray:
    """As float32; one NaN for what are no numbers."""
    try:
        return np.asarray(value, np.float32)
    except (TypeError, ValueError):
        return np.full((1,), np.nan, np.float32)


def crops(
    images: list[Image], boxes: list[np.ndarray], config: HuggingFace, method: str | None = None
) -> list[Image]:
    """A float image for each box of each image."""
    size = _size(config)
    found = [
        Image(np.asarray(sample_box(image.pixels, box, size, method=method)), "float")
        for image, own in zip(images, boxes, strict=True)
        for box in own
    ]
    if not found:
        raise InputError("Expected at least one box - at `boxes`.")
    return found


def labels_of(config: HuggingFace, maps: list[Image], boxes: list[np.ndarray]) -> list[np.ndarray]:
    """The crops of maps, int64, by nearest neighbour; 0 outside, which is reduced like any other
    label.

    Transformers mixes labels and truncates what comes of it, so that most of an area of 5 may
    become 4.
    """
    found = crops(maps, boxes, config, "nearest")
    if config.effective.flag("do_reduce_labels"):
        found = [image._replace(pixels=reduced(image.pixels)) for image in found]
    return [one.astype(np.int64) for one in planes(run(_uncropped(config_of_maps(config)), found))]


# -- pose --------------------------------------------------------------------------------------------------------------


def poses(config: HuggingFace, boxes: list[np.ndarray], keypoints: Any) -> Results:
    """`labels`, heatmaps `(k, h, w)` of each person, and `label_weights` `(k,)`."""
    heatmaps, weights = [], []
    wanted = f"keypoints for each of {len(boxes)} images"
    for i, (own, given) in enumerate(
        zip(boxes, _as_many(keypoints, len(boxes), wanted, "keypoints"), strict=True)
    ):
        people = _as_many(given, len(own), f"keypoints for {len(own)} boxes", f"keypoints[{i}]")
        for j, (box, points) in enumerate(zip(own, people, strict=True)):
            drawn, weight = drawn_pose(config, box, _points(points, f"keypoints[{i}][{j}]"))
            heatmaps.append(drawn)
            weights.append(weight)
    return {"labels": heatmaps, "label_weights": weights}


def _points(value: Any, where: str) -> np.ndarray:
    points = _numbers(value)
    points = points.reshape(0, 3) if points.size == 0 else points
    if points.ndim != 2 or points.shape[1] not in (2, 3) or not np.isfinite(points).all():
        raise InputError(
            f"Expected keypoints [x, y] or [x, y, visibility], got shape {points.shape} - at `{where}`."
        )
    return points


def drawn_pose(
    config: HuggingFace, box: np.ndarray, points: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gaussians around keypoints `(k, 2 or 3)` of one person, cut off at three sigma, and the
    weights 0 or 1.

    A keypoint weighs nothing that is not visible, or whose square lies outside the heatmap.
    """
    settings, size = config.effective, _size(config)
    factor = settings.integer("keypoint_heatmap_downscale_factor")
    sigma = settings.number("keypoint_heatmap_sigma", 1e-3, 1e6)
    height, width = size[0] // factor, size[1] // factor
    window = window_of(box, size)
    middle, sides = np.asarray(window[:2], np.float32), np.asarray(window[2:], np.float32)
    at = ((points[:, :2] - middle) / sides + np.float32(0.5)) * np.asarray(
        [width - 1, height - 1], np.float32
    )
    visible = points[:, 2] > 0 if points.shape[1] > 2 else np.ones(len(points), bool)
    corner = (at + np.float32(0.5)).astype(np.int64) - int(sigma * 3)
    end = corner + 2 * int(sigma * 3) + 1
    weight = (visible & (corner < (width, height)).all(1) & (end >= 0).all(1)).astype(np.float32)
    (x, inside_x), (y, inside_y) = (
        (
            np.square(np.arange(n, dtype=np.float32) - at[:, i, None]),
            _inside(n, corner[:, i], end[:, i]),
        )
        for i, n in enumerate((width, height))
    )
    drawn = np.exp(-(x[:, None, :] + y[:, :, None]) / np.float32(2 * sigma**2))
    inside = inside_x[:, None, :] & inside_y[:, :, None]
    return (drawn * weight[:, None, None] * inside).astype(np.float32), weight


def _inside(n: int, first: np.ndarray, end: np.ndarray) -> np.ndarray:
    places = np.arange(n)
    return (places >= first[:, None]) & (places < end[:, None])
