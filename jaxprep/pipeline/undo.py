"""Undoes what a pipeline did to values: what a result looks like."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Num, UInt8

from jaxprep.errors import InputError
from jaxprep.pipeline.pipeline import Pipeline
from jaxprep.pipeline.step import Step


class Undone(NamedTuple):
    """Holds the values before some steps.

    Attributes:
        image: the values `(..., h, w, c)`.
        stopped_at: the step that cannot be undone, after which `image` is; None where all are
            undone.

    >>> Undone(np.zeros((1, 1, 3))).stopped_at is None
    True
    """

    image: Any
    stopped_at: Step | None = None


def undo_values(image: Num[Any, ...], pipeline: Pipeline) -> Undone:
    """Return the values of a result before they were scaled and stored; pixels stay where they are.

    Args:
        image: floating point, of NumPy or JAX, as the pipeline stores it; its first axes may be
            those of batches.
        pipeline: that made it.

    >>> from jaxprep import ops
    >>> undo_values(np.ones((1, 1, 3)), Pipeline((ops.Rescale(1 / 255),))).image.tolist()
    [[[255.0, 255.0, 255.0]]]
    """
    for step in reversed(pipeline.steps):
        before = step.undo(image)
        if before is None:
            return Undone(image, step)
        image = before
    return Undone(image)


def undone(
    result: Num[np.ndarray, ...],
    pipeline: Pipeline,
) -> UInt8[np.ndarray, "height width 3"]:
    """Return a result as RGB in [0, 255]: values before they were scaled, channels in their first
    order.

    What a step lost stays lost. Where a step cannot be undone at all, the range of the values is
    stretched to [0, 255].

    Raises:
        InputError: a result that has not 1 or 3 channels.

    >>> from jaxprep import ops
    >>> pipeline = Pipeline((ops.Rescale(1 / 255),))
    >>> undone(np.ones((1, 1, 3), np.float32), pipeline).tolist()
    [[[255, 255, 255]]]
    """
    # In float64, so that a level that was scaled and shifted rounds to itself again.
    image, stopped_at = undo_values(result.astype(np.float64), pipeline)
    if stopped_at is not None:
        image = _stretched(image)
    height, width, channels = image.shape
    if channels not in (1, 3):
        raise InputError(f"Expected a result of 1 or 3 channels to draw, got {channels}.")
    levels = np.clip(np.rint(image), 0, 255)
    return np.broadcast_to(levels.astype(np.uint8), (height, width, 3))


def _stretched(image: np.ndarray) -> np.ndarray:
    """Return an image whose smallest value became 0 and whose largest 255."""
    lowest = image.min()
    spread = image.max() - lowest
    factor = 255 / spread if spread else 0
    return (image - lowest) * factor
