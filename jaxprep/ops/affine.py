"""Samples images along straight lines of positions, as SciPy's `affine_transform` without rotation.

SciPy sums in float64 and rounds half up, so a float32 sum would round one value in ten thousand to
another level. The bytes of an image are summed with weights in three pieces instead, of 8 bits, of
8 bits below them, and of the rest: all products of the first two are exact in float32, and the rest
is so small that its rounding does not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from jaxprep.bounds import check_weights
from jaxprep.errors import InputError
from jaxprep.ops.crop import Axes, ToSize
from jaxprep.ops.words import by
from jaxprep.pipeline.step import Opaque, Resampling, as_size
from jaxprep.resample.sample import line_weights
from jaxprep.resample.tables import Sample, Taps, fit
from jaxprep.types import Array, Batch, Size

PIECES = 3
"""Pieces of a weight."""
PIECE_BITS = 8
"""Bits of each piece but the last."""

Line = tuple[float, float]
"""`(scale, shift)`: output i lies at position `scale * i + shift` of the source, 0 being the middle
of the first pixel."""


def affine_sample(
    image: Shaped[Array, "h w c"],
    size: Size | int,
    vertical: Line,
    horizontal: Line,
) -> Shaped[Array, "height width c"]:
    """Samples one image at `scale * i + shift` along each axis, bilinearly; 0 outside.

    As `scipy.ndimage.affine_transform(order=1)`, for each channel.

    Args:
        image: uint8, rounded half up, or any other type, which gives float32.
        vertical, horizontal: scale and shift of rows and columns, known outside of any
            transformation.

    >>> image = np.uint8([[[0], [9], [20]]])
    >>> affine_sample(image, (1, 4), (1.0, 0.0), (0.5, 0.5))[0, :, 0].tolist()
    [5, 9, 15, 20]
    """
    step = AffineSample(as_size(size), vertical, horizontal)
    if image.dtype != np.uint8:
        return step.pipeline_type((step,))(Batch(image=image)).image
    in_pieces = AffineSample(step.size, vertical, horizontal, pieces=True)
    return step.pipeline_type((in_pieces, JoinPieces()))(Batch(image=image)).image


@dataclass(frozen=True)
class AffineSample(ToSize):
    """Samples along straight lines of positions; see `affine_sample`.

    Attributes:
        pieces: compute the sums of each piece of the weights, `PIECES` times as many rows and
            columns, for `JoinPieces`.

    >>> step = AffineSample((2, 2), (1.0, 0.0), (1.0, 0.5))
    >>> step(Batch(image=np.ones((4, 4, 3), np.float32))).image.shape
    (2, 2, 3)
    """

    size: Size
    vertical: Line
    horizontal: Line
    pieces: bool = False

    @property
    def static_output_size(self) -> Size | None:
        factor = PIECES if self.pieces else 1
        return factor * self.size[0], factor * self.size[1]

    @property
    def resampling(self) -> Resampling | None:  # type: ignore[override]
        return Resampling("torch", rounded=False)

    def axes(self, size: Size, draw: Any = None) -> Axes:
        vertical = self._sample(size[0], self.size[0], self.vertical)
        horizontal = self._sample(size[1], self.size[1], self.horizontal)
        return (vertical,), (horizontal,)

    def _sample(self, n: int, m: int, line: Line) -> Sample:
        check_weights(m, 2 * PIECES, f"{m} samples")
        scale, shift = line
        start, weight = line_weights(scale, shift, n, m)
        if self.pieces:
            pieces = split_weights(weight)
            start = np.tile(start, PIECES)
            weight = np.concatenate(pieces)
        start, weight = fit(start, weight.astype(np.float32), n)
        # positions of boxes are those of edges of pixels, half a pixel before their middles
        inverse = 1 / scale if scale else 1.0
        return Sample(Taps(start, weight, np.int32(0)), (inverse, 0.5 - (shift + 0.5) * inverse))

    def largest_value(self, largest: float) -> float:
        return largest  # a weighted mean, or a part of one

    def describe(self) -> str:
        return f"sample {by(self.size)} pixels along lines, as SciPy's `affine_transform`"


def split_weights(weight: Float[np.ndarray, "m k"]) -> list[Float[np.ndarray, "m k"]]:
    """Split float64 weights in [0, 1] into `PIECES`, which sum to them.

    >>> [piece.tolist() for piece in split_weights(np.array([[0.75]]))]
    [[[0.75]], [[0.0]], [[0.0]]]
    """
    pieces = []
    unit = 1.0
    for _ in range(PIECES - 1):
        unit /= 1 << PIECE_BITS
        piece = np.floor(weight / unit) * unit
        pieces.append(piece)
        weight = weight - piece
    return [*pieces, weight]


def join_pieces(pieces: Float[Array, "rows columns c"]) -> UInt8[Array, "h w c"]:
    """Add the sums of `PIECES` of the weights of both axes, and round half up.

    >>> import jax
    >>> pieces = np.zeros((3, 3, 1), np.float32)
    >>> pieces[0, 0], pieces[1, 0] = 7.5, -(2.0**-24)
    >>> jax.jit(join_pieces)(pieces).tolist()
    [[[7]]]
    """
    height, width, channels = pieces.shape
    parts = pieces.reshape(PIECES, height // PIECES, PIECES, width // PIECES, channels)
    # the first product is below 2**24 in units of 2**-16, the next below 2**24 in units of 2**-24
    first = parts[0, :, 0]
    whole = jnp.floor(first)
    unit = jnp.float32(1 << 3 * PIECE_BITS)
    exact = [first - whole, parts[0, :, 1], parts[1, :, 0]]
    small = parts[1, :, 1]
    for i, j in ((0, 2), (2, 0), (1, 2), (2, 1), (2, 2)):
        small = small + parts[i, :, j]
    # one half, so that the shift rounds
    total = jnp.int32(1 << 3 * PIECE_BITS - 1) + jnp.floor(small * unit).astype(jnp.int32)
    for part in exact:
        total = total + (part * unit).astype(jnp.int32)
    level = whole.astype(jnp.int32) + (total >> 3 * PIECE_BITS)
    return jnp.clip(level, 0, 255).astype(jnp.uint8)


@dataclass(frozen=True)
class JoinPieces(Opaque):
    """Adds the sums of pieces of weights, rounded half up; see `join_pieces`.

    >>> JoinPieces()(Batch(image=np.ones((3, 6, 1), np.float32))).image.tolist()
    [[[9], [9]]]
    """

    def apply(self, image: Any, draw: Any = None) -> Any:
        return join_pieces(image)

    def output_size(self, size: Size) -> Size:
        if size[0] % PIECES or size[1] % PIECES:
            raise InputError(f"Expected {PIECES} pieces of each row and column, got {size} pixels.")
        return size[0] // PIECES, size[1] // PIECES

    def describe(self) -> str:
        return "add what pieces of weights sum to, rounded half up"
