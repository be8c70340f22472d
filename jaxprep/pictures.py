"""Reads PIL images: the levels of their samples, and the mode in which a format takes them.

* A picture whose samples have 8 bits is converted by Pillow to the mode that the format names.
* Gray of 16 bits (modes I;16 and I) keeps the high byte, as `jaxprep.read_image` does. In memory, a
  picture of 16 or 32 bits or of floats (F) whose samples are within [0, 255] holds levels already,
  as every library's `convert` takes it. Anything else is refused: there is no rule for its range.
* Some formats resize a picture in the mode that it came in, and convert it afterwards
  (`Format.in_own_mode`). Pillow does this on the host, since those modes have arithmetic of their
  own: 32-bit sums, palettes, colour spaces.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Num, Shaped, UInt8

from jaxprep.errors import DecodeError, InputError, JaxprepError, without_credentials
from jaxprep.formats import Format
from jaxprep.host.decode import Alpha, decode, mode_of, read_image, to_array
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.step import FillValue, Geometry
from jaxprep.resample.references import REFERENCES
from jaxprep.resample.tables import Resample, Window, vertical_first

if TYPE_CHECKING:
    from PIL.Image import Image as Picture


class Image(NamedTuple):
    """Holds one image `(h, w, c)` on the host, and the pipeline that it goes through.

    >>> Image(np.zeros((2, 3, 3), np.uint8), Pipeline()).pixels.shape
    (2, 3, 3)
    """

    pixels: Shaped[np.ndarray, "h w c"]
    pipeline: Pipeline


def is_pil(value: Any) -> bool:
    """Return whether a value is a PIL image; PIL is not imported to find out.

    >>> is_pil(np.zeros((2, 2, 3)))
    False
    """
    # PIL's classes for files (`JpegImageFile`) derive from `Image`. A program of arrays alone never
    # imports PIL, and its first call should not.
    return any(
        cls.__module__ == "PIL.Image" and cls.__name__ == "Image" for cls in type(value).__mro__
    )


def from_pil(
    picture: Picture, config: Format, where: str = "x", *, in_own_mode: bool = True
) -> Image:
    """Return the pixels of a PIL image, in the mode that the config starts from, and its pipeline.

    Args:
        picture: of any mode. Its EXIF orientation is not looked at.
        config: of the caller.
        where: the picture's position in the call, for messages.
        in_own_mode: resize in the picture's own mode where the format does. Otherwise, for callers
            that move boxes and masks with the pixels, it is converted first.

    Raises:
        InputError: samples beyond 8 bits whose range has no rule.

    >>> from PIL import Image as pil
    >>> from jaxprep.formats import Custom
    >>> from_pil(pil.new("L", (3, 2)), Custom()).pixels.shape
    (2, 3, 3)
    """
    picture = with_levels(picture, where)
    own = config.in_own_mode(picture.mode) if in_own_mode else None
    if own is not None:
        moved = picture
        for step in own.steps:
            moved = _moved(moved, step)
        return Image(_pixels(moved, "RGB"), own.after)
    # Transformers' `convert_to_rgb` asks both: transformers/image_transforms.py
    has_alpha = "A" in picture.getbands() or picture.info.get("transparency") is not None
    pipeline, mode = config.pipeline_for(picture.mode, has_alpha)
    return Image(_pixels(picture, mode), pipeline)


def with_levels(picture: Picture, where: str) -> Picture:
    """Return a PIL image whose samples are levels in [0, 255]; one of 8 bits as it is.

    Args:
        picture: of any mode.
        where: its position in the call, for messages.

    Raises:
        InputError: samples whose range has no rule: floats beyond [0, 255] or in [0, 1], integers
            beyond 16 bits.
        DecodeError: a picture that is closed, or whose file is damaged or closed.

    >>> from PIL import Image as pil
    >>> with_levels(pil.new("I;16", (1, 1), 0x1234), "x").getpixel((0, 0)) == 0x12
    True
    """
    load(picture, where)
    if picture.mode not in ("I", "F") and not picture.mode.startswith("I;"):
        return picture
    samples = np.asarray(picture)
    # `initial`, since a picture of no rows has neither.
    low, high = samples.min(initial=0), samples.max(initial=0)
    is_file = picture.format is not None
    # Floats up to 1 are shares of white to some programs and levels to others.
    is_share = picture.mode == "F" and 0 < high <= 1
    if not is_file and low >= 0 and high <= 255 and not is_share:
        return _in_native_order(picture)
    if picture.mode == "F":
        raise InputError(
            f"Expected a picture of 8 or 16 bits, got 32-bit float (mode F) from {low:g} to "
            f"{high:g}, whose range has no rule - at `{where}`. Scale it to [0, 255] and pass an "
            "array of uint8."
        )
    try:
        gray = to_array(picture)[..., 0]
    except InputError as error:
        raise InputError(f"{error} - at `{where}`.") from error
    from PIL import Image as pil

    return pil.fromarray(gray)


def load(picture: Picture, where: str) -> None:
    """Decode what `PIL.Image.open` has left in the file of a picture.

    Args:
        picture: of any mode.
        where: its position in the call, for messages.

    Raises:
        DecodeError: the picture or its file is closed, or the file is damaged.

    >>> from PIL import Image as pil
    >>> load(pil.new("L", (3, 2)), "x")
    """
    try:
        picture.load()
    except MemoryError:
        raise
    # Pillow's decoders raise almost anything on damaged data: SyntaxError, struct.error, EOFError.
    except Exception as error:
        raise DecodeError(
            f"Expected a whole picture, got {type(error).__name__}: {error} - at `{where}`."
        ) from error


def _in_native_order(picture: Picture) -> Picture:
    """Return a picture of 16 bits in mode I;16, the only one of them that Pillow 13 resizes: of
    I;16B and I;16N it takes the bytes in the wrong order.
    """
    if not picture.mode.startswith("I;"):
        return picture
    from PIL import Image as pil

    return pil.fromarray(np.asarray(picture).astype(np.uint16))


def _pixels(picture: Picture, mode: str) -> Shaped[np.ndarray, "h w c"]:
    """Return the pixels of a PIL image in another mode."""
    # Pillow converts premultiplied gray to LA only, and LAB to RGB only: `conversions` in
    # src/libImaging/Convert.c and `Image.convert` in src/PIL/Image.py.
    between = {"La": "LA", "LAB": "RGB"}.get(picture.mode)
    for name in (between, mode):
        if name is not None and picture.mode != name:
            picture = picture.convert(name)
    pixels = np.asarray(picture)
    return pixels if pixels.ndim == 3 else pixels[..., None]


# -- image files -----------------------------------------------------------------------------------


def read_file(
    path: Path, config: Format, alpha: Alpha = "drop"
) -> UInt8[np.ndarray, "h w 3"] | Picture:
    """Read an image file as RGB, or as a PIL image in its own mode where the format resizes that
    before it is converted.

    Args:
        path: an image file.
        config: what will be done to the image.
        alpha: as in `jaxprep.read_image`.

    Raises:
        JaxprepError: it is no image.

    >>> from jaxprep import data
    >>> from jaxprep.formats import Timm
    >>> read_file(data.photo_path("chelsea"), Timm()).shape
    (300, 451, 3)
    """
    has_modes = config.in_own_mode("CMYK") is not None and alpha == "drop"
    if has_modes:
        mode = mode_of(path)
        is_own = config.in_own_mode(mode) is not None or config.pipeline_for(mode)[1] != "RGB"
        # Gray and RGB are resized alike; for more than 8 bits `read_image` has the rule.
        if is_own and mode != "L" and not mode.startswith(("I", "F")):
            return decode(path)
    return read_image(path, alpha=alpha)


def error_of_image(error: Exception, path: Path) -> JaxprepError:
    """Return an error of any kind as that of an image file, which its message names.

    >>> str(error_of_image(InputError("Expected a photo"), Path("a.png")))
    "Expected a photo - at 'a.png'."
    """
    if isinstance(error, JaxprepError):
        message = str(error)
        # as the message quotes it
        name = without_credentials(str(path))
        is_named = name in message or repr(name) in message
        return error if is_named else type(error)(f"{message} - at '{path}'.")
    message = str(error) or "there is too little memory"
    return DecodeError(
        f"Expected an image that can be preprocessed, got {type(error).__name__}: {message} - at "
        f"'{path}'."
    )


def in_layout(image: UInt8[np.ndarray, "h w 3"], config: Format) -> Num[np.ndarray, ...]:
    """Return an RGB image in the mode (RGB or gray) and the layout that the config takes.

    >>> from jaxprep.formats import Timm
    >>> config = Timm(input_size=(1, 4, 4), mean=(0.5,), std=(0.5,))
    >>> in_layout(np.zeros((8, 6, 3), np.uint8), config).shape
    (8, 6, 1)
    """
    # timm has models of gray images, for which the format names PIL's mode L.
    _, mode = config.pipeline_for("RGB")
    pixels: np.ndarray = image
    if mode != "RGB":
        from PIL import Image

        pixels = np.asarray(Image.fromarray(image).convert(mode))
        pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    return np.moveaxis(pixels, -1, 0) if config.pipeline.reads_channels_first else pixels


# -- geometry in the picture's own mode ----------------------------------------------------------


def _moved(picture: Picture, step: Geometry) -> Picture:
    """Return a PIL image resized, or cropped and padded, in its own mode."""
    (vertical,), (horizontal,) = step.axes((picture.height, picture.width))
    if isinstance(vertical, Resample) and isinstance(horizontal, Resample):
        return _resized(picture, vertical, horizontal)
    assert isinstance(vertical, Window) and isinstance(horizontal, Window)
    return _windowed(picture, vertical, horizontal, step.fill)


def _resized(picture: Picture, vertical: Resample, horizontal: Resample) -> Picture:
    from PIL.Image import Resampling

    height, width = vertical.length, horizontal.length
    method = Resampling[_PILLOW_NAMES.get(vertical.method, vertical.method.upper())]
    size = (picture.height, picture.width)
    # One pass per call, so that the order is the reference's whatever Pillow is installed.
    if vertical_first(REFERENCES[vertical.reference], size, (height, width)):
        return picture.resize((picture.width, height), method).resize((width, height), method)
    return picture.resize((width, picture.height), method).resize((width, height), method)


_PILLOW_NAMES = {"lanczos3": "LANCZOS"}


def _windowed(picture: Picture, vertical: Window, horizontal: Window, fill: FillValue) -> Picture:
    from PIL import Image as pil

    top, left = vertical.start, horizontal.start
    # Exact for a window inside; outside it Pillow puts 0.
    box = (left, top, left + horizontal.length, top + vertical.length)
    if min(top, left) >= 0 and box[2] <= picture.width and box[3] <= picture.height:
        return picture.crop(box)
    # As `pad` of torchvision/transforms/_functional_pil.py: the number stands for every band, and
    # is an index in a palette.
    value = int(fill) if not isinstance(fill, tuple) else tuple(map(int, fill))
    bands = len(picture.getbands())
    if bands > 1 and isinstance(value, int):
        value = (value,) * bands
    canvas = pil.new(picture.mode, (horizontal.length, vertical.length), value)
    palette = picture.getpalette()
    if palette is not None:
        canvas.putpalette(palette)
    canvas.paste(picture, (-left, -top))
    return canvas
