"""Calls `jaxprep run` in this process, and reads what it wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from helpers.images import noise
from jaxprep import ImageClassifierPreprocessor
from jaxprep.cli import main

PRESET = "timm/resnet50.a1_in1k"
SMALL = "image_size=[24,24]"


def run(*args: Any, preset: str = PRESET, override: str = SMALL) -> int:
    """`jaxprep run` with a preset that is quick to compile."""
    return main(["run", "--preset", preset, "--override", override, *map(str, args)])


def preprocessor(**overrides: Any) -> ImageClassifierPreprocessor:
    return ImageClassifierPreprocessor.from_preset(PRESET, **{"image_size": (24, 24), **overrides})


def lines(output: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (output / "manifest.jsonl").read_text().splitlines()]


HOUSEKEEPING = {"README.md", "manifest.json", "manifest.jsonl"}
"""The files of an output folder that are not results."""


def arrays(output: Path) -> dict[str, np.ndarray]:
    """Every result that the manifest lists, by path, read from where it says."""
    found = {}
    for line in lines(output):
        if line["status"] == "done":
            found[line["path"]] = _result(output / line["file"], line)
    return found


def _result(file: Path, line: dict[str, Any]) -> np.ndarray:
    row = line["row"]
    if file.suffix == ".npz":
        shard = np.load(file)
        names = [line["path"] == path for path in shard["paths"]]
        assert names[row] and sum(names) == 1
        return shard["images"][row] if "images" in shard else shard[f"image_{row}"]
    if file.suffix == ".parquet":
        from pyarrow import parquet

        record = parquet.read_table(file).to_pylist()[row]
        assert record["path"] == line["path"]
        return np.frombuffer(record["image"], record["dtype"]).reshape(record["shape"])
    if file.suffix == ".array_record":
        from array_record.python.array_record_module import ArrayRecordReader
        from flax.serialization import msgpack_restore

        record = msgpack_restore(ArrayRecordReader(str(file)).read([row])[0])
        assert record["path"] == line["path"]
        return record["image"]
    return np.load(file)


def image_file(path: Path, *shape: int, seed: int = 0, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(*shape, seed=seed)).save(path, **options)
    return path


def one_line(text: str) -> str:
    """The text, if it is one line of ours and no traceback (a progress bar may stand before it)."""
    found = [line for line in text.replace("\r", "\n").splitlines() if line.startswith("jaxprep:")]
    assert len(found) == 1 and "Traceback" not in text
    return found[0]
