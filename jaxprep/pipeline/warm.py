"""Compiling ahead of the first image: the programs of stated sizes, or of all up to the largest.

What goes in: a lowered pipeline and sizes. What happens: a gray image of one size of each bucket is
run, alone and in the numbers that a call puts together, so that all that calls compile is
compiled. `eager.program_of` then takes the one of these programs that serves an image.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np

from jaxprep import bounds, codec
from jaxprep.bounds import programs
from jaxprep.errors import InputError
from jaxprep.pipeline import eager
from jaxprep.pipeline.cores import on_cores
from jaxprep.pipeline.lower import Lowered
from jaxprep.pipeline.plan import Stage, as_sizes
from jaxprep.pipeline.program import Program
from jaxprep.resample.tables import bucket
from jaxprep.settings import default_device
from jaxprep.types import Size

Call = tuple[Program, Size, int]
"""A program, a size of an image that it serves, and how many images run together."""

SMALLEST_SIDE = 48
"""Thinner images are served by the programs of others."""


_own_program = functools.partial(eager.program_of, may_share=False)


def calls_to_warm(
    lowered: Lowered,
    sizes: Any = None,
    largest: Any = None,
    batch_sizes: Any = (1,),
    channels: int = 3,
    dtype: Any = np.uint8,
) -> list[Call]:
    """Return what has to run once, so that calls compile nothing; see `Pipeline.warm_up`.

    Raises:
        InputError: not one of `sizes` and `largest`, or a value that it does not take; or the
            steps need a program for every size, of which only `sizes` can name some.

    >>> from jaxprep import Pipeline, ops
    >>> lowered = Pipeline((ops.Resize((8, 8), reference="pillow"),)).lowered
    >>> [(size, count) for _, size, count in calls_to_warm(lowered, [(300, 400), (310, 390)])]
    [((310, 390), 1)]
    """
    if (sizes is None) == (largest is None):
        raise InputError(
            "Expected one of `sizes`, some sizes of images, and `largest`, the largest height and "
            f"width, got {'neither' if sizes is None else 'both'}."
        )
    counts = _counts(batch_sizes)
    if sizes is not None:
        representatives = {
            _own_program(lowered, size, channels, dtype): size for size in as_sizes(sizes)
        }
    else:
        representatives = _up_to(lowered, largest, channels, dtype)
    calls = []
    for program, size in representatives.items():
        calls += [(program, size, count) for count in _counts_of(program, counts)]
    return calls


def _up_to(lowered: Lowered, largest: Any, channels: int, dtype: Any) -> dict[Program, Size]:
    """The programs for images of any sizes up to the largest, each with a size of an image."""
    if lowered.exact_sizes:
        raise InputError(
            "Expected `sizes`, since a step of this pipeline sees the whole array, so that images "
            "of every size have a program of their own; got `largest`."
        )
    ((height, width),) = as_sizes([largest])
    if height * width > bounds.MAX_PIXELS:
        raise InputError(
            f"Expected `largest` of at most {bounds.MAX_PIXELS} pixels, since larger images have a "
            f"program for each size, got {(height, width)}."
        )

    def programs_of(heights: Sequence[int], widths: Sequence[int]) -> dict[Program, Size]:
        found: dict[Program, Size] = {}
        for size in itertools.product(heights, widths):
            # what no call would take, such as a line of pixels that a resize makes endless
            with contextlib.suppress(InputError):
                found.setdefault(_own_program(lowered, size, channels, dtype), size)
        return found

    heights, widths = _sides_up_to(height), _sides_up_to(width)
    found = programs_of(heights, widths) or programs_of([height], [width])
    # for a size between those, and for strips, whose own programs are rarely used
    thin = programs_of(_thin(height), [width]) | programs_of([height], _thin(width))
    size = next(iter(found.values()), (height, width))
    return found | dict.fromkeys(_catch_all(found, thin), size)


def warm_up(lowered: Lowered, calls: Sequence[Call], channels: int, dtype: Any) -> int:
    """Compile what `calls_to_warm` returned, on all cores, and return how many programs that is.

    Raises:
        InputError: more programs than are kept.

    >>> from jaxprep import Pipeline, ops
    >>> lowered = Pipeline((ops.Resize((8, 8), reference="pillow"),)).lowered
    >>> warm_up(lowered, calls_to_warm(lowered, [(60, 50)]), 3, np.uint8)
    1
    >>> eager.forget_ready()
    """
    limit = programs().limit
    if len(calls) > limit:
        raise InputError(
            f"Expected at most {limit} programs, as many as are kept, got {len(calls)}: name fewer "
            f"sizes or batch sizes, or call `jaxprep.limit_programs({len(calls)})` before."
        )
    # first, so that the images below run the programs that later ones will
    eager.add_ready(program for program, _, _ in calls)
    # threads do not see a default device that the caller's thread has
    device = default_device()

    def run(call: Call) -> None:
        program, size, count = call
        images = [np.full((*size, channels), 1, dtype)] * count
        with contextlib.nullcontext() if device is None else jax.default_device(device):
            eager.run_program(lowered, program, images, [size] * count)

    # the slowest first: the threads end together
    on_cores(run, sorted(calls, key=lambda call: -call[0].work))
    return len(calls)


def _catch_all(found: Iterable[Program], thin: Iterable[Program]) -> list[Program]:
    """Programs that serve all sizes of those that were found, one for each order of passes that
    images have, strips included."""
    programs = list(found)
    if not programs:
        return []
    largest = tuple(map(_largest_stage, zip(*(one.stages for one in programs), strict=True)))
    orders = dict.fromkeys(tuple(stage.order for stage in one.stages) for one in [*programs, *thin])
    caught = []
    for order in orders:
        stages = (stage._replace(order=name) for stage, name in zip(largest, order, strict=True))
        caught.append(programs[0]._replace(stages=tuple(stages)))
    return caught


def _largest_stage(alike: Sequence[Stage]) -> Stage:
    def largest(pairs: Sequence[Size]) -> Size:
        return max(height for height, _ in pairs), max(width for _, width in pairs)

    source = largest([stage.source for stage in alike])
    vertical, horizontal = largest([stage.tap_counts for stage in alike])
    return alike[0]._replace(
        source=source,
        table_rows=largest([stage.table_rows for stage in alike]),
        out=largest([stage.out for stage in alike]),
        tap_counts=(min(vertical, source[0]), min(horizontal, source[1])),
        used=tuple(np.any([stage.used for stage in alike], axis=0).tolist()),
    )


def _counts_of(program: Program, counts: Sequence[int]) -> list[int]:
    """In which numbers images run together."""
    return [1] if eager.runs_alone(program) else list(counts)


def _counts(batch_sizes: Any) -> list[int]:
    """The buckets of the numbers of images that share a program in a call of at most so many."""
    given = np.atleast_1d(np.asarray(batch_sizes))
    if given.ndim != 1 or given.dtype.kind not in "iu" or not len(given) or given.min() < 1:
        raise InputError(
            "Expected numbers of images of at least 1, got "
            f"{codec.shown(batch_sizes)} - at `batch_sizes`."
        )
    most = min(int(given.max()), eager.MAX_GROUP)
    return sorted({bucket(count) for count in range(1, most + 1)})


def _thin(longest: int) -> list[int]:
    """Sides of strips."""
    return [side for side in (1, 4, 12, 24) if side < longest]


def _sides_up_to(longest: int) -> list[int]:
    """The shortest, a middle and the longest side of each canvas: of a resize they need the
    fewest taps and the most, and a number between."""
    sides = {longest}
    edge = bucket(SMALLEST_SIDE)
    while edge < longest:
        following = bucket(edge + 1)
        sides.update((edge, edge + 1, (edge + following) // 2))
        edge = following
    return sorted((side for side in sides if side <= longest), reverse=True)
