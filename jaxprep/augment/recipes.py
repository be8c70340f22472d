"""The published training recipes, as data.

A recipe says what is drawn in training, and with which numbers. What the model is given otherwise,
such as its input size and the mean and standard deviation, is the preset's: `training_pipeline`
puts the two together. Learning rates, losses, samplers and the like are no part of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from jaxprep import codec
from jaxprep.augment.erase import RandomErasing
from jaxprep.augment.jitter import ColorJitter, ThreeAugment
from jaxprep.augment.mix import Mixing
from jaxprep.augment.numbers import Range, check_probability, check_range
from jaxprep.augment.policies import RandAugment, TrivialAugmentWide
from jaxprep.bounds import check_side
from jaxprep.pipeline.step import Step


@dataclass(frozen=True)
class Recipe:
    """A training recipe: the augmentation of a published training script.

    Attributes:
        sources: where its numbers are published: names of its fields, and a link.
        image_size: side of the training images; None is the preset's.
        crop: "random" cuts a window of random area and aspect ratio out, and resizes it;
            "stretch" resizes the whole image, whatever its aspect ratio.
        scale, ratio, rule: of the random window; see `RandomResizedCrop`.
        interpolation: of the resize; None is the preset's.
        arithmetic: of the resize: "preset" is the preset's; "tensorflow" is that of
            `tf.image.resize` without antialiasing, the fraction of whose results is cut off.
        flip: probability of mirroring left to right.
        colors: steps for uint8 images.
        policy_method: how warps of a policy sample: "crop" is as the crop; None leaves what the
            step says.
        policy_fill: what their warps fill with: "mean" is the mean of the preset, as a level.
        erasing: after normalising; None is none.
        mixing: of the examples of a batch, with label smoothing; None is none, and labels stay.
        num_classes: of the data set that the recipe was published for.

    Raises:
        ConfigError: a number that means nothing.

    >>> Recipe(sources=(("flip", "https://example.org"),)).flip
    0.5
    """

    sources: tuple[tuple[str, str], ...]
    image_size: int | None = None
    crop: Literal["random", "stretch"] = "random"
    scale: Range = (0.08, 1.0)
    ratio: Range = (3 / 4, 4 / 3)
    rule: Literal["torchvision", "tensorflow"] = "torchvision"
    interpolation: str | None = None
    arithmetic: Literal["preset", "tensorflow"] = "preset"
    flip: float = 0.5
    colors: tuple[Step, ...] = ()
    policy_method: Literal["crop"] | None = None
    policy_fill: Literal["mean"] | float = 0.0
    erasing: RandomErasing | None = None
    mixing: Mixing | None = None
    num_classes: int = 1000

    def __post_init__(self) -> None:
        codec.check_fields(self)
        if self.image_size is not None:
            check_side(self.image_size, "$.image_size")
        check_range(self.scale, "$.scale", 0.0)
        check_range(self.ratio, "$.ratio", 1e-3)
        check_probability(self.flip, "$.flip")


_TORCHVISION = "https://github.com/pytorch/vision/blob/main/references/classification/"
_TORCHVISION_V2 = "https://pytorch.org/blog/how-to-train-state-of-the-art-models-using-torchvision-latest-primitives/"
# table 2 of the paper has the numbers of all three
_RSB = "https://arxiv.org/abs/2110.00476"
_TIMM = "https://github.com/huggingface/pytorch-image-models/blob/main/timm/data/"
_DEIT = "https://github.com/facebookresearch/deit/blob/main/"
_CONVNEXT = "https://github.com/facebookresearch/ConvNeXt/blob/main/main.py"
_BIG_VISION = "https://github.com/google-research/big_vision/blob/main/big_vision/"


def _rand_augment(strength: float) -> RandAugment:
    """Returns timm's `rand-m<10 * strength>-mstd0.5-inc1`."""
    return RandAugment(
        strength=strength, strength_std=0.05, operation_probability=0.5, space="timm_increasing"
    )


_TPU = RandAugment(num_ops=2, strength=1.0, space="tpu", fill=128.0)
"""big_vision's `randaug(2,10)`."""

_CROP_OF_TORCHVISION = ("scale, ratio, rule, flip", _TORCHVISION + "presets.py")
_CROP_OF_TIMM = ("scale, ratio, rule, flip", _TIMM + "transforms_factory.py")
_POLICY_OF_TIMM = ("policy_method, policy_fill", _TIMM + "transforms_factory.py")

_NUMBERS_OF_DEIT: dict[str, Any] = {
    "interpolation": "bicubic",
    "colors": (_rand_augment(0.9),),
    "policy_method": "crop",
    "policy_fill": "mean",
    "erasing": RandomErasing(0.25, mode="pixel"),
    "mixing": Mixing(mixup=0.8, cutmix=1.0, smoothing=0.1),
}
"""ConvNeXt trains with them, too."""

RECIPES: dict[str, Recipe] = {
    # `train.py` without options, of the `IMAGENET1K_V1` weights
    "torchvision/v1": Recipe(
        sources=(_CROP_OF_TORCHVISION, ("num_classes", _TORCHVISION + "train.py")),
    ),
    # of the `IMAGENET1K_V2` weights. Mixup or cutmix is drawn for each batch; smoothing is in the
    # loss there, which is the same: both are linear in the labels
    "torchvision/v2": Recipe(
        sources=(
            _CROP_OF_TORCHVISION,
            ("image_size, colors, erasing, mixing, num_classes", _TORCHVISION_V2),
            ("policy_method, policy_fill", _TORCHVISION + "presets.py"),
        ),
        image_size=176,
        colors=(TrivialAugmentWide(),),
        policy_method="crop",
        # the defaults of `transforms.RandomErasing`, which are not timm's
        erasing=RandomErasing(0.1, scale=(0.02, 0.33), ratio=(0.3, 3.3)),
        mixing=Mixing(mixup=0.2, cutmix=1.0, smoothing=0.1),
    ),
    "timm/rsb-a1": Recipe(
        sources=(("colors, mixing, num_classes", _RSB), _CROP_OF_TIMM, _POLICY_OF_TIMM),
        colors=(_rand_augment(0.7),),
        policy_method="crop",
        policy_fill="mean",
        mixing=Mixing(mixup=0.2, cutmix=1.0, smoothing=0.1),
    ),
    "timm/rsb-a2": Recipe(
        sources=(("colors, mixing, num_classes", _RSB), _CROP_OF_TIMM, _POLICY_OF_TIMM),
        colors=(_rand_augment(0.7),),
        policy_method="crop",
        policy_fill="mean",
        mixing=Mixing(mixup=0.1, cutmix=1.0),
    ),
    "timm/rsb-a3": Recipe(
        sources=(
            ("image_size, colors, mixing, num_classes", _RSB),
            _CROP_OF_TIMM,
            _POLICY_OF_TIMM,
        ),
        image_size=160,
        colors=(_rand_augment(0.6),),
        policy_method="crop",
        policy_fill="mean",
        mixing=Mixing(mixup=0.1, cutmix=1.0),
    ),
    "facebookresearch/deit": Recipe(
        sources=(
            ("interpolation, colors, erasing, mixing, num_classes", _DEIT + "main.py"),
            _CROP_OF_TIMM,
            _POLICY_OF_TIMM,
        ),
        **_NUMBERS_OF_DEIT,
    ),
    # ImageNet-1k at the size of the preset; the published sizes are 224 (S), 192 (B, L), 160 (H)
    "facebookresearch/deit-iii": Recipe(
        sources=(
            ("scale, ratio, rule, interpolation, flip, colors", _DEIT + "augment.py"),
            ("colors, mixing, num_classes", _DEIT + "README_revenge.md"),
        ),
        interpolation="bicubic",
        colors=(ThreeAugment(), ColorJitter(0.3, 0.3, 0.3)),
        mixing=Mixing(mixup=0.8, cutmix=1.0),
    ),
    "facebookresearch/convnext": Recipe(
        sources=(
            ("interpolation, colors, erasing, mixing, num_classes", _CONVNEXT),
            _CROP_OF_TIMM,
            _POLICY_OF_TIMM,
        ),
        **_NUMBERS_OF_DEIT,
    ),
    # there the larger share of mixup is each image's own; with pairs of a reversed batch, either
    # of which is mixed with the other, that only changes the order in the batch
    "big_vision/vit": Recipe(
        sources=(
            ("colors, mixing, num_classes", _BIG_VISION + "configs/vit_s16_i1k.py"),
            (
                "scale, ratio, rule, interpolation, arithmetic, flip",
                _BIG_VISION + "pp/ops_image.py",
            ),
            ("policy_method, policy_fill", _BIG_VISION + "pp/autoaugment.py"),
        ),
        scale=(0.05, 1.0),
        ratio=(0.75, 1.33),
        rule="tensorflow",
        interpolation="bilinear",
        arithmetic="tensorflow",
        colors=(_TPU,),
        policy_fill=128.0,
        mixing=Mixing(mixup=0.2),
    ),
    # the one recipe of SigLIP that is public; its labels are texts
    "big_vision/siglip": Recipe(
        sources=(
            (
                "crop, flip, colors",
                _BIG_VISION + "configs/proj/image_text/siglip_lit_coco.py",
            ),
            ("interpolation, arithmetic", _BIG_VISION + "pp/ops_image.py"),
            ("policy_method, policy_fill", _BIG_VISION + "pp/autoaugment.py"),
        ),
        crop="stretch",
        interpolation="bilinear",
        arithmetic="tensorflow",
        colors=(_TPU,),
        policy_fill=128.0,
    ),
}
