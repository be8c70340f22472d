"""Times the first call in a new process: import, load a preset, compile, run.

To compare, `import jax` with a trivial jit is timed too.

Usage: `python benchmarks/first_call.py [--preset resnet_50_imagenet] [--repeat 5] [--python
jaxprep=PATH]`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from typing import Any

import environments
from processes import run_json, variables

TRIVIAL = """
import json, time
t = [time.perf_counter()]
import jax
t.append(time.perf_counter())
jax.jit(lambda x: x + 1)(1.0).block_until_ready()
t.append(time.perf_counter())
print(json.dumps(dict(zip(["import", "call"], [b - a for a, b in zip(t, t[1:])]))))
"""
OURS = """
import json, sys, time
import numpy as np
image = np.random.default_rng(0).integers(0, 256, (375, 500, 3), np.uint8)
t = [time.perf_counter()]
import jaxprep
jaxprep.ImageClassifierPreprocessor
t.append(time.perf_counter())
preprocessor = jaxprep.ImageClassifierPreprocessor.from_preset(sys.argv[1])
t.append(time.perf_counter())
preprocessor(image).block_until_ready()
t.append(time.perf_counter())
preprocessor(image).block_until_ready()
t.append(time.perf_counter())
names = ["import", "load", "call", "second call"]
print(json.dumps(dict(zip(names, [b - a for a, b in zip(t, t[1:])]))))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--preset", default="resnet_50_imagenet")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--cores", type=int, default=2)
    environments.add_options(parser)
    args = parser.parse_args()
    python = environments.pythons(args, {"jaxprep"}).get("jaxprep")
    if python is None:
        raise SystemExit(1)
    # JAX's cache in a folder that is empty at first: one on this machine may hold the programs.
    with tempfile.TemporaryDirectory() as cache:
        settings = {"no cache": {}, "persistent cache": cached(cache)}
        for more in settings.values():  # fills the cache, and the system's cache of files
            for code in (TRIVIAL, OURS):
                run(python, code, args, more)
        for name, more in settings.items():
            # In turn, so that what drifts in the machine is in both.
            trivial, ours = [], []
            for _ in range(args.repeat):
                trivial.append(run(python, TRIVIAL, args, more))
                ours.append(run(python, OURS, args, more))
            report(name, tuple(trivial), tuple(ours))


def cached(folder: str) -> dict[str, str]:
    """Return the variables that make JAX keep every program it compiles."""
    return {
        "JAX_COMPILATION_CACHE_DIR": folder,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def run(python: str, code: str, args: argparse.Namespace, more: dict[str, str]) -> dict[str, float]:
    """Runs code in a new process; returns the seconds of its parts, and of all of it as `total`."""
    # in the code itself: JAX counts the cores when it is imported
    pinned = (
        f"import os\nos.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:{args.cores}]))\n"
    )
    pinned = pinned if hasattr(os, "sched_setaffinity") else ""
    begin = time.perf_counter()
    answer: dict[str, Any] = run_json(
        [python, "-c", pinned + code, args.preset], {**variables(args.cores), **more}
    )
    if "error" in answer:
        raise SystemExit(answer["error"])
    # the second call is there to be seen, and is no part of a start
    return {"total": time.perf_counter() - begin - answer.pop("second call", 0.0), **answer}


def report(
    name: str, trivial: tuple[dict[str, float], ...], ours: tuple[dict[str, float], ...]
) -> None:
    print(f"{name}: minimum and median of {len(ours)} new processes, in seconds")
    for words, runs in (
        ("import jax, trivial jit", trivial),
        ("jaxprep: import, load, first call", ours),
    ):
        minima = {part: min(one[part] for one in runs) for part in runs[0]}
        minimum = minima.pop("total")
        median = statistics.median(one["total"] for one in runs)
        parts = ", ".join(f"{part} {seconds:.2f}" for part, seconds in minima.items())
        print(f"  {words:36}{minimum:6.2f}{median:6.2f}   ({parts})")
    ours_seconds = min(one["total"] for one in ours)
    trivial_seconds = min(one["total"] for one in trivial)
    ratio = ours_seconds / trivial_seconds
    print(f"  ratio of the minima: {ratio:.2f} (wanted: under 2.5)")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
