"""Whose arithmetic an image may have been resized with, and what each makes of a photograph.

Hypotheses are computed here with NumPy, on some rows and columns, without compiling anything: the
tables are those of `jaxprep.resample`, and of libraries whose arithmetic jaxprep does not
reproduce otherwise (OpenCV's bicubic and area, TensorFlow's bicubic).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from jaxprep.bounds import cached
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


_COMMON_FILTERS = ("bilinear", "bicubic")
_ENDS = ("round", "no", "truncate")
"""How the floats of a resize end, the commonest first."""


def _of_filter(method: str, antialias: bool) -> list[Kernel]:
    """Return the kernels of one filter, the commonest first."""
    is_common = method in _COMMON_FILTERS
    # Each library that rounds after each pass has its own sums of integers.
    rounding_twice = []
    # Pillow has no Lanczos filter of 5 lobes; JAX has.
    if method != "lanczos5":
        rounding_twice += ["pillow", "pillow12"]
    # torch's kernels for uint8 are bilinear and bicubic only.
    if is_common:
        rounding_twice.append("torchvision")
    # OpenCV widens no filter but `INTER_AREA`.
    if not antialias and (is_common or method == "lanczos3"):
        rounding_twice.append("opencv")
    kernels = [Kernel(method, antialias, reference, "passes") for reference in rounding_twice]
    if method == "bicubic" and not antialias:
        for rounding in ("no", "round", "truncate"):
            kernels.append(Kernel(method, antialias, "tensorflow", rounding))
    references = ("torch", "jax") if is_common else ("jax",)
    for reference in references:
        for rounding in _ENDS:
            kernels.append(Kernel(method, antialias, reference, rounding))
    return kernels


def _kernels() -> tuple[Kernel, ...]:
    kernels: list[Kernel] = []
    for method in ("bilinear", "bicubic", "lanczos3", "box", "hamming", "lanczos5"):
        for antialias in (True, False):
            kernels += _of_filter(method, antialias)
    for reference, rounding in (
        ("opencv", "passes"),
        ("opencv", "no"),
        ("torch", "no"),
        ("torch", "round"),
    ):
        kernels.append(Kernel("area", True, reference, rounding))
    kernels.append(Kernel("lanczos4", False, "opencv", "passes"))
    # With the corners aligned, and TensorFlow's legacy positions.
    for reference in ("torch_corners", "tensorflow_legacy"):
        for method in _COMMON_FILTERS:
            for rounding in _ENDS:
                kernels.append(Kernel(method, False, reference, rounding))
    for reference in ("pillow", "torch", "jax", "opencv", "opencv_exact"):
        kernels.append(Kernel("nearest", False, reference, "passes"))
    return tuple(kernels)


# -- tables ----------------------------------------------------------------------------------------


@cached()
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
    if method == "nearest" and reference not in ("torch", "pillow"):
        reference = "jax"
    taps = resize_taps(n, m, method, antialias, reference)
    one = 1 << int(taps.shift)
    weight = taps.weight.astype(np.float64) / one
    return taps.start.astype(np.int64), weight


def _cubic(x: np.ndarray, a: float) -> np.ndarray:
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    beyond_near = np.where(x < 2, far, 0.0)
    return np.where(x <= 1, near, beyond_near)


def _around(n: int, m: int, taps: int, position: np.ndarray | None = None) -> Table:
    """Return the first of so many pixels around each position, and their distances."""
    if position is None:
        middle = np.arange(m) + 0.5
        position = middle * (n / m) - 0.5
    before = taps // 2 - 1
    whole = np.floor(position)
    first = whole.astype(np.int64) - before
    pixel = first[:, None] + np.arange(taps)
    return first, pixel - position[:, None]


_FIXED_ONE = 2048
"""The weight 1 of OpenCV for uint8: `INTER_RESIZE_COEF_SCALE` of resize.cpp, 11 bits."""


def _fixed(weight: np.ndarray) -> np.ndarray:
    """Round weights to 11 bits, as OpenCV does for uint8."""
    return np.rint(weight * _FIXED_ONE) / _FIXED_ONE


def _normalized(weight: np.ndarray) -> np.ndarray:
    total = weight.sum(1, keepdims=True)
    return weight / total


def _opencv_cubic(n: int, m: int) -> Table:
    first, distance = _around(n, m, 4)
    # `interpolateCubic` of https://github.com/opencv/opencv/blob/4.x/modules/imgproc/src/resize.cpp
    # has A = -0.75, as torch; Pillow and TensorFlow 2 have -0.5.
    weight = _cubic(distance, -0.75)
    return repeat_edge(first, _fixed(weight), n)


def _opencv_nearest(n: int, m: int) -> Table:
    """`INTER_NEAREST`: a product of float64."""
    # As `resizeNN` inverts `inv_scale_x`: the last bit may be another than that of `n / m`, and so
    # is the pixel where a product is nearly whole.
    scale = 1 / (m / n)
    position = np.arange(m) * scale
    pixel = np.floor(position).astype(np.int64)
    return np.minimum(pixel, n - 1), np.ones((m, 1))


def _opencv_nearest_exact(n: int, m: int) -> Table:
    """`INTER_NEAREST_EXACT`: positions of 16 bits."""
    # `ifx` and `ifx0` of `resizeNN_bitexact` in the same file, integers.
    step = ((n << 16) + m // 2) // m
    first = step // 2 - n % 2
    position = step * np.arange(m) + first
    pixel = position >> 16
    return np.minimum(pixel, n - 1), np.ones((m, 1))


def _opencv_lanczos(n: int, m: int) -> Table:
    first, distance = _around(n, m, 8)
    # `interpolateLanczos4`: 8 taps also where the photograph shrinks, and made to sum to 1.
    weight = np.sinc(distance) * np.sinc(distance / 4)
    weight = _fixed(_normalized(weight))
    return repeat_edge(first, weight, n)


def _opencv_area(n: int, m: int) -> Table:
    """Each output is the mean of what it covers, the pixels at its ends in part."""
    if m < n:
        edges = np.arange(m + 1) * (n / m)
        return _covered(edges[:-1], edges[1:], n)
    # Enlarged, INTER_AREA interpolates: `resizeArea` is for shrinking only.
    scale = n / m
    # `resize` of the same file, `area_mode`: `fx = (dx + 1) - (sx + 1) * inv_scale_x`.
    position = np.arange(m)
    first = np.floor(position * scale)
    first = first.astype(np.int64)
    fraction = (position + 1) - (first + 1) / scale
    below_one = fraction - np.floor(fraction)
    fraction = np.where(fraction <= 0, 0.0, below_one)
    weight = np.stack([1 - fraction, fraction], 1)
    return repeat_edge(first, _fixed(weight), n)


def _torch_area(n: int, m: int) -> Table:
    """`adaptive_avg_pool2d`: whole pixels, from the floor of one edge to the next one's ceiling."""
    # `start_index` and `end_index`, integer divisions:
    # https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/AdaptivePooling.h
    i = np.arange(m)
    first = i * n // m
    # A ceiling, as the floor of the negative.
    last = -((-(i + 1) * n) // m)
    return _covered(first, last, n)


def _covered(low: np.ndarray, high: np.ndarray, n: int) -> Table:
    # An edge that is whole up to the rounding of its product must not count one more pixel.
    first = np.floor(low + 1e-9)
    first = first.astype(np.int64)
    longest = (high - first).max()
    count = int(np.ceil(longest - 1e-9))
    pixel = first[:, None] + np.arange(count)
    # The part of each pixel between both edges; below 0 where it lies outside.
    end = np.minimum(pixel + 1, high[:, None])
    start = np.maximum(pixel, low[:, None])
    weight = np.maximum(end - start, 0)
    weight = _normalized(weight)
    return repeat_edge(first, weight, n)


def _tensorflow_cubic(n: int, m: int) -> Table:
    """`tf.image.resize(method="bicubic")`: weights from a table of 1,024 positions; those outside
    are left out.

    https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/kernels/image/resize_bicubic_op.cc
    """
    # float32, as `ImageResizerState` and `HalfPixelScaler` there.
    half = np.float32(0.5)
    scale = np.float32(n) / np.float32(m)
    middle = np.arange(m, dtype=np.float32) + half
    position = middle * scale - half
    first = np.floor(position)
    first = first.astype(np.int64)
    # `kTableSize` is 1 << 10, `lrintf` finds the row.
    fraction = position - first
    offset = np.rint(fraction * 1024) / 1024
    taps = np.arange(-1, 3)
    distance = taps - offset[:, None]
    weight = _cubic(distance, -0.5)
    pixel = first[:, None] + taps
    is_inside = (pixel >= 0) & (pixel < n)
    weight = np.where(is_inside, weight, 0)
    weight = _normalized(weight)
    return repeat_edge(first - 1, weight, n)


def _legacy(taps: int) -> Callable[[int, int], Table]:
    """TensorFlow 1's positions: no half pixel."""

    def make(n: int, m: int) -> Table:
        # `LegacyScaler` of tensorflow/core/util/image_resizer_state.h: `x * scale`.
        position = np.arange(m) * (n / m)
        first, distance = _around(n, m, taps, position)
        if taps == 4:
            # `GetCoeffsTable` of the file above: -0.75 without half pixels, and -0.5 with them.
            weight = _cubic(distance, -0.75)
        else:
            weight = np.maximum(1 - np.abs(distance), 0)
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


def _is_reproduced(kernel: Kernel) -> bool:
    """Return whether there is a table: of OpenCV's filters for bilinear and those above."""
    if kernel.reference != "opencv" or kernel.method == "bilinear":
        return True
    return kernel[:3] in _SPECIAL


KERNELS = tuple(filter(_is_reproduced, _kernels()))


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
    vertical, horizontal = _taps_of(view, kernel, rows, columns)
    if kernel[:3] == _OPENCV_LINEAR and not fill:
        return _opencv_linear(planes, vertical, horizontal)
    count = len(vertical.pixel)
    if _vertical_first(view, kernel, count):
        first = _pass(planes, vertical, 0, fill)
        rounded = _rounded(first, kernel, 1)
        return _pass(rounded, horizontal, 1, fill, kernel)
    needed, of_needed = _needed_rows(vertical)
    first = _pass(planes[needed], horizontal, 1, fill)
    rounded = _rounded(first, kernel, 1)
    return _pass(rounded, of_needed, 0, fill, kernel)


def _taps_of(
    view: View,
    kernel: Kernel,
    rows: np.ndarray | None,
    columns: np.ndarray | None,
) -> tuple[_AxisTaps, _AxisTaps]:
    """Return the taps of some rows and of some columns of a result, all by default."""
    height, width = view.size
    flip_y, flip_x = view.flip
    rows = np.arange(height) if rows is None else rows
    columns = np.arange(width) if columns is None else columns
    if flip_y:
        rows = height - 1 - rows
    if flip_x:
        columns = width - 1 - columns
    vertical = _axis_taps(view.vertical, kernel)
    horizontal = _axis_taps(view.horizontal, kernel)
    return vertical.of(rows), horizontal.of(columns)


def _needed_rows(vertical: _AxisTaps) -> tuple[np.ndarray, _AxisTaps]:
    """Return the rows of the photograph that are read, and the taps among these."""
    needed, inverse = np.unique(vertical.pixel, return_inverse=True)
    pixel = inverse.reshape(vertical.pixel.shape)
    return needed, vertical._replace(pixel=pixel)


class _AxisTaps(NamedTuple):
    """The source pixels `(m, k)` of each output, and their weights; those outside weigh 0."""

    pixel: np.ndarray
    weight: np.ndarray

    def of(self, rows: np.ndarray) -> _AxisTaps:
        return _AxisTaps(self.pixel[rows], self.weight[rows])


@cached()
def _axis_taps(axis: Axis, kernel: Kernel) -> _AxisTaps:
    n = axis.crop_length
    m = axis.resized
    start, weight = table(n, m, kernel.method, kernel.antialias, kernel.reference)
    position = np.arange(axis.length) + axis.start
    # Padding: an output beyond the resized image shows nothing.
    in_resized = (position >= 0) & (position < m)
    position = np.clip(position, 0, m - 1)
    first = start[position] + axis.crop_start
    tap = np.arange(weight.shape[1])
    pixel = first[:, None] + tap
    in_photo = (pixel >= 0) & (pixel < axis.source)
    weight = weight[position]
    weight = weight * in_resized[:, None]
    weight = weight * in_photo
    # What weighs nothing may be read from any pixel that there is.
    pixel = np.clip(pixel, 0, axis.source - 1)
    # Taps that no output has any more take time.
    is_used = np.any(weight != 0, axis=0)
    used = np.flatnonzero(is_used)
    count = used[-1] + 1 if len(used) else 1
    return _AxisTaps(pixel[:, :count], weight[:, :count])


def _pass(
    image: np.ndarray, taps: _AxisTaps, axis: int, fill: float, kernel: Kernel | None = None
) -> np.ndarray:
    """Sum the taps along one axis, one tap of all outputs at a time."""
    if axis == 1:
        # Whole rows are copied at a time.
        image = np.ascontiguousarray(image.swapaxes(0, 1))
    pixel = taps.pixel
    weight = taps.weight[..., None, None]
    first = image[pixel[:, 0]]
    total: Any = first * weight[:, 0]
    for k in range(1, pixel.shape[1]):
        shifted = image[pixel[:, k]]
        total += shifted * weight[:, k]
    if fill:
        missing = 1 - taps.weight.sum(1)
        filled = fill * missing
        total += filled[:, None, None]
    if kernel is not None:
        total = _rounded(total, kernel, 2)
    return total.swapaxes(0, 1) if axis == 1 else total


_OPENCV_LINEAR = ("bilinear", False, "opencv")


def _opencv_linear(planes: np.ndarray, vertical: _AxisTaps, horizontal: _AxisTaps) -> np.ndarray:
    """Sum as OpenCV does for uint8, which cuts bits off twice in its vertical pass.

    `VResizeLinear` of
    https://github.com/opencv/opencv/blob/4.x/modules/imgproc/src/resize.cpp
    """
    needed, of_needed = _needed_rows(vertical)
    rows = planes[needed].astype(np.int64)
    horizontal_weight = _as_integers(horizontal.weight)
    across = horizontal._replace(weight=horizontal_weight)
    sums: Any = _pass(rows, across, 1, 0.0)
    # 4, 16 and 2 bits are cut off, the 22 of two weights.
    sums = sums >> 4
    row = of_needed.pixel
    vertical_weight = _as_integers(vertical.weight)
    weight = vertical_weight[..., None, None]
    # `(((b0 * (S0 >> 4)) >> 16) + ((b1 * (S1 >> 4)) >> 16) + 2) >> 2`: 2 rounds the last shift.
    shape = (len(row), *sums.shape[1:])
    total: Any = np.full(shape, 2, np.int64)
    tap_count = row.shape[1]
    for k in range(tap_count):
        product = sums[row[:, k]] * weight[:, k]
        total += product >> 16
    levels = total >> 2
    return levels.astype(np.float64)


def _as_integers(weight: np.ndarray) -> np.ndarray:
    return np.rint(weight * _FIXED_ONE).astype(np.int64)


def _vertical_first(view: View, kernel: Kernel, rows: int) -> bool:
    vertical, horizontal = view.vertical, view.horizontal
    if kernel.rounding != "passes" or kernel.method == "nearest":
        # The order does not matter to exact sums: the pass with fewer results first.
        first_by_rows = rows * horizontal.crop_length
        first_by_columns = vertical.crop_length * horizontal.length
        return first_by_rows < first_by_columns
    reference = REFERENCES.get(kernel.reference)
    if reference is None:
        return False
    size = vertical.crop_length, horizontal.crop_length
    return bool(vertical_first(reference, size, view.resized))


def _rounded(values: np.ndarray, kernel: Kernel, which: int) -> np.ndarray:
    """Round what the first or second pass made, as the kernel does."""
    if kernel.method == "nearest" or kernel.rounding == "no":
        return values
    is_opencv = kernel.reference.startswith("opencv")
    if kernel.rounding == "passes" and not is_opencv:
        # In place: the sums are ours.
        values += 0.5
        np.floor(values, out=values)
        return np.clip(values, 0, 255, out=values)
    # The others round once, at the end.
    if which == 1:
        return values
    if kernel.rounding == "truncate":
        # A sum that is whole but for the rounding of its terms stays what it is.
        whole = np.floor(values + 1e-4)
    else:
        # To even, as `saturate_cast` of OpenCV and `round` of torch and jax.
        whole = np.rint(values)
    return np.clip(whole, 0, 255)
