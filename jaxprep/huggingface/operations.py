"""The single operations of an image processor: `resize`, `center_crop`, `rescale`, `normalize`,
`pad`, each on one image or a batch, as the class does it in a call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep import codec, ops
from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface.builders import (
    Build,
    Builder,
    Operation,
    Source,
    builder_named,
    builders_of,
)
from jaxprep.formats.huggingface.config import is_of_pillow
from jaxprep.formats.huggingface.frozen import Frozen
from jaxprep.formats.huggingface.settings import drop_unsaid, settings_of
from jaxprep.huggingface.call import run_group
from jaxprep.huggingface.configs import json_settings, layout_named
from jaxprep.huggingface.images import (
    IMAGES,
    Reading,
    for_pillow,
    images_of,
    traced_images,
)
from jaxprep.huggingface.mixin import ImageProcessingMixin
from jaxprep.huggingface.padding import largest_of
from jaxprep.huggingface.views import array_module
from jaxprep.inputs import Layout, as_numpy, channels_last, is_numbers, layout_of
from jaxprep.pictures import is_pil
from jaxprep.pipeline import Pipeline
from jaxprep.settings import with_default_settings
from jaxprep.types import Batch, Size, is_traced


class ImageOperations(ImageProcessingMixin):
    """Operations on one image or a batch of one size, with the signatures of `TorchvisionBackend`
    and `PilBackend`:
    https://github.com/huggingface/transformers/blob/main/src/transformers/image_processing_backends.py

    Images are what a call takes; results are `jax.Array`s in the layout of the image.

    >>> import numpy as np
    >>> from jaxprep.huggingface import ViTImageProcessor
    >>> ViTImageProcessor().resize(np.zeros((20, 30, 3), np.uint8), size=(8, 6)).shape
    (8, 6, 3)
    """

    @property
    def backend(self) -> str:
        """Whose arithmetic: "torchvision" or "pil"."""
        return getattr(self._config, "backend", "pil")

    def _class_config(self) -> HuggingFace:
        """The config, of a class that has settings for single operations."""
        raise NotImplementedError  # `BaseImageProcessor` overrides it; its metaclass is not ABC's

    def resize(
        self,
        image: Any,
        size: Any,
        resample: Any = None,
        data_format: Any = None,
        input_data_format: Any = None,
        antialias: bool | None = None,
        **kwargs: Any,
    ) -> jax.Array:
        """Resize one image, or a batch of one size, as the method of this class does it: mostly as
        in a call; where that has a rule of its own, see `ProcessorRow.resize_builder`.

        Args:
            image: one image, or a batch `(b, ...)`.
            size: in any form that the setting takes.
            resample: one of PIL's integers, or a name; by default the setting's, and bilinear where
                the class has none.
            data_format: of the result, by default that of the image.
            input_data_format: of the image, by default told by its channels.
            antialias: by default as the class does it.
            kwargs: other settings of the rule, such as `size_divisor`.

        Raises:
            InputError: not one image or one batch.
            ConfigError: a setting is wrong.
        """
        config = self._class_config()
        row = config.row
        if resample is None and config.effective.get("resample") is None:
            resample = "bilinear"
        said = {"size": size, "resample": resample, **kwargs}
        given = {"do_resize": True, **row.resize_settings, **said}
        entry = self._builder("resize")
        if row.resize_builder is not None:
            entry = builder_named(row.resize_builder)
        if antialias is not None:
            # Said by the caller, it is the base class' rule that takes it.
            entry = builder_named("resize" if antialias else "resize_interpolating")
        return self._apply(entry, given, image, data_format, input_data_format)

    def center_crop(
        self,
        image: Any,
        size: Any,
        data_format: Any = None,
        input_data_format: Any = None,
        **kwargs: Any,
    ) -> jax.Array:
        """Cut out the middle `size` of an image or a batch; a smaller image is padded with 0.

        Arguments and errors as in `resize`.
        """
        entry = self._builder("center_crop")
        given = {"do_center_crop": True, entry.size_key: size, **kwargs}
        return self._apply(entry, given, image, data_format, input_data_format)

    def rescale(
        self,
        image: Any,
        scale: float,
        data_format: Any = None,
        input_data_format: Any = None,
        **kwargs: Any,
    ) -> jax.Array:
        """Multiply an image or a batch by `scale`, in float32; subtract 1 with `offset=True`."""
        # EfficientNet's `rescale(image, scale, offset=True)`.
        offset = -1.0 if kwargs.pop("offset", False) else 0.0
        arithmetic: Any = "float32" if self.backend == "torchvision" else "float64"
        pipeline = Pipeline((ops.Rescale(codec.plain(scale), offset, arithmetic=arithmetic),))
        return self._run(lambda _: pipeline, image, data_format, input_data_format)

    def normalize(
        self,
        image: Any,
        mean: Any,
        std: Any,
        data_format: Any = None,
        input_data_format: Any = None,
        **kwargs: Any,
    ) -> jax.Array:
        """Subtract `mean` from an image or a batch and divide by `std`: a number, or one per
        channel.
        """
        pipeline = Pipeline((ops.Normalize(_per_channel(mean), _per_channel(std)),))
        return self._run(lambda _: pipeline, image, data_format, input_data_format)

    def rescale_and_normalize(
        self,
        images: Any,
        do_rescale: bool,
        rescale_factor: float,
        do_normalize: bool,
        image_mean: Any,
        image_std: Any,
        data_format: Any = None,
        input_data_format: Any = None,
    ) -> jax.Array:
        """Rescale and normalise an image or a batch; on the torchvision backend in one step, see
        `jaxprep.formats.huggingface.builders.values.rescale_and_normalize`.
        """
        given = {
            "do_rescale": do_rescale,
            "rescale_factor": rescale_factor,
            "do_normalize": do_normalize,
            "image_mean": image_mean,
            "image_std": image_std,
        }
        entry = builder_named("rescale_and_normalize")
        return self._apply(entry, given, images, data_format, input_data_format)

    def convert_to_rgb(self, image: Any, input_data_format: Any = None) -> jax.Array:
        """Make an image RGB: gray three times, alpha laid over white; three channels stay."""
        layout = layout_named(input_data_format, "input_data_format")
        reading = Reading(to_rgb=True, on_torch=self.backend == "torchvision", layout=layout)
        return apply(lambda _: Pipeline(), image, reading)

    @with_default_settings
    def pad(
        self,
        images: Any,
        pad_size: Any = None,
        fill_value: Any = 0,
        padding_mode: str = "constant",
        return_mask: bool = False,
        data_format: Any = None,
        input_data_format: Any = None,
        **kwargs: Any,
    ) -> Any:
        """Pad images below and to the right, to `pad_size` or the largest of them, each in its own
        type.

        Args:
            images: one array, or several.
            pad_size: in any form that the setting takes.
            fill_value: what the padding is, where `padding_mode` is "constant".
            padding_mode: one of NumPy's.
            return_mask: return masks too, int32, 1 where the image is.
            data_format: of the results, by default that of each image.
            input_data_format: of the images, by default told by their channels.

        Raises:
            InputError: an image is larger than `pad_size`.
        """
        layout = layout_named(input_data_format, "input_data_format")
        wanted = layout_named(data_format, "data_format")
        is_one = hasattr(images, "ndim") and images.ndim == 3
        arrays = [as_numpy(image, "images", IMAGES) for image in ([images] if is_one else images)]
        layouts: list[Layout] = [layout or layout_of(array.shape) for array in arrays]
        arrays = [channels_last(*pair) for pair in zip(arrays, layouts, strict=True)]
        size = largest_of([(array.shape[0], array.shape[1]) for array in arrays])
        if pad_size is not None:
            config = self._class_config().overridden({"pad_size": pad_size})
            size = config.effective.pair("pad_size")
        # NumPy takes `constant_values` with that mode only.
        fill: Any = {"constant_values": fill_value} if padding_mode == "constant" else {}
        padded, masks = [], []
        for array, own_layout in zip(arrays, layouts, strict=True):
            below, right = _padding_widths(array, size)
            widths = (below, right, (0, 0))
            result = np.pad(array, widths, mode=padding_mode, **fill)  # type: ignore[call-overload]
            if (wanted or own_layout) == "channels_first":
                result = result.transpose(2, 0, 1)
            padded.append(jnp.asarray(result))
            ones = np.ones(array.shape[:2], np.int32)
            mask = np.pad(ones, (below, right))
            masks.append(jnp.asarray(mask))
        result, mask_result = (padded[0], masks[0]) if is_one else (padded, masks)
        if return_mask:
            return result, mask_result
        return result

    def _builder(self, operation: Operation) -> Builder:
        """The first builder of an operation that the class has; if none, that of the base class."""
        config = self._class_config()
        for entry in builders_of(config.effective, config.backend):
            if entry.operation == operation:
                return entry
        return builder_named(operation)

    def _apply(
        self, entry: Builder, given: dict[str, Any], image: Any, data_format: Any, layout: Any
    ) -> jax.Array:
        """Run one builder of the class on one image."""
        config = self._class_config()
        changed = json_settings(drop_unsaid(config.class_name, given))
        resizes = entry.operation == "resize"
        pipeline_of = pipelines_of(config, entry, changed)
        return self._run(pipeline_of, image, data_format, layout, resizes)

    def _run(
        self,
        pipeline_of: Callable[[Source], Pipeline],
        image: Any,
        data_format: Any,
        layout: Any,
        resizes: bool = False,
    ) -> jax.Array:
        given = layout_named(layout, "input_data_format")
        wanted = layout_named(data_format, "data_format")
        is_pillow = resizes and is_of_pillow(pipeline_of(Source()))
        reading = Reading(on_torch=self.backend == "torchvision", layout=given)
        return apply(pipeline_of, image, reading, wanted, is_pillow)


def pipelines_of(
    config: HuggingFace, entry: Builder, changed: Mapping[str, Any]
) -> Callable[[Source], Pipeline]:
    """Return a function that gives the pipeline of one builder for images of a range of values.

    Args:
        config: of the class.
        entry: the builder.
        changed: other values in some settings; only what the builder reads is checked.

    >>> config = HuggingFace("ViTImageProcessor")
    >>> pipelines_of(config, builder_named("resize"), {"size": 8})(Source()).output_size((20, 30))
    (8, 8)
    """
    settings = settings_of(config.class_name, Frozen({**config.settings, **changed}))

    def pipeline_of(source: Source) -> Pipeline:
        build = Build(settings, config.backend, source, None, config.reference)
        entry.add_steps(build)
        return Pipeline(tuple(build.steps))

    return pipeline_of


@with_default_settings
def apply(
    pipeline_of: Callable[[Source], Pipeline],
    image: Any,
    reading: Reading,
    data_format: Layout | None = None,
    is_pillow: bool = False,
) -> jax.Array:
    """Run an image, or a batch of one size, through a pipeline: as it came, `(h, w, c)` or
    `(b, h, w, c)`, or with its channels first.

    Args:
        pipeline_of: the pipeline for images of a range of values.
        image: what a call takes, but one image or one batch.
        reading: how it is read.
        data_format: of the result, by default that of the image.
        is_pillow: the pipeline begins with a resize of Pillow.

    Raises:
        InputError: not one image or one batch.

    >>> crop = Pipeline((ops.CenterCrop(2),))
    >>> apply(lambda source: crop, np.zeros((5, 8, 6, 3), np.uint8), Reading()).shape
    (5, 2, 2, 3)
    """
    if isinstance(image, (list, tuple)) and not is_numbers(image):
        raise InputError(
            f"Expected one image, or a batch of images of one size, got a {type(image).__name__} "
            "of images - at `image`. Call the processor itself on a list."
        )
    result: Any
    if is_traced(image):
        layout = reading.layout or layout_of(np.shape(image))
        (traced,) = traced_images(image, layout)
        result = pipeline_of(traced.source)(Batch(image=traced.pixels)).image
    else:
        # The result has the layout of the image.
        layout = reading.layout or _host_layout(image)
        images = images_of(image, reading)
        if is_pillow:
            images = [for_pillow(one) for one in images]
        results = [run_group(pipeline_of(one.source), [one]).listed()[0] for one in images]
        # On the host, so that the layout is changed without a program.
        result = np.stack([np.asarray(one) for one in results])
        if np.ndim(image) != 4:
            result = result[0]
    if (data_format or layout) == "channels_first":
        result = channels_first(result)
    return jnp.asarray(result)


def channels_first(images: Any) -> Any:
    """Return an image or a batch, whose channels are last, with them first.

    >>> channels_first(np.zeros((2, 3, 4))).shape
    (4, 2, 3)
    """
    return array_module(images).moveaxis(images, -1, -3)


def _host_layout(image: Any) -> Layout:
    """The layout in which one image came: PIL images and gray arrays have their channels last."""
    if is_pil(image) or np.ndim(image) not in (3, 4):
        return "channels_last"
    return layout_of(np.shape(image))


def _padding_widths(
    array: np.ndarray,
    size: Size,
) -> tuple[tuple[int, int], tuple[int, int]]:
    height, width = size
    rows = height - array.shape[0]
    columns = width - array.shape[1]
    if min(rows, columns) < 0:
        raise InputError(
            f"Expected images of at most {size}, to be padded to that, got {array.shape}."
        )
    return (0, rows), (0, columns)


def _per_channel(value: Any) -> Any:
    numbers = codec.plain(value)
    if isinstance(numbers, (list, tuple)):
        return tuple(numbers)
    return numbers
