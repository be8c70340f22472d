"""Write `vlm_<theme>.npz`: what Transformers' torchvision backend makes of the cases of a theme.

Run where torch, torchvision (0.27 or newer) and transformers are installed, from the root of the repository:

    python tests/goldens/write_vlm.py patches

`vlm_<theme>_cases.cases("torchvision")` gives the cases. A result is kept as arrays by its path, such as `pixel_values` or `rows.0.1`: see
`vlm_results.leaves`.
"""

import importlib
import logging
import pathlib
import sys
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import torch
import transformers

from goldens import _torch_env, inputs, store, vlm_results


def main(theme: str) -> None:
    store.require("transformers", 5)
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)  # float resizes change in the last bit with more
    writer = store.Writer(
        ["numpy", "pillow", "torch", "torchvision", "transformers"], cpu_capability=_torch_env.CPU_CAPABILITY
    )
    cases = importlib.import_module(f"goldens.vlm_{theme}_cases").cases("torchvision")

    def original(case: dict) -> dict:
        return vlm_results.of_case(getattr(transformers, case["class"]), case, inputs)

    for case, arrays in store.attempts(cases, original):
        writer.add({**case, "names": list(arrays)}, **arrays)
    writer.save(f"vlm_{theme}")


if __name__ == "__main__":
    with torch.no_grad():
        main(sys.argv[1])
