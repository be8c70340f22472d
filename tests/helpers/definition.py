"""Resampling by its definition, in float64: a dense matrix for each axis."""

import functools

import numpy as np


def lanczos(lobes: int, x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < lobes, np.sinc(x) * np.sinc(x / lobes), 0)


def cubic(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    return np.where(
        x < 1, 1.5 * x**3 - 2.5 * x**2 + 1, np.where(x < 2, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2, 0)
    )


KERNELS = {
    "box": lambda x: ((x > -0.5) & (x <= 0.5)).astype(float),
    "bilinear": lambda x: np.clip(1 - np.abs(x), 0, None),
    "hamming": lambda x: np.where(np.abs(x) < 1, np.sinc(x) * (0.54 + 0.46 * np.cos(np.pi * x)), 0),
    "bicubic": cubic,
    "lanczos3": functools.partial(lanczos, 3),
    "lanczos5": functools.partial(lanczos, 5),
}


def dense(n: int, m: int, method: str, antialias: bool) -> np.ndarray:
    """The matrix `(m, n)` of an axis in float64, from the definition: one row per output,
    normalised.
    """
    if method == "nearest":
        return np.eye(n)[[(2 * i + 1) * n // (2 * m) for i in range(m)]]
    stretch = max(n, m) if antialias else m
    out, source = np.arange(m)[:, None], np.arange(n)
    weight = KERNELS[method](((2 * source + 1) * m - (2 * out + 1) * n) / (2 * stretch))
    return weight / weight.sum(1, keepdims=True)


def in_float64(image: np.ndarray, out: tuple[int, int], method: str, antialias: bool) -> np.ndarray:
    rows, columns = (dense(n, m, method, antialias) for n, m in zip(image.shape, out))
    return np.einsum("ah,bw,hwc->abc", rows, columns, image.astype(np.float64), optimize=True)
