"""Detection classes, and those with a `pixel_mask`: DETR's size rules, and padding to the largest
of the call.
"""

from __future__ import annotations

from jaxprep import codec, ops
from jaxprep.formats.huggingface.families import plain
from jaxprep.formats.huggingface.families.build import Build, Builder
from jaxprep.formats.huggingface.families.plain import BOTH, EXACT, INSIDE, SHORTEST
from jaxprep.formats.huggingface.settings import Settings
from jaxprep.ops import sizes

FORMATS = ("coco_detection", "coco_panoptic")
"""Of annotations."""


def add_steps(build: Build) -> None:
    """All steps of a class, layout apart."""
    if "format" in build.settings.row["kwargs"]:
        annotation_format(build.settings)
    if build.settings.flag("do_convert_rgb"):
        build.add(ops.ToRGB(alpha="white"))
    for name in plain.steps_of(build):
        BUILDERS[name](build)


def annotation_format(settings: Settings) -> str:
    """How annotations are written, one of `FORMATS`."""
    found = settings.get("format")
    if found not in FORMATS:
        raise codec.expected(f"one of {list(FORMATS)}", found, "$.format")
    return found


def resize_bounded(build: Build, antialias: bool = True) -> None:
    """DETR: the shorter side, with a bound on the longer one; or both sides, or the largest inside
    a box.
    """
    if build.settings.flag("do_resize"):
        build.settings.needed_edges("size", EXACT, BOTH, INSIDE)
        plain.resize(build, antialias)


def resize_bounded_interpolating(build: Build) -> None:
    """RF-DETR, without antialiasing."""
    resize_bounded(build, antialias=False)


def resize_yolos(build: Build) -> None:
    """The same, and where the aspect ratio is kept, both sides down to a multiple of 16."""
    if not build.settings.flag("do_resize"):
        return
    edges = build.settings.needed_edges("size", EXACT, BOTH, INSIDE)
    if edges.keys == BOTH:
        build.resize(rule=sizes.AspectRatioBelow(edges.shortest_edge, edges.longest_edge, 16))  # type: ignore[arg-type]
    else:
        plain.resize(build)


def resize_shortest_below(build: Build) -> None:
    """ViLT and BridgeTower: the shorter side, the longer up to 1333 / 800 of it, both down to a
    multiple.
    """
    if build.settings.flag("do_resize"):
        edge = build.settings.needed_edges("size", SHORTEST, BOTH).shortest_edge
        assert edge is not None
        build.resize(rule=sizes.ShortestBelow(edge, build.settings.integer("size_divisor")))


def center_crop_square(build: Build) -> None:
    """BridgeTower: the square of the `shortest_edge` of `crop_size`."""
    if build.settings.flag("do_center_crop"):
        edges = build.settings.needed_edges("crop_size", SHORTEST, EXACT)
        pair = edges.pair or (edges.shortest_edge, edges.shortest_edge)
        build.add(ops.CenterCrop(pair, plain.center_rule(build)))  # type: ignore[arg-type]


def pad_batch(build: Build) -> None:
    """ViLT and BridgeTower: to the largest of the call, whatever `pad_size` says; see
    `plain.pads_to_largest`.
    """
    del build


BUILDERS: dict[str, Builder] = plain.BUILDERS | {
    builder.__name__: builder
    for builder in (
        center_crop_square,
        pad_batch,
        resize_bounded,
        resize_bounded_interpolating,
        resize_shortest_below,
        resize_yolos,
    )
}
