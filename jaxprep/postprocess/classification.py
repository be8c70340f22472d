"""Image classification: the best classes with their names, which Transformers leaves to its
pipelines.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Float, Int

from jaxprep.errors import InputError
from jaxprep.postprocess.registry import EVERY_CLASS, method
from jaxprep.postprocess.results import field, float32, to_jax, to_numpy, whole_number
from jaxprep.types import Array

Activation = Literal["softmax", "sigmoid", "none"]


@functools.partial(jax.jit, static_argnames=("count", "activation"))
def best_classes(
    logits: Float[Array, "b c"],
    count: int,
    activation: Activation,
) -> tuple[Float[jax.Array, "b k"], Int[jax.Array, "b k"]]:
    """Returns scores and classes of the `count` largest logits of each row, largest first.

    >>> scores, classes = best_classes(jnp.float32([[0, 3, 1]]), 2, "none")
    >>> scores.tolist(), classes.tolist()
    ([[3.0, 1.0]], [[1, 2]])
    """
    scores = logits
    if activation == "softmax":
        scores = jax.nn.softmax(logits, axis=-1)
    if activation == "sigmoid":
        scores = jax.nn.sigmoid(logits)
    # Ordered by logits, which differ where float32 probabilities are equal.
    _, classes = lax.top_k(logits, count)
    return jnp.take_along_axis(scores, classes, 1), classes


# Not a method of Transformers: `src/transformers/pipelines/image_classification.py` does this.
@method(EVERY_CLASS, "post_process_image_classification")
def image_classification(
    outputs: Any,
    top_k: int | None = 5,
    id2label: Mapping[Any, str] | Sequence[str] | None = None,
    activation: Activation = "softmax",
    threshold: float | None = None,
) -> list[dict[str, Any]]:
    """Returns the best classes of each image, best first.

    Args:
        outputs: with `logits` `(b, c)`.
        top_k: how many; None: all of them.
        id2label: the model config's, with numbers or their strings as keys, or a list of names.
        activation: `softmax` where one class is right, `sigmoid` where several may be, `none` for
            scores as they are.
        threshold: scores above it are returned; None: all.

    Returns:
        per image `scores` and `labels`, and `text_labels`, their names or None.

    Raises:
        InputError: logits of another shape, or a class without a name.

    >>> outputs = {"logits": jnp.array([[0.0, 3.0, 1.0]])}
    >>> (result,) = image_classification(outputs, 2, ["ant", "bee", "cat"])
    >>> result["labels"].tolist(), result["text_labels"]
    ([1, 2], ['bee', 'cat'])
    """
    logits = field(outputs, "logits")
    if logits.ndim != 2:
        raise InputError(
            f"Expected logits (batch, classes), got shape {logits.shape} - at `outputs.logits`."
        )
    # Fewer classes than asked for are no error: the default serves a model of two classes.
    count = logits.shape[1]
    if top_k is not None:
        count = min(whole_number(top_k, "top_k"), count)
    all_scores, all_classes = to_numpy(best_classes(logits, count, activation))
    results = []
    for scores, classes in zip(all_scores, all_classes, strict=True):
        if threshold is not None:
            is_above = scores > float32(threshold, "threshold")
            scores, classes = scores[is_above], classes[is_above]
        result = to_jax({"scores": scores, "labels": classes})
        result["text_labels"] = None
        if id2label is not None:
            result["text_labels"] = [_name(id2label, int(number)) for number in classes]
        results.append(result)
    return results


def _name(id2label: Mapping[Any, str] | Sequence[str], number: int) -> str:
    try:
        # JSON has no numbers as keys: a config that was read from a file has strings.
        if isinstance(id2label, Mapping) and number not in id2label:
            return id2label[str(number)]
        return id2label[number]
    except (KeyError, IndexError):
        raise InputError(f"Expected a name for class {number}, got none - at `id2label`.") from None
