"""Prints what a preset does, in words: `jaxprep inspect`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

from jaxprep import codec, presets
from jaxprep.cli.options import load_config
from jaxprep.errors import InputError
from jaxprep.formats import Format
from jaxprep.host.decode import MAX_PIXELS
from jaxprep.presets.files import to_json
from jaxprep.presets.sources import is_hub_handle
from jaxprep.types import by


def execute(args: argparse.Namespace) -> int:
    """Print what a preset does, or its JSON; return the exit status.

    Raises:
        JaxprepError: as `jaxprep.presets.load` does.

    >>> from jaxprep.cli.options import make_parser
    >>> execute(make_parser().parse_args(["inspect", "timm/resnet50.a1_in1k"]))
    timm/resnet50.a1_in1k
      collection timm
      source: timm ...
    Steps
       1. make it RGB: gray is repeated, alpha dropped, the stored colours kept
       2. resize the shorter side to 235 pixels, bicubic, as Pillow (antialiased)
       3. crop the middle 224 x 224, padding a smaller image with 0
       4. divide by 255
       5. normalise: mean 0.485, 0.456, 0.406, std 0.229, 0.224, 0.225
    Result  224 x 224 (height x width)
    Program 2 segments, 3 passes over the pixels
    0
    """
    config = load_config(args)
    if args.size is not None and args.size[0] * args.size[1] > MAX_PIXELS:
        raise InputError(
            f"Expected an image of at most {MAX_PIXELS} pixels, as `jaxprep.read_image` takes, got "
            f"{by(args.size)} - at `--size`."
        )
    # Nothing else on stdout, so that the output is a file that `--preset` takes.
    if args.json:
        print(codec.dumps(to_json(config)), end="")
        return 0
    print(args.preset)
    for line in _origin(args.preset, config):
        print(f"  {line}")
    if args.override:
        overrides = [f"{name}={value}" for name, value in args.override]
        print(f"  with {', '.join(overrides)}")
    print(config.pipeline.describe(args.size))
    return 0


def _origin(handle: str, config: Format) -> Iterator[str]:
    """Lines that say where the numbers are from, as far as it is known."""
    # The order in which `presets.load` looks: a path hides a built-in name.
    if os.path.exists(handle) or is_hub_handle(handle):
        yield f"a config of the format {type(config).__name__}"
        return
    known = presets.describe(handle)
    if known.get("description"):
        yield known["description"]
    facts = [f"collection {known['collection']}"]
    if known.get("family"):
        facts.append(f"family {known['family']}")
    if known.get("params"):
        facts.append(f"{known['params']:,} parameters")
    yield ", ".join(facts)
    for name in ("note", "source", "kaggle_handle"):
        if known.get(name):
            yield f"{name}: {known[name]}"
