"""Running a plan on one image: what `vmap` and `jit` turn into a program."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import PartitionSpec

from jaxprep.ops.step import move_boxes
from jaxprep.pipeline.chain import apply_chain
from jaxprep.pipeline.geometry import Segment, as_taps, fold_all
from jaxprep.pipeline.plan import Plan, Tables, compose
from jaxprep.resample import forms
from jaxprep.resample.forms import apply_taps, loop, zeros
from jaxprep.resample.lines import OWN, Finish, Lines, Output, image_apart, same
from jaxprep.resample.part import Part, whole
from jaxprep.resample.passes import round_to, two_pass
from jaxprep.resample.resize import check_dtype, result_dtype
from jaxprep.resample.tables import Taps
from jaxprep.types import Size


def run_constant(
    parts: tuple[Segment, ...], image: jax.Array | Part, exact: bool, output: Output
) -> jax.Array:
    """All segments on one image `(h, w, c)` that fills its array, with constant tables."""
    image = image if isinstance(image, Part) else Part.of(image)
    for segment, folded in zip(parts, fold_all(parts, (image.height, image.width)), strict=True):
        edges = (folded.vertical.edge, folded.horizontal.edge) if any(folded.used) else None
        vertical, horizontal = (
            None if table.taps is None else as_taps(table, segment) for table in folded[:2]
        )
        order = "vertical" if folded.first else "horizontal"
        own = output if segment is parts[-1] else OWN
        image = _run_segment(segment, image, Tables(vertical, horizontal, edges), order, exact, own)
    return whole(image)


def run_planned(
    plan: Plan, image: jax.Array | Part, exact: bool, output: Output, is_alone: bool = False
) -> jax.Array:
    """One image in the top-left corner of a canvas `(h, w, c)` through its entry of a plan; zeros
    outside its size.

    Args:
        is_alone: not batched: each stage takes no more rows than the image has, and the order of
            its passes.
    """

    def end(lines: Lines) -> Lines:
        return lines if plan.fixed else zero_outside(lines, plan.size)

    for stage, tables in zip(plan.stages, plan.tables, strict=True):
        if stage.segment.arithmetic != "integer" and jnp.issubdtype(image.dtype, jnp.floating):
            image = zero_outside(Lines.of(whole(image)), tables.size).image()
        last = stage is plan.stages[-1]
        own = (output, end) if last else (OWN, same)
        image = _run_segment(stage.segment, image, tables, stage.order, exact, *own, is_alone)
    return whole(image)


Run = Callable[[Part, Any, Output, bool], jax.Array]
"""What makes an output of an image and its plan, and may be told that it is not batched."""


def run_images(
    run: Run, parts: Sequence[Segment], images: jax.Array, plans: Any, to_first: bool
) -> jax.Array:
    """What `run` makes of each of a batch of images `(b, h, w, c)`, and of plans.

    On CPU a batch whose rows outgrow the cache goes a few images at a time, and one of differing
    sizes image by image. The loop is not over the batch itself, but over what each of `count` equal
    parts of it has, so that a sharded batch stays where it is.
    """
    axis = _sharded_over(images, plans)
    if axis is not None:  # each device knows what it has
        own = functools.partial(run_images, run, parts, to_first=to_first)
        mesh, spec = jax.typeof(images).sharding.mesh, PartitionSpec(axis)
        return jax.shard_map(own, mesh=mesh, in_specs=spec, out_specs=spec)(images, plans)
    devices = 1 if jax.typeof(images).sharding.mesh.are_all_axes_manual else jax.device_count("cpu")
    count = _at_once(images, {segment.arithmetic for segment in parts}, plans is None, devices)
    beside = max(count // devices, 1) if isinstance(count, int) else None

    def together(images: jax.Array, plans: Any) -> jax.Array:
        def one(image: jax.Array, plan: Any) -> jax.Array:
            return run(Part.of(image, beside=beside), plan, Output(to_first), False)

        return jax.vmap(one)(images, plans)

    def one_of(stack: jax.Array, plans: Any, room: Any, number: Any) -> jax.Array:
        plan = jax.tree.map(lambda leaf: leaf[number], plans)
        return run(Part.of(stack, number, beside), plan, Output(to_first, room, number), count == 1)

    def in_turn(images: jax.Array, plans: Any) -> jax.Array:
        each, length = one_of, images.shape[0] // count
        if count > 1:
            images, plans = jax.tree.map(
                lambda leaf: leaf.reshape(count, length, *leaf.shape[1:]), (images, plans)
            )
            each = jax.vmap(one_of, (0, 0, 0, None))
        result = jax.eval_shape(each, images, plans, None, 0)
        output, shape = Output(to_first), result.shape[-3:]
        begin = functools.partial(zeros, (length, *output.shape(shape)), result.dtype)
        as_images = jax.vmap(lambda values: output.image(values, shape))
        if count > 1:
            begin, as_images = jax.vmap(begin), jax.vmap(as_images)
        done = loop(length, lambda i, done: each(images, plans, done, i), begin(images), images)
        return as_images(done).reshape(-1, *shape)

    if count == images.shape[0]:
        return together(images, plans)
    return lax.platform_dependent(images, plans, cpu=in_turn, default=together)


def _sharded_over(images: jax.Array, plans: Any) -> Any:
    """The axes of an explicit mesh that all of these are sharded over, along their batch alone;
    None if not so.
    """
    shardings = [jax.typeof(leaf).sharding for leaf in jax.tree.leaves((images, plans))]
    axis = shardings[0].spec[0]
    alike = all(sharding.spec[0] == axis and not any(sharding.spec[1:]) for sharding in shardings)
    return axis if alike and shardings[0].mesh.are_all_axes_explicit else None


def _at_once(images: jax.Array, arithmetic: set[str], is_uniform: bool, devices: int) -> int:
    """How many images of a batch go at once: all if what they turn fits the cache, else few, as
    many on each device.
    """
    count = images.shape[0]
    if arithmetic == {"copy"} or not isinstance(count, int):  # symbolic, in an export
        return count
    equal = [n for n in range(devices, count + 1, devices) if count % n == 0]
    if not is_uniform:
        return min(equal, default=count)
    dtype = np.dtype(np.float32) if "float" in arithmetic else images.dtype
    own = forms.turned_bytes(images.shape[2], images.shape[3], dtype)
    if count * own <= forms.CACHE * devices:
        return count
    return max(
        [n for n in equal if n * own <= forms.CACHE * devices], default=min(equal, default=count)
    )


@functools.partial(jax.jit, static_argnames=("exact", "to_first"))
def run_batch(plan: Plan, images: jax.Array, exact: bool, to_first: bool) -> jax.Array:
    """A batch of canvases `(b, h, w, c)` through their plan: a program that eager callers share."""
    parts = [stage.segment for stage in plan.stages]

    def run(part: Part, plan: Plan, output: Output, is_alone: bool) -> jax.Array:
        return run_planned(plan, part, exact, output, is_alone)

    return run_images(run, parts, images, plan, to_first)


ONE_THREAD = {"xla_disable_hlo_passes": "cpu-parallel-task-assigner"}
"""Compiler options for CPU that keep every loop on the thread that runs the program: others work on
other images.
"""


@functools.partial(jax.jit, static_argnames=("exact", "to_first"), compiler_options=ONE_THREAD)
def run_one(plan: Plan, image: jax.Array, exact: bool, to_first: bool) -> jax.Array:
    """A batch of one canvas through the plan of one image."""
    return run_planned(plan, Part.of(image, 0, 1), exact, Output(to_first), is_alone=True)[None]


def zero_outside(lines: Lines, size: Any) -> Lines:
    """The image with everything but its top-left `size` set to 0, whatever it was."""
    rows = jnp.arange(len(lines.values)) < size[0]
    inside = rows[:, None] & lines.per_column(jnp.arange(lines.width) < size[1])
    return lines.map(lambda values: jnp.where(inside, values, jnp.zeros((), values.dtype)))


def _run_segment(
    segment: Segment,
    image: jax.Array | Part,
    tables: Tables,
    order: str,
    exact: bool,
    output: Output,
    tail: Finish = same,
    is_alone: bool = False,
) -> jax.Array:
    resize = segment.resize
    dtype = image.dtype
    if resize is not None:
        check_dtype(dtype, resize.method, resize.reference)
        dtype = result_dtype(dtype, resize.method, resize.reference, resize.rounded)

    def finish(lines: Lines) -> Lines:
        lines = (
            lines
            if lines.values.dtype == dtype
            else lines.map(lambda values: round_to(values, dtype))
        )
        return tail(apply_chain(segment.chain, lines, tables.edges, exact))

    if segment.arithmetic == "copy":
        image, tables = _sliced(whole(image), tables)
    if tables.vertical is None and tables.horizontal is None:
        return image_apart(lambda image: finish(Lines.of(image)), whole(image), output=output)
    if segment.arithmetic == "copy":

        def copied(image: jax.Array, vertical: Taps | None, horizontal: Taps | None) -> Lines:
            return finish(Lines.of(_copy(image, vertical, horizontal)))

        return image_apart(copied, image, *tables[:2], output=output)
    passes = functools.partial(
        two_pass,
        image,
        tables.vertical,
        tables.horizontal,
        arithmetic=segment.arithmetic,
        finish=finish,
        rows=tables.size[0] if is_alone and segment.arithmetic == "integer" else None,
    )
    if order == "both":
        own = output if output.room is None else OWN
        ways = [
            functools.partial(passes, vertical_first=first, output=own) for first in (True, False)
        ]
        result = (
            lax.cond(tables.first, *ways)
            if is_alone
            else jnp.where(tables.first, *(way() for way in ways))
        )
        return result if output.room is None else image_apart(Lines.of, result, output=output)
    return passes(vertical_first=order == "vertical", output=output)


def _copy(image: jax.Array, vertical: Taps | None, horizontal: Taps | None) -> jax.Array:
    for axis, taps in ((0, vertical), (1, horizontal)):
        image = image if taps is None else apply_taps(image, taps, axis, "copy")
    return image


def _sliced(image: jax.Array, tables: Tables) -> tuple[jax.Array, Tables]:
    """The image with its constant crops made, and the tables that are left: a slice needs no
    table.
    """
    left = {}
    for axis, name in enumerate(("vertical", "horizontal")):
        taps = getattr(tables, name)
        if taps is not None and isinstance(taps.start, np.ndarray):
            first, count = int(taps.start[0]), len(taps.start)
            if np.array_equal(taps.start, np.arange(first, first + count)):
                image, left[name] = lax.slice_in_dim(image, first, first + count, axis=axis), None
    return image, tables._replace(**left)


def constant_maps(parts: tuple[Segment, ...], size: Size) -> tuple[np.ndarray, Size]:
    """The map of positions `(2, 2)` and the size of the result for an image of `size`."""
    folded = fold_all(parts, size)
    return np.asarray(compose(folded), np.float32), folded[-1].size


@jax.jit
def move_positions(boxes: Any, keypoints: Any, maps: Any, size: Any) -> tuple[Any, Any]:
    """Boxes `(n, 4)` and keypoints `(n, 2)` of one image through the map of its plan; boxes are
    clipped to `size`.
    """
    maps = jnp.asarray(maps, jnp.float32)
    scale, shift = maps[::-1, 0], maps[::-1, 1]
    if boxes is not None:
        boxes = move_boxes(boxes, scale, shift, jnp.asarray(size, jnp.float32)[::-1])
    if keypoints is not None:
        keypoints = jnp.asarray(keypoints, jnp.float32) * scale + shift
    return boxes, keypoints
