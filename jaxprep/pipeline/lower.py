"""From steps to segments: how many passes over the pixels a pipeline takes, and which steps share
one.

The table of legal rewrites is in `segments`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from jaxprep.pipeline.segment import PaddingSlot, Placed, Segment
from jaxprep.pipeline.step import Geometry, Layout, Opaque, Pointwise, Step
from jaxprep.types import Size


class Lowered(NamedTuple):
    """A pipeline as it is run.

    Attributes:
        steps: without layouts.
        segments: what they are cut into.
        exact: see `Pipeline`.
        layout: of the results; None for `(h, w, c)`.
        reads_channels_first: whether images come as `(c, h, w)`.
        exact_sizes: images go on canvases of their own size, as a step sees the whole array.
        kinds: the names of the masks in `Batch.extras`.
        mask: the pipeline that masks go through; None without `kinds`.
        mask_indices: for each step of `mask`, the index of the step that it follows.
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

    @property
    def writes_channels_first(self) -> bool:
        """Whether results are `(c, h, w)`."""
        return self.layout is not None and self.layout.planar


@functools.lru_cache(maxsize=1024)
def segments(steps: tuple[Step, ...]) -> tuple[Segment, ...]:
    """Cuts the steps (without layouts) into segments.

    | a new segment begins before | because |
    |---|---|
    | an opaque step | it sees the finished image |
    | a resize, after another resize | each rounds, or mixes pixels the next would mix again |
    | a resize, after nearest or mirrored padding | what they leave is no window of the source |
    | a resize, after a pointwise step | it changes the values that the resize mixes |
    | a resize, after padding that is not 0 | 0 is left out of the sums; another value is not |
    | a step of unknown size, after a drawn one | its size rule is arithmetic on the host |
    """
    cut = [Segment()]
    static_size: Size | None = None
    for index, step in enumerate(steps):
        placed = Placed(step, index if step.is_random else None)
        last = cut[-1]
        if isinstance(step, Opaque):
            cut.append(Segment(opaque=placed))
            static_size = None if static_size is None else step.output_size(static_size)
        elif isinstance(step, Pointwise):
            cut[-1] = replace(last, pointwise=(*last.pointwise, placed))
        else:
            assert isinstance(step, Geometry)
            if _needs_new_segment(step, last, static_size):
                cut.append(Segment())
            cut[-1] = _with_geometry(cut[-1], step, placed)
            static_size = _static_size(step, static_size)
    has_steps = [segment for segment in cut if segment != Segment()]
    return tuple(has_steps) or (Segment(),)


def _needs_new_segment(step: Geometry, segment: Segment, static_size: Size | None) -> bool:
    if step.resampling is not None and not _can_precede_a_resize(segment, step):
        return True
    follows_a_draw = bool(segment.drawn) and not step.is_random
    return follows_a_draw and static_size is None


def _can_precede_a_resize(segment: Segment, step: Geometry) -> bool:
    paddings = [part for part in segment.pointwise if isinstance(part, PaddingSlot)]
    if len(paddings) < len(segment.pointwise):
        return False
    if any(np.any(np.asarray(padding.value)) for padding in paddings):
        return False
    if (segment.drawn or step.is_random) and segment.geometry:
        return False  # a resize in the program begins from the source, not from a table
    moving = (*segment.geometry, *(placed.step for placed in segment.drawn))
    return all(before.keeps_window and before.resampling is None for before in moving)


def _with_geometry(segment: Segment, step: Geometry, placed: Placed) -> Segment:
    is_drawn = step.is_random or bool(segment.drawn)
    number = -len(segment.drawn) - 1 if is_drawn else len(segment.geometry) + 1
    slot = PaddingSlot(number, step.fill)
    pointwise = segment.pointwise
    if step.resampling is None:
        pointwise = (*pointwise, slot)
    if is_drawn:
        return replace(segment, drawn=(*segment.drawn, placed), pointwise=pointwise)
    return replace(segment, geometry=(*segment.geometry, step), pointwise=pointwise)


def _static_size(step: Geometry, before: Size | None) -> Size | None:
    if step.static_output_size is not None:
        return step.static_output_size
    return None if before is None or step.is_random else step.output_size(before)


def output_channels(parts: Sequence[Segment], channels: int) -> int:
    """How many channels come of an image of `channels`."""
    for segment in parts:
        if segment.opaque is not None:
            channels = segment.opaque.step.output_channels(channels)
        for part in segment.pointwise:
            if isinstance(part, Placed):
                channels = part.step.output_channels(channels)
    return channels


@functools.lru_cache(maxsize=1024)
def static_sizes(parts: tuple[Segment, ...]) -> tuple[Size | None, ...]:
    """For each segment the size of every result; None where it depends on the image."""
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
