"""Write keras_layers.npz and keras_layers/: what Keras' preprocessing layers compute on JAX, and files that hold them.

    pip install keras==3.15.1 jax==0.10.2 pillow
    python tests/goldens/write_keras_layers.py [--photos examples/photos]

`cases` is a list of dicts: `object`, the layer or model as `keras.saving.serialize_keras_object` writes it; `input` (see
keras_inputs.py), `input_sha256`; `out`, the array that holds what the object returns when it is called with the input; where
that is large, the values at the flat indices in the array `at`; `shape` and `dtype` of the whole output. A layer is called on
one image, a model on a batch, as Keras wants it. Nothing is rounded here.

keras_layers/*.keras are archives that `Model.save` writes: `preprocessing` is read, the others are refused (`adapted`, whose
statistics are in the weights; `classifier`, with a layer that is no preprocessing; `functional`).
"""

import argparse
import os
import platform
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
import keras
import numpy as np
from keras import layers as L
from keras_inputs import PHOTOS, build, digest, save

MEAN, VARIANCE = [0.485, 0.456, 0.406], [0.052, 0.050, 0.051]
SAMPLES = 600
SPECS = (
    {"photo": "chelsea", "top": 20, "left": 60, "height": 61, "width": 90},
    {"photo": "coffee", "top": 0, "left": 100, "height": 83, "width": 40},
    {"photo": "rocket", "top": 100, "left": 200, "height": 32, "width": 32},
    {"photo": "astronaut", "top": 7, "left": 200, "height": 9, "width": 51},
)


def resizings() -> list:
    modes = ({}, {"crop_to_aspect_ratio": True}, {"pad_to_aspect_ratio": True})
    made = [L.Resizing(24, 31, interpolation=m, **mode) for m in ("bilinear", "nearest", "bicubic") for mode in modes]
    made += [L.Resizing(24, 31, interpolation=m, antialias=True) for m in ("bilinear", "bicubic", "lanczos3", "lanczos5")]
    made += [L.Resizing(40, 20, pad_to_aspect_ratio=True, fill_value=v) for v in (114, 0.5)]
    return [*made, L.Resizing(70, 20, antialias=True, crop_to_aspect_ratio=True)]


def layers() -> list:
    return [
        *resizings(),
        L.CenterCrop(24, 31),
        L.CenterCrop(31, 24),
        L.CenterCrop(70, 20),
        L.Rescaling(1 / 255),
        L.Rescaling(1 / 127.5, offset=-1),
        L.Rescaling([0.5, 0.25, 2.0], offset=np.array([1.0, -2.0, 3.5])),
        L.Normalization(mean=[120.0, 110.0, 100.0], variance=[3000.0, 2500.0, 1e-20]),
        L.Normalization(mean=np.array(MEAN), variance=np.array(VARIANCE)),
        L.Normalization(axis=None, mean=127.5, variance=127.5**2),
        L.Normalization(mean=MEAN, variance=VARIANCE, invert=True),
        L.Pipeline([L.Resizing(24, 31), L.CenterCrop(20, 20), L.Rescaling(1 / 255)]),
        L.Pipeline([L.Resizing(24, 31, antialias=True)]),
    ]


def models() -> list:
    image = keras.Input((None, None, 3))
    made = [
        [image, L.Rescaling(1 / 255), L.Normalization(mean=MEAN, variance=VARIANCE)],
        [image, L.Resizing(24, 31, crop_to_aspect_ratio=True), L.CenterCrop(20, 20), L.Rescaling(1 / 255)],
        [image, L.Resizing(24, 31)],
        [image, L.Resizing(24, 31, interpolation="nearest")],
        [keras.Input((None, None, 3), dtype="uint8"), L.Resizing(24, 31)],
        [keras.Input((None, None, 3), dtype="uint8"), L.Resizing(24, 31, interpolation="bicubic"), L.Rescaling(1 / 255)],
        [L.Resizing(24, 31, antialias=True), L.Rescaling(1 / 255)],  # saved before it has an input
        [image, keras.Sequential([image, L.Resizing(30, 30)]), L.CenterCrop(24, 24)],
    ]
    return [keras.Sequential(entries) for entries in made]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path, default=PHOTOS)
    arguments = parser.parse_args()
    cases, arrays = [], {}
    for made, is_model in [(layer, False) for layer in layers()] + [(model, True) for model in models()]:
        for dtype in ("uint8", "float32"):
            for crop in SPECS if dtype == "uint8" else SPECS[:1]:
                spec = {**crop, "dtype": dtype, **({"batch": 1} if is_model else {})}
                image = build(spec, arguments.photos)
                content = keras.saving.serialize_keras_object(made)
                # A layer that was called on one shape refuses others (`Normalization.build`).
                layer = made if is_model else keras.saving.deserialize_keras_object(content)
                output = np.asarray(layer(image))
                number = len(cases)
                at = np.arange(output.size, dtype=np.int32)
                if output.size > SAMPLES:
                    at = np.sort(np.random.default_rng(number).choice(at, SAMPLES, replace=False))
                arrays[f"at_{number:03d}"], arrays[f"out_{number:03d}"] = at, output.ravel()[at]
                case = {"object": content, "input": spec, "input_sha256": digest(image), "shape": output.shape}
                cases.append({**case, "dtype": output.dtype.name, "at": f"at_{number:03d}", "out": f"out_{number:03d}"})
    folder = Path(__file__).parent
    versions = {"keras": keras.__version__, "jax": jax.__version__, "numpy": np.__version__, "python": platform.python_version()}
    save(folder / "keras_layers.npz", cases, arrays, versions)
    write_archives(folder / "keras_layers")


def write_archives(folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    image = keras.Input((None, None, 3))
    resizing, rescaling = L.Resizing(24, 31, crop_to_aspect_ratio=True), L.Rescaling(1 / 255)
    keras.Sequential([image, resizing, rescaling, L.Normalization(mean=MEAN, variance=VARIANCE)]).save(
        folder / "preprocessing.keras"
    )
    adapted = L.Normalization()
    adapted.adapt(np.random.default_rng(0).random((4, 5, 5, 3), np.float32))
    keras.Sequential([image, adapted]).save(folder / "adapted.keras")
    keras.Sequential([image, rescaling, L.Conv2D(1, 3)]).save(folder / "classifier.keras")
    keras.Model(image, rescaling(image)).save(folder / "functional.keras")


if __name__ == "__main__":
    main()
