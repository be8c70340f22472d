"""Classes that return a `pixel_mask`, and those of them that take COCO annotations and return
`labels`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxprep.errors import ConfigError, InputError
from jaxprep.formats import HuggingFace
from jaxprep.huggingface.annotations import (
    Target,
    detection_target,
    padded,
    panoptic_target,
    relative,
    resized,
)
from jaxprep.huggingface.call import Call, Family, Results, image_results, read, sizes_of
from jaxprep.huggingface.coco import wrong
from jaxprep.huggingface.features import PerImage
from jaxprep.huggingface.images import Image
from jaxprep.huggingface.padding import Padding, padding_of
from jaxprep.resample.references import ReferenceName
from jaxprep.types import Size


def with_pixel_mask(call: Call) -> Results:
    """Return images, and their `pixel_mask` where they are padded.

    >>> from jaxprep.huggingface import ViltImageProcessor
    >>> processor = ViltImageProcessor(size={"shortest_edge": 32})
    >>> images = [np.zeros((64, 64, 3), np.uint8), np.zeros((64, 96, 3), np.uint8)]
    >>> processor(images).pixel_mask.shape
    (2, 32, 32)
    """
    return _with_pixel_mask(call, read(call))


def detection(call: Call) -> Results:
    """Return images, their `pixel_mask`, and `labels`: of each image's annotation, a dictionary of
    arrays.

    Integers are int64; in JAX, where 64 bits are off by default, that is int32.

    >>> from jaxprep.huggingface import DetrImageProcessor
    >>> processor = DetrImageProcessor(size={"height": 8, "width": 8})
    >>> box = {"bbox": [4, 4, 8, 8], "category_id": 7, "area": 64, "iscrowd": 0}
    >>> annotation = {"image_id": 1, "annotations": [box]}
    >>> result = processor(np.zeros((16, 16, 3), np.uint8), annotations=annotation)
    >>> result.labels[0]["boxes"].tolist()
    [[0.5, 0.5, 0.5, 0.5]]
    """
    given = {name for name, value in call.inputs.items() if value is not None}
    if call.is_traced and given:
        raise InputError(
            f"Expected images alone inside `jit`, got {sorted(call.inputs)}: annotations are host "
            "data."
        )
    images = read(call)
    if "annotations" not in given:
        return _with_pixel_mask(call, images)
    # Annotations come first: a wrong one is refused before any pixel is computed.
    labels = _labels(call, images)
    return _with_pixel_mask(call, images) | {"labels": labels}


PIXEL_MASK = Family(with_pixel_mask)
DETECTION = Family(detection, ("annotations", "return_segmentation_masks", "masks_path"))


def _with_pixel_mask(call: Call, images: Sequence[Image]) -> Results:
    results: Results = {}
    if call.config.pads:
        results["pixel_mask"] = padding_of(call.config, sizes_of(images)).pixel_masks()
    return results | image_results(call, images)


# -- annotations ---------------------------------------------------------------------------------


def _labels(call: Call, images: Sequence[Image]) -> PerImage:
    """The target of each image, in the coordinates of its result."""
    given = call.inputs["annotations"]
    annotations = [given] if isinstance(given, Mapping) else given
    if not isinstance(annotations, (list, tuple)):
        raise wrong("an annotation, or a list with one for each image", given, "annotations")
    if len(annotations) != len(images):
        raise InputError(
            f"Expected an annotation for each of {len(images)} images, got {len(annotations)}."
        )
    wants_masks = call.inputs.get("return_segmentation_masks")
    path = call.inputs.get("masks_path")
    targets = [
        target_of(call.config, annotation, image.size, wants_masks, path, f"annotations[{i}]")
        for i, (annotation, image) in enumerate(zip(annotations, images, strict=True))
    ]
    padding = padding_of(call.config, [image.size for image in images])
    return PerImage(
        _follow_image(call.config, target, images[i].size, padding, i)
        for i, target in enumerate(targets)
    )


def target_of(
    config: HuggingFace,
    annotation: Any,
    size: Size,
    wants_masks: Any,
    masks_path: Any,
    where: str,
) -> Target:
    """Return the target of one image of `size`, in its coordinates as it came.

    Args:
        annotation: of the format that the settings say.
        wants_masks: whether masks are returned; None for those of panoptic annotations alone.
        masks_path: the directory of the PNG files of panoptic annotations.
        where: the annotation's place in the call, for messages.

    Raises:
        InputError: the annotation is not of its form.
        ConfigError: the class does not take the format.

    >>> config = HuggingFace("DetrImageProcessor")
    >>> annotation = {"image_id": 1, "annotations": []}
    >>> target_of(config, annotation, (8, 8), None, None, "$")["boxes"].shape
    (0, 4)
    """
    takes = config.row.annotations
    assert takes is not None
    if wants_masks is not None and not isinstance(wants_masks, bool):
        raise wrong("true, false or None", wants_masks, "return_segmentation_masks")
    is_detection = config.effective.get("format") == "coco_detection"
    if is_detection:
        target = detection_target(annotation, size, bool(wants_masks) and takes.masks, where)
    elif takes.panoptic:
        target = panoptic_target(annotation, size, wants_masks is not False, masks_path, where)
    else:
        raise ConfigError(
            f"`{config.class_name}` takes annotations of the format 'coco_detection' only - at "
            "`$.format`."
        )
    if "masks" in target and is_detection == (config.backend == "torchvision"):
        # Where nothing is resized, the type in which each backend draws masks is what is returned.
        target["masks"] = target["masks"].astype(np.uint8)
    return target


def nearest_of(config: HuggingFace) -> ReferenceName:
    """Return whose nearest neighbour masks are resized by: that of the backend, whose positions
    differ.

    >>> nearest_of(HuggingFace("DetrImageProcessor"))
    'torch_exact'
    """
    if config.backend == "pil":
        return config.reference or "pillow"
    return "torch_exact"


def _follow_image(
    config: HuggingFace, target: Target, size: tuple[int, int], padding: Padding, i: int
) -> Target:
    """A target through the resize and padding of its image."""
    settings, is_pil = config.effective, config.backend == "pil"
    unpadded, is_relative = padding.sizes[i], settings.flag("do_convert_annotations")
    if settings.flag("do_resize"):
        target = resized(target, size, unpadded, nearest_of(config))
    if is_relative:
        target = relative(target, unpadded)
    # An image of the padded size is not touched: its `size` stays as the resize left it.
    if config.pads and unpadded != padding.padded_size:
        target = padded(target, unpadded, padding.padded_size, is_relative, is_pil)
    return target
