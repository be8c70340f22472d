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
    ratio = max(size) / min(size)
    if ratio > highest:
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
        rows = round(height / factor)
        columns = round(width / factor)
        pixels = frames * (rows * factor) * (columns * factor)
        # The scale is that of all frames, though the number of them was rounded before, as there.
        source_pixels = self.frames * height * width
        if pixels > self.max_pixels:
            scale = math.sqrt(source_pixels / self.max_pixels)
            rows = max(1, math.floor(height / scale / factor))
            columns = max(1, math.floor(width / scale / factor))
        elif pixels < self.min_pixels:
            scale = math.sqrt(self.min_pixels / source_pixels)
            rows = math.ceil(height * scale / factor)
            columns = math.ceil(width * scale / factor)
        return rows * factor, columns * factor

    def _enlarged(self, size: Size) -> Size:
        height, width = size
        factor = self.factor
        if self.enlarge == "together" and min(size) < factor:
            scale = max(factor / height, factor / width)
            # Truncated: a side of `factor` may come out one pixel below it, as there.
            height = int(height * scale)
            width = int(width * scale)
        if self.enlarge == "in_turn":
            if height < factor:
                width = round(width * factor / height)
                height = factor
            if width < factor:
                height = round(height * factor / width)
                width = factor
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
        # Halved before it is scaled, without the half pixel of an odd side, as there.
        rows, columns = (round(side // 2 * scale / factor) for side in size)
        height = max(rows, 1) * factor
        width = max(columns, 1) * factor
        longer = max(height, width)
        if longer > self.longest:
            excess = longer / self.longest
            rows = math.floor(height / excess / factor)
            columns = math.floor(width / excess / factor)
            height = max(rows, 1) * factor
            width = max(columns, 1) * factor
        return height, width

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
        ideal_rows = height / self.factor
        ideal_columns = width / self.factor
        ratio = ideal_columns / ideal_rows
        if ideal_rows * ideal_columns > self.max_squares:
            ideal_rows = (self.max_squares / ratio) ** 0.5
            ideal_columns = ideal_rows * ratio
        row_counts = math.floor(ideal_rows), math.ceil(ideal_rows)
        column_counts = math.floor(ideal_columns), math.ceil(ideal_columns)
        # A set, as there: of grids that are equally near, the first that Python's set gives is
        # taken, and the order of its tuples of integers is the same in every process.
        grids = set(itertools.product(row_counts, column_counts))
        candidates = [grid for grid in grids if self._allows(grid)]
        if not candidates:
            rows = max(1, round(ideal_rows))
            columns = max(1, round(ideal_columns))
            candidates = [(rows, columns)]

        def distance(grid: tuple[int, int]) -> float:
            rows, columns = grid
            return abs(rows / columns - height / width)

        rows, columns = min(candidates, key=distance)
        return rows * self.factor, columns * self.factor

    def _allows(self, grid: tuple[int, int]) -> bool:
        return min(grid) >= 1 and math.prod(grid) <= self.max_squares

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
        height, width = size
        longest = self.max_side * self.patch_size
        # Whole patches only: the result may have a few more than `max_patches`, as there.
        rows = max(1.0, height // self.patch_size)
        columns = max(1.0, width // self.patch_size)
        scale = math.sqrt(self.max_patches / (rows * columns))
        scale = min(1.0, scale, longest / height, longest / width)
        scaled_height = max(1, int(height * scale))
        scaled_width = max(1, int(width * scale))
        return min(scaled_height, longest), min(scaled_width, longest)

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
            lowered = self._scaled(size, scale, math.floor)
            return self._within_pixels(lowered)
        if not is_small or math.prod(rounded) >= (self.min_pixels or 0):
            return rounded
        raised = self._scaled(size, scale, math.ceil)
        if self._exceeds(raised):
            return rounded
        return raised

    def _scale(self, size: Size, is_small: bool) -> float:
        pixels = math.prod(size)
        scale = 1.0
        if is_small and self.min_pixels is not None:
            scale = (self.min_pixels / pixels) ** 0.5
        if self.max_side is not None:
            scale = min(scale, self.max_side / max(size))
        if self.max_pixels is not None:
            largest_scale = (self.max_pixels / pixels) ** 0.5
            scale = min(scale, largest_scale)
        return scale

    @staticmethod
    def _scaled(size: Size, scale: float, as_integer: Callable[[float], int]) -> Size:
        height = as_integer(size[0] * scale)
        width = as_integer(size[1] * scale)
        return max(1, height), max(1, width)

    def _exceeds(self, size: Size) -> bool:
        if self.max_side is not None and max(size) > self.max_side:
            return True
        return self.max_pixels is not None and math.prod(size) > self.max_pixels

    def _within_pixels(self, size: Size) -> Size:
        height, width = size
        if self.max_pixels is None or height * width <= self.max_pixels:
            return size
        if height >= width:
            return max(1, self.max_pixels // width), width
        return height, max(1, self.max_pixels // height)

    def describe(self) -> str:
        words = []
        if self.min_pixels:
            words.append(f"at least {self.min_pixels} pixels in all")
        if self.max_pixels:
            words.append(f"at most {self.max_pixels} pixels in all")
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
        height, width = size
        canvas = self._canvas(size)
        canvas_height, canvas_width = canvas
        scale = min(canvas_height / height, canvas_width / width)
        if self.frames * height * width >= self._pixels(self.min_tokens):
            scale = min(1.0, scale)
        scaled_height = min(canvas_height, math.floor(height * scale))
        scaled_width = min(canvas_width, math.floor(width * scale))
        content = max(1, scaled_height), max(1, scaled_width)
        return Fitted(content, canvas)

    def _pixels(self, tokens: int) -> int:
        return tokens * self.frame_step * self.factor**2

    def _raised(self, n: int) -> int:
        """A side up to a multiple of `factor`."""
        return math.ceil(n / self.factor) * self.factor

    def _canvas(self, size: Size) -> Size:
        height, width = size
        squares_in_time = max(1, round(self.frames / self.frame_step))
        frames = squares_in_time * self.frame_step
        least = self._pixels(self.min_tokens)
        most = self._pixels(self.max_tokens)
        canvas = self._raised(height), self._raised(width)
        if frames * math.prod(canvas) < least:
            # By the number of frames as it is: only the canvas has it rounded, as there.
            scale = math.sqrt(least / (self.frames * height * width))
            enlarged_height = math.ceil(height * scale)
            enlarged_width = math.ceil(width * scale)
            canvas = self._raised(enlarged_height), self._raised(enlarged_width)
        if frames * math.prod(canvas) > most:
            return self._largest(size, frames, most)
        return canvas

    def _largest(self, size: Size, frames: int, most: int) -> Size:
        """The largest canvas of at most so many pixels, by bisection of the height."""
        height, width = size
        square_pixels = self.factor**2
        if most < frames * square_pixels:
            longest = most // square_pixels
            raise InputError(
                f"Expected a video of at most {longest} frames, for {self.max_tokens} tokens in "
                f"all, got {frames}."
            )
        best = self.factor, self.factor
        low = 1
        high = height
        while low <= high:
            middle = (low + high) // 2
            scaled_width = max(1, math.floor(width * middle / height))
            canvas = self._raised(middle), self._raised(scaled_width)
            if frames * math.prod(canvas) <= most:
                best = canvas
                low = middle + 1
            else:
                high = middle - 1
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
        square_pixels = self.factor**2
        squares = self.max_pixels // square_pixels
        frame_squares = self.max_frame_pixels // square_pixels
        most_rows = max(1, height // self.factor)
        most_columns = max(1, width // self.factor)
        for rows in range(most_rows, 0, -1):
            # What has so many whole rows, in the aspect ratio of the image, has from `least` to
            # `most` whole columns.
            least = max(1, width * rows // height)
            if rows == 1:
                least = 1
            most = max(1, -(-width * (rows + 1) // height) - 1)
            # - 1: the token for a new line is a column more.
            in_budget = squares // (self.frames * rows) - 1
            in_frame = frame_squares // rows
            columns = min(most_columns, most, in_budget, in_frame)
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
            side = int(math.sqrt(self.patches))
            lowered_side = max(1, side // divisor) * divisor
            return lowered_side, lowered_side
        height, width = size
        ratio = width / height
        rows = max(round(math.sqrt(self.patches / ratio)), 1)
        columns = max(round(math.sqrt(self.patches * ratio)), 1)
        raised_rows = -(-rows // divisor) * divisor
        raised_columns = -(-columns // divisor) * divisor
        # Without a divisor nothing is rounded, though there may be more than `patches`.
        if divisor == 1 or raised_rows * raised_columns <= self.patches:
            return raised_rows, raised_columns
        lowered_rows = max(1, rows // divisor) * divisor
        lowered_columns = max(1, columns // divisor) * divisor
        return lowered_rows, lowered_columns

    def describe(self) -> str:
        shape = "" if self.keeps_ratio else ", in a square"
        return f"to about {self.patches} patches of {self.patch_size} pixels{shape}"
