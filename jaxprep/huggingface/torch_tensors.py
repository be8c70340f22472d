"""Tensors of torch in and out of what runs on JAX. torch is never imported: who passes its tensors
has it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from jaxprep.types import from_torch, is_torch


def device_of(outputs: Any, depth: int = 4) -> Any:
    """Return the device of the first tensor of torch in outputs, which may be of any form; None
    where there is none.

    Args:
        outputs: a tensor, an object with fields, a mapping, or a list of them.
        depth: how far to look; objects may hold themselves.

    >>> device_of({"logits": np.zeros(3)}) is None
    True
    """
    if is_torch(outputs):
        return outputs.device
    parts: Any = ()
    if depth == 0:
        return None
    if isinstance(outputs, Mapping):
        parts = outputs.values()
    elif isinstance(outputs, (list, tuple)):
        parts = outputs
    elif hasattr(outputs, "__dict__") and not isinstance(outputs, (np.ndarray, jax.Array, type)):
        parts = vars(outputs).values()
    for part in parts:
        device = device_of(part, depth - 1)
        if device is not None:
            return device
    return None


def to_torch(results: Any, device: Any) -> Any:
    """Return results in nested lists and dictionaries with tensors of torch for JAX's arrays.

    >>> to_torch({"segments_info": [1]}, "cpu")
    {'segments_info': [1]}
    """
    if isinstance(results, jax.Array):
        return of_array(sys.modules["torch"], np.asarray(results)).to(device)
    if isinstance(results, Mapping):
        converted = {name: to_torch(value, device) for name, value in results.items()}
        return type(results)(converted)  # type: ignore[call-arg]
    if isinstance(results, (list, tuple)) and not hasattr(results, "_fields"):
        return type(results)(to_torch(value, device) for value in results)
    return results


def of_array(torch: Any, array: np.ndarray) -> Any:
    """Return an array of the host as a tensor.

    Args:
        torch: the module.
        array: of any type that torch has; bfloat16, which NumPy has not, among them.

    >>> import types
    >>> of_array(types.SimpleNamespace(from_numpy=lambda array: array), np.zeros(2)).shape
    (2,)
    """
    # A copy: torch warns of arrays that may not be written to, as JAX's are.
    copy = np.array(array)
    if copy.dtype.name == "bfloat16":
        return torch.from_numpy(copy.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(copy)


def to_host(values: Any) -> Any:
    """Return arguments in nested lists, tuples and dictionaries with arrays of NumPy for tensors.

    >>> to_host([(2, 3), {"scores": [0.5]}])
    [(2, 3), {'scores': [0.5]}]
    """
    if is_torch(values):
        return from_torch(values)
    # A model's outputs are read field by field, whatever their class; so are named tuples.
    if type(values) is dict:
        return {name: to_host(value) for name, value in values.items()}
    if type(values) in (list, tuple):
        return type(values)(map(to_host, values))
    return values


def moved(tensor: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """Return `tensor.to(*args, **kwargs)`; of integers, the device alone, as `BatchFeature.to` of
    `transformers/feature_extraction_utils.py`.

    >>> class Halved:
    ...     def is_floating_point(self):
    ...         return True
    ...     def to(self, dtype):
    ...         return f"a tensor of {dtype}"
    >>> moved(Halved(), ("float16",), {})
    'a tensor of float16'
    """
    if tensor.is_floating_point():
        return tensor.to(*args, **kwargs)
    dtype = sys.modules["torch"].dtype
    devices = [kwargs.get("device"), *(arg for arg in args[:1] if not isinstance(arg, dtype))]
    device = next((one for one in devices if one is not None), None)
    return tensor if device is None else tensor.to(device=device)
