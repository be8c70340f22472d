"""Processors of images alone."""

from __future__ import annotations

import numpy as np
from goldens import huggingface_cases

from helpers.huggingface import common
from helpers.parity import EVERYTHING
from jaxprep import huggingface

shown = common.showing_of(["huggingface"], lambda: huggingface_cases.cases("pil", every=EVERYTHING))


def choose(cases: list[dict], name: str, every: int) -> list[dict]:
    """Choose the cases of a class that run (see `common.choose`)."""
    return common.choose(cases, name, list(huggingface_cases.classes()), every)


def results(case: dict, backend: str) -> dict[str, list[np.ndarray]]:
    """Return our results for a case, one array per image and name."""
    processor = getattr(huggingface, case["class"])(backend=backend, **case["settings"])
    return common.as_arrays(processor(common.pictures(case), return_tensors=None))
