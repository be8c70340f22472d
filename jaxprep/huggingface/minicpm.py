"""MiniCPM-V 4.6 and MiniCPM-OCR: an image, and slices of it at a higher resolution, as columns of
patches.

The sources are `transformers/models/minicpmv4_6/image_processing_minicpmv4_6.py` and
`transformers/models/minicpm_ocr/image_processing_minicpm_ocr.py`, Transformers 5.24.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxprep import bounds, codec
from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface.builders.build import Source
from jaxprep.formats.huggingface.builders.slices import TINY_SIDE, slice_canvas
from jaxprep.huggingface.call import Call, Family, Results, read, run_each
from jaxprep.huggingface.features import PlainList
from jaxprep.huggingface.glyphs import size_of_text
from jaxprep.huggingface.images import Image, one_by_one
from jaxprep.huggingface.slices import cut_out, slices_of
from jaxprep.huggingface.views import array_module, rows
from jaxprep.ops.slice_sizes import Cut, slice_grid
from jaxprep.types import Size

BICUBIC = 3
"""The filter of cells, whatever `resample` is, as there."""


def grid_of_slices(config: HuggingFace, size: Size) -> Size:
    """Return how many rows and columns of slices an image of `size` is cut into; `(0, 0)` for none.

    >>> grid_of_slices(HuggingFace("MiniCPMV4_6ImageProcessor"), (480, 640))
    (1, 2)
    """
    settings = config.effective
    if not settings.flag("slice_mode"):
        return 0, 0
    rule = slice_canvas(settings)
    grid = slice_grid(size, rule.side, rule.most)
    if grid != (0, 0):
        bounds.check_parts(grid[0] * grid[1], (rule.side, rule.side), size)
    return grid


def columns_of_patches(views: Sequence[Any]) -> Any:
    """Return the patches of all views side by side: `(1, c, side, patches * side)`.

    Args:
        views: stored by `ops.Patches`, each `(rows, columns, 1, 1, c, side, side)`.

    >>> columns_of_patches([np.zeros((2, 3, 1, 1, 3, 2, 2)), np.zeros((1, 1, 1, 1, 3, 2, 2))]).shape
    (1, 3, 2, 14)
    """
    xp = array_module(list(views))
    patches = rows(list(views), axes=4)
    planes = xp.transpose(patches, (1, 2, 0, 3))
    return planes.reshape(1, *planes.shape[:2], -1)


def sliced(call: Call) -> Results:
    """Return the patches of each image and of its slices, side by side, the grid of patches of each
    view, the grid of slices of each image, and how many views it has.

    Raises:
        ConfigError: `do_resize` is off.

    >>> config = HuggingFace("MiniCPMV4_6ImageProcessor", {"scale_resolution": 56})
    >>> results = sliced(Call(np.zeros((80, 60, 3), np.uint8), {}, config))
    >>> results["pixel_values"].shape, results["target_sizes"].tolist(), results["grids"]
    ((1, 3, 14, 672), [[4, 4], [4, 4], [4, 4]], [[2, 1]])
    """
    config = call.config
    if not config.effective.flag("do_resize"):
        raise codec.expected("true: sides become whole patches", False, "$.do_resize")
    views = sliced_views(call, one_by_one(read(call)))
    return {
        "pixel_values": columns_of_patches(views.patches),
        "target_sizes": views.target_sizes,
        "grids": PlainList([list(grid) for grid in views.grids]),
        "num_patches_per_image": PlainList(views.counts),
    }


class SlicedViews(NamedTuple):
    """What is seen of images: each of them, followed by its slices.

    Attributes:
        patches: of each view, stored by `ops.Patches`.
        grids: rows and columns of slices of each image; `(0, 0)` where it is not cut.
        counts: how many views each image has.

    >>> SlicedViews([np.zeros((2, 3, 1, 1, 3, 2, 2))], [(0, 0)], [1]).target_sizes.tolist()
    [[2, 3]]
    """

    patches: list[Any]
    grids: list[Size]
    counts: list[int]

    @property
    def target_sizes(self) -> np.ndarray:
        """Rows and columns of patches of each view, int32."""
        return np.asarray([view.shape[:2] for view in self.patches], np.int32)


def sliced_views(call: Call, images: Sequence[Image]) -> SlicedViews:
    """Return what is seen of images, none of which is a batch; where `do_resize` is off, that is
    each of them as it is.

    >>> config = HuggingFace("MiniCPMV4_6ImageProcessor", {"scale_resolution": 56})
    >>> image = Image(np.zeros((80, 60, 3), np.uint8))
    >>> sliced_views(Call(None, {}, config), [image]).counts
    [3]
    """
    config = call.config
    if not config.effective.flag("do_resize"):
        uncut = [(0, 0)] * len(images)
        return SlicedViews(list(run_each(call, images)), uncut, [1] * len(images))
    grids = [grid_of_slices(config, image.size) for image in images]
    sources = _sources(call, images, grids)
    cut = [image for image, grid in zip(images, grids, strict=True) if grid != (0, 0)]
    canvases = iter(())
    if cut:
        canvases = iter(run_each(call, cut, "slices"))
    views: list[Any] = []
    counts: list[int] = []
    for image, grid, source in zip(images, grids, sources, strict=True):
        slices = []
        if grid != (0, 0):
            slices = slices_of(next(canvases), grid)
            if _is_adaptive(config):
                slices = _chosen_slices(call, image, grid, slices)
        views += [source, *slices]
        counts.append(1 + len(slices))
    return SlicedViews(views, grids, counts)


def views_shapes(call: Call, images: Sequence[Image]) -> list[tuple[int, ...]]:
    """Return the shapes of the views that `sliced_views` makes at most, all slices of an image as
    one.

    >>> config = HuggingFace("MiniCPMV4_6ImageProcessor", {"scale_resolution": 56})
    >>> views_shapes(Call(None, {}, config), [Image(np.zeros((80, 60, 3), np.uint8))])
    [(4, 4, 1, 1, 3, 14, 14), (8, 4, 1, 1, 3, 14, 14)]
    """
    config = call.config

    @functools.cache
    def of_size(source: Source, size: Size) -> list[tuple[int, ...]]:
        views: list[str | None] = [None]
        if config.effective.flag("do_resize") and grid_of_slices(config, size) != (0, 0):
            views.append("slices")
        shapes = []
        for view in views:
            pipeline = config.pipeline_of(source, view=view)
            shapes.append(pipeline.result_shape(size, source.channels))
        return shapes

    shapes: list[tuple[int, ...]] = []
    for image in images:
        shapes += of_size(image.source, image.size)
    return shapes


# -- MiniCPM-OCR: how far small images are enlarged ----------------------------------------------


def _is_adaptive(config: HuggingFace) -> bool:
    return _enlargement(config) == "adaptive"


def _enlargement(config: HuggingFace) -> str:
    """How images that are not cut are enlarged: "always" in MiniCPM-V 4.6."""
    if "small_image_upsize" not in config.row.kwargs:
        return "always"
    kinds = ("always", "never", "adaptive", None)
    # Null is neither of the two that Transformers asks for.
    return config.effective.choice("small_image_upsize", kinds) or "never"


def _sources(call: Call, images: Sequence[Image], grids: Sequence[Size]) -> list[Any]:
    """The view of the whole of each image."""
    kinds = []
    for image, grid in zip(images, grids, strict=True):
        enlargement = _enlargement(call.config)
        # Beside slices the whole image has the full area, whatever is said of small ones.
        if grid != (0, 0) or enlargement == "always":
            kind = None
        elif enlargement == "never":
            kind = "native"
        else:
            kind = _view_of(call, image)
        kinds.append(kind)
    return _run_by_view(call, images, kinds)


def _run_by_view(call: Call, images: Sequence[Image], kinds: Sequence[str | None]) -> list[Any]:
    results: list[Any] = [None] * len(images)
    for view in dict.fromkeys(kinds):
        members = [i for i, kind in enumerate(kinds) if kind == view]
        images_of_view = [images[i] for i in members]
        results_of_view = run_each(call, images_of_view, view)
        for i, result in zip(members, results_of_view, strict=True):
            results[i] = result
    return results


def _view_of(call: Call, image: Image) -> str | None:
    """The view that suits the text of an image: None, the main one, enlarges it to the full
    area."""
    if call.is_traced:
        raise InputError(
            "Expected images on the host where `small_image_upsize` is 'adaptive', got traced "
            "ones: the size of a view depends on pixels."
        )
    side = call.config.effective.integer("scale_resolution")
    views = {side: None, TINY_SIDE: "tiny", 0: "native"}
    target = size_of_text(image.pixels, side, TINY_SIDE)
    return views[target]


def cell_of(size: Size, grid: Size, row: int, column: int) -> Cut:
    """Return the part of an image that a slice shows, rounded to whole pixels.

    >>> cell_of((5, 4), (2, 1), 1, 0)
    Cut(top=2, left=0, height=3, width=4)
    """
    height, width = size
    rows, columns = grid
    top = round(height * row / rows)
    bottom = round(height * (row + 1) / rows)
    left = round(width * column / columns)
    right = round(width * (column + 1) / columns)
    return Cut(top, left, bottom - top, right - left)


def _chosen_slices(call: Call, image: Image, grid: Size, slices: Sequence[Any]) -> list[Any]:
    """Each slice, or its part of the image at a lower resolution where that is enough for its text
    and fewer patches (`_resolve_tile_size`)."""
    config = call.config.overridden({"resample": BICUBIC})
    side = config.effective.integer("scale_resolution")
    chosen = list(slices)
    for i, of_slice in enumerate(slices):
        cut = cell_of(image.size, grid, *divmod(i, grid[1]))
        if min(cut.height, cut.width) < 1 or cut.height * cut.width > side**2:
            continue
        (cell,) = cut_out(image, [cut])
        view = _view_of(call, cell)
        if view is None:
            continue
        pipeline = config.pipeline_of(cell.source, view=view)
        height, width = pipeline.output_size(cell.size)
        patch = config.effective.integer("patch_size")
        patches = (height // patch) * (width // patch)
        patches_of_slice = of_slice.shape[0] * of_slice.shape[1]
        if patches < patches_of_slice:
            (chosen[i],) = run_each(call._replace(config=config), [cell], view)
    return chosen


SLICED = Family(sliced)
