"""Prints a table of the named presets: `jaxprep presets`."""

from __future__ import annotations

import argparse
from typing import Any

from jaxprep import codec, presets
from jaxprep.errors import ConfigError, PresetNotFoundError
from jaxprep.ops.words import by
from jaxprep.presets.library import nearest

UNKNOWN = "not known"


def execute(args: argparse.Namespace) -> int:
    """Print the table, or its rows as JSON; return the exit status.

    Raises:
        PresetNotFoundError: no name matches.

    >>> from jaxprep.cli.options import make_parser
    >>> execute(make_parser().parse_args(["presets", "timm/resnet50.a1_*"]))
    NAME                   IMAGE SIZE  INTERPOLATION  PARAMS
    timm/resnet50.a1_in1k  224 x 224   bicubic
    0
    """
    names = presets.matching(args.pattern)
    # An error, not an empty table: a script that pipes the names would go on with none.
    if not names:
        near = nearest(args.pattern.strip("*?"))
        hint = f" Nearest: {', '.join(near)}." if near else ""
        raise PresetNotFoundError(
            "Expected part of a built-in name, or a pattern, got "
            f"{codec.shown(args.pattern)}.{hint}"
        )
    rows = list(map(describe, names))
    print(codec.dumps(rows) if args.json else table(rows), end="")
    return 0


def describe(name: str) -> dict[str, Any]:
    """Return the row of a preset; `note` says why the numbers of some are not known.

    >>> describe("timm/resnet50.a1_in1k")["image_size"]
    [224, 224]
    """
    row = {
        "name": name,
        "image_size": None,
        "interpolation": None,
        "params": presets.describe(name).get("params"),
    }
    try:
        config: Any = presets.load(name)
    # A name that is known and whose numbers are not: the table lists it all the same.
    except ConfigError as error:
        return {**row, "known": False, "note": str(error)}
    size = config.image_size
    return {
        **row,
        "image_size": None if size is None else list(size),
        "interpolation": getattr(config, "interpolation", None),
        "known": True,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as text, in columns.

    >>> print(table([describe("timm/resnet50.a1_in1k")]).splitlines()[1])
    timm/resnet50.a1_in1k  224 x 224   bicubic
    """
    # Widths of what is shown, not of all presets, so that a short table fits on a screen.
    cells = [("NAME", "IMAGE SIZE", "INTERPOLATION", "PARAMS"), *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(padded).rstrip() + "\n")
    return "".join(lines)


def _cells(row: dict[str, Any]) -> tuple[str, str, str, str]:
    params = "" if row["params"] is None else _abbreviated(row["params"])
    if not row["known"]:
        return row["name"], UNKNOWN, "", params
    return row["name"], by(row["image_size"]), row["interpolation"] or "", params


def _abbreviated(count: int) -> str:
    """Return a count in three or four characters: 1234567 becomes 1.2M."""
    for unit, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= unit:
            return f"{count / unit:.1f}{letter}"
    return str(count)
