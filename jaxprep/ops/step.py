"""What a step is. Concrete steps are in the modules beside this one, each with the function it
calls.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.types import Batch, Size

MAX_PIXELS = 2**28
"""No step makes an image of more pixels; a config that asks for more is refused."""

OUTSIDE = -1
"""In the rows of a `Select`: nothing of the source; the fill value goes there."""


AxisMap = tuple[float, float]
"""`(scale, shift)`: a position x of the source, in pixels from its edge, is `scale * x + shift` in
the result.
"""


class Step(ABC):
    """One operation on one element of a `Batch`; a frozen dataclass, whose fields are all of it."""

    tag_key: ClassVar[str] = "step"

    def __post_init__(self) -> None:
        codec.check_fields(self)
        self.check()

    def check(self) -> None:
        """Raises `ConfigError` where fields contradict each other."""

    @abstractmethod
    def __call__(self, batch: Batch) -> Batch:
        """One element, whole images only (`batch.size` is None)."""


codec.register(Step)


class Geometry(Step):
    """A step that moves pixels, axis by axis, by an amount that follows from the size alone.

    Attributes:
        fixed: the size of every result, None where it depends on the source.
    """

    @property
    def fixed(self) -> Size | None:
        return None

    @abstractmethod
    def output_size(self, size: Size) -> Size:
        """Height and width of the result for an image of `size`."""


class Select(Geometry):
    """A geometry that copies pixels: every row and column of the result is one of the source, or
    filled.

    Attributes:
        fill: one value per channel, or one for all, for what lies outside the source, in the unit
            of the values where the step stands; on a mask, 0.
    """

    fill: float | tuple[float, ...] = 0.0

    @abstractmethod
    def rows(self, size: Size) -> tuple[np.ndarray, np.ndarray]:
        """For each row, and each column, of the result the index in the source, or `OUTSIDE`."""

    def maps(self, size: Size) -> tuple[AxisMap, AxisMap]:
        """Where positions go, along y and along x."""
        vertical, horizontal = self.rows(size)
        return affine_of_rows(vertical), affine_of_rows(horizontal)

    def output_size(self, size: Size) -> Size:
        vertical, horizontal = self.rows(size)
        return len(vertical), len(horizontal)

    def __call__(self, batch: Batch) -> Batch:
        height, width = whole(batch)
        vertical, horizontal = self.rows((height, width))
        moved = select(batch.image, vertical, horizontal, self.fill)
        return move(batch, moved, self.maps((height, width)))


class Pointwise(Step):
    """A step that computes each pixel from the same pixel."""

    @abstractmethod
    def apply(self, image: Any) -> Any:
        """One image `(h, w, c)`, or any array whose last axis is the channels."""

    def output_channels(self, channels: int) -> int:
        """How many channels come of `channels`.

        Raises:
            InputError: the step takes no image of so many.
        """
        return channels

    def __call__(self, batch: Batch) -> Batch:
        whole(batch)
        self.output_channels(batch.image.shape[-1])
        return batch.replace(image=self.apply(batch.image))


def affine_of_rows(rows: np.ndarray) -> AxisMap:
    """The map of positions along an axis whose pixels `rows` were selected."""
    inside = np.flatnonzero(rows != OUTSIDE)
    if not len(inside):
        return 1.0, 0.0
    first = inside[0]
    if len(inside) > 1 and rows[inside[1]] < rows[first]:
        return -1.0, float(first + rows[first] + 1)
    return 1.0, float(first - rows[first])


def select(
    image: Any, vertical: np.ndarray, horizontal: np.ndarray, fill: float | tuple[float, ...]
) -> Any:
    """Picks rows and columns of an image `(h, w, c)`; `fill` where they are `OUTSIDE`."""
    image = jnp.asarray(image)
    for axis, rows in enumerate((vertical, horizontal)):
        index = (slice(None),) * axis + (np.maximum(rows, 0),)
        image = image.at[index].get(mode="promise_in_bounds")
    outside = (vertical == OUTSIDE)[:, None] | (horizontal == OUTSIDE)[None, :]
    if not outside.any():
        return image
    return jnp.where(outside[:, :, None], fill_value(fill, image.dtype), image)


def fill_value(fill: float | tuple[float, ...], dtype: Any) -> np.ndarray:
    """The fill as an array of the image's type; integers are clipped to their range."""
    values = np.asarray(fill, np.float32)
    if jnp.issubdtype(dtype, jnp.integer):
        info = jnp.iinfo(dtype)
        values = np.clip(np.round(np.asarray(fill, np.float64)), info.min, info.max)
    return values.astype(dtype)


def move(batch: Batch, image: Any, maps: tuple[AxisMap, ...]) -> Batch:
    """The element with its new image, and with boxes and keypoints moved by the maps of the two
    axes.
    """
    height, width, _ = image.shape
    (scale_y, shift_y), (scale_x, shift_x) = maps
    scale, shift = (
        np.array([scale_x, scale_y], np.float32),
        np.array([shift_x, shift_y], np.float32),
    )
    boxes, keypoints = batch.boxes, batch.keypoints
    if boxes is not None:
        boxes = move_boxes(boxes, scale, shift, np.array([width, height], np.float32))
    if keypoints is not None:
        keypoints = jnp.asarray(keypoints, jnp.float32) * scale + shift
    return batch.replace(image=image, boxes=boxes, keypoints=keypoints)


def move_boxes(boxes: Any, scale: Any, shift: Any, limit: Any) -> jax.Array:
    """Corners `(n, 4)` scaled and shifted by `(x, y)`, put in order, and clipped to `[0,
    limit]`.
    """
    corners = jnp.asarray(boxes, jnp.float32).reshape(-1, 2, 2) * scale + shift
    corners = jnp.clip(corners, 0, limit)
    return jnp.concatenate([corners.min(1), corners.max(1)], axis=1)


def whole(batch: Batch) -> Size:
    """Height and width of an element whose image fills its array.

    Raises:
        InputError: the image is not `(h, w, c)`, or is part of a canvas.
    """
    shape = np.shape(batch.image)
    if len(shape) != 3:
        raise InputError(
            f"Expected one image (h, w, c), got shape {shape} - at `batch.image`. Batches go to a `Pipeline`."
        )
    if batch.size is not None:
        raise InputError(
            "Expected a whole image, got one on a canvas (`batch.size` is set). Put the step in a `Pipeline`."
        )
    return shape[0], shape[1]


def as_size(value: Any) -> Any:
    """A number as the square of that side; anything else unchanged."""
    return (
        (value, value)
        if isinstance(value, (int, np.integer)) and not isinstance(value, bool)
        else value
    )


def check_size(size: Size | None, where: str) -> None:
    """Raises `ConfigError` unless both sides are at least 1 and the area is at most
    `MAX_PIXELS`.
    """
    if size is None:
        return
    if min(size) < 1:
        raise codec.expected("a height and width of at least 1", size, where)
    if size[0] * size[1] > MAX_PIXELS:
        raise codec.expected(f"at most {MAX_PIXELS} pixels", size, where)
