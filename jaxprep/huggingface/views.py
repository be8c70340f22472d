"""Puts the results of views together, one after another or padded: NumPy's, or traced.

A view is what one pipeline makes of each image: see `ProcessorRow.views`. `call.run_each` returns
one array where all results are alike, which keeps the sharding of a batch, and otherwise a list.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxprep import bounds
from jaxprep.errors import InputError
from jaxprep.pipeline import ragged
from jaxprep.resample.engines.cpu import new_array
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
    starts, total = starts_of([math.prod(result.shape[:axes]) for result in results])
    whole = Rows(starts, total, results[0].shape[axes:], np.result_type(*results))
    for i, result in enumerate(results):
        whole.store(i, result)
    return whole.array


def starts_of(counts: Iterable[int]) -> tuple[list[int], int]:
    """Return the first row of each result of so many rows, one after another, and how many rows
    there are.

    >>> starts_of([2, 1])
    ([0, 2], 3)
    """
    ends = [0, *accumulate(counts)]
    return ends[:-1], ends[-1]


class Rows:
    """Results in rows of one array of the host, each copied there as soon as it is known.

    Everything is known before the first result is, so that several threads may write.

    Args:
        starts: the first row of each result.
        total: of the rows.
        row_shape: of a row: the last axes of every result.
        dtype: of the array.
        has_gaps: rows that nothing is copied to are 0.

    >>> whole = Rows([1, 0], 3, (2,), np.float32, has_gaps=True)
    >>> whole.store(0, np.full((1, 1, 2), 7))
    >>> whole.array.tolist()
    [[0.0, 0.0], [7.0, 7.0], [0.0, 0.0]]
    """

    def __init__(
        self,
        starts: Sequence[int],
        total: int,
        row_shape: Sequence[int],
        dtype: Any,
        *,
        has_gaps: bool = False,
    ):
        self.starts = starts
        self.row_shape = tuple(row_shape)
        self.array = new_array((total, *self.row_shape), dtype, zeros=has_gaps)

    def store(self, i: int, result: np.ndarray) -> None:
        """Copy result `i` to its rows.

        Raises:
            InputError: its rows are of another shape than those of the array.
        """
        copy_runs(result, self.place(i, result.shape))

    def place(self, i: int, shape: Sequence[int]) -> np.ndarray:
        """Return what result `i`, of that shape, is copied to.

        Raises:
            InputError: its rows are of another shape than those of the array.
        """
        split = len(shape) - len(self.row_shape)
        if tuple(shape[split:]) != self.row_shape:
            raise InputError(sizes_differ([tuple(shape[split:]), self.row_shape]))
        end = self.starts[i] + math.prod(shape[:split])
        return self.array[self.starts[i] : end].reshape(shape)


LONGEST_RUN = 1024
"""Bytes up to which a run is one item. Beside a longer copy NumPy's loop costs nothing."""


def copy_runs(source: np.ndarray, target: np.ndarray) -> None:
    """Copy an array to one of its shape and dtype, where neither need be one run of memory.

    NumPy copies the last axis by a loop of its own for each run: of 14 pixels of a patch that takes
    longer than the copy. As one item of 56 bytes each is a plain move (the patches of a photograph,
    12 MB: 0.84 ms, 1.16 without; a copy of one run of 12 MB 0.87).

    >>> whole = np.zeros((2, 4), np.float32)
    >>> copy_runs(np.ones((2, 2), np.float32), whole[:, 1:3])
    >>> whole.tolist()
    [[0.0, 1.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0]]
    """
    run = source.shape[-1] * source.itemsize if source.ndim > 1 else 0
    is_run = source.strides[-1:] == target.strides[-1:] == (source.itemsize,)
    # where the axis before goes on in memory NumPy makes one run of both
    is_longer = source.strides[-2:-1] == target.strides[-2:-1] == (run,)
    if source.dtype != target.dtype or not is_run or is_longer or not 0 < run <= LONGEST_RUN:
        target[...] = source
        return
    item = np.dtype((np.void, run))
    target.view(item)[...] = source.view(item)


def sizes_differ(shapes: Iterable[tuple[int, ...]]) -> str:
    """Return the message for views that should have had one shape.

    >>> sizes_differ([(3, 8, 8), (1, 8, 8)])[:62]
    'Expected views of one size, got [(1, 8, 8), (3, 8, 8)]: with `'
    """
    return (
        f"Expected views of one size, got {sorted(set(shapes))}: with `do_resize` or "
        "`do_center_crop` they become that, and with `do_convert_rgb` gray images."
    )


def padded(results: Sequence[Any], shape: Sequence[int] | None = None) -> Any:
    """Return one array with 0 after each result, up to the longest along every axis.

    Args:
        shape: of each, at least; by default that of the longest.

    Raises:
        InputError: so much padding that it is a mistake.

    >>> padded([np.ones((2, 1)), np.ones((1, 1))])[..., 0].tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    if not is_traced(list(results)):
        return ragged.padded(results, shape)
    shapes = [np.shape(result) for result in results]
    largest = np.max(shapes if shape is None else [*shapes, shape], axis=0)
    bounds.check_padded(largest, shapes)
    widths = [[(0, int(n - m)) for n, m in zip(largest, own, strict=True)] for own in shapes]
    return jnp.stack([jnp.pad(*pair) for pair in zip(results, widths, strict=True)])


def padded_rows(results: Sequence[Any]) -> Any:
    """Return results with 0 after their last rows, up to the longest: one array, or a list where
    rows differ in shape.

    Raises:
        InputError: so much padding that it is a mistake.

    >>> padded_rows([np.ones((2, 1)), np.ones((1, 1))])[..., 0].tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    >>> [result.shape for result in padded_rows([np.ones((2, 1)), np.ones((1, 3))])]
    [(2, 1), (2, 3)]
    """
    row_shapes = [np.shape(result)[1:] for result in results]
    if len(set(row_shapes)) == 1:
        return padded(results)
    longest = max(len(result) for result in results)
    padded_results = []
    for result, row_shape in zip(results, row_shapes, strict=True):
        (padded_result,) = padded([result], (longest, *row_shape))
        padded_results.append(padded_result)
    return padded_results
