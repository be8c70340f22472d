"""What a pipeline shows of a photograph: crop, resize, crop, in pixels, along each axis."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from jaxprep.resample.tables import AxisStep, Resample, Reverse, Window


class Axis(NamedTuple):
    """Says what happens along one axis: a crop, a resize of it, and a crop of that.

    Attributes:
        source: pixels of the photograph.
        crop_start, crop_length: what is resized; what lies outside of the photograph is filled.
        resized: pixels after the resize.
        start, length: what is kept of them; what lies outside is filled.

    >>> Axis.resized_to(400, 256, start=16, length=224).scale
    1.5625
    """

    source: int
    crop_start: int
    crop_length: int
    resized: int
    start: int
    length: int

    @classmethod
    def resized_to(cls, source: int, resized: int, start: int = 0, length: int = 0) -> Axis:
        """Return the axis that is resized first."""
        return cls(source, 0, source, resized, start, length or resized)

    @classmethod
    def cropped_to(cls, source: int, start: int, length: int, resized: int) -> Axis:
        """Return the axis that is cropped first."""
        return cls(source, start, length, resized, 0, resized)

    @property
    def scale(self) -> float:
        """Pixels of the photograph per pixel of the result."""
        return self.crop_length / self.resized

    @property
    def offset(self) -> float:
        """Where the result begins, in pixels of the photograph."""
        return self.crop_start + self.start * self.scale

    @property
    def crops_first(self) -> bool:
        """Whether a part of the photograph is resized."""
        return (self.crop_start, self.crop_length) != (0, self.source)

    @property
    def pads(self) -> bool:
        """Whether the result shows what lies outside of the photograph."""
        starts_before = self.start < 0 or self.crop_start < 0
        ends_after_resize = self.start + self.length > self.resized
        ends_after_photo = self.crop_start + self.crop_length > self.source
        return starts_before or ends_after_resize or ends_after_photo

    @property
    def inside(self) -> tuple[int, int]:
        """The first pixel of the result that shows the photograph, and the one after the last."""
        first = max(0, -self.start)
        last = min(self.length, self.resized - self.start)
        if self.crop_start < 0:
            # A pixel that shows the padding in part is left out, here and at the end.
            padded = int(-self.crop_start / self.scale) + 1
            first = max(first, padded - self.start)
        beyond = self.crop_start + self.crop_length - self.source
        if beyond > 0:
            shown = self.resized - int(beyond / self.scale) - 1
            last = min(last, shown - self.start)
        return first, last


class View(NamedTuple):
    """Holds both axes, and whether each is mirrored.

    >>> View.squashed((300, 400), (224, 224)).size
    (224, 224)
    """

    vertical: Axis
    horizontal: Axis
    flip: tuple[bool, bool] = (False, False)

    @classmethod
    def squashed(cls, source: tuple[int, int], size: tuple[int, int]) -> View:
        """Return the view of all of a photograph."""
        height, width = source
        new_height, new_width = size
        vertical = Axis.resized_to(height, new_height)
        horizontal = Axis.resized_to(width, new_width)
        return cls(vertical, horizontal)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the result."""
        return self.vertical.length, self.horizontal.length

    @property
    def resized(self) -> tuple[int, int]:
        """Height and width after the resize."""
        return self.vertical.resized, self.horizontal.resized

    @property
    def keeps_size(self) -> bool:
        """Whether the resize keeps the size of what it is given."""
        return all(axis.resized == axis.crop_length for axis in (self.vertical, self.horizontal))

    @property
    def crops_first(self) -> bool:
        """Whether a part of the photograph is resized."""
        return self.vertical.crops_first or self.horizontal.crops_first

    @property
    def pads(self) -> bool:
        """Whether the result shows what lies outside of the photograph."""
        return self.vertical.pads or self.horizontal.pads


def folded(source: int, steps: Iterable[AxisStep]) -> tuple[Axis, bool] | None:
    """Return an axis of `source` pixels after axis steps, and whether it is mirrored; None where
    they are not a crop, a resize and a crop.

    >>> folded(400, [Resample(256, "bilinear"), Window(16, 224)])
    (Axis(source=400, crop_start=0, crop_length=400, resized=256, start=16, length=224), False)
    """
    crop_start = 0
    crop_length = source
    start = 0
    length = source
    resized: int | None = None
    mirrored = False
    for step in steps:
        if isinstance(step, Reverse) and step.when is True:
            mirrored = not mirrored
        elif isinstance(step, Window):
            moved = step.start
            # From the other end, as the reversal comes last in an `Axis`.
            if mirrored:
                moved = length - step.start - step.length
            start += moved
            length = step.length
        elif isinstance(step, Resample):
            if resized is not None:
                return None
            # What was cut out so far is a crop of the photograph.
            crop_start = start
            crop_length = length
            resized = step.length
            start = 0
            length = step.length
        else:
            return None
    if resized is None:
        resized = source
    axis = Axis(source, crop_start, crop_length, resized, start, length)
    return axis, mirrored
