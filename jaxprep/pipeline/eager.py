"""Calling a pipeline eagerly: images of any size through a handful of compiled programs.

An image is copied to a *canvas*, whose size is one of a few; its tap tables are padded to the
shapes of the program for that canvas, and the result is cut to its size. On CPU a large image runs
alone, on one thread, so that all of it stays in the cache of a core; small ones run together.
"""

from __future__ import annotations

import functools
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import numpy as np

from jaxprep.bounds import cached, check_shape, programs
from jaxprep.errors import InputError
from jaxprep.pipeline.cores import Fork, core_count, on_cores, refuse_fork
from jaxprep.pipeline.lower import Lowered, output_channels
from jaxprep.pipeline.placement import Placement, placement_of
from jaxprep.pipeline.plan import (
    as_sizes,
    bucket_of,
    image_tables,
    make_plan,
    read_window,
    result_size,
)
from jaxprep.pipeline.positions import is_axis_aligned, move_positions, position_matrix, visible
from jaxprep.pipeline.program import Program, run_batch, run_one
from jaxprep.pipeline.ragged import Ragged
from jaxprep.pipeline.segment import Segment
from jaxprep.resample.engines.cpu import new_array
from jaxprep.resample.tables import bucket
from jaxprep.settings import default_device, platform_of
from jaxprep.types import Batch, Size

SMALL_CANVAS = 128 * 128
"""Pixels of a canvas up to which images are worth batching on CPU: a call costs as much as such an
image."""
MAX_GROUP = 64
"""Images that go together: what they take is bounded, and so are the buckets of their number."""
KEPT_BYTES = 2**26
"""Bytes of a canvas up to which a thread keeps it for its next image."""


def program_of(
    lowered: Lowered,
    size: Size,
    channels: int,
    dtype: Any,
    *,
    may_share: bool = True,
    count: int = 1,
) -> Program:
    """Returns the program that serves an image of `size`: that of its bucket, or one that is ready
    and large enough; see `_ReadyPrograms`.

    Args:
        may_share: otherwise it is that of the bucket, whatever is ready.
        count: how many images of this size are there.

    >>> from jaxprep import Pipeline, ops
    >>> lowered = Pipeline((ops.Resize((2, 2)),)).lowered
    >>> program_of(lowered, (100, 80), 3, np.uint8, may_share=False).stages[0].source
    (128, 128)
    """
    stages = bucket_of(lowered.segments, size, None, lowered.exact_sizes)
    layout = lowered.layout
    stores_views = layout is not None and layout.stores_views
    # results are cut to their sizes on the host: nobody looks at what lies outside
    program = Program(
        stages,
        lowered.exact,
        None if stores_views else layout,
        channels=channels,
        dtype=jax.dtypes.canonicalize_dtype(dtype),
        planar=layout is not None and stores_views and layout.by_channel,
    )
    # a step that sees the whole array of an image takes no larger one
    if not may_share or lowered.exact_sizes:
        return program
    return _ready.choose(program, count)


OFTEN = 16
"""Images that go through a larger program that is ready before their own one is compiled: that
takes as long as tens of images. 50 photographs of random sizes compile 1 to 4 programs of Qwen2-VL
for 11 to 13, 6 to 8 of LLaVA-NeXT for 27 to 29, and take a third of the time."""
MOST_WORK = 16
"""A program that computes more than so many times what an image needs does not stand in for its
own: icons beside a photograph of 12 megapixels."""


class _ReadyPrograms:
    """The programs that are compiled, or about to be, and what else they serve: bit for bit, as
    tables are padded and results cut. Threads may share it.

    An image whose own program is not ready goes through the one that computes least of those that
    can serve it. Its own one is compiled if there is none, or once `OFTEN` images wanted it; never
    where a program that was compiled ahead, by `warm_up`, can serve it.
    """

    def __init__(self) -> None:
        self.ahead: set[Program] = set()
        self.programs: set[Program] = set()
        self.wanted: Counter[Program] = Counter()
        self.stand_ins: dict[Program, tuple[Program | None, bool]] = {}
        self.lock = threading.Lock()

    def add_ahead(self, programs: Iterable[Program]) -> None:
        with self.lock:
            self.ahead.update(programs)
            self.programs.update(self.ahead)
            self.stand_ins.clear()

    def forget(self) -> None:
        with self.lock:
            self.ahead.clear()
            self._forget_calls()

    def choose(self, own: Program, count: int) -> Program:
        """The program for `count` images whose own one is given."""
        if own in self.programs:
            return own
        with self.lock:
            found = self.stand_ins.get(own)
            if found is None:
                found = self.stand_ins[own] = self._stand_in(own)
            stand_in, is_ahead = found
            self.wanted[own] += count
            if stand_in is not None and (is_ahead or self.wanted[own] < OFTEN):
                return stand_in
            # as many as are kept compiled: then what was noted says nothing any more
            if len(self.wanted) > programs().limit:
                self._forget_calls()
            self.programs.add(own)
            self.stand_ins.clear()
            return own

    def _stand_in(self, own: Program) -> tuple[Program | None, bool]:
        """The program that stands in for one that is not ready, and whether one that was compiled
        ahead can."""
        able = [other for other in self.programs if other.serves(own)]
        is_ahead = not self.ahead.isdisjoint(able)
        if not is_ahead:
            able = [other for other in able if other.work <= MOST_WORK * own.work]
        return min(able, key=lambda other: other.work, default=None), is_ahead

    def _forget_calls(self) -> None:
        self.programs = set(self.ahead)
        self.wanted.clear()
        self.stand_ins.clear()


_ready = _ReadyPrograms()


def add_ready(programs: Iterable[Program]) -> None:
    """Notes programs that are compiled ahead, so that images which they serve compile nothing.

    >>> add_ready([])
    """
    _ready.add_ahead(programs)


def forget_ready() -> None:
    """Forgets which programs are ready.

    >>> forget_ready()
    """
    _ready.forget()


def _on_host(lowered: Lowered, program: Program, size: Size, result: np.ndarray) -> np.ndarray:
    """The result of an image whose own result is of `size`, as a view of that of its canvas.

    A layout that only moves axes is not part of the program: the one copy that takes a result to
    where it belongs moves them too, and nothing is computed for the rest of the canvas (16
    photographs of Qwen2-VL: 51 ms, and 58 in the program).
    """
    own = result[_corner(program, size, result.shape)]
    layout = lowered.layout
    if layout is None or not layout.stores_views:
        return own
    image = np.moveaxis(own, 0, -1) if program.planar else own
    return layout.store(image)


def check_stored(lowered: Lowered, results: Sequence[Size], channels: int) -> None:
    """Raises `InputError` where the layout would store too much of results of these sizes, before
    memory is taken for any.

    Args:
        channels: of the images that come in.

    >>> from jaxprep import Pipeline, ops
    >>> check_stored(Pipeline((ops.Resize((28, 28)), ops.Patches(14))).lowered, [(28, 28)], 3)
    """
    layout = lowered.layout
    if layout is None:
        return
    channels = output_channels(lowered.segments, channels)
    for size in set(results):
        check_shape(layout.shape(size, channels), (*size, channels), type(layout).__name__)


def run_image(
    lowered: Lowered,
    image: np.ndarray,
    size: Size,
    placement: Placement = None,
    program: Program | None = None,
) -> jax.Array:
    """Runs one image, in the top-left corner of its array, on the device of `placement`, and
    returns its result.

    Args:
        program: one that serves the image and runs it alone; by default that of `program_of`.

    >>> from jaxprep import Pipeline, ops
    >>> lowered = Pipeline((ops.Resize((2, 2)),)).lowered
    >>> run_image(lowered, np.ones((9, 7, 3), np.uint8), (9, 7)).shape
    (2, 2, 3)
    """
    if Fork.is_broken:
        refuse_fork()
    if program is None:
        program = program_of(lowered, size, image.shape[-1], image.dtype)
    if not runs_alone(program, placement):
        results = run_images(lowered, image[None], [size], placement)
        if isinstance(results.results, np.ndarray):  # of a size of its own: JAX would compile `[0]`
            return jax.device_put(results.results[0], placement)
        return _only_one(results.stacked(), placement)
    wanted = result_size(lowered.segments, size)
    check_stored(lowered, [wanted], image.shape[-1])
    # an image as large as its canvas needs no copy of ours: JAX takes its array as it is
    is_canvas = image.shape[:2] == program.stages[0].source
    canvas = image
    if not is_canvas:
        canvas = _kept_canvas(program)
        _copy_read_pixels(lowered, image, size, canvas)
    device = default_device() if placement is None else placement
    tables = _tables_on_device(
        lowered.segments, size, program.stages, not is_canvas, placement, device
    )
    if placement is not None:
        canvas = jax.device_put(canvas, placement)
    result = run_one(program, canvas, tables)
    # the next call of this thread writes to the same canvas: without waiting, results would mix
    result.block_until_ready()
    if program.stages[-1].out == wanted and program.layout == lowered.layout:
        return result
    own = _on_host(lowered, program, wanted, np.asarray(result))
    return jax.device_put(np.ascontiguousarray(own), placement)


def run_program(
    lowered: Lowered, program: Program, images: Sequence[np.ndarray], sizes: Sequence[Size]
) -> None:
    """Runs images through one program that serves all of them, as calls do, so that it is compiled.

    >>> from jaxprep import Pipeline, ops
    >>> lowered = Pipeline((ops.Resize((2, 2)),)).lowered
    >>> program = program_of(lowered, (9, 7), 3, np.uint8)
    >>> run_program(lowered, program, [np.ones((9, 7, 3), np.uint8)], [(9, 7)])
    """
    if Fork.is_broken:
        refuse_fork()
    if len(images) == 1 and runs_alone(program):
        run_image(lowered, images[0], sizes[0], program=program)
        return
    batch = _run_group(lowered, program, images, sizes, list(range(len(images))), None)
    jax.block_until_ready(_only_one(batch, None) if len(images) == 1 else batch)


def _only_one(batch: jax.Array, placement: Placement) -> jax.Array:
    """Takes the result of one image out of its batch: on CPU as a view, elsewhere by a program of
    JAX, which is compiled for each shape."""
    if platform_of(placement) == "cpu":
        return jax.device_put(np.asarray(batch)[0], placement)
    return batch[0]


def _copy_read_pixels(
    lowered: Lowered,
    image: np.ndarray,
    size: Size,
    canvas: np.ndarray,
) -> None:
    """Copies the pixels of an image that the segments read to the corner of a canvas."""
    window = read_window(lowered.segments, size)
    canvas[: window.height, : window.width] = window.of(image)


def run_images(
    lowered: Lowered,
    images: Sequence[np.ndarray] | np.ndarray,
    sizes: Sequence[Size],
    placement: Placement = None,
    store: Store | None = None,
) -> Ragged:
    """Runs images `(h, w, c)`, each in the top-left corner of its array, on the device of
    `placement`.

    What had to be put together on the host is a NumPy array, so that the caller may index it
    without compiling anything.

    Args:
        store: takes each result as soon as it is there, and nothing is returned: large results of
            many images then need no memory beside that of the caller.

    >>> from jaxprep import Pipeline, ops
    >>> lowered = Pipeline((ops.Resize((2, 2)),)).lowered
    >>> images = [np.ones((9, 7, 3), np.uint8), np.ones((5, 8, 3), np.uint8)]
    >>> run_images(lowered, images, [(9, 7), (5, 8)]).stacked().shape
    (2, 2, 2, 3)
    """
    if Fork.is_broken:
        refuse_fork()
    # images that share a program run one after the other, without waiting for a compilation
    members: dict[Program, list[int]] = {}
    for i, program in enumerate(_programs_of(lowered, images, sizes)):
        members.setdefault(program, []).append(i)
    wanted = [result_size(lowered.segments, size) for size in sizes]
    for channels in {image.shape[-1] for image in images}:
        check_stored(lowered, wanted, channels)
    results = _Results(lowered, wanted, store)
    if len(members) == 1:
        [(program, group)] = members.items()
        is_batch = isinstance(images, np.ndarray) and images.shape[1:3] == program.stages[0].source
        # with one core, a loop in one program saves a copy of each image and of each result
        goes_together = not runs_alone(program, placement) or (is_batch and core_count() == 1)
        if goes_together and len(group) <= MAX_GROUP:
            batch = _run_group(lowered, program, images, sizes, group, placement)
            has_fill_ins = len(batch) != len(images)
            fills_canvas = set(wanted) == {program.stages[-1].out}
            is_done = fills_canvas and program.layout == lowered.layout
            if store is None and not has_fill_ins and is_done:
                return Ragged(batch, placement)
            results.add(program, group, np.asarray(batch))
            return Ragged(results.arrays, placement)
    alone = []
    for program, group in members.items():
        if runs_alone(program, placement):
            alone += [(program, i) for i in group]
            continue
        for start in range(0, len(group), MAX_GROUP):
            part = group[start : start + MAX_GROUP]
            batch = _run_group(lowered, program, images, sizes, part, placement)
            results.add(program, part, np.asarray(batch))

    # said here: threads do not see a default device that the caller's thread has
    device = default_device() if placement is None else placement

    def run(task: tuple[Program, int]) -> None:
        program, i = task
        canvas = _kept_canvas(program)
        _copy_read_pixels(lowered, images[i], sizes[i], canvas)
        tables = _tables_on_device(lowered.segments, sizes[i], program.stages, True, device, device)
        if device is not None:
            canvas = jax.device_put(canvas, device)
        result = run_one(program, canvas, tables)
        result = np.asarray(result)  # waits for it: the canvas is free again
        results.add(program, [i], result[None])

    on_cores(run, alone)
    return Ragged(results.arrays, placement)


def _programs_of(
    lowered: Lowered, images: Sequence[np.ndarray] | np.ndarray, sizes: Sequence[Size]
) -> list[Program]:
    """The program of each image."""
    kinds = [(size, img.shape[-1], img.dtype) for img, size in zip(images, sizes, strict=True)]
    counts = Counter(kinds)
    # the largest first: its program may serve the others
    largest_first = sorted(counts, key=lambda kind: -math.prod(kind[0]))
    found = {kind: program_of(lowered, *kind, count=counts[kind]) for kind in largest_first}
    return [found[kind] for kind in kinds]


def runs_alone(program: Program, placement: Placement = None) -> bool:
    """Returns whether images go one by one, which is faster on CPU: what one needs stays in the
    cache of its core.

    >>> from jaxprep import Pipeline, ops
    >>> lowered = Pipeline((ops.Resize((2, 2)),)).lowered
    >>> runs_alone(program_of(lowered, (100, 80), 3, np.uint8, may_share=False))
    False
    """
    height, width = program.stages[0].source
    return platform_of(placement) == "cpu" and height * width > SMALL_CANVAS


@cached()
def _tables_on_device(
    segments: tuple[Segment, ...],
    size: Size,
    stages: Any,
    is_windowed: bool,
    placement: Any,
    device: Any,
) -> Any:
    """The tables of one image, where `placement` says; `device` tells one default device from
    another."""
    del device
    tables = image_tables(segments, size, stages, is_windowed)
    tables = jax.tree.map(np.ascontiguousarray, tables)
    return jax.device_put(tables, placement)


def _run_group(
    lowered: Lowered,
    program: Program,
    images: Any,
    sizes: Sequence[Size],
    members: list[int],
    placement: Placement,
) -> jax.Array:
    """The results of the images that share a program, on its canvas, and of fill-ins up to a
    bucket of the batch."""
    count = bucket(len(members))
    source = program.stages[0].source
    is_batch = isinstance(images, np.ndarray) and len(members) == len(images) == count
    fills_source = is_batch and all(size == source == images.shape[1:3] for size in sizes)
    canvases = images
    if not fills_source:
        canvases = new_array((count, *source, program.channels or 0), program.dtype)
        for canvas, i in zip(canvases, members, strict=False):
            _copy_read_pixels(lowered, images[i], sizes[i], canvas)
        canvases[len(members) :] = 0
    sizes_in_group = [sizes[i] for i in members]
    fill_ins = sizes_in_group[:1] * (count - len(members))
    plan = make_plan(
        lowered.steps,
        lowered.segments,
        sizes_in_group + fill_ins,
        program.stages,
        not fills_source,
    )
    for_platform = program._replace(platform=platform_of(placement))
    results = run_batch(for_platform, jax.device_put(canvases, placement), plan.tables)
    if fills_source:
        # JAX reads an aligned array of the caller in place, who may overwrite it after the call
        results.block_until_ready()
    return results


Store = Callable[[int, np.ndarray], None]
"""Takes the number of an image in its call, and its result, which it may read until it returns.
Several threads call it."""


class _Results:
    """The results of a call, in their order: one array if all are of one size, else a list; none
    where `store` takes them."""

    def __init__(self, lowered: Lowered, sizes: Sequence[Size], store: Store | None):
        self.lowered = lowered
        self.sizes = sizes
        self.store = store
        self.arrays: Any = [None] * len(sizes)
        self.is_stacked = len(set(sizes)) == 1
        self.lock = threading.Lock()

    def add(self, program: Program, members: Sequence[int], batch: np.ndarray) -> None:
        """Adds the results of `members`, on a canvas, maybe with some fill-ins after them."""
        for i, result in zip(members, batch, strict=False):
            cut = _on_host(self.lowered, program, self.sizes[i], result)
            if self.store is not None:
                self.store(i, cut)
                continue
            if self.is_stacked:
                self._make_array(like=cut)
            self.arrays[i] = cut

    def _make_array(self, like: np.ndarray) -> None:
        """Makes the one array for all results, once the first of them says its shape."""
        with self.lock:
            if isinstance(self.arrays, list):
                shape = (len(self.arrays), *like.shape)
                self.arrays = new_array(shape, like.dtype)


def _corner(program: Program, size: Size, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Where the result of an image whose own size is `size` lies in a result of `shape`."""
    if program.form == "pixels":
        corner = (*size, shape[-1])
    elif program.form == "planes":
        corner = (shape[0], *size)
    else:
        assert program.layout is not None
        segments = [stage.segment for stage in program.stages]
        channels = output_channels(segments, program.channels or 0)
        corner = program.layout.shape(size, channels)
    return tuple(slice(n) for n in corner)


_thread = threading.local()


def _kept_canvas(program: Program) -> np.ndarray:
    """A canvas where this thread had its last one: in the cache of its core, and no page of it is
    new."""
    shape = (*program.stages[0].source, program.channels or 0)
    byte_count = math.prod(shape) * np.dtype(program.dtype).itemsize
    if byte_count > KEPT_BYTES:
        return new_array(shape, program.dtype)
    kept = getattr(_thread, "bytes", None)
    if kept is None or len(kept) < byte_count:
        kept = _thread.bytes = new_array((byte_count,), np.uint8)
    return kept[:byte_count].view(program.dtype).reshape(shape)


def move_all(
    lowered: Lowered,
    boxes: Any,
    keypoints: Any,
    sizes: Sequence[Size],
) -> tuple[Any, Any]:
    """Moves boxes `(b, n, 4)` and keypoints `(b, n, 2)` of images of `sizes`; a program per bucket
    of `b` and `n`.

    >>> from jaxprep import Pipeline, ops
    >>> lowered = Pipeline((ops.Resize((4, 4)),)).lowered
    >>> boxes, _ = move_all(lowered, np.ones((1, 1, 4)), None, [(2, 2)])
    >>> boxes.tolist()
    [[[2.0, 2.0, 2.0, 2.0]]]
    """
    if Fork.is_broken:
        refuse_fork()
    segments = lowered.segments
    matrices = np.asarray([position_matrix(segments, size) for size in sizes], np.float32)
    result_sizes = np.asarray([result_size(segments, size) for size in sizes])
    count = bucket(len(sizes))
    moved_boxes, moved_keypoints = _move_all(
        _pad_positions(boxes),
        _pad_positions(keypoints),
        _pad_to(matrices, count),
        _pad_to(result_sizes, count),
        is_axis_aligned(segments),
    )
    return _without_padding(moved_boxes, boxes), _without_padding(moved_keypoints, keypoints)


def _pad_positions(positions: Any) -> np.ndarray | None:
    """Positions `(b, n, k)` in float32, padded to buckets of b and n."""
    if positions is None:
        return None
    positions = np.asarray(positions, np.float32)
    b, n = positions.shape[:2]
    return _pad_to(positions, bucket(b), bucket(n))


def _without_padding(padded: Any, positions: Any) -> np.ndarray | None:
    """What of padded results belongs to the positions `(b, n, k)` of a caller."""
    if positions is None:
        return None
    b, n = np.shape(positions)[:2]
    return np.asarray(padded)[:b, :n]


def _pad_to(array: np.ndarray, *shape: int) -> np.ndarray:
    """Pads the first axes of an array with zeros to a shape."""
    padding = [(0, 0)] * array.ndim
    for axis, length in enumerate(shape):
        padding[axis] = (0, length - array.shape[axis])
    return np.pad(array, padding)


@functools.partial(jax.jit, static_argnums=4)
def _move_all(
    boxes: Any,
    keypoints: Any,
    matrices: Any,
    sizes: Any,
    aligned: bool,
) -> Any:
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
    placement = placement_of(batch.image)
    images = np.asarray(batch.image)
    if lowered.reads_channels_first:
        images = np.moveaxis(images, -3, -1)
    images = images[None] if is_single else images
    sizes = _sizes_of(batch, images)
    image = _run_batch_images(lowered, images, sizes, is_single, placement)

    def put(result: Any, given: Any) -> Any:
        # what the caller has put on a device stays there, all else goes where the image is.
        # `device_put`, not `asarray`, which compiles a program for every shape
        where = placement_of(given) or placement
        return jax.device_put(_first(result, is_single), where)

    boxes = batch.boxes
    keypoints = batch.keypoints
    extras = dict(batch.extras)
    if boxes is not None or keypoints is not None:
        many_boxes = _with_batch_axis(boxes, is_single)
        many_keypoints = _with_batch_axis(keypoints, is_single)
        moved_boxes, moved_keypoints = move_all(lowered, many_boxes, many_keypoints, sizes)
        boxes = put(moved_boxes, boxes)
        keypoints = put(moved_keypoints, keypoints)
        moved = {"boxes": moved_boxes, "keypoints": moved_keypoints}
        limits = [result_size(lowered.segments, size)[::-1] for size in sizes]
        for name, whose in lowered.flags:
            if moved[whose] is None:
                continue
            flags = visible(moved[whose], np.asarray(limits)[:, None])
            given = extras.get(name)
            if given is not None:
                flags = flags & np.asarray(_with_batch_axis(given, is_single), bool)
            extras[name] = put(flags, given)
    for name in lowered.kinds:
        if name in extras:
            masks = _with_batch_axis(extras[name], is_single)
            moved = _run_masks(lowered.mask, masks, sizes)
            extras[name] = put(moved, extras[name])
    size = None
    if batch.size is not None:
        results = [result_size(lowered.segments, size) for size in sizes]
        size = _first(np.asarray(results, np.int32), is_single)
    return batch.replace(
        image=image,
        boxes=boxes,
        keypoints=keypoints,
        size=size,
        extras=extras,
    )


def _run_batch_images(
    lowered: Lowered,
    images: np.ndarray,
    sizes: Sequence[Size],
    is_single: bool,
    placement: Placement,
) -> jax.Array:
    if is_single:
        return run_image(lowered, images[0], sizes[0], placement)
    results = run_images(lowered, images, sizes, placement)
    return jax.device_put(results.padded(), placement)


def _run_masks(
    mask: Lowered,
    masks: np.ndarray,
    sizes: Sequence[Size],
) -> np.ndarray:
    """Runs masks `(b, h, w)` or `(b, h, w, c)` through the steps for masks."""
    if masks.ndim == 4:
        results = run_images(mask, masks, sizes)
        return np.asarray(results.padded())
    results = run_images(mask, masks[..., None], sizes)
    return np.asarray(results.padded())[..., 0]


def _sizes_of(batch: Batch, images: np.ndarray) -> list[Size]:
    canvas: Size = images.shape[1:3]
    if batch.size is None:
        return [canvas] * len(images)
    sizes = as_sizes(np.atleast_2d(np.asarray(batch.size)))
    canvas_height, canvas_width = canvas
    fits = all(height <= canvas_height and width <= canvas_width for height, width in sizes)
    if len(sizes) != len(images) or not fits:
        raise InputError(
            f"Expected one size for each of the {len(images)} images, inside {canvas}, got {sizes}."
        )
    return sizes


def _with_batch_axis(array: Any, is_single: bool) -> Any:
    if array is None:
        return None
    array = np.asarray(array)
    return array[None] if is_single else array


def _first(array: Any, is_single: bool) -> Any:
    if array is None or not is_single:
        return array
    return array[0]
