"""What a format is: a typed, frozen config that is read from foreign JSON and makes a pipeline."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Any, ClassVar, Self

from jaxprep import codec
from jaxprep.errors import ConfigError
from jaxprep.pipeline import Pipeline
from jaxprep.types import Size


class Format(ABC):
    """Settings of one collection's preprocessing, under the names that collection uses; a frozen
    dataclass.

    Every format has these fields of ours beside its own: `data_format` ("channels_last" or
        "channels_first", of the
    results), `reference` (whose resize is reproduced), and `exact` (see `Pipeline`).
    """

    tag_key: ClassVar[str] = "format"

    def __post_init__(self) -> None:
        codec.check_fields(self)
        self.check()

    def check(self) -> None:
        """Raises `ConfigError` where fields contradict each other."""

    @property
    @abstractmethod
    def pipeline(self) -> Pipeline:
        """The steps."""

    @property
    @abstractmethod
    def image_size(self) -> Size | None:
        """Height and width of the results; None where it depends on the image."""

    @abstractmethod
    def with_image_size(self, size: Size | None) -> Self:
        """A copy whose results have another height and width."""

    def pipeline_for(self, mode: str, palette: Any = None) -> tuple[Pipeline, str]:
        """The pipeline for a PIL image, and the PIL mode to convert it to first.

        Args:
            mode: PIL's mode of the image.
            palette: the RGB colour of each index, for mode P.
        """
        del mode, palette
        return self.pipeline, "RGB"

    def overridden(self, overrides: dict[str, Any]) -> Self:
        """A copy with other values in some fields.

        Raises:
            ConfigError: an unknown field, or a value it does not take.
        """
        known = codec.field_types(type(self))
        for name in overrides:
            if name != "image_size" and name not in known:
                raise ConfigError(
                    f"Unknown field - at `$.{name}`. Known: {sorted({*known, 'image_size'})}."
                )
        changed = dict(overrides)
        if "image_size" not in known and "image_size" in changed:
            return self.with_image_size(changed.pop("image_size")).overridden(changed)
        return replace(self, **changed) if changed else self  # type: ignore[type-var]


codec.register(Format)
