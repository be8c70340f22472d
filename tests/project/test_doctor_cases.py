"""The goldens of `diagnose`: what is stored is read exactly, and `judge` refuses what is wrong."""

import dataclasses

import numpy as np
import pytest
from goldens import doctor_cases
from goldens.doctor_cases import SETTINGS, judge


@pytest.fixture(scope="module")
def cases():
    return list(doctor_cases.read())


def right(case):
    """The expected changes, with the first of several right words."""
    return [(key, before, first(key, found)) for key, before, found in case.changes]


def first(key, found):
    several = isinstance(found, list) and not all(isinstance(one, int | float) for one in found)
    if several:
        return found[0]
    return tuple(found) if isinstance(found, list) else found


def test_every_setting_and_number_of_mistakes_is_there(cases):
    explained = [case for case in cases if case.changes is not None]
    assert {key for case in explained for key, _, _ in case.changes} == set(SETTINGS)
    assert {case.mistakes for case in cases} == {0, 1, 2, None}
    assert len({case.preset for case in cases}) >= 12
    for case in cases:
        assert case.photo.exists(), case.name
        assert np.isfinite(case.array.astype(float)).all(), case.name


def test_the_judge_accepts_what_is_expected_and_nothing_else(cases):
    for case in cases:
        if case.changes is None:
            assert judge(case, [("flip", "none", "horizontal")], exact=False) == ""
            assert "control" in judge(case, [], exact=True)
            continue
        changes = right(case)
        assert judge(case, changes, exact=True) == "", case.name
        unused = next(key for key in SETTINGS if key not in {key for key, _, _ in changes})
        assert judge(case, [*changes, (unused, 0, 1)], exact=True), case.name
        if changes and not case.also:
            assert judge(case, changes[1:], exact=True), case.name


@pytest.mark.parametrize(
    ("setting", "before", "wanted", "wrong"),
    [
        ("method", "bicubic", "bilinear", "nearest"),
        ("antialias", True, False, True),
        ("size", 256, 224, 232),
        ("crop", [0, 0, 9, 9], [5, 5, 9, 9], (5, 7, 9, 9)),
        ("crop", [0, 5, 9, 9], [0, 6, 9, 9], (0, 5, 9, 9)),
        ("mean", [0.485, 0.456, 0.406], "missing", (0.5, 0.5, 0.5)),
        ("std", [0.229, 0.224, 0.225], [0.5, 0.5, 0.5], (1.0, 1.0, 1.0)),
    ],
)
def test_the_judge_compares_values(cases, setting, before, wanted, wrong):
    case = dataclasses.replace(cases[0], changes=[(setting, before, wanted)], also=[])
    assert judge(case, [(setting, before, wrong)], exact=True)


@pytest.mark.parametrize("shape", [(7, 5, 3), (3, 7, 5), (1, 3, 7, 5), (1, 7, 5, 3), (7, 5)])
@pytest.mark.parametrize("kind", ["bytes", "table", "floats"])
def test_an_array_is_read_as_it_was_written(shape, kind):
    random = np.random.default_rng(0)
    array = random.integers(0, 256, shape).astype(np.uint8)
    if kind == "table":
        array = array.astype(np.float32) / 255
    if kind == "floats":
        larger = tuple(side if side in (1, 3) else 8 * side for side in shape)
        array = random.normal(size=larger)
    again = doctor_cases.decode(doctor_cases.encode(array))
    assert again.dtype == array.dtype
    np.testing.assert_array_equal(again, array)
