"""The numbers that steps draw have the distributions that they should, without a loop."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from helpers.images import noise
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from scipy import stats

from jaxprep import Batch, Pipeline, augment
from jaxprep.augment.numbers import log_gamma

COUNT = 20000
DRAW = jax.jit(log_gamma, static_argnums=2)


@pytest.mark.parametrize("alpha", [0.2, 0.7, 1.0, 2.5, 30.0])
def test_gamma_numbers_have_their_distribution(alpha: float):
    """By the test of Kolmogorov and Smirnov, at 1 % with a fixed seed, against SciPy."""
    drawn = np.exp(np.float64(DRAW(jax.random.key(5), alpha, COUNT)))
    assert stats.kstest(drawn, stats.gamma(alpha).cdf).pvalue > 0.01


def test_shares_of_augmix_have_the_distribution_of_beta():
    step = augment.AugMix(width=2, depth=1, alpha=0.6)
    keys = jax.random.split(jax.random.key(6), 4000)
    draw = jax.jit(jax.vmap(lambda key: step.draw(key, (16, 16))[1]))
    weights = np.float64(draw(keys))
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-5)
    assert stats.kstest(weights[:, 0], stats.beta(0.6, 0.6).cdf).pvalue > 0.01
    part = weights[:, 1] / np.maximum(weights[:, 1:].sum(1), 1e-12)
    assert stats.kstest(part, stats.beta(0.6, 0.6).cdf).pvalue > 0.01


def test_no_device_asks_another_for_the_draws_of_augmix():
    """`jax.random.beta` loops until every example of the batch has its number."""
    mesh = jax.make_mesh((4,), ("data",), (AxisType.Auto,))
    batch = Batch(image=noise(8, 16, 16, 3), index=np.arange(8))
    sharded = jax.device_put(batch, NamedSharding(mesh, PartitionSpec("data")))
    pipeline = Pipeline((augment.AugMix(width=1, depth=1),))
    draw = jax.jit(lambda batch, key: pipeline.draw(key, batch))
    text = draw.lower(sharded, jax.random.key(0)).compile().as_text()
    assert "all-reduce" not in text and "all-gather" not in text
