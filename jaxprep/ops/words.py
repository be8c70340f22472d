"""Formats numbers and sizes for `describe()`."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxprep.types import Size


def by(size: Size | None) -> str:
    """Formats a size as height x width.

    >>> by((224, 160))
    '224 x 160'
    """
    return "varies" if size is None else f"{size[0]} x {size[1]}"


def number_list(numbers: Any) -> str:
    """Formats one number, or one per channel where they differ, to six digits.

    >>> number_list((0.5, 0.5, 0.25))
    '0.5, 0.5, 0.25'
    """
    # Six digits tell the published means apart, and hide the noise of float32.
    shown = [f"{number:.6g}" for number in np.ravel(numbers)]
    return shown[0] if len(set(shown)) == 1 else ", ".join(shown)
