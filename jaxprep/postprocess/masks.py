"""SAM's masks at the sizes of their images."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxprep.errors import InputError
from jaxprep.postprocess.components import small_regions
from jaxprep.postprocess.registry import method
from jaxprep.postprocess.resize_plan import (
    ResizePlan,
    Window,
    crop_to_size,
    exact_plan,
    plan,
    resize,
)
from jaxprep.postprocess.results import (
    as_array,
    float32,
    network_size,
    on_device,
    real_number,
    required_sizes,
)
from jaxprep.types import Array

# https://github.com/facebookresearch/sam2/blob/main/sam2/utils/transforms.py: `postprocess_masks`.
CLEANED_LOGIT = 10.0
"""How far above or below the threshold a filled hole or a removed sprinkle is."""
# `_apply_non_overlapping_constraints` of models/sam2/image_processing_sam2.py: the sigmoid of it is
# 0.00005.
SUPPRESSED_LOGIT = -10.0
"""The upper bound of a mask's logits where another mask is stronger."""


def fill_and_remove(
    masks: Float[Array, "n h w"],
    threshold: Any,
    max_hole: Any,
    max_sprinkle: Any,
) -> Float[jax.Array, "n h w"]:
    """Fills the small holes of masks, then removes small sprinkles, as SAM 2 does with
    `max_hole_area` and `max_sprinkle_area`.

    Transformers takes these arguments of its method and does not use them: it has no kernel for
    connected components.

    Args:
        masks: logits.
        threshold: the logit above which a pixel is of the mask.
        max_hole, max_sprinkle: the largest area, in pixels of these maps, of a hole or a sprinkle;
            0 leaves all.

    >>> fill = jax.jit(lambda masks: fill_and_remove(masks, 0.0, 0, 1))
    >>> fill(np.float32([[[-1, -1, -1, 5]]])).tolist()
    [[[-1.0, -1.0, -1.0, -10.0]]]
    """

    def is_in_hole(mask: Any) -> jax.Array:
        return small_regions(mask <= threshold, max_hole)

    def is_in_sprinkle(mask: Any) -> jax.Array:
        return small_regions(mask > threshold, max_sprinkle)

    filled = jnp.where(jax.vmap(is_in_hole)(masks), threshold + CLEANED_LOGIT, masks)
    return jnp.where(jax.vmap(is_in_sprinkle)(filled), threshold - CLEANED_LOGIT, filled)


def without_overlap(
    masks: Float[Array, "objects c h w"],
) -> Float[jax.Array, "objects c h w"]:
    """Bounds the logits of all objects but the strongest of each pixel by -10.

    Reproduces `_apply_non_overlapping_constraints` of `models/sam2/image_processing_sam2.py`.

    >>> without_overlap(jnp.float32([3, 4]).reshape(2, 1, 1, 1)).ravel().tolist()
    [-10.0, 4.0]
    """
    # Nothing to exclude: the logits of a lone object are not bounded either.
    if len(masks) == 1:
        return jnp.asarray(masks)
    objects = jnp.arange(len(masks))[:, None, None, None]
    is_strongest = masks.argmax(0, keepdims=True) == objects
    return jnp.where(is_strongest, masks, jnp.minimum(masks, SUPPRESSED_LOGIT))


@functools.partial(jax.jit, static_argnames=("exclusive", "clean"))
def _resize_masks(
    masks: jax.Array,
    to_network: ResizePlan,
    to_image: ResizePlan,
    threshold: Any,
    max_areas: Any,
    exclusive: bool,
    clean: bool,
) -> tuple[jax.Array, jax.Array]:
    """Logits on the canvas, and which of them are above the threshold."""
    objects, count, height, width = masks.shape
    maps: Any = masks.reshape(objects * count, height, width)
    # At the size at which the masks come, as SAM 2 does it, before any resize.
    if clean:
        maps = fill_and_remove(maps, threshold, max_areas[0], max_areas[1])
    maps = resize(resize(maps, to_network), to_image)
    logits = maps.reshape(objects, count, *maps.shape[1:])
    if exclusive:
        logits = without_overlap(logits)
    return logits, logits > threshold


def _masks_of_image(
    masks: jax.Array,
    to_network: ResizePlan,
    to_image: ResizePlan,
    threshold: float,
    binarize: bool,
    max_areas: tuple[int, int] = (0, 0),
    exclusive: bool = False,
) -> jax.Array:
    objects, count = masks.shape[:2]
    if not objects * count:
        dtype = bool if binarize else np.float32
        return on_device(np.zeros((objects, count, *to_image.size), dtype))
    # Where both are 0 the program does not look for regions, which is a loop over the masks until
    # nothing changes.
    whole_areas = np.asarray(max_areas, np.int32)
    logits, binary = _resize_masks(
        masks,
        to_network,
        to_image,
        float32(threshold, "mask_threshold"),
        whole_areas,
        exclusive,
        clean=bool(whole_areas.any()),
    )
    return on_device(crop_to_size(binary if binarize else logits, to_image.size))


def _each_image(masks: Any) -> list[jax.Array]:
    """The masks of each image, `(objects, masks, height, width)`."""
    if not hasattr(masks, "__len__"):
        raise InputError(f"Expected the masks of each image, got {masks!r} - at `masks`.")
    images = []
    for i in range(len(masks)):
        image = as_array(masks[i])
        if image.ndim != 4 or 0 in image.shape[2:]:
            raise InputError(
                "Expected masks (objects, masks, height, width), neither side 0, got shape "
                f"{image.shape} - at `masks[{i}]`."
            )
        images.append(image)
    return images


def _whole_area(area: Any, name: str) -> int:
    """A number of pixels, rounded down; beyond int32 there is no larger mask."""
    number = real_number(area, name)
    if math.isnan(number):
        raise InputError(f"Expected a number, got {area!r} - at `{name}`.")
    return int(min(max(number, 0), np.iinfo(np.int32).max))


@method("SamImageProcessor", "post_process_masks", settings=["pad_size"])
def sam_masks(
    masks: Sequence[Any] | Any,
    original_sizes: Any,
    reshaped_input_sizes: Any,
    mask_threshold: float = 0.0,
    binarize: bool = True,
    pad_size: Any = None,
) -> list[jax.Array]:
    """Resizes the masks of SAM: to the padded input, and from there, without its padding, to the
    image.

    Reproduces `models/sam/image_processing_sam.py` of Transformers.

    Args:
        masks: per image logits `(objects, masks, h, w)`.
        original_sizes: (height, width) of each image.
        reshaped_input_sizes: (height, width) of each image in the network's input.
        mask_threshold: the logit above which a pixel is of the mask.
        binarize: return booleans; otherwise logits.
        pad_size: `{"height", "width"}` of the network's input; the processor's.

    Returns:
        per image `(objects, masks, height, width)`.

    Raises:
        InputError: masks of another rank, or a size that is none.

    >>> size = {"height": 8, "width": 8}
    >>> masks = [np.ones((1, 3, 4, 4), np.float32)]
    >>> sam_masks(masks, [(10, 20)], [(4, 8)], pad_size=size)[0].shape
    (1, 3, 10, 20)
    """
    network = network_size(pad_size)
    if None in network:
        raise InputError(f"Expected `height` and `width`, got {pad_size!r} - at `pad_size`.")
    maps = _each_image(masks)
    image_sizes = required_sizes(original_sizes, len(maps), "original_sizes")
    input_sizes = required_sizes(reshaped_input_sizes, len(maps), "reshaped_input_sizes")
    # Image by image: each has its own size, and often its own number of objects.
    results = []
    for i, image_size in enumerate(image_sizes):
        to_network = exact_plan(maps[i].shape[-2:], network)
        window = Window.at_top_left(input_sizes[i], network)
        to_image = plan(network, image_size, window=window)
        resized = _masks_of_image(maps[i], to_network, to_image, mask_threshold, binarize)
        results.append(resized)
    return results


@method(("Sam2ImageProcessor", "Sam3ImageProcessor"), "post_process_masks")
def sam2_masks(
    masks: Sequence[Any] | Any,
    original_sizes: Any,
    mask_threshold: float = 0.0,
    binarize: bool = True,
    max_hole_area: float | int = 0.0,
    max_sprinkle_area: float | int = 0.0,
    apply_non_overlapping_constraints: bool = False,
    **_: Any,
) -> list[jax.Array]:
    """Resizes the masks of SAM 2 and SAM 3 to the sizes of their images.

    Reproduces `models/sam2/image_processing_sam2.py` of Transformers, and what SAM 2 itself does
    with the two areas.

    Args:
        masks, original_sizes, mask_threshold, binarize: as in `sam_masks`; so are the results.
        max_hole_area: holes of at most so many pixels, at the size at which masks come, are filled.
        max_sprinkle_area: regions of at most so many are removed.
        apply_non_overlapping_constraints: a pixel is only that of the strongest object.

    Raises:
        InputError: masks of another rank, a size that is none, or an area that is no number.

    >>> sam2_masks([np.ones((1, 3, 4, 4), np.float32)], [(10, 20)])[0].shape
    (1, 3, 10, 20)
    """
    max_areas = (
        _whole_area(max_hole_area, "max_hole_area"),
        _whole_area(max_sprinkle_area, "max_sprinkle_area"),
    )
    maps = _each_image(masks)
    results = []
    for i, image_size in enumerate(required_sizes(original_sizes, len(maps), "original_sizes")):
        native = maps[i].shape[-2:]
        result = _masks_of_image(
            maps[i],
            plan(native, None),
            plan(native, image_size),
            mask_threshold,
            binarize,
            max_areas,
            apply_non_overlapping_constraints,
        )
        results.append(result)
    return results
