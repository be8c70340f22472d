"""Runs Transformers' image processors as users call them, and on the fastest kinds of input."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases import MEAN, STD, Case
from peers.torch_ import load_torch

# `PIL.Image.Resampling`'s numbers, as configs on the hub have them.
METHODS = {"lanczos": 1, "bilinear": 2, "bicubic": 3}


def prepare(case: Case, images: list[np.ndarray], cores: int, backend: str) -> dict:
    torch = load_torch(cores)
    from PIL import Image

    processor = make_processor(case, backend)
    kind = "np" if backend == "pil" else "pt"

    def run(inputs: Any) -> Any:
        return processor(inputs, return_tensors=kind)["pixel_values"]

    photos = [Image.fromarray(image) for image in images]
    forms = {"PIL images": lambda: run(photos), "NumPy arrays": lambda: run(images)}
    if backend == "torchvision" and case.is_ragged:
        tensors = [torch.from_numpy(image).permute(2, 0, 1) for image in images]
        forms["list of tensors"] = lambda: run(tensors)
    elif backend == "torchvision":
        batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        planar = batch.contiguous()
        forms["channels-last batch"] = lambda: run(batch)
        forms["planar batch"] = lambda: run(planar)
    return forms


def make_processor(case: Case, backend: str) -> Any:
    import transformers

    suffix = "Pil" if backend == "pil" else ""
    options: dict[str, Any] = {
        "resample": METHODS[case.method],
        "image_mean": list(MEAN),
        "image_std": list(STD),
    }
    square = {"height": case.target, "width": case.target}
    if case.crop:
        make = getattr(transformers, f"CLIPImageProcessor{suffix}")
        return make(size={"shortest_edge": case.target}, crop_size=square, **options)
    return getattr(transformers, f"ViTImageProcessor{suffix}")(size=square, **options)
