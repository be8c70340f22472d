"""Builders of resizes: how each class reads `size`.

Where a docstring names a model, the rule is that of `transformers/models/<model>/
image_processing_<model>.py` (torchvision backend) and `image_processing_pil_<model>.py` (PIL),
Transformers 5.24.
"""

from __future__ import annotations

from jaxprep import codec, ops
from jaxprep.bounds import check_size
from jaxprep.formats.huggingface.builders.build import Build, builder
from jaxprep.formats.huggingface.builders.crop_and_pad import center_rule, widest
from jaxprep.formats.huggingface.settings import BOTH, EXACT, INSIDE, LONGEST, SHORTEST
from jaxprep.ops import sizes
from jaxprep.ops.resize import Method, SizeRule


@builder("resize")
def resize(build: Build, antialias: bool = True) -> None:
    """Resize by any of the sets of keys that the base classes take (`TorchvisionBackend.resize` and
    `PilBackend.resize` of `transformers/image_processing_backends.py`).

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("CLIPImageProcessor")
    >>> config.resize_pipeline.output_size((480, 640))
    (224, 298)
    """
    if build.settings.flag("do_resize"):
        resize_any(build, antialias)


def resize_any(build: Build, antialias: bool = True) -> None:
    """As `resize`, whatever `do_resize` says.

    >>> from jaxprep.formats.huggingface.builders.build import Source
    >>> from jaxprep.formats.huggingface.settings import Settings
    >>> build = Build(Settings("CLIPImageProcessor", {}), "torchvision", Source())
    >>> resize_any(build)
    >>> build.steps[0].shortest_edge
    224
    """
    settings = build.settings
    # The order of the cases is that of both backends in transformers/image_processing_backends.py.
    edges = settings.needed_edges("size", EXACT, SHORTEST, BOTH, INSIDE)
    if edges.keys == EXACT:
        build.resize(size=settings.pair("size"), antialias=antialias)
    elif edges.keys == SHORTEST:
        build.resize(shortest_edge=edges.shortest_edge, antialias=antialias)
    elif edges.keys == BOTH:
        rule = sizes.AspectRatio(edges.side("shortest_edge"), edges.side("longest_edge"))
        build.resize(rule=rule, antialias=antialias)
    else:
        rule = sizes.Inside(edges.side("max_height"), edges.side("max_width"))
        build.resize(rule=rule, antialias=antialias)


@builder("resize")
def resize_interpolating(build: Build) -> None:
    """Resize without antialiasing.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("DepthProImageProcessor")
    >>> config.resize_pipeline.output_size((480, 640))
    (1536, 1536)
    """
    resize(build, antialias=False)


@builder("resize")
def resize_clipped(build: Build) -> None:
    """PP-DocLayoutV4: without antialiasing; values outside of the images' range are clipped.

    A bicubic filter overshoots at edges, and the class resizes floats, which do not saturate.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("PPDocLayoutV4ImageProcessor")
    >>> [type(step).__name__ for step in config.pipeline.steps]
    ['Rescale', 'Resize', 'Clip', 'Normalize']
    """
    settings = build.settings
    if not settings.flag("do_resize"):
        return
    resize(build, antialias=False)
    if not build.is_float:
        # The rescale was switched off; torch's `clamp` to a float still returns floats.
        build.add(ops.Cast("float32"))
        if build.source.value_range == "uint8":
            return  # saturates by itself
    # `clamp(0, upper_bound)` of
    # transformers/models/pp_doclayout_v4/image_processing_pp_doclayout_v4.py, after the rescale:
    # the bound is that of rescaled values.
    top = 1.0 if build.source.value_range == "unit" else 255.0
    factor = settings.number("rescale_factor") if settings.flag("do_rescale") else 1.0
    build.add(ops.Clip(0.0, top * factor))


def _shortest(build: Build) -> int:
    edges = build.settings.needed_edges("size", SHORTEST, BOTH)
    return edges.side("shortest_edge")


@builder("resize")
def resize_shortest(build: Build) -> None:
    """Video-LLaVA: the shorter edge, whatever is said of the longer one; or both sides.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("VideoLlavaImageProcessor")
    >>> config.resize_pipeline.output_size((480, 640))
    (224, 298)
    """
    settings = build.settings
    if not settings.flag("do_resize"):
        return
    # transformers/models/video_llava/image_processing_video_llava.py ignores `longest_edge`.
    if settings.needed_edges("size", EXACT, SHORTEST, BOTH).pair is None:
        build.resize(shortest_edge=_shortest(build))
    else:
        build.resize(size=settings.pair("size"))


@builder("resize", makes_square=True)
def resize_convnext(build: Build) -> None:
    """ConvNeXT: below 384 the shorter edge becomes `size / crop_pct` and the middle is cropped;
    from 384 on the image is stretched to a square.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("ConvNextImageProcessor", {"size": {"shortest_edge": 224}})
    >>> config.resize_pipeline.output_size((480, 640))
    (224, 224)
    """
    if not build.settings.flag("do_resize"):
        return
    edge = _shortest(build)
    check_size((edge, edge), "$.size")
    # transformers/models/convnext/image_processing_convnext.py: checkpoints of 384 and above were
    # evaluated "warping (no cropping)".
    if edge < 384:
        build.resize(shortest_edge=_divide_by_crop_pct(build, edge))
        build.add(ops.CenterCrop((edge, edge), center_rule(build)))
    else:
        build.resize(size=(edge, edge))


def _divide_by_crop_pct(build: Build, edge: int) -> int:
    """The edge before the crop whose side is `edge`."""
    # Truncated, as in transformers/models/convnext and poolformer: 224 / 0.875 is 256, but 77 / 0.9
    # is 85.6 and becomes 85.
    return int(edge / build.settings.number("crop_pct", 0.001, 1000.0))


@builder("resize")
def resize_crop_pct(build: Build) -> None:
    """PoolFormer: the size is divided by `crop_pct`; a square means the shorter edge. Without a
    `crop_pct`, the size as it is.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("PoolFormerImageProcessor")
    >>> config.resize_pipeline.output_size((480, 640))
    (248, 330)
    """
    settings = build.settings
    if not settings.flag("do_resize"):
        return
    if settings.get("crop_pct") is None:
        # `if crop_pct is not None` in `resize` of transformers/models/poolformer.
        resize(build)
        return
    edges = settings.needed_edges("size", EXACT, SHORTEST, BOTH)
    if edges.pair is None:
        build.resize(shortest_edge=_divide_by_crop_pct(build, _shortest(build)))
        return
    # An int means the shorter edge to `resize` in transformers/models/poolformer, a pair both.
    height, width = edges.pair
    if height == width:
        build.resize(shortest_edge=_divide_by_crop_pct(build, height))
        return
    build.resize(size=(_divide_by_crop_pct(build, height), _divide_by_crop_pct(build, width)))


@builder("resize")
def resize_levit(build: Build) -> None:
    """LeViT: the shorter edge becomes 256 / 224 of what is asked for; or both sides.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("LevitImageProcessor")
    >>> config.resize_pipeline.output_size((480, 640))
    (256, 341)
    """
    settings = build.settings
    if not settings.flag("do_resize"):
        return
    if settings.needed_edges("size", EXACT, SHORTEST, BOTH).pair is None:
        # transformers/models/levit/image_processing_levit.py: `int((256 / 224) *
        # size.shortest_edge)`, whatever the size.
        build.resize(shortest_edge=int((256 / 224) * _shortest(build)))
    else:
        build.resize(size=settings.pair("size"))


@builder("resize")
def resize_longest(build: Build, method: Method | None = None) -> None:
    """Janus: the longer edge becomes the side of the square `size`.

    Args:
        method: instead of the filter of the settings.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("JanusImageProcessor")
    >>> config.resize_pipeline.output_size((480, 640))
    (288, 384)
    """
    settings = build.settings
    if not settings.flag("do_resize"):
        return
    height, width = settings.pair("size")
    # transformers/models/janus/image_processing_janus.py reads one side alone.
    if height != width:
        raise codec.expected("a square", {"height": height, "width": width}, "$.size")
    rule = sizes.LongestRounded(height, settings.integer("min_size"))
    build.resize(rule=rule, method=method)


@builder("resize")
def resize_longest_truncated(build: Build) -> None:
    """TVP: the longer side, whatever is said of the shorter one; or any other set of keys.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("TvpImageProcessor")
    >>> config.resize_pipeline.output_size((480, 640))
    (336, 448)
    """
    settings = build.settings
    if not settings.flag("do_resize"):
        return
    # `if size.longest_edge` of transformers/models/tvp/image_processing_tvp.py.
    edges = settings.needed_edges("size", LONGEST, BOTH, EXACT, SHORTEST, INSIDE)
    if edges.longest_edge is None:
        resize(build)
    else:
        build.resize(rule=sizes.LongestTruncated(edges.longest_edge))


@builder("resize")
def resize_longest_half_up(build: Build) -> None:
    """SAM: the longer edge becomes `longest_edge`; the other is rounded half up.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("SamImageProcessor")
    >>> config.resize_pipeline.output_size((480, 640))
    (768, 1024)
    """
    settings = build.settings
    if not settings.flag("do_resize"):
        return
    # `int(x + 0.5)` in transformers/models/sam/image_processing_sam.py, where Python's `round`
    # would go to the even number.
    # It reads `longest_edge` of `size`, whatever is said of the shorter one.
    edge = settings.needed_edges("size", LONGEST, BOTH).side("longest_edge")
    build.resize(rule=sizes.LongestHalfUp(edge))


@builder("resize")
def resize_multiple_below(build: Build) -> None:
    """GLPN: each side down to a multiple of `size_divisor`.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("GLPNImageProcessor")
    >>> config.resize_pipeline.output_size((500, 650))
    (480, 640)
    """
    if build.settings.flag("do_resize"):
        # `size` is not used: transformers/models/glpn/image_processing_glpn.py takes each side down
        # by itself.
        build.resize(rule=sizes.MultipleBelow(build.settings.integer("size_divisor")))


@builder("resize")
def resize_textnet(build: Build) -> None:
    """TextNet: the shorter edge, truncated, then both sides up to a multiple of `size_divisor`.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("TextNetImageProcessor")
    >>> config.resize_pipeline.output_size((480, 640))
    (640, 864)
    """
    settings = build.settings
    if settings.flag("do_resize"):
        # transformers/models/textnet/image_processing_textnet.py: both sides up, after a
        # truncation.
        divisor = settings.integer("size_divisor")
        build.resize(rule=sizes.ShortestMultiple(_shortest(build), divisor))


@builder("resize")
def resize_pplcnet(build: Build) -> None:
    """PP-LCNet: the shorter edge `resize_short`, rounded, then both sides up to a multiple; without
    a `resize_short`, to `size`.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("PPLCNetImageProcessor", {"size_divisor": 32})
    >>> config.resize_pipeline.output_size((480, 640))
    (256, 352)
    """
    settings = build.settings
    if not settings.flag("do_resize"):
        return
    if settings.get("resize_short") is None:
        resize(build)
        return
    # transformers/models/pp_lcnet/image_processing_pp_lcnet.py, which rounds where TextNet
    # truncates.
    edge, divisor = settings.integer("resize_short"), settings.integer("size_divisor")
    build.resize(rule=sizes.ShortestMultiple(edge, divisor, "round"))


@builder("resize")
def resize_side_limit(build: Build) -> None:
    """PP-OCR detection: by `limit_type` and `limit_side_len`, on floats.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("PPOCRV5ServerDetImageProcessor")
    >>> config.resize_pipeline.output_size((480, 640))
    (480, 640)
    """
    settings = build.settings
    if not settings.flag("do_resize"):
        return
    # transformers/models/pp_ocrv5_server_det/image_processing_pp_ocrv5_server_det.py casts by
    # `stacked_images.float()` before its resize, so nothing is rounded to 8 bits.
    limit_type = settings.choice("limit_type", ("max", "min", "resize_long"))
    limit = settings.integer("limit_side_len")
    longest = settings.integer("max_side_limit")
    build.resize(rule=sizes.SideLimit(limit, limit_type, longest), rounded=False)


@builder("resize")
def resize_widest(build: Build) -> None:
    """PP-OCRv5 recognition: see `widest`; on floats.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("PPOCRV5ServerRecImageProcessor")
    >>> config.resize_pipeline.output_size((480, 640))
    (48, 320)
    """
    if build.settings.flag("do_resize"):
        # `stacked_images.float()` comes first in
        # transformers/models/pp_ocrv5_server_rec/image_processing_pp_ocrv5_server_rec.py.
        build.resize(size=widest(build), rounded=False)


@builder("resize")
def resize_widest_interpolating(build: Build) -> None:
    """PP-OCRv6 recognition: see `widest`; without antialiasing.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("PPOCRV6SmallRecImageProcessor")
    >>> config.resize_pipeline.output_size((480, 640))
    (48, 320)
    """
    if build.settings.flag("do_resize"):
        build.resize(size=widest(build), antialias=False)


@builder("resize")
def resize_bounded(build: Build, antialias: bool = True) -> None:
    """DETR: the shorter edge with a bound on the longer one; or both sides; or the largest size
    inside a box.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("DetrImageProcessor")
    >>> config.resize_pipeline.output_size((480, 640))
    (800, 1066)
    """
    if build.settings.flag("do_resize"):
        # A lone `shortest_edge` is refused, as by `resize` of
        # transformers/models/detr/image_processing_detr.py.
        build.settings.needed_edges("size", EXACT, BOTH, INSIDE)
        resize(build, antialias)


@builder("resize")
def resize_bounded_interpolating(build: Build) -> None:
    """RF-DETR: as DETR, without antialiasing.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("RfDetrImageProcessor")
    >>> config.resize_pipeline.output_size((480, 640))
    (800, 1066)
    """
    resize_bounded(build, antialias=False)


@builder("resize")
def resize_yolos(build: Build) -> None:
    """YOLOS: as DETR; where the aspect ratio is kept, both sides down to a multiple of 16, the size
    of its patches.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("YolosImageProcessor")
    >>> config.resize_pipeline.output_size((480, 640))
    (800, 1056)
    """
    if not build.settings.flag("do_resize"):
        return
    edges = build.settings.needed_edges("size", EXACT, BOTH, INSIDE)
    if edges.keys != BOTH:
        resize(build)
        return
    # `mod_size=16` of `get_size_with_aspect_ratio` in
    # transformers/models/yolos/image_processing_yolos.py.
    shortest, longest = edges.side("shortest_edge"), edges.side("longest_edge")
    build.resize(rule=sizes.AspectRatioBelow(shortest, longest, 16))


@builder("resize")
def resize_shortest_below(build: Build) -> None:
    """ViLT and BridgeTower: the shorter edge, the longer one at most 1333 / 800 of it, both down to
    a multiple of `size_divisor` if there is one.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("ViltImageProcessor")
    >>> config.resize_pipeline.output_size((480, 640))
    (384, 512)
    """
    settings = build.settings
    if not settings.flag("do_resize"):
        return
    # `int(MAX_LONGER_EDGE / MAX_SHORTER_EDGE * shorter)`: 1333 and 800 are constants of
    # transformers/models/vilt/image_processing_vilt.py, where `size_divisor` may be None.
    edge = settings.needed_edges("size", SHORTEST, BOTH).side("shortest_edge")
    divisor = 1 if settings.get("size_divisor") is None else settings.integer("size_divisor")
    build.resize(rule=sizes.ShortestBelow(edge, divisor))


@builder("resize")
def resize_near_multiple(build: Build) -> None:
    """DPT: about `size`, with the aspect ratio if it is to be kept, each side a multiple.

    >>> from jaxprep.formats import HuggingFace
    >>> settings = {"keep_aspect_ratio": True, "ensure_multiple_of": 32}
    >>> config = HuggingFace("DPTImageProcessor", settings)
    >>> config.resize_pipeline.output_size((480, 640))
    (384, 512)
    """
    settings = build.settings
    if not settings.flag("do_resize"):
        return
    # `constrain_to_multiple_of` in transformers/models/dpt/image_processing_dpt.py.
    height, width = settings.pair("size")
    divisor = settings.integer("ensure_multiple_of")
    keeps_ratio = settings.flag("keep_aspect_ratio")
    build.resize(rule=sizes.NearestMultiple(height, width, divisor, keeps_ratio))


@builder("resize")
def resize_or_fit(build: Build) -> None:
    """Sapiens2: stretched to `size`; with `do_pad`, inside `size` and 0 around it.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("Sapiens2ImageProcessor", {"do_pad": True})
    >>> config.resize_pipeline.output_size((480, 640))
    (1024, 768)
    """
    settings = build.settings
    if not settings.flag("do_resize"):
        return
    if not settings.flag("do_pad"):
        resize(build)
        return
    height, width = settings.pair("size")
    # The crop is larger than the resized image, so it pads.
    build.resize(rule=sizes.Inside(height, width))
    build.add(ops.CenterCrop((height, width), "down"))


@builder("resize")
def resize_multiple_above(build: Build) -> None:
    """MaskFormer: by any set of keys but a lone `shortest_edge`, then both sides up to a multiple
    of `size_divisor`; 0 means none.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("MaskFormerImageProcessor")
    >>> config.resize_pipeline.output_size((480, 640))
    (800, 1088)
    """
    settings = build.settings
    if not settings.flag("do_resize"):
        return
    # 0 means none in configs of MaskFormer;
    # transformers/models/maskformer/image_processing_maskformer.py.
    divisor = settings.integer("size_divisor", lowest=0) or 1
    edges = settings.needed_edges("size", BOTH, EXACT, INSIDE)
    if edges.keys == EXACT:
        height, width = (-(-n // divisor) * divisor for n in settings.pair("size"))
        build.resize(size=(height, width))
        return
    rule: SizeRule
    if edges.keys == BOTH:
        rule = sizes.AspectRatio(edges.side("shortest_edge"), edges.side("longest_edge"))
    else:
        rule = sizes.Inside(edges.side("max_height"), edges.side("max_width"))
    build.resize(rule=sizes.MultipleAbove(rule, divisor))
