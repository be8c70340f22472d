"""Boxes: corners, scaling, overlap, non-maximum suppression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Float, Int, Shaped

from jaxprep.postprocess.resize_plan import bucket
from jaxprep.types import Array

SMALLEST_COUNT = 8
"""Boxes on the host are padded to at least so many, so that small counts share one program."""


def center_to_corners(boxes: Float[Array, "*n 4"]) -> Float[jax.Array, "*n 4"]:
    """Converts boxes from (centre x, centre y, width, height) to (left, top, right, bottom).

    Reproduces `center_to_corners_format` of `src/transformers/image_transforms.py`.

    >>> center_to_corners(np.float32([4, 3, 2, 6])).tolist()
    [3.0, 0.0, 5.0, 6.0]
    """
    center = boxes[..., :2]
    # 0.5 times the side, not the side divided by 2 or subtracted from an edge: the rounding is
    # torch's then.
    half = 0.5 * boxes[..., 2:]
    return jnp.concatenate([center - half, center + half], -1)


def scales(
    sizes: Sequence[tuple[float, float]] | None,
    count: int,
    square: bool = False,
) -> Float[np.ndarray, "b 4"]:
    """Returns what relative corners are multiplied by to be pixels: (width, height, width, height)
    of each image.

    Args:
        sizes: (height, width) of each image; None leaves boxes relative: all ones.
        count: the number of images.
        square: images were padded to squares, so that both axes are relative to the longer side
            (`_scale_boxes` in `models/owlv2/image_processing_owlv2.py` of Transformers).

    >>> scales([(4, 6)], 1).tolist(), scales([(4, 6)], 1, square=True).tolist()
    ([[6.0, 4.0, 6.0, 4.0]], [[6.0, 6.0, 6.0, 6.0]])
    """
    if sizes is None:
        return np.ones((count, 4), np.float32)
    rows = []
    for height, width in sizes:
        if square:
            height = width = max(height, width)
        rows.append((width, height, width, height))
    return np.asarray(rows, np.float32).reshape(count, 4)


def area(boxes: Shaped[Array, "*n 4"]) -> Shaped[Array, "*n"]:
    """Returns width times height of boxes given by their corners.

    >>> area(np.float32([[1, 1, 3, 4]])).tolist()
    [6.0]
    """
    width = boxes[..., 2] - boxes[..., 0]
    height = boxes[..., 3] - boxes[..., 1]
    return width * height


def overlap(
    first: Float[Array, "n 4"],
    second: Float[Array, "m 4"],
) -> Float[jax.Array, "n m"]:
    """Returns the intersection over union of all pairs of boxes; NaN for two empty boxes in one
    place.

    Reproduces `torchvision.ops.box_iou`.

    >>> jax.jit(overlap)(np.float32([[0, 0, 2, 2]]), np.float32([[1, 0, 2, 2]])).tolist()
    [[0.5]]
    """
    first = first[:, None]
    second = second[None]
    top_left = jnp.maximum(first[..., :2], second[..., :2])
    bottom_right = jnp.minimum(first[..., 2:], second[..., 2:])
    # Boxes that do not meet have a negative side: two of them would have a positive product.
    sides = jnp.maximum(bottom_right - top_left, 0)
    intersection = sides.prod(-1)
    union = area(first) + area(second) - intersection
    return intersection / union


def suppress(
    boxes: Float[Array, "n 4"],
    scores: Float[Array, " n"],
    valid: Bool[Array, " n"],
    bound: Any,
    groups: Int[Array, " n"] | None = None,
) -> tuple[Int[jax.Array, " n"], Bool[jax.Array, " n"]]:
    """Suppresses boxes that overlap a box with a higher score: greedy non-maximum suppression.

    Keeps what `torchvision.ops.nms` keeps, and with `groups` what `batched_nms` does.

    Args:
        boxes: corners.
        scores: of equal ones the first comes first.
        valid: the boxes that take part.
        bound: the overlap above which the weaker of two boxes goes.
        groups: boxes of different groups do not suppress each other; None: all are of one.

    Returns:
        the indices of the boxes by falling score, those that take part first; and whether each of
        these is kept.

    >>> boxes = np.float32([[0, 0, 2, 2], [0, 0, 2, 2], [5, 5, 6, 6]])
    >>> scores = np.float32([0.5, 0.9, 0.1])
    >>> order, kept = jax.jit(suppress)(boxes, scores, np.ones(3, bool), 0.5)
    >>> np.asarray(order)[kept].tolist()
    [1, 2]
    """
    # Padding goes to the end, where it suppresses nothing.
    falling_scores = jnp.where(valid, -scores, jnp.inf)
    order = jnp.argsort(falling_scores, stable=True)
    in_order = boxes[order]
    overlaps = overlap(in_order, in_order) > bound
    if groups is not None:
        groups_in_order = groups[order]
        is_same_group = groups_in_order == groups_in_order[:, None]
        overlaps &= is_same_group
    rank = jnp.arange(len(order))

    def keep(i: Any, kept: jax.Array) -> jax.Array:
        stronger = kept & (rank < i)
        is_suppressed = (stronger & overlaps[i]).any()
        return kept.at[i].set(kept[i] & ~is_suppressed)

    # One box after the other: whether a box is kept depends on all that are stronger.
    kept = lax.fori_loop(0, len(order), keep, valid[order])
    return order, kept


_suppress = jax.jit(suppress)


def kept_boxes(
    boxes: Shaped[np.ndarray, "n 4"],
    scores: Float[np.ndarray, " n"],
    bound: float,
    groups: Int[np.ndarray, " n"] | None = None,
) -> Int[np.ndarray, " kept"]:
    """Returns the indices of the boxes that non-maximum suppression keeps, by falling score.

    Arguments as in `suppress`, on the host; boxes are padded, so that one program serves many
    counts.

    >>> boxes = np.float32([[0, 0, 2, 2], [0, 0, 2, 2], [5, 5, 6, 6]])
    >>> kept_boxes(boxes, np.float32([0.5, 0.9, 0.1]), 0.5).tolist()
    [1, 2]
    """
    count = len(boxes)
    if not count:
        return np.zeros(0, np.int32)
    if groups is None:
        groups = np.zeros(count, np.int32)
    # The number of boxes above a threshold differs from image to image; without padding each
    # number would compile a program.
    padded_count = bucket(max(count, SMALLEST_COUNT))
    padding = (0, padded_count - count)
    boxes = np.asarray(boxes, np.float32)
    scores = np.asarray(scores, np.float32)
    valid = np.ones(count, bool)
    order, kept = _suppress(
        np.pad(boxes, (padding, (0, 0))),
        np.pad(scores, padding),
        np.pad(valid, padding),
        np.float32(bound),
        np.pad(groups, padding),
    )
    order = np.asarray(order)
    return order[np.asarray(kept)]
