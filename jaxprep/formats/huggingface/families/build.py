"""A pipeline in the making: what the builders of all families share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from jaxprep import ops
from jaxprep.formats.huggingface.settings import Backend, Settings
from jaxprep.pipeline.step import Step
from jaxprep.resample.references import ReferenceName
from jaxprep.types import Size

Kind = Literal["uint8", "integer", "float", "unit"]
"""Of the values of an image: uint8; another integer type; floats of any range; floats in [0, 1].

The PIL backend resizes nothing but uint8, so there "unit" means uint8 that was made of floats in
[0, 1], to be divided by 255 again after the resize.
"""


class Source(NamedTuple):
    """What a pipeline is made for: the kind of the values and the number of channels, before any
    conversion to RGB.
    """

    kind: Kind = "uint8"
    channels: int = 3


@dataclass
class Build:
    """Settings, and the steps made of them so far.

    Attributes:
        is_float: whether the values are floats where the next step stands.
        sizes: of all images of the call, for the classes whose results depend on the others; None
            where not known.
        reference: replaces the PIL backend's, "pillow".
    """

    settings: Settings
    backend: Backend
    source: Source
    sizes: tuple[Size, ...] | None = None
    reference: ReferenceName | None = None
    steps: list[Step] = field(default_factory=list)
    is_float: bool = False

    def __post_init__(self) -> None:
        on_torch = self.backend == "torchvision"
        self.is_float = self.source.kind == "float" or (on_torch and self.source.kind == "unit")

    @property
    def on_torch(self) -> bool:
        """Whether the torchvision backend is reproduced."""
        return self.backend == "torchvision"

    def add(self, *steps: Step) -> None:
        self.steps += steps

    def resize(self, *, antialias: bool = True, rounded: bool = True, **rule: Any) -> None:
        """A resize by a rule of `ops.Resize`, with the filter of the settings, as the backend
        computes it.

        Args:
            rounded: False where the class casts to float first.
        """
        method = self.settings.method()
        reference = self._reference(method, rounded)
        step = ops.Resize(
            method=method, antialias=antialias, reference=reference, rounded=rounded, **rule
        )
        with_alpha = self.source.channels in (2, 4) and not self.settings.flag("do_convert_rgb")
        if with_alpha and not self.on_torch and method != "nearest":  # as PIL does on RGBA
            self.add(ops.Premultiply(), step, ops.Unpremultiply())
        else:
            self.add(step)
        self.is_float = self.is_float or not rounded
        if self.source.kind == "unit" and not self.on_torch:
            self.add(ops.Rescale(1 / 255, arithmetic="float64"))
            self.is_float = True

    def _reference(self, method: str, rounded: bool) -> ReferenceName:
        if not self.on_torch:
            return self.reference or "pillow"
        if method == "nearest":
            return "torch_exact"
        return (
            "torch"
            if self.is_float or self.source.kind == "integer" or not rounded
            else "torchvision"
        )


Builder = Callable[[Build], None]
