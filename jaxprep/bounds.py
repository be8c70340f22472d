"""Bounds what a config and an image may ask for, before any memory is taken for it, and what a
process keeps between calls.

One rule for every step, plan and layout:

* A side has at most `MAX_SIDE` pixels: that of an image, and what any step makes of it, also where
  the program never stores an image of that size.
* An image that a program stores, and what one of its two passes leaves to the other, has at most
  `MAX_PIXELS`, or twice as many as the image that came in: large results come of large images only.
* A tap table has at most `MAX_WEIGHTS` weights, and a cache of tables at most `CACHE_BYTES`.
* Eager calls keep at most `DEFAULT_PROGRAMS` compiled programs. The one that was not used for the
  longest time is dropped: its memory is freed, and it is compiled again, or read from JAX's
  persistent cache, where it is needed again.

Sizes in a config are held to the first two when it is made (`ConfigError`); sizes that depend on
the image when its tables are made, or a program for its shape is traced (`InputError`).
"""

from __future__ import annotations

import functools
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Generic, TypeVar

import jax
import numpy as np

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
    if not isinstance(shape, tuple | list):  # of a user's layout
        raise InputError(f"Expected `{layout}.shape` to return a tuple, got {codec.shown(shape)}.")
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


# -- programs -------------------------------------------------------------------------------------

DEFAULT_PROGRAMS = 128
"""Programs: photographs of any sizes up to 2000 x 2000 need about 30 of a preset. Each takes about
6 MB on CPU."""
PROGRAMS_VARIABLE = "JAXPREP_MAX_PROGRAMS"


class _Kept:
    """One jitted function, which is compiled for one shape of its arrays."""

    def __init__(self, function: Any):
        self.function = function
        self.is_compiled = False
        self.lock = threading.RLock()


class KeptPrograms:
    """The programs of a process, the one that was used last at the end; threads may share it.

    Attributes:
        limit: how many are kept.

    >>> programs = KeptPrograms(limit=1)
    >>> made = [programs.get(key, lambda: jax.jit(abs)) for key in ("a", "b", "a")]
    >>> len(programs), made[0] is made[2]
    (1, False)
    """

    def __init__(self, limit: int):
        self.limit = limit
        self._kept: OrderedDict[Hashable, _Kept] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], Any]) -> _Kept:
        """Return the program of a key, or put there the jitted function that `make` returns."""
        with self._lock:
            kept = self._kept.get(key)
            if kept is None:
                kept = self._kept[key] = _Kept(make())
                self._drop()
            else:
                self._kept.move_to_end(key)
            return kept

    def set_limit(self, limit: int) -> int:
        """Keep at most `limit` programs from now on, and return the limit before."""
        with self._lock:
            before, self.limit = self.limit, limit
            self._drop()
        return before

    def _drop(self) -> None:
        # XLA's memory goes with the jitted function, once no other thread runs it
        while len(self._kept) > self.limit:
            self._kept.popitem(last=False)

    def __len__(self) -> int:
        return len(self._kept)

    def count(self, is_counted: Callable[[Any], bool]) -> int:
        """Return how many programs have a key that is counted."""
        with self._lock:
            return sum(map(is_counted, self._kept))


def _checked_limit(limit: Any, where: str) -> int:
    is_count = isinstance(limit, int | np.integer) and not isinstance(limit, bool)
    if not is_count or limit < 1:
        raise InputError(
            f"Expected a number of programs of at least 1, got {codec.shown(limit)} - at `{where}`."
        )
    return int(limit)


def _limit_of_environment() -> int:
    text = os.environ.get(PROGRAMS_VARIABLE, "")
    if not text.strip():
        return DEFAULT_PROGRAMS
    return _checked_limit(int(text) if text.strip().isdecimal() else text, PROGRAMS_VARIABLE)


@functools.cache
def programs() -> KeptPrograms:
    """Return the programs of this process.

    >>> programs().limit
    128
    """
    return KeptPrograms(_limit_of_environment())


def limit_programs(count: int) -> int:
    """Set how many compiled programs the calls of this process keep; 128 before it is set.

    The program that was not used for the longest time is freed first. The environment variable
    `JAXPREP_MAX_PROGRAMS` says the same for a process from its start. What your own `jax.jit`
    compiles is JAX's, and does not count.

    Args:
        count: at least 1. The programs of all warm-ups must fit together: a later `warm_up` frees
            those of an earlier one beyond this number.

    Returns:
        the limit before.

    Raises:
        InputError: no such number.

    >>> before = limit_programs(64)
    >>> limit_programs(before)
    64
    """
    return programs().set_limit(_checked_limit(count, "count"))


def shapes_of(*arrays: Any) -> Hashable:
    """Return the structure of pytrees of arrays, with all shapes and dtypes.

    >>> shapes_of(np.zeros(2)) == shapes_of(np.ones(2)), shapes_of(1) == shapes_of(np.zeros(2))
    (True, False)
    """
    leaves, structure = jax.tree.flatten(arrays)
    kinds = [(np.shape(leaf), getattr(leaf, "dtype", type(leaf))) for leaf in leaves]
    return structure, tuple(kinds)


class BoundedJit:
    """A function of a static value and of arrays, jitted; its programs are among those that the
    process keeps.

    Args:
        function: called with the static value and the arrays.
        shapes: what of the shapes of the arrays the static value does not say.
        options: of `jax.jit`.

    >>> scaled = BoundedJit(lambda factor, x: factor * x)
    >>> scaled(3, np.float32(2)).tolist(), scaled.count()
    (6.0, 1)
    """

    def __init__(
        self,
        function: Callable[..., Any],
        shapes: Callable[..., Hashable] = shapes_of,
        **options: Any,
    ):
        functools.update_wrapper(self, function)
        self.function = function
        self.shapes = shapes
        self.options = options

    def __call__(self, static: Hashable, *arrays: Any) -> Any:
        key = self, static, self.shapes(*arrays)
        kept = programs().get(key, lambda: self.jitted(static))
        if kept.is_compiled:
            return kept.function(*arrays)
        # threads that wait here would each compile it
        with kept.lock:
            result = kept.function(*arrays)
            kept.is_compiled = True
        return result

    def jitted(self, static: Hashable) -> Any:
        """Return the function for one static value, jitted."""
        # `partial` has no name, by which JAX calls the program
        bound = functools.update_wrapper(functools.partial(self.function, static), self.function)
        del bound.__wrapped__  # JAX would count its arguments, of which one is bound
        return jax.jit(bound, **self.options)

    def count(self) -> int:
        """Return how many programs of this function are kept."""
        return programs().count(lambda key: key[0] is self)


def bounded_jit(**options: Any) -> Callable[[Callable[..., Any]], BoundedJit]:
    """Decorate a function with `BoundedJit`; the arguments are those of it.

    >>> @bounded_jit()
    ... def added(number, x):
    ...     return x + number
    >>> added(1, np.float32(2)).tolist()
    3.0
    """
    return lambda function: BoundedJit(function, **options)
