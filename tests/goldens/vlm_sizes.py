"""The random sizes that size functions are compared on, and digests of what they give."""

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np


def sizes(highest: int) -> list[tuple[int, int]]:
    """The 2,000 sizes, sides from 1 to below `highest`."""
    return [(h, w) for h, w in np.random.default_rng(0).integers(1, highest, (2000, 2)).tolist()]


def digest(results: list[Any]) -> str:
    """Of results, nested lists of integers, or None where a size is refused."""
    return hashlib.sha256(json.dumps(results).encode()).hexdigest()


def attempt(function: Callable[..., Any], *size: int) -> Any:
    """What a function gives for a size; None where it refuses it."""
    try:
        return function(*size)
    except ValueError:
        return None
