"""One call of an image processor: its images read, sent through their pipelines, and named.

A family (`jaxprep.huggingface.registry`) is a function from a `Call` to `Results`, made of `read`
and `run`. Both serve eager calls, where images are host arrays of any sizes, and calls inside a
caller's transformation, where images are traced and their shapes are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface.builders import Source
from jaxprep.formats.huggingface.classes import SizeKind
from jaxprep.huggingface.features import stack_traced
from jaxprep.huggingface.images import Image, Reading, for_pillow, images_of, traced_images
from jaxprep.huggingface.views import Rows, rows, starts_of
from jaxprep.inputs import Layout
from jaxprep.pipeline import Pipeline, Ragged
from jaxprep.pipeline.eager import Store
from jaxprep.types import Batch, Size

Results = dict[str, Any]
"""By name: an array of the whole batch, or a list with one entry per image."""


class Call(NamedTuple):
    """One call of a processor.

    Attributes:
        images: as passed.
        inputs: the other inputs of the family, by name; those not given are missing.
        config: settings, with the call's own.
        layout: of arrays, where the caller says it.
        is_traced: the call is inside a caller's transformation.

    >>> call = Call(np.zeros((2, 3, 3)), {}, HuggingFace("ViTImageProcessor"))
    >>> call.with_settings(size=8).config.image_size
    (8, 8)
    """

    images: Any
    inputs: dict[str, Any]
    config: HuggingFace
    layout: Layout | None = None
    is_traced: bool = False

    def with_settings(self, **settings: Any) -> Call:
        """Return the same call with other values in some settings."""
        return self._replace(config=self.config.overridden(settings))


@dataclass(frozen=True)
class Family:
    """What the classes of a family do with a call.

    Attributes:
        run: makes the results.
        inputs: the names of its inputs beside the images, in the order of their positions.
        methods: what its classes have besides the methods of every processor, or instead.

    >>> PLAIN.inputs
    ()
    """

    run: Callable[[Call], Results]
    inputs: tuple[str, ...] = ()
    methods: Mapping[str, Any] = field(default_factory=dict)


# -- reading -------------------------------------------------------------------------------------


def reading_of(config: HuggingFace, layout: Layout | None) -> Reading:
    """Return how a class reads its images.

    >>> reading_of(HuggingFace("CLIPImageProcessor"), None).to_rgb
    True
    """
    settings = config.effective
    return Reading(
        to_rgb=settings.flag("do_convert_rgb"),
        on_torch=config.backend == "torchvision",
        layout=layout,
        takes_palette=not settings.flag("do_normalize"),
        alpha=config.row.alpha,
    )


def read(call: Call) -> list[Image]:
    """Read the images of a call, as the backend takes them.

    >>> call = Call(np.zeros((20, 30, 3)), {}, HuggingFace("ViTImageProcessor"))
    >>> read(call)[0].value_range
    'unit'
    """
    if call.is_traced:
        return traced_images(call.images, call.layout)
    config = call.config
    images = images_of(call.images, reading_of(config, call.layout))
    # Pillow resizes nothing but uint8; without a resize NumPy arrays stay what they are.
    if config.resizes_by_pillow:
        return [for_pillow(image) for image in images]
    # One image above 1 says that all are in [0, 255]: see `builders.resize.resize_clipped`.
    if all(image.value_range == "float" and image.pixels.max() <= 1 for image in images):
        return [image._replace(value_range="unit") for image in images]
    return images


def sizes_of(images: Sequence[Image]) -> list[Size]:
    """Return height and width of every image of a call.

    >>> sizes_of([Image(np.zeros((2, 3, 3))), Image(np.zeros((2, 4, 4, 3)))])
    [(2, 3), (4, 4), (4, 4)]
    """
    sizes: list[Size] = []
    for image in images:
        sizes += [image.size] * image.count
    return sizes


# -- running -------------------------------------------------------------------------------------


def run(call: Call, images: Sequence[Image]) -> Any:
    """Return the results of images of any kinds and sizes, each through the pipeline of its kind.

    Returns:
        one array; where results differ in size, a list, or, for a class that pads to the largest,
        one array with 0 below and to the right of each.

    Raises:
        InputError: an image is not what the pipeline takes.

    >>> call = Call(None, {}, HuggingFace("ViTImageProcessor", {"size": 8}))
    >>> run(call, [Image(np.zeros((20, 30, 3), np.uint8))]).shape
    (1, 8, 8, 3)
    """
    config = call.config
    ragged = _run_views(call, images, None)
    if call.is_traced:
        return _join_traced(config, ragged) if isinstance(ragged, list) else ragged
    return _as_padded(config, ragged)


def run_each(call: Call, images: Sequence[Image], view: str | None = None) -> Any:
    """Return the results of one view of images of any kinds and sizes, for a family that puts them
    together itself: see `jaxprep.huggingface.views`.

    Args:
        view: one of the row's `views`, or the main result.

    Returns:
        one array where all are alike, otherwise a list with one per image; NumPy's, unless traced.

    Raises:
        InputError: an image is not what the pipeline takes.

    >>> call = Call(None, {}, HuggingFace("ViTImageProcessor", {"size": 8}))
    >>> run_each(call, [Image(np.zeros((20, 30, 3), np.uint8))]).shape
    (1, 8, 8, 3)
    """
    ragged = _run_views(call, images, view)
    if call.is_traced:
        stacked = stack_traced(ragged) if isinstance(ragged, list) else ragged
        return ragged if stacked is None else stacked
    if ragged.is_stacked:
        return np.asarray(ragged.results)
    return [np.asarray(result) for result in ragged.results]


def _run_views(call: Call, images: Sequence[Image], view: str | None) -> Any:
    """A `Ragged`; traced, one array of a batch, or a list with one result per image."""
    pipelines = _pipelines(call, images, view)
    if call.is_traced:
        return run_traced(images, pipelines)
    groups = _by_source(images)
    results: list[Any] = [None] * len(images)
    for members in groups:
        ragged = run_group(pipelines[members[0]], [images[i] for i in members])
        if len(groups) == 1:
            return ragged
        for i, result in zip(members, _on_host(ragged), strict=True):
            results[i] = result
    return Ragged.of(results)


def _pipelines(call: Call, images: Sequence[Image], view: str | None) -> list[Pipeline]:
    """The pipeline of each image."""
    config = call.config
    # Sizes are part of the key of a pipeline's cache: where they do not count, one is enough.
    sizes = tuple(sizes_of(images)) if config.row.batch_dependent else None
    return [config.pipeline_of(image.source, sizes, view) for image in images]


def run_rows(call: Call, images: Sequence[Image], axes: int, view: str | None = None) -> Any:
    """Return the results of one view one after another: their first `axes` axes become rows of one
    array.

    On the host each result is copied once, to where it belongs.

    >>> call = Call(None, {}, HuggingFace("Qwen2VLImageProcessor"))
    >>> run_rows(call, [Image(np.zeros((56, 84, 3), np.uint8))], axes=4).shape
    (24, 3, 2, 14, 14)
    """
    if call.is_traced:
        return rows(run_each(call, images, view), axes)
    pipelines = _pipelines(call, images, view)
    shapes = []
    for image, pipeline in zip(images, pipelines, strict=True):
        shapes.append(pipeline.result_shape(image.size, image.pixels.shape[-1]))
    starts, total = starts_of(math.prod(shape[:axes]) for shape in shapes)
    whole = Rows(starts, total, shapes[0][axes:], result_type(call, images, view))
    store_each(call, images, whole.store, view)
    return whole.array


def result_type(call: Call, images: Sequence[Image], view: str | None = None) -> np.dtype:
    """Return the type of one array for the results of one view of images of the host.

    >>> call = Call(None, {}, HuggingFace("ViTImageProcessor"))
    >>> result_type(call, [Image(np.zeros((20, 30, 3), np.uint8))])
    dtype('float32')
    """
    kinds = {}
    for image, pipeline in zip(images, _pipelines(call, images, view), strict=True):
        kinds[pipeline, image.pixels.shape[-1], image.pixels.dtype] = image
    return np.result_type(
        *(
            pipeline.result_dtype(dtype, image.size, channels)
            for (pipeline, channels, dtype), image in kinds.items()
        )
    )


def store_each(call: Call, images: Sequence[Image], store: Store, view: str | None = None) -> None:
    """Give `store` the number and the result of each image of the host, of one view, as soon as it
    is there; several threads call it.

    >>> call = Call(None, {}, HuggingFace("ViTImageProcessor", {"size": 8}))
    >>> images = [Image(np.zeros((20, 30, 3), np.uint8))]
    >>> store_each(call, images, lambda i, result: print(i, result.shape))
    0 (8, 8, 3)
    """
    pipelines = _pipelines(call, images, view)
    for members in _by_source(images):

        def put(number: int, result: np.ndarray, members: list[int] = members) -> None:
            store(members[number], result)

        run_group(pipelines[members[0]], [images[i] for i in members], put)


def _by_source(images: Sequence[Image]) -> list[list[int]]:
    """The numbers of the images of each kind: they share a pipeline and its programs."""
    groups: dict[Source, list[int]] = {}
    for i, image in enumerate(images):
        groups.setdefault(image.source, []).append(i)
    return list(groups.values())


def run_group(pipeline: Pipeline, images: Sequence[Image], store: Store | None = None) -> Ragged:
    """Return the results of host images that go through one pipeline.

    Args:
        store: takes each result, instead of the return value.

    Raises:
        InputError: an image is not what the pipeline takes.

    >>> run_group(Pipeline(), [Image(np.zeros((2, 3, 3), np.uint8))]).stacked().shape
    (1, 2, 3, 3)
    """
    # Checked one by one, so that the error names the image and not the canvas.
    for image in images:
        pipeline.check_image(image.pixels.shape, image.pixels.dtype)
    pixels = [image.pixels for image in images]
    sizes = [image.size for image in images]
    return pipeline.run_images(pixels, sizes, store=store)


def _on_host(ragged: Ragged) -> list[np.ndarray]:
    """Results one by one as NumPy arrays: to index a `jax.Array` would compile a program."""
    results = np.asarray(ragged.results) if ragged.is_stacked else ragged.results
    return [np.asarray(result) for result in results]


def _as_padded(config: HuggingFace, ragged: Ragged) -> Any:
    """Results as the class returns them: padded to the largest, or one array, or a list."""
    if not config.pads_to_largest:
        return ragged.stacked_or_listed()
    # Gray beside RGB: there is no padding of channels.
    if not ragged.is_stacked:
        _check_channels(config, ragged.results)
    return ragged.padded()


def _check_channels(config: HuggingFace, results: Sequence[Any]) -> None:
    channels_axis = 0 if config.data_format == "channels_first" else -1
    channels = sorted({result.shape[channels_axis] for result in results})
    if len(channels) > 1:
        raise InputError(
            "Expected images of one number of channels, to be padded to one array, got "
            f"{channels} - at `images`. Pass `do_convert_rgb=True`, or convert them."
        )


def run_traced(images: Sequence[Image], pipelines: Sequence[Pipeline]) -> Any:
    """Return the results of traced images, each through its pipeline: a list with one per image; of
    one batch, one array.

    >>> import jax
    >>> @jax.jit
    ... def run_all(pixels):
    ...     return run_traced([Image(pixels)], [Pipeline()])
    >>> run_all(np.zeros((5, 2, 3, 3), np.uint8)).shape
    (5, 2, 3, 3)
    """
    results: list[Any] = []
    for image, pipeline in zip(images, pipelines, strict=True):
        result = pipeline(Batch(image=image.pixels)).image
        is_batch = image.pixels.ndim == 4
        if is_batch and len(images) == 1:
            return result  # split and stacked again, a sharded batch would be gathered
        results += list(result) if is_batch else [result]
    return results


def _join_traced(config: HuggingFace, results: list[Any]) -> Any:
    """Traced results as `_as_padded` returns those on the host."""
    stacked = stack_traced(results)
    if stacked is not None:
        return stacked
    if not config.pads_to_largest:
        return results
    _check_channels(config, results)
    shape = np.max([result.shape for result in results], axis=0)
    padded = []
    for result in results:
        missing = shape - result.shape
        padded.append(jnp.pad(result, [(0, int(count)) for count in missing]))
    return jnp.stack(padded)


# -- results -------------------------------------------------------------------------------------


def plain(call: Call) -> Results:
    """Return images alone.

    >>> config = HuggingFace("ViTImageProcessor", {"size": 8})
    >>> sorted(plain(Call(np.zeros((20, 30, 3), np.uint8), {}, config)))
    ['pixel_values']
    """
    return image_results(call, read(call))


def image_results(call: Call, images: Sequence[Image]) -> Results:
    """Return the preprocessed images, and sizes where the class tells them.

    >>> config = HuggingFace("Sam2ImageProcessor", {"size": 8})
    >>> call = Call(None, {}, config)
    >>> sorted(image_results(call, [Image(np.zeros((20, 30, 3), np.uint8))]))
    ['original_sizes', 'pixel_values']
    """
    # Video-LLaVA names them by a setting; all other classes `pixel_values`.
    results = {call.config.result_name: run(call, images)}
    return results | size_results(call.config, sizes_of(images))


def size_results(config: HuggingFace, sizes: Sequence[Size]) -> Results:
    """Return sizes of images by the names that the row's `sizes` gives them.

    They are numbers of Python, as in Transformers, which `return_tensors` makes arrays of.

    Args:
        sizes: of the images as they came.

    >>> size_results(HuggingFace("Sam2ImageProcessor"), [(20, 30)])
    {'original_sizes': [(20, 30)]}
    """
    return {name: SIZES[kind](config, sizes) for name, kind in config.row.sizes.items()}


def _original(config: HuggingFace, sizes: Sequence[Size]) -> list[Size]:
    """As they came."""
    del config
    return list(sizes)


def _resized(config: HuggingFace, sizes: Sequence[Size]) -> list[Size]:
    """After the resize."""
    resize = config.resize_pipeline
    return [resize.output_size(size) for size in sizes]


def _original_if_resized(config: HuggingFace, sizes: Sequence[Size]) -> list[np.ndarray]:
    """As they came, float32; none where nothing is resized.

    That is `target_sizes` of `transformers/models/pp_ocrv5_server_det/
    image_processing_pp_ocrv5_server_det.py`.
    """
    if not config.effective.flag("do_resize"):
        return []
    return [np.asarray(size, np.float32) for size in sizes]


def _unpadded(config: HuggingFace, sizes: Sequence[Size]) -> list[Size]:
    """Of the results, without their padding."""
    return [config.unpadded_pipeline.output_size(size) for size in sizes]


def _setting(config: HuggingFace, sizes: Sequence[Size]) -> list[Size]:
    """What the setting `size` says, whether or not it is used: `_preprocess` of
    `transformers/models/sam2_video/video_processing_sam2_video.py`; of an edge the size that it
    makes.
    """
    edges = config.effective.edges("size")
    pair = None if edges is None else edges.pair
    return _resized(config, sizes) if pair is None else [pair] * len(sizes)


SIZES: dict[SizeKind, Callable[[HuggingFace, Sequence[Size]], list[Any]]] = {
    "original": _original,
    "resized": _resized,
    "original_if_resized": _original_if_resized,
    "setting": _setting,
    "unpadded": _unpadded,
}

PLAIN = Family(plain)
