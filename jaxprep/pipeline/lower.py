"""From steps to segments: how many passes over the pixels a pipeline takes, and which steps share
one.

What goes in: the steps of a pipeline, without layouts. What comes out: a tuple of `Segment`. No
size and no pixels are needed. `segments` has the table of what begins a new one; read `segment.py`
next, which makes the tables of a segment.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import numpy as np

from jaxprep.pipeline.segment import PaddingSlot, Placed, Segment
from jaxprep.pipeline.step import Geometry, Layout, Opaque, Pointwise, Step
from jaxprep.types import Size


class Lowered(NamedTuple):
    """A pipeline as it is run: hashable, so that it can be a static argument of `jax.jit`.

    Attributes:
        steps: without layouts.
        segments: what they are cut into.
        exact: see `Pipeline`.
        layout: of the results; None for `(h, w, c)`.
        reads_channels_first: whether images come as `(c, h, w)`.
        exact_sizes: images go on canvases of their own size, as a step sees the whole array.
        kinds: the names of the masks in `Batch.extras`.
        mask: the pipeline that masks go through; None without `kinds`.
        is_random: whether any step draws.
        mask_indices: for each step of `mask`, the index of the step that it follows.
        flags: for each array of flags in `Batch.extras` its name, and whose flags they are: "boxes"
            or "keypoints".

    >>> from jaxprep import Pipeline, ops
    >>> lowered = Pipeline((ops.Resize((2, 2)), ops.Rescale(1 / 255))).lowered
    >>> len(lowered.steps), len(lowered.segments), lowered.writes_channels_first
    (2, 1, False)
    """

    steps: tuple[Step, ...]
    segments: tuple[Segment, ...]
    exact: bool = False
    layout: Layout | None = None
    reads_channels_first: bool = False
    exact_sizes: bool = False
    kinds: tuple[str, ...] = ()
    mask: Any = None
    mask_indices: tuple[int, ...] = ()
    is_random: bool = False
    flags: tuple[tuple[str, str], ...] = ()

    @property
    def writes_channels_first(self) -> bool:
        """Whether results are `(c, h, w)`."""
        return self.layout is not None and self.layout.planar


@functools.lru_cache(maxsize=1024)
def segments(steps: tuple[Step, ...]) -> tuple[Segment, ...]:
    """Cut the steps (without layouts) into segments.

    | a new segment begins before | because |
    |---|---|
    | an opaque step | it sees the finished image |
    | a resize, after another resize | each rounds, or mixes pixels the next would mix again |
    | a resize, after nearest or mirrored padding | what they leave is no window of the source |
    | a resize, after a pointwise step | it changes the values that the resize mixes |
    | a resize, after padding that is not 0 | 0 is left out of the sums; another value is not |
    | a step of unknown size, after a drawn one | its size rule is arithmetic on the host |
    | a geometric step, after an opaque one that gives another size | tables are for one canvas |

    >>> from jaxprep import ops
    >>> len(segments((ops.Resize((8, 8)), ops.CenterCrop((4, 4)), ops.Rescale(1 / 255))))
    1
    >>> len(segments((ops.Resize((8, 8)), ops.Resize((4, 4)))))
    2
    """
    cut = [Segment()]
    static_size: Size | None = None
    for index, step in enumerate(steps):
        placed = Placed(
            step, index if step.is_random else None, around_resize=_around_resize(steps, index)
        )
        last = cut[-1]
        if isinstance(step, Opaque):
            # steps after it may join its segment: they move the pixels that it returns
            cut.append(Segment(opaque=placed))
            if static_size is not None:
                static_size = step.output_size(static_size)
        elif isinstance(step, Pointwise):
            cut[-1] = replace(last, pointwise=(*last.pointwise, placed))
        else:
            assert isinstance(step, Geometry)
            if _needs_new_segment(step, last, static_size):
                cut.append(Segment())
            cut[-1] = _with_geometry(cut[-1], step, placed)
            static_size = _static_size(step, static_size)
            if step.is_random and step.static_output_size is None:
                static_size = None  # known beforehand, but traced in a program with a plan
    has_steps = [segment for segment in cut if segment != Segment()]
    return tuple(has_steps) or (Segment(),)


def _around_resize(steps: Sequence[Step], index: int) -> Literal["before", "after"] | None:
    """On which side of a resize a step is left out with its fellow on the other side."""
    side = _side_of_resize(steps[index])
    if side is None:
        return None
    middle = index + 1 if side == "before" else index - 1
    if not 0 < middle < len(steps) - 1:
        return None
    sides = _side_of_resize(steps[middle - 1]), _side_of_resize(steps[middle + 1])
    return side if sides == ("before", "after") and _is_resize(steps[middle]) else None


def _side_of_resize(step: Step) -> Literal["before", "after"] | None:
    return step.around_resize if isinstance(step, Pointwise) else None


def _is_resize(step: Step) -> bool:
    if isinstance(step, Opaque):
        return step.is_resize
    return isinstance(step, Geometry) and step.resampling is not None


def _needs_new_segment(
    step: Geometry,
    segment: Segment,
    static_size: Size | None,
) -> bool:
    if segment.opaque is not None and not segment.moves_pixels:
        opaque = segment.opaque.step
        # the tables of a segment are fitted into the canvas of what comes in
        if not opaque.is_random and type(opaque).output_size is not Opaque.output_size:
            return True
    if step.resampling is not None and not _can_precede_a_resize(segment, step):
        return True
    follows_a_draw = bool(segment.drawn) and not step.is_random
    return follows_a_draw and static_size is None


def _can_precede_a_resize(segment: Segment, step: Geometry) -> bool:
    # a pointwise step changes the values that the resize mixes: rescale -> resize is not
    # resize -> rescale where either rounds
    paddings = [part for part in segment.pointwise if isinstance(part, PaddingSlot)]
    if len(paddings) < len(segment.pointwise):
        return False
    # a tap outside of the image has weight 0 in the table, as if it were padded with 0
    if any(np.any(np.asarray(padding.value)) for padding in paddings):
        return False
    if (segment.drawn or step.is_random) and segment.geometry:
        return False  # a resize in the program begins from the source, not from a table
    drawn = (placed.step for placed in segment.drawn)
    for before in (*segment.geometry, *drawn):
        if before.resampling is not None or not before.keeps_window:
            return False
    return True


def _with_geometry(segment: Segment, step: Geometry, placed: Placed) -> Segment:
    number = len(segment.geometry) + len(segment.drawn) + 1
    slot = PaddingSlot(number, step.fill)
    pointwise = segment.pointwise
    if step.pads:
        pointwise = (*pointwise, slot)
    # what follows a drawn step is computed in the program, too: it moves what that step leaves
    if step.is_random or segment.drawn:
        numbered = placed._replace(number=number)
        return replace(segment, drawn=(*segment.drawn, numbered), pointwise=pointwise)
    return replace(segment, geometry=(*segment.geometry, step), pointwise=pointwise)


def _static_size(step: Geometry, before: Size | None) -> Size | None:
    if step.static_output_size is not None:
        return step.static_output_size
    if before is None:
        return None
    return step.output_size(before)


def output_channels(parts: Sequence[Segment], channels: int) -> int:
    """Return how many channels come of an image of `channels`.

    >>> from jaxprep import ops
    >>> output_channels(segments((ops.ToRGB(),)), 1)
    3
    """
    for segment in parts:
        if segment.opaque is not None:
            channels = segment.opaque.step.output_channels(channels)
        for part in segment.pointwise:
            if isinstance(part, Placed):
                channels = part.step.output_channels(channels)
    return channels


@functools.lru_cache(maxsize=1024)
def static_sizes(parts: tuple[Segment, ...]) -> tuple[Size | None, ...]:
    """Return for each segment the size of every result; None where it depends on the image.

    >>> from jaxprep import ops
    >>> static_sizes(segments((ops.Resize(shortest_edge=8), ops.Resize((4, 4)))))
    (None, (4, 4))
    """
    sizes: list[Size | None] = []
    size: Size | None = None
    for segment in parts:
        if segment.opaque is not None and size is not None:
            size = segment.opaque.step.output_size(size)
        for step in segment.geometry:
            size = _static_size(step, size)
        for placed in segment.drawn:
            size = _static_size(placed.step, size)
        sizes.append(size)
    return tuple(sizes)
