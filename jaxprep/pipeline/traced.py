"""A pipeline on a batch inside a program: the image, and what follows its geometry.

What goes in: a `Lowered` pipeline, a `Batch` whose leaves may be traced, and a plan, a key or draws
where there are any. What comes out: the batch with the new image, and with boxes, keypoints and
masks moved along. `Pipeline.__call__` calls `run` where it is traced, and `run_jitted` where an
eager call needs one program for all of that; `eager.py` serves the other eager calls.
"""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jaxprep.bounds import bounded_jit
from jaxprep.errors import InputError
from jaxprep.pipeline.draws import draw_all, drawn_matrices
from jaxprep.pipeline.lower import Lowered
from jaxprep.pipeline.placement import Placement, beside, of_result, placement_of
from jaxprep.pipeline.plan import (
    Bucket,
    Plan,
    Tables,
    as_sizes,
    plan_of,
    result_size,
)
from jaxprep.pipeline.positions import is_axis_aligned, move_positions, position_matrix, visible
from jaxprep.pipeline.program import (
    PerImage,
    Program,
    arithmetics_of,
    constant_program,
    map_batch,
    map_images,
    on_platform,
    run_stages,
)
from jaxprep.settings import platform_of
from jaxprep.types import Batch, Size, is_traced


def run(
    lowered: Lowered,
    batch: Batch,
    plan: Plan | None,
    key: Any,
    draws: Any,
    platform: str | None = None,
) -> Batch:
    """Run a batch, or one image; see `Pipeline.__call__`.

    Args:
        platform: what is compiled for; None compiles for any.

    >>> from jaxprep import Pipeline, ops
    >>> lowered = Pipeline((ops.Resize((2, 2)),)).lowered
    >>> eager = functools.partial(run, lowered, plan=None, key=None, draws=None)
    >>> jax.eval_shape(eager, Batch(image=jnp.ones((4, 4, 3)))).image.shape
    (2, 2, 3)
    """
    if plan is None and batch.size is not None:
        return _run_known_sizes(lowered, batch, key, draws)
    batch, plan, draws = _on_explicit_mesh(lowered, batch, plan, draws)
    image = batch.image
    if lowered.reads_channels_first:
        image = jnp.moveaxis(image, -3, -1)
    canvas = (image.shape[-3], image.shape[-2])
    constants = None
    if plan is None:
        # every image fills its array, whose shape is static under `jit`
        stages, constants = constant_program(lowered, canvas)
    else:
        stages = plan.stages
    fills_canvas = plan is None or plan.fills_canvas
    # channels and dtype are left out: `jit` traces anew for another shape or dtype
    program = Program(stages, lowered.exact, lowered.layout, fills_canvas)
    if draws is None and key is not None:
        draws = _draws(lowered, stages, constants, plan, key, batch)

    run_each = functools.partial(run_stages, program, constants)
    given = PerImage(draws=draws)
    if plan is not None:
        given = PerImage(plan.tables, plan.size, draws)
    masks = _masks_of(lowered, batch)
    matrix, mask_plan = None, None
    if plan is not None:
        matrix, mask_plan = plan.matrix, _mask_plan(plan) if masks else None
    follow = functools.partial(_follow, lowered, stages, constants, canvas, platform)
    following = (batch.boxes, batch.keypoints, masks, _flags_of(lowered, batch))
    if image.ndim == 3:
        image = on_platform(run_each, image, given, platform=platform)
        following = follow(*following, matrix, mask_plan, *given)
    else:
        each = (*following, matrix, mask_plan, *given)
        following = map_batch(lambda _, *one: follow(*one), None, each, image.shape[0])
        arithmetics = arithmetics_of(stages)
        image = map_images(run_each, image, given, arithmetics, program.data_format, platform)
    boxes, keypoints, masks, flags = following
    size = None if plan is None else plan.size
    extras = {**batch.extras, **masks, **flags}
    return batch.replace(image=image, boxes=boxes, keypoints=keypoints, size=size, extras=extras)


def _extras_of(lowered: Lowered, batch: Batch) -> dict[str, Any]:
    """What of a batch's `extras` follows its images: masks, and flags."""
    names = (*lowered.kinds, *(name for name, _ in lowered.flags))
    return {name: batch.extras[name] for name in names if batch.extras.get(name) is not None}


def _masks_of(lowered: Lowered, batch: Batch) -> dict[str, Any]:
    """The masks of a batch, by name."""
    masks = {name: batch.extras.get(name) for name in lowered.kinds}
    return {name: mask for name, mask in masks.items() if mask is not None}


def _flags_of(lowered: Lowered, batch: Batch) -> dict[str, Any]:
    """The flags of a batch's boxes and keypoints, by name: true where it has none."""
    flags = {}
    for name, whose in lowered.flags:
        positions = getattr(batch, whose)
        if positions is None:
            continue
        given = batch.extras.get(name)
        if given is None:
            # made of the positions, so that they are sharded alike
            given = jnp.ones_like(jnp.asarray(positions)[..., 0])
        flags[name] = jnp.asarray(given).astype(bool)
    return flags


def _mask_plan(plan: Plan) -> Plan:
    if plan.masks is None:
        raise InputError(
            "Expected a plan with tables for masks: make it with the `plan` of this pipeline, "
            "whose `kinds` name them."
        )
    return plan.masks


def _on_explicit_mesh(
    lowered: Lowered, batch: Batch, plan: Plan | None, draws: Any
) -> tuple[Batch, Plan | None, Any]:
    """Shards what belongs to a batch as its images are, on an explicit mesh, where JAX refuses to
    combine arrays that are sharded differently; a plan is often on the host. Elsewhere the compiler
    decides."""
    sharding = jax.typeof(batch.image).sharding
    if sharding.mesh.empty or not sharding.mesh.are_all_axes_explicit:
        return batch, plan, draws
    is_batch = batch.image.ndim == 4
    # the axes of an image are whole: its passes read rows and columns that other devices have
    spec = PartitionSpec(sharding.spec[0]) if is_batch else PartitionSpec()
    target = NamedSharding(sharding.mesh, spec)

    def reshard(leaf: Any) -> Any:
        names = jax.typeof(leaf).sharding.spec
        if tuple(names) == (*spec, *[None] * (len(names) - len(spec))):
            return leaf
        return jax.sharding.reshard(leaf, target)

    given = (batch.image, batch.index, batch.boxes, batch.keypoints, _extras_of(lowered, batch))
    (image, index, boxes, keypoints, following), plan, draws = jax.tree.map(
        reshard, (given, plan, draws)
    )
    extras = {**batch.extras, **following}
    moved = batch.replace(image=image, index=index, boxes=boxes, keypoints=keypoints, extras=extras)
    return moved, plan, draws


def _run_known_sizes(lowered: Lowered, batch: Batch, key: Any, draws: Any) -> Batch:
    """A batch whose sizes are known although its pixels are traced: the plan is made here."""
    canvas = _canvas_of(lowered, batch.image)
    plan = _plan_of_known_sizes(lowered, batch, canvas)
    return _cut_to_largest(lowered, run(lowered, batch, plan, key, draws), plan)


def _cut_to_largest(lowered: Lowered, done: Batch, plan: Plan) -> Batch:
    """Cuts the canvas of results, whose plan was made here, to the largest of them."""
    sizes = np.atleast_2d(plan.size)
    largest = int(sizes[:, 0].max()), int(sizes[:, 1].max())
    extras = dict(done.extras)
    for name, mask in _masks_of(lowered, done).items():
        # of a batch or not, with a channel axis or not
        has_channels = mask.ndim - np.ndim(plan.size) == 2
        extras[name] = cut(mask, largest, channels_first=not has_channels)
    done = done.replace(extras=extras)
    # patches and the like have no rows of canvas to cut off
    if lowered.layout is not None and not lowered.layout.planar:
        return done
    return done.replace(image=cut(done.image, largest, lowered.writes_channels_first))


def _canvas_of(lowered: Lowered, image: Any) -> Size:
    """Height and width of the array that an image, or a batch of them, comes in."""
    shape = image.shape
    return shape[-2:] if lowered.reads_channels_first else shape[-3:-1]


def cut(images: Any, size: Size, channels_first: bool) -> Any:
    """Return the top-left `size` of images, batched or not.

    >>> cut(np.zeros((2, 4, 4, 3)), (3, 2), channels_first=False).shape
    (2, 3, 2, 3)
    """
    height, width = size
    if channels_first:
        return images[..., :height, :width]
    return images[..., :height, :width, :]


def draw(lowered: Lowered, batch: Batch, plan: Plan | None, key: Any) -> tuple[Any, ...]:
    """Draw the numbers of the random steps for a batch, or one image; see `Pipeline.draw`.

    >>> from jaxprep import Pipeline, ops
    >>> lowered = Pipeline((ops.Resize((2, 2)),)).lowered
    >>> draw(lowered, Batch(image=jnp.ones((4, 4, 3))), None, jax.random.key(0))
    (None,)
    """
    canvas = _canvas_of(lowered, batch.image)
    if plan is None and batch.size is not None:
        plan = _plan_of_known_sizes(lowered, batch, canvas)
    drawing = Batch(image=batch.image, index=_index_of(batch))
    placement = placement_of(batch.image)
    drawing, plan, _ = _beside_image(drawing, plan, None, placement)
    # jitted, as calls are: one by one, operations would round where a program contracts them
    with _on_mesh(placement):
        return _draw_jitted((lowered, canvas), drawing, plan, key)


@bounded_jit()
def _draw_jitted(
    static: tuple[Lowered, Size], batch: Batch, plan: Plan | None, key: Any
) -> tuple[Any, ...]:
    lowered, canvas = static
    batch, plan, _ = _on_explicit_mesh(lowered, batch, plan, None)
    if plan is not None:
        return _draws(lowered, plan.stages, None, plan, key, batch)
    stages, constants = constant_program(lowered, canvas)
    return _draws(lowered, stages, constants, None, key, batch)


def _plan_of_known_sizes(lowered: Lowered, batch: Batch, canvas: Size) -> Plan:
    """The plan for `batch.size`.

    Raises:
        InputError: the sizes are traced.
    """
    if is_traced(batch.size):
        raise InputError(
            "Expected a plan, since the sizes of the images are traced: make it outside of jit "
            f"with `plan = pipeline.plan(sizes, canvas={tuple(canvas)})`, and call "
            "`pipeline(batch, plan=plan)` inside."
        )
    plan = plan_of(lowered, as_sizes(np.atleast_2d(np.asarray(batch.size))), canvas)
    if batch.image.ndim == 3:
        return jax.tree.map(lambda leaf: leaf[0], plan)
    return plan


def _draws(
    lowered: Lowered,
    stages: Bucket,
    constants: tuple[Tables, ...] | None,
    plan: Plan | None,
    key: Any,
    batch: Batch,
) -> tuple[Any, ...]:
    count = len(lowered.steps)

    def draw_one(key: Any, index: Any, tables: Any) -> tuple[Any, ...]:
        own_key = jax.random.fold_in(key, index)
        return draw_all(stages, constants or tables, own_key, count, index)

    tables = None if plan is None else plan.tables
    if batch.image.ndim == 3:
        return draw_one(key, 0 if batch.index is None else batch.index, tables)
    index = batch.index
    if index is None:
        index = _positions(batch.image)
    return map_batch(draw_one, key, (jnp.asarray(index), tables), batch.image.shape[0])


def _positions(images: Any) -> jax.Array:
    """The position of each image in its batch, sharded as the images are on an explicit mesh."""
    index = jnp.arange(images.shape[0])
    sharding = jax.typeof(images).sharding
    if sharding.mesh.empty or not sharding.mesh.are_all_axes_explicit:
        return index
    along_batch = PartitionSpec(sharding.spec[0])
    return jax.sharding.reshard(index, NamedSharding(sharding.mesh, along_batch))


def _follow(
    lowered: Lowered,
    stages: Bucket,
    constants: tuple[Tables, ...] | None,
    canvas: Size,
    platform: str | None,
    boxes: Any,
    keypoints: Any,
    masks: dict[str, Any],
    flags: dict[str, Any],
    matrix: Any,
    mask_plan: Plan | None,
    tables: Any,
    size: Any,
    draws: Any,
) -> tuple[Any, Any, dict[str, Any], dict[str, Any]]:
    """Moves boxes, keypoints and masks of one image through the same geometry."""
    if boxes is not None or keypoints is not None:
        # the image fills its array: its size, and without draws its matrix, are known on the host
        if size is None:
            size = np.asarray(result_size(lowered.segments, canvas), np.int32)
        between: list[Any] = []
        if draws is not None:
            matrix, between = drawn_matrices(stages, constants or tables, draws)
        elif matrix is None:
            matrix = np.float32(position_matrix(lowered.segments, canvas))
        aligned = is_axis_aligned(lowered.segments)
        move = functools.partial(move_positions, boxes, keypoints, is_axis_aligned=aligned)
        # what a crop has cut off is gone, though a rotation after it may turn its place back in
        for matrix_before, size_before in between if flags else ():
            flags = _still_visible(lowered, flags, move(matrix_before, size_before), size_before)
        boxes, keypoints = move(matrix, size)
        flags = _still_visible(lowered, flags, (boxes, keypoints), size)
    # inside the same program, so that a mask uses the draws of its image
    moved = {}
    for name, mask in masks.items():
        moved[name] = _move_mask(lowered, mask, mask_plan, draws, platform)
    return boxes, keypoints, moved, flags


def _still_visible(
    lowered: Lowered, flags: dict[str, Any], moved: tuple[Any, Any], size: Any
) -> dict[str, Any]:
    """The flags of moved boxes and keypoints, false where those have left the picture."""
    positions: dict[str, Any] = {"boxes": moved[0], "keypoints": moved[1]}
    limit = jnp.asarray(size, jnp.float32)[::-1]
    return {
        name: flags[name] & visible(positions[whose], limit)
        for name, whose in lowered.flags
        if name in flags
    }


def _move_mask(
    lowered: Lowered, mask: Any, plan: Plan | None, draws: Any, platform: str | None
) -> Any:
    """Runs one mask, `(h, w)` or `(h, w, c)`, through the steps for masks."""
    mask_draws = None
    if draws is not None:
        # steps that leave masks as they are have no step here: the others keep their draws
        mask_draws = tuple(draws[i] for i in lowered.mask_indices)
    image = mask[..., None] if mask.ndim == 2 else mask
    moved = run(lowered.mask, Batch(image=image), plan, None, mask_draws, platform).image
    return moved[..., 0] if mask.ndim == 2 else moved


def run_jitted(lowered: Lowered, batch: Batch, plan: Plan | None, key: Any, draws: Any) -> Batch:
    """Run a batch, called eagerly: label, weight and what no step follows never enter the program.

    >>> from jaxprep import Pipeline, ops
    >>> lowered = Pipeline((ops.Resize((2, 2)),)).lowered
    >>> batch = Batch(image=jnp.ones((4, 4, 3)), label="any value")
    >>> run_jitted(lowered, batch, None, None, None).label
    'any value'
    """
    canvas = _canvas_of(lowered, batch.image)
    given_plan = plan
    if plan is None and batch.size is not None:
        plan = _plan_of_known_sizes(lowered, batch, canvas)
    # an index that nothing draws with may be anything, too
    index = None if key is None else _index_of(batch)
    extras = _extras_of(lowered, batch)
    entering = Batch(batch.image, None, None, index, None, batch.boxes, batch.keypoints, extras)
    placement = placement_of(batch.image)
    entering, placed_plan, draws = _beside_image(entering, plan, draws, placement)
    with _on_mesh(placement):
        platform = _platform((entering, placed_plan, key, draws))
        done = _run_jitted((lowered, platform), entering, placed_plan, key, draws)
    if given_plan is None and plan is not None:
        done = _cut_to_largest(lowered, done, plan)
    if isinstance(placement, NamedSharding):
        done = _as_sharded(lowered, done, placement, batch.image.ndim == 4)
    return batch.replace(
        image=done.image,
        boxes=done.boxes,
        keypoints=done.keypoints,
        size=done.size,
        extras={**batch.extras, **done.extras},
    )


def _index_of(batch: Batch) -> Any:
    """The index of a batch as an array, of which a program takes the lower 32 bits: of a number of
    Python that is larger it takes none.
    """
    index = batch.index
    is_array = index is None or hasattr(index, "dtype") or is_traced(index)
    return index if is_array else np.asarray(index)


def _on_mesh(placement: Placement) -> contextlib.AbstractContextManager[Any]:
    """A context of the mesh that holds the images: `shard_map` refuses another one that the caller
    has set."""
    if isinstance(placement, NamedSharding):
        mesh: Any = placement.mesh  # not an `AbstractMesh`, as arrays lie on it
        return jax.set_mesh(mesh)
    return contextlib.nullcontext()


def _beside_image(
    batch: Batch, plan: Plan | None, draws: Any, placement: Placement
) -> tuple[Batch, Plan | None, Any]:
    """Puts all that enters a program where the image is, sharded as the batch is.

    Raises:
        InputError: the caller has put something elsewhere.
    """
    is_batch = batch.image.ndim == 4
    fields = {
        name: beside(value, placement, is_batch, f"batch.{name}")
        for name in ("image", "index", "boxes", "keypoints", "extras")
        if (value := getattr(batch, name)) is not None
    }
    plan = beside(plan, placement, is_batch, "plan")
    draws = beside(draws, placement, is_batch, "draws")
    return batch.replace(**fields), plan, draws


def _as_sharded(lowered: Lowered, done: Batch, placement: NamedSharding, is_batch: bool) -> Batch:
    """Shards results as the images on a mesh are: under an Auto mesh the compiler has decided."""
    before = "chw" if lowered.reads_channels_first else "hwc"
    axes: list[int | None] = [0] if is_batch else []
    if lowered.layout is None or lowered.layout.planar:
        after = "chw" if lowered.writes_channels_first else "hwc"
        axes += [len(axes) + before.index(name) for name in after]
    # patches and the like have other axes than an image
    axes += [None] * (done.image.ndim - len(axes))
    sharding = of_result(placement, axes, done.image.shape)
    following = {
        name: beside(getattr(done, name), placement, is_batch, name)
        for name in ("boxes", "keypoints", "size", "extras")
    }
    return done.replace(image=jax.device_put(done.image, sharding), **following)


@bounded_jit()
def _run_jitted(
    static: tuple[Lowered, str], batch: Batch, plan: Any, key: Any, draws: Any
) -> Batch:
    lowered, platform = static
    return run(lowered, batch, plan, key, draws, platform)


def _platform(arrays: Any) -> str:
    """The platform that computes with these arrays: that of one which has been put somewhere.

    A program for it alone is traced in half the time of one for any (RandAugment: 3 engines).
    """
    leaves = jax.tree.leaves(arrays)
    put = (leaf.sharding for leaf in leaves if isinstance(leaf, jax.Array) and leaf.committed)
    return platform_of(next(put, None))
