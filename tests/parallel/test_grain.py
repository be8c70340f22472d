"""Grain: shuffled files become batches with plans, in threads and in workers, and training resumes
exact to the bit.
"""

from __future__ import annotations

import io
import itertools
import json
import sys
from pathlib import Path
from typing import Any

import chex
import jax
import numpy as np
import pytest
from helpers.images import noise
from PIL import Image

from jaxprep import Pipeline, augment, ops, parallel

grain = pytest.importorskip("grain")

CANVAS = (20, 24)
TRAIN = Pipeline((augment.RandomResizedCrop(8), augment.RandomFlip(), ops.Rescale()))
BATCH_SIZE = 4
EPOCHS = 2


def png(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(noise(8 + seed, 24 - seed, 3, seed=seed)).save(buffer, format="PNG")
    return buffer.getvalue()


RECORDS = [{"image": png(seed), "label": seed} for seed in range(11)]


def dataset(process_index: int = 0, process_count: int = 1) -> Any:
    """The batches that one process loads, as docs/parallel.md says."""
    stream = grain.MapDataset.source(RECORDS).seed(3).shuffle().repeat(EPOCHS)
    shard = parallel.Shard(
        stream, BATCH_SIZE, process_index=process_index, process_count=process_count
    )
    return (
        grain.MapDataset.source(shard)
        .map(parallel.LoadExample(CANVAS))
        .batch(shard.local_batch_size, batch_fn=parallel.Collate(pipeline=TRAIN))
    )


def in_threads(**process: int) -> Any:
    return dataset(**process).to_iter_dataset(grain.ReadOptions(num_threads=2))


def in_workers() -> Any:
    from absl import flags

    flags.FLAGS(sys.argv[:1])
    options = grain.multiprocessing.MultiprocessingOptions(num_workers=2)
    return in_threads().mp_prefetch(options)


traces: list[None] = []


@jax.jit
def step(batch: Any, plan: Any, key: jax.Array) -> Any:
    traces.append(None)
    return TRAIN(batch, key=key, plan=plan)


def trained(loader: Any) -> list[Any]:
    """What a training step, which is traced once at most, makes of every batch that is left."""
    key = jax.random.key(0)
    known = len(traces)
    results = [jax.tree.map(np.asarray, step(*item, key)) for item in loader]
    assert len(traces) <= known + 1
    return results


def test_an_epoch_has_every_example_once_under_its_index():
    batches = [batch for batch, _ in in_threads()]
    assert all(batch.image.shape == (BATCH_SIZE, *CANVAS, 3) for batch in batches)
    index = np.concatenate([batch.index for batch in batches])
    label = np.concatenate([batch.label for batch in batches])
    weight = np.concatenate([batch.weight for batch in batches])
    assert index.tolist() == [*range(22), -1, -1] and weight.tolist() == [1] * 22 + [0] * 2
    assert sorted(label[:11]) == sorted(label[11:22]) == list(range(11))
    assert label[:11].tolist() != label[11:22].tolist()


def test_two_processes_load_the_batches_of_one():
    parts = [list(in_threads(process_index=i, process_count=2)) for i in range(2)]
    for whole, *halves in zip(in_threads(), *parts, strict=True):
        joined = jax.tree.map(lambda *leaves: np.concatenate(leaves), *halves)
        chex.assert_trees_all_equal(joined, whole)  # plans, too: they have one structure


def test_an_endless_dataset_has_batches_without_end():
    stream = grain.MapDataset.source(RECORDS).seed(3).shuffle().repeat()
    shard = parallel.Shard(stream, BATCH_SIZE)
    batches = grain.MapDataset.source(shard).map(parallel.LoadExample(CANVAS)).batch(BATCH_SIZE)
    assert len(batches) > 10**9 and batches[100].index.tolist() == [400, 401, 402, 403]
    (first,) = itertools.islice(batches.to_iter_dataset(), 1)
    assert first.weight.tolist() == [1] * 4


def test_training_resumes_exact_to_the_bit(tmp_path: Path):
    whole = trained(parallel.prefetch(in_threads()))
    stop = int(np.random.default_rng(5).integers(1, len(whole)))
    with parallel.prefetch(in_threads(), size=3) as loader:
        for _ in range(stop):
            next(loader)
        saved = json.dumps(loader.get_state())
    again = parallel.prefetch(in_threads())
    again.set_state(json.loads(saved))
    chex.assert_trees_all_equal(trained(again), whole[stop:])


def test_a_data_loader_of_grain_is_fed_and_resumes_alike():
    class Load(grain.transforms.Map):
        def map(self, record: Any) -> Any:
            return parallel.LoadExample(CANVAS)(record)

    def loader() -> Any:
        stream = grain.MapDataset.source(RECORDS).seed(3).shuffle().repeat(EPOCHS)
        shard = parallel.Shard(stream, BATCH_SIZE)
        whole = grain.sharding.NoSharding()
        sampler = grain.samplers.IndexSampler(len(shard), whole, shuffle=False, num_epochs=1)
        batch = grain.transforms.Batch(BATCH_SIZE, batch_fn=parallel.Collate(pipeline=TRAIN))
        return grain.DataLoader(data_source=shard, sampler=sampler, operations=[Load(), batch])

    want = trained(parallel.prefetch(in_threads()))
    batches = parallel.prefetch(loader())
    first = [next(batches) for _ in range(2)]
    state = json.loads(json.dumps(batches.get_state()))
    chex.assert_trees_all_equal(trained(first) + trained(batches), want)
    again = parallel.prefetch(loader())
    again.set_state(state)
    chex.assert_trees_all_equal(trained(again), want[2:])


def test_an_orbax_checkpoint_holds_the_state_of_the_loader(tmp_path: Path):
    import orbax.checkpoint as ocp

    whole = trained(parallel.prefetch(in_threads()))
    with ocp.CheckpointManager(tmp_path) as manager, parallel.prefetch(in_threads()) as loader:
        next(loader)
        next(loader)
        data = grain.checkpoint.CheckpointSave(loader)
        manager.save(2, args=ocp.args.Composite(data=data))
        manager.wait_until_finished()
        again = parallel.prefetch(in_threads())
        data = grain.checkpoint.CheckpointRestore(again)
        manager.restore(2, args=ocp.args.Composite(data=data))
    chex.assert_trees_all_equal(trained(again), whole[2:])


def test_workers_change_no_bit_and_resume():
    whole = trained(parallel.prefetch(in_threads()))
    with parallel.prefetch(in_workers()) as loader:
        first = [next(loader) for _ in range(2)]
        state = loader.get_state()
        rest = trained(loader)
    chex.assert_trees_all_equal([*trained(first), *rest], whole)
    with parallel.prefetch(in_workers()) as again:
        again.set_state(state)
        chex.assert_trees_all_equal(trained(again), whole[2:])
