"""Write `huggingface.npz`: what Transformers' torchvision backend makes of `huggingface_cases`.

Run where torch, torchvision (0.27 or newer, whose LANCZOS is its own) and transformers are installed:

    python tests/goldens/write_huggingface.py
"""

import logging
import warnings

import _torch_env
import numpy as np
import torch
import transformers

import huggingface_cases
import inputs
import store


def results(case: dict, photos) -> dict[str, np.ndarray]:
    """Every array the original returns for a case, by a name of its own, channels last."""
    processor = getattr(transformers, case["class"])(**case["settings"])
    read = inputs.array if case.get("arrays") else inputs.image
    found = processor([read(recipe, photos) for recipe in case["inputs"]])
    found = {"pixel_values": found} if not hasattr(found, "keys") else found
    arrays = {}
    for key, values in found.items():
        for i, value in enumerate(values):
            array = np.asarray(value)
            arrays[f"{key}.{i}"] = store.channels_last(array) if array.ndim == 3 else array
    return arrays


def main() -> None:
    photos = inputs.photos_argument(__doc__)
    store.require("transformers", 5)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    writer = store.Writer(
        ["numpy", "pillow", "torch", "torchvision", "transformers"], cpu_capability=_torch_env.CPU_CAPABILITY
    )
    for case, arrays in store.attempts(huggingface_cases.cases("torchvision"), lambda case: results(case, photos)):
        writer.add(case, **arrays)
    writer.save("huggingface")


if __name__ == "__main__":
    with torch.no_grad():
        main()
