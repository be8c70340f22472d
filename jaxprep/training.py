"""Makes training pipelines: what a preset gives to its model, with the augmentation of a recipe.

The preset says the size, the mean and standard deviation, the interpolation and whose arithmetic
resizes; the recipe says what is drawn. The recipes are in `augment/recipes.py`.
"""

from __future__ import annotations

import dataclasses
import difflib
import math
import os
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8

from jaxprep import codec, ops, presets
from jaxprep.augment import RandomFlip, RandomResizedCrop
from jaxprep.augment.policies import Policy
from jaxprep.augment.recipes import RECIPES, Recipe
from jaxprep.errors import ConfigError, InputError, PresetNotFoundError
from jaxprep.formats import Format
from jaxprep.formats.values import as_image_size
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.step import Geometry, Layout, Opaque, Pointwise, Step
from jaxprep.pipeline.undo import undone
from jaxprep.types import Batch, Size

__all__ = [
    "draw_grid",
    "find_recipe",
    "recipes",
    "training_pipeline",
]


def recipes() -> tuple[str, ...]:
    """Return the names of the published training recipes.

    >>> "timm/rsb-a2" in recipes()
    True
    """
    return tuple(RECIPES)


def find_recipe(name: str) -> Recipe:
    """Return the recipe of a name: its numbers, and where they are published.

    Args:
        name: one of `recipes()`.

    Raises:
        PresetNotFoundError: no such recipe; the message has the names.

    >>> find_recipe("timm/rsb-a3").image_size
    160
    """
    if isinstance(name, str) and name in RECIPES:
        return RECIPES[name]
    near = difflib.get_close_matches(str(name).lower(), RECIPES, n=1, cutoff=0.5)
    hint = f" Nearest: {near[0]}." if near else ""
    raise PresetNotFoundError(
        f"Expected one of the recipes {list(RECIPES)}, got {codec.shown(name)}.{hint}"
    )


def training_pipeline(
    preset: str | os.PathLike[str] | Format | Pipeline | Any,
    recipe: str | Recipe,
    *,
    mixing: bool = True,
    num_classes: int | None = None,
    image_size: int | Size | None = None,
    scope: Literal["global", "device"] = "global",
    **overrides: Any,
) -> Pipeline:
    """Return the pipeline that trains a preset's model with a published recipe.

    It is called with a `Batch` of `image`, `label`, `weight` and `index`, a `key`, and for images
    of different sizes a `plan`: `pipeline(batch, key=key, plan=pipeline.plan(sizes))`. Example i is
    augmented by its `index`, whatever is beside it. Save it as JSON by `to_json`.

    What is not in it: rsb and DeiT III train with a binary loss on the mixed labels, which is the
    loss's business (`optax.sigmoid_binary_cross_entropy`); repeated augmentation (rsb, DeiT,
    torchvision v2) is the sampler's: give each repeated example an `index` of its own. Examples are
    paired with the reversed batch, as timm does; torchvision and big_vision pair neighbours.

    Args:
        preset: a name or a path, a config, or what a classifier is evaluated with: a pipeline, or a
            preprocessor that has one. It says the size, mean, standard deviation, interpolation and
            whose arithmetic resizes.
        recipe: one of `recipes()`, or a `jaxprep.augment.Recipe` of your own.
        mixing: False leaves out what mixes examples; labels then stay as they are (smooth them in
            the loss), and single images are taken, too.
        num_classes: of integer labels, which become `(n, num_classes)` probabilities where the
            recipe mixes; by default that of the recipe's data set, ImageNet-1k.
        image_size: height and width of the training images; by default the recipe's, if it has its
            own (torchvision v2: 176, rsb A3: 160), else the preset's.
        scope: how examples are paired; see `augment.Mixing`.
        overrides: what `jaxprep.presets.load` takes, such as `interpolation` or `data_format`.

    Raises:
        PresetNotFoundError: no such preset or recipe.
        ConfigError: the preset has no size for all images, or a step that the recipe cannot follow.

    >>> pipeline = training_pipeline(
    ...     "timm/resnet50.a1_in1k", recipe="timm/rsb-a2", num_classes=10, image_size=16
    ... )
    >>> [type(step).__name__ for step in pipeline.steps[:4]]
    ['ToRGB', 'RandomResizedCrop', 'RandomFlip', 'RandAugment']
    >>> pipeline.mixing.num_classes  # so labels come out as (batch, 10)
    10
    """
    if not isinstance(mixing, bool):
        raise codec.expected("`bool`", mixing, "mixing")
    numbers = recipe if isinstance(recipe, Recipe) else find_recipe(recipe)
    try:
        config = presets.config_of(preset, **overrides)
    except ConfigError as error:
        near = [name for word in overrides for name in _near_arguments(word)]
        if not near:
            raise
        raise ConfigError(f"{error} Nearest argument of `training_pipeline`: {near[0]}.") from error
    given = _Preset.of(config.pipeline)
    size = as_image_size(image_size, "image_size") or _size_of(numbers, config)
    crop = _crop(numbers, given, size)
    values = given.values
    layout = [step for step in values if isinstance(step, Layout)]
    values = [step for step in values if not isinstance(step, Layout)]
    flip = (RandomFlip(numbers.flip),) if numbers.flip else ()
    erasing = () if numbers.erasing is None else (numbers.erasing,)
    colors = tuple(_with_settings(step, numbers, given) for step in numbers.colors)
    steps = (
        *given.before,
        *crop,
        *given.after,
        *flip,
        *colors,
        *values,
        *erasing,
        *layout,
    )
    mix = numbers.mixing if mixing else None
    if mix is not None:
        classes = numbers.num_classes if num_classes is None else num_classes
        mix = dataclasses.replace(mix, num_classes=classes, scope=scope)
    return Pipeline(steps, exact=config.pipeline.exact, mixing=mix)


def draw_grid(
    pipeline: Pipeline,
    image: Any,
    *,
    key: Any,
    count: int = 8,
    columns: int | None = None,
    border: int = 4,
) -> UInt8[np.ndarray, "height width 3"]:
    """Return a picture of what a training pipeline draws of one image: a grid, in reading order.

    Cell i is `pipeline(batch, key=key)` for the example of index i, without mixing, and with the
    normalisation undone. What each cell drew is `pipeline.draw(key, batch)`.

    Args:
        pipeline: with random steps.
        image: `(h, w, c)`, as the pipeline takes it.
        key: a `jax.random` key.
        count: of cells.
        columns: how many cells a row has; by default as many as there are rows, up to twice.
        border: white pixels around the cells.

    Raises:
        InputError: nothing is drawn, an image of another shape, or a number below 1.

    >>> import jax
    >>> pipeline = training_pipeline("timm/resnet50.a1_in1k", "torchvision/v1", image_size=16)
    >>> image = np.zeros((20, 30, 3), np.uint8)
    >>> draw_grid(pipeline, image, key=jax.random.key(0), count=3, border=1).shape
    (18, 52, 3)
    """
    if not isinstance(pipeline, Pipeline) or not pipeline.unmixed.is_random:
        raise InputError(f"Expected a pipeline with random steps, got {codec.shown(pipeline)}.")
    if count < 1 or border < 0 or (columns is not None and columns < 1):
        raise InputError(
            "Expected at least one cell and one column, and a border of at least 0, got "
            f"count={count}, columns={columns}, border={border}."
        )
    image = np.asarray(image)
    if image.ndim != 3:
        raise InputError(f"Expected one image (h, w, c), got shape {image.shape} - at `image`.")
    cells = []
    for index in range(count):
        batch = Batch(image=image[None], index=np.array([index], np.int32))
        result = pipeline.unmixed(batch, key=key).image
        cells.append(undone(np.asarray(result[0]), pipeline))
    columns = min(columns or _columns(count), count)
    rows = math.ceil(count / columns)
    height, width, _ = cells[0].shape
    step_y, step_x = height + border, width + border
    grid = np.full((rows * step_y + border, columns * step_x + border, 3), 255, np.uint8)
    for i, cell in enumerate(cells):
        top = border + i // columns * step_y
        left = border + i % columns * step_x
        grid[top : top + height, left : left + width] = cell
    return grid


def _columns(count: int) -> int:
    """The columns of a grid that is about as wide as tall, or twice, full if it can be."""
    most = math.ceil(math.sqrt(2 * count))
    for columns in range(most, math.isqrt(count - 1), -1):
        if count % columns == 0:
            return columns
    return most


def _near_arguments(word: str) -> list[str]:
    """The argument of `training_pipeline` that a field of a preset, which is none, may be meant
    for."""
    names = ("recipe", "mixing", "num_classes", "image_size", "scope")
    return difflib.get_close_matches(word, names, n=1, cutoff=0.6)


def _size_of(recipe: Recipe, config: Format) -> Size:
    if recipe.image_size is not None:
        return recipe.image_size, recipe.image_size
    if config.image_size is None:
        raise ConfigError(
            "Expected a preset that gives all images one size, got one whose results differ - at "
            "`preset`: pass `image_size=`."
        )
    return config.image_size


@dataclasses.dataclass(frozen=True)
class _Preset:
    """What a training pipeline takes over of a preset's pipeline.

    Attributes:
        before, after: colour conversions, before and after the geometry.
        resize: the step that resizes; None where none does.
        values: what makes the model's values of levels, and the layout.
    """

    before: tuple[Step, ...]
    after: tuple[Step, ...]
    resize: ops.Resize | None
    values: tuple[Step, ...]

    @classmethod
    def of(cls, pipeline: Pipeline) -> _Preset:
        before: list[Step] = []
        after: list[Step] = []
        values: list[Step] = []
        resize = None
        has_geometry = False
        for step in pipeline.steps:
            if isinstance(step, Opaque) or step.is_random:
                raise ConfigError(
                    f"Expected a preset of resizes, crops and pointwise steps, got "
                    f"`{type(step).__name__}`, which a recipe cannot follow - at `preset`."
                )
            if isinstance(step, ops.Resize):
                resize = step
            if isinstance(step, Geometry):
                # the recipe's crop takes its place
                has_geometry = True
            elif values or _makes_values(step):
                values.append(step)
            else:
                (after if has_geometry else before).append(step)
        return cls(tuple(before), tuple(after), resize, tuple(values))

    def mean_level(self) -> tuple[float, ...]:
        """The levels that the model sees as 0, rounded: one per channel, or one for all."""
        scale, offset = np.float64(1), np.float64(0)
        for step in self.values:
            coefficients = step.affine() if isinstance(step, Pointwise) else None
            if coefficients is not None:
                scale = scale * coefficients[0]
                offset = offset * coefficients[0] + coefficients[1]
        # `round(255 * mean)`: what is within rounding errors of a half rounds as the half does
        levels = np.round(np.round(np.atleast_1d(-offset / scale), 6))
        return tuple(float(level) for level in np.clip(levels, 0, 255))


def _makes_values(step: Step) -> bool:
    """Whether a step ends the colour conversions: it rescales, changes the type, or is a layout."""
    if isinstance(step, Layout):
        return not step.is_input
    is_affine = isinstance(step, Pointwise) and step.affine() is not None
    return is_affine or isinstance(step, ops.Cast)


_TRAINED_REFERENCES = {"pillow": "pillow12", "pillow12": "pillow12", "torchvision": "torchvision"}
"""Whose arithmetic a random crop has, whose weights are made in the program; else "float"."""


def _crop(recipe: Recipe, preset: _Preset, size: Size) -> tuple[Step, ...]:
    """The steps that give images the training size."""
    resize = preset.resize
    method = recipe.interpolation or ("bilinear" if resize is None else resize.method)
    reference = _TRAINED_REFERENCES.get("" if resize is None else resize.reference, "float")
    options: dict[str, Any] = {"method": method, "reference": reference}
    # Pillow always antialiases
    options["antialias"] = reference == "pillow12" or resize is None or resize.antialias
    if recipe.arithmetic == "tensorflow":
        options |= {"reference": "float", "antialias": False, "rounded": False}
    if recipe.crop == "stretch":
        steps: tuple[Step, ...] = (ops.Resize(size, **options),)
    else:
        window = {"scale": recipe.scale, "ratio": recipe.ratio, "rule": recipe.rule}
        steps = (RandomResizedCrop(size, **window, **options),)
    if recipe.arithmetic == "tensorflow":
        # `get_resize` of big_vision/pp/ops_image.py casts to uint8
        return (*steps, ops.Cast("uint8", truncated=True))
    return steps


def _with_settings(step: Step, recipe: Recipe, preset: _Preset) -> Step:
    """A step of a recipe, with the interpolation and the fill that follow the preset."""
    if not isinstance(step, Policy):
        return step
    changes: dict[str, Any] = {"fill": recipe.policy_fill}
    if recipe.policy_fill == "mean":
        changes["fill"] = preset.mean_level()
    if recipe.policy_method == "crop":
        resize = preset.resize
        changes["method"] = recipe.interpolation or (resize.method if resize else "bilinear")
    return dataclasses.replace(step, **changes)  # type: ignore[type-var]


def __dir__() -> list[str]:
    return sorted(__all__)
