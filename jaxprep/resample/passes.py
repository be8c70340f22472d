"""One pass of a resize over one axis of an image, written in its plain form, and the values that
every engine takes.

What goes in: an image, and a `Taps` of `tables.py` for an axis. What comes out: the image with that
axis as long as the table. The plain form is the definition:
`sum_k take(image, start + k) * weight[:, k]`. GPUs run it as it is (`engines/plain.py`); the
engines for CPU and TPU compute the same sums in another order of memory (see `engines`).

An engine is given `Passes` (the tables of both axes) and an `Epilogue` (what is computed on the
result before it is stored), which works on `Rows`. Read `engines/plain.py` next.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxprep.resample.tables import Taps

Arithmetic = Literal["copy", "integer", "float"]
"""How a pass sums: `copy` takes one pixel; `integer` sums in int32, rounds and clips to uint8;
`float` sums in float32."""
Form = Literal["image", "pixels", "channels"]
"""How `Rows` lie in memory: `(h, w, c)`; `(h, w * c)`, the pixels of a row one after the other
("band interleaved by pixel"); `(h, c * w)`, the channels of a row one after the other ("band
interleaved by line")."""
DataFormat = Literal["channels_last", "channels_first"]
"""How the pixels of a result lie in memory: `(h, w, c)` or `(c, h, w)`."""

# Unrolled sums run faster (1.9 to 3.2 times on CPU, at 18 to 72 taps) but take XLA long to compile:
# 2.2 s for 143 taps, 12 s for 286.
UNROLLED_TAPS = 160
"""More integer taps than this are summed in a loop over blocks: XLA takes seconds to compile the
unrolled sum (K = 297: 1.1 s as a loop; `benchmarks/compile_time.py` sweeps K)."""
UNROLLED_FLOATS = 48
"""The same bound for float32 sums, which wait for each other: in a loop over blocks the sums of
several columns overlap."""
TAPS_PER_BLOCK = 16
"""How many taps an iteration of that loop sums, unrolled."""


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["values"],
    meta_fields=["channels", "form"],
)
@dataclass(frozen=True)
class Rows:
    """An image in one of three forms, with the helpers that elementwise code needs in each.

    A loop over `(h, w, c)` has three channels innermost, for which CPU compilers shuffle vectors; a
    loop over `(h, w * c)` has a whole row. On GPU and TPU the reshape between the two would move
    every pixel, so there an image keeps the form `(h, w, c)`.

    Attributes:
        values: `(h, w, c)`, `(h, w * c)` or `(h, c * w)`.
        channels: c.
        form: which of the three.

    >>> rows = Rows.of(jnp.arange(12).reshape(2, 2, 3), "channels")
    >>> rows.values[0].tolist(), rows.image().shape
    ([0, 3, 1, 4, 2, 5], (2, 2, 3))
    """

    values: Any
    channels: int
    form: Form = "image"

    @classmethod
    def of(cls, image: Any, form: Form = "image") -> Rows:
        """Wrap an image `(h, w, c)` and bring it to `form`."""
        channels = image.shape[2]
        if form == "image":
            return cls(image, channels)
        if form == "channels":
            image = image.swapaxes(1, 2)
        height = image.shape[0]
        values = image.reshape(height, -1)
        return cls(values, channels, form)

    @property
    def width(self) -> int:
        """The number of columns w."""
        if self.form == "image":
            return self.values.shape[1]
        return self.values.shape[1] // self.channels

    def image(self) -> Any:
        """Return the image `(h, w, c)`."""
        if self.form == "image":
            return self.values
        height = self.values.shape[0]
        if self.form == "pixels":
            return self.values.reshape(height, self.width, self.channels)
        by_channel = self.values.reshape(height, self.channels, self.width)
        return by_channel.swapaxes(1, 2)

    def channels_first(self) -> Any:
        """Return the image as `(c, h, w)`."""
        if self.form == "channels":
            by_channel = self.values.reshape(-1, self.channels, self.width)
            return by_channel.swapaxes(0, 1)
        return jnp.moveaxis(self.image(), 2, 0)

    def to(self, form: Form) -> Rows:
        """Return the same image in another form."""
        if self.form == form:
            return self
        return Rows.of(self.image(), form)

    def with_values(self, values: Any) -> Rows:
        """Return rows of the same form with other values."""
        return Rows(values, self.channels, self.form)

    def per_channel(self, values: Any) -> Any:
        """Repeat one value, or one for each channel, so that it broadcasts with the rows."""
        if values.size == 1:
            # a scalar: XLA stores a constant of one number instead of a row
            return values.reshape(())
        if self.form == "image":
            return values
        width = self.values.shape[1] // self.channels
        if self.form == "pixels":
            return np.tile(values, width)
        return np.repeat(values, width)

    def per_column(self, values: jax.Array) -> jax.Array:
        """Repeat a value for each of w columns, so that it broadcasts with one row."""
        if self.form == "image":
            return values[:, None]
        if self.form == "pixels":
            shape = (self.width, self.channels)
            values = values[:, None]
        else:
            shape = (self.channels, self.width)
        return jnp.broadcast_to(values, shape).reshape(-1)

    def per_row(self, values: jax.Array) -> jax.Array:
        """Reshape a value for each of h rows, so that it broadcasts with the rows."""
        ones = [1] * (self.values.ndim - 1)
        return values.reshape(-1, *ones)

    def gray_to(self, channels: int) -> Rows:
        """Repeat the one channel of a gray image."""
        if channels == self.channels:
            return self
        image = self.image()
        height, width, _ = image.shape
        repeated = jnp.broadcast_to(image, (height, width, channels))
        return Rows.of(repeated, self.form)


class Passes(NamedTuple):
    """The tap tables that one segment applies to one image: at most one for each axis.

    Attributes:
        vertical, horizontal: the tap tables; None leaves the axis as it is.
        arithmetic: how both passes sum.
        vertical_first: which pass comes first; a traced scalar where the images of a plan differ.
        height: how many rows of the canvas belong to the image, a scalar; None if all do.

    >>> from jaxprep.resample.tables import resize_taps
    >>> taps = resize_taps(4, 2, "box", True, "float")
    >>> Passes(taps, None, "float").has_traced_order
    False
    """

    vertical: Taps | None
    horizontal: Taps | None
    arithmetic: Arithmetic
    vertical_first: Any = True
    height: Any = None

    @property
    def has_traced_order(self) -> bool:
        """Whether the images of a plan differ in which pass comes first."""
        return not isinstance(self.vertical_first, (bool, np.bool_))


class Epilogue(NamedTuple):
    """What is computed on the result of the last pass before it is stored, so that one loop writes
    the result once.

    Attributes:
        compute: rounding, fills, affine steps; on `Rows` of any form.
        planar: store `(c, h, w)` instead of `(h, w, c)`.
        store: stores the image `(h, w, c)` in another way; None stores it as `planar` says.
        by_channel: `store` reads along the rows of one channel, so that an engine may compute each
            channel by itself.

    >>> double = Epilogue(lambda rows: rows.with_values(2 * rows.values), planar=True)
    >>> double.finish(Rows.of(jnp.ones((2, 4, 3)))).shape
    (3, 2, 4)
    """

    compute: Callable[[Rows], Rows]
    planar: bool = False
    store: Callable[[jax.Array], jax.Array] | None = None
    by_channel: bool = False

    @property
    def data_format(self) -> DataFormat | None:
        """How the pixels of the result lie in memory; None where `store` makes something else."""
        if self.store is not None:
            return None
        return "channels_first" if self.planar else "channels_last"

    def finish(self, rows: Rows) -> jax.Array:
        """Compute the rows and store them as an array."""
        return self.as_array(self.compute(rows))

    def as_array(self, rows: Rows) -> jax.Array:
        """Store computed rows as an array."""
        if self.store is not None:
            return self.store(rows.image())
        if self.planar:
            return rows.channels_first()
        return rows.image()


def apply_taps(
    image: jax.Array,
    taps: Taps,
    axis: int,
    arithmetic: Arithmetic,
    *,
    gather_weights: bool = False,
) -> jax.Array:
    """Compute one pass: every output is a weighted sum of `K` neighbouring inputs.

    Args:
        image: of any rank; uint8 for integer arithmetic, any dtype for a copy. Anything is summed
            in float32 where `arithmetic` is "float".
        taps: the table of the axis.
        axis: the axis of the pass (0 vertical, 1 horizontal for an image).
        arithmetic: how to sum.
        gather_weights: read the weights of a traced table by a gather. XLA:GPU makes a kernel of
            its own of each slice of such a table (26 for two passes of 13 taps, which move 18 MB at
            batch 64), and fuses a gather.

    Returns:
        the image with the axis as long as the table: of the same dtype for a copy, uint8 for
        integers, float32 for floats.

    >>> from jaxprep.resample.tables import resize_taps
    >>> taps = resize_taps(4, 2, "box", True, "pillow")
    >>> run = jax.jit(lambda row: apply_taps(row, taps, axis=1, arithmetic="integer"))
    >>> run(np.uint8([[10, 20, 30, 41]])).tolist()
    [[15, 36]]
    """
    if arithmetic == "copy":
        return take(image, taps.start, axis)
    weight = keep_int16(taps.weight)
    m, count = weight.shape
    # the weights of one tap, so that they broadcast with the image
    column = [1] * image.ndim
    column[axis] = -1
    gather_weights = gather_weights and not isinstance(taps.weight, np.ndarray)
    # Pillow starts its sums with one half, too: `ss0 = 1 << (PRECISION_BITS - 1)` in
    # https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Resample.c
    total: jax.Array = one_half(taps.shift) if arithmetic == "integer" else jnp.float32(0)
    dtype = total.dtype

    def add(k: Any, total: jax.Array) -> jax.Array:
        pixels = take(image, taps.start + k, axis).astype(dtype)
        weight_k = lax.dynamic_index_in_dim(weight, k, 1).astype(dtype)
        return pixels * weight_k.reshape(column) + total

    looped = looped_taps(count, arithmetic)
    if looped:
        # a loop needs its state in full, an unrolled sum broadcasts the scalar
        shape = list(image.shape)
        shape[axis] = m
        start = total + zeros_like_device(tuple(shape), dtype, image)
        total = loop_over_blocks(looped, add, start, image)
    for k in range(looped, count):  # unrolled: XLA fuses all of it into one loop over the outputs
        pixels = take(image, taps.start + k, axis).astype(dtype)
        if gather_weights:
            weight_k = _gather_column(weight, k)
        else:
            weight_k = lax.slice_in_dim(weight, k, k + 1, axis=1)
        weight_k = weight_k.astype(dtype)
        total = pixels * weight_k.reshape(column) + total
    if arithmetic == "integer":
        return to_uint8(total, taps.shift)
    return total


def _gather_column(table: jax.Array, k: int) -> jax.Array:
    """Column `k` of a table `(m, taps)`, by a gather of single numbers."""
    # an index that is computed: XLA makes a slice again of one that is a constant
    shape = (table.shape[0], 2)
    is_row = lax.broadcasted_iota(jnp.int32, shape, 1) == 0
    row = lax.broadcasted_iota(jnp.int32, shape, 0)
    column = jnp.full(shape, jnp.int32(k))
    index = lax.select(is_row, row, column)
    numbers = lax.GatherDimensionNumbers(
        offset_dims=(),
        collapsed_slice_dims=(0, 1),
        start_index_map=(0, 1),
    )
    return lax.gather(table, index, numbers, (1, 1), mode="promise_in_bounds")


def looped_taps(count: int, arithmetic: Arithmetic) -> int:
    """Return how many of `count` taps are summed in a loop over blocks; the others are unrolled.

    >>> looped_taps(100, "integer"), looped_taps(170, "integer")
    (0, 160)
    """
    bound = UNROLLED_FLOATS if arithmetic == "float" else UNROLLED_TAPS
    if count <= bound:
        return 0
    blocks = count // TAPS_PER_BLOCK
    return blocks * TAPS_PER_BLOCK


def loop_over_blocks(
    count: int,
    add: Callable[[Any, jax.Array], jax.Array],
    total: jax.Array,
    like: jax.Array,
) -> jax.Array:
    """Compute `total = add(k, total)` for `k < count`, in a loop over blocks of taps.

    Args:
        count: a multiple of `TAPS_PER_BLOCK`.
        like: the image, whose mesh the loop runs on.

    >>> zero = jnp.float32(0)
    >>> loop_over_blocks(32, lambda k, total: total + k, zero, like=zero).item()
    496.0
    """

    def add_block(i: Any, total: jax.Array) -> jax.Array:
        for j in range(TAPS_PER_BLOCK):
            k = i * TAPS_PER_BLOCK + j
            total = add(k, total)
        return total

    blocks = count // TAPS_PER_BLOCK
    with on_mesh_of(like):
        return lax.fori_loop(0, blocks, add_block, total)


def take(image: jax.Array, start: Any, axis: int) -> jax.Array:
    """Gather the pixels at `start` along an axis.

    >>> take(jnp.array([[5, 6, 7]]), np.array([2, 0]), axis=1).tolist()
    [[7, 5]]
    """
    # `jnp.take` is jitted: inside a computation that is not inlined it becomes a call, which
    # XLA:CPU does not fuse. One gather to `(out, K)` and a reduction would be 70 times slower than
    # a gather per tap.
    other_axes = (*range(axis), *range(axis + 1, image.ndim))
    size = list(image.shape)
    size[axis] = 1
    numbers = lax.GatherDimensionNumbers(
        offset_dims=other_axes,
        collapsed_slice_dims=(axis,),
        start_index_map=(axis,),
    )
    index = jnp.asarray(start.reshape(-1, 1))
    # in bounds, as `tables.fit` made the table: no clamp for each index
    return lax.gather(image, index, numbers, size, mode="promise_in_bounds")


def keep_int16(weight: Any) -> jax.Array:
    """Return the weights, kept by XLA in 16 bits if they are int16.

    >>> keep_int16(np.ones((2, 3), np.int16)).dtype
    dtype('int16')
    """
    weight = jnp.asarray(weight)
    if weight.dtype != jnp.int16:
        return weight
    # Without the barrier XLA widens a constant table to int32 ahead of time. Weights of 16 bits
    # multiply in one instruction on CPU (`vpmaddwd`), those of 32 bits in two: 512x512 bilinear
    # takes 0.37 instead of 0.44 ms on a core.
    return lax.optimization_barrier(weight)


def one_half(shift: Any) -> jax.Array:
    """Return one half as an int32 with `shift` fractional bits: added to a sum, it makes a shift
    round.

    >>> one_half(22).item()
    2097152
    """
    one = jnp.int32(1)
    if isinstance(shift, (int, np.integer)):
        return jnp.int32(1 << (int(shift) - 1))
    return lax.shift_left(one, shift - one)


def to_uint8(total: jax.Array, shift: Any) -> jax.Array:
    """Shift an int32 sum with `shift` fractional bits to an integer, and clip it to uint8.

    `clip8` of Pillow's Resample.c, which looks the clipped value up in a table.

    >>> to_uint8(jnp.array([-512, 512, 1 << 20]), 8).tolist()
    [0, 2, 255]
    """
    bits = jnp.broadcast_to(jnp.asarray(shift, jnp.int32), total.shape)
    # arithmetic: the sign of a negative sum is kept, and rounds down, as `>>` does in C
    shifted = lax.shift_right_arithmetic(total, bits)
    # `lax.clamp`, as `jnp.clip` is jitted: see `take`
    clipped = lax.clamp(jnp.int32(0), shifted, jnp.int32(255))
    return clipped.astype(jnp.uint8)


def round_to(image: jax.Array, dtype: Any) -> jax.Array:
    """Round half to even and saturate, as Keras does on the way back to an integer dtype.

    A floating point `dtype` is converted to: a resize to the same size sums nothing, so that its
    integers are still integers.

    https://github.com/keras-team/keras/blob/master/keras/src/layers/preprocessing/image_preprocessing/resizing.py

    >>> round_to(jnp.array([0.5, 1.5, 300.0]), jnp.uint8).tolist()
    [0, 2, 255]
    """
    if jnp.issubdtype(dtype, jnp.floating):
        return image.astype(dtype)
    if dtype == jnp.bool_:
        return jnp.round(image) != 0
    info = jnp.iinfo(dtype)
    lowest = jnp.float32(info.min)
    highest = np.float32(info.max)
    if info.bits == 32:
        # the largest int32 is no float32: the next one below it is
        highest = np.nextafter(highest, np.float32(0))
    rounded = lax.round(image, lax.RoundingMethod.TO_NEAREST_EVEN)
    clipped = lax.clamp(lowest, rounded, jnp.float32(highest))
    return clipped.astype(dtype)


def zeros_like_device(shape: tuple[int, ...], dtype: Any, like: jax.Array) -> jax.Array:
    """Make zeros of `shape`, the initial state of a loop over `like`.

    >>> zeros_like_device((2,), jnp.int32, jnp.ones((1, 1, 3))).tolist()
    [0, 0]
    """
    # Under `shard_map` and on explicit meshes the state of a loop must vary over the mesh as `like`
    # does: plain `jnp.zeros` does not, and JAX refuses it. A comparison, as NaN * 0 is not 0.
    start = [0] * like.ndim
    end = [1] * like.ndim
    pixel = lax.slice(like, start, end).reshape(())
    never = (pixel < pixel).astype(dtype)
    return lax.broadcast(never, shape)


def on_mesh_of(like: jax.Array) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which a loop over a sharded array is traced.

    >>> with on_mesh_of(jnp.zeros(3)):
    ...     total = lax.fori_loop(0, 3, lambda k, total: total + k, 0)
    """
    # in a loop under `vmap` JAX 0.10 forgets the explicit mesh of the arrays, and refuses the loop
    mesh = jax.typeof(like).sharding.mesh
    if mesh.empty:
        return contextlib.nullcontext()
    return jax.sharding.use_abstract_mesh(mesh)
