"""Whose arithmetic a resize reproduces: a reference is a row of this table, not a code path.

`filters.py` reads `weights` and `nearest`, `tables.py` reads `bits`, `integer` and `order`, and
segments read which arithmetic that is. To add one, add a row, and its rule where it has a new one.
Windows known only in the program are resized by those of `tables.TRACED_REFERENCES`, whose weights
are computed there.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

Weights = Literal[
    "float64",
    "exact",
    "torchvision",
    "torchvision_corners",
    "torch",
    "torch_corners",
    "opencv",
    "scipy",
    "jax",
]
Order = Literal["horizontal", "vertical", "pillow13", "einsum"]
Nearest = Literal["accumulate", "centre", "torch", "torch_exact", "jax"]


class Reference(NamedTuple):
    """The arithmetic of one library's resize.

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
        interpolates: the methods of a reference that has no antialiasing; empty for one that has
            every method, with and without.

    >>> REFERENCES["pillow"].bits, REFERENCES["float"].integer
    (22, None)
    """

    weights: Weights
    bits: int | None
    order: Order
    nearest: Nearest
    integer: type[np.integer] | None = None
    interpolates: tuple[str, ...] = ()


REFERENCES = {
    # 22 bits: PRECISION_BITS (32 - 8 - 2) of
    # https://github.com/python-pillow/Pillow/blob/main/src/libImaging/Resample.c
    "pillow": Reference("float64", 22, "pillow13", "accumulate", np.int32),
    # before Pillow 13 the horizontal pass always came first; published results were made with it
    "pillow12": Reference("float64", 22, "horizontal", "accumulate", np.int32),
    # int16 weights: `upsample_avx_bilinear_bicubic_uint8` of torch's UpSampleKernelAVXAntialias.h
    # and its scalar form in
    # https://github.com/pytorch/pytorch/blob/main/aten/src/ATen/native/cpu/UpSampleKernel.cpp
    "torchvision": Reference("torchvision", 0, "horizontal", "torch", np.int16),
    "torch": Reference("torch", None, "horizontal", "torch"),
    # the same with `mode="nearest-exact"`, torchvision's `InterpolationMode.NEAREST_EXACT`
    "torch_exact": Reference("torch", None, "horizontal", "torch_exact"),
    # `interpolate(align_corners=True)`, of uint8 and of floats
    "torchvision_corners": Reference(
        "torchvision_corners",
        0,
        "horizontal",
        "torch",
        np.int16,
        interpolates=("bilinear", "bicubic"),
    ),
    "torch_corners": Reference(
        "torch_corners", None, "horizontal", "torch", interpolates=("bilinear", "bicubic")
    ),
    # weights of 11 bits, see `interpolation.fixed_point`
    "opencv": Reference("opencv", None, "horizontal", "torch", interpolates=("bilinear",)),
    # `scipy.ndimage.zoom(order=1, mode="mirror", grid_mode=True)`, axis by axis from the first on
    "scipy": Reference("scipy", None, "vertical", "centre", interpolates=("bilinear",)),
    # https://github.com/jax-ml/jax/blob/main/jax/_src/image/scale.py contracts both axes in one
    # einsum, which chooses the order; in the other order results are 10 times further off
    "jax": Reference("jax", None, "einsum", "jax"),
    # vertical first: rows are contiguous, and few are left for the horizontal pass
    "float": Reference("exact", None, "vertical", "centre"),
}

ReferenceName = Literal[
    "pillow",
    "pillow12",
    "torchvision",
    "torch",
    "torch_exact",
    "torch_corners",
    "torchvision_corners",
    "opencv",
    "scipy",
    "jax",
    "float",
]
