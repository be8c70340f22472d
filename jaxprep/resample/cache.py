"""A cache of tables that is bounded by their bytes: some are 100 bytes, some 10 MB."""

from __future__ import annotations

import functools
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

import jax

Value = TypeVar("Value")
KEPT_BYTES = 2**26
"""What one cache keeps: the tables of a thousand sizes of photographs of 4000 pixels a side."""
ENTRY_BYTES = 1024
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
        size = nbytes(value) + ENTRY_BYTES
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


def cached(limit: int = KEPT_BYTES) -> Callable[[Callable[..., Value]], BoundedCache[Value]]:
    """Make a function of hashable arguments keep its latest results, up to `limit` bytes.

    >>> @cached()
    ... def square(x):
    ...     return x * x
    >>> square(3), len(square)
    (9, 1)
    """
    return lambda function: BoundedCache(function, limit)
