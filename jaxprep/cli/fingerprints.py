"""Tells whether a file is the one that it was: by what the system says of it, or its checksum."""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_OF_THE_COPY = ("mtime_ns", "ctime_ns", "inode")
"""What differs between copies of one file."""


def stamp(path: Path) -> dict[str, int]:
    """Return what the system says of a file; something of it differs where the file was written.

    These are its size in bytes, its times of modification and of change, and its inode. Programs
    that copy set the time of modification as they like, but not that of change.

    Empty if there is no such file.

    >>> stamp(Path("no such file"))
    {}
    """
    try:
        status = os.stat(path)
    except OSError:
        return {}
    return {
        "bytes": status.st_size,
        "mtime_ns": status.st_mtime_ns,
        "ctime_ns": status.st_ctime_ns,
        "inode": status.st_ino,
    }


def size_and_checksum(path: Path) -> tuple[int, str]:
    """Return how many bytes a file has, and their CRC-32.

    Raises:
        OSError: there is no such file, or it cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.npy").write_bytes(b"123456789")
    ...     size_and_checksum(Path(folder, "a.npy"))
    (9, 'cbf43926')
    """
    checksum = 0
    with open(path, "rb") as file:
        while piece := file.read(2**20):
            checksum = zlib.crc32(piece, checksum)
        return file.tell(), f"{checksum:08x}"


def fingerprint(path: Path, before: Mapping[str, int]) -> dict[str, Any]:
    """Return the stamp of a file that has been read, with the checksum of what was read: `crc32`.

    Args:
        path: the file.
        before: its stamp from before it was read. If it is another by now, nobody knows which of
            the two contents was read, and there is no checksum.

    Raises:
        OSError: the file cannot be read again.

    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     path = Path(file.name)
    ...     fingerprint(path, stamp(path))["crc32"], fingerprint(path, {"bytes": 9})
    ('00000000', {'bytes': 9, 'crc32': ''})
    """
    _, checksum = size_and_checksum(path)
    return {**before, "crc32": checksum if stamp(path) == before else ""}


def is_same(path: Path, current: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Return whether a file has the content of which a record is.

    It is read only if the stamp leaves that open: after `rsync -a`, `cp -p` or `git checkout`, or
    when another file took its place.

    Args:
        path: the file.
        current: its stamp, and what else the record must hold.
        known: the record, with the `fingerprint` of a file.

    >>> is_same(Path("a.png"), {"bytes": 9, "inode": 1}, {"bytes": 9, "inode": 1, "crc32": ""})
    True
    >>> is_same(Path("a.png"), {"bytes": 9, "inode": 1}, {"bytes": 8, "inode": 1, "crc32": ""})
    False
    """
    if not current:
        return False
    differing = [name for name, value in current.items() if known.get(name) != value]
    if not differing:
        return True
    if not set(differing) <= set(_OF_THE_COPY):
        return False
    try:
        return size_and_checksum(path) == (known["bytes"], known["crc32"])
    except OSError:  # whoever decodes it says what is wrong
        return False
