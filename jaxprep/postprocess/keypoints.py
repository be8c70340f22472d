"""Keypoints and their matches: positions in pixels of the image, of those that the model found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxprep.errors import InputError
from jaxprep.postprocess.registry import MATCHING, method
from jaxprep.postprocess.results import (
    field,
    float32,
    numbers,
    require_shape,
    required_box_sizes,
    to_jax,
    to_numpy,
)
from jaxprep.types import Array


@jax.jit
def to_pixels(
    points: Float[Array, "*n 2"],
    size: Float[Array, "*m 2"],
) -> Int[jax.Array, "*n 2"]:
    """Converts relative positions (x, y) to pixels of images of `size` (height, width), truncated
    to int32.

    >>> to_pixels(jnp.float32([0.5, 0.99]), jnp.float32([10, 20])).tolist()
    [10, 9]
    """
    # Truncated, not rounded: torch's `.to(torch.int32)`.
    width_height = size[..., ::-1]
    return jnp.multiply(points, width_height).astype(jnp.int32)


@method("SuperPointImageProcessor", "post_process_keypoint_detection")
def keypoint_detection(outputs: Any, target_sizes: Any) -> list[dict[str, jax.Array]]:
    """Returns the keypoints of SuperPoint.

    Reproduces `models/superpoint/image_processing_superpoint.py` of Transformers.

    Args:
        outputs: with `mask` `(b, n)`, `keypoints` `(b, n, 2)`, relative (x, y), `scores` and
            `descriptors`.
        target_sizes: (height, width) of each image.

    Returns:
        per image `keypoints` int32 `(k, 2)`, `scores` `(k,)`, `descriptors` `(k, d)`.

    Raises:
        InputError: no target sizes, or not one for each image; fields that disagree in shape.

    >>> outputs = {
    ...     "mask": np.array([[1, 0]]),
    ...     "keypoints": np.full((1, 2, 2), 0.5),
    ...     "scores": np.ones((1, 2)),
    ...     "descriptors": np.ones((1, 2, 4)),
    ... }
    >>> keypoint_detection(outputs, [(8, 6)])[0]["keypoints"].tolist()
    [[3, 4]]
    """
    names = ("mask", "keypoints", "scores", "descriptors")
    mask, relative, scores, descriptors = (field(outputs, name) for name in names)
    shape = relative.shape[:2]
    require_shape("keypoints", relative, (*shape, 2))
    require_shape("mask", mask, shape)
    require_shape("scores", scores, shape)
    require_shape("descriptors", descriptors, (*shape, None))
    image_sizes = required_box_sizes(target_sizes, len(mask))
    size_array = np.asarray(image_sizes, np.float32).reshape(-1, 1, 2)
    points = to_pixels(relative, size_array)
    mask, points, scores, descriptors = to_numpy((mask, points, scores, descriptors))
    results = []
    for i in range(len(mask)):
        # Whatever is not 0, also below it: torch's `nonzero`.
        is_real = mask[i] != 0
        result = {
            "keypoints": points[i][is_real],
            "scores": scores[i][is_real],
            "descriptors": descriptors[i][is_real],
        }
        results.append(to_jax(result))
    return results


@method(("LightGlueImageProcessor", "SuperGlueImageProcessor"), MATCHING)
def keypoint_matching(
    outputs: Any,
    target_sizes: Any,
    threshold: float = 0.0,
) -> list[dict[str, jax.Array]]:
    """Returns the matches of SuperGlue and LightGlue.

    Reproduces `models/superglue/image_processing_superglue.py` of Transformers.

    Args:
        outputs: with `mask` `(b, 2, n)`, `keypoints` `(b, 2, n, 2)`, relative (x, y), `matches` and
            `matching_scores` `(b, 2, n)`.
        target_sizes: per pair, (height, width) of both images.
        threshold: a match's score is above it.

    Returns:
        per pair `keypoints0`, `keypoints1` int32 `(k, 2)` and `matching_scores` `(k,)`.

    Raises:
        InputError: target sizes of another shape than `(b, 2, 2)`; fields that disagree in shape.

    >>> outputs = {
    ...     "mask": np.ones((1, 2, 1)),
    ...     "keypoints": np.full((1, 2, 1, 2), 0.5),
    ...     "matches": np.zeros((1, 2, 1), int),
    ...     "matching_scores": np.ones((1, 2, 1)),
    ... }
    >>> (result,) = keypoint_matching(outputs, [[(8, 6), (4, 4)]])
    >>> result["keypoints0"].tolist(), result["keypoints1"].tolist()
    ([[3, 4]], [[2, 2]])
    """
    points, mask, matches, scores = _pairs(
        outputs, target_sizes, ("mask", "matches", "matching_scores")
    )
    if matches.dtype.kind not in "iu":
        raise InputError(f"Expected integers, got {matches.dtype} - at `outputs.matches`.")
    results = []
    for i in range(len(mask)):
        is_in_first, is_in_second = mask[i] > 0
        first = points[i, 0][is_in_first]
        second = points[i, 1][is_in_second]
        # A match is the index, among the real keypoints of the second image, of that of a keypoint
        # of the first; -1: none.
        partner = matches[i, 0][is_in_first]
        score = scores[i, 0][is_in_first]
        # No index into the padding.
        has_partner = (partner > -1) & (partner < len(second))
        keep = has_partner & (score > float32(threshold, "threshold"))
        result = {
            "keypoints0": first[keep],
            "keypoints1": second[partner[keep]],
            "matching_scores": score[keep],
        }
        results.append(to_jax(result))
    return results


@method("EfficientLoFTRImageProcessor", MATCHING)
def dense_matching(
    outputs: Any,
    target_sizes: Any,
    threshold: float = 0.0,
) -> list[dict[str, jax.Array]]:
    """Returns the matches of EfficientLoFTR, whose keypoints `(b, 2, n, 2)` come in pairs; a match
    holds if it does in both directions.

    Reproduces `models/efficientloftr/image_processing_efficientloftr.py` of Transformers. Arguments
    and results as in `keypoint_matching`, without `mask`.

    Args:
        outputs: of the model; see above.
        target_sizes, threshold: as in `keypoint_matching`.

    >>> outputs = {
    ...     "keypoints": np.full((1, 2, 1, 2), 0.5),
    ...     "matches": np.zeros((1, 2, 1), int),
    ...     "matching_scores": np.ones((1, 2, 1)),
    ... }
    >>> dense_matching(outputs, [[(8, 6), (4, 4)]])[0]["keypoints1"].tolist()
    [[2, 2]]
    """
    points, matches, scores = _pairs(outputs, target_sizes, ("matches", "matching_scores"))
    results = []
    for i in range(len(matches)):
        is_match = (scores[i] > float32(threshold, "threshold")) & (matches[i] > -1)
        # Both images list the pair: `all(0)` is over the two.
        keep = is_match.all(0)
        result = {
            "keypoints0": points[i, 0][keep],
            "keypoints1": points[i, 1][keep],
            "matching_scores": scores[i, 0][keep],
        }
        results.append(to_jax(result))
    return results


def _pairs(outputs: Any, target_sizes: Any, names: Sequence[str]) -> list[np.ndarray]:
    """The keypoints of pairs of images, `(b, 2, n, 2)`, in pixels, and the fields `names`, each
    `(b, 2, n)`.
    """
    points = field(outputs, "keypoints")
    shape = (*points.shape[:1], 2, *points.shape[2:3])
    require_shape("keypoints", points, (*shape, 2))
    fields = []
    for name in names:
        values = field(outputs, name)
        require_shape(name, values, shape)
        fields.append(values)
    # A size for each of two images: no case for `results.box_sizes`.
    sizes = numbers(target_sizes)
    expected = (len(points), 2, 2)
    if sizes is None or sizes.shape != expected:
        given = target_sizes if sizes is None else sizes.shape
        raise InputError(f"Expected sizes of shape {expected}, got {given} - at `target_sizes`.")
    if not (sizes >= 1).all():
        raise InputError(
            f"Expected pairs (height, width) of at least 1, got {target_sizes} - at `target_sizes`."
        )
    in_pixels = to_pixels(points, sizes.astype(np.float32)[:, :, None])
    return to_numpy((in_pixels, *fields))
