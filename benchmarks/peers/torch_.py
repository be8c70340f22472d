"""Loads torch with as many threads as cores, so that torchvision can be imported after it."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

GOLDENS = Path(__file__).resolve().parents[2] / "tests" / "goldens"


def load_torch(cores: int) -> Any:
    """Import and return `torch`; torchvision, timm and Transformers may be imported afterwards."""
    sys.path.insert(0, str(GOLDENS))
    # declares the operators that torchvision misses with the CPU build of torch
    importlib.import_module("_torch_env")
    torch = importlib.import_module("torch")
    # after `_torch_env`, which sets the number for the goldens
    torch.set_num_threads(cores)
    return torch
