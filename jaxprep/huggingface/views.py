"""Puts the results of views together, one after another or padded: NumPy's, or traced.

A view is what one pipeline makes of each image: see `ProcessorRow.views`. `call.run_each` returns
one array where all results are alike, which keeps the sharding of a batch, and otherwise a list.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxprep import bounds
from jaxprep.pipeline.ragged import new_array
from jaxprep.types import is_traced


def array_module(results: Any) -> Any:
    """Return `jax.numpy` where anything is traced, otherwise `numpy`.

    >>> array_module([np.zeros(2)]) is np
    True
    """
    return jnp if is_traced(results) else np


def rows(results: Any, axes: int) -> Any:
    """Return the results one after another: their first `axes` axes become rows of one array.

    >>> rows([np.zeros((2, 3, 5)), np.zeros((1, 1, 5))], axes=2).shape
    (7, 5)
    """
    if not isinstance(results, list):
        return results.reshape(-1, *results.shape[1 + axes :])
    if is_traced(results):
        flat = [result.reshape(-1, *result.shape[axes:]) for result in results]
        return jnp.concatenate(flat)
    whole = Concatenated([result.shape for result in results], axes)
    for i, result in enumerate(results):
        whole.store(i, result)
    return whole.array


class Concatenated:
    """Results of one type, one after another in one array of the host, each copied there as soon as
    it is known.

    Args:
        shapes: of the results.
        axes: so many first axes of a result become rows.

    >>> whole = Concatenated([(2, 1, 3), (1, 1, 3)], axes=2)
    >>> whole.store(1, np.full((1, 1, 3), 7))
    >>> whole.array.shape, whole.array[2].tolist()
    ((3, 3), [7, 7, 7])
    """

    def __init__(self, shapes: Sequence[tuple[int, ...]], axes: int):
        self.shapes = list(shapes)
        self.counts = [math.prod(shape[:axes]) for shape in shapes]
        self.ends = np.cumsum(self.counts).tolist()
        self.row_shape = shapes[0][axes:]
        self.array: Any = None
        self.lock = threading.Lock()

    def store(self, i: int, result: np.ndarray) -> None:
        """Copy result `i` to its rows; several threads may do so."""
        # A result may be the corner of a larger array: its rows are no run of memory.
        self.place(i, result.dtype)[...] = result

    def place(self, i: int, dtype: Any) -> np.ndarray:
        """Return what result `i` is copied to, in its shape; `dtype` is that of all results."""
        with self.lock:
            if self.array is None:
                self.array = new_array((self.ends[-1], *self.row_shape), dtype)
        start = self.ends[i] - self.counts[i]
        return self.array[start : self.ends[i]].reshape(self.shapes[i])


def padded(results: Sequence[Any], shape: Sequence[int] | None = None) -> Any:
    """Return one array with 0 after each result, up to the longest along every axis.

    Args:
        shape: of each, at least; by default that of the longest.

    Raises:
        InputError: so much padding that it is a mistake.

    >>> padded([np.ones((2, 1)), np.ones((1, 1))])[..., 0].tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    shapes = [np.shape(result) for result in results]
    largest = np.max(shapes if shape is None else [*shapes, shape], axis=0)
    bounds.check_padded(largest, shapes)
    if is_traced(list(results)):
        widths = [[(0, int(n - m)) for n, m in zip(largest, own, strict=True)] for own in shapes]
        return jnp.stack([jnp.pad(*pair) for pair in zip(results, widths, strict=True)])
    shape = (len(results), *largest.tolist())
    whole = new_array(shape, np.result_type(*results), zeros=True)
    for row, result in zip(whole, results, strict=True):
        row[tuple(slice(n) for n in result.shape)] = result
    return whole
