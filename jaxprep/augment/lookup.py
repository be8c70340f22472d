"""Replaces every value of one image by that of a table: posterize, solarize, invert, autocontrast,
equalize.

Each table has 256 rows and a column per channel, so that one gather applies any of them. All are
those of Pillow's `ImageOps` (and of timm's `auto_augment.py`, which adds `solarize_add`); on uint8
tensors torchvision computes the same, but for autocontrast, which it does in float32.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import UInt8

from jaxprep.augment.color import Reference, check_image, product, truncated
from jaxprep.settings import with_default_settings
from jaxprep.types import Array

Table = UInt8[Array, "256 c"]


def look_up(image: UInt8[Array, "h w c"], table: Table) -> UInt8[Array, "h w c"]:
    """Replace every value `v` of channel `c` by `table[v, c]`.

    >>> table = np.arange(255, -1, -1).astype(np.uint8)[:, None]
    >>> np.ravel(jax.jit(look_up)(np.uint8([[[0], [10]]]), table)).tolist()
    [255, 245]
    """
    image = jnp.asarray(image)
    table = jnp.asarray(table)
    # A gather a channel: one of all numbers is 1.6 GB of copies for 64 images of 224 x 224 on a TPU
    # v5e, and 26 times the time by XLA's roofline; on a GPU both are one kernel.
    looked_up = []
    for channel in range(image.shape[-1]):
        column = table[:, channel]
        index = image[..., channel].astype(jnp.int32)
        looked_up.append(column.at[index].get(mode="promise_in_bounds"))
    return jnp.stack(looked_up, axis=-1)


def values(channels: int) -> jax.Array:
    """Return the table `(256, channels)` int32 that changes nothing.

    >>> values(3)[7].tolist()
    [7, 7, 7]
    """
    # an iota, no constant: see `color.following`
    return lax.broadcasted_iota(jnp.int32, (256, channels), 0)


def posterize_table(bits: Any, channels: int) -> Table:
    """Return the table that keeps the highest `bits` (0 to 8) of every value.

    >>> np.asarray(posterize_table(1, 1))[[0, 127, 128, 255], 0].tolist()
    [0, 0, 128, 128]
    """
    cut_bits = 8 - jnp.asarray(bits, jnp.int32)
    highest = values(channels) >> cut_bits
    return (highest << cut_bits).astype(jnp.uint8)


def solarize_table(threshold: Any, channels: int) -> Table:
    """Return the table that inverts every value from `threshold` (0 to 256) on.

    >>> np.asarray(solarize_table(128, 1))[[127, 128], 0].tolist()
    [127, 127]
    """
    kept = values(channels)
    is_kept = kept < threshold
    inverted = 255 - kept
    return jnp.where(is_kept, kept, inverted).astype(jnp.uint8)


def solarize_add_table(added: Any, channels: int, threshold: int = 128) -> Table:
    """Return the table that adds `added` to every value below `threshold`, up to 255.

    >>> np.asarray(solarize_add_table(110, 1))[[0, 127, 128], 0].tolist()
    [110, 237, 128]
    """
    kept = values(channels)
    brighter = jnp.clip(kept + added, 0, 255)
    return jnp.where(kept < threshold, brighter, kept).astype(jnp.uint8)


def autocontrast_table(
    image: UInt8[Array, "h w c"], reference: Reference = "pillow", rounded: Any = None
) -> Table:
    """Return the table that stretches each channel of an image to 0 to 255.

    Args:
        rounded: `rounded_down()`, as arrays of the program.

    >>> table = jax.jit(autocontrast_table)(np.uint8([[[10], [20]]]))
    >>> np.asarray(table)[[10, 15, 20], 0].tolist()
    [0, 127, 255]
    """
    kept = values(image.shape[-1])
    low = image.min((0, 1)).astype(jnp.int32)
    high = image.max((0, 1)).astype(jnp.int32)
    extent = high - low
    # a channel of one value stays as it is
    divisor = jnp.maximum(extent, 1)
    if reference == "torchvision":
        # `autocontrast_image` of torchvision/transforms/v2/functional/_color.py, in float32
        scale = np.float32(255) / divisor.astype(jnp.float32)
        difference = (kept - low).astype(jnp.float32)
        stretched = truncated(product(difference, scale))
    else:
        stretched = _stretched(kept, low, divisor, rounded or rounded_down())
    return jnp.where(extent > 0, stretched, kept).astype(jnp.uint8)


def _stretched(kept: Any, low: Any, extent: Any, rounded: Any) -> Any:
    """`int(v * scale - low * scale)` with `scale = 255.0 / extent` in float64, as
    `ImageOps.autocontrast` of Pillow computes it."""
    offset = jnp.clip(kept - low, 0, extent)
    quotient = offset * 255 // extent
    # float64 is far more precise than the fractions that occur: only where the quotient is an
    # integer may it come out just below, and is then truncated to one less
    remainder = offset * 255 % extent
    is_integer = remainder == 0
    is_below = _is_below(low, extent, offset, rounded)
    return quotient - (is_integer & is_below)


def _is_below(low: Any, extent: Any, offset: Any, rounded: Any) -> Any:
    bits, first, period = (jnp.asarray(array) for array in rounded)
    first_bit = first[extent]
    step = period[extent]
    per_low = extent // step + 1
    position = first_bit + low * per_low + offset // step
    byte = bits[position >> 3].astype(jnp.int32)
    shifted = byte >> (position & 7)
    return shifted & 1 == 1


@functools.cache
def rounded_down() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return where Pillow's float64 arithmetic falls below a quotient that is an integer.

    Returns:
        for every extent, low value and offset with such a quotient whether it does, as packed bits
        (14 kB); and for each extent the first bit, and the distance of such offsets.

    >>> [array.shape for array in rounded_down()][1:]
    [(256,), (256,)]
    """
    blocks = []
    first = np.zeros(256, np.int32)
    period = np.ones(256, np.int32)
    count = 0
    for extent in range(1, 256):
        step = extent // math.gcd(extent, 255)
        period[extent] = step
        first[extent] = count
        offset = np.arange(0, extent + 1, step)
        low = np.arange(256 - extent)[:, None]
        # float64, in the order of `ImageOps.autocontrast`: `int(ix * scale + offset)`
        scale = 255.0 / extent
        stretched = (low + offset) * scale + -low * scale
        exact = offset * 255 // extent
        is_below = np.trunc(stretched) < exact
        blocks.append(is_below.reshape(-1))
        count += is_below.size
    bits = np.packbits(np.concatenate(blocks), bitorder="little")
    return bits, first, period


def equalize_table(image: UInt8[Array, "h w c"]) -> Table:
    """Return the table that makes the histogram of each channel of an image as even as it gets.

    >>> table = jax.jit(equalize_table)(np.uint8([[[0], [1], [2], [3]]] * 255))
    >>> np.asarray(table)[:4, 0].tolist()
    [0, 85, 170, 255]
    """
    height, width, channels = image.shape
    channel = jnp.arange(channels, dtype=jnp.int32)
    index = image.astype(jnp.int32) * channels + channel
    zeros = jnp.zeros(256 * channels, jnp.int32)
    counts = zeros.at[index.reshape(-1)].add(1)
    counts = counts.reshape(256, channels)
    # `ImageOps.equalize` of Pillow; torchvision's `equalize_image` follows it
    total = height * width
    largest = image.max((0, 1)).astype(jnp.int32)
    last = counts[largest, channel]
    step = (total - last) // 255
    before = jnp.cumsum(counts, axis=0) - counts
    divisor = jnp.maximum(step, 1)
    quotient = (step // 2 + before) // divisor
    evened = jnp.minimum(quotient, 255)
    has_steps = step > 0
    return jnp.where(has_steps, evened, values(channels)).astype(jnp.uint8)


@with_default_settings
def posterize(image: UInt8[Array, "h w c"], bits: Any) -> UInt8[Array, "h w c"]:
    """Keep the highest bits of every value, as `ImageOps.posterize` of Pillow does; exact.

    Args:
        image: values 0 to 255.
        bits: integer scalar, 0 (black; as timm has it) to 8 (unchanged).

    Raises:
        InputError: the image is not uint8 with 1 or 3 channels.

    >>> posterize(np.uint8([[[127], [255]]]), 1).ravel().tolist()
    [0, 128]
    """
    check_image(image, "pillow")
    return look_up(image, posterize_table(bits, image.shape[-1]))


@with_default_settings
def solarize(image: UInt8[Array, "h w c"], threshold: Any) -> UInt8[Array, "h w c"]:
    """Invert every value from a threshold on, as `ImageOps.solarize` of Pillow does; exact.

    Args:
        image: values 0 to 255.
        threshold: scalar, 0 (all values) to 256 (none).

    Raises:
        InputError: the image is not uint8 with 1 or 3 channels.

    >>> solarize(np.uint8([[[100], [200]]]), 128).ravel().tolist()
    [100, 55]
    """
    check_image(image, "pillow")
    return look_up(image, solarize_table(threshold, image.shape[-1]))


@with_default_settings
def solarize_add(
    image: UInt8[Array, "h w c"], added: Any, threshold: int = 128
) -> UInt8[Array, "h w c"]:
    """Add to every value below a threshold, as timm's `solarize_add` does; exact.

    Args:
        image: values 0 to 255.
        added: integer scalar, 0 to 255; sums end at 255.
        threshold: values from it on stay.

    Raises:
        InputError: the image is not uint8 with 1 or 3 channels.

    >>> solarize_add(np.uint8([[[100], [200]]]), 50).ravel().tolist()
    [150, 200]
    """
    check_image(image, "pillow")
    return look_up(image, solarize_add_table(added, image.shape[-1], threshold))


@with_default_settings
def invert(image: UInt8[Array, "h w c"]) -> UInt8[Array, "h w c"]:
    """Replace every value `v` by `255 - v`; exact.

    Args:
        image: uint8.

    Raises:
        InputError: the image is not uint8 with 1 or 3 channels.

    >>> invert(np.uint8([[[100]]])).item()
    155
    """
    check_image(image, "pillow")
    return 255 - image


@with_default_settings
def autocontrast(
    image: UInt8[Array, "h w c"], *, reference: Reference = "pillow"
) -> UInt8[Array, "h w c"]:
    """Stretch the values of each channel to 0 to 255.

    Args:
        image: values 0 to 255; a channel of one value stays as it is.
        reference: "pillow" (`ImageOps.autocontrast` without cutoff; exact) or "torchvision"
            (`autocontrast` of a uint8 tensor).

    Raises:
        InputError: the image is not uint8 with 1 or 3 channels.

    >>> jax.jit(autocontrast)(np.uint8([[[10], [20]]])).tolist()
    [[[0], [255]]]
    """
    check_image(image, reference)
    return look_up(image, autocontrast_table(image, reference))


@with_default_settings
def equalize(image: UInt8[Array, "h w c"]) -> UInt8[Array, "h w c"]:
    """Make the histogram of each channel as even as it gets, as `ImageOps.equalize` of Pillow does;
    exact.

    Args:
        image: uint8.

    Raises:
        InputError: the image is not uint8 with 1 or 3 channels.

    >>> jax.jit(equalize)(np.uint8([[[5], [6]]] * 300))[0, :, 0].tolist()
    [0, 255]
    """
    check_image(image, "pillow")
    return look_up(image, equalize_table(image))
