"""Resizes in two steps, as Pillow with a `reducing_gap`: by a whole factor, then by a filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.ops.resize import Method, SizeRule
from jaxprep.pipeline.step import Opaque
from jaxprep.resample.passes import apply_taps
from jaxprep.resample.references import REFERENCES, ReferenceName
from jaxprep.resample.tables import resize_taps, vertical_first
from jaxprep.settings import with_default_settings
from jaxprep.types import Array, Size

PILLOW_REFERENCES = ("pillow", "pillow12")


@with_default_settings
def reduce(image: UInt8[Array, "h w c"], factors: Size) -> UInt8[Array, "new_h new_w c"]:
    """Replaces blocks of one image by their means, rounded; a block at the end may be smaller.

    As `Image.reduce` of Pillow.

    Args:
        image: uint8.
        factors: height and width of a block.

    >>> import jax, numpy as np
    >>> run = jax.jit(lambda image: reduce(image, (1, 2))[..., 0])
    >>> run(np.uint8([[[1], [2], [9]]])).tolist()
    [[2, 9]]
    """
    if image.dtype != jnp.uint8:
        raise InputError(f"Expected uint8 where blocks are replaced by means, got {image.dtype}.")
    rows, columns = (-(-n // factor) for n, factor in zip(image.shape, factors, strict=False))
    below = rows * factors[0] - image.shape[0]
    right = columns * factors[1] - image.shape[1]
    blocks = jnp.pad(image, ((0, below), (0, right), (0, 0))).astype(jnp.uint32)
    blocks = blocks.reshape(rows, factors[0], columns, factors[1], -1)
    counts = np.outer(
        _lengths(image.shape[0], factors[0]),
        _lengths(image.shape[1], factors[1]),
    )
    # `ImagingReduceNxN` and `division_UINT32` of
    # https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Reduce.c: a product with a
    # rounded down reciprocal, of 24 bits.
    reciprocals = (2**32 // (256 * counts)).astype(np.uint32)[..., None]
    halves = (counts // 2).astype(np.uint32)[..., None]
    sums = blocks.sum((1, 3)) + halves
    return (sums * reciprocals >> 24).astype(jnp.uint8)


def _lengths(n: int, factor: int) -> np.ndarray:
    """The lengths of the blocks along an axis of `n` pixels."""
    return np.diff(np.append(np.arange(0, n, factor), n))


@dataclass(frozen=True)
class ReducingResize(Opaque):
    """Resizes by a rule; where an image is made much smaller, it is reduced by a whole factor
    before, as `Image.resize(size, reducing_gap=gap)` of Pillow does.

    Attributes:
        rule: one of `jaxprep.ops.sizes`.
        gap: the filter is left with an image that is at least so many times as large.
        method: see `jaxprep.ops.resize`.
        reference: "pillow", or "pillow12".

    >>> import numpy as np
    >>> from jaxprep import Batch, ops
    >>> step = ReducingResize(ops.sizes.Thumbnail(8, 8))
    >>> step(Batch(image=np.zeros((64, 48, 3), np.uint8))).image.shape
    (8, 6, 3)
    """

    is_resize: ClassVar[bool] = True

    rule: SizeRule
    gap: float = 2.0
    method: Method = "bicubic"
    reference: ReferenceName = "pillow"

    def check(self) -> None:
        if not self.gap >= 1:
            raise codec.expected("a number of at least 1", self.gap, "$.gap")
        if self.reference not in PILLOW_REFERENCES:
            raise codec.expected(f"one of {PILLOW_REFERENCES}", self.reference, "$.reference")

    def factors(self, size: Size) -> Size:
        """Return by what an image of `size` is reduced along each axis; 1 where it is not.

        >>> from jaxprep import ops
        >>> ReducingResize(ops.sizes.Thumbnail(8, 8)).factors((64, 48))
        (4, 4)
        """
        if self.method == "nearest":
            return 1, 1
        out = self.rule.output_size(size)
        height, width = (int(n / m / self.gap) or 1 for n, m in zip(size, out, strict=True))
        return height, width

    def output_size(self, size: Size) -> Size:
        return self.rule.output_size(size)

    def apply(self, image: Any, draw: Any = None) -> Any:
        size = image.shape[0], image.shape[1]
        out, factors = self.rule.output_size(size), self.factors(size)
        if out == size:
            return image
        is_reduced = max(factors) > 1
        reduced: Any = reduce(image, factors) if is_reduced else image
        reduced_size = reduced.shape[0], reduced.shape[1]
        tables = []
        for axis in (0, 1):
            # A smaller block at the end is a part of a pixel; `float box[4]` of Resample.c.
            extent = float(np.float32(size[axis] / factors[axis])) if is_reduced else None
            tables.append(
                resize_taps(
                    reduced_size[axis], out[axis], self.method, True, self.reference, extent
                )
            )
        # `need_horizontal` and `need_vertical` of Resample.c.
        axes = [axis for axis in (0, 1) if size[axis] / factors[axis] != out[axis]]
        if not vertical_first(REFERENCES[self.reference], reduced_size, out):
            axes = axes[::-1]
        arithmetic = "copy" if self.method == "nearest" else "integer"
        for axis in axes:
            reduced = apply_taps(reduced, tables[axis], axis, arithmetic)
        return reduced

    def describe(self) -> str:
        return f"resize {self.rule.describe()}, {self.method}, as Pillow with a reducing gap"
