"""Changes brightness, contrast, saturation and hue of one image, as Pillow or torchvision do.

Pillow's `ImageEnhance` and torchvision's `adjust_*` both blend the image with a degenerate of it:
black, its mean gray, or its gray values. They differ in the gray, the mean and the rounding, by one
level on 10 to 40 % of the values, so every function says whose arithmetic it uses.
"""

from __future__ import annotations

import functools
from typing import Any, Literal

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import UInt8

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.ops.color import luma
from jaxprep.settings import with_default_settings
from jaxprep.types import Array

Reference = Literal["pillow", "torchvision"]
"""Whose arithmetic is reproduced: Pillow's, which timm and torchvision's recipes use on PIL images,
or that of torchvision's transforms on uint8 tensors."""


def check_image(image: Any, reference: str) -> None:
    """Raise `InputError` unless the image is uint8 with 1 or 3 channels, and the reference known.

    >>> check_image(np.zeros((2, 2, 3), np.uint8), "pillow")
    """
    if image.dtype != jnp.uint8 or image.ndim != 3 or image.shape[-1] not in (1, 3):
        raise InputError(
            "Expected a uint8 image (h, w, 1) or (h, w, 3), values 0 to 255, got "
            f"{image.dtype} {tuple(image.shape)}: augment before rescaling."
        )
    if reference not in ("pillow", "torchvision"):
        raise codec.expected("'pillow' or 'torchvision'", reference, "reference")


def product(first: Any, second: Any) -> Any:
    """Return `first * second` in float32, rounded before anything is added to it.

    XLA contracts a product and a sum into one operation that rounds once; Pillow and torch round
    twice. The bounds are never reached, which XLA does not know.

    >>> product(np.float32(2), np.float32(3)).item()
    6.0
    """
    largest = np.float32(1e30)
    rounded = jnp.asarray(first * second, jnp.float32)
    return lax.clamp(-largest, rounded, largest)


def following(array: Any, image: Any) -> Any:
    """Return an array as it is, but for JAX a function of the image.

    Inside `shard_map` an array then varies over the same devices as the image: otherwise the
    branches of `lax.switch` differ in type, and under `vmap` jax 0.10.2 refuses a branch with a
    constant array in it ("pvary is a invariant->variant collective"): a table is made so before
    the switch. XLA drops the sum.

    >>> import jax
    >>> jax.jit(following)(np.int32([7]), np.zeros((1, 1, 3), np.uint8)).tolist()
    [7]
    """
    array = jnp.asarray(array)
    return array + (jnp.asarray(image)[0, 0, 0] & 0).astype(array.dtype)


def truncated(values: Any) -> Any:
    """Return float values as uint8: clipped to 0 to 255, the fraction cut off.

    >>> truncated(np.float32([-1, 7.9, 300])).tolist()
    [0, 7, 255]
    """
    return jnp.clip(values, 0, 255).astype(jnp.uint8)


def blend(
    degenerate: Any, image: UInt8[Array, "h w c"], factor: Any, reference: Reference
) -> UInt8[Array, "h w c"]:
    """Blend an image with a degenerate of it: `degenerate + factor * (image - degenerate)`.

    Args:
        degenerate: values 0 to 255, of a shape that broadcasts to the image's.
        factor: float scalar; 0 is the degenerate, 1 the image, more goes beyond it.

    >>> import jax
    >>> jax.jit(lambda image: blend(0, image, 0.5, "pillow"))(np.uint8([[[100]]])).item()
    50
    """
    # a Python float is subtracted in float64, as there
    other_factor = jnp.asarray(1 - factor, jnp.float32)
    factor = jnp.asarray(factor, jnp.float32)
    values = image.astype(jnp.float32)
    other = jnp.asarray(degenerate).astype(jnp.float32)
    if reference == "pillow":
        # `ImagingBlend` of https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Blend.c
        blended = other + product(factor, values - other)
    else:
        # `_blend` of torchvision/transforms/v2/functional/_color.py
        share = product(values, factor)
        blended = share + product(other, other_factor)
    return truncated(blended)


def gray_values(image: UInt8[Array, "h w c"], reference: Reference) -> Any:
    """Return gray values `(h, w, 1)`: uint8 of Pillow, or whole float32 numbers of torchvision.

    >>> gray_values(np.uint8([[[0, 255, 0]]]), "torchvision").item()
    149.0
    """
    if image.shape[-1] == 1:
        return image
    if reference == "pillow":
        return luma(image)
    channels = (image[..., i : i + 1] for i in range(3))
    red, green, blue = (channel.astype(jnp.float32) for channel in channels)
    # `_rgb_to_grayscale_image` of torchvision/transforms/v2/functional/_color.py:
    # `r.mul(0.2989).add_(g, alpha=0.587)` and so on
    red = product(red, np.float32(0.2989))
    green = product(green, np.float32(0.587))
    gray = red + green
    blue = product(blue, np.float32(0.114))
    # cut off, as torchvision does for uint8
    return jnp.floor(gray + blue)


def mean_gray(image: UInt8[Array, "h w c"], reference: Reference = "pillow") -> Any:
    """Return the mean gray value of an image, the degenerate of its contrast: a float32 scalar.

    >>> mean_gray(np.uint8([[[10], [21]]])).item()
    16.0
    """
    gray = gray_values(image, reference)
    height, width, _ = gray.shape
    count = height * width
    total = jnp.sum(gray.astype(jnp.uint32))
    if reference == "pillow":
        # `int(mean + 0.5)` of ImageEnhance.Contrast; in integers: the sum of 2**23 pixels fits
        rounded = (2 * total + count) // (2 * count)
        return rounded.astype(jnp.float32)
    return total.astype(jnp.float32) / np.float32(count)


@with_default_settings
def adjust_brightness(
    image: UInt8[Array, "h w c"], factor: Any, *, reference: Reference = "pillow"
) -> UInt8[Array, "h w c"]:
    """Multiply all values by `factor`.

    Args:
        image: values 0 to 255.
        factor: float scalar, at least 0; 0 is black, 1 leaves the image, 2 is twice as bright.
        reference: "pillow" (`ImageEnhance.Brightness`) or "torchvision" (`adjust_brightness` of a
            uint8 tensor); exact.

    Raises:
        InputError: the image is not uint8 with 1 or 3 channels.

    >>> adjust_brightness(np.uint8([[[10, 100, 200]]]), 1.5).tolist()
    [[[15, 150, 255]]]
    """
    check_image(image, reference)
    return blend(0, image, factor, reference)


@with_default_settings
def adjust_contrast(
    image: UInt8[Array, "h w c"], factor: Any, *, reference: Reference = "pillow"
) -> UInt8[Array, "h w c"]:
    """Move all values away from the image's mean gray, or towards it.

    Args:
        image: values 0 to 255, at most 2**23 pixels.
        factor: float scalar, at least 0; 0 is gray, 1 leaves the image.
        reference: "pillow" (`ImageEnhance.Contrast`; exact) or "torchvision" (`adjust_contrast` of
            a uint8 tensor; within one level, as torch sums in float32).

    Raises:
        InputError: the image is not uint8 with 1 or 3 channels.

    >>> import jax
    >>> np.ravel(jax.jit(adjust_contrast)(np.uint8([[[0], [100]]]), 0.5)).tolist()
    [25, 75]
    """
    check_image(image, reference)
    return blend(mean_gray(image, reference), image, factor, reference)


@with_default_settings
def adjust_saturation(
    image: UInt8[Array, "h w c"], factor: Any, *, reference: Reference = "pillow"
) -> UInt8[Array, "h w c"]:
    """Move all colours away from their gray values, or towards them.

    Args:
        image: values 0 to 255.
        factor: float scalar, at least 0; 0 is gray, 1 leaves the image.
        reference: "pillow" (`ImageEnhance.Color`; exact) or "torchvision" (`adjust_saturation` of a
            uint8 tensor).

    Raises:
        InputError: the image is not uint8 with 1 or 3 channels.

    >>> adjust_saturation(np.uint8([[[255, 0, 0]]]), 0.0).tolist()
    [[[76, 76, 76]]]
    """
    check_image(image, reference)
    if image.shape[-1] == 1:
        return image
    return blend(gray_values(image, reference), image, factor, reference)


@with_default_settings
def grayscale(
    image: UInt8[Array, "h w c"], *, reference: Reference = "pillow"
) -> UInt8[Array, "h w c"]:
    """Make an image gray, with as many channels as it has.

    Args:
        image: values 0 to 255.
        reference: "pillow" (mode L) or "torchvision" (`rgb_to_grayscale` of a uint8 tensor).

    Raises:
        InputError: the image is not uint8 with 1 or 3 channels.

    >>> grayscale(np.uint8([[[255, 0, 0]]])).tolist()
    [[[76, 76, 76]]]
    """
    check_image(image, reference)
    gray = gray_values(image, reference).astype(jnp.uint8)
    return jnp.broadcast_to(gray, image.shape)


@with_default_settings
def adjust_hue(
    image: UInt8[Array, "h w c"], turns: Any, *, reference: Reference = "pillow"
) -> UInt8[Array, "h w c"]:
    """Turn all hues by a part of the colour circle.

    The references differ by up to 14 levels: Pillow's hues are 8-bit integers.

    Args:
        image: values 0 to 255.
        turns: float scalar, -0.5 to 0.5.
        reference: "pillow" (mode HSV, as torchvision's `adjust_hue` of a PIL image uses it; exact
            but for a level on about 1e-6 of the values) or "torchvision" (of a uint8 tensor).

    Raises:
        InputError: the image is not uint8 with 1 or 3 channels.

    >>> import jax
    >>> jax.jit(adjust_hue)(np.uint8([[[255, 0, 0]]]), 1 / 3).tolist()
    [[[0, 255, 0]]]
    """
    check_image(image, reference)
    if image.shape[-1] == 1:
        return image
    turns = jnp.asarray(turns, jnp.float32)
    if reference == "torchvision":
        return _turn_float_hue(image, turns)
    return turn_integer_hue(image, turns, hsv_tables())


def turn_integer_hue(image: Any, turns: Any, tables: Any) -> Any:
    """Return `adjust_hue` of Pillow, by the tables of `hsv_tables`.

    >>> import jax
    >>> jax.jit(turn_integer_hue)(np.uint8([[[255, 0, 0]]]), 0.5, hsv_tables()).tolist()
    [[[0, 255, 252]]]
    """
    red, green, blue = (image[..., i].astype(jnp.int32) for i in range(3))
    largest = jnp.maximum(red, green)
    largest = jnp.maximum(largest, blue)
    smallest = jnp.minimum(red, green)
    smallest = jnp.minimum(smallest, blue)
    extent = largest - smallest
    total = red + green + blue
    middle = total - largest - smallest
    # which channel is the largest, the first of equals, and which of the others is the smallest
    of_red = jnp.where(blue == smallest, 0, 1)
    of_green = jnp.where(blue == smallest, 2, 3)
    of_blue = jnp.where(red == smallest, 4, 5)
    is_red = red == largest
    of_others = jnp.where(green == largest, of_green, of_blue)
    sector = jnp.where(is_red, of_red, of_others)
    hues, saturations = tables
    place = extent * 256 + largest - middle
    hue_index = sector * 65536 + place
    hue = jnp.asarray(hues)[hue_index]
    hue = hue.astype(jnp.int32)
    saturation_index = largest * 256 + extent
    saturation = jnp.asarray(saturations)[saturation_index]
    saturation = saturation.astype(jnp.int32)
    # the cast of a product to uint8 wraps around, as that of NumPy there
    levels = jnp.trunc(product(turns, np.float32(255)))
    turned = (hue + levels.astype(jnp.int32)) & 255
    return _from_integer_hsv(turned, saturation, largest)


@functools.cache
def hsv_tables() -> tuple[np.ndarray, np.ndarray]:
    """Return hues by `[sector, extent, largest - middle]` and saturations by `[largest, extent]`,
    flat uint8.

    They are those of `rgb2hsv_row`, in its own float and double, of
    https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Convert.c

    >>> [table.shape for table in hsv_tables()]
    [(393216,), (65536,)]
    """
    level = np.arange(256, dtype=np.float32)
    # of gray and of black, 0 is divided by 1
    divisor = np.maximum(level, 1)[:, None]
    one = np.float32(1)
    share = np.minimum(level[None] / divisor, one)
    exact = share.astype(np.float64)
    parts = [
        one - share,  # red largest, `bc - gc`; blue smallest, then green
        share - one,
        2.0 + exact - 1.0,  # green largest, `2.0 + rc - bc`; blue, then red
        2.0 + 1.0 - exact,
        4.0 + exact - 1.0,  # blue largest, `4.0 + gc - rc`; red, then green
        4.0 + 1.0 - exact,
    ]
    hues = []
    for part in parts:
        # `fmod((h / 6.0 + 1.0), 1.0)`, stored as float in between
        angle = part.astype(np.float32).astype(np.float64)
        turned = np.fmod(angle / 6.0 + 1.0, 1.0)
        turned = turned.astype(np.float32).astype(np.float64)
        hues.append((turned * 255.0).astype(np.uint8))
    hues_of = np.stack(hues)
    hues_of[:, 0] = 0  # gray has no hue
    saturations = (exact * 255.0).astype(np.uint8)
    return hues_of.reshape(-1), saturations.reshape(-1)


def _from_integer_hsv(hue: Any, saturation: Any, value: Any) -> Any:
    # `hsv2rgb` of the same file, in whole numbers: f = remainder / 255
    sector = hue * 6 // 255
    remainder = hue * 6 % 255
    one = 255 * 255

    def share(numerator: Any) -> Any:
        rounded = 2 * value * numerator + one
        return rounded // (2 * one)

    p = share(one - 255 * saturation)
    q = share(one - saturation * remainder)
    t = share(one - saturation * (255 - remainder))
    colours = _select(sector % 6, value, p, q, t)
    return colours.astype(jnp.uint8)


def _select(sector: Any, value: Any, p: Any, q: Any, t: Any) -> Any:
    """The channels of a colour in one of the six sectors of the colour circle."""
    red = (value, q, p, p, t, value)
    green = (t, value, value, q, p, p)
    blue = (p, p, t, value, value, q)
    channels = []
    for choices in (red, green, blue):
        is_sector = [sector == i for i in range(6)]
        channels.append(jnp.select(is_sector, choices))
    return jnp.stack(channels, axis=-1)


def _turn_float_hue(image: Any, turns: Any) -> Any:
    # `_rgb_to_hsv` and `_hsv_to_rgb` of torchvision/transforms/v2/functional/_color.py
    unit = image.astype(jnp.float32) / np.float32(255)
    red = unit[..., 0]
    green = unit[..., 1]
    largest = unit.max(-1)
    smallest = unit.min(-1)
    extent = largest - smallest
    # `eqc` there: 1 is in place of a divisor of 0
    is_gray = extent == 0
    brightest = jnp.where(is_gray, 1, largest)
    saturation = extent / brightest
    difference = largest[..., None] - unit
    divisor = jnp.where(is_gray, 1, extent)
    below = difference / divisor[..., None]
    of_red, of_green, of_blue = (below[..., i] for i in range(3))
    is_red = largest == red
    in_red = of_blue - of_green
    is_green = largest == green
    in_green = of_red + 2 - of_blue
    in_blue = of_green + 4 - of_red
    in_others = jnp.where(is_green, in_green, in_blue)
    sixths = jnp.where(is_red, in_red, in_others)
    hue = product(sixths, np.float32(1 / 6))
    hue = jnp.fmod(hue + 1, 1)
    hue = jnp.remainder(hue + turns, 1)
    turned = product(hue, np.float32(6))
    sector = jnp.floor(turned)
    part = product(saturation, turned - sector)
    rest = 1 - saturation
    p = product(rest, largest)
    p = jnp.clip(p, 0, 1)
    q = product(1 - part, largest)
    q = jnp.clip(q, 0, 1)
    t = product(part + (1 - saturation), largest)
    t = jnp.clip(t, 0, 1)
    sector = sector.astype(jnp.int32) % 6
    colours = _select(sector, largest, p, q, t)
    # `to_dtype` from float to uint8: `mul(255 + 1 - 1e-3)`, cut off
    return product(colours, np.float32(255.999)).astype(jnp.uint8)
