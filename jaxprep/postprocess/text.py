"""Text recognition: greedy decoding of connectionist temporal classification (Graves et al., 2006,
https://doi.org/10.1145/1143844.1143891); and the structure of tables, token by token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float, Int

from jaxprep.errors import InputError
from jaxprep.postprocess.registry import method
from jaxprep.postprocess.results import field, require_shape, to_numpy
from jaxprep.types import Array


@jax.jit
def greedy(
    probabilities: Float[Array, "b steps classes"],
) -> tuple[Int[jax.Array, "b steps"], Float[jax.Array, "b steps"], Bool[jax.Array, "b steps"]]:
    """Returns the best class of each step, its probability, and whether it is written.

    A class is not written if it is the blank (0) or that of the step before.

    >>> best, _, written = jax.jit(greedy)(np.eye(3, dtype=np.float32)[[[1, 1, 0, 2]]])
    >>> np.asarray(best)[written].tolist()
    [1, 2]
    """
    best = probabilities.argmax(-1)
    # Repetitions are one character; two equal characters have a blank between them.
    is_first = jnp.ones_like(best[:, :1], bool)
    differs = best[:, 1:] != best[:, :-1]
    has_changed = jnp.concatenate([is_first, differs], 1)
    is_written = has_changed & (best != 0)
    return best, probabilities.max(-1), is_written


@method(
    ("PPOCRV5ServerRecImageProcessor", "PPOCRV6SmallRecImageProcessor"),
    "post_process_text_recognition",
    settings=["character_list"],
)
def text_recognition(
    predictions: Any,
    *,
    character_list: Sequence[Any] = (),
) -> list[dict[str, Any]]:
    """Reads the text of PP-OCR's recognition models.

    Reproduces `models/pp_ocrv5_server_rec/image_processing_pp_ocrv5_server_rec.py` of Transformers.

    Args:
        predictions: with `last_hidden_state` `(b, steps, classes)`, probabilities.
        character_list: the processor's, the character of each class.

    Returns:
        per image `text` and `score`, the mean probability of its characters; NaN if there are none.

    Raises:
        InputError: a class has no character; states of another rank, or of no class.

    >>> states = jnp.eye(3)[jnp.array([[1, 1, 0, 2]])]
    >>> text_recognition({"last_hidden_state": states}, character_list=["", "a", "b"])
    [{'text': 'ab', 'score': 1.0}]
    """
    states = field(predictions, "last_hidden_state")
    require_shape("last_hidden_state", states, (*states.shape[:2], None))
    steps = to_numpy(greedy(states))
    results = []
    for best, probabilities, is_written in zip(*steps, strict=True):
        classes = best[is_written]
        if not len(classes):
            # What torch's mean over no characters is.
            results.append({"text": "", "score": float("nan")})
            continue
        if classes.max() >= len(character_list):
            raise InputError(
                f"Expected more than {classes.max()} characters, got {len(character_list)} - at "
                "`character_list`."
            )
        text = "".join(character_list[number] for number in classes)
        results.append({"text": text, "score": float(probabilities[is_written].mean())})
    return results


def table_tokens() -> tuple[str, ...]:
    """Returns the classes of SLANeXt: the start, pieces of HTML, the end.

    >>> table_tokens()[:3], len(table_tokens())
    (('sos', '<thead>', '</thead>'), 50)
    """
    # `init_decoder` of `models/slanext/image_processing_slanext.py`; "<td>" is part of "<td></td>"
    rows = ("<thead>", "</thead>", "<tbody>", "</tbody>", "<tr>", "</tr>")
    cells = ("<td", ">", "</td>")
    spans = [f' {name}="{n}"' for name in ("colspan", "rowspan") for n in range(2, 21)]
    return ("sos", *rows, *cells, *spans, "<td></td>", "eos")


@jax.jit
def _best(probabilities: jax.Array) -> tuple[jax.Array, jax.Array]:
    return probabilities.argmax(-1), probabilities.max(-1)


@method("SLANeXtImageProcessor", "post_process_table_recognition")
def table_recognition(outputs: Any) -> dict[str, Any]:
    """Reads the structure of a table, of the first image of a batch, as SLANeXt does.

    Reproduces `models/slanext/image_processing_slanext.py` of Transformers.

    Args:
        outputs: with `last_hidden_state` `(b, steps, classes)`, probabilities.

    Returns:
        `structure`, pieces of HTML, and `structure_score`, their mean probability; NaN if there are
        none.

    Raises:
        InputError: a class has no token.

    >>> states = np.eye(50)[[[5, 48, 6, 49, 5]]]  # a row of one cell; the end; a row
    >>> table_recognition({"last_hidden_state": states})["structure"][3:-3]
    ['<tr>', '<td></td>', '</tr>']
    """
    best, probabilities = to_numpy(_best(field(outputs, "last_hidden_state")[:1]))
    tokens = table_tokens()
    end = len(tokens) - 1
    structure, scores = [], []
    for position, (number, probability) in enumerate(zip(best[0], probabilities[0], strict=True)):
        if number > end:
            raise InputError(f"Expected {len(tokens)} classes, got one of number {number}.")
        if number == end and position > 0:
            break
        if number in (0, end):
            continue
        structure.append(tokens[number])
        scores.append(probability)
    return {
        "structure": ["<html>", "<body>", "<table>", *structure, "</table>", "</body>", "</html>"],
        "structure_score": float(np.mean(scores)) if scores else float("nan"),
    }
