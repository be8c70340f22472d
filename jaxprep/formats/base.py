"""Defines `Format`: a typed, frozen config that is read from a library's JSON.

Its `pipeline` is what jaxprep runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple, Self

from jaxprep import codec
from jaxprep.errors import ConfigError
from jaxprep.formats.values import as_image_size, dtype_name
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.step import Geometry
from jaxprep.types import Size

MODEL_FILE = "config.json"
"""The file that describes the model. Some libraries put the preprocessing into it."""


class OwnMode(NamedTuple):
    """Says how a PIL image is resized in its own mode, and what follows.

    Attributes:
        steps: for the image as it came; each a resize alone, or a crop and pad.
        after: the pipeline for the RGB image that is made of it then.

    >>> from jaxprep import ops
    >>> OwnMode((ops.CenterCrop(2),), Pipeline()).steps[0].size
    (2, 2)
    """

    steps: tuple[Geometry, ...]
    after: Pipeline


class Format(ABC):
    """Holds the preprocessing of one library, under the names that the library uses.

    A format is a frozen dataclass; `jaxprep.formats.register` makes its files readable. Besides the
    library's settings it has four fields of jaxprep's: `data_format` ("channels_last" or
    "channels_first", of the results), `dtype` ("float32", "bfloat16" or "float16", of the results),
    `reference` (whose resize is reproduced), and `exact` (see `Pipeline`).

    Attributes:
        library: how messages name the library, with the key that tells its files.
        files: names of the files that hold its config in a directory or a repository.
        collection: its built-in presets are `presets/<collection>.json`; None: it has none.

    >>> from jaxprep.formats import Timm
    >>> Timm.library, Timm.files, Timm.collection
    ('timm (`architecture`)', ('config.json',), 'timm')
    """

    tag_key: ClassVar[str] = "format"
    library: ClassVar[str] = ""
    files: ClassVar[tuple[str, ...]] = ()
    collection: ClassVar[str | None] = None

    def __post_init__(self) -> None:
        # `jnp.bfloat16` is one value of several that mean the same
        dtype = getattr(self, "dtype", None)
        if "dtype" in codec.field_types(type(self)):
            object.__setattr__(self, "dtype", dtype_name(dtype))
        # Types first: `check` may then compare and convert without looking at them.
        codec.check_fields(self)
        self.check()
        _ = self.pipeline  # a config whose steps are refused is refused here

    def check(self) -> None:
        """Raise `ConfigError` where fields contradict each other."""

    @property
    @abstractmethod
    def pipeline(self) -> Pipeline:
        """The steps."""

    @property
    @abstractmethod
    def image_size(self) -> Size | None:
        """Height and width of the results; None where they depend on the image."""

    @abstractmethod
    def with_image_size(self, size: Size | None) -> Self:
        """Return a copy whose results have another height and width, of the same view: a resize
        before a crop changes with the crop.
        """

    def pipeline_for(self, mode: str, has_alpha: bool = False) -> tuple[Pipeline, str]:
        """Return the pipeline for a PIL image, and the PIL mode to convert the image to first.

        Args:
            mode: PIL's mode of the image.
            has_alpha: it has an alpha channel, or a colour that stands for transparency.
        """
        del mode, has_alpha
        # The data loaders of timm and torchvision call `image.convert("RGB")` first.
        return self.pipeline, "RGB"

    def in_own_mode(self, mode: str) -> OwnMode | None:
        """Return what happens to a PIL image before it is converted to RGB; None: it is converted
        first, by `pipeline_for`.
        """
        del mode
        return None

    def overridden(self, overrides: dict[str, Any]) -> Self:
        """Return a copy with other values in some fields.

        Raises:
            ConfigError: an unknown field, or a value it does not take.
        """
        known = codec.field_types(type(self))
        for name in overrides:
            if name != "image_size" and name not in known:
                names = sorted({*known, "image_size"})
                raise ConfigError(f"Unknown field - at `$.{name}`. Known: {names}.")
        changed = dict(overrides)
        # Every format takes `image_size`, whatever its field is called, so that a user need not
        # know whose preset it is.
        if "image_size" in changed:
            size = as_image_size(changed.pop("image_size"), "$.image_size")
            resized = self.with_image_size(size)
            return resized.overridden(changed) if changed else resized
        return replace(self, **changed) if changed else self  # type: ignore[type-var]

    # What the library's files mean. A format that has no files leaves these as they are.

    @classmethod
    def reads(cls, content: dict[str, Any]) -> bool:
        """Return whether a JSON object is one of the library's configs."""
        del content
        return False

    @classmethod
    def read(cls, content: dict[str, Any], where: str = "$", model: Any = None) -> Format:
        """Return the config of a JSON object that `reads` accepts.

        Args:
            content: the object.
            where: its position in the file, for messages.
            model: the content of the `config.json` in the same folder; None if there is none.

        Raises:
            ConfigError: a wrong value or an unknown field.
        """
        del model
        raise codec.expected("a format that is read from files", cls.__name__, where)

    @classmethod
    def of_preset(cls, settings: dict[str, Any], name: str, details: dict[str, Any]) -> Self:
        """Return the config of a preset of a collection.

        Args:
            settings: fields of the format.
            name: of the preset, without its collection.
            details: what else the collection says about it.
        """
        del name, details
        return codec.from_json(cls, {cls.tag_key: cls.__name__, **settings})

    def library_files(self, config_file: str) -> dict[str, Any]:
        """Return the content, by file name, of files that make the library itself do the same.

        Empty where the library has no such files, or where they cannot say all of the config.

        Args:
            config_file: the name that the caller wants for the main file.
        """
        del config_file
        return {}


# A config in JSON names its class by `tag_key`; the reader then tries the subclasses of `Format`.
codec.register(Format)
