"""Segmenting everything with SAM: crops and points to ask about, masks to keep, duplicates to
drop.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.postprocess.boxes import kept_boxes
from jaxprep.postprocess.results import array
from jaxprep.postprocess.runs import mask_to_rle, rle_to_mask
from jaxprep.types import Size

EDGE = 20
"""How near, in pixels, a box may not come to the edge of a crop that is not the edge of the
image.
"""


def crop_layers(size: Size, layers: int, overlap_ratio: float) -> list[list[int]]:
    """Boxes (left, top, right, bottom) of the image and of the 4, 16, ... crops of each layer."""
    height, width = size
    boxes = [[0, 0, width, height]]
    for layer in range(1, layers + 1):
        side = 2**layer
        overlap = int(overlap_ratio * min(size) * (2 / side))
        crop_height, crop_width = (math.ceil((overlap * (side - 1) + n) / side) for n in size)
        lefts, tops = ([(n - overlap) * i for i in range(side)] for n in (crop_width, crop_height))
        for left, top in itertools.product(lefts, tops):
            boxes.append([left, top, min(left + crop_width, width), min(top + crop_height, height)])
    return boxes


def point_grid(side: int) -> np.ndarray:
    """The centres (x, y) of `side` times `side` cells of the unit square, float32, as
    `torch.linspace` has them.
    """
    first, last = np.float32(1 / (2 * side)), np.float32(1 - 1 / (2 * side))
    step = (last - first) / np.float32(max(side - 1, 1))
    i = np.arange(side, dtype=np.float32)
    points = np.where(i < side // 2, first + step * i, last - step * (side - 1 - i)).astype(
        np.float32
    )
    points = points if side > 1 else np.asarray([first])
    return np.stack(np.meshgrid(points, points), -1).reshape(-1, 2)


def generate_crop_boxes(
    image: Any,
    target_size: int,
    crop_n_layers: int = 0,
    overlap_ratio: float = 512 / 1500,
    points_per_crop: int = 32,
    crop_n_points_downscale_factor: int = 1,
    device: Any = None,
) -> tuple[jax.Array, jax.Array, list[np.ndarray], jax.Array]:
    """What to show the model and where to ask.

    Args:
        image: channels first or last, or PIL.
        target_size: the longer side of the network's input.
        crop_n_layers: layers of crops besides the whole image.
        overlap_ratio: the share of the shorter side by which the crops of the first layer overlap.
        points_per_crop: points along each side of the image.
        crop_n_points_downscale_factor: by so much fewer in each layer.
        device: taken, and not used: JAX places arrays.

    Returns:
        crop boxes `(n, 4)` float32; points `(1, points, n, 2)` in pixels of the network's input;
        the crops, channels first; labels of the points, all 1.

    Raises:
        InputError: crops would have different numbers of points, which do not fit one array.
    """
    del device
    pixels = channels_first(image)
    boxes = crop_layers(pixels.shape[1:], crop_n_layers, overlap_ratio)
    if crop_n_layers and int(points_per_crop / crop_n_points_downscale_factor) != points_per_crop:
        raise InputError(
            f"Expected 1 with layers of crops, got {crop_n_points_downscale_factor} - at "
            "`crop_n_points_downscale_factor`: crops of different numbers of points do not fit one array."
        )
    grid = point_grid(points_per_crop)
    crops = [pixels[:, top:bottom, left:right] for left, top, right, bottom in boxes]
    points = np.stack([_points(grid, crop.shape[1:], target_size) for crop in crops], 1)[None]
    labels = np.ones(points.shape[:3], np.int32)
    return (
        jnp.asarray(np.asarray(boxes, np.float32)),
        jnp.asarray(points),
        crops,
        jnp.asarray(labels),
    )


def _points(grid: np.ndarray, size: tuple[int, ...], target_size: int) -> np.ndarray:
    """Points of the unit square in a crop of `size`, in pixels of the network's input."""
    height, width = size
    scale = target_size / max(height, width)
    ratio = [int(n * scale + 0.5) / n for n in (width, height)]
    return (grid * np.asarray([width, height], np.float32) * np.asarray(ratio, np.float32)).astype(
        np.float32
    )


def channels_first(image: Any) -> np.ndarray:
    """An image `(c, h, w)`: up to 4 channels come first or last, last if both could be."""
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        return pixels[None]
    if pixels.ndim != 3:
        raise InputError(f"Expected one image, got shape {pixels.shape} - at `image`.")
    return np.moveaxis(pixels, -1, 0) if pixels.shape[-1] <= 4 or pixels.shape[0] > 4 else pixels


def mask_boxes(masks: jax.Array) -> jax.Array:
    """Left, top, right and bottom pixel of each mask `(n, h, w)`, int32 `(n, 4)`; zeros for an
    empty one.
    """
    ends = []
    for axis in (1, 2):  # over rows: columns; over columns: rows
        taken = masks.any(axis)
        ends.append((taken.argmax(-1), taken.shape[-1] - 1 - taken[:, ::-1].argmax(-1)))
    (left, right), (top, bottom) = ends
    corners = jnp.stack([left, top, right, bottom], -1).astype(jnp.int32)
    return jnp.where(masks.any((1, 2))[:, None], corners, 0)


def stability(masks: jax.Array, threshold: Any, offset: Any) -> jax.Array:
    """Overlap of each mask `(n, h, w)` with itself when its threshold goes up and down by
    `offset`.
    """
    inner, outer = (
        (masks > threshold + by).sum((1, 2)).astype(jnp.float32) for by in (offset, -offset)
    )
    return inner / outer


@jax.jit
def _judge(masks: jax.Array, threshold: Any, offset: Any, crop: Any, image: Any):
    binary = masks > threshold
    boxes = mask_boxes(binary)
    shifted = boxes + jnp.tile(crop[:2], 2)
    near_crop, near_image = (jnp.abs(shifted - edges) <= EDGE for edges in (crop, image))
    return binary, boxes, stability(masks, threshold, offset), (near_crop & ~near_image).any(-1)


def filter_masks(
    masks: Any,
    iou_scores: Any,
    original_size: Any,
    cropped_box_image: Any,
    pred_iou_thresh: float = 0.88,
    stability_score_thresh: float = 0.95,
    mask_threshold: float = 0,
    stability_score_offset: float = 1,
) -> tuple[list[dict[str, Any]], jax.Array, jax.Array]:
    """The masks of one crop that are good, stable, and not cut off by the crop.

    Args:
        masks: logits `(objects, masks, h, w)`, at the size of the crop.
        iou_scores: `(objects, masks)`, what the model thinks of them.
        original_size: height and width of the image.
        cropped_box_image: (left, top, right, bottom) of the crop.
        pred_iou_thresh, stability_score_thresh: what scores and stabilities must exceed; 0 or less:
            no matter.
        mask_threshold: the logit above which a pixel is of the mask.
        stability_score_offset: see `stability`.

    Returns:
        the masks of the image as RLE (see `runs.mask_to_rle`); their scores; their boxes in the
        image, int32.
    """
    masks, scores = array(masks), np.asarray(iou_scores, np.float32).ravel()
    flat = masks.reshape(-1, *masks.shape[-2:])
    if len(flat) != len(scores):
        raise InputError(
            f"Expected one score for each of {len(flat)} masks, got {len(scores)} - at `iou_scores`."
        )
    height, width = (int(n) for n in np.asarray(original_size))
    left, top, right, bottom = crop = np.asarray(cropped_box_image).astype(np.int32)
    bounds = np.float32(mask_threshold), np.float32(stability_score_offset)
    judged = _judge(flat, *bounds, crop, np.asarray([0, 0, width, height], np.int32))
    binary, boxes, stable, cut_off = (np.asarray(part) for part in judged)
    keep = ~cut_off
    if pred_iou_thresh > 0:
        keep &= scores > np.float32(pred_iou_thresh)
    if stability_score_thresh > 0:
        keep &= stable > np.float32(stability_score_thresh)
    whole = np.zeros((height, width), bool)
    found = []
    for mask in binary[keep]:
        whole[:] = False
        whole[top:bottom, left:right] = mask
        found.append(mask_to_rle(whole))
    return (
        found,
        jnp.asarray(scores[keep]),
        jnp.asarray(boxes[keep] + np.asarray([left, top, left, top], np.int32)),
    )


def unique_masks(
    all_masks: Sequence[dict[str, Any]], all_scores: Any, all_boxes: Any, crops_nms_thresh: float
) -> tuple[list[jax.Array], jax.Array, list[dict[str, Any]], jax.Array]:
    """The masks of all crops without duplicates: non-maximum suppression of their boxes.

    Returns:
        by falling score, the masks `(height, width)`, their scores, their RLE and their boxes.
    """
    scores, boxes = np.asarray(all_scores, np.float32), np.asarray(all_boxes)
    keep = kept_boxes(boxes, scores, crops_nms_thresh)
    runs = [all_masks[i] for i in keep]
    return (
        [rle_to_mask(rle) for rle in runs],
        jnp.asarray(scores[keep]),
        runs,
        jnp.asarray(boxes[keep]),
    )
