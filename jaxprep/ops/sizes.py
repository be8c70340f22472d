"""Computes sizes by the rules of single models, for `Resize(rule=...)`, on the host.

The rules of the libraries differ by a pixel on half of all shapes; each is kept as it was
published. Most are those of https://github.com/huggingface/transformers, version 5.24.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from jaxprep import codec
from jaxprep.bounds import MAX_SIDE
from jaxprep.errors import InputError
from jaxprep.ops.resize import Rounding, SizeRule, shortest_edge
from jaxprep.ops.words import by
from jaxprep.types import Size


@dataclass(frozen=True)
class AspectRatio(SizeRule):
    """Makes the shorter side `shortest` and the longer at most `longest`, as DETR does.

    Where `longest` is exceeded, the shorter side is rounded, and the longer one follows from what
    it was before rounding.

    >>> AspectRatio(800, 1333).output_size((480, 1000))
    (640, 1333)
    """

    shortest: int
    longest: int

    def output_size(self, size: Size) -> Size:
        # `get_size_with_aspect_ratio` of
        # https://github.com/huggingface/transformers/blob/main/src/transformers/image_transforms.py
        height, width = size
        edge, exact = _bounded_edge(size, self.shortest, self.longest)
        # There too an image whose shorter side fits is not resized, though its longer side may be
        # longer than `longest` by a pixel.
        if min(size) == edge:
            return size
        # At least 1, where there the side of a very long image would be 0.
        shorter = max(edge, 1)
        if width < height:
            longer = int(exact * height / width)
            return max(longer, 1), shorter
        longer = int(exact * width / height)
        return shorter, max(longer, 1)

    def describe(self) -> str:
        limit = f"the longer to at most {self.longest} (as DETR)"
        return f"the shorter side to {self.shortest} pixels, {limit}"


def _bounded_edge(size: Size, shortest: int, longest: int) -> tuple[int, float]:
    """Return DETR's shorter side, rounded and as it was before."""
    # In float64 and in this order: `round` is Python's, half to even.
    shorter = float(min(size))
    longer = float(max(size))
    if longer / shorter * shortest <= longest:
        return shortest, float(shortest)
    exact = longest * shorter / longer
    return round(exact), exact


def _below(size: Size, sides: Size, divisor: int) -> Size:
    """Sides down to a multiple of `divisor`."""
    height, width = (n // divisor * divisor for n in sides)
    # The libraries hand a side of 0 to the resize, which fails there without saying why.
    if not (height and width):
        raise InputError(
            f"Expected an image that is resized to at least {divisor} pixels a side, got one of "
            f"{size}."
        )
    return height, width


@dataclass(frozen=True)
class AspectRatioBelow(SizeRule):
    """Makes sides as DETR does, then both down to a multiple of `divisor`, as YOLOS does.

    An upright image whose width is the bounded one already is still scaled, by the bound before it
    was rounded.

    >>> AspectRatioBelow(800, 1333, 16).output_size((480, 1000))
    (640, 1328)
    """

    shortest: int
    longest: int
    divisor: int

    def output_size(self, size: Size) -> Size:
        # `get_size_with_aspect_ratio_yolos`, which asks for an upright image first, and only then
        # whether the side fits: the other order than DETR's.
        # https://github.com/huggingface/transformers/blob/main/src/transformers/models/yolos/image_processing_yolos.py
        height, width = size
        edge, exact = _bounded_edge(size, self.shortest, self.longest)
        if width < height:
            sides = (int(exact * height / width), edge)
        elif height == edge:
            sides = size
        else:
            sides = (edge, int(exact * width / height))
        return _below(size, sides, self.divisor)

    def describe(self) -> str:
        bounded = AspectRatio(self.shortest, self.longest).describe()
        return f"{bounded}; sides down to a multiple of {self.divisor}"


@dataclass(frozen=True)
class ShortestBelow(SizeRule):
    """Makes the shorter side `edge` and the longer at most 1333 / 800 of it, as ViLT does.

    Both are rounded half up, then down to a multiple of `divisor`. BridgeTower's is the same rule.

    >>> ShortestBelow(384, 32).output_size((480, 640))
    (384, 512)
    """

    edge: int
    divisor: int

    def output_size(self, size: Size) -> Size:
        # `get_resize_output_image_size` of
        # https://github.com/huggingface/transformers/blob/main/src/transformers/models/bridgetower/image_processing_bridgetower.py
        # and `resize` of
        # https://github.com/huggingface/transformers/blob/main/src/transformers/models/vilt/image_processing_vilt.py
        height, width = size
        scale = self.edge / min(size)
        # The shorter side is not multiplied, so that it is `edge` exactly.
        if height < width:
            new_height, new_width = self.edge, scale * width
        else:
            new_height, new_width = scale * height, self.edge
        longer = max(new_height, new_width)
        if longer > self._longest:
            scale = self._longest / longer
            new_height = scale * new_height
            new_width = scale * new_width
        rounded = (int(new_height + 0.5), int(new_width + 0.5))
        return _below(size, rounded, self.divisor)

    @property
    def _longest(self) -> int:
        # The bounds of Mask R-CNN's training sizes, 800 and 1333 pixels, at another scale.
        return int(1333 / 800 * self.edge)

    def describe(self) -> str:
        limit = f"the longer to at most {self._longest}; sides down to a multiple of {self.divisor}"
        return f"the shorter side to {self.edge} pixels, {limit}"


@dataclass(frozen=True)
class Inside(SizeRule):
    """Makes the largest size inside a box, also where that enlarges; sides are truncated.

    The `max_height` and `max_width` of Transformers' configs.

    >>> Inside(100, 100).output_size((480, 640))
    (75, 100)
    """

    height: int
    width: int

    def output_size(self, size: Size) -> Size:
        # `get_image_size_for_max_height_width` of
        # https://github.com/huggingface/transformers/blob/main/src/transformers/image_transforms.py
        height, width = size
        scale = min(self.height / height, self.width / width)
        new_height = int(height * scale)
        new_width = int(width * scale)
        return max(new_height, 1), max(new_width, 1)

    def describe(self) -> str:
        box = by((self.height, self.width))
        return f"to fit inside {box} pixels, keeping the aspect ratio"


@dataclass(frozen=True)
class LongestHalfUp(SizeRule):
    """Makes the longer side `edge`; both are rounded, halves up, as Segment Anything does.

    >>> LongestHalfUp(1024).output_size((480, 640))
    (768, 1024)
    """

    edge: int

    def output_size(self, size: Size) -> Size:
        # `_get_preprocess_shape` of
        # https://github.com/huggingface/transformers/blob/main/src/transformers/models/sam/image_processing_sam.py
        height, width = size
        scale = self.edge / max(size)
        new_height = int(height * scale + 0.5)
        new_width = int(width * scale + 0.5)
        return max(new_height, 1), max(new_width, 1)

    def describe(self) -> str:
        return f"the longer side to {self.edge} pixels (sides rounded)"


@dataclass(frozen=True)
class LongestRounded(SizeRule):
    """Makes the longer side `edge`; both are rounded half to even, as Janus does.

    Attributes:
        minimum: a shorter side is made so long.

    >>> LongestRounded(384, 14).output_size((480, 640))
    (288, 384)
    """

    edge: int
    minimum: int

    def output_size(self, size: Size) -> Size:
        # `resize` of
        # https://github.com/huggingface/transformers/blob/main/src/transformers/models/janus/image_processing_janus.py
        height, width = size
        scale = self.edge / max(size)
        new_height = round(height * scale)
        new_width = round(width * scale)
        return max(new_height, self.minimum), max(new_width, self.minimum)

    def describe(self) -> str:
        rounded = f"sides rounded, at least {self.minimum}"
        return f"the longer side to {self.edge} pixels ({rounded})"


@dataclass(frozen=True)
class LongestTruncated(SizeRule):
    """Makes the longer side `edge`; the other follows by a quotient of floats, truncated, as TVP
    does.

    >>> LongestTruncated(448).output_size((480, 640))
    (336, 448)
    """

    edge: int

    def output_size(self, size: Size) -> Size:
        # `get_resize_output_image_size` of
        # https://github.com/huggingface/transformers/blob/main/src/transformers/models/tvp/image_processing_pil_tvp.py
        # The quotient is rounded to float64 before it is multiplied: it is not `edge * a // b`.
        height, width = size
        if height >= width:
            return self.edge, max(int(self.edge * (width / height)), 1)
        return max(int(self.edge * (height / width)), 1), self.edge

    def describe(self) -> str:
        return f"the longer side to {self.edge} pixels"


@dataclass(frozen=True)
class MultipleAbove(SizeRule):
    """Rounds the sides of another rule up to a multiple of `divisor`, as MaskFormer does.

    >>> MultipleAbove(AspectRatio(800, 1333), 32).output_size((480, 1000))
    (640, 1344)
    """

    of: SizeRule
    divisor: int

    def output_size(self, size: Size) -> Size:
        # `resize` of
        # https://github.com/huggingface/transformers/blob/main/src/transformers/models/maskformer/image_processing_maskformer.py
        height, width = self.of.output_size(size)
        rows = -(-height // self.divisor)
        columns = -(-width // self.divisor)
        return rows * self.divisor, columns * self.divisor

    def describe(self) -> str:
        return f"{self.of.describe()}; sides up to a multiple of {self.divisor}"


@dataclass(frozen=True)
class MultipleBelow(SizeRule):
    """Rounds each side of the image down to a multiple of `divisor`, as GLPN does.

    >>> MultipleBelow(32).output_size((480, 650))
    (480, 640)
    """

    divisor: int

    def output_size(self, size: Size) -> Size:
        # `resize` of
        # https://github.com/huggingface/transformers/blob/main/src/transformers/models/glpn/image_processing_glpn.py
        if min(size) < self.divisor:
            raise InputError(
                f"Expected an image of at least {self.divisor} pixels in height and width, got "
                f"{size}."
            )
        height, width = size
        rows = height // self.divisor
        columns = width // self.divisor
        return rows * self.divisor, columns * self.divisor

    def describe(self) -> str:
        return f"each side down to a multiple of {self.divisor} pixels"


@dataclass(frozen=True)
class NearestMultiple(SizeRule):
    """Makes about `height` x `width`, each side a multiple of `divisor`, as DPT does.

    Multiples are rounded to, halves to even.

    Attributes:
        divisor: need not be an integer: sides are truncated then, as ZoeDepth's are.
        keeps_ratio: scale both sides alike, by what changes the image least.

    >>> NearestMultiple(384, 384, 32, keeps_ratio=True).output_size((480, 640))
    (384, 512)
    """

    height: int
    width: int
    divisor: float = 1
    keeps_ratio: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1e-6 <= self.divisor <= MAX_SIDE:
            raise codec.expected("a number of pixels above 0", self.divisor, "$.divisor")

    def output_size(self, size: Size) -> Size:
        # `get_resize_output_image_size` of
        # https://github.com/huggingface/transformers/blob/main/src/transformers/models/dpt/image_processing_dpt.py
        height, width = size
        vertical = self.height / height
        horizontal = self.width / width
        if self.keeps_ratio:
            # The vertical scale where both change the image as much, as there.
            fits_width = abs(1 - horizontal) < abs(1 - vertical)
            vertical = horizontal = horizontal if fits_width else vertical
        rows = int(round(vertical * height / self.divisor) * self.divisor)
        columns = int(round(horizontal * width / self.divisor) * self.divisor)
        if min(rows, columns) < 1:
            raise InputError(
                f"Expected sides of at least half of {self.divisor:g} pixels, got an image of "
                f"{size}."
            )
        return rows, columns

    def describe(self) -> str:
        ratio = ", keeping the aspect ratio" if self.keeps_ratio else ""
        multiple = f", sides to a multiple of {self.divisor:g}" if self.divisor > 1 else ""
        return f"to about {by((self.height, self.width))} pixels{ratio}{multiple}"


@dataclass(frozen=True)
class ShortestMultiple(SizeRule):
    """Makes the shorter side `edge`, then both sides multiples of `divisor`, rounded up.

    TextNet truncates the longer side first, PP-LCNet rounds both half to even.

    >>> ShortestMultiple(640, 32).output_size((480, 650))
    (640, 896)
    """

    edge: int
    divisor: int
    rounding: Rounding = "truncate"

    def output_size(self, size: Size) -> Size:
        if self.rounding == "truncate":
            # `resize` of https://github.com/huggingface/transformers/blob/main/src/transformers/models/textnet/image_processing_textnet.py
            sides = shortest_edge(size, self.edge)
        else:
            # `get_image_size` of
            # https://github.com/huggingface/transformers/blob/main/src/transformers/models/pp_lcnet/image_processing_pp_lcnet.py
            height, width = size
            scale = self.edge / min(size)
            sides = (round(height * scale), round(width * scale))
        rows, columns = (max(-(-side // self.divisor), 1) for side in sides)
        return rows * self.divisor, columns * self.divisor

    def describe(self) -> str:
        multiple = f"both then up to a multiple of {self.divisor}"
        return f"the shorter side to {self.edge} pixels, {multiple}"


@dataclass(frozen=True)
class SideLimit(SizeRule):
    """Brings one side to `limit`, then both to the nearest multiple of 32, as PP-OCR's detection.

    Attributes:
        side: "max" shrinks a longer side that exceeds `limit`; "min" enlarges a shorter side below
            it; "resize_long" brings the longer side to it either way.
        longest: bounds the longer side after that; None does not.

    >>> SideLimit(960).output_size((1080, 1920))
    (544, 960)
    """

    limit: int
    side: Literal["max", "min", "resize_long"] = "max"
    longest: int | None = None

    def output_size(self, size: Size) -> Size:
        # `get_image_size` of
        # https://github.com/huggingface/transformers/blob/main/src/transformers/models/pp_ocrv5_server_det/image_processing_pp_ocrv5_server_det.py
        edge = min(size) if self.side == "min" else max(size)
        is_within = {
            "max": edge <= self.limit,
            "min": edge >= self.limit,
            "resize_long": False,
        }
        ratio = 1.0 if is_within[self.side] else float(self.limit) / edge
        height, width = (int(side * ratio) for side in size)
        longer = max(height, width)
        # The second scaling starts from truncated sides, as there.
        if self.longest is not None and longer > self.longest:
            ratio = float(self.longest) / longer
            height = int(height * ratio)
            width = int(width * ratio)
        # The detector's features are 32 times as coarse as its input. A text line of less than 16
        # pixels would round to none.
        rows = max(round(height / 32), 1)
        columns = max(round(width / 32), 1)
        return rows * 32, columns * 32

    def describe(self) -> str:
        side = {
            "max": f"the longer side to at most {self.limit}",
            "min": f"the shorter side to at least {self.limit}",
            "resize_long": f"the longer side to {self.limit}",
        }[self.side]
        limit = "" if self.longest is None else f" (the longer at most {self.longest})"
        return f"{side} pixels{limit}, both to a multiple of 32"


@dataclass(frozen=True)
class Thumbnail(SizeRule):
    """Shrinks an image that is larger than `height` x `width` in any direction, as Donut does.

    Of an image that is no square the shorter side follows the longer one, truncated.

    >>> Thumbnail(2560, 1920).output_size((1920, 2560))
    (1440, 1920)
    """

    height: int
    width: int

    def output_size(self, size: Size) -> Size:
        # `thumbnail` of
        # https://github.com/huggingface/transformers/blob/main/src/transformers/models/donut/image_processing_donut.py
        height, width = size
        new_height = min(height, self.height)
        new_width = min(width, self.width)
        if (new_height, new_width) == size:
            return size
        if height > width:
            new_width = int(width * new_height / height)
        elif width > height:
            new_height = int(height * new_width / width)
        return max(new_height, 1), max(new_width, 1)

    def describe(self) -> str:
        return f"to at most {by((self.height, self.width))} pixels, keeping the aspect ratio"


def widest(sizes: list[Size], default: Size, longest: int) -> Size:
    """Computes one size for all images of a batch, as PP-OCR's recognition does.

    The height is that of `default`; the width keeps the ratio of the first of the widest images,
    rounded up, at most `longest`.

    Args:
        sizes: heights and widths of the images.
        default: height and width.
        longest: in pixels.

    >>> widest([(48, 100), (32, 200)], (48, 320), 3200)
    (48, 300)
    """
    # `get_target_size` of
    # https://github.com/huggingface/transformers/blob/main/src/transformers/models/pp_ocrv5_server_rec/image_processing_pp_ocrv5_server_rec.py
    height, width = max(sizes, key=lambda size: size[1])
    new_height, default_width = default
    ratio = width / height
    least_ratio = default_width / new_height
    target = int(new_height * max(ratio, least_ratio))
    if target > longest:
        return new_height, longest
    # Rounded up, so that no column of the widest image is lost; `target` was truncated.
    needed = math.ceil(new_height * ratio)
    return new_height, min(target, needed)
