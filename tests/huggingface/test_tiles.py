"""Images as tiles with a view of all of each: against Transformers' PIL backend live, and its
torchvision backend by goldens."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from goldens import vlm_tiles_cases
from helpers.huggingface.common import original
from helpers.huggingface.vision_language import assert_as_pil, assert_as_torchvision, cases_of
from helpers.images import photograph

from jaxprep import huggingface
from jaxprep.errors import ConfigError
from jaxprep.formats.huggingface import classes
from jaxprep.ops.tile_sizes import AnyResolution

NAMES = sorted(vlm_tiles_cases.SETTINGS)
PIL_NAMES = [name for name in NAMES if "pil" in classes.rows()[name].backends]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PIL_NAMES)
def test_tiles_are_those_of_the_pil_backend(name: str) -> None:
    for case in cases_of("tiles", "pil", name):
        assert_as_pil(case)


@pytest.mark.parametrize("name", NAMES)
def test_tiles_are_those_of_the_torchvision_backend(name: str) -> None:
    for case in cases_of("tiles", "torchvision", name):
        assert_as_torchvision("tiles", case)


# -- grids ---------------------------------------------------------------------------------------


def random_sizes(count: int = 2000) -> list[tuple[int, int]]:
    draws = np.random.default_rng(0).integers(1, 3000, (count, 2)).tolist()
    return [(height, width) for height, width in draws]


@pytest.mark.parametrize("settings", [{}, {"min_patches": 4, "max_patches": 9}])
def test_numbers_of_tiles_of_the_closest_ratio_are_those_of_2000_random_sizes(
    settings: dict,
) -> None:
    name = "GotOcr2ImageProcessor"
    theirs = original(name)(crop_to_patches=True, **settings)
    ours = getattr(huggingface, name)(crop_to_patches=True, **settings)
    for height, width in random_sizes():
        wanted = theirs.get_number_of_image_patches(height, width)
        assert ours.get_number_of_image_patches(height, width) == wanted, (height, width)


def test_resolutions_are_those_of_2000_random_sizes() -> None:
    utils = pytest.importorskip("transformers").image_processing_utils
    for name in ("LlavaNextImageProcessor",):
        pairs = [list(pair) for pair in classes.rows()[name].defaults["image_grid_pinpoints"]]
        rule = AnyResolution(tuple((height, width) for height, width in pairs))
        for size in random_sizes():
            canvas = utils.select_best_resolution(size, pairs)
            image = np.broadcast_to(np.uint8(0), (3, *size))
            content = utils.get_patch_output_size(image, canvas, "channels_first")
            fitted = rule.fit(size)
            assert (fitted.canvas, fitted.content) == (tuple(canvas), tuple(content)), size


# -- calls ---------------------------------------------------------------------------------------

SMALL = {
    "GotOcr2ImageProcessor": vlm_tiles_cases.CROP,
    "LlavaNextImageProcessor": vlm_tiles_cases.CUT,
}


@pytest.mark.parametrize("name", sorted(SMALL))
def test_a_call_inside_jit_gives_what_an_eager_call_gives(name: str) -> None:
    processor = getattr(huggingface, name)(**SMALL[name])
    image = np.asarray(photograph(131, 187))
    eager = processor([image, image], return_tensors="np")
    traced = jax.jit(lambda images: dict(processor(images)))(np.stack([image, image]))
    for key, array in eager.items():
        np.testing.assert_allclose(np.asarray(traced[key]), array, atol=2e-6, err_msg=key)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("GotOcr2ImageProcessor", {"crop_to_patches": True, "max_patches": 10**6}),
        ("LlavaNextImageProcessor", {"image_grid_pinpoints": [[336000, 336000]]}),
        ("LlavaNextImageProcessor", {"image_grid_pinpoints": [[8000, 8000]], "crop_size": 8}),
    ],
)
def test_a_config_that_asks_for_a_million_tiles_is_refused(name: str, settings: dict) -> None:
    with pytest.raises(ConfigError, match="Expected at most"):
        getattr(huggingface, name)(**settings)
