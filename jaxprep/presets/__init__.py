"""Presets: finding, reading and writing configs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from jaxprep import codec
from jaxprep.formats import Format
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

__all__ = ["describe", "load", "matching", "metadata", "names", "register_collection", "save"]


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
    """The config that a handle stands for.

    Args:
        handle: in this order: an existing path, of a JSON file or a directory;
            `hf://user/repo[@revision][/folder]` or `kaggle://org/model/keras/variant[/version]`; a
            built-in name.
        config_file: the file to read in a directory.
        revision, token, cache_dir, local_files_only: as in `huggingface_hub`.
        overrides: fields of the config to change.

    Raises:
        PresetNotFoundError: nothing answers to the handle.
        HubError: the hub cannot be reached or refuses, and nothing is cached.
        MissingPackageError: the hub's package is not installed.
        ConfigError: the config cannot be read, or an override is no field of it.
    """
    if not isinstance(handle, (str, os.PathLike)) or not os.fspath(handle):
        raise codec.expected("a path, a handle or a built-in name", handle, "preset")
    name = os.fspath(handle)
    if "\0" not in name and os.path.exists(name):
        found = files.read(Path(name), config_file)
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
        found = files.read(folder, config_file)
    else:
        found = built_in(name)
    return found.overridden(overrides)


def save(
    preprocessor: Format, directory: str | os.PathLike[str], config_file: str = files.PREPROCESSOR
) -> None:
    """Writes a config to a directory, which is made if needed; see `files.write`."""
    files.write(preprocessor, Path(directory), config_file)
