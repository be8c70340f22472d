"""Where positions of an image go: boxes and keypoints follow its geometry.

What goes in: segments and the size of an image, or the map of each axis that its table carries
(`AxisTable.map`). What comes out: one `(3, 3)` matrix for an image, and boxes and keypoints moved
by it. Positions are `(x, y)` in pixels from the outer corner of the top-left pixel, so that a
resize multiplies them, without half a pixel.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.pipeline.segment import Segment, all_tables, segment_tables
from jaxprep.types import Size


def position_matrix(parts: Sequence[Segment], size: Size) -> np.ndarray:
    """Return the matrix `(3, 3)` float64 by which positions `(x, y, 1)` of an image of `size` go,
    without drawn steps.

    >>> from jaxprep import ops
    >>> segment = Segment(geometry=(ops.Resize((4, 4)),))
    >>> position_matrix((segment,), (8, 16)).tolist()
    [[0.25, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 1.0]]
    """
    # float64 on the host: products of many steps are rounded once, to float32, at the end
    matrix = np.eye(3)
    for segment, made in zip(parts, all_tables(parts, size), strict=True):
        matrix = segment_matrix(segment, size) @ matrix
        size = made.size
    return matrix


def segment_matrix(segment: Segment, size: Size) -> np.ndarray:
    """Return the matrix `(3, 3)` float64 of one segment, without its drawn steps.

    >>> from jaxprep import ops
    >>> segment_matrix(Segment(geometry=(ops.CenterCrop((2, 2)),)), (4, 6))[:2, 2].tolist()
    [-2.0, -1.0]
    """
    made = segment_tables(segment, size)
    scale_y, shift_y = made.vertical.map
    scale_x, shift_x = made.horizontal.map
    rows = [
        [scale_x, 0, shift_x],
        [0, scale_y, shift_y],
        [0, 0, 1],
    ]
    matrix = np.array(rows, np.float64)
    # `draws.drawn_matrices` computes that of a random step in the program
    if segment.opaque is None or segment.opaque.step.is_random:
        return matrix
    with jax.ensure_compile_time_eval():  # `matrix` may call `jax.numpy`, also inside of `jit`
        moved = segment.opaque.step.matrix(size)
    if moved is None:
        return matrix
    if np.shape(moved) != (3, 3):
        name = type(segment.opaque.step).__name__
        raise InputError(f"Expected `{name}.matrix` to return (3, 3), got shape {np.shape(moved)}.")
    return matrix @ np.asarray(moved, np.float64)


def is_axis_aligned(segments: Sequence[Segment]) -> bool:
    """Return whether x goes to x and y to y: no opaque step moves positions.

    >>> is_axis_aligned((Segment(),))
    True
    """
    opaque = [segment.opaque.step for segment in segments if segment.opaque is not None]
    return not any(step.moves_positions() for step in opaque)


@functools.partial(jax.jit, static_argnames="is_axis_aligned")
def move_positions(
    boxes: Any,
    keypoints: Any,
    matrix: Any,
    size: Any,
    is_axis_aligned: bool = True,
) -> tuple[Any, Any]:
    """Move boxes `(n, 4)` and keypoints `(n, 2)` of one image; boxes are clipped to `size`.

    Args:
        matrix: `(3, 3)`, where positions `(x, y, 1)` go.
        is_axis_aligned: whether x goes to x and y to y.

    >>> boxes, _ = move_positions([[0, 2, 8, 20]], None, 0.5 * np.eye(3), (6, 4))
    >>> boxes.tolist()
    [[0.0, 1.0, 4.0, 6.0]]
    """
    # jitted, so that an eager caller runs one program instead of a dozen operations
    matrix = jnp.asarray(matrix, jnp.float32)
    if boxes is not None:
        limit = jnp.asarray(size, jnp.float32)[::-1]  # (width, height), as (x, y)
        boxes = move_boxes(boxes, matrix, limit, is_axis_aligned)
    if keypoints is not None:
        keypoints = move_points(keypoints, matrix, is_axis_aligned)
    return boxes, keypoints


def visible(positions: Any, limit: Any) -> Any:
    """Return which positions are in the picture, `(...)` bool.

    Args:
        positions: boxes `(..., 4)`, clipped to the picture: those of which an area is left; or
            keypoints `(..., 2)`: those inside or on an edge, where a flip keeps them.
        limit: `(..., 2)`, width and height of the picture.

    >>> visible(np.float32([[1, 2, 3, 3], [4, 0, 4, 2]]), np.array([4, 4])).tolist()
    [True, False]
    >>> visible(np.float32([[0, 3], [-1, 2], [4, 2]]), np.array([4, 4])).tolist()
    [True, False, True]
    """
    if positions.shape[-1] == 4:
        return (positions[..., 2:] > positions[..., :2]).all(axis=-1)
    return ((positions >= 0) & (positions <= limit)).all(axis=-1)


def move_points(
    points: Any,
    matrix: jax.Array,
    is_axis_aligned: bool,
) -> jax.Array:
    """Move positions `(..., 2)`, `(x, y)` in pixels, by a `(3, 3)` matrix.

    >>> matrix = np.diag(np.float32([2, 3, 1]))
    >>> jax.jit(lambda points: move_points(points, matrix, True))(np.float32([[1, 2]])).tolist()
    [[2.0, 6.0]]
    """
    points = jnp.asarray(points, jnp.float32)
    scale = jnp.stack([matrix[0, 0], matrix[1, 1]])
    moved = points * scale + matrix[:2, 2]
    # infinite positions, which mark padding, stay infinite: times 0 they would become NaN
    if is_axis_aligned:
        return moved
    cross = jnp.stack([matrix[0, 1], matrix[1, 0]])
    weight = points @ matrix[2, :2] + matrix[2, 2]
    y_and_x = points[..., ::-1]
    moved = moved + y_and_x * cross
    return moved / weight[..., None]


def move_boxes(
    boxes: Any,
    matrix: jax.Array,
    limit: Any,
    is_axis_aligned: bool,
) -> jax.Array:
    """Move boxes `(n, 4)`, corners `(x0, y0, x1, y1)`; the result is the box around the moved
    corners, clipped to `[0, limit]`.

    >>> mirrored = np.float32([[-1, 0, 4], [0, 1, 0], [0, 0, 1]])
    >>> move = jax.jit(lambda boxes: move_boxes(boxes, mirrored, np.float32([4, 4]), True))
    >>> move(np.float32([[0, 0, 1, 2]])).tolist()
    [[3.0, 0.0, 4.0, 2.0]]
    """
    corners = jnp.asarray(boxes, jnp.float32).reshape(-1, 2, 2)
    if not is_axis_aligned:
        # all four corners: after a rotation any of them may be the outermost
        left, top = corners[:, 0].T
        right, bottom = corners[:, 1].T
        bottom_left = jnp.stack([left, bottom], -1)
        top_right = jnp.stack([right, top], -1)
        corners = jnp.concatenate([corners, bottom_left[:, None], top_right[:, None]], axis=1)
    moved = move_points(corners, matrix, is_axis_aligned)
    # clipped before the minimum: a flip has exchanged left and right by now
    clipped = jnp.clip(moved, 0, limit)
    return jnp.concatenate([clipped.min(1), clipped.max(1)], axis=1)
