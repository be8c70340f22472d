"""A pipeline in the making, and the registration of the functions that add steps to it."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeVar

from jaxprep import ops
from jaxprep.errors import ConfigError
from jaxprep.formats.huggingface.classes import Backend
from jaxprep.formats.huggingface.settings import Settings
from jaxprep.ops.color import with_alpha
from jaxprep.ops.resize import Method, SizeRule
from jaxprep.pipeline.step import FillValue, Layout, Step
from jaxprep.resample.references import ReferenceName
from jaxprep.types import Size

ValueRange = Literal["uint8", "integer", "float", "unit"]
"""The values of an image: uint8; another integer type; floats of any range; floats in [0, 1].

On the PIL backend "unit" is uint8 that was made of floats in [0, 1] and is divided by 255 after the
resize: Pillow resizes nothing but uint8, so `resize` of `transformers/image_transforms.py` converts
forth and back.
"""


class Source(NamedTuple):
    """What images a pipeline is made for.

    Attributes:
        value_range: of their values.
        channels: how many they have, before any conversion to RGB.
        frames: how many their video has, for the classes whose sizes depend on it; 1 elsewhere.

    >>> Source("float", 1).channels
    1
    """

    value_range: ValueRange = "uint8"
    channels: int = 3
    frames: int = 1


@dataclass
class Build:
    """Settings, and the steps made of them so far.

    Attributes:
        sizes: those of all images of a call, for the classes whose results depend on the other
            images; None where not known.
        reference: replaces "pillow", the PIL backend's.
        steps: so far.
        is_float: whether the values are floats after those steps.
        layout: how the class stores results, whatever the setting `data_format` is; None where that
            setting says it.
        is_exact: every bit of the values counts, whatever `exact` of the config is.

    >>> build = Build(Settings("ViTImageProcessor", {"size": 8}), "torchvision", Source())
    >>> build.resize(size=(8, 8))
    >>> build.steps[0].reference
    'torchvision'
    """

    settings: Settings
    backend: Backend
    source: Source
    sizes: tuple[Size, ...] | None = None
    reference: ReferenceName | None = None
    steps: list[Step] = field(default_factory=list)
    is_float: bool = False
    layout: Layout | None = None
    is_exact: bool = False

    def __post_init__(self) -> None:
        value_range = self.source.value_range
        self.is_float = value_range == "float" or (self.on_torch and value_range == "unit")

    @property
    def on_torch(self) -> bool:
        """Whether the torchvision backend is reproduced."""
        return self.backend == "torchvision"

    def add(self, *steps: Step) -> None:
        """Append steps."""
        self.steps += steps

    @contextlib.contextmanager
    def reading(self, prefix: str) -> Iterator[None]:
        """Read settings by other names for a while: with a prefix, where the class has those.

        >>> build = Build(Settings("FlavaImageProcessor", {}), "torchvision", Source())
        >>> with build.reading("codebook_"):
        ...     build.settings.pair("size")
        (112, 112)
        """
        settings = self.settings
        self.settings = settings.under(prefix)
        try:
            yield
        finally:
            self.settings = settings

    def resize(
        self,
        *,
        method: Method | None = None,
        antialias: bool = True,
        rounded: bool = True,
        **rule: Any,
    ) -> None:
        """Append a resize by a rule of `ops.Resize`, with the filter of the settings and the
        arithmetic of the backend.

        Args:
            method: instead of the filter of the settings.
            rounded: False where the class casts to float first.
        """
        self._resample(ops.Resize, method, antialias, rounded, **rule)

    def fit(
        self,
        rule: ops.FitRule,
        fill: FillValue = 0.0,
        *,
        method: Method | None = None,
    ) -> None:
        """Append a resize onto a canvas, with the filter of the settings and the arithmetic of the
        backend.

        Args:
            fill: around the image.
            method: as in `resize`.
        """
        self._resample(ops.Fit, method, rule=rule, fill=fill)

    def _resample(
        self,
        step_class: Any,
        method: Method | None,
        antialias: bool = True,
        rounded: bool = True,
        **fields: Any,
    ) -> None:
        method = method or self.settings.method()
        self._keep_levels()
        reference = self._reference(method, rounded)
        step = step_class(
            method=method, antialias=antialias, reference=reference, rounded=rounded, **fields
        )
        self._add_resize(step, method, rounded)

    def reducing_resize(self, rule: SizeRule, *, method: Method) -> None:
        """Append a resize by a rule of `ops.Resize` with `reducing_gap=2` where Pillow resizes;
        elsewhere, a resize.
        """
        if self.on_torch:
            self.resize(rule=rule, method=method)
            return
        self._keep_levels()
        reference = self.reference or "pillow"
        self._add_resize(ops.ReducingResize(rule, 2.0, method, reference), method, rounded=True)

    def _keep_levels(self) -> None:
        """Undo what a resize before this one left: the second multiplies by 255 again, which gives
        the levels that there were.
        """
        if self._is_unit and self.steps and self.steps[-1] == _TO_UNIT:
            del self.steps[-1]
            self.is_float = False

    @property
    def _is_unit(self) -> bool:
        """Whether Pillow resizes floats in [0, 1]."""
        return self.source.value_range == "unit" and not self.on_torch

    def _add_resize(self, step: Step, method: Method, rounded: bool) -> None:
        has_alpha = self.source.channels in (2, 4) and not self.settings.flag("do_convert_rgb")
        as_pillow = has_alpha and not self.on_torch
        self.add(*(with_alpha(step, method) if as_pillow else (step,)))
        # What follows must know: a float resize has another reference than one of uint8.
        self.is_float = self.is_float or not rounded
        # `resize` of transformers/image_transforms.py divides by 255 again where `do_rescale` was
        # inferred.
        if self._is_unit:
            self.add(_TO_UNIT)
            self.is_float = True

    def _reference(self, method: str, rounded: bool) -> ReferenceName:
        if not self.on_torch:
            return self.reference or "pillow"
        if method == "nearest":
            # `pil_torch_interpolation_mapping` maps PIL's NEAREST to torch's "nearest-exact".
            return "torch_exact"
        if self.is_float or self.source.value_range == "integer" or not rounded:
            # torchvision casts any type but uint8 to float32 before it resizes.
            return "torch"
        return "torchvision"


_TO_UNIT = ops.Rescale(1 / 255, arithmetic="float64")
"""What follows a resize of Pillow where the image came as floats in [0, 1]."""

Operation = Literal["resize", "center_crop", "pad"]
"""What a builder is part of, for who needs that part of a pipeline alone."""


class Builder(NamedTuple):
    """A function that adds steps to a `Build`, and what is known about it.

    Attributes:
        add_steps: the function; it adds nothing where the settings switch it off.
        operation: what its steps are, where someone asks for them alone: `processor.resize(image,
            size)` runs the builders that resize.
        size_key: the setting that holds the size of the operation.
        makes_square: the result is a square where `size` is a `shortest_edge` alone.

    >>> builder_named("center_crop").size_key
    'crop_size'
    """

    add_steps: Callable[[Build], None]
    operation: Operation | None = None
    size_key: str = "size"
    makes_square: bool = False


Function = TypeVar("Function", bound=Callable[..., None])
MODULES = (
    "crop_and_pad",
    "documents",
    "interpolation",
    "patches",
    "resize",
    "resolutions",
    "sequences",
    "slices",
    "tiles",
    "values",
    "videos",
)
"""Of this package, those that have builders. They are imported with the first config, and not with
the format, which is there for files of all libraries: that takes a tenth of a second."""
BUILDERS: dict[str, Builder] = {}
"""The builders of the modules that are imported, by name; see `builder_named`."""


def builder_named(name: str) -> Builder:
    """Return a builder by its name, which is what the `steps` of a row say.

    >>> builder_named("pad").operation
    'pad'
    """
    if name not in BUILDERS:
        for module in MODULES:
            importlib.import_module(f"{__package__}.{module}")
    return BUILDERS[name]


def builder(
    operation: Operation | None = None, size_key: str = "size", makes_square: bool = False
) -> Callable[[Function], Function]:
    """Register a function of a `Build` under its own name; arguments as in `Builder`.

    Raises:
        ConfigError: another module has a builder of that name.

    >>> @builder("pad")
    ... def pad_nothing(build):
    ...     pass
    >>> BUILDERS.pop("pad_nothing").operation
    'pad'
    """

    def register(function: Function) -> Function:
        name = function.__name__
        known = BUILDERS.get(name)
        if known is not None and known.add_steps.__module__ != function.__module__:
            raise ConfigError(
                f"Expected a name that no builder has, got `{name}` of `{function.__module__}`, "
                f"which is one of `{known.add_steps.__module__}`."
            )
        BUILDERS[name] = Builder(function, operation, size_key, makes_square)
        return function

    return register


def builders_of(settings: Settings, backend: Backend, view: str | None = None) -> list[Builder]:
    """Return the builders of a class, in order; of one of its `views`, or of the main result.

    >>> [entry.operation for entry in builders_of(Settings("DetrImageProcessor", {}), "pil")]
    ['resize', None, 'pad']
    """
    return [builder_named(name) for name in settings.row.builder_names(backend, view)]


Part = Literal["all", "unpadded", "resize"]
"""Of the steps of a class: all of them, all but the padding to `pad_size`, or the resize alone."""


def add_steps(build: Build, part: Part = "all", view: str | None = None) -> None:
    """Append the steps of a class, but not the layout of the results; of one of its `views`, or of
    the main result.

    >>> build = Build(Settings("SegformerImageProcessor", {}), "torchvision", Source())
    >>> add_steps(build)
    >>> [type(step).__name__ for step in build.steps]
    ['Resize', 'Normalize']
    """
    if part != "resize":
        _add_to_rgb(build)
    for entry in builders_of(build.settings, build.backend, view):
        # The resize alone is asked for to learn sizes, and to resize maps.
        is_left_out = part == "unpadded" and entry.operation == "pad"
        if part == "resize":
            is_left_out = entry.operation != "resize"
        if not is_left_out:
            entry.add_steps(build)


def _add_to_rgb(build: Build) -> None:
    row = build.settings.row
    if not build.settings.flag("do_convert_rgb") or row.keeps_channels:
        return
    # A step of its own where it has to know where a pixel is.
    if row.alpha == "checkerboard" and build.source.channels == 4:
        build.add(ops.OverCheckerboard())
    else:
        build.add(ops.ToRGB(alpha="white"))
