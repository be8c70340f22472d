"""The data of the examples: handwritten digits of scikit-learn, as JPEG files of many sizes.

`load_digits` has 1,797 scans of 8×8 pixels. They are enlarged to 24 to 32 pixels a side, each to a
size of its own as photographs have, and written once to a folder. Replace this module by your data:
what the scripts need is a list of (path, label).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jaxprep import parallel

CANVAS = (32, 32)
"""Height and width of the array that holds any of the images, in its top-left corner."""
NUM_CLASSES = 10
FOLDER = Path.home() / ".cache" / "jaxprep" / "digits"

Example = tuple[Path, int]
"""A JPEG file and its label."""


def load(folder: Path = FOLDER) -> tuple[list[Example], list[Example]]:
    """Return the examples to train with (1,437) and those to test with (360: every fifth)."""
    if not folder.is_dir():
        _write(folder)
    # a name ends with the label: 0042_7.jpg
    examples = [(path, int(path.stem[-1])) for path in sorted(folder.glob("*.jpg"))]
    train = [example for i, example in enumerate(examples) if i % 5 != 0]
    return train, examples[::5]


def _write(folder: Path) -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    rng = np.random.default_rng(0)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # renamed when it is complete, so that an interrupted run leaves no half of a data set
    unfinished = Path(tempfile.mkdtemp(dir=folder.parent))
    for i, (levels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        image = Image.fromarray(np.uint8(levels * (255 / 16)))
        width, height = rng.integers(24, 33, 2)
        image = image.resize((int(width), int(height)), Image.Resampling.BICUBIC)
        image.save(unfinished / f"{i:04d}_{label}.jpg", quality=90)
    try:
        os.rename(unfinished, folder)
    except OSError:  # another process was first
        shutil.rmtree(unfinished)


def training_batches(
    examples: list[Example],
    collate: Callable[[list[Any]], Any],
    batch_size: int,
    *,
    seed: int,
    epochs: int,
    skip: int = 0,
) -> Iterator[Any]:
    """Yield the batches of all epochs, each in an order of its own.

    The order is a function of seed and epoch, and the `index` of an example is its position in all
    epochs together. So a run that is resumed goes on with the same batches, in the same bits.

    Args:
        skip: the number of batches that were trained before. Their files are not read.
    """
    steps = steps_per_epoch(examples, batch_size)
    for epoch in range(skip // steps, epochs):
        start = max(0, skip - epoch * steps) * batch_size
        order = np.random.default_rng((seed, epoch)).permutation(len(examples))
        records = [examples[i] for i in order[start:]]
        first_index = epoch * len(examples) + start
        yield from parallel.batches(records, collate, batch_size, start_index=first_index)


def steps_per_epoch(examples: list[Example], batch_size: int) -> int:
    """Return the number of batches; the last is filled up with examples of weight 0."""
    return -(-len(examples) // batch_size)
