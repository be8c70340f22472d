"""Lets LLVM optimise little here (see `quick_compilation`): these tests are about the calls, size
rules, layouts and labels of families, whose arithmetic other folders compare with references.
"""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def quick_compilation_of_a_folder(quick_compilation: None) -> None:
    """Each of its files."""
