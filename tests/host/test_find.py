"""Finding images: by name and by content, and what is left out."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pillow_heif
import pytest
from helpers.images import noise
from PIL import Image

from jaxprep.errors import InputError
from jaxprep.host import find_images
from jaxprep.host.find import absolute, list_images
from jaxprep.host.kinds import FORMATS, HEAD, HEIF, kind_of_content


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "b.png",
        "a.JPG",
        "notes.txt",
        "c",
        "sub/d.webp",
        "sub/deep/e.tiff",
        "other/f.gif",
        "[x]/g.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(paths: object) -> list[str]:
    return [path.as_posix() for path in find_images(paths)]  # type: ignore[arg-type]


def test_a_folder_stands_for_all_images_below_it_in_order(tree):
    images = ["[x]/g.png", "a.JPG", "b.png", "other/f.gif", "sub/d.webp", "sub/deep/e.tiff"]
    assert found(".") == images
    assert found(tree) == [(tree / image).as_posix() for image in images]


def test_a_file_named_is_taken_whatever_its_suffix(tree):
    assert found(["c", "notes.txt"]) == ["c", "notes.txt"]


def test_a_pattern_stands_for_the_images_it_matches(tree):
    assert found("*.png") == ["b.png"]
    assert found("*") == [
        "[x]/g.png",
        "a.JPG",
        "b.png",
        "other/f.gif",
        "sub/d.webp",
        "sub/deep/e.tiff",
    ]
    assert found("sub/**/*.tiff") == ["sub/deep/e.tiff"]


def test_a_path_that_exists_is_no_pattern(tree):
    assert found("[x]") == ["[x]/g.png"]


def test_the_order_given_is_kept_and_each_image_comes_once(tree):
    assert found(["sub", "b.png", ".", "b.png"])[:3] == ["sub/d.webp", "sub/deep/e.tiff", "b.png"]
    assert sorted(found(["sub", "b.png", "."])) == sorted(found("."))


@pytest.mark.parametrize("paths", ["absent", "absent.png", ["b.png", "absent.png"]])
def test_a_path_that_does_not_exist_is_refused(tree, paths):
    with pytest.raises(InputError, match="absent"):
        find_images(paths)


@pytest.mark.parametrize("paths", ["*.bmp", "empty", []])
def test_finding_nothing_is_an_error(tree, paths):
    (tree / "empty").mkdir()
    with pytest.raises(InputError, match="found none"):
        find_images(paths)


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="needs symbolic links")
def test_links_to_folders_are_not_followed(tree):
    (tree / "sub" / "loop").symlink_to(tree, target_is_directory=True)
    assert found("sub") == ["sub/d.webp", "sub/deep/e.tiff"]


def test_the_suffixes_are_those_that_pillow_gives_to_the_formats():
    Image.init()
    by_pillow = {
        suffix: {"MPO": "JPEG"}.get(kind, kind) for suffix, kind in Image.EXTENSION.items()
    }
    formats = {kind: suffixes for kind, suffixes in FORMATS.items() if kind != HEIF}
    listed = {suffix: kind for kind, suffixes in formats.items() for suffix in suffixes}
    assert listed == {suffix: by_pillow.get(suffix) for suffix in listed}
    left_out = {suffix for suffix, kind in by_pillow.items() if kind in formats} - set(listed)
    assert left_out <= {".pfm"}  # float samples


# By content


def content(kind: str) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(noise(16, 16, 3))
    if kind == HEIF:
        pillow_heif.from_pillow(image).save(file)
    else:
        image.save(file, kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", FORMATS)
def test_an_image_of_every_format_is_found_whatever_its_name(kind, tmp_path):
    names = ["IMG_0001", "photo.bak", "photo.JPG.download", "notes.txt"]
    for name in names:
        (tmp_path / name).write_bytes(content(kind))
    assert [path.name for path in find_images(tmp_path)] == sorted(names)
    assert [path.name for path in find_images(str(tmp_path / "*.bak"))] == ["photo.bak"]
    assert kind_of_content(content(kind)[:HEAD]) == kind


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"\0" * 99, b"BMW and Audi", b"P1 is a page", b"P5\nhello", b"GIF", b"RIFF1234WAVE"),
        *(b"%PDF-1.7", b"PK\3\4", b"II and III", b"....ftypisom....isomavc1", b"qoif", b"<html>"),
        *(b"\x93NUMPY\1\0", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"),
    ],
)
def test_what_only_begins_like_an_image_is_none(text):
    assert kind_of_content(text) is None


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("a.nef", b"II*\0" + bytes(99), "camera raw"),
        ("a.DNG", b"MM\0*" + bytes(99), "camera raw"),
        ("a", b"II*\0\x10\0\0\0CR\2\0", "camera raw"),
        ("a", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "camera raw"),
        ("a", b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        ("a", b"<?xml version='1.0'?>\n<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        ("a.ico", b"\0\0\1\0", "icon"),
        ("a.psd", b"", "Photoshop"),
    ],
)
def test_pictures_of_other_kinds_are_told_from_what_is_no_picture(name, head, kind, tmp_path):
    (tmp_path / name).write_bytes(head)
    (tmp_path / "notes.txt").write_bytes(b"notes")
    listing = list_images([tmp_path])
    reasons = {entry.path.name: (entry.reason, entry.is_picture) for entry in listing.left_out}
    assert reasons == {
        name: (f"a picture of a kind that is not read ({kind})", True),
        "notes.txt": ("no image", False),
    }
    with pytest.raises(InputError, match="found none among 2 other files"):
        find_images(tmp_path)


def test_what_macos_writes_beside_a_photograph_is_no_image(tmp_path):
    (tmp_path / "._a.jpg").write_bytes(b"\0\5\x16\7\0\2\0\0Mac OS X")
    (tmp_path / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    (tmp_path / "a.jpg").write_bytes(content("JPEG"))
    (tmp_path / "._b.jpg").write_bytes(content("JPEG"))  # a name that somebody chose
    assert [path.name for path in find_images(tmp_path)] == ["._b.jpg", "a.jpg"]


def test_pipes_and_links_to_devices_are_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    (tmp_path / "log").symlink_to("/proc/kmsg")
    (tmp_path / "broken").symlink_to(tmp_path / "nothing")
    (tmp_path / "pipe.jpg").symlink_to(tmp_path / "pipe")  # by its name: decoding refuses it
    listing = list_images([tmp_path])
    assert listing.images == [tmp_path / "pipe.jpg"]
    reasons = {entry.path.name: entry.reason for entry in listing.left_out}
    assert (reasons["pipe"], reasons["zero"]) == ("no regular file", "no regular file")
    assert set(reasons) == {"pipe", "zero", "log", "broken"}


def test_a_link_to_a_folder_is_reported(tree):
    (tree / "sub" / "loop").symlink_to(tree, target_is_directory=True)
    (entry,) = list_images(["sub"]).left_out
    assert (entry.path.name, entry.is_picture) == ("loop", True) and "not followed" in entry.reason


# What cannot be read


@pytest.fixture
def locked(tree, monkeypatch):
    """`sub/deep` cannot be listed, as root would not see from its permissions."""
    scan = os.scandir

    def scanning(path="."):
        if os.path.abspath(path) == str(tree / "sub" / "deep"):
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    monkeypatch.setattr(os, "scandir", scanning)
    return tree


@pytest.mark.parametrize("path", [".", "sub", "sub/deep", "sub/**", "*/*/*.tiff", "**/*.webp"])
def test_a_folder_that_cannot_be_read_is_an_error_of_its_own(locked, path):
    listing = list_images([path, "b.png"])
    ((folder, error),) = listing.errors
    assert absolute(folder) == locked / "sub" / "deep"
    assert "Permission denied" in str(error) and "deep" in str(error)
    assert locked / "b.png" in map(absolute, listing.images)
    with pytest.raises(InputError, match="Permission denied"):
        find_images([path, "b.png"])


def test_what_does_not_exist_is_an_error_of_its_own(tree):
    listing = list_images(["absent", "b.png", "absent.png"])
    assert [path.name for path, _ in listing.errors] == ["absent", "absent.png"]
    assert listing.images == [Path("b.png")]


def test_what_is_below_the_ignored_folder_does_not_count(tree):
    (tree / "out").mkdir()
    (tree / "out" / "h.png").touch()
    (tree / "out" / "manifest.json").touch()
    for path in (".", "*", "**", "**/*", "out/*"):
        listing = list_images([path, "b.png"], ignore=Path("out"))
        entries = [*listing.images, *(entry.path for entry in listing.left_out)]
        assert not [entry for entry in entries if "out" in entry.parts]


# Names


def test_a_file_has_one_absolute_path(tmp_path, monkeypatch):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "b", target_is_directory=True)
    (tmp_path / "a" / "c.png").touch()
    (tmp_path / "c.png").touch()
    monkeypatch.chdir(tmp_path / "a")
    expected = tmp_path / "a" / "c.png"
    for name in ("c.png", "./c.png", "b/../c.png", "../a/c.png", str(expected)):
        assert absolute(name) == expected
    # not `c.png` of the folder that holds the link
    assert absolute("../link/../c.png") == expected
    assert find_images(["c.png", expected, "../a/c.png", "../c.png"]) == [
        Path("c.png"),
        Path("../c.png"),
    ]
    # a link to a file is another image, as its name may be a label
    (tmp_path / "a" / "cat.png").symlink_to(expected)
    assert absolute("cat.png").name == "cat.png"
