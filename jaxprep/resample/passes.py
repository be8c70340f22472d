"""Applying tap tables to one image: two passes, each in the form that suits the platform.

Every function here is written for one image and batched by `vmap`; all of it compiles for CPU, GPU
and TPU, and shards over a batch without collectives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxprep.resample import forms
from jaxprep.resample.forms import Arithmetic
from jaxprep.resample.lines import (
    OWN,
    Finish,
    Interleave,
    Lines,
    Output,
    image_apart,
    lines_apart,
    same,
)
from jaxprep.resample.part import Part
from jaxprep.resample.tables import Taps
from jaxprep.types import is_traced


def round_to(image: jax.Array, dtype: Any) -> jax.Array:
    """Rounds half to even and saturates, as Keras does on the way back to an integer type."""
    if dtype == jnp.bool_:
        return jnp.round(image) != 0
    info = jnp.iinfo(dtype)
    bound = (
        float(np.nextafter(np.float32(info.max), np.float32(0)))
        if info.bits == 32
        else float(info.max)
    )
    rounded = lax.round(image, lax.RoundingMethod.TO_NEAREST_EVEN)
    return lax.clamp(jnp.float32(info.min), rounded, jnp.float32(bound)).astype(dtype)


def two_pass(
    image: jax.Array | Part,
    vertical: Taps | None,
    horizontal: Taps | None,
    *,
    vertical_first: bool,
    arithmetic: Arithmetic,
    finish: Finish = same,
    rows: Any = None,
    output: Output = OWN,
) -> jax.Array:
    """Both passes over one image `(h, w, c)`, or a part of one, each a computation of its own.

    `finish` runs inside the last, and `output` says where the result goes.

    An axis whose table is None is left as it is. Rows and columns that no constant table reads are
    left out at once; where tables are traced, `rows`, a scalar, says how many rows of the image
    anything is read of.
    """
    part = image if isinstance(image, Part) else Part.of(image)
    part, vertical = _trimmed(part, vertical, 0)
    part, horizontal = _trimmed(part, horizontal, 1)

    def end(function: Callable[..., Lines], *args: Any) -> jax.Array:
        return image_apart(lambda *args: finish(function(*args)), *args, output=output)

    interleave = "line" if output.to_first else "pixel"
    if vertical is None:
        if horizontal is None:
            return end(Lines.of, part.whole())
        return _horizontal(part, horizontal, arithmetic, interleave, rows, end)
    if horizontal is None:
        return _vertical(Lines.of(part.whole()), vertical, arithmetic, end)
    if not vertical_first:
        lines = _horizontal(part, horizontal, arithmetic, interleave, rows, lines_apart)
        return _vertical(lines, vertical, arithmetic, end)
    if arithmetic == "float" and vertical.weight.shape[0] >= forms.lanes_of(np.dtype(np.float32)):
        return _float_passes(part, vertical, horizontal, interleave, end)
    down = _vertical(Lines.of(part.whole()), vertical, arithmetic, lines_apart)
    return _horizontal(Part.of(down.image()), horizontal, arithmetic, interleave, None, end)


End = Callable[..., Any]
"""What a pass gives the function that makes its lines, and the arguments of that: it runs apart,
maybe with an end.
"""


def _vertical(lines: Lines, taps: Taps, arithmetic: Arithmetic, end: End) -> Any:
    def plain(lines: Lines, taps: Taps) -> Any:
        return end(
            lambda lines, taps: lines.map(lambda v: forms.apply_taps(v, taps, 0, arithmetic)),
            lines,
            taps,
        )

    def dense(lines: Lines, taps: Taps) -> Any:
        return end(
            lambda lines, taps: lines.map(lambda v: forms.dense(v, taps, 0, arithmetic)),
            lines,
            taps,
        )

    if arithmetic == "copy":
        return plain(lines, taps)
    return lax.platform_dependent(lines, taps, tpu=dense, default=plain)


def _horizontal(
    part: Part, taps: Taps, arithmetic: Arithmetic, interleave: Interleave, rows: Any, end: End
) -> Any:
    def laid(image: jax.Array) -> Lines:
        return Lines.of(image).by_line() if interleave == "line" else Lines.of(image)

    def plain(part: Part, taps: Taps) -> Any:
        return end(
            lambda image, taps: laid(forms.apply_taps(image, taps, 1, arithmetic)),
            part.whole(),
            taps,
        )

    def dense(part: Part, taps: Taps) -> Any:
        return end(
            lambda image, taps: laid(forms.dense(image, taps, 1, arithmetic)), part.whole(), taps
        )

    def turned(part: Part, taps: Taps) -> Any:
        lines = Lines(
            forms.turned(part, taps, arithmetic, interleave, rows), part.channels, interleave
        )
        return lines if end is lines_apart else end(same, lines)

    if arithmetic == "copy":
        return plain(part, taps)
    if part.height < forms.lanes_of(part.dtype):
        return lax.platform_dependent(part, taps, tpu=dense, default=plain)
    return lax.platform_dependent(part, taps, cpu=turned, tpu=dense, default=plain)


def _float_passes(
    part: Part, vertical: Taps, horizontal: Taps, interleave: Interleave, end: End
) -> jax.Array:
    def in_blocks(part: Part, vertical: Taps, horizontal: Taps) -> jax.Array:
        lines = forms.rows_in_floats(part, vertical, horizontal, interleave)
        return end(same, Lines(lines, part.channels, interleave))

    def one_by_one(part: Part, vertical: Taps, horizontal: Taps) -> jax.Array:
        down = _vertical(Lines.of(part.whole()), vertical, "float", lines_apart)
        return _horizontal(Part.of(down.image()), horizontal, "float", interleave, None, end)

    return lax.platform_dependent(part, vertical, horizontal, cpu=in_blocks, default=one_by_one)


def _trimmed(part: Part, taps: Taps | None, axis: int) -> tuple[Part, Taps | None]:
    if taps is None or not isinstance(taps.start, np.ndarray) or not is_traced(part.image):
        return part, taps
    first, end = int(taps.start.min()), int(taps.start.max()) + taps.weight.shape[1]
    return part.window(axis, first, end - first), Taps(taps.start - np.int32(first), *taps[1:])
