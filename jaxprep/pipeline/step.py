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

A step of your own is a frozen dataclass that inherits from one of the four. Read `lower.py` next:
it cuts a tuple of steps into segments.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep import bounds, codec
from jaxprep.errors import ConfigError, InputError
from jaxprep.pipeline import numbers
from jaxprep.resample.tables import AxisStep, checked_axes, output_length
from jaxprep.types import Batch, Size

OVERSHOOT = 4
"""Values after a resize are at most so many times as large: along each axis the absolute weights of
a filter with negative lobes sum to less than 2 (`lanczos5` 1.88, `bicubic` 1.38)."""
FillValue = float | tuple[float, ...]
"""One value per channel, or one for all, in the unit of the values where the step stands."""


class Resampling(NamedTuple):
    """How a geometric step mixes pixels.

    Attributes:
        reference: whose arithmetic is reproduced, a name of `resample.references.REFERENCES`.
        rounded: give integers back as integers; otherwise as float32.

    >>> Resampling("pillow").rounded
    True
    """

    reference: str = "float"
    rounded: bool = True


class Step(ABC):
    """One operation on one image; a frozen dataclass, whose fields are all of it.

    So steps are hashable and equal by value, and their JSON is read off the fields.

    >>> from jaxprep import Batch, ops
    >>> step = ops.Rescale(1 / 255)
    >>> isinstance(step, Step), step.is_random
    (True, False)
    >>> step(Batch(image=np.full((1, 1, 3), 255, np.uint8))).image.tolist()
    [[[1.0, 1.0, 1.0]]]
    """

    tag_key: ClassVar[str] = "step"
    pipeline_type: ClassVar[Any]
    """`Pipeline`, which enters itself here: it stands above the steps and cannot be imported."""

    def __post_init__(self) -> None:
        codec.check_fields(self)
        numbers.check_fields_fit(self)
        self.check()
        numbers.check_stays_finite((self,))

    def check(self) -> None:
        """Raise `ConfigError` where fields contradict each other."""

    def __call__(self, batch: Batch, *, key: Any = None) -> Batch:
        """Run the pipeline of this step alone; see `Pipeline.__call__`."""
        return self.pipeline_type((self,))(batch, key=key)

    @property
    def is_random(self) -> bool:
        """Whether the step draws anything: whether it has a method `draw(key, size)`."""
        # no abstract `draw`: a step that does not define it is deterministic by construction
        return hasattr(self, "draw")

    def describe(self) -> str:
        """Return what the step does, in a line of plain English, for `jaxprep inspect`."""
        data = codec.to_json(self)
        fields = [f"{name} {value}" for name, value in data.items() if name != self.tag_key]
        name = type(self).__name__
        if not fields:
            return name
        return f"{name}: {', '.join(fields)}"

    def undo(self, image: Any) -> Any:
        """Return the values before the step, for `jaxprep.show` and `jaxprep.denormalize`; pixels
        stay where they are. None where they cannot be computed.

        Args:
            image: floating point `(..., h, w, c)`, or what a layout stores; an array of NumPy or of
                JAX, which gives one of the same kind.
        """
        del image
        return None

    def for_mask(self) -> Step | None:
        """Return the step that a mask of the image goes through; None where it stays as it is."""
        return None

    def largest_value(self, largest: float) -> float:
        """Return the largest magnitude that results may have, for values of up to `largest`.

        A config that makes values of photographs infinite is refused by it; see `numbers.py`. A
        step that may enlarge values should override it.
        """
        return largest

    @property
    def largest_stored(self) -> float:
        """The largest number that the type of the results holds, in which they are stored."""
        return numbers.FLOAT32_MAX


# JSON names the class of a step under `tag_key`; all subclasses are read back from there
codec.register(Step, modules=("jaxprep.ops", "jaxprep.augment"))


class Geometry(Step):
    """A step that moves pixels, axis by axis.

    Attributes:
        fill: for what lies outside the source. A field of the steps that need it; on a mask, 0.
        resampling: how pixels are mixed, for steps with a `Resample`; None where they are copied.
        keeps_window: whether the result is a run of the source's rows and columns, maybe reversed
            or padded, so that a resize can share its pass.

    A step that cuts a border of one pixel off:

    >>> from jaxprep.resample.tables import Window
    >>> @dataclasses.dataclass(frozen=True)
    ... class CutBorder(Geometry):
    ...     def axes(self, size, draw=None):
    ...         return (Window(1, size[0] - 2),), (Window(1, size[1] - 2),)
    >>> CutBorder().output_size((8, 6))
    (6, 4)
    """

    fill: FillValue = 0.0
    resampling: ClassVar[Resampling | None] = None
    keeps_window: ClassVar[bool] = True

    @abstractmethod
    def axes(
        self, size: Size, draw: Any = None
    ) -> tuple[tuple[AxisStep, ...], tuple[AxisStep, ...]]:
        """Return the axis steps (`Window`, `Reverse`, `Take`, `Resample`) along the height and the
        width.

        Args:
            size: height and width of the image.
            draw: what `draw` returned, for a random step.
        """

    @property
    def pads(self) -> bool:
        """Whether the result may show what lies outside of the source; a resize does not."""
        return self.resampling is None

    @property
    def static_output_size(self) -> Size | None:
        """The size of every result; None where it depends on the image."""
        return None

    def output_size(self, size: Size) -> Size:
        """Return height and width of the result for an image of `size`.

        Raises:
            InputError: a side of no pixels, or of more than `bounds.MAX_SIDE`; or a random step
                that has no `static_output_size` does not override this.
        """
        if self.is_random:
            if self.static_output_size is not None:
                return self.static_output_size
            raise InputError(
                f"Expected `{type(self).__name__}` to define `static_output_size` or "
                "`output_size`, since what it draws is known only in the program."
            )
        # from the same axis steps that make the tables, so the two cannot disagree
        vertical, horizontal = checked_axes(self, self.axes(size))
        out = output_length(vertical, size[0]), output_length(horizontal, size[1])
        bounds.check_sides(out, type(self).__name__, size)
        return out

    def for_mask(self) -> Geometry:
        # 0 is the class "background" of most masks; the image's fill is a colour
        if "fill" not in codec.field_types(type(self)):
            return self
        return dataclasses.replace(self, fill=0.0)  # type: ignore[type-var]

    def undo(self, image: Any) -> Any:
        return image

    def largest_value(self, largest: float) -> float:
        gain = OVERSHOOT if self.resampling is not None else 1
        return max(gain * largest, float(np.max(np.abs(self.fill))))


class Pointwise(Step):
    """A step that computes each pixel from the same pixel.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Invert(Pointwise):
    ...     def apply(self, image, draw=None):
    ...         return 255 - image
    >>> Invert()(Batch(image=np.zeros((1, 1, 3), np.uint8))).image.tolist()
    [[[255, 255, 255]]]

    Attributes:
        around_resize: where a resize stands between a step that says "before" and one that says
            "after", all three leave images whose size it keeps as they are. Such a step keeps
            shape and dtype.
    """

    around_resize: ClassVar[Literal["before", "after"] | None] = None

    @abstractmethod
    def apply(self, image: Any, draw: Any = None) -> Any:
        """Return the result for one image `(h, w, c)`, or any array whose last axis is the
        channels."""

    def affine(self, draw: Any = None) -> tuple[Any, Any] | None:
        """Return `(scale, offset)` where the step is `scale * x + offset` per channel, float64;
        else None. The result is float32, whatever the dtype of x.

        Consecutive affine steps run as one multiply-add, or, where a pipeline is exact, by a table
        of 256 values that `apply` makes.
        """
        del draw
        return None

    def largest_value(self, largest: float) -> float:
        coefficients = None if self.is_random else self.affine()
        if coefficients is None:
            return largest
        if not isinstance(coefficients, tuple | list) or len(coefficients) != 2:
            raise ConfigError(
                f"Expected `{type(self).__name__}.affine` to return `(scale, offset)`, got "
                f"{codec.shown(coefficients)}."
            )
        return numbers.largest_affine(*coefficients, largest)

    def output_channels(self, channels: int) -> int:
        """Return how many channels come of `channels`.

        Raises:
            InputError: the step takes no image of so many.
        """
        return channels


class Opaque(Step):
    """A step that is any pure function of one image.

    It sees every pixel at once, so its image must fill its array: put a step that gives images one
    size before it where images differ in size.

    >>> @dataclasses.dataclass(frozen=True)
    ... class SubtractMinimum(Opaque):
    ...     def apply(self, image, draw=None):
    ...         return image - image.min()
    >>> SubtractMinimum()(Batch(image=np.full((1, 1, 3), 7, np.uint8))).image.tolist()
    [[[0, 0, 0]]]

    Attributes:
        is_resize: whether it leaves every image as it is whose size it keeps.
    """

    is_resize: ClassVar[bool] = False

    @abstractmethod
    def apply(self, image: Any, draw: Any = None) -> Any:
        """Return the result `(h', w', c')` for one image `(h, w, c)`."""

    def output_size(self, size: Size) -> Size:
        """Return height and width of the result for an image of `size`."""
        return size

    def output_channels(self, channels: int) -> int:
        """Return how many channels come of `channels`."""
        return channels

    def matrix(self, size: Size, draw: Any = None) -> Any:
        """Return where positions go: `(3, 3)`, for `(x, y, 1)` in pixels from the top-left corner.

        None where pixels stay where they are. Boxes and keypoints follow it; for masks, see
        `for_mask`.
        """
        del size, draw
        return None

    @classmethod
    def moves_positions(cls) -> bool:
        """Return whether the class defines `matrix`, so that boxes, keypoints and masks move."""
        return cls.matrix is not Opaque.matrix

    def for_mask(self) -> Step | None:
        """Return the step that a mask goes through; None where it stays as it is.

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
        by_channel: whether `store` reads along the rows of one channel, rather than along pixels.
        stores_views: whether `store` only splits, moves and repeats axes, and takes arrays of NumPy
            too: an eager call then does so where it copies results to the caller's array.
        keeps_corner: whether the result for an image in the corner of a larger array is the corner
            of the result for that array, `shape(size, channels)` of it. Otherwise images of
            different sizes are compiled for one by one.
        multiple: height and width that fit into every array which `store` is given a whole number
            of times, where results have different sizes: a property of layouts that cut something
            off otherwise.
        is_input: whether it reads images instead: the first step of a pipeline.

    >>> from jaxprep import ops
    >>> layout = ops.ChannelsFirst()
    >>> layout.planar, layout.shape((2, 4), channels=3)
    (True, (3, 2, 4))
    """

    planar: ClassVar[bool] = False
    by_channel: ClassVar[bool] = False
    stores_views: ClassVar[bool] = False
    keeps_corner: ClassVar[bool] = False
    multiple: ClassVar[Size] = (1, 1)
    is_input: ClassVar[bool] = False

    @abstractmethod
    def store(self, image: Any) -> Any:
        """Return the array that one image `(h, w, c)` is stored as."""

    @abstractmethod
    def shape(self, size: Size, channels: int) -> tuple[int, ...]:
        """Return the shape of that array."""


KINDS = (Geometry, Pointwise, Opaque, Layout)


class Sometimes(Step):
    """Base class, beside one of the kinds, of random steps that leave some images as they are.

    What is left out is chosen by the draw alone, so that all shapes stay as they are. A step that
    changes the size of images cannot leave one out: random crops have no such rule.

    Attributes:
        probability: of changing an image.
        every: only images whose `index` is a multiple of it are changed: one of so many in the
            stream.

    >>> from jaxprep import augment
    >>> issubclass(augment.RandomFlip, Sometimes)
    True
    """

    probability: float = 1.0
    every: int = 1

    def __post_init__(self) -> None:
        codec.check_fields(self)
        if not 0 <= self.probability <= 1:
            raise codec.expected("a probability, 0 to 1", self.probability, "$.probability")
        if not 1 <= self.every < 2**31:
            raise codec.expected("a number of images, at least 1", self.every, "$.every")
        super().__post_init__()

    @abstractmethod
    def unchanged(self, draw: Any) -> Any:
        """Return the draw, of the same structure and shapes as `draw`, that changes nothing."""

    def sometimes(self, draw: Any, index: Any, unit: Any) -> Any:
        """Return a draw, or the one that changes nothing.

        Args:
            index: of the image in its stream.
            unit: a uniform number in [0, 1).
        """
        happens = True
        if self.probability < 1:
            happens = unit < np.float32(self.probability)
        if self.every > 1:
            happens = happens & (jnp.asarray(index) % self.every == 0)
        if happens is True:
            return draw

        def choose(changed: Any, unchanged: Any) -> Any:
            changed = jnp.asarray(changed)
            return jnp.where(happens, changed, jnp.asarray(unchanged, changed.dtype))

        return jax.tree.map(choose, draw, self.unchanged(draw))

    def undo(self, image: Any) -> Any:
        # what was drawn is what a picture shall show
        return image

    def how_often(self) -> str:
        """Return the end of a description: how often the step changes an image."""
        words = ""
        if self.probability < 1:
            words += f", with probability {self.probability:g}"
        if self.every > 1:
            words += f", one image of {self.every}"
        return words


class Mix(ABC):
    """What combines the examples of a batch, after all steps: a frozen dataclass.

    >>> from jaxprep import augment
    >>> isinstance(augment.Mixing(mixup=0.2), Mix)
    True
    """

    tag_key: ClassVar[str] = "mix"

    @abstractmethod
    def draw(self, key: Any, count: int) -> Any:
        """Return all that is drawn for a batch of `count` examples."""

    def describe(self) -> str:
        """Return what is combined, in a line of plain English, for `jaxprep inspect`."""
        data = codec.to_json(self)
        fields = [f"{name} {value}" for name, value in data.items() if name != self.tag_key]
        return ", ".join(fields)

    def checked(self, batch: Batch) -> Batch:
        """Return the batch with labels and weights as arrays, before any step runs.

        Raises:
            InputError: they are not what is combined.
        """
        return batch

    @abstractmethod
    def __call__(self, batch: Batch, key: Any = None, *, draw: Any = None) -> Batch:
        """Return the combined batch; `draw` is used instead of drawing."""


codec.register(Mix, modules=("jaxprep.augment",))


def on_image(step: Step, image: Any, draws: Any = None) -> Any:
    """Apply a step to one image `(h, w, c)`, outside of any batch.

    Args:
        draws: what the step shall use instead of drawing.

    Raises:
        InputError: the image has another rank.

    >>> from jaxprep import ops
    >>> on_image(ops.CenterCrop((2, 2)), np.zeros((4, 4, 3), np.uint8)).shape
    (2, 2, 3)
    """
    image = image if hasattr(image, "ndim") else np.asarray(image)
    if image.ndim != 3:
        raise InputError(
            f"Expected one image (h, w, c), got shape {image.shape} - at `image`. Batches go to a "
            "`Pipeline`."
        )
    return step.pipeline_type((step,))(Batch(image=image), draws=draws).image


def fill_value(fill: FillValue, dtype: Any) -> np.ndarray:
    """Return the fill as an array of the image's dtype, clipped to the range of that; integers are
    rounded.

    >>> fill_value((0.0, 127.5, 300.0), np.uint8).tolist()
    [0, 128, 255]
    """
    # NumPy, so that it is a constant of the program; in float64, as float32 holds no int32 above
    # 2**24 exactly
    values = np.asarray(fill, np.float64)
    if dtype == jnp.bool_:
        return values.astype(dtype)
    info: Any = jnp.iinfo(dtype) if jnp.issubdtype(dtype, jnp.integer) else jnp.finfo(dtype)
    if jnp.issubdtype(dtype, jnp.integer):
        values = np.round(values)
    return np.clip(values, float(info.min), float(info.max)).astype(dtype)


def as_size(value: Any) -> Any:
    """Return a number as the square of that side; anything else unchanged.

    >>> as_size(224), as_size((224, 112))
    ((224, 224), (224, 112))
    """
    # a bool is an int in Python; the check of the field refuses it afterwards
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        return value
    return (value, value)
