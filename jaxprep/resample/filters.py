"""Resampling filters, and the weights that each reference makes of them.

A filter is one row: a kernel over distances in input pixels, and the distance where it ends.

Written once for float64 (Pillow, torchvision, ours) and float32 (torch, jax), where the dtype of
the argument decides, and for windows known only at run time, where `xp` is `jax.numpy`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxprep.resample.references import Reference

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


def nearest_rows(n: int, m: int, reference: Reference) -> np.ndarray:
    i = np.arange(m)
    if reference.nearest == "accumulate":  # Pillow adds the step in float64, output by output
        step = n / m
        position = np.cumsum(np.concatenate([[step * 0.5], np.full(m - 1, step)]))
    elif reference.nearest == "torch":
        position = i.astype(np.float32) * (np.float32(n) / np.float32(m))
    elif reference.nearest == "torch_exact":  # its mode "nearest-exact"
        position = (i.astype(np.float32) + np.float32(0.5)) * (np.float32(n) / np.float32(m))
    elif reference.nearest == "jax":
        position = (i.astype(np.float32) + np.float32(0.5)) * np.float32(n) / np.float32(m)
    else:
        position = (2 * i + 1) * n // (2 * m)
    return np.minimum(np.floor(position).astype(np.int64), n - 1)


def _windows(
    n: int, m: int, filter_: Filter, antialias: bool, dtype: type
) -> tuple[np.ndarray, np.ndarray]:
    """Start and normalised weights as Pillow's `precompute_coeffs` (and torch's copy of it) has
    them, in `dtype`.
    """
    scale = dtype(n) / dtype(m)
    stretch = max(scale, dtype(1)) if antialias else dtype(1)
    support = dtype(filter_.support) * stretch
    centre = scale * (np.arange(m).astype(dtype) + dtype(0.5))
    low = np.maximum((centre - support + dtype(0.5)).astype(np.int64), 0)
    high = np.minimum((centre + support + dtype(0.5)).astype(np.int64), n)
    tap = np.arange(max(int((high - low).max()), 1))
    inverse = dtype(1) / stretch
    distance = ((tap + low[:, None]).astype(dtype) - centre[:, None] + dtype(0.5)) * inverse
    weight = np.where(tap < (high - low)[:, None], filter_.kernel(distance), dtype(0))
    total = np.zeros(m, dtype)
    for k in tap:  # one by one, as C does: a pairwise sum differs in the last bit
        total += weight[:, k]
    return low, weight / np.where(total == 0, dtype(1), total)[:, None]


def _float64_weights(n: int, m: int, method: str, antialias: bool) -> tuple[np.ndarray, np.ndarray]:
    return _windows(n, m, FILTERS[method], antialias, np.float64)


def _exact_weights(n: int, m: int, method: str, antialias: bool) -> tuple[np.ndarray, np.ndarray]:
    """Ours: positions are integers, in units of `1 / (2 m)` of a pixel, so that no tie falls on the
    wrong side.
    """
    filter_ = FILTERS[method]
    stretch = max(n, m) if antialias else m
    centre, reach = (2 * np.arange(m) + 1) * n, int(2 * filter_.support) * stretch
    low = np.maximum((centre - reach + m) // (2 * m), 0)
    high = np.minimum((centre + reach + m) // (2 * m), n)
    tap = np.arange(int((high - low).max()))
    distance = ((2 * (tap + low[:, None]) + 1) * m - centre[:, None]) / (2 * stretch)
    weight = np.where(tap < (high - low)[:, None], filter_.kernel(distance), 0)
    return low, weight / weight.sum(1, keepdims=True)


def _torchvision_weights(
    n: int, m: int, method: str, antialias: bool
) -> tuple[np.ndarray, np.ndarray]:
    """torchvision's uint8 kernel: Pillow's weights with antialiasing, torch's interpolation in
    float64 without.
    """
    if antialias or method not in ("bilinear", "bicubic"):
        return _float64_weights(n, m, method, antialias)
    return _interpolation(n, m, method, np.float64)


def _torch_weights(n: int, m: int, method: str, antialias: bool) -> tuple[np.ndarray, np.ndarray]:
    """`torch.nn.functional.interpolate(align_corners=False)` on float32."""
    if antialias or method not in ("bilinear", "bicubic"):
        filter_ = Filter(torch_cubic, 2.0) if method == "bicubic" else FILTERS[method]
        return _windows(n, m, filter_, antialias, np.float32)
    return _interpolation(n, m, method, np.float32)


def _interpolation(n: int, m: int, method: str, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    """torch without antialiasing: between the nearest 2 or 4 pixels, with a = -0.75, repeating the
    edge.
    """
    centre = fused(dtype(n) / dtype(m), np.arange(m).astype(dtype) + dtype(0.5), -0.5)
    if method == "bilinear":
        centre = np.maximum(centre, dtype(0))
    first = np.floor(centre).astype(np.int64)
    part = (centre - first).astype(dtype)
    if method == "bilinear":
        return _repeat_edge(first, np.stack([1 - part, part], 1), n)
    return _repeat_edge(
        first - 1, torch_cubic(np.stack([part + 1, part, 1 - part, 2 - part], 1), -0.75), n
    )


def _repeat_edge(start: np.ndarray, weight: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Adds the weights of taps outside `[0, n)` to the pixel at the edge."""
    taps = min(weight.shape[1], n)
    inside = np.clip(start, 0, n - taps)
    place = np.clip(start[:, None] + np.arange(weight.shape[1]), 0, n - 1) - inside[:, None]
    moved = np.zeros((len(start), taps), weight.dtype)
    np.add.at(moved, (np.arange(len(start))[:, None], place), weight)
    return inside, moved


def _jax_weights(n: int, m: int, method: str, antialias: bool) -> tuple[np.ndarray, np.ndarray]:
    """`jax.image.resize`: `compute_weight_mat` of `jax._src.image.scale`, in float32.

    As XLA compiles it, with the position in one fused multiply-add: a second rounding would break
        ties another way.
    """
    one, filter_ = np.float32(1), FILTERS[method]
    inverse = np.float32(1 / (m / n))
    stretch = max(inverse, one) if antialias else one
    sample = ((np.arange(m) + 0.5) * np.float64(inverse) - 0.5).astype(np.float32)
    reach = filter_.support * float(stretch)
    low = np.maximum(np.floor(sample - reach).astype(np.int64), 0)
    high = np.minimum(np.ceil(sample + reach).astype(np.int64) + 1, n)
    tap = np.arange(max(int((high - low).max()), 1))
    distance = np.abs(sample[:, None] - (tap + low[:, None]).astype(np.float32)) / stretch
    weight = np.where(tap < (high - low)[:, None], filter_.kernel(distance), np.float32(0))
    total = weight.sum(1, keepdims=True)
    weight = np.where(
        np.abs(total) > 1000 * np.finfo(np.float32).eps,
        weight / np.where(total != 0, total, one),
        0,
    )
    visible = (sample >= -0.5) & (sample <= n - 0.5)
    return low, np.where(visible[:, None], weight, 0)


WEIGHTS = {
    "float64": _float64_weights,
    "exact": _exact_weights,
    "torchvision": _torchvision_weights,
    "torch": _torch_weights,
    "jax": _jax_weights,
}
