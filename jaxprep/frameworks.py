"""Runs a preprocessor where another framework calls it: in the graphs of TensorFlow, in the
workers of Grain, in the configs of Keras.

None of them is imported here. A framework that calls us has been imported by its user, and is found
in `sys.modules`.
"""

from __future__ import annotations

import functools
import multiprocessing
import os
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.core
import numpy as np

from jaxprep.errors import InputError, JaxprepError

# -- TensorFlow ----------------------------------------------------------------------------------


class Sizes(NamedTuple):
    """The sizes that stand for those which a graph does not know.

    >>> Sizes(2, 64, 48, 3, 5).of("bhwc")
    (2, 64, 48, 3)
    """

    batch: int
    height: int
    width: int
    channels: int
    boxes: int

    def of(self, axes: str) -> tuple[int, ...]:
        """Return the size of each axis: b, h, w, c, n (boxes), 4 (numbers of a box)."""
        by_axis = {"b": self.batch, "h": self.height, "w": self.width, "c": self.channels}
        by_axis |= {"n": self.boxes, "4": 4}
        return tuple(by_axis[axis] for axis in axes)


# A size of the results is static if it is the same for all of them. Each aspect ratio and each side
# of a threshold may give another one: rules for sizes bound the shorter or the longer side.
_PROBES = (
    Sizes(2, 64, 48, 3, 2),
    Sizes(3, 52, 81, 3, 3),
    Sizes(3, 2400, 3600, 3, 3),
    Sizes(3, 3600, 2400, 1, 3),
)


class NoAutoGraph:
    """Base of classes whose calls TensorFlow's AutoGraph leaves as they are.

    `tf.data` rewrites the source of what it maps, and of all that this calls: without this of JAX
    too, which took 124 s. AutoGraph takes what has the attribute for its own work:
    `is_autograph_artifact` of
    https://github.com/tensorflow/tensorflow/blob/master/tensorflow/python/autograph/impl/api.py

    >>> hasattr(NoAutoGraph, "autograph_info__")
    True
    """

    autograph_info__ = types.MappingProxyType({})


def is_graph_tensor(value: Any) -> bool:
    """Return whether a value is a tensor of a graph that TensorFlow traces, which has no numbers.

    >>> is_graph_tensor(np.zeros(3))
    False
    """
    if not type(value).__module__.startswith("tensorflow."):
        return False
    # a ragged or sparse tensor is made of tensors
    return not hasattr(getattr(value, "flat_values", value), "numpy")


def has_graph_tensors(tree: Any) -> bool:
    """Return whether any leaf of a pytree is a tensor of a graph of TensorFlow.

    >>> has_graph_tensors({"images": [np.zeros((2, 3, 3))]})
    False
    """
    # Nested lists of numbers have many leaves; without TensorFlow none is its tensor.
    if "tensorflow" not in sys.modules or isinstance(tree, np.ndarray):
        return False
    return any(is_graph_tensor(leaf) for leaf in jax.tree.leaves(tree))


def call_in_graph(
    function: Callable[[Any], Any], inputs: Mapping[str, Any], channels_first: bool = False
) -> Any:
    """Return what `function(inputs)` will return when TensorFlow runs the graph that it traces.

    The caller's TensorFlow gets one operation, `tf.numpy_function`, which calls `function` on NumPy
    arrays. The types and static shapes of its results are those that JAX finds for abstract inputs,
    so `function` has to give the same ones under `jax.jit`.

    Args:
        function: takes a dictionary like `inputs`, and returns a pytree of arrays.
        inputs: "images", and what belongs to them; each a tensor, or a pytree of tensors and other
            values.
        channels_first: whether images are `(c, h, w)`.

    Raises:
        InputError: a tensor that is no image of numbers, or the structure of the results depends on
            the images' sizes.

    >>> call_in_graph(lambda given: given["images"] + 1, {"images": np.zeros(2)}).tolist()
    [1.0, 1.0]
    """
    if not has_graph_tensors(inputs):
        return function(dict(inputs))
    import chex  # which `import jaxprep` should not load

    tf = sys.modules["tensorflow"]
    leaves, treedef = jax.tree.flatten(dict(inputs))
    leaves = [_with_numbers(leaf) for leaf in leaves]
    specs = _input_specs(treedef.unflatten(leaves), channels_first)
    traced = [i for i, leaf in enumerate(leaves) if is_graph_tensor(leaf)]

    # for a caller's function around ours that AutoGraph rewrites
    @tf.autograph.experimental.do_not_convert
    def with_values(values: Any) -> Any:
        filled = list(leaves)
        for i, value in zip(traced, values, strict=True):
            filled[i] = value
        return function(treedef.unflatten(filled))

    results, results_tree = _result_specs(with_values, [specs[i] for i in traced])

    def run(*values: np.ndarray) -> list[np.ndarray]:
        leaves = jax.tree.leaves(with_values(values))
        arrays = [np.asarray(a, result.dtype) for a, result in zip(leaves, results, strict=True)]
        # TensorFlow believes the static shapes without looking
        for array, result in zip(arrays, results, strict=True):
            if result.shape is not None:
                chex.assert_shape(array, result.shape)
        return arrays

    tensors = tf.numpy_function(
        run, [leaves[i] for i in traced], [result.dtype for result in results], stateful=False
    )
    for tensor, result in zip(tensors, results, strict=True):
        tensor.set_shape(result.shape)
    return results_tree.unflatten(tensors)


class _Spec(NamedTuple):
    """A tensor of a graph: its type, its shape (None where the graph does not know it), and what
    its axes are."""

    dtype: Any
    shape: tuple[int | None, ...] | None
    axes: str = ""

    def filled(self, sizes: Sizes) -> jax.ShapeDtypeStruct:
        """Return an array of this type and shape, `sizes` being those that are not known."""
        shape = [
            size if known is None else known
            for known, size in zip(self.shape or (None,) * len(self.axes), sizes.of(self.axes))
        ]
        return jax.ShapeDtypeStruct(tuple(shape), jax.dtypes.canonicalize_dtype(self.dtype))


def _with_numbers(leaf: Any) -> Any:
    """Return a leaf; if it is an eager tensor of TensorFlow, its numbers."""
    is_eager = type(leaf).__module__.startswith("tensorflow.") and not is_graph_tensor(leaf)
    return np.asarray(leaf) if is_eager else leaf


def _input_specs(inputs: Any, channels_first: bool) -> list[_Spec | None]:
    """Return the specs of the leaves; None where one is no tensor of a graph."""
    image_rank = 3
    for leaf in jax.tree.leaves(inputs["images"]):
        if is_graph_tensor(leaf) and _rank(leaf) is not None:
            image_rank = _rank(leaf)
    if image_rank not in (3, 4):
        raise InputError(
            f"Expected an image or a batch, of rank 3 or 4, got rank {image_rank} - at `images`."
        )
    image_axes = ("bchw" if channels_first else "bhwc")[-image_rank:]
    specs: list[_Spec | None] = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(inputs):
        if not is_graph_tensor(leaf):
            specs.append(None)
            continue
        keys = [getattr(key, "key", None) for key in path]
        specs.append(_spec_of(leaf, keys, image_axes))
    return specs


def _rank(tensor: Any) -> Any:
    return getattr(tensor.shape, "rank", None)


def _spec_of(tensor: Any, keys: list[Any], image_axes: str) -> _Spec:
    where = ".".join(str(key) for key in keys if key is not None)
    is_number = tensor.dtype.is_floating or tensor.dtype.is_integer or tensor.dtype.is_bool
    if hasattr(tensor, "flat_values") or not is_number:
        kind = type(tensor).__name__ if is_number else f"a tensor of {tensor.dtype.name}"
        raise InputError(
            f"Expected a dense tensor of numbers, got {kind} - at `{where}`. Decode files with "
            "`tf.io.decode_jpeg`, and make ragged images dense before they are batched: map the "
            "preprocessor over single images."
        )
    dtype = tensor.dtype.as_numpy_dtype
    is_batch = image_axes.startswith("b")
    if keys[0] == "images":
        axes = image_axes
    elif "boxes" in keys:
        axes = "bn4" if is_batch else "n4"
    elif "labels" in keys:
        axes = "bn" if is_batch else "n"
    elif _rank(tensor) == len(image_axes):
        axes = image_axes
    else:  # a mask has no channels
        axes = image_axes.replace("c", "")
    rank = _rank(tensor)
    if rank is None:
        return _Spec(dtype, None, axes)
    if rank != len(axes):
        named = ", ".join(axes)
        raise InputError(f"Expected axes ({named}), got shape {tensor.shape} - at `{where}`.")
    return _Spec(dtype, tuple(tensor.shape.as_list()), axes)


def _result_specs(with_values: Callable[[Any], Any], specs: list[Any]) -> tuple[list[_Spec], Any]:
    """Return the types and static shapes of the results, and their structure."""
    probes = _PROBES if any(None in (spec.shape or (None,)) for spec in specs) else _PROBES[:1]
    found = list(_abstract_results(with_values, specs, probes))
    structures = {jax.tree.structure(result) for result in found}
    if len(structures) > 1:
        raise InputError(
            "Expected results of one structure for images of every size, as a graph of TensorFlow "
            "has to know it, got a list whose results differ in size."
        )
    knows_rank = all(spec.shape is not None for spec in specs)
    merged = []
    for results in zip(*[jax.tree.leaves(result) for result in found], strict=True):
        shape = None
        if knows_rank:
            sizes = zip(*[result.shape for result in results], strict=True)
            shape = tuple(size[0] if len(set(size)) == 1 else None for size in sizes)
        merged.append(_Spec(np.dtype(results[0].dtype), shape))
    return merged, structures.pop()


def _abstract_results(
    with_values: Callable[[Any], Any], specs: list[_Spec], probes: tuple[Sizes, ...]
) -> Iterator[Any]:
    def evaluated(sizes: Sizes) -> Any:
        return jax.eval_shape(lambda values: with_values(values), [s.filled(sizes) for s in specs])

    for sizes in probes:
        try:
            yield evaluated(sizes)
        except JaxprepError:
            if sizes.channels == 3:
                raise
            yield evaluated(sizes._replace(channels=3))  # gray is not for everyone


# -- Grain ---------------------------------------------------------------------------------------

_GRAIN_FILES = tuple(
    os.path.join("grain", "_src", "python", name) for name in ("dataset", "data_loader")
)


def in_grain() -> bool:
    """Return whether the caller is called by a pipeline of Grain, in a worker or in process.

    As `in_grain_data_pipeline` of KerasHub does, by the files of the calling functions:
    https://github.com/keras-team/keras/blob/master/keras/src/utils/backend_utils.py

    >>> in_grain()
    False
    """
    if "grain" not in sys.modules:
        return False
    frame = sys._getframe(1)
    while frame is not None:
        if any(name in frame.f_code.co_filename for name in _GRAIN_FILES):
            return True
        frame = frame.f_back
    return False


def prepare_process() -> None:
    """Let JAX use the CPU alone, if this is a worker process of Grain: an accelerator belongs to
    the process that trains, and a second one that starts it fails, or takes its memory.

    >>> prepare_process()  # this is no worker
    """
    if in_grain():
        _use_cpu_in_worker()


@functools.cache
def _use_cpu_in_worker() -> None:
    if multiprocessing.parent_process() is not None:
        jax.config.update("jax_platforms", "cpu")


def to_numpy(tree: Any) -> Any:
    """Return a pytree with its arrays of JAX as NumPy's, which Grain hands from process to process.

    >>> type(to_numpy({"images": jax.numpy.zeros(2)})["images"]).__name__
    'ndarray'
    """

    def convert(leaf: Any) -> Any:
        has_values = isinstance(leaf, jax.Array) and not isinstance(leaf, jax.core.Tracer)
        return np.asarray(leaf) if has_values else leaf

    return jax.tree.map(convert, tree)


# -- Keras ---------------------------------------------------------------------------------------


def register_with_keras(cls: type) -> None:
    """Let Keras write and load objects of a class, as `jaxprep>Name`, if Keras has been imported.

    Keras finds no class of another package by its module, since a file could then name any:
    `_retrieve_class_or_fn` of
    https://github.com/keras-team/keras/blob/master/keras/src/saving/serialization_lib.py

    Args:
        cls: has `get_config` and `from_config`.

    >>> register_with_keras(Sizes)  # without Keras nothing happens
    """
    keras = sys.modules.get("keras")
    saving: Any = getattr(keras, "saving", None)
    layers: Any = getattr(keras, "layers", None)
    # a Keras that is being imported has not all of its names
    if not (hasattr(saving, "register_keras_serializable") and hasattr(layers, "Layer")):
        return
    register = saving.register_keras_serializable(package="jaxprep", name=cls.__name__)
    register(cls)
    register(_layer_of(cls, layers.Layer))  # of the two of one name the last is what is loaded


@functools.cache
def _layer_of(cls: Any, layer: Any) -> type:
    """Return a Keras layer that calls an object of `cls`, and equals it.

    A task of KerasHub loads its preprocessor with `keras.layers.deserialize`, which takes layers
    alone: https://github.com/keras-team/keras/blob/master/keras/src/layers/__init__.py
    """

    class Loaded(NoAutoGraph, layer):
        def __init__(self, wrapped: Any):
            layer.__init__(self, name=getattr(wrapped, "name", None))
            self.wrapped = wrapped

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return self.wrapped(*args, **kwargs)

        def __getattr__(self, name: str) -> Any:
            if name.startswith("_") or name == "wrapped":
                raise AttributeError(name)
            return getattr(self.wrapped, name)

        def __eq__(self, other: object) -> bool:
            return self.wrapped == getattr(other, "wrapped", other)

        def __hash__(self) -> int:
            return hash(self.wrapped)

        def get_config(self) -> Any:
            return self.wrapped.get_config()

        @staticmethod
        def from_config(config: Any) -> Any:
            return Loaded(cls.from_config(config))

    Loaded.__name__ = Loaded.__qualname__ = cls.__name__
    return Loaded
