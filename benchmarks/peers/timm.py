"""Runs timm's evaluation transform on PIL images, stacked as a data loader does."""

from __future__ import annotations

from typing import Any

import numpy as np

from cases import MEAN, STD, Case
from peers.pillow import in_turn_and_in_threads
from peers.torch_ import load_torch


def prepare(case: Case, images: list[np.ndarray], cores: int) -> dict:
    torch = load_torch(cores)
    from PIL import Image
    from timm.data import create_transform

    transform = create_transform(
        input_size=(3, case.target, case.target),
        interpolation=case.method,
        mean=MEAN,
        std=STD,
        # The resize is to the size of the crop, as in the other peers.
        crop_pct=1.0,
        crop_mode="center" if case.crop else "squash",
    )
    photos = [Image.fromarray(image) for image in images]

    def one(i: int, out: list[Any]) -> None:
        out[i] = transform(photos[i])

    forms = in_turn_and_in_threads(one, len(photos), lambda: [None] * len(photos), cores)
    return {name: lambda call=call: torch.stack(call()) for name, call in forms.items()}
