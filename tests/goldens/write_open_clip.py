"""Write open_clip.npz: OpenCLIP's evaluation transform, for its pretrained tags and for what else its format can say.

Written with open_clip_torch 3.3.0, torch 2.13.0 (CPU), torchvision 0.28.0, Pillow 13.0.0. The call is
`open_clip.transform.image_transform_v2(PreprocessCfg(**setting), is_train=False)` on a Pillow image: resize, crop or
pad in the mode the image came in (all that Pillow has but La, which it cannot convert to RGB), only then convert to RGB,
then float32 `(x / 255 - mean) / std`.

For a size that is not square, `shortest` ignores `interpolation` in 3.3.0 and is always bicubic; the repository at
commit 02191216 obeys it. No pretrained tag has such a size.

Each case: `setting` (size is an int or [height, width]), `pretrained` (whether a tag has it; false: made up here),
`input`, `uint8` (just before ToTensor; bytes only) and `output` (float32).

    python tests/goldens/write_open_clip.py [--photos FOLDER]
"""

import pathlib
from collections.abc import Iterator

import _torch_env
import inputs
import numpy as np
import store
from open_clip.constants import IMAGENET_MEAN, IMAGENET_STD, OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.transform import MaybeToTensor, PreprocessCfg, image_transform_v2
from PIL import Image

CLIP = {"mean": OPENAI_DATASET_MEAN, "std": OPENAI_DATASET_STD}
IMAGENET = {"mean": IMAGENET_MEAN, "std": IMAGENET_STD}
HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
UNIT = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}

PRETRAINED = (  # normalisation, interpolation, resize_mode, sizes: the settings of all 198 tags
    (CLIP, "bicubic", "shortest", (224, 240, 256, 288, 320, 336, 384, 448)),
    (HALF, "bicubic", "squash", (224, 256, 378, 384, 512)),
    (IMAGENET, "bilinear", "squash", (224, 336)),
    (UNIT, "bilinear", "shortest", (224, 256)),
    (CLIP, "bicubic", "squash", (224, 378)),
    (HALF, "bilinear", "squash", (224, 336, 384, 448)),
    (CLIP, "bilinear", "shortest", (256,)),
    (HALF, "bicubic", "shortest", (224,)),
)
MADE_UP = (
    {"size": 224, "resize_mode": "longest"},
    {"size": 225, "resize_mode": "longest", "interpolation": "bilinear", "fill_color": 255},
    {"size": (160, 224), "resize_mode": "longest", "fill_color": 114},
    {"size": (224, 160), "resize_mode": "longest", "fill_color": 114, **HALF},
    {"size": (160, 224), "resize_mode": "squash", "interpolation": "bilinear"},
    {"size": (224, 160), "resize_mode": "squash", "fill_color": 114},
    {"size": (160, 224), "resize_mode": "shortest"},
    {"size": (224, 160), "resize_mode": "shortest", "interpolation": "bilinear"},
    {"size": 224, "resize_mode": "shortest", "interpolation": "random"},  # bicubic when not training
)
PHOTOS = (inputs.LANDSCAPE, inputs.PORTRAIT, inputs.SMALL)
MODES = tuple({**inputs.LANDSCAPE, "mode": mode} for mode in ("L", "P", "RGBA", "LA"))
RARE = ("1", "CMYK", "YCbCr", "HSV", "LAB", "RGBX", "RGBa", "PA", "I", "I;16", "F")
RARE_INPUTS = [*({**inputs.LANDSCAPE, "mode": mode} for mode in RARE), {**inputs.PORTRAIT, "mode": "CMYK"}]
RARE_MODES = tuple(RARE_INPUTS)


def settings() -> Iterator[tuple[dict, bool, tuple[dict, ...]]]:
    """Every setting, whether a pretrained tag has it, and its inputs: the modes that people have once for each kind of
    setting, the rare ones once for each kind of resize.
    """
    for normalisation, interpolation, resize_mode, sizes in PRETRAINED:
        is_first = normalisation is CLIP and interpolation == "bicubic" and resize_mode == "shortest"
        for size in sizes:
            setting = {"size": size, "interpolation": interpolation, "resize_mode": resize_mode, **normalisation}
            modes = MODES if size == sizes[0] else ()
            yield setting, True, PHOTOS + modes + (RARE_MODES if is_first and modes else ())
    for setting in MADE_UP:
        is_rare = setting["resize_mode"] == "longest" or setting.get("interpolation") == "bilinear"
        yield setting, False, PHOTOS + MODES + (RARE_MODES if is_rare else ())


def transform(image: Image.Image, cfg: PreprocessCfg) -> tuple[np.ndarray, np.ndarray]:
    """The image just before ToTensor and after normalisation, both (h, w, c)."""
    steps = image_transform_v2(cfg, is_train=False).transforms
    if not isinstance(steps[-2], MaybeToTensor):
        raise AssertionError(f"Expected ToTensor and Normalize to come last, got {steps}")
    for step in steps[:-2]:
        image = step(image)
    return np.asarray(image), store.channels_last(steps[-1](steps[-2](image)).numpy())


def main(photos: pathlib.Path) -> None:
    store.require("pillow", 13)
    packages = ("open_clip_torch", "torch", "torchvision", "pillow", "numpy")
    writer = store.Writer(packages, cpu_capability=_torch_env.CPU_CAPABILITY)
    for setting, pretrained, recipes in settings():
        cfg = PreprocessCfg(**setting)
        for recipe in recipes:
            pixels, output = transform(inputs.image(recipe, photos), cfg)
            case = {"setting": vars(cfg), "pretrained": pretrained, "input": recipe}
            writer.add({**case, "uint8": store.summary(pixels)}, output=output)
    writer.save("open_clip")


if __name__ == "__main__":
    main(inputs.photos_argument(__doc__))
