"""Draws a picture of what a model will see: `jaxprep.show` and `jaxprep show`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxprep import codec, presets
from jaxprep.augment.recipes import Recipe
from jaxprep.errors import InputError
from jaxprep.formats import Format, HuggingFace
from jaxprep.host.decode import Alpha
from jaxprep.looking.photos import Photo, preprocessed, read_photo
from jaxprep.pipeline import Pipeline
from jaxprep.pipeline.positions import position_matrix
from jaxprep.pipeline.undo import undone
from jaxprep.settings import with_default_settings
from jaxprep.training import draw_grid, recipes, training_pipeline
from jaxprep.types import Size, by

if TYPE_CHECKING:
    from jaxprep.looking.panels import Box, Picture

MAX_DRAWS = 256
"""More would be a picture of some 100 megapixels."""


@with_default_settings
def show(
    preset: str | os.PathLike[str] | Format | Pipeline | Any,
    photo: Any,
    *,
    recipe: str | Recipe | None = None,
    draws: int | None = None,
    seed: int = 0,
    alpha: Alpha = "drop",
    title: str | None = None,
    **overrides: Any,
) -> Picture:
    """Draw what a model sees of a photograph; a notebook displays it.

    On the left the photograph with the region that the model gets, and what is added around it as
    padding; on the right what the model sees, with the normalisation undone, patches and tiles put
    together. With a recipe, or a pipeline with random steps: a grid of what training draws of the
    photograph, a cell for each index of a stream.

    Args:
        preset: a name or a path; a preprocessor, converter or processor; a config; a `Pipeline`.
        photo: an image file; a video file or the frames of one `(t, h, w, c)`, of which the first
            is taken; a PIL image; an array `(h, w, c)`, uint8 in [0, 255] or as the preset takes
            it.
        recipe: of training, one of `jaxprep.recipes()`, or a `jaxprep.augment.Recipe`.
        draws: how many draws to show, 1 to 256; 8 by default.
        seed: of the key that draws: the same seed draws the same again.
        alpha: of image files with transparency: "drop" keeps the stored colours, "white" lays them
            over white.
        title: of the preset, in the caption; by default its name.
        overrides: as in `jaxprep.presets.load`.

    Returns:
        the picture: `picture.save("cat.png")` writes it, `picture.image` is a PIL image.

    Raises:
        JaxprepError: a preset or a photograph that cannot be used.

    >>> from jaxprep import data
    >>> picture = show("timm/resnet50.a1_in1k", data.photo("chelsea"), image_size=32)
    >>> picture.image.size
    (1169, 513)
    """
    config = presets.config_of(preset, **overrides)
    if not isinstance(title, str | None):
        raise InputError(f"Expected a text, got {codec.shown(title)} - at `title`.")
    title = title or name_of(preset, config)
    if recipe is not None or draws is not None or config.pipeline.unmixed.is_random:
        return _shown_draws(config, photo, recipe, draws, seed, alpha, title)
    from jaxprep.looking.panels import picture  # imports PIL

    read = read_photo(photo, config, alpha)
    pixels = undone(preprocessed(read, config), config.pipeline)
    box = kept_box(config.pipeline, read.size)
    sizes = f"{by(read.size)} -> {by(config.pipeline.output_size(read.size))}"
    return picture(read.pixels, box, pixels, (read.name, sizes, title))


def _shown_draws(
    config: Format,
    photo: Any,
    recipe: str | Recipe | None,
    draws: int | None,
    seed: int,
    alpha: Alpha,
    title: str,
) -> Picture:
    """Draw a grid of what training draws of a photograph."""
    from PIL import Image

    from jaxprep.looking.panels import enlarged, in_a_row

    count = 8 if draws is None else draws
    if not isinstance(count, int | np.integer) or not 1 <= count <= MAX_DRAWS:
        raise InputError(f"Expected 1 to {MAX_DRAWS} draws, got {codec.shown(count)} - at `draws`.")
    if not isinstance(seed, int | np.integer) or not -(2**31) <= seed < 2**32:
        raise InputError(f"Expected an integer of 32 bits, got {codec.shown(seed)} - at `seed`.")
    pipeline = config.pipeline.unmixed
    if recipe is not None:
        pipeline = training_pipeline(config, recipe, mixing=False)
    elif not pipeline.is_random:
        raise InputError(
            f"Expected a recipe, as `{title}` draws nothing - at `draws`: name one of "
            f"{list(recipes())} as `recipe`."
        )
    read: Photo = read_photo(photo, config, alpha)
    grid = draw_grid(pipeline, read.image, count=count, key=jax.random.key(seed))
    what = recipe if isinstance(recipe, str) else "drawn"
    caption = (read.name, f"{what}, seed {seed}", title)
    return in_a_row([enlarged(Image.fromarray(grid))], caption)


def name_of(preset: Any, config: Format) -> str:
    """Return what a preset is called in a caption.

    >>> from jaxprep.formats import Timm
    >>> name_of("timm/resnet50", Timm()), name_of(Timm(), Timm())
    ('timm/resnet50', 'Timm')
    """
    if isinstance(preset, str | os.PathLike):
        return os.fspath(preset)
    if isinstance(config, HuggingFace):
        return config.class_name
    return type(preset if isinstance(preset, Pipeline) else config).__name__


def kept_box(pipeline: Pipeline, size: Size) -> Box:
    """Return the region of an image of `size` that its result shows: the result's corners, mapped
    back.

    >>> from jaxprep import ops
    >>> kept_box(Pipeline((ops.CenterCrop(2),)), (4, 6)) == (2, 1, 4, 3)
    True
    """
    from jaxprep.looking.panels import Box

    height, width = pipeline.output_size(size)
    inverse = np.linalg.inv(position_matrix(pipeline.segments, size))
    corners = inverse @ np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]])
    x, y = corners[:2] / corners[2]
    # A mirrored image has its left edge on the right.
    return Box(left=x.min(), top=y.min(), right=x.max(), bottom=y.max())
