"""Classes with a segmentation map beside each image: the map takes the geometry of its image, and
is returned as `labels`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.huggingface.call import Call, Family, Results, image_results, read, run
from jaxprep.huggingface.images import (
    Image,
    for_pillow,
    one_by_one,
    traced_images,
    with_value_range,
)
from jaxprep.inputs import Policy, as_numpy, flatten
from jaxprep.pictures import is_pil, load
from jaxprep.types import is_traced

UNCHANGED = dict.fromkeys(
    ("do_convert_rgb", "do_rescale", "do_normalize", "do_flip_channel_order"), False
)
"""The settings that leave the numbers of a map what they are."""
MAPS = Policy(
    "maps (h, w): PIL images of one channel, arrays, a batch (b, h, w), or a list of them",
    narrows=True,
)


def with_maps(call: Call) -> Results:
    """Return the images, their sizes where the class tells them, and `labels` if there are
    `segmentation_maps`.

    Labels are int64; in JAX, where 64 bits are off by default, that is int32.

    >>> from jaxprep.huggingface import SegformerImageProcessor
    >>> processor = SegformerImageProcessor(size={"height": 8, "width": 8})
    >>> image, labels = np.zeros((16, 16, 3), np.uint8), np.ones((16, 16), np.uint8)
    >>> processor(image, segmentation_maps=labels).labels.shape
    (1, 8, 8)
    """
    images = one_by_one(read(call))
    results = image_results(call, images)
    given = call.inputs.get("segmentation_maps")
    if given is not None:
        maps = paired_maps(call, given, len(images), "segmentation_maps")
        results["labels"] = labels_of(call, maps)
    return results


MAPS_FAMILY = Family(with_maps, ("segmentation_maps",))


def config_of_maps(config: HuggingFace) -> HuggingFace:
    """Return the config that maps go through: the images', with what the row's `maps` says
    otherwise.

    A string there stands for the setting of that name. `map_resample`, which Transformers does not
    have, replaces the filter in any case.

    >>> config = config_of_maps(HuggingFace("SegformerImageProcessor"))
    >>> config.effective.method()
    'nearest'
    """
    settings = config.effective
    differing = {
        key: settings.get(value) if isinstance(value, str) else value
        for key, value in config.row.maps.items()
    }
    # Beit and DPT resize maps with the filter of the image, which invents labels:
    # docs/differences.md.
    resample = settings.get("map_resample")
    if resample is not None:
        differing["resample"] = resample
    return replace(
        config,
        settings={**config.settings, **UNCHANGED, **differing},
        data_format="channels_last",
        exact=False,
    )


def labels_of(call: Call, maps: list[Image]) -> Any:
    """Return maps at the size of their images: a list of int64 arrays `(h, w)`; inside a
    transformation one array, if they have one size.

    >>> config = HuggingFace("SegformerImageProcessor", {"size": {"height": 4, "width": 6}})
    >>> call = Call(None, {}, config)
    >>> labels_of(call, [Image(np.ones((8, 12, 1), np.uint8))])[0].shape
    (4, 6)
    """
    for i, image in enumerate(maps):
        is_float = not call.is_traced and image.pixels.dtype.kind == "f"
        # NaN is no class, and another integer on every machine
        if is_float and not np.isfinite(image.pixels).all():
            raise InputError(
                "Expected finite numbers of classes, got NaN or infinity - at "
                f"`segmentation_maps[{i}]`."
            )
    if call.config.effective.flag("do_reduce_labels"):
        maps = [image._replace(pixels=reduce_labels(image.pixels)) for image in maps]
    config = config_of_maps(call.config)
    if config.backend == "pil" and not call.is_traced:
        maps = [labels_for_pillow(image, config) for image in maps]
    results = run(call._replace(config=config), maps)
    if call.is_traced:
        # `astype(np.int64)` would warn where 64 bits are off.
        integers = jax.dtypes.canonicalize_dtype(np.int64)
        return jax.tree.map(lambda labels: labels[..., 0].astype(integers), results)
    return [labels.astype(np.int64) for labels in first_channels(results)]


def first_channels(results: Any) -> list[np.ndarray]:
    """Return the only channel `(h, w)` of each result `(h, w, 1)`, of one array or of a list.

    >>> first_channels(np.zeros((2, 4, 6, 1)))[0].shape
    (4, 6)
    """
    listed = results if isinstance(results, list) else np.asarray(results)
    return [np.asarray(result)[..., 0] for result in listed]


def reduce_labels(labels: Any) -> Any:
    """Return every label less one; 0, the background, becomes 255, and 255 stays.

    `reduce_label` of `transformers/models/beit/image_processing_beit.py`.

    >>> reduce_labels(np.array([0, 1, 255])).tolist()
    [255, 0, 255]
    """
    # Both 0 and 255 are 254 after the subtraction, and become 255.
    xp = jnp if is_traced(labels) else np
    less = xp.where(labels == 0, 255, labels) - 1
    return xp.where(less == 254, 255, less).astype(labels.dtype)


def labels_for_pillow(image: Image, config: HuggingFace) -> Image:
    """Return a map as 8 bits, where they hold its labels.

    Where they do not, Pillow could not resize it; a filter that only copies pixels still can.

    >>> config = config_of_maps(HuggingFace("SegformerImageProcessor"))
    >>> labels = Image(np.zeros((4, 6, 1), np.int32), "integer")
    >>> labels_for_pillow(labels, config).value_range
    'uint8'
    """
    pixels = image.pixels
    if image.value_range == "integer" and pixels.min() >= 0 and pixels.max() <= 255:
        return Image(pixels.astype(np.uint8))
    if not config.resize_pipeline.steps:
        return image
    mixes = config.effective.method() != "nearest" or image.value_range == "float"
    return for_pillow(image) if mixes else image


# -- reading -------------------------------------------------------------------------------------


def paired_maps(call: Call, value: Any, count: int, where: str) -> list[Image]:
    """As many maps `(h, w, 1)` as images.

    Raises:
        InputError: something that is no map, or another number of them.

    >>> config = HuggingFace("SegformerImageProcessor", {"size": {"height": 4, "width": 6}})
    >>> call = Call(None, {}, config)
    >>> len(paired_maps(call, np.zeros((2, 8, 12), np.uint8), 2, "segmentation_maps"))
    2
    """
    maps = _traced_maps(value, where) if call.is_traced else maps_of(value, where)
    if len(maps) != count:
        raise InputError(
            f"Expected a map for each of {count} images, got {len(maps)} - at `{where}`."
        )
    return maps


def maps_of(value: Any, where: str) -> list[Image]:
    """Return every map of what a caller passed, as an image of one channel.

    Raises:
        InputError: something that is no map.

    >>> [image.pixels.shape for image in maps_of(np.zeros((2, 4, 6), np.uint8), "maps")]
    [(4, 6, 1), (4, 6, 1)]
    """
    maps: list[Image] = []
    for item, place in flatten(value, where):
        if is_pil(item):
            load(item, place)
            # A PIL image of colours is no map.
            array, ranks = np.asarray(item), (2,)
        else:
            array, ranks = as_numpy(item, place, MAPS), (2, 3)
        _refuse_channels(array.shape, place)
        if array.ndim not in ranks or not array.size:
            raise InputError(f"Expected {MAPS.expected}, got shape {array.shape} - at `{place}`.")
        for labels in array if array.ndim == 3 else [array]:
            maps.append(with_value_range(labels[..., None]))
    return maps


def _refuse_channels(shape: tuple[int, ...], where: str) -> None:
    """Refuse a map `(h, w, 1)`, which would be read as h maps of one column."""
    if len(shape) > 2 and shape[-1] == 1:
        raise InputError(
            f"Expected {MAPS.expected}, got shape {shape} - at `{where}`. Maps have no axis of "
            f"channels: pass `{where}[..., 0]`."
        )


def _traced_maps(value: Any, where: str) -> list[Image]:
    arrays = value if isinstance(value, (list, tuple)) else [value]
    for array in arrays:
        _refuse_channels(np.shape(array), where)
    channels = [jnp.asarray(array)[..., None] for array in arrays]
    return one_by_one(traced_images(channels, "channels_last", where))
