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
from typing import ClassVar

from jaxprep import codec
from jaxprep.bounds import MAX_PIXELS, check_size
from jaxprep.ops.fit import FitRule, Fitted
from jaxprep.ops.resize import SizeRule
from jaxprep.ops.words import by
from jaxprep.types import Size

Grid = tuple[int, int]


def check_tiles(count: int, tile: Size, where: str) -> None:
    """Raise `ConfigError` where `count` tiles have more pixels than an image may have.

    Args:
        tile: height and width of a tile, in pixels.
        where: the place of the number in a config.

    >>> check_tiles(12, (384, 384), "$.max_patches")
    """
    most = MAX_PIXELS // (tile[0] * tile[1])
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
    """Base class of rules that stretch an image to a grid of whole tiles.

    >>> issubclass(ClosestRatio, TileRule)
    True
    """

    tile: Size

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

    counts: ClassVar[tuple[str, ...]] = ("lowest", "highest", "longest")

    tile: Size
    lowest: int
    highest: int
    longest: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_size(self.tile, "$.tile")
        check_tiles(self.highest, self.tile, "$.highest")

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
