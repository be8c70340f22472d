"""Reads and writes the manifest of an output folder: its run, and what became of every image.

With it a run can continue where another ended.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from jaxprep import __version__, codec
from jaxprep.atomic import remove_temporaries, replacing
from jaxprep.errors import ConfigError, InputError

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

SETTINGS, LINES = "manifest.json", "manifest.jsonl"
DONE, SKIPPED = "done", "skipped"
Record = dict[str, Any]
"""A line of `manifest.jsonl`: `path`, `status`, and what is known of the image."""


def fingerprint(path: Path) -> Record:
    """Return what changes when a file changes: its size in bytes, and when it was written.

    Empty if there is no such file.

    >>> fingerprint(Path("no such file"))
    {}
    """
    try:
        status = os.stat(path)
    except OSError:
        return {}
    return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}


@contextlib.contextmanager
def owned(folder: Path) -> Iterator[None]:
    """Keep other runs out of an output folder, which is made if needed.

    Two runs would number their shards alike, and each would take the other's files for its own. The
    lock is that of the operating system on the folder: it ends with the process, however that ends.

    Raises:
        InputError: another run writes to the folder.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, owned(Path(folder, "out")):
    ...     Path(folder, "out").is_dir()
    True
    """
    folder.mkdir(parents=True, exist_ok=True)
    if fcntl is None:  # Windows has no lock for a folder
        yield
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                "Expected an output folder that no other run writes to: wait for that run, or take "
                f"another folder - at '{folder}'."
            ) from error
        except OSError as error:  # a network folder without locks
            warnings.warn(
                f"Two runs must not write to '{folder}' at the same time; its file system has no "
                f"locks to see it by ({error.strerror}).",
                stacklevel=2,
            )
        yield
    finally:
        os.close(descriptor)


class Manifest:
    """Keeps the files `manifest.json` (settings) and `manifest.jsonl` (a line for each image).

    During a run lines are only appended, each after its result is written, so that every line is
    true whenever the process ends. Lines that later ones replace are dropped at the end and when
    the folder is opened again, as is a last line that a crash cut off.

    Attributes:
        folder: the output folder.
        records: the last line of every path.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     manifest = Manifest(Path(folder), "resnet_50_imagenet", {"format": "npz"})
    ...     manifest.add([{"path": "a.png", "status": "skipped"}])
    ...     manifest.records["a.png"]["status"]
    'skipped'
    """

    def __init__(self, folder: Path, preset: str, settings: dict[str, Any]):
        """Open a folder, which is made if needed.

        Args:
            folder: the output folder.
            preset: the preset's name as the user wrote it.
            settings: JSON data: all that decides what the results are.

        Raises:
            ConfigError: the folder holds results of other settings.
            InputError: it holds other files.
        """
        self.folder = folder
        # A thread adds the lines of a shard while the main thread adds those of skipped files.
        self._lock = threading.Lock()
        self._header = {"jaxprep": __version__, "preset": preset, **settings}
        self._check_settings(settings)
        folder.mkdir(parents=True, exist_ok=True)
        remove_temporaries(folder)
        self._write_settings(None)  # `finished` is null until the run has ended
        self._lines = folder / LINES
        lines = self._lines.read_bytes().splitlines(keepends=True) if self._lines.exists() else []
        self._line_count = len(lines)
        parsed = [_parse_line(line) for line in lines]
        self.records = {record["path"]: record for record in parsed if record is not None}
        self._drop_replaced_lines()

    def is_done(self, path: Path, current: Record) -> bool:
        """Return whether the result of an image exists, and is that of the file as it is now.

        Args:
            path: of the image.
            current: its `fingerprint`.
        """
        record = self.records.get(str(path))
        if record is None or record["status"] != DONE or not current:
            return False
        # The file may have been removed since: the manifest alone does not prove that it is there.
        is_same_image = current.items() <= record.items()
        return is_same_image and (self.folder / record["file"]).exists()

    def add(self, records: list[Record]) -> None:
        """Append lines, all of them or none. Threads may call this at the same time."""
        with self._lock:
            self._append(records)

    def _append(self, records: list[Record]) -> None:
        new = [record for record in records if self.records.get(record["path"]) != record]
        if not new:
            return
        # Not buffered: a line that does not fit on the disk fails here, and is cut off again.
        with open(self._lines, "ab", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            try:
                for record in new:
                    file.write(_to_line(record))
            except BaseException:
                file.truncate(end)
                raise
        self._line_count += len(new)
        self.records |= {record["path"]: record for record in new}

    def finish(self) -> None:
        """Write into the settings that the run came to its end, and how many images there are."""
        self._drop_replaced_lines()
        statuses = [record["status"] for record in self.records.values()]
        self._write_settings({"images": statuses.count(DONE), "skipped": statuses.count(SKIPPED)})

    def _check_settings(self, settings: dict[str, Any]) -> None:
        path = self.folder / SETTINGS
        if not path.exists():
            if self.folder.is_dir() and any(map(_is_visible, self.folder.iterdir())):
                raise InputError(
                    "Expected a new or empty folder, or one of an earlier run, got one with other "
                    f"files - at '{self.folder}'."
                )
            return
        written = codec.loads(path.read_bytes(), str(path))
        if not isinstance(written, dict) or "preset" not in written:
            raise ConfigError(
                f"Expected the manifest of an earlier run, got another file - at '{path}'."
            )
        # The version and the preset's name may differ: they do not decide what the results are.
        for name, value in settings.items():
            if written.get(name) != value:
                difference = _difference(name, written.get(name), value)
                raise ConfigError(
                    "Expected the settings of the run that this folder belongs to (preset "
                    f"`{written['preset']}`), got another {difference}. Take another output "
                    f"folder, or remove this one - at '{self.folder}'."
                )

    def _write_settings(self, finished: dict[str, int] | None) -> None:
        with replacing(self.folder / SETTINGS) as file:
            file.write(codec.dumps({**self._header, "finished": finished}).encode())

    def _drop_replaced_lines(self) -> None:
        """Rewrite the lines where there are others than the last one of each path."""
        if self._line_count > len(self.records):
            with replacing(self._lines) as file:
                file.writelines(map(_to_line, self.records.values()))
            self._line_count = len(self.records)


def _is_visible(path: Path) -> bool:
    # File managers leave `.DS_Store` and the like in folders that look empty.
    return not path.name.startswith(".")


def _to_line(record: Record) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _parse_line(line: bytes) -> Record | None:
    """Return the record of a line; None if the line was cut off or is another program's."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    # The disk was full, or somebody edited the file: its image is done again.
    except ValueError:
        return None
    is_record = isinstance(record, dict) and {"path", "status"} <= record.keys()
    return record if is_record else None


def _difference(name: str, old: Any, new: Any) -> str:
    """Say where two settings differ first."""
    while isinstance(old, dict) and isinstance(new, dict):
        name = next(key for key in {**old, **new} if old.get(key) != new.get(key))
        old, new = old.get(name), new.get(name)
    return f"`{name}`: `{codec.shown(new)}` instead of `{codec.shown(old)}`"
