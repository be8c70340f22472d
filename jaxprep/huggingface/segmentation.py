"""Classes with a segmentation map beside each image: it goes the way of its image, and comes back
as `labels`.
"""

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
from jaxprep.huggingface.inputs import Image, as_numpy, for_pillow, is_numbers, kinded, layout_of
from jaxprep.inputs import is_pil
from jaxprep.ops.resize import Resize
from jaxprep.types import Size, is_traced

UNCHANGED = dict.fromkeys(
    ("do_convert_rgb", "do_rescale", "do_normalize", "do_flip_channel_order"), False
)
"""The settings that leave the numbers of a map what they are."""
EXPECTED = "maps (h, w): PIL images of one channel, arrays, a batch (b, h, w), or a list of them"


def with_maps(call: Call) -> Results:
    """The images, their sizes where the class tells them, and `labels` if there are
    `segmentation_maps`.

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
    images = singles(call.images, call.layout)
    results: Results = {"pixel_values": traced(config, images, "channels_last")}
    results |= sizes_of(config, [image.shape[:2] for image in images])
    given = call.inputs.get("segmentation_maps")
    if given is not None:
        maps = single_maps(given, len(images), "segmentation_maps")
        maps = [reduced(one) for one in maps] if config.effective.flag("do_reduce_labels") else maps
        done = traced(config_of_maps(config), maps, "channels_last")
        results["labels"] = jax.tree.map(
            lambda m: m[..., 0].astype(jax.dtypes.canonicalize_dtype(np.int64)), done
        )
    return results


def config_of_maps(config: HuggingFace) -> HuggingFace:
    """The config that maps go through: the images', with what the row's `maps` says otherwise.

    A name there stands for the setting of that name. `map_resample`, a setting of ours, is the
    filter in any case.
    """
    settings = config.effective
    own = {
        key: settings.get(v) if isinstance(v, str) else v for key, v in settings.row["maps"].items()
    }
    wanted = settings.get("map_resample")
    if wanted is not None:
        own["resample"] = wanted
    return replace(
        config,
        settings={**config.settings, **UNCHANGED, **own},
        data_format="channels_last",
        exact=False,
    )


def labels_of(config: HuggingFace, maps: list[Image]) -> list[np.ndarray]:
    """The maps at the size of their images, int64."""
    if config.effective.flag("do_reduce_labels"):
        maps = [image._replace(pixels=reduced(image.pixels)) for image in maps]
    config = config_of_maps(config)
    if config.backend == "pil":
        maps = [as_pillow_takes_it(image, config) for image in maps]
    return [one.astype(np.int64) for one in planes(run(config, maps))]


def planes(results: Any) -> list[np.ndarray]:
    """The only channel of each result `(h, w, 1)`, which lie in one array or in a list."""
    found = results if isinstance(results, list) else np.asarray(results)
    return [np.asarray(one)[..., 0] for one in found]


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
    """`original_sizes`, and `reshaped_input_sizes`, after the resize, where the class tells
    them.
    """
    resize = next((step for step in config.pipeline.steps if isinstance(step, Resize)), None)
    known = {
        "original_sizes": sizes,
        "reshaped_input_sizes": [
            size if resize is None else resize.output_size(size) for size in sizes
        ],
    }
    names = config.effective.row.get("sizes", [])
    return {name: [np.asarray(size, np.int64) for size in known[name]] for name in names}


def paired_maps(value: Any, count: int, where: str) -> list[Image]:
    """As many maps as images.

    Raises:
        InputError: something that is no map, or another number of them.
    """
    found = list(maps_of(value, where))
    _check_count(len(found), count, where)
    return found


def _check_count(found: int, count: int, where: str) -> None:
    if found != count:
        raise InputError(f"Expected a map for each of {count} images, got {found} - at `{where}`.")


def maps_of(value: Any, where: str) -> Iterator[Image]:
    """Every map of what a caller passed, as an image of one channel.

    Raises:
        InputError: something that is no map.
    """
    if isinstance(value, (list, tuple)) and not is_numbers(value):
        for i, item in enumerate(value):
            yield from maps_of(item, f"{where}[{i}]")
        return
    if isinstance(value, (str, bytes, dict)) or value is None:
        raise InputError(f"Expected {EXPECTED}, got `{type(value).__name__}` - at `{where}`.")
    array = np.asarray(value) if is_pil(value) else as_numpy(value, where)
    if array.ndim not in ((2,) if is_pil(value) else (2, 3)) or not array.size:
        raise InputError(f"Expected {EXPECTED}, got shape {array.shape} - at `{where}`.")
    for one in array if array.ndim == 3 else [array]:
        yield kinded(one[..., None])


def singles(images: Any, layout: Any, where: str = "images") -> list[Any]:
    """Traced images or batches of them as a list of images `(h, w, c)`.

    Raises:
        InputError: something that is no array.
    """
    found = []
    for image in images if isinstance(images, (list, tuple)) else [images]:
        if not hasattr(image, "ndim") or image.ndim not in (3, 4):
            raise InputError(
                f"Expected arrays (h, w, c) inside a transformation of JAX, got {image!r:.80} - at `{where}`."
            )
        first = (layout or layout_of(image.shape, where)) == "channels_first"
        image = jnp.moveaxis(image, -3, -1) if first else image
        found += [image] if image.ndim == 3 else list(image)
    return found


def single_maps(maps: Any, count: int, where: str) -> list[Any]:
    """Traced maps or batches of them as a list of as many maps `(h, w, 1)` as images."""
    maps = maps if isinstance(maps, (list, tuple)) else [maps]
    found = singles([jnp.asarray(one)[..., None] for one in maps], "channels_last", where)
    _check_count(len(found), count, where)
    return found
