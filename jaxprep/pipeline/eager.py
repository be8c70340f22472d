"""Calling a pipeline eagerly: images of any size through a handful of compiled programs.

An image is copied to a *canvas*, whose size is one of a few; its tap tables are padded to the
shapes of the program for that canvas, and the result is cut to its size. Small images run together.
On CPU large ones run one by one, each on one thread, so that all of it stays in the cache of a
core; where a call has many for each core, some of them in turn in one program.
"""

from __future__ import annotations

import functools
import math
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence, Set
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
    merge,
    on_canvas,
    read_window,
    result_size,
    stack_tables,
)
from jaxprep.pipeline.positions import is_axis_aligned, move_positions, position_matrix, visible
from jaxprep.pipeline.program import Program, run_batch, run_in_turn, run_one
from jaxprep.pipeline.ragged import Ragged
from jaxprep.pipeline.segment import Segment
from jaxprep.resample.engines.cpu import ALIGNMENT, FLOAT32, new_array
from jaxprep.resample.tables import bucket
from jaxprep.settings import default_device, platform_of
from jaxprep.types import Batch, Size

SMALL_CANVAS = 128 * 128
"""Pixels of a canvas up to which images are worth batching on CPU: a call costs as much as such an
image."""
MAX_GROUP = 64
"""Images that go together: what they take is bounded, and so are the buckets of their number."""
KEPT_BYTES = 2**26
"""Bytes of a canvas, or of those of several images, up to which a thread keeps it for its next
images."""
IN_TURN = (64, 32, 16, 8, 4)
"""How many large images go through one program in turn, where a call has so many: it is called less
often, and they share its result (16 photographs of random sizes, on one core, under AVX2: 0.61 ms
an image one by one, 0.45 at once)."""
IN_TURN_BYTES = 2**26
"""Bytes of the canvases and of the results of such a group, at most."""
FINE_STEPS = 8
"""The side of the canvases of such a group is a multiple of this share of the next power of two."""
SIMILAR_WORK = 4
"""An image goes with others where their program computes at most so many times what its own
does."""

Kind = tuple[Size, int, Any]
"""The size of an image, its number of channels and its dtype."""


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
    chosen = _ready.choose(program, count)
    assert chosen is not None  # these have no other way
    return chosen


OFTEN = 16
"""Images that go through a larger program that is ready before their own one is compiled: that
takes as long as tens of images. 50 photographs of random sizes compile 1 to 4 programs of Qwen2-VL
for 11 to 13, 6 to 8 of LLaVA-NeXT for 27 to 29, and take a third of the time."""
MOST_WORK = 16
"""A program that computes more than so many times what an image needs does not stand in for its
own: icons beside a photograph of 12 megapixels."""
NOTED = 1024
"""Programs of which it is noted how many images wanted them, and what stands in for them."""
OFTEN_IN_TURN = 256
"""Images that go one by one before a program is compiled that takes several of them in turn: it
saves a second in some thousands."""


class _ReadyPrograms:
    """The programs that images of earlier calls were given, so that they are compiled (one that
    `bounds` dropped is compiled again), and what else they serve: bit for bit, as tables are padded
    and results cut. Threads may share it.

    An image whose own program is not ready goes through the one that computes least of those that
    can serve it. Its own one is compiled if there is none, or once `often` images wanted it; never
    where a program that was compiled ahead, by `warm_up`, can serve it.

    Args:
        most_work: a program that computes more than so many times what an image needs does not
            stand in for its own.
        has_other_way: whether images that no ready program serves go another way, until `often`
            images wanted their own one.
    """

    def __init__(
        self, often: int = OFTEN, most_work: float = MOST_WORK, has_other_way: bool = False
    ) -> None:
        self.often = often
        self.most_work = most_work
        self.has_other_way = has_other_way
        self.ahead: set[Program] = set()
        self.programs: set[Program] = set()
        self.wanted: Counter[Program] = Counter()
        self.stand_ins: dict[Program, tuple[Program | None, bool]] = {}
        self.lock = threading.Lock()

    def add_ahead(self, compiled: Iterable[Program]) -> None:
        with self.lock:
            self.ahead.update(compiled)
            self.programs.update(self.ahead)
            self.stand_ins.clear()

    def forget(self) -> None:
        with self.lock:
            self.ahead.clear()
            self._forget_calls()

    def choose(self, own: Program, count: int) -> Program | None:
        """The program for `count` images whose own one is given; None where they go another way."""
        if own in self.programs:
            return own
        with self.lock:
            stand_in, is_ahead = self._found(own)
            self.wanted[own] += count
            is_rare = self.wanted[own] < self.often
            if is_ahead or (is_rare and stand_in is not None):
                return stand_in
            # as many as are kept compiled: then what was noted says nothing any more
            if len(self.wanted) > programs().limit:
                self._forget_calls()
            if self.has_other_way and is_rare:
                return None
            self.programs.add(own)
            self.stand_ins.clear()
            return own

    def is_ahead(self, own: Program) -> bool:
        """Whether a program that was compiled ahead serves what this one does."""
        if not self.ahead:
            return False
        with self.lock:
            return own in self.ahead or self._found(own)[1]

    def _found(self, own: Program) -> tuple[Program | None, bool]:
        found = self.stand_ins.get(own)
        if found is None:
            if max(len(self.stand_ins), len(self.wanted)) >= NOTED:
                self.stand_ins.clear()
                self.wanted.clear()
            found = self.stand_ins[own] = self._stand_in(own)
        return found

    def _stand_in(self, own: Program) -> tuple[Program | None, bool]:
        """The program that stands in for one that is not ready, and whether one that was compiled
        ahead can."""
        able = [other for other in self.programs if other.serves(own)]
        is_ahead = not self.ahead.isdisjoint(able)
        if not is_ahead:
            able = [other for other in able if other.work <= self.most_work * own.work]
        return min(able, key=lambda other: other.work, default=None), is_ahead

    def _forget_calls(self) -> None:
        self.programs = set(self.ahead)
        self.wanted.clear()
        self.stand_ins.clear()


_ready = _ReadyPrograms()
_ready_in_turn = {
    length: _ReadyPrograms(OFTEN_IN_TURN, SIMILAR_WORK, has_other_way=True) for length in IN_TURN
}
"""Those that take so many images in turn."""


def add_ready(compiled: Iterable[Program]) -> None:
    """Notes programs that are compiled ahead, so that images which they serve compile nothing.

    >>> add_ready([])
    """
    _ready.add_ahead(compiled)


def forget_ready() -> None:
    """Forgets which programs are ready.

    >>> forget_ready()
    """
    for ready in (_ready, *_ready_in_turn.values()):
        ready.forget()


def _own_result(lowered: Lowered, program: Program, size: Size, result: np.ndarray) -> np.ndarray:
    """Cuts the result of an image, of `size`, out of that of its canvas, as a view.

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
    is_copied = image.shape[:2] != program.stages[0].source
    canvas = image
    if is_copied:
        canvas = _kept_canvas(program)
        _copy_read_pixels(lowered, image, size, canvas)
    device = default_device() if placement is None else placement
    tables = _tables_on_device(lowered.segments, size, program.stages, is_copied, placement, device)
    if placement is not None:
        canvas = jax.device_put(canvas, placement)
    result = run_one(program, canvas, tables)
    # the next call of this thread writes to the same canvas: without waiting, results would mix
    result.block_until_ready()
    if program.stages[-1].out == wanted and program.layout == lowered.layout:
        return result
    own = _own_result(lowered, program, wanted, np.asarray(result))
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
    if runs_alone(program):
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
    wanted = [result_size(lowered.segments, size) for size in sizes]
    for channels in {image.shape[-1] for image in images}:
        check_stored(lowered, wanted, channels)
    kinds = _kinds(images, sizes)
    results = _Results(lowered, kinds, wanted, store)
    tasks, others = _groups_in_turn(lowered, kinds, placement)
    small: dict[Program, list[int]] = {}
    for i, program in _programs_of(lowered, kinds, others):
        if runs_alone(program, placement):
            tasks.append((program, [i]))
        else:
            small.setdefault(program, []).append(i)
    for program, group in small.items():
        for start in range(0, len(group), MAX_GROUP):
            part = group[start : start + MAX_GROUP]
            batch = _run_group(lowered, program, images, sizes, part, placement)
            results.add(program, part, batch)

    # said here: threads do not see a default device that the caller's thread has
    device = default_device() if placement is None else placement

    def run(task: tuple[Program, list[int]]) -> None:
        program, part = task
        if len(part) > 1:
            batch: Any = _run_in_turn(lowered, program, images, sizes, part, device)
            if placement is None and device is not None:
                batch = np.asarray(batch)  # where the caller said no device, the result is on any
            results.add(program, part, batch)
            return
        (i,) = part
        canvas = _kept_canvas(program)
        _copy_read_pixels(lowered, images[i], sizes[i], canvas)
        tables = _tables_on_device(lowered.segments, sizes[i], program.stages, True, device, device)
        if device is not None:
            canvas = jax.device_put(canvas, device)
        result = run_one(program, canvas, tables)
        result = np.asarray(result)  # waits for it: the canvas is free again
        results.add(program, part, result[None])

    on_cores(run, tasks)
    if results.is_stacked or store is not None:
        return Ragged(results.arrays, placement)
    return Ragged.of(results.arrays, placement)


def _groups_in_turn(
    lowered: Lowered, kinds: Sequence[Kind], placement: Placement
) -> tuple[list[tuple[Program, list[int]]], list[int]]:
    """Finds groups of large images that one program can take in turn, and returns them, and the
    images that are left.

    The program of a group is made for its images together, or one that is ready serves them.
    """
    everything = list(range(len(kinds)))
    # a step that sees the whole array of an image takes no larger one
    if lowered.exact_sizes or len(kinds) < min(IN_TURN) * core_count():
        return [], everything
    own_of = functools.partial(program_of, lowered, may_share=False)
    own = {kind: own_of(*kind) for kind in dict.fromkeys(kinds)}
    alone = {kind for kind, program in own.items() if runs_alone(program, placement)}
    # what was compiled ahead takes images one by one
    alone = {kind for kind in alone if not _ready.is_ahead(own[kind])}
    large = [i for i, kind in enumerate(kinds) if kind in alone]
    # those that may share one next to each other, and what takes longest first
    work = {kind: own[kind].work for kind in alone}
    large.sort(key=lambda i: (kinds[i][1], kinds[i][2].str, -work[kinds[i]]))
    groups = []
    start = 0
    while start < len(large):
        program = own[kinds[large[start]]]
        work_left = sum(work[kinds[i]] for i in large[start:])
        left_alone = 1
        for length in _group_lengths(lowered, program, len(large) - start):
            group = large[start : start + length]
            members = {own[kinds[i]] for i in group}
            # one core must not have more to do than the others together have for each
            is_balanced = core_count() * sum(work[kinds[i]] for i in group) <= work_left
            shared = _shared(program, members) if is_balanced else None
            if shared is None:
                continue
            shared = _tightened(shared, lowered, [kinds[i][0] for i in group])
            ready = _ready_in_turn[length].choose(shared, length)
            if ready is not None:
                groups.append((ready, sorted(group)))
                start += length
                break
            left_alone = max(left_alone, length)
        else:
            start += left_alone
    in_groups = {i for _, group in groups for i in group}
    return groups, [i for i in everything if i not in in_groups]


def _group_lengths(lowered: Lowered, program: Program, count: int) -> list[int]:
    """How many of `count` large images may go through a program in turn, on this machine."""
    source, out = program.stages[0].source, program.stages[-1].out
    channels = program.channels or 0
    read = math.prod(source) * channels * np.dtype(program.dtype).itemsize
    written = math.prod(out) * output_channels(lowered.segments, channels) * FLOAT32.itemsize
    most = IN_TURN_BYTES // max(read + written, 1)
    cores = core_count()
    # several cores need more than one group each, to end together
    fewest = 1 if cores == 1 else 2 * cores
    return [length for length in IN_TURN if length <= most and length * fewest <= count]


def _tightened(program: Program, lowered: Lowered, sizes: Sequence[Size]) -> Program:
    """Returns a program with as small a canvas as images of `sizes` share: of 640 x 640, where one
    by one they would have 768 x 768, as it takes many images to have it compiled."""
    windows = [read_window(lowered.segments, size) for size in sizes]
    longest = max(max(window.height, window.width) for window in windows)
    power = 1 << (longest - 1).bit_length()
    step = max(power // FINE_STEPS, 1)
    side = -(-longest // step) * step
    height, width = program.stages[0].source
    source = min(height, side), min(width, side)
    return program._replace(stages=on_canvas(lowered.segments, program.stages, source))


def _shared(largest: Program, members: Set[Program]) -> Program | None:
    """Returns a program that serves the images of `members`, of which one is the largest, at little
    more work; None if there is none."""
    others = members - {largest}
    if not others:
        return largest
    try:
        stages = merge([largest.stages, *(other.stages for other in others)])
    except InputError:  # a tall and a wide image together need too much
        return None
    shared = largest._replace(stages=stages)
    for member in members:
        if not shared.serves(member) or shared.work > SIMILAR_WORK * member.work:
            return None
    return shared


def _kinds(images: Sequence[np.ndarray] | np.ndarray, sizes: Sequence[Size]) -> list[Kind]:
    return [(size, img.shape[-1], img.dtype) for img, size in zip(images, sizes, strict=True)]


def _programs_of(
    lowered: Lowered, kinds: Sequence[Kind], members: Sequence[int]
) -> list[tuple[int, Program]]:
    """The images that `members` names, each with its program."""
    counts = Counter(kinds[i] for i in members)
    # the largest first: its program may serve the others
    largest_first = sorted(counts, key=lambda kind: -math.prod(kind[0]))
    found = {kind: program_of(lowered, *kind, count=counts[kind]) for kind in largest_first}
    return [(i, found[kinds[i]]) for i in members]


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
    is_copied: bool,
    placement: Any,
    device: Any,
    count: int | None = None,
) -> Any:
    """The tables of one image, or of `count` that are alike, where `placement` says; `device` tells
    one default device from another."""
    del device
    tables = image_tables(segments, size, stages, is_copied)
    if count is not None:
        tables = stack_tables([tables] * count)
    tables = jax.tree.map(np.ascontiguousarray, tables)
    return jax.device_put(tables, placement)


def _stacked_tables(
    lowered: Lowered, sizes: Sequence[Size], program: Program, is_copied: bool
) -> Any:
    """The tables of images of `sizes`, with a leading batch axis, on the host."""
    segments, stages = lowered.segments, program.stages
    return stack_tables([image_tables(segments, size, stages, is_copied) for size in sizes])


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
    needs_no_fill_ins = isinstance(images, np.ndarray) and len(members) == len(images) == count
    is_copied = not needs_no_fill_ins or any(
        not size == source == images.shape[1:3] for size in sizes
    )
    canvases = images
    if is_copied:
        canvases = new_array((count, *source, program.channels or 0), program.dtype)
        for canvas, i in zip(canvases, members, strict=False):
            _copy_read_pixels(lowered, images[i], sizes[i], canvas)
        canvases[len(members) :] = 0
    sizes_in_group = [sizes[i] for i in members]
    fill_ins = sizes_in_group[:1] * (count - len(members))
    tables = _stacked_tables(lowered, sizes_in_group + fill_ins, program, is_copied)
    for_platform = program._replace(platform=platform_of(placement))
    results = run_batch(for_platform, jax.device_put(canvases, placement), tables)
    if not is_copied:
        # JAX reads an aligned array of the caller in place, who may overwrite it after the call
        results.block_until_ready()
    return results


def _run_in_turn(
    lowered: Lowered,
    program: Program,
    images: Sequence[np.ndarray] | np.ndarray,
    sizes: Sequence[Size],
    members: list[int],
    device: Any,
) -> jax.Array:
    """The results of large images that one program takes one after the other, on CPU."""
    sizes_in_group = [sizes[i] for i in members]
    first, last = members[0], members[-1]
    is_copied = True
    canvases: Any = None
    if isinstance(images, np.ndarray) and last - first < len(members):
        canvases = images[first : last + 1]
        is_copied = not _is_read_in_place(canvases, program, sizes_in_group)
    if is_copied:
        canvases = _kept_canvas(program, len(members))
        for canvas, i in zip(canvases, members, strict=True):
            _copy_read_pixels(lowered, images[i], sizes[i], canvas)
    size, *others = set(sizes_in_group)
    if others:
        tables = _stacked_tables(lowered, sizes_in_group, program, is_copied)
    else:
        tables = _tables_on_device(
            lowered.segments, size, program.stages, is_copied, device, device, len(members)
        )
    if device is not None:
        canvases, tables = jax.device_put((canvases, tables), device)
    results = run_in_turn(program, canvases, tables)
    # it reads the kept canvases, or the caller's array, in place: both may be overwritten
    return results.block_until_ready()


def _is_read_in_place(images: np.ndarray, program: Program, sizes: Sequence[Size]) -> bool:
    """Whether JAX reads a batch of the caller where it is, as the canvases of a program."""
    source = program.stages[0].source
    is_aligned = images.ctypes.data % ALIGNMENT == 0 and images.flags.c_contiguous
    return is_aligned and images.shape[1:3] == source and set(sizes) == {source}


Store = Callable[[int, np.ndarray], None]
"""Takes the number of an image in its call, and its result, which it may read until it returns.
Several threads call it."""


class _Results:
    """The results of a call, in their order: one array if all are known to be alike, else a list;
    none where `store` takes them. The result of a program that computed all of them is taken as it
    is.

    Args:
        kinds: of the images.
        sizes: of the results.
    """

    def __init__(
        self, lowered: Lowered, kinds: Sequence[Kind], sizes: Sequence[Size], store: Store | None
    ):
        self.lowered = lowered
        self.sizes = sizes
        self.store = store
        self.arrays: Any = [None] * len(sizes)
        types = {(channels, dtype) for _, channels, dtype in kinds}
        # images of different dtypes may have results of different ones: who has them all says so
        alike = {(output_channels(lowered.segments, channels), dtype) for channels, dtype in types}
        self.is_stacked = len(set(sizes)) == len(alike) == 1
        self.lock = threading.Lock()

    def add(self, program: Program, members: Sequence[int], batch: jax.Array | np.ndarray) -> None:
        """Adds the results of `members`, on a canvas, maybe with some fill-ins after them."""
        if self._is_all(program, members):
            if len(batch) == len(self.sizes):
                self.arrays = batch
                return
            if isinstance(batch, jax.Array) and platform_of(batch.sharding) != "cpu":
                # a program of JAX for each number of images, but no copy to the host and back
                self.arrays = batch[: len(self.sizes)]
                return
        for i, result in zip(members, np.asarray(batch), strict=False):
            cut = _own_result(self.lowered, program, self.sizes[i], result)
            if self.store is not None:
                self.store(i, cut)
                continue
            if self.is_stacked:
                self._make_array(like=cut)
            self.arrays[i] = cut

    def _is_all(self, program: Program, members: Sequence[int]) -> bool:
        """Whether what a program returns for `members` is what the call returns, but for
        fill-ins."""
        if self.store is not None or program.layout != self.lowered.layout:
            return False
        is_whole = list(members) == list(range(len(self.sizes)))
        return is_whole and set(self.sizes) == {program.stages[-1].out}

    def _make_array(self, like: np.ndarray) -> None:
        """Makes the one array for all results, once the first of them says its shape."""
        with self.lock:
            if isinstance(self.arrays, list):
                shape = (len(self.arrays), *like.shape)
                self.arrays = new_array(shape, like.dtype)


def _corner(program: Program, size: Size, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Where the result of an image whose own size is `size` lies in a result of `shape`."""
    if program.data_format == "channels_last":
        corner = (*size, shape[-1])
    elif program.data_format == "channels_first":
        corner = (shape[0], *size)
    else:
        assert program.layout is not None
        segments = [stage.segment for stage in program.stages]
        channels = output_channels(segments, program.channels or 0)
        corner = program.layout.shape(size, channels)
    return tuple(slice(n) for n in corner)


_thread = threading.local()


def _kept_canvas(program: Program, count: int | None = None) -> np.ndarray:
    """A canvas, or `count` of them, where this thread had its last one: in the cache of its core,
    and no page of it is new."""
    shape = (*program.stages[0].source, program.channels or 0)
    if count is not None:
        shape = (count, *shape)
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
        if extras.get(name) is not None:
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
