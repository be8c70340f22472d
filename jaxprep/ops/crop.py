"""Crops, pads and flips images: pixels are copied, never mixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import Shaped

from jaxprep import codec
from jaxprep.bounds import check_side, check_size
from jaxprep.errors import InputError
from jaxprep.ops.words import by, number_list
from jaxprep.pipeline.step import FillValue, Geometry, as_size, on_image
from jaxprep.resample.tables import AxisStep, Reverse, Window
from jaxprep.types import Array, Size

CenterRule = Literal["torchvision", "floor", "down", "up"]
Axes = tuple[tuple[AxisStep, ...], tuple[AxisStep, ...]]
"""The axis steps along the height and along the width."""


class ToSize(Geometry):
    """Base class of steps that aim at a `size`: height and width, or one number for a square.

    >>> CenterCrop(224).size
    (224, 224)
    """

    size: Size

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", as_size(self.size))
        super().__post_init__()

    def check(self) -> None:
        check_size(self.size, "$.size")


def _windows(top: int, height: int, left: int, width: int) -> Axes:
    return (Window(top, height),), (Window(left, width),)


def crop(
    image: Shaped[Array, "h w c"],
    top: int,
    left: int,
    height: int,
    width: int,
    fill: FillValue = 0.0,
) -> Shaped[Array, "height width c"]:
    """Cuts a window of `height` x `width` pixels, whose corner is at `(top, left)`, out of one
    image.

    Args:
        image: any dtype.
        top, left: in pixels; may be negative.
        height, width: at least 1.
        fill: what lies outside the image, in the unit of its values.

    >>> import numpy as np
    >>> image = np.arange(12).reshape(3, 4, 1)
    >>> crop(image, 1, 2, 2, 2)[..., 0].tolist()
    [[6, 7], [10, 11]]
    """
    return on_image(Crop(top, left, height, width, fill), image)


@dataclass(frozen=True)
class Crop(Geometry):
    """Cuts a fixed window out; see `crop`.

    Attributes:
        top, left, height, width, fill: as in `crop`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> Crop(0, 1, 2, 3)(Batch(image=np.zeros((4, 4, 3), np.uint8))).image.shape
    (2, 3, 3)
    """

    top: int
    left: int
    height: int
    width: int
    fill: FillValue = 0.0

    def check(self) -> None:
        check_size((self.height, self.width), "$.height")
        # An offset and a length are added in int32 in the program: below 2**30 (and a side of at
        # most `MAX_SIDE`) the sum cannot overflow.
        farthest = max(self.top, self.left, key=abs)
        if abs(farthest) > 2**30:
            raise codec.expected("an offset below 2**30", farthest, "$.top")

    @property
    def static_output_size(self) -> Size | None:
        return self.height, self.width

    def axes(self, size: Size, draw: Any = None) -> Axes:
        return _windows(self.top, self.height, self.left, self.width)

    def describe(self) -> str:
        window = f"{by((self.height, self.width))} from row {self.top}, column {self.left}"
        return f"crop {window}, padding what lies outside with {number_list(self.fill)}"


def center_crop(
    image: Shaped[Array, "h w c"],
    size: Size | int,
    *,
    rule: CenterRule = "torchvision",
    fill: FillValue = 0.0,
) -> Shaped[Array, "height width c"]:
    """Cuts the middle out of one image; a smaller image is padded.

    Args:
        image: any dtype.
        size: height and width of the result, or one number for a square.
        rule: where the middle is when the margin is odd. "torchvision" (also timm and OpenCLIP):
            rounded half to even, after padding a smaller side by half its deficit, rounded down, on
            the left and top. "floor" (Transformers' PIL backend, TensorFlow): rounded down, and up
            for padding. "down" (Transformers' torchvision backend): rounded down, and so is
            padding. "up" (Donut, which crops by padding with less than nothing): rounded up, and
            padding down.
        fill: of the padding, in the unit of the image's values.

    >>> import numpy as np
    >>> image = np.arange(16).reshape(4, 4, 1)
    >>> center_crop(image, 2)[..., 0].tolist()
    [[5, 6], [9, 10]]
    """
    return on_image(CenterCrop(size, rule, fill), image)  # type: ignore[arg-type]


@dataclass(frozen=True)
class CenterCrop(ToSize):
    """Cuts the middle out; see `center_crop`.

    Attributes:
        size, rule, fill: as in `center_crop`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> CenterCrop(2)(Batch(image=np.zeros((4, 4, 3), np.uint8))).image.shape
    (2, 2, 3)
    """

    size: Size
    rule: CenterRule = "torchvision"
    fill: FillValue = 0.0

    @property
    def static_output_size(self) -> Size | None:
        return self.size

    def axes(self, size: Size, draw: Any = None) -> Axes:
        vertical = _center_window(size[0], self.size[0], self.rule)
        horizontal = _center_window(size[1], self.size[1], self.rule)
        return (vertical,), (horizontal,)

    def describe(self) -> str:
        fill = number_list(self.fill)
        return f"crop the middle {by(self.size)}, padding a smaller image with {fill}"


def _center_window(n: int, m: int, rule: CenterRule) -> Window:
    """Return the middle `m` of `n` pixels."""
    if rule == "up":
        # `pad_image` of
        # https://github.com/huggingface/transformers/blob/main/src/transformers/models/donut/image_processing_donut.py
        return Window(-((m - n) // 2), m)
    if n < m:
        # Transformers' PIL backend pads by `ceil((m - n) / 2)` on top and left: `center_crop` of
        # https://github.com/huggingface/transformers/blob/main/src/transformers/image_transforms.py
        # Its torchvision backend pads by half rounded down: `center_crop` of
        # https://github.com/huggingface/transformers/blob/main/src/transformers/image_processing_backends.py
        # So does torchvision itself, `center_crop` of
        # https://github.com/pytorch/vision/blob/main/torchvision/transforms/functional.py
        before = (m - n + 1) // 2 if rule == "floor" else (m - n) // 2
        return Window(-before, m)
    # torchvision calls Python's `round`, half to even: margins of 1 and 3 go to opposite sides.
    # Transformers truncates in both backends.
    start = round((n - m) / 2) if rule == "torchvision" else (n - m) // 2
    return Window(start, m)


def center_crop_share(
    image: Shaped[Array, "h w c"], height: float, width: float, *, rule: CenterRule = "floor"
) -> Shaped[Array, "new_h new_w c"]:
    """Cuts the middle out of one image, in shares of its shorter side; see `CenterCropShare`.

    Args:
        image: any dtype.
        height, width: of the result, in shares of the shorter side of the image.
        rule: as in `center_crop`.

    >>> import numpy as np
    >>> center_crop_share(np.zeros((8, 10, 3)), 0.5, 0.75).shape
    (4, 6, 3)
    """
    return on_image(CenterCropShare(height, width, rule), image)


@dataclass(frozen=True)
class CenterCropShare(Geometry):
    """Cuts the middle out, in shares of the shorter side, truncated; what lies outside is 0.

    As Transformers' `PerceiverImageProcessor.center_crop`:
    https://github.com/huggingface/transformers/blob/main/src/transformers/models/perceiver/image_processing_perceiver.py

    Attributes:
        height, width: of the crop, as shares of the shorter side of the image.
        rule: see `center_crop`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> CenterCropShare(0.5, 0.75)(Batch(image=np.zeros((8, 10, 3), np.uint8))).image.shape
    (4, 6, 3)
    """

    height: float
    width: float
    rule: CenterRule = "floor"

    def check(self) -> None:
        for name in ("height", "width"):
            share = getattr(self, name)
            # Perceiver's shares are 0.875: 64 is far beyond what anyone means.
            if not 0 < share <= 64:
                raise codec.expected("a share above 0 and at most 64", share, f"$.{name}")

    def axes(self, size: Size, draw: Any = None) -> Axes:
        shorter = min(size)
        # The product is of float64 and then truncated, as there: it is not `shorter * a // b`.
        height, width = int(self.height * shorter), int(self.width * shorter)
        vertical = _center_window(size[0], height, self.rule)
        horizontal = _center_window(size[1], width, self.rule)
        return (vertical,), (horizontal,)

    def describe(self) -> str:
        share = f"{self.height:g} x {self.width:g} of the shorter side"
        return f"crop the middle, {share}, padding what is missing with 0"


def pad(
    image: Shaped[Array, "h w c"],
    top: int,
    bottom: int,
    left: int,
    right: int,
    fill: FillValue = 0.0,
) -> Shaped[Array, "new_h new_w c"]:
    """Adds rows and columns of `fill` around one image.

    Args:
        image: any dtype.
        top, bottom, left, right: numbers of pixels, 0 to 65536.
        fill: in the unit of the image's values.

    >>> import numpy as np
    >>> pad(np.ones((1, 1, 1)), 0, 1, 1, 0, fill=5.0)[..., 0].tolist()
    [[5.0, 1.0], [5.0, 5.0]]
    """
    return on_image(Pad(top, bottom, left, right, fill), image)


@dataclass(frozen=True)
class Pad(Geometry):
    """Adds rows and columns around the image; see `pad`.

    Attributes:
        top, bottom, left, right, fill: as in `pad`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> Pad(top=1, left=2)(Batch(image=np.zeros((4, 4, 3), np.uint8))).image.shape
    (5, 6, 3)
    """

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0
    fill: FillValue = 0.0

    def check(self) -> None:
        for name in ("top", "bottom", "left", "right"):
            pixels = getattr(self, name)
            # Two such margins and a side stay far below int32, in which positions are computed.
            if not 0 <= pixels <= 2**16:
                raise codec.expected("0 to 65536 pixels", pixels, f"$.{name}")

    def axes(self, size: Size, draw: Any = None) -> Axes:
        height = size[0] + self.top + self.bottom
        width = size[1] + self.left + self.right
        return _windows(-self.top, height, -self.left, width)

    def describe(self) -> str:
        sides = {
            "above": self.top,
            "below": self.bottom,
            "on the left": self.left,
            "on the right": self.right,
        }
        words = [f"{pixels} {side}" for side, pixels in sides.items() if pixels]
        margins = ", ".join(words)
        if not margins:
            return "pad nothing"
        return f"pad with {number_list(self.fill)}: {margins} (pixels)"


def flip(
    image: Shaped[Array, "h w c"], *, horizontal: bool = True, vertical: bool = False
) -> Shaped[Array, "h w c"]:
    """Mirrors one image left to right, top to bottom, or both.

    Args:
        image: any dtype.
        horizontal: whether left and right change places.
        vertical: whether top and bottom do.

    >>> import numpy as np
    >>> flip(np.arange(4).reshape(2, 2, 1))[..., 0].tolist()
    [[1, 0], [3, 2]]
    """
    return on_image(Flip(horizontal, vertical), image)


@dataclass(frozen=True)
class Flip(Geometry):
    """Mirrors the image; see `flip`.

    Attributes:
        horizontal: whether left and right change places.
        vertical: whether top and bottom do.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> Flip()(Batch(image=np.uint8([[[1], [2]]]))).image.tolist()
    [[[2], [1]]]
    """

    horizontal: bool = True
    vertical: bool = False

    def axes(self, size: Size, draw: Any = None) -> Axes:
        return (Reverse(self.vertical),), (Reverse(self.horizontal),)

    def describe(self) -> str:
        directions = ["left to right"] * self.horizontal
        directions += ["top to bottom"] * self.vertical
        if not directions:
            return "mirror nothing"
        return f"mirror {' and '.join(directions)}"


def crop_to_aspect(
    image: Shaped[Array, "h w c"], size: Size | int
) -> Shaped[Array, "new_h new_w c"]:
    """Cuts the largest middle part with the aspect ratio of `size` out of one image; see
    `CropToAspect`.

    Args:
        image: any dtype.
        size: height and width whose aspect ratio the result has.

    >>> import numpy as np
    >>> crop_to_aspect(np.zeros((10, 8, 3)), (2, 2)).shape
    (8, 8, 3)
    """
    return on_image(CropToAspect(size), image)  # type: ignore[arg-type]


@dataclass(frozen=True)
class CropToAspect(ToSize):
    """Cuts out the largest middle part with the aspect ratio of `size` (height, width).

    As Keras' `Resizing(crop_to_aspect_ratio=True)` does: lengths and margins are rounded down.

    Attributes:
        size: height and width whose aspect ratio the result has.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> CropToAspect((2, 2))(Batch(image=np.zeros((10, 8, 3), np.uint8))).image.shape
    (8, 8, 3)
    """

    size: Size

    def axes(self, size: Size, draw: Any = None) -> Axes:
        height, width = size
        new_height, new_width = self.size
        # A product of integers divided as floats and truncated, and at least one pixel: `resize` of
        # https://github.com/keras-team/keras/blob/master/keras/src/backend/jax/image.py
        # An exact quotient rounded down differs where the float quotient is just below an integer.
        crop_height = int(float(width * new_height) / new_width)
        crop_height = max(min(height, crop_height), 1)
        crop_width = int(float(height * new_width) / new_height)
        crop_width = max(min(width, crop_width), 1)
        top = (height - crop_height) // 2
        left = (width - crop_width) // 2
        return _windows(top, crop_height, left, crop_width)

    def describe(self) -> str:
        return f"crop the middle to the aspect ratio of {by(self.size)}"


def pad_to_aspect(
    image: Shaped[Array, "h w c"], size: Size | int, fill: FillValue = 0.0
) -> Shaped[Array, "new_h new_w c"]:
    """Pads one image to about the aspect ratio of `size`; see `PadToAspect`.

    Args:
        image: any dtype.
        size: height and width whose aspect ratio the result has.
        fill: of the padding, in the unit of the image's values.

    >>> import numpy as np
    >>> pad_to_aspect(np.zeros((10, 6, 3)), (2, 2)).shape
    (10, 10, 3)
    """
    return on_image(PadToAspect(size, fill), image)  # type: ignore[arg-type]


@dataclass(frozen=True)
class PadToAspect(ToSize):
    """Adds equal margins on two sides, to about the aspect ratio of `size` (height, width).

    As Keras' `Resizing(pad_to_aspect_ratio=True)` does: both are half of the deficit, rounded down,
    so that an odd deficit leaves the result a pixel short.

    Attributes:
        size, fill: as in `pad_to_aspect`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> PadToAspect((2, 2))(Batch(image=np.zeros((10, 6, 3), np.uint8))).image.shape
    (10, 10, 3)
    """

    size: Size
    fill: FillValue = 0.0

    def axes(self, size: Size, draw: Any = None) -> Axes:
        height, width = size
        new_height, new_width = self.size
        padded_height = max(height, int(float(width * new_height) / new_width))
        padded_width = max(width, int(float(height * new_width) / new_height))
        # Only one side is short. Both margins are half of the deficit, truncated: `resize` of
        # https://github.com/keras-team/keras/blob/master/keras/src/backend/jax/image.py
        above = (padded_height - height) // 2
        left = 0 if above else (padded_width - width) // 2
        return _windows(-above, height + 2 * above, -left, width + 2 * left)

    def describe(self) -> str:
        fill = number_list(self.fill)
        return f"pad two sides equally with {fill} to the aspect ratio of {by(self.size)}"


def pad_to_square(
    image: Shaped[Array, "h w c"], fill: FillValue = 0.0, *, centered: bool = True
) -> Shaped[Array, "side side c"]:
    """Puts one image in the middle of a square of its longer side; an odd pixel goes below, or to
    the right.

    Args:
        image: any dtype.
        fill: of the padding, in the unit of the image's values.
        centered: False puts it in the top-left corner.

    >>> import numpy as np
    >>> pad_to_square(np.zeros((10, 6, 3))).shape
    (10, 10, 3)
    """
    return on_image(PadToSquare(fill, centered), image)


@dataclass(frozen=True)
class PadToSquare(Geometry):
    """Pads to a square, the image in its middle, or in its corner; see `pad_to_square`.

    Attributes:
        fill: as in `pad_to_square`.
        centered: whether the image is in the middle, or at the top left.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> PadToSquare()(Batch(image=np.zeros((10, 6, 3), np.uint8))).image.shape
    (10, 10, 3)
    """

    fill: FillValue = 0.0
    centered: bool = True

    def axes(self, size: Size, draw: Any = None) -> Axes:
        side = max(size)
        if not self.centered:
            return _windows(0, side, 0, side)
        # `pad_to_square` of Transformers' Janus begins at `(side - height) // 2`, too:
        # https://github.com/huggingface/transformers/blob/main/src/transformers/models/janus/image_processing_janus.py
        above, left = (side - size[0]) // 2, (side - size[1]) // 2
        return _windows(-above, side, -left, side)

    def describe(self) -> str:
        sides = "two sides equally" if self.centered else "below or on the right"
        return f"pad {sides} with {number_list(self.fill)} to a square"


def check_holds(padded_size: Size, size: Size) -> None:
    """Check that an image of `size` is not larger than what it is padded to.

    >>> check_holds((4, 4), (3, 4))
    """
    # Cropping instead would lose pixels without a word: the format's resize must come first.
    if any(n > m for n, m in zip(size, padded_size, strict=True)):
        raise InputError(
            f"Expected an image of at most {padded_size}, to be padded to that, got one of {size}."
        )


def pad_to(
    image: Shaped[Array, "h w c"], size: Size | int, fill: FillValue = 0.0
) -> Shaped[Array, "height width c"]:
    """Puts one image in the top-left corner of `size` (height, width), which must hold it.

    Args:
        image: any dtype.
        size: height and width of the result, or one number for a square.
        fill: of the padding, in the unit of the image's values.

    Raises:
        InputError: the image is larger.

    >>> import numpy as np
    >>> pad_to(np.ones((1, 1, 1)), (2, 2))[..., 0].tolist()
    [[1.0, 0.0], [0.0, 0.0]]
    """
    return on_image(PadTo(size, fill), image)  # type: ignore[arg-type]


@dataclass(frozen=True)
class PadTo(ToSize):
    """Adds rows below and columns to the right, up to `size`; see `pad_to`.

    Attributes:
        size, fill: as in `pad_to`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> PadTo((4, 6))(Batch(image=np.zeros((3, 2, 3), np.uint8))).image.shape
    (4, 6, 3)
    """

    size: Size
    fill: FillValue = 0.0

    @property
    def static_output_size(self) -> Size | None:
        return self.size

    def axes(self, size: Size, draw: Any = None) -> Axes:
        check_holds(self.size, size)
        return _windows(0, self.size[0], 0, self.size[1])

    def describe(self) -> str:
        fill = number_list(self.fill)
        return f"pad below and on the right with {fill} to {by(self.size)} pixels"


def pad_to_at_least(
    image: Shaped[Array, "h w c"], size: Size | int, fill: FillValue = 0.0
) -> Shaped[Array, "new_h new_w c"]:
    """Puts one image in the top-left corner of at least `size`; see `PadToAtLeast`.

    Args:
        image: any dtype.
        size: the least height and width of the result.
        fill: of the padding, in the unit of the image's values.

    >>> import numpy as np
    >>> pad_to_at_least(np.zeros((5, 2, 3)), (4, 4)).shape
    (5, 4, 3)
    """
    return on_image(PadToAtLeast(size, fill), image)  # type: ignore[arg-type]


@dataclass(frozen=True)
class PadToAtLeast(ToSize):
    """Adds rows below and columns to the right, up to `size`; a side that is longer stays.

    Attributes:
        size, fill: as in `pad_to_at_least`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> PadToAtLeast((4, 4))(Batch(image=np.zeros((5, 2, 3), np.uint8))).image.shape
    (5, 4, 3)
    """

    size: Size
    fill: FillValue = 0.0

    def axes(self, size: Size, draw: Any = None) -> Axes:
        height = max(size[0], self.size[0])
        width = max(size[1], self.size[1])
        return _windows(0, height, 0, width)

    def describe(self) -> str:
        fill = number_list(self.fill)
        return f"pad below and on the right with {fill} to at least {by(self.size)} pixels"


def pad_to_multiple(
    image: Shaped[Array, "h w c"], divisor: int, *, centered: bool = False, fill: FillValue = 0.0
) -> Shaped[Array, "new_h new_w c"]:
    """Pads one image to multiples of `divisor`; see `PadToMultiple`.

    Args:
        image: any dtype.
        divisor: what the sides of the result are multiples of.
        centered: whether the image is in the middle, or at the top left.
        fill: of the padding, in the unit of the image's values.

    >>> import numpy as np
    >>> pad_to_multiple(np.zeros((5, 8, 3)), 4).shape
    (8, 8, 3)
    """
    return on_image(PadToMultiple(divisor, centered, fill), image)


@dataclass(frozen=True)
class PadToMultiple(Geometry):
    """Adds rows and columns up to the next multiple of `divisor`, below and to the right.

    Attributes:
        divisor, fill: as in `pad_to_multiple`.
        centered: add half of them, rounded down, above and on the left.
        beyond_columns: add `divisor` columns where the width is a multiple already.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> PadToMultiple(4)(Batch(image=np.zeros((5, 8, 3), np.uint8))).image.shape
    (8, 8, 3)
    """

    divisor: int
    centered: bool = False
    fill: FillValue = 0.0
    beyond_columns: bool = False

    def check(self) -> None:
        check_side(self.divisor, "$.divisor")

    def axes(self, size: Size, draw: Any = None) -> Axes:
        height = -(-size[0] // self.divisor) * self.divisor
        width = -(-size[1] // self.divisor) * self.divisor
        if self.beyond_columns and width == size[1]:
            width += self.divisor
        if not self.centered:
            return _windows(0, height, 0, width)
        above, left = (height - size[0]) // 2, (width - size[1]) // 2
        return _windows(-above, height, -left, width)

    def describe(self) -> str:
        sides = "on all sides" if self.centered else "below and on the right"
        fill = number_list(self.fill)
        beyond = ", columns to the next above" if self.beyond_columns else ""
        return f"pad {sides} with {fill} to a multiple of {self.divisor} pixels{beyond}"
