"""`ImageConverter` and `ImageClassifierPreprocessor`: KerasHub's contract, on the pipeline of any
preset.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep import codec, inputs, presets
from jaxprep.errors import ConfigError, InputError
from jaxprep.formats import Custom, Format, KerasHub
from jaxprep.formats.keras_hub import modern
from jaxprep.ops.boxes import from_corners, to_corners
from jaxprep.pipeline import Pipeline
from jaxprep.presets import files
from jaxprep.types import Batch, Size, is_traced


class _ClassProperty:
    """A property of the class itself."""

    def __init__(self, function: Any):
        self.function = function
        self.__doc__ = function.__doc__

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self.function()


def _presets() -> dict[str, dict[str, Any]]:
    """Every built-in preset by name, with its `metadata`: description, parameter count,
    collection.
    """
    return presets.metadata()


@dataclass(frozen=True, init=False)
class ImageConverter:
    """Resize, rescale and offset images: `keras_hub.layers.ImageConverter`, as a frozen config that
    is called.

    The arguments, and their defaults, are KerasHub's; see `jaxprep.formats.KerasHub` for each. A
    direct call gives what KerasHub's layer gives when called directly, rounding of integer images
    after the resize included; `rounded=False` gives what its `fit` and `predict` paths compute.

    Attributes:
        config: all of it; a converter made by `from_preset` may hold the format of any collection.
    """

    config: Format

    def __init__(
        self,
        image_size: Size | None = None,
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
        given = {
            "image_size": image_size,
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
        fields = codec.from_json(KerasHub, {"format": "KerasHub", **modern(plain, "$")})
        object.__setattr__(self, "config", fields)

    @classmethod
    def from_config(cls, config: Format | Pipeline) -> Self:
        """A converter for a config of any format, or for a pipeline of your own."""
        if isinstance(config, Pipeline):
            config = Custom(config)
        if not isinstance(config, Format):
            raise codec.expected("a config of `jaxprep.formats`, or a `Pipeline`", config, "config")
        made = object.__new__(cls)
        object.__setattr__(made, "config", config)
        return made

    @classmethod
    def from_preset(cls, preset: str | os.PathLike[str], **overrides: Any) -> Self:
        """The converter of a preset; arguments as in `jaxprep.presets.load`."""
        return cls.from_config(presets.load(preset, **overrides))

    presets = _ClassProperty(_presets)

    def save_to_preset(self, preset_dir: str | os.PathLike[str]) -> None:
        """Writes the config to a directory, for us and, where it can say the same, for KerasHub."""
        presets.save(self.config, preset_dir)

    @property
    def pipeline(self) -> Pipeline:
        """The pure function over a `Batch`."""
        return self.config.pipeline

    @property
    def image_size(self) -> Size | None:
        """Height and width of the results; None where it depends on the image."""
        return self.config.image_size

    def replace(self, **changes: Any) -> Self:
        """A copy with other values in some fields of the config."""
        return self.from_config(self.config.overridden(changes))

    def __getattr__(self, name: str) -> Any:
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
        """
        return convert(inputs, self.config)


def convert(x: Any, config: Format) -> Any:
    """See `ImageConverter.__call__`."""
    inputs.check_foreign(x)
    if isinstance(x, Batch):
        return config.pipeline(x)
    if isinstance(x, Mapping):
        return _convert_dictionary(x, config)
    if is_traced(x):
        return _convert_traced(x, config)
    if inputs.is_list_of_images(x):
        return _convert_images(inputs.from_list(x, config))
    if inputs.is_pil(x):
        return _convert_images([inputs.from_pil(x, config)])[0]
    array = inputs.from_array(x, config)
    images = [
        inputs.Image(image, config.pipeline)
        for image in (array if array.ndim == 4 else array[None])
    ]
    converted = _convert_images(images)
    return converted if array.ndim == 4 else converted[0]


def _convert_images(images: list[inputs.Image]) -> Any:
    """One batch if all results are of one size; otherwise a list."""
    if not images:
        raise InputError("Expected at least one image, got a batch of none.")
    results: list[Any] = [None] * len(images)
    groups: dict[Pipeline, list[int]] = {}
    for i, image in enumerate(images):
        image.pipeline.check_image(image.pixels.shape, image.pixels.dtype)
        groups.setdefault(image.pipeline, []).append(i)
    for pipeline, members in groups.items():
        pixels = [images[i].pixels for i in members]
        done = pipeline.run_images(
            pixels, [(image.shape[0], image.shape[1]) for image in pixels]
        ).stacked_or_listed()
        if len(groups) == 1 and isinstance(done, jax.Array):
            return done
        for i, result in zip(members, done, strict=True):
            results[i] = np.asarray(result)
    if len({result.shape for result in results}) == 1:
        return jnp.asarray(np.stack(results))
    return [jnp.asarray(result) for result in results]


def _convert_traced(x: Any, config: Format) -> Any:
    """Images inside a caller's transformation, where their shapes are known."""
    if isinstance(x, (list, tuple)):
        results = [config.pipeline(Batch(image=jnp.asarray(image))).image for image in x]
        return jnp.stack(results) if len({result.shape for result in results}) == 1 else results
    return config.pipeline(Batch(image=x)).image


MASKS, BOXES = "segmentation_masks", "bounding_boxes"
SLIVER = 1e-3
"""A box that is no wider or higher, in pixels, is what float32 leaves of one cropped away."""


def _convert_dictionary(x: Mapping[str, Any], config: Format) -> dict[str, Any]:
    if "images" not in x:
        raise InputError(
            f"Expected a dictionary with `images`, got the keys {sorted(map(str, x))}."
        )
    images = x["images"]
    if not is_traced(images) and inputs.is_list_of_images(images):
        return _convert_list_of_dictionaries(x, len(images), config)
    result = dict(x)
    if MASKS not in x and BOXES not in x:
        result["images"] = convert(images, config)
        return result
    if not is_traced(images):
        check = (
            inputs.from_pil(images, config).pixels
            if inputs.is_pil(images)
            else inputs.from_array(images, config)
        )
        images = np.moveaxis(check, -1, -3) if config.pipeline.reads_channels_first else check
    pipeline = config.pipeline.replace(kinds=((MASKS, "mask"),)) if MASKS in x else config.pipeline
    batch = Batch(image=images, extras={MASKS: x[MASKS]} if MASKS in x else {})
    shape = images.shape[-2:] if pipeline.reads_channels_first else images.shape[-3:-1]
    if BOXES in x and config.image_size is not None:
        batch = batch.replace(boxes=_corners(x[BOXES], shape, config))
    done = pipeline(batch)
    result["images"] = done.image
    if MASKS in x:
        result[MASKS] = done.extras[MASKS]
    if done.boxes is not None:
        result[BOXES] = _back(done.boxes, x[BOXES], config)
    return result


def _convert_list_of_dictionaries(
    x: Mapping[str, Any], count: int, config: Format
) -> dict[str, Any]:
    """Images of a list one by one, each with its mask and its boxes, however many; stacked where
    they can be.
    """
    singles = []
    for i in range(count):
        one = {key: x[key][i] for key in ("images", MASKS) if key in x}
        if BOXES in x:
            one[BOXES] = {key: value[i] for key, value in x[BOXES].items()}
        singles.append(_convert_dictionary(one, config))
    result = dict(x)
    for key in singles[0]:
        if key == BOXES:
            result[key] = {
                name: _stacked([one[key][name] for one in singles]) for name in singles[0][key]
            }
        else:
            result[key] = _stacked([one[key] for one in singles])
    return result


def _stacked(values: list[Any]) -> Any:
    same = len({np.shape(value) for value in values}) == 1
    return jnp.asarray(np.stack([np.asarray(value) for value in values])) if same else values


def _box_format(config: Format) -> str:
    return getattr(config, "bounding_box_format", "xyxy")


def _corners(boxes: Any, size: Any, config: Format) -> Any:
    """The boxes of a dictionary as corners in pixels; those that are all 0 or all -1 are
    padding.
    """
    if not isinstance(boxes, Mapping) or not {"boxes", "labels"} <= set(boxes):
        raise InputError(
            f"Expected a dictionary with `boxes` and `labels`, got {codec.shown(boxes)} - at `{BOXES}`."
        )
    given = jnp.asarray(boxes["boxes"], jnp.float32)
    if given.ndim < 2 or given.shape[-1] != 4:
        raise InputError(
            f"Expected boxes (n, 4) or (batch, n, 4), got shape {given.shape} - at `{BOXES}.boxes`."
        )
    corners = to_corners(given, _box_format(config), size)
    padding = jnp.all(given == -1, -1, keepdims=True) | jnp.all(given == 0, -1, keepdims=True)
    return jnp.where(padding, -jnp.inf, corners)


def _back(corners: Any, boxes: Mapping[str, Any], config: Format) -> dict[str, Any]:
    """Corners in the results as boxes in the config's format; the labels of those without area
    become -1.
    """
    has_area = jnp.all(corners[..., 2:] - corners[..., :2] > SLIVER, -1)
    moved = from_corners(corners, _box_format(config), config.image_size)
    labels = jnp.asarray(boxes["labels"])
    return {
        **boxes,
        "boxes": moved,
        "labels": jnp.where(has_area, labels, -jnp.ones((), labels.dtype)),
    }


@dataclass(frozen=True, init=False)
class ImageClassifierPreprocessor:
    """Everything between raw images and an image classifier:
    `keras_hub.models.ImageClassifierPreprocessor`.

    Attributes:
        image_converter: converts the images; None leaves them as they are.
        config_file: the file of a preset directory that holds the config.
    """

    image_converter: ImageConverter | None
    config_file: str

    def __init__(
        self, image_converter: ImageConverter | None = None, config_file: str = files.PREPROCESSOR
    ):
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
        cls, preset: str | os.PathLike[str], config_file: str = files.PREPROCESSOR, **overrides: Any
    ) -> Self:
        """The preprocessor of a preset.

        Args:
            preset: a path, an `hf://` or `kaggle://` handle, or a built-in name; see
                `jaxprep.presets.load` for it and for `revision`, `token`, `cache_dir` and
                `local_files_only`.
            config_file: the file to read in a directory.
            overrides: fields of the preset's config to change, such as `image_size`,
                `interpolation` or `exact`; or `image_converter`, to replace all of it.
        """
        if "image_converter" in overrides:
            converter = overrides.pop("image_converter")
            presets.load(preset, config_file=config_file, **overrides)
            return cls(converter, config_file)
        return cls(
            ImageConverter.from_preset(preset, config_file=config_file, **overrides), config_file
        )

    presets = _ClassProperty(_presets)

    def save_to_preset(self, preset_dir: str | os.PathLike[str]) -> None:
        """Writes `jaxprep.json` to a directory, and beside it the files of KerasHub 0.32 where they
        can say the same.

        The directory is made if needed; its other files stay as they are.
        """
        presets.save(self._config(), preset_dir, self.config_file)

    def to_json(self) -> dict[str, Any]:
        """Plain JSON data, to keep beside a checkpoint (orbax:
        `JsonSave(preprocessor.to_json())`).
        """
        return files.to_json(self._config())

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """A preprocessor from JSON data, of `to_json` or of any format that is read from files."""
        return cls(ImageConverter.from_config(files.from_json(data)))

    def _config(self) -> Format:
        return Custom() if self.image_converter is None else self.image_converter.config

    @property
    def pipeline(self) -> Pipeline:
        """The pure function over a `Batch`."""
        return self._config().pipeline

    @property
    def image_size(self) -> Size | None:
        """Height and width of the results; None where it depends on the image."""
        return self._config().image_size

    def replace(self, **changes: Any) -> Self:
        """A changed copy: with another `image_converter` or `config_file`, or other fields of the
        config.
        """
        own = {
            name: changes.pop(name)
            for name in ("image_converter", "config_file")
            if name in changes
        }
        made = type(self)(
            **{"image_converter": self.image_converter, "config_file": self.config_file, **own}
        )
        if not changes:
            return made
        if made.image_converter is None:
            raise ConfigError(
                f"Expected an `image_converter`, which the preprocessor has not, to change {sorted(changes)}."
            )
        return type(self)(made.image_converter.replace(**changes), made.config_file)

    def __call__(self, x: Any, y: Any = None, sample_weight: Any = None) -> Any:
        """Preprocess images; labels and weights pass through.

        Args:
            x: what an `ImageConverter` takes. A tuple alone is `(x, y)` or `(x, y, sample_weight)`.
                A `Batch` comes back as a `Batch`.
            y: labels, anything: they come back as they are. Inside `jax.jit` JAX's rules for dtypes
                hold for them.
            sample_weight: weights, likewise.

        Returns:
            `x`, `(x, y)` or `(x, y, sample_weight)`; for weights without labels `(x, None,
            sample_weight)`.
        """
        if isinstance(x, tuple) and y is None and sample_weight is None:
            if len(x) not in (1, 2, 3):
                raise InputError(
                    f"Expected a tuple (x, y) or (x, y, sample_weight), got {len(x)} entries."
                )
            return self(list(x)) if len(x) == 1 else self(*x)
        x = convert(x, self._config())
        if sample_weight is not None:
            return x, y, sample_weight
        return x if y is None else (x, y)
