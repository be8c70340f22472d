"""Reads the photograph that is to be shown: a file, a PIL image, an array, or the first frame of a
video.
"""

from __future__ import annotations

import mimetypes
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import UInt8

from jaxprep import codec, pictures
from jaxprep.errors import InputError
from jaxprep.facade import ImageClassifierPreprocessor
from jaxprep.formats import Format
from jaxprep.host.decode import Alpha, to_array
from jaxprep.types import Size
from jaxprep.videos.decode import read_video


class Photo(NamedTuple):
    """Holds a photograph, and what a preprocessor is given of it.

    Attributes:
        name: for captions and messages.
        path: the file; None where there is none.
        pixels: RGB levels, as they are shown.
        image: what the preprocessor takes.

    >>> pixels = np.zeros((8, 6, 3), np.uint8)
    >>> Photo("a.png", None, pixels, pixels).size
    (8, 6)
    """

    name: str
    path: Path | None
    pixels: UInt8[np.ndarray, "h w 3"]
    image: Any

    @property
    def size(self) -> Size:
        """Height and width."""
        return self.pixels.shape[0], self.pixels.shape[1]


def read_photo(photo: Any, config: Format, alpha: Alpha = "drop") -> Photo:
    """Return the photograph that is to be shown.

    Args:
        photo: an image or video file; a PIL image; an array `(h, w, c)` as the config takes it; or
            the frames of a video `(t, h, w, c)`, of which the first is taken.
        config: what will be done to it.
        alpha: of a file; as in `jaxprep.read_image`.

    Raises:
        JaxprepError: it cannot be read, or is nothing of these.

    >>> from jaxprep import data
    >>> from jaxprep.formats import Timm
    >>> read_photo(data.photo_path("chelsea"), Timm()).size
    (300, 451)
    """
    if isinstance(photo, str | os.PathLike):
        return _read_file(Path(photo), config, alpha)
    if pictures.is_pil(photo):
        pictures.load(photo, "photo")
        name = os.path.basename(getattr(photo, "filename", "") or "") or "photo"
        return Photo(name, None, to_array(photo, alpha=alpha), photo)
    image = np.asarray(photo)
    if image.dtype.kind not in "fiub" and image.dtype.name != "bfloat16":
        raise codec.expected("a path, a PIL image or an array", photo, "photo")
    if image.ndim == 4 and len(image):
        image = image[0]
    if image.ndim != 3:
        raise InputError(
            f"Expected one image (h, w, c), or a video (t, h, w, c), got shape {image.shape} - at "
            "`photo`."
        )
    # Refused here, before anything is drawn of it.
    last = np.moveaxis(image, 0, -1) if config.pipeline.reads_channels_first else image
    config.pipeline.check_image(last.shape, last.dtype)
    return Photo("photo", None, _levels(last), image)


def _read_file(path: Path, config: Format, alpha: Alpha) -> Photo:
    try:
        kind, _ = mimetypes.guess_type(path.name)
        if kind is not None and kind.startswith("video/"):
            image: Any = read_video(path, lambda _: [0]).frames[0]
        else:
            image = pictures.read_file(path, config, alpha)
        if not isinstance(image, np.ndarray):
            return Photo(path.name, path, to_array(image), image)
        return Photo(path.name, path, image, pictures.in_layout(image, config))
    except Exception as error:
        raise pictures.error_of_image(error, path) from error


def _levels(image: np.ndarray) -> UInt8[np.ndarray, "h w 3"]:
    """Return an array as RGB levels: floats in [0, 1] are shares of white."""
    values = image.astype(np.float64)
    if image.dtype.kind not in "iu" and values.max(initial=0) <= 1:
        values = values * 255
    whole = np.rint(values)
    levels = np.clip(whole, 0, 255).astype(np.uint8)
    # gray, with alpha or without, becomes three equal channels
    has_colors = levels.shape[-1] >= 3
    colors = levels[..., :3] if has_colors else levels[..., :1]
    height, width, _ = colors.shape
    rgb = np.broadcast_to(colors, (height, width, 3))
    return np.ascontiguousarray(rgb)


def preprocessed(photo: Photo, config: Format) -> np.ndarray:
    """Return what the config makes of a photograph, as an array of the host.

    Raises:
        JaxprepError: the config does not take it; the message names its file.

    >>> from jaxprep import data
    >>> from jaxprep.formats import Timm
    >>> config = Timm(input_size=(3, 8, 8))
    >>> preprocessed(read_photo(data.photo_path("chelsea"), config), config).shape
    (8, 8, 3)
    """
    preprocess = ImageClassifierPreprocessor(config)  # type: ignore[arg-type]
    try:
        return np.asarray(preprocess(photo.image))
    except Exception as error:
        if photo.path is None:
            raise
        raise pictures.error_of_image(error, photo.path) from error
