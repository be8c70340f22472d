"""The programs that eager calls have compiled, of which a process keeps a bounded number.

What goes in: a function of a static value and of arrays. What comes out: the function, jitted, with
a program for each static value and each shape of its arrays. The program that was not used for the
longest time is dropped where there are more than the limit: its memory is freed, and it is
compiled again, or read from JAX's persistent cache, where it is needed again.
"""

from __future__ import annotations

import functools
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import jax
import numpy as np

from jaxprep import codec
from jaxprep.errors import InputError

DEFAULT_LIMIT = 128
"""Programs: photographs of any sizes up to 2000 x 2000 need about 30 of a preset. Each takes about
6 MB on CPU."""
VARIABLE = "JAXPREP_MAX_PROGRAMS"


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


def _checked(limit: Any, where: str) -> int:
    is_count = isinstance(limit, int | np.integer) and not isinstance(limit, bool)
    if not is_count or limit < 1:
        raise InputError(
            f"Expected a number of programs of at least 1, got {codec.shown(limit)} - at `{where}`."
        )
    return int(limit)


def _limit_of_environment() -> int:
    text = os.environ.get(VARIABLE, "")
    if not text.strip():
        return DEFAULT_LIMIT
    return _checked(int(text) if text.strip().isdecimal() else text, VARIABLE)


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
    return programs().set_limit(_checked(count, "count"))


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
        compiler_options: of `jax.jit`, for a static value.

    >>> scaled = BoundedJit(lambda factor, x: factor * x)
    >>> scaled(3, np.float32(2)).tolist(), scaled.count()
    (6.0, 1)
    """

    def __init__(
        self,
        function: Callable[..., Any],
        shapes: Callable[..., Hashable] = shapes_of,
        compiler_options: Callable[[Any], dict[str, Any]] = lambda static: {},
    ):
        functools.update_wrapper(self, function)
        self.function = function
        self.shapes = shapes
        self.compiler_options = compiler_options

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
        return jax.jit(bound, compiler_options=self.compiler_options(static))

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
