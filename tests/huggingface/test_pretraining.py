"""DeepSeek-VL Hybrid, LayoutLM without words, ImageGPT and FLAVA: against Transformers' PIL backend
live, and its torchvision backend by goldens."""

from __future__ import annotations

import random
from typing import Any

import jax
import numpy as np
import pytest
from goldens import vlm_odd1_cases
from helpers.huggingface.common import original
from helpers.huggingface.vision_language import assert_as_pil, assert_as_torchvision, cases_of
from helpers.images import photograph

from jaxprep import huggingface
from jaxprep.errors import ConfigError, InputError
from jaxprep.huggingface.flava import MaskingGenerator

NAMES = sorted(vlm_odd1_cases.SETTINGS)
IMAGE = np.asarray(photograph(40, 60))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_results_are_those_of_the_pil_backend(name: str) -> None:
    for case in cases_of("odd1", "pil", name):
        assert_as_pil(case)


@pytest.mark.parametrize("name", NAMES)
def test_results_are_those_of_the_torchvision_backend(name: str) -> None:
    for case in cases_of("odd1", "torchvision", name):
        assert_as_torchvision("odd1", case)


def test_a_call_inside_jit_gives_what_an_eager_call_gives() -> None:
    for name in NAMES[:3]:
        processor = getattr(huggingface, name)(**vlm_odd1_cases.SETTINGS[name][0])
        eager = processor([IMAGE, IMAGE])
        traced = jax.jit(lambda images: dict(processor(images)))(np.stack([IMAGE, IMAGE]))  # noqa: B023
        assert sorted(eager) == sorted(traced)
        for key, array in eager.items():
            np.testing.assert_array_equal(np.asarray(traced[key]), array, name)


def test_the_nearest_colours_are_those_of_exact_distances() -> None:
    colors = np.random.default_rng(0).uniform(-1, 1, (512, 3))
    for backend in ("pil", "torchvision"):
        processor = huggingface.ImageGPTImageProcessor(
            size={"height": 64, "width": 64}, clusters=colors.tolist(), backend=backend
        )
        pixels = processor(IMAGE, do_color_quantize=False, data_format="channels_last")
        values = np.asarray(pixels.pixel_values, np.float64).reshape(-1, 1, 3)
        wanted = np.square(values - colors).sum(-1).argmin(-1)
        np.testing.assert_array_equal(processor(IMAGE).input_ids[0], wanted)


def test_colours_are_asked_for_where_there_are_none() -> None:
    processor = huggingface.ImageGPTImageProcessor()
    with pytest.raises(ConfigError, match="clusters"):
        processor(IMAGE)
    with pytest.raises(ConfigError, match="three numbers"):
        processor(IMAGE, clusters=[[1, 2]])
    with pytest.raises(ConfigError, match=r"1 to 4096 colours, got `\[\]`"):
        processor(IMAGE, clusters=[])
    found = processor(IMAGE, clusters=np.eye(3), size={"height": 2, "width": 2})
    assert found.input_ids.shape == (1, 4)


# -- masks of FLAVA


class Masks(np.ndarray):
    """Zeros as the original makes them by torch."""


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"input_size_patches": 20, "total_mask_patches": 150},
        {"mask_group_max_patches": 30},
        {"mask_group_min_aspect_ratio": 0.5, "mask_group_max_aspect_ratio": 1.5},
        {"mask_group_min_patches": 4, "total_mask_patches": 30},
    ],
)
def test_masks_of_a_seed_are_those_of_the_original(
    settings: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls = original("FlavaImageProcessor")
    module = __import__(cls.__module__, fromlist=["torch"])

    class Torch:
        """The two names of torch that the original draws masks with."""

        int = np.int32

        @staticmethod
        def zeros(shape: Any, dtype: Any) -> np.ndarray:
            return np.zeros(shape, dtype)

    monkeypatch.setattr(module, "torch", Torch, raising=False)
    small = {"size": {"height": 8, "width": 8}, "do_center_crop": False}
    arguments = {**small, **settings, "return_image_mask": True}
    theirs, ours = cls(**arguments), huggingface.FlavaImageProcessorPil(**arguments)
    for seed in range(8):
        random.seed(seed)
        wanted = np.stack(theirs([IMAGE, IMAGE]).bool_masked_pos)
        random.seed(seed)
        found = ours([IMAGE, IMAGE]).bool_masked_pos
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == np.int32


def test_masks_are_refused_where_they_would_be_constants_or_huge() -> None:
    processor = huggingface.FlavaImageProcessor(return_image_mask=True)
    with pytest.raises(InputError, match="return_image_mask"):
        jax.jit(processor)(IMAGE)
    with pytest.raises(ConfigError, match="input_size_patches"):
        processor(IMAGE, input_size_patches=10**6)


def test_single_methods_are_those_of_the_original() -> None:
    pixels = np.moveaxis(IMAGE, -1, 0).astype(np.float32) / 255
    ours = huggingface.FlavaImageProcessor()
    wanted = original("FlavaImageProcessor")().map_pixels(pixels)
    np.testing.assert_allclose(ours.map_pixels(pixels), wanted, atol=1e-6)
    generator = ours.masking_generator(14, 75, 16, None, 0.3, None)
    assert generator == MaskingGenerator(14, 75, 16, 75, 0.3, 1 / 0.3)
    assert generator.get_shape() == (14, 14)
