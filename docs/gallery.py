"""Writes `docs/gallery.md` and its pictures: every random step at three strengths.

    python docs/gallery.py [STEP ...]

The pictures of the named steps, or of all, are drawn anew; the page always.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from PIL import Image

from jaxprep import Batch, Pipeline, augment, data, ops
from jaxprep.augment.mix import MixDraw
from jaxprep.pipeline.undo import undone

HERE = Path(__file__).resolve().parent
FOLDER = HERE / "gallery"
SIZE = (140, 210)
"""Height and width of a panel."""
BORDER = 4
QUALITY = 80
KEY = jax.random.key(7)
PAGE_HEAD = """\
# Gallery of random steps

Each row: the photograph, and what the step makes of it at three strengths. Ranges are of one number
here, and probabilities 1, so that all is seen. A step without a strength is shown on three
photographs. Written by `python docs/gallery.py`.
"""


class Entry(NamedTuple):
    """A row of the gallery.

    Attributes:
        name: of the class.
        steps: three of them, with their captions.
        photos: one for all, or one for each.
    """

    name: str
    steps: tuple[tuple[str, Any], ...]
    photos: tuple[str, ...] = ("chelsea",)


def at(name: str, make: Callable[[Any], Any], values: dict[str, Any]) -> Entry:
    """Returns a row of one step at three strengths."""
    return Entry(name, tuple((words, make(value)) for words, value in values.items()))


def without_strength(step: Any) -> Entry:
    """Returns a row of a step that has no strength, on three photographs."""
    photos = ("chelsea", "coffee", "astronaut")
    return Entry(type(step).__name__, tuple((photo, step) for photo in photos), photos)


ENTRIES = (
    at(
        "RandomResizedCrop",
        lambda share: augment.RandomResizedCrop(SIZE, scale=(share, share), ratio=(1.4, 1.6)),
        {"80 % of the area": 0.8, "30 %": 0.3, "8 %": 0.08},
    ),
    at(
        "RandomCrop",
        lambda padding: augment.RandomCrop(SIZE, padding=padding, fill=(124.0, 116.0, 104.0)),
        {"padding of 10 pixels": 10, "30": 30, "60": 60},
    ),
    Entry(
        "RandomFlip",
        (
            ("left to right", augment.RandomFlip(1.0)),
            ("top to bottom", augment.RandomFlip(0.0, 1.0)),
            ("both", augment.RandomFlip(1.0, 1.0)),
        ),
    ),
    at(
        "RandomRotation",
        lambda degrees: augment.RandomRotation((degrees, degrees), method="bilinear"),
        {"10 degrees": 10.0, "30": 30.0, "90": 90.0},
    ),
    Entry(
        "RandomAffine",
        (
            ("5 degrees, scale 1.1", augment.RandomAffine((5.0, 5.0), scale=(1.1, 1.1))),
            (
                "15 degrees, scale 0.8, shear 10",
                augment.RandomAffine((15.0, 15.0), (0.1, 0.1), (0.8, 0.8), (10.0, 10.0)),
            ),
            (
                "30 degrees, scale 0.6, shear 25",
                augment.RandomAffine((30.0, 30.0), (0.2, 0.2), (0.6, 0.6), (25.0, 25.0)),
            ),
        ),
    ),
    at(
        "RandomPerspective",
        lambda distortion: augment.RandomPerspective(distortion, 1.0),
        {"distortion 0.2": 0.2, "0.5": 0.5, "0.9": 0.9},
    ),
    at(
        "ColorJitter",
        lambda factor: augment.ColorJitter(factor, factor, factor, factor / 4),
        {"0.2, hue 0.05": 0.2, "0.4, hue 0.1": 0.4, "0.8, hue 0.2": 0.8},
    ),
    without_strength(augment.RandomGrayscale(1.0)),
    without_strength(augment.RandomInvert(1.0)),
    at(
        "RandomPosterize",
        lambda bits: augment.RandomPosterize(bits, 1.0),
        {"5 bits": 5, "3": 3, "1": 1},
    ),
    at(
        "RandomSolarize",
        lambda threshold: augment.RandomSolarize(threshold, 1.0),
        {"threshold 200": 200.0, "128": 128.0, "60": 60.0},
    ),
    without_strength(augment.RandomAutocontrast(1.0)),
    without_strength(augment.RandomEqualize(1.0)),
    at(
        "RandomSharpness",
        lambda factor: augment.RandomSharpness(factor, 1.0),
        {"factor 0": 0.0, "2": 2.0, "6": 6.0},
    ),
    at(
        "RandomBlur",
        lambda sigma: augment.RandomBlur((sigma, sigma)),
        {"deviation of 0.7 pixels": 0.7, "1.5": 1.5, "4": 4.0},
    ),
    at(
        "RandomErasing",
        lambda share: augment.RandomErasing(1.0, scale=(share, share), mode="pixel"),
        {"5 % of the area, noise": 0.05, "15 %": 0.15, "33 %": 0.33},
    ),
    at(
        "RandAugment",
        lambda strength: augment.RandAugment(strength=strength, method="bilinear"),
        {"2 operations at strength 0.3": 0.3, "0.6": 0.6, "1": 1.0},
    ),
    at(
        "TrivialAugmentWide",
        lambda _: augment.TrivialAugmentWide(method="bilinear"),
        {"three draws, of any strength": 0, "": 1, " ": 2},
    ),
    at(
        "AutoAugment",
        lambda policy: augment.AutoAugment(policy, method="bilinear"),
        {"policy imagenet": "imagenet", "cifar10": "cifar10", "svhn": "svhn"},
    ),
    at(
        "AugMix",
        lambda severity: augment.AugMix(severity),
        {"severity 1": 1, "3": 3, "10": 10},
    ),
    at(
        "ThreeAugment",
        lambda _: augment.ThreeAugment(sigma=(2.0, 2.0)),
        {"solarized": 0, "gray": 1, "blurred": 2},
    ),
)


def photo(name: str) -> np.ndarray:
    """Returns a photograph, as large as a panel."""
    return np.asarray(ops.resize(data.photo(name), SIZE, reference="pillow"))


def drawn(step: Any, image: np.ndarray, index: int) -> np.ndarray:
    """Returns what a step makes of an image, as levels."""
    batch = Batch(image=image[None], index=np.array([index]))
    if isinstance(step, augment.RandomErasing):
        steps = (ops.Rescale(1 / 64, -2.0), step)
        pipeline = Pipeline(steps)
        return undone(np.asarray(pipeline(batch, key=KEY).image[0]), pipeline)
    pipeline = Pipeline((step,))
    if isinstance(step, augment.ThreeAugment):
        return np.asarray(pipeline(batch, draws=((np.int32([index]), np.float32([2.0])),)).image[0])
    return np.asarray(pipeline(batch, key=KEY).image[0])


def mixed() -> list[np.ndarray]:
    """Returns two images, and their mixup of half, their mixup of 0.8 and their cutmix."""
    images = [photo("coffee"), photo("chelsea")]
    batch = Batch(image=np.stack(images).astype(np.float32), label=np.eye(2, dtype=np.float32))
    panels = images[1:]
    for share, is_cut in ((0.8, False), (0.5, False), (0.7, True)):
        draw = MixDraw(
            np.full(2, share, np.float32), np.full(2, is_cut), np.full((2, 2), 0.4, np.float32)
        )
        result = augment.Mixing(mixup=1.0, cutmix=1.0)(batch, draw=draw)
        panels.append(np.asarray(result.image[1]).astype(np.uint8))
    return panels


def strip(panels: list[np.ndarray]) -> Image.Image:
    """Returns panels side by side."""
    height, width = SIZE
    count = len(panels)
    page = np.full((height, count * (width + BORDER) - BORDER, 3), 255, np.uint8)
    for i, panel in enumerate(panels):
        left = i * (width + BORDER)
        page[:, left : left + width] = panel
    return Image.fromarray(page)


def panels_of(entry: Entry) -> list[np.ndarray]:
    """Returns the photograph, if there is one of all, and the three results."""
    photos = [photo(name) for name in entry.photos]
    panels = photos[:1]
    for i, (_, step) in enumerate(entry.steps):
        image = photos[i % len(photos)]
        panels.append(drawn(step, image, INDICES.get(entry.name, (0, 0, 0))[i]))
    return panels


INDICES = {
    "TrivialAugmentWide": (0, 1, 2),
    "ThreeAugment": (0, 1, 2),
    "RandAugment": (0, 1, 2),
    "AutoAugment": (0, 2, 2),
}
"""Of steps that draw otherwise for each panel: one draw would be the same operation thrice."""


def main() -> None:
    wanted = set(sys.argv[1:])
    FOLDER.mkdir(exist_ok=True)
    lines = [PAGE_HEAD]
    for entry in ENTRIES:
        if not wanted or entry.name in wanted:
            strip(panels_of(entry)).save(FOLDER / f"{entry.name}.jpg", quality=QUALITY)
        captions = [words for words, _ in entry.steps if words.strip()]
        lines.append(f"## {entry.name}\n\n{'; '.join(captions)}\n")
        lines.append(f"![{entry.name}](gallery/{entry.name}.jpg)\n")
    if not wanted or "Mixing" in wanted:
        strip(mixed()).save(FOLDER / "Mixing.jpg", quality=QUALITY)
    lines.append("## Mixing\n\nmixup with a share of 0.8; of 0.5; cutmix with a share of 0.7\n")
    lines.append("![Mixing](gallery/Mixing.jpg)")
    (HERE / "gallery.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
