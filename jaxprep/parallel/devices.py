"""Says how the devices of a sharding share the rows of a batch, and which of them a process has.

What goes in: a mesh, a sharding, a device or None. What comes out: the sharding of arrays with a
leading batch axis, and the part of the rows that this process has to load.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.pipeline.placement import Placement

Target = Mesh | Sharding | jax.Device | None
"""Where a batch goes: a mesh, along its first axis; a sharding, along the axes that it names first;
one device; or JAX's default device."""


def placement_along_batch(target: Target) -> Placement:
    """Return the sharding of arrays whose first axis is that of a batch, all other axes whole.

    Raises:
        InputError: `target` is none of the kinds of `Target`.

    >>> placement_along_batch(jax.make_mesh((1,), ("data",))).spec
    P('data',)
    """
    if target is None:
        return None
    if isinstance(target, jax.Device):
        return SingleDeviceSharding(target)
    if isinstance(target, Mesh):
        return NamedSharding(target, PartitionSpec(target.axis_names[0]))
    if isinstance(target, NamedSharding):
        return NamedSharding(target.mesh, PartitionSpec(*target.spec[:1]))
    if isinstance(target, SingleDeviceSharding):
        return target
    raise InputError(
        f"Expected a mesh, a `NamedSharding`, a device or None, got {codec.shown(target)} - at "
        "`sharding`."
    )


class RowShares(NamedTuple):
    """How the devices share the rows of a batch.

    Attributes:
        total: the number of parts that the devices of all processes make of it. Devices may hold
            the same part, as along another axis of the mesh.
        local: how many of them the devices of this process hold.
        first: the first of those.

    >>> RowShares(total=8, local=4, first=4).process_part
    (1, 2)
    """

    total: int
    local: int
    first: int

    @classmethod
    def of(cls, placement: Placement) -> RowShares:
        """Return the shares of a sharding, as this process sees them."""
        if not isinstance(placement, NamedSharding):
            return cls(total=1, local=1, first=0)
        # of the batch axis: None, one name, or several
        names = placement.spec[0] if placement.spec else None
        if names is None:
            axes = ()
        elif isinstance(names, tuple):
            axes = names
        else:
            axes = (names,)
        total = math.prod(placement.mesh.shape[name] for name in axes)
        # an array of one row for each share shows which rows the devices of this process hold
        indices = placement.addressable_devices_indices_map((total,)).values()
        starts = set()
        for index in indices:
            if index is not None:
                start, _, _ = index[0].indices(total)
                starts.add(start)
        return cls(total=total, local=len(starts), first=min(starts))

    @property
    def process_part(self) -> tuple[int, int]:
        """Which part of a batch this process loads, and of how many."""
        return self.first // self.local, self.total // self.local

    def rows_of_process(self, batch_size: int) -> int:
        """Return how many rows of a batch this process has.

        Raises:
            InputError: the devices cannot share so many.
        """
        if not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
            raise InputError(
                f"Expected a number of rows, got {codec.shown(batch_size)} - at `batch_size`."
            )
        if batch_size % self.total:
            raise InputError(
                f"Expected a batch size that {self.total} devices can share, got {batch_size} - at "
                "`batch_size`."
            )
        return int(batch_size) // self.total * self.local

    def rows_of_all(self, rows: int) -> int:
        """Return how many rows all processes have together, each as many as this one.

        Raises:
            InputError: the devices of this process cannot share `rows`.
        """
        if rows % self.local:
            raise InputError(
                f"Expected rows that the {self.local} devices of this process can share, got "
                f"{rows}. Give `batch_size`, and rows of weight 0 are added."
            )
        return rows // self.local * self.total


def process_part(
    sharding: Target, process_index: int | None, process_count: int | None
) -> tuple[int, int]:
    """Return which part of a batch a process loads, and of how many.

    Args:
        sharding: where the batch goes; its devices decide, unless the numbers are given.
        process_index: by default that of `sharding` or, without one, `jax.process_index()`.
        process_count: by default that of `sharding` or, without one, `jax.process_count()`.

    Raises:
        InputError: there is no such process.

    >>> process_part(None, None, None), process_part(None, 1, 2)
    ((0, 1), (1, 2))
    """
    own_index, own_count = jax.process_index, jax.process_count
    if sharding is not None:
        part = RowShares.of(placement_along_batch(sharding)).process_part
        own_index, own_count = (lambda: part[0]), (lambda: part[1])
    count = own_count() if process_count is None else process_count
    index = own_index() if process_index is None else process_index
    if not 0 <= index < count:
        raise InputError(
            f"Expected a process from 0 to {count - 1}, got {index} - at `process_index`."
        )
    return index, count
