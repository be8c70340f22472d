"""Defines `Custom`: a user's pipeline as a format, so that it can be saved, loaded and called."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Self

from jaxprep.errors import ConfigError
from jaxprep.formats.base import Format
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.lower import static_sizes
from jaxprep.types import Size


@dataclass(frozen=True)
class Custom(Format):
    """Holds any pipeline.

    Attributes:
        steps: see `Pipeline`.

    >>> from jaxprep import ops
    >>> Custom(Pipeline((ops.Resize((4, 6)),))).image_size
    (4, 6)
    """

    steps: Pipeline = field(default_factory=Pipeline)

    @property
    def pipeline(self) -> Pipeline:
        return self.steps

    @property
    def image_size(self) -> Size | None:
        # Of the last segment: what comes before may depend on the image where the result does not.
        return static_sizes(self.steps.segments)[-1]

    def with_image_size(self, size: Size | None) -> Self:
        # Which of several resizes and crops should change, no rule can say.
        raise ConfigError(
            "Expected a format that has an `image_size`, got a pipeline: change its steps instead."
        )
