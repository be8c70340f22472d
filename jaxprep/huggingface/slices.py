"""Large images in parts: the whole image, and parts of it at a higher resolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxprep import bounds
from jaxprep.formats.huggingface.builders.slices import pan_and_scan_cuts
from jaxprep.huggingface.call import Call, Family, Results, read, run
from jaxprep.huggingface.images import Image, one_by_one
from jaxprep.ops.slice_sizes import Cut
from jaxprep.types import Size


def cut_out(image: Image, cuts: Sequence[Cut]) -> list[Image]:
    """Return parts of an image, or of a batch of one shape.

    >>> parts = cut_out(Image(np.zeros((4, 6, 3))), [Cut(0, 0, 4, 3), Cut(0, 3, 4, 3)])
    >>> [part.size for part in parts]
    [(4, 3), (4, 3)]
    """
    parts = []
    for cut in cuts:
        rows, columns = cut.slices
        parts.append(image._replace(pixels=image.pixels[..., rows, columns, :]))
    return parts


def slices_of(patches: Any, grid: Size) -> list[Any]:
    """Return the patches of each slice, row by row, from those of the canvas.

    >>> slices_of(np.arange(4).reshape(2, 2, 1, 1), (1, 2))[1][:, 0, 0, 0].tolist()
    [1, 3]
    """
    height, width = (n // count for n, count in zip(patches.shape[:2], grid, strict=True))
    return [
        patches[y * height : (y + 1) * height, x * width : (x + 1) * width]
        for y in range(grid[0])
        for x in range(grid[1])
    ]


def pan_and_scan_results(call: Call) -> Results:
    """Return each image, followed by the parts that it is cut into, and how many these are.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("Gemma3ImageProcessor", {"size": {"height": 8, "width": 8}})
    >>> results = pan_and_scan_results(Call(np.zeros((20, 30, 3), np.uint8), {}, config))
    >>> results["pixel_values"].shape, results["num_crops"].tolist()
    ((1, 8, 8, 3), [0])
    """
    images = read(call)
    settings = call.config.effective
    if settings.flag("do_pan_and_scan"):
        images = one_by_one(images)
    views: list[Image] = []
    counts: list[int] = []
    for image in images:
        cuts = pan_and_scan_cuts(settings, image.size)
        views += [image, *cut_out(image, cuts)]
        counts += [len(cuts)] * image.count
        bounds.check_parts(len(cuts), call.config.pipeline.output_size(image.size), image.size)
    return {"pixel_values": run(call, views), "num_crops": np.asarray(counts, np.int32)}


PAN_AND_SCAN = Family(pan_and_scan_results)
