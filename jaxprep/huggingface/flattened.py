"""Images as sequences of flattened patches, each with its row and column, of Pix2Struct and
Kosmos-2.5; texts as headers of images.

Every image is standardised by the mean and the deviation of all its values before anything else, so
that the pipeline of these classes takes floats, and an image of any size is one of few programs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats.huggingface.builders.sequences import feasible_patches
from jaxprep.huggingface.call import Call, Family, Results, read, run_each, sizes_of
from jaxprep.huggingface.headers import render_header, with_header
from jaxprep.huggingface.images import IMAGES, Image, one_by_one
from jaxprep.huggingface.sequences import grid_within, padded_sequences, positions, sequence_masks
from jaxprep.huggingface.views import array_module
from jaxprep.inputs import as_numpy
from jaxprep.types import Size, is_traced


def standardized(pixels: Any, sample_deviation: bool) -> Any:
    """Return an image, or a batch of them, less its mean and divided by its deviation, float32.

    That is `normalize` of `transformers/models/pix2struct/image_processing_pix2struct.py`. The
    deviation is at least one over the root of the number of values.

    Args:
        pixels: `(..., h, w, c)`; each `(h, w, c)` has its own mean.
        sample_deviation: the torchvision backend's: divided by one less than the number of values.

    >>> standardized(np.array([[[1], [3]]], np.uint8), sample_deviation=False).tolist()
    [[[-1.0], [1.0]]]
    """
    count = int(np.prod(pixels.shape[-3:]))
    least = np.float32(1 / count**0.5)
    divisor = count - 1 if sample_deviation else count
    if array_module(pixels) is np:
        values = pixels.astype(np.float32)
        mean = np.float32(values.mean(dtype=np.float64))
        centered = values - mean
        variance = np.square(centered, dtype=np.float64).sum() / max(divisor, 1)
        return centered / np.maximum(np.float32(variance**0.5), least)
    values = pixels.astype(jnp.float32)
    # Row by row first: one sum of a million float32 values loses digits.
    mean = values.mean((-2, -1), keepdims=True).mean(-3, keepdims=True)
    centered = values - mean
    total = jnp.square(centered).sum((-2, -1), keepdims=True).sum(-3, keepdims=True)
    return centered / jnp.maximum(jnp.sqrt(total / max(divisor, 1)), least)


def normalize(processor: Any, image: Any, **kwargs: Any) -> jax.Array:
    """Standardize an image, or each image of a batch, by the mean and the deviation of its values.

    Args:
        image: `(h, w, c)`, `(c, h, w)`, or a batch.
        kwargs: ignored, as in Kosmos-2.5.

    >>> from jaxprep.huggingface import Pix2StructImageProcessor
    >>> image = np.array([[[1, 3]]], np.float32)
    >>> Pix2StructImageProcessor(backend="pil").normalize(image).tolist()
    [[[-1.0, 1.0]]]
    """
    del kwargs
    on_torch = processor.backend == "torchvision"
    if is_traced(image):
        return standardized(image, on_torch)
    pixels = as_numpy(image, "image", IMAGES)
    if pixels.ndim not in (3, 4):
        raise InputError(f"Expected an image or a batch, got shape {pixels.shape} - at `image`.")
    if pixels.ndim == 3:
        return jnp.asarray(standardized(pixels, on_torch))
    return jnp.asarray(np.stack([standardized(one, on_torch) for one in pixels]))


def _prepared(call: Call) -> list[Image]:
    """The images of a call, with their headers, and standardised where the class does it."""
    images = read(call)
    settings = call.config.effective
    if "is_vqa" in settings.row.kwargs and settings.flag("is_vqa"):
        images = with_headers(call, one_by_one(images))
    if not settings.flag("do_normalize"):
        return images
    on_torch = call.config.backend == "torchvision"
    return [Image(standardized(image.pixels, on_torch), "float") for image in images]


def with_headers(call: Call, images: Sequence[Image]) -> list[Image]:
    """Return images with their texts above them.

    Raises:
        InputError: there is no text, or not one for each image; or images are traced.

    >>> from jaxprep.formats import HuggingFace
    >>> call = Call(None, {}, HuggingFace("Pix2StructImageProcessor"))
    >>> with_headers(call, [])
    Traceback (most recent call last):
    ...
    jaxprep.errors.InputError: Expected `header_text`, ... got None - at `header_text`.
    """
    given = call.inputs.get("header_text")
    texts: Any = [given] * len(images) if isinstance(given, str) else given
    is_listed = isinstance(texts, (list, tuple)) and all(isinstance(text, str) for text in texts)
    if not is_listed or len(texts) != len(images):
        raise InputError(
            f"Expected `header_text`, a string, or one for each of {len(images)} images, where "
            f"`is_vqa` is on, got {given!r:.80} - at `header_text`."
        )
    if call.is_traced:
        raise InputError(
            "Expected images on the host where `is_vqa` is on, got traced ones: texts are drawn by "
            "Pillow. Draw them by `render_header` before."
        )
    fonts = {key: call.inputs.get(key) for key in ("font_bytes", "font_path")}
    is_scaled = call.config.backend == "torchvision"
    return [
        with_header(image, text, is_scaled, **fonts)
        for image, text in zip(images, texts, strict=True)
    ]


def _sequences(call: Call) -> tuple[Results, list[Size]]:
    """Patches with their masks, and the grid of each image."""
    images = _prepared(call)
    length = feasible_patches(call.config.effective)[1]
    grids = [grid_within(call.config, size, length) for size in sizes_of(images)]
    patches = padded_sequences(run_each(call, images), length)
    # Rows and columns count from 1, so that 0 is padding.
    places = positions(grids, length)[..., ::-1].astype(np.float32) + 1
    results = {
        "flattened_patches": array_module(patches).concatenate([places, patches], -1),
        "attention_mask": sequence_masks(grids, length).astype(np.float32),
    }
    return results, grids


def flattened_patches(call: Call) -> Results:
    """Return patches after their row and column, in sequences of one length, and their masks.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("Pix2StructImageProcessor", {"max_patches": 8})
    >>> results = flattened_patches(Call(np.zeros((32, 48, 3), np.uint8), {}, config))
    >>> results["flattened_patches"].shape, results["attention_mask"].tolist()
    ((1, 8, 770), [[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0]])
    """
    return _sequences(call)[0]


def flattened_patches_with_sizes(call: Call) -> Results:
    """Return the same, with the sizes of images in pixels and in patches.

    >>> from jaxprep.formats import HuggingFace
    >>> config = HuggingFace("Kosmos2_5ImageProcessor", {"max_patches": 8})
    >>> results = flattened_patches_with_sizes(Call(np.zeros((32, 48, 3), np.uint8), {}, config))
    >>> {name: results[name].tolist() for name in ("width", "height", "rows", "cols")}
    {'width': [48], 'height': [32], 'rows': [2], 'cols': [3]}
    """
    results, grids = _sequences(call)
    side = feasible_patches(call.config.effective)[0]
    rows, columns = np.asarray(grids, np.int32).T
    sizes = {"width": columns * side, "height": rows * side, "rows": rows, "cols": columns}
    return results | sizes


FLATTENED_PATCHES = Family(
    flattened_patches,
    ("header_text", "font_bytes", "font_path"),
    methods={"render_header": render_header, "normalize": normalize},
)
FLATTENED_PATCHES_WITH_SIZES = Family(
    flattened_patches_with_sizes, methods={"normalize": normalize}
)
