"""Builders of classes that cut large images into parts.

Where a docstring names a model, the rule is that of `transformers/models/<model>/
image_processing_<model>.py`, Transformers 5.24.
"""

from __future__ import annotations

from jaxprep.formats.huggingface.builders.build import Build, builder
from jaxprep.formats.huggingface.builders.resize import resize_any
from jaxprep.formats.huggingface.settings import Settings
from jaxprep.ops.slice_sizes import Cut, pan_and_scan
from jaxprep.types import Size

MAX_CUTS = 2**16
"""Of one image: more is a mistake, or a config made to exhaust the memory."""


@builder("resize")
def resize_pan_and_scan(build: Build) -> None:
    """Gemma 3: as the base classes; the torchvision backend resizes whenever it cuts.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("Gemma3ImageProcessor", {"do_resize": False})
    >>> config.pipeline.output_size((480, 640))
    (480, 640)
    """
    settings = build.settings
    # `_preprocess` of transformers/models/gemma3/image_processing_gemma3.py looks at `do_resize`
    # only where it does not cut.
    if settings.flag("do_resize") or (build.on_torch and settings.flag("do_pan_and_scan")):
        resize_any(build)


def pan_and_scan_cuts(settings: Settings, size: Size) -> list[Cut]:
    """Return the parts of an image of `size`; none where `do_pan_and_scan` is off.

    Raises:
        ConfigError: one of the three settings of the cuts is missing.

    >>> keys = ("min_crop_size", "max_num_crops", "min_ratio_to_activate")
    >>> given = {f"pan_and_scan_{key}": value for key, value in zip(keys, (64, 4, 1.2))}
    >>> settings = Settings("Gemma3ImageProcessor", {"do_pan_and_scan": True, **given})
    >>> len(pan_and_scan_cuts(settings, (100, 310)))
    3
    """
    if not settings.flag("do_pan_and_scan"):
        return []
    least = settings.integer("pan_and_scan_min_crop_size")
    most = settings.integer("pan_and_scan_max_num_crops", highest=MAX_CUTS)
    ratio = settings.number("pan_and_scan_min_ratio_to_activate", 0.0)
    return pan_and_scan(size, least, most, ratio)
