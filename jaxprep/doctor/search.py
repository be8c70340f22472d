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
from jaxprep.doctor.sources import LAST, Photo, Source, finished, source_of_view
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


def _basic_kernels() -> tuple[Kernel, ...]:
    kernels = []
    for antialias in (True, False):
        for method in ("bilinear", "bicubic", "lanczos3"):
            kernels.append(Kernel(method, antialias, "jax", "no"))
    kernels += [
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
    return tuple(kernels)


BASIC = _basic_kernels()
"""One kernel of each shape, whose pixels no rounding has changed."""


class Place(NamedTuple):
    """Says where an image may lie in a photograph.

    Attributes:
        fit: scale and offset, and how well it correlates.
        flip: whether rows and columns are in the reverse order.
        border: rows and columns of one colour at the top, bottom, left and right of the image.

    >>> Place._fields
    ('fit', 'flip', 'border')
    """

    fit: Fit
    flip: tuple[bool, bool]
    border: tuple[int, int, int, int]

    @property
    def likeness(self) -> float:
        """How much both look alike, at most 1."""
        # of a negative the correlation is below 0
        return abs(self.fit.correlation)


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
        self._places: dict[Source, list[Place]] = {}
        self._by_one_channel: dict[Any, Hypothesis] = {}
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
            order, fits = _best_order(shown, image)
        else:
            order = tuple(range(count))
            # An image of three channels may show a photograph of one.
            last = shown.shape[-1] - 1
            fits = []
            for channel in range(count):
                levels = shown[..., min(channel, last)]
                fits.append(colours.measured(levels, image[..., channel]))
        scale, offset, rest = np.transpose(fits)
        residual = float(np.sqrt(np.mean(rest**2)))
        return Hypothesis(
            source,
            view,
            kernel,
            order,
            scale,
            offset,
            residual,
            largest=residual,
        )

    def _inside(
        self, view: View, rows: np.ndarray | None, columns: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows and columns that show the photograph."""
        height, width = self.image.shape[:2]
        all_rows = np.arange(height)
        all_columns = np.arange(width)
        some_rows = all_rows if rows is None else rows
        some_columns = all_columns if columns is None else columns
        flip_rows, flip_columns = view.flip
        rows_inside = _lines_inside(view.vertical, flip_rows, height, some_rows)
        columns_inside = _lines_inside(view.horizontal, flip_columns, width, some_columns)
        return rows_inside, columns_inside

    # -- where -------------------------------------------------------------------------------------

    def plane(self, source: Source) -> np.ndarray:
        """Return the channel of the photograph that is compared first."""
        if source not in self._planes:
            self._planes[source] = self._plane(source)
        return self._planes[source]

    def _plane(self, source: Source) -> np.ndarray:
        pixels = self.photo.pixels(source)
        is_color = source.gray == "color"
        if not is_color and source.rule.endswith(LAST):
            return pixels
        if is_color and self.is_gray:
            # The weights of Pillow's mode L; a fit does not see that it rounds.
            weights = np.array([0.299, 0.587, 0.114])
            gray = pixels[..., :3].astype(float) @ weights
            return gray[..., None]
        green_and_alpha = [1, 3]
        channels = green_and_alpha if pixels.shape[-1] == 4 else [1]
        return np.ascontiguousarray(pixels[..., channels])

    def register(self, source: Source) -> list[Place]:
        """Return where the image may lie in the photograph; see `_register`."""
        if source not in self._places:
            self._places[source] = self._register(source)
        return self._places[source]

    def _register(self, source: Source) -> list[Place]:
        """Return where the image may lie in the photograph, the likeliest first."""
        if self.is_constant:
            # It correlates with no part of a photograph, so the search would end with nothing.
            return []
        if source.alpha == "premultiplied":
            # Where the colours lie; those of the plane are darker than the image's.
            return self.register(source._replace(alpha="drop"))
        plane = self.plane(source)
        registration = Registration(plane[..., 0])
        insets = [(0, 0, 0, 0)]
        border = borders(self.image)
        if any(border):
            insets.insert(0, border)
        places = []
        for inset in insets:
            part = self._without(inset)
            # Of fewer lines a correlation is high by chance.
            if min(part.shape) < 8:
                continue
            starts = registration.common_starts(part.shape)
            mirrored = [_mirrored(part, flip) for flip in self.flips]
            fits_of_flips = registration.coarse(mirrored, starts, keep=2)
            for flip, fits in zip(self.flips, fits_of_flips, strict=True):
                places += [Place(fit, flip, inset) for fit in fits]
        refined = self._refined(registration, places)
        if not refined or refined[0].likeness < 0.9:
            anywhere = self._anywhere(registration, insets)
            refined = _likeliest(refined + anywhere)
        return refined

    def _anywhere(
        self, registration: Registration, insets: Sequence[tuple[int, int, int, int]]
    ) -> list[Place]:
        places = []
        for inset in insets:
            part = self._without(inset)
            if min(part.shape) < 8:
                continue
            starts = registration.everywhere(part.shape)
            # Of the four, an image that is not mirrored, or left to right: these take long.
            flips = self.flips[:2]
            mirrored = [_mirrored(part, flip) for flip in flips]
            fits_of_flips = registration.coarse(mirrored, starts, keep=3)
            for flip, fits in zip(flips, fits_of_flips, strict=True):
                places += [Place(fit, flip, inset) for fit in fits]
        return self._refined(registration, places)

    def _without(self, inset: Sequence[int]) -> np.ndarray:
        """Return one channel of the image without its border."""
        top, bottom, left, right = inset
        height, width = self.image.shape[:2]
        inside = self.image[top : height - bottom, left : width - right]
        return inside[..., self.channel]

    def _refined(self, registration: Registration, places: list[Place]) -> list[Place]:
        """Return the four likeliest places, measured more exactly."""
        refined = []
        for place in _likeliest(places)[:4]:
            part = self._without(place.border)
            mirrored = _mirrored(part, place.flip)
            fit = registration.refined(mirrored, place.fit)
            refined.append(place._replace(fit=fit))
        return _likeliest(refined)

    def likeness(self, source: Source) -> float:
        """Return how much the image looks like some part of the photograph, at most 1."""
        places = self.register(source)
        return places[0].likeness if places else 0.0

    def flips_at(self, source: Source) -> int:
        """Return along how many axes the image is mirrored, where it is most alike."""
        places = self.register(source)
        return sum(places[0].flip) if places else 0

    # -- near it -----------------------------------------------------------------------------------

    def located(self, source: Source) -> list[Hypothesis]:
        """Return views and filters that explain the image best, by one channel of some lines."""
        results: list[Hypothesis] = []
        for place in self.register(source)[:2]:
            if results and place.likeness < 0.8:
                break
            results += self._near(source, place)
            residuals = [result.residual for result in results]
            # none where nothing can be compared: an array of one value
            smallest = min(residuals, default=np.inf)
            if smallest < 0.6:
                break
        return self._sorted(results)

    def _near(self, source: Source, place: Place) -> list[Hypothesis]:
        vertical, horizontal = self._axes_near(source, place)
        height, width = self.image.shape[:2]
        some_rows = lines(height)
        some_columns = lines(width)
        nearest = View(vertical[0], horizontal[0], place.flip)
        ranked = self._ranked(source, nearest, BASIC, some_rows, some_columns)
        best: dict[View, Hypothesis] = {}
        for kernel in _kernels_of(ranked[:3]):
            candidate_views = self._near_views(source, nearest, kernel, vertical, horizontal)
            for candidate in candidate_views:
                entry = self._one(source, candidate, kernel, some_rows, None)
                known = best.get(candidate)
                if known is None or entry.residual < known.residual:
                    best[candidate] = entry
        results = self._sorted(best.values())
        # The filter once more, where the view is known.
        best_view = results[0].view
        again = self._ranked(source, best_view, BASIC, some_rows, None)
        limit = 1.5 * again[0].residual + 0.3
        near = [entry for entry in again if entry.residual < limit]
        kernels = _kernels_of(near[:4])
        crossed = []
        for entry, kernel in itertools.product(_close(results), kernels):
            measured = self._one(source, entry.view, kernel, some_rows, None)
            crossed.append(measured)
        return self._sorted(crossed)

    def _axes_near(self, source: Source, place: Place) -> tuple[list[Axis], list[Axis]]:
        """Return the axes near a place, from top to bottom and from left to right."""
        fit, flip, border = place
        top, bottom, left, right = border
        flip_rows, flip_columns = flip
        # The border is the image's, an axis goes along the photograph.
        if flip_rows:
            top, bottom = bottom, top
        if flip_columns:
            left, right = right, left
        photo_height, photo_width = self.photo.pixels(source).shape[:2]
        height, width = self.image.shape[:2]
        vertical = axes_near(photo_height, fit.scale_y, fit.top, height, top, bottom)
        horizontal = axes_near(photo_width, fit.scale_x, fit.left, width, left, right)
        if self.hint is not None and self.is_expected_size:
            vertical = _first(self.hint.vertical, vertical)
            horizontal = _first(self.hint.horizontal, horizontal)
        return vertical, horizontal

    def _near_views(
        self,
        source: Source,
        view: View,
        kernel: Kernel,
        vertical: list[Axis],
        horizontal: list[Axis],
    ) -> list[View]:
        """Return the views of those axes that explain the image best with one filter."""
        height, width = self.image.shape[:2]
        some_rows = lines(height)
        some_columns = lines(width)
        by_rows: list[Hypothesis] = []
        by_columns: list[Hypothesis] = []
        # The best columns depend on the rows, and these on them: so twice.
        for _ in range(2):
            views = [view._replace(horizontal=axis) for axis in horizontal]
            by_columns = self._sorted(
                self._one(source, other, kernel, some_rows, None) for other in views
            )
            view = by_columns[0].view
            views = [view._replace(vertical=axis) for axis in vertical]
            by_rows = self._sorted(
                self._one(source, other, kernel, None, some_columns) for other in views
            )
            if by_rows[0].view == view:
                break
            view = by_rows[0].view
        near_rows = [entry.view.vertical for entry in _close(by_rows)]
        near_columns = [entry.view.horizontal for entry in _close(by_columns)]
        near_views = []
        for row_axis, column_axis in itertools.product(near_rows, near_columns):
            near_views.append(View(row_axis, column_axis, view.flip))
        return near_views

    def _one(
        self,
        source: Source,
        view: View,
        kernel: Kernel,
        rows: np.ndarray | None,
        columns: np.ndarray | None,
    ) -> Hypothesis:
        """Measure by one channel, once: a third of the hypotheses come again."""
        lines_of_both = tuple(None if some is None else some.tobytes() for some in (rows, columns))
        key = (source, view, kernel, *lines_of_both)
        if key in self._by_one_channel:
            return self._by_one_channel[key]
        rows, columns = self._inside(view, rows, columns)
        read = source_of_view(source, view)
        plane = self.plane(read)
        if len(rows) == 0 or len(columns) == 0:
            nothing = np.zeros(1)
            return Hypothesis(source, view, kernel, (0,), nothing, nothing, np.inf, np.inf)
        levels = predicted(plane, view, kernel, rows, columns)
        shown = finished(levels, read)[..., :1]
        pixels = self.image[np.ix_(rows, columns)]
        image = pixels[..., [self.channel]]
        scale, offset, rest = colours.measured(shown, image)
        measured = Hypothesis(
            source,
            view,
            kernel,
            order=(0,),
            scale=np.array([scale]),
            offset=np.array([offset]),
            residual=rest,
            largest=rest,
        )
        self._by_one_channel[key] = measured
        return measured

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
        source, view, kernel = hypothesis[:3]
        rows, columns = self._inside(view, None, None)
        shown = self.photo.seen(source, view, kernel, rows, columns)
        inside = np.ix_(rows, columns)
        scale, offset = values.affine
        levels = (self.image[inside] - offset) / scale
        order = list(hypothesis.order)
        if shown.shape[-1] < len(order):
            # A gray photograph, which every channel shows.
            order = [0]
        difference = np.abs(levels - shown[..., order])
        height, width = self.image.shape[:2]
        result = np.zeros((height, width))
        result[inside] = difference.max(-1)
        return result

    # -- every pixel -------------------------------------------------------------------------------

    def settled(self, near: Sequence[Hypothesis], sources: Sequence[Source]) -> list[Hypothesis]:
        """Return what explains all pixels best, of all arithmetics of the filters that are near."""
        if not near:
            return []
        # Those near do not round; rounding to whole levels leaves 0.29, the root of 1 / 12.
        limit = 1.3 * near[0].residual + 0.35
        likely = [entry for entry in near if entry.residual < limit]
        # A dictionary keeps the order, the best first.
        views = list(dict.fromkeys(entry.view for entry in likely))
        shapes = list(dict.fromkeys(entry.kernel[:2] for entry in likely))
        kernels: list[Kernel] = []
        for method, antialias in shapes[:4]:
            kernels += candidates(method, antialias)
        height = self.image.shape[0]
        some_rows = lines(height)
        tried = []
        for source, view, kernel in itertools.product(sources, views[:12], kernels):
            measured = self._one(source, view, kernel, some_rows, None)
            tried.append(measured)
        tried = self._sorted(tried)
        limit = 1.25 * tried[0].residual + EXACT
        kept = [entry for entry in tried if entry.residual <= limit]
        full = []
        for entry in kept[:24]:
            everywhere = self.measured(entry.source, entry.view, entry.kernel)
            full.append(everywhere)
        return self._sorted(full)


def lines(n: int, count: int = LINES) -> np.ndarray:
    """Return some of `n` lines, the first and the last among them.

    >>> lines(100, 3).tolist()
    [0, 50, 99]
    """
    positions = np.linspace(0, n - 1, min(count, n))
    return np.unique(np.rint(positions).astype(np.int64))


def _lines_inside(axis: Axis, is_mirrored: bool, n: int, some: np.ndarray) -> np.ndarray:
    """Return those of some lines, of `n`, that show the photograph."""
    first, last = axis.inside
    if is_mirrored:
        first, last = n - last, n - first
    is_inside = (some >= first) & (some < last)
    return some[is_inside]


def _best_order(
    shown: np.ndarray, image: np.ndarray
) -> tuple[tuple[int, ...], list[tuple[float, float, float]]]:
    """Return which channel of the photograph each of the image shows, and what was measured."""
    table = {}
    for channel, shown_channel in itertools.product(range(3), range(3)):
        levels = shown[..., shown_channel]
        values = image[..., channel]
        table[channel, shown_channel] = colours.measured(levels, values)
    fits = {}
    costs = {}
    for order in colours.ORDERS:
        pairs = enumerate(order)
        of_order = [table[pair] for pair in pairs]
        squares = sum(rest**2 for _, _, rest in of_order)
        fits[order] = of_order
        # of equal ones, as in a gray photograph, the channels as they are
        is_changed = order != (0, 1, 2)
        costs[order] = round(squares, 6), is_changed
    best = min(costs, key=costs.__getitem__)
    return best, fits[best]


def _likeliest(places: list[Place]) -> list[Place]:
    return sorted(places, key=lambda place: -place.likeness)


def _kernels_of(entries: Iterable[Hypothesis]) -> list[Kernel]:
    return [entry.kernel for entry in entries]


def _first(axis: Axis, axes: list[Axis]) -> list[Axis]:
    """Return the axes with one that is expected at the beginning, if it is near them."""
    if axis in axes:
        return [axis, *(other for other in axes if other != axis)]
    near = axes[0]
    end = axis.offset + axis.length * axis.scale
    near_end = near.offset + near.length * near.scale
    start_difference = abs(axis.offset - near.offset)
    end_difference = abs(end - near_end)
    # Two pixels of the image: further off, the array does not show what is expected.
    is_near = max(start_difference, end_difference) < 2 * near.scale
    return [axis, *axes] if is_near else axes


def _close(entries: list[Hypothesis], most: int = 5) -> list[Hypothesis]:
    limit = 1.15 * entries[0].residual + 0.05
    near = [entry for entry in entries if entry.residual <= limit]
    return near[:most]


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
    has_border = before > 0 or after > 0
    costs: dict[Axis, float] = {}

    def add(axis: Axis, cost: float) -> None:
        start = axis.offset + before * axis.scale
        end = start + inner * axis.scale
        start_difference = abs(start - offset)
        end_difference = abs(end - offset - inner * scale)
        # In pixels of the image.
        difference = max(start_difference, end_difference) / scale
        if axis.pads and not has_border:
            # It would show as a border; `nearest` and `legacy` filters lie up to a pixel elsewhere.
            cost += 1.0
        if difference < 1.3:
            lowest = costs.get(axis, np.inf)
            costs[axis] = min(lowest, difference + cost)

    for size in _integers_near(n / scale):
        if size < 1:
            continue
        start = offset * size / n - before
        for first in _integers_near(start):
            # A whole axis, or its middle, is what pipelines show.
            is_whole = first == 0 and size == m
            is_middle = abs(2 * first + m - size) <= 1
            is_usual = is_whole or is_middle
            resized = Axis.resized_to(n, size, first, m)
            add(resized, 0.0 if is_usual else 0.35)
    for crop in _integers_near(scale * m):
        if crop < 1:
            continue
        start = offset - before * scale
        for first in _integers_near(start):
            # The whole photograph is among the axes above.
            if (first, crop) == (0, n):
                continue
            is_middle = abs(2 * first + crop - n) <= 1
            cropped = Axis.cropped_to(n, first, crop, m)
            add(cropped, 0.2 if is_middle else 0.5)
    if costs:
        return sorted(costs, key=costs.__getitem__)
    # Nothing in whole pixels is near: what was measured, rounded.
    resized_length = max(1, round(n / scale))
    start = round(offset / scale) - before
    return [Axis.resized_to(n, resized_length, start, m)]


def _integers_near(number: float) -> range:
    """Return the integers beside a number, and one more on each side."""
    lowest = int(np.floor(number)) - 1
    highest = int(np.ceil(number)) + 1
    return range(lowest, highest + 1)


def borders(image: np.ndarray) -> tuple[int, int, int, int]:
    """Return how many rows and columns at the top, bottom, left and right are of one colour.

    >>> image = np.zeros((4, 5, 1))
    >>> image[1:3, :4] = np.arange(8).reshape(2, 4, 1)
    >>> borders(image)
    (1, 1, 0, 1)
    """
    height, width = image.shape[:2]
    extent = float(image.max() - image.min())
    span = max(extent, 1e-12)
    # A hundred-thousandth of the range: what float16 or a resize leaves of one colour.
    tolerance = 1e-5 * span
    row_spread = np.ptp(image, axis=1).max(-1)
    column_spread = np.ptp(image, axis=0).max(-1)
    rows = row_spread < tolerance
    columns = column_spread < tolerance

    def run(flags: np.ndarray, line_colours: np.ndarray) -> int:
        count = 0
        outermost = line_colours[0]
        for flag, colour in zip(flags, line_colours, strict=True):
            difference = np.abs(colour - outermost)
            if not flag or difference.max() > tolerance:
                break
            count += 1
        return count

    # Of a line of one colour, its first pixel has it.
    row_colours = image[:, 0]
    column_colours = image[0]
    top = run(rows, row_colours)
    bottom = run(rows[::-1], row_colours[::-1])
    left = run(columns, column_colours)
    right = run(columns[::-1], column_colours[::-1])
    if top + bottom >= height or left + right >= width:
        return 0, 0, 0, 0
    return top, bottom, left, right


def _are_affine(image: np.ndarray) -> bool:
    """Return whether the channels of an image are one, up to a factor and a summand."""
    if image.shape[-1] == 1:
        return True
    first = image[..., 0]
    spread = max(float(first.std()), 1e-12)
    for i in range(1, image.shape[-1]):
        _, _, rest = colours.measured(first, image[..., i])
        # Also where nothing can be measured, and the rest is infinite or NaN.
        if not rest < 2e-4 * spread:
            return False
    return True


__all__ = ["BASIC", "EXACT", "KERNELS", "Fit", "Hypothesis", "Search", "Values", "axes_near"]
