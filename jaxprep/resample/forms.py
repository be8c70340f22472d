"""One pass over one axis, in the form that suits a platform. All forms of a pass give the same
sums.

| form | where | how |
|---|---|---|
| plain | GPU, and the vertical pass on CPU | one gather per tap, fused into one loop |
| turned | CPU, horizontal | columns of a few rows, turned to lie along memory: contiguous, no gather |
| dense | TPU, where gathers are slow | a matrix product; integer weights in three digits that bfloat16 holds |
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxprep.resample.apart import apart
from jaxprep.resample.lines import Interleave
from jaxprep.resample.part import Part
from jaxprep.resample.tables import Taps

Arithmetic = Literal["copy", "integer", "float"]
UNROLLED_TAPS = 160
"""Above so many taps a pass is a loop over blocks of them: unrolled, XLA takes seconds to
compile.
"""
UNROLLED_FLOATS = 48
"""The same for sums in float32, each of which waits for the one before: blocks of several columns
overlap.
"""
TAPS_OF_BLOCK = 16
CACHE = 2**19
"""Bytes that the images of a batch turn at once, at most: there is room for them twice, and for
what comes of them.
"""
BLOCK = 2**18
"""Bytes that are turned at once where there are so many: each call of a computation costs time."""


def apply_taps(image: jax.Array, taps: Taps, axis: int, arithmetic: Arithmetic) -> jax.Array:
    """The plain form: one pass over `axis` (0 vertical, 1 horizontal) of an image `(h, w, c)`, or
    of lines.

    Args:
        image: uint8 for integer arithmetic, any type for a copy; anything is summed in float32
            otherwise.
        taps: the table of the axis.
        arithmetic: `copy` takes one pixel; `integer` sums in int32, rounds, and clips to uint8;
            `float` sums in float32.
    """
    if arithmetic == "copy":
        return take(image, taps.start, axis)
    start, weight = taps.start, _kept_narrow(taps.weight)
    dtype = jnp.int32 if arithmetic == "integer" else jnp.float32
    shape = [1] * image.ndim
    shape[axis] = weight.shape[0]

    def add(k: Any, weight_k: jax.Array, total: jax.Array) -> jax.Array:
        return (
            take(image, start + k, axis).astype(dtype) * weight_k.astype(dtype).reshape(shape)
            + total
        )

    total = half(taps.shift) if arithmetic == "integer" else jnp.float32(0)
    size = (*image.shape[:axis], weight.shape[0], *image.shape[axis + 1 :])
    total = sum_over_taps(add, total, weight, size, image)
    return to_uint8(total, taps.shift) if arithmetic == "integer" else total


def take(image: jax.Array, start: Any, axis: int) -> jax.Array:
    """The pixels at `start` along an axis."""
    others = tuple(i for i in range(image.ndim) if i != axis)
    size = tuple(1 if i == axis else n for i, n in enumerate(image.shape))
    numbers = lax.GatherDimensionNumbers(
        offset_dims=others, collapsed_slice_dims=(axis,), start_index_map=(axis,)
    )
    return lax.gather(
        image, jnp.asarray(start.reshape(-1, 1)), numbers, size, mode="promise_in_bounds"
    )


def _kept_narrow(weight: Any) -> jax.Array:
    """A table that XLA does not widen ahead of time: 16-bit weights multiply in one instruction,
    32-bit ones in two.
    """
    weight = jnp.asarray(weight)
    return lax.optimization_barrier(weight) if weight.dtype == jnp.int16 else weight


def zeros(shape: tuple[int, ...], dtype: Any, like: jax.Array) -> jax.Array:
    """The start of a loop over `like`: under `shard_map` and on explicit meshes it must vary as
    that does.
    """
    pixel = lax.slice(like, (0,) * like.ndim, (1,) * like.ndim).reshape(())
    return lax.broadcast((pixel < pixel).astype(dtype), shape)  # never true, and made of `like`


def loop(count: Any, body: Any, begun: Any, like: jax.Array) -> Any:
    """`body(i, state)` for `count` times. In a batched loop JAX forgets the mesh of a sharded
    array: it is named.
    """
    mesh = jax.typeof(like).sharding.mesh
    if mesh.empty:
        return lax.fori_loop(0, count, body, begun)
    with jax.sharding.use_abstract_mesh(mesh):
        return lax.fori_loop(0, count, body, begun)


def sum_over_taps(
    add: Callable[[Any, jax.Array, jax.Array], jax.Array],
    total: jax.Array,
    weight: jax.Array,
    shape: tuple[int, ...],
    like: jax.Array,
) -> jax.Array:
    """`total = add(k, weight[:, k], total)` for every tap, in blocks in a loop where they are
    many.
    """
    count = weight.shape[1]
    floats = jnp.issubdtype(total.dtype, jnp.floating)
    whole = 0
    if count > (UNROLLED_FLOATS if floats else UNROLLED_TAPS):
        whole = count // TAPS_OF_BLOCK * TAPS_OF_BLOCK

        def add_block(i: Any, total: jax.Array) -> jax.Array:
            for j in range(TAPS_OF_BLOCK):
                k = i * TAPS_OF_BLOCK + j
                total = add(k, lax.dynamic_index_in_dim(weight, k, 1, keepdims=False), total)
            return total

        total = loop(
            whole // TAPS_OF_BLOCK, add_block, total + zeros(shape, total.dtype, like), like
        )
    for k in range(whole, count):
        total = add(k, lax.index_in_dim(weight, k, 1, keepdims=False), total)
    return total


def half(shift: Any) -> jax.Array:
    """One half, with `shift` fractional bits: what makes a shift round."""
    if isinstance(shift, (int, np.integer)):
        return jnp.int32(1 << (int(shift) - 1))
    return lax.shift_left(jnp.int32(1), shift - jnp.int32(1))


def to_uint8(total: jax.Array, shift: Any) -> jax.Array:
    """A sum with `shift` fractional bits, clipped to uint8."""
    shifted = lax.shift_right_arithmetic(
        total, jnp.broadcast_to(jnp.asarray(shift, jnp.int32), total.shape)
    )
    return lax.clamp(jnp.int32(0), shifted, jnp.int32(255)).astype(jnp.uint8)


def lanes_of(dtype: Any) -> int:
    """Rows that are turned together: as many as fill the vectors that turn them."""
    return 16 if dtype.itemsize == 1 else 8


def turned_bytes(width: int, channels: int, dtype: Any) -> int:
    """What an image turns at once, at least."""
    return lanes_of(dtype) * width * channels * dtype.itemsize


def turned(
    part: Part, taps: Taps, arithmetic: Arithmetic, interleave: Interleave, rows: Any = None
) -> jax.Array:
    """The horizontal pass, a block of rows after the other: what is between the stages stays in the
    cache.

    Args:
        part: of at least `lanes_of` rows; uint8 for integer arithmetic.
        interleave: of the result.
        rows: how many rows to compute, at most those of the part; may be traced. None computes all.

    Returns:
        The lines `(height, m * c)`, uint8 or float32; zeros below the last block of `rows`.
    """
    height, channels = part.height, part.channels
    lanes, own = lanes_of(part.dtype), turned_bytes(part.width, channels, part.dtype)
    most = lanes if part.beside is None else lanes * max(BLOCK // (own * part.beside), 1)
    blocks = max(-(-height // most), 1 if height % lanes == 0 else 2)
    groups = min(-(-height // (lanes * blocks)), height // lanes)
    block = groups * lanes
    wide = _per_number(taps, channels, interleave)

    def add(i: Any, done: jax.Array) -> jax.Array:
        first = jnp.minimum(
            i * block, height - block
        )  # the last block may repeat rows of the one before
        lines = part.rows(first, block).reshape(groups, lanes, -1)
        return apart(_put, done, _turn_and_sum(lines, wide, channels, arithmetic), first)

    count = height if rows is None else rows
    dtype = jnp.uint8 if arithmetic == "integer" else jnp.float32
    begun = zeros((height, taps.weight.shape[0] * channels), dtype, part.image)
    return loop((count + block - 1) // block, add, begun, part.image)


def _put(done: jax.Array, lines: jax.Array, first: Any) -> jax.Array:
    """Groups of lines `(g, l, n)` from row `first` on."""
    return lax.dynamic_update_slice_in_dim(done, lines.reshape(-1, done.shape[1]), first, 0)


def _turn_and_sum(lines: jax.Array, taps: Taps, channels: int, arithmetic: Arithmetic) -> jax.Array:
    """The horizontal pass over groups of lines `(g, l, w * c)`, with a table of `_per_number`: `(g,
    l, m * c)`.

    Both turns are copies of their own, which XLA makes with a transposition for the processor.
    """
    columns = apart(lambda lines: lines.swapaxes(1, 2), lines)

    def across(columns: jax.Array, taps: Taps) -> jax.Array:
        sums = functools.partial(_column_sums, taps=taps, channels=channels, arithmetic=arithmetic)
        return jax.vmap(sums)(columns).swapaxes(1, 2)

    return apart(across, columns, taps)


def _per_number(taps: Taps, channels: int, interleave: Interleave) -> Taps:
    """A table of pixels as one of the numbers of a line: `m * c` rows, whose taps are `c` numbers
    from each other.
    """
    start = jnp.asarray(taps.start)[:, None] * channels + jnp.arange(channels, dtype=jnp.int32)
    weight = jnp.broadcast_to(
        jnp.asarray(taps.weight)[:, None], (*start.shape, taps.weight.shape[1])
    )
    if interleave == "line":
        start, weight = start.swapaxes(0, 1), weight.swapaxes(0, 1)
    return Taps(start.reshape(-1), weight.reshape(-1, taps.weight.shape[1]), taps.shift)


def _column_sums(
    columns: jax.Array, taps: Taps, channels: int, arithmetic: Arithmetic
) -> jax.Array:
    """Columns `(w * c, l)` to `(m * c, l)`."""
    start, weight = taps.start, _kept_narrow(taps.weight)
    (m, count), (n, lanes) = weight.shape, columns.shape
    dtype = jnp.int32 if arithmetic == "integer" else jnp.float32

    def add(k: Any, weight_k: jax.Array, total: jax.Array) -> jax.Array:
        # shift the slice and keep the index: one address per window
        if isinstance(k, int):
            own = lax.slice_in_dim(columns, k * channels, n - (count - 1 - k) * channels)
            column = take(own, start, 0)
        else:
            column = take(columns, start + k * channels, 0)
        return column.astype(dtype) * weight_k.astype(dtype).reshape(-1, 1) + total

    total = half(taps.shift) if arithmetic == "integer" else jnp.float32(0)
    total = sum_over_taps(add, total, weight, (m, lanes), columns)
    return to_uint8(total, taps.shift) if arithmetic == "integer" else total


def rows_in_floats(
    part: Part, vertical: Taps, horizontal: Taps, interleave: Interleave
) -> jax.Array:
    """Both passes in float32, vertical first, a block of result rows after the other: the lines
    `(m, n * c)`.

    What is between the passes is as wide as the image; so it stays in the cache, and no page of it
    is new.
    """
    m, n, c = vertical.weight.shape[0], horizontal.weight.shape[0], part.channels
    floats = np.dtype(np.float32)
    lanes, own = lanes_of(floats), turned_bytes(part.width, c, floats)
    most = 1 if part.beside is None else max(BLOCK // (own * part.beside), 1)
    block = lanes * min(most, m // lanes)
    start, weight = jnp.asarray(vertical.start), jnp.asarray(vertical.weight)
    wide = _per_number(horizontal, c, interleave)
    lines = part.whole().reshape(part.height, -1)

    def down(lines: jax.Array, taps: Taps) -> jax.Array:
        return apply_taps(lines, taps, 0, "float")

    def add(
        i: Any, done: jax.Array
    ) -> jax.Array:  # a last block that would exceed the result begins earlier
        first, own = (
            lax.dynamic_slice_in_dim(table, i * block, block, 0) for table in (start, weight)
        )
        rows = apart(down, lines, Taps(first, own, np.int32(0)))
        across = _turn_and_sum(rows.reshape(-1, lanes, rows.shape[1]), wide, c, "float")
        return apart(_put, done, across, i * block)

    return loop(-(-m // block), add, zeros((m, n * c), jnp.float32, part.image), part.image)


def dense(image: jax.Array, taps: Taps, axis: int, arithmetic: Arithmetic) -> jax.Array:
    """One pass as a matrix product, for any axis."""
    weight = matrix(taps, image.shape[axis])
    weight = weight if arithmetic == "float" else weight.astype(jnp.int32)
    if arithmetic == "float":
        total = _product(weight, image.astype(jnp.float32), axis, lax.Precision.HIGHEST)
        return total
    # 23-bit weights as three signed digits of 8 bits: bfloat16 holds a digit and a pixel, float32
    # their sums
    low = (weight + 128 & 255) - 128
    rest = (weight - low) >> 8
    middle = (rest + 128 & 255) - 128
    high = (rest - middle) >> 8
    pixels = image.astype(jnp.bfloat16)
    sums = [
        _product(digit.astype(jnp.bfloat16), pixels, axis, None).astype(jnp.int32)
        for digit in (low, middle, high)
    ]
    return to_uint8(half(taps.shift) + sums[0] + (sums[1] << 8) + (sums[2] << 16), taps.shift)


def matrix(taps: Taps, n: int) -> jax.Array:
    """The table as a matrix `(m, n)`."""
    start, weight = jnp.asarray(taps.start), jnp.asarray(taps.weight)
    place = lax.broadcasted_iota(jnp.int32, (weight.shape[0], 1, n), 2) - start[:, None, None]
    tap = lax.broadcasted_iota(jnp.int32, (1, weight.shape[1], 1), 1)
    return jnp.sum(
        jnp.where(place == tap, weight[:, :, None], jnp.zeros((), weight.dtype)),
        axis=1,
        dtype=weight.dtype,
    )


def _product(weight: jax.Array, image: jax.Array, axis: int, precision: Any) -> jax.Array:
    """`weight` applied to an axis of the image, summed in float32."""
    total = lax.dot_general(
        weight,
        image,
        (((1,), (axis,)), ((), ())),
        precision=precision,
        preferred_element_type=jnp.float32,
    )
    return total if axis == 0 else total.swapaxes(0, 1)
