"""Depth maps at the size of their images."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.postprocess.results import each, field, optional_field, sizes
from jaxprep.postprocess.targets import Rule, Window, resize_one
from jaxprep.resample.filters import canonical_method
from jaxprep.resample.tables import bucket


def depth_estimation(
    outputs: Any, target_sizes: Any = None, *, rule: Rule = "bicubic"
) -> list[dict[str, jax.Array]]:
    """Depth of DPT, Depth Anything, GLPN, CHMv2 and TIPSv2.

    Args:
        outputs: with `predicted_depth` `(b, h, w)`.
        target_sizes: (height, width) per image; None leaves the maps as they are.
        rule: how maps are resized.

    Returns:
        per image `predicted_depth`, float32 `(height, width)`.
    """
    depth = _with_channel(field(outputs, "predicted_depth"))
    goals = each(sizes(target_sizes, len(depth)), len(depth))
    return [
        {"predicted_depth": jnp.asarray(resize_one(depth, i, size, rule)[0])} for i, size in goals
    ]


@jax.jit
def _with_channel(depth: jax.Array) -> jax.Array:
    return depth[:, None]


_RULES: dict[Any, Rule] = {"bilinear": "bilinear", "bicubic": "bicubic"}


def depth_pro_estimation(
    outputs: Any, target_sizes: Any = None, *, resample: Any = 2
) -> list[dict[str, Any]]:
    """Metric depth of Depth Pro, from its inverse depth and field of view.

    Args:
        outputs: with `predicted_depth` `(b, h, w)` and perhaps `field_of_view` `(b,)`, degrees.
        target_sizes: (height, width) per image; None leaves maps and scale as they are.
        resample: the processor's, `bilinear` or `bicubic` or PIL's number of it.

    Returns:
        per image `predicted_depth`, in [1e-4, 1e4]; `field_of_view`; `focal_length` in pixels. The
        last two are None where they are not known.
    """
    inverse = _with_channel(field(outputs, "predicted_depth"))
    rule = _RULES.get(canonical_method(resample))
    if rule is None:
        raise InputError(f"Expected `bilinear` or `bicubic`, got {resample!r} - at `resample`.")
    views = optional_field(outputs, "field_of_view")
    views = [None] * len(inverse) if views is None else np.asarray(views, np.float32)
    results = []
    for i, size in each(sizes(target_sizes, len(inverse)), len(inverse)):
        view, focal, scale = views[i], None, np.float32(1)
        if size is not None and view is not None:
            half = np.float32(0.5) * np.deg2rad(view)
            focal = np.float32(0.5 * size[1]) / np.tan(half)
            scale = np.float32(size[1]) / focal
        depth = _inverted(resize_one(inverse, i, size, rule)[0], scale)
        parts = {"field_of_view": view, "focal_length": focal}
        known = {name: None if part is None else jnp.asarray(part) for name, part in parts.items()}
        results.append({"predicted_depth": jnp.asarray(depth), **known})
    return results


def _inverted(inverse: np.ndarray, scale: np.float32) -> np.ndarray:
    return np.float32(1) / np.clip(inverse * scale, np.float32(1e-4), np.float32(1e4))


@jax.jit
def _flip_average(depth: jax.Array, flipped: jax.Array) -> jax.Array:
    return (depth + flipped[..., ::-1]) / 2


def zoe_depth_estimation(
    outputs: Any,
    source_sizes: Any = None,
    target_sizes: Any = None,
    outputs_flipped: Any = None,
    do_remove_padding: bool | None = None,
    *,
    do_pad: bool | None = True,
) -> list[dict[str, jax.Array]]:
    """Depth of ZoeDepth: averaged with that of the mirrored image, brought to the padded image,
    cropped, resized.

    Args:
        outputs: with `predicted_depth` `(b, h, w)`.
        source_sizes: (height, width) of each image before preprocessing.
        target_sizes: (height, width) wanted for each.
        outputs_flipped: those of the mirrored images.
        do_remove_padding: take away the `int(3 sqrt(side / 2))` pixels that preprocessing mirrored
            around the image; None: if the processor's `do_pad` says that it did.
    """
    depth = field(outputs, "predicted_depth")
    if outputs_flipped is not None:
        mirrored = field(outputs_flipped, "predicted_depth")
        if mirrored.shape != depth.shape:
            raise InputError(
                f"Expected shape {depth.shape}, got {mirrored.shape} - at `outputs_flipped`."
            )
        depth = _flip_average(depth, mirrored)
    remove = bool(do_pad) if do_remove_padding is None else do_remove_padding
    if remove and source_sizes is None:
        raise InputError(
            "Expected the sizes of the images, or `do_remove_padding=False` - at `source_sizes`."
        )
    sources, goals = (
        sizes(source_sizes, len(depth), "source_sizes"),
        sizes(target_sizes, len(depth)),
    )
    results = []
    for i in range(len(depth)):
        maps = _with_channel(depth)
        if sources is not None:
            pads = [int(math.sqrt(n / 2) * 3) if remove else 0 for n in sources[i]]
            (height, width), (top, left) = sources[i], pads
            padded = resize_one(maps, i, (height + 2 * top, width + 2 * left), "bicubic")
            found = padded[:, top : top + height, left : left + width]
        else:
            found = resize_one(maps, i, None, "bicubic")
        if goals is not None:
            found = _again(found, goals[i])
        results.append({"predicted_depth": jnp.asarray(found[0])})
    return results


def _again(maps: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A second resize, of a map whose size changes from image to image: on a canvas of its own."""
    height, width = maps.shape[1:]
    if (height, width) == size:
        return maps
    room = np.zeros((1, *maps.shape[:1], bucket(height), bucket(width)), np.float32)
    room[0, :, :height, :width] = maps
    return resize_one(jnp.asarray(room), 0, size, "bicubic", Window(0, 0, height, width))
