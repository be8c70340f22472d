"""List the images of folders and patterns, and what was left out and why."""

from __future__ import annotations

import glob
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from jaxprep.errors import InputError
from jaxprep.host.kinds import (
    FORMATS,
    HEAD,
    OTHER_PICTURES,
    SUFFIXES,
    kind_of_content,
    kind_of_name,
)


class LeftOut(NamedTuple):
    """Says which file of a folder is not among the images, and why.

    Attributes:
        path: the file.
        reason: in words.
        is_picture: whether somebody who looks for pictures would miss it.

    >>> LeftOut(Path("a.txt"), "no image", False).reason
    'no image'
    """

    path: Path
    reason: str
    is_picture: bool


class Listing(NamedTuple):
    """Holds what files, folders and patterns stand for.

    Attributes:
        images: each once, in the order given; those of a folder sorted by path.
        left_out: the other files of folders and patterns.
        errors: one for each path that does not exist, and each folder that cannot be read.

    >>> Listing([], [], []).images
    []
    """

    images: list[Path]
    left_out: list[LeftOut]
    errors: list[tuple[Path, InputError]]


def find_images(paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[Path]:
    """List the images of files, folders and glob patterns, each once, in the order given.

    Args:
        paths: as in `list_images`.

    Raises:
        InputError: a path that does not exist or cannot be read, or no image at all.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.PNG", "a.jpg", "notes.txt"):
    ...         _ = Path(folder, name).write_bytes(b"")
    ...     [path.name for path in find_images(folder)]
    ['a.jpg', 'b.PNG']
    """
    given = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    listing = list_images(given)
    if listing.errors:
        raise listing.errors[0][1]
    check_found(listing, given)
    return listing.images


def list_images(paths: Sequence[str | os.PathLike[str]], *, ignore: Path | None = None) -> Listing:
    """List the images of files, folders and glob patterns, and what is none.

    Args:
        paths: a file is taken whatever it is. A folder stands for all images below it; links to
            folders are not followed. A pattern (`*`, `?`, `[...]`, `**`) stands for the sorted
            paths that it matches: folders as above, files only if they are images. An image is a
            file whose name ends with a suffix of `FORMATS`, in any case, or else whose first bytes
            are those of an image.
        ignore: a folder whose files do not count.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "photo").write_bytes(b"GIF89a")
    ...     _ = Path(folder, "notes.txt").write_bytes(b"")
    ...     listing = list_images([folder])
    >>> [path.name for path in listing.images], [entry.reason for entry in listing.left_out]
    (['photo'], ['no image'])
    """
    images: dict[Path, Path] = {}
    left_out: dict[Path, LeftOut] = {}
    errors: dict[Path, tuple[Path, InputError]] = {}
    hidden = None if ignore is None else Path(os.path.realpath(ignore))
    for path in paths:
        for entry in _expand(os.fspath(path), hidden):
            if isinstance(entry, LeftOut):
                left_out.setdefault(absolute(entry.path), entry)
            elif isinstance(entry, Path):
                images.setdefault(absolute(entry), entry)
            else:
                errors.setdefault(absolute(entry[0]), entry)
    # A file that one path names is taken, also where a pattern leaves it out.
    rest = [entry for key, entry in left_out.items() if key not in images]
    return Listing(list(images.values()), rest, list(errors.values()))


def check_found(
    listing: Listing, paths: Sequence[str | os.PathLike[str]], *, ignored: Path | None = None
) -> None:
    """Raise if there is no image among what was listed.

    Args:
        listing: what was found.
        paths: what it was found by.
        ignored: the folder whose files did not count.

    Raises:
        InputError: it says what there is instead.

    >>> check_found(Listing([Path("a.png")], [], []), ["a.png"])
    """
    if listing.images:
        return
    suffixes = ", ".join(sorted(SUFFIXES))
    others = f" among {len(listing.left_out)} other files" if listing.left_out else ""
    given = [os.fspath(path) for path in paths]
    hint = ""
    hidden = None if ignored is None else Path(os.path.realpath(ignored))
    if any(_is_below(Path(path), hidden) for path in given):
        hint = f" What is in the output folder, {str(ignored)!r}, does not count."
    raise InputError(f"Expected images ({suffixes}), found none{others} - at {given}.{hint}")


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return the one absolute path of a file, from whichever folder it is named.

    Links stay as they are named: two links to one file are two images, whose names may be labels.

    >>> absolute("/photos/./a.png").as_posix()
    '/photos/a.png'
    """
    joined = Path(path) if os.path.isabs(path) else Path.cwd() / path
    # Of a link to a folder, `..` is the folder that it leads to, which the name does not say.
    return joined.parent.resolve() / joined.name if ".." in joined.parts else joined


Entry = Path | LeftOut | tuple[Path, InputError]
"""An image, another file, or what cannot be read."""


def _expand(path: str, ignore: Path | None) -> Iterator[Entry]:
    """Yield what one path or pattern stands for."""
    if os.path.isdir(path):
        yield from _entries_below(path, ignore)
    elif os.path.lexists(path):
        yield Path(path)
    elif glob.has_magic(path):
        yield from _unreadable_folders(path)
        for match in sorted(map(Path, glob.glob(path, recursive=True))):
            if match.is_dir():
                yield from _entries_below(match, ignore)
            elif not _is_below(match.parent, ignore):
                yield _classified(match)
    else:
        yield (
            Path(path),
            InputError(
                f"Expected a file, a folder or a glob pattern, got {path!r}, which does not exist."
            ),
        )


def _entries_below(folder: str | Path, ignore: Path | None) -> Iterator[Entry]:
    """Yield the files of a folder, sorted by path, and its sub-folders that cannot be read."""
    files: list[Path] = []
    links: list[Path] = []
    refused: list[OSError] = []
    # Without `onerror`, `os.walk` skips folders that it cannot read.
    for root, folders, names in os.walk(folder, onerror=refused.append):
        if _is_below(Path(root), ignore):
            folders.clear()
            continue
        files += (Path(root, name) for name in names)
        links += (Path(root, name) for name in folders if os.path.islink(Path(root, name)))
    for error in refused:
        yield Path(error.filename or folder), _unreadable(error.filename or folder, error)
    for link in sorted(links):
        yield LeftOut(link, "a link to a folder, which is not followed", True)
    yield from map(_classified, sorted(files))


def _unreadable_folders(pattern: str) -> Iterator[Entry]:
    """Yield the folders that a pattern looks into and that cannot be read: `glob` skips them."""
    folder = os.path.dirname(pattern)
    while glob.has_magic(folder):
        for match in glob.glob(os.path.join(folder, ""), recursive=True):
            try:
                os.scandir(match).close()
            except OSError as error:
                yield Path(match), _unreadable(match, error)
        folder = os.path.dirname(folder)


def _unreadable(folder: str | Path, error: OSError) -> InputError:
    return InputError(
        f"Expected a folder that can be read, got {error.strerror} - at {str(folder)!r}."
    )


def _is_below(folder: Path, ignored: Path | None) -> bool:
    return ignored is not None and Path(os.path.realpath(folder)).is_relative_to(ignored)


def _classified(path: Path) -> Path | LeftOut:
    """Return the path of an image, or why it is none."""
    kind = kind_of_name(path.suffix)
    # macOS puts a file `._photo.jpg` beside `photo.jpg` on disks of other systems; it is no image.
    if kind in FORMATS and not path.name.startswith("._"):
        return path
    # By name: the first bytes of most raw photographs are those of a TIFF file.
    if kind in OTHER_PICTURES:
        return LeftOut(path, f"a picture of a kind that is not read ({kind})", True)
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            return LeftOut(path, "no regular file", False)
        # Nor is an empty one read: those of /proc say that they are, and may have no end.
        kind = None
        if status.st_size:
            with open(path, "rb") as file:
                kind = kind_of_content(file.read(HEAD))
    except OSError as error:
        return LeftOut(path, f"cannot be read: {error.strerror}", True)
    if kind in FORMATS:
        return path
    if kind in OTHER_PICTURES:
        return LeftOut(path, f"a picture of a kind that is not read ({kind})", True)
    return LeftOut(path, "no image", False)
