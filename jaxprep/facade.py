"""Defines `ImageConverter` and `ImageClassifierPreprocessor`: KerasHub's calls, on any preset.

A call ends in `convert`, which asks what it was given. One image on the host goes straight to
`pipeline/eager.py`, a list or a batch by `Pipeline.run_images`; what is traced, or lies on a mesh,
goes through the call of the `Pipeline`. A preset (`presets.load`) is a format with a `pipeline`.

The contract is that of KerasHub 0.32:
https://github.com/keras-team/keras-hub/blob/master/keras_hub/src/layers/preprocessing/image_converter.py
and `keras_hub/src/models/image_classifier_preprocessor.py`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import jax
import jax.core
import jax.numpy as jnp
import numpy as np

from jaxprep import codec, frameworks, inputs, labels, pictures, presets
from jaxprep.errors import ConfigError, InputError
from jaxprep.formats import Custom, Format, KerasHub
from jaxprep.formats.keras_hub import PREPROCESSOR, upgrade_legacy
from jaxprep.formats.values import as_image_size
from jaxprep.pipeline import Pipeline, Ragged, eager
from jaxprep.pipeline.describe import Description
from jaxprep.pipeline.placement import Placement, common, is_on_mesh, placement_of
from jaxprep.presets import files
from jaxprep.settings import default_settings, outside_of_traces
from jaxprep.types import Batch, Size, is_traced


class _ClassProperty:
    """Makes a property of the class itself, as KerasHub's `presets` is.

    `classmethod` around `property` does this no more since Python 3.13.
    """

    def __init__(self, function: Any):
        self.function = function
        self.__doc__ = function.__doc__

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self.function()


def _presets() -> dict[str, dict[str, Any]]:
    """Return every named preset, with its `metadata`: description, parameter count, collection."""
    return presets.metadata()


@dataclass(frozen=True, init=False)
class ImageConverter(frameworks.NoAutoGraph):
    """Resizes, rescales and offsets images, as `keras_hub.layers.ImageConverter` does.

    The arguments and their defaults are KerasHub's. The results of a call are those of a direct
    call of KerasHub's layer, which rounds integer images after the resize; with `rounded=False`
    they are those of KerasHub's `fit` and `predict` on a `tf.data` dataset. `from_preset` makes the
    converter of a published model; `from_config` makes one of a config of another format, or of any
    `Pipeline`.

    Args:
        image_size: height and width of the results, or one integer for a square; None does not
            resize.
        scale: what the values are multiplied by after the resize, a number or one per channel;
            None leaves them. `1 / 255` makes [0, 255] to [0, 1].
        offset: what is added after that, a number or one per channel.
        crop_to_aspect_ratio: whether to crop the middle to the aspect ratio of `image_size` first.
            Without a crop or a pad the image is stretched.
        pad_to_aspect_ratio: whether to pad with 0 to that aspect ratio first. It needs
            `crop_to_aspect_ratio=False`.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3", "lanczos5", or another method
            of `jaxprep.ops.resize`.
        antialias: whether the filter is widened where an image shrinks; KerasHub's default is that
            it is not.
        bounding_box_format: of the boxes in a dictionary of inputs, as in
            `jaxprep.ops.to_corners`: "yxyx", "xyxy", "xywh", "center_xywh", ...
        data_format: "channels_last" or "channels_first", of images and results; None is
            "channels_last".
        kwargs: other fields of `jaxprep.formats.KerasHub`: `dtype` of the results, `rounded`,
            `reference`, `exact`, `name`, `trainable`.

    Attributes:
        config: the settings. A converter made by `from_preset` may hold those of any format.

    Raises:
        ConfigError: an unknown argument, or a value that it does not take.

    >>> import numpy as np
    >>> converter = ImageConverter(image_size=(4, 4), scale=1 / 255)
    >>> converter(np.full((8, 6, 3), 255, np.uint8)).shape
    (4, 4, 3)
    """

    config: Format

    def __init__(
        self,
        image_size: int | Size | None = None,
        scale: Any = None,
        offset: Any = None,
        crop_to_aspect_ratio: bool = True,
        pad_to_aspect_ratio: bool = False,
        interpolation: str = "bilinear",
        antialias: bool = False,
        bounding_box_format: str = "yxyx",
        data_format: str | None = None,
        **kwargs: Any,
    ):
        # By name, since one reader checks them, those of files and of `overridden` alike.
        given = {
            "image_size": as_image_size(image_size, "$.image_size"),
            "scale": scale,
            "offset": offset,
            "crop_to_aspect_ratio": crop_to_aspect_ratio,
            "pad_to_aspect_ratio": pad_to_aspect_ratio,
            "interpolation": interpolation,
            "antialias": antialias,
            "bounding_box_format": bounding_box_format,
            "data_format": data_format,
            **kwargs,
        }
        plain = {name: codec.plain(value) for name, value in given.items()}
        fields = upgrade_legacy(plain, "$")
        config = codec.from_json(KerasHub, {"format": "KerasHub", **fields})
        _ = config.pipeline.lowered  # a config whose steps cannot run is refused here
        object.__setattr__(self, "config", config)

    def get_config(self) -> dict[str, Any]:
        """Return the config as JSON data, which Keras keeps with a model.

        >>> converter = ImageConverter(image_size=(4, 4))
        >>> ImageConverter.from_config(converter.get_config()) == converter
        True
        """
        frameworks.register_with_keras(type(self))
        return files.to_json(self.config)

    @classmethod
    def from_config(cls, config: Format | Pipeline | Mapping[str, Any]) -> Self:
        """Return a converter for a config of any format, for any pipeline, or for what `get_config`
        returned.

        >>> import numpy as np
        >>> ImageConverter.from_config(Pipeline())(np.zeros((8, 6, 3), np.uint8)).shape
        (8, 6, 3)
        """
        if isinstance(config, Mapping):
            config = files.from_json(dict(config))
        if isinstance(config, Pipeline):
            config = Custom(config)
        if not isinstance(config, Format):
            raise codec.expected("a config of `jaxprep.formats`, or a `Pipeline`", config, "config")
        _ = config.pipeline.lowered  # a config whose steps cannot run is refused here
        converter = object.__new__(cls)
        object.__setattr__(converter, "config", config)
        return converter

    @classmethod
    def from_preset(cls, preset: str | os.PathLike[str], **overrides: Any) -> Self:
        """Return the converter of a preset; arguments and errors are those of
        `jaxprep.presets.load`.

        >>> ImageConverter.from_preset("resnet_50_imagenet", image_size=(32, 32)).image_size
        (32, 32)
        """
        return cls.from_config(presets.load(preset, **overrides))

    presets = _ClassProperty(_presets)

    def save_to_preset(self, preset_dir: str | os.PathLike[str]) -> None:
        """Write the config to a directory: `jaxprep.json`, and KerasHub's file where it can say it.

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     ImageConverter(image_size=(4, 4)).save_to_preset(folder)
        ...     sorted(os.listdir(folder))
        ['image_converter.json', 'jaxprep.json', 'preprocessor.json']
        """
        presets.save(self.config, preset_dir)

    @property
    def pipeline(self) -> Pipeline:
        """The pure function over a `Batch`."""
        return self.config.pipeline

    @property
    def image_size(self) -> Size | None:
        """Height and width of the results; None where it depends on the image."""
        return self.config.image_size

    def describe(self, size: Size | None = None) -> Description:
        """Return what is done to an image, in words and as data: what `jaxprep inspect` prints.

        Args:
            size: height and width of an image, whose size is then told after each step.

        Raises:
            InputError: a size that the steps do not take.

        >>> converter = ImageConverter(image_size=(4, 4), scale=1 / 255)
        >>> print(converter.describe().steps[-1])
        divide by 255
        """
        return self.pipeline.describe(size)

    def warm_up(self, sizes: Any = None, **settings: Any) -> int:
        """Compile the programs of calls ahead, and return how many; see `Pipeline.warm_up` for
        `largest`, `batch_sizes`, `channels`, `dtype` and the errors.

        >>> ImageConverter(image_size=(8, 8)).warm_up([(300, 400)], batch_sizes=4)
        1
        """
        return self.pipeline.warm_up(sizes, **settings)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with other values in some fields of the config.

        >>> ImageConverter(image_size=(4, 4)).replace(antialias=True).antialias
        True
        """
        return self.from_config(self.config.overridden(changes))

    def __getattr__(self, name: str) -> Any:
        # Fields of the config are attributes too. `copy` and `pickle` ask for names before there is
        # a config.
        if name.startswith("_") or name == "config":
            raise AttributeError(name)
        if name in codec.field_types(type(self.config)):
            return getattr(self.config, name)
        raise AttributeError(f"Expected a field of {type(self.config).__name__}, got `{name}`.")

    def __call__(self, inputs: Any) -> Any:
        """Convert an image, a batch, a list of images of any sizes, or a dictionary.

        Args:
            inputs: an array `(h, w, c)` or `(batch, h, w, c)` (NumPy, JAX, nested lists), a PIL
                image (its EXIF orientation is not looked at), a list of images, a `Batch`, or a
                dictionary with "images", and any of "bounding_boxes" (`{"boxes": (n, 4), "labels":
                (n,)}` in the config's format), "segmentation_masks" (resized by nearest neighbour)
                and other entries, which pass through.

        Returns:
            float32 where anything is scaled. A list comes back as one batch if its results are of
            one size, otherwise as a list.

        Raises:
            InputError: rank, channels or type of an image are not what the config takes.

        >>> import numpy as np
        >>> converter = ImageConverter(image_size=(4, 4))
        >>> converter([np.zeros((8, 6, 3), np.uint8), np.zeros((5, 9, 3), np.uint8)]).shape
        (2, 4, 4, 3)
        """
        results = convert(inputs, self.config)
        _warn_of_range(self, inputs, self.config)
        return results


def convert(x: Any, config: Format) -> Any:
    """Convert images by a config; see `ImageConverter.__call__`.

    In a pipeline of Grain the results are NumPy arrays, as KerasHub's are.

    >>> import numpy as np
    >>> convert(np.zeros((8, 6, 3), np.uint8), KerasHub(image_size=(4, 4))).shape
    (4, 4, 3)
    """
    # First, since a tracer has no values to look at: `jax.jit(pre)(image)` takes this line and no
    # other. (Lists and dictionaries of tracers go on, to `_convert`.)
    if isinstance(x, jax.core.Tracer):
        return config.pipeline(Batch(image=x)).image
    with default_settings():
        if "grain" not in sys.modules or not frameworks.in_grain():
            if _is_image_of_bytes(x):
                # There is nothing to ask about its type, values and device.
                pipeline = config.pipeline
                pixels = x.transpose(1, 2, 0) if pipeline.reads_channels_first else x
                _check_one(pipeline, pixels)
                with outside_of_traces():
                    return eager.run_image(pipeline.lowered, pixels, pixels.shape[:2])
            return _convert(x, config)
        frameworks.prepare_process()
        result = _convert(x, config)
        if not isinstance(result, Mapping):
            return frameworks.to_numpy(result)
        # Other entries are the caller's, of whatever type.
        keys = result.keys() & {labels.IMAGES, labels.MASKS, labels.BOXES}
        return {**result, **{key: frameworks.to_numpy(result[key]) for key in keys}}


def _convert(x: Any, config: Format) -> Any:
    # NumPy arrays are images: no question below is about them.
    if isinstance(x, np.ndarray):
        return _convert_images(x, config)
    if frameworks.has_graph_tensors(x):
        return _convert_in_graph(x, config)
    # Tensors of other frameworks may look like arrays and hold no values.
    inputs.check_foreign(x)
    if isinstance(x, Batch):
        return config.pipeline(x)
    if not isinstance(x, Mapping):
        return _convert_each(x, config) if is_traced(x) else _convert_images(x, config)
    _check_has_images(x)
    labels.check_keys(x, config)
    if labels.has_labels(x):
        return labels.convert_labelled(x, config)
    return {**x, labels.IMAGES: convert(x[labels.IMAGES], config)}


def _is_image_of_bytes(x: Any) -> bool:
    """Return whether a value is one image as programs read it: what most calls are about."""
    # Not its subclasses: a masked array has pixels that do not count.
    return type(x) is np.ndarray and x.dtype == np.uint8 and x.ndim == 3


def _warn_of_range(owner: Any, x: Any, config: Format) -> None:
    """Warn of images whose values are not those that the config rescales; see
    `inputs.warn_of_range`.
    """
    if isinstance(x, jax.core.Tracer) or _is_image_of_bytes(x):
        return
    if not inputs.rescales_levels(config.pipeline):
        return
    if isinstance(x, Batch):
        x = x.image
    elif isinstance(x, Mapping):
        x = x[labels.IMAGES]
    inputs.warn_of_range(owner, x)


def _convert_in_graph(x: Any, config: Format) -> Any:
    """Convert tensors of a graph of TensorFlow: what `tf.data` gives to the function of a map."""
    if isinstance(x, Batch):
        raise InputError("Expected images or a dictionary of them in a graph, got a `Batch`.")
    channels_first = config.pipeline.reads_channels_first
    if not isinstance(x, Mapping):
        return frameworks.call_in_graph(
            lambda traced: convert(traced["images"], config), {"images": x}, channels_first
        )
    # Other entries pass through as they are, of whatever type.
    _check_has_images(x)
    labels.check_keys(x, config)
    moved = {key: x[key] for key in (labels.IMAGES, labels.MASKS, labels.BOXES) if key in x}
    converted = frameworks.call_in_graph(
        lambda traced: convert(traced, config), moved, channels_first
    )
    return {**x, **converted}


def _check_has_images(x: Mapping[str, Any]) -> None:
    if labels.IMAGES not in x:
        keys = sorted(map(str, x))
        raise InputError(f"Expected a dictionary with `images`, got the keys {keys}.")


def _convert_images(x: Any, config: Format) -> Any:
    """Convert an image, a batch or a list of images, outside of any transformation."""
    if inputs.is_list_of_images(x):
        return _convert_list(x, config)
    placement = placement_of(x)
    if is_on_mesh(placement):
        return config.pipeline(Batch(image=x)).image
    if not isinstance(x, np.ndarray) and pictures.is_pil(x):
        pixels, pipeline = pictures.from_pil(x, config)
    else:
        pixels = inputs.from_array(x, config)
        pipeline = config.pipeline
    # A batch of one size runs as a list of many sizes does: on CPU its images, unless they are
    # small, go one by one or some in turn on all cores, faster than by one program for the batch.
    if pixels.ndim == 4:
        return _run_batch(pipeline, pixels, placement)
    _check_one(pipeline, pixels)
    with outside_of_traces():
        return eager.run_image(pipeline.lowered, pixels, pixels.shape[:2], placement)


def _convert_list(x: Any, config: Format) -> Any:
    placement = common(x, "x")
    if is_on_mesh(placement):
        # each is computed where it is, as one that is traced
        return _convert_each(x, config)
    return _run(inputs.from_list(x, config), placement)


def _check_one(pipeline: Pipeline, pixels: np.ndarray) -> None:
    """Raise `InputError` unless a pipeline takes an image `(h, w, c)`, without a key."""
    pipeline.check_image(pixels.shape, pixels.dtype)
    pipeline.check_key(None)


def _run_batch(pipeline: Pipeline, images: np.ndarray, placement: Placement) -> Any:
    """Run a batch `(b, h, w, c)` through one pipeline."""
    if not len(images):
        raise InputError("Expected at least one image, got a batch of none.")
    pipeline.check_image(images.shape[1:], images.dtype)
    sizes = [images.shape[1:3]] * len(images)
    return pipeline.run_images(images, sizes, placement).stacked_or_listed()


def _run(images: list[pictures.Image], placement: Placement) -> Any:
    """Run each image through its pipeline: one batch if all results are of one size, else a list.

    Images of one pipeline run together. There are several pipelines only where a format treats
    PIL images of different modes differently.
    """
    if not images:
        raise InputError("Expected at least one image, got a batch of none.")
    groups: dict[Pipeline, list[int]] = {}
    for i, image in enumerate(images):
        image.pipeline.check_image(image.pixels.shape, image.pixels.dtype)
        groups.setdefault(image.pipeline, []).append(i)
    results: list[Any] = [None] * len(images)
    for pipeline, members in groups.items():
        pixels = [images[i].pixels for i in members]
        sizes = [(image.shape[0], image.shape[1]) for image in pixels]
        group_results = pipeline.run_images(pixels, sizes, placement)
        if len(groups) == 1:  # not copied to the host
            return group_results.stacked_or_listed()
        for i, result in zip(members, group_results.listed(), strict=True):
            results[i] = result
    return Ragged.of(results, placement).stacked_or_listed()


def _convert_each(x: Any, config: Format) -> Any:
    """Convert a list of images one by one, without the host: inside a caller's transformation,
    where their shapes are known, or on a mesh."""
    results = [config.pipeline(Batch(image=jnp.asarray(image))).image for image in x]
    is_one_shape = len({result.shape for result in results}) == 1
    return jnp.stack(results) if is_one_shape else results


@dataclass(frozen=True, init=False)
class ImageClassifierPreprocessor(frameworks.NoAutoGraph):
    """Makes raw images the input of a classifier: `keras_hub.models.ImageClassifierPreprocessor`.

    `from_preset` makes the preprocessor of a published model. Call it on images, with labels and
    weights where there are some; `pipeline` is the same as a pure function for `jax.jit`.

    Args:
        image_converter: converts the images: an `ImageConverter`, a config of `jaxprep.formats` or
            a `Pipeline`; None leaves the images as they are.
        config_file: the file of a preset directory that holds the config.

    Raises:
        ConfigError: `image_converter` is something else.

    >>> import numpy as np
    >>> preprocessor = ImageClassifierPreprocessor.from_preset("timm/resnet50.a1_in1k")
    >>> x, y = preprocessor(np.zeros((300, 400, 3), np.uint8), 1)
    >>> x.shape, y
    ((224, 224, 3), 1)
    """

    image_converter: ImageConverter | None
    config_file: str

    def __init__(
        self, image_converter: ImageConverter | None = None, config_file: str = PREPROCESSOR
    ):
        # A config or a pipeline says all that a converter says.
        if isinstance(image_converter, (Format, Pipeline)):
            image_converter = ImageConverter.from_config(image_converter)
        if image_converter is not None and not isinstance(image_converter, ImageConverter):
            raise codec.expected(
                "an `ImageConverter`, a config, a `Pipeline` or None",
                image_converter,
                "image_converter",
            )
        object.__setattr__(self, "image_converter", image_converter)
        object.__setattr__(self, "config_file", config_file)

    @classmethod
    def from_preset(
        cls, preset: str | os.PathLike[str], config_file: str = PREPROCESSOR, **overrides: Any
    ) -> Self:
        """Return the preprocessor of a preset.

        Args:
            preset: a path, an `hf://` or `kaggle://` handle, or a built-in name; see
                `jaxprep.presets.load` for it and for `revision`, `token`, `cache_dir` and
                `local_files_only`.
            config_file: the file to read in a directory.
            overrides: fields of the preset's config to change, such as `image_size`,
                `interpolation` or `exact`; or `image_converter`, to replace all of it.

        >>> preset = "timm/resnet50.a1_in1k"
        >>> ImageClassifierPreprocessor.from_preset(preset, crop_pct=1.0).image_size
        (224, 224)
        """
        replaces_converter = "image_converter" in overrides
        converter = overrides.pop("image_converter", None)
        # The preset is read in both cases, so that a wrong name or override is an error.
        preset_converter = ImageConverter.from_preset(preset, config_file=config_file, **overrides)
        return cls(converter if replaces_converter else preset_converter, config_file)

    presets = _ClassProperty(_presets)

    def save_to_preset(self, preset_dir: str | os.PathLike[str]) -> None:
        """Write `jaxprep.json` to a directory, with the files of KerasHub 0.32 where they can say
        the same.

        The directory is made if needed; its other files stay as they are. A write that fails
        changes nothing.
        """
        presets.save(self.config, preset_dir, self.config_file)

    def to_json(self) -> dict[str, Any]:
        """Return the config as JSON data, to keep with a checkpoint:
        `orbax.checkpoint.args.JsonSave` takes it.

        >>> data = ImageClassifierPreprocessor(KerasHub(image_size=(4, 4))).to_json()
        >>> ImageClassifierPreprocessor.from_json(data).image_size
        (4, 4)
        """
        return files.to_json(self.config)

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Return the preprocessor of JSON data: that of `to_json`, or of any format's files."""
        return cls(ImageConverter.from_config(files.from_json(data)))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments as JSON data: what `keras.saving.serialize_keras_object` stores of a
        task that holds this preprocessor. Keras need not be installed.

        To load such a task, import this class after Keras: Keras' loader knows it from then on.

        >>> preprocessor = ImageClassifierPreprocessor(KerasHub(image_size=(4, 4)))
        >>> ImageClassifierPreprocessor.from_config(preprocessor.get_config()) == preprocessor
        True
        """
        frameworks.register_with_keras(type(self))
        converter = self.image_converter
        return {
            "image_converter": None if converter is None else converter.get_config(),
            "config_file": self.config_file,
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Return the preprocessor of what `get_config` returned.

        Raises:
            ConfigError: an unknown entry, or a value that it does not take.
        """
        if not isinstance(config, Mapping) or set(config) - {"image_converter", "config_file"}:
            raise codec.expected("what `get_config` returns", config, "config")
        converter = config.get("image_converter")
        if isinstance(converter, Mapping):
            converter = ImageConverter.from_config(converter)
        config_file = config.get("config_file", PREPROCESSOR)
        if not isinstance(config_file, str):
            raise codec.expected("the name of a file", config_file, "$.config_file")
        return cls(converter, config_file)

    @property
    def name(self) -> str:
        """The name that `summary` of a Keras task prints."""
        return getattr(self.config, "preprocessor_name", None) or "preprocessor"

    @property
    def config(self) -> Format:
        """The settings: those of the image converter."""
        return Custom() if self.image_converter is None else self.image_converter.config

    @property
    def pipeline(self) -> Pipeline:
        """The pure function over a `Batch`."""
        return self.config.pipeline

    @property
    def image_size(self) -> Size | None:
        """Height and width of the results; None where it depends on the image."""
        return self.config.image_size

    def describe(self, size: Size | None = None) -> Description:
        """Return what is done to an image, in words and as data: what `jaxprep inspect` prints.

        Args:
            size: height and width of an image, whose size is then told after each step.

        Raises:
            InputError: a size that the steps do not take.

        >>> preprocessor = ImageClassifierPreprocessor.from_preset("timm/resnet50.a1_in1k")
        >>> print(preprocessor.describe().steps[-1])
        normalise: mean 0.485, 0.456, 0.406, std 0.229, 0.224, 0.225
        """
        return self.pipeline.describe(size)

    def warm_up(self, sizes: Any = None, **settings: Any) -> int:
        """Compile the programs of calls ahead, and return how many; see `Pipeline.warm_up` for
        `largest`, `batch_sizes`, `channels`, `dtype` and the errors.

        >>> preprocessor = ImageClassifierPreprocessor(KerasHub(image_size=(8, 8)))
        >>> preprocessor.warm_up([(300, 400)], batch_sizes=4)
        1
        """
        return self.pipeline.warm_up(sizes, **settings)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with another `image_converter` or `config_file`, or other fields of the
        config.
        """
        converter = changes.pop("image_converter", self.image_converter)
        changed = type(self)(converter, changes.pop("config_file", self.config_file))
        if not changes:
            return changed
        if changed.image_converter is None:
            raise ConfigError(
                "Expected an `image_converter`, which the preprocessor has not, to change "
                f"{sorted(changes)}."
            )
        return type(self)(changed.image_converter.replace(**changes), changed.config_file)

    def __call__(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Preprocess images; labels and weights pass through.

        Args:
            x: what an `ImageConverter` takes. A tuple alone is `(x, y)` or `(x, y, sample_weight)`.
                A `Batch` comes back as a `Batch`.
            y: labels, anything: they come back as they are, with a warning where they are
                images. Inside `jax.jit` JAX's rules for dtypes
                hold for them.
            sample_weight: weights, likewise.

        Returns:
            `x`, `(x, y)` or `(x, y, sample_weight)`; for weights without labels `(x, None,
            sample_weight)`.

        Warns:
            UserWarning: once, where the config rescales levels in [0, 255] and an image on the host
                has floats in [0, 1], or 16 bits.

        Raises:
            InputError: rank, channels or type of an image are not what the config takes, or a tuple
                of another length.
        """
        # `keras.utils.unpack_x_y_sample_weight`: a tuple is never a list of images.
        if isinstance(x, tuple) and y is None and sample_weight is None:
            if len(x) not in (1, 2, 3):
                raise InputError(
                    f"Expected a tuple (x, y) or (x, y, sample_weight), got {len(x)} entries."
                )
            return self(list(x)) if len(x) == 1 else self(*x)
        config = self.config
        if y is not None and not isinstance(x, (Batch, Mapping)):
            axis = -3 if config.pipeline.reads_channels_first else -1
            inputs.warn_of_images_as_labels(y, x, axis)
        images, x = x, convert(x, config)
        _warn_of_range(self, images, config)
        if sample_weight is not None:
            return x, y, sample_weight
        return x if y is None else (x, y)


frameworks.register_with_keras(ImageConverter)
frameworks.register_with_keras(ImageClassifierPreprocessor)
