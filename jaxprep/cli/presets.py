"""`jaxprep presets`: a table of the built-in names."""

from __future__ import annotations

import argparse
from typing import Any

from jaxprep import codec, presets
from jaxprep.codec import shown
from jaxprep.errors import ConfigError, PresetNotFoundError
from jaxprep.ops.words import by
from jaxprep.presets.library import nearest

UNKNOWN = "not known"


def execute(args: argparse.Namespace) -> int:
    names = presets.matching(args.pattern)
    if not names:
        near = nearest(args.pattern.strip("*?"))
        hint = f" Nearest: {', '.join(near)}." if near else ""
        raise PresetNotFoundError(
            f"Expected part of a built-in name, or a pattern, got {shown(args.pattern)}.{hint}"
        )
    rows = list(map(describe, names))
    print(codec.dumps(rows) if args.json else table(rows), end="")
    return 0


def describe(name: str) -> dict[str, Any]:
    """What the table says of a name; `note` tells why the numbers of some are not known."""
    row = {
        "name": name,
        "image_size": None,
        "interpolation": None,
        "params": presets.describe(name).get("params"),
    }
    try:
        config: Any = presets.load(name)
    except ConfigError as error:
        return {**row, "known": False, "note": str(error)}
    size, interpolation = config.image_size, getattr(config, "interpolation", None)
    return {
        **row,
        "image_size": None if size is None else list(size),
        "interpolation": interpolation,
        "known": True,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Columns of names, image sizes, interpolations and numbers of parameters."""
    cells = [("NAME", "IMAGE SIZE", "INTERPOLATION", "PARAMS"), *map(_cells, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(3)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, [*widths, 0])).rstrip()
        for row in cells
    )
    return "".join(f"{line}\n" for line in lines)


def _cells(row: dict[str, Any]) -> tuple[str, str, str, str]:
    params = "" if row["params"] is None else _short(row["params"])
    if not row["known"]:
        return row["name"], UNKNOWN, "", params
    return row["name"], by(row["image_size"]), row["interpolation"] or "", params


def _short(count: int) -> str:
    """1234567 as 1.2M."""
    for unit, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if count >= unit:
            return f"{count / unit:.1f}{letter}"
    return str(count)
