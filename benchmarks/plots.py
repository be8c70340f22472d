"""Draws bar charts of milliseconds per image, as SVG, from the JSON that `run.py` writes.

It runs in a python with matplotlib.

Usage: `python plots.py results/bars.json [CASE-ID ...]`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from cases import BARS
from report import Row, header, rows

MAIN = tuple(case.id for case in BARS[:3])
"""The cases that are drawn where none is asked for."""

TITLES = {
    "512x512-to-224-bilinear-b16": "512 × 512 → 224 × 224, bilinear, batch 16",
    "clip-480x640-b16": "CLIP: 640 × 480 → shorter side 224, bicubic, centre crop, batch 16",
    "ragged-to-224-bilinear-b16": (
        "16 photographs between 300 × 225 and 640 × 480 → 224 × 224, bilinear"
    ),
}
NAMES = {
    "jaxprep": "jaxprep (exact to Pillow)",
    "jaxprep-torchvision": "jaxprep (exact to torchvision)",
    "jaxprep-float": "jaxprep (float)",
    "pillow": "Pillow + NumPy",
    "transformers-pil": "Transformers, PIL backend",
    "transformers-torchvision": "Transformers, torchvision backend",
    "timm": "timm transform",
    "torchvision": "torchvision v2",
    "opencv": "OpenCV (not antialiased)",
    "kornia-rs": "kornia-rs (bilinear not antialiased)",
    "libvips": "libvips (not exact)",
    "jax-image": "jax.image.resize, jitted",
    "keras-hub": "KerasHub on JAX",
    "dm-pix": "dm_pix",
}
# Text in the colours of GitHub's pages, on which the charts are read.
OURS, THEIRS, INK, MUTED = "#0f6fc6", "#b8bfc7", "#24292f", "#6a737d"


def draw_with(python: str | None, results: Path) -> list[Path]:
    """Draws in a process of a python that has matplotlib; says so where there is none."""
    if python is None:
        print("plots: skipped", file=sys.stderr)
        return []
    done = subprocess.run([python, __file__, str(results)], capture_output=True, text=True)
    if done.returncode:
        print(f"plots: {(done.stderr.strip().splitlines() or ['failed'])[-1]}", file=sys.stderr)
        return []
    return [Path(line) for line in done.stdout.splitlines()]


def bars_of(runs: list[dict[str, Any]], case: str, cores: int) -> list[Row]:
    """Return each peer's fastest form, slowest first, as a chart is drawn from below."""
    best: dict[str, Row] = {}
    for row in rows(runs, case, cores):
        # Rows come fastest first, so that the first of a peer is its fastest.
        if row.peer in NAMES:
            best.setdefault(row.peer, row)
    return sorted(best.values(), key=lambda row: -row.minimum)


def draw(results: Path, cases: tuple[str, ...]) -> list[Path]:
    """Draw one SVG per case and number of cores, named after both."""
    data = json.loads(results.read_text())
    written = []
    for case in cases:
        for cores in sorted({run["cores"] for run in data["runs"] if run["what"] == "time"}):
            drawn_rows = bars_of(data["runs"], case, cores)
            # A bar alone compares nothing.
            if len(drawn_rows) > 1:
                path = results.with_name(
                    f"{results.stem}-{case}-{cores}-core{'s' if cores > 1 else ''}.svg"
                )
                _draw(drawn_rows, TITLES.get(case, case), cores, data["machine"], path)
                written.append(path)
    return written


def _draw(
    drawn_rows: list[Row], title: str, cores: int, machine: dict[str, Any], path: Path
) -> None:
    import matplotlib

    matplotlib.use("svg")
    # text stays text, and ids do not depend on the time: a chart drawn again is the same file
    matplotlib.rcParams.update(
        {"svg.fonttype": "none", "svg.hashsalt": "jaxprep", "font.family": "sans-serif"}
    )
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 1.0 + 0.32 * len(drawn_rows)))
    values = [row.minimum for row in drawn_rows]
    colours = [OURS if row.peer.startswith("jaxprep") else THEIRS for row in drawn_rows]
    drawn = axes.barh([NAMES[row.peer] for row in drawn_rows], values, color=colours, height=0.68)
    axes.bar_label(drawn, [f"{value:.3g}" for value in values], padding=4, color=INK, fontsize=9)
    axes.set_xlim(0, max(values) * 1.1)
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    unit = f"milliseconds per image, {cores} core{'s' if cores > 1 else ''}, less is better"
    axes.set_xlabel(unit, loc="left", color=MUTED, fontsize=8)
    figure.text(0.01, 0.005, header(machine), color=MUTED, fontsize=6, va="bottom")
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(axis="y", length=0, colors=INK, labelsize=9)
    axes.tick_params(axis="x", colors=MUTED, labelsize=8)
    figure.tight_layout(rect=(0, 0.04, 1, 1))
    # without a date, for the same reason
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


if __name__ == "__main__":
    for path in draw(Path(sys.argv[1]), tuple(sys.argv[2:]) or MAIN):
        print(path)
