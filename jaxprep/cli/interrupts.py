"""Defers Ctrl-C to a moment when it does no harm."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], None]]:
    """Defer Ctrl-C inside the block until the yielded function is called, which then raises.

    A second Ctrl-C raises at once. Outside of the main thread, and where the program handles SIGINT
    itself, nothing is deferred and the function does nothing.

    Raises:
        KeyboardInterrupt: by the yielded function, or at a second Ctrl-C.

    >>> with deferred_interrupt() as stop_if_interrupted:
    ...     stop_if_interrupted()
    """
    # Python raises `KeyboardInterrupt` between any two bytecodes, also in the callbacks of a
    # compilation; XLA, unwound there, can crash when the process ends.
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: None
        return
    received: list[int] = []

    def receive(number: int, _: object) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    def stop_if_interrupted() -> None:
        if received:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, receive)
    try:
        yield stop_if_interrupted
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
