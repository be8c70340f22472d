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
    """Returns numbers the connected regions of a mask (8 neighbours): pixels of one region have the
    same number; pixels outside the mask have `h * w`.

    The number is the least index of a pixel of the region. Numbers spread from neighbour to
    neighbour until nothing changes.

    >>> regions(jnp.array([[True, False, True], [True, False, False]])).tolist()
    [[0, 6, 2], [0, 6, 6]]
    """
    height, width = mask.shape
    pixels = height * width
    outside = np.int32(pixels)
    pixel_index = lax.iota(jnp.int32, pixels).reshape(height, width)

    def spread(state: tuple[jax.Array, Any]) -> tuple[jax.Array, Any]:
        numbers, _ = state
        least = lax.reduce_window(numbers, outside, lax.min, (3, 3), (1, 1), "SAME")
        least = jnp.where(mask, least, outside)
        # Each pixel also takes the number of the pixel that its number is the index of. This
        # halves the paths that numbers have to go: a winding region needs logarithmically many
        # rounds, not one for each of its pixels.
        by_index = jnp.append(least.ravel(), outside)
        least = by_index[by_index[least]]
        has_changed = (least != numbers).any()
        return least, has_changed

    def goes_on(state: tuple[jax.Array, Any]) -> Any:
        _, has_changed = state
        return has_changed

    first_numbers = jnp.where(mask, pixel_index, outside)
    start = (first_numbers, jnp.bool_(True))
    numbers, _ = lax.while_loop(goes_on, spread, start)
    return numbers


def small_regions(mask: Bool[Array, "h w"], max_area: Any) -> Bool[jax.Array, "h w"]:
    """Returns the pixels of a mask whose region has at most `max_area` pixels.

    >>> mask = np.array([[True, False, True], [True, False, False]])
    >>> jax.jit(lambda mask: small_regions(mask, 1))(mask).tolist()
    [[False, False, True], [False, False, False]]
    """
    numbers = regions(mask)
    # One count for each number; the last is that of the pixels outside.
    zeros = jnp.zeros(mask.size + 1, jnp.int32)
    areas = zeros.at[numbers.ravel()].add(1)
    is_small = areas[numbers] <= max_area
    return mask & is_small
