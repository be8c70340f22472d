"""Puts photographs of different sizes in the top-left corners of arrays of one size: canvases.

What goes in: photographs in memory or in files. What comes out: arrays of one shape and the true
sizes, for `Batch.image` and `Batch.size`. A program for one canvas takes photographs of any size on
it, with a plan made of the sizes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int32, Shaped

from jaxprep import bounds, codec
from jaxprep.errors import InputError
from jaxprep.host.decode import read_image, to_array
from jaxprep.inputs import Policy, as_numpy
from jaxprep.pictures import is_pil, with_levels
from jaxprep.pipeline.cores import core_count
from jaxprep.pipeline.numbers import in_jax_type
from jaxprep.resample.tables import canvas as canvas_of
from jaxprep.types import Size

A = TypeVar("A")
B = TypeVar("B")

PHOTO = Policy("a photograph (a path, bytes, a binary file, a PIL image, or an array (h, w, c))")


def stack(
    photos: Sequence[Any], canvas: Size | None = None, *, workers: int | None = None
) -> tuple[Shaped[np.ndarray, "b h w c"], Int32[np.ndarray, "b 2"]]:
    """Put photographs on canvases of one size.

    Args:
        photos: each an array `(h, w, c)` or `(h, w)` of any library, a PIL image (it becomes RGB),
            or a path, bytes or a binary file, which `read_image` decodes.
        canvas: height and width that all of them fit in; by default the bucket of the largest
            height and width, which similar photographs share.
        workers: number of threads that decode; by default one per core.

    Returns:
        the images, each in the top-left corner of its canvas, 0 elsewhere, and their sizes (height,
        width): `Batch(image=images, size=sizes)`.

    Raises:
        InputError: a photograph is larger than the canvas, or differs from the first in its dtype
            or number of channels; or there is none.
        ConfigError: the canvas is no height and width.
        DecodeError: a file cannot be read.

    >>> images, sizes = stack([np.ones((2, 3, 3), np.uint8), np.ones((4, 1, 3), np.uint8)], (4, 4))
    >>> images.shape, sizes.tolist(), int(images.sum())
    ((2, 4, 4, 3), [[2, 3], [4, 1]], 30)
    """
    is_list = not isinstance(photos, (str, bytes, os.PathLike, Mapping)) and not is_pil(photos)
    if not is_list or not (hasattr(photos, "__iter__") or hasattr(photos, "__getitem__")):
        raise InputError(
            f"Expected a list of photographs, got one `{type(photos).__name__}` - at `photos`."
        )
    photos = list(photos)
    if not photos:
        raise InputError("Expected at least one photograph, got an empty list - at `photos`.")
    if canvas is not None:
        canvas = check_canvas(canvas, "canvas")
    names = [f"photos[{i}]" for i in range(len(photos))]
    named = list(zip(photos, names))
    arrays = map_in_threads(lambda pair: read_photo(*pair), named, workers)
    shapes = [array.shape[:2] for array in arrays]
    sizes = np.asarray(shapes, np.int32)
    if canvas is None:
        # The tallest and the widest may be two photographs.
        height, width = sizes.max(0)
        canvas = canvas_of((int(height), int(width)))
    for array, name in zip(arrays, names):
        check_fits(array, canvas, name)
    return put_on_canvases(arrays, canvas, "photos"), sizes


def read_photo(photo: Any, where: str) -> Shaped[np.ndarray, "h w c"]:
    """Return the pixels of a photograph: of a file by `read_image`, of a PIL image as RGB.

    Args:
        where: its position in the call, for messages.

    >>> read_photo(np.zeros((2, 3)), "photo").shape
    (2, 3, 1)
    """
    if is_pil(photo):
        return to_array(with_levels(photo, where))
    photo = _bytes_of_tensor(photo)
    is_file = isinstance(photo, (str, os.PathLike, bytes, bytearray, memoryview))
    if is_file or hasattr(photo, "read"):
        return read_image(photo)
    numbers = as_numpy(photo, where, PHOTO)
    # 64-bit numbers become 32-bit ones here, where an error can name the photograph.
    array = in_jax_type(numbers, where)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or 0 in array.shape:
        raise InputError(
            f"Expected a photograph (h, w, c) with pixels, got shape {array.shape} - at `{where}`."
        )
    return array


def _bytes_of_tensor(value: Any) -> Any:
    """The bytes in a string tensor of TensorFlow, or an array of NumPy, without axes."""
    # `tf.data` gives a record as a tensor without axes: a path, or the bytes of a file.
    has_no_axes = getattr(value, "shape", None) == ()
    if not has_no_axes or not hasattr(value, "dtype"):
        return value
    array = np.asarray(value)
    # kinds of NumPy: an object (bytes of any length), bytes, and text
    is_text = array.dtype.kind in "OSU"
    return array.item() if is_text else value


def check_fits(array: np.ndarray, canvas: Size, where: str) -> None:
    """Raise `InputError` unless a photograph fits a canvas.

    >>> check_fits(np.zeros((2, 3, 3)), (4, 4), "photo")
    """
    size = array.shape[:2]
    height, width = size
    canvas_height, canvas_width = canvas
    if height > canvas_height or width > canvas_width:
        raise InputError(
            f"Expected a photograph that fits a canvas of {tuple(canvas)}, got one of {size} - at "
            f"`{where}`. Give a larger `canvas`, or shrink such photographs, which changes their "
            "pixels: beforehand, or with `LoadExample(canvas, too_large='shrink')`."
        )


def shrunk(photo: np.ndarray, canvas: Size, where: str) -> np.ndarray:
    """Return a photograph that fits a canvas: as `Image.thumbnail` of Pillow shrinks it, bicubic,
    if it is larger.

    Raises:
        InputError: it is larger, and not uint8 with 1, 3 or 4 channels.

    >>> shrunk(np.zeros((8, 12, 3), np.uint8), (4, 4), "photo").shape
    (3, 4, 3)
    """
    height, width, channels = photo.shape
    canvas_height, canvas_width = canvas
    if height <= canvas_height and width <= canvas_width:
        return photo
    if photo.dtype != np.uint8 or channels not in (1, 3, 4):
        raise InputError(
            "Expected a photograph of uint8 with 1, 3 or 4 channels to shrink, got "
            f"{photo.dtype} {photo.shape} - at `{where}`."
        )
    from PIL import Image

    # Pillow has no mode for an axis of one channel: L takes `(h, w)`.
    pixels = photo[..., 0] if channels == 1 else photo
    picture = Image.fromarray(pixels)
    # Without `reducing_gap`, whose default 2.0 would first shrink by whole numbers.
    size = (canvas_width, canvas_height)
    picture.thumbnail(size, Image.Resampling.BICUBIC, reducing_gap=None)
    return np.asarray(picture).reshape(picture.height, picture.width, channels)


def put_on_canvases(
    arrays: Sequence[np.ndarray], canvas: Size | None, where: str
) -> Shaped[np.ndarray, "b canvas_h canvas_w *c"]:
    """Return arrays `(h, w)` or `(h, w, c)`, each in the top-left corner of a canvas of zeros.

    Args:
        arrays: each fits the canvas.
        canvas: height and width; None where all arrays are of one size.
        where: their position in the call, for messages.

    Raises:
        InputError: they differ in dtype or channels.

    >>> put_on_canvases([np.ones((1, 2)), np.ones((2, 1))], (2, 2), "photos").tolist()
    [[[1.0, 1.0], [0.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]]]
    """
    first = arrays[0]
    size = first.shape[:2] if canvas is None else tuple(canvas)
    for i, array in enumerate(arrays):
        is_alike = array.dtype == first.dtype and array.shape[2:] == first.shape[2:]
        is_other_size = canvas is None and array.shape[:2] != size
        if not is_alike or is_other_size:
            hint = " Give `LoadExample` a canvas." if is_alike else ""
            raise InputError(
                f"Expected arrays that are alike, got {first.dtype} {first.shape} and, at "
                f"`{where}[{i}]`, {array.dtype} {array.shape}.{hint}"
            )
    shape = (len(arrays), *size, *first.shape[2:])
    images = np.zeros(shape, first.dtype)
    for image, array in zip(images, arrays, strict=True):
        height, width = array.shape[:2]
        image[:height, :width] = array
    return images


def check_canvas(canvas: Any, where: str) -> Size:
    """Return height and width of a canvas as integers.

    Raises:
        ConfigError: it is no height and width.

    >>> check_canvas([4, 6], "$.canvas")
    (4, 6)
    """
    is_pair = isinstance(canvas, (tuple, list)) and len(canvas) == 2
    if not is_pair or not all(isinstance(side, (int, np.integer)) for side in canvas):
        raise codec.expected("height and width of a canvas, two integers", canvas, where)
    height, width = canvas
    size = (int(height), int(width))
    bounds.check_size(size, where)
    return size


def stack_arrays(arrays: Sequence[np.ndarray], where: str) -> np.ndarray:
    """Return arrays of one shape and dtype with a new first axis.

    Raises:
        InputError: they differ, which `np.stack` would hide by converting them.

    >>> stack_arrays([np.zeros(2), np.ones(2)], "labels").shape
    (2, 2)
    """
    arrays = [np.asarray(array) for array in arrays]
    first = arrays[0]
    for i, array in enumerate(arrays):
        # NumPy has a dtype for each length of text; stacking takes the longest and loses nothing.
        is_text = array.dtype.kind in "US" and first.dtype.kind == array.dtype.kind
        is_other_type = array.dtype != first.dtype and not is_text
        if array.shape != first.shape or is_other_type:
            raise InputError(
                f"Expected arrays of one shape and dtype, got {first.dtype} {first.shape} and, at "
                f"`{where}[{i}]`, {array.dtype} {array.shape}."
            )
    return np.stack(arrays)


def map_in_threads(
    function: Callable[[A], B], items: Sequence[A], workers: int | None = None
) -> list[B]:
    """Return what a function makes of each item, computed in threads.

    Args:
        workers: number of threads; by default one per core.

    >>> map_in_threads(abs, [-1, 2], workers=2)
    [1, 2]
    """
    # Threads suffice: Pillow lets go of the interpreter's lock while it decodes.
    count = min(len(items), workers or core_count())
    if count <= 1:
        return [function(item) for item in items]
    with ThreadPoolExecutor(count, thread_name_prefix="jaxprep") as executor:
        return list(executor.map(function, items))
