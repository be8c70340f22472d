"""Formats: that JSON says all of a config, and that the older forms of foreign files mean what they
meant.
"""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from goldens import keras_inputs
from helpers.images import noise

import jaxprep
from jaxprep import Batch, ImageClassifierPreprocessor, ImageConverter, codec, ops, presets
from jaxprep.errors import ConfigError
from jaxprep.formats import (
    Custom,
    Format,
    Keras,
    KerasHub,
    OpenClip,
    Timm,
    Torchvision,
    keras,
    registry,
)
from jaxprep.formats.keras_hub import from_keras_hub_json
from jaxprep.presets import files

CHANGED = {
    KerasHub: {
        "image_size": (20, 30),
        "scale": (0.1, 0.2, 0.3),
        "offset": -1.0,
        "crop_to_aspect_ratio": False,
        "pad_to_aspect_ratio": True,
        "interpolation": "lanczos3",
        "antialias": True,
        "bounding_box_format": "rel_xyxy",
        "data_format": "channels_first",
        "dtype": "bfloat16",
        "rounded": False,
        "family": "resnet",
        "name": "mine",
        "preprocessor_name": "also mine",
        "trainable": False,
        "reference": "float",
        "exact": True,
    },
    Timm: {
        "input_size": (3, 20, 30),
        "crop_pct": 0.9,
        "crop_mode": "border",
        "interpolation": "bilinear",
        "mean": (0.1, 0.2, 0.3),
        "std": (0.4, 0.5, 0.6),
        "test_input_size": (3, 24, 36),
        "test_crop_pct": 1.0,
        "use_test_size": True,
        "architecture": "resnet50",
        "reference": "pillow12",
        "data_format": "channels_first",
        "dtype": "bfloat16",
        "exact": True,
    },
    Torchvision: {
        "preset": "SemanticSegmentation",
        "crop_size": None,
        "resize_size": (20, 30),
        "mean": (0.1, 0.2, 0.3),
        "std": (0.4, 0.5, 0.6),
        "interpolation": "bicubic",
        "antialias": False,
        "reference": "torch",
        "data_format": "channels_first",
        "dtype": "bfloat16",
        "exact": True,
    },
    OpenClip: {
        "size": (20, 30),
        "mean": (0.1, 0.2, 0.3),
        "std": (0.4, 0.5, 0.6),
        "interpolation": "bilinear",
        "resize_mode": "longest",
        "fill_color": 7,
        "reference": "pillow12",
        "data_format": "channels_first",
        "dtype": "bfloat16",
        "exact": True,
    },
    Keras: {
        "layers": (keras.Resizing(8, 9, interpolation="bicubic"), keras.Rescaling(0.5)),
        "is_float": True,
        "is_uint8": True,
        "data_format": "channels_first",
        "dtype": "bfloat16",
        "reference": "float",
        "exact": True,
    },
    Custom: {
        "steps": jaxprep.Pipeline((ops.Resize((8, 9), method="box"), ops.Rescale(0.5)), exact=True)
    },
}
ONE_VALUE = {(OpenClip, "mode")}


@pytest.mark.parametrize("kind", CHANGED, ids=lambda kind: kind.__name__)
def test_json_says_all_of_a_config(kind):
    """Every field off its default, through text and back: an equal config, and the same pixels."""
    changed = kind(**CHANGED[kind])
    for field in dataclasses.fields(kind):
        default = getattr(kind(), field.name)
        assert (kind, field.name) in ONE_VALUE or getattr(changed, field.name) != default, (
            field.name
        )
    text = codec.dumps(files.to_json(changed))
    again = files.from_json(json.loads(text))
    assert again == changed and type(again) is kind and hash(again) == hash(changed)
    image = noise(33, 44, 3)
    image = np.moveaxis(image, -1, 0) if changed.pipeline.reads_channels_first else image
    results = [np.asarray(one.pipeline(Batch(image=image)).image) for one in (changed, again)]
    assert results[0].dtype == results[1].dtype
    np.testing.assert_array_equal(*results)


def test_every_format_is_tested():
    others = {"HuggingFace", "Format", "register"}  # the first in tests of its own
    assert set(jaxprep.formats.__all__) - others == {kind.__name__ for kind in CHANGED}


@pytest.mark.parametrize("kind", CHANGED, ids=lambda kind: kind.__name__)
def test_a_field_that_no_config_has_is_named_with_its_place(kind):
    data = files.to_json(kind(**CHANGED[kind]))
    data["preprocessor"]["sise"] = 3
    with pytest.raises(ConfigError, match=r"Unknown field - at `\$\.preprocessor\.sise`\. Known: "):
        files.from_json(data)


@pytest.mark.parametrize(
    "kind", [KerasHub, Timm, Torchvision, OpenClip], ids=lambda kind: kind.__name__
)
def test_image_size_is_a_field_of_every_format(kind):
    changed = kind().overridden({"image_size": (20, 30)})
    assert changed.image_size == (20, 30)
    assert changed.pipeline.output_size((50, 60)) == (20, 30)


def test_a_newer_version_of_our_file_is_refused():
    data = {**files.to_json(Timm()), "jaxprep": 2}
    with pytest.raises(ConfigError, match=r"version 1.*got `2`.*jaxprep"):
        files.from_json(data)


UNKNOWN = [
    {},
    {"a": 1},
    {"class_name": "Dense", "config": {}},
    {"architectures": ["X"]},
    [1],
    3,
    None,
]


@pytest.mark.parametrize("content", UNKNOWN)
def test_json_of_no_known_format_is_refused(content):
    with pytest.raises(ConfigError):
        files.from_json(content)


# KerasHub's files, of any release

RESNET = presets.load("resnet_50_imagenet")
IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}


def converter(class_name: str = "ResNetImageConverter", **fields) -> dict:
    return {
        "module": "keras_hub",
        "class_name": class_name,
        "config": {"name": "c", "trainable": True, **fields},
    }


def test_the_schema_of_0_32_is_read_and_written_back():
    assert from_keras_hub_json(RESNET.converter_json()).pipeline == RESNET.pipeline
    assert from_keras_hub_json(RESNET.preprocessor_json()).pipeline == RESNET.pipeline


def test_the_schema_of_0_17_lacks_what_came_later():
    old = RESNET.converter_json()
    for name in ("antialias", "pad_to_aspect_ratio", "bounding_box_format"):
        del old["config"][name]
    old["config"]["dtype"] = "float32"
    assert from_keras_hub_json(old).pipeline == RESNET.pipeline


@pytest.mark.parametrize("class_name", ["ResNetImageConverter", "ResizingImageConverter"])
def test_height_width_mean_and_variance_are_the_arguments_of_the_oldest_assets(class_name):
    variance = [s * s for s in IMAGENET["std"]]
    fields = {
        "height": 224,
        "width": 200,
        "scale": 1 / 255,
        "mean": IMAGENET["mean"],
        "variance": variance,
    }
    found = from_keras_hub_json(converter(class_name, **fields, interpolation="bicubic"))
    assert found.image_size == (224, 200)
    np.testing.assert_allclose(found.scale, RESNET.scale, rtol=1e-12)
    np.testing.assert_allclose(found.offset, RESNET.offset, rtol=1e-12)
    assert found.family == ("generic" if class_name.startswith("Resizing") else "resnet")


def test_norm_mean_and_norm_std_come_after_scale_and_offset():
    """`(x * scale + offset - norm_mean) / norm_std`, which KerasHub 0.32 itself no longer loads."""
    fields = {
        "image_size": [8, 8],
        "scale": 1 / 255,
        "norm_mean": IMAGENET["mean"],
        "norm_std": IMAGENET["std"],
    }
    found = from_keras_hub_json(converter("ViTImageConverter", **fields))
    np.testing.assert_allclose(found.scale, RESNET.scale, rtol=1e-12)
    np.testing.assert_allclose(found.offset, RESNET.offset, rtol=1e-12)
    shifted = from_keras_hub_json(converter("ViTImageConverter", **fields, offset=0.25))
    moved = np.subtract(shifted.offset, found.offset)
    np.testing.assert_allclose(moved, 0.25 / np.asarray(IMAGENET["std"]), rtol=1e-12)


def test_legacy_arguments_make_a_converter_too():
    made = ImageConverter(height=20, width=30, scale=1 / 255, mean=[0.5] * 3, variance=[0.25] * 3)
    assert made.image_size == (20, 30)
    np.testing.assert_allclose(made.offset, [-1.0] * 3)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"height": 224}, "height"),
        ({"mean": [0.5] * 3, "variance": [0.25] * 3}, "number"),
        ({"mean": [0.5] * 3, "variance": [0.0] * 3, "scale": 1.0}, "above 0"),
        ({"mean": [0.5] * 3, "variance": [0.25] * 2, "scale": 1.0}, "3 values"),
        ({"norm_mean": [0.5] * 3}, "norm_mean"),
        ({"norm_mean": "a", "norm_std": "b"}, "number"),
        ({"image_size": [224, 224, 3]}, "image_size"),
        ({"image_size": "224"}, "image_size"),
        ({"scale": [True]}, "scale"),
        ({"interpolation": "area"}, "interpolation"),
        ({"interpolation": 17}, "interpolation"),
        ({"bounding_box_format": "coco"}, "bounding_box_format"),
        ({"dtype": "int8"}, "dtype"),
        ({"dtype": {"config": 3}}, "dtype"),
        ({"pad_to_aspect_ratio": True}, "crop_to_aspect_ratio"),
        ({"image_size": [0, 4]}, "image_size"),
        ({"image_size": [-1, 4]}, "image_size"),
        ({"image_size": [10**5, 10**5]}, "image_size"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_a_bad_converter_is_refused_when_it_is_read_and_when_it_is_made(fields, match):
    with pytest.raises(ConfigError, match=match):
        from_keras_hub_json(converter(**fields))
    with pytest.raises(ConfigError, match=match):
        ImageConverter(**fields)


def test_a_class_that_is_not_keras_hubs_is_refused():
    with pytest.raises(ConfigError, match="MyImageConverter"):
        from_keras_hub_json(converter("MyImageConverter"))
    with pytest.raises(ConfigError, match="patches"):
        from_keras_hub_json(converter("Gemma4ImageConverter"))


def test_a_family_with_constants_in_its_class_does_not_write_them():
    blip = KerasHub(family="blip2", image_size=(224, 224))
    assert not blip.is_expressible
    read = from_keras_hub_json(converter("BLIP2ImageConverter", image_size=[224, 224]))
    assert read.is_expressible and len(read.scale) == 3
    assert "scale" not in read.converter_json()["config"]


def test_hugging_face_files_beside_a_backbone_are_no_preset_of_keras_hub():
    """KerasHub loads a ViT of the hub without its converter, and so passes raw pixels to it; we
    never do that.
    """
    folder = (
        keras_inputs.Path(keras_inputs.__file__).parent
        / "keras_hub_dirs"
        / "hf_vit_base_patch16_224"
    )
    try:
        preprocessor = ImageClassifierPreprocessor.from_preset(folder)
    except ConfigError:
        return
    result = np.asarray(preprocessor(np.full((300, 300, 3), 255, np.uint8)))
    np.testing.assert_allclose(result, 1.0, atol=1e-6)


# timm's and OpenCLIP's own rules for values


@pytest.mark.parametrize("kind", [Timm, Torchvision, OpenClip])
@pytest.mark.parametrize("value", [0.5, 1, (0.5,), [0.5], np.float32(0.5), np.array([0.5])])
def test_one_number_or_a_list_of_one_is_the_mean_and_std_of_every_channel(kind, value):
    number = float(np.ravel(value)[0])
    three = (number, number, number)
    for config in (kind(mean=value, std=value), kind().overridden({"mean": value, "std": value})):
        assert config == kind(mean=three, std=three)


@pytest.mark.parametrize("kind", [Timm, Torchvision, OpenClip])
@pytest.mark.parametrize("value", [(0.5, 0.5), (0.5, 0.5, 0.5, 0.5), ()])
def test_another_number_of_values_than_channels_is_refused(kind, value):
    for name in ("mean", "std"):
        with pytest.raises(ConfigError, match=rf"3 values, or one for all.*\$\.{name}"):
            kind(**{name: value})


def test_one_number_in_a_file_is_the_mean_of_every_channel():
    timm = {"architecture": "a", "input_size": [3, 8, 8], "mean": 0.5, "std": [0.25]}
    open_clip = {"preprocess_cfg": {"mean": 0.5, "std": [0.25]}}
    for content in (timm, open_clip):
        config = files.from_json(content)
        assert (config.mean, config.std) == ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def test_a_model_of_gray_images_has_one_mean():
    config = Timm(input_size=(1, 28, 28), mean=0.5, std=(0.5,))
    assert (config.mean, config.std) == ((0.5,), (0.5,))


def test_random_interpolation_is_bicubic_when_not_training():
    assert OpenClip(interpolation="random").interpolation == "bicubic"


def test_torchvision_always_antialiases_pictures():
    soft, hard = (Torchvision(antialias=antialias).pipeline for antialias in (True, False))
    assert soft == hard
    assert (
        Torchvision(antialias=False, reference="torch").pipeline
        != Torchvision(reference="torch").pipeline
    )


# formats of users


@dataclasses.dataclass(frozen=True)
class Square(Format):
    """A format as a user writes it: nothing else of jaxprep knows it."""

    side: int = 224

    library = "Square (`square`)"
    files = ("square.json",)

    @property
    def pipeline(self):
        return jaxprep.Pipeline((ops.Resize(self.image_size),))

    @property
    def image_size(self):
        return self.side, self.side

    def with_image_size(self, size):
        return Square(size[0])

    @classmethod
    def reads(cls, content):
        return "square" in content

    @classmethod
    def read(cls, content, where="$", model=None):
        return codec.from_json(Square, {"format": "Square", "side": content["square"]}, where)


@pytest.fixture
def square(monkeypatch):
    monkeypatch.setattr(registry, "_FORMATS", dict(registry._FORMATS))
    return jaxprep.formats.register(Square)


def test_a_format_of_a_user_is_read_from_its_files_called_and_saved(square, tmp_path):
    (tmp_path / "square.json").write_text('{"square": 8}')
    for handle in (tmp_path, tmp_path / "square.json"):
        assert presets.load(handle) == Square(8)
    preprocessor = ImageClassifierPreprocessor.from_preset(tmp_path, side=5)
    assert preprocessor(np.zeros((20, 30, 3), np.uint8)).shape == (5, 5, 3)
    preprocessor.save_to_preset(tmp_path / "saved")
    assert presets.load(tmp_path / "saved") == Square(5)
    assert presets.load(tmp_path, image_size=(9, 9)) == Square(9)


def test_files_of_a_format_of_a_user_come_before_the_file_of_the_model(square, tmp_path):
    (tmp_path / "config.json").write_text('{"architecture": "a", "pretrained_cfg": {}}')
    assert isinstance(presets.load(tmp_path), Timm)
    (tmp_path / "square.json").write_text('{"square": 8}')
    assert presets.load(tmp_path) == Square(8)
    assert files.preset_files()[-2:] == ("square.json", "config.json")


def test_a_wrong_value_of_a_format_of_a_user_is_named_with_its_file(square, tmp_path):
    (tmp_path / "square.json").write_text('{"square": "8"}')
    with pytest.raises(ConfigError, match=r"`int`, got `'8'` - at `\$\.side`.*square\.json"):
        presets.load(tmp_path)
    with pytest.raises(ConfigError, match=r"Square \(`square`\)"):
        files.from_json({"circle": 8})


def test_a_format_is_registered_under_a_name_of_its_own(square):
    assert jaxprep.formats.register(Square) is Square  # again, as a notebook's cell does
    try:
        Square.__name__ = "Timm"
        with pytest.raises(ConfigError, match=r"a name that no other format has, got `Timm`"):
            jaxprep.formats.register(Square)
        assert isinstance(files.from_json(files.to_json(Timm())), Timm)
    finally:
        Square.__name__ = "Square"
    for other in (Timm(), int, "Timm"):
        with pytest.raises(ConfigError, match="Expected a subclass"):
            jaxprep.formats.register(other)
