"""Loads and preprocesses one stream of examples: in this process, or as one of several that share
it. Run as a script it is such a process.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import chex
import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from helpers import quick
from jaxprep import Batch, Pipeline, Plan, augment, ops, parallel

CANVAS = (20, 24)
COUNT = 33
BATCH_SIZE = 8
DEVICES = 2  # of each process
PIPELINE = Pipeline((augment.RandomResizedCrop(8), augment.RandomFlip(), ops.Rescale()))
SPEC = PartitionSpec("data")


def records() -> list[tuple[np.ndarray, int]]:
    """Return photographs of different sizes with their labels."""
    rng = np.random.default_rng(7)
    sizes = [(int(rng.integers(8, 21)), int(rng.integers(8, 25))) for _ in range(COUNT)]
    return [(rng.integers(0, 256, (*size, 3), np.uint8), i) for i, size in enumerate(sizes)]


def loaded(batch_size: int, **process: int) -> Iterator[tuple[Batch, Plan]]:
    """Yield the batches of one process with their plans."""
    shard = parallel.Shard(records(), batch_size, **process)
    collate = parallel.Collate(parallel.LoadExample(CANVAS), pipeline=PIPELINE)
    for start in range(0, len(shard), shard.local_batch_size):
        rows = range(start, start + shard.local_batch_size)
        yield collate([shard[i] for i in rows])


def preprocess(batch: Batch, plan: Plan, key: jax.Array) -> Batch:
    return PIPELINE(batch, key=key, plan=plan)


def traced_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that may be traced once, whatever it is called with."""
    jax.clear_caches()
    chex.clear_trace_counter()
    return chex.assert_max_traces(function, n=1)


def in_order(batches: list[Batch]) -> dict[str, np.ndarray]:
    """Return images and labels of all examples, by their index; those that only fill a batch are
    left out.
    """
    index = np.concatenate([np.asarray(batch.index) for batch in batches])
    weight = np.concatenate([np.asarray(batch.weight) for batch in batches])
    image = np.concatenate([np.asarray(batch.image) for batch in batches])
    label = np.concatenate([np.asarray(batch.label) for batch in batches])
    assert ((index >= 0) == (weight == 1)).all()
    real = np.flatnonzero(weight)
    order = real[np.argsort(index[real])]
    return {"index": index[order], "image": image[order], "label": label[order]}


def _rows_of_this_process(batch: Batch) -> Batch:
    """The rows of a global batch that the devices of this process hold, in their order."""

    def rows(leaf: jax.Array) -> np.ndarray:
        shards = sorted(leaf.addressable_shards, key=lambda shard: shard.index[0].start or 0)
        return np.concatenate([np.asarray(shard.data) for shard in shards])

    return jax.tree.map(rows, batch)


def _run(process: int, processes: int, output: Path) -> None:
    """Preprocess this process' part in every way; write what comes of it."""
    own = {"process_index": process, "process_count": processes}
    key = jax.random.key(3)
    results = {}
    for kind in (AxisType.Auto, AxisType.Explicit):
        mesh = jax.make_mesh((processes * DEVICES,), ("data",), (kind,))
        # `jit` under an Explicit mesh, and `shard_map` under an Auto one, run in one process
        way, function = "jit", traced_once(preprocess)
        if kind == AxisType.Explicit:
            mapped = jax.shard_map(
                preprocess, in_specs=(SPEC, SPEC, PartitionSpec()), out_specs=SPEC
            )
            way, function = "shard_map", mapped
        done = []
        step = jax.jit(function)
        with jax.set_mesh(mesh), parallel.prefetch(loaded(BATCH_SIZE, **own), mesh) as loader:
            for batch, plan in loader:
                assert batch.image.shape == (BATCH_SIZE, *CANVAS, 3)
                result = step(batch, plan, key)
                assert result.image.sharding.spec[0] == "data"
                done.append(_rows_of_this_process(result))
        results[f"{way} {kind.name}"] = in_order(done)
    mesh = Mesh(np.array(jax.local_devices()), ("data",))
    mapped = jax.pmap(preprocess, in_axes=(0, 0, None))
    split = map(parallel.pmap_layout, loaded(BATCH_SIZE, **own))
    with parallel.prefetch(split, mesh) as loader:
        done = [parallel.from_pmap_layout(mapped(*item, key)) for item in loader]
    results["pmap"] = in_order(done)
    _check_rows_that_processes_share(process, processes)
    flat = {f"{way}/{name}": array for way, r in results.items() for name, array in r.items()}
    np.savez(output, **flat)


def _check_rows_that_processes_share(process: int, processes: int) -> None:
    """Devices of two processes hold the same rows along an axis that spans them."""
    spanning = jax.make_mesh((processes, DEVICES), ("model", "data"), (AxisType.Auto,) * 2)
    sharding = NamedSharding(spanning, SPEC)
    shard = parallel.Shard(range(6), 4, sharding=sharding)
    assert (shard.process_index, shard.process_count) == (0, 1)
    rows = np.int32([item.record for item in shard][:4])
    placed = parallel.global_batch({"rows": rows}, sharding)["rows"]
    assert placed.shape == (4,)
    for piece in placed.addressable_shards:
        np.testing.assert_array_equal(piece.data, rows[piece.index])
    own = parallel.Shard(range(6), 4, sharding=jax.make_mesh((processes * DEVICES,), ("data",)))
    assert (own.process_index, own.process_count) == (process, processes)


def run_processes(count: int, folder: Path) -> list[dict[str, np.ndarray]]:
    """Run this file in several processes over the loopback interface; return what each wrote.

    Raises:
        AssertionError: one has failed; with what it printed.
    """
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    outputs = [folder / f"{i}.npz" for i in range(count)]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "helpers.processes", *map(str, (i, count, port, output))],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=_environment(),
        )
        for i, output in enumerate(outputs)
    ]
    try:
        printed = [process.communicate(timeout=180)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert all(process.returncode == 0 for process in started), "\n".join(printed)
    return [dict(np.load(output)) for output in outputs]


def _environment() -> dict[str, str]:
    tests = Path(__file__).resolve().parents[1]
    path = os.pathsep.join([str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")])
    # the last of equal flags counts; the others compile as the process that starts these
    count = f"--xla_force_host_platform_device_count={DEVICES}"
    flags = f"{os.environ.get('XLA_FLAGS', '')} {count}"
    return {**os.environ, "PYTHONPATH": path, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}


def _main() -> None:
    process, count, port = map(int, sys.argv[1:4])
    quick.collect_rarely()
    quick.lower_in_one_context()
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(f"127.0.0.1:{port}", count, process)
    assert jax.process_count() == count and jax.local_device_count() == DEVICES
    _run(process, count, Path(sys.argv[4]))
    jax.distributed.shutdown()


if __name__ == "__main__":
    _main()
