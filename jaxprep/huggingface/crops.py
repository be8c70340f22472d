"""Molmo 2: an image, and overlapping crops of it, as patches; which patches are one token.

The source is `transformers/models/molmo2/image_processing_molmo2.py`, Transformers 5.24.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface.builders.slices import (
    crop_patches,
    margins,
    overlapping_crops,
    pooling,
)
from jaxprep.formats.huggingface.settings import Settings
from jaxprep.huggingface.call import Call, Family, Results, read, run_each, sizes_of
from jaxprep.huggingface.counts import count_methods
from jaxprep.huggingface.views import array_module, rows
from jaxprep.types import Size


def crops_of(patches: Any, grid: Size, length: int, stride: int) -> Any:
    """Return the patches of each crop of each image, row by row: `(images, crops, length * length,
    vector)`.

    Args:
        patches: of canvases of one size, stored by `ops.Patches`: `(images, rows, columns, 1, 1,
            ...)`.
        grid: how many crops there are, in rows and in columns.
        length: of a crop, in patches.
        stride: from one crop to the next, in patches.

    >>> crops_of(np.arange(3).reshape(1, 1, 3, 1, 1, 1), (1, 2), 1, 2)[..., 0].tolist()
    [[[0], [2]]]
    """
    crops = [
        patches[:, y * stride :, x * stride :][:, :length, :length]
        for y in range(grid[0])
        for x in range(grid[1])
    ]
    stacked = array_module(crops).stack(crops, axis=1)
    return stacked.reshape(len(patches), len(crops), length**2, -1)


@functools.lru_cache(maxsize=256)
def canvas_indices(grid: Size, length: int, before: int, after: int) -> np.ndarray:
    """Return which patch of which crop stands for each patch of a canvas, int32 `(rows, columns)`.

    Args:
        grid: how many crops there are, in rows and in columns.
        length: of a crop, in patches; patch `i` of crop `n` is number `n * length**2 + i`.
        before, after: how many patches at the start and the end of a crop another one stands for.

    >>> canvas_indices((1, 2), 3, 1, 1).tolist()
    [[0, 1, 10, 11], [3, 4, 13, 14], [6, 7, 16, 17]]
    """
    count = grid[0] * grid[1] * length**2
    numbers = np.arange(count, dtype=np.int32).reshape(*grid, length, length)
    rows = _places(grid[0], length, before, after)
    columns = _places(grid[1], length, before, after)
    crop_rows, patch_rows = np.divmod(rows, length)
    crop_columns, patch_columns = np.divmod(columns, length)
    return numbers[crop_rows[:, None], crop_columns[None], patch_rows[:, None], patch_columns[None]]


def _places(crops: int, length: int, before: int, after: int) -> np.ndarray:
    """Of each patch along a side of the canvas, crop times `length` plus place; the outer borders
    of the first and the last crop belong to these."""
    places = np.arange(crops * length).reshape(crops, length)
    kept = [
        row[0 if i == 0 else before : length if i == crops - 1 else length - after]
        for i, row in enumerate(places)
    ]
    return np.concatenate(kept)


def pooled(indices: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the numbers in each square of a grid, -1 around it where it is no whole squares.

    That is `arange_for_pooling`; half of the padding, rounded down, is above and on the left.

    Args:
        height, width: of a square.

    Returns:
        `(rows, columns, height * width)`.

    >>> pooled(np.array([[0, 1, 2]]), 1, 2).tolist()
    [[[0, 1], [2, -1]]]
    """
    widths = []
    for n, side in zip(indices.shape, (height, width), strict=True):
        missing = -n % side
        widths.append((missing // 2, missing - missing // 2))
    whole = np.pad(indices, widths, constant_values=-1)
    rows, columns = whole.shape[0] // height, whole.shape[1] // width
    squares = whole.reshape(rows, height, columns, width).transpose(0, 2, 1, 3)
    return squares.reshape(rows, columns, height * width)


def pooled_of(settings: Settings, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Return the patches of each token of an image of `size`: those of the whole image, and those
    of its crops, `(rows, columns, patches)`.

    >>> whole, crops = pooled_of(Settings("Molmo2ImageProcessor", {}), (480, 640))
    >>> whole.shape, crops.shape
    ((14, 14, 4), (23, 23, 4))
    """
    length = crop_patches(settings)
    square = pooling(settings)
    whole = np.arange(length**2, dtype=np.int32).reshape(length, length)
    grid = overlapping_crops(settings).grid(size)
    crops = pooled(canvas_indices(grid, length, *margins(settings)), *square)
    return pooled(whole, *square), shifted(crops, length**2)


def shifted(indices: np.ndarray, offset: int) -> np.ndarray:
    """Return numbers of patches plus an offset; -1 stays.

    >>> shifted(np.array([0, -1]), 5).tolist()
    [5, -1]
    """
    return np.where(indices >= 0, indices + np.int32(offset), np.int32(-1)).astype(np.int32)


def cropped(call: Call) -> Results:
    """Return the patches of the whole of each image and of its crops, the patches of each token,
    the grids of tokens of both, and how many crops each image has.

    >>> config = HuggingFace("Molmo2ImageProcessor")
    >>> results = cropped(Call(np.zeros((480, 640, 3), np.uint8), {}, config))
    >>> results["pixel_values"].shape, results["image_grids"].tolist()
    ((5, 729, 588), [[14, 14, 23, 23]])
    """
    images = read(call)
    settings = call.config.effective
    rule = overlapping_crops(settings)
    length = crop_patches(settings)
    stride = length - sum(margins(settings))
    sizes = sizes_of(images)
    wholes = run_each(call, images, "whole")
    canvases = run_each(call, images)
    # Images of one size are not taken apart, so that the sharding of a batch is kept.
    groups: list[tuple[Size, Any, Any]]
    if not isinstance(canvases, list) and not isinstance(wholes, list):
        groups = [(sizes[0], wholes, canvases)]
    else:
        each = zip(sizes, wholes, canvases, strict=True)
        groups = [(size, whole[None], canvas[None]) for size, whole, canvas in each]
    views: list[Any] = []
    for size, whole, canvas in groups:
        crops = crops_of(canvas, rule.grid(size), length, stride)
        pair = [whole.reshape(len(whole), 1, length**2, -1), crops]
        views.append(rows(array_module(pair).concatenate(pair, axis=1), axes=1))
    tokens: list[np.ndarray] = []
    grids: list[list[int]] = []
    counts: list[int] = []
    offset = 0
    for size in sizes:
        grid = rule.grid(size)
        of_image = pooled_of(settings, size)
        tokens += [shifted(part.reshape(-1, part.shape[2]), offset) for part in of_image]
        grids.append([*of_image[0].shape[:2], *of_image[1].shape[:2]])
        counts.append(1 + grid[0] * grid[1])
        offset += counts[-1] * length**2
    return {
        "pixel_values": rows(views, axes=1) if len(views) > 1 else views[0],
        "image_token_pooling": np.concatenate(tokens),
        "image_grids": np.asarray(grids, np.int32),
        "image_num_crops": np.asarray(counts, np.int32),
    }


def grids_and_crops(config: HuggingFace, size: Size) -> tuple[list[int], int]:
    """Return how many rows and columns of tokens an image has, those of the whole and those of its
    crops, and how many crops, the whole included.

    >>> from jaxprep.huggingface import Molmo2ImageProcessor
    >>> Molmo2ImageProcessor().get_image_grid_and_crops(480, 640)
    ([14, 14, 23, 23], 5)
    """
    settings = config.effective
    rule = overlapping_crops(settings)
    patch = settings.integer("patch_size")
    square = pooling(settings)
    rows, columns = rule.grid(size)
    whole = [-(-crop_patches(settings) // side) for side in square]
    canvas = rule.output_size(size)
    crops = [-(-(n // patch) // side) for n, side in zip(canvas, square, strict=True)]
    return [*whole, *crops], 1 + rows * columns


def token_count(config: HuggingFace, size: Size) -> int:
    """Return how many tokens an image has.

    >>> from jaxprep.huggingface import Molmo2ImageProcessor
    >>> Molmo2ImageProcessor().get_number_of_image_patches(480, 640)
    725
    """
    grids, _ = grids_and_crops(config, size)
    return grids[0] * grids[1] + grids[2] * grids[3]


CROPPED = Family(
    cropped,
    methods=count_methods(
        get_image_grid_and_crops=grids_and_crops, get_number_of_image_patches=token_count
    ),
)
