"""Results that are padded below and to the right to one size, and the masks that tell image from padding."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from jaxprep import ops
from jaxprep.formats import HuggingFace
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
        """`pixel_mask`: `(b, height, width)` int64, 1 where an image is and 0 where its padding is."""
        masks = np.zeros((len(self.inner), *self.whole), np.int64)
        for mask, (height, width) in zip(masks, self.inner, strict=True):
            mask[:height, :width] = 1
        return masks


def padding_of(config: HuggingFace, sizes: Sequence[Size]) -> Padding:
    """How images of `sizes` are padded: by the `PadTo` of their pipeline, or to the largest of the call.

    Raises:
        InputError: a result is larger than `pad_size`.
    """
    inner = [unpadded(config.pipeline).output_size(size) for size in sizes]
    whole = [config.pipeline.output_size(size) for size in sizes]
    return Padding(inner, (max(height for height, _ in whole), max(width for _, width in whole)))


@functools.lru_cache(maxsize=256)
def unpadded(pipeline: Pipeline) -> Pipeline:
    """A pipeline without its `PadTo`."""
    return replace(pipeline, steps=tuple(step for step in pipeline.steps if not isinstance(step, ops.PadTo)))
