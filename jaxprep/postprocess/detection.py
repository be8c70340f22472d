"""Object detection: scores, labels and boxes `(left, top, right, bottom)` from class logits and
relative boxes.

Every function scores all queries in one program of fixed shape; the host then drops what is below
the threshold. Unless said otherwise, `outputs` have `logits` `(b, q, c)` and `pred_boxes` `(b, q,
4)`, relative (centre x, centre y, width, height); `target_sizes` are (height, width) per image, to
which boxes are scaled, and None leaves them relative.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int

from jaxprep.errors import InputError
from jaxprep.postprocess.boxes import center_to_corners, kept_boxes, scales, suppress
from jaxprep.postprocess.registry import DETECTION, GROUNDED, GUIDED, INSTANCE, method
from jaxprep.postprocess.resize_plan import resize_image
from jaxprep.postprocess.results import (
    as_array,
    box_sizes,
    edge_of,
    field,
    float32,
    optional_field,
    require_length,
    require_shape,
    required_box_sizes,
    sizes,
    to_jax,
    to_numpy,
    whole_number,
)
from jaxprep.postprocess.segments import capacity
from jaxprep.types import Array, Size


class Candidates(NamedTuple):
    """Scores `(n,)`, labels `(n,)` and boxes `(n, 4)` of one image, or with a batch axis before.

    >>> Candidates(np.ones(2), np.array([3, 4]), np.ones((2, 4))).labels.tolist()
    [3, 4]
    """

    scores: Any
    labels: Any
    boxes: Any


def softmax_candidates(
    logits: Float[Array, "*b q c"],
    boxes: Float[Array, "*b q 4"],
    scale: Float[Array, "*b 1 4"],
) -> Candidates:
    """Returns one candidate per query: its best class, of a softmax in which the last class is "no
    object".

    >>> logits, boxes = np.float32([[0, 9, 8]]), np.ones((1, 4), np.float32)
    >>> jax.jit(softmax_candidates)(logits, boxes, boxes).labels.tolist()
    [1]
    """
    # The softmax is over all classes; only then is "no object" left out.
    probabilities = jax.nn.softmax(logits, axis=-1)[..., :-1]
    return Candidates(
        scores=probabilities.max(-1),
        labels=probabilities.argmax(-1).astype(jnp.int32),
        boxes=center_to_corners(boxes) * scale,
    )


def sigmoid_candidates(
    logits: Float[Array, "*b q c"],
    boxes: Float[Array, "*b q 4"],
    scale: Float[Array, "*b 1 4"],
) -> Candidates:
    """Returns one candidate per query: its best class, each class being independent.

    >>> logits, boxes = jnp.float32([[0, 9, 99]]), jnp.ones((1, 4))
    >>> sigmoid_candidates(logits, boxes, jnp.ones((1, 4))).labels.tolist()
    [2]
    """
    return Candidates(
        # The sigmoid rises with the logit: the best logit's is the best score.
        scores=jax.nn.sigmoid(logits.max(-1)),
        labels=logits.argmax(-1).astype(jnp.int32),
        boxes=center_to_corners(boxes) * scale,
    )


def top_candidates(
    logits: Float[Array, "q c"],
    boxes: Float[Array, "q 4"],
    scale: Float[Array, "1 4"],
    count: int,
) -> Candidates:
    """Returns the `count` best pairs of query and class, best first; of equal ones the first.

    >>> logits, boxes = np.float32([[0, 9, 99]]), np.ones((1, 4), np.float32)
    >>> candidates = jax.jit(lambda *arrays: top_candidates(*arrays, 2))
    >>> candidates(logits, boxes, boxes).labels.tolist()
    [2, 1]
    """
    scores, labels, queries = top_pairs(logits, count)
    corners = center_to_corners(boxes) * scale
    return Candidates(scores, labels, corners[queries])


def top_pairs(
    logits: Float[Array, "q c"],
    count: int,
) -> tuple[Float[jax.Array, " k"], Int[jax.Array, " k"], Int[jax.Array, " k"]]:
    """Returns score, class and query of the `count` largest logits.

    >>> scores, labels, queries = top_pairs(jnp.float32([[0, 9], [99, 1]]), 2)
    >>> labels.tolist(), queries.tolist()
    ([0, 1], [1, 0])
    """
    # Ordered before the sigmoid: it makes all logits above 18 equal in float32.
    best, index = lax.top_k(logits.reshape(-1), count)
    class_count = logits.shape[-1]
    scores = jax.nn.sigmoid(best)
    labels = index % class_count
    queries = index // class_count
    return scores, labels, queries


_softmax = jax.jit(softmax_candidates)
_sigmoid = jax.jit(sigmoid_candidates)


@functools.partial(jax.jit, static_argnames=("count",))
def _top(
    logits: jax.Array,
    boxes: jax.Array,
    scale: jax.Array,
    count: int,
) -> Candidates:
    of_one_image = functools.partial(top_candidates, count=count)
    return jax.vmap(of_one_image)(logits, boxes, scale)


def _inputs(
    outputs: Any,
    target_sizes: Any,
    square: bool = False,
) -> tuple[jax.Array, jax.Array, np.ndarray]:
    """Logits, boxes, and what boxes are multiplied by, `(b, 1, 4)`."""
    logits = field(outputs, "logits")
    boxes = field(outputs, "pred_boxes")
    require_shape("logits", logits, (*logits.shape[:2], None))
    require_shape("pred_boxes", boxes, (*logits.shape[:2], 4))
    scale = _scales(target_sizes, len(logits), square)
    return logits, boxes, scale


def _scales(target_sizes: Any, count: int, square: bool = False) -> np.ndarray:
    """What the boxes `(b, q, 4)` of `count` images are multiplied by, `(b, 1, 4)`."""
    image_sizes = box_sizes(target_sizes, count)
    return scales(image_sizes, count, square)[:, None]


def select(candidates: Candidates, threshold: float) -> list[dict[str, jax.Array]]:
    """Returns per image the candidates whose score is above the threshold.

    >>> scores, labels = jnp.float32([[0.2, 0.8]]), jnp.array([[3, 4]])
    >>> select(Candidates(scores, labels, jnp.ones((1, 2, 4))), 0.5)[0]["labels"].tolist()
    [4]
    """
    results = []
    # On the host: a program's results have one shape, and these have any length.
    for scores, labels, boxes in zip(*to_numpy(candidates), strict=True):
        keep = scores > float32(threshold, "threshold")
        result = {
            "scores": scores[keep],
            "labels": labels[keep],
            "boxes": boxes[keep],
        }
        results.append(to_jax(result))
    return results


@method(("DetrImageProcessor", "YolosImageProcessor"), DETECTION)
def softmax_detection(
    outputs: Any,
    threshold: float = 0.5,
    target_sizes: Any = None,
) -> list[dict[str, jax.Array]]:
    """Returns the detections of DETR and YOLOS: the best object class of each query.

    Reproduces `models/detr/image_processing_detr.py` of Transformers; the paper is
    https://doi.org/10.1007/978-3-030-58452-8_13.

    Args:
        outputs: with `logits` `(b, q, c + 1)`, the last class being "no object", and `pred_boxes`.
        threshold: scores are above it.
        target_sizes: (height, width) per image; None leaves boxes relative.

    Returns:
        per image `scores` `(n,)`, `labels` `(n,)` int32, `boxes` `(n, 4)` (left, top, right,
        bottom).

    Raises:
        InputError: a field is missing, or the sizes do not fit.

    >>> outputs = {"logits": np.float32([[[0, 9, 0]]]), "pred_boxes": np.full((1, 1, 4), 0.5)}
    >>> (result,) = softmax_detection(outputs, target_sizes=[(100, 200)])
    >>> result["labels"].tolist(), result["boxes"].tolist()
    ([1], [[50.0, 25.0, 150.0, 75.0]])
    """
    logits, boxes, scale = _inputs(outputs, target_sizes)
    if logits.shape[-1] < 2:
        raise InputError(
            'Expected classes besides "no object", the last one, got only that - at '
            "`outputs.logits`."
        )
    candidates = _softmax(logits, boxes, scale)
    return select(candidates, threshold)


@method("RfDetrImageProcessor", DETECTION)
def top_detection(
    outputs: Any,
    threshold: float = 0.5,
    target_sizes: Any = None,
    top_k: int | None = None,
) -> list[dict[str, jax.Array]]:
    """Returns the detections of RF-DETR: the `top_k` best pairs of query and class above the
    threshold.

    Reproduces `models/rf_detr/image_processing_rf_detr.py` of Transformers.

    Args:
        outputs, threshold, target_sizes: see above; results as in `softmax_detection`.
        top_k: pairs considered; None: as many as queries.

    >>> outputs = {"logits": np.float32([[[0, 9, 8]]]), "pred_boxes": np.full((1, 1, 4), 0.5)}
    >>> top_detection(outputs, top_k=2)[0]["labels"].tolist()
    [1, 2]
    """
    logits, boxes, scale = _inputs(outputs, target_sizes)
    _, query_count, class_count = logits.shape
    # A model with few queries and classes may have fewer pairs than are asked for.
    count = query_count if top_k is None else whole_number(top_k, "top_k")
    count = min(count, query_count * class_count)
    candidates = _top(logits, boxes, scale, count)
    return select(candidates, threshold)


@method(("ConditionalDetrImageProcessor", "DeformableDetrImageProcessor"), DETECTION)
def top_100_detection(
    outputs: Any,
    threshold: float = 0.5,
    target_sizes: Any = None,
    top_k: int = 100,
) -> list[dict[str, jax.Array]]:
    """Returns the detections of Conditional and Deformable DETR: `top_detection` with another
    default.

    >>> outputs = {"logits": np.float32([[[0, 9, 8]]]), "pred_boxes": np.full((1, 1, 4), 0.5)}
    >>> top_100_detection(outputs)[0]["labels"].tolist()
    [1, 2]
    """
    return top_detection(outputs, threshold, target_sizes, top_k)


@method("RTDetrImageProcessor", DETECTION)
def focal_detection(
    outputs: Any,
    threshold: float = 0.5,
    target_sizes: Any = None,
    use_focal_loss: bool = True,
) -> list[dict[str, jax.Array]]:
    """Returns the detections of RT-DETR and DEIMv2: `top_detection`; or, for a model trained
    without focal loss, `softmax_detection`.

    Reproduces `models/rt_detr/image_processing_rt_detr.py` of Transformers.

    Args:
        outputs, threshold, target_sizes: as in `top_detection`.
        use_focal_loss: whether the model was trained with it.

    >>> outputs = {"logits": np.float32([[[0, 9, 8]]]), "pred_boxes": np.full((1, 1, 4), 0.5)}
    >>> focal_detection(outputs)[0]["labels"].tolist()
    [1]
    """
    if use_focal_loss:
        return top_detection(outputs, threshold, target_sizes)
    return softmax_detection(outputs, threshold, target_sizes)


@method(("GroundingDinoImageProcessor", "OwlViTImageProcessor"), DETECTION)
@method("Owlv2ImageProcessor", DETECTION, fixed={"square": True})
def open_vocabulary_detection(
    outputs: Any,
    threshold: float = 0.1,
    target_sizes: Any = None,
    *,
    square: bool = False,
) -> list[dict[str, jax.Array]]:
    """Returns the detections of Grounding DINO, OWL-ViT and OWLv2: the best text query or token of
    each box.

    Reproduces `models/owlvit/image_processing_owlvit.py` of Transformers.

    Args:
        outputs, threshold, target_sizes: see above; results as in `softmax_detection`.
        square: images were padded to squares (OWLv2): boxes are relative to the longer side.

    >>> outputs = {"logits": np.float32([[[-9, 2]]]), "pred_boxes": np.full((1, 1, 4), 0.5)}
    >>> open_vocabulary_detection(outputs, 0.1, [(2, 4)], square=True)[0]["boxes"].tolist()
    [[1.0, 1.0, 3.0, 3.0]]
    """
    logits, boxes, scale = _inputs(outputs, target_sizes, square)
    candidates = _sigmoid(logits, boxes, scale)
    return select(candidates, threshold)


def texts_of(texts: Sequence[Any], labels: Int[np.ndarray, " n"]) -> list[Any]:
    """Returns the text of each label, an index into the texts of an image.

    Raises:
        InputError: there is no text for one of them.

    >>> texts_of(["a cat", "a dog"], np.array([1, 1]))
    ['a dog', 'a dog']
    """
    needed = int(labels.max(initial=-1)) + 1
    if len(texts) < needed:
        raise InputError(
            f"Expected at least {needed} texts for an image, got {len(texts)} - at `text_labels`."
        )
    return [texts[label] for label in labels.tolist()]


@method("OwlViTImageProcessor", GROUNDED)
@method("Owlv2ImageProcessor", GROUNDED, fixed={"square": True})
def labelled_detection(
    outputs: Any,
    threshold: float = 0.1,
    target_sizes: Any = None,
    text_labels: Sequence[Sequence[str]] | None = None,
    *,
    square: bool = False,
) -> list[dict[str, Any]]:
    """Returns `open_vocabulary_detection` with `text_labels`: the text of each box, from the list
    of texts of its image, or None.

    Args:
        outputs, threshold, target_sizes: as in `open_vocabulary_detection`.
        text_labels: a list of texts for each image.
        square: as in `open_vocabulary_detection`.

    Raises:
        InputError: not one list of texts for each image.

    >>> outputs = {"logits": np.float32([[[-9, 2]]]), "pred_boxes": np.full((1, 1, 4), 0.5)}
    >>> labelled_detection(outputs, text_labels=[["a cat", "a dog"]])[0]["text_labels"]
    ['a dog']
    """
    detections = open_vocabulary_detection(outputs, threshold, target_sizes, square=square)
    if text_labels is None:
        return [{**detection, "text_labels": None} for detection in detections]
    require_length("text_labels", text_labels, len(detections))
    results = []
    for detection, texts in zip(detections, text_labels, strict=True):
        of_boxes = texts_of(texts, np.asarray(detection["labels"]))
        results.append({**detection, "text_labels": of_boxes})
    return results


@jax.jit
def _grounded(
    logits: jax.Array,
    boxes: jax.Array,
    scale: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    return jax.nn.sigmoid(logits), center_to_corners(boxes) * scale


@method("GroundingDinoProcessor", GROUNDED, settings=["batch_decode"])
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
    """Returns the detections of Grounding DINO with their texts: each box is labelled with the
    tokens whose probability is high enough.

    Reproduces `models/grounding_dino/processing_grounding_dino.py` of Transformers.

    Args:
        outputs: with `logits` `(b, q, tokens)` and `pred_boxes`.
        input_ids: `(b, length)`, the token ids of the text; None takes those of the outputs.
        threshold: the probability of a box's best token is above it.
        text_threshold: the probability of each token of the label is above it; the first and last
            token are never part of it.
        target_sizes: (height, width) per image; None leaves boxes relative.
        text_labels: taken, and not used, as in Transformers.
        batch_decode: the tokenizer's, from lists of ids to texts; None leaves the labels lists of
            ids.

    Returns:
        per image `scores`, `boxes`, `text_labels`, and the same again as `labels`.

    Raises:
        InputError: not one row of token ids for each image.

    >>> outputs = {"logits": np.float32([[[9, 9, -9, 9]]]), "pred_boxes": np.full((1, 1, 4), 0.5)}
    >>> grounded_detection(outputs, [[101, 7, 8, 102]])[0]["labels"]
    [[7]]
    """
    del text_labels
    logits, boxes, scale = _inputs(outputs, target_sizes)
    if input_ids is None:
        input_ids = field(outputs, "input_ids")
    ids = np.asarray(input_ids)
    require_length("input_ids", ids, len(logits))
    probabilities, corners = to_numpy(_grounded(logits, boxes, scale))
    results = []
    for i, of_tokens in enumerate(probabilities):
        scores = of_tokens.max(-1)
        keep = scores > float32(threshold, "threshold")
        is_chosen = of_tokens[keep] > float32(text_threshold, "text_threshold")
        # The start and the end of the text (`left_idx` and `right_idx` of
        # `get_phrases_from_posmap`).
        is_chosen[:, :1] = False
        is_chosen[:, -1:] = False
        tokens = [ids[i][np.flatnonzero(row)].tolist() for row in is_chosen]
        texts = tokens if batch_decode is None else batch_decode(tokens)
        kept = {
            "scores": scores[keep],
            "boxes": corners[i][keep],
        }
        result = {
            **to_jax(kept),
            "text_labels": texts,
            "labels": texts,
        }
        results.append(result)
    return results


@jax.jit
def _image_guided(
    logits: jax.Array,
    boxes: jax.Array,
    scale: jax.Array,
    max_overlap: Any,
    threshold: Any,
) -> tuple[jax.Array, jax.Array]:
    """Relative scores `(b, q)`, 0 for boxes that are dropped, and corners `(b, q, 4)`."""

    def of_one_image(scores: jax.Array, boxes: jax.Array) -> jax.Array:
        # Transformers' loop sets the scores of suppressed boxes to 0, and skips those that are 0.
        order, kept_in_order = suppress(boxes, scores, scores > 0, max_overlap)
        nothing_kept = jnp.zeros_like(kept_in_order)
        kept = nothing_kept.at[order].set(kept_in_order)
        scores = jnp.where(kept, scores, 0)
        scores = jnp.where(scores < threshold, 0, scores)
        # The best box gets 1, one with a tenth of its score 0.
        best = scores.max() + 1e-6
        shares = (scores - best * 0.1) / (best * 0.9)
        return jnp.clip(shares, 0, 1)

    corners = center_to_corners(boxes)
    scores = jax.nn.sigmoid(logits.max(-1))
    return jax.vmap(of_one_image)(scores, corners), corners * scale


@method("OwlViTImageProcessor", GUIDED)
@method("Owlv2ImageProcessor", GUIDED, fixed={"square": True})
def image_guided_detection(
    outputs: Any,
    threshold: float = 0.0,
    nms_threshold: float = 0.3,
    target_sizes: Any = None,
    *,
    square: bool = False,
) -> list[dict[str, Any]]:
    """Returns the detections of OWL-ViT and OWLv2 with a query image: boxes after non-maximum
    suppression, scores relative to the best.

    Reproduces `models/owlvit/image_processing_owlvit.py` of Transformers, which leaves images
    without detections out.

    Args:
        outputs: with `logits` and `target_pred_boxes`.
        threshold: scores below it become 0.
        nms_threshold: the overlap above which the weaker of two boxes goes; 1 or more keeps all.
        target_sizes, square: as in `open_vocabulary_detection`.

    Returns:
        per image, in the order of the images, `scores` in (0, 1], `labels` None, `boxes`; empty
        where nothing is left.

    >>> outputs = {"logits": np.zeros((1, 1, 1)), "target_pred_boxes": np.full((1, 1, 4), 0.5)}
    >>> image_guided_detection(outputs, target_sizes=[(4, 4)])[0]["boxes"].tolist()
    [[1.0, 1.0, 3.0, 3.0]]
    """
    logits = field(outputs, "logits")
    boxes = field(outputs, "target_pred_boxes")
    require_shape("logits", logits, (*logits.shape[:1], None, None))
    require_shape("target_pred_boxes", boxes, (*logits.shape[:2], 4))
    scale = _scales(target_sizes, len(logits), square)
    # Only a threshold below 1 suppresses in Transformers; an overlap above infinity does not occur,
    # so that one program serves both.
    max_overlap = float32(nms_threshold, "nms_threshold")
    if max_overlap >= 1:
        max_overlap = np.float32(np.inf)
    least_score = float32(threshold, "threshold")
    detections = _image_guided(logits, boxes, scale, max_overlap, least_score)
    results = []
    for scores, corners in zip(*to_numpy(detections), strict=True):
        keep = scores > 0
        result = {
            "scores": scores[keep],
            "labels": None,
            "boxes": corners[keep],
        }
        results.append(to_jax(result))
    return results


@jax.jit
def _sam3(
    logits: jax.Array,
    presence: jax.Array | None,
    boxes: jax.Array,
    scale: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    scores = jax.nn.sigmoid(logits.astype(jnp.float32))
    if presence is not None:
        scores = scores * jax.nn.sigmoid(presence)
    return scores, boxes * scale


def _sam3_detections(outputs: Any, target_sizes: Any) -> list[np.ndarray]:
    """Scores `(b, q)` and boxes `(b, q, 4)`."""
    logits = field(outputs, "pred_logits")
    boxes = field(outputs, "pred_boxes")
    require_shape("pred_boxes", boxes, (*boxes.shape[:2], 4))
    require_shape("pred_logits", logits, boxes.shape[:2])
    presence = optional_field(outputs, "presence_logits")
    if presence is not None:
        presence = as_array(presence).astype(jnp.float32)
        if presence.size == 1:
            presence = presence.reshape(1, 1)
        # One for all images too, as torch broadcasts it.
        count = 1 if presence.shape[:1] == (1,) else len(logits)
        require_shape("presence_logits", presence, (count, 1))
    scale = _scales(target_sizes, len(logits))
    return to_numpy(_sam3(logits, presence, boxes, scale))


@method("Sam3ImageProcessor", DETECTION)
def sam3_detection(
    outputs: Any,
    threshold: float = 0.3,
    target_sizes: Any = None,
) -> list[dict[str, jax.Array]]:
    """Returns the boxes of SAM 3, without labels.

    Reproduces `models/sam3/image_processing_sam3.py` of Transformers.

    Args:
        outputs: with `pred_logits` `(b, q)`, `pred_boxes`, relative corners, and perhaps
            `presence_logits` `(b, 1)`, whose probability multiplies the scores.
        threshold: scores are above it.
        target_sizes: (height, width) per image; None leaves boxes relative.

    Returns:
        per image `scores` and `boxes`.

    Raises:
        InputError: fields that disagree in shape.

    >>> outputs = {"pred_logits": np.float32([[9]]), "pred_boxes": np.float32([[[0, 0, 1, 1]]])}
    >>> sam3_detection(outputs, target_sizes=[(2, 3)])[0]["boxes"].tolist()
    [[0.0, 0.0, 3.0, 2.0]]
    """
    # There is one class, the text of the prompt: `labels` would say nothing.
    results = []
    for scores, boxes in zip(*_sam3_detections(outputs, target_sizes), strict=True):
        keep = scores > float32(threshold, "threshold")
        result = {"scores": scores[keep], "boxes": boxes[keep]}
        results.append(to_jax(result))
    return results


@method("Sam3ImageProcessor", INSTANCE)
def sam3_instance_segmentation(
    outputs: Any,
    threshold: float = 0.3,
    mask_threshold: float = 0.5,
    target_sizes: Any = None,
) -> list[dict[str, jax.Array]]:
    """Returns `sam3_detection` with `masks`: int32 `(n, height, width)`, 1 where the resized
    probability is above `mask_threshold`.

    Args:
        outputs: as in `sam3_detection`, and `pred_masks` `(b, q, h, w)`, logits.
        threshold, target_sizes: as in `sam3_detection`.
        mask_threshold: of the probability.

    >>> outputs = {"pred_logits": np.float32([[9]]), "pred_boxes": np.float32([[[0, 0, 1, 1]]])}
    >>> masks = {"pred_masks": np.ones((1, 1, 2, 2))}
    >>> (result,) = sam3_instance_segmentation({**outputs, **masks}, target_sizes=[(2, 3)])
    >>> result["masks"].tolist()
    [[[1, 1, 1], [1, 1, 1]]]
    """
    masks = field(outputs, "pred_masks")
    all_scores, all_boxes = _sam3_detections(outputs, target_sizes)
    require_shape("pred_masks", masks, (*all_scores.shape, None, None))
    goals = sizes(target_sizes, len(masks))
    results = []
    for i, (scores, boxes) in enumerate(zip(all_scores, all_boxes, strict=True)):
        rows = np.flatnonzero(scores > float32(threshold, "threshold"))
        size = None if goals is None else goals[i]
        result = {
            "scores": scores[rows],
            "boxes": boxes[rows],
            "masks": _sam3_masks(masks, i, rows, size, mask_threshold),
        }
        results.append(to_jax(result))
    return results


def _sam3_masks(
    masks: jax.Array,
    i: int,
    rows: np.ndarray,
    size: Size | None,
    mask_threshold: float,
) -> np.ndarray:
    count = len(rows)
    _, queries, height, width = masks.shape
    if not count:
        size = size or (height, width)
        return np.zeros((0, *size), np.int32)
    # Only the masks that are returned are resized: SAM 3 has 200 queries, and a few of them count.
    padding = capacity(count, queries) - count
    probabilities = _probabilities(masks, i, np.pad(rows, (0, padding)))
    resized = resize_image(probabilities, 0, size, "bilinear")
    is_inside = resized[:count] > float32(mask_threshold, "mask_threshold")
    return is_inside.astype(np.int32)


@jax.jit
def _probabilities(masks: jax.Array, i: Any, rows: Any) -> jax.Array:
    of_image = lax.dynamic_index_in_dim(masks, i, keepdims=False)
    return jax.nn.sigmoid(of_image[rows].astype(jnp.float32))[None]


@method("OmDetTurboProcessor", GROUNDED, settings=["size"])
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
    """Returns the detections of OmDet-Turbo: the best pairs of query and class, suppressed class by
    class.

    Reproduces `models/omdet_turbo/processing_omdet_turbo.py` of Transformers.

    Args:
        outputs: with `decoder_coord_logits`, `decoder_class_logits` and `classes_structure`, the
            number of classes of each image.
        text_labels: the classes of each image (or of the only one).
        threshold: scores are above it.
        nms_threshold: the overlap above which the weaker of two boxes of a class goes.
        target_sizes: (height, width) per image.
        max_num_det: pairs considered; None: as many as queries.
        size: the image processor's `size`, taken for images without target sizes.

    Returns:
        per image `boxes`, `scores`, `labels`, and `text_labels`, their texts or None.

    Raises:
        InputError: not one list of texts for each image, or no sizes.

    >>> outputs = {
    ...     "decoder_class_logits": np.float32([[[9, -9]]]),
    ...     "decoder_coord_logits": np.full((1, 1, 4), 0.5),
    ...     "classes_structure": np.array([2]),
    ... }
    >>> (result,) = omdet_detection(outputs, ["cat", "dog"], target_sizes=[(4, 4)])
    >>> result["text_labels"], result["boxes"].tolist()
    (['cat'], [[1.0, 1.0, 3.0, 3.0]])
    """
    logits = field(outputs, "decoder_class_logits")
    boxes = field(outputs, "decoder_coord_logits")
    require_shape("decoder_class_logits", logits, (*logits.shape[:1], None, None))
    require_shape("decoder_coord_logits", boxes, (*logits.shape[:2], 4))
    class_counts = np.asarray(field(outputs, "classes_structure"))
    if target_sizes is None:
        target_sizes = [_network_size(size)] * len(boxes)
    image_sizes = required_box_sizes(target_sizes, len(boxes))
    if text_labels is not None:
        if text_labels and isinstance(text_labels[0], str):
            text_labels = [text_labels]
        require_length("text_labels", text_labels, len(boxes))
    _, query_count, class_count = logits.shape
    count = query_count
    if max_num_det is not None:
        count = whole_number(max_num_det, "max_num_det")
    count = min(count, query_count * class_count)
    scale = scales(image_sizes, len(boxes))[:, None]
    max_overlap = float(float32(nms_threshold, "nms_threshold"))
    candidates = to_numpy(_top(logits, boxes, scale, count))
    results = []
    for i, (scores, labels, corners) in enumerate(zip(*candidates, strict=True)):
        # Images with fewer classes than others of the batch have padding for classes: "Ensure we
        # did not overflow to non existing classes" in `_post_process_boxes_for_image`.
        is_class = labels < class_counts[i]
        keep = np.flatnonzero(is_class & (scores > float32(threshold, "threshold")))
        # Boxes of different classes do not suppress each other.
        kept = kept_boxes(corners[keep], scores[keep], max_overlap, groups=labels[keep])
        keep = keep[kept]
        height, width = image_sizes[i]
        # Clipped after the suppression, which sees what lies outside too.
        edges = np.asarray([width, height, width, height], np.float32)
        result = {
            "boxes": np.clip(corners[keep], 0, edges),
            "scores": scores[keep],
            "labels": labels[keep],
        }
        texts = None
        if text_labels is not None:
            texts = texts_of(text_labels[i], labels[keep])
        results.append({**to_jax(result), "text_labels": texts})
    return results


def _network_size(size: Any) -> Size:
    # `_get_default_image_size` of processing_omdet_turbo.py.
    height = edge_of(size, "height") or edge_of(size, "shortest_edge")
    width = edge_of(size, "width") or edge_of(size, "longest_edge")
    if not height or not width:
        raise InputError(f"Expected `height` and `width`, got {size!r} - at `size`.")
    return height, width
