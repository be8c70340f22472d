"""torch with as many threads as cores, and torchvision importable beside it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

GOLDENS = Path(__file__).resolve().parents[2] / "tests" / "goldens"


def load_torch(cores: int) -> Any:
    """The module `torch`; torchvision, timm and Transformers may be imported afterwards."""
    sys.path.insert(0, str(GOLDENS))
    importlib.import_module(
        "_torch_env"
    )  # declares what torchvision misses beside the CPU build of torch
    torch = importlib.import_module("torch")
    torch.set_num_threads(cores)
    return torch
