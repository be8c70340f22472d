"""Instance segmentation: one mask per query, class and score; how overlaps are settled is the
model's.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxprep.errors import InputError
from jaxprep.postprocess.results import each, field, sizes, value_of
from jaxprep.postprocess.runs import segmentation_to_runs
from jaxprep.postprocess.segments import Variant, eomt_ways, find_segments, nothing, room
from jaxprep.postprocess.semantic import first_target
from jaxprep.postprocess.targets import (
    Target,
    at_least,
    canvas_of,
    cut,
    inside,
    one,
    over_planes,
    resized,
    target,
)
from jaxprep.resample.tables import resize_taps
from jaxprep.types import Size


def top_classes(classes: jax.Array, count: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The `count` best pairs of query and class, best first: score, class, query. The last class is
    "no object".
    """
    scores = jax.nn.softmax(classes, axis=-1)[:, :-1]
    best, flat = lax.top_k(scores.reshape(-1), count)
    return best, flat % scores.shape[1], flat // scores.shape[1]


def mask_quality(masks: jax.Array) -> jax.Array:
    """The mean probability of the pixels of each mask `(q, h, w)` (logits above 0)."""
    ones = (masks > 0).astype(jnp.float32)
    return (jax.nn.sigmoid(masks) * ones).sum((1, 2)) / (ones.sum((1, 2)) + 1e-6)


def instance_ids(exists: jax.Array) -> jax.Array:
    """Ids in order, from 0 on; -1 for none."""
    return jnp.where(exists, jnp.cumsum(exists) - 1, -1)


@jax.jit
def _top_instances(
    classes: jax.Array, masks: jax.Array, i: Any, first: Target, rows: Any, columns: Any, bound: Any
):
    scores, labels, queries = top_classes(one(classes, i), classes.shape[1])
    masks = resized(one(masks, i), first)[queries]
    scores = scores * mask_quality(masks)
    binary = masks > 0
    seen = (binary & rows[:, None] & columns).any((1, 2))
    ids = instance_ids(seen & (scores >= bound))
    return scores, labels, jnp.where(binary, ids[:, None, None], -1).max(0), ids, binary


def top_instance_segmentation(
    outputs: Any,
    threshold: float = 0.5,
    mask_threshold: float = 0.5,
    overlap_mask_area_threshold: float = 0.8,
    target_sizes: Any = None,
    return_coco_annotation: bool = False,
    return_binary_maps: bool = False,
    *,
    first_size: Size | None = None,
) -> list[dict[str, Any]]:
    """Instances of MaskFormer and Mask2Former: as many pairs of query and class as there are
    queries, best first.

    Masks may overlap: a map of ids gives such a pixel to the instance with the lower score; ask for
        binary maps.

    Args:
        outputs: with `class_queries_logits` and `masks_queries_logits`.
        threshold: the least score (class probability times mean mask probability) of an instance.
        mask_threshold, overlap_mask_area_threshold: taken, and not used, as in Transformers: masks
            are logits above 0.
        target_sizes: (height, width) per image, reached by nearest neighbours; None leaves the maps
            as they are.
        return_coco_annotation: give the runs of each id instead of a map.
        return_binary_maps: give float32 maps `(n, height, width)` instead; a map of -1 if there are
            none.
        first_size: the size to which masks are brought first.

    Returns:
        per image `segmentation`, int32 ids from 0 on, -1 for none; and `segments_info`: `id`,
        `label_id`, `was_fused`, `score`.
    """
    del mask_threshold, overlap_mask_area_threshold
    one_form(return_coco_annotation, return_binary_maps)
    classes, masks = field(outputs, "class_queries_logits"), field(outputs, "masks_queries_logits")
    first, native = first_target(masks, first_size)
    results = []
    for i, size in each(sizes(target_sizes, len(classes)), len(classes)):
        goal = native if size is None else size
        rows, columns = (
            resize_taps(n, m, "nearest", False, "torch").start
            for n, m in zip(native, goal, strict=True)
        )
        seen = [
            np.isin(np.arange(n), taken) for n, taken in zip(native, (rows, columns), strict=True)
        ]
        found = _top_instances(classes, masks, i, first, *seen, at_least(threshold))
        scores, labels, segmentation, ids, binary = (np.asarray(part) for part in found)
        kept = np.flatnonzero(ids >= 0)
        info = [{**_info(ids[j], labels[j], scores[j]), "was_fused": False} for j in kept]
        if return_binary_maps and len(kept):
            maps = binary[kept][:, rows][..., columns].astype(np.float32)
            results.append({"segmentation": jnp.asarray(maps), "segments_info": info})
            continue
        segmentation = segmentation[rows][:, columns]
        results.append(
            {"segmentation": _form(segmentation, return_coco_annotation), "segments_info": info}
        )
    return results


def one_form(coco: bool, binary: bool) -> None:
    """Refuses two forms of the result at once."""
    if coco and binary:
        raise InputError(
            "Expected at most one of `return_coco_annotation` and `return_binary_maps`, got both."
        )


def _form(segmentation: np.ndarray, coco: bool) -> Any:
    return (
        segmentation_to_runs(segmentation) if coco else jnp.asarray(segmentation.astype(np.int32))
    )


def _info(number: Any, label: Any, score: Any) -> dict[str, Any]:
    return {"id": int(number), "label_id": int(label), "score": round(float(score), 6)}


@jax.jit
def _eomt_instances(
    classes: jax.Array, masks: jax.Array, i: Any, first: Target, way: Target, bound: Any
):
    probabilities = jax.nn.softmax(one(classes, i), axis=-1)[:, :-1]
    masks = resized(one(masks, i), first)
    canvas = canvas_of(masks, way)
    real = inside(way, canvas)

    def measure(sums: jax.Array, q: Any, plane: jax.Array) -> jax.Array:
        ones = ((plane > 0) & real).astype(jnp.float32)
        return sums.at[q].set(jnp.stack([ones.sum(), (jax.nn.sigmoid(plane) * ones).sum()]))

    areas, sums = over_planes(measure, jnp.zeros((len(masks), 2)), masks, way).T
    scores = probabilities.max(-1) * (sums / (areas + 1e-6))
    ids = instance_ids((areas > 0) & (scores >= bound))

    def paint(segmentation: jax.Array, q: Any, plane: jax.Array) -> jax.Array:
        return jnp.where((plane > 0) & (ids[q] >= 0), ids[q], segmentation)

    segmentation = over_planes(paint, jnp.full(canvas, -1, jnp.int32), masks, way)
    return scores, probabilities.argmax(-1), segmentation, ids


def eomt_instance_segmentation(
    outputs: Any, target_sizes: Any, threshold: float = 0.8, size: Any = None
) -> list[dict[str, Any]]:
    """Instances of Eomt: one per query, ids from 0 on, -1 for none; of overlapping masks the last
    query's is seen.

    Args:
        outputs: with `class_queries_logits` and `masks_queries_logits`.
        target_sizes: (height, width) per image; required.
        threshold: the least score (class probability times mean mask probability) of an instance.
        size: the processor's `size`.
    """
    classes, masks = field(outputs, "class_queries_logits"), field(outputs, "masks_queries_logits")
    results = []
    for i, goal in enumerate(sizes(target_sizes, len(classes)) or []):
        first, way = eomt_ways(masks, size, goal)
        found = _eomt_instances(classes, masks, i, first, way, at_least(threshold))
        scores, labels, segmentation, ids = (np.asarray(part) for part in found)
        info = [_info(ids[j], labels[j], scores[j]) for j in np.flatnonzero(ids >= 0)]
        results.append(
            {"segmentation": jnp.asarray(cut(segmentation, way.size)), "segments_info": info}
        )
    return results


_top_classes = jax.jit(jax.vmap(top_classes, (0, None)), static_argnums=1)
ONEFORMER = Variant(sigmoid="never", rule="antialias")


def oneformer_instance_segmentation(
    outputs: Any,
    task_type: str = "instance",
    is_demo: bool = True,
    threshold: float = 0.5,
    mask_threshold: float = 0.5,
    overlap_mask_area_threshold: float = 0.8,
    target_sizes: Any = None,
    return_coco_annotation: bool = False,
    *,
    metadata: Any = None,
    class_info_file: str | None = None,
) -> list[dict[str, Any]]:
    """Instances of OneFormer: the best pairs of query and class, whose mask logits times scores
    share out the pixels.

    Args:
        outputs: with `class_queries_logits` and `masks_queries_logits`.
        task_type: "panoptic" keeps things only.
        is_demo: only pairs with a score above `threshold` take part.
        mask_threshold: the logit times score from which on a pixel is of a mask.
        metadata: the processor's; its `thing_ids` are the labels of things.
        class_info_file: the processor's; with "ade20k" in it, and not `is_demo`, labels are
            numbered among the things.

    Returns:
        as `segments.panoptic_segmentation`, nothing being fused.
    """
    classes, masks = field(outputs, "class_queries_logits"), field(outputs, "masks_queries_logits")
    things = list(value_of(metadata, "thing_ids") or []) if metadata is not None else []
    scores, labels, queries = (np.asarray(part) for part in _top_classes(classes, classes.shape[1]))
    native = (masks.shape[-2], masks.shape[-1])
    results = []
    for i, size in each(sizes(target_sizes, len(classes)), len(classes)):
        keep = scores[i] > np.float32(threshold) if is_demo else np.ones(len(scores[i]), bool)
        if task_type == "panoptic":
            keep &= np.isin(labels[i], things)
        if not keep.any():
            results.append(_with_form(nothing(size or native), return_coco_annotation))
            continue
        kept = scores[i][keep], labels[i][keep]
        if "ade20k" in (class_info_file or "") and not is_demo and "instance" in task_type:
            kept = kept[0], np.asarray([_thing(things, int(label)) for label in kept[1]], np.int32)
        first, way = target(native, None), target(native, size, ONEFORMER.rule)
        found = find_segments(
            masks,
            i,
            queries[i][keep],
            *kept,
            (),
            first,
            way,
            mask_threshold,
            overlap_mask_area_threshold,
            ONEFORMER,
        )
        rows = zip(found.ids, kept[1], kept[0], strict=True)
        info = [{**_info(n, label, score), "was_fused": False} for n, label, score in rows if n]
        result = {"segmentation": jnp.asarray(found.segmentation), "segments_info": info}
        results.append(_with_form(result, return_coco_annotation))
    return results


def _thing(things: list[int], label: int) -> int:
    if label not in things:
        raise InputError(
            f"Expected labels of things ({things}), got {label} - at `outputs.class_queries_logits`."
        )
    return things.index(label)


def _with_form(result: dict[str, Any], coco: bool) -> dict[str, Any]:
    return {**result, "segmentation": _form(np.asarray(result["segmentation"]), coco)}


@functools.partial(jax.jit, static_argnames=("count",))
def _top_sigmoid(logits: jax.Array, count: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    best, flat = lax.top_k(logits.reshape(len(logits), -1), count)
    return jax.nn.sigmoid(best), flat % logits.shape[-1], flat // logits.shape[-1]


@jax.jit
def _first_come(
    masks: jax.Array, i: Any, rows: Any, keep: Any, way: Target, bound: Any
) -> jax.Array:
    """The first of the masks `rows` that covers each pixel of the canvas; their number where none
    does.
    """
    maps = one(masks, i)[rows]
    canvas = canvas_of(maps, way)

    def step(place: jax.Array, q: Any, plane: jax.Array) -> jax.Array:
        return jnp.where((plane > bound) & keep[q] & (place == len(rows)), q, place)

    return over_planes(step, jnp.full(canvas, len(rows), jnp.int32), maps, way)


@jax.jit
def _binary_maps(masks: jax.Array, i: Any, rows: Any, way: Target, bound: Any) -> jax.Array:
    return resized(one(masks, i)[rows], way) > bound


def rfdetr_instance_segmentation(
    outputs: Any,
    threshold: float = 0.5,
    mask_threshold: float = 0.0,
    target_sizes: Any = None,
    return_coco_annotation: bool = False,
    return_binary_maps: bool = False,
    top_k: int | None = None,
) -> list[dict[str, Any]]:
    """Instances of RF-DETR: the best pairs of query and class; a pixel is the first, that is the
    best, mask's.

    Args:
        outputs: with `logits` and `pred_masks`.
        threshold: an instance's score is above this.
        mask_threshold: a mask's logits are above this.
        target_sizes: (height, width) per image; None leaves the maps at the size of the masks.
        return_coco_annotation: give the runs of each id instead of a map.
        return_binary_maps: give all masks whole, bool `(n, height, width)`.
        top_k: pairs considered; None: as many as queries.

    Returns:
        per image `segmentation`, int32 ids from 1 on, -1 for none; and `segments_info`: `id`,
        `label_id`, `score`.
    """
    one_form(return_coco_annotation, return_binary_maps)
    logits, masks = field(outputs, "logits"), field(outputs, "pred_masks")
    count = min(logits.shape[1] if top_k is None else top_k, logits.shape[1] * logits.shape[2])
    scores, labels, queries = (np.asarray(part) for part in _top_sigmoid(logits, count))
    results = []
    for i, size in each(sizes(target_sizes, len(logits)), len(logits)):
        keep = scores[i] > np.float32(threshold)
        rows = queries[i][keep]
        way = target(masks.shape[-2:], size)
        extra = (0, room(len(rows), masks.shape[1]) - len(rows))
        padded, taking = np.pad(rows, extra), np.pad(np.ones(len(rows), bool), extra)
        bound = np.float32(mask_threshold)
        if return_binary_maps:
            maps = cut(_binary_maps(masks, i, padded, way, bound), way.size)[: len(rows)]
            exists = maps.any((1, 2))
            segmentation: Any = jnp.asarray(maps[exists])
        else:
            place = cut(_first_come(masks, i, padded, taking, way, bound), way.size)
            exists = np.isin(np.arange(len(rows)), place)
            ids = np.append(np.cumsum(exists), np.full(len(padded) - len(rows) + 1, -1))
            segmentation = _form(ids[place], return_coco_annotation)
        numbers = np.cumsum(exists)
        kept = labels[i][keep], scores[i][keep]
        info = [_info(numbers[j], kept[0][j], kept[1][j]) for j in np.flatnonzero(exists)]
        results.append({"segmentation": segmentation, "segments_info": info})
    return results
