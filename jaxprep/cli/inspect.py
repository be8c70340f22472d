"""`jaxprep inspect`: what a preset does, in words."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import Any

from jaxprep import codec, presets
from jaxprep.cli.options import load_config
from jaxprep.formats import Format
from jaxprep.ops.words import by
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.step import Geometry
from jaxprep.presets.files import to_json
from jaxprep.presets.sources import is_hub_handle
from jaxprep.types import Size


def execute(args: argparse.Namespace) -> int:
    config = load_config(args)
    if args.json:
        print(codec.dumps(to_json(config)), end="")
        return 0
    print(args.preset)
    for line in _origin(args.preset, config):
        print(f"  {line}")
    if args.override:
        print(f"  with {', '.join(f'{name}={value}' for name, value in args.override)}")
    print("Steps")
    for line in describe_steps(config.pipeline, args.size):
        print(f"  {line}")
    print(f"Result  {_result(config)}")
    print(f"Program {_program(config.pipeline)}")
    if args.size:
        height, width = config.pipeline.bucket(args.size)[0].source
        print(
            f"Canvas  {height} x {width}, which images of {by(args.size)} share with others of about that size"
        )
    return 0


def _origin(handle: str, config: Format) -> Iterator[str]:
    """Where the numbers are from, as far as it is known."""
    if os.path.exists(handle) or is_hub_handle(handle):
        yield f"a config of the format {type(config).__name__}"
        return
    known = presets.describe(handle)
    yield from filter(None, [known.get("description")])
    facts = [f"collection {known['collection']}"]
    facts += [f"family {name}" for name in filter(None, [known.get("family")])]
    facts += [f"{count:,} parameters" for count in filter(None, [known.get("params")])]
    yield ", ".join(facts)
    yield from (
        f"{name}: {known[name]}" for name in ("note", "source", "kaggle_handle") if known.get(name)
    )


def describe_steps(pipeline: Pipeline, size: Size | None = None) -> list[str]:
    """The steps numbered and in words; with the size of an image, its size after each step that may
    change it.
    """
    lines = []
    for number, step in enumerate(pipeline.steps, 1):
        line = f"{number:2}. {step.describe()}"
        if size is not None and isinstance(step, Geometry):
            before, size = size, step.output_size(size)
            line += f": {by(before)} -> {by(size)}"
        lines.append(line)
    return lines or [" 0. nothing"]


def _result(config: Format) -> str:
    size: Any = config.image_size
    return "a size that depends on the image" if size is None else f"{by(size)} (height x width)"


def _program(pipeline: Pipeline) -> str:
    """How many times the pixels are gone through: once per axis where a segment moves them,
    otherwise once.
    """
    moving = sum(bool(segment.moves) for segment in pipeline.segments)
    segments, passes = len(pipeline.segments), 2 * moving + (len(pipeline.segments) - moving)
    return f"{segments} segment{'s' * (segments > 1)}, {passes} pass{'es' * (passes > 1)} over the pixels"
