"""Builders of classes that interpolate, each by the arithmetic of another library.

Where a docstring names a model, the rule is that of `transformers/models/<model>/
image_processing_<model>.py`, Transformers 5.24.

Some of these classes rescale values before they resize them. Both are linear, so here the resize
comes first: it reads bytes, and differs from the original by the rounding of float32.
"""

from __future__ import annotations

from jaxprep import codec, ops
from jaxprep.formats.huggingface.builders.build import Build, builder
from jaxprep.formats.huggingface.settings import Settings
from jaxprep.ops import sizes
from jaxprep.ops.blur import BlurBeforeResize
from jaxprep.ops.fixed_point import JoinBits, SplitBits
from jaxprep.ops.mirror import MirrorAround
from jaxprep.types import Size


@builder("resize")
def resize_in_integers(build: Build) -> None:
    """SLANeXt: the longer edge to the longer side of `size`, as OpenCV resizes bytes.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("SLANeXtImageProcessor")
    >>> config.resize_pipeline.output_size((480, 640))
    (384, 512)
    """
    if not build.settings.flag("do_resize"):
        return
    if build.source.value_range != "uint8":
        build.add(ops.Cast("uint8", truncated=True))
    rule = sizes.LongestRounded(max(build.settings.pair("size")), 1)
    # transformers/models/slanext/image_processing_slanext.py warns that it ignores `resample`
    resize = ops.Resize(rule=rule, antialias=False, reference="opencv", rounded=False)
    build.add(SplitBits(), resize, JoinBits())


@builder("resize")
def resize_corners(build: Build) -> None:
    """UVDoc: to `size`, the corner pixels staying in the corners.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("UVDocImageProcessor")
    >>> config.resize_pipeline.output_size((480, 640))
    (712, 488)
    """
    if build.settings.flag("do_resize"):
        # always bilinear, in transformers/models/uvdoc/image_processing_uvdoc.py
        _add_corners(build, "bilinear", size=build.settings.pair("size"))


@builder("resize")
def resize_corners_near_multiple(build: Build) -> None:
    """ZoeDepth: about `size`, with the aspect ratio if it is to be kept, each side a multiple of
    `ensure_multiple_of`, which need not be an integer; the corner pixels stay in the corners.

    >>> from jaxprep.formats import HuggingFace
    >>> settings = {"ensure_multiple_of": 32, "do_pad": False}
    >>> config = HuggingFace("ZoeDepthImageProcessor", settings)
    >>> config.pipeline.output_size((480, 640))
    (384, 512)
    """
    settings = build.settings
    if not settings.flag("do_resize"):
        return
    method = settings.method()
    if method not in ("bilinear", "bicubic"):
        # torch aligns the corners of no other mode
        raise codec.expected("bilinear or bicubic", settings.get("resample"), "$.resample")
    height, width = settings.pair("size")
    divisor = settings.number("ensure_multiple_of", 1e-3, 1e4)
    rule = sizes.NearestMultiple(height, width, divisor, settings.flag("keep_aspect_ratio"))
    _add_corners(build, method, rule=rule)


def _add_corners(build: Build, method: str, **target: object) -> None:
    # torch interpolates bytes that were not rescaled in integers
    is_uint8 = build.source.value_range == "uint8" and not build.settings.flag("do_rescale")
    step = ops.Resize(
        method=method,  # type: ignore[arg-type]
        antialias=False,
        reference="torchvision_corners" if is_uint8 else "torch_corners",
        rounded=is_uint8,
        **target,  # type: ignore[arg-type]
    )
    build.add(step)
    build.is_float = not is_uint8


@builder("pad")
def mirror_around(build: Build) -> None:
    """ZoeDepth: mirrored on all sides, 3 times the root of half a side.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("ZoeDepthImageProcessor", {"do_resize": False})
    >>> config.pipeline.output_size((480, 640))
    (572, 746)
    """
    if build.settings.flag("do_pad"):
        build.add(MirrorAround())


@builder("pad")
def pad_corner_square(build: Build) -> None:
    """Owlv2: 0 below or to the right, to a square.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("Owlv2ImageProcessor", {"do_resize": False})
    >>> config.pipeline.output_size((480, 640))
    (640, 640)
    """
    if build.settings.flag("do_pad"):
        build.add(ops.PadToSquare(centered=False))


@builder("resize")
def blur_and_resize(build: Build) -> None:
    """Owlv2: blurred where it shrinks, then interpolated to `size`; by scikit-image's rule on the
    PIL backend.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("Owlv2ImageProcessor")
    >>> config.pipeline.output_size((480, 640))
    (960, 960)
    """
    settings = build.settings
    if not settings.flag("do_resize"):
        return
    # `self.resize(image, size, resample)` passes the filter as `anti_aliasing`, and 0 is the
    # nearest neighbour: transformers/models/owlv2/image_processing_pil_owlv2.py
    blurs = build.on_torch or settings.method() != "nearest"
    add_blurred_resize(build, blurs)


def add_blurred_resize(build: Build, blurs: bool) -> None:
    """Add the method `resize` of Owlv2, which blurs or not, to `size`.

    >>> from jaxprep.formats.huggingface.builders import Source
    >>> build = Build(Settings("Owlv2ImageProcessor", {}), "torchvision", Source())
    >>> add_blurred_resize(build, blurs=False)
    >>> [type(step).__name__ for step in build.steps]
    ['Resize']
    """
    settings = build.settings
    size = settings.pair("size")
    # values that were rescaled before are floats; others are rounded as integers are
    rounded = not settings.flag("do_rescale") and not build.is_float
    reference = "scipy"
    if build.on_torch:
        is_uint8 = rounded and build.source.value_range == "uint8"
        reference = "torchvision" if is_uint8 else "torch"
    if blurs:
        library = "torchvision" if build.on_torch else "scipy"
        build.add(BlurBeforeResize(size, library, rounded))
    build.add(ops.Resize(size, antialias=False, reference=reference, rounded=rounded))
    build.is_float = not rounded


@builder()
def crops_of_people(build: Build) -> None:
    """VitPose: crops of boxes are no step, since boxes belong to a call; but their settings are
    checked here, where the config is made.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("VitPoseImageProcessor")
    >>> [type(step).__name__ for step in config.pipeline.steps]
    ['Normalize']
    """
    if build.settings.flag("do_affine_transform"):
        crop_of_person(build.settings)


def crop_of_person(settings: Settings) -> tuple[Size, float]:
    """Return height and width of VitPose's crops, and what the sides of boxes are divided by.

    >>> crop_of_person(Settings("VitPoseImageProcessor", {}))
    ((256, 192), 200.0)
    """
    return settings.pair("size"), settings.number("normalize_factor", 1e-3, 1e6)
