"""The Python code in README.md and in the other pages runs as it is written."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import examples

pytestmark = pytest.mark.usefixtures("quick_compilation")

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = sorted((ROOT / "docs").rglob("*.md"))
WITH_CODE = [page for page in PAGES if examples.FENCE.search(page.read_text("utf-8"))]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_python_code_of_a_page_runs(page: Path, offline_folder: Path) -> None:
    assert examples.run_page(page)


def test_the_python_code_of_the_readme_runs_and_its_results_are_what_it_says(
    offline_folder: Path,
) -> None:
    assert len(examples.FENCE.findall(README.read_text("utf-8"))) >= 4
    names = examples.run_page(README)
    assert names["x"].shape == (8, 224, 224, 3)
    assert names["features"]["pixel_values"].shape == (3, 3, 224, 224)
    assert names["box"].shape == (1, 4)
    assert names["batch"].image.shape == (2, 224, 224, 3)
    assert (offline_folder / "my_preset" / "jaxprep.json").exists()


def test_an_error_on_a_page_names_its_line(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("Text.\n\n```python\nx = 1\n```\n\nMore.\n\n```python\nx / 0\n```\n")
    with pytest.raises(ZeroDivisionError) as error:
        examples.run_page(page)
    assert error.traceback[-1].lineno == 9  # counted from 0
