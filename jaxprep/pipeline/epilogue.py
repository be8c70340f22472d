"""What follows the last pass of a segment: rounding, the values of padding, pointwise steps.

All of it is computed on one image's `Rows` inside the loop that sums the last pass, so that no
value is written to memory twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxprep.errors import InputError
from jaxprep.pipeline.lower import PaddingSlot, Placed
from jaxprep.pipeline.step import Pointwise, fill_value
from jaxprep.resample.passes import Rows

TOLERANCE = 5e-7
"""Affine steps become one multiply-add where that is so near to the published order of operations,
relative to max(1, |x|)."""


def apply_pointwise(
    parts: Sequence[Placed | PaddingSlot],
    rows: Rows,
    edges: tuple[Any, Any] | None,
    exact: bool,
    draws: Any,
) -> Rows:
    """Applies the pointwise steps and the padding of a segment.

    Args:
        parts: in order.
        edges: for each row and each column, which `PaddingSlot` it belongs to; None if no padding
            is needed.
        exact: compute affines of uint8 by a table, in the published order of operations.
        draws: of all steps of the pipeline.
    """
    i = 0
    while i < len(parts):
        part = parts[i]
        if isinstance(part, PaddingSlot):
            rows = _pad(rows, part, edges)
            i += 1
            continue
        run = _affine_run(parts[i:])
        if run:
            rows = _apply_affines(run, rows, exact)
            i += len(run)
            continue
        rows = Rows.of(_apply_step(part, rows.image(), draws), rows.form)
        i += 1
    return rows


def _apply_step(placed: Placed, image: Any, draws: Any) -> Any:
    """Applies a pointwise step that is no affine, or one with a draw."""
    step = placed.step
    expected = (*image.shape[:2], step.output_channels(image.shape[2]))
    result = step.apply(image, placed.draw(draws))
    if tuple(result.shape) != expected:
        raise InputError(
            f"Expected `{type(step).__name__}.apply` to return shape {expected}, as a pointwise "
            f"step with its `output_channels`, got {tuple(result.shape)}."
        )
    return result


def _pad(rows: Rows, slot: PaddingSlot, edges: tuple[Any, Any] | None) -> Rows:
    if edges is None:
        return rows
    in_rows = rows.per_row(jnp.asarray(edges[0]) == slot.number)
    in_columns = rows.per_column(jnp.asarray(edges[1]) == slot.number)
    outside = in_rows | in_columns[None]
    value = rows.per_channel(fill_value(slot.value, rows.values.dtype))
    return rows.map(lambda values: jnp.where(outside, value, values))


def _affine_run(parts: Sequence[Placed | PaddingSlot]) -> list[Pointwise]:
    """The affine steps that `parts` begins with; those with a draw are applied one by one."""
    run: list[Pointwise] = []
    for part in parts:
        if isinstance(part, PaddingSlot) or part.index is not None:
            break
        if part.step.affine() is None:
            break
        run.append(part.step)
    return run


def _apply_affines(run: Sequence[Pointwise], rows: Rows, exact: bool) -> Rows:
    channels = rows.channels
    for step in run:
        channels = step.output_channels(channels)
    table = _table_of_values(run, rows.channels)
    scale, offset = _merged(run)
    merged = np.arange(256)[:, None] * scale.astype(np.float32) + offset.astype(np.float32)
    is_near = bool(np.all(np.abs(merged - table) <= TOLERANCE * np.maximum(1, np.abs(table))))
    if rows.values.dtype == jnp.uint8 and (exact or not is_near):
        return _look_up(table, rows.gray_to(channels))
    if not is_near:
        image = rows.image()
        for step in run:
            image = step.apply(image)
        return Rows.of(image, rows.form)
    rows = rows.gray_to(channels).map(lambda values: values.astype(jnp.float32))
    if np.any(scale != 1):
        factor = rows.per_channel(scale.astype(np.float32))
        rows = rows.map(lambda values: values * factor)
    if np.any(offset != 0):
        summand = rows.per_channel(offset.astype(np.float32))
        rows = rows.map(lambda values: values + summand)
    return rows


def _merged(run: Sequence[Pointwise]) -> tuple[np.ndarray, np.ndarray]:
    """`a` and `b` of `a * x + b` for the steps one after another, in float64."""
    scale: Any = np.float64(1)
    offset: Any = np.float64(0)
    for step in run:
        coefficients = step.affine()
        assert coefficients is not None
        a, b = coefficients
        scale, offset = scale * a, offset * a + b
    return np.asarray(scale), np.asarray(offset)


def _table_of_values(run: Sequence[Pointwise], channels: int) -> np.ndarray:
    """What the published order of operations makes of 0 to 255 in each channel, `(256, c)`
    float32."""
    values: Any = np.repeat(np.arange(256, dtype=np.uint8)[:, None], channels, axis=1)
    with jax.ensure_compile_time_eval():  # `apply` may call `jax.numpy`, also inside of `jit`
        for step in run:
            values = step.apply(values)
    # NumPy multiplies uint8 by a Python float in float64, where JAX does in float32
    return np.asarray(values, np.float32)


def _look_up(table: np.ndarray, rows: Rows) -> Rows:
    """`table[value, c]` for every value.

    The table is made to follow the batch of the image: an index that is sharded into a table that
    is not would need an exchange between devices.
    """
    channels = table.shape[1]
    channel = rows.per_channel(np.arange(channels, dtype=np.int32))
    index = rows.values.astype(jnp.int32) * channels + channel
    zero = rows.values.reshape(-1)[0].astype(jnp.int32) & 0  # XLA drops it; its batch axis stays
    bits = table.reshape(-1).view(np.int32) + zero
    batched = lax.bitcast_convert_type(bits, jnp.float32)
    return rows.map(lambda _: batched.at[index].get(mode="promise_in_bounds"))


def zero_outside(rows: Rows, size: Any) -> Rows:
    """Sets everything but the top-left `size` to 0, whatever it was (NaN, too)."""
    height = rows.values.shape[0]
    in_rows = rows.per_row(jnp.arange(height) < size[0])
    in_columns = rows.per_column(jnp.arange(rows.width) < size[1])
    inside = in_rows & in_columns[None]
    return rows.map(lambda values: jnp.where(inside, values, jnp.zeros((), values.dtype)))


def zero_image_outside(image: jax.Array, size: Any) -> jax.Array:
    """The same for an image `(h, w, c)`."""
    return zero_outside(Rows(image, image.shape[2]), size).values
