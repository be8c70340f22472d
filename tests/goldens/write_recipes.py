"""Writes recipes.json: the numbers of timm's and torchvision's training transforms, as the libraries build them.

Environment: torch 2.13.0 (CPU), torchvision 0.28.0, timm 1.0.31, Pillow 13.0.0.
    python tests/goldens/write_recipes.py
"""

import json
import pathlib

import _torch_env  # noqa: F401  (lets torchvision be imported)
import timm
import torchvision
from timm.data import create_transform
from timm.data.mixup import Mixup
from timm.data.random_erasing import RandomErasing
from torchvision.transforms import transforms
from torchvision.transforms.autoaugment import TrivialAugmentWide
from torchvision.transforms.functional import InterpolationMode

HERE = pathlib.Path(__file__).parent
# arguments of the published scripts: see the sources of `jaxprep/augment/recipes.py`
DEIT = dict(input_size=224, aa="rand-m9-mstd0.5-inc1", color_jitter=0.4, reprob=0.25, remode="pixel", recount=1,
            mixup=0.8, cutmix=1.0, smoothing=0.1)
ARGUMENTS = {
    "timm/rsb-a1": dict(input_size=224, aa="rand-m7-mstd0.5-inc1", mixup=0.2, cutmix=1.0, smoothing=0.1),
    "timm/rsb-a2": dict(input_size=224, aa="rand-m7-mstd0.5-inc1", mixup=0.1, cutmix=1.0, smoothing=0.0),
    "timm/rsb-a3": dict(input_size=160, aa="rand-m6-mstd0.5-inc1", mixup=0.1, cutmix=1.0, smoothing=0.0),
    "facebookresearch/deit": DEIT,
    "facebookresearch/convnext": DEIT,
    # deit's augment.py is timm's `3a`
    "facebookresearch/deit-iii": dict(input_size=224, aa="3a", color_jitter=0.3, mixup=0.8, cutmix=1.0, smoothing=0.0),
}


def plain(value):
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return getattr(value, "name", value) if not isinstance(value, (int, float, str, bool, type(None))) else value


def numbers_of(step):
    """The numbers of one transform."""
    name = type(step).__name__
    if name in ("RandomResizedCropAndInterpolation", "RandomResizedCrop"):
        return dict(size=plain(step.size), scale=plain(step.scale), ratio=plain(step.ratio), interpolation=plain(step.interpolation))
    if name == "RandomHorizontalFlip":
        return dict(p=step.p)
    if name == "RandAugment":
        ops = step.ops
        return dict(num_layers=step.num_layers, ops=[op.name for op in ops], prob=sorted({op.prob for op in ops}),
                    magnitude=sorted({op.magnitude for op in ops}), magnitude_std=sorted({op.magnitude_std for op in ops}),
                    fill=plain(ops[0].kwargs["fillcolor"]), resample=plain(ops[0].kwargs["resample"]),
                    weighted=step.choice_weights is not None)
    if name == "AutoAugment":
        return dict(policy=[[[op.name, op.prob, op.magnitude] for op in sub] for sub in step.policy])
    if name == "ColorJitter":
        return {key: plain(getattr(step, key)) for key in ("brightness", "contrast", "saturation", "hue")}
    if name == "TrivialAugmentWide":
        return dict(bins=step.num_magnitude_bins, interpolation=plain(step.interpolation), fill=step.fill)
    if name == "RandomErasing":
        if isinstance(step, RandomErasing):
            return dict(p=step.probability, scale=[step.min_area, step.max_area], log_ratio=list(step.log_aspect_ratio),
                        mode=step.mode if hasattr(step, "mode") else None, count=[step.min_count, step.max_count],
                        per_pixel=step.per_pixel, rand_color=step.rand_color)
        return dict(p=step.p, scale=plain(step.scale), ratio=plain(step.ratio), value=step.value)
    if name == "Normalize":
        return dict(mean=[float(v) for v in step.mean], std=[float(v) for v in step.std])
    return {}


def main():
    golden = {"versions": {"timm": timm.__version__, "torchvision": torchvision.__version__}, "recipes": {}}
    for name, args in ARGUMENTS.items():
        transform = create_transform(
            args["input_size"], is_training=True, auto_augment=args["aa"], color_jitter=args.get("color_jitter", 0.4),
            interpolation="bicubic", re_prob=args.get("reprob", 0.0), re_mode=args.get("remode", "const"),
            re_count=args.get("recount", 1),
        )
        mixup = Mixup(mixup_alpha=args["mixup"], cutmix_alpha=args["cutmix"], label_smoothing=args["smoothing"], num_classes=1000)
        golden["recipes"][name] = {
            "steps": [[type(step).__name__, numbers_of(step)] for step in transform.transforms],
            "mixing": {key: getattr(mixup, key) for key in (
                "mixup_alpha", "cutmix_alpha", "mix_prob", "switch_prob", "label_smoothing", "mode", "num_classes")},
        }
    # `ClassificationPresetTrain` of references/classification/presets.py: which classes, with which arguments
    bilinear = InterpolationMode.BILINEAR
    first = [transforms.RandomResizedCrop(224, interpolation=bilinear), transforms.RandomHorizontalFlip(0.5)]
    second = [transforms.RandomResizedCrop(176, interpolation=bilinear), transforms.RandomHorizontalFlip(0.5),
              TrivialAugmentWide(interpolation=bilinear), transforms.RandomErasing(p=0.1)]
    for name, steps in (("torchvision/v1", first), ("torchvision/v2", second)):
        golden["recipes"][name] = {"steps": [[type(step).__name__, numbers_of(step)] for step in steps]}
    (HERE / "recipes.json").write_text(json.dumps(golden, indent=1) + "\n")
    print((HERE / "recipes.json").stat().st_size)


main()
