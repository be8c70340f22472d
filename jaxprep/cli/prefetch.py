"""Doing the next things in threads while the last ones are used, and gathering what belongs
together.
"""

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
    """Each item, in order, with the future of `function(item)`; at most `ahead` beyond the one in
    use are begun.

    Close the iterator to drop what has not been begun; what has is waited for.
    """
    with ThreadPoolExecutor(workers, thread_name_prefix="jaxprep") as pool:
        waiting: deque[tuple[A, Future[B]]] = deque()
        try:
            for item in items:
                waiting.append((item, pool.submit(function, item)))
                if len(waiting) > ahead:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:
            for _, future in waiting:
                future.cancel()


def pooled(
    items: Iterable[A], key: Callable[[A], Hashable], *, size: int, most: int
) -> Iterator[list[A]]:
    """The items in lists of up to `size` that share a key.

    At most `most` wait for others of their key; then the longest list goes. All go at the end, and
    before an error that `items` raises.
    """
    waiting: dict[Hashable, list[A]] = {}
    try:
        for item in items:
            pool = waiting.setdefault(key(item), [])
            pool.append(item)
            if len(pool) >= size or sum(map(len, waiting.values())) >= most:
                yield waiting.pop(max(waiting, key=lambda kind: len(waiting[kind])))
    except Exception:
        yield from waiting.values()
        raise
    yield from waiting.values()
