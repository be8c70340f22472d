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
        # What a model gets may lie outside of the levels that a picture can show.
        levels = np.clip(shown.found, 0, 255)
        difference = np.abs(levels - shown.expected)
        largest = difference.max(-1, keepdims=True)
        # Small differences are shown as well: the largest is white.
        high = float(np.quantile(largest, 0.995))
        gain = 255 / max(high, 1e-9)
        gain = float(np.clip(gain, 1, LARGEST_GAIN))
        gray = np.repeat(largest * gain, 3, -1)
        panels.append(_panel(gray))
        caption = [*caption, f"right: differences x {gain:.3g}"]
    return in_a_row(panels, caption)


def _panel(levels: np.ndarray) -> Image.Image:
    from PIL import Image

    from jaxprep.looking.panels import enlarged

    whole = np.rint(levels)
    pixels = np.clip(whole, 0, 255).astype(np.uint8)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return enlarged(image)
