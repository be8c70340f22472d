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
    methods = {found.method, expected.method}
    if methods & {"nearest", "area"}:
        return changes
    if found.antialias != expected.antialias:
        changes.append(("antialias", expected.antialias, found.antialias))
    elif not _same_sums(found, expected):
        named = _reference(found, expected)
        changes.append(("reference", expected.reference, named))
    return changes


def _same_sums(found: Kernel, expected: Kernel) -> bool:
    """Whether two kernels sum alike: libraries that sum floats do, to a thousandth of a level, but
    for the bicubic of two shapes; and KerasHub rounds in a call and does not in `fit`."""
    roundings = {found.rounding, expected.rounding}
    rounds_alike = roundings <= {"no", "round"}
    if found.reference == expected.reference:
        return len(roundings) == 1 or rounds_alike
    one_shape = found.antialias or found.method == "bilinear"
    references = {found.reference, expected.reference}
    return one_shape and rounds_alike and references <= FLOATS


FLOATS = {"torch", "jax", "float", "tensorflow"}
"""References that sum floats."""


def _reference(found: Kernel, expected: Kernel) -> str:
    if found.reference != expected.reference:
        return found.reference
    words = {
        "no": "not rounded",
        "round": "rounded",
        "truncate": "truncated",
    }
    how = words.get(found.rounding, "rounded twice")
    return f"{found.reference}, {how}"


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
    if view.pads or view.crops_first:
        return view
    if any(axis.resized != axis.source for axis in axes):
        return view
    if all(axis.length == axis.source for axis in axes):
        return view
    # What is not resized may have been cut out before or after: it is said in one way.
    rows, columns = (
        Axis.cropped_to(axis.source, axis.start, axis.length, axis.length) for axis in axes
    )
    return View(rows, columns, view.flip)


def _flips(found: View, right: View) -> list[Change]:
    words = {
        (False, False): "none",
        (False, True): "horizontal",
        (True, False): "vertical",
    }
    if found.flip == right.flip:
        return []
    before = words.get(right.flip, "both")
    after = words.get(found.flip, "both")
    # Both ways is half a turn.
    if (before, after) == ("none", "both"):
        return [("orientation", "upright", "180")]
    return [("flip", before, after)]


def _moved(found: View, right: View, expected: Expected, size: Size) -> list[Change]:
    rule = _rule_beside(found, right)
    right_rule = rule_of(right)
    same_size = found.size == right.size
    shows_all = right_rule == "squash" and right.size == right.resized and not right.crops_first
    if shows_all and same_size and found.crops_first and not found.pads:
        whole = (0, 0, *size)
        return [("crop", whole, _crop_of(found))]
    rules = rule, right_rule
    if rules == ("pad", "pad"):
        return _sizes(found, right) or _crop_change(found, right)
    is_order = found.crops_first != right.crops_first and "pad" not in rules
    if is_order and (found.crops_first or rule == right_rule):
        return _other_order(found, right, size)
    windows = _windows(found, right, expected, size)
    if rule == right_rule:
        return _sizes(found, right) + windows
    changes: list[Change] = [("resize", right_rule, rule)]
    if rule in ("pad", "long_edge"):
        return changes
    if same_size and found.resized == found.size and rule == "squash":
        return changes
    short = min(found.resized)
    right_short = min(right.resized)
    # Shortest edge straight to the model's size.
    is_direct = rules == ("shortest_edge", "squash") and short == min(right.size)
    if short != right_short and not is_direct:
        changes.append(("size", right_short, short))
    return changes + windows


def _rule_beside(found: View, right: View) -> str:
    """Return how a view reaches its size, where another is expected."""
    rule = rule_of(found)
    right_height, right_width = right.size
    is_whole = found.resized == found.size
    if rule != "shortest_edge" or found.size == right.size or not is_whole:
        return rule
    # The whole photograph, not padded to a square afterwards.
    is_unpadded = right_height == right_width and max(found.size) == right_height
    return "long_edge" if is_unpadded else rule


def _other_order(found: View, right: View, size: Size) -> list[Change]:
    """Name a crop that comes before the resize instead of after it, or the other way round."""
    words = ("resize_then_crop", "crop_then_resize")
    change = ("order", words[right.crops_first], words[found.crops_first])
    first, second = (found, right) if found.crops_first else (right, found)
    if found.crops_first and not _is_centered_crop(found):
        return _crop_change(found, right)
    if not found.crops_first and not _is_middle(found):
        return [change, *_crop_change(found, right)]
    crop = first.vertical.crop_length, first.horizontal.crop_length
    # Or the two steps were exchanged as they are, so that the crop's pixels are the photograph's.
    short = min(second.resized)
    swapped = crop == second.size and first.size == (short, short)
    if swapped or _shows_same_part(crop, second):
        return [change]
    right_short = min(right.resized)
    if found.crops_first:
        scales = found.vertical.scale, found.horizontal.scale
        if scales == (1, 1):
            # Nothing was resized: the crop is of the photograph in its own size.
            return [("size", right_short, min(size))]
        if rule_of(found) == "squash":
            return _crop_change(found, right)
        # To what the whole photograph would have been resized.
        resized = round(min(size) / min(scales))
        return [change, ("size", right_short, resized)]
    short = min(found.resized)
    model_short = min(right.size)
    if short == model_short:
        return [change]
    return [change, ("size", model_short, short)]


def _shows_same_part(crop: Size, view: View) -> bool:
    """Return whether a crop of the photograph is as large as the part that a view shows."""
    vertical, horizontal = view.vertical, view.horizontal
    # Both are whole numbers of pixels, of the photograph or of the resized image: a difference of
    # one of the larger pixels is rounding.
    tolerance = 1.01 * max(1.0, vertical.scale, horizontal.scale)
    height, width = crop
    height_difference = abs(height - vertical.length * vertical.scale)
    width_difference = abs(width - horizontal.length * horizontal.scale)
    return max(height_difference, width_difference) <= tolerance


def _is_centered_crop(view: View) -> bool:
    """Return whether a view shows the middle of the photograph, up to a pixel."""
    axes = view.vertical, view.horizontal
    return all(_is_central(axis.crop_start, axis.crop_length, axis.source) for axis in axes)


def _is_middle(view: View) -> bool:
    """Return whether a view shows the middle of the resized image, up to a pixel."""
    axes = view.vertical, view.horizontal
    return all(_is_central(axis.start, axis.length, axis.resized) for axis in axes)


def _is_central(start: float, length: float, whole: float) -> bool:
    # Up to a pixel off: libraries round half of an odd difference down or up.
    return abs(2 * start + length - whole) <= 2


def _sizes(found: View, right: View) -> list[Change]:
    if found.resized == right.resized:
        return []
    height, width = found.resized
    short = min(height, width)
    right_short = min(right.resized)
    # Of one shorter side, the other is rounded otherwise.
    is_other_side = short == right_short
    is_stretched = rule_of(found) == "squash" and height != width
    if is_other_side or is_stretched:
        return [("size", right.resized, found.resized)]
    return [("size", right_short, short)]


def _windows(found: View, right: View, expected: Expected, size: Size) -> list[Change]:
    change = _crop_change(found, right)
    if found.crops_first:
        # Fields 1 and 2 of an axis are the part of the photograph that is cut out.
        same_rows = found.vertical[1:3] == right.vertical[1:3]
        same_columns = found.horizontal[1:3] == right.horizontal[1:3]
        return [] if same_rows and same_columns else change
    start = (found.vertical.start, found.horizontal.start)
    middle = _middle_of(found)
    top, left = middle
    if found.size != right.size:
        cuts_one_side = min(found.resized) == min(found.size)
        cut_one_side = min(right.resized) == min(right.size)
        rounded = (round(top), round(left))
        is_near = _farthest(start, rounded) <= 1
        return [] if cuts_one_side and cut_one_side and is_near else change
    if found.resized == found.size:
        return []
    wanted_start = expected.window(found.resized)
    if wanted_start is None:
        # The preset does not crop after its resize: the middle, however it is rounded.
        if _farthest(start, middle) < 1:
            return []
        wanted_start = round(top), round(left)
    if start == wanted_start:
        return []
    wanted_window = (*wanted_start, *found.size)
    found_window = (*start, *found.size)
    return [("crop", wanted_window, found_window)]


def _farthest(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Return by how much two positions differ, along the axis where that is more."""
    return max(abs(a - b) for a, b in zip(one, other, strict=True))


def _middle_of(view: View) -> tuple[float, float]:
    """Return where the window in the middle of the resized image begins."""
    resized_height, resized_width = view.resized
    height, width = view.size
    return (resized_height - height) / 2, (resized_width - width) / 2


def _crop_change(found: View, right: View) -> list[Change]:
    return [("crop", _crop_of(right), _crop_of(found))]


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
    if view.pads:
        return "pad"
    # By how many pixels a side differs from the one of the same aspect ratio.
    width = vertical.resized * horizontal.crop_length / vertical.crop_length
    height = horizontal.resized * vertical.crop_length / horizontal.crop_length
    width_difference = abs(width - horizontal.resized)
    height_difference = abs(height - vertical.resized)
    if min(width_difference, height_difference) > 1.01:
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
