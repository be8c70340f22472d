"""Moves the channels before or after the pixels, at the two ends of a pipeline.

Every other step has the channels last, as Pillow and NumPy hold images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np
from jaxtyping import Shaped

from jaxprep.pipeline.step import Layout
from jaxprep.settings import with_default_settings
from jaxprep.types import Array, Size


@with_default_settings
def channels_first(image: Shaped[Array, "... h w c"]) -> Shaped[Array, "... c h w"]:
    """Moves the channels before the height.

    Args:
        image: any dtype.

    >>> import numpy as np
    >>> channels_first(np.zeros((4, 5, 3))).shape
    (3, 4, 5)
    """
    return jnp.moveaxis(image, -1, -3)


@with_default_settings
def channels_last(image: Shaped[Array, "... c h w"]) -> Shaped[Array, "... h w c"]:
    """Moves the channels after the width.

    Args:
        image: any dtype.

    >>> import numpy as np
    >>> channels_last(np.zeros((3, 4, 5))).shape
    (4, 5, 3)
    """
    return jnp.moveaxis(image, -3, -1)


@dataclass(frozen=True)
class ChannelsFirst(Layout):
    """Stores results as `(c, h, w)`; only at the end of a pipeline.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> ChannelsFirst()(Batch(image=np.zeros((4, 5, 3), np.uint8))).image.shape
    (3, 4, 5)
    """

    # The last pass writes each channel where it belongs, so that nothing is transposed after it.
    planar: ClassVar[bool] = True
    keeps_corner: ClassVar[bool] = True

    def store(self, image: Any) -> Any:
        return channels_first(image)

    def shape(self, size: Size, channels: int) -> tuple[int, ...]:
        return channels, *size

    def undo(self, image: Any) -> Any:
        # Pictures have the channels last.
        xp = np if isinstance(image, np.ndarray) else jnp
        return xp.moveaxis(image, -3, -1)

    def describe(self) -> str:
        return "put the channels first: (channels, height, width)"


@dataclass(frozen=True)
class ChannelsLast(Layout):
    """Reads images of `(c, h, w)`; only at the beginning of a pipeline.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> ChannelsLast()(Batch(image=np.zeros((3, 4, 5), np.uint8))).image.shape
    (4, 5, 3)
    """

    # Heights and widths are on other axes of the input than elsewhere.
    is_input: ClassVar[bool] = True
    keeps_corner: ClassVar[bool] = True

    def store(self, image: Any) -> Any:
        return channels_last(image)

    def shape(self, size: Size, channels: int) -> tuple[int, ...]:
        return *size, channels

    def undo(self, image: Any) -> Any:
        return image

    def describe(self) -> str:
        return "put the channels last: images come as (channels, height, width)"
