"""What a preset does, in the words of the doctor: view, kernel, values, layout."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np

from jaxprep.doctor.kernels import Kernel
from jaxprep.doctor.sources import Source
from jaxprep.doctor.values import NONE_MEAN, NONE_STD, Range, Values, fitted
from jaxprep.doctor.views import View, folded
from jaxprep.errors import ConfigError
from jaxprep.formats import Format
from jaxprep.ops.color import Premultiply, ReverseChannels, Unpremultiply
from jaxprep.ops.pixels import Normalize, Rescale, ToRGB
from jaxprep.ops.resize import Resampler
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.step import Geometry, Layout, Opaque, Pointwise
from jaxprep.types import Size


@dataclass(frozen=True)
class Expected:
    """Holds what a preset does.

    Attributes:
        name: what the caller calls it.
        pipeline: what jaxprep runs.
        layout: "CHW" or "HWC", of the library that the preset is of; None where both are right.
        kernel: its resize; None where it has none.
        values: what it does to levels.
        source: how it reads a photograph.
        fill: levels of what lies outside of the photograph, per channel.

    >>> from jaxprep.formats import Timm
    >>> read("mine", Timm(), "CHW").view((300, 400)).resized
    (256, 341)
    """

    name: str
    pipeline: Pipeline
    layout: str | None
    kernel: Kernel | None
    values: Values
    source: Source
    fill: tuple[float, ...]

    @functools.cached_property
    def geometry(self) -> tuple[Geometry, ...]:
        """The steps that move pixels."""
        return tuple(step for step in self.pipeline.steps if isinstance(step, Geometry))

    def view(self, size: Size) -> View:
        """Return what it shows of a photograph of `size`.

        Raises:
            ConfigError: it is not a crop, a resize and a crop.
        """
        vertical: list[Any] = []
        horizontal: list[Any] = []
        now = size
        for step in self.geometry:
            rows, columns = step.axes(now)
            vertical += rows
            horizontal += columns
            now = step.output_size(now)
        height, width = size
        down = folded(height, vertical)
        across = folded(width, horizontal)
        if down is None or across is None:
            raise unsupported(self.name, "a crop, a resize and a crop")
        row_axis, flips_rows = down
        column_axis, flips_columns = across
        return View(row_axis, column_axis, (flips_rows, flips_columns))

    def window(self, resized: Size) -> tuple[int, int] | None:
        """Return the row and the column where its last crop begins in an image of another size;
        None where it has none."""
        after = False
        for step in self.geometry:
            if isinstance(step, Resampler):
                after = True
            elif after:
                rows, columns = step.axes(resized)
                # a crop is one window on each axis; a reversal has no start
                is_single = len(rows) == len(columns) == 1
                if is_single and hasattr(rows[0], "start"):
                    return int(rows[0].start), int(columns[0].start)  # type: ignore[union-attr]
        return None


def read(name: str, config: Format | Pipeline, layout: str | None) -> Expected:
    """Return what a config does.

    Raises:
        ConfigError: it does something that the doctor has no words for.

    >>> from jaxprep.formats import Timm
    >>> read("mine", Timm(), "CHW").kernel.describe()
    'bicubic, antialiased, as pillow'
    """
    pipeline = config.pipeline if isinstance(config, Format) else config
    kernel: Kernel | None = None
    order = (0, 1, 2)
    scale, offset = np.float64(1.0), np.float64(0.0)
    mean: Any = NONE_MEAN
    std: Any = NONE_STD
    alpha = "drop"
    fill: Any = (0.0, 0.0, 0.0)
    for step in pipeline.steps:
        if step.is_random or isinstance(step, Opaque):
            raise unsupported(name, f"no `{type(step).__name__}`")
        if isinstance(step, Resampler):
            if kernel is not None:
                raise unsupported(name, "one resize")
            kernel = _kernel(step, pipeline)
        elif isinstance(step, Geometry):
            # a step fills in the unit that pixels have at its place
            fill = _levels(step.fill, scale, offset, mean, std)
        elif isinstance(step, Normalize):
            mean, std = step.mean, step.std
        elif isinstance(step, Rescale):
            factor = np.asarray(step.scale, float)
            scale, offset = scale * factor, offset * factor + np.asarray(step.offset, float)
        elif isinstance(step, ReverseChannels):
            order = order[::-1]
        elif isinstance(step, (Premultiply, Unpremultiply)):
            alpha = "premultiplied"
        elif isinstance(step, ToRGB):
            if alpha != "premultiplied":
                alpha = step.alpha
        elif isinstance(step, Layout):
            pass
        elif not isinstance(step, Pointwise):
            raise unsupported(name, f"no `{type(step).__name__}`")
    values = _values(order, scale, offset, mean, std)
    return Expected(name, pipeline, layout, kernel, values, Source(alpha=alpha), fitted(fill, 3))


def unsupported(name: str, wanted: str) -> ConfigError:
    """Return the error of a preset that does more than the doctor searches.

    >>> str(unsupported("mine", "one resize"))[:45]
    "Expected a preset with one resize, got 'mine'"
    """
    return ConfigError(
        f"Expected a preset with {wanted}, got {name!r} - at `preset`. The doctor knows crops, one "
        "resize, and one scale and offset per channel."
    )


def _levels(fill: Any, scale: Any, offset: Any, mean: Any, std: Any) -> Any:
    """Return the level that a fill value stands for at its place."""
    value = np.asarray(fill, float) * np.asarray(std) + np.asarray(mean)
    return (value - offset) / scale


def _kernel(step: Resampler, pipeline: Pipeline) -> Kernel:
    if step.method == "nearest":
        rule = {"torch": "torch", "pillow": "pillow", "pillow12": "pillow"}
        return Kernel("nearest", False, rule.get(step.reference, "jax"), "passes")
    if step.reference in ("pillow", "pillow12", "torchvision", "opencv"):
        rounding = "passes"
    else:
        rounding = "round" if step.rounded else "no"
        casts = [other for other in pipeline.steps if type(other).__name__ == "Cast"]
        before = pipeline.steps.index(step)
        # A resize rounds integers only: `Cast` has made them floats before.
        if any(pipeline.steps.index(cast) < before for cast in casts):
            rounding = "no"
    reference = "jax" if step.reference == "float" else step.reference
    return Kernel(step.method, step.antialias, reference, rounding)


def _values(order: tuple[int, ...], scale: Any, offset: Any, mean: Any, std: Any) -> Values:
    scale = np.asarray(scale, float).ravel()
    offset = np.asarray(offset, float).ravel()
    mean = np.asarray(mean, float).ravel()
    std = np.asarray(std, float).ravel()
    is_plain = scale.size == 1 and not np.any(offset) and np.all(std < 2)
    if is_plain:
        return Values(
            order,
            Range(float(scale[0]), 0.0),
            mean=fitted(mean, 3),
            std=fitted(std, 3),
        )
    # A scale and an offset per channel, as KerasHub's, or a mean of levels, as Transformers': they
    # are said as a mean and a standard deviation of values in [0, 1].
    total_scale = scale / std
    total_offset = (offset - mean) / std
    # 0.5: between a factor of levels, 1 / 255, and of values in [0, 1].
    is_unit = np.all(total_scale > 0.5)
    unit = 1.0 if is_unit else 1 / 255
    unit_std = unit / total_scale
    unit_mean = -total_offset * unit_std
    return Values(
        order,
        Range(unit, 0.0),
        mean=fitted(_six_decimals(unit_mean), 3),
        std=fitted(_six_decimals(unit_std), 3),
    )


def _six_decimals(numbers: np.ndarray) -> tuple[float, ...]:
    """Round as presets state their numbers, so that those of a product are said like them."""
    return tuple(float(round(number, 6)) for number in numbers)
