"""Compiling ahead: after it no image waits for a program; and the cap on the programs bounds."""

from __future__ import annotations

import gc
from dataclasses import dataclass

import jax
import numpy as np
import pytest
from helpers.compilations import compilations
from PIL import Image

import jaxprep
from jaxprep import Batch, Pipeline, bounds, ops
from jaxprep.errors import InputError
from jaxprep.huggingface import (
    BaseImageProcessor,
    PPOCRV5ServerRecImageProcessor,
    ViTImageProcessor,
)
from jaxprep.pipeline import eager

NORMALISED = (ops.Rescale(1 / 255), ops.Normalize((0.5,) * 3, (0.25,) * 3))


@dataclass(frozen=True)
class UpsideDown(ops.Opaque):
    """A step that sees the whole array."""

    def apply(self, image, draw=None):
        return image[::-1]


CROPPED = Pipeline(
    (ops.Resize(shortest_edge=40, reference="pillow"), ops.CenterCrop(36), *NORMALISED)
)
RAGGED = Pipeline((ops.Resize(shortest_edge=20, reference="pillow"), *NORMALISED))
FIXED = Pipeline((ops.Resize((30, 20), reference="pillow"),))


@pytest.fixture(autouse=True)
def nothing_is_ready(monkeypatch):
    monkeypatch.setattr(bounds.programs(), "limit", 1000)
    eager.forget_ready()
    yield
    eager.forget_ready()


def random_images(count: int, largest: tuple[int, int], smallest: int = 1) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    heights, widths = (rng.integers(smallest, n + 1, count) for n in largest)
    return [rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in zip(heights, widths)]


@pytest.mark.parametrize(
    "pipeline, smallest, batch_sizes",
    [(CROPPED, 1, (1, 2)), (RAGGED, 48, 1)],
    ids=["crop", "ragged"],
)
def test_after_a_warm_up_images_of_any_size_compile_nothing(
    pipeline, smallest, batch_sizes, quick_compilation
):
    preprocessor = jaxprep.ImageClassifierPreprocessor(pipeline)
    largest = (130, 270)
    count = preprocessor.warm_up(largest=largest, batch_sizes=batch_sizes)
    images = random_images(200, largest, smallest)
    with compilations() as compiled:
        for image in images:
            preprocessor(image)
        for start in range(0, 200, np.max(batch_sizes)):
            preprocessor(images[start : start + np.max(batch_sizes)])
    assert compiled == []
    assert 3 <= count <= 16


def test_an_image_that_another_program_serves_has_the_pixels_of_pillow(quick_compilation):
    FIXED.warm_up([(400, 390), (390, 130)])
    served = 0
    for image in random_images(12, (380, 380)):
        own, used = (
            eager.program_of(FIXED.lowered, image.shape[:2], 3, np.uint8, may_share=may_share)
            for may_share in (False, True)
        )
        served += own != used
        want = Image.fromarray(image).resize((20, 30), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(FIXED(Batch(image=image)).image, want)
    assert served > 3


def test_an_opaque_step_sees_no_more_than_its_image(quick_compilation):
    small = Pipeline((ops.Resize((8, 8), reference="pillow"), UpsideDown()))
    large = Pipeline((ops.Resize((12, 12), reference="pillow"), UpsideDown()))
    image = random_images(1, (50, 50))[0]
    want = small(Batch(image=image)).image
    large.warm_up([image.shape[:2]])
    np.testing.assert_array_equal(small(Batch(image=image)).image, want)


def test_a_warm_up_of_sizes_compiles_the_buckets_of_those_alone(quick_compilation):
    sizes = [(300, 200), (310, 200), (40, 40)]
    assert RAGGED.warm_up(sizes) == len({RAGGED.bucket(size) for size in sizes}) == 2
    with compilations() as compiled:
        for size in sizes:
            RAGGED(Batch(image=np.zeros((*size, 3), np.uint8)))
    assert compiled == []


def test_image_processors_are_warmed_up(quick_compilation):
    vit = ViTImageProcessor(size={"height": 12, "width": 10})
    timm = BaseImageProcessor.from_dict(
        {"pretrained_cfg": {"input_size": [3, 8, 8]}, "architecture": "resnet18"}
    )
    images = random_images(30, (90, 90), 8)
    for processor in (vit, timm):
        processor.warm_up(largest=(90, 90))
        with compilations() as compiled:
            for image in images:
                processor(image)
        assert compiled == []


@pytest.mark.parametrize(
    "settings, message",
    [
        ({}, "got neither"),
        ({"sizes": [(3, 3)], "largest": (4, 4)}, "got both"),
        ({"sizes": [3, 3]}, "sizes"),
        ({"largest": (9000, 9000)}, "larger images have a program for each size"),
        ({"sizes": [(3, 3)], "batch_sizes": (0,)}, "`batch_sizes`"),
        ({"sizes": [(3, 3)], "batch_sizes": "many"}, "`batch_sizes`"),
        ({"sizes": [(3, 3)], "channels": 0}, "number of channels"),
        ({"sizes": [(3, 3)], "dtype": "levels"}, "`dtype`"),
    ],
)
def test_a_warm_up_of_nothing_sensible_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        RAGGED.warm_up(**settings)


def test_what_has_no_bounded_number_of_programs_is_refused(monkeypatch):
    with pytest.raises(InputError, match="a program of their own"):
        Pipeline((UpsideDown(),)).warm_up(largest=(100, 100))
    with pytest.raises(InputError, match="depends on all images"):
        PPOCRV5ServerRecImageProcessor().warm_up(largest=(100, 100))
    monkeypatch.setattr(bounds.programs(), "limit", 1)
    with pytest.raises(InputError, match=r"at most 1 programs.*limit_programs\(3\)"):
        CROPPED.warm_up([(300, 200), (60, 60), (500, 500)])


def test_programs_beyond_the_limit_are_freed_and_compiled_again(quick_compilation):
    client = jax.devices()[0].client
    sizes = [(60, 60), (110, 110), (200, 200), (300, 300), (400, 400)]
    images = [np.zeros((*size, 3), np.uint8) for size in sizes]
    # none of the programs of other tests, whose executables may be gone (`jax.clear_caches`)
    jaxprep.limit_programs(1)
    jaxprep.limit_programs(1000)
    first = [np.asarray(RAGGED(Batch(image=image)).image) for image in images]
    gc.collect()
    before = len(client.live_executables())
    assert len(bounds.programs()) >= 5
    assert jaxprep.limit_programs(2) == 1000
    try:
        gc.collect()
        assert len(bounds.programs()) == 2
        assert len(client.live_executables()) <= before - 3
        for _ in range(2):
            for image, want in zip(images, first):
                np.testing.assert_array_equal(RAGGED(Batch(image=image)).image, want)
        assert len(bounds.programs()) == 2
    finally:
        jaxprep.limit_programs(1000)


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "8", None])
def test_a_limit_that_is_no_number_of_programs_is_refused(count):
    with pytest.raises(InputError, match="`count`"):
        jaxprep.limit_programs(count)


def test_the_environment_sets_the_limit(monkeypatch):
    monkeypatch.setenv(bounds.PROGRAMS_VARIABLE, "7")
    assert bounds._limit_of_environment() == 7
    monkeypatch.setenv(bounds.PROGRAMS_VARIABLE, "many")
    with pytest.raises(InputError, match=bounds.PROGRAMS_VARIABLE):
        bounds._limit_of_environment()
