"""Scores `jaxprep.diagnose` on the arrays of `tests/goldens/write_doctor.py`, and prints the table.

    python benchmarks/doctor.py FULL > benchmarks/results/doctor.txt  # all: see write_doctor.py
    python benchmarks/doctor.py                                       # the committed selection

Right: the diagnosis has the expected settings, each found as it is, and no other. Unknown: it says
that nothing explains the array. Wrong: anything else.
"""

from __future__ import annotations

import argparse
import collections
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests" / "goldens"))

import doctor_cases  # pyright: ignore[reportMissingImports]

import jaxprep


def main() -> None:
    """Print the score of each kind of mistake, and what was not right."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("full", nargs="?", type=pathlib.Path)
    parser.add_argument("--part", default="0/1", help="I/N: every N-th case from the I-th on")
    args = parser.parse_args()
    index, count = map(int, args.part.split("/"))
    cases = list(doctor_cases.read(args.full))[index::count]
    scores: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
    seconds, complaints = [], []
    for case in cases:
        start = time.process_time()
        diagnosis = jaxprep.diagnose(case.array, case.photo, case.preset)
        seconds.append(time.process_time() - start)
        score, why = judged(case, diagnosis)
        kind = "control" if case.changes is None else f"{case.mistakes} mistakes"
        scores[kind][score] += 1
        if score != "right":
            complaints.append(f"{score}: {case.name}: {why}")
        print(f"{len(seconds)}/{len(cases)} {case.name}: {score}", file=sys.stderr, flush=True)
    print(f"{'':12} {'right':>6} {'unknown':>8} {'wrong':>6}")
    for kind, score in sorted(scores.items()):
        print(f"{kind:12} {score['right']:6} {score['unknown']:8} {score['wrong']:6}")
    total = sum(scores.values(), collections.Counter())
    print(f"{'all':12} {total['right']:6} {total['unknown']:8} {total['wrong']:6}")
    seconds.sort()
    print(
        f"CPU seconds of a diagnosis: median {seconds[len(seconds) // 2]:.1f}, "
        f"largest {seconds[-1]:.1f}"
    )
    print("\n".join(complaints))


def judged(case: doctor_cases.Case, diagnosis: jaxprep.Diagnosis) -> tuple[str, str]:
    """Return "right", "unknown" or "wrong", and why."""
    if case.changes is None:
        claims = diagnosis.exact or diagnosis.changes is not None
        return ("wrong", str(diagnosis.changes)) if claims else ("right", "")
    if diagnosis.changes is None:
        return "unknown", f"wanted {case.changes}, nearest {diagnosis.nearest}"
    complaint = doctor_cases.judge(case, diagnosis.changes, diagnosis.exact)
    return ("wrong", complaint) if complaint else ("right", "")


if __name__ == "__main__":
    main()
