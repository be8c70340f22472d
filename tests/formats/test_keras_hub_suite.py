"""What KerasHub's own public tests ask of its image converters and classifier preprocessors.

The facts of these files, in our own words; docs/conformance.md has the table:
https://github.com/keras-team/keras-hub/blob/master/keras_hub/src/layers/preprocessing/image_converter_test.py
https://github.com/keras-team/keras-hub/blob/master/keras_hub/src/tests/test_case.py
What needs TensorFlow or Keras is in `tests/goldens/check_tensorflow.py`.
"""

from __future__ import annotations

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxprep import ImageClassifierPreprocessor, ImageConverter
from jaxprep.errors import InputError, JaxprepError

WHITE = np.full((10, 10, 3), 255.0)
SCALE = (1 / 255, 0.8 / 255, 1.2 / 255)
OFFSET = (0.2, -0.1, 0.25)
OF_128 = (0.701961, 0.301569, 0.852353)
"""What `SCALE` and `OFFSET` make of 128, as KerasHub's tests state it."""


def close(result, expected) -> None:
    np.testing.assert_allclose(np.asarray(result, np.float64), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("python_workflow", [True, False])
def test_a_white_batch_divided_by_255_is_one(python_workflow):
    converter = ImageConverter(
        image_size=(4, 4), scale=1 / 255, _allow_python_workflow=python_workflow
    )
    close(converter(np.stack([WHITE, WHITE])), np.ones((2, 4, 4, 3)))


def test_height_and_width_are_the_older_names_of_image_size():
    converter = ImageConverter(height=4, width=4, scale=1 / 255)
    assert converter.image_size == (4, 4)
    close(converter(WHITE), np.ones((4, 4, 3)))


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize(
    "aspect",
    [
        {},
        {"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": False},
        {"crop_to_aspect_ratio": False, "pad_to_aspect_ratio": True},
    ],
)
def test_each_channel_has_its_own_scale_and_offset(batch, aspect):
    converter = ImageConverter(image_size=(4, 4), scale=SCALE, offset=OFFSET, **aspect)
    result = converter(np.full((*batch, 10, 10, 3), 128.0))
    assert result.shape == (*batch, 4, 4, 3)
    close(result, np.broadcast_to(OF_128, result.shape))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("image", [np.full((10, 10, 3), 255, np.uint8), WHITE])
def test_scaled_images_have_the_dtype_of_the_converter(dtype, image):
    converter = ImageConverter(image_size=(4, 4), scale=1 / 255, dtype=dtype)
    for given in (image, jnp.asarray(image)):
        result = converter(given)
        assert result.dtype == jnp.dtype(dtype)
        close(result, np.ones((4, 4, 3)))


def test_a_crop_and_a_pad_to_the_aspect_ratio_exclude_each_other():
    with pytest.raises(ValueError, match="Only one of"):
        ImageConverter(image_size=(4, 4), crop_to_aspect_ratio=True, pad_to_aspect_ratio=True)


def test_the_presets_of_the_converter_hold_those_of_resnet():
    assert "resnet_50_imagenet" in ImageConverter.presets
    assert "resnet_50_imagenet" in ImageClassifierPreprocessor.presets


def test_a_preset_of_a_model_without_images_is_a_value_error():
    with pytest.raises(ValueError, match="bert_tiny_en_uncased"):
        ImageConverter.from_preset("bert_tiny_en_uncased")


def test_a_saved_converter_is_restored_with_its_override(tmp_path):
    converter = ImageConverter.from_preset("resnet_50_imagenet", interpolation="nearest")
    converter.save_to_preset(tmp_path)
    assert (tmp_path / "image_converter.json").exists()
    restored = ImageConverter.from_preset(tmp_path)
    image = np.random.default_rng(0).uniform(0, 255, (100, 100, 3)).astype(np.float32)
    np.testing.assert_array_equal(restored(image), converter(image))


def test_images_of_two_sizes_are_converted_in_one_call():
    """KerasHub returns a list; here it is one batch, which has the same entries."""
    images = [WHITE, np.full((20, 20, 3), 128.0)]
    result = ImageConverter(image_size=(4, 4), scale=1 / 255)(images)
    assert len(result) == 2 and result.shape == (2, 4, 4, 3)
    close(result[0], np.ones((4, 4, 3)))
    close(result[1], np.full((4, 4, 3), 128 / 255))


@pytest.mark.parametrize("converter", [None, ImageConverter(image_size=(4, 4), scale=1 / 255)])
def test_a_layer_made_of_its_config_has_that_config_and_gives_the_same(converter):
    layer = ImageClassifierPreprocessor(converter)
    again = ImageClassifierPreprocessor.from_config(json.loads(json.dumps(layer.get_config())))
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(again(WHITE), layer(WHITE))


def test_a_classifier_preprocessor_takes_labels_and_weights_by_name_and_by_position():
    layer = ImageClassifierPreprocessor(ImageConverter(image_size=(4, 4), scale=1 / 255))
    images, labels, weights = np.stack([WHITE] * 2), [0, 3], [1.0, 0.5]
    for result in (layer(images, labels, weights), layer(images, y=labels, sample_weight=weights)):
        assert isinstance(result, tuple) and len(result) == 3
        close(result[0], np.ones((2, 4, 4, 3)))
        assert result[1:] == (labels, weights)
    assert len(layer(images, labels)) == 2
    assert isinstance(layer(images), jax.Array)


def test_the_symbolic_input_of_a_keras_model_is_refused_on_purpose():
    """`converter(keras.Input(...))` makes a model that resizes with Keras' own operations."""
    symbolic = type("KerasTensor", (SimpleNamespace,), {"__module__": "keras.src.backend"})
    with pytest.raises(InputError, match="symbolic"):
        ImageConverter(image_size=(4, 4))(symbolic(shape=(None, 10, 10, 3)))


def test_a_layer_takes_no_argument_that_keras_does_not_know():
    with pytest.raises(JaxprepError, match="colour"):
        ImageConverter(image_size=(4, 4), colour="red")
