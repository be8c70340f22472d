"""Results to files: shards of many, or one file each."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxprep.cli.files import replacing
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
        return {"path": str(self.path), "status": DONE, **self.found, **sizes, "file": file, "row": row}


class Writer(ABC):
    """Writes results, and for each, when it is in its place, a line of the manifest."""

    def __init__(self, manifest: Manifest):
        self.manifest = manifest

    @abstractmethod
    def add(self, row: int, source: Source, result: np.ndarray) -> None:
        """Takes the result that is number `row` since the last `flush`; they may come in any order."""

    def flush(self) -> None:
        """Writes what is waiting."""


class Shards(Writer):
    """`shard-00000.npz`, ...: `images` and `paths`, or `image_0`, `image_1`, ... where sizes vary; one per `flush`."""

    def __init__(self, manifest: Manifest, shard_size: int, stacked: bool):
        super().__init__(manifest)
        self.shard_size = shard_size
        self.stacked = stacked
        self.sources: dict[int, Source] = {}
        self.results: Any = {}
        self.number = _next_number(manifest)

    def add(self, row: int, source: Source, result: np.ndarray) -> None:
        if self.stacked and not self.sources:  # memory is only taken as it is filled
            self.results = np.empty((self.shard_size, *result.shape), result.dtype)
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
        with replacing(self.manifest.folder / name) as file:
            np.savez(file, **arrays, paths=np.array([str(source.path) for source in sources]))
        self.manifest.add([source.record(name, i) for i, source in enumerate(sources)])
        self.sources, self.results, self.number = {}, {}, self.number + 1


def _next_number(manifest: Manifest) -> int:
    """The first number above those of all shards that the manifest knows."""
    numbers = [re.fullmatch(r"shard-(\d+)\.npz", record.get("file", "")) for record in manifest.records.values()]
    return max((int(match[1]) + 1 for match in numbers if match), default=0)


class Files(Writer):
    """One `.npy` per image, under the path of the image."""

    def __init__(self, manifest: Manifest):
        super().__init__(manifest)
        self.owner = {record["file"].lower(): path for path, record in manifest.records.items() if "file" in record}

    def add(self, row: int, source: Source, result: np.ndarray) -> None:
        name = self._name(source.path)
        target = self.manifest.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as file:
            np.save(file, result)
        self.manifest.add([source.record(name, 0)])

    def _name(self, path: Path) -> str:
        """The path below the working directory, or else without its root and dots; numbered where another has it."""
        relative = os.path.relpath(path) if path.is_absolute() and path.is_relative_to(Path.cwd()) else path
        name = Path(*(part for part in Path(relative).parts if part not in ("..", path.anchor))).as_posix()
        for number in range(len(self.owner) + 2):
            candidate = f"{name}-{number}.npy" if number else f"{name}.npy"
            if self.owner.setdefault(candidate.lower(), str(path)) == str(path):
                return candidate
        raise AssertionError("more names than owners")
