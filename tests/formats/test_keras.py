"""Keras' own preprocessing layers: their numbers on JAX, and the files that hold them."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from goldens import keras_inputs

from jaxprep import ImageClassifierPreprocessor, presets
from jaxprep.errors import ConfigError
from jaxprep.formats import Keras, KerasHub
from jaxprep.formats.keras import Normalization, Rescaling, Resizing, from_keras_json

GOLDENS = Path(keras_inputs.__file__).parent
ARCHIVES = GOLDENS / "keras_layers"
CASES, ARRAYS, _ = keras_inputs.load(GOLDENS / "keras_layers.npz")
FLOATS = 2e-6
"""Of the largest magnitude of the values that are mixed: float32 sums in another order."""


def chosen() -> list[dict]:
    """Of each object all inputs, or by default one, and all of the layer that looks at the size,
    and floats for a model that takes uint8."""
    if os.environ.get("JAXPREP_ALL_GOLDENS"):
        return CASES
    by_object: dict[str, list[dict]] = {}
    for case in CASES:
        by_object.setdefault(json.dumps(case["object"]), []).append(case)
    found = []
    for number, cases in enumerate(by_object.values()):
        crops_or_resizes = number == [*map(_class_name, by_object.values())].index("CenterCrop")
        found += cases if crops_or_resizes else [cases[number % len(cases)]]
        if '"dtype": "uint8"' in json.dumps(cases[0]["object"]):
            found += [case for case in cases if case["input"]["dtype"] == "float32"]
    return found


def _class_name(cases: list[dict]) -> str:
    return cases[0]["object"]["class_name"]


@pytest.mark.parametrize("case", chosen(), ids=lambda case: f"{case['out'][4:]}-{case['dtype']}")
def test_a_layer_computes_what_keras_computes(case):
    image = keras_inputs.build(case["input"])
    assert keras_inputs.digest(image) == case["input_sha256"]
    config = from_keras_json(case["object"])
    result = np.asarray(ImageClassifierPreprocessor(config)(image))  # type: ignore[arg-type]
    assert (list(result.shape), result.dtype.name) == (case["shape"], case["dtype"])
    values, expected = result.ravel()[ARRAYS[case["at"]]], ARRAYS[case["out"]]
    difference = np.abs(values.astype(np.float64) - expected)
    deviation = _deviation(config)
    largest = max(np.abs(expected).max(), 255 / deviation)
    is_off = difference > FLOATS * largest
    if any(getattr(layer, "interpolation", None) == "nearest" for layer in config.layers):
        # (15 + 0.5) * 90 / 31 is 45; XLA's product with 1 / 31 is below, the pixel before:
        # one column where their number is odd.
        assert is_off.mean() < 1 / 24
    elif not config.is_float and isinstance(config.layers[0], Resizing):
        # Sums that come out on a half in one order, and beside it in another.
        assert is_off.mean() <= 0.005 and difference.max() <= 1 / deviation + FLOATS * largest
    else:
        assert not is_off.any(), difference.max() / largest


def _deviation(config: Keras) -> float:
    """The smallest number that the layers divide by, and a difference of pixels with it."""
    found = [1.0]
    for layer in config.layers:
        if isinstance(layer, Normalization) and not layer.invert:
            found += np.maximum(np.sqrt(np.ravel(layer.variance)), 1e-3).tolist()
        if isinstance(layer, Rescaling):
            found += (1 / np.abs(np.ravel(layer.scale))).tolist()
    return min(found)


# files


def written(folder: Path, name: str, content: object) -> Path:
    (folder / name).write_text(json.dumps(content))
    return folder


RESCALING = {"module": "keras.layers", "class_name": "Rescaling", "config": {"scale": 0.5}}


@pytest.mark.parametrize(
    "name, content",
    [
        ("preprocessor.json", RESCALING),
        ("image_converter.json", RESCALING),
        ("config.json", RESCALING),
        (
            "preprocessor.json",
            {
                "class_name": "ResNetImageClassifierPreprocessor",
                "config": {"image_converter": RESCALING},
            },
        ),
    ],
)
def test_a_folder_of_kerashub_may_hold_a_layer_of_keras(tmp_path, name, content):
    if name != "config.json":
        written(tmp_path, "config.json", {"class_name": "ResNetBackbone", "config": {}})
    written(tmp_path, name, content)
    assert presets.load(tmp_path) == Keras((Rescaling(0.5),))


def test_a_model_in_a_folder_is_no_preprocessing(tmp_path):
    layers = [{"class_name": "Dense", "config": {}}]
    written(tmp_path, "config.json", {"class_name": "Sequential", "config": {"layers": layers}})
    with pytest.raises(FileNotFoundError, match="found none"):
        presets.load(tmp_path)


def test_an_archive_that_keras_saved_is_read_and_saved_as_ours(tmp_path):
    config = presets.load(ARCHIVES / "preprocessing.keras")
    case = {"crop_to_aspect_ratio": True}
    assert config == Keras(
        (
            Resizing(24, 31, **case),  # type: ignore[arg-type]
            Rescaling(1 / 255),
            Normalization((0.485, 0.456, 0.406), (0.052, 0.050, 0.051)),
        ),
        is_float=True,
    )
    presets.save(config, tmp_path)
    assert presets.load(tmp_path) == config
    resized = presets.load(tmp_path, image_size=(12, 62), dtype="bfloat16")
    assert resized.image_size == (12, 62)


@pytest.mark.parametrize(
    "name, parts",
    [
        ("adapted", ["`mean` and `variance`", "`adapt`", "$.config.layers[1].config.mean"]),
        ("classifier", ["`'Conv2D'`", "$.config.layers[2].class_name", "'Rescaling'"]),
        ("functional", ["`'Functional'`", "$.class_name"]),
    ],
)
def test_an_archive_of_something_else_is_one_error_that_names_the_layer(name, parts):
    with pytest.raises(ConfigError) as caught:
        presets.load(ARCHIVES / f"{name}.keras")
    for part in (*parts, f"{name}.keras"):
        assert part in str(caught.value)


def archive(path: Path, *members: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members:
            file.writestr(name, content)
    return path


def damaged(content: bytes) -> bytes:
    middle = content.index(b"config.json") + 60
    return content[:middle] + b"\0\0\0\0" + content[middle + 4 :]


def test_a_hostile_archive_is_one_error(tmp_path):
    path = tmp_path / "a.keras"
    good = archive(path, ("config.json", json.dumps(RESCALING).encode() * 20)).read_bytes()
    encrypted = bytearray(good)
    encrypted[6] |= 1
    encrypted[good.index(b"PK\x01\x02") + 8] |= 1
    for content in (b"", b"PK\x03\x04", good[:-30], damaged(good), bytes(encrypted), b"\0" * 99):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"a\.keras"):
            presets.load(path)
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        archive(path, ("config.json", b"{}" * 999), method=method)
        content = path.read_bytes()
        path.write_bytes(content[:50] + b"\xff" * 8 + content[58:])
        with pytest.raises(ConfigError, match=r"a\.keras"):
            presets.load(path)
    archive(path, ("../config.json", b"{}"), ("model/config.json", b"{}"))
    with pytest.raises(ConfigError, match="without"):
        presets.load(path)
    archive(path, ("config.json", b" " * (11 * 2**20)))  # a bomb: 11 kB
    with pytest.raises(ConfigError, match="at most"):
        presets.load(path)
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "content, place",
    [
        ({"class_name": "RandomFlip", "config": {}}, "$.config.layers[0].class_name"),
        (
            {"class_name": "Rescaling", "config": {"scale": "wide"}},
            "$.config.layers[0].config.scale",
        ),
        (
            {"class_name": "Rescaling", "config": {"scale": 1.0, "dtype": "bfloat16"}},
            "$.config.layers[0].config.dtype",
        ),
        (
            {"class_name": "Resizing", "config": {"height": 2, "width": 2, "fill_mode": "wrap"}},
            "$.config.layers[0].config.fill_mode",
        ),
        (
            {"class_name": "Resizing", "config": {"height": 2, "width": 2, "sise": 3}},
            "$.config.layers[0].config.sise",
        ),
        (
            {"class_name": "Normalization", "config": {"mean": 0, "variance": 1, "axis": 1}},
            "$.config.layers[0].config.axis",
        ),
        ("Rescaling", "$.config.layers[0]"),
    ],
)
def test_what_is_not_read_is_named_with_its_place(content, place):
    with pytest.raises(ConfigError) as caught:
        from_keras_json({"class_name": "Sequential", "config": {"layers": [content]}})
    assert f"`{place}`" in str(caught.value)


def test_kerashubs_converter_is_still_kerashubs():
    content = {"class_name": "ImageConverter", "config": {"image_size": [4, 4]}}
    assert isinstance(KerasHub.read(content), KerasHub)
