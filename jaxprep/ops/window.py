"""Resizes a window whose position and size are known only at run time, as of a random crop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from jaxtyping import Shaped

from jaxprep import codec
from jaxprep.bounds import check_size
from jaxprep.ops.crop import Axes, ToSize
from jaxprep.ops.resize import Method
from jaxprep.pipeline.step import Resampling, as_size, on_image
from jaxprep.resample.filters import METHODS, canonical_method
from jaxprep.resample.tables import Resample, Window
from jaxprep.types import Array, Size


def resize_window(
    image: Shaped[Array, "h w c"],
    top: Any,
    left: Any,
    height: Any,
    width: Any,
    size: Size | int,
    *,
    method: str | int = "bilinear",
    antialias: bool = True,
    rounded: bool = True,
) -> Shaped[Array, "new_h new_w c"]:
    """Crops a window of one image and resizes it, with the window traced: one program for all
    windows.

    The same as `resize(crop(image, ...), size, reference="float")`: the filter ends at the edge of
    the window.

    Args:
        image: any type.
        top, left: integer scalars, the corner of the window, inside the image.
        height, width: integer scalars, at least 1; the window lies inside the image (not checked
            when traced).
        size: height and width of the result.
        method, antialias: as in `resize`.
        rounded: give integers back as integers, rounded half to even and saturated; otherwise as
            float32.

    >>> import numpy as np
    >>> image = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    >>> resize_window(image, 0, 0, 2, 2, 1)[..., 0].tolist()
    [[2.5]]
    """
    name = str(canonical_method(method))
    if name not in METHODS:
        raise codec.expected(f"one of {list(METHODS)}", method, "method")
    check_size(as_size(size), "size")
    step = WindowResize(as_size(size), name, antialias, rounded)  # type: ignore[arg-type]
    return on_image(step, image, draws=((top, left, height, width),))


class DrawnWindow(ToSize):
    """Base class of steps that resize a window of the image, which their draw says: its `top`,
    `left`, `height` and `width` in pixels, in this order.

    Attributes:
        method, antialias: of the resize.
        reference: one of those whose weights the program can make, see
            `jaxprep.resample.tables.TRACED_REFERENCES`.
        rounded: give integers back as integers.

    >>> issubclass(WindowResize, DrawnWindow)
    True
    """

    method: str
    antialias: bool
    reference: str = "float"
    rounded: bool = True

    @property
    def static_output_size(self) -> Size | None:
        return self.size

    @property
    def keeps_window(self) -> bool:  # type: ignore[override]
        return self.method != "nearest"

    @property
    def resampling(self) -> Resampling | None:  # type: ignore[override]
        return None if self.method == "nearest" else Resampling(self.reference, self.rounded)

    def axes(self, size: Size, draw: Any = None) -> Axes:
        top, left, height, width = draw
        # Only the nearest pixels of `float` are found inside a program.
        reference = "float" if self.method == "nearest" else self.reference
        # The window first, so that the filter ends at its edge: torchvision's `resized_crop` of
        # https://github.com/pytorch/vision/blob/main/torchvision/transforms/functional.py
        vertical = Resample(self.size[0], self.method, self.antialias, reference)
        horizontal = Resample(self.size[1], self.method, self.antialias, reference)
        return (Window(top, height), vertical), (Window(left, width), horizontal)

    def for_mask(self) -> DrawnWindow:
        # A class between two classes is another class: labels are never mixed.
        return replace(self, method="nearest")  # type: ignore[type-var]


@dataclass(frozen=True)
class WindowResize(DrawnWindow):
    """Resizes a window of the image; its draw is `(top, left, height, width)` in pixels.

    >>> import numpy as np
    >>> image = np.arange(16, dtype=np.float32).reshape(4, 4, 1)
    >>> on_image(WindowResize((1, 1)), image, draws=((0, 0, 2, 2),))[..., 0].tolist()
    [[2.5]]
    """

    size: Size
    method: Method = "bilinear"
    antialias: bool = True
    rounded: bool = True

    def draw(self, key: Any, size: tuple[Any, Any]) -> tuple[Any, Any, Any, Any]:
        """Return the window of all pixels; `resize_window` takes others."""
        del key
        return 0, 0, size[0], size[1]
