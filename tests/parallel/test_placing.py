"""Batches go to the devices of a mesh, or into the layout of `pmap`, and some are kept ahead."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from typing import Any

import chex
import jax
import numpy as np
import pytest
from helpers.images import noise
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxprep import Batch, Pipeline, ops, parallel
from jaxprep.errors import InputError

BATCH = Batch(
    image=noise(6, 4, 5, 3),
    label=np.arange(6),
    index=np.arange(10, 16),
    size=np.tile(np.int32([4, 5]), (6, 1)),
    extras={"id": np.arange(6, dtype=np.int16)},
)
TYPES = (AxisType.Auto, AxisType.Explicit)


def mesh(kind: AxisType = AxisType.Auto) -> Mesh:
    return jax.make_mesh((4,), ("data",), (kind,))


# global_batch


@pytest.mark.parametrize("kind", TYPES)
def test_a_short_batch_is_filled_up_and_sharded(kind: AxisType):
    placed = parallel.global_batch(BATCH, mesh(kind), batch_size=8)
    for leaf in jax.tree.leaves(placed):
        assert leaf.sharding.spec == PartitionSpec("data") and len(leaf.sharding.device_set) == 4
    first = jax.tree.map(lambda leaf: np.asarray(leaf)[:6], placed.replace(weight=None))
    chex.assert_trees_all_equal(first, BATCH)
    assert placed.weight.tolist() == [1] * 6 + [0] * 2
    assert placed.index.tolist() == [*range(10, 16), -1, -1]
    np.testing.assert_array_equal(np.asarray(placed.image)[6:], np.stack([BATCH.image[5]] * 2))


def test_a_full_and_a_short_batch_have_the_same_arrays():
    full = jax.tree.map(lambda leaf: np.concatenate([leaf, leaf[:2]]), BATCH)
    one, other = (parallel.global_batch(b, mesh(), batch_size=8) for b in (full, BATCH))
    chex.assert_trees_all_equal_shapes_and_dtypes(one, other)


def test_a_plan_is_filled_up_with_its_batch():
    pipeline = Pipeline((ops.Resize((3, 3)),))
    plan = pipeline.plan(BATCH.size, (4, 5), any_sizes=True)
    batch, placed = parallel.global_batch((BATCH, plan), mesh(), batch_size=8)
    assert placed.size.shape == (8, 2) and placed.stages == plan.stages
    done = jax.jit(lambda batch, plan: pipeline(batch, plan=plan))(batch, placed)
    np.testing.assert_array_equal(done.image[:6], pipeline(BATCH).image)


def test_a_dictionary_has_its_weights_filled_up():
    given = {"image": BATCH.image, "index": np.uint32([1, 2, 3, 4, 5, 6])}
    placed = parallel.global_batch(given, mesh(), batch_size=8)
    assert placed["weight"].tolist() == [1] * 6 + [0] * 2
    assert placed["index"].tolist() == [1, 2, 3, 4, 5, 6, 2**32 - 1, 2**32 - 1]
    weighted = parallel.pad_batch({**given, "weight": np.full(6, 0.5)}, 7)
    assert weighted["weight"].tolist() == [0.5] * 6 + [0]


def test_a_batch_goes_where_it_is_told():
    devices = jax.devices()
    two = jax.make_mesh((2, 2), ("data", "model"), (AxisType.Auto,) * 2)
    both = NamedSharding(two, PartitionSpec(("data", "model")))
    four = jax.tree.map(lambda leaf: leaf[:4], BATCH)
    cases: list[tuple[Any, Any, set[Any]]] = [
        (two, PartitionSpec("data"), set(devices)),
        (both, PartitionSpec(("data", "model")), set(devices)),
        (NamedSharding(two, PartitionSpec(None, "model")), PartitionSpec(None), set(devices)),
        (devices[2], None, {devices[2]}),
        (None, None, {devices[0]}),
    ]
    for where, spec, on in cases:
        placed = parallel.global_batch(four, where)
        chex.assert_trees_all_equal(jax.tree.map(np.asarray, placed), four)
        for leaf in jax.tree.leaves(placed):
            assert leaf.sharding.device_set == on
            assert spec is None or leaf.sharding.spec == spec
    with jax.default_device(devices[1]):
        assert parallel.global_batch(four, None).image.devices() == {devices[1]}
        assert next(parallel.prefetch([four])).image.devices() == {devices[1]}


def test_an_index_beyond_32_bits_draws_as_its_lower_bits_do():
    key = jax.random.key(0)
    index = np.array([2**33 + 5, 5])
    placed = parallel.global_batch(Batch(index=index), None).index
    draws = jax.vmap(lambda i: jax.random.bits(jax.random.fold_in(key, i)))(placed)
    assert draws[0] == draws[1]


def test_nothing_is_shared_with_the_memory_of_the_loader():
    buffer = np.empty(64 * 4 + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    image = buffer[start : start + 64 * 4].reshape(4, 64)
    image[:] = 1
    placed = parallel.global_batch({"image": image}, None)
    image[:] = 2
    assert (np.asarray(placed["image"]) == 1).all()


@pytest.mark.parametrize(
    ("tree", "options", "message"),
    [
        (
            BATCH,
            {},
            r"the 4 devices of this process can share, got 6\. Give `batch_size`",
        ),
        (BATCH, {"batch_size": 4}, "Expected 1 to 4 rows, got 6"),
        (BATCH, {"batch_size": 10}, "a batch size that 4 devices can share, got 10"),
        (BATCH, {"batch_size": 0}, "a number of rows, got 0"),
        (BATCH.replace(label=["a"] * 6), {}, r"got `str` - at `batch\.label\[0\]`"),
        (BATCH.replace(label=np.array(["a"] * 6)), {}, "no array of numbers"),
        (BATCH.replace(label=np.arange(5)), {"batch_size": 8}, r"one number of rows, got \{6: "),
        (BATCH.replace(label=7), {}, "arrays with a batch axis"),
        (BATCH.replace(label=np.full(6, 2**40)), {}, r"integers that int32 holds.*batch\.label"),
        ([BATCH.image], {"batch_size": 8}, "got `list`"),
        (Batch(), {}, "got no array"),
    ],
)
def test_what_cannot_be_placed_is_one_clear_error(tree: Any, options: Any, message: str):
    with pytest.raises(InputError, match=message):
        parallel.global_batch(tree, mesh(), **options)


def test_another_kind_of_target_is_refused():
    with pytest.raises(InputError, match="a mesh, a `NamedSharding`, a device or None"):
        parallel.global_batch(BATCH, "cpu")  # pyright: ignore[reportArgumentType]


# pmap


def test_the_layout_of_pmap_is_undone():
    split = parallel.pmap_layout(BATCH, 2)
    assert split.image.shape == (2, 3, 4, 5, 3)
    chex.assert_trees_all_equal(parallel.from_pmap_layout(split), BATCH)
    with pytest.raises(InputError, match=r"4 devices can share, got 6\. .*`pad_batch`"):
        parallel.pmap_layout(BATCH)


# prefetch


def numbers(count: int, log: list[int] | None = None) -> Iterator[dict[str, np.ndarray]]:
    for i in range(count):
        if log is not None:
            log.append(i)
        yield {"x": np.full(4, i)}


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "jaxprep-prefetch"]


def test_batches_come_in_order_and_end():
    loader = parallel.prefetch(numbers(5), mesh(), size=2)
    got = list(loader)
    assert [int(batch["x"][0]) for batch in got] == list(range(5))
    assert all(batch["x"].sharding.spec == PartitionSpec("data") for batch in got)
    assert next(loader, None) is None and not threads()


def test_so_many_batches_are_ahead_and_no_more():
    log: list[int] = []
    with parallel.prefetch(numbers(100, log), size=3) as loader:
        assert not log  # nothing is read before it is asked for
        next(loader)
        deadline = time.monotonic() + 10
        while len(log) < 5 and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(0.1)
        assert len(log) == 5  # one taken, three in the queue, one in the thread
    assert not threads()


class SourceError(Exception):
    pass


def failing() -> Iterator[Any]:
    yield from numbers(2)
    raise SourceError("disk")


def test_an_error_comes_after_the_batches_before_it_and_once():
    loader = parallel.prefetch(failing(), size=4)
    assert [int(next(loader)["x"][0]) for _ in range(2)] == [0, 1]
    with pytest.raises(SourceError, match="disk"):
        next(loader)
    assert next(loader, None) is None and not threads()


def test_an_error_of_placing_is_raised_where_the_batch_is_taken():
    loader = parallel.prefetch([{"x": np.zeros(4)}, {"x": np.zeros(3)}], mesh())
    next(loader)
    with pytest.raises(InputError, match="rows that the 4 devices"):
        next(loader)


def test_a_loader_that_is_dropped_half_way_leaves_no_thread():
    loader = parallel.prefetch(numbers(1000))
    next(loader)
    del loader
    gc.collect()
    assert not threads()
    for _ in parallel.prefetch(numbers(1000)):
        break
    gc.collect()
    assert not threads()


def test_an_iterator_may_reuse_its_memory():
    def reusing() -> Iterator[dict[str, np.ndarray]]:
        buffer = np.empty(4096, np.uint8)
        for i in range(6):
            buffer[:] = i
            yield {"x": buffer}

    for i, batch in enumerate(parallel.prefetch(reusing(), size=4)):
        assert (np.asarray(batch["x"]) == i).all()


def test_any_iterable_of_pytrees_is_taken():
    class TensorFlowDataset:
        def as_numpy_iterator(self) -> Any:
            return numbers(2)

    for given in (list(numbers(2)), numbers(2), TensorFlowDataset()):
        assert [int(b["x"][0]) for b in parallel.prefetch(given)] == [0, 1]


def test_a_state_is_that_after_the_last_batch_taken():
    class Counter(Iterator[Any]):
        def __init__(self) -> None:
            self.state = {"next": 0}

        def __next__(self) -> Any:
            self.state["next"] += 1
            return {"x": np.full(1, self.state["next"] - 1)}

        def get_state(self) -> Any:
            return self.state

        def set_state(self, state: Any) -> None:
            self.state = dict(state)

    loader = parallel.prefetch(Counter(), size=3)
    assert loader.get_state() == {"next": 0}
    taken = [int(next(loader)["x"][0]) for _ in range(4)]
    state = loader.get_state()
    assert taken == [0, 1, 2, 3] and state == {"next": 4}
    next(loader)
    loader.set_state(state)
    assert int(next(loader)["x"][0]) == 4 and loader.get_state() == {"next": 5}
    loader.close()
    with pytest.raises(InputError, match=r"an iterator that has a state.*generator"):
        parallel.prefetch(numbers(1)).get_state()


def test_a_number_of_batches_ahead_is_at_least_1():
    with pytest.raises(InputError, match="at least 1, got 0 - at `size`"):
        parallel.prefetch(numbers(1), size=0)
