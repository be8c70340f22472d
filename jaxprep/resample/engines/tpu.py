"""Resampling on TPU: every pass is a matrix product.

What goes in and comes out is that of `plain.py`, which this equals in every bit where sums are
integers, and within the rounding of float32 sums where they are not.

A TPU has no fast gather, but multiplies matrices of bfloat16 or uint8 very fast; so a tap table
becomes a dense matrix, almost all of whose entries are zero. What is left is to keep integer sums
exact and images in one layout. All cycles below are the compiler's own estimates for one v5e
(jax 0.10.2, libtpu 0.0.42) and 64 images 512 x 512 x 3 resized to 224 x 224; nothing was run.

* Integer weights have up to 22 fractional bits, more than one product holds. `weight = low + 256 *
  high`: the product with `low` is uint8 x uint8 -> int32, the one with `high` has float32 sums of
  integers below 2**24. Both are exact, and pixels are never moved to a signed type: `pixel - 128`
  as int8 alone costs 158 k cycles for each product that reads it.
* Between the two products only the carry `sum >> 8` is kept, in int16 where it is large: int32
  sums of a batch (88 MB) and the images do not fit the 128 MiB of a v5e's vector memory together.
* Axes are never merged, split or sliced: XLA stores an image `(h, w, c)` as planes, `w` along the
  lanes, and products over `w` or `h` keep it so. A reshape to rows `(h, w * c)` costs 0.5 M cycles
  and a slice of the unread columns 1.2 M, against 0.6 to 0.8 M for both passes.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxprep.resample.engines.plain import PlainEngine, copy_pixels, in_either_order
from jaxprep.resample.passes import Epilogue, Passes, Rows
from jaxprep.resample.tables import Taps

CARRY_BITS = 8
"""Bits of a weight that the first product of an integer pass takes."""
INT16_TAPS = 96
"""The most taps whose carry fits int16: `255 * 255 * 96 + 2**21 >> 8 < 2**15`, with one half of 22
bits.
"""


class Digits(NamedTuple):
    """A table of integer weights as two dense matrices: `weight = low + 256 * high`.

    Attributes:
        low: `(m, n)` uint8.
        high: `(m, n)`, signed: bfloat16 for int16 weights, whose high byte has 8 bits and so is
            one factor of the matrix unit; float32 for int32 weights, whose 15 bits are two.
        shift: int32 scalar, fractional bits of the weights, from 8 to 22.
        taps: nonzero entries in a row, at most.

    >>> digits = Digits(np.uint8(44), np.float32(1), np.int32(22), 1)
    >>> int(digits.low) + 256 * int(digits.high)
    300
    """

    low: Any
    high: Any
    shift: Any
    taps: int


@dataclass(frozen=True)
class TpuEngine(PlainEngine):
    """Runs segments on TPU; crops and flips, which need no sums, in the plain form.

    It computes on any platform, only not fast:

    >>> from jaxprep.resample.tables import resize_taps
    >>> taps = resize_taps(4, 2, "box", True, "pillow")
    >>> passes = Passes(taps, taps, "integer")
    >>> keep = Epilogue(compute=lambda rows: rows)
    >>> resize = jax.jit(lambda image: TpuEngine().run_segment(image, passes, keep, is_last=True))
    >>> resize(np.full((4, 4, 1), 7, np.uint8)).tolist()
    [[[7], [7]], [[7], [7]]]
    """

    def run_segment(
        self,
        image: jax.Array,
        passes: Passes,
        epilogue: Epilogue,
        is_last: bool,
    ) -> jax.Array:
        """Compute both passes of one image; XLA fuses the epilogue with the last product."""
        del is_last
        resized = two_passes(image, passes)
        return epilogue.finish(Rows.of(resized))


def two_passes(image: jax.Array, passes: Passes) -> jax.Array:
    """Compute both passes over one image `(h, w, c)`, without the epilogue.

    >>> from jaxprep.resample.tables import resize_taps
    >>> taps = resize_taps(4, 2, "bilinear", True, "pillow")
    >>> passes = Passes(taps, taps, "integer", vertical_first=False)
    >>> image = np.arange(32, dtype=np.uint8).reshape(4, 4, 2)
    >>> result = jax.jit(lambda image: two_passes(image, passes))(image)
    >>> result.shape, result.dtype
    ((2, 2, 2), dtype('uint8'))
    """
    if passes.arithmetic == "copy":
        return copy_pixels(image, passes)
    if passes.has_traced_order:
        return in_either_order(image, passes, two_passes)
    order = [(passes.vertical, 0), (passes.horizontal, 1)]
    if not passes.vertical_first:
        order.reverse()
    is_first = True
    for taps, axis in order:
        if taps is None:
            continue
        if passes.arithmetic == "integer":
            image = integer_pass(image, taps, axis, is_first=is_first)
        else:
            image = float_pass(image, taps, axis, is_first=is_first)
        is_first = False
    return image


def integer_pass(
    image: jax.Array,
    taps: Taps,
    axis: int,
    *,
    is_first: bool,
) -> jax.Array:
    """Resample one axis of a uint8 image: `clip((half + sum(weight * pixel)) >> shift)`, exactly.

    `floor((low + 256 * high) / 2**shift) = floor((floor(low / 256) + high) / 2**(shift - 8))`: of
    the first product, and one half, only the carry is needed. Sums of the first product are below
    `2**16` times the taps. Those of the second are below `2**24`: normalised weights of 22 bits sum
    to less than `2**23` in absolute value, hence their high parts to less than `2**15` and one a
    tap, times 255.

    Args:
        image: `(h, w, c)` uint8.
        is_first: no pass came before. The carry of a first pass, the larger one, is kept in int16:
            215 + 359 k cycles against 362 + 405 k with int32. That of the second fits the vector
            memory as it is, and int32 needs no packing: 45 + 183 k against 109 + 183 k.

    >>> from jaxprep.resample.tables import resize_taps
    >>> taps = resize_taps(4, 2, "box", True, "pillow")
    >>> column = np.uint8([10, 20, 30, 41]).reshape(4, 1, 1)
    >>> run = jax.jit(lambda column: integer_pass(column, taps, axis=0, is_first=True).ravel())
    >>> run(column).tolist()
    [15, 36]
    """
    digits = _digits(taps, image.shape[axis])
    product = functools.partial(_product, is_first=is_first)
    shift = jnp.asarray(digits.shift, jnp.int32)
    half = lax.shift_left(jnp.int32(1), shift - 1)
    low = product(digits.low, image, axis, jnp.int32)
    carry = (low + half) >> CARRY_BITS
    if is_first and digits.taps <= INT16_TAPS:
        carry = carry.astype(jnp.int16)
    # float32 factors of 15 bits are two bfloat16 numbers each: with HIGH, XLA multiplies both by a
    # pixel, which is one, in one pass over the image (362 k cycles; two products: 215 + 229 k)
    pixels = image.astype(digits.high.dtype)
    high = product(digits.high, pixels, axis, jnp.float32, lax.Precision.HIGH)
    high = high.astype(jnp.int32)
    # the carry comes first: XLA fuses this sum with the product of its last operand, and the other
    # order leaves the more expensive one a result of its own in the second pass (284 k, not 228 k)
    total = carry.astype(jnp.int32) + high
    shifts = jnp.broadcast_to(shift - CARRY_BITS, total.shape)
    total = lax.shift_right_arithmetic(total, shifts)
    clipped = lax.clamp(jnp.int32(0), total, jnp.int32(255))
    return clipped.astype(jnp.uint8)


def float_pass(
    image: jax.Array,
    taps: Taps,
    axis: int,
    *,
    is_first: bool,
) -> jax.Array:
    """Resample one axis of an image `(h, w, c)` in float32.

    >>> from jaxprep.resample.tables import resize_taps
    >>> taps = resize_taps(4, 2, "box", True, "float")
    >>> float_pass(jnp.arange(4.0).reshape(1, 4, 1), taps, axis=1, is_first=True).ravel().tolist()
    [0.5, 2.5]
    """
    matrix = dense_matrix(taps, image.shape[axis])
    # XLA sees where pixels came from: of uint8 and bfloat16 it multiplies only one bfloat16 factor
    pixels = image.astype(jnp.float32)
    return _product(
        matrix,
        pixels,
        axis,
        jnp.float32,
        lax.Precision.HIGHEST,
        is_first=is_first,
    )


def _product(
    matrix: Any,
    image: jax.Array,
    axis: int,
    dtype: Any,
    precision: Any = None,
    *,
    is_first: bool,
) -> jax.Array:
    """`matrix` `(m, n)` applied to an axis of the image `(h, w, c)`, summed in `dtype`.

    The order of the operands decides the layout of the result. A last pass must leave `w` along
    the lanes, as images are stored: rows as `matrix @ image`, columns as `image @ matrix.T`. A
    first pass does best with the image first. Each wrong order costs a transposition of the
    float32 result: 110 to 150 k cycles.
    """
    dot = functools.partial(lax.dot_general, precision=precision, preferred_element_type=dtype)
    no_batch = ((), ())
    if axis == 0 and not is_first:
        contracting = ((1,), (0,))
        return dot(matrix, image, (contracting, no_batch))
    contracting = ((axis,), (1,))
    result = dot(image, matrix, (contracting, no_batch))
    return jnp.moveaxis(result, -1, axis)


def _digits(taps: Taps, n: int) -> Digits:
    """The dense matrices of integer weights."""
    # bfloat16 holds integers of 8 bits, which the high byte of an int16 is
    has_int16_weights = taps.weight.dtype == jnp.int16
    high_dtype = jnp.bfloat16 if has_int16_weights else jnp.float32
    matrix = dense_matrix(taps, n)
    is_known = isinstance(matrix, np.ndarray)
    matrix = matrix.astype(np.int32)
    low = (matrix & 255).astype(np.uint8)
    # an arithmetic shift: negative weights have a negative high part and a positive low one
    high = (matrix >> CARRY_BITS).astype(high_dtype)
    if not is_known:
        # otherwise XLA computes the matrix again inside each product: 1,017 against 1,130 MB, but
        # 1.68 M against 1.43 M cycles
        low, high = lax.optimization_barrier((low, high))
    count = taps.weight.shape[1]
    return Digits(low, high, taps.shift, count)


def dense_matrix(taps: Taps, n: int) -> Any:
    """Return the table as a float32 matrix `(m, n)`; integer weights below `2**24` are exact.

    It is a NumPy array where the table is known, so that XLA stores it as a constant.

    >>> from jaxprep.resample.tables import resize_taps
    >>> dense_matrix(resize_taps(4, 2, "box", True, "float"), 4).tolist()
    [[0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.5, 0.5]]
    """
    if isinstance(taps.start, np.ndarray) and isinstance(taps.weight, np.ndarray):
        return _dense_on_host(taps, n)
    start = jnp.asarray(taps.start)
    weight = jnp.asarray(taps.weight)
    return _dense_in_graph(start, weight, n)


def _dense_on_host(taps: Taps, n: int) -> np.ndarray:
    m, count = taps.weight.shape
    matrix = np.zeros((m, n), np.float32)
    columns = taps.start[:, None] + np.arange(count)
    weights = taps.weight.astype(np.float32)
    np.put_along_axis(matrix, columns, weights, axis=1)
    return matrix


def _dense_in_graph(start: jax.Array, weight: jax.Array, n: int) -> jax.Array:
    """Makes the matrix in two steps, each of which broadcasts little.

    A comparison of every column with `start + k`, tap by tap, costs 265 k cycles for 12 taps, and
    a sum over taps 960 k, nearly all to broadcast a weight along the lanes. Instead the taps of a
    row are first rotated so that column `j` reads tap `j % period`; then a product with a matrix
    of zeros and ones repeats them along the row, and one comparison keeps the window: 105 k.
    """
    m, count = weight.shape
    # a power of 2, so that `& (period - 1)` is the remainder
    period = 1 << max(count - 1, 15).bit_length()
    weight = weight.astype(jnp.float32)
    # outputs lie along the lanes, so that a tap of all of them is a row of `rotated`
    residue = lax.broadcasted_iota(jnp.int32, (period, m), 0)
    tap = (residue - start[None, :]) & (period - 1)
    rotated = jnp.zeros((period, m), jnp.float32)
    for k in range(count):
        rotated = jnp.where(tap == k, weight[None, :, k], rotated)
    column = np.arange(n)
    row = np.arange(period)[:, None]
    repeat = (row == column % period).astype(np.float32)
    contracting = ((0,), (0,))
    no_batch = ((), ())
    # HIGHEST: the three bfloat16 parts of a weight, each times one, sum to it exactly
    repeated = lax.dot_general(
        rotated,
        repeat,
        (contracting, no_batch),
        precision=lax.Precision.HIGHEST,
        preferred_element_type=jnp.float32,
    )
    columns = lax.broadcasted_iota(jnp.int32, (m, n), 1)
    offset = columns - start[:, None]
    is_inside = (offset >= 0) & (offset < count)
    return jnp.where(is_inside, repeated, jnp.float32(0))
