"""Applying tap tables to one image: two passes, each in the form that suits the platform.

Every function here is written for one image and batched by `vmap`; all of it compiles for CPU, GPU and TPU, and shards
over a batch without collectives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxprep.resample import forms
from jaxprep.resample.apart import apart
from jaxprep.resample.forms import Arithmetic, apply_taps
from jaxprep.resample.tables import Taps
from jaxprep.types import is_traced

Finish = Callable[[jax.Array], jax.Array]


def round_to(image: jax.Array, dtype: Any) -> jax.Array:
    """Rounds half to even and saturates, as Keras does on the way back to an integer type."""
    if dtype == jnp.bool_:
        return jnp.round(image) != 0
    info = jnp.iinfo(dtype)
    bound = float(np.nextafter(np.float32(info.max), np.float32(0))) if info.bits == 32 else float(info.max)
    rounded = lax.round(image, lax.RoundingMethod.TO_NEAREST_EVEN)
    return lax.clamp(jnp.float32(info.min), rounded, jnp.float32(bound)).astype(dtype)


def two_pass(
    image: jax.Array,
    vertical: Taps | None,
    horizontal: Taps | None,
    *,
    vertical_first: bool,
    arithmetic: Arithmetic,
    finish: Finish = lambda image: image,
    rows: Any = None,
) -> jax.Array:
    """Both passes over one image `(h, w, c)`, each a computation of its own; `finish` runs inside the last.

    An axis whose table is None is left as it is. Rows and columns that no constant table reads are left out at once;
    where tables are traced, `rows`, a scalar, says how many rows of the image anything is read of.
    """
    image, vertical = _trimmed(image, vertical, 0)
    image, horizontal = _trimmed(image, horizontal, 1)
    tables = [(0, vertical), (1, horizontal)] if vertical_first else [(1, horizontal), (0, vertical)]
    passes = [(axis, taps) for axis, taps in tables if taps is not None]
    if not passes:
        return apart(finish, image)
    if arithmetic == "float" and vertical_first and vertical is not None and horizontal is not None:
        return _float_passes(image, vertical, horizontal, finish)
    for axis, taps in passes[:-1]:
        image = one_pass(image, taps, axis, arithmetic, lambda image: image, rows)
        rows = None if axis == 0 else rows
    axis, taps = passes[-1]
    return one_pass(image, taps, axis, arithmetic, finish, rows)


def _float_passes(image: jax.Array, vertical: Taps, horizontal: Taps, finish: Finish) -> jax.Array:
    def in_blocks(image: jax.Array, vertical: Taps, horizontal: Taps) -> jax.Array:
        return apart(finish, forms.rows_in_floats(image, vertical, horizontal))

    def one_by_one(image: jax.Array, vertical: Taps, horizontal: Taps) -> jax.Array:
        image = one_pass(image, vertical, 0, "float", lambda image: image)
        return one_pass(image, horizontal, 1, "float", finish)

    return lax.platform_dependent(image, vertical, horizontal, cpu=in_blocks, default=one_by_one)


def one_pass(
    image: jax.Array, taps: Taps, axis: int, arithmetic: Arithmetic, finish: Finish, rows: Any = None
) -> jax.Array:
    """One pass over `axis`, then `finish`, apart from what precedes them."""

    def plain(image: jax.Array, taps: Taps) -> jax.Array:
        return apart(lambda image, taps: finish(apply_taps(image, taps, axis, arithmetic)), image, taps)

    def dense(image: jax.Array, taps: Taps) -> jax.Array:
        return apart(lambda image, taps: finish(forms.dense(image, taps, axis, arithmetic)), image, taps)

    def contiguous(image: jax.Array, taps: Taps) -> jax.Array:
        height = image.shape[0]
        done = forms.packed(image, taps, rows) if arithmetic == "integer" else forms.blocked(image, taps)
        return apart(lambda done: finish(done[:height]), done)

    if arithmetic == "copy":
        return plain(image, taps)
    if axis == 0 or image.shape[0] < forms.LANES:
        return lax.platform_dependent(image, taps, tpu=dense, default=plain)
    return lax.platform_dependent(image, taps, cpu=contiguous, tpu=dense, default=plain)


def _trimmed(image: jax.Array, taps: Taps | None, axis: int) -> tuple[jax.Array, Taps | None]:
    if taps is None or not isinstance(taps.start, np.ndarray) or not is_traced(image):
        return image, taps
    first, end = int(taps.start.min()), int(taps.start.max()) + taps.weight.shape[1]
    if end - first == image.shape[axis]:
        return image, taps
    return lax.slice_in_dim(image, first, end, axis=axis), Taps(taps.start - np.int32(first), *taps[1:])
