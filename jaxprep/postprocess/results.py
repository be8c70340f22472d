"""The inputs and results of post-processing: fields of a model's outputs, target sizes, thresholds,
results with attributes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.types import Size, from_torch, is_torch


class Result(dict):
    """A dict whose values are attributes too, as Transformers' `ModelOutput` is.

    >>> Result(scores=[0.5]).scores
    [0.5]
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def optional_field(outputs: Any, *names: str) -> Any:
    """Returns the first of these fields that a model's outputs have, by attribute or by key; None
    if they have none.

    >>> optional_field({"pred_masks": 3}, "masks_queries_logits", "pred_masks")
    3
    """
    # A field that is None is one that the model did not compute.
    for name in names:
        value = setting_of(outputs, name)
        if value is not None:
            return value
    return None


def field(outputs: Any, *names: str) -> jax.Array:
    """Returns the first of these fields that a model's outputs have, as an array (see `as_array`).

    Raises:
        InputError: the outputs have none of them.

    >>> field({"logits": np.zeros((2, 3))}, "logits").dtype
    dtype('float32')
    """
    value = optional_field(outputs, *names)
    if value is None:
        raise InputError(
            f"Expected outputs with `{'` or `'.join(names)}`, got {_field_names(outputs)} - at "
            "`outputs`."
        )
    return as_array(value)


def _field_names(outputs: Any) -> list[str]:
    if isinstance(outputs, Mapping):
        return sorted(outputs)
    # Objects with `__slots__` and named tuples do not keep their attributes in a dict.
    return sorted(getattr(outputs, "__dict__", {}))


def as_array(value: Any) -> jax.Array:
    """Converts a JAX or NumPy array, a torch tensor or nested lists to a JAX array.

    Floating point of any width becomes float32, in which everything is computed: Transformers
    computes in the type of the outputs, where bfloat16 would make most scores equal.

    >>> as_array(np.float64([1, 2])).dtype
    dtype('float32')
    """
    # A JAX array stays on its device; all else is on the host.
    if not isinstance(value, jax.Array):
        value = _on_host(value)
    if jnp.issubdtype(value.dtype, jnp.floating) and value.dtype != np.float32:
        value = value.astype(np.float32)
    return jnp.asarray(value)


def _on_host(value: Any) -> np.ndarray:
    return from_torch(value) if is_torch(value) else np.asarray(value)


def to_numpy(values: Sequence[Any]) -> list[np.ndarray]:
    """Copies each array of a tuple to the host.

    >>> [part.tolist() for part in to_numpy((jnp.arange(2), jnp.ones(1)))]
    [[0, 1], [1.0]]
    """
    return [np.asarray(value) for value in values]


def on_device(values: Any) -> jax.Array:
    """Makes a result of a host array, whose size is that of an image.

    `jnp.asarray` compiles a program for each shape, and keeps it: 1.5 MB for a photograph (0.10.2).

    >>> on_device(np.zeros((2, 3))).shape
    (2, 3)
    """
    return jax.device_put(np.asarray(values))


def to_jax(values: Mapping[str, Any]) -> dict[str, Any]:
    """Makes a result of host arrays: JAX arrays by the same names; None stays None.

    >>> to_jax({"scores": np.float32([1]), "labels": None})["labels"] is None
    True
    """
    result: dict[str, Any] = {}
    for name, value in values.items():
        result[name] = None if value is None else on_device(value)
    return result


def sizes(target_sizes: Any, count: int, name: str = "target_sizes") -> list[Size] | None:
    """Reads one (height, width) per image from a list of pairs, or from an array or a tensor
    `(count, 2)`; None stays None.

    Args:
        target_sizes: what the caller gave.
        count: the number of images.
        name: the argument's, for the error.

    Raises:
        InputError: there are not `count` of them, or one is not a pair of positive numbers.

    >>> sizes(np.asarray([[4, 5]]), 1)
    [(4, 5)]
    """
    if target_sizes is None:
        return None
    if len(target_sizes) != count:
        raise InputError(
            f"Expected one size for each of {count} images, got {len(target_sizes)} - at `{name}`."
        )
    # A list of tensors is no array: each is converted by itself.
    rows = np.asarray([_on_host(size) for size in target_sizes])
    if count and (rows.ndim != 2 or rows.shape[1] != 2 or not (rows >= 1).all()):
        raise InputError(
            f"Expected pairs (height, width) of at least 1, got {rows.tolist()} - at `{name}`."
        )
    return [(int(height), int(width)) for height, width in rows]


def required_sizes(target_sizes: Any, count: int, name: str = "target_sizes") -> list[Size]:
    """Reads sizes as `sizes` does, where there is no result without them.

    Raises:
        InputError: as `sizes`, and for None.

    >>> required_sizes([(4, 5)], 1)
    [(4, 5)]
    """
    pairs = sizes(target_sizes, count, name)
    if pairs is None:
        raise InputError(f"Expected the sizes of the images, got None - at `{name}`.")
    return pairs


def each_size(target_sizes: Any, count: int) -> Iterator[tuple[int, Size | None]]:
    """Counts the images, each with the size that its result is to have; None: any.

    Raises:
        InputError: as `sizes`.

    >>> list(each_size([(4, 5)], 1)), list(each_size(None, 1))
    ([(0, (4, 5))], [(0, None)])
    """
    pairs = sizes(target_sizes, count)
    return enumerate([None] * count if pairs is None else pairs)


def require_length(name: str, value: Any, count: int) -> None:
    """Refuses a list that does not have one item per image.

    Raises:
        InputError: it does not have `count` items.

    >>> require_length("text_labels", [["cat"], ["dog"]], 2)
    """
    if len(value) != count:
        raise InputError(
            f"Expected one item for each of {count} images, got {len(value)} - at `{name}`."
        )


def setting_of(settings: Any, name: str) -> Any:
    """Returns one setting of a processor, by key or by attribute; None if it has none of that name.

    >>> setting_of({"do_pad": True}, "do_pad"), setting_of({}, "do_pad")
    (True, None)
    """
    if isinstance(settings, Mapping):
        return settings.get(name)
    return getattr(settings, name, None)


def edge_of(size: Any, key: str) -> Any:
    """Returns one entry of a size such as `{"height": 8, "width": 8}`, a mapping or an object with
    attributes, as an int; None if it has none of that name.

    >>> edge_of({"height": 8.0}, "height"), edge_of({"height": 8}, "shortest_edge")
    (8, None)
    """
    value = setting_of(size, key)
    return None if value is None else int(value)


def network_size(size: Any) -> tuple[Any, Any]:
    """Returns the height and width of a processor's `size`; None for one that it does not have.

    >>> network_size({"height": 8, "width": 6})
    (8, 6)
    """
    return edge_of(size, "height"), edge_of(size, "width")


def _next_above(number: np.float32) -> np.float32:
    # above 0 is a subnormal number, which NumPy calls an underflow
    with np.errstate(under="ignore"):
        return np.nextafter(number, np.float32(np.inf))


def next_float_above(bound: float) -> np.float32:
    """Returns the smallest float32 greater than `bound`.

    PyTorch's `scalar.item() > bound` compares in float64; `x >= next_float_above(bound)` says the
    same of a float32 `x` inside a program.

    >>> float(next_float_above(1.0))
    1.0000001192092896
    """
    # Rounding may go either way: 0.8 becomes 0.800000012, which is above it already.
    nearest = np.float32(bound)
    if float(nearest) > bound:
        return nearest
    return _next_above(nearest)


def float_at_least(bound: float) -> np.float32:
    """Returns the smallest float32 not less than `bound`.

    >>> float(float_at_least(0.5)), float(float_at_least(0.1)) >= 0.1
    (0.5, True)
    """
    nearest = np.float32(bound)
    if float(nearest) >= bound:
        return nearest
    return _next_above(nearest)
