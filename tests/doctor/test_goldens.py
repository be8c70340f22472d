"""Arrays that real libraries made with known mistakes (`goldens/write_doctor.py`) are diagnosed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import jaxprep

sys.path.insert(0, str(Path(__file__).parents[1] / "goldens"))

import doctor_cases  # pyright: ignore[reportMissingImports]

CASES = {case.name: case for case in doctor_cases.read()}
EVERY = 10
"""One case of so many is diagnosed; `benchmarks/doctor.py` runs all."""
CHOSEN = sorted(CASES)[::EVERY]


@pytest.mark.parametrize("name", CHOSEN)
def test_a_mistake_of_a_real_library_is_named(name: str) -> None:
    case = CASES[name]
    diagnosis = jaxprep.diagnose(case.array, case.photo, case.preset)
    if case.changes is None:
        assert not diagnosis.explained and not diagnosis.exact
    else:
        assert diagnosis.changes is not None, diagnosis
        assert not doctor_cases.judge(case, diagnosis.changes, diagnosis.exact)
