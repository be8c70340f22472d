"""Timing a function of no arguments: warm runs, the first one, memory, page faults. Only the
standard library.
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


def first(call: Callable[[], Any]) -> tuple[float, Any]:
    """Seconds of the first call, compilation included, and its result."""
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
    _timed(call)
    times: list[float] = []
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
    """Bytes by which a warm call raises the resident memory at its highest, result included; None
    where nobody knows.

    Run it under `MALLOC_MMAP_THRESHOLD_`, so that the allocator keeps nothing from earlier calls.
    What a runtime frees in the background gets a moment to be freed, and what JAX frees at a
    collection, a collection.
    """
    call()
    call()
    try:
        time.sleep(0.1)
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text(
            "5"
        )  # the high-water mark becomes what is resident now
        before = _status("VmRSS")
        call()
        return max(0, _status("VmHWM") - before)
    except (OSError, AttributeError, KeyError):
        return None


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}[
        name
    ] * 1024
