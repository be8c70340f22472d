"""Stores images as patches or tiles, as vision-language models take them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from jaxprep import codec
from jaxprep.bounds import check_side, check_size
from jaxprep.pipeline.step import Layout, as_size
from jaxprep.types import Size

GRID_AXES = 4
"""Axes before those of a vector: rows and columns of squares, and of patches in a square."""


@dataclass(frozen=True)
class Patches(Layout):
    """Stores an image `(h, w, c)` as the vectors of its square patches.

    The result is `(rows, columns, merge_size, merge_size, ...)`, where `...` are the axes of a
    vector in `order`: the patches of each square of `merge_size` by `merge_size` follow one
    another. Flattened to vectors it is the order of tokens that `transformers/models/qwen2_vl/
    image_processing_qwen2_vl.py` makes; with a `merge_size` of 1 it is row by row. Pixels that fill
    no whole square are left out.

    The axes are not merged here: XLA would compute each index of a merged axis by divisions (for
    the patches of 480 x 640 pixels 4 ms on a CPU instead of 0.8), and on the host it is free.

    Attributes:
        patch_size: the side of a patch, in pixels.
        merge_size: the side of the squares whose patches follow one another, in patches.
        order: the axes of a vector, slowest first: "h", "w" and "c", and "t" for frames.
        frames: how often the image is repeated along "t", as a video that stands still.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> image = np.arange(16, dtype=np.uint8).reshape(4, 4, 1)
    >>> Patches(2)(Batch(image=image)).image.reshape(4, 4).tolist()
    [[0, 1, 4, 5], [2, 3, 6, 7], [8, 9, 12, 13], [10, 11, 14, 15]]
    """

    keeps_corner: ClassVar[bool] = True
    stores_views: ClassVar[bool] = True

    patch_size: int
    merge_size: int = 1
    order: str = "hwc"
    frames: int = 1

    def check(self) -> None:
        check_side(self.patch_size, "$.patch_size")
        check_side(self.merge_size, "$.merge_size")
        check_size((self.square, self.square), "$.merge_size")
        if sorted(self.order.replace("t", "", 1)) != ["c", "h", "w"]:
            raise codec.expected("the letters h, w and c, and maybe t", self.order, "$.order")
        if not 1 <= self.frames <= 64:
            raise codec.expected("a number of frames from 1 to 64", self.frames, "$.frames")
        if self.frames > 1 and "t" not in self.order:
            raise codec.expected("an order with the letter t", self.order, "$.order")

    @property
    def by_channel(self) -> bool:  # type: ignore[override]
        return self.order.endswith("w")

    @property
    def square(self) -> int:
        """The side in pixels of the squares whose patches follow one another."""
        return self.patch_size * self.merge_size

    @property
    def multiple(self) -> Size:  # type: ignore[override]
        return self.square, self.square

    def store(self, image: Any) -> Any:
        height, width, channels = image.shape
        rows = height // self.square
        columns = width // self.square
        whole = image[: rows * self.square, : columns * self.square]
        m = self.merge_size
        p = self.patch_size
        # (row, row in the square, h, column, column in the square, w, c)
        split = whole.reshape(rows, m, p, columns, m, p, channels)
        axes = {"h": 2, "w": 5, "c": 6}
        vector = [axes[letter] for letter in self.order if letter != "t"]
        grid = split.transpose(0, 3, 1, 4, *vector)
        # On the host a view of the program's result, see `stores_views`: JAX would copy it.
        xp = np if isinstance(image, np.ndarray) else jnp
        if "t" in self.order:
            time_axis = GRID_AXES + self.order.index("t")
            grid = xp.expand_dims(grid, time_axis)
        shape = self.shape(whole.shape[:2], channels)
        return xp.broadcast_to(grid, shape)

    def shape(self, size: Size, channels: int) -> tuple[int, ...]:
        height, width = size
        rows = height // self.square
        columns = width // self.square
        lengths = {
            "t": self.frames,
            "h": self.patch_size,
            "w": self.patch_size,
            "c": channels,
        }
        vector = [lengths[letter] for letter in self.order]
        return rows, columns, self.merge_size, self.merge_size, *vector

    def undo(self, image: Any) -> Any:
        batch_axes = image.ndim - GRID_AXES - len(self.order)
        if "t" in self.order:
            # The frames are copies of one image.
            time_axis = batch_axes + GRID_AXES + self.order.index("t")
            image = image.take(0, axis=time_axis)
        letters = self.order.replace("t", "")
        h, w, c = (GRID_AXES + letters.index(letter) for letter in "hwc")
        axes = (0, 2, h, 1, 3, w, c)
        batch = image.shape[:batch_axes]
        rows, columns = image.shape[batch_axes : batch_axes + 2]
        pixels = image.transpose(*range(batch_axes), *(batch_axes + axis for axis in axes))
        return pixels.reshape(*batch, rows * self.square, columns * self.square, -1)

    def describe(self) -> str:
        words = f"store as patches of {self.patch_size} x {self.patch_size} pixels"
        if self.merge_size > 1:
            words += f", those of each square of {self.merge_size} x {self.merge_size} together"
        if self.frames > 1:
            words += f", repeated as {self.frames} frames"
        return words


@dataclass(frozen=True)
class Tiles(Layout):
    """Stores an image `(h, w, c)` as equal tiles, each with its channels first.

    The result is `(rows, columns, c, height, width)` for a `size` of `(height, width)`. Pixels that
    fill no whole tile are left out.

    Attributes:
        size: height and width of a tile in pixels; a number is a square.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> image = np.arange(8, dtype=np.uint8).reshape(2, 4, 1)
    >>> Tiles(2)(Batch(image=image)).image.tolist()
    [[[[[0, 1], [4, 5]]], [[[2, 3], [6, 7]]]]]
    """

    by_channel: ClassVar[bool] = True
    keeps_corner: ClassVar[bool] = True
    stores_views: ClassVar[bool] = True

    size: Size

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", as_size(self.size))
        super().__post_init__()

    def check(self) -> None:
        check_size(self.size, "$.size")

    @property
    def multiple(self) -> Size:  # type: ignore[override]
        return self.size

    def store(self, image: Any) -> Any:
        rows, columns = self._grid(image.shape[:2])
        channels = image.shape[2]
        height, width = self.size
        whole = image[: rows * height, : columns * width]
        split = whole.reshape(rows, height, columns, width, channels)
        return split.transpose(0, 2, 4, 1, 3)

    def _grid(self, size: Size) -> tuple[int, int]:
        height, width = size
        tile_height, tile_width = self.size
        return height // tile_height, width // tile_width

    def shape(self, size: Size, channels: int) -> tuple[int, ...]:
        return *self._grid(size), channels, *self.size

    def undo(self, image: Any) -> Any:
        if image.ndim == 4:  # tiles that have left their grid are images of their own
            return image.transpose(0, 2, 3, 1)
        *batch, rows, columns, channels, height, width = image.shape
        batch_axes = len(batch)
        axes = (0, 3, 1, 4, 2)
        pixels = image.transpose(*range(batch_axes), *(batch_axes + axis for axis in axes))
        return pixels.reshape(*batch, rows * height, columns * width, channels)

    def describe(self) -> str:
        height, width = self.size
        return f"store as tiles of {height} x {width} pixels"
