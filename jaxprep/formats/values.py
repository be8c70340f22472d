"""Pieces that the formats of several libraries share."""

from __future__ import annotations

from typing import Any, Literal, get_args

from jaxprep import codec, ops
from jaxprep.ops.resize import Method
from jaxprep.pipeline.step import Step
from jaxprep.resample.filters import canonical_method

DataFormatName = Literal["channels_last", "channels_first"]
Triple = tuple[float, float, float]

IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


def torch_tail(mean: Any, std: Any, data_format: str) -> tuple[Step, ...]:
    """`ToTensor`, `Normalize`: divide by 255, then by channel, in float32; and the layout."""
    steps: tuple[Step, ...] = (
        ops.Rescale(1 / 255, arithmetic="division"),
        ops.Normalize(mean, std),
    )
    return (*steps, ops.ChannelsFirst()) if data_format == "channels_first" else steps


def method_of(name: Any, where: str) -> Method:
    """The method an interpolation string of a foreign format names."""
    method: Any = canonical_method(name)
    if method not in get_args(Method):
        raise codec.expected(f"one of {list(get_args(Method))}", name, where)
    return method
