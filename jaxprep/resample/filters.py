"""Resampling filters, and the weights that each reference makes of them.

A filter is a function of the distance between an input pixel and an output pixel, in input pixels,
that is zero beyond its `support`. `WEIGHTS` turns a filter and two lengths `(n, m)` into the first
tap `(m,)` and the normalised weights `(m, k)` of each output, in the arithmetic of one library.
`tables.resize_taps` calls it, and quantises the weights where the reference sums integers; read
`tables.py` next.

The filters are written once for float64 (Pillow, torchvision, ours) and float32 (torch, jax), where
the dtype of the argument decides, and for lengths known only at run time, where `xp` is
`jax.numpy`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxprep.resample import interpolation
from jaxprep.resample.interpolation import Windows
from jaxprep.resample.references import Reference

# Where the arithmetic comes from:
#   Pillow       https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Resample.c
#   torch        https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/UpSample.h and
#                .../aten/src/ATen/native/cpu/UpSampleKernel.cpp
#   torchvision  calls torch's uint8 kernel, in the same UpSampleKernel.cpp
#   jax          https://github.com/jax-ml/jax/blob/main/jax/_src/image/scale.py

# one value at a time: the scalar functions of `math` are those of the C library
_LIBM = {
    "sin": np.frompyfunc(math.sin, 1, 1),
    "cos": np.frompyfunc(math.cos, 1, 1),
}


class Filter(NamedTuple):
    """A resampling filter.

    Attributes:
        kernel: `kernel(x)` or `kernel(x, xp)`: the weight at distance `x`, an array.
        support: the distance beyond which the weight is zero, in input pixels at scale 1.

    >>> FILTERS["bicubic"].support
    2.0
    """

    kernel: Callable[..., Any]
    support: float


# -- filters ---------------------------------------------------------------------------------------


def box(x: Any, xp: Any = np) -> Any:
    """Evaluate the box filter: 1 on (-1/2, 1/2], so that the result is the mean of the pixels
    covered.

    Pillow's `box_filter` (Resample.c) is open on the left and closed on the right, too.

    >>> box(np.array([-0.5, 0.0, 0.5])).tolist()
    [0.0, 1.0, 1.0]
    """
    inside = (x > -0.5) & (x <= 0.5)
    return xp.where(inside, 1.0, 0.0).astype(x.dtype)


def triangle(x: Any, xp: Any = np) -> Any:
    """Evaluate the triangle filter: linear interpolation, `bilinear` in two dimensions.

    >>> triangle(np.array([-0.25, 0.5, 2.0])).tolist()
    [0.75, 0.5, 0.0]
    """
    return xp.maximum(1 - xp.abs(x), 0)


def hamming(x: Any, xp: Any = np) -> Any:
    """Evaluate Pillow's Hamming filter (`hamming_filter` in Resample.c): a sinc under a Hamming
    window, support 1.

    >>> hamming(np.array([0.0, 1.0])).round(3).tolist()
    [1.0, 0.0]
    """
    x = xp.abs(x)
    # Pillow writes 0.54f and 0.46f: float32 constants, widened to float64
    constant = np.float32(0.54).astype(x.dtype)
    amplitude = np.float32(0.46).astype(x.dtype)
    cosine = _libm("cos", x * np.pi, xp)
    window = constant + amplitude * cosine
    windowed = _sinc(x, xp) * window
    return xp.where(x < 1, windowed, 0.0)


def keys_cubic(x: Any, xp: Any = np) -> Any:
    """Evaluate Keys' cubic convolution with a = -0.5 (doi:10.1109/TASSP.1981.1163711).

    In the order of operations of Pillow's `bicubic_filter` (Resample.c), which `jax.image` equals
    within rounding.

    >>> keys_cubic(np.array([0.0, 0.5, 1.5])).tolist()
    [1.0, 0.5625, -0.0625]
    """
    x = xp.abs(x)
    a = -0.5
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    beyond_near = xp.where(x < 2, far, 0.0)
    value = xp.where(x < 1, near, beyond_near)
    return value.astype(x.dtype)


def _lanczos(lobes: int) -> Filter:
    """The sinc under the middle lobe of a wider sinc: `lanczos_filter` of Pillow's Resample.c, with
    3 lobes there; `lanczos5` is `jax.image`'s."""

    def kernel(x: Any, xp: Any = np) -> Any:
        # the interval is half open, as Pillow's
        inside = (x >= -lobes) & (x < lobes)
        window = _sinc(x / lobes, xp)
        windowed = _sinc(x, xp) * window
        return xp.where(inside, windowed, 0.0).astype(x.dtype)

    return Filter(kernel, float(lobes))


def _sinc(x: Any, xp: Any) -> Any:
    angle = x * np.pi
    is_zero = x == 0
    sine = _libm("sin", angle, xp)
    # `where` computes both of its arguments: a division by 0 would warn in NumPy
    divisor = xp.where(is_zero, 1.0, angle)
    return xp.where(is_zero, 1.0, sine / divisor)


def _libm(name: str, x: Any, xp: Any) -> Any:
    """The C library's sine or cosine, which Pillow calls: NumPy's vectorised one differs from it in
    the last bit, and then a quantised weight may differ by one."""
    if xp is not np:
        return getattr(xp, name)(x)
    values = _LIBM[name](x)
    return np.asarray(values).astype(x.dtype)


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
    # the names of `jax.image.ResizeMethod` and torch
    "linear": "bilinear",
    "triangle": "bilinear",
    "cubic": "bicubic",
    "lanczos": "lanczos3",
    # PIL.Image.Resampling, as `preprocessor_config.json` stores it
    0: "nearest",
    1: "lanczos3",
    2: "bilinear",
    3: "bicubic",
    4: "box",
    5: "hamming",
}


def canonical_method(method: object) -> object:
    """Return our name of a resize method: aliases and PIL's integers are translated, anything else
    is returned as it is, for the caller to refuse.

    >>> canonical_method("cubic"), canonical_method(2), canonical_method("wavelet")
    ('bicubic', 'bilinear', 'wavelet')
    """
    if isinstance(method, int):
        method = int(method)  # of an `IntEnum` such as `PIL.Image.Resampling`
    if not isinstance(method, (int, str)):
        return method  # it may not be hashable
    return _ALIASES.get(method, method)


# -- nearest neighbours ----------------------------------------------------------------------------


def nearest_rows(n: int, m: int, reference: Reference) -> np.ndarray:
    """Return the source index of each of `m` outputs of a nearest-neighbour resize of `n` pixels,
    `(m,)` int64.

    The libraries round differently, so each of their rules is kept: they differ in a pixel for many
    pairs of lengths.

    >>> from jaxprep.resample.references import REFERENCES
    >>> nearest_rows(5, 2, REFERENCES["pillow"]).tolist()
    [1, 3]
    >>> nearest_rows(5, 2, REFERENCES["torch"]).tolist()
    [0, 2]
    """
    i = np.arange(m)
    # each rule gives the position of every output in the source; its floor is the index
    if reference.nearest == "accumulate":
        # Pillow adds the step in float64, output by output: `ImagingScaleAffine` in
        # https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Geometry.c
        step = n / m
        steps = np.full(m, step)
        steps[0] = step * 0.5
        position = np.cumsum(steps)
    elif reference.nearest == "torch":
        # mode "nearest": no half pixel, `nearest_neighbor_compute_source_index` in UpSample.h
        scale = np.float32(n) / np.float32(m)
        position = i.astype(np.float32) * scale
    elif reference.nearest == "torch_exact":
        # mode "nearest-exact": `nearest_neighbor_exact_compute_source_index` in UpSample.h
        scale = np.float32(n) / np.float32(m)
        middle = i.astype(np.float32) + np.float32(0.5)
        position = middle * scale
    elif reference.nearest == "jax":
        # `_resize_nearest` in jax/_src/image/scale.py: multiplies first, then divides
        middle = i.astype(np.float32) + np.float32(0.5)
        position = middle * np.float32(n) / np.float32(m)
    else:
        # ours: the middle of the output in integers, which never rounds
        position = (2 * i + 1) * n // (2 * m)
    # rounding may put the last position on n itself
    rows = np.floor(position).astype(np.int64)
    return np.minimum(rows, n - 1)


# -- weights of each reference ---------------------------------------------------------------------


def pillow_weights(
    n: int,
    m: int,
    method: str,
    antialias: bool,
    dtype: type = np.float64,
    extent: float | None = None,
) -> Windows:
    """Return start and normalised weights as Pillow's `precompute_coeffs` has them, in `dtype`.

    Args:
        extent: of the source, by default n: less where the last pixel is there in part only.

    >>> pillow_weights(4, 2, "box", True)[1].tolist()
    [[0.5, 0.5], [0.5, 0.5]]

    https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Resample.c; torch's
    `_compute_indices_min_size_weights_aa` (UpSampleKernel.cpp) is a copy of it, in float32.
    """
    filter_ = FILTERS[method]
    if method == "bicubic" and dtype is np.float32:
        filter_ = Filter(interpolation.torch_cubic, filter_.support)
    zero = dtype(0)
    half = dtype(0.5)
    one = dtype(1)
    scale = dtype(n if extent is None else extent) / dtype(m)
    # a filter is stretched to cover the source pixels of an output, never shrunk below scale 1
    stretch = max(scale, one) if antialias else one
    support = dtype(filter_.support) * stretch
    outputs = np.arange(m).astype(dtype)
    centre = scale * (outputs + half)
    # `(int)(x + 0.5)` truncates: that rounds only positive numbers, and the others are cut to 0
    low = (centre - support + half).astype(np.int64)
    low = np.maximum(low, 0)
    high = (centre + support + half).astype(np.int64)
    high = np.minimum(high, n)
    tap = np.arange(_tap_count(low, high))
    # Pillow multiplies by the reciprocal, which differs from a division in the last bit
    inverse = one / stretch
    source = (tap + low[:, None]).astype(dtype)
    distance = (source - centre[:, None] + half) * inverse
    weight = _within(low, high, filter_.kernel(distance), zero)
    total = np.zeros(m, dtype)
    for k in tap:  # one by one, as C does: NumPy's pairwise sum differs in the last bit
        total += weight[:, k]
    divisor = np.where(total == 0, one, total)
    return low, weight / divisor[:, None]


def _tap_count(low: np.ndarray, high: np.ndarray) -> int:
    """The most taps that an output has, at least 1: the second axis of the table."""
    lengths = high - low
    return max(int(lengths.max()), 1)


def _within(
    low: np.ndarray,
    high: np.ndarray,
    weight: np.ndarray,
    zero: Any,
) -> np.ndarray:
    """The weights of the taps from `low` to `high`; the rest of the rectangular table is 0."""
    tap = np.arange(weight.shape[1])
    lengths = high - low
    inside = tap < lengths[:, None]
    return np.where(inside, weight, zero)


def _exact_weights(
    n: int,
    m: int,
    method: str,
    antialias: bool,
) -> Windows:
    """Ours: positions are integers, in units of `1 / (2 m)` of a pixel.

    So a source pixel exactly at the edge of the filter is never lost to rounding.
    """
    filter_ = FILTERS[method]
    stretch = max(n, m) if antialias else m
    output = np.arange(m)
    centre = (2 * output + 1) * n
    reach = int(2 * filter_.support) * stretch  # twice the support is an integer for every filter
    # + m, half a pixel: rounds to the nearest pixel edge, as Pillow's `+ 0.5`
    pixel = 2 * m
    low = (centre - reach + m) // pixel
    low = np.maximum(low, 0)
    high = (centre + reach + m) // pixel
    high = np.minimum(high, n)
    tap = np.arange(_tap_count(low, high))
    source = tap + low[:, None]
    middle = (2 * source + 1) * m  # of a source pixel
    distance = (middle - centre[:, None]) / (2 * stretch)
    weight = _within(low, high, filter_.kernel(distance), 0)
    total = weight.sum(1, keepdims=True)
    return low, weight / total


def _torchvision_weights(
    n: int,
    m: int,
    method: str,
    antialias: bool,
) -> Windows:
    """torchvision's uint8 kernel: Pillow's weights with antialiasing, torch's interpolation in
    float64 without.

    `_compute_index_ranges_int16_weights` in torch's UpSampleKernel.cpp quantises them, see
    `tables.resize_taps`.
    """
    if antialias or method not in ("bilinear", "bicubic"):
        return pillow_weights(n, m, method, antialias)
    return interpolation.centres_aligned(n, m, method, np.float64)


def _torch_weights(
    n: int,
    m: int,
    method: str,
    antialias: bool,
) -> Windows:
    """`torch.nn.functional.interpolate(align_corners=False)` on float32."""
    is_interpolation = not antialias and method in ("bilinear", "bicubic")
    if is_interpolation:
        return interpolation.centres_aligned(n, m, method, np.float32)
    return pillow_weights(n, m, method, antialias, np.float32)


FUSED_LENGTH = 96
"""Outputs of an axis from which on XLA:CPU fuses the multiply-add of their positions."""


def _jax_weights(
    n: int,
    m: int,
    method: str,
    antialias: bool,
) -> Windows:
    """`jax.image.resize`: `compute_weight_mat` of jax/_src/image/scale.py, in float32.

    That makes a dense matrix `(n, m)`; this one only the entries that are not zero.
    """
    filter_ = FILTERS[method]
    zero = np.float32(0)
    one = np.float32(1)
    scale = m / n
    inverse = np.float32(1 / scale)
    stretch = max(inverse, one) if antialias else one
    # XLA:CPU (jaxlib 0.10.2) compiles the positions of a long axis into one fused multiply-add,
    # rounded once, and those of a short one into two instructions: read off from resizes of unit
    # matrices of 40 pairs of lengths. The other way ties break differently.
    middle = np.arange(m) + 0.5
    if m >= FUSED_LENGTH:
        position = middle * np.float64(inverse) - 0.5
        sample = position.astype(np.float32)
    else:
        sample = middle.astype(np.float32) * inverse - np.float32(0.5)
    reach = filter_.support * float(stretch)
    # a pixel too many on either side: the filter, not this bound, says what is zero
    low = np.floor(sample - reach).astype(np.int64)
    low = np.maximum(low, 0)
    high = np.ceil(sample + reach).astype(np.int64) + 1
    high = np.minimum(high, n)
    tap = np.arange(_tap_count(low, high))
    source = (tap + low[:, None]).astype(np.float32)
    distance = np.abs(sample[:, None] - source) / stretch
    weight = _within(low, high, filter_.kernel(distance), zero)
    total = weight.sum(1, keepdims=True)
    # the bound and the guarded division are JAX's: an output that no pixel reaches becomes 0
    least = 1000 * np.finfo(np.float32).eps
    is_covered = np.abs(total) > least
    divisor = np.where(total != 0, total, one)
    weight = np.where(is_covered, weight / divisor, 0)
    # JAX drops outputs whose position lies outside of the image
    is_visible = (sample >= -0.5) & (sample <= n - 0.5)
    return low, np.where(is_visible[:, None], weight, 0)


def _only_interpolation(function: Callable[[int, int, str], Windows]) -> Callable[..., Windows]:
    """The weights of a reference that has no antialiasing; see `Reference.interpolates`."""

    def compute(n: int, m: int, method: str, antialias: bool) -> Windows:
        del antialias
        return function(n, m, method)

    return compute


WEIGHTS = {
    "float64": pillow_weights,  # Pillow's, before they are quantised
    "exact": _exact_weights,
    "torchvision": _torchvision_weights,
    "torch": _torch_weights,
    "torch_corners": _only_interpolation(interpolation.corners_aligned),
    "torchvision_corners": _only_interpolation(
        functools.partial(interpolation.corners_aligned, dtype=np.float64)
    ),
    "opencv": _only_interpolation(interpolation.fixed_point),
    "scipy": _only_interpolation(interpolation.mirrored),
    "jax": _jax_weights,
}
