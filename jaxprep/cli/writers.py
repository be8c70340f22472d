"""Writes results to files: shards of many, or one file each."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxprep.atomic import replacing
from jaxprep.cli.manifest import DONE, Manifest, Record
from jaxprep.types import Size


class Source(NamedTuple):
    """Says where a result comes from.

    Attributes:
        path: the image file.
        fingerprint: of the file when it was decoded.
        size: height and width of the image.
        output_size: height and width of the result.

    >>> Source(Path("a.png"), {"bytes": 9}, (8, 6), (4, 4)).record("shard-00000.npz", 3)["row"]
    3
    """

    path: Path
    fingerprint: Record
    size: Size
    output_size: Size

    def record(self, file: str, row: int) -> Record:
        """Return the line of the manifest for the result.

        Args:
            file: that holds the result, by its name in the output folder.
            row: the position in the file.
        """
        sizes = {"size": list(self.size), "output_size": list(self.output_size)}
        return {
            "path": str(self.path),
            "status": DONE,
            **self.fingerprint,
            **sizes,
            "file": file,
            "row": row,
        }


class Writer(ABC):
    """Writes results to files, and then a line of the manifest for each.

    >>> [kind.__name__ for kind in Writer.__subclasses__()]
    ['Shards', 'Files']
    """

    def __init__(self, manifest: Manifest):
        self.manifest = manifest

    @abstractmethod
    def add(self, row: int, source: Source, result: np.ndarray) -> None:
        """Take a result.

        Args:
            row: its position among those since the last `flush`. They may come in any order.
            source: where it comes from.
            result: an array `(height, width, channels)`.
        """

    def flush(self) -> None:
        """Write what was added, now or while the next results come."""

    def close(self) -> None:
        """Write what was added, and wait until all of it is written."""
        self.flush()


class Shards(Writer):
    """Writes `shard-00000.npz`, ..., one per `flush`: `images` and `paths`, or `image_0`,
    `image_1`, ... and `paths` where results have no common size.

    A shard is written in a thread while the next one fills, so at most two are in memory; their
    buffers are used again. (A fresh buffer of many MB costs a page fault every 4 kB.)

    Args:
        manifest: of the output folder.
        shard_size: the largest number of results in a shard.
        stacked: whether all results have one size.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     writer = Shards(Manifest(Path(folder), "a", {}), shard_size=2, stacked=True)
    ...     source = Source(Path("a.png"), {}, (8, 6), (4, 4))
    ...     writer.add(0, source, np.zeros((4, 4, 3)))
    ...     writer.close()
    ...     np.load(f"{folder}/shard-00000.npz")["paths"].tolist()
    ['a.png']
    """

    def __init__(self, manifest: Manifest, shard_size: int, stacked: bool):
        super().__init__(manifest)
        self.shard_size = shard_size
        self.stacked = stacked
        self.sources: dict[int, Source] = {}
        self.results: Any = {}
        self.number = _next_shard_number(manifest)
        self.executor = ThreadPoolExecutor(1, thread_name_prefix="jaxprep-write")
        self.writing: Future[None] | None = None
        self.free_buffers: list[np.ndarray] = []

    def add(self, row: int, source: Source, result: np.ndarray) -> None:
        if self.stacked and not self.sources:
            self.results = self._buffer(result)
        # Copied into the shard's buffer, or kept as it is where sizes vary.
        self.results[row] = result
        self.sources[row] = source

    def flush(self) -> None:
        if not self.sources:
            return
        rows = sorted(self.sources)
        sources = [self.sources[row] for row in rows]
        if self.stacked:
            # Rows are missing where images were skipped; only then are the others copied.
            has_all_rows = rows[-1] == len(rows) - 1
            images = self.results[: len(rows)] if has_all_rows else self.results[rows]
            arrays = {"images": images}
        else:
            arrays = {f"image_{i}": self.results[row] for i, row in enumerate(rows)}
        name = f"shard-{self.number:05}.npz"
        # One shard at a time: a disk that is slower than the model would fill the memory.
        self._wait()
        self.writing = self.executor.submit(self._write_shard, name, arrays, sources, self.results)
        self.sources, self.results, self.number = {}, {}, self.number + 1

    def close(self) -> None:
        with self.executor:
            self.flush()
            self._wait()

    def _buffer(self, result: np.ndarray) -> np.ndarray:
        """Return an array for the results of a shard; the system gives memory to what is written of
        it.
        """
        # The system has given this one its memory already.
        if self.free_buffers:
            return self.free_buffers.pop()
        return np.empty((self.shard_size, *result.shape), result.dtype)

    def _write_shard(
        self, name: str, arrays: dict[str, Any], sources: list[Source], results: Any
    ) -> None:
        with replacing(self.manifest.folder / name) as file:
            np.savez(file, **arrays, paths=np.array([str(source.path) for source in sources]))
        # After the file is written: a line never names a file that is not there.
        self.manifest.add([source.record(name, i) for i, source in enumerate(sources)])
        if self.stacked:
            self.free_buffers.append(results)

    def _wait(self) -> None:
        """Wait until the shard before this one is written.

        Raises:
            Exception: what writing it raised. The results that wait for the next are dropped.
        """
        if self.writing is None:
            return
        writing, self.writing = self.writing, None
        try:
            writing.result()
        except BaseException:
            self.sources = {}
            raise


def _next_shard_number(manifest: Manifest) -> int:
    """Return the first number above those of all shards in the manifest."""
    files = [record.get("file", "") for record in manifest.records.values()]
    matches = [re.fullmatch(r"shard-(\d+)\.npz", file) for file in files]
    return max((int(match[1]) + 1 for match in matches if match), default=0)


class Files(Writer):
    """Writes one `.npy` per image, under the path of the image.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     writer = Files(Manifest(Path(folder), "a", {}))
    ...     source = Source(Path("photos/a.png"), {}, (8, 6), (4, 4))
    ...     writer.add(0, source, np.zeros((4, 4, 3)))
    ...     np.load(f"{folder}/photos/a.png.npy").shape
    (4, 4, 3)
    """

    def __init__(self, manifest: Manifest):
        super().__init__(manifest)
        # By the lower-case name of the result: some file systems do not tell `A` from `a`.
        self.image_paths: dict[str, str] = {}
        for path, record in manifest.records.items():
            if "file" in record:
                self.image_paths[record["file"].lower()] = path

    def add(self, row: int, source: Source, result: np.ndarray) -> None:
        name = self._result_name(source.path)
        target = self.manifest.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as file:
            np.save(file, result)
        self.manifest.add([source.record(name, 0)])

    def _result_name(self, path: Path) -> str:
        """Return the path below the working directory, or else without its root and dots.

        It ends with a number where another image has that name.
        """
        relative = path
        if path.is_absolute() and path.is_relative_to(Path.cwd()):
            relative = Path(os.path.relpath(path))
        parts = [part for part in relative.parts if part not in ("..", path.anchor)]
        name = Path(*parts).as_posix()
        for number in range(len(self.image_paths) + 2):
            candidate = f"{name}-{number}.npy" if number else f"{name}.npy"
            if self.image_paths.setdefault(candidate.lower(), str(path)) == str(path):
                return candidate
        raise AssertionError("more names than images")
