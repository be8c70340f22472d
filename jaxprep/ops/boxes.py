"""Bounding box formats, as Keras and KerasHub name them, to and from the corners `(x0, y0, x1, y1)`
in pixels.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import jax.numpy as jnp

from jaxprep import codec
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


def to_corners(boxes: Any, box_format: str, size: Size | Any) -> Any:
    """Boxes `(..., 4)` of an image of `size` (height, width) as corners in pixels, float32."""
    _check(box_format)
    a, b, c, d = (jnp.asarray(boxes, jnp.float32)[..., i] for i in range(4))
    height, width = size
    kind = box_format.removeprefix("rel_")
    if kind in ("yxyx", "center_yxhw"):
        a, b, c, d = b, a, d, c
    if kind.startswith("center"):
        a, b = a - c / 2, b - d / 2
    if kind not in ("xyxy", "yxyx"):
        c, d = a + c, b + d
    if box_format.startswith("rel_"):
        a, b, c, d = a * width, b * height, c * width, d * height
    return jnp.stack([a, b, c, d], -1)


def from_corners(corners: Any, box_format: str, size: Size | Any) -> Any:
    """The inverse of `to_corners`."""
    _check(box_format)
    a, b, c, d = (corners[..., i] for i in range(4))
    height, width = size
    kind = box_format.removeprefix("rel_")
    if kind not in ("xyxy", "yxyx"):
        c, d = c - a, d - b
    if kind.startswith("center"):
        a, b = a + c / 2, b + d / 2
    if box_format.startswith("rel_"):
        a, b, c, d = a / width, b / height, c / width, d / height
    if kind in ("yxyx", "center_yxhw"):
        a, b, c, d = b, a, d, c
    return jnp.stack([a, b, c, d], -1)
