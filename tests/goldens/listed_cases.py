"""One call of each class for what it returns with `return_tensors=None`: settings and inputs, and the structure of results."""

from collections.abc import Sequence
from typing import Any

import numpy as np

IMAGE = np.arange(60 * 80 * 3, dtype=np.uint32).reshape(60, 80, 3).astype(np.uint8)
CLIP = np.stack([IMAGE[:56, :56]] * 8)
PAIRS = ("EfficientLoFTRImageProcessor", "LightGlueImageProcessor", "SuperGlueImageProcessor")

SMALL = {"height": 64, "width": 64}
SHORT = {"shortest_edge": 64, "longest_edge": 96}
SETTINGS: dict[str, dict[str, Any]] = {
    "AriaImageProcessor": {"max_image_size": 490},
    "ConditionalDetrImageProcessor": {"size": SHORT},
    "DeformableDetrImageProcessor": {"size": SHORT},
    "DetrImageProcessor": {"size": SHORT},
    "DonutImageProcessor": {"size": SMALL},
    "GroundingDinoImageProcessor": {"size": SHORT},
    "YolosImageProcessor": {"size": SHORT},
    "RTDetrImageProcessor": {"size": SMALL, "do_pad": True},
    "Owlv2ImageProcessor": {"size": SMALL},
    "Idefics3ImageProcessor": {"size": {"longest_edge": 364}},
    "SmolVLMImageProcessor": {"size": {"longest_edge": 364}},
    "ImageGPTImageProcessor": {"clusters": [[-1.0, -1.0, -1.0], [1.0, 1.0, 1.0]]},
    "LayoutLMv2ImageProcessor": {"apply_ocr": False},
    "LayoutLMv3ImageProcessor": {"apply_ocr": False},
    "Ernie4_5_VLMoeVideoProcessor": {"draw_on_frames": False},
    "NemotronH_Omni_Reasoning_V3VideoProcessor": {"norm_mean": [0.5] * 3, "norm_std": [0.5] * 3},
}
"""Settings that a class cannot do without, where it reads no text and draws none, sizes of those that are slow by default, and the switch of a result that is off by default."""

BESIDE: dict[str, dict[str, Any]] = {
    "VitMatteImageProcessor": {"trimaps": IMAGE[..., 0]},
    "VitPoseImageProcessor": {"boxes": [[[0, 0, 20, 30]]]},
}
"""Inputs that a class needs beside its images."""


def images(name: str) -> Any:
    """Return the images of the call: one, or a pair."""
    return [IMAGE, IMAGE] if name in PAIRS else IMAGE


def structure(value: Any) -> Any:
    """Return lists as they are nested, an array as its shape, a dictionary by its names, and everything else as it is; what Transformers has as tuples are lists."""
    if hasattr(value, "items"):
        return {name: structure(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [structure(item) for item in value]
    if hasattr(value, "shape"):
        return f"array {tuple(value.shape)}"
    return value


def listed_axes(value: Any) -> int | None:
    """Return how many first axes of a result are lists, down to an array; None where there is none."""
    axes = 0
    while isinstance(value, Sequence) and not isinstance(value, str) and len(value):
        value, axes = value[0], axes + 1
    return axes if hasattr(value, "shape") else None
