"""Draws where the pixels of an array differ from what a preset makes of the photograph."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

    from jaxprep.looking.panels import Picture

LARGEST_GAIN = 64


class Shown(NamedTuple):
    """Holds what a picture shows, in levels `(h, w, 3)`.

    Attributes:
        expected: what the preset makes of the photograph.
        found: what a model sees that undoes the preset's normalisation.

    >>> Shown(np.zeros((4, 4, 3)), np.zeros((4, 4, 3))).found.shape
    (4, 4, 3)
    """

    expected: np.ndarray
    found: np.ndarray


def draw(shown: Shown, caption: list[str]) -> Picture:
    """Draw what the preset makes, what the model gets, and by how much they differ.

    >>> levels = np.zeros((8, 8, 3))
    >>> draw(Shown(levels, levels + 2), ["mine"]).image.size
    (1408, 513)
    """
    from jaxprep.looking.panels import in_a_row

    panels = [_panel(shown.expected), _panel(shown.found)]
    if shown.expected.shape == shown.found.shape:
        off = np.abs(np.clip(shown.found, 0, 255) - shown.expected).max(-1, keepdims=True)
        # Small differences are shown as well: the largest is white.
        high = float(np.quantile(off, 0.995))
        gain = float(np.clip(255 / max(high, 1e-9), 1, LARGEST_GAIN))
        panels.append(_panel(np.repeat(off * gain, 3, -1)))
        caption = [*caption, f"right: differences x {gain:.3g}"]
    return in_a_row(panels, caption)


def _panel(levels: np.ndarray) -> Image.Image:
    from PIL import Image

    from jaxprep.looking.panels import enlarged

    pixels = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return enlarged(Image.fromarray(np.ascontiguousarray(pixels)))
