"""Prints what a command has to say beside its output."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import IO


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
    """Print a message on stderr, as one line that says who speaks; while `quietly(True)` holds,
    only a warning or an error.

    >>> import contextlib
    >>> with contextlib.redirect_stderr(sys.stdout):
    ...     say("two\\nlines")
    jaxprep: two lines
    """
    if sys.stderr is None:  # a process without one, as of `pythonw`
        return
    text = " ".join(message.split())
    word, colon, rest = text.partition(":")
    style = _STYLES.get(word)
    if _quiet and style is None:
        return
    if style is not None:
        text = painted(word + colon, style, sys.stderr) + rest
    print(f"jaxprep: {text}", file=sys.stderr)


BOLD, ERROR, WARNING = "1", "1;31", "33"
"""Parameters of the terminal's escape sequence SGR: bold, bold red, yellow."""
_STYLES = {"error": ERROR, "interrupted": ERROR, "warning": WARNING}
_quiet = False


@contextlib.contextmanager
def quietly(is_quiet: bool) -> Iterator[None]:
    """Let `say` print warnings and errors only, in the block.

    >>> with quietly(True):
    ...     say("6 images in out")
    """
    global _quiet
    before = _quiet
    _quiet = is_quiet
    try:
        yield
    finally:
        _quiet = before


def painted(text: str, style: str, stream: IO[str]) -> str:
    """Return a text in colour where it goes to a terminal, and the user has not set `NO_COLOR`.

    https://no-color.org: set to anything but nothing.

    >>> painted("error", ERROR, sys.stdout)  # no terminal
    'error'
    """
    is_plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    if is_plain or not stream.isatty():
        return text
    return f"\033[{style}m{text}\033[0m"
