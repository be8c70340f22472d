"""Boxes: corners, scaling, overlap, non-maximum suppression."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxprep.resample.tables import bucket
from jaxprep.types import Size


def center_to_corners(boxes: jax.Array) -> jax.Array:
    """Boxes `(..., 4)` from (centre x, centre y, width, height) to (left, top, right, bottom)."""
    centre, half = boxes[..., :2], 0.5 * boxes[..., 2:]
    return jnp.concatenate([centre - half, centre + half], -1)


def scales(sizes: Sequence[Size] | None, count: int, square: bool = False) -> np.ndarray:
    """What relative corners are multiplied by, `(count, 4)` float32; ones if there are no sizes.

    Args:
        square: images were padded to squares, so that both axes are relative to the longer side.
    """
    if sizes is None:
        return np.ones((count, 4), np.float32)
    rows = [(max(size),) * 4 if square else (size[1], size[0]) * 2 for size in sizes]
    return np.asarray(rows, np.float32).reshape(count, 4)


def area(boxes: jax.Array) -> jax.Array:
    """Width times height of corners `(..., 4)`."""
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def overlap(first: jax.Array, second: jax.Array) -> jax.Array:
    """Intersection over union of all pairs, `(n, m)`; not a number for two empty boxes in one
    place.
    """
    first, second = first[:, None], second[None]
    corner = jnp.minimum(first[..., 2:], second[..., 2:]) - jnp.maximum(
        first[..., :2], second[..., :2]
    )
    shared = jnp.maximum(corner, 0).prod(-1)
    return shared / (area(first) + area(second) - shared)


def suppress(
    boxes: jax.Array,
    scores: jax.Array,
    valid: jax.Array,
    bound: Any,
    groups: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Greedy non-maximum suppression.

    Args:
        boxes: corners `(n, 4)`.
        scores: `(n,)`; equal ones are taken in their order.
        valid: `(n,)`, the boxes that take part.
        bound: a box goes if it overlaps one that stays, of a higher score, by more than this.
        groups: `(n,)`; boxes of different groups do not touch each other.

    Returns:
        the boxes by falling score, those that take part first, `(n,)` int32; and whether each of
        these stays.
    """
    order = jnp.argsort(jnp.where(valid, -scores, jnp.inf), stable=True)
    clashes = overlap(boxes[order], boxes[order]) > bound
    if groups is not None:
        clashes &= groups[order] == groups[order][:, None]
    place = jnp.arange(len(order))

    def settle(i: Any, stays: jax.Array) -> jax.Array:
        beaten = (stays & clashes[i] & (place < i)).any()
        return stays.at[i].set(stays[i] & ~beaten)

    return order, lax.fori_loop(0, len(order), settle, valid[order])


_suppress = jax.jit(suppress)


def kept_boxes(
    boxes: np.ndarray, scores: np.ndarray, bound: float, groups: np.ndarray | None = None
) -> np.ndarray:
    """The boxes that non-maximum suppression keeps, by falling score; one program for many
    counts.
    """
    count = len(boxes)
    groups = np.zeros(count, np.int32) if groups is None else groups
    if not count:
        return np.zeros(0, np.int32)
    extra = (0, bucket(max(count, 8)) - count)
    valid = np.pad(np.ones(count, bool), extra)
    padded = np.pad(np.asarray(boxes, np.float32), (extra, (0, 0)))
    scores = np.pad(np.asarray(scores, np.float32), extra)
    order, stays = _suppress(padded, scores, valid, np.float32(bound), np.pad(groups, extra))
    return np.asarray(order)[np.asarray(stays)]
