"""Every family by its name, as rows of `presets/huggingface.json` have it."""

from __future__ import annotations

from typing import Any

from jaxprep.huggingface import detection, paired, people, universal_methods
from jaxprep.huggingface.families import Family, plain, timm
from jaxprep.huggingface.oneformer import INPUTS as ONEFORMER_INPUTS
from jaxprep.huggingface.oneformer import oneformer
from jaxprep.huggingface.segmentation import with_maps, with_maps_traced
from jaxprep.huggingface.universal import INPUTS, eomt, eomt_traced, maskformer, maskformer_traced

FAMILIES: dict[str, Family] = {
    "plain": Family(plain),
    "timm": Family(timm),
    "detection": Family(detection.detection, detection.INPUTS, detection.with_pixel_mask_traced),
    "pixel_mask": Family(detection.with_pixel_mask, (), detection.with_pixel_mask_traced),
    "maps": Family(with_maps, ("segmentation_maps",), with_maps_traced),
    "matte": Family(paired.matte, ("trimaps",), paired.matte_traced),
    "people": Family(
        people.people, ("segmentation_maps", "boxes", "keypoints"), people.people_traced
    ),
    "prompted": Family(paired.prompted, ("prompt_images", "prompt_masks"), paired.prompted_traced),
    "prompted_depth": Family(
        paired.prompted_depth, ("prompt_depth",), paired.prompted_depth_traced
    ),
    "maskformer": Family(maskformer, INPUTS, maskformer_traced),
    "oneformer": Family(oneformer, ONEFORMER_INPUTS, maskformer_traced),
    "eomt": Family(eomt, INPUTS, eomt_traced),
}

METHODS: dict[str, dict[str, Any]] = {
    "MaskFormerImageProcessor": universal_methods.MASKFORMER,
    "Mask2FormerImageProcessor": universal_methods.MASKFORMER,
    "OneFormerImageProcessor": universal_methods.ONEFORMER,
}
"""What some classes have besides the methods of every processor, or instead of one of them."""
