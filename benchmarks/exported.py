"""Runs exported programs of 30 presets in a process without jaxprep, and compares the bits.

Two thirds are exported for images of one size, the others for canvases with a plan. The other
process imports JAX and NumPy alone; importing jaxprep is an error there.

Usage: `python benchmarks/exported.py [--only PATTERN]`.
"""

from __future__ import annotations

import argparse
import fnmatch
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

PRESETS = (
    "timm/resnet50.a1_in1k", "timm/vit_base_patch16_224.augreg2_in21k_ft_in1k",
    "timm/convnext_tiny.fb_in22k", "timm/efficientnet_b0.ra_in1k",
    "timm/mobilenetv3_large_100.ra_in1k", "timm/swin_tiny_patch4_window7_224.ms_in1k",
    "timm/beit_base_patch16_224.in22k_ft_in22k_in1k",
    "timm/eva02_base_patch14_448.mim_in22k_ft_in22k_in1k",
    "resnet_50_imagenet", "vit_base_patch16_224_imagenet", "efficientnet_b0_ra_imagenet",
    "mobilenet_v3_small_100_imagenet", "densenet_121_imagenet", "csp_darknet_53_ra_imagenet",
    "torchvision/ResNet50_Weights.IMAGENET1K_V1", "torchvision/ResNet50_Weights.IMAGENET1K_V2",
    "torchvision/ViT_B_16_Weights.IMAGENET1K_V1", "torchvision/ConvNeXt_Tiny_Weights.IMAGENET1K_V1",
    "torchvision/EfficientNet_B0_Weights.IMAGENET1K_V1", "torchvision/Swin_T_Weights.IMAGENET1K_V1",
    "open_clip/ViT-B-32/openai", "open_clip/ViT-L-14/laion2b_s32b_b82k",
    "open_clip/ViT-B-16-SigLIP/webli", "open_clip/convnext_base_w/laion2b_s13b_b82k",
    "hf:ViTImageProcessor", "hf:CLIPImageProcessor", "hf:SiglipImageProcessor",
    "hf:ConvNextImageProcessor", "hf:BitImageProcessor", "hf:EfficientNetImageProcessor",
)  # fmt: skip
SIZE = (333, 500)
CANVAS = (448, 640)

ALONE = """
import sys
sys.modules["jaxprep"] = None  # `import jaxprep` raises
import numpy as np
from jax import export
folder = sys.argv[1]
with open(f"{folder}/program.stablehlo", "rb") as file:
    program = export.deserialize(bytearray(file.read()))
inputs = np.load(f"{folder}/../{sys.argv[2]}.npz")
arguments = [inputs["images"]]
tables = [inputs[name] for name in sorted(inputs.files) if name.startswith("table")]
if tables:
    arguments.append(tuple(tables))
result = program.call(*arguments)
if isinstance(result, dict):
    (result,) = result.values()
np.save(f"{folder}/../{sys.argv[2]}.npy", result)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="*", metavar="PATTERN")
    args = parser.parse_args()
    wanted = [name for name in PRESETS if fnmatch.fnmatch(name, args.only)]
    equal = 0
    with tempfile.TemporaryDirectory() as folder:
        for i, name in enumerate(wanted):
            begin = time.perf_counter()
            is_canvas = i % 3 == 2
            is_equal = compare(name, is_canvas, Path(folder), f"case{i}")
            equal += is_equal
            kind = "canvas" if is_canvas else "size"
            seconds = time.perf_counter() - begin
            print(f"{name:66}{kind:8}{'equal' if is_equal else 'DIFFERENT':10}{seconds:6.1f} s")
            sys.stdout.flush()
    print(f"{equal} of {len(wanted)} equal in every bit")
    raise SystemExit(equal != len(wanted))


def compare(name: str, is_canvas: bool, folder: Path, case: str) -> bool:
    """Return whether the exported program of a preset gives the bits of the live preprocessor."""
    import jaxprep

    preprocessor = load(name)
    photos = [jaxprep.data.photo(photo) for photo in ("chelsea", "coffee", "rocket")]
    target = folder / case
    if is_canvas:
        jaxprep.export(preprocessor, target, canvas=CANVAS)
        images, sizes = jaxprep.stack(photos, canvas=CANVAS)
        tables = jaxprep.load_exported(target).tables(sizes)
        given = photos
    else:
        jaxprep.export(preprocessor, target, size=SIZE)
        jaxprep.load_exported(target)
        images = given = np.stack([fill(photo) for photo in photos])
        tables = ()
    named = {f"table{i:03}": table for i, table in enumerate(tables)}
    np.savez(folder / f"{case}.npz", images=images, **named)
    subprocess.run([sys.executable, "-c", ALONE, str(target), case], check=True)
    want = preprocessor(given)
    want = want["pixel_values"] if name.startswith("hf:") else want
    found = np.load(folder / f"{case}.npy")
    return found.dtype == want.dtype and np.array_equal(found, want)


def fill(photo: np.ndarray) -> np.ndarray:
    """Return a photograph of `SIZE`: repeated, and cut."""
    rows, columns = (np.arange(n) % side for n, side in zip(SIZE, photo.shape))
    return photo[rows][:, columns]


def load(name: str) -> Any:
    import jaxprep

    if name.startswith("hf:"):
        return getattr(jaxprep.huggingface, name.removeprefix("hf:"))()
    return jaxprep.ImageClassifierPreprocessor.from_preset(name)


if __name__ == "__main__":
    main()
