"""What nearly every preset does to a pixel: make it RGB, rescale, normalise, clip and cast it.

Steps of rarer kinds that change colours are in `color.py`. `rescale`, `normalize` and `clip` take
NumPy and JAX arrays alike: on NumPy they compute what the reference publishes, operation by
operation in float32, and so the tables of an exact pipeline; in a compiled program XLA may contract
and reorder them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Shaped

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.ops.words import number_list
from jaxprep.pipeline.numbers import FLOAT32_MAX
from jaxprep.pipeline.step import Pointwise
from jaxprep.resample.passes import round_to
from jaxprep.settings import with_default_settings
from jaxprep.types import Array

PerChannel = float | tuple[float, ...]
Alpha = Literal["drop", "white"]
WITH_ALPHA = (2, 4)
"""Numbers of channels of which the last is alpha."""


@with_default_settings
def to_rgb(image: Shaped[Array, "*shape c"], *, alpha: Alpha = "drop") -> Shaped[Array, "*shape 3"]:
    """Makes three channels of 1 (gray), 2 (gray, alpha), 3, or 4 (RGB, alpha), along the last axis.

    Args:
        image: uint8 in [0, 255], or floating point in [0, 1] where alpha is composited.
        alpha: "drop" keeps the stored colours; "white" lays the image over white, for uint8 as
            Pillow's `alpha_composite` does, bit for bit.

    >>> import numpy as np
    >>> to_rgb(np.uint8([[7]])).tolist()
    [[7, 7, 7]]
    >>> to_rgb(np.uint8([[10, 20, 30, 0]]), alpha="white").tolist()
    [[255, 255, 255]]
    """
    channels = image.shape[-1]
    if channels == 3:
        return image
    colour_count = 1 if channels < 3 else 3
    colour = image[..., :colour_count]
    if channels in WITH_ALPHA and alpha == "white":
        colour = over_white(colour, image[..., -1:])
    # "drop" is `Image.convert("RGB")` of Pillow, which copies the colours that are stored and does
    # not look at alpha: `rgba2rgb` of
    # https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Convert.c
    if channels > 3:
        return colour
    return jnp.broadcast_to(colour, (*colour.shape[:-1], 3))


@dataclass(frozen=True)
class ToRGB(Pointwise):
    """Makes three channels of 1 to 4; see `to_rgb`.

    Attributes:
        alpha: as in `to_rgb`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> ToRGB()(Batch(image=np.zeros((4, 4, 1), np.uint8))).image.shape
    (4, 4, 3)
    """

    alpha: Alpha = "drop"

    def output_channels(self, channels: int) -> int:
        if not 1 <= channels <= 4:
            raise InputError(
                "Expected an image of 1 (gray), 2 (gray, alpha), 3 or 4 (RGB, alpha) channels, "
                f"got {channels}. Channels come last, (h, w, c), unless the pipeline begins with "
                "`ChannelsLast`."
            )
        return 3

    def apply(self, image: Any, draw: Any = None) -> Any:
        return to_rgb(image, alpha=self.alpha)

    def undo(self, image: Any) -> Any:
        # An RGB image of the same colours: alpha is not kept, and a picture needs none.
        return image

    def describe(self) -> str:
        alpha = "dropped, the stored colours kept" if self.alpha == "drop" else "laid over white"
        return f"make it RGB: gray is repeated, alpha {alpha}"


@with_default_settings
def over_white(
    colour: Shaped[Array, "*shape c"], alpha: Shaped[Array, "*shape 1"]
) -> Shaped[Array, "*shape c"]:
    """Lays colours over white by their alpha.

    Args:
        colour, alpha: integers in [0, 255], or floating point in [0, 1].

    >>> import numpy as np
    >>> over_white(np.uint8([0, 100]), np.uint8([128])).tolist()
    [127, 177]
    """
    if not jnp.issubdtype(colour.dtype, jnp.integer):
        return colour * alpha + (1 - alpha)
    # Pillow's fixed-point blend, with 7 extra bits (`PRECISION_BITS`) and a rounded division by
    # 255, for a background that is opaque white:
    # https://github.com/python-pillow/Pillow/blob/main/src/libImaging/AlphaComposite.c
    # A product in float32 differs from it by a level where the fraction is near one half.
    colour, opacity = colour.astype(jnp.int32), alpha.astype(jnp.int32)
    blended = colour * opacity + 255 * (255 - opacity)
    total = blended * 128 + (0x80 << 7)
    # `(x + (x >> 8)) >> 8` is `x / 255` without a division: `SHIFTFORDIV255` of
    # https://github.com/python-pillow/Pillow/blob/main/src/libImaging/ImagingUtils.h
    quotient = ((total >> 8) + total) >> 8
    return (quotient >> 7).astype(alpha.dtype)


def _fitting_channels(step: Pointwise, channels: int, *values: PerChannel) -> int:
    """Return the number of channels where each of `values` is one number, or one per channel."""
    # NumPy, Keras and Transformers broadcast `(h, w, 1)` with 3 means: gray becomes 3 channels.
    for numbers in values:
        if not isinstance(numbers, tuple) or len(numbers) in (1, channels):
            continue
        if channels != 1:
            raise InputError(
                f"Expected an image of {len(numbers)} channels, since {type(step).__name__} has a "
                f"value for each, or of 1 (gray), got {channels} channels. Where the channels come "
                "first, move them last: `np.moveaxis(image, -3, -1)`."
            )
        channels = len(numbers)
    return channels


def _check_lengths(**values: PerChannel) -> None:
    """Raises `ConfigError` unless all values of channels are for as many channels, or for all."""
    lengths = {name: len(value) for name, value in values.items() if isinstance(value, tuple)}
    longest = max(lengths, key=lambda name: lengths[name], default="")
    for name, length in lengths.items():
        if length not in (1, lengths[longest]):
            wanted = f"one value or {lengths[longest]}, as `{longest}` has"
            raise codec.expected(wanted, values[name], f"$.{name}")


@with_default_settings
def rescale(
    image: Shaped[Array, "*shape c"],
    scale: PerChannel = 1 / 255,
    offset: PerChannel = 0.0,
    *,
    arithmetic: Literal["float32", "float64", "division"] = "float32",
) -> Float32[Array, "*shape channels"]:
    """Computes `image * scale + offset`, in float32.

    Args:
        image: any shape, the last axis being the channels; any type.
        scale: one factor, or one per channel.
        offset: added after scaling; one value, or one per channel.
        arithmetic: of the product. "float32" rounds the factor first (Keras); "float64" rounds only
            the product (Transformers' PIL backend); "division" divides by `round(1 / scale)`
            (torchvision's and timm's `/ 255`).

    >>> import numpy as np
    >>> rescale(np.uint8([[0, 255]]), 1 / 127.5, -1.0).tolist()
    [[-1.0, 1.0]]
    """
    x = image.astype(np.float32)
    if arithmetic == "division":
        # `to_tensor` divides by 255, which differs from a product with 1/255 on 126 of 256 bytes:
        # https://github.com/pytorch/vision/blob/main/torchvision/transforms/functional.py
        divisor = np.round(1 / np.asarray(scale, np.float64))
        x = x / divisor.astype(np.float32)
    elif arithmetic == "float64" and isinstance(image, np.ndarray):
        # `rescale` multiplies in float64 and casts the product:
        # https://github.com/huggingface/transformers/blob/main/src/transformers/image_transforms.py
        # JAX has no float64 by default: only the host's tables of an exact pipeline need it.
        product = image.astype(np.float64) * scale
        x = product.astype(np.float32)
    elif np.any(np.asarray(scale) != 1):
        # `Rescaling` casts the factor to the layer's dtype, float32, before it multiplies:
        # https://github.com/keras-team/keras/blob/master/keras/src/layers/preprocessing/rescaling.py
        x = x * np.asarray(scale, np.float32)
    # An offset of 0 would turn -0.0 into 0.0, and cost an addition where XLA may not drop it.
    if np.any(np.asarray(offset) != 0):
        x = x + np.asarray(offset, np.float32)
    return x


@dataclass(frozen=True)
class Rescale(Pointwise):
    """Computes `image * scale + offset`; see `rescale`.

    Attributes:
        scale, offset, arithmetic: as in `rescale`.

    >>> from jaxprep import Batch
    >>> Rescale(2.0, -1.0)(Batch(image=np.float32([[[0.0, 1.0]]]))).image.tolist()
    [[[-1.0, 1.0]]]
    """

    scale: PerChannel = 1 / 255
    offset: PerChannel = 0.0
    arithmetic: Literal["float32", "float64", "division"] = "float32"

    def check(self) -> None:
        _check_lengths(scale=self.scale, offset=self.offset)
        if self.arithmetic != "division":
            return
        scale = np.asarray(self.scale, np.float64)
        # NaN equals nothing, so that a scale of 0 is refused without a warning of NumPy's.
        inverse = 1 / np.where(scale == 0, np.nan, scale)
        # A float64 as 1/255 is off by at most 1.2e-16 of itself: 1e-12 also takes factors that
        # were printed to 13 digits.
        is_divisor = np.allclose(inverse, np.round(inverse), rtol=1e-12, atol=0)
        if not is_divisor or np.any(np.abs(inverse) > FLOAT32_MAX):
            raise codec.expected(
                "the inverse of an integer, since it is divided by", self.scale, "$.scale"
            )

    def output_channels(self, channels: int) -> int:
        return _fitting_channels(self, channels, self.scale, self.offset)

    def affine(self, draw: Any = None) -> tuple[np.ndarray, np.ndarray]:
        scale = np.asarray(self.scale, np.float64)
        offset = np.asarray(self.offset, np.float64)
        return scale, offset

    def apply(self, image: Any, draw: Any = None) -> Any:
        return rescale(image, self.scale, self.offset, arithmetic=self.arithmetic)

    def undo(self, image: Any) -> Any:
        return _undo_affine(image, *self.affine())

    def describe(self) -> str:
        scale = np.asarray(self.scale)
        offset = np.asarray(self.offset)
        # "divide by 255" reads better than "multiply by 0.00392157".
        inverse = 1 / scale if np.all(scale) else scale
        parts = []
        if inverse.ndim == 0 and inverse > 1 and _is_integer(float(inverse)):
            parts.append(f"divide by {round(float(inverse))}")
        elif np.any(scale != 1):
            parts.append(f"multiply by {number_list(self.scale)}")
        if np.any(offset != 0):
            parts.append(f"add {number_list(self.offset)}")
        words = ", ".join(parts) or "convert to float32"
        return words + _as_normalization(scale, offset)


def _is_integer(value: float) -> bool:
    # The inverse of an inverse, so equal but for rounding.
    return abs(value - round(value)) < 1e-9 * value


def _as_normalization(scale: np.ndarray, offset: np.ndarray) -> str:
    """Return the same as mean and standard deviation of values in [0, 1], as papers state them."""
    # One number for all channels is only a change of range, and no statistic.
    if scale.ndim == offset.ndim == 0 or not np.all(scale):
        return ""
    mean, std = np.broadcast_arrays(-offset / scale / 255, 1 / scale / 255)
    numbers = f"mean {number_list(mean)}, std {number_list(std)}"
    return f" (normalise values in [0, 1]: {numbers})"


def _undo_affine(image: Any, scale: np.ndarray, offset: np.ndarray) -> Any:
    # A factor of 0 has lost the image: there is nothing to show.
    if not np.all(scale):
        return None
    return (image - offset.astype(image.dtype)) / scale.astype(image.dtype)


@with_default_settings
def normalize(
    image: Shaped[Array, "*shape c"], mean: PerChannel, std: PerChannel
) -> Float32[Array, "*shape channels"]:
    """Computes `(image - mean) / std` per channel, in float32.

    Args:
        image: any shape, the last axis being the channels; any type.
        mean, std: in the unit of the image; one number, or one per channel.

    >>> import numpy as np
    >>> normalize(np.float32([[0.5, 1.0]]), 0.5, 0.25).tolist()
    [[0.0, 2.0]]
    """
    # Subtracted, then divided, each in float32, as `normalize` of
    # https://github.com/pytorch/vision/blob/main/torchvision/transforms/_functional_tensor.py
    # and of https://github.com/huggingface/transformers/blob/main/src/transformers/image_transforms.py
    # A product with `1 / std` has other last bits.
    centered = image.astype(np.float32) - np.asarray(mean, np.float32)
    return centered / np.asarray(std, np.float32)


@dataclass(frozen=True)
class Normalize(Pointwise):
    """Computes `(image - mean) / std`; see `normalize`.

    Attributes:
        mean, std: as in `normalize`.

    >>> from jaxprep import Batch
    >>> Normalize(0.5, 0.25)(Batch(image=np.ones((1, 1, 1), np.float32))).image.tolist()
    [[[2.0]]]
    """

    mean: PerChannel
    std: PerChannel

    def check(self) -> None:
        _check_lengths(mean=self.mean, std=self.std)
        # In float32, where a tiny float64 becomes 0.
        if not np.all(np.asarray(self.std, np.float32) > 0):
            raise codec.expected("a positive standard deviation", self.std, "$.std")

    def output_channels(self, channels: int) -> int:
        return _fitting_channels(self, channels, self.mean, self.std)

    def affine(self, draw: Any = None) -> tuple[np.ndarray, np.ndarray]:
        mean = np.asarray(self.mean, np.float64)
        std = np.asarray(self.std, np.float64)
        return 1 / std, -mean / std

    def apply(self, image: Any, draw: Any = None) -> Any:
        return normalize(image, self.mean, self.std)

    def undo(self, image: Any) -> Any:
        return _undo_affine(image, *self.affine())

    def describe(self) -> str:
        return f"normalise: mean {number_list(self.mean)}, std {number_list(self.std)}"


@dataclass(frozen=True)
class NormalizeBfloat16(Pointwise):
    """Computes `(image * scale - mean) / std` as torch does with tensors of bfloat16: each
    operation in float32, its result rounded to bfloat16.

    That is `rescale_and_normalize` of
    https://github.com/huggingface/transformers/blob/main/src/transformers/models/llama4/image_processing_llama4.py

    Attributes:
        scale: what the values are multiplied by first.
        mean, std: a number, or one per channel, in the unit of the scaled values.

    >>> from jaxprep import Batch
    >>> step = NormalizeBfloat16(1 / 255, 0.5, 0.5)
    >>> step(Batch(image=np.full((1, 1, 1), 100, np.uint8))).image.tolist()
    [[[-0.21484375]]]
    """

    scale: float
    mean: PerChannel
    std: PerChannel

    def check(self) -> None:
        _check_lengths(mean=self.mean, std=self.std)
        if not np.all(_rounded(np.asarray(self.std, np.float32)) > 0):
            raise codec.expected("a positive standard deviation", self.std, "$.std")

    def output_channels(self, channels: int) -> int:
        return _fitting_channels(self, channels, self.mean, self.std)

    def apply(self, image: Any, draw: Any = None) -> Any:
        mean, std = (_rounded(np.asarray(value, np.float32)) for value in (self.mean, self.std))
        values = _rounded(image.astype(np.float32))
        values = _rounded(values * np.float32(self.scale))
        values = _rounded(values - mean)
        return (values / std).astype(jnp.bfloat16)

    def undo(self, image: Any) -> Any:
        if not self.scale:
            return None
        std, mean = np.asarray(self.std, image.dtype), np.asarray(self.mean, image.dtype)
        return (image * std + mean) / self.scale

    def describe(self) -> str:
        numbers = f"mean {number_list(self.mean)}, std {number_list(self.std)}"
        return f"multiply by {self.scale:.6g} and normalise in bfloat16: {numbers}"


def _rounded(values: Any) -> Any:
    """Float32 values rounded to bfloat16, half to even, as float32."""
    if isinstance(values, np.ndarray):
        return values.astype(jnp.bfloat16).astype(np.float32)
    # XLA may leave out a conversion to bfloat16 and back.
    return jax.lax.reduce_precision(values, exponent_bits=8, mantissa_bits=7)


DTypeName = Literal["uint8", "int32", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Cast(Pointwise):
    """Changes the type of the values. To an integer type: rounded half to even and saturated.

    Attributes:
        dtype: of the results.
        floats_only: leave integers and booleans as they are.
        truncated: cut the fraction off instead of rounding, for an integer type.

    >>> from jaxprep import Batch
    >>> Cast("uint8")(Batch(image=np.float32([[[0.5, 1.5, 300.0]]]))).image.tolist()
    [[[0, 2, 255]]]
    """

    dtype: DTypeName = "float32"
    floats_only: bool = False
    truncated: bool = False

    def apply(self, image: Any, draw: Any = None) -> Any:
        if self.floats_only and not jnp.issubdtype(image.dtype, jnp.floating):
            return image
        dtype = jnp.dtype(self.dtype)
        is_integer = jnp.issubdtype(dtype, jnp.integer)
        if not is_integer or image.dtype in (jnp.bool_, dtype):
            return image.astype(dtype)
        # XLA's conversion truncates, and what it gives for 300.0 depends on the platform.
        if jnp.issubdtype(image.dtype, jnp.floating):
            values = jnp.asarray(image, jnp.float32)
            return round_to(jnp.trunc(values) if self.truncated else values, dtype)
        # An integer that is too large would wrap.
        low, high = (integer_within(bound, image.dtype) for bound in _range(dtype))
        return jnp.clip(image, low, high).astype(dtype)

    def largest_value(self, largest: float) -> float:
        return min(largest, self.largest_stored) if "int" in self.dtype else largest

    @property
    def largest_stored(self) -> float:
        if self.floats_only:  # integers keep their type, and how large floats are is not known
            return FLOAT32_MAX
        dtype = jnp.dtype(self.dtype)
        return float(_range(dtype)[1]) if "int" in self.dtype else float(jnp.finfo(dtype).max)

    def undo(self, image: Any) -> Any:
        return image

    def describe(self) -> str:
        rounding = "truncated" if self.truncated else "rounded"
        rounded = f", {rounding} and clipped" if "int" in self.dtype else ""
        floats = " if floating point" if self.floats_only else ""
        return f"convert to {self.dtype}{floats}{rounded}"


def _range(dtype: Any) -> tuple[int, int]:
    info = jnp.iinfo(dtype)
    return int(info.min), int(info.max)


def integer_within(number: float, dtype: Any) -> np.ndarray:
    """Returns a number as an integer of a type: rounded half to even, and at most the largest.

    >>> integer_within(300.0, np.uint8).item()
    255
    """
    if dtype == jnp.bool_:
        return np.asarray(number > 0)
    low, high = _range(dtype)
    return np.asarray(min(max(round(number), low), high), dtype)


@with_default_settings
def clip(image: Shaped[Array, "*shape"], low: float, high: float) -> Shaped[Array, "*shape"]:
    """Confines values to a range: those below `low` become `low`, those above `high` `high`.

    Args:
        image: any dtype.
        low, high: the least and the largest value of the result.

    >>> import numpy as np
    >>> clip(np.float32([-1.0, 0.5, 2.0]), 0.0, 1.0).tolist()
    [0.0, 0.5, 1.0]
    """
    # Bounds of the image's type: with Python floats an integer image would become float32.
    if not jnp.issubdtype(image.dtype, jnp.floating):
        lowest, highest = (integer_within(bound, image.dtype) for bound in (low, high))
        return jnp.clip(image, lowest, highest)
    lowest = jnp.asarray(low, image.dtype)
    highest = jnp.asarray(high, image.dtype)
    return jnp.clip(image, lowest, highest)


@dataclass(frozen=True)
class Clip(Pointwise):
    """Confines values to a range; see `clip`.

    Attributes:
        low, high: as in `clip`.

    >>> from jaxprep import Batch
    >>> Clip(0.0, 1.0)(Batch(image=np.float32([[[-1.0, 0.5, 2.0]]]))).image.tolist()
    [[[0.0, 0.5, 1.0]]]
    """

    low: float = 0.0
    high: float = 1.0

    def check(self) -> None:
        # Written so that NaN is refused too.
        if not self.low <= self.high:
            raise codec.expected("a bound of at least `low`", self.high, "$.high")

    def apply(self, image: Any, draw: Any = None) -> Any:
        return clip(image, self.low, self.high)

    def largest_value(self, largest: float) -> float:
        # Values outside of the range are moved into it, where they may be larger.
        ends = (min(max(end, self.low), self.high) for end in (-largest, largest))
        return max(map(abs, ends))

    def undo(self, image: Any) -> Any:
        return image

    def describe(self) -> str:
        return f"clip to [{self.low:g}, {self.high:g}]"
