"""Images as tiles, with a view of all of each, as LLaVA-NeXT and its like take them.

The main view of a class makes the tiles of an image, `(rows, columns, c, h, w)`, or the image as it
is where nothing is cut. Which other views an image has, and in what order, says the `tiling` of the
row. How many tiles there are is host arithmetic from sizes, without pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from jaxprep import ops
from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface.classes import CountKind, Tiling
from jaxprep.huggingface.call import Call, Family, Results, read, run_each, size_results, sizes_of
from jaxprep.huggingface.images import Image, for_pillow, traced_image, with_value_range
from jaxprep.huggingface.views import array_module, padded, rows
from jaxprep.ops.tile_sizes import Grid
from jaxprep.types import Size

# -- how an image is cut -------------------------------------------------------------------------


def grid_of(config: HuggingFace, size: Size) -> Grid:
    """Return how many rows and columns of tiles an image of `size` is cut into; `(1, 1)` where it
    is not cut.

    >>> config = HuggingFace("GotOcr2ImageProcessor", {"crop_to_patches": True})
    >>> grid_of(config, (480, 640))
    (3, 4)
    """
    layout = config.pipeline.layout
    if not isinstance(layout, ops.Tiles):
        return 1, 1
    # A tile at the border may be smaller: see `tiles_of`.
    height, width = canvas_of(config, size)
    return -(-height // layout.size[0]), -(-width // layout.size[1])


def canvas_of(config: HuggingFace, size: Size) -> Size:
    """Return height and width of what is cut of an image of `size`.

    >>> canvas_of(HuggingFace("LlavaNextImageProcessor"), (480, 640))
    (672, 672)
    """
    # `Pipeline.output_size` makes the tables too, which takes 100 times as long.
    for step in config.pipeline.steps:
        if isinstance(step, ops.Geometry):
            size = step.output_size(size)
    return size


def tiling_of(config: HuggingFace) -> Tiling:
    """Return how the class puts tiles together.

    >>> tiling_of(HuggingFace("GotOcr2ImageProcessor")).thumbnail
    'last'
    """
    tiling = config.row.tiling
    assert tiling is not None  # of every class of these families
    return tiling


def has_thumbnail(config: HuggingFace, size: Size) -> bool:
    """Return whether an image of `size` has a view of all of it beside its tiles.

    >>> has_thumbnail(HuggingFace("GotOcr2ImageProcessor"), (480, 640))
    False
    """
    tiling = tiling_of(config)
    if tiling.thumbnail is None:
        return False
    return tiling.always or grid_of(config, size) != (1, 1)


def views_count(config: HuggingFace, size: Size) -> int:
    """Return how many views an image of `size` has: its tiles, and a thumbnail.

    >>> views_count(HuggingFace("LlavaNextImageProcessor"), (480, 640))
    10
    """
    return _tiles_count(config, size) + has_thumbnail(config, size)


def _tiles_count(config: HuggingFace, size: Size) -> int:
    grid = grid_of(config, size)
    return grid[0] * grid[1]


COUNTS: dict[CountKind, Callable[[HuggingFace, Size], Any]] = {
    "views": views_count,
    "tiles": _tiles_count,
    "grid": grid_of,
}


def count_results(config: HuggingFace, sizes: Sequence[Size]) -> Results:
    """Return how images were cut, by the names that the row's `tiling` gives, int32.

    >>> config = HuggingFace("GotOcr2ImageProcessor", {"crop_to_patches": True})
    >>> count_results(config, [(480, 640)])["num_patches"].tolist()
    [13]
    """
    counts = tiling_of(config).counts
    return {
        name: np.asarray([COUNTS[kind](config, size) for size in sizes], np.int32)
        for name, kind in counts.items()
    }


# -- views ---------------------------------------------------------------------------------------


def views_of(call: Call, images: Sequence[Image]) -> Any:
    """Return the views of each image, `(views, c, h, w)`: its tiles row by row, and its thumbnail
    before or after them.

    Returns:
        one array where all images have as many, otherwise a list with one per image.

    >>> config = HuggingFace("GotOcr2ImageProcessor", {"size": 8, "crop_to_patches": True})
    >>> images = [Image(np.zeros((20, 30, 3), np.uint8)), Image(np.zeros((20, 20, 3), np.uint8))]
    >>> [len(views) for views in views_of(Call(None, {}, config), images)]
    [7, 10]
    """
    config = call.config
    tiles = tiles_of(call, images)
    with_one = [image for image in images if has_thumbnail(config, image.size)]
    if not with_one:
        return tiles
    thumbnails = run_each(call, with_one, "thumbnail")
    is_first = tiling_of(config).thumbnail == "first"
    if len(with_one) == len(images) and _are_arrays(tiles, thumbnails):
        pair = [thumbnails[:, None], tiles] if is_first else [tiles, thumbnails[:, None]]
        return array_module(pair).concatenate(pair, axis=1)
    remaining = iter(thumbnails)
    views = []
    for size, of_image in zip(sizes_of(images), tiles, strict=True):
        if has_thumbnail(config, size):
            thumbnail = next(remaining)[None]
            pair = [thumbnail, of_image] if is_first else [of_image, thumbnail]
            of_image = array_module(pair).concatenate(pair)
        views.append(of_image)
    return views


def _are_arrays(*results: Any) -> bool:
    return not any(isinstance(result, list) for result in results)


def tiles_of(call: Call, images: Sequence[Image]) -> Any:
    """Return the tiles of each image, `(tiles, c, h, w)`; of one that is not cut, the image.

    Returns:
        one array where all images have as many, otherwise a list with one per image.

    >>> config = HuggingFace("GotOcr2ImageProcessor", {"size": 8, "crop_to_patches": True})
    >>> tiles_of(Call(None, {}, config), [Image(np.zeros((20, 30, 3), np.uint8))]).shape
    (1, 6, 3, 8, 8)
    """
    config = call.config
    if "tile" not in config.row.views:
        return _as_views(run_each(call, images))
    is_final = [_tiles_are_final(config, image) for image in images]
    if all(is_final):
        return _as_views(run_each(call, images))
    final = [image for image, is_so in zip(images, is_final, strict=True) if is_so]
    others = [image for image, is_so in zip(images, is_final, strict=True) if not is_so]
    from_final = iter(_as_views(run_each(call, final)) if final else ())
    from_others = iter(_changed_tiles(call, others))
    tiles = []
    for image, is_so in zip(images, is_final, strict=True):
        tiles += [next(from_final if is_so else from_others) for _ in range(image.count)]
    return tiles


def _as_views(results: Any) -> Any:
    """Results of the main view as `(views, c, h, w)` each."""
    if isinstance(results, list):
        return [_as_views(result[None])[0] for result in results]
    # `(n, c, h, w)` of images that are not cut, `(n, rows, columns, c, h, w)` of tiles.
    return results.reshape(len(results), -1, *results.shape[-3:])


# -- tiles that are changed after they are cut ---------------------------------------------------


def _tiles_are_final(config: HuggingFace, image: Image) -> bool:
    """Whether the view "tile", which every tile of the class goes through after it is cut, leaves
    those of an image as they are, but for their values."""
    layout = config.pipeline.layout
    if not isinstance(layout, ops.Tiles):
        return True
    canvas = canvas_of(config, image.size)
    if any(n % side for n, side in zip(canvas, layout.size, strict=True)):
        return False
    steps = config.pipeline_of(image.source, view="tile").steps
    # A resize and a crop to the size that a tile has change nothing.
    moves = [step for step in steps if isinstance(step, ops.Geometry)]
    return all(step.output_size(layout.size) == layout.size for step in moves)


def _changed_tiles(call: Call, images: Sequence[Image]) -> list[Any]:
    """Tiles that are cut of the view "canvas", and each goes through the view "tile"."""
    config = call.config
    layout: Any = config.pipeline.layout
    side = layout.size[0]
    as_it_is = call._replace(config=replace(config, data_format="channels_last"))
    pieces: list[Image] = []
    counts = []
    for canvas in run_each(as_it_is, images, "canvas"):
        # As `divide_to_patches` of transformers/image_transforms.py: what is at the border is as
        # large as it is.
        cut = [
            canvas[top : top + side, left : left + side]
            for top in range(0, canvas.shape[0], side)
            for left in range(0, canvas.shape[1], side)
        ]
        pieces += [_image_of(call, piece) for piece in cut]
        counts.append(len(cut))
    results = run_each(call, pieces, "tile")
    if isinstance(results, list):
        raise InputError(
            "Expected tiles of one size, got "
            f"{sorted({result.shape[-2:] for result in results})}: with `do_resize` or "
            "`do_center_crop` they become that."
        )
    ends = np.cumsum(counts)
    return [results[end - count : end] for end, count in zip(ends, counts, strict=True)]


def _image_of(call: Call, pixels: Any) -> Image:
    """A piece of a canvas as an image, which the backend reads as any other."""
    if call.is_traced:
        return traced_image(pixels)
    image = with_value_range(pixels)
    return for_pillow(image) if call.config.backend == "pil" else image


# -- families ------------------------------------------------------------------------------------


def tile_rows(call: Call) -> Results:
    """Return the views of all images one after another, and how each was cut.

    >>> config = HuggingFace("GotOcr2ImageProcessor", {"size": 8, "crop_to_patches": True})
    >>> results = tile_rows(Call(np.zeros((20, 30, 3), np.uint8), {}, config))
    >>> results["pixel_values"].shape, results["num_patches"].tolist()
    ((7, 3, 8, 8), [7])
    """
    images = read(call)
    views = views_of(call, images)
    results = {call.config.result_name: rows(views, axes=1)}
    return results | count_results(call.config, sizes_of(images))


def tiles_to_most(call: Call) -> Results:
    """Return the views of each image, padded with 0 to those of the image that has most, and the
    sizes of images.

    >>> sizes = {"image_grid_pinpoints": [[8, 16], [16, 16]], "size": 8, "crop_size": 8}
    >>> config = HuggingFace("LlavaNextImageProcessor", sizes)
    >>> images = [np.zeros((20, 30, 3), np.uint8), np.zeros((20, 60, 3), np.uint8)]
    >>> tiles_to_most(Call(images, {}, config))["pixel_values"].shape
    (2, 5, 3, 8, 8)
    """
    images = read(call)
    views = views_of(call, images)
    if isinstance(views, list) and call.config.effective.flag("do_pad"):
        views = padded(views)
    results = {call.config.result_name: views}
    return results | size_results(call.config, sizes_of(images))


def get_number_of_image_patches(
    processor: Any, height: int, width: int, images_kwargs: dict[str, Any] | None = None
) -> int:
    """Return how many views an image has, without its pixels.

    Args:
        height, width: of the image, in pixels.
        images_kwargs: settings, as in a call; `patch_size` is another name of `size`.

    >>> from jaxprep.huggingface import GotOcr2ImageProcessor
    >>> GotOcr2ImageProcessor(crop_to_patches=True).get_number_of_image_patches(480, 640)
    13
    """
    settings = dict(images_kwargs or {})
    if "patch_size" in settings:
        settings["size"] = settings.pop("patch_size")
    return views_count(processor._config.overridden(settings), (height, width))


TILE_ROWS = Family(tile_rows, methods={"get_number_of_image_patches": get_number_of_image_patches})
TILES_TO_MOST = Family(tiles_to_most)
