"""The presets that an array is compared with: one that the caller names, or all built-in ones."""

from __future__ import annotations

import functools
import os
from typing import Any, NamedTuple

from jaxprep import presets
from jaxprep.doctor.expected import Expected, read
from jaxprep.errors import ConfigError
from jaxprep.formats import Format, HuggingFace


class Group(NamedTuple):
    """Holds the names of presets that do the same, and what they do.

    >>> Group(("mine",), of_preset("timm/resnet50")).names
    ('mine',)
    """

    names: tuple[str, ...]
    expected: Expected


def of_preset(preset: Any) -> Expected:
    """Return what a preset does, of a name, a config, a preprocessor or a pipeline.

    Raises:
        ConfigError: it is none of these, or does more than the doctor searches.

    >>> of_preset("timm/resnet50.a1_in1k").name
    'timm/resnet50.a1_in1k'
    """
    if isinstance(preset, (str, os.PathLike)):
        config = presets.load(preset)
        return read(os.fspath(preset), config, _layout_of(config))
    config = presets.config_of(preset)
    return read(_name_of(preset), config, _stored(config))


def _name_of(preset: Any) -> str:
    return f"this {type(preset).__name__}"


def _layout_of(config: Format) -> str | None:
    """Return the layout of the results in the preset's own library.

    timm, torchvision and OpenCLIP return channels first, and models in JAX take channels last: of
    their presets both are right.
    """
    if config.collection in ("timm", "torchvision", "open_clip"):
        return None
    return "CHW" if isinstance(config, HuggingFace) else _stored(config)


def _stored(config: Format) -> str:
    layout = config.pipeline.layout
    if layout is not None and layout.planar:
        return "CHW"
    return "HWC"


@functools.cache
def groups() -> tuple[Group, ...]:
    """Return the built-in presets, those that do the same together.

    >>> len(groups()) < len(presets.names())
    True
    """
    same: dict[Any, list[str]] = {}
    first: dict[Any, Expected] = {}
    for name in presets.names():
        try:
            config = presets.load(name)
            layout = _layout_of(config)
            key = (config.pipeline, layout)
            if key not in same:
                first[key] = read(name, config, layout)
        except ConfigError:
            continue
        same.setdefault(key, []).append(name)
    return tuple(Group(tuple(names), first[key]) for key, names in same.items())
