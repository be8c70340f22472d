"""Images as sequences of patches of one length, padded, with what tells patches from padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface.builders.sequences import patch_budget, soft_tokens, token_side
from jaxprep.huggingface.call import Call, Family, Results, read, run_each, sizes_of
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
    layout: Any = config.pipeline.layout
    height, width = config.pipeline.output_size(size)
    if height % layout.square or width % layout.square:
        raise InputError(
            f"Expected sides that are multiples of {layout.square}, where `do_resize` is off, got "
            f"an image of {size}."
        )
    rows, columns = height // layout.patch_size, width // layout.patch_size
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


PATCH_SEQUENCES = Family(patch_sequences)
PATCH_POSITIONS = Family(patch_positions)
