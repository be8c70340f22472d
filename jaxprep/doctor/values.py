"""What was done to the values of an image: channel order, range, mean and standard deviation.

All of it is one `a * level + b` per channel, which is measured, and then named: with the fewest
settings that differ from what a preset has.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from jaxprep.formats.open_clip import CLIP_MEAN, CLIP_STD
from jaxprep.formats.values import IMAGENET_MEAN, IMAGENET_STD

Triple = tuple[float, ...]
Change = tuple[str, Any, Any]
"""A setting, what was expected, and what was found."""
NONE_MEAN, NONE_STD = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
ORDERS: dict[tuple[int, ...], str] = {
    order: "".join("RGB"[i] for i in order) for order in itertools.permutations(range(3))
}


class Range(NamedTuple):
    """Says what levels become before a mean is subtracted: `level * scale + offset`.

    >>> Range(1 / 255, 0.0).name
    '[0, 1]'
    """

    scale: float
    offset: float

    @property
    def name(self) -> str:
        """The values that 0 to 255 become."""
        for known, name in _RANGES.items():
            if np.allclose(self, known, rtol=1e-6, atol=1e-9):
                return name
        top = 255 * self.scale + self.offset
        return f"[{self.offset:g}, {top:g}]"


_RANGES = {
    Range(1 / 255, 0.0): "[0, 1]",
    Range(1.0, 0.0): "[0, 255]",
    Range(2 / 255, -1.0): "[-1, 1]",
    Range(1 / 255**2, 0.0): "[0, 1/255]",  # rescaled by two steps, where one was meant
    Range(1 / 256, 0.0): "[0, 255/256]",  # divided by the number of levels
}


class Values(NamedTuple):
    """Holds what happens to levels: a range, then a mean and a standard deviation per channel.

    Attributes:
        order: which channel of the photograph each channel of the result shows.
        range: what levels become first.
        mean, std: per channel of the result.
        twice: the mean and standard deviation are applied once more.

    >>> levels = Values((0, 1, 2), Range(1 / 255, 0.0), (0.5,) * 3, (0.5,) * 3)
    >>> [round(float(n), 6) for n in levels.affine[0]]
    [0.007843, 0.007843, 0.007843]
    """

    order: tuple[int, ...]
    range: Range
    mean: Triple
    std: Triple
    twice: bool = False

    @property
    def affine(self) -> tuple[np.ndarray, np.ndarray]:
        """The factor and the summand per channel, float64."""
        mean = np.asarray(self.mean)
        std = np.asarray(self.std)
        scale = self.range.scale / std
        offset = (self.range.offset - mean) / std
        if self.twice:
            scale = scale / std
            offset = (offset - mean) / std
        return scale, offset


DATASETS: tuple[tuple[str, Triple, Triple], ...] = (
    ("none", NONE_MEAN, NONE_STD),
    ("ImageNet", IMAGENET_MEAN, IMAGENET_STD),
    ("CLIP", CLIP_MEAN, CLIP_STD),
    ("Inception", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    # https://github.com/keras-team/keras/blob/master/keras/src/applications/imagenet_utils.py
    ("Caffe", (123.68 / 255, 116.779 / 255, 103.939 / 255), NONE_STD),
    ("Caffe, in the order BGR", (103.939 / 255, 116.779 / 255, 123.68 / 255), NONE_STD),
    ("CIFAR-10", (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    # https://github.com/kuangliu/pytorch-cifar/blob/master/main.py
    ("CIFAR-10, of batches", (0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    ("CIFAR-100", (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
    # https://github.com/huggingface/pytorch-image-models/blob/main/timm/data/constants.py
    ("DPN", (124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3),
    ("MNIST", (0.1307,) * 3, (0.3081,) * 3),
    ("COCO", (0.4711, 0.4475, 0.4080), (0.2330, 0.2290, 0.2330)),
    ("Places", (0.4578, 0.4414, 0.4078), (0.2435, 0.2418, 0.2622)),
)  # fmt: skip
"""Means and standard deviations that pipelines commonly have, for values in [0, 1]."""


def measured(levels: np.ndarray, values: np.ndarray) -> tuple[float, float, float]:
    """Return `a`, `b` and the remaining difference in levels where `values` are about
    `a * levels + b`.

    Args:
        levels, values: of one channel, of one shape.

    >>> measured(np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0, 5.0]))
    (2.0, 1.0, 0.0)
    """
    level_mean = levels.mean()
    value_mean = values.mean()
    centered = levels - level_mean
    squares = centered * centered
    spread = float(squares.sum())
    if spread < 1e-9:
        return 0.0, float(value_mean), np.inf
    products = centered * (values - value_mean)
    slope = float(products.sum()) / spread
    offset = float(value_mean - slope * level_mean)
    if abs(slope) < 1e-12:
        return slope, offset, np.inf
    rest = (values - slope * levels - offset) / slope
    mean_square = (rest * rest).mean()
    return slope, offset, float(np.sqrt(mean_square))


class Named(NamedTuple):
    """Holds values with names, and how many settings differ from what was expected.

    Attributes:
        cost: settings that differ, and less than one more for those without a name.

    >>> Named(Values((0,), Range(1.0, 0.0), (0.0,), (1.0,)), 0.0, ()).changes
    ()
    """

    values: Values
    cost: float
    changes: tuple[Change, ...]


def named(
    order: tuple[int, ...],
    scale: np.ndarray,
    offset: np.ndarray,
    expected: Values,
    tolerance: float,
) -> Named | None:
    """Name what levels were multiplied with and shifted by; None where no names fit.

    Args:
        order: see `Values`.
        scale, offset: measured, per channel of the result.
        expected: what a preset has.
        tolerance: in levels.

    >>> imagenet = Values((0, 1, 2), Range(1 / 255, 0.0), IMAGENET_MEAN, IMAGENET_STD)
    >>> raw = named((0, 1, 2), np.full(3, 1 / 255), np.zeros(3), imagenet, 0.02)
    >>> [change[0] for change in raw.changes]
    ['mean', 'std']
    """
    best: Named | None = None
    for candidate in _explanations(order, scale, offset, expected, tolerance):
        if best is None or candidate.cost < best.cost - 1e-9:
            best = candidate
    return best


def _explanations(
    order: tuple[int, ...],
    scale: np.ndarray,
    offset: np.ndarray,
    expected: Values,
    tolerance: float,
) -> Iterable[Named]:
    count = len(scale)
    order_change: tuple[Change, ...] = ()
    is_reordered = order != expected.order and len(order) == 3
    if is_reordered:
        order_change = (("channels", ORDERS[expected.order], ORDERS[order]),)
    # With another order of channels, mean and std may be those of the channel or of its place.
    place = [(expected.mean, expected.std)]
    if is_reordered and len(expected.mean) == 3:
        moved = [expected.order.index(i) for i in order]
        moved_mean = tuple(expected.mean[i] for i in moved)
        moved_std = tuple(expected.std[i] for i in moved)
        place.append((moved_mean, moved_std))
    no_mean = fitted(NONE_MEAN, count)
    no_std = fitted(NONE_STD, count)
    for mean, std in place:
        here = Values(order, expected.range, fitted(mean, count), fitted(std, count))
        if matches(here, scale, offset, tolerance):
            yield Named(here, float(len(order_change)), order_change)
        changes = []
        if here.mean != no_mean:
            changes.append(("mean", here.mean, "twice"))
        if here.std != no_std:
            changes.append(("std", here.std, "twice"))
        twice = here._replace(twice=True)
        # Twice nothing is nothing.
        if changes and matches(twice, scale, offset, tolerance):
            all_changes = (*order_change, *changes)
            yield Named(twice, len(all_changes), all_changes)
        for range_ in _ranges(expected.range):
            named = _with_range(order, scale, offset, here, range_, tolerance)
            if named is None:
                continue
            cost = named.cost + len(order_change)
            yield named._replace(cost=cost, changes=(*order_change, *named.changes))


def _ranges(expected: Range) -> list[Range]:
    twice = Range(expected.scale / 255, expected.offset)
    return list(dict.fromkeys([expected, *_RANGES, twice]))


def _with_range(
    order: tuple[int, ...],
    scale: np.ndarray,
    offset: np.ndarray,
    expected: Values,
    range_: Range,
    tolerance: float,
) -> Named | None:
    """Solve for the mean and the standard deviation, given the range."""
    std = range_.scale / scale
    mean = range_.offset - offset * std
    changes: list[Change] = []
    cost = 0.0
    if range_ != expected.range:
        changes.append(("range", expected.range.name, range_.name))
        cost += 1
    # One unit of the range, in which means and standard deviations are said.
    unit = 1.0 if range_.scale < 0.5 else 255.0
    std_name, std_value, std_cost = _closest(std, expected.std, 1, unit, range_, tolerance, order)
    if std_name is None:
        return None
    # The mean is measured best with the exact standard deviation.
    mean = range_.offset - offset * np.asarray(std_value)
    mean_name, mean_value, mean_cost = _closest(
        mean, expected.mean, 0, unit, range_, tolerance, order
    )
    if mean_name is None:
        return None
    values = Values(order, range_, mean_value, std_value)
    if not matches(values, scale, offset, tolerance):
        return None
    if mean_name != "expected":
        changes.append(("mean", expected.mean, _said(mean_name, mean_value, order)))
    if std_name != "expected":
        changes.append(("std", expected.std, _said(std_name, std_value, order)))
    return Named(values, cost + mean_cost + std_cost, tuple(changes))


def _closest(
    value: np.ndarray,
    expected: Triple,
    which: int,
    unit: float,
    range_: Range,
    tolerance: float,
    order: tuple[int, ...],
) -> tuple[str | None, Triple, float]:
    """Return the name, the numbers and the cost of a measured mean (0) or standard deviation (1);
    the name is None where no pipeline has such."""
    count = len(value)

    def near(known: Triple) -> bool:
        other = np.asarray(known, float)
        if which == 1:
            # Relative: a wrong divisor is off by most at the ends of the range.
            relative = np.abs(value / other - 1)
            return bool(np.all(relative < 2 * tolerance / 255 + 3e-5))
        levels = np.abs(value - other) / range_.scale
        return bool(np.all(levels < tolerance))

    if near(expected):
        return "expected", expected, 0.0
    none = fitted(NONE_STD if which else NONE_MEAN, count)
    if near(none):
        return "none", none, 1.0
    # Means of a range of [0, 255] are 255 times as large.
    for name, mean, std in DATASETS[1:]:
        of_unit = fitted(std if which else mean, count)
        known = tuple(n * unit for n in of_unit)
        if near(known):
            return name, known, 1.1
        # With another order of channels, those of the channel instead of its place.
        if len(order) != 3:
            continue
        moved = tuple(known[i] for i in order)
        if near(moved):
            return MOVED, moved, 1.1
    # Values in [0, 1] have their mean there, and no pipeline divides them by almost 0.
    low, high = (0.02, 1.2) if which else (-0.02, 1.02)
    is_too_low = value < low * unit
    is_too_high = value > high * unit
    if np.any(is_too_low) or np.any(is_too_high):
        return None, (), 0.0
    is_near_one = np.abs(value - 1) < 0.01
    if which == 1 and unit == 255 and np.all(is_near_one):
        return "none", none, 1.0
    return "measured", tuple(float(n) for n in value), 1.7


def matches(values: Values, scale: np.ndarray, offset: np.ndarray, tolerance: float) -> bool:
    """Return whether values make of every level what was measured, within `tolerance` levels.

    >>> plain = Values((0,), Range(1.0, 0.0), (0.0,), (1.0,))
    >>> matches(plain, np.ones(1), np.array([0.5]), 0.1)
    False
    """
    known_scale, known_offset = values.affine
    limit = tolerance * np.abs(known_scale)
    # Both are lines: they are nearest or farthest at the ends.
    for level in (0.0, 255.0):
        measured_value = scale * level + offset
        known_value = known_scale * level + known_offset
        difference = np.abs(measured_value - known_value)
        if np.any(difference > limit):
            return False
    return True


def fitted(values: Any, count: int) -> Triple:
    """Return one number per channel.

    >>> fitted(0.5, 2)
    (0.5, 0.5)
    """
    flat = np.asarray(values, float).ravel()
    if len(flat) == count:
        return tuple(float(n) for n in flat)
    return (float(flat[0]),) * count


MOVED = "in the order of the channels"


def _said(name: str, values: Triple, order: tuple[int, ...]) -> Any:
    if name == "none":
        return "missing"
    if name == MOVED:
        values = tuple(values[order.index(i)] for i in range(3))
    return tuple(round(n, 6) for n in values)
