"""How large the letters on an image are, which says how far MiniCPM-OCR enlarges it.

The source is `adaptive_upsize_resolution` of `transformers/models/minicpm_ocr/
image_processing_minicpm_ocr.py`, Transformers 5.24, which calls OpenCV.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from jaxprep.ops.color import luma

SMALL_HEIGHT = 12.0
"""Of letters in pixels, up to which text is small."""
DENSE = 2.0
"""Letters on a thousand pixels, from which on text is dense."""
TINY_AREA = 6272
"""Pixels of an image, below which it is tiny."""


def size_of_text(pixels: np.ndarray, large: int, tiny: int) -> int:
    """Return `large` for an image of small, dense text, `tiny` for a tiny one, otherwise 0.

    Args:
        pixels: `(h, w, c)`, 0 to 255.

    >>> size_of_text(np.zeros((20, 20, 3), np.uint8), 448, 84)
    84
    """
    height, width, channels = pixels.shape
    gray = pixels.astype(np.uint8)
    if channels >= 3:
        gray = np.asarray(luma(gray))
    gray = gray[..., 0]
    is_letter = gray <= otsu_threshold(gray)
    # Letters cover less than half of a page: otherwise they are light on dark.
    if is_letter.mean() > 0.5:
        is_letter = ~is_letter
    parts = connected_parts(is_letter)
    is_speck = (parts.areas < 3) | (parts.heights < 2)
    # What goes across nearly all of the image is a line or a frame.
    is_frame = (parts.widths >= 0.9 * width) | (parts.heights >= 0.9 * height)
    heights = parts.heights[~(is_speck | is_frame)]
    letter_height = 0.0
    if len(heights):
        letter_height = float(np.median(heights))
    area = width * height
    density = len(heights) * 1000.0 / area
    if 0 < letter_height <= SMALL_HEIGHT and density >= DENSE:
        return large
    if area < TINY_AREA:
        return tiny
    return 0


def otsu_threshold(gray: np.ndarray) -> int:
    """Return the level that divides an image best into dark and light, by Otsu's method.

    That is `getThreshVal_Otsu_8u` of
    https://github.com/opencv/opencv/blob/4.x/modules/imgproc/src/thresh.cpp

    >>> otsu_threshold(np.array([[10, 10, 200, 210]], np.uint8))
    10
    """
    scale = 1.0 / gray.size
    counts = np.bincount(gray.reshape(-1), minlength=256).tolist()
    total = sum(level * count for level, count in enumerate(counts))
    mean = total * scale
    smallest = float(np.finfo(np.float32).eps)
    best_level = 0
    most_variance = 0.0
    # The share of pixels up to a level, and their mean, both updated level by level as there.
    below = 0.0
    mean_below = 0.0
    for level, count in enumerate(counts):
        share = count * scale
        mean_below *= below
        below += share
        above = 1.0 - below
        if min(below, above) < smallest or max(below, above) > 1.0 - smallest:
            continue
        mean_below = (mean_below + level * share) / below
        mean_above = (mean - below * mean_below) / above
        difference = mean_below - mean_above
        variance = below * above * difference * difference
        if variance > most_variance:
            best_level = level
            most_variance = variance
    return best_level


class Parts(NamedTuple):
    """The connected parts of a mask.

    Attributes:
        areas: in pixels.
        heights, widths: of the boxes around them.

    >>> connected_parts(np.array([[True, False, True]])).areas.tolist()
    [1, 1]
    """

    areas: np.ndarray
    heights: np.ndarray
    widths: np.ndarray


def connected_parts(mask: np.ndarray) -> Parts:
    """Return the parts of a mask whose pixels touch each other, at corners too.

    >>> parts = connected_parts(np.array([[True, False, False], [False, True, True]]))
    >>> parts.areas.tolist(), parts.heights.tolist(), parts.widths.tolist()
    ([3], [2], [3])
    """
    rows, starts, ends = _runs(mask)
    upper, lower = _touching(rows, starts, ends)
    labels = _joined(len(rows), upper, lower)
    _, part = np.unique(labels, return_inverse=True)
    count = part.max(initial=-1) + 1
    areas = np.bincount(part, ends - starts, count).astype(np.int64)
    top, bottom = _extremes(part, count, rows, rows + 1)
    left, right = _extremes(part, count, starts, ends)
    return Parts(areas, bottom - top, right - left)


def _runs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, first column and the column after the last of each run of pixels, in order."""
    # A column of 0 on either side: a run at the border has both its ends too.
    padded = np.pad(mask.astype(np.int8), ((0, 0), (1, 1)))
    edges = np.diff(padded, axis=1)
    rows, starts = np.nonzero(edges == 1)
    _, ends = np.nonzero(edges == -1)
    return rows, starts, ends


def _touching(
    rows: np.ndarray, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of runs of neighbouring rows that touch."""
    if not len(rows):
        return rows, rows
    # One number for row and column: runs are in its order, and so are those of the row below.
    stride = int(ends.max()) + 2
    start_keys = rows * stride + starts
    end_keys = rows * stride + ends
    below = (rows + 1) * stride
    # "left" and "right" count runs that only touch at a corner.
    first = np.searchsorted(end_keys, below + starts, "left")
    after = np.searchsorted(start_keys, below + ends, "right")
    counts = np.maximum(after - first, 0)
    # Pair by pair: run `upper` with `first` to `after` below it, one after another.
    upper = np.repeat(np.arange(len(rows)), counts)
    pairs_before = np.cumsum(counts) - counts
    offsets = np.arange(counts.sum()) - np.repeat(pairs_before, counts)
    lower = np.repeat(first, counts) + offsets
    return upper, lower


def _joined(count: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The least number among those that each of `count` is joined with, by pairs."""
    labels = np.arange(count)
    while True:
        least = labels.copy()
        np.minimum.at(least, left, labels[right])
        np.minimum.at(least, right, labels[left])
        # Also where the old label goes, so that chains shrink by halves.
        np.minimum.at(least, labels, least.copy())
        least = least[least]
        if np.array_equal(least, labels):
            return labels
        labels = least


def _extremes(
    part: np.ndarray, count: int, lowest: np.ndarray, highest: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    least = np.full(count, np.iinfo(np.int64).max)
    most = np.zeros(count, np.int64)
    np.minimum.at(least, part, lowest)
    np.maximum.at(most, part, highest)
    return least, most
