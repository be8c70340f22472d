"""Hugging Face image and video processors without PyTorch: the contract of Transformers, on device.

    from jaxprep.huggingface import AutoImageProcessor, CLIPImageProcessor, ViTImageProcessorPil
    from jaxprep.huggingface import AutoVideoProcessor, VideoMAEVideoProcessor

Every class of `presets/huggingface.json` and `presets/huggingface_video.json` is here by its own
name, and by those it had before.
"""

from __future__ import annotations

from typing import Any

from jaxprep.formats.huggingface import classes
from jaxprep.huggingface.auto import AutoImageProcessor, AutoVideoProcessor
from jaxprep.huggingface.features import BatchFeature
from jaxprep.huggingface.mixin import ImageProcessingMixin
from jaxprep.huggingface.processor import BaseImageProcessor, processor_class
from jaxprep.huggingface.video_processor import BaseVideoProcessor, video_processor_class
from jaxprep.videos.metadata import VideoMetadata

__all__ = [
    "AutoImageProcessor",
    "AutoVideoProcessor",
    "BaseImageProcessor",
    "BaseVideoProcessor",
    "BatchFeature",
    "ImageProcessingMixin",
    "VideoMetadata",
]


def __getattr__(name: str) -> Any:
    """A class of the tables by its name."""
    found: Any = None
    if not name.startswith("_"):
        found = processor_class(name) or video_processor_class(name)
    if found is None:
        raise AttributeError(f"module 'jaxprep.huggingface' has no attribute {name!r}")
    return found


def __dir__() -> list[str]:
    both = ("torchvision", "pil")
    twins = [f"{name}Pil" for name, row in classes.rows().items() if row.backends == both]
    return sorted({*__all__, *classes.rows(), *twins, *classes.video_rows()})
