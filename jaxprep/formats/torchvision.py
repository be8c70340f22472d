"""Reproduces torchvision's transforms of its weights (`weights.transforms()`).

Reproduced are `ImageClassification` and `SemanticSegmentation` of
https://github.com/pytorch/vision/blob/main/torchvision/transforms/_presets.py
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

from jaxprep import codec, ops
from jaxprep.bounds import check_size
from jaxprep.formats.base import Format
from jaxprep.formats.values import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    DataFormatName,
    FloatName,
    PerChannel,
    for_each_channel,
    method_of,
    shortest_edge_of_same_view,
    size_of_same_view,
    to_tensor_and_normalize,
)
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.step import Step
from jaxprep.resample.references import ReferenceName
from jaxprep.types import Size


@dataclass(frozen=True)
class Torchvision(Format):
    """Reproduces `ImageClassification` and `SemanticSegmentation` of `torchvision.transforms`.

    Attributes:
        preset: which of them. "SemanticSegmentation" does not crop: its results differ in size.
        crop_size: side of the result; None does not crop. The override `image_size` changes
            `resize_size` with it, so that the view stays; `crop_size` changes only the crop.
        resize_size: the shorter side after the resize, or height and width.
        mean, std: per channel, or one number for all, for values in [0, 1].
        interpolation: "bilinear", "bicubic", ...
        antialias: whether the filter is widened when an image shrinks. Ignored, as in torchvision,
            with `reference="pillow"`, since Pillow always does.
        reference: "pillow" reproduces the transform on PIL images, with which the published
            accuracy was measured; "torch" that on uint8 tensors, which torchvision resizes in
            float32; "torchvision" its native kernel for uint8, of the v2 transforms.
        data_format: of the results; torchvision's are channels first.
        dtype: of the results; the arithmetic before is float32.
        exact: see `Pipeline`.

    Raises:
        ConfigError: a value that a field does not take.

    >>> Torchvision(crop_size=32, resize_size=40).image_size
    (32, 32)
    """

    collection: ClassVar[str | None] = "torchvision"

    preset: Literal["ImageClassification", "SemanticSegmentation"] = "ImageClassification"
    crop_size: int | Size | None = 224
    resize_size: int | Size | None = 256
    mean: PerChannel = IMAGENET_MEAN
    std: PerChannel = IMAGENET_STD
    interpolation: str = "bilinear"
    antialias: bool = True
    reference: ReferenceName = "pillow"
    data_format: DataFormatName = "channels_last"
    dtype: FloatName = "float32"
    exact: bool = False

    def check(self) -> None:
        object.__setattr__(self, "interpolation", method_of(self.interpolation, "$.interpolation"))
        for name in ("mean", "std"):
            values = for_each_channel(getattr(self, name), 3, f"$.{name}")
            object.__setattr__(self, name, values)
        # Its transform has no crop: each pixel of the photograph wants a label.
        if self.preset == "SemanticSegmentation":
            object.__setattr__(self, "crop_size", None)
        for name in ("crop_size", "resize_size"):
            size = getattr(self, name)
            if size is not None:
                check_size((size, size) if isinstance(size, int) else size, f"$.{name}")

    @property
    def image_size(self) -> Size | None:
        if isinstance(self.crop_size, int):
            return self.crop_size, self.crop_size
        if self.crop_size is not None:
            return self.crop_size
        # An integer is the shorter side: the other depends on the image.
        return self.resize_size if isinstance(self.resize_size, tuple) else None

    def with_image_size(self, size: Size | None) -> Self:
        if self.crop_size is None:
            wanted = "a preset that crops; this one only resizes, so set `resize_size`"
            raise codec.expected(wanted, size, "$.image_size")
        if size is None:
            raise codec.expected("a size to crop to", size, "$.image_size")
        old_size = self.image_size
        assert old_size is not None  # there is a crop
        resize_size = self.resize_size
        if isinstance(resize_size, int):
            resize_size = shortest_edge_of_same_view(resize_size, old_size, size)
        elif resize_size is not None:
            resize_size = size_of_same_view(resize_size, old_size, size)
        return replace(self, crop_size=size, resize_size=resize_size)

    @functools.cached_property
    def pipeline(self) -> Pipeline:
        # The weights are of RGB images: `pil_loader` converts what it opens.
        # https://github.com/pytorch/vision/blob/main/torchvision/datasets/folder.py
        steps: list[Step] = [ops.ToRGB()]
        # Pillow has no resize without antialiasing, and torchvision ignores the argument there.
        antialias = self.antialias or self.reference.startswith("pillow")
        options = {
            "method": self.interpolation,
            "antialias": antialias,
            "reference": self.reference,
        }
        # `Resize` stretches to a pair and keeps the aspect ratio for a number.
        if isinstance(self.resize_size, tuple):
            steps.append(ops.Resize(self.resize_size, **options))  # type: ignore[arg-type]
        elif self.resize_size is not None:
            steps.append(ops.Resize(shortest_edge=self.resize_size, **options))  # type: ignore[arg-type]
        if self.crop_size is not None:
            steps.append(ops.CenterCrop(self.crop_size))  # type: ignore[arg-type]
        values = to_tensor_and_normalize(self.mean, self.std, self.data_format, self.dtype)
        return Pipeline((*steps, *values), exact=self.exact)
