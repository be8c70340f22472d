"""Rescaling, normalising and casting values.

The functions take NumPy and JAX arrays alike: on NumPy they compute what the reference publishes,
operation by operation in float32, and so the tables of an exact pipeline; in a compiled program XLA
may contract and reorder them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Shaped

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.ops.words import number_list
from jaxprep.pipeline.step import Pointwise
from jaxprep.resample.passes import round_to
from jaxprep.types import Array

PerChannel = float | tuple[float, ...]


def _fitting_channels(step: Pointwise, channels: int, *values: PerChannel) -> int:
    """The number of channels where each of `values` is one number, or one per channel; a gray image
    becomes as many as there are values."""
    for numbers in values:
        if not isinstance(numbers, tuple) or len(numbers) in (1, channels):
            continue
        if channels != 1:
            raise InputError(
                f"Expected an image of {len(numbers)} channels, since {type(step).__name__} has a "
                f"value for each, or of 1 (gray), got {channels} channels."
            )
        channels = len(numbers)
    return channels


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
        x = x / np.round(1 / np.asarray(scale, np.float64)).astype(np.float32)
    elif arithmetic == "float64" and isinstance(image, np.ndarray):
        x = (image.astype(np.float64) * scale).astype(np.float32)
    elif np.any(np.asarray(scale) != 1):
        x = x * np.asarray(scale, np.float32)
    return x + np.asarray(offset, np.float32) if np.any(np.asarray(offset) != 0) else x


@dataclass(frozen=True)
class Rescale(Pointwise):
    """`image * scale + offset`; see `rescale`."""

    scale: PerChannel = 1 / 255
    offset: PerChannel = 0.0
    arithmetic: Literal["float32", "float64", "division"] = "float32"

    def check(self) -> None:
        inverse = 1 / np.where(
            np.asarray(self.scale, np.float64) == 0, np.nan, np.asarray(self.scale, np.float64)
        )
        if self.arithmetic == "division" and not np.allclose(
            inverse, np.round(inverse), rtol=1e-12, atol=0
        ):
            raise codec.expected(
                "the inverse of an integer, since it is divided by", self.scale, "$.scale"
            )

    def output_channels(self, channels: int) -> int:
        return _fitting_channels(self, channels, self.scale, self.offset)

    def affine(self, draw: Any = None) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(self.scale, np.float64), np.asarray(self.offset, np.float64)

    def apply(self, image: Any, draw: Any = None) -> Any:
        return rescale(image, self.scale, self.offset, arithmetic=self.arithmetic)

    def undo(self, image: np.ndarray) -> np.ndarray | None:
        return _undo_affine(image, *self.affine())

    def describe(self) -> str:
        scale, offset = np.asarray(self.scale), np.asarray(self.offset)
        inverse = 1 / scale if np.all(scale) else scale
        parts = []
        if inverse.ndim == 0 and inverse > 1 and _is_integer(float(inverse)):
            parts.append(f"divide by {round(float(inverse))}")
        elif np.any(scale != 1):
            parts.append(f"multiply by {number_list(self.scale)}")
        if np.any(offset != 0):
            parts.append(f"add {number_list(self.offset)}")
        return (", ".join(parts) or "convert to float32") + _as_normalization(scale, offset)


def _is_integer(value: float) -> bool:
    return abs(value - round(value)) < 1e-9 * value


def _as_normalization(scale: np.ndarray, offset: np.ndarray) -> str:
    """The same as mean and standard deviation of values in [0, 1], as papers state them."""
    if scale.ndim == offset.ndim == 0 or not np.all(scale):
        return ""
    mean, std = np.broadcast_arrays(-offset / scale / 255, 1 / scale / 255)
    numbers = f"mean {number_list(mean)}, std {number_list(std)}"
    return f" (normalise values in [0, 1]: {numbers})"


def _undo_affine(image: np.ndarray, scale: np.ndarray, offset: np.ndarray) -> np.ndarray | None:
    return (image - offset) / scale if np.all(scale) else None


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
    return (image.astype(np.float32) - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)


@dataclass(frozen=True)
class Normalize(Pointwise):
    """`(image - mean) / std`; see `normalize`."""

    mean: PerChannel
    std: PerChannel

    def check(self) -> None:
        if not np.all(np.asarray(self.std, np.float32) > 0):
            raise codec.expected("a positive standard deviation", self.std, "$.std")

    def output_channels(self, channels: int) -> int:
        return _fitting_channels(self, channels, self.mean, self.std)

    def affine(self, draw: Any = None) -> tuple[np.ndarray, np.ndarray]:
        mean, std = np.asarray(self.mean, np.float64), np.asarray(self.std, np.float64)
        return 1 / std, -mean / std

    def apply(self, image: Any, draw: Any = None) -> Any:
        return normalize(image, self.mean, self.std)

    def undo(self, image: np.ndarray) -> np.ndarray | None:
        return _undo_affine(image, *self.affine())

    def describe(self) -> str:
        return f"normalise: mean {number_list(self.mean)}, std {number_list(self.std)}"


DTypeName = Literal["uint8", "int32", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Cast(Pointwise):
    """Change the type of the values. To an integer type: rounded half to even and saturated."""

    dtype: DTypeName = "float32"

    def apply(self, image: Any, draw: Any = None) -> Any:
        if jnp.issubdtype(image.dtype, jnp.floating) and self.dtype in ("uint8", "int32"):
            return round_to(jnp.asarray(image, jnp.float32), jnp.dtype(self.dtype))
        return image.astype(jnp.dtype(self.dtype))

    def undo(self, image: np.ndarray) -> np.ndarray | None:
        return image

    def describe(self) -> str:
        rounded = ", rounded and clipped" if "int" in self.dtype else ""
        return f"convert to {self.dtype}{rounded}"


def clip(image: Shaped[Array, "*shape"], low: float, high: float) -> Shaped[Array, "*shape"]:
    """Confines values to a range: those below `low` become `low`, those above `high` `high`.

    >>> import numpy as np
    >>> clip(np.float32([-1.0, 0.5, 2.0]), 0.0, 1.0).tolist()
    [0.0, 0.5, 1.0]
    """
    return jnp.clip(image, jnp.asarray(low, image.dtype), jnp.asarray(high, image.dtype))


@dataclass(frozen=True)
class Clip(Pointwise):
    """Values confined to a range; see `clip`."""

    low: float = 0.0
    high: float = 1.0

    def check(self) -> None:
        if not self.low <= self.high:
            raise codec.expected("a bound of at least `low`", self.high, "$.high")

    def apply(self, image: Any, draw: Any = None) -> Any:
        return clip(image, self.low, self.high)

    def undo(self, image: np.ndarray) -> np.ndarray | None:
        return image

    def describe(self) -> str:
        return f"clip to [{self.low:g}, {self.high:g}]"
