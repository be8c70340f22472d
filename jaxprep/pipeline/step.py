"""The four kinds of step. A step is a frozen dataclass that says what it does to one image.

| kind | says | examples |
|---|---|---|
| `Geometry` | what happens along each axis | resize, crop, pad, flip |
| `Pointwise` | what happens to each pixel by itself | rescale, normalise, colours |
| `Opaque` | any function of one image | blur, rotation, a function of your own |
| `Layout` | how the result is stored | channels first, patches |

A step of any of the first three kinds is random if it has a method `draw(key, size)`: what that
returns (a pytree of arrays) is passed to its other methods as `draw`, and nothing else about it is
random. `Pipeline` runs steps by what they say here; it knows none of them by name. Concrete steps
are in `jaxprep.ops`.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, ClassVar, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxprep import codec
from jaxprep.errors import ConfigError, InputError
from jaxprep.resample.tables import AxisStep, output_length
from jaxprep.types import Batch, Size

MAX_PIXELS = 2**28
"""No step makes an image of more pixels; a config that asks for more is refused."""
FillValue = float | tuple[float, ...]
"""One value per channel, or one for all, in the unit of the values where the step stands."""


class Resampling(NamedTuple):
    """How a geometric step mixes pixels.

    Attributes:
        reference: whose arithmetic is reproduced, a name of `resample.references.REFERENCES`.
        rounded: give integers back as integers; otherwise as float32.
    """

    reference: str = "float"
    rounded: bool = True


class Step(ABC):
    """One operation on one image; a frozen dataclass, whose fields are all of it."""

    tag_key: ClassVar[str] = "step"
    pipeline_type: ClassVar[Any]
    """`Pipeline`, which enters itself here: it stands above the steps and cannot be imported."""

    def __post_init__(self) -> None:
        codec.check_fields(self)
        self.check()

    def check(self) -> None:
        """Raises `ConfigError` where fields contradict each other."""

    def __call__(self, batch: Batch, *, key: Any = None) -> Batch:
        """Runs the pipeline of this step alone; see `Pipeline.__call__`."""
        return self.pipeline_type((self,))(batch, key=key)

    @property
    def is_random(self) -> bool:
        """Whether the step draws anything: whether it has a method `draw(key, size)`."""
        return hasattr(self, "draw")

    def describe(self) -> str:
        """What the step does, in a line of plain English, for `jaxprep inspect`."""
        data = codec.to_json(self)
        fields = [f"{name} {value}" for name, value in data.items() if name != self.tag_key]
        return type(self).__name__ + (f": {', '.join(fields)}" if fields else "")

    def undo(self, image: np.ndarray) -> np.ndarray | None:
        """The values `(h, w, c)` float64 before the step, for `jaxprep show`; pixels stay where they
        are. None where they cannot be told.
        """
        del image
        return None

    def for_mask(self) -> Step | None:
        """The step that a mask of the image goes through; None where it stays as it is."""
        return None


codec.register(Step)


class Geometry(Step):
    """A step that moves pixels, axis by axis.

    Attributes:
        fill: for what lies outside the source. A field of the steps that need it; on a mask, 0.
        resampling: how pixels are mixed, for steps with a `Resample`; None where they are copied.
        keeps_window: whether the result is a run of the source's rows and columns, maybe reversed
            or padded, so that a resize can share its pass.
    """

    fill: FillValue = 0.0
    resampling: ClassVar[Resampling | None] = None
    keeps_window: ClassVar[bool] = True

    @abstractmethod
    def axes(
        self, size: Size, draw: Any = None
    ) -> tuple[tuple[AxisStep, ...], tuple[AxisStep, ...]]:
        """The axis steps (`Window`, `Reverse`, `Take`, `Resample`) along the height and the width.

        Args:
            size: height and width of the image.
            draw: what `draw` returned, for a random step.
        """

    @property
    def static_output_size(self) -> Size | None:
        """The size of every result; None where it depends on the image."""
        return None

    def output_size(self, size: Size) -> Size:
        """Height and width of the result for an image of `size`.

        Raises:
            InputError: a random step that has no `static_output_size` does not override this.
        """
        if self.is_random:
            if self.static_output_size is not None:
                return self.static_output_size
            raise InputError(
                f"Expected `{type(self).__name__}` to define `static_output_size` or `output_size`, "
                "since what it draws is known only in the program."
            )
        vertical, horizontal = self.axes(size)
        return output_length(vertical, size[0]), output_length(horizontal, size[1])

    def for_mask(self) -> Geometry:
        if "fill" not in codec.field_types(type(self)):
            return self
        return dataclasses.replace(self, fill=0.0)  # type: ignore[type-var]

    def undo(self, image: np.ndarray) -> np.ndarray | None:
        return image


class Pointwise(Step):
    """A step that computes each pixel from the same pixel."""

    @abstractmethod
    def apply(self, image: Any, draw: Any = None) -> Any:
        """The result for one image `(h, w, c)`, or any array whose last axis is the channels."""

    def affine(self, draw: Any = None) -> tuple[Any, Any] | None:
        """`(scale, offset)` where the step is `scale * x + offset` per channel, float64; else None.
        The result is float32, whatever the dtype of x.

        Steps of one affine after another run as one multiply-add, or, where a pipeline is exact, by
        a table of 256 values that `apply` makes.
        """
        del draw
        return None

    def output_channels(self, channels: int) -> int:
        """How many channels come of `channels`.

        Raises:
            InputError: the step takes no image of so many.
        """
        return channels


class Opaque(Step):
    """A step that is any pure function of one image.

    It sees the whole image, so that its image must fill its array: put a step that gives images one
    size before it where images differ in size.
    """

    @abstractmethod
    def apply(self, image: Any, draw: Any = None) -> Any:
        """The result `(h', w', c')` for one image `(h, w, c)`."""

    def output_size(self, size: Size) -> Size:
        """Height and width of the result for an image of `size`."""
        return size

    def output_channels(self, channels: int) -> int:
        """How many channels come of `channels`."""
        return channels

    def matrix(self, size: Size, draw: Any = None) -> Any:
        """Where positions go: `(3, 3)`, for `(x, y, 1)` in pixels from the top-left corner.

        None where pixels stay where they are. Boxes and keypoints follow it; for masks, see
        `for_mask`.
        """
        del size, draw
        return None

    @classmethod
    def moves_positions(cls) -> bool:
        """Whether the class defines `matrix`, so that boxes, keypoints and masks move."""
        return cls.matrix is not Opaque.matrix

    def for_mask(self) -> Step | None:
        """The step that a mask goes through; None where it stays as it is.

        Raises:
            ConfigError: the step defines `matrix`, but not what happens to a mask.
        """
        if self.moves_positions():
            name = type(self).__name__
            raise ConfigError(
                f"Expected `{name}.for_mask` to return the step that a mask goes through, as "
                f"`{name}.matrix` moves positions: `self` where `{name}` mixes no pixels."
            )
        return None


class Layout(Step):
    """How the result is stored; the last step of a pipeline.

    Attributes:
        planar: whether it is `(c, h, w)`, which the last pass then writes itself.
        keeps_corner: whether the result for an image in the corner of a larger array is the corner
            of the result for that array, `shape(size, channels)` of it. Otherwise images of
            different sizes are compiled for one by one.
        is_input: whether it reads images instead: the first step of a pipeline.
    """

    planar: ClassVar[bool] = False
    keeps_corner: ClassVar[bool] = False
    is_input: ClassVar[bool] = False

    @abstractmethod
    def store(self, image: Any) -> Any:
        """The array that one image `(h, w, c)` is stored as."""

    @abstractmethod
    def shape(self, size: Size, channels: int) -> tuple[int, ...]:
        """The shape of that array."""


KINDS = (Geometry, Pointwise, Opaque, Layout)


def on_image(step: Step, image: Any, draws: Any = None) -> Any:
    """Applies a step to one image `(h, w, c)`, outside of any batch.

    Args:
        draws: what the step shall use instead of drawing.

    Raises:
        InputError: the image has another rank.
    """
    image = image if hasattr(image, "ndim") else np.asarray(image)
    if image.ndim != 3:
        raise InputError(
            f"Expected one image (h, w, c), got shape {image.shape} - at `image`. Batches go to a "
            "`Pipeline`."
        )
    return step.pipeline_type((step,))(Batch(image=image), draws=draws).image


def fill_value(fill: FillValue, dtype: Any) -> np.ndarray:
    """The fill as an array of the image's dtype; integers are clipped to their range."""
    values = np.asarray(fill, np.float32)
    if jnp.issubdtype(dtype, jnp.integer):
        info = jnp.iinfo(dtype)
        rounded = np.round(np.asarray(fill, np.float64))
        values = np.clip(rounded, info.min, info.max)
    return values.astype(dtype)


def as_size(value: Any) -> Any:
    """A number as the square of that side; anything else unchanged."""
    is_number = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return (value, value) if is_number else value


def check_size(size: Size | None, where: str) -> None:
    """Raises `ConfigError` unless both sides are at least 1 and the area is at most
    `MAX_PIXELS`."""
    if size is None:
        return
    if min(size) < 1:
        raise codec.expected("a height and width of at least 1", size, where)
    if size[0] * size[1] > MAX_PIXELS:
        raise codec.expected(f"at most {MAX_PIXELS} pixels", size, where)
