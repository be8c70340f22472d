"""Images as rows of numbers: what the passes and what follows them are computed on.

A loop over `(h, w, c)` has three channels innermost, for which compilers shuffle vectors; a loop
over `(h, w * c)` has a whole row.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxprep.resample.apart import apart

Interleave = Literal["pixel", "line"]
"""Whether a row holds its pixels one after the other, or its channels: "band interleaved by pixel",
and "by line".
"""


@functools.partial(
    jax.tree_util.register_dataclass, data_fields=["values"], meta_fields=["channels", "interleave"]
)
@dataclass(frozen=True)
class Lines:
    """An image of `h` rows of `w` pixels of `c` channels.

    Attributes:
        values: `(h, w * c)`.
        channels: c.
        interleave: how pixels and channels share a row.
    """

    values: Any
    channels: int
    interleave: Interleave = "pixel"

    @classmethod
    def of(cls, image: Any) -> Lines:
        """The lines of an image `(h, w, c)`."""
        return cls(image.reshape(image.shape[0], -1), image.shape[2])

    @property
    def width(self) -> int:
        return self.values.shape[1] // self.channels

    def image(self) -> Any:
        """The image `(h, w, c)`."""
        if self.interleave == "pixel":
            return self.values.reshape(-1, self.width, self.channels)
        return self.values.reshape(-1, self.channels, self.width).swapaxes(1, 2)

    def planes(self) -> Any:
        """The image as `(c, h, w)`."""
        return self.by_line().values.reshape(-1, self.channels, self.width).swapaxes(0, 1)

    def by_line(self) -> Lines:
        """The same image with the channels of a row one after the other."""
        if self.interleave == "line":
            return self
        return Lines(self.image().swapaxes(1, 2).reshape(self.values.shape), self.channels, "line")

    def by_pixel(self) -> Lines:
        """The same image with the pixels of a row one after the other."""
        return self if self.interleave == "pixel" else Lines.of(self.image())

    def map(self, function: Callable[[Any], Any]) -> Lines:
        """Every number changed alike."""
        return replace(self, values=function(self.values))

    def per_channel(self, values: Any) -> Any:
        """One value, or one for each channel, as an array that broadcasts with the lines."""
        if values.size == 1:
            return values.reshape(())
        return (
            np.tile(values, self.width)
            if self.interleave == "pixel"
            else np.repeat(values, self.width)
        )

    def per_column(self, values: jax.Array) -> jax.Array:
        """A value for each of w columns, as an array that broadcasts with the lines."""
        if self.interleave == "pixel":
            return jnp.broadcast_to(values[:, None], (self.width, self.channels)).reshape(-1)
        return jnp.broadcast_to(values, (self.channels, self.width)).reshape(-1)

    def repeated(self, channels: int) -> Lines:
        """Gray pixels in each of `channels` channels."""
        if channels == self.channels:
            return self
        return Lines.of(jnp.broadcast_to(self.image(), (len(self.values), self.width, channels)))


Finish = Callable[[Lines], Lines]


def same(lines: Lines) -> Lines:
    return lines


@functools.partial(jax.tree_util.register_dataclass, data_fields=["values"], meta_fields=["shape"])
@dataclass(frozen=True)
class _Image:
    values: Any
    shape: tuple[int, ...]


def lines_apart(function: Callable[..., Lines], *args: Any) -> Lines:
    """The lines that `function(*args)` makes, in a computation of its own, with those of an image
    in one place.

    Of a batch XLA would make gathered rows row by row, not image by image, and copy them
    afterwards. A layout passes from a result to what it is made of, unless a reshape stands
    between.
    """

    def body(*args: Any) -> Lines:
        lines = function(*args)
        return lines.map(lambda values: values.reshape(len(values), _pieces(values.shape[1]), -1))

    return apart(body, *args).map(lambda values: values.reshape(len(values), -1))


@dataclass(frozen=True)
class Output:
    """How an image is laid out, and where.

    Attributes:
        to_first: as `(c, h, w)`, otherwise as `(h, w, c)`.
        room: results of several images, of `Output.shape` each, into which this one is written;
            None makes an array.
        number: which of them it is, an integer scalar that may be traced.
    """

    to_first: bool = False
    room: Any = None
    number: Any = None

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """A shape of as many numbers in the same order as an image of `shape`, for which XLA keeps
        that order.
        """
        if self.to_first:
            channels, height, width = shape
            return channels * height, width
        height, width, channels = shape
        pieces = _pieces(width * channels)
        return height, pieces, width * channels // pieces

    def image(self, values: jax.Array, shape: tuple[int, ...]) -> jax.Array:
        """What has that shape as the image of `shape` again."""
        if (
            not self.to_first
        ):  # by way of lines: on an explicit mesh a reshape merges axes or splits one, not both
            values = values.reshape(shape[0], -1)
        return values.reshape(shape)


OWN = Output()
"""An array of its own, `(h, w, c)`."""


def image_apart(function: Callable[..., Lines], *args: Any, output: Output) -> jax.Array:
    """The same as an image, or as the room of the output with the image written into it."""

    def body(room: Any, *args: Any) -> _Image:
        lines = function(*args)
        image = lines.planes() if output.to_first else lines.by_pixel().values
        shape = image.shape if output.to_first else (len(image), lines.width, lines.channels)
        values = image.reshape(output.shape(shape))
        if room is None:
            return _Image(values, shape)
        place = (output.number, *[0] * values.ndim)
        return _Image(lax.dynamic_update_slice(room, values[None], place), shape)

    image = apart(body, output.room, *args)
    return output.image(image.values, image.shape) if output.room is None else image.values


def _pieces(n: int) -> int:
    return next((count for count in (2, 3, 5, 7) if n % count == 0), 1)
