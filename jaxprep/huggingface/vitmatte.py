"""ViTMatte: images with their trimaps as a fourth channel."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats.huggingface.builders import ValueRange
from jaxprep.huggingface.call import Call, Family, Results, read, run
from jaxprep.huggingface.images import Image, one_by_one
from jaxprep.huggingface.segmentation import paired_maps

DTYPES: dict[ValueRange, type[np.generic]] = {"uint8": np.uint8, "integer": np.int32}
"""Of integers; `read` has no others."""


def matte(call: Call) -> Results:
    """Return images with their trimaps as the last channel.

    The pipeline takes the two as one image: its steps leave the values of a trimap apart from those
    of the colours, as `transformers/models/vitmatte/image_processing_vitmatte.py` does.

    >>> from jaxprep.huggingface import VitMatteImageProcessor
    >>> image, trimap = np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), np.uint8)
    >>> VitMatteImageProcessor()(image, trimaps=trimap).pixel_values.shape
    (1, 4, 32, 32)
    """
    images = one_by_one(read(call))
    given = call.inputs.get("trimaps")
    if given is None:
        raise InputError("Expected `trimaps`, a map for each image, beside `images`.")
    trimaps = paired_maps(call, given, len(images), "trimaps")
    pairs = [
        _joined(call, image, trimap, i)
        for i, (image, trimap) in enumerate(zip(images, trimaps, strict=True))
    ]
    return {"pixel_values": run(call, pairs)}


def _joined(call: Call, image: Image, trimap: Image, i: int) -> Image:
    """One image and its trimap as one image, of the type to which `concatenate` promotes the two
    there: integers, unless one has floats.
    """
    if image.size != trimap.size:
        raise InputError(
            f"Expected a trimap of {image.size}, the image's, got {trimap.size} - at "
            f"`trimaps[{i}]`."
        )
    settings = call.config.effective
    xp = jnp if call.is_traced else np
    colours = image.pixels
    if colours.shape[2] == 1 and settings.flag("do_normalize"):
        colours = colours.repeat(3, axis=2)  # a mean for each of three channels follows
    is_computed = settings.flag("do_rescale") or settings.flag("do_normalize")
    if is_computed and not call.is_traced:
        trimap = _as_bytes(image, trimap)
    value_range = _joint_range(image, trimap)
    dtype = DTYPES.get(value_range, np.float32)
    pixels = xp.concatenate([colours.astype(dtype), trimap.pixels.astype(dtype)], axis=2)
    return Image(pixels, value_range)


def _joint_range(image: Image, trimap: Image) -> ValueRange:
    if image.value_range == trimap.value_range:
        return image.value_range
    if image.value_range in DTYPES and trimap.value_range in DTYPES:
        return "integer"
    return "float"


def _as_bytes(image: Image, trimap: Image) -> Image:
    """A trimap of integers beside a uint8 image as uint8, where it fits, so that the affine is
    exact.
    """
    pixels = trimap.pixels
    is_wider = image.value_range == "uint8" and trimap.value_range == "integer"
    if is_wider and pixels.min() >= 0 and pixels.max() <= 255:
        return trimap._replace(value_range="uint8")
    return trimap


MATTE = Family(matte, ("trimaps",))
