"""Numbers that a step draws, and the ranges and probabilities that they are drawn by.

All numbers of a step come from one call of `jax.random.uniform`.

Each call of `jax.random` is compiled for 0.2 to 0.4 s on CPU (jax 0.10.2); one call for all numbers
of a step compiles RandAugment's draw in 0.3 s instead of 1.7 s.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtri

from jaxprep import codec

Range = tuple[float, float]
"""The lowest and the highest number."""


def between(unit: Any, low: Any, high: Any) -> Any:
    """Return uniform numbers in [low, high), of uniform ones in [0, 1).

    >>> between(np.float32(0.5), 2.0, 4.0).item()
    3.0
    """
    lowest = jnp.float32(low)
    unit = jnp.asarray(unit, jnp.float32)
    extent = jnp.float32(high) - jnp.float32(low)
    return lowest + unit * extent


def below(unit: Any, count: Any) -> Any:
    """Return uniform integers in [0, count), int32, of uniform numbers in [0, 1).

    Exactly uniform to 1 / 2**23 of `count`, which may be traced; at least 1.

    >>> jax.jit(below)(np.float32([0.0, 0.5, 0.999]), 4).tolist()
    [0, 2, 3]
    """
    count = jnp.maximum(jnp.asarray(count, jnp.int32), 1)
    unit = jnp.asarray(unit, jnp.float32)
    index = jnp.floor(unit * count.astype(jnp.float32))
    index = index.astype(jnp.int32)
    # the product may be rounded up to `count`
    return jnp.minimum(index, count - 1)


def happens(unit: Any, probability: Any) -> Any:
    """Return whether something of a probability happens, of a uniform number in [0, 1).

    >>> bool(happens(np.float32(0.4), 0.5)), bool(happens(np.float32(0.0), 0.0))
    (True, False)
    """
    return jnp.asarray(unit, jnp.float32) < jnp.float32(probability)


def sign(unit: Any) -> Any:
    """Return -1 or 1, float32, of a uniform number in [0, 1).

    >>> sign(np.float32([0.2, 0.7])).tolist()
    [-1.0, 1.0]
    """
    return jnp.where(happens(unit, 0.5), np.float32(-1), np.float32(1))


def normal(unit: Any) -> Any:
    """Return normally distributed numbers, of uniform ones in [0, 1).

    >>> jax.jit(normal)(np.float32(0.5)).item()
    0.0
    """
    unit = jnp.asarray(unit, jnp.float32)
    # 0 would become minus infinity; the next uniform number of `jax.random` is 2**-23
    smallest = np.float32(2**-25)
    return ndtri(jnp.maximum(unit, smallest))


TRIES = 8
"""Of the rejection method, each of which succeeds with a probability of at least 0.95."""


def log_gamma(key: Any, alpha: Any, count: int) -> jax.Array:
    """Return the logarithms `(count,)` of numbers of a gamma distribution, float32.

    Of such numbers, the `softmax` has Dirichlet's distribution, and the `sigmoid` of a difference a
    Beta distribution. `jax.random.gamma` loops until all examples of a batch have a number: on a
    mesh its devices ask each other in every round. Here each has `TRIES` at once; where none
    succeeds, in 4 of 1e11 cases, the number is `alpha - 1/3`.

    Args:
        key: a `jax.random` key.
        alpha: the shape of the distribution, above 0.
        count: how many.

    >>> jax.jit(log_gamma, static_argnums=(1, 2))(jax.random.key(0), 1.0, 3).shape
    (3,)
    """
    # Marsaglia and Tsang, "A simple method for generating gamma variables", 2000:
    # https://doi.org/10.1145/358407.358414
    alpha = jnp.asarray(alpha, jnp.float32)
    uniform = units(key, 2 * TRIES + 1, count)
    uniform = jnp.maximum(uniform, np.float32(2**-25))
    # the method holds from 1 on: below, one of alpha + 1 is drawn, times uniform ** (1 / alpha)
    d = jnp.where(alpha < 1, alpha + 1, alpha) - np.float32(1 / 3)
    x = normal(uniform[:TRIES])
    root = 1 + x / jnp.sqrt(9 * d)
    smallest = np.float32(1e-6)
    root = jnp.maximum(root, smallest)
    log_v = 3 * jnp.log(root)
    log_uniform = jnp.log(uniform[TRIES:-1])
    bound = x * x / 2 + d * (1 - jnp.exp(log_v) + log_v)
    is_taken = log_uniform < bound
    is_taken = is_taken & (root > smallest)
    first = jnp.argmax(is_taken, axis=0)
    is_first = first[None] == np.arange(TRIES)[:, None]
    taken = jnp.where(is_first, log_v, 0).sum(0)
    taken = jnp.where(is_taken.any(0), taken, 0)
    is_boosted = alpha < 1
    boost = jnp.where(is_boosted, jnp.log(uniform[-1]) / alpha, 0)
    return jnp.log(d) + taken + boost


def units(key: Any, *shape: int) -> jax.Array:
    """Return uniform numbers in [0, 1), float32.

    >>> units(jax.random.key(0), 2, 3).shape
    (2, 3)
    """
    return jax.random.uniform(key, shape)


def check_probability(probability: float, where: str = "$.probability") -> None:
    """Raise `ConfigError` unless a number is a probability.

    >>> check_probability(0.5)
    """
    if not 0 <= probability <= 1:
        raise codec.expected("a probability, 0 to 1", probability, where)


def check_range(values: Range, where: str, least: float = -math.inf) -> None:
    """Raise `ConfigError` unless a range goes upwards from at least `least`.

    >>> check_range((0.5, 1.0), "$.scale", 0.0)
    """
    low, high = values
    if not (least <= low <= high and math.isfinite(high)):
        raise codec.expected(f"a range (low, high) from at least {least:g}", values, where)
