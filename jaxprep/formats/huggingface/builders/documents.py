"""Builders of pages: Donut, Nougat, PP-FormulaNet.

Where a docstring names a model, the rule is that of `transformers/models/<model>/
image_processing_<model>.py`, Transformers 5.24. What Nougat crops off depends on the pixels, so it
is no step: see `jaxprep.huggingface.documents`.
"""

from __future__ import annotations

from jaxprep import ops
from jaxprep.formats.huggingface.builders.build import Build, builder
from jaxprep.ops import sizes


@builder()
def align_long_axis(build: Build) -> None:
    """Donut: turned by a quarter where the longer side is not that of `size`.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("DonutImageProcessor", {"do_align_long_axis": True})
    >>> [type(step).__name__ for step in config.pipeline.steps]
    ['AlignLongAxis', 'Resize', 'Resize', 'CenterCrop', 'Normalize']
    """
    if build.settings.flag("do_align_long_axis"):
        build.add(ops.AlignLongAxis(build.settings.pair("size")))


@builder("resize")
def resize_page(build: Build) -> None:
    """Donut: the shorter side becomes the shorter one of `size`.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("DonutImageProcessor", {"do_thumbnail": False})
    >>> config.resize_pipeline.output_size((480, 640))
    (1920, 2560)
    """
    if build.settings.flag("do_resize"):
        build.resize(shortest_edge=min(build.settings.pair("size")))


@builder("resize")
def shrink_page(build: Build) -> None:
    """Donut: what is larger than `size` is shrunk.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("DonutImageProcessor")
    >>> config.resize_pipeline.output_size((480, 640))
    (1440, 1920)
    """
    if not build.settings.flag("do_thumbnail"):
        return
    method = build.settings.method()
    # `resample or PILImageResampling.BICUBIC`, where NEAREST is 0:
    # transformers/models/donut/image_processing_pil_donut.py
    if method == "nearest" and not build.on_torch:
        method = "bicubic"
    build.resize(rule=sizes.Thumbnail(*build.settings.pair("size")), method=method)


@builder("resize")
def shrink_page_bicubic(build: Build) -> None:
    """Nougat: what is larger than `size` is shrunk, whatever `resample` is.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("NougatImageProcessor")
    >>> [step.method for step in config.resize_pipeline.steps]
    ['bilinear', 'bicubic']
    """
    if build.settings.flag("do_thumbnail"):
        build.resize(rule=sizes.Thumbnail(*build.settings.pair("size")), method="bicubic")


@builder("resize")
def shrink_page_reducing(build: Build) -> None:
    """Nougat: the same by Pillow with a `reducing_gap`, for pages that become less than a quarter.

    It sees a whole array, so pages of different sizes are compiled for one by one: other pages, for
    which it gives the same, go without it.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.formats.huggingface.builders import Source
    >>> pipeline = HuggingFace("NougatImageProcessor", backend="pil").pipeline_of(
    ...     Source(), view="reducing"
    ... )
    >>> [type(step).__name__ for step in pipeline.steps]
    ['Resize', 'ReducingResize', 'CenterCrop', 'Rescale', 'Normalize']
    """
    if build.settings.flag("do_thumbnail"):
        rule = sizes.Thumbnail(*build.settings.pair("size"))
        build.reducing_resize(rule, method="bicubic")


@builder()
def pad_page(build: Build) -> None:
    """Donut: 0 on all sides, to `size`; what is larger is cropped.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("DonutImageProcessor")
    >>> config.pipeline.output_size((480, 640))
    (2560, 1920)
    """
    if build.settings.flag("do_pad"):
        # `pad_image` pads by a negative number where the image is larger, which crops it on the
        # torchvision backend; the PIL backend fails.
        build.add(ops.CenterCrop(build.settings.pair("size"), "up"))
