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
    """

    weights: Weights
    bits: int | None
    order: Order
    nearest: Nearest

    @property
    def is_integer(self) -> bool:
        """Whether the reference takes uint8 only and rounds after each pass."""
        return self.bits is not None

    @property
    def integer(self) -> type[np.integer]:
        """The type that holds the integer weights."""
        return np.int16 if self.bits == 0 else np.int32


REFERENCES = {
    "pillow": Reference("float64", bits=22, order="pillow13", nearest="accumulate"),
    "pillow12": Reference("float64", bits=22, order="horizontal", nearest="accumulate"),
    "torchvision": Reference("torchvision", bits=0, order="horizontal", nearest="torch"),
    "torch": Reference("torch", bits=None, order="horizontal", nearest="torch"),
    "torch_exact": Reference("torch", bits=None, order="horizontal", nearest="torch_exact"),
    "jax": Reference("jax", bits=None, order="vertical", nearest="jax"),
    "float": Reference("exact", bits=None, order="vertical", nearest="centre"),
}

ReferenceName = Literal["pillow", "pillow12", "torchvision", "torch", "torch_exact", "jax", "float"]
