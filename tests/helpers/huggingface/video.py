"""Compares video processors with goldens of Transformers' (`tests/goldens/write_video.py`)."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from goldens import store, video_cases, video_tokens_cases, vlm_results

from helpers.huggingface.common import of_class, showing
from helpers.huggingface.vision_language import as_type_of, assert_values
from jaxprep import huggingface

TOLERANCE = 2e-6
LISTED = ("SmolVLMVideoProcessor",)
"""Classes of tokens that return a list where nothing else is asked for."""
TIES = {"Molmo2VideoProcessor": 0.02}
"""The share of levels that may be one off: a resize of floats, of whose last bits torch computes
others with one thread than with two, is rounded to levels."""


def names_of(file: str = "video") -> list[str]:
    """Return the classes that a file has goldens of."""
    return sorted({case["class"] for case in store.golden(file).cases if "class" in case})


@functools.cache
def shown(file: str = "video") -> list[dict]:
    """Return the cases of a file that run (see `common.showing`)."""
    return showing(store.golden(file).cases)


def cases_of(name: str, file: str = "video") -> list[dict]:
    """Return the cases of a class that run."""
    return of_class(shown(file), name)


def results(case: dict, file: str = "video") -> dict[str, np.ndarray]:
    """Return every array that our class makes of a case, by name."""
    processor = video_tokens_cases.made(getattr(huggingface, case["class"]), case["settings"])
    call = case["call"]
    # Rows of patches are one array in the original whatever is asked for.
    if file == "video" or case["class"] in LISTED:
        call = {"return_tensors": None, **call}
    return video_cases.named(processor(video_cases.passed(case), **call), vlm_results.leaves)


def assert_as_golden(case: dict, tolerance: float = TOLERANCE, file: str = "video") -> None:
    """Assert that our class gives what the golden of a case holds: keys, shapes, types, values."""
    ours: dict[str, Any] = results(case, file)
    assert sorted(ours) == sorted(case["names"]), case
    for name, array in ours.items():
        record = case[name]
        where = (case["class"], case["settings"], case["form"], case["call"], name)
        assert list(array.shape) == record["shape"], (where, array.shape, record["shape"])
        found, wanted = store.golden(file).pair(record, as_type_of(array, record["dtype"]))
        ties = TIES.get(case["class"], 0.0)
        if ties and name == "pixel_values_videos":
            found = _without_ties(found, wanted, ties)
        assert_values(found, wanted, where, tolerance)


def _without_ties(found: np.ndarray, wanted: np.ndarray, share: float) -> np.ndarray:
    """What was found, with levels that are one off set to what is wanted."""
    difference = np.abs(found.astype(np.float64) - wanted)
    is_off = difference > TOLERANCE * np.maximum(1, np.abs(wanted))
    # Of values that are normalised, a level is 2 / 255.
    level = 1 if wanted.dtype == np.uint8 else 2.1 / 255
    assert is_off.mean() <= share and difference[is_off].max(initial=0) <= level
    return np.where(is_off, wanted, found)
