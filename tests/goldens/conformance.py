"""Write `docs/conformance.md`: how close every image processor of Hugging Face is to the original, on both of its backends.

Run with Transformers (its PIL backend needs no PyTorch); the torchvision backend is read from `huggingface.npz`:

    python tests/goldens/conformance.py
"""

import os
import pathlib
import sys
import warnings

os.environ.setdefault("JAX_PLATFORMS", "cpu")
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

import numpy as np  # noqa: E402
from goldens import huggingface_cases, inputs, store  # noqa: E402

from jaxprep import huggingface  # noqa: E402

HEAD = """# Conformance: Hugging Face image processors

Written by `tests/goldens/conformance.py`. Each class with its default settings, on photographs (one larger and one
smaller than the result; palette, gray and RGBA too where the class converts to RGB), against Transformers {transformers}:
its PIL backend with Pillow {pillow}, live; its torchvision backend with torchvision {torchvision} on CPU ({cpu}), at the
256 values of each image that the goldens hold. `equal` is the share of values with the same bits, `largest` the largest
difference, relative to max(1, |x|). `exact=True` computes the arithmetic after the last 8-bit image in the original's
order, by a table.

A difference of one level in an 8-bit image would be at least 1e-3: up to there, everything is equal.

| class | backend | equal | largest | equal with `exact=True` | why not all |
|---|---|---|---|---|---|
"""


AFFINE = "the arithmetic after the last 8-bit image is one multiply-add"


def pictures(case: dict) -> list:
    return [inputs.image(recipe) for recipe in case["inputs"]]


def ours_of(case: dict, backend: str, exact: bool) -> dict:
    processor = getattr(huggingface, case["class"])(backend=backend, exact=exact, **case["settings"])
    found = processor(pictures(case), return_tensors=None)
    return {f"{key}.{i}": np.asarray(item) for key, values in found.items() for i, item in enumerate(values)}


def pil_pairs(name: str, exact: bool):
    """Ours and the original's values of the default cases, on the PIL backend."""
    import transformers

    row = huggingface_cases.classes()[name]
    original = getattr(transformers, name if row["backends"] == ["pil"] else f"{name}Pil")()
    for case in default_cases(huggingface_cases.cases("pil"), name):
        theirs = original(pictures(case))
        theirs = theirs if hasattr(theirs, "keys") else {"pixel_values": theirs}
        for key, mine in ours_of(case, "pil", exact).items():
            label, i = key.split(".")
            yield mine, np.asarray(theirs[label][int(i)])


def torchvision_pairs(goldens: store.Golden, name: str, exact: bool):
    """The same, on the torchvision backend, at the values that the goldens hold."""
    for case in default_cases(goldens.cases, name):
        for key, mine in ours_of(case, "torchvision", exact).items():
            yield goldens.pair(case[key], store.channels_last(mine) if mine.ndim == 3 else mine)


def default_cases(cases: list[dict], name: str) -> list[dict]:
    return [case for case in cases if case["class"] == name and not case["settings"]]


def measured(pairs) -> tuple[float, float]:
    """The share of equal values, and the largest relative difference."""
    equal, count, largest = 0, 0, 0.0
    for mine, theirs in pairs:
        equal += int((mine == theirs).sum())
        count += mine.size
        gap = np.abs(mine.astype(np.float64) - theirs) / np.maximum(1, np.abs(theirs))
        largest = max(largest, float(gap.max()))
    return equal / count, largest


def reason(share: float, exactly: float) -> str:
    """Where the last bits go."""
    if share == 1:
        return ""
    return AFFINE if exactly == 1 else "resized as floats: the order of sums"


def main() -> None:
    warnings.simplefilter("ignore")
    goldens = store.Golden("huggingface")
    import PIL

    lines = []
    for name, row in huggingface_cases.classes().items():
        for backend in row["backends"]:
            pairs = [
                pil_pairs(name, exact) if backend == "pil" else torchvision_pairs(goldens, name, exact)
                for exact in (False, True)
            ]
            (share, largest), (exactly, _) = map(measured, pairs)
            why = reason(share, exactly)
            lines.append(f"| {name} | {backend} | {share:.2%} | {largest:.1e} | {exactly:.2%} | {why} |")
            print(lines[-1], flush=True)
    versions = goldens.versions
    head = HEAD.format(
        transformers=versions["transformers"],
        pillow=PIL.__version__,
        torchvision=versions["torchvision"],
        cpu=versions["cpu_capability"],
    )
    (ROOT / "docs" / "conformance.md").write_text(head + "\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
