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


def arrays(output: Path) -> dict[str, np.ndarray]:
    """Every result that the manifest lists, by path, read from where it says."""
    found = {}
    for line in lines(output):
        if line["status"] == "done":
            file = np.load(output / line["file"])
            if line["file"].endswith("npz"):
                names = [line["path"] == path for path in file["paths"]]
                assert names[line["row"]] and sum(names) == 1
                file = (
                    file["images"][line["row"]]
                    if "images" in file
                    else file[f"image_{line['row']}"]
                )
            found[line["path"]] = file
    return found


def image_file(path: Path, *shape: int, seed: int = 0, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noise(*shape, seed=seed)).save(path, **options)
    return path


def one_line(text: str) -> str:
    """The text, if it is one line of ours and no traceback (a progress bar may stand before it)."""
    found = [line for line in text.replace("\r", "\n").splitlines() if line.startswith("jaxprep:")]
    assert len(found) == 1 and "Traceback" not in text
    return found[0]
