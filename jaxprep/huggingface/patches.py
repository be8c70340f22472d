"""Images as rows of patches with a grid, as Qwen2-VL and its like take them."""

from __future__ import annotations

from typing import Any

import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.huggingface.call import Call, Family, Results, read, run_rows, sizes_of
from jaxprep.types import Size


def grid_of(config: HuggingFace, size: Size) -> Size:
    """Return how many patches an image of `size` has, in rows and in columns.

    Raises:
        InputError: its sides are no multiples of a merged square, and nothing resizes it.

    >>> grid_of(HuggingFace("Qwen2VLImageProcessor"), (427, 640))
    (30, 46)
    """
    layout: Any = config.pipeline.layout
    height, width = config.pipeline.output_size(size)
    if height % layout.square or width % layout.square:
        raise InputError(
            f"Expected sides that are multiples of {layout.square}, where `do_resize` is off, got "
            f"an image of {size}."
        )
    return height // layout.patch_size, width // layout.patch_size


def patch_rows(call: Call) -> Results:
    """Return the patches of all images one after another, and the grid of each: frames, rows and
    columns.

    >>> config = HuggingFace("Qwen2VLImageProcessor")
    >>> results = patch_rows(Call(np.zeros((56, 84, 3), np.uint8), {}, config))
    >>> results["pixel_values"].shape, results["image_grid_thw"].tolist()
    ((24, 1176), [[1, 4, 6]])
    """
    images = read(call)
    config = call.config
    grids = [(1, *grid_of(config, size)) for size in sizes_of(images)]
    patches = run_rows(call, images, axes=4)
    vectors = patches.reshape(len(patches), -1)
    names = config.row.outputs
    return {names[0]: vectors, names[1]: np.asarray(grids, np.int32)}


def get_number_of_image_patches(
    processor: Any, height: int, width: int, images_kwargs: dict[str, Any] | None = None
) -> int:
    """Return how many patches an image has, without its pixels.

    Args:
        height, width: of the image, in pixels.
        images_kwargs: settings, as in a call.

    >>> from jaxprep.huggingface import Qwen2VLImageProcessor
    >>> Qwen2VLImageProcessor().get_number_of_image_patches(427, 640)
    1380
    """
    config = processor._config.overridden(images_kwargs or {})
    grid = grid_of(config, (height, width))
    return grid[0] * grid[1]


PATCH_ROWS = Family(
    patch_rows, methods={"get_number_of_image_patches": get_number_of_image_patches}
)
