"""Where the channels are. Every other step has them last; these two stand at the ends of a
pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from jaxprep.ops.step import Step
from jaxprep.types import Batch


def channels_first(image: Any) -> Any:
    """`(..., h, w, c)` to `(..., c, h, w)`."""
    return jnp.moveaxis(image, -1, -3)


def channels_last(image: Any) -> Any:
    """`(..., c, h, w)` to `(..., h, w, c)`."""
    return jnp.moveaxis(image, -3, -1)


@dataclass(frozen=True)
class ChannelsFirst(Step):
    """`(h, w, c)` to `(c, h, w)`; only at the end of a pipeline."""

    def __call__(self, batch: Batch) -> Batch:
        return batch.replace(image=channels_first(batch.image))


@dataclass(frozen=True)
class ChannelsLast(Step):
    """`(c, h, w)` to `(h, w, c)`; only at the beginning of a pipeline."""

    def __call__(self, batch: Batch) -> Batch:
        return batch.replace(image=channels_last(batch.image))
