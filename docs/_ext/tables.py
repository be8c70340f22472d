"""The directives `preset-table` and `processor-table`: what the data of `presets/` holds, as tables
that a reader filters and sorts (`_static/tables.js`); without JavaScript they are whole.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import reference
from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from jaxprep import ops, presets
from jaxprep.errors import ConfigError
from jaxprep.formats.huggingface import classes
from jaxprep.types import by

STATISTICS = {
    "ImageNet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "CLIP": ((0.481455, 0.457828, 0.408211), (0.26863, 0.261303, 0.275777)),
    "[-1, 1]": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    "[0, 1]": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
"""Means and standard deviations of values in [0, 1], by what they are called."""
TOLERANCE = 2e-3


class Cell(NamedTuple):
    """A cell of a table.

    Attributes:
        text: what is shown.
        link: where the text leads.
        hint: what is shown where the pointer rests, and searched too.
        order: what the column is sorted by, where that is not the text.
    """

    text: str
    link: str = ""
    hint: str = ""
    order: float | None = None


Row = tuple[Cell, ...]


def table(head: Iterable[str], rows: Iterable[Row], placeholder: str) -> str:
    """Returns a table as HTML."""
    lines = [f'<table class="filtered" data-placeholder="{html.escape(placeholder)}">']
    cells = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    lines.append(f"<thead><tr>{cells}</tr></thead><tbody>")
    lines += ["<tr>" + "".join(map(cell, row)) + "</tr>" for row in rows]
    return "\n".join([*lines, "</tbody></table>"])


def cell(value: Cell) -> str:
    text = html.escape(value.text)
    if value.link:
        text = f'<a href="{html.escape(value.link)}">{text}</a>'
    order = "" if value.order is None else f' data-order="{value.order}"'
    hint = f' title="{html.escape(value.hint)}"' if value.hint else ""
    return f"<td{order}{hint}>{text}</td>"


# -- presets ----------------------------------------------------------------------------


def preset_rows() -> Iterator[Row]:
    """Yields the row of every preset: name, size, geometry, filter, values."""
    for name in presets.names():
        try:
            config: Any = presets.load(name)
        except ConfigError as error:
            yield (
                Cell(name),
                Cell("", order=0),
                Cell("not known", hint=str(error)),
                Cell(""),
                Cell(""),
            )
            continue
        steps = config.pipeline.steps
        size = config.image_size
        geometry = "; ".join(words for step in steps if (words := geometry_words(step)))
        resize = next((step for step in steps if isinstance(step, ops.Resize)), None)
        yield (
            Cell(name),
            Cell(
                "varies" if size is None else by(size),
                order=0 if size is None else size[0] * size[1],
            ),
            Cell(geometry),
            Cell("" if resize is None else filter_words(resize)),
            values(steps),
        )


def geometry_words(step: Any) -> str:
    """Returns what a step does to the size, in few words; empty for a step that keeps it."""
    if isinstance(step, ops.Resize):
        if step.shortest_edge is not None:
            return f"shorter side {step.shortest_edge}"
        if isinstance(step.size, tuple):
            return f"resize to {by(step.size)}"
        return step.describe().partition(",")[0]
    if isinstance(step, ops.CenterCrop):
        return f"crop {by(step.size)}" if isinstance(step.size, tuple) else f"crop {step.size}"
    if isinstance(step, ops.CropToAspect):
        return "crop to aspect ratio"
    if isinstance(step, ops.PadToAspect):
        return "pad to aspect ratio"
    return step.describe() if isinstance(step, ops.Geometry) else ""


def filter_words(resize: Any) -> str:
    """Returns the filter of a resize and whose arithmetic computes it."""
    antialias = "" if resize.antialias or resize.method == "nearest" else ", not antialiased"
    return f"{resize.method}, {resize.reference}{antialias}"


def values(steps: tuple[Any, ...]) -> Cell:
    """Returns what the values are normalised by: the mean and the standard deviation of values in
    [0, 1], which a chain of affine steps comes to.
    """
    scale, offset = [1.0] * 3, [0.0] * 3
    for step in steps:
        if isinstance(step, ops.Rescale):
            factor, added = triple(step.scale), triple(step.offset)
        elif isinstance(step, ops.Normalize):
            mean, std = triple(step.mean), triple(step.std)
            factor = [1 / s for s in std]
            added = [-m / s for m, s in zip(mean, std, strict=True)]
        else:
            continue
        scale = [s * f for s, f in zip(scale, factor, strict=True)]
        offset = [o * f + a for o, f, a in zip(offset, factor, added, strict=True)]
    if scale == [1.0] * 3:
        return Cell("[0, 255]")
    std = [1 / (255 * s) for s in scale]
    mean = [-o * s for o, s in zip(offset, std, strict=True)]
    numbers = f"mean {listed(mean)}, std {listed(std)}"
    for name, known in STATISTICS.items():
        if near(mean, known[0]) and near(std, known[1]):
            return Cell(name, hint=numbers)
    return Cell(numbers)


def triple(value: Any) -> list[float]:
    values = list(value) if isinstance(value, (tuple, list)) else [value]
    return values * 3 if len(values) == 1 else values


def near(first: Iterable[float], second: Iterable[float]) -> bool:
    return all(abs(a - b) < TOLERANCE for a, b in zip(first, second, strict=True))


def listed(numbers: Iterable[float]) -> str:
    return ", ".join(f"{number:.4g}" for number in numbers)


# -- processors ----------------------------------------------------------------------------


def processor_rows() -> Iterator[Row]:
    """Yields the row of every class, on each backend, of the tables of `conformance.md`."""
    group = ""
    for line in reference.CONFORMANCE.read_text("utf-8").splitlines():
        if line.startswith("## "):
            group = line.removeprefix("## ")
        cells = [text.strip() for text in line.strip("|").split("|")]
        row = classes.row_of(cells[0])
        if row is None or len(cells) != 8:
            continue
        name, backend, _, equal, largest, exact, others, _ = cells
        page = f"reference/generated/huggingface/{reference.slug(group)}.html"
        size = row.defaults.get("size")
        yield (
            Cell(name, link=f"{page}#{reference.CLASSES_MODULE}.{name}"),
            Cell(backend),
            share(equal),
            share(exact),
            Cell(largest, order=float(largest)),
            Cell("" if size is None else size_words(size)),
            Cell(", ".join(row.models)),
            Cell(", ".join(row.outputs)),
            share(others),
        )


def size_words(size: Any) -> str:
    if not isinstance(size, dict):
        return str(size)
    if size.keys() == {"height", "width"}:
        return by((size["height"], size["width"]))
    return ", ".join(f"{key} {value}" for key, value in size.items())


def share(text: str) -> Cell:
    """Returns the cell of a share of equal values: "all", or in per cent."""
    number = re.match(r"([\d.]+)%", text)
    return Cell(text, order=float(number[1]) if number else 100.0 if text == "all" else -1.0)


# -- directives ----------------------------------------------------------------------------


class PresetTable(SphinxDirective):
    """All presets."""

    def run(self) -> list[nodes.Node]:
        head = ("Preset", "Input", "Geometry", "Filter, arithmetic", "Values")
        return raw(table(head, preset_rows(), "Filter: vit 384 bicubic"))


class ProcessorTable(SphinxDirective):
    """All classes of image and video processors."""

    def run(self) -> list[nodes.Node]:
        equal = ("Equal", "Equal with exact=True", "Largest difference")
        others = ("Size", "Models", "Results", "Other results equal")
        head = ("Class", "Backend", *equal, *others)
        return raw(table(head, processor_rows(), "Filter: qwen video"))


def raw(text: str) -> list[nodes.Node]:
    return [nodes.raw("", f'<div class="filtered-frame">{text}</div>', format="html")]


def setup(app: Any) -> dict[str, Any]:
    """Registers the directives."""
    app.add_directive("preset-table", PresetTable)
    app.add_directive("processor-table", ProcessorTable)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
