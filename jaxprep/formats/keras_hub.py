"""Reads KerasHub's `ImageConverter`: its arguments, `image_converter.json`, `preprocessor.json`.

Reproduced is keras_hub 0.32 on the JAX backend:
https://github.com/keras-team/keras-hub/blob/master/keras_hub/src/layers/preprocessing/image_converter.py
which resizes with Keras' `Resizing` layer, by `jax.image.resize`:
https://github.com/keras-team/keras/blob/master/keras/src/layers/preprocessing/image_preprocessing/resizing.py
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from jaxprep import codec, ops
from jaxprep.bounds import check_size
from jaxprep.errors import ConfigError
from jaxprep.formats.base import Format
from jaxprep.formats.keras import from_keras_json, is_keras_layer
from jaxprep.formats.values import DataFormatName, FloatName, cast_to, dtype_name, method_of
from jaxprep.ops.boxes import BoxFormat
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.numbers import FLOAT32_MAX
from jaxprep.pipeline.step import Step
from jaxprep.resample.references import ReferenceName
from jaxprep.resources import load_json
from jaxprep.types import Size

CONVERTER, PREPROCESSOR = "image_converter.json", "preprocessor.json"
"""The files of a KerasHub preset; the second may hold the content of the first."""

PerChannel = float | tuple[float, ...] | None
DYNAMIC = ("gemma4", "qwen3_5", "qwen3_5_moe")
"""Families whose converter cuts images into patches: it has other fields than `KerasHub`."""


def class_table() -> dict[str, Any]:
    """Return KerasHub's class names for each model family.

    >>> class_table()["resnet"]["converter"]["class_name"]
    'ResNetImageConverter'
    """
    return load_json("keras_hub_classes.json")


@dataclass(frozen=True)
class KerasHub(Format):
    """Reproduces `keras_hub.layers.ImageConverter` 0.32 on the JAX backend.

    It crops or pads to the aspect ratio, resizes, and computes `x * scale + offset`.

    Attributes:
        image_size: height and width of the results; None does not resize.
        scale, offset: one value, or one per channel; None leaves the values as they are.
        crop_to_aspect_ratio: crop the middle to the aspect ratio of `image_size` first.
        pad_to_aspect_ratio: pad with 0, before scaling, to the aspect ratio of `image_size` first.
        interpolation: "bilinear", "nearest", "bicubic", "lanczos3" or "lanczos5" (and the other
            methods of `jaxprep.ops.resize`).
        antialias: whether the filter is widened when an image shrinks; not by KerasHub's default.
        bounding_box_format: of boxes in dictionaries of inputs.
        data_format: of images and results both.
        dtype: of the results, where anything is scaled, or floating point is resized; the
            arithmetic is float32.
        rounded: round integer images to integers after the resize, as a direct call of KerasHub's
            layer does. Otherwise the results are those of `fit` and `predict` on a `tf.data`
            dataset, where the resize is given float32.
        family: KerasHub's model family (a key of `presets/keras_hub_classes.json`), which decides
            the class names written to its files.
        name, preprocessor_name, trainable: as in KerasHub's files; they do not change the pixels.
        reference: "jax" reproduces KerasHub.
        exact: see `Pipeline`.

    Raises:
        ConfigError: a value that a field does not take, or a crop and a pad together.

    >>> KerasHub(image_size=(4, 4), scale=1 / 255).pipeline.output_size((30, 40))
    (4, 4)
    """

    library: ClassVar[str] = "KerasHub (`class_name`)"
    files: ClassVar[tuple[str, ...]] = (PREPROCESSOR, CONVERTER)
    collection: ClassVar[str | None] = "keras_hub"

    image_size: Size | None = None  # type: ignore[assignment]
    scale: PerChannel = None
    offset: PerChannel = None
    crop_to_aspect_ratio: bool = True
    pad_to_aspect_ratio: bool = False
    interpolation: str = "bilinear"
    antialias: bool = False
    bounding_box_format: BoxFormat = "yxyx"
    data_format: DataFormatName = "channels_last"
    dtype: FloatName = "float32"
    rounded: bool = True
    family: str = "generic"
    name: str | None = None
    preprocessor_name: str | None = None
    trainable: bool = True
    reference: ReferenceName = "jax"
    exact: bool = False

    def check(self) -> None:
        check_size(self.image_size, "$.image_size")
        object.__setattr__(self, "interpolation", method_of(self.interpolation, "$.interpolation"))
        # Keras' `Resizing` refuses the pair too, in these words.
        if self.crop_to_aspect_ratio and self.pad_to_aspect_ratio:
            raise ConfigError(
                "Only one of `crop_to_aspect_ratio` or `pad_to_aspect_ratio` can be True - at "
                "`$.pad_to_aspect_ratio`. The first is True by default: pass "
                "`crop_to_aspect_ratio=False` to pad."
            )
        if self.family not in class_table():
            raise codec.expected(f"one of {sorted(class_table())}", self.family, "$.family")

    def with_image_size(self, size: Size | None) -> Self:
        return replace(self, image_size=size)

    @functools.cached_property
    def pipeline(self) -> Pipeline:
        steps: list[Step] = []
        # The order of `ImageConverter.call`: resize (which crops or pads first), scale, offset.
        if self.data_format == "channels_first":
            steps.append(ops.ChannelsLast())
        if self.image_size is not None:
            if self.crop_to_aspect_ratio:
                steps.append(ops.CropToAspect(self.image_size))
            if self.pad_to_aspect_ratio:
                steps.append(ops.PadToAspect(self.image_size))
            method: Any = self.interpolation
            options: Any = {
                "antialias": self.antialias,
                "reference": self.reference,
                "rounded": self.rounded,
            }
            steps.append(ops.Resize(self.image_size, method=method, **options))
        if self.scale is not None or self.offset is not None:
            # Without a scale the images still become floats, as the offset is one.
            scale = 1.0 if self.scale is None else self.scale
            steps.append(ops.Rescale(scale, self.offset or 0.0))
            steps += cast_to(self.dtype)
        elif not self.rounded:
            # A graph of `fit` and `predict` converts to float32 before the layer sees the image.
            steps.append(ops.Cast("float32"))
        elif self.image_size is not None and not self._resizes_to_dtype:
            # `Resizing` casts to the layer's dtype, and only integers back to their own.
            steps.append(ops.Cast(self.dtype, floats_only=True))
        if self.data_format == "channels_first":
            steps.append(ops.ChannelsFirst())
        return Pipeline(tuple(steps), exact=self.exact)

    @property
    def _resizes_to_dtype(self) -> bool:
        """Whether our resize itself makes `dtype` of floating point: all but nearest, which copies
        pixels, make float32.
        """
        return self.interpolation != "nearest" and self.dtype == "float32"

    @classmethod
    def reads(cls, content: dict[str, Any]) -> bool:
        # Keras writes `class_name` into the files of all its objects: of a backbone or a tokenizer
        # too, which are no configs.
        class_name = content.get("class_name")
        if not isinstance(class_name, str):
            return False
        fields = content.get("config")
        holds_converter = isinstance(fields, dict) and "image_converter" in fields
        return holds_converter or class_name.endswith("ImageConverter")

    @classmethod
    def read(cls, content: dict[str, Any], where: str = "$", model: Any = None) -> Format:
        del model
        fields = content.get("config")
        converter: Any = fields.get("image_converter") if isinstance(fields, dict) else None
        # A preprocessor may hold any layer of Keras in the converter's place.
        if is_keras_layer(converter):
            return from_keras_json(converter, f"{where}.config.image_converter")
        return from_keras_hub_json(content, where)

    @classmethod
    def of_preset(cls, settings: dict[str, Any], name: str, details: dict[str, Any]) -> Self:
        return super().of_preset({"family": details["family"], **settings}, name, details)

    def library_files(self, config_file: str = PREPROCESSOR) -> dict[str, Any]:
        # A file that means something else to KerasHub is worse than none.
        if not self.is_expressible:
            return {}
        contents = {CONVERTER: self.converter_json()}
        preprocessor = self.preprocessor_json(config_file)
        if preprocessor is not None:
            contents[config_file] = preprocessor
        return contents

    @property
    def is_expressible(self) -> bool:
        """Whether KerasHub's files can say all of this, so that KerasHub computes the same.

        >>> KerasHub(interpolation="box").is_expressible
        False
        """
        # Three fields that KerasHub has no argument for: these are the values that it means.
        if self.data_format != "channels_last" or not self.rounded or self.reference != "jax":
            return False
        # What a class has as constants its file does not say.
        for name, value in _CONSTANTS.get(self.family, {}).items():
            if getattr(self, name) != value:
                return False
        # What Keras' `Resizing` takes; "box" and "hamming" are Pillow's.
        return self.interpolation in ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")

    def converter_json(self) -> dict[str, Any]:
        """Return the content of KerasHub's `image_converter.json`.

        >>> KerasHub(image_size=(4, 4), family="resnet").converter_json()["class_name"]
        'ResNetImageConverter'
        """
        fields = {key: getattr(self, key) for key in _converter_keys(self.family)}
        return self._keras_object("converter", self.name, codec.to_json(fields))

    def preprocessor_json(self, config_file: str = PREPROCESSOR) -> dict[str, Any] | None:
        """Return the content of KerasHub's `preprocessor.json`; None where the family has no
        classifier.

        >>> KerasHub(family="resnet").preprocessor_json()["class_name"]
        'ResNetImageClassifierPreprocessor'
        """
        if class_table()[self.family]["preprocessor"] is None:
            return None
        fields = {"image_converter": self.converter_json(), "config_file": config_file}
        return self._keras_object("preprocessor", self.preprocessor_name, fields)

    def _keras_object(self, kind: str, name: str | None, fields: dict[str, Any]) -> dict[str, Any]:
        """Return an object as `keras.saving.serialize_keras_object` writes it."""
        entry = class_table()[self.family][kind]
        policy = {
            "module": "keras",
            "class_name": "DTypePolicy",
            "config": {"name": self.dtype},
            "registered_name": None,
        }
        return {
            "module": entry["module"],
            "class_name": entry["class_name"],
            "config": {
                "name": name or entry["name"],
                "trainable": self.trainable,
                "dtype": policy,
                **fields,
            },
            "registered_name": entry["registered_name"],
        }


_CONSTANTS: dict[str, dict[str, Any]] = {
    # Constants of the class in keras_hub/src/models/blip2, not written to its files; the mean and
    # standard deviation of CLIP.
    "blip2": {
        "scale": (0.014598426619242919, 0.015007768493717055, 0.014220065717024086),
        "offset": (-1.79226253374815, -1.7520971281645974, -1.4802197687835659),
    }
}
_CONVERTER_KEYS = [
    "image_size",
    "scale",
    "offset",
    "interpolation",
    "antialias",
    "crop_to_aspect_ratio",
    "pad_to_aspect_ratio",
    "bounding_box_format",
]


def _converter_keys(family: str) -> list[str]:
    """Return the keys of a converter's file, in KerasHub's order."""
    return [key for key in _CONVERTER_KEYS if key not in _CONSTANTS.get(family, {})]


def from_keras_hub_json(content: dict[str, Any], where: str = "$") -> KerasHub:
    """Return the config of the content of `image_converter.json` or `preprocessor.json`.

    Files of all releases since 0.16 are read.

    Args:
        content: of the file.
        where: its position in the file, for messages.

    Raises:
        ConfigError: a class that is not KerasHub's, or one whose output is not an image; an unknown
            field.

    >>> content = {"class_name": "ImageConverter", "config": {"image_size": [4, 4]}}
    >>> from_keras_hub_json(content).image_size
    (4, 4)
    """
    name = content.get("class_name")
    fields = content.get("config")
    if not isinstance(name, str) or not isinstance(fields, dict):
        raise codec.expected("an object with `class_name` and `config`", content, where)
    # A preprocessor holds its converter, and a name that it must be written with again.
    if "image_converter" in fields:
        inner = fields["image_converter"]
        if not isinstance(inner, dict):
            raise codec.expected("a converter", inner, f"{where}.config.image_converter")
        converter = from_keras_hub_json(inner, f"{where}.config.image_converter")
        return replace(converter, preprocessor_name=fields.get("name"))
    family = _family_of(name, where)
    values = {
        **_CONSTANTS.get(family, {}),
        **upgrade_legacy(fields, f"{where}.config"),
        "family": family,
    }
    return codec.from_json(KerasHub, {"format": "KerasHub", **values}, f"{where}.config")


def _family_of(name: str, where: str) -> str:
    """Return the model family of a converter's class."""
    if name == "ResizingImageConverter":  # of files before October 2024
        return "generic"
    class_names = {key: entry["converter"]["class_name"] for key, entry in class_table().items()}
    families = [key for key, class_name in class_names.items() if class_name == name]
    if not families:
        known = sorted(set(class_names.values()))
        raise codec.expected(f"one of {known}", name, f"{where}.class_name")
    family = families[0]
    if family in DYNAMIC:
        raise ConfigError(
            f"`{name}` makes patches of a size that depends on the image; it is not read - at "
            f"`{where}`."
        )
    return family


def upgrade_legacy(fields: dict[str, Any], where: str) -> dict[str, Any]:
    """Return the arguments of `KerasHub` from those of a converter of any release.

    Files before October 2024 have `height` and `width` for `image_size`, and `mean` and `variance`
    for `offset`; ViT and RetinaNet of 0.18 to 0.21 have `norm_mean` and `norm_std`, which KerasHub
    0.32 itself reads no more.

    Args:
        fields: the arguments; they are not changed.
        where: their position in the file, for messages.

    Raises:
        ConfigError: statistics that are no positive numbers, or of different lengths.

    >>> fields = {"scale": 1 / 4, "mean": [0.5], "variance": [0.25]}
    >>> upgraded = upgrade_legacy(fields, "$")
    >>> upgraded["scale"], upgraded["offset"]
    ([0.5], [-1.0])
    """
    fields = dict(fields)
    fields["dtype"] = dtype_name(fields.get("dtype"))
    # Keras writes these two of every layer; they do not change the pixels.
    fields.pop("_allow_python_workflow", None)
    fields.pop("build_config", None)
    if fields.get("data_format", "channels_last") is None:
        fields.pop("data_format")
    if fields.get("height") is not None and fields.get("width") is not None:
        fields["image_size"] = [fields.pop("height"), fields.pop("width")]
    if fields.get("mean") is not None and fields.get("variance") is not None:
        _merge_variance(fields, where)
    if fields.get("norm_mean") is not None and fields.get("norm_std") is not None:
        _merge_norm(fields, where)
    # What is left of them is null, or one of a pair, which the reader refuses by name.
    for name in ("height", "width", "mean", "variance", "norm_mean", "norm_std"):
        if fields.get(name, 0) is None:
            fields.pop(name)
    return fields


def _merge_variance(fields: dict[str, Any], where: str) -> None:
    """Replace `mean` and `variance`: `(x * scale - mean) / sqrt(variance)`."""
    mean = _numbers(fields.pop("mean"), where)
    variance = _numbers(fields.pop("variance"), where)
    # As Keras' `Normalization` layer, whose statistics these are: divided by the square root.
    std = [math.sqrt(_check_positive(v, where)) for v in variance]
    scale = _numbers(fields.get("scale"), where)
    fields["scale"] = [s / d for s, d in _pairs(scale, std, where)]
    fields["offset"] = [-m / d for m, d in _pairs(mean, std, where)]


def _merge_norm(fields: dict[str, Any], where: str) -> None:
    """Replace `norm_mean` and `norm_std`: `(x * scale + offset - norm_mean) / norm_std`."""
    mean = _numbers(fields.pop("norm_mean"), where)
    std = [_check_positive(s, where) for s in _numbers(fields.pop("norm_std"), where)]
    scale = _numbers(fields.get("scale") or 1.0, where)
    offset = _numbers(fields.get("offset") or 0.0, where)
    fields["scale"] = [s / d for s, d in _pairs(scale, std, where)]
    shifted = [o - m for o, m in _pairs(offset, mean, where)]
    fields["offset"] = [o / d for o, d in _pairs(shifted, std, where)]


def _numbers(value: Any, where: str) -> list[float]:
    """Return a number or a list of numbers as a list of floats."""
    values = value if isinstance(value, list) else [value]
    for number in values:
        is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
        # Written so that NaN is refused; `float` raises for an integer beyond float64.
        if not is_number or not abs(number) <= FLOAT32_MAX:
            raise codec.expected("a finite number, or a list of them", value, where)
    return [float(number) for number in values]


def _check_positive(number: float, where: str) -> float:
    if not number > 0:
        raise codec.expected("variances and standard deviations above 0", number, where)
    return number


def _pairs(left: list[float], right: list[float], where: str) -> list[tuple[float, float]]:
    """Return the values of two lists in pairs; a list of one value is as long as the other."""
    count = max(len(left), len(right))
    if {len(left), len(right)} - {1, count}:
        raise codec.expected(f"{count} values in each list", right, where)
    repeated_left = left * (count // len(left))
    repeated_right = right * (count // len(right))
    return list(zip(repeated_left, repeated_right, strict=True))
