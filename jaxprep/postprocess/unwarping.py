"""Documents, unwarped by the mesh that a model predicts for their photographs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxprep.errors import InputError
from jaxprep.postprocess.registry import method
from jaxprep.postprocess.resize_plan import bucket, resize_image
from jaxprep.types import Array


def sample_mesh(
    image: Float[Array, "c h w"],
    mesh: Float[Array, "2 height width"],
    size: tuple[Any, Any],
) -> Float[jax.Array, "c height width"]:
    """Samples an image at the positions of a mesh, bilinearly; 0 outside.

    As `torch.nn.functional.grid_sample(align_corners=True)`:
    https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/GridSamplerKernel.cpp

    Args:
        image: lies in the top-left corner of the array.
        mesh: x and y, in [-1, 1] from the middle of the first pixel to that of the last.
        size: height and width of the image; may be traced.

    >>> image, mesh = np.float32([[[0, 4], [8, 12]]]), np.zeros((2, 1, 1), np.float32)
    >>> jax.jit(sample_mesh, static_argnums=2)(image, mesh, (2, 2)).tolist()
    [[[6.0]]]
    """
    height, width = size
    x = (mesh[0] + 1) * ((jnp.float32(width) - 1) / 2)
    y = (mesh[1] + 1) * ((jnp.float32(height) - 1) / 2)
    left = jnp.floor(x)
    top = jnp.floor(y)
    right_weight = x - left
    bottom_weight = y - top
    total = jnp.zeros((len(image), *mesh.shape[1:]), jnp.float32)
    for down in (0, 1):
        for across in (0, 1):
            weight_y = bottom_weight if down else 1 - bottom_weight
            weight_x = right_weight if across else 1 - right_weight
            row, column = top + down, left + across
            is_inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            # NaN, too, is outside
            row, column = (
                jnp.where(is_inside, index, 0).astype(jnp.int32) for index in (row, column)
            )
            weight = jnp.where(is_inside, weight_y * weight_x, 0)
            total += image[:, row, column] * weight
    return total


@jax.jit
def _unwarped(image: jax.Array, mesh: jax.Array, size: tuple[Any, Any], scale: Any) -> jax.Array:
    """The bytes `(height, width, c)`, in reversed order of channels."""
    levels = sample_mesh(image, mesh, size) * scale
    # the cast truncates; bytes of torch wrap around, ours saturate
    bytes_ = jnp.clip(levels, 0, 255).astype(jnp.uint8)
    return jnp.moveaxis(bytes_[::-1], 0, -1)


@method("UVDocImageProcessor", "post_process_document_rectification")
def document_rectification(
    prediction: Any,
    original_images: Sequence[Any],
    scale: float = 255.0,
) -> list[dict[str, jax.Array]]:
    """Returns the documents of UVDoc, flat.

    Reproduces `models/uvdoc/image_processing_uvdoc.py` of Transformers.

    Args:
        prediction: `(b, 2, h, w)`: for points of the result, where they are in the photograph, from
            -1 to 1.
        original_images: `(c, height, width)` each, as the processor returned them.
        scale: of their values.

    Returns:
        per image `images`, uint8 `(height, width, c)`, in the reversed order of channels.

    Raises:
        InputError: a mesh is missing, or something is no image.

    >>> mesh = np.stack(np.meshgrid([-1.0, 1.0], [-1.0, 1.0]))[None].astype(np.float32)
    >>> (result,) = document_rectification(mesh, [np.ones((3, 4, 5), np.float32)])
    >>> result["images"].shape, int(result["images"].max())
    ((4, 5, 3), 255)
    """
    meshes = jnp.asarray(prediction)
    images = [np.asarray(image, np.float32) for image in original_images]
    if len(images) > len(meshes):
        raise InputError(
            f"Expected a mesh for each of {len(images)} images, got {len(meshes)} - at "
            "`prediction`."
        )
    results = []
    for i, image in enumerate(images):
        image = image[0] if image.ndim == 4 and len(image) == 1 else image
        if image.ndim != 3:
            raise InputError(
                f"Expected an image (c, h, w), got shape {image.shape} - at `original_images[{i}]`."
            )
        size = image.shape[1:]
        mesh = resize_image(meshes, i, size, "align_corners")
        # sizes of a bucket share a program
        padding = [(0, 0), *((0, bucket(n) - n) for n in size)]
        flat = _unwarped(np.pad(image, padding), np.pad(mesh, padding), size, np.float32(scale))
        results.append({"images": flat[: size[0], : size[1]]})
    return results
