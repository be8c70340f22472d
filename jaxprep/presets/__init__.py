"""Loads presets, the configs of models, by a path, a hub's handle or a name, and saves them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.formats import Custom, Format
from jaxprep.formats.keras_hub import PREPROCESSOR
from jaxprep.pipeline import Pipeline
from jaxprep.presets import files
from jaxprep.presets.library import (
    built_in,
    describe,
    matching,
    metadata,
    names,
    register_collection,
)
from jaxprep.presets.sources import is_hub_handle, resolve

__all__ = [
    "config_of",
    "describe",
    "load",
    "matching",
    "metadata",
    "names",
    "register_collection",
    "save",
]


def load(
    handle: str | os.PathLike[str],
    *,
    config_file: str | None = None,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | None = None,
    local_files_only: bool = False,
    **overrides: Any,
) -> Format:
    """Load the config that a handle stands for.

    Args:
        handle: in this order: an existing path, of a JSON file or a directory;
            `hf://user/repo[@revision][/folder]` or `kaggle://org/model/keras/variant[/version]`;
            the name of a preset, built in or of `register_collection`.
        config_file: the file to read in a directory.
        revision, token, cache_dir, local_files_only: as in `huggingface_hub`.
        overrides: fields of the config to change.

    Raises:
        PresetNotFoundError: there is no such file, repository or name.
        HubError: the hub cannot be reached or refuses, and nothing is cached.
        MissingPackageError: the hub's package is not installed.
        ConfigError: the config cannot be read, or an override is no field of it.
        InputError: a revision of a preset that comes with jaxprep, or of Kaggle.

    >>> load("timm/resnet50.a1_in1k", crop_pct=1.0).crop_pct
    1.0
    """
    # An empty name is the working directory to `os.path`, which nobody means.
    if not isinstance(handle, (str, os.PathLike)) or not os.fspath(handle):
        raise codec.expected("a path, a handle or a built-in name", handle, "preset")
    name = os.fspath(handle)
    # A path first, so that what a user has saved is never hidden by a name that is built in.
    # `os.path.exists` raises `ValueError` on a null character.
    if "\0" not in name and os.path.exists(name):
        config = files.read(Path(name), config_file)
    elif is_hub_handle(name):
        wanted = files.preset_files()
        if config_file is not None:
            wanted = (*wanted, config_file)
        folder = resolve(
            name,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            files=tuple(dict.fromkeys(wanted)),
        )
        config = files.read(folder, config_file)
    else:
        config = built_in(name)
        if revision not in (None, "main"):  # "main" is what the hub takes by itself
            raise InputError(
                f"Expected no `revision` of a preset that comes with jaxprep, got {revision!r} - "
                f"at {name!r}. A repository of the hub is named `hf://user/repo`."
            )
    return config.overridden(overrides)


def config_of(preset: Any, **overrides: Any) -> Format:
    """Return the config of what stands for one: a name, or an object that has it.

    Args:
        preset: what `load` takes; a config; a `Pipeline`; a preprocessor, converter or processor.
        overrides: as in `load`.

    Raises:
        PresetNotFoundError: no such preset.
        ConfigError: none of these, or an override is no field of the config.

    >>> from jaxprep import ops
    >>> config_of("timm/resnet50.a1_in1k").image_size
    (224, 224)
    >>> config_of(Pipeline((ops.CenterCrop(4),))).pipeline.output_size((8, 8))
    (4, 4)
    """
    config: Any = getattr(preset, "config", preset)
    if not isinstance(config, Format):
        # that of a preprocessor of the caller's, too
        pipeline = getattr(preset, "pipeline", preset)
        config = Custom(pipeline) if isinstance(pipeline, Pipeline) else config
    if isinstance(config, Format):
        return config.overridden(overrides)
    return load(preset, **overrides)


def save(
    preprocessor: Format, directory: str | os.PathLike[str], config_file: str = PREPROCESSOR
) -> None:
    """Write a config to a directory, which is made if needed.

    Args:
        preprocessor: the config.
        directory: gets `jaxprep.json`, and the files of KerasHub where they can say the same.
            KerasHub's own `from_preset` wants the `config.json` of a backbone beside them, which
            its `save_to_preset` writes and jaxprep, having no model, does not.
        config_file: the name of KerasHub's main file.

    Raises:
        ConfigError: files of KerasHub are there that say something else, or `directory` is no
            path; nothing is written.
        OSError: a file cannot be written; everything is as it was.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(load("resnet_50_imagenet"), folder)
    ...     sorted(os.listdir(folder))
    ['image_converter.json', 'jaxprep.json', 'preprocessor.json']
    """
    files.write(preprocessor, files.as_path(directory, "directory"), config_file)


def __dir__() -> list[str]:
    return sorted(__all__)
