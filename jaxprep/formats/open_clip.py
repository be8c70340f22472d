"""Reads OpenCLIP's `PreprocessCfg`, also as `preprocess_cfg` of an `open_clip_config.json`.

Reproduced is `image_transform` of
https://github.com/mlfoundations/open_clip/blob/main/src/open_clip/transform.py
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

from jaxprep import codec, ops
from jaxprep.bounds import check_size
from jaxprep.formats.base import Format, OwnMode
from jaxprep.formats.values import (
    OPTIONS,
    DataFormatName,
    FloatName,
    PerChannel,
    Triple,
    for_each_channel,
    method_of,
    to_tensor_and_normalize,
)
from jaxprep.ops.color import with_alpha
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.step import Geometry, Step
from jaxprep.resample.references import ReferenceName
from jaxprep.types import Size

# `OPENAI_DATASET_MEAN` and `OPENAI_DATASET_STD` of
# https://github.com/mlfoundations/open_clip/blob/main/src/open_clip/constants.py
CLIP_MEAN: Triple = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD: Triple = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class OpenClip(Format):
    """Reproduces `open_clip.image_transform_v2(PreprocessCfg(...), is_train=False)`.

    OpenCLIP converts to RGB last: an RGBA image is resized with its colours multiplied by alpha, a
    palette image by nearest neighbour, CMYK as ink. This is reproduced for PIL images of every
    mode, and the alpha for arrays of 4 channels too.

    Attributes:
        size: side, or height and width, of the result.
        mode: "RGB", the only one that OpenCLIP has.
        mean, std: per channel, or one number for all, for values in [0, 1].
        interpolation: of the resize. As in OpenCLIP, "shortest" to a size that is not square
            ignores it and is bicubic.
        resize_mode: "shortest" resizes the shorter side and crops; "longest" resizes the longer
            side and pads; "squash" ignores the aspect ratio.
        fill_color: of the padding, in [0, 255].
        reference: "pillow" reproduces OpenCLIP on PIL images.
        data_format: of the results; OpenCLIP's are channels first.
        dtype: of the results; the arithmetic before is float32.
        exact: see `Pipeline`.

    Raises:
        ConfigError: a value that a field does not take.

    >>> OpenClip(size=(4, 6), resize_mode="longest").image_size
    (4, 6)
    """

    library: ClassVar[str] = "OpenCLIP (`preprocess_cfg`)"
    files: ClassVar[tuple[str, ...]] = ("open_clip_config.json",)
    collection: ClassVar[str | None] = "open_clip"

    size: int | Size = 224
    mode: Literal["RGB"] = "RGB"
    mean: PerChannel = CLIP_MEAN
    std: PerChannel = CLIP_STD
    interpolation: str = "bicubic"
    resize_mode: Literal["shortest", "longest", "squash"] = "shortest"
    fill_color: int = 0
    reference: ReferenceName = "pillow"
    data_format: DataFormatName = "channels_last"
    dtype: FloatName = "float32"
    exact: bool = False

    def check(self) -> None:
        # "random" is of training; OpenCLIP evaluates with bicubic then.
        interpolation = "bicubic" if self.interpolation == "random" else self.interpolation
        object.__setattr__(self, "interpolation", method_of(interpolation, "$.interpolation"))
        for name in ("mean", "std"):
            values = for_each_channel(getattr(self, name), 3, f"$.{name}")
            object.__setattr__(self, name, values)
        check_size(self.image_size, "$.size")
        if not 0 <= self.fill_color <= 255:
            raise codec.expected("a value in [0, 255]", self.fill_color, "$.fill_color")

    @property
    def image_size(self) -> Size:
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    @classmethod
    def reads(cls, content: dict[str, Any]) -> bool:
        return "preprocess_cfg" in content

    @classmethod
    def read(cls, content: dict[str, Any], where: str = "$", model: Any = None) -> Format:
        del where, model
        return from_open_clip_json(content)

    def with_image_size(self, size: Size | None) -> Self:
        if size is None:
            raise codec.expected("a height and width", size, "$.image_size")
        return replace(self, size=size)

    @functools.cached_property
    def pipeline(self) -> Pipeline:
        resize, *crop = self._geometry
        resizing = with_alpha(resize, self.interpolation)
        return Pipeline((*resizing, *crop, ops.ToRGB(), *self._values), exact=self.exact)

    @property
    def _geometry(self) -> tuple[Geometry, ...]:
        """The resize, and the crop or pad after it."""
        size = self.image_size
        options: Any = {"method": self.interpolation, "reference": self.reference}
        if self.resize_mode == "squash":
            return (ops.Resize(size, **options),)
        if self.resize_mode == "longest":
            resize = ops.Resize(size, fit="contain", rounding="round", **options)
            return resize, ops.CenterCrop(size, fill=float(self.fill_color))
        if size[0] == size[1]:
            return ops.Resize(shortest_edge=size[0], **options), ops.CenterCrop(size)
        # `ResizeKeepRatio` of transform.py, which is made with its default interpolation
        options["method"] = "bicubic"
        resize = ops.Resize(size, fit="cover", rounding="round", **options)
        return resize, ops.CenterCrop(size)

    @property
    def _values(self) -> tuple[Step, ...]:
        """The steps after the conversion to RGB."""
        return to_tensor_and_normalize(self.mean, self.std, self.data_format, self.dtype)

    def pipeline_for(self, mode: str, has_alpha: bool = False) -> tuple[Pipeline, str]:
        # Pillow cannot convert La to RGB: OpenCLIP fails.
        own = {"RGBA": "RGBA", "LA": "LA", "La": "LA", "L": "L"}
        return self.pipeline, own.get(mode, "RGB")

    def in_own_mode(self, mode: str) -> OwnMode | None:
        # `pipeline` has the arithmetic of these modes.
        if mode in ("RGB", "RGBA", "L", "LA", "La") or not self.reference.startswith("pillow"):
            return None
        return OwnMode(self._geometry, Pipeline(self._values, exact=self.exact))


def from_open_clip_json(data: dict[str, Any]) -> OpenClip:
    """Return the config of the content of an `open_clip_config.json`.

    `preprocess_cfg` replaces defaults, and the image size of `model_cfg` replaces its size. As in
    OpenCLIP, unknown keys and nulls are dropped.

    Raises:
        ConfigError: a value that a field does not take.

    >>> from_open_clip_json({"preprocess_cfg": {"size": 32, "mean": None}}).image_size
    (32, 32)
    """
    fields = data.get("preprocess_cfg") or {}
    model = data.get("model_cfg") or {}
    if not isinstance(fields, dict) or not isinstance(model, dict):
        raise codec.expected("an object", data, "$")
    known = codec.field_types(OpenClip).keys() - OPTIONS
    values = {name: fields[name] for name in known if fields.get(name) is not None}
    vision = model.get("vision_cfg")
    if isinstance(vision, dict) and vision.get("image_size") is not None:
        values["size"] = vision["image_size"]
    return codec.from_json(OpenClip, {"format": "OpenClip", **values}, "$.preprocess_cfg")
