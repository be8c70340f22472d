"""Plain image processors: against Transformers' PIL backend live, and its torchvision backend by
goldens.

A difference of one in the 8-bit image is at least 1e-3 in the result, so agreement to 2e-6 says
that it is exact too.
"""

from __future__ import annotations

import functools
import json
import os
import warnings
from typing import Any

import numpy as np
import pytest
from goldens import huggingface_cases, inputs, store

from jaxprep import huggingface

EVERYTHING = "JAXPREP_ALL_GOLDENS" in os.environ
BAR = 2e-6
PIL_NAMES = [name for name, row in huggingface_cases.classes().items() if "pil" in row["backends"]]


@functools.cache
def _pictures(recipes: str, as_arrays: bool) -> list[Any]:
    read = inputs.array if as_arrays else inputs.image
    return [read(recipe) for recipe in json.loads(recipes)]


def pictures(case: dict) -> list[Any]:
    """The images of a case: PIL's, or arrays."""
    return _pictures(json.dumps(case["inputs"]), case.get("arrays", False))


def turns(cases: list[dict], name: str, of: int) -> list[dict]:
    """The cases of a class that run: the default, and of its variations every `of`-th, others for
    the next class.
    """
    mine = [case for case in cases if case["class"] == name]
    number = list(huggingface_cases.classes()).index(name)
    chosen = [
        EVERYTHING or i == 0 or i % of == number % of or "arrays" in case
        for i, case in enumerate(mine)
    ]
    return [case for case, is_chosen in zip(mine, chosen, strict=True) if is_chosen]


def original(name: str) -> Any:
    """Transformers' class with the PIL backend."""
    transformers = pytest.importorskip("transformers")
    row = huggingface_cases.classes()[name]
    return getattr(transformers, name if row["backends"] == ["pil"] else f"{name}Pil")


def ours_of(case: dict, backend: str) -> dict[str, list[np.ndarray]]:
    """Our results for a case, one array per image and name."""
    processor = getattr(huggingface, case["class"])(backend=backend, **case["settings"])
    features = processor(pictures(case), return_tensors=None)
    return {name: [np.asarray(item) for item in value] for name, value in features.items()}


def check(ours: np.ndarray, theirs: np.ndarray, where: Any) -> None:
    assert ours.shape == theirs.shape, (where, ours.shape, theirs.shape)
    if (
        theirs.dtype != np.float64
    ):  # Transformers leaves float64 behind where it multiplies 8-bit gray by a factor
        assert ours.dtype == theirs.dtype, (where, ours.dtype, theirs.dtype)
    near = np.abs(ours.astype(np.float64) - theirs) <= BAR * np.maximum(1, np.abs(theirs))
    assert near.all(), (where, np.abs(ours.astype(np.float64) - theirs).max(), 1 - near.mean())


@pytest.mark.parametrize("name", PIL_NAMES)
def test_every_setting_gives_what_the_pil_backend_gives(name: str) -> None:
    cls = original(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in turns(huggingface_cases.cases("pil", every=EVERYTHING), name, 10):
            theirs = cls(**case["settings"])(pictures(case))
            if name == "IdeficsImageProcessor":  # theirs returns the images without a name
                theirs = {"pixel_values": theirs}
            ours = ours_of(case, "pil")
            assert sorted(ours) == sorted(theirs)
            for key, values in ours.items():
                assert len(values) == len(theirs[key])
                for mine, other in zip(values, theirs[key], strict=True):
                    check(mine, np.asarray(other), (case, key))


@functools.cache
def _goldens() -> store.Golden:
    return store.Golden("huggingface")


@pytest.mark.parametrize("name", list(huggingface_cases.classes()))
def test_every_setting_gives_what_the_torchvision_backend_gives(name: str) -> None:
    goldens = _goldens()
    for case in turns(goldens.cases, name, 20):
        for key, values in ours_of(case, "torchvision").items():
            records = [record for result, record in case.items() if result.startswith(f"{key}.")]
            assert len(records) == len(values)
            for mine, record in zip(values, records, strict=True):
                array = store.channels_last(mine) if mine.ndim == 3 else mine
                found, wanted = goldens.pair(record, array)
                check(found, wanted, (case["settings"], case["inputs"], key))
