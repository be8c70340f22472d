"""Resizes images to a size, or by a rule that computes the size from that of the image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Shaped

from jaxprep import codec
from jaxprep.bounds import check_side, check_size
from jaxprep.errors import ConfigError
from jaxprep.ops.crop import Axes
from jaxprep.ops.words import by
from jaxprep.pipeline.step import (
    Geometry,
    Resampling,
    as_size,
    on_image,
)
from jaxprep.resample.filters import METHODS, canonical_method
from jaxprep.resample.references import REFERENCES, ReferenceName
from jaxprep.resample.tables import Resample
from jaxprep.types import Array, Size

Method = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos3", "lanczos5"]
Rounding = Literal["truncate", "round"]
MAX_COUNT = 2**40
"""Of pixels in a rule: a bound on a product of sides, which are bounded themselves."""


def scaled(n: int, numerator: int, denominator: int, rounding: Rounding) -> int:
    """Computes `n * numerator / denominator` as an integer of at least 1.

    Args:
        rounding: "truncate", or "round": half to even, as Python does.

    >>> scaled(5, 1, 2, "truncate"), scaled(7, 1, 2, "round")
    (2, 4)
    """
    if rounding == "truncate":
        # torchvision writes `int(size * long / short)`. While the product is below 2**53, the
        # quotient in float64 does not reach an integer that the exact one is below: `//` is equal.
        return max(n * numerator // denominator, 1)
    return max(round(n * numerator / denominator), 1)


def shortest_edge(
    size: Size, edge: int, rounding: Rounding = "truncate", longest: int | None = None
) -> Size:
    """Computes the size whose shorter side is `edge`, with the aspect ratio kept.

    Args:
        size: height and width of the image.
        longest: the longer side is at most so long; the shorter one then follows it.

    >>> shortest_edge((480, 640), 256), shortest_edge((480, 640), 256, longest=300)
    ((256, 341), (225, 300))
    """
    # Truncated, this is `_compute_resized_output_size` of torchvision:
    # https://github.com/pytorch/vision/blob/main/torchvision/transforms/functional.py
    # and Transformers' `get_resize_output_image_size`:
    # https://github.com/huggingface/transformers/blob/main/src/transformers/image_transforms.py
    short, long = min(size), max(size)
    new_short, new_long = edge, scaled(edge, long, short, rounding)
    # The second rounding starts from the rounded numbers of the first, as there.
    if longest is not None and new_long > longest:
        new_short, new_long = scaled(longest, new_short, new_long, rounding), longest
    return (new_short, new_long) if size[0] <= size[1] else (new_long, new_short)


def longest_edge(size: Size, edge: int, rounding: Rounding = "truncate") -> Size:
    """Computes the size whose longer side is `edge`, with the aspect ratio kept.

    >>> longest_edge((480, 640), 256)
    (192, 256)
    """
    long = max(size)
    # The longer side is not computed, so that rounding cannot make it another than `edge`.
    height, width = (edge if n == long else scaled(n, edge, long, rounding) for n in size)
    return height, width


def keep_ratio(size: Size, box: Size, cover: bool, rounding: Rounding = "round") -> Size:
    """Computes the largest size inside `box`, or the smallest that covers it, in the aspect ratio.

    Args:
        size: height and width of the image.
        box: height and width.
        cover: whether the result covers the box; otherwise it lies inside.

    >>> keep_ratio((480, 640), (100, 100), cover=False)
    (75, 100)
    >>> keep_ratio((480, 640), (100, 100), cover=True)
    (100, 133)
    """
    # Rounded, this is `ResizeKeepRatio.get_params` with `longest` 1 and 0:
    # https://github.com/huggingface/pytorch-image-models/blob/main/timm/data/transforms.py
    # https://github.com/mlfoundations/open_clip/blob/main/src/open_clip/transform.py
    # Each side is divided, in float64, by the ratio of the side that decides: `n * m / n` instead
    # rounds to another pixel on some shapes.
    ratios = [n / m for n, m in zip(size, box, strict=True)]
    ratio = min(ratios) if cover else max(ratios)
    as_integer = round if rounding == "round" else int
    height, width = (max(as_integer(n / ratio), 1) for n in size)
    return height, width


class SizeRule(ABC):
    """Base class of rules for `ops.Resize(rule=...)`, which compute the size of the result.

    A rule is a frozen dataclass, whose fields are its numbers.

    Attributes:
        counts: the names of the fields that count pixels or patches of an image, where all other
            integers are sides in pixels.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Half(SizeRule):
    ...     def output_size(self, size):
    ...         return size[0] // 2, size[1] // 2
    >>> Resize(rule=Half()).output_size((8, 6))
    (4, 3)
    """

    tag_key: ClassVar[str] = "rule"
    counts: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        codec.check_fields(self)
        for name in codec.field_types(type(self)):
            value = getattr(self, name)
            is_number = isinstance(value, int) and not isinstance(value, bool)
            if not is_number:
                continue
            if name not in self.counts:
                check_side(value, f"$.{name}")
            elif not 1 <= value <= MAX_COUNT:
                raise codec.expected(f"a number from 1 to {MAX_COUNT}", value, f"$.{name}")

    @abstractmethod
    def output_size(self, size: Size) -> Size:
        """Return the height and width of the result for an image of `size`."""

    def describe(self) -> str:
        """Return what the rule aims at, in plain English, after the word "resize"."""
        data = codec.to_json(self)
        fields = [f"{name} {value}" for name, value in data.items() if name != self.tag_key]
        return type(self).__name__ + (f": {', '.join(fields)}" if fields else "")


RULE_MODULES = (
    "jaxprep.ops.sizes",
    "jaxprep.ops.patch_sizes",
    "jaxprep.ops.sequence_sizes",
    "jaxprep.ops.slice_sizes",
    "jaxprep.ops.tile_sizes",
)
"""Where rules are, for JSON that names one."""
codec.register(SizeRule, modules=RULE_MODULES)


def resize(
    image: Shaped[Array, "h w c"],
    size: Size | int,
    *,
    method: str | int = "bilinear",
    antialias: bool = True,
    reference: ReferenceName = "float",
    rounded: bool = True,
) -> Shaped[Array, "height width c"]:
    """Resizes one image.

    Args:
        image: `(h, w, c)`; uint8 in [0, 255], another integer type, or floating point.
        size: height and width in pixels, or one number for a square.
        method: `nearest`, `box`, `bilinear`, `hamming`, `bicubic` (Keys, a = -0.5), `lanczos3` or
            `lanczos5`; also `linear`, `cubic`, `lanczos` and PIL's integers.
        antialias: widen the filter when shrinking, so that every pixel counts.
        reference: whose arithmetic is reproduced, one of `pillow`, `pillow12`, `torchvision` (these
            take uint8 only and are exact in every bit), `torch`, `jax` and `float` (any type,
            differentiable). Without antialiasing also `torch_corners` and, for uint8,
            `torchvision_corners` (`align_corners=True`), `opencv` (weights of 11 bits) and `scipy`
            (`zoom` of order 1).
        rounded: give integers back as integers, rounded half to even and saturated; otherwise as
            float32.

    Returns:
        `(*size, c)`, of the image's type if that is an integer and `rounded` or the method is
        `nearest`; otherwise float32.

    Raises:
        InputError: the image has another rank or no pixels, or the reference has no arithmetic for
            its type.
        ConfigError: the method, reference or size is not one of those above.

    >>> import numpy as np
    >>> image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    >>> resize(image, 2, reference="pillow")[..., 0].tolist()
    [[4, 5], [10, 11]]
    """
    image = image if hasattr(image, "dtype") else np.asarray(image)
    step = Resize(size, method=method, antialias=antialias, reference=reference, rounded=rounded)  # type: ignore[arg-type]
    return on_image(step, image)


class Resampler(Geometry):
    """Base class of the steps that mix pixels by one filter, with the fields of `ops.resize`.

    >>> issubclass(Resize, Resampler)
    True
    """

    method: Method
    antialias: bool
    reference: ReferenceName
    rounded: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "method", canonical_method(self.method))
        super().__post_init__()

    def check(self) -> None:
        assert self.method in METHODS and self.reference in REFERENCES
        methods = REFERENCES[self.reference].interpolates
        is_filtered = self.antialias or self.method not in methods
        if methods and is_filtered and self.method != "nearest":
            wanted = f"`antialias=False` and one of {list(methods)} with `{self.reference}`"
            raise codec.expected(wanted, self.method, "$.method")

    def resample(self, size: Size) -> tuple[Resample, Resample]:
        """Return the axis steps that make an image of `size`, vertical and horizontal."""
        vertical = Resample(size[0], self.method, self.antialias, self.reference)
        horizontal = Resample(size[1], self.method, self.antialias, self.reference)
        return vertical, horizontal

    @property
    def resampling(self) -> Resampling | None:  # type: ignore[override]
        # Nearest copies pixels: there is no arithmetic, and integers stay integers.
        return None if self.method == "nearest" else Resampling(self.reference, self.rounded)

    @property
    def keeps_window(self) -> bool:  # type: ignore[override]
        # A nearest resize is a list of rows to take, which no other resize can share a pass with.
        return self.method != "nearest"

    def largest_value(self, largest: float) -> float:
        # These filters have no negative lobes: a weighted mean is no larger than what it is of.
        if self.method in ("box", "bilinear", "hamming"):
            return max(largest, float(np.max(np.abs(self.fill))))
        return super().largest_value(largest)

    def filter_words(self) -> str:
        """Return the filter and its reference, for `describe`."""
        words = f"{self.method}, {_REFERENCE_WORDS[self.reference]}"
        if self.method == "nearest":
            return words
        antialiased = "antialiased" if self.antialias else "not antialiased"
        rounded = "" if self.rounded else ", not rounded to integers"
        return f"{words} ({antialiased}{rounded})"


@dataclass(frozen=True)
class Resize(Resampler):
    """Resizes to a size, or by a rule that computes it.

    Attributes:
        size: height and width (a number is a square). With `fit`, the box that the result fits.
        shortest_edge: the shorter side of the result, in pixels; with `longest_edge`, the longer
            side is bounded by it.
        longest_edge: the longer side of the result, in pixels.
        rule: one of `jaxprep.ops.sizes`, instead of the three above.
        fit: with `size`: "exact" stretches; "contain" keeps the aspect ratio inside the box,
            "cover" around it.
        rounding: how the side that follows is made an integer: "truncate" (torchvision,
            Transformers) or "round" (timm's `ResizeKeepRatio`).
        method, antialias, reference, rounded: see `jaxprep.ops.resize`.

    Raises:
        ConfigError: a value that a field does not take, or not exactly one of `size`, `rule` and
            the edges.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> resize = Resize(shortest_edge=4, method="bicubic", reference="pillow")
    >>> resize(Batch(image=np.zeros((8, 12, 3), np.uint8))).image.shape
    (4, 6, 3)
    """

    size: Size | None = None
    shortest_edge: int | None = None
    longest_edge: int | None = None
    rule: SizeRule | None = None
    fit: Literal["exact", "contain", "cover"] = "exact"
    rounding: Rounding = "truncate"
    method: Method = "bilinear"
    antialias: bool = True
    reference: ReferenceName = "float"
    rounded: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", as_size(self.size))
        super().__post_init__()

    def check(self) -> None:
        check_size(self.size, "$.size")
        for name in ("shortest_edge", "longest_edge"):
            edge = getattr(self, name)
            if edge is not None:
                check_side(edge, f"$.{name}")
        has_edges = self.shortest_edge is not None or self.longest_edge is not None
        targets = (self.size is not None, has_edges, self.rule is not None)
        if sum(targets) != 1:
            raise ConfigError(
                "Expected either `size`, `rule`, or `shortest_edge` and/or `longest_edge` - at `$`."
            )
        if self.fit != "exact" and self.size is None:
            raise codec.expected("'exact', since there is no `size` to fit", self.fit, "$.fit")
        super().check()

    @property
    def static_output_size(self) -> Size | None:
        return self.size if self.fit == "exact" else None

    def axes(self, size: Size, draw: Any = None) -> Axes:
        vertical, horizontal = self.resample(self._rule(size))
        return (vertical,), (horizontal,)

    def for_mask(self) -> Resize:
        # A class between two classes is another class: labels are never mixed.
        return replace(self, method="nearest")

    def _rule(self, size: Size) -> Size:
        if self.rule is not None:
            return self.rule.output_size(size)
        if self.size is not None:
            if self.fit == "exact":
                return self.size
            return keep_ratio(size, self.size, self.fit == "cover", self.rounding)
        if self.shortest_edge is not None:
            return shortest_edge(size, self.shortest_edge, self.rounding, self.longest_edge)
        assert self.longest_edge is not None
        return longest_edge(size, self.longest_edge, self.rounding)

    def describe(self) -> str:
        return f"resize {self._target()}, {self.filter_words()}"

    def _target(self) -> str:
        if self.rule is not None:
            return self.rule.describe()
        if self.size is not None:
            if self.fit == "exact":
                return f"to {by(self.size)} pixels"
            side = "" if self.rounding == "truncate" else " (sides rounded)"
            verb = "fit inside" if self.fit == "contain" else "cover"
            return f"to {verb} {by(self.size)} pixels, keeping the aspect ratio{side}"
        side = "" if self.rounding == "truncate" else " (the other side rounded)"
        if self.shortest_edge is None:
            return f"the longer side to {self.longest_edge} pixels{side}"
        limit = ""
        if self.longest_edge is not None:
            limit = f", the longer to at most {self.longest_edge}"
        return f"the shorter side to {self.shortest_edge} pixels{limit}{side}"


_REFERENCE_WORDS = {
    "pillow": "as Pillow",
    "pillow12": "as Pillow up to 12",
    "torchvision": "as torchvision's uint8 kernel",
    "torch": "as PyTorch in float32",
    "torch_exact": "as PyTorch's `nearest-exact`",
    "torch_corners": "as PyTorch in float32, the corners aligned",
    "torchvision_corners": "as torchvision's uint8 kernel, the corners aligned",
    "opencv": "as OpenCV, by weights of 11 bits",
    "scipy": "as SciPy's `zoom`",
    "jax": "as jax.image.resize",
    "float": "at exact positions in float32",
}
