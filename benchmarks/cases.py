"""Lists what is measured: which images, to which size, by which method.

Only the standard library is imported.
"""

from __future__ import annotations

import fnmatch
from dataclasses import asdict, dataclass
from typing import Any

Size = tuple[int, int]

# Of ImageNet, as in
# https://github.com/pytorch/vision/blob/main/torchvision/transforms/_presets.py
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Case:
    """States how uint8 images become normalised float32.

    Attributes:
        id: its name, unique.
        sizes: height and width of each image of the batch.
        target: the side of the results, which are square.
        method: "bilinear", "bicubic", "lanczos", all with antialiasing; or "none": only cropped.
        crop: the shorter side becomes `target` and the middle is cut out (CLIP); otherwise the
            image is stretched.
    """

    id: str
    sizes: tuple[Size, ...]
    target: int
    method: str = "bilinear"
    crop: bool = False

    @property
    def batch(self) -> int:
        return len(self.sizes)

    @property
    def is_ragged(self) -> bool:
        return len(set(self.sizes)) > 1

    def resized(self, size: Size) -> Size:
        """Return height and width after the resize, before a crop; the longer side is truncated, as
        torchvision does.
        """
        if self.method == "none":
            return size
        if not self.crop:
            return self.target, self.target
        height, width = size
        short = min(size)
        return int(self.target * height / short), int(self.target * width / short)

    def window(self, size: Size) -> tuple[slice, slice]:
        """Rows and columns of the middle `target` x `target` of an image of `size`."""
        # Half to even, as torchvision's `center_crop`.
        top, left = (round((n - self.target) / 2) for n in size)
        return slice(top, top + self.target), slice(left, left + self.target)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Case:
        return cls(**{**data, "sizes": tuple((height, width) for height, width in data["sizes"])})


def uniform(height: int, width: int, target: int, method: str, batch: int) -> Case:
    """Return the case of a batch of images of one size, stretched."""
    return Case(
        f"{height}x{width}-to-{target}-{method}-b{batch}",
        ((height, width),) * batch,
        target,
        method,
    )


# Areas and aspect ratios as in ImageNet and COCO, whose longer sides are 500 and 640 pixels.
RAGGED = (
    (225, 300), (300, 225), (240, 320), (320, 240), (333, 500), (500, 333), (375, 500), (500, 375),
    (427, 640), (640, 427), (480, 640), (640, 480), (360, 480), (281, 500), (400, 400), (512, 341),
)  # fmt: skip
"""Photographs as one finds them, from 300 x 225 to 640 x 480, landscape and portrait."""

SAME_PIXELS = (363, 483)
"""The size whose area is the mean area of `RAGGED`, to 0.01 %: the uniform batch that a ragged one
is compared with.
"""

CLIP = Case("clip-480x640-b16", ((480, 640),) * 16, 224, "bicubic", crop=True)

RAGGED_CASE = Case("ragged-to-224-bilinear-b16", RAGGED, 224, "bilinear")

BARS = (
    uniform(512, 512, 224, "bilinear", 16),
    CLIP,
    RAGGED_CASE,
    uniform(*SAME_PIXELS, 224, "bilinear", 16),
    uniform(512, 512, 224, "bicubic", 16),
    uniform(512, 512, 224, "bilinear", 1),
    uniform(1080, 1920, 224, "bilinear", 16),
    uniform(1080, 1920, 224, "bicubic", 16),
    uniform(1080, 1920, 224, "bilinear", 1),
    uniform(3000, 4000, 224, "bilinear", 1),
    uniform(3000, 4000, 224, "bicubic", 1),
)
"""What the bars of the project name."""

SOURCES = ((32, 32), (224, 224), (375, 500), (512, 512), (1080, 1920), (3000, 4000))
LARGE = 1_000_000
"""Images of more pixels than this are measured one at a time outside of `BARS`."""


def _grid() -> tuple[Case, ...]:
    """Lines through the product of sources, targets, methods and batches, in place of all of it."""
    cases = []
    # Most of all combinations would say what their neighbours say.
    for height, width in SOURCES:
        batch = 1 if height * width > LARGE else 16
        cases += [uniform(height, width, target, "bilinear", batch) for target in (224, 384, 1024)]
        cases += [uniform(height, width, 224, method, batch) for method in ("bicubic", "lanczos")]
        cases += [
            uniform(height, width, 224, "bilinear", b) for b in (1, 64) if height * width <= LARGE
        ]
    cases += [
        Case("clip-480x640-b1", ((480, 640),), 224, "bicubic", crop=True),
        Case("clip-480x640-b64", ((480, 640),) * 64, 224, "bicubic", crop=True),
        Case("clip-ragged-b16", RAGGED, 224, "bicubic", crop=True),
        Case("ragged-to-224-bicubic-b16", RAGGED, 224, "bicubic"),
        Case("ragged-to-224-lanczos-b16", RAGGED, 224, "lanczos"),
        Case("ragged-to-224-bilinear-b64", RAGGED * 4, 224, "bilinear"),
        Case("crop-512x512-to-224-b16", ((512, 512),) * 16, 224, "none", crop=True),
    ]
    # Two lines meet where they differ in nothing.
    return tuple(dict.fromkeys(cases))


GRID = tuple(case for case in _grid() if case not in BARS)
"""The wider survey: what `BARS` does not hold."""

EAGER = (
    uniform(512, 512, 224, "bilinear", 1),
    Case("clip-480x640-b1", ((480, 640),), 224, "bicubic", crop=True),
    uniform(512, 512, 224, "bilinear", 16),
    CLIP,
)
"""One photograph and 16, for the facade called eagerly and `jax.jit` on the same array."""

AVX2 = (*EAGER, uniform(512, 512, 224, "bicubic", 16), RAGGED_CASE)
"""What the bar for a core with AVX2 names."""

SETS = {
    "quick": BARS[:3],
    "bars": BARS,
    "grid": GRID,
    "all": BARS + GRID,
    "eager": EAGER,
    "avx2": AVX2,
}


def matching(name: str, pattern: str) -> list[Case]:
    """Return the cases of a set whose id is the pattern, or else those whose id holds it (with `*`,
    `?` and `[...]`).
    """
    cases = SETS[name]
    return [case for case in cases if case.id == pattern] or [
        case for case in cases if fnmatch.fnmatch(case.id, f"*{pattern}*")
    ]
