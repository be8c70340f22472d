"""Keeps what XLA compiles between runs of the command line, in JAX's persistent cache."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
from pathlib import Path

MAX_BYTES = 2**29
"""Of the programs that are kept; the one that was not read for the longest time goes first. With a
bound JAX locks the folder, so that processes may share it."""
VARIABLE = "JAX_COMPILATION_CACHE_DIR"


def use_cache(no_cache: bool) -> None:
    """Set the variables by which JAX keeps compiled programs, before it is imported.

    A folder that the user has set by `JAX_COMPILATION_CACHE_DIR` is used instead. Where JAX is
    imported already, its settings are those of the caller.

    >>> use_cache(no_cache=False)
    """
    if "jax" in sys.modules:
        return
    if no_cache:
        os.environ["JAX_ENABLE_COMPILATION_CACHE"] = "false"
        return
    if VARIABLE in os.environ:
        return
    try:
        path = folder()
    except RuntimeError:  # a user without a home, as in a container
        return
    settings = {
        VARIABLE: str(path),
        "JAX_COMPILATION_CACHE_MAX_SIZE": str(MAX_BYTES),
        # a second, which most of ours do not take, by default
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def folder() -> Path:
    """Return the folder of this kind of processor: `~/.cache/jaxprep/programs/...`, or where
    `XDG_CACHE_HOME` says; on Windows and macOS where they keep such files.

    Homes are shared by machines, and a program for one processor may have instructions that another
    has not.

    >>> folder().parent.name
    'programs'
    """
    home = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(home):  # others are to be ignored: the XDG base directory specification
        base = Path(home)
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path.home() / ".cache"
    return base / "jaxprep" / "programs" / _processor()


def _processor() -> str:
    """A short name of what instructions this machine's processor has."""
    facts = [platform.machine(), platform.processor()]
    try:
        with open("/proc/cpuinfo") as file:
            facts += [line for line in file if line.startswith(("flags", "Features"))][:1]
    except OSError:
        pass  # not Linux
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:12]
