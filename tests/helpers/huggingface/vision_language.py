"""Compares image processors of vision-language models with the original: the PIL backend live, the
torchvision backend by goldens of `tests/goldens/write_vlm.py`.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from goldens import inputs, store, vlm_results

from helpers.huggingface.common import TOLERANCE, of_class, original, showing_of
from jaxprep import huggingface
from jaxprep.formats.huggingface import classes


@functools.cache
def _showing_of(theme: str) -> Callable[[str], list[dict]]:
    def live() -> list[dict]:
        cases = importlib.import_module(f"goldens.vlm_{theme}_cases").cases("pil")
        return [case for case in cases if "pil" in classes.rows()[case["class"]].backends]

    return showing_of([f"vlm_{theme}"], live)


def cases_of(theme: str, backend: str, name: str) -> list[dict]:
    """Return the cases of a class that run."""
    return of_class(_showing_of(theme)(backend), name)


def assert_as_pil(case: dict, tolerance: float = TOLERANCE) -> None:
    """Assert that our PIL backend gives what Transformers' does: keys, shapes, types and values."""
    theirs = vlm_results.of_case(original(case["class"]), case, inputs)
    ours = vlm_results.of_case(our_class(case["class"], "pil"), case, inputs)
    assert sorted(ours) == sorted(theirs), case
    for name, wanted in theirs.items():
        assert ours[name].shape == wanted.shape, (case, name, ours[name].shape, wanted.shape)
        found = as_type_of(ours[name], str(wanted.dtype))
        assert_values(found, wanted, (case, name), tolerance)


def assert_as_torchvision(theme: str, case: dict, tolerance: float = TOLERANCE) -> None:
    """Assert that our torchvision backend gives what the golden of a case holds."""
    ours = vlm_results.of_case(our_class(case["class"], "torchvision"), case, inputs)
    assert sorted(ours) == sorted(case["names"]), case
    for name, array in ours.items():
        record = case[name]
        found, wanted = store.golden(f"vlm_{theme}").pair(
            record, as_type_of(array, record["dtype"])
        )
        assert_values(found, wanted, (case["class"], case["settings"], name), tolerance)


def our_class(name: str, backend: str) -> Any:
    """Return our class of a backend."""
    pil = getattr(huggingface, f"{name}Pil", None) if backend == "pil" else None
    return pil or getattr(huggingface, name)


def as_type_of(array: np.ndarray, dtype: str) -> np.ndarray:
    """Return our array in the type of theirs where only the width of it differs: JAX has integers
    of 32 bits, and float64 is left behind by some of their code."""
    if dtype == "int64" and array.dtype == np.int32:
        return array.astype(np.int64)
    if dtype == "float64" and array.dtype == np.float32:
        return array.astype(np.float64)
    assert str(array.dtype) == dtype, (array.dtype, dtype)
    return array


def assert_values(found: np.ndarray, wanted: np.ndarray, where: Any, tolerance: float) -> None:
    """Assert equal integers, and floats that differ by at most `tolerance` of max(1, |x|)."""
    if wanted.dtype.kind != "f":
        np.testing.assert_array_equal(found, wanted, str(where))
        return
    difference = np.abs(found.astype(np.float64) - wanted)
    is_close = difference <= tolerance * np.maximum(1, np.abs(wanted))
    assert is_close.all(), (where, difference.max(), 1 - is_close.mean())
