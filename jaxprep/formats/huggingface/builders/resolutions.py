"""Builders of a second result, at another resolution, whose settings have a prefix: DeepSeek-VL
Hybrid's `high_res_…` and FLAVA's `codebook_…`.
"""

from __future__ import annotations

from jaxprep import ops
from jaxprep.formats.huggingface.builders.build import Build, builder
from jaxprep.formats.huggingface.builders.crop_and_pad import center_crop, pad_square
from jaxprep.formats.huggingface.builders.resize import resize, resize_longest
from jaxprep.formats.huggingface.builders.values import rescale_and_normalize

LOGIT_LAPLACE_EPS = 0.1
"""How far the pixels of FLAVA's codebook keep from 0 and 1
(`transformers/models/flava/image_processing_flava.py`)."""


@builder()
def high_resolution(build: Build) -> None:
    """DeepSeek-VL Hybrid: the longer edge becomes the side of the square `high_res_size`, and the
    colour of the mean makes it a square.

    The image of low resolution is made of this one.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("DeepseekVLHybridImageProcessor")
    >>> [type(step).__name__ for step in config.pipeline.steps]
    ['Resize', 'PadToSquare', 'Resize', 'Normalize']
    """
    # Without a resize, nothing is padded either in `_preprocess` of
    # transformers/models/deepseek_vl_hybrid/image_processing_pil_deepseek_vl_hybrid.py; the
    # torchvision backend fails.
    if not build.settings.flag("do_resize"):
        return
    method = build.settings.method("high_res_resample")
    # `resample or self.resample` there, where NEAREST is 0.
    is_given = build.settings.get("high_res_resample") is not None and method != "nearest"
    if not is_given and not build.on_torch:
        method = build.settings.method("resample")
    with build.reading("high_res_"):
        resize_longest(build, method)
        pad_square(build)


@builder()
def high_resolution_values(build: Build) -> None:
    """DeepSeek-VL Hybrid: the image of high resolution is rescaled and normalised.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.formats.huggingface.builders import Source
    >>> config = HuggingFace("DeepseekVLHybridImageProcessor")
    >>> config.pipeline_of(Source(), view="high_resolution").output_size((480, 640))
    (1024, 1024)
    """
    with build.reading("high_res_"):
        rescale_and_normalize(build)


@builder()
def codebook(build: Build) -> None:
    """FLAVA: what its codebook makes the targets of pretraining from.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.formats.huggingface.builders import Source
    >>> pipeline = HuggingFace("FlavaImageProcessor").pipeline_of(Source(), view="codebook")
    >>> [type(step).__name__ for step in pipeline.steps]
    ['Resize', 'CenterCrop', 'Normalize', 'Rescale']
    """
    with build.reading("codebook_"):
        resize(build)
        center_crop(build)
        rescale_and_normalize(build)
    if build.settings.flag("codebook_do_map_pixels"):
        # `map_pixels`, in float32.
        build.add(ops.Rescale(1 - 2 * LOGIT_LAPLACE_EPS, LOGIT_LAPLACE_EPS))
        build.is_float = True
