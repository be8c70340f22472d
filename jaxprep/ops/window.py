"""Resizing a window whose place and size are known only at run time."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from jaxprep import codec
from jaxprep.ops.step import as_size, check_size, whole
from jaxprep.resample.filters import METHODS, canonical_method
from jaxprep.resample.forms import apply_taps
from jaxprep.resample.lines import Lines
from jaxprep.resample.passes import round_to, two_pass
from jaxprep.resample.window import window_taps
from jaxprep.types import Batch, Size


def resize_window(
    image: Any,
    top: Any,
    left: Any,
    height: Any,
    width: Any,
    size: Size | int,
    *,
    method: str | int = "bilinear",
    antialias: bool = True,
    rounded: bool = True,
) -> jax.Array:
    """Crop a window of one image and resize it, with the window traced: one program for all
    windows.

    The same as `resize(crop(image, ...), size, reference="float")`: the filter ends at the edge of
    the window.

    Args:
        image: `(h, w, c)`, any type.
        top, left: integer scalars, the corner of the window, inside the image.
        height, width: integer scalars, at least 1; the window lies inside the image (not checked
            when traced).
        size: height and width of the result.
        method, antialias: as in `resize`.
        rounded: give integers back as integers, rounded half to even and saturated; otherwise as
            float32.
    """
    image = jnp.asarray(image)
    h, w = whole(Batch(image=image))
    name, out = str(canonical_method(method)), as_size(size)
    if name not in METHODS:
        raise codec.expected(f"one of {list(METHODS)}", method, "method")
    check_size(out, "size")
    vertical = window_taps(h, top, height, out[0], name, antialias)
    horizontal = window_taps(w, left, width, out[1], name, antialias)
    if name == "nearest":
        return apply_taps(apply_taps(image, vertical, 0, "copy"), horizontal, 1, "copy")
    as_integer = rounded and not jnp.issubdtype(image.dtype, jnp.floating)
    dtype = image.dtype

    def finish(lines: Lines) -> Lines:
        return lines.map(lambda values: round_to(values, dtype)) if as_integer else lines

    return two_pass(
        image, vertical, horizontal, vertical_first=True, arithmetic="float", finish=finish
    )
