"""Calling a pipeline eagerly: images of any size through a handful of compiled programs."""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np

from jaxprep.pipeline.cores import on_cores
from jaxprep.pipeline.plan import Bucket, Plan, bucket_of, make_plan
from jaxprep.pipeline.run import move_positions, run_batch, run_one
from jaxprep.resample.buckets import bucket
from jaxprep.types import Size

if TYPE_CHECKING:
    from jaxprep.pipeline.pipeline import Pipeline


def run_images(
    pipeline: Pipeline, images: Sequence[np.ndarray] | np.ndarray, sizes: Sequence[Size]
) -> Any:
    """Images `(h, w, c)`, each in the top-left corner of its array, as one batch.

    Results of different sizes sit in the top-left corner of an array of zeros. What had to be put
    together on the host is a NumPy array, so that the caller may index it without compiling
    anything.
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
    groups: dict[Program, list[int]] = {}
    for i, (image, size) in enumerate(zip(images, sizes, strict=True)):
        dtype = jax.dtypes.canonicalize_dtype(image.dtype)
        stages = bucket_of(pipeline.segments, size)
        program = Program(
            stages, image.shape[-1], dtype, pipeline.exact, pipeline.writes_channels_first
        )
        groups.setdefault(program, []).append(i)
    whole = [pipeline.output_size(size) for size in sizes]
    joined = _Results(len(images), whole, pipeline.writes_channels_first)
    if len(groups) == 1:
        (program,) = groups
        if not runs_alone(program):
            done = _run_group(pipeline, program, images, sizes, groups[program])
            if (
                _cut_is_whole(done, len(images), whole[0], program.to_first)
                and len(set(whole)) == 1
            ):
                return done
            joined.add(groups[program], np.asarray(done))
            return joined.found
        if len(images) == 1 and program.stages[-1].out == whole[0]:
            return _run_alone(pipeline, program, images[0], sizes[0], _canvas(program))
    alone = []
    for program, members in groups.items():
        if runs_alone(program):
            alone += [(program, i) for i in members]
        else:
            joined.add(members, np.asarray(_run_group(pipeline, program, images, sizes, members)))

    def run(task: tuple[Program, int]) -> None:
        program, i = task
        done = _run_alone(pipeline, program, images[i], sizes[i], _own_canvas(program))
        joined.add([i], np.asarray(done))  # which waits: the canvas is free again

    on_cores(run, alone, key=lambda task: task[0])
    return joined.found


class Program(NamedTuple):
    """What an eager call compiles a program for."""

    stages: Bucket
    channels: int
    dtype: Any
    exact: bool
    to_first: bool


SMALL = 128 * 128
"""Pixels of a canvas up to which images are worth batching on CPU: a call costs as much as such an
image.
"""


def runs_alone(program: Program) -> bool:
    """Whether images go one by one, which is faster on CPU: what one needs stays in the cache of
    its core.
    """
    height, width = program.stages[0].source
    return jax.default_backend() == "cpu" and height * width > SMALL


def _run_alone(
    pipeline: Pipeline, program: Program, image: np.ndarray, size: Size, canvas: np.ndarray
) -> jax.Array:
    h, w = size
    canvas[0, :h, :w] = image[:h, :w]
    return run_one(
        _plan_of(pipeline, size, program.stages),
        canvas,
        exact=program.exact,
        to_first=program.to_first,
    )


def _canvas(program: Program) -> np.ndarray:
    return empty((1, *program.stages[0].source, program.channels), program.dtype)


KEPT = 2**26
"""Bytes of a canvas up to which a thread keeps them for its next image."""


def _own_canvas(program: Program) -> np.ndarray:
    """A canvas where this thread had its last one: in the cache of its core, and no page of it is
    new.
    """
    shape = (1, *program.stages[0].source, program.channels)
    count = int(np.prod(shape)) * np.dtype(program.dtype).itemsize
    if count > KEPT:
        return _canvas(program)
    if len(getattr(_last, "room", ())) < count:
        _last.room = empty((count,), np.uint8)
    return _last.room[:count].view(program.dtype).reshape(shape)


_last = threading.local()


@functools.lru_cache(maxsize=1024)
def _plan_of(pipeline: Pipeline, size: Size, stages: Bucket) -> Plan:
    """The plan of one image, on the device."""
    plan = jax.tree.map(
        lambda leaf: np.ascontiguousarray(leaf[0]), make_plan(pipeline.segments, [size], stages)
    )
    return jax.device_put(plan)


class _Results:
    """The results of a call, in their order: one array if all are of one size, otherwise a list."""

    def __init__(self, count: int, sizes: Sequence[Size], to_first: bool):
        self.sizes, self.to_first = sizes, to_first
        self.found: Any = [None] * count
        self.is_stacked = len(set(sizes)) == 1
        self.lock = threading.Lock()

    def add(self, members: Sequence[int], results: np.ndarray) -> None:
        """The results of `members`, on a canvas, maybe with some fill-ins after them."""
        if self.is_stacked:
            first = cut(results, self.sizes[0], self.to_first)
            with self.lock:
                if isinstance(self.found, list):
                    self.found = empty((len(self.found), *first.shape[1:]), first.dtype)
            for i, result in zip(members, first, strict=False):
                self.found[i] = result
        else:
            for i, result in zip(members, results, strict=False):
                self.found[i] = cut(result, self.sizes[i], self.to_first)


def _run_group(
    pipeline: Pipeline, program: Program, images: Any, sizes: Sequence[Size], members: list[int]
) -> jax.Array:
    """The results of the images that share a program, on its canvas, and of fill-ins up to a bucket
    of the batch.
    """
    count = bucket(len(members))
    height, width = program.stages[0].source
    is_canvas = isinstance(images, np.ndarray) and len(members) == len(images) == count
    if (
        is_canvas
        and images.shape[1:3] == (height, width)
        and all(size == (height, width) for size in sizes)
    ):
        canvas = images
    else:
        canvas = empty((count, height, width, program.channels), program.dtype)
        for slot, i in zip(canvas, members, strict=False):
            h, w = sizes[i]
            slot[:h, :w] = images[i][:h, :w]
        canvas[len(members) :] = 0
    rows = [sizes[i] for i in members] + [sizes[members[0]]] * (count - len(members))
    plan = make_plan(pipeline.segments, rows, program.stages)
    return run_batch(plan, jax.device_put(canvas), exact=program.exact, to_first=program.to_first)


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array that JAX takes over on CPU without a copy: at a multiple of 64 bytes. Do not write
    to it afterwards.

    What it holds is not defined: pixels outside of an image's size have no weight in any table.
    """
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    room = np.empty(count + 64, np.uint8)
    start = -room.ctypes.data % 64
    return room[start : start + count].view(dtype).reshape(shape)


def _cut_is_whole(batch: jax.Array, count: int, size: Size, to_first: bool) -> bool:
    return len(batch) == count and (batch.shape[2:] if to_first else batch.shape[1:3]) == size


def cut(batch: Any, size: Size, to_first: bool) -> Any:
    """The top-left `size` of results, batched or not."""
    height, width = size
    return batch[..., :height, :width] if to_first else batch[..., :height, :width, :]


def move_all(boxes: Any, keypoints: Any, maps: np.ndarray, sizes: np.ndarray) -> tuple[Any, Any]:
    """Boxes `(b, n, 4)` and keypoints `(b, n, 2)` through the maps of their images; a program per
    bucket of `b, n`.
    """
    given = [None if a is None else np.asarray(a, np.float32) for a in (boxes, keypoints)]
    roomy = [None if a is None else _padded(a, bucket(len(a)), bucket(a.shape[1])) for a in given]
    count = bucket(len(maps))
    moved = _move_all(*roomy, _padded(maps, count), _padded(sizes, count))
    return tuple(
        None if a is None else np.asarray(b)[: a.shape[0], : a.shape[1]]
        for a, b in zip(given, moved, strict=True)
    )  # type: ignore[return-value]


def _padded(array: np.ndarray, *shape: int) -> np.ndarray:
    return np.pad(
        array,
        [
            (0, m - n)
            for n, m in zip(array.shape, (*shape, *array.shape[len(shape) :]), strict=True)
        ],
    )


_move_all = jax.jit(jax.vmap(move_positions))
