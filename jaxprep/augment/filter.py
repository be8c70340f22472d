"""Sharpens and blurs one image."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, UInt8, UInt32

from jaxprep import codec
from jaxprep.augment.color import Reference, blend, check_image, product
from jaxprep.errors import InputError
from jaxprep.settings import with_default_settings
from jaxprep.types import Array


def smooth(image: UInt8[Array, "h w c"]) -> UInt8[Array, "h w c"]:
    """Average each pixel with its 8 neighbours, itself 5 times: Pillow's `ImageFilter.SMOOTH`.

    The border of one pixel stays as it is, and so does an image of fewer than 3 rows or columns.

    >>> image = np.uint8([[0, 0, 0], [0, 130, 0], [0, 0, 0]])[..., None]
    >>> np.asarray(jax.jit(smooth)(image))[1, 1].item()
    50
    """
    height, width, _ = image.shape
    if min(height, width) < 3:
        return image
    values = image.astype(jnp.int32)
    rows = values[:-2] + values[1:-1] + values[2:]
    sums = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:]
    # the pixel itself weighs 5, of which the sum has 1
    total = sums + 4 * values[1:-1, 1:-1]
    # `ImagingFilter3x3` of Pillow's Filter.c adds 0.5 and truncates: 13 is odd, so there is no tie
    rounded = (2 * total + 13) // 26
    inner = jnp.asarray(image).at[1:-1, 1:-1]
    return inner.set(rounded.astype(jnp.uint8))


@with_default_settings
def adjust_sharpness(
    image: UInt8[Array, "h w c"], factor: Any, *, reference: Reference = "pillow"
) -> UInt8[Array, "h w c"]:
    """Move all values away from their smoothed ones, or towards them.

    Args:
        image: values 0 to 255.
        factor: float scalar, at least 0; 0 is smooth, 1 leaves the image, 2 is sharper.
        reference: "pillow" (`ImageEnhance.Sharpness`; exact) or "torchvision" (`adjust_sharpness`
            of a uint8 tensor).

    Raises:
        InputError: the image is not uint8 with 1 or 3 channels.

    >>> image = np.uint8([[0, 0, 0], [0, 130, 0], [0, 0, 0]])[..., None]
    >>> np.asarray(jax.jit(adjust_sharpness)(image, 2.0))[1, 1].item()
    210
    """
    check_image(image, reference)
    if reference == "torchvision" and min(image.shape[:2]) < 3:
        return image
    return blend(smooth(image), image, factor, reference)


def gaussian_kernel(sigma: Any, kernel_size: int) -> Any:
    """Return the weights `(kernel_size,)` float32 of a Gaussian of standard deviation `sigma`
    pixels.

    >>> kernel = jax.jit(lambda sigma: gaussian_kernel(sigma, 3))(1.0)
    >>> [round(weight, 3) for weight in kernel.tolist()]
    [0.274, 0.452, 0.274]
    """
    # `_get_gaussian_kernel1d` of torchvision/transforms/v2/functional/_misc.py
    middle = np.float32((kernel_size - 1) / 2)
    distance = np.arange(kernel_size, dtype=np.float32) - middle
    root = np.float32(2**0.5)
    scaled = jnp.asarray(distance) / (jnp.asarray(sigma, jnp.float32) * root)
    return jax.nn.softmax(-scaled * scaled)


@with_default_settings
def gaussian_blur(
    image: UInt8[Array, "h w c"], sigma: Any, kernel_size: int
) -> UInt8[Array, "h w c"]:
    """Blur an image with a Gaussian, mirrored at its border, as torchvision's `gaussian_blur` does.

    Args:
        image: values 0 to 255; sides of more than half of `kernel_size`.
        sigma: float scalar above 0, the standard deviation in pixels.
        kernel_size: an odd number of pixels.

    Raises:
        InputError: the image is not uint8 with 1 or 3 channels, or is smaller than half of the
            kernel.

    >>> blur = jax.jit(lambda image: gaussian_blur(image, 1.0, 3))
    >>> blur(np.full((4, 4, 1), 7, np.uint8))[0, 0].item()
    7
    """
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise codec.expected("an odd number of pixels", kernel_size, "kernel_size")
    return kernel_blur(image, gaussian_kernel(sigma, kernel_size))


def kernel_blur(
    image: UInt8[Array, "h w c"], weight: Float32[Array, " n"]
) -> UInt8[Array, "h w c"]:
    """Blur an image with a column of weights, and with a row of them.

    Args:
        image: values 0 to 255; beyond its edges it is mirrored.
        weight: of `gaussian_kernel`.

    Raises:
        InputError: the image is not uint8 with 1 or 3 channels, or too small for the kernel.

    >>> blur = jax.jit(lambda image: kernel_blur(image, gaussian_kernel(1.0, 5)))
    >>> blur(np.full((8, 8, 1), 7, np.uint8))[0, 0].item()
    7
    """
    check_image(image, "torchvision")
    kernel_size = len(weight)
    reach = kernel_size // 2
    height, width, _ = image.shape
    if min(height, width) <= reach:
        raise InputError(
            f"Expected an image of more than {reach} pixels a side for a kernel of {kernel_size}, "
            f"got {(height, width)}."
        )
    margin = (reach, reach)
    padded = jnp.pad(image, (margin, margin, (0, 0)), mode="reflect")
    rows = jnp.float32(0)
    for i in range(kernel_size):
        shifted = padded[i : i + height]
        rows = rows + product(shifted.astype(jnp.float32), weight[i])
    total = jnp.float32(0)
    for i in range(kernel_size):
        shifted = rows[:, i : i + width]
        total = total + product(shifted, weight[i])
    levels = jnp.clip(total, 0, 255)
    # half to even: `output.round_().to(dtype=dtype)` of `gaussian_blur_image`, in the same file
    return jnp.round(levels).astype(jnp.uint8)


LARGEST_SIGMA = 100.0
"""The largest standard deviation of a blur, in pixels."""
_ONE = 1 << 24
"""The weight 1 of Pillow's box blur, which has 24 fractional bits."""


def box_radius(sigma: Any) -> Any:
    """Return the radius of the box which, blurred with three times, is about a Gaussian.

    >>> round(float(jax.jit(box_radius)(1.0)), 4)
    0.25
    """
    # `_gaussian_blur_radius` of https://github.com/python-pillow/Pillow/blob/main/src/libImaging/BoxBlur.c
    # equations 7, 11 and 14 of Gwosdek et al., "Theoretical foundations of Gaussian convolution by
    # extended box filtering", 2011: a box whose two outer pixels weigh less reaches any variance
    variance = jnp.asarray(sigma, jnp.float32) ** 2 / 3
    length = jnp.sqrt(12 * variance + 1)
    whole = jnp.floor((length - 1) / 2)
    numerator = (2 * whole + 1) * (whole * (whole + 1) - 3 * variance)
    divisor = 6 * (variance - (whole + 1) ** 2)
    return whole + numerator / divisor


@with_default_settings
def box_blur(
    image: UInt8[Array, "h w c"], sigma: Any, *, largest: float = 2.0
) -> UInt8[Array, "h w c"]:
    """Blur an image as `ImageFilter.GaussianBlur` of Pillow does: with a box, three times.

    Args:
        image: values 0 to 255.
        sigma: float scalar, the standard deviation in pixels, at most `largest`.
        largest: bounds the window of the program; at most 100.

    Raises:
        InputError: the image is not uint8 with 1 or 3 channels.

    >>> jax.jit(box_blur)(np.uint8([[[0], [0], [90], [0], [0]]]), 1.0).ravel().tolist()
    [5, 21, 37, 21, 5]
    """
    return weighted_blur(image, box_weights(sigma, largest=largest))


def box_weights(sigma: Any, *, largest: float = 2.0) -> UInt32[Array, " n"]:
    """Return the weights of the box that `box_blur` blurs with, at an odd number of pixels, with 24
    fractional bits.

    >>> jax.jit(lambda radius: box_weights(radius, largest=1.0))(1.0).tolist()
    [0, 2796202, 11184811, 2796202, 0]
    """
    if not 0 <= largest <= LARGEST_SIGMA:
        raise codec.expected(f"at most {LARGEST_SIGMA:g} pixels", largest, "largest")
    radius = box_radius(sigma)
    # a box of `n` pixels, blurred with three times, has the variance (n**2 - 1) / 4: solved for the
    # radius (n - 1) / 2 of `largest`, rounded up, and one pixel of part of the weight
    largest_radius = float(np.sqrt(4 * largest**2 + 1) - 1) / 2
    reach = int(np.ceil(largest_radius)) + 1
    whole = jnp.floor(radius).astype(jnp.int32)
    # `ImagingHorizontalBoxBlur`: pixels within the whole radius weigh `full`, the next `part`
    full = jnp.floor(np.float32(_ONE) / (radius * 2 + 1))
    full = full.astype(jnp.int32)
    part = (_ONE - (whole * 2 + 1) * full) // 2
    offset = np.abs(np.arange(-reach, reach + 1))
    is_whole = offset <= whole
    is_next = offset == whole + 1
    at_end = jnp.where(is_next, part, 0)
    weight = jnp.where(is_whole, full, at_end)
    unchanged = jnp.where(offset == 0, _ONE, 0)
    weight = jnp.where(radius > 0, weight, unchanged)
    return weight.astype(jnp.uint32)


def weighted_blur(
    image: UInt8[Array, "h w c"], weight: UInt32[Array, " n"]
) -> UInt8[Array, "h w c"]:
    """Blur an image three times with a row of weights, and as often with a column of them.

    Args:
        image: values 0 to 255.
        weight: of `box_weights`.

    Raises:
        InputError: the image is not uint8 with 1 or 3 channels.

    >>> image = np.uint8([[[0], [0], [90], [0], [0]]])
    >>> jax.jit(lambda image: weighted_blur(image, box_weights(1.0)).ravel())(image).tolist()
    [5, 21, 37, 21, 5]
    """
    check_image(image, "pillow")
    reach = len(weight) // 2
    blurred = jnp.asarray(image)
    for axis in (1, 0):
        for _ in range(3):
            blurred = _box_pass(blurred, weight, reach, axis)
    return blurred


def _box_pass(image: jax.Array, weight: Array, reach: int, axis: int) -> jax.Array:
    margins = [(0, 0)] * 3
    margins[axis] = (reach, reach)
    padded = jnp.pad(image, margins, mode="edge")
    length = image.shape[axis]
    # a half in 24 fractional bits, so that the shift rounds: `SAVE` of Pillow's BoxBlur.c
    total = jnp.uint32(1 << 23)
    for i in range(2 * reach + 1):
        shifted = jax.lax.slice_in_dim(padded, i, i + length, axis=axis)
        total = total + shifted.astype(jnp.uint32) * weight[i]
    return (total >> 24).astype(jnp.uint8)
