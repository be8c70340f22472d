"""The pixels that a photograph may have been read as: by other decoders, EXIF, alpha, gray."""

from __future__ import annotations

import functools
import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxprep import pictures
from jaxprep.doctor.kernels import Kernel, predicted
from jaxprep.doctor.views import View
from jaxprep.errors import InputError
from jaxprep.host.decode import decode, read_image, to_array
from jaxprep.ops.color import integer_luma
from jaxprep.types import Size

if TYPE_CHECKING:
    from PIL import Image


class Source(NamedTuple):
    """Names a way of reading a photograph; the defaults are those of `jaxprep.read_image`.

    Attributes:
        rule: whose rule makes gray, and whether it does so after the resize.

    >>> Source(orientation="ignored").differences(Source())
    (('orientation', 'upright', 'ignored'),)
    """

    decoder: str = "pillow"
    orientation: str = "upright"
    alpha: str = "drop"
    gray: str = "color"
    rule: str = ""

    def differences(self, other: Source) -> tuple[tuple[str, Any, Any], ...]:
        """Return the settings in which this source is not `other`."""
        changes = []
        for name, expected, found in zip(self._fields, other, self, strict=True):
            if name != "rule" and expected != found:
                changes.append((name, expected, found))
        return tuple(changes)


class Photo:
    """Reads one photograph in every way that is asked for.

    Attributes:
        where: how messages call it.

    >>> Photo(np.zeros((2, 3, 3), np.uint8)).has_alpha
    False
    """

    def __init__(self, photo: Any, where: str = "photo") -> None:
        self.where = where
        self._cache: dict[Source, np.ndarray] = {}
        self._content = b""
        self._array: np.ndarray | None = None
        if isinstance(photo, (str, os.PathLike, bytes)):
            # First, since it refuses what is no image, or too large.
            self._cache = {Source(): np.asarray(read_image(photo))}
            self._content = photo if isinstance(photo, bytes) else Path(photo).read_bytes()
            return
        if pictures.is_pil(photo):
            pictures.load(photo, where)
            self._array = np.asarray(to_array(photo))
            return
        array = np.asarray(photo)
        if array.ndim == 2:
            array = np.repeat(array[..., None], 3, -1)
        if array.ndim != 3 or array.shape[-1] not in (1, 3, 4) or array.dtype != np.uint8:
            raise InputError(
                "Expected a path, or an image (h, w, 3) of uint8, got "
                f"{array.dtype} of shape {array.shape} - at `{where}`."
            )
        self._array = array

    def pixels(self, source: Source) -> np.ndarray:
        """Return the photograph `(h, w, 3)`, uint8, or float64 where gray is computed so.

        >>> Photo(np.zeros((2, 3, 3), np.uint8)).pixels(Source()).shape
        (2, 3, 3)
        """
        if source not in self._cache:
            self._cache[source] = self._pixels(source)
        return self._cache[source]

    def seen(
        self,
        source: Source,
        view: View,
        kernel: Kernel,
        rows: np.ndarray | None = None,
        columns: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return what a view shows of the photograph, in levels `(rows, columns, c)`.

        >>> from jaxprep.doctor.search import BASIC
        >>> photo = Photo(np.zeros((8, 8, 3), np.uint8))
        >>> photo.seen(Source(), View.squashed((8, 8), (4, 2)), BASIC[0]).shape
        (4, 2, 3)
        """
        source = source_of_view(source, view)
        return finished(predicted(self.pixels(source), view, kernel, rows, columns), source)

    def size(self, source: Source) -> Size:
        """Return the height and width of the photograph, read so."""
        height, width = self.pixels(source).shape[:2]
        return height, width

    def _pixels(self, source: Source) -> np.ndarray:
        if source.gray != "color" and not source.rule.endswith(LAST):
            colours = self.pixels(source._replace(gray="color", rule=""))
            return GRAYS[source.gray, source.rule](colours)
        if source.gray != "color":
            return self.pixels(source._replace(gray="color", rule=""))
        turns = _TURNS.get(source.orientation)
        if turns:
            return np.ascontiguousarray(
                np.rot90(self.pixels(source._replace(orientation="upright")), turns)
            )
        if self._array is not None:
            return _without_alpha(self._array, source.alpha)
        if source.decoder != "pillow":
            return self._decoded(source.decoder)
        if source.orientation == "ignored":
            return _without_alpha(_with_alpha(self._stored), source.alpha)
        return _without_alpha(_with_alpha(decode(self._content)), source.alpha)

    @functools.cached_property
    def _stored(self) -> Image.Image:
        image = self._header
        if image is None:
            return decode(self._content)
        image.load()
        return image

    @property
    def _header(self) -> Image.Image | None:
        """The file as Pillow reads it, with nothing decoded; None of HEIC."""
        from PIL import Image, UnidentifiedImageError

        try:
            return Image.open(io.BytesIO(self._content))
        except UnidentifiedImageError:
            return None

    def _decoded(self, decoder: str) -> np.ndarray:
        if decoder == "draft":
            from PIL import Image

            with Image.open(io.BytesIO(self._content)) as image:
                image.draft("RGB", (image.width // 2, image.height // 2))
                return np.asarray(image.convert("RGB"))
        from simplejpeg import decode_jpeg  # pyright: ignore[reportMissingImports]

        options: Any = _DECODERS[decoder]
        return decode_jpeg(self._content, **options)

    @functools.cached_property
    def has_alpha(self) -> bool:
        """Whether the photograph says how transparent it is."""
        if self._array is not None:
            return self._array.shape[-1] == 4
        return self._header is not None and _has_alpha(self._header)

    @functools.cached_property
    def exif_orientation(self) -> int:
        """The number that EXIF has for the orientation, 1 where it is upright."""
        if self._array is not None:
            return 1
        header = self._header
        return 1 if header is None else header.getexif().get(0x0112, 1) or 1

    @property
    def is_turned(self) -> bool:
        """Whether EXIF says that the photograph is not upright."""
        return self.exif_orientation != 1

    @functools.cached_property
    def decoders(self) -> tuple[str, ...]:
        """The other decoders of the file."""
        if self._array is not None:
            return ()
        header = self._header
        if header is None or header.format != "JPEG" or self.is_turned:
            return ()
        return (*_decoders(), "draft")


_TURNS = {"90": 1, "180": 2, "270": 3}
_DECODERS = {
    "fast_dct": {"fastdct": True, "fastupsample": False},
    "fast_upsampling": {"fastdct": False, "fastupsample": True},
}
ALPHAS = ("drop", "white", "black", "premultiplied")


def _decoders() -> tuple[str, ...]:
    try:
        import simplejpeg  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError:
        return ()
    return tuple(_DECODERS)


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info


def _with_alpha(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGBA")) if _has_alpha(image) else np.asarray(to_array(image))


def _without_alpha(array: np.ndarray, rule: str) -> np.ndarray:
    """Return three channels; or the colours multiplied by alpha, and alpha."""
    from PIL import Image

    if array.shape[-1] == 1:
        return np.repeat(array, 3, -1)
    if array.shape[-1] == 3:
        return array
    if rule == "drop":
        return np.ascontiguousarray(array[..., :3])

    image = Image.fromarray(array)
    if rule == "premultiplied":
        # Pillow resizes RGBA so; its mode is called RGBa.
        raw = image.convert("RGBa").tobytes()
        return np.frombuffer(raw, np.uint8).reshape(array.shape)
    level = 255 if rule == "white" else 0
    background = Image.new("RGBA", image.size, (level, level, level, 255))
    return np.asarray(Image.alpha_composite(background, image).convert("RGB"))


def source_of_view(source: Source, view: View) -> Source:
    """Return how a view reads a photograph: where the resize keeps the size Pillow returns a copy,
    and does not multiply by alpha.

    >>> source_of_view(Source(alpha="premultiplied"), View.squashed((8, 8), (8, 8))).alpha
    'drop'
    """
    if source.alpha == "premultiplied" and view.keeps_size:
        return source._replace(alpha="drop")
    return source


LAST = ", after the resize"
"""The end of a rule that makes a resized image gray."""


def finished(shown: np.ndarray, source: Source) -> np.ndarray:
    """Return a resized image after what a way of reading it leaves for the end.

    >>> pixels = np.array([[[10.0, 20.0, 30.0]]])
    >>> finished(pixels, Source(gray="mean", rule="truncated" + LAST)).tolist()
    [[[20.0, 20.0, 20.0]]]
    """
    # Colours that were multiplied by alpha, with it in the last channel.
    if source.alpha == "premultiplied" and shown.shape[-1] in (2, 4):
        shown = unmultiplied(shown)
    if source.gray != "color" and source.rule.endswith(LAST):
        shown = GRAYS[source.gray, source.rule.removesuffix(LAST)](shown)
    return shown


def unmultiplied(image: np.ndarray) -> np.ndarray:
    """Return colours that were multiplied by alpha, `(h, w, 4)`, as Pillow converts RGBa to RGB.

    >>> unmultiplied(np.array([[[50.0, 50.0, 50.0, 128.0]]])).tolist()
    [[[99.0, 99.0, 99.0]]]
    """
    # `rgba2rgbA` of https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Convert.c
    colors = image[..., :-1]
    alpha = image[..., -1:]
    divisor = np.maximum(alpha, 1)
    divided = np.floor(255 * colors / divisor)
    # Of full transparency the colours are kept as well: there is nothing to divide by.
    is_kept = (alpha == 0) | (alpha == 255)
    clipped = np.clip(divided, 0, 255)
    return np.where(is_kept, colors, clipped)


def _repeated(gray: np.ndarray) -> np.ndarray:
    return np.repeat(gray[..., None], 3, -1)


def _pillow_gray(image: np.ndarray) -> np.ndarray:
    return _repeated(np.asarray(integer_luma(np.rint(image).astype(np.int64)))[..., 0])


def _opencv_gray(image: np.ndarray) -> np.ndarray:
    # `RGB2Gray<uchar>` of https://github.com/opencv/opencv/blob/4.x/modules/imgproc/src/color_rgb.simd.hpp
    sums = np.rint(image).astype(np.int64) @ np.array([9798, 19235, 3735])
    return _repeated((sums + (1 << 14)) >> 15)


def _weighted(weights: tuple[float, float, float]) -> Any:
    return lambda image: _repeated(image.astype(np.float64) @ np.array(weights))


GRAYS: dict[tuple[str, str], Any] = {
    ("luma", "Pillow"): _pillow_gray,
    ("luma", "OpenCV"): _opencv_gray,
    ("luma", "0.299, 0.587, 0.114"): _weighted((0.299, 0.587, 0.114)),
    ("luma", "0.2989, 0.587, 0.114"): _weighted((0.2989, 0.587, 0.114)),
    ("mean", "truncated"): lambda image: np.floor(_weighted((1 / 3, 1 / 3, 1 / 3))(image) + 1e-6),
    ("mean", "exact"): _weighted((1 / 3, 1 / 3, 1 / 3)),
    ("red", ""): lambda image: _repeated(image[..., 0]),
    ("green", ""): lambda image: _repeated(image[..., 1]),
    ("blue", ""): lambda image: _repeated(image[..., 2]),
}
