"""Builders: the behaviours that the `steps` of a class name, as functions from settings to steps.

Paths of Transformers in comments are of release 5.24, below
https://github.com/huggingface/transformers/tree/main/src/

A builder is a function of a `Build` under `@builder()`, in the module of its theme.
"""

from jaxprep.formats.huggingface.builders import (
    crop_and_pad,
    documents,
    interpolation,
    patches,
    resize,
    resolutions,
    sequences,
    slices,
    tiles,
    values,
    videos,
)
from jaxprep.formats.huggingface.builders.build import (
    BUILDERS,
    Build,
    Builder,
    Operation,
    Part,
    Source,
    ValueRange,
    add_steps,
    builder,
    builders_of,
)

__all__ = [
    "BUILDERS",
    "Build",
    "Builder",
    "Operation",
    "Part",
    "Source",
    "ValueRange",
    "add_steps",
    "builder",
    "builders_of",
    "crop_and_pad",
    "documents",
    "interpolation",
    "patches",
    "resize",
    "resolutions",
    "sequences",
    "slices",
    "tiles",
    "values",
    "videos",
]
