"""Write timm.npz: timm's evaluation transform for every preprocessing setting of its pretrained models.

Written with timm 1.0.31, torch 2.13.0 (CPU), torchvision 0.28.0, Pillow 13.0.0. The call is
`timm.data.create_transform(**timm.data.resolve_data_config({}, pretrained_cfg=cfg, use_test_size=...))` on an RGB
Pillow image, `cfg` holding the eight fields and nothing else: Pillow resizes, crops and pads, then float32
`(x / 255 - mean) / std`. (timm's prefetching loader normalises in another order and differs in the last bit.)

Each case: `tuple` (the values of FIELDS), `tag` (the first pretrained model in the alphabet that has them),
`use_test_size` (both, where the tuple has a test size or crop), `input`, `uint8` (just before ToTensor; bytes only) and
`output` (float32).

    python tests/goldens/write_timm.py [--photos FOLDER]
"""

import itertools
import pathlib
from collections.abc import Iterator

import _torch_env
import inputs
import numpy as np
import store
import timm
from PIL import Image
from timm.data import create_transform, resolve_data_config
from timm.data.transforms import MaybeToTensor

FIELDS = ("input_size", "crop_pct", "crop_mode", "interpolation", "mean", "std", "test_input_size", "test_crop_pct")
PHOTOS = (inputs.LANDSCAPE, inputs.PORTRAIT, inputs.SMALL)


def settings() -> dict[tuple, str]:
    """The distinct settings of all pretrained models, each with its first tag."""
    tags: dict[tuple, str] = {}
    for tag in sorted(timm.list_pretrained()):
        cfg = timm.get_pretrained_cfg(tag)
        tags.setdefault(tuple(getattr(cfg, field) for field in FIELDS), tag)
    return tags


def variants() -> Iterator[tuple[dict, str, bool]]:
    """Every setting as a `pretrained_cfg`, its tag, and `use_test_size` where that makes a difference."""
    for setting, tag in settings().items():
        cfg = dict(zip(FIELDS, setting, strict=True))
        yield cfg, tag, False
        if cfg["test_input_size"] or cfg["test_crop_pct"]:
            yield cfg, tag, True


def transform(image: Image.Image, cfg: dict, use_test_size: bool) -> tuple[np.ndarray, np.ndarray]:
    """The image just before ToTensor and after normalisation, both (h, w, c)."""
    steps = create_transform(**resolve_data_config({}, pretrained_cfg=cfg, use_test_size=use_test_size)).transforms
    if not isinstance(steps[-2], MaybeToTensor):
        raise AssertionError(f"Expected ToTensor and Normalize to come last, got {steps}")
    for step in steps[:-2]:
        image = step(image)
    return np.asarray(image), store.channels_last(steps[-1](steps[-2](image)).numpy())


def main(photos: pathlib.Path) -> None:
    store.require("pillow", 13)
    packages = ("timm", "torch", "torchvision", "pillow", "numpy")
    writer = store.Writer(packages, cpu_capability=_torch_env.CPU_CAPABILITY)
    for (cfg, tag, use_test_size), recipe in itertools.product(variants(), PHOTOS):
        pixels, output = transform(inputs.image(recipe, photos), cfg, use_test_size)
        case = {"tuple": list(cfg.values()), "tag": tag, "use_test_size": use_test_size, "input": recipe}
        writer.add({**case, "uint8": store.summary(pixels)}, output=output)
    writer.save("timm")


if __name__ == "__main__":
    main(inputs.photos_argument(__doc__))
