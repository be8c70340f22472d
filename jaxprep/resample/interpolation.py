"""Weights of interpolation: of the nearest 2 or 4 pixels, however much an image shrinks.

Libraries differ in where an output lies, in the precision of its position, and in what they read
past the edge. Each function turns two lengths `(n, m)` into the first tap `(m,)` and the weights
`(m, k)` of each output; `filters.WEIGHTS` says which reference has which.

Where the arithmetic comes from:

* torch: https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/UpSample.h
* OpenCV, as PaddlePaddle's SLANeXt has it: `_resize` of
  https://github.com/huggingface/transformers/blob/main/src/transformers/models/slanext/image_processing_slanext.py
* SciPy: https://github.com/scipy/scipy/blob/main/scipy/ndimage/src/ni_interpolation.c
"""

from __future__ import annotations

from typing import Any

import numpy as np

Windows = tuple[np.ndarray, np.ndarray]
"""The first tap `(m,)` and the weights `(m, k)` of each output."""

OPENCV_BITS = 11
"""Fractional bits of a weight: `INTER_RESIZE_COEF_BITS` of OpenCV's resize.cpp."""


def fused(a: Any, x: Any, b: Any) -> Any:
    """Compute `a * x + b` with one rounding to the dtype of `x`, as a fused multiply-add does.

    >>> x = np.float32(0.1)
    >>> bool(fused(x, x, -(x * x)) == 0)  # what the rounded product lacks of the exact one
    False
    """
    # a product of two float32 numbers is exact in float64
    product = np.multiply(a, x, dtype=np.float64)
    return (product + b).astype(x.dtype)


def torch_cubic(x: Any, a: float = -0.5) -> Any:
    """Evaluate Keys' cubic as torch does: in fused multiply-adds.

    `cubic_convolution1` and `cubic_convolution2` in torch's UpSample.h. With antialiasing torch
    takes a = -0.5, as Pillow; without, a = -0.75, as OpenCV.

    >>> torch_cubic(np.array([0.5, 1.5], np.float32), a=-0.75).tolist()
    [0.59375, -0.09375]
    """
    x = np.abs(x)
    # the compiler contracts each `a * x + b` of the C++ source, so it is rounded once, not twice
    near = fused(a + 2, x, -(a + 3))
    near = fused(near * x, x, 1)
    far = fused(a, x, -5 * a)
    far = fused(far, x, 8 * a)
    far = fused(far, x, -4 * a)
    beyond_near = np.where(x < 2, far, 0)
    value = np.where(x < 1, near, beyond_near)
    return value.astype(x.dtype)


# -- torch -----------------------------------------------------------------------------------------


def centres_aligned(n: int, m: int, method: str, dtype: type) -> Windows:
    """Make torch's weights of `align_corners=False`, in `dtype`; the edge is repeated.

    >>> first, weight = centres_aligned(2, 4, "bilinear", np.float32)
    >>> first.tolist(), weight[1].tolist()
    ([0, 0, 0, 0], [0.75, 0.25])
    """
    # `area_pixel_compute_source_index` in torch's UpSample.h, which the compiler contracts
    scale = dtype(n) / dtype(m)
    middle = np.arange(m).astype(dtype) + dtype(0.5)
    position = fused(scale, middle, -0.5)
    if method == "bilinear":
        # torch cuts positions before the first pixel off to 0 for linear modes, not for cubic ones
        position = np.maximum(position, dtype(0))
    return _between_pixels(position, n, method)


def corners_aligned(n: int, m: int, method: str, dtype: type = np.float32) -> Windows:
    """Make torch's weights of `align_corners=True`: the first and last pixels lie on each other.

    Args:
        dtype: of the arithmetic: float32, or float64 where torch resizes uint8.

    >>> first, weight = corners_aligned(2, 3, "bilinear")
    >>> weight.tolist()
    [[1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
    """
    # `area_pixel_compute_scale` in torch's UpSample.h
    step = dtype(0)
    if m > 1:
        step = dtype(n - 1) / dtype(m - 1)
    position = step * np.arange(m, dtype=dtype)
    # the product may be rounded past the last pixel
    position = np.minimum(position, dtype(n - 1))
    return _between_pixels(position, n, method)


def _between_pixels(position: np.ndarray, n: int, method: str) -> Windows:
    """The weights of the 2 or 4 pixels around each position."""
    first = np.floor(position).astype(np.int64)
    fraction = (position - first).astype(position.dtype)
    if method == "bilinear":
        weight = np.stack([1 - fraction, fraction], 1)
        return repeat_edge(first, weight, n)
    distances = [
        fraction + 1,
        fraction,
        1 - fraction,
        2 - fraction,
    ]
    # -0.75: `get_cubic_upsample_coefficients` in UpSample.h, the number of OpenCV's INTER_CUBIC
    weight = torch_cubic(np.stack(distances, 1), -0.75)
    return repeat_edge(first - 1, weight, n)


# -- OpenCV ----------------------------------------------------------------------------------------


def fixed_point(n: int, m: int, method: str) -> Windows:
    """Make SLANeXt's weights, which are multiples of 1 / 2048, in float32.

    OpenCV rounds weights of uint8 images so, and sums integers; `ops/fixed_point.py` keeps the sums
    exact in float32.

    >>> first, weight = fixed_point(3, 2, "bilinear")
    >>> first.tolist(), (2048 * weight).tolist()
    ([0, 1], [[1536.0, 512.0], [512.0, 1536.0]])
    """
    del method  # there is none but "bilinear"
    if n == 1:
        return np.zeros(m, np.int64), np.ones((m, 1), np.float32)
    # each operation is rounded to float32
    half = np.float32(0.5)
    scale = np.float32(float(n) / float(m))
    position = (np.arange(m, dtype=np.float32) + half) * scale - half
    first = np.floor(position)
    fraction = position - first
    first = first.astype(np.int64)
    fraction = np.where(first < 0, np.float32(0), fraction)
    fraction = np.where(first >= n - 1, np.float32(1), fraction)
    one = np.float32(1 << OPENCV_BITS)
    right = np.floor(fraction * one + half) / one
    weight = np.stack([1 - right, right], 1).astype(np.float32)
    return np.clip(first, 0, n - 2), weight


# -- SciPy -----------------------------------------------------------------------------------------


def mirrored(n: int, m: int, method: str) -> Windows:
    """Make the weights of SciPy's `zoom(order=1, mode="mirror", grid_mode=True)`, in float64.

    >>> first, weight = mirrored(2, 4, "bilinear")  # the first position is -0.25, mirrored to 0.25
    >>> weight[0].tolist()
    [0.75, 0.25]
    """
    del method  # there is none but "bilinear"
    if n == 1:
        return np.zeros(m, np.int64), np.ones((m, 1))
    # `NI_ZoomShift`, then `map_coordinate`: no position is farther than a pixel outside
    position = (np.arange(m) + 0.5) * (n / m) - 0.5
    position = np.abs(position)
    last = n - 1
    position = np.where(position > last, 2 * last - position, position)
    return repeat_edge(*linear_spline(position), n)


def linear_spline(position: np.ndarray) -> Windows:
    """Make SciPy's weights of the 2 pixels around each position, in float64.

    >>> first, weight = linear_spline(np.array([1.25]))
    >>> first.tolist(), weight.tolist()
    ([1], [[0.75, 0.25]])
    """
    first = np.floor(position).astype(np.int64)
    left = 1 - (position - first)
    # `get_spline_interpolation_weights`: the last weight is what the others leave of 1
    return first, np.stack([left, 1 - left], 1)


def gaussian(sigma: float, reach: int) -> np.ndarray:
    """Make the weights `(2 * reach + 1,)` of a Gaussian, which sum to 1, in float64.

    >>> gaussian(1.0, 1).round(3).tolist()
    [0.274, 0.452, 0.274]
    """
    # `_gaussian_kernel1d` of scipy/ndimage/_filters.py; torchvision's `_get_gaussian_kernel1d` is
    # a softmax of the same exponents in float32
    position = np.arange(-reach, reach + 1)
    weight = np.exp(-0.5 / (sigma * sigma) * position**2)
    return weight / weight.sum()


def blurred(n: int, weight: np.ndarray) -> Windows:
    """Make the table that blurs an axis of `n` pixels by a kernel of odd length, mirrored at the
    edge, which is not repeated.

    >>> first, weight = blurred(4, np.array([0.25, 0.5, 0.25]))
    >>> first.tolist(), weight[0].tolist()
    ([0, 0, 1, 1], [0.5, 0.5, 0.0])
    """
    reach = len(weight) // 2
    source = np.arange(n)[:, None] + np.arange(-reach, reach + 1)
    period = max(2 * n - 2, 1)  # mirrored again and again where the kernel is longer than the axis
    source = np.abs(source) % period
    source = np.minimum(source, period - source) if n > 1 else source
    return _summed(source, np.tile(weight, (n, 1)), n)


# -- edges -----------------------------------------------------------------------------------------


def repeat_edge(start: np.ndarray, weight: np.ndarray, n: int) -> Windows:
    """Add the weights of taps outside `[0, n)` to the pixel at the edge.

    torch reads the edge pixel once for each of them (`upsample_get_value_bounded` in UpSample.h);
    one tap with the sum of their weights reads it once.

    >>> first, weight = repeat_edge(np.array([-1]), np.array([[0.25, 0.75]]), 3)
    >>> first.tolist(), weight.tolist()
    ([0], [[1.0, 0.0]])
    """
    source = start[:, None] + np.arange(weight.shape[1])
    return _summed(np.clip(source, 0, n - 1), weight, n)


def _summed(source: np.ndarray, weight: np.ndarray, n: int) -> Windows:
    """The table of taps that read the pixels `source` `(m, k)`, some of them more than once."""
    outputs, taps = weight.shape
    count = min(taps, n)
    first = np.minimum(source.min(1), n - count)
    column = source - first[:, None]
    row = np.arange(outputs)[:, None]
    summed = np.zeros((outputs, count), weight.dtype)
    # `add.at`, not `+=`: a column that occurs twice must get both weights
    np.add.at(summed, (row, column), weight)
    return first, summed
