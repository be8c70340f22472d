"""Undoes the scaling and the layout of a model's input, for display: `jaxprep.denormalize`."""

from __future__ import annotations

import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Num

from jaxprep import codec, ops, presets
from jaxprep.bounds import bounded_jit
from jaxprep.errors import ConfigError, InputError, JaxprepError
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.numbers import as_numbers
from jaxprep.pipeline.undo import undo_values
from jaxprep.settings import with_default_settings
from jaxprep.types import Array, Size


@with_default_settings
def denormalize(
    x: Num[Array, ...],
    preset: Any,
    *,
    dtype: Literal["uint8", "float32"] = "uint8",
    size: Size | None = None,
    **overrides: Any,
) -> Num[jax.Array, "... h w 3"]:
    """Return a model's input as RGB images for display: scaling and layout undone.

    For a pipeline that rescales uint8 images, the result is the uint8 image that was rescaled, in
    every pixel; what was padded after the normalisation is rounded to a level. It is a function of
    JAX: jit and vmap it as you like.

    Args:
        x: what the preset makes of images: of one or of a batch. Rows of patches, `(n, vector)` or
            `(batch, n, vector)`, need `size`.
        preset: a name or a path; a preprocessor, converter or processor; a config; a `Pipeline`
            that takes levels in [0, 255].
        dtype: "uint8" for rounded levels in [0, 255], "float32" for values in [0, 1]; both clipped.
        size: height and width of the photograph, where `x` has patches in rows without their grid;
            further rows are padding.
        overrides: as in `jaxprep.presets.load`.

    Returns:
        RGB, channels last, gray repeated. Tiles and patches are put together; tiles that have left
        their grid, `(n, c, h, w)`, stay images of their own.

    Raises:
        ConfigError: a step that cannot be undone, such as a factor of 0.
        InputError: an array that the preset does not make.

    >>> import jaxprep
    >>> pre = jaxprep.ImageClassifierPreprocessor.from_preset(
    ...     "timm/resnet50.a1_in1k", image_size=32
    ... )
    >>> denormalize(pre(jaxprep.data.photo("chelsea")), pre).dtype
    dtype('uint8')
    """
    if dtype not in ("uint8", "float32"):
        raise codec.expected("'uint8' or 'float32'", dtype, "dtype")
    pipeline = presets.config_of(preset, **overrides).pipeline
    x = jnp.asarray(as_numbers(x, "the array that the preset makes of images", "x"))
    if size is not None:
        x = _in_grid(x, pipeline, size)
    layout = pipeline.layout
    expected = 3 if layout is None else len(layout.shape((64, 64), 3))
    least = 4 if isinstance(layout, ops.Tiles) else expected
    if x.ndim < least:
        raise InputError(
            f"Expected {expected} axes of one result, or more for a batch, got shape {x.shape} - "
            "at `x`. Patches in rows need `size`, that of the photograph."
        )
    return _denormalized((pipeline, dtype), x)


@bounded_jit()
def _denormalized(preset: tuple[Pipeline, str], x: jax.Array) -> jax.Array:
    pipeline, dtype = preset
    try:
        image, stopped_at = undo_values(x.astype(jnp.float32), pipeline)
    except JaxprepError:
        raise
    except (TypeError, ValueError) as error:  # such as channels first where they should be last
        raise InputError(
            f"Expected what the preset makes of images, got shape {x.shape} - at `x`."
        ) from error
    if stopped_at is not None:
        raise ConfigError(f"Expected steps that can be undone, got {stopped_at}.")
    channels = image.shape[-1]
    if channels not in (1, 3):
        raise InputError(f"Expected a result of 1 or 3 channels, got {channels} - at `x`.")
    image = jnp.broadcast_to(image, (*image.shape[:-1], 3))
    if dtype == "float32":
        return jnp.clip(image / 255, 0, 1)
    return jnp.clip(jnp.round(image), 0, 255).astype(jnp.uint8)


def _in_grid(x: jax.Array, pipeline: Pipeline, size: Size) -> jax.Array:
    """Return patches or tiles of a photograph of `size` in their grid."""
    shape = pipeline.result_shape(size)
    if x.shape[-len(shape) :] == shape:
        return x
    total = math.prod(shape)
    if x.size == total:
        return x.reshape(shape)
    rows, left = divmod(total, x.shape[-1])
    if left or x.ndim < 2 or x.shape[-2] < rows:
        raise InputError(
            f"Expected the result of an image of {size}, {shape} or rows of it, got shape "
            f"{x.shape} - at `x`."
        )
    return x[..., :rows, :].reshape(*x.shape[:-2], *shape)
