"""Times single photographs of random sizes: the first calls of a process, and those that follow.

Four new processes see the same 200 photographs: as they come; as they come, with JAX's persistent
cache filled; after `warm_up`; after it with the cache filled. Each prints how many programs were
compiled while photographs waited, the slowest and the median call, and the memory of the process.
Then lists of 8 photographs, and 500 sizes up to 2000 x 2000, with at most 16 programs kept and with
any number.

Usage: `python benchmarks/serving.py [--preset timm/resnet50.a1_in1k] [--largest 1200 1600]`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

COMPILED = "/jax/core/compile/backend_compile_duration"
CACHE = {
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="timm/resnet50.a1_in1k")
    parser.add_argument("--largest", nargs=2, type=int, default=(1200, 1600))
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(work(args.preset, **json.loads(args.worker))))
        return
    one = {"largest": list(args.largest), "count": 200}
    with tempfile.TemporaryDirectory() as folder:
        cached = {**CACHE, "JAX_COMPILATION_CACHE_DIR": folder}
        report("as they come", args, one, {})
        report("after warm_up", args, {**one, "warm": True}, {})
        for name, settings in (("as they come", one), ("after warm_up", {**one, "warm": True})):
            run(args, settings, cached)  # fills the cache
            report(f"{name}, cache filled", args, settings, cached)
    report("lists of 8, after warm_up", args, {**one, "warm": True, "batch": 8}, {})
    many = {"largest": [2000, 2000], "count": 500}
    report("500 sizes up to 2000 x 2000", args, many, {})
    report("the same, 16 programs kept", args, many, {"JAXPREP_MAX_PROGRAMS": "16"})


def report(name: str, args: Any, settings: dict[str, Any], variables: dict[str, str]) -> None:
    answer = run(args, settings, variables)
    print(
        f"{name:30} import {answer['import']:5.1f} s  warm-up {answer['warm_up']:5.1f} s "
        f"({answer['ready']:3} programs)  compiled {answer['compiled']:3}  first "
        f"{answer['first']:7.1f} ms  slowest {answer['slowest']:7.1f} ms  median "
        f"{answer['median']:5.1f} ms  {answer['before']:4.0f} -> {answer['after']:4.0f} MB"
    )
    sys.stdout.flush()


def run(args: Any, settings: dict[str, Any], variables: dict[str, str]) -> dict[str, Any]:
    command = [sys.executable, __file__, "--preset", args.preset, "--worker", json.dumps(settings)]
    inherited = {
        name: value for name, value in os.environ.items() if "COMPILATION_CACHE" not in name
    }
    answer = subprocess.run(
        command, env={**inherited, **variables}, check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(answer.stdout)


def work(
    preset: str, largest: list[int], count: int, warm: bool = False, batch: int = 1
) -> dict[str, Any]:
    """Run in a process of its own; return seconds, milliseconds of calls, and megabytes."""
    begin = time.perf_counter()
    import jax
    import numpy as np

    import jaxprep

    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, _, **details: compiled.append(event) if event == COMPILED else None
    )
    preprocessor = jaxprep.ImageClassifierPreprocessor.from_preset(preset)
    imported = time.perf_counter()
    ready = 0
    if warm:
        ready = preprocessor.warm_up(largest=tuple(largest), batch_sizes=(1, batch))
    warmed = time.perf_counter()
    rng = np.random.default_rng(0)
    sizes = np.stack([rng.integers(16, side + 1, count) for side in largest], 1)
    compiled.clear()
    before = megabytes()
    times = []
    for start in range(0, count, batch):
        images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in sizes[start:][:batch]]
        given = images if batch > 1 else images[0]
        call = time.perf_counter()
        jax.block_until_ready(preprocessor(given))
        times.append(1000 * (time.perf_counter() - call))
    return {
        "import": imported - begin,
        "warm_up": warmed - imported,
        "ready": ready,
        "compiled": len(compiled),
        "first": times[0],
        "slowest": max(times),
        "median": statistics.median(times),
        "before": before,
        "after": megabytes(),
    }


def megabytes() -> float:
    """Return the memory of this process; 0 where the system does not say."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
    except OSError:
        return 0.0


if __name__ == "__main__":
    main()
