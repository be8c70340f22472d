"""Makes the way back from a model's input to its photograph: `jaxprep.undo`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep import ops, presets
from jaxprep.bounds import bounded_jit
from jaxprep.errors import InputError
from jaxprep.pipeline import Pipeline, Plan
from jaxprep.pipeline.draws import draw_tables, drawn_matrices
from jaxprep.pipeline.lower import Lowered
from jaxprep.pipeline.plan import Bucket, Tables, as_sizes, result_size
from jaxprep.pipeline.positions import is_axis_aligned, position_matrix
from jaxprep.pipeline.program import constant_program
from jaxprep.pipeline.segment import all_tables
from jaxprep.settings import with_default_settings
from jaxprep.types import Size
from jaxprep.undoing.geometry import Undo


@with_default_settings
def undo(
    preset: Any,
    size: Any = None,
    *,
    plan: Plan | None = None,
    draws: Any = None,
    **overrides: Any,
) -> Undo:
    """Return the way back from a model's input to its photograph, for boxes, keypoints, masks and
    heat maps.

    Args:
        preset: a name or a path; a preprocessor, converter or processor; a config; a `Pipeline`.
        size: height and width of the photograph, known outside of jit; or `(batch, 2)`.
        plan: instead of `size`, that of the batch, `pipeline.plan(sizes)`, which may be traced.
        draws: what random steps drew, from `pipeline.draw(key, batch)`; may be traced.
        overrides: as in `jaxprep.presets.load`.

    Returns:
        an `Undo`: `boxes`, `keypoints`, `masks`, `heat_maps`; `tiles` and `window` for parts of the
        input. Of a batch, where there is a plan or there are several sizes.

    Raises:
        InputError: neither `size` nor `plan`, or both; random steps without `draws`; a plan of
            another pipeline.

    >>> import jaxprep
    >>> pre = jaxprep.ImageClassifierPreprocessor.from_preset("timm/resnet50.a1_in1k")
    >>> geometry = jaxprep.undo(pre, size=(470, 940))  # 224 of 235 x 470 pixels are seen
    >>> geometry.boxes(np.float32([[0, 0, 224, 224]])).positions.tolist()
    [[246.0, 12.0, 694.0, 460.0]]
    """
    pipeline = presets.config_of(preset, **overrides).pipeline
    if (size is None) == (plan is None):
        raise InputError(
            "Expected `size`, that of the photograph, or the `plan` of a batch, got "
            f"{'neither' if plan is None else 'both'}."
        )
    if pipeline.is_random and draws is None:
        raise InputError(
            "Expected `draws`, as the pipeline has random steps: `pipeline.draw(key, batch)` "
            "returns them."
        )
    if plan is not None:
        return _undo_plan(pipeline, plan, None if not pipeline.is_random else draws)
    array = np.asarray(size)
    sizes = as_sizes(np.atleast_2d(array))
    if not pipeline.is_random:
        return _undo_sizes(pipeline, sizes, array.ndim == 2)
    if len(set(sizes)) == 1:
        return _undo_draws(pipeline, sizes, draws, array.ndim == 2)
    largest = tuple(np.max(sizes, axis=0).tolist())
    return _undo_plan(pipeline, pipeline.plan(sizes, largest), draws)


def _undo_sizes(pipeline: Pipeline, sizes: list[Size], is_batch: bool) -> Undo:
    """Of known sizes, without draws: all is arithmetic of the host, in float64."""
    matrices = [position_matrix(pipeline.segments, size) for size in sizes]
    results = [result_size(pipeline.segments, size) for size in sizes]
    boxes = []
    for size in sizes:
        last = all_tables(pipeline.segments, size)[-1]
        edges = (last.vertical.edge, last.horizontal.edge)
        boxes.append(_shown(edges if any(last.used) else None, last.size, np))
    return _made(pipeline, matrices, boxes, sizes, results, is_batch)


def _undo_draws(pipeline: Pipeline, sizes: list[Size], draws: Any, is_batch: bool) -> Undo:
    """Of photographs of one size, with draws."""
    batched = draws
    if not is_batch:
        batched = jax.tree.map(lambda leaf: leaf[None], draws)
    matrices, boxes = _constant_places((pipeline.lowered, sizes[0]), batched)
    results = [result_size(pipeline.segments, sizes[0])] * len(sizes)
    return _made(pipeline, matrices, boxes, sizes, results, is_batch)


# jitted, as the next one is: of hundreds of operations each would be compiled by itself
@bounded_jit()
def _constant_places(program: tuple[Lowered, Size], draws: Any) -> tuple[jax.Array, jax.Array]:
    lowered, size = program
    stages, constants = constant_program(lowered, size)
    result = result_size(lowered.segments, size)

    def places(draw: Any) -> tuple[jax.Array, jax.Array]:
        return _drawn_places(stages, constants, result, draw)

    return jax.vmap(places)(draws)


def _made(
    pipeline: Pipeline,
    matrices: Any,
    boxes: Any,
    sizes: list[Size],
    results: list[Size],
    is_batch: bool,
) -> Undo:
    canvas, input_canvas = (tuple(np.max(listed, axis=0).tolist()) for listed in (sizes, results))
    # of a single image, its numbers have no batch axis
    each = slice(None) if is_batch else 0
    made = Undo(
        whole=jnp.asarray(matrices, jnp.float32)[each],
        corner=jnp.zeros((len(sizes), 2), jnp.float32)[each],
        size=jnp.asarray(sizes, jnp.int32)[each],
        input_size=jnp.asarray(results, jnp.int32)[each],
        shown=jnp.asarray(boxes, jnp.float32)[each],
        canvas=canvas,
        input_canvas=input_canvas,
    )
    return _with_layout(pipeline, made)


def _undo_plan(pipeline: Pipeline, plan: Plan, draws: Any) -> Undo:
    """Of a batch with a plan, whose arrays may be traced."""
    if not isinstance(plan, Plan) or plan.steps != pipeline.inner_steps:
        raise InputError("Expected a plan of this pipeline, got another - at `plan`.")

    is_batch = np.ndim(plan.matrix) == 3
    given = (plan.tables, plan.matrix, plan.size, draws)
    tables, matrix, size, draws = jax.tree.map(jnp.asarray, given)
    moved, shown = _planned_places((plan.stages, is_batch), tables, matrix, size, draws)
    made = Undo(
        whole=moved,
        corner=jnp.zeros((*jnp.shape(moved)[:-2], 2), jnp.float32),
        size=tables[0].size,
        input_size=size,
        shown=shown,
        canvas=plan.canvas,
        input_canvas=plan.stages[-1].out,
    )
    return _with_layout(pipeline, made)


@bounded_jit()
def _planned_places(
    program: tuple[Bucket, bool], tables: Any, matrix: Any, size: Any, draws: Any
) -> tuple[jax.Array, jax.Array]:
    stages, is_batch = program

    def places(tables: Any, matrix: Any, size: Any, draw: Any) -> tuple[jax.Array, jax.Array]:
        if draw is not None:
            return _drawn_places(stages, tables, size, draw)
        return matrix, _shown(tables[-1].edges, size)

    of_all = jax.vmap(places) if is_batch else places
    return of_all(tables, matrix, size, draws)


def _drawn_places(
    stages: Bucket, tables: Sequence[Tables], size: Any, draws: Any
) -> tuple[jax.Array, jax.Array]:
    """The matrix of one image, and the box of its result that shows it, with drawn steps."""
    matrix, _ = drawn_matrices(stages, tables, draws)
    last = tables[-1]
    if stages[-1].segment.drawn:
        last = draw_tables(stages[-1], last, draws)
    return matrix, _shown(last.edges, size)


def _shown(edges: tuple[Any, Any] | None, size: Any, xp: Any = jnp) -> Any:
    """The box of a result of `size` that shows the image: what its last segment has not filled.

    Args:
        edges: for each row and column 0, or the number of the step that fills it; None where
            nothing is filled.
        xp: `numpy` on the host, where an operation of JAX would compile.
    """
    ends = []
    for axis in (1, 0):
        length = size[axis]
        if edges is None:
            ends.append((0, length))
            continue
        filled_by = edges[axis]
        index = xp.arange(filled_by.shape[0])
        is_filled = (filled_by != 0) | (index >= length)
        # nothing is shown where all is filled: then both ends are `length`
        starts = xp.where(is_filled, length, index)
        first = starts.min()
        stops = xp.where(is_filled, 0, index + 1)
        last = xp.maximum(stops.max(), first)
        ends.append((first, last))
    (left, right), (top, bottom) = ends
    box = (left, top, right, bottom)
    # stacked, as some may be traced
    return xp.stack([xp.asarray(end, xp.float32) for end in box])


def _with_layout(pipeline: Pipeline, made: Undo) -> Undo:
    layout = pipeline.layout
    multiples = (1, 1) if layout is None else layout.multiple
    height, width = made.input_canvas
    row_multiple, column_multiple = multiples
    # Patches and tiles leave out the pixels that fill no whole one.
    whole_height = height // row_multiple * row_multiple
    whole_width = width // column_multiple * column_multiple
    return replace(
        made,
        input_canvas=(whole_height, whole_width),
        tile=layout.size if isinstance(layout, ops.Tiles) else None,
        is_axis_aligned=is_axis_aligned(pipeline.segments),
    )
