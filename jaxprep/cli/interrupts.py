"""Ctrl-C at a good moment."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def held_back() -> Iterator[Callable[[], None]]:
    """Ctrl-C waits for the next call of what this gives, which raises `KeyboardInterrupt`; a second
    one does not wait.

    An exception in the middle of a compilation can make XLA crash when the process ends.
    """
    is_ours = threading.current_thread() is threading.main_thread()
    if not is_ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: None
        return
    came: list[int] = []

    def take(number: int, _: object) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, take)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
