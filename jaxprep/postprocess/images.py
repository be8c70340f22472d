"""Images that models make."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.postprocess.results import field, sizes


@jax.jit
def to_uint8(images: jax.Array) -> jax.Array:
    """Images `(b, c, h, w)` in [0, 1] as uint8 `(b, h, w, c)`: clipped, rounded half to even."""
    return jnp.round(jnp.clip(jnp.moveaxis(images, 1, -1), 0, 1) * 255).astype(jnp.uint8)


def super_resolution(
    outputs: Any,
    target_sizes: Any = None,
    *,
    scale: int | None = None,
    do_pad: bool | None = True,
    size_divisor: int | None = 8,
) -> list[dict[str, jax.Array]]:
    """Images of Swin2SR, without the padding that its preprocessing added at the bottom and right.

    Args:
        outputs: with `reconstruction` `(b, c, h, w)`, in [0, 1].
        target_sizes: (height, width) of each image before preprocessing; None leaves the padding.
        scale: how much larger the model makes images; None: as the sizes of images and outputs
            imply.
        do_pad, size_divisor: the processor's; it pads each side to the next multiple, even one that
            is one already.

    Returns:
        per image `image`, uint8 `(height, width, c)`.
    """
    made = to_uint8(field(outputs, "reconstruction"))
    originals = sizes(target_sizes, len(made))
    if originals is None:
        return [{"image": image} for image in made]
    divisor = size_divisor or 8
    results = []
    for image, size in zip(np.asarray(made), originals, strict=True):
        padded = [(n // divisor + 1) * divisor if do_pad else n for n in size]
        factor = image.shape[0] // padded[0] if scale is None else scale
        height, width = (n * factor for n in size)
        if factor < 1 or height > image.shape[0] or width > image.shape[1]:
            raise InputError(
                f"Expected sizes that fit outputs of {image.shape[:2]}, got {size} - at `target_sizes`."
            )
        results.append({"image": jnp.asarray(image[:height, :width])})
    return results
