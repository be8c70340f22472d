"""What happens along one axis of an image: axis steps, and the tap table that a list of them makes.

What goes in: a geometric step says what it does to each axis in *axis steps*, `Window` (crop, pad),
`Reverse` (flip), `Take` (any rows), `Resample` and `Sample` (weighted sums). What comes out: one
*tap table* for any list of them, in which output `i` is the sum over `k` of
`weight[i, k] * source[start[i] + k]`, and all `K` taps lie inside the source. So a resize, a crop
and a flip together cost one pass over the pixels.

`HostAxis` folds axis steps with NumPy, in float64, where all numbers are known; `TracedAxis` does
so inside the program where a number is drawn there. `resize_taps` makes the table of a resize from
`filters.WEIGHTS`. `bucket`, `canvas` and `widen` bring tables of many sizes to few shapes. Read
`passes.py` next, which applies a table to an image.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep import codec
from jaxprep.bounds import cached, check_weights
from jaxprep.errors import InputError
from jaxprep.resample.filters import FILTERS, WEIGHTS, nearest_rows, pillow_weights
from jaxprep.resample.references import REFERENCES, Reference

OUTSIDE = -1
"""In an array of source rows: no row of the source; the fill value goes there."""
AxisMap = tuple[Any, Any]
"""`(scale, shift)`: a position x of the source, in pixels from its edge, is `scale * x + shift` in
the result."""


class Taps(NamedTuple):
    """A tap table of `m` outputs with `k` taps each.

    Attributes:
        start: `(m,)` int32, the first source index of each output.
        weight: `(m, k)`; float32, or integers with `shift` fractional bits: int32, or int16 where
            the reference's fit.
        shift: int32 scalar, 0 for float weights.

    >>> taps = resize_taps(4, 2, "box", True, "float")
    >>> taps.start.tolist(), taps.weight.tolist()
    ([0, 2], [[0.5, 0.5], [0.5, 0.5]])
    """

    start: Any
    weight: Any
    shift: Any


# -- axis steps ------------------------------------------------------------------------------------


class Window(NamedTuple):
    """Take `length` pixels from `start` on; what lies outside the axis is filled.

    Attributes:
        start: an integer, also negative; may be traced.
        length: an integer; may be traced where a `Resample` follows.

    >>> axis = HostAxis(4)
    >>> axis.apply(Window(start=-1, length=3), number=1)
    >>> axis.rows.tolist(), axis.edge.tolist()
    ([-1, 0, 1], [1, 0, 0])
    """

    start: Any
    length: Any


class Reverse(NamedTuple):
    """Reverse the axis, if `when` (a bool that may be traced).

    Attributes:
        when: whether to reverse; may be traced.

    >>> axis = HostAxis(3)
    >>> axis.apply(Reverse(), number=1)
    >>> axis.rows.tolist()
    [2, 1, 0]
    """

    when: Any = True


class Take(NamedTuple):
    """Take the pixels `rows`, indices of the axis or `OUTSIDE`.

    Attributes:
        rows: `(m,)` integers, known on the host.
        map: where positions go; by default that of the first rows.

    >>> axis = HostAxis(4)
    >>> axis.apply(Take(np.array([1, 1, 3])), number=1)
    >>> axis.table().taps.start.tolist()
    [1, 1, 3]
    """

    rows: np.ndarray
    map: AxisMap | None = None


class Resample(NamedTuple):
    """Resize the axis to `length` pixels; an axis that has so many is left as it is.

    Attributes:
        length: the new number of pixels, known on the host.
        method: a name of `filters.METHODS`.
        antialias: widen the filter when shrinking, so that every source pixel counts.
        reference: a name of `references.REFERENCES`.

    >>> axis = HostAxis(4)
    >>> axis.apply(Resample(2, "box"), number=1)
    >>> axis.table().taps.weight.tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """

    length: int
    method: str
    antialias: bool = True
    reference: str = "float"


class Sample(NamedTuple):
    """Sample the axis at any positions, given as a finished table of float32 weights.

    Attributes:
        taps: see `sample.sample_taps`.
        map: where positions go.

    >>> axis = HostAxis(3)
    >>> axis.apply(Sample(copy_taps([2]), map=(1.0, -2.0)), number=1)
    >>> axis.table().taps.start.tolist()
    [2]
    """

    taps: Taps
    map: AxisMap


AxisStep = Window | Reverse | Take | Resample | Sample


def checked_axes(step: object, axes: Any) -> tuple[tuple[AxisStep, ...], tuple[AxisStep, ...]]:
    """Return what the `axes` of a step returned: axis steps along the height, and along the width.

    Raises:
        InputError: it is anything else.

    >>> from jaxprep import ops
    >>> checked_axes(ops.Flip(), ((), (ops.Reverse(),)))
    ((), (Reverse(when=True),))
    """
    # an axis step is a tuple, too
    is_pair = isinstance(axes, tuple | list) and len(axes) == 2
    for axis_steps in axes if is_pair else ():
        is_tuple = isinstance(axis_steps, tuple | list) and not isinstance(axis_steps, AxisStep)
        if not is_tuple or not all(isinstance(one, AxisStep) for one in axis_steps):
            is_pair = False
    if not is_pair:
        raise InputError(
            f"Expected `{type(step).__name__}.axes` to return two tuples of `Window`, `Reverse`, "
            "`Take` and `Resample`, what happens along the height and along the width, got "
            f"{codec.shown(axes)}."
        )
    return tuple(axes[0]), tuple(axes[1])


class AxisTable(NamedTuple):
    """What a list of axis steps does to an axis.

    Attributes:
        taps: the table; None leaves the axis as it is.
        edge: `(m,)` int8: 0 where the result is computed, otherwise the number of the step that
            fills it.
        length: how many pixels the result has; m, or less where the length is traced.
        map: where positions go.

    >>> axis = HostAxis(3)
    >>> axis.table().taps is None, axis.table().length
    (True, 3)
    """

    taps: Taps | None
    edge: Any
    length: Any
    map: AxisMap

    @property
    def count(self) -> int:
        """How many taps an output has."""
        return 1 if self.taps is None else self.taps.weight.shape[1]


def output_length(steps: Iterable[AxisStep], n: Any) -> Any:
    """Return how many pixels an axis of `n` has after the steps, without making a table.

    >>> output_length((Window(1, 6), Resample(3, "bilinear")), 8)
    3
    """
    for step in steps:
        if isinstance(step, Window | Resample):
            n = step.length
        elif isinstance(step, Take):
            n = len(step.rows)
        elif isinstance(step, Sample):
            n = len(step.taps.start)
    return n


class HostAxis:
    """Folds axis steps whose numbers are known into one table, with NumPy.

    Attributes:
        source: the length of the source.
        length: the length of the axis after the steps so far.
        rows: `(length,)`: rows of `taps`, or of the source while there are none; or `OUTSIDE`.
        edge, taps, map: see `AxisTable`.

    A crop, a resize and a flip are one table:

    >>> axis = HostAxis(6)
    >>> for number, step in enumerate([Window(1, 4), Resample(2, "box"), Reverse()], 1):
    ...     axis.apply(step, number)
    >>> axis.table().taps.start.tolist()
    [3, 1]
    """

    def __init__(self, n: int):
        self.source = self.length = n
        self.rows = np.arange(n)
        self.edge = np.zeros(n, np.int8)
        self.taps: Taps | None = None
        self.map: AxisMap = (1.0, 0.0)

    def apply(self, step: AxisStep, number: int) -> None:
        """Applies an axis step; what it fills is marked with `number`."""
        if isinstance(step, Window):
            end = step.start + step.length
            index = np.arange(step.start, end)
            inside = (index >= 0) & (index < self.length)
            rows = np.where(inside, index, OUTSIDE)
            self._move(1.0, -float(step.start))
            self._take(rows, number)
        elif isinstance(step, Reverse):
            if step.when:
                backwards = np.arange(self.length)[::-1]
                self._move(-1.0, float(self.length))
                self._take(backwards, number)
        elif isinstance(step, Take):
            self._move(*_map_of(step))
            self._take(step.rows, number)
        elif isinstance(step, Resample):
            self._resample(step)
        else:
            self._sample(step)

    def _move(self, scale: float, shift: float) -> None:
        old_scale, old_shift = self.map
        self.map = (old_scale * scale, old_shift * scale + shift)

    def _take(self, rows: np.ndarray, number: int) -> None:
        inside = rows != OUTSIDE
        index = np.where(inside, rows, 0)
        self.edge = np.where(inside, self.edge[index], np.int8(number))
        self.rows = np.where(inside, self.rows[index], OUTSIDE)
        self.length = len(rows)

    def _resample(self, step: Resample) -> None:
        n = self.length
        m = step.length
        # every library leaves an axis of the right length out: ImagingResample of Pillow's
        # Resample.c runs a pass only where `need_horizontal`, `need_vertical`
        if n == m:
            return
        self._move(m / n, 0.0)
        table = resize_taps(n, m, step.method, step.antialias, step.reference)
        if step.method == "nearest":
            # rows, not weights: so a further resize may follow, and any dtype is copied
            self._take(table.start, 0)
            return
        self._sum(table)

    def _sample(self, step: Sample) -> None:
        self._move(*step.map)
        self._sum(step.taps)

    def _sum(self, table: Taps) -> None:
        """Applies a table of weights to the pixels that were taken so far."""
        self.taps = over_source(table, self.rows, self.source)
        self.length = len(table.start)
        self.rows = np.arange(self.length)
        self.edge = np.zeros(self.length, np.int8)

    def table(self) -> AxisTable:
        """Return the table of all steps so far."""
        inside = self.rows != OUTSIDE
        index = np.where(inside, self.rows, 0).astype(np.int32)
        if self.taps is not None:
            start, weight, shift = self.taps
            # a row that is filled sums nothing: the epilogue writes its value afterwards
            zero = weight.dtype.type(0)
            weight = np.where(inside[:, None], weight[index], zero)
            taps = Taps(start[index], weight, shift)
        elif np.array_equal(self.rows, np.arange(self.source)):
            # no pass at all where the steps leave the axis as it is
            taps = None
        else:
            weight = inside[:, None].astype(np.float32)
            taps = Taps(index, weight, np.int32(0))
        return AxisTable(taps, self.edge, self.length, self.map)


def _map_of(step: Take) -> AxisMap:
    if step.map is not None:
        return step.map
    return map_of_rows(step.rows)


def map_of_rows(rows: np.ndarray) -> AxisMap:
    """Return the map of positions along an axis whose pixels `rows` were taken, from the first two
    rows.

    >>> map_of_rows(np.array([OUTSIDE, 0, 1])), map_of_rows(np.array([2, 1, 0]))
    ((1.0, 1.0), (-1.0, 3.0))
    """
    inside = np.flatnonzero(rows != OUTSIDE)
    if not len(inside):
        return 1.0, 0.0
    first = inside[0]
    source = rows[first]
    is_reversed = len(inside) > 1 and rows[inside[1]] < source
    if is_reversed:
        # + 1: positions are of edges, and the left edge of a pixel becomes its right one
        return -1.0, float(first + source + 1)
    return 1.0, float(first - source)


def over_source(table: Taps, rows: np.ndarray, n: int) -> Taps:
    """Rewrite a table over the pixels that `rows` took as a table over the `n` pixels of the
    source.

    `rows` is a window of the source, forwards or backwards; taps outside it read zeros, and so are
    left out of the sums.

    >>> taps = resize_taps(2, 1, "box", True, "float")  # of the last two of three pixels
    >>> over_source(taps, np.array([1, 2]), 3).start.tolist()
    [1]
    """
    start, weight, shift = table
    if np.array_equal(rows, np.arange(n)):
        return table
    count = weight.shape[1]
    taps = start[:, None] + np.arange(count)
    is_inside = rows[taps] != OUTSIDE
    zero = weight.dtype.type(0)
    weight = np.where(is_inside, weight, zero)
    scale, offset = map_of_rows(rows)
    if scale < 0:
        # position j of the window is source pixel offset - 1 - j, so the last tap comes first
        start = int(offset) - start - count
        weight = weight[:, ::-1]
    else:
        start = start - int(offset)
    start, weight = fit(start, weight, n)
    return Taps(start, weight, shift)


TRACED_REFERENCES = ("float", "pillow12", "torchvision")
"""References that the program can compute the weights of, in float32."""


class TracedAxis:
    """Folds axis steps whose numbers may be drawn inside the program, with `jax.numpy`.

    It begins with the table of the steps before, whose numbers were known. XLA knows only static
    shapes, so `rows` and `edge` have a static *capacity*, the largest that `length` can be.

    Attributes:
        source: the capacity of the source, which bounds the taps.
        rows: `(capacity,)` int32: rows of `taps`, or of the source while there are none.
        length: the length of the axis, at most the capacity; may be traced.
        origin, direction: position j of the axis is source pixel `origin + direction * j`.

    >>> @jax.jit
    ... def starts(first):
    ...     axis = TracedAxis(HostAxis(8).table(), 8)
    ...     axis.apply(Window(first, 4), number=1)
    ...     axis.apply(Resample(2, "box"), number=2)
    ...     return axis.table().taps.start
    >>> starts(2).tolist()
    [2, 4]
    """

    def __init__(self, table: AxisTable, source: int):
        self.source = source
        self.taps = table.taps
        self.edge = jnp.asarray(table.edge)
        self.rows = jnp.arange(self.edge.shape[0], dtype=jnp.int32)
        self.length = table.length
        self.map = table.map
        self.origin = jnp.int32(0)
        self.direction = jnp.int32(1)

    def apply(self, step: AxisStep, number: int) -> None:
        """Applies an axis step; what it fills is marked with `number`."""
        if isinstance(step, Window):
            self._window(step, number)
        elif isinstance(step, Reverse):
            self._reverse(jnp.asarray(step.when))
        elif isinstance(step, Resample):
            self._resample(step)
        elif isinstance(step, Take):
            self._move(*_map_of(step))
            rows = jnp.asarray(step.rows, jnp.int32)
            self._take(rows, len(step.rows), number)
        else:
            raise InputError("Expected a `Sample` to stand before every random step.")

    def _move(self, scale: Any, shift: Any) -> None:
        old_scale, old_shift = self.map
        self.map = (old_scale * scale, old_shift * scale + shift)

    def _take(self, index: jax.Array, length: Any, number: int) -> None:
        inside = (index >= 0) & (index < self.length)
        index = jnp.clip(index, 0, self.rows.shape[0] - 1)
        self.edge = jnp.where(inside, self.edge[index], jnp.int8(number))
        self.rows = jnp.where(inside, self.rows[index], OUTSIDE)
        self.length = length

    def _window(self, step: Window, number: int) -> None:
        start = jnp.asarray(step.start, jnp.int32)
        capacity = self.rows.shape[0]
        if isinstance(step.length, (int, np.integer)):
            capacity = int(step.length)
        index = start + jnp.arange(capacity, dtype=jnp.int32)
        self._move(1.0, -start.astype(jnp.float32))
        self._take(index, step.length, number)
        self.origin = self.origin + self.direction * start

    def _reverse(self, when: jax.Array) -> None:
        last = jnp.asarray(self.length, jnp.int32) - 1
        index = jnp.arange(self.rows.shape[0], dtype=jnp.int32)
        backwards = last - index
        scale = jnp.where(when, -1.0, 1.0)
        shift = jnp.where(when, 1.0, 0.0) * self.length
        self._move(scale, shift)
        origin_of_reversed = self.origin + self.direction * last
        self.origin = jnp.where(when, origin_of_reversed, self.origin)
        self.direction = jnp.where(when, -self.direction, self.direction)
        # what lies beyond a traced length stays beyond it
        is_moved = when & (backwards >= 0)
        index = jnp.where(is_moved, backwards, index)
        self._take(index, self.length, 0)

    def _resample(self, step: Resample) -> None:
        m, capacity = step.length, self.rows.shape[0]
        if isinstance(self.length, (int, np.integer)) and self.length == m:
            return
        if step.reference not in TRACED_REFERENCES:
            raise InputError(
                f"Expected a reference of {list(TRACED_REFERENCES)} where a window known only at "
                f"run time is resized, got {step.reference!r}: its weights, or the order of its "
                "passes, are computed on the host."
            )
        if not step.antialias and step.reference != "float":
            raise InputError(
                "Expected antialias=True where a window known only at run time is resized by "
                f"reference={step.reference!r}; reference='float' takes antialias=False."
            )
        length = jnp.asarray(self.length, jnp.int32)
        self._move(m / length.astype(jnp.float32), 0.0)
        if step.method == "nearest":
            # the rule "centre" of `filters.nearest_rows`
            centre = 2 * jnp.arange(m, dtype=jnp.int32) + 1
            self._take(centre * length // (2 * m), m, 0)
            return
        low, weight = traced_weights(length, m, step.method, step.antialias, capacity)
        weight, shift = traced_quantised(weight, REFERENCES[step.reference])
        taps = low[:, None] + jnp.arange(weight.shape[1], dtype=jnp.int32)
        rows = self.rows[jnp.clip(taps, 0, capacity - 1)]
        weight = jnp.where(rows != OUTSIDE, weight, jnp.zeros((), weight.dtype))
        # on a reversed axis the last tap is the first of the source: both forms are computed and
        # one is selected, as the direction is a drawn number
        is_reversed = self.direction < 0
        first = jnp.where(is_reversed, low + weight.shape[1] - 1, low)
        start = self.origin + self.direction * first
        weight = jnp.where(is_reversed, weight[:, ::-1], weight)
        self.taps = traced_fit(start, weight, self.source)._replace(shift=shift)
        self.rows, self.length = jnp.arange(m, dtype=jnp.int32), m
        self.edge = jnp.zeros(m, jnp.int8)

    def table(self) -> AxisTable:
        """Return the table of all steps so far."""
        inside = self.rows != OUTSIDE
        index = jnp.where(inside, self.rows, 0)
        if self.taps is None:
            weight = inside[:, None].astype(jnp.float32)
            copies = Taps(index, weight, np.int32(0))
            return AxisTable(copies, self.edge, self.length, self.map)
        start = jnp.asarray(self.taps.start)
        weight = jnp.asarray(self.taps.weight)
        zero = jnp.zeros((), weight.dtype)
        weight = jnp.where(inside[:, None], weight[index], zero)
        taps = Taps(start[index], weight, self.taps.shift)
        return AxisTable(taps, self.edge, self.length, self.map)


def traced_weights(
    length: jax.Array,
    m: int,
    method: str,
    antialias: bool,
    capacity: int,
) -> tuple[jax.Array, jax.Array]:
    """Compute the first tap `(m,)` and the weights `(m, k)` where `length` pixels, known at run
    time, are resized to `m`.

    The positions are those of the `float` reference: exact integers (`capacity * m` below 2**29),
    so that no output is off by a pixel; the weights are float32.

    Args:
        capacity: the largest `length`, which bounds the number of taps.

    >>> weights = jax.jit(lambda size: traced_weights(size, 2, "box", True, capacity=6))
    >>> low, weight = jax.tree.map(np.asarray, weights(4))
    >>> low.tolist(), weight[:, :2].tolist()
    ([0, 2], [[0.5, 0.5], [0.5, 0.5]])
    """
    check_weights(m, _most_taps(capacity, m, method, antialias), f"a resize to {m} pixels")
    if capacity * m > 2**29:
        raise InputError(
            f"Expected a resize of {capacity} to {m} pixels whose product is at most 2**29, in "
            "which positions are exact where a window is known only at run time."
        )
    # the steps of `filters._exact_weights`, which explains them
    filter_ = FILTERS[method]
    width = int(2 * filter_.support)  # of the filter at scale 1
    output = jnp.arange(m, dtype=jnp.int32)
    centre = (2 * output + 1) * length  # in 1 / (2 m) pixels
    stretch = jnp.maximum(length, m) if antialias else jnp.int32(m)
    reach = width * stretch
    pixel = 2 * m
    low = jnp.maximum((centre - reach + m) // pixel, 0)
    high = jnp.minimum((centre + reach + m) // pixel, length)
    largest_scale = max(capacity / m, 1) if antialias else 1
    # + 1: a window that begins within a pixel touches one more
    count = math.ceil(width * largest_scale) + 1
    count = min(count, capacity)
    tap = low[:, None] + jnp.arange(count, dtype=jnp.int32)
    distance = (2 * tap + 1) * m - centre[:, None]
    unit = (2 * stretch).astype(jnp.float32)
    distance = distance.astype(jnp.float32) / unit
    inside = tap < high[:, None]
    weight = filter_.kernel(distance, jnp)
    weight = jnp.where(inside, weight, 0.0)
    total = weight.sum(1, keepdims=True)
    return low, weight / total


def traced_quantised(weight: jax.Array, reference: Reference) -> tuple[jax.Array, jax.Array]:
    """Return float32 weights `(m, k)` as a reference sums them, and their fractional bits.

    >>> quantised = jax.jit(lambda weight: traced_quantised(weight, REFERENCES["pillow12"]))
    >>> weight, shift = quantised(np.float32([[0.5, 0.5]]))
    >>> weight.tolist(), shift.item()
    ([[2097152, 2097152]], 22)
    """
    if reference.integer is None:
        return weight, jnp.int32(0)
    bits: Any = jnp.int32(reference.bits or 0)
    if not reference.bits:
        # the loop of `_dynamic_bits`: the precisions that fit are the lowest
        scales = np.float32(2.0) ** np.arange(1, 23, dtype=np.float32)
        fits = jnp.floor(np.float32(0.5) + weight.max() * scales) < 1 << 15
        bits = fits.sum().astype(jnp.int32)
    # a product with a power of 2 is exact; rounded half away from zero, as in `resize_taps`
    scaled = weight * jnp.exp2(bits.astype(jnp.float32))
    rounded = jnp.trunc(scaled + jnp.where(weight < 0, -0.5, 0.5))
    return rounded.astype(reference.integer), bits


def traced_fit(start: jax.Array, weight: jax.Array, n: int) -> Taps:
    """Move every window of taps inside `[0, n)`; weights that fall outside must be zero.

    What `fit` does, inside the program.

    >>> taps = jax.jit(lambda low: traced_fit(low, np.float32([[0.0, 1.0]]), 3))(np.array([-1]))
    >>> taps.start.tolist(), taps.weight.tolist()
    ([0], [[1.0, 0.0]])
    """
    taps = weight.shape[1]
    count = min(taps, n)
    inside = jnp.clip(start, 0, n - count)
    moved_by = inside - start
    tap = jnp.arange(count, dtype=jnp.int32) + moved_by[:, None]
    kept = (tap >= 0) & (tap < taps)
    column = jnp.clip(tap, 0, taps - 1)
    moved = jnp.take_along_axis(weight, column, axis=1)
    return Taps(inside, jnp.where(kept, moved, jnp.zeros((), moved.dtype)), np.int32(0))


# -- tables of a resize ----------------------------------------------------------------------------


def copy_taps(rows: np.ndarray) -> Taps:
    """Make the table that copies source index `rows[i]` to output `i`: nearest, crop, flip.

    >>> copy_taps([2, 0]).start.tolist()
    [2, 0]
    """
    rows = np.asarray(rows, np.int32)
    weight = np.ones((len(rows), 1), np.float32)
    return Taps(rows, weight, np.int32(0))


# a table takes 0.1 to 0.6 ms to make, and 4 to 65 kB (512 to 4,000 pixels to 224): a thousand pairs
# of lengths or more are kept
@cached()
def resize_taps(
    n: int, m: int, method: str, antialias: bool, reference: str, extent: float | None = None
) -> Taps:
    """Make the table that resizes `n` pixels to `m`; its arrays are shared and read-only.

    Args:
        n: length of the source, at least 1.
        m: length of the result, at least 1.
        method: a name of `METHODS`.
        antialias: widen the filter when shrinking, so that every source pixel counts.
        reference: a name of `REFERENCES`.
        extent: of the source, where the last pixel is there in part only; for Pillow's references.

    Raises:
        InputError: the table would have more than `bounds.MAX_WEIGHTS` weights.

    >>> taps = resize_taps(4, 2, "box", True, "pillow")
    >>> taps.weight.tolist(), int(taps.shift)  # one half with 22 fractional bits
    ([[2097152, 2097152], [2097152, 2097152]], 22)
    """
    row = REFERENCES[reference]
    if method == "nearest":
        copies = copy_taps(nearest_rows(n, m, row))
        return _read_only(copies.start, copies.weight, 0)
    check_weights(m, _most_taps(n, m, method, antialias), f"a resize of {n} to {m} pixels")
    if extent is None:
        compute_weights = WEIGHTS[row.weights]
        start, weight = compute_weights(n, m, method, antialias)
    else:
        start, weight = pillow_weights(n, m, method, antialias, extent=extent)
    if row.integer is None:
        start, weight = fit(start, weight.astype(np.float32), n)
        return _read_only(start, weight, 0)
    bits = row.bits or _dynamic_bits(weight)
    # Rounded half away from zero, as `normalize_coeffs_8bpc` of Pillow does:
    # https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Resample.c
    half = np.where(weight < 0, -0.5, 0.5)
    scaled = weight * (1 << bits)
    quantised = np.trunc(scaled + half).astype(row.integer)
    start, quantised = fit(start, quantised, n)
    return _read_only(start, quantised, bits)


def _most_taps(n: int, m: int, method: str, antialias: bool) -> int:
    """At most how many pixels an output of a resize reads."""
    scale = max(n / m, 1) if antialias else 1
    # + 4: `filters._jax_weights` takes a pixel too many on either side
    return min(math.ceil(2 * FILTERS[method].support * scale) + 4, n)


def _read_only(start: np.ndarray, weight: np.ndarray, shift: int) -> Taps:
    # one table serves all callers of a cache
    start.flags.writeable = False
    weight.flags.writeable = False
    return Taps(start, weight, np.int32(shift))


def _dynamic_bits(weight: np.ndarray) -> int:
    """torchvision's precision: the most fractional bits, up to 22, with which the largest weight
    fits int16."""
    # the loop of `_compute_index_ranges_int16_weights`, its bounds included, in
    # https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/UpSampleKernel.cpp
    largest = weight.max()
    bits = 0
    while bits < 22:
        scaled = largest * (1 << (bits + 1))
        if int(0.5 + scaled) >= 1 << 15:
            break
        bits += 1
    return bits


def fit(
    start: np.ndarray,
    weight: np.ndarray,
    n: int,
    count: int | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Move every window of taps inside `[0, n)` and make it `count` wide; weights that fall outside
    must be zero.

    Engines then gather without a check of bounds.

    >>> start, weight = fit(np.array([-1]), np.array([[0.0, 1.0]]), 3)
    >>> start.tolist(), weight.tolist()
    ([0], [[1.0, 0.0]])
    """
    outputs, taps = weight.shape
    width: int = min(taps, n) if count is None else count
    inside = np.clip(start, 0, n - width).astype(np.int32)
    moved_by = start - inside
    column = np.arange(taps) + moved_by[:, None]
    kept = (column >= 0) & (column < width)
    moved = np.zeros((outputs, width), weight.dtype)
    row = np.arange(outputs)[:, None]
    row = np.broadcast_to(row, column.shape)
    moved[row[kept], column[kept]] = weight[kept]
    return inside, moved


def vertical_first(
    reference: Reference,
    size: tuple[int, int],
    out: tuple[int, int],
) -> bool:
    """Return whether the vertical pass comes first for an image of `size` resized to `out`, both
    (height, width).

    >>> vertical_first(REFERENCES["pillow"], (900, 100), (90, 90))
    True
    >>> vertical_first(REFERENCES["jax"], (40, 60), (20, 20))
    False
    """
    height, width = size
    out_height, out_width = out
    if reference.order == "pillow13":
        # Pillow 13 takes the vertical pass first when the image is much taller than the result:
        # `ImagingResample` of
        # https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Resample.c
        rows_fewer = height - out_height
        columns_fewer = width - out_width
        return rows_fewer > 0 and rows_fewer > 2 * columns_fewer
    if reference.order == "einsum":
        # `jnp.einsum` takes the path with the fewest products, the first of equal ones: `optimal`
        # of https://github.com/dgasmith/opt_einsum/blob/master/opt_einsum/paths.py
        vertical = height * width * out_height + out_height * width * out_width
        horizontal = height * width * out_width + height * out_width * out_height
        return vertical <= horizontal
    return reference.order == "vertical"


# -- buckets: the few sizes that programs are compiled for -----------------------------------------


def bucket(n: int) -> int:
    """Return the smallest of 1, 2, 3, 4, 6, 8, 12, 16, 24, ... (2^k and 3 * 2^k) that is at least
    `n`.

    At most a third of a bucket is padding; of powers of 2 alone it would be up to a half, and finer
    steps would compile more programs, for 0.2 s (10 taps) to 1.3 s (72 taps) each on CPU.

    >>> [bucket(n) for n in (1, 5, 9, 500)]
    [1, 6, 12, 512]
    """
    power = 1 << max(n - 1, 0).bit_length()
    three_quarters = power // 4 * 3
    return three_quarters if n <= three_quarters else power


LARGE_CANVAS = 512 * 512
"""Pixels of a canvas from which idle taps cost more than another program."""


def tap_bucket(count: int, source: tuple[int, int]) -> int:
    """Return the number of taps that a table of `count` is padded to, for a canvas of height and
    width `source`: a `bucket`, at least 4.

    Enlargements, which have 2 or 3 taps by `bilinear`, share a program with 4. On a large canvas 9
    and 10 are padded to 10: CLIP's resize of 480 x 640 by `bicubic` has 10, and of 12 the two idle
    ones would be an eighth of the call.

    >>> [tap_bucket(count, (256, 256)) for count in (2, 5, 9, 17)]
    [4, 6, 12, 24]
    >>> tap_bucket(9, (512, 512))
    10
    """
    if count in (9, 10) and source[0] * source[1] >= LARGE_CANVAS:
        return 10
    return bucket(max(count, 4))


def canvas(
    size: tuple[int, int], smallest: int = 64, shortest: int | None = None
) -> tuple[int, int]:
    """Return height and width of the canvas for an image of `size`.

    The longer side is a bucket of at least `smallest`. The shorter side is as long, or a quarter, a
    sixteenth, ... of it, of at least `shortest` (a quarter of `smallest`), that still holds the
    image: photographs share square canvases, panoramas do not waste memory.

    >>> canvas((375, 500)), canvas((100, 2000))
    ((512, 512), (128, 2048))
    """
    # with a bucket for each side, portrait and landscape photographs would compile a program each
    long = bucket(max(*size, smallest))
    shortest = smallest // 4 if shortest is None else shortest
    height, width = (_quartered(long, n, shortest) for n in size)
    return height, width


def _quartered(side: int, n: int, smallest: int) -> int:
    while side % 4 == 0 and side // 4 >= max(n, smallest):
        side //= 4
    return side


def widen(
    taps: Taps,
    capacity: int,
    outputs: int,
    count: int | None = None,
) -> Taps:
    """Return the same table on a longer axis of `capacity` pixels, with a bucket of taps and
    `outputs` rows.

    The added taps weigh nothing; the added rows copy or weigh nothing.

    >>> taps = widen(resize_taps(10, 2, "box", True, "float"), capacity=16, outputs=4)
    >>> taps.weight.shape
    (4, 6)
    """
    if count is None:
        count = bucket(taps.weight.shape[1])
    count = min(count, capacity)
    start, weight = fit(taps.start, taps.weight, capacity, count)
    extra_rows = (0, outputs - len(start))
    start = np.pad(start, extra_rows)
    weight = np.pad(weight, (extra_rows, (0, 0)))
    return Taps(start, weight, taps.shift)
