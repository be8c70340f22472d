"""Computes the affine that ends every case, for peers that leave it to NumPy."""

from __future__ import annotations

import numpy as np

from cases import MEAN, STD

# `(x / 255 - mean) / std` as one multiply-add, in float64 before it is rounded once.
SCALE = (1 / (255 * np.asarray(STD))).astype(np.float32)
OFFSET = (-np.asarray(MEAN) / np.asarray(STD)).astype(np.float32)


def normalise_into(out: np.ndarray, image: np.ndarray) -> None:
    """Normalises a uint8 image `(h, w, 3)` into `out`, float32 of the same shape.

    Two passes in place are the fastest that NumPy has: no temporary array is made.
    """
    np.multiply(image, SCALE, out=out, dtype=np.float32)
    out += OFFSET


def levels_of(result: np.ndarray) -> np.ndarray:
    """Return the uint8 levels `(b, h, w, 3)` that a normalised or uint8 result came from.

    The result may have its channels first or last.
    """
    result = np.asarray(result)
    if result.shape[-1] != 3:
        result = np.moveaxis(result, 1, -1)
    if result.dtype == np.uint8:
        return np.ascontiguousarray(result)
    # In float64: the inverse of the affine then rounds to the level that it was made of.
    levels = (result.astype(np.float64) * STD + MEAN) * 255
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def affine_error(result: np.ndarray, levels: np.ndarray) -> float:
    """Return how far a normalised result is from that of its levels, relative to max(1, |x|)."""
    result = np.asarray(result)
    if result.dtype == np.uint8:
        return 0.0
    if result.shape[-1] != 3:
        result = np.moveaxis(result, 1, -1)
    wanted = (levels / 255.0 - MEAN) / STD
    # Near 0 a relative error says nothing: there it is absolute.
    scale = np.maximum(1, np.abs(wanted))
    errors = np.abs(result - wanted) / scale
    return float(np.max(errors))
