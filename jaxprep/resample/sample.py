"""Tables for positions that are not on a grid of the image: a box of any corners, sampled as
torch's `grid_sample`.
"""

from __future__ import annotations

import numpy as np

from jaxprep.resample.tables import Taps, fit

A = np.float32(-0.75)


def magnification(length: np.float32, m: int) -> np.float32:
    """How many samples of `m` fall on a pixel, if they cross `length` pixels; by a reciprocal, as
    torch divides.
    """
    with np.errstate(divide="ignore"):
        return np.float32(1) / length * np.float32(m - 1)


def positions(middle: np.float32, length: np.float32, n: int, m: int) -> np.ndarray:
    """Where `m` samples across `length` pixels around `middle`, both ends included, lie on an axis
    of `n`; float32.

    The arithmetic is that of Sapiens2: to [-1, 1] and back, each operation rounded, with
        `align_corners=True`.
    """
    inside = (
        np.arange(m, dtype=np.float32) / magnification(length, m)
        + middle
        - np.float32(0.5) * length
    )
    around = np.float32(2) * inside / np.float32(n - 1) - np.float32(1)
    return (around + np.float32(1)) * np.float32((n - 1) / 2)


def _near(x: np.ndarray, a: np.float32 = A) -> np.ndarray:
    """The cubic within a pixel, each operation rounded; `filters.torch_cubic` is that of resizing,
    which fuses them.
    """
    return ((a + 2) * x - (a + 3)) * x * x + 1


def _far(x: np.ndarray, a: np.float32 = A) -> np.ndarray:
    """The cubic between one pixel and two."""
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a


def sample_taps(at: np.ndarray, n: int, method: str) -> Taps:
    """The table that samples an axis of `n` pixels at positions `at`, 0 being the middle of the
    first; 0 outside.

    Args:
        method: "bilinear", "bicubic" with a = -0.75, or "nearest".
    """
    at = np.clip(at, -8, n + 8)
    if method == "nearest":
        first, weight = np.floor(at + np.float32(0.5)), np.ones((len(at), 1), np.float32)
    elif method == "bilinear":
        first = np.floor(at)
        share = (at - first)[:, None]
        weight = np.concatenate([1 - share, share], axis=1)
    else:
        share = (at - np.floor(at))[:, None]
        first = np.floor(at) - 1
        weight = np.concatenate(
            [_far(share + 1), _near(share), _near(1 - share), _far(2 - share)], axis=1
        )
    start = first.astype(np.int64)
    source = start[:, None] + np.arange(weight.shape[1])
    weight = np.where((source >= 0) & (source < n), weight, np.float32(0))
    return Taps(*fit(start, weight, n), np.int32(0))
