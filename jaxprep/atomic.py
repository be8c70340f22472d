"""Write files all or nothing: a write that fails leaves every file as it was and nothing else.

Content goes to temporary files in the folders of the targets first; only when all of it is on disk
are the targets replaced. `os.replace` within a folder is atomic on POSIX and on Windows
(https://docs.python.org/3/library/os.html#os.replace), so a reader sees the old file or the new
one. A process that is killed may leave temporary files: `is_temporary` knows them by their names.

Content is on disk before the name is: after a power failure a file system may otherwise show the
new name with no content (https://lwn.net/Articles/322823/).
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from jaxprep.errors import InputError

TEMPORARY = ".jaxprep-"
"""How the names of temporary files begin; letters and digits follow."""


def check_is_local(path: str | os.PathLike[str], where: str) -> None:
    """Refuse an address as a place to write to: its text is a path, too, of a folder `gs:` in the
    working folder.

    Args:
        path: what the caller named, before `Path` makes one slash of two.
        where: its position in the call, for messages.

    Raises:
        InputError: an address.

    >>> check_is_local("out", "--output")
    """
    text = os.fspath(path)
    if isinstance(text, str) and re.match(r"[a-z][a-z0-9+.-]+://", text, re.IGNORECASE):
        raise InputError(
            f"Expected a path on this machine, got the address {text!r} - at `{where}`. Write to a "
            "folder, and copy it there."
        )


@contextmanager
def replacing(path: str | os.PathLike[str], *, sync: bool = True) -> Iterator[IO[Any]]:
    """Open a binary file to write, which takes the place of `path` when the block ends.

    The file has the permissions of the one that it replaces, or else those that `open` gives.

    Args:
        path: a file, which may exist; its folder must.
        sync: whether the content is on disk when the block ends. A caller that writes many files
            says no, and calls `sync_files` once for all of them.

    Raises:
        OSError: the file cannot be written; its `filename` is `path`. Then, and after any other
            exception in the block, `path` is as it was.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder, "a.txt")) as file:
    ...         _ = file.write(b"text")
    ...     os.listdir(folder)
    ['a.txt']
    """
    with _replacing_all([Path(path)], sync) as (file,):
        yield file


def sync_files(paths: Iterable[Path]) -> None:
    """Return when files and their names are on disk, where a power failure leaves them.

    Args:
        paths: files that exist.

    Raises:
        OSError: one of them cannot be written to the disk; its `filename` is the path.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     sync_files([Path(file.name)])
    """
    files = list(paths)
    # A file system writes its journal once for all who wait: 128 files of 600 kB took 0.9 s on ext4
    # one by one, and 0.1 s in 8 threads.
    with ThreadPoolExecutor(8) as executor:
        list(executor.map(_sync_file, files))
    for folder in {path.parent for path in files}:
        _sync_folder(folder)


def naming_errors(path: str | os.PathLike[str]) -> Any:
    """Return a context in which errors of the system that name no file name `path`.

    A full disk says so to whoever writes, and not where.

    >>> with naming_errors("a.txt"):
    ...     raise OSError(28, "No space left on device")
    Traceback (most recent call last):
    ...
    OSError: [Errno 28] No space left on device: 'a.txt'
    """
    return _errors_naming(Path(path), "")


def write_files(contents: Mapping[Path, str]) -> None:
    """Write several text files, all of them or none.

    Args:
        contents: the text of each file, written as UTF-8. The folders must exist.

    Raises:
        OSError: a file cannot be written; its `filename` is one of the paths. Every path is as it
            was.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_files({Path(folder, "a.txt"): "one", Path(folder, "b.txt"): "two"})
    ...     sorted(os.listdir(folder))
    ['a.txt', 'b.txt']
    """
    if not contents:
        return
    with _replacing_all(list(contents), sync=True) as files:
        for file, path in zip(files, contents, strict=True):
            with _errors_naming(path, file.name):
                file.write(contents[path].encode())


def is_temporary(name: str) -> bool:
    """Return whether a file is called as the temporary ones that a killed process leaves.

    >>> is_temporary(".jaxprep-0f"), is_temporary(".jaxprep-0f.npy")
    (True, False)
    """
    # The whole name: results have endings, also that of a photo whose name begins so.
    return _TEMPORARY_NAME.fullmatch(name) is not None


_TEMPORARY_NAME = re.compile(re.escape(TEMPORARY) + "[0-9a-z_]+")


@contextmanager
def _replacing_all(paths: Sequence[Path], sync: bool) -> Iterator[list[IO[Any]]]:
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
                file.flush()  # writes what is buffered, so a full disk may show here
                if sync:
                    _sync(file.fileno())
                file.close()
                _copy_permissions(path, file.name)
        _replace(paths, files, backups)
        if sync:
            for folder in {path.parent for path in paths}:
                _sync_folder(folder)
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


def _temporary(path: Path) -> IO[Any]:
    """Create a file in the folder of `path`."""
    # As `open` does, so that the permissions are those that the umask and the folder give;
    # `tempfile` makes files that only their owner may read.
    return open(str(path.parent / f"{TEMPORARY}{secrets.token_hex(8)}"), "x+b")


def _copy_permissions(path: Path, temporary: str) -> None:
    """Give a temporary file the permissions of the file that it will replace, if there is one."""
    with suppress(FileNotFoundError):
        old = stat.S_IMODE(os.stat(path).st_mode)
        if old != stat.S_IMODE(os.stat(temporary).st_mode):
            os.chmod(temporary, old & 0o777)


def _sync_file(path: Path) -> None:
    with _errors_naming(path, None), open(path, "rb") as file:
        _sync(file.fileno())


def _sync(descriptor: int) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        # A file system without it; any other error is that of a disk that did not take the data.
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise


def _sync_folder(folder: Path) -> None:
    """Return when the names in a folder are on disk."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders; elsewhere one may be written to but not read
        return
    try:
        _sync(descriptor)
    finally:
        os.close(descriptor)


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


@contextmanager
def new_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Make a folder whose files are written in the block: it is there with all of them, or not.

    Args:
        path: of the folder, where nothing is or an empty folder; the folder that it is in must
            exist.

    Raises:
        OSError: something is there, or a file cannot be written. Then, and after any other
            exception in the block, `path` is as it was.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with new_folder(Path(folder, "new")) as inside:
    ...         _ = Path(inside, "a.txt").write_text("text")
    ...     os.listdir(Path(folder, "new"))
    ['a.txt']
    """
    target = Path(path).absolute()
    temporary = target.parent / f"{TEMPORARY}{secrets.token_hex(8)}"
    with _errors_naming(target, str(temporary)):
        temporary.mkdir()
    try:
        yield temporary
        sync_files(temporary.iterdir())
        with _errors_naming(target, str(temporary)):
            os.replace(temporary, target)  # takes an empty folder's place; refuses any other
        _sync_folder(target.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
