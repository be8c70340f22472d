"""Image files to arrays: one stated rule for every kind of file.

Pillow does the decoding, but for JPEGs, and is imported on first use. The rules, in the order in
which they apply:

* Only the formats of `FORMATS` are opened, by their content, whatever the file is called.
* A header that promises more than `max_pixels` is refused before anything is decoded.
* Of an animation, a multi-page or a multi-picture file, the first frame counts.
* The EXIF orientation is applied; an EXIF block that cannot be read counts as upright.
* Colour becomes 8-bit RGB by Pillow's own conversion, without colour management (no ICC profile is
applied).
* Gray, with 1, 8 or 16 bits, becomes three equal channels; of 16 bits the high byte is kept, `value
  >> 8`, as libpng does and as Pillow does for 16-bit colour.
* JPEGs are decoded by simplejpeg where it is installed, in half the time: libjpeg-turbo, as in
  Pillow, with its defaults, so that every bit is the same.
* Alpha is dropped, the stored colours staying as they are, or with `alpha="white"` laid over white.
* Float samples, and integers beyond 16 bits, have no agreed range: they are refused.
"""

from __future__ import annotations

import functools
import glob
import io
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import UInt8

from jaxprep.errors import DecodeError, InputError

if TYPE_CHECKING:
    from PIL import Image

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]
Alpha = Literal["drop", "white"]

MAX_PIXELS = 2**27
FORMATS: dict[str, tuple[str, ...]] = {
    "AVIF": (".avif", ".avifs"),
    "BMP": (".bmp",),
    "GIF": (".gif",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo"),
    "JPEG2000": (".jp2", ".j2k", ".jpc", ".jpf", ".jpx", ".j2c"),
    "PNG": (".png", ".apng"),
    "PPM": (".ppm", ".pgm", ".pbm", ".pnm"),
    "QOI": (".qoi",),
    "TIFF": (".tif", ".tiff"),
    "WEBP": (".webp",),
}
SUFFIXES = frozenset(suffix for suffixes in FORMATS.values() for suffix in suffixes)


class ImageNotFoundError(DecodeError, FileNotFoundError):
    """The file that should be decoded does not exist."""


def read_image(
    source: Source, *, alpha: Alpha = "drop", max_pixels: int = MAX_PIXELS
) -> UInt8[np.ndarray, "h w 3"]:
    """Read an image file as an upright 8-bit RGB array, by the rules of this module.

    Args:
        source: a path, the bytes of a file, or a binary file (read from its start; left open).
        alpha: "drop" keeps the stored colours, "white" lays the image over white.
        max_pixels: more than this in the header is refused before decoding.

    Returns:
        values in [0, 255], height before width; read-only, since the memory may be Pillow's.

    Raises:
        DecodeError: the source is no image, damaged, too large, or of a kind without a rule; a path
            that does not exist raises it as a `FileNotFoundError` too.
    """
    _check_alpha(alpha)
    name = _name(source)
    with _errors_at(name), _opened(source) as file:
        found = _read_jpeg(file, max_pixels)
        return to_array(_decode(file, name, max_pixels), alpha=alpha) if found is None else found


def decode(source: Source, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode the first frame of an image file and turn it upright.

    The mode stays the file's own. Of the metadata only the transparency is kept, so that nothing is
    applied twice. Arguments and errors are those of `read_image`.
    """
    name = _name(source)
    with _errors_at(name), _opened(source) as file:
        return _decode(file, name, max_pixels)


def _decode(file: IO[bytes], name: str, max_pixels: int) -> Image.Image:
    from PIL import Image

    with Image.open(file, formats=tuple(FORMATS)) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise DecodeError(
                f"Expected at most {max_pixels} pixels (`max_pixels`), "
                f"got {height} x {width} = {height * width} - at {name}."
            )
        image.load()
        upright = _turned_upright(image)
    upright.info = {key: value for key, value in upright.info.items() if key == "transparency"}
    return upright


@functools.cache
def _jpeg_decoder() -> Callable[[bytes], np.ndarray] | None:
    try:
        from simplejpeg import decode_jpeg  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    return decode_jpeg


def _read_jpeg(file: IO[bytes], max_pixels: int) -> UInt8[np.ndarray, "h w 3"] | None:
    """An upright JPEG of three channels or one; None where another rule applies, or where it is not
    whole.
    """
    from PIL import Image

    decoder = _jpeg_decoder()
    file.seek(0)
    if decoder is None or file.read(2) != b"\xff\xd8":
        return None
    file.seek(0)
    data = file.read()
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as header:
        width, height = header.size
        known = (
            header.format == "JPEG" and header.mode in ("RGB", "L") and width * height <= max_pixels
        )
        if not known or _orientation(header) != 1:
            return None
    try:
        image = decoder(data)
    except ValueError:
        return None
    image.flags.writeable = False
    return image


def to_array(image: Image.Image, *, alpha: Alpha = "drop") -> UInt8[np.ndarray, "h w 3"]:
    """Convert a Pillow image of any mode to 8-bit RGB, by the rules of this module for gray, colour
    and alpha.

    The image is taken as it is: its EXIF orientation, if any, is not looked at.

    Args:
        image: of any mode but 32-bit float, and 32-bit integer beyond 65535.
        alpha: "drop" keeps the stored colours, "white" lays the image over white.
    """
    from PIL import Image

    _check_alpha(alpha)
    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        gray = _high_byte(image)
        if (
            alpha == "white" and "transparency" in image.info
        ):  # the one 16-bit value that a PNG calls transparent
            gray[np.asarray(image) == image.info["transparency"]] = 255
        return np.repeat(gray[:, :, None], 3, axis=2)
    if image.mode == "La":  # Pillow converts premultiplied gray to nothing else
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        if alpha == "white":
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def find_images(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Path]:
    """List the images that files, folders and glob patterns stand for, each once, in the order
    given.

    A file is taken whatever its name. A folder stands for all files below it with a suffix of
    `FORMATS`, in any case, sorted by path; links to folders are not followed. A pattern (`*`, `?`,
    `[...]`, `**`) stands for the sorted paths it matches, folders among them as above, files only
    with such a suffix.
    """
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    given = [os.fspath(path) for path in paths]
    found = list(dict.fromkeys(image for path in given for image in _expand(path)))
    if not found:
        raise InputError(
            f"Expected images ({', '.join(sorted(SUFFIXES))}), found none - at {given}."
        )
    return found


def _expand(path: str) -> Iterator[Path]:
    if os.path.isdir(path):
        yield from sorted(_images_below(path))
    elif os.path.exists(path):
        yield Path(path)
    elif glob.has_magic(path):
        for match in sorted(map(Path, glob.glob(path, recursive=True))):
            if match.is_dir():
                yield from sorted(_images_below(match))
            elif match.suffix.lower() in SUFFIXES:
                yield match
    else:
        raise InputError(
            f"Expected a file, a folder or a glob pattern, got {path!r}, which does not exist."
        )


def _images_below(folder: str | Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise InputError(
            f"Expected a folder that can be read, got {error} - at {str(folder)!r}."
        ) from error

    for root, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(root, name) for name in names if Path(name).suffix.lower() in SUFFIXES)


def _high_byte(image: Image.Image) -> UInt8[np.ndarray, "h w"]:
    """The high byte of 16-bit samples, stored in 16 or 32 bits."""
    if image.mode == "F":
        raise InputError(
            "Expected samples of 8 or 16 bits, got 32-bit float (mode F), whose range is not known"
        )
    samples = np.asarray(image)
    low, high = samples.min(initial=0), samples.max(initial=0)
    if low < 0 or high > 65535:
        raise InputError(
            f"Expected samples of 8 or 16 bits, got 32-bit integers from {low} to {high}"
        )
    return (samples >> 8).astype(np.uint8)


def _check_alpha(alpha: str) -> None:
    if alpha not in ("drop", "white"):
        raise InputError(f"Expected 'drop' or 'white', got {alpha!r} - at `alpha`.")


def _turned_upright(image: Image.Image) -> Image.Image:
    """Undo the rotation and mirroring of the EXIF orientation (Exif 2.32, tag 0x0112), in a
    copy.
    """
    from PIL.Image import Transpose

    undo = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(_orientation(image))
    return image.copy() if undo is None else image.transpose(undo)


def _orientation(image: Image.Image) -> int:
    from PIL import ExifTags

    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # whatever a damaged EXIF block makes Pillow raise, the pixels are fine
        return 1


def _opened(source: Source) -> AbstractContextManager[IO[bytes]]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return io.BytesIO(source)
    if isinstance(source, (str, os.PathLike)):
        return open(source, "rb")
    return nullcontext(source)


def _name(source: Source) -> str:
    """What errors call the source."""
    if isinstance(source, (str, os.PathLike)):
        return repr(os.fspath(source))
    if isinstance(source, (bytes, bytearray, memoryview)) or hasattr(source, "read"):
        return f"<{type(source).__name__}>"
    raise InputError(f"Expected a path, bytes or a binary file, got `{type(source).__name__}`.")


@contextmanager
def _errors_at(name: str) -> Iterator[None]:
    """Turn whatever opening and decoding raise into a `DecodeError` that names the source and the
    cause.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except (DecodeError, MemoryError):
        raise
    except InputError as error:
        raise DecodeError(f"{error} - at {name}.") from error
    except FileNotFoundError as error:
        raise ImageNotFoundError(
            f"Expected an image file, got a path that does not exist - at {name}."
        ) from error
    except IsADirectoryError as error:
        raise DecodeError(f"Expected an image file, got a folder - at {name}.") from error
    except UnidentifiedImageError as error:
        raise DecodeError(
            f"Expected an image ({', '.join(FORMATS)}), got other or damaged data - at {name}."
        ) from error
    except Image.DecompressionBombError as error:
        raise DecodeError(
            f"Expected an image within `PIL.Image.MAX_IMAGE_PIXELS`, got: {error} - at {name}."
        ) from error
    except Exception as error:  # Pillow's decoders raise almost anything on damaged data
        raise DecodeError(
            f"Expected a whole image, got {type(error).__name__}: {error} - at {name}."
        ) from error
