"""Converts colours: alpha laid over a checkerboard or multiplied in, channels reversed, gray,
the nearest colours of a palette. `ToRGB` is in `pixels.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32, Integer, Shaped, UInt8

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.ops.pixels import WITH_ALPHA
from jaxprep.pipeline.step import Opaque, Pointwise, Step
from jaxprep.settings import with_default_settings
from jaxprep.types import Array

CHECKER_SIDE = 8
"""The side in pixels of a square of the checkerboard that Inkling 2 lays images over."""
CHECKER_GRAYS = 204, 153
"""The gray of its first square, and of the next."""


def over_checkerboard(image: UInt8[Array, "*b h w 4"]) -> UInt8[Array, "*b h w 3"]:
    """Lays an image with alpha over a checkerboard of two grays.

    The source is `convert_to_rgb` of `transformers/models/inkling2/image_processing_inkling2.py`,
    Transformers 5.24.

    Args:
        image: RGB and alpha, in [0, 255].

    >>> import numpy as np
    >>> over_checkerboard(np.zeros((1, 9, 4), np.uint8))[0, 7:, 0].tolist()
    [204, 153]
    """
    if image.dtype != np.uint8:
        raise InputError(
            f"Expected an image of 8 bits, to lay it over a checkerboard, got {image.dtype}."
        )
    height, width = image.shape[-3:-1]
    squares = np.add.outer(np.arange(height) // CHECKER_SIDE, np.arange(width) // CHECKER_SIDE)
    background = np.where(squares % 2 == 0, *CHECKER_GRAYS).astype(np.int32)[..., None]
    levels = image.astype(np.int32)
    colour, alpha = levels[..., :3], levels[..., 3:]
    # Rounded, in integers, as there.
    blended = (colour * alpha + background * (255 - alpha) + 127) // 255
    return blended.astype(np.uint8)


@dataclass(frozen=True)
class OverCheckerboard(Opaque):
    """Makes RGB of RGB and alpha, laid over a checkerboard; see `over_checkerboard`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> OverCheckerboard()(Batch(image=np.zeros((1, 1, 4), np.uint8))).image.tolist()
    [[[204, 204, 204]]]
    """

    def output_channels(self, channels: int) -> int:
        if channels != 4:
            raise InputError(f"Expected RGB and alpha, 4 channels, got {channels}.")
        return 3

    def apply(self, image: Any, draw: Any = None) -> Any:
        return over_checkerboard(image)

    def undo(self, image: Any) -> Any:
        return image

    def describe(self) -> str:
        return "make it RGB: alpha laid over a checkerboard"


@dataclass(frozen=True)
class Premultiply(Pointwise):
    """Multiplies uint8 colours by alpha, as Pillow does before it resizes RGBA.

    An image without alpha stays as it is; so does one whose size the resize keeps, where a resize
    and `Unpremultiply` follow: `Image.resize` of Pillow returns a copy.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> Premultiply()(Batch(image=np.uint8([[[100, 128]]]))).image.tolist()
    [[[50, 128]]]
    """

    around_resize: ClassVar[Literal["before", "after"] | None] = "before"

    def apply(self, image: Any, draw: Any = None) -> Any:
        if not _has_alpha(image):
            return image
        # `rgbA2rgba` of https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Convert.c:
        # a product divided by 255 and rounded, by `MULDIV255` of ImagingUtils.h.
        colour = image[..., :-1].astype(jnp.int32)
        alpha = image[..., -1:]
        product = colour * alpha.astype(jnp.int32) + 128
        quotient = ((product >> 8) + product) >> 8
        return jnp.concatenate([quotient.astype(jnp.uint8), alpha], axis=-1)

    def undo(self, image: Any) -> Any:
        return image

    def describe(self) -> str:
        return "multiply the colours by alpha, if there is alpha"


@dataclass(frozen=True)
class Unpremultiply(Pointwise):
    """Divides uint8 colours by alpha, as Pillow does after it has resized RGBA.

    An image without alpha stays as it is; so does one whose size the resize keeps, see
    `Premultiply`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> Unpremultiply()(Batch(image=np.uint8([[[50, 128]]]))).image.tolist()
    [[[99, 128]]]
    """

    around_resize: ClassVar[Literal["before", "after"] | None] = "after"

    def apply(self, image: Any, draw: Any = None) -> Any:
        if not _has_alpha(image):
            return image
        # `rgba2rgbA` of https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Convert.c:
        # truncated, while the product before was rounded; alpha 0 and 255 leave the colours.
        colour = image[..., :-1]
        alpha = image[..., -1:].astype(jnp.int32)
        # At least 1, since both sides of `where` are computed and 0 must not divide.
        quotient = 255 * colour.astype(jnp.int32) // jnp.maximum(alpha, 1)
        # A colour may exceed its alpha after a filter with negative weights: Pillow clips it.
        divided = jnp.minimum(quotient, 255).astype(jnp.uint8)
        is_unchanged = (alpha == 0) | (alpha == 255)
        restored = jnp.where(is_unchanged, colour, divided)
        return jnp.concatenate([restored, image[..., -1:]], axis=-1)

    def undo(self, image: Any) -> Any:
        return image

    def describe(self) -> str:
        return "divide the colours by alpha again, if there is alpha"


def with_alpha(resize: Step, method: str) -> tuple[Step, ...]:
    """Return the steps by which Pillow resizes images that may have alpha: it resizes RGBA and LA
    as premultiplied RGBa and La, but where it only takes the nearest pixels (`Image.resize` in
    https://github.com/python-pillow/Pillow/blob/main/src/PIL/Image.py).

    Args:
        resize: the step.
        method: of the resize.

    >>> from jaxprep.ops import Resize
    >>> [type(step).__name__ for step in with_alpha(Resize((4, 4)), "bilinear")]
    ['Premultiply', 'Resize', 'Unpremultiply']
    """
    if method == "nearest":
        return (resize,)
    return Premultiply(), resize, Unpremultiply()


def _has_alpha(image: Any) -> bool:
    if image.shape[-1] not in WITH_ALPHA:
        return False
    # Pillow has premultiplied modes (RGBa, La) of 8 bits only: there is no arithmetic to reproduce.
    if image.dtype != jnp.uint8:
        raise InputError(
            f"Expected uint8 where colours are multiplied by alpha, got {image.dtype}."
        )
    return True


@with_default_settings
def reverse_channels(
    image: Shaped[Array, "*shape c"], keep_alpha: bool = False
) -> Shaped[Array, "*shape c"]:
    """Reverses the last axis: RGB to BGR and back.

    Args:
        image: any dtype.
        keep_alpha: a fourth channel stays the last.

    >>> import numpy as np
    >>> reverse_channels(np.array([1, 2, 3, 4]), keep_alpha=True).tolist()
    [3, 2, 1, 4]
    """
    return _reversed(image, keep_alpha)


def _reversed(image: Any, keep_alpha: bool) -> Any:
    if keep_alpha and image.shape[-1] == 4:
        order = np.array([2, 1, 0, 3])
        return image[..., order]
    return image[..., ::-1]


@dataclass(frozen=True)
class ReverseChannels(Pointwise):
    """Reverses the channels, RGB to BGR and back; see `reverse_channels`.

    Attributes:
        keep_alpha: whether a fourth channel stays the last.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> ReverseChannels()(Batch(image=np.uint8([[[1, 2, 3]]]))).image.tolist()
    [[[3, 2, 1]]]
    """

    keep_alpha: bool = False

    def apply(self, image: Any, draw: Any = None) -> Any:
        return reverse_channels(image, self.keep_alpha)

    def undo(self, image: Any) -> Any:
        return _reversed(image, self.keep_alpha)

    def describe(self) -> str:
        alpha = ", alpha staying the last" if self.keep_alpha else ""
        return f"reverse the channels, RGB to BGR{alpha}"


@with_default_settings
def to_gray(image: Shaped[Array, "h w c"]) -> Shaped[Array, "h w channels"]:
    """Makes three equal channels, `0.2989 r + 0.587 g + 0.114 b`; an image whose channels are all
    equal stays as it is.

    The weights are those of torchvision's `rgb_to_grayscale`, which Transformers calls. Integers
    are truncated, as there.

    Args:
        image: uint8.

    >>> import numpy as np
    >>> to_gray(np.uint8([[[100, 0, 0]]])).tolist()
    [[[29, 29, 29]]]
    """
    if image.shape[-1] == 1:
        return image
    red, green, blue = (image[..., i] for i in range(3))
    # The weights sum to 0.9999: an image that is gray already would get darker, so Transformers
    # returns it as it is: `convert_to_grayscale` of
    # https://github.com/huggingface/transformers/blob/main/src/transformers/models/efficientloftr/image_processing_efficientloftr.py
    is_gray = jnp.all(red == green) & jnp.all(green == blue)
    red, green, blue = (channel.astype(jnp.float32) for channel in (red, green, blue))
    # In this order, and truncated by the cast, as `_rgb_to_grayscale_image` of
    # https://github.com/pytorch/vision/blob/main/torchvision/transforms/v2/functional/_color.py
    red_and_green = red * np.float32(0.2989) + green * np.float32(0.587)
    gray = red_and_green + blue * np.float32(0.114)
    gray = gray[..., None].astype(image.dtype)
    return jnp.where(is_gray, image[..., :3], gray)


@dataclass(frozen=True)
class ToGray(Opaque):
    """Makes the image gray, in three equal channels; see `to_gray`.

    It looks at all pixels, so it is no `Pointwise` step.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> ToGray()(Batch(image=np.uint8([[[100, 0, 0]]]))).image.tolist()
    [[[29, 29, 29]]]
    """

    def output_channels(self, channels: int) -> int:
        return 1 if channels == 1 else 3

    def apply(self, image: Any, draw: Any = None) -> Any:
        return to_gray(image)

    def undo(self, image: Any) -> Any:
        return image

    def describe(self) -> str:
        return "make it gray, in three equal channels"


def luma(image: UInt8[Array, "*shape channels"]) -> UInt8[Array, "*shape 1"]:
    """Returns the gray values of an image whose first three channels are red, green and blue:
    ITU-R 601-2, as `Image.convert("L")` of Pillow.

    An array of NumPy gives one of NumPy.

    >>> import numpy as np
    >>> luma(np.uint8([[255, 0, 0]])).tolist()
    [[76]]
    """
    return integer_luma(image.astype(np.int32)).astype(np.uint8)


def integer_luma(image: Integer[Array, "*shape channels"]) -> Integer[Array, "*shape 1"]:
    """Returns the sums of `luma` for integers of any range, in their type.

    >>> import numpy as np
    >>> integer_luma(np.int32([[300, -20, 0]])).tolist()
    [[78]]
    """
    # `L24` of https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Convert.c, which has
    # 16 fractional bits
    red, green, blue = (image[..., i : i + 1] for i in range(3))
    return (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16


Colors = tuple[tuple[float, ...], ...]
MAX_COLORS = 2**12
"""ImageGPT has 512; an image is compared with one after another."""


@with_default_settings
def nearest_color(
    image: Shaped[Array, "*shape c"], colors: Colors, *, expanded: bool = False
) -> Int32[Array, "*shape 1"]:
    """Returns for each pixel the index of the nearest of `colors`; of two that are as near, the
    first.

    Args:
        image: colours along the last axis.
        colors: in the unit of the image's values.
        expanded: compare `|x|^2 - 2 x c + |c|^2`, as Transformers' torchvision backend does, which
            loses digits; otherwise `|x - c|^2`.

    >>> import numpy as np
    >>> run = jax.jit(lambda image: nearest_color(image, ((0.0,), (255.0,))))
    >>> run(np.uint8([[0], [200]])).tolist()
    [[0], [1]]
    """
    x = jnp.asarray(image, jnp.float32)
    table = jnp.asarray(colors, jnp.float32)
    # `squared_euclidean_distance_torch` of
    # https://github.com/huggingface/transformers/blob/main/src/transformers/models/imagegpt/image_processing_imagegpt.py
    squares = jnp.square(x).sum(-1)

    def distance(color: Any) -> Any:
        if expanded:
            return squares - 2 * (x * color).sum(-1) + jnp.square(color).sum()
        return jnp.square(x - color).sum(-1)

    # One colour after another: all distances of an image are 512 times as large as the image.
    def compare(best: tuple[Any, Any], numbered: tuple[Any, Any]) -> tuple[tuple[Any, Any], None]:
        number, color = numbered
        lowest, index = best
        new = distance(color)
        is_nearer = new < lowest
        return (jnp.where(is_nearer, new, lowest), jnp.where(is_nearer, number, index)), None

    start = jnp.full_like(squares, jnp.inf), jnp.zeros_like(squares, jnp.int32)
    numbers = jnp.arange(len(colors), dtype=jnp.int32)
    (_, nearest), _ = jax.lax.scan(compare, start, (numbers, table))
    return nearest[..., None]


@dataclass(frozen=True)
class NearestColor(Pointwise):
    """Replaces each pixel by the index of the nearest of `colors`; see `nearest_color`.

    Attributes:
        colors: the palette.
        expanded: as in `nearest_color`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> step = NearestColor(((0.0, 0.0, 0.0), (255.0, 0.0, 0.0)))
    >>> step(Batch(image=np.uint8([[[200, 9, 9]]]))).image.tolist()
    [[[1]]]
    """

    colors: Colors
    expanded: bool = False

    def check(self) -> None:
        lengths = {len(color) for color in self.colors}
        if not 1 <= len(self.colors) <= MAX_COLORS or len(lengths) != 1:
            wanted = f"1 to {MAX_COLORS} colours of one number of channels"
            raise codec.expected(wanted, f"{len(self.colors)} colours", "$.colors")

    def output_channels(self, channels: int) -> int:
        wanted = len(self.colors[0])
        if channels != wanted:
            raise InputError(
                f"Expected an image of {wanted} channels, as the colours have, got {channels}."
            )
        return 1

    def apply(self, image: Any, draw: Any = None) -> Any:
        return nearest_color(image, self.colors, expanded=self.expanded)

    def largest_value(self, largest: float) -> float:
        return float(len(self.colors))

    def undo(self, image: Any) -> Any:
        xp = np if isinstance(image, np.ndarray) else jnp
        index = xp.clip(image[..., 0], 0, len(self.colors) - 1).astype(np.int32)
        return xp.asarray(self.colors, image.dtype)[index]

    def describe(self) -> str:
        return f"replace each pixel by the index of the nearest of {len(self.colors)} colours"
