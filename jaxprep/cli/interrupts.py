"""Defers Ctrl-C to a moment when it does no harm."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERRUPTED = 130
"""The exit status of a process that Ctrl-C ended: 128 + SIGINT, as shells report it."""


@contextmanager
def ending_at_interrupt() -> Iterator[None]:
    """End the process at Ctrl-C inside the block, in one line: for imports, before any work.

    `KeyboardInterrupt`, raised while JAX is imported, comes out as another error, as a crash of the
    process, or as a message of a callback, and Python goes on.

    >>> with ending_at_interrupt():
    ...     import json
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def end(*_: object) -> None:
        os.write(2, b"jaxprep: interrupted\n")
        os._exit(INTERRUPTED)

    signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def deferred_interrupt() -> Iterator[Callable[[], None]]:
    """Defer Ctrl-C inside the block until the yielded function is called, which then raises.

    A second Ctrl-C ends the process at once, whatever its threads are doing. Outside of the main
    thread, and where the program handles SIGINT itself, nothing is deferred and the function does
    nothing.

    Raises:
        KeyboardInterrupt: by the yielded function, or at the end of the block.

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

    def stop_if_interrupted() -> None:
        if received:
            raise KeyboardInterrupt

    with _ending_at_the_second():
        signal.signal(signal.SIGINT, lambda number, _: received.append(number))
        try:
            yield stop_if_interrupted
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        stop_if_interrupted()


@contextmanager
def _ending_at_the_second() -> Iterator[None]:
    """End the process when SIGINT comes a second time inside the block."""
    # Python's own handlers wait for the main thread, which may be in a library, or in a lock that a
    # thread never gives back. The number of a signal is written at once:
    # https://docs.python.org/3/library/signal.html#signal.set_wakeup_fd
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    previous = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)

    def watch() -> None:
        count = 0
        while number := reader.recv(1):
            count += number[0] == signal.SIGINT
            if count == 2:
                os.write(2, b"\njaxprep: interrupted\n")
                os._exit(INTERRUPTED)

    watcher = threading.Thread(target=watch, name="jaxprep-interrupt", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        writer.close()  # ends the thread
        watcher.join()
        reader.close()
