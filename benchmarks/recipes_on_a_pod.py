"""Compile the training pipeline of each recipe for a v5e 16x16 pod, and list its collectives.

Nothing runs, and no chip is needed. A pipeline without mixing must have none; global mixing pairs
examples across chips, by one exchange of images.

Usage, in an environment with libtpu: `python benchmarks/recipes_on_a_pod.py [RECIPE ...]`.
"""

from __future__ import annotations

import os
import re
import sys
import time
from typing import Any

from chips import VARIABLES, compile_for_pod

PRESET = "timm/resnet50.a1_in1k"
IMAGES = (2048, 256, 256, 3)
"""Eight for each of 256 chips."""
EXCHANGES = ("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter")
# rsb A2, A3 and ConvNeXt differ from these in numbers alone
RECIPES = (
    "torchvision/v1",
    "torchvision/v2",
    "timm/rsb-a1",
    "facebookresearch/deit",
    "facebookresearch/deit-iii",
    "big_vision/vit",
    "big_vision/siglip",
)


def exchanges_of(text: str) -> dict[str, int]:
    """Return how often each collective occurs in the text of a program."""
    counts = {}
    for name in EXCHANGES:
        count = len(re.findall(rf"= .* {name}(?:-start)?\(", text))
        if count:
            counts[name] = count
    return counts


def report(pipeline: Any, explicit: bool) -> str:
    """Compile a pipeline for the pod, and return what is to be said of the program."""
    import jax

    from jaxprep import Batch

    key = jax.random.key(0)
    begin = time.perf_counter()
    program, sharding = compile_for_pod(
        lambda images: pipeline(Batch(image=images), key=key).image,
        jax.ShapeDtypeStruct(IMAGES, "uint8"),
        explicit,
    )
    kept = jax.tree.leaves(program.output_shardings)[0].is_equivalent_to(sharding, 4)
    found = exchanges_of(program.as_text()) or "no collective"
    words = "results stay where their images are" if kept else "RESULTS MOVE"
    return f"{found}; {words}; {time.perf_counter() - begin:.0f} s"


def main() -> None:
    os.environ.update(VARIABLES)
    import jaxprep

    for name in sys.argv[1:] or RECIPES:
        for mixing in (False, True):
            pipeline = jaxprep.training_pipeline(PRESET, name, mixing=mixing)
            if mixing and pipeline.mixing is None:
                continue
            for explicit in (False, True):
                kind = "Explicit" if explicit else "Auto"
                what = "with mixing" if mixing else "alone"
                print(f"{name:28} {what:12} {kind:9} {report(pipeline, explicit)}", flush=True)


if __name__ == "__main__":
    main()
