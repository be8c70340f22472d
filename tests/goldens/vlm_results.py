"""Calls an image processor, theirs or ours, on a case of vision-language models, and names every array of the result."""

from typing import Any

import numpy as np


def of_case(processor_class: Any, case: dict, inputs: Any) -> dict[str, np.ndarray]:
    """Every array that a class returns for a case: `return_tensors` is left away unless the case's `call` says it. `inputs` is that module."""
    processor = processor_class(**case["settings"])
    read = inputs.array if case.get("arrays") else inputs.image
    return leaves(processor(_pictures(case["inputs"], read), **case.get("call", {})))


def _pictures(recipes: Any, read: Any) -> Any:
    """The images of recipes, nested as they are."""
    if isinstance(recipes, list):
        return [_pictures(recipe, read) for recipe in recipes]
    return read(recipes)


def leaves(result: Any, name: str = "") -> dict[str, np.ndarray]:
    """Arrays and numbers of nested results by their paths. Lists of numbers become one array; bfloat16 becomes float32."""
    if hasattr(result, "keys"):
        items = [(f"{name}.{key}".strip("."), result[key]) for key in result]
    elif isinstance(result, (list, tuple)) and not _is_numbers(result):
        items = [(f"{name}.{i}", value) for i, value in enumerate(result)]
    else:
        return {name: _as_array(result)}
    found: dict[str, np.ndarray] = {}
    for path, value in items:
        found |= leaves(value, path)
    return found


def _is_numbers(values: Any) -> bool:
    """Whether a list is numbers all the way down, in lists of equal lengths."""
    if any(hasattr(value, "shape") and np.ndim(value) for value in values):
        return False
    try:
        return np.asarray(values).dtype != object
    except (ValueError, TypeError):
        return False


def _as_array(value: Any) -> np.ndarray:
    if "bfloat16" in str(getattr(value, "dtype", "")):
        value = value.float() if hasattr(value, "float") else value.astype(np.float32)
    return np.asarray(value)
