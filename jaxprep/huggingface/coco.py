"""COCO's outlines as masks: polygons and run lengths, pixel for pixel as pycocotools draws them
(https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
from jaxtyping import Bool, Float64

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.types import Size

SCALE = 5
"""Points of an outline per pixel: `scale` of `rleFrPoly`."""
MAX_COORDINATE = 1e5
"""Outlines further out would take too much memory: there is a point for each fifth of a pixel."""


def mask_of(segmentation: Any, size: Size, where: str) -> Bool[np.ndarray, "h w"]:
    """Draw what lies inside any polygon, or any of the uncompressed run lengths.

    Args:
        segmentation: a list of polygons `[x0, y0, x1, y1, ...]`, an object `{"size", "counts"}`, or
            a list of them.
        size: height and width of the image.
        where: its place in the call, for messages.

    Raises:
        InputError: it is none of these, or of an image of another size.

    >>> mask_of([[0, 0, 2, 0, 2, 2, 0, 2]], (3, 3), "$").astype(int).tolist()
    [[1, 1, 0], [1, 1, 0], [0, 0, 0]]
    """
    if isinstance(segmentation, Mapping):
        return of_runs(segmentation, size, where)
    if not isinstance(segmentation, (list, tuple)) or not len(segmentation):
        raise wrong("a list of polygons, or run lengths", segmentation, where)
    mask = np.zeros(size, bool)
    are_runs = isinstance(segmentation[0], Mapping)
    for i, part in enumerate(segmentation):
        place = f"{where}[{i}]"
        if are_runs:
            mask |= of_runs(part, size, place)
        else:
            # pycocotools takes a list whose first polygon has 3 corners; the others may have fewer.
            least = 2 if i else 6
            mask |= of_polygon(part, size, place, least)
    return mask


def of_runs(runs: Any, size: Size, where: str) -> Bool[np.ndarray, "h w"]:
    """Return the mask of `{"size": [h, w], "counts": [...]}`: lengths of 0 and of 1 in turn, column
    by column.

    >>> of_runs({"size": [2, 2], "counts": [1, 2, 1]}, (2, 2), "$").astype(int).tolist()
    [[0, 1], [1, 0]]
    """
    counts = runs.get("counts") if isinstance(runs, Mapping) else None
    if not _is_list(counts):
        raise wrong("run lengths, with `counts` as a list of numbers", runs, where)
    lengths = numbers(counts, f"{where}.counts")
    written = runs.get("size")
    if not _is_list(written) or tuple(written) != size:
        expected = f"run lengths of an image of {list(size)}"
        raise wrong(expected, written, f"{where}.size")
    height, width = size
    total = height * width
    has_negative = lengths.min(initial=0) < 0
    has_fraction = np.any(lengths % 1)
    if has_negative or has_fraction or lengths.sum() != total:
        raise wrong(f"lengths that add up to {total}", counts, f"{where}.counts")
    run = np.arange(len(lengths))
    is_inside = run % 2 == 1
    pixels = np.repeat(is_inside, lengths.astype(np.int64))
    return pixels.reshape(width, height).T


def _is_list(value: Any) -> TypeGuard[Sequence[Any] | np.ndarray]:
    return isinstance(value, (list, tuple, np.ndarray))


def of_polygon(
    polygon: Any,
    size: Size,
    where: str,
    least: int = 6,
) -> Bool[np.ndarray, "h w"]:
    """Return the mask of one polygon: COCO's `rleFrPoly`.

    The outline is drawn on a grid of `SCALE` points a pixel; where it crosses the centre of a
    column of pixels, that column changes between outside and inside, from the crossing on
    downwards.

    Args:
        least: how many numbers it must have.

    >>> of_polygon([0, 0, 2, 0, 2, 2, 0, 2], (2, 3), "$").astype(int).tolist()
    [[1, 1, 0], [1, 1, 0]]
    """
    corners = numbers(polygon, where)
    if len(corners) < least or len(corners) % 2:
        raise wrong("a polygon `[x0, y0, x1, y1, ...]` of at least 3 corners", polygon, where)
    if np.abs(corners).max() > MAX_COORDINATE:
        raise wrong(f"coordinates of at most {MAX_COORDINATE:g}", polygon, where)
    height, width = size
    u, v = _outline(corners)
    before = u[:-1]
    after = u[1:]
    # Between two points that differ in x, the outline crosses a column of the fine grid ...
    crosses = after != before
    column = np.where(after < before, after, after - 1)
    row = np.minimum(v[1:], v[:-1])
    x = _to_pixels(column[crosses])
    y = _to_pixels(row[crosses])
    # ... which counts where that column is the centre of a column of pixels.
    is_centre = np.floor(x) == x
    is_inside = (x >= 0) & (x <= width - 1)
    counts = is_centre & is_inside
    columns = x[counts].astype(np.int64)
    first_below = np.ceil(np.clip(y[counts], 0, height))
    rows = first_below.astype(np.int64)
    # The image is numbered column by column, so a change at the bottom, `height`, starts the next
    # column, as in the original.
    pixels = height * width
    changes = np.bincount(columns * height + rows, minlength=pixels + 1)
    changes_so_far = np.cumsum(changes[:pixels])
    is_within = changes_so_far % 2 == 1
    return is_within.reshape(width, height).T


def _to_pixels(points: np.ndarray) -> np.ndarray:
    """Positions on the fine grid, between two points, in pixels."""
    return (points + 0.5) / SCALE - 0.5


def _outline(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every point of the fine grid along the edges, `x` and `y`; both ends of each edge are
    there.
    """
    x0 = np.trunc(SCALE * corners[0::2] + 0.5)
    y0 = np.trunc(SCALE * corners[1::2] + 0.5)
    x1 = np.roll(x0, -1)
    y1 = np.roll(y0, -1)
    width = np.abs(x1 - x0)
    height = np.abs(y1 - y0)
    is_flat = width >= height
    # A flat edge is walked along x, a steep one along y.
    start = np.where(is_flat, x0, y0)
    end = np.where(is_flat, x1, y1)
    cross_start = np.where(is_flat, y0, x0)
    cross_end = np.where(is_flat, y1, x1)
    # It is walked towards the larger number, so that rounding does not depend on its direction;
    # the points come back in the direction of the polygon.
    is_reversed = start > end
    cross_low = np.where(is_reversed, cross_end, cross_start)
    cross_high = np.where(is_reversed, cross_start, cross_end)
    low = np.minimum(start, end)
    length = np.abs(end - start)
    slope = (cross_high - cross_low) / np.maximum(length, 1)
    # All edges at once: `edge` is the edge of each point, `step` its number on it.
    counts = length.astype(np.int64) + 1
    edges = np.arange(len(counts))
    edge = np.repeat(edges, counts)
    first = np.cumsum(counts) - counts
    step = np.arange(len(edge)) - first[edge]
    t = np.where(is_reversed[edge], length[edge] - step, step)
    along = low[edge] + t
    across = cross_low[edge] + slope[edge] * t
    # C's cast to int truncates towards zero, negative coordinates too.
    across = np.trunc(across + 0.5)
    x = np.where(is_flat[edge], along, across)
    y = np.where(is_flat[edge], across, along)
    return x, y


def numbers(values: Any, where: str) -> Float64[np.ndarray, " n"]:
    """Return a flat list of finite numbers.

    Raises:
        InputError: something else.

    >>> numbers([1, 2], "$").tolist()
    [1.0, 2.0]
    """
    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        array = np.zeros((0, 0))
    if array.ndim != 1 or not np.isfinite(array).all():
        raise wrong("a list of finite numbers", values, where)
    return array


def wrong(what: str, value: Any, where: str) -> InputError:
    """Return the error of a bad annotation.

    >>> wrong("a box", 7, "$.bbox")
    InputError('Expected a box, got `7` - at `$.bbox`.')
    """
    got = codec.shown(value)
    return InputError(f"Expected {what}, got `{got}` - at `{where}`.")
