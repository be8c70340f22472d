"""Image classification: the best classes with their names, which Transformers leaves to its
pipelines.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxprep.errors import InputError
from jaxprep.postprocess.results import field

Activation = Literal["softmax", "sigmoid", "none"]


@functools.partial(jax.jit, static_argnames=("count", "activation"))
def best_classes(
    logits: jax.Array, count: int, activation: Activation
) -> tuple[jax.Array, jax.Array]:
    """Scores and classes of the `count` largest logits of each row `(b, c)`, largest first."""
    if activation == "softmax":
        scores = jax.nn.softmax(logits, axis=-1)
    else:
        scores = jax.nn.sigmoid(logits) if activation == "sigmoid" else logits
    _, classes = lax.top_k(logits, count)
    return jnp.take_along_axis(scores, classes, 1), classes


def image_classification(
    outputs: Any,
    top_k: int | None = 5,
    id2label: Mapping[Any, str] | Sequence[str] | None = None,
    activation: Activation = "softmax",
    threshold: float | None = None,
) -> list[dict[str, Any]]:
    """The best classes of each image.

    Args:
        outputs: with `logits` `(b, c)`.
        top_k: how many; None: all of them.
        id2label: the model config's, with numbers or their strings as keys, or a list of names.
        activation: `softmax` where one class is right, `sigmoid` where several may be, `none` for
            scores as they are.
        threshold: what a score must exceed; None: no matter.

    Returns:
        per image `scores` and `labels`, and `text_labels`, their names or None.
    """
    logits = field(outputs, "logits")
    if logits.ndim != 2:
        raise InputError(
            f"Expected logits (batch, classes), got shape {logits.shape} - at `outputs.logits`."
        )
    count = logits.shape[1] if top_k is None else min(top_k, logits.shape[1])
    results = []
    for scores, classes in zip(
        *(np.asarray(part) for part in best_classes(logits, count, activation)), strict=True
    ):
        keep = slice(None) if threshold is None else scores > np.float32(threshold)
        names = None if id2label is None else [_name(id2label, int(n)) for n in classes[keep]]
        parts = {"scores": jnp.asarray(scores[keep]), "labels": jnp.asarray(classes[keep])}
        results.append({**parts, "text_labels": names})
    return results


def _name(id2label: Mapping[Any, str] | Sequence[str], number: int) -> str:
    try:
        if isinstance(id2label, Mapping):
            return id2label[number] if number in id2label else id2label[str(number)]
        return id2label[number]
    except (KeyError, IndexError):
        raise InputError(f"Expected a name for class {number}, got none - at `id2label`.") from None
