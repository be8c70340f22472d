"""Where the channels are. Every other step has them last; these two stand at the ends of a
pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from jaxprep.pipeline.step import Layout
from jaxprep.types import Array, Size


def channels_first(image: Shaped[Array, "... h w c"]) -> Shaped[Array, "... c h w"]:
    """Moves the channels before the height.

    >>> import numpy as np
    >>> channels_first(np.zeros((4, 5, 3))).shape
    (3, 4, 5)
    """
    return jnp.moveaxis(image, -1, -3)


def channels_last(image: Shaped[Array, "... c h w"]) -> Shaped[Array, "... h w c"]:
    """Moves the channels after the width.

    >>> import numpy as np
    >>> channels_last(np.zeros((3, 4, 5))).shape
    (4, 5, 3)
    """
    return jnp.moveaxis(image, -3, -1)


@dataclass(frozen=True)
class ChannelsFirst(Layout):
    """`(h, w, c)` to `(c, h, w)`; only at the end of a pipeline."""

    planar: ClassVar[bool] = True
    keeps_corner: ClassVar[bool] = True

    def store(self, image: Any) -> Any:
        return channels_first(image)

    def shape(self, size: Size, channels: int) -> tuple[int, ...]:
        return channels, *size

    def undo(self, image: np.ndarray) -> np.ndarray | None:
        return np.moveaxis(image, 0, -1)

    def describe(self) -> str:
        return "put the channels first: (channels, height, width)"


@dataclass(frozen=True)
class ChannelsLast(Layout):
    """`(c, h, w)` to `(h, w, c)`; only at the beginning of a pipeline."""

    is_input: ClassVar[bool] = True
    keeps_corner: ClassVar[bool] = True

    def store(self, image: Any) -> Any:
        return channels_last(image)

    def shape(self, size: Size, channels: int) -> tuple[int, ...]:
        return *size, channels

    def undo(self, image: np.ndarray) -> np.ndarray | None:
        return image

    def describe(self) -> str:
        return "put the channels last: images come as (channels, height, width)"
