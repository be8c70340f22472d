"""Computes sizes by a budget of patches, or by bounds on the sides, for `Resize(rule=...)`, on the
host.

They are the rules of vision-language models in https://github.com/huggingface/transformers, version
5.24, below src/transformers/models/, whose results are padded to sequences or batches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from jaxprep import codec
from jaxprep.bounds import MAX_PIXELS
from jaxprep.ops.resize import SizeRule
from jaxprep.ops.words import by
from jaxprep.types import Size


def check_budget(patches: int, pixels: int, where: str) -> None:
    """Raise `ConfigError` where `patches` of so many `pixels` each are more than a program stores.

    >>> check_budget(256, 16 * 16, "$.max_num_patches")
    """
    most = MAX_PIXELS // pixels
    if patches > most:
        raise codec.expected(f"at most {most} patches of {pixels} pixels", patches, where)


@dataclass(frozen=True)
class MostPatches(SizeRule):
    """Scales to as many patches as a budget holds, each side up to a whole number of them.

    That is `get_image_size_for_max_num_patches` of `siglip2/image_processing_siglip2.py`.

    Attributes:
        patch_size: the side of a patch, in pixels.
        max_patches: of the result.

    >>> MostPatches(16, 256).output_size((427, 640))
    (208, 304)
    """

    counts: ClassVar[tuple[str, ...]] = ("max_patches",)

    patch_size: int
    max_patches: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_budget(self.max_patches, self.patch_size**2, "$.max_patches")

    def output_size(self, size: Size) -> Size:
        # The scale is searched for by halving an interval, as there: a closed form would give
        # another one by the last step.
        tolerance = 1e-5
        lowest, highest = tolerance / 10, 100.0
        while highest - lowest >= tolerance:
            scale = (lowest + highest) / 2
            rows, columns = self._grid(size, scale)
            if rows * columns <= self.max_patches:
                lowest = scale
            else:
                highest = scale
        rows, columns = self._grid(size, lowest)
        return rows * self.patch_size, columns * self.patch_size

    def _grid(self, size: Size, scale: float) -> Size:
        height, width = size
        rows = max(1, math.ceil(height * scale / self.patch_size))
        columns = max(1, math.ceil(width * scale / self.patch_size))
        return rows, columns

    def describe(self) -> str:
        return f"to at most {self.max_patches} patches of {self.patch_size} pixels a side"


@dataclass(frozen=True)
class PatchesInBox(SizeRule):
    """Shrinks into a box where it is larger, then makes both sides whole numbers of patches, up.

    That is `get_resize_output_image_size` of `pixtral/image_processing_pixtral.py`.

    Attributes:
        height, width: of the box.
        patch_height, patch_width: of a patch.

    >>> PatchesInBox(1024, 1024, 16, 16).output_size((1500, 2000))
    (768, 1024)
    """

    height: int
    width: int
    patch_height: int
    patch_width: int

    def output_size(self, size: Size) -> Size:
        height, width = size
        ratio = max(height / self.height, width / self.width)
        if ratio > 1:
            # Down, where Mistral's own code rounds.
            height = math.floor(height / ratio)
            width = math.floor(width / ratio)
        rows = -(-height // self.patch_height)
        columns = -(-width // self.patch_width)
        return rows * self.patch_height, columns * self.patch_width

    def describe(self) -> str:
        patch = by((self.patch_height, self.patch_width))
        return (
            f"inside {by((self.height, self.width))} pixels, and both sides up to whole patches of "
            f"{patch}"
        )
