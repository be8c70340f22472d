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
        return cls(np.stack([np.asarray(result) for result in results]), placement)

    @property
    def is_stacked(self) -> bool:
        """Whether the results are one array."""
        return not isinstance(self.results, list)

    def listed(self) -> list[Any]:
        """Return the results as a list."""
        return list(self.results)

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
        if self.is_stacked:
            return self.results
        shape = np.max([np.shape(result) for result in self.results], axis=0)
        bounds.check_padded(shape, [np.shape(result) for result in self.results])
        padded = np.zeros((len(self.results), *shape), np.result_type(*self.results))
        # on the host: a program for every combination of shapes would be compiled otherwise
        for image, result in zip(padded, self.results, strict=True):
            corner = tuple(slice(n) for n in result.shape)
            image[corner] = result
        return padded
