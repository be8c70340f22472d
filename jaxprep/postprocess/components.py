"""Connected regions of binary masks, and what is too small to stay."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


def regions(mask: jax.Array) -> jax.Array:
    """A number for each pixel `(h, w)` that is the same in all of its region (8 neighbours); `h *
    w` outside the mask.

    Numbers spread from neighbour to neighbour, and then from pixel to the pixel they name, until
    nothing changes.
    """
    height, width = mask.shape
    outside = jnp.int32(height * width)
    start = jnp.where(mask, lax.iota(jnp.int32, height * width).reshape(height, width), outside)

    def spread(state: tuple[jax.Array, Any]) -> tuple[jax.Array, Any]:
        numbers, _ = state
        least = lax.reduce_window(numbers, outside, lax.min, (3, 3), (1, 1), "SAME")
        least = jnp.where(mask, least, outside)
        named = jnp.append(least.ravel(), outside)  # follow the name twice: paths halve
        least = named[named[least]]
        return least, (least != numbers).any()

    return lax.while_loop(lambda state: state[1], spread, (start, jnp.bool_(True)))[0]


def small_regions(mask: jax.Array, most: Any) -> jax.Array:
    """The pixels of a mask `(h, w)` whose region has at most `most` pixels."""
    numbers = regions(mask)
    sizes = jnp.zeros(mask.size + 1, jnp.int32).at[numbers.ravel()].add(1)
    return mask & (sizes[numbers] <= most)
