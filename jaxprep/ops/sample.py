"""Boxes with corners between pixels, enlarged to an aspect ratio and sampled: the crops of
people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Shaped

from jaxprep.errors import InputError
from jaxprep.ops.crop import Axes, ToSize
from jaxprep.pipeline.step import Resampling, as_size, on_image
from jaxprep.resample.sample import magnification, positions, sample_taps
from jaxprep.resample.tables import Sample
from jaxprep.types import Array, Size

BOX_MARGIN = 1.25
"""Sapiens2: a box is so much larger than the person in it."""


class Window(NamedTuple):
    """A box in float32 pixels: its middle, and its sides."""

    x: np.float32
    y: np.float32
    width: np.float32
    height: np.float32


def window_of(box: Any, size: Size) -> Window:
    """The window for a box `(x, y, width, height)`: larger by `BOX_MARGIN`, and then to the aspect ratio
    of `size`.
    """
    x, y, width, height = (np.float32(n) for n in box)
    ratio = np.float32(size[1] / size[0])
    wide, high = width * np.float32(BOX_MARGIN), height * np.float32(BOX_MARGIN)
    sides = (wide, wide / ratio) if wide > high * ratio else (high * ratio, high)
    return Window(x + np.float32(0.5) * width, y + np.float32(0.5) * height, *sides)


def sample_box(
    image: Shaped[Array, "h w c"], box: Any, size: Size, *, method: str | None = None
) -> Float32[Array, "height width c"]:
    """Samples the window of a box of one image at `size`; 0 where it lies outside.

    Args:
        box: `(x, y, width, height)` in pixels, known outside of any transformation.
        method: "bilinear", "bicubic" or "nearest"; by default bilinear where the window shrinks,
            else bicubic.

    Raises:
        InputError: a side of the image is shorter than 2 pixels.

    >>> import numpy as np
    >>> sample_box(np.ones((8, 8, 3)), (2, 2, 4, 4), (3, 3)).shape
    (3, 3, 3)
    """
    corner_and_sides = tuple(float(number) for number in box)
    return on_image(SampleBox(as_size(size), corner_and_sides, method), image)  # type: ignore[arg-type]


@dataclass(frozen=True)
class SampleBox(ToSize):
    """The window of a box, sampled as torch's `grid_sample` does; see `sample_box`."""

    size: Size
    box: tuple[float, float, float, float]
    method: Literal["bilinear", "bicubic", "nearest"] | None = None

    @property
    def static_output_size(self) -> Size | None:
        return self.size

    @property
    def resampling(self) -> Resampling | None:  # type: ignore[override]
        return Resampling("torch", rounded=False)

    def axes(self, size: Size, draw: Any = None) -> Axes:
        height, width = size
        if min(height, width) < 2:
            raise InputError(
                f"Expected an image of at least 2 pixels a side, to be sampled, got {size}."
            )
        window = window_of(self.box, self.size)
        method = self.method or self._default_method(window)
        vertical = _sampled_axis(window.y, window.height, height, self.size[0], method)
        return (vertical,), (_sampled_axis(window.x, window.width, width, self.size[1], method),)

    def _default_method(self, window: Window) -> str:
        vertical = magnification(window.height, self.size[0])
        horizontal = magnification(window.width, self.size[1])
        return "bilinear" if min(vertical, horizontal) < 1 else "bicubic"


def _sampled_axis(middle: Any, length: Any, n: int, m: int, method: str) -> Sample:
    taps = sample_taps(positions(middle, length, n, m), n, method)
    scale = float(m - 1) / float(length) if length else 1.0
    # sample 0 lies at the window's start, in the middle of a pixel
    start = float(middle) - float(length) / 2
    return Sample(taps, (scale, 0.5 - (start + 0.5) * scale))
