"""Images for tests: noise, and parts of the photographs in `examples/photos`."""

from __future__ import annotations

from typing import Any

import numpy as np
from goldens import keras_inputs


def noise(*shape: int, dtype: Any = "uint8", seed: int = 0) -> np.ndarray:
    """Return random values that depend on nothing but the arguments.

    They are uniform in [0, 255] for uint8 and in [-3000, 3000) for other integers, which is wide
    enough to reach below 0 and beyond 255, and standard normal for floats.
    """
    rng = np.random.default_rng(seed)
    if np.issubdtype(dtype, np.floating):
        return rng.normal(size=shape).astype(dtype)
    if dtype == "uint8":
        return rng.integers(0, 256, shape, np.uint8)
    return rng.integers(-3000, 3000, shape).astype(dtype)


def photograph(
    height: int | None = None, width: int | None = None, name: str = "coffee"
) -> np.ndarray:
    """Return the upper left `(height, width)` of a photograph, uint8 `(h, w, 3)`.

    Without a size it is the whole photograph; `coffee` has 400 × 600 pixels.
    """
    return np.ascontiguousarray(keras_inputs.photo(name)[:height, :width])
