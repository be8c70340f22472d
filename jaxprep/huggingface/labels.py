"""Segmentation maps of instances taken apart: a binary mask for each label, and the class it stands
for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.huggingface.segmentation import planes
from jaxprep.ops.resize import Resize
from jaxprep.pipeline import Pipeline
from jaxprep.types import Size

Ids = Mapping[int, int] | None
"""The class of each instance; None where labels are classes already."""
NEAREST = {"resample": 0, "do_convert_rgb": False, "do_rescale": False, "do_normalize": False}


class Labels(NamedTuple):
    """What is on a map.

    Attributes:
        masks: `(n, h, w)` float32, 1 where the label is, in ascending order of labels.
        classes: `(n,)` int64.
    """

    masks: np.ndarray
    classes: np.ndarray


def binary_masks(labels: np.ndarray, ids: Ids, ignore_index: int | None, reduces: bool) -> Labels:
    """One mask for each label of a map `(h, w)` other than `ignore_index`.

    Args:
        ids: the class of each label, both as they are before they are reduced.
        reduces: every label is one less; 0, the background, becomes `ignore_index`.
    """
    if reduces:
        if ignore_index is None:
            raise InputError(
                "Expected `ignore_index`, the background's label once labels are reduced, got None."
            )
        labels = np.where(labels == 0, ignore_index, labels - 1)
    found = np.unique(labels)
    found = found[found != ignore_index] if ignore_index is not None else found
    classes = (
        found
        if ids is None
        else np.asarray([_class_of(ids, int(label) + reduces) - reduces for label in found])
    )
    return Labels((labels == found[:, None, None]).astype(np.float32), classes.astype(np.int64))


def _class_of(ids: Mapping[int, int], label: int) -> int:
    if label not in ids:
        raise InputError(
            f"Expected a class for each label of the map, got none for {label} - at `instance_id_to_semantic_id`."
        )
    return int(ids[label])


def ids_of_images(given: Any, count: int) -> list[Ids]:
    """The classes of instances of each image: one mapping for all of them, or one for each."""
    found = list(given) if isinstance(given, (list, tuple)) else [given] * count
    if len(found) != count:
        raise InputError(
            f"Expected {count} mappings, one per image, got {len(found)} - at `instance_id_to_semantic_id`."
        )
    for item in found:
        if item is not None and not isinstance(item, Mapping):
            raise InputError(
                f"Expected a mapping from instances to classes, got {item!r} - at `instance_id_to_semantic_id`."
            )
    return found


def resized_maps(
    config: HuggingFace, maps: Sequence[np.ndarray], sizes: Sequence[Size]
) -> list[np.ndarray]:
    """Maps `(h, w)` int32 resized as the images of a class, by nearest neighbour.

    Args:
        sizes: those of the images after the resize.

    Raises:
        InputError: a map does not come out at the size of its image.
    """
    plain = replace(config, data_format="channels_last", exact=False).overridden(NEAREST)
    pipeline = Pipeline(tuple(step for step in plain.pipeline.steps if isinstance(step, Resize)))
    for i, (labels, size) in enumerate(zip(maps, sizes, strict=True)):
        if pipeline.output_size(labels.shape) != size:  # type: ignore[arg-type]
            raise InputError(
                f"Expected a map of the size of its image, got {labels.shape}, which becomes "
                f"{pipeline.output_size(labels.shape)} where the image is {size} - at `segmentation_maps[{i}]`."  # type: ignore[arg-type]
            )
    return planes(
        pipeline.run_images(
            [labels[..., None] for labels in maps], [labels.shape for labels in maps]
        ).stacked_or_listed()
    )  # type: ignore[misc]


def padded(masks: np.ndarray, size: Iterable[int], fill: float | None) -> np.ndarray:
    """Masks `(n, h, w)` in the top-left corner of `size`; the rest is `fill`, by default 0."""
    rest = [whole - n for whole, n in zip(size, masks.shape[1:], strict=True)]
    return np.pad(
        masks, ((0, 0), (0, rest[0]), (0, rest[1])), constant_values=0 if fill is None else fill
    )
