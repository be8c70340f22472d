"""Prints what a command has to say beside its output."""

from __future__ import annotations

import sys


def say(message: str) -> None:
    """Print a message on stderr, as one line that says who speaks.

    >>> import contextlib
    >>> with contextlib.redirect_stderr(sys.stdout):
    ...     say("two\\nlines")
    jaxprep: two lines
    """
    print(f"jaxprep: {' '.join(message.split())}", file=sys.stderr)
