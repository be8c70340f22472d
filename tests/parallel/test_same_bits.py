"""An example has the same bits whatever the batch size, the devices, the mesh, the transformation
and the number of processes.
"""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import Any

import chex
import jax
import numpy as np
import pytest
from helpers import processes
from helpers.processes import BATCH_SIZE, COUNT, SPEC, in_order, loaded, preprocess
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxprep import parallel

COLLECTIVES = re.compile(
    r"all-gather|all-reduce|all-to-all|collective-permute|collective-broadcast|reduce-scatter"
)
KEY = jax.random.key(3)
ONE = {"process_index": 0, "process_count": 1}


@functools.cache
def on_one_device() -> dict[str, np.ndarray]:
    """The results of batches of 7."""
    step = jax.jit(processes.traced_once(preprocess))
    with parallel.prefetch(loaded(7, **ONE)) as loader:
        return in_order([step(*item, KEY) for item in loader])


def test_every_example_comes_once_with_its_label():
    result = on_one_device()
    assert result["index"].tolist() == result["label"].tolist() == list(range(COUNT))


def test_the_batch_size_changes_no_bit():
    """Nor does the program of an eager call, which is another than that of `jit`."""
    with parallel.prefetch(loaded(1, **ONE)) as loader:
        done = in_order([preprocess(*item, KEY) for item in loader])
    chex.assert_trees_all_equal(done, on_one_device())


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
def test_devices_change_no_bit_in_one_program_without_collectives_or_transfers(kind: AxisType):
    mesh = jax.make_mesh((4,), ("data",), (kind,))
    key = jax.device_put(KEY, NamedSharding(mesh, PartitionSpec()))
    mapped: Any = jax.shard_map(
        preprocess, mesh=mesh, in_specs=(SPEC, SPEC, PartitionSpec()), out_specs=SPEC
    )
    # under an Explicit mesh `shard_map` runs in processes, below
    for function in (preprocess, mapped) if kind == AxisType.Auto else (preprocess,):
        program, done = None, []
        loader = parallel.prefetch(loaded(BATCH_SIZE, **ONE), mesh)
        with loader, jax.set_mesh(mesh), jax.transfer_guard("disallow"):
            for batch, plan in loader:
                if program is None:
                    program = jax.jit(function).lower(batch, plan, key).compile()
                done.append(program(batch, plan, key))  # it takes no other shapes
        assert program is not None and COLLECTIVES.search(program.as_text()) is None
        for leaf in jax.tree.leaves(done):
            assert leaf.sharding.spec[0] == "data" and len(leaf.sharding.device_set) == 4
        chex.assert_trees_all_equal(in_order(done), on_one_device())


def test_processes_and_pmap_change_no_bit(tmp_path: Path):
    """Two processes, each with two devices; `pmap` is over those of each."""
    parts = processes.run_processes(2, tmp_path)
    want = on_one_device()
    ways = {name.partition("/")[0] for name in parts[0]}
    assert ways == {"jit Auto", "shard_map Explicit", "pmap"}
    for way in ways:
        index = np.concatenate([part[f"{way}/index"] for part in parts])
        order = np.argsort(index)
        for name in ("index", "image", "label"):
            got = np.concatenate([part[f"{way}/{name}"] for part in parts])
            np.testing.assert_array_equal(got[order], want[name], err_msg=f"{way} {name}")
