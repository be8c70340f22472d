"""Poses: the peaks of heatmaps, refined below a pixel, in pixels of the image.

Reproduces `models/sapiens2/image_processing_sapiens2.py` and
`models/vitpose/image_processing_vitpose.py` of Transformers; the refinement is DARK
(https://doi.org/10.1109/CVPR42600.2020.00712).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxprep.errors import InputError
from jaxprep.postprocess.registry import method
from jaxprep.postprocess.resize_plan import bucket
from jaxprep.postprocess.results import (
    box_sizes,
    field,
    float32,
    network_size,
    required_box_sizes,
    to_jax,
    to_numpy,
    whole_number,
)
from jaxprep.resample.interpolation import gaussian as smoothing_kernel
from jaxprep.types import Array, Size

Border = Literal["constant", "symmetric"]
"""What lies around a heatmap: zeros, or the heatmap mirrored."""
PADDING = 1.25
"""How much larger than a box the crop is that the network sees: the default of
`boxes_to_crop_params`."""


def gaussian(kernel_size: int) -> Float[np.ndarray, " kernel_size"]:
    """Returns OpenCV's Gaussian of an odd kernel size (`cv2.getGaussianKernel(kernel_size, 0)`).

    >>> gaussian(3).round(3).tolist()
    [0.23899999260902405, 0.5220000147819519, 0.23899999260902405]
    """
    half = (kernel_size - 1) * 0.5
    # OpenCV's rule for a sigma that is not given: `getGaussianKernel` in smooth.dispatch.cpp.
    sigma = np.float32(0.3 * (half - 1) + 0.8)
    position = np.linspace(-half, half, kernel_size, dtype=np.float32)
    weight = np.exp(-0.5 * (position / sigma) ** 2)
    normalised = weight / weight.sum()
    return normalised.astype(np.float32)


def vitpose_gaussian(kernel_size: int) -> Float[np.ndarray, " kernel_size"]:
    """Returns the Gaussian of ViTPose, whose width does not depend on the size of the kernel.

    >>> vitpose_gaussian(3).round(3).tolist()
    [0.23899999260902405, 0.5220000147819519, 0.23899999260902405]
    """
    # `gaussian_filter(heatmap, sigma=0.8, radius=...)`
    reach = int((kernel_size - 1) // 2)
    return smoothing_kernel(0.8, reach).astype(np.float32)


def blur(
    heatmap: Float[Array, "h w"],
    weight: Float[np.ndarray, " kernel_size"],
) -> Float[jax.Array, "h w"]:
    """Blurs a heatmap, zeros being around it, and scales it so that its maximum stays.

    >>> heatmap = np.float32([[0, 0, 0], [0, 2, 0], [0, 0, 0]])
    >>> np.max(jax.jit(lambda heatmap: blur(heatmap, gaussian(3)))(heatmap)).item()
    2.0
    """
    blurred = _blur_axes(heatmap, weight, "constant")
    # `gaussian_blur_preserve_max` of Transformers.
    highest = blurred.max()
    is_positive = highest > 0
    ratio = heatmap.max() / jnp.where(is_positive, highest, 1)
    return blurred * jnp.where(is_positive, ratio, 1)


def blur_mirrored(
    heatmap: Float[Array, "h w"],
    weight: Float[np.ndarray, " kernel_size"],
) -> Float[jax.Array, "h w"]:
    """Blurs a heatmap that is mirrored at its border, as SciPy's `gaussian_filter` does.

    >>> blur_mirrored(jnp.ones((3, 3)), vitpose_gaussian(3)).round(3).tolist()[0]
    [1.0, 1.0, 1.0]
    """
    return _blur_axes(heatmap, weight, "symmetric")


def _blur_axes(heatmap: Array, weight: np.ndarray, border: Border) -> jax.Array:
    blurred = jnp.asarray(heatmap)
    # A Gaussian is separable: one pass per axis.
    for axis in (0, 1):
        blurred = _blur_axis(blurred, weight, axis, border)
    return blurred


def _blur_axis(
    heatmap: jax.Array,
    weight: np.ndarray,
    axis: int,
    border: Border,
) -> jax.Array:
    n = heatmap.shape[axis]
    reach = len(weight) // 2
    padding = [(0, 0), (0, 0)]
    padding[axis] = (reach, reach)
    padded = jnp.pad(heatmap, padding, mode=border)
    total = jnp.zeros_like(heatmap)
    for k, factor in enumerate(weight):
        neighbours = jax.lax.slice_in_dim(padded, k, k + n, axis=axis)
        total += neighbours * factor
    return total


def peak(
    heatmap: Float[Array, "h w"],
    blurred: Float[Array, "h w"],
) -> tuple[Float[jax.Array, 2], Float[jax.Array, ""]]:
    """Returns position (x, y) and height of the maximum of a heatmap; (-1, -1) if it is not above
    0.

    The position is where the second-order Taylor expansion of the log of the blurred heatmap has
    its maximum.

    >>> heatmap = np.zeros((5, 7), np.float32)
    >>> heatmap[2, 3] = 1
    >>> position, score = jax.jit(lambda x: peak(x, blur(x, gaussian(3))))(heatmap)
    >>> np.round(position).tolist(), score.item()
    ([3.0, 2.0], 1.0)
    """
    height, width = heatmap.shape
    y, x = jnp.divmod(heatmap.argmax(), width)
    # Bounds of `post_dark_unbiased_data_processing`, of both models.
    logs = jnp.log(jnp.clip(blurred, 1e-3, 50))

    # Past the edge the logarithm goes on as it is there.
    def at(dy: int, dx: int) -> jax.Array:
        row = jnp.clip(y + dy, 0, height - 1)
        column = jnp.clip(x + dx, 0, width - 1)
        return logs[row, column]

    center = at(0, 0)
    right = at(0, 1)
    left = at(0, -1)
    below = at(1, 0)
    above = at(-1, 0)
    gradient_x = 0.5 * (right - left)
    gradient_y = 0.5 * (below - above)
    # The Hessian is inverted by hand: epsilon keeps a flat one from having the determinant 0.
    epsilon = jnp.finfo(jnp.float32).eps
    xx = right - 2 * center + left + epsilon
    yy = below - 2 * center + above + epsilon
    below_right = at(1, 1)
    above_left = at(-1, -1)
    corners = below_right - right - below + center + center - left - above + above_left
    xy = 0.5 * corners
    determinant = xx * yy - xy * xy
    offset_x = (yy * gradient_x - xy * gradient_y) / determinant
    offset_y = (xx * gradient_y - xy * gradient_x) / determinant
    pixel = jnp.stack([x, y]).astype(jnp.float32)
    position = pixel - jnp.stack([offset_x, offset_y])
    score = heatmap.max()
    return jnp.where(score > 0, position, -1), score


@functools.partial(jax.jit, static_argnames=("kernel_size", "is_mirrored"))
def _peaks(
    heatmaps: jax.Array,
    flipped: jax.Array | None,
    kernel_size: int,
    is_mirrored: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """Positions `(persons, keypoints, 2)` and scores `(persons, keypoints)`."""
    # Averaged inside the program: no copy of the heatmaps for it.
    if flipped is not None:
        heatmaps = (heatmaps + flipped) / 2
    if is_mirrored:
        smooth = functools.partial(blur_mirrored, weight=vitpose_gaussian(kernel_size))
    else:
        smooth = functools.partial(blur, weight=gaussian(kernel_size))

    def peak_of(heatmap: jax.Array) -> tuple[jax.Array, jax.Array]:
        return peak(heatmap, smooth(heatmap))

    peaks_of_person = jax.vmap(peak_of)
    return jax.vmap(peaks_of_person)(heatmaps)


def crop_of(
    boxes: Float[np.ndarray, "n 4"],
    size: Size,
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "n 2"]]:
    """Returns centre (x, y) and extent (width, height) of the crop around each box (left, top,
    width, height).

    The crop is larger than the box by `PADDING` and has the shape of the network's input `size`.

    >>> center, extent = crop_of(np.float32([[0, 0, 8, 4]]), (16, 16))
    >>> center.tolist(), extent.tolist()
    ([[4.0, 2.0]], [[10.0, 10.0]])
    """
    corner = boxes[:, :2]
    sides = boxes[:, 2:]
    center = corner + np.float32(0.5) * sides
    width, height = (sides * np.float32(PADDING)).T
    # The shorter side grows until the shapes agree: the crop is stretched by one factor only.
    ratio = np.float32(size[1] / size[0])
    is_wide = width > height * ratio
    crop_width = np.where(is_wide, width, height * ratio)
    crop_height = np.where(is_wide, width / ratio, height)
    extent = np.stack([crop_width, crop_height], 1)
    return center, extent


@method("Sapiens2ImageProcessor", "post_process_pose_estimation", settings=["size"])
def pose_estimation(
    outputs: Any,
    boxes: Sequence[Any],
    outputs_flipped: Any = None,
    kernel_size: int = 11,
    threshold: float | None = None,
    source_sizes: Any = None,
    target_sizes: Any = None,
    *,
    size: Any = None,
) -> list[list[dict[str, jax.Array]]]:
    """Returns the poses of Sapiens2.

    Args:
        outputs: with `heatmaps` `(persons, keypoints, h, w)`, of the persons of all images in
            order.
        boxes: per image the boxes `(n, 4)` (left, top, width, height) that preprocessing was given.
        outputs_flipped: those of the mirrored crops, mirrored back; heatmaps are averaged.
        kernel_size: odd, of the blur before the refinement.
        threshold: keypoints' scores are above it; None keeps all.
        source_sizes, target_sizes: (height, width) of each image and of the one in which positions
            are wanted.
        size: the processor's `size`.

    Returns:
        per image and person `keypoints` `(k, 2)` (x, y), `scores` and `labels` `(k,)`, and `bbox`
        (left, top, right, bottom).

    Raises:
        InputError: an even kernel, not one box for each person, or target sizes without source
            sizes.

    >>> heatmaps = np.zeros((1, 1, 5, 5), np.float32)
    >>> heatmaps[0, 0, 2, 2] = 1
    >>> size = {"height": 20, "width": 20}
    >>> ((person,),) = pose_estimation({"heatmaps": heatmaps}, [[[0, 0, 8, 8]]], size=size)
    >>> person["keypoints"].round(3).tolist(), person["bbox"].tolist()
    ([[4.0, 4.0]], [0.0, 0.0, 8.0, 8.0])
    """
    kernel_size = whole_number(kernel_size, "kernel_size")
    if kernel_size % 2 == 0 or kernel_size <= 1:
        raise InputError(
            f"Expected an odd number greater than 1, got {kernel_size} - at `kernel_size`."
        )
    heatmaps = np.asarray(field(outputs, "heatmaps"))
    all_boxes = [box for of_image in boxes for box in of_image]
    persons = np.asarray(all_boxes, np.float32).reshape(-1, 4)
    count = len(heatmaps)
    if len(persons) != count:
        raise InputError(
            f"Expected {count} boxes, as there are heatmaps, got {len(persons)} - at `boxes`."
        )
    scale = _image_scales(boxes, source_sizes, target_sizes)
    if not count:
        return [[] for _ in boxes]
    flipped = None
    if outputs_flipped is not None:
        flipped = np.asarray(field(outputs_flipped, "heatmaps"))
        flipped = _pad_persons(flipped)
    peaks = _peaks(_pad_persons(heatmaps), flipped, kernel_size)
    positions, scores = to_numpy(peaks)
    crops = crop_of(persons, network_size(size))
    in_image = _in_image(positions[:count], heatmaps.shape[2:], crops)
    positions = in_image * scale[:, None]
    corners = _corners(persons) * np.tile(scale, 2)
    persons_found = zip(positions, scores[:count], corners, strict=True)
    return _by_image(boxes, [_person(*person, threshold) for person in persons_found])


def _by_image(boxes: Sequence[Any], poses: list[Any]) -> list[list[Any]]:
    """The poses of all images, which are one batch of the model, image by image."""
    results = []
    start = 0
    for of_image in boxes:
        end = start + len(of_image)
        results.append(poses[start:end])
        start = end
    return results


NORMALIZER = 200.0
"""ViTPose counts sizes of people in 200 pixels, as the COCO evaluation of Simple Baselines does."""


def center_and_scale(
    box: Any,
    size: Size,
    normalize_factor: float = NORMALIZER,
) -> tuple[Float[np.ndarray, 2], Float[np.ndarray, 2]]:
    """Returns centre (x, y) of the crop of ViTPose around a box (left, top, width, height), and its
    width and height in units of `normalize_factor` pixels.

    The crop is larger than the box by `PADDING` and has the shape of the network's input `size`.

    >>> center, scale = center_and_scale((0.0, 0.0, 8.0, 4.0), (16, 16))
    >>> center.tolist(), (200 * scale).round(3).tolist()
    ([4.0, 2.0], [10.0, 10.0])
    """
    # `box_to_center_and_scale`; in the precision of the box, then float32
    left, top, width, height = box
    ratio = size[1] / size[0]
    center = np.array([left + width * 0.5, top + height * 0.5], np.float32)
    if width > ratio * height:
        height = width * 1.0 / ratio
    elif width < ratio * height:
        width = height * ratio
    scale = np.array([width / normalize_factor, height / normalize_factor], np.float32)
    return center, scale * np.float32(PADDING)


@method("VitPoseImageProcessor", "keypoints_from_heatmaps")
def keypoints_from_heatmaps(
    heatmaps: Any,
    center: Any,
    scale: Any,
    kernel: int = 11,
) -> tuple[Float[jax.Array, "persons k 2"], Float[jax.Array, "persons k 1"]]:
    """Returns the peaks (x, y) of heatmaps in pixels of the image, and their heights.

    Args:
        heatmaps: `(persons, keypoints, h, w)`.
        center, scale: `(persons, 2)`, of the crops; see `center_and_scale`.
        kernel: the size of the blur before the refinement.

    >>> heatmaps = np.zeros((1, 1, 5, 5), np.float32)
    >>> heatmaps[0, 0, 2, 2] = 1
    >>> points, scores = keypoints_from_heatmaps(heatmaps, [[4.0, 4.0]], [[0.05, 0.05]])
    >>> points.round(3).tolist(), scores.tolist()
    ([[[4.0, 4.0]]], [[[1.0]]])
    """
    heatmaps = np.asarray(heatmaps)
    if heatmaps.ndim != 4:
        raise InputError(
            "Expected heatmaps (persons, keypoints, h, w), got shape "
            f"{heatmaps.shape} - at `heatmaps`."
        )
    kernel = whole_number(kernel, "kernel")
    if kernel < 1:
        raise InputError(f"Expected a size of at least 1, got {kernel} - at `kernel`.")
    count = len(heatmaps)
    peaks = _peaks(_pad_persons(heatmaps), None, kernel, is_mirrored=True)
    positions, scores = to_numpy(peaks)
    extent = np.asarray(scale, np.float32) * np.float32(NORMALIZER)
    crops = (np.asarray(center, np.float32), extent)
    points = _in_image(positions[:count], heatmaps.shape[2:], crops)
    return jnp.asarray(points), jnp.asarray(scores[:count, :, None])


@method("VitPoseImageProcessor", "post_process_pose_estimation", settings=["size"])
def vitpose_estimation(
    outputs: Any,
    boxes: Sequence[Any],
    kernel_size: int = 11,
    threshold: float | None = None,
    target_sizes: Any = None,
    *,
    size: Any = None,
) -> list[list[dict[str, jax.Array]]]:
    """Returns the poses of ViTPose.

    Args:
        outputs: with `heatmaps` `(persons, keypoints, h, w)`, of the persons of all images in
            order.
        boxes: per image the boxes `(n, 4)` (left, top, width, height) that preprocessing was given.
        kernel_size: of the blur before the refinement.
        threshold: keypoints' scores are above it; None keeps all.
        target_sizes: for each person (width, height), by which boxes are multiplied that are shares
            of an image.
        size: the processor's `size`.

    Returns:
        per image and person `keypoints` `(k, 2)` (x, y), `scores` and `labels` `(k,)`, and `bbox`,
        which in the original is the centre of the crop, and one pixel less than its sum with the
        crop's size over 200.

    Raises:
        InputError: not one box, or target size, for each person.

    >>> heatmaps = np.zeros((1, 1, 5, 5), np.float32)
    >>> heatmaps[0, 0, 2, 2] = 1
    >>> size = {"height": 20, "width": 20}
    >>> ((person,),) = vitpose_estimation({"heatmaps": heatmaps}, [[[0, 0, 8, 8]]], size=size)
    >>> person["keypoints"].round(3).tolist()
    [[4.0, 4.0]]
    """
    heatmaps = np.asarray(field(outputs, "heatmaps"))
    count = len(heatmaps)
    all_boxes = [box for of_image in boxes for box in of_image]
    if len(all_boxes) != count:
        raise InputError(
            f"Expected {count} boxes, as there are heatmaps, got {len(all_boxes)} - at `boxes`."
        )
    if target_sizes is not None:
        factors = np.asarray(required_box_sizes(target_sizes, count), np.float64)
        all_boxes = [
            np.asarray(box) * np.tile(factor, 2)
            for box, factor in zip(all_boxes, factors, strict=True)
        ]
    if not count:
        return [[] for _ in boxes]
    crop_size = network_size(size)
    windows = [center_and_scale(np.asarray(box)[:4], crop_size) for box in all_boxes]
    center, scale = (np.stack(part) for part in zip(*windows, strict=True))
    points, scores = to_numpy(keypoints_from_heatmaps(heatmaps, center, scale, kernel_size))
    # `coco_to_pascal_voc` of centres and scales
    corners = np.concatenate([center, scale + center - 1], 1)
    persons = zip(points, scores[..., 0], corners, strict=True)
    return _by_image(boxes, [_person(*person, threshold) for person in persons])


def _in_image(
    positions: np.ndarray,
    shape: tuple[int, ...],
    crops: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Positions `(persons, k, 2)` on heatmaps of a shape, in pixels of the images that they are
    crops of."""
    center, extent = (part[:, None] for part in crops)
    height, width = shape
    # The first and the last pixel of a heatmap lie at the edges of the crop.
    last_pixel = np.asarray([width - 1, height - 1], np.float32)
    return positions / last_pixel * extent + center - np.float32(0.5) * extent


def _corners(boxes: np.ndarray) -> np.ndarray:
    """Boxes (left, top, width, height) as (left, top, right, bottom)."""
    top_left = boxes[:, :2]
    bottom_right = top_left + boxes[:, 2:]
    return np.concatenate([top_left, bottom_right], 1)


def _pad_persons(heatmaps: np.ndarray) -> np.ndarray:
    """Heatmaps for a bucket of persons, so that one program serves many counts."""
    count = len(heatmaps)
    missing = bucket(count) - count
    return np.pad(heatmaps, [(0, missing), (0, 0), (0, 0), (0, 0)])


def _person(
    positions: np.ndarray,
    scores: np.ndarray,
    corners: np.ndarray,
    threshold: float | None,
) -> dict[str, jax.Array]:
    keep = np.ones(len(scores), bool)
    if threshold is not None:
        keep = scores > float32(threshold, "threshold")
    result = {
        "keypoints": positions[keep],
        "scores": scores[keep],
        "labels": np.flatnonzero(keep).astype(np.int32),
        "bbox": corners,
    }
    return to_jax(result)


def _image_scales(
    boxes: Sequence[Any],
    source_sizes: Any,
    target_sizes: Any,
) -> Float[np.ndarray, "persons 2"]:
    """What each person's positions (x, y) are multiplied by."""
    counts = [len(of_image) for of_image in boxes]
    sources = box_sizes(source_sizes, len(boxes), "source_sizes")
    if target_sizes is None:
        return np.ones((sum(counts), 2), np.float32)
    if sources is None:
        raise InputError(
            "Expected the sizes of the images, since there are `target_sizes` - at `source_sizes`."
        )
    targets = required_box_sizes(target_sizes, len(boxes))
    rows = []
    for (height, width), (target_height, target_width) in zip(sources, targets, strict=True):
        rows.append([target_width / width, target_height / height])
    scales = np.asarray(rows, np.float32).reshape(-1, 2)
    return np.repeat(scales, counts, 0)
