"""The inputs and results of post-processing: fields of a model's outputs, target sizes, thresholds,
results with attributes.
"""

from __future__ import annotations

import operator
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep.errors import InputError
from jaxprep.pipeline.numbers import as_numbers
from jaxprep.types import Size, from_torch, is_torch

Pair = TypeVar("Pair", bound=tuple[float, float])


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
    return as_array(value, f"outputs.{names[0]}")


def _field_names(outputs: Any) -> list[str]:
    if isinstance(outputs, Mapping):
        return sorted(outputs)
    # Objects with `__slots__` and named tuples do not keep their attributes in a dict.
    return sorted(getattr(outputs, "__dict__", {}))


def as_array(value: Any, where: str = "outputs") -> jax.Array:
    """Converts a JAX or NumPy array, a torch tensor or nested lists to a JAX array.

    Floating point of any width becomes float32, in which everything is computed: Transformers
    computes in the type of the outputs, where bfloat16 would make most scores equal.

    Args:
        value: of any type.
        where: its position in the call, for messages.

    Raises:
        InputError: it holds no real numbers.

    >>> as_array(np.float64([1, 2])).dtype
    dtype('float32')
    """
    # A JAX array stays on its device; all else is on the host.
    value = as_numbers(value, "an array of numbers", where, saturates=True)
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
        InputError: there are not `count` of them, or one is not a pair of positive whole numbers.

    >>> sizes(np.asarray([[4, 5]]), 1)
    [(4, 5)]
    """
    pairs = box_sizes(target_sizes, count, name)
    if pairs is None:
        return None
    for pair in pairs:
        # A map has no half pixels; torch refuses such sizes too.
        if not all(side.is_integer() for side in pair):
            raise InputError(f"Expected whole numbers (height, width), got {pair} - at `{name}`.")
    return [(int(height), int(width)) for height, width in pairs]


def required_sizes(target_sizes: Any, count: int, name: str = "target_sizes") -> list[Size]:
    """Reads sizes as `sizes` does, where there is no result without them.

    Raises:
        InputError: as `sizes`, and for None.

    >>> required_sizes([(4, 5)], 1)
    [(4, 5)]
    """
    return _required(sizes(target_sizes, count, name), name)


def box_sizes(
    target_sizes: Any,
    count: int,
    name: str = "target_sizes",
) -> list[tuple[float, float]] | None:
    """Reads sizes by which positions are multiplied, as Transformers does it: as `sizes`, but they
    need not be whole.

    Raises:
        InputError: there are not `count` of them, or one is not a pair of numbers of at least 1.

    >>> box_sizes([(4.5, 5)], 1)
    [(4.5, 5.0)]
    """
    if target_sizes is None:
        return None
    given = _length(target_sizes)
    if given != count:
        raise InputError(
            f"Expected one size for each of {count} images, got "
            f"{target_sizes if given is None else given} - at `{name}`."
        )
    pairs = []
    # A list of tensors is no array: each is converted by itself.
    for size in target_sizes:
        pair = numbers(size)
        if pair is None or pair.shape != (2,) or not (pair >= 1).all():
            raise InputError(
                f"Expected pairs (height, width) of at least 1, got {size!r} - at `{name}`."
            )
        pairs.append((float(pair[0]), float(pair[1])))
    return pairs


def required_box_sizes(
    target_sizes: Any,
    count: int,
    name: str = "target_sizes",
) -> list[tuple[float, float]]:
    """Reads sizes as `box_sizes` does, where there is no result without them.

    Raises:
        InputError: as `box_sizes`, and for None.

    >>> required_box_sizes([(4, 5.5)], 1)
    [(4.0, 5.5)]
    """
    return _required(box_sizes(target_sizes, count, name), name)


def _length(value: Any) -> int | None:
    """The number of items; None for what has none, such as an array of no axes."""
    try:
        return len(value)
    except TypeError:
        return None


def _required(pairs: list[Pair] | None, name: str) -> list[Pair]:
    if pairs is None:
        raise InputError(f"Expected the sizes of the images, got None - at `{name}`.")
    return pairs


def numbers(value: Any) -> np.ndarray | None:
    """Converts to an array of numbers on the host, of any type and width; None for what is none.

    >>> numbers([1, 2]).tolist(), numbers([None])
    ([1, 2], None)
    """
    try:
        array = _on_host(value)
    except ValueError:
        # NumPy's, of lists of different lengths
        return None
    is_number = array.dtype.kind in "iuf" or array.dtype.name == "bfloat16"
    return array if is_number else None


def real_number(value: Any, name: str) -> float:
    """Reads one number, such as a threshold: Python's, NumPy's, or an array or tensor of no axes.

    Args:
        value: what the caller gave.
        name: the argument's, for the error.

    Raises:
        InputError: it is none; None is not "no threshold".

    >>> real_number(np.float32(0.5), "threshold")
    0.5
    """
    array = numbers(value)
    if array is None or array.ndim:
        raise InputError(f"Expected a number, got {value!r} - at `{name}`.")
    return float(array)


def float32(value: Any, name: str) -> np.float32:
    """Reads a number as `real_number` does, as the float32 to which torch compares float32 tensors.

    Raises:
        InputError: as `real_number`.

    >>> float(float32(1e39, "threshold"))
    inf
    """
    return _nearest(real_number(value, name))


def whole_number(value: Any, name: str) -> int:
    """Reads how many there are to be.

    Raises:
        InputError: it is no integer of at least 0.

    >>> whole_number(np.int64(3), "top_k")
    3
    """
    try:
        count = operator.index(value)
    except TypeError:
        count = -1
    if count < 0:
        raise InputError(f"Expected an integer of at least 0, got {value!r} - at `{name}`.")
    return count


def label_set(labels: Any, name: str) -> set[int]:
    """Reads the ids of classes from a list, a set, an array or a tensor; None are none.

    Raises:
        InputError: it is none of these.

    >>> sorted(label_set(np.array([7, 3]), "label_ids_to_fuse"))
    [3, 7]
    """
    if labels is None:
        return set()
    # `np.asarray` makes one object of a set.
    is_array = hasattr(labels, "ndim")
    ids = numbers(labels if is_array or not isinstance(labels, Collection) else list(labels))
    if ids is None or ids.ndim != 1:
        raise InputError(f"Expected a list of class ids, got {labels!r} - at `{name}`.")
    return set(ids.tolist())


def require_shape(name: str, array: jax.Array, expected: Sequence[int | None]) -> None:
    """Refuses an array of another shape than `expected`, where None is any length of at least 1.

    Raises:
        InputError: it has another number of axes, or one of another length.

    >>> require_shape("logits", jnp.zeros((2, 5, 3)), (2, 5, None))
    """
    fits = array.ndim == len(expected) and all(
        length > 0 if wanted is None else length == wanted
        for length, wanted in zip(array.shape, expected, strict=True)
    )
    if not fits:
        lengths = ", ".join("any" if wanted is None else str(wanted) for wanted in expected)
        raise InputError(
            f"Expected shape ({lengths}), none of them empty, got {array.shape} - at "
            f"`outputs.{name}`."
        )


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


def _nearest(bound: float) -> np.float32:
    # beyond float32 is infinity, above which there is nothing
    with np.errstate(over="ignore", under="ignore"):
        return np.float32(bound)


def _next_above(bound: np.float32) -> np.float32:
    # above 0 is a subnormal number, which NumPy calls an underflow
    with np.errstate(under="ignore"):
        return np.nextafter(bound, np.float32(np.inf))


def next_float_above(bound: float) -> np.float32:
    """Returns the smallest float32 greater than `bound`.

    PyTorch's `scalar.item() > bound` compares in float64; `x >= next_float_above(bound)` says the
    same of a float32 `x` inside a program.

    >>> float(next_float_above(1.0))
    1.0000001192092896
    """
    # Rounding may go either way: 0.8 becomes 0.800000012, which is above it already.
    nearest = _nearest(bound)
    if float(nearest) > bound:
        return nearest
    return _next_above(nearest)


def float_at_least(bound: float) -> np.float32:
    """Returns the smallest float32 not less than `bound`.

    >>> float(float_at_least(0.5)), float(float_at_least(0.1)) >= 0.1
    (0.5, True)
    """
    nearest = _nearest(bound)
    if float(nearest) >= bound:
        return nearest
    return _next_above(nearest)
