"""Object detection: scores, labels and boxes `(left, top, right, bottom)` from class logits and
relative boxes.

Every function scores all queries in one program of fixed shape; the host then drops what is below
the threshold.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxprep.errors import InputError
from jaxprep.postprocess.boxes import center_to_corners, kept_boxes, scales, suppress
from jaxprep.postprocess.results import array, field, optional_field, same_length, sizes, value_of
from jaxprep.postprocess.segments import room
from jaxprep.postprocess.targets import resize_one


class Candidates(NamedTuple):
    """Scores `(n,)`, labels `(n,)` and boxes `(n, 4)` of one image, or with a batch axis before."""

    scores: Any
    labels: Any
    boxes: Any


def softmax_candidates(logits: jax.Array, boxes: jax.Array, scale: jax.Array) -> Candidates:
    """One candidate per query: its best class, of a softmax in which the last class is "no
    object".
    """
    probabilities = jax.nn.softmax(logits, axis=-1)[..., :-1]
    labels = probabilities.argmax(-1).astype(jnp.int32)
    return Candidates(probabilities.max(-1), labels, center_to_corners(boxes) * scale)


def sigmoid_candidates(logits: jax.Array, boxes: jax.Array, scale: jax.Array) -> Candidates:
    """One candidate per query: its best class, each class on its own."""
    labels = logits.argmax(-1).astype(jnp.int32)
    return Candidates(jax.nn.sigmoid(logits.max(-1)), labels, center_to_corners(boxes) * scale)


def top_candidates(logits: jax.Array, boxes: jax.Array, scale: jax.Array, count: int) -> Candidates:
    """The `count` best pairs of query and class, best first; of equal ones the first."""
    scores, labels, queries = top_pairs(logits, count)
    return Candidates(scores, labels, (center_to_corners(boxes) * scale)[queries])


def top_pairs(logits: jax.Array, count: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Score, class and query of the `count` largest of logits `(q, c)`: ordered before the sigmoid
    makes them equal.
    """
    best, flat = lax.top_k(logits.reshape(-1), count)
    return jax.nn.sigmoid(best), flat % logits.shape[-1], flat // logits.shape[-1]


_softmax = jax.jit(softmax_candidates)
_sigmoid = jax.jit(sigmoid_candidates)


@functools.partial(jax.jit, static_argnames=("count",))
def _top(logits: jax.Array, boxes: jax.Array, scale: jax.Array, count: int) -> Candidates:
    return jax.vmap(functools.partial(top_candidates, count=count))(logits, boxes, scale)


def _inputs(
    outputs: Any, target_sizes: Any, square: bool = False
) -> tuple[jax.Array, jax.Array, np.ndarray]:
    logits, boxes = field(outputs, "logits"), field(outputs, "pred_boxes")
    scale = scales(sizes(target_sizes, len(logits)), len(logits), square)
    return logits, boxes, scale[:, None]


def select(
    candidates: Candidates, threshold: float, strict: bool = True
) -> list[dict[str, jax.Array]]:
    """Per image the candidates whose score is above the threshold (or at least that, if not
    `strict`).
    """
    bound = np.float32(threshold)
    results = []
    for scores, labels, boxes in zip(*(np.asarray(part) for part in candidates), strict=True):
        keep = scores > bound if strict else scores >= bound
        parts = {"scores": scores, "labels": labels, "boxes": boxes}
        results.append({name: jnp.asarray(part[keep]) for name, part in parts.items()})
    return results


def softmax_detection(
    outputs: Any, threshold: float = 0.5, target_sizes: Any = None
) -> list[dict[str, jax.Array]]:
    """DETR and Yolos: the best object class of each query.

    Args:
        outputs: with `logits` `(b, q, c + 1)`, the last class being "no object", and `pred_boxes`
            `(b, q, 4)`, relative (centre x, centre y, width, height).
        threshold: what a score must exceed.
        target_sizes: (height, width) per image, to which boxes are scaled; None leaves them
            relative.

    Returns:
        per image `scores`, `labels`, `boxes` (left, top, right, bottom).
    """
    logits, boxes, scale = _inputs(outputs, target_sizes)
    return select(_softmax(logits, boxes, scale), threshold)


def top_detection(
    outputs: Any, threshold: float = 0.5, target_sizes: Any = None, top_k: int | None = None
) -> list[dict[str, jax.Array]]:
    """RF-DETR and the like: the `top_k` best pairs of query and class (None: as many as
    queries).
    """
    logits, boxes, scale = _inputs(outputs, target_sizes)
    count = min(logits.shape[1] if top_k is None else top_k, logits.shape[1] * logits.shape[2])
    return select(_top(logits, boxes, scale, count), threshold)


def top_100_detection(
    outputs: Any, threshold: float = 0.5, target_sizes: Any = None, top_k: int = 100
) -> list[dict[str, jax.Array]]:
    """`top_detection` with the default of Conditional and Deformable DETR."""
    return top_detection(outputs, threshold, target_sizes, top_k)


def focal_detection(
    outputs: Any, threshold: float = 0.5, target_sizes: Any = None, use_focal_loss: bool = True
) -> list[dict[str, jax.Array]]:
    """RT-DETR and DEIMv2: `top_detection`; or, for a model trained without focal loss,
    `softmax_detection`.
    """
    return (top_detection if use_focal_loss else softmax_detection)(
        outputs, threshold, target_sizes
    )


def text_detection(
    outputs: Any, threshold: float = 0.1, target_sizes: Any = None, *, square: bool = False
) -> list[dict[str, jax.Array]]:
    """Grounding DINO, OWL-ViT and OWLv2: the best text query or token of each box.

    Args:
        square: images were padded to squares (OWLv2): boxes are relative to the longer side.
    """
    logits, boxes, scale = _inputs(outputs, target_sizes, square)
    return select(_sigmoid(logits, boxes, scale), threshold)


def labelled_detection(
    outputs: Any,
    threshold: float = 0.1,
    target_sizes: Any = None,
    text_labels: Sequence[Sequence[str]] | None = None,
    *,
    square: bool = False,
) -> list[dict[str, Any]]:
    """`text_detection` with `text_labels`: the text of each box, from the list of texts of its
    image, or None.
    """
    results: list[dict[str, Any]] = text_detection(outputs, threshold, target_sizes, square=square)  # type: ignore[assignment]
    if text_labels is not None:
        same_length("text_labels", text_labels, len(results))
    for i, result in enumerate(results):
        result["text_labels"] = (
            None
            if text_labels is None
            else [text_labels[i][n] for n in np.asarray(result["labels"])]
        )
    return results


@jax.jit
def _grounded(logits: jax.Array, boxes: jax.Array, scale: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.nn.sigmoid(logits), center_to_corners(boxes) * scale


def grounded_detection(
    outputs: Any,
    input_ids: Any = None,
    threshold: float = 0.25,
    text_threshold: float = 0.25,
    target_sizes: Any = None,
    text_labels: Any = None,
    *,
    batch_decode: Callable[[list[list[int]]], list[str]] | None = None,
) -> list[dict[str, Any]]:
    """Grounding DINO with its text: each box is labelled with the tokens whose probability is high
    enough.

    Args:
        outputs: with `logits` `(b, q, tokens)` and `pred_boxes`.
        input_ids: `(b, length)`, the token ids of the text; None takes those of the outputs.
        threshold: what the probability of a box's best token must exceed.
        text_threshold: what a token's must exceed to be in the label; the first and last never are.
        text_labels: taken, and not used, as in Transformers.
        batch_decode: the tokenizer's, from lists of ids to texts; None leaves the labels lists of
            ids.

    Returns:
        per image `scores`, `boxes`, `text_labels`, and the same again as `labels`.
    """
    del text_labels
    logits, boxes, scale = _inputs(outputs, target_sizes)
    ids = np.asarray(field(outputs, "input_ids") if input_ids is None else input_ids)
    same_length("input_ids", ids, len(logits))
    probabilities, corners = (np.asarray(part) for part in _grounded(logits, boxes, scale))
    results = []
    for i, found in enumerate(probabilities):
        scores = found.max(-1)
        keep = scores > np.float32(threshold)
        chosen = found[keep] > np.float32(text_threshold)
        chosen[:, :1] = chosen[:, -1:] = False
        tokens = [ids[i][np.flatnonzero(row)].tolist() for row in chosen]
        texts = tokens if batch_decode is None else batch_decode(tokens)
        kept = {"scores": jnp.asarray(scores[keep]), "boxes": jnp.asarray(corners[i][keep])}
        results.append({**kept, "text_labels": texts, "labels": texts})
    return results


@jax.jit
def _image_guided(
    logits: jax.Array, boxes: jax.Array, scale: jax.Array, bound: Any, threshold: Any
):
    def one_image(scores: jax.Array, boxes: jax.Array) -> tuple[jax.Array, jax.Array]:
        order, stays = suppress(boxes, scores, scores > 0, bound)
        scores = jnp.where(jnp.zeros_like(stays).at[order].set(stays), scores, 0)
        scores = jnp.where(scores < threshold, 0, scores)
        most = scores.max() + 1e-6
        return jnp.clip((scores - most * 0.1) / (most * 0.9), 0, 1), boxes

    alphas, corners = jax.vmap(one_image)(jax.nn.sigmoid(logits.max(-1)), center_to_corners(boxes))
    return alphas, corners * scale


def image_guided_detection(
    outputs: Any,
    threshold: float = 0.0,
    nms_threshold: float = 0.3,
    target_sizes: Any = None,
    *,
    square: bool = False,
) -> list[dict[str, Any]]:
    """OWL-ViT and OWLv2 with a query image: boxes after non-maximum suppression, scores relative to
    the best.

    Args:
        outputs: with `logits` and `target_pred_boxes`.
        threshold: scores below it become 0.
        nms_threshold: the overlap above which the weaker of two boxes goes; 1 or more keeps all.
        target_sizes, square: as in `text_detection`.

    Returns:
        per image, in the order of the images, `scores` in (0, 1], `labels` None, `boxes`; empty
        where nothing is left.
    """
    logits, boxes = field(outputs, "logits"), field(outputs, "target_pred_boxes")
    scale = scales(sizes(target_sizes, len(logits)), len(logits), square)[:, None]
    bound = np.float32(nms_threshold if nms_threshold < 1 else np.inf)
    alphas, corners = (
        np.asarray(part)
        for part in _image_guided(logits, boxes, scale, bound, np.float32(threshold))
    )
    return [
        {
            "scores": jnp.asarray(alpha[alpha > 0]),
            "labels": None,
            "boxes": jnp.asarray(found[alpha > 0]),
        }
        for alpha, found in zip(alphas, corners, strict=True)
    ]


@jax.jit
def _sam3(logits: jax.Array, presence: jax.Array | None, boxes: jax.Array, scale: jax.Array):
    scores = jax.nn.sigmoid(logits)
    return scores if presence is None else scores * jax.nn.sigmoid(presence), boxes * scale


def _sam3_inputs(outputs: Any, target_sizes: Any) -> tuple[np.ndarray, np.ndarray]:
    logits, boxes = field(outputs, "pred_logits"), field(outputs, "pred_boxes")
    presence = optional_field(outputs, "presence_logits")
    scale = scales(sizes(target_sizes, len(logits)), len(logits))[:, None]
    scores, boxes = _sam3(logits, None if presence is None else array(presence), boxes, scale)
    return np.asarray(scores), np.asarray(boxes)


def sam3_detection(
    outputs: Any, threshold: float = 0.3, target_sizes: Any = None
) -> list[dict[str, jax.Array]]:
    """Boxes of SAM 3, without labels.

    Args:
        outputs: with `pred_logits` `(b, q)`, `pred_boxes`, relative corners, and perhaps
            `presence_logits` `(b, 1)`, whose probability multiplies the scores.
    """
    results = []
    for scores, boxes in zip(*_sam3_inputs(outputs, target_sizes), strict=True):
        keep = scores > np.float32(threshold)
        results.append({"scores": jnp.asarray(scores[keep]), "boxes": jnp.asarray(boxes[keep])})
    return results


def sam3_instance_segmentation(
    outputs: Any, threshold: float = 0.3, mask_threshold: float = 0.5, target_sizes: Any = None
) -> list[dict[str, jax.Array]]:
    """`sam3_detection` with `masks`: int32 `(n, height, width)`, 1 where the resized probability is
    high enough.
    """
    masks = field(outputs, "pred_masks")
    goals = sizes(target_sizes, len(masks))
    results = []
    for i, (scores, boxes) in enumerate(zip(*_sam3_inputs(outputs, target_sizes), strict=True)):
        keep = np.flatnonzero(scores > np.float32(threshold))
        binary = _sam3_masks(masks, i, keep, goals[i] if goals else None, mask_threshold)
        parts = {"scores": scores[keep], "boxes": boxes[keep], "masks": binary}
        results.append({name: jnp.asarray(part) for name, part in parts.items()})
    return results


def _sam3_masks(
    masks: jax.Array, i: int, keep: np.ndarray, size: Any, mask_threshold: float
) -> np.ndarray:
    if not len(keep):
        return np.zeros((0, *(size or masks.shape[-2:])), np.int32)
    rows = np.pad(keep, (0, room(len(keep), masks.shape[1]) - len(keep)))
    probabilities = resize_one(_probabilities(masks, i, rows), 0, size, "bilinear")
    return (probabilities[: len(keep)] > np.float32(mask_threshold)).astype(np.int32)


@jax.jit
def _probabilities(masks: jax.Array, i: Any, rows: Any) -> jax.Array:
    return jax.nn.sigmoid(lax.dynamic_index_in_dim(masks, i, keepdims=False)[rows])[None]


def omdet_detection(
    outputs: Any,
    text_labels: Sequence[Any] | None = None,
    threshold: float = 0.3,
    nms_threshold: float = 0.5,
    target_sizes: Any = None,
    max_num_det: int | None = None,
    *,
    size: Any = None,
) -> list[dict[str, Any]]:
    """OmDet-Turbo: the best pairs of query and class, suppressed class by class.

    Args:
        outputs: with `decoder_coord_logits`, `decoder_class_logits` and `classes_structure`, the
            number of classes of each image.
        text_labels: the classes of each image (or of the only one).
        size: the image processor's `size`, taken for an image without a target size.
    """
    logits, boxes = field(outputs, "decoder_class_logits"), field(outputs, "decoder_coord_logits")
    counts = np.asarray(field(outputs, "classes_structure"))
    goals = (
        sizes(
            [_network_size(size)] * len(boxes) if target_sizes is None else target_sizes, len(boxes)
        )
        or []
    )
    if text_labels is not None:
        text_labels = (
            [text_labels] if text_labels and isinstance(text_labels[0], str) else text_labels
        )
        same_length("text_labels", text_labels, len(boxes))
    scale = scales(goals, len(boxes))[:, None]
    count = logits.shape[1] if max_num_det is None else max_num_det
    candidates = _top(logits, boxes, scale, min(count, logits.shape[1] * logits.shape[2]))
    results = []
    for i, parts in enumerate(zip(*(np.asarray(part) for part in candidates), strict=True)):
        keep = (parts[0] > np.float32(threshold)) & (parts[1] < counts[i])
        scores, labels, corners = (part[keep] for part in parts)
        kept = kept_boxes(corners, scores, nms_threshold, groups=labels)
        corners = np.clip(corners, 0, np.asarray([goals[i][1], goals[i][0]] * 2, np.float32))
        texts = None if text_labels is None else [text_labels[i][n] for n in labels[kept]]
        found = {"boxes": corners[kept], "scores": scores[kept], "labels": labels[kept]}
        results.append(
            {**{name: jnp.asarray(part) for name, part in found.items()}, "text_labels": texts}
        )
    return results


def _network_size(size: Any) -> tuple[int, int]:
    found = [value_of(size, name) for name in ("height", "width", "shortest_edge", "longest_edge")]
    height, width = found[0] or found[2], found[1] or found[3]
    if not height or not width:
        raise InputError(f"Expected `height` and `width`, got {size!r} - at `size`.")
    return int(height), int(width)
