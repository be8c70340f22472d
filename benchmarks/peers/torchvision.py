"""Runs torchvision v2's functions on a uint8 batch, in memory channels last and planar."""

from __future__ import annotations

import numpy as np

from cases import MEAN, STD, Case
from peers.torch_ import load_torch


def prepare(case: Case, images: list[np.ndarray], cores: int, part: str = "all") -> dict:
    torch = load_torch(cores)
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional

    method = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}[
        case.method
    ]
    # One number is the shorter side, as for CLIP.
    size = [case.target] if case.crop else [case.target, case.target]

    def resize(x):
        x = functional.resize(x, size, interpolation=method, antialias=True)
        return functional.center_crop(x, [case.target, case.target]) if case.crop else x

    def finish(x):
        if part == "resize":
            return x
        return functional.normalize(functional.to_dtype(x, torch.float32, scale=True), MEAN, STD)

    if case.is_ragged:
        tensors = [torch.from_numpy(image).permute(2, 0, 1)[None] for image in images]
        return {
            "list of tensors": lambda: finish(torch.cat([resize(tensor) for tensor in tensors]))
        }
    # A view of channels-last memory, which the uint8 kernel is fastest with:
    # https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/UpSampleKernel.cpp
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    planar = batch.contiguous()
    return {
        "channels-last batch": lambda: finish(resize(batch)),
        "planar batch": lambda: finish(resize(planar)),
    }
