"""EoMT's images in the network: their sizes there, the windows they were split into, and back.

Reproduces `models/eomt/image_processing_eomt.py` of Transformers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Float, Int

from jaxprep.errors import InputError
from jaxprep.postprocess.registry import method
from jaxprep.postprocess.resize_plan import Window, bucket, resize_image, take_image
from jaxprep.postprocess.results import as_array, edge_of, required_sizes
from jaxprep.types import Array, Size


def eomt_size(size: Any) -> Size:
    """Returns the height and width of EoMT's network input, from its `size` setting.

    Raises:
        InputError: no `shortest_edge`.

    >>> eomt_size({"shortest_edge": 640, "longest_edge": None})
    (640, 640)
    """
    shortest = edge_of(size, "shortest_edge")
    longest = edge_of(size, "longest_edge")
    if shortest is None:
        raise InputError(f"Expected `shortest_edge`, got {size!r} - at `size`.")
    return shortest, longest or shortest


def size_in_network(image: Size, size: Any) -> Size:
    """Returns the size that EoMT's preprocessing gives an image: that of DETR
    (`get_size_with_aspect_ratio` in `src/transformers/image_transforms.py`), in its arithmetic.

    >>> size_in_network((300, 400), {"shortest_edge": 150, "longest_edge": 150})
    (112, 150)
    """
    shortest, _ = eomt_size(size)
    longest = edge_of(size, "longest_edge")
    height, width = image
    shorter = min(image)
    longer = max(image)
    # The bound on the longer side gives a size that is no integer. The side that it is compared
    # with is rounded, the other is computed from what was not rounded, and truncated.
    unrounded: float = shortest
    if longest is not None and longer / shorter * shortest > longest:
        unrounded = longest * shorter / longer
        shortest = round(unrounded)
    if shorter == shortest:
        return image
    if height <= width:
        return shortest, int(unrounded * width / height)
    return int(unrounded * height / width), shortest


class Layout(NamedTuple):
    """Where the windows of one image lie.

    Attributes:
        rows: the indices of its windows in the batch; -1 for padding.
        starts: where they start along the longer side, in pixels.
        vertical: whether the longer side is the height.
        canvas: height and width on which they are merged; the longer one is a bucket.
        window: the part of the canvas that is the image in the network.
        size: height and width of the image.

    >>> rows = np.array([0, 1])
    >>> starts = np.array([0, 2])
    >>> Layout(rows, starts, False, (4, 6), Window(0, 0, 4, 6), (4, 6)).canvas
    (4, 6)
    """

    rows: np.ndarray
    starts: np.ndarray
    vertical: bool
    canvas: Size
    window: Window
    size: Size


def layouts(
    offsets: Any,
    target_sizes: Any,
    size: Any,
    window_size: Size,
) -> Iterator[Layout]:
    """Computes the layout of each image.

    Args:
        offsets: (image, start, end) of each window.
        target_sizes: (height, width) of each image.
        size: the processor's `size`.
        window_size: height and width of a window.

    Raises:
        InputError: as `results.required_sizes`.

    >>> size = {"shortest_edge": 4, "longest_edge": None}
    >>> (layout,) = layouts([(0, 0, 4), (0, 2, 6)], [(4, 6)], size, (4, 4))
    >>> layout.rows.tolist(), layout.starts.tolist(), layout.canvas
    ([0, 1], [0, 2], (4, 6))
    """
    windows = [tuple(map(int, offset)) for offset in offsets]
    # Every image has a window.
    last_image = max((image for image, _, _ in windows), default=-1)
    image_sizes = required_sizes(target_sizes, last_image + 1)
    window_height, window_width = window_size
    for i, image_size in enumerate(image_sizes):
        rows = []
        starts = []
        for row, (image, start, _) in enumerate(windows):
            if image == i:
                rows.append(row)
                starts.append(start)
        # Counts and lengths are buckets, so that images of many shapes share a program.
        padding = bucket(len(rows)) - len(rows)
        height, width = size_in_network(image_size, size)
        # A square image is split along its width: `>` as in `merge_image_patches`.
        vertical = image_size[0] > image_size[1]
        length = bucket(max(height, width, *window_size))
        canvas = (length, window_width) if vertical else (window_height, length)
        yield Layout(
            rows=np.asarray(rows + [-1] * padding, np.int32),
            starts=np.asarray(starts + [0] * padding, np.int32),
            vertical=vertical,
            canvas=canvas,
            window=Window(0, 0, height, width),
            size=image_size,
        )


def mean_of_windows(
    window_of: Callable[[Any], jax.Array],
    rows: Int[Array, " n"],
    starts: Int[Array, " n"],
    shape: tuple[int, ...],
    vertical: bool,
) -> Float[jax.Array, "c height width"]:
    """Averages overlapping windows on a canvas; pixels that no window covers are 0.

    Args:
        window_of: returns the window `(c, h, w)` of a row; one at a time is in memory.
        rows: which windows; those below 0 are padding.
        starts: where they start along the longer side.
        shape: of the canvas, `(c, height, width)`.
        vertical: whether the longer side is the height.

    >>> rows = starts = np.array([0, 1])
    >>> window_of = lambda row: jnp.ones((1, 1, 2)) * row
    >>> mean_of_windows(window_of, rows, starts, (1, 1, 3), vertical=False).ravel().tolist()
    [0.0, 0.5, 1.0]
    """
    _, height, width = shape
    start_sums = jnp.zeros(shape)
    start_counts = jnp.zeros((1, height, width))

    def add(total: tuple[jax.Array, jax.Array], row_and_start: Any) -> Any:
        sums, counts = total
        row, start = row_and_start
        is_real = (row >= 0).astype(jnp.float32)
        window = window_of(jnp.maximum(row, 0)) * is_real
        ones = jnp.ones((1, *window.shape[1:])) * is_real
        corner = (0, start, 0) if vertical else (0, 0, start)
        # Each window on an empty canvas, then added: an update in place would need a read first.
        sums += lax.dynamic_update_slice(jnp.zeros_like(sums), window, corner)
        counts += lax.dynamic_update_slice(jnp.zeros_like(counts), ones, corner)
        return (sums, counts), None

    # A scan: the windows of an image may be many, and are in memory one at a time.
    (sums, counts), _ = lax.scan(add, (start_sums, start_counts), (rows, starts))
    return sums / jnp.maximum(counts, 1)


@functools.partial(jax.jit, static_argnames=("vertical", "canvas"))
def _merged(
    logits: jax.Array,
    rows: Any,
    starts: Any,
    vertical: bool,
    canvas: Size,
) -> jax.Array:
    """One image of the mean of its windows, as a batch of one."""

    def window_of(row: Any) -> jax.Array:
        return take_image(logits, row)

    shape = (logits.shape[1], *canvas)
    merged = mean_of_windows(window_of, rows, starts, shape, vertical)
    return merged[None]


@method("EomtImageProcessor", "merge_image_patches", settings=["size"])
def merge_image_patches(
    segmentation_logits: Any,
    patch_offsets: Any,
    target_sizes: Any,
    size: Any,
) -> list[jax.Array]:
    """Merges the logits of windows to those of their images; overlaps are averaged.

    Args:
        segmentation_logits: `(windows, c, h, w)`.
        patch_offsets: (image, start, end) of each window, along the image's longer side.
        target_sizes: (height, width) of each image, and of its result.
        size: the processor's `size`.

    Returns:
        per image logits, float32 `(c, height, width)`.

    Raises:
        InputError: logits of another rank, or a size that is none.

    >>> size = {"shortest_edge": 4, "longest_edge": None}
    >>> logits = np.ones((2, 3, 4, 4), np.float32)
    >>> merge_image_patches(logits, [(0, 0, 4), (0, 2, 6)], [(4, 6)], size)[0].shape
    (3, 4, 6)
    """
    logits = _logits(segmentation_logits)
    window_size = (logits.shape[2], logits.shape[3])
    results = []
    for layout in layouts(patch_offsets, target_sizes, size, window_size):
        merged = _merged(logits, layout.rows, layout.starts, layout.vertical, layout.canvas)
        resized = resize_image(merged, 0, layout.size, "bilinear", layout.window)
        results.append(jnp.asarray(resized))
    return results


@method("EomtImageProcessor", "unpad_image", settings=["size"])
def unpad_image(segmentation_logits: Any, target_sizes: Any, size: Any) -> list[jax.Array]:
    """Resizes the logits of each image, without the padding that it had in the network.

    Args:
        segmentation_logits: `(b, c, h, w)`.
        target_sizes: (height, width) of each image, and of its result.
        size: the processor's `size`.

    Returns:
        per image logits, float32 `(c, height, width)`.

    Raises:
        InputError: logits of another rank, or a size that is none.

    >>> size = {"shortest_edge": 8, "longest_edge": 8}
    >>> unpad_image(np.ones((1, 3, 8, 8), np.float32), [(10, 20)], size)[0].shape
    (3, 10, 20)
    """
    logits = _logits(segmentation_logits)
    network = (logits.shape[2], logits.shape[3])
    image_sizes = required_sizes(target_sizes, len(logits))
    results = []
    for i, image_size in enumerate(image_sizes):
        window = Window.at_top_left(size_in_network(image_size, size), network)
        resized = resize_image(logits, i, image_size, "bilinear", window)
        results.append(jnp.asarray(resized))
    return results


def _logits(value: Any) -> jax.Array:
    logits = as_array(value)
    if logits.ndim != 4:
        raise InputError(
            f"Expected logits (b, c, h, w), got shape {logits.shape} - at `segmentation_logits`."
        )
    return logits
