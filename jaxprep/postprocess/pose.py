"""Poses: the peaks of heatmaps, refined below a pixel (DARK, doi:10.1109/CVPR42600.2020.00712), in
the image.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.postprocess.results import field, setting, sizes
from jaxprep.resample.tables import bucket
from jaxprep.types import Size

PADDING = 1.25
"""How much larger than a box the crop is that the network sees."""


def gaussian(kernel_size: int) -> np.ndarray:
    """OpenCV's Gaussian of a kernel size, `(kernel_size,)` float32."""
    sigma = 0.3 * ((kernel_size - 1) * 0.5 - 1) + 0.8
    half = (kernel_size - 1) / 2
    weight = np.exp(
        -0.5 * (np.linspace(-half, half, kernel_size, dtype=np.float32) / np.float32(sigma)) ** 2
    )
    return (weight / weight.sum()).astype(np.float32)


def blur(heatmap: jax.Array, weight: np.ndarray) -> jax.Array:
    """A heatmap `(h, w)` blurred, zeros being around it, and scaled so that its maximum stays."""
    border = len(weight) // 2
    blurred = heatmap
    for axis in (0, 1):
        n = blurred.shape[axis]
        padded = jnp.pad(blurred, [(border, border) if axis == i else (0, 0) for i in (0, 1)])
        parts = [
            jax.lax.slice_in_dim(padded, k, k + n, axis=axis) * w for k, w in enumerate(weight)
        ]
        blurred = functools.reduce(jnp.add, parts)
    most = blurred.max()
    return blurred * jnp.where(most > 0, heatmap.max() / jnp.where(most > 0, most, 1), 1)


def peak(heatmap: jax.Array, weight: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """Position (x, y) and height of the maximum of a heatmap `(h, w)`; (-1, -1) if it is not above
    0.

    The position is where the second-order Taylor expansion of the log of the blurred heatmap has
    its maximum.
    """
    height, width = heatmap.shape
    place = heatmap.argmax()
    y, x = place // width, place % width
    logs = jnp.log(jnp.clip(blur(heatmap, weight), 1e-3, 50))

    def at(dy: int, dx: int) -> jax.Array:
        return logs[jnp.clip(y + dy, 0, height - 1), jnp.clip(x + dx, 0, width - 1)]

    here, right, left, below, above = at(0, 0), at(0, 1), at(0, -1), at(1, 0), at(-1, 0)
    gradient_x, gradient_y = 0.5 * (right - left), 0.5 * (below - above)
    least = jnp.finfo(jnp.float32).eps
    xx, yy = right - 2 * here + left + least, below - 2 * here + above + least
    xy = 0.5 * (at(1, 1) - right - below + here + here - left - above + at(-1, -1))
    determinant = xx * yy - xy * xy
    offset = (
        jnp.stack([yy * gradient_x - xy * gradient_y, xx * gradient_y - xy * gradient_x])
        / determinant
    )
    found = heatmap.max() > 0
    position = jnp.stack([x, y]).astype(jnp.float32) - offset
    return jnp.where(found, position, -1), heatmap.max()


@functools.partial(jax.jit, static_argnames=("kernel_size",))
def _peaks(
    heatmaps: jax.Array, flipped: jax.Array | None, kernel_size: int
) -> tuple[jax.Array, jax.Array]:
    heatmaps = heatmaps if flipped is None else (heatmaps + flipped) / 2
    return jax.vmap(jax.vmap(lambda heatmap: peak(heatmap, gaussian(kernel_size))))(heatmaps)


def crop_of(boxes: np.ndarray, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Centre (x, y) and extent (width, height) of the crop around boxes (left, top, width, height).

    It is larger than the box by `PADDING` and has the shape of the network's input `size`.
    """
    centre = boxes[:, :2] + np.float32(0.5) * boxes[:, 2:]
    width, height = (boxes[:, 2:] * np.float32(PADDING)).T
    ratio = np.float32(size[1] / size[0])
    wide = width > height * ratio
    return centre, np.stack(
        [np.where(wide, width, height * ratio), np.where(wide, width / ratio, height)], 1
    )


def pose_estimation(
    outputs: Any,
    boxes: Sequence[Sequence[Sequence[float]]],
    outputs_flipped: Any = None,
    kernel_size: int = 11,
    threshold: float | None = None,
    source_sizes: Any = None,
    target_sizes: Any = None,
    *,
    size: Any = None,
) -> list[list[dict[str, jax.Array]]]:
    """Poses of Sapiens2.

    Args:
        outputs: with `heatmaps` `(persons, keypoints, h, w)`, of the persons of all images in
            order.
        boxes: per image the boxes (left, top, width, height) that preprocessing was given.
        outputs_flipped: those of the mirrored crops, mirrored back; heatmaps are averaged.
        kernel_size: odd, of the blur before the refinement.
        threshold: what a keypoint's score must exceed; None keeps all.
        source_sizes, target_sizes: (height, width) of each image and of the one in which positions
            are wanted.
        size: the processor's `size`.

    Returns:
        per image and person `keypoints` `(k, 2)` (x, y), `scores` and `labels` `(k,)`, and `bbox`
        (left, top, right, bottom).
    """
    if kernel_size % 2 == 0 or kernel_size <= 1:
        raise InputError(
            f"Expected an odd number greater than 1, got {kernel_size} - at `kernel_size`."
        )
    heatmaps = np.asarray(field(outputs, "heatmaps"))
    corners = np.asarray([box for image in boxes for box in image], np.float32).reshape(-1, 4)
    if len(corners) != len(heatmaps):
        raise InputError(
            f"Expected {len(heatmaps)} boxes, as there are heatmaps, got {len(corners)} - at `boxes`."
        )
    scale = _image_scales(boxes, source_sizes, target_sizes)
    if not len(heatmaps):
        return [[] for _ in boxes]
    extra = [(0, bucket(len(heatmaps)) - len(heatmaps))] + [(0, 0)] * 3
    flipped = (
        None
        if outputs_flipped is None
        else np.pad(np.asarray(field(outputs_flipped, "heatmaps")), extra)
    )
    found = _peaks(np.pad(heatmaps, extra), flipped, kernel_size)
    places, scores = (np.asarray(part)[: len(heatmaps)] for part in found)
    network = (setting(size, "height"), setting(size, "width"))
    centre, extent = (part[:, None] for part in crop_of(corners, network))
    last = np.asarray([heatmaps.shape[3] - 1, heatmaps.shape[2] - 1], np.float32)
    places = (places / last * extent + centre - np.float32(0.5) * extent) * scale[:, None]
    edges = np.concatenate([corners[:, :2], corners[:, :2] + corners[:, 2:]], 1) * np.tile(scale, 2)
    persons, counts = iter(range(len(heatmaps))), [len(image) for image in boxes]
    return [
        [_person(places[i], scores[i], edges[i], threshold) for i in itertools.islice(persons, n)]
        for n in counts
    ]


def _person(
    places: np.ndarray, scores: np.ndarray, edges: np.ndarray, threshold: float | None
) -> dict[str, jax.Array]:
    keep = np.ones(len(scores), bool) if threshold is None else scores > np.float32(threshold)
    parts = {
        "keypoints": places[keep],
        "scores": scores[keep],
        "labels": np.flatnonzero(keep).astype(np.int32),
    }
    return {name: jnp.asarray(part) for name, part in {**parts, "bbox": edges}.items()}


def _image_scales(boxes: Sequence[Any], source_sizes: Any, target_sizes: Any) -> np.ndarray:
    """By how much each person's positions are multiplied, `(persons, 2)` (x, y)."""
    counts = [len(image) for image in boxes]
    sources, goals = (
        sizes(source_sizes, len(boxes), "source_sizes"),
        sizes(target_sizes, len(boxes)),
    )
    if goals is None:
        return np.ones((sum(counts), 2), np.float32)
    if sources is None:
        raise InputError(
            "Expected the sizes of the images, since there are `target_sizes` - at `source_sizes`."
        )
    pairs = zip(sources, goals, strict=True)
    rows = [[goal[1] / source[1], goal[0] / source[0]] for source, goal in pairs]
    return np.repeat(np.asarray(rows, np.float32).reshape(-1, 2), counts, 0)
