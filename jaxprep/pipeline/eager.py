"""Calling a pipeline eagerly: images of any size through a handful of compiled programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxprep.pipeline.plan import Bucket, bucket_of, make_plan
from jaxprep.pipeline.run import move_positions, run_batch
from jaxprep.resample.buckets import bucket
from jaxprep.types import Size

if TYPE_CHECKING:
    from jaxprep.pipeline.pipeline import Pipeline


def run_images(pipeline: Pipeline, images: Sequence[np.ndarray] | np.ndarray, sizes: Sequence[Size]) -> Any:
    """Images `(h, w, c)`, each in the top-left corner of its array, as one batch.

    Results of different sizes sit in the top-left corner of an array of zeros. What had to be put together on the host
    is a NumPy array, so that the caller may index it without compiling anything.
    """
    results = _run_each(pipeline, images, sizes)
    if not isinstance(results, list):
        return results
    axis = 1 if pipeline.writes_channels_first else 0
    height, width = (max(result.shape[axis + i] for result in results) for i in (0, 1))
    shape = (results[0].shape[0], height, width) if axis else (height, width, results[0].shape[-1])
    room = np.zeros((len(results), *shape), results[0].dtype)
    for slot, result in zip(room, results, strict=True):
        slot[tuple(slice(n) for n in result.shape)] = result
    return room


def run_each(
    pipeline: Pipeline, images: Sequence[np.ndarray] | np.ndarray, sizes: Sequence[Size]
) -> jax.Array | list[np.ndarray]:
    """One batch where all results are of one size; otherwise the results one by one."""
    results = _run_each(pipeline, images, sizes)
    return results if isinstance(results, list) else jax.device_put(results)


def _run_each(
    pipeline: Pipeline, images: Sequence[np.ndarray] | np.ndarray, sizes: Sequence[Size]
) -> jax.Array | np.ndarray | list[np.ndarray]:
    groups: dict[tuple[Bucket, int, Any], list[int]] = {}
    for i, (image, size) in enumerate(zip(images, sizes, strict=True)):
        key = (bucket_of(pipeline.segments, size), image.shape[-1], jax.dtypes.canonicalize_dtype(image.dtype))
        groups.setdefault(key, []).append(i)
    done = [(members, _run_group(pipeline, *key, images, sizes, members)) for key, members in groups.items()]
    whole = [pipeline.output_size(size) for size in sizes]
    if len(set(whole)) == 1:
        return _joined(done, len(images), whole[0], pipeline.writes_channels_first)
    results: list[Any] = [None] * len(images)
    for members, batch in done:
        for row, i in zip(np.asarray(batch), members, strict=False):
            results[i] = cut(row, whole[i], pipeline.writes_channels_first)
    return results


def _run_group(
    pipeline: Pipeline,
    stages: Bucket,
    channels: int,
    dtype: Any,
    images: Any,
    sizes: Sequence[Size],
    members: list[int],
) -> jax.Array:
    """The results of the images that share a program, on its canvas, and of fill-ins up to a bucket of the batch."""
    count = bucket(len(members))
    height, width = stages[0].source
    is_canvas = isinstance(images, np.ndarray) and len(members) == len(images) == count
    if is_canvas and images.shape[1:3] == (height, width) and all(size == (height, width) for size in sizes):
        canvas = images
    else:
        canvas = empty((count, height, width, channels), dtype)
        for slot, i in zip(canvas, members, strict=False):
            h, w = sizes[i]
            slot[:h, :w] = images[i][:h, :w]
        canvas[len(members) :] = 0
    rows = [sizes[i] for i in members] + [sizes[members[0]]] * (count - len(members))
    plan = make_plan(pipeline.segments, rows, stages)
    return run_batch(
        plan,
        jax.device_put(canvas),
        np.int32(len(members)),
        exact=pipeline.exact,
        to_first=pipeline.writes_channels_first,
        one_by_one=jax.default_backend() == "cpu",
    )


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array that JAX takes over on CPU without a copy: at a multiple of 64 bytes. Do not write to it afterwards.

    What it holds is not defined: pixels outside of an image's size have no weight in any table.
    """
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.empty(count + 64, np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + count].view(dtype).reshape(shape)


def _joined(done: list[tuple[list[int], jax.Array]], count: int, size: Size, to_first: bool) -> Any:
    """The rows of all groups in their order; on the host, where nothing is compiled for it."""
    members, batch = done[0]
    if len(done) == 1 and _cut_is_whole(batch, count, size, to_first):
        return batch
    first = cut(np.asarray(batch), size, to_first)
    if len(done) == 1:
        return first[:count]
    result = empty((count, *first.shape[1:]), first.dtype)
    for members, batch in done:
        result[members] = cut(np.asarray(batch), size, to_first)[: len(members)]
    return result


def _cut_is_whole(batch: jax.Array, count: int, size: Size, to_first: bool) -> bool:
    return len(batch) == count and (batch.shape[2:] if to_first else batch.shape[1:3]) == size


def cut(batch: Any, size: Size, to_first: bool) -> Any:
    """The top-left `size` of results, batched or not."""
    height, width = size
    return batch[..., :height, :width] if to_first else batch[..., :height, :width, :]


def move_all(boxes: Any, keypoints: Any, maps: np.ndarray, sizes: np.ndarray) -> tuple[Any, Any]:
    """Boxes `(b, n, 4)` and keypoints `(b, n, 2)` through the maps of their images; a program per bucket of `b, n`."""
    given = [None if a is None else np.asarray(a, np.float32) for a in (boxes, keypoints)]
    roomy = [None if a is None else _padded(a, bucket(len(a)), bucket(a.shape[1])) for a in given]
    count = bucket(len(maps))
    moved = _move_all(*roomy, _padded(maps, count), _padded(sizes, count))
    return tuple(
        None if a is None else np.asarray(b)[: a.shape[0], : a.shape[1]] for a, b in zip(given, moved, strict=True)
    )  # type: ignore[return-value]


def _padded(array: np.ndarray, *shape: int) -> np.ndarray:
    return np.pad(array, [(0, m - n) for n, m in zip(array.shape, (*shape, *array.shape[len(shape) :]), strict=True)])


_move_all = jax.jit(jax.vmap(move_positions))
