"""Prints what a command has to say beside its output."""

from __future__ import annotations

import errno
import sys


def told(error: OSError) -> str:
    """Return an error of the system as a message: which path, what is wrong, and what to do.

    >>> told(FileNotFoundError(2, "No such file or directory", "out/a.png"))
    "Expected to use 'out/a.png', got: No such file or directory. Is its folder there?"
    """
    if error.strerror is None:
        return str(error) or type(error).__name__
    # What is printed has no name.
    target = "write the output" if error.filename is None else f"use {error.filename!r}"
    hint = _HINTS.get(error.errno or 0, "")
    return f"Expected to {target}, got: {error.strerror}.{hint}"


_HINTS = {
    errno.ENOENT: " Is its folder there?",
    errno.ENOTDIR: " A part of the path is a file.",
    errno.EEXIST: " A file is where a folder is needed.",
    errno.EISDIR: " A folder is where a file is needed.",
    errno.EACCES: " Its owner may allow it.",
    errno.EROFS: " Choose a folder that can be written to.",
    errno.ENOSPC: " Free some space, and run the command again.",
    errno.EDQUOT: " Free some space, and run the command again.",
}


def say(message: str) -> None:
    """Print a message on stderr, as one line that says who speaks.

    >>> import contextlib
    >>> with contextlib.redirect_stderr(sys.stdout):
    ...     say("two\\nlines")
    jaxprep: two lines
    """
    print(f"jaxprep: {' '.join(message.split())}", file=sys.stderr)
