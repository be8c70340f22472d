"""Check that jaxprep runs where TensorFlow and Keras call it: in `tf.data` graphs, under `fit` and `predict` of a KerasHub task,
and in the files of a saved task. Run by hand, in an environment with keras-hub and tensorflow (and jaxprep):

    pip install keras-hub==0.32.0 tensorflow . && python tests/goldens/check_tensorflow.py

Every result is compared with a direct call, whose numbers the other tests compare with the originals. Prints a line per check,
and exits with 1 where one fails.
"""

import importlib.util
import os
import sys
import tempfile
import traceback

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import keras_hub
import numpy as np
import tensorflow as tf

import jaxprep
from jaxprep import ImageClassifierPreprocessor, ImageConverter
from jaxprep.errors import InputError

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (4, 50, 61, 3), np.uint8)
LABELS = np.array([2**40, 1, 2, 3])
CONVERTER = ImageConverter(image_size=(32, 32), scale=1 / 255, bounding_box_format="xyxy")
PRE = ImageClassifierPreprocessor(CONVERTER)
PHOTO = str(jaxprep.data.photo_path("chelsea"))


def slices(*arrays):
    return tf.data.Dataset.from_tensor_slices(arrays[0] if len(arrays) == 1 else arrays)


def equal(tensor, expected):
    expected = np.asarray(expected)
    assert tensor.dtype.as_numpy_dtype == expected.dtype, (tensor.dtype, expected.dtype)
    np.testing.assert_array_equal(tensor.numpy(), expected)


def raises(error, text, function):
    try:
        function()
    except error as caught:
        assert text in str(caught), caught
        return
    raise AssertionError(f"expected {error.__name__}")


def the_line_of_keras_hubs_documentation():
    dataset = slices(IMAGES, LABELS).batch(2)
    dataset = dataset.map(PRE, num_parallel_calls=tf.data.AUTOTUNE)
    assert dataset.element_spec[0].shape.as_list() == [None, 32, 32, 3]
    results = list(dataset)
    equal(tf.concat([x for x, _ in results], 0), PRE(IMAGES))
    equal(tf.concat([y for _, y in results], 0), LABELS)


def single_images_labels_and_weights_of_any_type():
    for label in (LABELS, np.array(["a", "b", "c", "d"]), LABELS / 3, LABELS > 1):
        dataset = slices(IMAGES, label, np.ones(4)).map(PRE)
        for i, (x, y, weight) in enumerate(dataset):
            equal(x, PRE(IMAGES[i]))
            assert y.numpy() == (label[i].encode() if label.dtype.kind == "U" else label[i])
            assert weight.dtype == tf.float64
    x, y = next(iter(slices(IMAGES, LABELS).map(lambda x, y: PRE((x, y)))))
    equal(x, PRE(IMAGES[0]))


def images_of_any_type():
    for dtype in ("uint8", "bool", "int8", "uint16", "int64", "float16", "float32", "float64"):
        for converter in (CONVERTER, ImageConverter(image_size=(8, 9)), ImageConverter()):
            images = IMAGES.astype(dtype)
            equal(next(iter(slices(images).batch(4).map(converter))), converter(images))
    half = PRE.replace(dtype="bfloat16")
    equal(next(iter(slices(IMAGES).batch(4).map(half))), half(IMAGES))


def presets_of_every_format():
    for name in ("resnet_50_imagenet", "timm/resnet50.a1_in1k", "torchvision/resnet50", "open_clip/ViT-B-32/openai"):
        pre = ImageClassifierPreprocessor.from_preset(name, image_size=(24, 24), data_format="channels_last")
        equal(next(iter(slices(IMAGES).batch(3).map(pre))), pre(IMAGES[:3]))
    first = ImageConverter(image_size=(8, 9), scale=[1.0, 2.0, 3.0], data_format="channels_first")
    planar = IMAGES.transpose(0, 3, 1, 2)
    equal(next(iter(slices(planar).batch(4).map(first))), first(planar))


def images_whose_size_is_in_their_file():
    files = slices([PHOTO, PHOTO]).map(tf.io.read_file)
    for decode in (tf.io.decode_jpeg, tf.io.decode_image, lambda data: tf.io.decode_jpeg(data, channels=3)):
        decoded = files.map(decode)
        result = decoded.map(PRE)
        equal(next(iter(result)), PRE(next(iter(decoded)).numpy()))
    assert result.element_spec.shape.as_list() == [32, 32, 3]
    segmentation = ImageClassifierPreprocessor.from_preset("torchvision/FCN_ResNet50_Weights.DEFAULT", resize_size=16)
    varying = decoded.map(segmentation)
    assert varying.element_spec.shape.as_list() == [None, None, 3]
    assert next(iter(varying)).shape == (16, 24, 3)


def dictionaries_with_masks_and_boxes():
    boxes = {"boxes": np.tile(np.float32([[0, 0, 20, 30]]), (4, 1, 1)), "labels": np.ones((4, 1), np.int32)}
    given = {"images": IMAGES, "segmentation_masks": IMAGES[..., 0], "bounding_boxes": boxes, "id": np.array(list("abcd"))}
    result = next(iter(slices(given).batch(4).map(PRE)))
    expected = PRE(given)
    for key in ("images", "segmentation_masks"):
        equal(result[key], expected[key])
    for key in boxes:
        equal(result["bounding_boxes"][key], expected["bounding_boxes"][key])
    assert result["id"].numpy().tolist() == [b"a", b"b", b"c", b"d"]
    single = next(iter(slices(given).map(PRE)))
    equal(single["images"], expected["images"][0])
    equal(single["bounding_boxes"]["boxes"], expected["bounding_boxes"]["boxes"][0])


def processors_of_hugging_face():
    vit = jaxprep.huggingface.ViTImageProcessor(size=8)
    dataset = slices(IMAGES).batch(2).map(vit)
    assert dataset.element_spec["pixel_values"].shape.as_list() == [None, 3, 8, 8]
    equal(next(iter(dataset))["pixel_values"], vit(IMAGES[:2])["pixel_values"])
    segformer = jaxprep.huggingface.SegformerImageProcessor(size=16)
    result = next(iter(slices(IMAGES, IMAGES[..., 0]).batch(2).map(segformer)))
    expected = segformer(list(IMAGES[:2]), list(IMAGES[:2, ..., 0]))
    for key in expected:
        equal(result[key], expected[key])
    timm = jaxprep.huggingface.BaseImageProcessor.from_dict(
        {"pretrained_cfg": {"input_size": [3, 8, 8]}, "architecture": "resnet18"}
    )
    equal(next(iter(slices(IMAGES).batch(2).map(timm)))["pixel_values"], timm(IMAGES[:2])["pixel_values"])


def functions_of_the_user_around_it():
    equal(next(iter(slices(IMAGES).map(lambda image: CONVERTER(image) * 2))), CONVERTER(IMAGES[0]) * 2)
    equal(tf.function(lambda images: PRE(images))(IMAGES), PRE(IMAGES))
    equal(next(iter(slices(IMAGES, IMAGES).map(lambda a, b: PRE([a, b])))), PRE([IMAGES[0]] * 2))
    assert PRE(tf.constant(IMAGES)).shape == (4, 32, 32, 3)


def what_is_no_image_is_refused_when_the_graph_is_made():
    raises(InputError, "rank 0", lambda: slices([PHOTO]).map(tf.io.read_file).map(PRE))
    raises(InputError, "rank 2", lambda: slices(IMAGES[..., 0]).map(PRE))
    raises(InputError, "images", lambda: slices({"image": IMAGES}).map(PRE))
    raises(InputError, "ragged", lambda: slices(tf.ragged.stack([IMAGES[0], IMAGES[0][:20]])).map(PRE))
    channels = ImageClassifierPreprocessor(ImageConverter(image_size=(4, 4), scale=[1.0, 2.0, 3.0]))
    raises(InputError, "channels", lambda: slices(np.zeros((2, 5, 5, 4), np.uint8)).map(channels))


def task(preprocessor):
    backbone = keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64],
        stackwise_num_blocks=[1],
        stackwise_num_strides=[1],
        block_type="basic_block",
        image_shape=(32, 32, 3),
    )
    return keras_hub.models.ResNetImageClassifier(backbone=backbone, num_classes=2, preprocessor=preprocessor)


def fit_and_predict_of_a_keras_task():
    converter = keras_hub.layers.ImageConverter(image_size=(32, 32), scale=1 / 255)
    theirs = task(keras_hub.models.ResNetImageClassifierPreprocessor(converter))
    in_graph = task(PRE.replace(rounded=False))
    ours = task(PRE)
    for model in (in_graph, ours):
        model.set_weights(theirs.get_weights())
    # KerasHub calls its preprocessor on the batches of arrays themselves where Grain is installed, else in a graph of `tf.data`:
    # `_convert_inputs_to_dataset` in keras_hub/src/utils/pipeline_model.py.
    of_arrays = ours if importlib.util.find_spec("grain") else in_graph
    for model, x in ((of_arrays, IMAGES), (in_graph, slices(IMAGES).batch(2))):
        np.testing.assert_allclose(model.predict(x, verbose=0), theirs.predict(x, verbose=0), atol=1e-4)
    labels = LABELS % 2
    ours.compile(optimizer="sgd", loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    for arguments in ((IMAGES, labels), (slices(IMAGES, labels).batch(2),)):
        ours.fit(*arguments, epochs=1, verbose=0)
        ours.evaluate(*arguments, verbose=0)


def a_task_is_saved_and_loaded_with_the_preprocessor():
    ours = task(PRE)
    ours.summary(print_fn=lambda line: None)
    assert type(ours).from_config(ours.get_config()).preprocessor == PRE
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "task.keras")
        ours.save(path)
        assert keras.saving.load_model(path).preprocessor == PRE
    converter = keras.saving.serialize_keras_object(CONVERTER)
    assert converter["registered_name"] == "jaxprep>ImageConverter"
    assert keras.saving.deserialize_keras_object(converter) == CONVERTER


CHECKS = [value for value in list(globals().values()) if getattr(value, "__module__", "") == __name__ and callable(value)]
HELPERS = (slices, equal, raises, task)


def main() -> int:
    failed = 0
    for check in CHECKS:
        if check in HELPERS:
            continue
        try:
            check()
            print("ok  ", check.__name__, flush=True)
        except Exception:
            failed += 1
            print("FAIL", check.__name__, flush=True)
            traceback.print_exc()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
