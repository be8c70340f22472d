"""Calling a pipeline eagerly: images of any size through a handful of compiled programs.

An image is copied to a *canvas*, whose size is one of a few; its tap tables are padded to the
shapes of the program for that canvas, and the result is cut to its size. On CPU a large image runs
alone, on one thread, so that all of it stays in the cache of a core; small ones run together.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxprep.errors import InputError
from jaxprep.pipeline.cores import core_count, on_cores
from jaxprep.pipeline.lower import Lowered, output_channels, static_sizes
from jaxprep.pipeline.plan import (
    as_sizes,
    bucket_of,
    image_tables,
    make_plan,
    read_window,
    result_size,
)
from jaxprep.pipeline.positions import is_axis_aligned, move_positions, position_matrix
from jaxprep.pipeline.program import Program, run_batch, run_one
from jaxprep.pipeline.ragged import Ragged
from jaxprep.pipeline.segment import Segment
from jaxprep.resample.cache import cached
from jaxprep.resample.tables import bucket
from jaxprep.types import Batch, Size

SMALL_CANVAS = 128 * 128
"""Pixels of a canvas up to which images are worth batching on CPU: a call costs as much as such an
image."""
KEPT_BYTES = 2**26
"""Bytes of a canvas up to which a thread keeps it for its next image."""


def program_of(lowered: Lowered, size: Size, channels: int, dtype: Any) -> Program:
    """Returns the program that serves an image of `size`.

    >>> from jaxprep import Pipeline, ops
    >>> lowered = Pipeline((ops.Resize((2, 2)),)).lowered
    >>> program_of(lowered, (100, 80), 3, np.uint8).stages[0].source
    (128, 128)
    """
    stages = bucket_of(lowered.segments, size, None, lowered.exact_sizes)
    fills_canvas = lowered.exact_sizes or static_sizes(lowered.segments)[-1] is not None
    dtype = jax.dtypes.canonicalize_dtype(dtype)
    return Program(stages, lowered.exact, lowered.layout, fills_canvas, channels, dtype)


def run_image(lowered: Lowered, image: np.ndarray, size: Size) -> jax.Array:
    """Runs one image, in the top-left corner of its array, and returns its result.

    >>> from jaxprep import Pipeline, ops
    >>> lowered = Pipeline((ops.Resize((2, 2)),)).lowered
    >>> run_image(lowered, np.ones((9, 7, 3), np.uint8), (9, 7)).shape
    (2, 2, 3)
    """
    program = program_of(lowered, size, image.shape[-1], image.dtype)
    if not runs_alone(program):
        return run_images(lowered, image[None], [size]).stacked()[0]
    # an image as large as its canvas needs no copy of ours: JAX takes its array as it is
    is_canvas = image.shape[:2] == program.stages[0].source
    canvas = image
    if not is_canvas:
        window = read_window(lowered.segments, size)
        canvas = _kept_canvas(program)
        canvas[: window.height, : window.width] = window.of(image)
    tables, out = _tables_on_device(lowered.segments, size, program.stages, not is_canvas)
    result = run_one(program, canvas, tables, None if program.fills_canvas else out)
    # the next call of this thread writes to the same canvas: without waiting, results would mix
    result.block_until_ready()
    wanted = result_size(lowered.segments, size)
    if program.stages[-1].out == wanted:
        return result
    return jax.device_put(np.asarray(result)[_corner(program, wanted, result.shape)])


def run_images(
    lowered: Lowered, images: Sequence[np.ndarray] | np.ndarray, sizes: Sequence[Size]
) -> Ragged:
    """Runs images `(h, w, c)`, each in the top-left corner of its array.

    What had to be put together on the host is a NumPy array, so that the caller may index it
    without compiling anything.

    >>> from jaxprep import Pipeline, ops
    >>> lowered = Pipeline((ops.Resize((2, 2)),)).lowered
    >>> images = [np.ones((9, 7, 3), np.uint8), np.ones((5, 8, 3), np.uint8)]
    >>> run_images(lowered, images, [(9, 7), (5, 8)]).stacked().shape
    (2, 2, 2, 3)
    """
    # images that share a program run one after the other, without waiting for a compilation
    members: dict[Program, list[int]] = {}
    for i, (image, size) in enumerate(zip(images, sizes, strict=True)):
        program = program_of(lowered, size, image.shape[-1], image.dtype)
        members.setdefault(program, []).append(i)
    wanted = [result_size(lowered.segments, size) for size in sizes]
    results = _Results(wanted)
    if len(members) == 1:
        (program,) = members
        is_batch = isinstance(images, np.ndarray) and images.shape[1:3] == program.stages[0].source
        # with one core, a loop in one program saves a copy of each image and of each result
        if not runs_alone(program) or (is_batch and core_count() == 1):
            batch = _run_group(lowered, program, images, sizes, members[program])
            is_whole = len(batch) == len(images) and program.stages[-1].out == wanted[0]
            if is_whole and len(set(wanted)) == 1:
                return Ragged(batch)
            results.add(program, members[program], np.asarray(batch))
            return Ragged(results.arrays)
    alone = []
    for program, group in members.items():
        if runs_alone(program):
            alone += [(program, i) for i in group]
        else:
            batch = _run_group(lowered, program, images, sizes, group)
            results.add(program, group, np.asarray(batch))

    def run(task: tuple[Program, int]) -> None:
        program, i = task
        window = read_window(lowered.segments, sizes[i])
        canvas = _kept_canvas(program)
        canvas[: window.height, : window.width] = window.of(images[i])
        tables, out = _tables_on_device(lowered.segments, sizes[i], program.stages, True)
        result = run_one(program, canvas, tables, None if program.fills_canvas else out)
        result = np.asarray(result)  # waits for it: the canvas is free again
        results.add(program, [i], result[None])

    on_cores(run, alone, key=lambda task: task[0])
    return Ragged(results.arrays)


def runs_alone(program: Program) -> bool:
    """Returns whether images go one by one, which is faster on CPU: what one needs stays in the
    cache of its core.

    >>> from jaxprep import Pipeline, ops
    >>> lowered = Pipeline((ops.Resize((2, 2)),)).lowered
    >>> runs_alone(program_of(lowered, (100, 80), 3, np.uint8))
    False
    """
    height, width = program.stages[0].source
    return jax.default_backend() == "cpu" and height * width > SMALL_CANVAS


@cached()
def _tables_on_device(
    segments: tuple[Segment, ...], size: Size, stages: Any, is_windowed: bool
) -> Any:
    """The tables of one image and the size of its result, on the device."""
    tables = image_tables(segments, size, stages, is_windowed)
    out = np.asarray(result_size(segments, size), np.int32)
    return jax.device_put((jax.tree.map(np.ascontiguousarray, tables), out))


def _run_group(
    lowered: Lowered, program: Program, images: Any, sizes: Sequence[Size], members: list[int]
) -> jax.Array:
    """The results of the images that share a program, on its canvas, and of fill-ins up to a
    bucket of the batch."""
    count = bucket(len(members))
    source = program.stages[0].source
    is_batch = isinstance(images, np.ndarray) and len(members) == len(images) == count
    fills_source = is_batch and all(size == source == images.shape[1:3] for size in sizes)
    canvases = images
    if not fills_source:
        canvases = _new_array((count, *source, program.channels or 0), program.dtype)
        for slot, i in zip(canvases, members, strict=False):
            window = read_window(lowered.segments, sizes[i])
            slot[: window.height, : window.width] = window.of(images[i])
        canvases[len(members) :] = 0
    rows = [sizes[i] for i in members]
    rows += rows[:1] * (count - len(members))
    plan = make_plan(lowered.steps, lowered.segments, rows, program.stages, not fills_source)
    out = None if program.fills_canvas else plan.size
    results = run_batch(program, jax.device_put(canvases), plan.tables, out)
    if fills_source:
        # JAX reads an aligned array of the caller in place, who may overwrite it after the call
        results.block_until_ready()
    return results


class _Results:
    """The results of a call, in their order: one array if all are of one size, else a list."""

    def __init__(self, sizes: Sequence[Size]):
        self.sizes = sizes
        self.arrays: Any = [None] * len(sizes)
        self.is_stacked = len(set(sizes)) == 1
        self.lock = threading.Lock()

    def add(self, program: Program, members: Sequence[int], batch: np.ndarray) -> None:
        """Adds the results of `members`, on a canvas, maybe with some fill-ins after them."""
        for i, result in zip(members, batch, strict=False):
            cut = result[_corner(program, self.sizes[i], result.shape)]
            if self.is_stacked:
                self._array(cut)[i] = cut
            else:
                self.arrays[i] = cut

    def _array(self, like: np.ndarray) -> np.ndarray:
        with self.lock:
            if isinstance(self.arrays, list):
                self.arrays = _new_array((len(self.arrays), *like.shape), like.dtype)
        return self.arrays


def _corner(program: Program, size: Size, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Where the result of an image whose own size is `size` lies in a result of `shape`."""
    if program.layout is None:
        return tuple(slice(n) for n in (*size, shape[-1]))
    if program.layout.planar:
        return tuple(slice(n) for n in (shape[0], *size))
    segments = [stage.segment for stage in program.stages]
    channels = output_channels(segments, program.channels or 0)
    return tuple(slice(n) for n in program.layout.shape(size, channels))


_thread = threading.local()


def _kept_canvas(program: Program) -> np.ndarray:
    """A canvas where this thread had its last one: in the cache of its core, and no page of it is
    new."""
    shape = (*program.stages[0].source, program.channels or 0)
    count = int(np.prod(shape)) * np.dtype(program.dtype).itemsize
    if count > KEPT_BYTES:
        return _new_array(shape, program.dtype)
    if len(getattr(_thread, "bytes", ())) < count:
        _thread.bytes = _new_array((count,), np.uint8)
    return _thread.bytes[:count].view(program.dtype).reshape(shape)


def _new_array(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array that JAX takes over on CPU without a copy: at a multiple of 64 bytes. Do not write
    to it while a program may still read it: wait with `block_until_ready`.

    What it holds is not defined: pixels outside of an image's size have no weight in any table.
    """
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    buffer = np.empty(count + 64, np.uint8)
    start = -buffer.ctypes.data % 64
    return buffer[start : start + count].view(dtype).reshape(shape)


def move_all(
    lowered: Lowered, boxes: Any, keypoints: Any, sizes: Sequence[Size]
) -> tuple[Any, Any]:
    """Moves boxes `(b, n, 4)` and keypoints `(b, n, 2)` of images of `sizes`; a program per bucket
    of `b` and `n`.

    >>> from jaxprep import Pipeline, ops
    >>> lowered = Pipeline((ops.Resize((4, 4)),)).lowered
    >>> boxes, _ = move_all(lowered, np.ones((1, 1, 4)), None, [(2, 2)])
    >>> boxes.tolist()
    [[[2.0, 2.0, 2.0, 2.0]]]
    """
    matrices = np.asarray([position_matrix(lowered.segments, size) for size in sizes], np.float32)
    ends = np.asarray([result_size(lowered.segments, size) for size in sizes])
    given = [None if a is None else np.asarray(a, np.float32) for a in (boxes, keypoints)]
    padded = [None if a is None else _pad_to(a, bucket(len(a)), bucket(a.shape[1])) for a in given]
    count = bucket(len(sizes))
    aligned = is_axis_aligned(lowered.segments)
    moved = _move_all(*padded, _pad_to(matrices, count), _pad_to(ends, count), aligned)
    cut = []
    for before, after in zip(given, moved, strict=True):
        cut.append(None if before is None else np.asarray(after)[: len(before), : before.shape[1]])
    return cut[0], cut[1]


def _pad_to(array: np.ndarray, *shape: int) -> np.ndarray:
    wanted = (*shape, *array.shape[len(shape) :])
    return np.pad(array, [(0, m - n) for n, m in zip(array.shape, wanted, strict=True)])


@functools.partial(jax.jit, static_argnums=4)
def _move_all(boxes: Any, keypoints: Any, matrices: Any, sizes: Any, aligned: bool) -> Any:
    move = functools.partial(move_positions, is_axis_aligned=aligned)
    return jax.vmap(move)(boxes, keypoints, matrices, sizes)


# -- batches ---------------------------------------------------------------------------------------


def run(lowered: Lowered, batch: Batch) -> Batch:
    """Runs a batch, or one image, called eagerly; see `Pipeline.__call__`.

    >>> from jaxprep import Pipeline, ops
    >>> run(Pipeline((ops.Flip(),)).lowered, Batch(image=np.arange(2).reshape(1, 2, 1))).image.shape
    (1, 2, 1)
    """
    is_single = batch.image.ndim == 3
    images = np.asarray(batch.image)
    if lowered.reads_channels_first:
        images = np.moveaxis(images, -3, -1)
    images = images[None] if is_single else images
    sizes = _sizes_of(batch, images)
    image = _run_batch_images(lowered, images, sizes, is_single)
    boxes, keypoints = batch.boxes, batch.keypoints
    if boxes is not None or keypoints is not None:
        many = [_with_batch_axis(array, is_single) for array in (boxes, keypoints)]
        boxes, keypoints = move_all(lowered, many[0], many[1], sizes)
        boxes, keypoints = (_first(array, is_single) for array in (boxes, keypoints))
    extras = dict(batch.extras)
    for name in lowered.kinds:
        if name in extras:
            masks = _with_batch_axis(extras[name], is_single)
            extras[name] = _first(_run_masks(lowered.mask, masks, sizes), is_single)
    size = None
    if batch.size is not None:
        results = [result_size(lowered.segments, size) for size in sizes]
        size = _first(np.asarray(results, np.int32), is_single)
    # `device_put`, not `asarray`, which compiles a program for every shape
    boxes, keypoints = jax.device_put((boxes, keypoints))
    return batch.replace(image=image, boxes=boxes, keypoints=keypoints, size=size, extras=extras)


def _run_batch_images(
    lowered: Lowered, images: np.ndarray, sizes: Sequence[Size], is_single: bool
) -> jax.Array:
    if is_single:
        return run_image(lowered, images[0], sizes[0])
    return jax.device_put(run_images(lowered, images, sizes).padded())


def _run_masks(mask: Lowered, masks: np.ndarray, sizes: Sequence[Size]) -> Any:
    """Runs masks `(b, h, w)` or `(b, h, w, c)` through the steps for masks."""
    if masks.ndim == 4:
        return jax.device_put(run_images(mask, masks, sizes).padded())
    moved = np.asarray(run_images(mask, masks[..., None], sizes).padded())
    return jax.device_put(moved[..., 0])


def _sizes_of(batch: Batch, images: np.ndarray) -> list[Size]:
    canvas: Size = images.shape[1:3]
    if batch.size is None:
        return [canvas] * len(images)
    sizes = as_sizes(np.atleast_2d(np.asarray(batch.size)))
    fits = all(height <= canvas[0] and width <= canvas[1] for height, width in sizes)
    if len(sizes) != len(images) or not fits:
        raise InputError(
            f"Expected one size for each of the {len(images)} images, inside {canvas}, got {sizes}."
        )
    return sizes


def _with_batch_axis(array: Any, is_single: bool) -> Any:
    if array is None:
        return None
    return np.asarray(array)[None] if is_single else np.asarray(array)


def _first(array: Any, is_single: bool) -> Any:
    return array[0] if is_single and array is not None else array
