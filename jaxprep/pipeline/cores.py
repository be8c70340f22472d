"""Eager work on all cores: XLA:CPU runs the calls of one thread one after the other.

`eager.py` runs a large image per item, or a group of them. Threads do help, as JAX releases
Python's lock while a program runs.
"""

from __future__ import annotations

import functools
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from jax._src import xla_bridge

from jaxprep.errors import InputError
from jaxprep.settings import default_settings

A = TypeVar("A")


class Fork:
    """What this process knows of the fork that made it, if one did.

    Attributes:
        jax_was_running: at the last fork of this process, or of the one that it is a copy of.
        is_broken: this process is a fork of one where JAX was running.

    >>> Fork.is_broken
    False
    """

    jax_was_running = False
    is_broken = False

    @classmethod
    def before(cls) -> None:
        cls.jax_was_running = xla_bridge.backends_are_initialized()

    @classmethod
    def in_child(cls) -> None:
        cls.is_broken = cls.jax_was_running


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(before=Fork.before, after_in_child=Fork.in_child)


def refuse_fork() -> None:
    """Raise the error of a process that was forked from one where JAX had been used.

    JAX's threads are not in the fork, and its next program waits for them without end:
    https://docs.jax.dev/en/latest/faq.html

    Raises:
        InputError: always.

    >>> refuse_fork()  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    jaxprep.errors.InputError: Expected a process where JAX can run, got a fork of one ...
    """
    raise InputError(
        "Expected a process where JAX can run, got a fork of one where it had been used, in "
        "which its programs never end: start workers with "
        '`multiprocessing.get_context("spawn")` (of PyTorch\'s `DataLoader`: '
        '`multiprocessing_context="spawn"`), or before JAX is first used.'
    )


def core_count() -> int:
    """Return how many CPU cores this process may use.

    >>> core_count() >= 1
    True
    """
    # Linux: a container or `taskset` may allow fewer than the machine has
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def on_cores(function: Callable[[A], None], items: Sequence[A]) -> None:
    """Call `function` on every item, on as many threads as there are cores.

    Threads have JAX's default settings: what the caller set by a context, as `jax.default_device`,
    is not set for them, so `function` itself says where it computes. A program that several of
    them need is compiled by one, see `bounds.BoundedJit`.

    >>> done = []
    >>> on_cores(done.append, [1, 2, 3])
    >>> sorted(done)
    [1, 2, 3]
    """
    if min(len(items), core_count()) < 2:
        for item in items:
            function(item)
        return
    # one queue, not a share for each thread: images differ in size, and so in time
    left = deque(items)

    def work(_: int) -> None:
        while True:
            try:
                item = left.popleft()
            except IndexError:
                return
            try:
                # settings that a caller made by a context are those of the caller's thread
                with default_settings():
                    function(item)
            except BaseException:
                left.clear()  # the other threads stop, too
                raise

    for _ in _pool(os.getpid()).map(work, range(min(len(items), core_count()))):
        pass


@functools.lru_cache(maxsize=1)
def _pool(process: int) -> ThreadPoolExecutor:
    """The threads of a process: a fork has none of its parent's."""
    del process
    return ThreadPoolExecutor(core_count(), thread_name_prefix="jaxprep")
