"""The pointwise end of a segment: values, colours, fills and layout of one image, in as few operations as it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxprep.ops.step import Pointwise, fill_value
from jaxprep.ops.values import Affine
from jaxprep.pipeline.geometry import Fill

TOLERANCE = 5e-7
"""Affine steps become one multiply-add where that is so near to the published order, relative to max(1, |x|)."""


def apply_chain(
    chain: Sequence[Pointwise | Fill], image: jax.Array, edges: tuple[Any, Any] | None, exact: bool
) -> jax.Array:
    """The pointwise steps and fills of a segment, on one image `(h, w, c)`."""
    i = 0
    while i < len(chain):
        part = chain[i]
        if isinstance(part, Fill):
            image = _filled(image, part, edges)
        elif isinstance(part, Affine):
            run = _affine_run(chain[i:])
            image = _affine(run, image, exact)
            i += len(run) - 1
        else:
            part.output_channels(image.shape[-1])
            image = part.apply(image)
        i += 1
    return image


def _filled(image: jax.Array, fill: Fill, edges: tuple[Any, Any] | None) -> jax.Array:
    if edges is None:
        return image
    vertical, horizontal = (jnp.asarray(edge) == fill.number for edge in edges)
    outside = (vertical[:, None] | horizontal[None, :])[:, :, None]
    return jnp.where(outside, fill_value(fill.value, image.dtype), image)


def _affine_run(chain: Sequence[Any]) -> list[Affine]:
    run: list[Affine] = []
    for part in chain:
        if not isinstance(part, Affine):
            break
        run.append(part)
    return run


def _affine(run: Sequence[Affine], image: jax.Array, exact: bool) -> jax.Array:
    channels = image.shape[-1]
    for step in run:
        channels = step.output_channels(channels)
    table = _table(run, image.shape[-1])
    scale, offset = _merged(run)
    near = np.abs(np.arange(256)[:, None] * scale.astype(np.float32) + offset.astype(np.float32) - table)
    is_near = bool(np.all(near <= TOLERANCE * np.maximum(1, np.abs(table))))
    if image.dtype == jnp.uint8 and (exact or not is_near):
        return _look_up(table, image)
    if is_near:
        image = image.astype(jnp.float32)
        image = image * scale.astype(np.float32) if np.any(scale != 1) else image
        return image + offset.astype(np.float32) if np.any(offset != 0) else image
    for step in run:
        image = step.apply(image)
    return image


def _merged(run: Sequence[Affine]) -> tuple[np.ndarray, np.ndarray]:
    """`a` and `b` of `a * x + b` for the steps one after another, in float64."""
    scale, offset = np.float64(1), np.float64(0)
    for step in run:
        a, b = step.coefficients()
        scale, offset = scale * a, offset * a + b
    return np.asarray(scale), np.asarray(offset)


def _table(run: Sequence[Affine], channels: int) -> np.ndarray:
    """What the published order of operations makes of 0 to 255 in each channel, `(256, c)` float32."""
    values: Any = np.repeat(np.arange(256, dtype=np.uint8)[:, None], channels, axis=1)
    for step in run:
        values = step.apply(values)
    return values


def _look_up(table: np.ndarray, image: jax.Array) -> jax.Array:
    """`table[image[..., c], c]`; the table follows the batch of the image, so that a sharded one needs no exchange."""
    channels = table.shape[1]
    index = image.astype(jnp.int32) * channels + np.arange(channels, dtype=np.int32)
    nothing = image[0, 0, 0].astype(jnp.int32) & 0  # XLA drops it, and the table is batched all the same
    ours = lax.bitcast_convert_type(table.reshape(-1).view(np.int32) + nothing, jnp.float32)
    return ours.at[index].get(mode="promise_in_bounds")
