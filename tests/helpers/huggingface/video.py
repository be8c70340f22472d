"""Compares video processors with goldens of Transformers' (`tests/goldens/write_video.py`)."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from goldens import store, video_cases, video_tokens_cases, vlm_results

from helpers.huggingface.vision_language import as_type_of, assert_values
from helpers.parity import EVERYTHING
from jaxprep import huggingface

TOLERANCE = 2e-6


@functools.cache
def golden(file: str = "video") -> store.Golden:
    """Return the goldens of a file, read once."""
    return store.Golden(file)


def names_of(file: str = "video") -> list[str]:
    """Return the classes that a file has goldens of."""
    return sorted({case["class"] for case in golden(file).cases if "class" in case})


def cases_of(name: str, every: int, file: str = "video") -> list[dict]:
    """Return the cases of a class that run: all if `EVERYTHING` is set, else one in `every`,
    starting at another one for each class, so that the classes together show them all.
    """
    names = names_of(file)
    own = [case for case in golden(file).cases if case.get("class") == name]
    first = names.index(name) % every
    return [case for i, case in enumerate(own) if EVERYTHING or i % every == first]


def results(case: dict, file: str = "video") -> dict[str, np.ndarray]:
    """Return every array that our class makes of a case, by name."""
    processor = video_tokens_cases.made(getattr(huggingface, case["class"]), case["settings"])
    # Rows of patches are one array in the original whatever is asked for.
    call = {"return_tensors": None, **case["call"]} if file == "video" else case["call"]
    return video_cases.named(processor(video_cases.passed(case), **call), vlm_results.leaves)


def assert_as_golden(case: dict, tolerance: float = TOLERANCE, file: str = "video") -> None:
    """Assert that our class gives what the golden of a case holds: keys, shapes, types, values."""
    ours: dict[str, Any] = results(case, file)
    assert sorted(ours) == sorted(case["names"]), case
    for name, array in ours.items():
        record = case[name]
        where = (case["class"], case["settings"], case["form"], case["call"], name)
        assert list(array.shape) == record["shape"], (where, array.shape, record["shape"])
        found, wanted = golden(file).pair(record, as_type_of(array, record["dtype"]))
        assert_values(found, wanted, where, tolerance)
