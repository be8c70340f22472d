"""The pointwise end of a segment: values, colours, fills and layout of one image, in as few
operations as it takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxprep.ops.step import Pointwise, fill_value
from jaxprep.ops.values import Affine
from jaxprep.pipeline.geometry import Fill
from jaxprep.resample.lines import Lines

TOLERANCE = 5e-7
"""Affine steps become one multiply-add where that is so near to the published order, relative to
max(1, |x|).
"""


def apply_chain(
    chain: Sequence[Pointwise | Fill], lines: Lines, edges: tuple[Any, Any] | None, exact: bool
) -> Lines:
    """The pointwise steps and fills of a segment, on the lines of one image."""
    i = 0
    while i < len(chain):
        part = chain[i]
        if isinstance(part, Fill):
            lines = _filled(lines, part, edges)
        elif isinstance(part, Affine):
            run = _affine_run(chain[i:])
            lines = _affine(run, lines, exact)
            i += len(run) - 1
        else:
            part.output_channels(lines.channels)
            lines = Lines.of(part.apply(lines.image()))
        i += 1
    return lines


def _filled(lines: Lines, fill: Fill, edges: tuple[Any, Any] | None) -> Lines:
    if edges is None:
        return lines
    vertical, horizontal = (jnp.asarray(edge) == fill.number for edge in edges)
    outside = vertical[:, None] | lines.per_column(horizontal)[None, :]
    value = lines.per_channel(fill_value(fill.value, lines.values.dtype))
    return lines.map(lambda values: jnp.where(outside, value, values))


def _affine_run(chain: Sequence[Any]) -> list[Affine]:
    run: list[Affine] = []
    for part in chain:
        if not isinstance(part, Affine):
            break
        run.append(part)
    return run


def _affine(run: Sequence[Affine], lines: Lines, exact: bool) -> Lines:
    channels = lines.channels
    for step in run:
        channels = step.output_channels(channels)
    table = _table(run, lines.channels)
    scale, offset = _merged(run)
    near = np.abs(
        np.arange(256)[:, None] * scale.astype(np.float32) + offset.astype(np.float32) - table
    )
    is_near = bool(np.all(near <= TOLERANCE * np.maximum(1, np.abs(table))))
    if lines.values.dtype == jnp.uint8 and (exact or not is_near):
        return _look_up(table, lines.repeated(channels))
    if is_near:
        lines = lines.repeated(channels).map(lambda values: values.astype(jnp.float32))
        a, b = (lines.per_channel(values.astype(np.float32)) for values in (scale, offset))
        lines = lines.map(lambda values: values * a) if np.any(scale != 1) else lines
        return lines.map(lambda values: values + b) if np.any(offset != 0) else lines
    image = lines.image()
    for step in run:
        image = step.apply(image)
    return Lines.of(image)


def _merged(run: Sequence[Affine]) -> tuple[np.ndarray, np.ndarray]:
    """`a` and `b` of `a * x + b` for the steps one after another, in float64."""
    scale, offset = np.float64(1), np.float64(0)
    for step in run:
        a, b = step.coefficients()
        scale, offset = scale * a, offset * a + b
    return np.asarray(scale), np.asarray(offset)


def _table(run: Sequence[Affine], channels: int) -> np.ndarray:
    """What the published order of operations makes of 0 to 255 in each channel, `(256, c)`
    float32.
    """
    values: Any = np.repeat(np.arange(256, dtype=np.uint8)[:, None], channels, axis=1)
    for step in run:
        values = step.apply(values)
    return values


def _look_up(table: np.ndarray, lines: Lines) -> Lines:
    """`table[value, c]`; the table follows the batch of the image, so that a sharded one needs no
    exchange.
    """
    channels = table.shape[1]
    index = lines.values.astype(jnp.int32) * channels + lines.per_channel(
        np.arange(channels, dtype=np.int32)
    )
    nothing = (
        lines.values[0, 0].astype(jnp.int32) & 0
    )  # XLA drops it, and the table is batched all the same
    ours = lax.bitcast_convert_type(table.reshape(-1).view(np.int32) + nothing, jnp.float32)
    return lines.map(lambda _: ours.at[index].get(mode="promise_in_bounds"))
