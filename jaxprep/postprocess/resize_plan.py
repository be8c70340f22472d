"""Resizes maps to the sizes of their images: tap tables per image on bucketed canvases, so that
many target sizes share one program.

The numbers are those of `torch.nn.functional.interpolate` in float32
(https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/UpSampleKernel.cpp). This
module holds all that post-processing needs of `jaxprep.resample`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Bool, Float, Shaped

from jaxprep.resample.engines.cpu import no_inline
from jaxprep.resample.engines.tpu import float_pass
from jaxprep.resample.filters import canonical_method
from jaxprep.resample.passes import apply_taps
from jaxprep.resample.tables import Taps, bucket, resize_taps, widen
from jaxprep.types import Array, Size

__all__ = [
    "Interpolation",
    "ResizePlan",
    "Window",
    "bucket",
    "canonical_method",
    "canvas_size",
    "crop_to_size",
    "exact_plan",
    "nearest_indices",
    "plan",
    "resize",
    "resize_host_map",
    "resize_image",
    "scan_channels",
    "take_image",
    "valid_pixels",
]

Interpolation = Literal["bilinear", "bicubic", "antialias", "align_corners", "nearest"]
"""How torch interpolates: `bilinear` and `bicubic` (a = -0.75) between the nearest pixels, centres
aligned; `antialias` is bilinear with a filter that widens; `align_corners` is bilinear with the
corner pixels aligned."""

SMALLEST_SIDE = 64
"""No side of a canvas is shorter: smaller canvases are hardly faster, and each is a program."""


class ResizePlan(NamedTuple):
    """How a map is resized: onto the top-left `size` of a canvas, through one tap table per axis.

    Attributes:
        vertical, horizontal: tables onto the canvas, whose sides are buckets; None leaves the axis
            as it is.
        size: `(2,)` int32, the height and width that are wanted.

    >>> ResizePlan(None, None, np.int32([4, 6])).size.tolist()
    [4, 6]
    """

    vertical: Taps | None
    horizontal: Taps | None
    size: Any


class Window(NamedTuple):
    """A rectangle of a map, in pixels.

    >>> Window(top=1, left=0, height=4, width=6).height
    4
    """

    top: int
    left: int
    height: int
    width: int

    @classmethod
    def at_top_left(cls, size: Size, network: Size) -> Window:
        """Returns where an image of `size` lies in a network's input whose padding is below and to
        the right of it; what is beyond the input is left out.

        >>> Window.at_top_left((10, 20), (16, 16))
        Window(top=0, left=0, height=10, width=16)
        """
        height, width = map(min, size, network)
        return cls(0, 0, height, width)


def plan(
    source: tuple[int, ...],
    size: Size | None,
    interpolation: Interpolation = "bilinear",
    window: Window | None = None,
) -> ResizePlan:
    """Plans how to resize a map of `source` height and width, or a window of it, to `size`.

    Args:
        source: height and width of the map.
        size: height and width wanted; None keeps those of the window.
        interpolation: how to compute a pixel between others.
        window: what to resize; None: the map.

    >>> tables = plan((12, 17), (40, 70))
    >>> len(tables.vertical.start), len(tables.horizontal.start), tables.size.tolist()
    (64, 96, [40, 70])
    """
    if window is None:
        window = Window(0, 0, source[0], source[1])
    if size is None:
        size = (window.height, window.width)
        if size == tuple(source):
            return ResizePlan(None, None, np.asarray(size, np.int32))
    vertical = _table(source[0], window.top, window.height, size[0], interpolation)
    horizontal = _table(source[1], window.left, window.width, size[1], interpolation)
    return ResizePlan(vertical, horizontal, np.asarray(size, np.int32))


def exact_plan(
    source: tuple[int, ...],
    size: Size,
    interpolation: Interpolation = "bilinear",
) -> ResizePlan:
    """Plans a resize onto a canvas of just the wanted size: for sizes that a model fixes.

    >>> len(exact_plan((12, 17), (40, 31)).vertical.start)
    40
    """
    vertical = _taps(source[0], size[0], interpolation)
    horizontal = _taps(source[1], size[1], interpolation)
    return ResizePlan(vertical, horizontal, np.asarray(size, np.int32))


def _table(source: int, start: int, n: int, m: int, interpolation: Interpolation) -> Taps:
    """The table from `n` pixels, from `start` on, of an axis of `source`, to `m` pixels in a
    bucket.
    """
    taps = _taps(n, m, interpolation)
    # A window is a shift of the first taps: nothing is cut out and copied.
    shifted = Taps(taps.start + np.int32(start), *taps[1:])
    return widen(shifted, source, bucket(max(m, SMALLEST_SIDE)))


def _taps(n: int, m: int, interpolation: Interpolation) -> Taps:
    if interpolation == "align_corners":
        return resize_taps(n, m, "bilinear", False, "torch_corners")
    # torchvision's `resize` of tensors antialiases by default, torch's `interpolate` does not.
    if interpolation == "antialias":
        return resize_taps(n, m, "bilinear", True, "torch")
    return resize_taps(n, m, interpolation, False, "torch")


def nearest_indices(n: int, m: int) -> np.ndarray:
    """Returns which of `n` pixels torch's `mode="nearest"` takes for each of `m`, int32 `(m,)`.

    >>> nearest_indices(2, 4).tolist()
    [0, 0, 1, 1]
    """
    return resize_taps(n, m, "nearest", False, "torch").start


def resize(
    maps: Float[Array, "c h w"],
    resize_plan: ResizePlan,
    interpolation: Interpolation = "bilinear",
) -> Float[Array, "c height width"]:
    """Resizes maps onto the canvas of a plan, horizontally first, as torch does it.

    >>> resize(jnp.ones((2, 12, 17)), exact_plan((12, 17), (40, 31))).shape
    (2, 40, 31)
    """
    rows = _horizontal_pass(maps, resize_plan, interpolation)
    return _vertical_pass(rows, resize_plan, interpolation)


def scan_channels(
    step: Callable[[Any, Any, jax.Array], Any],
    state: Any,
    maps: Float[Array, "c h w"],
    resize_plan: ResizePlan,
    interpolation: Interpolation = "bilinear",
) -> Any:
    """Computes `state = step(state, c, plane)` for each map, resized to the canvas of a plan, and
    returns the last state.

    No resized map is kept. This is much faster than resizing all maps and reducing over them: a
    plane stays in the cache, and nothing is transposed.

    >>> add = lambda total, c, plane: total + plane.sum()
    >>> float(scan_channels(add, 0.0, jnp.ones((3, 2, 2)), exact_plan((2, 2), (4, 4))))
    48.0
    """
    rows = _horizontal_pass(maps, resize_plan, interpolation)

    # The horizontal pass is for all maps at once, at their own height, which is small; the vertical
    # one makes the large planes, one at a time.
    def visit(c: Any, state: Any) -> Any:
        plane = _vertical_pass(take_image(rows, c)[None], resize_plan, interpolation)[0]
        return step(state, c, plane)

    return lax.fori_loop(0, len(rows), visit, state)


def _horizontal_pass(
    maps: Array,
    resize_plan: ResizePlan,
    interpolation: Interpolation,
) -> jax.Array:
    if resize_plan.horizontal is None:
        return jnp.asarray(maps)
    c, h, w = maps.shape

    def as_columns(maps: jax.Array) -> jax.Array:
        return maps.reshape(c * h, w, 1)

    return _one_pass(maps, as_columns, resize_plan.horizontal, interpolation, (c, h, -1))


def _vertical_pass(maps: Array, resize_plan: ResizePlan, interpolation: Interpolation) -> jax.Array:
    if resize_plan.vertical is None:
        return jnp.asarray(maps)
    shape = (len(maps), -1, maps.shape[2])
    return _one_pass(maps, lambda maps: maps, resize_plan.vertical, interpolation, shape)


def _one_pass(
    maps: Array,
    arrange: Callable[[jax.Array], jax.Array],
    taps: Taps,
    interpolation: Interpolation,
    shape: tuple[int, ...],
) -> jax.Array:
    """One pass over the middle axis of `arrange(maps)`, reshaped to `shape`."""
    arithmetic = "copy" if interpolation == "nearest" else "float"

    def plain(maps: jax.Array, taps: Taps) -> jax.Array:
        return apply_taps(arrange(maps), taps, 1, arithmetic).reshape(shape)

    # XLA:CPU would recompute the horizontal pass for each tap of the vertical one, so each pass is
    # a computation of its own there. The maps are reshaped inside of it: an axis of length 1 that
    # enters a computation would become its inner loop. XLA:GPU and XLA:TPU must not see the
    # attribute: XLA:GPU fuses nothing inside a computation that is not inlined.
    def on_cpu(maps: jax.Array, taps: Taps) -> jax.Array:
        return no_inline(plain, maps, taps)

    # A TPU gathers slowly and multiplies matrices fast.
    def on_tpu(maps: jax.Array, taps: Taps) -> jax.Array:
        return float_pass(arrange(maps), taps, 1, is_first=True).reshape(shape)

    if arithmetic == "copy":
        return lax.platform_dependent(maps, taps, cpu=on_cpu, default=plain)
    return lax.platform_dependent(maps, taps, cpu=on_cpu, tpu=on_tpu, default=plain)


def canvas_size(maps: Shaped[Array, "c h w"], resize_plan: ResizePlan) -> Size:
    """Returns height and width of the canvas to which a plan brings maps.

    >>> canvas_size(np.zeros((1, 12, 17)), plan((12, 17), (40, 31)))
    (64, 64)
    """
    _, height, width = maps.shape
    if resize_plan.vertical is not None:
        height = len(resize_plan.vertical.start)
    if resize_plan.horizontal is not None:
        width = len(resize_plan.horizontal.start)
    return height, width


def valid_pixels(resize_plan: ResizePlan, canvas: Size) -> Bool[jax.Array, "height width"]:
    """Returns which pixels of a canvas belong to the resized map; the others are padding.

    >>> int(valid_pixels(plan((2, 2), (3, 5)), (64, 64)).sum())
    15
    """
    height, width = resize_plan.size
    row = lax.broadcasted_iota(jnp.int32, canvas, 0)
    column = lax.broadcasted_iota(jnp.int32, canvas, 1)
    return (row < height) & (column < width)


def crop_to_size(canvas: Shaped[Array, "*leading h w"], size: Any) -> np.ndarray:
    """Copies the top-left height and width of maps to the host.

    On the host a slice compiles nothing, whatever its size.

    >>> crop_to_size(np.zeros((2, 8, 8)), (3, 5)).shape
    (2, 3, 5)
    """
    height, width = map(int, size)
    return np.asarray(canvas)[..., :height, :width]


@functools.partial(jax.jit, static_argnames=("interpolation",))
def _resize_one(
    maps: Array,
    i: Any,
    resize_plan: ResizePlan,
    interpolation: Interpolation,
) -> Array:
    return resize(take_image(maps, i), resize_plan, interpolation)


def resize_image(
    maps: Float[Array, "b c h w"],
    i: int,
    size: Size | None,
    interpolation: Interpolation,
    window: Window | None = None,
) -> Float[np.ndarray, "c height width"]:
    """Resizes image `i` of a batch, or a window of it, to `size`, and copies it to the host.

    >>> resize_image(np.zeros((1, 2, 4, 4), np.float32), 0, (3, 5), "bilinear").shape
    (2, 3, 5)
    """
    # Nothing to resize, and no reason to compile anything.
    if size is None and window is None:
        return np.asarray(maps)[i]
    resize_plan = plan(maps.shape[-2:], size, interpolation, window)
    return crop_to_size(_resize_one(maps, i, resize_plan, interpolation), resize_plan.size)


def resize_host_map(
    maps: Float[np.ndarray, "c h w"],
    size: Size,
    interpolation: Interpolation,
) -> Float[np.ndarray, "c height width"]:
    """Resizes maps whose own size changes from image to image: they are padded to a bucket first,
    so that these sizes share programs too.

    >>> resize_host_map(np.ones((1, 4, 6), np.float32), (3, 5), "bicubic").shape
    (1, 3, 5)
    """
    channels, height, width = maps.shape
    if (height, width) == size:
        return maps
    # Pixels outside of the window have no weight, whatever they are.
    padded = np.zeros((1, channels, bucket(height), bucket(width)), np.float32)
    padded[0, :, :height, :width] = maps
    window = Window(0, 0, height, width)
    return resize_image(jnp.asarray(padded), 0, size, interpolation, window)


def take_image(batch: Shaped[Array, "b ..."], i: Any) -> jax.Array:
    """Returns image `i` of a batch. The index may be traced: one program serves all images.

    >>> take_image(jnp.arange(6).reshape(3, 2), 1).tolist()
    [2, 3]
    """
    return lax.dynamic_index_in_dim(batch, i, keepdims=False)
