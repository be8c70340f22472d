"""Hugging Face image processors without PyTorch: the contract of Transformers, on device.

    from jaxprep.huggingface import AutoImageProcessor, CLIPImageProcessor, ViTImageProcessorPil

Every class of `presets/huggingface.json` is here by its own name, and by those it had before.
"""

from __future__ import annotations

from typing import Any

from jaxprep.formats.huggingface import classes
from jaxprep.huggingface.auto import AutoImageProcessor
from jaxprep.huggingface.features import BatchFeature
from jaxprep.huggingface.mixin import ImageProcessingMixin
from jaxprep.huggingface.processor import BaseImageProcessor, processor_class

__all__ = ["AutoImageProcessor", "BaseImageProcessor", "BatchFeature", "ImageProcessingMixin"]


def __getattr__(name: str) -> Any:
    """A class of the table by its name."""
    found = None if name.startswith("_") else processor_class(name)
    if found is None:
        raise AttributeError(f"module 'jaxprep.huggingface' has no attribute {name!r}")
    return found


def __dir__() -> list[str]:
    both = ("torchvision", "pil")
    twins = [f"{name}Pil" for name, row in classes.rows().items() if row.backends == both]
    return sorted({*globals(), *classes.rows(), *twins})
