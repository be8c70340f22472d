"""Writes augment.npz: what torchvision and timm make of a photograph by every operation of their policies.

Environment: torch 2.13.0 (CPU), torchvision 0.28.0, timm 1.0.31, Pillow 13.0.0.
    python tests/goldens/write_augment.py
"""

import pathlib
import random
from unittest import mock

import numpy as np
import torch
from PIL import Image

import _torch_env  # noqa: F401  (lets torchvision be imported)
from timm.data import auto_augment as timm_auto
from torchvision.transforms import InterpolationMode, autoaugment
from torchvision.transforms.v2 import functional as F

HERE = pathlib.Path(__file__).parent
PHOTO = HERE.parents[1] / "examples" / "photos" / "chelsea.jpg"
NAMES = {
    "Identity": "identity", "ShearX": "shear_x", "ShearY": "shear_y", "TranslateX": "translate_x",
    "TranslateY": "translate_y", "Rotate": "rotate", "Brightness": "brightness", "Color": "saturation",
    "Contrast": "contrast", "Sharpness": "sharpness", "Posterize": "posterize", "Solarize": "solarize",
    "AutoContrast": "autocontrast", "Equalize": "equalize", "Invert": "invert",
}
TIMM = {
    "AutoContrast": "autocontrast", "Equalize": "equalize", "Invert": "invert", "Rotate": "rotate",
    "Posterize": "posterize", "PosterizeIncreasing": "posterize", "Solarize": "solarize",
    "SolarizeIncreasing": "solarize", "SolarizeAdd": "solarize_add", "Color": "saturation",
    "ColorIncreasing": "saturation", "Contrast": "contrast", "ContrastIncreasing": "contrast",
    "Brightness": "brightness", "BrightnessIncreasing": "brightness", "Sharpness": "sharpness",
    "SharpnessIncreasing": "sharpness", "ShearX": "shear_x", "ShearY": "shear_y",
    "TranslateXRel": "translate_x", "TranslateYRel": "translate_y",
}
FILL = (124, 116, 104)


def torchvision_space(policy, bins, size):
    if isinstance(policy, autoaugment.TrivialAugmentWide):
        return policy._augmentation_space(bins)
    return policy._augmentation_space(bins, size)


def main():
    image = Image.open(PHOTO).convert("RGB").resize((60, 40)).crop((8, 4, 33, 25))
    size = (image.size[1], image.size[0])
    arrays = {"image": np.asarray(image)}
    policies = {
        "torchvision": (autoaugment.RandAugment(), 31, (9, 30)),
        "torchvision_wide": (autoaugment.TrivialAugmentWide(), 31, (7, 30)),
        "torchvision_auto": (autoaugment.AutoAugment(), 10, (4, 8)),
        "torchvision_augmix": (autoaugment.AugMix(), 10, (1, 2)),
    }
    for space, (policy, bins, levels) in policies.items():
        for name, (magnitudes, signed) in torchvision_space(policy, bins, size).items():
            for level in levels if magnitudes.ndim else (0,):
                for sign in (1, -1) if signed else (1,):
                    magnitude = float(magnitudes[level].item()) * sign if magnitudes.ndim else 0.0
                    for mode in ("nearest", "bilinear"):
                        out = autoaugment._apply_op(image, name, magnitude, InterpolationMode(mode), list(FILL))
                        key = f"{space}/{NAMES[name]}/{level / (bins - 1)}/{sign}/{mode}"
                        arrays[key] = np.asarray(out)
    for space, names in (("timm", timm_auto._RAND_TRANSFORMS), ("timm_increasing", timm_auto._RAND_INCREASING_TRANSFORMS)):
        for name in names:
            for magnitude in (3, 9):
                for sign in (1, -1):
                    for mode in (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC):
                        hparams = {"img_mean": FILL, "interpolation": mode}
                        op = timm_auto.AugmentOp(name, prob=1.0, magnitude=magnitude, hparams=hparams)
                        # `_randomly_negate` negates above 0.5
                        with mock.patch.object(random, "random", lambda s=sign: 0.9 if s < 0 else 0.1):
                            out = op(image)
                        key = f"{space}/{TIMM[name]}/{magnitude / 10}/{sign}/{mode.name.lower()}"
                        arrays[key] = np.asarray(out)
    # torchvision's transforms of uint8 tensors
    tensor = torch.from_numpy(np.array(image)).permute(2, 0, 1)
    for factor in (0.0, 0.4, 1.7):
        for name in ("brightness", "contrast", "saturation", "sharpness"):
            out = getattr(F, f"adjust_{name}")(tensor, factor)
            arrays[f"tensor/{name}/{factor}"] = out.permute(1, 2, 0).numpy()
    for turns in (-0.3, 0.05, 0.5):
        arrays[f"tensor/hue/{turns}"] = F.adjust_hue(tensor, turns).permute(1, 2, 0).numpy()
    for sigma in (0.1, 0.8, 2.0):
        arrays[f"tensor/blur/{sigma}"] = F.gaussian_blur(tensor, [9, 9], [sigma, sigma]).permute(1, 2, 0).numpy()
    arrays["tensor/grayscale"] = F.rgb_to_grayscale(tensor, 3).permute(1, 2, 0).numpy()
    arrays["tensor/autocontrast"] = F.autocontrast(tensor).permute(1, 2, 0).numpy()
    arrays["tensor/equalize"] = F.equalize(tensor).permute(1, 2, 0).numpy()
    np.savez_compressed(HERE / "augment.npz", **arrays)
    print(len(arrays), (HERE / "augment.npz").stat().st_size)


main()
