"""Runs OpenCV and NumPy.

Only INTER_AREA averages what a smaller result covers; the others alias, and are another result.
"""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np

from cases import Case
from peers.normalise import normalise_into

# https://docs.opencv.org/4.x/da/d54/group__imgproc__transform.html, `InterpolationFlags`
METHODS = {
    "bilinear": ("INTER_LINEAR", "INTER_AREA"),
    "bicubic": ("INTER_CUBIC", "INTER_AREA"),
    "lanczos": ("INTER_LANCZOS4", "INTER_AREA"),
}


def prepare(case: Case, images: list[np.ndarray], cores: int) -> dict:
    cv2.setNumThreads(cores)

    def run(flag: int) -> Any:
        out = np.empty((case.batch, case.target, case.target, 3), np.float32)
        for slot, image in zip(out, images, strict=True):
            height, width = case.resized(image.shape[:2])
            levels = cv2.resize(image, (width, height), interpolation=flag)
            normalise_into(slot, levels[case.window((height, width))] if case.crop else levels)
        return out

    return {name: functools.partial(run, getattr(cv2, name)) for name in METHODS[case.method]}
