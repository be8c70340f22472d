"""Runs a function ahead of its results in threads, and groups items that belong together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def run_ahead(
    function: Callable[[A], B], items: Iterable[A], *, workers: int, ahead: int
) -> Generator[tuple[A, Future[B]], None, None]:
    """Yield each item, in order, with the future of `function(item)`.

    Close the generator to cancel what has not begun; what has is waited for.

    Args:
        function: called in threads.
        items: read as the results are taken.
        workers: number of threads.
        ahead: how many items after the one in use may have been submitted.

    >>> [future.result() for _, future in run_ahead(abs, [-1, 2], workers=2, ahead=1)]
    [1, 2]
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="jaxprep") as executor:
        waiting: deque[tuple[A, Future[B]]] = deque()
        try:
            for item in items:
                waiting.append((item, executor.submit(function, item)))
                if len(waiting) > ahead:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            # Without this the executor runs all that was submitted before it ends.
            for _, future in waiting:
                future.cancel()


def grouped(
    items: Iterable[A], key: Callable[[A], Hashable], *, size: int, max_waiting: int
) -> Iterator[list[A]]:
    """Yield the items in lists that share a key.

    Args:
        items: read one at a time.
        key: what the items of a list have in common.
        size: the length at which a list is yielded.
        max_waiting: how many items may wait for others of their key; then the longest list is
            yielded. The rest is yielded at the end, and before an error that `items` raises.

    >>> list(grouped([1, 2, 3, 5], lambda n: n % 2, size=2, max_waiting=9))
    [[1, 3], [2], [5]]
    """
    groups: dict[Hashable, list[A]] = {}
    try:
        for item in items:
            group = groups.setdefault(key(item), [])
            group.append(item)
            waiting = sum(map(len, groups.values()))
            if len(group) >= size or waiting >= max_waiting:
                longest = max(groups, key=lambda key: len(groups[key]))
                yield groups.pop(longest)
    except Exception:
        # What came before a bad item is good, and whoever runs this can keep it.
        yield from groups.values()
        raise
    yield from groups.values()
