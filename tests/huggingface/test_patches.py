"""Rows of patches with a grid: against Transformers' PIL backend live, and its torchvision backend
by goldens."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from goldens import vlm_patches_cases
from helpers.huggingface.common import original
from helpers.huggingface.vision_language import assert_as_pil, assert_as_torchvision, cases_of
from helpers.images import photograph

from jaxprep import huggingface
from jaxprep.formats.huggingface import classes

NAMES = sorted(vlm_patches_cases.SETTINGS)
PIL_NAMES = [name for name in NAMES if "pil" in classes.rows()[name].backends]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PIL_NAMES)
def test_patches_and_grids_are_those_of_the_pil_backend(name: str) -> None:
    for case in cases_of("patches", "pil", name):
        assert_as_pil(case)


@pytest.mark.parametrize("name", NAMES)
def test_patches_and_grids_are_those_of_the_torchvision_backend(name: str) -> None:
    for case in cases_of("patches", "torchvision", name):
        assert_as_torchvision("patches", case)


@pytest.mark.parametrize("name", PIL_NAMES)
def test_numbers_of_patches_are_those_of_2000_random_sizes(name: str) -> None:
    theirs = original(name)()
    ours = getattr(huggingface, name)()
    for height, width in np.random.default_rng(0).integers(30, 3000, (2000, 2)).tolist():
        wanted = theirs.get_number_of_image_patches(height, width, {})
        assert ours.get_number_of_image_patches(height, width) == wanted, (height, width)


def test_a_call_inside_jit_gives_what_an_eager_call_gives() -> None:
    processor = huggingface.Qwen2VLImageProcessor(max_pixels=20000)
    image = np.asarray(photograph(131, 187))
    eager = processor([image, image], return_tensors="np")
    traced = jax.jit(lambda images: dict(processor(images)))(np.stack([image, image]))
    for name, array in eager.items():
        np.testing.assert_array_equal(np.asarray(traced[name]), array)
