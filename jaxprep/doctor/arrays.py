"""Reads what a pipeline feeds a model: arrays and their files, and how their axes may be stored."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError

CHANNELS = (1, 3)
NAMES = ("pixel_values", "images", "image", "x", "arr_0")
"""Entries of an `.npz` file that are tried in this order."""
MAX_BYTES = 2**30
"""Of the array in a file: 1700 images of 224 x 224 as float32."""


class Reading(NamedTuple):
    """Holds images `(b, h, w, c)` and the layout that they were read by.

    Attributes:
        layout: "CHW" or "HWC"; "CWH" and "WHC" are transposed, "reshaped" has the values of one
            layout in the shape of the other.
        first: the layout of the shape.
        is_batch: whether the array has an axis for a batch.

    >>> Reading("CHW", "CHW", np.zeros((1, 4, 4, 3)), False).images.shape
    (1, 4, 4, 3)
    """

    layout: str
    first: str
    images: np.ndarray
    is_batch: bool


def load(array: Any) -> np.ndarray:
    """Return the array of a path of an `.npy` or `.npz` file, or of anything that NumPy reads.

    Raises:
        InputError: no such file, no array in it, or not of numbers.

    >>> load([[0, 1], [2, 3]]).shape
    (2, 2)
    """
    if isinstance(array, (str, os.PathLike)):
        array = _from_file(Path(array))
    try:
        loaded = np.asarray(array)
    except (TypeError, ValueError) as error:
        raise InputError(f"Expected an array, got {type(array).__name__} - at `array`.") from error
    if loaded.dtype == np.dtype("V2"):  # as `np.save` stores bfloat16
        loaded = loaded.view(jnp.bfloat16)
    if not jnp.issubdtype(loaded.dtype, jnp.floating) and loaded.dtype.kind not in "iub":
        raise InputError(f"Expected an array of numbers, got {loaded.dtype} - at `array`.")
    return loaded


def _from_file(path: Path) -> np.ndarray:
    if not path.is_file():
        raise InputError(f"Expected an .npy or .npz file, got '{path}', which is no file.")
    try:
        # A header may claim more than the file holds: a map of the file is not larger than it.
        content = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(content, np.ndarray):
            _check_bytes(content.nbytes, path)
            return np.array(content)
        with content:
            name = _entry(content.files, path)
            # Neither NumPy nor `zipfile` reads more than the directory of the file says.
            entries = {entry.filename: entry.file_size for entry in content.zip.infolist()}
            _check_bytes(entries.get(f"{name}.npy", entries.get(name, 0)), path)
            return np.asarray(content[name])
    except InputError:
        raise
    # NumPy, `zipfile` and each way of packing have errors of their own for damaged files.
    except Exception as error:
        raise InputError(f"Expected an .npy or .npz file, got '{path}': {error}") from error


def _entry(files: list[str], path: Path) -> str:
    if len(files) == 1:
        return files[0]
    for name in NAMES:
        if name in files:
            return name
    raise InputError(
        f"Expected one array in '{path}', or one of the name {list(NAMES)}, got {files}."
    )


def _check_bytes(count: int, path: Path) -> None:
    if count > MAX_BYTES:
        raise InputError(
            f"Expected an array of at most {MAX_BYTES} bytes, got {count} - in '{path}'."
        )


def readings(array: np.ndarray) -> list[Reading]:
    """Return the ways in which an array may be images, the plain one first.

    Raises:
        InputError: it has no axis of 1 or 3 channels, or another number of axes.

    >>> [reading.layout for reading in readings(np.zeros((3, 4, 5)))]
    ['CHW', 'CWH', 'reshaped']
    """
    is_batch = array.ndim == 4
    batch = array if is_batch else array[None]
    if array.ndim == 2:
        batch = array[None, ..., None]
    if batch.ndim != 4 or 0 in batch.shape:
        raise InputError(
            "Expected one image or a batch, (h, w, c), (c, h, w), (b, h, w, c) or (b, c, h, w), "
            f"got shape {array.shape} - at `array`."
        )
    if not all(np.all(np.isfinite(image.astype(np.float64))) for image in batch):
        raise InputError("Expected finite numbers, got NaN or infinity - at `array`.")
    if batch.shape[-1] in CHANNELS and (
        batch.shape[1] not in CHANNELS or batch.shape[2] not in (1, 3)
    ):
        first, images = "HWC", batch
    elif batch.shape[1] in CHANNELS:
        first, images = "CHW", batch.transpose(0, 2, 3, 1)
    else:
        raise InputError(
            f"Expected an axis of 1 or 3 channels, got shape {array.shape} - at `array`."
        )
    plain = Reading(first, first, images, is_batch)
    turned = {"HWC": "WHC", "CHW": "CWH"}[first]
    transposed = Reading(turned, first, images.transpose(0, 2, 1, 3), is_batch)
    count, height, width, channels = images.shape
    if channels == 1:
        return [plain, transposed]
    if first == "CHW":
        values = batch.reshape(count, height, width, channels)
    else:
        values = batch.reshape(count, channels, height, width).transpose(0, 2, 3, 1)
    return [plain, transposed, Reading("reshaped", first, values, is_batch)]


def rounding(dtype: np.dtype) -> float:
    """Return by how much of themselves numbers of a type are rounded.

    >>> rounding(np.dtype("float16"))
    0.00048828125
    """
    if dtype.name == "bfloat16" or dtype.kind == "V":
        return 2.0**-8
    if dtype.kind != "f":
        return 0.0
    return float(np.finfo(dtype).eps) / 2
