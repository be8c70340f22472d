"""Crops, padding and flips: pixels are copied, never mixed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import jax
import numpy as np

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.ops.step import OUTSIDE, AxisMap, Select, as_size, check_size
from jaxprep.types import Batch, Size

Fill = float | tuple[float, ...]
CenterRule = Literal["torchvision", "floor", "down"]


class ToSize(Select):
    """A selection that aims at a `size`: height and width, or one number for a square."""

    size: Size

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", as_size(self.size))
        super().__post_init__()

    def check(self) -> None:
        check_size(self.size, "$.size")


def _window(n: int, start: int, length: int) -> np.ndarray:
    """The indices of `length` pixels from `start` on an axis of `n`."""
    rows = np.arange(start, start + length)
    return np.where((rows >= 0) & (rows < n), rows, OUTSIDE)


def crop(image: Any, top: int, left: int, height: int, width: int, fill: Fill = 0.0) -> jax.Array:
    """The window of `height` x `width` pixels whose corner is at `(top, left)`, of one image `(h,
    w, c)`.

    What lies outside the image is `fill`, in the unit of its values.
    """
    return Crop(top, left, height, width, fill)(Batch(image=image)).image


@dataclass(frozen=True)
class Crop(Select):
    """A fixed window; see `crop`."""

    top: int
    left: int
    height: int
    width: int
    fill: Fill = 0.0

    def check(self) -> None:
        check_size((self.height, self.width), "$.height")
        if max(abs(self.top), abs(self.left)) > 2**30:
            raise codec.expected(
                "an offset below 2**30", max(self.top, self.left, key=abs), "$.top"
            )

    @property
    def fixed(self) -> Size | None:
        return self.height, self.width

    def rows(self, size: Size) -> tuple[np.ndarray, np.ndarray]:
        return _window(size[0], self.top, self.height), _window(size[1], self.left, self.width)


def center_crop(
    image: Any, size: Size | int, *, rule: CenterRule = "torchvision", fill: Fill = 0.0
) -> jax.Array:
    """The middle `size` pixels (height, width) of one image `(h, w, c)`; a smaller image is padded
    with `fill`.

    Args:
        rule: where the middle is when the margin is odd. "torchvision" (also timm and OpenCLIP):
            rounded half to even, after padding a smaller side by half its deficit, rounded down, on
            the left and top. "floor" (Transformers' PIL backend, TensorFlow): rounded down, and up
            for padding. "down" (Transformers' torchvision backend): rounded down, and so is
            padding.
    """
    return CenterCrop(size, rule, fill)(Batch(image=image)).image  # type: ignore[arg-type]


@dataclass(frozen=True)
class CenterCrop(ToSize):
    """The middle of the image; see `center_crop`."""

    size: Size
    rule: CenterRule = "torchvision"
    fill: Fill = 0.0

    @property
    def fixed(self) -> Size | None:
        return self.size

    def rows(self, size: Size) -> tuple[np.ndarray, np.ndarray]:
        vertical, horizontal = (
            _centre(n, m, self.rule) for n, m in zip(size, self.size, strict=True)
        )
        return vertical, horizontal


def _centre(n: int, m: int, rule: CenterRule) -> np.ndarray:
    if n < m:
        before = (m - n + 1) // 2 if rule == "floor" else (m - n) // 2
        return _window(n, -before, m)
    return _window(n, round((n - m) / 2) if rule == "torchvision" else (n - m) // 2, m)


def center_crop_share(
    image: Any, height: float, width: float, *, rule: CenterRule = "floor"
) -> jax.Array:
    """The middle of one image `(h, w, c)`; see `CenterCropShare`."""
    return CenterCropShare(height, width, rule)(Batch(image=image)).image


@dataclass(frozen=True)
class CenterCropShare(Select):
    """The middle of the image, in shares of its shorter side, truncated (Perceiver); what it lacks
    is 0.

    Attributes:
        height, width: of the crop, as shares of the shorter side of the image.
        rule: see `center_crop`.
    """

    height: float
    width: float
    rule: CenterRule = "floor"

    def check(self) -> None:
        for name in ("height", "width"):
            if not 0 < getattr(self, name) <= 64:
                raise codec.expected(
                    "a share above 0 and at most 64", getattr(self, name), f"$.{name}"
                )

    def rows(self, size: Size) -> tuple[np.ndarray, np.ndarray]:
        height, width = int(self.height * min(size)), int(self.width * min(size))
        return _centre(size[0], height, self.rule), _centre(size[1], width, self.rule)


def pad(image: Any, top: int, bottom: int, left: int, right: int, fill: Fill = 0.0) -> jax.Array:
    """Rows and columns of `fill` around one image `(h, w, c)`; numbers of pixels, at least 0."""
    return Pad(top, bottom, left, right, fill)(Batch(image=image)).image


@dataclass(frozen=True)
class Pad(Select):
    """Rows and columns around the image; see `pad`."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0
    fill: Fill = 0.0

    def check(self) -> None:
        for name in ("top", "bottom", "left", "right"):
            if not 0 <= getattr(self, name) <= 2**16:
                raise codec.expected("0 to 65536 pixels", getattr(self, name), f"$.{name}")

    def rows(self, size: Size) -> tuple[np.ndarray, np.ndarray]:
        height, width = size
        vertical = _window(height, -self.top, height + self.top + self.bottom)
        return vertical, _window(width, -self.left, width + self.left + self.right)


def flip(image: Any, *, horizontal: bool = True, vertical: bool = False) -> jax.Array:
    """One image `(h, w, c)` mirrored left to right, top to bottom, or both."""
    return Flip(horizontal, vertical)(Batch(image=image)).image


@dataclass(frozen=True)
class Flip(Select):
    """Mirroring; see `flip`."""

    horizontal: bool = True
    vertical: bool = False

    def rows(self, size: Size) -> tuple[np.ndarray, np.ndarray]:
        vertical, horizontal = map(np.arange, size)
        return vertical[::-1] if self.vertical else vertical, horizontal[
            ::-1
        ] if self.horizontal else horizontal

    def maps(self, size: Size) -> tuple[AxisMap, AxisMap]:
        height, width = size
        vertical = (-1.0, float(height)) if self.vertical else (1.0, 0.0)
        return vertical, (-1.0, float(width)) if self.horizontal else (1.0, 0.0)


def crop_to_aspect(image: Any, size: Size | int) -> jax.Array:
    """The largest middle part of one image `(h, w, c)` with the aspect ratio of `size`; see
    `CropToAspect`.
    """
    return CropToAspect(size)(Batch(image=image)).image  # type: ignore[arg-type]


@dataclass(frozen=True)
class CropToAspect(ToSize):
    """The largest middle part with the aspect ratio of `size` (height, width), as Keras' `Resizing`
    takes it.

    Lengths and margins are rounded down.
    """

    size: Size

    def rows(self, size: Size) -> tuple[np.ndarray, np.ndarray]:
        (height, width), (th, tw) = size, self.size
        crop_height = max(min(height, int(float(width * th) / tw)), 1)
        crop_width = max(min(width, int(float(height * tw) / th)), 1)
        vertical = _window(height, (height - crop_height) // 2, crop_height)
        return vertical, _window(width, (width - crop_width) // 2, crop_width)


def pad_to_aspect(image: Any, size: Size | int, fill: Fill = 0.0) -> jax.Array:
    """One image `(h, w, c)` padded to about the aspect ratio of `size`; see `PadToAspect`."""
    return PadToAspect(size, fill)(Batch(image=image)).image  # type: ignore[arg-type]


@dataclass(frozen=True)
class PadToAspect(ToSize):
    """Equal margins on two sides to reach the aspect ratio of `size` (height, width), as Keras'
    `Resizing` adds them.

    Both margins are half of the deficit, rounded down, so that an odd deficit leaves the result a
    pixel short.
    """

    size: Size
    fill: Fill = 0.0

    def rows(self, size: Size) -> tuple[np.ndarray, np.ndarray]:
        (height, width), (th, tw) = size, self.size
        padded_height = max(height, int(float(width * th) / tw))
        padded_width = max(width, int(float(height * tw) / th))
        if max(padded_height, padded_width) > 2**20:
            raise InputError(
                f"Expected an image whose padding stays below 2**20 pixels, got size {size}."
            )
        above = (padded_height - height) // 2
        beside = 0 if above else (padded_width - width) // 2
        return _window(height, -above, height + 2 * above), _window(
            width, -beside, width + 2 * beside
        )


def pad_to_square(image: Any, fill: Fill = 0.0) -> jax.Array:
    """One image `(h, w, c)` in the middle of a square of its longer side; an odd pixel goes below,
    or to the right.
    """
    return PadToSquare(fill)(Batch(image=image)).image


@dataclass(frozen=True)
class PadToSquare(Select):
    """A square around the image; see `pad_to_square`."""

    fill: Fill = 0.0

    def rows(self, size: Size) -> tuple[np.ndarray, np.ndarray]:
        vertical, horizontal = (_window(n, -((max(size) - n) // 2), max(size)) for n in size)
        return vertical, horizontal


def pad_to(image: Any, size: Size | int, fill: Fill = 0.0) -> jax.Array:
    """One image `(h, w, c)` in the top-left corner of `size` (height, width), which must hold
    it.
    """
    return PadTo(size, fill)(Batch(image=image)).image  # type: ignore[arg-type]


@dataclass(frozen=True)
class PadTo(ToSize):
    """Rows below and columns to the right, up to `size`; see `pad_to`."""

    size: Size
    fill: Fill = 0.0

    @property
    def fixed(self) -> Size | None:
        return self.size

    def rows(self, size: Size) -> tuple[np.ndarray, np.ndarray]:
        if any(n > m for n, m in zip(size, self.size, strict=True)):
            raise InputError(
                f"Expected an image of at most {self.size}, to be padded to that, got one of {size}."
            )
        return _window(size[0], 0, self.size[0]), _window(size[1], 0, self.size[1])


def pad_to_at_least(image: Any, size: Size | int, fill: Fill = 0.0) -> jax.Array:
    """One image `(h, w, c)` in the top-left corner; see `PadToAtLeast`."""
    return PadToAtLeast(size, fill)(Batch(image=image)).image  # type: ignore[arg-type]


@dataclass(frozen=True)
class PadToAtLeast(ToSize):
    """Rows below and columns to the right, up to `size`; a side that is longer stays."""

    size: Size
    fill: Fill = 0.0

    def rows(self, size: Size) -> tuple[np.ndarray, np.ndarray]:
        vertical, horizontal = (
            _window(n, 0, max(n, m)) for n, m in zip(size, self.size, strict=True)
        )
        return vertical, horizontal


def pad_to_multiple(
    image: Any, divisor: int, *, centered: bool = False, fill: Fill = 0.0
) -> jax.Array:
    """One image `(h, w, c)` padded to multiples of `divisor`; see `PadToMultiple`."""
    return PadToMultiple(divisor, centered, fill)(Batch(image=image)).image


@dataclass(frozen=True)
class PadToMultiple(Select):
    """Rows below and columns to the right, or around, up to the next multiple of `divisor`.

    Attributes:
        centered: add half of them, rounded down, above and on the left.
    """

    divisor: int
    centered: bool = False
    fill: Fill = 0.0

    def check(self) -> None:
        check_size((self.divisor, self.divisor), "$.divisor")

    def rows(self, size: Size) -> tuple[np.ndarray, np.ndarray]:
        padded = [-(-n // self.divisor) * self.divisor for n in size]
        check_size((padded[0], padded[1]), "$.divisor")
        vertical, horizontal = (
            _window(n, -((m - n) // 2) if self.centered else 0, m)
            for n, m in zip(size, padded, strict=True)
        )
        return vertical, horizontal


def pad_to_next_multiple(image: Any, divisor: int) -> jax.Array:
    """One image `(h, w, c)` mirrored below and to the right; see `PadToNextMultiple`."""
    return PadToNextMultiple(divisor)(Batch(image=image)).image


@dataclass(frozen=True)
class PadToNextMultiple(Select):
    """Mirrored below and to the right, edge included, to the next greater multiple of `divisor`
    (Swin2SR).
    """

    divisor: int

    def check(self) -> None:
        check_size((self.divisor, self.divisor), "$.divisor")

    def rows(self, size: Size) -> tuple[np.ndarray, np.ndarray]:
        padded = [(n // self.divisor + 1) * self.divisor for n in size]
        check_size((padded[0], padded[1]), "$.divisor")
        vertical, horizontal = (
            np.pad(np.arange(n), (0, m - n), mode="symmetric")
            for n, m in zip(size, padded, strict=True)
        )
        return vertical, horizontal
