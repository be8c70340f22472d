"""Running a program on one image, and on a batch: what `jit` and `vmap` see.

The engine is chosen once, for a whole program: `on_platform` traces it for CPU, for TPU and in the
plain form, and XLA keeps the one for the platform that is compiled for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import PartitionSpec

from jaxprep.errors import InputError
from jaxprep.pipeline.epilogue import apply_pointwise, zero_image_outside, zero_outside
from jaxprep.pipeline.lower import Placed, Segment, drawn_tables, in_arithmetic
from jaxprep.pipeline.plan import Bucket, Stage, Tables, constant_stage
from jaxprep.pipeline.step import Layout
from jaxprep.resample.engines.cpu import CpuEngine
from jaxprep.resample.engines.plain import PlainEngine
from jaxprep.resample.engines.tpu import TpuEngine
from jaxprep.resample.passes import Epilogue, Form, Passes, Rows, round_to
from jaxprep.resample.tables import AxisTable, Taps
from jaxprep.types import Size


class Program(NamedTuple):
    """What one program is compiled for.

    Attributes:
        stages: the segments and the sizes of their arrays.
        exact: compute affines of uint8 by a table; see `Pipeline`.
        layout: how results are stored; None as `(h, w, c)`.
        fills_canvas: whether every result fills the canvas of the last stage.
        channels, dtype: of the images, for callers that compile ahead of knowing an array.
    """

    stages: Bucket
    exact: bool = False
    layout: Layout | None = None
    fills_canvas: bool = True
    channels: int | None = None
    dtype: Any = None

    @property
    def form(self) -> Form | None:
        """How results lie in memory; None for a layout of another shape than an image."""
        if self.layout is None:
            return "pixels"
        return "planes" if self.layout.planar else None


def run_stages(
    program: Program, engine: Any, image: Any, tables: Sequence[Tables], size: Any, draws: Any
) -> jax.Array:
    """Runs one image through all stages.

    Args:
        engine: what applies tap tables; see `jaxprep.resample.engines`.
        image: `(h, w, c)`, or a view of one that the engine knows.
        tables: of each stage; constant arrays, or traced ones of a plan.
        size: height and width of the result, on its canvas; None where every result fills it.
        draws: of all steps, for one image.
    """
    for stage, own in zip(program.stages, tables, strict=True):
        is_last = stage is program.stages[-1]
        if stage.segment.opaque is not None:
            image = _apply_opaque(stage.segment.opaque, engine.pixels(image), draws)
        is_float = jnp.issubdtype(image.dtype, jnp.floating)
        if own.size is not None and is_float and stage.arithmetic != "integer":
            # 0 * NaN is NaN: what lies outside must not reach a sum, even with weight 0
            image = zero_image_outside(engine.pixels(image), own.size)
        if stage.segment.drawn:
            own = draw_tables(stage, own, draws)
        dtype = result_dtype(image.dtype, stage)
        compute = functools.partial(
            _compute_epilogue, program, stage, own.edges, dtype, size if is_last else None, draws
        )
        epilogue = Epilogue(compute)
        if is_last and program.layout is not None:
            store = None
            if not program.layout.planar:
                store = functools.partial(_store, program.layout)
            epilogue = Epilogue(compute, program.layout.planar, store)
        image = engine.run_segment(image, passes_of(stage, own), epilogue, is_last)
    return image


def _apply_opaque(placed: Placed, image: Any, draws: Any) -> Any:
    step = placed.step
    expected = (*step.output_size(image.shape[:2]), step.output_channels(image.shape[2]))
    result = step.apply(image, placed.draw(draws))
    if tuple(result.shape) != expected:
        raise InputError(
            f"Expected `{type(step).__name__}.apply` to return shape {expected}, of its "
            f"`output_size` and `output_channels`, got {tuple(result.shape)}."
        )
    return result


def _store(layout: Layout, image: Any) -> Any:
    expected = tuple(layout.shape(image.shape[:2], image.shape[2]))
    result = layout.store(image)
    if tuple(result.shape) != expected:
        raise InputError(
            f"Expected `{type(layout).__name__}.store` to return shape {expected}, that of its "
            f"`shape`, got {tuple(result.shape)}."
        )
    return result


def passes_of(stage: Stage, tables: Tables) -> Passes:
    """The passes of a stage, with the tables of one image."""
    first = tables.vertical_first if stage.order == "both" else stage.order == "vertical"
    height = None if tables.size is None else tables.size[0]
    return Passes(tables.vertical, tables.horizontal, stage.arithmetic, first, height)


def _compute_epilogue(
    program: Program,
    stage: Stage,
    edges: Any,
    dtype: Any,
    size: Any,
    draws: Any,
    rows: Rows,
) -> Rows:
    if rows.values.dtype != dtype:
        rows = rows.map(lambda values: round_to(values, dtype))
    rows = apply_pointwise(stage.segment.pointwise, rows, edges, program.exact, draws)
    if size is None or program.fills_canvas:
        return rows
    return zero_outside(rows, size)


def check_dtype(dtype: Any, reference: str, is_integer: bool) -> None:
    """Refuses what the reference has no arithmetic for.

    Raises:
        InputError: a reference that rounds to uint8 is given anything else.
    """
    if is_integer and dtype != jnp.uint8:
        raise InputError(
            f"Expected a uint8 image for reference='{reference}', which rounds every pass to "
            f"uint8, got {dtype}. Cast the image to uint8, or choose reference='float', 'torch' or "
            "'jax', which take any type and are differentiable."
        )


def result_dtype(dtype: Any, stage: Stage) -> Any:
    """The dtype after the passes of a stage, for an image of `dtype`."""
    if stage.arithmetic == "copy":
        return dtype
    check_dtype(dtype, str(stage.reference), stage.arithmetic == "integer")
    keeps = stage.rounded and not jnp.issubdtype(dtype, jnp.floating)
    return dtype if keeps else jnp.dtype(jnp.float32)


# -- draws -----------------------------------------------------------------------------------------


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
    edges = []
    for table, count in zip((made.vertical, made.horizontal), stage.out, strict=True):
        taps = in_arithmetic(table, stage.segment, table.edge.shape[0])
        # a flip keeps the canvas that it is given, which is larger than a result of known size
        passes.append(Taps(taps.start[:count], taps.weight[:count], taps.shift))
        edges.append(table.edge[:count])
    return tables._replace(vertical=passes[0], horizontal=passes[1], edges=(edges[0], edges[1]))


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
            # int32 also where they are known: Python would compute in float64, and the draws of a
            # plan would differ
            sides = (jnp.asarray(size[0], jnp.int32), jnp.asarray(size[1], jnp.int32))
            draws[placed.index] = placed.step.draw(own_key, sides)

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
            if hasattr(placed, "step"):
                draw(placed, size)
    return tuple(draws)


# -- batches ---------------------------------------------------------------------------------------

Run = Callable[[Any, Any, Any], jax.Array]
"""What makes a result of an engine, an image, and what belongs to it (tables, size, draws)."""


def on_platform(function: Callable[..., Any], *args: Any) -> Any:
    """Calls `function(engine, *args)` with the engine of the platform that is compiled for."""
    return lax.platform_dependent(
        *args,
        cpu=functools.partial(function, CpuEngine()),
        tpu=functools.partial(function, TpuEngine()),
        default=functools.partial(function, PlainEngine()),
    )


def run_image(run: Run, image: jax.Array, own: Any) -> jax.Array:
    """Runs `run` on one image `(h, w, c)`."""
    return on_platform(run, image, own)


def run_images(
    run: Run, images: jax.Array, own: Any, arithmetics: set[Any], form: Form | None
) -> jax.Array:
    """Runs `run` on each image of a batch `(b, h, w, c)` and what belongs to it.

    Args:
        own: a pytree with a leading batch axis.
        arithmetics: of all passes.
        form: of the results.
    """
    axis = _sharded_over(images, own)
    if axis is not None:  # on an explicit mesh each device runs what it has, without exchanges
        each = functools.partial(run_images, run, arithmetics=arithmetics, form=form)
        mesh, spec = jax.typeof(images).sharding.mesh, PartitionSpec(axis)
        return jax.shard_map(each, mesh=mesh, in_specs=spec, out_specs=spec)(images, own)

    def with_engine(engine: Any, images: jax.Array, own: Any) -> jax.Array:
        return engine.map_images(run, images, own, arithmetics, form)

    return on_platform(with_engine, images, own)


def _sharded_over(images: jax.Array, own: Any) -> Any:
    """The axes of an explicit mesh that all of these are sharded over, along their batch alone; None
    if not so."""
    shardings = [jax.typeof(leaf).sharding for leaf in jax.tree.leaves((images, own))]
    axis = shardings[0].spec[0]
    alike = all(sharding.spec[0] == axis and not any(sharding.spec[1:]) for sharding in shardings)
    return axis if alike and shardings[0].mesh.are_all_axes_explicit else None


def map_batch(function: Callable[..., Any], shared: Any, batched: Any, count: int) -> Any:
    """Maps `function(shared, *one)` over the `count` examples of `batched`, a tuple of pytrees.

    On an explicit mesh each device maps what it has, as in `run_images`. A plain `vmap` would make
    JAX refuse code that combines what is sharded with what is not (`ShardingTypeError`), such as
    `jnp.stack([drawn, 0])` in a step.
    """

    def map_examples(shared: Any, batched: Any) -> Any:
        leaves = jax.tree.leaves(batched)
        here = leaves[0].shape[0] if leaves else count  # of a device, it has fewer
        return jax.vmap(functools.partial(function, shared), axis_size=here)(*batched)

    leaves = jax.tree.leaves(batched)
    axis = _sharded_over(leaves[0], leaves[1:]) if leaves else None
    if axis is None:
        return map_examples(shared, batched)
    mesh, along_batch = jax.typeof(leaves[0]).sharding.mesh, PartitionSpec(axis)
    specs = (PartitionSpec(), along_batch)
    mapped = jax.shard_map(map_examples, mesh=mesh, in_specs=specs, out_specs=along_batch)
    return mapped(shared, batched)


ONE_THREAD = {"xla_disable_hlo_passes": "cpu-parallel-task-assigner"}
"""Compiler options for CPU that keep every loop on the thread that runs the program: other threads
work on other images. XLA would split each small loop over all cores."""


@functools.partial(jax.jit, static_argnames="program", compiler_options=ONE_THREAD)
def run_one(program: Program, image: jax.Array, tables: Any, size: Any) -> jax.Array:
    """One canvas `(h, w, c)` through a program, on CPU: a program that eager callers share."""
    engine = CpuEngine(concurrent=1, is_single=True)
    return run_stages(program, engine, image, tables, size, None)


@functools.partial(jax.jit, static_argnames="program")
def run_batch(program: Program, images: jax.Array, tables: Any, sizes: Any) -> jax.Array:
    """A batch of canvases `(b, h, w, c)` through a program that eager callers share."""

    def run(engine: Any, image: Any, own: Any) -> jax.Array:
        tables, size = own
        return run_stages(program, engine, image, tables, size, None)

    arithmetics = {stage.arithmetic for stage in program.stages}
    return run_images(run, images, (tables, sizes), arithmetics, program.form)


# -- positions -------------------------------------------------------------------------------------


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
            zero, one = jnp.float32(0), jnp.float32(1)
            flat = [scale_x, zero, shift_x, zero, scale_y, shift_y, zero, zero, one]
            matrix = jnp.stack([jnp.asarray(x, jnp.float32) for x in flat]).reshape(3, 3) @ matrix
    return matrix


@functools.partial(jax.jit, static_argnames="is_axis_aligned")
def move_positions(
    boxes: Any, keypoints: Any, matrix: Any, size: Any, is_axis_aligned: bool = True
) -> tuple[Any, Any]:
    """Moves boxes `(n, 4)` and keypoints `(n, 2)` of one image; boxes are clipped to `size`.

    Args:
        matrix: `(3, 3)`, where positions `(x, y, 1)` go.
        is_axis_aligned: whether x goes to x and y to y.
    """
    matrix = jnp.asarray(matrix, jnp.float32)
    if boxes is not None:
        limit = jnp.asarray(size, jnp.float32)[::-1]
        boxes = move_boxes(boxes, matrix, limit, is_axis_aligned)
    if keypoints is not None:
        keypoints = move_points(keypoints, matrix, is_axis_aligned)
    return boxes, keypoints


def move_points(points: Any, matrix: jax.Array, is_axis_aligned: bool) -> jax.Array:
    """Moves positions `(..., 2)`, `(x, y)` in pixels, by a `(3, 3)` matrix."""
    points = jnp.asarray(points, jnp.float32)
    scale = jnp.stack([matrix[0, 0], matrix[1, 1]])
    moved = points * scale + matrix[:2, 2]
    if is_axis_aligned:  # infinite positions, which mark padding, stay infinite
        return moved
    cross = jnp.stack([matrix[0, 1], matrix[1, 0]])
    weight = points @ matrix[2, :2] + matrix[2, 2]
    return (moved + points[..., ::-1] * cross) / weight[..., None]


def move_boxes(boxes: Any, matrix: jax.Array, limit: Any, is_axis_aligned: bool) -> jax.Array:
    """Moves corners `(n, 4)`; the result is the box around them, clipped to `[0, limit]`."""
    corners = jnp.asarray(boxes, jnp.float32).reshape(-1, 2, 2)
    if not is_axis_aligned:  # all four corners: any of them may become the outermost
        mixed = jnp.stack([corners[:, 0, 0], corners[:, 1, 1]], -1)
        other = jnp.stack([corners[:, 1, 0], corners[:, 0, 1]], -1)
        corners = jnp.concatenate([corners, mixed[:, None], other[:, None]], axis=1)
    corners = jnp.clip(move_points(corners, matrix, is_axis_aligned), 0, limit)
    return jnp.concatenate([corners.min(1), corners.max(1)], axis=1)


def constant_program(parts: Sequence[Segment], size: Size) -> tuple[Bucket, tuple[Tables, ...]]:
    """The stages and tables of images of `size` that fill their array, for a program of that
    size."""
    stages = []
    tables = []
    for segment in parts:
        stage, own = constant_stage(segment, size)
        stages.append(stage)
        tables.append(own)
        size = stage.out
    return tuple(stages), tuple(tables)
