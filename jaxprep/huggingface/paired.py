"""Classes with another input beside each image: trimaps, depth, an example with its mask."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.huggingface.families import Call, Results, read, run, traced
from jaxprep.huggingface.inputs import Image
from jaxprep.huggingface.segmentation import (
    as_pillow_takes_it,
    maps_of,
    paired_maps,
    single_maps,
    singles,
)
from jaxprep.postprocess.semantic import palette
from jaxprep.types import is_traced

TINY = 1e-6
"""Metres that Prompt Depth Anything adds to the first row of a depth that is the same
everywhere.
"""


# -- ViTMatte ----------------------------------------------------------------------------------------------------------


def matte(call: Call) -> Results:
    """Images with their trimaps as the last channel.

    The pipeline takes the two as one: the steps after it leave a trimap's values apart from those
        of the colours.
    """
    config = call.config
    assert isinstance(config, HuggingFace)
    images = read(call)
    trimaps = paired_maps(_trimaps(call), len(images), "trimaps")
    pairs = [
        _joined(image, trimap, config, i)
        for i, (image, trimap) in enumerate(zip(images, trimaps, strict=True))
    ]
    return {"pixel_values": run(config, pairs)}


def matte_traced(call: Call) -> Results:
    """The same inside a caller's transformation."""
    config = call.config
    assert isinstance(config, HuggingFace)
    images = singles(call.images, call.layout)
    trimaps = single_maps(_trimaps(call), len(images), "trimaps")
    pairs = []
    for image, trimap in zip(images, trimaps, strict=True):
        dtype = image.dtype if image.dtype == trimap.dtype else jnp.float32
        pairs.append(jnp.concatenate([image.astype(dtype), trimap.astype(dtype)], -1))
    return {"pixel_values": traced(config, pairs, "channels_last")}


def _trimaps(call: Call) -> Any:
    given = call.inputs.get("trimaps")
    if given is None:
        raise InputError("Expected `trimaps`, a map for each image, beside `images`.")
    return given


def _joined(image: Image, trimap: Image, config: HuggingFace, i: int) -> Image:
    colours, last = image.pixels, trimap.pixels
    if colours.shape[:2] != last.shape[:2]:
        raise InputError(
            f"Expected a trimap of {colours.shape[:2]}, the image's, got {last.shape[:2]} - at `trimaps[{i}]`."
        )
    if colours.shape[2] == 1 and config.effective.flag("do_normalize"):
        colours = np.repeat(colours, 3, axis=2)
    if image.kind == "uint8" and trimap.kind == "integer" and last.min() >= 0 and last.max() <= 255:
        trimap = trimap._replace(kind="uint8")
    kind = image.kind if image.kind == trimap.kind else "float"
    dtype = image.pixels.dtype if image.kind == trimap.kind else np.float32
    return Image(np.concatenate([colours.astype(dtype), last.astype(dtype)], axis=2), kind)


# -- Prompt Depth Anything ---------------------------------------------------------------------------------------------


def prompted_depth(call: Call) -> Results:
    """Images, and `prompt_depth` in metres, `(1, h, w)` or `(h, w, 1)`, at its own size."""
    config = call.config
    assert isinstance(config, HuggingFace)
    call = call._replace(config=config.overridden({"do_convert_rgb": False}))
    images = read(call)
    results: Results = {"pixel_values": run(config, images)}
    given = call.inputs.get("prompt_depth")
    if given is not None:
        depths = [
            in_metres(depth.pixels, config)
            for depth in paired_maps(given, len(images), "prompt_depth")
        ]
        is_last = config.data_format == "channels_last"
        results["prompt_depth"] = (
            depths if is_last else [np.moveaxis(depth, -1, 0) for depth in depths]
        )
    return results


def prompted_depth_traced(call: Call) -> Results:
    """The same inside a caller's transformation."""
    config = call.config
    assert isinstance(config, HuggingFace)
    images = singles(call.images, call.layout)
    results: Results = {"pixel_values": traced(config, images, "channels_last")}
    given = call.inputs.get("prompt_depth")
    if given is not None:
        scale = np.float32(config.effective.number("prompt_scale_to_meter"))
        depths = [
            _varied(depth * scale, jnp) for depth in single_maps(given, len(images), "prompt_depth")
        ]
        depths = (
            depths
            if config.data_format == "channels_last"
            else [jnp.moveaxis(depth, -1, 0) for depth in depths]
        )
        results["prompt_depth"] = (
            jnp.stack(depths) if len({depth.shape for depth in depths}) == 1 else depths
        )
    return results


def in_metres(depth: np.ndarray, config: HuggingFace) -> np.ndarray:
    """A depth `(h, w, 1)` as float32, computed in the backend's precision."""
    scale = config.effective.number("prompt_scale_to_meter")
    whole = depth.dtype.kind in "ui" and config.backend == "pil"
    metres = depth * np.float64(scale) if whole else depth.astype(np.float32) * np.float32(scale)
    return _varied(metres, np).astype(np.float32)


def _varied(metres: Any, xp: Any) -> Any:
    """A depth that is the same everywhere is not quite, in its first row."""
    first = (xp.arange(len(metres)) == 0)[:, None, None]
    return xp.where(first & (metres.min() == metres.max()), metres + TINY, metres)


# -- SegGPT ------------------------------------------------------------------------------------------------------------


def prompted(call: Call) -> Results:
    """Images, examples `prompt_images`, and their masks `prompt_masks`; any of them may be left
    out.
    """
    config = call.config
    assert isinstance(config, HuggingFace)
    plain = config.overridden({"do_convert_rgb": False})  # it is the masks that are converted
    results: Results = {}
    for name, value in _given(call).items():
        if name == "prompt_masks":
            results[name] = run(_copying(plain), _masks(value, config, call))
        else:
            images = read(call._replace(images=value, config=plain))
            results["pixel_values" if name == "images" else "prompt_pixel_values"] = run(
                plain, images
            )
    return results


def prompted_traced(call: Call) -> Results:
    """The same inside a caller's transformation."""
    config = call.config
    assert isinstance(config, HuggingFace)
    results: Results = {}
    for name, value in _given(call).items():
        if name != "prompt_masks":
            key = "pixel_values" if name == "images" else "prompt_pixel_values"
            results[key] = traced(config, value, call.layout)
        elif config.effective.flag("do_convert_rgb"):
            maps = value if isinstance(value, (list, tuple)) else [value]
            colours = [
                painted(one, config)
                for one in singles([one[..., None] for one in maps], "channels_last", name)
            ]
            results[name] = traced(_copying(config), colours, "channels_last")
        else:
            results[name] = traced(_copying(config), value, call.layout)
    return results


def _given(call: Call) -> dict[str, Any]:
    """What there is of the three, in their order.

    Raises:
        InputError: none of them.
    """
    images = None if isinstance(call.images, (list, tuple)) and not call.images else call.images
    names = ("prompt_images", "prompt_masks")
    every = {"images": images, **{name: call.inputs.get(name) for name in names}}
    found = {name: value for name, value in every.items() if value is not None}
    if not found:
        raise InputError("Expected at least one of `images`, `prompt_images` and `prompt_masks`.")
    return found


def _copying(config: HuggingFace) -> HuggingFace:
    return config.overridden({"resample": 0})


def _masks(value: Any, config: HuggingFace, call: Call) -> list[Image]:
    """Masks in colours: class maps painted with the palette, or pictures as they are."""
    if not config.effective.flag("do_convert_rgb"):
        return read(call._replace(images=value, config=_copying(config)))
    found = [
        image._replace(pixels=painted(image.pixels, config))
        for image in maps_of(value, "prompt_masks")
    ]
    if config.backend == "pil":
        return [as_pillow_takes_it(image, _copying(config)) for image in found]
    return [Image(image.pixels.astype(np.float32), "float") for image in found]


def painted(classes: Any, config: HuggingFace) -> Any:
    """The colours `(h, w, 3)` of a class map `(h, w, 1)`; without `num_labels`, the classes
    themselves, three times.

    Raises:
        InputError: a class that has no colour.
    """
    if config.effective.get("num_labels") is None:
        return classes.repeat(3, axis=-1)
    count = config.effective.integer("num_labels", highest=2**16)
    if is_traced(classes):
        return jnp.asarray(palette(count), jnp.uint8)[classes[..., 0]]
    whole = classes[..., 0].astype(np.int64)
    if whole.min() < 0 or whole.max() > count:
        raise InputError(
            f"Expected classes from 0 to `num_labels`, {count}, got {whole.min()} to {whole.max()}."
        )
    return palette(count).astype(np.uint8)[whole]
