"""What goes in and what comes out: fields of a model's outputs, target sizes, results with
attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.types import Size

_MISSING = object()


class Result(dict):
    """A dict whose values are attributes too, as Transformers returns them."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def optional_field(outputs: Any, *names: str) -> Any:
    """The first of these fields that a model's outputs have, by attribute or by key; None if they
    have none.
    """
    for name in names:
        value = outputs.get(name) if isinstance(outputs, Mapping) else getattr(outputs, name, None)
        if value is not None:
            return value
    return None


def field(outputs: Any, *names: str) -> jax.Array:
    """The same as an array; a missing one is an error."""
    value = optional_field(outputs, *names)
    if value is None:
        known = (
            sorted(outputs)
            if isinstance(outputs, Mapping)
            else sorted(vars(outputs))
            if has_vars(outputs)
            else []
        )
        raise InputError(
            f"Expected outputs with `{'` or `'.join(names)}`, got {known} - at `outputs`."
        )
    return array(value)


def has_vars(value: Any) -> bool:
    """Whether an object keeps its attributes in a dict."""
    return hasattr(value, "__dict__")


def array(value: Any) -> jax.Array:
    """A JAX array of anything array-like; floating point of any width becomes float32, in which all
    is computed.
    """
    value = value if isinstance(value, jax.Array) else np.asarray(value)
    if jnp.issubdtype(value.dtype, jnp.floating) and value.dtype != np.float32:
        value = value.astype(np.float32)
    return jnp.asarray(value)


def sizes(target_sizes: Any, count: int, name: str = "target_sizes") -> list[Size] | None:
    """One (height, width) per image from a list of pairs or an array `(count, 2)`; None stays None.

    Raises:
        InputError: there are not `count` of them, or one is not a pair of positive numbers.
    """
    if target_sizes is None:
        return None
    if len(target_sizes) != count:
        raise InputError(
            f"Expected one size for each of {count} images, got {len(target_sizes)} - at `{name}`."
        )
    rows = np.asarray([np.asarray(size) for size in target_sizes])
    if count and (rows.ndim != 2 or rows.shape[1] != 2 or not (rows >= 1).all()):
        raise InputError(
            f"Expected pairs (height, width) of at least 1, got {rows.tolist()} - at `{name}`."
        )
    return [(int(height), int(width)) for height, width in rows]


def each(target_sizes: Sequence[Size] | None, count: int) -> Iterator[tuple[int, Size | None]]:
    """The number of each image and the size it is to have."""
    return enumerate([None] * count if target_sizes is None else target_sizes)


def same_length(name: str, value: Any, count: int) -> None:
    """Refuses a list that does not have one item per image."""
    if len(value) != count:
        raise InputError(
            f"Expected one item for each of {count} images, got {len(value)} - at `{name}`."
        )


def value_of(settings: Any, name: str) -> Any:
    """A setting of a processor, by key or by attribute; None if it has none of that name."""
    return settings.get(name) if isinstance(settings, Mapping) else getattr(settings, name, None)


def setting(value: Any, key: str) -> Any:
    """One entry of a size such as `{"height": 8, "width": 8}`, a mapping or an object with
    attributes.
    """
    found = value_of(value, key)
    return None if found is None else int(found)
