"""Formats numbers and sizes for `describe()`."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxprep.types import by

__all__ = ["by", "number_list"]


def number_list(numbers: Any) -> str:
    """Formats one number, or one per channel where they differ, to six digits.

    >>> number_list((0.5, 0.5, 0.25))
    '0.5, 0.5, 0.25'
    """
    # Six digits tell the published means apart, and hide the noise of float32.
    shown = [f"{number:.6g}" for number in np.ravel(numbers)]
    return shown[0] if len(set(shown)) == 1 else ", ".join(shown)
