"""Document layout: boxes in the order in which they are read."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from jaxprep.postprocess.boxes import center_to_corners, scales
from jaxprep.postprocess.detection import top_pairs
from jaxprep.postprocess.registry import DETECTION, method
from jaxprep.postprocess.results import (
    box_sizes,
    field,
    float32,
    require_shape,
    required_box_sizes,
    to_jax,
    to_numpy,
)
from jaxprep.types import Array

Edge = tuple[int, int]
"""Two boxes, of which the second follows the first."""


def reading_ranks(order: Float[Array, "q q"]) -> Int[jax.Array, " q"]:
    """Returns the rank of each query in the reading order.

    Args:
        order: logits; entry i, j with i < j says "i before j". Every query counts the votes for
            those before it.

    >>> jax.jit(reading_ranks)(np.float32([[0, -9], [0, 0]])).tolist()
    [1, 0]
    """
    # `_get_order_seqs` reads the upper triangle only: j comes before i with the probability that i
    # does not come before j.
    before = jax.nn.sigmoid(order)
    votes_above = jnp.triu(before, 1).sum(0)
    votes_below = jnp.tril(1 - before.T, -1).sum(0)
    by_votes = jnp.argsort(votes_above + votes_below)
    ranks = jnp.arange(len(order), dtype=jnp.int32)
    return jnp.zeros_like(ranks).at[by_votes].set(ranks)


@jax.jit
def _layout(
    logits: jax.Array,
    boxes: jax.Array,
    order: jax.Array,
    scale: jax.Array,
) -> tuple[jax.Array, ...]:
    def of_one_image(
        logits: jax.Array,
        boxes: jax.Array,
        order: jax.Array,
        scale: jax.Array,
    ) -> tuple[jax.Array, ...]:
        scores, labels, queries = top_pairs(logits, len(logits))
        corners = center_to_corners(boxes) * scale
        ranks = reading_ranks(order)
        return scores, labels, corners[queries], ranks[queries]

    return jax.vmap(of_one_image)(logits, boxes, order, scale)


# V3 gives `polygon_points` besides, which Transformers finds in the masks with OpenCV.
@method(("PPDocLayoutV2ImageProcessor", "PPDocLayoutV3ImageProcessor"), DETECTION)
def layout_detection(
    outputs: Any,
    threshold: float = 0.5,
    target_sizes: Any = None,
) -> list[dict[str, jax.Array]]:
    """Returns the layout of PP-DocLayoutV2, and of V3 without its `polygon_points`.

    Reproduces `models/pp_doclayout_v2/image_processing_pp_doclayout_v2.py` of Transformers.

    Args:
        outputs: with `logits` `(b, q, c)`, `pred_boxes` `(b, q, 4)`, relative (centre x, centre y,
            width, height), and `order_logits` `(b, q, q)`.
        threshold: the least score.
        target_sizes: (height, width) per image; None leaves boxes relative.

    Returns:
        per image, in reading order, `scores`, `labels`, `boxes` and `order_seq`.

    Raises:
        InputError: fields that disagree in shape.

    >>> outputs = {
    ...     "logits": np.float32([[[9], [8]]]),
    ...     "pred_boxes": np.full((1, 2, 4), 0.5),
    ...     "order_logits": np.float32([[[0, -9], [0, 0]]]),
    ... }
    >>> layout_detection(outputs)[0]["order_seq"].tolist()
    [0, 1]
    """
    logits = field(outputs, "logits")
    boxes = field(outputs, "pred_boxes")
    order = field(outputs, "order_logits")
    queries = logits.shape[:2]
    require_shape("logits", logits, (*queries, None))
    require_shape("pred_boxes", boxes, (*queries, 4))
    require_shape("order_logits", order, (*queries, *queries[1:]))
    image_sizes = box_sizes(target_sizes, len(logits))
    scale = scales(image_sizes, len(logits))[:, None]
    candidates = to_numpy(_layout(logits, boxes, order, scale))
    results = []
    for scores, labels, corners, ranks in zip(*candidates, strict=True):
        keep = np.flatnonzero(scores >= float32(threshold, "threshold"))
        # Several classes of one query have one rank: they stay in the order of their scores.
        keep = keep[np.argsort(ranks[keep], kind="stable")]
        result = {
            "scores": scores[keep],
            "labels": labels[keep],
            "boxes": corners[keep],
            "order_seq": ranks[keep],
        }
        results.append(to_jax(result))
    return results


@jax.jit
def _quads(
    logits: jax.Array,
    boxes: jax.Array,
    scale: jax.Array,
) -> tuple[jax.Array, ...]:
    def of_one_image(
        logits: jax.Array,
        boxes: jax.Array,
        scale: jax.Array,
    ) -> tuple[jax.Array, ...]:
        scores, labels, queries = top_pairs(logits, len(logits))
        centers = boxes[:, None, :2]
        offsets = boxes[:, 2:].reshape(-1, 4, 2) - 0.5
        corners = (centers + offsets) * scale
        return scores, labels, corners[queries], queries

    return jax.vmap(of_one_image)(logits, boxes, scale)


@method("PPDocLayoutV4ImageProcessor", DETECTION)
def quad_layout_detection(
    outputs: Any,
    threshold: float = 0.5,
    target_sizes: Any = None,
) -> list[dict[str, jax.Array]]:
    """Returns the layout of PP-DocLayoutV4: quadrilaterals in reading order.

    Reproduces `models/pp_doclayout_v4/image_processing_pp_doclayout_v4.py` of Transformers.

    Args:
        outputs: with `logits` `(b, q, c)`; `pred_boxes` `(b, q, 10)`, the centre and the offsets of
            four corners from it, shifted by 0.5; `relative_order_logits` and
            `successor_order_logits` `(b, q, q)`.
        threshold: the least score.
        target_sizes: (height, width) per image; required.

    Returns:
        per image, in reading order, `scores`, `labels`, `boxes`, `polygon_points` `(n, 4, 2)` and
        `order_seq`.

    Raises:
        InputError: no target sizes, or fields that disagree in shape.

    >>> outputs = {
    ...     "logits": np.float32([[[9]]]),
    ...     "pred_boxes": np.float32([[[0.5, 0.5, 0, 0, 1, 0, 1, 1, 0, 1]]]),
    ...     "relative_order_logits": np.zeros((1, 1, 1)),
    ...     "successor_order_logits": np.zeros((1, 1, 1)),
    ... }
    >>> quad_layout_detection(outputs, 0.5, [(4, 6)])[0]["boxes"].tolist()
    [[0.0, 0.0, 6.0, 4.0]]
    """
    logits = field(outputs, "logits")
    boxes = field(outputs, "pred_boxes")
    relative_orders = field(outputs, "relative_order_logits")
    successor_orders = field(outputs, "successor_order_logits")
    image_sizes = required_box_sizes(target_sizes, len(logits))
    shape = logits.shape[:2]
    require_shape("logits", logits, (*shape, None))
    require_shape("pred_boxes", boxes, (*shape, 10))
    require_shape("relative_order_logits", relative_orders, (*shape, *shape[1:]))
    require_shape("successor_order_logits", successor_orders, (*shape, *shape[1:]))
    width_height = scales(image_sizes, len(logits))[:, None, None, :2]
    candidates = to_numpy(_quads(logits, boxes, width_height))
    relative_orders, successor_orders = to_numpy((relative_orders, successor_orders))
    # The graph is that of the boxes that are kept: a box below the threshold orders nothing.
    results = []
    for i, (scores, labels, corners, queries) in enumerate(zip(*candidates, strict=True)):
        keep = np.flatnonzero(scores >= float32(threshold, "threshold"))
        # A query with several classes is one node of the graph.
        nodes, node_of = np.unique(queries[keep], return_inverse=True)
        pairs = np.ix_(nodes, nodes)
        relative = relative_orders[i][pairs]
        successor = successor_orders[i][pairs]
        ranks = decode_order(relative, successor)[node_of]
        order = np.argsort(ranks, kind="stable")
        keep = keep[order]
        polygons = corners[keep]
        result = {
            "scores": scores[keep],
            "labels": labels[keep],
            "boxes": _bounding_boxes(polygons),
            "polygon_points": polygons,
            "order_seq": ranks[order],
        }
        results.append(to_jax(result))
    return results


def _bounding_boxes(polygons: Float[np.ndarray, "n 4 2"]) -> Float[np.ndarray, "n 4"]:
    return np.concatenate([polygons.min(-2), polygons.max(-2)], -1)


def decode_order(
    relative: Float[np.ndarray, "n n"],
    successor: Float[np.ndarray, "n n"],
) -> Int[np.ndarray, " n"]:
    """Returns the rank of each box in the reading order; on the host, since it follows a graph.

    Reproduces `_decode_reading_order` of
    `models/pp_doclayout_v4/image_processing_pp_doclayout_v4.py`.

    Args:
        relative: logits that say how likely i comes before j. They decide what `successor` leaves
            open.
        successor: above 0 says that j follows i at once: without cycles, a partial order, whose
            connected parts are sorted on their own.

    >>> decode_order(np.zeros((2, 2)), np.float32([[0, -1], [1, 0]])).tolist()
    [1, 0]
    """
    count = len(successor)
    if not count:
        return np.zeros(0, np.int32)
    edges: dict[Edge, float] = {}
    for i, j in np.argwhere(successor > 0).tolist():
        if i != j:
            edges[i, j] = float(successor[i, j])
    kept = _without_cycles(count, edges)
    logits = relative.astype(np.float32)
    # NumPy warns of an infinity that becomes the probability 0
    with np.errstate(over="ignore"):
        before = 1 / (1 + np.exp(-logits))
    np.fill_diagonal(before, 0)
    votes = before.sum(0)

    def mean_votes(part: list[int]) -> float:
        return float(votes[part].mean())

    parts = [_sorted_part(part, kept, before) for part in _connected_parts(count, kept)]
    # The part that fewest boxes come before is read first; of equal ones that of the first box.
    parts.sort(key=mean_votes)
    ranks = np.zeros(count, np.int32)
    ranks[np.concatenate(parts)] = np.arange(count)
    return ranks


def _reachable(count: int, edges: Any) -> np.ndarray:
    """Which node can be reached from which, itself included, `(count, count)`."""
    reach = np.eye(count, dtype=bool)
    for i, j in edges:
        reach[i, j] = True
    # Squaring doubles the length of the paths; a float32 product is BLAS's, one of bools is not.
    while True:
        numbers = reach.astype(np.float32)
        further = (numbers @ numbers) > 0
        if (further == reach).all():
            return reach
        reach = further


def _without_cycles(count: int, edges: dict[Edge, float]) -> list[Edge]:
    """The edges that are left when the weakest edge of each strongly connected part is removed,
    again and again; of equal ones the first.
    """
    edges = dict(edges)
    while True:
        reach = _reachable(count, edges)
        # A strongly connected part is named by its first node.
        part_of = (reach & reach.T).argmax(1)
        weakest: dict[int, Edge] = {}
        for (i, j), weight in edges.items():
            part = part_of[i]
            if part != part_of[j]:
                continue
            if part not in weakest or weight < edges[weakest[part]]:
                weakest[part] = (i, j)
        if not weakest:
            return list(edges)
        for edge in weakest.values():
            del edges[edge]


def _connected_parts(count: int, edges: list[Edge]) -> list[list[int]]:
    """The connected parts of the graph, each in ascending order."""
    reversed_edges = [(j, i) for i, j in edges]
    reach = _reachable(count, edges + reversed_edges)
    # A part is named by its first node.
    first_node = reach.argmax(1)
    parts = []
    for node in np.unique(first_node):
        members = np.flatnonzero(first_node == node)
        parts.append(members.tolist())
    return parts


def _sorted_part(
    nodes: list[int],
    edges: list[Edge],
    before: np.ndarray,
) -> list[int]:
    """Nodes in topological order; of several that could come next, the one that is most before the
    others.
    """
    predecessors = dict.fromkeys(nodes, 0)
    for _, j in edges:
        if j in predecessors:
            predecessors[j] += 1
    ready = [node for node in nodes if not predecessors[node]]

    def precedence(node: int) -> tuple[float, int]:
        # Of equal ones the smaller index: `max` takes the larger.
        votes = sum(before[node, other] for other in ready if other != node)
        return float(votes), -node

    order = []
    while ready:
        best = max(ready, key=precedence)
        ready.remove(best)
        order.append(best)
        for i, j in edges:
            if i != best:
                continue
            predecessors[j] -= 1
            if not predecessors[j]:
                ready.append(j)
    return order
