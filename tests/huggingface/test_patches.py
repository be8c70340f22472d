"""Rows of patches with a grid, and images of such sizes padded to one: against Transformers' PIL
backend live, and its torchvision backend by goldens."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from goldens import vlm_patches_cases, vlm_sizes
from helpers.huggingface.common import original
from helpers.huggingface.vision_language import assert_as_pil, assert_as_torchvision, cases_of
from helpers.images import photograph
from PIL import Image

from jaxprep import huggingface
from jaxprep.errors import ConfigError, InputError, JaxprepError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface import classes
from jaxprep.huggingface.patches import grid_results

NAMES = sorted(vlm_patches_cases.CASES)
PIL_NAMES = [name for name in NAMES if "pil" in classes.rows()[name].backends]
COUNTED = [name for name in PIL_NAMES if name != "Emu3ImageProcessor"]
SIZES = json.loads((Path(vlm_sizes.__file__).with_name("vlm_sizes.json")).read_text())["records"]
EDGES = {"shortest_edge": 3136, "longest_edge": 20000}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PIL_NAMES)
def test_patches_and_grids_are_those_of_the_pil_backend(name: str) -> None:
    for case in cases_of("patches", "pil", name):
        assert_as_pil(case)


@pytest.mark.parametrize("name", NAMES)
def test_patches_and_grids_are_those_of_the_torchvision_backend(name: str) -> None:
    for case in cases_of("patches", "torchvision", name):
        assert_as_torchvision("patches", case)


# -- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COUNTED)
def test_numbers_of_patches_are_those_of_2000_random_sizes(name: str) -> None:
    theirs = original(name)()
    ours = getattr(huggingface, name)()
    for size in vlm_sizes.sizes(3000):
        wanted = vlm_sizes.attempt(
            lambda *sides: theirs.get_number_of_image_patches(*sides, {}), *size
        )
        assert vlm_sizes.attempt(ours.get_number_of_image_patches, *size) == wanted, size


@pytest.mark.parametrize("record", SIZES, ids=lambda record: record["class"])
def test_sizes_are_those_of_the_torchvision_class_for_2000_random_sizes(record: dict) -> None:
    config = HuggingFace(record["class"], record["settings"])
    if record["class"].startswith("Inkling"):
        (name,) = config.row.sizes
        function: Any = lambda *size: grid_results(config, [size])[name].tolist()  # noqa: E731
    elif record["class"].startswith("Kimi"):
        function = lambda *size: config.pipeline.output_size(size)  # noqa: E731
    else:
        function = lambda *size: config.resize_pipeline.output_size(size)  # noqa: E731
    results = [vlm_sizes.attempt(function, *size) for size in vlm_sizes.sizes(record["highest"])]
    assert vlm_sizes.digest(results) == record["sha256"]


def test_sizes_of_emu3_are_those_of_2000_random_sizes() -> None:
    original("Emu3ImageProcessor")
    module = importlib.import_module("transformers.models.emu3.image_processing_emu3")
    resize = HuggingFace("Emu3ImageProcessor").resize_pipeline
    for size in vlm_sizes.sizes(3000):
        wanted = vlm_sizes.attempt(module.smart_resize, *size, 8, 512**2, 1024**2)
        assert vlm_sizes.attempt(lambda *sides: resize.output_size(sides), *size) == wanted, size


def test_glm5_next_resizes_an_image_to_what_the_original_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    theirs = original("Glm5NextImageProcessor")()
    backends = importlib.import_module("transformers.image_processing_backends")
    resized: list[Any] = []

    def resize(self: Any, image: Any, size: Any, **kwargs: Any) -> Any:
        resized.append((size.height, size.width))
        return np.broadcast_to(image[:, :1, :1], (3, *resized[-1]))

    monkeypatch.setattr(backends.PilBackend, "resize", resize)
    (step,) = HuggingFace("Glm5NextImageProcessor", backend="pil").resize_pipeline.steps
    for size in vlm_sizes.sizes(700)[:500]:
        resized[:] = [size]
        image = np.broadcast_to(np.uint8(0), (3, *size))
        budget = {"min_image_tokens": 16, "max_image_tokens": 100}
        theirs.resize(image, resample=3, factor=28, temporal_factor=2, **budget)
        rule = type(step.rule)(28, 16, 100, 2, 2)
        assert rule.fit(size).content == resized[-1], size


# -- settings ------------------------------------------------------------------------------------


def grid_thw(processor: Any, image: Any, **settings: Any) -> Any:
    config = processor._with_call_settings(settings)
    return grid_results(config, [image.shape[:2]])["image_grid_thw"].tolist()[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("call", [{"max_pixels": 20000}, {"size": EDGES}, {"min_pixels": 50000}])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"max_pixels": 60000},
        {"min_pixels": 9000, "max_pixels": 60000},
        {"size": {"min_pixels": 3136, "max_pixels": 9000}, "min_pixels": 4000, "max_pixels": 9999},
        {"size": {"shortest_edge": 4000}, "max_pixels": 9000},
    ],
)
def test_numbers_of_pixels_replace_each_other_as_in_the_original(
    settings: dict, call: dict
) -> None:
    image = photograph(191, 260)
    theirs = original("Qwen2VLImageProcessor")(**json.loads(json.dumps(settings)))
    wanted = theirs(image, return_tensors="np", **call)["image_grid_thw"].tolist()[0]
    ours = huggingface.Qwen2VLImageProcessor(**settings)
    assert grid_thw(ours, image, **call) == wanted
    ours.size = EDGES
    theirs.size = EDGES
    assert ours.get_number_of_image_patches(191, 260) == theirs.get_number_of_image_patches(
        191, 260
    )


@pytest.mark.parametrize("size", [56, {"shortest_edge": 3136}, {"height": 56, "width": 56}])
def test_a_size_that_is_no_pair_of_bounds_is_refused_where_the_processor_is_made(size: Any) -> None:
    with pytest.raises(ConfigError, match="shortest_edge, longest_edge"):
        huggingface.Qwen2VLImageProcessor(size=size)


def test_sides_that_are_no_multiples_are_refused_without_a_resize() -> None:
    processor = huggingface.Qwen2VLImageProcessor(do_resize=False)
    with pytest.raises(InputError, match="multiples of 28"):
        processor(photograph(56, 57))
    assert grid_thw(processor, photograph(56, 84)) == [1, 4, 6]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("Qwen2VLImageProcessor", {"min_pixels": 2**39, "max_pixels": 2**40}),
        ("Qwen2VLImageProcessor", {"patch_size": 10**6}),
        ("Qwen2VLImageProcessor", {"patch_size": 20000}),
        ("Qwen2VLImageProcessor", {"temporal_patch_size": 10**6}),
        ("Qwen2VLImageProcessor", {"merge_size": 10**6}),
        ("MuseGlimmerImageProcessor", {"patch_size": 10**6}),
        ("Glm5NextImageProcessor", {"min_image_tokens": 10**6, "max_image_tokens": 10**7}),
        ("GlmgaImageProcessor", {"patch_expand_factor": 10**6}),
        ("Kimi_K25ImageProcessor", {"merge_size": 10**6}),
        ("NeoMMEImageProcessor", {"size": {"min_pixels": 10**11, "max_pixels": 10**12}}),
        ("NeoMMEImageProcessor", {"patch_size": 10**6}),
        ("InklingImageProcessor", {"rescale_image_frac": 10**6}),
        (
            "InklingImageProcessor",
            {"rescale_image_frac": 1000.0, "rescale_image_max_upscaled_long_edge": None},
        ),
        ("Inkling2ImageProcessor", {"size": {"height": 10**6, "width": 10**6}}),
        ("Emu3ImageProcessor", {"min_pixels": 10**11, "max_pixels": 10**12}),
        ("Apertus1p5ImageProcessor", {"spatial_factor": 10**6}),
    ],
)
def test_what_asks_for_enormous_results_is_one_error_before_memory_is_taken(
    name: str, settings: dict
) -> None:
    with pytest.raises(JaxprepError):
        getattr(huggingface, name)(**settings)(photograph(191, 260))


def test_a_size_that_minimax_published_and_never_used_is_that_of_the_class() -> None:
    processor = huggingface.MiniMaxM3VLImageProcessor(size=[672, 672], max_pixels=20000)
    assert processor.size == {"shortest_edge": 3136, "longest_edge": 20000}
    assert huggingface.MiniMaxM3VLImageProcessor(size=[672, 672]).size.longest_edge == 451584


def test_the_former_name_of_ernie_has_its_backends() -> None:
    former = huggingface.Ernie4_5_VL_MoeImageProcessor
    assert former is huggingface.Ernie4_5_VLMoeImageProcessor
    assert huggingface.Ernie4_5_VL_MoeImageProcessorPil().backend == "pil"


# -- calls ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings", "channels"),
    [
        ("Qwen2VLImageProcessor", {"max_pixels": 20000}, 3),
        ("Inkling2ImageProcessor", {}, 4),
        ("Glm5NextImageProcessor", {"max_image_tokens": 30}, 3),
    ],
)
def test_a_call_inside_jit_gives_what_an_eager_call_gives(
    name: str, settings: dict, channels: int
) -> None:
    processor = getattr(huggingface, name)(**settings)
    image = np.asarray(photograph(131, 187))
    image = np.concatenate([image, image[::-1]], -1)[..., :channels]
    eager = processor([image, image], return_tensors="np")
    traced = jax.jit(lambda images: dict(processor(images)))(np.stack([image, image]))
    assert set(traced) == set(eager)
    for name, array in eager.items():
        np.testing.assert_array_equal(np.asarray(traced[name]), array)


def test_images_of_two_sizes_inside_jit_are_padded_to_one() -> None:
    size = {"min_pixels": 3136, "max_pixels": 20000}
    processor = huggingface.Apertus1p5ImageProcessor(size=size)
    images = [photograph(131, 187), photograph(191, 101)]
    eager = processor(images, return_tensors="np")
    traced = jax.jit(lambda *pair: processor(list(pair)).pixel_values)(*images)
    np.testing.assert_array_equal(np.asarray(traced), eager["pixel_values"])
    assert eager["image_sizes"].tolist() == [[112, 160], [192, 96]]


def test_an_image_with_alpha_that_is_no_8_bits_is_refused_by_the_checkerboard() -> None:
    with pytest.raises(InputError, match="checkerboard"):
        huggingface.Inkling2ImageProcessor()(np.zeros((50, 40, 4), np.float32))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("settings", [{}, {"do_normalize": False}, {"do_rescale": False}])
def test_emu3_makes_pictures_of_what_it_generates(settings: dict) -> None:
    images = np.random.default_rng(0).normal(size=(2, 3, 5, 6)).astype(np.float32)
    theirs, ours = original("Emu3ImageProcessor")(), huggingface.Emu3ImageProcessor()
    if not settings:
        wanted = theirs.postprocess(list(images))["pixel_values"]
        found = ours.postprocess(list(images))["pixel_values"]
        for one, other in zip(found, wanted, strict=True):
            np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
        pictures = [Image.new("RGB", (4, 4))]
        assert ours.postprocess(pictures) is pictures[0]
        return
    # without PIL images the original takes a batch apart by its channels
    wanted = np.asarray(
        theirs.postprocess(list(images), return_tensors="np", **settings)["pixel_values"]
    )
    found = ours.postprocess(list(images), return_tensors="np", **settings)["pixel_values"]
    np.testing.assert_allclose(np.asarray(found), wanted.reshape(found.shape), rtol=2e-6, atol=2e-6)
    unnormalized = theirs.unnormalize(images[0], [0.5] * 3, 0.25, "channels_first")
    np.testing.assert_allclose(
        ours.unnormalize(images[0], [0.5] * 3, 0.25), unnormalized, atol=1e-6
    )


def test_what_is_stored_too_often_is_refused_outside_of_jit_too() -> None:
    size = {"shortest_edge": 1_200_000, "longest_edge": 1_300_000}
    processor = huggingface.Qwen2VLImageProcessor(temporal_patch_size=64, size=size)
    with pytest.raises(InputError, match="to store at most"):
        processor(np.zeros((100, 100, 3), np.uint8))


def test_patches_of_images_of_two_types_are_of_the_wider_one() -> None:
    switches = {"do_normalize": False, "do_rescale": False}
    processor = huggingface.Qwen2VLImageProcessor(do_resize=False, **switches)
    images = [np.full((28, 28, 3), 3, np.uint8), np.full((28, 28, 3), 0.5, np.float32)]
    patches = np.asarray(processor(images).pixel_values)
    assert patches.dtype == np.float32
    np.testing.assert_array_equal(patches[:4], 3)
    np.testing.assert_array_equal(patches[4:], 0.5)
