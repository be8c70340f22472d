"""Resizing one image: constant tables inside the caller's program, a shared one for eager
callers.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.resample.buckets import bucket, canvas
from jaxprep.resample.lines import Lines
from jaxprep.resample.passes import Arithmetic, round_to, two_pass
from jaxprep.resample.references import REFERENCES, vertical_first
from jaxprep.resample.tables import Taps, fit, resize_taps
from jaxprep.types import is_traced


def arithmetic_of(method: str, reference: str) -> Arithmetic:
    """How the passes of a method sum."""
    if method == "nearest":
        return "copy"
    return "integer" if REFERENCES[reference].is_integer else "float"


def check_dtype(dtype: Any, method: str, reference: str) -> None:
    """Refuses what the reference has no arithmetic for.

    Raises:
        InputError: a reference that rounds to uint8 is given anything else.
    """
    if arithmetic_of(method, reference) == "integer" and dtype != jnp.uint8:
        raise InputError(
            f"Expected a uint8 image for reference='{reference}', which rounds every pass to uint8, got {dtype}. "
            "Cast the image to uint8, or choose reference='float', 'torch' or 'jax', which take any type and are "
            "differentiable."
        )


def resize_image(
    image: Any,
    size: tuple[int, int],
    method: str,
    antialias: bool,
    reference: str,
    rounded: bool = True,
) -> jax.Array:
    """Resizes one image `(h, w, c)`; see `jaxprep.ops.resize` for what the arguments mean."""
    check_dtype(image.dtype, method, reference)
    if is_traced(image):
        return _constant(image, size, method, antialias, reference, rounded)
    return _eager(np.asarray(image), size, method, antialias, reference, rounded)


def result_dtype(dtype: Any, method: str, reference: str, rounded: bool) -> Any:
    """The dtype that a resize returns for an image of `dtype`."""
    if arithmetic_of(method, reference) == "copy":
        return dtype
    return dtype if rounded and not jnp.issubdtype(dtype, jnp.floating) else jnp.dtype(jnp.float32)


def _finish(dtype: Any, method: str, reference: str, rounded: bool, lines: Lines) -> Lines:
    wanted = result_dtype(dtype, method, reference, rounded)
    return (
        lines
        if lines.values.dtype == wanted
        else lines.map(lambda values: round_to(values, wanted))
    )


def _constant(
    image: jax.Array,
    size: tuple[int, int],
    method: str,
    antialias: bool,
    reference: str,
    rounded: bool,
):
    h, w, _ = image.shape
    tables = [
        None if n == m else resize_taps(n, m, method, antialias, reference)
        for n, m in zip((h, w), size, strict=True)
    ]
    return two_pass(
        image,
        *tables,
        vertical_first=vertical_first(REFERENCES[reference], (h, w), size),
        arithmetic=arithmetic_of(method, reference),
        finish=functools.partial(_finish, image.dtype, method, reference, rounded),
    )


def _eager(
    image: np.ndarray,
    size: tuple[int, int],
    method: str,
    antialias: bool,
    reference: str,
    rounded: bool,
):
    """The program is shared by all sizes whose canvas, result and number of taps fall in the same
    buckets.
    """
    h, w, c = image.shape
    room, out = canvas((h, w)), canvas(size)
    padded = np.zeros((*room, c), image.dtype)
    padded[:h, :w] = image
    tables = [
        widen(resize_taps(n, m, method, antialias, reference), space, outputs)
        for n, m, space, outputs in zip((h, w), size, room, out, strict=True)
    ]
    first = vertical_first(REFERENCES[reference], (h, w), size)
    vertical, horizontal = tables
    result = _padded(padded, vertical, horizontal, first, method, reference, rounded)
    return jax.device_put(np.asarray(result)[: size[0], : size[1]])


@functools.partial(jax.jit, static_argnums=(3, 4, 5, 6))
def _padded(
    image: Any,
    vertical: Taps,
    horizontal: Taps,
    first: bool,
    method: str,
    reference: str,
    rounded: bool,
):
    finish = functools.partial(_finish, image.dtype, method, reference, rounded)
    arithmetic = arithmetic_of(method, reference)
    return two_pass(
        image, vertical, horizontal, vertical_first=first, arithmetic=arithmetic, finish=finish
    )


def widen(taps: Taps, space: int, outputs: int, count: int | None = None) -> Taps:
    """The same table on a longer axis of `space` pixels, with a bucket of taps and `outputs` rows.

    The added taps weigh nothing; the added rows copy or weigh nothing.
    """
    count = min(bucket(taps.weight.shape[1]) if count is None else count, space)
    start, weight = fit(taps.start, taps.weight, space, count)
    extra = outputs - len(start)
    return Taps(np.pad(start, (0, extra)), np.pad(weight, ((0, extra), (0, 0))), taps.shift)
