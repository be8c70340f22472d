"""Colour channels: gray to RGB, alpha away, premultiplied alpha, channel order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.ops.step import Pointwise

Alpha = Literal["drop", "white"]
WITH_ALPHA = (2, 4)
"""Numbers of channels of which the last is alpha."""


def to_rgb(image: Any, *, alpha: Alpha = "drop") -> Any:
    """Three channels from 1 (gray), 2 (gray, alpha), 3, or 4 (RGB, alpha), along the last axis.

    Args:
        image: uint8 in [0, 255], or floating point in [0, 1] where alpha is composited.
        alpha: "drop" keeps the stored colours; "white" lays the image over white, for uint8 as
            Pillow's `alpha_composite` does, bit for bit.
    """
    channels = image.shape[-1]
    if channels == 3:
        return image
    colour = image[..., :1] if channels < 3 else image[..., :3]
    if channels in WITH_ALPHA and alpha == "white":
        colour = over_white(colour, image[..., -1:])
    return jnp.broadcast_to(colour, (*colour.shape[:-1], 3)) if channels < 3 else colour


@dataclass(frozen=True)
class ToRGB(Pointwise):
    """Three channels from any of 1 to 4; see `to_rgb`."""

    alpha: Alpha = "drop"

    def output_channels(self, channels: int) -> int:
        if not 1 <= channels <= 4:
            raise InputError(
                f"Expected an image of 1 (gray), 2 (gray, alpha), 3 or 4 (RGB, alpha) channels, got {channels}."
            )
        return 3

    def apply(self, image: Any) -> Any:
        return to_rgb(image, alpha=self.alpha)


def over_white(colour: Any, alpha: Any) -> Any:
    """Colour with its alpha laid over white."""
    if not jnp.issubdtype(colour.dtype, jnp.integer):
        return colour * alpha + (1 - alpha)
    colour, opacity = colour.astype(jnp.int32), alpha.astype(jnp.int32)
    total = (colour * opacity + 255 * (255 - opacity)) * 128 + (0x80 << 7)
    return ((((total >> 8) + total) >> 8) >> 7).astype(alpha.dtype)


@dataclass(frozen=True)
class Premultiply(Pointwise):
    """uint8 colours multiplied by alpha, as Pillow does before it resizes RGBA; without alpha, the
    image as it is.
    """

    def apply(self, image: Any) -> Any:
        if not _has_alpha(image):
            return image
        colour, alpha = image[..., :-1].astype(jnp.int32), image[..., -1:]
        product = colour * alpha.astype(jnp.int32) + 128
        return jnp.concatenate(
            [(((product >> 8) + product) >> 8).astype(jnp.uint8), alpha], axis=-1
        )


@dataclass(frozen=True)
class Unpremultiply(Pointwise):
    """The inverse of `Premultiply`, as Pillow does after it has resized one."""

    def apply(self, image: Any) -> Any:
        if not _has_alpha(image):
            return image
        colour, alpha = image[..., :-1], image[..., -1:].astype(jnp.int32)
        divided = jnp.minimum(255 * colour.astype(jnp.int32) // jnp.maximum(alpha, 1), 255).astype(
            jnp.uint8
        )
        whole = (alpha == 0) | (alpha == 255)
        return jnp.concatenate([jnp.where(whole, colour, divided), image[..., -1:]], axis=-1)


def _has_alpha(image: Any) -> bool:
    if image.shape[-1] not in WITH_ALPHA:
        return False
    if image.dtype != jnp.uint8:
        raise InputError(
            f"Expected uint8 where colours are multiplied by alpha, got {image.dtype}."
        )
    return True


def reverse_channels(image: Any, keep_alpha: bool = False) -> Any:
    """RGB to BGR and back: the last axis reversed; with `keep_alpha`, a fourth channel stays the
    last.
    """
    if keep_alpha and image.shape[-1] == 4:
        return image[..., np.array([2, 1, 0, 3])]
    return image[..., ::-1]


@dataclass(frozen=True)
class ReverseChannels(Pointwise):
    """RGB to BGR and back; see `reverse_channels`."""

    keep_alpha: bool = False

    def apply(self, image: Any) -> Any:
        return reverse_channels(image, self.keep_alpha)


def to_gray(image: Any) -> Any:
    """Three equal channels, `0.2989 r + 0.587 g + 0.114 b`; an image whose channels are all equal
    stays as it is.

    torchvision's and Transformers' weights. Integers are truncated, as torchvision does.
    """
    if image.shape[-1] == 1:
        return image
    red, green, blue = (image[..., i] for i in range(3))
    is_gray = jnp.all(red == green) & jnp.all(green == blue)
    red, green, blue = (channel.astype(jnp.float32) for channel in (red, green, blue))
    gray = (red * np.float32(0.2989) + green * np.float32(0.587)) + blue * np.float32(0.114)
    return jnp.where(is_gray, image[..., :3], gray[..., None].astype(image.dtype))


@dataclass(frozen=True)
class ToGray(Pointwise):
    """Three equal channels; see `to_gray`."""

    def apply(self, image: Any) -> Any:
        return to_gray(image)
