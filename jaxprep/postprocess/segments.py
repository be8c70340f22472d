"""Panoptic segmentation: every pixel to one query, queries that hold too little of their own mask
dropped, ids.

DETR's rule (doi:10.1007/978-3-030-58452-8_13) as Transformers has it in two variants. A first
program scores all queries; the host keeps those that count; a second one, with room for them,
resizes their masks and settles the pixels.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxprep.postprocess.results import each, field, sizes
from jaxprep.postprocess.runs import segmentation_to_runs
from jaxprep.postprocess.semantic import first_target
from jaxprep.postprocess.targets import (
    Rule,
    Target,
    Window,
    above,
    canvas_of,
    cut,
    inside,
    one,
    over_planes,
    resized,
    target,
)
from jaxprep.postprocess.windows import eomt_size, size_in_network
from jaxprep.types import Size

QUERY_ROOM = 8
"""Kept queries come in rooms of 8, 32, 128, ..., so that their number seldom asks for another
program.
"""


class Variant(NamedTuple):
    """How queries become segments.

    Attributes:
        sigmoid: masks become probabilities before they are resized, after it, or never.
        weighted: the area of a query's own mask is counted after its probability is multiplied by
            its score.
        confident: only pixels where the winner's probability reaches the mask threshold are given
            to it.
        rule: how masks are resized.
    """

    sigmoid: Literal["before", "after", "never"] = "before"
    weighted: bool = True
    confident: bool = False
    rule: Rule = "bilinear"


DETR = Variant()
EOMT = Variant(sigmoid="after", weighted=False, confident=True)


def query_scores(classes: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Probability and class of the best class of each query, "no object" (the last) included."""
    probabilities = jax.nn.softmax(classes, axis=-1)
    return probabilities.max(-1), probabilities.argmax(-1).astype(jnp.int32)


def segment_ids(
    exists: jax.Array, labels: jax.Array, fuse: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Ids of segments `(q,)` in order, from 1 on; and whether each is the first of its id.

    Segments to `fuse` take the id of the first of their label; every other id is a new one.
    """
    same = exists & fuse & (labels == labels[:, None])
    first = jnp.where(fuse & exists, same.argmax(-1), jnp.arange(len(labels)))
    leads = exists & (first == jnp.arange(len(labels)))
    return jnp.where(exists, jnp.cumsum(leads)[first], 0), leads


def settle(
    masks: jax.Array,
    scores: jax.Array,
    labels: jax.Array,
    keep: jax.Array,
    fuse: jax.Array,
    way: Target,
    mask_threshold: Any,
    overlap: Any,
    variant: Variant,
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The segments of one image.

    Args:
        masks: `(q, h, w)` logits.
        scores, labels: `(q,)`, of the best class of each query.
        keep: `(q,)`, the queries that take part.
        fuse: `(q,)`, the queries whose label has one segment per image.
        way: where masks go.
        mask_threshold: the probability from which on a pixel is of a mask.
        overlap: the share of a query's own mask from which on (see `targets.above`) it is a
            segment.

    Returns:
        ids `(height, width)` on the canvas, 0 where there is no segment; the id of each query, 0
        for none; whether the query is the first of its id.
    """
    scores, labels, keep, fuse = (jnp.asarray(part) for part in (scores, labels, keep, fuse))
    masks = jax.nn.sigmoid(masks) if variant.sigmoid == "before" else masks
    canvas = canvas_of(masks, way)
    real = inside(way, canvas)

    def step(state: tuple[jax.Array, ...], q: Any, plane: jax.Array) -> tuple[jax.Array, ...]:
        most, owner, sure, own_area = state
        plane = jax.nn.sigmoid(plane) if variant.sigmoid == "after" else plane
        weighted = plane * scores[q]
        covered = (weighted if variant.weighted else plane) >= mask_threshold
        wins = keep[q] & (weighted > most)
        chosen = [
            jnp.where(wins, new, old)
            for new, old in ((weighted, most), (q, owner), (covered, sure))
        ]
        return (*chosen, own_area.at[q].set((covered & real).sum(dtype=jnp.int32)))

    none = jnp.zeros(canvas, jnp.int32)
    counts = jnp.zeros(len(scores), jnp.int32)
    start = (jnp.full(canvas, -jnp.inf), none, none > 0, counts)
    _, owner, sure, own_area = over_planes(step, start, masks, way, variant.rule)
    area = _areas(owner, real, counts)
    ratio = area.astype(jnp.float32) / jnp.maximum(own_area, 1).astype(jnp.float32)
    exists = keep & (area > 0) & (own_area > 0) & (ratio >= overlap)
    if variant.confident:
        real &= sure
        exists &= _areas(owner, real, counts) > 0
    ids, leads = segment_ids(exists, labels, fuse)
    return jnp.where(real, ids[owner], 0), ids, leads


def _areas(owner: jax.Array, real: jax.Array, counts: jax.Array) -> jax.Array:
    """The number of real pixels of each owner; one by one, since scattering is slow."""

    def count(q: Any, counts: jax.Array) -> jax.Array:
        return counts.at[q].set((real & (owner == q)).sum(dtype=jnp.int32))

    return lax.fori_loop(0, len(counts), count, counts)


@functools.partial(jax.jit, static_argnames=("variant",))
def _settle(
    masks: jax.Array, i: Any, rows: Any, first: Target, way: Target, variant: Variant, *rest: Any
) -> Any:
    masks = resized(one(masks, i)[rows], first)
    scores, labels, keep, fuse, mask_threshold, overlap = rest
    return settle(masks, scores, labels, keep, fuse, way, mask_threshold, overlap, variant)


_query_scores = jax.jit(query_scores)


def room(count: int, most: int) -> int:
    """The room for `count` of `most` queries."""
    size = QUERY_ROOM
    while size < count:
        size *= 4
    return max(min(size, most), count)


class Found(NamedTuple):
    """The segments of one image, on the host: ids from 1 on, 0 for none."""

    segmentation: np.ndarray
    ids: np.ndarray
    leads: np.ndarray


def find_segments(
    masks: jax.Array,
    i: int,
    rows: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    fuse: Collection[int],
    first: Target,
    way: Target,
    mask_threshold: float,
    overlap: float,
    variant: Variant,
) -> Found:
    """The segments of image `i`, of the queries `rows` (at least one) and their scores and
    labels.
    """
    count = len(rows)
    extra = (0, room(count, masks.shape[1]) - count)
    keep = np.pad(np.ones(count, bool), extra)
    fused = np.isin(labels, list(fuse))
    queries = [np.pad(part, extra) for part in (scores, labels, fused)]
    queries.insert(2, keep)
    found = _settle(
        masks,
        i,
        np.pad(rows, extra),
        first,
        way,
        variant,
        *queries,
        np.float32(mask_threshold),
        above(overlap),
    )
    segmentation, ids, leads = found
    return Found(cut(segmentation, way.size), np.asarray(ids)[:count], np.asarray(leads)[:count])


def panoptic_segmentation(
    outputs: Any,
    threshold: float = 0.5,
    mask_threshold: float = 0.5,
    overlap_mask_area_threshold: float = 0.8,
    label_ids_to_fuse: Collection[int] | None = None,
    target_sizes: Any = None,
    *,
    first_size: Size | None = None,
    variant: Variant = DETR,
) -> list[dict[str, Any]]:
    """Segments of things and stuff.

    Args:
        outputs: with `class_queries_logits` (or `logits`), the last class being "no object", and
            `masks_queries_logits` (or `pred_masks`).
        threshold: a query takes part if its class is an object with a probability above this.
        mask_threshold: the probability (times the query's) from which on a pixel is of a mask.
        overlap_mask_area_threshold: a query is a segment if it wins more than this share of its
            mask.
        label_ids_to_fuse: labels with one segment per image.
        target_sizes: (height, width) per image; None leaves the maps at the size of the masks.
        first_size: the size to which masks are brought first.

    Returns:
        per image `segmentation`, int32 ids `(height, width)` with 0 for none, -1 everywhere if no
        query took part; and `segments_info`: `id`, `label_id`, `was_fused`, `score` of each query
        that became (part of) a segment.
    """
    classes = field(outputs, "class_queries_logits", "logits")
    masks = field(outputs, "masks_queries_logits", "pred_masks")
    fuse = set() if label_ids_to_fuse is None else set(label_ids_to_fuse)
    scores, labels = (np.asarray(part) for part in _query_scores(classes))
    first, native = first_target(masks, first_size)
    results = []
    for i, size in each(sizes(target_sizes, len(classes)), len(classes)):
        rows = np.flatnonzero(
            (labels[i] != classes.shape[-1] - 1) & (scores[i] > np.float32(threshold))
        )
        if not len(rows):
            results.append(nothing(size or native))
            continue
        way = target(native, size, variant.rule)
        kept = scores[i][rows], labels[i][rows]
        found = find_segments(
            masks,
            i,
            rows,
            *kept,
            fuse,
            first,
            way,
            mask_threshold,
            overlap_mask_area_threshold,
            variant,
        )
        info = [
            {
                "id": int(n),
                "label_id": int(label),
                "was_fused": int(label) in fuse,
                "score": round(float(score), 6),
            }
            for n, label, score in zip(found.ids, kept[1], kept[0], strict=True)
            if n
        ]
        results.append({"segmentation": jnp.asarray(found.segmentation), "segments_info": info})
    return results


def nothing(size: Size) -> dict[str, Any]:
    """The result for an image in which nothing was found."""
    return {"segmentation": jnp.asarray(np.full(size, -1, np.int32)), "segments_info": []}


def detr_instance_segmentation(
    outputs: Any,
    threshold: float = 0.5,
    mask_threshold: float = 0.5,
    overlap_mask_area_threshold: float = 0.8,
    target_sizes: Any = None,
    return_coco_annotation: bool = False,
) -> list[dict[str, Any]]:
    """`panoptic_segmentation` with nothing fused; `return_coco_annotation` gives runs instead of
    maps.
    """
    results = panoptic_segmentation(
        outputs, threshold, mask_threshold, overlap_mask_area_threshold, None, target_sizes
    )
    return [with_runs(result) for result in results] if return_coco_annotation else results


def with_runs(result: dict[str, Any]) -> dict[str, Any]:
    """The result with its map of ids as runs."""
    return {**result, "segmentation": segmentation_to_runs(result["segmentation"])}


def eomt_ways(masks: jax.Array, size: Any, goal: Size) -> tuple[Target, Target]:
    """Eomt's masks to the network's size, then, without its padding, to the image's."""
    first, native = first_target(masks, eomt_size(size))
    height, width = size_in_network(goal, size)
    return first, target(
        native, goal, window=Window(0, 0, min(height, native[0]), min(width, native[1]))
    )


def eomt_panoptic_segmentation(
    outputs: Any,
    target_sizes: Any,
    threshold: float = 0.8,
    mask_threshold: float = 0.5,
    overlap_mask_area_threshold: float = 0.8,
    stuff_classes: Collection[int] | None = None,
    size: Any = None,
) -> list[dict[str, Any]]:
    """Segments of Eomt: ids from 0 on, -1 for none; each of `stuff_classes` has one segment, with
    its first score.

    Args:
        outputs: with `class_queries_logits` and `masks_queries_logits`.
        target_sizes: (height, width) per image; required.
        size: the processor's `size`; other arguments as in `panoptic_segmentation`.
    """
    classes, masks = field(outputs, "class_queries_logits"), field(outputs, "masks_queries_logits")
    scores, labels = (np.asarray(part) for part in _query_scores(classes))
    results = []
    for i, goal in enumerate(sizes(target_sizes, len(classes)) or []):
        rows = np.flatnonzero(
            (labels[i] != classes.shape[-1] - 1) & (scores[i] > np.float32(threshold))
        )
        if not len(rows):
            results.append(nothing(goal))
            continue
        first, way = eomt_ways(masks, size, goal)
        kept = scores[i][rows], labels[i][rows]
        found = find_segments(
            masks,
            i,
            rows,
            *kept,
            stuff_classes or (),
            first,
            way,
            mask_threshold,
            overlap_mask_area_threshold,
            EOMT,
        )
        info = [
            {"id": int(n) - 1, "label_id": int(label), "score": round(float(score), 6)}
            for n, leads, label, score in zip(found.ids, found.leads, kept[1], kept[0], strict=True)
            if leads
        ]
        results.append({"segmentation": jnp.asarray(found.segmentation - 1), "segments_info": info})
    return results
