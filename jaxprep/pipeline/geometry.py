"""From steps and a size to tables: the geometry of a chain of steps, folded axis by axis on the
host.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from jaxprep.errors import InputError
from jaxprep.ops.crop import PadToNextMultiple
from jaxprep.ops.resize import Resize
from jaxprep.ops.step import OUTSIDE, AxisMap, Geometry, Pointwise, Select, affine_of_rows
from jaxprep.resample.references import REFERENCES, vertical_first
from jaxprep.resample.resize import Arithmetic, arithmetic_of
from jaxprep.resample.tables import Taps, fit, resize_taps
from jaxprep.types import Size

COPY_SHIFT = 8
"""Fractional bits on an axis that only copies while the other is summed in integers."""


@dataclass(frozen=True)
class Fill:
    """In the chain of a segment: here the padding of its step number `number` gets its value."""

    number: int
    value: float | tuple[float, ...]


@dataclass(frozen=True)
class Segment:
    """As many steps as one pass over each axis can do: geometry with at most one resize, then what
    is pointwise.

    Attributes:
        moves: the steps that move pixels, in order.
        chain: the pointwise steps and, at their places among them, the fills of the padding among
            `moves`.
    """

    moves: tuple[Geometry, ...] = ()
    chain: tuple[Pointwise | Fill, ...] = ()

    def __hash__(self) -> int:
        return self._hash

    @functools.cached_property
    def _hash(self) -> int:
        """Kept: a segment is a key of every cache that an eager call looks into."""
        return hash((self.moves, self.chain))

    @functools.cached_property
    def resize(self) -> Resize | None:
        """The one step that mixes pixels."""
        return next((move for move in self.moves if isinstance(move, Resize) and mixes(move)), None)

    @property
    def arithmetic(self) -> Arithmetic:
        return (
            "copy"
            if self.resize is None
            else arithmetic_of(self.resize.method, self.resize.reference)
        )


def mixes(step: Geometry) -> bool:
    """Whether a step computes sums of pixels; others copy them."""
    return isinstance(step, Resize) and step.method != "nearest"


@functools.lru_cache(maxsize=1024)
def segments(steps: tuple[Geometry | Pointwise, ...]) -> tuple[Segment, ...]:
    """The steps, cut before every resize that cannot share its passes with what precedes it.

    | before a resize | why it is cut |
    |---|---|
    | another resize | each rounds, or mixes pixels the next would mix again |
    | nearest, or mirrored padding | what they leave is no window of the source |
    | a pointwise step | it changes the values that the resize mixes |
    | padding with a value other than 0 | 0 is left out of the sums; another value would have to be added |
    """
    found = [Segment()]
    for step in steps:
        last = found[-1]
        if not isinstance(step, Geometry):
            found[-1] = replace(last, chain=(*last.chain, step))
            continue
        if mixes(step) and not _can_precede_a_resize(last):
            last = Segment()
            found.append(last)
        chain = last.chain
        if isinstance(step, Select):
            chain = (*chain, Fill(len(last.moves) + 1, step.fill))
        found[-1] = Segment((*last.moves, step), chain)
    return tuple(found)


def _can_precede_a_resize(segment: Segment) -> bool:
    blank = all(
        isinstance(part, Fill) and not np.any(np.asarray(part.value)) for part in segment.chain
    )
    return blank and not any(isinstance(move, Resize | PadToNextMultiple) for move in segment.moves)


class AxisTable(NamedTuple):
    """What a segment does to one axis of an image of one size.

    Attributes:
        taps: the table of the whole segment; None leaves the axis as it is.
        edge: `(m,)` int8: 0 where the result is computed, otherwise the number of the `Fill` that
            it belongs to.
        length: m.
        map: where positions go.
    """

    taps: Taps | None
    edge: np.ndarray
    length: int
    map: AxisMap

    @property
    def count(self) -> int:
        return 1 if self.taps is None else self.taps.weight.shape[1]


class Folded(NamedTuple):
    """What a segment does to an image of one size.

    Attributes:
        size: of the result.
        first: whether the vertical pass comes first.
        used: for each `Fill` of the chain, whether anything is filled.
    """

    vertical: AxisTable
    horizontal: AxisTable
    size: Size
    first: bool
    used: tuple[bool, ...]


@functools.lru_cache(maxsize=8192)
def fold(segment: Segment, size: Size) -> Folded:
    """The tables of a segment for an image of `size`."""
    axes = [_Axis(n) for n in size]
    first = True
    for number, step in enumerate(segment.moves, 1):
        current = (axes[0].length, axes[1].length)
        if isinstance(step, Resize):
            out = step.output_size(current)
            if mixes(step):
                first = vertical_first(REFERENCES[step.reference], current, out)
            for axis, m in zip(axes, out, strict=True):
                axis.resize(m, step)
        elif isinstance(step, Select):
            for axis, rows, moved in zip(axes, step.rows(current), step.maps(current), strict=True):
                axis.select(rows, moved, number)
    vertical, horizontal = (axis.table() for axis in axes)
    used = tuple(
        bool((vertical.edge == part.number).any() or (horizontal.edge == part.number).any())
        for part in segment.chain
        if isinstance(part, Fill)
    )
    return Folded(vertical, horizontal, (vertical.length, horizontal.length), first, used)


def fold_all(parts: tuple[Segment, ...], size: Size) -> tuple[Folded, ...]:
    """Every segment's tables for an image of `size`, each at the size that the one before it
    leaves.
    """
    folded = []
    for segment in parts:
        folded.append(fold(segment, size))
        size = folded[-1].size
        if not min(size):
            raise InputError(f"Expected a result with pixels, got size {size}.")
    return tuple(folded)


class _Axis:
    """One axis while it is folded: `rows` points into the source, or into `taps` once there are
    any.
    """

    def __init__(self, n: int):
        self.source = self.length = n
        self.rows = np.arange(n)
        self.edge = np.zeros(n, np.int8)
        self.taps: Taps | None = None
        self.map: AxisMap = (1.0, 0.0)

    def _then(self, scale: float, shift: float) -> None:
        self.map = (self.map[0] * scale, self.map[1] * scale + shift)

    def select(self, rows: np.ndarray, moved: AxisMap, number: int) -> None:
        self._then(*moved)
        self._take(rows, number)

    def _take(self, rows: np.ndarray, number: int) -> None:
        inside = rows != OUTSIDE
        kept = np.where(inside, rows, 0)
        self.edge = np.where(inside, self.edge[kept], np.int8(number))
        self.rows = np.where(inside, self.rows[kept], OUTSIDE)
        self.length = len(rows)

    def resize(self, m: int, step: Resize) -> None:
        n = self.length
        if n == m:
            return
        self._then(m / n, 0.0)
        table = resize_taps(n, m, step.method, step.antialias, step.reference)
        if step.method == "nearest":
            self._take(table.start, 0)
            return
        self.taps = _pull_back(table, self.rows, self.source)
        self.rows, self.edge, self.length = np.arange(m), np.zeros(m, np.int8), m

    def table(self) -> AxisTable:
        inside = self.rows != OUTSIDE
        kept = np.where(inside, self.rows, 0).astype(np.int32)
        if self.taps is None:
            if np.array_equal(self.rows, np.arange(self.source)):
                return AxisTable(None, self.edge, self.length, self.map)
            return AxisTable(
                Taps(kept, inside[:, None].astype(np.float32), np.int32(0)),
                self.edge,
                self.length,
                self.map,
            )
        start, weight, shift = self.taps
        weight = np.where(inside[:, None], weight[kept], weight.dtype.type(0))
        return AxisTable(Taps(start[kept], weight, shift), self.edge, self.length, self.map)


def _pull_back(table: Taps, rows: np.ndarray, n: int) -> Taps:
    """A table over the pixels that `rows` selected, as a table over the `n` pixels they were
    selected from.

    `rows` is a window of the source, forwards or backwards; taps outside it read zeros and are left
    out.
    """
    start, weight, shift = table
    if np.array_equal(rows, np.arange(n)):
        return table
    taps = start[:, None] + np.arange(weight.shape[1])
    weight = np.where(rows[taps] != OUTSIDE, weight, weight.dtype.type(0))
    scale, offset = affine_of_rows(rows)
    if scale < 0:  # position j of the result is source offset - 1 - j
        return Taps(*fit(int(offset) - start - weight.shape[1], weight[:, ::-1], n), shift)
    return Taps(*fit(start - int(offset), weight, n), shift)


def as_taps(table: AxisTable, segment: Segment) -> Taps:
    """The table of an axis, also where it only copies, in the arithmetic of its segment."""
    taps = table.taps
    if taps is not None and (taps.weight.dtype != np.float32) == (segment.arithmetic == "integer"):
        return taps
    start = np.arange(table.length, dtype=np.int32) if taps is None else taps.start
    weight = np.ones((table.length, 1), np.float32) if taps is None else taps.weight
    if segment.arithmetic == "integer":
        assert segment.resize is not None
        whole = weight * (1 << COPY_SHIFT)
        return Taps(
            start, whole.astype(REFERENCES[segment.resize.reference].integer), np.int32(COPY_SHIFT)
        )
    return Taps(start, weight, np.int32(0))
