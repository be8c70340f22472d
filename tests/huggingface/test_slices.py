"""Large images in parts: against Transformers' PIL backend live, and its torchvision backend by
goldens."""

from __future__ import annotations

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
from goldens import store, vlm_sequence_sizes, vlm_slices_cases
from goldens.store import FOLDER
from helpers.huggingface.common import TOLERANCE, original
from helpers.huggingface.vision_language import assert_as_pil, assert_as_torchvision, cases_of
from helpers.images import photograph

from jaxprep import huggingface
from jaxprep.errors import ConfigError, InputError
from jaxprep.formats.huggingface import classes
from jaxprep.huggingface.glyphs import connected_parts, size_of_text
from jaxprep.ops.slice_sizes import AreaOfSquare, SliceCanvas, pan_and_scan, slice_grid

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
    # Molmo 2 resizes floats and rounds them: 1 in 20,000 values is a level off.
    tolerance = 1.001 / 127.5 if name.startswith("Molmo2") else TOLERANCE
    for case in cases_of("slices", "torchvision", name):
        assert_as_torchvision("slices", case, tolerance)


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


def test_slices_of_minicpm_are_those_of_2000_random_sizes() -> None:
    processor = original("MiniCPMV4_6ImageProcessor")()
    rng = np.random.default_rng(1)
    for height, width in SIZES:
        side, patch, most = (int(rng.integers(*pair)) for pair in ((56, 600), (7, 20), (1, 13)))
        grid = processor.get_sliced_grid((height, width), most, side)
        assert slice_grid((height, width), side, most) == tuple(grid or (0, 0))
        for mode, merged in (("4x", 2), ("16x", 4)):
            wanted = processor.find_best_resize((height, width), side, patch, mode, grid is None)
            rule = AreaOfSquare(side, patch * merged)
            assert rule.output_size((height, width)) == wanted
            unscaled = processor.find_best_resize((height, width), side, patch, mode)
            assert replace(rule, enlarges=False).output_size((height, width)) == unscaled
            if grid is not None:
                canvas = SliceCanvas(side, patch * merged, most)
                given = (height, width), grid, side, patch, mode, True
                assert canvas.output_size((height, width)) == processor.get_refine_size(*given)


JITTED = {
    "Gemma3ImageProcessor": vlm_slices_cases.SCAN,
    "MiniCPMV4_6ImageProcessor": vlm_slices_cases.CUT,
}
"""For Molmo 2 and Step-3 `test_tiles.py` says the same of sharded batches."""


@pytest.mark.parametrize("name", sorted(JITTED))
def test_a_call_inside_jit_gives_what_an_eager_call_gives(name: str) -> None:
    processor = getattr(huggingface, name)(**JITTED[name])
    eager = processor([LONG, LONG], return_tensors="np")
    traced = jax.jit(lambda images: dict(processor(images)))(np.stack([LONG, LONG]))
    assert sorted(traced) == sorted(eager)
    for key, array in eager.items():
        np.testing.assert_allclose(np.asarray(traced[key]), array, atol=2e-6, err_msg=key)


def test_a_setting_of_pan_and_scan_that_is_missing_is_named() -> None:
    processor = huggingface.Gemma3ImageProcessor(do_pan_and_scan=True)
    with pytest.raises(ConfigError, match="pan_and_scan_min_crop_size"):
        processor(LONG)


def test_a_million_parts_are_refused_before_memory_is_taken() -> None:
    settings = {**vlm_slices_cases.SCAN, "pan_and_scan_min_crop_size": 1}
    with pytest.raises(ConfigError, match="pan_and_scan_max_num_crops"):
        huggingface.Gemma3ImageProcessor(**{**settings, "pan_and_scan_max_num_crops": 10**6})(LONG)
    processor = huggingface.Gemma3ImageProcessor(
        **{**settings, "pan_and_scan_max_num_crops": 4000, "size": 224}
    )
    with pytest.raises(InputError, match="parts of at most"):
        processor(np.zeros((5, 60000, 3), np.uint8))


def test_configs_of_a_million_slices_are_refused() -> None:
    with pytest.raises(ConfigError, match="max_slice_nums"):
        huggingface.MiniCPMV4_6ImageProcessor(max_slice_nums=10**6)
    with pytest.raises(ConfigError, match="at most 334 tiles"):
        huggingface.MiniCPMV4_6ImageProcessor(max_slice_nums=4000)
    with pytest.raises(ConfigError, match="max_crops"):
        huggingface.Molmo2ImageProcessor(max_crops=10**6)
    settings = {"size": {"height": 8, "width": 8}, "patch_size": 8}
    processor = huggingface.Step3p7ImageProcessor(**settings)
    with pytest.raises(InputError, match="at most 4096 parts"):
        processor(np.zeros((1000, 3000, 3), np.uint8))


def test_connected_parts_are_those_of_a_flood_fill() -> None:
    for share in (0.2, 0.4, 0.6):
        mask = np.random.default_rng(0).random((40, 50)) < share
        wanted, seen = [], np.zeros_like(mask)
        for start in np.argwhere(mask).tolist():
            stack, part = [tuple(start)], []
            while stack:
                y, x = stack.pop()
                if not (0 <= y < 40 and 0 <= x < 50) or seen[y, x] or not mask[y, x]:
                    continue
                seen[y, x] = True
                part.append((y, x))
                stack += [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
            if part:
                height, width = np.ptp(part, axis=0) + 1
                wanted.append((len(part), int(height), int(width)))
        parts = connected_parts(mask)
        found = zip(*(values.tolist() for values in parts), strict=True)
        assert sorted(found) == sorted(wanted)


def test_views_of_pages_follow_their_letters_as_minicpm_ocr_finds_them_with_opencv() -> None:
    wanted = json.loads((FOLDER / "vlm_sequence_sizes.json").read_text())["sha256"]
    pages = vlm_sequence_sizes.pages()
    chosen = [size_of_text(page, 448, 84) for page in pages]
    assert set(chosen) == {0, 84, 448}
    assert store.digest(np.asarray(chosen, np.int32)) == wanted["size_of_text"]
    settings = {"small_image_upsize": "adaptive", "scale_resolution": 224}
    processor = huggingface.MiniCPMOcrImageProcessor(**settings)
    sizes = processor(pages, return_tensors="np").target_sizes
    assert store.digest(sizes) == wanted["adaptive"]
    with pytest.raises(InputError, match="adaptive"):
        jax.jit(lambda image: dict(processor(image)))(LONG)
