"""Images as tiles, with a view of all of each, as LLaVA-NeXT and its like take them.

The main view of a class makes the tiles of an image, `(rows, columns, c, h, w)`, or the image as it
is where nothing is cut. Which other views an image has, and in what order, says the `tiling` of the
row. How many tiles there are is host arithmetic from sizes, without pixels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxprep import bounds, codec, ops
from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface.builders import Source
from jaxprep.formats.huggingface.builders.tiles import longest_at_least
from jaxprep.formats.huggingface.classes import CountKind, Tiling
from jaxprep.huggingface.call import (
    Call,
    Family,
    Results,
    read,
    result_type,
    run_each,
    size_results,
    sizes_of,
    store_each,
)
from jaxprep.huggingface.counts import count_methods
from jaxprep.huggingface.features import PartsInRows, PlainList
from jaxprep.huggingface.images import (
    Image,
    for_pillow,
    one_by_one,
    traced_image,
    with_value_range,
)
from jaxprep.huggingface.samples import in_samples, padded_samples, sample_counts, split, spread
from jaxprep.huggingface.views import Rows, array_module, padded_rows, rows, sizes_differ, starts_of
from jaxprep.ops.slice_sizes import square_cuts
from jaxprep.ops.tile_sizes import Grid, canvas_grids
from jaxprep.pipeline import Pipeline
from jaxprep.types import Size

# -- how an image is cut -------------------------------------------------------------------------


def grid_of(config: HuggingFace, size: Size) -> Grid:
    """Return how many rows and columns of tiles an image of `size` is cut into; `(1, 1)` where it
    is not cut.

    >>> config = HuggingFace("GotOcr2ImageProcessor", {"crop_to_patches": True})
    >>> grid_of(config, (480, 640))
    (3, 4)
    """
    layout = _tiles_pipeline(config).layout
    if not isinstance(layout, ops.Tiles):
        return 1, 1
    height, width = canvas_of(config, size)
    tile_height, tile_width = layout.size
    # Rounded up: a tile at the border may be smaller, see `tiles_of`.
    rows_of_tiles = -(-height // tile_height)
    columns_of_tiles = -(-width // tile_width)
    return rows_of_tiles, columns_of_tiles


def canvas_of(config: HuggingFace, size: Size) -> Size:
    """Return height and width of what is cut of an image of `size`.

    >>> canvas_of(HuggingFace("LlavaNextImageProcessor"), (480, 640))
    (672, 672)
    """
    # `Pipeline.output_size` makes the tables too, which takes 100 times as long.
    for step in _tiles_pipeline(config).steps:
        if isinstance(step, ops.Geometry):
            size = step.output_size(size)
    return size


def _cuts(config: HuggingFace) -> bool:
    """Whether images are cut into tiles; otherwise each is its own one view, of any size."""
    return isinstance(_tiles_pipeline(config).layout, ops.Tiles)


def _tiles_pipeline(config: HuggingFace) -> Pipeline:
    """The view of tiles: the main one, where no other is named so."""
    view = None
    if "tiles" in config.row.views:
        view = "tiles"
    return config.pipeline_of(Source(), view=view)


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
    if tiling.thumbnail is None or not _cuts(config):
        return False
    return tiling.always or grid_of(config, size) != (1, 1)


def views_count(config: HuggingFace, size: Size) -> int:
    """Return how many views an image of `size` has: its tiles, and a thumbnail.

    >>> views_count(HuggingFace("LlavaNextImageProcessor"), (480, 640))
    10
    """
    return _tiles_count(config, size) + has_thumbnail(config, size)


def _tiles_count(config: HuggingFace, size: Size) -> int:
    return math.prod(grid_of(config, size))


def _local_count(config: HuggingFace, size: Size) -> int:
    rows_of_tiles, columns_of_tiles = local_grid(config, size) or (0, 0)
    return rows_of_tiles * columns_of_tiles


def _columns_and_rows(config: HuggingFace, size: Size) -> list[int]:
    rows_of_tiles, columns_of_tiles = local_grid(config, size) or (1, 1)
    return [columns_of_tiles, rows_of_tiles]


COUNTS: dict[CountKind, Callable[[HuggingFace, Size], Any]] = {
    "views": views_count,
    "grid": grid_of,
    "local": _local_count,
    "columns_and_rows": _columns_and_rows,
}


def count_results(config: HuggingFace, sizes: Sequence[Size]) -> Results:
    """Return how images were cut, by the names that the row's `tiling` gives: int32, or lists of
    Python's numbers.

    >>> config = HuggingFace("GotOcr2ImageProcessor", {"crop_to_patches": True})
    >>> count_results(config, [(480, 640)])["num_patches"].tolist()
    [13]
    """
    tiling = tiling_of(config)
    results: Results = {}
    for name, kind in tiling.counts.items():
        count = COUNTS[kind]
        values = [count(config, size) for size in sizes]
        if tiling.lists:
            results[name] = PlainList(values)
        else:
            results[name] = np.asarray(values, np.int32)
    return results


# -- views ---------------------------------------------------------------------------------------


def place_views(call: Call, images: Sequence[Image], starts: Sequence[int], total: int) -> Any:
    """Return the views of all images in one array, `(total, c, h, w)`, with 0 between them: the
    tiles of an image row by row, and its thumbnail before or after them.

    On the host each result is copied once, to where it belongs.

    Args:
        starts: the row of the first view of each image.
        total: of all rows.

    >>> config = HuggingFace("GotOcr2ImageProcessor", {"size": 8, "crop_to_patches": True})
    >>> images = [Image(np.full((20, 30, 3), 9, np.uint8)), Image(np.zeros((20, 20, 3), np.uint8))]
    >>> place_views(Call(None, {}, config), images, [0, 10], 20).shape
    (20, 3, 8, 8)
    """
    call = _in_layout_of_tiles(call)
    config = call.config
    counts = _views_counts(call, images)
    if call.is_traced:
        return _place_traced(call, images, counts, starts, total)
    is_first = tiling_of(config).thumbnail == "first"
    tile_starts = []
    with_thumbnail = []
    thumbnail_starts = []
    for image, start, count in zip(images, starts, counts, strict=True):
        tile_start = start
        if has_thumbnail(config, image.size):
            with_thumbnail.append(image)
            if is_first:
                thumbnail_starts.append(start)
                tile_start = start + 1
            else:
                last = start + count - 1
                thumbnail_starts.append(last)
        tile_starts.append(tile_start)
    parts = _parts_of_tiles(call, images, tile_starts)
    if with_thumbnail:
        thumbnails = _Part(with_thumbnail, thumbnail_starts, "thumbnail")
        parts.append(thumbnails)
    return _placed(call, parts, total, sum(counts))


def _in_layout_of_tiles(call: Call) -> Call:
    """The same call with channels first, as `ops.Tiles` stores them, whatever `data_format` is."""
    if call.config.data_format == "channels_first":
        return call
    return call._replace(config=replace(call.config, data_format="channels_first"))


def _place_traced(
    call: Call,
    images: Sequence[Image],
    counts: Sequence[int],
    starts: Sequence[int],
    total: int,
) -> Any:
    """`place_views` of traced images, which have `counts` views."""
    views = views_of(call, images)
    each = total // len(counts)
    equal_starts = [each * i for i in range(len(counts))]
    is_even = total == each * len(counts) and list(starts) == equal_starts
    if not isinstance(views, list) and is_even:
        # All alike: nothing is taken out of a batch, so that its sharding is kept.
        view_shape = views.shape[2:]
        bounds.check_padded((total, *view_shape), [(sum(counts), *view_shape)])
        unpadded = (0, 0)
        after_views = (0, each - views.shape[1])
        widths = [unpadded, after_views, *[unpadded] * len(view_shape)]
        return rows(jnp.pad(views, widths), axes=1)
    views = rows(views, axes=1)
    bounds.check_padded((total, *views.shape[1:]), [views.shape])
    return spread(views, counts, starts, total)


class _Part(NamedTuple):
    """Images of which one view goes to rows of the results of a call.

    Attributes:
        images: of the host.
        starts: the first row of each.
        view: one of the row's `views`, or the main one.
    """

    images: list[Image]
    starts: list[int]
    view: str | None = None


def _parts_of_tiles(call: Call, images: Sequence[Image], starts: Sequence[int]) -> list[_Part]:
    """What makes the tiles of each image, from its row in `starts` on."""
    config = call.config
    has_tile_view = "tile" in config.row.views
    final = _Part([], [])
    others = _Part([], [])
    for image, start in zip(images, starts, strict=True):
        part = final
        if has_tile_view and not _tiles_are_final(config, image):
            part = others
        part.images.append(image)
        part.starts.append(start)
    parts = []
    if final.images:
        parts.append(final)
    if others.images:
        pieces, counts = _pieces(call, others.images)
        piece_starts = []
        for start, count in zip(others.starts, counts, strict=True):
            piece_starts += range(start, start + count)
        parts.append(_Part(pieces, piece_starts, "tile"))
    return parts


def _placed(call: Call, parts: Sequence[_Part], total: int, used: int) -> np.ndarray:
    """One array of `total` rows with the results of all parts, which fill `used` of them."""
    # The views of a class have one shape, as `Rows` checks; the first image tells it.
    image = parts[0].images[0]
    channels = image.pixels.shape[-1]
    pipeline = call.config.pipeline_of(image.source, view=parts[0].view)
    view_shape = pipeline.result_shape(image.size, channels)[-3:]
    bounds.check_padded((total, *view_shape), [(used, *view_shape)])
    starts = []
    dtypes = []
    for part in parts:
        starts += part.starts
        dtypes.append(result_type(call, part.images, part.view))
    dtype = np.result_type(*dtypes)
    results = Rows(starts, total, view_shape, dtype, has_gaps=used < total)
    first = 0
    for part in parts:

        def store(i: int, result: np.ndarray, first: int = first) -> None:
            results.store(first + i, result)

        store_each(call, part.images, store, part.view)
        first += len(part.images)
    return results.array


def views_of(call: Call, images: Sequence[Image]) -> Any:
    """Return the views of each image, `(views, c, h, w)`, in the order of `place_views`.

    Returns:
        one array where all images have as many of one size, otherwise a list with one per image.

    >>> config = HuggingFace("GotOcr2ImageProcessor", {"size": 8, "crop_to_patches": True})
    >>> images = [Image(np.zeros((20, 30, 3), np.uint8)), Image(np.zeros((20, 20, 3), np.uint8))]
    >>> [len(views) for views in views_of(Call(None, {}, config), images)]
    [7, 10]
    """
    call = _in_layout_of_tiles(call)
    config = call.config
    if not _cuts(config):
        return _as_views(run_each(call, images))
    if not call.is_traced:
        views = views_in_rows(call, images)
        counts = _views_counts(call, images)
        return _by_image(views, counts) if isinstance(views, list) else in_samples(views, counts)
    tiles = tiles_of(call, images)
    with_thumbnail = [image for image in images if has_thumbnail(config, image.size)]
    if not with_thumbnail:
        return tiles
    thumbnails = run_each(call, with_thumbnail, "thumbnail")
    is_first = tiling_of(config).thumbnail == "first"
    have_all = len(with_thumbnail) == len(images)
    if have_all and _are_arrays(tiles, thumbnails):
        return _joined(tiles, thumbnails, is_first)
    remaining = iter(thumbnails)
    views = []
    for size, image_views in zip(sizes_of(images), tiles, strict=True):
        if has_thumbnail(config, size):
            image_views = _joined(image_views, next(remaining), is_first)
        views.append(image_views)
    return views


def _joined(tiles: Any, thumbnail: Any, is_first: bool) -> Any:
    """The tiles of an image, or of each of a batch, with its thumbnail before or after them."""
    # An axis of views before `c, h, w`.
    thumbnail = thumbnail[..., None, :, :, :]
    pair = [tiles, thumbnail]
    if is_first:
        pair.reverse()
    return array_module(pair).concatenate(pair, axis=-4)


def _are_arrays(*results: Any) -> bool:
    return not any(isinstance(result, list) for result in results)


def tiles_of(call: Call, images: Sequence[Image]) -> Any:
    """Return the tiles of traced images, `(tiles, c, h, w)`; of one that is not cut, the image.

    Returns:
        one array where all images have as many, otherwise a list with one per image.

    >>> config = HuggingFace("GotOcr2ImageProcessor", {"size": 8, "crop_to_patches": True})
    >>> tiles_of(Call(None, {}, config), [Image(np.zeros((20, 30, 3), np.uint8))]).shape
    (1, 6, 3, 8, 8)
    """
    config = call.config
    # Images that are traced are few, and most are of one size: all of them go one way.
    are_final = True
    if "tile" in config.row.views:
        are_final = all(_tiles_are_final(config, image) for image in images)
    if are_final:
        return _as_views(run_each(call, images))
    pieces, counts = _pieces(call, images)
    results = run_each(call, pieces, "tile")
    if isinstance(results, list):
        raise InputError(sizes_differ(result.shape[-3:] for result in results))
    tiles = []
    start = 0
    for count in counts:
        end = start + count
        tiles.append(results[start:end])
        start = end
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
    layout = _tiles_pipeline(config).layout
    if not isinstance(layout, ops.Tiles):
        return True
    canvas_height, canvas_width = canvas_of(config, image.size)
    tile_height, tile_width = layout.size
    if canvas_height % tile_height or canvas_width % tile_width:
        return False
    for step in config.pipeline_of(image.source, view="tile").steps:
        if isinstance(step, ops.Geometry) and not _keeps(step, layout.size):
            return False
    return True


def _keeps(step: ops.Geometry, size: Size) -> bool:
    """Whether a resize or a crop leaves an image of `size` as it is."""
    if isinstance(step, ops.Fit):
        return step.rule.fit(size) == ops.Fitted(size, size)
    return step.output_size(size) == size


def _pieces(call: Call, images: Sequence[Image]) -> tuple[list[Image], list[int]]:
    """The tiles that are cut of the view "canvas", for the view "tile", and their numbers."""
    config = call.config
    side = _side_of_tiles(config)
    # A canvas is `(h, w, c)`, as images of a call are, whatever the config makes of the results.
    channels_last = replace(config, data_format="channels_last")
    canvas_call = call._replace(config=channels_last)
    pieces: list[Image] = []
    counts = []
    for canvas in run_each(canvas_call, images, "canvas"):
        cuts = square_cuts(canvas.shape[:2], side)
        for cut in cuts:
            pixels = canvas[cut.slices]
            pieces.append(_image_of(call, pixels))
        counts.append(len(cuts))
    return pieces, counts


def _side_of_tiles(config: HuggingFace) -> int:
    layout: Any = _tiles_pipeline(config).layout
    return layout.size[0]


def _image_of(call: Call, pixels: Any) -> Image:
    """A piece of a canvas as an image, which the backend reads as any other."""
    if call.is_traced:
        return traced_image(pixels)
    image = with_value_range(pixels)
    if call.config.backend == "pil":
        return for_pillow(image)
    return image


# -- families: all views in rows, or as many for each image -------------------------------------


def tile_rows(call: Call) -> Results:
    """Return the views of all images one after another, and how each was cut.

    >>> config = HuggingFace("GotOcr2ImageProcessor", {"size": 8, "crop_to_patches": True})
    >>> results = tile_rows(Call(np.zeros((20, 30, 3), np.uint8), {}, config))
    >>> results["pixel_values"].shape, results["num_patches"].tolist()
    ((7, 3, 8, 8), [7])
    """
    images = _read(call)
    views = views_in_rows(call, images)
    if tiling_of(call.config).by_image:
        counts = _views_counts(call, images)
        views = _by_image(views, counts) if isinstance(views, list) else PartsInRows(views, counts)
    results = {call.config.result_name: views}
    return results | count_results(call.config, sizes_of(images))


def _read(call: Call) -> list[Image]:
    """The images of a call of a class whose switches are on that it cannot do without."""
    for key in tiling_of(call.config).needs:
        if not call.config.effective.flag(key):
            name = call.config.class_name
            raise codec.expected(f"true, since `{name}` always does it", False, f"$.{key}")
    return read(call)


def views_in_rows(call: Call, images: Sequence[Image]) -> Any:
    """Return the views of all images one after another: one array; a list of the views where images
    differ in channels in the end, or in size where nothing is cut.

    >>> call = Call(None, {}, HuggingFace("GotOcr2ImageProcessor", {"size": 8}))
    >>> views_in_rows(call, [Image(np.zeros((20, 30, 3), np.uint8))]).shape
    (1, 3, 8, 8)
    """
    if not _cuts(call.config):
        return run_each(call, images)
    if _channels_differ(call, images):
        views = []
        for image in one_by_one(images):
            views += list(views_in_rows(call, [image]))
        return views
    counts = _views_counts(call, images)
    starts, total = starts_of(counts)
    return place_views(call, images, starts, total)


def _channels_differ(call: Call, images: Sequence[Image]) -> bool:
    """Whether images have no one number of channels in the end: gray beside colours, where nothing
    converts to RGB or normalises by three means.
    """
    if len({image.source.channels for image in images}) == 1:
        return False
    config = _in_layout_of_tiles(call).config
    channels = set()
    for source, image in {image.source: image for image in images}.items():
        pipeline = config.pipeline_of(source)
        channels.add(pipeline.result_shape(image.size, source.channels)[-3])
    return len(channels) > 1


def _by_image(views: list[Any], counts: Sequence[int]) -> list[Any]:
    """The views of each image, `(views, c, h, w)`, of a list of those of all images."""
    return [array_module(parts).stack(parts) for parts in split(views, counts)]


def _views_counts(call: Call, images: Sequence[Image]) -> list[int]:
    return [views_count(call.config, size) for size in sizes_of(images)]


def tile_stacks(call: Call) -> Results:
    """Return the views of each image, where the class pads with 0 after those of images that have
    fewer than others, and the sizes of images.

    >>> sizes = {"image_grid_pinpoints": [[8, 16], [16, 16]], "size": 8, "crop_size": 8}
    >>> config = HuggingFace("LlavaNextImageProcessor", sizes)
    >>> images = [np.zeros((20, 30, 3), np.uint8), np.zeros((20, 60, 3), np.uint8)]
    >>> tile_stacks(Call(images, {}, config))["pixel_values"].shape
    (2, 5, 3, 8, 8)
    """
    images = read(call)
    results = {call.config.result_name: _stacked_views(call, images)}
    return results | size_results(call.config, sizes_of(images))


def _pads(config: HuggingFace) -> bool:
    pads = tiling_of(config).pads
    if pads == "do_pad":
        return config.effective.flag("do_pad")
    return pads == "always"


def _stacked_views(call: Call, images: Sequence[Image]) -> Any:
    """The views of images as one array, where the class pads or all have as many; otherwise, and
    where they differ in size, in a list."""
    counts = _views_counts(call, images)
    most = max(counts)
    if not _cuts(call.config) or (not _pads(call.config) and min(counts) < most):
        return views_of(call, images)
    if _channels_differ(call, images):
        return [_in_equal_rows(call, [image], most)[0] for image in one_by_one(images)]
    return _in_equal_rows(call, images, most)


def _in_equal_rows(call: Call, images: Sequence[Image], most: int) -> Any:
    """The views of each image, `(images, most, c, h, w)`, with 0 after them."""
    # Not `len(images)`: one of them may be a batch.
    count = len(sizes_of(images))
    starts = [i * most for i in range(count)]
    views = place_views(call, images, starts, count * most)
    return views.reshape(count, most, *views.shape[1:])


def samples_of_one_tiled(call: Call) -> Results:
    """Return the views of each image as LLaVA-OneVision does: only images that are alone in their
    sample are cut; the others are padded to a square.

    A list that is not nested has samples of one image.

    >>> sizes = {"image_grid_pinpoints": [[8, 16]], "size": {"height": 8, "width": 8}}
    >>> config = HuggingFace("LlavaOnevisionImageProcessor", sizes)
    >>> image = np.zeros((20, 30, 3), np.uint8)
    >>> results = samples_of_one_tiled(Call([[image], [image, image]], {}, config))
    >>> results["pixel_values"].shape, results["batch_num_images"].tolist()
    ((3, 3, 3, 8, 8), [1, 2])
    """
    images = read(call)
    sizes = sizes_of(images)
    counts = []
    if any(isinstance(item, (list, tuple)) for item in _items(call.images)):
        # Samples without images are left out there.
        counts = [count for count in sample_counts(call.images) if count]
    counts = counts or [1] * len(sizes)
    if max(counts) > 1:
        stacked = _mixed_views(call, one_by_one(images), counts)
    else:
        stacked = _stacked_views(call, images)
    results = {call.config.result_name: stacked}
    results |= size_results(call.config, sizes)
    return results | {"batch_num_images": np.asarray(counts, np.int32)}


def _mixed_views(call: Call, images: Sequence[Image], counts: Sequence[int]) -> Any:
    """The views of images, some of which are not alone in their samples."""
    samples = split(images, counts)
    alone = []
    others = []
    for sample in samples:
        if len(sample) == 1:
            alone += sample
        else:
            others += sample
    cut = iter(())
    if alone:
        cut = iter(views_of(call, alone))
    squares = iter(run_each(call, others, "square"))
    views = []
    for sample in samples:
        if len(sample) == 1:
            views.append(next(cut))
            continue
        for _ in sample:
            square = next(squares)
            views.append(square[None])
    if _pads(call.config):
        return padded_rows(views)
    return views


def _items(images: Any) -> Sequence[Any]:
    return images if isinstance(images, (list, tuple)) else ()


def masked_rows(call: Call) -> Results:
    """Return the views of all images one after another, as Aria does: where each lies on its
    canvas, and how many views an image has at most.

    >>> config = HuggingFace("AriaImageProcessor", {"max_image_size": 490})
    >>> results = masked_rows(Call(np.zeros((20, 30, 3), np.uint8), {}, config))
    >>> results["pixel_values"].shape, results["pixel_mask"].shape, results["num_crops"]
    ((1, 3, 490, 490), (1, 490, 490), 1)
    """
    images = read(call)
    config = call.config
    rule = longest_at_least(config.effective)
    counts = []
    masks = []
    for size in sizes_of(images):
        pieces = [size]
        if config.effective.flag("split_image"):
            cuts = square_cuts(canvas_of(config, size), rule.side)
            pieces = [(cut.height, cut.width) for cut in cuts]
        for piece in pieces:
            mask = np.zeros((rule.side, rule.side), bool)
            height, width = rule.fit(piece).content
            mask[:height, :width] = True
            masks.append(mask)
        counts.append(len(pieces))
    return {
        "pixel_values": views_in_rows(call, images),
        "pixel_mask": np.stack(masks),
        "num_crops": max(counts),
    }


def tiles_apart(call: Call) -> Results:
    """Return a view of each image and, apart, the tiles of those that are longer than a tile, as
    DeepSeek-OCR 2 does.

    >>> sizes = {"size": {"height": 16, "width": 16}, "tile_size": 8}
    >>> config = HuggingFace("DeepseekOcr2ImageProcessor", sizes)
    >>> results = tiles_apart(Call(np.zeros((20, 30, 3), np.uint8), {}, config))
    >>> results["pixel_values"].shape, results["pixel_values_local"].shape
    ((1, 3, 16, 16), (6, 3, 8, 8))
    """
    images = read(call)
    config = call.config
    results = {config.result_name: run_each(call, images)}
    cut = [image for image in images if local_grid(config, image.size) is not None]
    if cut:
        tiles = run_each(call, cut, "tiles")
        results["pixel_values_local"] = rows(_as_views(tiles), axes=1)
    return results | count_results(config, sizes_of(images))


def local_grid(config: HuggingFace, size: Size) -> Grid | None:
    """Return the grid of an image of DeepSeek-OCR 2; None where it has no tiles.

    >>> local_grid(HuggingFace("DeepseekOcr2ImageProcessor"), (768, 768)) is None
    True
    """
    settings = config.effective
    if not settings.flag("crop_to_patches") or max(size) <= settings.integer("tile_size"):
        return None
    return grid_of(config, size)


# -- Phi-4 ---------------------------------------------------------------------------------------


def tiles_with_tokens(call: Call) -> Results:
    """Return the views of each image, padded with 0 to those of the image that has most, as Phi-4
    does: which patches show the image, the size of the canvas, and the number of tokens.

    >>> config = HuggingFace("Phi4MultimodalImageProcessor", {"size": 28})
    >>> results = tiles_with_tokens(Call(np.zeros((20, 40, 3), np.uint8), {}, config))
    >>> results["image_pixel_values"].shape, results["image_attention_mask"][0, 1].tolist()
    ((1, 3, 3, 28, 28), [[1.0, 1.0], [1.0, 1.0]])
    """
    images = read(call)
    config = call.config
    masks = []
    canvases = []
    token_counts = []
    for size in sizes_of(images):
        masks.append(patch_masks(config, size))
        canvases.append(canvas_of(config, size))
        token_counts.append(tokens_count(config, size))
    most = max(map(len, masks))
    patches_shape = masks[0].shape[1:]
    # Views that are padded are marked as shown, as by `torch.ones` in `pad_mask_to_max_num_crops`
    # of phi4_multimodal/image_processing_phi4_multimodal.py.
    attention = np.ones((len(masks), most, *patches_shape), np.float32)
    for row, mask in zip(attention, masks, strict=True):
        row[: len(mask)] = mask
    return {
        config.result_name: _stacked_views(call, images),
        "image_sizes": np.asarray(canvases, np.int32),
        "image_attention_mask": attention,
        "num_img_tokens": np.asarray(token_counts, np.int32),
    }


def patch_masks(config: HuggingFace, size: Size) -> np.ndarray:
    """Return which patches of each view of an image of `size` show it, `(views, rows, columns)`.

    >>> config = HuggingFace("Phi4MultimodalImageProcessor")
    >>> patch_masks(config, (300, 448)).sum(axis=(1, 2)).tolist()
    [1024.0, 704.0]
    """
    mask = canvas_mask(config, size)
    rows_of_tiles, columns_of_tiles = grid_of(config, size)
    side = len(mask) // rows_of_tiles
    tiles = mask.reshape(rows_of_tiles, side, columns_of_tiles, side)
    tiles = tiles.swapaxes(1, 2).reshape(-1, side, side)
    # The view of all is before the tiles, and has no padding.
    whole = np.ones((1, side, side), np.float32)
    return np.concatenate([whole, tiles])


def canvas_mask(config: HuggingFace, size: Size) -> np.ndarray:
    """Return which patches of the canvas of an image of `size` show it, 1 or 0, float32.

    >>> canvas_mask(HuggingFace("Phi4MultimodalImageProcessor"), (300, 448)).shape
    (32, 32)
    """
    patch = config.effective.integer("patch_size")
    fitted = _fitted(config, size)
    rows_of_tiles, columns_of_tiles = grid_of(config, size)
    # A tile has whole patches only, whatever is left of it.
    side = _side_of_tiles(config) // patch
    mask = np.ones((side * rows_of_tiles, side * columns_of_tiles), np.float32)
    # Rounded down: a patch that shows a part of the image counts as one that shows it.
    empty_rows = (fitted.canvas[0] - fitted.content[0]) // patch
    empty_columns = (fitted.canvas[1] - fitted.content[1]) // patch
    if empty_rows:
        mask[-empty_rows:] = 0
    if empty_columns:
        mask[:, -empty_columns:] = 0
    return mask


def _fitted(config: HuggingFace, size: Size) -> ops.Fitted:
    (step,) = (step for step in config.pipeline.steps if isinstance(step, ops.Fit))
    return step.rule.fit(size)


def tokens_count(config: HuggingFace, size: Size) -> int:
    """Return how many tokens an image of `size` has: 16 x 16 and their 16 line ends of the view of
    all, a separator, and of the tiles every second patch and a line end for each row that has any.

    >>> tokens_count(HuggingFace("Phi4MultimodalImageProcessor"), (480, 640))
    1065
    """
    masks = patch_masks(config, size)[1:, ::2, ::2]
    rows_of_tiles, columns_of_tiles = grid_of(config, size)
    _, side, _ = masks.shape
    # Of the canvas, every second patch of each tile: a tile may have an odd number of them.
    canvas = masks.reshape(rows_of_tiles, columns_of_tiles, side, side)
    canvas = canvas.swapaxes(1, 2).reshape(rows_of_tiles * side, -1)
    in_tiles = int(canvas.sum())
    line_ends = int(canvas[:, 0].sum())
    return 256 + 1 + in_tiles + line_ends + 16


# -- samples of several images ------------------------------------------------------------------


def page_samples(call: Call) -> Results:
    """Return the views of each sample, padded with 0 to those of the sample that has most, as
    Granite-Docling does: which views there are, and the grid of each image.

    >>> config = HuggingFace("GraniteDoclingImageProcessor", {"size": 8})
    >>> images = [[np.zeros((20, 30, 3), np.uint8)], [np.zeros((40, 40, 3), np.uint8)]]
    >>> results = page_samples(Call(images, {}, config))
    >>> results["pixel_values"].shape, results["rows"]
    ((2, 26, 3, 8, 8), [[2], [5]])
    """
    images = read(call)
    config = call.config
    pixels, counts = _views_of_samples(call, images)
    if config.backend == "pil":
        # `_pad_for_batching` of granite_docling/image_processing_pil_granite_docling.py fills zeros
        # of float32; the torchvision backend pads with the type of the tiles.
        pixels = pixels.astype(np.float32)
    masks = np.zeros(pixels.shape[:2], bool)
    for mask, count in zip(masks, counts, strict=True):
        mask[:count] = True
    results = {config.result_name: pixels, "pixel_attention_mask": masks}
    if config.effective.flag("fine_route"):
        results["tile_fine_mask"] = np.ones(len(counts), bool)
    return results | _grid_lists(call, images)


def split_samples(call: Call) -> Results:
    """Return the views of each sample, padded with 0 to those of the sample that has most, as
    Idefics 3 does: which pixels there are, and, where it is asked for, the grid of each image.

    >>> sizes = {"size": {"longest_edge": 16}, "max_image_size": {"longest_edge": 8}}
    >>> config = HuggingFace("Idefics3ImageProcessor", sizes)
    >>> results = split_samples(Call(np.zeros((20, 30, 3), np.uint8), {}, config))
    >>> results["pixel_values"].shape, results["pixel_attention_mask"].shape
    ((1, 5, 3, 8, 8), (1, 5, 8, 8))
    """
    images = read(call)
    settings = call.config.effective
    name = call.config.result_name
    results: Results = {}
    if settings.flag("do_pad"):
        pixels, counts = _views_of_samples(call, images)
        # Zeros of float32 are filled there.
        results[name] = pixels.astype(np.float32)
        masks = np.zeros((*pixels.shape[:2], *pixels.shape[-2:]), np.int32)
        for mask, count in zip(masks, counts, strict=True):
            mask[:count] = 1
        results["pixel_attention_mask"] = masks
    else:
        counts = [sum(sample) for sample in _counts_by_sample(call, images)]
        results[name] = in_samples(views_in_rows(call, images), counts)
    if settings.flag("return_row_col_info"):
        results |= _grid_lists(call, images, of_single=(0, 0))
    return results


def _views_of_samples(call: Call, images: Sequence[Image]) -> tuple[Any, list[int]]:
    """The views of each sample, padded with 0 to the longest, and how many there are of each."""
    samples = _counts_by_sample(call, images)
    counts = [sum(sample) for sample in samples]
    most = max(counts)
    starts = []
    for number, sample in enumerate(samples):
        sample_start = number * most
        starts_in_sample, _ = starts_of(sample)
        starts += [sample_start + start for start in starts_in_sample]
    views = place_views(call, images, starts, len(counts) * most)
    views = views.reshape(len(counts), most, *views.shape[1:])
    return views, counts


def _counts_by_sample(call: Call, images: Sequence[Image]) -> list[Sequence[int]]:
    """How many views each image has, in lists of samples."""
    return split(_views_counts(call, images), sample_counts(call.images))


def _grid_lists(call: Call, images: Sequence[Image], of_single: Grid = (1, 1)) -> Results:
    """The numbers of rows and of columns of each image, in lists of samples.

    Args:
        of_single: what is said of an image that is a single tile.
    """
    grids = []
    for size in sizes_of(images):
        grid = grid_of(call.config, size)
        if grid == (1, 1):
            grid = of_single
        grids.append(grid)
    rows_of_samples = PlainList()
    columns_of_samples = PlainList()
    for sample in split(grids, sample_counts(call.images)):
        rows_of_samples.append([grid[0] for grid in sample])
        columns_of_samples.append([grid[1] for grid in sample])
    return {"rows": rows_of_samples, "cols": columns_of_samples}


def tiled_samples(call: Call) -> Results:
    """Return the tiles of each image of each sample, padded with 0 to `max_image_tiles` and to the
    sample that has most images, as Mllama does: which there are, and the number of each grid among
    all grids.

    >>> config = HuggingFace("MllamaImageProcessor", {"size": 8})
    >>> results = tiled_samples(Call(np.zeros((20, 30, 3), np.uint8), {}, config))
    >>> results["pixel_values"].shape, results["aspect_ratio_ids"].tolist(), results["num_tiles"]
    ((1, 1, 4, 3, 8, 8), [[6]], [[4]])
    """
    images = _read(call)
    config = call.config
    counts = sample_counts(call.images)
    grids = [grid_of(config, size) for size in sizes_of(images)]
    most = config.effective.integer("max_image_tiles")
    tiles = _in_equal_rows(call, images, most)
    bounds.check_padded((len(counts), max(counts), *tiles.shape[1:]), [tiles.shape])
    tile_counts = [math.prod(grid) for grid in grids]
    is_tile = np.arange(most) < np.asarray(tile_counts)[:, None]
    masks = padded_samples(is_tile.astype(np.int32), counts)
    # The first tile is there also of an image that is missing, as in the original.
    masks[..., 0] = 1
    # Numbered from 1: 0 is an image that is missing, see `convert_aspect_ratios_to_ids`.
    id_of_grid = {grid: number for number, grid in enumerate(canvas_grids(most), 1)}
    ids = np.asarray([id_of_grid[grid] for grid in grids], np.int32)
    tiles = padded_samples(tiles, counts)
    return {
        # Zeros of float32 are filled there.
        config.result_name: tiles.astype(np.float32),
        "aspect_ratio_ids": padded_samples(ids, counts),
        "aspect_ratio_mask": masks,
        "num_tiles": PlainList(split(tile_counts, counts)),
    }


# -- methods -------------------------------------------------------------------------------------


def views_and_grid(config: HuggingFace, size: Size) -> tuple[int, int, int]:
    """Return how many views an image of Idefics 3 has, and their rows and columns; three times 0
    where it is not cut.

    >>> from jaxprep.huggingface import Idefics3ImageProcessor
    >>> Idefics3ImageProcessor().get_number_of_image_patches(480, 640)
    (13, 3, 4)
    """
    grid = grid_of(config, size)
    if grid == (1, 1):
        return 0, 0, 0
    return views_count(config, size), *grid


def local_views_count(config: HuggingFace, size: Size) -> int:
    """Return how many views an image of DeepSeek-OCR 2 has: one of all of it, and its tiles.

    >>> from jaxprep.huggingface import DeepseekOcr2ImageProcessor
    >>> DeepseekOcr2ImageProcessor().get_number_of_image_patches(480, 800)
    7
    """
    rows_of_tiles, columns_of_tiles = local_grid(config, size) or (0, 0)
    return 1 + rows_of_tiles * columns_of_tiles


COUNT_VIEWS = count_methods(get_number_of_image_patches=views_count)
TILE_ROWS = Family(tile_rows, methods=COUNT_VIEWS)
MASKED_ROWS = Family(masked_rows, methods=COUNT_VIEWS)
TILE_STACKS = Family(tile_stacks)
SAMPLES_OF_ONE_TILED = Family(samples_of_one_tiled)
TILES_APART = Family(
    tiles_apart, methods=count_methods(get_number_of_image_patches=local_views_count)
)
TILES_WITH_TOKENS = Family(tiles_with_tokens)
PAGE_SAMPLES = Family(page_samples, methods=COUNT_VIEWS | count_methods(get_tile_grid=grid_of))
SPLIT_SAMPLES = Family(
    split_samples, methods=count_methods(get_number_of_image_patches=views_and_grid)
)
TILED_SAMPLES = Family(tiled_samples)
