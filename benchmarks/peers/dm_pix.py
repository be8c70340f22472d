"""Runs dm_pix, which crops and has no antialiased resize, in the case that only crops."""

from __future__ import annotations

import dm_pix
import jax
import jax.numpy as jnp
import numpy as np

from cases import Case
from peers.normalise import OFFSET, SCALE


def prepare(case: Case, images: list[np.ndarray], cores: int) -> dict:
    @jax.jit
    def program(x: jax.Array) -> jax.Array:
        return dm_pix.center_crop(x, case.target, case.target).astype(jnp.float32) * SCALE + OFFSET

    batch = jnp.asarray(np.stack(images))
    return {"jit": lambda: jax.block_until_ready(program(batch))}
