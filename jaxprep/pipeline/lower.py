"""From steps to segments: how many passes over the pixels a pipeline takes, and which steps share
one.

A segment is as many steps as one pass over each axis can do. The table of legal rewrites is in
`segments`; `segment_tables` makes the tap tables of a segment for an image of one size.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.pipeline.step import FillValue, Geometry, Layout, Opaque, Pointwise, Step
from jaxprep.resample.passes import Arithmetic
from jaxprep.resample.references import REFERENCES
from jaxprep.resample.tables import (
    AxisTable,
    HostAxis,
    Resample,
    Take,
    Taps,
    TracedAxis,
    vertical_first,
)
from jaxprep.types import Size

COPY_SHIFT = 9
"""Fractional bits of the weight 1 on an axis that only copies while the other is summed in
integers; the engine for TPU needs at least 9."""


class PaddingSlot(NamedTuple):
    """The place among the pointwise steps of a segment where padding gets its value.

    Attributes:
        number: of the geometric step, counted from 1 in its segment.
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
        number: of a geometric step in `Segment.drawn`, counted from 1 in its segment; see
            `PaddingSlot`.
    """

    step: Any
    index: int | None = None
    number: int = 0

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
        return "integer" if REFERENCES[self.mixing.resampling.reference].is_integer else "float"


class Lowered(NamedTuple):
    """A pipeline as it is run.

    Attributes:
        steps: without layouts.
        segments: what they are cut into.
        exact: see `Pipeline`.
        layout: of the results; None for `(h, w, c)`.
        reads_channels_first: whether images come as `(c, h, w)`.
        exact_sizes: images go on canvases of their own size, as a step sees the whole array.
        kinds: the names of the masks in `Batch.extras`.
        mask: the pipeline that masks go through; None without `kinds`.
        mask_indices: for each step of `mask`, the index of the step that it follows.
    """

    steps: tuple[Step, ...]
    segments: tuple[Segment, ...]
    exact: bool = False
    layout: Layout | None = None
    reads_channels_first: bool = False
    exact_sizes: bool = False
    kinds: tuple[str, ...] = ()
    mask: Any = None
    mask_indices: tuple[int, ...] = ()

    @property
    def writes_channels_first(self) -> bool:
        """Whether results are `(c, h, w)`."""
        return self.layout is not None and self.layout.planar


@functools.lru_cache(maxsize=1024)
def segments(steps: tuple[Step, ...]) -> tuple[Segment, ...]:
    """Cuts the steps (without layouts) into segments.

    | a new segment begins before | because |
    |---|---|
    | an opaque step | it sees the finished image |
    | a resize, after another resize | each rounds, or mixes pixels the next would mix again |
    | a resize, after nearest or mirrored padding | what they leave is no window of the source |
    | a resize, after a pointwise step | it changes the values that the resize mixes |
    | a resize, after padding that is not 0 | 0 is left out of the sums; another value is not |
    | a step of unknown size, after a drawn one | its size rule is arithmetic on the host |
    """
    cut = [Segment()]
    static_size: Size | None = None
    for index, step in enumerate(steps):
        placed = Placed(step, index if step.is_random else None)
        last = cut[-1]
        if isinstance(step, Opaque):
            cut.append(Segment(opaque=placed))
            static_size = None if static_size is None else step.output_size(static_size)
        elif isinstance(step, Pointwise):
            cut[-1] = replace(last, pointwise=(*last.pointwise, placed))
        else:
            assert isinstance(step, Geometry)
            if _needs_new_segment(step, last, static_size):
                cut.append(Segment())
            cut[-1] = _with_geometry(cut[-1], step, placed)
            static_size = _static_size(step, static_size)
            if step.is_random and step.static_output_size is None:
                static_size = None  # known beforehand, but traced in a program with a plan
    has_steps = [segment for segment in cut if segment != Segment()]
    return tuple(has_steps) or (Segment(),)


def _needs_new_segment(step: Geometry, segment: Segment, static_size: Size | None) -> bool:
    if step.resampling is not None and not _can_precede_a_resize(segment, step):
        return True
    follows_a_draw = bool(segment.drawn) and not step.is_random
    return follows_a_draw and static_size is None


def _can_precede_a_resize(segment: Segment, step: Geometry) -> bool:
    paddings = [part for part in segment.pointwise if isinstance(part, PaddingSlot)]
    if len(paddings) < len(segment.pointwise):
        return False
    if any(np.any(np.asarray(padding.value)) for padding in paddings):
        return False
    if (segment.drawn or step.is_random) and segment.geometry:
        return False  # a resize in the program begins from the source, not from a table
    moving = (*segment.geometry, *(placed.step for placed in segment.drawn))
    return all(before.keeps_window and before.resampling is None for before in moving)


def _with_geometry(segment: Segment, step: Geometry, placed: Placed) -> Segment:
    number = len(segment.geometry) + len(segment.drawn) + 1
    slot = PaddingSlot(number, step.fill)
    pointwise = segment.pointwise
    if step.resampling is None:
        pointwise = (*pointwise, slot)
    if step.is_random or segment.drawn:
        numbered = placed._replace(number=number)
        return replace(segment, drawn=(*segment.drawn, numbered), pointwise=pointwise)
    return replace(segment, geometry=(*segment.geometry, step), pointwise=pointwise)


def _static_size(step: Geometry, before: Size | None) -> Size | None:
    if step.static_output_size is not None:
        return step.static_output_size
    return None if before is None else step.output_size(before)


def output_channels(parts: Sequence[Segment], channels: int) -> int:
    """How many channels come of an image of `channels`."""
    for segment in parts:
        if segment.opaque is not None:
            channels = segment.opaque.step.output_channels(channels)
        for part in segment.pointwise:
            if isinstance(part, Placed):
                channels = part.step.output_channels(channels)
    return channels


def static_sizes(parts: Sequence[Segment]) -> list[Size | None]:
    """For each segment the size of every result; None where it depends on the image."""
    sizes: list[Size | None] = []
    size: Size | None = None
    for segment in parts:
        if segment.opaque is not None and size is not None:
            size = segment.opaque.step.output_size(size)
        for step in segment.geometry:
            size = _static_size(step, size)
        for placed in segment.drawn:
            size = _static_size(placed.step, size)
        sizes.append(size)
    return sizes


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
    """Makes the tables of a segment's `geometry` for an image of `size`, on the host."""
    if segment.opaque is not None:
        size = segment.opaque.step.output_size(size)
    axes = HostAxis(size[0]), HostAxis(size[1])
    first = True
    for number, step in enumerate(segment.geometry, 1):
        before = (axes[0].length, axes[1].length)
        with jax.ensure_compile_time_eval():  # `axes` may call `jax.numpy`, also inside of `jit`
            steps_of_axes = step.axes(before)
        for axis, axis_steps in zip(axes, steps_of_axes, strict=True):
            for axis_step in axis_steps:
                _check_declared(step, axis_step)
                axis.apply(axis_step, number)
        if step.resampling is not None:
            after = (axes[0].length, axes[1].length)
            first = vertical_first(REFERENCES[step.resampling.reference], before, after)
    vertical, horizontal = axes[0].table(), axes[1].table()
    used = []
    for slot in segment.pointwise:
        if isinstance(slot, PaddingSlot):
            in_rows = (vertical.edge == slot.number).any()
            in_columns = (horizontal.edge == slot.number).any()
            is_drawn = slot.number > len(segment.geometry)
            used.append(bool(in_rows or in_columns or is_drawn))
    out = (vertical.length, horizontal.length)
    for placed in segment.drawn:
        out = placed.step.output_size(out)
    return SegmentTables(vertical, horizontal, out, first, tuple(used))


def _check_declared(step: Geometry, axis_step: Any) -> None:
    mixes = isinstance(axis_step, Resample) and axis_step.method != "nearest"
    if mixes and step.resampling is None:
        raise InputError(
            f"Expected `{type(step).__name__}.resampling` to say how its `Resample` mixes pixels, "
            "got None."
        )
    repeats = isinstance(axis_step, Take) or getattr(axis_step, "method", None) == "nearest"
    if repeats and step.keeps_window:
        raise InputError(
            f"Expected `{type(step).__name__}.keeps_window` to be False, as its "
            f"`{type(axis_step).__name__}` leaves out or repeats pixels: a resize cannot share its "
            "pass."
        )


def all_tables(parts: Sequence[Segment], size: Size) -> tuple[SegmentTables, ...]:
    """Makes every segment's tables for an image of `size`, each at the size that the one before it
    leaves."""
    tables = []
    for segment in parts:
        tables.append(segment_tables(segment, size))
        size = tables[-1].size
        if not min(size):
            raise InputError(f"Expected a result with pixels, got size {size}.")
    return tuple(tables)


class DrawnTables(NamedTuple):
    """What a segment with drawn steps does to one image, made in the program; see
    `SegmentTables`."""

    vertical: AxisTable
    horizontal: AxisTable
    size: tuple[Any, Any]


def drawn_tables(
    segment: Segment, vertical: AxisTable, horizontal: AxisTable, source: Size, draws: Any
) -> DrawnTables:
    """Continues the tables of a segment's `geometry` with its drawn steps, inside the program.

    Args:
        vertical, horizontal: the tables of `geometry`; their lengths may be traced.
        source: height and width of the canvas, which bound the taps.
        draws: of all steps of the pipeline.
    """
    axes = TracedAxis(vertical, source[0]), TracedAxis(horizontal, source[1])
    for placed in segment.drawn:
        size = (axes[0].length, axes[1].length)
        axis_steps = placed.step.axes(size, placed.draw(draws))
        for axis, steps in zip(axes, axis_steps, strict=True):
            for axis_step in steps:
                _check_declared(placed.step, axis_step)
                axis.apply(axis_step, placed.number)
    return DrawnTables(axes[0].table(), axes[1].table(), (axes[0].length, axes[1].length))


def in_arithmetic(table: AxisTable, segment: Segment, length: int) -> Taps:
    """The table of an axis, also where it only copies, with weights as its segment sums them.

    Args:
        length: how many rows the table has, if it has none of its own.
    """
    taps = table.taps
    is_integer = segment.arithmetic == "integer"
    if taps is not None and (taps.weight.dtype != np.float32) == is_integer:
        return taps
    start = np.arange(length, dtype=np.int32) if taps is None else taps.start
    weight = np.ones((length, 1), np.float32) if taps is None else taps.weight
    if not is_integer:
        return Taps(start, weight, np.int32(0))
    assert segment.mixing is not None and segment.mixing.resampling is not None
    integer = REFERENCES[segment.mixing.resampling.reference].integer
    xp: Any = np if isinstance(weight, np.ndarray) else jnp
    ones = (weight * (1 << COPY_SHIFT)).astype(xp.dtype(integer))
    return Taps(start, ones, np.int32(COPY_SHIFT))
