"""Decode image files to arrays, by one stated rule for every kind of file.

Pillow decodes, except JPEGs where simplejpeg is installed, and is imported on first use. The rules,
in the order in which they apply:

* Only the formats of `FORMATS` are opened, by their content, whatever the file is called.
* A header with more than `max_pixels` is refused before anything is decoded.
* Of an animation, a multi-page or a multi-picture file, the first frame is taken.
* The EXIF orientation is applied; an EXIF block that cannot be read means upright.
* Colour becomes 8-bit RGB by Pillow's conversion, without colour management (no ICC profile is
applied).
* Gray, with 1, 8 or 16 bits, becomes three equal channels; of 16 bits the high byte is kept, `value
  >> 8`, as libpng does and as Pillow does for 16-bit colour.
* JPEGs are decoded by simplejpeg where it is installed, in half the time. It and Pillow call
  libjpeg-turbo with the same settings (no fast DCT, no fast upsampling), so all bits are equal.
* Alpha is dropped and the stored colours stay; `alpha="white"` lays the image over white.
* Float samples, and integers beyond 16 bits, are refused: there is no convention for their range.
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
"""134 million; a decoded image of so many pixels takes 400 MB. Pillow warns above 89 million."""
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
    """Raised where the file to decode does not exist.

    >>> try:
    ...     read_image("no such file.jpg")
    ... except FileNotFoundError as error:
    ...     print(error)
    Expected an image file, got a path that does not exist - at 'no such file.jpg'.
    """


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
    with _errors_at(name), _opened(source) as file:
        jpeg = _read_jpeg(file, max_pixels)
        if jpeg is not None:
            return jpeg
        return to_array(_decode(file, name, max_pixels), alpha=alpha)


def decode(source: Source, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode the first frame of an image file, upright and in the mode that the file has.

    Of the metadata only the transparency is kept, so that a caller cannot apply the orientation
    again. Arguments and errors are those of `read_image`.

    >>> decode(b"P5 2 1 255 " + bytes([0, 255])).mode
    'L'
    """
    name = _describe_source(source)
    with _errors_at(name), _opened(source) as file:
        return _decode(file, name, max_pixels)


def _decode(file: IO[bytes], name: str, max_pixels: int) -> Image.Image:
    from PIL import Image

    # Pillow opens more kinds of files, some by programs of the system (EPS by Ghostscript): those
    # are for no server to try on what it is sent.
    with Image.open(file, formats=tuple(FORMATS)) as image:
        width, height = image.size
        if width * height > max_pixels:
            raise DecodeError(
                f"Expected at most {max_pixels} pixels (`max_pixels`), "
                f"got {height} x {width} = {height * width} - at {name}."
            )
        image.load()
        upright = _upright(image)
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
    """Decode an upright JPEG of one or three channels with simplejpeg.

    None for any other file, and for a damaged one: Pillow then decodes it, or says what is wrong.
    """
    from PIL import Image

    decoder = _jpeg_decoder()
    file.seek(0)
    if decoder is None or file.read(2) != b"\xff\xd8":  # SOI, the marker that begins a JPEG
        return None
    file.seek(0)
    data = file.read()
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as header:
        width, height = header.size
        # MPO and CMYK follow Pillow's rules.
        is_plain = header.format == "JPEG" and header.mode in ("RGB", "L")
        if not is_plain or width * height > max_pixels or _orientation(header) != 1:
            return None
    try:
        image = decoder(data)
    except ValueError:
        return None
    # As Pillow's arrays are, so that a caller meets the same error with and without simplejpeg.
    image.flags.writeable = False
    return image


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
    from PIL import Image

    _check_alpha(alpha)
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


def find_images(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Path]:
    """List the images of files, folders and glob patterns, each once, in the order given.

    Args:
        paths: a file is taken whatever its name. A folder stands for all files below it with a
            suffix of `FORMATS`, in any case, sorted by path; links to folders are not followed. A
            pattern (`*`, `?`, `[...]`, `**`) stands for the sorted paths that it matches: folders
            as above, files only with such a suffix.

    Raises:
        InputError: a path that does not exist or cannot be read, or no image at all.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.PNG", "a.jpg", "notes.txt"):
    ...         _ = Path(folder, name).write_bytes(b"")
    ...     [path.name for path in find_images(folder)]
    ['a.jpg', 'b.PNG']
    """
    if isinstance(paths, (str, os.PathLike)):
        paths = [paths]
    given = [os.fspath(path) for path in paths]
    images: dict[Path, None] = {}  # a set that keeps its order
    for path in given:
        images.update(dict.fromkeys(_expand(path)))
    if not images:
        suffixes = ", ".join(sorted(SUFFIXES))
        raise InputError(f"Expected images ({suffixes}), found none - at {given}.")
    return list(images)


def _expand(path: str) -> Iterator[Path]:
    """Yield the images that one path or pattern stands for."""
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
    # Without this `os.walk` skips folders that it cannot read.
    def refuse(error: OSError) -> None:
        raise InputError(
            f"Expected a folder that can be read, got {error} - at {str(folder)!r}."
        ) from error

    for root, _, names in os.walk(folder, onerror=refuse):
        yield from (Path(root, name) for name in names if Path(name).suffix.lower() in SUFFIXES)


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
    """Return a copy with the rotation and mirroring of the EXIF orientation undone.

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
    return image.copy() if undo is None else image.transpose(undo)


def _orientation(image: Image.Image) -> int:
    from PIL import ExifTags

    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # of any kind, by a damaged EXIF block; the pixels are fine
        return 1


def _opened(source: Source) -> AbstractContextManager[IO[bytes]]:
    if isinstance(source, (bytes, bytearray, memoryview)):
        return io.BytesIO(source)
    if isinstance(source, (str, os.PathLike)):
        return open(source, "rb")
    return nullcontext(source)


def _describe_source(source: Source) -> str:
    """Return how errors name a source."""
    if isinstance(source, (str, os.PathLike)):
        return repr(os.fspath(source))
    if isinstance(source, (bytes, bytearray, memoryview)) or hasattr(source, "read"):
        return f"<{type(source).__name__}>"
    raise InputError(f"Expected a path, bytes or a binary file, got `{type(source).__name__}`.")


@contextmanager
def _errors_at(name: str) -> Iterator[None]:
    """Raise what opening and decoding raise as a `DecodeError` that names source and cause."""
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
