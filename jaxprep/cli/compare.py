"""Says what two presets do differently with a photograph: `jaxprep compare`."""

from __future__ import annotations

import argparse

from jaxprep import codec, presets
from jaxprep.cli.interrupts import deferred_interrupt
from jaxprep.cli.options import hub_options
from jaxprep.looking import compare
from jaxprep.looking.panels import check_png
from jaxprep.settings import check_backend


def execute(args: argparse.Namespace) -> int:
    """Print the comparison, draw its picture where one is asked for, and return the exit status.

    Raises:
        JaxprepError: a preset or a photo that cannot be used, or no PNG file.
        OSError: the picture cannot be written.

    >>> from jaxprep import data
    >>> from jaxprep.cli.options import make_parser
    >>> names = ["timm/resnet50.a1_in1k", "timm/resnet50.tv_in1k"]
    >>> execute(make_parser().parse_args(["compare", *names, str(data.photo_path("chelsea"))]))
    timm/resnet50.a1_in1k | timm/resnet50.tv_in1k
      of chelsea.jpg, 300 x 451 (height x width)
    Settings that differ
      method: bicubic | bilinear
      resize: the shorter side to 235 pixels | the shorter side to 256 pixels
      size: 235 x 353 | 256 x 384
    Result     224 x 224 | 224 x 224
    Seen       60.5 % | 51.0 % of the photograph
    Difference at most ... levels, ... on average (of 0 to 255, normalisation undone)
    0
    """
    if args.output is not None:
        check_png(args.output, "--output")  # before the work
    check_backend()
    names = args.first, args.second
    first, second = (presets.load(name, **hub_options(args)) for name in names)
    with deferred_interrupt() as stop_if_interrupted:
        comparison = compare(first, second, args.photo, alpha=args.alpha, titles=names)
        stop_if_interrupted()
    if args.output is not None:
        comparison.picture.save(args.output)
    if args.json:
        print(codec.dumps(comparison.to_json()), end="")
        return 0
    print(comparison)
    return 0
