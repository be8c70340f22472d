"""Classes that take a map, or another dense input, beside each image: plain steps, and some of
their own.

A map goes through the steps of its image with other settings, which a row's `maps` states; see
`jaxprep.huggingface.segmentation`.
"""

from __future__ import annotations

import numpy as np

from jaxprep import codec, ops
from jaxprep.formats.huggingface.families import plain
from jaxprep.formats.huggingface.families.build import Build, Builder
from jaxprep.ops import sizes


def add_steps(build: Build) -> None:
    """All steps of a class, layout apart; some convert to RGB nothing but what comes beside the
    image.
    """
    if build.settings.flag("do_convert_rgb") and not build.settings.row.get("keeps_channels"):
        build.add(ops.ToRGB(alpha="white"))
    for name in plain.steps_of(build):
        BUILDERS[name](build)


def resize_near_multiple(build: Build) -> None:
    """DPT: about `size`, with the aspect ratio if it is to be kept, each side a multiple."""
    if build.settings.flag("do_resize"):
        height, width = build.settings.pair("size")
        divisor = build.settings.integer("ensure_multiple_of")
        build.resize(
            rule=sizes.NearestMultiple(
                height, width, divisor, build.settings.flag("keep_aspect_ratio")
            )
        )


def resize_longest_half_up(build: Build) -> None:
    """SAM: the longer side."""
    if build.settings.flag("do_resize"):
        edges = build.settings.needed_edges("size", ("longest_edge",))
        assert edges.longest_edge is not None
        build.resize(rule=sizes.LongestHalfUp(edges.longest_edge))


def resize_or_fit(build: Build) -> None:
    """Sapiens2: stretched; with `do_pad`, inside `size`, and 0 around."""
    if not build.settings.flag("do_resize"):
        return
    if build.settings.flag("do_pad"):
        height, width = build.settings.pair("size")
        build.resize(rule=sizes.Inside(height, width))
        build.add(ops.CenterCrop((height, width), "down"))
    else:
        plain.resize(build)


def pad_around(build: Build) -> None:
    """DPT: 0 on all sides, to a multiple of `size_divisor`; without one, nothing."""
    if build.settings.flag("do_pad") and build.settings.get("size_divisor") is not None:
        build.add(ops.PadToMultiple(build.settings.integer("size_divisor"), centered=True))


def pad_multiple(build: Build) -> None:
    """ViTMatte: 0 below and to the right, to a multiple of `size_divisor`."""
    if build.settings.flag("do_pad"):
        build.add(ops.PadToMultiple(build.settings.integer("size_divisor")))


def values_matte(build: Build) -> None:
    """ViTMatte: colours are rescaled and normalised; the last channel, the trimap, is only
    rescaled.
    """
    settings = build.settings
    if not settings.flag("do_normalize"):
        plain.rescale(build)
        return
    mean, std = (_three(settings.per_channel(key)) for key in ("image_mean", "image_std"))
    factor = settings.number("rescale_factor") if settings.flag("do_rescale") else 1.0
    if settings.flag("do_rescale") and not build.on_torch:
        plain.rescale(build)
    elif factor != 1:  # torch's side normalises colours in their own unit
        if abs(factor) < 1e-12:
            raise codec.expected("a factor that is not 0", factor, "$.rescale_factor")
        build.add(ops.Rescale((1.0, 1.0, 1.0, factor)))
        inverse = np.float32(1.0 / factor)
        mean, std = mean * inverse, std * inverse
    build.add(ops.Normalize((*mean.tolist(), 0.0), (*std.tolist(), 1.0)))
    build.is_float = True


def _three(numbers: float | tuple[float, ...]) -> np.ndarray:
    return np.broadcast_to(np.asarray(numbers, np.float32), (3,))


def flip_colours(build: Build) -> None:
    """MobileViT: RGB to BGR; on torch's side alpha stays where it is."""
    if build.settings.flag("do_flip_channel_order"):
        build.add(ops.ReverseChannels(keep_alpha=build.on_torch))


BUILDERS: dict[str, Builder] = plain.BUILDERS | {
    builder.__name__: builder
    for builder in (
        flip_colours,
        pad_around,
        pad_multiple,
        resize_longest_half_up,
        resize_near_multiple,
        resize_or_fit,
        values_matte,
    )
}
