"""Whose arithmetic a resize reproduces: a reference is a row of this table, not a code path."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

Weights = Literal["float64", "exact", "torchvision", "torch", "jax"]
Order = Literal["horizontal", "vertical", "pillow13"]
Nearest = Literal["accumulate", "centre", "torch", "torch_exact", "jax"]


class Reference(NamedTuple):
    """One row.

    Attributes:
        weights: how positions and weights are computed: in float64 as Pillow does (also
            torchvision's uint8 kernel where it antialiases), from integer positions as our own
            float reference does, in float32 as torch does, or as `jax.image` does.
        bits: None for sums in float32. Otherwise the weights are integers with so many fractional
            bits and every pass is rounded and clipped to uint8; 0 stands for torchvision's dynamic
            precision (the most that fit int16).
        order: which pass comes first.
        nearest: the rule of the method of that name.
        integer: the type that holds the integer weights; None for sums in float32. A reference with
            integer weights takes uint8 only.
    """

    weights: Weights
    bits: int | None
    order: Order
    nearest: Nearest
    integer: type[np.integer] | None = None


REFERENCES = {
    "pillow": Reference("float64", 22, "pillow13", "accumulate", np.int32),
    "pillow12": Reference("float64", 22, "horizontal", "accumulate", np.int32),
    "torchvision": Reference("torchvision", 0, "horizontal", "torch", np.int16),
    "torch": Reference("torch", None, "horizontal", "torch"),
    "torch_exact": Reference("torch", None, "horizontal", "torch_exact"),
    "jax": Reference("jax", None, "vertical", "jax"),
    "float": Reference("exact", None, "vertical", "centre"),
}

ReferenceName = Literal["pillow", "pillow12", "torchvision", "torch", "torch_exact", "jax", "float"]
