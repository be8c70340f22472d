"""Write files all or nothing: a write that fails leaves every file as it was and nothing else.

Content goes to temporary files in the folders of the targets first; only when all of it is on disk
are the targets replaced. `os.replace` within a folder is atomic on POSIX and on Windows
(https://docs.python.org/3/library/os.html#os.replace), so a reader sees the old file or the new
one. A process that is killed may leave temporary files: `remove_temporaries` deletes them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

TEMPORARY = ".jaxprep-"
"""How the names of temporary files begin."""

# `NamedTemporaryFile` creates files that only their owner may read; results are for everyone, as
# files made by `open` under the usual umask are.
_MODE = 0o644


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[IO[Any]]:
    """Open a binary file to write, which takes the place of `path` when the block ends.

    Args:
        path: a file, which may exist; its folder must.

    Raises:
        OSError: the file cannot be written; its `filename` is `path`. Then, and after any other
            exception in the block, `path` is as it was.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder, "a.txt")) as file:
    ...         _ = file.write(b"text")
    ...     os.listdir(folder)
    ['a.txt']
    """
    with _replacing_all([Path(path)]) as (file,):
        yield file


def write_files(contents: Mapping[Path, str]) -> None:
    """Write several text files, all of them or none.

    Args:
        contents: the text of each file, written as UTF-8. The folders must exist.

    Raises:
        OSError: a file cannot be written; its `filename` is one of the paths. Every path is as it
            was.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_files({Path(folder, "a.txt"): "one", Path(folder, "b.txt"): "two"})
    ...     sorted(os.listdir(folder))
    ['a.txt', 'b.txt']
    """
    if not contents:
        return
    with _replacing_all(list(contents)) as files:
        for file, path in zip(files, contents, strict=True):
            with _errors_naming(path, file.name):
                file.write(contents[path].encode())


def remove_temporaries(folder: Path) -> None:
    """Delete the temporary files that a killed process left in a folder and below.

    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, ".jaxprep-abc").write_text("half a file")
    ...     remove_temporaries(Path(folder))
    ...     os.listdir(folder)
    []
    """
    for path in folder.rglob(f"{TEMPORARY}*"):
        path.unlink(missing_ok=True)


@contextmanager
def _replacing_all(paths: Sequence[Path]) -> Iterator[list[IO[Any]]]:
    """Open a temporary file for each path, and replace all paths when the block ends."""
    files: list[IO[Any]] = []
    backups: list[Path] = []
    try:
        for path in paths:
            with _errors_naming(path, None):
                files.append(_temporary(path))
        # An error of a single file's block is about that file; one of several names its own.
        with _errors_naming(paths[0], files[0].name):
            yield files
        for path, file in zip(paths, files, strict=True):
            with _errors_naming(path, file.name):
                file.close()  # writes what is buffered, so a full disk may show here
                os.chmod(file.name, _MODE)
        _replace(paths, files, backups)
    finally:
        for file in files:
            # Closing writes what is buffered, which fails again on a full disk.
            with suppress(OSError):
                file.close()
            Path(file.name).unlink(missing_ok=True)
        for backup in backups:
            backup.unlink(missing_ok=True)


def _replace(paths: Sequence[Path], files: Sequence[IO[Any]], backups: list[Path]) -> None:
    """Move the temporary files to their paths; where one fails, put back those before it."""
    moved: list[Path] = []
    old: dict[Path, Path] = {}
    if len(paths) > 1:
        # Copies are made before the first move, so that putting them back needs no space on disk.
        for path in filter(Path.is_file, paths):
            with _errors_naming(path, None):
                with _temporary(path) as file:
                    backups.append(Path(file.name))
                shutil.copy2(path, file.name)
            old[path] = backups[-1]
    try:
        for path, file in zip(paths, files, strict=True):
            with _errors_naming(path, file.name):
                os.replace(file.name, path)
            moved.append(path)
    except BaseException:
        for path in moved:
            if path in old:
                os.replace(old[path], path)
            else:
                path.unlink()
        raise


def _temporary(path: Path) -> Any:
    return tempfile.NamedTemporaryFile(dir=path.parent, prefix=TEMPORARY, delete=False)


@contextmanager
def _errors_naming(path: Path, temporary: str | None) -> Iterator[None]:
    """Raise errors of the system about a temporary file as errors about the path it stands for."""
    try:
        yield
    except OSError as error:
        is_temporary = error.filename in (None, temporary) or temporary is None
        if error.errno is None or not is_temporary:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
