"""Computes sizes that are whole numbers of patches, for `Resize(rule=...)`, on the host.

They are the rules of vision-language models in https://github.com/huggingface/transformers, version
5.24, below src/transformers/models/.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from jaxprep.errors import InputError
from jaxprep.ops.resize import SizeRule
from jaxprep.types import Size

MAX_RATIO = 200
"""Of the longer side to the shorter one, above which `smart_resize` refuses an image."""


def check_ratio(size: Size, highest: float = MAX_RATIO) -> None:
    """Raise `InputError` where the longer side is more than `highest` times the shorter one.

    >>> check_ratio((480, 640))
    """
    if max(size) / min(size) > highest:
        raise InputError(
            f"Expected an image whose longer side is at most {highest:g} times the shorter one, "
            f"got one of {size}."
        )


@dataclass(frozen=True)
class SmartSize(SizeRule):
    """Makes sides multiples of `factor` and the area one of `min_pixels` to `max_pixels`.

    That is `smart_resize` of `qwen2_vl/image_processing_qwen2_vl.py`.

    Attributes:
        factor: the side of the square whose patches are merged, in pixels.
        min_pixels, max_pixels: of the result.

    >>> SmartSize(28, 3136, 1003520).output_size((427, 640))
    (420, 644)
    """

    counts: ClassVar[tuple[str, ...]] = ("min_pixels", "max_pixels")

    factor: int
    min_pixels: int
    max_pixels: int

    def output_size(self, size: Size) -> Size:
        check_ratio(size)
        height, width = size
        factor = self.factor
        # Python's `round`, half to even.
        rows = round(height / factor) * factor
        columns = round(width / factor) * factor
        if rows * columns > self.max_pixels:
            scale = math.sqrt(height * width / self.max_pixels)
            rows = max(factor, math.floor(height / scale / factor) * factor)
            columns = max(factor, math.floor(width / scale / factor) * factor)
        elif rows * columns < self.min_pixels:
            scale = math.sqrt(self.min_pixels / (height * width))
            rows = math.ceil(height * scale / factor) * factor
            columns = math.ceil(width * scale / factor) * factor
        return rows, columns

    def describe(self) -> str:
        return (
            f"to multiples of {self.factor} pixels and {self.min_pixels} to {self.max_pixels} "
            "pixels in all"
        )
