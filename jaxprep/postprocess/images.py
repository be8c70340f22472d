"""Images that models make."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from jaxprep.errors import InputError
from jaxprep.postprocess.registry import method
from jaxprep.postprocess.results import field, on_device, sizes
from jaxprep.types import Array


@jax.jit
def to_uint8(images: Float[Array, "b c h w"]) -> UInt8[jax.Array, "b h w c"]:
    """Converts images in [0, 1], channels first, to uint8, channels last: clipped, and rounded half
    to even.

    >>> to_uint8(jnp.float32([0, 0.5, 2]).reshape(1, 3, 1, 1)).ravel().tolist()
    [0, 128, 255]
    """
    channels_last = jnp.moveaxis(images, 1, -1)
    return jnp.round(jnp.clip(channels_last, 0, 1) * 255).astype(jnp.uint8)


# Not a method of Transformers: the example in models/swin2sr/modeling_swin2sr.py writes the
# conversion out.
@method(
    "Swin2SRImageProcessor", "post_process_super_resolution", settings=["do_pad", "size_divisor"]
)
def super_resolution(
    outputs: Any,
    target_sizes: Any = None,
    *,
    scale: int | None = None,
    do_pad: bool | None = True,
    size_divisor: int | None = 8,
) -> list[dict[str, jax.Array]]:
    """Returns the images of Swin2SR, without the padding that its preprocessing added at the bottom
    and right.

    Args:
        outputs: with `reconstruction` `(b, c, h, w)`, in [0, 1].
        target_sizes: (height, width) of each image before preprocessing; None leaves the padding.
        scale: how much larger the model makes images; None: as the sizes of images and outputs
            imply.
        do_pad, size_divisor: the processor's.

    Returns:
        per image `image`, uint8 `(height, width, c)`.

    Raises:
        InputError: an image would be larger than its output.

    >>> outputs = {"reconstruction": np.zeros((1, 3, 16, 16), np.float32)}
    >>> super_resolution(outputs, [(5, 7)])[0]["image"].shape
    (10, 14, 3)
    """
    images = to_uint8(field(outputs, "reconstruction"))
    originals = sizes(target_sizes, len(images))
    if originals is None:
        return [{"image": image} for image in images]
    divisor = size_divisor or 8
    results = []
    for image, (height, width) in zip(np.asarray(images), originals, strict=True):
        padded_height = height
        if do_pad:
            # To the next multiple, even from a multiple: `pad` in
            # models/swin2sr/image_processing_swin2sr.py.
            padded_height = (height // divisor + 1) * divisor
        factor = image.shape[0] // padded_height if scale is None else scale
        crop = image[: height * factor, : width * factor]
        if factor < 1 or crop.shape[:2] != (height * factor, width * factor):
            raise InputError(
                f"Expected sizes that fit outputs of {image.shape[:2]}, got {(height, width)} - at "
                "`target_sizes`."
            )
        results.append({"image": on_device(crop)})
    return results
