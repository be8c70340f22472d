"""jaxprep: raw images to exactly what a pretrained vision model expects, as one XLA program."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from jaxprep.types import Batch

if TYPE_CHECKING:
    from jaxprep import errors, formats, huggingface, ops, postprocess, presets
    from jaxprep.facade import ImageClassifierPreprocessor, ImageConverter
    from jaxprep.host.decode import read_image
    from jaxprep.huggingface import AutoImageProcessor, BatchFeature
    from jaxprep.pipeline import Pipeline, Plan

__version__ = "0.1.0"

_WHERE = {
    "AutoImageProcessor": "jaxprep.huggingface",
    "BatchFeature": "jaxprep.huggingface",
    "ImageClassifierPreprocessor": "jaxprep.facade",
    "ImageConverter": "jaxprep.facade",
    "Pipeline": "jaxprep.pipeline",
    "Plan": "jaxprep.pipeline",
    "read_image": "jaxprep.host.decode",
}
_MODULES = ("errors", "formats", "huggingface", "ops", "postprocess", "presets")

__all__ = [
    "AutoImageProcessor",
    "Batch",
    "BatchFeature",
    "ImageClassifierPreprocessor",
    "ImageConverter",
    "Pipeline",
    "Plan",
    "errors",
    "formats",
    "huggingface",
    "ops",
    "postprocess",
    "presets",
    "read_image",
]


def __getattr__(name: str) -> Any:
    """Imports what is asked for when it is asked for, so that `import jaxprep` stays light."""
    if name in _MODULES:
        return importlib.import_module(f"jaxprep.{name}")
    if name in _WHERE:
        return getattr(importlib.import_module(_WHERE[name]), name)
    raise AttributeError(f"module 'jaxprep' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
