"""Erases random rectangles of one image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep import codec
from jaxprep.augment.numbers import (
    Range,
    below,
    between,
    check_range,
    units,
)
from jaxprep.errors import InputError
from jaxprep.pipeline.step import FillValue, Opaque, Sometimes, fill_value


class Rectangles(NamedTuple):
    """Drawn rectangles `(count,)` of an image; those of height 0 are none.

    >>> Rectangles(np.int32([0]), np.int32([0]), np.int32([2]), np.int32([2]), np.uint32(0)).seed
    np.uint32(0)
    """

    top: Any
    left: Any
    height: Any
    width: Any
    seed: Any
    """Of the noise."""


@dataclass(frozen=True)
class RandomErasing(Sometimes, Opaque):
    """Fills random rectangles with a value or with noise.

    https://arxiv.org/abs/1708.04896. timm erases after normalising, so noise is N(0, 1) in the unit
    of the image where the step stands; torchvision's `RandomErasing` is `mode="constant"`, or
    `mode="pixel"` with `value="random"`. Boxes, keypoints and masks stay.

    Attributes:
        probability: of erasing.
        scale: range of each rectangle's share of the area (divided by `count`, as in timm).
        ratio: range of its height divided by its width, drawn log-uniformly.
        mode: "constant"; "channel", one number of N(0, 1) for each channel (timm's `rand`);
            "pixel", one for each value. Noise needs a floating-point image.
        value: of mode "constant".
        count: how many rectangles; a range is drawn from.
        every: see `ops.Sometimes`.

    >>> from jaxprep import Batch
    >>> image = np.ones((16, 16, 3), np.float32)
    >>> erased = RandomErasing(1.0)(Batch(image=image), key=jax.random.key(0)).image
    >>> bool((erased == 0).any())
    True
    """

    probability: float = 0.25
    scale: Range = (0.02, 1 / 3)
    ratio: Range = (0.3, 1 / 0.3)
    mode: Literal["constant", "channel", "pixel"] = "constant"
    value: FillValue = 0.0
    count: tuple[int, int] = (1, 1)
    every: int = 1

    def check(self) -> None:
        check_range(self.scale, "$.scale", 0.0)
        check_range(self.ratio, "$.ratio", 1e-3)
        low, high = self.count
        if not 1 <= low <= high <= 64:
            raise codec.expected("a range of 1 to 64 rectangles", self.count, "$.count")

    def draw(self, key: Any, size: tuple[Any, Any]) -> Rectangles:
        """Return the rectangles."""
        low, high = self.count
        height, width = size
        # `_erase` of timm/data/random_erasing.py, and `get_params` of torchvision's
        # `RandomErasing`: 10 attempts, nothing if none fits
        attempts = 10
        numbers, noise = jax.random.split(key)
        attempt_count = 2 * high * attempts
        drawn = units(numbers, high * (2 * attempts + 2) + 1)
        number = low + below(drawn[0], high - low + 1)
        attempted = drawn[1 : 1 + attempt_count].reshape(2, high, attempts)
        places = drawn[1 + attempt_count :].reshape(2, high)
        share = between(attempted[0], *self.scale)
        image_area = (height * width).astype(jnp.float32)
        # `area / count` of timm: more rectangles are smaller ones
        area = share * image_area / number.astype(jnp.float32)
        lowest, highest = self.ratio
        log_ratio = between(attempted[1], math.log(lowest), math.log(highest))
        aspect = jnp.exp(log_ratio)
        heights = jnp.round(jnp.sqrt(area * aspect))
        heights = heights.astype(jnp.int32)
        widths = jnp.round(jnp.sqrt(area / aspect))
        widths = widths.astype(jnp.int32)
        # below, not up to: neither library fills a whole side
        fits = (heights < height) & (widths < width)
        first = jnp.argmax(fits, axis=1)[:, None]
        chosen_height = jnp.take_along_axis(heights, first, 1)[:, 0]
        chosen_width = jnp.take_along_axis(widths, first, 1)[:, 0]
        any_fits = fits.any(1)
        is_counted = np.arange(high) < number
        kept = any_fits & is_counted
        top = below(places[0], height - chosen_height + 1)
        left = below(places[1], width - chosen_width + 1)
        seed = jax.random.bits(noise, dtype=jnp.uint32)
        kept_height = jnp.where(kept, chosen_height, 0)
        return Rectangles(top, left, kept_height, chosen_width, seed)

    def unchanged(self, draw: Any) -> Any:
        return draw._replace(height=jnp.zeros_like(draw.height))

    def apply(self, image: Any, draw: Any = None) -> Any:
        image = jnp.asarray(image)
        if self.mode != "constant" and not jnp.issubdtype(image.dtype, jnp.floating):
            raise InputError(
                f"Expected a floating-point image to fill with noise of N(0, 1), got {image.dtype}:"
                " erase after rescaling and normalising."
            )
        height, width, _ = image.shape
        row = np.arange(height)[:, None]
        column = np.arange(width)[None]
        # in order, as a later rectangle covers an earlier one
        _, largest_count = self.count
        for i in range(largest_count):
            top = draw.top[i]
            left = draw.left[i]
            in_rows = (row >= top) & (row < top + draw.height[i])
            in_columns = (column >= left) & (column < left + draw.width[i])
            noise_key = jax.random.fold_in(jax.random.key(draw.seed), i)
            value = self._value(noise_key, image.shape, image.dtype)
            is_erased = in_rows & in_columns
            image = jnp.where(is_erased[..., None], value, image)
        return image

    def _value(self, key: Any, shape: tuple[int, ...], dtype: Any) -> Any:
        if self.mode == "constant":
            return fill_value(self.value, dtype)
        one_of_channel = (1, 1, shape[-1])
        drawn_shape = shape if self.mode == "pixel" else one_of_channel
        noise = jax.random.normal(key, drawn_shape)
        return noise.astype(dtype)

    def describe(self) -> str:
        return f"erase a random rectangle{self.how_often()}"
