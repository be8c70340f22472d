"""MaskFormer, Mask2Former and EoMT: images, and what is on them as a mask for each label."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface.builders.crop_and_pad import window
from jaxprep.huggingface.call import Call, Family, Results, image_results, read, run, sizes_of
from jaxprep.huggingface.features import PerImage
from jaxprep.huggingface.images import traced_image, with_value_range
from jaxprep.huggingface.instance_masks import (
    InstanceMasks,
    binary_masks,
    ids_of_images,
    resized_maps,
)
from jaxprep.huggingface.padding import Padding, pad_masks, padding_of
from jaxprep.huggingface.segmentation import paired_maps
from jaxprep.types import Size

INPUTS = ("segmentation_maps", "instance_id_to_semantic_id")


def maskformer(call: Call) -> Results:
    """Return padded images with their `pixel_mask`; with `segmentation_maps`, `mask_labels` and
    `class_labels` too.

    The padding of masks is `ignore_index`, as in the original; 0 where there is none.
    Labels are int64; in JAX, where 64 bits are off by default, that is int32.

    >>> from jaxprep.huggingface import MaskFormerImageProcessor
    >>> processor = MaskFormerImageProcessor(size={"height": 32, "width": 32})
    >>> image, labels = np.zeros((64, 64, 3), np.uint8), np.ones((64, 64), np.uint8)
    >>> result = processor(image, segmentation_maps=labels)
    >>> result.pixel_mask.shape, result.mask_labels[0].shape
    ((1, 32, 32), (1, 32, 32))
    """
    results, padding = padded_images(call)
    return results | padded_labels(call, padding)


def padded_images(call: Call) -> tuple[Results, Padding]:
    """Return `pixel_values` and `pixel_mask`, and how the images are padded.

    >>> config = HuggingFace("MaskFormerImageProcessor", {"size": {"height": 32, "width": 32}})
    >>> inputs = {"segmentation_maps": np.ones((64, 64), np.uint8)}
    >>> image = np.zeros((64, 64, 3), np.uint8)
    >>> padded_images(Call(image, {}, config))[1].padded_size
    (32, 32)
    """
    refuse_traced_maps(call)
    images = read(call)
    padding = padding_of(call.config, sizes_of(images))
    return image_results(call, images) | {"pixel_mask": padding.pixel_masks()}, padding


def padded_labels(call: Call, padding: Padding) -> Results:
    """Return `mask_labels` and `class_labels`, if there are maps.

    >>> config = HuggingFace("MaskFormerImageProcessor", {"size": {"height": 32, "width": 32}})
    >>> inputs = {"segmentation_maps": np.ones((64, 64), np.uint8)}
    >>> results = padded_labels(Call(None, inputs, config), Padding([(32, 32)], (32, 64)))
    >>> results["mask_labels"][0].shape
    (1, 32, 64)
    """
    instances = instance_masks_of(call, padding.sizes)
    if instances is None:
        return {}
    fill = ignore_index_of(call.config)
    padded = []
    for instances_of_image in instances:
        masks = pad_masks(instances_of_image.masks, padding.padded_size, fill)
        padded.append(instances_of_image._replace(masks=masks))
    return label_results(padded)


def instance_masks_of(call: Call, sizes: Sequence[Size]) -> list[InstanceMasks] | None:
    """Return what is on the maps of a call; None if there are none.

    Args:
        sizes: of the images before padding.

    >>> config = HuggingFace("MaskFormerImageProcessor", {"size": {"height": 32, "width": 32}})
    >>> inputs = {"segmentation_maps": np.ones((64, 64), np.uint8)}
    >>> instance_masks_of(Call(None, inputs, config), [(32, 32)])[0].classes.tolist()
    [1]
    """
    maps = label_maps(call, len(sizes))
    if maps is None:
        return None
    ids = ids_of_images(call.inputs.get("instance_id_to_semantic_id"), len(maps))
    reduces = call.config.effective.flag("do_reduce_labels")
    ignore_index = ignore_index_of(call.config)
    maps = resized_maps(call.config, maps, sizes)
    return [
        binary_masks(labels, ids_of_map, ignore_index, reduces)
        for labels, ids_of_map in zip(maps, ids, strict=True)
    ]


def label_maps(call: Call, count: int) -> list[np.ndarray] | None:
    """Return the maps of a call, `(h, w)` int32, as many as images; None if there are none.

    Raises:
        InputError: another number of maps, or values that are no labels.

    >>> config = HuggingFace("MaskFormerImageProcessor", {"size": {"height": 32, "width": 32}})
    >>> inputs = {"segmentation_maps": np.ones((64, 64), np.uint8)}
    >>> label_maps(Call(None, inputs, config), 1)[0].dtype
    dtype('int32')
    """
    given = call.inputs.get("segmentation_maps")
    if given is None:
        return None
    images = paired_maps(call, given, count, "segmentation_maps")
    maps = [image.pixels[..., 0] for image in images]
    for i, labels in enumerate(maps):
        if labels.dtype.kind == "f" and (labels != np.trunc(labels)).any():
            raise InputError(
                "Expected whole numbers, the labels of a map, got others - at "
                f"`segmentation_maps[{i}]`."
            )
    return [labels.astype(np.int32) for labels in maps]


def label_results(instances: Sequence[InstanceMasks]) -> Results:
    """Return `mask_labels` and `class_labels`.

    >>> sorted(label_results([]))
    ['class_labels', 'mask_labels']
    """
    return {
        "mask_labels": PerImage(of_image.masks for of_image in instances),
        "class_labels": PerImage(of_image.classes for of_image in instances),
    }


def ignore_index_of(config: HuggingFace) -> int | None:
    """Return the label of pixels that belong to no class.

    >>> ignore_index_of(HuggingFace("MaskFormerImageProcessor", {"ignore_index": 255}))
    255
    """
    if config.effective.get("ignore_index") is None:
        return None
    return config.effective.integer("ignore_index", -(2**31), 2**31 - 1)


def refuse_traced_maps(call: Call) -> None:
    """Refuse maps inside a caller's transformation, where the shape of the results would depend on
    their values.

    >>> config = HuggingFace("MaskFormerImageProcessor", {"size": {"height": 32, "width": 32}})
    >>> inputs = {"segmentation_maps": np.ones((64, 64), np.uint8)}
    >>> refuse_traced_maps(Call(None, inputs, config))
    """
    if call.is_traced and call.inputs.get("segmentation_maps") is not None:
        raise InputError(
            "Expected no maps inside `jax.jit`, since there are as many masks as labels on them - "
            "at `segmentation_maps`. Call the processor outside."
        )


# -- EoMT ----------------------------------------------------------------------------------------


class Window(NamedTuple):
    """Where a window lies: the index of its image, and its first row or column and the one after
    its last, along the longer side.

    >>> Window(image=0, start=0, end=640).end
    640
    """

    image: int
    start: int
    end: int


def eomt(call: Call) -> Results:
    """Return images or, with `do_split_image`, the windows of all of them in order, which
    `patch_offsets` tells as (image, start, end).

    With `segmentation_maps`, `mask_labels` and `class_labels` of each image or window; with
    `ignore_index`, labels are one less.

    >>> from jaxprep.huggingface import EomtImageProcessor
    >>> processor = EomtImageProcessor(size={"shortest_edge": 8}, do_split_image=True)
    >>> processor(np.zeros((8, 12, 3), np.uint8)).pixel_values.shape
    (2, 3, 8, 8)
    """
    refuse_traced_maps(call)
    images = read(call)
    uncut = _uncut(call)
    if call.config.effective.flag("do_split_image"):
        resized = run(uncut, images)
        if not call.is_traced:
            resized = [np.asarray(image) for image in resized]  # sliced below, without a program
        windows, pixels_of_windows = split(call.config, resized)
        as_image = traced_image if call.is_traced else with_value_range
        images_of_windows = [as_image(pixels) for pixels in pixels_of_windows]
        after_resize = call.with_settings(do_resize=False, do_convert_rgb=False)
        results = {"pixel_values": run(after_resize, images_of_windows)}
    else:
        windows = []
        results = image_results(call, images)
    results["patch_offsets"] = PerImage(np.asarray(offsets, np.int64) for offsets in windows)
    sizes = [uncut.config.pipeline.output_size(size) for size in sizes_of(images)]
    instances = _eomt_masks(call, sizes)
    if instances is not None:
        results |= label_results(instances)
    return results


EOMT = Family(eomt, INPUTS)


def _uncut(call: Call) -> Call:
    """The call for what is done to an image before it is split."""
    config = replace(call.config, data_format="channels_last")
    call = call._replace(config=config)
    return call.with_settings(do_rescale=False, do_normalize=False, do_pad=False)


def split(config: HuggingFace, images: Any) -> tuple[list[Window], list[Any]]:
    """Split images `(h, w, c)` or maps `(h, w)` into windows along their longer side, which overlap
    as evenly as pixels allow.

    Reproduces `_split_image` of `transformers/models/eomt/image_processing_eomt.py`.

    Returns:
        where each window lies, and its pixels.

    >>> config = HuggingFace("EomtImageProcessor", {"size": {"shortest_edge": 8}})
    >>> windows, pixels = split(config, [np.zeros((8, 12, 3))])
    >>> [(window.start, window.end) for window in windows], pixels[0].shape
    ([(0, 8), (4, 12)], (8, 8, 3))
    """
    length, _ = window(config.effective)
    windows = []
    pixels = []
    for i, image in enumerate(images):
        height, width = image.shape[:2]
        longest = max(height, width)
        # Along the shorter side an image has the length of a window after its resize.
        count = math.ceil(longest / length)
        overlap = (count * length - longest) / (count - 1) if count > 1 else 0
        for j in range(count):
            start = int(j * (length - overlap))
            end = start + length
            windows.append(Window(i, start, end))
            pixels.append(image[start:end] if height > width else image[:, start:end])
    return windows, pixels


def _eomt_masks(call: Call, sizes: Sequence[Size]) -> list[InstanceMasks] | None:
    config = call.config
    maps = label_maps(call, len(sizes))
    if maps is None:
        return None
    ids = ids_of_images(call.inputs.get("instance_id_to_semantic_id"), len(maps))
    maps = resized_maps(config, maps, sizes)
    # Windows of one image share its instances.
    if config.effective.flag("do_split_image"):
        windows, maps = split(config, maps)
        ids = [ids[part.image] for part in windows]
    if config.effective.flag("do_pad"):
        maps = [_pad_to_window(labels, window(config.effective)) for labels in maps]
    # EoMT reduces labels wherever `ignore_index` is given; MaskFormer asks `do_reduce_labels`.
    ignore_index = ignore_index_of(config)
    reduces = ignore_index is not None
    return [
        binary_masks(labels, ids_of_map, ignore_index, reduces)
        for labels, ids_of_map in zip(maps, ids, strict=True)
    ]


def _pad_to_window(labels: np.ndarray, least: Size) -> np.ndarray:
    """A map with 0 below and to the right, at least as large as a window."""
    height, width = map(max, labels.shape, least)
    (padded,) = pad_masks(labels[None], (height, width), 0)
    return padded
