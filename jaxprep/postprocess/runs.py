"""Run-length encodings, as Transformers writes them. Host work: their length depends on the
data.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def mask_to_runs(mask: Any) -> list[int]:
    """The runs of ones of a binary mask, row by row: first pixel (counted from 1), length, first
    pixel, length, ...

    This is what Transformers returns as "COCO annotation"; COCO's own tools write column by column
    (`mask_to_rle`).
    """
    pixels = np.concatenate([[0], np.asarray(mask).ravel().astype(np.int8), [0]])
    runs = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    runs[1::2] -= runs[::2]
    return runs.tolist()


def segmentation_to_runs(segmentation: Any) -> list[list[int]]:
    """The runs of each value of a map of ids, in ascending order; the value of the background is
    one of them.
    """
    segmentation = np.asarray(segmentation)
    return [mask_to_runs(segmentation == value) for value in np.unique(segmentation)]


def mask_to_rle(mask: Any) -> dict[str, list[int]]:
    """Uncompressed COCO RLE of one binary mask `(h, w)`: lengths column by column, of zeros and
    ones in turn.
    """
    mask = np.asarray(mask).astype(bool)
    pixels = mask.T.ravel()
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    counts = np.diff(np.concatenate([[0], changes, [pixels.size]])).tolist()
    return {
        "size": list(mask.shape),
        "counts": [0, *counts] if pixels.size and pixels[0] else counts,
    }


def rle_to_mask(rle: dict[str, Any]) -> jax.Array:
    """The inverse of `mask_to_rle`."""
    height, width = rle["size"]
    values = np.arange(len(rle["counts"])) % 2 == 1
    return jnp.asarray(np.repeat(values, rle["counts"]).reshape(width, height).T)
