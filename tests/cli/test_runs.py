"""`jaxprep run` again: after kills, damage and changes; on what is no image; with little memory."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pillow_heif
import pytest
from helpers.images import noise
from helpers.runs import HOUSEKEEPING, arrays, image_file, lines, one_line, preprocessor, run
from PIL import Image

from jaxprep import ImageClassifierPreprocessor, Pipeline, atomic
from jaxprep.cli import convert as convert_module
from jaxprep.cli import fingerprints, manifest, prefetch, writers
from jaxprep.cli.manifest import Manifest, describe_file
from jaxprep.errors import ConfigError
from jaxprep.host import read_image


def check(output: Path, expected: list[Path]) -> None:
    """Every line is true, no image is missing, and no file is there that no line names."""
    assert sorted(arrays(output)) == sorted(map(str, expected))
    for path, array in arrays(output).items():
        np.testing.assert_array_equal(array, np.asarray(preprocessor()(read_image(path))))
    done = [line for line in lines(output) if line["status"] == "done"]
    for line in done:
        described = describe_file(output, line["file"])
        assert described.items() <= line.items()
    files = {path.relative_to(output).as_posix() for path in output.rglob("*") if path.is_file()}
    assert files == HOUSEKEEPING | {line["file"] for line in done}


KINDS = pytest.mark.parametrize("kind", ["npz", "npy"])
ALL_KINDS = pytest.mark.parametrize("kind", ["npz", "npy", "parquet", "array_record"])


# Which image a line is about


@KINDS
def test_the_same_name_in_two_folders_is_two_images(tmp_path, monkeypatch, decoded, kind):
    output = tmp_path / "out"
    expected = []
    for seed, name in enumerate(("a", "b")):
        expected.append(image_file(tmp_path / name / "cat.png", 40, 50, 3, seed=seed))
        os.utime(expected[-1], ns=(10**18, 10**18))  # of one size and one time
        monkeypatch.chdir(tmp_path / name)
        assert run("cat.png", "--output", output, "--format", kind) == 0
    assert decoded == ["cat.png", "cat.png"]
    check(output, expected)


@KINDS
def test_an_image_that_is_done_is_done_from_every_folder(tmp_path, monkeypatch, decoded, kind):
    output = tmp_path / "out"
    path = image_file(tmp_path / "a" / "cat.png", 40, 50, 3)
    (tmp_path / "a" / "below").mkdir()
    assert run(path, "--output", output, "--format", kind) == 0
    for folder, name in ((".", "a/cat.png"), ("a", "cat.png"), ("a/below", "../cat.png")):
        monkeypatch.chdir(tmp_path / folder)
        assert run(name, "--output", output, "--format", kind) == 0
    assert decoded == ["cat.png"]
    # one that changed has its result where it was
    image_file(path, 41, 50, 3, seed=9)
    assert run("../cat.png", "--output", output, "--format", kind) == 0
    assert decoded == ["cat.png", "cat.png"]
    check(output, [path])


def test_names_that_are_no_text_are_kept(tmp_path, decoded):
    names = [b"\xff\xfe.png", b"na\nme.png", "é 'quoted\".png".encode(), b".jaxprep-a.png"]
    expected = []
    for name in names:
        expected.append(tmp_path / "in" / os.fsdecode(name))
        image_file(expected[-1], 40, 50, 3)
    for kind in ("npz", "npy"):
        for _ in range(2):
            assert run(tmp_path / "in", "--output", tmp_path / kind, "--format", kind) == 0
        check(tmp_path / kind, expected)
    assert len(decoded) == 2 * len(names)


def test_the_longest_names_have_results_too(tmp_path):
    expected = [
        image_file(tmp_path / "in" / f"{'x' * 249}{i}.png", 40, 50, 3, seed=i) for i in range(2)
    ]
    assert run(tmp_path / "in", "--output", tmp_path / "out", "--format", "npy") == 0
    check(tmp_path / "out", expected)


# Whether an image is the file that it was


def replaced(path: Path, other: bytes) -> None:  # what `mv` does
    path.with_name("other").write_bytes(other)
    os.replace(path.with_name("other"), path)


def overwritten(path: Path, other: bytes) -> None:
    with open(path, "rb+") as file:
        file.write(other)


def linked(path: Path, other: bytes) -> None:
    (path.parent.parent / "other.bmp").write_bytes(other)
    path.unlink()
    path.symlink_to("../other.bmp")


@pytest.mark.parametrize("change", [replaced, overwritten, linked])
def test_an_image_of_the_same_size_and_time_is_another_by_its_content(tmp_path, decoded, change):
    output = tmp_path / "out"
    paths = [image_file(tmp_path / "in" / f"{i}.bmp", 40, 50, 3, seed=i) for i in range(3)]
    assert run(tmp_path / "in", "--output", output, "--quiet") == 0
    before = paths[1].stat()
    change(paths[1], image_file(tmp_path / "x.bmp", 40, 50, 3, seed=9).read_bytes())
    os.utime(paths[1], ns=(before.st_atime_ns, before.st_mtime_ns))
    after = paths[1].stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    decoded.clear()
    for _ in range(2):
        assert run(tmp_path / "in", "--output", output, "--quiet") == 0
    assert decoded == ["1.bmp"]
    check(output, paths)


def test_two_images_that_changed_places_are_both_done_again(tmp_path, decoded):
    output = tmp_path / "out"
    paths = [image_file(tmp_path / "in" / f"{i}.bmp", 40, 50, 3, seed=i) for i in range(3)]
    for path in paths:
        os.utime(path, ns=(10**18, 10**18))
    assert run(tmp_path / "in", "--output", output, "--quiet") == 0
    (tmp_path / "in" / "0.bmp").rename(tmp_path / "x")
    (tmp_path / "in" / "1.bmp").rename(tmp_path / "in" / "0.bmp")
    (tmp_path / "x").rename(tmp_path / "in" / "1.bmp")
    decoded.clear()
    assert run(tmp_path / "in", "--output", output, "--quiet") == 0
    assert sorted(decoded) == ["0.bmp", "1.bmp"]
    check(output, paths)


def copied_with_times(folder: Path) -> None:  # `rsync -a`, `cp -a`
    shutil.copytree(folder, folder.with_name("copy"))
    shutil.rmtree(folder)
    folder.with_name("copy").rename(folder)


def copied_without_times(folder: Path) -> None:  # `git checkout`
    for path in folder.iterdir():
        data = path.read_bytes()
        path.unlink()
        path.write_bytes(data)


def with_other_rights(folder: Path) -> None:
    for path in folder.iterdir():
        path.chmod(0o600)


@pytest.mark.parametrize("change", [copied_with_times, copied_without_times, with_other_rights])
def test_images_that_were_copied_are_done_and_read_once_to_see_it(
    folder, tmp_path, monkeypatch, decoded, change
):
    output = tmp_path / "out"
    assert run(folder, "--output", output, "--quiet") == 0
    change(folder)
    decoded.clear()
    read: list[Path] = []
    checksum = fingerprints.size_and_checksum
    monkeypatch.setattr(
        fingerprints, "size_and_checksum", lambda path: read.append(path) or checksum(path)
    )
    for _ in range(3):
        assert run(folder, "--output", output, "--quiet") == 0
    assert decoded == [] and sorted(read) == sorted(folder.iterdir())
    check(output, list(folder.iterdir()))


def test_an_image_that_is_written_while_it_is_read_is_done_again(
    folder, tmp_path, monkeypatch, decoded
):
    output = tmp_path / "out"
    path, other = folder / "1.png", (folder / "3.png").read_bytes()
    read = convert_module.read_file

    def reading(name: Path, *rest: Any) -> Any:
        image = read(name, *rest)
        if name == path:
            path.write_bytes(other)
        return image

    with monkeypatch.context() as patch:
        patch.setattr(convert_module, "read_file", reading)
        assert run(folder, "--output", output, "--quiet") == 0
    decoded.clear()
    for _ in range(2):
        assert run(folder, "--output", output, "--quiet") == 0
    assert decoded == ["1.png"]
    check(output, list(folder.iterdir()))


# Results that are not what they were


def cut(path: Path) -> None:
    with open(path, "rb+") as file:
        file.truncate(path.stat().st_size // 2)


def zeros_at_the_end(path: Path) -> None:  # what a power failure leaves
    with open(path, "rb+") as file:
        file.seek(-600, os.SEEK_END)
        file.write(bytes(600))


def one_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def gone(path: Path) -> None:
    path.unlink()


def another(path: Path) -> None:
    path.write_bytes(b"something else")


@pytest.mark.parametrize("kind", ["parquet", "array_record"])
def test_a_shard_of_another_library_that_is_damaged_is_made_again(folder, tmp_path, decoded, kind):
    output = tmp_path / "out"
    arguments = (folder, "--output", output, "--format", kind, "--shard-size", 2)
    assert run(*arguments) == 0
    one_bit(output / f"shard-00001.{kind}")
    cut(output / f"shard-00002.{kind}")
    decoded.clear()
    assert run(*arguments) == 0
    assert sorted(decoded) == ["2.png", "3.png", "4.png"]
    check(output, list(folder.iterdir()))


@KINDS
@pytest.mark.parametrize("damage", [cut, zeros_at_the_end, one_bit, gone, another])
def test_a_result_that_is_damaged_is_made_again(folder, tmp_path, decoded, capsys, kind, damage):
    output = tmp_path / "out"
    arguments = (folder, "--output", output, "--format", kind, "--shard-size", 2)
    assert run(*arguments) == 0
    (name,) = {line["file"] for line in lines(output) if line["path"].endswith("2.png")}
    damage(output / name)
    decoded.clear()
    capsys.readouterr()
    assert run(*arguments) == 0
    lost = ["2.png", "3.png"] if kind == "npz" else ["2.png"]
    assert sorted(decoded) == lost
    assert f"Dropped {len(lost)} of 5 results" in capsys.readouterr().err
    check(output, list(folder.iterdir()))


def test_a_damaged_result_does_not_stay_where_its_image_is_not_asked_for(folder, tmp_path):
    output = tmp_path / "out"
    assert run(folder, "--output", output, "--shard-size", 2) == 0
    cut(output / "shard-00000.npz")
    assert run(folder / "4.png", "--output", output) == 0
    check(output, [folder / f"{i}.png" for i in (2, 3, 4)])


# A manifest that is lost or odd


@KINDS
@pytest.mark.parametrize("lost", ["all", "half"])
def test_results_whose_lines_are_lost_do_not_stay(folder, tmp_path, capsys, kind, lost):
    output = tmp_path / "out"
    assert run(folder, "--output", output, "--format", kind, "--shard-size", 2) == 0
    kept = output / "embeddings.npy"
    kept.write_bytes(b"of the user")
    if lost == "all":
        (output / "manifest.jsonl").unlink()
    else:
        text = (output / "manifest.jsonl").read_text().splitlines(keepends=True)
        (output / "manifest.jsonl").write_text("".join(text[:2]))
    capsys.readouterr()
    assert run(folder / "0.png", "--output", output, "--format", kind) == 0
    assert "which the manifest does not list" in capsys.readouterr().err
    assert kept.read_bytes() == b"of the user"
    kept.unlink()
    check(output, [folder / f"{i}.png" for i in range(1 if lost == "all" else 2)])


@KINDS
def test_the_folder_of_another_run_below_is_left_alone(folder, tmp_path, capsys, kind):
    output = tmp_path / "out"
    arguments = (folder / "0.png", "--format", kind, "--quiet")
    assert run(*arguments, "--output", output) == 0
    assert run(*arguments, "--output", output / "crops" / "large") == 0
    half = output / "crops" / "large" / f"{atomic.TEMPORARY}0f"
    half.write_text("half a file, of a run that is at work")
    (output / "crops" / f"{atomic.TEMPORARY}0f").write_text("half a file")
    kept = {path for path in output.rglob("*") if path.is_file()} - {
        output / "crops" / f"{atomic.TEMPORARY}0f"
    }
    assert run(*arguments, "--output", output) == 0
    assert {path for path in output.rglob("*") if path.is_file()} == kept
    assert capsys.readouterr().err == ""


def test_shards_whose_images_all_changed_do_not_stay(folder, tmp_path):
    output = tmp_path / "out"
    assert run(folder, "--output", output, "--shard-size", 2) == 0
    for seed in (0, 1, 2):
        image_file(folder / f"{seed}.png", 40, 51, 3, seed=9 + seed)
    assert run(folder, "--output", output, "--shard-size", 3) == 0
    names = sorted(path.name for path in output.glob("*.npz"))
    # the second holds an image that did not change
    assert names == ["shard-00001.npz", "shard-00002.npz", "shard-00003.npz"]
    check(output, list(folder.iterdir()))


def odd_lines(line: dict[str, Any]) -> list[bytes]:
    without = [{key: line[key] for key in line if key != name} for name in line]
    wrong = [
        *({**line, "file": value} for value in (None, 3, "/etc/passwd", "../out/shard-00000.npz")),
        *({**line, "row": value} for value in (None, -1, True, "0", 1.0, [])),
        *({**line, "path": value} for value in (None, 3, [], {}, "relative.png")),
        *({**line, "status": value} for value in (None, "odd", [], {})),
        *({**line, "file": value} for value in ("a\0b.npz", "\ud800.npz", "9" * 5000)),
        {**line, "path": line["path"] + "\0"},
        *({**line, "file_bytes": value} for value in (None, "9", -1, 1e300)),
        *({**line, "file_crc32": value} for value in (None, 3, "", "0")),
        *({**line, "mtime_ns": value} for value in (None, "1", 0.5)),
        *(None, [], "text", 3, float("nan"), {}, [line]),
    ]
    data = [json.dumps(value).encode() + b"\n" for value in [*without, *wrong]]
    other = [
        b"\n",
        b"\0" * 512 + b"\n",
        b"\xff\xfe\n",
        b"{" * 90_000 + b"\n",
        b"[" * 90_000 + b"\n",
    ]
    return [*data, *other, b'{"path": "' + b"9" * 5000 + b'"}\n', b"1" * 5000 + b"\n", b'{"path"']


def test_odd_lines_of_a_manifest_are_dropped_with_one_line_that_says_so(
    folder, tmp_path, decoded, capsys
):
    output = tmp_path / "out"
    path = folder / "0.png"
    assert run(path, "--output", output, "--quiet") == 0
    (line,) = lines(output)
    good = (output / "manifest.jsonl").read_bytes()
    odd = odd_lines(line)
    for text in odd:
        (output / "manifest.jsonl").write_bytes(text)
        settings = json.loads((output / "manifest.json").read_text())
        settings = {
            name: value
            for name, value in settings.items()
            if name in ("preprocessor", "format", "alpha")
        }
        records = Manifest(output, "a", settings).records
        assert records == {}
        said = capsys.readouterr().err
        assert "Dropped 1 of 1" in said and len(said.splitlines()) == 1
    # among good ones, by the command
    (output / "manifest.jsonl").write_bytes(b"".join(odd[:-1]) + good + odd[-1])
    decoded.clear()
    assert run(path, "--output", output, "--quiet") == 0
    assert "lines of" in capsys.readouterr().err
    assert decoded == []
    check(output, [path])


def test_two_lines_that_name_one_place_are_both_done_again(folder, tmp_path, decoded):
    output = tmp_path / "out"
    assert run(folder, "--output", output) == 0
    changed = [{**line, "row": 0} if line["row"] == 1 else line for line in lines(output)]
    text = "".join(json.dumps(line) + "\n" for line in changed)
    (output / "manifest.jsonl").write_text(text)
    decoded.clear()
    assert run(folder, "--output", output) == 0
    assert sorted(decoded) == ["0.png", "1.png"]
    check(output, list(folder.iterdir()))


def exchanged(*names: str) -> Any:
    def exchange(found: list[dict[str, Any]]) -> None:
        for name in names:
            found[0][name], found[1][name] = found[1][name], found[0][name]

    return exchange


def edited(name: str, value: Any) -> Any:
    return lambda found: found[0].update({name: value})


@pytest.mark.parametrize(
    "edit, lost",
    [
        (exchanged("row"), ["0.png", "1.png"]),
        (exchanged("path"), ["0.png", "1.png"]),
        (exchanged("bytes", "mtime_ns", "ctime_ns", "inode", "crc32"), ["0.png", "1.png"]),
        (edited("row", 57), ["0.png"]),
        (edited("size", [1, 1]), ["0.png"]),
        (edited("line_crc32", "00000000"), ["0.png"]),
        (lambda found: found[0].pop("line_crc32"), ["0.png"]),
    ],
)
def test_lines_that_were_edited_are_not_believed(folder, tmp_path, decoded, capsys, edit, lost):
    output = tmp_path / "out"
    assert run(folder, "--output", output, "--quiet") == 0
    found = lines(output)
    edit(found)
    text = "".join(json.dumps(line) + "\n" for line in found)
    (output / "manifest.jsonl").write_text(text)
    decoded.clear()
    capsys.readouterr()
    assert run(folder, "--output", output, "--quiet") == 0
    assert sorted(decoded) == lost
    assert f"Dropped {len(lost)} of 5 results" in one_line(capsys.readouterr().err)
    check(output, list(folder.iterdir()))


def test_lines_that_are_only_written_in_another_way_are_believed(folder, tmp_path, decoded, capsys):
    output = tmp_path / "out"
    assert run(folder, "--output", output, "--quiet") == 0
    written = [
        json.dumps(line, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\r\n"
        for line in reversed(lines(output))
    ]
    (output / "manifest.jsonl").write_text("".join(written))
    decoded.clear()
    assert run(folder, "--output", output, "--quiet") == 0
    assert decoded == [] and capsys.readouterr().err == ""
    check(output, list(folder.iterdir()))


@pytest.mark.parametrize("lost", ["manifest.json", "manifest.*"])
def test_settings_that_are_lost_are_named(folder, tmp_path, capsys, lost):
    output = tmp_path / "out"
    assert run(folder / "0.png", "--output", output, "--quiet") == 0
    for path in output.glob(lost):
        path.unlink()
    capsys.readouterr()
    assert run(folder / "0.png", "--output", output, "--quiet") == 1
    said = one_line(capsys.readouterr().err)
    assert "`manifest.json`" in said and str(output) in said
    assert (output / "shard-00000.npz").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "3", '{"name": 1}', "\0" * 9, "[" * 90_000])
def test_settings_that_cannot_be_read_are_one_line(folder, tmp_path, capsys, content):
    output = tmp_path / "out"
    assert run(folder / "0.png", "--output", output) == 0
    (output / "manifest.json").write_text(content)
    capsys.readouterr()
    assert run(folder / "0.png", "--output", output) == 1
    assert "manifest.json" in one_line(capsys.readouterr().err)


@pytest.mark.parametrize("name", ["manifest.json", "manifest.jsonl"])
def test_a_manifest_that_is_no_file_is_refused_unopened(folder, tmp_path, capsys, name):
    output = tmp_path / "out"
    assert run(folder / "0.png", "--output", output) == 0
    (output / name).unlink()
    os.mkfifo(output / name)
    capsys.readouterr()
    assert run(folder / "0.png", "--output", output) == 1
    assert name in one_line(capsys.readouterr().err)


def test_a_setting_that_is_new_and_null_is_a_difference(tmp_path):
    Manifest(tmp_path, "a", {"preprocessor": {"size": 1}})
    with pytest.raises(ConfigError, match="`new`: `None` instead of `None`"):
        Manifest(tmp_path, "a", {"preprocessor": {"size": 1, "new": None}})


def test_a_full_disk_is_said_with_the_name_of_the_file(folder, tmp_path, monkeypatch, capsys):
    class Full(io.FileIO):
        def write(self, *_: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(manifest, "open", lambda path, *_, **__: Full(path, "a"), raising=False)
    with pytest.raises(OSError, match=r"No space .*manifest\.jsonl"):
        Manifest(tmp_path / "out", "a", {}).add([{"path": "/a", "status": "skipped"}])


@ALL_KINDS
def test_a_line_is_written_after_its_result_is_on_disk(folder, tmp_path, monkeypatch, kind):
    events: list[str] = []

    def recorded(module: Any, name: str) -> None:
        original = getattr(module, name)

        def recording(*args: Any, **kwargs: Any) -> Any:
            events.append(name)
            return original(*args, **kwargs)

        monkeypatch.setattr(module, name, recording)

    recorded(os, "fsync")
    recorded(os, "replace")
    recorded(Manifest, "_append")
    assert run(folder, "--output", tmp_path / "out", "--format", kind) == 0
    first = events.index("_append")
    last = events.index("_append", first + 1)
    between = events[first + 1 : last]
    file_and_folder = 2 if kind != "npy" else 5 + len({"photos", "folder"} - {"folder"})
    assert between.count("fsync") >= file_and_folder
    assert "fsync" in events[last:]  # the lines, before `finished` is written


# Kills


@ALL_KINDS
def test_a_run_goes_on_from_every_state_that_a_kill_can_leave(folder, tmp_path, monkeypatch, kind):
    """`benchmarks/kills.py` kills processes; here the folder is copied around each step."""
    output = tmp_path / "out"
    states: list[Path] = []

    lock = threading.Lock()

    def copy() -> None:
        with lock:
            state = tmp_path / f"state-{len(states)}"
            while output.exists() and not state.exists():
                try:
                    shutil.copytree(output, state)
                    states.append(state)
                except shutil.Error:  # another thread has renamed a file meanwhile
                    shutil.rmtree(state)

    def between_copies(module: Any, name: str) -> None:
        original = getattr(module, name)

        def copying(*args: Any, **kwargs: Any) -> Any:
            copy()
            result = original(*args, **kwargs)
            copy()
            return result

        monkeypatch.setattr(module, name, copying)

    with monkeypatch.context():
        between_copies(os, "replace")
        between_copies(manifest, "_to_line")  # a line more is written
        between_copies(Manifest, "_append")
        arguments = ("--format", kind, "--shard-size", 2, "--quiet")
        assert run(folder, "--output", output, *arguments) == 0
        # and of a run that does some again
        image_file(folder / "1.png", 41, 50, 3, seed=9)
        assert run(folder, "--output", output, *arguments) == 0
        monkeypatch.undo()
    expected = arrays(output)
    assert len(states) > 20
    for state in states[::3]:
        assert run(folder, "--output", state, *arguments) == 0
        found = arrays(state)
        assert found.keys() == expected.keys()
        assert all((found[path] == expected[path]).all() for path in expected)
        listed = {line["file"] for line in lines(state)}
        files = {p.relative_to(state).as_posix() for p in state.rglob("*") if p.is_file()}
        assert files == listed | HOUSEKEEPING and not list(state.rglob(f"{atomic.TEMPORARY}*"))


# What is no image


def heic(path: Path, seed: int = 0) -> Path:
    pillow_heif.from_pillow(Image.fromarray(noise(40, 50, 3, seed=seed))).save(path, quality=-1)
    return path


def test_a_folder_of_a_phone_is_read_whatever_its_files_are_called(tmp_path):
    source = tmp_path / "in"
    expected = [image_file(source / "a.png", 40, 50, 3)]
    for seed, name in enumerate(("IMG_1.HEIC", "IMG_2", "IMG_3.bin")):
        expected.append(heic(source / name, seed))
    Image.open(expected[0]).save(source / "IMG_4.dat", "PNG")
    (source / "IMG_1.MOV").write_bytes(b"\0\0\0\x14ftypqt  ")
    assert run(source, "--output", tmp_path / "out") == 0
    check(tmp_path / "out", [*expected, source / "IMG_4.dat"])


def test_what_was_left_out_is_in_the_summary_the_manifest_and_the_exit_status(
    folder, tmp_path, capsys
):
    output = tmp_path / "out"
    for name in ("a.txt", "b.txt", "LICENSE"):
        (folder / name).write_text("text")
    assert run(folder, "--output", output) == 0
    said = one_line(capsys.readouterr().err)
    assert said == f"jaxprep: 5 images in {output} (left out 2 .txt, 1 without ending)"
    settings = json.loads((output / "manifest.json").read_text())
    assert settings["left_out"] == {".txt": 2, "without ending": 1}
    assert len(lines(output)) == 5
    # a photograph that is not read is missing from the results
    (folder / "c.NEF").write_bytes(b"II*\0")
    for _ in range(2):
        assert run(folder, "--output", output) == 3
        assert "left out 2 .txt, 1 without ending, 1 .nef" in capsys.readouterr().err
        (line,) = [line for line in lines(output) if line["status"] == "left out"]
        assert line["path"] == str(folder / "c.NEF") and "camera raw" in line["error"]
    (folder / "c.NEF").unlink()
    assert run(folder, "--output", output) == 0
    assert len(lines(output)) == 5
    (folder / "v1.0").symlink_to(tmp_path)
    assert run(folder, "--output", output) == 3
    assert "2 .txt, 1 as links to folders, 1 without ending" in capsys.readouterr().err


def test_heic_without_pillow_heif_is_an_error_of_that_file(folder, tmp_path, capsys, monkeypatch):
    heic(folder / "9.heic")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert run(folder, "--output", tmp_path / "out") == 1
    assert "jaxprep[heif]" in one_line(capsys.readouterr().err)
    assert run(folder, "--output", tmp_path / "out", "--on-error", "skip", "--quiet") == 3
    assert "9.heic" in one_line(capsys.readouterr().err)
    assert len(arrays(tmp_path / "out")) == 5


def test_results_below_the_images_are_not_taken_for_files_of_theirs(folder, tmp_path, capsys):
    output = folder / "out"
    for kind in ("npz", "npy"):
        for _ in range(2):
            assert run(folder, "--output", output / kind, "--format", kind) == 0
            # those of the other kind are
            assert capsys.readouterr().err.count("left out") == (kind == "npy")


# What cannot be read or converted


def test_pipes_devices_and_large_files_are_errors_of_their_own(folder, tmp_path, capsys):
    os.mkfifo(folder / "5.png")
    (folder / "6.jpg").symlink_to("/dev/zero")
    (folder / "7.jpg").symlink_to("/proc/self/mem")
    with open(folder / "8.jpg", "wb") as file:
        file.write(b"\xff\xd8\xff")
        file.truncate(12 * 10**9)
    (folder / "9.jpg").mkdir()  # nothing but a folder
    output = tmp_path / "out"
    assert run(folder, "--output", output, "--on-error", "skip", "--quiet") == 3
    said = capsys.readouterr().err.splitlines()
    assert [line.count("jaxprep: skipped: Expected an image file") for line in said] == [1] * 4
    errors = {Path(line["path"]).name for line in lines(output) if line["status"] == "skipped"}
    assert errors == {"5.png", "6.jpg", "7.jpg", "8.jpg"}
    assert len(arrays(output)) == 5
    for name in errors:
        assert run(folder / name, "--output", tmp_path / name) == 1
        assert name in one_line(capsys.readouterr().err)


def test_a_folder_that_cannot_be_read_is_an_error_of_its_own(folder, tmp_path, monkeypatch, capsys):
    (folder / "locked").mkdir()
    scan = os.scandir

    def scanning(path: Any = ".") -> Any:
        if os.fspath(path).endswith("locked"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    output = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scanning)
        assert run(folder, "--output", output) == 1
        assert "locked" in one_line(capsys.readouterr().err) and not output.exists()
        for _ in range(2):
            arguments = ("--on-error", "skip", "--quiet")
            assert run(folder, folder / "absent.png", "--output", output, *arguments) == 3
            said = capsys.readouterr().err.splitlines()
            assert len(said) == 2 and "locked" in said[0] and "absent.png" in said[1]
        skipped = {line["path"] for line in lines(output) if line["status"] == "skipped"}
        assert skipped == {str(folder / "locked"), str(folder / "absent.png")}
    assert len(arrays(output)) == 5
    assert run(folder, "--output", output) == 0
    assert {line["status"] for line in lines(output)} == {"done"}


ERRORS = pytest.mark.parametrize(
    "error", [KeyError("k"), MemoryError(), RuntimeError("RESOURCE_EXHAUSTED"), RecursionError()]
)


@ERRORS
@pytest.mark.parametrize("where", ["decoding", "conversion", "planning"])
def test_an_unexpected_error_of_one_image_is_that_images(
    folder, tmp_path, monkeypatch, capsys, where, error
):
    output = tmp_path / "out"
    read, convert = convert_module.read_file, convert_module.Converter.__call__
    bucket = Pipeline.bucket

    def reading(path: Path, *rest: Any) -> Any:
        if path.name == "2.png" and where == "decoding":
            raise error
        return read(path, *rest)

    def converting(self: Any, photos: Any) -> Any:
        if any(photo.source.path.name == "2.png" for photo in photos):
            raise error
        return convert(self, photos)

    def planning(self: Any, size: Any) -> Any:
        if size == (42, 50):
            raise error
        return bucket(self, size)

    with monkeypatch.context() as patch:
        patch.setattr(convert_module, "read_file", reading)
        if where == "conversion":
            patch.setattr(convert_module.Converter, "__call__", converting)
        if where == "planning":
            patch.setattr(Pipeline, "bucket", planning)
        arguments = (folder, "--output", output, "--quiet", "--batch-size", 2)
        assert run(*arguments) == 1
        said = one_line(capsys.readouterr().err)
        assert str(folder / "2.png") in said and type(error).__name__ in said
        assert len(arrays(output)) == 2
        assert run(*arguments, "--on-error", "skip") == 3
        assert one_line(capsys.readouterr().err).startswith("jaxprep: skipped: ")
    (skipped,) = [line for line in lines(output) if line["status"] == "skipped"]
    assert skipped["path"] == str(folder / "2.png")
    assert len(arrays(output)) == 4
    assert run(*arguments) == 0
    check(output, list(folder.iterdir()))


def test_too_little_memory_for_all_says_what_needs_less(folder, tmp_path, monkeypatch, capsys):
    def refuse(*_: Any) -> None:
        raise MemoryError

    monkeypatch.setattr(writers.Shards, "add", refuse)
    assert run(folder, "--output", tmp_path / "out") == 1
    assert "--batch-size" in one_line(capsys.readouterr().err)


# Memory


def test_no_more_bytes_are_decoded_ahead_than_asked_for():
    sizes = [30, 30, 30, 200, 10, 10, 10, 90, 90, 5]
    begun: list[int] = []
    taken: list[int] = []

    def bytes_of(size: int, is_decoded: bool) -> int:
        return size // 2 if is_decoded else size

    ahead = prefetch.run_ahead(
        lambda size: begun.append(size) or size,
        sizes,
        workers=3,
        ahead=99,
        max_bytes=100,
        bytes_of=bytes_of,
    )
    for size, future in ahead:
        assert future.result() == size
        taken.append(size)
        waiting = begun[len(taken) :]
        assert sum(size // 2 for size in waiting) <= 100
    assert taken == sizes


def test_no_more_bytes_wait_for_others_of_their_key_than_asked_for():
    items = [("a", 10), ("b", 30), ("a", 10), ("c", 60), ("a", 10), ("b", 5), ("d", 500)]
    found = list(
        prefetch.grouped(
            items,
            lambda item: item[0],
            size=9,
            max_waiting=99,
            max_bytes=100,
            bytes_of=lambda i: i[1],
        )
    )
    assert found == [
        [("c", 60)],
        [("d", 500)],
        [("a", 10), ("a", 10), ("a", 10)],
        [("b", 30), ("b", 5)],
    ]


def test_large_images_are_decoded_and_converted_a_few_at_a_time(tmp_path, monkeypatch):
    paths = [image_file(tmp_path / "in" / f"{i:02}.png", 80, 90, 3, seed=i) for i in range(12)]
    each = 80 * 90 * 3
    held: list[int] = []
    groups: list[int] = []
    read, convert = convert_module.read_file, convert_module.Converter.__call__

    def reading(path: Path, *rest: Any) -> Any:
        held.append(1)
        return read(path, *rest)

    def converting(self: Any, photos: Any) -> Any:
        groups.append(len(photos))
        assert len(held) - sum(groups) <= 4  # decoded, and not converted yet
        return convert(self, photos)

    monkeypatch.setattr(convert_module, "MAX_BYTES", 4 * each)
    monkeypatch.setattr(convert_module, "THREAD_BYTES", 0)
    monkeypatch.setattr(convert_module, "read_file", reading)
    monkeypatch.setattr(convert_module.Converter, "__call__", converting)
    assert run(tmp_path / "in", "--output", tmp_path / "out", "--workers", 2) == 0
    assert max(groups) == 2  # with a canvas for each
    monkeypatch.undo()
    check(tmp_path / "out", paths)


def test_small_images_of_large_results_are_converted_a_few_at_a_time(tmp_path, monkeypatch):
    """Ten strips of 24 x 2900, resized to 520 x 62833, took 11.9 GB together."""
    for i in range(6):
        image_file(tmp_path / "in" / f"{i}.png", 6, 300 + i, 3, seed=i)
    groups: list[int] = []
    convert = convert_module.Converter.__call__

    def converting(self: Any, photos: Any) -> Any:
        groups.append(len(photos))
        return convert(self, photos)

    result = 32 * 1600 * 3 * 4
    monkeypatch.setattr(convert_module, "MAX_BYTES", 4 * result)  # two, and as much again
    monkeypatch.setattr(convert_module, "THREAD_BYTES", 0)
    monkeypatch.setattr(convert_module.Converter, "__call__", converting)
    preset = "torchvision/DeepLabV3_ResNet50_Weights.DEFAULT"
    arguments = (tmp_path / "in", "--output", tmp_path / "out")
    assert run(*arguments, preset=preset, override="resize_size=32") == 0
    assert groups == [2, 2, 2] and len(arrays(tmp_path / "out")) == 6


def test_a_shard_of_large_results_holds_fewer(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(convert_module, "MAX_BYTES", 2 * 24 * 24 * 3 * 4)
    assert run(folder, "--output", tmp_path / "1") == 0
    counts = [len(np.load(path)["paths"]) for path in sorted((tmp_path / "1").glob("*.npz"))]
    assert counts == [2, 2, 1]
    # results of many sizes: when there are so many bytes
    preset = "torchvision/DeepLabV3_ResNet50_Weights.DEFAULT"
    monkeypatch.setattr(convert_module, "MAX_BYTES", 2 * 32 * 32 * 3 * 4)
    arguments = (folder, "--output", tmp_path / "2")
    assert run(*arguments, preset=preset, override="resize_size=32") == 0
    counts = [len(np.load(path)["paths"]) for path in sorted((tmp_path / "2").glob("*.npz"))]
    assert sum(counts) == 5 and max(counts) == 2
    assert len(arrays(tmp_path / "2")) == 5


# pictures in modes of their own


@pytest.mark.parametrize("mode", ["CMYK", "P", "RGBA", "LA", "L", "RGB", "YCbCr"])
def test_a_file_has_the_result_of_its_picture_where_a_format_resizes_in_its_mode(tmp_path, mode):
    """OpenCLIP resizes a picture before it is converted to RGB."""
    preset = "open_clip/ViT-B-32/openai"
    picture = Image.fromarray(noise(40, 52, 3, seed=3)).convert(mode)
    if "A" in mode:
        picture.putalpha(Image.fromarray(noise(40, 52, 1, seed=4)[..., 0]))
    file = tmp_path / ("a.jpg" if mode in ("CMYK", "YCbCr") else "a.png")
    picture.save(file)
    size = "image_size=[24,24]"
    assert run(file, "--output", tmp_path / "out", "--quiet", preset=preset, override=size) == 0
    preprocess = ImageClassifierPreprocessor.from_preset(preset, image_size=(24, 24))
    wanted = np.asarray(preprocess(Image.open(file)))
    (result,) = arrays(tmp_path / "out").values()
    np.testing.assert_array_equal(result, wanted)
