"""Compile jaxprep's programs for chips that are not there, and print what each program costs.

XLA compiles ahead of time for a described H100, TPU v5e and TPU v6e; nothing runs, and no chip is
needed. What it prints is the compiler's view of the program: kernels, the bytes they read and
write, memory for temporaries, and on TPU the compiler's static estimate of cycles. None of it is a
measurement: compare programs for the same work within one table.

Usage: `python benchmarks/compile_ahead.py [TARGET ...] [--only NAME,NAME] [--batch 64]
[--python tpu=PATH --python cuda=PATH] [--dump DIR]`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import environments
from ahead_cases import BATCH, BY_NAME, TARGET, AheadCase, cases_of
from chips import GROUPS, VARIABLES
from processes import HERE, commit, run_json, variables

NICE = 10
"""Compilers take all cores for minutes; what else runs on the machine goes first."""
TIMEOUT = 1800
"""Seconds for one program: the pod takes 80 on two idle cores."""
Row = dict[str, Any]
"""What one process reports: `target`, `case`, `kind`, `batch`, and numbers, or `error`."""

HEADINGS = (
    "                                               kernels  tables:                     times "
    " tempora-        M    roof-  compiled",
    "program                                batch  on image  kernels  copies        MB   floor "
    "  ries MB   cycles  line ms         s",
)
LEGEND = """
kernels on image  instructions of the final program that read the image or what was made of it
tables: kernels   instructions that compute from tables of weights and positions alone
tables: copies    instructions that only move such tables
MB, times floor   what all instructions read and write, each array once for every instruction that
                  uses it; the floor reads the input and writes the result once
temporaries MB    memory that the program needs besides its input and its result
M cycles          the TPU compiler's static estimate, in millions, summed over the instructions
roofline ms       XLA's `optimal_seconds` for a TPU: bytes and operations by the chip's peak rates
pod               one chip's share of 2,048 images over 256 chips
compiled s        tracing, tables and compilation, on this machine
"""


class Bar(NamedTuple):
    """States that `value` must be at most `wanted`."""

    target: str
    words: str
    value: float
    wanted: float

    @property
    def is_met(self) -> bool:
        return self.value <= self.wanted


def main() -> None:
    args = parse()
    if args.worker:
        os.nice(NICE)
        print(json.dumps(work(json.loads(args.worker))))
        return
    pythons = environments.pythons(args, {GROUPS[target] for target in args.targets})
    rows: list[Row] = []
    for target in args.targets:
        python = pythons.get(GROUPS[target])
        for case in cases_of(target, args.only) if python else ():
            row = compiled_in_process(python, target, case, args)
            print(line(row) if "error" not in row else failure(row), file=sys.stderr)
            rows.append(row)
    if not rows:
        raise SystemExit("Expected the name of a case, got none of them; --list prints them all.")
    # Printed once more than the lines above: those went to stderr as each program was done.
    text = report(rows)
    print(text)
    args.output.mkdir(parents=True, exist_ok=True)
    path = args.output / f"{args.name}.json"
    path.write_text(json.dumps({"commit": commit(), "rows": rows}, indent=1) + "\n")
    path.with_suffix(".txt").write_text(text)
    print(f"wrote {path}\nwrote {path.with_suffix('.txt')}", file=sys.stderr)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "targets", nargs="*", metavar="TARGET", help=f"of {', '.join(GROUPS)}; default: all"
    )
    parser.add_argument(
        "--only", type=_names, default=[], metavar="A,B", help="cases whose name holds A or B"
    )
    parser.add_argument("--list", action="store_true", help="print the cases")
    parser.add_argument("--batch", type=int, default=BATCH, metavar="N", help="default: 64")
    parser.add_argument("--dump", type=Path, metavar="DIR", help="write the programs' text there")
    parser.add_argument(
        "--output", type=Path, default=HERE / "results", metavar="DIR", help="default: %(default)s"
    )
    parser.add_argument(
        "--name",
        help="of the files written; default: compile_ahead, with fewer cases partial_ahead",
    )
    parser.add_argument("--worker", metavar="REQUEST", help=argparse.SUPPRESS)
    environments.add_options(parser)
    args = parser.parse_args()
    if unknown := set(args.targets) - set(GROUPS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(GROUPS)}")
    if args.list:
        raise SystemExit("\n".join(BY_NAME))
    # A table of some cases must not replace the committed one of all.
    is_part = bool(args.targets or args.only or args.batch != BATCH)
    args.targets = args.targets or list(GROUPS)
    args.name = args.name or ("partial_ahead" if is_part else "compile_ahead")
    return args


def _names(text: str) -> list[str]:
    return text.split(",")


def compiled_in_process(python: str, target: str, case: AheadCase, args: argparse.Namespace) -> Row:
    """Compile one case in a separate process: a compiler that aborts ends no other case."""
    batch = case.batch or args.batch
    dump = str(args.dump.resolve()) if args.dump else None
    request = {"target": target, "case": case.name, "batch": batch, "dump": dump}
    command = [python, __file__, "--worker", json.dumps(request)]
    cores = os.cpu_count() or 1
    answer = run_json(command, {**variables(cores), **VARIABLES}, TIMEOUT)
    return {"target": target, "case": case.name, "kind": case.kind, "batch": batch, **answer}


def work(request: dict[str, Any]) -> Row:
    """Compiles one case, and reads the program."""
    import jax

    from chips import compile_for, compile_for_pod

    case, target = BY_NAME[request["case"]], request["target"]
    begin = time.perf_counter()
    function, args = case.make(case, request["batch"])
    more: Row = {}
    chips = 1
    if case.kind == "pod":
        explicit = "Explicit" in case.name
        program, sharding = compile_for_pod(function, args, explicit)
        result = program.out_info
        # The results must stay where their images are: 4 is their rank.
        kept = jax.tree.leaves(program.output_shardings)[0].is_equivalent_to(sharding, 4)
        more = {"sharding_kept": bool(kept)}
        chips = sharding.num_devices
    else:
        program = compile_for(target, function, args)
        result = jax.eval_shape(function, *args)
    seconds = time.perf_counter() - begin
    text = program.as_text()
    if request["dump"]:
        dump(Path(request["dump"]), f"{target} {case.name}", text)
    floor = sum(
        math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves((args, result))
    )
    # the text is one chip's program
    return {**costs(program, text, floor // chips), "compiled_s": seconds, **more, **versions()}


def costs(program: Any, text: str, floor: int) -> Row:
    """Return the numbers of the table, of a compiled program and its text.

    Args:
        floor: the bytes of its input and its result.
    """
    from programs import collectives, instructions

    executed = instructions(text)
    on_tables = [one for one in executed if not one.on_image]
    copies = [one for one in on_tables if one.is_table_copy(floor)]
    cost = program.cost_analysis() or {}
    # some versions of JAX give one dictionary, some a list with one
    cost = cost[0] if isinstance(cost, list) else cost
    # kept in the JSON: where the time and the bytes go
    largest = sorted(executed, key=lambda one: (one.cycles, one.bytes), reverse=True)
    return {
        "on_image": len(executed) - len(on_tables),
        "on_tables": len(on_tables) - len(copies),
        "table_copies": len(copies),
        "bytes": sum(one.bytes for one in executed),
        "floor": floor,
        "temporaries": program.memory_analysis().temp_size_in_bytes,
        "cycles": sum(one.cycles for one in executed),
        # XLA gives negative numbers where it does not know an instruction's cost
        "roofline_s": max(cost.get("optimal_seconds", 0.0), 0.0),
        "flops": cost.get("flops"),
        "collectives": collectives(text),
        "largest": [one._asdict() for one in largest[:12]],
    }


def versions() -> Row:
    """Return the compilers that the numbers are of."""
    from importlib import metadata

    installed = {}
    for name in ("jax", "jaxlib", "libtpu", "jax-cuda12-plugin"):
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {"versions": installed}


def dump(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file_name = re.sub(r"[^\w.]+", "_", name)
    (folder / f"{file_name}.txt").write_text(text)


def report(rows: list[Row]) -> str:
    """Return the table of every target, then the bars."""
    lines = [
        f"jaxprep {commit()}. Static estimates of compilers, no measurements.",
        "Each program has one resize, to 224 x 224 x 3 float32, normalised.",
    ]
    for target in dict.fromkeys(row["target"] for row in rows):
        mine = [row for row in rows if row["target"] == target]
        packages = next((row["versions"] for row in mine if "versions" in row), {})
        about = ", ".join(f"{name} {version}" for name, version in packages.items())
        lines += ["", f"{target} ({about})", *HEADINGS]
        lines += [failure(row) if "error" in row else line(row) for row in mine]
    return "\n".join([*lines, LEGEND, *bar_lines(rows), ""])


def line(row: Row) -> str:
    """Return one program's numbers."""
    cycles = f"{row['cycles'] / 1e6:.2f}" if row["cycles"] else ""
    roofline = f"{row['roofline_s'] * 1e3:.2f}" if row["roofline_s"] else ""
    # The order and the widths of `HEADINGS`.
    columns = (
        f"{row['case']:38}",
        f"{row['batch']:6}",
        f"{row['on_image']:10}",
        f"{row['on_tables']:9}",
        f"{row['table_copies']:8}",
        f"{row['bytes'] / 1e6:10.1f}",
        f"{times_floor(row):8.1f}",
        f"{row['temporaries'] / 1e6:10.1f}",
        f"{cycles:>9}",
        f"{roofline:>9}",
        f"{row['compiled_s']:10.0f}",
    )
    return "".join(columns)


def failure(row: Row) -> str:
    return f"{row['case']:38}{row['batch']:6}  failed: {row['error'][:200]}"


def times_floor(row: Row) -> float:
    return row["bytes"] / row["floor"]


def bar_lines(rows: list[Row]) -> list[str]:
    """Return every bar of the project that these programs decide."""
    lines = []
    for bar in bars(rows):
        met = "met" if bar.is_met else "not met"
        lines.append(f"{bar.target:6}{bar.words:72}{bar.value:9.2f}  ≤{bar.wanted:7.2f}  {met}")
    return lines


def bars(rows: list[Row]) -> Iterator[Bar]:
    compiled = [row for row in rows if "error" not in row]
    for row in compiled:
        if row["target"] == "h100" and row["batch"] == BATCH and BY_NAME[row["case"]].has_bar:
            yield from gpu_bars(row)
    on_v5e = {row["case"]: row for row in compiled if row["target"] == "v5e"}
    for method in ("bilinear", "bicubic"):
        for reference, wanted in (("torchvision", 0.6), ("pillow", 0.9)):
            ours, theirs = f"{reference} {method}", f"jax.image {method}"
            yield from cycle_bar(on_v5e, ours, theirs, wanted)
    for case in ("clip 480x640", "plan, pillow bicubic"):
        # all of these write 224 x 224 pixels, so that cycles compare as they are
        yield from cycle_bar(on_v5e, case, "pillow bicubic", 1.5)
    for row in compiled:
        if row["target"] == "h100" and (most := BY_NAME[row["case"]].most_bytes) is not None:
            yield Bar("h100", f"{row['case']}: bytes to the floor", times_floor(row), most)
        if row["kind"] == "pod" and BY_NAME[row["case"]].has_bar:
            yield Bar(row["target"], f"{row['case']}: collectives", len(row["collectives"]), 0)
            moved = float(not row["sharding_kept"])
            yield Bar(row["target"], f"{row['case']}: results sharded otherwise", moved, 0)


def gpu_bars(row: Row) -> Iterator[Bar]:
    """Yield what a program for a GPU may cost: a kernel a pass, and the image between them."""
    case = BY_NAME[row["case"]]
    planned = row["kind"] == "plan"
    kernels = row["on_image"] + row["on_tables"]
    words = f"{row['case']}: kernels besides copies of tables"
    yield Bar("h100", words, kernels, 6 if planned else 2)
    wanted = 1.8 if planned else 1.6
    yield Bar("h100", f"{row['case']}: bytes to the floor", times_floor(row), wanted)
    if not planned:
        between = row["batch"] * case.size[0] * TARGET * 3 * case.between_bytes
        words = f"{row['case']}: temporaries, MB, to the image between the passes"
        yield Bar("h100", words, row["temporaries"] / 1e6, between / 1e6)


def cycle_bar(rows: dict[str, Row], ours: str, theirs: str, wanted: float) -> Iterator[Bar]:
    if ours in rows and theirs in rows:
        ratio = rows[ours]["cycles"] / rows[theirs]["cycles"]
        yield Bar("v5e", f"{ours}: cycles to those of {theirs}", ratio, wanted)


if __name__ == "__main__":
    main()
