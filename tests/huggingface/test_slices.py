"""Large images in parts: against Transformers' PIL backend live, and its torchvision backend by
goldens."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from goldens import vlm_slices_cases
from helpers.huggingface.common import original
from helpers.huggingface.vision_language import assert_as_pil, assert_as_torchvision, cases_of
from helpers.images import photograph

from jaxprep import huggingface
from jaxprep.errors import ConfigError, InputError
from jaxprep.formats.huggingface import classes
from jaxprep.ops.slice_sizes import pan_and_scan

NAMES = sorted(vlm_slices_cases.SETTINGS)
PIL_NAMES = [name for name in NAMES if "pil" in classes.rows()[name].backends]
SIZES = np.random.default_rng(0).integers(1, 4000, (2000, 2)).tolist()
LONG = np.asarray(photograph(41, 187))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PIL_NAMES)
def test_results_are_those_of_the_pil_backend(name: str) -> None:
    for case in cases_of("slices", "pil", name):
        assert_as_pil(case)


@pytest.mark.parametrize("name", NAMES)
def test_results_are_those_of_the_torchvision_backend(name: str) -> None:
    for case in cases_of("slices", "torchvision", name):
        assert_as_torchvision("slices", case)


def test_cuts_of_gemma_3_are_those_of_2000_random_sizes() -> None:
    processor = original("Gemma3ImageProcessor")()
    rng = np.random.default_rng(1)
    for height, width in SIZES:
        least, most = int(rng.integers(1, 400)), int(rng.integers(1, 12))
        ratio = float(rng.uniform(1, 3))
        image = np.broadcast_to(np.uint8(0), (3, height, width))
        wanted = [part.shape[1:] for part in processor.pan_and_scan(image, least, most, ratio)]
        cuts = pan_and_scan((height, width), least, most, ratio)
        assert [(cut.height, cut.width) for cut in cuts] == wanted, (height, width)


def test_a_call_inside_jit_gives_what_an_eager_call_gives() -> None:
    processor = huggingface.Gemma3ImageProcessor(**vlm_slices_cases.SCAN)
    eager = processor([LONG, LONG], return_tensors="np")
    traced = jax.jit(lambda images: dict(processor(images)))(np.stack([LONG, LONG]))
    for name, array in eager.items():
        np.testing.assert_array_equal(np.asarray(traced[name]), array)


def test_a_setting_of_pan_and_scan_that_is_missing_is_named() -> None:
    processor = huggingface.Gemma3ImageProcessor(do_pan_and_scan=True)
    with pytest.raises(ConfigError, match="pan_and_scan_min_crop_size"):
        processor(LONG)


def test_a_million_parts_are_refused_before_memory_is_taken() -> None:
    settings = {**vlm_slices_cases.SCAN, "pan_and_scan_min_crop_size": 1}
    with pytest.raises(ConfigError, match="pan_and_scan_max_num_crops"):
        huggingface.Gemma3ImageProcessor(**{**settings, "pan_and_scan_max_num_crops": 10**6})(LONG)
    processor = huggingface.Gemma3ImageProcessor(
        **{**settings, "pan_and_scan_max_num_crops": 60000, "size": 224}
    )
    with pytest.raises(InputError, match="parts of at most"):
        processor(np.zeros((5, 60000, 3), np.uint8))
