"""The methods that MaskFormer, Mask2Former and OneFormer have besides those of every processor.

They are those of `transformers/models/maskformer/image_processing_pil_maskformer.py` and
`transformers/models/oneformer/image_processing_oneformer.py`, which dropped `encode_inputs` of
MaskFormer in release 5; it stays here. Arrays are `jax.Array`s.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats.huggingface.settings import drop_none
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
) -> tuple[Any, Any, list[jax.Array] | None]:
    """Pad images `(c, h, w)` and their masks below and to the right.

    Args:
        images: arrays of any sizes, or a batch `(b, c, h, w)`.
        padded_size: height and width; by default the largest of the images.
        segmentation_maps: binary masks `(n, h, w)` of each image, which are padded with
            `ignore_index`.
        fill: the padding of images.
        ignore_index: the padding of masks; None is 0.

    Returns:
        images; masks `(h, w)`, 1 where the image is; and the padded `segmentation_maps`, if there
        were any. Of a batch, images and masks are batches, else lists.

    Raises:
        InputError: an image is larger than `padded_size`.

    >>> from jaxprep.huggingface import MaskFormerImageProcessor
    >>> images, masks, _ = MaskFormerImageProcessor().pad([np.ones((3, 1, 2)), np.ones((3, 2, 1))])
    >>> images[0].shape, masks[0].tolist()
    ((3, 2, 2), [[1, 1], [0, 0]])
    """
    arrays, padding = _sized(images, padded_size)
    size = padding.padded_size
    padded = PerImage(pad_masks(array, size, fill) for array in arrays)
    masks = PerImage(padding.pixel_masks())
    maps = None
    if segmentation_maps is not None:
        given = [as_numpy(one, "segmentation_maps", IMAGES) for one in segmentation_maps]
        padded_maps = PerImage(pad_masks(one, size, ignore_index) for one in given)
        maps = padded_maps.converted("jax", "segmentation_maps")
    if hasattr(images, "ndim"):
        return jnp.asarray(np.stack(padded)), jnp.asarray(np.stack(masks)), maps
    return padded.converted("jax", "images"), masks.converted("jax", "pixel_mask"), maps


def pad_oneformer(
    self: Any, images: Sequence[Any], return_pixel_mask: bool = True, return_tensors: Any = None
) -> BatchFeature:
    """Pad images `(c, h, w)` below and to the right to the largest of them: `pixel_values` and
    `pixel_mask`.

    Args:
        images: arrays of any sizes.
        return_pixel_mask: return the mask too.
        return_tensors: one of `features.TENSOR_TYPES`; None gives lists.

    >>> from jaxprep.huggingface import OneFormerImageProcessor
    >>> images = [np.ones((3, 1, 2)), np.ones((3, 2, 1))]
    >>> OneFormerImageProcessor().pad(images, return_tensors="np").pixel_values.shape
    (2, 3, 2, 2)
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
    """Pad images and take maps apart as in a call, where neither needs resizing.

    Args:
        pixel_values_list: images `(c, h, w)`.
        segmentation_maps: a map `(h, w)` for each.
        instance_id_to_semantic_id: the class of each instance.
        ignore_index, do_reduce_labels: by default the processor's.
        return_tensors: one of `features.TENSOR_TYPES`; None gives lists.

    >>> from jaxprep.huggingface import MaskFormerImageProcessor
    >>> images, maps = [np.ones((3, 1, 2))], [np.array([[1, 4]])]
    >>> result = MaskFormerImageProcessor().encode_inputs(images, maps)
    >>> result.class_labels[0].tolist()
    [1, 4]
    """
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
    """Return the same, with the task of each image.

    >>> from jaxprep.huggingface import OneFormerImageProcessor
    >>> result = OneFormerImageProcessor().encode_inputs([np.ones((3, 1, 2))], ["semantic"])
    >>> result.task_inputs
    ['the task is semantic']
    """
    results, padding = _padded(pixel_values_list)
    call = _call(
        self, segmentation_maps, instance_id_to_semantic_id, ignore_index, do_reduce_labels
    )
    call.inputs["task_inputs"] = task_inputs
    results |= oneformer.texts_and_labels(call, padding)
    return _features(results, return_tensors)


def convert_segmentation_map_to_binary_masks(
    self: Any,
    segmentation_map: Any,
    instance_id_to_semantic_id: Ids = None,
    ignore_index: int | None = None,
    do_reduce_labels: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """Return a mask for each label of one map `(h, w)`, float32 `(n, h, w)`, and the class of each.

    >>> from jaxprep.huggingface import MaskFormerImageProcessor
    >>> processor = MaskFormerImageProcessor()
    >>> masks, classes = processor.convert_segmentation_map_to_binary_masks(np.array([[1, 4]]))
    >>> masks.tolist(), classes.tolist()
    ([[[1.0, 0.0]], [[0.0, 1.0]]], [1, 4])
    """
    labels = as_numpy(segmentation_map, "segmentation_map", IMAGES)
    if labels.ndim != 2:
        raise InputError(
            f"Expected a map (h, w), got shape {labels.shape} - at `segmentation_map`."
        )
    # int64, since a reduced label may be negative and `ignore_index` any integer.
    labels = labels.astype(np.int64)
    instances = binary_masks(labels, instance_id_to_semantic_id, ignore_index, do_reduce_labels)
    masks, classes = PerImage(instances).converted("jax", "segmentation_map")
    return masks, classes


def get_semantic_annotations(
    self: Any, label: Mapping[str, Any], num_class_obj: MutableMapping[str, int]
) -> tuple[jax.Array, jax.Array, list[str]]:
    """Return the `classes`, `masks` and texts of one image for the task "semantic"; see
    `get_panoptic_annotations`.

    >>> from jaxprep.huggingface import OneFormerImageProcessor
    >>> names = {"7": "cat", "class_names": ["cat"], "thing_ids": [7]}
    >>> processor = OneFormerImageProcessor(metadata=names, num_text=2)
    >>> label = {"masks": np.ones((1, 2, 2), bool), "classes": np.array([7])}
    >>> processor.get_semantic_annotations(label, {"cat": 0})[2][0]
    'a photo with a cat'
    """
    return _annotations(self, "semantic", label, num_class_obj)


def get_instance_annotations(
    self: Any, label: Mapping[str, Any], num_class_obj: MutableMapping[str, int]
) -> tuple[jax.Array, jax.Array, list[str]]:
    """Return the `classes`, `masks` and texts of one image for the task "instance"; see
    `get_panoptic_annotations`.

    >>> from jaxprep.huggingface import OneFormerImageProcessor
    >>> names = {"7": "cat", "class_names": ["cat"], "thing_ids": [7]}
    >>> processor = OneFormerImageProcessor(metadata=names, num_text=2)
    >>> label = {"masks": np.ones((1, 2, 2), bool), "classes": np.array([7])}
    >>> processor.get_instance_annotations(label, {"cat": 0})[2][0]
    'a photo with a cat'
    """
    return _annotations(self, "instance", label, num_class_obj)


def get_panoptic_annotations(
    self: Any, label: Mapping[str, Any], num_class_obj: MutableMapping[str, int]
) -> tuple[jax.Array, jax.Array, list[str]]:
    """Return the `classes`, `masks` and texts of one image for the task "panoptic".

    Args:
        label: `classes` `(n,)` and `masks` `(n, h, w)`; empty masks are left out.
        num_class_obj: how many masks each class has had, by name; counted up, since the texts list
            each class so many times.

    Raises:
        InputError: no file names the classes, or not these.

    >>> from jaxprep.huggingface import OneFormerImageProcessor
    >>> names = {"7": "cat", "class_names": ["cat"], "thing_ids": [7]}
    >>> processor = OneFormerImageProcessor(metadata=names, num_text=2)
    >>> label = {"masks": np.ones((1, 2, 2), bool), "classes": np.array([7])}
    >>> processor.get_panoptic_annotations(label, {"cat": 0})[2][0]
    'a photo with a cat'
    """
    return _annotations(self, "panoptic", label, num_class_obj)


def metadata(self: Any) -> Any:
    """Return the names of the classes and which of them are things; see `oneformer.metadata_of`.

    >>> from jaxprep.huggingface import OneFormerImageProcessor
    >>> names = {"7": "cat", "class_names": ["cat"], "thing_ids": [7]}
    >>> processor = OneFormerImageProcessor(metadata=names, num_text=2)
    >>> processor.metadata["7"]
    'cat'
    """
    return oneformer.metadata_of(self.config)


def _annotations(
    self: Any, task: str, label: Mapping[str, Any], seen: MutableMapping[str, int]
) -> Any:
    names = metadata(self)
    if names is None:
        raise InputError(
            "Expected `class_info_file` or `metadata`, which name the classes, got neither."
        )
    masks = as_numpy(label["masks"], "label['masks']", IMAGES)
    classes = as_numpy(label["classes"], "label['classes']", IMAGES).astype(np.int64)
    is_used = masks.any((1, 2))
    used = InstanceMasks(masks[is_used], classes[is_used])
    count = self.config.effective.integer("num_text", highest=oneformer.MAX_TEXTS)
    annotation = oneformer.TASKS[task](used, names, count, seen)
    arrays = PerImage((annotation.classes, annotation.masks)).converted("jax", "label")
    return *arrays, annotation.texts


def _call(self: Any, maps: Any, ids: Any, ignore_index: int | None, reduces: bool | None) -> Call:
    """A call whose images are not resized any more; only its maps are read."""
    given = {"do_resize": False, "ignore_index": ignore_index, "do_reduce_labels": reduces}
    inputs = {"segmentation_maps": maps, "instance_id_to_semantic_id": ids}
    return Call(None, inputs, self.config.overridden(drop_none(given)))


def _sized(
    images: Sequence[Any], padded_size: Size | None = None
) -> tuple[list[np.ndarray], Padding]:
    """Images on the host, and how they are to be padded."""
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
    # Images have channels first here, as masks have their index.
    values = np.stack([pad_masks(array, padding.padded_size, 0) for array in arrays])
    return {"pixel_values": values, "pixel_mask": padding.pixel_masks()}, padding


def _features(results: Results, return_tensors: Any) -> BatchFeature:
    """Results in lists, as Transformers returns them unless tensors are asked for."""
    if return_tensors is not None:
        return BatchFeature(results, return_tensors)
    feature = BatchFeature(results)
    for name, value in results.items():
        if isinstance(value, (np.ndarray, PerImage)):
            feature[name] = PerImage(value).converted("jax", name)
    return feature


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
