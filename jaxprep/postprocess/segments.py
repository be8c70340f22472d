"""Panoptic segmentation: every pixel to one query, queries that win too little of their own mask
dropped, ids.

DETR's rule (https://doi.org/10.1007/978-3-030-58452-8_13) as Transformers has it, in two forms:
`compute_segments` of `models/detr/image_processing_detr.py` and of
`models/eomt/image_processing_eomt.py`. A first program scores all queries; the host keeps those
that count; a second one, with capacity for them, resizes their masks and assigns the pixels.
"""

from __future__ import annotations

import functools
from collections.abc import Collection
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Float, Int

from jaxprep.postprocess.registry import INSTANCE, PANOPTIC, method
from jaxprep.postprocess.resize_plan import (
    Interpolation,
    ResizePlan,
    Window,
    canvas_size,
    crop_to_size,
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
    label_set,
    next_float_above,
    on_device,
    real_number,
    required_sizes,
    to_numpy,
)
from jaxprep.postprocess.runs import segmentation_to_runs
from jaxprep.postprocess.semantic import MASK2FORMER_SIZE, network_plan, require_queries
from jaxprep.postprocess.windows import eomt_size, size_in_network
from jaxprep.types import Array, Size

SMALLEST_CAPACITY = 8
"""Programs take 8, 32, 128, ... queries, so that the number of those that are kept seldom needs
another program."""


class PanopticRule(NamedTuple):
    """How queries become segments.

    Attributes:
        sigmoid: masks become probabilities before they are resized, after it, or never.
        weighted: the area of a query's own mask is counted after its probability is multiplied by
            its score.
        confident: only pixels where the winner's probability reaches the mask threshold become its
            segment.
        interpolation: how masks are resized.

    >>> PanopticRule(sigmoid="after").weighted
    True
    """

    sigmoid: Literal["before", "after", "never"] = "before"
    weighted: bool = True
    confident: bool = False
    interpolation: Interpolation = "bilinear"


DETR = PanopticRule()
EOMT = PanopticRule(sigmoid="after", weighted=False, confident=True)
ONEFORMER = PanopticRule(interpolation="antialias")


class Queries(NamedTuple):
    """The queries that take part, on the host.

    Attributes:
        rows: their indices among all queries of the image, `(n,)`.
        scores: `(n,)` float32.
        labels: `(n,)` int32.

    >>> Queries(np.array([7]), np.float32([0.9]), np.array([1])).rows.tolist()
    [7]
    """

    rows: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


class Segments(NamedTuple):
    """The segments of one image, on the host.

    Attributes:
        segmentation: ids `(height, width)`, from 1 on; 0 for none.
        ids: the id of each query; 0 for none.
        is_first: whether a query is the first of its id.

    >>> Segments(np.array([[0, 1]]), np.array([1]), np.array([True])).ids.tolist()
    [1]
    """

    segmentation: np.ndarray
    ids: np.ndarray
    is_first: np.ndarray


def query_scores(
    classes: Float[Array, "*b q c"],
) -> tuple[Float[jax.Array, "*b q"], Int[jax.Array, "*b q"]]:
    """Returns probability and class of the best class of each query, "no object" (the last)
    included.

    >>> query_scores(jnp.float32([[0, 0, 99]]))[1].tolist()
    [2]
    """
    probabilities = jax.nn.softmax(classes, axis=-1)
    return probabilities.max(-1), probabilities.argmax(-1).astype(jnp.int32)


_query_scores = jax.jit(query_scores)


def segment_ids(
    exists: Bool[Array, " q"],
    labels: Int[Array, " q"],
    fuse: Bool[Array, " q"],
) -> tuple[Int[jax.Array, " q"], Bool[jax.Array, " q"]]:
    """Returns numbers segments in order, from 1 on; returns their ids and whether each is the first
    of its id.

    Segments to `fuse` take the id of the first of their label; every other id is a new one. After a
    fused segment Transformers counts on from its id, so that another segment may get the same id;
    this does not.

    >>> labels, yes = np.array([7, 3, 7]), np.ones(3, bool)
    >>> jax.jit(segment_ids)(yes, labels, labels == 7)[0].tolist()
    [1, 2, 1]
    """
    index = jnp.arange(len(labels))
    # Row by row, the segments with which this one shares its id; `argmax` is the first of them.
    has_my_id = exists & fuse & (labels == labels[:, None])
    first = jnp.where(fuse & exists, has_my_id.argmax(-1), index)
    is_first = jnp.logical_and(exists, first == index)
    ids = jnp.cumsum(is_first)[first]
    return jnp.where(exists, ids, 0), is_first


def assign_pixels(
    masks: Float[Array, "q h w"],
    scores: Float[Array, " q"],
    labels: Int[Array, " q"],
    keep: Bool[Array, " q"],
    fuse: Bool[Array, " q"],
    resize_plan: ResizePlan,
    mask_threshold: Any,
    least_share: Any,
    rule: PanopticRule,
) -> tuple[Int[jax.Array, "height width"], Int[jax.Array, " q"], Bool[jax.Array, " q"]]:
    """Assigns each pixel of one image to the query with the highest weighted probability.

    Args:
        masks: logits.
        scores, labels: of the best class of each query.
        keep: the queries that take part.
        fuse: the queries whose label has one segment per image.
        resize_plan: where masks go.
        mask_threshold: the least probability of a pixel of a mask.
        least_share: the least share of its own mask that a query must win to be a segment (see
            `next_float_above`).
        rule: the form of the rule.

    Returns:
        ids on the canvas, 0 where there is no segment; the id of each query, 0 for none; whether
        the query is the first of its id.

    >>> masks, one = np.float32([[[9, 9, -9]], [[-9, -9, 9]]]), np.ones(2, bool)
    >>> to_image = plan((1, 3), None)
    >>> labels = np.arange(2)
    >>> assign = jax.jit(lambda *arrays: assign_pixels(*arrays, to_image, 0.5, 0.8, DETR))
    >>> ids, _, _ = assign(masks, np.ones(2, np.float32), labels, one, ~one)
    >>> ids.tolist()
    [[1, 1, 2]]
    """
    scores, labels = jnp.asarray(scores), jnp.asarray(labels)
    keep, fuse = jnp.asarray(keep), jnp.asarray(fuse)
    if rule.sigmoid == "before":
        masks = jax.nn.sigmoid(masks)
    canvas = canvas_size(masks, resize_plan)
    is_valid = valid_pixels(resize_plan, canvas)

    def step(
        state: tuple[jax.Array, ...],
        q: Any,
        plane: jax.Array,
    ) -> tuple[jax.Array, ...]:
        best, winner, is_confident, mask_area = state
        if rule.sigmoid == "after":
            plane = jax.nn.sigmoid(plane)
        # The winner is the query with the highest probability times score, everywhere; whether its
        # mask covers the pixel is asked afterwards.
        weighted = plane * scores[q]
        compared = weighted if rule.weighted else plane
        covered = compared >= mask_threshold
        # `>`: of equal ones the first wins, as in torch's argmax.
        wins = keep[q] & (weighted > best)
        covered_area = (covered & is_valid).sum(dtype=jnp.int32)
        return (
            jnp.where(wins, weighted, best),
            jnp.where(wins, q, winner),
            jnp.where(wins, covered, is_confident),
            mask_area.at[q].set(covered_area),
        )

    nobody = jnp.zeros(canvas, jnp.int32)
    no_area = jnp.zeros(len(scores), jnp.int32)
    start = (jnp.full(canvas, -jnp.inf), nobody, nobody > 0, no_area)
    state = scan_channels(step, start, masks, resize_plan, rule.interpolation)
    _, winner, is_confident, mask_area = state
    # The area that a query wins, and its share of the area that its mask covers: counts, exact in
    # float32 up to 2**24 pixels.
    area = _areas(winner, is_valid, len(scores))
    divisor = jnp.maximum(mask_area, 1)
    share = area.astype(jnp.float32) / divisor.astype(jnp.float32)
    exists = keep & (area > 0) & (mask_area > 0) & (share >= least_share)
    # `check_segment_validity` of EoMT asks for the share before it takes uncertain pixels away.
    if rule.confident:
        is_valid &= is_confident
        exists &= _areas(winner, is_valid, len(scores)) > 0
    ids, is_first = segment_ids(exists, labels, fuse)
    return jnp.where(is_valid, ids[winner], 0), ids, is_first


def _areas(winner: jax.Array, is_valid: jax.Array, count: int) -> jax.Array:
    """The number of valid pixels of each of `count` queries."""

    # One query after the other: XLA scatters one pixel at a time, on CPUs and on TPUs.
    def count_pixels(q: Any, areas: jax.Array) -> jax.Array:
        is_won = is_valid & (winner == q)
        return areas.at[q].set(is_won.sum(dtype=jnp.int32))

    return lax.fori_loop(0, count, count_pixels, jnp.zeros(count, jnp.int32))


@functools.partial(jax.jit, static_argnames=("rule",))
def _assign_pixels(
    masks: jax.Array,
    i: Any,
    rows: Any,
    to_network: ResizePlan,
    to_image: ResizePlan,
    rule: PanopticRule,
    scores: Any,
    labels: Any,
    keep: Any,
    fuse: Any,
    mask_threshold: Any,
    least_share: Any,
) -> Any:
    in_network = resize(take_image(masks, i)[rows], to_network)
    return assign_pixels(
        in_network, scores, labels, keep, fuse, to_image, mask_threshold, least_share, rule
    )


def capacity(count: int, most: int) -> int:
    """Returns for how many queries the program is that takes `count` of `most`.

    >>> capacity(3, 100), capacity(9, 100), capacity(33, 100)
    (8, 32, 100)
    """
    size = SMALLEST_CAPACITY
    while size < count:
        size *= 4
    return max(min(size, most), count)


def find_segments(
    masks: Float[Array, "b q h w"],
    i: int,
    queries: Queries,
    fuse: Collection[int],
    to_network: ResizePlan,
    to_image: ResizePlan,
    mask_threshold: float,
    overlap: float,
    rule: PanopticRule,
) -> Segments:
    """Finds the segments of image `i` among at least one query; `overlap` is a share that a query
    must exceed, all else as in `assign_pixels`.

    >>> masks, one = np.zeros((1, 1, 2, 2), np.float32), np.ones(1, np.float32)
    >>> queries = Queries(np.array([0]), one, np.array([4]))
    >>> as_is = plan((2, 2), None)
    >>> find_segments(masks, 0, queries, (), as_is, as_is, 0.5, 0.8, DETR).segmentation.tolist()
    [[1, 1], [1, 1]]
    """
    # Queries that are only padding are not kept, and win no pixel.
    count = len(queries.rows)
    padding = (0, capacity(count, masks.shape[1]) - count)
    is_fused = np.isin(queries.labels, list(fuse))
    segmentation, ids, is_first = _assign_pixels(
        masks,
        i,
        np.pad(queries.rows, padding),
        to_network,
        to_image,
        rule,
        np.pad(queries.scores, padding),
        np.pad(queries.labels, padding),
        np.pad(np.ones(count, bool), padding),
        np.pad(is_fused, padding),
        float32(mask_threshold, "mask_threshold"),
        next_float_above(real_number(overlap, "overlap_mask_area_threshold")),
    )
    return Segments(
        crop_to_size(segmentation, to_image.size),
        np.asarray(ids)[:count],
        np.asarray(is_first)[:count],
    )


@method(
    ("ConditionalDetrImageProcessor", "DetrImageProcessor", "MaskFormerImageProcessor"), PANOPTIC
)
@method("Mask2FormerImageProcessor", PANOPTIC, fixed={"first_size": MASK2FORMER_SIZE})
@method("OneFormerImageProcessor", PANOPTIC, fixed={"rule": ONEFORMER})
def panoptic_segmentation(
    outputs: Any,
    threshold: float = 0.5,
    mask_threshold: float = 0.5,
    overlap_mask_area_threshold: float = 0.8,
    label_ids_to_fuse: Collection[int] | None = None,
    target_sizes: Any = None,
    *,
    first_size: Size | None = None,
    rule: PanopticRule = DETR,
) -> list[dict[str, Any]]:
    """Returns segments of things and stuff.

    Reproduces `models/detr/image_processing_detr.py` of Transformers, but for ids that it gives
    twice (see `segment_ids`).

    Args:
        outputs: with `class_queries_logits` (or `logits`) `(b, q, c + 1)`, the last class being "no
            object", and `masks_queries_logits` (or `pred_masks`) `(b, q, h, w)`.
        threshold: a query takes part if its class is an object with a probability above this.
        mask_threshold: the least probability (times the query's) of a pixel of a mask.
        overlap_mask_area_threshold: a query is a segment if it wins more than this share of its
            mask.
        label_ids_to_fuse: labels with one segment per image.
        target_sizes: (height, width) per image; None leaves the maps at the size of the masks.
        first_size: the size to which masks are resized first.
        rule: the form of the rule.

    Returns:
        per image `segmentation`, int32 ids `(height, width)` with 0 for none, -1 everywhere if no
        query took part; and `segments_info`: `id`, `label_id`, `was_fused`, `score` of each query
        that became (part of) a segment.

    >>> outputs = {
    ...     "class_queries_logits": np.float32([[[0, 99, 0]]]),
    ...     "masks_queries_logits": np.full((1, 1, 2, 2), 9, np.float32),
    ... }
    >>> (result,) = panoptic_segmentation(outputs, target_sizes=[(1, 3)])
    >>> result["segmentation"].tolist(), result["segments_info"]
    ([[1, 1, 1]], [{'id': 1, 'label_id': 1, 'was_fused': False, 'score': 1.0}])
    """
    classes = field(outputs, "class_queries_logits", "logits")
    masks = field(outputs, "masks_queries_logits", "pred_masks")
    require_queries(classes, masks)
    fuse = label_set(label_ids_to_fuse, "label_ids_to_fuse")
    scores, labels = to_numpy(_query_scores(classes))
    no_object = classes.shape[-1] - 1
    to_network, network = network_plan(masks, first_size)
    results = []
    for i, size in each_size(target_sizes, len(classes)):
        queries = _objects(scores[i], labels[i], no_object, threshold)
        if not len(queries.rows):
            results.append(no_segments(size or network))
            continue
        segments = find_segments(
            masks,
            i,
            queries,
            fuse,
            to_network,
            plan(network, size, rule.interpolation),
            mask_threshold,
            overlap_mask_area_threshold,
            rule,
        )
        infos = []
        for number, label, score in zip(segments.ids, queries.labels, queries.scores, strict=True):
            if number:
                infos.append(segment_info(number, label, score, int(label) in fuse))
        segmentation = on_device(segments.segmentation)
        results.append({"segmentation": segmentation, "segments_info": infos})
    return results


def _objects(scores: np.ndarray, labels: np.ndarray, no_object: int, threshold: float) -> Queries:
    """The queries of one image whose class is an object with a probability above the threshold
    (`remove_low_and_no_objects` in models/detr/image_processing_detr.py).
    """
    keep = (labels != no_object) & (scores > float32(threshold, "threshold"))
    rows = np.flatnonzero(keep)
    return Queries(rows, scores[rows], labels[rows])


def segment_info(
    number: Any,
    label: Any,
    score: Any,
    was_fused: bool | None = None,
) -> dict[str, Any]:
    """Describes one segment as Transformers does, its score rounded to 6 digits; a model without
    fused segments says nothing of them.

    >>> segment_info(np.int32(1), np.int32(4), np.float32(0.25))
    {'id': 1, 'label_id': 4, 'score': 0.25}
    """
    info: dict[str, Any] = {"id": int(number), "label_id": int(label)}
    if was_fused is not None:
        info["was_fused"] = was_fused
    info["score"] = round(float(score), 6)
    return info


def no_segments(size: Size) -> dict[str, Any]:
    """Returns the result for an image in which no query took part.

    >>> no_segments((1, 2))["segmentation"].tolist()
    [[-1, -1]]
    """
    return {"segmentation": on_device(np.full(size, -1, np.int32)), "segments_info": []}


@method(("ConditionalDetrImageProcessor", "DetrImageProcessor"), INSTANCE)
def detr_instance_segmentation(
    outputs: Any,
    threshold: float = 0.5,
    mask_threshold: float = 0.5,
    overlap_mask_area_threshold: float = 0.8,
    target_sizes: Any = None,
    return_coco_annotation: bool = False,
) -> list[dict[str, Any]]:
    """Returns instances of DETR: `panoptic_segmentation` with nothing fused.

    Args:
        outputs, threshold, mask_threshold, overlap_mask_area_threshold, target_sizes: as in
            `panoptic_segmentation`.
        return_coco_annotation: return the runs of each id (`runs.segmentation_to_runs`) instead of
            a map.

    >>> outputs = {
    ...     "logits": np.float32([[[0, 99, 0]]]),
    ...     "pred_masks": np.full((1, 1, 2, 2), 9, np.float32),
    ... }
    >>> detr_instance_segmentation(outputs, return_coco_annotation=True)[0]["segmentation"]
    [[1, 4]]
    """
    results = panoptic_segmentation(
        outputs, threshold, mask_threshold, overlap_mask_area_threshold, None, target_sizes
    )
    # Runs of any number and length: on the host.
    if return_coco_annotation:
        for result in results:
            result["segmentation"] = segmentation_to_runs(result["segmentation"])
    return results


def eomt_plans(
    masks: Float[Array, "b q h w"],
    size: Any,
    image_size: Size,
) -> tuple[ResizePlan, ResizePlan]:
    """Plans how EoMT's masks go to the network's size, and from there, without its padding, to the
    image's; without a `size`, to the image's at once.

    >>> masks = np.zeros((1, 1, 2, 2), np.float32)
    >>> [p.size.tolist() for p in eomt_plans(masks, {"shortest_edge": 8}, (10, 20))]
    [[8, 8], [10, 20]]
    """
    # The image is in the top-left corner of the network's input, the padding right or below.
    if size is None:
        to_network, network = network_plan(masks, None)
        return to_network, plan(network, image_size)
    to_network, network = network_plan(masks, eomt_size(size))
    window = Window.at_top_left(size_in_network(image_size, size), network)
    to_image = plan(network, image_size, window=window)
    return to_network, to_image


@method("EomtImageProcessor", PANOPTIC, settings=["size"])
def eomt_panoptic_segmentation(
    outputs: Any,
    target_sizes: Any,
    threshold: float = 0.8,
    mask_threshold: float = 0.5,
    overlap_mask_area_threshold: float = 0.8,
    stuff_classes: Collection[int] | None = None,
    size: Any = None,
) -> list[dict[str, Any]]:
    """Returns segments of EoMT: ids from 0 on, -1 for none; each of `stuff_classes` has one
    segment, with its first score.

    Reproduces `models/eomt/image_processing_eomt.py` of Transformers.

    Args:
        outputs: with `class_queries_logits` and `masks_queries_logits`.
        target_sizes: (height, width) per image; required.
        threshold, mask_threshold, overlap_mask_area_threshold: as in `panoptic_segmentation`.
        stuff_classes: labels with one segment per image.
        size: the processor's `size`.

    >>> outputs = {
    ...     "class_queries_logits": np.float32([[[0, 99, 0]]]),
    ...     "masks_queries_logits": np.full((1, 1, 2, 2), 9, np.float32),
    ... }
    >>> (result,) = eomt_panoptic_segmentation(outputs, [(2, 2)], size={"shortest_edge": 4})
    >>> result["segmentation"].tolist(), result["segments_info"]
    ([[0, 0], [0, 0]], [{'id': 0, 'label_id': 1, 'score': 1.0}])
    """
    classes = field(outputs, "class_queries_logits")
    masks = field(outputs, "masks_queries_logits")
    require_queries(classes, masks)
    scores, labels = to_numpy(_query_scores(classes))
    no_object = classes.shape[-1] - 1
    stuff = label_set(stuff_classes, "stuff_classes")
    results = []
    for i, image_size in enumerate(required_sizes(target_sizes, len(classes))):
        queries = _objects(scores[i], labels[i], no_object, threshold)
        if not len(queries.rows):
            results.append(no_segments(image_size))
            continue
        to_network, to_image = eomt_plans(masks, size, image_size)
        segments = find_segments(
            masks,
            i,
            queries,
            stuff,
            to_network,
            to_image,
            mask_threshold,
            overlap_mask_area_threshold,
            EOMT,
        )
        infos = []
        for number, is_first, label, score in zip(
            segments.ids, segments.is_first, queries.labels, queries.scores, strict=True
        ):
            # One entry for each id, where DETR has one for each query.
            if is_first:
                infos.append(segment_info(number - 1, label, score))
        segmentation = on_device(segments.segmentation - 1)
        results.append({"segmentation": segmentation, "segments_info": infos})
    return results
