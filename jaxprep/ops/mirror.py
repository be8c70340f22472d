"""Mirrors images at their borders."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import Shaped

from jaxprep.bounds import check_side, check_sides
from jaxprep.ops.crop import Axes, ToSize, check_holds
from jaxprep.ops.words import by
from jaxprep.pipeline.step import Geometry, on_image
from jaxprep.resample.tables import Take
from jaxprep.types import Array, Size

MirrorMode = Literal["edge", "reflect", "symmetric"]


def pad_to_next_multiple(
    image: Shaped[Array, "h w c"], divisor: int
) -> Shaped[Array, "new_h new_w c"]:
    """Mirrors one image below and to the right; see `PadToNextMultiple`.

    Args:
        image: any dtype.
        divisor: what the sides of the result are multiples of.

    >>> import numpy as np
    >>> pad_to_next_multiple(np.arange(3).reshape(1, 3, 1), 2)[..., 0].tolist()
    [[0, 1, 2, 2], [0, 1, 2, 2]]
    """
    return on_image(PadToNextMultiple(divisor), image)


@dataclass(frozen=True)
class PadToNextMultiple(Geometry):
    """Mirrors below and to the right, edge included, to the next greater multiple of `divisor`.

    As Transformers' `Swin2SRImageProcessor.pad`.

    Attributes:
        divisor: as in `pad_to_next_multiple`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> PadToNextMultiple(4)(Batch(image=np.zeros((5, 8, 3), np.uint8))).image.shape
    (8, 12, 3)
    """

    divisor: int
    keeps_window: ClassVar[bool] = False

    def check(self) -> None:
        check_side(self.divisor, "$.divisor")

    def axes(self, size: Size, draw: Any = None) -> Axes:
        # A side that is a multiple already gets `divisor` pixels more, as in
        # https://github.com/huggingface/transformers/blob/main/src/transformers/models/swin2sr/image_processing_swin2sr.py
        height = (size[0] // self.divisor + 1) * self.divisor
        width = (size[1] // self.divisor + 1) * self.divisor
        # Here, since the rows are made here; other steps only say how long an axis becomes.
        check_sides((height, width), type(self).__name__, size)
        vertical = _mirrored(size[0], 0, height - size[0], "symmetric")
        horizontal = _mirrored(size[1], 0, width - size[1], "symmetric")
        return (vertical,), (horizontal,)

    def describe(self) -> str:
        multiple = f"the next multiple of {self.divisor} pixels"
        return f"mirror the edge below and on the right, up to {multiple}"


def _mirrored(n: int, before: int, after: int, mode: MirrorMode) -> Take:
    """The rows of an axis of `n` pixels and of its margins."""
    # `np.pad` itself, which Transformers' PIL backend calls, so that a margin longer than the image
    # is reflected again as there. Boxes belong to the source itself.
    rows = np.pad(np.arange(n), (before, after), mode=mode)
    return Take(rows, (1.0, float(before)))


def mirror_to(
    image: Shaped[Array, "h w c"], size: Size | int, mode: MirrorMode = "reflect"
) -> Shaped[Array, "height width c"]:
    """Fills `size` (height, width) below and to the right of one image; see `MirrorTo`.

    Args:
        image: any dtype.
        size: the least height and width of the result.
        mode: how the border is mirrored.

    >>> import numpy as np
    >>> mirror_to(np.arange(3).reshape(1, 3, 1), (1, 5))[..., 0].tolist()
    [[0, 1, 2, 1, 0]]
    """
    return on_image(MirrorTo(size, mode), image)  # type: ignore[arg-type]


@dataclass(frozen=True)
class MirrorTo(ToSize):
    """Puts the image in the top-left corner of `size` and fills the rest with the image itself.

    Attributes:
        size: the least height and width of the result.
        mode: as of `numpy.pad`: "edge" repeats the last row and column; "reflect" mirrors, the edge
            not repeated; "symmetric" mirrors it too.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> MirrorTo((4, 6))(Batch(image=np.zeros((3, 2, 3), np.uint8))).image.shape
    (4, 6, 3)
    """

    size: Size
    mode: MirrorMode = "reflect"
    keeps_window: ClassVar[bool] = False

    @property
    def static_output_size(self) -> Size | None:
        return self.size

    def axes(self, size: Size, draw: Any = None) -> Axes:
        check_holds(self.size, size)
        vertical = _mirrored(size[0], 0, self.size[0] - size[0], self.mode)
        horizontal = _mirrored(size[1], 0, self.size[1] - size[1], self.mode)
        return (vertical,), (horizontal,)

    def describe(self) -> str:
        return f"fill {by(self.size)} pixels below and on the right: {self.mode}"


def mirror_margin(n: int) -> int:
    """Returns how many pixels ZoeDepth mirrors at both ends of `n`.

    >>> mirror_margin(480)
    46
    """
    # `_pad_images` of
    # https://github.com/huggingface/transformers/blob/main/src/transformers/models/zoedepth/image_processing_zoedepth.py
    return int(math.sqrt(n / 2) * 3)


def mirror_around(image: Shaped[Array, "h w c"]) -> Shaped[Array, "new_h new_w c"]:
    """Mirrors one image on all sides; see `MirrorAround`.

    >>> import numpy as np
    >>> mirror_around(np.arange(3).reshape(1, 3, 1))[2, :, 0].tolist()
    [1, 2, 1, 0, 1, 2, 1, 0, 1]
    """
    return on_image(MirrorAround(), image)


@dataclass(frozen=True)
class MirrorAround(Geometry):
    """Mirrors `int(3 * sqrt(side / 2))` pixels on all sides, the edge not repeated, as ZoeDepth.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> MirrorAround()(Batch(image=np.zeros((8, 18, 3), np.uint8))).image.shape
    (20, 36, 3)
    """

    keeps_window: ClassVar[bool] = False

    def axes(self, size: Size, draw: Any = None) -> Axes:
        above, left = (mirror_margin(n) for n in size)
        # Here, since the rows are made here; other steps only say how long an axis becomes.
        check_sides((size[0] + 2 * above, size[1] + 2 * left), type(self).__name__, size)
        # A side of a pixel, which torch refuses to reflect, is repeated.
        vertical = _mirrored(size[0], above, above, "reflect")
        horizontal = _mirrored(size[1], left, left, "reflect")
        return (vertical,), (horizontal,)

    def describe(self) -> str:
        return "mirror 3 times the root of half a side, on all sides"
