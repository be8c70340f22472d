"""Prints a table of the named presets: `jaxprep presets`."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from jaxprep import codec, presets
from jaxprep.cli.messages import BOLD, painted
from jaxprep.errors import PresetNotFoundError
from jaxprep.presets.library import nearest
from jaxprep.presets.summaries import summarize
from jaxprep.types import by

UNKNOWN = "not known"
TITLES = {
    "name": "NAME",
    "size": "INPUT SIZE",
    "filter": "FILTER",
    "kept": "KEPT",
    "params": "PARAMS",
}


def execute(args: argparse.Namespace) -> int:
    """Print the table, or its rows as JSON; return the exit status.

    Raises:
        PresetNotFoundError: no name matches; as JSON that is an empty list.

    >>> from jaxprep.cli.options import make_parser
    >>> execute(make_parser().parse_args(["presets", "timm/resnet50.a1_*"]))
    NAME                   INPUT SIZE  FILTER   KEPT
    timm/resnet50.a1_in1k  224 x 224   bicubic  center 95.3%
    0
    """
    names = presets.matching(args.pattern)
    # An error, not an empty table: a script that pipes the names would go on with none. JSON has a
    # word for it.
    if not names and not args.json:
        near = nearest(args.pattern.strip("*?"))
        hint = f" Nearest: {', '.join(near)}." if near else ""
        raise PresetNotFoundError(
            "Expected part of a built-in name, or a pattern, got "
            f"{codec.shown(args.pattern)}.{hint}"
        )
    rows = [summarize(name) for name in names]
    if args.json:
        print(codec.dumps(rows), end="")
        return 0
    head, *lines = table(rows)
    print(painted(head, BOLD, sys.stdout), *lines, sep="\n")
    return 0


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Return the lines of a table, its head first; a column in which nothing stands is left out.

    Args:
        rows: as `summarize` returns them.

    >>> table([summarize("timm/resnet50.a1_in1k")])[1]
    'timm/resnet50.a1_in1k  224 x 224   bicubic  center 95.3%'
    """
    cells = [_cells(row) for row in rows]
    # Widths of what is shown, not of all presets, so that a short table fits on a screen.
    shown = {key: [title, *(row[key] for row in cells)] for key, title in TITLES.items()}
    columns = [column for column in shown.values() if any(column[1:])]
    widths = [max(map(len, column)) for column in columns]
    lines = []
    for row in zip(*columns, strict=True):
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(padded).rstrip())
    return lines


def _cells(row: dict[str, Any]) -> dict[str, str]:
    params = "" if row["params"] is None else _abbreviated(row["params"])
    cells = {"name": row["name"], "size": UNKNOWN, "filter": "", "kept": "", "params": params}
    if not row["known"]:
        return cells
    filter = row["interpolation"] or ""
    if filter and not row["antialias"]:
        filter += ", not antialiased"
    return {**cells, "size": by(row["image_size"]), "filter": filter, "kept": row["kept"] or ""}


def _abbreviated(count: int) -> str:
    """Return a count in three or four characters: 1234567 becomes 1.2M."""
    for unit, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= unit:
            return f"{count / unit:.1f}{letter}"
    return str(count)
