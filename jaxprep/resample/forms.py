"""One pass over one axis, in the form that suits a platform. All forms of a pass give the same sums.

| form | where | how |
|---|---|---|
| plain | GPU, and the vertical pass on CPU | one gather per tap, fused into one loop |
| packed | CPU, horizontal, integer | four rows in a word, the words of 8 or 16 side by side: contiguous, no gather |
| blocked | CPU, horizontal, float | rows in blocks of eight: the same without packing |
| dense | TPU, where gathers are slow | a matrix product; integer weights in three digits that bfloat16 holds |
"""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxprep.resample.apart import apart
from jaxprep.resample.part import Part
from jaxprep.resample.tables import Taps

Arithmetic = Literal["copy", "integer", "float"]
UNROLLED_TAPS = 48
"""Above so many taps a pass is a loop over blocks of them: unrolled, XLA takes seconds to compile."""
LANES = 8
"""Rows, or words of four rows, that lie side by side in a pass over columns."""
BLOCK = 32
"""Rows of the result that the float passes compute at a time."""


def apply_taps(image: jax.Array, taps: Taps, axis: int, arithmetic: Arithmetic) -> jax.Array:
    """The plain form: one pass over `axis` (0 vertical, 1 horizontal) of an image `(h, w, c)`.

    Args:
        image: uint8 for integer arithmetic, any type for a copy; anything is summed in float32 otherwise.
        taps: the table of the axis.
        arithmetic: `copy` takes one pixel; `integer` sums in int32, rounds, and clips to uint8; `float` sums in
            float32.
    """
    if arithmetic == "copy":
        return take(image, taps.start, axis)
    if axis == 0:  # rows are contiguous: let pixel and channel be one axis
        h, w, c = image.shape
        return _weighted_sum(image.reshape(h, w * c), taps, 0, arithmetic).reshape(-1, w, c)
    return _weighted_sum(image, taps, axis, arithmetic)


def take(image: jax.Array, start: Any, axis: int) -> jax.Array:
    """The pixels at `start` along an axis."""
    index = (slice(None),) * axis + (start,)
    return image.at[index].get(mode="promise_in_bounds")


def _weighted_sum(image: jax.Array, taps: Taps, axis: int, arithmetic: Arithmetic) -> jax.Array:
    start, weight = jnp.asarray(taps.start), _kept_narrow(taps.weight)
    dtype = jnp.int32 if arithmetic == "integer" else jnp.float32
    shape = [1] * image.ndim
    shape[axis] = weight.shape[0]

    def add(total: jax.Array, k: Any, weight_k: jax.Array) -> jax.Array:
        return take(image, start + k, axis).astype(dtype) * weight_k.astype(dtype).reshape(shape) + total

    total = half(taps.shift) if arithmetic == "integer" else jnp.float32(0)
    size = (*image.shape[:axis], weight.shape[0], *image.shape[axis + 1 :])
    (total,) = sum_over_taps(lambda sums, k, w: [add(sums[0], k, w)], [total], weight, size, image)
    return to_uint8(total, taps.shift) if arithmetic == "integer" else total


def _kept_narrow(weight: Any) -> jax.Array:
    """A table that XLA does not widen ahead of time: 16-bit weights multiply in one instruction, 32-bit ones in two."""
    weight = jnp.asarray(weight)
    return lax.optimization_barrier(weight) if weight.dtype == jnp.int16 else weight


def _zeros(shape: tuple[int, ...], dtype: Any, like: jax.Array) -> jax.Array:
    """The start of a loop over `like`: under `shard_map` and on explicit meshes it must vary as that does."""
    pixel = lax.slice(like, (0,) * like.ndim, (1,) * like.ndim).reshape(())
    return lax.broadcast((pixel < pixel).astype(dtype), shape)  # never true, and made of `like`


def _loop(count: Any, body: Any, begun: Any, like: jax.Array) -> Any:
    """`body(i, state)` for `count` times. In a batched loop JAX forgets the mesh of a sharded array: it is named."""
    mesh = jax.typeof(like).sharding.mesh
    if mesh.empty:
        return lax.fori_loop(0, count, body, begun)
    with jax.sharding.use_abstract_mesh(mesh):
        return lax.fori_loop(0, count, body, begun)


def sum_over_taps(add: Any, sums: list[Any], weight: jax.Array, shape: tuple[int, ...], like: Any) -> list[Any]:
    """`add(sums, k, weight[:, k])` for every tap, in blocks of 8 in a loop where they are many."""
    count = weight.shape[1]
    whole = 0
    if count > UNROLLED_TAPS:
        block = 8
        whole = count // block * block

        def add_block(i: Any, sums: list[Any]) -> list[Any]:
            for j in range(block):
                k = i * block + j
                sums = add(sums, k, lax.dynamic_index_in_dim(weight, k, 1, keepdims=False))
            return sums

        begun = [total + _zeros(shape, total.dtype, like) for total in sums]
        sums = _loop(whole // block, add_block, begun, like)
    for k in range(whole, count):
        sums = add(sums, k, weight[:, k])
    return sums


def half(shift: Any) -> jax.Array:
    """One half, with `shift` fractional bits: what makes a shift round."""
    if isinstance(shift, (int, np.integer)):
        return jnp.int32(1 << (int(shift) - 1))
    return lax.shift_left(jnp.int32(1), shift - jnp.int32(1))


def to_uint8(total: jax.Array, shift: Any) -> jax.Array:
    """A sum with `shift` fractional bits, clipped to uint8."""
    return _clipped(total, shift).astype(jnp.uint8)


def _clipped(total: jax.Array, shift: Any) -> jax.Array:
    shifted = lax.shift_right_arithmetic(total, jnp.broadcast_to(jnp.asarray(shift, jnp.int32), total.shape))
    return lax.clamp(jnp.int32(0), shifted, jnp.int32(255))


def packed(part: Part, taps: Taps, rows: Any = None) -> jax.Array:
    """The horizontal pass in integers, a block of rows after the other: what is between the stages stays in the cache.

    Args:
        part: of an image of uint8, at least 8 rows.
        rows: how many rows to compute, at most those of the part; may be traced. None computes all.

    Returns:
        `(height, m, c)` uint8; zeros below `rows`.
    """
    height, width, c = part.height, part.width, part.channels
    m = taps.weight.shape[0]
    lanes = min(_lanes(part), height // 4)
    block = 4 * lanes

    def add(i: Any, done: jax.Array) -> jax.Array:
        first = jnp.minimum(i * block, height - block)  # the last block may repeat rows of the one before
        words = apart(lambda part, first: _pack(part, first, lanes), part, first)
        columns = apart(lambda words: words.T.reshape(width, c, lanes).reshape(width, c * lanes), words)
        across = apart(_across_words, columns, taps)
        lines = apart(lambda across: across.reshape(m, c, lanes).reshape(m * c, lanes).T, across)
        return lax.dynamic_update_slice_in_dim(done, apart(_unpack, lines), first, 0)

    count = height if rows is None else rows
    begun = _zeros((height, m * c), jnp.uint8, part.image)
    return _loop((count + block - 1) // block, add, begun, part.image).reshape(height, m, c)


def _lanes(part: Part) -> int:
    """How many words side by side: in a batch, images share the cache."""
    is_alone = part.number is not None and part.width * part.channels <= 8192
    return 2 * LANES if is_alone else LANES


def _pack(part: Part, first: Any, lanes: int) -> jax.Array:
    """Rows from `first` on as `(lanes, width * c)` uint32: byte r of word l is of row `first + r * lanes + l`."""
    a, b, c, d = (part.rows(first + r * lanes, lanes).astype(jnp.uint32) for r in range(4))
    return a | b << 8 | c << 16 | d << 24


def _across_words(pixels: jax.Array, taps: Taps) -> jax.Array:
    """Pixels `(width, n)`, each of n words, to `(m, n)`."""
    start, weight = jnp.asarray(taps.start), _kept_narrow(taps.weight)
    width, n = pixels.shape
    m, count = weight.shape

    def add(sums: list[Any], k: Any, weight_k: jax.Array) -> list[Any]:
        # shift the slice and keep the index: one address per window
        if isinstance(k, int):
            word = take(pixels[k : width - count + 1 + k], start, 0)
        else:
            word = take(pixels, start + k, 0)
        weight_k = weight_k.astype(jnp.int32)[:, None]
        return [total + _byte(word, r).astype(jnp.int32) * weight_k for r, total in enumerate(sums)]

    sums = sum_over_taps(add, [half(taps.shift)] * 4, weight, (m, n), pixels)
    a, b, c, d = (_clipped(total, taps.shift).astype(jnp.uint32) for total in sums)
    return a | b << 8 | c << 16 | d << 24


def _byte(word: jax.Array, r: Any) -> jax.Array:
    """Byte `r` of words: as a conversion, of which LLVM knows the range, where a mask is an operand of the fusion."""
    return (word >> (8 * r)).astype(jnp.uint8)


def _unpack(words: jax.Array) -> jax.Array:
    """`(lanes, n)` uint32 to `(4 * lanes, n)` uint8."""
    lanes, n = words.shape
    r = lax.broadcasted_iota(jnp.uint32, (4, lanes, n), 0)
    return _byte(lax.broadcast_in_dim(words, (4, lanes, n), (1, 2)), r).reshape(-1, n)


def blocked(image: jax.Array, taps: Taps) -> jax.Array:
    """The horizontal pass in float32; rows come back as `(rows, m, c)`, with up to 7 more than there are."""
    height, width, c = image.shape
    m, count = taps.weight.shape
    rows = np.minimum(np.arange(-(-height // LANES) * LANES), height - 1)
    blocks = take(image.reshape(height, width * c), rows, 0).reshape(-1, LANES, width * c).swapaxes(1, 2)

    def across(blocks: jax.Array, taps: Taps) -> jax.Array:
        start, weight = jnp.asarray(taps.start), jnp.asarray(taps.weight)
        pixels = blocks.reshape(blocks.shape[0], width, c, LANES).reshape(blocks.shape[0], width, c * LANES)

        def add(sums: list[Any], k: Any, weight_k: jax.Array) -> list[Any]:
            if isinstance(k, int):
                pixel = take(pixels[:, k : width - count + 1 + k], start, 1)
            else:
                pixel = take(pixels, start + k, 1)
            return [pixel.astype(jnp.float32) * weight_k[:, None] + sums[0]]

        shape = (blocks.shape[0], m, c * LANES)
        return sum_over_taps(add, [jnp.float32(0)], weight, shape, blocks)[0]

    done = apart(across, blocks, taps)
    return done.reshape(-1, m, c, LANES).reshape(-1, m * c, LANES).swapaxes(1, 2).reshape(-1, m * c).reshape(-1, m, c)


def rows_in_floats(image: jax.Array, vertical: Taps, horizontal: Taps) -> jax.Array:
    """Both passes in float32, vertical first, a block of result rows after the other: `(m, n, c)`.

    What is between the passes is as wide as the image; so it stays in the cache, and no page of it is new.
    """
    m, n, c = vertical.weight.shape[0], horizontal.weight.shape[0], image.shape[2]
    if m <= BLOCK:
        return blocked(apart(lambda image, taps: apply_taps(image, taps, 0, "float"), image, vertical), horizontal)[:m]
    start, weight = jnp.asarray(vertical.start), jnp.asarray(vertical.weight)

    def block(i: Any, done: jax.Array) -> jax.Array:  # a last block that would exceed the result begins earlier
        first, own = (lax.dynamic_slice_in_dim(table, i * BLOCK, BLOCK, 0) for table in (start, weight))
        part = Taps(first, own, vertical.shift)
        rows = apart(lambda image, taps: apply_taps(image, taps, 0, "float"), image, part)
        across = apart(lambda rows: rows.reshape(BLOCK, n * c), blocked(rows, horizontal))
        return lax.dynamic_update_slice_in_dim(done, across, i * BLOCK, 0)

    done = _loop(-(-m // BLOCK), block, _zeros((m, n * c), jnp.float32, image), image)
    return done.reshape(m, n, c)


def dense(image: jax.Array, taps: Taps, axis: int, arithmetic: Arithmetic) -> jax.Array:
    """One pass as a matrix product, for any axis."""
    weight = matrix(taps, image.shape[axis])
    weight = weight if arithmetic == "float" else weight.astype(jnp.int32)
    if arithmetic == "float":
        total = _product(weight, image.astype(jnp.float32), axis, lax.Precision.HIGHEST)
        return total
    # 23-bit weights as three signed digits of 8 bits: bfloat16 holds a digit and a pixel, float32 their sums
    low = (weight + 128 & 255) - 128
    rest = (weight - low) >> 8
    middle = (rest + 128 & 255) - 128
    high = (rest - middle) >> 8
    pixels = image.astype(jnp.bfloat16)
    sums = [_product(digit.astype(jnp.bfloat16), pixels, axis, None).astype(jnp.int32) for digit in (low, middle, high)]
    return to_uint8(half(taps.shift) + sums[0] + (sums[1] << 8) + (sums[2] << 16), taps.shift)


def matrix(taps: Taps, n: int) -> jax.Array:
    """The table as a matrix `(m, n)`."""
    start, weight = jnp.asarray(taps.start), jnp.asarray(taps.weight)
    place = lax.broadcasted_iota(jnp.int32, (weight.shape[0], n), 1) - start[:, None]

    def add(sums: list[Any], k: Any, weight_k: jax.Array) -> list[Any]:
        return [sums[0] + jnp.where(place == k, weight_k[:, None], jnp.zeros((), weight.dtype))]

    return sum_over_taps(add, [jnp.zeros((), weight.dtype)], weight, place.shape, weight)[0]


def _product(weight: jax.Array, image: jax.Array, axis: int, precision: Any) -> jax.Array:
    """`weight` applied to an axis of the image, summed in float32."""
    total = lax.dot_general(
        weight, image, (((1,), (axis,)), ((), ())), precision=precision, preferred_element_type=jnp.float32
    )
    return total if axis == 0 else total.swapaxes(0, 1)
