"""Images as sequences of patches of one length, padded, with what tells patches from padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface.builders.sequences import (
    is_cut,
    patch_budget,
    sequence_length,
    soft_tokens,
    tile_rule,
    token_area,
    token_side,
)
from jaxprep.huggingface.call import Call, Family, Results, read, run_each, run_rows, sizes_of
from jaxprep.huggingface.images import Image, one_by_one
from jaxprep.huggingface.patches import grid_by
from jaxprep.huggingface.slices import slices_of
from jaxprep.huggingface.views import array_module, padded
from jaxprep.types import Size


def grid_within(config: HuggingFace, size: Size, length: int) -> Size:
    """Return how many patches an image of `size` has, in rows and in columns.

    Args:
        length: of a sequence, in patches.

    Raises:
        InputError: where nothing resizes the image, its sides are no multiples of a patch, or it
            has more patches than a sequence.

    >>> grid_within(HuggingFace("Siglip2ImageProcessor"), (427, 640), 256)
    (13, 19)
    """
    rows, columns = grid_by(config.pipeline, size)
    if rows * columns > length:
        raise InputError(
            f"Expected at most {length} patches, where `do_resize` is off, got {rows * columns} of "
            f"an image of {size}."
        )
    return rows, columns


def padded_sequences(results: Any, length: int) -> Any:
    """Return the patches of each image as a sequence, 0 after the last: `(b, length, vector)`.

    Args:
        results: of `run_each`, stored by `ops.Patches`: grids of patches on their first 4 axes.
        length: of a sequence, in patches.

    >>> padded_sequences([np.ones((1, 3, 1, 1, 2))], 4)[0, :, 0].tolist()
    [1.0, 1.0, 1.0, 0.0]
    """
    if isinstance(results, list):
        sequences = [result.reshape(math.prod(result.shape[:4]), -1) for result in results]
        return padded(sequences, (length, sequences[0].shape[-1]))
    sequences = results.reshape(len(results), math.prod(results.shape[1:5]), -1)
    # One array stays one, so that the sharding of a batch is kept.
    missing = length - sequences.shape[1]
    return array_module(sequences).pad(sequences, ((0, 0), (0, missing), (0, 0)))


def sequence_masks(grids: Sequence[Size], length: int) -> np.ndarray:
    """Return 1 for each patch and 0 for padding, int32 `(b, length)`.

    >>> sequence_masks([(1, 3)], 4).tolist()
    [[1, 1, 1, 0]]
    """
    counts = np.asarray([rows * columns for rows, columns in grids], np.int32)
    return (np.arange(length) < counts[:, None]).astype(np.int32)


def patch_sequences(call: Call) -> Results:
    """Return patches in sequences of one length, which are patches and which padding, and the grid
    of each image.

    >>> config = HuggingFace("Siglip2ImageProcessor", {"max_num_patches": 8})
    >>> results = patch_sequences(Call(np.zeros((32, 48, 3), np.uint8), {}, config))
    >>> results["pixel_values"].shape, results["spatial_shapes"].tolist()
    ((1, 8, 768), [[2, 3]])
    """
    images = read(call)
    length = patch_budget(call.config.effective)
    grids = [grid_within(call.config, size, length) for size in sizes_of(images)]
    return {
        "pixel_values": padded_sequences(run_each(call, images), length),
        "pixel_attention_mask": sequence_masks(grids, length),
        "spatial_shapes": np.asarray(grids, np.int32),
    }


def patch_positions(call: Call) -> Results:
    """Return patches in sequences of one length, the column and the row of each, -1 for padding,
    and how many tokens the patches of each image become.

    >>> config = HuggingFace("Gemma4ImageProcessor", {"max_soft_tokens": 70})
    >>> results = patch_positions(Call(np.zeros((32, 48, 3), np.uint8), {}, config))
    >>> results["pixel_values"].shape, results["num_soft_tokens_per_image"].tolist()
    ((1, 630, 768), [60])
    """
    images = read(call)
    settings = call.config.effective
    layout: Any = call.config.pipeline.layout
    patches_per_token = (token_side(settings) // layout.patch_size) ** 2
    length = soft_tokens(settings) * patches_per_token
    grids = [grid_within(call.config, size, length) for size in sizes_of(images)]
    counts = [rows * columns // patches_per_token for rows, columns in grids]
    return {
        "pixel_values": padded_sequences(run_each(call, images), length),
        "image_position_ids": positions(grids, length),
        "num_soft_tokens_per_image": np.asarray(counts, np.int32),
    }


def positions(grids: Sequence[Size], length: int) -> np.ndarray:
    """Return column and row of each patch, -1 for padding, int32 `(b, length, 2)`.

    >>> positions([(1, 2)], 3).tolist()
    [[[0, 0], [1, 0], [-1, -1]]]
    """
    found = np.full((len(grids), length, 2), -1, np.int32)
    for of_image, (rows, columns) in zip(found, grids, strict=True):
        index = np.arange(rows * columns)
        of_image[: len(index)] = np.stack([index % columns, index // columns], -1)
    return found


def tiled_sequences(call: Call) -> Results:
    """Return the views of all images one after another, each a sequence of patches: a large image
    in tiles, and all of it after them.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("Lfm2VlImageProcessor", {"tile_size": 64, "max_image_tokens": 64})
    >>> results = tiled_sequences(Call(np.zeros((600, 300, 3), np.uint8), {}, config))
    >>> results["pixel_values"].shape, results["spatial_shapes"].tolist()[::8]
    ((9, 256, 768), [[4, 4], [22, 10]])
    """
    images = one_by_one(read(call))
    config = call.config
    settings = config.effective
    rule = tile_rule(settings)
    sizes = sizes_of(images)
    has_tiles = [is_cut(settings, size) for size in sizes]
    grids: list[Size] = []
    for size, tiled in zip(sizes, has_tiles, strict=True):
        grids.append(rule.grid(size) if rule is not None and tiled else (1, 1))
    # A large image may be one tile, and has no other view then.
    has_whole = [
        not tiled or (settings.flag("use_thumbnail") and grid != (1, 1))
        for tiled, grid in zip(has_tiles, grids, strict=True)
    ]
    wholes = iter(_run_those(call, images, has_whole, None))
    canvases = iter(_run_those(call, images, has_tiles, "tiles"))
    views: list[Any] = []
    for grid, tiled, whole in zip(grids, has_tiles, has_whole, strict=True):
        if tiled:
            views += slices_of(next(canvases), grid)
        if whole:
            views.append(next(wholes))
    shapes: list[Size] = [(view.shape[0], view.shape[1]) for view in views]
    results: Results = {}
    if settings.flag("do_pad"):
        length = sequence_length(settings)
        _check_lengths(shapes, length)
        results["pixel_values"] = padded_sequences(views, length)
        results["pixel_attention_mask"] = sequence_masks(shapes, length)
        results["spatial_shapes"] = np.asarray(shapes, np.int32)
    else:
        results["pixel_values"] = [view.reshape(math.prod(view.shape[:4]), -1) for view in views]
    if settings.flag("return_row_col_info"):
        rows, columns = np.asarray(grids, np.int32).T
        area = token_area(settings)
        results["image_rows"], results["image_cols"] = rows, columns
        results["image_sizes"] = np.asarray([area.output_size(size) for size in sizes], np.int32)
    return results


def _run_those(
    call: Call, images: Sequence[Image], are_meant: Sequence[bool], view: str | None
) -> Any:
    members = [image for image, is_meant in zip(images, are_meant, strict=True) if is_meant]
    return run_each(call, members, view) if members else []


def _check_lengths(shapes: Sequence[Size], length: int) -> None:
    """Refuse an image of so extreme a ratio that it has more patches than a sequence."""
    for rows, columns in shapes:
        if rows * columns > length:
            raise InputError(
                f"Expected images of at most {length} patches, got one of {rows} x {columns}."
            )


def patches_with_grids(call: Call) -> Results:
    """Return the patches of all images one after another, and the grid of each: rows and columns.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("NemotronH_Omni_Reasoning_V3ImageProcessor", {"min_num_patches": 4})
    >>> results = patches_with_grids(Call(np.zeros((32, 64, 3), np.uint8), {}, config))
    >>> results["pixel_values"].shape, results["image_grid_hw"].tolist()
    ((8, 768), [[2, 4]])
    """
    images = read(call)
    sizes = sizes_of(images)
    # The budget of a grid depends on how many images there are.
    pipeline = call.config.pipeline_of(images[0].source, tuple(sizes))
    grids = [grid_by(pipeline, size) for size in sizes]
    patches = run_rows(call, images, axes=4)
    return {
        "pixel_values": patches.reshape(len(patches), -1),
        "image_grid_hw": np.asarray(grids, np.int32),
    }


PATCHES_WITH_GRIDS = Family(patches_with_grids)
TILED_SEQUENCES = Family(tiled_sequences)
PATCH_SEQUENCES = Family(patch_sequences)
PATCH_POSITIONS = Family(patch_positions)
