"""Results of images of different sizes: one value, which callers stack, pad or list.

What goes in: one array per image, in the order of the call. What comes out: whatever the caller's
API promises. Eager calls, `ops.resize`, sampling and post-processing all return it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxprep import bounds
from jaxprep.errors import InputError
from jaxprep.pipeline.placement import Placement
from jaxprep.resample.engines.cpu import new_array
from jaxprep.settings import platform_of


def padded(results: Sequence[Any], shape: Sequence[int] | None = None) -> np.ndarray:
    """Return results of the host as one array, each in the first corner of its part; the rest is 0.

    Args:
        shape: of a part, at least; by default that of the longest along every axis.

    Raises:
        InputError: so much padding that it is a mistake.

    >>> padded([np.ones((2, 1)), np.ones((1, 1))])[..., 0].tolist()
    [[1.0, 1.0], [1.0, 0.0]]
    """
    shapes = [np.shape(result) for result in results]
    largest = np.max(shapes if shape is None else [*shapes, shape], axis=0)
    bounds.check_padded(largest, shapes)
    whole_shape = (len(results), *largest.tolist())
    whole = new_array(whole_shape, np.result_type(*results), zeros=True)
    # on the host: a program for every combination of shapes would be compiled otherwise
    for part, result in zip(whole, results, strict=True):
        corner = tuple(slice(n) for n in result.shape)
        part[corner] = result
    return whole


class Ragged(NamedTuple):
    """The results of a call, in the order of its images.

    Attributes:
        results: one array with a leading batch axis if all are of one shape and dtype, otherwise a
            list of arrays.
        placement: where results are put that are on the host.

    >>> ragged = Ragged.of([np.ones((1, 2)), np.ones((2, 1))])
    >>> ragged.is_stacked, ragged.padded().tolist()
    (False, [[[1.0, 1.0], [0.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]]])
    """

    results: Any
    placement: Placement = None

    @classmethod
    def of(cls, results: Sequence[Any], placement: Placement = None) -> Ragged:
        """Collect results; they are stacked on the host if they are alike."""
        # shape and dtype: stacking uint8 with float32 would convert the former silently
        kinds = {(np.shape(result), result.dtype) for result in results}
        if len(kinds) > 1:
            return cls(list(results), placement)
        arrays = [np.asarray(result) for result in results]
        shape = (len(arrays), *arrays[0].shape)
        return cls(np.stack(arrays, out=new_array(shape, arrays[0].dtype)), placement)

    @property
    def is_stacked(self) -> bool:
        """Whether the results are one array."""
        return not isinstance(self.results, list)

    def listed(self) -> list[Any]:
        """Return the results as a list."""
        results = self.results
        if isinstance(results, jax.Array) and platform_of(results.sharding) == "cpu":
            results = np.asarray(results)  # JAX would compile how to take each out
        return list(results)

    def stacked_or_listed(self) -> jax.Array | list[jax.Array]:
        """Return one `jax.Array` where the results are alike; otherwise a list of them."""
        # `device_put`, not `asarray`: that compiles a program for every shape
        return jax.device_put(self.results, self.placement)

    def stacked(self) -> jax.Array:
        """Return one `jax.Array`.

        Raises:
            InputError: the results are not of one shape.
        """
        if not self.is_stacked:
            shapes = sorted({np.shape(result) for result in self.results})
            raise InputError(f"Expected results of one shape, got {shapes}.")
        return jax.device_put(self.results, self.placement)

    def padded(self) -> Any:
        """Return one array of the largest size, each result in its top-left corner; the rest is
        0."""
        return self.results if self.is_stacked else padded(self.results)
