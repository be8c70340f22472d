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
from jaxprep.pipeline.draws import draw_tables
from jaxprep.pipeline.lower import Lowered
from jaxprep.pipeline.plan import Bucket, Stage, Tables, constant_stage, with_matrices
from jaxprep.pipeline.segment import PaddingSlot, Placed
from jaxprep.pipeline.step import Layout, Pointwise, fill_value
from jaxprep.resample.engines.cpu import CpuEngine
from jaxprep.resample.engines.plain import PlainEngine
from jaxprep.resample.engines.tpu import TpuEngine
from jaxprep.resample.passes import Epilogue, Form, Passes, Rows, round_to
from jaxprep.types import Size

TOLERANCE = 5e-7
"""Affine steps become one multiply-add where that is so near to the published order of operations,
relative to max(1, |x|)."""


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
    program: Program, constants: Sequence[Tables] | None, engine: Any, image: Any, own: Any
) -> jax.Array:
    """Runs one image through all stages.

    Args:
        constants: the tables of each stage, where all images have one size.
        engine: what applies tap tables; see `jaxprep.resample.engines`.
        image: `(h, w, c)`, or a view of one that the engine knows.
        own: what belongs to the image: its tables, if it has some of its own; height and width of
            its result on the canvas, or None where it fills that; its draws of all steps, or None.
    """
    planned, size, draws = own
    for stage, tables in zip(program.stages, planned if constants is None else constants):
        is_last = stage is program.stages[-1]
        if stage.segment.opaque is not None:
            placed = stage.segment.opaque
            image = placed.step.apply(engine.pixels(image), placed.draw(draws))
        dtype = result_dtype(image.dtype, stage)
        keeps_dtype = dtype == image.dtype
        if not is_last and keeps_dtype and changes_nothing(stage, tables, engine.pixels(image)):
            continue
        is_float = jnp.issubdtype(image.dtype, jnp.floating)
        if tables.size is not None and is_float and stage.arithmetic != "integer":
            # 0 * NaN is NaN: what lies outside must not reach a sum, even with weight 0
            image = zero_image_outside(engine.pixels(image), tables.size)
        if stage.segment.drawn:
            tables = draw_tables(stage, tables, draws)
        is_cut = is_last and size is not None and not program.fills_canvas
        compute = functools.partial(
            compute_epilogue,
            dtype,
            prepare_pointwise(stage.segment.pointwise, image.shape[-1]),
            tables.edges,
            program.exact,
            draws,
            size if is_cut else None,
        )
        epilogue = Epilogue(compute)
        if is_last and program.layout is not None:
            store = None if program.layout.planar else program.layout.store
            epilogue = Epilogue(compute, program.layout.planar, store)
        image = engine.run_segment(image, passes_of(stage, tables), epilogue, is_last)
    return image


def changes_nothing(stage: Stage, tables: Tables, image: jax.Array) -> bool:
    """Whether a stage returns the image itself, as `ToRGB` does with three channels: on CPU it would
    be copied once more."""
    if tables.vertical is not None or tables.horizontal is not None or stage.segment.drawn:
        return False
    for part in stage.segment.pointwise:
        if isinstance(part, PaddingSlot) or part.index is not None:
            return False
        if part.step.apply(image) is not image:
            return False
    return True


def passes_of(stage: Stage, tables: Tables) -> Passes:
    """The passes of a stage, with the tables of one image."""
    first = tables.vertical_first if stage.order == "both" else stage.order == "vertical"
    height = None if tables.size is None else tables.size[0]
    return Passes(tables.vertical, tables.horizontal, stage.arithmetic, first, height)


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


# -- what follows the last pass ----------------------------------------------------------------------


class MergedAffine(NamedTuple):
    """Affine steps one after another, as they are computed at once.

    Attributes:
        steps: the steps.
        table: `(256, c)` float32, what the published order of operations makes of 0 to 255.
        scale, offset: of one multiply-add per channel, float64.
        is_near: whether that is within `TOLERANCE` of the table.
    """

    steps: tuple[Pointwise, ...]
    table: np.ndarray
    scale: np.ndarray
    offset: np.ndarray
    is_near: bool


@functools.lru_cache(maxsize=1024)
def prepare_pointwise(
    parts: tuple[Placed | PaddingSlot, ...], channels: int
) -> tuple[Placed | PaddingSlot | MergedAffine, ...]:
    """Merges each run of affine steps without a draw; the number of channels is checked here."""
    prepared: list[Placed | PaddingSlot | MergedAffine] = []
    run: list[Pointwise] = []
    for part in parts:
        if isinstance(part, Placed) and part.index is None and part.step.affine() is not None:
            run.append(part.step)
            continue
        channels = _add_merged(prepared, run, channels)
        run = []
        prepared.append(part)
        if isinstance(part, Placed):
            channels = part.step.output_channels(channels)
    _add_merged(prepared, run, channels)
    return tuple(prepared)


def _add_merged(prepared: list[Any], run: Sequence[Pointwise], channels: int) -> int:
    """Adds a run of affine steps, if there are any, and returns how many channels come of them."""
    if not run:
        return channels
    prepared.append(_merge(run, channels))
    return prepared[-1].table.shape[1]


def _merge(run: Sequence[Pointwise], channels: int) -> MergedAffine:
    scale: Any = np.float64(1)
    offset: Any = np.float64(0)
    for step in run:
        channels = step.output_channels(channels)
        coefficients = step.affine()
        assert coefficients is not None
        a, b = coefficients
        scale, offset = scale * a, offset * a + b
    values: Any = np.repeat(np.arange(256, dtype=np.uint8)[:, None], channels, axis=1)
    for step in run:
        values = step.apply(values)
    scale, offset = np.asarray(scale), np.asarray(offset)
    merged = np.arange(256)[:, None] * scale.astype(np.float32) + offset.astype(np.float32)
    bound = TOLERANCE * np.maximum(1, np.abs(values))
    is_near = bool(np.all(np.abs(merged - values) <= bound))
    return MergedAffine(tuple(run), values, scale, offset, is_near)


def compute_epilogue(
    dtype: Any,
    parts: Sequence[Placed | PaddingSlot | MergedAffine],
    edges: tuple[Any, Any] | None,
    exact: bool,
    draws: Any,
    size: Any,
    rows: Rows,
) -> Rows:
    """Computes what follows the last pass of a segment, on one image's rows.

    Args:
        dtype: what the sums are rounded to.
        parts: see `prepare_pointwise`.
        edges: for each row and each column, which `PaddingSlot` it belongs to; None if no padding
            is needed.
        exact: compute affines of uint8 by a table, in the published order of operations.
        draws: of all steps of the pipeline.
        size: everything outside of this height and width becomes 0; None keeps it.
    """
    if rows.values.dtype != dtype:
        rows = rows.with_values(round_to(rows.values, dtype))
    for part in parts:
        if isinstance(part, MergedAffine):
            rows = _apply_affine(rows, part, exact)
        elif isinstance(part, Placed):
            image = part.step.apply(rows.image(), part.draw(draws))
            rows = Rows.of(image, rows.form)
        elif edges is not None:
            rows = _pad(rows, part, edges)
    return rows if size is None else zero_outside(rows, size)


def _pad(rows: Rows, slot: PaddingSlot, edges: tuple[Any, Any]) -> Rows:
    in_rows = rows.per_row(jnp.asarray(edges[0]) == slot.number)
    in_columns = rows.per_column(jnp.asarray(edges[1]) == slot.number)
    outside = in_rows | in_columns[None]
    value = rows.per_channel(fill_value(slot.value, rows.values.dtype))
    return rows.with_values(jnp.where(outside, value, rows.values))


def _apply_affine(rows: Rows, part: MergedAffine, exact: bool) -> Rows:
    channels = part.table.shape[1]
    if rows.values.dtype == jnp.uint8 and (exact or not part.is_near):
        return _look_up(part.table, rows.gray_to(channels))
    if not part.is_near:
        image = rows.image()
        for step in part.steps:
            image = step.apply(image)
        return Rows.of(image, rows.form)
    rows = rows.gray_to(channels)
    values = rows.values.astype(jnp.float32)
    if np.any(part.scale != 1):
        values = values * rows.per_channel(part.scale.astype(np.float32))
    if np.any(part.offset != 0):
        values = values + rows.per_channel(part.offset.astype(np.float32))
    return rows.with_values(values)


def _look_up(table: np.ndarray, rows: Rows) -> Rows:
    """`table[value, c]` for every value.

    The table is made to follow the batch of the image: an index that is sharded into a table that
    is not would need an exchange between devices.
    """
    channels = table.shape[1]
    channel = rows.per_channel(np.arange(channels, dtype=np.int32))
    index = rows.values.astype(jnp.int32) * channels + channel
    zero = rows.values.reshape(-1)[0].astype(jnp.int32) & 0  # XLA drops it; its batch axis stays
    bits = table.reshape(-1).view(np.int32) + zero
    batched = lax.bitcast_convert_type(bits, jnp.float32)
    return rows.with_values(batched.at[index].get(mode="promise_in_bounds"))


def zero_outside(rows: Rows, size: Any) -> Rows:
    """Sets everything but the top-left `size` to 0, whatever it was (NaN, too)."""
    height = rows.values.shape[0]
    in_rows = rows.per_row(jnp.arange(height) < size[0])
    in_columns = rows.per_column(jnp.arange(rows.width) < size[1])
    inside = in_rows & in_columns[None]
    zero = jnp.zeros((), rows.values.dtype)
    return rows.with_values(jnp.where(inside, rows.values, zero))


def zero_image_outside(image: jax.Array, size: Any) -> jax.Array:
    """The same for an image `(h, w, c)`."""
    return zero_outside(Rows(image, image.shape[2]), size).values


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


ONE_THREAD = {"xla_disable_hlo_passes": "cpu-parallel-task-assigner"}
"""Compiler options for CPU that keep every loop on the thread that runs the program: other threads
work on other images. XLA would split each small loop over all cores."""


@functools.partial(jax.jit, static_argnames="program", compiler_options=ONE_THREAD)
def run_one(program: Program, image: jax.Array, tables: Any, size: Any) -> jax.Array:
    """One canvas `(h, w, c)` through a program, on CPU: a program that eager callers share."""
    engine = CpuEngine(concurrent=1, is_single=True)
    return run_stages(program, None, engine, image, (tables, size, None))


@functools.partial(jax.jit, static_argnames="program")
def run_batch(program: Program, images: jax.Array, tables: Any, sizes: Any) -> jax.Array:
    """A batch of canvases `(b, h, w, c)` through a program that eager callers share."""
    run = functools.partial(run_stages, program, None)
    arithmetics = {stage.arithmetic for stage in program.stages}
    return run_images(run, images, (tables, sizes, None), arithmetics, program.form)


def constant_program(lowered: Lowered, size: Size) -> tuple[Bucket, tuple[Tables, ...]]:
    """The stages and tables of images of `size` that fill their array, for a program of that
    size."""
    stages = []
    tables = []
    source = size
    for segment in lowered.segments:
        stage, own = constant_stage(segment, source)
        stages.append(stage)
        tables.append(own)
        source = stage.out
    is_random = any(step.is_random for step in lowered.steps)
    made = with_matrices(lowered.segments, size, tables) if is_random else tuple(tables)
    return tuple(stages), made
