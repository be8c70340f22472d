"""Searches what was done to a photograph: view, filter, arithmetic, values, in this order.

Each stage measures what the later ones need and not more: where the image lies in the photograph
does not depend on its colours (`register.py`); which filter made it shows in a few rows; what was
done to its values is a line through levels and values (`values.py`). Only the last stage looks at
every pixel.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxprep.doctor import values as colours
from jaxprep.doctor.kernels import KERNELS, Kernel, candidates, predicted
from jaxprep.doctor.register import Fit, Registration
from jaxprep.doctor.sources import LAST, Photo, Source, finished
from jaxprep.doctor.values import Values
from jaxprep.doctor.views import Axis, View

EXACT = 0.02
"""Levels that float32 may be off by."""
LINES = 20
"""So many rows or columns are compared before all are."""


FLIPS = ((False, False), (False, True), (True, False), (True, True))
"""Whether rows and columns are in the reverse order."""


def _mirrored(part: np.ndarray, flip: tuple[bool, bool]) -> np.ndarray:
    """Rows, columns or both in the reverse order."""
    row_step = -1 if flip[0] else 1
    column_step = -1 if flip[1] else 1
    return part[::row_step, ::column_step]


class Hypothesis(NamedTuple):
    """Says one way in which an image may have been made.

    Attributes:
        source, view, kernel: see the modules of these names.
        order: which channel of the photograph each channel of the image shows.
        scale, offset: what levels were multiplied with, and what was added, per channel.
        residual: the root of the mean squared difference, in levels.
        largest: the largest difference, in levels.

    >>> Hypothesis._fields[:3]
    ('source', 'view', 'kernel')
    """

    source: Source
    view: View
    kernel: Kernel
    order: tuple[int, ...]
    scale: np.ndarray
    offset: np.ndarray
    residual: float
    largest: float


BASIC = tuple(
    dict.fromkeys(
        [
            Kernel(method, antialias, "jax", "no")
            for antialias in (True, False)
            for method in ("bilinear", "bicubic", "lanczos3")
        ]
        + [
            Kernel("box", True, "jax", "no"),
            Kernel("hamming", True, "jax", "no"),
            Kernel("lanczos5", True, "jax", "no"),
            Kernel("bicubic", False, "torch", "no"),
            Kernel("nearest", False, "torch", "passes"),
            Kernel("nearest", False, "jax", "passes"),
            Kernel("area", True, "opencv", "no"),
            Kernel("area", True, "torch", "no"),
            Kernel("lanczos4", False, "opencv", "passes"),
            Kernel("bilinear", False, "torch_corners", "no"),
            Kernel("bicubic", False, "torch_corners", "no"),
            Kernel("bilinear", False, "tensorflow_legacy", "no"),
        ]
    )
)
"""One kernel of each shape, whose pixels no rounding has changed."""


class Search:
    """Searches one image `(h, w, c)` in one photograph.

    Attributes:
        image: its values, float64.
        photo: the photograph.
        is_expected_size: whether the preset's result has the size of the image.

    >>> from jaxprep import data
    >>> photo = data.photo("coffee")
    >>> found = Search(photo[100:250, 150:300] / 255, Photo(photo)).located(Source())[0]
    >>> found.view.vertical.offset, found.view.horizontal.offset
    (100.0, 150.0)
    """

    def __init__(
        self,
        image: np.ndarray,
        photo: Photo,
        expected_view: View | None = None,
        may_flip: bool = True,
    ) -> None:
        self.flips = FLIPS if may_flip else FLIPS[:1]
        # One image of a batch at a time, which may be large.
        image = np.ascontiguousarray(image, np.float64)
        self.image = image
        self.photo = photo
        self.hint = expected_view
        self.is_expected_size = expected_view is not None and expected_view.size == image.shape[:2]
        self._planes: dict[Source, np.ndarray] = {}
        self._places: dict[Source, Any] = {}
        # Green, which stays in its place where red and blue are exchanged.
        self.channel = 1 if image.shape[-1] == 3 else 0
        spread = image.std((0, 1))
        self.is_gray = image.shape[-1] == 1 or _are_affine(image)
        self.is_constant = bool(np.all(spread < 1e-12))

    # -- one hypothesis ----------------------------------------------------------------------------

    def measured(
        self,
        source: Source,
        view: View,
        kernel: Kernel,
        rows: np.ndarray | None = None,
        columns: np.ndarray | None = None,
    ) -> Hypothesis:
        """Measure how well a hypothesis explains some rows and columns of the image."""
        rows, columns = self._inside(view, rows, columns)
        shown = self.photo.seen(source, view, kernel, rows, columns)
        image = self.image[np.ix_(rows, columns)]
        count = image.shape[-1]
        if shown.shape[-1] == count == 3 and not self.is_gray:
            fits = [
                [colours.measured(shown[..., j], image[..., i]) for j in range(3)] for i in range(3)
            ]
            order = min(
                colours.ORDERS,
                key=lambda order: (
                    round(sum(fits[i][j][2] ** 2 for i, j in enumerate(order)), 6),
                    # of equal ones, as in a gray photograph, the channels as they are
                    order != (0, 1, 2),
                ),
            )
            chosen = [fits[i][j] for i, j in enumerate(order)]
        else:
            order = tuple(range(count))
            chosen = [
                colours.measured(shown[..., min(i, shown.shape[-1] - 1)], image[..., i])
                for i in range(count)
            ]
        scale = np.array([fit[0] for fit in chosen])
        offset = np.array([fit[1] for fit in chosen])
        residual = float(np.sqrt(np.mean([fit[2] ** 2 for fit in chosen])))
        return Hypothesis(source, view, kernel, order, scale, offset, residual, residual)

    def _inside(
        self, view: View, rows: np.ndarray | None, columns: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows and columns that show the photograph."""
        height, width = self.image.shape[:2]
        kept = []
        for axis, mirrored, n, some in (
            (view.vertical, view.flip[0], height, rows),
            (view.horizontal, view.flip[1], width, columns),
        ):
            first, last = axis.inside
            if mirrored:
                first, last = n - last, n - first
            lines = np.arange(n) if some is None else some
            kept.append(lines[(lines >= first) & (lines < last)])
        return kept[0], kept[1]

    # -- where -------------------------------------------------------------------------------------

    def plane(self, source: Source) -> np.ndarray:
        """Return the channel of the photograph that is compared first."""
        if source not in self._planes:
            pixels = self.photo.pixels(source)
            if source.gray != "color" and source.rule.endswith(LAST):
                plane = pixels
            elif self.is_gray and source.gray == "color":
                # The weights of Pillow's mode L; a fit does not see that it rounds.
                plane = (pixels[..., :3].astype(float) @ np.array([0.299, 0.587, 0.114]))[..., None]
            elif pixels.shape[-1] == 4:
                plane = np.ascontiguousarray(pixels[..., [1, 3]])
            else:
                plane = np.ascontiguousarray(pixels[..., [1]])
            self._planes[source] = plane
        return self._planes[source]

    def register(self, source: Source) -> list[tuple[Fit, tuple[bool, bool], tuple[int, ...]]]:
        """Return where the image may lie in the photograph; see `_register`."""
        if source not in self._places:
            self._places[source] = self._register(source)
        return self._places[source]

    def _register(self, source: Source) -> list[tuple[Fit, tuple[bool, bool], tuple[int, ...]]]:
        """Return where the image may lie in the photograph: the fit, whether rows and columns are
        mirrored, and the insets (top, bottom, left, right) of a border."""
        if source.alpha == "premultiplied":
            # Where the colours lie; those of the plane are darker than the image's.
            return self.register(source._replace(alpha="drop"))
        plane = self.plane(source)
        image = self.image[..., self.channel]
        registration = Registration(plane[..., 0])
        found: list[tuple[Fit, tuple[bool, bool], tuple[int, ...]]] = []
        insets = [(0, 0, 0, 0)]
        border = borders(self.image)
        if any(border):
            insets.insert(0, border)
        for top, bottom, left, right in insets:
            height, width = image.shape
            part = image[top : height - bottom, left : width - right]
            if min(part.shape) < 8:
                continue
            for flip in self.flips:
                turned = _mirrored(part, flip)
                for fit in registration.coarse(
                    turned, registration.common_starts(part.shape), keep=2
                ):
                    found.append((fit, flip, (top, bottom, left, right)))
        # of a negative the correlation is below 0
        found.sort(key=lambda entry: -abs(entry[0].correlation))
        refined = []
        for fit, flip, border in found[:4]:
            refined.append(self._refined(registration, fit, flip, border))
        refined.sort(key=lambda entry: -abs(entry[0].correlation))
        if not refined or abs(refined[0][0].correlation) < 0.9:
            refined += self._anywhere(registration, insets)
            refined.sort(key=lambda entry: -abs(entry[0].correlation))
        return refined

    def _anywhere(
        self, registration: Registration, insets: list[tuple[int, int, int, int]]
    ) -> list[tuple[Fit, tuple[bool, bool], tuple[int, ...]]]:
        found = []
        image = self.image[..., self.channel]
        height, width = image.shape
        for top, bottom, left, right in insets:
            part = image[top : height - bottom, left : width - right]
            if min(part.shape) < 8:
                continue
            starts = registration.everywhere(part.shape)
            for flip in self.flips[:2]:
                turned = _mirrored(part, flip)
                for fit in registration.coarse(turned, starts, keep=3):
                    found.append((fit, flip, (top, bottom, left, right)))
        found.sort(key=lambda entry: -abs(entry[0].correlation))
        return [self._refined(registration, *entry) for entry in found[:4]]

    def _refined(
        self,
        registration: Registration,
        fit: Fit,
        flip: tuple[bool, bool],
        border: tuple[int, ...],
    ) -> tuple[Fit, tuple[bool, bool], tuple[int, ...]]:
        top, bottom, left, right = border
        image = self.image[..., self.channel]
        height, width = image.shape
        part = image[top : height - bottom, left : width - right]
        turned = _mirrored(part, flip)
        return registration.refined(turned, fit), flip, border

    def likeness(self, source: Source) -> float:
        """Return how much the image looks like some part of the photograph, at most 1."""
        found = self.register(source)
        return abs(found[0][0].correlation) if found else 0.0

    def flips_at(self, source: Source) -> int:
        """Return along how many axes the image is mirrored, where it is most alike."""
        return sum(self.register(source)[0][1]) if self.register(source) else 0

    # -- near it -----------------------------------------------------------------------------------

    def located(self, source: Source) -> list[Hypothesis]:
        """Return views and filters that explain the image best, by one channel of some lines."""
        results: list[Hypothesis] = []
        for fit, flip, border in self.register(source)[:2]:
            if results and abs(fit.correlation) < 0.8:
                break
            results += self._near(source, fit, flip, border)
            # none where nothing can be compared: an array of one value
            if min((result.residual for result in results), default=np.inf) < 0.6:
                break
        results.sort(key=lambda result: result.residual)
        return results

    def _near(
        self, source: Source, fit: Fit, flip: tuple[bool, bool], border: tuple[int, ...]
    ) -> list[Hypothesis]:
        top, bottom, left, right = border
        if flip[0]:
            top, bottom = bottom, top
        if flip[1]:
            left, right = right, left
        pixels = self.photo.pixels(source)
        height, width = self.image.shape[:2]
        vertical = axes_near(pixels.shape[0], fit.scale_y, fit.top, height, top, bottom)
        horizontal = axes_near(pixels.shape[1], fit.scale_x, fit.left, width, left, right)
        if self.hint is not None and self.hint.size == (height, width):
            vertical = _first(self.hint.vertical, vertical)
            horizontal = _first(self.hint.horizontal, horizontal)
        view = View(vertical[0], horizontal[0], flip)
        some_rows, some_columns = lines(height), lines(width)
        kernels = self._ranked(source, view, BASIC, some_rows, some_columns)
        best: dict[View, Hypothesis] = {}
        for kernel in [entry.kernel for entry in kernels[:3]]:
            view = View(vertical[0], horizontal[0], flip)
            by_rows: list[Hypothesis] = []
            by_columns: list[Hypothesis] = []
            # The best columns depend on the rows, and these on them: so twice.
            for _ in range(2):
                by_columns = self._sorted(
                    self._one(source, View(view.vertical, axis, flip), kernel, some_rows, None)
                    for axis in horizontal
                )
                view = by_columns[0].view
                by_rows = self._sorted(
                    self._one(source, View(axis, view.horizontal, flip), kernel, None, some_columns)
                    for axis in vertical
                )
                if by_rows[0].view == view:
                    break
                view = by_rows[0].view
            near_rows = [entry.view.vertical for entry in _close(by_rows)]
            near_columns = [entry.view.horizontal for entry in _close(by_columns)]
            for row_axis, column_axis in itertools.product(near_rows, near_columns):
                candidate = View(row_axis, column_axis, flip)
                entry = self._one(source, candidate, kernel, some_rows, None)
                if candidate not in best or entry.residual < best[candidate].residual:
                    best[candidate] = entry
        results = self._sorted(best.values())
        # The filter once more, where the view is known.
        again = self._ranked(source, results[0].view, BASIC, some_rows, None)
        kernels_kept = [
            entry.kernel for entry in again if entry.residual < 1.5 * again[0].residual + 0.3
        ]
        crossed = []
        for view_entry, kernel in itertools.product(_close(results), kernels_kept[:4]):
            crossed.append(self._one(source, view_entry.view, kernel, some_rows, None))
        return self._sorted(crossed)

    def _one(
        self,
        source: Source,
        view: View,
        kernel: Kernel,
        rows: np.ndarray | None,
        columns: np.ndarray | None,
    ) -> Hypothesis:
        """Measure by one channel."""
        rows, columns = self._inside(view, rows, columns)
        plane = self.plane(source)
        if len(rows) == 0 or len(columns) == 0:
            nothing = np.zeros(1)
            return Hypothesis(source, view, kernel, (0,), nothing, nothing, np.inf, np.inf)
        shown = finished(predicted(plane, view, kernel, rows, columns), source)[..., :1]
        image = self.image[np.ix_(rows, columns)][..., [self.channel]]
        scale, offset, rest = colours.measured(shown, image)
        return Hypothesis(
            source, view, kernel, (0,), np.array([scale]), np.array([offset]), rest, rest
        )

    def _ranked(
        self,
        source: Source,
        view: View,
        kernels: Iterable[Kernel],
        rows: np.ndarray | None,
        columns: np.ndarray | None,
    ) -> list[Hypothesis]:
        return self._sorted(self._one(source, view, kernel, rows, columns) for kernel in kernels)

    @staticmethod
    def _sorted(entries: Iterable[Hypothesis]) -> list[Hypothesis]:
        return sorted(entries, key=lambda entry: entry.residual)

    def differences(self, hypothesis: Hypothesis, values: Values) -> np.ndarray:
        """Return by how many levels each pixel differs `(h, w)`, at most of its channels; 0 where
        the photograph is not shown."""
        view = hypothesis.view
        rows, columns = self._inside(view, None, None)
        shown = self.photo.seen(hypothesis.source, view, hypothesis.kernel, rows, columns)
        scale, offset = values.affine
        image = self.image[np.ix_(rows, columns)]
        order = list(hypothesis.order) if shown.shape[-1] >= len(hypothesis.order) else [0]
        off = np.abs((image - offset) / scale - shown[..., order]).max(-1)
        result = np.zeros(self.image.shape[:2])
        result[np.ix_(rows, columns)] = off
        return result

    # -- every pixel -------------------------------------------------------------------------------

    def settled(self, near: Sequence[Hypothesis], sources: Sequence[Source]) -> list[Hypothesis]:
        """Return what explains all pixels best, of all arithmetics of the filters that are near."""
        if not near:
            return []
        limit = 1.3 * near[0].residual + 0.35
        views = list(dict.fromkeys(entry.view for entry in near if entry.residual < limit))[:12]
        shapes = list(dict.fromkeys(entry.kernel[:2] for entry in near if entry.residual < limit))[
            :4
        ]
        kernels: list[Kernel] = []
        for method, antialias in shapes:
            kernels += candidates(method, antialias)
        some_rows = lines(self.image.shape[0])
        tried = [
            self._one(source, view, kernel, some_rows, None)
            for source in sources
            for view in views
            for kernel in kernels
        ]
        tried.sort(key=lambda entry: entry.residual)
        limit = 1.25 * tried[0].residual + EXACT
        kept = [entry for entry in tried if entry.residual <= limit][:24]
        full = [self.measured(entry.source, entry.view, entry.kernel) for entry in kept]
        return self._sorted(full)


def lines(n: int, count: int = LINES) -> np.ndarray:
    """Return some of `n` lines, the first and the last among them.

    >>> lines(100, 3).tolist()
    [0, 50, 99]
    """
    return np.unique(np.rint(np.linspace(0, n - 1, min(count, n))).astype(np.int64))


def _first(axis: Axis, axes: list[Axis]) -> list[Axis]:
    """Return the axes with one that is expected at the beginning, if it is near them."""
    if axis in axes:
        return [axis, *(other for other in axes if other != axis)]
    near = axes[0]
    ends = (
        abs(axis.offset - near.offset),
        abs(axis.offset + axis.length * axis.scale - near.offset - near.length * near.scale),
    )
    return [axis, *axes] if max(ends) < 2 * near.scale else axes


def _close(entries: list[Hypothesis], most: int = 5) -> list[Hypothesis]:
    limit = 1.15 * entries[0].residual + 0.05
    return [entry for entry in entries if entry.residual <= limit][:most]


def axes_near(n: int, scale: float, offset: float, m: int, before: int, after: int) -> list[Axis]:
    """Return the axes, in whole pixels, near a measured scale and offset, the nearest first.

    Args:
        n: pixels of the photograph.
        scale, offset: of the part that shows it, in pixels of the photograph.
        m: pixels of the image.
        before, after: pixels of its border.

    >>> axes_near(400, 400 / 256, 25.0, 224, 0, 0)[0]
    Axis(source=400, crop_start=0, crop_length=400, resized=256, start=16, length=224)
    """
    inner = m - before - after
    found: dict[Axis, float] = {}

    def add(axis: Axis, bonus: float = 0.0) -> None:
        start = axis.offset + before * axis.scale
        end = start + inner * axis.scale
        off = max(abs(start - offset), abs(end - offset - inner * scale)) / scale
        if axis.pads and not (before or after):
            # It would show as a border; `nearest` and `legacy` filters lie up to a pixel elsewhere.
            bonus += 1.0
        if off < 1.3:
            found[axis] = min(found.get(axis, np.inf), off + bonus)

    resized = n / scale
    for size in range(int(np.floor(resized)) - 1, int(np.ceil(resized)) + 2):
        if size < 1:
            continue
        start = offset * size / n - before
        for first in range(int(np.floor(start)) - 1, int(np.ceil(start)) + 2):
            bonus = 0.0
            # A whole axis, or its middle, is what pipelines show.
            is_whole = first == 0 and size == m
            is_middle = abs(2 * first + m - size) <= 1
            if not (is_whole or is_middle):
                bonus = 0.35
            add(Axis.resized_to(n, size, first, m), bonus)
    length = scale * m
    for crop in range(int(np.floor(length)) - 1, int(np.ceil(length)) + 2):
        if crop < 1:
            continue
        start = offset - before * scale
        for first in range(int(np.floor(start)) - 1, int(np.ceil(start)) + 2):
            if (first, crop) == (0, n):
                continue
            is_middle = abs(2 * first + crop - n) <= 1
            add(Axis.cropped_to(n, first, crop, m), 0.2 if is_middle else 0.5)
    ordered = sorted(found, key=lambda axis: found[axis])
    return ordered or [
        Axis.resized_to(n, max(1, round(resized)), round(offset / scale) - before, m)
    ]


def borders(image: np.ndarray) -> tuple[int, int, int, int]:
    """Return how many rows and columns at the top, bottom, left and right are of one colour.

    >>> image = np.zeros((4, 5, 1))
    >>> image[1:3, :4] = np.arange(8).reshape(2, 4, 1)
    >>> borders(image)
    (1, 1, 0, 1)
    """
    height, width = image.shape[:2]
    span = max(float(image.max() - image.min()), 1e-12)
    rows = np.ptp(image, axis=1).max(-1) < 1e-5 * span
    columns = np.ptp(image, axis=0).max(-1) < 1e-5 * span

    def run(flags: np.ndarray, colours_: np.ndarray) -> int:
        count = 0
        for flag, colour in zip(flags, colours_, strict=True):
            if not flag or np.abs(colour - colours_[0]).max() > 1e-5 * span:
                break
            count += 1
        return count

    top = run(rows, image[:, 0])
    bottom = run(rows[::-1], image[::-1, 0])
    left = run(columns, image[0])
    right = run(columns[::-1], image[0, ::-1])
    if top + bottom >= height or left + right >= width:
        return 0, 0, 0, 0
    return top, bottom, left, right


def _are_affine(image: np.ndarray) -> bool:
    """Return whether the channels of an image are one, up to a factor and a summand."""
    if image.shape[-1] == 1:
        return True
    first = image[..., 0]
    for i in range(1, image.shape[-1]):
        _, _, rest = colours.measured(first, image[..., i])
        spread = float(first.std())
        if not rest < 2e-4 * max(spread, 1e-12):
            return False
    return True


__all__ = ["BASIC", "EXACT", "KERNELS", "Fit", "Hypothesis", "Search", "Values", "axes_near"]
