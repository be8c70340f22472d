"""Builders of crops and padding.

Where a docstring names a model, the rule is that of `transformers/models/<model>/
image_processing_<model>.py`, Transformers 5.24.
"""

from __future__ import annotations

from jaxprep import ops
from jaxprep.bounds import check_size
from jaxprep.formats.huggingface.builders.build import Build, builder
from jaxprep.formats.huggingface.settings import BOTH, EXACT, SHORTEST, Settings
from jaxprep.ops import sizes
from jaxprep.ops.mirror import MirrorMode
from jaxprep.types import Size


def center_rule(build: Build) -> ops.crop.CenterRule:
    """Return how the backend halves an odd margin.

    torchvision computes `int((n - m) / 2.0)`, `center_crop` of `transformers/image_transforms.py`
    `(n - m) // 2`; they differ where the crop is larger than the image.

    >>> from jaxprep.formats.huggingface.builders.build import Source
    >>> center_rule(Build(Settings("ViTImageProcessor", {}), "pil", Source()))
    'floor'
    """
    return "down" if build.on_torch else "floor"


@builder("center_crop", size_key="crop_size")
def center_crop(build: Build) -> None:
    """The middle of the image; a smaller image is padded with 0.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("CLIPImageProcessor")
    >>> config.pipeline.output_size((480, 640))
    (224, 224)
    """
    if build.settings.flag("do_center_crop"):
        build.add(ops.CenterCrop(build.settings.pair("crop_size"), center_rule(build)))


@builder("center_crop", size_key="size")
def center_crop_share(build: Build) -> None:
    """Perceiver: the middle `size / crop_size` of the shorter edge.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("PerceiverImageProcessor")
    >>> [type(step).__name__ for step in config.pipeline.steps]
    ['CenterCropShare', 'Resize', 'Normalize']
    """
    if not build.settings.flag("do_center_crop"):
        return
    height, width = build.settings.pair("size")
    crop_height, crop_width = build.settings.pair("crop_size")
    # `center_crop` of transformers/models/perceiver/image_processing_perceiver.py, before its
    # resize.
    shares = height / crop_height, width / crop_width
    build.add(ops.CenterCropShare(*shares, center_rule(build)))


@builder("center_crop", size_key="crop_size")
def center_crop_square(build: Build) -> None:
    """BridgeTower: the square whose side is the `shortest_edge` of `crop_size`.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("BridgeTowerImageProcessor")
    >>> config.pipeline.output_size((480, 640))
    (288, 288)
    """
    if not build.settings.flag("do_center_crop"):
        return
    edges = build.settings.needed_edges("crop_size", SHORTEST, EXACT)
    pair = edges.pair
    if pair is None:
        # transformers/models/bridgetower/image_processing_bridgetower.py crops height and width
        # alike.
        pair = edges.side("shortest_edge"), edges.side("shortest_edge")
    build.add(ops.CenterCrop(pair, center_rule(build)))


# -- padding -------------------------------------------------------------------------------------


def pads(settings: Settings) -> bool:
    """Return whether results are padded at all, to `pad_size` or to the largest of a call.

    >>> pads(Settings("DetrImageProcessor", {})), pads(Settings("ViTImageProcessor", {}))
    (True, False)
    """
    padding = settings.row.padding
    if padding is None:
        return False
    # MaskFormer and OneFormer pad whatever `do_pad` says.
    if padding.always or (padding.by_default and settings.get("do_pad") is None):
        return True
    return settings.flag("do_pad")


def has_pad_size(settings: Settings) -> bool:
    """Return whether results are padded to the setting `pad_size`.

    >>> has_pad_size(Settings("DetrImageProcessor", {"pad_size": 1400}))
    True
    """
    padding = settings.row.padding
    return padding is not None and padding.to == "pad_size" and settings.get("pad_size") is not None


def pads_to_largest(settings: Settings) -> bool:
    """Return whether results of different sizes are padded to the largest of a call.

    >>> pads_to_largest(Settings("DetrImageProcessor", {}))
    True
    """
    return pads(settings) and not has_pad_size(settings)


@builder("pad", size_key="pad_size")
def pad(build: Build) -> None:
    """0 below and to the right, to `pad_size`.

    Padding to the largest result of a call is no step, since it depends on the other images: see
    `pads_to_largest`.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("DetrImageProcessor", {"pad_size": {"height": 1400, "width": 1400}})
    >>> config.pipeline.output_size((480, 640))
    (1400, 1400)
    """
    if pads(build.settings) and has_pad_size(build.settings):
        build.add(ops.PadTo(build.settings.pair("pad_size")))


@builder("pad", size_key="pad_size")
def pad_frames(build: Build) -> None:
    """TVP: `constant_values` below and to the right, to `pad_size`; on the PIL backend as
    `pad_mode` says.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("TvpImageProcessor", {"do_center_crop": False})
    >>> config.pipeline.output_size((480, 640))
    (448, 448)
    """
    settings = build.settings
    if not settings.flag("do_pad"):
        return
    # `PaddingMode` of transformers/image_transforms.py, by the names that NumPy has for them.
    modes: dict[str, MirrorMode] = {
        "replicate": "edge",
        "reflect": "reflect",
        "symmetric": "symmetric",
    }
    mode = settings.choice("pad_mode", ["constant", *modes])
    # `pad` of the torchvision backend does not know `pad_mode`.
    if build.on_torch or mode == "constant":
        fill = settings.per_channel("constant_values")
        build.add(ops.PadTo(settings.pair("pad_size"), fill))
    else:
        build.add(ops.MirrorTo(settings.pair("pad_size"), modes[mode]))


def widest(build: Build) -> Size:
    """Return the one size that PP-OCR recognition gives to all images of a call, from the widest of
    them; where they are not known, the default.

    >>> from jaxprep.formats.huggingface.builders.build import Source
    >>> build = Build(Settings("PPOCRV5ServerRecImageProcessor", {}), "torchvision", Source())
    >>> widest(build)
    (48, 320)
    """
    size = build.settings.pair("size")
    # All images of a call get the aspect ratio of the widest, for one batch of text lines.
    longest = build.settings.integer("max_image_width")
    return sizes.widest(list(build.sizes or [size]), size, longest)


@builder()
def pad_narrow(build: Build) -> None:
    """PP-OCR recognition: to `pad_size`, unless the size of the call is wider.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("PPOCRV5ServerRecImageProcessor")
    >>> config.pipeline.output_size((480, 640))
    (48, 320)
    """
    if not build.settings.flag("do_pad"):
        return
    # `do_pad and target_size.width < pad_size.width` in
    # transformers/models/pp_ocrv5_server_rec/image_processing_pp_ocrv5_server_rec.py.
    pad_size = build.settings.pair("pad_size")
    if widest(build)[1] < pad_size[1]:
        build.add(ops.PadTo(pad_size))


@builder()
def pad_square(build: Build) -> None:
    """LLaVA and Janus: a square around the image, in the colour of the mean.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("LlavaImageProcessor", {"do_pad": True})
    >>> config.pipeline.output_size((480, 640))
    (224, 224)
    """
    if build.settings.flag("do_pad"):
        build.add(ops.PadToSquare(mean_color(build.settings)))


def mean_color(settings: Settings) -> tuple[float, ...]:
    """Return the colour of `image_mean`, in levels of 8 bits, truncated.

    >>> mean_color(Settings("LlavaImageProcessor", {}))
    (122.0, 116.0, 104.0)
    """
    mean = settings.per_channel("image_mean")
    # `tuple(int(x * 255) for x in image_mean)` in
    # transformers/models/llava/image_processing_llava.py; the setting `background_color` of Janus'
    # configs holds the same numbers.
    means = mean if isinstance(mean, tuple) else (mean,) * 3
    return tuple(float(int(m * 255)) for m in means)


@builder()
def pad_next_multiple(build: Build) -> None:
    """Swin2SR: mirrored, to the next multiple of `size_divisor` above the size.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("Swin2SRImageProcessor")
    >>> config.pipeline.output_size((480, 640))
    (488, 648)
    """
    if build.settings.flag("do_pad"):
        # `(height // size_divisor + 1) * size_divisor`: a size that is a multiple already grows
        # too, in transformers/models/swin2sr/image_processing_swin2sr.py.
        build.add(ops.PadToNextMultiple(build.settings.integer("size_divisor")))


@builder()
def pad_around(build: Build) -> None:
    """DPT: 0 on all sides, to a multiple of `size_divisor`; without one, nothing.

    >>> from jaxprep.formats import HuggingFace
    >>> settings = {"do_resize": False, "do_pad": True, "size_divisor": 14}
    >>> config = HuggingFace("DPTImageProcessor", settings)
    >>> config.pipeline.output_size((480, 640))
    (490, 644)
    """
    settings = build.settings
    if settings.flag("do_pad") and settings.get("size_divisor") is not None:
        # `_get_pad` in transformers/models/dpt/image_processing_dpt.py: the smaller half is above
        # and left.
        build.add(ops.PadToMultiple(settings.integer("size_divisor"), centered=True))


@builder()
def pad_multiple(build: Build) -> None:
    """ViTMatte: 0 below and to the right, to a multiple of `size_divisor`.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("VitMatteImageProcessor")
    >>> config.pipeline.output_size((500, 650))
    (512, 672)
    """
    if build.settings.flag("do_pad"):
        # `_pad_image` of transformers/models/vitmatte/image_processing_vitmatte.py.
        build.add(ops.PadToMultiple(build.settings.integer("size_divisor")))


@builder()
def pad_window(build: Build) -> None:
    """EoMT: at least to a window, before the values are normalised.

    Splitting into windows is no step, since it makes several images of one; but its setting is
    checked here, where the config is made.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("EomtImageProcessor", {"do_pad": True})
    >>> config.pipeline.output_size((480, 640))
    (640, 640)
    """
    if build.settings.flag("do_split_image"):
        window(build.settings)
    if build.settings.flag("do_pad"):
        build.add(ops.PadToAtLeast(window(build.settings)))


def window(settings: Settings) -> Size:
    """Return the size that EoMT pads to; its height is also the length of the windows that an image
    is split into.

    >>> window(Settings("EomtImageProcessor", {}))
    (640, 640)
    """
    edges = settings.needed_edges("size", SHORTEST, BOTH)
    shortest = edges.side("shortest_edge")
    # `get_target_size` of transformers/models/eomt/image_processing_eomt.py.
    size = shortest, edges.longest_edge or shortest
    check_size(size, "$.size")
    return size
