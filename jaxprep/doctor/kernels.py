"""Whose arithmetic an image may have been resized with, and what each makes of a photograph.

Hypotheses are computed here with NumPy, on some rows and columns, without compiling anything: the
tables are those of `jaxprep.resample`, and of libraries whose arithmetic jaxprep does not
reproduce otherwise (OpenCV's bicubic and area, TensorFlow's bicubic).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxprep.doctor.views import Axis, View
from jaxprep.resample.interpolation import repeat_edge
from jaxprep.resample.references import REFERENCES
from jaxprep.resample.tables import resize_taps, vertical_first

Table = tuple[np.ndarray, np.ndarray]
"""The first tap `(m,)` and the weights `(m, k)`, float64."""
Rounding = str
"""How a resize ends: "no", "round" or "truncate" to integers."""


class Kernel(NamedTuple):
    """Names a resize.

    Attributes:
        method: a name of `jaxprep.ops.resize`, or "area" or "lanczos4", which only OpenCV has.
        antialias: whether the filter is widened where the photograph shrinks.
        reference: whose arithmetic.
        rounding: "passes" rounds after each pass, as libraries for uint8 do; "round" and
            "truncate" at the end; "no" keeps floats.

    >>> Kernel("bilinear", True, "pillow", "passes").describe()
    'bilinear, antialiased, as pillow'
    """

    method: str
    antialias: bool
    reference: str
    rounding: str

    def describe(self) -> str:
        """Return the filter in words."""
        widened = "antialiased" if self.antialias else "not antialiased"
        return f"{self.method}, {widened}, as {self.reference}"


def candidates(method: str, antialias: bool) -> tuple[Kernel, ...]:
    """Return every arithmetic that some library has for a filter, the commonest first.

    >>> len(candidates("bilinear", True)) > 5
    True
    """
    return tuple(kernel for kernel in KERNELS if kernel[:2] == (method, antialias))


def _kernels() -> tuple[Kernel, ...]:
    kernels: list[Kernel] = []
    for method in ("bilinear", "bicubic", "lanczos3", "box", "hamming", "lanczos5"):
        floats = ("torch", "jax") if method in ("bilinear", "bicubic") else ("jax",)
        for antialias in (True, False):
            names = ("pillow", "pillow12") if method != "lanczos5" else ()
            kernels += [Kernel(method, antialias, name, "passes") for name in names]
            if method in ("bilinear", "bicubic"):
                kernels.append(Kernel(method, antialias, "torchvision", "passes"))
            if method in ("bilinear", "bicubic", "lanczos3") and not antialias:
                kernels.append(Kernel(method, antialias, "opencv", "passes"))
            if method == "bicubic" and not antialias:
                kernels += [Kernel(method, antialias, "tensorflow", way) for way in ("no", "round")]
                kernels.append(Kernel(method, antialias, "tensorflow", "truncate"))
            for name in floats:
                for way in ("round", "no", "truncate"):
                    kernels.append(Kernel(method, antialias, name, way))
    for name, way in (("opencv", "passes"), ("opencv", "no"), ("torch", "no"), ("torch", "round")):
        kernels.append(Kernel("area", True, name, way))
    kernels.append(Kernel("lanczos4", False, "opencv", "passes"))
    # With the corners aligned, and TensorFlow's legacy positions.
    for name in ("torch_corners", "tensorflow_legacy"):
        for method in ("bilinear", "bicubic"):
            for way in ("round", "no", "truncate"):
                kernels.append(Kernel(method, False, name, way))
    for name in ("pillow", "torch", "jax", "opencv", "opencv_exact"):
        kernels.append(Kernel("nearest", False, name, "passes"))
    return tuple(kernels)


# -- tables ----------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=512)
def table(n: int, m: int, method: str, antialias: bool, reference: str) -> Table:
    """Return the table that resizes `n` pixels to `m`, integer weights divided by their scale.

    >>> table(4, 2, "box", True, "pillow")[1].tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    if n == m:
        return np.arange(m), np.ones((m, 1))
    special = _SPECIAL.get((method, antialias, reference))
    if special is not None:
        return special(n, m)
    if method == "nearest":
        reference = {"torch": "torch", "pillow": "pillow"}.get(reference, "jax")
    taps = resize_taps(n, m, method, antialias, reference)
    shift = int(taps.shift)
    weight = taps.weight.astype(np.float64) / (1 << shift)
    return taps.start.astype(np.int64), weight


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))


def _around(n: int, m: int, taps: int, position: np.ndarray | None = None) -> Table:
    """Return the first of so many pixels around each position, and their distances."""
    if position is None:
        position = (np.arange(m) + 0.5) * (n / m) - 0.5
    first = np.floor(position).astype(np.int64) - (taps // 2 - 1)
    distance = first[:, None] + np.arange(taps) - position[:, None]
    return first, distance


def _fixed(weight: np.ndarray) -> np.ndarray:
    """Round weights to 11 bits, as OpenCV does for uint8."""
    return np.rint(weight * 2048) / 2048


def _opencv_cubic(n: int, m: int) -> Table:
    first, distance = _around(n, m, 4)
    # `interpolateCubic` of https://github.com/opencv/opencv/blob/4.x/modules/imgproc/src/resize.cpp
    # has A = -0.75, as torch; Pillow and TensorFlow 2 have -0.5.
    return repeat_edge(first, _fixed(_cubic(distance, -0.75)), n)


def _opencv_nearest(n: int, m: int) -> Table:
    """`INTER_NEAREST`: a product of float64."""
    # As `resizeNN` inverts `inv_scale_x`: the last bit may be another than that of `n / m`, and so
    # is the pixel where a product is nearly whole.
    scale = 1 / (m / n)
    pixel = np.minimum(np.floor(np.arange(m) * scale).astype(np.int64), n - 1)
    return pixel, np.ones((m, 1))


def _opencv_nearest_exact(n: int, m: int) -> Table:
    """`INTER_NEAREST_EXACT`: positions of 16 bits."""
    # `ifx` and `ifx0` of `resizeNN_bitexact` in the same file, integers.
    step = ((n << 16) + m // 2) // m
    pixel = (step * np.arange(m) + (step // 2 - n % 2)) >> 16
    return np.minimum(pixel, n - 1), np.ones((m, 1))


def _opencv_lanczos(n: int, m: int) -> Table:
    first, distance = _around(n, m, 8)
    # `interpolateLanczos4`: 8 taps also where the photograph shrinks, and made to sum to 1.
    weight = np.sinc(distance) * np.sinc(distance / 4)
    return repeat_edge(first, _fixed(weight / weight.sum(1, keepdims=True)), n)


def _opencv_area(n: int, m: int) -> Table:
    """Each output is the mean of what it covers, the pixels at its ends in part."""
    if m >= n:
        # Enlarged, INTER_AREA interpolates: `resizeArea` is for shrinking only.
        scale = n / m
        # `resize` of the same file, `area_mode`: `fx = (dx + 1) - (sx + 1) * inv_scale_x`.
        position = np.arange(m)
        first = np.floor(position * scale).astype(np.int64)
        fraction = (position + 1) - (first + 1) / scale
        fraction = np.where(fraction <= 0, 0.0, fraction - np.floor(fraction))
        weight = _fixed(np.stack([1 - fraction, fraction], 1))
        return repeat_edge(first, weight, n)
    edges = np.arange(m + 1) * (n / m)
    return _covered(edges[:-1], edges[1:], n)


def _torch_area(n: int, m: int) -> Table:
    """`adaptive_avg_pool2d`: whole pixels, from the floor of one edge to the next one's ceiling."""
    # `start_index` and `end_index`, integer divisions:
    # https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/AdaptivePooling.h
    i = np.arange(m)
    first = i * n // m
    last = -((-(i + 1) * n) // m)
    return _covered(first, last, n)


def _covered(low: np.ndarray, high: np.ndarray, n: int) -> Table:
    # An edge that is whole up to the rounding of its product must not count one more pixel.
    first = np.floor(low + 1e-9).astype(np.int64)
    count = int(np.ceil((high - first).max() - 1e-9))
    pixel = first[:, None] + np.arange(count)
    inside = np.minimum(pixel + 1, high[:, None]) - np.maximum(pixel, low[:, None])
    weight = np.maximum(inside, 0)
    return repeat_edge(first, weight / weight.sum(1, keepdims=True), n)


def _tensorflow_cubic(n: int, m: int) -> Table:
    """`tf.image.resize(method="bicubic")`: weights from a table of 1,024 positions; those outside
    are left out.

    https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/kernels/image/resize_bicubic_op.cc
    """
    # float32, as `ImageResizerState` and `HalfPixelScaler` there.
    scale = np.float32(n) / np.float32(m)
    position = (np.arange(m, dtype=np.float32) + np.float32(0.5)) * scale - np.float32(0.5)
    first = np.floor(position).astype(np.int64)
    # `kTableSize` is 1 << 10, `lrintf` finds the row.
    offset = np.rint((position - first) * 1024) / 1024
    distance = np.arange(-1, 3) - offset[:, None]
    weight = _cubic(distance, -0.5)
    pixel = first[:, None] + np.arange(-1, 3)
    weight = np.where((pixel >= 0) & (pixel < n), weight, 0)
    return repeat_edge(first - 1, weight / weight.sum(1, keepdims=True), n)


def _legacy(taps: int) -> Callable[[int, int], Table]:
    """TensorFlow 1's positions: no half pixel."""

    def make(n: int, m: int) -> Table:
        first, distance = _around(n, m, taps, np.arange(m) * (n / m))
        # TensorFlow has a = -0.75 without half pixels, and -0.5 with them.
        weight = _cubic(distance, -0.75) if taps == 4 else np.maximum(1 - np.abs(distance), 0)
        return repeat_edge(first, weight, n)

    return make


_SPECIAL: dict[tuple[str, bool, str], Callable[[int, int], Table]] = {
    ("bicubic", False, "opencv"): _opencv_cubic,
    ("nearest", False, "opencv"): _opencv_nearest,
    ("nearest", False, "opencv_exact"): _opencv_nearest_exact,
    ("lanczos4", False, "opencv"): _opencv_lanczos,
    ("area", True, "opencv"): _opencv_area,
    ("area", True, "torch"): _torch_area,
    ("bicubic", False, "tensorflow"): _tensorflow_cubic,
    ("bilinear", False, "tensorflow_legacy"): _legacy(2),
    ("bicubic", False, "tensorflow_legacy"): _legacy(4),
}

KERNELS = tuple(
    kernel
    for kernel in _kernels()
    if kernel.reference != "opencv" or kernel.method == "bilinear" or kernel[:3] in _SPECIAL
)


# -- images ----------------------------------------------------------------------------------------


def predicted(
    planes: np.ndarray,
    view: View,
    kernel: Kernel,
    rows: np.ndarray | None = None,
    columns: np.ndarray | None = None,
    fill: float = 0.0,
) -> np.ndarray:
    """Return what a view shows of `planes` `(h, w, c)`, in levels, float64.

    Args:
        rows, columns: of the result, all by default.
        fill: what lies outside of the photograph.

    >>> image = np.arange(16.0).reshape(4, 4, 1)
    >>> kernel = Kernel("box", True, "pillow", "passes")
    >>> predicted(image, View.squashed((4, 4), (2, 2)), kernel)[..., 0].tolist()
    [[3.0, 5.0], [11.0, 13.0]]
    """
    height, width = view.size
    flip_y, flip_x = view.flip
    rows = np.arange(height) if rows is None else rows
    columns = np.arange(width) if columns is None else columns
    if flip_y:
        rows = height - 1 - rows
    if flip_x:
        columns = width - 1 - columns
    vertical = _axis_taps(view.vertical, kernel).of(rows)
    horizontal = _axis_taps(view.horizontal, kernel).of(columns)
    if kernel[:3] == _OPENCV_LINEAR and not fill:
        return _opencv_linear(planes, vertical, horizontal)
    if _vertical_first(view, kernel, len(rows)):
        first = _pass(planes, vertical, 0, fill)
        return _pass(_rounded(first, kernel, 1), horizontal, 1, fill, kernel)
    needed, inverse = np.unique(vertical.pixel, return_inverse=True)
    part = planes[needed]
    first = _rounded(_pass(part, horizontal, 1, fill), kernel, 1)
    within = vertical._replace(pixel=inverse.reshape(vertical.pixel.shape))
    return _pass(first, within, 0, fill, kernel)


class _AxisTaps(NamedTuple):
    """The source pixels `(m, k)` of each output, and their weights; those outside weigh 0."""

    pixel: np.ndarray
    weight: np.ndarray

    def of(self, rows: np.ndarray) -> _AxisTaps:
        return _AxisTaps(self.pixel[rows], self.weight[rows])


@functools.lru_cache(maxsize=512)
def _axis_taps(axis: Axis, kernel: Kernel) -> _AxisTaps:
    start, weight = table(
        axis.crop_length, axis.resized, kernel.method, kernel.antialias, kernel.reference
    )
    position = np.arange(axis.length) + axis.start
    inside = (position >= 0) & (position < axis.resized)
    position = np.clip(position, 0, axis.resized - 1)
    pixel = start[position][:, None] + axis.crop_start + np.arange(weight.shape[1])
    weight = weight[position] * inside[:, None]
    weight = weight * ((pixel >= 0) & (pixel < axis.source))
    used = np.flatnonzero(np.any(weight != 0, axis=0))
    last = used[-1] + 1 if len(used) else 1
    return _AxisTaps(np.clip(pixel, 0, axis.source - 1)[:, :last], weight[:, :last])


def _pass(
    image: np.ndarray, taps: _AxisTaps, axis: int, fill: float, kernel: Kernel | None = None
) -> np.ndarray:
    """Sum the taps along one axis, one tap of all outputs at a time."""
    if axis == 1:
        # Whole rows are copied at a time.
        image = np.ascontiguousarray(image.swapaxes(0, 1))
    total: Any = image[taps.pixel[:, 0]] * taps.weight[:, 0, None, None]
    for k in range(1, taps.pixel.shape[1]):
        total += image[taps.pixel[:, k]] * taps.weight[:, k, None, None]
    if fill:
        total += (fill * (1 - taps.weight.sum(1)))[:, None, None]
    if kernel is not None:
        total = _rounded(total, kernel, 2)
    return total.swapaxes(0, 1) if axis == 1 else total


_OPENCV_LINEAR = ("bilinear", False, "opencv")


def _opencv_linear(planes: np.ndarray, vertical: _AxisTaps, horizontal: _AxisTaps) -> np.ndarray:
    """Sum as OpenCV does for uint8, which cuts bits off twice in its vertical pass.

    `VResizeLinear` of
    https://github.com/opencv/opencv/blob/4.x/modules/imgproc/src/resize.cpp
    """
    needed, inverse = np.unique(vertical.pixel, return_inverse=True)
    row = inverse.reshape(vertical.pixel.shape)
    across = horizontal._replace(weight=np.rint(horizontal.weight * 2048).astype(np.int64))
    sums: Any = _pass(planes[needed].astype(np.int64), across, 1, 0.0) >> 4
    weight = np.rint(vertical.weight * 2048).astype(np.int64)
    # `(((b0 * (S0 >> 4)) >> 16) + ((b1 * (S1 >> 4)) >> 16) + 2) >> 2`: 2 rounds the last shift.
    total: Any = np.full((len(row), *sums.shape[1:]), 2, np.int64)
    for k in range(len(row[0])):
        total += (sums[row[:, k]] * weight[:, k, None, None]) >> 16
    return (total >> 2).astype(np.float64)


def _vertical_first(view: View, kernel: Kernel, rows: int) -> bool:
    if kernel.rounding != "passes" or kernel.method == "nearest":
        # The order does not matter to exact sums: the pass with fewer results first.
        return (
            rows * view.horizontal.crop_length < view.vertical.crop_length * view.horizontal.length
        )
    row = REFERENCES.get(kernel.reference)
    if row is None:
        return False
    size = view.vertical.crop_length, view.horizontal.crop_length
    return bool(vertical_first(row, size, view.resized))


def _rounded(values: np.ndarray, kernel: Kernel, which: int) -> np.ndarray:
    """Round what the first or second pass made, as the kernel does."""
    if kernel.method == "nearest" or kernel.rounding == "no":
        return values
    if kernel.rounding == "passes" and not kernel.reference.startswith("opencv"):
        # In place: the sums are ours.
        values += 0.5
        return np.clip(np.floor(values, out=values), 0, 255, out=values)
    if which == 1:
        return values
    if kernel.rounding == "truncate":
        return np.clip(np.floor(values + 1e-4), 0, 255)
    # To even, as `saturate_cast` of OpenCV and `round` of torch and jax.
    return np.clip(np.rint(values), 0, 255)
