"""A part of an image, or of one image of a stack, that has not been cut out yet."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

import jax
from jax import lax


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["image", "number"],
    meta_fields=["top", "left", "height", "width", "beside"],
)
@dataclass(frozen=True)
class Part:
    """What reads it slices what it needs: cut out beforehand, XLA would write it to memory once
    more.

    Attributes:
        image: `(h, w, c)`, or a stack of images `(b, h, w, c)`.
        number: which of the stack, an integer scalar that may be traced.
        top, left, height, width: the part.
        beside: how many images are computed at once and share the cache, this one included; None if
            that is not known.
    """

    image: Any
    number: Any
    top: int
    left: int
    height: int
    width: int
    beside: int | None = None

    @classmethod
    def of(cls, image: Any, number: Any = None, beside: int | None = None) -> Part:
        """All of an image, or of image `number` of a stack."""
        height, width = image.shape[-3:-1]
        return cls(image, number, 0, 0, height, width, beside)

    @property
    def channels(self) -> int:
        return self.image.shape[-1]

    @property
    def dtype(self) -> Any:
        return self.image.dtype

    def window(self, axis: int, first: int, length: int) -> Part:
        """The part of this part from `first` on, along an axis (0 rows, 1 columns)."""
        if axis == 0:
            return replace(self, top=self.top + first, height=length)
        return replace(self, left=self.left + first, width=length)

    def rows(self, first: Any, count: int) -> jax.Array:
        """Rows `first` to `first + count`, `(count, width * c)`; `first` may be traced."""
        place = (self.top + first, self.left, 0)
        size = (count, self.width, self.channels)
        if self.number is None:
            return lax.dynamic_slice(self.image, place, size).reshape(count, -1)
        return lax.dynamic_slice(self.image, (self.number, *place), (1, *size))[0].reshape(
            count, -1
        )

    def whole(self) -> jax.Array:
        """The part as an image `(height, width, c)`."""
        image = self.image
        if self.number is not None:
            image = lax.dynamic_index_in_dim(image, self.number, 0, keepdims=False)
        if image.shape[:2] == (self.height, self.width):
            return image
        return image[self.top : self.top + self.height, self.left : self.left + self.width]


def whole(image: jax.Array | Part) -> jax.Array:
    """The pixels of an image or a part."""
    return image.whole() if isinstance(image, Part) else image
