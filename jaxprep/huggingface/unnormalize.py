"""Generated images back to 8 bits: `postprocess` of Janus and of Emu3."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.huggingface.features import BatchFeature
from jaxprep.huggingface.images import IMAGES
from jaxprep.inputs import Layout, as_numpy, channels_last, layout_of
from jaxprep.pictures import is_pil
from jaxprep.postprocess import method


class Inverse:
    """The inverse of a processor's normalise and rescale, in the order of its backend.

    It is computed on the host, operation by operation: truncation to uint8 shows the last bit. The
    source is `JanusImageProcessor.postprocess` of `transformers/models/janus/
    image_processing_janus.py`.

    >>> inverse = Inverse(rescales=True, normalizes=True, factor=255.0, mean=0.5, std=0.5)
    >>> inverse(np.zeros((1, 1, 3)), on_torch=False).tolist()
    [[[127, 127, 127]]]
    """

    def __init__(
        self,
        rescales: bool,
        normalizes: bool,
        factor: float,
        mean: Any,
        std: Any,
    ):
        self.rescales = rescales
        self.normalizes = normalizes
        self.factor = factor
        self.mean = np.asarray(mean, np.float64)
        self.std = np.asarray(std, np.float64)

    def __call__(self, image: np.ndarray, on_torch: bool) -> np.ndarray:
        """One image `(h, w, c)`: uint8 where it is rescaled, else float32."""
        image = image.astype(np.float32)
        if on_torch and self.rescales and self.normalizes:
            image = self._fused(image)
        else:
            image = self._in_turn(image)
        if not self.rescales:
            return image
        return np.clip(image, 0, 255).astype(np.uint8)

    def _fused(self, image: np.ndarray) -> np.ndarray:
        """One step, as the torchvision backend normalises; see `builders.values`."""
        inverse = np.float32(1.0 / self.factor)
        shift = np.float32(-self.factor * self.mean / self.std) * inverse
        scale = np.float32(1 / self.std) * inverse
        return (image - shift) / scale

    def _in_turn(self, image: np.ndarray) -> np.ndarray:
        if self.normalizes:
            shift = np.float32(-self.mean / self.std)
            scale = np.float32(1 / self.std)
            image = (image - shift) / scale
        if self.rescales:
            rescaled = image.astype(np.float64) * self.factor
            image = rescaled.astype(np.float32)
        return image


@method("JanusImageProcessor", "postprocess", settings=["config"])
def postprocess(
    images: Any,
    do_rescale: bool | None = None,
    rescale_factor: float | None = None,
    do_normalize: bool | None = None,
    image_mean: Any = None,
    image_std: Any = None,
    input_data_format: Layout | None = None,
    return_tensors: Any = "jax",
    *,
    config: HuggingFace,
) -> BatchFeature:
    """Undo normalising and rescaling: clip to [0, 255] and truncate to uint8.

    Args:
        images: float images, one or many, channels first or last; so are the results.
        do_rescale, do_normalize, image_mean, image_std: by default the processor's.
        rescale_factor: by default the inverse of the processor's.
        input_data_format: of the images, by default told by their channels.
        return_tensors: as in a call; "PIL.Image.Image" gives PIL images.
        config: the processor's.

    Raises:
        InputError: PIL images are asked for of what is not rescaled and normalised.

    >>> from jaxprep.huggingface import JanusImageProcessor
    >>> image = np.full((3, 2, 2), -1, np.float32)
    >>> JanusImageProcessor().postprocess(image).pixel_values.dtype
    dtype('uint8')
    """
    settings = config.effective
    rescales = settings.flag("do_rescale") if do_rescale is None else do_rescale
    normalizes = settings.flag("do_normalize") if do_normalize is None else do_normalize
    factor = 1.0 / settings.number("rescale_factor") if rescale_factor is None else rescale_factor
    mean = settings.per_channel("image_mean") if image_mean is None else image_mean
    std = settings.per_channel("image_std") if image_std is None else image_std
    inverse = Inverse(rescales, normalizes, factor, mean, std)
    arrays = [as_numpy(image, "images", IMAGES) for image in _each(images)]
    layouts: list[Layout] = [input_data_format or layout_of(array.shape) for array in arrays]
    on_torch = config.backend == "torchvision"
    results = []
    for array, layout in zip(arrays, layouts, strict=True):
        pixels = channels_last(array, layout)
        results.append(inverse(pixels, on_torch))
    # `JanusImageProcessor.postprocess` takes this name beside the tensor types.
    if return_tensors == "PIL.Image.Image":
        if not (rescales and normalizes):
            raise InputError(
                "Expected images that are rescaled and normalised, to make PIL images of them."
            )
        from PIL import Image

        return BatchFeature({"pixel_values": [Image.fromarray(image) for image in results]})
    for i, layout in enumerate(layouts):
        if layout == "channels_first":
            results[i] = results[i].transpose(2, 0, 1)
    if return_tensors is None:
        return BatchFeature({"pixel_values": [jnp.asarray(image) for image in results]})
    return BatchFeature({"pixel_values": results}, return_tensors)


@method("Emu3ImageProcessor", "postprocess", settings=["config"])
def postprocess_to_pictures(
    images: Any,
    do_rescale: bool | None = None,
    rescale_factor: float | None = None,
    do_normalize: bool | None = None,
    image_mean: Any = None,
    image_std: Any = None,
    return_tensors: Any = "PIL.Image.Image",
    input_data_format: Layout | None = None,
    *,
    config: HuggingFace,
) -> Any:
    """Undo normalising and rescaling, and make PIL images where both are undone.

    The source is `postprocess` of `transformers/models/emu3/image_processing_emu3.py`.

    Args:
        images: float images, one or many; or PIL images, which are returned.
        do_rescale, rescale_factor, do_normalize, image_mean, image_std, input_data_format,
            return_tensors: see `postprocess`.
        config: the processor's.

    >>> from jaxprep.huggingface import Emu3ImageProcessor
    >>> image = np.zeros((3, 8, 6), np.float32)
    >>> Emu3ImageProcessor().postprocess(image).pixel_values[0].size
    (6, 8)
    """
    given = list(images) if isinstance(images, (list, tuple)) else [images]
    if is_pil(given[0]):
        return given if len(given) > 1 else given[0]
    settings = config.effective
    switches = {"do_rescale": do_rescale, "do_normalize": do_normalize}
    is_on = [settings.flag(key) if value is None else value for key, value in switches.items()]
    if return_tensors == "PIL.Image.Image" and not all(is_on):
        return_tensors = None
    return postprocess(
        images,
        do_rescale,
        rescale_factor,
        do_normalize,
        image_mean,
        image_std,
        input_data_format,
        return_tensors,
        config=config,
    )


def _each(images: Any) -> list[Any]:
    if isinstance(images, (list, tuple)):
        return list(images)
    return list(images) if images.ndim == 4 else [images]
