"""Running a plan on one image: what `vmap` and `jit` turn into a program."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxprep.ops.layout import channels_first
from jaxprep.ops.step import move_boxes
from jaxprep.pipeline.chain import apply_chain
from jaxprep.pipeline.geometry import Segment, as_taps, fold_all
from jaxprep.pipeline.plan import Plan, Tables, compose
from jaxprep.resample.part import Part, whole
from jaxprep.resample.passes import apart, apply_taps, round_to, two_pass
from jaxprep.resample.resize import check_dtype, result_dtype
from jaxprep.resample.tables import Taps
from jaxprep.types import Size

Tail = Callable[[jax.Array], jax.Array]


def run_constant(parts: tuple[Segment, ...], image: jax.Array, exact: bool, to_first: bool) -> jax.Array:
    """All segments on one image `(h, w, c)` that fills its array, with constant tables."""
    height, width, _ = image.shape
    for segment, folded in zip(parts, fold_all(parts, (height, width)), strict=True):
        edges = (folded.vertical.edge, folded.horizontal.edge) if any(folded.used) else None
        vertical, horizontal = (None if table.taps is None else as_taps(table, segment) for table in folded[:2])
        order = "vertical" if folded.first else "horizontal"
        tail = channels_first if to_first and segment is parts[-1] else _same
        image = _run_segment(segment, image, Tables(vertical, horizontal, edges), order, exact, tail)
    return image


def run_planned(
    plan: Plan, image: jax.Array | Part, exact: bool, to_first: bool, rows: tuple[Any, ...] | None = None
) -> jax.Array:
    """One image in the top-left corner of a canvas `(h, w, c)` through its entry of a plan; zeros outside its size.

    Args:
        rows: for each stage, the height of the image, where only so many rows shall be computed.
    """

    def last(image: jax.Array) -> jax.Array:
        image = image if plan.fixed else zero_outside(image, plan.size)
        return channels_first(image) if to_first else image

    rows = (None,) * len(plan.stages) if rows is None else rows
    for stage, tables, height in zip(plan.stages, plan.tables, rows, strict=True):
        if stage.segment.arithmetic != "integer":
            image = whole(image)
            floats = jnp.issubdtype(image.dtype, jnp.floating)
            image = zero_outside(image, tables.size) if floats else image
        tail = last if stage is plan.stages[-1] else _same
        image = _run_segment(stage.segment, image, tables, stage.order, exact, tail, height)
    return whole(image)


@functools.partial(jax.jit, static_argnames=("exact", "to_first"))
def run_batch(plan: Plan, images: jax.Array, exact: bool, to_first: bool) -> jax.Array:
    """A batch of canvases `(b, h, w, c)` through their plan: a program that eager callers share."""
    return jax.vmap(functools.partial(run_planned, exact=exact, to_first=to_first))(plan, images)


@functools.partial(jax.jit, static_argnames=("exact", "to_first"))
def run_one(plan: Plan, image: jax.Array, exact: bool, to_first: bool) -> jax.Array:
    """A batch of one canvas through the plan of one image, each stage over no more rows than the image has."""
    rows = tuple(tables.size[0] for tables in plan.tables)
    return run_planned(plan, Part.of(image, 0), exact=exact, to_first=to_first, rows=rows)[None]


def _same(image: jax.Array) -> jax.Array:
    return image


def zero_outside(image: jax.Array, size: Any) -> jax.Array:
    """The image with everything but its top-left `size` set to 0, whatever it was."""
    rows, columns = (lax.broadcasted_iota(jnp.int32, image.shape, axis) < size[axis] for axis in (0, 1))
    return jnp.where(rows & columns, image, jnp.zeros((), image.dtype))


def _run_segment(
    segment: Segment,
    image: jax.Array | Part,
    tables: Tables,
    order: str,
    exact: bool,
    tail: Tail = _same,
    rows: Any = None,
) -> jax.Array:
    resize = segment.resize
    dtype = image.image.dtype if isinstance(image, Part) else image.dtype
    if resize is not None:
        check_dtype(dtype, resize.method, resize.reference)
        dtype = result_dtype(dtype, resize.method, resize.reference, resize.rounded)

    def finish(image: jax.Array) -> jax.Array:
        image = image if image.dtype == dtype else round_to(image, dtype)
        return tail(apply_chain(segment.chain, image, tables.edges, exact))

    if segment.arithmetic == "copy":
        image, tables = _sliced(whole(image), tables)
    if tables.vertical is None and tables.horizontal is None:
        return jax.jit(finish)(whole(image))  # under a bare `vmap` too, one program: op by op the last bit differs
    if segment.arithmetic == "copy":
        return apart(lambda image, vertical, horizontal: finish(_copy(image, vertical, horizontal)), image, *tables[:2])
    passes = functools.partial(
        two_pass, image, tables.vertical, tables.horizontal, arithmetic=segment.arithmetic, finish=finish, rows=rows
    )
    if order == "both":
        return jnp.where(tables.first, passes(vertical_first=True), passes(vertical_first=False))
    return passes(vertical_first=order == "vertical")


def _copy(image: jax.Array, vertical: Taps | None, horizontal: Taps | None) -> jax.Array:
    for axis, taps in ((0, vertical), (1, horizontal)):
        image = image if taps is None else apply_taps(image, taps, axis, "copy")
    return image


def _sliced(image: jax.Array, tables: Tables) -> tuple[jax.Array, Tables]:
    """The image with its constant crops made, and the tables that are left: a slice needs no table."""
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
    """Boxes `(n, 4)` and keypoints `(n, 2)` of one image through the map of its plan; boxes are clipped to `size`."""
    maps = jnp.asarray(maps, jnp.float32)
    scale, shift = maps[::-1, 0], maps[::-1, 1]
    if boxes is not None:
        boxes = move_boxes(boxes, scale, shift, jnp.asarray(size, jnp.float32)[::-1])
    if keypoints is not None:
        keypoints = jnp.asarray(keypoints, jnp.float32) * scale + shift
    return boxes, keypoints
