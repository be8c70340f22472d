"""Errors: whatever is wrong, one `JaxprepError` that says what was expected, what came, and
where.
"""

from __future__ import annotations

import json
import os
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import public

import jaxprep
from jaxprep import (
    Batch,
    ImageClassifierPreprocessor,
    ImageConverter,
    Pipeline,
    errors,
    ops,
    presets,
)
from jaxprep.errors import ConfigError, InputError, JaxprepError, PresetNotFoundError
from jaxprep.formats import HuggingFace, OpenClip, Timm, Torchvision
from jaxprep.huggingface import BaseImageProcessor, ViTImageProcessor
from jaxprep.presets import files

RESNET = ImageClassifierPreprocessor.from_preset("resnet_50_imagenet")
IMAGE = np.zeros((40, 50, 3), np.uint8)


def test_every_error_is_one_to_catch_and_those_that_users_know_inherit_twice():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    assert all(issubclass(kind, JaxprepError) and issubclass(kind, ValueError) for kind in kinds)
    assert issubclass(errors.PresetNotFoundError, FileNotFoundError)
    assert issubclass(errors.MissingPackageError, ImportError)
    assert issubclass(errors.HubError, OSError)


def test_every_error_of_the_package_is_in_its_module_of_errors():
    for module in public.modules():
        for name, value in vars(module).items():
            if isinstance(value, type) and issubclass(value, JaxprepError):
                assert getattr(errors, name) is value, f"{module.__name__}.{name}"


IMAGES = {
    "rank 1": np.zeros(3),
    "rank 2": np.zeros((4, 5)),
    "rank 5": np.zeros((1, 1, 4, 5, 3)),
    "a number": 3,
    "zero height": np.zeros((0, 5, 3), np.uint8),
    "zero width": np.zeros((5, 0, 3), np.uint8),
    "zero channels": np.zeros((5, 5, 0), np.uint8),
    "an empty batch": np.zeros((0, 5, 5, 3), np.uint8),
    "2 channels": np.zeros((5, 5, 2), np.uint8),
    "5 channels": np.zeros((5, 5, 5), np.uint8),
    "channels first": np.zeros((3, 40, 50), np.uint8),
    "a path": "photo.jpg",
    "bytes": b"\xff\xd8",
    "None": None,
    "complex": np.zeros((5, 5, 3), np.complex64),
    "objects": np.full((5, 5, 3), None),
    "strings": np.full((5, 5, 3), "a"),
    "dates": np.zeros((5, 5, 3), "datetime64[s]"),
    "a set": {1, 2},
    "an object": object(),
    "an empty list": [],
    "a list of paths": ["a.jpg", "b.jpg"],
    "a list with None": [IMAGE, None],
    "a list with a number": [IMAGE, 1],
    "a list with a batch": [IMAGE, IMAGE[None]],
    "a list with a wrong number of channels": [IMAGE, np.zeros((5, 5, 2), np.uint8)],
    "rows of different lengths": [[[1, 2, 3], [4, 5, 6]], [[1, 2, 3]]],
    "a dictionary without images": {"image": IMAGE},
    "an empty dictionary": {},
    "boxes without labels": {"images": IMAGE, "bounding_boxes": {"boxes": np.zeros((1, 4))}},
    "boxes of 5": {
        "images": IMAGE,
        "bounding_boxes": {"boxes": np.zeros((1, 5)), "labels": np.zeros(1)},
    },
    "a mask of another size": {"images": IMAGE, "segmentation_masks": np.zeros((4, 5), np.uint8)},
    "a tuple of five": (IMAGE, 1, 2, 3, 4),
    "an empty tuple": (),
    "an image within a dictionary that is none": {"images": None},
    "a lambda": lambda: IMAGE,
    "an iterator": iter([IMAGE]),
}


@pytest.mark.parametrize("x", IMAGES.values(), ids=IMAGES.keys())
def test_what_is_no_image_is_an_input_error(x):
    with pytest.raises(InputError) as caught:
        RESNET(x)
    assert "Expected" in str(caught.value) and "got" in str(caught.value)
    assert len(str(caught.value)) < 500, "the message quotes an array"


def test_the_place_in_a_list_is_named():
    with pytest.raises(InputError, match=r"x\[1\]"):
        RESNET([IMAGE, "b.jpg"])


@pytest.mark.parametrize(
    "x", [np.zeros((4, 5)), np.zeros((5, 5, 5), np.uint8), np.zeros((0, 5, 3))]
)
def test_the_same_errors_come_inside_jit(x):
    with pytest.raises(InputError, match="Expected"):
        jax.jit(RESNET)(x)
    with pytest.raises(InputError, match="Expected"):
        jax.jit(RESNET.pipeline)(Batch(image=x))


@pytest.mark.parametrize(
    "batch", [None, IMAGE, {"image": IMAGE}, Batch(), Batch(image="a"), Batch(image=3)]
)
def test_a_pipeline_takes_a_batch_with_an_image(batch):
    with pytest.raises(InputError, match="Expected"):
        RESNET.pipeline(batch)


@pytest.mark.parametrize(
    "size", [[[0, 5]], [[5, -1]], [[41, 50]], [[1, 2, 3]], [1.5, 2.5], [[5, 5], [5, 5]]]
)
def test_sizes_outside_of_the_canvas_are_input_errors(size):
    with pytest.raises(InputError, match="Expected"):
        RESNET.pipeline(Batch(image=IMAGE[None], size=np.asarray(size)))


def test_a_reference_in_integers_refuses_floats_and_gradients_and_names_another():
    pillow = ImageClassifierPreprocessor(Timm())
    with pytest.raises(InputError, match="float"):
        pillow(IMAGE.astype(np.float32))
    with pytest.raises(JaxprepError, match="float"):
        jax.grad(lambda image: pillow(image).sum())(jnp.zeros((40, 50, 3)))


CONFIGS = {
    "image_size of 10^9 pixels": lambda: ImageConverter(image_size=(10**5, 10**4 * 3)),
    "image_size overflowing": lambda: ImageConverter(image_size=(10**30, 1)),
    "image_size 0": lambda: ImageConverter(image_size=(0, 4)),
    "image_size negative": lambda: ImageConverter(image_size=(-1, 4)),
    "image_size a string": lambda: ImageConverter(image_size="224"),
    "image_size of three": lambda: ImageConverter(image_size=(224, 224, 3)),
    "image_size in floats": lambda: ImageConverter(image_size=(224.0, 224.0)),
    "image_size in strings": lambda: ImageConverter(image_size=("224", "224")),
    "scale NaN": lambda: ImageConverter(scale=float("nan")),
    "scale infinite": lambda: ImageConverter(scale=(1.0, float("inf"), 1.0)),
    "scale a string": lambda: ImageConverter(scale="1/255"),
    "scale of arrays": lambda: ImageConverter(scale=np.ones((2, 2))),
    "crop and pad": lambda: ImageConverter(image_size=(4, 4), pad_to_aspect_ratio=True),
    "an unknown argument": lambda: ImageConverter(foo=1),
    "an unknown interpolation": lambda: ImageConverter(interpolation="area"),
    "an unknown layout": lambda: ImageConverter(data_format="hwc"),
    "not a converter": lambda: ImageClassifierPreprocessor("resnet"),
    "not a config": lambda: ImageConverter.from_config({}),
    "an unknown override": lambda: ImageClassifierPreprocessor.from_preset(
        "resnet_50_imagenet", size=3
    ),
    "a wrong override": lambda: ImageClassifierPreprocessor.from_preset(
        "resnet_50_imagenet", image_size="a"
    ),
    "a size for a pipeline": lambda: ImageConverter.from_config(Pipeline()).replace(
        image_size=(4, 4)
    ),
    "timm crop_pct 0": lambda: Timm(crop_pct=0.0),
    "timm two channels": lambda: Timm(input_size=(2, 224, 224)),
    "timm std": lambda: Timm(std=(0.0, 1.0, 1.0)).pipeline,
    "torchvision size": lambda: Torchvision(crop_size=-3),
    "torchvision too large": lambda: Torchvision(resize_size=(10**5, 10**5)),
    "open_clip fill": lambda: OpenClip(fill_color=300),
    "open_clip size": lambda: OpenClip(size=0),
    "a step that is none": lambda: Pipeline((3,)),
    "a layout in the middle": lambda: Pipeline((ops.ChannelsFirst(), ops.Rescale())),
    "a resize without a size": lambda: ops.Resize(),
    "a resize to nothing": lambda: ops.Resize((0, 3)),
    "JSON that is no object": lambda: ImageClassifierPreprocessor.from_json([1]),
    "a converter's file without fields": lambda: files.from_json(
        {"class_name": "ResNetImageConverter"}
    ),
    "a converter's file with a number for fields": lambda: files.from_json(
        {"class_name": "ResNetImageConverter", "config": 3}
    ),
    "JSON of an unknown step": lambda: Pipeline.from_json({"steps": [{"step": "Explode"}]}),
}


@pytest.mark.parametrize("make", CONFIGS.values(), ids=CONFIGS.keys())
def test_a_bad_config_never_exists(make):
    with pytest.raises(ConfigError) as caught:
        make()
    assert re.search(r"Expected|Unknown|Missing|Only one", str(caught.value))
    assert "`" in str(caught.value), "nothing is quoted"
    assert len(str(caught.value)) < 700


def timm(fields: str) -> str:
    """A preset file of the format `Timm` with these JSON fields."""
    return f'{{"jaxprep": 1, "preprocessor": {{"format": "Timm", {fields}}}}}'


DEEP = '{"jaxprep": 1, "preprocessor": ' + "[" * 100_000 + "]" * 100_000 + "}"
FILES = {
    "nothing": "",
    "no JSON": "{not json",
    "cut off": '{"jaxprep": 1, "preprocessor": {"format": "Timm"',
    "deep nesting": DEEP,
    "a deep field": timm('"mean": ' + "[" * 90 + "]" * 90),
    "NaN": timm('"crop_pct": NaN'),
    "a huge number": timm('"crop_pct": 1' + "0" * 4000),
    "a number beyond float": timm('"crop_pct": 1e999'),
    "a list": "[]",
    "null": "null",
    "another version": '{"jaxprep": 99, "preprocessor": {"format": "Timm"}}',
    "a version that is no number": '{"jaxprep": "1", "preprocessor": {"format": "Timm"}}',
    "no preprocessor": '{"jaxprep": 1}',
    "an unknown format": '{"jaxprep": 1, "preprocessor": {"format": "Format"}}',
    "a format that is a list": '{"jaxprep": 1, "preprocessor": {"format": []}}',
    "an unknown field": timm('"sise": 3'),
    "an unknown field at the top": '{"jaxprep": 1, "preprocessor": {"format": "Timm"}, "more": 3}',
    "a wrong type": timm('"crop_pct": "0.9"'),
    "a bool for a number": timm('"input_size": [3, true, 2]'),
    "latin-1": b'{"jaxprep": 1, "preprocessor": {"format": "Timm", "architecture": "\xe9"}}',
    "zeros": b"\0" * 100,
    "a size of 10^9 pixels": timm('"input_size": [3, 100000, 100000]'),
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES.keys())
def test_a_file_that_cannot_be_read_is_a_config_error_naming_it(content, tmp_path):
    file = tmp_path / "jaxprep.json"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    for handle in (tmp_path, file):
        with pytest.raises(ConfigError) as caught:
            presets.load(handle)
        assert "jaxprep.json" in str(caught.value)
        assert len(str(caught.value)) < 700


def test_a_file_larger_than_any_preset_is_refused_unread(tmp_path):
    with open(tmp_path / "jaxprep.json", "wb") as file:
        file.truncate(11 * 2**20)
    with pytest.raises(ConfigError, match=r"at most \d+ bytes"):
        presets.load(tmp_path)


def test_a_wrong_field_of_a_foreign_file_is_named_with_its_place(tmp_path):
    (tmp_path / "config.json").write_text(
        '{"architecture": "a", "pretrained_cfg": {"crop_pct": "0.9"}}'
    )
    with pytest.raises(
        ConfigError, match=r"Expected `float`, got `'0\.9'` - at `\$\.pretrained_cfg\.crop_pct`"
    ):
        presets.load(tmp_path)
    (tmp_path / "open_clip_config.json").write_text('{"preprocess_cfg": {"mean": "3"}}')
    with pytest.raises(ConfigError, match=r"Expected .*got `'3'` - at `\$\.preprocess_cfg\.mean`"):
        presets.load(tmp_path)


def test_a_path_that_escapes_is_refused(tmp_path):
    for name in ("../x.json", "/etc/hostname", ".."):
        with pytest.raises(ConfigError, match="config_file"):
            presets.load(tmp_path, config_file=name)


def test_a_path_that_does_not_exist_is_not_found(tmp_path):
    for handle in (tmp_path / "nothing", str(tmp_path / "nothing.json"), "./nothing"):
        with pytest.raises(PresetNotFoundError, match="nothing"):
            presets.load(handle)


def test_a_directory_that_is_a_file_is_a_config_error(tmp_path):
    (tmp_path / "jaxprep.json").mkdir()
    with pytest.raises(JaxprepError):
        presets.load(tmp_path)


def test_an_error_is_the_same_for_a_pipeline_and_its_facade():
    image = np.zeros((5, 5, 2), np.uint8)
    messages = []
    for call in (lambda: RESNET(image), lambda: RESNET.pipeline(Batch(image=image))):
        with pytest.raises(InputError) as caught:
            call()
        messages.append(str(caught.value))
    assert messages[0] == messages[1]


def test_a_missing_package_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "kagglehub", None)
    with pytest.raises(jaxprep.errors.MissingPackageError, match=r"jaxprep\[kaggle\]"):
        presets.load("kaggle://keras/resnet/keras/resnet_50_imagenet/2")


@pytest.mark.parametrize("url", ["https://me:secret@host/a.json", "http://me:se cr'et@host"])
def test_no_error_quotes_the_password_of_an_address(url):
    for make in (
        lambda: presets.load(url),
        lambda: presets.load("hf://" + url.partition("://")[2]),
        lambda: presets.load("timm/resnet50", interpolation=url + "x" * 90),
        lambda: jaxprep.AutoImageProcessor.from_pretrained(f"ftp{url}"),
        lambda: jaxprep.read_image(url),
    ):
        with pytest.raises(JaxprepError) as caught:
            make()
        assert "et@" not in f"{caught.value!r} {caught.value}"


def huggingface(extra: str) -> str:
    return f'{{"image_processor_type": "ViTImageProcessor", "unread": {extra}}}'


UNREAD = {
    "NaN": "NaN",
    "infinity, inside": '[{"a": -Infinity}]',
    "a number beyond float": "1e999",
    "half of a surrogate pair": '"\\udc80"',
    "half of a surrogate pair in a key": '{"\\ud800": 1}',
    "900 nested levels": "[" * 900 + "]" * 900,
    "40 nested levels, which would not fit into our file": "[" * 40 + "]" * 40,
    "an integer that is never printed": "1" * 4200,
}


@pytest.mark.parametrize("value", UNREAD.values(), ids=UNREAD.keys())
def test_what_could_not_be_written_again_is_refused_in_a_key_that_nobody_reads(value, tmp_path):
    file = tmp_path / "preprocessor_config.json"
    file.write_text(huggingface(value))
    for load in (presets.load, jaxprep.AutoImageProcessor.from_pretrained):
        with pytest.raises(ConfigError, match=r"preprocessor_config\.json"):
            load(tmp_path)
    data = json.loads(file.read_text())
    for make in (
        lambda: HuggingFace("ViTImageProcessor", data),
        lambda: BaseImageProcessor.from_dict(data),
        lambda: BaseImageProcessor.from_dict({"pretrained_cfg": {}, **without_class(data)}),
    ):
        with pytest.raises(ConfigError, match=r"\$\.unread"):
            make()


def without_class(data: dict) -> dict:
    return {key: value for key, value in data.items() if key != "image_processor_type"}


def test_the_model_beside_a_config_may_hold_what_a_config_may_not(tmp_path):
    (tmp_path / "preprocessor_config.json").write_text('{"do_resize": true, "image_mean": [0.5]}')
    # as the models with layers of Mamba do
    (tmp_path / "config.json").write_text('{"model_type": "vit", "time_step_limit": [0, Infinity]}')
    assert presets.load(tmp_path).class_name == "ViTImageProcessor"


def test_an_object_whose_repr_fails_is_quoted_by_its_type():
    class Odd:
        def __repr__(self):
            raise RuntimeError("never shown")

    for value, said in ((Odd(), "Odd"), (10**5000, "int")):
        with pytest.raises(ConfigError, match=f"type {said}"):
            Timm(crop_pct=value)


@pytest.mark.parametrize("kind", ["a named pipe", "a device", "a folder", "no end"])
def test_only_regular_files_are_read_as_configs_and_never_waited_for(kind, tmp_path):
    file = tmp_path / "config.json"
    if kind == "a named pipe":
        os.mkfifo(file)
    elif kind == "a folder":
        file.mkdir()
    else:
        # a file of /proc says that it has 0 bytes
        file.symlink_to("/dev/zero" if kind == "a device" else "/proc/self/pagemap")
    said = "Expected at most" if kind == "no end" else f"Expected a regular file, got {kind}"
    with pytest.raises(ConfigError, match=said):
        presets.load(tmp_path, config_file="config.json")
    if kind != "a folder":  # a folder is looked into
        for load in (presets.load, jaxprep.AutoImageProcessor.from_pretrained):
            with pytest.raises(ConfigError, match=said):
                load(file)
    with pytest.raises(JaxprepError):
        presets.load(tmp_path)


def test_channels_that_come_first_are_named_where_they_do_not_fit():
    for images in (np.zeros((3, 40, 44), np.uint8), np.zeros((2, 3, 40, 44), np.uint8)):
        with pytest.raises(InputError, match="channels come first, move them last"):
            RESNET(images)


@pytest.mark.parametrize("path", [None, "", "\0", 3, b"folder"])
def test_a_folder_to_save_to_is_a_path(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for save in (RESNET.save_to_preset, ViTImageProcessor().save_pretrained):
        with pytest.raises(ConfigError, match="Expected a path"):
            save(path)
    assert list(tmp_path.iterdir()) == []
