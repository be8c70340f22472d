"""The manifest of an output folder: whose it is, and what became of every image, so that a run can
go on.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from jaxprep import __version__, codec
from jaxprep.atomic import remove_temporaries, replacing
from jaxprep.errors import ConfigError, InputError

SETTINGS, LINES = "manifest.json", "manifest.jsonl"
DONE, SKIPPED = "done", "skipped"
Record = dict[str, Any]


def fingerprint(path: Path) -> Record:
    """What tells that a file has not changed: its size in bytes and when it was written; nothing if
    it is not there.
    """
    try:
        found = os.stat(path)
    except OSError:
        return {}
    return {"bytes": found.st_size, "mtime_ns": found.st_mtime_ns}


class Manifest:
    """`manifest.json` (settings) and `manifest.jsonl` (a line for each image) of an output folder.

    While a run goes on, lines are only ever added, each when the result that it tells of is in its
    place; so they hold whatever happens next. Lines that later ones replace are dropped at the end,
    and when the folder is opened again, as is a last line that a crash cut short.

    Attributes:
        folder: the output folder.
        records: the last line of every path.
    """

    def __init__(self, folder: Path, preset: str, settings: dict[str, Any]):
        """Opens a folder, made if needed.

        Args:
            preset: how the user called it.
            settings: plain JSON data; all that decides what the results are.

        Raises:
            ConfigError: the folder holds results of other settings.
            InputError: it holds other files.
        """
        self.folder = folder
        self._lock = threading.Lock()
        self._head = {"jaxprep": __version__, "preset": preset, **settings}
        self._check_settings(settings)
        folder.mkdir(parents=True, exist_ok=True)
        remove_temporaries(folder)
        self._write_settings(None)
        self._lines = folder / LINES
        found = self._lines.read_bytes().splitlines(keepends=True) if self._lines.exists() else []
        self._count = len(found)
        self.records = {
            record["path"]: record for record in map(_record, found) if record is not None
        }
        self._drop_replaced()

    def is_done(self, path: Path, found: Record) -> bool:
        """Whether the result of an input is there, made of the file as it is now."""
        record = self.records.get(str(path))
        if record is None or record["status"] != DONE or not found:
            return False
        return found.items() <= record.items() and (self.folder / record["file"]).exists()

    def add(self, records: list[Record]) -> None:
        """Adds lines; all of them or none. From any thread."""
        with self._lock:
            self._add(records)

    def _add(self, records: list[Record]) -> None:
        new = [record for record in records if self.records.get(record["path"]) != record]
        if not new:
            return
        with open(self._lines, "ab", buffering=0) as file:
            end = file.seek(0, os.SEEK_END)
            try:
                for line in map(_line, new):
                    file.write(line)
            except BaseException:
                file.truncate(end)
                raise
        self._count += len(new)
        self.records |= {record["path"]: record for record in new}

    def finish(self) -> None:
        """Notes in the settings that the run came to its end, and how many images there are."""
        self._drop_replaced()
        status = [record["status"] for record in self.records.values()]
        self._write_settings({"images": status.count(DONE), "skipped": status.count(SKIPPED)})

    def _check_settings(self, settings: dict[str, Any]) -> None:
        path = self.folder / SETTINGS
        if not path.exists():
            if self.folder.is_dir() and any(
                not file.name.startswith(".") for file in self.folder.iterdir()
            ):
                raise InputError(
                    "Expected a new or empty folder, or one of an earlier run, got one with other files - at "
                    f"'{self.folder}'."
                )
            return
        found = codec.loads(path.read_bytes(), str(path))
        if not isinstance(found, dict) or "preset" not in found:
            raise ConfigError(
                f"Expected the manifest of an earlier run, got another file - at '{path}'."
            )
        for name, value in settings.items():
            if found.get(name) != value:
                raise ConfigError(
                    f"Expected the settings of the run that this folder belongs to (preset `{found['preset']}`), got "
                    f"another {_difference(name, found.get(name), value)}. Take another output folder, or remove this "
                    f"one - at '{self.folder}'."
                )

    def _write_settings(self, finished: dict[str, int] | None) -> None:
        with replacing(self.folder / SETTINGS) as file:
            file.write(codec.dumps({**self._head, "finished": finished}).encode())

    def _drop_replaced(self) -> None:
        """Rewrites the lines where there are others than the last one of each path."""
        if self._count > len(self.records):
            with replacing(self._lines) as file:
                file.writelines(map(_line, self.records.values()))
            self._count = len(self.records)


def _line(record: Record) -> bytes:
    return json.dumps(record).encode() + b"\n"


def _record(line: bytes) -> Record | None:
    """The record of a line; None if the line is not whole."""
    try:
        found = json.loads(line) if line.endswith(b"\n") else None
    except ValueError:
        return None
    return found if isinstance(found, dict) and {"path", "status"} <= found.keys() else None


def _difference(name: str, old: Any, new: Any) -> str:
    """Where two settings differ, in a few words."""
    while isinstance(old, dict) and isinstance(new, dict):
        name = next(key for key in {**old, **new} if old.get(key) != new.get(key))
        old, new = old.get(name), new.get(name)
    return f"`{name}`: `{codec.shown(new)}` instead of `{codec.shown(old)}`"
