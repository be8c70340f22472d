"""Steps in plain English, one line each."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from jaxprep import codec, ops
from jaxprep.ops import sizes
from jaxprep.ops.step import Step
from jaxprep.types import Size

AS = {
    "pillow": "as Pillow",
    "pillow12": "as Pillow up to 12",
    "torchvision": "as torchvision's uint8 kernel",
    "torch": "as PyTorch in float32",
    "jax": "as jax.image.resize",
    "float": "at exact positions in float32",
}


TAGS = (Step.tag_key, sizes.SizeRule.tag_key)


@functools.singledispatch
def describe(step: Any) -> str:
    """What a step, or the rule of a resize, does. One that nobody described is its name with its
    fields.
    """
    fields = ", ".join(
        f"{name} {value}" for name, value in codec.to_json(step).items() if name not in TAGS
    )
    return type(step).__name__ + (f": {fields}" if fields else "")


@describe.register
def _(step: ops.Resize) -> str:
    return f"resize {_target(step)}, {step.method}, {AS[step.reference]}{_manner(step)}"


def _target(step: ops.Resize) -> str:
    if step.rule is not None:
        return describe(step.rule)
    if step.size is not None:
        side = "" if step.rounding == "truncate" else " (sides rounded)"
        return {
            "exact": f"to {format_size(step.size)} pixels",
            "contain": f"to fit inside {format_size(step.size)} pixels, keeping the aspect ratio{side}",
            "cover": f"to cover {format_size(step.size)} pixels, keeping the aspect ratio{side}",
        }[step.fit]
    side = "" if step.rounding == "truncate" else " (the other side rounded)"
    if step.shortest_edge is None:
        return f"the longer side to {step.longest_edge} pixels{side}"
    limit = "" if step.longest_edge is None else f", the longer to at most {step.longest_edge}"
    return f"the shorter side to {step.shortest_edge} pixels{limit}{side}"


def _manner(step: ops.Resize) -> str:
    if step.method == "nearest":
        return ""
    return f" ({'' if step.antialias else 'not '}antialiased{'' if step.rounded else ', not rounded to integers'})"


@describe.register
def _(rule: sizes.AspectRatio) -> str:
    return f"the shorter side to {rule.shortest} pixels, the longer to at most {rule.longest} (as DETR)"


@describe.register
def _(rule: sizes.AspectRatioBelow) -> str:
    return f"{describe(sizes.AspectRatio(rule.shortest, rule.longest))}; sides down to a multiple of {rule.divisor}"


@describe.register
def _(rule: sizes.Inside) -> str:
    return (
        f"to fit inside {format_size((rule.height, rule.width))} pixels, keeping the aspect ratio"
    )


@describe.register
def _(rule: sizes.LongestHalfUp) -> str:
    return f"the longer side to {rule.edge} pixels (sides rounded)"


@describe.register
def _(rule: sizes.LongestRounded) -> str:
    return f"the longer side to {rule.edge} pixels (sides rounded, at least {rule.minimum})"


@describe.register
def _(rule: sizes.MultipleAbove) -> str:
    return f"{describe(rule.of)}; sides up to a multiple of {rule.divisor}"


@describe.register
def _(rule: sizes.MultipleBelow) -> str:
    return f"each side down to a multiple of {rule.divisor} pixels"


@describe.register
def _(rule: sizes.NearestMultiple) -> str:
    ratio = ", keeping the aspect ratio" if rule.keeps_ratio else ""
    multiple = f", sides to a multiple of {rule.divisor}" if rule.divisor > 1 else ""
    return f"to about {format_size((rule.height, rule.width))} pixels{ratio}{multiple}"


@describe.register
def _(rule: sizes.ShortestBelow) -> str:
    longest = int(1333 / 800 * rule.edge)
    return (
        f"the shorter side to {rule.edge} pixels, the longer to at most {longest}; sides down to a multiple of "
        f"{rule.divisor}"
    )


@describe.register
def _(rule: sizes.ShortestMultiple) -> str:
    return f"the shorter side to {rule.edge} pixels, both then up to a multiple of {rule.divisor}"


@describe.register
def _(rule: sizes.SideLimit) -> str:
    side = {
        "max": f"the longer side to at most {rule.limit}",
        "min": f"the shorter side to at least {rule.limit}",
        "resize_long": f"the longer side to {rule.limit}",
    }[rule.side]
    limit = "" if rule.longest is None else f" (the longer at most {rule.longest})"
    return f"{side} pixels{limit}, both to a multiple of 32"


@describe.register
def _(step: ops.CenterCrop) -> str:
    return f"crop the middle {format_size(step.size)}, padding a smaller image with {format_numbers(step.fill)}"


@describe.register
def _(step: ops.CenterCropShare) -> str:
    return f"crop the middle, {step.height:g} x {step.width:g} of the shorter side, padding what is missing with 0"


@describe.register
def _(step: ops.Crop) -> str:
    window = f"{format_size((step.height, step.width))} from row {step.top}, column {step.left}"
    return f"crop {window}, padding what lies outside with {format_numbers(step.fill)}"


@describe.register
def _(step: ops.CropToAspect) -> str:
    return f"crop the middle to the aspect ratio of {format_size(step.size)}"


@describe.register
def _(step: ops.Pad) -> str:
    sides = {
        "above": step.top,
        "below": step.bottom,
        "on the left": step.left,
        "on the right": step.right,
    }
    margins = ", ".join(f"{pixels} {side}" for side, pixels in sides.items() if pixels)
    return f"pad with {format_numbers(step.fill)}: {margins} (pixels)" if margins else "pad nothing"


@describe.register
def _(step: ops.PadToAspect) -> str:
    return f"pad two sides equally with {format_numbers(step.fill)} to the aspect ratio of {format_size(step.size)}"


@describe.register
def _(step: ops.PadTo) -> str:
    return f"pad below and on the right with {format_numbers(step.fill)} to {format_size(step.size)} pixels"


@describe.register
def _(step: ops.PadToAtLeast) -> str:
    return f"pad below and on the right with {format_numbers(step.fill)} to at least {format_size(step.size)} pixels"


@describe.register
def _(step: ops.PadToMultiple) -> str:
    where = "on all sides" if step.centered else "below and on the right"
    return f"pad {where} with {format_numbers(step.fill)} to a multiple of {step.divisor} pixels"


@describe.register
def _(step: ops.PadToNextMultiple) -> str:
    return (
        f"mirror the edge below and on the right, up to the next multiple of {step.divisor} pixels"
    )


@describe.register
def _(step: ops.PadToSquare) -> str:
    return f"pad two sides equally with {format_numbers(step.fill)} to a square"


@describe.register
def _(step: ops.Flip) -> str:
    ways = ["left to right"] * step.horizontal + ["top to bottom"] * step.vertical
    return f"mirror {' and '.join(ways)}" if ways else "mirror nothing"


@describe.register
def _(step: ops.ToRGB) -> str:
    alpha = "dropped, the stored colours kept" if step.alpha == "drop" else "laid over white"
    return f"make it RGB: gray is repeated, alpha {alpha}"


@describe.register
def _(_: ops.Premultiply) -> str:
    return "multiply the colours by alpha, if there is alpha"


@describe.register
def _(_: ops.Unpremultiply) -> str:
    return "divide the colours by alpha again, if there is alpha"


@describe.register
def _(step: ops.ReverseChannels) -> str:
    return "reverse the channels, RGB to BGR" + (
        ", alpha staying the last" if step.keep_alpha else ""
    )


@describe.register
def _(_: ops.ToGray) -> str:
    return "make it gray, in three equal channels"


@describe.register
def _(step: ops.Clip) -> str:
    return f"clip to [{step.low:g}, {step.high:g}]"


@describe.register
def _(step: ops.Rescale) -> str:
    scale, offset = np.asarray(step.scale), np.asarray(step.offset)
    inverse = 1 / scale if np.all(scale) else scale
    parts = []
    if inverse.ndim == 0 and inverse > 1 and abs(inverse - round(float(inverse))) < 1e-9 * inverse:
        parts.append(f"divide by {round(float(inverse))}")
    elif np.any(scale != 1):
        parts.append(f"multiply by {format_numbers(step.scale)}")
    if np.any(offset != 0):
        parts.append(f"add {format_numbers(step.offset)}")
    return (", ".join(parts) or "convert to float32") + _as_normalization(scale, offset)


def _as_normalization(scale: np.ndarray, offset: np.ndarray) -> str:
    """The same as mean and standard deviation of values in [0, 1], as papers state them."""
    if scale.ndim == offset.ndim == 0 or not np.all(scale):
        return ""
    mean, std = np.broadcast_arrays(-offset / scale / 255, 1 / scale / 255)
    return f" (normalise values in [0, 1]: mean {format_numbers(mean)}, std {format_numbers(std)})"


@describe.register
def _(step: ops.Normalize) -> str:
    return f"normalise: mean {format_numbers(step.mean)}, std {format_numbers(step.std)}"


@describe.register
def _(step: ops.Cast) -> str:
    return f"convert to {step.dtype}" + (", rounded and clipped" if "int" in step.dtype else "")


@describe.register
def _(_: ops.ChannelsFirst) -> str:
    return "put the channels first: (channels, height, width)"


@describe.register
def _(_: ops.ChannelsLast) -> str:
    return "put the channels last: images come as (channels, height, width)"


def format_size(size: Size | None) -> str:
    """A height and width as text.

    >>> format_size((480, 640))
    '480 x 640'
    """
    return "varies" if size is None else f"{size[0]} x {size[1]}"


def format_numbers(numbers: Any) -> str:
    """One number, or one per channel where they differ, to six digits.

    >>> format_numbers((0.5, 0.5, 0.5)), format_numbers((0.485, 0.456))
    ('0.5', '0.485, 0.456')
    """
    shown = [f"{number:.6g}" for number in np.ravel(numbers)]
    return shown[0] if len(set(shown)) == 1 else ", ".join(shown)
