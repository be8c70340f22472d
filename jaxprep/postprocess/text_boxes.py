"""Text detection by differentiable binarisation (Liao et al., 2020): a map of probabilities to
boxes, on the host.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.postprocess import contours
from jaxprep.postprocess.results import field, sizes
from jaxprep.types import Size

PARALLEL = 1e-6
"""Sides whose directions have so small a cross product meet nowhere."""


def text_detection(
    predictions: Any,
    threshold: float = 0.3,
    target_sizes: Any = None,
    box_threshold: float = 0.6,
    max_candidates: int = 1000,
    min_size: int = 3,
    unclip_ratio: float = 1.5,
) -> list[dict[str, jax.Array]]:
    """Boxes of text: PP-OCR's detection, with the numbers of Transformers on OpenCV.

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
        InputError: no target sizes, or not as many as maps.
    """
    maps = np.asarray(field(predictions, "last_hidden_state"))
    if target_sizes is None:
        raise InputError("Expected `target_sizes`, a height and a width for each image, got None.")
    wanted = sizes(target_sizes, len(maps)) or []
    number = np.float32 if np.asarray(target_sizes).dtype.kind == "f" else np.float64
    results = []
    for probability, size in zip(maps[:, 0], wanted, strict=True):
        found = []
        for outline in contours.find_contours(probability > threshold)[:max_candidates]:
            box, short = _upright(outline)
            score = _score(probability, box) if short >= min_size else 0.0
            if short < max(min_size, 1e-9) or box_threshold > score:
                continue
            box, short = _upright(_grown(box, unclip_ratio))
            if short >= min_size + 2:
                found.append((_scaled(box, probability.shape, size, number), score))
        boxes = np.array([box for box, _ in found], np.int16).reshape(-1, 4, 2)
        scores = np.array([score for _, score in found], np.float32)
        results.append(
            {
                "scores": jnp.asarray(scores),
                "labels": jnp.zeros(len(found), jnp.int32),
                "boxes": jnp.asarray(boxes),
            }
        )
    return results


def _upright(points: np.ndarray) -> tuple[np.ndarray, float]:
    """The smallest box round points, its corners clockwise from the top left, and its shorter
    side.
    """
    box = contours.min_area_rect(points)
    corners = sorted(contours.box_points(box), key=lambda corner: corner[0])
    left = corners[:2] if corners[1][1] > corners[0][1] else corners[1::-1]
    right = corners[2:] if corners[3][1] > corners[2][1] else corners[:1:-1]
    return np.array([left[0], right[0], right[1], left[1]]), float(min(box.size))


def _score(probability: np.ndarray, box: np.ndarray) -> float:
    """The mean probability inside a box."""
    height, width = probability.shape
    low = [max(0, min(math.floor(box[:, k].min()), n - 1)) for k, n in ((0, width), (1, height))]
    high = [max(0, min(math.ceil(box[:, k].max()), n - 1)) for k, n in ((0, width), (1, height))]
    corners = (box - np.array(low, np.float32)).astype(np.int32)
    mask = contours.fill_polygon(corners, high[1] - low[1] + 1, high[0] - low[0] + 1)
    inside = probability[low[1] : high[1] + 1, low[0] : high[0] + 1][mask]
    return float(inside.sum(dtype=np.float64) * (1 / len(inside))) if len(inside) else 0.0


def _grown(box: np.ndarray, ratio: float) -> np.ndarray:
    """A box whose sides are moved outwards."""
    offset = contours.contour_area(box) * ratio / contours.arc_length(box)
    x, y = box[:, 0], box[:, 1]
    outwards = 1 if (x @ np.roll(y, -1) - y @ np.roll(x, -1)) > 0 else -1
    sides = np.roll(box, -1, 0) - box
    way = sides / np.maximum(np.linalg.norm(sides, axis=1, keepdims=True), 1e-6)
    normals = np.stack([way[:, 1], -way[:, 0]], 1) * outwards
    moved = box + offset * normals
    before, way_before = np.roll(moved, 1, 0), np.roll(way, 1, 0)
    cross = way_before[:, 0] * way[:, 1] - way_before[:, 1] * way[:, 0]
    is_parallel = np.abs(cross) < PARALLEL
    to = moved - before
    along = (to[:, 0] * way[:, 1] - to[:, 1] * way[:, 0]) / np.where(is_parallel, 1.0, cross)
    corners = before + way_before * along[:, None]
    corners[is_parallel] = (box + 0.5 * offset * (np.roll(normals, 1, 0) + normals))[is_parallel]
    return corners.astype(np.float32)


def _scaled(box: np.ndarray, shape: tuple[int, ...], size: Size, number: Any) -> list[list[int]]:
    """Corners in pixels of the image, rounded half to even, inside it."""
    height, width = size
    scale_y, scale_x = (number(n) / number(m) for n, m in zip(size, shape, strict=True))
    return [
        [max(0, min(round(x * scale_x), width)), max(0, min(round(y * scale_y), height))]
        for x, y in box
    ]
