"""Text recognition: greedy decoding of connectionist temporal classification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.postprocess.results import field


@jax.jit
def greedy(probabilities: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """The best class of each step of `(b, steps, classes)`, its probability, and whether it is
    written.

    A class is not written if it is the blank (0) or that of the step before.
    """
    best = probabilities.argmax(-1)
    changes = jnp.concatenate([jnp.ones_like(best[:, :1], bool), best[:, 1:] != best[:, :-1]], 1)
    return best, probabilities.max(-1), changes & (best != 0)


def text_recognition(
    predictions: Any, *, character_list: Sequence[Any] = ()
) -> list[dict[str, Any]]:
    """Text of PP-OCR's recognition models.

    Args:
        predictions: with `last_hidden_state` `(b, steps, classes)`, probabilities.
        character_list: the processor's, the character of each class.

    Returns:
        per image `text` and `score`, the mean probability of its characters; not a number if there
        are none.
    """
    found = greedy(field(predictions, "last_hidden_state"))
    results = []
    for classes, scores, written in zip(*(np.asarray(part) for part in found), strict=True):
        if written.any() and classes[written].max() >= len(character_list):
            most = int(classes[written].max())
            raise InputError(
                f"Expected more than {most} characters, got {len(character_list)} - at `character_list`."
            )
        text = "".join(character_list[n] for n in classes[written])
        results.append(
            {
                "text": text,
                "score": float(scores[written].mean()) if written.any() else float("nan"),
            }
        )
    return results
