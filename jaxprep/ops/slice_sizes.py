"""Computes the parts that large images are cut into, and their sizes, on the host.

They are the rules of vision-language models in https://github.com/huggingface/transformers, version
5.24, below src/transformers/models/.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from jaxprep.types import Size


class Cut(NamedTuple):
    """A rectangle of an image.

    Attributes:
        top, left: of its first pixel.
        height, width: in pixels.

    >>> Cut(0, 8, 4, 6).slices
    (slice(0, 4, None), slice(8, 14, None))
    """

    top: int
    left: int
    height: int
    width: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Its rows and columns, as NumPy takes them."""
        rows = slice(self.top, self.top + self.height)
        columns = slice(self.left, self.left + self.width)
        return rows, columns


def pan_and_scan(size: Size, min_side: int, max_count: int, min_ratio: float) -> list[Cut]:
    """Return the parts side by side that a long image is cut into, along its longer side.

    That is `pan_and_scan` of `gemma3/image_processing_pil_gemma3.py`.

    Args:
        min_side: no image is cut into parts with a shorter side, in pixels.
        max_count: of the parts.
        min_ratio: of the longer side to the shorter one, below which nothing is cut.

    >>> pan_and_scan((100, 310), 64, 4, 1.2)
    [Cut(top=0, left=0, height=100, width=104), Cut(top=0, left=104, height=100, width=104), \
Cut(top=0, left=208, height=100, width=102)]
    >>> pan_and_scan((100, 110), 64, 4, 1.2)
    []
    """
    height, width = size
    is_wide = width >= height
    long, short = (width, height) if is_wide else (height, width)
    if long / short < min_ratio:
        return []
    # Half up, then as many as are at least `min_side` long, but at least two.
    count = min(math.floor(long / short + 0.5), long // min_side)
    count = min(max_count, max(2, count))
    length = -(-long // count)
    if min(length, short) < min_side:
        return []
    cuts = []
    for start in range(0, length * count, length):
        # The last one ends where the image does.
        rest = max(0, min(length, long - start))
        cuts.append(Cut(0, start, short, rest) if is_wide else Cut(start, 0, rest, short))
    return cuts
