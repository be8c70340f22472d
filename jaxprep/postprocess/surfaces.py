"""Normals, point maps and mattes: several channels of real numbers per pixel, resized to their
images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from jaxprep.errors import InputError
from jaxprep.postprocess.registry import NORMALS, method
from jaxprep.postprocess.resize_plan import Window, resize_host_map, resize_image
from jaxprep.postprocess.results import (
    as_array,
    each_size,
    field,
    network_size,
    optional_field,
    sizes,
    to_jax,
)
from jaxprep.types import Size

UINT8_SCALE = np.float32(255 + 1.0 - 1e-3)
"""torchvision's `to_dtype` multiplies floating point by this and truncates
(https://github.com/pytorch/vision/blob/main/torchvision/transforms/v2/functional/_misc.py)."""


@jax.jit
def unit_vectors(
    vectors: Float[jax.Array, "b 3 h w"],
    least_length: Any,
) -> Float[jax.Array, "b 3 h w"]:
    """Divides vectors by their lengths, or by `least_length` where they are shorter.

    Reproduces `torch.nn.functional.normalize(vectors, dim=1, eps=least_length)`.

    >>> unit_vectors(jnp.float32([0, 3, 4]).reshape(1, 3, 1, 1), 1e-12).ravel().round(3).tolist()
    [0.0, 0.6000000238418579, 0.800000011920929]
    """
    length = jnp.sqrt(jnp.square(vectors).sum(1, keepdims=True))
    return vectors / jnp.maximum(length, least_length)


@method("Tipsv2DptImageProcessor", NORMALS)
def normal_estimation(
    outputs: Any,
    target_sizes: Any = None,
) -> list[dict[str, jax.Array]]:
    """Returns the surface normals of TIPSv2-DPT: unit vectors, then resized.

    Reproduces `models/tipsv2_dpt/image_processing_tipsv2_dpt.py` of Transformers: resized vectors
    are not normalised again.

    Args:
        outputs: with `normals` `(b, 3, h, w)`.
        target_sizes: (height, width) per image; None leaves the maps as they are.

    Returns:
        per image `normals`, float32 `(3, height, width)`.

    >>> normal_estimation({"normals": np.ones((1, 3, 4, 4))}, [(6, 5)])[0]["normals"].shape
    (3, 6, 5)
    """
    # 1e-12 is the default of torch's `normalize`.
    normals = unit_vectors(field(outputs, "normals"), np.float32(1e-12))
    results = []
    for i, size in each_size(target_sizes, len(normals)):
        resized = resize_image(normals, i, size, "bilinear")
        results.append({"normals": jnp.asarray(resized)})
    return results


def padded_window(image: Size, network: Size) -> Window:
    """Returns where in the network's input Sapiens2 puts an image: as large as fits, centred.

    >>> padded_window((10, 20), (16, 16))
    Window(top=4, left=0, height=8, width=16)
    """
    # `_post_process_maps` computes it again from the sizes: sides are truncated, and of an odd
    # padding the smaller half comes first.
    image_height, image_width = image
    network_height, network_width = network
    scale = min(network_height / image_height, network_width / image_width)
    height = int(image_height * scale)
    width = int(image_width * scale)
    return Window(
        top=max((network_height - height) // 2, 0),
        left=max((network_width - width) // 2, 0),
        height=min(height, network_height),
        width=min(width, network_width),
    )


def _without_padding(
    maps: jax.Array,
    source_sizes: Any,
    target_sizes: Any,
    do_remove_padding: bool | None,
    size: Any,
) -> list[jax.Array]:
    """The maps of each image without its padding, resized (`_post_process_maps` in
    models/sapiens2/image_processing_sapiens2.py).
    """
    sources = sizes(source_sizes, len(maps), "source_sizes")
    remove = sources is not None if do_remove_padding is None else do_remove_padding
    if remove and sources is None:
        raise InputError(
            "Expected the sizes of the images, or `do_remove_padding=False` - at `source_sizes`."
        )
    goals = source_sizes if target_sizes is None else target_sizes
    network = network_size(size)
    results = []
    for i, goal in each_size(goals, len(maps)):
        window = None
        if remove and sources is not None:
            top, left, height, width = padded_window(sources[i], network)
            # The maps may be smaller than the input: a slice ends at their edge.
            bottom = min(top + height, maps.shape[2])
            right = min(left + width, maps.shape[3])
            window = Window(top, left, bottom - top, right - left)
        resized = resize_image(maps, i, goal, "bilinear", window)
        results.append(jnp.asarray(resized))
    return results


@method("Sapiens2ImageProcessor", NORMALS, settings=["size"])
def sapiens_normal_estimation(
    outputs: Any,
    source_sizes: Any = None,
    target_sizes: Any = None,
    do_remove_padding: bool | None = None,
    *,
    size: Any = None,
) -> list[dict[str, jax.Array]]:
    """Returns the surface normals of Sapiens2.

    Reproduces `models/sapiens2/image_processing_sapiens2.py` of Transformers.

    Args:
        outputs: with `normals` `(b, 3, h, w)`.
        source_sizes: (height, width) of each image before preprocessing; its padding is removed,
            and the map gets this size if there are no `target_sizes`.
        target_sizes: (height, width) wanted for each.
        do_remove_padding: None: if there are `source_sizes`.
        size: the processor's `size`.

    Returns:
        per image `normals`, float32 `(3, height, width)`.

    Raises:
        InputError: padding is to be removed without `source_sizes`.

    >>> outputs, size = {"normals": np.ones((1, 3, 8, 8))}, {"height": 8, "width": 8}
    >>> sapiens_normal_estimation(outputs, [(4, 6)], size=size)[0]["normals"].shape
    (3, 4, 6)
    """
    normals = unit_vectors(field(outputs, "normals"), np.float32(1e-8))
    maps = _without_padding(normals, source_sizes, target_sizes, do_remove_padding, size)
    return [{"normals": each_map} for each_map in maps]


@jax.jit
def _divided(points: jax.Array, scales: jax.Array) -> jax.Array:
    return points / scales[:, :, None, None]


@method("Sapiens2ImageProcessor", "post_process_pointmap_estimation", settings=["size"])
def pointmap_estimation(
    outputs: Any,
    source_sizes: Any = None,
    target_sizes: Any = None,
    do_remove_padding: bool | None = None,
    *,
    size: Any = None,
) -> list[dict[str, jax.Array]]:
    """Returns the point in space of each pixel, of Sapiens2.

    Reproduces `models/sapiens2/image_processing_sapiens2.py` of Transformers.

    Args:
        outputs: with `pointmaps` `(b, 3, h, w)` and perhaps `scales` `(b, 1)`, by which they are
            divided.
        source_sizes, target_sizes, do_remove_padding, size: as in `sapiens_normal_estimation`.

    Returns:
        per image `pointmap`, float32 `(3, height, width)`.

    Raises:
        InputError: padding is to be removed without `source_sizes`.

    >>> outputs = {"pointmaps": np.ones((1, 3, 2, 2)), "scales": np.full((1, 1), 2)}
    >>> pointmap_estimation(outputs)[0]["pointmap"][0].tolist()
    [[0.5, 0.5], [0.5, 0.5]]
    """
    points = field(outputs, "pointmaps")
    scales = optional_field(outputs, "scales")
    if scales is not None:
        points = _divided(points, as_array(scales))
    maps = _without_padding(points, source_sizes, target_sizes, do_remove_padding, size)
    return [{"pointmap": each_map} for each_map in maps]


@jax.jit
def _concatenated(foregrounds: jax.Array, alphas: jax.Array) -> jax.Array:
    return jnp.concatenate([foregrounds, alphas], 1)


@method("Sapiens2ImageProcessor", "post_process_image_matting")
def image_matting(
    outputs: Any,
    target_sizes: Any = None,
    backgrounds: Any = None,
) -> list[dict[str, jax.Array | None]]:
    """Returns the mattes of Sapiens2, and the foreground over a background.

    Reproduces `models/sapiens2/image_processing_sapiens2.py` of Transformers.

    Args:
        outputs: with `foregrounds` `(b, 3, h, w)`, premultiplied, and `alphas` `(b, 1, h, w)`.
        target_sizes: (height, width) per image; results are then clipped to [0, 1].
        backgrounds: an image for all or one for each, channels first or last, PIL too; integers are
            scaled to [0, 1].

    Returns:
        per image `foreground` `(3, height, width)`, `alpha` `(1, height, width)`, and `composite`,
        uint8 `(3, height, width)` or None.

    Raises:
        InputError: a background without 3 channels, or neither 1 nor `b` of them.

    >>> outputs = {"foregrounds": np.zeros((1, 3, 2, 2)), "alphas": np.zeros((1, 1, 2, 2))}
    >>> white = np.ones((2, 2, 3))
    >>> image_matting(outputs, backgrounds=white)[0]["composite"][0].tolist()
    [[255, 255], [255, 255]]
    """
    mattes = _concatenated(field(outputs, "foregrounds"), field(outputs, "alphas"))
    images = _backgrounds(backgrounds, len(mattes))
    results = []
    for i, size in each_size(target_sizes, len(mattes)):
        matte = resize_image(mattes, i, size, "bilinear")
        # Resizing does not leave [0, 1] but for rounding; what is not resized is not clipped.
        if size is not None:
            matte = np.clip(matte, 0, 1)
        foreground = matte[:3]
        alpha = matte[3:]
        composite = None
        if images is not None:
            composite = _composite(foreground, alpha, images[i])
        result = {
            "foreground": foreground,
            "alpha": alpha,
            "composite": composite,
        }
        results.append(to_jax(result))
    return results


def _composite(
    foreground: Float[np.ndarray, "3 h w"],
    alpha: Float[np.ndarray, "1 h w"],
    background: Float[np.ndarray, "3 height width"],
) -> UInt8[np.ndarray, "3 h w"]:
    if background.shape[1:] != foreground.shape[1:]:
        background = resize_host_map(background, foreground.shape[1:], "bilinear")
    # The foreground is premultiplied: it has its share already.
    transparency = np.float32(1) - alpha
    mixed = foreground + transparency * background
    scaled = np.clip(mixed, 0, 1) * UINT8_SCALE
    return scaled.astype(np.uint8)


def _backgrounds(backgrounds: Any, count: int) -> list[np.ndarray] | None:
    if backgrounds is None:
        return None
    # PIL images and arrays are no sequences; an array of 4 axes holds several images.
    if not isinstance(backgrounds, Sequence) and np.ndim(backgrounds) != 4:
        backgrounds = [backgrounds]
    images = [_channels_first(image) for image in backgrounds]
    if len(images) == 1:
        return images * count
    if len(images) != count:
        raise InputError(f"Expected 1 or {count} images, got {len(images)} - at `backgrounds`.")
    return images


def _channels_first(image: Any) -> Float[np.ndarray, "3 h w"]:
    """An image in [0, 1]: three channels come first or last, first if both could be."""
    pixels = np.asarray(image)
    if pixels.ndim != 3 or 3 not in (pixels.shape[0], pixels.shape[-1]):
        raise InputError(
            f"Expected an image with 3 channels, got shape {pixels.shape} - at `backgrounds`."
        )
    # Where the first and the last axis have length 3, channels come first.
    if pixels.shape[0] != 3:
        pixels = np.moveaxis(pixels, -1, 0)
    values = pixels.astype(np.float32)
    if np.issubdtype(pixels.dtype, np.integer):
        largest = np.iinfo(pixels.dtype).max
        values *= np.float32(1 / largest)
    return values
