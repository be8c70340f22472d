"""jaxprep: raw images to exactly what a pretrained vision model expects, as one XLA program."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxprep import (
        augment,
        checkpoint,
        data,
        errors,
        formats,
        huggingface,
        ops,
        parallel,
        postprocess,
        presets,
        training,
    )
    from jaxprep.bounds import limit_programs
    from jaxprep.cli.run import preprocess_files
    from jaxprep.doctor import Diagnosis, diagnose
    from jaxprep.exported import ExportedPreprocessor, export, load_exported
    from jaxprep.facade import ImageClassifierPreprocessor, ImageConverter
    from jaxprep.host.decode import read_image
    from jaxprep.huggingface import AutoImageProcessor, AutoVideoProcessor, BatchFeature
    from jaxprep.looking import compare, show
    from jaxprep.parallel.canvas import stack
    from jaxprep.pipeline import Pipeline, Plan
    from jaxprep.training import recipes, training_pipeline
    from jaxprep.types import Batch
    from jaxprep.undoing import denormalize, undo

__version__ = "0.1.0"

# The module that defines each name. None is imported with the package, so that the command line is
# there, and knows what to do at Ctrl-C, before it imports JAX.
_MODULE_OF = {
    "AutoImageProcessor": "jaxprep.huggingface",
    "AutoVideoProcessor": "jaxprep.huggingface",
    "Batch": "jaxprep.types",
    "BatchFeature": "jaxprep.huggingface",
    "Diagnosis": "jaxprep.doctor",
    "diagnose": "jaxprep.doctor",
    "ExportedPreprocessor": "jaxprep.exported",
    "ImageClassifierPreprocessor": "jaxprep.facade",
    "ImageConverter": "jaxprep.facade",
    "Pipeline": "jaxprep.pipeline",
    "Plan": "jaxprep.pipeline",
    "export": "jaxprep.exported",
    "limit_programs": "jaxprep.bounds",
    "compare": "jaxprep.looking",
    "denormalize": "jaxprep.undoing",
    "load_exported": "jaxprep.exported",
    "preprocess_files": "jaxprep.cli.run",
    "read_image": "jaxprep.host.decode",
    "recipes": "jaxprep.training",
    "show": "jaxprep.looking",
    "stack": "jaxprep.parallel.canvas",
    "training_pipeline": "jaxprep.training",
    "undo": "jaxprep.undoing",
}
__all__ = [
    "AutoImageProcessor",
    "AutoVideoProcessor",
    "Batch",
    "BatchFeature",
    "Diagnosis",
    "ExportedPreprocessor",
    "ImageClassifierPreprocessor",
    "ImageConverter",
    "Pipeline",
    "Plan",
    "augment",
    "checkpoint",
    "compare",
    "data",
    "denormalize",
    "diagnose",
    "errors",
    "export",
    "formats",
    "huggingface",
    "limit_programs",
    "load_exported",
    "ops",
    "parallel",
    "postprocess",
    "preprocess_files",
    "presets",
    "read_image",
    "recipes",
    "show",
    "stack",
    "training",
    "training_pipeline",
    "undo",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import jaxprep` is quick (PEP 562)."""
    if name in _MODULE_OF:
        value = getattr(importlib.import_module(_MODULE_OF[name]), name)
        if hasattr(value, "get_config"):
            # Keras may have been imported after us
            importlib.import_module("jaxprep.frameworks").register_with_keras(value)
        return value
    if name in __all__:  # the others are modules
        return importlib.import_module(f"jaxprep.{name}")
    raise AttributeError(f"module 'jaxprep' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
