"""Writing files: all or none, nothing left beside them, errors about the user's paths."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

import jaxprep
from jaxprep import AutoImageProcessor, atomic
from jaxprep.atomic import is_temporary, replacing, write_files


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def no_space(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.fixture
def full_disk(monkeypatch):
    """Every temporary file but the first refuses what is written to it."""
    make, opened = atomic._temporary, []

    class Full:
        def __init__(self, file):
            self.file = file

        def __getattr__(self, name):
            return no_space if name == "write" else getattr(self.file, name)

    def opening(path):
        opened.append(make(path) if not opened else Full(make(path)))
        return opened[-1]

    monkeypatch.setattr(atomic, "_temporary", opening)
    return opened


def test_a_block_that_raises_leaves_the_file_as_it_was(tmp_path):
    for old in (None, b"old"):
        path = tmp_path / "a.bin"
        if old is not None:
            path.write_bytes(old)
        with pytest.raises(ZeroDivisionError), replacing(path) as file:
            file.write(b"half")
            raise ZeroDivisionError
        assert everything(tmp_path) == ({} if old is None else {"a.bin": old})


def test_a_file_is_replaced_as_a_whole(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"old")
    with replacing(tmp_path / "a.bin") as file:
        file.write(b"new")
        file.flush()
        assert (tmp_path / "a.bin").read_bytes() == b"old"
    assert everything(tmp_path) == {"a.bin": b"new"}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("umask", "expected"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_a_new_file_has_the_permissions_that_the_umask_gives(umask, expected, tmp_path):
    before = os.umask(umask)
    try:
        with replacing(tmp_path / "a.bin") as file:
            file.write(b"new")
        write_files({tmp_path / "b.txt": "new"})
    finally:
        os.umask(before)
    assert [mode(path) for path in tmp_path.iterdir()] == [expected] * 2


def test_a_file_that_is_replaced_keeps_its_permissions(tmp_path):
    for name, old in (("secret", 0o600), ("program", 0o755), ("shared", 0o664)):
        (tmp_path / name).write_bytes(b"old")
        (tmp_path / name).chmod(old)
        with replacing(tmp_path / name) as file:
            file.write(b"new")
        assert mode(tmp_path / name) == old


@pytest.fixture
def events(monkeypatch) -> list[tuple[str, str]]:
    """What reached the disk and what was renamed, in order, by the names of files."""
    happened: list[tuple[str, str]] = []
    sync, replace = os.fsync, os.replace

    def syncing(descriptor):
        happened.append(("sync", Path(os.readlink(f"/proc/self/fd/{descriptor}")).name))
        sync(descriptor)

    def replacing_(source, target):
        happened.append(("replace", Path(target).name))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "replace", replacing_)
    return happened


needs_proc = pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")


@needs_proc
def test_content_is_on_disk_before_its_name_and_the_name_before_the_end(tmp_path, events):
    with replacing(tmp_path / "a.bin") as file:
        file.write(b"new")
    content, name, folder = events
    assert content[0] == "sync" and content[1].startswith(atomic.TEMPORARY)
    assert (name, folder) == (("replace", "a.bin"), ("sync", tmp_path.name))


@needs_proc
def test_files_that_are_written_first_are_synced_together(tmp_path, events):
    paths = [tmp_path / "a.bin", tmp_path / "b.bin"]
    for path in paths:
        with replacing(path, sync=False) as file:
            file.write(b"new")
    assert [event for event, _ in events] == ["replace", "replace"]
    events.clear()
    atomic.sync_files(paths)
    # Files are synced by threads, so in any order; their folder is once all of them are.
    assert sorted(events[:-1]) == [("sync", "a.bin"), ("sync", "b.bin")]
    assert events[-1] == ("sync", tmp_path.name)


def test_a_disk_that_does_not_take_the_data_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "a.bin").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", no_space)
    with pytest.raises(OSError, match="No space") as caught, replacing(tmp_path / "a.bin") as file:
        file.write(b"new")
    assert caught.value.filename == str(tmp_path / "a.bin")
    assert everything(tmp_path) == {"a.bin": b"old"}


def test_a_file_system_that_cannot_sync_is_written_to_all_the_same(tmp_path, monkeypatch):
    def cannot(_):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", cannot)
    with replacing(tmp_path / "a.bin") as file:
        file.write(b"new")
    assert everything(tmp_path) == {"a.bin": b"new"}


@pytest.mark.parametrize("exist", [True, False])
def test_several_files_are_written_all_or_none_on_a_full_disk(exist, tmp_path, full_disk):
    paths = [tmp_path / name for name in ("a.json", "b.json", "c.json")]
    for path in paths if exist else []:
        path.write_text(f"old {path.name}")
    before = everything(tmp_path)
    with pytest.raises(OSError, match="No space") as caught:
        write_files(dict.fromkeys(paths, "new"))
    assert caught.value.filename == str(paths[1])
    assert everything(tmp_path) == before
    assert len(full_disk) == 3


@pytest.mark.parametrize("fails_at", [0, 1, 2])
def test_several_files_are_put_back_where_one_cannot_be_moved(fails_at, tmp_path, monkeypatch):
    paths = [tmp_path / name for name in ("a.json", "b.json", "c.json")]
    paths[0].write_text("old a")
    paths[2].write_text("old c")
    before = everything(tmp_path)
    moved, replace = [], os.replace

    def failing(source, target):
        moved.append(target)
        if len(moved) - 1 == fails_at:
            raise PermissionError(13, "Permission denied", source, None, target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(PermissionError) as caught:
        write_files(dict.fromkeys(paths, "new"))
    assert caught.value.filename == str(paths[fails_at])
    assert atomic.TEMPORARY not in str(caught.value)
    assert everything(tmp_path) == before


def test_text_that_cannot_be_encoded_leaves_nothing(tmp_path):
    with pytest.raises(UnicodeEncodeError):
        write_files({tmp_path / "a.json": "good", tmp_path / "b.json": "\ud800"})
    assert everything(tmp_path) == {}


def test_an_error_of_the_system_names_the_path_of_the_user(tmp_path):
    missing = tmp_path / "missing" / "a.json"
    for write in (lambda: write_files({missing: ""}), lambda: replacing(missing).__enter__()):
        with pytest.raises(FileNotFoundError) as caught:
            write()
        assert caught.value.filename == str(missing)
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError, match="folder") as caught:
        write_files({folder: "text"})
    assert caught.value.filename == str(folder) and caught.value.filename2 is None
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_files_of_a_killed_process_are_known_by_their_names_and_no_others(tmp_path):
    (tmp_path / "below").mkdir()
    kept = {"kept.json", "below/.hidden", ".jaxprep-photo.png.npy"}
    temporary = [atomic._temporary(tmp_path / name) for name in ("a.bin", "below/a.bin")]
    for name in (*kept, ".jaxprep-abc", "below/.jaxprep-a_2"):
        (tmp_path / name).write_text("x")
    left = [path for path in tmp_path.rglob("*") if not is_temporary(path.name)]
    assert {path.relative_to(tmp_path).as_posix() for path in left} == {"below", *kept}
    for file in temporary:
        file.close()


def test_no_writer_of_the_library_leaves_anything_behind(tmp_path, monkeypatch):
    """The writers of presets, of Hugging Face configs, and of the command line."""
    (tmp_path / "processor").mkdir()
    (tmp_path / "processor" / "preprocessor_config.json").write_text(
        '{"image_processor_type": "ViTImageProcessor"}'
    )
    processor = AutoImageProcessor.from_pretrained(tmp_path / "processor")
    config = jaxprep.presets.load("resnet_50_imagenet")
    monkeypatch.setattr(os, "replace", no_space)
    folders = [tmp_path / name for name in ("presets", "huggingface", "cli")]
    for folder in folders:
        folder.mkdir()
    with pytest.raises(OSError, match="No space"):
        jaxprep.presets.save(config, folders[0])
    with pytest.raises(OSError, match="No space"):
        processor.save_pretrained(folders[1])
    with pytest.raises(OSError, match="No space"), replacing(folders[2] / "a.npy") as file:
        file.write(b"1")
    assert [list(folder.iterdir()) for folder in folders] == [[], [], []]
