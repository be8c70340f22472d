"""Builders of what changes values and channels: rescale, normalise, gray, the order of channels."""

from __future__ import annotations

import numpy as np

from jaxprep import codec, ops
from jaxprep.formats.huggingface.builders.build import Build, builder


@builder()
def rescale(build: Build, offset: float = 0.0) -> None:
    """Values times `rescale_factor`, plus `offset`.

    `rescale` of `transformers/image_transforms.py` computes in float64 and casts; the torchvision
    backend multiplies a float32 tensor.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("GLPNImageProcessor")
    >>> [type(step).__name__ for step in config.pipeline.steps]
    ['Resize', 'Rescale']
    """
    if build.settings.flag("do_rescale"):
        factor = build.settings.number("rescale_factor")
        # The two differ in the last bit for 126 of the 256 values of 8 bits, at 1 / 255.
        arithmetic = "float32" if build.on_torch else "float64"
        build.add(ops.Rescale(factor, offset, arithmetic=arithmetic))
        build.is_float = True


@builder()
def normalize(build: Build) -> None:
    """`(x - image_mean) / image_std`.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("DINOv3ViTImageProcessor")
    >>> [type(step).__name__ for step in config.pipeline.steps]
    ['Rescale', 'Resize', 'Normalize']
    """
    if build.settings.flag("do_normalize"):
        build.add(ops.Normalize(build.settings.per_channel("image_mean"), _std(build)))
        build.is_float = True


def _std(build: Build) -> float | tuple[float, ...]:
    std = build.settings.per_channel("image_std")
    # In float32, in which it is divided by: a number that vanishes there makes infinities.
    if np.any(np.abs(np.asarray(std, np.float32)) < 1e-12):
        raise codec.expected("standard deviations that are not 0", std, "$.image_std")
    return std


def _nonzero_factor(build: Build) -> float:
    factor = build.settings.number("rescale_factor")
    if abs(factor) < 1e-12:
        raise codec.expected("a factor that is not 0", factor, "$.rescale_factor")
    return factor


@builder()
def rescale_and_normalize(build: Build) -> None:
    """Rescale, then normalise; on the torchvision backend in one step.

    There mean and standard deviation are divided by the factor in float32
    (`_fuse_mean_std_and_rescale_factor` of `transformers/image_processing_backends.py`), which
    differs from two steps in the last bits.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("ViTImageProcessor")
    >>> [type(step).__name__ for step in config.pipeline.steps]
    ['Resize', 'Normalize']
    """
    settings = build.settings
    # Only where both are on, as in the original.
    is_fused = build.on_torch and settings.flag("do_rescale") and settings.flag("do_normalize")
    if not is_fused:
        rescale(build)
        normalize(build)
        return
    inverse = np.float32(1.0 / _nonzero_factor(build))
    mean = np.asarray(settings.per_channel("image_mean"), np.float32) * inverse
    std = np.asarray(_std(build), np.float32) * inverse
    build.add(ops.Normalize(_as_field(mean), _as_field(std)))
    build.is_float = True


def _as_field(array: np.ndarray) -> float | tuple[float, ...]:
    """An array as the field of a frozen dataclass."""
    numbers = array.tolist()
    return tuple(numbers) if isinstance(numbers, list) else numbers


@builder()
def rescale_and_normalize_bfloat16(build: Build) -> None:
    """Llama 4: rescale and normalise in bfloat16, where both are on.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("Llama4ImageProcessor")
    >>> [type(step).__name__ for step in config.pipeline.steps]
    ['ToRGB', 'Fit', 'NormalizeBfloat16', 'Tiles']
    """
    settings = build.settings
    if not (settings.flag("do_rescale") and settings.flag("do_normalize")):
        rescale(build)
        normalize(build)
        return
    factor = settings.number("rescale_factor")
    build.add(ops.NormalizeBfloat16(factor, settings.per_channel("image_mean"), _std(build)))
    build.is_float = True


@builder()
def rescale_offset_and_normalize(build: Build) -> None:
    """EfficientNet: with `rescale_offset`, 1 is subtracted after the rescale, and nothing is
    fused.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("EfficientNetImageProcessor", {"rescale_offset": True})
    >>> [type(step).__name__ for step in config.pipeline.steps]
    ['Resize', 'Rescale', 'Normalize', 'Normalize']
    """
    if build.settings.flag("rescale_offset"):
        rescale(build, offset=-1.0)
        normalize(build)
    else:
        rescale_and_normalize(build)


@builder()
def rescale_from_minus_one_and_normalize(build: Build) -> None:
    """ViViT: 1 is subtracted after the rescale, unless `offset` is off, and nothing is fused.

    Its video processor has no such setting (`rescale_and_normalize` of
    `transformers/models/vivit/video_processing_vivit.py`).

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("VivitVideoProcessor")
    >>> [type(step).__name__ for step in config.pipeline.steps[-2:]]
    ['Rescale', 'Normalize']
    """
    settings = build.settings
    has_offset = "offset" not in settings.row.kwargs or settings.flag("offset")
    rescale(build, offset=-1.0 if has_offset else 0.0)
    normalize(build)


@builder()
def include_top(build: Build) -> None:
    """EfficientNet: values are divided by the standard deviation once more.

    A quirk of the published preprocessing (`include_top` in
    `transformers/models/efficientnet/image_processing_efficientnet.py`), which weights rely on.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("EfficientNetImageProcessor", {"do_normalize": False})
    >>> [type(step).__name__ for step in config.pipeline.steps]
    ['Resize', 'Rescale', 'Normalize']
    """
    if build.settings.flag("include_top"):
        # `include_top` of transformers/models/efficientnet/image_processing_efficientnet.py.
        build.add(ops.Normalize(0.0, _std(build)))
        build.is_float = True


@builder()
def rescale_and_normalize_matte(build: Build) -> None:
    """ViTMatte: the colours, three or as many as there are means, are rescaled and normalised; the
    last channel, the trimap, is only rescaled.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("VitMatteImageProcessor")
    >>> [type(step).__name__ for step in config.pipeline.steps]
    ['Rescale', 'Normalize', 'PadToMultiple']
    """
    settings = build.settings
    if not settings.flag("do_normalize"):
        rescale(build)
        return
    mean, std = (_floats_of_colors(build, key) for key in ("image_mean", "image_std"))
    if len(mean) != len(std):
        raise codec.expected(f"{len(mean)} numbers, as many as means", std.tolist(), "$.image_std")
    factor = settings.number("rescale_factor") if settings.flag("do_rescale") else 1.0
    if settings.flag("do_rescale") and not build.on_torch:
        rescale(build)
    elif factor != 1:
        # The torchvision backend fuses: colours are normalised in the unit of the pixels.
        inverse = np.float32(1.0 / _nonzero_factor(build))
        build.add(ops.Rescale((*np.ones_like(mean).tolist(), factor)))
        mean, std = mean * inverse, std * inverse
    # A mean of 0 and a deviation of 1 leave the trimap as it is.
    build.add(ops.Normalize((*mean.tolist(), 0.0), (*std.tolist(), 1.0)))
    build.is_float = True


def _floats_of_colors(build: Build, key: str) -> np.ndarray:
    """A number for each channel but the last, the trimap."""
    numbers = np.asarray(build.settings.per_channel(key), np.float32)
    if numbers.size > 1:
        return numbers
    return np.broadcast_to(numbers, (max(build.source.channels - 1, 3),))


# -- channels ------------------------------------------------------------------------------------


@builder()
def gray(build: Build) -> None:
    """SuperPoint: three equal channels.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("SuperPointImageProcessor", {"do_grayscale": True})
    >>> [type(step).__name__ for step in config.pipeline.steps]
    ['ToGray', 'Resize', 'Rescale']
    """
    if not build.settings.flag("do_grayscale"):
        return
    # NumPy makes floats of gray, which torchvision rounds down.
    if not build.on_torch and not build.is_float:
        build.add(ops.Cast("float32"))
        build.is_float = True
    # Three channels, not one, by
    # https://github.com/huggingface/transformers/pull/25786#issuecomment-1730176446.
    build.add(ops.ToGray())


@builder()
def reverse_channels(build: Build) -> None:
    """PP-OCR and PP-LCNet: RGB to BGR, without alpha.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("PPLCNetImageProcessor")
    >>> [type(step).__name__ for step in config.pipeline.steps]
    ['Resize', 'CenterCrop', 'Normalize', 'ReverseChannels']
    """
    if build.source.channels == 4:
        # `[:, [2, 1, 0]]` of transformers/models/pp_lcnet/image_processing_pp_lcnet.py.
        build.add(ops.ToRGB(alpha="drop"))
    build.add(ops.ReverseChannels())


@builder()
def reverse_all_channels(build: Build) -> None:
    """LayoutLMv2: RGB to BGR, and RGBA to ABGR.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("LayoutLMv2ImageProcessor")
    >>> [type(step).__name__ for step in config.pipeline.steps]
    ['Resize', 'ReverseChannels']
    """
    # `flip(1)` of transformers/models/layoutlmv2/image_processing_layoutlmv2.py.
    build.add(ops.ReverseChannels())


@builder()
def flip_all_channels(build: Build) -> None:
    """TVP: all channels reversed where the setting says so.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("TvpImageProcessor")
    >>> [type(step).__name__ for step in config.pipeline.steps]
    ['Resize', 'CenterCrop', 'Normalize', 'PadTo', 'ReverseChannels']
    """
    if build.settings.flag("do_flip_channel_order"):
        reverse_all_channels(build)


@builder()
def flip_channel_order(build: Build) -> None:
    """MobileViT: RGB to BGR where the setting says so.

    On the torchvision backend alpha stays last; `flip_channel_order` of
    `transformers/image_transforms.py` reverses all channels.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("MobileViTImageProcessor")
    >>> [type(step).__name__ for step in config.pipeline.steps]
    ['Resize', 'CenterCrop', 'Rescale', 'ReverseChannels']
    """
    if build.settings.flag("do_flip_channel_order"):
        build.add(ops.ReverseChannels(keep_alpha=build.on_torch))


@builder()
def quantize(build: Build) -> None:
    """ImageGPT: each pixel becomes the index of the nearest of `clusters`; without them nothing is
    done, and a call asks for them.

    >>> from jaxprep.formats import HuggingFace
    >>> settings = {"clusters": [[-1, -1, -1], [1, 1, 1]]}
    >>> config = HuggingFace("ImageGPTImageProcessor", settings)
    >>> [type(step).__name__ for step in config.pipeline.steps]
    ['Resize', 'Normalize', 'NearestColor']
    """
    settings = build.settings
    if not settings.flag("do_color_quantize") or settings.get("clusters") is None:
        return
    # The torchvision backend computes in float32, NumPy in float64 with the numbers of a file.
    build.add(ops.NearestColor(settings.colors("clusters"), expanded=build.on_torch))
    # A value that is off by its last bit may be nearer to another colour.
    build.is_exact = True
