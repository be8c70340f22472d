"""What comparisons with other libraries share: the choice of golden cases, their images, the affine
tail of a pipeline alone, and how a result is compared.
"""

from __future__ import annotations

import collections
import functools
import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from goldens import inputs, store
from PIL import Image

import jaxprep
from jaxprep import ops

EVERYTHING = "JAXPREP_ALL_GOLDENS" in os.environ
"""Whether every golden case runs, which takes minutes: one compilation each.

Otherwise a selection runs that shows every trait of them (see `covering`).
"""
AFFINE = 1e-6
"""The largest difference of a normalized image without `exact`, relative to max(1, |x|).

XLA contracts and reorders (x / 255 - mean) / std, so the last bits differ from the original's.
"""

T, R = TypeVar("T"), TypeVar("R")


def map_concurrently(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """Call a function on two items at a time: XLA compiles for one while Python traces the next."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(function, items))


@functools.lru_cache(maxsize=64)
def _picture(recipe: str) -> Image.Image:
    return inputs.image(json.loads(recipe))


def picture(case: dict) -> Image.Image:
    """Return the input of a golden case as a PIL image."""
    return _picture(json.dumps(case["input"]))


def array(case: dict) -> np.ndarray:
    """Return the input of a golden case as an array `(h, w, c)`."""
    return inputs.array(case["input"])


def run(pipeline: jaxprep.Pipeline, image: np.ndarray) -> np.ndarray:
    """Call a pipeline on one image, eagerly, as users do."""
    return np.asarray(pipeline(jaxprep.Batch(image=image)).image)


def halves(pipeline: jaxprep.Pipeline) -> tuple[jaxprep.Pipeline, jaxprep.Pipeline]:
    """Split a pipeline into the steps that end in uint8, and the affine steps after them."""
    cut = next(i for i, step in enumerate(pipeline.steps) if isinstance(step, ops.Rescale))
    to_uint8 = pipeline.replace(steps=pipeline.steps[:cut])
    affine_steps = pipeline.replace(steps=pipeline.steps[cut:])
    return to_uint8, affine_steps


@functools.cache
def _uint8(to_uint8: jaxprep.Pipeline, recipe: str) -> np.ndarray:
    return run(to_uint8, inputs.array(json.loads(recipe)))


def uint8(pipeline: jaxprep.Pipeline, case: dict) -> np.ndarray:
    """Return the image before the affine steps; pipelines that only differ in those share it."""
    return _uint8(halves(pipeline)[0], json.dumps(case["input"]))


def affine(pipeline: jaxprep.Pipeline, case: dict, exact: bool = False) -> np.ndarray:
    """Return the result of the affine steps, run as a pipeline of their own on the uint8 image."""
    affine_steps = halves(pipeline)[1].replace(exact=exact)
    return run(affine_steps, uint8(pipeline, case))


def failing(
    check: Callable[[dict], bool], cases: Sequence[dict], name: Callable[[dict], R]
) -> list[R]:
    """Return the names of the cases for which `check` is false."""
    results = map_concurrently(check, cases)
    return [name(case) for case, is_right in zip(cases, results, strict=True) if not is_right]


def covering(
    cases: Iterable[dict], traits: Callable[[dict], Iterable[Any]], photos: int = 3
) -> list[dict]:
    """Choose cases that show every trait of any case once; all cases, if `EVERYTHING` is set.

    Args:
        traits: what may go wrong by itself in a case.
        photos: how many photographs follow each other in `cases`; the choice takes them in turn.
    """
    cases = list(cases)
    if EVERYTHING:
        return cases
    seen: set[Any] = set()
    chosen: list[dict] = []
    for i, case in enumerate(cases):
        if i % photos == len(chosen) % photos and not seen.issuperset(traits(case)):
            seen.update(traits(case))
            chosen.append(case)
    shown = collections.Counter(trait for case in chosen for trait in set(traits(case)))
    needed = []
    for case in chosen:
        if all(shown[trait] > 1 for trait in traits(case)):
            shown.subtract(set(traits(case)))  # other cases show all that this one does
        else:
            needed.append(case)
    return needed


def same_bytes(result: np.ndarray, record: dict) -> bool:
    """Return whether a result is equal to the reference in shape, dtype and every bit."""
    same_kind = list(result.shape) == record["shape"] and str(result.dtype) == record["dtype"]
    return same_kind and store.digest(result) == record["sha256"]


def affine_error(golden: store.Golden, result: np.ndarray, record: dict) -> float:
    """Return the largest difference from the reference at its samples, relative to max(1, |x|)."""
    ours, theirs = golden.pair(record, result)
    return float(np.max(np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))))
