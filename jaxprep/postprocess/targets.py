"""Resizing maps to where they belong: per-image tap tables on bucketed canvases, so that targets
share programs.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxprep.resample.engines.cpu import no_inline
from jaxprep.resample.engines.tpu import dense
from jaxprep.resample.passes import apply_taps
from jaxprep.resample.tables import Taps, bucket, resize_taps
from jaxprep.types import Size

Rule = Literal["bilinear", "bicubic", "antialias", "align_corners", "nearest"]
"""How torch interpolates: `bilinear` and `bicubic` (a = -0.75) between the nearest pixels, centres
aligned; `antialias` is bilinear with a filter that widens; `align_corners` is bilinear with the
corner pixels aligned."""
SMALLEST = 64


class Target(NamedTuple):
    """Where a map goes: the top-left `size` of a canvas, through one table per axis (None: as it
    is).

    Attributes:
        vertical, horizontal: tables onto the canvas, whose sides are buckets.
        size: `(2,)` int32, the height and width that are wanted.
    """

    vertical: Taps | None
    horizontal: Taps | None
    size: Any


class Window(NamedTuple):
    """A part of a map."""

    top: int
    left: int
    height: int
    width: int


def target(
    source: tuple[int, ...],
    size: Size | None,
    rule: Rule = "bilinear",
    window: Window | None = None,
) -> Target:
    """The way from a map of `source` height and width, or a window of it, to `size`; None keeps the
    size.
    """
    window = Window(0, 0, source[0], source[1]) if window is None else window
    if size is None:
        size = window[2:]
        if size == source:
            return Target(None, None, np.asarray(size, np.int32))
    parts = zip(source, window[:2], window[2:], size, strict=True)
    vertical, horizontal = (_table(space, first, n, m, rule) for space, first, n, m in parts)
    return Target(vertical, horizontal, np.asarray(size, np.int32))


def exact_target(source: tuple[int, ...], size: Size, rule: Rule = "bilinear") -> Target:
    """The same onto a canvas of just that size: for sizes that a model fixes."""
    vertical, horizontal = (_taps(n, m, rule) for n, m in zip(source, size, strict=True))
    return Target(vertical, horizontal, np.asarray(size, np.int32))


def _table(space: int, first: int, n: int, m: int, rule: Rule) -> Taps:
    taps = _taps(n, m, rule)
    return widen(Taps(taps.start + np.int32(first), *taps[1:]), space, bucket(max(m, SMALLEST)))


def _taps(n: int, m: int, rule: Rule) -> Taps:
    if rule == "align_corners":
        return align_corners_taps(n, m)
    return resize_taps(
        n, m, "bilinear" if rule == "antialias" else rule, rule == "antialias", "torch"
    )


@functools.lru_cache(maxsize=256)
def align_corners_taps(n: int, m: int) -> Taps:
    """The table of `torch.nn.functional.interpolate(mode="bilinear", align_corners=True)`, in its
    float32.
    """
    step = np.float32(n - 1) / np.float32(m - 1) if m > 1 else np.float32(0)
    centre = step * np.arange(m, dtype=np.float32)
    first = np.minimum(centre.astype(np.int32), n - 1)
    part = (centre - first).astype(np.float32)
    if n == 1:
        return Taps(first, np.ones((m, 1), np.float32), np.int32(0))
    start = np.minimum(first, n - 2)
    at_edge = first > start  # the second tap would lie outside: the last pixel takes all
    weight = np.where(
        at_edge[:, None], np.asarray([0, 1], np.float32), np.stack([1 - part, part], 1)
    )
    return Taps(start, weight.astype(np.float32), np.int32(0))


def resized(maps: jax.Array, way: Target, rule: Rule = "bilinear") -> jax.Array:
    """Maps `(c, h, w)` on the canvas of their target, horizontally first, as torch does it."""
    return _down(_across(maps, way, rule), way, rule)


def over_planes(
    step: Callable[[Any, Any, jax.Array], Any],
    state: Any,
    maps: jax.Array,
    way: Target,
    rule: Rule = "bilinear",
) -> Any:
    """The last `state = step(state, c, plane)`, for each map `c` of `(c, h, w)` on the canvas; none
    of them is kept.

    Much faster than resizing them all and reducing over them: planes stay in the cache, and nothing
        is transposed.
    """
    maps = _across(maps, way, rule)

    def visit(c: Any, state: Any) -> Any:
        return step(state, c, _down(one(maps, c)[None], way, rule)[0])

    return lax.fori_loop(0, len(maps), visit, state)


def _across(maps: jax.Array, way: Target, rule: Rule) -> jax.Array:
    """The horizontal pass over maps `(c, h, w)`."""
    c, h, w = maps.shape

    def rows(maps: jax.Array) -> jax.Array:
        return maps.reshape(c * h, w, 1)

    return (
        maps if way.horizontal is None else _one_pass(maps, rows, way.horizontal, rule, (c, h, -1))
    )


def _down(maps: jax.Array, way: Target, rule: Rule) -> jax.Array:
    """The vertical pass over maps `(c, h, w)`."""
    shape = (len(maps), -1, maps.shape[2])
    return (
        maps
        if way.vertical is None
        else _one_pass(maps, lambda maps: maps, way.vertical, rule, shape)
    )


def _one_pass(
    maps: jax.Array, seen: Callable[[jax.Array], jax.Array], taps: Taps, rule: Rule, shape: Any
) -> jax.Array:
    """One pass over the middle axis of `seen(maps)`, apart from what precedes it; in plain form,
    fastest for planes.

    The maps are reshaped inside: an axis of 1 that enters would be the inner loop.
    """
    arithmetic = "copy" if rule == "nearest" else "float"

    def plain(maps: jax.Array, taps: Taps) -> jax.Array:
        return apply_taps(seen(maps), taps, 1, arithmetic).reshape(shape)

    def on_cpu(maps: jax.Array, taps: Taps) -> jax.Array:
        return no_inline(plain, maps, taps)

    def on_tpu(maps: jax.Array, taps: Taps) -> jax.Array:
        return dense(seen(maps), taps, 1, "float").reshape(shape)

    if arithmetic == "copy":
        return lax.platform_dependent(maps, taps, cpu=on_cpu, default=plain)
    return lax.platform_dependent(maps, taps, cpu=on_cpu, tpu=on_tpu, default=plain)


def canvas_of(maps: jax.Array, way: Target) -> Size:
    """Height and width of the canvas to which `way` brings maps `(c, h, w)`."""
    tables = (way.vertical, way.horizontal)
    height, width = (
        n if taps is None else len(taps.start)
        for n, taps in zip(maps.shape[1:], tables, strict=True)
    )
    return height, width


def inside(target: Target, canvas: tuple[int, ...]) -> jax.Array:
    """Which pixels of a canvas `(height, width)` belong to the map."""
    rows = lax.broadcasted_iota(jnp.int32, canvas, 0) < target.size[0]
    columns = lax.broadcasted_iota(jnp.int32, canvas, 1) < target.size[1]
    return rows & columns


def cut(canvas: Any, size: Any) -> np.ndarray:
    """The top-left height and width of `(..., h, w)`, on the host, where no size compiles
    anything.
    """
    return np.asarray(canvas)[..., : int(size[0]), : int(size[1])]


@functools.partial(jax.jit, static_argnames=("rule",))
def _resize_one(maps: jax.Array, i: Any, way: Target, rule: Rule) -> jax.Array:
    return resized(one(maps, i), way, rule)


def resize_one(
    maps: jax.Array, i: int, size: Size | None, rule: Rule, window: Window | None = None
) -> np.ndarray:
    """Image `i` of maps `(b, c, h, w)`, or a window of it, at `size`; on the host."""
    if size is None and window is None:
        return np.asarray(maps)[i]
    way = target(maps.shape[-2:], size, rule, window)
    return cut(_resize_one(maps, i, way, rule), way.size)


def one(batch: jax.Array, i: Any) -> jax.Array:
    """Image `i` of a batch; which one is not compiled in."""
    return lax.dynamic_index_in_dim(batch, i, keepdims=False)


def above(bound: float) -> np.float32:
    """The smallest float32 greater than `bound`: `x >= above(b)` is what Python's `float(x) > b`
    says of a float32.
    """
    nearest = np.float32(bound)
    return nearest if float(nearest) > bound else np.nextafter(nearest, np.float32(np.inf))


def at_least(bound: float) -> np.float32:
    """The smallest float32 not less than `bound`."""
    nearest = np.float32(bound)
    return nearest if float(nearest) >= bound else np.nextafter(nearest, np.float32(np.inf))
