"""Resizing as Pillow 12, torchvision and torch do it, compared with what they computed
(tests/goldens).
"""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from goldens import inputs, keras_inputs
from goldens.store import FOLDER, Golden, digest
from helpers.parity import EVERYTHING, covering, map_concurrently

from jaxprep import ops

UINT8_METHODS = ("bilinear", "bicubic", "lanczos3")
TORCH = Golden("torch_float")
PHOTOGRAPHS = [case for case in TORCH.cases if case["call"] in ("floats", "rounded")]
FLOAT_CASES = [case for case in TORCH.cases if case["input"].get("dtype") == "float32"]
INTEGER_CASES = [case for case in TORCH.cases if case not in [*PHOTOGRAPHS, *FLOAT_CASES]]


def test_pillow_12_is_met_in_every_bit():
    cases, _, versions = keras_inputs.load(FOLDER / "pillow12.npz")
    assert versions["pillow"].startswith("12.") and len(cases) == 90
    # 15 sizes by 6 methods: a sixth of them has every size once and every method twice or more
    cases = [case for i, case in enumerate(cases) if EVERYTHING or (i + i // 6) % 6 == 0]

    def equal(case: dict) -> bool:
        image = keras_inputs.build(case["input"])
        assert keras_inputs.digest(image) == case["input_sha256"], "the JPEG decoder differs"
        result = ops.resize(image, tuple(case["size"]), method=case["method"], reference="pillow12")
        return keras_inputs.digest(np.asarray(result)) == case["sha256"]

    assert unequal(equal, cases) == []


def changes(case: dict) -> set:
    """What happens to the rows and to the columns, whether each is resized, and the channels."""
    height, width, channels = inputs.array(case["input"]).shape
    of_rows, of_columns = change(height, case["size"][0]), change(width, case["size"][1])
    resized = of_rows != "kept", of_columns != "kept"
    return {channels, resized, ("rows", of_rows), ("columns", of_columns)}


def change(n: int, m: int) -> str:
    if 1 in (n, m):
        return f"{min(n, 2)} to {min(m, 2)}"  # 1, or more
    if n == m:
        return "kept"
    if n < m:
        return "grown"
    return "shrunk" if n <= 8 * m else "shrunk by much"


def test_the_uint8_kernel_of_torchvision_is_met_in_every_bit():
    cases = Golden("torchvision_resize").cases
    assert Counter(case["method"] for case in cases) == dict.fromkeys(UINT8_METHODS, 45)
    # each method is shown on the same images: programs for the most taps serve fewer ones, too
    of_method = {name: [c for c in cases if c["method"] == name] for name in UINT8_METHODS}
    shown = covering(of_method["lanczos3"], changes, photos=1)
    images = [(case["input"], case["size"]) for case in shown]
    for name in reversed(UINT8_METHODS):
        chosen = [case for case in of_method[name] if (case["input"], case["size"]) in images]
        assert len(chosen) == len(images)
        assert unequal(as_torchvision, chosen) == []


def test_without_antialiasing_the_uint8_kernel_of_torchvision_is_met_in_every_bit():
    cases = [
        case for case in INTEGER_CASES if (case["call"], case["input"]["dtype"]) == ("v2", "uint8")
    ]
    assert {case["antialias"] for case in cases} == {False} and len(cases) == 6
    assert unequal(as_torchvision, cases) == []


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_float_results_of_torch_are_met_within_2e_6(method: str, antialias: bool):
    # torch sums in another order, and not always the same: a few units in the last place of float32
    cases = [
        case
        for case in FLOAT_CASES
        if (case["method"], case.get("antialias")) == (method, antialias)
    ]
    assert len(cases) == (13 if antialias else 22)
    # one method has every second size and kind of call, the other has the others
    for case in cases if EVERYTHING else cases[method == "bicubic" :: 2]:
        reference = "torch_corners" if case["call"] == "corners" else "torch"
        result, expected = TORCH.pair(case["result"], resized(case, reference))
        np.testing.assert_array_less(
            np.abs(result - expected), 2e-6 * np.maximum(1, np.abs(expected)), str(case)
        )


@pytest.mark.parametrize(
    "method, reference", [("nearest", "torch"), ("nearest-exact", "torch_exact")]
)
def test_nearest_pixels_are_those_of_torch(method: str, reference: str):
    cases = [case for case in FLOAT_CASES if case["method"] == method]
    assert len(cases) == 7
    for case in cases:
        np.testing.assert_array_equal(
            *TORCH.pair(case["result"], resized({**case, "method": "nearest"}, reference))
        )


def test_int16_and_uint8_through_float_are_a_level_from_torchvision_at_most_and_rarely():
    # a sum that lands on a half in one order of summation does not in another
    small = [
        case for case in INTEGER_CASES if case["call"] == "v1" or case["input"]["dtype"] == "int16"
    ]
    small = covering(small, call_and_size, photos=1)
    assert share_of_a_level(small, lambda case: resized(case, "torch")) <= 2e-4


def test_int32_of_a_hundred_thousand_are_a_level_from_torchvision_at_most():
    # values up to 2e5 leave float32 six bits for the fraction: one value in a hundred is that close
    # to a half
    wide = [case for case in INTEGER_CASES if case["input"]["dtype"] == "int32"]
    wide = covering(wide, call_and_size, photos=1)
    assert share_of_a_level(wide, lambda case: resized(case, "torch")) <= 0.005


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("method", ["bicubic", "bilinear"])  # programs for more taps first
def test_photographs_resized_as_floats_and_not_rounded_are_those_of_torch(
    method: str, antialias: bool
):
    # values are up to 255, whose last bit is 1.5e-5: where a bicubic filter makes little of large
    # values, the sum has their rounding
    cases = [
        case
        for case in PHOTOGRAPHS
        if (case["call"], case["method"], case["antialias"]) == ("floats", method, antialias)
    ]
    assert len(cases) == 6
    for case in cases:
        result, expected = TORCH.pair(case["result"], resized(case, "torch", rounded=False))
        least = 1 if antialias or method == "bilinear" else 255
        np.testing.assert_array_less(
            np.abs(result - expected), 2e-6 * np.maximum(least, np.abs(expected)), str(case)
        )


def test_photographs_resized_as_floats_and_rounded_are_a_level_from_torch_at_most_and_rarely():
    # torch itself differs so between one thread and two, which sum in another order
    cases = [case for case in PHOTOGRAPHS if case["call"] == "rounded"]
    assert len(cases) == 6
    assert share_of_a_level(cases, lambda case: resized(case, "torch")) <= 5e-5


def call_and_size(case: dict) -> set:
    """Each filter in each call, and each size in each call."""
    call = case["call"], case["input"]["dtype"]
    return {(*call, case["method"], case["antialias"]), (*call, *case["size"])}


def as_torchvision(case: dict) -> bool:
    return digest(resized(case, "torchvision")) == case["result"]["sha256"]


def unequal(equal: Callable[[dict], bool], cases: list[dict]) -> list[dict]:
    return [case for case, same in zip(cases, map_concurrently(equal, cases)) if not same]


def share_of_a_level(cases: list[dict], resize: Callable[[dict], np.ndarray]) -> float:
    """The share of values that differ by one, after checking that none differs by more."""
    differences = []
    for case in cases:
        result, expected = TORCH.pair(case["result"], resize(case))
        differences.append(np.abs(result.astype(np.int64) - expected.astype(np.int64)))
    everything = np.concatenate(differences)
    assert everything.max() <= 1
    return float(everything.mean())


def resized(case: dict, reference: str, rounded: bool = True) -> np.ndarray:
    antialias = case.get("antialias", True)
    image = inputs.array(case["input"])
    size = tuple(case["size"])
    result = ops.resize(
        image,
        size,
        method=case["method"],
        antialias=antialias,
        reference=reference,
        rounded=rounded,
    )
    return np.asarray(result)
