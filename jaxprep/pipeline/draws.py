"""Steps whose numbers are drawn inside the program: their draws, tables and positions.

What goes in: a stage, its tables of known numbers (`plan.Tables`), and a key of one image or its
draws. What comes out: tables that include the drawn steps, in `jax.numpy`. `program.run_stages`
calls `draw_tables`, `traced.py` the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.pipeline.plan import Bucket, Stage, Tables
from jaxprep.pipeline.segment import Placed, Segment, check_declared, in_arithmetic
from jaxprep.resample.tables import AxisTable, Taps, TracedAxis
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
    segment: Segment, vertical: AxisTable, horizontal: AxisTable, source: Size, draws: Any
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
    axes = TracedAxis(vertical, source[0]), TracedAxis(horizontal, source[1])
    for placed in segment.drawn:
        size = (axes[0].length, axes[1].length)
        axis_steps = placed.step.axes(size, placed.draw(draws))
        for axis, steps in zip(axes, axis_steps, strict=True):
            for axis_step in steps:
                check_declared(placed.step, axis_step)
                axis.apply(axis_step, placed.number)
    return DrawnTables(axes[0].table(), axes[1].table(), (axes[0].length, axes[1].length))


def _moved_axes(stage: Stage, tables: Tables) -> tuple[AxisTable, AxisTable]:
    """The tables of a stage's `geometry`, for the drawn steps to go on from."""
    axes = []
    for axis, taps in enumerate((tables.vertical, tables.horizontal)):
        length: Any = stage.rows[axis]
        edge: Any = np.zeros(length, np.int8)
        if tables.moved_size is not None:
            length = tables.moved_size[axis]
        if tables.edges is not None:
            edge = tables.edges[axis]
        # a map of identity: what `geometry` does to positions is in `Tables.matrix`
        axes.append(AxisTable(taps, edge, length, (1.0, 0.0)))
    return axes[0], axes[1]


def draw_tables(stage: Stage, tables: Tables, draws: Any) -> Tables:
    """Make the tables of a stage with its drawn steps, inside the program.

    >>> from jaxprep.pipeline.plan import constant_stage
    >>> stage, tables = constant_stage(Segment(), (4, 4))
    >>> draw_tables(stage, tables, draws=()).vertical.start.tolist()
    [0, 1, 2, 3]
    """
    made = drawn_tables(stage.segment, *_moved_axes(stage, tables), stage.source, draws)
    # one arithmetic for both axes, whichever of them the drawn steps resize
    passes = []
    edges = []
    for table, count in zip((made.vertical, made.horizontal), stage.out, strict=True):
        taps = in_arithmetic(table, stage.arithmetic, stage.reference, table.edge.shape[0])
        # a flip keeps the canvas that it is given, which is larger than a result of known size
        passes.append(Taps(taps.start[:count], taps.weight[:count], taps.shift))
        edges.append(table.edge[:count])
    return tables._replace(vertical=passes[0], horizontal=passes[1], edges=(edges[0], edges[1]))


def draw_all(stages: Bucket, tables: Sequence[Tables], key: Any, count: int) -> tuple[Any, ...]:
    """Draw the numbers of every random step for one image; None for the other steps.

    Step i draws with `fold_in(key, i)`, from the size that the image has where the step stands.

    Args:
        key: of the image.
        count: how many steps there are.

    >>> from jaxprep.pipeline.plan import constant_stage
    >>> stage, tables = constant_stage(Segment(), (4, 4))
    >>> draw_all((stage,), (tables,), jax.random.key(0), count=2)
    (None, None)
    """
    draws: list[Any] = [None] * count

    def draw(placed: Any, size: Any) -> None:
        if placed.index is not None:
            own_key = jax.random.fold_in(key, placed.index)
            # int32 also where they are known: Python would compute in float64, and the draws of a
            # plan would differ
            sides = (jnp.asarray(size[0], jnp.int32), jnp.asarray(size[1], jnp.int32))
            draws[placed.index] = placed.step.draw(own_key, sides)

    for stage, stage_tables in zip(stages, tables, strict=True):
        size = _source_size(stage, stage_tables)
        if stage.segment.opaque is not None:
            draw(stage.segment.opaque, size)
        moved = _moved_axes(stage, stage_tables)
        size = (moved[0].length, moved[1].length)
        for placed in stage.segment.drawn:
            draw(placed, size)
            # the next step draws from the size that this one leaves, which its draw may decide
            until = stage.segment.until(placed)
            size = drawn_tables(until, *moved, stage.source, draws).size
        for placed in stage.segment.pointwise:
            if isinstance(placed, Placed):
                draw(placed, size)
    return tuple(draws)


def _source_size(stage: Stage, tables: Tables) -> tuple[Any, Any]:
    """Height and width of what comes into a stage."""
    if tables.size is None:
        return stage.source
    return tables.size[0], tables.size[1]


def drawn_matrix(stages: Bucket, tables: Sequence[Tables], draws: Any) -> jax.Array:
    """Return the matrix `(3, 3)` float32 by which positions of one image go, drawn steps included.

    Args:
        tables: with `matrix`, see `plan.with_matrices`.

    >>> from jaxprep.pipeline.plan import constant_stage
    >>> stage, tables = constant_stage(Segment(), (4, 4))
    >>> drawn_matrix((stage,), (tables._replace(matrix=2 * np.eye(3)),), ()).diagonal().tolist()
    [2.0, 2.0, 2.0]
    """
    matrix = jnp.eye(3)
    for stage, stage_tables in zip(stages, tables, strict=True):
        size = _source_size(stage, stage_tables)
        placed = stage.segment.opaque
        if placed is not None and placed.index is not None:
            moved = placed.step.matrix(size, placed.draw(draws))
            if moved is not None:
                matrix = jnp.asarray(moved, jnp.float32) @ matrix
        matrix = jnp.asarray(stage_tables.matrix, jnp.float32) @ matrix
        if stage.segment.drawn:
            axes = _moved_axes(stage, stage_tables)
            made = drawn_tables(stage.segment, *axes, stage.source, draws)
            (scale_y, shift_y), (scale_x, shift_x) = made.vertical.map, made.horizontal.map
            # stacked, as some of the entries are traced
            flat = [scale_x, 0, shift_x, 0, scale_y, shift_y, 0, 0, 1]
            entries = [jnp.asarray(entry, jnp.float32) for entry in flat]
            matrix = jnp.stack(entries).reshape(3, 3) @ matrix
    return matrix
