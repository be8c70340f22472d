"""Results that are padded below and to the right to one size, and the masks that tell image from
padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int64, Num

from jaxprep import bounds
from jaxprep.formats import HuggingFace
from jaxprep.types import Size


class Padding(NamedTuple):
    """How the results of a call are padded.

    Attributes:
        sizes: height and width of each result before.
        padded_size: of all of them after.

    >>> Padding([(1, 2), (2, 1)], (2, 2)).pixel_masks().shape
    (2, 2, 2)
    """

    sizes: list[Size]
    padded_size: Size

    def pixel_masks(self) -> Int64[np.ndarray, "b h w"]:
        """Return `pixel_mask`: 1 where an image is and 0 where its padding is.

        >>> Padding([(1, 2), (2, 1)], (2, 2)).pixel_masks().tolist()
        [[[1, 1], [0, 0]], [[1, 0], [1, 0]]]
        """
        masks = np.zeros((len(self.sizes), *self.padded_size), np.int64)
        for mask, (height, width) in zip(masks, self.sizes, strict=True):
            mask[:height, :width] = 1
        return masks


def padding_of(config: HuggingFace, sizes: Sequence[Size]) -> Padding:
    """Return how images of `sizes` are padded: to `pad_size`, or to the largest of the call.

    Raises:
        InputError: a result is larger than `pad_size`.

    >>> config = HuggingFace("DetrImageProcessor", {"size": {"height": 8, "width": 6}})
    >>> padding_of(config, [(20, 30)])
    Padding(sizes=[(8, 6)], padded_size=(8, 6))
    """
    # Sizes are integer arithmetic on the host: no pixel is computed for them.
    unpadded = [config.unpadded_pipeline.output_size(size) for size in sizes]
    padded = [config.pipeline.output_size(size) for size in sizes]
    return Padding(unpadded, largest_of(padded))


def largest_of(sizes: Sequence[Size]) -> Size:
    """Return the largest height and the largest width.

    Raises:
        InputError: a tall and a wide result would be padded to more pixels than `bounds` allows.

    >>> largest_of([(1, 4), (3, 2)])
    (3, 4)
    """
    heights = [height for height, _ in sizes]
    widths = [width for _, width in sizes]
    padded = max(heights), max(widths)
    largest = max(sizes, key=lambda size: size[0] * size[1])
    bounds.check_pixels(padded, largest, "results that are padded to one size,")
    return padded


def pad_masks(
    masks: Num[np.ndarray, "n h w"], size: Size, fill: float | None
) -> Num[np.ndarray, "n height width"]:
    """Return masks in the top-left corner of `size`; the rest is `fill`, or 0 where that is None.

    >>> pad_masks(np.ones((1, 1, 1)), (1, 2), 255).tolist()
    [[[1.0, 255.0]]]
    """
    rows = size[0] - masks.shape[1]
    columns = size[1] - masks.shape[2]
    value = 0 if fill is None else fill
    return np.pad(masks, ((0, 0), (0, rows), (0, columns)), constant_values=value)
