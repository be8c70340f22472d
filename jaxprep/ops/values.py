"""Rescaling, normalising and casting values.

The functions take NumPy and JAX arrays alike: on NumPy they compute what the reference publishes,
operation by operation in float32, and so the tables of an exact pipeline; in a compiled program XLA
may contract and reorder them.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.ops.step import Pointwise
from jaxprep.resample.passes import round_to

PerChannel = float | tuple[float, ...]


class Affine(Pointwise):
    """A pointwise step that is `a * x + b` per channel, whatever its published order of
    operations.
    """

    @abstractmethod
    def coefficients(self) -> tuple[np.ndarray, np.ndarray]:
        """`a` and `b` in float64, each a scalar or one value per channel."""

    @abstractmethod
    def _per_channel(self) -> tuple[PerChannel, ...]:
        """The values that must fit the number of channels."""

    def output_channels(self, channels: int) -> int:
        for values in self._per_channel():
            if isinstance(values, tuple) and len(values) not in (1, channels):
                if channels != 1:
                    raise InputError(
                        f"Expected an image of {len(values)} channels, since {type(self).__name__} has a value for "
                        f"each, or of 1 (gray), got {channels} channels."
                    )
                channels = len(values)
        return channels


def rescale(
    image: Any,
    scale: PerChannel = 1 / 255,
    offset: PerChannel = 0.0,
    *,
    arithmetic: Literal["float32", "float64", "division"] = "float32",
) -> Any:
    """`image * scale + offset`, in float32.

    Args:
        image: any shape, the last axis being the channels; any type.
        scale: one factor, or one per channel.
        offset: added after scaling; one value, or one per channel.
        arithmetic: of the product. "float32" rounds the factor first (Keras); "float64" rounds only
            the product (Transformers' PIL backend); "division" divides by `round(1 / scale)`
            (torchvision's and timm's `/ 255`).
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
class Rescale(Affine):
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

    def _per_channel(self) -> tuple[PerChannel, ...]:
        return self.scale, self.offset

    def coefficients(self) -> tuple[np.ndarray, np.ndarray]:
        return np.asarray(self.scale, np.float64), np.asarray(self.offset, np.float64)

    def apply(self, image: Any) -> Any:
        return rescale(image, self.scale, self.offset, arithmetic=self.arithmetic)


def normalize(image: Any, mean: PerChannel, std: PerChannel) -> Any:
    """`(image - mean) / std` per channel, in float32; `mean` and `std` in the unit of the image."""
    return (image.astype(np.float32) - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)


@dataclass(frozen=True)
class Normalize(Affine):
    """`(image - mean) / std`; see `normalize`."""

    mean: PerChannel
    std: PerChannel

    def check(self) -> None:
        if not np.all(np.asarray(self.std, np.float32) > 0):
            raise codec.expected("a positive standard deviation", self.std, "$.std")

    def _per_channel(self) -> tuple[PerChannel, ...]:
        return self.mean, self.std

    def coefficients(self) -> tuple[np.ndarray, np.ndarray]:
        mean, std = np.asarray(self.mean, np.float64), np.asarray(self.std, np.float64)
        return 1 / std, -mean / std

    def apply(self, image: Any) -> Any:
        return normalize(image, self.mean, self.std)


DTypeName = Literal["uint8", "int32", "float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class Cast(Pointwise):
    """Change the type of the values. To an integer type: rounded half to even and saturated."""

    dtype: DTypeName = "float32"

    def apply(self, image: Any) -> Any:
        if jnp.issubdtype(image.dtype, jnp.floating) and self.dtype in ("uint8", "int32"):
            return round_to(jnp.asarray(image, jnp.float32), jnp.dtype(self.dtype))
        return image.astype(jnp.dtype(self.dtype))


def clip(image: Any, low: float, high: float) -> Any:
    """Values below `low` become `low`, those above `high` become `high`."""
    return jnp.clip(image, jnp.asarray(low, image.dtype), jnp.asarray(high, image.dtype))


@dataclass(frozen=True)
class Clip(Pointwise):
    """Values confined to a range; see `clip`."""

    low: float = 0.0
    high: float = 1.0

    def check(self) -> None:
        if not self.low <= self.high:
            raise codec.expected("a bound of at least `low`", self.high, "$.high")

    def apply(self, image: Any) -> Any:
        return clip(image, self.low, self.high)
