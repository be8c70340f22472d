"""What a run writes: formats, types, labels, and the page that says how to read them."""

from __future__ import annotations

import errno
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from helpers.runs import PRESET, SMALL, arrays, image_file, lines, one_line, preprocessor, run
from PIL import Image

import jaxprep
from jaxprep.cli import shard_files
from jaxprep.cli.sources import Source
from jaxprep.host import read_image

FORMATS = ["npz", "npy", "parquet", "array_record"]


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """Three images of two classes; one lies deeper."""
    folder = tmp_path / "photos"
    for seed, name in enumerate(("dog/1.png", "dog/2.png", "cat/indoors/3.png")):
        image_file(folder / name, 40, 50, 3, seed=seed)
    return folder


def pixels_of_pillow(path: Path) -> np.ndarray:
    """The preset by Pillow: the shorter side to int(24 / 0.95), the middle 24 x 24."""
    with Image.open(path) as image:
        small = image.convert("RGB").resize((31, 25), Image.Resampling.BICUBIC)
    left, top = round((31 - 24) / 2), round((25 - 24) / 2)
    return np.asarray(small)[top : top + 24, left : left + 24]


def code_of(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("dtype", ["uint8", "bfloat16"])
@pytest.mark.parametrize("format", FORMATS)
def test_the_folder_says_how_it_is_read(classes, tmp_path, monkeypatch, capsys, format, dtype):
    output = tmp_path / "out"
    options = ("--format", format, "--dtype", dtype, "--labels", "--quiet")
    assert run(classes, "--output", output, *options) == 0
    monkeypatch.chdir(output)
    first, *rest = code_of(Path("README.md").read_text())
    monkeypatch.setitem(sys.modules, "ml_dtypes", ml_dtypes)
    names: dict = {"seen": {}}
    exec(first.replace("print(path", "seen[path] = (image, int(label)); print(path"), names)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 3 and all(line.endswith(f"(24, 24, 3) {dtype}") for line in printed)
    pre = preprocessor()
    for path in classes.rglob("*.png"):
        image, label = names["seen"][str(path)]
        assert label == {"cat": 0, "dog": 1}[path.relative_to(classes).parts[0]]
        full = np.asarray(pre(read_image(path)))
        if dtype == "uint8":
            np.testing.assert_array_equal(image, pixels_of_pillow(path))
        else:
            np.testing.assert_array_equal(image, full.astype(ml_dtypes.bfloat16))
    assert len(rest) == (dtype == "uint8")
    if rest:
        names["image"] = image
        exec(rest[0], names)
        np.testing.assert_allclose(names["batch"].image[0], full, rtol=0, atol=2e-6)


@pytest.mark.parametrize("format", FORMATS)
def test_what_an_image_was_before_it_changed_is_not_read(classes, tmp_path, monkeypatch, format):
    output = tmp_path / "out"
    assert run(classes, "--output", output, "--format", format, "--quiet") == 0
    image_file(classes / "dog" / "1.png", 41, 50, 3, seed=9)
    assert run(classes, "--output", output, "--format", format, "--quiet") == 0
    monkeypatch.chdir(output)
    first, *_ = code_of(Path("README.md").read_text())
    names: dict = {"seen": []}
    exec(first.replace("print(path", "seen.append((str(path), image)); print(path"), names)
    assert sorted(path for path, _ in names["seen"]) == sorted(map(str, classes.rglob("*.png")))
    for path, image in names["seen"]:
        np.testing.assert_array_equal(image, np.asarray(preprocessor()(read_image(path))))


def test_so_it_is_after_a_run_that_did_not_end(classes, tmp_path, monkeypatch):
    output = tmp_path / "out"
    assert run(classes, "--output", output, "--quiet") == 0
    changed = image_file(classes / "dog" / "1.png", 41, 50, 3, seed=9)
    (classes / "z.png").write_bytes(b"no image")
    assert run(classes, "--output", output, "--shard-size", "1", "--quiet") != 0
    lines = (output / "manifest.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["path"] == str(changed) for line in lines) == 2
    monkeypatch.chdir(output)
    first, *_ = code_of(Path("README.md").read_text())
    names: dict = {"seen": []}
    exec(first.replace("print(path", "seen.append((str(path), image)); print(path"), names)
    seen = dict(names["seen"])
    assert len(seen) == len(names["seen"])
    image = np.asarray(preprocessor()(read_image(changed)))
    np.testing.assert_array_equal(seen[str(changed)], image)


def test_pixels_and_the_rest_of_the_steps_are_the_preset_bit_for_bit(classes, tmp_path):
    preset, exact = "torchvision/ResNet50_Weights.IMAGENET1K_V2", "exact=true"
    output = tmp_path / "out"
    assert run(classes, "--output", output, "--dtype", "uint8", preset=preset, override=exact) == 0
    pre = jaxprep.ImageClassifierPreprocessor.from_preset(preset, exact=True)
    finish = jaxprep.Pipeline.from_json(json.loads((output / "manifest.json").read_text())["then"])
    for path, pixels in arrays(output).items():
        result = finish(jaxprep.Batch(image=pixels)).image
        np.testing.assert_array_equal(np.asarray(result), np.asarray(pre(read_image(path))))


def test_a_preset_whose_resize_gives_fractions_has_no_pixels(classes, tmp_path, capsys):
    output = tmp_path / "out"
    options = ("--output", output, "--dtype", "uint8", "--quiet")
    assert run(classes, *options, preset="resnet_50_imagenet", override="rounded=false") == 1
    assert "--dtype uint8" in one_line(capsys.readouterr().err)
    assert not output.exists()


def test_results_of_several_sizes_are_written_in_every_format(tmp_path):
    preset = "torchvision/DeepLabV3_ResNet50_Weights.DEFAULT"
    wide = image_file(tmp_path / "wide.png", 40, 60, 3)
    tall = image_file(tmp_path / "tall.png", 60, 40, 3)
    expected: list[np.ndarray] = []
    for format in FORMATS:
        options = ("--output", tmp_path / format, "--format", format)
        assert run(wide, tall, *options, preset=preset, override="resize_size=32") == 0
        found = list(arrays(tmp_path / format).values())
        assert [array.shape for array in found] == [(32, 48, 3), (48, 32, 3)]
        expected = expected or found
        assert all((one == other).all() for one, other in zip(found, expected, strict=True))


# labels


def test_classes_are_numbered_by_their_sorted_names_and_kept_in_every_line(classes, tmp_path):
    image_file(classes / "Zebra" / "4.png", 40, 50, 3)
    output = tmp_path / "out"
    assert run(classes / "*", "--output", output, "--labels", "--quiet") == 0
    ids = json.loads((output / "labels.json").read_text())
    # as `sorted` of Python has it, which `ImageFolder` uses: capitals first
    assert ids == {"Zebra": 0, "cat": 1, "dog": 2}
    for line in lines(output):
        assert line["label"] == ids[Path(line["path"]).relative_to(classes).parts[0]]
    shard = np.load(output / "shard-00000.npz")
    assert shard["labels"].tolist() == [line["label"] for line in lines(output)]


def test_a_run_with_labels_goes_on_and_refuses_other_classes(classes, tmp_path, decoded, capsys):
    output = tmp_path / "out"
    assert run(classes, "--output", output, "--labels") == 0
    image_file(classes / "cat" / "5.png", 40, 50, 3, seed=5)
    decoded.clear()
    assert run(classes, "--output", output, "--labels") == 0
    assert decoded == ["5.png"]
    image_file(classes / "ant" / "6.png", 40, 50, 3, seed=6)
    capsys.readouterr()
    assert run(classes, "--output", output, "--labels") == 1
    assert "another `labels`" in one_line(capsys.readouterr().err)


def test_an_image_without_a_class_is_an_error_before_anything_is_written(classes, tmp_path, capsys):
    image_file(classes / "loose.png", 40, 50, 3)
    for paths in ([classes], [classes / "cat" / "indoors"], [classes / "loose.png"]):
        assert run(*paths, "--output", tmp_path / "out", "--labels") == 1
        assert "a folder for each class" in one_line(capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


# what can go wrong


@pytest.mark.parametrize("format", ["parquet", "array_record"])
def test_a_package_that_is_missing_is_named_before_anything_is_written(
    classes, tmp_path, capsys, monkeypatch, format
):
    monkeypatch.setattr(shard_files.importlib.util, "find_spec", lambda name: None)
    assert run(classes, "--output", tmp_path / "out", "--format", format) == 1
    assert f"pip install 'jaxprep[{format}]'" in one_line(capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_under_an_array_record_is_an_error_of_the_system(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    source = Source(Path("/a.png"), {}, (200, 200), (200, 200))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with open(tmp_path / "shard", "x+b") as file:
        resource.setrlimit(resource.RLIMIT_FSIZE, (70_000, limits[1]))
        try:
            with pytest.raises(OSError) as caught:
                shard_files.KINDS["array_record"].write(file, [image] * 9, [source] * 9)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.errno == errno.EFBIG


def test_a_path_that_is_no_text_is_kept_in_the_manifest_and_readable_in_the_file(
    tmp_path, monkeypatch, capsys
):
    name = os.fsdecode(b"caf\xe9.png")
    path = image_file(tmp_path / name, 40, 50, 3)
    for format in ("parquet", "array_record"):
        output = tmp_path / format
        assert run(path, "--output", output, "--format", format) == 0
        assert lines(output)[0]["path"] == str(path)
        first, *_ = code_of((output / "README.md").read_text())
        monkeypatch.chdir(output)
        exec(first, {})
        assert r"caf\xe9.png (24, 24, 3)" in capsys.readouterr().out


@pytest.mark.parametrize("format", ["array_record"])
def test_a_run_that_is_killed_goes_on_with_the_bits_of_one_that_is_not(tmp_path, format):
    folder = tmp_path / "photos"
    for seed in range(60):
        image_file(folder / f"{seed:02}.png", 40 + seed % 5, 50, 3, seed=seed)
    options = ["--format", format, "--shard-size", "2", "--batch-size", "2", "--quiet"]
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "jaxprep", "run", "--preset", PRESET, "--override", SMALL]
    process = subprocess.Popen([*command, folder, "--output", killed, *options])
    listed = killed / "manifest.jsonl"
    deadline = time.monotonic() + 120
    while not (listed.exists() and listed.stat().st_size) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 0 < len(lines(killed)) < 60
    assert run(folder, "--output", killed, *options) == 0
    assert run(folder, "--output", tmp_path / "whole", *options) == 0
    found, expected = arrays(killed), arrays(tmp_path / "whole")
    assert found.keys() == expected.keys() and len(found) == 60
    assert all((found[path] == expected[path]).all() for path in found)
    assert not [path for path in killed.iterdir() if path.name.startswith(".jaxprep-")]
