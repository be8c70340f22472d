"""Text detection by differentiable binarisation (Liao et al., 2020,
https://doi.org/10.1609/aaai.v34i07.6812): a map of probabilities to boxes, on the host.

Reproduces `models/pp_ocrv5_server_det/image_processing_pp_ocrv5_server_det.py` of Transformers,
which calls OpenCV; `jaxprep.postprocess.contours` computes OpenCV's numbers.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxprep.postprocess import contours
from jaxprep.postprocess.registry import DETECTION, method
from jaxprep.postprocess.results import (
    field,
    real_number,
    require_shape,
    required_box_sizes,
    to_jax,
    whole_number,
)

PARALLEL = 1e-6
"""Sides whose directions have so small a cross product do not meet."""


@method("PPOCRV5ServerDetImageProcessor", DETECTION)
def ocr_text_detection(
    predictions: Any,
    threshold: float = 0.3,
    target_sizes: Any = None,
    box_threshold: float = 0.6,
    max_candidates: int = 1000,
    min_size: float = 3,
    unclip_ratio: float = 1.5,
) -> list[dict[str, jax.Array]]:
    """Returns the boxes of text of PP-OCR's detection models.

    Args:
        predictions: with `last_hidden_state` `(b, 1, h, w)`, probabilities.
        threshold: above it a pixel is text.
        target_sizes: (height, width) of each image; scaled in float32 if they are floats, as the
            processor returns them, otherwise in float64.
        box_threshold: the least mean probability of a box.
        max_candidates: how many outlines to look at.
        min_size: the least side of a box, in pixels of the map.
        unclip_ratio: a box grows by its area times this, divided by its circumference.

    Returns:
        per image `boxes`, int16 `(n, 4, 2)`, the corners (x, y) clockwise from the top left,
        `scores` and `labels`, 0.

    Raises:
        InputError: no target sizes, or not as many as maps; maps of another rank; a setting that is
            no number.

    >>> probability = np.zeros((1, 1, 32, 64), np.float32)
    >>> probability[0, 0, 8:20, 10:50] = 0.9
    >>> predictions = {"last_hidden_state": probability}
    >>> (result,) = ocr_text_detection(predictions, target_sizes=[(32, 64)])
    >>> result["boxes"].tolist()
    [[[4, 2], [55, 2], [55, 25], [4, 25]]]
    """
    probabilities = field(predictions, "last_hidden_state")
    require_shape("last_hidden_state", probabilities, (*probabilities.shape[:1], None, None, None))
    maps = np.asarray(probabilities)
    threshold = real_number(threshold, "threshold")
    box_threshold = real_number(box_threshold, "box_threshold")
    max_candidates = whole_number(max_candidates, "max_candidates")
    min_size = real_number(min_size, "min_size")
    unclip_ratio = real_number(unclip_ratio, "unclip_ratio")
    image_sizes = required_box_sizes(target_sizes, len(maps))
    # The quotients of Python's or of torch's numbers: a corner may round to another pixel.
    is_float = np.asarray(target_sizes).dtype.kind == "f"
    dtype = np.float32 if is_float else np.float64
    results = []
    for probability, size in zip(maps[:, 0], image_sizes, strict=True):
        boxes = []
        scores = []
        outlines = contours.find_contours(probability > threshold)
        for outline in outlines[:max_candidates]:
            box, shorter_side = _upright(outline)
            # A line of pixels has a box without area, which cannot grow.
            if shorter_side < max(min_size, 1e-9):
                continue
            score = _mean_probability(probability, box)
            if score < box_threshold:
                continue
            with np.errstate(over="ignore", invalid="ignore"):
                grown = _grown(box, unclip_ratio)
            # To OpenCV the box around infinities has no area.
            if not np.isfinite(grown).all():
                continue
            box, shorter_side = _upright(grown)
            # The bound is larger after growing: as in `_boxes_from_bitmap`.
            if shorter_side < min_size + 2:
                continue
            boxes.append(_scaled(box, probability.shape, size, dtype))
            scores.append(score)
        result = {
            "scores": np.array(scores, np.float32),
            "labels": np.zeros(len(scores), np.int32),
            "boxes": np.array(boxes, np.int16).reshape(-1, 4, 2),
        }
        results.append(to_jax(result))
    return results


def _upright(points: np.ndarray) -> tuple[Float[np.ndarray, "4 2"], float]:
    """The smallest box around points, its corners clockwise from the top left, and its shorter side
    (`_get_mini_boxes`).
    """
    box = contours.min_area_rect(points)
    # From left to right; then each pair from top to bottom.
    corners = sorted(contours.box_points(box), key=lambda corner: corner[0])
    top_left, bottom_left, top_right, bottom_right = corners
    if bottom_left[1] <= top_left[1]:
        top_left, bottom_left = bottom_left, top_left
    if bottom_right[1] <= top_right[1]:
        top_right, bottom_right = bottom_right, top_right
    upright = np.array([top_left, top_right, bottom_right, bottom_left])
    return upright, float(min(box.size))


def _mean_probability(
    probability: Float[np.ndarray, "h w"],
    box: Float[np.ndarray, "4 2"],
) -> float:
    """The mean probability of the pixels in a box (`_get_box_score`)."""
    height, width = probability.shape
    x, y = box.T
    left, right = _clipped_extent(x, width)
    top, bottom = _clipped_extent(y, height)
    window = probability[top : bottom + 1, left : right + 1]
    corner = np.array([left, top], np.float32)
    corners = (box - corner).astype(np.int32)
    mask = contours.fill_polygon(corners, *window.shape)
    inside = window[mask]
    if not len(inside):
        return 0.0
    # `cv2.mean` multiplies a float64 sum by the reciprocal of the count.
    reciprocal = 1 / len(inside)
    return float(inside.sum(dtype=np.float64) * reciprocal)


def _clipped_extent(positions: np.ndarray, length: int) -> tuple[int, int]:
    """The first and the last pixel of positions on an axis of `length`."""
    first = math.floor(positions.min())
    last = math.ceil(positions.max())
    return int(_clip(first, length - 1)), int(_clip(last, length - 1))


def _clip(position: int, largest: float) -> float:
    return max(0, min(position, largest))


def _grown(
    box: Float[np.ndarray, "4 2"],
    ratio: float,
) -> Float[np.ndarray, "4 2"]:
    """A box whose sides are moved outwards (`_unclip`)."""
    area = contours.contour_area(box)
    distance = area * ratio / contours.arc_length(box)
    x, y = box[:, 0], box[:, 1]
    signed_area = x @ np.roll(y, -1) - y @ np.roll(x, -1)
    outwards = 1 if signed_area > 0 else -1
    sides = np.roll(box, -1, 0) - box
    lengths = np.linalg.norm(sides, axis=1, keepdims=True)
    direction = sides / np.maximum(lengths, 1e-6)
    normals = np.stack([direction[:, 1], -direction[:, 0]], 1) * outwards
    moved = box + distance * normals
    # Each corner is where its moved side meets the moved side before it.
    before = np.roll(moved, 1, 0)
    direction_before = np.roll(direction, 1, 0)
    cross = _cross(direction_before, direction)
    is_parallel = np.abs(cross) < PARALLEL
    divisor = np.where(is_parallel, 1.0, cross)
    along = _cross(moved - before, direction) / divisor
    corners = before + direction_before * along[:, None]
    mean_normals = np.roll(normals, 1, 0) + normals
    moved_corners = box + 0.5 * distance * mean_normals
    corners[is_parallel] = moved_corners[is_parallel]
    return corners.astype(np.float32)


def _cross(
    a: Float[np.ndarray, "n 2"],
    b: Float[np.ndarray, "n 2"],
) -> Float[np.ndarray, " n"]:
    ax, ay = a.T
    bx, by = b.T
    return ax * by - ay * bx


def _scaled(
    box: Float[np.ndarray, "4 2"],
    shape: tuple[int, ...],
    size: tuple[float, float],
    dtype: Any,
) -> list[list[float]]:
    """Corners in pixels of the image, rounded half to even, inside it."""
    height, width = size
    # Python rounds half to even, like NumPy.
    scale_y = dtype(height) / dtype(shape[0])
    scale_x = dtype(width) / dtype(shape[1])
    corners = []
    for x, y in box:
        column = round(x * scale_x)
        row = round(y * scale_y)
        corners.append([_clip(column, width), _clip(row, height)])
    return corners
