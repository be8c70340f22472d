"""Says what a pipeline does, in words and as data: `Pipeline.describe` and `jaxprep inspect`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jaxprep.pipeline.segment import Segment
from jaxprep.pipeline.step import Geometry, Mix, Opaque, Step
from jaxprep.types import Size, by


@dataclass(frozen=True)
class DescribedStep:
    """Says what one step does.

    Attributes:
        words: in plain English.
        before, after: height and width of the image before and after it, where an image of a known
            size is followed and the step may change its size; otherwise None.

    >>> str(DescribedStep("mirror left to right"))
    'mirror left to right'
    >>> str(DescribedStep("crop the middle 2 x 2", (4, 6), (2, 2)))
    'crop the middle 2 x 2: 4 x 6 -> 2 x 2'
    """

    words: str
    before: Size | None = None
    after: Size | None = None

    def __str__(self) -> str:
        if self.before is None:
            return self.words
        return f"{self.words}: {by(self.before)} -> {by(self.after)}"


@dataclass(frozen=True, repr=False)
class Description:
    """Says what a pipeline does; `str` gives the lines that `jaxprep inspect` prints.

    Attributes:
        steps: in order, layouts included.
        mixing: what combines the examples of a batch after the steps; None where nothing does.
        result: height and width of every result, or of that for an image of `size`; None where it
            depends on the image.
        segments: how many groups of steps run one after another.
        passes: how often the pixels are read: once per axis where a segment moves them, otherwise
            once.
        size: height and width of the image that is followed; None where none is.
        canvas: what an image of `size` is put on when the pipeline is called eagerly: images on one
            canvas share a program. It is smaller than the image where a part of it is not read.

    >>> from jaxprep import Pipeline, ops
    >>> description = Pipeline((ops.CenterCrop(2), ops.Rescale())).describe((4, 6))
    >>> description.steps[0].after, description.result
    ((2, 2), (2, 2))
    >>> print(description)
    Steps
       1. crop the middle 2 x 2, padding a smaller image with 0: 4 x 6 -> 2 x 2
       2. divide by 255
    Result  2 x 2 (height x width)
    Program 1 segment, 2 passes over the pixels
    Canvas  64 x 64, which images of 4 x 6 share with others of about that size
    """

    steps: tuple[DescribedStep, ...]
    mixing: str | None
    result: Size | None
    segments: int
    passes: int
    size: Size | None = None
    canvas: Size | None = None

    def __str__(self) -> str:
        return "\n".join(self._lines())

    # In a notebook the last value of a cell is printed so.
    __repr__ = __str__

    def _lines(self) -> Iterator[str]:
        yield "Steps"
        for number, step in enumerate(self.steps, 1):
            yield f"  {number:2}. {step}"
        if not self.steps:
            yield "   0. nothing"
        if self.mixing is not None:
            yield f"Mixing  {self.mixing}"
        result = "a size that depends on the image"
        if self.result is not None:
            result = f"{by(self.result)} (height x width)"
        yield f"Result  {result}"
        segments = _count(self.segments, "segment", "s")
        yield f"Program {segments}, {_count(self.passes, 'pass', 'es')} over the pixels"
        if self.canvas is not None:
            assert self.size is not None
            is_part = self.size[0] > self.canvas[0] or self.size[1] > self.canvas[1]
            end = "; only the part that is read is put on it" if is_part else ""
            yield (
                f"Canvas  {by(self.canvas)}, which images of {by(self.size)} share with others of "
                f"about that size{end}"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the description as JSON data.

        >>> from jaxprep import Pipeline, ops
        >>> Pipeline((ops.Flip(),)).describe().to_json()["steps"]
        [{'words': 'mirror left to right', 'before': None, 'after': None}]
        """
        steps = [
            {"words": step.words, "before": _listed(step.before), "after": _listed(step.after)}
            for step in self.steps
        ]
        return {
            "steps": steps,
            "mixing": self.mixing,
            "result": _listed(self.result),
            "segments": self.segments,
            "passes": self.passes,
            "size": _listed(self.size),
            "canvas": _listed(self.canvas),
        }


def described_steps(steps: Sequence[Step], size: Size | None) -> tuple[DescribedStep, ...]:
    """Return the steps in words.

    Args:
        steps: of a pipeline.
        size: height and width of an image, for its size after each step that may change it.

    >>> from jaxprep import ops
    >>> [str(step) for step in described_steps((ops.Flip(), ops.Rescale()), None)]
    ['mirror left to right', 'divide by 255']
    """
    described = []
    for step in steps:
        before = size
        if size is not None and isinstance(step, Geometry | Opaque):
            size = step.output_size(size)
        # Other steps keep the size, and a line that says so would say nothing.
        says_size = isinstance(step, Geometry) or size != before
        if before is not None and says_size:
            described.append(DescribedStep(step.describe(), before, size))
        else:
            described.append(DescribedStep(step.describe()))
    return tuple(described)


def describe(
    steps: Sequence[Step],
    parts: Sequence[Segment],
    mixing: Mix | None,
    result: Size | None,
    size: Size | None,
    canvas: Size | None,
) -> Description:
    """Return what a pipeline does.

    Args:
        steps: of the pipeline, layouts included.
        parts: its segments.
        mixing, result, size, canvas: see `Description`; `mixing` itself.

    >>> describe((), (Segment(),), None, None, None, None).passes
    1
    """
    # A resize or crop has a pass along each axis, which colours and casts are part of.
    moving = sum(bool(segment.moves_pixels) for segment in parts)
    return Description(
        steps=described_steps(steps, size),
        mixing=None if mixing is None else mixing.describe(),
        result=result,
        segments=len(parts),
        passes=len(parts) + moving,
        size=size,
        canvas=canvas,
    )


def _count(number: int, noun: str, plural: str) -> str:
    return f"{number} {noun}{plural if number > 1 else ''}"


def _listed(size: Size | None) -> list[int] | None:
    return None if size is None else list(size)
