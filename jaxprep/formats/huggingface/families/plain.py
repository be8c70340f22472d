"""Plain classes: an image is resized, cropped, padded, rescaled, normalised. A row's `steps` name
these builders.

A builder adds nothing where the settings switch it off.
"""

from __future__ import annotations

import numpy as np

from jaxprep import codec, ops
from jaxprep.formats.huggingface.families.build import Build, Builder
from jaxprep.ops import sizes
from jaxprep.pipeline.step import check_size

EXACT, SHORTEST, BOTH, INSIDE = (
    ("height", "width"),
    ("shortest_edge",),
    ("shortest_edge", "longest_edge"),
    ("max_height", "max_width"),
)


def steps_of(build: Build) -> list[str]:
    """The names of the builders of a class, in order."""
    steps = build.settings.row["steps"]
    return steps[build.backend] if isinstance(steps, dict) else steps


def add_steps(build: Build) -> None:
    """All steps of a class, layout apart."""
    if build.settings.flag("do_convert_rgb"):
        build.add(ops.ToRGB(alpha="white"))
    for name in steps_of(build):
        BUILDERS[name](build)


def pads_to_largest(build: Build) -> bool:
    """Whether results of different sizes are padded, with 0 below and to the right, to the largest
    of the call.
    """
    settings, names = build.settings, steps_of(build)
    wants = "pad_or_largest" in names or ("pad" in names and settings.flag("do_pad"))
    always = "pad_largest" in names or ("pad_batch" in names and settings.flag("do_pad"))
    return always or (wants and settings.get("pad_size") is None)


# -- resize ------------------------------------------------------------------------------------------------------------


def resize(build: Build, antialias: bool = True) -> None:
    """By any of the sets of keys that the base class knows."""
    if not build.settings.flag("do_resize"):
        return
    edges = build.settings.needed_edges("size", EXACT, SHORTEST, BOTH, INSIDE)
    if edges.keys == EXACT:
        build.resize(size=build.settings.pair("size"), antialias=antialias)
    elif edges.keys == SHORTEST:
        build.resize(shortest_edge=edges.shortest_edge, antialias=antialias)
    elif edges.keys == BOTH:
        build.resize(
            rule=sizes.AspectRatio(edges.shortest_edge, edges.longest_edge), antialias=antialias
        )  # type: ignore[arg-type]
    else:
        build.resize(rule=sizes.Inside(edges.max_height, edges.max_width), antialias=antialias)  # type: ignore[arg-type]


def resize_interpolating(build: Build) -> None:
    """Without antialiasing."""
    resize(build, antialias=False)


def resize_clipped(build: Build) -> None:
    """Without antialiasing; what overshoots the range of the values is cut off."""
    if not build.settings.flag("do_resize"):
        return
    resize(build, antialias=False)
    if build.is_float:
        top = 1.0 if build.source.kind == "unit" else 255.0
        factor = (
            build.settings.number("rescale_factor") if build.settings.flag("do_rescale") else 1.0
        )
        build.add(ops.Clip(0.0, top * factor))
    else:
        build.add(ops.Cast("float32"))


def _shortest(build: Build) -> int:
    edges = build.settings.needed_edges("size", SHORTEST, BOTH)
    assert edges.shortest_edge is not None
    return edges.shortest_edge


def resize_shortest(build: Build) -> None:
    """Video-LLaVA: the shorter side, whatever is said of the longer one; or both sides."""
    if not build.settings.flag("do_resize"):
        return
    if build.settings.needed_edges("size", EXACT, SHORTEST, BOTH).pair is None:
        build.resize(shortest_edge=_shortest(build))
    else:
        build.resize(size=build.settings.pair("size"))


def resize_convnext(build: Build) -> None:
    """Below 384, the shorter side becomes `size / crop_pct` and the middle is cropped; from 384 on,
    it is stretched.
    """
    if not build.settings.flag("do_resize"):
        return
    edge = _shortest(build)
    check_size((edge, edge), "$.size")
    if edge < 384:
        build.resize(shortest_edge=_divided(build, edge))
        build.add(ops.CenterCrop((edge, edge), center_rule(build)))
    else:
        build.resize(size=(edge, edge))


def _divided(build: Build, edge: int) -> int:
    return int(edge / build.settings.number("crop_pct", 0.001, 1000.0))


def resize_crop_pct(build: Build) -> None:
    """PoolFormer: the size is divided by `crop_pct`; a square means the shorter side."""
    if not build.settings.flag("do_resize"):
        return
    edges = build.settings.needed_edges("size", EXACT, SHORTEST, BOTH)
    if edges.pair is None:
        build.resize(shortest_edge=_divided(build, _shortest(build)))
    elif edges.height == edges.width:
        build.resize(shortest_edge=_divided(build, edges.pair[0]))
    else:
        build.resize(size=(_divided(build, edges.pair[0]), _divided(build, edges.pair[1])))


def resize_levit(build: Build) -> None:
    """The shorter side becomes 256 / 224 of what is asked for."""
    if not build.settings.flag("do_resize"):
        return
    if build.settings.needed_edges("size", EXACT, SHORTEST, BOTH).pair is None:
        build.resize(shortest_edge=int((256 / 224) * _shortest(build)))
    else:
        build.resize(size=build.settings.pair("size"))


def resize_longest(build: Build) -> None:
    """Janus: the longer side becomes the side of the square `size`."""
    if not build.settings.flag("do_resize"):
        return
    height, width = build.settings.pair("size")
    if height != width:
        raise codec.expected("a square", {"height": height, "width": width}, "$.size")
    build.resize(rule=sizes.LongestRounded(height, build.settings.integer("min_size")))


def resize_multiple_below(build: Build) -> None:
    """GLPN: each side down to a multiple of `size_divisor`."""
    if build.settings.flag("do_resize"):
        build.resize(rule=sizes.MultipleBelow(build.settings.integer("size_divisor")))


def resize_textnet(build: Build) -> None:
    """The shorter side, truncated, then both sides up to a multiple."""
    if build.settings.flag("do_resize"):
        build.resize(
            rule=sizes.ShortestMultiple(_shortest(build), build.settings.integer("size_divisor"))
        )


def resize_pplcnet(build: Build) -> None:
    """The shorter side `resize_short`, rounded, then both sides up to a multiple."""
    if build.settings.flag("do_resize"):
        edge, divisor = (build.settings.integer(key) for key in ("resize_short", "size_divisor"))
        build.resize(rule=sizes.ShortestMultiple(edge, divisor, "round"))


def resize_side_limit(build: Build) -> None:
    """PP-OCR detection, on floats."""
    if not build.settings.flag("do_resize"):
        return
    side, known = build.settings.get("limit_type"), ("max", "min", "resize_long")
    if side not in known:
        raise codec.expected(f"one of {list(known)}", side, "$.limit_type")
    limit, longest = (build.settings.integer(key) for key in ("limit_side_len", "max_side_limit"))
    build.resize(rule=sizes.SideLimit(limit, side, longest), rounded=False)


def widest(build: Build) -> tuple[int, int]:
    """PP-OCR recognition: the one size of a whole call; without its images, the default."""
    size = build.settings.pair("size")
    longest = build.settings.integer("max_image_width")
    return sizes.widest(list(build.sizes or [size]), size, longest)


def resize_widest(build: Build) -> None:
    """PP-OCRv5 recognition, on floats."""
    if build.settings.flag("do_resize"):
        build.resize(size=widest(build), rounded=False)


def resize_widest_interpolating(build: Build) -> None:
    """PP-OCRv6 recognition, without antialiasing."""
    if build.settings.flag("do_resize"):
        build.resize(size=widest(build), antialias=False)


# -- crop and pad ------------------------------------------------------------------------------------------------------


def center_rule(build: Build) -> ops.crop.CenterRule:
    """How the backend halves an odd margin."""
    return "down" if build.on_torch else "floor"


def center_crop(build: Build) -> None:
    """The middle; smaller images are padded with 0."""
    if build.settings.flag("do_center_crop"):
        build.add(ops.CenterCrop(build.settings.pair("crop_size"), center_rule(build)))


def center_crop_share(build: Build) -> None:
    """Perceiver: `size / crop_size` of the shorter side."""
    if build.settings.flag("do_center_crop"):
        size, whole = build.settings.pair("size"), build.settings.pair("crop_size")
        build.add(ops.CenterCropShare(size[0] / whole[0], size[1] / whole[1], center_rule(build)))


def pad(build: Build) -> None:
    """Below and to the right with 0, to `pad_size`; without one, see `pads_to_largest`."""
    if build.settings.flag("do_pad") and build.settings.get("pad_size") is not None:
        build.add(ops.PadTo(build.settings.pair("pad_size")))


def pad_narrow(build: Build) -> None:
    """PP-OCR recognition: the same, unless the size of the call is wider."""
    if build.settings.flag("do_pad") and widest(build)[1] < build.settings.pair("pad_size")[1]:
        build.add(ops.PadTo(build.settings.pair("pad_size")))


def pad_square(build: Build) -> None:
    """A square around the image, in the colour of the mean."""
    if build.settings.flag("do_pad"):
        mean = build.settings.per_channel("image_mean")
        means = mean if isinstance(mean, tuple) else (mean,) * 3
        build.add(ops.PadToSquare(tuple(float(int(m * 255)) for m in means)))


def pad_next_multiple(build: Build) -> None:
    """Swin2SR: mirrored."""
    if build.settings.flag("do_pad"):
        build.add(ops.PadToNextMultiple(build.settings.integer("size_divisor")))


# -- values ------------------------------------------------------------------------------------------------------------


def rescale(build: Build, offset: float = 0.0) -> None:
    """`x * rescale_factor`: in float64 on PIL's side, in float32 on torch's."""
    if build.settings.flag("do_rescale"):
        factor = build.settings.number("rescale_factor")
        build.add(
            ops.Rescale(factor, offset, arithmetic="float32" if build.on_torch else "float64")
        )
        build.is_float = True


def normalize(build: Build) -> None:
    """`(x - mean) / std`."""
    if build.settings.flag("do_normalize"):
        build.add(ops.Normalize(build.settings.per_channel("image_mean"), _std(build)))
        build.is_float = True


def _std(build: Build) -> float | tuple[float, ...]:
    std = build.settings.per_channel("image_std")
    if np.any(np.abs(np.asarray(std, np.float32)) < 1e-12):
        raise codec.expected("standard deviations that are not 0", std, "$.image_std")
    return std


def values(build: Build) -> None:
    """Rescale and normalise; in one step on torch's side, with mean and std divided by the factor,
    in float32.
    """
    settings = build.settings
    if not (build.on_torch and settings.flag("do_rescale") and settings.flag("do_normalize")):
        rescale(build)
        normalize(build)
        return
    factor = settings.number("rescale_factor")
    if abs(factor) < 1e-12:
        raise codec.expected("a factor that is not 0", factor, "$.rescale_factor")
    mean, std = (
        np.asarray(value, np.float32) for value in (settings.per_channel("image_mean"), _std(build))
    )
    inverse = np.float32(1.0 / factor)
    build.add(ops.Normalize(_fields(mean * inverse), _fields(std * inverse)))
    build.is_float = True


def _fields(array: np.ndarray) -> float | tuple[float, ...]:
    listed = array.tolist()
    return tuple(listed) if isinstance(listed, list) else listed


def values_offset(build: Build) -> None:
    """EfficientNet: with `rescale_offset`, 1 is subtracted after rescaling, and nothing is made one
    step.
    """
    if build.settings.flag("rescale_offset"):
        rescale(build, offset=-1.0)
        normalize(build)
    else:
        values(build)


def include_top(build: Build) -> None:
    """EfficientNet: divided by the standard deviation, once more."""
    if build.settings.flag("include_top"):
        build.add(ops.Normalize(0.0, _std(build)))
        build.is_float = True


def flip(build: Build) -> None:
    """RGB to BGR."""
    build.add(ops.ReverseChannels())


def gray(build: Build) -> None:
    """SuperPoint: three equal channels."""
    if build.settings.flag("do_grayscale"):
        build.add(ops.ToGray())


BUILDERS: dict[str, Builder] = {
    builder.__name__: builder
    for builder in (
        center_crop,
        center_crop_share,
        flip,
        gray,
        include_top,
        normalize,
        pad,
        pad_narrow,
        pad_next_multiple,
        pad_square,
        rescale,
        resize,
        resize_clipped,
        resize_convnext,
        resize_crop_pct,
        resize_interpolating,
        resize_levit,
        resize_longest,
        resize_multiple_below,
        resize_pplcnet,
        resize_shortest,
        resize_side_limit,
        resize_textnet,
        resize_widest,
        resize_widest_interpolating,
        values,
        values_offset,
    )
}
