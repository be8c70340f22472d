"""Reads and writes the manifest of an output folder: its run, and what became of every image.

With it a run can continue where another ended. A line is believed only as far as it is true: it is
as this program wrote it, the image is the file that it was, and the file of its result has the
checksum that it had.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

from jaxprep import __version__, codec
from jaxprep.atomic import is_temporary, naming_errors, replacing, sync_files
from jaxprep.cli.fingerprints import is_same, size_and_checksum
from jaxprep.cli.messages import say
from jaxprep.cli.prefetch import run_ahead
from jaxprep.errors import ConfigError, InputError
from jaxprep.pipeline.cores import core_count

fcntl: ModuleType | None
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

SETTINGS, LINES = "manifest.json", "manifest.jsonl"
DONE, SKIPPED, LEFT_OUT = "done", "skipped", "left out"
Record = dict[str, Any]
"""A line of `manifest.jsonl`: `path` (absolute), `status`, and what is known of the image. If it is
done, `bytes`, `mtime_ns`, `ctime_ns`, `inode` and `crc32` are those of the image, and `file`,
`file_bytes` and `file_crc32` say where the result is, in which `row`. In the file, `line_crc32` is
that of all the rest."""


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
            say(
                f"warning: Two runs must not write to '{folder}' at the same time; its file system "
                f"has no locks to see it by ({error.strerror})."
            )
        yield
    finally:
        os.close(descriptor)


def describe_file(folder: Path, name: str) -> Record:
    """Return what records say of a file of results: its name, its size in bytes, its checksum.

    Raises:
        OSError: there is no such file, or it cannot be read.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.npy").write_bytes(b"123456789")
    ...     describe_file(Path(folder), "a.npy")
    {'file': 'a.npy', 'file_bytes': 9, 'file_crc32': 'cbf43926'}
    """
    size, checksum = size_and_checksum(folder / name)
    return {"file": name, "file_bytes": size, "file_crc32": checksum}


class Manifest:
    """Keeps the files `manifest.json` (settings) and `manifest.jsonl` (a line for each image).

    During a run lines are only appended, each after its result is on disk, so that every line is
    true whenever the process ends. When the folder is opened again, and at the end, lines are
    dropped that later ones replace; and when it is opened, those that are not whole or not true.

    Attributes:
        folder: the output folder.
        records: the last line of every path.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     manifest = Manifest(Path(folder), "resnet_50_imagenet", {"format": "npz"})
    ...     manifest.add([{"path": "/a.png", "status": "skipped"}])
    ...     manifest.records["/a.png"]["status"]
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
        self._opened = os.stat(folder)
        for file in _files_of(folder):
            if is_temporary(file.name):
                file.unlink(missing_ok=True)
        self._write_settings({"finished": None})  # null until the run has ended
        self._lines = folder / LINES
        lines = self._lines.read_bytes().splitlines(keepends=True) if self._lines.exists() else []
        self._line_count = len(lines)
        self.records = self._true_records(list(map(_parse_line, lines)))
        self._drop_replaced_lines()

    def check_folder(self) -> None:
        """Raise `InputError` if the folder was removed or moved since it was opened: another of its
        name may be that of another run by now, with a lock of its own.
        """
        try:
            if os.path.samestat(os.stat(self.folder), self._opened):
                return
        except OSError:  # it is not there, or a file, or nobody may look
            pass
        raise InputError(
            "Expected the output folder to stay while a run writes to it, but it was removed or "
            f"moved: run again - at '{self.folder}'."
        )

    def remaining(self, images: Mapping[Path, Record]) -> list[Path]:
        """Return the images that have no result, or not of the file as it is now.

        A line whose image has moved on the disk, and is the same, gets the stamp of now.

        Args:
            images: by their absolute paths: the `stamp` of each, and what else its line must hold.
        """
        # Most are as their lines say, which takes no thread to see.
        differing = {
            path: current
            for path, current in images.items()
            if not current or not current.items() <= self._done(path).items()
        }
        checks = run_ahead(
            self._renewed, differing.items(), workers=core_count(), ahead=4 * core_count()
        )
        remaining: list[Path] = []
        renewed: list[Record] = []
        with contextlib.closing(checks) as checked:
            for (path, _), future in checked:
                record = future.result()
                if record is None:
                    remaining.append(path)
                else:
                    renewed.append(record)
        if renewed:
            self.add(renewed)
        return remaining

    def _done(self, path: Path) -> Record:
        """Return the record of an image that has a result; an empty one if it has none."""
        record = self.records.get(str(path), {})
        return record if record.get("status") == DONE else {}

    def _renewed(self, image: tuple[Path, Record]) -> Record | None:
        """Return the record of an image as of now; None if it is none of the present file."""
        path, current = image
        record = self._done(path)
        if not record or not is_same(path, current, record):
            return None
        return {**record, **current}

    def remove_unlisted(self, is_result: Callable[[str], bool]) -> list[str]:
        """Delete the files of results that no line names, and return their names.

        Somebody who reads all files of the folder would take them for results. They were left by a
        process that was killed, or their lines were lost or replaced.

        Args:
            is_result: whether a file of that name, relative to the folder, is one of results.
        """
        self.check_folder()
        listed = {record.get("file") for record in self.records.values()}
        removed = []
        for path in _files_of(self.folder):
            name = path.relative_to(self.folder).as_posix()
            if name not in listed and is_result(name):
                path.unlink()
                removed.append(name)
        return removed

    def add(self, records: list[Record]) -> None:
        """Append lines, all of them or none. Threads may call this at the same time."""
        with self._lock:
            self._append(records)

    def _append(self, records: list[Record]) -> None:
        new = [record for record in records if self.records.get(record["path"]) != record]
        if not new:
            return
        self.check_folder()
        # Not buffered: a line that does not fit on the disk fails here, and is cut off again. Nor
        # synced: of a line that a power failure takes, the image is done again.
        with naming_errors(self._lines), open(self._lines, "ab", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            try:
                for record in new:
                    file.write(_to_line(record))
            except BaseException:
                file.truncate(end)
                raise
        self._line_count += len(new)
        self.records |= {record["path"]: record for record in new}

    def finish(self, left_out: Mapping[str, int]) -> None:
        """Write into the settings that the run came to its end, and how many images there are.

        Args:
            left_out: how many files of the folders were left out, by the endings of their names.
        """
        self.check_folder()
        self._drop_replaced_lines()
        if self._lines.exists():
            sync_files([self._lines])
        statuses = [record["status"] for record in self.records.values()]
        counts = {"images": statuses.count(DONE), "skipped": statuses.count(SKIPPED)}
        self._write_settings({"finished": counts, "left_out": dict(left_out)})

    def _true_records(self, parsed: list[Record | None]) -> dict[str, Record]:
        """Return the records that hold, by path; a warning says that there were others."""
        whole = [record for record in parsed if record is not None]
        if len(whole) < len(parsed):
            number = parsed.index(None) + 1
            say(
                f"warning: Dropped {len(parsed) - len(whole)} of {len(parsed)} lines of "
                f"'{self._lines}' that are not whole, or not of this program, the first of them "
                f"line {number}: their images are done again."
            )
        records = {record["path"]: record for record in whole}
        edited = set()
        for path, record in records.items():
            if record.pop("line_crc32", None) != _checksum(record):
                edited.add(path)
        # What was no image may be one by now, or be gone; what is still there is found again.
        for path, record in list(records.items()):
            if record["status"] != DONE and not os.path.isfile(path):
                del records[path]
        done = [record for record in records.values() if record["status"] == DONE]
        lost = self._lost_files(done)
        places = Counter((record["file"], record["row"]) for record in done)
        untrue = [
            record["path"]
            for record in done
            if record["path"] in edited
            or record["file"] in lost
            or places[record["file"], record["row"]] > 1
        ]
        for path in untrue:
            del records[path]
        if untrue:
            say(
                f"warning: Dropped {len(untrue)} of {len(done)} results of '{self.folder}', whose "
                "files, or lines in the manifest, are not what they were: their images are done "
                "again."
            )
        return records

    def _lost_files(self, done: Sequence[Record]) -> set[str]:
        """Return the files of results that are not what the records say."""
        said: dict[str, Record] = {}
        lost = set()
        for record in done:
            description = {name: record[name] for name in _FILE_FIELDS}
            # Lines of one file that differ: of which result it is, nobody knows.
            if said.setdefault(record["file"], description) != description:
                lost.add(record["file"])
        checks = run_ahead(
            self._is_as_described, said.values(), workers=core_count(), ahead=4 * core_count()
        )
        with contextlib.closing(checks) as checked:
            lost |= {said["file"] for said, future in checked if not future.result()}
        return lost

    def _is_as_described(self, description: Record) -> bool:
        path = self.folder / description["file"]
        try:
            # Before reading: most damage shows here.
            if os.stat(path).st_size != description["file_bytes"]:
                return False
            return describe_file(self.folder, description["file"]) == description
        except (OSError, ValueError):  # the latter of a name that no file can have
            return False

    def _check_settings(self, settings: dict[str, Any]) -> None:
        path = self.folder / SETTINGS
        for name in (SETTINGS, LINES):
            if (self.folder / name).exists() and not (self.folder / name).is_file():
                raise InputError(f"Expected a file, got another thing - at '{self.folder / name}'.")
        if not path.exists():
            self._check_is_empty()
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

    def _check_is_empty(self) -> None:
        """Raise where there are no settings, but other files."""
        if (self.folder / LINES).exists():
            raise InputError(
                f"Expected `{SETTINGS}` beside `{LINES}`: without it nobody knows how the results "
                "of the earlier run were made. Put it back, take another output folder, or remove "
                f"this one - at '{self.folder}'."
            )
        if self.folder.is_dir() and any(map(_is_visible, self.folder.iterdir())):
            raise InputError(
                f"Expected a new or empty folder, or one of an earlier run with its `{SETTINGS}`, "
                f"got one with other files - at '{self.folder}'."
            )

    def _write_settings(self, outcome: dict[str, Any]) -> None:
        with replacing(self.folder / SETTINGS) as file:
            file.write(codec.dumps({**self._header, **outcome}).encode())

    def _drop_replaced_lines(self) -> None:
        """Rewrite the lines where there are others than the last one of each path."""
        if self._line_count > len(self.records):
            with replacing(self._lines) as file:
                file.writelines(map(_to_line, self.records.values()))
            self._line_count = len(self.records)


def _files_of(folder: Path) -> Iterator[Path]:
    """Yield the files of a run's folder and below. A folder with a manifest of its own is another
    run's, which may be writing there.
    """
    for root, folders, names in os.walk(folder):
        # unlike `Path.exists`, false for a folder that may not be entered
        folders[:] = [
            name for name in folders if not os.path.exists(os.path.join(root, name, SETTINGS))
        ]
        yield from (Path(root, name) for name in names)


def _is_visible(path: Path) -> bool:
    # File managers leave `.DS_Store` and the like in folders that look empty.
    return not path.name.startswith(".")


def _to_line(record: Record) -> bytes:
    return json.dumps({**record, "line_crc32": _checksum(record)}).encode() + b"\n"


def _checksum(record: Record) -> str:
    """Return that of a line: an edited `row`, or those of two lines exchanged, would give an image
    the result of another.
    """
    # Sorted, so that a program that only writes the JSON anew, as `json.tool`, changes nothing.
    return f"{zlib.crc32(json.dumps(record, sort_keys=True).encode()):08x}"


_FILE_FIELDS = ("file", "file_bytes", "file_crc32")
_FIELD_TYPES = {
    **dict.fromkeys(("row", "bytes", "mtime_ns", "ctime_ns", "inode", "file_bytes"), int),
    **dict.fromkeys(("file", "file_crc32", "crc32"), str),
}


def _parse_line(line: bytes) -> Record | None:
    """Return the record of a line; None if the line was cut off, or is not one of ours."""
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    # The disk was full, a power failure left zeros, or somebody edited the file.
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and _is_record(record) else None


def _is_record(record: Record) -> bool:
    path, status = record.get("path"), record.get("status")
    if not isinstance(path, str) or not os.path.isabs(path) or "\0" in path:
        return False
    if status != DONE:
        return status in (SKIPPED, LEFT_OUT)
    # Not `isinstance`: `True` is an integer to it.
    if any(type(record.get(name)) is not kind for name, kind in _FIELD_TYPES.items()):
        return False
    file = PurePosixPath(record["file"])
    is_inside = not file.is_absolute() and ".." not in file.parts
    return is_inside and record["row"] >= 0


_MISSING = object()


def _difference(name: str, old: Any, new: Any) -> str:
    """Say where two settings differ first."""
    while isinstance(old, dict) and isinstance(new, dict):
        a, b = old, new
        name = next(key for key in {**a, **b} if a.get(key, _MISSING) != b.get(key, _MISSING))
        old, new = a.get(name), b.get(name)
    return f"`{name}`: `{codec.shown(new)}` instead of `{codec.shown(old)}`"
