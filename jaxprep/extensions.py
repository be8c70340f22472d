"""Imports what other packages add to jaxprep: the modules that a user names, and entry points.

An entry point is a line in a package's metadata, which names a module. That module registers
presets or formats when it is imported, by `jaxprep.presets.register_collection` or
`jaxprep.formats.register`:
https://packaging.python.org/en/latest/specifications/entry-points/

No file and no config makes anything here be imported: only packages that are installed, and names
that the caller writes.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import os
import sys
import warnings
from typing import Literal

from jaxprep.errors import ConfigError, InputError

Group = Literal["jaxprep.presets", "jaxprep.formats"]
PRESETS: Group = "jaxprep.presets"
FORMATS: Group = "jaxprep.formats"


def import_module(name: str) -> None:
    """Import a module by its name, also one of the working folder, where no other has that name.

    Raises:
        InputError: it cannot be imported.

    >>> import_module("json")
    """
    # After all others: a `random.py` in the working folder must not become the standard library's.
    folder = os.getcwd()
    if folder not in sys.path:
        sys.path.append(folder)
    try:
        importlib.import_module(name)
    # Whatever the module raises: it is the user's code, and the message says which line.
    except Exception as error:
        is_path = name.endswith(".py") or "/" in name
        hint = " The file `steps.py` of the working folder is the module `steps`." * is_path
        raise InputError(
            f"Expected the name of a module that can be imported, got {name!r}, which raised "
            f"{type(error).__name__}: {error} - at `--import`.{hint}"
        ) from error


def load_named(group: Group, name: str) -> bool:
    """Import the entry point of that name; return whether there is one.

    Raises:
        ConfigError: it cannot be imported.

    >>> load_named("jaxprep.presets", "no such collection")
    False
    """
    if name not in _entry_points(group):
        return False
    error = _error_of(group, name)
    if error is not None:
        raise ConfigError(f"Expected {error}")
    return True


def load_all(group: Group) -> None:
    """Import all entry points of a group; a warning names each that cannot be imported.

    >>> load_all("jaxprep.formats")
    """
    for name in _entry_points(group):
        error = _error_of(group, name)
        if error is not None:
            _warn_once(error)


@functools.cache
def _entry_points(group: Group) -> dict[str, importlib.metadata.EntryPoint]:
    return {entry.name: entry for entry in importlib.metadata.entry_points(group=group)}


@functools.cache
def _error_of(group: Group, name: str) -> str | None:
    """Import an entry point, once in a process; return what was expected and came instead."""
    entry = _entry_points(group)[name]
    try:
        entry.load()
    # A package that is broken must not break those presets that are not its own.
    except Exception as error:
        package = "" if entry.dist is None else f" of the package `{entry.dist.name}`"
        return (
            f"the entry point `{name} = {entry.value}`{package} to be imported, got "
            f"{type(error).__name__}: {error} - in `{group}`."
        )
    return None


@functools.cache
def _warn_once(error: str) -> None:
    warnings.warn(f"Left out: expected {error}", stacklevel=2)
