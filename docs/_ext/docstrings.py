"""Makes reStructuredText of docstrings, which are written to be read in a terminal.

A docstring may say `jax.Array`s, max(1, |x|), "rel_" and have a table of Markdown; to
reStructuredText the first three are markup that is not finished, the last is not a table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

CODE = re.compile(r"(`+[^`]+`+)")
"""Text between backticks, which stays as it is."""
MEANT_AS_TEXT = (
    (re.compile(r"\|"), r"\\|"),
    (re.compile(r"(?<=\w)_(?!\w)"), r"\\_"),
    (re.compile(r"(?<![\w*])\*(?=\w)"), r"\\*"),
)
RULE = re.compile(r"\s*\|[\s|:-]+\|\s*")
"""The line of a Markdown table below its head."""


def translated(lines: list[str]) -> list[str]:
    """Returns the lines of a docstring in reStructuredText; those of examples as they are."""
    result: list[str] = []
    table: list[str] = []
    is_example = False
    for line in lines:
        is_example = line.lstrip().startswith(">>>") or (is_example and bool(line.strip()))
        if not is_example and line.startswith("|"):
            table.append(line)
            continue
        result += list_table(table)
        table = []
        result.append(line if is_example else escaped(line))
    return [*result, *list_table(table)]


def escaped(line: str) -> str:
    """Returns a line whose text has no markup but that between backticks.

    >>> escaped("`jax.Array`s within max(1, |x|)")
    '`jax.Array`\\\\ s within max(1, \\\\|x\\\\|)'
    """
    parts = CODE.split(line)
    for i, part in enumerate(parts):
        if i % 2 == 1:  # code
            continue
        for pattern, replacement in MEANT_AS_TEXT:
            part = pattern.sub(replacement, part)
        # code ends before a blank or a mark; `\ ` is a blank of no width
        follows_code = i > 0 and part[:1].isalnum()
        parts[i] = f"\\ {part}" if follows_code else part
    return "".join(parts)


def list_table(lines: list[str]) -> list[str]:
    """Returns a table of Markdown as the directive `list-table`."""
    return list(_list_table(lines))


def _list_table(lines: list[str]) -> Iterator[str]:
    if not lines:
        return
    yield from (".. list-table::", "   :header-rows: 1", "")
    for line in lines:
        if RULE.fullmatch(line):
            continue
        cells = line.strip().strip("|").split("|")
        for i, cell in enumerate(cells):
            yield ("   * - " if i == 0 else "     - ") + escaped(cell.strip())
    yield ""


def process(app: Any, what: str, name: str, object: Any, options: Any, lines: list[str]) -> None:
    lines[:] = translated(lines)


def setup(app: Any) -> dict[str, Any]:
    """Registers the extension, before napoleon, which reads the sections."""
    app.connect("autodoc-process-docstring", process, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
