"""Writes results to files: shards of many, or one file each."""

from __future__ import annotations

import os
import re
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from jaxprep.atomic import replacing, sync_files
from jaxprep.cli.manifest import Record, describe_file
from jaxprep.cli.shard_files import KINDS, Results
from jaxprep.cli.sources import Source
from jaxprep.host.kinds import SUFFIXES

MAX_NAME = 255
"""Bytes of a file name, on most file systems."""


class Records(Protocol):
    """Is what a writer needs of a manifest.

    Attributes:
        folder: where results are written.
        records: the lines so far, by the path of the image.

    >>> from jaxprep.cli.ray_engine import Done
    >>> Done(Path("out")).folder.name
    'out'
    """

    @property
    def folder(self) -> Path: ...

    @property
    def records(self) -> Mapping[str, Record]: ...

    def check_folder(self) -> None:
        """Raise if the folder is not the one that it was."""

    def add(self, records: list[Record]) -> None:
        """Take lines, all of them or none, of results that are on disk."""

    def remove_unlisted(self, is_result: Callable[[str], bool]) -> list[str]:
        """Delete the files of results that no line names, and return their names."""
        ...


class Writer(ABC):
    """Writes results to files, and then a line of the manifest for each.

    What `flush` hands over is written in a thread while the next results come. Lines are written
    when the results are on disk.

    Args:
        manifest: of the output folder.

    >>> [kind.__name__ for kind in Writer.__subclasses__()]
    ['Shards', 'Files']
    """

    def __init__(self, manifest: Records):
        self.manifest = manifest
        self.executor = ThreadPoolExecutor(1, thread_name_prefix="jaxprep-write")
        self.writing: Future[None] | None = None

    @staticmethod
    @abstractmethod
    def is_result(name: str) -> bool:
        """Return whether a file of that name, relative to the output folder, is one of results."""

    @abstractmethod
    def add(self, row: int, source: Source, result: np.ndarray) -> None:
        """Take a result.

        Args:
            row: its position among those since the last `flush`. They may come in any order.
            source: where it comes from.
            result: an array `(height, width, channels)`.
        """

    @abstractmethod
    def flush(self) -> None:
        """Begin to write what was added."""

    def close(self) -> None:
        """Write what was added, and wait until all of it is written."""
        with self.executor:
            self.flush()
            self._wait()

    def remove_unlisted(self) -> list[str]:
        """Delete the files of results that the manifest does not list, and return their names."""
        return self.manifest.remove_unlisted(self.is_result)

    def adopt(self, folder: Path, records: Sequence[Record]) -> None:
        """Move the files of results that another process wrote to the output folder, and add their
        lines.

        Args:
            folder: where they are, on the same file system.
            records: their lines, with names in `folder`.

        Raises:
            OSError: a file cannot be moved. Those moved before have no lines.
        """
        self.manifest.check_folder()
        names: dict[str, str] = {}
        for record in records:
            if record["file"] not in names:
                name = names[record["file"]] = self._adopted_name(record)
                target = self.manifest.folder / name
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(folder / record["file"], target)
        sync_files([self.manifest.folder / name for name in names.values()])
        self.manifest.add([{**record, "file": names[record["file"]]} for record in records])

    @abstractmethod
    def _adopted_name(self, record: Record) -> str:
        """Return the name of a file that is adopted, from the line of its first result."""

    def _begin(self, function: Callable[..., None], *args: Any) -> None:
        """Call a function in the thread; wait for the one before."""
        # One at a time: a disk that is slower than the model would fill the memory.
        self._wait()
        self.writing = self.executor.submit(function, *args)

    def _wait(self) -> None:
        """Wait until what was handed over before is written.

        Raises:
            Exception: what writing it raised. The results that wait for the next are dropped.
        """
        if self.writing is None:
            return
        writing, self.writing = self.writing, None
        try:
            writing.result()
        except BaseException:
            self._drop()
            raise

    @abstractmethod
    def _drop(self) -> None:
        """Forget what was added."""


class Shards(Writer):
    """Writes `shard-00000.npz`, ..., one per `flush`, or files of another kind of `shard_files`.

    At most two shards are in memory; their buffers are used again. (A fresh buffer of many MB costs
    a page fault every 4 kB.)

    Args:
        manifest: of the output folder.
        shard_size: the largest number of results in a shard.
        stacked: whether all results have one size.
        max_bytes: a shard of results without a common size is written when it has so many.
        format: one of `shard_files.KINDS`.

    >>> import tempfile
    >>> from jaxprep.cli.manifest import Manifest
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     writer = Shards(Manifest(Path(folder), "a", {}), shard_size=2, stacked=True)
    ...     source = Source(Path("/a.png"), {}, (8, 6), (4, 4))
    ...     writer.add(0, source, np.zeros((4, 4, 3)))
    ...     writer.close()
    ...     np.load(f"{folder}/shard-00000.npz")["paths"].tolist()
    ['/a.png']
    """

    def __init__(
        self,
        manifest: Records,
        shard_size: int,
        stacked: bool,
        max_bytes: int = 2**29,
        format: str = "npz",
    ):
        super().__init__(manifest)
        self.format = format
        self.shard_size = shard_size
        self.stacked = stacked
        self.max_bytes = max_bytes
        self.sources: dict[int, Source] = {}
        self.results: Any = {}
        self.number = _next_shard_number(manifest)
        self.free_buffers: list[np.ndarray] = []

    @staticmethod
    def is_result(name: str) -> bool:
        return re.fullmatch(_SHARD_NAME, name) is not None

    def add(self, row: int, source: Source, result: np.ndarray) -> None:
        if self.stacked and not self.sources:
            self.results = self._buffer(result)
        # Copied into the shard's buffer, or kept as it is where sizes vary.
        self.results[row] = result
        self.sources[row] = source
        if not self.stacked and sum(map(_bytes, self.results.values())) >= self.max_bytes:
            self.flush()

    def flush(self) -> None:
        if not self.sources:
            return
        rows = sorted(self.sources)
        sources = [self.sources[row] for row in rows]
        if self.stacked:
            # Rows are missing where images were skipped; only then are the others copied.
            has_all_rows = rows[-1] == len(rows) - 1
            results = self.results[: len(rows)] if has_all_rows else self.results[rows]
        else:
            results = [self.results[row] for row in rows]
        self._begin(self._write_shard, self._new_name(), results, sources, self.results)
        self.sources, self.results = {}, {}

    def _buffer(self, result: np.ndarray) -> np.ndarray:
        """Return an array for the results of a shard; the system gives memory to what is written of
        it.
        """
        # The system has given this one its memory already.
        if self.free_buffers:
            return self.free_buffers.pop()
        return np.empty((self.shard_size, *result.shape), result.dtype)

    def _write_shard(self, name: str, results: Results, sources: list[Source], buffer: Any) -> None:
        self.manifest.check_folder()
        with replacing(self.manifest.folder / name) as file:
            KINDS[self.format].write(file, results, sources)
        # After the file is written: a line never names a file that is not there.
        file = describe_file(self.manifest.folder, name)
        self.manifest.add([source.record(file, i) for i, source in enumerate(sources)])
        if self.stacked:
            self.free_buffers.append(buffer)

    def _drop(self) -> None:
        self.sources, self.results = {}, {}

    def _adopted_name(self, record: Record) -> str:
        return self._new_name()

    def _new_name(self) -> str:
        name = f"shard-{self.number:05}.{self.format}"
        self.number += 1
        return name


_SHARD_NAME = rf"shard-(\d{{5,}})\.(?:{'|'.join(KINDS)})"


def _bytes(result: np.ndarray) -> int:
    return result.nbytes


def _next_shard_number(manifest: Records) -> int:
    """Return the first number above those of all shards in the manifest."""
    files = [record.get("file", "") for record in manifest.records.values()]
    matches = [re.fullmatch(_SHARD_NAME, file) for file in files]
    return max((int(match[1]) + 1 for match in matches if match), default=0)


class Files(Writer):
    """Writes one `.npy` per image, under the path of the image.

    The files are written at once; `flush` has them put on disk, and adds their lines.

    >>> import tempfile
    >>> from jaxprep.cli.manifest import Manifest
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     writer = Files(Manifest(Path(folder), "a", {}))
    ...     source = Source(Path("/photos/a.png"), {}, (8, 6), (4, 4))
    ...     writer.add(0, source, np.zeros((4, 4, 3)))
    ...     writer.close()
    ...     np.load(f"{folder}/photos/a.png.npy").shape
    (4, 4, 3)
    """

    def __init__(self, manifest: Records):
        super().__init__(manifest)
        self.written: list[tuple[str, Source]] = []
        # By the lower-case name of the result: some file systems do not tell `A` from `a`.
        self.image_paths: dict[str, str] = {}
        self.names: dict[str, str] = {}
        for path, record in manifest.records.items():
            if "file" in record:
                self.image_paths[record["file"].lower()] = path
                self.names[path] = record["file"]

    @staticmethod
    def is_result(name: str) -> bool:
        # Not every array: somebody may keep others here, as labels or embeddings.
        match = re.fullmatch(r".*(\.[^./]+)(?:-\d+)?\.npy", name, re.DOTALL)
        return match is not None and match[1].lower() in SUFFIXES

    def add(self, row: int, source: Source, result: np.ndarray) -> None:
        self.manifest.check_folder()
        name = self._result_name(source.path)
        target = self.manifest.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target, sync=False) as file:
            np.save(file, result)
        self.written.append((name, source))

    def flush(self) -> None:
        if self.written:
            self._begin(self._record, self.written)
            self.written = []

    def _record(self, written: list[tuple[str, Source]]) -> None:
        folder = self.manifest.folder
        sync_files([folder / name for name, _ in written])
        self.manifest.add(
            [source.record(describe_file(folder, name), 0) for name, source in written]
        )

    def _drop(self) -> None:
        self.written = []

    def _adopted_name(self, record: Record) -> str:
        return self._result_name(Path(record["path"]))

    def _result_name(self, path: Path) -> str:
        """Return the path below the working directory, or else without its root.

        It ends with a number where another image has that name.
        """
        # That of the result before, wherever it was made from.
        if str(path) in self.names:
            return self.names[str(path)]
        directory = Path.cwd()
        relative = path.relative_to(directory if path.is_relative_to(directory) else path.anchor)
        name = relative.with_name(_shortened(relative.name)).as_posix()
        for number in range(len(self.image_paths) + 2):
            candidate = f"{name}-{number}.npy" if number else f"{name}.npy"
            if self.image_paths.setdefault(candidate.lower(), str(path)) == str(path):
                self.names[str(path)] = candidate
                return candidate
        raise AssertionError("more names than images")


def _shortened(name: str) -> str:
    """Return a file name with room for an ending and a number: its middle is left out."""
    data = os.fsencode(name)
    most = MAX_NAME - len("-999999999.npy")
    if len(data) <= most:
        return name
    kept = (most - 10) // 2
    digits = f"{zlib.crc32(data):08x}"
    return f"{data[:kept].decode(errors='ignore')}-{digits}-{data[-kept:].decode(errors='ignore')}"
