"""Outlines of masks as polygons, and polygons as masks: the numbers of OpenCV 4.14 and 5.0, in
NumPy on the host.

Points are (x, y), y pointing down. Where OpenCV computes in float32, so do we, in the same order: a
rounding decides which of two corners comes first. The sources are those of
https://github.com/opencv/opencv/tree/4.x/modules/imgproc/src; each function names its file.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Num

F = np.float32

Point = tuple[Any, Any]

IntPoint = tuple[int, int]

# The neighbours (x, y) of a pixel, counterclockwise on the screen from the right one: the chain
# codes of Freeman, as OpenCV counts them.
_NEIGHBOURS = (
    (1, 0),
    (1, -1),
    (0, -1),
    (-1, -1),
    (-1, 0),
    (-1, 1),
    (0, 1),
    (1, 1),
)

# Marks of a pixel: all that is needed of the border numbers of Suzuki and Abe where the hierarchy
# is not wanted.
_BACKGROUND = 0
_UNSEEN = 1  # on no border yet
_SEEN = 2  # on a border
_RIGHT_EDGE = -1  # on a border, with the background to its right


def find_contours(mask: Num[np.ndarray, "h w"] | Bool[np.ndarray, "h w"]) -> list[np.ndarray]:
    """Finds the borders of the 8-connected parts of a mask and of their holes.

    Reproduces `cv2.findContours` with `RETR_LIST` and `CHAIN_APPROX_SIMPLE` (contours.cpp), which
    follows Suzuki and Abe (1985, https://doi.org/10.1016/0734-189X(85)90016-7).

    Returns:
        per border its corners, int32 `(n, 2)`; a part counterclockwise on the screen, a hole
        clockwise. The last that a raster scan meets comes first.

    >>> [border.tolist() for border in find_contours(np.eye(2))]
    [[[0, 0], [1, 1]]]
    """
    padded = np.pad(mask != 0, 1).astype(np.int8)
    stride = padded.shape[1]
    pixels = padded.ravel()
    # A list: single elements of a NumPy array are slow to read and write.
    marks = pixels.tolist()
    # Borders start where the mask changes along a row.
    differences = np.diff(pixels, prepend=np.int8(0))
    changes = np.flatnonzero(differences).tolist()
    contours = []
    for index in changes:
        mark = marks[index]
        before = marks[index - 1]
        if mark == _UNSEEN:
            border = _follow(marks, stride, index, hole=False)
        elif mark == _BACKGROUND and before > 0:
            border = _follow(marks, stride, index - 1, hole=True)
        else:
            continue
        corners = np.asarray(border, np.int32)
        rows, columns = np.divmod(corners, np.int32(stride))
        # The padding moved every pixel by one.
        x = columns - 1
        y = rows - 1
        contours.append(np.stack([x, y], -1))
    return contours[::-1]


def _follow(
    marks: list[int],
    stride: int,
    start: int,
    hole: bool,
) -> list[int]:
    """Follows one border and marks it; returns the indices where its direction changes."""
    steps = [x + y * stride for x, y in _NEIGHBOURS]
    # The background is to the right of a hole's first pixel, and to the left of a part's.
    outside = 0 if hole else 4
    for turn in range(1, 8):
        back = (outside - turn) % 8
        if marks[start + steps[back]]:
            break
    else:
        marks[start] = _RIGHT_EDGE  # a single pixel
        return [start]
    last_pixel = start + steps[back]
    corners: list[int] = []
    pixel = start
    heading = back ^ 4
    while True:
        # The next pixel of the border: counterclockwise, from the one that we came from.
        direction = (back + 1) % 8
        while not marks[pixel + steps[direction]]:
            direction = (direction + 1) % 8
        # The search passed the right neighbour, so that this is background. OpenCV compares
        # unsigned: for direction 0 the left side wraps to the largest number.
        if (direction - 1) % 2**32 < back:
            marks[pixel] = _RIGHT_EDGE
        elif marks[pixel] == _UNSEEN:
            marks[pixel] = _SEEN
        if direction != heading:
            corners.append(pixel)
        heading = direction
        following = pixel + steps[direction]
        if following == start and pixel == last_pixel:
            return corners
        pixel = following
        back = (direction + 4) % 8


def convex_hull(
    points: Num[np.ndarray, "n 2"],
    clockwise: bool = False,
) -> Num[np.ndarray, "m 2"]:
    """Returns the corners of the convex hull of int32 or float32 points.

    Reproduces `cv2.convexHull` (convhull.cpp): Sklansky (1982), chain by chain. The hull goes round
    from the rightmost point (leftmost if `clockwise`) over the largest y, unless the corners are in
    the order of the points or against it once they begin elsewhere: then they do.

    >>> convex_hull(np.array([[0, 0], [2, 0], [1, 1], [2, 2], [0, 2]], np.int32)).tolist()
    [[0, 0], [2, 0], [2, 2], [0, 2]]
    """
    x, y = points.T
    order = np.lexsort((y, x))
    ordered = points[order]
    if (ordered[0] == ordered[-1]).all():
        return points[order[:1]]
    # OpenCV has the differences of points in their own type.
    number = F if points.dtype == np.float32 else int
    known = [(number(x), number(y)) for x, y in ordered]
    heights = ordered[:, 1]
    lowest = int(heights.argmin())
    highest = int(heights.argmax())
    leftmost = 0
    rightmost = len(known) - 1
    upper = [
        _chain(known, leftmost, highest, rise=-1, turn=1),
        _chain(known, rightmost, highest, rise=-1, turn=-1),
    ]
    lower = [
        _chain(known, leftmost, lowest, rise=1, turn=-1),
        _chain(known, rightmost, lowest, rise=1, turn=1),
    ]
    if clockwise:
        lower.reverse()
    else:
        upper.reverse()
    above = _middle_of_upper(*upper)
    below = _middle_of_lower(*lower)
    if above is not None and below is not None and known[above] == known[below]:
        # All points lie on one line: both chains have the same corner, which may be there once.
        lower = [chain[:2] for chain in lower]
    hull = _joined(*upper) + _joined(*lower)
    indices = order[hull].tolist()
    return points[_rotated(indices)]


def _joined(first: list[int], second: list[int]) -> list[int]:
    """One chain forwards, then the other backwards; neither its last corner nor the first again."""
    return first[:-1] + second[:0:-1]


def _middle_of_upper(first: list[int], second: list[int]) -> int | None:
    """The last corner of the upper chains before their end (`stop_idx` in convhull.cpp)."""
    if len(second) > 2:
        return second[1]
    if len(first) > 2:
        return first[-2]
    return None


def _middle_of_lower(first: list[int], second: list[int]) -> int | None:
    """The corner of the lower chains to compare it with (`check_idx` in convhull.cpp)."""
    if len(first) > 2:
        return first[1]
    if len(first) + len(second) > 2:
        return second[2 - len(first)]
    return None


def _chain(
    points: list[Point],
    start: int,
    end: int,
    rise: int,
    turn: int,
) -> list[int]:
    """The corners from one end of sorted points to the highest or lowest one (`Sklansky_` in
    convhull.cpp).

    Args:
        points: sorted by x, then y.
        start: index of the leftmost or rightmost point.
        end: index of the highest or lowest point.
        rise: sign of the change of y that leads away from `end`: such points are no corners.
        turn: sign of the side to which the corners turn.
    """
    if points[start] == points[end]:
        return [start]
    step = 1 if end > start else -1
    kept = [start, start + step]
    following = start + 2 * step
    while following != end + step:
        corner = points[kept[-1]]
        along = _minus(points[following], corner)
        if _sign(along[1]) == rise:
            following += step
            continue
        before = _minus(corner, points[kept[-2]])
        if _sign(_cross(along, before)) == turn and any(before):
            kept.append(following)
            following += step
        elif len(kept) == 2:
            kept[1] = following
            following += step
        else:
            kept.pop()
    return kept


def _minus(a: Point, b: Point) -> Point:
    ax, ay = a
    bx, by = b
    return ax - bx, ay - by


def _cross(a: Point, b: Point) -> float:
    """Positive where b lies to the left of a; exact for integers and nearly so for float32."""
    ax, ay = map(float, a)
    bx, by = map(float, b)
    return ax * by - ay * bx


def _sign(value: Any) -> int:
    if value > 0:
        return 1
    if value < 0:
        return -1
    return 0


def _rotated(hull: list[int]) -> list[int]:
    """The same ring of indices from its smallest (or largest) on, if it then rises (or falls) all
    the way: what convhull.cpp does at its end, "try to make the convex hull indices form an
    ascending or descending sequence".
    """
    count = len(hull)
    if count < 3:
        return hull
    smallest = hull.index(min(hull))
    largest = hull.index(max(hull))
    rises = (largest + 1) % count == smallest
    begin = smallest if rises else largest
    ring = hull[begin:] + hull[:begin]
    if ring == sorted(ring, reverse=not rises):
        return ring
    return hull


class RotatedBox(NamedTuple):
    """A rectangle about its centre; the angle turns it clockwise on the screen, in degrees.

    >>> RotatedBox((0, 0), (2, 1), np.float32(-90)).size
    (2, 1)
    """

    center: Point
    size: Point
    angle: np.float32


def min_area_rect(points: Num[np.ndarray, "n 2"], clockwise: bool = False) -> RotatedBox:
    """Returns the rectangle of least area around int32 or float32 points, its angle in [-90, 0).

    Reproduces `cv2.minAreaRect` (rotcalipers.cpp).

    >>> box = min_area_rect(np.array([[0, 0], [4, 0], [4, 2], [0, 2]], np.int32))
    >>> sorted(float(side) for side in box.size), float(box.angle)
    ([2.0, 4.0], -90.0)
    """
    corners = convex_hull(points, clockwise).astype(F)
    center, width, height, angle = _smallest_rectangle(corners)
    degrees = angle * 180 / math.pi
    # A quarter turn of a rectangle exchanges its sides.
    while degrees >= 0:
        degrees -= 90
        width, height = height, width
    while degrees < -90:
        degrees += 90
        width, height = height, width
    return RotatedBox(center, (width, height), F(degrees))


def _smallest_rectangle(
    corners: Float[np.ndarray, "n 2"],
) -> tuple[Point, np.float32, np.float32, float]:
    """The centre, width, height and angle in radians of the rectangle around a convex hull."""
    half = F(0.5)
    if len(corners) == 1:
        [center] = corners
        return tuple(center), F(0), F(0), 0.0
    if len(corners) == 2:
        (x, y), (u, v) = corners
        center = ((x + u) * half, (y + v) * half)
        length = _length(u - x, v - y)
        return center, length, F(0), math.atan2(v - y, u - x)
    (x, y), (ax, ay), (bx, by) = _calipers(corners)
    center = (
        x + (ax + bx) * half,
        y + (ay + by) * half,
    )
    width = _length(ax, ay)
    height = _length(bx, by)
    return center, width, height, math.atan2(ay, ax)


def _length(x: np.float32, y: np.float32) -> np.float32:
    # In float64, and rounded once.
    square = float(x) * float(x) + float(y) * float(y)
    return F(math.sqrt(square))


class _Calipers(NamedTuple):
    """A rectangle around the hull: the direction of its first side, a unit vector, its extent along
    that side and across, and the corners of the hull on its left and at its bottom.
    """

    direction: Point
    width: np.float32
    height: np.float32
    left: Point
    bottom: Point


def _calipers(corners: Float[np.ndarray, "n 2"]) -> tuple[Point, Point, Point]:
    """A corner of the smallest rectangle and its two sides, by turning four calipers around the
    hull (Toussaint, 1983): `rotatingCalipers` in rotcalipers.cpp.
    """
    edges = np.roll(corners, -1, 0) - corners
    dx, dy = edges.astype(np.float64).T
    inverse_lengths = (1 / np.sqrt(dx * dx + dy * dy)).astype(F)
    x, y = corners.T
    # The corners that the calipers touch: at the bottom, right, top and left.
    touched = [
        int(y.argmin()),
        int(x.argmax()),
        int(y.argmax()),
        int(x.argmin()),
    ]
    best: Any = None
    least_area = F(np.finfo(F).max)
    for _ in corners:
        side = _next_side([edges[corner] for corner in touched])
        first = touched[side]
        a, b = _turn_back(edges[first] * inverse_lengths[first], side)
        touched[side] = (first + 1) % len(corners)
        bottom, right, top, left = (corners[corner] for corner in touched)
        across_x, across_y = right - left
        up_x, up_y = top - bottom
        width = across_x * a + across_y * b
        height = -up_x * b + up_y * a
        # `<=`: of equal areas the last is taken.
        if width * height <= least_area:
            least_area = width * height
            best = _Calipers((a, b), width, height, left, bottom)
    return _sides(best)


def _sides(calipers: _Calipers) -> tuple[Point, Point, Point]:
    """A corner of the rectangle, and the sides that begin there.

    The corner is where the line through `left` meets the one through `bottom`. `-b * b` and its
    sign are written as OpenCV has them: float32 would round otherwise.
    """
    a, b = calipers.direction
    left_x, left_y = calipers.left
    bottom_x, bottom_y = calipers.bottom
    c = a * left_x + left_y * b
    d = -b * bottom_x + bottom_y * a
    scale = F(1) / (a * a - -b * b)
    corner = (
        (c * a - d * b) * scale,
        (a * d - -b * c) * scale,
    )
    along = (a * calipers.width, b * calipers.width)
    upward = (-b * calipers.height, a * calipers.height)
    return corner, along, upward


def _next_side(edges: list[np.ndarray]) -> int:
    """Which of the calipers lies on its edge first when all turn."""
    first = 0
    first_x, first_y = edges[0]
    for side in range(1, 4):
        x, y = _turn_back(edges[side], side)
        if y * first_x - x * first_y < 0:
            first = side
            first_x, first_y = x, y
    return first


def _turn_back(vector: Any, quarters: int) -> Point:
    """A vector (x, y) turned back by quarters of a circle."""
    x, y = vector
    turned = (
        (x, y),
        (y, -x),
        (-x, -y),
        (-y, x),
    )
    return turned[quarters]


def box_points(box: RotatedBox) -> Float[np.ndarray, "4 2"]:
    """Returns the four corners of a rectangle, clockwise on the screen from the lowest one.

    Reproduces `cv2.boxPoints` (`RotatedRect::points` in modules/core/src/types.cpp).

    >>> box_points(RotatedBox((F(2), F(1)), (F(4), F(2)), F(0))).tolist()
    [[0.0, 2.0], [0.0, 0.0], [4.0, 0.0], [4.0, 2.0]]
    """
    x, y = box.center
    width, height = box.size
    radians = float(box.angle) * math.pi / 180
    half_cos = F(math.cos(radians)) * F(0.5)
    half_sin = F(math.sin(radians)) * F(0.5)
    along_x = half_cos * width
    along_y = half_sin * width
    across_x = half_sin * height
    across_y = half_cos * height
    corners = [
        (x - across_x - along_x, y + across_y - along_y),
        (x + across_x - along_x, y - across_y - along_y),
        (x + across_x + along_x, y - across_y + along_y),
        (x - across_x + along_x, y + across_y + along_y),
    ]
    return np.array(corners, F)


def contour_area(points: Num[np.ndarray, "n 2"]) -> float:
    """Returns the area inside a polygon, by the shoelace formula.

    Reproduces `cv2.contourArea` (shapedescr.cpp).

    >>> contour_area(np.array([[0, 0], [4, 0], [4, 2], [0, 2]]))
    8.0
    """
    corners = points.astype(F).astype(np.float64)
    x, y = corners.T
    previous_x, previous_y = np.roll(corners, 1, 0).T
    terms = previous_x * y - previous_y * x
    return abs(math.fsum(terms) * 0.5)


def arc_length(points: Num[np.ndarray, "n 2"]) -> float:
    """Returns the circumference of a polygon: sides in float32, their sum in float64.

    Reproduces `cv2.arcLength(points, True)` (shapedescr.cpp).

    >>> arc_length(np.array([[0, 0], [4, 0], [4, 3]]))
    12.0
    """
    corners = points.astype(F)
    sides = corners - np.roll(corners, 1, 0)
    x, y = sides.T
    lengths = np.sqrt(x * x + y * y)
    return float(lengths.sum(dtype=np.float64))


# Edges are followed down the rows in integers with so many bits of fraction: `XY_SHIFT` in
# drawing.cpp.
_BITS = 16


class _Edge(NamedTuple):
    """A side of a polygon that is not level: rows from `top` to before `bottom`, its x at `top`
    and how much it changes in a row, both with a fraction of 16 bits.
    """

    top: int
    bottom: int
    x: int
    slope: int


def fill_polygon(
    corners: Int[np.ndarray, "n 2"],
    height: int,
    width: int,
) -> Bool[np.ndarray, "height width"]:
    """Returns the mask of a polygon with integer corners: its inside by even and odd, and its
    sides.

    Reproduces `cv2.fillPoly` (`CollectPolyEdges` and `FillEdgeCollection` in drawing.cpp). Corners
    may lie outside of the mask.

    >>> fill_polygon(np.array([[0, 0], [2, 0], [2, 2], [0, 2]]), 3, 4).astype(int).tolist()
    [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0]]
    """
    mask = np.zeros((height, width), bool)
    points = [(int(x), int(y)) for x, y in corners]
    previous_points = [points[-1], *points[:-1]]
    edges = []
    for start, end in zip(previous_points, points, strict=True):
        _draw_line(mask, start, end)
        is_level = start[1] == end[1]
        if not is_level:
            edges.append(_edge(mask.shape, start, end))
    for row in range(height):
        crossings = []
        for edge in edges:
            if edge.top <= row < edge.bottom:
                x = edge.x + (row - edge.top) * edge.slope
                crossings.append(x)
        crossings.sort()
        entries = crossings[::2]
        exits = crossings[1::2]
        for left, right in zip(entries, exits, strict=True):
            # Rounded inwards: the pixels of the sides are drawn already.
            first = max(-(-left >> _BITS), 0)
            end = max((right >> _BITS) + 1, 0)
            mask[row, first:end] = True
    return mask


def _edge(
    shape: tuple[int, int],
    start: IntPoint,
    end: IntPoint,
) -> _Edge:
    # OpenCV takes the slope from the clipped line, and the rows from the line as it is.
    clipped, _ = _clip_line(shape, start, end)
    (x, y), (u, v) = clipped
    if y == v:
        y = start[1]
        v = end[1]
    slope = _divide((u - x) << _BITS, v - y)
    top = min(start[1], end[1])
    bottom = max(start[1], end[1])
    x_at_top = (x << _BITS) + (top - y) * slope
    return _Edge(top, bottom, x_at_top, slope)


def _divide(a: int, b: int) -> int:
    """Divides towards zero, as C does."""
    quotient = abs(a) // abs(b)
    have_one_sign = (a < 0) == (b < 0)
    return quotient if have_one_sign else -quotient


def _draw_line(
    mask: Bool[np.ndarray, "height width"],
    start: IntPoint,
    end: IntPoint,
) -> None:
    """Sets the pixels of a straight line: Bresenham (1965), from left to right (`LineIterator` in
    drawing.cpp).
    """
    clipped, is_visible = _clip_line(mask.shape, start, end)
    if not is_visible:
        return
    (x, y), (u, v) = sorted(clipped, key=lambda point: point[0])
    width = u - x
    height = abs(v - y)
    longer = max(width, height)
    shorter = min(width, height)
    along = np.arange(longer + 1)
    # The integers that Bresenham's error term leads to, all at once.
    longer = max(longer, 1)
    aside = (2 * shorter * along + longer - 1) // (2 * longer)
    if width >= height:
        columns, rows = along, aside
    else:
        columns, rows = aside, along
    downwards = 1 if v >= y else -1
    mask[y + rows * downwards, x + columns] = True


def _clip_line(
    shape: tuple[int, int],
    start: IntPoint,
    end: IntPoint,
) -> tuple[list[Any], bool]:
    """The part of a line in a mask, rounded towards its ends (Cohen and Sutherland, `clipLine` in
    drawing.cpp), and whether there is any.

    Of a line that does not meet the mask, the ends stay where the search stopped.
    """
    points = [list(start), list(end)]
    height, width = shape
    limits = (width - 1, height - 1)
    for axis in (1, 0):
        if _are_outside(points, limits):
            return points, False
        for point, other in (points, points[::-1]):
            _clip_end(point, other, axis, limits[axis])
    return points, not _are_outside(points, limits)


def _clip_end(
    point: list[int],
    other: list[int],
    axis: int,
    limit: int,
) -> None:
    """Moves a point that lies beyond an edge of the mask along its line to that edge."""
    edge = min(max(point[axis], 0), limit)
    if edge == point[axis]:
        return
    across = 1 - axis
    distance = edge - point[axis]
    rise = other[axis] - point[axis]
    run = other[across] - point[across]
    point[across] += int(distance * run / rise)
    point[axis] = edge


def _are_outside(points: list[list[int]], limits: tuple[int, int]) -> bool:
    """Whether both points lie on the outer side of one edge of the mask."""
    for axis, limit in enumerate(limits):
        positions = [point[axis] for point in points]
        if max(positions) < 0 or min(positions) > limit:
            return True
    return False
