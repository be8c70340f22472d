"""Images as rows of patches with a grid, as Qwen2-VL and its like take them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface.classes import SizeKind
from jaxprep.huggingface.call import (
    PLAIN,
    Call,
    Family,
    Results,
    read,
    run_rows,
    sizes_of,
)
from jaxprep.huggingface.counts import count_methods
from jaxprep.pipeline import Pipeline
from jaxprep.types import Size


def grid_of(config: HuggingFace, size: Size) -> Size:
    """Return how many patches an image of `size` has, in rows and in columns.

    Raises:
        InputError: its sides are no multiples of a merged square, and nothing resizes it.

    >>> grid_of(HuggingFace("Qwen2VLImageProcessor"), (427, 640))
    (30, 46)
    """
    return grid_by(config.pipeline, size)


def grid_by(pipeline: Pipeline, size: Size) -> Size:
    """Return how many patches a pipeline makes of an image of `size`, in rows and in columns.

    Raises:
        InputError: its sides are no multiples of a merged square, and nothing resizes it.

    >>> grid_by(HuggingFace("Qwen2VLImageProcessor").pipeline, (427, 640))
    (30, 46)
    """
    layout: Any = pipeline.layout
    height, width = pipeline.output_size(size)
    if height % layout.square or width % layout.square:
        raise InputError(
            f"Expected sides that are multiples of {layout.square}, where `do_resize` is off, got "
            f"an image of {size}."
        )
    return height // layout.patch_size, width // layout.patch_size


# -- what a class tells of the size of each image ------------------------------------------------


def _grid_thw(config: HuggingFace, size: Size) -> tuple[int, ...]:
    """Frames, rows and columns."""
    return (1, *grid_of(config, size))


def patch_count(config: HuggingFace, size: Size) -> int:
    """Return how many patches an image has.

    >>> from jaxprep.huggingface import Qwen2VLImageProcessor
    >>> Qwen2VLImageProcessor().get_number_of_image_patches(427, 640)
    1380
    """
    rows, columns = grid_of(config, size)
    return rows * columns


def _merge_size(config: HuggingFace, size: Size) -> int:
    del size
    return config.effective.integer("merge_size")


GRIDS: dict[SizeKind, Callable[[HuggingFace, Size], Any]] = {
    "grid_thw": _grid_thw,
    "grid_hw": grid_of,
    "patches": patch_count,
    "merge_size": _merge_size,
}
"""The numbers of an image by the kind that `ProcessorRow.sizes` names."""


def grid_results(config: HuggingFace, sizes: Sequence[Size]) -> Results:
    """Return grids and numbers of patches by the names that the row's `sizes` gives them.

    Args:
        sizes: of the images as they came.

    >>> config = HuggingFace("VideoLlama3ImageProcessor")
    >>> {name: array.tolist() for name, array in grid_results(config, [(427, 640)]).items()}
    {'image_grid_thw': [[1, 30, 46]], 'image_merge_sizes': [1]}
    """
    results = {}
    for name, kind in config.row.sizes.items():
        numbers = [GRIDS[kind](config, size) for size in sizes]
        results[name] = np.asarray(numbers, np.int32)
    return results


# -- calls ---------------------------------------------------------------------------------------


def patch_rows(call: Call) -> Results:
    """Return the patches of all images one after another, and the grid of each.

    >>> config = HuggingFace("Qwen2VLImageProcessor")
    >>> results = patch_rows(Call(np.zeros((56, 84, 3), np.uint8), {}, config))
    >>> results["pixel_values"].shape, results["image_grid_thw"].tolist()
    ((24, 1176), [[1, 4, 6]])
    """
    images = read(call)
    config = call.config
    # First, since it refuses sizes before any pixel is computed.
    grids = grid_results(config, sizes_of(images))
    patches = run_rows(call, images, axes=4)
    return {config.row.outputs[0]: shaped(config, patches), **grids}


def shaped(config: HuggingFace, patches: Any) -> Any:
    """Return patches as vectors, or with their axes; channels and frames are one where frames come
    next.

    >>> shaped(HuggingFace("Qwen2VLImageProcessor"), np.zeros((4, 3, 2, 14, 14))).shape
    (4, 1176)
    """
    layout = config.row.patches
    if not layout.keeps_axes:
        return patches.reshape(len(patches), -1)
    if "ct" not in layout.order:
        return patches
    axis = 1 + layout.order.index("ct")
    return patches.reshape(*patches.shape[:axis], -1, *patches.shape[axis + 2 :])


def code_count(config: HuggingFace, size: Size) -> int:
    """Return how many codes the tokenizer of Apertus 1.5 makes of an image.

    >>> from jaxprep.huggingface import Apertus1p5ImageProcessor
    >>> Apertus1p5ImageProcessor().get_number_of_image_patches(480, 640)
    1200
    """
    factor = config.effective.integer("spatial_factor")
    rows, columns = config.resize_pipeline.output_size(size)
    return (rows // factor) * (columns // factor)


PATCH_ROWS = Family(patch_rows, methods=count_methods(get_number_of_image_patches=patch_count))
# HunYuan-VL's method of that name returns rows and columns.
PATCH_GRIDS = Family(patch_rows, methods=count_methods(get_number_of_image_patches=grid_of))
CODES = Family(PLAIN.run, methods=count_methods(get_number_of_image_patches=code_count))
