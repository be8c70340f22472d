"""Processors with a map, or another dense input, beside each image: against Transformers, live and by goldens.

A difference of one in the 8-bit image is at least 1e-3 in the result, so agreement to 2e-6 says that it is exact too.
Labels are equal.
"""

from __future__ import annotations

import functools
import json
import os
import warnings
from typing import Any

import numpy as np
import pytest
from goldens import inputs, segmentation_cases, store

from jaxprep import huggingface

EVERYTHING = "JAXPREP_ALL_GOLDENS" in os.environ
BAR = 2e-6
CLASSES = segmentation_cases.classes()
PIL_NAMES = [name for name, row in CLASSES.items() if "pil" in row["backends"]]


@functools.cache
def _read(recipe: str) -> Any:
    found = json.loads(recipe)
    return segmentation_cases.dense(found) if "dense" in found else inputs.image(found)


def arguments(case: dict) -> tuple[list[Any], dict[str, list[Any]]]:
    """The images of a case, and what goes beside them; arrays are copies, since Transformers writes into them."""

    def read(recipes: list[dict]) -> list[Any]:
        found = [_read(json.dumps(recipe)) for recipe in recipes]
        return [item.copy() if isinstance(item, np.ndarray) else item for item in found]

    beside = {name: read(value) if isinstance(value[0], dict) else value for name, value in case["beside"].items()}
    return read(case["inputs"]), beside


def turns(cases: list[dict], name: str, of: int) -> list[dict]:
    """The cases of a class that run: the default, and of its variations every `of`-th, others for the next class."""
    mine = [case for case in cases if case["class"] == name]
    number = list(CLASSES).index(name)
    return [case for i, case in enumerate(mine) if EVERYTHING or i == 0 or i % of == number % of]


def ours_of(case: dict, backend: str) -> dict[str, list[np.ndarray]]:
    """Our results for a case, one array per image and name."""
    processor = getattr(huggingface, case["class"])(backend=backend, **case["settings"])
    images, beside = arguments(case)
    features = processor(images, **beside, return_tensors=None)
    return {name: [np.asarray(item) for item in value] for name, value in features.items()}


def check(ours: np.ndarray, theirs: np.ndarray, where: Any) -> None:
    assert ours.shape == theirs.shape, (where, ours.shape, theirs.shape)
    if theirs.dtype == np.int64:  # int32 is JAX's integer
        assert ours.dtype == np.int32, (where, ours.dtype)
        np.testing.assert_array_equal(ours, theirs, str(where))
        return
    if theirs.dtype != np.float64:  # Transformers leaves float64 behind where it multiplies 8-bit gray by a factor
        assert ours.dtype == theirs.dtype, (where, ours.dtype, theirs.dtype)
    near = np.abs(ours.astype(np.float64) - theirs) <= BAR * np.maximum(1, np.abs(theirs))
    assert near.all(), (where, np.abs(ours.astype(np.float64) - theirs).max(), 1 - near.mean())


@pytest.mark.parametrize("name", PIL_NAMES)
def test_every_setting_gives_what_the_pil_backend_gives(name: str) -> None:
    transformers = pytest.importorskip("transformers")
    cls = getattr(transformers, f"{name}Pil")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in turns(segmentation_cases.cases("pil"), name, 10):
            images, beside = arguments(case)
            theirs = cls(**case["settings"])(images, **beside)
            ours = ours_of(case, "pil")
            assert list(ours) == list(theirs)
            for key, values in ours.items():
                assert len(values) == len(theirs[key])
                for mine, other in zip(values, theirs[key], strict=True):
                    check(mine, np.asarray(other), (case, key))


@functools.cache
def _goldens(group: str) -> store.Golden:
    return store.Golden(f"segmentation_{group}")


@pytest.mark.parametrize("name", list(CLASSES))
def test_every_setting_gives_what_the_torchvision_backend_gives(name: str) -> None:
    goldens = _goldens(next(group for group, names in segmentation_cases.GROUPS.items() if name in names))
    for case in turns(goldens.cases, name, 15):
        ours = ours_of(case, "torchvision")
        for key, values in ours.items():
            records = [record for result, record in case.items() if result.startswith(f"{key}.")]
            assert len(records) == len(values)
            for mine, record in zip(values, records, strict=True):
                check(*compared(goldens, mine, record, key), (case["settings"], case["inputs"], key))


def compared(goldens: store.Golden, mine: np.ndarray, record: dict, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Ours and the original's at the values that are known; labels, int64 there, are int32 here."""
    array = store.channels_last(mine) if mine.ndim == 3 and key != "labels" else mine
    assert list(array.shape) == record["shape"], key
    return array.ravel()[goldens.positions(record)], goldens.values(record)
