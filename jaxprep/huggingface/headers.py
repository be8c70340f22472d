"""Texts drawn above images by Pillow, as Pix2Struct asks questions about pictures.

The source is `transformers/models/pix2struct/image_processing_pix2struct.py`, Transformers 5.24.
"""

from __future__ import annotations

import os
import textwrap
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep import bounds
from jaxprep.errors import HubError, InputError, PresetNotFoundError
from jaxprep.huggingface.fonts import font_source
from jaxprep.huggingface.images import IMAGES, Image, for_pillow, with_value_range
from jaxprep.inputs import as_numpy, channels_last, layout_of
from jaxprep.presets.sources import resolve

FONT_REPOSITORY, FONT_FILE = "ybelkada/fonts", "Arial.TTF"
"""Where the font of the original is, a repository of the Hugging Face hub."""
LINE_LENGTH = 80
"""Of a header, in letters."""
MAX_TEXT = 2**14
"""Letters of a header: an image of so many is some thousand rows."""


def font_file(
    font_bytes: bytes | None = None, font_path: str | os.PathLike[str] | None = None
) -> Any:
    """Return a font as Pillow opens it: the file given, else the original's from the hub.

    Raises:
        InputError: no font is given, and the hub does not give one; or it cannot be read.

    >>> font_file(font_path="DejaVuSans.ttf")
    'DejaVuSans.ttf'
    """
    if font_path is not None:
        return font_source(os.fspath(font_path), "font_path")
    if font_bytes is not None:
        return font_source(font_bytes, "font_bytes")
    try:
        folder = resolve(f"hf://{FONT_REPOSITORY}", files=(FONT_FILE,))
    except (HubError, PresetNotFoundError) as error:
        raise InputError(
            f"Expected `font_path` or `font_bytes`, a TrueType font, since {FONT_FILE!r} of the "
            f"hub's {FONT_REPOSITORY!r} cannot be had: {error}"
        ) from error
    return font_source(folder / FONT_FILE, "font_path")


def render_text(
    text: str,
    text_size: int = 36,
    text_color: str = "black",
    background_color: str = "white",
    left_padding: int = 5,
    right_padding: int = 5,
    top_padding: int = 5,
    bottom_padding: int = 5,
    font_bytes: bytes | None = None,
    font_path: str | os.PathLike[str] | None = None,
) -> Any:
    """Draw a text in lines of at most 80 letters, and return it as a PIL image.

    Args:
        text_size: in pixels.
        text_color, background_color: names of colours, as Pillow knows them.
        left_padding, right_padding, top_padding, bottom_padding: in pixels.
        font_bytes, font_path: a TrueType font; by default the original's, from the hub.

    Raises:
        InputError: the font cannot be read, or the text is too long.

    >>> import PIL.ImageFont
    >>> font = PIL.ImageFont.load_default(36)
    >>> render_text("How many?", font_bytes=font.font_bytes).mode
    'RGB'
    """
    from PIL import Image as pil
    from PIL import ImageDraw, ImageFont

    if len(text) > MAX_TEXT:
        raise InputError(f"Expected a text of at most {MAX_TEXT} letters, got {len(text)}.")
    wrapped = "\n".join(textwrap.TextWrapper(width=LINE_LENGTH).wrap(text=text))
    try:
        font = ImageFont.truetype(
            font_file(font_bytes, font_path), encoding="UTF-8", size=text_size
        )
    except OSError as error:
        raise InputError(
            f"Expected a TrueType font, got one that Pillow refuses: {error}."
        ) from error
    measure = ImageDraw.Draw(pil.new("RGB", (1, 1)))
    _, _, width, height = measure.textbbox((0, 0), wrapped, font=font)
    size = width + left_padding + right_padding, height + top_padding + bottom_padding
    image = pil.new("RGB", (int(size[0]), int(size[1])), background_color)
    draw = ImageDraw.Draw(image)
    draw.text((left_padding, top_padding), wrapped, fill=text_color, font=font)
    return image


def with_header(
    image: Image,
    text: str,
    is_scaled: bool,
    font_bytes: bytes | None = None,
    font_path: str | os.PathLike[str] | None = None,
) -> Image:
    """Return an image with a text above it, both as wide as the wider one.

    Args:
        is_scaled: floats are multiplied by 255 and divided again, as on the torchvision backend.
        font_bytes, font_path: see `render_text`.

    Raises:
        InputError: the two are too large together, as those of a tall, narrow image are.

    >>> import PIL.ImageFont
    >>> font = PIL.ImageFont.load_default(36).font_bytes
    >>> image = Image(np.zeros((20, 300, 3), np.uint8))
    >>> with_header(image, "How many?", True, font).size[1]
    300
    """
    from PIL import Image as pil

    is_bytes = image.value_range == "uint8"
    if is_bytes:
        pixels = image.pixels
    elif is_scaled:
        pixels = np.clip(image.pixels * np.float32(255), 0, 255).astype(np.uint8)
    else:
        pixels = for_pillow(image).pixels
    if pixels.shape[2] != 3:
        pixels = np.repeat(pixels[..., :1], 3, axis=2)
    below = pil.fromarray(pixels)
    header = render_text(text, font_bytes=font_bytes, font_path=font_path)
    width = max(header.width, below.width)
    height = int(below.height * (width / below.width))
    header_height = int(header.height * (width / header.width))
    bounds.check_pixels((height + header_height, width), image.size, "an image with its header")
    whole = pil.new("RGB", (width, height + header_height), "white")
    whole.paste(header.resize((width, header_height)), (0, 0))
    whole.paste(below.resize((width, height)), (0, header_height))
    result = np.asarray(whole)
    if is_bytes or not is_scaled:
        return Image(result)
    return Image(result.astype(np.float32) / np.float32(255), "float")


def render_header(
    processor: Any,
    image: Any,
    header: str,
    font_bytes: bytes | None = None,
    font_path: str | os.PathLike[str] | None = None,
) -> jax.Array:
    """Draw a text above an image, and return both as one image in the layout of the image.

    Args:
        image: `(c, h, w)` or `(h, w, c)`.
        header: the text.
        font_bytes, font_path: a TrueType font; by default the original's, from the hub.

    >>> import PIL.ImageFont
    >>> from jaxprep.huggingface import Pix2StructImageProcessor
    >>> font = PIL.ImageFont.load_default(36).font_bytes
    >>> image = np.zeros((3, 20, 300), np.uint8)
    >>> Pix2StructImageProcessor().render_header(image, "How many?", font).shape[2]
    300
    """
    array = as_numpy(image, "image", IMAGES)
    layout = layout_of(array.shape, "image")
    read = with_value_range(channels_last(array, layout))
    is_scaled = processor.backend == "torchvision"
    result = with_header(read, header, is_scaled, font_bytes, font_path).pixels
    return jnp.asarray(np.moveaxis(result, -1, 0) if layout == "channels_first" else result)
