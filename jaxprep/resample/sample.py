"""Tables for positions that are not on a grid of the image: a box of any corners, sampled as
torch's `grid_sample` or SciPy's `affine_transform`; and tables that blur.

Positions come from `positions`, the table of a `tables.Sample` from `sample_taps`; `ops/sample.py`
says which box is sampled. The cubic and the order of operations are those of
https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/GridSampler.h and
https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/UpSample.h, in float32.
"""

from __future__ import annotations

import numpy as np

from jaxprep.bounds import check_weights
from jaxprep.resample.interpolation import blurred, gaussian, linear_spline
from jaxprep.resample.tables import Taps, copy_taps, fit

# `grid_sample` takes OpenCV's number, as torch's `interpolate` does without antialiasing
A = np.float32(-0.75)


def positions(middle: np.float32, length: np.float32, n: int, m: int) -> np.ndarray:
    """Return where `m` samples across `length` pixels around `middle` lie on an axis of `n` pixels,
    `(m,)` float32; the first and the last sample are the ends of that length.

    The arithmetic is that of Sapiens2: to [-1, 1] and back, each operation rounded, with
    `align_corners=True`.

    >>> positions(np.float32(3), np.float32(4), n=9, m=3).tolist()
    [1.0, 3.0, 5.0]
    """
    samples = np.arange(m, dtype=np.float32)
    offset = samples / magnification(length, m)
    half = np.float32(0.5) * length
    inside = offset + middle - half
    # there and back is not the identity in float32, so both steps are kept
    one = np.float32(1)
    two = np.float32(2)
    last = np.float32(n - 1)
    around = two * inside / last - one
    half_length = np.float32((n - 1) / 2)
    return (around + one) * half_length


def magnification(length: np.float32, m: int) -> np.float32:
    """Return how many of `m` samples fall on a pixel where they cross `length` pixels.

    >>> float(magnification(np.float32(4), 9))
    2.0
    """
    # a length of 0 gives infinity, and all samples fall on one position
    with np.errstate(divide="ignore"):
        # by a reciprocal, as torch divides a number by a tensor: the last bit differs
        reciprocal = np.float32(1) / length
    return reciprocal * np.float32(m - 1)


def sample_taps(at: np.ndarray, n: int, method: str) -> Taps:
    """Make the table that samples an axis of `n` pixels at positions `at` `(m,)`.

    Position 0 is the middle of the first pixel; outside of the axis everything is 0.

    Args:
        method: "bilinear", "bicubic" with a = -0.75, or "nearest".

    >>> taps = sample_taps(np.float32([0.25, 1.5]), 3, "bilinear")
    >>> taps.start.tolist(), taps.weight.tolist()
    ([0, 1], [[0.75, 0.25], [0.5, 0.5]])
    """
    # far outside every weight is 0; unbounded positions would overflow the int64 below
    at = np.clip(at, -8, n + 8)
    before = np.floor(at)
    fraction = at - before
    if method == "nearest":
        first = np.floor(at + np.float32(0.5))
        weights = [np.ones(len(at), np.float32)]
    elif method == "bilinear":
        first = before
        weights = [1 - fraction, fraction]
    else:
        first = before - 1
        weights = [
            _far(fraction + 1),
            _near(fraction),
            _near(1 - fraction),
            _far(2 - fraction),
        ]
    start = first.astype(np.int64)
    source = start[:, None] + np.arange(len(weights))
    # `padding_mode="zeros"` of `grid_sample`: the weights are not normalised afterwards
    inside = (source >= 0) & (source < n)
    weight = np.where(inside, np.stack(weights, axis=1), np.float32(0))
    start, weight = fit(start, weight, n)
    return Taps(start, weight, np.int32(0))


def line_weights(
    scale: float,
    shift: float,
    n: int,
    m: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Make the first pixel `(m,)` and the weights `(m, 2)`, float64, of samples at
    `scale * i + shift` of an axis of `n` pixels; 0 outside of it.

    >>> start, weight = line_weights(0.5, 1.0, 2, 2)
    >>> start.tolist(), weight.tolist()
    ([1, 0], [[1.0, 0.0], [0.0, 0.0]])
    """
    # `NI_GeometricTransform` and `map_coordinate` (mode "constant") of
    # https://github.com/scipy/scipy/blob/main/scipy/ndimage/src/ni_interpolation.c: nothing is
    # interpolated between the last pixel and what lies outside
    at = np.arange(m) * scale + shift
    inside = (at >= 0) & (at <= n - 1)
    first, weight = linear_spline(np.where(inside, at, 0))
    return first, np.where(inside[:, None], weight, 0)


def blur_taps(n: int, sigma: float, reach: int) -> Taps:
    """Make the table that blurs an axis of `n` pixels with a Gaussian, mirrored at the ends.

    Args:
        sigma: the standard deviation, in pixels; 0 copies.
        reach: the weight is 0 beyond so many pixels.

    >>> blur_taps(4, 1.0, 1).weight[1].round(3).tolist()
    [0.27399998903274536, 0.4519999921321869, 0.27399998903274536]
    """
    if sigma == 0 or reach == 0:
        return copy_taps(np.arange(n))
    check_weights(n, min(2 * reach + 1, n), f"a blur of {n} pixels")
    start, weight = blurred(n, gaussian(sigma, reach))
    start, weight = fit(start, weight.astype(np.float32), n)
    return Taps(start, weight, np.int32(0))


def _near(x: np.ndarray) -> np.ndarray:
    """The cubic within a pixel: `cubic_convolution1`.

    Each operation is rounded; `filters.torch_cubic`, which is that of resizing, fuses them.
    """
    return ((A + 2) * x - (A + 3)) * x * x + 1


def _far(x: np.ndarray) -> np.ndarray:
    """The cubic between one pixel and two: `cubic_convolution2`."""
    value = A * x - 5 * A
    value = value * x + 8 * A
    return value * x - 4 * A
