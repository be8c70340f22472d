"""SegGPT: images, and examples with their masks."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface.settings import drop_none
from jaxprep.huggingface.call import Call, Family, Results, read, run
from jaxprep.huggingface.images import Image, one_by_one, traced_images
from jaxprep.huggingface.segmentation import labels_for_pillow, maps_of
from jaxprep.postprocess.semantic import palette
from jaxprep.types import is_traced

NAMES = {
    "images": "pixel_values",
    "prompt_images": "prompt_pixel_values",
    "prompt_masks": "prompt_masks",
}
"""The results, by the names of the inputs that they are made of."""


def prompted(call: Call) -> Results:
    """Return images, examples `prompt_images`, and their masks `prompt_masks`; any of them may be
    left out.

    >>> from jaxprep.huggingface import SegGptImageProcessor
    >>> processor = SegGptImageProcessor(size={"height": 8, "width": 8})
    >>> image, labels = np.zeros((16, 16, 3), np.uint8), np.ones((16, 16), np.uint8)
    >>> sorted(processor(image, prompt_images=image, prompt_masks=labels))
    ['pixel_values', 'prompt_masks', 'prompt_pixel_values']
    """
    results: Results = {}
    # `do_convert_rgb` is about the masks.
    of_images = call.with_settings(do_convert_rgb=False)
    of_masks = of_images.with_settings(resample=0)
    for name, value in _given(call).items():
        if name == "prompt_masks":
            results[NAMES[name]] = run(of_masks, _masks(call._replace(images=value)))
        else:
            images = read(of_images._replace(images=value))
            results[NAMES[name]] = run(of_images, images)
    return results


PROMPTED = Family(prompted, ("prompt_images", "prompt_masks"))


def _given(call: Call) -> dict[str, Any]:
    """Those of the three inputs that are there, in order.

    Raises:
        InputError: none of them.
    """
    images = call.images
    # An empty list is none.
    if isinstance(images, (list, tuple)) and not images:
        images = None
    inputs = {"images": images, **{name: call.inputs.get(name) for name in PROMPTED.inputs}}
    given = drop_none(inputs)
    if not given:
        raise InputError("Expected at least one of `images`, `prompt_images` and `prompt_masks`.")
    return given


def _masks(call: Call) -> list[Image]:
    """Masks as colours: class maps painted with the palette, or pictures as they are.

    They are resized by nearest neighbour, so that colours are not mixed.
    """
    copying = call.with_settings(resample=0)
    if not call.config.effective.flag("do_convert_rgb"):
        return read(copying)
    if call.is_traced:
        arrays = call.images if isinstance(call.images, (list, tuple)) else [call.images]
        channels = [array[..., None] for array in arrays]
        maps = one_by_one(traced_images(channels, "channels_last", "prompt_masks"))
        painted = [paint(image.pixels, call.config) for image in maps]
        return traced_images(painted, "channels_last")
    maps = maps_of(call.images, "prompt_masks")
    painted = [image._replace(pixels=paint(image.pixels, call.config)) for image in maps]
    if call.config.backend == "pil":
        return [labels_for_pillow(image, copying.config) for image in painted]
    # torchvision backend: the painted map is a float tensor when it is resized.
    return [Image(image.pixels.astype(np.float32), "float") for image in painted]


def paint(classes: Any, config: HuggingFace) -> Any:
    """Return the colours `(h, w, 3)` of a class map `(h, w, 1)`; without `num_labels`, the classes
    themselves, three times (`mask_to_rgb` of `transformers/models/seggpt/
    image_processing_seggpt.py`).

    Raises:
        InputError: a class that has no colour.

    >>> paint(np.ones((2, 2, 1), np.uint8), HuggingFace("SegGptImageProcessor")).shape
    (2, 2, 3)
    """
    if config.effective.get("num_labels") is None:
        return classes.repeat(3, axis=-1)
    count = config.effective.integer("num_labels", highest=2**16)
    if is_traced(classes):
        return jnp.asarray(palette(count), jnp.uint8)[classes[..., 0]]
    numbers = classes[..., 0].astype(np.int64)
    if numbers.min() < 0 or numbers.max() > count:
        raise InputError(
            f"Expected classes from 0 to `num_labels`, {count}, got {numbers.min()} to "
            f"{numbers.max()}."
        )
    return palette(count).astype(np.uint8)[numbers]
