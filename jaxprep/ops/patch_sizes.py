"""Computes sizes that are whole numbers of patches, for `Resize(rule=...)` and `Fit(rule=...)`, on
the host.

They are the rules of vision-language models in https://github.com/huggingface/transformers, version
5.24, below src/transformers/models/.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.ops.fit import FitRule, Fitted
from jaxprep.ops.resize import SizeRule
from jaxprep.types import Size

MAX_RATIO = 200
"""Of the longer side to the shorter one, above which `smart_resize` refuses an image."""
MAX_SCALE = 1024
"""A bound on how much an image is enlarged by a factor of a config."""


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

    That is `smart_resize` of `qwen2_vl/image_processing_qwen2_vl.py`, of
    `paddleocr_vl/image_processing_paddleocr_vl.py` and of `glm4v/image_processing_glm4v.py`.

    Attributes:
        factor: the side of the square whose patches are merged, in pixels.
        min_pixels, max_pixels: of the result; of all `frames` of it together.
        enlarge: what is done first to an image with a side below `factor`: nothing; "together",
            both sides are scaled until none is (GLM-4V); "in_turn", first by the height, then by
            the width (PaddleOCR-VL).
        frames: of a video; 1 where each frame is bounded by itself.
        frame_step: the number of frames is taken to the nearest multiple of it.

    >>> SmartSize(28, 3136, 1003520).output_size((427, 640))
    (420, 644)
    """

    counts: ClassVar[tuple[str, ...]] = ("min_pixels", "max_pixels", "frames")

    factor: int
    min_pixels: int
    max_pixels: int
    enlarge: Literal["no", "together", "in_turn"] = "no"
    frames: int = 1
    frame_step: int = 1

    def output_size(self, size: Size) -> Size:
        height, width = self._enlarged(size)
        check_ratio((height, width))
        factor = self.factor
        frames = rounded_frames(self.frames, self.frame_step)
        # Python's `round`, half to even.
        rows = round(height / factor) * factor
        columns = round(width / factor) * factor
        # The scale is that of all frames, though the number of them was rounded before, as there.
        if frames * rows * columns > self.max_pixels:
            scale = math.sqrt(self.frames * height * width / self.max_pixels)
            rows = max(factor, math.floor(height / scale / factor) * factor)
            columns = max(factor, math.floor(width / scale / factor) * factor)
        elif frames * rows * columns < self.min_pixels:
            scale = math.sqrt(self.min_pixels / (self.frames * height * width))
            rows = math.ceil(height * scale / factor) * factor
            columns = math.ceil(width * scale / factor) * factor
        return rows, columns

    def _enlarged(self, size: Size) -> Size:
        height, width = size
        factor = self.factor
        if self.enlarge == "together" and min(size) < factor:
            scale = max(factor / height, factor / width)
            # Truncated: a side of `factor` may come out one pixel below it, as there.
            height, width = int(height * scale), int(width * scale)
        if self.enlarge == "in_turn":
            if height < factor:
                height, width = factor, round(width * factor / height)
            if width < factor:
                height, width = round(height * factor / width), factor
        return height, width

    def describe(self) -> str:
        return (
            f"to multiples of {self.factor} pixels and {self.min_pixels} to {self.max_pixels} "
            "pixels in all"
        )


def rounded_frames(frames: int, step: int) -> int:
    """Return the multiple of `step` that is nearest to a number of frames.

    Raises:
        InputError: there are fewer than `step`.

    >>> rounded_frames(5, 2)
    4
    """
    if frames < step:
        raise InputError(f"Expected a video of at least {step} frames, got {frames}.")
    return round(frames / step) * step


@dataclass(frozen=True)
class HalvedSize(SizeRule):
    """Makes half of an image between `shortest` and `longest`, sides multiples of `factor`.

    That is `smart_resize` of `glm_image/image_processing_glm_image.py`: the image is scaled until
    its shorter side is at least `shortest` and its longer one at most `longest`, and then halved.

    Attributes:
        factor: the side of the square whose patches are merged, in pixels.
        shortest, longest: sides in pixels.

    >>> HalvedSize(28, 56, 1002).output_size((480, 640))
    (252, 308)
    """

    factor: int
    shortest: int
    longest: int

    def output_size(self, size: Size) -> Size:
        factor = self.factor
        if min(size) < factor:
            raise InputError(f"Expected sides of at least {factor} pixels, got an image of {size}.")
        check_ratio(size, 4)
        scale = max(1.0, self.shortest / min(size))
        if max(size) * scale > self.longest:
            scale = self.longest / max(size)
        rows, columns = (max(factor, round(n // 2 * scale / factor) * factor) for n in size)
        longer = max(rows, columns)
        if longer > self.longest:
            excess = longer / self.longest
            rows = max(factor, math.floor(rows / excess / factor) * factor)
            columns = max(factor, math.floor(columns / excess / factor) * factor)
        return rows, columns

    def describe(self) -> str:
        return (
            f"to half of an image of {self.shortest} to {self.longest} pixels a side, sides to "
            f"multiples of {self.factor}"
        )


@dataclass(frozen=True)
class ClosestGrid(SizeRule):
    """Makes a grid of squares in about the aspect ratio of the image, of at most `max_squares`.

    That is `smart_resize` of `muse_glimmer/image_processing_muse_glimmer.py`: of the grids whose
    sides are rounded down or up, the one whose ratio is the nearest.

    Attributes:
        factor: the side of a square, in pixels.
        max_squares: the number of squares.

    >>> ClosestGrid(28, 4096).output_size((427, 640))
    (420, 616)
    """

    counts: ClassVar[tuple[str, ...]] = ("max_squares",)

    factor: int
    max_squares: int

    def output_size(self, size: Size) -> Size:
        height, width = size
        rows, columns = height / self.factor, width / self.factor
        ratio = columns / rows
        if rows * columns > self.max_squares:
            rows = (self.max_squares / ratio) ** 0.5
            columns = rows * ratio
        heights, widths = ((math.floor(n), math.ceil(n)) for n in (rows, columns))
        # A set, as there: of grids that are equally near, the first that Python's set gives is
        # taken, and the order of its tuples of integers is the same in every process.
        grids = [grid for grid in set(itertools.product(heights, widths)) if self._allows(grid)]
        if not grids:
            grids = [(max(1, round(rows)), max(1, round(columns)))]
        nearest = min(grids, key=lambda grid: abs(grid[0] / grid[1] - height / width))
        return nearest[0] * self.factor, nearest[1] * self.factor

    def _allows(self, grid: tuple[int, int]) -> bool:
        return min(grid) >= 1 and grid[0] * grid[1] <= self.max_squares

    def describe(self) -> str:
        return f"to a grid of at most {self.max_squares} squares of {self.factor} pixels"


@dataclass(frozen=True)
class PatchLimit(SizeRule):
    """Shrinks an image, in its aspect ratio, to at most `max_patches`, and `max_side` of them a
    side.

    That is `navit_resize` of `kimi_k25/image_processing_kimi_k25.py` before its padding.

    Attributes:
        patch_size: the side of a patch, in pixels.
        max_patches: the number of whole patches of the image, about.
        max_side: the number of patches in a row or column.

    >>> PatchLimit(14, 500, 512).output_size((480, 640))
    (274, 365)
    """

    counts: ClassVar[tuple[str, ...]] = ("max_patches", "max_side")

    patch_size: int
    max_patches: int
    max_side: int

    def output_size(self, size: Size) -> Size:
        longest = self.max_side * self.patch_size
        rows, columns = (max(1.0, n // self.patch_size) for n in size)
        scale = min(1.0, math.sqrt(self.max_patches / (rows * columns)))
        scale = min(scale, longest / size[0], longest / size[1])
        height, width = (min(max(1, int(n * scale)), longest) for n in size)
        return height, width

    def describe(self) -> str:
        return (
            f"to at most {self.max_patches} patches of {self.patch_size} pixels, and "
            f"{self.max_side} a side"
        )


@dataclass(frozen=True)
class PixelLimits(SizeRule):
    """Scales an image, in its aspect ratio, to `min_pixels` to `max_pixels`, and `max_side` at
    most.

    That is `get_resize_output_size` of `neomme/image_processing_neomme.py`. An upper bound wins
    over a lower one.

    Attributes:
        max_side: the longer side in pixels; None does not bound it.
        min_pixels, max_pixels: of the result; None does not bound them.

    >>> PixelLimits(max_side=500).output_size((480, 640))
    (375, 500)
    """

    counts: ClassVar[tuple[str, ...]] = ("min_pixels", "max_pixels")

    max_side: int | None = None
    min_pixels: int | None = None
    max_pixels: int | None = None

    def output_size(self, size: Size) -> Size:
        height, width = size
        is_small = self.min_pixels is not None and height * width < self.min_pixels
        scale = self._scale(size, is_small)
        if scale == 1.0:
            return size
        rounded = self._scaled(size, scale, round)
        if self._exceeds(rounded):
            return self._within_pixels(self._scaled(size, scale, math.floor))
        if not is_small or rounded[0] * rounded[1] >= (self.min_pixels or 0):
            return rounded
        raised = self._scaled(size, scale, math.ceil)
        return rounded if self._exceeds(raised) else raised

    def _scale(self, size: Size, is_small: bool) -> float:
        height, width = size
        scale = 1.0
        if is_small and self.min_pixels is not None:
            scale = (self.min_pixels / (height * width)) ** 0.5
        if self.max_side is not None:
            scale = min(scale, self.max_side / max(size))
        if self.max_pixels is not None:
            scale = min(scale, (self.max_pixels / (height * width)) ** 0.5)
        return scale

    @staticmethod
    def _scaled(size: Size, scale: float, as_integer: Callable[[float], int]) -> Size:
        return max(1, as_integer(size[0] * scale)), max(1, as_integer(size[1] * scale))

    def _exceeds(self, size: Size) -> bool:
        if self.max_side is not None and max(size) > self.max_side:
            return True
        return self.max_pixels is not None and size[0] * size[1] > self.max_pixels

    def _within_pixels(self, size: Size) -> Size:
        height, width = size
        if self.max_pixels is None or height * width <= self.max_pixels:
            return size
        if height >= width:
            return max(1, self.max_pixels // width), width
        return height, max(1, self.max_pixels // height)

    def describe(self) -> str:
        bounds = {"at least": self.min_pixels, "at most": self.max_pixels}
        words = [f"{word} {count} pixels in all" for word, count in bounds.items() if count]
        if self.max_side is not None:
            words.append(f"at most {self.max_side} pixels a side")
        return f"to {', '.join(words)}"


@dataclass(frozen=True)
class ScaledSize(SizeRule):
    """Scales both sides by `scale`, rounded half up; an image is enlarged to at most `longest`.

    That is `rescale_image_frac` of `inkling/image_processing_inkling.py`.

    Attributes:
        scale: a factor for both sides.
        longest: the longer side in pixels where it grows; None does not bound it.

    >>> ScaledSize(2.0, 800).output_size((480, 640))
    (600, 800)
    """

    scale: float
    longest: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.scale <= MAX_SCALE:
            raise codec.expected(f"a factor above 0, at most {MAX_SCALE}", self.scale, "$.scale")

    def output_size(self, size: Size) -> Size:
        longer = max(size)
        target = longer * self.scale
        if self.longest is not None:
            target = min(target, max(self.longest, longer))
        # Divided by the longer side again, as there: the ratio may differ from `scale` in its last
        # bit.
        ratio = target / longer
        if ratio == 1.0:
            return size
        height, width = (math.floor(n * ratio + 0.5) for n in size)
        return height, width

    def describe(self) -> str:
        limit = "" if self.longest is None else f", the longer to at most {self.longest} pixels"
        return f"both sides by {self.scale:g}{limit}"


@dataclass(frozen=True)
class TokenBudget(FitRule):
    """Fits an image, in its aspect ratio, on a canvas of `min_tokens` to `max_tokens` squares.

    That is `smart_resize` and `resize` of `glm5_next/image_processing_glm5_next.py`. The image lies
    in the top-left corner, and is enlarged only where it has fewer pixels than `min_tokens`.

    Attributes:
        factor: the side of a square, in pixels.
        min_tokens, max_tokens: the numbers of squares, each of them of `frame_step` frames.
        frames: of a video.
        frame_step: the frames of a square; the number of frames is taken to the nearest multiple.

    >>> TokenBudget(28, 16, 200, frames=2, frame_step=2).fit((480, 640))
    Fitted(content=(336, 448), canvas=(336, 448), top=0, left=0)
    """

    counts: ClassVar[tuple[str, ...]] = ("min_tokens", "max_tokens", "frames")

    factor: int
    min_tokens: int
    max_tokens: int
    frames: int = 1
    frame_step: int = 1

    def fit(self, size: Size) -> Fitted:
        canvas = self._canvas(size)
        scale = min(canvas[0] / size[0], canvas[1] / size[1])
        if self.frames * size[0] * size[1] >= self._pixels(self.min_tokens):
            scale = min(1.0, scale)
        height, width = (
            max(1, min(side, math.floor(n * scale))) for n, side in zip(size, canvas, strict=True)
        )
        return Fitted((height, width), canvas)

    def _pixels(self, tokens: int) -> int:
        return tokens * self.frame_step * self.factor**2

    def _raised(self, n: int) -> int:
        """A side up to a multiple of `factor`."""
        return math.ceil(n / self.factor) * self.factor

    def _canvas(self, size: Size) -> Size:
        frames = max(self.frame_step, round(self.frames / self.frame_step) * self.frame_step)
        least, most = self._pixels(self.min_tokens), self._pixels(self.max_tokens)
        canvas = self._raised(size[0]), self._raised(size[1])
        if frames * canvas[0] * canvas[1] < least:
            scale = math.sqrt(least / (self.frames * size[0] * size[1]))
            height, width = (max(1, math.ceil(n * scale)) for n in size)
            canvas = self._raised(height), self._raised(width)
        if frames * canvas[0] * canvas[1] > most:
            return self._largest(size, frames, most)
        return canvas

    def _largest(self, size: Size, frames: int, most: int) -> Size:
        """The largest canvas of at most so many pixels, by bisection of the height."""
        if most < frames * self.factor**2:
            longest = most // self.factor**2
            raise InputError(
                f"Expected a video of at most {longest} frames, for {self.max_tokens} tokens in "
                f"all, got {frames}."
            )
        best = self.factor, self.factor
        low, high = 1, size[0]
        while low <= high:
            height = (low + high) // 2
            width = max(1, math.floor(size[1] * height / size[0]))
            canvas = self._raised(height), self._raised(width)
            if frames * canvas[0] * canvas[1] <= most:
                best = canvas
                low = height + 1
            else:
                high = height - 1
        return best

    def describe(self) -> str:
        return (
            f"on a canvas of {self.min_tokens} to {self.max_tokens} squares of {self.factor} pixels"
        )


@dataclass(frozen=True)
class LargestGrid(SizeRule):
    """Shrinks an image to the largest grid of whole squares that a video has pixels for.

    That is `smart_resize` of `hy_v4_vl/video_processing_hy_v4_vl.py`: each row of squares costs one
    more, since a token for a new line follows it. Nothing is enlarged.

    Attributes:
        factor: the side of a square, in pixels.
        max_pixels: of all `frames` together, new lines included.
        max_frame_pixels: of a frame.
        frames: of the video.

    >>> LargestGrid(32, 33554432, 1048576, frames=8).output_size((480, 640))
    (480, 640)
    """

    counts: ClassVar[tuple[str, ...]] = ("max_pixels", "max_frame_pixels", "frames")

    factor: int
    max_pixels: int
    max_frame_pixels: int
    frames: int = 1

    def output_size(self, size: Size) -> Size:
        check_ratio(size)
        height, width = size
        squares = self.max_pixels // self.factor**2
        frame_squares = self.max_frame_pixels // self.factor**2
        most_rows, most_columns = (max(1, n // self.factor) for n in size)
        for rows in range(most_rows, 0, -1):
            # What has so many whole rows, in the aspect ratio of the image, has from `least` to
            # `most` whole columns.
            least = 1 if rows == 1 else max(1, width * rows // height)
            most = max(1, -(-width * (rows + 1) // height) - 1)
            in_budget = squares // (self.frames * rows) - 1
            columns = min(most_columns, most, in_budget, frame_squares // rows)
            if columns >= least:
                return rows * self.factor, columns * self.factor
        return self.factor, self.factor

    def describe(self) -> str:
        return (
            f"down to squares of {self.factor} pixels, at most {self.max_frame_pixels} pixels in "
            "all"
        )


@dataclass(frozen=True)
class NearPatches(SizeRule):
    """Makes about so many patches in the aspect ratio of an image, or in a square.

    That is `_compute_target_patches` of `nemotron_h_omni/video_processing_nemotron_h_omni.py`.

    Attributes:
        patch_size: the side of a patch, in pixels.
        patches: the number of them.
        divisor: of the numbers of rows and of columns: both are taken up where no more than
            `patches` come out, else down.
        keeps_ratio: otherwise the result is a square.

    >>> NearPatches(16, 1024, 2).output_size((480, 640))
    (448, 576)
    """

    counts: ClassVar[tuple[str, ...]] = ("patches",)

    patch_size: int
    patches: int
    divisor: int
    keeps_ratio: bool = True

    def output_size(self, size: Size) -> Size:
        rows, columns = self._grid(size)
        return rows * self.patch_size, columns * self.patch_size

    def _grid(self, size: Size) -> tuple[int, int]:
        divisor = self.divisor
        if not self.keeps_ratio:
            side = max(divisor, int(math.sqrt(self.patches)) // divisor * divisor)
            return side, side
        ratio = size[1] / size[0]
        rows = max(round(math.sqrt(self.patches / ratio)), 1)
        columns = max(round(math.sqrt(self.patches * ratio)), 1)
        raised = -(-rows // divisor) * divisor, -(-columns // divisor) * divisor
        if divisor == 1 or raised[0] * raised[1] <= self.patches:
            return raised
        return max(divisor, rows // divisor * divisor), max(divisor, columns // divisor * divisor)

    def describe(self) -> str:
        shape = "" if self.keeps_ratio else ", in a square"
        return f"to about {self.patches} patches of {self.patch_size} pixels{shape}"
