"""Running a program on one image, and on a batch: what `jit` and `vmap` see.

What goes in: a `Program`, images, and the tables of each stage, as constants or from a plan. What
comes out: the stored results. `run_stages` takes one image through all stages, and is read first;
`prepare_pointwise` and `compute_epilogue` are what follows the last pass of a stage; `run_one`
calls `run_stages` for one image, `map_images`, `run_batch` and `run_in_turn` for those of a batch.

The engine is chosen once, for a whole program. An eager call knows its platform; inside a caller's
`jit`, `on_platform` traces the program for CPU, for TPU and in the plain form, and XLA keeps the
one for the platform that is compiled for.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import PartitionSpec

from jaxprep import bounds, codec
from jaxprep.bounds import bounded_jit, cached
from jaxprep.errors import InputError
from jaxprep.pipeline.draws import draw_tables
from jaxprep.pipeline.lower import Lowered
from jaxprep.pipeline.plan import Bucket, Stage, Tables, constant_stage, with_matrices
from jaxprep.pipeline.segment import PaddingSlot, Placed, all_tables, resized_around
from jaxprep.pipeline.step import Layout, Pointwise, fill_value
from jaxprep.resample.engines.cpu import CpuEngine
from jaxprep.resample.engines.plain import PlainEngine, Run
from jaxprep.resample.engines.tpu import TpuEngine
from jaxprep.resample.passes import DataFormat, Epilogue, Passes, Rows, round_to
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
        planar: without a layout, results are `(c, h, w)`.
        platform: of the devices that run it, where that is known: an engine takes as long to trace
            as to compile, and the others' are left out. None compiles for any platform.
        fills_canvas: whether every result fills the canvas of the last stage, or what lies outside
            of it is cut off: nothing is set to 0 there.
        channels, dtype: of the images, for callers that compile ahead of knowing an array.

    >>> from jaxprep import Pipeline, ops
    >>> pipeline = Pipeline((ops.Resize((4, 4)), ops.ChannelsFirst()))
    >>> Program(pipeline.bucket((8, 8)), layout=pipeline.layout).data_format
    'channels_first'
    """

    stages: Bucket
    exact: bool = False
    layout: Layout | None = None
    fills_canvas: bool = True
    channels: int | None = None
    dtype: Any = None
    planar: bool = False
    platform: str | None = None

    @property
    def data_format(self) -> DataFormat | None:
        """How the pixels of results lie in memory; None where the layout makes something else."""
        is_planar = self.planar if self.layout is None else self.layout.planar
        if is_planar:
            return "channels_first"
        return "channels_last" if self.layout is None else None

    @property
    def work(self) -> int:
        """About how much it computes: the taps of both passes, on its canvases."""
        work = 0
        for stage in self.stages:
            vertical, horizontal = stage.tap_counts
            height, width = stage.table_rows
            work += stage.source[0] * width * horizontal + height * width * vertical
        return work

    def serves(self, other: Program) -> bool:
        """Return whether it computes what another program computes, on arrays as large or larger.

        >>> from jaxprep import Pipeline, ops
        >>> resize = Pipeline((ops.Resize((8, 8)),))
        >>> small, large = Program(resize.bucket((60, 60))), Program(resize.bucket((120, 120)))
        >>> large.serves(small), small.serves(large), small.work < large.work
        (True, False, True)
        """
        if self._replace(stages=()) != other._replace(stages=()):
            return False
        if len(self.stages) != len(other.stages):
            return False
        sees_all = self.layout is not None and not self.layout.keeps_corner
        if sees_all and self.stages[-1].out != other.stages[-1].out:
            return False
        return all(map(Stage.serves, self.stages, other.stages))


class PerImage(NamedTuple):
    """What a program is given beside an image; with a leading batch axis, beside a batch.

    Attributes:
        tables: of each stage; None where they are constants of the program.
        result_size: height and width of the result on its canvas; None where it fills that.
        draws: of all steps; None where none is random.

    >>> PerImage()
    PerImage(tables=None, result_size=None, draws=None)
    """

    tables: tuple[Tables, ...] | None = None
    result_size: Any = None
    draws: Any = None


def run_stages(
    program: Program,
    constants: Sequence[Tables] | None,
    engine: Any,
    image: Any,
    given: PerImage,
) -> jax.Array:
    """Run one image through all stages.

    Args:
        constants: the tables of each stage, where all images have one size.
        engine: what applies tap tables; see `jaxprep.resample.engines`.
        image: `(h, w, c)`, or a view of one that the engine knows.
        given: of this image; its tables, unless there are `constants`.

    >>> from jaxprep import Pipeline, ops
    >>> stages, constants = constant_program(Pipeline((ops.Resize((2, 2)),)).lowered, (4, 4))
    >>> run = functools.partial(run_stages, Program(stages), constants, PlainEngine())
    >>> jax.eval_shape(run, jnp.ones((4, 4, 3)), PerImage()).shape
    (2, 2, 3)
    """
    planned, result_size, draws = given
    tables_of_stages = planned if constants is None else constants
    assert tables_of_stages is not None
    last = len(program.stages) - 1
    for i, (stage, tables) in enumerate(zip(program.stages, tables_of_stages, strict=True)):
        is_last = i == last
        # its tables are made for this canvas: beyond a smaller one they would read other pixels
        assert image.shape[:2] == stage.source, (image.shape, stage.source)
        if stage.segment.opaque is not None:
            image = _apply_opaque(stage.segment.opaque, engine.pixels(image), draws)
        # a resize to the size that an image has sums nothing, and yet may change its dtype
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
        is_cut = is_last and result_size is not None and not program.fills_canvas
        compute = functools.partial(
            compute_epilogue,
            dtype=dtype,
            parts=prepare_pointwise(stage.segment.pointwise, image.shape[-1]),
            edges=tables.edges,
            exact=program.exact,
            draws=draws,
            size=result_size if is_cut else None,
            resized=tables.resized,
        )
        epilogue = _stored(program, compute) if is_last else Epilogue(compute)
        image = engine.run_segment(image, passes_of(stage, tables), epilogue, is_last)
    return image


def _apply_opaque(placed: Placed, image: Any, draws: Any) -> Any:
    step = placed.step
    height, width, channels = image.shape
    expected = (
        *step.output_size((height, width)),
        step.output_channels(channels),
    )
    result = step.apply(image, placed.draw(draws))
    method = f"{type(step).__name__}.apply"
    _check_shape(result, expected, method, "of its `output_size` and `output_channels`")
    return result


def _stored(program: Program, compute: Any) -> Epilogue:
    """The epilogue of the last stage, which stores results as the program's layout says."""
    layout = program.layout
    if layout is None:
        return Epilogue(compute, program.planar)
    store = None if layout.planar else functools.partial(_store, layout)
    return Epilogue(compute, layout.planar, store, layout.by_channel)


def _store(layout: Layout, image: Any) -> Any:
    name = type(layout).__name__
    expected = layout.shape(image.shape[:2], image.shape[2])
    bounds.check_shape(expected, image.shape, name)
    result = layout.store(image)
    _check_shape(result, tuple(expected), f"{name}.store", "that of its `shape`")
    return result


def _check_shape(
    result: Any,
    expected: tuple[int, ...],
    method: str,
    why: str,
) -> None:
    """Refuses what a step of a user returned in another shape than the step says."""
    if not hasattr(result, "shape") or not hasattr(result, "dtype"):
        raise InputError(f"Expected `{method}` to return an array, got {codec.shown(result)}.")
    shape = tuple(result.shape)
    if shape != expected:
        raise InputError(f"Expected `{method}` to return shape {expected}, {why}, got {shape}.")


def changes_nothing(stage: Stage, tables: Tables, image: jax.Array) -> bool:
    """Return whether a stage returns the image itself, as `ToRGB` does with three channels: on CPU
    it would be copied once more.

    >>> from jaxprep import Pipeline, ops
    >>> (stage,), (tables,) = constant_program(Pipeline((ops.ToRGB(),)).lowered, (4, 4))
    >>> changes_nothing(stage, tables, jnp.ones((4, 4, 3)))
    True
    """
    if tables.vertical is not None or tables.horizontal is not None or stage.segment.drawn:
        return False
    for part in stage.segment.pointwise:
        if isinstance(part, PaddingSlot) or part.index is not None:
            return False
        # the step is asked, not a type compared: `is` holds for a traced array, too
        if part.step.apply(image) is not image:
            return False
    return True


def passes_of(stage: Stage, tables: Tables) -> Passes:
    """Return the passes of a stage, with the tables of one image.

    >>> from jaxprep import Pipeline, ops
    >>> (stage,), (tables,) = constant_program(Pipeline((ops.Resize((2, 2)),)).lowered, (4, 4))
    >>> passes = passes_of(stage, tables)
    >>> passes.arithmetic, passes.vertical_first
    ('float', True)
    """
    # a Python bool where the order is known: then the program has one order compiled in
    vertical_first = stage.order == "vertical"
    if stage.order == "both":
        vertical_first = tables.vertical_first
    height = None if tables.size is None else tables.size[0]
    return Passes(
        tables.vertical,
        tables.horizontal,
        stage.arithmetic,
        vertical_first,
        height,
    )


def check_dtype(dtype: Any, reference: str, is_integer: bool) -> None:
    """Refuse a dtype that the reference has no arithmetic for.

    Raises:
        InputError: a reference that rounds to uint8 is given anything else.

    >>> check_dtype(np.uint8, "pillow", is_integer=True)
    """
    if is_integer and dtype != jnp.uint8:
        raise InputError(
            f"Expected a uint8 image for reference='{reference}', which rounds every pass to "
            f"uint8, got {dtype}. Pass levels, 0 to 255, as uint8 (floats in [0, 1] times 255 and "
            "rounded first), or choose reference='float', 'torch' or 'jax', which take any type "
            "and are differentiable."
        )


def result_dtype(dtype: Any, stage: Stage) -> Any:
    """Return the dtype after the passes of a stage, for an image of `dtype`.

    >>> from jaxprep import Pipeline, ops
    >>> (stage,) = Pipeline((ops.Resize((4, 4)),)).bucket((8, 8))
    >>> result_dtype(np.uint8, stage)
    <class 'numpy.uint8'>
    """
    if stage.arithmetic == "copy":
        return dtype
    check_dtype(dtype, str(stage.reference), stage.arithmetic == "integer")
    # bfloat16 and float16 come back as float32, in which they were summed
    if stage.rounded and not jnp.issubdtype(dtype, jnp.floating):
        return dtype
    return jnp.dtype(jnp.float32)


# -- what follows the last pass --------------------------------------------------------------------


class MergedAffine(NamedTuple):
    """Consecutive affine steps, as they are computed at once.

    Attributes:
        steps: the steps.
        table: `(256, c)` float32, what the published order of operations makes of 0 to 255.
        scale, offset: of one multiply-add per channel, float64.
        is_near: whether that is within `TOLERANCE` of the table.

    >>> from jaxprep import ops
    >>> (merged,) = prepare_pointwise((Placed(ops.Rescale(1 / 255)),), 3)
    >>> merged.table.shape, merged.is_near
    ((256, 3), True)
    """

    steps: tuple[Pointwise, ...]
    table: np.ndarray
    scale: np.ndarray
    offset: np.ndarray
    is_near: bool


@cached()
def prepare_pointwise(
    parts: tuple[Placed | PaddingSlot, ...],
    channels: int,
) -> tuple[Placed | PaddingSlot | MergedAffine, ...]:
    """Merge each run of affine steps without a draw, which all images go through; the number of
    channels is checked here.

    >>> from jaxprep import ops
    >>> steps = (ops.Rescale(1 / 255), ops.Normalize((0.5,) * 3, (0.5,) * 3))
    >>> (merged,) = prepare_pointwise(tuple(Placed(step) for step in steps), 3)
    >>> len(merged.steps), merged.offset.tolist()
    (2, [-1.0, -1.0, -1.0])
    """
    prepared: list[Placed | PaddingSlot | MergedAffine] = []
    for is_merged, run in itertools.groupby(parts, _is_affine_for_all):
        if is_merged:
            merged = _merge([part.step for part in run if isinstance(part, Placed)], channels)
            prepared.append(merged)
            channels = merged.table.shape[1]
            continue
        for part in run:
            prepared.append(part)
            if isinstance(part, Placed):
                channels = part.step.output_channels(channels)
    return tuple(prepared)


def _is_affine_for_all(part: Placed | PaddingSlot) -> bool:
    return isinstance(part, Placed) and part.is_for_all and part.step.affine() is not None


def _merge(run: Sequence[Pointwise], channels: int) -> MergedAffine:
    # coefficients in float64: rounded once to float32, where they are used
    scale: Any = np.float64(1)
    offset: Any = np.float64(0)
    for step in run:
        channels = step.output_channels(channels)
        coefficients = step.affine()
        assert coefficients is not None
        a, b = coefficients
        if not {np.size(a), np.size(b)} <= {1, channels}:
            raise InputError(
                f"Expected `{type(step).__name__}.affine` to return a number, or one for each of "
                f"{channels} channels, got {codec.shown(coefficients)}."
            )
        scale = scale * a
        offset = offset * a + b
    # what the published order of operations makes of every uint8 value, in NumPy: XLA would
    # contract and reassociate it
    all_values = np.arange(256, dtype=np.uint8)
    values: Any = np.repeat(all_values[:, None], channels, axis=1)
    with jax.ensure_compile_time_eval():  # `apply` may call `jax.numpy`, also inside of `jit`
        for step in run:
            values = step.apply(values)
    # NumPy multiplies uint8 by a Python float in float64, where JAX does in float32
    values = np.asarray(values, np.float32)
    scale = np.asarray(scale)
    offset = np.asarray(offset)
    scaled = np.arange(256)[:, None] * scale.astype(np.float32)
    merged = scaled + offset.astype(np.float32)
    errors = np.abs(merged - values)
    bound = TOLERANCE * np.maximum(1, np.abs(values))
    return MergedAffine(
        steps=tuple(run),
        table=values,
        scale=scale,
        offset=offset,
        is_near=bool(np.all(errors <= bound)),
    )


def compute_epilogue(
    rows: Rows,
    *,
    dtype: Any,
    parts: Sequence[Placed | PaddingSlot | MergedAffine] = (),
    edges: tuple[Any, Any] | None = None,
    exact: bool = False,
    draws: Any = None,
    size: Any = None,
    resized: tuple[Any, Any] | None = None,
) -> Rows:
    """Compute what follows the last pass of a segment, on one image's rows.

    Args:
        rows: the sums of the last pass.
        dtype: what the sums are rounded to.
        parts: see `prepare_pointwise`.
        edges: for each row and each column, which `PaddingSlot` it belongs to; None if no padding
            is needed.
        exact: compute affines of uint8 by a table, in the published order of operations.
        draws: of all steps of the pipeline.
        size: everything outside of this height and width becomes 0; None keeps it.
        resized: see `Tables`.

    >>> rows = Rows(np.full((1, 2, 1), 2.5, np.float32), channels=1)
    >>> compute = functools.partial(compute_epilogue, dtype=jnp.uint8, size=(1, 1))
    >>> run = jax.jit(lambda values: compute(rows.with_values(values)).values.ravel())
    >>> run(rows.values).tolist()
    [2, 0]
    """
    if rows.values.dtype != dtype:
        rows = rows.with_values(round_to(rows.values, dtype))
    for part in parts:
        if isinstance(part, MergedAffine):
            rows = _apply_affine(rows, part, exact)
        elif isinstance(part, Placed):
            image = _apply_step(part, rows.image(), draws, resized)
            rows = Rows.of(image, rows.form)
        elif edges is not None:
            rows = _pad(rows, part, edges)
    if size is None:
        return rows
    return zero_outside(rows, size)


def _apply_step(
    placed: Placed, image: Any, draws: Any, resized: tuple[Any, Any] | None = None
) -> Any:
    """Applies a pointwise step that is no affine, or one with a draw; not where it stands around a
    resize that keeps the size of the image."""
    step = placed.step
    is_applied: Any = True
    if resized is not None and placed.around_resize is not None:
        is_applied = resized[0] if placed.around_resize == "after" else resized[1]
    height, width, channels = image.shape
    expected = (height, width, step.output_channels(channels))
    result = step.apply(image, placed.draw(draws))
    method = f"{type(step).__name__}.apply"
    _check_shape(result, expected, method, "as a pointwise step with its `output_channels`")
    keeps_form = (result.shape, result.dtype) == (image.shape, image.dtype)
    if placed.around_resize is not None and not keeps_form:
        raise InputError(
            f"Expected `{method}` to keep shape and type, as a step with an `around_resize` does, "
            f"got {result.shape} of {result.dtype} for {image.shape} of {image.dtype}."
        )
    if isinstance(is_applied, bool):
        return result if is_applied else image
    return jnp.where(is_applied, result, image)


def _pad(rows: Rows, slot: PaddingSlot, edges: tuple[Any, Any]) -> Rows:
    row_slots, column_slots = (jnp.asarray(slots) for slots in edges)
    in_rows = rows.per_row(row_slots == slot.number)
    in_columns = rows.per_column(column_slots == slot.number)
    # selected, not added: what the pass computed there may be anything
    outside = in_rows | in_columns[None]
    value = fill_value(slot.value, rows.values.dtype)
    filled = jnp.where(outside, rows.per_channel(value), rows.values)
    return rows.with_values(filled)


def _apply_affine(rows: Rows, part: MergedAffine, exact: bool) -> Rows:
    channels = part.table.shape[1]
    if rows.values.dtype == jnp.uint8 and (exact or not part.is_near):
        return _look_up(part.table, rows.gray_to(channels))
    if not part.is_near:
        # the steps in the order in which they were published
        image = rows.image()
        for step in part.steps:
            image = step.apply(image)
        return Rows.of(image, rows.form)
    rows = rows.gray_to(channels)
    values = rows.values.astype(jnp.float32)
    # a rescale has no offset, a subtraction of the mean no scale
    if np.any(part.scale != 1):
        values = values * rows.per_channel(part.scale.astype(np.float32))
    if np.any(part.offset != 0):
        values = values + rows.per_channel(part.offset.astype(np.float32))
    return rows.with_values(values)


def _look_up(table: np.ndarray, rows: Rows) -> Rows:
    """`table[value, c]` for every value."""
    channels = table.shape[1]
    channel = rows.per_channel(np.arange(channels, dtype=np.int32))
    index = rows.values.astype(jnp.int32) * channels + channel
    # The table is made to follow the batch of the image: an index that is sharded into a table that
    # is not would need an exchange between devices. XLA drops the zero; its batch axis stays. It is
    # added to the bits as integers, where adding it changes nothing.
    first_value = rows.values.reshape(-1)[0]
    zero = first_value.astype(jnp.int32) & 0
    bits = table.reshape(-1).view(np.int32) + zero
    batched = lax.bitcast_convert_type(bits, jnp.float32)
    values = batched.at[index].get(mode="promise_in_bounds")
    return rows.with_values(values)


def zero_outside(rows: Rows, size: Any) -> Rows:
    """Set everything but the top-left `size` to 0, whatever it was (NaN, too).

    >>> run = jax.jit(lambda image: zero_outside(Rows.of(image, "pixels"), (1, 2)).values)
    >>> run(jnp.ones((1, 3, 2))).tolist()
    [[1.0, 1.0, 1.0, 1.0, 0.0, 0.0]]
    """
    height, width = size
    row = jnp.arange(rows.values.shape[0])
    column = jnp.arange(rows.width)
    in_rows = rows.per_row(row < height)
    in_columns = rows.per_column(column < width)
    inside = in_rows & in_columns[None]
    zero = jnp.zeros((), rows.values.dtype)
    return rows.with_values(jnp.where(inside, rows.values, zero))


def zero_image_outside(image: jax.Array, size: Any) -> jax.Array:
    """Set everything but the top-left `size` of an image `(h, w, c)` to 0.

    >>> zero_image_outside(jnp.full((1, 2, 1), jnp.nan), (1, 0)).ravel().tolist()
    [0.0, 0.0]
    """
    return zero_outside(Rows(image, image.shape[2]), size).values


# -- batches ---------------------------------------------------------------------------------------

ENGINES: dict[str, Any] = {"cpu": CpuEngine(), "tpu": TpuEngine()}
"""By platform; all others run the plain form."""


def on_platform(function: Callable[..., Any], *args: Any, platform: str | None = None) -> Any:
    """Call `function(engine, *args)` with the engine of the platform that is compiled for.

    Args:
        platform: the one, where the caller knows it.

    >>> on_platform(lambda engine, image: engine.pixels(image) + 1, jnp.zeros(2)).tolist()
    [1.0, 1.0]
    """
    if platform is not None:
        return function(ENGINES.get(platform, PlainEngine()), *args)
    # all branches are traced and exported, one is compiled: no choice is made at run time
    branches = {name: functools.partial(function, engine) for name, engine in ENGINES.items()}
    plain = functools.partial(function, PlainEngine())
    return lax.platform_dependent(*args, default=plain, **branches)


def map_images(
    run: Run,
    images: jax.Array,
    given: PerImage,
    arithmetics: set[str],
    data_format: DataFormat | None,
    platform: str | None = None,
) -> jax.Array:
    """Run `run` on each image of a batch `(b, h, w, c)`.

    Args:
        given: of the batch.
        arithmetics: of all stages; see `arithmetics_of`.
        data_format: of the results; None where they are no images.
        platform: what is compiled for; None compiles for any.

    >>> from jaxprep import Pipeline, ops
    >>> stages, constants = constant_program(Pipeline((ops.Resize((2, 2)),)).lowered, (4, 4))
    >>> run = functools.partial(run_stages, Program(stages), constants)
    >>> images = jnp.ones((5, 4, 4, 3))
    >>> map_images(run, images, PerImage(), {"float"}, "channels_last").shape
    (5, 2, 2, 3)
    """
    axis = _sharded_over(images, given)
    if axis is not None:
        # on an explicit mesh each device runs the images that it holds, without collectives
        run_on_device = functools.partial(
            map_images, run, arithmetics=arithmetics, data_format=data_format, platform=platform
        )
        mesh = jax.typeof(images).sharding.mesh
        spec = PartitionSpec(axis)
        run_on_all = jax.shard_map(run_on_device, mesh=mesh, in_specs=spec, out_specs=spec)
        return run_on_all(images, given)

    def with_engine(engine: Any, images: jax.Array, given: PerImage) -> jax.Array:
        return engine.map_images(run, images, given, arithmetics, data_format)

    return on_platform(with_engine, images, given, platform=platform)


def arithmetics_of(stages: Sequence[Stage]) -> set[str]:
    """Return how the stages compute: the arithmetic of each segment, and "branches" where a random
    step does one of several things with the pixels.

    >>> from jaxprep import Pipeline, ops
    >>> arithmetics_of(Pipeline((ops.Resize((2, 2), reference="pillow"),)).bucket((8, 8)))
    {'integer'}
    """
    found: set[str] = {stage.arithmetic for stage in stages}
    opaques = [stage.segment.opaque for stage in stages]
    if any(placed is not None and placed.step.is_random for placed in opaques):
        found.add("branches")
    return found


def _sharded_over(images: jax.Array, leaves: Any) -> Any:
    """The axes of an explicit mesh that the batch of all leaves is sharded over; None if one is
    sharded otherwise."""
    shardings = [jax.typeof(leaf).sharding for leaf in jax.tree.leaves((images, leaves))]
    axis = shardings[0].spec[0]
    for sharding in shardings:
        batch_axis, *other_axes = sharding.spec
        if batch_axis != axis or any(other_axes):
            return None
    # an Auto mesh: XLA's partitioner sees the axis of `vmap`, and needs no help
    if not shardings[0].mesh.are_all_axes_explicit:
        return None
    return axis


def map_batch(
    function: Callable[..., Any],
    shared: Any,
    batched: Any,
    count: int,
) -> Any:
    """Map `function(shared, *one)` over the `count` examples of `batched`, a tuple of pytrees.

    On an explicit mesh each device maps what it has, as in `map_images`. A plain `vmap` would make
    JAX refuse code that combines what is sharded with what is not (`ShardingTypeError`), such as
    `jnp.stack([drawn, 0])` in a step.

    >>> map_batch(lambda shared, x: shared + x, 10, (jnp.arange(3),), 3).tolist()
    [10, 11, 12]
    """

    def map_examples(shared: Any, batched: Any) -> Any:
        leaves = jax.tree.leaves(batched)
        here = leaves[0].shape[0] if leaves else count  # of a device, it has fewer
        with_shared = functools.partial(function, shared)
        return jax.vmap(with_shared, axis_size=here)(*batched)

    leaves = jax.tree.leaves(batched)
    axis = _sharded_over(leaves[0], leaves[1:]) if leaves else None
    if axis is None:
        return map_examples(shared, batched)
    mesh = jax.typeof(leaves[0]).sharding.mesh
    along_batch = PartitionSpec(axis)
    specs = (PartitionSpec(), along_batch)
    mapped = jax.shard_map(map_examples, mesh=mesh, in_specs=specs, out_specs=along_batch)
    return mapped(shared, batched)


ONE_THREAD = {"xla_disable_hlo_passes": "cpu-parallel-task-assigner"}
"""Compiler options for CPU that keep every loop on the thread that runs the program: other threads
work on other images. XLA would split each small loop over all cores."""


def _image_type(images: Any, tables: Any) -> Any:
    """What the program does not say: the shapes of the tables follow from it."""
    del tables
    return images.shape, images.dtype


@bounded_jit(shapes=_image_type, compiler_options=ONE_THREAD)
def run_one(
    program: Program,
    image: jax.Array,
    tables: Any,
) -> jax.Array:
    """Run one canvas `(h, w, c)` through a program, on CPU: a program that eager callers share.

    >>> from jaxprep import Pipeline, ops
    >>> plan = Pipeline((ops.Resize((4, 4)),)).plan([(64, 64)])
    >>> tables = jax.tree.map(lambda leaf: leaf[0], plan.tables)
    >>> run_one(Program(plan.stages), jnp.zeros((64, 64, 3), jnp.uint8), tables).shape
    (4, 4, 3)
    """
    engine = CpuEngine(concurrent=1, is_single=True)
    return run_stages(program, None, engine, image, PerImage(tables))


@bounded_jit(shapes=_image_type)
def run_batch(
    program: Program,
    images: jax.Array,
    tables: Any,
) -> jax.Array:
    """Run a batch of canvases `(b, h, w, c)` through a program that eager callers share.

    >>> from jaxprep import Pipeline, ops
    >>> plan = Pipeline((ops.Resize((4, 4)),)).plan([(64, 64)])
    >>> images = jnp.zeros((1, 64, 64, 3), jnp.uint8)
    >>> run_batch(Program(plan.stages), images, plan.tables).shape
    (1, 4, 4, 3)
    """
    run = functools.partial(run_stages, program, None)
    given = PerImage(tables)
    arithmetics = arithmetics_of(program.stages)
    return map_images(run, images, given, arithmetics, program.data_format, program.platform)


@bounded_jit(shapes=_image_type, compiler_options=ONE_THREAD)
def run_in_turn(
    program: Program,
    images: jax.Array,
    tables: Any,
) -> jax.Array:
    """Run a batch as `run_batch` does, one image after the other on the thread that calls it, on
    CPU.

    >>> from jaxprep import Pipeline, ops
    >>> plan = Pipeline((ops.Resize((4, 4)),)).plan([(64, 64)])
    >>> images = jnp.zeros((1, 64, 64, 3), jnp.uint8)
    >>> run_in_turn(Program(plan.stages), images, plan.tables).shape
    (1, 4, 4, 3)
    """
    run = functools.partial(run_stages, program, None)
    return CpuEngine(concurrent=1).map_in_turn(run, images, PerImage(tables), program.data_format)


def constant_program(
    lowered: Lowered,
    size: Size,
) -> tuple[Bucket, tuple[Tables, ...]]:
    """Return the stages and tables of images of `size` that fill their array, for a program of that
    size.

    >>> from jaxprep import Pipeline, ops
    >>> stages, tables = constant_program(Pipeline((ops.Resize((2, 2)),)).lowered, (4, 6))
    >>> stages[0].source, stages[0].out
    ((4, 6), (2, 2))
    """
    all_tables(lowered.segments, size)  # refuses what is too large
    stages = []
    tables = []
    source = size
    for i, segment in enumerate(lowered.segments):
        stage, stage_tables = constant_stage(segment, source)
        stages.append(stage)
        resized = resized_around(lowered.segments, i, source)
        tables.append(stage_tables._replace(resized=resized))
        source = stage.out
    if lowered.is_random:
        return tuple(stages), with_matrices(lowered.segments, size, tables)
    return tuple(stages), tuple(tables)
