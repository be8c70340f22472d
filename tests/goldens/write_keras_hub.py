"""Write keras_hub.npz: what KerasHub's ImageConverter and ImageClassifierPreprocessor compute on JAX.

    pip install keras-hub==0.32.0 keras==3.15.1 jax==0.10.2 tensorflow-text pillow
    python tests/goldens/write_keras_hub.py [--photos examples/photos]

`cases` is a list of dicts. All have `group`; those with an image have `config` (arguments of ImageConverter), `input` (see
keras_inputs.py), `input_sha256`, and `out`, the array that holds the output. Where the output is large, `out` is flat and
holds the values at the flat indices in the array `at`; `shape` and `dtype` are always those of the whole output.

    convert   seeded random configs and inputs, called eagerly
    preset    recipes of published presets on whole photographs
    dtype     input dtypes beyond uint8, int32 and float32
    channels_first
    graph     uint8 in a tf.data pipeline, as fit and predict do: `out` was never rounded to uint8. `cast` is the eager call on
              the input as float32, which differs by TensorFlow's kernels only (1024-entry table of bicubic weights)
    masks     {"images", "segmentation_masks"}: `mask_levels` divides the image `mask` into classes; `out_mask`
    boxes     {"images", "bounding_boxes"}, in JSON: `boxes`, `labels` -> `out_boxes`, `out_labels`
    contract  expressions over `pre`, `converter`, `x`, `xs`, `ragged` and what they return, with and without TensorFlow

`defect` names what KerasHub does wrong there; jaxprep does not follow. Beside it stands what it should have computed: `want`
(an array) for images; `want_boxes`, `want_labels` for boxes, mapped as the image was really cropped or padded.
"""
# ruff: noqa: E402

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


class WithoutTensorFlow:
    """Hides TensorFlow from `import`. A None in sys.modules would not do: Keras looks for the name there."""

    @staticmethod
    def find_spec(name: str, *_) -> None:
        if name.partition(".")[0] in ("tensorflow", "tensorflow_text"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


if "--contract-without-tensorflow" in sys.argv:
    sys.meta_path.insert(0, WithoutTensorFlow)  # type: ignore[arg-type]

import jax
import keras
import keras_hub
import keras_boxes
import keras_contract
import numpy as np
from keras_inputs import PHOTOS, build, digest, save

METHODS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
MODES = ("crop", "pad", "stretch")
SIZES = {"astronaut": (512, 512), "chelsea": (300, 451), "coffee": (400, 600), "rocket": (427, 640)}
IMAGENET_SCALE = [0.017124753831663668, 0.01750700280112045, 0.017429193899782133]
IMAGENET_OFFSET = [-2.1179039301310043, -2.0357142857142856, -1.8044444444444445]
AFFINES = (
    {"scale": 1 / 255},
    {"scale": IMAGENET_SCALE, "offset": IMAGENET_OFFSET},
    {},
    {"scale": 1 / 127.5, "offset": -1.0},
    {"scale": [0.5, 0.25, 2.0]},
    {"scale": 0.01, "offset": [-0.5, 0.0, 3.25]},
    {"offset": -103.9},
    {"offset": [-103.939, -116.779, -123.68]},
)
KINDS = ({"dtype": "uint8"}, {"dtype": "float32"}, {"dtype": "int32"}, {"dtype": "float32", "range": 1})
SHAPES = {"landscape": ((40, 120), (90, 200)), "portrait": ((90, 200), (40, 120)), "square": ((50, 99), (50, 99))}
TINY = ((1, 9), (1, 9))
INTEGER_OFFSET = "offset is cast to the integer dtype: truncated, and wraps around in uint8"
NOT_ROUNDED = "a bool is not rounded: it is true wherever a true pixel has any weight"
WHOLE, SAMPLES = 1800, 800


class Goldens:
    """The cases and their arrays, as they are computed."""

    def __init__(self, photos: Path):
        self.photos, self.cases, self.arrays = photos, [], {}

    def array(self, kind: str, value: np.ndarray) -> str:
        """Keep `value` and return its name."""
        name = f"{kind}_{len(self.cases):03d}"
        self.arrays[name] = value
        return name

    def input(self, spec: dict) -> np.ndarray:
        return build(spec, self.photos)

    def add(self, group: str, config: dict, spec: dict, output, **extra) -> dict:
        """Keep one case whose output is an image or a batch."""
        output = np.asarray(output)
        case = {"group": group, "config": config, "input": spec, "input_sha256": digest(self.input(spec))}
        case |= {"shape": list(output.shape), "dtype": output.dtype.name}
        at = None
        if output.size > WHOLE:
            rng = np.random.default_rng(len(self.cases))
            at = np.sort(rng.choice(output.size, SAMPLES, replace=False)).astype(np.int32)
            case["at"] = self.array("at", at)
        for name, value in {"out": output, **extra}.items():
            is_image = isinstance(value, np.ndarray)
            case[name] = self.array(name, value if at is None else value.ravel()[at]) if is_image else value
        self.cases.append(case)
        return case


def converter(config: dict):
    return keras_hub.layers.ImageConverter(**config)


def mode(name: str) -> dict:
    return {"crop_to_aspect_ratio": name == "crop", "pad_to_aspect_ratio": name == "pad"}


def odd_crop(rng: np.random.Generator, shape: tuple) -> dict:
    """A random crop of a photograph, its height and width within the ranges of `shape`, left of a margin for the batch."""
    name = str(rng.choice(sorted(SIZES)))
    height, width = (int(rng.integers(low, high + 1)) for low, high in shape)
    top, left = (int(rng.integers(0, full - size - 10)) for full, size in zip(SIZES[name], (height, width), strict=True))
    return {"photo": name, "top": top, "left": left, "height": height, "width": width}


def add_converted(goldens: Goldens, group: str, config: dict, spec: dict) -> None:
    """Call the converter eagerly; where it is wrong, also as it is right: scaled by 1, and on 0 and 1 for a bool."""
    image = goldens.input(spec)
    output = np.asarray(converter(config)(image))
    extra = {}
    if image.dtype.kind in "iu" and "offset" in config and "scale" not in config:
        ones = np.ones_like(config["offset"], np.float64).tolist()
        want = np.asarray(converter({"scale": ones, **config})(image))
        extra = {"defect": INTEGER_OFFSET, "want": want}
    if image.dtype == bool and "image_size" in config:
        want = np.asarray(converter(config)(image.astype(np.uint8))).astype(output.dtype)
        extra = {"defect": NOT_ROUNDED, "want": want}
    goldens.add(group, config, spec, output, **extra)


def add_convert(goldens: Goldens) -> None:
    """Every method, antialias and mode five times, each with its turn of affine, dtype, shape and batch; then no resize."""
    rng = np.random.default_rng(20)
    for i in range(150):
        size = [int(rng.integers(1, 25)) for _ in range(2)]
        config = {"image_size": size, "interpolation": METHODS[i % 5], "antialias": i // 5 % 2 == 1}
        config |= mode(MODES[i // 10 % 3]) | AFFINES[int(rng.integers(len(AFFINES)))]
        shape = TINY if i % 8 == 7 else list(SHAPES.values())[int(rng.integers(3))]
        spec = odd_crop(rng, shape) | KINDS[int(rng.integers(4))]
        add_converted(goldens, "convert", config, spec | ({"batch": 2} if rng.random() < 0.3 else {}))
    for i, affine in enumerate(AFFINES):
        spec = odd_crop(rng, ((11, 15), (9, 17))) | KINDS[i % 4]
        add_converted(goldens, "convert", dict(affine), spec | ({"batch": 2} if i % 2 else {}))
    for height, width in ((7, 8), (5, 8), (8, 7), (8, 11), (23, 24)):  # an odd difference is padded one pixel short
        spec = odd_crop(rng, ((height, height), (width, width)))
        add_converted(goldens, "convert", {"image_size": [8, 8], **mode("pad")}, spec)
    for channels in (1, 4):
        spec = odd_crop(rng, SHAPES["portrait"]) | {"channels": channels}
        add_converted(goldens, "convert", {"image_size": [17, 13], "scale": 1 / 255, "offset": -0.5}, spec)


def add_presets(goldens: Goldens) -> None:
    """Published recipes at their own size, on photographs larger and smaller than it."""
    imagenet = {"scale": IMAGENET_SCALE, "offset": IMAGENET_OFFSET}
    half = {"scale": 1 / 127.5, "offset": -1.0}
    recipes = (
        {"image_size": [224, 224], "interpolation": "bicubic", **imagenet},  # resnet_50_imagenet
        {"image_size": [512, 512], **imagenet},  # mit_b0_ade20k_512
        {"image_size": [384, 384], "interpolation": "bicubic", "antialias": True, **mode("stretch"), **imagenet},  # deit
        {"image_size": [288, 288], "antialias": True, "scale": 1 / 255},  # videoprism
        {"image_size": [224, 224], **half},  # vit
        {"image_size": [800, 800], **mode("pad"), **imagenet},  # retinanet
        {"image_size": [32, 128], "interpolation": "bicubic", **half},  # parseq
    )
    for recipe in recipes:
        for name, (height, width) in list(SIZES.items())[:3]:
            is_portrait = name == "coffee"
            spec = {"photo": name, "top": 0, "left": 0, "height": height, "width": 211 if is_portrait else width}
            add_converted(goldens, "preset", recipe, spec)


def add_dtypes(goldens: Goldens) -> None:
    rng = np.random.default_rng(21)
    for dtype in ("float16", "float64", "bool", "int8", "uint16", "int64"):
        for affine in ({}, {"scale": 1 / 255, "offset": -0.5}):
            spec = odd_crop(rng, ((13, 29), (13, 29))) | {"dtype": dtype, "range": 1 if dtype == "float16" else 255}
            for config in ({"image_size": [9, 8], "antialias": True}, {}):
                add_converted(goldens, "dtype", config | affine, spec)


def per_channel(affine: dict) -> dict:
    """The same numbers as lists of three: with channels first, KerasHub takes no plain number (see `contract`)."""
    return {name: value if isinstance(value, list) else [value] * 3 for name, value in affine.items()}


def add_channels_first(goldens: Goldens) -> None:
    rng = np.random.default_rng(22)
    for i in range(24):
        config = {"image_size": [int(rng.integers(5, 20)) for _ in range(2)], "data_format": "channels_first"}
        config |= {"interpolation": METHODS[i % 5], "antialias": i % 2 == 1, **mode(MODES[i % 3])}
        config |= per_channel(AFFINES[i % len(AFFINES)])
        spec = odd_crop(rng, list(SHAPES.values())[i % 3]) | KINDS[i // 3 % 4] | {"layout": "chw"}
        add_converted(goldens, "channels_first", config, spec | ({"batch": 2} if i % 4 == 3 else {}))


def add_graph(goldens: Goldens) -> None:
    """uint8 images in tf.data, where the layer casts to float32 before it resizes."""
    import tensorflow as tf

    rng = np.random.default_rng(23)
    for i in range(20):
        config = {"image_size": [int(rng.integers(5, 20)) for _ in range(2)], "interpolation": METHODS[i % 5]}
        config |= {"antialias": i // 5 % 2 == 1, **mode(MODES[i % 3]), **AFFINES[i % len(AFFINES)]}
        spec = odd_crop(rng, list(SHAPES.values())[i % 3])
        image = goldens.input(spec)
        layer = converter(config)
        output = next(iter(tf.data.Dataset.from_tensors(image).map(layer))).numpy()
        cast = np.asarray(layer(image.astype(np.float32)))
        goldens.add("graph", config, spec, output, cast=cast)


def add_masks(goldens: Goldens) -> None:
    """Segmentation maps go through the same crop or pad as the image, by nearest neighbour."""
    rng = np.random.default_rng(24)
    for i in range(12):
        config = {"image_size": [int(rng.integers(5, 20)) for _ in range(2)], "interpolation": "bilinear"}
        config |= mode(MODES[i % 3]) | AFFINES[i % 2]
        spec = odd_crop(rng, list(SHAPES.values())[i % 3]) | ({"batch": 2} if i % 4 == 3 else {})
        mask = spec | {"channels": 1, "dtype": ("uint8", "int32", "float32")[i // 3 % 3]}
        inputs = {"images": goldens.input(spec), "segmentation_masks": goldens.input(mask) // 64}
        outputs = converter(config)(inputs)
        masks = np.asarray(outputs["segmentation_masks"])
        case = goldens.add("masks", config, spec, outputs["images"], mask=mask, mask_levels=64)
        goldens.arrays[f"mask_{len(goldens.cases) - 1:03d}"] = masks
        case |= {"out_mask": f"mask_{len(goldens.cases) - 1:03d}", "mask_dtype": masks.dtype.name}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=PHOTOS)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("keras_hub.npz"))
    parser.add_argument("--contract-without-tensorflow", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contract_without_tensorflow:
        print(json.dumps(keras_contract.cases(tensorflow=False)))
        return
    goldens = Goldens(options.photos)
    for add in (add_convert, add_presets, add_dtypes, add_channels_first, add_graph, add_masks):
        add(goldens)
        print(add.__name__, len(goldens.cases), flush=True)
    goldens.cases += keras_boxes.cases()
    goldens.cases += keras_contract.cases(tensorflow=True)
    rest = subprocess.run([sys.executable, __file__, "--contract-without-tensorflow"], stdout=subprocess.PIPE, check=True)
    goldens.cases += json.loads(rest.stdout)
    versions = {"keras_hub": keras_hub.__version__, "keras": keras.__version__, "jax": jax.__version__}
    versions |= {"numpy": np.__version__, "python": platform.python_version()}
    save(options.output, goldens.cases, goldens.arrays, versions)
    print(f"{len(goldens.cases)} cases, {len(goldens.arrays)} arrays, {options.output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
