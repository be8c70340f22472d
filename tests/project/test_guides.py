"""The how-to guides are notebooks that the build of the documentation site runs, and it lists all
of them.

The build itself is `python docs/build.py`, which `.ci/run` calls: an error in a cell fails it.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[2] / "docs"
GUIDES = sorted(path for path in (DOCS / "guides").glob("*.md") if path.stem != "index")
CELL = re.compile(r"^```\{code-cell\} python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_the_build_runs_every_cell_of_a_guide(path: Path) -> None:
    text = path.read_text("utf-8")
    front = text.split("---\n")[1]
    # without these lines myst-nb shows the page as text, and runs nothing
    assert re.search(r"^file_format: mystnb$", front, re.MULTILINE)
    assert re.search(r"^kernelspec:\n  name: python3$", front, re.MULTILINE)
    cells = CELL.findall(text)
    assert len(cells) == text.count("{code-cell}") > 3
    for cell in cells:
        assert not cell.startswith(":"), "an option of a cell, such as one that hides it"
        ast.parse(cell)
        assert max(map(len, cell.splitlines())) <= 79  # a longer line does not fit the page
    assert text.rindex("\n## Related pages\n") > text.rindex("{code-cell}")


def test_the_site_lists_every_guide_once() -> None:
    index = (DOCS / "index.md").read_text("utf-8")
    listed = re.findall(r"^guides/(\w+)$", index, re.MULTILINE)
    assert sorted(listed) == sorted([path.stem for path in GUIDES] + ["index"])


def test_an_error_in_a_guide_fails_the_build() -> None:
    conf = (DOCS / "conf.py").read_text("utf-8")
    settings = {
        target.id: node.value
        for node in ast.parse(conf).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert ast.literal_eval(settings["nb_execution_mode"]) == "force"
    assert ast.literal_eval(settings["nb_execution_raise_on_error"]) is True
    assert "nb_execution_excludepatterns" not in settings
