"""Defines what the formats of several libraries share."""

from __future__ import annotations

import numbers
from typing import Any, Literal, get_args

import numpy as np

from jaxprep import codec, ops
from jaxprep.bounds import check_size
from jaxprep.ops.resize import Method
from jaxprep.pipeline.step import Step
from jaxprep.resample.filters import canonical_method
from jaxprep.types import Size

DataFormatName = Literal["channels_last", "channels_first"]
FloatName = Literal["float32", "bfloat16", "float16"]
"""What results may be stored as; the arithmetic before is float32."""
Triple = tuple[float, float, float]
PerChannel = float | tuple[float, ...]
"""One number for all channels, or one per channel."""

OPTIONS = frozenset({"reference", "data_format", "exact", "dtype"})
"""Fields of a `Format` that are jaxprep's; no library's file has them."""

# The mean and standard deviation of ImageNet's pixels in [0, 1], as in
# https://github.com/pytorch/vision/blob/main/torchvision/transforms/_presets.py
IMAGENET_MEAN: Triple = (0.485, 0.456, 0.406)
IMAGENET_STD: Triple = (0.229, 0.224, 0.225)


def to_tensor_and_normalize(
    mean: Any, std: Any, data_format: str, dtype: FloatName = "float32"
) -> tuple[Step, ...]:
    """Return the steps of torchvision's `ToTensor` and `Normalize`, the type and the layout.

    `ToTensor` divides by 255 in float32; a product with 1 / 255 rounds to other values:
    https://github.com/pytorch/vision/blob/main/torchvision/transforms/functional.py

    Args:
        mean, std: per channel, for values in [0, 1].
        data_format, dtype: of the results.

    >>> steps = to_tensor_and_normalize(IMAGENET_MEAN, IMAGENET_STD, "channels_first")
    >>> [type(step).__name__ for step in steps]
    ['Rescale', 'Normalize', 'ChannelsFirst']
    """
    steps: tuple[Step, ...] = (
        ops.Rescale(1 / 255, arithmetic="division"),
        ops.Normalize(mean, std),
        *cast_to(dtype),
    )
    return (*steps, ops.ChannelsFirst()) if data_format == "channels_first" else steps


def for_each_channel(values: PerChannel, channels: int, where: str) -> tuple[float, ...]:
    """Return one number per channel; a number, or a tuple of one, holds for all of them.

    So do timm (`resolve_data_config`), OpenCLIP (`image_transform`) and torchvision's `normalize`,
    which broadcasts.

    Args:
        values: as a user or a file gives them.
        channels: how many there are.
        where: the position of the setting, for messages.

    Raises:
        ConfigError: another number of values.

    >>> for_each_channel(0.5, 3, "$.mean"), for_each_channel((0.5,), 1, "$.mean")
    ((0.5, 0.5, 0.5), (0.5,))
    """
    listed = values if isinstance(values, tuple) else (values,)
    if len(listed) == 1:
        return listed * channels
    if len(listed) != channels:
        raise codec.expected(f"{channels} values, or one for all", values, where)
    return listed


def cast_to(dtype: FloatName) -> tuple[Step, ...]:
    """Return the step that stores float32 values as `dtype`; none where that is what they are.

    >>> len(cast_to("bfloat16")), len(cast_to("float32"))
    (1, 0)
    """
    return () if dtype == "float32" else (ops.Cast(dtype),)


def dtype_name(value: Any) -> Any:
    """Return the name of a dtype that a user gives as `jnp.bfloat16`, as a NumPy dtype or as a
    Keras policy; anything else unchanged, for the check of the field to refuse.

    Of a mixed policy it is the type that Keras computes in. None is float32, Keras' default.

    >>> import jax.numpy as jnp
    >>> dtype_name(jnp.bfloat16), dtype_name(np.dtype("float16")), dtype_name("mixed_bfloat16")
    ('bfloat16', 'float16', 'bfloat16')
    """
    if value is None:
        return "float32"
    # Keras' `DTypePolicy`, and how Keras writes one to a file
    if isinstance(value, dict):
        config = value.get("config")
        name = config.get("name") if isinstance(config, dict) else None
        return dtype_name(name) if name else value
    value = getattr(value, "compute_dtype", value)
    if isinstance(value, str):
        return value.removeprefix("mixed_")
    try:
        return np.dtype(value).name
    except (TypeError, ValueError):
        return getattr(value, "name", value)  # TensorFlow's dtypes have one


def as_image_size(value: Any, where: str) -> Size | None:
    """Return the height and width that a user means: a number, or a list of one, is a square.

    Args:
        value: one or two positive integers, or None.
        where: the name of the setting, for messages.

    Raises:
        ConfigError: anything else.

    >>> as_image_size(160, "$.image_size"), as_image_size([160, 192], "$.image_size")
    ((160, 160), (160, 192))
    """
    if value is None:
        return None
    sides = value if isinstance(value, (tuple, list)) else [value]
    # `True` is an integer to Python, and never a side
    are_integers = all(
        isinstance(side, numbers.Integral) and not isinstance(side, bool) for side in sides
    )
    if not are_integers or len(sides) not in (1, 2):
        raise codec.expected("a height and width, as [224, 192], or one number", value, where)
    size = (int(sides[0]), int(sides[-1]))
    check_size(size, where)
    return size


def size_of_same_view(size: Size, crop: Size, new_crop: Size) -> Size:
    """Return the height and width to resize to instead of `size`, so that the crop `new_crop` after
    it shows the part of the image that `crop` did.

    Rounded down, as `scale_size` of timm/data/transforms_factory.py does.

    >>> size_of_same_view((256, 256), (224, 224), (112, 224))
    (128, 256)
    """
    height, width = (side * new // old for side, new, old in zip(size, new_crop, crop))
    return height, width


def shortest_edge_of_same_view(edge: int, crop: Size, new_crop: Size) -> int:
    """Return the same for a resize of the shorter side to `edge`; where the aspect ratio of the
    crop changes, the side that grows more decides.

    >>> shortest_edge_of_same_view(232, (224, 224), (112, 112))
    116
    """
    return max(size_of_same_view((edge, edge), crop, new_crop))


def method_of(name: Any, where: str) -> Method:
    """Return the method of `jaxprep.ops.resize` that a library calls `name`.

    Args:
        name: a word, or PIL's number of a filter.
        where: the position of the field in the file, for messages.

    Raises:
        ConfigError: there is no such method.

    >>> method_of("cubic", "$.interpolation")
    'bicubic'
    """
    method: Any = canonical_method(name)
    if method not in get_args(Method):
        raise codec.expected(f"one of {list(get_args(Method))}", name, where)
    return method
