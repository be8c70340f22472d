"""One pass of a resize over one axis of an image, written in its plain form, and the values that
every engine takes.

The plain form is the definition: `sum_k take(image, start + k) * weight[:, k]`. GPUs run it as it
is (`engines/plain.py`); the engines for CPU and TPU compute the same sums in another order of
memory and equal it in every bit.
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
Form = Literal["image", "pixels", "planes"]
"""How `Rows` lie in memory: `(h, w, c)`; `(h, w * c)`, the pixels of a row one after the other
("band interleaved by pixel"); `(h, c * w)`, the channels of a row one after the other ("band
interleaved by line")."""

UNROLLED_TAPS = 160
"""More integer taps than this are summed in a loop over blocks: XLA takes seconds to compile the
unrolled sum (K = 297: 1.1 s as a loop; `benchmarks/compile_time.py` sweeps K)."""
UNROLLED_FLOATS = 48
"""The same bound for float32 sums, which wait for each other: in a loop over blocks the sums of
several columns overlap."""
TAPS_PER_BLOCK = 16


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["values"], meta_fields=["channels", "form"]
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
    """

    values: Any
    channels: int
    form: Form = "image"

    @classmethod
    def of(cls, image: Any, form: Form = "image") -> Rows:
        """Wraps an image `(h, w, c)` and brings it to `form`."""
        channels = image.shape[2]
        if form == "image":
            return cls(image, channels)
        if form == "planes":
            image = image.swapaxes(1, 2)
        return cls(image.reshape(image.shape[0], -1), channels, form)

    @property
    def width(self) -> int:
        if self.form == "image":
            return self.values.shape[1]
        return self.values.shape[1] // self.channels

    def image(self) -> Any:
        """The image `(h, w, c)`."""
        height = self.values.shape[0]
        if self.form == "image":
            return self.values
        if self.form == "pixels":
            return self.values.reshape(height, self.width, self.channels)
        return self.values.reshape(height, self.channels, self.width).swapaxes(1, 2)

    def planes(self) -> Any:
        """The image as `(c, h, w)`."""
        if self.form == "planes":
            by_channel = self.values.reshape(-1, self.channels, self.width)
            return by_channel.swapaxes(0, 1)
        return jnp.moveaxis(self.image(), 2, 0)

    def to(self, form: Form) -> Rows:
        """The same image in another form."""
        return self if self.form == form else Rows.of(self.image(), form)

    def with_values(self, values: Any) -> Rows:
        """The same form with other numbers."""
        return Rows(values, self.channels, self.form)

    def per_channel(self, values: Any) -> Any:
        """Repeats one value, or one for each channel, so that it broadcasts with the rows."""
        if values.size == 1:
            return values.reshape(())
        if self.form == "image":
            return values
        width = self.values.shape[1] // self.channels
        return np.tile(values, width) if self.form == "pixels" else np.repeat(values, width)

    def per_column(self, values: jax.Array) -> jax.Array:
        """Repeats a value for each of w columns, so that it broadcasts with one row."""
        if self.form == "image":
            return values[:, None]
        if self.form == "pixels":
            repeated = jnp.broadcast_to(values[:, None], (self.width, self.channels))
        else:
            repeated = jnp.broadcast_to(values, (self.channels, self.width))
        return repeated.reshape(-1)

    def per_row(self, values: jax.Array) -> jax.Array:
        """Reshapes a value for each of h rows, so that it broadcasts with the rows."""
        return values.reshape(-1, *[1] * (self.values.ndim - 1))

    def gray_to(self, channels: int) -> Rows:
        """Repeats the one channel of a gray image."""
        if channels == self.channels:
            return self
        image = self.image()
        return Rows.of(jnp.broadcast_to(image, (*image.shape[:2], channels)), self.form)


class Passes(NamedTuple):
    """What one segment does to the pixels of one image: at most one pass over each axis.

    Attributes:
        vertical, horizontal: the tap tables; None leaves the axis as it is.
        arithmetic: how both passes sum.
        vertical_first: which pass comes first; a traced scalar where the images of a plan differ.
        height: how many rows of the canvas belong to the image, a scalar; None if all do.
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
    """

    compute: Callable[[Rows], Rows]
    planar: bool = False
    store: Callable[[jax.Array], jax.Array] | None = None

    @property
    def form(self) -> Form | None:
        """ "pixels" where the result is `(h, w, c)`, "planes" where it is `(c, h, w)`."""
        if self.store is not None:
            return None
        return "planes" if self.planar else "pixels"

    def finish(self, rows: Rows) -> jax.Array:
        """Computes the rows and stores them as an array."""
        return self.as_array(self.compute(rows))

    def as_array(self, rows: Rows) -> jax.Array:
        """Stores computed rows as an array."""
        if self.store is not None:
            return self.store(rows.image())
        return rows.planes() if self.planar else rows.image()


def apply_taps(
    image: jax.Array,
    taps: Taps,
    axis: int,
    arithmetic: Arithmetic,
    *,
    gather_weights: bool = False,
) -> jax.Array:
    """Computes one pass: every output is a weighted sum of `K` neighbouring inputs.

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
        the image with the axis as long as the table: of its own dtype for a copy, uint8 for
        integers, float32 for floats.
    """
    if arithmetic == "copy":
        return take(image, taps.start, axis)
    weight = keep_int16(taps.weight)
    count = weight.shape[1]
    shape = (*image.shape[:axis], weight.shape[0], *image.shape[axis + 1 :])
    column = (1,) * axis + (-1,) + (1,) * (image.ndim - axis - 1)
    total: jax.Array = one_half(taps.shift) if arithmetic == "integer" else jnp.float32(0)

    def add(k: Any, total: jax.Array) -> jax.Array:
        pixels = take(image, taps.start + k, axis).astype(total.dtype)
        weight_k = lax.dynamic_index_in_dim(weight, k, 1).astype(total.dtype)
        return pixels * weight_k.reshape(column) + total

    looped = looped_taps(count, arithmetic)
    if looped:
        start = total + zeros_like_device(shape, total.dtype, image)
        total = loop_over_blocks(looped, add, start, image)
    for k in range(looped, count):  # unrolled: XLA fuses all of it into one loop over the outputs
        pixels = take(image, taps.start + k, axis).astype(total.dtype)
        weight_k = lax.slice_in_dim(weight, k, k + 1, axis=1)
        if gather_weights and not isinstance(taps.weight, np.ndarray):
            weight_k = _gather_column(weight, k)
        weight_k = weight_k.astype(total.dtype)
        total = pixels * weight_k.reshape(column) + total
    return to_uint8(total, taps.shift) if arithmetic == "integer" else total


def _gather_column(table: jax.Array, k: int) -> jax.Array:
    """Column `k` of a table `(m, taps)`, by a gather of single numbers."""
    # an index that is computed: XLA makes a slice again of one that is a constant
    shape = (table.shape[0], 2)
    is_row = lax.broadcasted_iota(jnp.int32, shape, 1) == 0
    index = lax.select(is_row, lax.broadcasted_iota(jnp.int32, shape, 0), jnp.full(shape, jnp.int32(k)))
    numbers = lax.GatherDimensionNumbers(
        offset_dims=(), collapsed_slice_dims=(0, 1), start_index_map=(0, 1)
    )
    return lax.gather(table, index, numbers, (1, 1), mode="promise_in_bounds")


def looped_taps(count: int, arithmetic: Arithmetic) -> int:
    """How many of `count` taps are summed in a loop over blocks; the others are unrolled."""
    bound = UNROLLED_FLOATS if arithmetic == "float" else UNROLLED_TAPS
    return 0 if count <= bound else count // TAPS_PER_BLOCK * TAPS_PER_BLOCK


def loop_over_blocks(
    count: int, add: Callable[[Any, jax.Array], jax.Array], total: jax.Array, like: jax.Array
) -> jax.Array:
    """Computes `total = add(k, total)` for `k < count`, in a loop over blocks of taps."""

    def add_block(i: Any, total: jax.Array) -> jax.Array:
        for j in range(TAPS_PER_BLOCK):
            total = add(i * TAPS_PER_BLOCK + j, total)
        return total

    with on_mesh_of(like):
        return lax.fori_loop(0, count // TAPS_PER_BLOCK, add_block, total)


def take(image: jax.Array, start: Any, axis: int) -> jax.Array:
    """Gathers the pixels at `start` along an axis.

    `jnp.take` would do, but it is jitted: inside a computation that is not inlined it becomes a
    call of its own, which XLA:CPU does not fuse.
    """
    axes = tuple(range(image.ndim))
    others = axes[:axis] + axes[axis + 1 :]
    size = (*image.shape[:axis], 1, *image.shape[axis + 1 :])
    numbers = lax.GatherDimensionNumbers(
        offset_dims=others, collapsed_slice_dims=(axis,), start_index_map=(axis,)
    )
    index = jnp.asarray(start.reshape(-1, 1))
    return lax.gather(image, index, numbers, size, mode="promise_in_bounds")


def keep_int16(weight: Any) -> jax.Array:
    """Keeps XLA from widening a constant table of int16 ahead of time.

    Weights of 16 bits multiply in one instruction on CPU (`vpmaddwd`), those of 32 bits in two:
    512x512 bilinear takes 0.37 instead of 0.44 ms on a core.
    """
    weight = jnp.asarray(weight)
    return lax.optimization_barrier(weight) if weight.dtype == jnp.int16 else weight


def one_half(shift: Any) -> jax.Array:
    """One half as an integer with `shift` fractional bits: added to a sum, it makes a shift
    round."""
    if isinstance(shift, (int, np.integer)):
        return jnp.int32(1 << (int(shift) - 1))
    return lax.shift_left(jnp.int32(1), shift - jnp.int32(1))


def to_uint8(total: jax.Array, shift: Any) -> jax.Array:
    """Shifts a sum with `shift` fractional bits to a whole number and clips it to uint8.

    `lax.clamp`, as `jnp.clip` is jitted (see `take`).
    """
    bits = jnp.broadcast_to(jnp.asarray(shift, jnp.int32), total.shape)
    shifted = lax.shift_right_arithmetic(total, bits)
    return lax.clamp(jnp.int32(0), shifted, jnp.int32(255)).astype(jnp.uint8)


def round_to(image: jax.Array, dtype: Any) -> jax.Array:
    """Rounds half to even and saturates, as Keras does on the way back to an integer type.

    A floating point `dtype` is converted to: a resize to the same size sums nothing, so that its
    integers are still integers.

    Keras: `keras/src/layers/preprocessing/image_preprocessing/resizing.py`.
    """
    if jnp.issubdtype(dtype, jnp.floating):
        return image.astype(dtype)
    if dtype == jnp.bool_:
        return jnp.round(image) != 0
    info = jnp.iinfo(dtype)
    # the largest int32 is no float32: the next one below it is
    top = np.nextafter(np.float32(info.max), np.float32(0)) if info.bits == 32 else info.max
    rounded = lax.round(image, lax.RoundingMethod.TO_NEAREST_EVEN)
    return lax.clamp(jnp.float32(info.min), rounded, jnp.float32(top)).astype(dtype)


def zeros_like_device(shape: tuple[int, ...], dtype: Any, like: jax.Array) -> jax.Array:
    """Makes the initial value of a loop over `like`.

    Under `shard_map` and on explicit meshes the state of a loop must vary over the mesh as `like`
    does: plain `jnp.zeros` does not, and JAX refuses it.
    """
    pixel = lax.slice(like, (0,) * like.ndim, (1,) * like.ndim).reshape(())
    never = (pixel < pixel).astype(dtype)
    return lax.broadcast(never, shape)


def on_mesh_of(like: jax.Array) -> contextlib.AbstractContextManager[Any]:
    """Names the mesh of a sharded array for a loop: in a batched loop JAX forgets it."""
    mesh = jax.typeof(like).sharding.mesh
    if mesh.empty:
        return contextlib.nullcontext()
    return jax.sharding.use_abstract_mesh(mesh)
