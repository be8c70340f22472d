"""Tap tables: one axis of a resize as `start[out]` and `weight[out, tap]`, computed on the host.

Every output `i` is the sum over `k` of `weight[i, k] * source[start[i] + k]`; every window lies
inside the source.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np

from jaxprep.resample.filters import FILTERS, Filter, fused, torch_cubic
from jaxprep.resample.references import REFERENCES, Reference


class Taps(NamedTuple):
    """A table of `m` outputs with `k` taps each.

    Attributes:
        start: `(m,)` int32, the first source index of each output.
        weight: `(m, k)`; float32, or integers with `shift` fractional bits: int32, or int16 where
            the reference's fit.
        shift: int32 scalar, 0 for float weights.
    """

    start: Any
    weight: Any
    shift: Any


def copy_taps(rows: np.ndarray) -> Taps:
    """The table that copies source index `rows[i]` to output `i`: nearest, crop, flip."""
    rows = np.asarray(rows, np.int32)
    return Taps(rows, np.ones((len(rows), 1), np.float32), np.int32(0))


@functools.lru_cache(maxsize=4096)
def resize_taps(n: int, m: int, method: str, antialias: bool, reference: str) -> Taps:
    """The table that resizes `n` pixels to `m` (read-only; do not write to it).

    Args:
        n: length of the source, at least 1.
        m: length of the result, at least 1.
        method: a name of `METHODS`.
        antialias: widen the filter when shrinking, so that every source pixel counts.
        reference: a name of `REFERENCES`.
    """
    row = REFERENCES[reference]
    if method == "nearest":
        rows = copy_taps(_nearest(n, m, row))
        return _frozen(rows.start, rows.weight, 0)
    start, weight = _WEIGHTS[row.weights](n, m, method, antialias)
    if not row.is_integer:
        return _frozen(*fit(start, weight.astype(np.float32), n), 0)
    bits = row.bits or _dynamic_bits(weight)
    quantised = np.trunc(weight * (1 << bits) + np.where(weight < 0, -0.5, 0.5)).astype(row.integer)
    return _frozen(*fit(start, quantised, n), bits)


def _frozen(start: np.ndarray, weight: np.ndarray, shift: int) -> Taps:
    start.flags.writeable = weight.flags.writeable = False
    return Taps(start, weight, np.int32(shift))


def fit(
    start: np.ndarray, weight: np.ndarray, n: int, count: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Moves every window inside `[0, n)` and makes it `count` wide; weights that fall outside must
    be zero.
    """
    taps: int = min(weight.shape[1], n) if count is None else count
    inside = np.clip(start, 0, n - taps).astype(np.int32)
    place = np.arange(weight.shape[1]) + (start - inside)[:, None]
    keep = (place >= 0) & (place < taps)
    moved = np.zeros((len(start), taps), weight.dtype)
    rows = np.broadcast_to(np.arange(len(start))[:, None], place.shape)
    moved[rows[keep], place[keep]] = weight[keep]
    return inside, moved


def _dynamic_bits(weight: np.ndarray) -> int:
    """torchvision's precision: the most fractional bits, up to 22, with which the largest weight
    fits int16.
    """
    bits = 0
    while bits < 22 and int(0.5 + weight.max() * (1 << (bits + 1))) < 1 << 15:
        bits += 1
    return bits


def _nearest(n: int, m: int, reference: Reference) -> np.ndarray:
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


_WEIGHTS = {
    "float64": _float64_weights,
    "exact": _exact_weights,
    "torchvision": _torchvision_weights,
    "torch": _torch_weights,
    "jax": _jax_weights,
}
