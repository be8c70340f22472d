"""Keeps batches ahead of the training step: loads and places them in a thread.

What goes in: an iterator of batches on the host. What comes out: an iterator of batches on devices,
in the same order. JAX's own calls only wait where a NumPy array enters a program, so that is kept
out of the loop.
"""

from __future__ import annotations

import abc
import contextlib
import copy
import math
import queue
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import jax

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.parallel.collate import as_iterator
from jaxprep.parallel.devices import Target
from jaxprep.parallel.placing import global_batch
from jaxprep.settings import default_device

STOP_SECONDS = 3.0
"""How long to wait for a thread that nobody needs any more, which may be stuck in its iterator."""


def prefetch(
    batches: Iterable[Any],
    sharding: Target = None,
    *,
    size: int = 2,
    batch_size: int | None = None,
) -> Prefetcher:
    """Iterate batches on devices, of which a thread keeps some ahead.

    Args:
        batches: an iterable of pytrees of arrays with a leading batch axis: of `batches`, a loader
            of Grain or PyTorch, a dataset of TensorFlow (its `as_numpy_iterator` is iterated), a
            generator, ...
        sharding: see `global_batch`, which places each.
        size: how many batches are ahead. Each takes memory of the devices.
        batch_size: see `global_batch`.

    Returns:
        an iterator. It ends where `batches` ends, and raises what that raises, after the batches
        before. `close()`, or leaving a `with` block, ends the thread early.

    >>> import numpy as np
    >>> for batch in prefetch([{"x": np.arange(1, 3)}, {"x": np.arange(3, 5)}]):
    ...     print(batch["x"])
    [1 2]
    [3 4]
    """
    if not isinstance(size, int) or size < 1:
        raise InputError(
            f"Expected a number of batches of at least 1, got {codec.shown(size)} - at `size`."
        )

    device = default_device()  # of this thread, which the other does not know

    def place(batch: Any) -> Any:
        with contextlib.nullcontext() if device is None else jax.default_device(device):
            placed = global_batch(batch, sharding, batch_size=batch_size)
        # waits for the transfer, so that the iterator may write to its arrays again
        return jax.block_until_ready(placed)

    return Prefetcher(as_iterator(batches), place, size)


class Prefetcher(Iterator[Any]):
    """Iterates what a function makes of an iterator's items, in a thread; made by `prefetch`.

    An iterator that has a state, as Grain's have, keeps it: `get_state` is the state after the last
    batch that was taken, whatever the thread has read since.

    Attributes:
        items: the iterator.
        function: what is computed of an item, in the thread.
        size: how many results wait at most.

    >>> with Prefetcher(iter([1, 2]), lambda x: 2 * x, size=1) as doubled:
    ...     list(doubled)
    [2, 4]
    """

    def __init__(self, items: Iterator[Any], function: Callable[[Any], Any], size: int):
        self._items = items
        self._function = function
        self._size = size
        self._state = _state_of(items)
        self._is_done = False
        self._thread: _Thread | None = None
        self._stop: Callable[[], Any] = _nothing
        _register_with_grain()

    def __iter__(self) -> Prefetcher:
        return self

    def __next__(self) -> Any:
        if self._is_done:
            raise StopIteration
        if self._thread is None:
            self.start_prefetch()
        assert self._thread is not None
        kind, value, state = self._thread.results.get()
        if kind == "item":
            self._state = state
            return value
        self.close()
        if kind == "error":
            raise value
        raise StopIteration

    def start_prefetch(self) -> None:
        """Begin to read, which otherwise the first `next` does."""
        if self._thread is None and not self._is_done:
            self._thread = _Thread(self._items, self._function, self._size)
            # the thread holds no reference to this object, so that it may be dropped half-way
            self._stop = weakref.finalize(self, self._thread.stop)

    def get_state(self) -> Any:
        """Return the state of the iterator after the last batch that was taken, as JSON data.

        Raises:
            InputError: the iterator has no state.
        """
        if self._state is None:
            raise InputError(
                "Expected an iterator that has a state (`get_state`, as Grain's have), got "
                f"`{type(self._items).__name__}`."
            )
        # that of Grain's `DataLoader` is JSON in bytes
        is_bytes = isinstance(self._state, bytes)
        return self._state.decode() if is_bytes else copy.deepcopy(self._state)

    def set_state(self, state: Any) -> None:
        """Continue after the batch that was the last when `get_state` returned `state`."""
        self.get_state()
        if self._thread is not None:
            self._thread.stop(math.inf)  # two threads may not read from one iterator
        self._end_thread()
        state = state.encode() if isinstance(self._state, bytes) else copy.deepcopy(state)
        self._items.set_state(state)  # pyright: ignore[reportAttributeAccessIssue]
        self._state = _state_of(self._items)
        self._is_done = False

    def close(self) -> None:
        """End the thread; batches that it has read are dropped."""
        self._is_done = True
        self._end_thread()

    def _end_thread(self) -> None:
        self._stop()
        self._thread = None

    def __enter__(self) -> Prefetcher:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class _Thread:
    """Runs a function on an iterator's items; `results` has ("item", value, state), and at last
    ("end", None, None) or ("error", exception, None)."""

    def __init__(self, items: Iterator[Any], function: Callable[[Any], Any], size: int):
        # one more waits in the thread itself
        self.results: queue.Queue[tuple[str, Any, Any]] = queue.Queue(size)
        self._is_stopped = threading.Event()
        self._thread = threading.Thread(
            target=_run,
            args=(items, function, self.results, self._is_stopped),
            name="jaxprep-prefetch",
            daemon=True,
        )
        self._thread.start()

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Waits until the thread has ended, so that nothing reads from the iterator any more. One
        that takes longer is left behind: it is a daemon."""
        self._is_stopped.set()
        if self._thread is threading.current_thread():
            return
        end = time.monotonic() + seconds
        while self._thread.is_alive() and time.monotonic() < end:
            # it may wait for a place in the queue
            with contextlib.suppress(queue.Empty):
                self.results.get_nowait()
            self._thread.join(0.01)


def _nothing() -> None:
    """Stands for stopping a thread where there is none."""


def _run(
    items: Iterator[Any],
    function: Callable[[Any], Any],
    results: queue.Queue[tuple[str, Any, Any]],
    is_stopped: threading.Event,
) -> None:
    try:
        while not is_stopped.is_set():
            item = next(items, results)
            if item is results:  # no item is this object
                results.put(("end", None, None))
                return
            results.put(("item", function(item), _state_of(items)))
            del item
    except BaseException as error:  # of any kind: it is raised where the batch is taken
        results.put(("error", error, None))


def _state_of(items: Any) -> Any:
    if not hasattr(items, "get_state"):
        return None
    return copy.deepcopy(items.get_state())


def _register_with_grain() -> None:
    """Let `grain.checkpoint` take a `Prefetcher`: it asks for Grain's class of iterators, whose
    state it writes as JSON:
    https://github.com/google/grain/blob/main/grain/_src/python/checkpoint/handler.py"""
    grain = sys.modules.get("grain")
    iterator = getattr(grain, "DatasetIterator", None)
    if isinstance(iterator, abc.ABCMeta):
        iterator.register(Prefetcher)
