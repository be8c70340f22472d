"""The methods that MaskFormer, Mask2Former and OneFormer have besides those of every processor."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from jaxprep.errors import InputError
from jaxprep.huggingface import oneformer
from jaxprep.huggingface.call import Call, Family, Results
from jaxprep.huggingface.features import BatchFeature, PerImage
from jaxprep.huggingface.images import IMAGES
from jaxprep.huggingface.instance_masks import Ids, InstanceMasks, binary_masks
from jaxprep.huggingface.padding import Padding, largest_of, pad_masks
from jaxprep.huggingface.universal import INPUTS, maskformer, padded_labels
from jaxprep.inputs import as_numpy
from jaxprep.types import Size


def pad(
    self: Any,
    images: Sequence[Any],
    padded_size: Size | None = None,
    segmentation_maps: Sequence[Any] | None = None,
    fill: float = 0,
    ignore_index: int | None = 255,
) -> tuple[list[Any], list[Any], list[Any] | None]:
    """Images `(c, h, w)` padded below and to the right, with their masks.

    Args:
        padded_size: height and width; by default the largest of the images.
        segmentation_maps: binary masks `(n, h, w)` of each image, which are padded with
            `ignore_index`.

    Returns:
        images; masks `(h, w)`, 1 where the image is; and the padded `segmentation_maps`, if there
        were any.
    """
    arrays, padding = _sized(images, padded_size)
    maps = None
    if segmentation_maps is not None:
        maps = [as_numpy(one, "segmentation_maps", IMAGES) for one in segmentation_maps]
        maps = PerImage(
            pad_masks(one, padding.padded_size, ignore_index) for one in maps
        ).converted("jax", "segmentation_maps")
    done = PerImage(pad_masks(one, padding.padded_size, fill) for one in arrays).converted(
        "jax", "images"
    )
    return done, PerImage(padding.pixel_masks()).converted("jax", "pixel_mask"), maps


def pad_oneformer(
    self: Any, images: Sequence[Any], return_pixel_mask: bool = True, return_tensors: Any = None
) -> BatchFeature:
    """Images `(c, h, w)` padded below and to the right to the largest of them: `pixel_values` and
    `pixel_mask`.
    """
    results, _ = _padded(images)
    if not return_pixel_mask:
        del results["pixel_mask"]
    return _features(results, return_tensors)


def encode_inputs(
    self: Any,
    pixel_values_list: Sequence[Any],
    segmentation_maps: Any = None,
    instance_id_to_semantic_id: Any = None,
    ignore_index: int | None = None,
    do_reduce_labels: bool | None = None,
    return_tensors: Any = None,
) -> BatchFeature:
    """Images `(c, h, w)` and maps that need no resizing, padded and taken apart as in a call."""
    results, padding = _padded(pixel_values_list)
    call = _call(
        self, segmentation_maps, instance_id_to_semantic_id, ignore_index, do_reduce_labels
    )
    results |= padded_labels(call, padding)
    return _features(results, return_tensors)


def encode_inputs_oneformer(
    self: Any,
    pixel_values_list: Sequence[Any],
    task_inputs: Any = None,
    segmentation_maps: Any = None,
    instance_id_to_semantic_id: Any = None,
    ignore_index: int | None = None,
    do_reduce_labels: bool | None = None,
    return_tensors: Any = None,
) -> BatchFeature:
    """The same, with the task of each image."""
    results, padding = _padded(pixel_values_list)
    call = _call(
        self, segmentation_maps, instance_id_to_semantic_id, ignore_index, do_reduce_labels
    )
    call.inputs["task_inputs"] = task_inputs
    return _features(results | oneformer.texts_and_labels(call, padding), return_tensors)


def convert_segmentation_map_to_binary_masks(
    self: Any,
    segmentation_map: Any,
    instance_id_to_semantic_id: Ids = None,
    ignore_index: int | None = None,
    do_reduce_labels: bool = False,
) -> tuple[Any, Any]:
    """A mask for each label of one map `(h, w)`, float32 `(n, h, w)`, and the class of each."""
    labels = as_numpy(segmentation_map, "segmentation_map", IMAGES)
    if labels.ndim != 2:
        raise InputError(
            f"Expected a map (h, w), got shape {labels.shape} - at `segmentation_map`."
        )
    found = binary_masks(
        labels.astype(np.int64), instance_id_to_semantic_id, ignore_index, do_reduce_labels
    )
    masks, classes = PerImage(found).converted("jax", "segmentation_map")
    return masks, classes


def get_semantic_annotations(
    self: Any, label: Mapping[str, Any], num_class_obj: MutableMapping[str, int]
) -> tuple[Any, Any, list[str]]:
    """The `classes`, `masks` and texts of one image for the task "semantic"; see
    `get_panoptic_annotations`.
    """
    return _annotations(self, "semantic", label, num_class_obj)


def get_instance_annotations(
    self: Any, label: Mapping[str, Any], num_class_obj: MutableMapping[str, int]
) -> tuple[Any, Any, list[str]]:
    """The `classes`, `masks` and texts of one image for the task "instance"; see
    `get_panoptic_annotations`.
    """
    return _annotations(self, "instance", label, num_class_obj)


def get_panoptic_annotations(
    self: Any, label: Mapping[str, Any], num_class_obj: MutableMapping[str, int]
) -> tuple[Any, Any, list[str]]:
    """The `classes`, `masks` and texts of one image for the task "panoptic".

    Args:
        label: `classes` `(n,)` and `masks` `(n, h, w)`; empty masks are left out.
        num_class_obj: how many masks each class has had, by name; counted up, and what the texts
            tell.
    """
    return _annotations(self, "panoptic", label, num_class_obj)


def metadata(self: Any) -> Any:
    """The names of the classes and which of them are things; see `oneformer.metadata_of`."""
    return oneformer.metadata_of(self.config)


def _annotations(
    self: Any, task: str, label: Mapping[str, Any], seen: MutableMapping[str, int]
) -> Any:
    known = metadata(self)
    if known is None:
        raise InputError(
            "Expected `class_info_file` or `metadata`, which name the classes, got neither."
        )
    masks, classes = (
        as_numpy(label[key], f"label[{key!r}]", IMAGES) for key in ("masks", "classes")
    )
    full = masks.any((1, 2))
    count = self.config.effective.integer("num_text", highest=oneformer.MAX_TEXTS)
    found = oneformer.TASKS[task](
        InstanceMasks(masks[full], classes[full].astype(np.int64)), known, count, seen
    )
    done = PerImage((found.classes, found.masks)).converted("jax", "label")
    return *done, found.texts


def _call(self: Any, maps: Any, ids: Any, ignore_index: int | None, reduces: bool | None) -> Call:
    """A call whose images are as they shall be."""
    given = {"do_resize": False, "ignore_index": ignore_index, "do_reduce_labels": reduces}
    config = self.config.overridden(
        {key: value for key, value in given.items() if value is not None}
    )
    return Call(None, {"segmentation_maps": maps, "instance_id_to_semantic_id": ids}, config, None)


def _sized(
    images: Sequence[Any], padded_size: Size | None = None
) -> tuple[list[np.ndarray], Padding]:
    arrays = [as_numpy(image, "images", IMAGES) for image in images]
    if not arrays or any(array.ndim != 3 for array in arrays):
        shapes = [array.shape for array in arrays]
        raise InputError(f"Expected images (c, h, w), got shapes {shapes} - at `images`.")
    sizes: list[Size] = [(array.shape[1], array.shape[2]) for array in arrays]
    largest = largest_of(sizes)
    if padded_size is None:
        return arrays, Padding(sizes, largest)
    if largest[0] > padded_size[0] or largest[1] > padded_size[1]:
        raise InputError(
            f"Expected images of at most {tuple(padded_size)}, to be padded to that, got one of "
            f"{largest}."
        )
    return arrays, Padding(sizes, (padded_size[0], padded_size[1]))


def _padded(images: Sequence[Any]) -> tuple[Results, Padding]:
    arrays, padding = _sized(images)
    values = np.stack([pad_masks(array, padding.padded_size, 0) for array in arrays])
    return {"pixel_values": values, "pixel_mask": padding.pixel_masks()}, padding


def _features(results: Results, return_tensors: Any) -> BatchFeature:
    """In lists, unless tensors are asked for."""
    if return_tensors is not None:
        return BatchFeature(results, return_tensors)
    arrays = {
        key: PerImage(value)
        for key, value in results.items()
        if isinstance(value, (np.ndarray, PerImage))
    }
    return BatchFeature(
        results | {key: value.converted("jax", key) for key, value in arrays.items()}
    )


MASKFORMER = Family(
    maskformer,
    INPUTS,
    methods={
        "pad": pad,
        "encode_inputs": encode_inputs,
        "convert_segmentation_map_to_binary_masks": convert_segmentation_map_to_binary_masks,
    },
)
ONEFORMER = Family(
    oneformer.oneformer,
    oneformer.INPUTS,
    methods={
        "pad": pad_oneformer,
        "encode_inputs": encode_inputs_oneformer,
        "convert_segmentation_map_to_binary_masks": convert_segmentation_map_to_binary_masks,
        "get_semantic_annotations": get_semantic_annotations,
        "get_instance_annotations": get_instance_annotations,
        "get_panoptic_annotations": get_panoptic_annotations,
        "metadata": property(metadata),
    },
)
