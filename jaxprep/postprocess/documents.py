"""Document layout: boxes in the order in which they are read."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.postprocess.boxes import center_to_corners, scales
from jaxprep.postprocess.detection import top_pairs
from jaxprep.postprocess.results import field, sizes


def reading_ranks(order: jax.Array) -> jax.Array:
    """The place of each query in the reading order, from logits `(q, q)`: entry i, j with i < j
    says "i before j".

    Every query counts the votes for those before it.
    """
    before = jax.nn.sigmoid(order)
    votes = jnp.triu(before, 1).sum(0) + jnp.tril(1 - before.T, -1).sum(0)
    return (
        jnp.zeros(len(order), jnp.int32)
        .at[jnp.argsort(votes)]
        .set(jnp.arange(len(order), dtype=jnp.int32))
    )


@jax.jit
def _layout(
    logits: jax.Array, boxes: jax.Array, order: jax.Array, scale: jax.Array
) -> tuple[jax.Array, ...]:
    def one_image(
        logits: jax.Array, boxes: jax.Array, order: jax.Array, scale: jax.Array
    ) -> tuple[jax.Array, ...]:
        scores, labels, queries = top_pairs(logits, logits.shape[0])
        return (
            scores,
            labels,
            (center_to_corners(boxes) * scale)[queries],
            reading_ranks(order)[queries],
        )

    return jax.vmap(one_image)(logits, boxes, order, scale)


def layout_detection(
    outputs: Any, threshold: float = 0.5, target_sizes: Any = None
) -> list[dict[str, jax.Array]]:
    """Layout of PP-DocLayoutV2, and of V3 without its `polygon_points`.

    Args:
        outputs: with `logits` `(b, q, c)`, `pred_boxes` and `order_logits` `(b, q, q)`.
        threshold: the least score.
        target_sizes: (height, width) per image; None leaves boxes relative.

    Returns:
        per image, in reading order, `scores`, `labels`, `boxes` and `order_seq`.
    """
    logits = field(outputs, "logits")
    scale = scales(sizes(target_sizes, len(logits)), len(logits))[:, None]
    found = _layout(logits, field(outputs, "pred_boxes"), field(outputs, "order_logits"), scale)
    results = []
    for scores, *parts in zip(*(np.asarray(part) for part in found), strict=True):
        keep = np.flatnonzero(scores >= np.float32(threshold))
        keep = keep[np.argsort(parts[-1][keep], kind="stable")]
        named = zip(("scores", "labels", "boxes", "order_seq"), (scores, *parts), strict=True)
        results.append({name: jnp.asarray(part[keep]) for name, part in named})
    return results


@jax.jit
def _quads(logits: jax.Array, boxes: jax.Array, scale: jax.Array) -> tuple[jax.Array, ...]:
    def one_image(logits: jax.Array, boxes: jax.Array, scale: jax.Array) -> tuple[jax.Array, ...]:
        scores, labels, queries = top_pairs(logits, logits.shape[0])
        corners = boxes[:, None, :2] + (boxes[:, 2:].reshape(-1, 4, 2) - 0.5)
        return scores, labels, (corners * scale)[queries], queries

    return jax.vmap(one_image)(logits, boxes, scale)


def quad_layout_detection(
    outputs: Any, threshold: float = 0.5, target_sizes: Any = None
) -> list[dict[str, jax.Array]]:
    """Layout of PP-DocLayoutV4: quadrilaterals in reading order.

    Args:
        outputs: with `logits` `(b, q, c)`; `pred_boxes` `(b, q, 10)`, the centre and the offsets of
            four corners from it, shifted by 0.5; `relative_order_logits` and
            `successor_order_logits` `(b, q, q)`.
        threshold: the least score.
        target_sizes: (height, width) per image; required.

    Returns:
        per image, in reading order, `scores`, `labels`, `boxes`, `polygon_points` `(n, 4, 2)` and
        `order_seq`.
    """
    logits, boxes = field(outputs, "logits"), field(outputs, "pred_boxes")
    goals = sizes(target_sizes, len(logits))
    if goals is None:
        raise InputError("Expected the sizes of the images, got None - at `target_sizes`.")
    if boxes.shape[-1] != 10:
        raise InputError(
            f"Expected boxes of 10 numbers, got {boxes.shape[-1]} - at `outputs.pred_boxes`."
        )
    scale = scales(goals, len(logits))[:, None, None, :2]
    found = [np.asarray(part) for part in _quads(logits, boxes, scale)]
    orders = (
        np.asarray(field(outputs, f"{name}_order_logits")) for name in ("relative", "successor")
    )
    results = []
    for scores, labels, corners, queries, relative, successor in zip(*found, *orders, strict=True):
        keep = scores >= np.float32(threshold)
        mine, inverse = np.unique(queries[keep], return_inverse=True)
        ranks = decode_order(relative[np.ix_(mine, mine)], successor[np.ix_(mine, mine)])[inverse]
        order = np.argsort(ranks, kind="stable")
        scores, labels, corners = (part[keep][order] for part in (scores, labels, corners))
        edges = (
            np.concatenate([corners.min(-2), corners.max(-2)], -1)
            if len(corners)
            else np.zeros((0, 4), np.float32)
        )
        parts = {
            "scores": scores,
            "labels": labels,
            "boxes": edges,
            "polygon_points": corners,
            "order_seq": ranks[order],
        }
        results.append({name: jnp.asarray(part) for name, part in parts.items()})
    return results


def decode_order(relative: np.ndarray, successor: np.ndarray) -> np.ndarray:
    """The place of each of n boxes in the reading order, int32, from logits `(n, n)`. Host work: it
    follows a graph.

    `successor[i, j] > 0` says that j follows i at once: without cycles, a partial order, whose
    connected parts are sorted on their own. `relative[i, j]` says how likely i comes before j,
    which decides the rest.
    """
    count = len(successor)
    if not count:
        return np.zeros(0, np.int32)
    edges = {
        (int(i), int(j)): float(successor[i, j]) for i, j in np.argwhere(successor > 0) if i != j
    }
    kept = _without_cycles(count, edges)
    before = 1 / (1 + np.exp(-relative.astype(np.float32)))
    np.fill_diagonal(before, 0)
    votes = before.sum(0)
    parts = [_sorted_part(part, kept, before) for part in _parts(count, kept)]
    parts.sort(key=lambda part: float(votes[part].mean()))
    ranks = np.zeros(count, np.int32)
    for rank, node in enumerate(node for part in parts for node in part):
        ranks[node] = rank
    return ranks


def _reachable(count: int, edges: Any) -> np.ndarray:
    """Which node can be reached from which, itself included: the closure by squaring."""
    reach = np.eye(count, dtype=bool)
    for i, j in edges:
        reach[i, j] = True
    while True:
        further = (reach.astype(np.float32) @ reach.astype(np.float32)) > 0
        if (further == reach).all():
            return reach
        reach = further


def _without_cycles(count: int, edges: dict[tuple[int, int], float]) -> list[tuple[int, int]]:
    """The edges that stay when the weakest of each knot of cycles goes, again and again; of equals
    the first goes.
    """
    edges = dict(edges)
    while True:
        reach = _reachable(count, edges)
        knot = (reach & reach.T).argmax(1)
        weakest: dict[int, tuple[int, int]] = {}
        for (i, j), weight in edges.items():
            if knot[i] == knot[j] and (knot[i] not in weakest or weight < edges[weakest[knot[i]]]):
                weakest[knot[i]] = (i, j)
        if not weakest:
            return list(edges)
        for edge in weakest.values():
            del edges[edge]


def _parts(count: int, edges: list[tuple[int, int]]) -> list[list[int]]:
    """The connected parts of the graph, each in ascending order."""
    first = _reachable(count, [*edges, *((j, i) for i, j in edges)]).argmax(1)
    return [np.flatnonzero(first == node).tolist() for node in np.unique(first)]


def _sorted_part(nodes: list[int], edges: list[tuple[int, int]], before: np.ndarray) -> list[int]:
    """Nodes in topological order; of several that could come next, the one that is most before the
    others.
    """
    waits = {node: sum(j == node for _, j in edges) for node in nodes}
    ready = [node for node in nodes if not waits[node]]
    order = []
    while ready:
        best = max(
            ready,
            key=lambda node: (sum(before[node, other] for other in ready if other != node), -node),
        )
        ready.remove(best)
        order.append(best)
        for i, j in edges:
            if i == best:
                waits[j] -= 1
                if not waits[j]:
                    ready.append(j)
    return order
