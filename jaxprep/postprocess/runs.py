"""Run-length encodings of masks, as Transformers writes them; on the host, since their length
depends on the data.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def mask_to_runs(mask: Any) -> list[int]:
    """Returns the runs of ones of a binary mask, row by row: first pixel (counted from 1), length,
    first pixel, length, ...

    This is what Transformers returns as "COCO annotation" (`binary_mask_to_rle` in
    `models/detr/image_processing_detr.py`). COCO's own tools write column by column: `mask_to_rle`.

    >>> mask_to_runs([[0, 1, 1], [1, 0, 1]])
    [2, 3, 6, 1]
    """
    flat = np.asarray(mask).ravel().astype(np.int8)
    # Zeros around it: the first and the last run begin and end like all others.
    pixels = np.concatenate([[0], flat, [0]])
    runs = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    runs[1::2] -= runs[::2]
    return runs.tolist()


def segmentation_to_runs(segmentation: Any) -> list[list[int]]:
    """Returns the runs of each value of a map of ids, in ascending order; the value of the
    background is one of them.

    Reproduces `convert_segmentation_to_rle` of `models/detr/image_processing_detr.py`.

    >>> segmentation_to_runs([[-1, -1, 0], [0, 0, 1]])
    [[1, 2], [3, 3], [6, 1]]
    """
    segmentation = np.asarray(segmentation)
    values = np.unique(segmentation)
    return [mask_to_runs(segmentation == value) for value in values]


def mask_to_rle(mask: Any) -> dict[str, list[int]]:
    """Returns the uncompressed COCO RLE of a binary mask `(h, w)`: lengths column by column, of
    zeros and ones in turn.

    Reproduces `_mask_to_rle` of `models/sam/image_processing_sam.py`.

    >>> mask_to_rle([[0, 1], [1, 1]])
    {'size': [2, 2], 'counts': [1, 3]}
    """
    mask = np.asarray(mask).astype(bool)
    pixels = mask.T.ravel()
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    ends = np.concatenate([[0], changes, [pixels.size]])
    counts = np.diff(ends).tolist()
    if pixels.size and pixels[0]:
        counts = [0, *counts]  # the first count is that of zeros, even where there are none
    return {"size": list(mask.shape), "counts": counts}


def rle_to_mask(rle: dict[str, Any]) -> jax.Array:
    """Returns the mask, bool `(h, w)`, of a COCO RLE: the inverse of `mask_to_rle`.

    >>> rle_to_mask({"size": [2, 2], "counts": [1, 3]}).tolist()
    [[False, True], [True, True]]
    """
    height, width = rle["size"]
    counts = rle["counts"]
    run = np.arange(len(counts))
    is_inside = run % 2 == 1
    pixels = np.repeat(is_inside, counts)
    columns = pixels.reshape(width, height)
    return jnp.asarray(columns.T)
