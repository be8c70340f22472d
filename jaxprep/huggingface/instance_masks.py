"""Segmentation maps of instances taken apart: a binary mask for each label, and its class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float32, Int64, Integer

from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.huggingface.segmentation import first_channels
from jaxprep.types import Size

Ids = Mapping[int, int] | None
"""The class of each instance; None where labels are classes already."""
NEAREST = {"resample": 0, "do_convert_rgb": False, "do_rescale": False, "do_normalize": False}


class InstanceMasks(NamedTuple):
    """What is on a map: a mask for each label, 1 where the label is, in ascending order of labels,
    and the class of each.

    >>> found = binary_masks(np.array([[0, 1]]), None, 0, False)
    >>> found.masks.tolist(), found.classes.tolist()
    ([[[0.0, 1.0]]], [1])
    """

    masks: Float32[np.ndarray, "n h w"]
    classes: Int64[np.ndarray, " n"]


def binary_masks(
    labels: Integer[np.ndarray, "h w"], ids: Ids, ignore_index: int | None, reduces: bool
) -> InstanceMasks:
    """One mask for each label of a map other than `ignore_index`:
    `convert_segmentation_map_to_binary_masks_fast` of `transformers/models/maskformer/
    image_processing_maskformer.py`.

    Args:
        ids: the class of each label, both as they are before they are reduced.
        reduces: every label is one less; 0, the background, becomes `ignore_index`.

    Raises:
        InputError: labels are reduced without an `ignore_index`, or `ids` lacks one.

    >>> binary_masks(np.array([[1, 1], [4, 4]]), None, None, False).classes.tolist()
    [1, 4]
    """
    if reduces:
        if ignore_index is None:
            raise InputError(
                "Expected `ignore_index`, the background's label once labels are reduced, got None."
            )
        labels = np.where(labels == 0, ignore_index, labels - 1)
    present = np.unique(labels)
    if ignore_index is not None:
        present = present[present != ignore_index]
    classes = present
    if ids is not None:
        # `ids` speaks of labels as they are on the map, the result of reduced ones.
        offset = int(reduces)
        numbers = [_class_of(ids, int(label) + offset) - offset for label in present]
        classes = np.asarray(numbers)
    masks = (labels == present[:, None, None]).astype(np.float32)
    return InstanceMasks(masks, classes.astype(np.int64))


def _class_of(ids: Mapping[int, int], label: int) -> int:
    if label not in ids:
        raise InputError(
            f"Expected a class for each label of the map, got none for {label} - at "
            "`instance_id_to_semantic_id`."
        )
    return int(ids[label])


def ids_of_images(given: Any, count: int) -> list[Ids]:
    """Return the classes of instances of each image: one mapping for all of them, or one for each.

    Raises:
        InputError: another number of mappings, or something else.

    >>> ids_of_images({1: 7}, 2)
    [{1: 7}, {1: 7}]
    """
    mappings = list(given) if isinstance(given, (list, tuple)) else [given] * count
    if len(mappings) != count:
        raise InputError(
            f"Expected {count} mappings, one per image, got {len(mappings)} - at "
            "`instance_id_to_semantic_id`."
        )
    for item in mappings:
        if item is not None and not isinstance(item, Mapping):
            raise InputError(
                f"Expected a mapping from instances to classes, got {item!r} - at "
                "`instance_id_to_semantic_id`."
            )
    return mappings


def resized_maps(
    config: HuggingFace, maps: Sequence[np.ndarray], sizes: Sequence[Size]
) -> list[np.ndarray]:
    """Return maps `(h, w)` int32 resized as the images of a class, by nearest neighbour.

    Args:
        sizes: those of the images after the resize.

    Raises:
        InputError: a map has another size than its image after the resize.

    >>> config = HuggingFace("OneFormerImageProcessor", {"size": {"height": 4, "width": 6}})
    >>> resized_maps(config, [np.zeros((8, 12), np.int32)], [(4, 6)])[0].shape
    (4, 6)
    """
    # `resample=NEAREST` in the original, on both backends; values are left alone.
    pipeline = replace(config, exact=False).overridden(NEAREST).resize_pipeline
    map_sizes: list[Size] = [(labels.shape[0], labels.shape[1]) for labels in maps]
    for i, (map_size, size) in enumerate(zip(map_sizes, sizes, strict=True)):
        resized = pipeline.output_size(map_size)
        if resized != size:
            raise InputError(
                f"Expected a map of the size of its image, got {map_size}, which becomes "
                f"{resized} where the image is {size} - at `segmentation_maps[{i}]`."
            )
    resized = pipeline.run_images([labels[..., None] for labels in maps], map_sizes)
    return first_channels(resized.stacked_or_listed())
