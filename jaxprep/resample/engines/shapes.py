"""An engine that computes nothing: what shape and dtype a program's result has.

Only for `jax.eval_shape`: the passes of a real engine are hundreds of operations that JAX would
trace, one for each tap, to learn what the tables and the arithmetic say.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from jaxprep.resample.passes import Epilogue, Passes, Rows


@dataclass(frozen=True)
class ShapesEngine:
    """Stands for any engine where only shapes and dtypes are asked for.

    >>> from jaxprep.resample.tables import resize_taps
    >>> taps = resize_taps(4, 2, "bilinear", True, "pillow")
    >>> keep = Epilogue(compute=lambda rows: rows)
    >>> passes = Passes(taps, None, "integer")
    >>> image = jnp.ones((4, 4, 3), jnp.uint8)
    >>> result = ShapesEngine().run_segment(image, passes, keep, is_last=True)
    >>> result.shape, result.dtype
    ((2, 4, 3), dtype('uint8'))
    """

    def run_segment(
        self,
        image: jax.Array,
        passes: Passes,
        epilogue: Epilogue,
        is_last: bool,
    ) -> Any:
        """Return what the epilogue makes of zeros, in the shape and dtype that the passes have."""
        del is_last
        height, width, channels = image.shape
        if passes.vertical is not None:
            height = len(passes.vertical.start)
        if passes.horizontal is not None:
            width = len(passes.horizontal.start)
        dtypes = {"copy": image.dtype, "integer": jnp.uint8, "float": jnp.float32}
        summed = jnp.zeros((height, width, channels), dtypes[passes.arithmetic])
        return epilogue.finish(Rows.of(summed))

    def pixels(self, image: jax.Array) -> jax.Array:
        """Return the array of an image."""
        return image
