"""Runs the commands of `jaxprep`; `options.py` lists them."""

# PYTHON_ARGCOMPLETE_OK: argcomplete's global completion looks for this word.

from __future__ import annotations

import importlib
import io
import os
import sys
import warnings
from collections.abc import Sequence

from jaxprep.cli.cache import use_cache
from jaxprep.cli.completion import complete
from jaxprep.cli.interrupts import INTERRUPTED, ending_at_interrupt
from jaxprep.cli.messages import quietly, say, told
from jaxprep.cli.options import make_parser
from jaxprep.errors import JaxprepError
from jaxprep.extensions import import_module

FAILED, PIPE_CLOSED = 1, 141
"""Exit statuses: a fatal error; and 128 + the signal, as shells report SIGPIPE (13)."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit status. Errors of `errors.py` are one line on stderr.

    Args:
        argv: the arguments after the name of the program; None takes those of the process.

    Raises:
        SystemExit: wrong usage (2), `--help` or `--version` (0), as `argparse` does it.

    >>> main(["presets", "resnet_50_imagenet"])  # doctest: +ELLIPSIS
    NAME ...
    resnet_50_imagenet ...
    0
    """
    _open_missing_streams()
    parser = make_parser()
    complete(parser)
    args = parser.parse_args(argv)
    use_cache(args.no_cache)
    with warnings.catch_warnings(), quietly(args.quiet):
        warnings.showwarning = _warn
        try:
            # Imports JAX, which takes longer than wrong usage and `--help` should.
            with ending_at_interrupt():
                for module in args.modules:
                    import_module(module)
                command = importlib.import_module(f"jaxprep.cli.{args.command}")
            _take_any_character()
            status: int = command.execute(args)
            print(end="", flush=True)  # unlike `sys.stdout.flush()` where that is closed
            return status
        except KeyboardInterrupt:
            say("interrupted")
            return INTERRUPTED
        # Any other exception is a mistake of jaxprep's: its traceback is of use.
        except (JaxprepError, MemoryError) as error:
            hint = _MEMORY_HINT if isinstance(error, MemoryError) else ""
            say(f"error: {str(error) or type(error).__name__}{hint}")
            return FAILED
        except BrokenPipeError:
            return PIPE_CLOSED
        except OSError as error:
            say(f"error: {told(error)}")
            return FAILED
        finally:
            _drop_what_cannot_be_written()


_MEMORY_HINT = ": there is too little memory; fewer --workers and a smaller --batch-size need less."


def _open_missing_streams() -> None:
    """Open the null device in place of a stdin, stdout or stderr that the process was started
    without (`2>&-`, some daemons): the next file to be opened, a shard, would take its number, and
    with it what libraries print.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
    # Python has none for them.
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)


def _drop_what_cannot_be_written() -> None:
    """Let Python flush stdout again when it exits, where that has failed: to a closed pipe, or a
    full disk. It would fail once more, with words and a status of its own:
    https://docs.python.org/3/library/signal.html#note-on-sigpipe
    """
    try:
        print(end="", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _take_any_character() -> None:
    """Make stdout write anything: a path need not be UTF-8, a terminal may have no "×"."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _warn(message: Warning | str, *_: object) -> None:
    """Print a warning in one line; `warnings.showwarning` prints a line of source code too."""
    say(f"warning: {message}")
