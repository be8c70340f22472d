"""Processors of images with a map, a trimap, a depth, prompts, boxes or keypoints."""

from __future__ import annotations

import functools
import json
from typing import Any

import numpy as np
from goldens import inputs, segmentation_cases

from helpers.huggingface import common
from jaxprep import huggingface

GOLDENS = {group: f"segmentation_{group}" for group in segmentation_cases.GROUPS}
"""The file of each group."""
shown = common.showing_of(GOLDENS.values(), lambda: segmentation_cases.cases("pil"))


def choose(cases: list[dict], name: str, every: int) -> list[dict]:
    """Choose the cases of a class that run (see `common.choose`)."""
    return common.choose(cases, name, list(segmentation_cases.classes()), every)


@functools.cache
def _read(recipe: str) -> Any:
    recipe_fields = json.loads(recipe)
    if "dense" in recipe_fields:
        return segmentation_cases.dense(recipe_fields)
    return inputs.image(recipe_fields)


def _read_all(recipes: list[dict]) -> list[Any]:
    items = [_read(json.dumps(recipe)) for recipe in recipes]
    # Transformers writes into the arrays that it is given
    return [item.copy() if isinstance(item, np.ndarray) else item for item in items]


def arguments(case: dict) -> tuple[list[Any], dict[str, list[Any]]]:
    """Return the images of a case, and the other inputs by their keywords."""
    others = {}
    for name, value in case["beside"].items():
        others[name] = _read_all(value) if isinstance(value[0], dict) else value
    return _read_all(case["inputs"]), others


def results(case: dict, backend: str) -> dict[str, list[np.ndarray]]:
    """Return our results for a case, one array per image and name."""
    processor = getattr(huggingface, case["class"])(backend=backend, **case["settings"])
    images, others = arguments(case)
    return common.as_arrays(processor(images, **others, return_tensors=None))
