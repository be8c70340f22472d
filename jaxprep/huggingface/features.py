"""`BatchFeature`: what an image processor returns."""

from __future__ import annotations

import enum
import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep import frameworks
from jaxprep.errors import InputError, MissingPackageError
from jaxprep.huggingface import torch_tensors
from jaxprep.huggingface.samples import split
from jaxprep.pipeline import Ragged
from jaxprep.types import is_torch, is_traced

TENSOR_TYPES = ("jax", "np", "pt", "tf")


class ReturnTensors(enum.Enum):
    """What a call returns where its caller does not say.

    >>> AUTO is ReturnTensors.AUTO
    True
    """

    AUTO = "one array if all results are of one size, otherwise a list"


AUTO = ReturnTensors.AUTO
"""The default of `return_tensors`."""


class PerImage(list[Any]):
    """A result that is never stacked: an array, or a dictionary of arrays, for each image.

    >>> masks = PerImage([np.zeros((1, 2)), np.zeros((3, 2))])
    >>> [mask.shape for mask in masks.converted("jax", "masks")]
    [(1, 2), (3, 2)]
    """

    def converted(self, kind: str, name: str) -> list[Any]:
        """Return the same with arrays of `kind`, one of `TENSOR_TYPES`."""
        return [
            BatchFeature(value, kind)
            if isinstance(value, Mapping)
            else to_tensor(value, kind, name)
            for value in self
        ]

    def on_device(self) -> list[Any]:
        """Return the same with JAX's arrays for NumPy's; what is no array stays, as with
        `return_tensors=None`.

        >>> PerImage([{"size": (2, 3), "boxes": np.zeros((0, 4))}]).on_device()[0]["size"]
        (2, 3)
        """
        return [
            BatchFeature({key: _array_on_device(item) for key, item in value.items()})
            if isinstance(value, Mapping)
            else _array_on_device(value)
            for value in self
        ]


class PlainList(list[Any]):
    """A result that is a list of Python's values, whatever `return_tensors` is.

    >>> finish({"words": PlainList([["a", "b"]])}, "np")["words"]
    [['a', 'b']]
    """


@dataclass(frozen=True)
class PartsInRows:
    """A result that is one array of the parts of all images; with `return_tensors=None` a list with
    the array of each image.

    Attributes:
        rows: the parts of all images, one after another.
        counts: how many parts each image has.

    >>> result = PartsInRows(np.zeros((3, 8)), [1, 2])
    >>> [len(parts) for parts in finish({"pixel_values": result}, None).pixel_values]
    [1, 2]
    """

    rows: Any
    counts: Sequence[int]


def _array_on_device(value: Any) -> Any:
    """An array of NumPy as one of JAX, also in lists; anything else as it is."""
    if isinstance(value, list):
        return [_array_on_device(item) for item in value]
    return jnp.asarray(value) if isinstance(value, np.ndarray) else value


class BatchFeature(dict[str, Any]):
    """A dictionary whose entries are attributes too: `feature["pixel_values"]` is
    `feature.pixel_values`.

    It is a registered pytree, so it goes into `jax.jit` and comes out of it as one. The contract is
    that of https://github.com/huggingface/transformers/blob/main/src/transformers/feature_extraction_utils.py

    Args:
        data: the entries.
        tensor_type: what lists of arrays are made: "jax", "np", "pt" or "tf"; None leaves them as
            they are.
        skip_tensor_conversion: entries to leave as they are, also in later conversions that name
            none.

    >>> images = [np.zeros((3, 2, 2)), np.ones((3, 2, 2))]
    >>> BatchFeature({"pixel_values": images}, tensor_type="jax").pixel_values.shape
    (2, 3, 2, 2)
    """

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        tensor_type: Any = None,
        skip_tensor_conversion: Iterable[str] | None = None,
    ):
        super().__init__({} if data is None else data)
        self.skip_tensor_conversion = skip_tensor_conversion
        self.convert_to_tensors(tensor_type)

    @property
    def data(self) -> BatchFeature:
        """The entries."""
        return self

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __getitem__(self, name: str) -> Any:
        if not isinstance(name, str):
            raise KeyError(f"Expected the name of an entry, got {name!r}: index the entry itself.")
        return super().__getitem__(name)

    def copy(self) -> BatchFeature:
        return BatchFeature(self, skip_tensor_conversion=self.skip_tensor_conversion)

    def convert_to_tensors(
        self, tensor_type: Any = None, skip_tensor_conversion: Iterable[str] | None = None
    ) -> Any:
        """Make every entry that holds arrays or numbers one array of `tensor_type`; the others stay
        as they are.

        Args:
            tensor_type: "jax", "np", "pt" or "tf"; None for no conversion.
            skip_tensor_conversion: entries to leave; by default those that the constructor was
                told to leave, and of a processor's result those that are lists of Python's values
                whatever `return_tensors` is.

        Raises:
            InputError: the arrays of an entry are of different sizes.
            MissingPackageError: PyTorch or TensorFlow is asked for and not installed.
        """
        kind = getattr(tensor_type, "value", tensor_type)
        if kind is None:
            return self
        if kind not in TENSOR_TYPES:
            raise InputError(
                f"Expected one of {list(TENSOR_TYPES)} or None, got {kind!r} - at `return_tensors`."
            )
        if skip_tensor_conversion is None:
            skip_tensor_conversion = self.skip_tensor_conversion
        skip = set(skip_tensor_conversion or ())
        for name, value in self.items():
            if name in skip:
                continue
            if isinstance(value, PlainList):
                self[name] = list(value)
            elif isinstance(value, PartsInRows):
                self[name] = to_tensor(value.rows, kind, name)
            elif isinstance(value, PerImage):
                self[name] = value.converted(kind, name)
            elif _is_convertible(value):
                self[name] = to_tensor(value, kind, name)
        return self

    def to(self, *args: Any, **kwargs: Any) -> BatchFeature:
        """Move the arrays, in place, and cast those of floats; tensors of torch as torch does it.

        Args:
            args: a device (a `jax.Device`, or "cpu", "gpu", "tpu:0"), a sharding, a dtype, or
                several of them; also by name: `device`, `dtype`.

        >>> feature = BatchFeature({"pixel_values": np.zeros((1, 2))}).to("cpu", "bfloat16")
        >>> feature.pixel_values.dtype
        dtype(bfloat16)
        """

        def move(leaf: Any) -> Any:
            if is_torch(leaf):
                return torch_tensors.moved(leaf, args, kwargs)
            if not isinstance(leaf, (jax.Array, np.ndarray)):
                return leaf
            device, dtype = _device_and_dtype(args, kwargs)
            if dtype is not None and jnp.issubdtype(leaf.dtype, jnp.floating):
                leaf = leaf.astype(dtype)
            return leaf if device is None else jax.device_put(leaf, device)

        for name, value in self.items():
            self[name] = jax.tree.map(move, value)
        return self


def finish(
    results: Mapping[str, Any],
    return_tensors: Any,
    listed_axes: Mapping[str, int] = MappingProxyType({}),
) -> BatchFeature:
    """Return the results of a call as the caller wants them.

    Args:
        results: by name, an array of the whole batch, or a list with one entry per image.
        return_tensors: one of `TENSOR_TYPES`; None for what Transformers returns, mostly a list
            with one array per image; `AUTO`.
        listed_axes: how many of the first axes of a result are lists where it is None, by name;
            1 where it is not said.

    Raises:
        InputError: one array is asked for, and results differ in size.

    >>> results = {"pixel_values": [np.zeros((2, 3)), np.zeros((2, 3))]}
    >>> finish(results, AUTO).pixel_values.shape
    (2, 2, 3)
    >>> len(finish(results, None).pixel_values)
    2
    >>> finish(results, None, {"pixel_values": 0}).pixel_values.shape
    (2, 2, 3)
    """
    plain = [name for name, value in results.items() if isinstance(value, PlainList)]
    if return_tensors is not None and return_tensors is not AUTO:
        feature = BatchFeature(results, return_tensors)
        feature.skip_tensor_conversion = plain
        return feature
    feature = BatchFeature(skip_tensor_conversion=plain)
    for name, value in results.items():
        axes = 0 if return_tensors is AUTO else listed_axes.get(name, 1)
        feature[name] = _finish_entry(name, value, return_tensors is AUTO, axes)
    return frameworks.to_numpy(feature) if frameworks.in_grain() else feature


def _finish_entry(name: str, value: Any, is_auto: bool, axes: int) -> Any:
    """One result, whose first `axes` axes become lists."""
    if isinstance(value, PlainList):
        return list(value)
    if isinstance(value, PerImage):
        return value.converted("jax", name) if is_auto else value.on_device()
    if isinstance(value, PartsInRows):
        if not is_auto:
            return [_array_on_device(parts) for parts in split(value.rows, value.counts)]
        value = value.rows
    if axes > 0:
        return _as_lists(value, axes)
    if isinstance(value, np.ndarray):
        # No copy on CPU where the array is aligned: nobody else holds it, so it never changes.
        return jax.device_put(value)
    if not isinstance(value, list):
        return value
    if value and all(isinstance(item, (np.ndarray, jax.Array)) for item in value):
        return _join_arrays(value)
    # Sizes are pairs of Python's numbers.
    if value and all(isinstance(item, tuple) for item in value):
        return to_tensor(value, "jax", name)
    return [_array_on_device(item) for item in value]


def _as_lists(value: Any, axes: int) -> Any:
    """The first `axes` axes as lists of arrays; of Python's numbers where there are no others."""
    if axes == 0:
        return _array_on_device(value)
    if hasattr(value, "ndim"):
        array = np.asarray(value)
        value = array.tolist() if array.ndim == axes else list(array)
    if not isinstance(value, list):
        return value
    return [_as_lists(item, axes - 1) for item in value]


def _join_arrays(arrays: list[Any]) -> Any:
    """One array if all are alike, otherwise a list."""
    if not is_traced(arrays):
        return Ragged.of(arrays).stacked_or_listed()
    stacked = stack_traced(arrays)
    return arrays if stacked is None else stacked


def stack_traced(arrays: Sequence[Any]) -> Any:
    """Return traced arrays of one shape and type as one array; None if they differ.

    >>> jax.jit(lambda x: stack_traced([x, x]))(np.zeros(3)).shape
    (2, 3)
    """
    if len({(array.shape, array.dtype) for array in arrays}) != 1:
        return None
    return jnp.stack(arrays)


def _device_and_dtype(args: Sequence[Any], kwargs: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return what the arguments of `BatchFeature.to` say, each None where they do not."""
    device, dtype = None, None
    for arg in (*args, kwargs.get("device"), kwargs.get("dtype")):
        if arg is None:
            continue
        as_device = _as_device(arg)
        if as_device is not None:
            device = as_device
        else:
            dtype = _as_dtype(arg)
    return device, dtype


def _as_device(value: Any) -> Any:
    """A device or a sharding; None if the value is neither."""
    if isinstance(value, (jax.Device, jax.sharding.Sharding)):
        return value
    # Names as torch has them, so that code written for it runs.
    if not isinstance(value, str):
        return None
    platform, _, number = value.partition(":")
    if platform not in ("cpu", "gpu", "cuda", "rocm", "tpu"):
        return None
    devices = jax.devices(platform)
    if number and not (number.isdecimal() and int(number) < len(devices)):
        raise InputError(
            f"Expected one of the {len(devices)} devices of {platform!r}, got {value!r}."
        )
    return devices[int(number or 0)]


def _as_dtype(value: Any) -> Any:
    name = (
        str(value).removeprefix("torch.") if type(value).__module__.startswith("torch") else value
    )
    try:
        return jnp.dtype(name)
    except TypeError as error:
        raise InputError(f"Expected a device, a sharding or a dtype, got {value!r}.") from error


def _is_convertible(value: Any) -> bool:
    if isinstance(value, (str, bytes, dict)) or value is None:
        return False
    if isinstance(value, (list, tuple)):
        return all(_is_convertible(item) for item in value)
    return (
        hasattr(value, "__array__")
        or hasattr(value, "shape")
        or isinstance(value, (bool, int, float))
    )


def to_tensor(value: Any, kind: str, name: str) -> Any:
    """Return an array, a number or a list of arrays as one array of `kind`, one of `TENSOR_TYPES`.

    Raises:
        InputError: the arrays of a list are of different sizes, or JAX would lose bits.
        MissingPackageError: PyTorch or TensorFlow is asked for and not installed.

    >>> to_tensor([np.zeros(3), np.ones(3)], "np", "labels").shape
    (2, 3)
    """
    if kind == "jax" and isinstance(value, jax.Array):
        return value
    # NumPy cannot hold tracers.
    if kind == "jax" and is_traced(value):
        return jnp.stack(value)
    items = value
    try:
        if isinstance(value, (list, tuple)):
            # Of any library: JAX, torch, TensorFlow.
            items = [np.asarray(item) for item in value]
        array = np.asarray(items)
    except ValueError as error:
        raise InputError(
            f"Unable to create tensor: expected results of one size, got {_sizes(value)} - at "
            f"`{name}`. Pad them, or pass `return_tensors=None` for a list."
        ) from error
    if kind == "np":
        return array
    if kind == "jax":
        return jnp.asarray(_check_bits(array, name))
    if kind == "pt":
        return torch_tensors.of_array(_package("torch"), array)
    return _package("tensorflow").convert_to_tensor(np.array(array))


def _check_bits(array: np.ndarray, name: str) -> np.ndarray:
    """Integers that fit into the 32 bits that JAX keeps of 64 by default, without a word."""
    narrow = jax.dtypes.canonicalize_dtype(array.dtype)
    if array.dtype.kind not in "ui" or narrow == array.dtype:
        return array
    if np.any(array != array.astype(narrow)):
        raise InputError(
            f"Expected integers of at most {narrow.itemsize * 8} bits, got {array.max()} - at "
            f"`{name}`. Enable 64 bits in JAX, or pass `return_tensors='np'`."
        )
    return array


def _shapes(value: Any) -> Iterator[tuple[int, ...]]:
    """The shapes of arrays in lists, nested or not, and those of lists of numbers."""
    for item in value:
        is_list = isinstance(item, (list, tuple))
        if is_list and any(
            isinstance(part, (list, tuple)) or hasattr(part, "shape") for part in item
        ):
            yield from _shapes(item)
        else:
            yield np.shape(item)


def _sizes(value: Any) -> str:
    shapes = list(dict.fromkeys(_shapes(value)))
    return ", ".join(map(str, shapes[:4])) + (", ..." if len(shapes) > 4 else "")


def _package(name: str) -> Any:
    """A package that is imported only where a caller asks for its tensors by name."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingPackageError(
            f"Expected the package `{name}`, whose tensors are asked for."
        ) from error


def _flatten(feature: BatchFeature) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    # Sorted, so that two features with the same entries have one structure.
    names = tuple(sorted(feature))
    return tuple(feature[name] for name in names), names


def _flatten_with_keys(
    feature: BatchFeature,
) -> tuple[tuple[tuple[Any, Any], ...], tuple[str, ...]]:
    names = tuple(sorted(feature))
    return tuple((jax.tree_util.DictKey(name), feature[name]) for name in names), names


def _unflatten(names: tuple[str, ...], leaves: Iterable[Any]) -> BatchFeature:
    # `dict.update`, not the constructor: leaves may be anything here, also no arrays.
    feature = BatchFeature()
    dict.update(feature, zip(names, leaves, strict=True))
    return feature


jax.tree_util.register_pytree_with_keys(BatchFeature, _flatten_with_keys, _unflatten, _flatten)
