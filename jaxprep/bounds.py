"""Bounds what a config and an image may ask for, before any memory is taken for it.

One rule for every step, plan and layout:

* A side has at most `MAX_SIDE` pixels: that of an image, and what any step makes of it, also where
  the program never stores an image of that size.
* An image that a program stores, and what one of its two passes leaves to the other, has at most
  `MAX_PIXELS`, or twice as many as the image that came in: large results come of large images only.
* A tap table has at most `MAX_WEIGHTS` weights.

Sizes in a config are held to the first two when it is made (`ConfigError`); sizes that depend on
the image when its tables are made, or a program for its shape is traced (`InputError`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.types import Size

MAX_SIDE = 2**20
"""Files have sides of at most 65,535 pixels (JPEG) or so: more is a mistake, or a config made to
exhaust the memory."""
MAX_PIXELS = 2**26
"""8192 x 8192, which is 0.8 GB of float32 RGB."""
MAX_WEIGHTS = 2**22
"""A table of so many takes 0.2 GB and less than a second to make; that of a photograph of 12,000
pixels by `lanczos5` has 120,000."""


def check_side(side: int, where: str) -> None:
    """Raises `ConfigError` unless a side is of 1 to `MAX_SIDE` pixels.

    >>> check_side(224, "$.shortest_edge")
    """
    if side < 1:
        raise codec.expected("a number of pixels of at least 1", side, where)
    if side > MAX_SIDE:
        raise codec.expected(f"at most {MAX_SIDE} pixels a side", side, where)


def check_size(size: Size | None, where: str) -> None:
    """Raises `ConfigError` unless the sides are of 1 to `MAX_SIDE` pixels, and the area of at most
    `MAX_PIXELS`.

    >>> check_size((224, 224), "$.size")
    """
    if size is None:
        return
    if min(size) < 1:
        raise codec.expected("a height and width of at least 1", size, where)
    if max(size) > MAX_SIDE:
        raise codec.expected(f"at most {MAX_SIDE} pixels a side", size, where)
    if size[0] * size[1] > MAX_PIXELS:
        raise codec.expected(f"at most {MAX_PIXELS} pixels", size, where)


def check_sides(size: Sequence[Any], step: str = "", source: Sequence[Any] = ()) -> None:
    """Raises `InputError` unless an image, or what a step makes of one, has sides of 1 to
    `MAX_SIDE` pixels.

    Args:
        size: the sides.
        step: the name of the step that makes them, for messages; of an image that comes in none.
        source: height and width of the image that the step is given.

    >>> check_sides((4, 6))
    """
    if 1 <= min(size) <= max(size) <= MAX_SIDE and all(int(side) == side for side in size):
        return
    what = "a result" if step else "an image"
    got = f"got size {tuple(size)}"
    if step:
        got += f", which `{step}` makes of {tuple(source)}"
    if min(size) < 1:
        raise InputError(f"Expected {what} with pixels, {got}.")
    if max(size) > MAX_SIDE:
        raise InputError(f"Expected {what} of at most {MAX_SIDE} pixels a side, {got}.")
    raise InputError(f"Expected whole numbers of pixels, {got}.")


def check_pixels(size: Size, source: Size, what: str = "a result") -> None:
    """Raises `InputError` unless an image has at most `MAX_PIXELS`, or twice those of `source`.

    Args:
        size: its height and width.
        source: those of the image that came in.
        what: it is, for messages.

    >>> check_pixels((8192, 8192), source=(1, 1))
    """
    most = max(MAX_PIXELS, 2 * source[0] * source[1])
    if size[0] * size[1] > most:
        raise InputError(
            f"Expected {what} of at most {most} pixels, got {tuple(size)} from an image of size "
            f"{tuple(source)}."
        )


def check_weights(outputs: int, taps: int, what: str) -> None:
    """Raises `InputError` unless a table of `outputs` with `taps` each has at most `MAX_WEIGHTS`.

    Args:
        what: it is for, for messages.

    >>> check_weights(224, 12, "a resize")
    """
    if outputs * taps > MAX_WEIGHTS:
        raise InputError(
            f"Expected {what} with at most {MAX_WEIGHTS} weights an axis, got {outputs} pixels of "
            f"{taps} weights each."
        )


def check_shape(shape: Sequence[int], source: Sequence[int], layout: str) -> None:
    """Raises `InputError` unless a layout stores at most as many values as an image of `MAX_PIXELS`
    has, or twice those of the image that it is given.

    Args:
        shape: of the array that it stores.
        source: height, width and channels of the image.
        layout: its name, for messages.

    >>> check_shape((16, 48), source=(16, 16, 3), layout="Patches")
    """
    height, width, channels = source
    most = max(MAX_PIXELS, 2 * height * width) * channels
    if math.prod(shape) > most:
        raise InputError(
            f"Expected `{layout}` to store at most {most} values, got shape {tuple(shape)} from an "
            f"image of shape {tuple(source)}."
        )


def check_padded(shape: Sequence[int], shapes: Sequence[Sequence[int]]) -> None:
    """Raises `InputError` unless results that are padded to one shape have at most as many values
    as four channels of `MAX_PIXELS`, or twice those of the largest of them.

    Args:
        shape: of the padded results.
        shapes: of the results.

    >>> check_padded((4, 4, 3), [(4, 2, 3), (2, 4, 3)])
    """
    most = max(4 * MAX_PIXELS, 2 * max(math.prod(one) for one in shapes))
    if math.prod(shape) > most:
        raise InputError(
            f"Expected results that are padded to one shape of at most {most} values, got "
            f"{tuple(shape)}: preprocess tall and wide images in calls of their own."
        )
