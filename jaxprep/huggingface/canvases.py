"""Samples of images on canvases of one size: Idefics 2 and Fuyu."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxprep import bounds
from jaxprep.huggingface.call import Call, Family, Results, read, run_each, sizes_of
from jaxprep.huggingface.fuyu import FUYU_METHODS
from jaxprep.huggingface.images import one_by_one
from jaxprep.huggingface.samples import padded_samples, sample_counts, split
from jaxprep.huggingface.slices import cut_out
from jaxprep.huggingface.views import padded
from jaxprep.ops.slice_sizes import Cut
from jaxprep.types import Size


def quarters(size: Size) -> list[Cut]:
    """Return the quarters of an image, row by row; what an odd side has more is in the last.

    That is `split_images` of `transformers/models/idefics2/image_processing_idefics2.py`.

    >>> quarters((5, 4))[2]
    Cut(top=2, left=0, height=3, width=2)
    """
    height, width = size
    top, left = height // 2, width // 2
    rows = (0, top), (top, height - top)
    columns = (0, left), (left, width - left)
    return [Cut(y, x, h, w) for y, h in rows for x, w in columns]


def quartered_samples(call: Call) -> Results:
    """Return the images of each sample, padded with 0 to the largest of the call and to as many as
    the longest sample has, and which pixels are those of images.

    With `do_image_splitting`, each image comes after its quarters.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("Idefics2ImageProcessor", {"size": {"height": 8, "width": 6}})
    >>> images = [[np.zeros((20, 30, 3), np.uint8)] * 2, [np.zeros((9, 9, 3), np.uint8)]]
    >>> results = quartered_samples(Call(images, {}, config))
    >>> results["pixel_values"].shape, results["pixel_attention_mask"][:, :, 0, 0].tolist()
    ((2, 2, 8, 6, 3), [[1, 1], [1, 0]])
    """
    images = read(call)
    config = call.config
    counts = sample_counts(call.images)
    if config.effective.flag("do_image_splitting"):
        images = [
            part
            for image in one_by_one(images)
            for part in [*cut_out(image, quarters(image.size)), image]
        ]
        counts = [5 * count for count in counts]
    results = run_each(call, images)
    if not config.effective.flag("do_pad"):
        return {"pixel_values": _samples(results, counts)}
    sizes = [config.pipeline.output_size(size) for size in sizes_of(images)]
    pixels = padded(results) if isinstance(results, list) else results
    return {
        # Zeros of float32 are filled there.
        "pixel_values": padded_samples(pixels, counts).astype(np.float32),
        "pixel_attention_mask": padded_samples(pixel_masks(sizes), counts),
    }


def _samples(results: Any, counts: Sequence[int]) -> Any:
    """Results that are not padded: one array where all are alike, otherwise a list of lists."""
    if not isinstance(results, list) and len(set(counts)) == 1:
        return padded_samples(results, counts)
    return [list(sample) for sample in split(list(results), counts)]


def pixel_masks(sizes: Sequence[Size]) -> np.ndarray:
    """Return 1 where an image is and 0 where it is padded to the largest, int32 `(b, h, w)`.

    >>> pixel_masks([(1, 2), (2, 1)]).tolist()
    [[[1, 1], [0, 0]], [[1, 0], [1, 0]]]
    """
    height, width = (max(sides) for sides in zip(*sizes, strict=True))
    bounds.check_padded((len(sizes), height, width), sizes)
    masks = np.zeros((len(sizes), height, width), np.int32)
    for mask, (rows, columns) in zip(masks, sizes, strict=True):
        mask[:rows, :columns] = 1
    return masks


def canvas_samples(call: Call) -> Results:
    """Return the images of each sample on one canvas, and of the first of each its sizes: as it
    came, as resized, and the scale between.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("FuyuImageProcessor", {"size": {"height": 60, "width": 90}})
    >>> results = canvas_samples(Call(np.zeros((120, 90, 3), np.uint8), {}, config))
    >>> results["images"].shape, results["image_scale_factors"].tolist()
    ((1, 1, 60, 90, 3), [[0.5]])
    """
    images = read(call)
    config = call.config
    counts = sample_counts(call.images, one_each=True)
    # The results tell of the first image of each sample only, and of none of a sample without.
    sizes = [sample[0] for sample in split(sizes_of(images), counts) if sample]
    resized = [config.resize_pipeline.output_size(size) for size in sizes]
    scales = [[new[0] / old[0]] for new, old in zip(resized, sizes, strict=True)]
    canvases = _samples(run_each(call, images), [count for count in counts if count])
    return {
        "images": canvases,
        "image_unpadded_heights": np.asarray([[height] for height, _ in resized], np.int32),
        "image_unpadded_widths": np.asarray([[width] for _, width in resized], np.int32),
        "image_scale_factors": np.asarray(scales, np.float32),
        "image_sizes": np.asarray(sizes, np.int32),
    }


QUARTERED_SAMPLES = Family(quartered_samples)
CANVAS_SAMPLES = Family(canvas_samples, methods=FUYU_METHODS)
