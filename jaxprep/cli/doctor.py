"""Says what was done to the pixels of an array: `jaxprep doctor`."""

from __future__ import annotations

import argparse

from jaxprep import codec
from jaxprep.cli.interrupts import deferred_interrupt
from jaxprep.doctor import diagnose
from jaxprep.looking.panels import check_png
from jaxprep.settings import check_backend


def execute(args: argparse.Namespace) -> int:
    """Print the diagnosis, and return the exit status: 0, also where nothing explains the array.

    Raises:
        JaxprepError: an array, a photo or a preset that cannot be used, or no PNG file.
        OSError: the picture cannot be written.

    >>> import tempfile
    >>> import numpy as np
    >>> import jaxprep
    >>> from jaxprep.cli.options import make_parser
    >>> preset = "timm/resnet50.a1_in1k"
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     photo = str(jaxprep.data.photo_path("coffee"))
    ...     pre = jaxprep.ImageClassifierPreprocessor.from_preset(preset)
    ...     np.save(f"{folder}/x.npy", pre(jaxprep.data.photo("coffee"))[:, ::-1])
    ...     options = ["doctor", f"{folder}/x.npy", photo, "--preset", preset]
    ...     execute(make_parser().parse_args(options))
    Equals timm/resnet50.a1_in1k except:
      flip: horizontal instead of none
    In every pixel.
    0
    """
    if args.output is not None:
        check_png(args.output, "--output")  # before the work
    check_backend()
    with deferred_interrupt() as stop_if_interrupted:
        diagnosis = diagnose(args.array, args.photo, args.preset)
        stop_if_interrupted()
    # first: there may be nothing to draw
    if args.json:
        print(codec.dumps(diagnosis.to_json()), end="")
    else:
        print(diagnosis)
    if args.output is not None:
        diagnosis.picture.save(args.output)
    return 0
