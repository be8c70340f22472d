"""Handles, preset directories, and saving: what is found under a name, and that a save is all or
nothing.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from goldens import keras_inputs

import jaxprep
from jaxprep import ImageClassifierPreprocessor, ImageConverter, Pipeline, atomic, presets
from jaxprep.cli import main
from jaxprep.errors import ConfigError, InputError, PresetNotFoundError
from jaxprep.formats import Format, KerasHub, OpenClip, Timm
from jaxprep.huggingface import ViTImageProcessor
from jaxprep.presets import library
from jaxprep.resources import load_json

RESNET = "resnet_50_imagenet"
DIRECTORIES = Path(keras_inputs.__file__).parent / "keras_hub_dirs"


def write(path: Path, content: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# handles


def test_an_existing_path_comes_before_a_built_in_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ImageClassifierPreprocessor(Timm(input_size=(3, 99, 99))).save_to_preset(RESNET)
    assert presets.load(RESNET) == Timm(input_size=(3, 99, 99))
    monkeypatch.chdir("/")
    assert isinstance(presets.load(RESNET), KerasHub)


def test_a_hub_handle_comes_before_a_built_in_name_and_is_not_looked_up_in_it():
    with pytest.raises(PresetNotFoundError, match="hf://"):
        presets.load("hf://no-slash")


def test_a_path_may_be_a_file_a_directory_a_string_or_a_path(tmp_path):
    config = presets.load(RESNET)
    presets.save(config, tmp_path)
    for handle in (
        tmp_path,
        str(tmp_path),
        tmp_path / "jaxprep.json",
        str(tmp_path / "image_converter.json"),
    ):
        assert presets.load(handle).pipeline == config.pipeline


def test_a_collection_in_the_name_says_whose_preprocessing_is_meant():
    sizes = {
        "resnet_50_imagenet": KerasHub,
        "timm/resnet50.a1_in1k": Timm,
        "torchvision/ResNet50_Weights.IMAGENET1K_V2": jaxprep.formats.Torchvision,
        "open_clip/ViT-B-32/openai": jaxprep.formats.OpenClip,
    }
    for name, kind in sizes.items():
        assert type(presets.load(name)) is kind


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet_50_imagenett", RESNET),
        ("timm/resnet50.a1_in1", "timm/resnet50.a1_in1k"),
        ("resnet_50", RESNET),
    ],
)
def test_an_unknown_name_is_an_error_with_the_nearest_ones(name, near):
    with pytest.raises(PresetNotFoundError, match="got") as caught:
        presets.load(name)
    assert isinstance(caught.value, FileNotFoundError)
    assert near in str(caught.value) or name == "resnet_50"
    assert "Nearest" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("resnet50", ["timm/resnet50", "torchvision/resnet50", RESNET]),
        ("timm/ResNet50", ["timm/resnet50"]),
        ("vit_b_16", ["torchvision/vit_b_16"]),
        ("ViT-B-32/openai", ["open_clip/ViT-B-32/openai"]),
        ("resnet_51", ["timm/resnet50.a1_in1k"]),
    ],
)
def test_a_name_without_its_collection_or_in_another_case_is_among_the_nearest(name, near):
    with pytest.raises(PresetNotFoundError) as caught:
        presets.load(name)
    listed = str(caught.value).partition("Nearest: ")[2].removesuffix(".").split(", ")
    assert set(near) <= set(listed) and len(listed) <= 5


@pytest.mark.parametrize(
    ("name", "is_hub_name"),
    [
        ("google/vit-base-patch16-224", True),
        ("openai/clip-vit-base-patch32", True),
        ("timm/resnet51", False),
        ("resnet_51", False),
        ("a/b/c", False),
    ],
)
def test_only_a_name_like_those_of_the_hub_is_answered_with_its_handle(name, is_hub_name):
    with pytest.raises(PresetNotFoundError) as caught:
        presets.load(name)
    assert (f"hf://{name}" in str(caught.value)) == is_hub_name


PRESETS = (
    RESNET,
    "timm/resnet50.a1_in1k",
    "torchvision/ResNet50_Weights.IMAGENET1K_V2",
    "open_clip/ViT-B-32/openai",
)


@pytest.fixture(params=[*PRESETS, "ViTImageProcessor", "CLIPImageProcessor"])
def handle(request, tmp_path):
    """A preset of each collection, and a folder of a Hugging Face class."""
    if not request.param.endswith("ImageProcessor"):
        return request.param
    write(tmp_path / "preprocessor_config.json", {"image_processor_type": request.param})
    return tmp_path


@pytest.mark.parametrize("size", [96, [96], (96,), [96, 96], np.int64(96)])
def test_one_number_is_a_square_in_every_format(handle, size):
    changed = presets.load(handle, image_size=size)
    assert changed == presets.load(handle, image_size=(96, 96))
    assert changed.image_size == (96, 96)


@pytest.mark.parametrize("size", ["banana", (1, 2, 3), True, 96.5, [], [96, None], 0, 2**40])
def test_what_is_no_size_is_named_as_the_user_wrote_it(handle, size):
    with pytest.raises(ConfigError, match=r"\$\.image_size") as caught:
        presets.load(handle, image_size=size)
    assert str(size).strip("[]()") in str(caught.value)


@pytest.mark.parametrize(
    ("override", "resize", "crop"),
    [
        ({"image_size": 112}, 116, (112, 112)),
        ({"image_size": 448}, 464, (448, 448)),
        ({"image_size": (112, 224)}, 232, (112, 224)),
        ({"image_size": 112, "resize_size": 200}, 200, (112, 112)),
        ({"crop_size": 112}, 232, 112),
    ],
)
def test_another_image_size_of_torchvision_keeps_the_view_as_timm_does(override, resize, crop):
    config = presets.load("torchvision/ResNet50_Weights.IMAGENET1K_V2", **override)
    assert (config.resize_size, config.crop_size) == (resize, crop)


@pytest.mark.parametrize(
    ("name", "settings", "size"),
    [
        ("DeiTImageProcessor", {}, {"height": 128, "width": 128}),  # 256 of a crop of 224
        ("MobileNetV2ImageProcessor", {}, {"shortest_edge": 128}),
        ("LevitImageProcessor", {}, {"shortest_edge": 112}),  # its own 256 / 224 comes on top
        ("CLIPImageProcessor", {}, {"shortest_edge": 112}),
        ("ViTImageProcessor", {}, {"height": 112, "width": 112}),
        ("DeiTImageProcessor", {"do_center_crop": False}, {"height": 112, "width": 112}),
    ],
)
def test_another_image_size_of_a_hugging_face_folder_keeps_the_view(name, settings, size, tmp_path):
    content = {"image_processor_type": name, **settings}
    write(tmp_path / "preprocessor_config.json", content)
    config = presets.load(tmp_path, image_size=112)
    assert config.image_size == (112, 112)
    assert config.settings["size"] == size


@pytest.mark.parametrize(
    "name", ["", "timm/", "timm", "/", "no such name", "../..x", "a\0b", "x" * 5000, "kaggle:/x"]
)
def test_a_name_that_nothing_answers_to_is_not_found(name):
    with pytest.raises(jaxprep.errors.JaxprepError):
        presets.load(name)


@pytest.mark.parametrize("handle", [None, 3, 1.5, ["a"], b"resnet"])
def test_a_handle_that_is_no_name_is_an_error(handle):
    with pytest.raises(jaxprep.errors.JaxprepError):
        presets.load(handle)


def test_a_revision_of_a_built_in_preset_is_refused_not_ignored():
    with pytest.raises(InputError, match=r"no `revision` .* got 'v1' - at 'timm/resnet50'"):
        presets.load("timm/resnet50", revision="v1")


def test_a_preset_whose_numbers_are_not_known_says_so():
    with pytest.raises(ConfigError, match="not known"):
        presets.load("deeplab_v3_plus_resnet50_pascalvoc")


def test_names_match_by_part_or_pattern():
    assert presets.matching("resnet_vd_50_ss") == [
        name for name in presets.names() if "resnet_vd_50_ss" in name
    ]
    assert "timm/resnet50.a1_in1k" in presets.matching("timm/resnet50.*")
    assert len(presets.names()) == len(set(presets.names())) > 2000
    assert not presets.matching("no such name")


def test_every_name_is_described():
    for name, entry in ImageConverter.presets.items():
        assert entry["metadata"]["collection"]
        assert entry["metadata"]["source"], name


# directories


def test_the_converter_inside_the_preprocessor_wins_as_in_keras_hub(tmp_path):
    saved = presets.load(RESNET)
    write(tmp_path / "preprocessor.json", saved.preprocessor_json())
    write(
        tmp_path / "image_converter.json",
        saved.overridden({"image_size": (99, 99)}).converter_json(),
    )
    assert presets.load(tmp_path).image_size == (224, 224)


def test_a_config_file_is_read_by_its_name(tmp_path):
    presets.save(presets.load(RESNET), tmp_path, "other.json")
    assert (tmp_path / "other.json").exists() and not (tmp_path / "preprocessor.json").exists()
    assert ImageClassifierPreprocessor.from_preset(
        tmp_path, config_file="other.json"
    ).image_size == (224, 224)
    with pytest.raises(PresetNotFoundError, match=r"missing\.json"):
        presets.load(tmp_path, config_file="missing.json")


@pytest.mark.parametrize(
    "name", ["../other.json", "/etc/passwd", "a/b.json", "..", ".", "", "a\\b.json", "a\0.json"]
)
def test_a_config_file_outside_of_the_directory_is_refused(name, tmp_path):
    write(tmp_path / "other.json", presets.load(RESNET).preprocessor_json())
    (tmp_path / "preset").mkdir()
    with pytest.raises(ConfigError, match="config_file"):
        presets.load(tmp_path / "preset", config_file=name)
    with pytest.raises(ConfigError, match="config_file"):
        presets.save(presets.load(RESNET), tmp_path / "preset", name)
    assert not list((tmp_path / "preset").iterdir())


def test_a_directory_without_a_config_is_not_found(tmp_path):
    with pytest.raises(PresetNotFoundError, match="none"):
        presets.load(tmp_path)
    write(
        tmp_path / "config.json",
        {"registered_name": "keras_hub>ResNetBackbone", "class_name": "ResNetBackbone"},
    )
    with pytest.raises(PresetNotFoundError, match="none"):
        presets.load(tmp_path)


def test_two_files_that_contradict_each_other_are_an_error_naming_both(tmp_path):
    presets.save(presets.load(RESNET), tmp_path)
    converter = json.loads((tmp_path / "image_converter.json").read_text())
    converter["config"]["interpolation"] = "nearest"
    write(tmp_path / "image_converter.json", converter)
    with pytest.raises(ConfigError) as caught:
        presets.load(tmp_path)
    assert "image_converter.json" in str(caught.value) and "jaxprep.json" in str(caught.value)


def test_names_and_layers_that_change_no_pixel_are_no_contradiction(tmp_path):
    presets.save(presets.load(RESNET), tmp_path)
    converter = json.loads((tmp_path / "image_converter.json").read_text())
    converter["config"]["name"] = "another"
    write(tmp_path / "image_converter.json", converter)
    assert presets.load(tmp_path).image_size == (224, 224)


# saving


def test_a_save_makes_the_directory_and_keeps_its_other_files(tmp_path):
    write(tmp_path / "a" / "b" / "model.weights.h5", "weights")
    presets.save(presets.load(RESNET), tmp_path / "a" / "b")
    assert set(everything(tmp_path / "a" / "b")) == {
        "model.weights.h5",
        "jaxprep.json",
        "image_converter.json",
        "preprocessor.json",
    }


def test_a_save_is_the_same_bytes_every_time(tmp_path):
    for name in ("one", "two"):
        presets.save(presets.load(RESNET), tmp_path / name)
    presets.save(presets.load(tmp_path / "one"), tmp_path / "two")
    assert everything(tmp_path / "one") == everything(tmp_path / "two")


def test_a_save_over_a_save_is_the_new_one(tmp_path):
    presets.save(presets.load(RESNET), tmp_path)
    changed = presets.load(tmp_path, image_size=(99, 98))
    presets.save(changed, tmp_path)
    assert presets.load(tmp_path) == changed


@pytest.mark.parametrize(
    "change", [{"rounded": False}, {"data_format": "channels_first"}, {"interpolation": "box"}]
)
def test_what_keras_hub_cannot_say_is_saved_in_our_file_alone(change, tmp_path):
    config = presets.load(RESNET, **change)
    presets.save(config, tmp_path)
    assert set(everything(tmp_path)) == {"jaxprep.json"}
    assert presets.load(tmp_path) == config


@pytest.mark.parametrize(
    "change", [{"rounded": False}, {"image_size": (32, 32), "interpolation": "box"}]
)
def test_what_keras_hub_cannot_say_is_not_saved_beside_its_files(change, tmp_path):
    presets.save(presets.load(RESNET), tmp_path)
    before = everything(tmp_path)
    with pytest.raises(ConfigError, match=r"jaxprep\.json"):
        presets.save(presets.load(RESNET, **change), tmp_path)
    assert everything(tmp_path) == before


def test_another_format_is_not_saved_beside_files_of_keras_hub(tmp_path):
    presets.save(presets.load(RESNET), tmp_path)
    before = everything(tmp_path)
    with pytest.raises(ConfigError, match="remove one"):
        presets.save(Timm(), tmp_path)
    assert everything(tmp_path) == before


@pytest.mark.parametrize("fails_at", [0, 1, 2])
def test_a_save_that_cannot_move_its_files_leaves_everything_as_it_was(
    fails_at, tmp_path, monkeypatch
):
    presets.save(presets.load(RESNET), tmp_path / "old")
    before = everything(tmp_path / "old")
    calls, replace = [], os.replace

    def failing(source, target):
        calls.append(target)
        if len(calls) - 1 == fails_at:
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    for folder in ("old", "new"):
        calls.clear()
        with pytest.raises(OSError, match="No space"):
            presets.save(presets.load(RESNET, image_size=(64, 64)), tmp_path / folder)
    assert everything(tmp_path / "old") == before
    assert everything(tmp_path / "new") == {}


def test_a_save_on_a_full_disk_leaves_everything_as_it_was(tmp_path, monkeypatch):
    presets.save(presets.load(RESNET), tmp_path)
    before = everything(tmp_path)
    make, opened = atomic._temporary, []

    class Full:
        """A file on a disk that is full."""

        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return getattr(self.file, name)

        def write(self, content):
            raise OSError(28, "No space left on device")

    def full(path):
        opened.append(make(path))
        return Full(opened[-1]) if len(opened) == 3 else opened[-1]

    monkeypatch.setattr(atomic, "_temporary", full)
    with pytest.raises(OSError, match="No space"):
        presets.save(presets.load(RESNET, image_size=(64, 64)), tmp_path)
    assert len(opened) == 3
    assert everything(tmp_path) == before


# what every format promises


def test_a_config_of_every_preset_survives_its_file(tmp_path):
    """One of each distinct config of all the collections."""
    seen: set[Format] = set()
    for name in presets.names():
        try:
            seen.add(
                presets.load(name).overridden(
                    {"architecture": ""} if name.startswith("timm/") else {}
                )
            )
        except ConfigError:
            continue
    assert len(seen) > 300
    for config in seen:
        assert (
            jaxprep.presets.files.from_json(
                json.loads(json.dumps(jaxprep.presets.files.to_json(config)))
            )
            == config
        )


# collections of users


TABLE = {
    "source": "our training script",
    "settings": {"bicubic-32": {"input_size": [3, 32, 32], "crop_pct": 1.0}},
    "presets": {
        "tiny.v1": "bicubic-32",
        "small.v1": {"settings": {"input_size": [3, 48, 48]}, "params": 1234567, "source": "mail"},
        "lost": {"settings": None, "note": "the disk broke"},
    },
    "aliases": {"tiny": "tiny.v1", "old": "tiny"},
}


@pytest.fixture
def unregistered(monkeypatch):
    """No collection that a test registers outlives it."""
    monkeypatch.setattr(library, "_REGISTERED", {})


@pytest.mark.parametrize("form", ["dictionary", "string", "path"])
def test_a_collection_of_a_user_is_found_by_its_names(form, unregistered, tmp_path):
    file = write(tmp_path / "ours.json", TABLE)
    table = {"dictionary": TABLE, "string": str(file), "path": file}[form]
    presets.register_collection("ours", table, Timm)
    tiny = Timm(input_size=(3, 32, 32), crop_pct=1.0, architecture="tiny")
    for name in ("tiny.v1", "tiny", "old"):
        assert presets.load(f"ours/{name}") == tiny
    assert ImageClassifierPreprocessor.from_preset("ours/small.v1").image_size == (48, 48)
    assert presets.matching("ours/*") == ["ours/tiny.v1", "ours/small.v1", "ours/lost"]
    assert presets.describe("ours/tiny") == {"collection": "ours", "source": TABLE["source"]}
    assert ImageConverter.presets["ours/small.v1"]["metadata"]["params"] == 1234567
    with pytest.raises(ConfigError, match=r"numbers of `ours/lost` are not known: the disk broke"):
        presets.load("ours/lost")
    with pytest.raises(PresetNotFoundError, match=r"Nearest: .*ours/small\.v1"):
        presets.load("ours/small.v2")


def test_a_collection_of_a_user_is_listed_by_the_command_line(unregistered, capsys):
    presets.register_collection("ours", TABLE, Timm)
    assert main(["presets", "ours/"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert rows[0] == ["ours/tiny.v1", "32", "x", "32", "bicubic"]
    assert rows[1][-1] == "1.2M" and "not known" in " ".join(rows[2])
    assert main(["inspect", "ours/tiny"]) == 0
    assert "source: our training script" in capsys.readouterr().out


def test_a_collection_registered_again_is_the_new_one(unregistered):
    presets.register_collection("ours", TABLE, Timm)
    presets.register_collection("ours", {"presets": {"a": {"settings": {}}}}, OpenClip)
    assert presets.matching("ours/") == ["ours/a"]
    assert isinstance(presets.load("ours/a"), OpenClip)


@pytest.mark.parametrize(
    ("name", "table", "said"),
    [
        ("timm", TABLE, r"no collection of jaxprep has, got `'timm'` - at `name`"),
        ("a/b", TABLE, "Expected a word"),
        (3, TABLE, "Expected a word"),
        ("ours", 3, r"Expected an object.* at `\$\.ours`"),
        ("ours", {}, r"Missing field `presets` - at `\$\.ours`"),
        ("ours", TABLE | {"more": 1}, r"Unknown field - at `\$\.ours\.more`"),
        ("ours", {"presets": {"a": "b"}}, r"`settings`, got `'b'` - at `\$\.ours\.presets\.a`"),
        ("ours", {"presets": {"a": 3}}, r"got `3` - at `\$\.ours\.presets\.a`"),
        ("ours", {"presets": {"a": {"settings": 3}}}, r"at `\$\.ours\.presets\.a\.settings`"),
        ("ours", TABLE | {"aliases": {"a": "b"}}, r"got `'b'` - at `\$\.ours\.aliases\.a`"),
        ("ours", TABLE | {"aliases": {"lost": "lost"}}, r"got `'lost'` - at `\$\.ours\.aliases`"),
        ("ours", "no such file.json", "no such file"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_its_place(name, table, said, unregistered):
    with pytest.raises(jaxprep.errors.JaxprepError, match=said):
        presets.register_collection(name, table, Timm)
    assert not library._REGISTERED


def test_wrong_settings_of_a_user_are_named_with_their_preset(unregistered):
    presets.register_collection("ours", {"presets": {"a": {"settings": {"sise": 3}}}}, Timm)
    with pytest.raises(ConfigError, match=r"Unknown field - at `\$\.ours/a\.sise`"):
        presets.load("ours/a")


def test_aliases_that_stand_for_each_other_are_no_preset(unregistered):
    presets.register_collection("ours", TABLE | {"aliases": {"a": "b", "b": "a"}}, Timm)
    with pytest.raises(PresetNotFoundError):
        presets.load("ours/a")


def test_settings_of_the_collections_have_names_that_say_what_they_are():
    for name in ("timm", "torchvision", "open_clip"):
        table = load_json(f"{name}.json")
        assert set(table["settings"]) == set(table["presets"].values())
        for setting, fields in table["settings"].items():
            assert fields.get("interpolation", "") in setting


@pytest.mark.parametrize("address", ["hf://user/name", "gs://bucket/a", "S3://b/c", "file:///a"])
def test_an_address_is_no_folder_to_save_to(address, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for save in (
        lambda: ImageClassifierPreprocessor.from_preset(RESNET).save_to_preset(address),
        lambda: ViTImageProcessor().save_pretrained(address),
        lambda: jaxprep.export(Pipeline(), address, size=(8, 8), platforms=("cpu",)),
        lambda: jaxprep.show(Pipeline(), np.zeros((8, 9, 3), np.uint8)).save(f"{address}.png"),
        lambda: jaxprep.preprocess_files(str(jaxprep.data.photo_path("coffee")), RESNET, address),
    ):
        with pytest.raises(InputError, match="on this machine, got the address"):
            save()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dtype", [np.float16, jnp.float16, np.dtype("float16"), "float16"])
def test_a_dtype_is_named_as_in_numpy_and_jax(dtype):
    assert ImageConverter(scale=1 / 255, dtype=dtype) == ImageConverter(
        scale=1 / 255, dtype="float16"
    )
    for preset in (RESNET, "open_clip/ViT-B-32/openai", "torchvision/resnet50"):
        assert ImageConverter.from_preset(preset, dtype=dtype).dtype == "float16"
