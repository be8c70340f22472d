"""What a result looks like: its values before they were scaled, for pictures of it."""

from __future__ import annotations

import numpy as np
from jaxtyping import Num, UInt8

from jaxprep.errors import InputError
from jaxprep.pipeline.pipeline import Pipeline


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
    image = result.astype(np.float64)
    for step in reversed(pipeline.steps):
        before = step.undo(image)
        if before is None:
            image = _stretched(image)
            break
        image = before
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
