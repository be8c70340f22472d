"""Classes with a segmentation map beside each image: it goes the way of its image, and comes back as `labels`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.huggingface.families import Call, Results, read, run, traced
from jaxprep.huggingface.inputs import Image, as_numpy, for_pillow, is_numbers, kinded
from jaxprep.inputs import is_pil
from jaxprep.ops.resize import Resize
from jaxprep.types import Size, is_traced

UNCHANGED = dict.fromkeys(("do_convert_rgb", "do_rescale", "do_normalize", "do_flip_channel_order"), False)
"""The settings that leave the numbers of a map what they are."""
EXPECTED = "maps (h, w): PIL images of one channel, arrays, a batch (b, h, w), or a list of them"


def with_maps(call: Call) -> Results:
    """The images, their sizes where the class tells them, and `labels` if there are `segmentation_maps`.

    Labels are int64; in JAX, where 64 bits are off by default, that is int32.
    """
    config = call.config
    assert isinstance(config, HuggingFace)
    images = read(call)
    results: Results = {"pixel_values": run(config, images)}
    results |= sizes_of(config, [image.size for image in images])
    given = call.inputs.get("segmentation_maps")
    if given is not None:
        maps = paired_maps(given, len(images), "segmentation_maps")
        results["labels"] = labels_of(config, maps)
    return results


def with_maps_traced(call: Call) -> Results:
    """The same inside a caller's transformation."""
    config = call.config
    assert isinstance(config, HuggingFace)
    results: Results = {"pixel_values": traced(config, call.images, call.layout)}
    results |= sizes_of(config, list(_sizes(call.images, call.layout)))
    given = call.inputs.get("segmentation_maps")
    if given is not None:
        if config.effective.flag("do_reduce_labels"):
            given = jax.tree.map(reduced, given)
        maps = jax.tree.map(lambda m: m[..., None], given)
        done = traced(config_of_maps(config), maps, "channels_last")
        results["labels"] = jax.tree.map(lambda m: m[..., 0].astype(jax.dtypes.canonicalize_dtype(np.int64)), done)
    return results


def config_of_maps(config: HuggingFace) -> HuggingFace:
    """The config that maps go through: the images', with what the row's `maps` says otherwise.

    A name there stands for the setting of that name. `map_resample`, a setting of ours, is the filter in any case.
    """
    settings = config.effective
    own = {key: settings.get(v) if isinstance(v, str) else v for key, v in settings.row["maps"].items()}
    wanted = settings.get("map_resample")
    if wanted is not None:
        own["resample"] = wanted
    return replace(config, settings={**config.settings, **UNCHANGED, **own}, data_format="channels_last", exact=False)


def labels_of(config: HuggingFace, maps: list[Image]) -> list[np.ndarray]:
    """The maps at the size of their images, int64."""
    if config.effective.flag("do_reduce_labels"):
        maps = [image._replace(pixels=reduced(image.pixels)) for image in maps]
    config = config_of_maps(config)
    if config.backend == "pil":
        maps = [as_pillow_takes_it(image, config) for image in maps]
    done = run(config, maps)
    done = done if isinstance(done, list) else np.asarray(done)
    return [np.asarray(one)[..., 0].astype(np.int64) for one in done]


def reduced(labels: Any) -> Any:
    """Every label less one; 0, the background, is 255, and so stays 255."""
    xp = jnp if is_traced(labels) else np
    less = xp.where(labels == 0, 255, labels) - 1
    return xp.where(less == 254, 255, less).astype(labels.dtype)


def as_pillow_takes_it(image: Image, config: HuggingFace) -> Image:
    """8 bits where they hold the labels; where they do not, only what copies pixels can be done."""
    pixels = image.pixels
    if image.kind == "integer" and pixels.min() >= 0 and pixels.max() <= 255:
        return Image(pixels.astype(np.uint8))
    resize = next((step for step in config.pipeline.steps if isinstance(step, Resize)), None)
    mixes = resize is not None and (resize.method != "nearest" or image.kind == "float")
    return for_pillow(image) if mixes else image


def sizes_of(config: HuggingFace, sizes: list[Size]) -> Results:
    """`original_sizes`, and `reshaped_input_sizes`, after the resize, where the class tells them."""
    resize = next((step for step in config.pipeline.steps if isinstance(step, Resize)), None)
    known = {
        "original_sizes": sizes,
        "reshaped_input_sizes": [size if resize is None else resize.output_size(size) for size in sizes],
    }
    names = config.effective.row.get("sizes", [])
    return {name: [np.asarray(size, np.int64) for size in known[name]] for name in names}


def paired_maps(value: Any, count: int, where: str) -> list[Image]:
    """As many maps as images.

    Raises:
        InputError: something that is no map, or another number of them.
    """
    found = list(_maps(value, where))
    if len(found) != count:
        raise InputError(f"Expected a map for each of {count} images, got {len(found)} - at `{where}`.")
    return found


def _maps(value: Any, where: str) -> Iterator[Image]:
    if isinstance(value, (list, tuple)) and not is_numbers(value):
        for i, item in enumerate(value):
            yield from _maps(item, f"{where}[{i}]")
        return
    if isinstance(value, (str, bytes, dict)) or value is None:
        raise InputError(f"Expected {EXPECTED}, got `{type(value).__name__}` - at `{where}`.")
    array = np.asarray(value) if is_pil(value) else as_numpy(value, where)
    if array.ndim not in ((2,) if is_pil(value) else (2, 3)) or not array.size:
        raise InputError(f"Expected {EXPECTED}, got shape {array.shape} - at `{where}`.")
    for one in array if array.ndim == 3 else [array]:
        yield kinded(one[..., None])


def _sizes(images: Any, layout: Any) -> Iterator[Size]:
    from jaxprep.huggingface.inputs import layout_of

    for image in images if isinstance(images, (list, tuple)) else [images]:
        first = (layout or layout_of(image.shape)) == "channels_first"
        size = image.shape[-2:] if first else image.shape[-3:-1]
        for _ in range(image.shape[0] if image.ndim == 4 else 1):
            yield size
