"""Blurs images that are about to shrink, so that interpolation after it skips no detail."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Shaped

from jaxprep.ops.crop import Axes, ToSize
from jaxprep.ops.words import by
from jaxprep.pipeline.step import Resampling, as_size, on_image
from jaxprep.resample.sample import blur_taps
from jaxprep.resample.tables import Sample
from jaxprep.types import Array, Size

Library = Literal["torchvision", "scipy"]


class Blur(NamedTuple):
    """A Gaussian along one axis: its standard deviation and how far it reaches, in pixels.

    >>> Blur(0.5, 2).reach
    2
    """

    sigma: float
    reach: int


def blurs_before(size: Size, target: Size, library: Library) -> tuple[Blur, Blur] | None:
    """Returns the blurs of rows and columns before an image of `size` is interpolated to `target`;
    None where there is none.

    The standard deviation is `(n / m - 1) / 2`, that of scikit-image's `resize`.

    Args:
        library: whose Gaussian. "scipy": `gaussian_filter`, which reaches 4 standard deviations.
            "torchvision": `gaussian_blur` as Owlv2 calls it, 3 of them; nothing where a side does
            not shrink, and the blur of height and width exchanged.

    >>> blurs_before((40, 40), (10, 20), "scipy")
    (Blur(sigma=1.5, reach=6), Blur(sigma=0.5, reach=2))
    """
    # `Owlv2ImageProcessorPil.resize` of
    # https://github.com/huggingface/transformers/blob/main/src/transformers/models/owlv2/image_processing_pil_owlv2.py
    # and of image_processing_owlv2.py, whose tensors are float32
    number = np.float64 if library == "scipy" else np.float32
    sigmas = []
    for n, m in zip(size, target, strict=True):
        sigmas.append(max((number(n) / number(m) - 1) / 2, number(0)))
    if library == "scipy":
        rows, columns = (Blur(float(sigma), int(4 * sigma + 0.5)) for sigma in sigmas)
        return (rows, columns) if max(sigmas) > 0 else None
    if min(sigmas) == 0:
        return None
    rows, columns = (Blur(float(sigma), math.ceil(3 * sigma)) for sigma in sigmas)
    # `gaussian_blur` takes the width first, and is given the height first
    return columns, rows


def blur_before_resize(
    image: Shaped[Array, "h w c"],
    size: Size | int,
    *,
    library: Library = "scipy",
    rounded: bool = True,
) -> Shaped[Array, "h w c"]:
    """Blurs one image that will be resized to `size` without antialiasing; see `BlurBeforeResize`.

    >>> import numpy as np
    >>> image = np.float32([0, 0, 0, 9, 0, 0, 0, 0]).reshape(1, 8, 1)
    >>> (blur_before_resize(image, (1, 4))[0, :, 0] * 10).astype(int).tolist()
    [0, 0, 9, 70, 9, 0, 0, 0]
    """
    return on_image(BlurBeforeResize(as_size(size), library, rounded), image)


@dataclass(frozen=True)
class BlurBeforeResize(ToSize):
    """Blurs with a Gaussian as wide as a resize to `size` needs, mirrored at the border.

    Attributes:
        size: of the resize that follows; the image keeps its own.
        library: whose Gaussian, see `blurs_before`.
        rounded: give integers back as integers.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> BlurBeforeResize((4, 4))(Batch(image=np.zeros((8, 8, 3), np.uint8))).image.shape
    (8, 8, 3)
    """

    size: Size
    library: Library = "scipy"
    rounded: bool = True

    @property
    def resampling(self) -> Resampling | None:  # type: ignore[override]
        reference = "scipy" if self.library == "scipy" else "torch"
        return Resampling(reference, self.rounded)

    def axes(self, size: Size, draw: Any = None) -> Axes:
        blurs = blurs_before(size, self.size, self.library)
        if blurs is None:
            return (), ()
        vertical, horizontal = (
            Sample(blur_taps(n, blur.sigma, blur.reach), (1.0, 0.0))
            for n, blur in zip(size, blurs, strict=True)
        )
        return (vertical,), (horizontal,)

    def largest_value(self, largest: float) -> float:
        return largest  # a weighted mean

    def describe(self) -> str:
        return f"blur as far as a resize to {by(self.size)} pixels would skip pixels"
