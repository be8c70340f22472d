"""Resizes an image and places it on a canvas, both by a rule of the size of the image."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.ops.crop import Axes
from jaxprep.ops.resize import RULE_MODULES, Method, Resampler, SizeRule, keep_ratio
from jaxprep.ops.words import by, number_list
from jaxprep.pipeline.step import FillValue
from jaxprep.resample.references import ReferenceName
from jaxprep.resample.tables import Window
from jaxprep.types import Size


class Fitted(NamedTuple):
    """Where an image lies on its canvas.

    Attributes:
        content: height and width that the image is resized to.
        canvas: height and width of the result.
        top: rows above the image.
        left: columns on its left.

    >>> Fitted((30, 40), (40, 40), top=5).left
    0
    """

    content: Size
    canvas: Size
    top: int = 0
    left: int = 0


class FitRule(SizeRule):
    """Base class of rules for `ops.Fit`, which compute where an image lies on its canvas.

    A rule is a frozen dataclass, whose fields are its numbers.

    >>> @dataclass(frozen=True)
    ... class InSquare(FitRule):
    ...     side: int
    ...     def fit(self, size):
    ...         return Fitted(size, (self.side, self.side))
    >>> InSquare(8).output_size((4, 6))
    (8, 8)
    """

    @abstractmethod
    def fit(self, size: Size) -> Fitted:
        """Return where an image of `size` lies."""

    def output_size(self, size: Size) -> Size:
        return self.fit(size).canvas


codec.register(FitRule, modules=RULE_MODULES)


@dataclass(frozen=True)
class Letterbox(FitRule):
    """Fits an image into a box of `height` by `width` in its aspect ratio; the rest is filled.

    Attributes:
        height, width: of the canvas, in pixels.
        centered: in the middle, the smaller half of an odd rest above and on the left; otherwise in
            the top-left corner.

    >>> Letterbox(100, 100).fit((480, 640))
    Fitted(content=(75, 100), canvas=(100, 100), top=12, left=0)
    """

    height: int
    width: int
    centered: bool = True

    def fit(self, size: Size) -> Fitted:
        canvas = self.height, self.width
        content = keep_ratio(size, canvas, cover=False)
        if not self.centered:
            return Fitted(content, canvas)
        top, left = ((n - m) // 2 for n, m in zip(canvas, content, strict=True))
        return Fitted(content, canvas, top, left)

    def describe(self) -> str:
        return f"inside {by((self.height, self.width))} pixels"


@dataclass(frozen=True)
class Fit(Resampler):
    """Resizes an image and places it on a canvas of another size.

    Attributes:
        rule: computes both sizes, and where the image lies.
        fill: around the image, in the unit of the values where the step stands.
        method, antialias, reference, rounded: see `jaxprep.ops.resize`.

    Raises:
        InputError: in a call, the image does not lie on its canvas.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> fit = Fit(Letterbox(2, 4), fill=7.0)
    >>> fit(Batch(image=np.ones((2, 2, 1), np.uint8))).image[..., 0].tolist()
    [[7, 1, 1, 7], [7, 1, 1, 7]]
    """

    pads: ClassVar[bool] = True  # type: ignore[assignment]

    rule: FitRule
    fill: FillValue = 0.0
    method: Method = "bilinear"
    antialias: bool = True
    reference: ReferenceName = "float"
    rounded: bool = True

    def axes(self, size: Size, draw: Any = None) -> Axes:
        fitted = self.rule.fit(size)
        ends = fitted.top + fitted.content[0], fitted.left + fitted.content[1]
        is_inside = min(fitted.top, fitted.left) >= 0 and np.all(np.less_equal(ends, fitted.canvas))
        if not is_inside:
            raise InputError(
                f"Expected `{type(self.rule).__name__}` to place an image of {size} on its canvas, "
                f"got {fitted}."
            )
        vertical, horizontal = self.resample(fitted.content)
        return (
            (vertical, Window(-fitted.top, fitted.canvas[0])),
            (horizontal, Window(-fitted.left, fitted.canvas[1])),
        )

    def for_mask(self) -> Fit:
        # A class between two classes is another class; 0 is the background of most masks.
        return replace(self, method="nearest", fill=0.0)

    def describe(self) -> str:
        fill = number_list(self.fill)
        return f"fit {self.rule.describe()}, {self.filter_words()}, padded with {fill}"
