"""Instance segmentation: one mask per query, class and score; each model has its own rule for
pixels of several masks.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Float, Int

from jaxprep.errors import InputError
from jaxprep.postprocess.registry import INSTANCE, method
from jaxprep.postprocess.resize_plan import (
    ResizePlan,
    canvas_size,
    crop_to_size,
    nearest_indices,
    plan,
    resize,
    scan_channels,
    take_image,
    valid_pixels,
)
from jaxprep.postprocess.results import (
    each_size,
    field,
    float32,
    float_at_least,
    on_device,
    real_number,
    required_sizes,
    setting_of,
    to_numpy,
    whole_number,
)
from jaxprep.postprocess.runs import segmentation_to_runs
from jaxprep.postprocess.segments import (
    PanopticRule,
    Queries,
    capacity,
    eomt_plans,
    find_segments,
    no_segments,
    segment_info,
)
from jaxprep.postprocess.semantic import MASK2FORMER_SIZE, network_plan, require_queries
from jaxprep.types import Array, Size

ONEFORMER = PanopticRule(sigmoid="never", interpolation="antialias")
"""OneFormer's instances share out the pixels by logits times scores."""


def top_classes(
    classes: Float[Array, "q c"],
    count: int,
) -> tuple[Float[jax.Array, " k"], Int[jax.Array, " k"], Int[jax.Array, " k"]]:
    """Returns score, class and query of the `count` best pairs of query and class, best first. The
    last class is "no object".

    >>> top = jax.jit(lambda logits: top_classes(logits, 2))
    >>> _, labels, queries = top(np.float32([[0, 3, 9], [2, 0, 0]]))
    >>> labels.tolist(), queries.tolist()
    ([0, 1], [1, 1])
    """
    # A query may be several instances, of different classes.
    scores = jax.nn.softmax(classes, axis=-1)[:, :-1]
    best, index = lax.top_k(scores.reshape(-1), count)
    labels = scores.shape[1]
    return best, index % labels, index // labels


_top_classes = jax.jit(jax.vmap(top_classes, (0, None)), static_argnums=1)


def mask_quality(masks: Float[Array, "q h w"]) -> Float[jax.Array, " q"]:
    """Returns the mean probability of the pixels of each mask (logits above 0).

    >>> jax.jit(mask_quality)(np.float32([[[0, -5]]])).tolist()
    [0.0]
    """
    binary = (masks > 0).astype(jnp.float32)
    total = (jax.nn.sigmoid(masks) * binary).sum((1, 2))
    # 1e-6 as in Transformers: an empty mask has the quality 0.
    return total / (binary.sum((1, 2)) + 1e-6)


def instance_ids(exists: Bool[Array, " q"]) -> Int[jax.Array, " q"]:
    """Returns numbers the instances that exist in order, from 0 on; -1 for the others.

    >>> instance_ids(jnp.array([True, False, True])).tolist()
    [0, -1, 1]
    """
    return jnp.where(exists, jnp.cumsum(exists) - 1, -1)


def require_one_form(coco: bool, binary: bool) -> None:
    """Refuses two forms of the result at once.

    Raises:
        InputError: both are wanted.

    >>> require_one_form(coco=True, binary=False)
    """
    if coco and binary:
        raise InputError(
            "Expected at most one of `return_coco_annotation` and `return_binary_maps`, got both."
        )


def _map_or_runs(segmentation: Any, coco: bool) -> Any:
    """A map of ids as the caller wants it."""
    if coco:
        return segmentation_to_runs(segmentation)
    return on_device(np.asarray(segmentation).astype(np.int32))


@jax.jit
def _top_instances(
    classes: jax.Array,
    masks: jax.Array,
    i: Any,
    to_network: ResizePlan,
    rows: Any,
    columns: Any,
    least_score: Any,
) -> tuple[jax.Array, ...]:
    scores, labels, queries = top_classes(take_image(classes, i), classes.shape[1])
    masks = resize(take_image(masks, i), to_network)[queries]
    scores = scores * mask_quality(masks)
    binary = masks > 0
    # Transformers looks for pixels of a mask after it is resized by nearest neighbours: in the rows
    # and columns that these take.
    is_visible = (binary & rows[:, None] & columns).any((1, 2))
    ids = instance_ids(is_visible & (scores >= least_score))
    # Transformers paints one instance after the other: the last, which has the largest id, is seen.
    painted = jnp.where(binary, ids[:, None, None], -1)
    segmentation = painted.max(0)
    return scores, labels, segmentation, ids, binary


@method("MaskFormerImageProcessor", INSTANCE)
@method("Mask2FormerImageProcessor", INSTANCE, fixed={"first_size": MASK2FORMER_SIZE})
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
    """Returns instances of MaskFormer and Mask2Former: as many pairs of query and class as there
    are queries, best first.

    Reproduces `models/mask2former/image_processing_mask2former.py` of Transformers. Masks may
    overlap: a map of ids gives such a pixel to the instance with the lower score; ask for binary
    maps to get all.

    Args:
        outputs: with `class_queries_logits` `(b, q, c + 1)` and `masks_queries_logits` `(b, q, h,
            w)`.
        threshold: the least score (class probability times mean mask probability) of an instance.
        mask_threshold, overlap_mask_area_threshold: taken, and not used, as in Transformers: masks
            are logits above 0.
        target_sizes: (height, width) per image, to which maps are resized by nearest neighbours;
            None leaves them as they are.
        return_coco_annotation: return the runs of each id instead of a map.
        return_binary_maps: return float32 maps `(n, height, width)` instead; a map of -1 if there
            are none.
        first_size: the size to which masks are resized first.

    Returns:
        per image `segmentation`, int32 ids from 0 on, -1 for none; and `segments_info`: `id`,
        `label_id`, `was_fused`, `score`.

    Raises:
        InputError: two forms of the result are wanted.

    >>> outputs = {
    ...     "class_queries_logits": np.float32([[[0, 99, 0]]]),
    ...     "masks_queries_logits": np.float32([[[[9, -9]]]]),
    ... }
    >>> (result,) = top_instance_segmentation(outputs)
    >>> result["segmentation"].tolist(), result["segments_info"][0]["label_id"]
    ([[0, -1]], 1)
    """
    del mask_threshold, overlap_mask_area_threshold
    require_one_form(return_coco_annotation, return_binary_maps)
    classes = field(outputs, "class_queries_logits")
    masks = field(outputs, "masks_queries_logits")
    require_queries(classes, masks, least_queries=1, least_classes=2)
    to_network, (height, width) = network_plan(masks, first_size)
    results = []
    for i, size in each_size(target_sizes, len(classes)):
        goal = (height, width) if size is None else size
        rows = nearest_indices(height, goal[0])
        columns = nearest_indices(width, goal[1])
        instances = _top_instances(
            classes,
            masks,
            i,
            to_network,
            np.isin(np.arange(height), rows),
            np.isin(np.arange(width), columns),
            float_at_least(real_number(threshold, "threshold")),
        )
        scores, labels, segmentation, ids, binary = to_numpy(instances)
        kept = np.flatnonzero(ids >= 0)
        infos = []
        for j in kept:
            infos.append(segment_info(ids[j], labels[j], scores[j], was_fused=False))
        if return_binary_maps and len(kept):
            # Resized by nearest neighbours on the host: only what is returned, at any size.
            maps = binary[kept][:, rows][..., columns]
            form = on_device(maps.astype(np.float32))
        else:
            form = _map_or_runs(segmentation[rows][:, columns], return_coco_annotation)
        results.append({"segmentation": form, "segments_info": infos})
    return results


@jax.jit
def _eomt_instances(
    classes: jax.Array,
    logits: jax.Array,
    i: Any,
    to_network: ResizePlan,
    to_image: ResizePlan,
    least_score: Any,
) -> tuple[jax.Array, ...]:
    probabilities = jax.nn.softmax(take_image(classes, i), axis=-1)
    object_probabilities = probabilities[:, :-1]
    masks = resize(take_image(logits, i), to_network)
    canvas = canvas_size(masks, to_image)
    is_valid = valid_pixels(to_image, canvas)

    def measure(sums: jax.Array, q: Any, plane: jax.Array) -> jax.Array:
        binary = ((plane > 0) & is_valid).astype(jnp.float32)
        probability = (jax.nn.sigmoid(plane) * binary).sum()
        return sums.at[q].set(jnp.stack([binary.sum(), probability]))

    # The masks are resized twice, for their scores and for the map: to keep them would take as
    # much memory as all queries at the size of the image.
    sums = scan_channels(measure, jnp.zeros((len(masks), 2)), masks, to_image)
    areas, probability_sums = sums.T
    mean_probabilities = probability_sums / (areas + 1e-6)
    scores = object_probabilities.max(-1) * mean_probabilities
    ids = instance_ids((areas > 0) & (scores >= least_score))

    # In the order of the queries, as Transformers does: the last is seen.
    def paint(segmentation: jax.Array, q: Any, plane: jax.Array) -> jax.Array:
        is_instance = (plane > 0) & (ids[q] >= 0)
        return jnp.where(is_instance, ids[q], segmentation)

    nothing = jnp.full(canvas, -1, jnp.int32)
    segmentation = scan_channels(paint, nothing, masks, to_image)
    return scores, object_probabilities.argmax(-1), segmentation, ids


@method("EomtImageProcessor", INSTANCE, settings=["size"])
def eomt_instance_segmentation(
    outputs: Any,
    target_sizes: Any,
    threshold: float = 0.8,
    size: Any = None,
) -> list[dict[str, Any]]:
    """Returns instances of EoMT: one per query, ids from 0 on, -1 for none; of overlapping masks
    the last query's is seen.

    Reproduces `models/eomt/image_processing_eomt.py` of Transformers.

    Args:
        outputs: with `class_queries_logits` and `masks_queries_logits`.
        target_sizes: (height, width) per image; required.
        threshold: the least score (class probability times mean mask probability) of an instance.
        size: the processor's `size`.

    >>> outputs = {
    ...     "class_queries_logits": np.float32([[[0, 99, 0]]]),
    ...     "masks_queries_logits": np.full((1, 1, 2, 2), 9, np.float32),
    ... }
    >>> (result,) = eomt_instance_segmentation(outputs, [(2, 2)], size={"shortest_edge": 4})
    >>> result["segmentation"].tolist()
    [[0, 0], [0, 0]]
    """
    classes = field(outputs, "class_queries_logits")
    masks = field(outputs, "masks_queries_logits")
    require_queries(classes, masks, least_queries=1, least_classes=2)
    least_score = float_at_least(real_number(threshold, "threshold"))
    results = []
    for i, image_size in enumerate(required_sizes(target_sizes, len(classes))):
        to_network, to_image = eomt_plans(masks, size, image_size)
        instances = _eomt_instances(classes, masks, i, to_network, to_image, least_score)
        scores, labels, segmentation, ids = to_numpy(instances)
        kept = np.flatnonzero(ids >= 0)
        infos = [segment_info(ids[j], labels[j], scores[j]) for j in kept]
        cropped = on_device(crop_to_size(segmentation, to_image.size))
        results.append({"segmentation": cropped, "segments_info": infos})
    return results


@method("OneFormerImageProcessor", INSTANCE, settings=["metadata", "class_info_file"])
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
    """Returns instances of OneFormer: the best pairs of query and class, whose mask logits times
    scores share out the pixels.

    Reproduces `models/oneformer/image_processing_oneformer.py` of Transformers.

    Args:
        outputs: with `class_queries_logits` and `masks_queries_logits`.
        task_type: "panoptic" keeps things only.
        is_demo: only pairs with a score above `threshold` take part.
        threshold: of the class probability.
        mask_threshold: the least logit times score of a pixel of a mask.
        overlap_mask_area_threshold, target_sizes: as in `segments.panoptic_segmentation`.
        return_coco_annotation: return the runs of each id instead of a map.
        metadata: the processor's; its `thing_ids` are the labels of things.
        class_info_file: the processor's; with "ade20k" in it, and not `is_demo`, labels are
            numbered among the things.

    Returns:
        as `segments.panoptic_segmentation`, nothing being fused.

    Raises:
        InputError: labels are to be numbered among the things, and one is no thing.

    >>> outputs = {
    ...     "class_queries_logits": np.float32([[[0, 99, 0]]]),
    ...     "masks_queries_logits": np.full((1, 1, 2, 2), 9, np.float32),
    ... }
    >>> oneformer_instance_segmentation(outputs)[0]["segmentation"].tolist()
    [[1, 1], [1, 1]]
    """
    classes = field(outputs, "class_queries_logits")
    masks = field(outputs, "masks_queries_logits")
    require_queries(classes, masks, least_classes=2)
    things = []
    if metadata is not None:
        things = list(setting_of(metadata, "thing_ids") or [])
    # ADE20K's instance task counts things only: labels are indices into `thing_ids` there.
    are_numbered_among_things = (
        "ade20k" in (class_info_file or "") and not is_demo and "instance" in task_type
    )
    all_scores, all_labels, all_queries = to_numpy(_top_classes(classes, classes.shape[1]))
    native = (masks.shape[-2], masks.shape[-1])
    results = []
    for i, size in each_size(target_sizes, len(classes)):
        keep = np.ones(len(all_scores[i]), bool)
        if is_demo:
            keep &= all_scores[i] > float32(threshold, "threshold")
        if task_type == "panoptic":
            keep &= np.isin(all_labels[i], things)
        if keep.any():
            labels = all_labels[i][keep]
            if are_numbered_among_things:
                labels = _numbers_of_things(labels, things)
            queries = Queries(all_queries[i][keep], all_scores[i][keep], labels)
            result = _oneformer_segments(
                masks, i, queries, size, mask_threshold, overlap_mask_area_threshold
            )
        else:
            result = no_segments(size or native)
        result["segmentation"] = _map_or_runs(result["segmentation"], return_coco_annotation)
        results.append(result)
    return results


def _oneformer_segments(
    masks: jax.Array,
    i: int,
    queries: Queries,
    size: Size | None,
    mask_threshold: float,
    overlap: float,
) -> dict[str, Any]:
    native = (masks.shape[-2], masks.shape[-1])
    as_is = plan(native, None)
    to_image = plan(native, size, ONEFORMER.interpolation)
    segments = find_segments(
        masks, i, queries, (), as_is, to_image, mask_threshold, overlap, ONEFORMER
    )
    infos = []
    for number, label, score in zip(segments.ids, queries.labels, queries.scores, strict=True):
        if number:
            infos.append(segment_info(number, label, score, was_fused=False))
    return {"segmentation": segments.segmentation, "segments_info": infos}


def _numbers_of_things(labels: np.ndarray, things: list[int]) -> np.ndarray:
    for label in labels.tolist():
        if label not in things:
            raise InputError(
                f"Expected labels of things ({things}), got {label} - at "
                "`outputs.class_queries_logits`."
            )
    return np.asarray([things.index(label) for label in labels.tolist()], np.int32)


@functools.partial(jax.jit, static_argnames=("count",))
def _top_sigmoid(logits: jax.Array, count: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    best, index = lax.top_k(logits.reshape(len(logits), -1), count)
    labels = logits.shape[-1]
    return jax.nn.sigmoid(best), index % labels, index // labels


@jax.jit
def _first_mask(
    masks: jax.Array,
    i: Any,
    rows: Any,
    keep: Any,
    resize_plan: ResizePlan,
    bound: Any,
) -> jax.Array:
    """The first of the masks `rows` that covers each pixel of the canvas; the number of rows where
    none does.
    """
    planes = take_image(masks, i)[rows]
    # Best first: a pixel that has an instance keeps it.
    nobody = len(rows)

    def step(first: jax.Array, q: Any, plane: jax.Array) -> jax.Array:
        is_covered = (plane > bound) & keep[q]
        return jnp.where(is_covered & (first == nobody), q, first)

    start = jnp.full(canvas_size(planes, resize_plan), nobody, jnp.int32)
    return scan_channels(step, start, planes, resize_plan)


@jax.jit
def _binary_maps(
    masks: jax.Array,
    i: Any,
    rows: Any,
    resize_plan: ResizePlan,
    bound: Any,
) -> jax.Array:
    return resize(take_image(masks, i)[rows], resize_plan) > bound


@method("RfDetrImageProcessor", INSTANCE)
def rfdetr_instance_segmentation(
    outputs: Any,
    threshold: float = 0.5,
    mask_threshold: float = 0.0,
    target_sizes: Any = None,
    return_coco_annotation: bool = False,
    return_binary_maps: bool = False,
    top_k: int | None = None,
) -> list[dict[str, Any]]:
    """Returns instances of RF-DETR: the best pairs of query and class; a pixel is that of the
    first, the best, mask.

    Reproduces `models/rf_detr/image_processing_rf_detr.py` of Transformers.

    Args:
        outputs: with `logits` `(b, q, c)` and `pred_masks` `(b, q, h, w)`.
        threshold: an instance's score is above this.
        mask_threshold: a mask's logits are above this.
        target_sizes: (height, width) per image; None leaves the maps at the size of the masks.
        return_coco_annotation: return the runs of each id instead of a map.
        return_binary_maps: return the masks, bool `(n, height, width)`, which may overlap.
        top_k: pairs considered; None: as many as queries.

    Returns:
        per image `segmentation`, int32 ids from 1 on, -1 for none; and `segments_info`: `id`,
        `label_id`, `score`.

    Raises:
        InputError: two forms of the result are wanted.

    >>> outputs = {"logits": np.float32([[[-9, 9]]]), "pred_masks": np.float32([[[[9, -9]]]])}
    >>> rfdetr_instance_segmentation(outputs)[0]["segmentation"].tolist()
    [[1, -1]]
    """
    require_one_form(return_coco_annotation, return_binary_maps)
    logits = field(outputs, "logits")
    masks = field(outputs, "pred_masks")
    require_queries(logits, masks, least_queries=1)
    _, query_count, class_count = logits.shape
    count = query_count if top_k is None else whole_number(top_k, "top_k")
    pairs = _top_sigmoid(logits, min(count, query_count * class_count))
    all_scores, all_labels, all_queries = to_numpy(pairs)
    bound = float32(mask_threshold, "mask_threshold")
    results = []
    for i, size in each_size(target_sizes, len(logits)):
        keep = all_scores[i] > float32(threshold, "threshold")
        scores = all_scores[i][keep]
        labels = all_labels[i][keep]
        rows = all_queries[i][keep]
        resize_plan = plan(masks.shape[-2:], size)
        padded_count = capacity(len(rows), masks.shape[1])
        padding = (0, padded_count - len(rows))
        padded_rows = np.pad(rows, padding)
        if return_binary_maps:
            maps = _binary_maps(masks, i, padded_rows, resize_plan, bound)
            maps = crop_to_size(maps, resize_plan.size)[: len(rows)]
            exists = maps.any((1, 2))
            form: Any = on_device(maps[exists])
        else:
            is_real = np.pad(np.ones(len(rows), bool), padding)
            first = _first_mask(masks, i, padded_rows, is_real, resize_plan, bound)
            first = crop_to_size(first, resize_plan.size)
            exists = np.isin(np.arange(len(rows)), first)
            # Ids by row; pixels without a mask have the number after the last row.
            none = np.full(len(padded_rows) - len(rows) + 1, -1)
            ids = np.append(np.cumsum(exists), none)
            form = _map_or_runs(ids[first], return_coco_annotation)
        # A mask that better ones cover everywhere is no instance, and gets no number.
        numbers = np.cumsum(exists)
        infos = []
        for j in np.flatnonzero(exists):
            infos.append(segment_info(numbers[j], labels[j], scores[j]))
        results.append({"segmentation": form, "segments_info": infos})
    return results
