"""Converts bounding boxes between Keras' formats and the corners `(x0, y0, x1, y1)` in pixels.

The names of the formats and what they mean are those of
https://github.com/keras-team/keras/blob/master/keras/src/layers/preprocessing/image_preprocessing/bounding_boxes/converters.py
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import jax.numpy as jnp

from jaxprep import codec
from jaxprep.settings import with_default_settings
from jaxprep.types import Size

BoxFormat = Literal[
    "xyxy",
    "yxyx",
    "xywh",
    "center_xywh",
    "center_yxhw",
    "rel_xyxy",
    "rel_yxyx",
    "rel_xywh",
    "rel_center_xywh",
]


def _check(box_format: str) -> None:
    if box_format not in get_args(BoxFormat):
        raise codec.expected(
            f"one of {list(get_args(BoxFormat))}", box_format, "$.bounding_box_format"
        )


@with_default_settings
def to_corners(boxes: Any, box_format: str, size: Size | Any) -> Any:
    """Converts boxes of one image to corners `(x0, y0, x1, y1)` in pixels.

    Args:
        boxes: `(..., 4)` numbers in the format `box_format`.
        box_format: a name of Keras. "rel_": in shares of the image's sides; "center": the first
            two numbers are the middle; "yx": vertical numbers come first.
        size: height and width of the image.

    Returns:
        `(..., 4)` float32.

    Raises:
        ConfigError: there is no such format.

    >>> to_corners([[0.5, 0.5, 0.5, 1.0]], "rel_center_xywh", (10, 20)).tolist()
    [[5.0, 0.0, 15.0, 10.0]]
    """
    _check(box_format)
    numbers = jnp.asarray(boxes, jnp.float32)
    a, b, c, d = (numbers[..., i] for i in range(4))
    height, width = size
    kind = box_format.removeprefix("rel_")
    # The order matters: horizontal first, then corners, then pixels. `from_corners` goes back the
    # same steps in reverse, so that both round alike.
    if kind in ("yxyx", "center_yxhw"):
        a, b, c, d = b, a, d, c
    if kind.startswith("center"):
        a = a - c / 2
        b = b - d / 2
    if kind not in ("xyxy", "yxyx"):
        c = a + c
        d = b + d
    if box_format.startswith("rel_"):
        a, c = a * width, c * width
        b, d = b * height, d * height
    return jnp.stack([a, b, c, d], -1)


@with_default_settings
def from_corners(corners: Any, box_format: str, size: Size | Any) -> Any:
    """Converts corners `(x0, y0, x1, y1)` in pixels to a format of Keras, as `to_corners` undone.

    Args:
        corners: `(..., 4)` numbers in pixels.
        box_format: see `to_corners`.
        size: height and width of the image.

    Raises:
        ConfigError: there is no such format.

    >>> import numpy as np
    >>> from_corners(np.float32([[5, 0, 15, 10]]), "xywh", (10, 20)).tolist()
    [[5.0, 0.0, 10.0, 10.0]]
    """
    _check(box_format)
    a, b, c, d = (corners[..., i] for i in range(4))
    height, width = size
    kind = box_format.removeprefix("rel_")
    # Widths are differences of corners, so they are made before the corners become middles.
    if kind not in ("xyxy", "yxyx"):
        c, d = c - a, d - b
    if kind.startswith("center"):
        a = a + c / 2
        b = b + d / 2
    if box_format.startswith("rel_"):
        a, c = a / width, c / width
        b, d = b / height, d / height
    if kind in ("yxyx", "center_yxhw"):
        a, b, c, d = b, a, d, c
    return jnp.stack([a, b, c, d], -1)
