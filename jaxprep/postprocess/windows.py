"""EoMT's images in the network: their size there, the windows they were split into, and the way
back.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxprep.errors import InputError
from jaxprep.postprocess.results import array, setting, sizes
from jaxprep.postprocess.targets import Window, one, resize_one
from jaxprep.resample.tables import bucket
from jaxprep.types import Size


def eomt_size(size: Any) -> Size:
    """The height and width of Eomt's network input, from its `size` setting."""
    short, long = setting(size, "shortest_edge"), setting(size, "longest_edge")
    if short is None:
        raise InputError(f"Expected `shortest_edge`, got {size!r} - at `size`.")
    return short, long or short


def size_in_network(image: Size, size: Any) -> Size:
    """The size that Eomt's preprocessing gave an image; DETR's rule, in its own arithmetic."""
    edge, longest = setting(size, "shortest_edge"), setting(size, "longest_edge")
    assert edge is not None
    raw: float = edge
    if longest is not None and max(image) / min(image) * edge > longest:
        raw = longest * min(image) / max(image)
        edge = round(raw)
    height, width = image
    if min(image) == edge:
        return image
    return (
        (edge, int(raw * width / height)) if height <= width else (int(raw * height / width), edge)
    )


class Layout(NamedTuple):
    """Where the windows of one image lie.

    Attributes:
        rows, starts: which windows they are, and where they start along the longer side; rows below
            0 are fill-ins.
        vertical: whether the longer side is the height.
        canvas: a bucket of the size in the network.
        inner: the size in the network.
        goal: the size of the image.
    """

    rows: np.ndarray
    starts: np.ndarray
    vertical: bool
    canvas: Size
    inner: Window
    goal: Size


def layouts(offsets: Any, target_sizes: Any, size: Any, native: Size) -> Iterator[Layout]:
    """The layout of each image.

    Args:
        offsets: (image, start, end) of each window.
        target_sizes: (height, width) of each image.
        size: the processor's `size`.
        native: height and width of a window.
    """
    found = [tuple(int(n) for n in offset) for offset in offsets]
    for i, goal in enumerate(sizes(target_sizes, len(target_sizes)) or []):
        mine = [(row, start) for row, (image, start, _) in enumerate(found) if image == i]
        height, width = size_in_network(goal, size)
        vertical = goal[0] > goal[1]
        length = bucket(max(height, width, *native))
        mine += [(-1, 0)] * (bucket(len(mine)) - len(mine))
        rows, starts = np.asarray(mine, np.int32).T
        canvas = (length, native[1]) if vertical else (native[0], length)
        yield Layout(rows, starts, vertical, canvas, Window(0, 0, height, width), goal)


def mean(
    part: Callable[[Any], jax.Array], rows: Any, starts: Any, shape: tuple[int, ...], vertical: bool
) -> jax.Array:
    """The mean of overlapping windows `part(row)` `(c, h, w)` on a canvas of `shape`; 0 where there
    is none.
    """

    def add(total: Any, place: Any) -> Any:
        row, start = place
        window, real = part(jnp.maximum(row, 0)), (row >= 0).astype(jnp.float32)
        corner = (0, start, 0) if vertical else (0, 0, start)
        sums, counts = total
        sums += lax.dynamic_update_slice(jnp.zeros_like(sums), window * real, corner)
        counts += lax.dynamic_update_slice(
            jnp.zeros_like(counts), jnp.ones((1, *window.shape[1:])) * real, corner
        )
        return (sums, counts), None

    (sums, counts), _ = lax.scan(
        add, (jnp.zeros(shape), jnp.zeros((1, *shape[1:]))), (rows, starts)
    )
    return sums / jnp.maximum(counts, 1)


@functools.partial(jax.jit, static_argnames=("vertical", "canvas"))
def _merged(logits: jax.Array, rows: Any, starts: Any, vertical: bool, canvas: Size) -> jax.Array:
    return mean(lambda row: one(logits, row), rows, starts, (logits.shape[1], *canvas), vertical)[
        None
    ]


def merge_image_patches(
    segmentation_logits: Any, patch_offsets: Any, target_sizes: Any, size: Any
) -> list[jax.Array]:
    """Logits of whole images from those of their windows, whose overlaps are averaged.

    Args:
        segmentation_logits: `(windows, c, h, w)`.
        patch_offsets: (image, start, end) of each window, along the image's longer side.
        target_sizes: (height, width) of each image, and of its result `(c, height, width)`.
        size: the processor's `size`.
    """
    logits = _logits(segmentation_logits)
    results = []
    for layout in layouts(patch_offsets, target_sizes, size, (logits.shape[2], logits.shape[3])):
        merged = _merged(logits, layout.rows, layout.starts, layout.vertical, layout.canvas)
        results.append(jnp.asarray(resize_one(merged, 0, layout.goal, "bilinear", layout.inner)))
    return results


def unpad_image(segmentation_logits: Any, target_sizes: Any, size: Any) -> list[jax.Array]:
    """Logits `(c, height, width)` of each image, without the padding it had in the network.

    Args:
        segmentation_logits: `(b, c, h, w)`.
        target_sizes, size: as in `merge_image_patches`.
    """
    logits = _logits(segmentation_logits)
    results = []
    for i, goal in enumerate(sizes(target_sizes, len(logits)) or []):
        inner = Window(
            0,
            0,
            *(
                min(n, m)
                for n, m in zip(size_in_network(goal, size), logits.shape[2:], strict=True)
            ),
        )
        results.append(jnp.asarray(resize_one(logits, i, goal, "bilinear", inner)))
    return results


def _logits(value: Any) -> jax.Array:
    logits = array(value)
    if logits.ndim != 4:
        raise InputError(
            f"Expected logits (b, c, h, w), got shape {logits.shape} - at `segmentation_logits`."
        )
    return logits
