"""The code of docs/parallel.md that needs another package runs where that is installed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from helpers import examples

PAGE = Path(__file__).resolve().parents[2] / "docs" / "parallel.md"
OTHERS = re.compile(r"^```python (\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CODE = dict(OTHERS.findall(PAGE.read_text("utf-8")))


def test_each_of_these_packages_has_its_code():
    assert set(CODE) == {"torch", "datasets", "tensorflow"}


@pytest.mark.parametrize("package", CODE)
def test_the_code_for_a_package_runs(package: str, offline_folder: Path):
    pytest.importorskip(package)
    names = examples.run_page(PAGE)
    exec(compile(CODE[package], str(PAGE), "exec", dont_inherit=True), names)
