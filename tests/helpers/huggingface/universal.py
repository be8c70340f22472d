"""MaskFormer, Mask2Former, OneFormer, EoMT: images with maps that become masks and classes."""

from __future__ import annotations

import importlib
import types
from typing import Any

import numpy as np
import pytest
from goldens import universal_cases

from helpers.huggingface import common
from jaxprep import huggingface

shown = common.showing_of(["universal"], lambda: universal_cases.cases("pil"))


def choose(cases: list[dict], name: str, every: int) -> list[dict]:
    """Choose the cases of a class that run; case number 1 is a batch of three sizes."""
    return common.choose(cases, name, universal_cases.CLASSES, every, first=1)


def original(name: str) -> Any:
    """Return the class of Transformers with the PIL backend; skip the test without Transformers.

    The class works on NumPy arrays, but names PyTorch: where that is not installed, a namespace
    with two functions of NumPy stands for it.
    """
    pytest.importorskip("transformers")
    model = name.removesuffix("ImageProcessor").lower()
    module = importlib.import_module(f"transformers.models.{model}.image_processing_pil_{model}")
    if not hasattr(module, "torch"):
        module.torch = types.SimpleNamespace(from_numpy=np.asarray, tensor=np.asarray)  # type: ignore[attr-defined]
    return getattr(module, f"{name}Pil")


def results(case: dict, backend: str) -> dict[str, Any]:
    """Return our results for a case, a list per name."""
    settings = universal_cases.settings_of(case)
    processor = getattr(huggingface, case["class"])(backend=backend, **settings)
    arguments = universal_cases.arguments(case)
    return processor(common.pictures(case), **arguments, return_tensors=None)


def comparable(ours: list[Any], theirs: list[Any], key: str) -> tuple[list[Any], list[Any]]:
    """Return the part of both results that can be compared.

    The originals number the texts of OneFormer from one image to the next, so only the first
    image's are compared; and their default task is one for a batch of any size.
    """
    if key == "text_inputs":
        theirs = theirs[:1]
    if key in ("text_inputs", "task_inputs"):
        return ours[: len(theirs)], theirs
    return ours, theirs
