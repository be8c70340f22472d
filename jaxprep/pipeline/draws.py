"""Steps whose numbers are drawn inside the program: their draws, tables and positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.pipeline.plan import Bucket, Stage, Tables
from jaxprep.pipeline.segment import Placed, Segment, check_declared, in_arithmetic
from jaxprep.resample.tables import AxisTable, TracedAxis
from jaxprep.types import Size


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
    for count, placed in enumerate(segment.drawn, 1):
        size = (axes[0].length, axes[1].length)
        axis_steps = placed.step.axes(size, placed.draw(draws))
        for axis, steps in zip(axes, axis_steps, strict=True):
            for axis_step in steps:
                check_declared(placed.step, axis_step)
                axis.apply(axis_step, -count)  # the number of its `PaddingSlot`
    return DrawnTables(axes[0].table(), axes[1].table(), (axes[0].length, axes[1].length))


def _moved_axes(stage: Stage, tables: Tables) -> tuple[AxisTable, AxisTable]:
    """The tables of a stage's `geometry`, for the drawn steps to go on from."""
    axes = []
    for axis, taps in enumerate((tables.vertical, tables.horizontal)):
        count = stage.rows[axis]
        length = count if tables.moved_size is None else tables.moved_size[axis]
        edge = np.zeros(count, np.int8) if tables.edges is None else tables.edges[axis]
        axes.append(AxisTable(taps, edge, length, (1.0, 0.0)))
    return axes[0], axes[1]


def draw_tables(stage: Stage, tables: Tables, draws: Any) -> Tables:
    """The tables of a stage with its drawn steps, made in the program."""
    made = drawn_tables(stage.segment, *_moved_axes(stage, tables), stage.source, draws)
    passes = []
    for table in (made.vertical, made.horizontal):
        passes.append(in_arithmetic(table, stage.arithmetic, stage.reference, table.edge.shape[0]))
    edges = (made.vertical.edge, made.horizontal.edge)
    return tables._replace(vertical=passes[0], horizontal=passes[1], edges=edges)


def draw_all(stages: Bucket, tables: Sequence[Tables], key: Any, count: int) -> tuple[Any, ...]:
    """What every random step draws for one image; None for the others.

    Step i draws with `fold_in(key, i)`, from the size that the image has where the step stands.

    Args:
        key: of the image.
        count: how many steps there are.
    """
    draws: list[Any] = [None] * count

    def draw(placed: Any, size: Any) -> None:
        if placed.index is not None:
            own_key = jax.random.fold_in(key, placed.index)
            draws[placed.index] = placed.step.draw(own_key, size)

    for stage, own in zip(stages, tables, strict=True):
        size = stage.source if own.size is None else (own.size[0], own.size[1])
        if stage.segment.opaque is not None:
            draw(stage.segment.opaque, size)
        moved = _moved_axes(stage, own)
        size = (moved[0].length, moved[1].length)
        for placed in stage.segment.drawn:
            draw(placed, size)
            until = stage.segment.until(placed)
            size = drawn_tables(until, *moved, stage.source, draws).size
        for placed in stage.segment.pointwise:
            if isinstance(placed, Placed):
                draw(placed, size)
    return tuple(draws)


def drawn_matrix(stages: Bucket, tables: Sequence[Tables], draws: Any) -> jax.Array:
    """Where positions of one image go, `(3, 3)` float32, drawn steps included."""
    matrix = jnp.eye(3)
    for stage, own in zip(stages, tables, strict=True):
        size = stage.source if own.size is None else (own.size[0], own.size[1])
        placed = stage.segment.opaque
        if placed is not None and placed.index is not None:
            moved = placed.step.matrix(size, placed.draw(draws))
            matrix = matrix if moved is None else jnp.asarray(moved, jnp.float32) @ matrix
        matrix = jnp.asarray(own.matrix, jnp.float32) @ matrix
        if stage.segment.drawn:
            made = drawn_tables(stage.segment, *_moved_axes(stage, own), stage.source, draws)
            (scale_y, shift_y), (scale_x, shift_x) = made.vertical.map, made.horizontal.map
            flat = [scale_x, 0, shift_x, 0, scale_y, shift_y, 0, 0, 1]
            entries = [jnp.asarray(entry, jnp.float32) for entry in flat]
            matrix = jnp.stack(entries).reshape(3, 3) @ matrix
    return matrix
