"""Depth maps at the sizes of their images."""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np

from jaxprep.errors import InputError
from jaxprep.postprocess.registry import DEPTH, method
from jaxprep.postprocess.resize_plan import (
    Interpolation,
    canonical_method,
    resize_host_map,
    resize_image,
)
from jaxprep.postprocess.results import (
    as_array,
    each_size,
    field,
    on_device,
    optional_field,
    require_shape,
    sizes,
    to_jax,
)
from jaxprep.types import Size

MIN_INVERSE, MAX_INVERSE = np.float32(1e-4), np.float32(1e4)
"""Depth Pro clips inverse depth to these."""


@method(
    ("DPTImageProcessor", "GLPNImageProcessor", "PromptDepthAnythingImageProcessor"),
    DEPTH,
)
@method("CHMv2ImageProcessor", DEPTH, fixed={"interpolation": "align_corners"})
@method("Tipsv2DptImageProcessor", DEPTH, fixed={"interpolation": "bilinear"})
def depth_estimation(
    outputs: Any,
    target_sizes: Any = None,
    *,
    interpolation: Interpolation = "bicubic",
) -> list[dict[str, jax.Array]]:
    """Returns the depth of DPT, Depth Anything, GLPN, CHMv2 and TIPSv2.

    Reproduces `models/dpt/image_processing_dpt.py` of Transformers and its relatives, which differ
    in the interpolation.

    Args:
        outputs: with `predicted_depth` `(b, h, w)`, in units of the model.
        target_sizes: (height, width) per image; None leaves the maps as they are.
        interpolation: how maps are resized.

    Returns:
        per image `predicted_depth`, float32 `(height, width)`.

    Raises:
        InputError: depth of another rank, or of no pixels.

    >>> (result,) = depth_estimation({"predicted_depth": np.ones((1, 4, 4))}, [(6, 5)])
    >>> result["predicted_depth"].shape
    (6, 5)
    """
    depth = _with_channel(_depth_of(outputs))
    results = []
    for i, size in each_size(target_sizes, len(depth)):
        resized = resize_image(depth, i, size, interpolation)
        results.append({"predicted_depth": on_device(resized[0])})
    return results


def _depth_of(outputs: Any) -> jax.Array:
    depth = field(outputs, "predicted_depth")
    require_shape("predicted_depth", depth, (*depth.shape[:1], None, None))
    return depth


@jax.jit
def _with_channel(depth: jax.Array) -> jax.Array:
    return depth[:, None]


@method("DepthProImageProcessor", DEPTH, settings=["resample"])
def depth_pro_estimation(
    outputs: Any,
    target_sizes: Any = None,
    *,
    resample: Any = 2,
) -> list[dict[str, Any]]:
    """Returns the metric depth of Depth Pro, from its inverse depth and field of view.

    Reproduces `models/depth_pro/image_processing_depth_pro.py` of Transformers; the paper is
    https://arxiv.org/abs/2410.02073.

    Args:
        outputs: with `predicted_depth` `(b, h, w)` and perhaps `field_of_view` `(b,)`, degrees.
        target_sizes: (height, width) per image; None leaves maps and scale as they are.
        resample: the processor's, `bilinear` or `bicubic` or PIL's number of it.

    Returns:
        per image `predicted_depth`, in [1e-4, 1e4]; `field_of_view`; `focal_length` in pixels. The
        last two are None where they are not known.

    Raises:
        InputError: another `resample`, or not one angle for each image.

    >>> outputs = {"predicted_depth": np.full((1, 4, 4), 2.0), "field_of_view": [90.0]}
    >>> (result,) = depth_pro_estimation(outputs, [(8, 6)])
    >>> result["predicted_depth"].shape, round(float(result["focal_length"]), 3)
    ((8, 6), 3.0)
    """
    inverse_depth = _with_channel(_depth_of(outputs))
    interpolation = canonical_method(resample)
    if interpolation not in ("bilinear", "bicubic"):
        raise InputError(f"Expected `bilinear` or `bicubic`, got {resample!r} - at `resample`.")
    views = optional_field(outputs, "field_of_view")
    if views is None:
        views = [None] * len(inverse_depth)
    else:
        views = np.asarray(as_array(views), np.float32)
        if views.shape[:1] != inverse_depth.shape[:1]:
            raise InputError(
                f"Expected one angle for each of {len(inverse_depth)} images, got shape "
                f"{views.shape} - at `outputs.field_of_view`."
            )
    results = []
    for i, size in each_size(target_sizes, len(inverse_depth)):
        view, focal_length, scale = views[i], None, np.float32(1)
        # Without a size Transformers does not scale either.
        if size is not None and view is not None:
            width = np.float32(size[1])
            half_view = np.float32(0.5) * np.deg2rad(view)
            focal_length = np.float32(0.5) * width / np.tan(half_view)
            scale = width / focal_length
        # Transformers resizes and clips inverse depth, and inverts it last.
        resized = resize_image(inverse_depth, i, size, interpolation)[0]
        result = {
            "predicted_depth": 1 / np.clip(resized * scale, MIN_INVERSE, MAX_INVERSE),
            "field_of_view": view,
            "focal_length": focal_length,
        }
        results.append(to_jax(result))
    return results


@jax.jit
def _flip_average(depth: jax.Array, flipped: jax.Array) -> jax.Array:
    return (depth + flipped[..., ::-1]) / 2


@method("ZoeDepthImageProcessor", DEPTH, settings=["do_pad"])
def zoe_depth_estimation(
    outputs: Any,
    source_sizes: Any = None,
    target_sizes: Any = None,
    outputs_flipped: Any = None,
    do_remove_padding: bool | None = None,
    *,
    do_pad: bool | None = True,
) -> list[dict[str, jax.Array]]:
    """Returns the depth of ZoeDepth: averaged with that of the mirrored image, resized to the
    padded image, cropped, resized.

    Reproduces `models/zoedepth/image_processing_zoedepth.py` of Transformers.

    Args:
        outputs: with `predicted_depth` `(b, h, w)`.
        source_sizes: (height, width) of each image before preprocessing.
        target_sizes: (height, width) wanted for each.
        outputs_flipped: those of the mirrored images.
        do_remove_padding: remove the `int(3 sqrt(side / 2))` pixels that preprocessing mirrored
            around the image; None: if the processor's `do_pad` says that it did.
        do_pad: the processor's.

    Returns:
        per image `predicted_depth`, float32 `(height, width)`.

    Raises:
        InputError: padding is to be removed without `source_sizes`, or the shapes of both outputs
            differ.

    >>> outputs = {"predicted_depth": np.ones((1, 8, 8))}
    >>> (result,) = zoe_depth_estimation(outputs, source_sizes=[(10, 12)])
    >>> result["predicted_depth"].shape
    (10, 12)
    """
    depth = _depth_of(outputs)
    if outputs_flipped is not None:
        mirrored = field(outputs_flipped, "predicted_depth")
        if mirrored.shape != depth.shape:
            raise InputError(
                f"Expected shape {depth.shape}, got {mirrored.shape} - at `outputs_flipped`."
            )
        depth = _flip_average(depth, mirrored)
    # The maps are those of the padded images: without the padding's size they cannot be cropped.
    remove = bool(do_pad) if do_remove_padding is None else do_remove_padding
    if remove and source_sizes is None:
        raise InputError(
            "Expected the sizes of the images, or `do_remove_padding=False` - at `source_sizes`."
        )
    sources = sizes(source_sizes, len(depth), "source_sizes")
    maps = _with_channel(depth)
    results = []
    for i, size in each_size(target_sizes, len(depth)):
        if sources is None:
            resized = resize_image(maps, i, None, "bicubic")
        else:
            resized = _without_mirrored_edges(maps, i, sources[i], remove)
        # A second resize, of a map of any size.
        if size is not None:
            resized = resize_host_map(resized, size, "bicubic")
        results.append({"predicted_depth": on_device(resized[0])})
    return results


def _without_mirrored_edges(maps: jax.Array, i: int, size: Size, remove: bool) -> np.ndarray:
    """The depth of image `i`, of `size` before preprocessing."""
    height, width = size
    top = left = 0
    if remove:
        # https://github.com/isl-org/ZoeDepth/blob/edb6daf45458569e24f50250ef1ed08c015f17a7/zoedepth/models/depth_model.py#L57
        top = int(math.sqrt(height / 2) * 3)
        left = int(math.sqrt(width / 2) * 3)
    padded_size = (height + 2 * top, width + 2 * left)
    padded = resize_image(maps, i, padded_size, "bicubic")
    return padded[:, top : top + height, left : left + width]
