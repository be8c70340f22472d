"""The engine for CPU: pixels stay in the cache of a core, and inner loops run along memory.

What XLA:CPU needs, and what it costs without:

* The two passes must not fuse: XLA recomputes the first pass for every tap of the second (2 to 4
  times slower, 20 to 40 times for ragged batches). See `no_inline`.
* The horizontal pass must not gather along a row: LLVM then builds each vector byte by byte (105
  `vpinsrb` for 10 multiplications). A block of rows is transposed, summed along contiguous
  columns, and transposed back.
* A batch whose blocks outgrow the cache goes image by image (64 images of 512x512: 0.88 ms an image
  at once, 0.55 in turn).

Measured on one core of a Xeon with AVX-512; `benchmarks/` and `docs` have the tables.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.experimental.xla_metadata import set_xla_metadata

from jaxprep.resample.engines.plain import (
    Run,
    constant_run,
    copy_pixels,
    in_either_order,
)
from jaxprep.resample.passes import (
    Arithmetic,
    DataFormat,
    Epilogue,
    Form,
    Passes,
    Rows,
    apply_taps,
    keep_int16,
    loop_over_blocks,
    looped_taps,
    on_mesh_of,
    one_half,
    take,
    to_uint8,
    zeros_like_device,
)
from jaxprep.resample.tables import Taps

CACHE_BYTES = 2**19
"""The images of a batch that are computed at once transpose at most so many bytes together: there
is room for them twice, and for what comes of them, in the cache of a core."""
BLOCK_BYTES = 2**16
"""An image transposes about so many bytes at a time: each call of a computation costs time, and
more bytes leave the cache (photographs of different sizes under AVX2, in a virtual machine: 0.77 ms
an image, 0.80 with four times as many)."""

ALIGNMENT = 64
"""JAX reads an array of NumPy in place where it begins at a multiple of so many bytes."""
FLOAT32 = np.dtype(np.float32)


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["image", "index"],
    meta_fields=["top", "left", "height", "width"],
)
@dataclass(frozen=True)
class ImageView:
    """A window of an image, or of one image of a stack, that has not been cut out yet.

    Each block of rows is sliced where it is used: a window that is cut out beforehand is written to
    memory once more.

    Attributes:
        image: `(h, w, c)`, or a stack of images `(b, h, w, c)`.
        index: which image of the stack, an integer scalar that may be traced.
        top, left, height, width: the window.

    >>> view = ImageView.of(jnp.arange(24).reshape(4, 3, 2)).window(0, 1, 2)
    >>> view.shape, view.rows(1, 1).tolist()
    ((2, 3, 2), [[12, 13, 14, 15, 16, 17]])
    """

    image: Any
    index: Any
    top: int
    left: int
    height: int
    width: int

    @classmethod
    def of(cls, image: Any, index: Any = None) -> ImageView:
        """Returns a view of all of an image, or of image `index` of a stack."""
        height, width = image.shape[-3:-1]
        return cls(image, index, 0, 0, height, width)

    @property
    def channels(self) -> int:
        return self.image.shape[-1]

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels

    @property
    def dtype(self) -> Any:
        return self.image.dtype

    def window(self, axis: int, start: int, length: int) -> ImageView:
        """Returns the window of this view from `start` on, along an axis (0 rows, 1 columns)."""
        if axis == 0:
            return replace(self, top=self.top + start, height=length)
        return replace(self, left=self.left + start, width=length)

    def rows(self, start: Any, count: int) -> jax.Array:
        """Returns rows `start` to `start + count`, `(count, width * c)`; `start` may be traced."""
        offset = (self.top + start, self.left, 0)
        size = (count, self.width, self.channels)
        if self.index is None:
            rows = lax.dynamic_slice(self.image, offset, size)
            return rows.reshape(count, -1)
        rows = lax.dynamic_slice(self.image, (self.index, *offset), (1, *size))
        return rows[0].reshape(count, -1)

    def pixels(self) -> jax.Array:
        """Returns the window as an array `(height, width, c)`."""
        image = self.image
        if self.index is not None:
            image = lax.dynamic_index_in_dim(image, self.index, 0, keepdims=False)
        if image.shape[:2] == (self.height, self.width):
            return image
        bottom = self.top + self.height
        right = self.left + self.width
        return image[self.top : bottom, self.left : right]


@dataclass(frozen=True)
class CpuEngine:
    """Runs segments on CPU.

    Attributes:
        concurrent: how many images are computed at once and share the cache; None if not known.
        is_single: there is no batch axis: only the image's own rows are computed, and `lax.cond` is
            a branch. Under `vmap` it would compute both sides, so it is False for one image inside
            of a caller's `jit`, which may stand inside of his `vmap`.
        buffer: results of several images, into which the program's result is written; None makes a
            new array.
        index: which of them it is.

    >>> from jaxprep.resample.tables import resize_taps
    >>> taps = resize_taps(4, 2, "bilinear", True, "pillow")
    >>> passes = Passes(taps, taps, "integer", vertical_first=False)
    >>> image = jnp.full((4, 4, 3), 7, jnp.uint8)
    >>> CpuEngine().run_segment(image, passes, PLAIN_STORE, is_last=True)[0, 0].tolist()
    [7, 7, 7]
    """

    concurrent: int | None = None
    is_single: bool = False
    buffer: Any = None
    index: Any = None

    def pixels(self, image: jax.Array | ImageView) -> jax.Array:
        """Returns the array of an image."""
        if isinstance(image, ImageView):
            return image.pixels()
        return image

    def run_segment(
        self,
        image: jax.Array | ImageView,
        passes: Passes,
        epilogue: Epilogue,
        is_last: bool,
    ) -> jax.Array:
        """Computes both passes of one image and stores what the epilogue makes of them.

        Args:
            is_last: whether the result is the program's, which goes to `buffer`.
        """
        new_array = replace(self, buffer=None)
        engine = self if is_last else new_array
        if passes.arithmetic == "copy":
            return engine.copy_segment(self.pixels(image), passes, epilogue)
        if not passes.has_traced_order:
            return engine.run_passes(image, passes, epilogue)
        if not self.is_single:
            run = functools.partial(new_array.run_passes, epilogue=PLAIN_STORE)
            resized = in_either_order(self.pixels(image), passes, run)
            return engine.store(_as_pixels, resized, epilogue=epilogue)
        branch = functools.partial(new_array.run_passes, image, epilogue=epilogue)
        result = lax.cond(
            passes.vertical_first,
            lambda: branch(passes._replace(vertical_first=True)),
            lambda: branch(passes._replace(vertical_first=False)),
        )
        if engine.buffer is None:
            return result
        return engine.store_result(result, epilogue)

    def copy_segment(
        self,
        image: jax.Array,
        passes: Passes,
        epilogue: Epilogue,
    ) -> jax.Array:
        """Runs a segment that only copies pixels: the crops that are known are slices."""
        image, vertical = _slice_run(image, passes.vertical, 0)
        image, horizontal = _slice_run(image, passes.horizontal, 1)

        def compute(
            image: jax.Array,
            vertical: Taps | None,
            horizontal: Taps | None,
        ) -> Rows:
            moved = passes._replace(vertical=vertical, horizontal=horizontal)
            return _as_pixels(copy_pixels(image, moved))

        return self.store(compute, image, vertical, horizontal, epilogue=epilogue)

    def run_passes(
        self,
        image: jax.Array | ImageView,
        passes: Passes,
        epilogue: Epilogue,
    ) -> jax.Array:
        """Both passes in an order that is known, each a computation of its own."""
        view = image if isinstance(image, ImageView) else ImageView.of(image)
        view, vertical = _trim(view, passes.vertical, 0)
        view, horizontal = _trim(view, passes.horizontal, 1)
        is_by_channel = epilogue.planar or epilogue.by_channel
        form: Form = "channels" if is_by_channel else "pixels"
        arithmetic = passes.arithmetic
        if vertical is None and horizontal is None:
            return self.store(_as_pixels, view.pixels(), epilogue=epilogue)
        if horizontal is None:
            rows = _as_pixels(view.pixels())
            return self.store(vertical_pass(arithmetic), rows, vertical, epilogue=epilogue)
        if vertical is None or not passes.vertical_first:
            knows_height = self.is_single and arithmetic == "integer"
            height = passes.height if knows_height else None
            rows = self.horizontal_pass(view, horizontal, arithmetic, form, height)
            if vertical is None:
                return self.store(_identity, rows, epilogue=epilogue)
            return self.store(vertical_pass(arithmetic), rows, vertical, epilogue=epilogue)
        if arithmetic == "float" and len(vertical.weight) >= lanes_of(FLOAT32):
            values = self.float_passes(view, vertical, horizontal, form)
            rows = Rows(values, view.channels, form)
            return self.store(_identity, rows, epilogue=epilogue)
        rows = _as_pixels(view.pixels())
        rows = rows_no_inline(vertical_pass(arithmetic), rows, vertical)
        between = ImageView.of(rows.image())
        rows = self.horizontal_pass(between, horizontal, arithmetic, form)
        return self.store(_identity, rows, epilogue=epilogue)

    def store(
        self,
        compute: Callable[..., Rows],
        *args: Any,
        epilogue: Epilogue,
    ) -> jax.Array:
        """Computes `compute(*args)` and its epilogue in one loop, which writes the result into a
        new array or into `buffer`; then it returns the buffer.

        What a layout of another shape stores is finished before: fused with it, the last pass is
        computed value by value (Qwen2-VL's patches of 480 x 640: 23 ms, and 0.8 ms apart).
        """
        layout = epilogue.store
        if layout is not None:
            rows = rows_no_inline(lambda *args: epilogue.compute(compute(*args)), *args)
            result = no_inline(lambda rows: layout(rows.image()), rows)
            return result if self.buffer is None else self.store_result(result, epilogue)
        shape: tuple[int, ...] = ()

        def body(buffer: Any, *args: Any) -> jax.Array:
            nonlocal shape
            with inline_again():
                rows = epilogue.compute(compute(*args))
                result = epilogue.as_array(rows)
            shape = result.shape
            values = result.reshape(stored_shape(shape, epilogue.data_format))
            if buffer is None:
                return values
            return self._write(buffer, values)

        result = no_inline(body, self.buffer, *args)
        if self.buffer is None:
            return as_result(result, shape, epilogue.data_format)
        return result

    def store_result(self, result: jax.Array, epilogue: Epilogue) -> jax.Array:
        """Writes a finished result into `buffer`."""
        shape = stored_shape(result.shape, epilogue.data_format)
        return self._write(self.buffer, result.reshape(shape))

    def _write(self, buffer: jax.Array, values: jax.Array) -> jax.Array:
        """Writes one image's result at `index` of a buffer of several."""
        zeros = [0] * values.ndim
        offset = (self.index, *zeros)
        return lax.dynamic_update_slice(buffer, values[None], offset)

    def horizontal_pass(
        self,
        view: ImageView,
        taps: Taps,
        arithmetic: Arithmetic,
        form: Form = "pixels",
        height: Any = None,
    ) -> Rows:
        """Computes the horizontal pass, a block of rows after the other, so that what is between
        the transpositions stays in the cache.

        Args:
            view: uint8 for integer arithmetic.
            form: of the result.
            height: how many rows to compute, at most those of the view; may be traced. None
                computes all.

        Returns:
            rows `(height, m * c)`, uint8 or float32; zeros below the last block of `height`.
        """
        rows, _, channels = view.shape
        lanes = lanes_of(view.dtype)
        if rows < lanes:
            plain_pass = _plain_pass(arithmetic, form)
            return rows_no_inline(plain_pass, view.pixels(), taps)
        groups = self._groups_of_rows(view)
        block = groups * lanes
        table = _taps_of_numbers(taps, channels, form)
        sum_columns = _sum_columns(channels, arithmetic)

        def add_block(i: Any, done: jax.Array) -> jax.Array:
            # the last block may repeat rows of the one before
            start = jnp.minimum(i * block, rows - block)
            lines = view.rows(start, block).reshape(groups, lanes, -1)
            columns = no_inline(_transpose, lines)
            sums = no_inline(sum_columns, columns, table)
            return no_inline(_write_rows, done, sums, start)

        count = rows if height is None else height
        blocks = (count + block - 1) // block
        dtype = jnp.uint8 if arithmetic == "integer" else jnp.float32
        shape = (rows, len(taps.weight) * channels)
        empty = zeros_like_device(shape, dtype, view.image)
        with on_mesh_of(view.image):
            values = lax.fori_loop(0, blocks, add_block, empty)
        return Rows(values, channels, form)

    def _most_groups(self, width: int, channels: int, dtype: Any) -> int:
        """At most how many groups of `lanes_of(dtype)` rows of an image are transposed at once."""
        if self.concurrent is None:
            return 1
        bytes_of_group = transposed_bytes(width, channels, dtype)
        return max(BLOCK_BYTES // (bytes_of_group * self.concurrent), 1)

    def _groups_of_rows(self, view: ImageView) -> int:
        """How many groups of rows a block of the horizontal pass has, so that its blocks are about
        equally large and the last one begins within the image."""
        rows, width, channels = view.shape
        lanes = lanes_of(view.dtype)
        most_rows = lanes * self._most_groups(width, channels, view.dtype)
        blocks = _ceil_div(rows, most_rows)
        if rows % lanes:
            blocks = max(blocks, 2)
        groups = _ceil_div(rows, lanes * blocks)
        return min(groups, rows // lanes)

    def float_passes(
        self,
        view: ImageView,
        vertical: Taps,
        horizontal: Taps,
        form: Form,
    ) -> jax.Array:
        """Both passes in float32, vertical first, a block of result rows after the other: rows
        `(m, n * c)`.

        What is between the passes is as wide as the source; computed block by block it stays in the
        cache, and no page of it is new to the process.
        """
        m = len(vertical.weight)
        n = len(horizontal.weight)
        channels = view.channels
        lanes = lanes_of(FLOAT32)
        most_groups = self._most_groups(view.width, channels, FLOAT32)
        block = lanes * min(most_groups, m // lanes)
        blocks = _ceil_div(m, block)
        start = jnp.asarray(vertical.start)
        weight = jnp.asarray(vertical.weight)
        table = _taps_of_numbers(horizontal, channels, form)
        sum_columns = _sum_columns(channels, "float")
        source = view.pixels().reshape(view.height, -1)

        def down(source: jax.Array, taps: Taps) -> jax.Array:
            return apply_taps(source, taps, 0, "float")

        def add_block(i: Any, done: jax.Array) -> jax.Array:
            # a last block that would exceed the result begins earlier: dynamic_slice clamps
            starts = lax.dynamic_slice_in_dim(start, i * block, block, 0)
            weights = lax.dynamic_slice_in_dim(weight, i * block, block, 0)
            taps = Taps(starts, weights, np.int32(0))
            rows = no_inline(down, source, taps)
            lines = rows.reshape(-1, lanes, rows.shape[1])
            columns = no_inline(_transpose, lines)
            sums = no_inline(sum_columns, columns, table)
            return no_inline(_write_rows, done, sums, i * block)

        empty = zeros_like_device((m, n * channels), jnp.float32, view.image)
        with on_mesh_of(view.image):
            return lax.fori_loop(0, blocks, add_block, empty)

    # -- batches -----------------------------------------------------------------------------------

    def map_images(
        self,
        run: Run,
        images: jax.Array,
        tables: Any,
        arithmetics: set[str],
        data_format: DataFormat | None,
    ) -> jax.Array:
        """Runs `run(engine, image, tables of the image)` on each image of a batch `(b, h, w, c)`.

        A batch whose blocks outgrow the cache goes a few images at a time, and one with tables of
        its own for each image goes image by image. The loop is not over the batch itself, but over
        what each of `count` equal parts of it has, so that a sharded batch stays where it is.

        Args:
            tables: a pytree with a leading batch axis, or without leaves.
            arithmetics: of all passes, and "branches" where `run` branches on numbers of an image:
                under `vmap` all branches are computed (RandAugment: 28.7 ms an image of 224 x 224,
                and 0.3 ms one by one).
            data_format: of the results; None where they are no images.
        """
        mesh = jax.typeof(images).sharding.mesh
        devices = 1 if mesh.are_all_axes_manual else _cpu_count()
        is_uniform = not jax.tree.leaves(tables)
        count = _images_at_once(images, arithmetics, is_uniform, devices)
        concurrent = max(count // devices, 1) if isinstance(count, int) else None
        engine = CpuEngine(concurrent=concurrent)
        if count != images.shape[0]:
            return _loop_over_images(engine, run, images, tables, count, data_format)

        def run_image(image: jax.Array, tables: Any) -> jax.Array:
            return run(engine, ImageView.of(image), tables)

        return jax.vmap(run_image)(images, tables)

    def map_in_turn(
        self,
        run: Run,
        images: jax.Array,
        tables: Any,
        data_format: DataFormat | None,
    ) -> jax.Array:
        """Runs `run` on each image of a batch on one device, one after the other; see
        `map_images`."""
        return _loop_over_images(self, run, images, tables, 1, data_format)


def _cpu_count() -> int:
    """How many CPU devices there are; 1 where JAX has none, and yet traces what would run there."""
    try:
        return jax.device_count("cpu")
    except RuntimeError:  # JAX_PLATFORMS=cuda
        return 1


PLAIN_STORE = Epilogue(lambda rows: rows)
"""Stores the image as it is."""


def _identity(rows: Rows) -> Rows:
    return rows


def _as_pixels(image: jax.Array) -> Rows:
    return Rows.of(image, "pixels")


def vertical_pass(arithmetic: Arithmetic) -> Callable[[Rows, Taps], Rows]:
    """Returns the vertical pass over rows: contiguous already, so the plain form.

    >>> from jaxprep.resample.tables import copy_taps
    >>> rows = Rows(jnp.arange(6).reshape(3, 2), 1, "pixels")
    >>> vertical_pass("copy")(rows, copy_taps(np.array([2]))).values.tolist()
    [[4, 5]]
    """

    def compute(rows: Rows, taps: Taps) -> Rows:
        values = apply_taps(rows.values, taps, 0, arithmetic)
        return rows.with_values(values)

    return compute


def _trim(
    view: ImageView,
    taps: Taps | None,
    axis: int,
) -> tuple[ImageView, Taps | None]:
    """Leaves out the rows or columns that no tap of a known table reads."""
    if taps is None or not isinstance(taps.start, np.ndarray):
        return view, taps
    first = int(taps.start.min())
    last_start = int(taps.start.max())
    end = last_start + taps.weight.shape[1]
    moved = taps._replace(start=taps.start - np.int32(first))
    return view.window(axis, first, end - first), moved


def _slice_run(
    image: jax.Array,
    taps: Taps | None,
    axis: int,
) -> tuple[jax.Array, Taps | None]:
    """Slices an axis whose table is known to copy consecutive pixels: then no table is left."""
    start = None if taps is None else constant_run(taps)
    if taps is None or start is None:
        return image, taps
    end = start + len(taps.start)
    return lax.slice_in_dim(image, start, end, axis=axis), None


# -- computations of their own ---------------------------------------------------------------------


def no_inline(function: Callable[..., Any], *args: Any) -> Any:
    """Calls `function` as an XLA computation that is not inlined, so that it does not fuse with
    what precedes it.

    `lax.optimization_barrier` does not prevent that; this does, also under `vmap`, `grad`, sharding
    and export. A jitted function that `function` calls (as many of `jax.numpy` are) is not inlined
    either, unless `function` calls it under `inline_again()`. For CPU only: XLA:GPU fuses nothing
    inside such a computation.

    >>> no_inline(lax.neg, jnp.array([1, -2])).tolist()
    [-1, 2]
    """
    is_true = _is_true.get()
    if is_true is not None:
        shapes = jax.eval_shape(function, *args)
        zeros = functools.partial(jax.tree.map, lambda leaf: jnp.zeros(leaf.shape, leaf.dtype))
        return lax.cond(is_true, function, lambda *_: zeros(shapes), *args)
    with set_xla_metadata(inlineable="false"):
        return jax.jit(function)(*args)


_is_true: ContextVar[Any] = ContextVar("_is_true", default=None)
"""In a program for a symbolic number of images, a value that is always true, which XLA does not
know; None otherwise. To refine the shapes of such a program XLA inlines every call, also those that
it must not; branches it leaves where they are.
https://github.com/openxla/xla/blob/main/xla/python/refine_polymorphic_shapes.cc
"""


@contextlib.contextmanager
def _branches_for_calls(images: jax.Array) -> Iterator[None]:
    """Lets `no_inline` branch instead of call, where the number of images is symbolic."""
    if isinstance(images.shape[0], int):
        yield
        return
    first = images[(0,) * images.ndim].astype(jnp.float32)
    bits = lax.bitcast_convert_type(first, jnp.int32)
    token = _is_true.set((bits & 1) < 2)
    try:
        yield
    finally:
        _is_true.reset(token)


def inline_again() -> contextlib.AbstractContextManager[Any]:
    """Lets what is called inside a computation of its own be inlined into it.

    >>> with inline_again():
    ...     jnp.add(1, 2).item()
    3
    """
    return set_xla_metadata(inlineable=None)


def rows_no_inline(compute: Callable[..., Rows], *args: Any) -> Rows:
    """Computes the rows `compute(*args)` in a computation of their own, with those of one image of
    a batch next to each other.

    XLA would lay gathered rows of a batch out row by row instead of image by image, and copy them
    afterwards. A layout passes from a result to what it is made of, unless a reshape stands
    between.

    >>> rows_no_inline(_as_pixels, jnp.ones((2, 3, 3))).values.shape
    (2, 9)
    """

    def body(*args: Any) -> Rows:
        with inline_again():
            rows = compute(*args)
        height, n = rows.values.shape
        values = rows.values.reshape(height, *_factors(n))
        return rows.with_values(values)

    rows = no_inline(body, *args)
    height = len(rows.values)
    values = rows.values.reshape(height, -1)
    return rows.with_values(values)


def stored_shape(
    shape: tuple[int, ...],
    data_format: DataFormat | None,
) -> tuple[int, ...]:
    """Returns a shape of as many numbers in the same order as a result of `shape`, whose order XLA
    keeps.

    >>> stored_shape((8, 4, 3), "channels_last")
    (8, 2, 6)
    """
    if data_format == "channels_first":
        channels, height, width = shape
        return channels * height, width
    if data_format == "channels_last":
        height, width, channels = shape
        return height, *_factors(width * channels)
    return shape


def as_result(
    values: jax.Array,
    shape: tuple[int, ...],
    data_format: DataFormat | None,
) -> jax.Array:
    """Reshapes what has the `stored_shape` to the result's `shape`.

    >>> as_result(jnp.ones((8, 2, 6)), (8, 4, 3), "channels_last").shape
    (8, 4, 3)
    """
    if data_format == "channels_last":
        # by way of rows: on an explicit mesh a reshape merges axes or splits one, not both
        values = values.reshape(shape[0], -1)
    return values.reshape(shape)


def _factors(n: int) -> tuple[int, int]:
    """A small prime factor of `n` and what it leaves: 1 and `n` where there is none."""
    for prime in (2, 3, 5, 7):
        if n % prime == 0:
            return prime, n // prime
    return 1, n


def _ceil_div(n: int, divisor: int) -> int:
    return -(-n // divisor)


# -- the horizontal pass ---------------------------------------------------------------------------


def lanes_of(dtype: Any) -> int:
    """Returns how many rows are transposed together: as many as fill the processor's vectors.

    >>> lanes_of(np.dtype(np.uint8)), lanes_of(np.dtype(np.float32))
    (16, 8)
    """
    # measured: 16 rows of bytes fill a 128-bit unpack; 4, 32 and 64 rows were slower
    return 16 if dtype.itemsize == 1 else 8


def transposed_bytes(width: int, channels: int, dtype: Any) -> int:
    """Returns how many bytes an image transposes at once, at least.

    >>> transposed_bytes(512, 3, np.dtype(np.uint8))
    24576
    """
    bytes_of_row = width * channels * dtype.itemsize
    return lanes_of(dtype) * bytes_of_row


def _write_rows(done: jax.Array, lines: jax.Array, start: Any) -> jax.Array:
    """Writes groups of lines `(g, l, n)` from row `start` on."""
    rows = lines.reshape(-1, done.shape[1])
    return lax.dynamic_update_slice_in_dim(done, rows, start, 0)


def _transpose(lines: jax.Array) -> jax.Array:
    """Transposes groups of lines `(g, l, n)` to columns `(g, n, l)`.

    This and the transposition back must be copies of their own: XLA's copy transposes bytes with
    the processor's instructions (11 to 22 GB/s); fused with what reads them, it goes number by
    number.
    """
    return lines.swapaxes(1, 2)


def _plain_pass(
    arithmetic: Arithmetic,
    form: Form,
) -> Callable[[jax.Array, Taps], Rows]:
    """The horizontal pass in its plain form, for few rows."""

    def compute(image: jax.Array, taps: Taps) -> Rows:
        values = apply_taps(image, taps, 1, arithmetic)
        return Rows.of(values, form)

    return compute


def _taps_of_numbers(taps: Taps, channels: int, form: Form) -> Taps:
    """A table of pixels as one of the numbers of a row: `m * c` outputs, whose taps are `c` numbers
    from each other."""
    count = taps.weight.shape[1]
    first_number = jnp.asarray(taps.start)[:, None] * channels
    start = first_number + jnp.arange(channels, dtype=jnp.int32)
    weight = jnp.asarray(taps.weight)[:, None]
    weight = jnp.broadcast_to(weight, (*start.shape, count))
    if form == "channels":
        start = start.swapaxes(0, 1)
        weight = weight.swapaxes(0, 1)
    start = start.reshape(-1)
    weight = weight.reshape(-1, count)
    return Taps(start, weight, taps.shift)


def _sum_columns(
    channels: int,
    arithmetic: Arithmetic,
) -> Callable[[jax.Array, Taps], jax.Array]:
    """Sums groups of columns `(g, w * c, l)` to lines `(g, l, m * c)`: `apply_taps` with taps `c`
    numbers apart, by a table of `_taps_of_numbers`, and the transposition back."""

    def compute(columns: jax.Array, taps: Taps) -> jax.Array:
        start = taps.start
        weight = keep_int16(taps.weight)
        m, count = weight.shape
        groups, n, lanes = columns.shape
        total: jax.Array = one_half(taps.shift) if arithmetic == "integer" else jnp.float32(0)
        dtype = total.dtype

        def add(k: Any, total: jax.Array) -> jax.Array:
            column = take(columns, start + k * channels, 1).astype(dtype)
            weight_k = lax.dynamic_index_in_dim(weight, k, 1).astype(dtype)
            return column * weight_k + total

        looped = looped_taps(count, arithmetic)
        if looped:
            zeros = zeros_like_device((groups, m, lanes), dtype, columns)
            total = loop_over_blocks(looped, add, total + zeros, columns)
        for k in range(looped, count):
            # shift the slice and keep the index: one address per window instead of one per tap
            first = k * channels
            taps_after = count - 1 - k
            end = n - taps_after * channels
            shifted = lax.slice_in_dim(columns, first, end, axis=1)
            column = take(shifted, start, 1).astype(dtype)
            weight_k = lax.slice_in_dim(weight, k, k + 1, axis=1).astype(dtype)
            total = column * weight_k + total
        if arithmetic == "integer":
            total = to_uint8(total, taps.shift)
        return total.swapaxes(1, 2)

    return compute


# -- batches ---------------------------------------------------------------------------------------


def _images_at_once(
    images: jax.Array,
    arithmetics: set[str],
    is_uniform: bool,
    devices: int,
) -> int:
    """How many images of a batch go at once: all if what they transpose fits the cache, else few,
    as many on each device."""
    count, _, width, channels = images.shape
    if arithmetics == {"copy"}:
        return count
    if not isinstance(count, int):
        # Symbolic, in an export. One by one, as eager calls do: of a whole batch XLA fuses the
        # last multiply-add otherwise, and a fifth of the values differ in their last bit.
        return 1
    multiples = range(devices, count + 1, devices)
    divisors = [n for n in multiples if count % n == 0]
    fewest = min(divisors, default=count)
    if not is_uniform:
        return fewest
    dtype = FLOAT32 if "float" in arithmetics else images.dtype
    bytes_of_image = transposed_bytes(width, channels, dtype)
    limit = CACHE_BYTES * devices
    if count * bytes_of_image <= limit:
        return count
    fitting = [n for n in divisors if n * bytes_of_image <= limit]
    return max(fitting, default=fewest)


def _loop_over_images(
    engine: CpuEngine,
    run: Run,
    images: jax.Array,
    tables: Any,
    count: int,
    data_format: DataFormat | None,
) -> jax.Array:
    """`count` images at a time, whose results one buffer takes."""
    length = images.shape[0] // count

    def one(stack: jax.Array, tables: Any, buffer: Any, i: Any) -> jax.Array:
        tables_of_image = jax.tree.map(lambda leaf: leaf[i], tables)
        single = replace(engine, is_single=count == 1, buffer=buffer, index=i)
        return run(single, ImageView.of(stack, i), tables_of_image)

    def split(leaf: jax.Array) -> jax.Array:
        return leaf.reshape(count, length, *leaf.shape[1:])

    def restore(values: jax.Array) -> jax.Array:
        return as_result(values, shape, data_format)

    step = one
    if count > 1:
        images, tables = jax.tree.map(split, (images, tables))
        step = jax.vmap(one, (0, 0, 0, None))
    result = jax.eval_shape(step, images, tables, None, 0)
    shape = result.shape if count == 1 else result.shape[1:]
    buffer_shape = (length, *stored_shape(shape, data_format))
    make = functools.partial(zeros_like_device, buffer_shape, result.dtype)
    restore_all = jax.vmap(restore)
    if count > 1:
        make = jax.vmap(make)
        restore_all = jax.vmap(restore_all)

    def add_image(i: Any, done: jax.Array) -> jax.Array:
        return step(images, tables, done, i)

    with on_mesh_of(images), _branches_for_calls(images):
        done = lax.fori_loop(0, length, add_image, make(images))
    return restore_all(done).reshape(-1, *shape)


def new_array(shape: Sequence[int], dtype: Any, *, zeros: bool = False) -> np.ndarray:
    """Return an array that JAX takes over on CPU without a copy: at a multiple of `ALIGNMENT`.

    NumPy's own begin 16 bytes after one, where they are large: `jax.device_put` of the patches of
    16 photographs then copies 130 MB to new pages, which takes 200 ms, as long as all else.

    Do not write to it while a program may still read it, or after it was passed to JAX.

    Args:
        zeros: fill it with 0; otherwise what it holds is not defined.

    >>> new_array((2, 3), np.float32).ctypes.data % 64
    0
    """
    byte_count = math.prod(shape) * np.dtype(dtype).itemsize
    make = np.zeros if zeros else np.empty
    buffer = make(byte_count + ALIGNMENT, np.uint8)
    start = -buffer.ctypes.data % ALIGNMENT
    end = start + byte_count
    return buffer[start:end].view(dtype).reshape(shape)
