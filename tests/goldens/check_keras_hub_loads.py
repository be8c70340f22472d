"""Check that KerasHub loads the directories that jaxprep's `save_to_preset` writes. Run by hand, in KerasHub's environment:

    pip install keras-hub==0.32.0 jax pillow
    python tests/goldens/check_keras_hub_loads.py DIR... --config resnet_50/config.json --output out.npy --expect jaxprep.npy

DIR holds image_converter.json, preprocessor.json or both. KerasHub loads neither without the config.json of the family's
backbone, so that file is copied beside them, in a temporary directory. Each loaded layer is called on one photograph.

`--output` and `--expect` are one .npy each, of all outputs in a row: DIR by DIR, the converter before the preprocessor, one
entry per DIR where both agree. With several DIR the outputs must have one shape; they are stacked.
Exits with 1 where KerasHub does not load a file, where the two layers of a DIR disagree, or beyond `--tolerance`.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

os.environ["KERAS_BACKEND"] = "jax"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras_hub
import numpy as np
from keras_inputs import PHOTOS, photo

LOADERS = {
    "image_converter.json": keras_hub.layers.ImageConverter,
    "preprocessor.json": keras_hub.models.ImageClassifierPreprocessor,
}


def outputs(directory: Path, config: Path, image: np.ndarray) -> dict[str, np.ndarray]:
    """What the layers that KerasHub loads from `directory` make of `image`, by file name."""
    found = [name for name in LOADERS if (directory / name).exists()]
    if not found:
        raise FileNotFoundError(f"Expected one of {list(LOADERS)}, got none - in {directory}")
    results = {}
    with tempfile.TemporaryDirectory() as preset:
        shutil.copy(config, Path(preset) / "config.json")
        for name in found:
            shutil.copy(directory / name, preset)
        for name in found:
            layer = LOADERS[name].from_preset(preset)
            results[name] = np.asarray(layer(image))
            print(f"{directory}: {type(layer).__name__} {results[name].shape} {results[name].dtype}")
    return results


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directories", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--config", type=Path, required=True, help="config.json of a backbone of the family")
    parser.add_argument("--photo", default="chelsea", help="a photograph in examples/photos, without .jpg")
    parser.add_argument("--photos", type=Path, default=PHOTOS)
    parser.add_argument("--float", action="store_true", help="give the photograph as float32 in [0, 255], not uint8")
    parser.add_argument("--output", type=Path, help="write KerasHub's output here")
    parser.add_argument("--expect", type=Path, help="jaxprep's output to compare with")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="largest difference allowed")
    options = parser.parse_args()

    image = photo(options.photo, options.photos)
    image = image.astype(np.float32) if options.float else image
    status, results = 0, []
    for directory in options.directories:
        first, *others = outputs(directory, options.config, image).values()
        results.append(first)
        if any(not np.array_equal(first, other) for other in others):
            print(f"{directory}: expected the same output from converter and preprocessor, got different ones")
            status = 1
    result = np.stack(results) if len(results) > 1 else results[0]
    if options.output:
        np.save(options.output, result)
    if options.expect:
        expected = np.load(options.expect)
        if expected.shape != result.shape:
            print(f"Expected shape {result.shape}, got {expected.shape} - in {options.expect}")
            return 1
        difference = float(np.abs(result.astype(np.float64) - expected.astype(np.float64)).max())
        print(f"max abs difference to {options.expect}: {difference:.3g}")
        status = status if difference <= options.tolerance else 1
    return status


if __name__ == "__main__":
    sys.exit(main())
