"""Runs KerasHub's `ImageConverter` on JAX, called eagerly; images of several sizes one by one."""

from __future__ import annotations

import jax
import keras_hub
import numpy as np

from cases import Case
from peers.normalise import OFFSET, SCALE

METHODS = {"bilinear": "bilinear", "bicubic": "bicubic", "lanczos": "lanczos3"}


def prepare(case: Case, images: list[np.ndarray], cores: int) -> dict:
    converter = keras_hub.layers.ImageConverter(
        image_size=(case.target, case.target),
        scale=SCALE.tolist(),
        offset=OFFSET.tolist(),
        crop_to_aspect_ratio=case.crop,
        interpolation=METHODS[case.method],
        # Not its default; without it the result aliases, and takes less work.
        antialias=True,
    )
    if case.is_ragged:
        return {
            "image by image": lambda: jax.block_until_ready(
                jax.numpy.stack([converter(x) for x in images])
            )
        }
    batch = np.stack(images)
    return {"NumPy batch": lambda: jax.block_until_ready(converter(batch))}
