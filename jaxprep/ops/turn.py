"""Turns images by a quarter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Shaped

from jaxprep.bounds import check_size
from jaxprep.ops.words import by
from jaxprep.pipeline.step import Opaque, as_size
from jaxprep.settings import with_default_settings
from jaxprep.types import Array, Size


@with_default_settings
def align_long_axis(image: Shaped[Array, "h w c"], size: Size) -> Shaped[Array, "new_h new_w c"]:
    """Turns one image clockwise by a quarter where it is upright and `size` (height, width) is not,
    or the other way round.

    A square is neither upright nor wide: where the image or `size` is one, nothing is turned.

    Args:
        image: any dtype.
        size: height and width; only which is longer counts.

    >>> import numpy as np
    >>> align_long_axis(np.arange(2).reshape(1, 2, 1), (3, 2))[..., 0].tolist()
    [[0], [1]]
    """
    height, width = image.shape[-3:-1]
    if not is_turned((height, width), size):
        return image
    # `rot90(image, 3)` of `align_long_axis` in
    # https://github.com/huggingface/transformers/blob/main/src/transformers/models/donut/image_processing_donut.py
    return image.swapaxes(-3, -2)[..., ::-1, :]


def is_turned(size: Size, wanted: Size) -> bool:
    """Returns whether one size is upright and the other wide.

    >>> is_turned((4, 3), (3, 4)), is_turned((4, 4), (3, 4))
    (True, False)
    """
    height, width = size
    wanted_height, wanted_width = wanted
    return (height - width) * (wanted_height - wanted_width) < 0


@dataclass(frozen=True)
class AlignLongAxis(Opaque):
    """Turns an image so that its longer side is that of `size`; see `align_long_axis`.

    Attributes:
        size: height and width; only which is longer counts.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> AlignLongAxis((3, 2))(Batch(image=np.zeros((4, 8, 3), np.uint8))).image.shape
    (8, 4, 3)
    """

    size: Size

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", as_size(self.size))
        super().__post_init__()

    def check(self) -> None:
        check_size(self.size, "$.size")

    def apply(self, image: Any, draw: Any = None) -> Any:
        return align_long_axis(image, self.size)

    def output_size(self, size: Size) -> Size:
        height, width = size
        return (width, height) if is_turned(size, self.size) else size

    def matrix(self, size: Size, draw: Any = None) -> Any:
        if not is_turned(size, self.size):
            return np.eye(3)
        # What was at the bottom is on the left.
        return np.array([[0.0, -1.0, size[0]], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])

    def for_mask(self) -> AlignLongAxis:
        return self

    def undo(self, image: Any) -> Any:
        # A picture is shown as the model sees it.
        return image

    def describe(self) -> str:
        return (
            f"turn it clockwise by a quarter where its longer side is not that of {by(self.size)}"
        )
