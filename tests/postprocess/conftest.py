"""Lets LLVM optimise little here (see `quick_compilation`): these tests are about labels, sizes,
thresholds and forms of results, which no last bit of a float changes.
"""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def quick_compilation_of_a_folder(quick_compilation: None) -> None:
    """Each of its files."""
