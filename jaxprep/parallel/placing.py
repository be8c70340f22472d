"""Puts batches on devices: on all devices of all processes, or in the layout of `jax.pmap`.

What goes in: a pytree of NumPy arrays with a leading batch axis, what one process has loaded. What
comes out: the same pytree of `jax.Array`, whose batch axis is that of all processes together.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from jaxprep.errors import InputError
from jaxprep.inputs import Policy, as_numpy
from jaxprep.parallel.collate import pad_batch, row_count
from jaxprep.parallel.devices import RowShares, Target, placement_along_batch
from jaxprep.pipeline.numbers import in_jax_type
from jaxprep.settings import platform_of

LEAF = Policy("an array of numbers", hint="Leave out of the batch what no program can take.")


def global_batch(tree: Any, sharding: Target, *, batch_size: int | None = None) -> Any:
    """Make a batch over all devices of what each process has loaded.

    Args:
        tree: a `Batch`, `(batch, plan)` or any pytree of arrays with a leading batch axis: the rows
            of this process, in the order of its devices. `Collate` makes the plan; every process
            needs one of the same structure, which it sees to.
        sharding: a mesh, whose first axis divides the batch; a `NamedSharding` whose spec begins
            with the axes that do; a device; or None for JAX's default device.
        batch_size: the rows of all processes together. A batch with fewer, the last of an epoch, is
            filled up with rows of weight 0 by `pad_batch`; without it no row is added.

    Returns:
        the tree of `jax.Array`: global ones, so that `jit` runs one program on all devices. They
        share no memory with `tree`.

    Raises:
        InputError: arrays that are no numbers or differ in their rows, or rows that the devices
            cannot share.

    >>> from jaxprep import Batch
    >>> mesh = jax.make_mesh((1,), ("data",))
    >>> batch = Batch(image=np.zeros((2, 4, 4, 3), np.uint8), label=np.arange(2))
    >>> placed = global_batch(batch, mesh, batch_size=4)
    >>> placed.image.shape, placed.image.sharding.spec, placed.weight.tolist()
    ((4, 4, 4, 3), P('data',), [1.0, 1.0, 0.0, 0.0])
    """
    target = placement_along_batch(sharding)
    shares = RowShares.of(target)
    tree = _in_jax_types(tree)
    if batch_size is not None:
        tree = pad_batch(tree, shares.rows_of_process(batch_size))
    rows = shares.rows_of_all(row_count(tree))
    platform = platform_of(target)

    def place(leaf: np.ndarray) -> jax.Array:
        if platform == "cpu":
            # JAX reads an aligned array of the host in place, and the caller may overwrite it:
            # https://github.com/jax-ml/jax/issues/37830
            leaf = leaf.copy()
        if target is None:
            # not committed to a device, as the state of a training step: a program for both
            return jax.device_put(leaf)
        shape = (rows, *leaf.shape[1:])
        return jax.make_array_from_process_local_data(target, leaf, shape)

    return jax.tree.map(place, tree)


def _in_jax_types(tree: Any) -> Any:
    def convert(path: Any, leaf: Any) -> np.ndarray:
        where = "batch" + jax.tree_util.keystr(path)
        array = as_numpy(leaf, where, LEAF)
        is_index = where.endswith((".index", "['index']"))
        if is_index and array.dtype.kind in "iu" and array.dtype.itemsize > 4:
            # `fold_in` takes the lower 32 bits of an index: the stream may be longer
            return array.astype(np.int32 if array.dtype.kind == "i" else np.uint32)
        return in_jax_type(array, where)

    return jax.tree_util.tree_map_with_path(convert, tree)


def pmap_layout(tree: Any, device_count: int | None = None) -> Any:
    """Split the batch axis of every array in two, (devices, rows per device), for `jax.pmap`.

    Args:
        tree: a `Batch`, `(batch, plan)` or any pytree of arrays with a leading batch axis.
        device_count: by default those of this process, over which `pmap` maps.

    Raises:
        InputError: the devices cannot share the rows.

    >>> from jaxprep import Batch
    >>> batch = Batch(image=np.zeros((6, 4, 4, 3)))
    >>> pmap_layout(batch, 2).image.shape
    (2, 3, 4, 4, 3)
    """
    count = jax.local_device_count() if device_count is None else device_count
    rows = row_count(tree)
    if count < 1 or rows % count:
        raise InputError(
            f"Expected rows that {count} devices can share, got {rows}. Fill the batch up with "
            "`pad_batch`."
        )
    return jax.tree.map(lambda leaf: leaf.reshape(count, -1, *np.shape(leaf)[1:]), tree)


def from_pmap_layout(tree: Any) -> Any:
    """Join the first two axes of every array, (devices, rows per device), to one batch axis.

    Args:
        tree: arrays `(devices, batch, ...)`.

    >>> from jaxprep import Batch
    >>> from_pmap_layout(Batch(image=np.zeros((2, 3, 4, 4, 3)))).image.shape
    (6, 4, 4, 3)
    """
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *np.shape(leaf)[2:]), tree)
