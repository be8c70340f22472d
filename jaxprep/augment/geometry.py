"""Random steps that move pixels: resized crops, crops, flips, rotations, affine and perspective
maps. Boxes, keypoints and masks move along."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxprep import codec
from jaxprep.augment.numbers import (
    Range,
    below,
    between,
    check_probability,
    check_range,
    happens,
    units,
)
from jaxprep.augment.warping import (
    IDENTITY,
    Method,
    affine,
    forward,
    perspective,
    rotation,
    warp,
)
from jaxprep.ops.crop import Axes, ToSize
from jaxprep.ops.window import DrawnWindow
from jaxprep.ops.words import by, number_list
from jaxprep.pipeline.step import FillValue, Geometry, Opaque, Sometimes, Step
from jaxprep.resample.tables import Reverse, Window
from jaxprep.types import Size


class CropWindow(NamedTuple):
    """A window of an image, in pixels: int32 scalars.

    >>> CropWindow(0, 0, 4, 4).height
    4
    """

    top: Any
    left: Any
    height: Any
    width: Any


@dataclass(frozen=True)
class RandomResizedCrop(DrawnWindow):
    """Cuts a window of random area and aspect ratio out, and resizes it.

    "Inception crop" is two distributions: torchvision's (also timm's and OpenCLIP's) keeps 43 % of
    a photograph's area on average, TensorFlow's (big_vision, scenic) 34 %.

    Every image is cropped: one that is left out would have another size.

    Attributes:
        size: of the result.
        scale: range of the window's share of the area.
        ratio: range of its width divided by its height.
        rule: "torchvision": area uniform, ratio log-uniform, 10 attempts, then the middle.
            "tensorflow": ratio uniform, height uniform, 100 attempts, then the whole image
            (`sample_distorted_bounding_box`).
        method, antialias: of the resize; "tensorflow" recipes have antialias=False, which needs
            reference="float".
        reference: "pillow12" (timm and torchvision on PIL images), "torchvision" (uint8 tensors)
            or "float"; the weights are made in the program, so that one level differs on 2e-4 of
            the values of many windows (2e-3 of one).
        rounded: give integers back as integers; False needs reference="float".

    >>> import jax
    >>> from jaxprep import Batch
    >>> image = np.zeros((20, 30, 3), np.uint8)
    >>> RandomResizedCrop(8)(Batch(image=image), key=jax.random.key(0)).image.shape
    (8, 8, 3)
    """

    size: Size
    scale: Range = (0.08, 1.0)
    ratio: Range = (3 / 4, 4 / 3)
    rule: Literal["torchvision", "tensorflow"] = "torchvision"
    method: Literal["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos3"] = "bilinear"
    antialias: bool = True
    reference: Literal["pillow12", "torchvision", "float"] = "pillow12"
    rounded: bool = True

    def check(self) -> None:
        super().check()
        check_range(self.scale, "$.scale", 0.0)
        check_range(self.ratio, "$.ratio", 1e-3)
        _, largest_share = self.scale
        if largest_share > 1:
            raise codec.expected("a share of the area of at most 1", self.scale, "$.scale")
        if self.reference == "float":
            return
        # Pillow always widens its filter where it reduces an image and always returns integers;
        # torchvision is only reproduced for uint8 images that are resized so
        for name in ("antialias", "rounded"):
            if not getattr(self, name):
                wanted = f"reference='float' with {name}=False"
                raise codec.expected(wanted, self.reference, "$.reference")

    def draw(self, key: Any, size: tuple[Any, Any]) -> CropWindow:
        """Return the window."""
        if self.rule == "tensorflow":
            return _tensorflow_window(key, size, self.scale, self.ratio)
        return _torchvision_window(key, size, self.scale, self.ratio)

    def describe(self) -> str:
        share = f"{self.scale[0]:g} to {self.scale[1]:g} of the area"
        return f"crop a random window, {share}, and resize it to {by(self.size)} pixels"


def _torchvision_window(key: Any, size: tuple[Any, Any], scale: Range, ratio: Range) -> CropWindow:
    # `RandomResizedCrop.get_params` of torchvision/transforms/transforms.py: the attempts are made
    # at once, and the first that fits is taken
    attempts = 10
    height, width = size
    area = (height * width).astype(jnp.float32)
    drawn = units(key, 2 * attempts + 2)
    target = area * between(drawn[:attempts], *scale)
    lowest, highest = ratio
    log_ratio = between(drawn[attempts:-2], math.log(lowest), math.log(highest))
    aspect = jnp.exp(log_ratio)
    widths = _rounded(jnp.sqrt(target * aspect))
    heights = _rounded(jnp.sqrt(target / aspect))
    fits_width = (widths > 0) & (widths <= width)
    fits = fits_width & (heights > 0) & (heights <= height)
    first = jnp.argmax(fits)
    drawn_height = heights[first]
    drawn_width = widths[first]
    # the middle of the image, as large as the range of ratios allows
    in_ratio = width.astype(jnp.float32) / height.astype(jnp.float32)
    lowest = np.float32(lowest)
    highest = np.float32(highest)
    of_width = _rounded(width.astype(jnp.float32) / lowest)
    of_height = _rounded(height.astype(jnp.float32) * highest)
    middle_height = jnp.where(in_ratio < lowest, of_width, height)
    middle_width = jnp.where(in_ratio > highest, of_height, width)
    any_fits = fits.any()
    new_height = jnp.where(any_fits, drawn_height, middle_height)
    new_width = jnp.where(any_fits, drawn_width, middle_width)
    top = below(drawn[-2], height - new_height + 1)
    left = below(drawn[-1], width - new_width + 1)
    top = jnp.where(any_fits, top, (height - new_height) // 2)
    left = jnp.where(any_fits, left, (width - new_width) // 2)
    return CropWindow(top, left, new_height, new_width)


def _rounded(numbers: Any) -> Any:
    """Numbers as integers, halves to even, as Python's `round` in the originals."""
    return jnp.round(numbers).astype(jnp.int32)


def _tensorflow_window(key: Any, size: tuple[Any, Any], scale: Range, ratio: Range) -> CropWindow:
    # `GenerateRandomCrop` of
    # https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/kernels/image/sample_distorted_bounding_box_op.cc
    attempts = 100
    drawn = units(key, 2 * attempts + 2)
    height, width = size
    area = (height * width).astype(jnp.float32)
    least, most = (area * np.float32(share) for share in scale)
    aspect = between(drawn[:attempts], *ratio)

    def width_of(heights: Any) -> Any:
        return _rounded(heights.astype(jnp.float32) * aspect)

    lowest = _rounded(jnp.sqrt(least / aspect))
    highest = _rounded(jnp.sqrt(most / aspect))
    # the largest height whose rounded width fits into the image; the 1e-7 is `kEps` there
    nearly_half = np.float32(0.5 - 1e-7)
    widest = (width.astype(jnp.float32) + nearly_half) / aspect
    widest = widest.astype(jnp.int32)
    widest = widest - (width_of(widest) > width)
    is_too_wide = width_of(highest) > width
    highest = jnp.where(is_too_wide, widest, highest)
    highest = jnp.minimum(highest, height)
    lowest = jnp.minimum(lowest, highest)
    height_unit = drawn[attempts:-2]
    count = highest - lowest + 1
    heights = lowest + below(height_unit, count)
    # one row more or less where rounding left the range of areas
    heights = heights + (_area(heights, width_of(heights)) < least)
    heights = heights - (_area(heights, width_of(heights)) > most)
    widths = width_of(heights)
    areas = _area(heights, widths)
    in_range = (areas >= least) & (areas <= most)
    fits_width = in_range & (widths > 0) & (widths <= width)
    fits = fits_width & (heights > 0) & (heights <= height)
    first = jnp.argmax(fits)
    # the whole image where none fits, as the caller of `GenerateRandomCrop` takes it
    new_height = jnp.where(fits.any(), heights[first], height)
    new_width = jnp.where(fits.any(), widths[first], width)
    # `Uniform(original_height - height)` there: the last position is never drawn
    top = below(drawn[-2], height - new_height)
    left = below(drawn[-1], width - new_width)
    return CropWindow(top, left, new_height, new_width)


def _area(heights: Any, widths: Any) -> Any:
    return (heights * widths).astype(jnp.float32)


@dataclass(frozen=True)
class RandomCrop(ToSize):
    """Cuts a window of `size` out at a random place, after padding all sides.

    As torchvision's `RandomCrop(size, padding, pad_if_needed=True)`. Every image is cropped: one
    that is left out would have another size.

    Attributes:
        size: height and width of the result, or one number for a square.
        padding: pixels on every side.
        fill: of the padding, in the unit of the image's values.

    >>> import jax
    >>> from jaxprep import Batch
    >>> image = np.zeros((32, 32, 3), np.uint8)
    >>> RandomCrop(32, padding=4)(Batch(image=image), key=jax.random.key(0)).image.shape
    (32, 32, 3)
    """

    size: Size
    padding: int = 0
    fill: FillValue = 0.0

    def check(self) -> None:
        super().check()
        if not 0 <= self.padding <= 2**16:
            raise codec.expected("0 to 65536 pixels", self.padding, "$.padding")

    def draw(self, key: Any, size: tuple[Any, Any]) -> tuple[Any, Any]:
        """Return the top and left of the window."""
        corners = []
        for side, wanted, unit in zip(size, self.size, units(key, 2), strict=True):
            padded = side + 2 * self.padding
            # a side that is too short is padded by what is missing, before and after
            missing = jnp.maximum(wanted - padded, 0)
            first = -self.padding - missing
            last = side + self.padding + missing - wanted
            count = last - first + 1
            corners.append(first + below(unit, count))
        top, left = corners
        return top, left

    @property
    def static_output_size(self) -> Size | None:
        return self.size

    def axes(self, size: Size, draw: Any = None) -> Axes:
        top, left = draw
        height, width = self.size
        rows = Window(top, height)
        columns = Window(left, width)
        return (rows,), (columns,)

    def describe(self) -> str:
        return f"crop a random window of {by(self.size)} pixels"


@dataclass(frozen=True)
class RandomFlip(Sometimes, Geometry):
    """Mirrors the image at random.

    Attributes:
        horizontal: probability of mirroring left to right.
        vertical: probability of mirroring top to bottom.
        probability, every: of mirroring at all; see `ops.Sometimes`.

    >>> import jax
    >>> from jaxprep import Batch
    >>> image = np.uint8([[[1], [2]]])
    >>> RandomFlip(horizontal=1.0)(Batch(image=image), key=jax.random.key(0)).image.ravel().tolist()
    [2, 1]
    """

    horizontal: float = 0.5
    vertical: float = 0.0
    probability: float = 1.0
    every: int = 1

    def check(self) -> None:
        check_probability(self.horizontal, "$.horizontal")
        check_probability(self.vertical, "$.vertical")

    def draw(self, key: Any, size: tuple[Any, Any]) -> tuple[Any, Any]:
        """Return whether to mirror top to bottom, and left to right."""
        del size
        vertical, horizontal = units(key, 2)
        return happens(vertical, self.vertical), happens(horizontal, self.horizontal)

    def unchanged(self, draw: Any) -> Any:
        return False, False

    def output_size(self, size: Size) -> Size:
        return size

    def axes(self, size: Size, draw: Any = None) -> Axes:
        flips_rows, flips_columns = draw
        return (Reverse(flips_rows),), (Reverse(flips_columns),)

    def describe(self) -> str:
        words = []
        if self.horizontal:
            words.append(f"left to right with probability {self.horizontal:g}")
        if self.vertical:
            words.append(f"top to bottom with probability {self.vertical:g}")
        return f"mirror {' and '.join(words) or 'nothing'}{self.how_often()}"


class RandomWarp(Sometimes, Opaque):
    """Base class of steps that draw the coefficients of a map.

    >>> issubclass(RandomRotation, RandomWarp)
    True
    """

    method: Method = "nearest"
    fill: FillValue = 0.0

    def apply(self, image: Any, draw: Any = None) -> Any:
        return warp(image, draw, method=self.method, fill=self.fill)

    def unchanged(self, draw: Any) -> Any:
        missing = len(draw) - len(IDENTITY)
        rest = np.zeros(missing, np.float32)
        return np.concatenate([IDENTITY, rest])

    def matrix(self, size: Any, draw: Any = None) -> Any:
        return forward(draw)

    def for_mask(self) -> Step:
        return MaskWarp()


@dataclass(frozen=True)
class MaskWarp(Opaque):
    """Warps a mask by the map that was drawn for its image, by nearest neighbour; outside it is 0.

    >>> import jax
    >>> jax.jit(MaskWarp().apply)(np.int32([[[7]]]), IDENTITY).item()
    7
    """

    def draw(self, key: Any, size: Any) -> Any:
        """Return the map that moves nothing; the pipeline passes those of the image."""
        del key, size
        return jnp.asarray(IDENTITY)

    def apply(self, image: Any, draw: Any = None) -> Any:
        return warp(image, draw)


@dataclass(frozen=True)
class RandomRotation(RandomWarp):
    """Rotates the image about its middle by a random angle; torchvision's `RandomRotation`.

    Attributes:
        degrees: range of the angle, counter-clockwise.
        method: "nearest", "bilinear" or "bicubic".
        fill: what lies outside the image, in the unit of its values.
        probability, every: how many images are rotated; see `ops.Sometimes`.

    >>> import jax
    >>> from jaxprep import Batch
    >>> image = np.zeros((8, 8, 3), np.uint8)
    >>> RandomRotation((-30.0, 30.0))(Batch(image=image), key=jax.random.key(0)).image.shape
    (8, 8, 3)
    """

    degrees: Range
    method: Method = "nearest"
    fill: FillValue = 0.0
    probability: float = 1.0
    every: int = 1

    def check(self) -> None:
        check_range(self.degrees, "$.degrees")

    def draw(self, key: Any, size: tuple[Any, Any]) -> Any:
        """Return the coefficients of the map."""
        unit = units(key, 1)[0]
        degrees = between(unit, *self.degrees)
        return rotation(degrees, size)

    def describe(self) -> str:
        low, high = self.degrees
        return f"rotate by {low:g} to {high:g} degrees{self.how_often()}"


@dataclass(frozen=True)
class RandomAffine(RandomWarp):
    """Rotates, moves, scales and shears the image at random; torchvision's `RandomAffine`.

    Attributes:
        degrees: range of the angle, clockwise.
        translate: largest shift along the height and the width, as a share of the side; whole
            pixels are drawn.
        scale: range of the factor; above 1 enlarges.
        shear_x, shear_y: ranges of angles, in degrees.
        method, fill, probability, every: as in `RandomRotation`.

    >>> import jax
    >>> from jaxprep import Batch
    >>> step = RandomAffine((-10.0, 10.0), translate=(0.1, 0.1), scale=(0.9, 1.1))
    >>> step(Batch(image=np.zeros((8, 8, 3), np.uint8)), key=jax.random.key(0)).image.shape
    (8, 8, 3)
    """

    degrees: Range = (0.0, 0.0)
    translate: Range = (0.0, 0.0)
    scale: Range = (1.0, 1.0)
    shear_x: Range = (0.0, 0.0)
    shear_y: Range = (0.0, 0.0)
    method: Method = "nearest"
    fill: FillValue = 0.0
    probability: float = 1.0
    every: int = 1

    def check(self) -> None:
        check_range(self.degrees, "$.degrees")
        check_range(self.scale, "$.scale", 1e-3)
        for name in ("shear_x", "shear_y"):
            low, high = getattr(self, name)
            if not -89 <= low <= high <= 89:
                raise codec.expected("a range of angles, -89 to 89", (low, high), f"$.{name}")
        for share in self.translate:
            if not 0 <= share <= 1:
                raise codec.expected("shares of the sides, 0 to 1", self.translate, "$.translate")

    def draw(self, key: Any, size: tuple[Any, Any]) -> Any:
        """Return the coefficients of the map."""
        drawn = units(key, 6)
        height, width = size
        share_down, share_right = self.translate
        # whole pixels, as `RandomAffine.get_params` of torchvision/transforms/transforms.py
        down = jnp.round(between(drawn[0], -1, 1) * share_down * height)
        right = jnp.round(between(drawn[1], -1, 1) * share_right * width)
        degrees = between(drawn[2], *self.degrees)
        scale = between(drawn[3], *self.scale)
        shear_x = between(drawn[4], *self.shear_x)
        shear_y = between(drawn[5], *self.shear_y)
        return affine(degrees, right, down, scale, shear_x, shear_y, size)

    def describe(self) -> str:
        low, high = self.degrees
        return f"rotate by {low:g} to {high:g} degrees, move, scale and shear{self.how_often()}"


@dataclass(frozen=True)
class RandomPerspective(RandomWarp):
    """Tilts the image at random; torchvision's `RandomPerspective`.

    Attributes:
        distortion: 0 to 1, how far corners move: of half the sides.
        probability: of tilting.
        method, fill, every: as in `RandomRotation`.

    >>> import jax
    >>> from jaxprep import Batch
    >>> image = np.zeros((8, 8, 3), np.uint8)
    >>> RandomPerspective()(Batch(image=image), key=jax.random.key(0)).image.shape
    (8, 8, 3)
    """

    distortion: float = 0.5
    probability: float = 0.5
    method: Method = "bilinear"
    fill: FillValue = 0.0
    every: int = 1

    def check(self) -> None:
        check_probability(self.distortion, "$.distortion")

    def draw(self, key: Any, size: tuple[Any, Any]) -> Any:
        """Return the eight coefficients of the map."""
        drawn = units(key, 8)
        height, width = (jnp.asarray(side, jnp.int32) for side in size)
        half_width = width // 2
        half_height = height // 2
        half = jnp.stack([half_width, half_height])
        half = half.astype(jnp.float32)
        # `RandomPerspective.get_params` of torchvision/transforms/transforms.py
        reach = (half * self.distortion).astype(jnp.int32)
        moved = below(drawn.reshape(4, 2), reach + 1)
        # towards the middle
        far = jnp.stack([width, height]) - 1
        is_far = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], bool)
        corners = jnp.where(is_far, far - moved, moved)
        return perspective(corners.astype(jnp.float32), size)

    def describe(self) -> str:
        fill = number_list(self.fill)
        return f"tilt, filling with {fill}{self.how_often()}"
