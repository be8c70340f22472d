"""Runs a function ahead of its results in threads, and groups items that belong together."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")


def run_ahead(
    function: Callable[[A], B],
    items: Iterable[A],
    *,
    workers: int,
    ahead: int,
    max_bytes: int = 0,
    bytes_of: Callable[[A, bool], int] | None = None,
) -> Generator[tuple[A, Future[B]], None, None]:
    """Yield each item, in order, with the future of `function(item)`.

    Close the generator to cancel what has not begun; what has is waited for.

    Args:
        function: called in threads.
        items: read as the results are taken.
        workers: number of threads.
        ahead: how many items after the one in use may have been submitted.
        max_bytes: how many bytes those may take together, if `bytes_of` is given. One that takes
            more runs alone.
        bytes_of: how many bytes an item takes, and whether its result is there.

    >>> [future.result() for _, future in run_ahead(abs, [-1, 2], workers=2, ahead=1)]
    [1, 2]
    """
    waiting: deque[tuple[A, Future[B]]] = deque()

    def is_full(item: A) -> bool:
        if bytes_of is None:
            return False
        taken = sum(bytes_of(item, future.done()) for item, future in waiting)
        return taken + bytes_of(item, False) > max_bytes

    with ThreadPoolExecutor(workers, thread_name_prefix="jaxprep") as executor:
        try:
            for item in items:
                while waiting and is_full(item):
                    yield waiting.popleft()
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
    items: Iterable[A],
    key: Callable[[A], Hashable],
    *,
    size: int,
    max_waiting: int,
    max_bytes: int = 0,
    bytes_of: Callable[[A], int] | None = None,
) -> Iterator[list[A]]:
    """Yield the items in lists that share a key.

    Args:
        items: read one at a time.
        key: what the items of a list have in common.
        size: the length at which a list is yielded.
        max_waiting: how many items may wait for others of their key; then the longest list is
            yielded. The rest is yielded at the end, and before an error that `items` raises.
        max_bytes: how many bytes they may take together, if `bytes_of` is given; then the list that
            takes most is yielded.
        bytes_of: how many bytes an item takes.

    >>> list(grouped([1, 2, 3, 5], lambda n: n % 2, size=2, max_waiting=9))
    [[1, 3], [2], [5]]
    """
    groups: dict[Hashable, list[A]] = {}

    def total(key: Hashable) -> int:
        return sum(map(bytes_of, groups[key])) if bytes_of else 0

    def length(key: Hashable) -> int:
        return len(groups[key])

    try:
        for item in items:
            groups.setdefault(key(item), []).append(item)
            # Nothing here may refer to an item that its taker has done with, while the next is
            # made: it may be an image of many MB.
            del item
            longest = max(groups, key=length)
            if length(longest) >= size or sum(map(length, groups)) >= max_waiting:
                yield groups.pop(longest)
            elif bytes_of and sum(map(total, groups)) >= max_bytes:
                yield groups.pop(max(groups, key=total))
    except Exception:
        # What came before a bad item is good, and whoever runs this can keep it.
        yield from groups.values()
        raise
    yield from groups.values()
