"""Resampling filters: one row each, a kernel over distances in input pixels and the distance where
it ends.

Written once for float64 (Pillow, torchvision, ours) and float32 (torch, jax), where the dtype of
the argument decides, and for windows known only at run time, where `xp` is `jax.numpy`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

_LIBM = {"sin": np.frompyfunc(math.sin, 1, 1), "cos": np.frompyfunc(math.cos, 1, 1)}


class Filter(NamedTuple):
    """A kernel `k(distance)` that is zero beyond `support`, at scale 1."""

    kernel: Callable[..., Any]
    support: float


def _libm(name: str, x: Any, xp: Any) -> Any:
    """The C library's function, which Pillow calls; NumPy's vector version differs from it in the
    last bit.
    """
    return np.asarray(_LIBM[name](x)).astype(x.dtype) if xp is np else getattr(xp, name)(x)


def _sinc(x: Any, xp: Any) -> Any:
    angle = x * np.pi
    return xp.where(x == 0, 1.0, _libm("sin", angle, xp) / xp.where(x == 0, 1.0, angle))


def box(x: Any, xp: Any = np) -> Any:
    """One on (-1/2, 1/2]: the mean of the pixels covered."""
    return xp.where((x > -0.5) & (x <= 0.5), 1.0, 0.0).astype(x.dtype)


def triangle(x: Any, xp: Any = np) -> Any:
    """Linear interpolation; `bilinear` in two dimensions."""
    return xp.maximum(1 - xp.abs(x), 0)


def hamming(x: Any, xp: Any = np) -> Any:
    """Pillow's Hamming filter: a sinc under a Hamming window (float32 constants, as in its C),
    support 1.
    """
    x = xp.abs(x)
    window = np.float32(0.54).astype(x.dtype) + np.float32(0.46).astype(x.dtype) * _libm(
        "cos", x * np.pi, xp
    )
    return xp.where(x < 1, _sinc(x, xp) * window, 0.0)


def keys_cubic(x: Any, xp: Any = np) -> Any:
    """Keys' cubic convolution with a = -0.5 (doi:10.1109/TASSP.1981.1163711)."""
    x = xp.abs(x)
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return xp.where(x < 1, near, xp.where(x < 2, far, 0.0)).astype(x.dtype)


def torch_cubic(x: Any, a: float = -0.5) -> Any:
    """The same as torch evaluates it, in fused multiply-adds; without antialiasing a is -0.75, as
    OpenCV has it.
    """
    x = np.abs(x)
    near = fused(fused(a + 2, x, -(a + 3)) * x, x, 1)
    far = fused(fused(fused(a, x, -5 * a), x, 8 * a), x, -4 * a)
    return np.where(x < 1, near, np.where(x < 2, far, 0)).astype(x.dtype)


def fused(a: Any, x: Any, b: Any) -> Any:
    """`a * x + b` rounded once to the type of `x`, as a fused multiply-add does."""
    return (np.multiply(a, x, dtype=np.float64) + b).astype(x.dtype)


def _lanczos(lobes: int) -> Filter:
    def kernel(x: Any, xp: Any = np) -> Any:
        return xp.where(
            (x >= -lobes) & (x < lobes), _sinc(x, xp) * _sinc(x / lobes, xp), 0.0
        ).astype(x.dtype)

    return Filter(kernel, float(lobes))


FILTERS = {
    "box": Filter(box, 0.5),
    "bilinear": Filter(triangle, 1.0),
    "hamming": Filter(hamming, 1.0),
    "bicubic": Filter(keys_cubic, 2.0),
    "lanczos3": _lanczos(3),
    "lanczos5": _lanczos(5),
}
METHODS = ("nearest", *FILTERS)

_ALIASES = {
    "linear": "bilinear",
    "triangle": "bilinear",
    "cubic": "bicubic",
    "lanczos": "lanczos3",
    # PIL.Image.Resampling
    0: "nearest",
    1: "lanczos3",
    2: "bilinear",
    3: "bicubic",
    4: "box",
    5: "hamming",
}


def canonical_method(method: object) -> object:
    """The library's name of a method: aliases and PIL's integers are translated, anything else is
    returned as it is.
    """
    if isinstance(method, int):
        method = int(method)
    return _ALIASES.get(method, method) if isinstance(method, (int, str)) else method
