"""The table of image processor classes: which are read, under which names, and which are known and
not read.
"""

from __future__ import annotations

import functools
from typing import Any

from jaxprep.resources import load_json

Class = dict[str, Any]
"""A row: family, default settings, backends, whether a lone `size` is a square, model types, extra
arguments.
"""


def rows() -> dict[str, Class]:
    """Every class that is read, by its name."""
    return load_json("huggingface.json")["classes"]


def unread() -> dict[str, Any]:
    """The classes of Transformers that are not read, each with its kind and its model types."""
    return load_json("huggingface.json")["unread"]


def arguments(name: str) -> frozenset[str]:
    """The names that a class takes as settings, in its config and in a call."""
    return frozenset([*load_json("huggingface.json")["kwargs"], *rows()[name]["kwargs"]])


def canonical(name: str) -> str:
    """Today's name of a class, from any it was ever called by.

    `CLIPFeatureExtractor`, `CLIPImageProcessorFast` and `CLIPImageProcessorPil` are all
    `CLIPImageProcessor`; irregular names are in the table. An unknown name comes back in today's
    spelling.
    """
    for suffix in ("Fast", "Pil"):
        name = name.removesuffix(suffix)
    if name.endswith("FeatureExtractor"):
        name = name.removesuffix("FeatureExtractor") + "ImageProcessor"
    return _aliases().get(name, name)


def of_model(model_type: str) -> str | None:
    """The class that serves a model type, read or not."""
    return _models().get(model_type)


@functools.cache
def _aliases() -> dict[str, str]:
    return {alias: name for name, row in rows().items() for alias in row["aliases"]}


@functools.cache
def _models() -> dict[str, str]:
    both = {**unread(), **rows()}
    return {model: name for name, row in both.items() for model in row["models"]}
