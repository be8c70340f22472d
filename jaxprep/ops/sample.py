"""Boxes with corners between pixels, enlarged to an aspect ratio and sampled: the crops of
people.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.resample.buckets import canvas
from jaxprep.resample.passes import two_pass
from jaxprep.resample.resize import widen
from jaxprep.resample.sample import magnification, positions, sample_taps
from jaxprep.resample.tables import Taps
from jaxprep.types import Size, is_traced

ROOM = 1.25
"""Sapiens2: a box is so much larger than the person in it."""


class Window(NamedTuple):
    """A box in float32 pixels: its middle, and its sides."""

    x: np.float32
    y: np.float32
    width: np.float32
    height: np.float32


def window_of(box: Any, size: Size) -> Window:
    """The window for a box `(x, y, width, height)`: larger by `ROOM`, and then to the aspect ratio
    of `size`.
    """
    x, y, width, height = (np.float32(n) for n in box)
    ratio = np.float32(size[1] / size[0])
    wide, high = width * np.float32(ROOM), height * np.float32(ROOM)
    sides = (wide, wide / ratio) if wide > high * ratio else (high * ratio, high)
    return Window(x + np.float32(0.5) * width, y + np.float32(0.5) * height, *sides)


def sample_box(image: Any, box: Any, size: Size, *, method: str | None = None) -> jax.Array:
    """The window of a box of one image `(h, w, c)`, at `size`, float32; 0 where it lies outside.

    Args:
        box: `(x, y, width, height)` in pixels, known outside of any transformation.
        method: "bilinear", "bicubic" or "nearest"; by default bilinear where the window shrinks,
            else bicubic.
    """
    height, width, _ = image.shape
    if min(height, width) < 2:
        raise InputError(
            f"Expected an image of at least 2 pixels a side, to be sampled, got {(height, width)}."
        )
    window = window_of(box, size)
    if method is None:
        shrinks = (
            min(magnification(window.width, size[1]), magnification(window.height, size[0])) < 1
        )
        method = "bilinear" if shrinks else "bicubic"
    vertical = sample_taps(positions(window.y, window.height, height, size[0]), height, method)
    horizontal = sample_taps(positions(window.x, window.width, width, size[1]), width, method)
    if is_traced(image):
        return _sampled(image, vertical, horizontal)
    room = canvas((height, width))
    padded = np.zeros((*room, image.shape[2]), image.dtype)
    padded[:height, :width] = image
    return _jitted(padded, widen(vertical, room[0], size[0]), widen(horizontal, room[1], size[1]))


def _sampled(image: Any, vertical: Taps, horizontal: Taps) -> jax.Array:
    image = jnp.asarray(image).astype(jnp.float32)
    return two_pass(image, vertical, horizontal, vertical_first=False, arithmetic="float")


_jitted = jax.jit(_sampled)
