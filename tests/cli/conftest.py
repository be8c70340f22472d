"""What the tests of runs share: a folder of images, and a record of what is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from helpers.runs import image_file

from jaxprep.cli import convert as convert_module


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five images of the same program."""
    for seed in range(5):
        image_file(tmp_path / "photos" / f"{seed}.png", 40 + seed, 50, 3, seed=seed)
    return tmp_path / "photos"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that are decoded, as they are."""
    names: list[str] = []
    original = convert_module.read_file

    def counting(path: Any, *rest: Any) -> Any:
        names.append(Path(path).name)
        return original(path, *rest)

    monkeypatch.setattr(convert_module, "read_file", counting)
    return names
