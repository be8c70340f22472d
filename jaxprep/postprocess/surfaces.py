"""Normals, point maps and mattes: several channels of real numbers per pixel, resized to their
images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.postprocess.results import array, each, field, optional_field, setting, sizes
from jaxprep.postprocess.targets import Window, resize_one
from jaxprep.resample.tables import bucket
from jaxprep.types import Size


@jax.jit
def _unit_vectors(vectors: jax.Array, least: Any) -> jax.Array:
    """Vectors `(b, 3, h, w)` of length 1, or divided by `least` where they are shorter."""
    length = jnp.sqrt(jnp.square(vectors).sum(1, keepdims=True))
    return vectors / jnp.maximum(length, least)


def normal_estimation(outputs: Any, target_sizes: Any = None) -> list[dict[str, jax.Array]]:
    """Surface normals of TIPSv2-DPT: unit vectors, then resized.

    Args:
        outputs: with `normals` `(b, 3, h, w)`.
        target_sizes: (height, width) per image; None leaves the maps as they are.

    Returns:
        per image `normals`, float32 `(3, height, width)`.
    """
    normals = _unit_vectors(field(outputs, "normals"), np.float32(1e-12))
    goals = each(sizes(target_sizes, len(normals)), len(normals))
    return [{"normals": jnp.asarray(resize_one(normals, i, size, "bilinear"))} for i, size in goals]


def padded_window(image: Size, network: Size) -> Window:
    """Where in the network's input Sapiens2 placed an image: as large as fits, centred."""
    scale = min(network[0] / image[0], network[1] / image[1])
    height, width = (int(n * scale) for n in image)
    top, left = (max((m - n) // 2, 0) for m, n in zip(network, (height, width), strict=True))
    return Window(top, left, min(height, network[0]), min(width, network[1]))


def _without_padding(
    maps: jax.Array, source_sizes: Any, target_sizes: Any, do_remove_padding: bool | None, size: Any
) -> list[jax.Array]:
    sources, goals = sizes(source_sizes, len(maps), "source_sizes"), sizes(target_sizes, len(maps))
    remove = sources is not None if do_remove_padding is None else do_remove_padding
    if remove and sources is None:
        raise InputError(
            "Expected the sizes of the images, or `do_remove_padding=False` - at `source_sizes`."
        )
    network = (setting(size, "height"), setting(size, "width"))
    results = []
    for i, goal in each(goals or sources, len(maps)):
        window = None
        if remove and sources is not None:
            top, left, height, width = padded_window(sources[i], network)
            bottom, right = min(top + height, maps.shape[2]), min(left + width, maps.shape[3])
            window = Window(top, left, bottom - top, right - left)
        results.append(jnp.asarray(resize_one(maps, i, goal, "bilinear", window)))
    return results


def sapiens_normal_estimation(
    outputs: Any,
    source_sizes: Any = None,
    target_sizes: Any = None,
    do_remove_padding: bool | None = None,
    *,
    size: Any = None,
) -> list[dict[str, jax.Array]]:
    """Surface normals of Sapiens2.

    Args:
        outputs: with `normals` `(b, 3, h, w)`.
        source_sizes: (height, width) of each image before preprocessing; its padding is taken away,
            and the map gets this size if there are no `target_sizes`.
        target_sizes: (height, width) wanted for each.
        do_remove_padding: None: if there are `source_sizes`.
        size: the processor's `size`.
    """
    normals = _unit_vectors(field(outputs, "normals"), np.float32(1e-8))
    found = _without_padding(normals, source_sizes, target_sizes, do_remove_padding, size)
    return [{"normals": result} for result in found]


@jax.jit
def _scaled(points: jax.Array, scales: jax.Array) -> jax.Array:
    return points / scales[:, :, None, None]


def pointmap_estimation(
    outputs: Any,
    source_sizes: Any = None,
    target_sizes: Any = None,
    do_remove_padding: bool | None = None,
    *,
    size: Any = None,
) -> list[dict[str, jax.Array]]:
    """Points in space of each pixel: `pointmaps` `(b, 3, h, w)` divided by `scales` `(b, 1)`, if
    there are any.

    Arguments as in `sapiens_normal_estimation`.
    """
    points = field(outputs, "pointmaps")
    factors = optional_field(outputs, "scales")
    points = points if factors is None else _scaled(points, array(factors))
    found = _without_padding(points, source_sizes, target_sizes, do_remove_padding, size)
    return [{"pointmap": result} for result in found]


@jax.jit
def _matting(foregrounds: jax.Array, alphas: jax.Array) -> jax.Array:
    return jnp.concatenate([foregrounds, alphas], 1)


def image_matting(
    outputs: Any, target_sizes: Any = None, backgrounds: Any = None
) -> list[dict[str, jax.Array | None]]:
    """Mattes of Sapiens2, and the foreground over a background.

    Args:
        outputs: with `foregrounds` `(b, 3, h, w)`, premultiplied, and `alphas` `(b, 1, h, w)`.
        target_sizes: (height, width) per image; results are then clipped to [0, 1].
        backgrounds: an image for all or one for each, channels first or last, PIL too; integers are
            scaled to [0, 1].

    Returns:
        per image `foreground` `(3, height, width)`, `alpha` `(1, height, width)`, and `composite`,
        uint8 `(3, height, width)` or None.
    """
    matting = _matting(field(outputs, "foregrounds"), field(outputs, "alphas"))
    behind = _backgrounds(backgrounds, len(matting))
    results = []
    for i, size in each(sizes(target_sizes, len(matting)), len(matting)):
        found = resize_one(matting, i, size, "bilinear")
        found = found if size is None else np.clip(found, 0, 1)
        foreground, alpha = found[:3], found[3:]
        composite = None if behind is None else _composite(foreground, alpha, behind[i])
        parts = {"foreground": foreground, "alpha": alpha, "composite": composite}
        results.append(
            {name: None if part is None else jnp.asarray(part) for name, part in parts.items()}
        )
    return results


def _composite(foreground: np.ndarray, alpha: np.ndarray, background: np.ndarray) -> np.ndarray:
    size = foreground.shape[1:]
    if background.shape[1:] != size:
        background = _stretched(background, size)
    colours = np.clip(foreground + (np.float32(1) - alpha) * background, 0, 1)
    return (colours * np.float32(255 + 1.0 - 1e-3)).astype(
        np.uint8
    )  # torchvision's rule for floating point to uint8


def _stretched(image: np.ndarray, size: Size) -> np.ndarray:
    channels, height, width = image.shape
    room = np.zeros((1, channels, bucket(height), bucket(width)), np.float32)
    room[0, :, :height, :width] = image
    return resize_one(jnp.asarray(room), 0, size, "bilinear", Window(0, 0, height, width))


def _backgrounds(backgrounds: Any, count: int) -> list[np.ndarray] | None:
    if backgrounds is None:
        return None
    single = not isinstance(backgrounds, Sequence) and np.ndim(backgrounds) != 4
    images = [_channels_first(image) for image in ([backgrounds] if single else backgrounds)]
    if len(images) not in (1, count):
        raise InputError(f"Expected 1 or {count} images, got {len(images)} - at `backgrounds`.")
    return images * count if len(images) == 1 else images


def _channels_first(image: Any) -> np.ndarray:
    """An image in [0, 1], `(3, h, w)`: three channels come first or last."""
    pixels = np.asarray(image)
    if pixels.ndim != 3 or 3 not in (pixels.shape[0], pixels.shape[-1]):
        raise InputError(
            f"Expected an image with 3 channels, got shape {pixels.shape} - at `backgrounds`."
        )
    if pixels.shape[0] != 3:
        pixels = np.moveaxis(pixels, -1, 0)
    if np.issubdtype(pixels.dtype, np.integer):
        return pixels.astype(np.float32) * np.float32(1 / np.iinfo(pixels.dtype).max)
    return pixels.astype(np.float32)
