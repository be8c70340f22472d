"""Runs libvips through pyvips, and NumPy.

It antialiases with Pillow's filters, but its fixed-point weights are those of positions rounded to
a fraction of a pixel (`VIPS_TRANSFORM_SCALE` in
https://github.com/libvips/libvips/blob/master/libvips/resample/reducev.cpp), so that levels differ.
By default `resize` first averages blocks of pixels where an image is at least four times too large
(`gap=2`), which is less work for another result; `gap=0` leaves that out.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pyvips

from cases import Case
from peers.normalise import normalise_into

KERNELS = {"bilinear": "linear", "bicubic": "cubic", "lanczos": "lanczos3"}


def prepare(case: Case, images: list[np.ndarray], cores: int) -> dict:
    pyvips.cache_set_max(0)  # otherwise a repeated operation is looked up, not computed
    kernel = KERNELS[case.method]

    def run(**options: Any) -> Any:
        out = np.empty((case.batch, case.target, case.target, 3), np.float32)
        for slot, image in zip(out, images, strict=True):
            height, width = image.shape[:2]
            resized = case.resized((height, width))
            vertical, horizontal = resized[0] / height, resized[1] / width
            wrapped = pyvips.Image.new_from_memory(image, width, height, 3, "uchar")
            levels = wrapped.resize(horizontal, vscale=vertical, kernel=kernel, **options).numpy()
            normalise_into(slot, levels[case.window(resized)] if case.crop else levels)
        return out

    return {"resize": run, "resize, gap=0": functools.partial(run, gap=0)}
