"""Reads what XLA compiled: the instructions of the final program, and the bytes each moves.

Only the standard library is imported.

The text is HLO after all passes, as `Compiled.as_text()` gives it
(https://openxla.org/xla/operation_semantics has the instructions).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

ITEM_BYTES = {
    "pred": 1, "s4": 1, "u4": 1, "s8": 1, "u8": 1, "s16": 2, "u16": 2, "bf16": 2, "f16": 2,
    "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8, "token": 0,
}  # fmt: skip
COMPUTATION = re.compile(r"^(?:ENTRY )?%?([\w.\-]+) \([^\n]*\{\n(.*?)^\}", re.M | re.S)
ENTRY = re.compile(r"^ENTRY %?([\w.\-]+)", re.M)
INSTRUCTION = re.compile(r"^\s*(?:ROOT )?%?([\w.\-]+) = (\(?[^=]*?\)?) ([\w\-]+)\((.*)$")
SHAPE = re.compile(r"(\w+)\[([\d,]*)\]")
OPERAND = re.compile(r"%([\w.\-]+)")
CALLED = re.compile(
    r"(?:to_apply|body|calls|branch_computations=\{|true_computation|false_computation)"
    r"=?%?([\w.\-]+)"
)
TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
CYCLES = re.compile(r'"estimated_cycles":"(\d+)"')
ORIGIN = re.compile(r'op_name="([^"]*)"')

FREE = {
    "parameter", "constant", "bitcast", "tuple", "get-tuple-element", "after-all", "partition-id",
    "opt-barrier",
}  # fmt: skip
"""These are names for memory, and nothing runs."""

CALLS = {"call", "while", "conditional", "async-start"}
"""These run another computation, whose instructions are counted instead."""

MOVES = FREE | {
    "copy", "copy-start", "copy-done", "slice", "dynamic-slice", "reshape", "transpose",
    "broadcast", "concatenate", "pad", "reverse",
}  # fmt: skip
"""These only move values."""

SMALL = 0.05
"""The share of the floor that a copied table stays below: weights for a batch of 64 are 0.5 %."""

COLLECTIVES = re.compile(
    r" (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute|collective-broadcast)"
    r"(?:-start)?\("
)


class Instruction(NamedTuple):
    """Holds one instruction that runs: on a GPU a kernel or a copy, on a TPU a fusion or a product.

    Attributes:
        bytes: of all operands and of the result, each counted once for every time it runs.
        cycles: the TPU compiler's estimate; 0 where it says nothing.
        op: its HLO opcode.
        shape: its result.
        origin: the JAX operation that it comes from.
        on_image: whether it depends on the image; if not, it works on tables.
        moves_only: whether it computes nothing.
    """

    bytes: int
    cycles: int
    op: str
    shape: str
    origin: str
    on_image: bool
    moves_only: bool

    def is_table_copy(self, floor: int) -> bool:
        """Return whether it only moves a table.

        It then computes nothing, reads nothing made of the image, and is small against the
        program's input and result, which a mean broadcast to a batch is not.
        """
        return self.moves_only and not self.on_image and self.bytes < SMALL * floor


class Line(NamedTuple):
    """Holds the parts of one line of a computation."""

    name: str
    shape: str
    op: str
    rest: str

    @property
    def operands(self) -> list[str]:
        """The names it reads, in their order. What it calls, and metadata, stand behind the closing
        bracket.
        """
        depth = 1
        for position, character in enumerate(self.rest):
            depth += (character == "(") - (character == ")")
            if depth == 0:
                return OPERAND.findall(self.rest[:position])
        return OPERAND.findall(self.rest)


def collectives(text: str) -> list[str]:
    """Return the opcodes of a program that move data between chips."""
    return COLLECTIVES.findall(text)


def bytes_of(shape: str) -> int:
    """Return the bytes of an array or of a tuple of arrays, as in `(f32[2,3]{1,0}, u8[])`; padding
    by the chip's tiling is not known.
    """
    total = 0
    for kind, dimensions in SHAPE.findall(shape):
        sides = [int(side) for side in dimensions.split(",") if side]
        total += ITEM_BYTES.get(kind, 4) * math.prod(sides)
    return total


def instructions(text: str) -> list[Instruction]:
    """Return every instruction that runs, in those of loops and calls too.

    An instruction in a loop counts as often as the loop runs, where XLA knows it, else once.
    """
    bodies = {name: list(_lines(body)) for name, body in COMPUTATION.findall(text)}
    entry = ENTRY.search(text)
    assert entry, "Expected a program with an entry computation."
    body = bodies[entry.group(1)]
    parameters = [line for line in body if line.op == "parameter"]
    # the image is by far the largest input: tables and sizes are some kilobytes an image
    image = max(parameters, key=lambda line: bytes_of(line.shape))
    return list(_walk(body, {image.name}, 1, bodies))


def _lines(body: str) -> Iterator[Line]:
    for text in body.splitlines():
        if matched := INSTRUCTION.match(text):
            yield Line(*matched.groups())


def _walk(
    body: list[Line], from_image: set[str], times: int, bodies: dict[str, list[Line]]
) -> Iterator[Instruction]:
    """Yield the instructions of a computation that runs `times` times.

    Args:
        from_image: names of the parameters that are the image or computed from it; the names of
            all instructions that depend on those are added.
    """
    sizes: dict[str, int] = {}
    for line in body:
        sizes[line.name] = bytes_of(line.shape)
        on_image = not from_image.isdisjoint(line.operands)
        if on_image:
            from_image.add(line.name)
        if line.op in CALLS:
            trips = TRIPS.search(line.rest)
            for name in _called(line, bodies):
                inside = _from_image_inside(line, bodies[name], from_image)
                often = times * (int(trips.group(1)) if trips else 1)
                yield from _walk(bodies[name], inside, often, bodies)
        elif line.op not in FREE:
            yield _instruction(line, sizes, on_image, times, bodies)


def _instruction(
    line: Line, sizes: dict[str, int], on_image: bool, times: int, bodies: dict[str, list[Line]]
) -> Instruction:
    read = sum(sizes.get(name, 0) for name in set(line.operands))
    cycles = CYCLES.search(line.rest)
    origin = ORIGIN.search(line.rest)
    fused = {inner.op for name in _called(line, bodies) for inner in bodies[name]}
    return Instruction(
        bytes=(read + sizes[line.name]) * times,
        cycles=int(cycles.group(1)) * times if cycles else 0,
        op=line.op,
        shape=" ".join(line.shape.split()),
        origin=origin.group(1) if origin else "",
        on_image=on_image,
        moves_only=(fused or {line.op}) <= MOVES,
    )


def _called(line: Line, bodies: dict[str, list[Line]]) -> list[str]:
    return [name for name in CALLED.findall(line.rest) if name in bodies]


def _from_image_inside(line: Line, body: list[Line], from_image: set[str]) -> set[str]:
    """Names of the parameters of a called computation that depend on the image."""
    parameters = [inner for inner in body if inner.op == "parameter"]
    if line.op != "call":
        # a loop's state is one tuple: all of it counts, which is never too little
        on_image = not from_image.isdisjoint(line.operands)
        return {inner.name for inner in parameters} if on_image else set()
    inside = set()
    for inner in parameters:
        position = int(inner.rest.split(")")[0])
        if line.operands[position] in from_image:
            inside.add(inner.name)
    return inside
