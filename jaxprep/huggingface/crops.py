"""Molmo 2: an image, and overlapping crops of it, as patches; which patches are one token.

The source is `transformers/models/molmo2/image_processing_molmo2.py`, Transformers 5.24.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from jaxprep.bounds import cached
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
    rows_of_crops, columns_of_crops = grid
    crops = []
    for row in range(rows_of_crops):
        for column in range(columns_of_crops):
            from_crop_on = patches[:, row * stride :, column * stride :]
            crops.append(from_crop_on[:, :length, :length])
    stacked = array_module(crops).stack(crops, axis=1)
    return stacked.reshape(len(patches), len(crops), length**2, -1)


@cached()
def canvas_indices(grid: Size, length: int, before: int, after: int) -> np.ndarray:
    """Return which patch of which crop stands for each patch of a canvas, int32 `(rows, columns)`.

    Args:
        grid: how many crops there are, in rows and in columns.
        length: of a crop, in patches; patch `i` of crop `n` is number `n * length**2 + i`.
        before, after: how many patches at the start and the end of a crop another one stands for.

    >>> canvas_indices((1, 2), 3, 1, 1).tolist()
    [[0, 1, 10, 11], [3, 4, 13, 14], [6, 7, 16, 17]]
    """
    rows_of_crops, columns_of_crops = grid
    count = rows_of_crops * columns_of_crops * length**2
    numbers = np.arange(count, dtype=np.int32)
    numbers = numbers.reshape(rows_of_crops, columns_of_crops, length, length)
    rows = _places(rows_of_crops, length, before, after)
    columns = _places(columns_of_crops, length, before, after)
    # `rows` along the first axis, `columns` along the second: the four indices broadcast.
    crop_rows, patch_rows = np.divmod(rows[:, None], length)
    crop_columns, patch_columns = np.divmod(columns[None], length)
    return numbers[crop_rows, crop_columns, patch_rows, patch_columns]


def _places(crops: int, length: int, before: int, after: int) -> np.ndarray:
    """Of each patch along a side of the canvas, crop times `length` plus place; the outer borders
    of the first and the last crop belong to these."""
    kept = []
    for crop in range(crops):
        first = before
        end = length - after
        if crop == 0:
            first = 0
        if crop == crops - 1:
            end = length
        kept.append(crop * length + np.arange(first, end))
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
        before = missing // 2
        widths.append((before, missing - before))
    whole = np.pad(indices, widths, constant_values=-1)
    rows = whole.shape[0] // height
    columns = whole.shape[1] // width
    split = whole.reshape(rows, height, columns, width)
    squares = split.transpose(0, 2, 1, 3)
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
    before, after = margins(settings)
    canvas = canvas_indices(grid, length, before, after)
    crops = pooled(canvas, *square)
    # The patches of the whole image come first.
    return pooled(whole, *square), shifted(crops, length**2)


def shifted(indices: np.ndarray, offset: int) -> np.ndarray:
    """Return numbers of patches plus an offset; -1 stays.

    >>> shifted(np.array([0, -1]), 5).tolist()
    [5, -1]
    """
    moved = indices + np.int32(offset)
    return np.where(indices >= 0, moved, np.int32(-1)).astype(np.int32)


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
    groups: list[tuple[Size, Any, Any]] = []
    if not isinstance(canvases, list) and not isinstance(wholes, list):
        groups.append((sizes[0], wholes, canvases))
    else:
        for size, whole, canvas in zip(sizes, wholes, canvases, strict=True):
            groups.append((size, whole[None], canvas[None]))
    views: list[Any] = []
    for size, whole, canvas in groups:
        crops = crops_of(canvas, rule.grid(size), length, stride)
        whole_view = whole.reshape(len(whole), 1, length**2, -1)
        pair = [whole_view, crops]
        joined = array_module(pair).concatenate(pair, axis=1)
        views.append(rows(joined, axes=1))
    pixel_values = views[0]
    if len(views) > 1:
        pixel_values = rows(views, axes=1)
    tokens: list[np.ndarray] = []
    grids: list[list[int]] = []
    counts: list[int] = []
    # Patches are numbered on through all images of a call.
    offset = 0
    for size in sizes:
        whole_tokens, crop_tokens = pooled_of(settings, size)
        for part in (whole_tokens, crop_tokens):
            patches_of_tokens = part.reshape(-1, part.shape[2])
            tokens.append(shifted(patches_of_tokens, offset))
        grids.append([*whole_tokens.shape[:2], *crop_tokens.shape[:2]])
        count = 1 + math.prod(rule.grid(size))
        counts.append(count)
        offset += count * length**2
    return {
        "pixel_values": pixel_values,
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
    length = crop_patches(settings)
    canvas_patches = [n // patch for n in rule.output_size(size)]
    # Rounded up: `pooled` pads both to whole squares.
    whole = [-(-length // side) for side in square]
    crops = [-(-n // side) for n, side in zip(canvas_patches, square, strict=True)]
    crops_count = math.prod(rule.grid(size))
    return [*whole, *crops], 1 + crops_count


def token_count(config: HuggingFace, size: Size) -> int:
    """Return how many tokens an image has.

    >>> from jaxprep.huggingface import Molmo2ImageProcessor
    >>> Molmo2ImageProcessor().get_number_of_image_patches(480, 640)
    725
    """
    grids, _ = grids_and_crops(config, size)
    whole_rows, whole_columns, crop_rows, crop_columns = grids
    return whole_rows * whole_columns + crop_rows * crop_columns


CROPPED = Family(
    cropped,
    methods=count_methods(
        get_image_grid_and_crops=grids_and_crops, get_number_of_image_patches=token_count
    ),
)
