"""Universal segmentation: one model for semantic, instance and panoptic maps. Plain steps, and some
of their own.
"""

from __future__ import annotations

from jaxprep import ops
from jaxprep.formats.huggingface.families import plain
from jaxprep.formats.huggingface.families.build import Build, Builder
from jaxprep.formats.huggingface.settings import Settings
from jaxprep.ops import sizes
from jaxprep.ops.sizes import SizeRule
from jaxprep.pipeline.step import check_size
from jaxprep.types import Size


def add_steps(build: Build) -> None:
    """All steps of a class, layout apart."""
    if build.settings.flag("do_convert_rgb"):
        build.add(ops.ToRGB(alpha="white"))
    for name in plain.steps_of(build):
        BUILDERS[name](build)


def resize_multiple_above(build: Build) -> None:
    """MaskFormer: by any set of keys but a lone `shortest_edge`, then both sides up to a multiple;
    0 is none.
    """
    if not build.settings.flag("do_resize"):
        return
    divisor = build.settings.integer("size_divisor", lowest=0) or 1
    edges = build.settings.needed_edges("size", plain.BOTH, plain.EXACT, plain.INSIDE)
    if edges.keys == plain.EXACT:
        height, width = (-(-n // divisor) * divisor for n in build.settings.pair("size"))
        build.resize(size=(height, width))
        return
    rule: SizeRule = (
        sizes.AspectRatio(edges.shortest_edge, edges.longest_edge)  # type: ignore[arg-type]
        if edges.keys == plain.BOTH
        else sizes.Inside(edges.max_height, edges.max_width)  # type: ignore[arg-type]
    )
    build.resize(rule=sizes.MultipleAbove(rule, divisor))


def pad_or_largest(build: Build) -> None:
    """MaskFormer: to `pad_size`; without one, to the largest of the call."""
    if build.settings.get("pad_size") is not None:
        build.add(ops.PadTo(build.settings.pair("pad_size")))


def pad_largest(build: Build) -> None:
    """OneFormer: to the largest of the call, whatever else is said."""
    del build


def pad_window(build: Build) -> None:
    """EoMT: before the values are normalised, at least to a window. Splitting, which needs one, is
    not a step.
    """
    if build.settings.flag("do_split_image"):
        window(build.settings)
    if build.settings.flag("do_pad"):
        build.add(ops.PadToAtLeast(window(build.settings)))


def window(settings: Settings) -> Size:
    """The size that EoMT pads to; its height is also the length of the windows that an image is
    split into.
    """
    edges = settings.needed_edges("size", plain.SHORTEST, plain.BOTH)
    assert edges.shortest_edge is not None
    size = edges.shortest_edge, edges.longest_edge or edges.shortest_edge
    check_size(size, "$.size")
    return size


BUILDERS: dict[str, Builder] = plain.BUILDERS | {
    builder.__name__: builder
    for builder in (pad_largest, pad_or_largest, pad_window, resize_multiple_above)
}
