"""Runs kornia-rs: Rust with SIMD kernels, called from Python on NumPy arrays.

Bilinear it never antialiases: a smaller result leaves most pixels out, which is less work for
another result. Bicubic and Lanczos are antialiased, in fixed point with other rounding than
Pillow's.
"""

from __future__ import annotations

from typing import Any

import kornia_rs
import numpy as np

from cases import MEAN, STD, Case
from peers.normalise import normalise_into


def prepare(case: Case, images: list[np.ndarray], cores: int) -> dict:
    target = (case.target, case.target)

    def fused() -> Any:
        tensors = kornia_rs.pipeline.resize_normalize_to_tensor_batch(images, target, MEAN, STD)
        return np.stack(tensors)

    def resize() -> Any:
        out = np.empty((case.batch, *target, 3), np.float32)
        for slot, image in zip(out, images, strict=True):
            size = case.resized(image.shape[:2])
            levels = kornia_rs.imgproc.resize(image, size, case.method, antialias=True)
            normalise_into(slot, levels[case.window(size)] if case.crop else levels)
        return out

    forms = {"resize": resize}
    if case.method == "bilinear" and not case.crop:
        # resizes, normalises and moves the channels first in one pass: the fastest form
        forms["fused"] = fused
    return forms
