"""Times a function of no arguments: warm runs, the first one, memory, page faults.

Only the standard library is imported.
"""

from __future__ import annotations

import ctypes
import gc
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MOST = 10
"""A call so slow that the wanted number of runs would take this many times the wanted seconds is
run less often.
"""
WARM_UP = 17
"""Calls after the first one and before those that are timed, unless they take longer than these:
what a library makes lazily then is made. jaxprep compiles a program for several images of a list
once 256 of them wanted it, which are 16 calls with 16.
"""


def first(call: Callable[[], Any]) -> tuple[float, Any]:
    """Return seconds of the first call, compilation included, and its result."""
    begin = time.perf_counter()
    result = call()
    return time.perf_counter() - begin, result


def measure(call: Callable[[], Any], seconds: float, at_least: int) -> dict[str, Any]:
    """Times `call` again and again for `seconds`, and at least so many times; each time includes
    freeing the result.

    Returns:
        seconds: `minimum`, `median`, `cpu` (of all threads, per call); `runs`; `faults` (page
            faults per call).
    """
    begin = time.perf_counter()
    for _ in range(WARM_UP):
        _timed(call)
        if time.perf_counter() - begin > seconds:
            break
    times: list[float] = []
    # a collection in the middle of a call would count as the call's
    gc.collect()
    gc.disable()
    begin, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    while not _enough(len(times), time.perf_counter() - begin, seconds, at_least):
        times.append(_timed(call))
    after = resource.getrusage(resource.RUSAGE_SELF)
    gc.enable()
    runs = len(times)
    return {
        "minimum": min(times),
        "median": statistics.median(times),
        "cpu": (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / runs,
        "runs": runs,
        "faults": (after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt) / runs,
    }


def _enough(runs: int, spent: float, seconds: float, at_least: int) -> bool:
    return (runs >= at_least and spent >= seconds) or (runs >= 2 and spent >= MOST * seconds)


def _timed(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def peak_of(call: Callable[[], Any]) -> int | None:
    """Return bytes by which a warm call raises the resident memory at its highest, result included;
    None where nobody knows.

    Run it under `MALLOC_MMAP_THRESHOLD_`, so that the allocator keeps nothing from earlier calls.
    What a runtime frees in the background gets a moment to be freed, and what JAX frees at a
    collection, a collection.
    """
    # the first call compiles; what the second one allocates and keeps is not the third one's
    call()
    call()
    try:
        time.sleep(0.1)
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        # the high-water mark becomes what is resident now:
        # https://www.kernel.org/doc/html/latest/filesystems/proc.html, `clear_refs`
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        call()
        return max(0, _status("VmHWM") - before)
    except (OSError, AttributeError, KeyError):
        return None


def _status(name: str) -> int:
    """Return bytes, of a line such as `VmRSS:   123456 kB` in /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        label, _, value = line.partition(":")
        if label == name:
            return int(value.split()[0]) * 1024
    raise KeyError(name)
