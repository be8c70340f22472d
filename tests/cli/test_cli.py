"""The command line, called in this process, on the photographs and on files that the tests make,
good and bad.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.images import noise
from helpers.runs import (
    HOUSEKEEPING,
    PRESET,
    SMALL,
    arrays,
    image_file,
    lines,
    one_line,
    preprocessor,
    run,
)
from PIL import Image

import jaxprep
from jaxprep import ImageClassifierPreprocessor, Pipeline, ops, presets
from jaxprep.cli import convert as convert_module
from jaxprep.cli import main, writers
from jaxprep.cli.interrupts import deferred_interrupt
from jaxprep.cli.manifest import Manifest, owned
from jaxprep.cli.options import load_config, make_parser
from jaxprep.cli.prefetch import grouped, run_ahead
from jaxprep.errors import JaxprepError
from jaxprep.formats import Custom
from jaxprep.host import read_image
from jaxprep.looking.panels import BORDER, FRAME, Box
from jaxprep.looking.show import kept_box
from jaxprep.ops import sizes
from jaxprep.ops.resize import SizeRule
from jaxprep.pipeline.undo import undone
from jaxprep.resample.references import REFERENCES

# run: what is written


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_the_arrays_are_those_of_the_preprocessor_on_the_decoded_photographs(
    photos, tmp_path, kind
):
    preset, output = "resnet_50_imagenet", tmp_path / "out"
    assert (
        main(["run", "--preset", preset, str(photos), "--output", str(output), "--format", kind])
        == 0
    )
    pre = ImageClassifierPreprocessor.from_preset(preset)
    found = arrays(output)
    assert sorted(found) == sorted(map(str, photos.glob("*.jpg")))
    for path, array in found.items():
        np.testing.assert_array_equal(array, np.asarray(pre(read_image(path))))
        assert array.dtype == np.float32
    settings = json.loads((output / "manifest.json").read_text())
    assert settings["preprocessor"] == pre.to_json()
    assert (settings["preset"], settings["jaxprep"]) == (preset, jaxprep.__version__)
    assert settings["finished"] == {"images": 6, "skipped": 0}
    for line in lines(output):
        with Image.open(line["path"]) as image:
            assert line["size"] == [image.height, image.width]
        assert line["output_size"] == [224, 224]
        assert (line["bytes"], line["mtime_ns"]) == (
            os.stat(line["path"]).st_size,
            os.stat(line["path"]).st_mtime_ns,
        )


@pytest.mark.parametrize("alpha", ["drop", "white"])
def test_files_of_every_kind_are_decoded_by_the_rules_of_read_image(tmp_path, alpha):
    source = tmp_path / "in"
    image_file(source / "rgb.png", 40, 50, 3)
    image_file(source / "gray.png", 40, 50)
    image_file(source / "alpha.png", 40, 50, 4)
    Image.fromarray(np.arange(2000, dtype=np.uint16).reshape(40, 50) * 32).save(source / "deep.png")
    Image.open(source / "rgb.png").convert("P").save(source / "palette.png")
    Image.open(source / "rgb.png").convert("CMYK").save(source / "cmyk.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(source / "rgb.png").save(source / "turned.jpg", exif=exif)
    assert run(source, "--output", tmp_path / "out", "--alpha", alpha) == 0
    pre, found = preprocessor(), arrays(tmp_path / "out")
    assert len(found) == 7
    for path, array in found.items():
        np.testing.assert_array_equal(array, np.asarray(pre(read_image(path, alpha=alpha))))
    sizes = {Path(line["path"]).name: line["size"] for line in lines(tmp_path / "out")}
    assert (sizes["turned.jpg"], sizes["rgb.png"]) == ([50, 40], [40, 50])
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["alpha"] == alpha


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_results_without_a_common_size_are_written_one_by_one(tmp_path, kind):
    preset = "torchvision/DeepLabV3_ResNet50_Weights.DEFAULT"
    wide, tall = (
        image_file(tmp_path / "wide.png", 40, 60, 3),
        image_file(tmp_path / "tall.png", 60, 40, 3),
    )
    arguments = (wide, tall, "--output", tmp_path / "out", "--format", kind)
    assert run(*arguments, preset=preset, override="resize_size=32") == 0
    pre = ImageClassifierPreprocessor.from_preset(preset, resize_size=32)
    found = arrays(tmp_path / "out")
    assert [array.shape for array in found.values()] == [(32, 48, 3), (48, 32, 3)]
    for path, array in found.items():
        np.testing.assert_array_equal(array, np.asarray(pre(read_image(path))))
    assert [line["output_size"] for line in lines(tmp_path / "out")] == [[32, 48], [48, 32]]


def test_shards_hold_at_most_as_many_images_as_asked(folder, tmp_path):
    assert run(folder, "--output", tmp_path / "out", "--shard-size", 2, "--batch-size", 3) == 0
    shards = sorted(path.name for path in (tmp_path / "out").glob("*.npz"))
    assert shards == ["shard-00000.npz", "shard-00001.npz", "shard-00002.npz"]
    assert [np.load(tmp_path / "out" / name)["images"].shape[0] for name in shards] == [2, 2, 1]
    assert [Path(path).name for path in arrays(tmp_path / "out")] == [f"{i}.png" for i in range(5)]


def test_names_of_single_files_follow_the_paths_and_never_collide(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i, name in enumerate(
        ("in/cat.png", "in/cat.bmp", "in/a/cat.png", "in/CAT.png", "a/in/cat.png")
    ):
        image_file(tmp_path / name, 40, 50, 3, seed=i)
    monkeypatch.chdir(tmp_path / "a")
    given = ["in/cat.png", "../in/cat.png", "../in/cat.bmp", "../in/a/cat.png", "../in/CAT.png"]
    same = tmp_path / "a/in/cat.png"
    assert run(*given, same, "--output", "out", "--format", "npy") == 0
    files = [line["file"] for line in lines(Path("out"))]
    above = tmp_path.relative_to("/").as_posix()
    assert files[:2] == ["in/cat.png.npy", f"{above}/in/cat.png.npy"]
    assert files[2:4] == [f"{above}/in/cat.bmp.npy", f"{above}/in/a/cat.png.npy"]
    assert len({name.lower() for name in files}) == 5
    for path, array in arrays(Path("out")).items():
        np.testing.assert_array_equal(array, np.asarray(preprocessor()(read_image(path))))


def test_bfloat16_which_numpy_files_have_not_becomes_float32(tmp_path):
    path = image_file(tmp_path / "a.png", 40, 50, 3)
    arguments = [
        "run",
        "--preset",
        "resnet_50_imagenet",
        "--override",
        SMALL,
        "--override",
        "dtype=bfloat16",
    ]
    assert main([*arguments, str(path), "--output", str(tmp_path / "out")]) == 0
    result = arrays(tmp_path / "out")[str(path)]
    pre = ImageClassifierPreprocessor.from_preset(
        "resnet_50_imagenet", image_size=(24, 24), dtype="bfloat16"
    )
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, np.asarray(pre(read_image(path))).astype(np.float32))


def test_a_preset_that_takes_channels_first_or_gray_gets_them(tmp_path):
    path = image_file(tmp_path / "a.png", 40, 50, 3)
    image = read_image(path)
    assert (
        run(
            path,
            "--output",
            tmp_path / "1",
            preset="resnet_50_imagenet",
            override="data_format=channels_first",
        )
        == 0
    )
    last = ImageClassifierPreprocessor.from_preset("resnet_50_imagenet")(image)
    np.testing.assert_allclose(
        arrays(tmp_path / "1")[str(path)], np.moveaxis(np.asarray(last), -1, 0), atol=1e-6
    )
    gray = {
        "architecture": "small",
        "pretrained_cfg": {"input_size": [1, 24, 24], "mean": [0.5], "std": [0.5]},
    }
    (tmp_path / "config.json").write_text(json.dumps(gray))
    assert main(["run", "--preset", str(tmp_path), str(path), "--output", str(tmp_path / "2")]) == 0
    pre = ImageClassifierPreprocessor.from_preset(tmp_path)
    expected = pre(np.asarray(Image.open(path).convert("L"))[..., None])
    np.testing.assert_array_equal(arrays(tmp_path / "2")[str(path)], np.asarray(expected))


def test_presets_of_the_hub_are_taken_by_their_handle(hub, tmp_path):
    config = {"architecture": "small", "pretrained_cfg": {"input_size": [3, 24, 24]}}
    hub.add("user/small", {"config.json": config})
    path = image_file(tmp_path / "a.png", 40, 50, 3)
    cache = str(tmp_path / "cache")
    handle = ["--preset", "hf://user/small", "--revision", "main", "--cache-dir", cache]
    assert main(["run", *handle, str(path), "--output", str(tmp_path / "out")]) == 0
    assert main(["run", *handle, "--offline", str(path), "--output", str(tmp_path / "out")]) == 0
    assert arrays(tmp_path / "out")[str(path)].shape == (24, 24, 3)


def test_progress_and_summary_are_on_stderr_unless_quiet(folder, tmp_path, capsys):
    assert run(folder, "--output", tmp_path / "out") == 0
    out, err = capsys.readouterr()
    assert (
        "5/5" in err
        and "images/s" in err
        and one_line(err) == f"jaxprep: 5 images in {tmp_path / 'out'}"
    )
    assert run(folder, "--output", tmp_path / "out", "--quiet") == 0
    assert (out, *capsys.readouterr()) == ("", "", "")


# run: going on


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_what_is_done_is_not_decoded_again(folder, tmp_path, decoded, kind):
    arguments = ("--output", tmp_path / "out", "--format", kind)
    assert run(folder / "0.png", folder / "1.png", *arguments) == 0
    before = arrays(tmp_path / "out")
    decoded.clear()
    assert run(folder, *arguments) == 0
    assert sorted(decoded) == ["2.png", "3.png", "4.png"]
    after = arrays(tmp_path / "out")
    assert len(after) == 5
    for path, array in before.items():
        np.testing.assert_array_equal(after[path], array)
    decoded.clear()
    assert run(folder, *arguments) == 0
    assert decoded == []


@pytest.mark.parametrize("kind", ["npz", "npy"])
def test_a_file_that_changed_is_done_again_and_its_last_result_counts(
    folder, tmp_path, decoded, kind
):
    arguments = (folder, "--output", tmp_path / "out", "--format", kind)
    assert run(*arguments) == 0
    changed = image_file(folder / "2.png", 41, 50, 3, seed=9)
    decoded.clear()
    assert run(*arguments) == 0
    assert decoded == ["2.png"]
    found = [line for line in lines(tmp_path / "out") if line["path"] == str(changed)]
    assert len(found) == 1 and found[0]["size"] == [41, 50]
    np.testing.assert_array_equal(
        arrays(tmp_path / "out")[str(changed)], np.asarray(preprocessor()(read_image(changed)))
    )


def test_results_that_were_removed_are_made_again(folder, tmp_path, decoded):
    assert run(folder, "--output", tmp_path / "out", "--shard-size", 2) == 0
    (tmp_path / "out" / "shard-00001.npz").unlink()
    decoded.clear()
    assert run(folder, "--output", tmp_path / "out", "--shard-size", 2) == 0
    assert sorted(decoded) == ["2.png", "3.png"]
    assert len(arrays(tmp_path / "out")) == 5


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            ["--override", "interpolation=bilinear"],
            "`interpolation`: `'bilinear'` instead of `'bicubic'`",
        ),
        (["--format", "npy"], "`format`"),
        (["--alpha", "white"], "`alpha`"),
    ],
)
def test_a_folder_of_other_settings_is_refused_in_one_line(folder, tmp_path, capsys, changed, said):
    assert run(folder, "--output", tmp_path / "out") == 0
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    capsys.readouterr()
    assert run(folder, "--output", tmp_path / "out", *changed) == 1
    error = one_line(capsys.readouterr().err)
    assert said in error and PRESET in error
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_folder_with_other_files_is_refused(folder, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "shard-00000.npz").write_text("precious")
    assert run(folder, "--output", tmp_path / "out") == 1
    assert "other files" in one_line(capsys.readouterr().err)
    assert [path.read_text() for path in (tmp_path / "out").iterdir()] == ["precious"]
    assert run(folder, "--output", folder / "0.png") == 1


# run: bad files


def bad_files(folder: Path) -> dict[str, Path]:
    image_file(folder / "1.png", 40, 50, 3)
    whole = (folder / "1.png").read_bytes()
    made = {"truncated": folder / "1.png", "corrupt": folder / "2.png", "text": folder / "3.png"}
    made["truncated"].write_bytes(whole[: len(whole) // 2])
    made["corrupt"].write_bytes(b"\x89PNG\r\n\x1a\n" + b"\0" * 99)
    made["text"].write_text("no image")
    return made


def test_a_bad_file_is_fatal_and_what_was_finished_before_stays(folder, tmp_path, decoded, capsys):
    (folder / "3.png").write_bytes((folder / "3.png").read_bytes()[:500])
    arguments = (folder, "--output", tmp_path / "out", "--batch-size", 2)
    assert run(*arguments) == 1
    error = one_line(capsys.readouterr().err)
    assert error.startswith("jaxprep: error: ") and "3.png" in error
    assert [Path(path).name for path in arrays(tmp_path / "out")] == ["0.png", "1.png", "2.png"]
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["finished"] is None
    image_file(folder / "3.png", 43, 50, 3, seed=3)
    decoded.clear()
    assert run(*arguments) == 0
    assert sorted(decoded) == ["3.png", "4.png"]
    assert len(arrays(tmp_path / "out")) == 5


def test_bad_files_can_be_skipped_which_the_exit_status_and_the_manifest_say(
    folder, tmp_path, capsys
):
    bad = bad_files(folder)
    arguments = (folder, "--output", tmp_path / "out", "--on-error", "skip", "--quiet")
    for _ in range(2):  # they are tried again, and are still bad
        assert run(*arguments) == 3
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 3 and all(line.startswith("jaxprep: skipped: ") for line in said)
        for path in bad.values():
            assert sum(str(path) in line for line in said) == 1
        skipped = {
            line["path"]: line["error"]
            for line in lines(tmp_path / "out")
            if line["status"] == "skipped"
        }
        assert sorted(skipped) == sorted(map(str, bad.values())) and all(skipped.values())
    assert len(lines(tmp_path / "out")) == 5
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["finished"] == {
        "images": 2,
        "skipped": 3,
    }
    assert [Path(path).name for path in arrays(tmp_path / "out")] == ["0.png", "4.png"]
    for seed, path in enumerate(bad.values()):
        image_file(path, 40, 50, 3, seed=seed)
    assert run(*arguments) == 0
    assert len(arrays(tmp_path / "out")) == 5


def test_an_image_that_the_preset_cannot_take_is_a_bad_file(folder, tmp_path, capsys):
    image_file(folder / "5.png", 1, 20000, 3)
    preset = "torchvision/DeepLabV3_ResNet50_Weights.DEFAULT"
    arguments = (folder, "--output", tmp_path / "out", "--on-error", "skip", "--quiet")
    assert run(*arguments, preset=preset, override="resize_size=128") == 3
    assert "5.png" in one_line(capsys.readouterr().err)
    assert len(arrays(tmp_path / "out")) == 5


def test_only_bad_files_leave_a_folder_without_results(tmp_path):
    (tmp_path / "a.png").write_text("no image")
    assert run(tmp_path / "a.png", "--output", tmp_path / "out", "--on-error", "skip") == 3
    assert {path.name for path in (tmp_path / "out").iterdir()} == HOUSEKEEPING


# run: nothing half-written


def fails_halfway(*args: Any, **kwargs: Any) -> None:
    args[0].write(b"half")
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(("kind", "function"), [("npz", "savez"), ("npy", "save")])
def test_a_file_whose_writing_fails_is_not_there(
    folder, tmp_path, monkeypatch, capsys, kind, function
):
    arguments = (folder, "--output", tmp_path / "out", "--format", kind)
    with monkeypatch.context() as patch:
        patch.setattr(np, function, fails_halfway)
        assert run(*arguments) == 1
    assert "No space left" in one_line(capsys.readouterr().err)
    left = [path.name for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert set(left) <= HOUSEKEEPING and not (tmp_path / "out" / "manifest.jsonl").exists()
    assert run(*arguments) == 0
    assert len(arrays(tmp_path / "out")) == 5


def test_a_later_shard_that_fails_leaves_the_earlier_ones(folder, tmp_path, monkeypatch, decoded):
    arguments = (folder, "--output", tmp_path / "out", "--shard-size", 2, "--batch-size", 2)
    original: Callable[..., None] = np.savez
    with monkeypatch.context() as patch:
        patch.setattr(
            np,
            "savez",
            lambda file, **kw: (fails_halfway if "2.png" in kw["paths"][0] else original)(
                file, **kw
            ),
        )
        assert run(*arguments) == 1
    assert sorted(path.name for path in (tmp_path / "out").glob("*.npz")) == ["shard-00000.npz"]
    assert [Path(path).name for path in arrays(tmp_path / "out")] == ["0.png", "1.png"]
    decoded.clear()
    assert run(*arguments) == 0
    assert sorted(decoded) == ["2.png", "3.png", "4.png"]


def test_a_line_of_the_manifest_that_cannot_be_written_is_taken_back(tmp_path, monkeypatch):
    manifest = Manifest(tmp_path / "out", PRESET, {})
    manifest.add([{"path": "/a", "status": "skipped"}])
    monkeypatch.setattr(
        "jaxprep.cli.manifest._to_line",
        lambda record: [b"half a line", None][record["path"] == "/c"],
    )
    with pytest.raises(TypeError):
        manifest.add([{"path": "/b", "status": "skipped"}, {"path": "/c", "status": "skipped"}])
    assert [line["path"] for line in lines(tmp_path / "out")] == ["/a"] == list(manifest.records)


def test_an_interrupted_run_says_so_and_goes_on(folder, tmp_path, monkeypatch, decoded, capsys):
    arguments = (folder, "--output", tmp_path / "out", "--batch-size", 2)
    original = convert_module.read_file

    def interrupted(path: Path, *rest: Any) -> Any:
        if path.name == "3.png":
            raise KeyboardInterrupt
        return original(path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(convert_module, "read_file", interrupted)
        assert run(*arguments) == 130
    assert one_line(capsys.readouterr().err) == "jaxprep: interrupted"
    assert [Path(path).name for path in arrays(tmp_path / "out")] == ["0.png", "1.png"]
    decoded.clear()
    assert run(*arguments) == 0
    assert sorted(decoded) == ["2.png", "3.png", "4.png"]


def test_a_run_is_refused_where_another_runs_by_whichever_name(
    folder, tmp_path, monkeypatch, capsys
):
    (tmp_path / "below").mkdir()
    (tmp_path / "link").symlink_to("out")
    (tmp_path / "below" / "chain").symlink_to("../link")
    monkeypatch.chdir(tmp_path / "below")
    with owned(tmp_path / "out"):
        for name in ("../out", "../out//", "../link", "chain/", "../below/../link/."):
            assert run(folder, "--output", name) == 1
            assert "no other run writes to" in one_line(capsys.readouterr().err)
        assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("kind", ["npz", "npy"])
@pytest.mark.parametrize("end", ["removed", "moved"])
def test_a_run_whose_folder_goes_leaves_that_of_another_run_alone(
    folder, tmp_path, monkeypatch, capsys, kind, end
):
    output = tmp_path / "out"
    other = image_file(tmp_path / "other" / "0.png", 40, 50, 3, seed=99)
    arguments = ("--output", output, "--format", kind, "--quiet")
    convert, calls = convert_module.Converter.__call__, []

    def converting(self, photos):
        calls.append(len(photos))
        if len(calls) == 2:
            # what came before is written by a thread
            listed = output / "manifest.jsonl"
            while not (listed.exists() and len(lines(output)) == 2):
                time.sleep(0.01)
            shutil.rmtree(output) if end == "removed" else output.rename(tmp_path / "moved")
            assert run(other, *arguments) == 0
        return convert(self, photos)

    monkeypatch.setattr(convert_module.Converter, "__call__", converting)
    assert run(folder, *arguments, "--shard-size", 2, "--batch-size", 2) == 1
    assert "removed or moved" in one_line(capsys.readouterr().err)
    assert list(arrays(output)) == [str(other)]
    assert json.loads((output / "manifest.json").read_text())["finished"]["images"] == 1


def test_a_run_is_refused_where_another_runs_and_changes_nothing(folder, tmp_path, capsys):
    output = tmp_path / "out"
    with owned(output):
        assert run(folder, "--output", output) == 1
    assert "no other run writes to" in one_line(capsys.readouterr().err)
    assert list(output.iterdir()) == []
    assert run(folder, "--output", output) == 0
    with owned(output):
        before = {path: path.read_bytes() for path in output.iterdir()}
        assert run(folder, "--output", output) == 1
    assert {path: path.read_bytes() for path in output.iterdir()} == before


def test_a_run_that_is_killed_leaves_its_folder_to_the_next(folder, tmp_path):
    output = tmp_path / "out"
    program = (
        "import pathlib, sys, time\n"
        "from jaxprep.cli.manifest import owned\n"
        f"with owned(pathlib.Path({str(output)!r})):\n"
        "    print('owned', flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"owned\n"
        assert run(folder, "--output", output) == 1
        process.kill()
    assert run(folder, "--output", output) == 0


def test_a_run_that_failed_leaves_its_folder_to_the_next(folder, tmp_path):
    assert run(folder, "--output", tmp_path / "out", "--format", "npy") == 0
    assert run(folder, "--output", tmp_path / "out", "--format", "npz") == 1  # other settings
    assert run(folder, "--output", tmp_path / "out", "--format", "npy") == 0


def test_control_c_waits_for_the_group_at_work(folder, tmp_path, monkeypatch, decoded, capsys):
    original, groups = convert_module.Converter.__call__, []

    def pressed(self, photos: Any) -> Any:
        groups.append(len(photos))
        os.kill(os.getpid(), signal.SIGINT)
        return original(self, photos)

    with monkeypatch.context() as patch:
        patch.setattr(convert_module.Converter, "__call__", pressed)
        assert run(folder, "--output", tmp_path / "out", "--batch-size", 2) == 130
    assert one_line(capsys.readouterr().err) == "jaxprep: interrupted"
    assert groups == [2] and len(arrays(tmp_path / "out")) == 2
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


SECOND_CONTROL_C = """
import concurrent.futures, hashlib, os, signal, threading, time
from jaxprep.cli.interrupts import deferred_interrupt

signal.signal(signal.SIGINT, signal.default_int_handler)
with deferred_interrupt():
    for delay in (0.1, 0.3):
        threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()
    {wait}
raise AssertionError("it waited")
"""


@pytest.mark.parametrize(
    "wait",
    [
        "time.sleep(60)",
        # in a library, which does not look for signals
        "hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)",
        # for a thread that never ends
        "with concurrent.futures.ThreadPoolExecutor() as e: e.submit(threading.Event().wait)",
    ],
    ids=["asleep", "in a library", "for a thread"],
)
def test_a_second_control_c_ends_the_process_whatever_it_does(wait):
    program = SECOND_CONTROL_C.format(wait=wait)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=50)
    assert one_line(done.stderr.decode()) == "jaxprep: interrupted"
    assert done.returncode == 130


def test_a_control_c_that_nobody_asked_for_is_not_lost():
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(KeyboardInterrupt), deferred_interrupt():
        os.kill(os.getpid(), signal.SIGINT)


def test_what_a_killed_run_left_is_cleaned_up(folder, tmp_path, decoded):
    output = tmp_path / "out"
    assert run(folder, "--output", output, "--shard-size", 3) == 0
    (output / ".jaxprep-abc").write_bytes(b"half a shard")
    done = lines(output)
    with open(
        output / "manifest.jsonl", "wb"
    ) as file:  # the last shard came to its place, its lines did not
        file.write(b"".join(json.dumps(line).encode() + b"\n" for line in done[:3]))
        file.write(json.dumps(done[3]).encode()[:50])
    decoded.clear()
    assert run(folder, "--output", output, "--shard-size", 3) == 0
    assert sorted(decoded) == ["3.png", "4.png"]
    assert len(arrays(output)) == len(lines(output)) == 5
    names = {*HOUSEKEEPING, "shard-00000.npz", "shard-00001.npz"}
    assert {path.name for path in output.iterdir()} == names


def test_a_manifest_that_is_none_is_refused(folder, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text('{"name": "an app"}')
    assert run(folder, "--output", tmp_path / "out") == 1
    assert "manifest" in one_line(capsys.readouterr().err)


# run: threads


def test_decoding_runs_ahead_but_not_without_bound():
    begun, most = [], []

    def work(i: int) -> int:
        begun.append(i)
        return i

    results = []
    for i, future in run_ahead(work, range(20), workers=3, ahead=4):
        time.sleep(0.002)
        results.append((i, future.result()))
        most.append(len(begun) - len(results))
    assert results == [(i, i) for i in range(20)]
    assert max(most) <= 4


def test_what_was_not_begun_is_dropped_when_the_work_ends_early():
    release, begun = threading.Event(), []

    def work(i: int) -> None:
        begun.append(i)
        release.wait(5)

    ahead = run_ahead(work, range(9), workers=1, ahead=5)
    first: tuple[int, Future[None]] = next(ahead)
    threading.Timer(0.05, release.set).start()
    ahead.close()
    assert first[0] == 0 and len(begun) < 6


def test_what_shares_a_key_is_gathered_in_lists_of_the_size_asked_for():
    assert list(grouped([1, 2, 3, 5, 4, 7, 9], lambda n: n % 2, size=3, max_waiting=9)) == [
        [1, 3, 5],
        [2, 4],
        [7, 9],
    ]
    assert list(grouped([], id, size=3, max_waiting=9)) == []


def test_no_more_than_asked_for_waits_for_others_of_its_key():
    assert list(grouped("abacd", str, size=9, max_waiting=4)) == [["a", "a"], ["b"], ["c"], ["d"]]


def test_what_came_before_an_error_is_still_given():
    def items():
        yield from (1, 2, 3)
        raise JaxprepError("bad")

    found = []
    with pytest.raises(JaxprepError, match="bad"):
        for group in grouped(items(), lambda n: n % 2, size=9, max_waiting=9):
            found.append(group)
    assert found == [[1, 3], [2]]


def test_images_of_mixed_sizes_share_a_few_programs_and_keep_their_order(tmp_path, monkeypatch):
    for i in range(24):
        image_file(tmp_path / "in" / f"{i:02}.png", 40 + i, 30 + 9 * (i % 5), 3, seed=i)
    shapes, original = set(), convert_module.ImageClassifierPreprocessor.__call__

    def recorded(self, images: Any) -> Any:
        shapes.add((self.pipeline.bucket(images[0].shape[:2]), len(images)))
        return original(self, images)

    monkeypatch.setattr(convert_module.ImageClassifierPreprocessor, "__call__", recorded)
    assert (
        run(tmp_path / "in", "--output", tmp_path / "out", "--batch-size", 4, "--shard-size", 10)
        == 0
    )
    buckets = {bucket for bucket, _ in shapes}  # by canvas and taps
    assert len(buckets) == 2 and len(shapes) <= 5  # a count of 1 or 2 may come before the 4
    monkeypatch.undo()
    assert [Path(line["path"]).name for line in lines(tmp_path / "out")] == [
        f"{i:02}.png" for i in range(24)
    ]
    for path, array in arrays(tmp_path / "out").items():
        np.testing.assert_array_equal(array, np.asarray(preprocessor()(read_image(path))))


# what users type


def test_overrides_are_json_or_text(tmp_path):
    path = image_file(tmp_path / "a.png", 40, 50, 3)
    assert (
        run(
            path,
            "--output",
            tmp_path / "out",
            "--override",
            "interpolation=bilinear",
            "--override",
            "exact=true",
        )
        == 0
    )
    expected = preprocessor(interpolation="bilinear", exact=True)
    assert (
        json.loads((tmp_path / "out" / "manifest.json").read_text())["preprocessor"]
        == expected.to_json()
    )
    np.testing.assert_array_equal(
        arrays(tmp_path / "out")[str(path)], np.asarray(expected(read_image(path)))
    )


@pytest.mark.parametrize(
    ("typed", "same"),
    [
        ("exact=True", "exact=true"),
        ("mean=(0.5, 0.5, 0.5)", "mean=[0.5,0.5,0.5]"),
        ("image_size=(8,9,)", "image_size=[8,9]"),
        ("architecture=(text)", 'architecture="(text)"'),
    ],
)
def test_an_override_may_be_written_as_in_python(typed, same):
    parse = make_parser().parse_args
    words = ["inspect", "timm/resnet50.a1_in1k", "--override"]
    assert load_config(parse([*words, typed])) == load_config(parse([*words, same]))


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("sise=3", "sise"),
        ("interpolation=3", "interpolation"),
        ("config_file=a.json", "config_file"),
        ("exact=yes", "exact"),
    ],
)
def test_an_override_that_is_no_field_or_no_value_of_it_is_one_line(
    folder, tmp_path, capsys, override, said
):
    assert run(folder, "--output", tmp_path / "out", override=override) == 1
    assert said in one_line(capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", ["inspect", "run", "show"])
def test_an_unknown_preset_is_one_line_with_the_nearest_names(photos, tmp_path, capsys, command):
    arguments = {
        "inspect": ["resnet_50_imagent"],
        "run": ["--preset", "resnet_50_imagent", str(photos), "--output", str(tmp_path / "out")],
        "show": [
            "--preset",
            "resnet_50_imagent",
            str(photos / "coffee.jpg"),
            "--output",
            str(tmp_path / "a.png"),
        ],
    }
    assert main([command, *arguments[command]]) == 1
    assert "Nearest: resnet_50_imagenet" in one_line(capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["walk"],
        ["run", "--preset", PRESET, "a.png"],
        ["run", "--preset", PRESET, "a.png", "--output", "out", "--batch-size", "0"],
        ["run", "--preset", PRESET, "a.png", "--output", "out", "--override", "exact"],
        ["inspect", PRESET, "--size", "480"],
        ["inspect", PRESET, "--size", "0x480"],
    ],
)
def test_wrong_usage_is_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: jaxprep" in capsys.readouterr().err


def test_help_and_version_are_status_0_and_state_the_exit_statuses(capsys):
    for arguments in (
        ["--help"],
        ["run", "--help"],
        ["show", "--help"],
        ["presets", "--help"],
        ["inspect", "--help"],
    ):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 0
        assert "3 finished" in " ".join(capsys.readouterr().out.split()) or arguments[0] in (
            "show",
            "presets",
            "inspect",
        )
    with pytest.raises(SystemExit):
        main(["--version"])
    assert capsys.readouterr().out == f"jaxprep {jaxprep.__version__}\n"


def test_paths_that_are_not_there_are_one_line(tmp_path, capsys):
    assert run(tmp_path / "nothing", "--output", tmp_path / "out") == 1
    assert "nothing" in one_line(capsys.readouterr().err)
    assert run(tmp_path, "--output", tmp_path / "out") == 1
    assert not (tmp_path / "out").exists()


def test_help_loads_neither_presets_nor_pipelines():
    code = (
        "import sys; from jaxprep.cli.options import make_parser; make_parser().format_help(); "
        "heavy = ('jaxprep.pipe', 'jaxprep.ops', 'PIL', 'tqdm'); "
        "print([name for name in sys.modules if name.startswith(heavy)])"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        == "[]\n"
    )


def test_a_reader_that_stops_early_hears_no_complaint():
    with subprocess.Popen(
        [sys.executable, "-m", "jaxprep", "presets"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


# show


def shown(tmp_path: Path, photo: Path, preset: str, *more: str) -> np.ndarray:
    assert (
        main(
            [
                "show",
                "--preset",
                preset,
                str(photo),
                "--output",
                str(tmp_path / "picture.png"),
                *more,
            ]
        )
        == 0
    )
    with Image.open(tmp_path / "picture.png") as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
        return np.asarray(picture)


def framed(picture: np.ndarray) -> Box:
    """Where the frame is, measured on the picture."""
    rows, columns = np.nonzero((picture == FRAME).all(-1))
    return Box(int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)


CAPTION = 17 + BORDER


def test_the_picture_shows_what_is_kept_beside_what_the_model_sees(photos, tmp_path):
    picture = shown(
        tmp_path, photos / "coffee.jpg", "resnet_50_imagenet"
    )  # (400, 600): the middle 400 x 400
    assert picture.shape == (448 + CAPTION + 2 * BORDER, 672 + 448 + 3 * BORDER, 3)
    assert framed(picture) == Box(BORDER + 112, BORDER, BORDER + 560, BORDER + 448)
    right = picture[BORDER : BORDER + 448, -BORDER - 448 : -BORDER]
    np.testing.assert_array_equal(
        right[::2, ::2], right[1::2, 1::2]
    )  # every pixel of the model's is 2 x 2
    with Image.open(photos / "coffee.jpg") as image:
        plain = image.crop((100, 0, 500, 400)).resize(
            (224, 224), Image.Resampling.BICUBIC, reducing_gap=None
        )
    assert (
        np.abs(right[::2, ::2].astype(int) - np.asarray(plain)).mean() < 6
    )  # the preset's resize is not antialiased
    outside = picture[BORDER + 5 : BORDER + 443, BORDER + 5 : BORDER + 100].mean()
    with Image.open(photos / "coffee.jpg") as image:
        assert outside < 0.6 * np.asarray(image.crop((5, 5, 85, 395))).mean()
    assert (picture[-CAPTION:] < 100).any()  # there is a caption


def test_the_picture_has_room_for_padding(photos, tmp_path):
    picture = shown(
        tmp_path,
        photos / "coffee.jpg",
        "retinanet_resnet50_fpn_coco",
        "--override",
        "image_size=[448,448]",
    )
    assert framed(picture) == Box(BORDER, BORDER, BORDER + 448, BORDER + 448)
    margin = picture[BORDER + 10 : BORDER + 64, BORDER + 10 : BORDER + 438]
    assert margin.min() > 180  # hatched paper; 100 of 600 rows above and below the photo
    assert (
        picture[BORDER + 10 : BORDER + 64, -BORDER - 438 : -BORDER - 10].max() == 0
    )  # what the model gets: black


def test_the_picture_of_a_portrait_keeps_its_height(tmp_path):
    photo = image_file(tmp_path / "tall.png", 300, 200, 3)
    picture = shown(tmp_path, photo, PRESET, "--override", "crop_pct=1.0")
    assert picture.shape[1] == 299 + 448 + 3 * BORDER
    frame = framed(picture)
    assert (frame.left, frame.right) == (BORDER, BORDER + 299)
    assert (
        abs(frame.top - BORDER - 50 * 448 / 300) <= 1
        and abs(frame.bottom - BORDER - 250 * 448 / 300) <= 1
    )


def test_a_grid_of_draws_is_the_same_for_the_same_seed_and_only_then(tmp_path, capsys):
    photo = image_file(tmp_path / "photo.png", 30, 20, 3)
    options = (PRESET, "--override", "input_size=[3,16,16]", "--recipe", "torchvision/v1")
    first = shown(tmp_path, photo, *options, "--draws", "6", "--seed", "3")
    # 3 x 2 cells of 16 pixels with borders of 4, enlarged 10 times
    assert first.shape == (440 + CAPTION + 2 * BORDER, 640 + 2 * BORDER, 3)
    again = shown(tmp_path, photo, *options, "--draws", "6", "--seed", "3")
    np.testing.assert_array_equal(again, first)
    other = shown(tmp_path, photo, *options, "--draws", "6", "--seed", "4")
    assert (other[:440] != first[:440]).any()
    output = ["--output", str(tmp_path / "grid.png")]
    for wrong, words in (
        (["--draws", "2"], "Expected a recipe"),
        (["--recipe", "timm/rsb"], "Nearest: timm/rsb-a"),
        (["--recipe", "torchvision/v1", "--draws", "999"], "1 to 256 draws"),
    ):
        assert main(["show", str(photo), "--preset", PRESET, *wrong, *output]) == 1
        assert words in capsys.readouterr().err
    assert not (tmp_path / "grid.png").exists()


def test_the_picture_of_results_without_fixed_size_frames_all_of_the_photo(photos, tmp_path):
    preset = "torchvision/DeepLabV3_ResNet50_Weights.DEFAULT"
    picture = shown(
        tmp_path, photos / "rocket.jpg", preset, "--override", "resize_size=224"
    )  # (427, 640) -> (224, 335)
    assert picture.shape == (448 + CAPTION + 2 * BORDER, 671 + 670 + 3 * BORDER, 3)
    assert framed(picture) == Box(BORDER, BORDER, BORDER + 671, BORDER + 448)


def test_pictures_of_panoramas_stay_within_bounds(tmp_path):
    photo = image_file(tmp_path / "wide.png", 20, 2000, 3)
    assert max(shown(tmp_path, photo, PRESET).shape) < 2000
    preset = "torchvision/DeepLabV3_ResNet50_Weights.DEFAULT"
    assert max(shown(tmp_path, photo, preset, "--override", "resize_size=100").shape) < 7000


def test_the_kept_region_is_mapped_back_through_all_of_the_geometry():
    crop = ops.Crop(10, 20, 30, 40)
    assert kept_box(Pipeline((crop,)), (100, 100)) == Box(20, 10, 60, 40)
    assert kept_box(Pipeline((crop, ops.Resize((15, 80)))), (100, 100)) == Box(20, 10, 60, 40)
    assert kept_box(Pipeline((ops.Flip(), crop)), (100, 100)) == Box(40, 10, 80, 40)
    assert kept_box(Pipeline((ops.Pad(1, 2, 3, 4),)), (10, 10)) == Box(-3, -1, 14, 12)


@pytest.mark.parametrize(
    "steps",
    [
        (),
        (ops.Rescale(),),
        (ops.Rescale((1 / 255, 0.1, -1.0), (-0.5, 3.0, 2.0)), ops.ReverseChannels()),
        (
            ops.ReverseChannels(),
            ops.Rescale(),
            ops.Normalize((0.4, 0.5, 0.6), (0.1, 0.2, 0.3)),
            ops.ChannelsFirst(),
        ),
        (ops.ToRGB(), ops.Cast("float32"), ops.Normalize(127.5, 127.5)),
        (ops.Premultiply(), ops.Unpremultiply(), ops.CenterCrop(9)),
    ],
)
def test_undone_values_are_those_before_the_steps(steps):
    image = noise(9, 9, 3)
    pipeline = Pipeline(steps)
    result = np.asarray(ImageClassifierPreprocessor(pipeline)(image))
    np.testing.assert_array_equal(undone(result, pipeline), image)


def test_values_that_cannot_be_undone_are_stretched():
    values = np.linspace(-3, 5, 12, dtype=np.float32).reshape(2, 2, 3)
    seen = undone(values, Pipeline((ops.Rescale(0.0),)))
    assert (seen.min(), seen.max()) == (0, 255)
    assert undone(np.zeros((2, 2, 1), np.float32), Pipeline((ops.Rescale(0.0),))).shape == (2, 2, 3)


def test_a_picture_is_a_png_or_an_error(photos, tmp_path, capsys):
    arguments = ["show", "--preset", PRESET, str(photos / "coffee.jpg"), "--output"]
    assert main([*arguments, str(tmp_path / "a.jpg")]) == 1
    assert "PNG" in one_line(capsys.readouterr().err)
    (tmp_path / "bad.jpg").write_text("no image")
    assert (
        main([*arguments[:3], str(tmp_path / "bad.jpg"), "--output", str(tmp_path / "a.png")]) == 1
    )
    assert "bad.jpg" in one_line(capsys.readouterr().err)
    assert main([*arguments, str(tmp_path / "nowhere" / "a.png")]) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["bad.jpg"]


# presets


def test_the_table_has_a_line_for_each_name(capsys):
    assert main(["presets"]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "INPUT", "SIZE", "FILTER", "KEPT", "PARAMS"]
    assert [row.split()[0] for row in rows] == list(presets.names())


def test_a_pattern_chooses_names(capsys):
    assert main(["presets", "resnet_50_imagenet"]) == 0
    assert "224 x 224   bicubic, not antialiased  center 100%  23.6M" in capsys.readouterr().out
    assert main(["presets", "timm/resnet50.a1_*"]) == 0
    rows = capsys.readouterr().out.splitlines()[1:]
    assert rows and all(row.startswith("timm/resnet50.a1_") for row in rows)


def test_names_whose_numbers_are_not_known_are_marked(capsys):
    assert main(["presets", "torchvision/FCOS*"]) == 0
    assert "not known" in capsys.readouterr().out
    assert main(["presets", "torchvision/FCOS*", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["known"] is False and "ObjectDetection" in row["note"]


def test_the_table_as_json_has_the_same_rows(capsys):
    assert main(["presets", "deeplab", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == presets.matching("deeplab")
    assert {"name", "image_size", "interpolation", "params", "known"} <= rows[0].keys()
    assert any(
        row["known"] and row["image_size"] is None for row in rows
    )  # a size that depends on the image


def test_a_pattern_that_nothing_matches_is_one_line(capsys):
    assert main(["presets", "resnet_50_imagent"]) == 1
    assert "Nearest: resnet_50_imagenet" in one_line(capsys.readouterr().err)


# inspect


def test_a_preset_is_told_in_words(capsys):
    assert main(["inspect", PRESET, "--size", "480x640"]) == 0
    said = capsys.readouterr().out
    for text in (
        "1. make it RGB",
        "2. resize the shorter side to 235 pixels, bicubic, as Pillow (antialiased): "
        "480 x 640 -> 235 x 313",
        "3. crop the middle 224 x 224, padding a smaller image with 0: 235 x 313 -> 224 x 224",
        "4. divide by 255",
        "5. normalise: mean 0.485, 0.456, 0.406, std 0.229, 0.224, 0.225",
        "collection timm",
        "2 segments, 3 passes",
        "Canvas  512 x 512",
    ):
        assert text in said


def test_where_the_numbers_are_from_is_told(capsys):
    assert main(["inspect", "resnet_50_imagenet"]) == 0
    said = capsys.readouterr().out
    for text in (
        "family resnet, 23,561,152 parameters",
        "source: ",
        "kaggle://",
        "mean 0.485, 0.456, 0.406, std 0.229",
    ):
        assert text in said


def test_inspect_prints_the_json_that_is_read_back(tmp_path, capsys):
    assert main(["inspect", PRESET, "--json", "--override", SMALL]) == 0
    text = capsys.readouterr().out
    assert json.loads(text) == preprocessor().to_json()
    (tmp_path / "jaxprep.json").write_text(text)
    assert main(["inspect", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "format Timm" in said and "24 x 24" in said
    assert main(["inspect", str(tmp_path), "--json"]) == 0
    assert capsys.readouterr().out == text


def test_overrides_are_told(capsys):
    assert main(["inspect", PRESET, "--override", SMALL]) == 0
    assert "with image_size=[24, 24]" in capsys.readouterr().out


def test_a_pipeline_without_steps_does_nothing_in_words_too(tmp_path, capsys):
    ImageClassifierPreprocessor(Custom()).save_to_preset(tmp_path)
    assert main(["inspect", str(tmp_path), "--size", "4x4"]) == 0
    assert "nothing" in capsys.readouterr().out
    assert str(Pipeline().describe()).splitlines()[1] == "   0. nothing"


IN_WORDS = [
    (
        ops.Resize((2, 3)),
        "resize to 2 x 3 pixels, bilinear, at exact positions in float32 (antialiased)",
    ),
    (
        ops.Resize((2, 3), fit="contain", rounding="round", method="nearest", reference="pillow"),
        "resize to fit inside 2 x 3 pixels, keeping the aspect ratio (sides rounded), "
        "nearest, as Pillow",
    ),
    (
        ops.Resize((2, 3), fit="cover", reference="torch", rounded=False),
        "resize to cover 2 x 3 pixels, keeping the aspect ratio, bilinear, as PyTorch in float32 "
        "(antialiased, not rounded to integers)",
    ),
    (
        ops.Resize(shortest_edge=235, method="bicubic", reference="pillow"),
        "resize the shorter side to 235 pixels, bicubic, as Pillow (antialiased)",
    ),
    (
        ops.Resize(shortest_edge=800, longest_edge=1333, antialias=False, reference="jax"),
        "resize the shorter side to 800 pixels, the longer to at most 1333, bilinear, "
        "as jax.image.resize (not antialiased)",
    ),
    (
        ops.Resize(longest_edge=512, rounding="round", reference="pillow12"),
        "resize the longer side to 512 pixels (the other side rounded), bilinear, "
        "as Pillow up to 12 (antialiased)",
    ),
    (ops.CenterCrop(224), "crop the middle 224 x 224, padding a smaller image with 0"),
    (
        ops.CenterCrop(2, fill=(1.0, 2.0, 3.0)),
        "crop the middle 2 x 2, padding a smaller image with 1, 2, 3",
    ),
    (
        ops.Crop(1, 2, 3, 4, 0.5),
        "crop 3 x 4 from row 1, column 2, padding what lies outside with 0.5",
    ),
    (
        ops.CropOrResize((2, 3)),
        "crop the middle 2 x 3; of a smaller image, resize the middle of that aspect ratio, "
        "bilinear, as jax.image.resize (not antialiased, not rounded to integers)",
    ),
    (ops.CropToAspect((2, 3)), "crop the middle to the aspect ratio of 2 x 3"),
    (ops.Pad(1, 0, 3, 4, 9.0), "pad with 9: 1 above, 3 on the left, 4 on the right (pixels)"),
    (ops.Pad(), "pad nothing"),
    (
        ops.CenterCropShare(0.5, 0.25),
        "crop the middle, 0.5 x 0.25 of the shorter side, padding what is missing with 0",
    ),
    (ops.PadTo((2, 3)), "pad below and on the right with 0 to 2 x 3 pixels"),
    (ops.PadToAtLeast((2, 3)), "pad below and on the right with 0 to at least 2 x 3 pixels"),
    (ops.PadToMultiple(8), "pad below and on the right with 0 to a multiple of 8 pixels"),
    (ops.PadToMultiple(8, True), "pad on all sides with 0 to a multiple of 8 pixels"),
    (
        ops.PadToNextMultiple(8),
        "mirror the edge below and on the right, up to the next multiple of 8 pixels",
    ),
    (ops.PadToSquare(0.5), "pad two sides equally with 0.5 to a square"),
    (ops.ToGray(), "make it gray, in three equal channels"),
    (ops.Clip(0, 0.5), "clip to [0, 0.5]"),
    (
        sizes.AspectRatio(800, 1333),
        "the shorter side to 800 pixels, the longer to at most 1333 (as DETR)",
    ),
    (
        sizes.AspectRatioBelow(800, 1333, 16),
        "the shorter side to 800 pixels, the longer to at most 1333 (as DETR); "
        "sides down to a multiple of 16",
    ),
    (sizes.Inside(2, 3), "to fit inside 2 x 3 pixels, keeping the aspect ratio"),
    (sizes.LongestHalfUp(1024), "the longer side to 1024 pixels (sides rounded)"),
    (sizes.LongestRounded(384, 14), "the longer side to 384 pixels (sides rounded, at least 14)"),
    (
        sizes.MultipleAbove(sizes.Inside(2, 3), 32),
        "to fit inside 2 x 3 pixels, keeping the aspect ratio; sides up to a multiple of 32",
    ),
    (sizes.MultipleBelow(32), "each side down to a multiple of 32 pixels"),
    (sizes.NearestMultiple(384, 512), "to about 384 x 512 pixels"),
    (
        sizes.NearestMultiple(384, 512, 14, True),
        "to about 384 x 512 pixels, keeping the aspect ratio, sides to a multiple of 14",
    ),
    (
        sizes.ShortestBelow(384, 32),
        "the shorter side to 384 pixels, the longer to at most 639; sides down to a multiple of 32",
    ),
    (
        sizes.ShortestMultiple(640, 32),
        "the shorter side to 640 pixels, both then up to a multiple of 32",
    ),
    (sizes.SideLimit(960), "the longer side to at most 960 pixels, both to a multiple of 32"),
    (
        sizes.SideLimit(64, "min", 4000),
        "the shorter side to at least 64 pixels (the longer at most 4000), "
        "both to a multiple of 32",
    ),
    (
        ops.Resize(rule=sizes.MultipleBelow(32), reference="pillow"),
        "resize each side down to a multiple of 32 pixels, bilinear, as Pillow (antialiased)",
    ),
    (ops.PadToAspect((2, 3), 7.0), "pad two sides equally with 7 to the aspect ratio of 2 x 3"),
    (
        ops.Fit(ops.Letterbox(9, 8), 3.0, reference="pillow"),
        "fit inside 9 x 8 pixels, bilinear, as Pillow (antialiased), padded with 3",
    ),
    (ops.Patches(4), "store as patches of 4 x 4 pixels"),
    (
        ops.Patches(14, 2, "cthw", 2),
        "store as patches of 14 x 14 pixels, those of each square of 2 x 2 together, "
        "repeated as 2 frames",
    ),
    (ops.Tiles((2, 3)), "store as tiles of 2 x 3 pixels"),
    (
        ops.NearestColor(((0.0, 0.5), (1.0, 2.0))),
        "replace each pixel by the index of the nearest of 2 colours",
    ),
    (
        ops.AlignLongAxis((3, 4)),
        "turn it clockwise by a quarter where its longer side is not that of 3 x 4",
    ),
    (ops.MirrorTo((9, 8)), "fill 9 x 8 pixels below and on the right: reflect"),
    (ops.MirrorTo((9, 8), "edge"), "fill 9 x 8 pixels below and on the right: edge"),
    (sizes.LongestTruncated(384), "the longer side to 384 pixels"),
    (sizes.Thumbnail(3, 4), "to at most 3 x 4 pixels, keeping the aspect ratio"),
    (ops.OverCheckerboard(), "make it RGB: alpha laid over a checkerboard"),
    (
        ops.ReducingResize(sizes.Thumbnail(3, 4)),
        "resize to at most 3 x 4 pixels, keeping the aspect ratio, bicubic, "
        "as Pillow with a reducing gap",
    ),
    (ops.Flip(), "mirror left to right"),
    (ops.Flip(vertical=True), "mirror left to right and top to bottom"),
    (ops.Flip(horizontal=False), "mirror nothing"),
    (ops.ToRGB(), "make it RGB: gray is repeated, alpha dropped, the stored colours kept"),
    (ops.ToRGB("white"), "make it RGB: gray is repeated, alpha laid over white"),
    (ops.Premultiply(), "multiply the colours by alpha, if there is alpha"),
    (ops.Unpremultiply(), "divide the colours by alpha again, if there is alpha"),
    (ops.ReverseChannels(), "reverse the channels, RGB to BGR"),
    (ops.ReverseChannels(True), "reverse the channels, RGB to BGR, alpha staying the last"),
    (ops.Rescale(), "divide by 255"),
    (ops.Rescale(1 / 127.5, -1.0), "multiply by 0.00784314, add -1"),
    (ops.Rescale(1.0), "convert to float32"),
    (
        ops.Rescale((1 / 51, 1 / 102, 1 / 51), (-1.0, -1.0, -2.0)),
        "multiply by 0.0196078, 0.00980392, 0.0196078, add -1, -1, -2 "
        "(normalise values in [0, 1]: mean 0.2, 0.4, 0.4, std 0.2, 0.4, 0.2)",
    ),
    (ops.Normalize((0.5, 0.5, 0.5), (0.1, 0.2, 0.3)), "normalise: mean 0.5, std 0.1, 0.2, 0.3"),
    (
        ops.NormalizeBfloat16(1 / 255, 0.5, 0.5),
        "multiply by 0.00392157 and normalise in bfloat16: mean 0.5, std 0.5",
    ),
    (ops.Cast(), "convert to float32"),
    (ops.Cast("uint8"), "convert to uint8, rounded and clipped"),
    (ops.ChannelsFirst(), "put the channels first: (channels, height, width)"),
    (ops.ChannelsLast(), "put the channels last: images come as (channels, height, width)"),
]


@pytest.mark.parametrize(
    ("step", "expected"), IN_WORDS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_each_step_is_told_in_words(step, expected):
    assert step.describe() == expected


@pytest.mark.parametrize("reference", REFERENCES)
def test_a_resize_of_every_reference_has_words(reference):
    method = "nearest" if reference == "torch_exact" else "bilinear"
    antialias = not REFERENCES[reference].interpolates
    step = ops.Resize((4, 4), method=method, antialias=antialias, reference=reference)
    assert step.describe().startswith("resize")


@pytest.mark.parametrize("name", ["EfficientNet", "ViT", "ConvNext", "Beit"])
def test_inspect_tells_the_steps_of_a_class_that_resizes_by_nearest_neighbour(
    name, tmp_path, capsys
):
    content = {"image_processor_type": f"{name}ImageProcessor", "resample": 0}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(content))
    assert main(["inspect", str(tmp_path)]) == 0
    assert "nearest" in capsys.readouterr().out


def test_every_kind_of_step_has_words():
    kinds = {
        value
        for value in vars(ops).values()
        if isinstance(value, type) and issubclass(value, ops.Step)
    }
    # those of examples and other tests live on in this process
    rules = SizeRule.__subclasses__()
    kinds |= {rule for rule in rules if rule.__module__ == "jaxprep.ops.sizes"}
    abstract = {ops.Step, ops.Geometry, ops.Pointwise, ops.Opaque, ops.Layout, ops.Sometimes}
    assert {type(step) for step, _ in IN_WORDS} == kinds - abstract


def test_a_step_without_words_is_its_name_and_fields():
    assert ops.Step.describe(ops.Flip()) == "Flip: horizontal True, vertical False"


# errors of the program itself


def test_a_mistake_of_ours_is_not_hidden(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(writers.Shards, "add", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run(folder, "--output", tmp_path / "out")


def test_warnings_are_one_line(tmp_path, monkeypatch, capsys):
    import warnings

    def warn(name: str, **_: Any) -> Any:
        warnings.warn("the hub is away,\nthe cache is used", UserWarning, stacklevel=1)
        raise JaxprepError("no preset")

    monkeypatch.setattr(presets, "load", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main(["inspect", PRESET]) == 1
    assert capsys.readouterr().err == (
        "jaxprep: warning: the hub is away, the cache is used\njaxprep: error: no preset\n"
    )
