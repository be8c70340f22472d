"""Steps whose numbers are drawn inside the program: their draws, tables and positions.

What goes in: a stage, its tables of known numbers (`plan.Tables`), and a key of one image or its
draws. What comes out: tables that include the drawn steps, in `jax.numpy`. `program.run_stages`
calls `draw_tables`, `traced.py` the others.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.pipeline.plan import Bucket, Stage, Tables
from jaxprep.pipeline.segment import Placed, Segment, check_declared, in_arithmetic
from jaxprep.pipeline.step import Sometimes
from jaxprep.resample.tables import AxisTable, Taps, TracedAxis, checked_axes
from jaxprep.types import Size


class DrawnTables(NamedTuple):
    """The tables of a segment with drawn steps, made in the program; see `SegmentTables`.

    Attributes:
        vertical, horizontal: the tables of the two axes.
        size: height and width of the result, integers that may be traced.

    >>> from jaxprep.resample.tables import HostAxis
    >>> table = HostAxis(4).table()
    >>> DrawnTables(table, table, (4, 4)).size
    (4, 4)
    """

    vertical: AxisTable
    horizontal: AxisTable
    size: tuple[Any, Any]


def drawn_tables(
    segment: Segment,
    vertical: AxisTable,
    horizontal: AxisTable,
    source: Size,
    draws: Any,
) -> DrawnTables:
    """Continue the tables of a segment's `geometry` with its drawn steps, inside the program.

    Args:
        vertical, horizontal: the tables of `geometry`; their lengths may be traced.
        source: height and width of the canvas, which bound the taps.
        draws: of all steps of the pipeline.

    >>> from jaxprep.resample.tables import HostAxis
    >>> table = HostAxis(4).table()
    >>> drawn_tables(Segment(), table, table, (4, 4), draws=()).size
    (4, 4)
    """
    height, width = source
    rows = TracedAxis(vertical, height)
    columns = TracedAxis(horizontal, width)
    for placed in segment.drawn:
        size = (rows.length, columns.length)
        axis_steps = checked_axes(placed.step, placed.step.axes(size, placed.draw(draws)))
        for axis, steps in zip((rows, columns), axis_steps, strict=True):
            for axis_step in steps:
                check_declared(placed.step, axis_step)
                axis.apply(axis_step, placed.number)
    return DrawnTables(
        vertical=rows.table(),
        horizontal=columns.table(),
        size=(rows.length, columns.length),
    )


def _moved_axes(stage: Stage, tables: Tables) -> tuple[AxisTable, AxisTable]:
    """The tables of a stage's `geometry`, for the drawn steps to go on from."""
    axes = []
    for axis, taps in enumerate((tables.vertical, tables.horizontal)):
        length: Any = stage.table_rows[axis]
        edge: Any = np.zeros(length, np.int8)
        if tables.moved_size is not None:
            length = tables.moved_size[axis]
        if tables.edges is not None:
            edge = tables.edges[axis]
        # a map of identity: what `geometry` does to positions is in `Tables.matrix`
        identity = (1.0, 0.0)
        axes.append(AxisTable(taps, edge, length, identity))
    vertical, horizontal = axes
    return vertical, horizontal


def draw_tables(stage: Stage, tables: Tables, draws: Any) -> Tables:
    """Make the tables of a stage with its drawn steps, inside the program.

    >>> from jaxprep.pipeline.plan import constant_stage
    >>> stage, tables = constant_stage(Segment(), (4, 4))
    >>> draw_tables(stage, tables, draws=()).vertical.start.tolist()
    [0, 1, 2, 3]
    """
    vertical, horizontal = _moved_axes(stage, tables)
    made = drawn_tables(stage.segment, vertical, horizontal, stage.source, draws)
    height, width = stage.out
    return tables._replace(
        vertical=_first_outputs(stage, made.vertical, height),
        horizontal=_first_outputs(stage, made.horizontal, width),
        edges=(made.vertical.edge[:height], made.horizontal.edge[:width]),
    )


def _first_outputs(stage: Stage, table: AxisTable, count: int) -> Taps:
    """The first `count` outputs of a drawn table: a flip keeps the canvas that it is given, which
    is larger than a result of known size."""
    # one arithmetic for both axes, whichever of them the drawn steps resize
    length = table.edge.shape[0]
    taps = in_arithmetic(table, stage.arithmetic, stage.reference, length)
    return Taps(taps.start[:count], taps.weight[:count], taps.shift)


def draw_all(
    stages: Bucket,
    tables: Sequence[Tables],
    key: Any,
    count: int,
    index: Any = 0,
) -> tuple[Any, ...]:
    """Draw the numbers of every random step for one image; None for the other steps.

    Step i draws with `fold_in(key, i)`, from the size that the image has where the step stands.

    Args:
        key: of the image.
        count: how many steps there are.
        index: of the image in its stream.

    >>> from jaxprep.pipeline.plan import constant_stage
    >>> stage, tables = constant_stage(Segment(), (4, 4))
    >>> draw_all((stage,), (tables,), jax.random.key(0), count=2)
    (None, None)
    """
    draws: list[Any] = [None] * count
    # one call for all steps: each call of `jax.random` is compiled for 0.2 to 0.4 s on CPU
    draw_units = functools.cache(
        lambda: jax.random.uniform(jax.random.fold_in(key, count), (count,))
    )

    def draw(placed: Any, size: Any) -> None:
        if placed.index is None:
            return
        step_key = jax.random.fold_in(key, placed.index)
        # int32 also where they are known: Python would compute in float64, and the draws of a
        # plan would differ
        height, width = (jnp.asarray(side, jnp.int32) for side in size)
        drawn = placed.step.draw(step_key, (height, width))
        if isinstance(placed.step, Sometimes):
            unit = draw_units()[placed.index] if placed.step.probability < 1 else None
            drawn = placed.step.sometimes(drawn, index, unit)
        draws[placed.index] = drawn

    for stage, stage_tables in zip(stages, tables, strict=True):
        size = _source_size(stage, stage_tables)
        if stage.segment.opaque is not None:
            draw(stage.segment.opaque, size)
        vertical, horizontal = _moved_axes(stage, stage_tables)
        size = (vertical.length, horizontal.length)
        for placed in stage.segment.drawn:
            draw(placed, size)
            # the next step draws from the size that this one leaves, which its draw may decide
            until = stage.segment.until(placed)
            made = drawn_tables(until, vertical, horizontal, stage.source, draws)
            size = made.size
        for placed in stage.segment.pointwise:
            if isinstance(placed, Placed):
                draw(placed, size)
    return tuple(draws)


def _source_size(stage: Stage, tables: Tables) -> tuple[Any, Any]:
    """Height and width of what comes into a stage."""
    if tables.size is None:
        return stage.source
    height, width = tables.size
    return height, width


def drawn_matrices(
    stages: Bucket,
    tables: Sequence[Tables],
    draws: Any,
) -> tuple[jax.Array, list[tuple[jax.Array, Any]]]:
    """Return where positions of one image go, drawn steps included.

    Args:
        tables: with `matrix`, see `plan.with_matrices`.

    Returns:
        the matrix `(3, 3)` float32 of all stages; and for each stage but the first, the matrix of
        those before it, with the size that they leave.

    >>> from jaxprep.pipeline.plan import constant_stage
    >>> stage, tables = constant_stage(Segment(), (4, 4))
    >>> matrix, _ = drawn_matrices((stage,), (tables._replace(matrix=2 * np.eye(3)),), ())
    >>> matrix.diagonal().tolist()
    [2.0, 2.0, 2.0]
    """
    matrix = jnp.eye(3)
    between: list[tuple[jax.Array, Any]] = []
    for stage, stage_tables in zip(stages, tables, strict=True):
        size = _source_size(stage, stage_tables)
        between.append((matrix, size))
        placed = stage.segment.opaque
        if placed is not None and placed.index is not None:
            moved = placed.step.matrix(size, placed.draw(draws))
            if moved is not None:
                matrix = jnp.asarray(moved, jnp.float32) @ matrix
        matrix = jnp.asarray(stage_tables.matrix, jnp.float32) @ matrix
        if stage.segment.drawn:
            vertical, horizontal = _moved_axes(stage, stage_tables)
            made = drawn_tables(stage.segment, vertical, horizontal, stage.source, draws)
            scale_y, shift_y = made.vertical.map
            scale_x, shift_x = made.horizontal.map
            # stacked, as some of the entries are traced
            flat = [scale_x, 0, shift_x, 0, scale_y, shift_y, 0, 0, 1]
            entries = [jnp.asarray(entry, jnp.float32) for entry in flat]
            moved = jnp.stack(entries).reshape(3, 3)
            matrix = moved @ matrix
    return matrix, between[1:]
