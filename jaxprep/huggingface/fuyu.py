"""Patches of Fuyu's canvases, and where they go among the tokens of a text.

The source is `transformers/models/fuyu/image_processing_fuyu.py`, Transformers 5.24.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.huggingface.features import BatchFeature
from jaxprep.huggingface.views import array_module
from jaxprep.types import Size


def _patch_of(processor: Any, patch_size: Any) -> Size:
    """Height and width of a patch: those given, or the processor's."""
    sides = processor.patch_size if patch_size is None else patch_size
    if isinstance(sides, int):
        return sides, sides
    pair: tuple[Any, ...] = tuple(sides)
    if isinstance(sides, Mapping):
        pair = sides.get("height"), sides.get("width")
    if len(pair) != 2 or not all(type(side) is int and side >= 1 for side in pair):
        raise codec.expected("{height, width} in pixels", patch_size, "$.patch_size")
    return pair[0], pair[1]


def get_num_patches(
    processor: Any, image_height: int, image_width: int, patch_size: Any = None
) -> int:
    """Return how many patches an image has.

    Args:
        image_height, image_width: multiples of the sides of a patch, in pixels.
        patch_size: `{"height", "width"}`; by default the processor's.

    Raises:
        InputError: a side is no multiple.

    >>> from jaxprep.huggingface import FuyuImageProcessor
    >>> FuyuImageProcessor().get_num_patches(60, 90)
    6
    """
    height, width = _patch_of(processor, patch_size)
    if image_height % height or image_width % width:
        raise InputError(
            f"Expected sides that are multiples of {height} and {width}, got "
            f"{(image_height, image_width)}."
        )
    return (image_height // height) * (image_width // width)


def patchify_image(processor: Any, image: Any, patch_size: Any = None) -> Any:
    """Return images as the vectors of their patches `(h, w, c)`, row by row.

    Args:
        image: `(b, c, h, w)`, or one image `(c, h, w)`.
        patch_size: `{"height", "width"}`; by default the processor's.

    Returns:
        `(b, patches, vector)`, or `(patches, vector)`; pixels that fill no whole patch are left
        out.

    >>> from jaxprep.huggingface import FuyuImageProcessor
    >>> FuyuImageProcessor().patchify_image(np.zeros((1, 3, 60, 90))).shape
    (1, 6, 2700)
    """
    image = image if hasattr(image, "ndim") else np.asarray(image)
    if image.ndim == 3:
        return patchify_image(processor, image[None], patch_size)[0]
    if image.ndim != 4:
        raise InputError(f"Expected images (b, c, h, w), got shape {tuple(image.shape)}.")
    height, width = _patch_of(processor, patch_size)
    batch, channels = image.shape[:2]
    rows, columns = image.shape[2] // height, image.shape[3] // width
    whole = image[:, :, : rows * height, : columns * width]
    split = whole.reshape(batch, channels, rows, height, columns, width)
    grid = array_module(split).transpose(split, (0, 2, 4, 3, 5, 1))
    return grid.reshape(batch, rows * columns, height * width * channels)


def preprocess_with_tokenizer_info(
    processor: Any,
    image_input: Any,
    image_present: Any,
    image_unpadded_h: Any,
    image_unpadded_w: Any,
    image_placeholder_id: int,
    image_newline_id: int,
    variable_sized: bool,
    patch_size: Any = None,
) -> BatchFeature:
    """Return the patches of canvases, the tokens that stand for them, and which patch is where.

    Args:
        image_input: canvases `(b, s, c, h, w)`: `s` subsequences of each sample.
        image_present: whether there is an image, `(b, s)`.
        image_unpadded_h, image_unpadded_w: of each image on its canvas, `(b, s)`, in pixels.
        image_placeholder_id: the token that stands for a patch.
        image_newline_id: the token after each row of patches.
        variable_sized: leave out the patches that hold padding only, and end rows with a token.
        patch_size: `{"height", "width"}`; by default the processor's.

    Returns:
        lists by sample and subsequence: `images`, `image_input_ids`, `image_patches`, and the
        number of the patch at each token, -1 for others: `image_patch_indices_per_batch` and
        `image_patch_indices_per_subsequence`.

    >>> from jaxprep.huggingface import FuyuImageProcessor
    >>> canvas, is_there = np.zeros((1, 1, 3, 60, 90)), np.ones((1, 1))
    >>> height, width = np.array([[30]]), np.array([[50]])
    >>> found = FuyuImageProcessor().preprocess_with_tokenizer_info(
    ...     canvas, is_there, height, width, 7, 8, True
    ... )
    >>> found.image_input_ids[0][0].tolist()
    [7, 7, 8]
    """
    patch = _patch_of(processor, patch_size)
    present = np.asarray(image_present)
    unpadded = np.stack([np.asarray(image_unpadded_h), np.asarray(image_unpadded_w)], -1)
    results: dict[str, list[Any]] = {name: [] for name in TOKENIZED}
    for canvases, is_there, sizes in zip(image_input, present, unpadded, strict=True):
        ids: list[np.ndarray] = []
        patches: list[Any] = []
        for canvas, is_image, size in zip(canvases, is_there, sizes, strict=True):
            if not np.any(is_image):
                ids.append(np.zeros(0, np.int32))
                continue
            image = _without_padding(canvas, size, patch) if variable_sized else canvas
            _, height, width = image.shape
            get_num_patches(processor, height, width, patch)  # which checks the sides
            rows = np.full((height // patch[0], width // patch[1]), image_placeholder_id, np.int32)
            if variable_sized:
                ends = np.full((len(rows), 1), image_newline_id, np.int32)
                rows = np.concatenate([rows, ends], 1)
            ids.append(rows.reshape(-1))
            patches.append(patchify_image(processor, image, patch))
            results["images"].append([image])
        results["image_input_ids"].append(ids)
        results["image_patches"].append(patches)
        per_sample, per_subsequence = _indices(ids, image_placeholder_id)
        results["image_patch_indices_per_batch"].append(per_sample)
        results["image_patch_indices_per_subsequence"].append(per_subsequence)
    return BatchFeature(results)


TOKENIZED = (
    "images",
    "image_input_ids",
    "image_patches",
    "image_patch_indices_per_batch",
    "image_patch_indices_per_subsequence",
)
"""What `preprocess_with_tokenizer_info` returns."""


def _without_padding(canvas: Any, size: Any, patch: Size) -> Any:
    """The whole patches of a canvas that hold the image."""
    sides = [
        min(n, math.ceil(side / length) * length)
        for n, side, length in zip(canvas.shape[1:], size.tolist(), patch, strict=True)
    ]
    return canvas[:, : sides[0], : sides[1]]


def _indices(ids: list[np.ndarray], placeholder: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The number of the patch at each token, counted through a sample and in each subsequence."""
    first = 0
    per_sample, per_subsequence = [], []
    for tokens in ids:
        is_patch = tokens == placeholder
        numbers = np.cumsum(is_patch, dtype=np.int32) - 1
        per_sample.append(np.where(is_patch, numbers + first, -1).astype(np.int32))
        per_subsequence.append(np.where(is_patch, numbers, -1).astype(np.int32))
        first += int(is_patch.sum())
    return per_sample, per_subsequence


FUYU_METHODS = {
    "get_num_patches": get_num_patches,
    "patchify_image": patchify_image,
    "preprocess_with_tokenizer_info": preprocess_with_tokenizer_info,
}
