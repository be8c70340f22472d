"""What the classes of a family do with the images of a call: images to named results.

One function per family of `formats.huggingface.families`, entered in `table.FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats import Format, HuggingFace, Timm
from jaxprep.formats.huggingface.families import Source
from jaxprep.huggingface.inputs import Image, Reading, for_pillow, images_of
from jaxprep.ops.resize import Resize
from jaxprep.pipeline import Pipeline, Ragged

Results = dict[str, Any]
"""By name: an array of the whole batch, or a list with one per image."""


class Call(NamedTuple):
    """One call of a processor.

    Attributes:
        images: as passed.
        inputs: the other inputs of the family, by name; those not given are missing.
        config: settings, with the call's own.
        layout: of arrays, where the caller says it.
    """

    images: Any
    inputs: dict[str, Any]
    config: Format
    layout: Any


class Family(NamedTuple):
    """What a family does with a call.

    Attributes:
        run: the results.
        inputs: the names of its inputs beside the images, in the order of their positions.
        traced: the results inside a caller's transformation; None means the images alone.
    """

    run: Callable[[Call], Results]
    inputs: tuple[str, ...] = ()
    traced: Callable[[Call], Results] | None = None


def reading_of(config: HuggingFace, layout: Any) -> Reading:
    """How a class reads its images."""
    settings = config.effective
    return Reading(
        settings.flag("do_convert_rgb"),
        config.backend == "torchvision",
        layout,
        not settings.flag("do_normalize"),
    )


def read(call: Call) -> list[Image]:
    """The images of a call, as the backend takes them."""
    config = call.config
    assert isinstance(config, HuggingFace)
    images = images_of(call.images, reading_of(config, call.layout))
    if config.backend == "pil" and any(isinstance(step, Resize) for step in config.pipeline.steps):
        return [for_pillow(image) for image in images]
    if all(image.kind == "float" and image.pixels.max() <= 1 for image in images):
        return [image._replace(kind="unit") for image in images]
    return images


def plain(call: Call) -> Results:
    """Every image through the pipeline of its kind."""
    config = call.config
    assert isinstance(config, HuggingFace)
    images = read(call)
    results: Results = {_name(config): run(config, images)}
    if config.class_name == "PPOCRV5ServerDetImageProcessor":
        wanted = config.effective.flag("do_resize")
        results["target_sizes"] = (
            [np.asarray(image.size, np.float32) for image in images] if wanted else []
        )
    return results


def _name(config: HuggingFace) -> str:
    """What the result is called: only Video-LLaVA has a name of its own, which a setting turns
    off.
    """
    name = config.effective.row["outputs"][0]
    return "pixel_values" if config.effective.get("return_legacy_image_output") is False else name


def run(config: HuggingFace, images: Sequence[Image]) -> Any:
    """The results of images of any kinds and sizes: one array, or a list where the sizes differ."""
    sizes = tuple(image.size for image in images) if depends_on_batch(config) else None
    groups: dict[Source, list[int]] = {}
    for i, image in enumerate(images):
        groups.setdefault(image.source, []).append(i)
    runner = Ragged.padded if config.pads_to_largest else Ragged.stacked_or_listed
    if len(groups) == 1:
        return _run_group(config.pipeline_of(images[0].source, sizes), images, runner)
    results: list[Any] = [None] * len(images)
    for source, members in groups.items():
        done = _run_group(config.pipeline_of(source, sizes), [images[i] for i in members], Ragged.stacked_or_listed)
        for i, result in zip(members, done, strict=True):
            results[i] = np.asarray(result)
    if not config.pads_to_largest:
        return _stacked(results)
    channels = sorted(
        {result.shape[0 if config.data_format == "channels_first" else -1] for result in results}
    )
    if len(channels) > 1:
        raise InputError(
            f"Expected images of one number of channels, to be padded to one array, got {channels} - at `images`. Pass "
            "`do_convert_rgb=True`, or convert them."
        )
    return _padded(results)


def depends_on_batch(config: HuggingFace) -> bool:
    """Whether the steps for an image depend on the others of the call."""
    return any("widest" in name for name in config.effective.row["steps"])


def _run_group(pipeline: Pipeline, images: Sequence[Image], runner: Any) -> Any:
    for image in images:
        pipeline.check_image(image.pixels.shape, image.pixels.dtype)
    pixels = [image.pixels for image in images]
    return runner(pipeline.run_images(pixels, [image.size for image in images]))


def _padded(results: list[Any]) -> Any:
    """Results in the top-left corners of one array of zeros."""
    shape = np.max([result.shape for result in results], axis=0)
    room = np.zeros((len(results), *shape), np.result_type(*results))
    for i, result in enumerate(results):
        room[(i, *(slice(n) for n in result.shape))] = result
    return room


def _stacked(results: list[Any]) -> Any:
    same = len({(result.shape, result.dtype) for result in results}) == 1
    return np.stack(results) if same else results


def traced(config: Format, images: Any, layout: Any) -> Any:
    """Images inside a caller's transformation, where their shapes are known."""
    from jaxprep.huggingface.inputs import layout_of
    from jaxprep.types import Batch

    found = list(images) if isinstance(images, (list, tuple)) else [images]
    done = []
    for image in found:
        first = (layout or layout_of(image.shape)) == "channels_first"
        image = jax.numpy.moveaxis(image, -3, -1) if first else image
        kind = (
            "uint8"
            if image.dtype == np.uint8
            else "float"
            if image.dtype.kind == "f"
            else "integer"
        )
        pipeline = config.pipeline
        if isinstance(config, HuggingFace):
            size = ((image.shape[-3], image.shape[-2]),) if depends_on_batch(config) else None
            pipeline = config.pipeline_of(Source(kind, image.shape[-1]), size)
        result = pipeline(Batch(image=image)).image
        done += [result] if image.ndim == 3 else list(result)
    same = len({result.shape for result in done}) == 1
    return jax.numpy.stack(done) if same else done


def timm(call: Call) -> Results:
    """timm's evaluation transform, which is of PIL images."""
    config = call.config
    assert isinstance(config, Timm)
    images = [
        for_pillow(image) for image in images_of(call.images, Reading(True, False, call.layout))
    ]
    return {"pixel_values": _run_group(config.pipeline, images, Ragged.stacked_or_listed)}
