"""Plans: the tables of a batch of known sizes, and the program that takes them.

What goes in: segments, and the sizes of a batch. What comes out: a `Plan`, a pytree of arrays that
is passed into a compiled program, and whose static part says which program that is. A plan is a
pure function of the steps and of the images' sizes. Its arrays have the shapes of a *bucket*, so
that a handful of compiled programs serve images of all sizes. `constant_stage` is for the other
case: a program for one size, whose tables are constants. Read `program.py` next, which runs both.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import export

from jaxprep import bounds, codec
from jaxprep.bounds import cached
from jaxprep.errors import InputError
from jaxprep.pipeline.lower import Lowered, segments, static_sizes
from jaxprep.pipeline.positions import position_matrix, segment_matrix
from jaxprep.pipeline.segment import (
    Placed,
    Segment,
    all_tables,
    in_arithmetic,
    resized_around,
    segment_tables,
    stage_sizes,
)
from jaxprep.pipeline.step import Layout, Step
from jaxprep.resample.passes import Arithmetic
from jaxprep.resample.tables import AxisTable, Taps, canvas, tap_bucket, widen
from jaxprep.types import Size


class Stage(NamedTuple):
    """One segment of a compiled program: what of it is compiled in, and the sizes of its arrays.

    Attributes:
        segment: without its `geometry`, which is in the tables: equal stages share a program,
            whatever moved the pixels.
        arithmetic, reference, rounded: how its passes sum and round.
        source: height and width of the canvas of what comes in.
        table_rows: how many rows the vertical and the horizontal table have.
        out: height and width of the canvas of what comes out.
        tap_counts: how many taps each row of the vertical and of the horizontal table has.
        order: which pass comes first; "both" where the images of a plan differ.
        used: for each `PaddingSlot`, whether any image needs it.

    >>> from jaxprep import Pipeline, ops
    >>> (stage,) = Pipeline((ops.Resize((224, 224)),)).bucket((375, 500))
    >>> stage.source, stage.out, stage.arithmetic
    ((512, 512), (224, 224), 'float')
    """

    segment: Segment
    arithmetic: Arithmetic
    reference: str | None
    rounded: bool
    source: Size
    table_rows: Size
    out: Size
    tap_counts: tuple[int, int]
    order: str
    used: tuple[bool, ...]

    def serves(self, other: Stage) -> bool:
        """Return whether it computes what another stage computes, on arrays as large or larger."""
        if self[:4] != other[:4]:  # the segment, and its arithmetic
            return False
        # an opaque step sees the whole array
        if self.segment.opaque is not None and self.source != other.source:
            return False
        if self.order not in (other.order, "both"):
            return False
        for used, needed in zip(self.used, other.used, strict=True):
            if needed and not used:
                return False
        own_numbers = (*self.source, *self.table_rows, *self.out, *self.tap_counts)
        other_numbers = (*other.source, *other.table_rows, *other.out, *other.tap_counts)
        pairs = zip(own_numbers, other_numbers, strict=True)
        return all(own >= needed for own, needed in pairs)


Bucket = tuple[Stage, ...]
"""The stages that images of similar sizes share; the first stage's `source` is the canvas."""


class Tables(NamedTuple):
    """The arrays of one stage; each has a leading batch axis in a plan, and none in a constant
    program.

    Attributes:
        vertical, horizontal: the passes; None leaves the axis as it is.
        edges: for each row and each column, which `PaddingSlot` it belongs to; None where nothing
            is filled.
        vertical_first: where the order is "both", whether the vertical pass comes first.
        size: height and width of what comes in, on its canvas; None fills it.
        moved_size: height and width after `geometry`, where drawn steps follow; otherwise None.
        matrix: `(3, 3)` float32, where the stage moves positions, without its drawn steps; None
            where no step of the pipeline is drawn.
        resized: whether its resize, and that of the next stage, change the size of the image; None
            where no pointwise step depends on it.

    >>> from jaxprep import Pipeline, ops
    >>> plan = Pipeline((ops.Resize((4, 4)),)).plan([(8, 6), (6, 8)])
    >>> plan.tables[0].vertical.start.shape
    (2, 4)
    """

    vertical: Taps | None
    horizontal: Taps | None
    edges: tuple[Any, Any] | None = None
    vertical_first: Any = None
    size: Any = None
    moved_size: Any = None
    matrix: Any = None
    resized: tuple[Any, Any] | None = None


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["tables", "size", "matrix", "masks"],
    meta_fields=["stages", "steps", "fills_canvas"],
)
@dataclass(frozen=True)
class Plan:
    """Everything about a batch that depends on the sizes of its images: a pytree to pass into a
    jitted program.

    Attributes:
        tables: one entry per stage.
        size: `(batch, 2)` int32, height and width of the results.
        matrix: `(batch, 3, 3)` float32, where positions `(x, y, 1)` go; without drawn steps.
        stages: the program; static.
        steps: of the pipeline it was made for; static.
        fills_canvas: whether every result fills its canvas; static.
        masks: the plan of the masks of these images; None for a pipeline without `kinds`.

    >>> from jaxprep import Pipeline, ops
    >>> plan = Pipeline((ops.Resize(shortest_edge=4),)).plan([(8, 16), (8, 8)])
    >>> plan.size.tolist(), plan.canvas
    ([[4, 8], [4, 4]], (16, 16))
    """

    tables: tuple[Tables, ...]
    size: Any
    matrix: Any
    stages: Bucket
    steps: tuple[Step, ...]
    fills_canvas: bool
    masks: Plan | None = None

    @property
    def canvas(self) -> Size:
        """Height and width of the arrays that the plan is for."""
        return self.stages[0].source


def stage_of(
    segment: Segment,
    source: Size,
    rows: Size,
    out: Size,
    counts: tuple[int, int],
    order: str,
    used: tuple[bool, ...],
) -> Stage:
    """Make the stage of a segment, with the sizes of its arrays.

    >>> from jaxprep import ops
    >>> segment = Segment(geometry=(ops.Resize((4, 4), reference="pillow"),))
    >>> stage = stage_of(segment, (64, 64), (4, 4), (4, 4), (24, 24), "horizontal", ())
    >>> stage.reference, stage.segment.geometry
    ('pillow', ())
    """
    reference, rounded = None, True
    if segment.mixing is not None:
        resampling = segment.mixing.resampling
        assert resampling is not None
        reference, rounded = resampling.reference, resampling.rounded
    # `geometry` is in the tables: resizes by different size rules share a program
    kept = Segment(segment.opaque, (), segment.drawn, segment.pointwise)
    return Stage(
        kept, segment.arithmetic, reference, rounded, source, rows, out, counts, order, used
    )


WINDOW_GAIN = 1.5
"""The smaller canvas of an image's read window is used only where the image's own canvas has more
than so many times its pixels: otherwise a program of its own is not worth compiling."""
SHARED_WEIGHTS = 2**20
"""Weights of a table up to which both axes have as many taps, so that more images share a
program."""
SMALL_PIXELS = 2**16
"""Canvases of at most so many pixels, 256 x 256, are squares, have as many taps as an image needs
that fills them, and are never replaced by that of a read window: their programs are fast as they
are."""
SMALLEST_SOURCE = 64
"""The side of the smallest canvas for what comes in."""
SHORTEST_SOURCE = 128
"""The shorter side of the canvas of a panorama that comes in is at least as long."""


class ReadWindow(NamedTuple):
    """The part of an image that its program reads, in pixels.

    >>> ReadWindow(1, 0, 2, 3).of(np.zeros((4, 4, 3))).shape
    (2, 3, 3)
    """

    top: int
    left: int
    height: int
    width: int

    def of(self, image: np.ndarray) -> np.ndarray:
        """Return the pixels of the window, a view of the image."""
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


@functools.lru_cache(maxsize=8192)
def read_window(parts: tuple[Segment, ...], size: Size) -> ReadWindow:
    """Return the window that the first geometry of a pipeline reads of an image of `size`.

    What a crop after a resize leaves out need not be copied to a canvas: of a photograph 480x640
    that is resized and cropped to a square, 480x480.

    >>> from jaxprep import ops
    >>> read_window(segments((ops.CenterCrop((2, 4)),)), (8, 8))
    ReadWindow(top=3, left=2, height=2, width=4)
    """
    for segment in parts:
        if segment.opaque is not None or segment.drawn:
            break
        if segment.geometry:
            made = segment_tables(segment, size)
            top, height = _read_extent(made.vertical, size[0])
            left, width = _read_extent(made.horizontal, size[1])
            return ReadWindow(top, left, height, width)
    return ReadWindow(0, 0, *size)


def _read_extent(table: AxisTable, n: int) -> tuple[int, int]:
    """The first pixel that a table reads, and how many from there on."""
    if table.taps is None:
        return 0, n
    start = table.taps.start[table.edge == 0]  # rows that are filled read nothing
    if not len(start):
        return 0, 1
    first = int(start.min())
    return first, int(start.max()) + table.count - first


@functools.lru_cache(maxsize=8192)
def bucket_of(
    parts: tuple[Segment, ...], size: Size, source: Size | None = None, exact_sizes: bool = False
) -> Bucket:
    """Return the stages that serve an image of `size`, on the canvas `source` if one is given.

    The number of taps is a `tap_bucket`, for both axes. On a given canvas it is that of an
    image which fills it, unless this image needs more, so that the images of a canvas share it.

    Args:
        source: by default the bucket of the `read_window`.
        exact_sizes: use the sizes of the image itself instead of buckets.

    >>> from jaxprep import ops
    >>> parts = segments((ops.Resize((224, 224)),))
    >>> bucket_of(parts, (375, 500)) == bucket_of(parts, (480, 360))
    True
    """
    largest = size if source is None else source
    if source is None and exact_sizes:
        source = size
    if source is None:
        source = _source_canvas(size, read_window(parts, size))
        # idle taps of a small image take microseconds, a program of its own a second
        height, width = source
        if height * width <= SMALL_PIXELS:
            largest = source
    stages: list[Stage] = []
    full_tables = _tables_of_largest(parts, largest, size)
    columns = zip(parts, all_tables(parts, size), full_tables, static_sizes(parts), strict=True)
    for segment, tables, full, static_size in columns:
        vertical = tables.vertical
        horizontal = tables.horizontal
        moved = (vertical.length, horizontal.length)
        out = source
        if not segment.keeps_canvas:
            out = static_size or _canvas(tables.size, exact_sizes)
        rows = _canvas(moved, exact_sizes) if segment.drawn else out
        if segment.drawn and not segment.geometry:
            rows = source  # there is no table before the drawn steps
        # taps of this image, or of a full canvas if those are more
        needed = [
            max(vertical.count, full.vertical.count),
            max(horizontal.count, full.horizontal.count),
        ]
        padded_counts = _bucket_counts(segment, needed, source, rows)
        order = "vertical" if tables.vertical_first else "horizontal"
        stage = stage_of(segment, source, rows, out, padded_counts, order, tables.used)
        stages.append(stage)
        # the results of a stage are the images of the next one
        source = out
    return tuple(stages)


def on_canvas(parts: Sequence[Segment], stages: Bucket, source: Size) -> Bucket:
    """Return stages for images that a smaller canvas holds, `source`.

    >>> from jaxprep import ops
    >>> parts = segments((ops.ToRGB(), ops.Resize((4, 4))))
    >>> stages = bucket_of(parts, (300, 280))
    >>> [(stage.source, stage.out) for stage in stages]
    [((384, 384), (384, 384)), ((384, 384), (4, 4))]
    >>> [(stage.source, stage.out) for stage in on_canvas(parts, stages, (320, 320))]
    [((320, 320), (320, 320)), ((320, 320), (4, 4))]
    """
    on_it: list[Stage] = []
    for segment, stage in zip(parts, stages, strict=True):
        # all taps lie inside of the canvas, see `tables.fit`
        counts = min(stage.tap_counts[0], source[0]), min(stage.tap_counts[1], source[1])
        stage = stage._replace(source=source, tap_counts=counts)
        if not segment.keeps_canvas:
            # the sizes of what it makes are its own
            return (*on_it, stage, *stages[len(on_it) + 1 :])
        on_it.append(stage._replace(table_rows=source, out=source))
    return tuple(on_it)


def _tables_of_largest(parts: tuple[Segment, ...], largest: Size, size: Size) -> Any:
    """The tables of an image that fills the canvas; of the image itself, where a step takes none so
    large, as `PadTo` does."""
    try:
        return all_tables(parts, largest)
    except InputError:
        return all_tables(parts, size)


def _bucket_counts(
    segment: Segment, needed: Sequence[int], source: Size, rows: Size
) -> tuple[int, int]:
    """The taps of both axes, for which there are `needed` ones in tables of `rows`."""
    if segment.arithmetic == "copy":
        return 1, 1
    counts = [tap_bucket(max(needed), source)] * 2
    # a photograph whose rows become one has 8,000 taps there; its columns need not have as many
    if max(rows) * counts[0] > SHARED_WEIGHTS:
        counts = [tap_bucket(count, source) for count in needed]
    # all taps lie inside of the canvas, see `tables.fit`
    return min(counts[0], source[0]), min(counts[1], source[1])


def _source_canvas(size: Size, window: ReadWindow) -> Size:
    """The canvas for an image, or for its `read_window` where that is much smaller."""
    source = _held_canvas(size)
    window_canvas = _held_canvas((window.height, window.width))
    pixels = source[0] * source[1]
    if pixels > SMALL_PIXELS and pixels > WINDOW_GAIN * window_canvas[0] * window_canvas[1]:
        return window_canvas
    return source


def _held_canvas(size: Size) -> Size:
    """The canvas that holds an image of `size`, one of fewer than results have: what lies outside
    of the image is not computed, and hardly copied."""
    long = max(*size, SMALLEST_SOURCE)
    if long * long <= SMALL_PIXELS:
        side = 1 << (long - 1).bit_length()
        return side, side
    return _bounded(canvas(size, shortest=SHORTEST_SOURCE), size)


def _canvas(size: Size, exact_sizes: bool) -> Size:
    return size if exact_sizes else _bounded(canvas(size), size)


def _bounded(shared: Size, size: Size) -> Size:
    # what so large an image takes longer to run than to compile for is not filled up
    return size if shared[0] * shared[1] > bounds.MAX_PIXELS else shared


def merge(buckets: Sequence[Bucket]) -> Bucket:
    """Return the stages that serve images of several buckets on one canvas.

    >>> from jaxprep import ops
    >>> parts = segments((ops.Resize((8, 8), reference="pillow"),))
    >>> tall, wide = bucket_of(parts, (60, 10), (64, 64)), bucket_of(parts, (10, 60), (64, 64))
    >>> merge([tall, wide])[0].order
    'both'
    """
    stages = []
    source = buckets[0][0].source
    for alike in zip(*buckets, strict=True):
        orders = {stage.order for stage in alike}
        # a program of either order costs a transposition; most batches need only one
        order = orders.pop() if len(orders) == 1 else "both"
        vertical, horizontal = _largest([stage.tap_counts for stage in alike])
        # all taps lie inside of the canvas, see `tables.fit`
        counts = (min(vertical, source[0]), min(horizontal, source[1]))
        used = np.any([stage.used for stage in alike], axis=0)
        rows = _largest([stage.table_rows for stage in alike])
        out = _largest([stage.out for stage in alike])
        # each image is within the bounds, and a tall and a wide one together need not be
        bounds.check_pixels(out, source, "a canvas for all images of a plan")
        for outputs, taps in zip(rows, counts, strict=True):
            bounds.check_weights(outputs, taps, "the tables of a plan")
        merged = alike[0]._replace(
            source=source,
            table_rows=rows,
            out=out,
            tap_counts=counts,
            order=order,
            used=tuple(used.tolist()),
        )
        stages.append(merged)
        source = merged.out
    return tuple(stages)


def _largest(sizes: Sequence[Size]) -> Size:
    return max(height for height, _ in sizes), max(width for _, width in sizes)


def make_plan(
    steps: tuple[Step, ...],
    parts: tuple[Segment, ...],
    sizes: Sequence[Size],
    stages: Bucket,
    is_windowed: bool = False,
) -> Plan:
    """Make the tables of images of `sizes` for a program that serves all of them.

    Args:
        steps: of the pipeline, without layouts.
        parts: its segments.
        is_windowed: the canvases hold the `read_window` of each image.

    >>> from jaxprep import ops
    >>> steps = (ops.Resize((4, 4)),)
    >>> parts = segments(steps)
    >>> make_plan(steps, parts, [(8, 8)], bucket_of(parts, (8, 8))).size.tolist()
    [[4, 4]]
    """
    tables_of_images = [image_tables(parts, size, stages, is_windowed) for size in sizes]
    # without a draw the matrix of all steps is known here, in `Plan.matrix`
    if any(step.is_random for step in steps):
        for i, size in enumerate(sizes):
            tables_of_images[i] = with_matrices(parts, size, tables_of_images[i])
    tables = stack_tables(tables_of_images)
    results = [all_tables(parts, size)[-1].size for size in sizes]
    matrices = [position_matrix(parts, size) for size in sizes]
    return Plan(
        tables,
        np.asarray(results, np.int32),
        np.asarray(matrices, np.float32),
        stages,
        steps,
        static_sizes(parts)[-1] is not None,
    )


def stack_tables(tables_of_images: Sequence[tuple[Tables, ...]]) -> Any:
    """Return the arrays of all images with a leading batch axis.

    >>> from jaxprep import ops
    >>> parts = segments((ops.Resize((4, 4)),))
    >>> tables = image_tables(parts, (8, 8), bucket_of(parts, (8, 8)))
    >>> stack_tables([tables, tables])[0].vertical.start.shape
    (2, 4)
    """
    # NumPy arrays, one transfer for a batch: JAX takes them as arguments of the program
    return jax.tree.map(lambda *leaves: np.stack(leaves), *tables_of_images)


def plan_of(lowered: Lowered, sizes: Sequence[Size], canvas: Size, any_sizes: bool = False) -> Plan:
    """Make the plan of a pipeline for images of `sizes` on one canvas.

    Args:
        any_sizes: make the arrays as large as images of any sizes on this canvas need them; see
            `Pipeline.plan`.

    Raises:
        InputError: a step would see more than the image; see `check_plan_fits`.

    >>> from jaxprep import Pipeline, ops
    >>> plan_of(Pipeline((ops.Resize((4, 4)),)).lowered, [(8, 6)], (64, 64)).canvas
    (64, 64)
    """
    if any(size != canvas for size in sizes):
        check_plan_fits(lowered.segments, lowered.layout)
    buckets = [bucket_of(lowered.segments, size, canvas) for size in sizes]
    if any_sizes:
        check_plan_fits(lowered.segments, lowered.layout)
        buckets.append(bucket_of_any(lowered.segments, canvas))
    stages = _up_to_whole(merge(buckets), lowered)
    plan = make_plan(lowered.steps, lowered.segments, sizes, stages)
    if lowered.mask is None:
        return plan
    return replace(plan, masks=plan_of(lowered.mask, sizes, canvas, any_sizes))


def _up_to_whole(stages: Bucket, lowered: Lowered) -> Bucket:
    """Stages whose results lie on a canvas that the layout cuts nothing off: see
    `Layout.multiple`."""
    last = stages[-1]
    is_fixed = static_sizes(lowered.segments)[-1] is not None or last.segment.drawn
    if lowered.layout is None or is_fixed or last.arithmetic == "copy":
        return stages
    whole = []
    for side, multiple in zip(last.out, lowered.layout.multiple, strict=True):
        # rounded up
        count = -(-side // multiple)
        whole.append(count * multiple)
    height, width = whole
    size = (height, width)
    return *stages[:-1], last._replace(table_rows=size, out=size)


SIDES = 8
"""Heights and widths in the grid of sizes that stand for all sizes of images on a canvas."""
EDGE_SIDES = 61
"""Sides in the list of sizes that fill one side of a canvas: results of few pixels are rounded by
much, so that the ratio of input to output, and with it the number of taps, is larger than of a
full canvas. A number that divides no usual canvas."""


@functools.lru_cache(maxsize=256)
def bucket_of_any(parts: tuple[Segment, ...], canvas: Size) -> Bucket:
    """Return the stages that serve images of any sizes on one canvas.

    A grid of sizes tells what any needs, up to the aspect ratio `SIDES`: an image that is thinner,
    and becomes longer than others by it, may need a program of its own.

    >>> from jaxprep import ops
    >>> parts = segments((ops.Resize((8, 8), reference="pillow"),))
    >>> bucket_of_any(parts, (64, 64))[0].order
    'both'
    """
    height, width = canvas
    grid = list(itertools.product(_sides(height, SIDES), _sides(width, SIDES)))
    stages = merge(_buckets_of(parts, grid, canvas))
    edges = [(height, side) for side in _sides(width, EDGE_SIDES)]
    edges += [(side, width) for side in _sides(height, EDGE_SIDES)]
    for thin in _buckets_of(parts, edges, canvas):
        fitted = []
        for stage, own in zip(thin, stages, strict=True):
            # results of thin images may be much longer than others: their sizes do not count
            fitted.append(stage._replace(source=own.source, table_rows=own.table_rows, out=own.out))
        stages = merge([stages, tuple(fitted)])
    return stages


def _buckets_of(parts: tuple[Segment, ...], sizes: Sequence[Size], canvas: Size) -> list[Bucket]:
    """The buckets of those sizes that the steps take; others are refused where they come."""
    buckets = []
    for size in sizes:
        with contextlib.suppress(InputError):
            buckets.append(bucket_of(parts, size, canvas))
    return buckets or [bucket_of(parts, canvas, canvas)]


def _sides(length: int, count: int) -> list[int]:
    """At most `count` sides up to `length`, evenly spaced."""
    return sorted({max(1, length * i // count) for i in range(1, count + 1)})


def image_tables(
    parts: tuple[Segment, ...], size: Size, stages: Bucket, is_windowed: bool = False
) -> tuple[Tables, ...]:
    """Return the arrays of one image, padded to the shapes of the stages.

    Args:
        is_windowed: the canvas holds the `read_window` of the image.

    >>> from jaxprep import ops
    >>> parts = segments((ops.Resize(shortest_edge=4),))
    >>> (tables,) = image_tables(parts, (8, 16), bucket_of(parts, (8, 16)))
    >>> tables.vertical.start.shape, tables.size.tolist()
    ((16,), [8, 16])
    """
    window = read_window(parts, size) if is_windowed else None
    tables = []
    for i, (segment, stage) in enumerate(zip(parts, stages, strict=True)):
        padded = _padded_tables(segment, stage, size, window)
        resized = resized_around(parts, i, size)
        if resized is not None:
            padded = padded._replace(resized=(np.bool_(resized[0]), np.bool_(resized[1])))
        tables.append(padded)
        size = segment_tables(segment, size).size
        if not segment.keeps_canvas:
            window = None
    return tuple(tables)


def _inside(taps: Taps, first: int, extent: int) -> Taps:
    """The table of an axis over its pixels from `first` on; rows that are filled read anything."""
    last = max(extent - taps.weight.shape[1], 0)
    start = np.clip(taps.start - np.int32(first), 0, last)
    return taps._replace(start=start.astype(np.int32))


def with_matrices(
    parts: Sequence[Segment], size: Size, tables: Sequence[Tables]
) -> tuple[Tables, ...]:
    """Return the tables with the matrix of each stage.

    Drawn steps come between the stages, so the product of all matrices is computed in the program.

    >>> from jaxprep import ops
    >>> parts = segments((ops.Resize((4, 4)),))
    >>> (tables,) = with_matrices(parts, (8, 16), [Tables(None, None)])
    >>> tables.matrix.diagonal().tolist()
    [0.25, 0.5, 1.0]
    """
    changed = []
    for segment, stage_tables in zip(parts, tables, strict=True):
        matrix = np.float32(segment_matrix(segment, size))
        changed.append(stage_tables._replace(matrix=matrix))
        size = segment_tables(segment, size).size
    return tuple(changed)


@cached()
def _padded_tables(segment: Segment, stage: Stage, size: Size, window: ReadWindow | None) -> Tables:
    read_size = size if window is None else window[2:]
    size_array = np.asarray(read_size, np.int32)
    made = segment_tables(segment, size)
    moved = (made.vertical.length, made.horizontal.length)
    # what a random step draws depends on the size of its image, not on that of the canvas
    draws = any(isinstance(part, Placed) and part.index is not None for part in segment.pointwise)
    moved_size = None
    if segment.drawn or draws:
        moved_size = np.asarray(moved, np.int32)
    if not segment.geometry:
        return Tables(None, None, size=size_array, moved_size=moved_size)
    passes = []
    edges = []
    for axis, table in enumerate((made.vertical, made.horizontal)):
        source = stage.source[axis]
        rows = stage.table_rows[axis]
        count = stage.tap_counts[axis]
        taps = in_arithmetic(table, stage.arithmetic, stage.reference, table.length)
        if window is not None:
            start = window[axis]
            length = window[2 + axis]
            taps = _inside(taps, start, length)
        passes.append(widen(taps, source, rows, count))
        # rows beyond the result belong to no slot: they are set to 0 or cut off at the end
        missing = rows - table.length
        edges.append(np.pad(table.edge, (0, missing)))
    vertical, horizontal = passes
    # None is no leaf of a pytree: plans of one order have no array for it
    first = np.bool_(made.vertical_first) if stage.order == "both" else None
    needs_edges = any(stage.used)
    both_edges = (edges[0], edges[1]) if needs_edges else None
    return Tables(vertical, horizontal, both_edges, first, size_array, moved_size)


def constant_stage(segment: Segment, size: Size) -> tuple[Stage, Tables]:
    """Return the stage and the tables of an image of `size` that fills its array, for a program of
    that size alone.

    Nothing is padded to a bucket, and the tables are constants of the program.

    >>> from jaxprep import ops
    >>> stage, tables = constant_stage(Segment(geometry=(ops.CenterCrop((2, 2)),)), (4, 6))
    >>> stage.source, stage.tap_counts, tables.horizontal.start.tolist()
    ((4, 6), (1, 1), [2, 3])
    """
    made = segment_tables(segment, size)
    # no buckets and no "both": this program serves one size
    order = "vertical" if made.vertical_first else "horizontal"
    moved = (made.vertical.length, made.horizontal.length)
    counts = (made.vertical.count, made.horizontal.count)
    stage = stage_of(segment, size, moved, made.size, counts, order, made.used)
    edges = (made.vertical.edge, made.horizontal.edge) if any(made.used) else None
    vertical = _constant_taps(made.vertical, stage)
    horizontal = _constant_taps(made.horizontal, stage)
    return stage, Tables(vertical, horizontal, edges)


def _constant_taps(table: AxisTable, stage: Stage) -> Taps | None:
    # an axis that is left as it is needs no pass; a plan has a table for it, as another image may
    if table.taps is None:
        return None
    return in_arithmetic(table, stage.arithmetic, stage.reference, table.length)


def result_size(parts: tuple[Segment, ...], size: Size) -> Size:
    """Return height and width of the result for an image of `size`.

    >>> from jaxprep import ops
    >>> result_size(segments((ops.Resize(shortest_edge=4),)), (8, 16))
    (4, 8)
    """
    return stage_sizes(parts, size)[-1][0]


def check_plan_fits(parts: tuple[Segment, ...], layout: Layout | None) -> None:
    """Raise `InputError` where a step would see more than the image.

    An opaque step sees the full array; on a canvas that is larger than the image it would see what
    lies outside of the image, too. So would a layout that does not keep the corner.

    >>> from jaxprep import ops
    >>> check_plan_fits(segments((ops.Resize((4, 4)),)), None)
    """
    sizes: list[Size | None] = [None, *static_sizes(parts)]
    step: Step | None = None
    for segment, size in zip(parts, sizes, strict=False):
        if segment.opaque is not None and size is None:
            step = segment.opaque.step
    if step is None and layout is not None and not layout.keeps_corner and sizes[-1] is None:
        step = layout
    if step is not None:
        raise InputError(
            f"Expected images of one size before `{type(step).__name__}`, which sees the whole "
            "array: put a step that gives them one size before it, or call the pipeline without a "
            "plan."
        )


def as_sizes(sizes: Any) -> list[Size]:
    """Return heights and widths as Python integers, which caches can take as keys.

    Raises:
        InputError: not `(batch, 2)` integers of at least 1.

    >>> as_sizes(np.array([[8, 6], [4, 2]]))
    [(8, 6), (4, 2)]
    """
    try:
        array = np.asarray(sizes)
    except (TypeError, ValueError) as error:  # traced, or rows of different lengths
        raise InputError(
            "Expected sizes (batch, 2) that are known outside of jit, got "
            f"{codec.shown(sizes)}: {error}."
        ) from error
    is_list = array.ndim == 2 and array.shape[1] == 2 and len(array) > 0
    if not is_list or array.dtype.kind not in "iu" or array.min() < 1:
        raise InputError(
            "Expected sizes (batch, 2), integer heights and widths of at least 1, got "
            f"{sizes!r:.80}."
        )
    return [(int(height), int(width)) for height, width in array]


def _write(metadata: tuple[Bucket, tuple[Step, ...], bool]) -> bytes:
    stages, steps, fills_canvas = metadata
    # what the steps do not say: the sizes of the arrays; segments are cut anew from the steps
    sizes = [stage[4:] for stage in stages]
    return codec.dumps(codec.to_json([sizes, list(steps), fills_canvas])).encode()


def _read(data: bytes | bytearray) -> tuple[Bucket, tuple[Step, ...], bool]:
    sizes, listed, fills_canvas = codec.loads(bytes(data), "an exported plan")
    kinds: Any = tuple[Size, Size, Size, tuple[int, int], str, tuple[bool, ...]]
    steps = tuple(codec.from_json(Step, step) for step in listed)
    parts = segments(without_layouts(steps))
    stages = [
        stage_of(segment, *codec.from_json(kinds, size))
        for segment, size in zip(parts, sizes, strict=True)
    ]
    return tuple(stages), steps, fills_canvas


def without_layouts(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Return the steps that segments are made of.

    >>> from jaxprep import ops
    >>> len(without_layouts((ops.Rescale(1 / 255), ops.ChannelsFirst())))
    1
    """
    return tuple(step for step in steps if not isinstance(step, Layout))


# `jax.export` writes the structure of a program's arguments into the file, so it must know these
export.register_namedtuple_serialization(Taps, serialized_name="jaxprep.Taps")
export.register_namedtuple_serialization(Tables, serialized_name="jaxprep.Tables")
export.register_pytree_node_serialization(
    Plan, serialized_name="jaxprep.Plan", serialize_auxdata=_write, deserialize_auxdata=_read
)
