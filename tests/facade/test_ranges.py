"""Images whose values are not what a preprocessor rescales: one warning, where a user sees it."""

from __future__ import annotations

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.images import noise

from jaxprep import Batch, ImageClassifierPreprocessor, ImageConverter, Pipeline, ops
from jaxprep.huggingface import CLIPImageProcessor, ViTImageProcessor

SHARES = noise(8, 6, 3).astype(np.float32) / 255


def converter(**options) -> ImageConverter:
    return ImageConverter(image_size=(4, 4), **{"scale": 1 / 255, **options})


def processor(**settings) -> ViTImageProcessor:
    return ViTImageProcessor(size={"height": 4, "width": 4}, **settings)


PREPROCESSORS = {
    "converter": converter,
    "classifier": lambda: ImageClassifierPreprocessor(converter()),
    "scale to [-1, 1]": lambda: converter(scale=1 / 127.5, offset=-1.0),
    "scale and std": lambda: converter(scale=(0.0171, 0.0175, 0.0174), offset=-2.0),
    "own pipeline": lambda: ImageConverter.from_config(
        Pipeline((ops.Normalize(127.5, 57.0), ops.Resize(4)))
    ),
    "ViT": processor,
    "ViT, PIL backend": lambda: processor(backend="pil"),
    "CLIP": lambda: CLIPImageProcessor(size=4, crop_size=4),
}


def caught(function, *args) -> list[warnings.WarningMessage]:
    with warnings.catch_warnings(record=True) as messages:
        warnings.simplefilter("always")
        function(*args)
    return messages


@pytest.mark.parametrize("name", PREPROCESSORS)
def test_floats_in_0_1_are_told_once_for_each_preprocessor_at_the_line_of_the_call(name):
    preprocessor = PREPROCESSORS[name]()
    (warning,) = caught(preprocessor, SHARES)
    assert "floats in [0, 1]" in str(warning.message)
    assert warning.filename == __file__
    assert not caught(preprocessor, SHARES)
    assert len(caught(PREPROCESSORS[name](), SHARES)) == 1


@pytest.mark.parametrize(
    "images",
    [
        SHARES[None],
        [SHARES, SHARES],
        jnp.asarray(SHARES),
        SHARES.astype(np.float64),
        SHARES.astype(np.float16),
        SHARES.astype(jnp.bfloat16),
        SHARES.tolist(),
    ],
    ids=["batch", "list", "jax", "float64", "float16", "bfloat16", "numbers"],
)
def test_floats_in_0_1_are_told_however_they_come(images):
    assert len(caught(converter(), images)) == 1


def test_floats_in_0_1_are_told_in_dictionaries_batches_and_tuples():
    assert len(caught(converter(), {"images": SHARES})) == 1
    assert len(caught(converter(), Batch(image=SHARES))) == 1
    assert len(caught(ImageClassifierPreprocessor(converter()), (SHARES, 1))) == 1


def test_a_gray_array_of_16_bits_is_told():
    image = noise(8, 6, 3).astype(np.uint16) * 257
    for preprocessor in (converter(), processor()):
        (warning,) = caught(preprocessor, image)
        assert "16-bit integers" in str(warning.message)


@pytest.mark.parametrize(
    "image",
    [
        noise(8, 6, 3),
        noise(8, 6, 3).astype(np.float32),
        noise(8, 6, 3).astype(np.uint16),
        np.zeros((8, 6, 3), np.float32),
        SHARES - 0.5,
    ],
    ids=["uint8", "levels as floats", "levels as uint16", "black", "below 0"],
)
def test_what_may_be_levels_is_not_told(image):
    assert not caught(converter(), image)


def test_nothing_is_told_where_nothing_is_rescaled():
    for preprocessor in (
        converter(scale=None),
        converter(scale=2.0, offset=-1.0),
        ImageConverter.from_config(Pipeline((ops.Normalize(0.5, 0.25),))),
        processor(do_rescale=False),
    ):
        assert not caught(preprocessor, SHARES)


def test_nothing_is_told_under_jit():
    assert not caught(jax.jit(ImageClassifierPreprocessor(converter())), SHARES)
