"""Computes sizes by a budget of patches, or by bounds on the sides, for `Resize(rule=...)`, on the
host.

They are the rules of vision-language models in https://github.com/huggingface/transformers, version
5.24, below src/transformers/models/, whose results are padded to sequences or batches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxprep import codec
from jaxprep.bounds import MAX_PIXELS
from jaxprep.errors import InputError
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


class PatchBudget(SizeRule):
    """Base class of rules that make at most `max_patches` square patches.

    >>> issubclass(MostPatches, PatchBudget)
    True
    """

    counts: ClassVar[tuple[str, ...]] = ("max_patches",)

    patch_size: int
    max_patches: int

    def __post_init__(self) -> None:
        super().__post_init__()
        check_budget(self.max_patches, self.patch_size**2, "$.max_patches")


@dataclass(frozen=True)
class MostPatches(PatchBudget):
    """Scales to as many patches as a budget holds, each side up to a whole number of them.

    That is `get_image_size_for_max_num_patches` of `siglip2/image_processing_siglip2.py`.

    Attributes:
        patch_size: the side of a patch, in pixels.
        max_patches: of the result.

    >>> MostPatches(16, 256).output_size((427, 640))
    (208, 304)
    """

    patch_size: int
    max_patches: int

    def output_size(self, size: Size) -> Size:
        # The scale is searched for by halving an interval, as there: a closed form would give
        # another one by the last step.
        tolerance = 1e-5
        lowest = tolerance / 10
        highest = 100.0
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


@dataclass(frozen=True)
class PooledPatches(PatchBudget):
    """Scales to as many patches as a budget holds, each side down to whole squares of them.

    That is `get_aspect_ratio_preserving_size` of `gemma4/image_processing_gemma4.py`.

    Attributes:
        patch_size: the side of a patch, in pixels.
        pooling: the side of the squares of patches that are one token, in patches.
        max_patches: of the result.

    Raises:
        InputError: in a call, the budget is below one square, or not enough for a long image.

    >>> PooledPatches(16, 3, 2520).output_size((427, 640))
    (624, 960)
    """

    patch_size: int
    pooling: int
    max_patches: int

    def output_size(self, size: Size) -> Size:
        height, width = size
        pixels = self.max_patches * self.patch_size**2
        square = self.pooling * self.patch_size
        scale = math.sqrt(pixels / (height * width))
        rows = math.floor(scale * height / square)
        columns = math.floor(scale * width / square)
        longest = self.max_patches // self.pooling**2
        # Of an extreme ratio; the longer side then follows the ratio in whole squares.
        if rows == 0 and columns > 0:
            rows = 1
            columns = min(math.floor(width / height), longest)
        elif columns == 0 and rows > 0:
            rows = min(math.floor(height / width), longest)
            columns = 1
        squares = rows * columns
        if squares == 0 or squares * square**2 > pixels:
            raise InputError(
                f"Expected room for squares of {square} pixels in {self.max_patches} patches, got "
                f"none for an image of {size}."
            )
        return rows * square, columns * square

    def describe(self) -> str:
        return (
            f"to at most {self.max_patches} patches of {self.patch_size} pixels a side, in whole "
            f"squares of {self.pooling} x {self.pooling}"
        )


@dataclass(frozen=True)
class FeasiblePatches(PatchBudget):
    """Scales to as many patches as a budget holds, each side down to a whole number of them.

    That is `extract_flattened_patches` of `pix2struct/image_processing_pix2struct.py` and of
    `kosmos2_5/image_processing_kosmos2_5.py`, which take the root in two ways: they differ in the
    last bit of one number in a thousand, which counts where rows come out whole.

    Attributes:
        patch_size: the side of a patch, in pixels.
        max_patches: of the result.
        root: "power" (Pix2Struct) or "sqrt" (Kosmos-2.5).

    >>> FeasiblePatches(16, 2048).output_size((427, 640))
    (576, 880)
    """

    patch_size: int
    max_patches: int
    root: Literal["power", "sqrt"] = "power"

    def output_size(self, size: Size) -> Size:
        height, width = size
        patch = self.patch_size
        square = self.max_patches * (patch / height) * (patch / width)
        if self.root == "power":
            scale = square**0.5
        else:
            scale = math.sqrt(square)
        rows = math.floor(scale * height / patch)
        columns = math.floor(scale * width / patch)
        # Of an extreme ratio the shorter side has no whole patch, and the other more than all.
        rows = max(min(rows, self.max_patches), 1)
        columns = max(min(columns, self.max_patches), 1)
        return rows * patch, columns * patch

    def describe(self) -> str:
        return f"to at most {self.max_patches} whole patches of {self.patch_size} pixels a side"


@dataclass(frozen=True)
class BoundedSides(SizeRule):
    """Shrinks the longer side to `longest`, then enlarges each side to at least `shortest`.

    That is `get_resize_output_image_size` of `idefics2/image_processing_idefics2.py`.

    >>> BoundedSides(378, 980).output_size((500, 2000))
    (378, 980)
    """

    shortest: int
    longest: int

    def output_size(self, size: Size) -> Size:
        height, width = size
        ratio = width / height
        if width >= height and width > self.longest:
            height = int(self.longest / ratio)
            width = self.longest
        elif height > width and height > self.longest:
            width = int(self.longest * ratio)
            height = self.longest
        return max(height, self.shortest), max(width, self.shortest)

    def describe(self) -> str:
        return f"the longer side to at most {self.longest} pixels, both to at least {self.shortest}"


@dataclass(frozen=True)
class ShrunkIntoBox(SizeRule):
    """Shrinks into a box where it is larger; sides are truncated.

    That is `resize` of `fuyu/image_processing_fuyu.py`.

    >>> ShrunkIntoBox(1080, 1920).output_size((2000, 3000))
    (1080, 1620)
    """

    height: int
    width: int

    def output_size(self, size: Size) -> Size:
        height, width = size
        if height <= self.height and width <= self.width:
            return size
        scale = min(self.height / height, self.width / width)
        return int(height * scale), int(width * scale)

    def describe(self) -> str:
        return f"down to {by((self.height, self.width))} pixels, keeping the aspect ratio"


@dataclass(frozen=True)
class TokenArea(SizeRule):
    """Makes sides multiples of `factor`, at least one each, and bounds the area.

    That is `smart_resize` of `lfm2_vl/image_processing_lfm2_vl.py`. Unlike `SmartSize` of
    `jaxprep.ops.patch_sizes`, it takes an image of any ratio, and a side that rounds to 0 is one
    `factor` before the area is looked at.

    Attributes:
        factor: in pixels.
        min_pixels, max_pixels: of the result.

    >>> TokenArea(32, 65536, 262144).output_size((427, 640))
    (416, 608)
    """

    counts: ClassVar[tuple[str, ...]] = ("min_pixels", "max_pixels")

    factor: int
    min_pixels: int
    max_pixels: int

    def output_size(self, size: Size) -> Size:
        height, width = size
        factor = self.factor
        rows = max(1, round(height / factor))
        columns = max(1, round(width / factor))
        pixels = (rows * factor) * (columns * factor)
        if pixels > self.max_pixels:
            scale = math.sqrt(height * width / self.max_pixels)
            rows = max(1, math.floor(height / scale / factor))
            columns = max(1, math.floor(width / scale / factor))
        elif pixels < self.min_pixels:
            scale = math.sqrt(self.min_pixels / (height * width))
            rows = math.ceil(height * scale / factor)
            columns = math.ceil(width * scale / factor)
        return rows * factor, columns * factor

    def describe(self) -> str:
        return (
            f"to multiples of {self.factor} pixels and {self.min_pixels} to {self.max_pixels} "
            "pixels in all"
        )


@dataclass(frozen=True)
class MergedGrid(SizeRule):
    """Makes a grid of patches near that of the image, of bounded size, in whole merged squares.

    That is `get_patch_grid_size` of `nemotron_h_omni/image_processing_nemotron_h_omni.py`.

    Attributes:
        patch_size: the side of a patch, in pixels.
        merge_size: the side of the squares that are merged, in patches.
        min_patches, max_patches: of the result.

    >>> MergedGrid(16, 2, 1024, 13312).output_size((427, 640))
    (448, 640)
    """

    counts: ClassVar[tuple[str, ...]] = ("min_patches", "max_patches")

    patch_size: int
    merge_size: int
    min_patches: int
    max_patches: int

    def __post_init__(self) -> None:
        super().__post_init__()
        # An image is enlarged to `min_patches` at most; beyond, it is as large as it came.
        check_budget(self.min_patches, self.patch_size**2, "$.min_patches")

    def output_size(self, size: Size) -> Size:
        # Up, but a half-integer goes to the even one, as there.
        rows, columns = (round(side / self.patch_size + 0.5) for side in size)
        scale = math.sqrt(self.max_patches / (rows * columns))
        scale = min(scale, 1.0)
        rows = math.floor(scale * rows)
        columns = math.floor(scale * columns)
        if rows * columns == 0:
            raise InputError(
                f"Expected room for an image in {self.max_patches} patches, got none for {size}."
            )
        if self.max_patches > self.min_patches and rows * columns < self.min_patches:
            scale = math.sqrt(self.min_patches / (rows * columns))
            rows = math.ceil(scale * rows)
            columns = math.ceil(scale * columns)
        # The columns by the rows that were just changed.
        rows = self._whole(rows, columns)
        columns = self._whole(columns, rows)
        return rows * self.patch_size, columns * self.patch_size

    def _whole(self, count: int, others: int) -> int:
        """A multiple of `merge_size`: up where the budget holds it, otherwise down."""
        rest = count % self.merge_size
        if rest == 0:
            return count
        above = count + self.merge_size - rest
        if above * others <= self.max_patches:
            return above
        return max(self.merge_size, count - rest)

    def describe(self) -> str:
        return (
            f"to {self.min_patches} to {self.max_patches} patches of {self.patch_size} pixels a "
            f"side, in whole squares of {self.merge_size} x {self.merge_size}"
        )
