"""Behaviour families: settings to steps. A row of the table names its family; a family is a function of a `Build`."""

from __future__ import annotations

from jaxprep.formats.huggingface.families.build import Build, Builder, Kind, Source
from jaxprep.formats.huggingface.families.plain import add_steps, pads_to_largest

__all__ = ["FAMILIES", "Build", "Builder", "Kind", "Source", "pads_to_largest"]

FAMILIES: dict[str, Builder] = {"plain": add_steps}
