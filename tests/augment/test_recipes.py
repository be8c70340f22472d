"""Training recipes: their numbers, the pipelines that presets make of them, and what these keep."""

from __future__ import annotations

import dataclasses
import json

import jax
import numpy as np
import pytest
from helpers.images import noise

import jaxprep
from jaxprep import Batch, Pipeline
from jaxprep.augment.recipes import RECIPES, Recipe
from jaxprep.errors import ConfigError, InputError, PresetNotFoundError
from jaxprep.training import draw_grid

KEY = jax.random.key(5)
PRESET = "timm/resnet50.a1_in1k"


@pytest.mark.parametrize("name", RECIPES)
def test_every_number_of_a_recipe_has_a_source(name):
    recipe = RECIPES[name]
    sourced = set()
    for fields, link in recipe.sources:
        sourced |= set(fields.split(", "))
        assert link.startswith("https://")
    own = set()
    for field in dataclasses.fields(Recipe):
        if field.default is not dataclasses.MISSING and field.default != getattr(
            recipe, field.name
        ):
            own.add(field.name)
    assert own <= sourced
    assert sourced <= {field.name for field in dataclasses.fields(Recipe)}


@pytest.mark.parametrize("mixing", [True, False])
@pytest.mark.parametrize("name", jaxprep.recipes())
def test_a_training_pipeline_is_saved_as_JSON(name, mixing):
    pipeline = jaxprep.training_pipeline(PRESET, name, mixing=mixing)
    assert Pipeline.from_json(json.loads(json.dumps(pipeline.to_json()))) == pipeline
    if not mixing:
        assert pipeline.mixing is None


def test_an_unknown_recipe_is_refused_with_the_nearest_name():
    with pytest.raises(PresetNotFoundError, match="Nearest: timm/rsb-a2"):
        jaxprep.training_pipeline(PRESET, recipe="rsb-a2")


def test_a_preset_without_one_size_wants_an_image_size():
    name = "torchvision/FCN_ResNet50_Weights.COCO_WITH_VOC_LABELS_V1"
    with pytest.raises(ConfigError, match="image_size="):
        jaxprep.training_pipeline(name, recipe="timm/rsb-a2")
    assert jaxprep.training_pipeline(name, recipe="timm/rsb-a2", image_size=32)


def test_a_grid_shows_what_the_pipeline_draws_for_each_index():
    pipeline = jaxprep.training_pipeline(PRESET, "torchvision/v1", image_size=12)
    image = noise(20, 26, 3)
    grid = draw_grid(pipeline, image, key=KEY, count=3, columns=2, border=2)
    assert grid.shape == (30, 30, 3)
    batch = Batch(image=np.stack([image] * 3), index=np.arange(3))
    # the levels before they were normalised, from the same draws
    levels = Pipeline(pipeline.steps[:3])(batch, draws=pipeline.draw(KEY, batch)[:3]).image
    np.testing.assert_array_equal(grid[2:14, 16:28], levels[1])
    np.testing.assert_array_equal(grid[16:28, 2:14], levels[2])
    assert (grid[16:28, 16:28] == 255).all()
    with pytest.raises(InputError, match="random steps"):
        draw_grid(Pipeline(), image, key=KEY)
