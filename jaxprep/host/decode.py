"""Decode image files to arrays, by one stated rule for every kind of file.

Pillow decodes, except JPEGs where simplejpeg is installed and HEIC, which pillow-heif reads; they
are imported on first use. The rules, in the order in which they apply:

* Only regular files of at most `MAX_BYTES` (or 8 bytes for each of `max_pixels`) are opened: a pipe
  or a device may have no end.
* Only the formats of `kinds.FORMATS` are read, by their content, whatever the file is called. The
  preview in a camera's raw file is none.
* A header with more than `max_pixels` is refused before anything is decoded.
* Of an animation, a multi-page or a multi-picture file, the first frame is taken.
* The EXIF orientation is applied; an EXIF block that cannot be read means upright. HEIC says in its
  container how it is turned, and its EXIF block does not count (ISO 23008-12, 7.1).
* Colour becomes 8-bit RGB by Pillow's conversion, without colour management (no ICC profile is
applied).
* HEIC of 10 and 12 bits becomes 8-bit by libheif.
* Gray, with 1, 8 or 16 bits, becomes three equal channels; of 16 bits the high byte is kept, `value
  >> 8`, as libpng does and as Pillow does for 16-bit colour.
* JPEGs are decoded by simplejpeg where it is installed, in half the time. It and Pillow call
  libjpeg-turbo with the same settings (no fast DCT, no fast upsampling), so all bits are equal.
* Alpha is dropped and the stored colours stay; `alpha="white"` lays the image over white.
* Float samples, and integers beyond 16 bits, are refused: there is no convention for their range.
"""

from __future__ import annotations

import functools
import io
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from jaxtyping import UInt8

from jaxprep.errors import DecodeError, ImageNotFoundError, InputError, MissingPackageError
from jaxprep.host.kinds import FORMATS, HEAD, HEIF, OTHER_PICTURES, kind_of_content

if TYPE_CHECKING:
    from PIL import Image

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]
Alpha = Literal["drop", "white"]

MAX_PIXELS = 2**27
"""134 million; a decoded image of so many pixels takes 400 MB. Pillow warns above 89 million."""
MAX_BYTES = 8 * MAX_PIXELS
"""1 GiB, what the largest image takes with 16 bits for each of four channels, not compressed."""
BAND_PIXELS = 2**22
"""So many pixels of a large image are converted at a time."""
MAX_READS = 2**20
"""Of one file. The decoders read 64 KiB at a time, or a chunk; only junk is read byte by byte."""
_PILLOW_FORMATS = tuple(kind for kind in FORMATS if kind != HEIF)


def read_image(
    source: Source, *, alpha: Alpha = "drop", max_pixels: int = MAX_PIXELS
) -> UInt8[np.ndarray, "h w 3"]:
    """Read an image file as an upright 8-bit RGB array, by the rules of `jaxprep.host.decode`.

    Args:
        source: a path, the bytes of a file, or a binary file (read from its start; left open).
        alpha: "drop" keeps the stored colours, "white" lays the image over white.
        max_pixels: an image of more pixels is refused before decoding.

    Returns:
        values in [0, 255]. The array is read-only, since its memory may be Pillow's.

    Raises:
        DecodeError: the source is no image, damaged, too large, or of a kind without a rule. For a
            path that does not exist the error is a `FileNotFoundError` too.
        InputError: another `alpha`, or a source of another type.

    >>> read_image(b"P6 2 1 255 " + bytes([255, 0, 0, 0, 0, 255])).tolist()
    [[[255, 0, 0], [0, 0, 255]]]
    """
    _check_alpha(alpha)
    name = _describe_source(source)
    with _errors_at(name), _opened(source, max_pixels) as file:
        jpeg = _read_jpeg(file, max_pixels)
        if jpeg is not None:
            return jpeg
        with _decoded(file, max_pixels) as image:
            return to_array(image, alpha=alpha)


def decode(source: Source, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode the first frame of an image file, upright and in the mode that the file has.

    Of the metadata only the transparency is kept, so that a caller cannot apply the orientation
    again. Arguments and errors are those of `read_image`.

    >>> decode(b"P5 2 1 255 " + bytes([0, 255])).mode
    'L'
    """
    name = _describe_source(source)
    with _errors_at(name), _opened(source, max_pixels) as file, _decoded(file, max_pixels) as image:
        upright = image.copy()
    upright.info = {key: value for key, value in upright.info.items() if key == "transparency"}
    return upright


def mode_of(source: Source, *, max_pixels: int = MAX_PIXELS) -> str:
    """Return Pillow's mode of an image file, from its header. Arguments and errors are those of
    `read_image`.

    >>> mode_of(b"P5 2 1 255 " + bytes([0, 255]))
    'L'
    """
    with (
        _errors_at(_describe_source(source)),
        _opened(source, max_pixels) as file,
        _opened_image(file, _kind(file), max_pixels) as image,
    ):
        mode: str = image.mode
        return mode


def transparency_of(source: Source, *, max_pixels: int = MAX_PIXELS) -> Any:
    """Return what an image file says is transparent without an alpha channel, from its header: an
    index of the palette, a gray level or a colour; bytes with the alpha of each index; or None, as
    of every file that is no PNG or GIF. Arguments and errors are those of `read_image`, but that
    the headers of other files are not read.

    >>> transparency_of(b"P5 2 1 255 " + bytes([0, 255])) is None
    True
    """
    with _errors_at(_describe_source(source)), _opened(source, max_pixels) as file:
        kind = _kind(file)
        if kind not in ("GIF", "PNG"):
            return None
        with _opened_image(file, kind, max_pixels) as image:
            return image.info.get("transparency")


class Memory(NamedTuple):
    """Says how many bytes an image takes.

    Attributes:
        decoding: at most, while `read_image` reads it.
        decoded: the array that it returns.

    >>> Memory(decoding=72, decoded=18).decoded
    18
    """

    decoding: int
    decoded: int


def memory_of(source: Source, *, max_pixels: int = MAX_PIXELS) -> Memory:
    """Return how much memory `read_image` will need, by the size of the file and its header.

    Arguments and errors are those of `read_image`.

    >>> memory_of(b"P6 2 1 255 " + bytes([255, 0, 0, 0, 0, 255])).decoded
    6
    """
    with _errors_at(_describe_source(source)), _opened(source, max_pixels) as file:
        kind = _kind(file)
        with _opened_image(file, kind, max_pixels) as image:
            width, height = image.size
            each = _bytes_per_pixel(image, kind)
        size = _size(file)
    pixels = width * height
    bands = 16 * min(pixels, BAND_PIXELS)
    return Memory(each * pixels + bands + size, 3 * pixels)


def _bytes_per_pixel(header: Any, kind: str | None) -> int:
    """Return how much memory decoding takes, beside the file and a band: that of all copies."""
    result, pillow = 3, 4
    # A progressive JPEG has its coefficients, of 2 bytes each, in memory until the last scan.
    coefficients = 2 * header.layers if "progressive" in header.info else 0
    if kind == "JPEG" and _jpeg_decoder() and _is_plain_jpeg(header):
        return coefficients + result
    # Not `getexif`, which decodes a PNG, to find what may stand behind the pixels.
    may_be_turned = kind == "TIFF" or (kind != HEIF and "exif" in header.info)
    codec = coefficients + _CODEC_BYTES.get(kind, 0)
    return codec + pillow + may_be_turned * pillow + result


_CODEC_BYTES: dict[str | None, int] = {"AVIF": 6, HEIF: 6, "JPEG2000": 14, "WEBP": 10}
"""What the libraries that decode take for a pixel beside Pillow's image, as measured on photographs
of 12 and 48 million pixels; others decode row by row."""


@contextmanager
def _decoded(file: IO[bytes], max_pixels: int) -> Iterator[Image.Image]:
    """Decode the first frame, and turn it upright; the image may be read inside the block."""
    kind = _kind(file)
    with _opened_image(file, kind, max_pixels) as image:
        if kind == HEIF:
            yield image.to_pillow()
            return
        _check_is_no_preview(image)
        image.load()
        yield _upright(image)


def _kind(file: IO[bytes]) -> str | None:
    """Return the kind of picture in a file by its first bytes; it is read from its start next.

    Raises:
        InputError: a kind of picture that is not read.
    """
    file.seek(0)
    kind = kind_of_content(file.read(HEAD))
    file.seek(0)
    if kind in OTHER_PICTURES:
        raise InputError(f"Expected an image ({', '.join(FORMATS)}), got one of the kind {kind}")
    return kind


@contextmanager
def _opened_image(file: IO[bytes], kind: str | None, max_pixels: int) -> Iterator[Any]:
    """Read the header of an image: its `size` is width and height, of at most `max_pixels`."""
    # The decoders of these read all of a file before its header: a quarter of what others may have.
    max_bytes = max(MAX_BYTES, 8 * max_pixels) // 4
    if kind in ("AVIF", HEIF, "WEBP") and _size(file) > max_bytes:
        raise InputError(f"Expected a file of at most {max_bytes} bytes, as it is of kind {kind}")
    if kind == HEIF:
        heif = _pillow_heif().open_heif(file)
        image = heif[heif.primary_index]
        header = nullcontext()
    else:
        from PIL import Image

        # Pillow opens more kinds of files, some by programs of the system (EPS by Ghostscript):
        # those are for no server to try on what it is sent.
        image = Image.open(file, formats=_PILLOW_FORMATS)
        # Frees the pixels at once: Python would with its next collection of cycles.
        header = closing(image)
    with header:
        width, height = image.size
        if width * height > max_pixels:
            raise InputError(
                f"Expected at most {max_pixels} pixels (`max_pixels`), "
                f"got {height} x {width} = {height * width}"
            )
        yield image


def _size(file: IO[bytes]) -> int:
    """Return how many bytes a file has; it is read from its start next."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size


def _pillow_heif() -> Any:
    try:
        import pillow_heif  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise MissingPackageError(
            "Expected the package `pillow-heif` to read HEIC images: pip install 'jaxprep[heif]'"
        ) from error
    return pillow_heif


def _check_is_no_preview(image: Any) -> None:
    """Refuse the small picture that stands first in a camera's raw file, which is a TIFF file."""
    # TIFF 6.0, NewSubfileType: bit 0 is set for "a reduced-resolution version of another image in
    # this file"; DNG 1.7, DNGVersion.
    subfile_type, dng_version = 254, 50706
    tags = getattr(image, "tag_v2", {})
    if tags.get(subfile_type, 0) & 1 or dng_version in tags:
        raise InputError("Expected an image, got a camera's raw file, which begins with a preview")


@functools.cache
def _jpeg_decoder() -> Callable[[bytes], np.ndarray] | None:
    try:
        from simplejpeg import decode_jpeg  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    return decode_jpeg


def _read_jpeg(file: IO[bytes], max_pixels: int) -> UInt8[np.ndarray, "h w 3"] | None:
    """Decode an upright JPEG of one or three channels with simplejpeg.

    None for any other file, and for a damaged one: Pillow then decodes it, or says what is wrong.
    """
    from PIL import Image

    decoder = _jpeg_decoder()
    if decoder is None or _kind(file) != "JPEG":
        return None
    with Image.open(file, formats=("JPEG",)) as header:
        width, height = header.size
        if not _is_plain_jpeg(header) or width * height > max_pixels:
            return None
    size = _size(file)
    # No JPEG of so many pixels is so large; Pillow reads no further than to the end of the image.
    if size > 2**20 + 8 * width * height:
        return None
    try:
        image = decoder(file.read(size))
    except ValueError:
        return None
    # As Pillow's arrays are, so that a caller meets the same error with and without simplejpeg.
    image.flags.writeable = False
    return image


def _is_plain_jpeg(header: Any) -> bool:
    """Return whether simplejpeg makes of a file what Pillow's rules do: not of MPO and CMYK."""
    is_plain = header.format == "JPEG" and header.mode in ("RGB", "L")
    return is_plain and _orientation(header) == 1


def to_array(image: Image.Image, *, alpha: Alpha = "drop") -> UInt8[np.ndarray, "h w 3"]:
    """Convert a Pillow image to 8-bit RGB, by the rules of `jaxprep.host.decode` for gray, colour
    and alpha.

    The EXIF orientation is not applied.

    Args:
        image: of any mode but F (32-bit float).
        alpha: "drop" keeps the stored colours, "white" lays the image over white.

    Raises:
        InputError: mode F, or integers outside of [0, 65535].

    >>> from PIL import Image
    >>> to_array(Image.new("LA", (1, 1), (7, 0)), alpha="white").tolist()
    [[[255, 255, 255]]]
    """
    _check_alpha(alpha)
    width, height = image.size
    if width * height <= BAND_PIXELS:
        return _to_rgb(image, alpha)
    # Band by band: Pillow makes an array by way of two more copies of what it is made of.
    result = np.empty((height, width, 3), np.uint8)
    rows = max(1, BAND_PIXELS // width)
    for top in range(0, height, rows):
        band = image.crop((0, top, width, min(top + rows, height)))
        result[top : top + rows] = _to_rgb(band, alpha)
    result.flags.writeable = False
    return result


def _to_rgb(image: Image.Image, alpha: Alpha) -> UInt8[np.ndarray, "h w 3"]:
    from PIL import Image

    if image.mode in ("I", "F") or image.mode.startswith("I;"):
        gray = _high_byte(image)
        # A 16-bit gray PNG may name one value as transparent (PNG 1.2, chunk tRNS).
        if alpha == "white" and "transparency" in image.info:
            gray[np.asarray(image) == image.info["transparency"]] = 255
        return np.repeat(gray[:, :, None], 3, axis=2)
    # Pillow converts premultiplied gray to LA only: `conversions` in src/libImaging/Convert.c.
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        # https://github.com/python-pillow/Pillow/blob/main/src/libImaging/AlphaComposite.c
        if alpha == "white":
            image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _high_byte(image: Image.Image) -> UInt8[np.ndarray, "h w"]:
    """Return the high byte of 16-bit samples, which Pillow holds in 16 or 32 bits (I;16, I)."""
    if image.mode == "F":
        raise InputError(
            "Expected samples of 8 or 16 bits, got 32-bit float (mode F), whose range is not known"
        )
    samples = np.asarray(image)
    # `initial`, since an image of no rows has neither.
    low, high = samples.min(initial=0), samples.max(initial=0)
    if low < 0 or high > 65535:
        raise InputError(
            f"Expected samples of 8 or 16 bits, got 32-bit integers from {low} to {high}"
        )
    return (samples >> 8).astype(np.uint8)


def _check_alpha(alpha: str) -> None:
    if alpha not in ("drop", "white"):
        raise InputError(f"Expected 'drop' or 'white', got {alpha!r} - at `alpha`.")


def _upright(image: Image.Image) -> Image.Image:
    """Return the image with the rotation and mirroring of the EXIF orientation undone.

    Exif 2.32, tag 0x0112; `PIL.ImageOps.exif_transpose` has the same table.
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
    return image if undo is None else image.transpose(undo)


def _orientation(image: Image.Image) -> int:
    from PIL import ExifTags

    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # of any kind, by a damaged EXIF block; the pixels are fine
        return 1


@contextmanager
def _opened(source: Source, max_pixels: int) -> Iterator[IO[bytes]]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        yield _bounded(io.BytesIO(source))
        return
    if not isinstance(source, (str, os.PathLike)):
        yield _bounded(source)
        return
    # Before opening, which waits for the other end of a pipe, and rewinds a tape.
    status = os.stat(source)
    if not stat.S_ISREG(status.st_mode):
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "pipe, device or socket"
        raise InputError(f"Expected an image file, got a {kind}")
    # Files of /proc say that they are empty, and some have no end.
    if status.st_size == 0:
        raise InputError("Expected an image file, got an empty file")
    max_bytes = max(MAX_BYTES, 8 * max_pixels)
    if status.st_size > max_bytes:
        raise InputError(
            f"Expected an image file of at most {max_bytes} bytes, got {status.st_size} bytes"
        )
    with open(source, "rb") as file:
        yield _bounded(file)


class _Bounded:
    """Refuses to read from a file more than `MAX_READS` times.

    Pillow looks for the next marker of a JPEG, and the next block of a GIF, byte by byte: in a
    gigabyte of zeros for minutes.
    """

    def __init__(self, file: IO[bytes]):
        self._file = file
        self._reads = 0

    def read(self, *size: int) -> bytes:
        self._reads += 1
        if self._reads > MAX_READS:
            raise InputError("Expected an image, got data in which none begins")
        return self._file.read(*size)

    def close(self) -> None:
        """Do nothing: who opened the file closes it, and Pillow would."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _bounded(file: IO[bytes]) -> Any:
    return _Bounded(file)


def _describe_source(source: Source) -> str:
    """Return how errors name a source."""
    if isinstance(source, (str, os.PathLike)):
        return repr(os.fspath(source))
    if isinstance(source, io.TextIOBase):
        raise InputError(
            f"Expected a path, bytes or a binary file, got the text file `{type(source).__name__}`."
            " Open it with `open(path, 'rb')`."
        )
    if isinstance(source, (bytes, bytearray, memoryview)) or hasattr(source, "read"):
        return f"<{type(source).__name__}>"
    raise InputError(f"Expected a path, bytes or a binary file, got `{type(source).__name__}`.")


@contextmanager
def _errors_at(name: str) -> Iterator[None]:
    """Raise what opening and decoding raise as a `DecodeError` that names source and cause."""
    from PIL import Image, UnidentifiedImageError

    try:
        yield
    except MissingPackageError as error:
        raise MissingPackageError(f"{error} - at {name}.") from error
    except MemoryError as error:  # which has no message of its own
        raise MemoryError(f"Expected memory for the image, got none - at {name}.") from error
    except InputError as error:
        raise DecodeError(f"{error} - at {name}.") from error
    except FileNotFoundError as error:
        raise ImageNotFoundError(
            f"Expected an image file, got a path that does not exist - at {name}."
        ) from error
    except UnidentifiedImageError as error:
        formats = ", ".join(FORMATS)
        raise DecodeError(
            f"Expected an image ({formats}), got other or damaged data - at {name}."
        ) from error
    except Image.DecompressionBombError as error:
        raise DecodeError(
            f"Expected an image within `PIL.Image.MAX_IMAGE_PIXELS`, got: {error} - at {name}."
        ) from error
    # Pillow's decoders raise almost anything on damaged data: SyntaxError, struct.error, EOFError.
    except Exception as error:
        raise DecodeError(
            f"Expected a whole image, got {type(error).__name__}: {error} - at {name}."
        ) from error
