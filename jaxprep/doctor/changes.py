"""Names what differs between what a preset does and what was found, in the fewest settings."""

from __future__ import annotations

from typing import Any

from jaxprep.doctor.expected import Expected
from jaxprep.doctor.kernels import Kernel
from jaxprep.doctor.values import Change
from jaxprep.doctor.views import Axis, View
from jaxprep.types import Size


def of_kernel(found: Kernel, expected: Kernel | None) -> list[Change]:
    """Return the settings of the filter that differ.

    Antialiasing that differs names another library already, as nearest and area do: then the
    reference is not named.

    >>> pillow = Kernel("bicubic", True, "pillow", "passes")
    >>> of_kernel(Kernel("bilinear", False, "opencv", "passes"), pillow)
    [('method', 'bicubic', 'bilinear'), ('antialias', True, False)]
    """
    if expected is None:
        return []
    changes: list[Change] = []
    if found.method != expected.method:
        changes.append(("method", expected.method, found.method))
    copies = {"nearest", "area"} & {found.method, expected.method}
    if copies:
        return changes
    if found.antialias != expected.antialias:
        changes.append(("antialias", expected.antialias, found.antialias))
    elif not _same_sums(found, expected):
        changes.append(("reference", expected.reference, _reference(found, expected)))
    return changes


def _same_sums(found: Kernel, expected: Kernel) -> bool:
    """Whether two kernels sum alike: libraries that sum floats do, to a thousandth of a level, but
    for the bicubic of two shapes; and KerasHub rounds in a call and does not in `fit`."""
    ends = {found.rounding, expected.rounding}
    if found.reference == expected.reference:
        return len(ends) == 1 or ends == {"no", "round"}
    one_shape = found.antialias or found.method == "bilinear"
    return one_shape and {found.reference, expected.reference} <= FLOATS and ends <= {"no", "round"}


FLOATS = {"torch", "jax", "float", "tensorflow"}
"""References that sum floats."""


def _reference(found: Kernel, expected: Kernel) -> str:
    if found.reference != expected.reference:
        return found.reference
    words = {"no": "not rounded", "round": "rounded", "truncate": "truncated"}
    return f"{found.reference}, {words.get(found.rounding, 'rounded twice')}"


def of_view(found: View, expected: Expected, size: Size) -> list[Change]:
    """Return the settings of the geometry that differ, for a photograph of `size`.

    >>> from jaxprep.doctor.known import of_preset
    >>> preset = of_preset("timm/resnet50.a1_in1k")
    >>> of_view(View.squashed((300, 400), (224, 224)), preset, (300, 400))
    [('resize', 'shortest_edge', 'squash')]
    """
    right = expected.view(size)
    changes = _flips(found, right)
    found = _as_crop(found._replace(flip=right.flip))
    if found == right:
        return changes
    return changes + _moved(found, right, expected, size)


def _as_crop(view: View) -> View:
    """Return a view that resizes nothing as a crop of the photograph."""
    axes = view.vertical, view.horizontal
    if view.pads or view.crops_first or any(axis.resized != axis.source for axis in axes):
        return view
    if all(axis.length == axis.source for axis in axes):
        return view
    rows, columns = (Axis.cropped_to(a.source, a.start, a.length, a.length) for a in axes)
    return View(rows, columns, view.flip)


def _flips(found: View, right: View) -> list[Change]:
    words = {(False, False): "none", (False, True): "horizontal", (True, False): "vertical"}
    if found.flip == right.flip:
        return []
    if found.flip == (True, True) and right.flip == (False, False):
        return [("orientation", "upright", "180")]
    before = words.get(right.flip, "both")
    return [("flip", before, words.get(found.flip, "both"))]


def _moved(found: View, right: View, expected: Expected, size: Size) -> list[Change]:
    rule, right_rule = rule_of(found), rule_of(right)
    is_square = right.size[0] == right.size[1]
    if found.resized == found.size and is_square and max(found.size) == max(right.size):
        # The whole photograph, not padded to a square afterwards.
        rule = "long_edge" if rule == "shortest_edge" and found.size != right.size else rule
    shows_all = right_rule == "squash" and right.size == right.resized and not right.crops_first
    if shows_all and found.crops_first and not found.pads and found.size == right.size:
        return [("crop", (0, 0, *size), _crop_of(found))]
    if rule == "pad" and right_rule == "pad":
        return _sizes(found, right) or [("crop", _crop_of(right), _crop_of(found))]
    changes: list[Change] = []
    is_order = found.crops_first != right.crops_first and "pad" not in (rule, right_rule)
    if is_order and (found.crops_first or rule == right_rule):
        return _other_order(found, right, size)
    if rule != right_rule:
        changes.append(("resize", right_rule, rule))
        if rule in ("pad", "long_edge"):
            return changes
        if found.size == right.size and found.resized == found.size and rule == "squash":
            return changes
        if rule == "shortest_edge" and right_rule == "squash":
            # Shortest edge straight to the model's size.
            short = min(found.resized)
            if short not in (min(right.size), min(right.resized)):
                changes.append(("size", min(right.resized), short))
        elif found.resized != right.resized and min(found.resized) != min(right.resized):
            changes.append(("size", min(right.resized), min(found.resized)))
        return changes + _windows(found, right, expected, size)
    changes += _sizes(found, right)
    return changes + _windows(found, right, expected, size)


def _other_order(found: View, right: View, size: Size) -> list[Change]:
    """Name a crop that comes before the resize instead of after it, or the other way round."""
    words = ("resize_then_crop", "crop_then_resize")
    change = ("order", words[right.crops_first], words[found.crops_first])
    first, second = (found, right) if found.crops_first else (right, found)
    crop = first.vertical.crop_length, first.horizontal.crop_length
    # The part of the photograph that each shows.
    share = [a.length * a.scale for a in (second.vertical, second.horizontal)]
    pixel = max(1.0, second.vertical.scale, second.horizontal.scale)
    # Both are whole numbers of pixels, of the photograph or of the resized image: a difference of
    # one of the larger pixels is rounding.
    same_part = all(abs(a - b) <= 1.01 * pixel for a, b in zip(crop, share, strict=True))
    # Or the two steps were exchanged as they are, so that the crop's pixels are the photograph's.
    swapped = crop == second.size and first.size == (min(second.resized),) * 2
    centered = all(
        abs(2 * a.crop_start + a.crop_length - a.source) <= 2
        for a in (first.vertical, first.horizontal)
    )
    if found.crops_first and not centered:
        return [("crop", _crop_of(right), _crop_of(found))]
    if not found.crops_first and not _is_middle(found):
        return [change, ("crop", _crop_of(right), _crop_of(found))]
    if same_part or swapped:
        return [change]
    if found.crops_first and found.vertical.scale == found.horizontal.scale == 1:
        # Nothing was resized: the crop is of the photograph in its own size.
        return [("size", min(right.resized), min(size))]
    if found.crops_first:
        if rule_of(found) == "squash":
            return [("crop", _crop_of(right), _crop_of(found))]
        scale = min(found.vertical.scale, found.horizontal.scale)
        return [change, ("size", min(right.resized), round(min(size) / scale))]
    short = min(found.resized)
    return [change, ("size", min(right.size), short)] if short != min(right.size) else [change]


def _is_middle(view: View) -> bool:
    axes = view.vertical, view.horizontal
    # Up to a pixel off: libraries round half of an odd difference down or up.
    return all(abs(2 * axis.start + axis.length - axis.resized) <= 2 for axis in axes)


def _sizes(found: View, right: View) -> list[Change]:
    if found.resized == right.resized:
        return []
    if min(found.resized) == min(right.resized):
        # The other side, rounded otherwise.
        return [("size", right.resized, found.resized)]
    if rule_of(found) == "squash" and found.resized[0] != found.resized[1]:
        return [("size", right.resized, found.resized)]
    return [("size", min(right.resized), min(found.resized))]


def _windows(found: View, right: View, expected: Expected, size: Size) -> list[Change]:
    if found.crops_first:
        one = found.vertical[1:3], found.horizontal[1:3]
        other = right.vertical[1:3], right.horizontal[1:3]
        return [] if one == other else [("crop", _crop_of(right), _crop_of(found))]
    start = (found.vertical.start, found.horizontal.start)
    if found.size != right.size:
        whole = min(found.resized) == min(found.size)
        was_whole = min(right.resized) == min(right.size)
        wanted = [round((a - b) / 2) for a, b in zip(found.resized, found.size, strict=True)]
        near = all(abs(a - b) <= 1 for a, b in zip(start, wanted, strict=True))
        if whole and was_whole and near:
            return []
        return [("crop", _crop_of(right), _crop_of(found))]
    if found.resized == found.size:
        return []
    wanted_start = expected.window(found.resized)
    if wanted_start is None:
        # The preset does not crop after its resize: the middle, however it is rounded.
        middle = [(a - b) / 2 for a, b in zip(found.resized, found.size, strict=True)]
        if all(abs(a - b) < 1 for a, b in zip(start, middle, strict=True)):
            return []
        wanted_start = round(middle[0]), round(middle[1])
    if start == wanted_start:
        return []
    return [("crop", (*wanted_start, *found.size), (*start, *found.size))]


def _crop_of(view: View) -> tuple[int, ...]:
    """Return the window (top, left, height, width): of the photograph where that is cropped first,
    else of the resized image."""
    v, h = view.vertical, view.horizontal
    if view.crops_first:
        return v.crop_start, h.crop_start, v.crop_length, h.crop_length
    return v.start, h.start, v.length, h.length


def rule_of(view: View) -> str:
    """Return how a view reaches its size.

    >>> rule_of(View.squashed((300, 400), (224, 224)))
    'squash'
    """
    vertical, horizontal = view.vertical, view.horizontal
    # By how many pixels a side differs from the one of the same aspect ratio.
    other = vertical.resized * horizontal.crop_length / vertical.crop_length
    another = horizontal.resized * vertical.crop_length / horizontal.crop_length
    off = min(abs(other - horizontal.resized), abs(another - vertical.resized))
    if view.pads:
        return "pad"
    if off > 1.01:
        return "squash"
    return "shortest_edge"


def total(*parts: list[Change] | tuple[Change, ...]) -> tuple[Change, ...]:
    """Return all changes, each setting once.

    >>> total([("size", 256, 224)], (("channels", "RGB", "BGR"),))
    (('size', 256, 224), ('channels', 'RGB', 'BGR'))
    """
    changes: dict[str, Any] = {}
    for part in parts:
        for change in part:
            changes.setdefault(change[0], change)
    return tuple(changes.values())
