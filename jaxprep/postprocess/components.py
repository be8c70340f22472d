"""Connected regions of binary masks, and the regions that are too small to keep."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Int

from jaxprep.types import Array


def regions(mask: Bool[Array, "h w"]) -> Int[jax.Array, "h w"]:
    """Numbers the connected regions of a mask (8 neighbours): pixels of one region have the same
    number; pixels outside the mask have `h * w`.

    The number is the least index of a pixel of the region. Numbers spread from neighbour to
    neighbour until nothing changes.

    >>> regions(jnp.array([[True, False, True], [True, False, False]])).tolist()
    [[0, 6, 2], [0, 6, 6]]
    """
    height, width = mask.shape
    outside = np.int32(height * width)
    pixel_index = lax.iota(jnp.int32, height * width).reshape(height, width)

    def spread(state: tuple[jax.Array, Any]) -> tuple[jax.Array, Any]:
        numbers, _ = state
        least = lax.reduce_window(numbers, outside, lax.min, (3, 3), (1, 1), "SAME")
        least = jnp.where(mask, least, outside)
        # Each pixel also takes the number of the pixel that its number is the index of. This
        # halves the paths that numbers have to go: a winding region needs logarithmically many
        # rounds, not one for each of its pixels.
        by_index = jnp.append(least.ravel(), outside)
        least = by_index[by_index[least]]
        return least, (least != numbers).any()

    def has_changed(state: tuple[jax.Array, Any]) -> Any:
        return state[1]

    start = jnp.where(mask, pixel_index, outside)
    numbers, _ = lax.while_loop(has_changed, spread, (start, jnp.bool_(True)))
    return numbers


def small_regions(mask: Bool[Array, "h w"], max_area: Any) -> Bool[jax.Array, "h w"]:
    """Returns the pixels of a mask whose region has at most `max_area` pixels.

    >>> small_regions(jnp.array([[True, False, True], [True, False, False]]), 1).tolist()
    [[False, False, True], [False, False, False]]
    """
    numbers = regions(mask)
    # One count for each number; the last is that of the pixels outside.
    sizes = jnp.zeros(mask.size + 1, jnp.int32).at[numbers.ravel()].add(1)
    return mask & (sizes[numbers] <= max_area)
