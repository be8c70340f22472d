"""The programs that are ready since `warm_up`, and which of them serves an image of any size.

A program serves images of other sizes than its own, bit for bit, where its arrays are large enough:
tables are padded, and results cut. So an image whose own program was not compiled ahead takes the
smallest one that can serve it, and nothing is compiled.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from jaxprep.pipeline.plan import Stage
from jaxprep.pipeline.program import Program
from jaxprep.types import Size

_ready: set[Program] = set()
_serving: dict[Program, Program] = {}
_lock = threading.Lock()


def add(programs: Iterable[Program]) -> None:
    """Note programs that are compiled ahead.

    >>> add([])
    """
    with _lock:
        _ready.update(programs)
        _serving.clear()


def forget() -> None:
    """Forget all programs: from now on each image has its own one.

    >>> forget()
    """
    with _lock:
        _ready.clear()
        _serving.clear()


def serving(program: Program) -> Program:
    """Return the program to use instead of an image's own one: itself where it is ready, or where
    none that is ready can serve it.

    >>> import numpy as np
    >>> from jaxprep import Pipeline, ops
    >>> small, large = (
    ...     Program(Pipeline((ops.Resize((8, 8)),)).bucket(size)) for size in [(60, 60), (120, 120)]
    ... )
    >>> serving(small) == small
    True
    >>> add([large])
    >>> serving(small) == large
    True
    >>> forget()
    """
    if not _ready or program in _ready:
        return program
    found = _serving.get(program)
    if found is None:
        with _lock:
            able = [other for other in _ready if serves(other, program)]
            found = _serving[program] = min(able, key=work_of, default=program)
    return found


def serves(program: Program, other: Program) -> bool:
    """Return whether a program computes what another one computes, on arrays as large or larger.

    >>> from jaxprep import Pipeline, ops
    >>> resize = Pipeline((ops.Resize((8, 8)),))
    >>> small, large = Program(resize.bucket((60, 60))), Program(resize.bucket((120, 120)))
    >>> serves(large, small), serves(small, large)
    (True, False)
    """
    if program._replace(stages=()) != other._replace(stages=()):
        return False
    if len(program.stages) != len(other.stages):
        return False
    layout = program.layout
    sees_all = layout is not None and not layout.keeps_corner
    if sees_all and program.stages[-1].out != other.stages[-1].out:
        return False
    return all(map(_stage_serves, program.stages, other.stages))


def _stage_serves(stage: Stage, other: Stage) -> bool:
    if stage[:4] != other[:4]:  # the segment, and its arithmetic
        return False
    # an opaque step sees the whole array
    if stage.segment.opaque is not None and stage.source != other.source:
        return False
    if stage.order not in (other.order, "both"):
        return False
    if any(needed and not used for used, needed in zip(stage.used, other.used, strict=True)):
        return False
    sides: tuple[Size, ...] = (stage.source, stage.rows, stage.out, stage.counts)
    others: tuple[Size, ...] = (other.source, other.rows, other.out, other.counts)
    return all(
        mine >= needed
        for pair, other_pair in zip(sides, others, strict=True)
        for mine, needed in zip(pair, other_pair, strict=True)
    )


def work_of(program: Program) -> int:
    """Return about how much a program computes: the taps of both passes, on its canvases.

    >>> from jaxprep import Pipeline, ops
    >>> resize = Pipeline((ops.Resize((8, 8)),))
    >>> work_of(Program(resize.bucket((60, 60)))) < work_of(Program(resize.bucket((90, 90))))
    True
    """
    work = 0
    for stage in program.stages:
        vertical, horizontal = stage.counts
        height, width = stage.rows
        work += stage.source[0] * width * horizontal + height * width * vertical
    return work
