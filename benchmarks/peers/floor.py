"""The floor: a program that reads every input byte and writes every output byte once, and does next
to nothing else.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from cases import Case

SLICES = 16
"""Added up at a time: enough that the sums stay in the cache, few enough to compile at once."""


def prepare(case: Case, images: list[np.ndarray], cores: int) -> dict:
    every = np.concatenate([image.reshape(-1) for image in images])
    flat = every[: len(every) // case.batch * case.batch].reshape(
        case.batch, -1
    )  # ragged images: the mean size
    values = case.target * case.target * 3
    shape = case.batch, case.target, case.target, 3
    on_device = jnp.asarray(flat)
    program = jax.jit(jax.vmap(lambda image: read_and_write(image, values)))
    scratch, output = np.empty_like(flat), np.empty(shape, np.float32)

    def copy() -> np.ndarray:
        np.copyto(scratch, flat)
        output.fill(0.5)
        return output

    return {
        "jitted": lambda: jax.block_until_ready(program(on_device)),
        "NumPy copy and fill": copy,
    }


def read_and_write(image: jax.Array, values: int) -> jax.Array:
    """float32 `(values,)`, each the sum of the bytes at its position in every piece of the
    image.
    """
    n = len(image)
    if n < values:
        return jnp.tile(image, -(-values // n))[:values].astype(jnp.float32)
    rounds = n // (values * SLICES)
    starts = [min(start, n - values) for start in range(rounds * SLICES * values, n, values)]
    rest = add([image[start : start + values] for start in starts])

    def more(i: jax.Array, total: jax.Array) -> jax.Array:
        starts = [(i * SLICES + j) * values for j in range(SLICES)]
        return total + add([jax.lax.dynamic_slice_in_dim(image, start, values) for start in starts])

    return jax.lax.fori_loop(0, rounds, more, rest) if rounds else rest


def add(pieces: list[jax.Array]) -> jax.Array:
    return sum((piece.astype(jnp.int32) for piece in pieces), jnp.int32(0)).astype(jnp.float32)
