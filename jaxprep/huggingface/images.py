"""The images of a call of an image processor, read as `(h, w, c)`: on the host, or traced."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.formats.huggingface.builders import Source, ValueRange
from jaxprep.inputs import (
    Layout,
    Policy,
    as_numpy,
    channels_last,
    flatten,
    layout_of,
)
from jaxprep.ops.color import over_checkerboard
from jaxprep.pictures import is_pil, with_levels
from jaxprep.pipeline.numbers import in_jax_type
from jaxprep.types import Size
from jaxprep.web import fetch

MAX_BYTES = 256 * 2**20
"""Of an image behind an address."""
IMAGES = Policy(
    "an image (PIL, NumPy, JAX or torch; a path, a URL, base64 text), a batch of them, or a list "
    "of them, nested or not",
    narrows=True,
)


class Image(NamedTuple):
    """One image `(h, w, c)` and the range of its values; inside a caller's transformation it may be
    a batch `(b, h, w, c)` of one shape, which stays one array so that its sharding is kept.

    >>> image = Image(np.zeros((2, 3, 4), np.uint8))
    >>> image.size, image.count, image.source.channels
    ((2, 3), 1, 4)
    """

    pixels: Any
    value_range: ValueRange = "uint8"

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.pixels.shape[-3], self.pixels.shape[-2]

    @property
    def count(self) -> int:
        """How many images there are in it."""
        return 1 if self.pixels.ndim == 3 else len(self.pixels)

    @property
    def source(self) -> Source:
        """What its pipeline is made for."""
        return Source(self.value_range, self.pixels.shape[-1])


class Reading(NamedTuple):
    """How the images of a call are read.

    Attributes:
        to_rgb: convert them to RGB.
        on_torch: round as the torchvision backend does where alpha of arrays is laid over white.
        layout: of arrays; None infers it from the number of channels.
        takes_palette: the indices of a palette, and bits, may stand for themselves.
        alpha: what images with alpha are laid over.

    >>> Reading(to_rgb=True).layout is None
    True
    """

    to_rgb: bool = False
    on_torch: bool = True
    layout: Layout | None = None
    takes_palette: bool = True
    alpha: Literal["white", "checkerboard"] = "white"


def images_of(value: Any, reading: Reading) -> list[Image]:
    """Return every image of what a caller passed, in order; nested lists are flattened.

    Raises:
        InputError: something that is no image, or an array whose channels cannot be told.

    >>> images = images_of([np.zeros((20, 30, 3)), np.zeros((2, 8, 8, 3))], Reading())
    >>> [image.size for image in images]
    [(20, 30), (8, 8), (8, 8)]
    """
    images: list[Image] = []
    color_over_white = reading.to_rgb and not reading.on_torch
    for item, where in flatten(value, "images"):
        if is_pil(item):
            images.append(_from_pil(item, reading, where))
        elif isinstance(item, (str, os.PathLike, bytes)):
            images.append(Image(decoded(item, where, color_over_white)))
        else:
            images.extend(_from_array(item, reading, where))
    if not images:
        raise InputError(f"Expected {IMAGES.expected}, got no image - at `images`.")
    for i, image in enumerate(images):
        if 0 in image.pixels.shape:
            raise InputError(
                f"Expected an image with pixels, got shape {image.pixels.shape} of image {i} - "
                "at `images`."
            )
    return images


def decoded(source: Any, where: str, color_over_white: bool = False) -> UInt8[np.ndarray, "h w 3"]:
    """The RGB pixels of a file, a URL, a `data:` URI or base64 text; upright, alpha dropped.

    The order in which a string is tried is that of `load_image` in `transformers/image_utils.py`.

    Args:
        source: what was passed.
        where: its position in the call, for messages.
        color_over_white: one colour that a file says is transparent becomes white.

    Raises:
        InputError: text that is no path, address or base64.

    >>> decoded(b"P6 2 1 255 " + bytes([255, 0, 0, 0, 0, 255]), "images").tolist()
    [[[255, 0, 0], [0, 0, 255]]]
    """
    if not isinstance(source, str):
        return _read_file(source, color_over_white)
    if source.startswith(("http://", "https://")):
        return _read_file(fetch(source, MAX_BYTES), color_over_white)
    if source.startswith("data:image/"):
        # `data:image/png;base64,...`
        source = source.partition(",")[2]
    # Text that is long or holds null characters is no path: `isfile` says so without an error.
    elif os.path.isfile(source):
        return _read_file(source, color_over_white)
    try:
        # Text may be wrapped at 76 columns.
        content = base64.b64decode("".join(source.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(
            "Expected a path that exists, an http(s) URL, or base64 text, got "
            f"{codec.shown(source)} - at `{where}`."
        ) from error
    return _read_file(content, color_over_white)


def _read_file(source: Any, color_over_white: bool) -> UInt8[np.ndarray, "h w 3"]:
    from jaxprep.host.decode import decode, read_image, transparency_of  # which load Pillow

    if color_over_white and isinstance(transparency_of(source), (int, tuple)):
        picture = decode(source)
        # `load_image` converts to RGB, which drops an alpha channel and the alpha of a palette, but
        # keeps one colour, which `convert_to_rgb` finds. Of 16 bits `read_image` has the rule.
        if picture.mode in ("L", "P", "RGB"):
            return _rgb_over_white(picture.convert("RGB"))
    return read_image(source)


def _from_pil(image: Any, reading: Reading, where: str) -> Image:
    """A PIL image: its EXIF orientation is not looked at; its mode stays unless RGB is wanted, but
    for gray of 16 bits, which becomes gray of 8.
    """
    image = with_levels(image, where)
    if reading.to_rgb and reading.alpha == "checkerboard":
        return Image(_rgb_over_checkerboard(image))
    if reading.to_rgb:
        return Image(_rgb_over_white(image))
    if image.mode in ("P", "PA") and not reading.takes_palette:
        raise InputError(
            "Expected an image of colours, got indices into a palette (mode "
            f"{image.mode!r}) - at `{where}`. Pass `do_convert_rgb=True`, which this processor "
            "leaves off, or convert the image."
        )
    # Black and white, as every file of them is read; Transformers cannot normalise one channel.
    if image.mode == "1" and not reading.takes_palette:
        image = image.convert("L")
    # Mode L has no channel axis, mode 1 is bool, mode I is int32.
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    return with_value_range(pixels)


def _rgb_over_white(image: Any) -> UInt8[np.ndarray, "h w 3"]:
    """`convert_to_rgb` of `transformers/image_transforms.py`: alpha is laid over white."""
    from PIL import Image as pil

    # Pillow converts premultiplied gray to LA only, where Transformers fails.
    if image.mode == "La":
        image = image.convert("LA")
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        image = image.convert("RGBA")
        white = pil.new("RGBA", image.size, (255, 255, 255, 255))
        image = pil.alpha_composite(white, image)
    return np.asarray(image.convert("RGB"))


def _rgb_over_checkerboard(image: Any) -> UInt8[np.ndarray, "h w 3"]:
    """`process_image` of `transformers/models/inkling2/image_processing_inkling2.py`."""
    if not image.has_transparency_data:
        return np.asarray(image.convert("RGB"))
    return np.asarray(over_checkerboard(np.asarray(image.convert("RGBA"))))


def _from_array(value: Any, reading: Reading, where: str) -> Iterator[Image]:
    array = as_numpy(value, where, IMAGES)
    if array.ndim not in (2, 3, 4):
        raise InputError(f"Expected one image or a batch, got shape {array.shape} - at `{where}`.")
    if array.ndim == 2:
        array = array[..., None]
    else:
        array = channels_last(array, reading.layout or layout_of(array.shape, where))
    # The elements of a batch go on as images, since families pair them with other inputs.
    batch = array if array.ndim == 4 else [array]
    for pixels in batch:
        image = with_value_range(pixels)
        if reading.to_rgb:
            image = _over_white(image, reading, where)
        yield image


def with_value_range(array: np.ndarray) -> Image:
    """Return an image of an array `(h, w, c)` on the host: uint8, int32 or float32.

    Raises:
        InputError: integers that int32 does not hold, or floats that float32 does not.

    >>> with_value_range(np.zeros((2, 2, 3), np.int64)).value_range
    'integer'
    """
    if array.dtype == bool:
        array = array.astype(np.uint8)
    if array.dtype == np.uint8:
        return Image(array)
    if array.dtype.kind not in "ui":
        return Image(in_jax_type(array, "images").astype(np.float32), "float")
    # JAX keeps 32 bits by default and would wrap others around.
    info = np.iinfo(np.int32)
    if array.size and (array.min() < info.min or array.max() > info.max):
        raise InputError(
            f"Expected integers of at most 32 bits, got values from {array.min()} to {array.max()}."
        )
    return Image(array.astype(np.int32), "integer")


def _over_white(image: Image, reading: Reading, where: str) -> Image:
    """Three channels: gray repeated, alpha laid over white.

    The torchvision backend composes floats and converts them back (`TorchvisionBackend.
    convert_to_rgb`); for the PIL backend NumPy arrays are composed in float64 and rounded.
    """
    pixels = image.pixels
    # Gray, as `grayscale_to_rgb` of torchvision repeats it.
    if pixels.shape[2] == 1:
        return image._replace(pixels=np.repeat(pixels, 3, axis=2))
    if pixels.shape[2] != 4:
        return image
    if reading.alpha == "checkerboard":
        return image._replace(pixels=over_checkerboard(pixels))
    if image.value_range == "float":
        if pixels.size and (pixels.min() < 0 or pixels.max() > 1):
            raise InputError(
                f"Expected floats with alpha to be in [0, 1], got others - at `{where}`."
            )
        return image._replace(pixels=_compose(pixels))
    if image.value_range == "uint8" and reading.on_torch:
        scaled = pixels.astype(np.float32) * np.float32(1 / 255)
        composed = _compose(scaled)
        # 255 + 1 - 1e-3, then truncation: torchvision's `to_dtype(..., scale=True)` to uint8
        # (https://github.com/pytorch/vision/blob/main/torchvision/transforms/v2/functional/_misc.py).
        levels = composed * np.float32(255 + 1.0 - 1e-3)
        return image._replace(pixels=levels.astype(np.uint8))
    colour = pixels[..., :3]
    alpha = pixels[..., 3:] / 255
    mixed = alpha * colour + (1 - alpha) * 255
    # `np.round` rounds half to even.
    rounded = np.round(mixed)
    return image._replace(pixels=rounded.astype(pixels.dtype))


def _compose(pixels: np.ndarray) -> np.ndarray:
    """RGBA in [0, 1] laid over white."""
    colour = pixels[..., :3]
    alpha = pixels[..., 3:]
    return colour * alpha + (1 - alpha)


def for_pillow(image: Image) -> Image:
    """Return the 8-bit image that the PIL backend makes of any other before it resizes.

    Whole numbers from 0 to 255 are taken as they are; floats in [0, 1] are multiplied by 255 and
    truncated, and divided again after the resize: `to_pil_image` and `_rescale_for_pil_conversion`
    of `transformers/image_transforms.py`.

    Raises:
        InputError: values that are neither.

    >>> for_pillow(Image(np.full((1, 1, 1), 0.5, np.float32), "float")).pixels.tolist()
    [[[127]]]
    """
    pixels = image.pixels
    if image.value_range == "uint8":
        return image

    def is_within(highest: int) -> bool:
        return bool(np.all(pixels >= 0) and np.all(pixels <= highest))

    is_whole = np.allclose(pixels, np.trunc(pixels))
    if is_whole and is_within(255):
        return Image(pixels.astype(np.uint8))
    if image.value_range == "float" and is_within(1):
        # In this order: `rescale` computes in float64 and returns float32, and the cast to uint8
        # truncates.
        scaled = pixels.astype(np.float64) * 255
        levels = scaled.astype(np.float32)
        return Image(levels.astype(np.uint8), "unit")
    raise InputError(
        "Expected values in [0, 1], or whole numbers from 0 to 255, where Pillow resizes, got "
        f"values from {pixels.min()} to {pixels.max()}. The torchvision backend takes any."
    )


# -- inside a caller's transformation ------------------------------------------------------------


def traced_images(value: Any, layout: Layout | None, where: str = "images") -> list[Image]:
    """Return traced arrays, each an image or a batch of them, with channels last; nested lists are
    flattened.

    Raises:
        InputError: something that is no array.

    >>> images = traced_images(jnp.zeros((5, 3, 4, 6)), None)
    >>> images[0].pixels.shape, images[0].count
    ((5, 4, 6, 3), 5)
    """
    images = []
    for array, _ in flatten(value, where):
        if not hasattr(array, "ndim") or array.ndim not in (3, 4):
            raise InputError(
                "Expected arrays (h, w, c) inside a transformation of JAX, got "
                f"{array!r:.80} - at `{where}`."
            )
        refuse_symbolic(array.shape, where)
        array = channels_last(array, layout or layout_of(array.shape, where))
        images.append(traced_image(array))
    return images


def refuse_symbolic(shape: Sequence[Any], where: str) -> None:
    """Refuse an array whose sizes are not all numbers: the images of a call are counted.

    Args:
        shape: of the array.
        where: its name in the call, for messages.

    Raises:
        InputError: a size is a symbol of `jax.export`.

    >>> refuse_symbolic((2, 40, 56, 3), "images")
    """
    if not all(isinstance(size, int) for size in shape):
        raise InputError(
            f"Expected arrays of known sizes inside a transformation of JAX, got shape {shape} - "
            f"at `{where}`. For any number of images of one size, call the processor's `pipeline`."
        )


def traced_image(array: Any) -> Image:
    """Return a traced array with its channels last as an image; its type alone tells the range of
    its values.

    >>> traced_image(jnp.zeros((2, 2, 3))).value_range
    'float'
    """
    if array.dtype == np.uint8:
        return Image(array)
    if jnp.issubdtype(array.dtype, jnp.floating):
        return Image(array, "float")
    return Image(array, "integer")


def one_by_one(images: Sequence[Image]) -> list[Image]:
    """Return the same images without batches.

    >>> len(one_by_one([Image(jnp.zeros((5, 4, 6, 3)))]))
    5
    """
    singles: list[Image] = []
    for image in images:
        if image.pixels.ndim == 3:
            singles.append(image)
            continue
        for pixels in image.pixels:
            singles.append(image._replace(pixels=pixels))
    return singles
