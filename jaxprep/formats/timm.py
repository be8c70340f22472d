"""timm: the `pretrained_cfg` of a model, and the evaluation transform that timm builds from it."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

from jaxprep import codec, ops
from jaxprep.errors import ConfigError
from jaxprep.formats.base import MODEL_FILE, Format
from jaxprep.formats.values import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    DataFormatName,
    method_of,
    torch_tail,
)
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.step import Step, check_size
from jaxprep.resample.references import ReferenceName
from jaxprep.types import Size

ChannelsSize = tuple[int, int, int]


@dataclass(frozen=True)
class Timm(Format):
    """What `timm.data.create_transform(**resolve_data_config({}, pretrained_cfg=...),
    is_training=False)` does.

    Attributes:
        input_size: channels, height, width.
        crop_pct: the share of the resized image that the crop keeps; the resize aims at `floor(size
            / crop_pct)`.
        crop_mode: "center" resizes the shorter side and crops; "squash" ignores the aspect ratio;
            "border" keeps all of the image and pads it with the mean.
        interpolation: "bicubic", "bilinear", ...
        mean, std: per channel, for values in [0, 1].
        test_input_size, test_crop_pct: the setting of the published accuracy, where it is another.
        use_test_size: whether to use it, as timm's `validate.py` does; `resolve_data_config` does
            not.
        architecture: the model's name; it does not change the pixels.
        reference: "pillow" reproduces timm on PIL images.
        data_format: of the results; timm's own is channels first.
        exact: see `Pipeline`.
    """

    library: ClassVar[str] = "timm (`architecture`)"
    files: ClassVar[tuple[str, ...]] = (MODEL_FILE,)
    collection: ClassVar[str | None] = "timm"

    input_size: ChannelsSize = (3, 224, 224)
    crop_pct: float = 0.875
    crop_mode: Literal["center", "squash", "border"] = "center"
    interpolation: str = "bicubic"
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    test_input_size: ChannelsSize | None = None
    test_crop_pct: float | None = None
    use_test_size: bool = False
    architecture: str = ""
    reference: ReferenceName = "pillow"
    data_format: DataFormatName = "channels_last"
    exact: bool = False

    def check(self) -> None:
        object.__setattr__(self, "interpolation", method_of(self.interpolation, "$.interpolation"))
        for name in ("crop_pct", "test_crop_pct"):
            share = getattr(self, name)
            if share is not None and not 0.01 <= share <= 100:
                raise codec.expected("a share between 0.01 and 100", share, f"$.{name}")
        for name in ("input_size", "test_input_size"):
            size = getattr(self, name)
            if size is not None:
                if size[0] not in (1, 3):
                    raise codec.expected("1 or 3 channels, height, width", size, f"$.{name}")
                check_size(size[1:], f"$.{name}")
        channels = self.input_size[0]
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) == 1:
                object.__setattr__(self, name, values * channels)
            elif len(values) != channels:
                raise codec.expected(f"{channels} values", values, f"$.{name}")

    @property
    def image_size(self) -> Size:
        size = (
            self.test_input_size if self.use_test_size and self.test_input_size else self.input_size
        )
        return size[1], size[2]

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

    def with_image_size(self, size: Size | None) -> Self:
        if size is None:
            raise codec.expected("a height and width", size, "$.image_size")
        name = "test_input_size" if self.use_test_size and self.test_input_size else "input_size"
        return replace(self, **{name: (self.input_size[0], *size)})

    @functools.cached_property
    def pipeline(self) -> Pipeline:
        share = self.test_crop_pct if self.use_test_size and self.test_crop_pct else self.crop_pct
        size = self.image_size
        height, width = (math.floor(n / share) for n in size)
        options: Any = {"method": self.interpolation, "reference": self.reference}
        crop: Step = ops.CenterCrop(size)
        if self.crop_mode == "squash":
            resize = ops.Resize((height, width), **options)
        elif self.crop_mode == "border":
            resize = ops.Resize((height, width), fit="contain", rounding="round", **options)
            crop = ops.CenterCrop(size, fill=tuple(float(round(255 * m)) for m in self.mean))
        elif height == width:
            resize = ops.Resize(shortest_edge=height, **options)
        else:
            resize = ops.Resize((height, width), fit="cover", rounding="round", **options)
        colours = (ops.ToRGB(),) if self.input_size[0] == 3 else ()
        return Pipeline(
            (*colours, resize, crop, *torch_tail(self.mean, self.std, self.data_format)),
            exact=self.exact,
        )

    def pipeline_for(self, mode: str, palette: Any = None) -> tuple[Pipeline, str]:
        return self.pipeline, "RGB" if self.input_size[0] == 3 else "L"


def from_timm_json(data: dict[str, Any]) -> Timm:
    """A model's `config.json` of the Hub, new (with `pretrained_cfg`) or old (fields at the top).

    A missing, null or (as in timm) zero value means timm's default.
    """
    fields = data.get("pretrained_cfg", data)
    where = "$.pretrained_cfg" if "pretrained_cfg" in data else "$"
    if not isinstance(fields, dict):
        raise codec.expected("an object", fields, where)
    known = codec.field_types(Timm)
    values = {
        name: value
        for name, value in fields.items()
        if name in known
        and name not in ("reference", "data_format", "exact", "use_test_size")
        and value
    }
    values["architecture"] = data.get("architecture") or ""
    if fields.get("crop_border_pixels"):
        raise ConfigError(
            f"`crop_border_pixels` is not supported - at `{where}.crop_border_pixels`."
        )
    return codec.from_json(Timm, {"format": "Timm", **values}, where)
