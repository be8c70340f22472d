"""Chooses the type in which results are stored: `jaxprep run --dtype`."""

from __future__ import annotations

from typing import Literal

import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats import Custom, Format
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.step import Layout, Pointwise

StoredType = Literal["uint8", "bfloat16", "float32"]


def split_at_values(pipeline: Pipeline) -> tuple[Pipeline, Pipeline]:
    """Return the steps up to the last uint8 image, and those that follow: one after the other they
    are the pipeline.

    Raises:
        InputError: pixels move after that, so that the image is not the model's input.

    >>> from jaxprep import ops
    >>> pixels, values = split_at_values(Pipeline((ops.CenterCrop(2), ops.Rescale(1 / 255))))
    >>> pixels.steps, values.steps
    ((CenterCrop(size=(2, 2), rule='torchvision', fill=0.0),), (Rescale(...),))
    """
    steps = pipeline.steps
    count = len(steps)
    size = (64, 64)  # any: no type depends on it
    while count and pipeline.replace(steps=steps[:count]).result_dtype(np.uint8, size) != np.uint8:
        count -= 1
    rest = steps[count:]
    for step in rest:
        if not isinstance(step, Pointwise | Layout):
            raise InputError(
                "Expected a preset whose resize and crop give integers, got one with "
                f"`{step.describe()}` after the values have become fractions - at `--dtype uint8`."
            )
    return pipeline.replace(steps=steps[:count]), pipeline.replace(steps=rest)


def config_for(config: Format, dtype: StoredType | None) -> Format:
    """Return the config whose results are stored as `dtype`.

    Raises:
        InputError: as `split_at_values` does.

    >>> from jaxprep.formats import Timm
    >>> config_for(Timm(), "bfloat16") == Timm()
    True
    """
    if dtype != "uint8":
        return config
    pixels, _ = split_at_values(config.pipeline)
    return Custom(pixels)


def as_stored(result: np.ndarray, dtype: StoredType | None) -> np.ndarray:
    """Return a result in the type in which it is stored.

    Args:
        dtype: None leaves what NumPy's files hold as it is, and makes all else float32.

    >>> as_stored(np.zeros(2, np.float32), "bfloat16").dtype.name
    'bfloat16'
    """
    if dtype is not None:
        return result.astype(jnp.dtype(dtype), copy=False)
    # NumPy's format has no bfloat16, which is of kind "V" to NumPy.
    return result if result.dtype.kind in "fiub" else result.astype(np.float32)
