"""`HuggingFace`: the config of an image processor as it was read, and the pipeline that its class
makes of it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, ClassVar, Self

from jaxprep import codec, ops
from jaxprep.errors import ConfigError
from jaxprep.formats.base import MODEL_FILE, Format
from jaxprep.formats.huggingface import classes
from jaxprep.formats.huggingface.builders import Build, Part, Source, add_steps, builders_of
from jaxprep.formats.huggingface.builders.crop_and_pad import pads, pads_to_largest
from jaxprep.formats.huggingface.classes import Backend, ProcessorRow
from jaxprep.formats.huggingface.frozen import Frozen
from jaxprep.formats.huggingface.read import TIMM, find_config, is_huggingface_json
from jaxprep.formats.huggingface.settings import (
    ANNOTATION_FORMATS,
    SHORTEST,
    Edges,
    Settings,
    keep_implied,
    merged,
    settings_of,
    split_keys,
)
from jaxprep.formats.timm import from_timm_json
from jaxprep.formats.values import (
    DataFormatName,
    FloatName,
    as_image_size,
    cast_to,
    shortest_edge_of_same_view,
    size_of_same_view,
)
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.lower import static_sizes
from jaxprep.resample.references import ReferenceName
from jaxprep.types import Size

FIELDS = ("backend", "data_format", "reference", "dtype", "exact")
"""The fields of a `HuggingFace` beside its class and settings."""


@dataclass(frozen=True)
class HuggingFace(Format):
    """What an image processor of Transformers 5 does to an image.

    Attributes:
        class_name: the name of the class in Transformers 5, a row of `presets/huggingface.json`.
        settings: the keys of `preprocessor_config.json` as they were read, keys of former releases
            included; they are written back unchanged.
        backend: whose arithmetic: "torchvision", the default of Transformers 5, or "pil", which
            made every published result before it. A class that has one backend only has that.
        data_format: of the results.
        reference: another reference than "pillow" for the PIL backend: "pillow12", for the numbers
            of Pillow before 13.
        dtype: of the results, where they are not integers; the arithmetic before is float32.
        exact: see `Pipeline`.

    Raises:
        ConfigError: no such class, or a value that a setting does not take.

    >>> config = HuggingFace("ViTImageProcessor", {"size": {"height": 8, "width": 6}})
    >>> config.image_size, [type(step).__name__ for step in config.pipeline.steps]
    ((8, 6), ['Resize', 'Normalize'])
    """

    library: ClassVar[str] = "Hugging Face (`image_processor_type`)"
    files: ClassVar[tuple[str, ...]] = (
        "processor_config.json",
        "preprocessor_config.json",
        MODEL_FILE,
    )

    class_name: str
    settings: Any = None
    backend: Backend = "torchvision"
    data_format: DataFormatName = "channels_last"
    reference: ReferenceName | None = None
    dtype: FloatName = "float32"
    exact: bool = False

    def __post_init__(self) -> None:
        settings = {} if self.settings is None else self.settings
        if not isinstance(settings, Mapping):
            raise codec.expected("an object", settings, "$.settings")
        # They are written back, keys that no class knows too.
        codec.check_json(dict(settings))
        # A plain dict cannot be hashed, and a config is the key of the caches below.
        object.__setattr__(self, "settings", Frozen(settings))
        super().__post_init__()

    def check(self) -> None:
        row = classes.row_of(self.class_name)
        if row is None:
            raise codec.expected(
                "the name of a processor in `presets/huggingface.json` or `huggingface_video.json`",
                self.class_name,
                "$",
            )
        # A config does not say which backend; a class that lacks the default has its only one.
        if self.backend not in row.backends:
            object.__setattr__(self, "backend", row.backends[0])
        if row.annotations is not None:
            self.effective.choice("format", ANNOTATION_FORMATS)
        # Builders check the settings that they read: a bad value fails here, not in the first call.
        for view in (None, *row.views):
            _pipeline(self, Source(), None, "all", view)

    @classmethod
    def reads(cls, content: dict[str, Any]) -> bool:
        return is_huggingface_json(content)

    @classmethod
    def read(cls, content: dict[str, Any], where: str = "$", model: Any = None) -> Format:
        return from_huggingface_json(content, where, model)

    @property
    def row(self) -> ProcessorRow:
        """What the table says of the class."""
        return classes.known_row(self.class_name)

    @property
    def effective(self) -> Settings:
        """The settings with the defaults of the class, and in the form of Transformers 5; each is
        checked when it is read.
        """
        return settings_of(self.class_name, self.settings)

    @property
    def pipeline(self) -> Pipeline:
        """The steps for 8-bit images; where their size depends on the other images of a call, for
        the default size.
        """
        return _pipeline(self, Source(), None, "all")

    @property
    def unpadded_pipeline(self) -> Pipeline:
        """The same without the padding to `pad_size`."""
        return _pipeline(self, Source(), None, "unpadded")

    @property
    def resize_pipeline(self) -> Pipeline:
        """The resize alone; no step where the class has none, or it is switched off."""
        return _pipeline(self, Source(), None, "resize")

    @property
    def resizes_by_pillow(self) -> bool:
        """Whether the resize, where there is one, is Pillow's: some classes of the PIL backend
        resize floats by another library."""
        return is_of_pillow(self.resize_pipeline)

    def pipeline_of(
        self,
        source: Source,
        sizes: tuple[Size, ...] | None = None,
        view: str | None = None,
    ) -> Pipeline:
        """Return the steps for images of another value range or number of channels.

        Args:
            source: what the images are.
            sizes: those of all images of the call, for the classes whose results depend on them.
            view: one of the row's `views`, or the main result.
        """
        return _pipeline(self, source, sizes, "all", view)

    @property
    def pads(self) -> bool:
        """Whether results are padded to one size, that of `pad_size` or the largest of a call."""
        return pads(self.effective)

    @property
    def pads_to_largest(self) -> bool:
        """Whether results of different sizes are padded to the largest of a call."""
        return pads_to_largest(self.effective)

    @property
    def result_name(self) -> str:
        """What the images are called in the results of a call."""
        modern = self.row.modern_output
        if modern is None:
            return self.row.outputs[0]
        value = self.effective.get(modern.setting)
        if value is None:
            is_off = self.row.takes_null(modern.setting)
        else:
            is_off = not value
        if is_off:
            return modern.name
        return self.row.outputs[0]

    @property
    def listed_axes(self) -> dict[str, int]:
        """How many of the first axes of a result are lists with `return_tensors=None`, by name; of
        a result that is not named one is.

        >>> HuggingFace("Qwen2VLImageProcessor").listed_axes
        {'pixel_values': 0, 'image_grid_thw': 0}
        """
        # Some pad where `do_pad` is not given; of others it is no padding to one size: Idefics 3.
        pads = self.pads or self.effective.flag("do_pad")
        return {name: of.count(self.backend, pads) for name, of in self.row.listed.items()}

    @property
    def image_size(self) -> Size | None:
        return static_sizes(self.pipeline.segments)[-1]

    def with_image_size(self, size: Size | None) -> Self:
        """Return a copy whose results have another height and width: those of the crop, where there
        is one, and the resize before it changes with it.
        """
        if size is None:
            raise codec.expected("a height and width", size, "$.image_size")
        pair = {"height": size[0], "width": size[1]}
        settings = self.effective
        changed: dict[str, Any] = {"size": self._edges_for(size).to_dict()}
        if settings.flag("do_center_crop"):
            changed["crop_size"] = pair
        if settings.get("pad_size") is not None:
            changed["pad_size"] = pair
        return self.overridden(changed)

    def _edges_for(self, size: Size) -> Edges:
        """The setting `size` of a config whose results have height and width `size`."""
        settings = self.effective
        crops = settings.flag("do_center_crop")
        edges = settings.edges("size") or Edges()
        crop = settings.edges("crop_size") if crops else None
        old_size = None if crop is None else crop.pair
        if edges.keys == SHORTEST:
            builders = builders_of(settings, self.backend)
            # A lone edge says the height and the width only where something makes the result a
            # square.
            makes_square = crops or any(entry.makes_square for entry in builders)
            if size[0] != size[1] or not makes_square:
                raise codec.expected("a square, or `size` and `crop_size`", size, "$.image_size")
            edge = size[0]
            if old_size is not None:
                edge = shortest_edge_of_same_view(edges.side("shortest_edge"), old_size, size)
            return Edges(shortest_edge=edge)
        if edges.pair is None or old_size is None:
            return Edges(*size)
        return Edges(*size_of_same_view(edges.pair, old_size, size))

    def pipeline_for(self, mode: str, has_alpha: bool = False) -> tuple[Pipeline, str]:
        del mode
        to_rgb = self.effective.flag("do_convert_rgb")
        return self.pipeline, "RGBA" if has_alpha and to_rgb else "RGB"

    def overridden(self, overrides: dict[str, Any]) -> Self:
        if not overrides:
            return self
        # Idefics has a setting `image_size` of its own; elsewhere it is a field of ours.
        if "image_size" in overrides and "image_size" not in self.row.kwargs:
            _, others = split_keys(overrides, ("image_size",))
            size = as_image_size(overrides["image_size"], "$.image_size")
            return self.with_image_size(size).overridden(others)
        # A key of the file that the class does not know may be replaced too: it is written back.
        known = {*classes.arguments(self.class_name), *FIELDS, *self.settings}
        for name in overrides:
            if name not in known:
                listed = {*classes.arguments(self.class_name), *FIELDS, "image_size"}
                raise ConfigError(f"Unknown field - at `$.{name}`. Known: {sorted(listed)}.")
        fields, settings = split_keys(overrides, FIELDS)
        changed = {key: to_json_value(value) for key, value in settings.items()}
        implied = keep_implied(self.effective, changed)
        return replace(self, **fields, settings=merged(self.settings, implied | changed, self.row))


def from_huggingface_json(content: Any, where: str = "$", model: Any = None) -> Format:
    """Return the config of an image processor, from the content of one of its files.

    Arguments and errors are those of `jaxprep.formats.huggingface.read.find_config`.

    >>> from_huggingface_json({"image_processor_type": "ViTImageProcessor"}).image_size
    (224, 224)
    """
    document = find_config(content, where, model)
    if document.class_name == TIMM:
        return from_timm_json(document.content)
    try:
        return HuggingFace(document.class_name, document.content)
    except ConfigError as error:
        raise ConfigError(str(error).replace("`$", f"`{document.where}", 1)) from error


def to_json_value(value: Any) -> Any:
    """Return a value as JSON has it: arrays and tuples become lists, mappings objects, whose keys
    are strings.

    >>> to_json_value({"size": (8, 6), 7: "cat"})
    {'size': [8, 6], '7': 'cat'}
    """
    if isinstance(value, Mapping):
        return {str(name): to_json_value(item) for name, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        # `SizeDict` of Transformers, whose other sides are None.
        return {name: side for name, side in vars(value).items() if side is not None}
    value = codec.plain(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value)  # PIL's filters are an `IntEnum`, which JSON would write by name
    return value


def is_of_pillow(pipeline: Pipeline) -> bool:
    """Return whether a pipeline has a resize of Pillow.

    >>> is_of_pillow(HuggingFace("ViTImageProcessor", backend="pil").resize_pipeline)
    True
    >>> is_of_pillow(HuggingFace("ZoeDepthImageProcessor", backend="pil").resize_pipeline)
    False
    """
    references = (getattr(step, "reference", "") for step in pipeline.steps)
    return any(name.startswith("pillow") for name in references)


# A call asks for its pipeline several times.
@functools.lru_cache(maxsize=4096)
def _pipeline(
    config: HuggingFace,
    source: Source,
    sizes: tuple[Size, ...] | None,
    part: Part,
    view: str | None = None,
) -> Pipeline:
    build = Build(config.effective, config.backend, source, sizes, config.reference)
    add_steps(build, part, view)
    makes_floats = any(isinstance(step, ops.Rescale | ops.Normalize) for step in build.steps)
    if makes_floats and part != "resize":
        build.add(*cast_to(config.dtype))
    exact = config.exact or build.is_exact
    if part == "resize":
        return Pipeline(tuple(build.steps), exact=exact)
    if build.layout is not None:
        build.add(build.layout)
    elif config.data_format == "channels_first":
        build.add(ops.ChannelsFirst())
    return Pipeline(tuple(build.steps), exact=exact)
