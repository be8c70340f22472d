"""The published tables of operations and of sub-policies, as data.

A *space* is a table of operations, each with its amount at strength 0 and what strength 1 adds to
it. The published spaces differ in more than numbers: timm's first set is weakest in the middle
(`brightness` is 0.1 to 1.9), and its `posterize` is stronger the smaller the strength is.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Space = Literal["torchvision", "timm", "timm_increasing", "tpu"]


class Row(NamedTuple):
    """An operation of a space: its amount is `start + sign * rounded(extent * strength)`.

    Attributes:
        name: of the operation.
        start, extent: degrees of "rotate"; pixels a pixel of "shear_x"; parts of the side of
            "translate_x", or pixels of "shift_x"; a factor of "brightness" and the like; bits,
            thresholds and additions of the tables.
        signed: whether the sign is drawn.
        rounding: of `extent * strength`; for translations, of the pixels.
        least: a bound from below.

    >>> Row("rotate", 0, 30, signed=True).extent
    30
    """

    name: str
    start: float = 0.0
    extent: float = 0.0
    signed: bool = False
    rounding: Literal["truncate", "even"] | None = None
    least: float = -1e9


def _torchvision(
    shear: float, side: float, degrees: float, factor: float, bits: float, *, pixels: bool = False
) -> tuple[Row, ...]:
    move = "shift" if pixels else "translate"
    return (
        Row("identity"),
        Row("shear_x", 0, shear, True),
        Row("shear_y", 0, shear, True),
        Row(f"{move}_x", 0, side, True, "truncate"),
        Row(f"{move}_y", 0, side, True, "truncate"),
        Row("rotate", 0, degrees, True),
        Row("brightness", 1, factor, True),
        Row("saturation", 1, factor, True),
        Row("contrast", 1, factor, True),
        Row("sharpness", 1, factor, True),
        Row("posterize", 8, -bits, False, "even"),
        Row("solarize", 255, -255),
        Row("autocontrast"),
        Row("equalize"),
    )


_TIMM_FIRST = (
    Row("autocontrast"),
    Row("equalize"),
    Row("invert"),
    Row("rotate", 0, 30, True),
)
_TIMM_GEOMETRY = (
    Row("shear_x", 0, 0.3, True),
    Row("shear_y", 0, 0.3, True),
    Row("translate_x", 0, 0.45, True),
    Row("translate_y", 0, 0.45, True),
)
_ENHANCEMENTS = ("saturation", "contrast", "brightness", "sharpness")

SPACES: dict[str, tuple[Row, ...]] = {
    # `_augmentation_space` of `RandAugment`, `TrivialAugmentWide`, `AutoAugment` and `AugMix` in
    # https://github.com/pytorch/vision/blob/main/torchvision/transforms/autoaugment.py
    "torchvision": _torchvision(0.3, 150 / 331, 30, 0.9, 4),
    "torchvision_wide": _torchvision(0.99, 32, 135, 0.99, 6, pixels=True),
    "torchvision_auto": (*_torchvision(0.3, 150 / 331, 30, 0.9, 4)[1:], Row("invert")),
    "torchvision_augmix": tuple(
        Row("posterize", 4, -4, False, "even") if row.name == "posterize" else row
        for row in _torchvision(0.3, 1 / 3, 30, 0.9, 4)[1:]
    ),
    # `LEVEL_TO_ARG` and `_RAND_TRANSFORMS` of
    # https://github.com/huggingface/pytorch-image-models/blob/main/timm/data/auto_augment.py
    "timm": (
        *_TIMM_FIRST,
        Row("posterize", 0, 4, False, "truncate"),
        Row("solarize", 0, 256, False, "truncate"),
        Row("solarize_add", 0, 110, False, "truncate"),
        *(Row(name, 0.1, 1.8) for name in _ENHANCEMENTS),
        *_TIMM_GEOMETRY,
    ),
    "timm_increasing": (
        *_TIMM_FIRST,
        Row("posterize", 4, -4, False, "truncate"),
        Row("solarize", 256, -256, False, "truncate"),
        Row("solarize_add", 0, 110, False, "truncate"),
        *(Row(name, 1, 0.9, True, least=0.1) for name in _ENHANCEMENTS),
        *_TIMM_GEOMETRY,
    ),
    # `level_to_arg` of
    # https://github.com/google-research/big_vision/blob/main/big_vision/pp/autoaugment.py
    "tpu": (
        *_TIMM_FIRST,
        Row("posterize", 0, 4, False, "truncate"),
        Row("solarize", 0, 256, False, "truncate"),
        *(
            Row(name, 0.1, 1.8)
            for name in ("saturation", "contrast_tpu", "brightness", "sharpness")
        ),
        Row("shear_x", 0, 0.3, True),
        Row("shear_y", 0, 0.3, True),
        Row("shift_x", 0, 100, True),
        Row("shift_y", 0, 100, True),
        Row("cutout", 0, 40, False, "truncate"),
        Row("solarize_add", 0, 110, False, "truncate"),
    ),
}

# -- sub-policies of AutoAugment -------------------------------------------------------------------

Part = tuple[str, float, int]
"""An operation of a sub-policy: its name, its probability, its level."""


class SubPolicies(NamedTuple):
    """The sub-policies of `AutoAugment`.

    Attributes:
        rows: the operations.
        pairs: the sub-policies, of which one is drawn.
        levels: the level that is strength 1.

    >>> len(POLICIES["imagenet"].pairs), POLICIES["imagenet"].pairs[0][0]
    (25, ('posterize', 0.4, 8))
    """

    rows: tuple[Row, ...]
    pairs: tuple[tuple[Part, Part], ...]
    levels: int


def _pairs(text: str) -> tuple[tuple[Part, Part], ...]:
    """Reads lines of `name probability level, name probability level`."""
    pairs = []
    for line in text.strip().splitlines():
        parts = []
        for part in line.split(","):
            name, probability, level = part.split()
            parts.append((name, float(probability), int(level)))
        pairs.append((parts[0], parts[1]))
    return tuple(pairs)


def _with_posterize(row: Row) -> tuple[Row, ...]:
    return tuple(row if other.name == "posterize" else other for other in SPACES["timm"])


# `_get_policies` of torchvision's `AutoAugment`; operations without a level have level 0
IMAGENET = """
    posterize 0.4 8, rotate 0.6 9
    solarize 0.6 5, autocontrast 0.6 0
    equalize 0.8 0, equalize 0.6 0
    posterize 0.6 7, posterize 0.6 6
    equalize 0.4 0, solarize 0.2 4
    equalize 0.4 0, rotate 0.8 8
    solarize 0.6 3, equalize 0.6 0
    posterize 0.8 5, equalize 1 0
    rotate 0.2 3, solarize 0.6 8
    equalize 0.6 0, posterize 0.4 6
    rotate 0.8 8, saturation 0.4 0
    rotate 0.4 9, equalize 0.6 0
    equalize 0 0, equalize 0.8 0
    invert 0.6 0, equalize 1 0
    saturation 0.6 4, contrast 1 8
    rotate 0.8 8, saturation 1 2
    saturation 0.8 8, solarize 0.8 7
    sharpness 0.4 7, invert 0.6 0
    shear_x 0.6 5, equalize 1 0
    saturation 0.4 0, equalize 0.6 0
    equalize 0.4 0, solarize 0.2 4
    solarize 0.6 5, autocontrast 0.6 0
    invert 0.6 0, equalize 1 0
    saturation 0.6 4, contrast 1 8
    equalize 0.8 0, equalize 0.6 0
"""

CIFAR10 = """
    invert 0.1 0, contrast 0.2 6
    rotate 0.7 2, translate_x 0.3 9
    sharpness 0.8 1, sharpness 0.9 3
    shear_y 0.5 8, translate_y 0.7 9
    autocontrast 0.5 0, equalize 0.9 0
    shear_y 0.2 7, posterize 0.3 7
    saturation 0.4 3, brightness 0.6 7
    sharpness 0.3 9, brightness 0.7 9
    equalize 0.6 0, equalize 0.5 0
    contrast 0.6 7, sharpness 0.6 5
    saturation 0.7 7, translate_x 0.5 8
    equalize 0.3 0, autocontrast 0.4 0
    translate_y 0.4 3, sharpness 0.2 6
    brightness 0.9 6, saturation 0.2 8
    solarize 0.5 2, invert 0 0
    equalize 0.2 0, autocontrast 0.6 0
    equalize 0.2 0, equalize 0.6 0
    saturation 0.9 9, equalize 0.6 0
    autocontrast 0.8 0, solarize 0.2 8
    brightness 0.1 3, saturation 0.7 0
    solarize 0.4 5, autocontrast 0.9 0
    translate_y 0.9 9, translate_y 0.7 9
    autocontrast 0.9 0, solarize 0.8 3
    equalize 0.8 0, invert 0.1 0
    translate_y 0.7 9, autocontrast 0.9 0
"""

SVHN = """
    shear_x 0.9 4, invert 0.2 0
    shear_y 0.9 8, invert 0.7 0
    equalize 0.6 0, solarize 0.6 6
    invert 0.9 0, equalize 0.6 0
    equalize 0.6 0, rotate 0.9 3
    shear_x 0.9 4, autocontrast 0.8 0
    shear_y 0.9 8, invert 0.4 0
    shear_y 0.9 5, solarize 0.2 6
    invert 0.9 0, autocontrast 0.8 0
    equalize 0.6 0, rotate 0.9 3
    shear_x 0.9 4, solarize 0.3 3
    shear_y 0.8 8, invert 0.7 0
    equalize 0.9 0, translate_y 0.6 6
    invert 0.9 0, equalize 0.6 0
    contrast 0.3 3, rotate 0.8 4
    invert 0.8 0, translate_y 0 2
    shear_y 0.7 6, solarize 0.4 8
    invert 0.6 0, rotate 0.8 4
    shear_y 0.3 7, translate_x 0.9 3
    shear_x 0.1 6, invert 0.6 0
    solarize 0.7 2, translate_y 0.6 7
    shear_y 0.8 4, invert 0.8 0
    shear_x 0.7 9, translate_y 0.8 3
    shear_y 0.8 5, autocontrast 0.7 0
    shear_x 0.7 2, invert 0.1 0
"""

# `auto_augment_policy_original` and `auto_augment_policy_v0` of timm's auto_augment.py
TIMM_ORIGINAL = """
    posterize 0.4 8, rotate 0.6 9
    solarize 0.6 5, autocontrast 0.6 5
    equalize 0.8 8, equalize 0.6 3
    posterize 0.6 7, posterize 0.6 6
    equalize 0.4 7, solarize 0.2 4
    equalize 0.4 4, rotate 0.8 8
    solarize 0.6 3, equalize 0.6 7
    posterize 0.8 5, equalize 1 2
    rotate 0.2 3, solarize 0.6 8
    equalize 0.6 8, posterize 0.4 6
    rotate 0.8 8, saturation 0.4 0
    rotate 0.4 9, equalize 0.6 2
    equalize 0 7, equalize 0.8 8
    invert 0.6 4, equalize 1 8
    saturation 0.6 4, contrast 1 8
    rotate 0.8 8, saturation 1 2
    saturation 0.8 8, solarize 0.8 7
    sharpness 0.4 7, invert 0.6 8
    shear_x 0.6 5, equalize 1 9
    saturation 0.4 0, equalize 0.6 3
    equalize 0.4 7, solarize 0.2 4
    solarize 0.6 5, autocontrast 0.6 5
    invert 0.6 4, equalize 1 8
    saturation 0.6 4, contrast 1 8
    equalize 0.8 8, equalize 0.6 3
"""

TIMM_V0 = """
    equalize 0.8 1, shear_y 0.8 4
    saturation 0.4 9, equalize 0.6 3
    saturation 0.4 1, rotate 0.6 8
    solarize 0.8 3, equalize 0.4 7
    solarize 0.4 2, solarize 0.6 2
    saturation 0.2 0, equalize 0.8 8
    equalize 0.4 8, solarize_add 0.8 3
    shear_x 0.2 9, rotate 0.6 8
    saturation 0.6 1, equalize 1 2
    invert 0.4 9, rotate 0.6 0
    equalize 1 9, shear_y 0.6 3
    saturation 0.4 7, equalize 0.6 0
    posterize 0.4 6, autocontrast 0.4 7
    solarize 0.6 8, saturation 0.6 9
    solarize 0.2 4, rotate 0.8 9
    rotate 1 7, translate_y 0.8 9
    shear_x 0 0, solarize 0.8 4
    shear_y 0.8 0, saturation 0.6 4
    saturation 1 0, rotate 0.6 2
    equalize 0.8 4, equalize 0 8
    equalize 1 4, autocontrast 0.6 2
    shear_y 0.4 7, solarize_add 0.6 7
    posterize 0.8 2, solarize 0.6 10
    solarize 0.6 8, equalize 0.6 1
    saturation 0.8 6, rotate 0.4 5
"""

POLICIES: dict[str, SubPolicies] = {
    "imagenet": SubPolicies(SPACES["torchvision_auto"], _pairs(IMAGENET), 9),
    "cifar10": SubPolicies(SPACES["torchvision_auto"], _pairs(CIFAR10), 9),
    "svhn": SubPolicies(SPACES["torchvision_auto"], _pairs(SVHN), 9),
    "timm_original": SubPolicies(
        _with_posterize(Row("posterize", 4, 4, False, "truncate")), _pairs(TIMM_ORIGINAL), 10
    ),
    "timm_originalr": SubPolicies(
        _with_posterize(Row("posterize", 4, -4, False, "truncate")), _pairs(TIMM_ORIGINAL), 10
    ),
    "timm_v0": SubPolicies(SPACES["timm"], _pairs(TIMM_V0), 10),
    "timm_v0r": SubPolicies(
        _with_posterize(Row("posterize", 4, -4, False, "truncate")), _pairs(TIMM_V0), 10
    ),
}
