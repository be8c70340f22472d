"""Bounds what a config and an image may ask for, before any memory is taken for it.

One rule for every step, plan and layout:

* A side has at most `MAX_SIDE` pixels: that of an image, and what any step makes of it, also where
  the program never stores an image of that size.
* An image that a program stores, and what one of its two passes leaves to the other, has at most
  `MAX_PIXELS`, or twice as many as the image that came in: large results come of large images only.
* A tap table has at most `MAX_WEIGHTS` weights, and a cache of tables at most `CACHE_BYTES`.

Sizes in a config are held to the first two when it is made (`ConfigError`); sizes that depend on
the image when its tables are made, or a program for its shape is traced (`InputError`).
"""

from __future__ import annotations

import functools
import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

import jax

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.types import Size

MAX_SIDE = 2**20
"""Files have sides of at most 65,535 pixels (JPEG) or so: more is a mistake, or a config made to
exhaust the memory."""
MAX_PIXELS = 2**26
"""8192 x 8192, which is 0.8 GB of float32 RGB."""
MAX_PARTS = 2**12
"""Of one image that is cut: 64 x 64 of them, where models take some dozens."""
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


def check_parts(count: int, size: Size, source: Size) -> None:
    """Raises `InputError` unless the parts that one image is cut into are at most `MAX_PARTS`, and
    have together at most `MAX_PIXELS`, or twice those of the image.

    Args:
        count: of the parts.
        size: height and width of a part, as a program stores it.
        source: those of the image.

    >>> check_parts(9, (448, 448), source=(1000, 2000))
    """
    if count > MAX_PARTS:
        raise InputError(
            f"Expected at most {MAX_PARTS} parts, got {count} of an image of size {tuple(source)}."
        )
    most = max(MAX_PIXELS, 2 * source[0] * source[1])
    if count * size[0] * size[1] > most:
        raise InputError(
            f"Expected parts of at most {most} pixels in all, got {count} of {tuple(size)} from an "
            f"image of size {tuple(source)}."
        )


# -- caches ---------------------------------------------------------------------------------------

Value = TypeVar("Value")
CACHE_BYTES = 2**26
"""What one cache keeps: the tables of a thousand sizes of photographs of 4000 pixels a side."""
CACHE_ENTRY_BYTES = 1024
"""What an entry takes beside its arrays: the key, the tuples, NumPy's objects."""


def nbytes(value: Any) -> int:
    """Return the bytes of all arrays of a pytree.

    >>> import numpy as np
    >>> nbytes((np.zeros(4, np.int32), None, 3))
    16
    """
    return sum(getattr(leaf, "nbytes", 0) for leaf in jax.tree.leaves(value))


class BoundedCache(Generic[Value]):
    """A function that keeps its latest results, as `functools.lru_cache` does, up to a number of
    bytes. Threads may share it.

    Attributes:
        function: called with the arguments where its result is not kept.
        limit: of the bytes of all results that are kept; a larger one is not.
        size: the bytes kept.

    >>> import numpy as np
    >>> zeros = BoundedCache(np.zeros, limit=10_000)
    >>> zeros(4) is zeros(4), zeros(10_000) is zeros(10_000)
    (True, False)
    """

    def __init__(self, function: Callable[..., Value], limit: int):
        functools.update_wrapper(self, function)
        self.function = function
        self.limit = limit
        self.size = 0
        self._kept: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, *args: Hashable) -> Value:
        with self._lock:
            found = self._kept.get(args)
            if found is not None:
                self._kept.move_to_end(args)
                return found[0]
        # not under the lock: the function may take long, or call itself
        value = self.function(*args)
        size = nbytes(value) + CACHE_ENTRY_BYTES
        with self._lock:
            if size > self.limit or args in self._kept:
                return value
            self._kept[args] = value, size
            self.size += size
            while self.size > self.limit:
                _, (_, freed) = self._kept.popitem(last=False)
                self.size -= freed
        return value

    def __len__(self) -> int:
        return len(self._kept)


def cached(limit: int = CACHE_BYTES) -> Callable[[Callable[..., Value]], BoundedCache[Value]]:
    """Make a function of hashable arguments keep its latest results, up to `limit` bytes.

    >>> @cached()
    ... def square(x):
    ...     return x * x
    >>> square(3), len(square)
    (9, 1)
    """
    return lambda function: BoundedCache(function, limit)
