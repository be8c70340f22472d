"""Finds what part of a photograph an image shows, without knowing filter, colours or rules.

The image is taken to be `a * photo(y(i), x(j)) + b` with `y` and `x` linear. Starting from views
that are common, the four numbers are found by Gauss-Newton steps from coarse to fine, to about a
hundredth of a pixel; `search.py` then looks for whole numbers near them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np


class Fit(NamedTuple):
    """Says where an image lies in a photograph: row `i` begins at `scale_y * i + top`.

    Attributes:
        scale_y, top, scale_x, left: in pixels of the photograph.
        correlation: of the image with that part, 1 where it is the same up to contrast.

    >>> Fit(2.0, 10.0, 2.0, 20.0).top
    10.0
    """

    scale_y: float
    top: float
    scale_x: float
    left: float
    correlation: float = 0.0


def shrunk(plane: np.ndarray, factor: int) -> np.ndarray:
    """Return the means of blocks of `factor` x `factor` pixels.

    >>> shrunk(np.arange(16.0).reshape(4, 4), 2).tolist()
    [[2.5, 4.5], [10.5, 12.5]]
    """
    if factor == 1:
        return plane
    height, width = plane.shape
    rows = height // factor
    columns = width // factor
    # lines that fill no block are left out
    whole_blocks = plane[: rows * factor, : columns * factor]
    blocks = whole_blocks.reshape(rows, factor, columns, factor)
    return blocks.mean((1, 3))


def sample(plane: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Interpolate a plane linearly at rows `y` and columns `x`, positions of pixels' centres.

    >>> sample(np.eye(2), np.array([0.5]), np.array([0.0])).tolist()
    [[0.5]]
    """
    rows = _linear(plane, y, 0)
    return _linear(rows, x, 1)


def _linear(plane: np.ndarray, position: np.ndarray, axis: int) -> np.ndarray:
    n = plane.shape[axis]
    if n == 1:
        only = np.zeros(len(position), int)
        return np.take(plane, only, axis)
    position = np.clip(position, 0, n - 1)
    first = position.astype(np.int64)
    # the last pixel is the second of its pair
    first = np.minimum(first, n - 2)
    fraction = position - first
    fraction = fraction[:, None] if axis == 0 else fraction[None]
    low = np.take(plane, first, axis)
    high = np.take(plane, first + 1, axis)
    return low + (high - low) * fraction


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Return the correlation of two images, 0 where one is constant.

    >>> round(correlation(np.arange(4.0), 3 - np.arange(4.0)), 6)
    -1.0
    """
    a = a - a.mean()
    b = b - b.mean()
    covariance = (a * b).sum()
    size = np.sqrt((a * a).sum() * (b * b).sum())
    return float(covariance / size) if size > 0 else 0.0


class Registration:
    """Fits images to one photograph, whose smaller copies are made once.

    Attributes:
        photo: one channel `(h, w)`.

    >>> photo = np.add.outer(np.arange(64.0), np.zeros(64))
    >>> Registration(photo).look(Fit(2.0, 10.0, 1.0, 0.0), (3, 1)).ravel().tolist()
    [10.5, 12.5, 14.5]
    """

    def __init__(self, photo: np.ndarray) -> None:
        self.photo = photo.astype(np.float64)
        self._copies: dict[int, np.ndarray] = {1: self.photo}

    def copy(self, scale: float) -> tuple[np.ndarray, int]:
        """Return the photograph in about one pixel for `scale` of its pixels."""
        factor = 1
        shortest = min(self.photo.shape)
        # a copy of less than 4 pixels a side has nothing to compare
        while factor * 2 <= scale * 1.25 and shortest // (factor * 2) >= 4:
            factor *= 2
        if factor not in self._copies:
            self._copies[factor] = shrunk(self.photo, factor)
        return self._copies[factor], factor

    def look(self, fit: Fit, size: tuple[int, int]) -> np.ndarray:
        """Return the part of the photograph, as an image of `size`."""
        height, width = size
        row_center = np.arange(height) + 0.5
        column_center = np.arange(width) + 0.5
        y = fit.scale_y * row_center + fit.top
        x = fit.scale_x * column_center + fit.left
        plane, factor = self.copy(min(fit.scale_y, fit.scale_x))
        return sample(plane, y / factor - 0.5, x / factor - 0.5)

    def coarse(
        self, images: Sequence[np.ndarray], starts: Iterable[Fit], keep: int = 3
    ) -> list[list[Fit]]:
        """Return the views that look most like each image, at about 32 pixels a side.

        Args:
            images: of one size, as an image and its mirrored ones are.
        """
        factor = max(1, min(images[0].shape) // 32)
        small = [shrunk(image, factor) for image in images]
        measured: list[list[Fit]] = [[] for _ in images]
        for start in starts:
            scale_y = start.scale_y * factor
            scale_x = start.scale_x * factor
            of_small = start._replace(scale_y=scale_y, scale_x=scale_x)
            # what takes long, and is the same for all of them
            seen = self.look(of_small, small[0].shape)
            for image, fits in zip(small, measured, strict=True):
                fits.append(start._replace(correlation=correlation(image, seen)))
        for fits in measured:
            # a negative correlates below 0
            fits.sort(key=lambda fit: -abs(fit.correlation))
        return [fits[:keep] for fits in measured]

    def refined(self, image: np.ndarray, start: Fit) -> Fit:
        """Return the fit that Gauss-Newton steps lead to from a start."""
        fit = start
        side = min(image.shape)
        # coarse to fine: a step reaches a few pixels, and those of a small copy are large
        factors = [factor for factor in (8, 4, 2, 1) if side // factor >= 16] or [1]
        for factor in factors:
            small = shrunk(image, factor)
            fit = self._refined(small, fit, factor, steps=6)
        seen = self.look(fit, image.shape)
        return fit._replace(correlation=correlation(image, seen))

    def _refined(self, image: np.ndarray, fit: Fit, factor: int, steps: int) -> Fit:
        fit = fit._replace(scale_y=fit.scale_y * factor, scale_x=fit.scale_x * factor)
        height, width = image.shape
        i = np.arange(height)[:, None] + 0.5
        j = np.arange(width)[None] + 0.5
        best = fit
        best_error = np.inf
        for _ in range(steps):
            seen = self.look(fit, image.shape)
            # by pixels of the image; one pixel is `scale` pixels of the photograph
            dy = np.gradient(seen, axis=0) / fit.scale_y
            dx = np.gradient(seen, axis=1) / fit.scale_x
            # what the image changes by with gain, offset, scale_y, top, scale_x and left
            ones = np.ones_like(seen)
            columns = [seen, ones, dy * i, dy, dx * j, dx]
            matrix = np.stack([column.ravel() for column in columns], 1)
            normal = matrix.T @ matrix
            # Damped: on an even photograph the columns depend on each other: `solve` would fail.
            normal[np.diag_indices(6)] *= 1 + 1e-9
            try:
                solution = np.linalg.solve(normal, matrix.T @ image.ravel())
            except np.linalg.LinAlgError:
                break
            # image = gain * (seen + dy * change + ...) + offset: all coefficients hold the gain.
            gain = solution[0]
            error = 1 - abs(correlation(image, seen))
            if error < best_error:
                best = fit
                best_error = error
            if abs(gain) < 1e-12:
                break
            # The gradients say nothing of what is more than some pixels away: at most
            # 8 of the image.
            largest = 8 * fit.scale_y
            change = np.clip(solution[2:] / gain, -largest, largest)
            change_y, move_y, change_x, move_x = change
            largest_y = 0.2 * fit.scale_y
            largest_x = 0.2 * fit.scale_x
            fit = Fit(
                scale_y=fit.scale_y + np.clip(change_y, -largest_y, largest_y),
                top=fit.top + move_y,
                scale_x=fit.scale_x + np.clip(change_x, -largest_x, largest_x),
                left=fit.left + move_x,
            )
            largest_move = max(abs(move_y), abs(move_x))
            if largest_move < 1e-4 * factor:
                break
        seen = self.look(fit, image.shape)
        error = 1 - abs(correlation(image, seen))
        # The last step was never measured above, and a step may lead away.
        if error > best_error:
            fit = best
        return fit._replace(scale_y=fit.scale_y / factor, scale_x=fit.scale_x / factor)

    def common_starts(self, size: tuple[int, int]) -> list[Fit]:
        """Return the views that pipelines commonly have, for an image of `size`: all of it,
        stretched; the middle, the corners and the sides of it, in several sizes; its long side."""
        photo_height, photo_width = self.photo.shape
        height, width = size
        # pixels of the photograph for one of the image, where all of it is shown
        scale_y = photo_height / height
        scale_x = photo_width / width
        starts = [Fit(scale_y, 0.0, scale_x, 0.0)]
        shortest = min(scale_y, scale_x)
        # 0.875 is 224 of 256, `DEFAULT_CROP_PCT` of
        # https://github.com/huggingface/pytorch-image-models/blob/main/timm/data/constants.py
        shares = (1, 0.95, 0.9, 0.875, 0.82, 0.75, 0.66, 0.58, 0.5, 0.42, 0.35, 0.28)
        for share in shares:
            scale = shortest * share
            starts += self._windows(scale, scale, size)
        for share in (0.95, 0.9, 0.875, 0.8, 0.7):
            starts += self._windows(scale_y * share, scale_x * share, size)
        # At the photograph's own scale.
        starts += self._windows(1.0, 1.0, size)
        longest = max(scale_y, scale_x)
        starts += self._windows(longest, longest, size)
        return starts

    def _windows(self, scale_y: float, scale_x: float, size: tuple[int, int]) -> list[Fit]:
        height, width = size
        photo_height, photo_width = self.photo.shape
        # pixels that the window can move by; below 0 where it is larger than the photograph
        room_y = photo_height - scale_y * height
        room_x = photo_width - scale_x * width
        starts = []
        # the middle first: pipelines crop there more often than at a side
        for share_y in (0.5, 0.0, 1.0):
            for share_x in (0.5, 0.0, 1.0):
                top = room_y * share_y
                left = room_x * share_x
                starts.append(Fit(scale_y, top, scale_x, left))
        return starts

    def everywhere(self, size: tuple[int, int]) -> list[Fit]:
        """Return views of all sizes and places, stretched and not."""
        photo_height, photo_width = self.photo.shape
        height, width = size
        stretched = photo_width / photo_height * height / width
        starts = []
        for share in (1.15, 1, 0.87, 0.75, 0.65, 0.56, 0.48, 0.42, 0.36, 0.3, 0.25):
            scale_y = photo_height / height * share
            for stretch in (1.0, stretched):
                scale_x = scale_y * stretch
                room_y = photo_height - scale_y * height
                room_x = photo_width - scale_x * width
                for top in _places(room_y, photo_height):
                    for left in _places(room_x, photo_width):
                        starts.append(Fit(scale_y, top, scale_x, left))
        return starts


def _places(room: float, side: int) -> np.ndarray:
    """Return where a window begins that can move by `room` pixels, about every 8 % of the side."""
    count = 2 + int(abs(room) / (0.08 * side))
    return room * np.linspace(0, 1, count)
