"""What callers of the facade may pass as images, made into arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats import Format
from jaxprep.pipeline import Pipeline

EXPECTED = "an image (a NumPy or JAX array, or a PIL image), a batch of them, a list of them, or a dictionary"


class Image(NamedTuple):
    """One image `(h, w, c)` on the host, and the pipeline it goes through."""

    pixels: np.ndarray
    pipeline: Pipeline


def is_pil(value: Any) -> bool:
    """Whether a value is a PIL image; PIL is not imported to find out."""
    return any(
        cls.__module__ == "PIL.Image" and cls.__name__ == "Image" for cls in type(value).__mro__
    )


def check_foreign(value: Any) -> None:
    """Raises `InputError` for iterators, and for symbolic tensors (of a `tf.data` graph), which
    hold no values.
    """
    module = type(value).__module__
    if module.startswith("tensorflow") and not hasattr(value, "numpy"):
        raise InputError(
            "Expected values, got a symbolic tensor: jaxprep does not run inside a `tf.data` graph. Call it on the "
            "batches that `dataset.as_numpy_iterator()` gives, or use a Grain dataset with `.map(preprocessor)`."
        )
    if isinstance(value, Iterator):
        raise InputError(
            "Expected values, got an iterator: use `map(preprocessor, iterator)`, or make a list of it."
        )
    if module.startswith("keras"):
        raise InputError(
            f"Expected values, got the symbolic `{type(value).__name__}` of a Keras model."
        )


def from_array(value: Any, config: Format) -> np.ndarray:
    """An array of one image or a batch, `(h, w, c)` or `(b, h, w, c)` whatever the layout of the
    config.

    Raises:
        InputError: not an array of numbers, or of another rank.
    """
    check_foreign(value)
    if value is None or isinstance(value, (str, bytes, dict, set)):
        raise InputError(
            f"Expected {EXPECTED}, got `{type(value).__name__}`. Read files with `jaxprep.read_image`."
        )
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise InputError(
            f"Expected {EXPECTED}, got nested sequences of different lengths."
        ) from error
    if array.dtype == object:
        raise InputError(
            f"Expected {EXPECTED}, got `{type(value).__name__}`, which is no array of numbers."
        )
    first = config.pipeline.reads_channels_first
    if array.ndim not in (3, 4):
        layout = "c, h, w" if first else "h, w, c"
        raise InputError(
            f"Expected an image ({layout}) or a batch (batch, {layout}), got shape {array.shape}."
        )
    return np.moveaxis(array, -3, -1) if first else array


def from_pil(image: Any, config: Format) -> Image:
    """A PIL image, converted to the mode that the config starts from."""
    palette = None
    if image.mode == "P":
        colours = image.getpalette("RGB") or []
        palette = [tuple(colours[i : i + 3]) for i in range(0, len(colours), 3)]
    pipeline, mode = config.pipeline_for(image.mode, palette)
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return Image(pixels[..., None] if pixels.ndim == 2 else pixels, pipeline)


def is_list_of_images(value: Any) -> bool:
    """Whether a list or tuple holds images, as against the nested numbers of one image or batch."""
    if not isinstance(value, (list, tuple)):
        return False
    if any(is_pil(item) or hasattr(item, "ndim") or hasattr(item, "shape") for item in value):
        return True
    return bool(value) and not isinstance(value[0], (list, tuple, int, float))


def from_list(values: Sequence[Any], config: Format) -> list[Image]:
    """Images of a list; arrays of different types are promoted to one that holds them all."""
    if not len(values):
        raise InputError("Expected at least one image, got an empty list.")
    found = []
    for i, value in enumerate(values):
        if is_pil(value):
            found.append(from_pil(value, config))
            continue
        try:
            pixels = from_array(value, config)
            if pixels.ndim != 3:
                raise InputError(f"Expected an image of rank 3, got shape {pixels.shape}.")
        except InputError as error:
            raise InputError(f"{error} - at `x[{i}]`.") from error
        found.append(Image(pixels, config.pipeline))
    dtype = np.result_type(*{image.pixels.dtype for image in found})
    return [Image(image.pixels.astype(dtype, copy=False), image.pipeline) for image in found]
