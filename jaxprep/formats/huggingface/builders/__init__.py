"""Builders: the behaviours that the `steps` of a class name, as functions from settings to steps.

Paths of Transformers in comments are of release 5.24, below
https://github.com/huggingface/transformers/tree/main/src/

A builder is a function of a `Build` under `@builder()`, in the module of its theme, which
`build.MODULES` lists.
"""

from jaxprep.formats.huggingface.builders.build import (
    Build,
    Builder,
    Operation,
    Part,
    Source,
    ValueRange,
    add_steps,
    builder,
    builder_named,
    builders_of,
)

__all__ = [
    "Build",
    "Builder",
    "Operation",
    "Part",
    "Source",
    "ValueRange",
    "add_steps",
    "builder",
    "builder_named",
    "builders_of",
]
