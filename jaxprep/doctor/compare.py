"""Compares an array with what a preset makes of a photograph: `jaxprep.diagnose`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxprep.doctor import arrays
from jaxprep.doctor import changes as naming
from jaxprep.doctor import values as colours
from jaxprep.doctor.arrays import Reading
from jaxprep.doctor.diagnosis import Diagnosis
from jaxprep.doctor.expected import Expected
from jaxprep.doctor.kernels import Kernel
from jaxprep.doctor.known import Group, groups, of_preset
from jaxprep.doctor.pictures import Shown
from jaxprep.doctor.search import EXACT, Hypothesis, Search
from jaxprep.doctor.sources import ALPHAS, GRAYS, LAST, Photo, Source
from jaxprep.doctor.values import Change, Values
from jaxprep.doctor.views import View
from jaxprep.errors import InputError

COMMON = (
    "bilinear",
    "bicubic",
    "nearest",
    "area",
    "lanczos3",
    "box",
    "lanczos4",
    "hamming",
    "lanczos5",
)
"""Filters, those that most pipelines have first."""
CONFIDENT = 0.35
"""Levels, root of the mean square: a filter, a view or a decoder that is wrong is off by more."""


def diagnose(array: Any, photo: Any, preset: Any = None) -> Diagnosis:
    """Say what was done to a photograph that became an array.

    Args:
        array: what a pipeline feeds a model, or the path of an `.npy` or `.npz` file: one image or
            a batch, channels first or last, of any type of number.
        photo: the photograph, a path or an array `(h, w, 3)` of uint8; for a batch also a list.
        preset: what the array should be: a name, a path or a handle, a preprocessor, a converter,
            an image processor, or a pipeline. None searches all built-in presets.

    Returns:
        the preset, and a change for each mistake that is needed to explain the array.

    Raises:
        InputError: an array that holds no images, or not as many as there are photographs.
        ConfigError: a preset that is not a crop, a resize, and a scale per channel.

    >>> import jaxprep
    >>> photo = jaxprep.data.photo("chelsea")
    >>> preset = "timm/resnet50.a1_in1k"
    >>> x = jaxprep.ImageClassifierPreprocessor.from_preset(preset, interpolation="bilinear")(photo)
    >>> diagnose(x[..., ::-1], photo, preset).changes
    (('method', 'bicubic', 'bilinear'), ('channels', 'RGB', 'BGR'))
    """
    expected = None if preset is None else of_preset(preset)
    loaded = arrays.load(array)
    readings = arrays.readings(loaded)
    photos = _photos(photo, len(readings[0].images))
    noise = arrays.rounding(loaded.dtype)
    first = _diagnosed(readings, 0, photos[0], expected, noise)
    if len(readings[0].images) == 1 or first.changes is None:
        return first
    return _of_batch(readings, photos, first, expected, noise)


def _photos(photo: Any, count: int) -> list[Photo]:
    is_list = isinstance(photo, (list, tuple))
    if is_list and len(photo) not in (1, count):
        raise InputError(f"Expected one photograph or {count}, got {len(photo)} - at `photo`.")
    many = list(photo) if is_list else [photo]
    photos = [Photo(one) for one in many]
    if len(photos) == 1:
        return photos * count
    return photos


def _of_batch(
    readings: list[Reading],
    photos: list[Photo],
    first: Diagnosis,
    expected: Expected | None,
    noise: float,
) -> Diagnosis:
    """Diagnose the other images of a batch, and say so where they differ."""
    if expected is None:
        # A batch comes from one pipeline: the others are held to what the first one was.
        expected = of_preset(first.preset)
    different = []
    residual, exact = first.residual, first.exact
    for i in range(1, len(readings[0].images)):
        other = _diagnosed(readings, i, photos[i], expected, noise)
        if other.changes is None or not _alike(other.changes, first.changes or ()):
            different.append(i)
            continue
        residual = max(residual, other.residual)
        exact = exact and other.exact
    if not different:
        note = f"All {len(readings[0].images)} images of the batch alike."
        return replace(first, residual=residual, exact=exact, note=note)
    note = (
        f"The images of the batch differ: this is image 0; others were made otherwise: {different}."
    )
    return replace(first, note=note, exact=False)


def _alike(one: Sequence[Change], other: Sequence[Change]) -> bool:
    """Whether two images have the same mistakes; windows depend on the photograph."""
    names = [change[0] for change in one]
    other_names = [change[0] for change in other]
    if names != other_names:
        return False
    for (name, _, found), (_, _, other_found) in zip(one, other, strict=True):
        if name not in ("crop", "size") and found != other_found:
            return False
    return True


# -- one image -------------------------------------------------------------------------------------


class Explanation(NamedTuple):
    """Holds a hypothesis with names for all that it does otherwise.

    Attributes:
        cost: how many changes, and less than one more for what is less likely.

    >>> Explanation._fields
    ('hypothesis', 'values', 'changes', 'cost')
    """

    hypothesis: Hypothesis
    values: Values
    changes: tuple[Change, ...]
    cost: float


def _diagnosed(
    readings: list[Reading], i: int, photo: Photo, expected: Expected | None, noise: float
) -> Diagnosis:
    reading, search, found = _searched(readings, i, photo, expected, noise)
    candidates = [Group((expected.name,), expected)] if expected is not None else groups()
    best: Explanation | None = None
    chosen: Group | None = None
    tolerance = _tolerance(search, found, noise)
    for group in candidates:
        explanation = _explained(found, group.expected, photo, reading, tolerance, search)
        if explanation is None:
            continue
        if best is None or explanation.cost < best.cost - 1e-9:
            best, chosen = explanation, group
    if best is None or chosen is None:
        # no preset is near it
        note = "The photograph was not found in it."
        if found and found[0].residual < CONFIDENT:
            note = "The photograph is in it, but its values are of no known range, mean or std."
        return Diagnosis(None, False, None, 255.0, mean_residual=255.0, note=note)
    return _reported(best, chosen, search, photo, tolerance)


def _tolerance(search: Search, found: Sequence[Hypothesis], noise: float) -> float:
    """Return how many levels the rounding of the array's own type may be."""
    if not found:
        return EXACT
    scale = float(np.min(np.abs(found[0].scale)))
    if scale == 0:
        return EXACT
    largest = float(np.abs(search.image).max())
    # `noise` is relative; of values, divided by the scale, it is levels
    return EXACT + 2 * noise * largest / scale


def _searched(
    readings: list[Reading], i: int, photo: Photo, expected: Expected | None, noise: float
) -> tuple[Reading, Search, list[Hypothesis]]:
    """Return how the array is read, and the hypotheses that explain all pixels best."""
    source = Source() if expected is None else expected.source
    if not photo.has_alpha:
        source = Source()
    plain = readings[0]
    search = Search(plain.images[i], photo, _hint(expected, photo, source))
    if expected is not None and expected.kernel is not None and search.is_expected_size:
        # Most arrays are as they should be, but for their colours.
        expected_view = expected.view(photo.size(source))
        entry = search.measured(source, expected_view, expected.kernel)
        if entry.residual <= _tolerance(search, [entry], noise):
            return plain, search, [entry]
    best_reading = plain
    best_search = search
    best: list[Hypothesis] = []
    for reading, other, where in _attempts(readings, i, photo, expected, source, search):
        found = _all_of(other, where, noise)
        # An attempt that is less likely must be clearly better.
        if found and (not best or found[0].residual < 0.8 * best[0].residual):
            best_reading = reading
            best_search = other
            best = found
        if best and best[0].residual <= _tolerance(best_search, best, noise):
            break
    return best_reading, best_search, best


def _hint(expected: Expected | None, photo: Photo, source: Source) -> View | None:
    if expected is None:
        return None
    return expected.view(photo.size(source))


def _attempts(
    readings: list[Reading],
    i: int,
    photo: Photo,
    expected: Expected | None,
    source: Source,
    search: Search,
) -> Iterable[tuple[Reading, Search, Source]]:
    """Return the readings of the array and of the photograph, the likelier ones first."""
    first = _likeliest(search, photo, source)
    value = search.likeness(first)
    scored: list[tuple[float, int, Reading, Search, Source]] = [
        (value, 0, readings[0], search, first)
    ]
    plain, *other_readings = readings
    options = []
    ignored = source._replace(orientation="ignored")
    if photo.is_turned:
        options.append((plain, ignored))
    # A turned or transposed image that is mirrored too is a transposed or turned one.
    for name in ("90", "270"):
        options.append((plain, source._replace(orientation=name)))
    options += [(reading, source) for reading in other_readings]
    if photo.is_turned:
        options += [(reading, ignored) for reading in other_readings]
    if value < 0.985:
        for rank, (reading, where) in enumerate(options, 1):
            may_flip = where.orientation == "ignored" and reading is plain
            hint = _hint(expected, photo, where)
            other = Search(reading.images[i], photo, hint, may_flip)
            where = _likeliest(other, photo, where)
            likeness = other.likeness(where)
            scored.append((likeness, rank, reading, other, where))
    best = max(likeness for likeness, *_ in scored)
    likely = [entry for entry in scored if entry[0] > best - 0.02]

    def unlikely(entry: tuple[float, int, Reading, Search, Source]) -> tuple[int, int]:
        _, rank, reading, own, where = entry
        # Turned and transposed is mirrored, which is one mistake and not two.
        are_both = reading is not plain and where.orientation == "ignored"
        return own.flips_at(where) + 2 * are_both, rank

    likely.sort(key=unlikely)
    return [(reading, own, where) for _, _, reading, own, where in likely[:4]]


def _likeliest(search: Search, photo: Photo, source: Source) -> Source:
    """Return the source with the rule for alpha that makes the photograph most like the image."""
    if not photo.has_alpha or search.is_gray or search.likeness(source) > 0.985:
        return source
    # The first of equals: the rule that is expected.
    options = [source]
    for rule in ALPHAS:
        options.append(source._replace(alpha=rule))
    return max(options, key=search.likeness)


def _all_of(search: Search, source: Source, noise: float) -> list[Hypothesis]:
    """Return what explains all pixels best, by all ways of reading the photograph."""
    photo = search.photo
    if photo.has_alpha and not search.is_gray:
        found: list[Hypothesis] = []
        for rule in dict.fromkeys((source.alpha, *ALPHAS)):
            where = source._replace(alpha=rule)
            near = search.located(where)
            found += search.settled(near, [where])
            found.sort(key=_residual_of)
            if found and found[0].residual <= _tolerance(search, found, noise):
                break
        return found
    near = search.located(source)
    if not near:
        return []
    sources = [source]
    pixels = photo.pixels(source)
    is_equal = pixels[..., :1] == pixels[..., :3]
    photo_is_gray = bool(np.all(is_equal))
    if search.is_gray and not photo_is_gray:
        sources = [source._replace(gray=gray, rule=rule) for gray, rule in GRAYS]
    found = search.settled(near, sources)
    limit = _tolerance(search, found, noise)
    if found[0].source.gray != "color" and found[0].residual > limit:
        # The same rules once more, of the resized colours.
        last = [one._replace(rule=one.rule + LAST) for one in sources if one.rule]
        more = search.settled(near, last)
        found = sorted([*more, *found], key=_residual_of)
    if found and found[0].residual <= limit:
        return found
    for decoder in photo.decoders:
        if source != Source() or search.is_gray:
            break
        other = source._replace(decoder=decoder)
        # A draft has other sizes, and so other views.
        views = search.located(other) if decoder == "draft" else near
        more = search.settled(views, [other])
        if more and more[0].residual < 0.5 * found[0].residual:
            found = sorted([*more, *found], key=_residual_of)
        if found[0].residual <= limit:
            break
    return found


def _residual_of(hypothesis: Hypothesis) -> float:
    return hypothesis.residual


def _explained(
    found: Sequence[Hypothesis],
    expected: Expected,
    photo: Photo,
    reading: Reading,
    tolerance: float,
    search: Search,
) -> Explanation | None:
    """Return the explanation by the fewest changes of a preset, of those that fit equally well."""
    best: Explanation | None = None
    if not found:
        return None
    limit = max(tolerance, 1.1 * found[0].residual + 0.01)
    for hypothesis in found:
        if hypothesis.residual > limit:
            continue
        slack = tolerance + 0.02 + 1.5 * hypothesis.residual
        count = len(hypothesis.scale)
        wanted = expected.values
        if count != 3:
            wanted = wanted._replace(
                order=tuple(range(count)),
                mean=colours.fitted(wanted.mean, count),
                std=colours.fitted(wanted.std, count),
            )
        named = colours.named(hypothesis.order, hypothesis.scale, hypothesis.offset, wanted, slack)
        if named is None:
            continue
        source = expected.source if photo.has_alpha else Source()
        changes = naming.total(
            naming.of_kernel(hypothesis.kernel, expected.kernel),
            naming.of_view(hypothesis.view, expected, photo.size(hypothesis.source)),
            named.changes,
            _of_layout(reading, expected),
            hypothesis.source.differences(source),
            _of_channels(search),
        )
        if photo.exif_orientation == 3:
            # Half a turn is found as two flips; here it is the one that EXIF asks for.
            changes = tuple(
                ("orientation", "upright", "ignored") if change[2] == "180" else change
                for change in changes
            )
        cost = named.cost - len(named.changes) + len(changes)
        # Of filters that make the same pixels here, such as box and nearest where a photograph is
        # enlarged, the one that more pipelines have.
        cost += 0.001 * COMMON.index(hypothesis.kernel.method)
        if hypothesis.residual > tolerance:
            cost += 0.01 * hypothesis.residual / (found[0].residual + 1e-9)
        if best is None or cost < best.cost - 1e-9:
            best = Explanation(hypothesis, named.values, changes, cost)
    return best


def _of_layout(reading: Reading, expected: Expected) -> tuple[Change, ...]:
    if expected.layout is not None:
        if reading.layout == expected.layout:
            return ()
        return (("layout", expected.layout, reading.layout),)
    if reading.layout in ("HWC", "CHW"):
        return ()
    return (("layout", "HWC or CHW", reading.layout),)


def _of_channels(search: Search) -> tuple[Change, ...]:
    if search.image.shape[-1] == 1:
        return (("gray", "color", "one_channel"),)
    return ()


def _reported(
    best: Explanation, group: Group, search: Search, photo: Photo, tolerance: float
) -> Diagnosis:
    """Return the diagnosis, with the difference that remains in every pixel."""
    hypothesis = best.hypothesis
    differences = search.differences(hypothesis, best.values)
    largest = float(differences.max()) if differences.size else 0.0
    mean = float(differences.mean()) if differences.size else 0.0
    exact = largest <= 3 * tolerance
    explained = exact or hypothesis.residual < CONFIDENT
    return Diagnosis(
        preset=group.names[0],
        exact=exact,
        changes=best.changes if explained else None,
        residual=0.0 if exact and largest < 1e-2 else round(largest, 4),
        nearest=() if explained else best.changes,
        mean_residual=round(mean, 5),
        presets=group.names if len(group.names) > 1 else (),
        shown=_shown(search, photo, group.expected),
    )


def _shown(search: Search, photo: Photo, expected: Expected) -> Shown | None:
    """Return what the preset makes of the photograph, and what a model sees in the array."""
    if search.image.shape[-1] != 3:
        return None
    source = expected.source if photo.has_alpha else Source()
    view = expected.view(photo.size(source))
    # A preset that does not resize: nearest of the same size copies the pixels.
    kernel = expected.kernel or Kernel("nearest", False, "jax", "passes")
    expected_levels = photo.seen(source, view, kernel)
    scale, offset = expected.values.affine
    levels = (search.image - offset) / scale
    order = list(expected.values.order)
    return Shown(expected_levels, levels[..., order])
