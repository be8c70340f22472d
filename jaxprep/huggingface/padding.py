"""Results that are padded below and to the right to one size, and the masks that tell image from
padding.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep import ops
from jaxprep.formats import HuggingFace
from jaxprep.formats.values import DataFormatName
from jaxprep.huggingface.families import Results, traced
from jaxprep.huggingface.inputs import layout_of
from jaxprep.pipeline import Pipeline
from jaxprep.types import Size


class Padding(NamedTuple):
    """How the results of a call are padded.

    Attributes:
        inner: height and width of each result before.
        whole: of all of them after.
    """

    inner: list[Size]
    whole: Size

    def masks(self) -> np.ndarray:
        """`pixel_mask`: `(b, height, width)` int64, 1 where an image is and 0 where its padding
        is.
        """
        masks = np.zeros((len(self.inner), *self.whole), np.int64)
        for mask, (height, width) in zip(masks, self.inner, strict=True):
            mask[:height, :width] = 1
        return masks


def padding_of(config: HuggingFace, sizes: Sequence[Size]) -> Padding:
    """How images of `sizes` are padded: by the `PadTo` of their pipeline, or to the largest of the
    call.

    Raises:
        InputError: a result is larger than `pad_size`.
    """
    inner = [unpadded(config.pipeline).output_size(size) for size in sizes]
    whole = [config.pipeline.output_size(size) for size in sizes]
    return Padding(inner, (max(height for height, _ in whole), max(width for _, width in whole)))


@functools.lru_cache(maxsize=256)
def unpadded(pipeline: Pipeline) -> Pipeline:
    """A pipeline without its `PadTo`."""
    return replace(
        pipeline, steps=tuple(step for step in pipeline.steps if not isinstance(step, ops.PadTo))
    )


def padded_traced(config: HuggingFace, images: Any, layout: Any) -> Results:
    """`pixel_values`, padded to one size, and their `pixel_mask`, inside a caller's
    transformation.
    """
    values = traced(config, images, layout)
    padding = padding_of(config, traced_sizes(images, layout))
    if isinstance(values, list):
        values = jnp.stack(
            [padded_to(value, padding.whole, config.data_format) for value in values]
        )
    masks = [
        padded_to(jnp.ones((1, *size), int), padding.whole, "channels_first")[0]
        for size in padding.inner
    ]
    return {"pixel_mask": jnp.stack(masks), "pixel_values": values}


def traced_sizes(images: Any, layout: Any) -> list[Size]:
    """Height and width of each image of a call inside a caller's transformation."""
    found: list[Size] = []
    for image in images if isinstance(images, (list, tuple)) else [images]:
        first = (layout or layout_of(image.shape)) == "channels_first"
        size = image.shape[-2:] if first else image.shape[-3:-1]
        found += [size] * (1 if image.ndim == 3 else len(image))
    return found


def padded_to(image: Any, size: Size, data_format: DataFormatName) -> jax.Array:
    """One image in the top-left corner of `size`, with 0 around."""
    shape = (image.shape[0], *size) if data_format == "channels_first" else (*size, image.shape[-1])
    return jnp.pad(image, [(0, m - n) for n, m in zip(image.shape, shape, strict=True)])
