"""Results to files: shards of many, or one file each."""

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
    """Where a result comes from."""

    path: Path
    found: Record
    size: Size
    output_size: Size

    def record(self, file: str, row: int) -> Record:
        """The line of the manifest that says where the result is."""
        sizes = {"size": list(self.size), "output_size": list(self.output_size)}
        return {
            "path": str(self.path),
            "status": DONE,
            **self.found,
            **sizes,
            "file": file,
            "row": row,
        }


class Writer(ABC):
    """Writes results, and for each, when it is in its place, a line of the manifest."""

    def __init__(self, manifest: Manifest):
        self.manifest = manifest

    @abstractmethod
    def add(self, row: int, source: Source, result: np.ndarray) -> None:
        """Takes the result that is number `row` since the last `flush`; they may come in any
        order.
        """

    def flush(self) -> None:
        """Writes what is waiting, now or while the next results come."""

    def close(self) -> None:
        """Writes what is waiting; all is in its place after it."""
        self.flush()


class Shards(Writer):
    """`shard-00000.npz`, ...: `images` and `paths`, or `image_0`, `image_1`, ... where sizes vary;
    one per `flush`.

    A shard is written in a thread while the next one fills; the two take turns in their memory.
    """

    def __init__(self, manifest: Manifest, shard_size: int, stacked: bool):
        super().__init__(manifest)
        self.shard_size = shard_size
        self.stacked = stacked
        self.sources: dict[int, Source] = {}
        self.results: Any = {}
        self.number = _next_number(manifest)
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="jaxprep-write")
        self.writing: Future[None] | None = None
        self.room: list[np.ndarray] = []

    def add(self, row: int, source: Source, result: np.ndarray) -> None:
        if self.stacked and not self.sources:  # memory is only taken as it is filled
            shape = (self.shard_size, *result.shape)
            self.results = self.room.pop() if self.room else np.empty(shape, result.dtype)
        self.results[row] = result
        self.sources[row] = source

    def flush(self) -> None:
        if not self.sources:
            return
        rows = sorted(self.sources)
        sources = [self.sources[row] for row in rows]
        if self.stacked:
            is_whole = rows[-1] == len(rows) - 1
            arrays = {"images": self.results[: len(rows)] if is_whole else self.results[rows]}
        else:
            arrays = {f"image_{i}": self.results[row] for i, row in enumerate(rows)}
        name = f"shard-{self.number:05}.npz"
        self._wait()
        self.writing = self.pool.submit(self._write, name, arrays, sources, self.results)
        self.sources, self.results, self.number = {}, {}, self.number + 1

    def close(self) -> None:
        with self.pool:
            self.flush()
            self._wait()

    def _write(
        self, name: str, arrays: dict[str, Any], sources: list[Source], results: Any
    ) -> None:
        with replacing(self.manifest.folder / name) as file:
            np.savez(file, **arrays, paths=np.array([str(source.path) for source in sources]))
        self.manifest.add([source.record(name, i) for i, source in enumerate(sources)])
        if self.stacked:
            self.room.append(results)

    def _wait(self) -> None:
        """Until the shard before this one is in its place; raises what writing it raised, and gives
        up the rest.
        """
        if self.writing is not None:
            self.writing, writing = None, self.writing
            try:
                writing.result()
            except BaseException:
                self.sources = {}
                raise


def _next_number(manifest: Manifest) -> int:
    """The first number above those of all shards that the manifest knows."""
    numbers = [
        re.fullmatch(r"shard-(\d+)\.npz", record.get("file", ""))
        for record in manifest.records.values()
    ]
    return max((int(match[1]) + 1 for match in numbers if match), default=0)


class Files(Writer):
    """One `.npy` per image, under the path of the image."""

    def __init__(self, manifest: Manifest):
        super().__init__(manifest)
        self.owner = {
            record["file"].lower(): path
            for path, record in manifest.records.items()
            if "file" in record
        }

    def add(self, row: int, source: Source, result: np.ndarray) -> None:
        name = self._name(source.path)
        target = self.manifest.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as file:
            np.save(file, result)
        self.manifest.add([source.record(name, 0)])

    def _name(self, path: Path) -> str:
        """The path below the working directory, or else without its root and dots; numbered where
        another has it.
        """
        relative = (
            os.path.relpath(path)
            if path.is_absolute() and path.is_relative_to(Path.cwd())
            else path
        )
        name = Path(
            *(part for part in Path(relative).parts if part not in ("..", path.anchor))
        ).as_posix()
        for number in range(len(self.owner) + 2):
            candidate = f"{name}-{number}.npy" if number else f"{name}.npy"
            if self.owner.setdefault(candidate.lower(), str(path)) == str(path):
                return candidate
        raise AssertionError("more names than owners")
