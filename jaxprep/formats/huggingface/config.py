"""`HuggingFace`: the config of an image processor, as it was read, and the pipeline that its class
makes of it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from jaxprep import codec, ops
from jaxprep.errors import ConfigError
from jaxprep.formats.base import Format
from jaxprep.formats.huggingface import classes
from jaxprep.formats.huggingface.families import FAMILIES, Build, Source, pads_to_largest
from jaxprep.formats.huggingface.settings import (
    Backend,
    Frozen,
    Settings,
    merged,
    settings_of,
    settled,
)
from jaxprep.formats.values import DataFormatName
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.lower import static_sizes
from jaxprep.resample.references import ReferenceName
from jaxprep.types import Size


@dataclass(frozen=True)
class HuggingFace(Format):
    """What an image processor of Transformers 5 does to an image.

    Attributes:
        class_name: today's name of the class, a row of `presets/huggingface.json`.
        settings: the keys of `preprocessor_config.json` as they were read, legacy names and forms
            included; they are written back unchanged.
        backend: whose arithmetic: "torchvision", the default of Transformers 5, or "pil", which
            made every published result before it. A class that has one backend only has that.
        data_format: of the results.
        reference: another reference than "pillow" for the PIL backend: "pillow12", for the numbers
            of Pillow before 13.
        exact: see `Pipeline`.
    """

    class_name: str
    settings: Any = None
    backend: Backend = "torchvision"
    data_format: DataFormatName = "channels_last"
    reference: ReferenceName | None = None
    exact: bool = False

    def __post_init__(self) -> None:
        settings = {} if self.settings is None else self.settings
        if not isinstance(settings, Mapping):
            raise codec.expected("an object", settings, "$.settings")
        object.__setattr__(self, "settings", Frozen(settings))
        super().__post_init__()

    def check(self) -> None:
        row = classes.rows().get(self.class_name)
        if row is None:
            raise codec.expected(
                "the name of an image processor in `presets/huggingface.json`", self.class_name, "$"
            )
        if self.backend not in row["backends"]:
            object.__setattr__(self, "backend", row["backends"][0])
        _pipeline(self, Source(), None)

    @property
    def effective(self) -> Settings:
        """The settings with the defaults of the class and legacy keys resolved, each checked as it
        is asked for.
        """
        return settings_of(self.class_name, self.settings)

    @property
    def pipeline(self) -> Pipeline:
        """The steps for 8-bit images; where their size depends on the other images of a call, for
        the default size.
        """
        return _pipeline(self, Source(), None)

    def pipeline_of(self, source: Source, sizes: tuple[Size, ...] | None = None) -> Pipeline:
        """The steps for images of another kind.

        Args:
            sizes: of all images of the call, for the classes whose results depend on them.
        """
        return _pipeline(self, source, sizes)

    @property
    def pads_to_largest(self) -> bool:
        """Whether results of different sizes are padded to the largest of the call."""
        return pads_to_largest(_build(self, Source(), None))

    @property
    def image_size(self) -> Size | None:
        return static_sizes(self.pipeline.segments)[-1]

    def with_image_size(self, size: Size | None) -> Self:
        """A copy whose results have another height and width: that of the crop, where there is
        one.
        """
        if size is None:
            raise codec.expected("a height and width", size, "$.image_size")
        pair = {"height": size[0], "width": size[1]}
        settings = self.effective
        crops = settings.flag("do_center_crop")
        changed: dict[str, Any] = {"size": pair}
        edges = settings.edges("size")
        if edges is not None and edges.keys == ("shortest_edge",):
            if size[0] != size[1] or not (crops or "resize_convnext" in settings.row["steps"]):
                raise codec.expected("a square, or `size` and `crop_size`", size, "$.image_size")
            changed["size"] = {"shortest_edge": size[0]}
        if crops:
            changed["crop_size"] = pair
        if settings.get("pad_size") is not None:
            changed["pad_size"] = pair
        return self.overridden(changed)

    def pipeline_for(self, mode: str, palette: Any = None) -> tuple[Pipeline, str]:
        del palette
        has_alpha = mode in ("RGBA", "LA", "PA", "P", "RGBa", "La")
        return self.pipeline, "RGBA" if has_alpha and self.effective.flag(
            "do_convert_rgb"
        ) else "RGB"

    def overridden(self, overrides: dict[str, Any]) -> Self:
        own = {name: value for name, value in overrides.items() if name in _OWN}
        if (
            "image_size" in overrides
            and "image_size" not in classes.rows()[self.class_name]["kwargs"]
        ):
            rest = {name: value for name, value in overrides.items() if name != "image_size"}
            return self.with_image_size(overrides["image_size"]).overridden(rest)
        known = classes.arguments(self.class_name)
        for name in overrides:
            if name not in own and name not in known and name not in self.settings:
                raise ConfigError(
                    f"Unknown field - at `$.{name}`. Known: {sorted({*known, *_OWN, 'image_size'})}."
                )
        changed = {name: listed(value) for name, value in overrides.items() if name not in own}
        kept = settled(self.class_name, self.settings, changed)
        return (
            replace(self, **own, settings=merged(self.settings, kept | changed))
            if overrides
            else self
        )


_OWN = ("backend", "data_format", "reference", "exact")


def listed(value: Any) -> Any:
    """JSON's form of what callers pass: arrays and tuples are lists, mappings are objects."""
    if isinstance(value, Mapping):
        return {name: listed(item) for name, item in value.items()}
    value = codec.plain(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)  # PIL's filters are an enumeration
    return value


def _build(preprocessor: HuggingFace, source: Source, sizes: tuple[Size, ...] | None) -> Build:
    return Build(
        preprocessor.effective, preprocessor.backend, source, sizes, preprocessor.reference
    )


@functools.lru_cache(maxsize=4096)
def _pipeline(
    preprocessor: HuggingFace, source: Source, sizes: tuple[Size, ...] | None
) -> Pipeline:
    build = _build(preprocessor, source, sizes)
    FAMILIES[build.settings.row["family"]](build)
    if preprocessor.data_format == "channels_first":
        build.add(ops.ChannelsFirst())
    return Pipeline(tuple(build.steps), exact=preprocessor.exact)
