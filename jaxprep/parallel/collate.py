"""Makes batches of one shape from lists of records or examples: the one collate of all loaders.

What goes in: what a loader has gathered for a batch. What comes out: a `Batch` of NumPy arrays with
a batch axis, as many rows as were asked for, and the plan of its images where a pipeline is named.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.parallel.canvas import map_in_threads, put_on_canvases, stack_arrays
from jaxprep.parallel.devices import Target, process_part
from jaxprep.parallel.examples import PADDING_INDEX, LoadExample, Record, local_size
from jaxprep.pipeline import Pipeline, Plan
from jaxprep.types import Batch


@dataclass(frozen=True)
class Collate:
    """Makes a `Batch` of a list of records, for any loader: PyTorch's `collate_fn`, Grain's
    `batch_fn`, the `with_transform` of Hugging Face's datasets.

    Attributes:
        load: makes an example of each record; None where they are examples already.
        batch_size: a shorter list, the last of an epoch, is filled up to so many rows with weight
            0, so that all batches have one shape. None leaves it short.
        pipeline: make the plan of the images for this pipeline, too. It is that of images of any
            sizes on the canvas, so that one program takes all batches.
        workers: threads that load the records of a batch. Leave it at 1 where the loader has
            workers of its own.

    >>> load = LoadExample((8, 8))
    >>> batch = Collate(load, batch_size=2)([np.ones((4, 6, 3), np.uint8)])
    >>> batch.image.shape, batch.weight.tolist()
    ((2, 8, 8, 3), [1.0, 0.0])
    """

    load: LoadExample | None = None
    batch_size: int | None = None
    pipeline: Pipeline | None = None
    workers: int = 1

    def __post_init__(self) -> None:
        if self.load is not None and not callable(self.load):
            raise codec.expected("a `LoadExample`", self.load, "$.load")
        if self.batch_size is not None:
            local_size(self.batch_size, 1)
        if self.pipeline is not None and not isinstance(self.pipeline, Pipeline):
            raise codec.expected("a `Pipeline`", self.pipeline, "$.pipeline")
        if not isinstance(self.workers, int) or self.workers < 1:
            raise codec.expected("a number of threads", self.workers, "$.workers")

    def __call__(self, records: Any) -> Any:
        """Collate the records of a batch.

        Args:
            records: a list of what `load` takes, or of examples; or a dictionary of lists, as
                datasets of Hugging Face give a slice.

        Returns:
            a `Batch` of NumPy arrays; with a `pipeline` a tuple `(batch, plan)`.

        Raises:
            InputError: an empty list, more records than `batch_size`, or examples whose shapes or
                dtypes differ.
        """
        listed = _rows_of(records)
        if not listed:
            raise InputError("Expected at least one record, got none - at `records`.")
        if self.batch_size is not None and len(listed) > self.batch_size:
            raise InputError(
                f"Expected at most {self.batch_size} records (`batch_size`), got {len(listed)}."
            )
        if self.load is None:
            batch = _stack_examples(listed)
        else:
            batch = self._loaded(self.load, listed)
        if self.batch_size is not None:
            batch = pad_batch(batch, self.batch_size)
        if self.pipeline is None:
            return batch
        return batch, self.plan(batch)

    def _loaded(self, load: LoadExample, records: list[Any]) -> Batch:
        """The batch of records: the pixels are written to their canvases once."""
        examples = map_in_threads(load.read, records, self.workers)
        pixels = [one.image for one in examples]
        images = put_on_canvases(pixels, load.canvas, "batch.image")
        masks = {}
        for key in load.masks:
            of_key = [one.extras[key] for one in examples]
            masks[key] = put_on_canvases(of_key, load.canvas, key)
        rest = []
        for one in examples:
            others = {key: value for key, value in one.extras.items() if key not in masks}
            rest.append(one.replace(image=None, extras=others))
        batch = _stack_examples(rest)
        return batch.replace(image=images, extras={**batch.extras, **masks})

    def plan(self, batch: Batch) -> Plan:
        """Return the plan of a batch on a canvas."""
        assert self.pipeline is not None
        shape = batch.image.shape
        is_first = self.pipeline.reads_channels_first
        canvas = shape[-2:] if is_first else shape[-3:-1]
        sizes = batch.size
        if sizes is None:
            # images without sizes fill their arrays
            sizes = np.tile(np.int32(canvas), (shape[0], 1))
        return self.pipeline.plan(sizes, canvas, any_sizes=True)


def _rows_of(records: Any) -> list[Any]:
    """The records of a batch as a list; of a dictionary of lists, a dictionary for each row."""
    if not isinstance(records, Mapping):
        return list(records)
    columns = {key: list(column) for key, column in records.items()}
    lengths = {key: len(column) for key, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"Expected lists of one length, got {lengths} - at `records`.")
    rows = zip(*columns.values())
    return [dict(zip(columns, row)) for row in rows]


def _stack_examples(examples: Sequence[Any]) -> Batch:
    for i, example in enumerate(examples):
        if not isinstance(example, Batch):
            raise InputError(
                f"Expected examples (`Batch`), got `{type(example).__name__}` - at `records[{i}]`."
                " Name what makes them of records: `Collate(LoadExample(canvas))`."
            )
    first = examples[0]
    structure = jax.tree.structure(first)
    for i, example in enumerate(examples):
        if jax.tree.structure(example) != structure:
            raise InputError(
                f"Expected examples with the same fields, got {_fields_of(first)} and, at "
                f"`records[{i}]`, {_fields_of(example)}."
            )
    rows = [jax.tree.leaves(example) for example in examples]
    # one leaf of all examples at a time, named in errors by its place in the batch
    columns = zip(*rows)
    stacked = [stack_arrays(column, name) for column, name in zip(columns, _fields_of(first))]
    return structure.unflatten(stacked)


def _fields_of(example: Batch) -> list[str]:
    return [_path_name(path) for path, _ in jax.tree_util.tree_leaves_with_path(example)]


def _path_name(path: Any) -> str:
    return "batch" + jax.tree_util.keystr(path)


def pad_batch(tree: Any, size: int) -> Any:
    """Fill a batch up to `size` rows, which have weight 0.

    The rows that fill it repeat the last one, so that they have a size and a plan like any other;
    their weight is 0 and their index -1.

    Args:
        tree: a `Batch`, a dictionary of arrays with a key "weight", or a tuple that holds one of
            them, such as `(batch, plan)`. All arrays have a leading batch axis.
        size: the number of rows.

    Returns:
        the tree with `size` rows, and with weights (1 where there were none), whether it was
        filled up or not: all batches have the same arrays.

    Raises:
        InputError: more rows than `size`, none, or arrays that differ in their number of rows.

    >>> batch = pad_batch(Batch(image=np.zeros((2, 4, 4, 3)), index=np.int32([5, 6])), 3)
    >>> batch.weight.tolist(), batch.index.tolist()
    ([1.0, 1.0, 0.0], [5, 6, -1])
    """
    if not isinstance(size, int | np.integer):
        raise InputError(f"Expected a number of rows, got {codec.shown(size)} - at `size`.")
    count = row_count(tree)
    if not 0 < count <= size:
        raise InputError(f"Expected 1 to {size} rows, got {count}.")
    weighted, was_found = _with_weights(tree, count)
    if not was_found:
        raise InputError(
            "Expected a `Batch`, or a dictionary of arrays, whose weights say which rows only fill "
            f"it, got `{type(tree).__name__}`."
        )
    if count == size:
        return weighted
    padded = jax.tree.map(lambda leaf: _repeat_last(leaf, size), weighted)
    return _without_weight(padded, count)


def row_count(tree: Any) -> int:
    """Return how many rows the arrays of a batch have.

    Raises:
        InputError: they differ, one has no rows at all, or there is no array.

    >>> row_count(Batch(image=np.zeros((2, 4, 4, 3))))
    2
    """
    counts: dict[int, str] = {}
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        shape = np.shape(leaf)
        if not shape:
            raise InputError(
                f"Expected arrays with a batch axis, got {codec.shown(leaf)} - at "
                f"`{_path_name(path)}`. Make an array of a list."
            )
        counts.setdefault(shape[0], _path_name(path))
    if len(counts) != 1:
        raise InputError(f"Expected arrays with one number of rows, got {counts or 'no array'}.")
    return next(iter(counts))


def _with_weights(tree: Any, count: int) -> tuple[Any, bool]:
    """The tree with weights in every batch, and whether there is any batch."""
    ones = np.ones(count, np.float32)
    if isinstance(tree, Batch):
        weight = ones if tree.weight is None else tree.weight
        return tree.replace(weight=weight), True
    if isinstance(tree, Mapping):
        # weights that are there already come later, and stay
        return {"weight": ones, **tree}, True
    # a named tuple is one thing, such as a plan
    if isinstance(tree, tuple) and not hasattr(tree, "_fields"):
        pairs = [_with_weights(item, count) for item in tree]
        items = tuple(item for item, _ in pairs)
        return items, any(was_found for _, was_found in pairs)
    return tree, False


def _without_weight(tree: Any, start: int) -> Any:
    """The tree with weight 0 in every batch from row `start` on."""
    if isinstance(tree, Batch):
        weight = _set_from(tree.weight, start, 0)
        index = None
        if tree.index is not None:
            index = _set_from(tree.index, start, PADDING_INDEX)
        return tree.replace(weight=weight, index=index)
    if isinstance(tree, Mapping):
        weight = _set_from(tree["weight"], start, 0)
        changed = {**tree, "weight": weight}
        if "index" in changed:
            changed["index"] = _set_from(changed["index"], start, PADDING_INDEX)
        return changed
    if isinstance(tree, tuple) and not hasattr(tree, "_fields"):
        return tuple(_without_weight(item, start) for item in tree)
    return tree


def _set_from(array: Any, start: int, value: int) -> np.ndarray:
    changed = np.array(array)
    # the largest number where there are no negative ones: the same bits to `fold_in`
    changed[start:] = np.array(value).astype(changed.dtype)
    return changed


def _repeat_last(leaf: Any, size: int) -> np.ndarray:
    array = np.asarray(leaf)
    missing = size - len(array)
    # the last row, which has a size and a plan: zeros might have none
    last = array[-1:]
    filling = np.broadcast_to(last, (missing, *array.shape[1:]))
    return np.concatenate([array, filling])


def batches(
    records: Iterable[Any],
    collate: Callable[[list[Any]], Any],
    batch_size: int,
    *,
    sharding: Target = None,
    process_index: int | None = None,
    process_count: int | None = None,
    start_index: int = 0,
) -> Iterator[Any]:
    """Collate an iterable of records: files, datasets of Hugging Face, `tf.data`, a generator.

    Every record gets its position in the iterable as its index. Where there are several processes,
    each reads all records, and loads those of its part of every batch, as `Shard` does.

    Args:
        records: read as batches are taken. Of a dataset of TensorFlow, whose elements are single
            records, `as_numpy_iterator()` is iterated.
        collate: a `Collate` with a `load`; its `batch_size` is that of one process.
        batch_size: of all processes together. The last batch is filled up with records of weight 0.
        sharding, process_index, process_count: see `Shard`.
        start_index: the index of the first record, after those of earlier epochs.

    >>> images = [np.ones((n, 2, 3), np.uint8) for n in (2, 3, 4)]
    >>> collate = Collate(LoadExample((4, 4)))
    >>> for batch in batches(images, collate, batch_size=2):
    ...     print(batch.index.tolist(), batch.weight.tolist(), batch.size.tolist())
    [0, 1] [1.0, 1.0] [[2, 2], [3, 2]]
    [2, -1] [1.0, 0.0] [[4, 2], [4, 2]]
    """
    process, count = process_part(sharding, process_index, process_count)
    size = local_size(batch_size, count)
    first = process * size
    numbered = itertools.count(start_index)
    iterator = zip(as_iterator(records), numbered)
    while group := [Record(*pair) for pair in itertools.islice(iterator, batch_size)]:
        last = group[-1].record
        filling = Record(last, PADDING_INDEX, 0.0)
        missing = batch_size - len(group)
        group += [filling] * missing
        yield collate(group[first : first + size])


def as_iterator(items: Iterable[Any]) -> Iterator[Any]:
    """Return an iterator; of a dataset of TensorFlow over its elements as NumPy arrays.

    >>> next(as_iterator([1]))
    1
    """
    as_numpy_iterator = getattr(items, "as_numpy_iterator", None)
    if as_numpy_iterator is None:
        return iter(items)
    return iter(as_numpy_iterator())
