"""Tap tables of windows that are known only at run time: random crops, computed in the program."""

from __future__ import annotations

import math
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxprep.resample.filters import FILTERS
from jaxprep.resample.tables import Taps


def window_taps(n: int, first: Any, length: Any, m: int, method: str, antialias: bool) -> Taps:
    """The table that resizes pixels `first` to `first + length` of an axis of `n` to `m`; the taps
    end at the window.

    Positions are exact integers (`n * m` below 2**29), so that no output is off by a pixel; weights
    are float32.

    Args:
        n: length of the axis, which bounds the number of taps.
        first: scalar integer, at least 0; may be traced.
        length: scalar integer, at least 1, with `first + length <= n`; may be traced.
        m: length of the result.
    """
    first, length = jnp.asarray(first, jnp.int32), jnp.asarray(length, jnp.int32)
    i = 2 * jnp.arange(m, dtype=jnp.int32) + 1  # the centre of output i is i * length / (2 m)
    if method == "nearest":
        start = first + i * length // (2 * m)
        return Taps(start, jnp.ones((m, 1), jnp.float32), np.int32(0))
    filter_ = FILTERS[method]
    reach = int(2 * filter_.support)  # twice the support, in units of the filter
    stretch = jnp.maximum(length, m) if antialias else jnp.int32(m)
    low = jnp.maximum((i * length - reach * stretch + m) // (2 * m), 0)
    high = jnp.minimum((i * length + reach * stretch + m) // (2 * m), length)
    taps = min(math.ceil(reach * (max(n / m, 1) if antialias else 1)) + 1, n)
    start = jnp.minimum(first + low, n - taps)
    tap = start[:, None] + jnp.arange(taps, dtype=jnp.int32) - first
    distance = ((2 * tap + 1) * m - (i * length)[:, None]).astype(jnp.float32) / (
        2 * stretch
    ).astype(jnp.float32)
    inside = (tap >= low[:, None]) & (tap < high[:, None])
    weight = jnp.where(inside, filter_.kernel(distance, jnp), 0.0)
    return Taps(start, weight / weight.sum(1, keepdims=True), np.int32(0))
