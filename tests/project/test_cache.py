"""The caches of tables are bounded by bytes, and serve threads."""

from __future__ import annotations

import functools
import gc
import inspect
import sys
import threading
from typing import Any

import numpy as np

import jaxprep
from jaxprep import Pipeline, ops
from jaxprep.bounds import CACHE_BYTES, BoundedCache, cached, nbytes
from jaxprep.doctor import kernels
from jaxprep.huggingface import crops
from jaxprep.pipeline import eager, plan, program, segment
from jaxprep.resample import tables

CACHES = [
    tables.resize_taps,
    segment.segment_tables,
    plan._padded_tables,
    program.prepare_pointwise,
    eager._tables_on_device,
    kernels.table,
    kernels._axis_taps,
    crops.canvas_indices,
]


def test_every_cache_of_tables_is_bounded_by_bytes():
    for cache in CACHES:
        assert isinstance(cache, BoundedCache) and cache.limit == CACHE_BYTES


def _counted_caches() -> dict[str, Any]:
    """The caches of the library that are bounded by a number of results; one of a function without
    arguments has one result."""
    found = {}
    modules = [module for name, module in sys.modules.items() if name.startswith("jaxprep")]
    for name, value in [pair for module in modules for pair in vars(module).items()]:
        is_cache = isinstance(value, functools._lru_cache_wrapper)
        if is_cache and inspect.signature(value).parameters:
            found[f"{value.__module__}.{name}"] = value
    return found


def test_no_cache_that_counts_its_results_holds_arrays():
    pre = jaxprep.ImageClassifierPreprocessor.from_preset(
        "timm/resnet50.a1_in1k", image_size=(24, 24)
    )
    photo = jaxprep.data.photo("chelsea")[:40, :60]
    x = pre(photo)
    jaxprep.diagnose(x, photo, pre)
    pre.pipeline.plan([(40, 60), (30, 20)])
    caches = _counted_caches()
    assert len(caches) > 20
    used = [cache for cache in caches.values() if cache.cache_info().currsize]
    assert len(used) > 5
    for cache in used:
        # JSON data among them may have keys that JAX does not sort
        held = [value for value in gc.get_referents(cache) if not isinstance(value, dict)]
        assert nbytes(held) == 0, cache


def test_photographs_of_many_sizes_do_not_fill_the_memory():
    """Tables of 6,000 x 4,500 pixels take 0.3 MB a size: more are asked for than are kept."""
    pipeline = Pipeline((ops.Resize(shortest_edge=256, method="lanczos3"), ops.CenterCrop(224)))
    for i in range(60):
        size = (6000 + i, 4500 + i)
        plan.image_tables(pipeline.segments, size, pipeline.bucket(size))
    for cache in CACHES:
        kept = sum(nbytes(value) for value, _ in cache._kept.values())
        assert kept <= cache.size <= cache.limit


def test_the_oldest_results_go_first_and_a_result_that_is_asked_for_again_is_young():
    made = []

    def make(n: int) -> np.ndarray:
        made.append(n)
        return np.zeros(n, np.uint8)

    cache = BoundedCache(make, limit=3 * 5000)
    for n in (3000, 3001, 3002, 3000, 3003):
        assert cache(n).nbytes == n
    assert made == [3000, 3001, 3002, 3003]
    cache(3001)
    cache(3000)
    assert made == [3000, 3001, 3002, 3003, 3001, 3000][: len(made)]
    assert cache.size <= cache.limit and len(cache) == 3


def test_a_result_larger_than_the_bound_is_returned_and_not_kept():
    cache = BoundedCache(lambda n: np.zeros(n, np.uint8), limit=10_000)
    cache(100)
    assert cache(20_000).nbytes == 20_000
    assert len(cache) == 1 and cache.size < 2000


def test_an_error_is_raised_again_and_not_kept():
    @cached()
    def fail(n: int) -> int:
        raise ValueError(n)

    for _ in range(2):
        try:
            fail(1)
        except ValueError:
            continue
        raise AssertionError
    assert len(fail) == 0


def test_threads_share_a_cache_and_its_count_stays_right():
    cache = BoundedCache(lambda n: np.zeros(n, np.uint8), limit=40_000)

    def work(seed: int) -> None:
        for n in np.random.default_rng(seed).integers(1, 4000, 300):
            assert cache(int(n)).nbytes == n

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.size == sum(size for _, size in cache._kept.values()) <= cache.limit
