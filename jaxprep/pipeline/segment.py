"""A segment: as many steps as one pass over each axis can do, and the tables of its geometry."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.pipeline.step import MAX_PIXELS, FillValue, Geometry
from jaxprep.resample.passes import Arithmetic
from jaxprep.resample.references import REFERENCES
from jaxprep.resample.tables import AxisTable, HostAxis, Resample, Taps, vertical_first
from jaxprep.types import Size

COPY_SHIFT = 8
"""Fractional bits of the weight 1 on an axis that only copies while the other is summed in
integers; the engine for TPU takes 8 to 22."""


class PaddingSlot(NamedTuple):
    """The place among the pointwise steps of a segment where padding gets its value.

    Attributes:
        number: of the geometric step: 1, 2, ... in `geometry`, -1, -2, ... in `drawn`, which
            programs number without knowing how many steps of `geometry` made their tables.
        value: in the unit that the values have at this place.
    """

    number: int
    value: FillValue


class Placed(NamedTuple):
    """A step, and where its draw is.

    Attributes:
        step: the step.
        index: of the step in the pipeline, if it is random; otherwise None, so that equal segments
            of different pipelines share a program.
    """

    step: Any
    index: int | None = None

    def draw(self, draws: Sequence[Any] | None) -> Any:
        """The draw of the step."""
        return None if self.index is None or draws is None else draws[self.index]


@dataclass(frozen=True)
class Segment:
    """As many steps as one pass over each axis can do.

    Attributes:
        opaque: a step that is any function of the image; it comes first.
        geometry: the steps that move pixels, in order, with at most one resize.
        drawn: geometric steps after them whose numbers are drawn in the program.
        pointwise: the pointwise steps and, at their places among them, the values of the padding.
    """

    opaque: Placed | None = None
    geometry: tuple[Geometry, ...] = ()
    drawn: tuple[Placed, ...] = ()
    pointwise: tuple[Placed | PaddingSlot, ...] = ()

    def __hash__(self) -> int:
        return self._hash

    @functools.cached_property
    def _hash(self) -> int:
        """Kept: a segment is a key of every cache that an eager call looks into."""
        return hash((self.opaque, self.geometry, self.drawn, self.pointwise))

    @property
    def moves_pixels(self) -> bool:
        """Whether any geometric step is in it."""
        return bool(self.geometry or self.drawn)

    def until(self, placed: Placed) -> Segment:
        """The segment up to one of its drawn steps."""
        end = self.drawn.index(placed) + 1
        return replace(self, drawn=self.drawn[:end])

    @functools.cached_property
    def mixing(self) -> Geometry | None:
        """The one step that computes sums of pixels."""
        moving = (*self.geometry, *(placed.step for placed in self.drawn))
        return next((step for step in moving if step.resampling is not None), None)

    @property
    def arithmetic(self) -> Arithmetic:
        """How its passes sum."""
        if self.mixing is None:
            return "copy"
        assert self.mixing.resampling is not None
        reference = REFERENCES[self.mixing.resampling.reference]
        return "float" if reference.integer is None else "integer"


class SegmentTables(NamedTuple):
    """What the geometry of a segment does to an image of one size.

    Attributes:
        vertical, horizontal: the tables of the two axes.
        size: height and width of the result, after drawn steps too.
        vertical_first: whether the vertical pass comes first.
        used: for each `PaddingSlot`, whether anything is filled.
    """

    vertical: AxisTable
    horizontal: AxisTable
    size: Size
    vertical_first: bool
    used: tuple[bool, ...]


@functools.lru_cache(maxsize=8192)
def segment_tables(segment: Segment, size: Size) -> SegmentTables:
    """Makes the tables of a segment's `geometry` for an image of `size`, on the host.

    Raises:
        InputError: a result would have no pixels, or more than `MAX_PIXELS`.
    """
    if segment.opaque is not None:
        size = segment.opaque.step.output_size(size)
    axes = HostAxis(size[0]), HostAxis(size[1])
    first = True
    for number, step in enumerate(segment.geometry, 1):
        before = (axes[0].length, axes[1].length)
        for axis, axis_steps in zip(axes, step.axes(before), strict=True):
            for axis_step in axis_steps:
                check_declared(step, axis_step)
                axis.apply(axis_step, number)
        after = (axes[0].length, axes[1].length)
        check_has_pixels(after)
        if step.resampling is not None:
            first = vertical_first(REFERENCES[step.resampling.reference], before, after)
    vertical, horizontal = axes[0].table(), axes[1].table()
    used = []
    for slot in segment.pointwise:
        if isinstance(slot, PaddingSlot):
            in_rows = (vertical.edge == slot.number).any()
            in_columns = (horizontal.edge == slot.number).any()
            is_drawn = slot.number < 0
            used.append(bool(in_rows or in_columns or is_drawn))
    out = (vertical.length, horizontal.length)
    for placed in segment.drawn:
        out = placed.step.output_size(out)
    check_has_pixels(out)
    # only what a segment leaves is stored: sizes between its steps cost nothing
    if out[0] * out[1] > MAX_PIXELS:
        raise InputError(
            f"Expected a result of at most {MAX_PIXELS} pixels, got {out} from an image of size "
            f"{size}."
        )
    return SegmentTables(vertical, horizontal, out, first, tuple(used))


def check_has_pixels(size: Size) -> None:
    """Raises `InputError` where a side is 0."""
    if not min(size):
        raise InputError(f"Expected a result with pixels, got size {size}.")


def check_declared(step: Geometry, axis_step: Any) -> None:
    mixes = isinstance(axis_step, Resample) and axis_step.method != "nearest"
    if mixes and step.resampling is None:
        raise InputError(
            f"Expected `{type(step).__name__}.resampling` to say how its `Resample` mixes pixels, "
            "got None."
        )


def all_tables(parts: Sequence[Segment], size: Size) -> tuple[SegmentTables, ...]:
    """Makes every segment's tables for an image of `size`, each at the size that the one before it
    leaves."""
    tables = []
    for segment in parts:
        tables.append(segment_tables(segment, size))
        size = tables[-1].size
    return tuple(tables)


def in_arithmetic(
    table: AxisTable, arithmetic: Arithmetic, reference: str | None, length: int
) -> Taps:
    """The table of an axis, also where it only copies, with weights as its segment sums them.

    Args:
        arithmetic, reference: of the segment; not those of `Stage.segment`, which lacks its
            `geometry`.
        length: how many rows the table has, if it has none of its own.
    """
    taps = table.taps
    is_integer = arithmetic == "integer"
    if taps is not None and (taps.weight.dtype != np.float32) == is_integer:
        return taps
    start = np.arange(length, dtype=np.int32) if taps is None else taps.start
    weight = np.ones((length, 1), np.float32) if taps is None else taps.weight
    if not is_integer:
        return Taps(start, weight, np.int32(0))
    assert reference is not None
    integer = REFERENCES[reference].integer
    xp: Any = np if isinstance(weight, np.ndarray) else jnp
    ones = (weight * (1 << COPY_SHIFT)).astype(xp.dtype(integer))
    return Taps(start, ones, np.int32(COPY_SHIFT))
