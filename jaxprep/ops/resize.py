"""Resizing to a size that a rule gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np

from jaxprep import codec
from jaxprep.errors import ConfigError, InputError
from jaxprep.ops import sizes
from jaxprep.ops.sizes import Rounding, SizeRule
from jaxprep.ops.step import MAX_PIXELS, Geometry, as_size, check_size, move, whole
from jaxprep.resample.filters import METHODS, canonical_method
from jaxprep.resample.references import REFERENCES, ReferenceName
from jaxprep.resample.resize import resize_image
from jaxprep.types import Batch, Size

Method = Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos3", "lanczos5"]


def resize(
    image: Any,
    size: Size | int,
    *,
    method: str | int = "bilinear",
    antialias: bool = True,
    reference: ReferenceName = "float",
    rounded: bool = True,
) -> jax.Array:
    """Resize one image.

    Args:
        image: `(h, w, c)`; uint8 in [0, 255], another integer type, or floating point.
        size: height and width in pixels, or one number for a square.
        method: `nearest`, `box`, `bilinear`, `hamming`, `bicubic` (Keys, a = -0.5), `lanczos3` or
            `lanczos5`; also `linear`, `cubic`, `lanczos` and PIL's integers.
        antialias: widen the filter when shrinking, so that every pixel counts.
        reference: whose arithmetic is reproduced, one of `pillow`, `pillow12`, `torchvision` (these
            take uint8 only and are exact in every bit), `torch`, `jax` and `float` (any type,
            differentiable).
        rounded: give integers back as integers, rounded half to even and saturated; otherwise as
            float32.

    Returns:
        `(*size, c)`, of the image's type if that is an integer and `rounded` or the method is
        `nearest`; otherwise float32.

    Raises:
        InputError: the image has another rank or no pixels, or the reference has no arithmetic for
            its type.
        ConfigError: the method, reference or size is not one of those above.
    """
    image = image if hasattr(image, "dtype") else np.asarray(image)
    step = Resize(size, method=method, antialias=antialias, reference=reference, rounded=rounded)  # type: ignore[arg-type]
    height, width = whole(Batch(image=image))
    if not image.size:
        raise InputError(f"Expected an image with pixels, got shape {image.shape} - at `image`.")
    return step.resized(image, step.output_size((height, width)))


@dataclass(frozen=True)
class Resize(Geometry):
    """Resize by one of these rules.

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
        object.__setattr__(self, "method", canonical_method(self.method))
        super().__post_init__()

    def check(self) -> None:
        check_size(self.size, "$.size")
        for name in ("shortest_edge", "longest_edge"):
            edge = getattr(self, name)
            if edge is not None:
                check_size((edge, edge), f"$.{name}")
        edges = self.shortest_edge is not None or self.longest_edge is not None
        if (self.size is not None) + edges + (self.rule is not None) != 1:
            raise ConfigError(
                "Expected either `size`, `rule`, or `shortest_edge` and/or `longest_edge` - at `$`."
            )
        if self.fit != "exact" and self.size is None:
            raise codec.expected("'exact', since there is no `size` to fit", self.fit, "$.fit")
        assert self.method in METHODS and self.reference in REFERENCES

    @property
    def fixed(self) -> Size | None:
        return self.size if self.fit == "exact" else None

    def output_size(self, size: Size) -> Size:
        out = self._rule(size)
        if out[0] * out[1] > MAX_PIXELS:
            raise InputError(
                f"Expected a result of at most {MAX_PIXELS} pixels, got {out} from an image of size {size}."
            )
        return out

    def _rule(self, size: Size) -> Size:
        if self.rule is not None:
            return self.rule.output_size(size)
        if self.size is not None:
            if self.fit == "exact":
                return self.size
            return sizes.keep_ratio(size, self.size, self.fit == "cover", self.rounding)
        if self.shortest_edge is not None:
            return sizes.shortest_edge(size, self.shortest_edge, self.rounding, self.longest_edge)
        assert self.longest_edge is not None
        return sizes.longest_edge(size, self.longest_edge, self.rounding)

    def resized(self, image: Any, out: Size) -> jax.Array:
        return resize_image(image, out, self.method, self.antialias, self.reference, self.rounded)

    def __call__(self, batch: Batch) -> Batch:
        height, width = whole(batch)
        out = self.output_size((height, width))
        maps = (out[0] / height, 0.0), (out[1] / width, 0.0)
        return move(batch, self.resized(batch.image, out), maps)
