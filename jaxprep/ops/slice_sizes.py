"""Computes the parts that large images are cut into, and their sizes, on the host.

They are the rules of vision-language models in https://github.com/huggingface/transformers, version
5.24, below src/transformers/models/.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from jaxprep import codec
from jaxprep.bounds import check_side
from jaxprep.errors import InputError
from jaxprep.ops.resize import SizeRule
from jaxprep.ops.tile_sizes import check_tiles, grids_of
from jaxprep.types import Size


class Cut(NamedTuple):
    """A rectangle of an image.

    Attributes:
        top, left: of its first pixel.
        height, width: in pixels.

    >>> Cut(0, 8, 4, 6).slices
    (slice(0, 4, None), slice(8, 14, None))
    """

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns, as NumPy takes them."""
        rows = slice(self.top, self.top + self.height)
        columns = slice(self.left, self.left + self.width)
        return rows, columns


def square_cuts(size: Size, side: int) -> list[Cut]:
    """Return the squares of `side` pixels that cover an image, row by row; those at its border may
    be smaller.

    That is `divide_to_patches` of `transformers/image_transforms.py`.

    >>> [(cut.height, cut.width) for cut in square_cuts((2, 3), 2)]
    [(2, 2), (2, 1)]
    """
    height, width = size
    cuts = []
    for top in range(0, height, side):
        cut_height = min(side, height - top)
        for left in range(0, width, side):
            cut_width = min(side, width - left)
            cuts.append(Cut(top, left, cut_height, cut_width))
    return cuts


def pan_and_scan(size: Size, min_side: int, max_count: int, min_ratio: float) -> list[Cut]:
    """Return the parts side by side that a long image is cut into, along its longer side.

    That is `pan_and_scan` of `gemma3/image_processing_pil_gemma3.py`.

    Args:
        min_side: no image is cut into parts with a shorter side, in pixels.
        max_count: of the parts.
        min_ratio: of the longer side to the shorter one, below which nothing is cut.

    >>> pan_and_scan((100, 310), 64, 4, 1.2)
    [Cut(top=0, left=0, height=100, width=104), Cut(top=0, left=104, height=100, width=104), \
Cut(top=0, left=208, height=100, width=102)]
    >>> pan_and_scan((100, 110), 64, 4, 1.2)
    []
    """
    height, width = size
    is_wide = width >= height
    long = max(size)
    short = min(size)
    ratio = long / short
    if ratio < min_ratio:
        return []
    # Half up, then as many as are at least `min_side` long, but at least two.
    count = min(math.floor(ratio + 0.5), long // min_side)
    count = min(max_count, max(2, count))
    length = -(-long // count)
    if min(length, short) < min_side:
        return []
    cuts = []
    for start in range(0, length * count, length):
        # The last one ends where the image does.
        rest = max(0, min(length, long - start))
        if is_wide:
            cut = Cut(top=0, left=start, height=short, width=rest)
        else:
            cut = Cut(top=start, left=0, height=rest, width=short)
        cuts.append(cut)
    return cuts


# -- MiniCPM-V -----------------------------------------------------------------------------------


def slice_grid(size: Size, side: int, most: int) -> Size:
    """Return how many rows and columns of slices an image is cut into; `(0, 0)` where it is not.

    The number of slices is about that of squares of `side` that have the area of the image; of all
    grids of one more or less, it is that whose aspect ratio is nearest to the image's. That is
    `get_sliced_grid` of `minicpmv4_6/image_processing_minicpmv4_6.py`.

    Args:
        side: of a slice, about, in pixels.
        most: of the slices.

    >>> slice_grid((480, 640), 448, 9), slice_grid((400, 400), 448, 9)
    ((1, 2), (0, 0))
    """
    height, width = size
    squares = math.ceil(width * height / (side * side))
    count = min(squares, most)
    if count <= 1:
        return 0, 0
    log_ratio = math.log(width / height)
    best = (1, 1)
    least_error = math.inf
    for slices in (count - 1, count, count + 1):
        if slices == 1 or slices > most:
            continue
        for rows in range(1, slices + 1):
            if slices % rows:
                continue
            columns = slices // rows
            error = abs(log_ratio - math.log(columns / rows))
            is_better = error < least_error
            if error == least_error:
                # Of two that are as near, the one of more rows.
                is_better = rows > best[0]
            if is_better:
                best = rows, columns
                least_error = error
    return best


def _nearest_multiple(length: float, divisor: int) -> int:
    count = round(length / divisor)
    return max(count * divisor, divisor)


@dataclass(frozen=True)
class AreaOfSquare(SizeRule):
    """Scales to the area of a square in the aspect ratio, both sides to multiples of `divisor`.

    That is `find_best_resize` of `minicpmv4_6/image_processing_minicpmv4_6.py`.

    Attributes:
        side: of the square, in pixels.
        enlarges: an image of a smaller area, too; otherwise only its sides are made multiples.

    >>> AreaOfSquare(448, 56).output_size((480, 640))
    (392, 504)
    """

    side: int
    divisor: int
    enlarges: bool = True

    def output_size(self, size: Size) -> Size:
        return self.fitted(*size)

    def fitted(self, height: float, width: float) -> Size:
        """Return the size for sides that may be fractions of pixels."""
        if self.enlarges or height * width > self.side * self.side:
            ratio = width / height
            height = int(self.side / math.sqrt(ratio))
            # Of the height that was truncated, as there.
            width = int(height * ratio)
        whole_height = _nearest_multiple(height, self.divisor)
        whole_width = _nearest_multiple(width, self.divisor)
        return whole_height, whole_width

    def describe(self) -> str:
        return f"to the area of a square of {self.side}, in multiples of {self.divisor} pixels"


@dataclass(frozen=True)
class SliceCanvas(SizeRule):
    """Makes the canvas of an image that is cut into equal slices, each of about the area of a
    square.

    That is `get_refine_size` of `minicpmv4_6/image_processing_minicpmv4_6.py`; an image that is not
    cut is one slice.

    Attributes:
        side: of the square, in pixels.
        divisor: of the sides of a slice.
        most: of the slices.

    >>> SliceCanvas(448, 56, 9).output_size((480, 640))
    (560, 784)
    """

    counts: ClassVar[tuple[str, ...]] = ("most",)

    side: int
    divisor: int
    most: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_tiles(self.most, (self.side, self.side), "$.most")

    def output_size(self, size: Size) -> Size:
        height, width = size
        grid = slice_grid(size, self.side, self.most)
        rows, columns = (max(1, count) for count in grid)
        cell_height = _nearest_multiple(height, rows) / rows
        cell_width = _nearest_multiple(width, columns) / columns
        rule = AreaOfSquare(self.side, self.divisor)
        slice_height, slice_width = rule.fitted(cell_height, cell_width)
        return slice_height * rows, slice_width * columns

    def describe(self) -> str:
        return (
            f"to at most {self.most} slices, each of the area of a square of {self.side}, in "
            f"multiples of {self.divisor} pixels"
        )


# -- Step 3.7 ------------------------------------------------------------------------------------


class WindowPlan(NamedTuple):
    """How an image is cut into square windows.

    Attributes:
        canvas: height and width that it is resized to before.
        window: the side of a window; 0 where it is not cut.
        grid: how many windows there are, in rows and in columns.

    >>> WindowPlan((4, 6), 4, (1, 1)).cuts
    [Cut(top=0, left=0, height=4, width=4), Cut(top=0, left=4, height=4, width=2)]
    """

    canvas: Size
    window: int
    grid: Size

    @property
    def cuts(self) -> list[Cut]:
        """The windows of the canvas, row by row; one at the border may be smaller."""
        if not self.window:
            return []
        return square_cuts(self.canvas, self.window)


def is_sliver(size: Size) -> bool:
    """Return whether an image is below 32 pixels at one side, and more than four times as long.

    >>> is_sliver((31, 125)), is_sliver((32, 200))
    (True, False)
    """
    return min(size) < 32 and max(size) / min(size) > 4


def plan_windows(size: Size, longest: int, side: int, window: int) -> WindowPlan:
    """Return how Step 3.7 cuts an image into windows, whose side depends on the aspect ratio.

    That is `_plan_patches` of `step3p7/image_processing_step3p7.py`.

    Args:
        size: of the image; a sliver of it is padded to a square before.
        longest: side of an image; a longer one is shrunk.
        side: of the view of the whole image; an image inside of it is cut only where it is long.
        window: the side of a window, at most.

    Raises:
        InputError: the shorter side is shrunk to nothing.

    >>> plan_windows((600, 1000), 3024, 728, 504)
    WindowPlan(canvas=(504, 1008), window=504, grid=(1, 2))
    """
    height, width = shrunk(size, longest)
    short = min(height, width)
    long = max(height, width)
    if short < 1:
        raise InputError(
            f"Expected an image with pixels where the longer side is at most {longest}, got one of "
            f"{size}."
        )
    ratio = long / short
    chosen = window
    if long <= side:
        if ratio <= 1.5:
            return WindowPlan((height, width), 0, (0, 0))
        chosen = short
    elif ratio > 4:
        chosen = min(short, window)
    canvas_height = _whole_windows(height, chosen)
    canvas_width = _whole_windows(width, chosen)
    # A side below a window is one smaller window.
    rows = max(1, canvas_height // chosen)
    columns = max(1, canvas_width // chosen)
    return WindowPlan((canvas_height, canvas_width), chosen, (rows, columns))


def _whole_windows(length: int, window: int) -> int:
    """A multiple of the window: up where more than a fifth of one is left over."""
    if length < window:
        return length
    count, rest = divmod(length, window)
    if rest > 0.2 * window:
        count += 1
    return count * window


def shrunk(size: Size, longest: int) -> Size:
    """Return a size whose longer side is at most `longest`; both are truncated.

    >>> shrunk((3000, 6048), 3024)
    (1500, 3024)
    """
    height, width = size
    if max(size) <= longest:
        return size
    scale = longest / max(size)
    return int(height * scale), int(width * scale)


@dataclass(frozen=True)
class ShrunkLongest(SizeRule):
    """Shrinks the longer side to `longest`; both sides are truncated.

    >>> ShrunkLongest(3024).output_size((3000, 6048))
    (1500, 3024)
    """

    longest: int

    def output_size(self, size: Size) -> Size:
        return shrunk(size, self.longest)

    def describe(self) -> str:
        return f"the longer side to at most {self.longest} pixels"


@dataclass(frozen=True)
class WindowCanvas(SizeRule):
    """Makes the canvas that Step 3.7 cuts into windows; see `plan_windows`.

    >>> WindowCanvas(3024, 728, 504).output_size((600, 1000))
    (504, 1008)
    """

    longest: int
    side: int
    window: int

    def output_size(self, size: Size) -> Size:
        return plan_windows(size, self.longest, self.side, self.window).canvas

    def describe(self) -> str:
        return f"to whole windows of at most {self.window} pixels a side"


# -- Molmo 2 -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OverlappingCrops(SizeRule):
    """Makes the canvas of an image that is cut into square crops, which overlap.

    The inner parts of the crops tile the canvas, but for a margin around it. That is
    `compute_crop_geometry` of `molmo2/image_processing_molmo2.py`, which computes in float32.

    Attributes:
        window: the side of the inner part of a crop, in pixels.
        margin: what two opposite borders of the canvas have together, in pixels.
        most: of the crops.

    >>> OverlappingCrops(266, 112, 8).output_size((480, 640))
    (644, 644)
    """

    counts: ClassVar[tuple[str, ...]] = ("most", "margin")

    window: int
    margin: int
    most: int

    def __post_init__(self) -> None:
        # A margin of 0 is one, too.
        codec.check_fields(self)
        check_side(self.window, "$.window")
        side = self.window + self.margin
        check_tiles(self.most, (side, side), "$.most")

    def grid(self, size: Size) -> Size:
        """Return how many rows and columns of crops there are.

        The first of the smallest that hold the image, or, where none does, that which shrinks it
        least.
        """
        grids = _grids_by_rows(self.most)
        inner = np.asarray(size, np.float32) - np.float32(self.margin)
        canvases = np.asarray(grids, np.float32) * np.float32(self.window)
        # An image as small as the margin has nothing inside of it.
        with np.errstate(divide="ignore"):
            scales = canvases / inner
        scales = scales.min(-1)
        if np.all(scales < 1):
            return grids[int(scales.argmax())]
        enlarging = np.where(scales < 1, np.float32(10e9), scales)
        return grids[int(enlarging.argmin())]

    def output_size(self, size: Size) -> Size:
        rows, columns = self.grid(size)
        return rows * self.window + self.margin, columns * self.window + self.margin

    def describe(self) -> str:
        side = self.window + self.margin
        return f"to at most {self.most} crops of {side} pixels a side, one every {self.window}"


@functools.lru_cache(maxsize=64)
def _grids_by_rows(most: int) -> tuple[Size, ...]:
    """Every grid of up to `most` tiles: those of fewer first, of as many those of fewer rows."""

    def tiles_then_rows(grid: Size) -> tuple[int, int]:
        rows, columns = grid
        return rows * columns, rows

    return tuple(sorted(grids_of(1, most), key=tiles_then_rows))
