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
from jaxprep.resample.part import Part
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
    image: jax.Array | Part,
    vertical: Taps | None,
    horizontal: Taps | None,
    *,
    vertical_first: bool,
    arithmetic: Arithmetic,
    finish: Finish = lambda image: image,
    rows: Any = None,
) -> jax.Array:
    """Both passes over one image `(h, w, c)`, or a part of one, each a computation of its own.

    `finish` runs inside the last.

    An axis whose table is None is left as it is. Rows and columns that no constant table reads are left out at once;
    where tables are traced, `rows`, a scalar, says how many rows of the image anything is read of.
    """
    part = image if isinstance(image, Part) else Part.of(image)
    part, vertical = _trimmed(part, vertical, 0)
    part, horizontal = _trimmed(part, horizontal, 1)
    tables = [(0, vertical), (1, horizontal)] if vertical_first else [(1, horizontal), (0, vertical)]
    passes = [(axis, taps) for axis, taps in tables if taps is not None]
    if not passes:
        return apart(finish, part.whole())
    if arithmetic == "float" and vertical_first and vertical is not None and horizontal is not None:
        return _float_passes(part.whole(), vertical, horizontal, finish)
    for axis, taps in passes[:-1]:
        part = Part.of(one_pass(part, taps, axis, arithmetic, lambda image: image, rows))
        rows = None if axis == 0 else rows
    axis, taps = passes[-1]
    joined = isinstance(image, Part) and len(passes) == 2
    return one_pass(part, taps, axis, arithmetic, finish, rows, joined)


def _float_passes(image: jax.Array, vertical: Taps, horizontal: Taps, finish: Finish) -> jax.Array:
    def in_blocks(image: jax.Array, vertical: Taps, horizontal: Taps) -> jax.Array:
        return apart(finish, forms.rows_in_floats(image, vertical, horizontal))

    def one_by_one(image: jax.Array, vertical: Taps, horizontal: Taps) -> jax.Array:
        part = Part.of(one_pass(Part.of(image), vertical, 0, "float", lambda image: image))
        return one_pass(part, horizontal, 1, "float", finish)

    return lax.platform_dependent(image, vertical, horizontal, cpu=in_blocks, default=one_by_one)


def one_pass(
    part: Part, taps: Taps, axis: int, arithmetic: Arithmetic, finish: Finish, rows: Any = None, joined: bool = False
) -> jax.Array:
    """One pass over `axis`, then `finish`, apart from what precedes and follows them.

    `joined` with what follows, which may then be computed in place: only where what precedes is apart itself.
    """
    own = (lambda function, *args: function(*args)) if joined else apart

    def plain(part: Part, taps: Taps) -> jax.Array:
        return own(lambda image, taps: finish(apply_taps(image, taps, axis, arithmetic)), part.whole(), taps)

    def dense(part: Part, taps: Taps) -> jax.Array:
        return own(lambda image, taps: finish(forms.dense(image, taps, axis, arithmetic)), part.whole(), taps)

    def contiguous(part: Part, taps: Taps) -> jax.Array:
        if arithmetic == "integer":
            return own(finish, forms.packed(part, taps, rows))
        return apart(lambda done: finish(done[: part.height]), forms.blocked(part.whole(), taps))

    if arithmetic == "copy":
        return plain(part, taps)
    if axis == 0 or part.height < forms.LANES:
        return lax.platform_dependent(part, taps, tpu=dense, default=plain)
    return lax.platform_dependent(part, taps, cpu=contiguous, tpu=dense, default=plain)


def _trimmed(part: Part, taps: Taps | None, axis: int) -> tuple[Part, Taps | None]:
    if taps is None or not isinstance(taps.start, np.ndarray) or not is_traced(part.image):
        return part, taps
    first, end = int(taps.start.min()), int(taps.start.max()) + taps.weight.shape[1]
    return part.window(axis, first, end - first), Taps(taps.start - np.int32(first), *taps[1:])
