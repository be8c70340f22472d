"""Write `universal.npz`: what Transformers' torchvision backend makes of `universal_cases`.

Run where torch, torchvision (0.27 or newer) and transformers are installed:

    python tests/goldens/write_universal.py
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
from goldens import inputs, store
from goldens import universal_cases as cases


def results(case: dict, photos) -> tuple[dict[str, np.ndarray], dict]:
    """Values of images by names of their own, channels last; and all else: summaries of arrays, texts."""
    processor = getattr(transformers, case["class"])(**cases.settings_of(case))
    found = processor([inputs.image(recipe, photos) for recipe in case["inputs"]], **cases.arguments(case))
    values = {f"values.{i}": store.channels_last(np.asarray(one)) for i, one in enumerate(found.pop("pixel_values"))}
    rest = {key: [one if isinstance(one, (str, list)) else store.summary(np.asarray(one)) for one in value]
            for key, value in found.items()}  # fmt: skip
    return values, rest


def main() -> None:
    photos = inputs.photos_argument(__doc__)
    store.require("transformers", 5)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    writer = store.Writer(
        ["numpy", "pillow", "torch", "torchvision", "transformers"], cpu_capability=_torch_env.CPU_CAPABILITY
    )
    for case, (values, rest) in store.attempts(cases.cases("torchvision"), lambda case: results(case, photos)):
        writer.add({**case, "rest": rest}, **values)
    writer.save("universal")


if __name__ == "__main__":
    with torch.no_grad():
        main()
