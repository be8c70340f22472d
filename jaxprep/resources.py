"""Reads files: those that come with the library, and those that a caller names.

The library's are in `presets/` and `examples/photos/` of the repository, and in `jaxprep/_presets/`
and `jaxprep/_photos/` of an installed wheel (pyproject.toml, `force-include`).
"""

from __future__ import annotations

import functools
import json
import os
import stat
from pathlib import Path
from typing import IO, Any, Literal

_PACKAGE = Path(__file__).resolve().parent
_IN_REPOSITORY = {"presets": "presets", "photos": "examples/photos"}
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class NotRegularError(OSError):
    """Raised where a path leads to something else than a regular file.

    >>> issubclass(NotRegularError, OSError)
    True
    """


class TooLargeError(OSError):
    """Raised where a file has more bytes than its reader takes.

    >>> issubclass(TooLargeError, OSError)
    True
    """


def packaged(folder: Literal["presets", "photos"], name: str) -> Path:
    """Return a file that comes with the library.

    >>> packaged("presets", "keras_hub.json").exists()
    True
    """
    installed = _PACKAGE / f"_{folder}" / name
    if installed.exists():
        return installed
    # An editable install has no such folder: it reads the repository.
    return _PACKAGE.parent / _IN_REPOSITORY[folder] / name


def packaged_names(folder: Literal["presets", "photos"]) -> list[str]:
    """Return the names of the files in a folder that comes with the library.

    >>> "keras_hub.json" in packaged_names("presets")
    True
    """
    installed = _PACKAGE / f"_{folder}"
    found = installed if installed.is_dir() else _PACKAGE.parent / _IN_REPOSITORY[folder]
    return os.listdir(found)


@functools.cache
def load_json(name: str) -> Any:
    """Return the content of a JSON file that comes with the library; do not change it.

    >>> load_json("keras_hub.json")["source"][:9]
    'keras-hub'
    """
    return json.loads(packaged("presets", name).read_text("utf-8"))


def open_regular(path: str | os.PathLike[str]) -> IO[bytes]:
    """Open a regular file to read bytes. Never waits, as `open` does for a named pipe's writer.

    Raises:
        NotRegularError: a folder, a named pipe, a device or a socket.
        OSError: the file is not there, or cannot be read.

    >>> open_regular("/dev/null")
    Traceback (most recent call last):
    ...
    jaxprep.resources.NotRegularError: expected a regular file, got a device
    """
    # Before opening, since that alone may do something to a device; and after it, since the path
    # may lead elsewhere by then.
    _check_regular(os.stat(path).st_mode)
    # Of these flags each system has some.
    flags = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    file = os.fdopen(os.open(path, os.O_RDONLY | flags), "rb")
    try:
        _check_regular(os.fstat(file.fileno()).st_mode)
    except NotRegularError:
        file.close()
        raise
    return file


def _check_regular(mode: int) -> None:
    kind = stat.S_IFMT(mode)
    if kind != stat.S_IFREG:
        named = _KINDS.get(kind, "something else")
        raise NotRegularError(f"expected a regular file, got {named}")


def read_regular(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    """Read a regular file of at most `max_bytes`; a larger one is refused before it is read.

    Raises:
        NotRegularError: as `open_regular` does.
        TooLargeError: the file is larger.
        OSError: the file is not there, or cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.json").write_text("{}")
    ...     read_regular(Path(folder, "a.json"), 10)
    b'{}'
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise TooLargeError(f"expected at most {max_bytes} bytes, got {size}")
        # Files of /proc have the size 0 and any content; a file may grow while it is read.
        content = file.read(max_bytes + 1)
    # Nothing yet to read, as in /proc/kmsg
    if content is None:
        raise NotRegularError("expected a regular file, got one that has to be waited for")
    if len(content) > max_bytes:
        raise TooLargeError(f"expected at most {max_bytes} bytes, got more")
    return content
