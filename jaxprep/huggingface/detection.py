"""Classes that return a `pixel_mask`, and those of them that take COCO annotations and return
`labels`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxprep.errors import ConfigError, InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface.families.detection import annotation_format
from jaxprep.huggingface.annotations import (
    Target,
    detection_target,
    padded,
    panoptic_target,
    relative,
    resized,
)
from jaxprep.huggingface.coco import wrong
from jaxprep.huggingface.families import Call, Results, read, run, traced
from jaxprep.huggingface.features import Each
from jaxprep.huggingface.inputs import Image
from jaxprep.huggingface.padding import Padding, padded_traced, padding_of

INPUTS = ("annotations", "return_segmentation_masks", "masks_path")


def detection(call: Call) -> Results:
    """Images, their `pixel_mask`, and `labels`: of each image's annotation, a dictionary of arrays.

    Integers are int64; in JAX, where 64 bits are off by default, that is int32.
    """
    images = read(call)
    if call.inputs.get("annotations") is None:
        return _masked(call, images)
    labels = _labels(call, images)
    return {**_masked(call, images), "labels": labels}


def with_pixel_mask(call: Call) -> Results:
    """Images, and their `pixel_mask`."""
    return _masked(call, read(call))


def _masked(call: Call, images: Sequence[Image]) -> Results:
    config = call.config
    assert isinstance(config, HuggingFace)
    sizes = [image.size for image in images]
    masks = (
        {"pixel_mask": padding_of(config, sizes).masks()} if config.effective.flag("do_pad") else {}
    )
    return {**masks, "pixel_values": run(config, images)}


def with_pixel_mask_traced(call: Call) -> Results:
    """The same inside a caller's transformation, where annotations cannot be read."""
    config = call.config
    assert isinstance(config, HuggingFace)
    if any(value is not None for value in call.inputs.values()):
        raise InputError(
            f"Expected images alone inside `jit`, got {sorted(call.inputs)}: annotations are host data."
        )
    if config.effective.flag("do_pad"):
        return padded_traced(config, call.images, call.layout)
    return {"pixel_values": traced(config, call.images, call.layout)}


# -- annotations -------------------------------------------------------------------------------------------------------


def _labels(call: Call, images: Sequence[Image]) -> Each:
    """What becomes of the annotation of each image."""
    config = call.config
    assert isinstance(config, HuggingFace)
    given = call.inputs["annotations"]
    annotations = [given] if isinstance(given, Mapping) else given
    if not isinstance(annotations, (list, tuple)):
        raise wrong("an annotation, or a list with one for each image", given, "annotations")
    if len(annotations) != len(images):
        raise InputError(
            f"Expected an annotation for each of {len(images)} images, got {len(annotations)}."
        )
    padding = padding_of(config, [image.size for image in images])
    found = [
        _target(call, annotation, image, i)
        for i, (annotation, image) in enumerate(zip(annotations, images))
    ]
    return Each(_moved(config, target, images[i], padding, i) for i, target in enumerate(found))


def _target(call: Call, annotation: Any, image: Image, i: int) -> Target:
    """The target of one image as it came."""
    config = call.config
    assert isinstance(config, HuggingFace)
    row, where = config.effective.row["annotations"], f"annotations[{i}]"
    wants = call.inputs.get("return_segmentation_masks")
    if wants is not None and not isinstance(wants, bool):
        raise wrong("true, false or None", wants, "return_segmentation_masks")
    is_detection = annotation_format(config.effective) == "coco_detection"
    if is_detection:
        target = detection_target(annotation, image.size, bool(wants) and row["masks"], where)
    elif row["panoptic"]:
        path = call.inputs.get("masks_path")
        target = panoptic_target(annotation, image.size, wants is not False, path, where)
    else:
        raise ConfigError(
            f"`{config.class_name}` takes annotations of the format 'coco_detection' only - at `$.format`."
        )
    if "masks" in target and is_detection == (config.backend == "torchvision"):
        target["masks"] = target["masks"].astype(np.uint8)  # until they are resized
    return target


def _moved(config: HuggingFace, target: Target, image: Image, padding: Padding, i: int) -> Target:
    """A target through what is done to its image."""
    settings, is_pil = config.effective, config.backend == "pil"
    inner, is_relative = padding.inner[i], settings.flag("do_convert_annotations")
    if settings.flag("do_resize"):
        nearest = (config.reference or "pillow") if is_pil else "torch_exact"
        target = resized(target, image.size, inner, nearest)
    if is_relative:
        target = relative(target, inner)
    if settings.flag("do_pad") and inner != padding.whole:
        target = padded(target, inner, padding.whole, is_relative, is_pil)
    return target
