"""Write `segmentation_<group>.npz`: what Transformers' torchvision backend makes of `segmentation_cases`.

Run where torch, torchvision (0.27 or newer, whose LANCZOS is its own) and transformers are installed:

    python tests/goldens/write_segmentation.py [GROUP...]
"""

import logging
import pathlib
import sys
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import _torch_env
import numpy as np
import torch
import transformers
from goldens import inputs, segmentation_cases, store


def results(case: dict, photos) -> dict[str, np.ndarray]:
    """Every array the original returns for a case, by a name of its own; images channels last."""
    processor = getattr(transformers, case["class"])(**case["settings"])

    def read(value: list) -> list:
        if not isinstance(value[0], dict):
            return value
        return [segmentation_cases.dense(recipe) if "dense" in recipe else inputs.image(recipe, photos) for recipe in value]

    beside = {name: read(value) for name, value in case["beside"].items()}
    kind = "pt" if case["class"] in segmentation_cases.STACKED else None
    found = processor(read(case["inputs"]), **beside, return_tensors=kind)
    arrays = {}
    for key, values in found.items():
        for i, value in enumerate(values):
            array = np.asarray(value)
            arrays[f"{key}.{i}"] = store.channels_last(array) if array.ndim == 3 and key != "labels" else array
    return arrays


def main() -> None:
    photos = inputs.PHOTOS
    store.require("transformers", 5)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    for group, names in segmentation_cases.GROUPS.items():
        if len(sys.argv) > 1 and group not in sys.argv[1:]:
            continue
        writer = store.Writer(
            ["numpy", "pillow", "torch", "torchvision", "transformers"], cpu_capability=_torch_env.CPU_CAPABILITY
        )
        wanted = [case for case in segmentation_cases.cases("torchvision") if case["class"] in names]
        for case, arrays in store.attempts(wanted, lambda case: results(case, photos)):
            writer.add(case, **arrays)
        writer.save(f"segmentation_{group}")


if __name__ == "__main__":
    with torch.no_grad():
        main()
