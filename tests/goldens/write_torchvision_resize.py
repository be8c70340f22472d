"""Write torchvision_resize.npz: torchvision's native uint8 CPU resize, antialiased.

Written with torch 2.13.0 (CPU, AVX2), torchvision 0.28.0, Pillow 13.0.0 (decoding). The call is
`torchvision.transforms.v2.functional.resize(uint8 (c, h, w), size, interpolation, antialias=True)`; the script checks
that contiguous and channels-last input agree, so one result stands for both. (1 x 1 outputs are left out: torch 2.13
fails an internal assertion on them for contiguous RGB input.)

Each case: `input`, `size` [height, width], `method` (bilinear, bicubic, lanczos3) and the record `result`, whole up to
64 x 64.

    python tests/goldens/write_torchvision_resize.py [--photos FOLDER]
"""

import pathlib

import _torch_env
import inputs
import numpy as np
import store
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F

METHODS = {"bilinear": "bilinear", "bicubic": "bicubic", "lanczos3": "lanczos"}
ROCKET, HUBBLE, RETINA = {"photo": "rocket"}, {"photo": "hubble_deep_field"}, {"photo": "retina"}
ASTRONAUT = {"photo": "astronaut", "box": [100, 3, 351, 510]}


def _coffee(left: int, top: int, right: int, bottom: int) -> dict:
    return {"photo": "coffee", "box": [left, top, right, bottom]}


SIZES = (
    (inputs.LANDSCAPE, ((224, 224), (256, 386), (149, 600), (600, 600), (397, 224), (300, 599))),
    (ROCKET, ((224, 335), (97, 31))),
    (HUBBLE, ((224, 224), (100, 512), (13, 17), (1, 2))),
    (inputs.PORTRAIT, ((384, 136), (224, 224), (31, 600), (1411, 64))),
    (RETINA, ((224, 224), (7, 599))),
    (ASTRONAUT, ((600, 300), (97, 201), (64, 32))),
    (inputs.SMALL, ((224, 224), (97, 30), (10, 61), (45, 64))),
    (_coffee(0, 200, 301, 201), ((1, 100), (5, 400), (3, 1))),
    (_coffee(300, 0, 301, 257), ((100, 1), (300, 5))),
    (_coffee(310, 120, 313, 122), ((7, 5), (64, 64), (1, 2))),
    (_coffee(200, 90, 207, 95), ((3, 3), (33, 21), (5, 600))),
    (_coffee(77, 77, 78, 78), ((4, 6),)),
    ({"noise": [64, 48, 3]}, ((48, 64), (33, 31), (200, 150))),
    ({"noise": [50, 70, 1]}, ((25, 35), (64, 63))),
    ({**inputs.SMALL, "mode": "RGBA"}, ((40, 40), (130, 90))),
    ({**inputs.SMALL, "mode": "LA"}, ((31, 17),)),
)


def resize(pixels: np.ndarray, size: tuple[int, int], interpolation: str) -> np.ndarray:
    """Resize (h, w, c) uint8 with torchvision, in both memory formats."""
    contiguous = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    channels_last = torch.from_numpy(pixels).permute(2, 0, 1)
    mode = InterpolationMode(interpolation)
    result = F.resize(contiguous, list(size), interpolation=mode, antialias=True)
    if not torch.equal(result, F.resize(channels_last, list(size), interpolation=mode, antialias=True)):
        raise AssertionError(f"The memory formats disagree for {pixels.shape} -> {size}, {interpolation}")
    return np.ascontiguousarray(result.numpy().transpose(1, 2, 0))


def main(photos: pathlib.Path) -> None:
    writer = store.Writer(("torch", "torchvision", "pillow", "numpy"), cpu_capability=_torch_env.CPU_CAPABILITY)
    for recipe, sizes in SIZES:
        pixels = inputs.array(recipe, photos)
        for size in sizes:
            for method, interpolation in METHODS.items():
                case = {"input": recipe, "size": size, "method": method}
                writer.add(case, whole=max(size) <= 64, result=resize(pixels, size, interpolation))
    writer.save("torchvision_resize")


if __name__ == "__main__":
    main(inputs.photos_argument(__doc__))
