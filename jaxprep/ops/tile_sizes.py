"""Computes the canvas of an image that is cut into tiles, for `Resize(rule=...)` and
`Fit(rule=...)`, on the host.

They are the rules of vision-language models in https://github.com/huggingface/transformers, version
5.24, below src/transformers/models/. A grid is `(rows, columns)`, a size `(height, width)`.
"""

from __future__ import annotations

import functools
import itertools
import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from jaxprep import codec
from jaxprep.bounds import MAX_PIXELS, check_size
from jaxprep.errors import InputError
from jaxprep.ops.fit import FitRule, Fitted
from jaxprep.ops.resize import SizeRule
from jaxprep.ops.words import by
from jaxprep.types import Size

Grid = tuple[int, int]
MOST_TILES = 1024
"""Of an image: the rules look at every grid of so many, for each size of an image."""


def check_tiles(count: int, tile: Size, where: str) -> None:
    """Raise `ConfigError` where `count` is above `MOST_TILES`, or so many tiles have more pixels
    than an image may have.

    Args:
        tile: height and width of a tile, in pixels.
        where: the place of the number in a config.

    >>> check_tiles(12, (384, 384), "$.max_patches")
    """
    tile_area = tile[0] * tile[1]
    most = min(MOST_TILES, MAX_PIXELS // tile_area)
    if count > most:
        raise codec.expected(f"at most {most} tiles of {by(tile)} pixels", count, where)


@functools.lru_cache(maxsize=64)
def grids_of(lowest: int, highest: int, longest: int | None = None) -> tuple[Grid, ...]:
    """Return every grid of `lowest` to `highest` tiles: those of fewer tiles first, of as many
    those of fewer columns.

    Args:
        longest: of rows, and of columns.

    >>> grids_of(2, 4)
    ((2, 1), (1, 2), (3, 1), (1, 3), (4, 1), (2, 2), (1, 4))
    """
    longest = min(highest, longest or highest)
    sides = range(1, longest + 1)
    grids = []
    for columns in sides:
        for rows in sides[: highest // columns]:
            if rows * columns >= lowest:
                grids.append((rows, columns))
    # The sort is stable: grids of as many tiles stay in the order of their columns.
    return tuple(sorted(grids, key=math.prod))


class TileRule(SizeRule):
    """Base class of rules that stretch an image to a grid of at most `highest` whole tiles.

    >>> issubclass(ClosestRatio, TileRule)
    True
    """

    counts: ClassVar[tuple[str, ...]] = ("lowest", "highest", "longest")

    tile: Size
    highest: int

    def __post_init__(self) -> None:
        super().__post_init__()
        _check(self.tile, self.highest)

    @abstractmethod
    def grid(self, size: Size) -> Grid:
        """Return how many rows and columns of tiles an image of `size` has."""

    def output_size(self, size: Size) -> Size:
        rows, columns = self.grid(size)
        tile_height, tile_width = self.tile
        return rows * tile_height, columns * tile_width


@dataclass(frozen=True)
class ClosestRatio(TileRule):
    """Chooses the grid whose aspect ratio is nearest to that of the image.

    That is `get_optimal_tiled_canvas` of `got_ocr2/image_processing_got_ocr2.py`. Of several grids
    of one ratio it is that of the fewest tiles, or one of more where the image has more than half
    of the pixels of that.

    Attributes:
        tile: height and width of a tile.
        lowest, highest: number of tiles.
        longest: number of rows, and of columns, at most.

    >>> ClosestRatio((384, 384), 1, 12).grid((480, 640))
    (3, 4)
    """

    tile: Size
    lowest: int
    highest: int
    longest: int | None = None

    def grid(self, size: Size) -> Grid:
        height, width = size
        area = height * width
        ratio = width / height
        tile_area = self.tile[0] * self.tile[1]
        least_difference = math.inf
        best = (1, 1)
        for rows, columns in grids_of(self.lowest, self.highest, self.longest):
            difference = abs(ratio - columns / rows)
            is_better = difference < least_difference
            if difference == least_difference:
                # Grids come with more and more tiles, so that this one has no fewer than `best`.
                is_better = area > 0.5 * tile_area * columns * rows
            if is_better:
                least_difference = difference
                best = rows, columns
        return best

    def describe(self) -> str:
        return f"to {self.lowest} to {self.highest} tiles of {by(self.tile)}, the closest ratio"


@dataclass(frozen=True)
class DensePages(TileRule):
    """Takes one rule for most pages and another, of more tiles, for those of dense print.

    That is `get_tile_budget` of `granite_docling/image_processing_granite_docling.py`. A page is
    dense if it passes all tests that are on; a number of 0 switches its test off.

    Attributes:
        usual, dense: the rules.
        scale: the canvas of the usual rule is less than so many times as wide as the page.
        above, at_most: bounds on width / height.

    >>> usual, dense = ClosestRatio((512, 512), 1, 4), ClosestRatio((512, 512), 1, 12)
    >>> DensePages(usual, dense, 0.0, 1.2, 0.0).grid((1000, 1500))
    (2, 3)
    """

    usual: ClosestRatio
    dense: ClosestRatio
    scale: float
    above: float
    at_most: float

    def __post_init__(self) -> None:
        # Both rules have checked their tiles.
        SizeRule.__post_init__(self)

    @property
    def tile(self) -> Size:  # type: ignore[override]
        return self.usual.tile

    def grid(self, size: Size) -> Grid:
        usual = self.usual.grid(size)
        if self._is_dense(size, usual):
            return self.dense.grid(size)
        return usual

    def _is_dense(self, size: Size, usual: Grid) -> bool:
        height, width = size
        ratio = width / height
        if self.scale <= 0 and self.above <= 0:
            # `at_most` only excludes pages, and selects none alone.
            return False
        if self.above > 0 and ratio <= self.above:
            return False
        if self.at_most > 0 and ratio > self.at_most:
            return False
        canvas_width = usual[1] * self.tile[1]
        return self.scale <= 0 or canvas_width / width < self.scale

    def describe(self) -> str:
        return f"{self.usual.describe()}; dense pages {self.dense.describe()}"


@dataclass(frozen=True)
class LeastScaled(TileRule):
    """Chooses the grid that enlarges the image least, or, where all shrink it, shrinks it least.

    That is `get_optimal_tiled_canvas` of `cohere2_vision/image_processing_cohere2_vision.py`, which
    takes the height of a tile for its width too.

    Attributes:
        tile: height and width of a tile.
        highest: number of tiles.

    >>> LeastScaled((512, 512), 12).grid((480, 640))
    (1, 2)
    """

    tile: Size
    highest: int

    def grid(self, size: Size) -> Grid:
        height, width = size
        side = self.tile[0]

        def scale(grid: Grid) -> float:
            rows, columns = grid
            return min(columns * side / width, rows * side / height)

        grids = grids_of(1, self.highest)
        enlarging = [grid for grid in grids if scale(grid) >= 1]
        if enlarging:
            return min(enlarging, key=scale)
        return max(grids, key=scale)

    def describe(self) -> str:
        return f"to at most {self.highest} tiles of {by(self.tile)}, scaled least"


@dataclass(frozen=True)
class CoveredArea(TileRule):
    """Chooses the fewest tiles of which each shows its part of the image at most as large as it is.

    That is `get_min_tile_covering_grid` of `ovis2/image_processing_ovis2.py`: the parts that a grid
    cuts the image into are shrunk to the height of a tile where they are longer, and the area that
    is left of the image shall be above `COVERED` of it. The grid is exchanged in it: the image is
    measured in as many rows as the result has columns.

    Attributes:
        tile: height and width of a tile.
        highest: number of tiles.

    >>> CoveredArea((384, 384), 12).grid((1000, 250))
    (1, 3)
    """

    tile: Size
    highest: int

    def grid(self, size: Size) -> Grid:
        return _covering_grid(self, size)

    def covered(self, size: Size, grid: Grid) -> float:
        """Return the share of an image that is left in the parts of an exchanged grid.

        >>> CoveredArea((384, 384), 12).covered((1000, 250), (1, 3))
        1.0
        """
        height, width = size
        rows, columns = grid
        part_heights = _parts(height, columns)
        part_widths = _parts(width, rows)
        areas = []
        for part_height in part_heights:
            for part_width in part_widths:
                areas.append(self._shown_area(part_height, part_width))
        # By `sum` and row by row, as there: from Python 3.12 on it compensates the rounding of
        # floats, which `+=` does not.
        return sum(areas) / (height * width)

    def _shown_area(self, height: int, width: int) -> float:
        """How many pixels are left of a part of the image in its tile."""
        longer = max(height, width)
        shorter = min(height, width)
        side = self.tile[0]
        if longer <= side:
            return longer * shorter
        # Divided before it is multiplied, as in `compute_patch_covering_area`.
        return shorter / longer * side * side

    def describe(self) -> str:
        return f"to at most {self.highest} tiles of {by(self.tile)} that cover it"


COVERED = 0.9
"""`covering_threshold`, which is no setting."""


@functools.lru_cache(maxsize=1024)
def _covering_grid(rule: CoveredArea, size: Size) -> Grid:
    """The grid of `rule`, kept: of 1,024 tiles it takes seconds, and a call asks several times."""
    covered = {grid: rule.covered(size, grid) for grid in grids_of(1, rule.highest)}
    enough = [grid for grid, share in covered.items() if share > COVERED]

    def fewest_tiles(grid: Grid) -> tuple[int, float]:
        return math.prod(grid), -covered[grid]

    def most_covered(grid: Grid) -> tuple[float, int]:
        return -covered[grid], math.prod(grid)

    if enough:
        return min(enough, key=fewest_tiles)
    return min(covered, key=most_covered)


def _parts(length: int, count: int) -> list[int]:
    """The lengths of `count` parts; the last has what is left."""
    part = length // count
    last = length - part * (count - 1)
    return [part] * (count - 1) + [last]


@dataclass(frozen=True)
class LargestCanvas(TileRule):
    """Chooses the grid in which the image may be largest, if any holds it as it is; otherwise one
    of a ratio near to that of the image.

    That is `_fit_image_to_canvas` and `_find_closest_aspect_ratio` of
    `perception_lm/image_processing_perception_lm.py`.

    Attributes:
        tile: height and width of a tile.
        highest: number of tiles.

    >>> LargestCanvas((448, 448), 36).grid((480, 640))
    (5, 7)
    """

    tile: Size
    highest: int

    def grid(self, size: Size) -> Grid:
        height, width = size
        tile_height, tile_width = self.tile
        best = None
        longest = 0.0
        for columns, rows in grids_by_ratio(self.highest):
            if rows * tile_height < height or columns * tile_width < width:
                continue
            shorter = self._shorter(size, (rows, columns))
            # Of equal ones the last, as there.
            if best is None or shorter >= longest:
                best = rows, columns
                longest = shorter
        return best or self._nearest(size)

    def _shorter(self, size: Size, grid: Grid) -> float:
        """The shorter side of an image in a grid."""
        height, width = size
        rows, columns = grid
        tile_height, tile_width = self.tile
        ratio = width / height
        scale = min(columns * tile_width / width, rows * tile_height / height)
        if ratio > 1:
            return math.floor(scale * width / ratio)
        if ratio == 1:
            # Of a square, the height is compared, which is not rounded.
            return scale * height
        return math.floor(scale * height * ratio)

    def _nearest(self, size: Size) -> Grid:
        """The largest grid of the nearest ratio to that of the image which is not beyond it: a wide
        image is never put on a wider canvas, nor a tall one on a taller."""
        height, width = size
        ratio = width / height
        by_ratio: dict[float, list[Grid]] = {}
        for columns, rows in grids_by_ratio(self.highest):
            grids = by_ratio.setdefault(columns / rows, [])
            grids.append((rows, columns))
        if ratio >= 1:
            candidates = [key for key in by_ratio if key <= ratio]
            nearest = min(candidates, key=lambda key: abs(key - ratio))
        else:
            candidates = [key for key in by_ratio if key > ratio]
            # Of tall images, height / width is compared.
            nearest = min(candidates, key=lambda key: abs(1 / key - 1 / ratio))
        return max(by_ratio[nearest], key=math.prod)

    def describe(self) -> str:
        return f"to at most {self.highest} tiles of {by(self.tile)}, the largest canvas"


@functools.lru_cache(maxsize=64)
def grids_by_ratio(highest: int) -> tuple[tuple[int, int], ...]:
    """Return every pair of numbers whose product is at most `highest`: pairs of one ratio together,
    the ratios in the order in which the pairs of `highest`, `highest - 1` and so on show them.

    >>> grids_by_ratio(4)
    ((1, 4), (2, 2), (1, 1), (4, 1), (1, 3), (3, 1), (1, 2), (2, 1))
    """
    by_ratio: dict[float, list[tuple[int, int]]] = {}
    for count in range(highest, 0, -1):
        for first in range(1, count + 1):
            if count % first == 0:
                second = count // first
                pairs = by_ratio.setdefault(first / second, [])
                pairs.append((first, second))
    return tuple(itertools.chain.from_iterable(by_ratio.values()))


def _check(tile: Size, highest: int) -> None:
    check_size(tile, "$.tile")
    check_tiles(highest, tile, "$.highest")


# -- a canvas around the image -------------------------------------------------------------------


@dataclass(frozen=True)
class AnyResolution(FitRule):
    """Fits an image into the resolution that keeps most of its pixels, in the middle of it.

    Of several resolutions that keep as many it is the smallest. That is `select_best_resolution`
    and `get_patch_output_size` of `image_processing_utils.py`, with which
    `llava_next/image_processing_llava_next.py` resizes.

    Attributes:
        resolutions: heights and widths.

    >>> AnyResolution(((336, 672), (672, 336), (672, 672))).fit((480, 640))
    Fitted(content=(504, 672), canvas=(672, 672), top=84, left=0)
    """

    resolutions: tuple[Size, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.resolutions:
            raise codec.expected("at least one resolution", self.resolutions, "$.resolutions")
        for i, resolution in enumerate(self.resolutions):
            check_size(resolution, f"$.resolutions[{i}]")

    def fit(self, size: Size) -> Fitted:
        canvas = max(self.resolutions, key=lambda resolution: _kept_and_unused(size, resolution))
        content = _ceiled(size, canvas)
        top = (canvas[0] - content[0]) // 2
        left = (canvas[1] - content[1]) // 2
        return Fitted(content, canvas, top, left)

    def describe(self) -> str:
        return f"into the best of {len(self.resolutions)} resolutions"


def _kept_and_unused(size: Size, resolution: Size) -> tuple[int, int]:
    """How many pixels of an image a resolution keeps, and minus those that it does not use."""
    height, width = size
    canvas_height, canvas_width = resolution
    scale = min(canvas_width / width, canvas_height / height)
    scaled_area = int(width * scale) * int(height * scale)
    # An enlarged image keeps its own pixels, and no more.
    kept = min(scaled_area, width * height)
    return kept, kept - canvas_height * canvas_width


def _ceiled(size: Size, canvas: Size) -> Size:
    """The largest size inside a canvas in the ratio of `size`, rounded up."""
    height, width = size
    canvas_height, canvas_width = canvas
    vertical = canvas_height / height
    horizontal = canvas_width / width
    if horizontal < vertical:
        content_height = math.ceil(height * horizontal)
        return min(content_height, canvas_height), canvas_width
    content_width = math.ceil(width * vertical)
    return canvas_height, min(content_width, canvas_width)


class TileFitRule(FitRule):
    """Base class of rules that fit an image into a grid of at most `highest` square tiles.

    >>> issubclass(EnoughTiles, TileFitRule)
    True
    """

    counts: ClassVar[tuple[str, ...]] = ("highest",)

    side: int
    highest: int

    def __post_init__(self) -> None:
        super().__post_init__()
        _check((self.side, self.side), self.highest)

    def describe(self) -> str:
        return f"into at most {self.highest} tiles of {by((self.side, self.side))}"


@dataclass(frozen=True)
class EnoughTiles(TileFitRule):
    """Fits an image into the corner of as many tiles as it has pixels for, or, if these are too
    many, of the closest ratio.

    That is `dynamic_preprocess` of `phi4_multimodal/image_processing_phi4_multimodal.py`.

    Attributes:
        side: of a tile.
        highest: number of tiles.

    >>> EnoughTiles(448, 36).fit((480, 640))
    Fitted(content=(672, 896), canvas=(896, 896), top=0, left=0)
    """

    side: int
    highest: int

    def fit(self, size: Size) -> Fitted:
        height, width = size
        rows, columns = (math.ceil(n / self.side) for n in size)
        if rows * columns > self.highest:
            closest = ClosestRatio((self.side, self.side), 1, self.highest)
            rows, columns = closest.grid(size)
        canvas_height = rows * self.side
        canvas_width = columns * self.side
        canvas = canvas_height, canvas_width
        vertical = canvas_height / height
        horizontal = canvas_width / width
        if horizontal < vertical:
            content = int(height * horizontal), canvas_width
        else:
            content = canvas_height, int(width * vertical)
        # `dynamic_preprocess` refuses them.
        if min(content) < 10:
            raise InputError(
                f"Expected an image that is at least 10 pixels high and wide on {by(canvas)}, got "
                f"one of {size}."
            )
        return Fitted(content, canvas)


@dataclass(frozen=True)
class TiledCanvas(TileFitRule):
    """Fits an image into the corner of the grid that enlarges it least, or, where all shrink it,
    shrinks it least; of several such grids into the smallest.

    An image is enlarged to one tile at most. That is `get_optimal_tiled_canvas` of
    `mllama/image_processing_mllama.py`.

    Attributes:
        side: of a tile.
        highest: number of tiles.

    >>> TiledCanvas(560, 4).fit((480, 640))
    Fitted(content=(480, 640), canvas=(560, 1120), top=0, left=0)
    """

    side: int
    highest: int

    def fit(self, size: Size) -> Fitted:
        rows, columns = min(self.grids(), key=lambda grid: self._order(size, grid))
        canvas = rows * self.side, columns * self.side
        return Fitted(self.content(size, canvas), canvas)

    def grids(self) -> tuple[Grid, ...]:
        """Return every grid, the one that is taken first of equal ones first."""
        return canvas_grids(self.highest)

    def _order(self, size: Size, grid: Grid) -> tuple[bool, float, int]:
        scale = self.scale(size, grid)
        # False is below True: grids that enlarge the image come first.
        return scale < 1, self.distance(scale), math.prod(grid)

    def scale(self, size: Size, grid: Grid) -> float:
        """Return the scale of an image in a grid."""
        height, width = size
        rows, columns = grid
        return min(rows * self.side / height, columns * self.side / width)

    def distance(self, scale: float) -> float:
        """Return a number that is smaller for a better scale, among those above 1 or below."""
        return scale if scale >= 1 else -scale

    def content(self, size: Size, canvas: Size) -> Size:
        """Return height and width of an image on its canvas."""
        height, width = size
        # A side that is shorter than a tile is enlarged to one; none is enlarged further.
        target_height = min(max(height, self.side), canvas[0])
        target_width = min(max(width, self.side), canvas[1])
        vertical = target_height / height
        horizontal = target_width / width
        if horizontal < vertical:
            content_height = math.floor(height * horizontal) or 1
            return min(content_height, target_height), target_width
        content_width = math.floor(width * vertical) or 1
        return target_height, min(content_width, target_width)


@functools.lru_cache(maxsize=64)
def canvas_grids(highest: int) -> tuple[Grid, ...]:
    """Return every grid of at most `highest` tiles, those of fewer rows first.

    >>> canvas_grids(3)
    ((1, 1), (1, 2), (1, 3), (2, 1), (3, 1))
    """
    grids = []
    for rows in range(1, highest + 1):
        most_columns = highest // rows
        for columns in range(1, most_columns + 1):
            grids.append((rows, columns))
    return tuple(grids)


@dataclass(frozen=True)
class TiledCanvas32(TiledCanvas):
    """The same in the float32 of torch's tensors, with the ties of Llama 4.

    That is `get_best_fit` and `get_max_res_without_distortion` of
    `llama4/image_processing_llama4.py`.

    Attributes:
        enlarges: fit the image into the grid that enlarges it most.

    >>> TiledCanvas32(336, 16).fit((480, 640)).canvas
    (672, 672)
    """

    enlarges: bool = False

    def grids(self) -> tuple[Grid, ...]:
        return grids_by_ratio(self.highest)

    def scale(self, size: Size, grid: Grid) -> float:
        height, width = size
        rows, columns = grid
        vertical = np.float32(rows * self.side) / np.float32(height)
        horizontal = np.float32(columns * self.side) / np.float32(width)
        return float(min(vertical, horizontal))

    def distance(self, scale: float) -> float:
        return -scale if self.enlarges else super().distance(scale)

    def content(self, size: Size, canvas: Size) -> Size:
        height, width = size
        target_height, vertical = self._target(height, canvas[0])
        target_width, horizontal = self._target(width, canvas[1])
        is_wider = horizontal < vertical
        are_floats = isinstance(vertical, float) and isinstance(horizontal, float)
        if not are_floats:
            # torch compares a float32 tensor with a number of Python in float32.
            is_wider = np.float32(horizontal) < np.float32(vertical)
        if is_wider:
            return _floored(height, horizontal, target_height), target_width
        return target_height, _floored(width, vertical, target_width)

    def _target(self, side: int, canvas_side: int) -> tuple[int, Any]:
        """The most that a side of an image may become, and by what it is scaled for that.

        A side of the canvas is a tensor there, and so is what is computed of it, float32; else it
        is a number of Python, float64.
        """
        most = max(side, self.side)
        if self.enlarges or canvas_side < most:
            return canvas_side, np.float32(canvas_side) / np.float32(side)
        return most, most / side


def _floored(n: int, scale: Any, most: int) -> int:
    """A side times a scale, in the type of the scale, rounded down; at least 1."""
    scaled = type(scale)(n) * scale
    return max(min(math.floor(scaled), most), 1)


@dataclass(frozen=True)
class LongestAtLeast(FitRule):
    """Makes the longer side `side` and the other at least `minimum`, in the corner of a square.

    That is `_preprocess` of `aria/image_processing_aria.py`; the shorter side is truncated.

    >>> LongestAtLeast(980, 336).fit((480, 640))
    Fitted(content=(735, 980), canvas=(980, 980), top=0, left=0)
    """

    side: int
    minimum: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.minimum > self.side:
            raise codec.expected(f"at most the side {self.side}", self.minimum, "$.minimum")

    def fit(self, size: Size) -> Fitted:
        height, width = size
        scale = self.side / max(size)
        shorter = int(min(size) * scale)
        shorter = max(shorter, self.minimum)
        content = (self.side, shorter)
        if width >= height:
            content = (shorter, self.side)
        return Fitted(content, (self.side, self.side))

    def describe(self) -> str:
        return f"the longer side to {self.side} pixels, the other to at least {self.minimum}"


# -- two sizes, one after the other --------------------------------------------------------------

LONGEST_SIDE = 4096
"""The longest side of an image of Idefics 3, `MAX_IMAGE_SIZE`."""


@dataclass(frozen=True)
class LongestEven(SizeRule):
    """Makes the longer side `edge`, at most `LONGEST_SIDE`, and the other even, as Idefics 3 does.

    That is `get_resize_output_image_size` of `idefics3/image_processing_idefics3.py`.

    Attributes:
        tile: with `highest`, `edge` is lowered by so much until there are at most so many tiles
            of that side; that is `get_capped_longest_edge` of
            `ultravbert/image_processing_ultravbert.py`.
        highest: number of tiles; None for any.

    >>> LongestEven(1456).output_size((427, 640))
    (972, 1456)
    """

    counts: ClassVar[tuple[str, ...]] = ("highest",)

    edge: int
    tile: int = 1
    highest: int | None = None

    def output_size(self, size: Size) -> Size:
        edge = self.edge
        if self.highest is None:
            return self._of_edge(size, edge)
        whole = WholeTiles(self.tile)
        while edge > self.tile:
            rows, columns = whole.grid(self._of_edge(size, edge))
            if rows * columns <= self.highest:
                break
            edge -= self.tile
        return self._of_edge(size, edge)

    def _of_edge(self, size: Size, edge: int) -> Size:
        height, width = size
        ratio = width / height
        if width >= height:
            even = _even(int(edge / ratio)), edge
        else:
            even = edge, _even(int(edge * ratio))
        if max(even) <= LONGEST_SIDE:
            return even
        # Of an odd `edge`, the other side may be the longer one now.
        height, width = even
        ratio = width / height
        if width >= height:
            return max(int(LONGEST_SIDE / ratio), 1), LONGEST_SIDE
        return LONGEST_SIDE, max(int(LONGEST_SIDE * ratio), 1)

    def describe(self) -> str:
        longest = min(self.edge, LONGEST_SIDE)
        words = f"the longer side to {longest} pixels, the other to an even number"
        if self.highest is not None:
            tile = by((self.tile, self.tile))
            words += f", for at most {self.highest} tiles of {tile}"
        return words


def _even(n: int) -> int:
    """The next even number; of 0, 1 pixel."""
    return max(n + n % 2, 1)


@dataclass(frozen=True)
class WholeTiles(SizeRule):
    """Makes the longer side a multiple of `side`, rounded up, and then the other one too.

    That is `resize_for_vision_encoder` of `idefics3/image_processing_idefics3.py`.

    >>> WholeTiles(364).output_size((972, 1456))
    (1092, 1456)
    """

    side: int

    def grid(self, size: Size) -> Grid:
        """Return how many rows and columns of tiles an image of `size` has.

        >>> WholeTiles(364).grid((972, 1456))
        (3, 4)
        """
        height, width = size
        ratio = width / height
        # The other side is truncated to pixels before it is rounded up to tiles, as there.
        if width >= height:
            columns = math.ceil(width / self.side)
            scaled_height = int(columns * self.side / ratio)
            return math.ceil(scaled_height / self.side), columns
        rows = math.ceil(height / self.side)
        scaled_width = int(rows * self.side * ratio)
        return rows, math.ceil(scaled_width / self.side)

    def output_size(self, size: Size) -> Size:
        rows, columns = self.grid(size)
        return rows * self.side, columns * self.side

    def describe(self) -> str:
        return f"both sides up to multiples of {self.side} pixels"
