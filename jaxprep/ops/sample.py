"""Crops boxes whose corners lie between pixels, enlarged to an aspect ratio, by bilinear sampling.

Sapiens2 crops people so. Reproduced are `boxes_to_crop_params` and `crop_and_resize` in float32 of
https://github.com/huggingface/transformers/blob/main/src/transformers/models/sapiens2/image_processing_sapiens2.py
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Shaped

from jaxprep import codec
from jaxprep.bounds import MAX_SIDE
from jaxprep.errors import InputError
from jaxprep.ops.crop import Axes, ToSize
from jaxprep.pipeline.step import Resampling, as_size, on_image
from jaxprep.resample.sample import magnification, positions, sample_taps
from jaxprep.resample.tables import Sample
from jaxprep.types import Array, Size

BOX_MARGIN = 1.25
"""`padding` of Sapiens2's `boxes_to_crop_params`: a crop is so much larger than the person."""


class Window(NamedTuple):
    """A window of an image, in float32 pixels: its middle, and its sides.

    >>> Window(np.float32(4), np.float32(4), np.float32(5), np.float32(5)).width.item()
    5.0
    """

    x: np.float32
    y: np.float32
    width: np.float32
    height: np.float32


def window_of(box: Any, size: Size) -> Window:
    """Enlarges a box by `BOX_MARGIN`, and then to the aspect ratio of `size`.

    Args:
        box: `(x, y, width, height)` in pixels.
        size: height and width of the result.

    >>> window = window_of((2, 2, 4, 4), (3, 6))
    >>> window.x.item(), window.width.item(), window.height.item()
    (4.0, 10.0, 5.0)
    """
    # Every number is rounded to float32 after each operation, as torch's tensors are there.
    x, y, width, height = (np.float32(n) for n in box)
    ratio = np.float32(size[1] / size[0])
    wide = width * np.float32(BOX_MARGIN)
    high = height * np.float32(BOX_MARGIN)
    # The shorter side grows, so that the person stays inside.
    if wide > high * ratio:
        sides = wide, wide / ratio
    else:
        sides = high * ratio, high
    half = np.float32(0.5)
    return Window(x + half * width, y + half * height, *sides)


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
    """Samples the window of a box, as torch's `grid_sample` does; see `sample_box`.

    >>> from jaxprep import Batch
    >>> step = SampleBox((3, 3), box=(2.0, 2.0, 4.0, 4.0))
    >>> step(Batch(image=np.ones((8, 8, 3), np.float32))).image.shape
    (3, 3, 3)
    """

    size: Size
    box: tuple[float, float, float, float]
    method: Literal["bilinear", "bicubic", "nearest"] | None = None

    def check(self) -> None:
        super().check()
        # `grid_sample` with `align_corners=True` divides by `m - 1`, which is 0 for one sample.
        if min(self.size) < 2:
            raise codec.expected("a height and width of at least 2", self.size, "$.size")
        if max(map(abs, self.box)) > MAX_SIDE:
            raise codec.expected(f"positions of at most {MAX_SIDE} pixels", self.box, "$.box")

    @property
    def static_output_size(self) -> Size | None:
        return self.size

    @property
    def resampling(self) -> Resampling | None:  # type: ignore[override]
        return Resampling("torch", rounded=False)

    def axes(self, size: Size, draw: Any = None) -> Axes:
        height, width = size
        # `grid_sample` with `align_corners=True` divides by `n - 1`, which is 0 for one pixel.
        if min(height, width) < 2:
            raise InputError(
                f"Expected an image of at least 2 pixels a side, to be sampled, got {size}."
            )
        window = window_of(self.box, self.size)
        method = self.method or self._default_method(window)
        vertical = _sampled_axis(window.y, window.height, height, self.size[0], method)
        horizontal = _sampled_axis(window.x, window.width, width, self.size[1], method)
        return (vertical,), (horizontal,)

    def _default_method(self, window: Window) -> str:
        # `is_bilinear` there: bilinear where either axis shrinks, bicubic where both grow.
        vertical = magnification(window.height, self.size[0])
        horizontal = magnification(window.width, self.size[1])
        return "bilinear" if min(vertical, horizontal) < 1 else "bicubic"


def _sampled_axis(middle: Any, length: Any, n: int, m: int, method: str) -> Sample:
    source_positions = positions(middle, length, n, m)
    taps = sample_taps(source_positions, n, method)
    scale = float(m - 1) / float(length) if length else 1.0
    # Sample 0 lies at the window's start, in the middle of a pixel, and the last at its end: so the
    # scale is of `m - 1` intervals, as `scale_x` there.
    start = float(middle) - float(length) / 2
    return Sample(taps, (scale, 0.5 - (start + 0.5) * scale))
