"""Where positions of an image go: boxes and keypoints follow its geometry."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.pipeline.segment import Segment, all_tables, segment_tables
from jaxprep.types import Size


def position_matrix(parts: Sequence[Segment], size: Size) -> np.ndarray:
    """Where positions `(x, y, 1)` of an image of `size` go, `(3, 3)` float64; without drawn
    steps."""
    matrix = np.eye(3)
    for segment, made in zip(parts, all_tables(parts, size), strict=True):
        matrix = segment_matrix(segment, size) @ matrix
        size = made.size
    return matrix


def segment_matrix(segment: Segment, size: Size) -> np.ndarray:
    """The same of one segment."""
    made = segment_tables(segment, size)
    (scale_y, shift_y), (scale_x, shift_x) = made.vertical.map, made.horizontal.map
    matrix = np.array([[scale_x, 0, shift_x], [0, scale_y, shift_y], [0, 0, 1]], np.float64)
    if segment.opaque is None or segment.opaque.step.is_random:
        return matrix
    with jax.ensure_compile_time_eval():  # `matrix` may call `jax.numpy`, also inside of `jit`
        moved = segment.opaque.step.matrix(size)
    return matrix if moved is None else matrix @ np.asarray(moved, np.float64)


def is_axis_aligned(segments: Sequence[Segment]) -> bool:
    """Whether x goes to x and y to y: no opaque step moves positions."""
    opaque = [segment.opaque.step for segment in segments if segment.opaque is not None]
    return not any(step.moves_positions() for step in opaque)


@functools.partial(jax.jit, static_argnames="is_axis_aligned")
def move_positions(
    boxes: Any, keypoints: Any, matrix: Any, size: Any, is_axis_aligned: bool = True
) -> tuple[Any, Any]:
    """Moves boxes `(n, 4)` and keypoints `(n, 2)` of one image; boxes are clipped to `size`.

    Args:
        matrix: `(3, 3)`, where positions `(x, y, 1)` go.
        is_axis_aligned: whether x goes to x and y to y.
    """
    matrix = jnp.asarray(matrix, jnp.float32)
    if boxes is not None:
        limit = jnp.asarray(size, jnp.float32)[::-1]
        boxes = move_boxes(boxes, matrix, limit, is_axis_aligned)
    if keypoints is not None:
        keypoints = move_points(keypoints, matrix, is_axis_aligned)
    return boxes, keypoints


def move_points(points: Any, matrix: jax.Array, is_axis_aligned: bool) -> jax.Array:
    """Moves positions `(..., 2)`, `(x, y)` in pixels, by a `(3, 3)` matrix."""
    points = jnp.asarray(points, jnp.float32)
    scale = jnp.stack([matrix[0, 0], matrix[1, 1]])
    moved = points * scale + matrix[:2, 2]
    if is_axis_aligned:  # infinite positions, which mark padding, stay infinite
        return moved
    cross = jnp.stack([matrix[0, 1], matrix[1, 0]])
    weight = points @ matrix[2, :2] + matrix[2, 2]
    return (moved + points[..., ::-1] * cross) / weight[..., None]


def move_boxes(boxes: Any, matrix: jax.Array, limit: Any, is_axis_aligned: bool) -> jax.Array:
    """Moves corners `(n, 4)`; the result is the box around them, clipped to `[0, limit]`."""
    corners = jnp.asarray(boxes, jnp.float32).reshape(-1, 2, 2)
    if not is_axis_aligned:  # all four corners: any of them may become the outermost
        mixed = jnp.stack([corners[:, 0, 0], corners[:, 1, 1]], -1)
        other = jnp.stack([corners[:, 1, 0], corners[:, 0, 1]], -1)
        corners = jnp.concatenate([corners, mixed[:, None], other[:, None]], axis=1)
    corners = jnp.clip(move_points(corners, matrix, is_axis_aligned), 0, limit)
    return jnp.concatenate([corners.min(1), corners.max(1)], axis=1)
