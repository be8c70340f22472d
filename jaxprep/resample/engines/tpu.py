"""The engine for TPU: matrix products, as gathers are slow there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxprep.resample.engines.plain import (
    PlainEngine,
    copy_pixels,
    in_either_order,
)
from jaxprep.resample.passes import Arithmetic, Epilogue, Passes, Rows, one_half, to_uint8
from jaxprep.resample.tables import Taps


@dataclass(frozen=True)
class TpuEngine(PlainEngine):
    def run_segment(
        self, image: jax.Array, passes: Passes, epilogue: Epilogue, is_last: bool
    ) -> jax.Array:
        return epilogue.finish(Rows.of(two_passes(image, passes)))


def two_passes(image: jax.Array, passes: Passes) -> jax.Array:
    if passes.arithmetic == "copy":
        return copy_pixels(image, passes)
    if passes.has_traced_order:
        return in_either_order(image, passes, two_passes)
    order = [(0, passes.vertical), (1, passes.horizontal)]
    for axis, taps in order if passes.vertical_first else reversed(order):
        if taps is not None:
            image = dense(image, taps, axis, passes.arithmetic)
    return image


def dense(image: jax.Array, taps: Taps, axis: int, arithmetic: Arithmetic) -> jax.Array:
    weight = matrix(taps, image.shape[axis])
    if arithmetic == "float":
        return _product(weight, image.astype(jnp.float32), axis, lax.Precision.HIGHEST)
    weight = weight.astype(jnp.int32)
    low = (weight + 128 & 255) - 128
    rest = (weight - low) >> 8
    middle = (rest + 128 & 255) - 128
    high = (rest - middle) >> 8
    pixels = image.astype(jnp.bfloat16)
    sums = [
        _product(digit.astype(jnp.bfloat16), pixels, axis, None).astype(jnp.int32)
        for digit in (low, middle, high)
    ]
    total = one_half(taps.shift) + sums[0] + (sums[1] << 8) + (sums[2] << 16)
    return to_uint8(total, taps.shift)


def matrix(taps: Taps, n: int) -> jax.Array:
    start, weight = jnp.asarray(taps.start), jnp.asarray(taps.weight)
    place = lax.broadcasted_iota(jnp.int32, (weight.shape[0], 1, n), 2) - start[:, None, None]
    tap = lax.broadcasted_iota(jnp.int32, (1, weight.shape[1], 1), 1)
    chosen = jnp.where(place == tap, weight[:, :, None], jnp.zeros((), weight.dtype))
    return jnp.sum(chosen, axis=1, dtype=weight.dtype)


def _product(weight: jax.Array, image: jax.Array, axis: int, precision: Any) -> jax.Array:
    total = lax.dot_general(
        weight,
        image,
        (((1,), (axis,)), ((), ())),
        precision=precision,
        preferred_element_type=jnp.float32,
    )
    return total if axis == 0 else total.swapaxes(0, 1)
