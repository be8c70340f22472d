"""The plain engine: the definition of a segment's two passes, and what GPUs run.

What goes in: an image `(h, w, c)`, the tables of its axes (`Passes`) and an `Epilogue`. What comes
out: the array that the epilogue stores. Each pass is one gather per tap, which XLA:GPU fuses into
one kernel together with the epilogue: 512x512 -> 224, batch 64, compiled ahead of time for an H100:
2 kernels that move 132 MB, 1.5 times what reading the input and writing the output moves. Nothing
here may keep XLA from fusing: inside a computation marked `inlineable="false"` the same code is 71
kernels and 7,666 MB, since XLA:GPU fuses nothing there.

Read `tpu.py` and `cpu.py` next, which equal it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxprep.resample.passes import (
    DataFormat,
    Epilogue,
    Passes,
    Rows,
    apply_taps,
)
from jaxprep.resample.tables import Taps


@dataclass(frozen=True)
class PlainEngine:
    """Runs segments as they are defined; the engine of every platform that has none.

    >>> from jaxprep.resample.tables import resize_taps
    >>> taps = resize_taps(4, 2, "box", True, "float")
    >>> passes = Passes(taps, taps, "float")
    >>> keep = Epilogue(compute=lambda rows: rows)
    >>> run = jax.jit(lambda image: PlainEngine().run_segment(image, passes, keep, is_last=True))
    >>> run(jnp.ones((4, 4, 3))).shape
    (2, 2, 3)
    """

    def run_segment(
        self,
        image: jax.Array,
        passes: Passes,
        epilogue: Epilogue,
        is_last: bool,
    ) -> jax.Array:
        """Compute both passes of one image `(h, w, c)` and store what the epilogue makes of
        them.

        Args:
            is_last: whether the result is the program's; other engines store that elsewhere.
        """
        del is_last
        resized = two_passes(image, passes)
        return epilogue.finish(Rows.of(resized))

    def map_images(
        self,
        run: Run,
        images: jax.Array,
        tables: Any,
        arithmetics: set[str],
        data_format: DataFormat | None,
    ) -> jax.Array:
        """Run `run(engine, image, tables of the image)` on each image of a batch
        `(b, h, w, c)`.

        Args:
            tables: a pytree whose leaves have a leading batch axis.
            arithmetics: how the passes sum; other engines choose their groups of images by it.
            data_format: of the results; None where they are no images.
        """
        del arithmetics, data_format
        # per image and `vmap`: sharding along the batch is kept, without collectives. A gather with
        # explicit batch indices all-gathers under an Auto mesh, and raises under an Explicit one.
        run_image = functools.partial(run, self)
        return jax.vmap(run_image)(images, tables)

    def pixels(self, image: jax.Array) -> jax.Array:
        """Return the array of an image, which other engines may hold as a view."""
        return image


Run = Callable[[Any, Any, Any], jax.Array]
"""What makes a result of an engine, an image, and what belongs to that image: tables, draws."""


def two_passes(image: jax.Array, passes: Passes) -> jax.Array:
    """Compute both passes over one image `(h, w, c)`, without the epilogue.

    >>> from jaxprep.resample.tables import resize_taps
    >>> taps = resize_taps(4, 2, "bilinear", True, "pillow")
    >>> run = jax.jit(lambda image: two_passes(image, Passes(taps, None, "integer")))
    >>> run(np.zeros((4, 4, 3), np.uint8)).shape
    (2, 4, 3)
    """
    if passes.arithmetic == "copy":
        return copy_pixels(image, passes)
    if passes.has_traced_order:
        return in_either_order(image, passes, two_passes)
    order = [(0, passes.vertical), (1, passes.horizontal)]
    # the order is part of a reference: integer passes round after each, so it shows in the result
    if not passes.vertical_first:
        order.reverse()
    for axis, taps in order:
        if taps is None:
            continue
        image = apply_taps(image, taps, axis, passes.arithmetic, gather_weights=True)
    return image


def copy_pixels(image: jax.Array, passes: Passes) -> jax.Array:
    """Copy rows and columns as the tables say: crops, flips and pads, which have one tap.

    >>> from jaxprep.resample.tables import copy_taps
    >>> image = jnp.arange(4).reshape(4, 1, 1)
    >>> copy_pixels(image, Passes(copy_taps([3, 1]), None, "copy")).ravel().tolist()
    [3, 1]
    """
    for axis, taps in enumerate((passes.vertical, passes.horizontal)):
        if taps is None:
            continue
        start = constant_run(taps)
        if start is None:
            image = apply_taps(image, taps, axis, "copy")
        else:
            # a crop: XLA fuses a slice with its reader, and no table of indices is stored
            end = start + len(taps.start)
            image = lax.slice_in_dim(image, start, end, axis=axis)
    return image


def constant_run(taps: Taps) -> int | None:
    """Return the first row of a table whose rows are known and follow each other; else None.

    >>> from jaxprep.resample.tables import copy_taps
    >>> constant_run(copy_taps([2, 3, 4])), constant_run(copy_taps([4, 3, 2]))
    (2, None)
    """
    if not isinstance(taps.start, np.ndarray):
        return None
    first = int(taps.start[0])
    count = len(taps.start)
    run = np.arange(first, first + count)
    return first if np.array_equal(taps.start, run) else None


def in_either_order(
    image: jax.Array,
    passes: Passes,
    run: Callable[[jax.Array, Passes], jax.Array],
) -> jax.Array:
    """Run two passes whose order is a traced scalar, computing one order only.

    An image whose vertical pass comes first is transposed, resized horizontally first, and
    transposed back.

    Args:
        run: computes two passes of known order, as `two_passes` does.

    >>> from jaxprep.resample.tables import resize_taps
    >>> taps = resize_taps(4, 2, "bilinear", True, "pillow")
    >>> passes = Passes(taps, taps, "integer", vertical_first=jnp.bool_(True))
    >>> resize = jax.jit(lambda image: in_either_order(image, passes, two_passes))
    >>> resize(np.zeros((4, 4, 3), np.uint8)).shape
    (2, 2, 3)
    """
    # `vmap` turns `lax.cond` into a select: both orders would be computed for every image
    assert passes.vertical is not None and passes.horizontal is not None
    is_transposed = jnp.asarray(passes.vertical_first)
    height, width, _ = image.shape
    out_height, vertical_count = passes.vertical.weight.shape
    out_width, horizontal_count = passes.horizontal.weight.shape
    # squares, so that an image and its transpose have one shape
    side = max(height, width)
    padding = (
        (0, side - height),
        (0, side - width),
        (0, 0),
    )
    square = jnp.pad(image, padding)
    square = jnp.where(is_transposed, square.swapaxes(0, 1), square)
    out_side = max(out_height, out_width)
    count = max(vertical_count, horizontal_count)
    vertical = _pad_taps(passes.vertical, out_side, count)
    horizontal = _pad_taps(passes.horizontal, out_side, count)
    swapped = passes._replace(
        vertical=_choose(is_transposed, horizontal, vertical),
        horizontal=_choose(is_transposed, vertical, horizontal),
        vertical_first=False,
        height=None,
    )
    resized = run(square, swapped)
    resized = jnp.where(is_transposed, resized.swapaxes(0, 1), resized)
    return resized[:out_height, :out_width]


def _pad_taps(taps: Taps, rows: int, count: int) -> Taps:
    """The same table with more rows and taps, which weigh nothing."""
    start = jnp.asarray(taps.start)
    weight = jnp.asarray(taps.weight)
    m, k = weight.shape
    extra_rows = (0, rows - m)
    extra_taps = (0, count - k)
    return Taps(
        start=jnp.pad(start, extra_rows),
        weight=jnp.pad(weight, (extra_rows, extra_taps)),
        shift=taps.shift,
    )


def _choose(condition: jax.Array, yes: Taps, no: Taps) -> Taps:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
