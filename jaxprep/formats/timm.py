"""Reads timm's `pretrained_cfg`, and builds the transform that timm builds for evaluation.

Reproduced is `transforms_imagenet_eval` of timm 1.0.31:
https://github.com/huggingface/pytorch-image-models/blob/main/timm/data/transforms_factory.py
with the `ResizeKeepRatio` and `CenterCropOrPad` of `timm/data/transforms.py`.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

from jaxprep import codec, ops
from jaxprep.bounds import check_size
from jaxprep.errors import ConfigError
from jaxprep.formats.base import MODEL_FILE, Format
from jaxprep.formats.values import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    OPTIONS,
    DataFormatName,
    FloatName,
    PerChannel,
    for_each_channel,
    method_of,
    to_tensor_and_normalize,
)
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.step import Step
from jaxprep.resample.references import ReferenceName
from jaxprep.types import Size

ChannelsSize = tuple[int, int, int]


@dataclass(frozen=True)
class Timm(Format):
    """Reproduces timm's `create_transform` for evaluation, with the config of a model.

    That is `create_transform(**resolve_data_config({}, pretrained_cfg=...), is_training=False)`.

    Attributes:
        input_size: channels, height, width.
        crop_pct: the part of the resized image that the crop keeps, per side: the resize is to
            `floor(size / crop_pct)`.
        crop_mode: "center" resizes the shorter side and crops; "squash" ignores the aspect ratio;
            "border" resizes the longer side and pads with the mean.
        interpolation: "bicubic", "bilinear", ...
        mean, std: per channel, or one number for all, for values in [0, 1].
        test_input_size, test_crop_pct: those of the published accuracy, where they are others.
        use_test_size: whether to use them, as timm's `validate.py` does; `resolve_data_config` does
            not.
        architecture: the model's name; it does not change the pixels.
        reference: "pillow" reproduces timm on PIL images.
        data_format: of the results; timm's are channels first.
        dtype: of the results; the arithmetic before is float32.
        exact: see `Pipeline`.

    Raises:
        ConfigError: a value that a field does not take.

    >>> Timm(input_size=(3, 32, 32), crop_pct=0.5).pipeline.steps[1].shortest_edge
    64
    """

    library: ClassVar[str] = "timm (`architecture`)"
    files: ClassVar[tuple[str, ...]] = (MODEL_FILE,)
    collection: ClassVar[str | None] = "timm"

    input_size: ChannelsSize = (3, 224, 224)
    crop_pct: float = 0.875
    crop_mode: Literal["center", "squash", "border"] = "center"
    interpolation: str = "bicubic"
    mean: PerChannel = IMAGENET_MEAN
    std: PerChannel = IMAGENET_STD
    test_input_size: ChannelsSize | None = None
    test_crop_pct: float | None = None
    use_test_size: bool = False
    architecture: str = ""
    reference: ReferenceName = "pillow"
    data_format: DataFormatName = "channels_last"
    dtype: FloatName = "float32"
    exact: bool = False

    def check(self) -> None:
        object.__setattr__(self, "interpolation", method_of(self.interpolation, "$.interpolation"))
        for name in ("crop_pct", "test_crop_pct"):
            share = getattr(self, name)
            # Far around what models have; beyond it the resize would be to no pixels or gigapixels.
            if share is not None and not 0.01 <= share <= 100:
                raise codec.expected("a share between 0.01 and 100", share, f"$.{name}")
        for name in ("input_size", "test_input_size"):
            size = getattr(self, name)
            if size is not None:
                # Gray or RGB: what PIL's modes L and RGB give.
                if size[0] not in (1, 3):
                    raise codec.expected("1 or 3 channels, height, width", size, f"$.{name}")
                check_size(size[1:], f"$.{name}")
        channels = self.input_size[0]
        for name in ("mean", "std"):
            values = for_each_channel(getattr(self, name), channels, f"$.{name}")
            object.__setattr__(self, name, values)

    @property
    def image_size(self) -> Size:
        _, height, width = getattr(self, self._size_field)
        return height, width

    @property
    def _size_field(self) -> str:
        """The field that has the size of the results."""
        return "test_input_size" if self.use_test_size and self.test_input_size else "input_size"

    @classmethod
    def reads(cls, content: dict[str, Any]) -> bool:
        return "pretrained_cfg" in content or {"architecture", "input_size"} <= content.keys()

    @classmethod
    def read(cls, content: dict[str, Any], where: str = "$", model: Any = None) -> Format:
        del where, model
        return from_timm_json(content)

    @classmethod
    def of_preset(cls, settings: dict[str, Any], name: str, details: dict[str, Any]) -> Self:
        # timm names presets `architecture.tag`
        fields = {**settings, "architecture": name.partition(".")[0]}
        return super().of_preset(fields, name, details)

    def overridden(self, overrides: dict[str, Any]) -> Self:
        # Names of timm's models and of `resolve_data_config` in timm/data/config.py, which takes
        # `input_size` before them.
        named = dict(overrides)
        size = named.pop("img_size", None)
        channels = named.pop("in_chans", None)
        if size is not None:
            named.setdefault("image_size", size)
        if channels is None or "input_size" in named:
            return super().overridden(named)
        resized = self
        if "image_size" in named:
            resized = self.overridden({"image_size": named.pop("image_size")})
        named["input_size"] = (channels, *resized.input_size[1:])
        return resized.overridden(named)

    def with_image_size(self, size: Size | None) -> Self:
        if size is None:
            raise codec.expected("a height and width", size, "$.image_size")
        return replace(self, **{self._size_field: (self.input_size[0], *size)})

    @functools.cached_property
    def pipeline(self) -> Pipeline:
        share = self.crop_pct
        if self.use_test_size and self.test_crop_pct:
            share = self.test_crop_pct
        size = self.image_size
        # As `scale_size` in timm/data/transforms_factory.py: rounded otherwise, the crop moves.
        height, width = (math.floor(n / share) for n in size)
        options: Any = {"method": self.interpolation, "reference": self.reference}
        crop: Step = ops.CenterCrop(size)
        if self.crop_mode == "squash":
            resize = ops.Resize((height, width), **options)
        elif self.crop_mode == "border":
            resize = ops.Resize((height, width), fit="contain", rounding="round", **options)
            # `fill=[round(255 * v) for v in mean]`, so that the border is nearly 0 when normalised.
            mean = for_each_channel(self.mean, self.input_size[0], "$.mean")
            mean_colour = tuple(float(round(255 * m)) for m in mean)
            crop = ops.CenterCrop(size, fill=mean_colour)
        # A square goes through torchvision's `Resize`, which truncates the other side, anything
        # else through `ResizeKeepRatio`, which rounds it.
        elif height == width:
            resize = ops.Resize(shortest_edge=height, **options)
        else:
            resize = ops.Resize((height, width), fit="cover", rounding="round", **options)
        colours = (ops.ToRGB(),) if self.input_size[0] == 3 else ()
        values = to_tensor_and_normalize(self.mean, self.std, self.data_format, self.dtype)
        return Pipeline((*colours, resize, crop, *values), exact=self.exact)

    def pipeline_for(self, mode: str, has_alpha: bool = False) -> tuple[Pipeline, str]:
        return self.pipeline, "RGB" if self.input_size[0] == 3 else "L"


def from_timm_json(data: dict[str, Any]) -> Timm:
    """Return the config of the content of a model's `config.json` on the Hub.

    Its fields are in `pretrained_cfg`, or in older files at the top. A value that is missing, null
    or zero means timm's default, as in timm.

    Raises:
        ConfigError: a value that a field does not take, or `crop_border_pixels`, which is not
            supported.

    >>> from_timm_json({"pretrained_cfg": {"input_size": [3, 32, 32], "crop_pct": 0}}).image_size
    (32, 32)
    """
    fields = data.get("pretrained_cfg", data)
    where = "$.pretrained_cfg" if "pretrained_cfg" in data else "$"
    if not isinstance(fields, dict):
        raise codec.expected("an object", fields, where)
    known = codec.field_types(Timm).keys() - {*OPTIONS, "use_test_size"}
    values = {name: value for name, value in fields.items() if name in known and value}
    values["architecture"] = data.get("architecture") or ""
    if fields.get("crop_border_pixels"):
        raise ConfigError(
            f"`crop_border_pixels` is not supported - at `{where}.crop_border_pixels`."
        )
    return codec.from_json(Timm, {"format": "Timm", **values}, where)
