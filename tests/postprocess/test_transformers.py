"""Post-processing returns what Transformers' methods return, as
`tests/goldens/write_postprocess.py` wrote it down.

Of the products of classes, outputs, sizes and options, cases run that show each of them once with
each method.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from goldens import postprocess_cases as cases
from goldens import store
from helpers.parity import covering

from jaxprep import postprocess

FLOAT = 1e-5
"""Relative to max(1, |x|): sums over pixels are added up in another order."""
DEFAULTS = {
    "DepthPro": {"resample": 2},
    "Sam": {"pad_size": {"height": 1024, "width": 1024}},
    "SegGpt": {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]},
    "GroundingDinoProcessor": {
        "batch_decode": lambda rows: [" ".join(str(n) for n in row) for row in rows]
    },
}


def traits(case: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """What may go wrong by itself in a case."""
    method = case["method"]
    yield method, case["class"]
    yield method, "masks", json.dumps(case.get("masks"))
    for part in ("outputs", "args", "settings"):
        values = case.get(part, {})
        yield method, part, *values
        for name, value in values.items():
            yield method, part, name, json.dumps(value)


CASES = covering(cases.CASES, traits, photos=1)


@functools.cache
def records() -> dict[str, dict]:
    return {case["name"]: case for case in store.golden("postprocess").cases}


def run(case: dict[str, Any]) -> Any:
    """Our result of a case, through the registry."""
    name = case["class"] if "Processor" in case["class"] else f"{case['class']}ImageProcessor"
    method = postprocess.methods(name)[case["method"]]
    settings = {**DEFAULTS.get(case["class"], {}), **case.get("settings", {})}
    args = {name: cases.build(value) for name, value in case["args"].items()}
    if "masks" in case:
        return method(settings, cases.build(case["masks"]), **args)
    if "outputs" in case:
        return method(settings, cases.outputs_of(case), **args)
    return method(settings, **args)


def differences(case: dict[str, Any]) -> tuple[float, int, int]:
    """The largest difference of real numbers, and how many of how many pixels of maps differ; all
    else is asserted.
    """
    record = records()[case["name"]]
    leaves = cases.flatten(run(case))
    found = {path: np.asarray(leaf) for path, leaf in leaves.items() if hasattr(leaf, "shape")}
    rest = {path: leaf for path, leaf in leaves.items() if not hasattr(leaf, "shape")}
    same_rest(rest, record["rest"])
    assert found.keys() == record["arrays"].keys()
    error, flips, pixels = 0.0, 0, 0
    for path, expected in record["arrays"].items():
        array = found[path]
        assert (list(array.shape), str(array.dtype)) == (expected["shape"], expected["dtype"]), path
        places = cases.places(array)
        begin = expected["offset"]
        theirs = store.golden("postprocess").arrays[f"all_{array.dtype}"][
            begin : begin + len(places)
        ]
        ours = array.ravel()[places]
        if array.dtype == np.float32:
            both = np.isnan(ours) & np.isnan(theirs)
            off = np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))
            error = max(error, float(np.where(both | (ours == theirs), 0, off).max(initial=0)))
        elif array.ndim >= 2 and not path.endswith(
            ("boxes", "polygon_points", "keypoints", "keypoints0", "keypoints1")
        ):
            flips, pixels = flips + int((ours != theirs).sum()), pixels + ours.size
        else:
            np.testing.assert_array_equal(ours, theirs, err_msg=path)
    return error, flips, pixels


def same_rest(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """Names, ids and texts are equal; scores, which are rounded to 6 digits, nearly."""
    assert ours.keys() == theirs.keys()
    for path, value in theirs.items():
        if isinstance(value, float):
            assert ours[path] == pytest.approx(value, abs=2e-6, nan_ok=True), path
        else:
            assert ours[path] == value, path


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_results_are_those_of_transformers(case: dict[str, Any]) -> None:
    error, flips, pixels = differences(case)
    assert error <= FLOAT
    assert flips <= 1e-3 * pixels
