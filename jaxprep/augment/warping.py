"""Warps one image by an affine or a perspective map, as Pillow's `Image.transform` does.

A map takes positions of the result to positions of the image, as Pillow's and OpenCV's
`WARP_INVERSE_MAP` do: `x_in = a x + b y + c`, `y_in = d x + e y + f`, in pixels from the outer
corner of the top-left pixel, so that the middle of the first pixel is at 0.5. `rotation`, `shear`,
`translation` and `perspective` make such maps; `forward` inverts one, for boxes and keypoints.
"""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, Shaped

from jaxprep import codec
from jaxprep.augment.color import product
from jaxprep.errors import InputError
from jaxprep.pipeline.step import FillValue, fill_value
from jaxprep.settings import with_default_settings
from jaxprep.types import Array, Size

Method = Literal["nearest", "bilinear", "bicubic"]
METHODS = ("nearest", "bilinear", "bicubic")
Map = Float32[Array, "coefficients"]
"""The six coefficients `a, b, c, d, e, f` of an affine map, or with `g, h` the eight of a
perspective one, whose positions are divided by `g x + h y + 1`."""
IDENTITY = np.array([1, 0, 0, 0, 1, 0], np.float32)
"""The map that moves nothing."""
FIXED = 65536
"""Pillow's nearest affine maps positions in integers with 16 fractional bits."""


def _coefficients(*numbers: Any) -> jax.Array:
    return jnp.stack([jnp.asarray(number, jnp.float32) for number in numbers])


def rotation(degrees: Any, size: tuple[Any, Any]) -> Map:
    """Return the map that rotates an image of `size` (height, width) about its middle, counter-
    clockwise, as Pillow's `Image.rotate` does.

    >>> np.round(rotation(90.0, (4, 4)), 3).tolist()
    [-0.0, -1.0, 4.0, 1.0, -0.0, 0.0]
    """
    radians = jnp.deg2rad(jnp.asarray(degrees, jnp.float32))
    cos = jnp.cos(radians)
    sin = jnp.sin(radians)
    middle_y, middle_x = (jnp.asarray(side, jnp.float32) / 2 for side in size)
    shift_x = middle_x - cos * middle_x + sin * middle_y
    shift_y = middle_y - sin * middle_x - cos * middle_y
    return _coefficients(cos, -sin, shift_x, sin, cos, shift_y)


def shear(horizontal: Any = 0.0, vertical: Any = 0.0) -> Map:
    """Return the map that shears an image about its top-left corner, by so many pixels a pixel.

    >>> shear(0.5).tolist()
    [1.0, 0.5, 0.0, 0.0, 1.0, 0.0]
    """
    return _coefficients(1, horizontal, 0, vertical, 1, 0)


def translation(right: Any = 0.0, down: Any = 0.0) -> Map:
    """Return the map that moves an image by so many pixels.

    >>> translation(right=2.0).tolist()
    [1.0, 0.0, -2.0, 0.0, 1.0, -0.0]
    """
    return _coefficients(1, 0, -jnp.float32(right), 0, 1, -jnp.float32(down))


def affine(
    degrees: Any,
    right: Any,
    down: Any,
    scale: Any,
    shear_x: Any,
    shear_y: Any,
    size: tuple[Any, Any],
) -> Map:
    """Return the map that rotates clockwise, shears and scales about the middle, then moves, as
    torchvision's `affine` does.

    Args:
        degrees: of the rotation.
        right, down: pixels.
        scale: above 0; 2 is twice as large.
        shear_x, shear_y: degrees.
        size: height and width of the image.

    >>> affine(0.0, 1.0, 0.0, 2.0, 0.0, 0.0, (4, 4)).tolist()
    [0.5, 0.0, 0.5, -0.0, 0.5, 1.0]
    """
    # `_get_inverse_affine_matrix` of torchvision/transforms/functional.py
    numbers = (degrees, shear_x, shear_y)
    angle, across, along = (jnp.deg2rad(jnp.asarray(number, jnp.float32)) for number in numbers)
    cos = jnp.cos(angle - along)
    sin = jnp.sin(angle - along)
    # `a` to `d` there: the matrix that goes forward, without its scale
    a = cos / jnp.cos(along)
    b = -cos * jnp.tan(across) / jnp.cos(along) - jnp.sin(angle)
    c = sin / jnp.cos(along)
    d = -sin * jnp.tan(across) / jnp.cos(along) + jnp.cos(angle)
    # its inverse: the determinant is 1
    inverse_a = d / scale
    inverse_b = -b / scale
    inverse_c = -c / scale
    inverse_d = a / scale
    middle_y, middle_x = (jnp.asarray(side, jnp.float32) / 2 for side in size)
    shift_x = middle_x - inverse_a * (middle_x + right) - inverse_b * (middle_y + down)
    shift_y = middle_y - inverse_c * (middle_x + right) - inverse_d * (middle_y + down)
    return _coefficients(inverse_a, inverse_b, shift_x, inverse_c, inverse_d, shift_y)


def perspective(corners: Float32[Array, "4 2"], size: tuple[Any, Any]) -> Map:
    """Return the map that moves the corner pixels of an image of `size` (height, width) to
    `corners`, as torchvision's `perspective` does.

    Args:
        corners: pixels `(x, y)` of the result, for the top-left, top-right, bottom-right and
            bottom-left pixel.

    >>> square = np.float32([[0, 0], [3, 0], [3, 3], [0, 3]])
    >>> matrix = jax.jit(lambda corners: perspective(corners, (4, 4)))(square)
    >>> [round(n, 3) for n in matrix.tolist()][:6]
    [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
    """
    # the eight linear equations of `_get_perspective_coeffs`, torchvision/transforms/functional.py
    # the corners are pixels, `startpoints` of `RandomPerspective.get_params`: hence minus 1
    bottom, right = (jnp.asarray(side, jnp.float32) - 1 for side in size)
    zero = jnp.float32(0)
    corner_numbers = jnp.stack([zero, zero, right, zero, right, bottom, zero, bottom])
    source = corner_numbers.reshape(4, 2)
    nothing = [0.0, 0.0, 0.0]
    rows = []
    for i in range(4):
        x = corners[i, 0]
        y = corners[i, 1]
        position = [x, y, 1.0]
        # x of the image is of the first three coefficients, y of the next three
        for axis, six in enumerate((position + nothing, nothing + position)):
            target = source[i, axis]
            rows.append(_coefficients(*six, -target * x, -target * y))
    equations = jnp.stack(rows)
    return jnp.linalg.solve(equations, source.reshape(-1))


def forward(map: Map) -> Float32[Array, "3 3"]:
    """Return the matrix by which positions `(x, y, 1)` of the image go to the result.

    >>> forward(translation(right=2.0)).tolist()[0]
    [1.0, 0.0, 2.0]
    """
    is_perspective = map.shape[0] == 8
    rest = map[6:] if is_perspective else jnp.zeros(2, jnp.float32)
    inverse = jnp.concatenate([map[:6], rest, jnp.ones(1, jnp.float32)])
    return jnp.linalg.inv(inverse.reshape(3, 3))


@with_default_settings
def warp(
    image: Shaped[Array, "h w c"],
    map: Map,
    size: Size | None = None,
    *,
    method: Method = "nearest",
    fill: FillValue = 0.0,
) -> Shaped[Array, "height width c"]:
    """Warp an image: each pixel of the result is sampled where the map takes its middle.

    As `Image.transform` of Pillow (`AFFINE`, `PERSPECTIVE`), whose 16-bit positions are
    reproduced for nearest; sums are float32 where Pillow's are float64, so that a value may be
    truncated to the level beside on about 1e-4 of them.

    Args:
        image: values of any range and type; those of Pillow are uint8. Fractions of integers are
            cut off.
        map: six or eight coefficients, which may be traced.
        size: height and width of the result; by default the image's.
        method: "nearest", "bilinear" or "bicubic" (a = -1); without antialiasing.
        fill: what lies outside the image, in the unit of its values.

    >>> image = np.arange(4, dtype=np.uint8).reshape(2, 2, 1)
    >>> jax.jit(lambda image: warp(image, translation(right=1.0)))(image).ravel().tolist()
    [0, 0, 0, 2]
    """
    if method not in METHODS:
        raise codec.expected(f"one of {list(METHODS)}", method, "method")
    if np.shape(map) not in ((6,), (8,)):
        raise InputError(
            f"Expected a map of six or eight coefficients, got shape {np.shape(map)} - at `map`."
        )
    height, width, _ = image.shape
    source = height, width
    out_size = source if size is None else size
    if method == "nearest" and map.shape[0] == 6:
        x, y, inside = _nearest_affine(map, out_size, source)
    else:
        x, y = _positions(map, out_size)
        inside = _is_inside(x, y, source)
    sampled = sampled_at(image, x, y, method)
    # a policy passes its fill as an array, which follows the image: see `color.following`
    value = fill if isinstance(fill, jax.Array) else fill_value(fill, image.dtype)
    return jnp.where(inside[..., None], sampled, value)


def sampled_at(image: Any, x: Any, y: Any, method: Method) -> jax.Array:
    """Sample an image `(h, w, c)` at positions, in pixels; beyond it lie copies of its edge.

    >>> sampled_at(np.uint8([[[1], [5]]]), np.float32([9]), np.float32([-1]), "nearest").tolist()
    [[5]]
    """
    height, width, channels = image.shape
    pixels = jnp.asarray(image).reshape(-1, channels)

    def at(row: Any, column: Any) -> jax.Array:
        row = jnp.clip(row, 0, height - 1)
        column = jnp.clip(column, 0, width - 1)
        index = row * width + column
        # the index is clipped already: XLA need not check it
        return pixels.at[index].get(mode="promise_in_bounds")

    if method == "nearest":
        # integers already where the map is affine
        row = jnp.floor(y).astype(jnp.int32)
        column = jnp.floor(x).astype(jnp.int32)
        return at(row, column)
    if method == "bilinear":
        return _bilinear(at, x, y).astype(image.dtype)
    return _saturated(_bicubic(at, x, y), image.dtype)


def _nearest_affine(map: Map, size: Size, source: Size) -> tuple[Any, Any, Any]:
    # `affine_fixed` of https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Geometry.c
    # its sums wrap beyond 32,767 pixels, where Pillow computes in float64
    half = np.float32(0.5)
    a, b, c, d, e, f = (map[i] for i in range(6))
    step_x = _fixed(a)
    step_y = _fixed(d)
    row_x = _fixed(b)
    row_y = _fixed(e)
    # the middle of the first pixel
    first_x = c + product(a, half) + product(b, half)
    first_x = _fixed(first_x)
    first_y = f + product(d, half) + product(e, half)
    first_y = _fixed(first_y)
    height, width = size
    row = jnp.arange(height, dtype=jnp.int32)[:, None]
    column = jnp.arange(width, dtype=jnp.int32)[None]
    fixed_x = first_x + row_x * row + step_x * column
    x = fixed_x >> 16
    fixed_y = first_y + row_y * row + step_y * column
    y = fixed_y >> 16
    return x, y, _is_inside(x, y, source)


def _is_inside(x: Any, y: Any, size: Size) -> Any:
    height, width = size
    in_columns = (x >= 0) & (x < width)
    return in_columns & (y >= 0) & (y < height)


def _fixed(number: Any) -> jax.Array:
    scaled = product(number, np.float32(FIXED))
    # `FIX` of Geometry.c: half up
    return jnp.floor(scaled + np.float32(0.5)).astype(jnp.int32)


def _positions(map: Map, size: Size) -> tuple[jax.Array, jax.Array]:
    # the middle of a pixel, as `affine_transform` and `perspective_transform` of Geometry.c take it
    half = np.float32(0.5)
    height, width = size
    row = jnp.arange(height, dtype=jnp.float32)
    y = row[:, None] + half
    column = jnp.arange(width, dtype=jnp.float32)
    x = column[None] + half
    source_x = map[0] * x + map[1] * y + map[2]
    source_y = map[3] * x + map[4] * y + map[5]
    if map.shape[0] == 8:
        depth = map[6] * x + map[7] * y + 1
        source_x = source_x / depth
        source_y = source_y / depth
    return source_x, source_y


def _split(position: Any) -> tuple[Any, Any]:
    """The pixel whose middle is at or before a position, and how far behind it that is."""
    from_middle = position - np.float32(0.5)
    first = jnp.floor(from_middle)
    index = first.astype(jnp.int32)
    distance = from_middle - first
    return index, distance[..., None]


def _bilinear(at: Any, x: Any, y: Any) -> jax.Array:
    # `BILINEAR_BODY` of Pillow's Geometry.c; the cast to uint8 truncates, as there
    column, right = _split(x)
    row, down = _split(y)

    def between(row: Any) -> jax.Array:
        first = at(row, column).astype(jnp.float32)
        second = at(row, column + 1).astype(jnp.float32)
        difference = second - first
        return first + product(difference, right)

    above = between(row)
    below = between(row + 1)
    difference = below - above
    return above + product(difference, down)


def _bicubic(at: Any, x: Any, y: Any) -> jax.Array:
    column, right = _split(x)
    row, down = _split(y)

    def along(row: Any) -> jax.Array:
        before, first, second, after = (
            at(row, column + k).astype(jnp.float32) for k in range(-1, 3)
        )
        return _cubic(before, first, second, after, right)

    above, first, second, below = (along(row + i) for i in range(-1, 3))
    return _cubic(above, first, second, below, down)


def _saturated(values: Any, dtype: Any) -> Any:
    """Sums as a type, integers cut off where it ends: those of bicubic go beyond what they mix."""
    if jnp.issubdtype(dtype, jnp.integer):
        limits = jnp.iinfo(dtype)
        values = jnp.clip(values, limits.min, limits.max)
    return values.astype(dtype)


def _cubic(before: Any, first: Any, second: Any, after: Any, distance: Any) -> jax.Array:
    # `BICUBIC` of Pillow's Geometry.c: Keys' kernel with a = -1
    linear = second - before
    square = 2 * (before - first) + second - after
    cube = first - before + after - second
    inner = square + product(distance, cube)
    outer = linear + product(distance, inner)
    return first + product(distance, outer)
