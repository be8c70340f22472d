"""Keypoints: positions in pixels of the image, of those that the model found."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.postprocess.results import array, field, sizes


@jax.jit
def absolute(points: jax.Array, size: jax.Array) -> jax.Array:
    """Relative positions `(..., 2)` (x, y) in pixels of images of `size` (height, width), truncated
    to int32.
    """
    return (points * size[..., ::-1]).astype(jnp.int32)


def keypoint_detection(outputs: Any, target_sizes: Any) -> list[dict[str, jax.Array]]:
    """Keypoints of SuperPoint.

    Args:
        outputs: with `mask` `(b, n)`, `keypoints` `(b, n, 2)`, relative (x, y), `scores` and
            `descriptors`.
        target_sizes: (height, width) of each image.

    Returns:
        per image `keypoints` int32 `(k, 2)`, `scores` `(k,)`, `descriptors` `(k, d)`.
    """
    mask = np.asarray(field(outputs, "mask"))
    goals = sizes(target_sizes, len(mask))
    if goals is None:
        raise InputError("Expected the sizes of the images, got None - at `target_sizes`.")
    points = absolute(field(outputs, "keypoints"), np.asarray(goals, np.float32)[:, None])
    parts = {
        "keypoints": points,
        "scores": field(outputs, "scores"),
        "descriptors": field(outputs, "descriptors"),
    }
    held = {name: np.asarray(part) for name, part in parts.items()}
    return [
        {name: jnp.asarray(part[i][mask[i] > 0]) for name, part in held.items()}
        for i in range(len(mask))
    ]


def keypoint_matching(
    outputs: Any, target_sizes: Any, threshold: float = 0.0
) -> list[dict[str, jax.Array]]:
    """Matches of SuperGlue and LightGlue.

    Args:
        outputs: with `mask` `(b, 2, n)`, `keypoints` `(b, 2, n, 2)`, relative (x, y), `matches` and
            `matching_scores` `(b, 2, n)`.
        target_sizes: per pair, (height, width) of both images.
        threshold: what a match's score must exceed.

    Returns:
        per pair `keypoints0`, `keypoints1` int32 `(k, 2)` and `matching_scores` `(k,)`.
    """
    mask, matches = (np.asarray(field(outputs, name)) for name in ("mask", "matches"))
    scores = np.asarray(field(outputs, "matching_scores"))
    points = np.asarray(absolute(field(outputs, "keypoints"), _pair_sizes(target_sizes, len(mask))))
    results = []
    for i in range(len(mask)):
        first, second = (points[i, side][mask[i, side] > 0] for side in (0, 1))
        found, score = (part[i, 0][mask[i, 0] > 0] for part in (matches, scores))
        keep = (score > np.float32(threshold)) & (found > -1) & (found < len(second))
        parts = {
            "keypoints0": first[keep],
            "keypoints1": second[found[keep]],
            "matching_scores": score[keep],
        }
        results.append({name: jnp.asarray(part) for name, part in parts.items()})
    return results


def dense_matching(
    outputs: Any, target_sizes: Any, threshold: float = 0.0
) -> list[dict[str, jax.Array]]:
    """Matches of EfficientLoFTR, whose keypoints `(b, 2, n, 2)` come in pairs; a match holds if it
    does both ways.
    """
    matches, scores = (np.asarray(field(outputs, name)) for name in ("matches", "matching_scores"))
    points = np.asarray(
        absolute(field(outputs, "keypoints"), _pair_sizes(target_sizes, len(matches)))
    )
    results = []
    for i in range(len(matches)):
        keep = ((scores[i] > np.float32(threshold)) & (matches[i] > -1)).all(0)
        parts = {
            "keypoints0": points[i, 0][keep],
            "keypoints1": points[i, 1][keep],
            "matching_scores": scores[i, 0][keep],
        }
        results.append({name: jnp.asarray(part) for name, part in parts.items()})
    return results


def _pair_sizes(target_sizes: Any, count: int) -> np.ndarray:
    rows = np.asarray(array(target_sizes), np.float32)
    if rows.shape != (count, 2, 2):
        raise InputError(f"Expected shape {(count, 2, 2)}, got {rows.shape} - at `target_sizes`.")
    return rows[:, :, None]
