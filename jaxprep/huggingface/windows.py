"""Step 3.7: an image, and square windows of it, whose side depends on the aspect ratio.

The source is `transformers/models/step3p7/image_processing_step3p7.py`, Transformers 5.24.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxprep import bounds
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface.builders.slices import window_plan
from jaxprep.huggingface.call import Call, Family, Results, read, run_each
from jaxprep.huggingface.counts import count_methods
from jaxprep.huggingface.features import PlainList
from jaxprep.huggingface.images import Image, one_by_one, traced_image, with_value_range
from jaxprep.huggingface.slices import cut_out
from jaxprep.huggingface.views import rows
from jaxprep.ops.slice_sizes import Cut, is_sliver
from jaxprep.types import Size


def squared(image: Image) -> Image:
    """Return a sliver of an image with 0 below or on the right, as a square; others unchanged.

    >>> squared(Image(np.ones((1, 8, 3)))).size, squared(Image(np.ones((8, 9, 3)))).size
    ((8, 8), (8, 9))
    """
    if not is_sliver(image.size):
        return image
    side = max(image.size)
    bounds.check_pixels((side, side), image.size)
    height, width = image.size
    margins = [(0, 0)] * image.pixels.ndim
    margins[-3:-1] = (0, side - height), (0, side - width)
    xp = np if isinstance(image.pixels, np.ndarray) else jnp
    return image._replace(pixels=xp.pad(image.pixels, margins))


def newline_mask(grid: Size) -> list[bool]:
    """Return for each window whether a line ends after it: at the end of all rows but the last.

    >>> newline_mask((2, 2))
    [False, True, False, False]
    """
    rows, columns = grid
    return [
        column == columns - 1 and row < rows - 1 for row in range(rows) for column in range(columns)
    ]


def windowed(call: Call) -> Results:
    """Return each image as a square, all windows one after another, how many each image has, and
    after which a line ends.

    >>> settings = {"size": {"height": 8, "width": 8}, "patch_size": 6}
    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("Step3p7ImageProcessor", settings)
    >>> results = windowed(Call(np.zeros((12, 18, 3), np.uint8), {}, config))
    >>> results["num_local_patches"].tolist(), results["pixel_values_local"].shape
    ([6], (6, 6, 6, 3))
    """
    images = read(call)
    config = call.config
    plans = [window_plan(config.effective, squared(image).size) for image in images]
    if any(plan.window for plan in plans) or any(is_sliver(image.size) for image in images):
        # A batch that is all of a call stays one, so that its sharding is kept.
        images = [squared(image) for image in (images if len(images) == 1 else one_by_one(images))]
        plans = [window_plan(config.effective, image.size) for image in images]
    side = config.effective.integer("patch_size")
    for image, plan in zip(images, plans, strict=True):
        bounds.check_parts(plan.grid[0] * plan.grid[1], (side, side), image.size)
    cuts = [plan.cuts for plan in plans]
    counts = [
        len(of_image)
        for image, of_image in zip(images, cuts, strict=True)
        for _ in range(image.count)
    ]
    results: Results = {
        "pixel_values": _wholes(call, images),
        "num_local_patches": np.asarray(counts, np.int32),
    }
    most = max(len(of_image) for of_image in cuts)
    if most == 0:
        return results
    masks = [
        newline_mask(plan.grid)
        for image, plan in zip(images, plans, strict=True)
        for _ in range(image.count)
    ]
    return results | {
        "pixel_values_local": _windows(call, images, cuts),
        "patch_newline_masks": PlainList([mask + [False] * (most - len(mask)) for mask in masks]),
    }


def _wholes(call: Call, images: Sequence[Image]) -> Any:
    """The view of the whole of each image; a large one is shrunk in two steps."""
    longest = call.config.effective.integer("max_image_size")
    is_large = [max(image.size) > longest for image in images]
    if not any(is_large):
        return run_each(call, images)
    views = []
    for image, large in zip(images, is_large, strict=True):
        views.append(run_each(call, [image], "large" if large else None))
    return rows(views, axes=1) if len(views) > 1 else views[0]


def _windows(call: Call, images: Sequence[Image], cuts: Sequence[Sequence[Cut]]) -> Any:
    """All windows, cut of a canvas and then resized to one size."""
    members = [i for i, of_image in enumerate(cuts) if of_image]
    as_it_is = call._replace(config=replace(call.config, data_format="channels_last"))
    canvases = run_each(as_it_is, [images[i] for i in members], "canvas")
    if call.is_traced and len(images) == 1 and images[0].count > 1:
        pieces = cut_out(traced_image(canvases), cuts[0])
        windows = [run_each(call, [piece], "window") for piece in pieces]
        return rows(jnp.stack(windows, axis=1), axes=1)
    pieces = []
    for i, canvas in zip(members, canvases, strict=True):
        whole = traced_image(canvas) if call.is_traced else with_value_range(canvas)
        pieces += cut_out(whole, cuts[i])
    return run_each(call, pieces, "window")


def window_count(config: HuggingFace, size: Size) -> int:
    """Return how many windows an image has.

    >>> from jaxprep.huggingface import Step3p7ImageProcessor
    >>> Step3p7ImageProcessor().get_number_of_image_patches(600, 1000)
    2
    """
    if is_sliver(size):
        size = (max(size), max(size))
    rows, columns = window_plan(config.effective, size).grid
    return rows * columns


WINDOWED = Family(windowed, methods=count_methods(get_number_of_image_patches=window_count))
