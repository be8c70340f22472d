"""SAM's masks at the size of their images."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.postprocess.components import small_regions
from jaxprep.postprocess.results import array, setting, sizes
from jaxprep.postprocess.targets import Target, Window, cut, exact_target, resized, target

SURE = 10.0
"""The logit, above or below the threshold, that a filled hole or a removed sprinkle gets, as in SAM
2.
"""
LEAST = -10.0
"""The logit that a mask is bounded by where another one is stronger."""


def fill_and_remove(masks: jax.Array, threshold: Any, hole: Any, sprinkle: Any) -> jax.Array:
    """Logits `(n, h, w)` with small holes filled, then small sprinkles removed, as SAM 2's
    `postprocess_masks` does.

    Args:
        threshold: the logit above which a pixel is of the mask.
        hole, sprinkle: the largest area, in pixels of these maps, of a hole or a sprinkle; 0 leaves
            all.
    """
    holes = jax.vmap(lambda mask: small_regions(mask <= threshold, hole))(masks)
    masks = jnp.where(holes, threshold + SURE, masks)
    sprinkles = jax.vmap(lambda mask: small_regions(mask > threshold, sprinkle))(masks)
    return jnp.where(sprinkles, threshold - SURE, masks)


def without_overlap(masks: jax.Array) -> jax.Array:
    """Logits `(objects, c, h, w)` of which only the largest at each place stays above -10."""
    if len(masks) == 1:
        return masks
    strongest = masks.argmax(0, keepdims=True) == jnp.arange(len(masks))[:, None, None, None]
    return jnp.where(strongest, masks, jnp.minimum(masks, LEAST))


@functools.partial(jax.jit, static_argnames=("apart", "clean"))
def _to_image(
    masks: jax.Array,
    first: Target,
    way: Target,
    threshold: Any,
    areas: Any,
    apart: bool,
    clean: bool,
):
    shape = masks.shape[:2]
    flat = masks.reshape(-1, *masks.shape[2:])
    flat = fill_and_remove(flat, threshold, *areas) if clean else flat
    flat = resized(resized(flat, first), way)
    masks = flat.reshape(*shape, *flat.shape[1:])
    masks = without_overlap(masks) if apart else masks
    return masks, masks > threshold


def _finish(
    masks: Any,
    first: Target,
    way: Target,
    threshold: float,
    binarize: bool,
    areas: tuple[float, float],
    apart: bool,
) -> jax.Array:
    masks = array(masks)
    if masks.ndim != 4:
        raise InputError(
            f"Expected masks (objects, masks, height, width), got shape {masks.shape} - at `masks`."
        )
    bounds = np.asarray(areas, np.int32)
    logits, binary = _to_image(
        masks, first, way, np.float32(threshold), bounds, apart, bool(bounds.any())
    )
    return jnp.asarray(cut(binary if binarize else logits, way.size))


def sam_masks(
    masks: Sequence[Any] | Any,
    original_sizes: Any,
    reshaped_input_sizes: Any,
    mask_threshold: float = 0.0,
    binarize: bool = True,
    pad_size: Any = None,
) -> list[jax.Array]:
    """Masks of SAM: to the padded input, without its padding, to the image.

    Args:
        masks: per image logits `(objects, masks, h, w)`.
        original_sizes: (height, width) of each image.
        reshaped_input_sizes: (height, width) of each image in the network's input.
        mask_threshold: the logit above which a pixel is of the mask.
        binarize: give booleans; otherwise logits.
        pad_size: `{"height", "width"}` of the network's input; the processor's.

    Returns:
        per image `(objects, masks, height, width)`.
    """
    padded = (setting(pad_size, "height"), setting(pad_size, "width"))
    if None in padded:
        raise InputError(f"Expected `height` and `width`, got {pad_size!r} - at `pad_size`.")
    goals = sizes(original_sizes, len(masks), "original_sizes") or []
    inner = sizes(reshaped_input_sizes, len(masks), "reshaped_input_sizes") or []
    results = []
    for i, goal in enumerate(goals):
        first = exact_target(np.shape(masks[i])[-2:], padded)
        window = Window(0, 0, min(inner[i][0], padded[0]), min(inner[i][1], padded[1]))
        way = target(padded, goal, window=window)
        results.append(_finish(masks[i], first, way, mask_threshold, binarize, (0, 0), apart=False))
    return results


def sam2_masks(
    masks: Sequence[Any] | Any,
    original_sizes: Any,
    mask_threshold: float = 0.0,
    binarize: bool = True,
    max_hole_area: float = 0.0,
    max_sprinkle_area: float = 0.0,
    apply_non_overlapping_constraints: bool = False,
    **_: Any,
) -> list[jax.Array]:
    """Masks of SAM 2 and SAM 3 at the size of their images.

    Args:
        masks, original_sizes, mask_threshold, binarize: as in `sam_masks`.
        max_hole_area: holes of at most so many pixels, at the size at which masks come, are filled.
        max_sprinkle_area: regions of at most so many are removed.
        apply_non_overlapping_constraints: at each place only the strongest object may be seen.
    """
    results = []
    for i, goal in enumerate(sizes(original_sizes, len(masks), "original_sizes") or []):
        source = np.shape(masks[i])[-2:]
        first, way = target(source, None), target(source, goal)
        areas = (max_hole_area, max_sprinkle_area)
        results.append(
            _finish(
                masks[i],
                first,
                way,
                mask_threshold,
                binarize,
                areas,
                apply_non_overlapping_constraints,
            )
        )
    return results
