"""Outlines of masks as polygons, and polygons as masks: the numbers of OpenCV 4.14 and 5.0, in
NumPy on the host.

Points are (x, y). Where OpenCV computes in float32, so do we, in the same order: a rounding decides
which of two corners comes first.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

F = np.float32
_STEPS = ((1, 0), (1, -1), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1))
"""The neighbours (x, y) of a pixel, counterclockwise on the screen from the right one."""
_FRESH, _SEEN, _RIGHT = 1, 2, -1
"""Marks of a pixel: on no border yet; on one; on one, with the background to its right."""


def find_contours(mask: np.ndarray) -> list[np.ndarray]:
    """The borders of the 8-connected parts of a mask `(h, w)` and of their holes: Suzuki and Abe
    (1985).

    Returns:
        per border its corners, int32 `(n, 2)`; a part counterclockwise on the screen, a hole
        clockwise. The last that a raster scan meets comes first (`cv2.findContours` with
        `RETR_LIST` and `CHAIN_APPROX_SIMPLE`).
    """
    padded = np.pad(mask != 0, 1).astype(np.int8)
    stride = padded.shape[1]
    marks = padded.ravel().tolist()
    changes = np.flatnonzero(np.diff(padded.ravel(), prepend=np.int8(0))).tolist()
    contours = []
    for place in changes:
        if marks[place] == _FRESH:
            border = _follow(marks, stride, place, hole=False)
        elif marks[place] == 0 and marks[place - 1] > 0:
            border = _follow(marks, stride, place - 1, hole=True)
        else:
            continue
        rows, columns = np.divmod(np.asarray(border, np.int32), np.int32(stride))
        contours.append(np.stack([columns - 1, rows - 1], -1))
    return contours[::-1]


def _follow(marks: list[int], stride: int, start: int, hole: bool) -> list[int]:
    """Walks along one border and marks it; the places where it turns."""
    steps = [x + y * stride for x, y in _STEPS]
    outside = 0 if hole else 4
    for turn in range(1, 8):
        came = (outside - turn) % 8
        if marks[start + steps[came]]:
            break
    else:
        marks[start] = _RIGHT
        return [start]
    before_start = start + steps[came]
    corners, here, heading = [], start, came ^ 4
    while True:
        to = came + 1
        while not marks[here + steps[to % 8]]:
            to += 1
        to %= 8
        if (to - 1) % 2**32 < came:
            marks[here] = _RIGHT
        elif marks[here] == _FRESH:
            marks[here] = _SEEN
        if to != heading:
            corners.append(here)
        heading, there = to, here + steps[to]
        if there == start and here == before_start:
            return corners
        here, came = there, (to + 4) % 8


def convex_hull(points: np.ndarray, clockwise: bool = False) -> np.ndarray:
    """The corners of the convex hull of int32 or float32 points `(n, 2)`: Sklansky (1982), chain by
    chain.

    It goes round from the rightmost point (leftmost if `clockwise`) over the largest y, unless the
    corners are in the order of the points or against it once they begin elsewhere: then they do.
    """
    order = np.lexsort((points[:, 1], points[:, 0]))
    ends = points[order]
    if (ends[0] == ends[-1]).all():
        return points[order[:1]]
    number = F if points.dtype == np.float32 else int
    known = [(number(x), number(y)) for x, y in ends]
    low, high, last = int(ends[:, 1].argmin()), int(ends[:, 1].argmax()), len(ends) - 1
    upper = [_chain(known, 0, high, -1, 1), _chain(known, last, high, -1, -1)]
    lower = [_chain(known, 0, low, 1, -1), _chain(known, last, low, 1, 1)]
    (lower if clockwise else upper).reverse()
    there, back = upper
    hull = there[:-1] + back[:0:-1]
    above = back[1] if len(back) > 2 else there[-2] if len(there) > 2 else None
    there, back = lower
    below = (
        there[1] if len(there) > 2 else back[2 - len(there)] if len(there) + len(back) > 2 else None
    )
    if above is not None and below is not None and known[above] == known[below]:  # all on one line
        there, back = there[:2], back[:2]
    hull += there[:-1] + back[:0:-1]
    return points[_rotated(order[hull].tolist())]


def _chain(points: list[Any], start: int, end: int, rise: int, turn: int) -> list[int]:
    """The corners from one end of sorted points to the highest or lowest one: `turn` is the side
    they turn to.
    """
    if points[start] == points[end]:
        return [start]
    step = 1 if end > start else -1
    kept, following = [start, start + step], start + 2 * step
    while following != end + step:
        here, there = points[kept[-1]], points[following]
        along = _minus(there, here)
        if _sign(along[1]) == rise:
            following += step
            continue
        before = _minus(here, points[kept[-2]])
        if _sign(_cross(along, before)) == turn and any(before):
            kept.append(following)
            following += step
        elif len(kept) == 2:
            kept[1] = following
            following += step
        else:
            kept.pop()
    return kept


def _minus(a: Any, b: Any) -> tuple[Any, Any]:
    return a[0] - b[0], a[1] - b[1]


def _cross(a: Any, b: Any) -> float:
    """Positive where b lies to the left of a; exact for integers and nearly so for float32."""
    return float(a[0]) * float(b[1]) - float(a[1]) * float(b[0])


def _sign(value: Any) -> int:
    return int(value > 0) - int(value < 0)


def _rotated(hull: list[int]) -> list[int]:
    """The same ring of indices from its smallest (or largest) on, where it then rises (or falls)
    all the way.
    """
    count = len(hull)
    if count < 3:
        return hull
    first, final = hull.index(min(hull)), hull.index(max(hull))
    rises = (final + 1) % count == first
    begin = first if rises else final
    ring = hull[begin:] + hull[:begin]
    return ring if ring == sorted(ring, reverse=not rises) else hull


class RotatedBox(NamedTuple):
    """A rectangle about its centre; the angle turns it clockwise on the screen, in degrees."""

    center: tuple[Any, Any]
    size: tuple[Any, Any]
    angle: np.float32


def min_area_rect(points: np.ndarray, clockwise: bool = False) -> RotatedBox:
    """The rectangle of least area round int32 or float32 points `(n, 2)`, its angle in [-90, 0)."""
    corners = convex_hull(points, clockwise).astype(F)
    half = F(0.5)
    if len(corners) > 2:
        (x, y), (ax, ay), (bx, by) = _calipers(corners)
        center = x + (ax + bx) * half, y + (ay + by) * half
        size = _length(ax, ay), _length(bx, by)
        angle = math.atan2(ay, ax)
    elif len(corners) == 2:
        (x, y), (u, v) = corners
        center = (x + u) * half, (y + v) * half
        size = _length(u - x, v - y), F(0)
        angle = math.atan2(v - y, u - x)
    else:
        center, size, angle = (corners[0, 0], corners[0, 1]), (F(0), F(0)), 0.0
    degrees = angle * 180 / math.pi
    while degrees >= 0:
        degrees, size = degrees - 90, (size[1], size[0])
    while degrees < -90:
        degrees, size = degrees + 90, (size[1], size[0])
    return RotatedBox(center, size, F(degrees))


def _length(x: np.float32, y: np.float32) -> np.float32:
    return F(math.sqrt(float(x) * float(x) + float(y) * float(y)))


def _calipers(corners: np.ndarray) -> tuple[Any, Any, Any]:
    """A corner of the smallest rectangle and its two sides, by turning four calipers round:
    Toussaint (1983).
    """
    edges = np.roll(corners, -1, 0) - corners
    wide = edges.astype(np.float64)
    inverse = (1 / np.sqrt(wide[:, 0] * wide[:, 0] + wide[:, 1] * wide[:, 1])).astype(F)
    x, y = corners[:, 0], corners[:, 1]
    at = [int(y.argmin()), int(x.argmax()), int(y.argmax()), int(x.argmin())]
    best: Any = None
    least = F(np.finfo(F).max)
    for _ in corners:
        turned = [_turned(edges[place], quarter) for quarter, place in enumerate(at)]
        main = 0
        for side in range(1, 4):
            if turned[side][1] * turned[main][0] - turned[side][0] * turned[main][1] < 0:
                main = side
        a, b = _turned(edges[at[main]] * inverse[at[main]], main)
        at[main] = (at[main] + 1) % len(corners)
        across, up = corners[at[1]] - corners[at[3]], corners[at[2]] - corners[at[0]]
        width = across[0] * a + across[1] * b
        height = -up[0] * b + up[1] * a
        if width * height <= least:
            least, best = width * height, (a, b, width, height, at[3], at[0])
    a, b, width, height, left, bottom = best
    c = a * x[left] + y[left] * b
    d = -b * x[bottom] + y[bottom] * a
    scale = F(1) / (a * a - -b * b)
    return (
        ((c * a - d * b) * scale, (a * d - -b * c) * scale),
        (a * width, b * width),
        (-b * height, a * height),
    )


def _turned(vector: Any, quarters: int) -> tuple[Any, Any]:
    """A vector (x, y) turned back by quarters of a circle."""
    x, y = vector
    return ((x, y), (y, -x), (-x, -y), (-y, x))[quarters]


def box_points(box: RotatedBox) -> np.ndarray:
    """The four corners of a rectangle, float32 `(4, 2)`, clockwise on the screen from the lowest
    one.
    """
    (x, y), (width, height) = box.center, box.size
    radians = float(box.angle) * math.pi / 180
    cos, sin = F(math.cos(radians)) * F(0.5), F(math.sin(radians)) * F(0.5)
    along, across = (cos * width, sin * width), (sin * height, cos * height)
    corners = [
        (x - across[0] - along[0], y + across[1] - along[1]),
        (x + across[0] - along[0], y - across[1] - along[1]),
        (x + across[0] + along[0], y - across[1] + along[1]),
        (x - across[0] + along[0], y + across[1] + along[1]),
    ]
    return np.array(corners, F)


def contour_area(points: np.ndarray) -> float:
    """The area inside a polygon of points `(n, 2)`, by the shoelace formula."""
    wide = points.astype(F).astype(np.float64)
    before = np.roll(wide, 1, 0)
    terms = before[:, 0] * wide[:, 1] - before[:, 1] * wide[:, 0]
    return abs(math.fsum(terms) * 0.5)


def arc_length(points: np.ndarray) -> float:
    """How long the way round a polygon of points `(n, 2)` is: sides in float32, their sum in
    float64.
    """
    sides = points.astype(F) - np.roll(points.astype(F), 1, 0)
    return float(
        np.sqrt(sides[:, 0] * sides[:, 0] + sides[:, 1] * sides[:, 1]).sum(dtype=np.float64)
    )


_BITS = 16
"""Of the fraction in which edges are followed down the rows."""


def fill_polygon(corners: np.ndarray, height: int, width: int) -> np.ndarray:
    """The mask `(height, width)` of a polygon with integer corners `(n, 2)`: its inside by even and
    odd, and its sides.

    Corners may lie outside of the mask (`cv2.fillPoly`).
    """
    mask = np.zeros((height, width), bool)
    ends = [(int(x), int(y)) for x, y in corners]
    edges = []
    for start, end in zip([ends[-1], *ends[:-1]], ends, strict=True):
        _draw_line(mask, start, end)
        if start[1] != end[1]:
            clipped, _ = _clip_line(mask.shape, start, end)
            (x, y), (u, v) = clipped
            if y == v:
                y, v = start[1], end[1]
            slope = _divide((u - x) << _BITS, v - y)
            top, bottom = sorted((start[1], end[1]))
            edges.append((top, bottom, (x << _BITS) + (top - y) * slope, slope))
    for row in range(height):
        crossings = sorted(
            x + (row - top) * slope for top, bottom, x, slope in edges if top <= row < bottom
        )
        for left, right in zip(crossings[::2], crossings[1::2], strict=True):
            mask[row, max(-(-left >> _BITS), 0) : max((right >> _BITS) + 1, 0)] = True
    return mask


def _divide(a: int, b: int) -> int:
    """Towards zero, as C does."""
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _draw_line(mask: np.ndarray, start: tuple[int, int], end: tuple[int, int]) -> None:
    """Sets the pixels of a straight line: Bresenham (1965), from left to right."""
    clipped, visible = _clip_line(mask.shape, start, end)
    if not visible:
        return
    (x, y), (u, v) = sorted(clipped, key=lambda point: point[0])
    wide, high = u - x, abs(v - y)
    along = np.arange(max(wide, high) + 1)
    far, near = max(wide, high, 1), min(wide, high)
    aside = (2 * near * along + far - 1) // (2 * far)
    columns, rows = (along, aside) if wide >= high else (aside, along)
    mask[y + rows * (1 if v >= y else -1), x + columns] = True


def _clip_line(
    shape: tuple[int, int], start: tuple[int, int], end: tuple[int, int]
) -> tuple[list[Any], bool]:
    """The part of a line in a mask, rounded towards its ends (Cohen and Sutherland), and whether
    there is any.

    Of a line that passes by, the ends stay where the search stopped.
    """
    points = [list(start), list(end)]
    limits = shape[1] - 1, shape[0] - 1

    def apart() -> bool:
        return any(
            all(p[k] < 0 for p in points) or all(p[k] > limits[k] for p in points) for k in (0, 1)
        )

    for axis in (1, 0):
        if apart():
            return points, False
        for point, other in (points, points[::-1]):
            edge = min(max(point[axis], 0), limits[axis])
            if edge != point[axis]:
                (x, y), (u, v) = (point[1 - axis], point[axis]), (other[1 - axis], other[axis])
                point[1 - axis], point[axis] = x + int((edge - y) * (u - x) / (v - y)), edge
    return points, not apart()
