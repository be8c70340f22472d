"""Runs the benchmark suite: `python benchmarks/run.py`. See README.md in this folder."""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bars
import environments
import plots
import report
from cases import SETS, Case, matching
from peers import BY_NAME, PEERS, Peer
from processes import HERE, ISAS, machine, run_worker

QUICK = {"seconds": 0.2, "at_least": 3}
FULL = {"seconds": 2.0, "at_least": 5}


def main() -> None:
    args = parse()
    cases = matching(args.set, args.only)
    peers = [BY_NAME[name] for name in args.peers]
    if not cases:
        known = ", ".join(case.id for case in SETS[args.set])
        raise SystemExit(f"Expected a pattern of a case, got {args.only!r}. Known: {known}.")
    pythons = environments.pythons(args, {peer.environment for peer in peers} | {"plots"})
    peers = [peer for peer in peers if peer.environment in pythons]
    about = machine()
    runs: list[report.Run] = []
    # A table as soon as its case is done: a run of all cases takes long.
    for case in cases:
        for done in measured(case, peers, pythons, args):
            print(report.line(done), file=sys.stderr)
            runs.append(done)
        print(report.table(case, runs))
    settings = {"set": args.set, "isa": args.isa, **timing(args)}
    results = {"machine": about, "settings": settings, "runs": runs}
    summary = bars.table(runs, is_avx2(args.isa, about)) + report.notes(peers)
    print(summary)
    args.output.mkdir(parents=True, exist_ok=True)
    path = args.output / f"{args.name}.json"
    # The JSON has every process, so that tables and charts can be made again.
    path.write_text(json.dumps(results, indent=1) + "\n")
    tables = "\n".join(report.table(case, runs) for case in cases)
    first = report.header(about, args.isa)
    path.with_suffix(".txt").write_text(f"{first}\n{tables}\n{summary}")
    drawn = plots.draw_with(pythons.get("plots"), path)
    print(
        "\n".join(f"wrote {p}" for p in (path, path.with_suffix(".txt"), *drawn)), file=sys.stderr
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure jaxprep and its peers.")
    parser.add_argument(
        "--set", choices=SETS, help="which cases; default: bars, with --quick three of them"
    )
    parser.add_argument(
        "--quick", action="store_true", help="measure shortly: to see that everything runs"
    )
    parser.add_argument(
        "--only", default="", metavar="PATTERN", help="cases whose id matches, as in *bicubic*b16"
    )
    parser.add_argument(
        "--peers",
        type=_names,
        default=[peer.name for peer in PEERS],
        metavar="A,B",
        help=f"of {', '.join(BY_NAME)}",
    )
    parser.add_argument(
        "--cores", type=_cores, default=(1, 2), metavar="1,2", help="how many; default: 1,2"
    )
    parser.add_argument(
        "--isa",
        choices=ISAS,
        help="the instructions that everybody may use; default: native, with --set avx2 avx2",
    )
    parser.add_argument(
        "--rounds", type=int, default=1, metavar="N", help="processes per measurement; default: 1"
    )
    parser.add_argument(
        "--no-memory", action="store_true", help="leave out the processes that measure peak memory"
    )
    parser.add_argument(
        "--output", type=Path, default=HERE / "results", metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--name", help="of the files written; default: that of the set, else partial or quick"
    )
    environments.add_options(parser)
    args = parser.parse_args()
    args.set = args.set or ("quick" if args.quick else "bars")
    args.isa = args.isa or ("avx2" if args.set == "avx2" else "native")
    is_part = bool(args.only) or len(args.peers) < len(PEERS)
    args.name = args.name or ("partial" if is_part else "quick" if args.quick else args.set)
    return args


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(BY_NAME):
        raise argparse.ArgumentTypeError(
            f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(BY_NAME)}"
        )
    return names


def _cores(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def is_avx2(isa: str, machine: dict[str, Any]) -> bool:
    """Return whether the processes were kept to AVX2, by `--isa` or by the CPU."""
    return "avx2" in machine["flags"] and (isa == "avx2" or "avx512f" not in machine["flags"])


def timing(args: argparse.Namespace) -> dict[str, Any]:
    """Return the part of a worker's request that says how long to measure."""
    return QUICK if args.quick else FULL


def measured(
    case: Case, peers: list[Peer], pythons: dict[str, str], args: argparse.Namespace
) -> Iterator[report.Run]:
    """Yield every process of one case, in an order in which peers, rounds and cores alternate."""
    # rounds outside, cores inside: the processes of one measurement are spread over the run
    able = [peer for peer in peers if peer.takes(case)]
    todo = [(cores, dict(timing(args))) for _ in range(args.rounds) for cores in args.cores]
    if not args.no_memory:
        todo.append((max(args.cores), {}))
    for n, (cores, more) in enumerate(todo):
        # what drifts in a machine (its clock, its temperature) then favours no peer; the same order
        # in every run, so that two runs compare
        for peer in random.Random(n).sample(able, len(able)):
            answer = run_worker(pythons[peer.environment], peer, case, cores, args.isa, **more)
            what = "time" if more else "memory"
            yield {
                "case": case.id,
                "batch": case.batch,
                "peer": peer.name,
                "cores": cores,
                "what": what,
                **answer,
            }


if __name__ == "__main__":
    main()
