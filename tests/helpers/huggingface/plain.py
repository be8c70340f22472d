"""Processors of images alone."""

from __future__ import annotations

import functools

import numpy as np
from goldens import huggingface_cases, store

from helpers.huggingface import common
from helpers.parity import EVERYTHING
from jaxprep import huggingface


@functools.cache
def golden() -> store.Golden:
    """Return the goldens, read once."""
    return store.Golden("huggingface")


@functools.cache
def shown(backend: str) -> list[dict]:
    """Return the cases of a backend that run (see `common.showing`)."""
    if backend == "torchvision":
        return common.showing(golden().cases)
    return common.showing(huggingface_cases.cases("pil", every=EVERYTHING), shown("torchvision"))


def choose(cases: list[dict], name: str, every: int) -> list[dict]:
    """Choose the cases of a class that run (see `common.choose`)."""
    return common.choose(cases, name, list(huggingface_cases.classes()), every)


def results(case: dict, backend: str) -> dict[str, list[np.ndarray]]:
    """Return our results for a case, one array per image and name."""
    processor = getattr(huggingface, case["class"])(backend=backend, **case["settings"])
    return common.as_arrays(processor(common.pictures(case), return_tensors=None))
