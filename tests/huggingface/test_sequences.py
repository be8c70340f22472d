"""Sequences of patches, and batches padded to the largest image: against Transformers' PIL backend
live, and its torchvision backend by goldens."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
import pytest
from goldens import store, vlm_sequence_sizes, vlm_sequences_cases
from goldens.store import FOLDER
from helpers.huggingface.vision_language import assert_as_pil, assert_as_torchvision, cases_of
from helpers.images import photograph
from PIL import ImageFont

from jaxprep import huggingface
from jaxprep.errors import ArgumentError, ConfigError, InputError
from jaxprep.formats.huggingface import classes
from jaxprep.formats.huggingface.builders.build import Build, Source
from jaxprep.formats.huggingface.builders.sequences import (
    is_cut,
    merged_grid,
    tile_rule,
    token_area,
)
from jaxprep.formats.huggingface.builders.slices import window_plan
from jaxprep.formats.huggingface.settings import Settings
from jaxprep.ops.sequence_sizes import (
    FeasiblePatches,
    MergedGrid,
    MostPatches,
    PatchesInBox,
    PooledPatches,
    ShrunkIntoBox,
)
from jaxprep.ops.slice_sizes import is_sliver, shrunk
from jaxprep.types import Size

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


JITTED = {
    "Siglip2ImageProcessor": {"max_num_patches": 64},
    "Pix2StructImageProcessor": {"max_patches": 64},
    "Idefics2ImageProcessor": {**vlm_sequences_cases.SIDES, "do_image_splitting": True},
    "FuyuImageProcessor": {"size": {"height": 60, "width": 90}},
    "Lfm2VlImageProcessor": vlm_sequences_cases.TOKENS,
    "NemotronH_Omni_Reasoning_V3ImageProcessor": vlm_sequences_cases.GRIDS,
}


@pytest.mark.parametrize("name", sorted(JITTED))
def test_a_call_inside_jit_gives_what_an_eager_call_gives(name: str) -> None:
    processor = getattr(huggingface, name)(**JITTED[name])
    images = [IMAGE, IMAGE[:90]]
    nested = [[image] for image in images]
    eager = processor(nested, return_tensors="np")
    traced = jax.jit(lambda images: dict(processor(images)))(nested)
    assert sorted(traced) == sorted(eager)
    for key, array in eager.items():
        np.testing.assert_allclose(traced[key], array, rtol=2e-6, atol=2e-6, err_msg=key)


@pytest.mark.parametrize("name", ["Idefics2ImageProcessor", "Idefics2ImageProcessorPil"])
def test_samples_of_levels_are_floats_as_the_zeros_around_them(name: str) -> None:
    processor = getattr(huggingface, name)(do_rescale=False, do_normalize=False, do_resize=False)
    image = photograph(8, 6)
    for tensors in (None, "np"):
        pixels = np.asarray(processor(image, return_tensors=tensors).pixel_values)
        assert pixels.dtype == np.float32
        np.testing.assert_array_equal(pixels[0, 0], np.moveaxis(image, -1, 0))


def test_budgets_beyond_memory_are_refused_before_an_image_is_read() -> None:
    with pytest.raises(ConfigError, match="at most 262144 patches"):
        huggingface.Siglip2ImageProcessor(max_num_patches=10**6)
    for name, settings in {
        "Gemma4": {"patch_size": 1024},
        "Kosmos2_5": {"max_patches": 10**6},
        "Lfm2Vl": {"max_image_tokens": 10**6},
        "NemotronH_Omni_Reasoning_V3": {"min_num_patches": 10**6},
        "Pix2Struct": {"max_patches": 10**6},
    }.items():
        with pytest.raises(ConfigError, match="at most"):
            getattr(huggingface, f"{name}ImageProcessor")(**settings)
    with pytest.raises(ConfigError, match="max_tiles"):
        huggingface.Lfm2VlImageProcessor(max_tiles=10**6)
    # Fewer than parts of any image, and more than a rule of tiles looks at.
    with pytest.raises(ConfigError, match="max_tiles"):
        huggingface.Lfm2VlImageProcessor(max_tiles=4000)
    with pytest.raises(ConfigError, match="max_slice_nums"):
        huggingface.MiniCPMV4_6ImageProcessor(max_slice_nums=4000)


def test_images_that_are_no_whole_patches_or_too_many_are_refused() -> None:
    processor = huggingface.Siglip2ImageProcessor(do_resize=False, max_num_patches=4)
    with pytest.raises(InputError, match="multiples of 16"):
        processor(IMAGE)
    with pytest.raises(InputError, match="at most 4 patches"):
        processor(np.zeros((32, 48, 3), np.uint8))


def test_sizes_of_classes_that_need_torch_are_those_of_2000_sizes() -> None:
    wanted = json.loads((FOLDER / "vlm_sequence_sizes.json").read_text())["sha256"]
    rules: dict[str, Callable[[Size], Sequence[int]]] = {
        "Pix2Struct": FeasiblePatches(16, 2048, "power").output_size,
        "Kosmos2_5": FeasiblePatches(16, 4096, "sqrt").output_size,
        "Gemma4Unified": _pooled,
        "Nemotron": MergedGrid(16, 2, 1024, 13312).output_size,
        "Lfm2Vl": _lfm2,
        "Step3p7": _windows,
        "Molmo2": _crops,
        "Fuyu": ShrunkIntoBox(1080, 1920).output_size,
    }
    for name, rule in rules.items():
        found = [rule((height, width)) for height, width in vlm_sequence_sizes.sizes()]
        assert store.digest(np.asarray(found, np.int32)) == wanted[name], name


def _pooled(size: Size) -> Size:
    try:
        return PooledPatches(16, 3, 2520).output_size(size)
    except InputError:
        return 0, 0


def _lfm2(size: Size) -> list[int]:
    """The size of the whole image, the grid of tiles, and whether it is cut."""
    settings = Settings("Lfm2VlImageProcessor", {})
    whole, rule = token_area(settings).output_size(size), tile_rule(settings)
    assert rule is not None
    return [*whole, *rule.grid(size), 1] if is_cut(settings, size) else [*whole, 1, 1, 0]


def _windows(size: Size) -> list[int]:
    settings = Settings("Step3p7ImageProcessor", {})
    is_square = is_sliver(size)
    size = (max(size), max(size)) if is_square else size
    plan = window_plan(settings, size)
    return [*shrunk(size, 3024), *plan.canvas, plan.window, *plan.grid[::-1], is_square]


@functools.cache
def molmo_2() -> Any:
    return huggingface.Molmo2ImageProcessor()


def _crops(size: Size) -> list[int]:
    processor = molmo_2()
    grids, count = processor.get_image_grid_and_crops(*size)
    return [*grids, count, processor.get_number_of_image_patches(*size)]


@pytest.mark.parametrize("name", ["GotOcr2", "Molmo2", "Qwen2VL", "Step3p7"])
def test_numbers_of_patches_take_the_settings_of_a_call(name: str) -> None:
    processor = getattr(huggingface, f"{name}ImageProcessor")()
    count = processor.get_number_of_image_patches
    # What a call takes beside its settings changes nothing.
    assert count(90, 120, {"return_tensors": "np", "disable_grouping": True}) == count(90, 120)
    with pytest.raises(ArgumentError, match="takes no `unknown`"):
        count(90, 120, {"unknown": 1})


def test_headers_are_those_of_pix2struct() -> None:
    wanted = json.loads((FOLDER / "vlm_sequence_sizes.json").read_text())["sha256"]["render_header"]
    font = ImageFont.load_default(36).font_bytes
    processor = huggingface.Pix2StructImageProcessor(max_patches=16)
    image, text = vlm_sequence_sizes.IMAGE, vlm_sequence_sizes.TEXT
    header = processor.render_header(image, text, font_bytes=font)
    assert store.digest(np.asarray(header)) == wanted
    asked = processor(image, text, is_vqa=True, font_bytes=font)
    drawn = processor(header)
    np.testing.assert_array_equal(asked.flattened_patches, drawn.flattened_patches)
    with pytest.raises(InputError, match="header_text"):
        processor(image, is_vqa=True)
    with pytest.raises(InputError, match="font_path"):
        processor(image, "How many?", is_vqa=True)
    # As wide as its letters, it would have 1.5 billion pixels.
    with pytest.raises(InputError, match="an image with its header"):
        processor.render_header(np.zeros((20_000, 1, 3), np.uint8), text, font_bytes=font)


@pytest.mark.parametrize("name", ["Pix2Struct", "Kosmos2_5"])
def test_images_are_standardized_alone_as_in_a_call(name: str) -> None:
    images = np.array([[[[1, 3, 8]]], [[[5, 5, 5]]]], np.float32)
    # What `normalize` of the torchvision backend gave.
    wanted = np.array([[[[-0.8321, -0.2774, 1.1094]]], [[[0, 0, 0]]]])
    processor = getattr(huggingface, f"{name}ImageProcessor")()
    np.testing.assert_allclose(processor.normalize(images), wanted, atol=5e-5)
    np.testing.assert_allclose(jax.jit(processor.normalize)(images), wanted, atol=5e-5)
    np.testing.assert_allclose(processor.normalize(images[0]), wanted[0], atol=5e-5)
    with pytest.raises(InputError, match="an image or a batch"):
        processor.normalize(np.zeros(3))


@pytest.mark.parametrize("name", ["Pix2Struct", "Kosmos2_5"])
def test_a_class_without_a_factor_ignores_that_it_should_rescale(name: str) -> None:
    processor = getattr(huggingface, f"{name}ImageProcessor")(max_patches=16)
    for key, wanted in processor(IMAGE, return_tensors="np").items():
        result = processor(IMAGE, do_rescale=True, return_tensors="np")[key]
        np.testing.assert_array_equal(result, wanted)


def test_a_class_without_a_filter_resizes_alone_by_the_bilinear() -> None:
    ramp = np.arange(8, dtype=np.uint8).reshape(1, 2, 4) * 30
    # What `Pix2StructImageProcessor().resize(ramp, SizeDict(height=1, width=2))` gave.
    processor = huggingface.Pix2StructImageProcessor()
    resized = processor.resize(ramp, (1, 2), input_data_format="channels_first")
    assert resized.tolist() == [[[81, 129]]]


@pytest.mark.parametrize("name", ["Fuyu", "Idefics3", "LlavaOnevision", "Mllama"])
def test_lists_that_are_nested_in_part_are_refused(name: str) -> None:
    processor = getattr(huggingface, f"{name}ImageProcessor")()
    small = IMAGE[:8, :8]
    for images in ([small, [small, small]], [[small], small, [small]]):
        with pytest.raises(InputError, match="got one with both"):
            processor(images)


def test_the_context_of_nemotron_may_hold_more_than_one_image_has() -> None:
    cls = huggingface.NemotronH_Omni_Reasoning_V3ImageProcessor
    processor = cls(max_num_patches=None, max_model_len=131_072, **vlm_sequences_cases.GRIDS)
    assert processor.pipeline.output_size((320, 640)) == (320, 640)
    # As a call of so many images has them.
    build = Build(cls().config.effective, "torchvision", Source(), sizes=((9, 9),) * 300)
    assert merged_grid(build).output_size((320, 640)) == (384, 736)


def test_patches_of_fuyu_have_a_place_among_the_tokens() -> None:
    processor = huggingface.FuyuImageProcessor()
    canvases = np.random.default_rng(0).normal(size=(2, 2, 3, 60, 90)).astype(np.float32)
    present = np.array([[1, 0], [1, 1]])
    heights, widths = np.full((2, 2), 40), np.full((2, 2), 31)
    found = processor.preprocess_with_tokenizer_info(
        canvases, present, heights, widths, 7, 8, variable_sized=True
    )
    (first, none), (second, third) = found.image_input_ids
    assert first.tolist() == second.tolist() == third.tolist() == [7, 7, 8, 7, 7, 8]
    assert none.size == 0
    indices = [part.tolist() for part in found.image_patch_indices_per_batch[1]]
    assert indices == [[0, 1, -1, 2, 3, -1], [4, 5, -1, 6, 7, -1]]
    assert found.image_patch_indices_per_subsequence[1][1].tolist() == [0, 1, -1, 2, 3, -1]
    patches = processor.patchify_image(canvases[1, 1, :, :, :60])
    np.testing.assert_array_equal(found.image_patches[1][1], patches)
    whole = canvases[1, 1].reshape(3, 2, 30, 3, 30)[:, 0, :, 1].transpose(1, 2, 0)
    np.testing.assert_array_equal(patches[1], whole.reshape(-1))
