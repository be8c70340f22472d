"""Generated images back to 8 bits: Janus' `postprocess`."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.huggingface.features import BatchFeature
from jaxprep.huggingface.inputs import as_numpy, layout_of


def postprocess(
    processor: Any,
    images: Any,
    do_rescale: bool | None = None,
    rescale_factor: float | None = None,
    do_normalize: bool | None = None,
    image_mean: Any = None,
    image_std: Any = None,
    input_data_format: str | None = None,
    return_tensors: Any = "jax",
) -> BatchFeature:
    """The inverse of normalising and rescaling, clipped to [0, 255] and truncated to uint8.

    Computed on the host, operation by operation as the backend does it: truncation shows the last
        bit.

    Args:
        images: float images, one or many, channels first or last; so are the results.
        do_rescale, do_normalize, image_mean, image_std: by default the processor's.
        rescale_factor: by default the inverse of the processor's.
        return_tensors: as in a call; "PIL.Image.Image" gives PIL images.
    """
    settings = processor.config.effective
    do_rescale = settings.flag("do_rescale") if do_rescale is None else do_rescale
    do_normalize = settings.flag("do_normalize") if do_normalize is None else do_normalize
    factor = 1.0 / settings.number("rescale_factor") if rescale_factor is None else rescale_factor
    mean = np.asarray(
        settings.per_channel("image_mean") if image_mean is None else image_mean, np.float64
    )
    std = np.asarray(
        settings.per_channel("image_std") if image_std is None else image_std, np.float64
    )
    arrays = [as_numpy(image, "images") for image in _each(images)]
    results = []
    for array in arrays:
        kind = input_data_format or layout_of(array.shape)
        image = np.moveaxis(array, 0, -1) if kind == "channels_first" else array
        image = image.astype(np.float32)
        if (
            processor.backend == "torchvision" and do_rescale and do_normalize
        ):  # one step, as forwards
            inverse = np.float32(1.0 / factor)
            shift, scale = np.float32(-factor * mean / std) * inverse, np.float32(1 / std) * inverse
            image = (image - shift) / scale
        elif do_normalize:
            image = (image - np.float32(-mean / std)) / np.float32(1 / std)
            image = (image.astype(np.float64) * factor).astype(np.float32) if do_rescale else image
        elif do_rescale:
            image = (image.astype(np.float64) * factor).astype(np.float32)
        image = np.clip(image, 0, 255).astype(np.uint8) if do_rescale else image
        results.append((image, kind))
    if return_tensors == "PIL.Image.Image":
        if not (do_rescale and do_normalize):
            raise InputError(
                "Expected images that are rescaled and normalised, to make PIL images of them."
            )
        from PIL import Image

        return BatchFeature({"pixel_values": [Image.fromarray(image) for image, _ in results]})
    laid = [
        np.moveaxis(image, -1, 0) if kind == "channels_first" else image for image, kind in results
    ]
    if return_tensors is None:
        return BatchFeature({"pixel_values": [jnp.asarray(image) for image in laid]})
    return BatchFeature({"pixel_values": laid}, return_tensors)


def _each(images: Any) -> list[Any]:
    if isinstance(images, (list, tuple)):
        return list(images)
    return list(images) if images.ndim == 4 else [images]
