"""Reads Keras' own preprocessing layers: `Rescaling`, `Normalization`, `Resizing`, `CenterCrop`.

Alone, or in a `Sequential` or a `Pipeline`, as `keras.saving.serialize_keras_object` writes them.
Reproduced is Keras 3.15 on the JAX backend:
https://github.com/keras-team/keras/tree/master/keras/src/layers/preprocessing
"""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from jaxprep import codec, ops
from jaxprep.bounds import check_size
from jaxprep.errors import ConfigError
from jaxprep.formats.base import MODEL_FILE, Format
from jaxprep.formats.values import (
    DataFormatName,
    FloatName,
    PerChannel,
    dtype_name,
    method_of,
    size_of_same_view,
)
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.step import Step
from jaxprep.resample.references import ReferenceName
from jaxprep.types import Size

EPSILON = 1e-7
"""`keras.config.epsilon()`: no standard deviation is smaller."""
CONTAINERS = ("Sequential", "Pipeline")


class KerasLayer(ABC):
    """Holds the arguments of one layer, under the names that Keras gives them.

    >>> Rescaling(1 / 255).size is None, CenterCrop(4, 6).size
    (True, (4, 6))
    """

    tag_key: ClassVar[str] = "layer"
    makes_floats: ClassVar[bool] = True
    """Whether results are float32 whatever comes in; otherwise integers stay integers."""

    def __post_init__(self) -> None:
        codec.check_fields(self)
        self.check()

    def check(self) -> None:
        """Raise `ConfigError` where fields contradict each other."""

    @property
    def size(self) -> Size | None:
        """Height and width of the results; None where they are those of the images."""
        return None

    def with_size(self, size: Size) -> KerasLayer:
        """Return a layer whose results have another height and width."""
        del size
        return self

    @abstractmethod
    def steps(self, reference: ReferenceName, is_float: bool) -> tuple[Step, ...]:
        """Return the steps.

        Args:
            reference: whose resize is reproduced.
            is_float: whether Keras has converted the images to float32 before.
        """


codec.register(KerasLayer)


@dataclass(frozen=True)
class Rescaling(KerasLayer):
    """Computes `x * scale + offset`, as `keras.layers.Rescaling`.

    Attributes:
        scale, offset: one value, or one per channel.

    >>> Rescaling(1 / 255).steps("jax", False)[0].describe()
    'divide by 255'
    """

    scale: PerChannel
    offset: PerChannel = 0.0

    def steps(self, reference: ReferenceName, is_float: bool) -> tuple[Step, ...]:
        return (ops.Rescale(self.scale, self.offset),)


@dataclass(frozen=True)
class Normalization(KerasLayer):
    """Computes `(x - mean) / sqrt(variance)`, as `keras.layers.Normalization`.

    Attributes:
        mean, variance: one value, or one per channel.
        invert: compute `x * sqrt(variance) + mean` instead.

    Raises:
        ConfigError: a negative variance.

    >>> Normalization(0.5, 0.25).steps("jax", False)[0].describe()
    'normalise: mean 0.5, std 0.5'
    """

    mean: PerChannel
    variance: PerChannel
    invert: bool = False

    def check(self) -> None:
        values = self.variance if isinstance(self.variance, tuple) else (self.variance,)
        if any(value < 0 for value in values):
            raise codec.expected("variances of at least 0", self.variance, "$.variance")

    def steps(self, reference: ReferenceName, is_float: bool) -> tuple[Step, ...]:
        if isinstance(self.variance, tuple):
            std: PerChannel = tuple(map(_standard_deviation, self.variance))
        else:
            std = _standard_deviation(self.variance)
        # Inverted, Keras multiplies with the same `maximum(sqrt(variance), epsilon())`.
        return (ops.Rescale(std, self.mean) if self.invert else ops.Normalize(self.mean, std),)


def _standard_deviation(variance: float) -> float:
    return max(math.sqrt(variance), EPSILON)


@dataclass(frozen=True)
class SizedLayer(KerasLayer):
    """Holds the arguments of a layer whose results have one size.

    Attributes:
        height, width: of the results.

    >>> CenterCrop(4, 6).with_size((8, 9)).size
    (8, 9)
    """

    height: int
    width: int

    def check(self) -> None:
        check_size(self.size, "$.height")

    @property
    def size(self) -> Size:
        return self.height, self.width

    def with_size(self, size: Size) -> KerasLayer:
        return replace(self, height=size[0], width=size[1])


@dataclass(frozen=True)
class Resizing(SizedLayer):
    """Resizes, as `keras.layers.Resizing`.

    Attributes:
        height, width: of the results.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5".
        crop_to_aspect_ratio: crop the middle to the aspect ratio of the results first.
        pad_to_aspect_ratio: pad to the aspect ratio of the results first.
        fill_value: of the padding.
        antialias: whether the filter is widened when an image shrinks.

    Raises:
        ConfigError: a value that a field does not take, or a crop and a pad together.

    >>> Resizing(4, 6).size
    (4, 6)
    """

    interpolation: str = "bilinear"
    crop_to_aspect_ratio: bool = False
    pad_to_aspect_ratio: bool = False
    fill_value: float = 0.0
    antialias: bool = False

    makes_floats: ClassVar[bool] = False

    def check(self) -> None:
        super().check()
        object.__setattr__(self, "interpolation", method_of(self.interpolation, "$.interpolation"))
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise ConfigError(
                "Only one of `crop_to_aspect_ratio` or `pad_to_aspect_ratio` can be True - at "
                "`$.pad_to_aspect_ratio`."
            )

    def steps(self, reference: ReferenceName, is_float: bool) -> tuple[Step, ...]:
        method: Any = self.interpolation
        resize = ops.Resize(
            self.size,
            method=method,
            antialias=self.antialias,
            reference=reference,
            rounded=not is_float,
        )
        if self.crop_to_aspect_ratio:
            return ops.CropToAspect(self.size), resize
        if self.pad_to_aspect_ratio:
            return ops.PadToAspect(self.size, self.fill_value), resize
        return (resize,)


@dataclass(frozen=True)
class CenterCrop(SizedLayer):
    """Crops the middle, as `keras.layers.CenterCrop`; a smaller image is resized and cropped.

    Attributes:
        height, width: of the results.

    >>> CenterCrop(4, 6).size
    (4, 6)
    """

    def steps(self, reference: ReferenceName, is_float: bool) -> tuple[Step, ...]:
        return (ops.CropOrResize(self.size, reference=reference),)


@dataclass(frozen=True)
class Keras(Format):
    """Reproduces preprocessing layers of Keras 3.15 on the JAX backend, one after the other.

    Attributes:
        layers: of the classes above.
        is_float: whether images become float32 before the first layer, as in a `Sequential`, which
            converts its inputs to the dtype of its `InputLayer`. Otherwise `Resizing` rounds
            integers to integers, as a layer that is called by itself does.
        is_uint8: whether they become uint8 before that, as in a `Sequential` whose `InputLayer` is
            of uint8: fractions are cut off.
        data_format: of images and results both.
        dtype: of the results; the arithmetic is float32.
        reference: "jax" reproduces Keras.
        exact: see `Pipeline`.

    >>> Keras((Resizing(4, 6), Rescaling(1 / 255))).image_size
    (4, 6)
    """

    library: ClassVar[str] = "Keras (`class_name`)"
    files: ClassVar[tuple[str, ...]] = (
        "preprocessor.json",
        "image_converter.json",
        MODEL_FILE,
    )

    layers: tuple[KerasLayer, ...] = ()
    is_float: bool = False
    is_uint8: bool = False
    data_format: DataFormatName = "channels_last"
    dtype: FloatName = "float32"
    reference: ReferenceName = "jax"
    exact: bool = False

    @functools.cached_property
    def pipeline(self) -> Pipeline:
        planar = self.data_format == "channels_first"
        steps: list[Step] = [ops.ChannelsLast()] if planar else []
        if self.is_uint8:
            steps.append(ops.Cast("uint8", truncated=True))
        is_float = self.is_float
        for layer in self.layers:
            steps += layer.steps(self.reference, is_float)
            is_float = is_float or layer.makes_floats
        steps.append(ops.Cast(self.dtype, floats_only=not is_float))
        if planar:
            steps.append(ops.ChannelsFirst())
        return Pipeline(tuple(steps), exact=self.exact)

    @property
    def image_size(self) -> Size | None:
        sizes = [layer.size for layer in self.layers if layer.size is not None]
        return sizes[-1] if sizes else None

    def with_image_size(self, size: Size | None) -> Self:
        old = self.image_size
        if old is None or size is None:
            raise codec.expected(
                "layers that resize or crop, and a size", codec.shown(size), "$.image_size"
            )
        changed = []
        for layer in self.layers:
            if layer.size is not None:
                layer = layer.with_size(size_of_same_view(layer.size, old, size))
            changed.append(layer)
        return replace(self, layers=tuple(changed))

    @property
    def interpolation(self) -> str | None:
        """The filter of the first layer that resizes; None where none does."""
        resizes = [layer for layer in self.layers if isinstance(layer, Resizing)]
        return resizes[0].interpolation if resizes else None

    @classmethod
    def reads(cls, content: dict[str, Any]) -> bool:
        # Keras writes `class_name` into the files of all its objects; a Sequential without any of
        # these layers is a model.
        return any(name in _CLASSES for name in _class_names(content))

    @classmethod
    def read(cls, content: dict[str, Any], where: str = "$", model: Any = None) -> Format:
        del model
        return from_keras_json(content, where)


_CLASSES: dict[str, type[KerasLayer]] = {
    kind.__name__: kind for kind in (Rescaling, Normalization, Resizing, CenterCrop)
}
_IGNORED = frozenset(
    # What Keras writes of every layer, and the pixels do not depend on
    {"name", "trainable", "dtype", "data_format", "axis", "fill_mode", "factor"}
    | {"bounding_box_format", "seed", "_allow_python_workflow", "build_config"}
)


def is_keras_layer(content: Any) -> bool:
    """Return whether JSON data is one of Keras' layers that are read here, or holds one.

    >>> is_keras_layer({"class_name": "Rescaling", "config": {"scale": 1.0}})
    True
    """
    return isinstance(content, dict) and Keras.reads(content)


def _class_names(content: dict[str, Any]) -> Iterator[str]:
    """Yield the names of the classes of an object and of the layers that it holds, at any depth."""
    name = content.get("class_name")
    if not isinstance(name, str):
        return
    yield name
    config = content.get("config")
    layers = config.get("layers") if isinstance(config, dict) else None
    if name in CONTAINERS and isinstance(layers, list):
        for layer in layers:
            if isinstance(layer, dict):
                yield from _class_names(layer)


def from_keras_json(content: dict[str, Any], where: str = "$") -> Keras:
    """Return the config of a layer as `keras.saving.serialize_keras_object` writes it.

    Args:
        content: the object.
        where: its position in the file, for messages.

    Raises:
        ConfigError: a layer or an argument that is not read; the message names it and its place.

    >>> rescaling = {"class_name": "Rescaling", "config": {"scale": 0.5, "offset": 1.0}}
    >>> from_keras_json({"class_name": "Sequential", "config": {"layers": [rescaling]}})
    Keras(layers=(Rescaling(scale=0.5, offset=1.0),), is_float=True, ...
    """
    reading = _Reading()
    reading.read(content, where)
    data_format: Any = reading.data_format or "channels_last"
    layers = tuple(reading.layers)
    return Keras(layers, reading.is_float, reading.is_uint8, data_format=data_format)


class _Reading:
    """Collects the layers of an object, in the order in which they are applied."""

    def __init__(self) -> None:
        self.layers: list[KerasLayer] = []
        self.is_float = False
        self.is_uint8 = False
        self.data_format: str | None = None

    def read(self, content: Any, where: str) -> None:
        """Add a layer, or those that a container holds."""
        name = content.get("class_name") if isinstance(content, dict) else None
        fields = content.get("config") if isinstance(content, dict) else None
        if not isinstance(name, str) or not isinstance(fields, dict):
            raise codec.expected("an object with `class_name` and `config`", content, where)
        inside = f"{where}.config"
        if name in CONTAINERS:
            self._read_container(name, fields, inside)
        elif name in _CLASSES:
            self._check_policy(fields, inside)
            self._note_data_format(fields, inside)
            self.layers.append(_layer_of(name, fields, inside))
        else:
            known = [*_CLASSES, *CONTAINERS]
            raise codec.expected(f"one of the layers {known}", name, f"{where}.class_name")

    def _read_container(self, name: str, fields: dict[str, Any], where: str) -> None:
        layers = fields.get("layers")
        if not isinstance(layers, list):
            raise codec.expected("a list of layers", layers, f"{where}.layers")
        first = layers[0] if layers else None
        is_input = isinstance(first, dict) and first.get("class_name") == "InputLayer"
        if name == "Sequential":
            # https://github.com/keras-team/keras/blob/master/keras/src/models/sequential.py:
            # without an `InputLayer` one of the first layer's dtype is made, float32.
            config = first.get("config") if is_input and isinstance(first, dict) else {}
            dtype = dtype_name(config.get("dtype")) if isinstance(config, dict) else None
            self._take_input(dtype, f"{where}.layers[0].config.dtype")
        for index, layer in enumerate(layers):
            if index == 0 and is_input and name == "Sequential":
                continue
            self.read(layer, f"{where}.layers[{index}]")

    def _take_input(self, dtype: Any, where: str) -> None:
        """Take the dtype that a `Sequential` converts its inputs to."""
        is_float = self.is_float or any(layer.makes_floats for layer in self.layers)
        if dtype == "float32" and (is_float or not self.layers):
            self.is_float = self.is_float or not self.layers
        # Converting floats to uint8 would cut off their fractions between two layers.
        elif dtype != "uint8" or is_float:
            raise codec.expected("an input of float32, or uint8 at the beginning", dtype, where)
        else:
            self.is_uint8 = self.is_uint8 or not self.layers

    def _check_policy(self, fields: dict[str, Any], where: str) -> None:
        dtype = dtype_name(fields.get("dtype"))
        if dtype != "float32":
            raise codec.expected("a layer of the dtype float32", dtype, f"{where}.dtype")

    def _note_data_format(self, fields: dict[str, Any], where: str) -> None:
        data_format = fields.get("data_format")
        if data_format is None:
            return
        if self.data_format not in (None, data_format):
            raise codec.expected(
                f"{self.data_format}, as of the layers before", data_format, f"{where}.data_format"
            )
        self.data_format = data_format


def _layer_of(name: str, fields: dict[str, Any], where: str) -> KerasLayer:
    kind: Any = _CLASSES[name]
    arguments = {}
    for key, value in fields.items():
        if key not in _IGNORED:
            arguments[key] = _plain(value, f"{where}.{key}")
    if fields.get("fill_mode", "constant") != "constant":
        raise codec.expected("`constant`", fields["fill_mode"], f"{where}.fill_mode")
    if name == "Normalization":
        _check_normalization(fields, where)
    return codec.from_json(kind, {KerasLayer.tag_key: name, **arguments}, where)


def _check_normalization(fields: dict[str, Any], where: str) -> None:
    # For images `(h, w, c)` or `(b, h, w, c)` the channels, or one value for all
    axis = fields.get("axis", -1)
    if axis not in (-1, [-1], 3, [3], None, []):
        raise codec.expected("the axis of the channels, -1", axis, f"{where}.axis")
    if fields.get("mean") is None or fields.get("variance") is None:
        raise ConfigError(
            "Expected `mean` and `variance` of `Normalization`, got null: those that `adapt` found "
            "are in the file of the weights, which is not read. Make the layer with them: "
            "`Normalization(mean=..., variance=...)` of `layer.mean` and `layer.variance` - at "
            f"`{where}.mean`."
        )


def _plain(value: Any, where: str) -> Any:
    """Return an argument that Keras wrote as an array as the list of its values."""
    if not isinstance(value, dict):
        return value
    config = value.get("config")
    if value.get("class_name") not in ("__numpy__", "__tensor__") or not isinstance(config, dict):
        raise codec.expected("a number or a list of numbers", value, where)
    return config.get("value")
