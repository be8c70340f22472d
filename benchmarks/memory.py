"""Measures the peak memory of one warm call beyond input and output.

It is given per image, and in units of the image after the first pass.

Usage: `python benchmarks/memory.py [--set bars] [--only PATTERN] [--python jaxprep=PATH]`.
"""

from __future__ import annotations

import argparse

import environments
from cases import SETS, Case, matching
from peers import BY_NAME
from processes import run_worker

HEADINGS = """\
                                                               beyond input and output
case                            form                          MB  MB/image   intermediates/image"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--set", choices=SETS, default="bars")
    parser.add_argument("--only", default="", metavar="PATTERN")
    parser.add_argument("--peer", choices=BY_NAME, default="jaxprep")
    parser.add_argument("--cores", type=int, default=1)
    environments.add_options(parser)
    args = parser.parse_args()
    peer = BY_NAME[args.peer]
    python = environments.pythons(args, {peer.environment}).get(peer.environment)
    print(HEADINGS)
    for case in matching(args.set, args.only):
        if python and peer.takes(case):
            answer = run_worker(python, peer, case, args.cores)
            if "error" in answer:
                print(f"{case.id}: {answer['error']}")
            # A peer that failed has no forms.
            for form, measured in answer.get("forms", {}).items():
                print(_line(case, form, measured["peak_bytes"]))


def _line(case: Case, form: str, peak: int | None) -> str:
    if peak is None:
        return f"{case.id:32}{form:24}  not measured: no /proc/self/clear_refs"
    # the result is float32; the input is resident before the call, and is not in the peak
    output = case.batch * case.target**2 * 3 * 4
    beyond = max(0, peak - output)
    share = beyond / sum(intermediate(case, size) for size in case.sizes)
    megabytes = beyond / 1e6
    numbers = f"{megabytes:8.1f}{megabytes / case.batch:10.2f}{share:22.1f}"
    return f"{case.id:32}{form:24}{numbers}"


def intermediate(case: Case, size: tuple[int, int]) -> int:
    """Return bytes of an image after its horizontal pass, in uint8: what a two-pass resize has to
    keep.
    """
    # Rows of the source, columns of the result; a crop leaves out columns that are not needed.
    _, width = case.resized(size)
    return size[0] * min(width, case.target) * 3


if __name__ == "__main__":
    main()
