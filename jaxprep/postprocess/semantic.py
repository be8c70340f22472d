"""Semantic segmentation: one class per pixel, from dense logits, from mask queries, or from a
painted palette.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxprep.postprocess import windows
from jaxprep.postprocess.results import Result, array, each, field, optional_field, sizes
from jaxprep.postprocess.targets import (
    Rule,
    Target,
    canvas_of,
    cut,
    exact_target,
    one,
    over_planes,
    resize_one,
    resized,
    target,
)
from jaxprep.types import Size

MASK2FORMER_SIZE = (384, 384)
"""The size to which Mask2Former's masks are brought before anything else, for all of its models."""


def class_scores(classes: jax.Array, masks: jax.Array, null: bool) -> jax.Array:
    """Class scores `(c, h, w)` of one image from query classes `(q, c)` and masks `(q, h, w)`, both
    logits.

    Args:
        null: the last class is "no object" and is left out.
    """
    weight = jax.nn.softmax(classes, axis=-1)
    weight = weight[:, :-1] if null else weight
    return jnp.einsum("qc,qhw->chw", weight, jax.nn.sigmoid(masks), precision=lax.Precision.HIGHEST)


def best_class(scores: jax.Array, way: Target, rule: Rule = "bilinear") -> jax.Array:
    """The class of each pixel of the canvas, int32, from scores `(c, h, w)` that are resized first.

    Of equal scores the first class wins.
    """

    def step(
        state: tuple[jax.Array, jax.Array], c: Any, plane: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        most, best = state
        wins = plane > most
        return jnp.where(wins, plane, most), jnp.where(wins, c, best)

    canvas = canvas_of(scores, way)
    return over_planes(
        step, (jnp.full(canvas, -jnp.inf), jnp.zeros(canvas, jnp.int32)), scores, way, rule
    )[1]


@functools.partial(jax.jit, static_argnames=("rule", "with_scores"))
def _dense(logits: jax.Array, i: Any, way: Target, rule: Rule, with_scores: bool) -> Any:
    return _maps(one(logits, i), way, rule, with_scores)


@functools.partial(jax.jit, static_argnames=("rule", "null", "with_scores"))
def _queries(
    classes: jax.Array,
    masks: jax.Array,
    i: Any,
    first: Target,
    way: Target,
    rule: Rule,
    null: bool,
    with_scores: bool,
) -> Any:
    masks = resized(one(masks, i), first)
    return _maps(class_scores(one(classes, i), masks, null), way, rule, with_scores)


def _maps(
    scores: jax.Array, way: Target, rule: Rule, with_scores: bool
) -> tuple[jax.Array, jax.Array | None]:
    if not with_scores:
        return best_class(scores, way, rule), None
    scores = resized(scores, way, rule)
    return best_class(scores, Target(None, None, way.size)), scores


def _result(found: tuple[Any, Any], size: Any, with_scores: bool) -> Any:
    segmentation, scores = found
    segmentation = jnp.asarray(cut(segmentation, size))
    if not with_scores:
        return segmentation
    scores = None if scores is None else jnp.asarray(cut(scores, size))
    return Result(segmentation=segmentation, segmentation_scores=scores)


def dense_semantic_segmentation(
    outputs: Any,
    target_sizes: Any = None,
    return_segmentation_scores: bool = False,
    *,
    names: Sequence[str] = ("logits",),
) -> list[Any]:
    """Class maps from logits `(b, c, h, w)`.

    Args:
        outputs: with `logits` (or the first field of `names` that it has).
        target_sizes: (height, width) per image; None leaves the maps at the size of the logits.
        return_segmentation_scores: give the resized logits too.

    Returns:
        per image an int32 map `(height, width)`; or, with scores, a dict with attributes
        `segmentation` and `segmentation_scores`, `(c, height, width)`.
    """
    logits = field(outputs, *names)
    results = []
    for i, size in each(sizes(target_sizes, len(logits)), len(logits)):
        way = target(logits.shape[-2:], size)
        found = _dense(logits, i, way, "bilinear", return_segmentation_scores)
        results.append(_result(found, way.size, return_segmentation_scores))
    return results


def query_semantic_segmentation(
    outputs: Any,
    target_sizes: Any = None,
    return_segmentation_scores: bool = False,
    *,
    null: bool = True,
    first_size: Size | None = None,
    rule: Rule = "bilinear",
) -> list[Any]:
    """Class maps from mask queries: the sum over queries of class probability times mask
    probability, resized.

    Args:
        outputs: with `class_queries_logits` (or `logits`) and `masks_queries_logits` (or
            `pred_masks`).
        target_sizes, return_segmentation_scores: as in `dense_semantic_segmentation`.
        null: the last class is "no object" and is left out.
        first_size: the size to which the masks are brought before they are made probabilities.
        rule: how scores are brought to their targets.
    """
    classes = field(outputs, "class_queries_logits", "logits")
    masks = field(outputs, "masks_queries_logits", "pred_masks")
    first, native = first_target(masks, first_size)
    results = []
    for i, size in each(sizes(target_sizes, len(classes)), len(classes)):
        way = target(native, size, rule)
        found = _queries(classes, masks, i, first, way, rule, null, return_segmentation_scores)
        results.append(_result(found, way.size, return_segmentation_scores))
    return results


def first_target(masks: jax.Array, size: Size | None) -> tuple[Target, Size]:
    """The way to a size that the model fixes, or as they are; and the size there."""
    native = (masks.shape[-2], masks.shape[-1])
    if size is None:
        return target(native, None), native
    return exact_target(native, size), size


@functools.partial(jax.jit, static_argnames=("vertical", "canvas"))
def _merged(
    classes: jax.Array,
    masks: jax.Array,
    rows: Any,
    starts: Any,
    first: Target,
    vertical: bool,
    canvas: Size,
):
    """The scores of the windows `rows` of one image, merged; as a batch of one."""

    def scores(row: Any) -> jax.Array:
        return class_scores(one(classes, row), resized(one(masks, row), first), null=True)

    return windows.mean(scores, rows, starts, (classes.shape[-1] - 1, *canvas), vertical)[None]


def eomt_semantic_segmentation(
    outputs: Any, target_sizes: Any, size: Any = None, return_segmentation_scores: bool = False
) -> list[Any]:
    """Class maps of Eomt: masks brought to the network's size; the windows of a split image
    averaged.

    Args:
        outputs: as in `query_semantic_segmentation`, and `patch_offsets`, the (image, start, end)
            of each window along the image's longer side, if images were split.
        target_sizes: (height, width) per image; required.
        size: the processor's `size`.
    """
    offsets = optional_field(outputs, "patch_offsets")
    if offsets is None or len(offsets) == 0:
        return query_semantic_segmentation(
            outputs, target_sizes, return_segmentation_scores, first_size=windows.eomt_size(size)
        )
    classes, masks = field(outputs, "class_queries_logits"), field(outputs, "masks_queries_logits")
    first, native = first_target(masks, windows.eomt_size(size))
    results = []
    for layout in windows.layouts(offsets, target_sizes, size, native):
        merged = _merged(
            classes, masks, layout.rows, layout.starts, first, layout.vertical, layout.canvas
        )
        way = target(layout.canvas, layout.goal, window=layout.inner)
        found = _dense(merged, 0, way, "bilinear", return_segmentation_scores)
        results.append(_result(found, way.size, return_segmentation_scores))
    return results


def sam3_semantic_segmentation(
    outputs: Any,
    target_sizes: Any = None,
    threshold: float = 0.5,
    return_segmentation_scores: bool = False,
) -> list[Any]:
    """Binary maps, 1 where the probability of `outputs.semantic_seg`, `(b, 1, h, w)` logits,
    exceeds `threshold`.
    """
    probabilities = _sigmoid(field(outputs, "semantic_seg"))
    results = []
    for i, size in each(sizes(target_sizes, len(probabilities)), len(probabilities)):
        scores = resize_one(probabilities, i, size, "bilinear")
        segmentation = (scores[0] > np.float32(threshold)).astype(np.int32)
        results.append(
            _result((segmentation, scores), segmentation.shape, return_segmentation_scores)
        )
    return results


_sigmoid = jax.jit(jax.nn.sigmoid)


def palette(num_labels: int) -> np.ndarray:
    """SegGPT's colours, `(num_labels + 1, 3)`: black for the background, then a grid of the colour
    cube.
    """
    base = int(num_labels ** (1 / 3)) + 1
    margin = 256 // base
    grid = [(n // base**2, n % base**2 // base, n % base) for n in range(num_labels)]
    return np.asarray(
        [(0, 0, 0), *((255 - r * margin, 255 - g * margin, 255 - b * margin) for r, g, b in grid)]
    )


@jax.jit
def _painted(masks: jax.Array, mean: Any, std: Any) -> jax.Array:
    """The lower half, which is the prediction, as colours in [0, 255]."""
    masks = masks[:, :, masks.shape[2] // 2 :]
    return jnp.clip((masks * std[:, None, None] + mean[:, None, None]) * 255, 0, 255)


@jax.jit
def _nearest_colour(
    colours: jax.Array, i: Any, way: Target, palette: jax.Array
) -> tuple[jax.Array, jax.Array]:
    image = resized(one(colours, i), way, "nearest")
    distance = jnp.stack([jnp.square(image - colour[:, None, None]).sum(0) for colour in palette])
    return distance.argmin(0).astype(jnp.int32), -distance


@jax.jit
def _mean_colour(colours: jax.Array, i: Any, way: Target) -> jax.Array:
    return resized(one(colours, i), way, "nearest").mean(0).astype(jnp.int32)


def seggpt_semantic_segmentation(
    outputs: Any,
    target_sizes: Any = None,
    num_labels: int | None = None,
    return_segmentation_scores: bool = False,
    *,
    image_mean: Any = (0.485, 0.456, 0.406),
    image_std: Any = (0.229, 0.224, 0.225),
) -> list[Any]:
    """Class maps from SegGPT's painted image `pred_masks` `(b, 3, 2 h, w)`, whose upper half
    repeats the prompt.

    Args:
        num_labels: classes besides the background; the class is the nearest of so many palette
            colours. None: the truncated mean of the channels.
        image_mean, image_std: the processor's normalisation, which is undone.

    Returns:
        as `dense_semantic_segmentation`; scores are negative squared distances to the colours, or
        None.
    """
    painted = _painted(
        field(outputs, "pred_masks"), array(np.float32(image_mean)), array(np.float32(image_std))
    )
    colours = None if num_labels is None else jnp.asarray(palette(num_labels), jnp.float32)
    results = []
    for i, size in each(sizes(target_sizes, len(painted)), len(painted)):
        way = target(painted.shape[-2:], size, "nearest")
        found = (
            (_mean_colour(painted, i, way), None)
            if colours is None
            else _nearest_colour(painted, i, way, colours)
        )
        results.append(_result(found, way.size, return_segmentation_scores))
    return results
