"""The plain engine: the definition of a segment's two passes, and what GPUs run.

Each pass is one gather per tap, which XLA:GPU fuses into one kernel together with the epilogue:
512x512 -> 224, batch 64, compiled ahead of time for an H100: 2 kernels that move 132 MB, 1.5 times
what reading the input and writing the output moves. Nothing here may keep XLA from fusing: inside a
computation marked `inlineable="false"` the same code is 71 kernels and 7,666 MB, since XLA:GPU fuses
nothing there.
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

from jaxprep.resample.passes import Arithmetic, Epilogue, Form, Passes, Rows, apply_taps
from jaxprep.resample.tables import Taps


@dataclass(frozen=True)
class PlainEngine:
    """Runs segments as they are defined."""

    def run_segment(
        self, image: jax.Array, passes: Passes, epilogue: Epilogue, is_last: bool
    ) -> jax.Array:
        """Computes both passes of one image `(h, w, c)` and stores what the epilogue makes of
        them.

        Args:
            is_last: whether the result is the program's; other engines store that elsewhere.
        """
        del is_last
        return epilogue.finish(Rows.of(two_passes(image, passes)))

    def map_images(
        self,
        run: Run,
        images: jax.Array,
        tables: Any,
        arithmetics: set[Arithmetic],
        form: Form | None,
    ) -> jax.Array:
        """Runs `run(engine, image, tables of the image)` on each image of a batch
        `(b, h, w, c)`."""
        del arithmetics, form
        return jax.vmap(functools.partial(run, self))(images, tables)

    def pixels(self, image: jax.Array) -> jax.Array:
        """The array of an image."""
        return image


Run = Callable[[Any, Any, Any], jax.Array]
"""What makes a result of an engine, an image and its tables."""


def two_passes(image: jax.Array, passes: Passes) -> jax.Array:
    """Both passes over one image `(h, w, c)`, without the epilogue."""
    if passes.arithmetic == "copy":
        return copy_pixels(image, passes)
    if passes.has_traced_order:
        return in_either_order(image, passes, two_passes)
    order = [(0, passes.vertical), (1, passes.horizontal)]
    for axis, taps in order if passes.vertical_first else reversed(order):
        if taps is not None:
            image = apply_taps(image, taps, axis, passes.arithmetic, gather_weights=True)
    return image


def copy_pixels(image: jax.Array, passes: Passes) -> jax.Array:
    """Crops, flips and pads: every row and column is one of the source."""
    for axis, taps in ((0, passes.vertical), (1, passes.horizontal)):
        if taps is None:
            continue
        start = constant_run(taps)
        if start is not None:  # a slice needs no table
            image = lax.slice_in_dim(image, start, start + len(taps.start), axis=axis)
        else:
            image = apply_taps(image, taps, axis, "copy")
    return image


def constant_run(taps: Taps) -> int | None:
    """Where the rows of a table begin, if they are known and follow each other."""
    if not isinstance(taps.start, np.ndarray):
        return None
    first, count = int(taps.start[0]), len(taps.start)
    follows = np.array_equal(taps.start, np.arange(first, first + count))
    return first if follows else None


def in_either_order(
    image: jax.Array, passes: Passes, run: Callable[[jax.Array, Passes], jax.Array]
) -> jax.Array:
    """Runs two passes whose order is a traced scalar, computing one order only.

    An image whose vertical pass comes first is transposed, resized horizontally first, and
    transposed back; `lax.cond` would compute both orders for every image of a batch.
    """
    assert passes.vertical is not None and passes.horizontal is not None
    is_transposed = jnp.asarray(passes.vertical_first)
    height, width, _ = image.shape
    out = len(passes.vertical.start), len(passes.horizontal.start)
    side, out_side = max(height, width), max(out)
    square = jnp.pad(image, ((0, side - height), (0, side - width), (0, 0)))
    square = jnp.where(is_transposed, square.swapaxes(0, 1), square)
    count = max(passes.vertical.weight.shape[1], passes.horizontal.weight.shape[1])
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
    return resized[: out[0], : out[1]]


def _pad_taps(taps: Taps, rows: int, count: int) -> Taps:
    """The same table with more rows and taps, which weigh nothing."""
    start, weight = jnp.asarray(taps.start), jnp.asarray(taps.weight)
    extra_rows, extra_taps = rows - weight.shape[0], count - weight.shape[1]
    padded = jnp.pad(weight, ((0, extra_rows), (0, extra_taps)))
    return Taps(jnp.pad(start, (0, extra_rows)), padded, taps.shift)


def _choose(condition: jax.Array, yes: Taps, no: Taps) -> Taps:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), yes, no)
