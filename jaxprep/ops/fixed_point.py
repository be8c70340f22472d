"""Splits bytes into pieces so small that float32 sums of them, resized, are exact.

OpenCV resizes uint8 images by weights of 11 bits on each axis and rounds once, at the end: its sums
have 30 bits, and float32 holds 24. Pieces of two bits have sums of 24 bits. So, with the resize of
`reference="opencv"` between the two steps, every bit is that of
https://github.com/huggingface/transformers/blob/main/src/transformers/models/slanext/image_processing_slanext.py
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from jaxtyping import Float, UInt8

from jaxprep.errors import InputError
from jaxprep.pipeline.step import Pointwise
from jaxprep.resample.interpolation import OPENCV_BITS
from jaxprep.settings import with_default_settings
from jaxprep.types import Array

PIECES = 4
"""Pieces of a byte, of two bits each."""


@with_default_settings
def split_bits(image: UInt8[Array, "*shape c"]) -> UInt8[Array, "*shape pieces"]:
    """Splits each channel into `PIECES` of two bits, lowest bits first; channels stay together.

    >>> import jax, numpy as np
    >>> jax.jit(split_bits)(np.uint8([0b11_00_10_01])).tolist()
    [1, 2, 0, 3]
    """
    shifts = jnp.arange(0, 8, 8 // PIECES, dtype=jnp.uint8)
    pieces = (image[..., None] >> shifts) & jnp.uint8(3)
    return pieces.reshape(*image.shape[:-1], -1)


@with_default_settings
def join_bits(pieces: Float[Array, "*shape pieces"]) -> UInt8[Array, "*shape c"]:
    """Joins resized pieces to bytes, rounded half up.

    >>> import jax, numpy as np
    >>> jax.jit(join_bits)(np.float32([1, 2, 0.5, 3])).tolist()
    [209]
    """
    bits = 2 * OPENCV_BITS
    # integers: a weight of each axis is a multiple of 2**-11
    sums = (pieces * jnp.float32(1 << bits)).astype(jnp.int32)
    sums = sums.reshape(*pieces.shape[:-1], -1, PIECES)
    total = jnp.int32(1 << (bits - 1))
    for k in range(PIECES):
        total = total + (sums[..., k] << (2 * k))
    return (total >> bits).astype(jnp.uint8)


@dataclass(frozen=True)
class SplitBits(Pointwise):
    """Splits bytes into pieces of two bits; see `split_bits`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> SplitBits()(Batch(image=np.full((1, 1, 1), 255, np.uint8))).image.tolist()
    [[[3, 3, 3, 3]]]
    """

    def apply(self, image: Any, draw: Any = None) -> Any:
        if image.dtype != jnp.uint8:
            raise InputError(f"Expected a uint8 image, whose bits are split, got {image.dtype}.")
        return split_bits(image)

    def output_channels(self, channels: int) -> int:
        return PIECES * channels

    def largest_value(self, largest: float) -> float:
        return min(largest, 3.0)

    def describe(self) -> str:
        return "split bytes into pieces of two bits, so that sums of them are exact"


@dataclass(frozen=True)
class JoinBits(Pointwise):
    """Joins pieces that were resized with `reference="opencv"`, rounded half up; see `join_bits`.

    >>> import numpy as np
    >>> from jaxprep import Batch, Pipeline, ops
    >>> resize = ops.Resize((1, 1), antialias=False, reference="opencv", rounded=False)
    >>> pipeline = Pipeline((SplitBits(), resize, JoinBits()))
    >>> pipeline(Batch(image=np.uint8([[[1]], [[2]]]))).image.tolist()
    [[[2]]]
    """

    def apply(self, image: Any, draw: Any = None) -> Any:
        return join_bits(image)

    def output_channels(self, channels: int) -> int:
        if channels % PIECES:
            raise InputError(f"Expected {PIECES} pieces of each channel, got {channels} channels.")
        return channels // PIECES

    def largest_value(self, largest: float) -> float:
        del largest
        return 255.0

    @property
    def largest_stored(self) -> float:
        return 255.0

    def describe(self) -> str:
        return "join pieces of two bits to bytes, rounded half up"
