"""Compares the minima of many processes: the slowest with the fastest.

The minimum of one process does not show what differs from process to process, such as where in
memory the arrays lie.

Usage: `python benchmarks/steadiness.py [--processes 20] [--only PATTERN] [--cores 1,2] [--python
jaxprep=PATH]`.
"""

from __future__ import annotations

import argparse

import environments
from cases import matching
from peers import BY_NAME
from processes import run_worker

CASES = "512x512-to-224-bilinear-b16"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=1.0, help="of measuring in each process")
    parser.add_argument(
        "--only", default=CASES, metavar="PATTERN", help="cases; default: %(default)s"
    )
    parser.add_argument("--peer", choices=BY_NAME, default="jaxprep")
    parser.add_argument("--form", default="jit")
    parser.add_argument("--cores", default="1,2")
    environments.add_options(parser)
    args = parser.parse_args()
    peer = BY_NAME[args.peer]
    python = environments.pythons(args, {peer.environment}).get(peer.environment)
    cases = [case for case in matching("all", args.only) if peer.takes(case)]
    # Without an environment there is nothing to measure, and `pythons` has said why.
    for case in cases if python else ():
        for cores in map(int, args.cores.split(",")):
            request = {"seconds": args.seconds, "at_least": 5, "forms": [args.form]}
            answers = [
                run_worker(python, peer, case, cores, **request) for _ in range(args.processes)
            ]
            # A set, since twenty processes fail for one reason.
            errors = {answer["error"] for answer in answers if "error" in answer}
            all_forms = [answer.get("forms", {}) for answer in answers]
            forms = [forms[args.form] for forms in all_forms if args.form in forms]
            name = f"{case.id}, {cores} core(s)"
            print("\n".join([*errors, _report(name, forms, case.batch)]))


def _report(name: str, forms: list[dict[str, float]], batch: int) -> str:
    if not forms:
        return f"{name}: nothing measured"
    # CPU time too: where minima differ and it does not, the machine was busy.
    minima = sorted(1000 / batch * one["minimum"] for one in forms)
    cpu = sorted(1000 / batch * one["cpu"] for one in forms)
    ratio = minima[-1] / minima[0]
    lines = [
        f"{name}: slowest / fastest minimum {ratio:.2f} (wanted: at most 1.5)",
        f"  minima, ms per image: {_listed(minima)}",
        f"  CPU, ms per image:    {_listed(cpu)}",
    ]
    return "\n".join(lines)


def _listed(times: list[float]) -> str:
    return " ".join(f"{time:.3f}" for time in times)


if __name__ == "__main__":
    main()
