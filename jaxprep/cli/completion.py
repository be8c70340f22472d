"""Completes words of the command line in a shell, by argcomplete: `jaxprep[completion]`.

The shell runs `jaxprep` at each press of the tab key, so nothing here loads JAX.
https://kislyuk.github.io/argcomplete/
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from jaxprep import resources

HOW_TO = """\
completion in bash and zsh: pip install 'jaxprep[completion]', and in the shell's startup file
  eval "$(register-python-argcomplete jaxprep)\""""


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer the shell and end the process, where a shell asks for completions; else do nothing.

    >>> complete(argparse.ArgumentParser())
    """
    # What argcomplete's line in the shell's startup file sets.
    if "_ARGCOMPLETE" not in os.environ:
        return
    try:
        import argcomplete
    except ImportError:  # registered by another environment's argcomplete
        return
    argcomplete.autocomplete(parser)


def complete_presets(argument: argparse.Action) -> None:
    """Let an argument of the parser be completed with the names of presets, and with paths.

    >>> argument = argparse.ArgumentParser().add_argument("--preset")
    >>> complete_presets(argument)
    >>> argument.completer("timm/resnet50.a1_")
    ['timm/resnet50.a1_in1k']
    """
    argument.completer = _presets_or_paths  # type: ignore[attr-defined]


def _presets_or_paths(prefix: str, **_: Any) -> list[str]:
    if prefix.startswith((".", "~", "/")):
        from argcomplete.completers import FilesCompleter

        return list(FilesCompleter()(prefix))
    return [name for name in preset_names() if name.startswith(prefix)]


def preset_names() -> list[str]:
    """Return the built-in presets and their aliases, without loading JAX.

    >>> "timm/resnet50" in preset_names()
    True
    """
    names: list[str] = []
    for file in sorted(resources.packaged_names("presets")):
        table = resources.load_json(file)
        # Other files are tables of classes.
        if "presets" not in table:
            continue
        collection = file.removesuffix(".json")
        prefix = table.get("prefix", f"{collection}/")
        names += (prefix + name for name in (*table["presets"], *table.get("aliases", {})))
    return names
