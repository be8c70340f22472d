"""What an image processor takes as images, made into arrays `(h, w, c)` on the host."""

from __future__ import annotations

import base64
import binascii
import os
import warnings
from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats.huggingface.families import Kind, Source
from jaxprep.huggingface.web import fetch
from jaxprep.inputs import check_foreign, is_pil
from jaxprep.types import Size

CHANNELS = (1, 3, 4)
MAX_BYTES = 256 * 2**20
EXPECTED = "an image (PIL, NumPy, JAX or torch; a path, a URL, base64 text), a batch of them, or a list of them, nested or not"
Layout = Literal["channels_first", "channels_last"]


class Image(NamedTuple):
    """One image `(h, w, c)`, and of what kind its values are."""

    pixels: np.ndarray
    kind: Kind = "uint8"

    @property
    def size(self) -> Size:
        return self.pixels.shape[0], self.pixels.shape[1]

    @property
    def source(self) -> Source:
        return Source(self.kind, self.pixels.shape[2])


class Reading(NamedTuple):
    """How images are to be read.

    Attributes:
        to_rgb: whether they are converted to RGB; None is no.
        on_torch: whose rounding, where alpha of arrays is laid over white.
        layout: of arrays; None infers it from their channels.
        takes_palette: whether the indices of a palette may stand for themselves.
    """

    to_rgb: bool = False
    on_torch: bool = True
    layout: Layout | None = None
    takes_palette: bool = True


def images_of(value: Any, reading: Reading) -> list[Image]:
    """Every image of what a caller passed, in order; nested lists are flattened.

    Raises:
        InputError: something that is no image, or an array whose channels cannot be told.
    """
    found = list(_flat(value, reading, "images"))
    if not found:
        raise InputError(f"Expected {EXPECTED}, got no image - at `images`.")
    return found


def _flat(value: Any, reading: Reading, where: str) -> Iterator[Image]:
    if isinstance(value, (list, tuple)) and not is_numbers(value):
        for i, item in enumerate(value):
            yield from _flat(item, reading, f"{where}[{i}]")
    elif is_pil(value):
        yield _from_pil(value, reading, where)
    elif isinstance(value, (str, os.PathLike, bytes)):
        yield Image(_decoded(value, where))
    else:
        yield from _from_array(value, reading, where)


def is_numbers(value: Any) -> bool:
    """Whether a list is the nested numbers of an image, as against a list of images."""
    while isinstance(value, (list, tuple)) and value:
        value = value[0]
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _decoded(source: Any, where: str) -> np.ndarray:
    """The RGB pixels of a file, a URL, a `data:` URI or base64 text; upright, alpha dropped."""
    from jaxprep.host.decode import read_image

    if not isinstance(source, str):
        return read_image(source)
    if source.startswith(("http://", "https://")):
        return read_image(fetch(source, MAX_BYTES))
    if source.startswith("data:image/"):
        source = source.partition(",")[2]
    elif "\0" not in source and os.path.isfile(source):
        return read_image(source)
    try:
        content = base64.b64decode("".join(source.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(
            f"Expected a path that exists, a URL, or base64 text, got {source[:80]!r} - at `{where}`."
        ) from error
    return read_image(content)


def _from_pil(image: Any, reading: Reading, where: str) -> Image:
    """A PIL image: its EXIF orientation is not looked at; its mode stays unless RGB is wanted."""
    if reading.to_rgb:
        from PIL import Image as pil

        if "A" in image.getbands() or image.info.get("transparency") is not None:
            image = image.convert("RGBA")
            image = pil.alpha_composite(pil.new("RGBA", image.size, (255, 255, 255, 255)), image)
        return Image(np.asarray(image.convert("RGB")))
    if image.mode in ("P", "PA") and not reading.takes_palette:
        raise InputError(
            f"Expected an image of colours, got indices into a palette (mode {image.mode!r}) - at `{where}`. Pass "
            "`do_convert_rgb=True`, which this processor leaves off, or convert the image."
        )
    return kinded(_last(np.asarray(image), "channels_last"))


def _from_array(value: Any, reading: Reading, where: str) -> Iterator[Image]:
    array = as_numpy(value, where)
    if array.ndim not in (2, 3, 4):
        raise InputError(f"Expected one image or a batch, got shape {array.shape} - at `{where}`.")
    layout = reading.layout or (
        layout_of(array.shape, where) if array.ndim > 2 else "channels_last"
    )
    for image in array if array.ndim == 4 else [array]:
        image = kinded(_last(image, layout))
        yield _over_white(image, reading, where) if reading.to_rgb else image


def as_numpy(value: Any, where: str) -> np.ndarray:
    """The numbers of an array of any library; those of torch through DLPack."""
    check_foreign(value)
    module = type(value).__module__.partition(".")[0]
    if value is None or isinstance(value, (dict, set)):
        raise InputError(f"Expected {EXPECTED}, got `{type(value).__name__}` - at `{where}`.")
    try:
        if module == "torch":
            value = value.detach().cpu()
            if str(value.dtype) == "torch.bfloat16":
                value = value.float()
            array = np.from_dlpack(value)
        else:
            array = np.asarray(value)
            if isinstance(value, (list, tuple)) and array.dtype.kind == "i" and array.size:
                array = array.astype(np.uint8) if array.min() >= 0 and array.max() <= 255 else array
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"Expected {EXPECTED}, got `{type(value).__name__}`: {error} - at `{where}`."
        ) from error
    if array.dtype == bool:
        return array.astype(np.uint8)
    if array.dtype.kind not in "uif" and str(array.dtype) != "bfloat16":
        raise InputError(
            f"Expected {EXPECTED}, got `{type(value).__name__}` of {array.dtype} - at `{where}`."
        )
    return array


def layout_of(shape: tuple[int, ...], where: str = "images") -> Layout:
    """Where the channels are, from the number of them; 1, 3 and 4 are possible.

    Raises:
        InputError: neither end can be the channels.
    """
    first, last = shape[-3] in CHANNELS, shape[-1] in CHANNELS
    if first and last:
        warnings.warn(
            f"An image of shape {shape} may have its channels first or last; first is assumed. Say which with "
            "`input_data_format`.",
            stacklevel=2,
        )
    if not first and not last:
        raise InputError(
            f"Unable to infer channel dimension format: expected 1, 3 or 4 channels first or last, got shape {shape} - "
            f"at `{where}`."
        )
    return "channels_first" if first else "channels_last"


def _last(array: np.ndarray, layout: Layout) -> np.ndarray:
    """`(h, w, c)`."""
    if array.ndim == 2:
        return array[..., None]
    return np.moveaxis(array, 0, -1) if layout == "channels_first" else array


def kinded(array: np.ndarray) -> Image:
    if array.dtype == bool:
        array = array.astype(np.uint8)
    if array.dtype == np.uint8:
        return Image(array)
    if array.dtype.kind in "ui":
        return Image(_within(array, np.int32), "integer")
    return Image(array.astype(np.float32), "float")


def _within(array: np.ndarray, dtype: Any) -> np.ndarray:
    info = np.iinfo(dtype)
    if array.size and (array.min() < info.min or array.max() > info.max):
        raise InputError(
            f"Expected integers of at most 32 bits, got values from {array.min()} to {array.max()}."
        )
    return array.astype(dtype)


def _over_white(image: Image, reading: Reading, where: str) -> Image:
    """Three channels: gray repeated, alpha laid over white, by the backend's rounding."""
    pixels = image.pixels
    if pixels.shape[2] == 1:
        return image._replace(pixels=np.repeat(pixels, 3, axis=2))
    if pixels.shape[2] != 4:
        return image
    if image.kind == "float":
        if pixels.size and (pixels.min() < 0 or pixels.max() > 1):
            raise InputError(
                f"Expected floats with alpha to be in [0, 1], got others - at `{where}`."
            )
        return image._replace(pixels=pixels[..., :3] * pixels[..., 3:] + (1 - pixels[..., 3:]))
    if image.kind == "uint8" and reading.on_torch:
        scaled = pixels.astype(np.float32) * np.float32(1 / 255)
        mixed = scaled[..., :3] * scaled[..., 3:] + (1 - scaled[..., 3:])
        return image._replace(pixels=(mixed * np.float32(255 + 1.0 - 1e-3)).astype(np.uint8))
    alpha = pixels[..., 3:] / 255
    mixed = alpha * pixels[..., :3] + (1 - alpha) * 255
    return image._replace(pixels=np.round(mixed).astype(pixels.dtype))


def for_pillow(image: Image) -> Image:
    """The 8-bit image that the PIL backend makes of any other before it resizes.

    Whole numbers from 0 to 255 are taken as they are; floats in [0, 1] are multiplied by 255 and
    truncated, and divided again after the resize.
    """
    pixels = image.pixels
    if image.kind == "uint8":
        return image
    if np.all(pixels >= 0) and np.all(pixels <= 255) and np.allclose(pixels, np.trunc(pixels)):
        return Image(pixels.astype(np.uint8))
    if image.kind == "float" and np.all(pixels >= 0) and np.all(pixels <= 1):
        return Image((pixels.astype(np.float64) * 255).astype(np.float32).astype(np.uint8), "unit")
    raise InputError(
        "Expected values in [0, 1], or whole numbers from 0 to 255, where Pillow resizes, got values from "
        f"{pixels.min()} to {pixels.max()}. The torchvision backend takes any."
    )
