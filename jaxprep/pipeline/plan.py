"""Plans: the tables of a batch of known sizes, and the program they are run by."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import export

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.ops.step import Geometry, Pointwise
from jaxprep.pipeline.geometry import Folded, Segment, as_taps, fold, fold_all
from jaxprep.resample.buckets import bucket, canvas
from jaxprep.resample.resize import widen
from jaxprep.resample.tables import Taps
from jaxprep.types import Size


class Stage(NamedTuple):
    """One segment in a compiled program.

    Attributes:
        source: canvas of what comes in.
        out: canvas of what comes out.
        counts: taps of the vertical and the horizontal table.
        order: which pass comes first; "both" computes both ways and picks, image by image.
        used: for each `Fill` of the chain, whether any image needs it.
    """

    segment: Segment
    source: Size
    out: Size
    counts: tuple[int, int]
    order: str
    used: tuple[bool, ...]


Bucket = tuple[Stage, ...]
"""What a program is compiled for, beside the batch and the pixels' type; the first stage's `source`
is the canvas.
"""


class Tables(NamedTuple):
    """The arrays of one stage; each has a leading batch axis in a plan, and none in a constant
    program.

    Attributes:
        vertical, horizontal: the passes; None leaves the axis as it is.
        edges: for each row and each column, which `Fill` it belongs to; None where nothing is
            filled.
        first: where the order is "both", whether the vertical pass comes first.
        size: height and width of what comes in, on its canvas; None fills it.
    """

    vertical: Taps | None
    horizontal: Taps | None
    edges: tuple[Any, Any] | None = None
    first: Any = None
    size: Any = None


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["tables", "size", "maps"],
    meta_fields=["stages", "fixed"],
)
@dataclass(frozen=True)
class Plan:
    """Everything about a batch that depends on the sizes of its images: a pytree to pass into a
    jitted program.

    Attributes:
        tables: one entry per stage.
        size: `(batch, 2)` int32, height and width of the results.
        maps: `(batch, 2, 2)` float32, scale and shift of positions along y and along x.
        stages: the program; static.
        fixed: whether every result fills its canvas; static.
    """

    tables: tuple[Tables, ...]
    size: Any
    maps: Any
    stages: Bucket
    fixed: bool

    @property
    def canvas(self) -> Size:
        """Height and width of the arrays that the plan is for."""
        return self.stages[0].source


codec.register(Geometry, Pointwise)


def _write(program: Any) -> bytes:
    return codec.dumps(codec.to_json(program)).encode()


def _read(data: bytes | bytearray) -> tuple[Bucket, bool]:
    stages, fixed = codec.loads(bytes(data), "an exported plan")
    kinds: Any = tuple[Segment, Size, Size, tuple[int, int], str, tuple[bool, ...]]
    return tuple(Stage(*codec.from_json(kinds, stage)) for stage in stages), fixed


export.register_namedtuple_serialization(Taps, serialized_name="jaxprep.Taps")
export.register_namedtuple_serialization(Tables, serialized_name="jaxprep.Tables")
export.register_pytree_node_serialization(
    Plan, serialized_name="jaxprep.Plan", serialize_auxdata=_write, deserialize_auxdata=_read
)


def fixed_sizes(parts: tuple[Segment, ...]) -> list[Size | None]:
    """For each segment the size of every result, None where it depends on the image."""
    found: list[Size | None] = []
    size: Size | None = None
    for segment in parts:
        for move in segment.moves:
            size = move.fixed or (None if size is None else move.output_size(size))
        found.append(size)
    return found


@functools.lru_cache(maxsize=8192)
def bucket_of(parts: tuple[Segment, ...], size: Size, source: Size | None = None) -> Bucket:
    """The program that serves an image of `size`, on the canvas `source` if one is given.

    The number of taps is a bucket of at least 4, for both axes. On a given canvas it is that of an
    image which fills it, unless this image needs more, so that the images of a canvas share it.
    """
    largest = size if source is None else source
    source = canvas(size) if source is None else source
    stages = []
    columns = zip(
        parts, fold_all(parts, size), fold_all(parts, largest), fixed_sizes(parts), strict=True
    )
    for segment, folded, full, fixed in columns:
        out = source if not segment.moves else fixed or canvas(folded.size)
        taps = max(
            folded.vertical.count,
            folded.horizontal.count,
            full.vertical.count,
            full.horizontal.count,
        )
        count = 1 if segment.arithmetic == "copy" else bucket(max(taps, 4))
        vertical, horizontal = (min(count, n) for n in source)
        order = "vertical" if folded.first else "horizontal"
        stages.append(Stage(segment, source, out, (vertical, horizontal), order, folded.used))
        source = out
    return tuple(stages)


def merge(buckets: Sequence[Bucket]) -> Bucket:
    """The one program that serves images of several buckets on one canvas."""
    stages = []
    source = buckets[0][0].source
    for alike in zip(*buckets, strict=True):
        orders = {stage.order for stage in alike}
        vertical, horizontal = (
            min(max(stage.counts[axis] for stage in alike), source[axis]) for axis in (0, 1)
        )
        out = max(stage.out[0] for stage in alike), max(stage.out[1] for stage in alike)
        used = tuple(map(any, zip(*(stage.used for stage in alike), strict=True)))
        order = orders.pop() if len(orders) == 1 else "both"
        stages.append(Stage(alike[0].segment, source, out, (vertical, horizontal), order, used))
        source = out
    return tuple(stages)


def make_plan(parts: tuple[Segment, ...], sizes: Sequence[Size], stages: Bucket) -> Plan:
    """The tables of images of `sizes` for a program that serves all of them."""
    images = [fold_all(parts, size) for size in sizes]
    before = [
        (size, *(one.size for one in folded)) for size, folded in zip(sizes, images, strict=True)
    ]
    return Plan(
        tuple(
            _stack([_tables(stage, size[i]) for size in before]) for i, stage in enumerate(stages)
        ),
        np.asarray([size[-1] for size in before], np.int32),
        np.asarray([compose(folded) for folded in images], np.float32),
        stages,
        fixed_sizes(parts)[-1] is not None,
    )


def compose(folded: Sequence[Folded]) -> list[tuple[float, float]]:
    """Scale and shift of positions along y and along x, through all segments."""
    maps = []
    for axis in (0, 1):
        scale, shift = 1.0, 0.0
        for one in folded:
            a, b = (one.vertical, one.horizontal)[axis].map
            scale, shift = a * scale, a * shift + b
        maps.append((scale, shift))
    return maps


@functools.lru_cache(maxsize=8192)
def _tables(stage: Stage, size: Size) -> Tables:
    """The arrays of one image, padded to the shapes of the program."""
    if not stage.segment.moves:
        return Tables(None, None, size=np.asarray(size, np.int32))
    folded = fold(stage.segment, size)
    vertical, horizontal = (
        widen(as_taps(table, stage.segment), space, outputs, count)
        for table, space, outputs, count in zip(
            folded[:2], stage.source, stage.out, stage.counts, strict=True
        )
    )
    edges = None
    if any(stage.used):
        extra = [(0, stage.out[axis] - folded.size[axis]) for axis in (0, 1)]
        edges = (np.pad(folded.vertical.edge, extra[0]), np.pad(folded.horizontal.edge, extra[1]))
    first = np.bool_(folded.first) if stage.order == "both" else None
    return Tables(vertical, horizontal, edges, first, np.asarray(size, np.int32))


def _stack(tables: Sequence[Tables]) -> Tables:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *tables)


def as_sizes(sizes: Any) -> list[Size]:
    """Heights and widths as Python integers.

    Raises:
        InputError: not `(batch, 2)` integers of at least 1.
    """
    array = np.asarray(sizes)
    if (
        array.ndim != 2
        or array.shape[1] != 2
        or array.dtype.kind not in "iu"
        or not len(array)
        or array.min() < 1
    ):
        raise InputError(
            f"Expected sizes (batch, 2), integer heights and widths of at least 1, got {sizes!r:.80}."
        )
    return [(int(height), int(width)) for height, width in array]
