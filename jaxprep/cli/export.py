"""Writes a preset as one program, to run beside the model: `jaxprep export`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import jaxprep
from jaxprep import codec
from jaxprep.cli.interrupts import deferred_interrupt
from jaxprep.cli.messages import say
from jaxprep.cli.options import load_config
from jaxprep.exported import MANIFEST
from jaxprep.settings import check_backend


def execute(args: argparse.Namespace) -> int:
    """Write the folder, and return the exit status.

    Raises:
        JaxprepError: as `jaxprep.export` and `jaxprep.presets.load` do.
        OSError: a file cannot be written.

    >>> import tempfile
    >>> from jaxprep.cli.options import make_parser
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     words = ["export", "resnet_50_imagenet", "--size", "30", "40", "--platforms", "cpu"]
    ...     execute(make_parser().parse_args([*words, "--output", f"{folder}/pre", "--quiet"]))
    0
    """
    config = load_config(args)
    check_backend()
    with deferred_interrupt() as stop_if_interrupted:
        jaxprep.export(
            config,
            args.output,
            size=args.size,
            canvas=args.canvas,
            platforms=args.platforms,
            dtype=args.dtype,
        )
        stop_if_interrupted()
    if args.json:
        manifest = Path(args.output, MANIFEST).read_text("utf-8")
        print(codec.dumps(json.loads(manifest)), end="")
    elif not args.quiet:
        say(f"wrote {args.output}: a program for {', '.join(args.platforms)}")
    return 0
