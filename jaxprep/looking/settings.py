"""Tells the settings of a pipeline from its steps, as `compare` names them.

`diagnose` has the same names for what it shares; its values, such as `shortest_edge`, are those of
the photograph and the array before it, and come from no steps: `jaxprep.doctor.changes`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from jaxprep.errors import JaxprepError
from jaxprep.ops.color import ReverseChannels
from jaxprep.ops.resize import Resampler, Resize
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.positions import is_axis_aligned, position_matrix
from jaxprep.pipeline.step import Geometry, Opaque, Pointwise
from jaxprep.pipeline.undo import undo_values
from jaxprep.types import Size, by

SETTINGS = (
    "method",
    "antialias",
    "reference",
    "resize",
    "size",
    "crop",
    "order",
    "flip",
    "channels",
    "layout",
    "range",
    "mean",
    "std",
    "dtype",
)
"""The names, in the order in which they are told."""


def settings_of(pipeline: Pipeline, size: Size) -> dict[str, Any]:
    """Return the settings of a pipeline for an image of `size`: JSON data by the names of
    `SETTINGS`.

    `method`, `antialias` and `reference` are those of its resizes; `resize` says in words how a
    size is reached, `size` is that height and width; `crop` says in words what is cut off or added;
    `order` names the steps that move pixels; `mean` and `std` are of values in [0, 1], per channel
    of the result (0 and 1 where levels stay as they are), and `range` is what black and white
    become. None is what a pipeline has not.

    >>> from jaxprep import ops
    >>> settings = settings_of(Pipeline((ops.Resize((2, 4)), ops.Rescale(1 / 127.5, -1.0))), (4, 6))
    >>> settings["method"], settings["size"], settings["mean"], settings["range"]
    ('bilinear', [2, 4], [0.5], [-1.0, 1.0])
    """
    resizes: list[tuple[Any, Size]] = []
    others: list[str] = []
    order: list[str] = []
    current = size
    for step in pipeline.inner_steps:
        if not isinstance(step, Geometry | Opaque):
            continue
        current = step.output_size(current)
        order.append(type(step).__name__)
        if isinstance(step, Resampler):
            resizes.append((step, current))
        elif isinstance(step, Geometry):
            others.append(step.describe())
    color = _color(pipeline)
    return {
        "method": _joined([step.method for step, _ in resizes]),
        "antialias": _joined([step.antialias for step, _ in resizes]),
        "reference": _joined([step.reference for step, _ in resizes]),
        "resize": _joined([_rule(step) for step, _ in resizes]),
        "size": _joined([list(resized) for _, resized in resizes]),
        "crop": _joined(others),
        "order": order,
        "flip": _flip(pipeline, size),
        "channels": _channels(pipeline, size),
        "layout": "channels last" if pipeline.layout is None else pipeline.layout.describe(),
        "range": color.get("range"),
        "mean": color.get("mean"),
        "std": color.get("std"),
        "dtype": pipeline.result_dtype(np.uint8, size).name,
    }


def _joined(values: list[Any]) -> Any:
    """The value of one step as it is; a list of those of several; None of none."""
    if len(values) <= 1:
        return values[0] if values else None
    return values


def _rule(step: Any) -> str:
    """How a resize reaches its size, in words, without its filter."""
    words = step.describe()
    if not isinstance(step, Resize):
        return words
    return words.removesuffix(f", {step.filter_words()}").removeprefix("resize ")


def _flip(pipeline: Pipeline, size: Size) -> str | None:
    if not is_axis_aligned(pipeline.segments):
        return None
    matrix = position_matrix(pipeline.segments, size)
    directions = ["left to right"] * bool(matrix[0, 0] < 0)
    directions += ["top to bottom"] * bool(matrix[1, 1] < 0)
    return " and ".join(directions) or None


def _channels(pipeline: Pipeline, size: Size) -> str:
    result = pipeline.replace(steps=pipeline.inner_steps, kinds=()).result_shape(size)
    if result[-1] != 3:
        return f"{result[-1]} channel{'s' * (result[-1] > 1)}"
    return "BGR" if _is_reversed(pipeline) else "RGB"


def _is_reversed(pipeline: Pipeline) -> bool:
    return sum(isinstance(step, ReverseChannels) for step in pipeline.steps) % 2 == 1


def _color(pipeline: Pipeline) -> dict[str, list[float]]:
    """Mean, standard deviation and range: where the results 0 and 1 come from."""
    pointwise = [step for step in pipeline.inner_steps if isinstance(step, Pointwise)]
    try:
        zero, one = (
            undo_values(np.full((1, 1, 3), value, np.float64), Pipeline(tuple(pointwise)))
            for value in (0, 1)
        )
    except (JaxprepError, ValueError):
        return {}
    if zero.stopped_at is not None:
        return {}
    mean = np.ravel(zero.image) / 255
    std = np.ravel(one.image) / 255 - mean
    if _is_reversed(pipeline):
        mean, std = mean[::-1], std[::-1]
    if not np.all(std):
        return {}
    ends = np.stack([-mean / std, (1 - mean) / std])
    if np.allclose((mean, std * 255), ((0,) * 3, (1,) * 3), rtol=1e-9, atol=1e-9):
        # Levels as they are: only their range tells them from values in [0, 1].
        std = np.ones(3)
    return {
        "mean": _rounded(mean),
        "std": _rounded(std),
        "range": [*_rounded(ends.min(), True), *_rounded(ends.max(), True)],
    }


def _rounded(values: Any, every: bool = False) -> list[float]:
    """Numbers to six digits, which tell published ones apart; one where all are equal."""
    listed = [float(f"{value:.6g}") + 0.0 for value in np.ravel(values)]
    return listed if every or len(set(listed)) > 1 else listed[:1]


def in_words(name: str, value: Any) -> str:
    """Return the value of a setting in words.

    >>> in_words("size", [235, 313]), in_words("antialias", True), in_words("flip", None)
    ('235 x 313', 'yes', 'none')
    """
    return ", then ".join(_words(name, value))


def _words(name: str, value: Any) -> Iterator[str]:
    if value is None:
        yield "none"
    elif isinstance(value, bool):
        yield "yes" if value else "no"
    elif name == "size" and isinstance(value[0], int):
        yield by((value[0], value[1]))
    elif name == "range":
        yield f"{value[0]:.4g} to {value[1]:.4g}"
    elif name in ("mean", "std"):
        yield ", ".join(f"{number:.6g}" for number in value)
    elif isinstance(value, list):
        for item in value:
            yield from _words(name, item)
        if not value:
            yield "none"
    else:
        yield str(value)
