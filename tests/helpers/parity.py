"""What the comparisons with other libraries share: photographs, pipelines cut in two, the bars, a
choice of cases.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from goldens import inputs, store
from PIL import Image

import jaxprep
from jaxprep import ops

EVERYTHING = "JAXPREP_ALL_GOLDENS" in os.environ
"""Run every golden case (minutes: one compilation each); otherwise a selection that shows every
trait of them.
"""
AFFINE = 1e-6
"""XLA contracts and reorders (x / 255 - mean) / std: the last bits differ, by so much relative to
max(1, |x|).
"""

T, R = TypeVar("T"), TypeVar("R")


def together(function: Callable[[T], R], items: Iterable[T]) -> list[R]:
    """The results for all items, two at a time: XLA compiles one while Python traces the next."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(function, items))


@functools.lru_cache(maxsize=64)
def _picture(recipe: str) -> Image.Image:
    return inputs.image(json.loads(recipe))


def picture(case: dict) -> Image.Image:
    """The PIL image of a golden case."""
    return _picture(json.dumps(case["input"]))


def array(case: dict) -> np.ndarray:
    """The same as an array `(h, w, c)`."""
    return inputs.array(case["input"])


def run(pipeline: jaxprep.Pipeline, image: np.ndarray) -> np.ndarray:
    """The result of a pipeline for one image, called as users do."""
    return np.asarray(pipeline(jaxprep.Batch(image=image)).image)


def halves(pipeline: jaxprep.Pipeline) -> tuple[jaxprep.Pipeline, jaxprep.Pipeline]:
    """The steps that end in uint8, and the affine tail after them."""
    cut = next(i for i, step in enumerate(pipeline.steps) if isinstance(step, ops.Rescale))
    return pipeline.replace(steps=pipeline.steps[:cut]), pipeline.replace(
        steps=pipeline.steps[cut:]
    )


@functools.cache
def _uint8(to_uint8: jaxprep.Pipeline, recipe: str) -> np.ndarray:
    return run(to_uint8, inputs.array(json.loads(recipe)))


def uint8(pipeline: jaxprep.Pipeline, case: dict) -> np.ndarray:
    """The image before the affine tail; pipelines that differ only in that share the call."""
    return _uint8(halves(pipeline)[0], json.dumps(case["input"]))


def covering(
    cases: Iterable[dict], traits: Callable[[dict], Iterable[Any]], photos: int = 3
) -> list[dict]:
    """Cases that show every trait of any case once, the photographs in turn; all, if everything is
    asked for.
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
    return chosen


def same_bytes(result: np.ndarray, record: dict) -> bool:
    """Whether a result is the reference's in every bit."""
    same_kind = list(result.shape) == record["shape"] and str(result.dtype) == record["dtype"]
    return same_kind and store.digest(result) == record["sha256"]


def affine_error(golden: store.Golden, result: np.ndarray, record: dict) -> float:
    """The largest difference from the reference at the samples, relative to max(1, |x|)."""
    ours, theirs = golden.pair(record, result)
    return float(np.max(np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))))
