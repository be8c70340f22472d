"""Maps places of a model's input back to the photograph: `Undo`.

Positions `(x, y)` are in pixels from the outer corner of the top-left pixel, as in `Batch`. A pixel
of the photograph finds its value in a mask by the matrix that moves boxes forward: nothing is
inverted for masks and heat maps.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Num, Shaped

from jaxprep.augment.warping import Method, sampled_at
from jaxprep.bounds import bounded_jit
from jaxprep.errors import InputError
from jaxprep.pipeline.numbers import as_numbers
from jaxprep.pipeline.plan import as_sizes
from jaxprep.pipeline.positions import move_boxes, move_points, visible
from jaxprep.pipeline.step import fill_value
from jaxprep.resample.tables import bucket
from jaxprep.settings import platform_of, with_default_settings
from jaxprep.types import Array, Size, is_traced


class Moved(NamedTuple):
    """Positions in the photograph, and which of them are in it.

    Attributes:
        positions: boxes `(..., n, 4)` float32, clipped to the photograph, or keypoints
            `(..., n, 2)`.
        visible: `(..., n)` bool: boxes of which an area is left, keypoints inside or on an edge;
            as the flags of `Pipeline.kinds` are.

    >>> Moved(np.zeros((1, 4)), np.array([False])).visible.tolist()
    [False]
    """

    positions: Any
    visible: Any


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["whole", "corner", "size", "input_size", "shown"],
    meta_fields=["canvas", "input_canvas", "tile", "is_axis_aligned"],
)
@dataclass(frozen=True)
class Undo:
    """Maps boxes, keypoints, masks and heat maps of a model's input back to the photograph.

    A pytree, made by `jaxprep.undo`: pass it into `jit`, map it with `vmap`. For a batch its
    arrays, and those that its methods take and return, have a leading batch axis.

    Attributes:
        whole: `(3, 3)` float32, where a position `(x, y, 1)` of the photograph is in the whole
            input.
        corner: `(2,)` float32, `(x, y)` in the whole input of the window that this is about; 0
            where it is about all of it.
        size: `(2,)` int32, height and width of the photograph.
        input_size: `(2,)` int32, height and width of the input.
        shown: `(4,)` float32, the box `(x0, y0, x1, y1)` of the input that shows the photograph, as
            far as it reaches there; padding is outside.
        canvas: height and width of the arrays that `masks` and `heat_maps` return; static.
        input_canvas: height and width of the array that the input is in; static.
        tile: height and width of a tile, where the input is stored so; static.
        is_axis_aligned: whether x goes to x and y to y; static.

    >>> from jaxprep import Pipeline, ops, undo
    >>> geometry = undo(Pipeline((ops.CenterCrop((2, 4)),)), (6, 8))
    >>> boxes, visible = geometry.boxes(np.float32([[0, 0, 4, 1]]))
    >>> boxes.tolist(), visible.tolist()
    ([[2.0, 2.0, 6.0, 3.0]], [True])
    """

    whole: Any
    corner: Any
    size: Any
    input_size: Any
    shown: Any
    canvas: Size
    input_canvas: Size
    tile: Size | None = None
    is_axis_aligned: bool = True

    @property
    @with_default_settings
    def matrix(self) -> jax.Array:
        """`(3, 3)` float32, where a position `(x, y, 1)` of the photograph is in the input.

        >>> from jaxprep import Pipeline, ops, undo
        >>> geometry = undo(Pipeline((ops.Resize((4, 8)),)), (8, 8))
        >>> geometry.window(0, 3, (2, 2)).matrix.tolist()
        [[1.0, 0.0, -3.0], [0.0, 0.5, 0.0], [0.0, 0.0, 1.0]]
        """
        # the rows of the matrix of a translation times this one
        last = self.whole[..., 2, :]
        x_row = self.whole[..., 0, :] - self.corner[..., 0, None] * last
        y_row = self.whole[..., 1, :] - self.corner[..., 1, None] * last
        return jnp.stack([x_row, y_row, last], -2)

    @with_default_settings
    def boxes(self, boxes: Num[Array, "*b n 4"]) -> Moved:
        """Return where boxes of the input are in the photograph.

        Args:
            boxes: corners `(x0, y0, x1, y1)` in pixels of the input.

        Returns:
            the boxes, clipped to what the input shows of the photograph, and which of them have an
            area there. Where the input is turned or warped, the box around the four corners.

        >>> from jaxprep import Pipeline, ops, undo
        >>> geometry = undo(Pipeline((ops.Flip(),)), (4, 8))
        >>> geometry.boxes(np.float32([[0, 0, 1, 4]])).positions.tolist()
        [[7.0, 0.0, 8.0, 4.0]]
        """
        return self._moved(boxes, 4, "boxes")

    @with_default_settings
    def keypoints(self, keypoints: Num[Array, "*b n 2"]) -> Moved:
        """Return where keypoints `(x, y)`, in pixels of the input, are in the photograph, and which
        of them are on what the input shows of it.

        >>> from jaxprep import Pipeline, ops, undo
        >>> geometry = undo(Pipeline((ops.Resize((4, 4)),)), (8, 16))
        >>> geometry.keypoints(np.float32([[1, 1], [5, 1]])).visible.tolist()
        [True, False]
        """
        return self._moved(keypoints, 2, "keypoints")

    def _moved(self, positions: Any, columns: int, where: str) -> Moved:
        batch = "batch, " if self._is_batch else ""
        expected = f"an array ({batch}n, {columns})"
        positions = jnp.asarray(as_numbers(positions, expected, where), jnp.float32)
        if positions.ndim != 2 + self._is_batch or positions.shape[-1] != columns:
            raise InputError(f"Expected {expected}, got shape {positions.shape} - at `{where}`.")
        # a program serves photographs of all sizes: those on the canvas are no part of it
        geometry = replace(self, canvas=(0, 0), input_canvas=(0, 0), tile=None)
        return _positions_back_jitted(None, geometry, positions)

    @with_default_settings
    def masks(
        self, masks: Shaped[Array, "*b h w"], fill: float = 0
    ) -> Shaped[jax.Array, "*b height width"]:
        """Return masks of the input at the size of the photograph, by nearest neighbour.

        Args:
            masks: integers, floats or booleans, `(..., h, w)`; for a batch `(batch, ..., h, w)`. Of
                any resolution: a mask covers the whole array that the input is in.
            fill: where the input shows nothing of the photograph, and outside of the photograph on
                its canvas. 0, the background of most masks, by default.

        Returns:
            `(..., *canvas)`, of the type of the masks; for one photograph the canvas is its size.

        >>> from jaxprep import Pipeline, ops, undo
        >>> geometry = undo(Pipeline((ops.CenterCrop((2, 2)),)), (2, 4))
        >>> geometry.masks(np.int32([[1, 2], [3, 4]]), fill=-1).tolist()
        [[-1, 1, 2, -1], [-1, 3, 4, -1]]
        """
        return self._resampled(self._as_maps(masks, "masks"), "nearest", fill, "masks")

    @with_default_settings
    def heat_maps(
        self, maps: Num[Array, "*b h w"], fill: float = 0.0
    ) -> Float[jax.Array, "*b height width"]:
        """Return heat maps of the input at the size of the photograph, interpolated linearly.

        Args:
            maps: `(..., h, w)`; for a batch `(batch, ..., h, w)`. Of any resolution, such as a
                number for each patch of a vision transformer: a map covers the whole array that the
                input is in. Beyond the middles of its outermost values these are repeated.
            fill: where the input shows nothing of the photograph, and outside of the photograph on
                its canvas: 0 by default; NaN marks what is not known.

        Returns:
            `(..., *canvas)` float32; for one photograph the canvas is its size.

        >>> from jaxprep import Pipeline, ops, undo
        >>> geometry = undo(Pipeline((ops.Resize((16, 16)),)), (1, 4))
        >>> geometry.heat_maps(np.float32([[0, 1]])).tolist()
        [[0.0, 0.25, 0.75, 1.0]]
        """
        maps = self._as_maps(maps, "maps").astype(jnp.float32)
        return self._resampled(maps, "bilinear", fill, "maps")

    def _as_maps(self, maps: Any, where: str) -> jax.Array:
        batch = "batch, " if self._is_batch else ""
        return jnp.asarray(as_numbers(maps, f"an array ({batch}..., h, w)", where))

    def _resampled(self, maps: Any, method: Method, fill: float, where: str) -> jax.Array:
        if maps.ndim < 2 + self._is_batch or 0 in maps.shape:
            batch = "batch, " if self._is_batch else ""
            raise InputError(
                f"Expected an array ({batch}..., h, w), got shape {maps.shape} - at `{where}`."
            )
        value = jnp.asarray(fill_value(fill, maps.dtype))
        geometry = replace(self, tile=None)
        if is_traced((self.whole, maps)) or not _is_of_this_host(maps):
            return _maps_back_jitted(method, geometry, maps, value)
        # Photographs of all sizes share some dozens of programs, which make a third more pixels on
        # average. On the host a slice compiles nothing.
        height, width = self.canvas
        shared = replace(geometry, canvas=(bucket(height), bucket(width)))
        result = _maps_back_jitted(method, shared, maps, value)
        if result.shape[-2:] == self.canvas:
            return result
        placement = result.sharding if result.committed else None
        return jax.device_put(np.asarray(result)[..., :height, :width], placement)

    @with_default_settings
    def window(self, top: Any, left: Any, size: Size) -> Undo:
        """Return the same for a part of the input that the model sees by itself, such as a window
        of sliding inference.

        Args:
            top, left: its first row and column in the input; may be traced. One for each image of a
                batch, or one for all.
            size: its height and width.

        Raises:
            InputError: no such size.

        >>> from jaxprep import Pipeline, ops, undo
        >>> geometry = undo(Pipeline((ops.Resize((8, 8)),)), (16, 16)).window(4, 0, (4, 4))
        >>> geometry.boxes(np.float32([[0, 0, 4, 4]])).positions.tolist()
        [[0.0, 8.0, 8.0, 16.0]]
        """
        ((height, width),) = as_sizes([size])
        batch_shape = self.size.shape[:-1]
        starts = [jnp.broadcast_to(jnp.asarray(n), batch_shape) for n in (top, left)]
        start = jnp.stack(starts, -1)
        # A window at the end of the input may reach beyond it.
        inside = jnp.clip(self.input_size - start, 0, np.asarray([height, width]))
        corner = start[..., ::-1].astype(jnp.float32)
        moved = self.shown - jnp.concatenate([corner, corner], -1)
        limit = np.asarray([width, height, width, height])
        return replace(
            self,
            corner=self.corner + corner,
            input_size=inside.astype(jnp.int32),
            shown=jnp.clip(moved, 0, limit),
            input_canvas=(height, width),
            tile=None,
        )

    @with_default_settings
    def tiles(self, index: Any) -> Undo:
        """Return the same for a tile of the input, where the preset stores tiles.

        Args:
            index: of the tile, row by row, from 0; may be traced. One for each image of a batch, or
                one for all.

        Raises:
            InputError: the preset stores no tiles.

        >>> from jaxprep import Pipeline, ops, undo
        >>> pipeline = Pipeline((ops.Resize((4, 8)), ops.Tiles(4)))
        >>> second = undo(pipeline, (8, 16)).tiles(1)
        >>> second.boxes(np.float32([[0, 0, 4, 4]])).positions.tolist()
        [[8.0, 0.0, 16.0, 8.0]]
        """
        if self.tile is None:
            raise InputError("Expected a preset that stores tiles, got one without - at `tiles`.")
        height, width = self.tile
        columns = self.input_size[..., 1] // width
        top = index // columns * height
        left = index % columns * width
        return self.window(top, left, self.tile)

    @property
    def _is_batch(self) -> bool:
        return self.whole.ndim == 3


def _is_of_this_host(array: jax.Array) -> bool:
    return platform_of(array.sharding) == "cpu" and array.is_fully_addressable


# jitted, so that an eager caller runs one program instead of a dozen operations
@bounded_jit()
def _positions_back_jitted(_: None, geometry: Undo, positions: jax.Array) -> Moved:
    back = jax.vmap(_positions_back) if geometry._is_batch else _positions_back
    return back(geometry, positions)


@bounded_jit()
def _maps_back_jitted(method: Method, geometry: Undo, maps: jax.Array, fill: jax.Array) -> Any:
    def back(geometry: Undo, maps: jax.Array) -> jax.Array:
        return _maps_back(geometry, maps, fill, method)

    of_all = jax.vmap(back) if geometry._is_batch else back
    return of_all(geometry, maps)


def _positions_back(geometry: Undo, positions: jax.Array) -> Moved:
    """Positions of one image in its photograph."""
    limit = geometry.size.astype(jnp.float32)[::-1]
    inverse = _inverse(geometry.matrix)
    low = geometry.shown[:2]
    high = geometry.shown[2:]
    if positions.shape[-1] == 2:
        back = move_points(positions, inverse, geometry.is_axis_aligned)
        is_inside = (positions >= low) & (positions <= high)
        is_shown = is_inside.all(-1)
        return Moved(back, visible(back, limit) & is_shown)
    # Clipped in the input, as in the photograph what it shows may be a turned box.
    corners = positions.reshape(-1, 2, 2)
    clipped = jnp.clip(corners, low, high).reshape(-1, 4)
    back = move_boxes(clipped, inverse, limit, geometry.is_axis_aligned)
    return Moved(back, visible(back, limit) & visible(clipped, limit))


def _inverse(matrix: jax.Array) -> jax.Array:
    """The inverse of a matrix `(3, 3)` by its cofactors, up to a factor; its last entry is 1."""
    # `jnp.linalg.inv` calls a library for matrices of any size: several kernels on a GPU.
    first, second, third = matrix
    columns = [
        jnp.cross(second, third),
        jnp.cross(third, first),
        jnp.cross(first, second),
    ]
    adjugate = jnp.stack(columns, axis=1)
    # Positions are divided by the third coordinate: the determinant cancels.
    return adjugate / adjugate[2, 2]


def _maps_back(geometry: Undo, maps: jax.Array, fill: jax.Array, method: Method) -> jax.Array:
    """Maps `(..., h, w)` of one image at the size of its photograph."""
    *others, height, width = maps.shape
    at = _places(geometry)
    # From pixels of the input to those of the maps, which may be fewer.
    input_height, input_width = geometry.input_canvas
    shares = np.divide((width, height), (input_width, input_height))
    x, y = jnp.moveaxis(at * shares.astype(np.float32), -1, 0)
    channels = jnp.moveaxis(maps.reshape(-1, height, width), 0, -1)
    sampled = sampled_at(channels, x, y, method)
    shown = _is_shown(geometry, at)
    sampled = jnp.where(shown[..., None], sampled, fill)
    planes = jnp.moveaxis(sampled, -1, 0)
    return planes.reshape(*others, *geometry.canvas)


def _places(geometry: Undo) -> jax.Array:
    """Where the middles of the pixels of a photograph's canvas are in the input, `(h, w, 2)`."""
    height, width = geometry.canvas
    y = jnp.arange(height, dtype=jnp.float32)[:, None] + 0.5
    x = jnp.arange(width, dtype=jnp.float32)[None] + 0.5
    middles = jnp.stack(jnp.broadcast_arrays(x, y), -1)
    in_whole = move_points(middles, geometry.whole, geometry.is_axis_aligned)
    # Not by the matrix of the window: rounded for each, a middle on the seam of two tiles could be
    # in neither. This difference is exact there.
    return in_whole - geometry.corner


def _is_shown(geometry: Undo, at: jax.Array) -> jax.Array:
    """Which pixels of a photograph's canvas, with their places, are of it and in the input."""
    height, width = geometry.canvas
    row = jnp.arange(height)[:, None]
    column = jnp.arange(width)
    in_photo = (row < geometry.size[0]) & (column < geometry.size[1])
    low = geometry.shown[:2]
    high = geometry.shown[2:]
    in_input = (at >= low) & (at < high)
    return in_photo & in_input.all(-1)
