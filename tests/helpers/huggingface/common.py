"""What the families share: the choice of cases, their images, and the comparison of results."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from goldens import inputs

from helpers.parity import EVERYTHING

TOLERANCE = 2e-6
"""The largest difference of two results, relative to max(1, |x|).

A difference of one in an 8-bit image is at least 1e-3 after normalization, so results this close
come from equal 8-bit images.
"""


@functools.cache
def _decode(recipe: str, as_array: bool) -> Any:
    read = inputs.array if as_array else inputs.image
    return read(json.loads(recipe))


def pictures(case: dict) -> list[Any]:
    """Return the input images of a case: PIL images, or arrays where the case says so."""
    as_arrays = case.get("arrays", False)
    return [_decode(json.dumps(recipe), as_arrays) for recipe in case["inputs"]]


def choose(
    cases: Sequence[dict], name: str, names: Sequence[str], every: int, first: int = 0
) -> list[dict]:
    """Choose the cases of the class `name` that run: all of them, if `EVERYTHING` is set.

    Otherwise case number `first`, those with arrays instead of PIL images, and of the others one in
    `every`, starting at another one for each class, so that the classes together show them all.
    """
    of_class = [case for case in cases if case.get("class") == name]
    if EVERYTHING:
        return of_class
    offset = list(names).index(name) % every
    return [
        case
        for i, case in enumerate(of_class)
        if i == first or i % every == offset or "arrays" in case
    ]


def original(name: str) -> Any:
    """Return the class of Transformers with the PIL backend; skip the test without Transformers, or
    where the class needs torch, too."""
    transformers = pytest.importorskip("transformers")
    # a class that has a PIL backend only has no suffix
    found = getattr(transformers, f"{name}Pil", None) or getattr(transformers, name)
    if needs_torch(found):
        pytest.skip(f"the PIL backend of {name} needs torch")
    return found


def needs_torch(original: Any) -> bool:
    """Return whether a class of Transformers is a placeholder, which says that torch is missing."""
    return "torch" in getattr(original, "_backends", ())


def as_arrays(features: Any) -> dict[str, list[np.ndarray]]:
    """Return what a call of ours with `return_tensors=None` gives, one array per image and name;
    sizes, which are plain numbers, as JAX's integers.
    """
    arrays: dict[str, list[np.ndarray]] = {}
    for name, values in features.items():
        kinds = [np.int32 if isinstance(value, tuple) else None for value in values]
        arrays[name] = [np.asarray(value, kind) for value, kind in zip(values, kinds, strict=True)]
    return arrays


def assert_close(ours: np.ndarray, theirs: np.ndarray, where: Any) -> None:
    """Assert equal shapes, dtypes and integers, and floats that differ by at most `TOLERANCE`.

    Args:
        where: what is compared, for the message.
    """
    assert ours.shape == theirs.shape, (where, ours.shape, theirs.shape)
    if theirs.dtype == np.int64:
        assert ours.dtype == np.int32, (where, ours.dtype)  # int32 is JAX's integer
        np.testing.assert_array_equal(ours, theirs, str(where))
        return
    # Transformers leaves float64 behind where it multiplies 8-bit gray by a factor
    if theirs.dtype != np.float64:
        assert ours.dtype == theirs.dtype, (where, ours.dtype, theirs.dtype)
    difference = np.abs(ours.astype(np.float64) - theirs)
    is_close = difference <= TOLERANCE * np.maximum(1, np.abs(theirs))
    assert is_close.all(), (where, difference.max(), 1 - is_close.mean())
