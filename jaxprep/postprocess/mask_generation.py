"""Segmenting everything with SAM: the crops and points to ask about, the masks to keep, the
duplicates to drop.

Reproduces `models/sam/image_processing_sam.py` of Transformers; the paper is
https://arxiv.org/abs/2304.02643.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from jaxprep.errors import InputError
from jaxprep.postprocess.boxes import kept_boxes
from jaxprep.postprocess.registry import method
from jaxprep.postprocess.results import as_array, float32, real_number, to_numpy
from jaxprep.postprocess.runs import mask_to_rle, rle_to_mask
from jaxprep.types import Array, Size

EDGE_DISTANCE = 20
"""A box within so many pixels of the edge of a crop is cut off by it, unless that is the edge of
the image: `atol` of Transformers' `_is_box_near_crop_edge`."""

MAX_CHANNELS = 4
"""An axis that is longer than this is not one of channels."""

SAM_CLASSES = ("SamImageProcessor", "Sam2ImageProcessor", "Sam3ImageProcessor")


def crop_layers(
    size: Size,
    layers: int,
    overlap_ratio: float,
) -> list[list[int]]:
    """Returns the boxes (left, top, right, bottom) of the image and of the 4, 16, ... crops of each
    layer.

    Reproduces Transformers' `_generate_per_layer_crops`.

    >>> crop_layers((8, 8), 1, 0.25)
    [[0, 0, 8, 8], [0, 0, 5, 5], [0, 3, 5, 8], [3, 0, 8, 5], [3, 3, 8, 8]]
    """
    height, width = size
    boxes = [[0, 0, width, height]]
    for layer in range(1, layers + 1):
        side = 2**layer
        overlap = int(overlap_ratio * min(size) * (2 / side))
        shared = overlap * (side - 1)
        crop_height = math.ceil((shared + height) / side)
        crop_width = math.ceil((shared + width) / side)
        # Column by column, as `product(crop_box_x0, crop_box_y0)` goes.
        for column, row in itertools.product(range(side), repeat=2):
            left = (crop_width - overlap) * column
            top = (crop_height - overlap) * row
            right = min(left + crop_width, width)
            bottom = min(top + crop_height, height)
            boxes.append([left, top, right, bottom])
    return boxes


def point_grid(side: int) -> Float[np.ndarray, "points 2"]:
    """Returns the centres (x, y) of `side` times `side` cells of the unit square, row by row.

    >>> point_grid(2).tolist()
    [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]]
    """
    half_cell = 1 / (2 * side)
    first = np.float32(half_cell)
    last = np.float32(1 - half_cell)
    steps = max(side - 1, 1)
    step = (last - first) / np.float32(steps)
    index = np.arange(side, dtype=np.float32)
    # `torch.linspace` counts the first half from the first point and the second from the last:
    # https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/RangeFactoriesKernel.cpp
    from_first = first + step * index
    from_last = last - step * (side - 1 - index)
    points = np.where(index < side // 2, from_first, from_last)
    points = points.astype(np.float32)
    if side == 1:
        points = np.asarray([first])
    grid = np.stack(np.meshgrid(points, points), -1)
    return grid.reshape(-1, 2)


@method(SAM_CLASSES, "generate_crop_boxes")
def generate_crop_boxes(
    image: Any,
    target_size: int,
    crop_n_layers: int = 0,
    overlap_ratio: float = 512 / 1500,
    points_per_crop: int = 32,
    crop_n_points_downscale_factor: int = 1,
    device: Any = None,
) -> tuple[jax.Array, jax.Array, list[np.ndarray], jax.Array]:
    """Returns what to show the model and where to ask.

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

    >>> image = np.zeros((8, 8, 3), np.uint8)
    >>> boxes, points, crops, labels = generate_crop_boxes(image, 16, points_per_crop=2)
    >>> boxes.tolist(), points.shape, crops[0].shape, labels.shape
    ([[0.0, 0.0, 8.0, 8.0]], (1, 4, 1, 2), (3, 8, 8), (1, 4, 1))
    """
    del device
    pixels = channels_first(image)
    boxes = crop_layers(pixels.shape[1:], crop_n_layers, overlap_ratio)
    points_per_smaller_crop = int(points_per_crop / crop_n_points_downscale_factor)
    # Transformers stacks the points of all crops too, and fails there.
    if crop_n_layers and points_per_smaller_crop != points_per_crop:
        raise InputError(
            f"Expected 1 with layers of crops, got {crop_n_points_downscale_factor} - at "
            "`crop_n_points_downscale_factor`: crops of different numbers of points do not fit one "
            "array."
        )
    grid = point_grid(points_per_crop)
    crops = []
    points_of_crops = []
    for left, top, right, bottom in boxes:
        crop = pixels[:, top:bottom, left:right]
        points = _points_in_network(grid, crop.shape[1:], target_size)
        crops.append(crop)
        points_of_crops.append(points)
    batch = np.stack(points_of_crops, 1)[None]
    labels = np.ones(batch.shape[:3], np.int32)
    box_array = np.asarray(boxes, np.float32)
    return jnp.asarray(box_array), jnp.asarray(batch), crops, jnp.asarray(labels)


def _points_in_network(
    grid: Float[np.ndarray, "points 2"],
    size: tuple[int, ...],
    target_size: int,
) -> np.ndarray:
    """Points of the unit square in a crop of `size`, in pixels of the network's input
    (Transformers' `_normalize_coordinates`).
    """
    height, width = size
    scale = target_size / max(height, width)
    # The network's input has whole sides: + 0.5 and truncation round them. A point is scaled by
    # what that makes of its axis.
    new_width = int(width * scale + 0.5)
    new_height = int(height * scale + 0.5)
    ratios = np.asarray([new_width / width, new_height / height], np.float32)
    in_crop = grid * np.asarray([width, height], np.float32)
    in_network = in_crop * ratios
    return in_network.astype(np.float32)


def channels_first(image: Any) -> Shaped[np.ndarray, "c h w"]:
    """Returns an image `(c, h, w)`: up to 4 channels come first or last, last if both could be.

    >>> channels_first(np.zeros((8, 6, 3))).shape, channels_first(np.zeros((8, 6))).shape
    ((3, 8, 6), (1, 8, 6))
    """
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        return pixels[None]
    if pixels.ndim != 3:
        raise InputError(f"Expected one image, got shape {pixels.shape} - at `image`.")
    if pixels.shape[-1] <= MAX_CHANNELS or pixels.shape[0] > MAX_CHANNELS:
        return np.moveaxis(pixels, -1, 0)
    return pixels


def mask_boxes(masks: Bool[Array, "n h w"]) -> Int[jax.Array, "n 4"]:
    """Returns left, top, right and bottom pixel of each mask; zeros for an empty one.

    >>> jax.jit(mask_boxes)(np.pad(np.ones((1, 1, 2), bool), ((0, 0), (1, 2), (2, 0)))).tolist()
    [[2, 1, 3, 1]]
    """
    left, right = _first_and_last(jnp.any(masks, 1))
    top, bottom = _first_and_last(jnp.any(masks, 2))
    corners = jnp.stack([left, top, right, bottom], -1)
    has_pixels = jnp.any(masks, (1, 2))
    return jnp.where(has_pixels[:, None], corners.astype(jnp.int32), 0)


def _first_and_last(taken: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The first and the last index of each row `(n, length)` that is taken."""
    # `argmax` of booleans is the first that is true.
    first = taken.argmax(-1)
    from_end = taken[:, ::-1].argmax(-1)
    last = taken.shape[-1] - 1 - from_end
    return first, last


def stability(
    masks: Float[Array, "n h w"],
    threshold: Any,
    offset: Any,
) -> Float[jax.Array, " n"]:
    """Returns the overlap of each mask with itself when its threshold goes up and down by `offset`;
    NaN if both are empty.

    Reproduces Transformers' `_compute_stability_score`: one mask contains the other.

    >>> stability(jnp.float32([[[2, 0.5, -2]]]), 0.0, 1.0).tolist()
    [0.5]
    """
    inner = (masks > threshold + offset).sum((1, 2))
    outer = (masks > threshold - offset).sum((1, 2))
    return inner.astype(jnp.float32) / outer.astype(jnp.float32)


@jax.jit
def _judge(
    masks: jax.Array,
    threshold: Any,
    offset: Any,
    crop: Any,
    image: Any,
) -> tuple[jax.Array, ...]:
    """Binary masks, their boxes in the crop, their stability, whether the crop cuts them off."""
    binary = masks > threshold
    boxes = mask_boxes(binary)
    in_image = boxes + jnp.tile(crop[:2], 2)
    # Edge by edge: the left one of the box with the left one of the crop.
    is_near_crop_edge = jnp.abs(in_image - crop) <= EDGE_DISTANCE
    is_near_image_edge = jnp.abs(in_image - image) <= EDGE_DISTANCE
    is_cut_off = (is_near_crop_edge & ~is_near_image_edge).any(-1)
    stabilities = stability(masks, threshold, offset)
    return binary, boxes, stabilities, is_cut_off


@method(SAM_CLASSES, "filter_masks")
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
    """Keeps the masks of one crop that are good, stable, and not cut off by the crop.

    Args:
        masks: logits `(objects, masks, h, w)`, at the size of the crop.
        iou_scores: `(objects, masks)`, the quality that the model predicts of each.
        original_size: height and width of the image.
        cropped_box_image: (left, top, right, bottom) of the crop.
        pred_iou_thresh, stability_score_thresh: scores and stabilities are above them; 0 or less:
            all are kept.
        mask_threshold: the logit above which a pixel is of the mask.
        stability_score_offset: see `stability`.

    Returns:
        the masks of the image as RLE (see `runs.mask_to_rle`); their scores; their boxes in the
        image, int32.

    Raises:
        InputError: not one score for each mask.

    >>> masks = np.full((1, 1, 2, 2), 9, np.float32)
    >>> runs, scores, boxes = filter_masks(masks, [[0.9]], (2, 2), [0, 0, 2, 2])
    >>> runs, boxes.tolist()
    ([{'size': [2, 2], 'counts': [0, 4]}], [[0, 0, 1, 1]])
    """
    logits = as_array(masks)
    logits = logits.reshape(-1, *logits.shape[-2:])
    scores = np.asarray(iou_scores, np.float32).ravel()
    if len(logits) != len(scores):
        raise InputError(
            f"Expected one score for each of {len(logits)} masks, got {len(scores)} - at "
            "`iou_scores`."
        )
    height, width = (int(side) for side in np.asarray(original_size))
    crop = np.asarray(cropped_box_image).astype(np.int32)
    image = np.asarray([0, 0, width, height], np.int32)
    threshold = float32(mask_threshold, "mask_threshold")
    offset = float32(stability_score_offset, "stability_score_offset")
    judged = _judge(logits, threshold, offset, crop, image)
    binary, boxes, stabilities, is_cut_off = to_numpy(judged)
    keep = ~is_cut_off
    least_iou = float32(pred_iou_thresh, "pred_iou_thresh")
    if least_iou > 0:
        keep &= scores > least_iou
    least_stability = float32(stability_score_thresh, "stability_score_thresh")
    if least_stability > 0:
        keep &= stabilities > least_stability
    left, top, right, bottom = crop
    # One buffer for all masks, each of which fills the same rectangle of it.
    in_image = np.zeros((height, width), bool)
    runs = []
    for mask in binary[keep]:
        in_image[top:bottom, left:right] = mask
        runs.append(mask_to_rle(in_image))
    corner = np.asarray([left, top, left, top], np.int32)
    kept_scores = jnp.asarray(scores[keep])
    kept_boxes_in_image = jnp.asarray(boxes[keep] + corner)
    return runs, kept_scores, kept_boxes_in_image


@method(SAM_CLASSES, "post_process_for_mask_generation")
def unique_masks(
    all_masks: Sequence[dict[str, Any]],
    all_scores: Any,
    all_boxes: Any,
    crops_nms_thresh: float,
) -> tuple[list[jax.Array], jax.Array, list[dict[str, Any]], jax.Array]:
    """Returns the masks of all crops without duplicates: non-maximum suppression of their boxes.

    Args:
        all_masks: as RLE, from `filter_masks`.
        all_scores: `(n,)`.
        all_boxes: `(n, 4)`.
        crops_nms_thresh: the overlap above which the weaker of two masks goes.

    Returns:
        by falling score, the masks, bool `(height, width)`, their scores, their RLE and their
        boxes.

    >>> rle = {"size": [2, 2], "counts": [0, 4]}
    >>> boxes = np.float32([[0, 0, 1, 1], [0, 0, 1, 1]])
    >>> unique_masks([rle, rle], [0.9, 0.95], boxes, 0.7)[1].round(2).tolist()
    [0.949999988079071]
    """
    scores = np.asarray(all_scores, np.float32)
    boxes = np.asarray(all_boxes)
    max_overlap = real_number(crops_nms_thresh, "crops_nms_thresh")
    keep = kept_boxes(boxes, scores, max_overlap)
    runs = [all_masks[index] for index in keep]
    masks = [rle_to_mask(rle) for rle in runs]
    return masks, jnp.asarray(scores[keep]), runs, jnp.asarray(boxes[keep])
