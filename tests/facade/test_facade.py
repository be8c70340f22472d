"""`ImageClassifierPreprocessor` and `ImageConverter`: what calling them takes, returns and leaves
alone.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections import UserDict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from helpers.compilations import compilations
from helpers.images import noise, photograph
from PIL import Image

import jaxprep
from jaxprep import Batch, ImageClassifierPreprocessor, ImageConverter, Pipeline, ops
from jaxprep.errors import ConfigError, InputError
from jaxprep.formats import KerasHub, OpenClip, Timm, Torchvision
from jaxprep.pipeline import eager

SMALL = ImageClassifierPreprocessor(ImageConverter(image_size=(16, 16), scale=1 / 255))


def equal(result, expected) -> bool:
    return np.array_equal(np.asarray(result), np.asarray(expected))


# the contract of KerasHub


def test_the_five_lines_of_the_contract():
    preprocessor = ImageClassifierPreprocessor.from_preset("resnet_50_imagenet")
    x = preprocessor(np.random.randint(0, 256, (512, 512, 3)))
    assert x.shape == (224, 224, 3) and x.dtype == jnp.float32
    x, y = preprocessor(x, 1)
    assert x.shape == (224, 224, 3) and y == 1
    x, y = [np.random.randint(0, 256, (512, 512, 3)), np.zeros((512, 512, 3))], [1, 0]
    x, y = preprocessor(x, y)
    assert isinstance(x, jax.Array) and x.shape == (2, 224, 224, 3) and y == [1, 0]


def test_a_batch_is_its_images_one_by_one():
    batch = noise(3, 30, 41, 3)
    assert equal(SMALL(batch), np.stack([SMALL(image) for image in batch]))


def test_a_list_of_equal_images_is_their_batch():
    batch = noise(3, 30, 41, 3)
    assert equal(SMALL(list(batch)), SMALL(batch))


def test_a_list_of_different_sizes_is_one_stacked_batch_of_each_alone():
    images = [noise(30, 41, 3), noise(70, 20, 3), noise(16, 16, 3), noise(1, 1, 3)]
    result = SMALL(images)
    assert isinstance(result, jax.Array) and result.shape == (4, 16, 16, 3)
    assert equal(result, np.stack([SMALL(image) for image in images]))


def test_results_of_different_sizes_come_back_as_a_list():
    preprocessor = ImageClassifierPreprocessor.from_preset(
        "torchvision/FCN_ResNet50_Weights.DEFAULT"
    )
    preprocessor = preprocessor.replace(resize_size=16)
    result = preprocessor([noise(30, 40, 3), noise(40, 30, 3)])
    assert [image.shape for image in result] == [(16, 21, 3), (21, 16, 3)]


def test_a_picture_is_the_array_of_its_pixels():
    image = noise(30, 41, 3)
    assert equal(SMALL(Image.fromarray(image)), SMALL(image))
    assert equal(SMALL([Image.fromarray(image)] * 2), SMALL([image] * 2))


def test_a_gray_or_transparent_picture_is_converted_to_rgb_where_the_format_does_so():
    picture = Image.fromarray(noise(30, 41, 4))
    assert equal(SMALL(picture), SMALL(picture.convert("RGB")))
    assert SMALL(picture.convert("L")).shape == (16, 16, 3)


def test_nested_lists_of_numbers_are_an_image_or_a_batch():
    image = noise(5, 4, 3)
    assert equal(SMALL(image.tolist()), SMALL(image.astype(np.int32)))
    assert equal(
        SMALL([image.tolist(), image.tolist()]), SMALL(np.stack([image, image]).astype(np.int32))
    )


def test_images_of_mixed_types_are_promoted_to_one():
    image = noise(30, 41, 3)
    mixed = SMALL([image, image.astype(np.float32)])
    assert equal(mixed, SMALL([image.astype(np.float32)] * 2))
    bits = ImageConverter()([image, image > 127])
    assert bits.dtype == jnp.uint8


def test_images_of_types_that_numpy_does_not_promote_are_promoted_to_float32():
    half, brain = noise(30, 41, 3).astype(np.float16), noise(20, 41, 3).astype(jnp.bfloat16)
    assert equal(SMALL([half, brain]), SMALL([half.astype(np.float32), brain.astype(np.float32)]))


@pytest.mark.parametrize("shape", [(20, 24), (210, 200)])  # together, and one by one
@pytest.mark.parametrize("first", [0, 1])
def test_gray_and_colour_images_of_a_list_keep_their_channels(shape, first):
    converter = ImageConverter(image_size=(8, 6))
    gray, colour = (noise(*shape, channels) for channels in (1, 3))
    images = [gray, colour][:: 1 - 2 * first]
    results = converter(images)
    assert [result.shape for result in results] == [(8, 6, image.shape[2]) for image in images]
    for image, result in zip(images, results):
        assert equal(result, converter(image))


@pytest.mark.parametrize(
    "images",
    [noise(100, 80, 3), noise(300, 280, 3), noise(2, 300, 280, 3), [noise(40, 30, 3)] * 2],
    ids=["small", "large", "batch", "list"],
)
def test_a_constant_inside_jit_is_computed_while_that_is_traced(images):
    wanted = np.asarray(SMALL(images))
    doubled = jax.jit(lambda factor: factor * SMALL(images))(2.0)
    assert equal(doubled, 2 * wanted)
    assert equal(SMALL(images), wanted)  # nothing that was made inside is another trace's tracer


def test_jax_arrays_are_arrays():
    image = noise(30, 41, 3)
    assert equal(SMALL(jnp.asarray(image)), SMALL(image))


def test_an_image_that_may_not_be_written_to_is_left_as_it_is():
    image = noise(30, 41, 3)
    before = image.copy()
    image.flags.writeable = False
    SMALL([image, noise(20, 20, 3)])
    assert equal(image, before)


def test_the_result_does_not_change_with_the_caller_s_array():
    image = noise(64, 64, 3)  # fills its canvas
    converter = ImageConverter()
    result = converter(image)
    before = np.asarray(result).copy()
    image[:] = 0
    assert equal(result, before)


# labels and weights

LABELS = {
    "int": 7,
    "bool": True,
    "string": "cat",
    "strings": ["cat", "dog"],
    "int64": np.array([2**40, 1]),
    "float64": np.array([0.1, 1.0]),
    "ragged": [[1, 2], [3]],
    "dictionary": {"a": [1, 0], "b": object()},
    "tuple": (1, 0),
    "jax": jnp.arange(2),
}


@pytest.mark.parametrize("label", LABELS.values(), ids=LABELS.keys())
def test_labels_and_weights_come_back_as_the_same_objects(label):
    image = noise(2, 20, 20, 3)
    _, y = SMALL(image, label)
    assert y is label
    _, y, weight = SMALL(image, label, label)
    assert y is label and weight is label


def test_weights_without_labels_are_kept():
    x, y, weight = SMALL(noise(20, 20, 3), sample_weight=0.5)
    assert x.shape == (16, 16, 3) and y is None and weight == 0.5


def test_a_tuple_alone_is_images_labels_and_weights():
    image = noise(20, 20, 3)
    assert equal(SMALL((image, 1))[0], SMALL(image)) and SMALL((image, 1))[1] == 1
    x, y, weight = SMALL((image, 1, 0.5))
    assert equal(x, SMALL(image)) and (y, weight) == (1, 0.5)
    assert SMALL((image,)).shape == (1, 16, 16, 3)  # as in KerasHub: images, of which there is one
    with pytest.raises(InputError, match="tuple"):
        SMALL((image, 1, 0.5, None))


def test_a_preprocessor_maps_over_an_iterator():
    data = [(noise(20, 20 + i, 3), i) for i in range(3)]
    assert [(x.shape, y) for x, y in map(SMALL, data)] == [
        ((16, 16, 3), 0),
        ((16, 16, 3), 1),
        ((16, 16, 3), 2),
    ]


def test_a_grain_dataset_maps_over_a_preprocessor():
    grain = pytest.importorskip("grain")
    data = [(noise(20, 20 + i, 3), i) for i in range(4)]
    dataset = grain.MapDataset.source(data).map(SMALL)
    for (x, y), (image, label) in zip(dataset, data):
        assert equal(x, SMALL(image)) and y == label


def test_a_batch_object_comes_back_as_one():
    image, label = noise(2, 20, 20, 3), object()
    done = SMALL(Batch(image=image, label=label, extras={"id": "a"}))
    assert equal(done.image, SMALL(image)) and done.label is label and done.extras == {"id": "a"}


# dictionaries


def test_a_dictionary_keeps_its_other_entries_and_is_not_changed():
    image = noise(20, 20, 3)
    given = {"images": image, "labels": "cat", "id": 3}
    result = SMALL(given)
    assert equal(result["images"], SMALL(image)) and result["labels"] == "cat" and result["id"] == 3
    assert given["images"] is image
    assert equal(SMALL(UserDict(given))["images"], SMALL(image))


def test_masks_and_boxes_follow_the_image():
    converter = ImageConverter(
        image_size=(10, 10), crop_to_aspect_ratio=False, bounding_box_format="xyxy"
    )
    mask = np.zeros((20, 40), np.int32)
    mask[:, 20:] = 3
    boxes = {"boxes": np.float32([[20, 0, 40, 20]]), "labels": np.int32([3])}
    result = converter(
        {"images": noise(20, 40, 3), "segmentation_masks": mask, "bounding_boxes": boxes}
    )
    assert equal(result["segmentation_masks"], np.repeat([[0] * 5 + [3] * 5], 10, 0))
    assert equal(result["bounding_boxes"]["boxes"], [[5, 0, 10, 10]])
    assert equal(result["bounding_boxes"]["labels"], [3])


def test_a_mask_is_padded_with_the_image():
    converter = ImageConverter(
        image_size=(8, 8), crop_to_aspect_ratio=False, pad_to_aspect_ratio=True
    )
    mask = np.ones((4, 8), np.uint8)
    result = converter({"images": noise(4, 8, 3), "segmentation_masks": mask})
    assert equal(result["segmentation_masks"].sum(1), [0, 0, 8, 8, 8, 8, 0, 0])


def test_a_list_of_images_takes_a_list_of_masks_and_boxes():
    converter = ImageConverter(
        image_size=(10, 10), crop_to_aspect_ratio=False, bounding_box_format="xyxy"
    )
    images = [noise(20, 40, 3), noise(30, 10, 3)]
    masks = [np.full(image.shape[:2], i + 1, np.uint8) for i, image in enumerate(images)]
    boxes = {
        "boxes": [np.float32([[0, 0, 40, 20]]), np.float32([[0, 0, 5, 15], [5, 15, 10, 30]])],
        "labels": [np.int32([1]), np.int32([2, 3])],
    }
    result = converter({"images": images, "segmentation_masks": masks, "bounding_boxes": boxes})
    assert result["images"].shape == (2, 10, 10, 3)
    assert equal(result["segmentation_masks"][:, 0, 0], [1, 2])
    assert equal(result["bounding_boxes"]["boxes"][0], [[0, 0, 10, 10]])
    assert equal(result["bounding_boxes"]["boxes"][1], [[0, 0, 5, 5], [5, 5, 10, 10]])


# under JAX's transformations


def test_jit_changes_nothing():
    image = noise(30, 41, 3)
    x, y = jax.jit(SMALL)(image, np.int32(3))
    assert equal(x, SMALL(image)) and y == 3
    assert equal(jax.jit(SMALL.pipeline)(Batch(image=image)).image, SMALL(image))
    assert equal(jax.vmap(SMALL)(image[None])[0], SMALL(image))


def test_a_list_under_jit_is_one_batch():
    images = [noise(30, 41, 3), noise(20, 20, 3)]
    assert equal(jax.jit(SMALL)(images), SMALL(images))


def test_a_gradient_flows_through_floats():
    gradient = jax.grad(lambda image: SMALL(image).sum())(jnp.ones((32, 32, 3)))
    total = np.asarray(gradient, np.float64).sum()
    assert gradient.shape == (32, 32, 3) and total == pytest.approx(16 * 16 * 3 / 255, rel=1e-5)


# a frozen config


def test_equal_preprocessors_hash_alike_and_cannot_be_changed():
    again = ImageClassifierPreprocessor(ImageConverter(image_size=(16, 16), scale=1 / 255))
    assert again == SMALL and hash(again) == hash(SMALL) and {again: 1}[SMALL] == 1
    assert again != SMALL.replace(scale=1.0)
    for holder in (SMALL, SMALL.image_converter, SMALL.image_converter.config):
        with pytest.raises(dataclasses.FrozenInstanceError):
            holder.image_size = (3, 3)


def test_replace_changes_a_copy():
    larger = SMALL.replace(image_size=(24, 20), antialias=True)
    assert larger.image_size == (24, 20) and SMALL.image_size == (16, 16)
    assert larger(noise(30, 41, 3)).shape == (24, 20, 3)
    assert SMALL.replace(image_converter=None).image_converter is None
    with pytest.raises(ConfigError, match="image_converter"):
        ImageClassifierPreprocessor().replace(scale=1.0)


def test_fields_of_the_config_can_be_read_off_the_converter():
    converter = SMALL.image_converter
    assert converter.scale == 1 / 255 and converter.crop_to_aspect_ratio is True
    with pytest.raises(AttributeError, match="crop_pct"):
        converter.crop_pct  # noqa: B018


def test_without_a_converter_images_pass_unchanged():
    image = noise(20, 30, 3)
    assert equal(ImageClassifierPreprocessor()(image), image)


@pytest.mark.parametrize(
    ("preset", "kind", "overrides"),
    [
        (
            "resnet_50_imagenet",
            KerasHub,
            {"image_size": (20, 30), "interpolation": "lanczos3", "dtype": "bfloat16"},
        ),
        ("timm/resnet50.a1_in1k", Timm, {"image_size": (20, 30), "crop_pct": 1.0, "exact": True}),
        (
            "torchvision/resnet50",
            Torchvision,
            {"image_size": (20, 30), "reference": "torch", "exact": True},
        ),
        (
            "open_clip/ViT-B-32/openai",
            OpenClip,
            {"image_size": (20, 30), "data_format": "channels_first"},
        ),
    ],
)
def test_a_preset_of_any_collection_takes_its_own_fields_as_overrides(preset, kind, overrides):
    preprocessor = ImageClassifierPreprocessor.from_preset(preset, **overrides)
    assert isinstance(preprocessor.image_converter.config, kind)
    assert preprocessor.image_size == (20, 30)
    for name, value in overrides.items():
        assert getattr(preprocessor.image_converter, name) == value
    with pytest.raises(ConfigError, match=r"Unknown field.*sise"):
        ImageClassifierPreprocessor.from_preset(preset, sise=3)


ANY_FORMAT = {
    "KerasHub": "resnet_50_imagenet",
    "timm": "timm/resnet50.a1_in1k",
    "torchvision": "torchvision/resnet50",
    "OpenCLIP": "open_clip/ViT-B-32/openai",
    "Hugging Face": Path(__file__).parents[1] / "goldens/keras_hub_dirs/hf_vit_base_patch16_224",
}


@pytest.mark.parametrize("preset", ANY_FORMAT.values(), ids=ANY_FORMAT)
def test_dtype_stores_the_float32_results_of_any_format_as_another_type(preset):
    image = noise(30, 41, 3)
    whole = ImageClassifierPreprocessor.from_preset(preset, image_size=(8, 8))
    assert whole.image_converter.dtype == "float32"
    for dtype in (jnp.bfloat16, "float16"):
        half = ImageClassifierPreprocessor.from_preset(preset, image_size=8, dtype=dtype)
        assert half(image).dtype == dtype
        assert equal(half(image), whole(image).astype(dtype))
        assert equal(
            half.replace(exact=True)(image), whole.replace(exact=True)(image).astype(dtype)
        )
        assert ImageClassifierPreprocessor.from_json(half.to_json()) == half
    for name in ("mixed_float16", np.float16, np.dtype("float16")):
        assert whole.replace(dtype=name).image_converter.dtype == "float16"
    assert whole.replace(dtype=None) == whole
    for wrong in ("float64", np.uint8, 3, "half"):
        with pytest.raises(ConfigError, match=r"bfloat16.*\$\.dtype"):
            whole.replace(dtype=wrong)


def test_channels_first_keeps_its_dtype():
    config = Timm(input_size=(3, 8, 8), dtype="bfloat16", data_format="channels_first")
    result = ImageClassifierPreprocessor(config)(noise(30, 41, 3))
    assert result.shape == (3, 8, 8) and result.dtype == jnp.bfloat16


def test_test_size_is_an_override_of_timm():
    preset = "timm/resnet50.a1_in1k"
    assert ImageClassifierPreprocessor.from_preset(preset).image_size == (224, 224)
    assert ImageClassifierPreprocessor.from_preset(preset, use_test_size=True).image_size == (
        288,
        288,
    )


def test_image_converter_replaces_that_of_the_preset():
    mine = ImageConverter(image_size=(8, 8))
    preprocessor = ImageClassifierPreprocessor.from_preset(
        "resnet_50_imagenet", image_converter=mine
    )
    assert preprocessor.image_converter == mine
    assert (
        ImageClassifierPreprocessor.from_preset(
            "resnet_50_imagenet", image_converter=None
        ).image_converter
        is None
    )


def test_a_pipeline_or_a_config_is_a_converter():
    pipeline = jaxprep.Pipeline((ops.Resize((8, 8)), ops.Rescale()))
    image = noise(20, 30, 3)
    expected = np.asarray(pipeline(Batch(image=image)).image)
    assert equal(ImageClassifierPreprocessor(pipeline)(image), expected)
    assert ImageClassifierPreprocessor(Timm()).image_size == (224, 224)


# foreign tensors


def test_a_symbolic_tensor_is_one_clear_error():
    """What TensorFlow passes inside `tf.data`, and Keras while it builds a model."""
    for module, match in (
        ("tensorflow.python.framework.ops", "tf.data"),
        ("keras.src.backend", "symbolic"),
    ):
        tensor = type(
            "KerasTensor", (), {"__module__": module, "shape": (None, None, 3), "dtype": "uint8"}
        )()
        with pytest.raises(InputError, match=match):
            SMALL(tensor)
        with pytest.raises(InputError, match=match):
            SMALL([tensor, tensor])


def test_an_eager_foreign_tensor_is_an_array():
    image = noise(20, 30, 3)

    class Tensor:
        __module__ = "tensorflow.python.framework.ops"
        shape, dtype = image.shape, image.dtype

        def numpy(self):
            return image

        def __array__(self, dtype=None, copy=None):
            return image

    assert equal(SMALL(Tensor()), SMALL(image))


# in the config of a Keras model


CONVERTERS = {
    "none": None,
    "KerasHub": ImageConverter(image_size=(8, 6), scale=1 / 255, antialias=True),
    "timm": ImageConverter.from_preset("timm/resnet50.a1_in1k", image_size=32),
    "a pipeline": Pipeline((ops.Resize((4, 6)), ops.Rescale())),
}


@pytest.mark.parametrize("converter", CONVERTERS.values(), ids=CONVERTERS)
def test_a_preprocessor_comes_back_from_its_config(converter):
    preprocessor = ImageClassifierPreprocessor(converter, config_file="other.json")
    data = json.loads(json.dumps(preprocessor.get_config()))
    assert ImageClassifierPreprocessor.from_config(data) == preprocessor
    if converter is not None:
        data = json.loads(json.dumps(preprocessor.image_converter.get_config()))
        assert ImageConverter.from_config(data) == preprocessor.image_converter


@pytest.mark.parametrize(
    "config", [None, 3, {"image_size": 4}, {"config_file": 3}, {"image_converter": "resnet"}]
)
def test_what_get_config_never_returns_is_refused(config):
    with pytest.raises(ConfigError):
        ImageClassifierPreprocessor.from_config(config)


# beside a checkpoint


def test_orbax_keeps_a_preprocessor_beside_the_train_state(tmp_path):
    preprocessor = ImageClassifierPreprocessor.from_preset(
        "timm/resnet50.a1_in1k", image_size=(20, 30)
    )
    state = {"step": jnp.int32(7), "params": jnp.arange(3.0)}
    with ocp.Checkpointer(ocp.CompositeCheckpointHandler()) as checkpointer:
        arguments = ocp.args.Composite(
            state=ocp.args.StandardSave(state),
            preprocessor=ocp.args.JsonSave(preprocessor.to_json()),
        )
        checkpointer.save(tmp_path / "checkpoint", arguments)
        restored = checkpointer.restore(
            tmp_path / "checkpoint",
            ocp.args.Composite(
                state=ocp.args.StandardRestore(state), preprocessor=ocp.args.JsonRestore()
            ),
        )
    assert ImageClassifierPreprocessor.from_json(restored.preprocessor) == preprocessor
    assert int(restored.state["step"]) == 7


# many sizes, few programs


def crops(seed: int, count: int = 16) -> list[np.ndarray]:
    """Crops of a photograph, of as many sizes, in the buckets of 256 and 384."""
    whole = photograph()
    rng = np.random.default_rng(seed)
    found = []
    for i in range(count):
        height, width = rng.integers(200, 257, 2) if i % 2 else rng.integers(300, 385, 2)
        top, left = (
            rng.integers(0, whole.shape[0] - height + 1),
            rng.integers(0, whole.shape[1] - width + 1),
        )
        found.append(np.ascontiguousarray(whole[top : top + height, left : left + width]))
    return found


def test_photographs_of_16_sizes_are_each_alone_in_every_bit_and_later_lists_compile_nothing():
    preprocessor = ImageClassifierPreprocessor.from_preset("timm/resnet50.a1_in1k")
    images = crops(0)
    assert len({image.shape for image in images}) == 16
    together = preprocessor(images)
    assert together.shape == (16, 224, 224, 3)
    assert equal(together, np.stack([preprocessor(image) for image in images]))

    def bucket(image: np.ndarray):
        return preprocessor.pipeline.bucket(image.shape[:2])

    others = [other for seed in range(1, 12) for other in crops(seed)]
    same = [next(other for other in others if bucket(other) == bucket(image)) for image in images]
    assert not {image.shape for image in images} & {image.shape for image in same}
    for _ in range(eager.OFTEN):
        preprocessor(images)
    with compilations() as compiled:
        preprocessor(same)
        preprocessor(same[0])
    assert compiled == []


def test_the_counter_of_compilations_counts():
    with compilations() as compiled:
        jax.jit(lambda x: x * 3 + 1)(np.float32(2))
    assert compiled


def test_the_modules_that_users_import_are_named_in_dir():
    assert {"ImageClassifierPreprocessor", "Pipeline", "ops"} <= set(dir(jaxprep))
    assert isinstance(jaxprep.ops, types.ModuleType)
    members = {name: getattr(jaxprep, name) for name in jaxprep.__all__}
    modules = {
        name: value for name, value in members.items() if isinstance(value, types.ModuleType)
    }
    assert len(modules) > 9
    for name, module in modules.items():
        imported = {"Any", "annotations", "importlib", "np", "os", "re"} & set(dir(module))
        assert not imported, name
        assert set(module.__all__) <= set(dir(module)), name
    with pytest.raises(AttributeError, match="nothing"):
        jaxprep.nothing  # noqa: B018
