"""Size rules of single libraries, for `Resize(rule=...)`: integer arithmetic on the host.

The rules of the libraries differ by a pixel on half of all shapes; each is kept as it was
published.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from jaxprep.errors import InputError
from jaxprep.ops.resize import Rounding, SizeRule, shortest_edge
from jaxprep.ops.words import by
from jaxprep.types import Size


@dataclass(frozen=True)
class AspectRatio(SizeRule):
    """Transformers' `get_size_with_aspect_ratio`, DETR's rule: the shorter side `shortest`, the
    longer up to `longest`.

    Where the bound bites, the shorter side is rounded, and the longer one follows from it before
    rounding.
    """

    shortest: int
    longest: int

    def output_size(self, size: Size) -> Size:
        height, width = size
        edge, exact = _bounded_edge(size, self.shortest, self.longest)
        if min(size) == edge:
            return size
        if width < height:
            return max(int(exact * height / width), 1), max(edge, 1)
        return max(edge, 1), max(int(exact * width / height), 1)

    def describe(self) -> str:
        limit = f"the longer to at most {self.longest} (as DETR)"
        return f"the shorter side to {self.shortest} pixels, {limit}"


def _bounded_edge(size: Size, shortest: int, longest: int) -> tuple[int, float]:
    """DETR's shorter side, rounded and as it was before."""
    short, long = float(min(size)), float(max(size))
    if long / short * shortest <= longest:
        return shortest, float(shortest)
    exact = longest * short / long
    return round(exact), exact


def _below(size: Size, sides: Size, divisor: int) -> Size:
    """Sides down to a multiple of `divisor`."""
    height, width = (n // divisor * divisor for n in sides)
    if not (height and width):
        raise InputError(
            f"Expected an image that is resized to at least {divisor} pixels a side, got one of {size}."
        )
    return height, width


@dataclass(frozen=True)
class AspectRatioBelow(SizeRule):
    """YOLOS: DETR's rule, then both sides down to a multiple of `divisor`.

    An upright image whose bounded width is its own is still scaled, by the bound before it was
    rounded.
    """

    shortest: int
    longest: int
    divisor: int

    def output_size(self, size: Size) -> Size:
        height, width = size
        edge, exact = _bounded_edge(size, self.shortest, self.longest)
        if width < height:
            return _below(size, (int(exact * height / width), edge), self.divisor)
        if height == edge:
            return _below(size, size, self.divisor)
        return _below(size, (edge, int(exact * width / height)), self.divisor)

    def describe(self) -> str:
        bounded = AspectRatio(self.shortest, self.longest).describe()
        return f"{bounded}; sides down to a multiple of {self.divisor}"


@dataclass(frozen=True)
class ShortestBelow(SizeRule):
    """ViLT and BridgeTower: the shorter side becomes `edge`, the longer follows, up to 1333 / 800
    of it.

    Both are rounded half up, then down to a multiple of `divisor`.
    """

    edge: int
    divisor: int

    def output_size(self, size: Size) -> Size:
        scale = self.edge / min(size)
        height, width = (
            (self.edge, scale * size[1]) if size[0] < size[1] else (scale * size[0], self.edge)
        )
        longest = int(1333 / 800 * self.edge)
        if max(height, width) > longest:
            scale = longest / max(height, width)
            height, width = scale * height, scale * width
        return _below(size, (int(height + 0.5), int(width + 0.5)), self.divisor)

    def describe(self) -> str:
        longest = int(1333 / 800 * self.edge)
        limit = f"the longer to at most {longest}; sides down to a multiple of {self.divisor}"
        return f"the shorter side to {self.edge} pixels, {limit}"


@dataclass(frozen=True)
class Inside(SizeRule):
    """Transformers' `max_height`, `max_width`: the largest size inside the box, enlarged if need
    be; truncated.
    """

    height: int
    width: int

    def output_size(self, size: Size) -> Size:
        scale = min(self.height / size[0], self.width / size[1])
        return max(int(size[0] * scale), 1), max(int(size[1] * scale), 1)

    def describe(self) -> str:
        box = by((self.height, self.width))
        return f"to fit inside {box} pixels, keeping the aspect ratio"


@dataclass(frozen=True)
class LongestHalfUp(SizeRule):
    """Segment Anything: the longer side becomes `edge`; both are rounded, halves up."""

    edge: int

    def output_size(self, size: Size) -> Size:
        scale = self.edge / max(size)
        return max(int(size[0] * scale + 0.5), 1), max(int(size[1] * scale + 0.5), 1)

    def describe(self) -> str:
        return f"the longer side to {self.edge} pixels (sides rounded)"


@dataclass(frozen=True)
class LongestRounded(SizeRule):
    """Janus: the longer side becomes `edge`, both are rounded half to even, and are at least
    `minimum`.
    """

    edge: int
    minimum: int

    def output_size(self, size: Size) -> Size:
        scale = self.edge / max(size)
        return max(round(size[0] * scale), self.minimum), max(round(size[1] * scale), self.minimum)

    def describe(self) -> str:
        rounded = f"sides rounded, at least {self.minimum}"
        return f"the longer side to {self.edge} pixels ({rounded})"


@dataclass(frozen=True)
class MultipleAbove(SizeRule):
    """MaskFormer: the size of another rule, each side rounded up to a multiple of `divisor`."""

    of: SizeRule
    divisor: int

    def output_size(self, size: Size) -> Size:
        height, width = self.of.output_size(size)
        return -(-height // self.divisor) * self.divisor, -(-width // self.divisor) * self.divisor

    def describe(self) -> str:
        return f"{self.of.describe()}; sides up to a multiple of {self.divisor}"


@dataclass(frozen=True)
class MultipleBelow(SizeRule):
    """GLPN: each side of the source, rounded down to a multiple of `divisor`."""

    divisor: int

    def output_size(self, size: Size) -> Size:
        if min(size) < self.divisor:
            raise InputError(
                f"Expected an image of at least {self.divisor} pixels in height and width, got {size}."
            )
        return size[0] // self.divisor * self.divisor, size[1] // self.divisor * self.divisor

    def describe(self) -> str:
        return f"each side down to a multiple of {self.divisor} pixels"


@dataclass(frozen=True)
class NearestMultiple(SizeRule):
    """DPT: about `height` x `width`, each side rounded, halves to even, to a multiple of `divisor`.

    Attributes:
        keeps_ratio: scale both sides alike, by what changes the image least.
    """

    height: int
    width: int
    divisor: int = 1
    keeps_ratio: bool = False

    def output_size(self, size: Size) -> Size:
        vertical, horizontal = self.height / size[0], self.width / size[1]
        if self.keeps_ratio:
            vertical = horizontal = (
                horizontal if abs(1 - horizontal) < abs(1 - vertical) else vertical
            )
        height, width = (
            round(scale * n / self.divisor) * self.divisor
            for scale, n in zip((vertical, horizontal), size, strict=True)
        )
        if min(height, width) < 1:
            raise InputError(
                f"Expected sides of at least half of {self.divisor} pixels, got an image of {size}."
            )
        return height, width

    def describe(self) -> str:
        ratio = ", keeping the aspect ratio" if self.keeps_ratio else ""
        multiple = f", sides to a multiple of {self.divisor}" if self.divisor > 1 else ""
        return f"to about {by((self.height, self.width))} pixels{ratio}{multiple}"


@dataclass(frozen=True)
class ShortestMultiple(SizeRule):
    """The shorter side becomes `edge`, the longer follows, then both are rounded up to a multiple
    of `divisor`.

    TextNet truncates the longer side first, PP-LCNet rounds both half to even.
    """

    edge: int
    divisor: int
    rounding: Rounding = "truncate"

    def output_size(self, size: Size) -> Size:
        if self.rounding == "truncate":
            sides = shortest_edge(size, self.edge)
        else:
            scale = self.edge / min(size)
            sides = round(size[0] * scale), round(size[1] * scale)
        height, width = (max(-(-n // self.divisor), 1) * self.divisor for n in sides)
        return height, width

    def describe(self) -> str:
        multiple = f"both then up to a multiple of {self.divisor}"
        return f"the shorter side to {self.edge} pixels, {multiple}"


@dataclass(frozen=True)
class SideLimit(SizeRule):
    """PP-OCR detection: the longest or shortest side is brought to `limit`, both are rounded to a
    multiple of 32.

    Attributes:
        side: "max" shrinks a longer side that exceeds `limit`; "min" enlarges a shorter side below
            it; "resize_long" brings the longer side to it either way.
        longest: bounds the longer side after that; None does not.
    """

    limit: int
    side: Literal["max", "min", "resize_long"] = "max"
    longest: int | None = None

    def output_size(self, size: Size) -> Size:
        edge = min(size) if self.side == "min" else max(size)
        keeps = (
            edge <= self.limit
            if self.side == "max"
            else edge >= self.limit
            if self.side == "min"
            else False
        )
        ratio = 1.0 if keeps else float(self.limit) / edge
        height, width = int(size[0] * ratio), int(size[1] * ratio)
        if self.longest is not None and max(height, width) > self.longest:
            ratio = float(self.longest) / max(height, width)
            height, width = int(height * ratio), int(width * ratio)
        return max(round(height / 32) * 32, 32), max(round(width / 32) * 32, 32)

    def describe(self) -> str:
        side = {
            "max": f"the longer side to at most {self.limit}",
            "min": f"the shorter side to at least {self.limit}",
            "resize_long": f"the longer side to {self.limit}",
        }[self.side]
        limit = "" if self.longest is None else f" (the longer at most {self.longest})"
        return f"{side} pixels{limit}, both to a multiple of 32"


def widest(sizes: list[Size], default: Size, longest: int) -> Size:
    """PP-OCR recognition: one size for a whole batch, from the first of its widest images.

    The height is that of `default`; the width keeps the ratio of the widest image, rounded up, at
    most `longest`.
    """
    height, width = max(sizes, key=lambda size: size[1])
    target = int(default[0] * max(width / height, default[1] / default[0]))
    if target > longest:
        return default[0], longest
    needed = math.ceil(default[0] * (width / float(height)))
    return default[0], min(target, needed)
