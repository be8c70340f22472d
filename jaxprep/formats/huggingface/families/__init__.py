"""Behaviour families: settings to steps. A row of the table names its family; a family is a
function of a `Build`.
"""

from __future__ import annotations

from jaxprep.formats.huggingface.families import detection, plain, segmentation, universal
from jaxprep.formats.huggingface.families.build import Build, Builder, Kind, Source
from jaxprep.formats.huggingface.families.plain import pads_to_largest

__all__ = ["BUILDERS", "FAMILIES", "Build", "Builder", "Kind", "Source", "pads_to_largest"]

FAMILIES: dict[str, Builder] = {
    "plain": plain.add_steps,
    "detection": detection.add_steps,
    "pixel_mask": detection.add_steps,
    "maps": segmentation.add_steps,
    "matte": segmentation.add_steps,
    "people": segmentation.add_steps,
    "prompted": segmentation.add_steps,
    "prompted_depth": segmentation.add_steps,
    "maskformer": universal.add_steps,
    "oneformer": universal.add_steps,
    "eomt": universal.add_steps,
}

BUILDERS: dict[str, Builder] = detection.BUILDERS | segmentation.BUILDERS | universal.BUILDERS
"""Those of all families, by the names that rows have."""
