"""Sequences of patches, and batches padded to the largest image: against Transformers' PIL backend
live, and its torchvision backend by goldens."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from goldens import vlm_sequences_cases
from helpers.huggingface.vision_language import assert_as_pil, assert_as_torchvision, cases_of
from helpers.images import photograph

from jaxprep import huggingface
from jaxprep.errors import ConfigError, InputError
from jaxprep.formats.huggingface import classes
from jaxprep.ops.sequence_sizes import MostPatches, PatchesInBox

NAMES = sorted(vlm_sequences_cases.SETTINGS)
PIL_NAMES = [
    name for name, row in classes.rows().items() if name in NAMES and "pil" in row.backends
]
IMAGE = np.asarray(photograph(131, 187))
SIZES = np.random.default_rng(0).integers(1, 4000, (2000, 2)).tolist()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PIL_NAMES)
def test_results_are_those_of_the_pil_backend(name: str) -> None:
    for case in cases_of("sequences", "pil", name):
        assert_as_pil(case)


@pytest.mark.parametrize("name", NAMES)
def test_results_are_those_of_the_torchvision_backend(name: str) -> None:
    for case in cases_of("sequences", "torchvision", name):
        assert_as_torchvision("sequences", case)


def test_sizes_of_siglip_2_are_those_of_2000_random_sizes() -> None:
    module = pytest.importorskip("transformers.models.siglip2.image_processing_pil_siglip2")
    rng = np.random.default_rng(1)
    for height, width in SIZES:
        patch_size, budget = int(rng.integers(8, 33)), int(rng.integers(1, 1025))
        wanted = module.get_image_size_for_max_num_patches(height, width, patch_size, budget)
        found = MostPatches(patch_size, budget).output_size((height, width))
        assert found == wanted, (height, width)


def test_sizes_of_pixtral_are_those_of_2000_random_sizes() -> None:
    module = pytest.importorskip("transformers.models.pixtral.image_processing_pil_pixtral")
    rng = np.random.default_rng(1)
    for height, width in SIZES:
        box = tuple(rng.integers(32, 2000, 2).tolist())
        patch = tuple(rng.integers(2, 33, 2).tolist())
        image = np.broadcast_to(np.uint8(0), (3, height, width))
        wanted = module.get_resize_output_image_size(image, box, patch, "channels_first")
        assert PatchesInBox(*box, *patch).output_size((height, width)) == wanted, (height, width)


@pytest.mark.parametrize("name", ["Siglip2ImageProcessor"])
def test_a_call_inside_jit_gives_what_an_eager_call_gives(name: str) -> None:
    processor = getattr(huggingface, name)(max_num_patches=64)
    eager = processor([IMAGE, IMAGE], return_tensors="np")
    traced = jax.jit(lambda images: dict(processor(images)))(np.stack([IMAGE, IMAGE]))
    listed = jax.jit(lambda *images: dict(processor(list(images))))(IMAGE, IMAGE[:90])
    other = processor(IMAGE[:90], return_tensors="np")
    for key, array in eager.items():
        np.testing.assert_array_equal(np.asarray(traced[key]), array)
        np.testing.assert_array_equal(np.asarray(listed[key][1:]), other[key])


def test_budgets_beyond_memory_are_refused_before_an_image_is_read() -> None:
    with pytest.raises(ConfigError, match="at most 262144 patches"):
        huggingface.Siglip2ImageProcessor(max_num_patches=10**6)


def test_images_that_are_no_whole_patches_or_too_many_are_refused() -> None:
    processor = huggingface.Siglip2ImageProcessor(do_resize=False, max_num_patches=4)
    with pytest.raises(InputError, match="multiples of 16"):
        processor(IMAGE)
    with pytest.raises(InputError, match="at most 4 patches"):
        processor(np.zeros((32, 48, 3), np.uint8))
