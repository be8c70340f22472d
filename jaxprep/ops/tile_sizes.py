"""Computes the canvas of an image that is cut into tiles, for `Resize(rule=...)` and
`Fit(rule=...)`, on the host.

They are the rules of vision-language models in https://github.com/huggingface/transformers, version
5.24, below src/transformers/models/. A grid is `(rows, columns)`, a size `(height, width)`.
"""

from __future__ import annotations

import functools
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
    most = min(MOST_TILES, MAX_PIXELS // (tile[0] * tile[1]))
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
    sides = range(1, min(highest, longest or highest) + 1)
    grids = [
        (rows, columns)
        for columns in sides
        for rows in sides[: highest // columns]
        if lowest <= rows * columns
    ]
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
        return rows * self.tile[0], columns * self.tile[1]


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
        ratio = width / height
        tile_area = self.tile[0] * self.tile[1]
        least_difference = math.inf
        best = (1, 1)
        for rows, columns in grids_of(self.lowest, self.highest, self.longest):
            difference = abs(ratio - columns / rows)
            is_filled = height * width > 0.5 * tile_area * columns * rows
            if difference < least_difference or (difference == least_difference and is_filled):
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
        ratio = size[1] / size[0]
        usual = self.usual.grid(size)
        is_dense = self.scale > 0 or self.above > 0
        if self.above > 0:
            is_dense = is_dense and ratio > self.above
        if self.at_most > 0:
            is_dense = is_dense and ratio <= self.at_most
        if self.scale > 0:
            is_dense = is_dense and usual[1] * self.tile[1] / size[1] < self.scale
        return self.dense.grid(size) if is_dense else usual

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
        side = self.tile[0]

        def scale(grid: Grid) -> float:
            return min(grid[1] * side / size[1], grid[0] * side / size[0])

        grids = grids_of(1, self.highest)
        enlarging = [grid for grid in grids if scale(grid) >= 1]
        return min(enlarging, key=scale) if enlarging else max(grids, key=scale)

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
        heights = _parts(size[0], grid[1])
        widths = _parts(size[1], grid[0])
        # Summed row by row, as there.
        area = sum(self._shown(height, width) for height in heights for width in widths)
        return area / (size[0] * size[1])

    def _shown(self, height: int, width: int) -> float:
        longer, shorter = max(height, width), min(height, width)
        side = self.tile[0]
        return shorter / longer * side * side if longer > side else longer * shorter

    def describe(self) -> str:
        return f"to at most {self.highest} tiles of {by(self.tile)} that cover it"


COVERED = 0.9
"""`covering_threshold`, which is no setting."""


@functools.lru_cache(maxsize=1024)
def _covering_grid(rule: CoveredArea, size: Size) -> Grid:
    """The grid of `rule`, kept: of 1,024 tiles it takes seconds, and a call asks several times."""
    covered = {grid: rule.covered(size, grid) for grid in grids_of(1, rule.highest)}
    enough = [grid for grid, share in covered.items() if share > COVERED]
    if enough:
        return min(enough, key=lambda grid: (grid[0] * grid[1], -covered[grid]))
    return min(covered, key=lambda grid: (-covered[grid], grid[0] * grid[1]))


def _parts(length: int, count: int) -> list[int]:
    """The lengths of `count` parts; the last has what is left."""
    part = length // count
    return [part] * (count - 1) + [length - part * (count - 1)]


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
        best, longest = None, 0.0
        for columns, rows in grids_by_ratio(self.highest):
            if rows * self.tile[0] < size[0] or columns * self.tile[1] < size[1]:
                continue
            shorter = self._shorter(size, (rows, columns))
            if best is None or shorter >= longest:
                best, longest = (rows, columns), shorter
        return best or self._nearest(size)

    def _shorter(self, size: Size, grid: Grid) -> float:
        """The shorter side of an image in a grid."""
        height, width = size
        ratio = width / height
        scale = min(grid[1] * self.tile[1] / width, grid[0] * self.tile[0] / height)
        if ratio > 1:
            return math.floor(scale * width / ratio)
        # Of a square, the height is compared, which is not rounded.
        return scale * height if ratio == 1 else math.floor(scale * height * ratio)

    def _nearest(self, size: Size) -> Grid:
        ratio = size[1] / size[0]
        by_ratio: dict[float, list[Grid]] = {}
        for columns, rows in grids_by_ratio(self.highest):
            by_ratio.setdefault(columns / rows, []).append((rows, columns))
        if ratio >= 1:
            nearest = min(
                [key for key in by_ratio if key <= ratio], key=lambda key: abs(key - ratio)
            )
            return max(by_ratio[nearest], key=lambda grid: grid[1])
        higher = [key for key in by_ratio if key > ratio]
        nearest = min(higher, key=lambda key: abs(1 / key - 1 / ratio))
        return max(by_ratio[nearest], key=lambda grid: grid[0])

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
                by_ratio.setdefault(first / second, []).append((first, second))
    return tuple(pair for pairs in by_ratio.values() for pair in pairs)


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
        top, left = ((n - m) // 2 for n, m in zip(canvas, content, strict=True))
        return Fitted(content, canvas, top, left)

    def describe(self) -> str:
        return f"into the best of {len(self.resolutions)} resolutions"


def _kept_and_unused(size: Size, resolution: Size) -> tuple[int, int]:
    """How many pixels of an image a resolution keeps, and minus those that it does not use."""
    height, width = size
    scale = min(resolution[1] / width, resolution[0] / height)
    kept = min(int(width * scale) * int(height * scale), width * height)
    return kept, kept - resolution[0] * resolution[1]


def _ceiled(size: Size, canvas: Size) -> Size:
    """The largest size inside a canvas in the ratio of `size`, rounded up."""
    height, width = size
    vertical, horizontal = canvas[0] / height, canvas[1] / width
    if horizontal < vertical:
        return min(math.ceil(height * horizontal), canvas[0]), canvas[1]
    return canvas[0], min(math.ceil(width * vertical), canvas[1])


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
        canvas = rows * self.side, columns * self.side
        vertical, horizontal = canvas[0] / height, canvas[1] / width
        if horizontal < vertical:
            content = int(height * horizontal), canvas[1]
        else:
            content = canvas[0], int(width * vertical)
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
        return scale < 1, self.distance(scale), grid[0] * grid[1]

    def scale(self, size: Size, grid: Grid) -> float:
        """Return the scale of an image in a grid."""
        return min(n * self.side / side for n, side in zip(grid, size, strict=True))

    def distance(self, scale: float) -> float:
        """Return a number that is smaller for a better scale, among those above 1 or below."""
        return scale if scale >= 1 else -scale

    def content(self, size: Size, canvas: Size) -> Size:
        """Return height and width of an image on its canvas."""
        target = tuple(min(max(n, self.side), m) for n, m in zip(size, canvas, strict=True))
        vertical, horizontal = (n / m for n, m in zip(target, size, strict=True))
        if horizontal < vertical:
            return min(math.floor(size[0] * horizontal) or 1, target[0]), target[1]
        return target[0], min(math.floor(size[1] * vertical) or 1, target[1])


@functools.lru_cache(maxsize=64)
def canvas_grids(highest: int) -> tuple[Grid, ...]:
    """Return every grid of at most `highest` tiles, those of fewer rows first.

    >>> canvas_grids(3)
    ((1, 1), (1, 2), (1, 3), (2, 1), (3, 1))
    """
    sides = range(1, highest + 1)
    return tuple((rows, columns) for rows in sides for columns in sides[: highest // rows])


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
        scales = (
            np.float32(n * self.side) / np.float32(side) for n, side in zip(grid, size, strict=True)
        )
        return float(min(scales))

    def distance(self, scale: float) -> float:
        return -scale if self.enlarges else super().distance(scale)

    def content(self, size: Size, canvas: Size) -> Size:
        limits = canvas if self.enlarges else tuple(max(n, self.side) for n in size)
        target = tuple(min(pair) for pair in zip(limits, canvas, strict=True))
        # A side of the canvas is a tensor there, and so is what is computed of it.
        are_tensors = [self.enlarges or m < n for n, m in zip(limits, canvas, strict=True)]
        scales: list[Any] = []
        for n, m, is_tensor in zip(target, size, are_tensors, strict=True):
            scales.append(np.float32(n) / np.float32(m) if is_tensor else n / m)
        is_wider = scales[1] < scales[0]
        if any(are_tensors):
            is_wider = np.float32(scales[1]) < np.float32(scales[0])
        if is_wider:
            return _floored(size[0], scales[1], target[0]), target[1]
        return target[0], _floored(size[1], scales[0], target[1])


def _floored(n: int, scale: Any, most: int) -> int:
    """A side times a scale, in the type of the scale, rounded down; at least 1."""
    return max(min(math.floor(type(scale)(n) * scale), most), 1)


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
        scale = self.side / max(size)
        shorter = max(int(min(size) * scale), self.minimum)
        is_wide = size[1] >= size[0]
        content = (shorter, self.side) if is_wide else (self.side, shorter)
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
        ratio = even[1] / even[0]
        if even[1] >= even[0]:
            return max(int(LONGEST_SIDE / ratio), 1), LONGEST_SIDE
        return LONGEST_SIDE, max(int(LONGEST_SIDE * ratio), 1)

    def describe(self) -> str:
        words = (
            f"the longer side to {min(self.edge, LONGEST_SIDE)} pixels, the other to an even number"
        )
        if self.highest is not None:
            words += f", for at most {self.highest} tiles of {by((self.tile, self.tile))}"
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
        if width >= height:
            columns = math.ceil(width / self.side)
            return math.ceil(int(columns * self.side / ratio) / self.side), columns
        rows = math.ceil(height / self.side)
        return rows, math.ceil(int(rows * self.side * ratio) / self.side)

    def output_size(self, size: Size) -> Size:
        rows, columns = self.grid(size)
        return rows * self.side, columns * self.side

    def describe(self) -> str:
        return f"both sides up to multiples of {self.side} pixels"
