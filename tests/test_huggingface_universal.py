"""MaskFormer, Mask2Former, OneFormer, EoMT: against Transformers' PIL backend live, its torchvision backend by goldens.

A difference of one in the 8-bit image is at least 1e-3 in the result, so agreement to 2e-6 says that it is exact too;
masks and classes are equal in every bit.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import types
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from goldens import inputs, store
from goldens import universal_cases as cases

from jaxprep import huggingface

EVERYTHING = "JAXPREP_ALL_GOLDENS" in os.environ
BAR = 2e-6


@functools.cache
def _picture(recipe: str) -> Any:
    return inputs.image(json.loads(recipe))


def pictures(case: dict) -> list[Any]:
    return [_picture(json.dumps(recipe)) for recipe in case["inputs"]]


def turns(found: list[dict], name: str, of: int) -> list[dict]:
    """The cases of a class that run: the default, those with maps, and of the others every `of`-th."""
    mine = [case for case in found if case["class"] == name]
    number = cases.CLASSES.index(name)
    return [case for i, case in enumerate(mine) if EVERYTHING or i == 1 or "labels" in case or i % of == number]


def original(name: str) -> Any:
    """Transformers' class with the PIL backend, which is NumPy's work, and yet asks for PyTorch by name."""
    pytest.importorskip("transformers")
    model = name.removesuffix("ImageProcessor").lower()
    module = importlib.import_module(f"transformers.models.{model}.image_processing_pil_{model}")
    if not hasattr(module, "torch"):
        module.torch = types.SimpleNamespace(from_numpy=np.asarray, tensor=np.asarray)  # type: ignore[attr-defined]
    return getattr(module, f"{name}Pil")


def ours_of(case: dict, backend: str) -> dict[str, Any]:
    processor = getattr(huggingface, case["class"])(backend=backend, **cases.settings_of(case))
    return processor(pictures(case), **cases.arguments(case), return_tensors=None)


def check(ours: np.ndarray, theirs: np.ndarray, where: Any) -> None:
    """Whole numbers and masks are equal; images are within the bar."""
    assert ours.shape == theirs.shape, (where, ours.shape, theirs.shape)
    if theirs.dtype == np.int64:  # JAX's integers
        assert ours.dtype == np.int32, (where, ours.dtype)
    elif theirs.dtype != np.float64:
        assert ours.dtype == theirs.dtype, (where, ours.dtype, theirs.dtype)
    near = np.abs(ours.astype(np.float64) - theirs) <= BAR * np.maximum(1, np.abs(theirs))
    assert near.all(), (where, np.abs(ours.astype(np.float64) - theirs).max(), 1 - near.mean())


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("name", cases.CLASSES)
def test_every_setting_gives_what_the_pil_backend_gives(name: str) -> None:
    cls = original(name)
    for case in turns(cases.cases("pil"), name, 5):
        theirs = cls(**cases.settings_of(case))(pictures(case), **cases.arguments(case))
        ours = ours_of(case, "pil")
        assert sorted(ours) == sorted(theirs)
        for key, values in ours.items():
            same_values(values, theirs[key], (case, key))


def told_by_theirs(ours: list[Any], theirs: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    """What can be compared: their texts count on from image to image, and their default task is one, of any batch."""
    if key == "text_inputs":
        theirs = theirs[:1]
    return ours[: len(theirs)] if key in ("text_inputs", "task_inputs") else ours, theirs


def same_values(ours: list[Any], theirs: list[Any], where: Any) -> None:
    for mine, other in zip(*told_by_theirs(ours, theirs, where[-1]), strict=True):
        if isinstance(other, (str, list)):
            assert mine == other, where
        else:
            check(np.asarray(mine), np.asarray(other), where)


@functools.cache
def _goldens() -> store.Golden:
    return store.Golden("universal")


@pytest.mark.parametrize("name", cases.CLASSES)
def test_every_setting_gives_what_the_torchvision_backend_gives(name: str) -> None:
    goldens = _goldens()
    for case in turns(goldens.cases, name, 5):
        ours = ours_of(case, "torchvision")
        where = (case["settings"], case["inputs"])
        records = [record for key, record in case.items() if key.startswith("values.")]
        assert len(records) == len(ours["pixel_values"]), where
        for mine, record in zip(ours.pop("pixel_values"), records, strict=True):
            found, wanted = goldens.pair(record, store.channels_last(np.asarray(mine)))
            check(found, wanted, where)
        assert sorted(ours) == sorted(case["rest"])
        for key, values in ours.items():
            same_rest(values, case["rest"][key], (*where, key))


def same_rest(ours: list[Any], theirs: list[Any], where: Any) -> None:
    for mine, record in zip(*told_by_theirs(ours, theirs, where[-1]), strict=True):
        if isinstance(record, dict):
            array = np.asarray(mine)
            assert array.dtype == (np.int32 if record["dtype"] == "int64" else record["dtype"]), where
            assert store.summary(array.astype(record["dtype"])) == record, where
        else:
            assert mine == record, where
