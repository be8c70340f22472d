"""Times tracing and compiling, by the number of taps K. Nothing runs, so any size is possible.

Usage: `python benchmarks/compile_time.py [--reference pillow] [--largest 300] [--python
jaxprep=PATH]`.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import time
from typing import Any

import environments
from processes import variables

# `support` of the filters in
# https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Resample.c
SUPPORT = {"bilinear": 1, "bicubic": 2, "lanczos": 3}
TARGET = 224
SWEEP = (
    ("bilinear", 112), ("bilinear", 448), ("bilinear", 512), ("bicubic", 512),
    ("bilinear", 1080), ("bilinear", 1920), ("bicubic", 1920), ("bilinear", 4000),
    ("lanczos", 2600), ("bicubic", 4000), ("lanczos", 4000), ("bicubic", 8000),
    ("lanczos", 8000), ("lanczos", 11000),
)  # fmt: skip
"""Methods and sides of the square source, from K = 3 to about 300."""


def taps(method: str, side: int) -> int:
    """Taps of one result of an antialiased resize to `TARGET`, at most: Pillow's `ksize`."""
    return 2 * math.ceil(SUPPORT[method] * max(1, side / TARGET)) + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reference", default="pillow")
    parser.add_argument("--largest", type=int, default=300, metavar="K")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    environments.add_options(parser)
    args = parser.parse_args()
    if args.worker:
        work(args.reference, args.largest)
    elif python := environments.pythons(args, {"jaxprep"}).get("jaxprep"):
        options = ["--worker", "--reference", args.reference, "--largest", str(args.largest)]
        raise SystemExit(subprocess.call([python, __file__, *options], env=variables(2)))


def work(reference: str, largest: int) -> None:
    import jax

    # the first compilation of a process loads the compiler
    jax.jit(lambda x: x + 1).lower(1.0).compile()
    print(f"{'K':>4}  {'source to ' + str(TARGET):24}{'constant tables':>22}{'traced tables':>22}")
    print(
        f"{'':30}{'trace s':>11}{'compile s':>11}{'trace s':>11}{'compile s':>11}"
        "   (wanted: at most 2 in all)"
    )
    for method, side in SWEEP:
        if taps(method, side) <= largest:
            times = [
                *compiled(method, side, reference, traced=False),
                *compiled(method, side, reference, traced=True),
            ]
            name = f"{side}x{side} {method}"
            columns = "".join(f"{value:11.2f}" for value in times)
            print(f"{taps(method, side):4}  {name:24}{columns}")
            # Each row takes longer than the one before: a pipe would keep them all back.
            sys.stdout.flush()


def compiled(method: str, side: int, reference: str, traced: bool) -> tuple[float, float]:
    """Return seconds to trace (plan and tables included), and to compile, for a batch of two."""
    import jax
    import numpy as np

    import jaxprep
    from cases import uniform
    from peers.jaxprep_ import pipeline_of

    pipeline = pipeline_of(uniform(side, side, TARGET, method, 2), reference)
    # With constant tables `plan` is None, and the tables are made while the program is traced.
    begin = time.perf_counter()
    plan = pipeline.plan([(side, side)] * 2) if traced else None
    height, width = plan.canvas if traced else (side, side)
    image = jax.ShapeDtypeStruct((2, height, width, 3), np.uint8)

    def run(image: Any, plan: Any) -> Any:
        return pipeline(jaxprep.Batch(image=image), plan=plan).image

    lowered = jax.jit(run).lower(image, plan)
    middle = time.perf_counter()
    lowered.compile()
    return middle - begin, time.perf_counter() - middle


if __name__ == "__main__":
    main()
