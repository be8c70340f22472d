"""Draws a picture of what a model will see: `jaxprep show`."""

from __future__ import annotations

import argparse

from jaxprep import codec
from jaxprep.cli.interrupts import deferred_interrupt
from jaxprep.cli.options import load_config
from jaxprep.looking import show
from jaxprep.looking.panels import check_png
from jaxprep.settings import check_backend


def execute(args: argparse.Namespace) -> int:
    """Draw the picture, and return the exit status.

    Raises:
        JaxprepError: a preset or a photo that cannot be used, or no PNG file.
        OSError: the picture cannot be written.

    >>> import tempfile
    >>> from PIL import Image
    >>> from jaxprep.cli.options import make_parser
    >>> options = ["--preset", "timm/resnet50.a1_in1k", "--override", "image_size=[8,8]"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     photo, output = f"{folder}/a.png", f"{folder}/b.png"
    ...     Image.new("RGB", (6, 8)).save(photo)
    ...     execute(make_parser().parse_args(["show", photo, "--output", output, *options]))
    0
    """
    config = load_config(args)
    check_png(args.output, "--output")  # before the work
    check_backend()
    with deferred_interrupt() as stop_if_interrupted:
        picture = show(
            config,
            args.photo,
            recipe=args.recipe,
            draws=args.draws,
            seed=args.seed,
            alpha=args.alpha,
            title=args.preset,
        )
        stop_if_interrupted()
    picture.save(args.output)
    if args.json:
        asked = {name: getattr(args, name) for name in ("photo", "preset", "recipe", "output")}
        size = picture.image.height, picture.image.width
        print(codec.dumps({**asked, "size": size}), end="")
    return 0
