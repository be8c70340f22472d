"""A segment: as many steps as one pass over each axis can do, and the tables of its geometry.

What goes in: the steps of a segment, from `lower.segments`, and the size of an image. What comes
out: a tap table for each axis, and the size of the result (`SegmentTables`). No pixels are needed.
Read `plan.py` next, which collects the tables of many images.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep import bounds, codec
from jaxprep.bounds import cached
from jaxprep.errors import InputError
from jaxprep.pipeline.step import FillValue, Geometry
from jaxprep.resample.passes import Arithmetic
from jaxprep.resample.references import REFERENCES
from jaxprep.resample.tables import (
    OUTSIDE,
    AxisStep,
    AxisTable,
    HostAxis,
    Resample,
    Take,
    Taps,
    Window,
    checked_axes,
    output_length,
    vertical_first,
)
from jaxprep.types import Size

COPY_SHIFT = 8
"""Fractional bits of the weight 1 on an axis that only copies while the other is summed in
integers; the engine for TPU takes 8 to 22."""


class PaddingSlot(NamedTuple):
    """Marks where among the pointwise steps of a segment its padding gets its value.

    Formats pad before or after they normalise; in either case the value is written after the
    resize, in the unit that pixels have there.

    Attributes:
        number: of the geometric step, counted from 1 in its segment.
        value: in the unit that pixels have between those steps.

    >>> PaddingSlot(number=1, value=0.0).value
    0.0
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
        around_resize: of a pointwise step that stands right before or after a resize, and is left
            out where that keeps the size of an image; see `Pointwise.around_resize`.

    >>> Placed(step=None, index=1).draw(draws=("a", "b"))
    'b'
    """

    step: Any
    index: int | None = None
    number: int = 0
    around_resize: Literal["before", "after"] | None = None

    @property
    def is_for_all(self) -> bool:
        """Whether the step does the same with every image."""
        return self.index is None and self.around_resize is None

    def draw(self, draws: Sequence[Any] | None) -> Any:
        """Return the draw of the step, or None where it draws nothing."""
        if self.index is None or draws is None:
            return None
        return draws[self.index]


@dataclass(frozen=True)
class Segment:
    """As many steps as one pass over each axis can do.

    Attributes:
        opaque: a step that is any function of the image; it comes first.
        geometry: the steps that move pixels, in order, with at most one resize.
        drawn: geometric steps after them whose numbers are drawn in the program.
        pointwise: the pointwise steps and, where padding comes between them, its values.

    >>> from jaxprep import ops
    >>> Segment(geometry=(ops.Resize((2, 2), reference="pillow"),)).arithmetic
    'integer'
    """

    opaque: Placed | None = None
    geometry: tuple[Geometry, ...] = ()
    drawn: tuple[Placed, ...] = ()
    pointwise: tuple[Placed | PaddingSlot, ...] = ()

    def __hash__(self) -> int:
        return self._hash

    @functools.cached_property
    def _hash(self) -> int:
        """The hash, computed once: a segment is a key of every cache that an eager call looks
        into."""
        return hash((self.opaque, self.geometry, self.drawn, self.pointwise))

    @property
    def moves_pixels(self) -> bool:
        """Whether any step of it is a `Geometry`."""
        return bool(self.geometry or self.drawn)

    @property
    def keeps_canvas(self) -> bool:
        """Whether the pixels stay where they are: what comes out lies on the canvas of what comes
        in."""
        return not self.moves_pixels and self.opaque is None

    @functools.cached_property
    def is_around_resize(self) -> bool:
        """Whether any of its pointwise steps has an `around_resize`."""
        return any(isinstance(part, Placed) and part.around_resize for part in self.pointwise)

    def until(self, placed: Placed) -> Segment:
        """Return the segment up to one of its drawn steps, that step included."""
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

    >>> from jaxprep import ops
    >>> tables = segment_tables(Segment(geometry=(ops.CenterCrop((2, 2)),)), (4, 6))
    >>> tables.size, tables.horizontal.taps.start.tolist()
    ((2, 2), [2, 3])
    """

    vertical: AxisTable
    horizontal: AxisTable
    size: Size
    vertical_first: bool
    used: tuple[bool, ...]


class SegmentSize(NamedTuple):
    """What the geometry of a segment makes of a size.

    Attributes:
        size: height and width of the result, after drawn steps too.
        vertical_first: whether the vertical pass comes first.
        resized: whether its resize, if it has one, changes the size.

    >>> SegmentSize((2, 4), vertical_first=True).size
    (2, 4)
    """

    size: Size
    vertical_first: bool
    resized: bool = False


@functools.lru_cache(maxsize=4096)
def segment_size(segment: Segment, size: Size) -> SegmentSize:
    """Compute the size of the result for an image of `size`, without any table.

    Raises:
        InputError: a step makes a side of no pixels, or of more than `bounds.MAX_SIDE`.

    >>> from jaxprep import ops
    >>> segment_size(Segment(geometry=(ops.Resize((2, 2)), ops.PadTo((4, 4)))), (4, 6)).size
    (4, 4)
    """
    bounds.check_sides(size)
    resized = False
    if segment.opaque is not None:
        before = size
        size = _checked_size(segment.opaque.step, size)
        resized = size != before
    first = True  # of no consequence without a resize: copies may come in any order
    for step in segment.geometry:
        axes = _axes_of(step, size)
        _check_axes(step, axes, size)
        if step.resampling is not None:
            # not the size of the result: what is padded or cropped afterwards is not resized
            lengths = [_resized_length(*pair) for pair in zip(axes, size, strict=True)]
            out = lengths[0], lengths[1]
            resized = out != size
            reference = REFERENCES[step.resampling.reference]
            first = vertical_first(reference, size, out)
        size = output_length(axes[0], size[0]), output_length(axes[1], size[1])
    # the size after drawn steps is static, or arithmetic on the host, by the contract of `Geometry`
    for placed in segment.drawn:
        size = _checked_size(placed.step, size)
        if placed.step.resampling is not None:
            # a reference whose order depends on sizes is refused where the window is drawn
            first = REFERENCES[placed.step.resampling.reference].order == "vertical"
            resized = True
    return SegmentSize(size, first, resized)


def resized_around(parts: Sequence[Segment], i: int, size: Size) -> tuple[bool, bool] | None:
    """Return whether the resize of a segment, and that of the next one, change the size of an
    image; None where no pointwise step of the segment depends on it.

    Args:
        i: the position of the segment.
        size: of the image that it is given.

    >>> from jaxprep.pipeline.lower import segments
    >>> from jaxprep import ops
    >>> parts = segments((ops.Premultiply(), ops.Resize((4, 4)), ops.Unpremultiply()))
    >>> resized_around(parts, 0, (4, 4)), resized_around(parts, 1, (8, 4))
    ((False, False), (True, False))
    """
    if not parts[i].is_around_resize:
        return None
    own = segment_size(parts[i], size)
    is_last = i + 1 == len(parts)
    return own.resized, not is_last and segment_size(parts[i + 1], own.size).resized


def _checked_size(step: Any, size: Size) -> Size:
    """The size that an opaque or drawn step makes of one."""
    out = step.output_size(size)
    name = type(step).__name__
    is_pair = isinstance(out, tuple | list) and len(out) == 2
    if not is_pair or not all(isinstance(n, int | np.integer) for n in out):
        raise InputError(
            f"Expected `{name}.output_size` to return a height and a width, integers, got "
            f"{codec.shown(out)}."
        )
    bounds.check_sides(out, name, size)
    return int(out[0]), int(out[1])


def _axes_of(step: Geometry, size: Size) -> tuple[tuple[AxisStep, ...], tuple[AxisStep, ...]]:
    with jax.ensure_compile_time_eval():  # `axes` may call `jax.numpy`, also inside of `jit`
        return checked_axes(step, step.axes(size))


@cached()
def segment_tables(segment: Segment, size: Size) -> SegmentTables:
    """Make the tables of a segment's `geometry` for an image of `size`, on the host.

    Raises:
        InputError: a step makes a side of no pixels, or of more than `bounds.MAX_SIDE`.

    >>> from jaxprep import ops
    >>> segment_tables(Segment(geometry=(ops.Resize((2, 2)),)), (4, 6)).vertical.edge.shape
    (2,)
    """
    # first, since it refuses sizes before any table is made of them
    out, first, _ = segment_size(segment, size)
    if segment.opaque is not None:
        size = segment.opaque.step.output_size(size)
    axes = HostAxis(size[0]), HostAxis(size[1])
    for number, step in enumerate(segment.geometry, 1):
        # a step sees the size that the steps before it leave
        steps_of_axes = _axes_of(step, (axes[0].length, axes[1].length))
        for axis, axis_steps in zip(axes, steps_of_axes, strict=True):
            for axis_step in axis_steps:
                axis.apply(axis_step, number)
    vertical, horizontal = axes[0].table(), axes[1].table()
    used = []
    for slot in segment.pointwise:
        if isinstance(slot, PaddingSlot):
            in_rows = (vertical.edge == slot.number).any()
            in_columns = (horizontal.edge == slot.number).any()
            # whether a drawn crop leaves the image is known only in the program
            is_drawn = slot.number > len(segment.geometry)
            used.append(bool(in_rows or in_columns or is_drawn))
    return SegmentTables(vertical, horizontal, out, first, tuple(used))


def _resized_length(axis_steps: Sequence[AxisStep], n: int) -> int:
    """The length of an axis of `n` after its last `Resample`; without one, after all steps."""
    lengths = [step.length for step in axis_steps if isinstance(step, Resample)]
    return lengths[-1] if lengths else output_length(axis_steps, n)


def _check_axes(step: Geometry, axes: tuple[tuple[AxisStep, ...], ...], size: Size) -> None:
    """Refuses what a step does to an image of `size`, before any table is made of it."""
    name = type(step).__name__
    for axis_steps, n in zip(axes, size, strict=True):
        for count, axis_step in enumerate(axis_steps):
            _check_numbers(axis_step, output_length(axis_steps[:count], n), name)
    ends = [output_length(axis_steps, n) for axis_steps, n in zip(axes, size, strict=True)]
    bounds.check_sides(ends, name, size)
    for axis_steps in axes:
        for count, axis_step in enumerate(axis_steps, 1):
            check_declared(step, axis_step)
            # also where the next axis step cuts off again what this one makes a table for
            bounds.check_sides((output_length(axis_steps[:count], 1),), name, size)


def _check_numbers(axis_step: AxisStep, length: int, name: str) -> None:
    """Refuses an axis step of numbers that are no integers, or of pixels beyond the axis."""
    numbers: dict[str, Any] = {}
    if isinstance(axis_step, Window):
        numbers = {"start": axis_step.start, "length": axis_step.length}
    elif isinstance(axis_step, Resample):
        numbers = {"length": axis_step.length}
    for field, number in numbers.items():
        if np.ndim(number) != 0 or np.asarray(number).dtype.kind not in "iu":
            raise InputError(
                f"Expected an integer as the `{field}` of a `{type(axis_step).__name__}` of "
                f"`{name}`, got {codec.shown(number)}."
            )
    if not isinstance(axis_step, Take):
        return
    rows = np.asarray(axis_step.rows)
    is_list = rows.ndim == 1 and (rows.dtype.kind in "iu" or not rows.size)
    if not is_list or (rows.size and not OUTSIDE <= rows.min() <= rows.max() < length):
        raise InputError(
            f"Expected the `rows` of a `Take` of `{name}` to be a list of integers from 0 to "
            f"{length - 1}, or `OUTSIDE`, got {codec.shown(axis_step.rows)}."
        )


def check_declared(step: Geometry, axis_step: Any) -> None:
    """Raise `InputError` for a `Resample` of a step that does not say how it mixes pixels.

    The arithmetic of a program is chosen by `Geometry.resampling`, before any table is made.

    >>> from jaxprep import ops
    >>> check_declared(ops.Resize((2, 2)), Resample(2, "bilinear"))
    """
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
    """Make every segment's tables for an image of `size`, each at the size that the one before it
    leaves.

    Raises:
        InputError: a result would have no pixels, or more than `bounds` allows.

    >>> from jaxprep import ops
    >>> parts = (Segment(geometry=(ops.Resize((4, 4)),)), Segment(geometry=(ops.Resize((2, 2)),)))
    >>> [tables.size for tables in all_tables(parts, (6, 8))]
    [(4, 4), (2, 2)]
    """
    tables = []
    for segment, (_, source) in zip(parts, stage_sizes(parts, size), strict=True):
        tables.append(segment_tables(segment, source))
    return tuple(tables)


def stage_sizes(parts: Sequence[Segment], size: Size) -> list[tuple[Size, Size]]:
    """Return for each segment the size of its result, and of what it is given, for an image of
    `size`; without any table.

    Raises:
        InputError: a result would have no pixels, or more than `bounds` allows.

    >>> from jaxprep import ops
    >>> parts = (Segment(geometry=(ops.Resize((4, 4)),)), Segment(geometry=(ops.Resize((2, 2)),)))
    >>> stage_sizes(parts, (6, 8))
    [((4, 4), (6, 8)), ((2, 2), (4, 4))]
    """
    image_size = size
    sizes = []
    for segment in parts:
        out, first, _ = segment_size(segment, size)
        # only what a segment leaves is stored, and what its first pass leaves to the second: sizes
        # between the steps of a segment cost nothing
        between = (out[0], size[1]) if first else (size[0], out[1])
        bounds.check_pixels(out, image_size)
        bounds.check_pixels(between, image_size, "a first pass")
        sizes.append((out, size))
        size = out
    return sizes


def in_arithmetic(
    table: AxisTable, arithmetic: Arithmetic, reference: str | None, length: int
) -> Taps:
    """Return the tap table of an axis, also where it only copies, with weights as its segment sums
    them.

    Args:
        arithmetic, reference: of the segment; not those of `Stage.segment`, which lacks its
            `geometry`.
        length: how many rows the table has where the axis is left as it is.

    >>> in_arithmetic(HostAxis(3).table(), "integer", "pillow", 3).weight.ravel().tolist()
    [256, 256, 256]
    """
    taps = table.taps
    is_integer = arithmetic == "integer"
    if taps is not None and (taps.weight.dtype != np.float32) == is_integer:
        return taps
    if taps is None:
        # a program has a pass for this axis, as other images of its plan need it
        start = np.arange(length, dtype=np.int32)
        weight = np.ones((length, 1), np.float32)
    else:
        start, weight = taps.start, taps.weight
    if not is_integer:
        return Taps(start, weight, np.int32(0))
    assert reference is not None
    integer = REFERENCES[reference].integer
    # the weight 1 as an integer; both passes of a segment are summed alike
    xp: Any = np if isinstance(weight, np.ndarray) else jnp
    ones = (weight * (1 << COPY_SHIFT)).astype(xp.dtype(integer))
    return Taps(start, ones, np.int32(COPY_SHIFT))
