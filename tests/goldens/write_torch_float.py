"""Write torch_float.npz: torch's float32 resize, and what torchvision makes of integers and of antialias=False.

Written with torch 2.13.0 (CPU, AVX2), torchvision 0.28.0, Pillow 13.0.0 (decoding). Each case names its `call`:

* `interpolate`: `torch.nn.functional.interpolate(float32 (1, c, h, w), size, mode=method, antialias=antialias)`;
* `corners`: the same with `align_corners=True`, of the last nine of those images;
* `v2`: `torchvision.transforms.v2.functional.resize`. uint8 never becomes float here, with antialias off either;
  int16 and int32 are resized as float32 and rounded;
* `v1`: `torchvision.transforms.functional.resize`, which the presets of torchvision's weights use. uint8 is resized as
  float32, clamped to [0, 255] (bicubic only) and rounded half to even;
* `floats`: `v2` of uint8 photographs that were cast to float32 before, as Molmo2, Nemotron and Pix2Struct of
  Transformers do, one thread, sampled; `rounded` is that after Molmo2's `round`, `clamp` and cast, whole.

`method` is bilinear, bicubic, nearest or nearest-exact; `antialias` is absent for nearest. `input.dtype` says what the
pixels became; results keep that dtype and are stored whole, (h, w, c), in the record `result`.

    python tests/goldens/write_torch_float.py [--photos FOLDER]
"""

import itertools
import pathlib

import _torch_env
import inputs
import numpy as np
import store
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as v1
from torchvision.transforms.v2 import functional as v2


def _coffee(width: int, height: int, mode: str = "RGB") -> dict:
    return {"photo": "coffee", "box": [190, 80, 190 + width, 80 + height], "mode": mode}


LINEAR_SIZES = (  # interpolate, bilinear and bicubic, antialias on and off
    ({"noise": [37, 53, 2]}, (16, 24)),
    ({"noise": [53, 37, 1]}, (60, 19)),
    ({"noise": [9, 1, 1]}, (4, 3)),
    ({"noise": [2, 3, 3]}, (7, 5)),
    (_coffee(7, 5), (33, 21)),
    (_coffee(60, 60, "L"), (60, 31)),
    (_coffee(61, 47, "L"), (20, 64)),
    ({"photo": "rocket", "mode": "L"}, (11, 7)),
    ({"photo": "retina"}, (5, 9)),
    (_coffee(90, 70, "L"), (80, 53)),  # height + width > 128: another kernel
)
NEAREST_SIZES = (  # interpolate, nearest and nearest-exact
    ({"noise": [37, 53, 1]}, (16, 24)),
    ({"noise": [5, 7, 2]}, (33, 21)),
    ({"noise": [13, 29, 1]}, (26, 58)),
    ({"noise": [1, 400, 1]}, (1, 127)),
    ({"noise": [1, 301, 1]}, (1, 600)),
    ({"noise": [640, 1, 1]}, (224, 1)),
    ({"noise": [1, 97, 1]}, (1, 1411)),
)
INTEGER_SIZES = (  # torchvision, bilinear and bicubic
    ({"noise": [37, 53, 3]}, (16, 24)),
    ({"noise": [7, 5, 1]}, (20, 23)),
    (_coffee(61, 47), (30, 64)),
)
CALLS = (  # (call, dtype, antialias)
    ("v2", "uint8", False),
    ("v2", "int16", False),
    ("v2", "int16", True),
    ("v2", "int32", True),
    ("v2", "float32", False),
    ("v2", "float32", True),
    ("v1", "uint8", False),
    ("v1", "uint8", True),
)
FLOATS_SIZES = (  # floats, bilinear and bicubic, antialias on and off
    ({"photo": "coffee", "box": [0, 0, 301, 199]}, (126, 126)),
    ({"photo": "retina", "box": [455, 0, 685, 641]}, (112, 75)),
    (_coffee(61, 97), (113, 71)),
    ({"photo": "rocket", "box": [0, 0, 333, 21]}, (14, 224)),
    ({"photo": "chelsea"}, (98, 154)),
    ({"photo": "astronaut", "box": [7, 3, 8, 54]}, (17, 3)),
)


def interpolate(array: np.ndarray, size: tuple[int, int], method: str, **options: bool) -> np.ndarray:
    """`torch.nn.functional.interpolate` of one (h, w, c) image."""
    batch = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))[None]
    result = torch.nn.functional.interpolate(batch, size, mode=method, **options)
    return np.ascontiguousarray(result[0].numpy().transpose(1, 2, 0))


def resize(array: np.ndarray, size: tuple[int, int], method: str, call: str, antialias: bool) -> np.ndarray:
    """`resize` of torchvision's transforms v1 or v2, of one (h, w, c) image."""
    image = torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))
    function = {"v1": v1, "v2": v2}[call].resize
    result = function(image, list(size), interpolation=InterpolationMode(method), antialias=antialias)
    return np.ascontiguousarray(result.numpy().transpose(1, 2, 0))


def main(photos: pathlib.Path) -> None:
    writer = store.Writer(("torch", "torchvision", "pillow", "numpy"), cpu_capability=_torch_env.CPU_CAPABILITY)
    for (recipe, size), method, antialias in itertools.product(LINEAR_SIZES, ("bilinear", "bicubic"), (True, False)):
        recipe = {**recipe, "dtype": "float32"}
        case = {"call": "interpolate", "input": recipe, "size": size, "method": method, "antialias": antialias}
        result = interpolate(inputs.array(recipe, photos), size, method, antialias=antialias)
        writer.add(case, whole=True, result=result)
    for (recipe, size), method in itertools.product(LINEAR_SIZES[1:], ("bilinear", "bicubic")):
        recipe = {**recipe, "dtype": "float32"}
        case = {"call": "corners", "input": recipe, "size": size, "method": method, "antialias": False}
        result = interpolate(inputs.array(recipe, photos), size, method, align_corners=True)
        writer.add(case, whole=True, result=result)
    for (recipe, size), method in itertools.product(NEAREST_SIZES, ("nearest", "nearest-exact")):
        recipe = {**recipe, "dtype": "float32"}
        case = {"call": "interpolate", "input": recipe, "size": size, "method": method}
        writer.add(case, whole=True, result=interpolate(inputs.array(recipe, photos), size, method))
    for (recipe, size), method, options in itertools.product(INTEGER_SIZES, ("bilinear", "bicubic"), CALLS):
        call, dtype, antialias = options
        recipe = {**recipe, "dtype": dtype}
        case = {"call": call, "input": recipe, "size": size, "method": method, "antialias": antialias}
        result = resize(inputs.array(recipe, photos), size, method, call, antialias)
        writer.add(case, whole=True, result=result)
    torch.set_num_threads(1)  # with more, another kernel sums in another order
    for (recipe, size), method, antialias in itertools.product(FLOATS_SIZES, ("bilinear", "bicubic"), (True, False)):
        case = {"call": "floats", "input": recipe, "size": size, "method": method, "antialias": antialias}
        result = resize(inputs.array(recipe, photos).astype(np.float32), size, method, "v2", antialias)
        writer.add(case, result=result)
        if (method, antialias) == ("bilinear", False):
            rounded = torch.from_numpy(result).round().clamp(0, 255).to(torch.uint8).numpy()
            writer.add({**case, "call": "rounded"}, whole=True, result=rounded)
    writer.save("torch_float")


if __name__ == "__main__":
    main(inputs.photos_argument(__doc__))
