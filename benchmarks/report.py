"""Merges what the processes measured, and prints it as tables."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import Any, NamedTuple

from cases import Case
from peers import BY_NAME, OURS, Peer

Run = dict[str, Any]
"""What one process measured: `case`, `batch`, `peer`, `cores`, `what`, and `forms` or `error`."""


class Row(NamedTuple):
    """Holds one form of calling one peer in one case, over all its processes.

    Times are in milliseconds per image.
    """

    peer: str
    form: str
    minimum: float
    median: float
    spread: float
    cpu: float
    first_ms: float
    faults: float
    peak_mb: float | None
    levels: str | None
    differs: str


HEADINGS = (
    "                                                   ms per image        CPU    "
    "first    peak  faults    times  levels that",
    "peer                      form                    minimum   median      ms  "
    "call ms      MB  a call  jaxprep  are not Pillow's",
)


def rows(runs: Iterable[Run], case: str, cores: int) -> list[Row]:
    """Return all forms of all peers, the fastest first."""
    # A process that failed has no forms, and is told of below the table.
    mine = [run for run in runs if run["case"] == case and "forms" in run]
    timed: dict[tuple[str, str], list[dict[str, Any]]] = {}
    peaks: dict[tuple[str, str], int | None] = {}
    for run in mine:
        for form, measured in run["forms"].items():
            key = run["peer"], form
            # Memory is measured once, for any number of cores.
            if run["what"] == "memory":
                peaks[key] = measured["peak_bytes"]
            elif run["cores"] == cores:
                timed.setdefault(key, []).append(measured)
    batch = mine[0]["batch"] if mine else 1
    merged = [_merged(*key, times, batch, peaks.get(key)) for key, times in timed.items()]
    return sorted(merged, key=lambda row: row.minimum)


def _merged(peer: str, form: str, times: list[dict[str, Any]], batch: int, peak: int | None) -> Row:
    """Return one row of several processes: the smallest minimum, since noise only ever adds time,
    and the median of medians.
    """
    minima = [one["minimum"] for one in times]
    per_image = 1000 / batch
    return Row(
        peer,
        form,
        min(minima) * per_image,
        statistics.median(one["median"] for one in times) * per_image,
        # How far processes differ, whatever one process says about itself.
        max(minima) / min(minima),
        statistics.median(one["cpu"] for one in times) * per_image,
        min(one["first"] for one in times) * 1000,
        statistics.median(one["faults"] for one in times),
        None if peak is None else peak / 1e6,
        times[0].get("levels"),
        _difference(times[0].get("differs_from_pillow")),
    )


def _difference(difference: dict[str, Any] | None) -> str:
    if difference is None:
        return ""
    if not difference["largest"]:
        return "0"
    return f"{difference['share']:.2%} by <= {difference['largest']}"


def fastest(measured: Iterable[Row], peer: str) -> Row | None:
    """Return a peer's fastest form."""
    forms = [row for row in measured if row.peer == peer]
    return min(forms, key=lambda row: row.minimum, default=None)


def table(case: Case, runs: list[Run]) -> str:
    """Return the rows of one case for every number of cores, with ratios to the fastest form of
    `jaxprep`.
    """
    lines = []
    for cores in sorted({run["cores"] for run in runs if run["case"] == case.id}):
        measured = rows(runs, case.id, cores)
        ours = fastest(measured, "jaxprep")
        floor = fastest(measured, "floor")
        # A bound that no library can be below: how much of the time is memory alone.
        note = ""
        if ours and floor:
            note = f", jaxprep at {ours.minimum / floor.minimum:.1f} times the floor"
        noun = "core" if cores == 1 else "cores"
        lines.append(f"\n{case.id}, {cores} {noun}{note}")
        lines += HEADINGS
        for row in measured:
            peak = "" if row.peak_mb is None else f"{row.peak_mb:.1f}"
            ratio = f"{row.minimum / ours.minimum:.2f}" if ours else ""
            # The order and the widths of `HEADINGS`.
            columns = (
                f"{row.peer:26}",
                f"{row.form:22}",
                f"{row.minimum:9.3f}",
                f"{row.median:9.3f}",
                f"{row.cpu:8.3f}",
                f"{row.first_ms:9.1f}",
                f"{peak:>8}",
                f"{row.faults:8.0f}",
                f"{ratio:>9}",
                f"  {row.differs}",
            )
            # An empty last column would leave spaces in the committed files.
            lines.append("".join(columns).rstrip())
        lines += _exactness(measured)
    failed = [run for run in runs if run["case"] == case.id and "error" in run]
    for run in failed:
        what = f"{run['what']}, {run['cores']} cores"
        lines.append(f"{run['peer']} failed ({what}): {run['error']}")
    return "\n".join(lines) + "\n"


def _exactness(measured: list[Row]) -> list[str]:
    """Return whether each of ours that has another peer as its reference has that peer's levels."""
    lines = []
    for name in OURS:
        reference = BY_NAME[name].reference
        # "float" reproduces no other library.
        if reference is None:
            continue
        ours = fastest(measured, name)
        theirs = fastest(measured, reference)
        if ours and theirs:
            # Capitals, since this is the one line of a long table that must not be missed.
            words = "has the levels of" if ours.levels == theirs.levels else "DIFFERS FROM"
            lines.append(f"{name} {words} {theirs.peer}")
    return lines


def line(run: Run) -> str:
    """Return one process in one line, as it is done."""
    name = f"{run['case']}  {run['cores']} core(s)  {run['peer']}  {run['what']}"
    if "error" in run:
        return f"{name}: failed: {run['error']}"
    if run["what"] == "memory":
        return name
    times = (
        f"{form} {1000 * measured['minimum'] / run['batch']:.3f}"
        for form, measured in run["forms"].items()
    )
    return f"{name}: {', '.join(times)} ms per image"


def notes(peers: Iterable[Peer]) -> str:
    """Return what each peer does, and what it leaves out."""
    lines = [f"{peer.name:26}{peer.note}" for peer in peers if peer.note]
    return "\n".join(["", *lines, ""])


def header(machine: dict[str, Any], isa: str = "native") -> str:
    limit = "" if isa == "native" else f", kept to {isa.upper()}"
    flags = ", ".join(machine["flags"])
    parts = (
        f"{machine['cpu']} ({flags})",
        f"{machine['cores']} cores",
        f"{machine['memory_gib']} GiB",
        f"{machine['kernel']}",
        f"jaxprep {machine['commit']}",
        f"load at the start {machine['load']:.1f}",
    )
    return ", ".join(parts) + limit
