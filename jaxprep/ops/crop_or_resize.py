"""Crops the middle, or resizes what is smaller: `CenterCrop` of Keras."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Float, Shaped

from jaxprep.bounds import check_size
from jaxprep.ops.crop import Axes, CropToAspect
from jaxprep.ops.resize import Method, Resampler
from jaxprep.ops.words import by
from jaxprep.pipeline.step import as_size, on_image
from jaxprep.resample.references import ReferenceName
from jaxprep.resample.tables import Window
from jaxprep.types import Array, Size


def crop_or_resize(
    image: Shaped[Array, "h w c"],
    size: Size | int,
    *,
    method: Method = "bilinear",
    antialias: bool = False,
    reference: ReferenceName = "jax",
) -> Float[Array, "height width c"]:
    """Crop the middle of one image that is at least as large as `size`; of another one, resize the
    largest middle part with the aspect ratio of `size`.

    Args:
        image: any dtype; the result is float32, not rounded.
        size: height and width; a number is a square.
        method, antialias, reference: of the resize, as in `jaxprep.ops.resize`.

    >>> import numpy as np
    >>> small = np.zeros((8, 6, 3), np.uint8)
    >>> crop_or_resize(small, (4, 4)).shape, crop_or_resize(small, (12, 12)).shape
    ((4, 4, 3), (12, 12, 3))
    """
    step = CropOrResize(size, method, antialias, reference)  # type: ignore[arg-type]
    return on_image(step, image)


@dataclass(frozen=True)
class CropOrResize(Resampler):
    """Crops the middle, or resizes an image that is smaller; see `crop_or_resize`.

    As Keras' `CenterCrop`, whose results are float32:
    https://github.com/keras-team/keras/blob/master/keras/src/layers/preprocessing/image_preprocessing/center_crop.py

    Attributes:
        size: height and width of the result, or one number for a square.
        method, antialias, reference, rounded: of the resize, as in `Resize`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> CropOrResize((4, 4))(Batch(image=np.zeros((10, 3, 3), np.uint8))).image.shape
    (4, 4, 3)
    """

    size: Size
    method: Method = "bilinear"
    antialias: bool = False
    reference: ReferenceName = "jax"
    rounded: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", as_size(self.size))
        super().__post_init__()

    def check(self) -> None:
        check_size(self.size, "$.size")
        super().check()

    @property
    def static_output_size(self) -> Size | None:
        return self.size

    def axes(self, size: Size, draw: Any = None) -> Axes:
        top = size[0] - self.size[0]
        left = size[1] - self.size[1]
        if top >= 0 and left >= 0:
            return (Window(top // 2, self.size[0]),), (Window(left // 2, self.size[1]),)
        rows, columns = CropToAspect(self.size).axes(size)
        vertical, horizontal = self.resample(self.size)
        return (*rows, vertical), (*columns, horizontal)

    def for_mask(self) -> CropOrResize:
        return replace(self, method="nearest")

    def describe(self) -> str:
        return (
            f"crop the middle {by(self.size)}; of a smaller image, resize the middle of that "
            f"aspect ratio, {self.filter_words()}"
        )
