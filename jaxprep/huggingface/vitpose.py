"""ViTPose: the crops of boxes of people.

The arithmetic is that of
https://github.com/huggingface/transformers/blob/main/src/transformers/models/vitpose/image_processing_vitpose.py
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats.huggingface.builders.interpolation import crop_of_person
from jaxprep.huggingface.call import Call, Family, Results, read, run
from jaxprep.huggingface.images import Image, one_by_one
from jaxprep.huggingface.sapiens import boxes_of
from jaxprep.ops.affine import Line, affine_sample
from jaxprep.postprocess.pose import NORMALIZER, center_and_scale
from jaxprep.postprocess.results import network_size
from jaxprep.types import Size


def crops_of_people(call: Call) -> Results:
    """Return a crop for each box of each image; without boxes, or where `do_affine_transform` is
    off, the images.

    Inside a caller's transformation boxes are known: they say what is computed.

    >>> from jaxprep.huggingface import VitPoseImageProcessor
    >>> processor = VitPoseImageProcessor(size={"height": 8, "width": 6})
    >>> image = np.zeros((32, 32, 3), np.uint8)
    >>> processor(image, boxes=[[[4, 4, 12, 16]]]).pixel_values.shape
    (1, 3, 8, 6)
    """
    images = read(call)
    boxes = call.inputs.get("boxes")
    if boxes is None or not call.config.effective.flag("do_affine_transform"):
        return {"pixel_values": run(call, images)}
    images = one_by_one(images)
    return {"pixel_values": run(call, _crops(call, images, boxes_of(boxes, len(images), None)))}


def _crops(call: Call, images: Sequence[Image], boxes: Sequence[np.ndarray]) -> list[Image]:
    size, factor = crop_of_person(call.config.effective)
    cropped = []
    for image, boxes_of_image in zip(images, boxes, strict=True):
        source = image.pixels if call.is_traced else _as_bytes(image)
        for box in boxes_of_image:
            pixels: Any = affine_sample(source, size, *crop_lines(box, size, factor))
            if not call.is_traced:
                pixels = np.asarray(pixels)
            if source is not image.pixels:
                pixels = pixels.astype(image.pixels.dtype)
            # integers beyond those of bytes become float32
            is_float = image.value_range == "integer" and pixels.dtype == np.float32
            cropped.append(Image(pixels, "float" if is_float else image.value_range))
    if not cropped:
        raise InputError("Expected at least one box - at `boxes`.")
    return cropped


def _as_bytes(image: Image) -> np.ndarray:
    """Pixels as uint8 where they are integers that fit: SciPy's `affine_transform` rounds the crops
    of integers of every type, and `affine_sample` those of bytes.
    """
    pixels = image.pixels
    if image.value_range == "integer" and pixels.min() >= 0 and pixels.max() <= 255:
        return pixels.astype(np.uint8)
    return pixels


def crop_lines(
    box: Any,
    size: Size,
    normalize_factor: float = NORMALIZER,
) -> tuple[Line, Line]:
    """Return the positions in the image of the rows and of the columns of the crop of a box.

    Args:
        box: (left, top, width, height).
        size: height and width of the crop.

    Raises:
        InputError: the box, or the crop, has no size.

    >>> vertical, horizontal = crop_lines((0.0, 0.0, 8.0, 8.0), (11, 11))
    >>> np.round(vertical, 3).tolist()
    [1.0, -1.0]
    """
    return lines_of(*center_and_scale(box, size, normalize_factor), size)


def lines_of(center: Any, scale: Any, size: Size) -> tuple[Line, Line]:
    """Return the same for the crop with a centre (x, y) and a scale (width, height) in 200 pixels,
    float32.

    Raises:
        InputError: it has no size.

    >>> vertical, horizontal = lines_of(np.float32([4, 4]), np.float32([0.05, 0.05]), (11, 11))
    >>> np.round(horizontal, 3).tolist()
    [1.0, -1.0]
    """
    extent = scale * np.float32(NORMALIZER)
    # `size_dst`, (width, height): the last row and column are at the edges of the crop
    last = np.array(size[::-1]) - 1.0
    if min(extent) <= 0 or min(last) <= 0:
        raise InputError(
            "Expected a box, and a crop of at least 2 pixels a side, got one of "
            f"{extent.tolist()} pixels (width, height), and {size} - at `boxes`."
        )
    # `get_warp_matrix` without rotation, which is float32; its inverse is float64
    half = np.float32(0.5)
    shift = half * extent - half * (center * np.float32(2.0))
    matrix = np.zeros((2, 3), np.float32)
    matrix[[0, 1], [0, 1]] = last / extent
    matrix[:, 2] = last / extent * shift
    inverse = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))
    horizontal = float(inverse[0, 0]), float(inverse[0, 2])
    vertical = float(inverse[1, 1]), float(inverse[1, 2])
    return vertical, horizontal


def affine_transform(
    self: Any,
    image: Any,
    center: Any,
    scale: Any,
    rotation: float,
    size: Any,
) -> Any:
    """Return the crop `(c, height, width)` of an image `(c, h, w)`.

    Args:
        center, scale: (x, y) and (width, height) in 200 pixels, see
            `jaxprep.postprocess.pose.center_and_scale`.
        rotation: 0; the class never turns a crop.
        size: with `height` and `width`.

    Raises:
        InputError: a rotation.

    >>> from jaxprep.huggingface import VitPoseImageProcessor
    >>> size = {"height": 8, "width": 6}
    >>> image = np.zeros((3, 32, 32), np.uint8)
    >>> VitPoseImageProcessor().affine_transform(image, (9, 9), (0.06, 0.08), 0, size).shape
    (3, 8, 6)
    """
    del self
    if rotation:
        raise InputError(f"Expected 0, got {rotation} - at `rotation`.")
    crop_size = network_size(size)
    center, scale = np.asarray(center, np.float32), np.asarray(scale, np.float32)
    lines = lines_of(center, scale, crop_size)
    cropped = affine_sample(np.moveaxis(np.asarray(image), 0, -1), crop_size, *lines)
    return np.moveaxis(np.asarray(cropped), -1, 0)


POSES = Family(crops_of_people, ("boxes",), methods={"affine_transform": affine_transform})
