"""MaskFormer, Mask2Former and EoMT: images, and what is on them as a mask for each label."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface.families.universal import window
from jaxprep.huggingface.families import Call, Results, read, run, traced
from jaxprep.huggingface.features import Each
from jaxprep.huggingface.inputs import kinded
from jaxprep.huggingface.labels import Labels, binary_masks, ids_of_images, padded, resized_maps
from jaxprep.huggingface.padding import Padding, padded_traced, padding_of
from jaxprep.huggingface.segmentation import paired_maps
from jaxprep.types import Size

INPUTS = ("segmentation_maps", "instance_id_to_semantic_id")


def maskformer(call: Call) -> Results:
    """Padded images with their `pixel_mask`; with `segmentation_maps`, `mask_labels` and
    `class_labels` too.

    The padding of masks is `ignore_index`, as in the original; 0 where there is none.
    Labels are int64; in JAX, where 64 bits are off by default, that is int32.
    """
    results, padding = padded_images(call)
    return results | beside(call, padding)


def beside(call: Call, padding: Padding) -> Results:
    """All but the images."""
    found = labels_of(call, padding.inner)
    if found is None:
        return {}
    fill = ignored(_config(call))
    return label_results(
        [one._replace(masks=padded(one.masks, padding.whole, fill)) for one in found]
    )


def padded_images(call: Call) -> tuple[Results, Padding]:
    """`pixel_values` and `pixel_mask`, and how the images are padded."""
    config = _config(call)
    images = read(call)
    padding = padding_of(config, [image.size for image in images])
    return {"pixel_values": run(config, images), "pixel_mask": padding.masks()}, padding


def labels_of(call: Call, sizes: list[Size]) -> list[Labels] | None:
    """What is on the maps of a call, at the sizes of the images before padding; None if there are
    none.
    """
    config = _config(call)
    maps = maps_of(call, len(sizes))
    if maps is None:
        return None
    ids = ids_of_images(call.inputs.get("instance_id_to_semantic_id"), len(maps))
    reduces = config.effective.flag("do_reduce_labels")
    maps = resized_maps(config, maps, sizes)
    return [
        binary_masks(one, own, ignored(config), reduces) for one, own in zip(maps, ids, strict=True)
    ]


def maps_of(call: Call, count: int) -> list[np.ndarray] | None:
    """The maps of a call, `(h, w)` int32, as many as images."""
    given = call.inputs.get("segmentation_maps")
    if given is None:
        return None
    maps = [image.pixels[..., 0] for image in paired_maps(given, count, "segmentation_maps")]
    for i, one in enumerate(maps):
        if one.dtype.kind == "f" and (one != np.trunc(one)).any():
            raise InputError(
                f"Expected whole numbers, the labels of a map, got others - at `segmentation_maps[{i}]`."
            )
    return [one.astype(np.int32) for one in maps]


def label_results(found: list[Labels]) -> Results:
    """`mask_labels` and `class_labels`."""
    return {
        "mask_labels": Each(labels.masks for labels in found),
        "class_labels": Each(labels.classes for labels in found),
    }


def ignored(config: HuggingFace) -> int | None:
    """The label that stands for nothing."""
    settings = config.effective
    return (
        None
        if settings.get("ignore_index") is None
        else settings.integer("ignore_index", -(2**31), 2**31 - 1)
    )


def _config(call: Call) -> HuggingFace:
    assert isinstance(call.config, HuggingFace)
    return call.config


def maskformer_traced(call: Call) -> Results:
    """`pixel_values` and `pixel_mask` inside a caller's transformation, where shapes are known, and
    labels are not.
    """
    refuse_maps(call)
    return padded_traced(_config(call), call.images, call.layout)


def refuse_maps(call: Call) -> None:
    """Raises `InputError` for maps inside a caller's transformation."""
    if call.inputs.get("segmentation_maps") is not None:
        raise InputError(
            "Expected no maps inside `jax.jit`, since there are as many masks as labels on them - at "
            "`segmentation_maps`. Call the processor outside."
        )


# -- EoMT --------------------------------------------------------------------------------------------------------------


def eomt(call: Call) -> Results:
    """Images or, with `do_split_image`, the windows of all of them in order: `patch_offsets` has
    (image, start, end).

    With `segmentation_maps`, `mask_labels` and `class_labels` of each image or window; with
    `ignore_index`, labels are one less.
    """
    config = _config(call)
    images = read(call)
    before, after = _halves(config)
    sizes = [before.pipeline.output_size(image.size) for image in images]
    if config.effective.flag("do_split_image"):
        offsets, parts = _windows(config, run(before, images))
        results: Results = {"pixel_values": run(after, [kinded(part) for part in parts])}
    else:
        offsets, results = [], {"pixel_values": run(config, images)}
    results["patch_offsets"] = Each(np.asarray(offset, np.int64) for offset in offsets)
    found = _eomt_labels(call, sizes)
    return results if found is None else results | label_results(found)


def eomt_traced(call: Call) -> Results:
    """The same images or windows inside a caller's transformation, where shapes are known."""
    config = _config(call)
    refuse_maps(call)
    if not config.effective.flag("do_split_image"):
        return {"pixel_values": traced(config, call.images, call.layout)}
    before, after = _halves(config)
    offsets, parts = _windows(config, traced(before, call.images, call.layout))
    results = {"pixel_values": traced(after, parts, "channels_last")}
    return results | {"patch_offsets": [jnp.asarray(offset) for offset in offsets]}


def _halves(config: HuggingFace) -> tuple[HuggingFace, HuggingFace]:
    """What is done to a whole image, and what then to each of its windows."""
    shape = {"do_rescale": False, "do_normalize": False, "do_pad": False}
    before = replace(config, data_format="channels_last").overridden(shape)
    return before, config.overridden({"do_resize": False, "do_convert_rgb": False})


def _windows(config: HuggingFace, images: Any) -> tuple[list[tuple[int, int, int]], list[Any]]:
    """Windows along the longer side of images `(h, w, c)` or maps `(h, w)`, overlapping as evenly
    as pixels allow.

    Returns:
        (image, start, end) of each window, and the windows.
    """
    length = window(config.effective)[0]
    offsets, parts = [], []
    for i, image in enumerate(images):
        height, width = image.shape[:2]
        count = math.ceil(max(height, width) / length)
        overlap = (count * length - max(height, width)) / (count - 1) if count > 1 else 0
        for start in (int(j * (length - overlap)) for j in range(count)):
            offsets.append((i, start, start + length))
            parts.append(
                image[start : start + length]
                if height > width
                else image[:, start : start + length]
            )
    return offsets, parts


def _eomt_labels(call: Call, sizes: list[Size]) -> list[Labels] | None:
    config = _config(call)
    maps = maps_of(call, len(sizes))
    if maps is None:
        return None
    ids = ids_of_images(call.inputs.get("instance_id_to_semantic_id"), len(maps))
    maps = resized_maps(config, maps, sizes)
    if config.effective.flag("do_split_image"):
        offsets, maps = _windows(config, maps)
        ids = [ids[image] for image, _, _ in offsets]
    if config.effective.flag("do_pad"):
        least = window(config.effective)
        maps = [
            padded(one[None], (max(n, m) for n, m in zip(one.shape, least)), 0)[0] for one in maps
        ]
    nothing = ignored(config)
    return [
        binary_masks(one, own, nothing, nothing is not None)
        for one, own in zip(maps, ids, strict=True)
    ]
