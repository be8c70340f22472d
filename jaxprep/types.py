"""Defines `Batch`, the pytree that pipelines take and return, and the types of signatures."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeAlias

import jax
import jax.core
import numpy as np
from flax import struct
from jax import export

Array: TypeAlias = jax.Array | np.ndarray
Size: TypeAlias = tuple[int, int]
"""Height and width, in this order."""


@struct.dataclass
class Batch:
    """Holds images with their labels, boxes and sizes: a pytree whose leaves share a batch axis.

    A batch of one image has no batch axis: under `vmap` each leaf is one image's.

    Attributes:
        image: `(h, w, c)` or `(batch, h, w, c)`; a step that changes the layout says so. uint8 in
            [0, 255], another integer type, or floating point.
        label: any pytree; never touched. Called eagerly it never enters the compiled program, so
            any value passes unchanged, strings and int64 included; under the user's `jit` JAX's
            rules for dtypes hold.
        weight: sample weights; never touched, like `label`.
        index: `(batch,)` integers, the position of each image in its stream.
        size: `(2,)` or `(batch, 2)` int32, the valid height and width of `image`, which sits in the
            top-left corner of its canvas. None: all of the image is valid.
        boxes: `(n, 4)` or `(batch, n, 4)` float32, pixel corners `(x0, y0, x1, y1)` of the image.
        keypoints: `(n, 2)` or `(batch, n, 2)` float32, pixel positions `(x, y)` of the image.
        extras: arrays by name for everything else; which of them follow the image's geometry is
            stated by the pipeline's `kinds`.

    >>> batch = Batch(image=np.zeros((2, 4, 6, 3), np.uint8), label=["cat", "dog"])
    >>> [leaf.shape for leaf in jax.tree.leaves(batch.image)]
    [(2, 4, 6, 3)]
    >>> batch.replace(label=None).label is None
    True
    """

    image: Any = None
    label: Any = None
    weight: Any = None
    index: Any = None
    size: Any = None
    boxes: Any = None
    keypoints: Any = None
    extras: dict[str, Any] = struct.field(default_factory=dict)

    # `struct.dataclass` adds this method when the class is made, where pyright cannot see it.
    if TYPE_CHECKING:

        def replace(self, **changes: Any) -> Batch:
            """Return a copy with other values in some fields."""
            ...


# Without this `jax.export` refuses a function of a `Batch`. All fields are children of the pytree,
# so there is no auxiliary data to write:
# https://docs.jax.dev/en/latest/jax.export.html#jax.export.register_pytree_node_serialization
export.register_pytree_node_serialization(
    Batch,
    serialized_name="jaxprep.Batch",
    serialize_auxdata=lambda _: b"",
    deserialize_auxdata=lambda _: (),
)


def by(size: Size | None) -> str:
    """Format a size as height x width.

    >>> by((224, 160))
    '224 x 160'
    """
    return "varies" if size is None else f"{size[0]} x {size[1]}"


def is_torch(value: Any) -> bool:
    """Return whether a value is a tensor of torch, which is not imported to find out: whoever
    passes one has it.

    >>> is_torch(np.zeros(3))
    False
    """
    # a module that is being imported has no classes yet
    return isinstance(value, getattr(sys.modules.get("torch"), "Tensor", ()))


def from_torch(tensor: Any) -> np.ndarray:
    """Return the numbers of a tensor of torch on the host; those of bfloat16 as float32.

    Args:
        tensor: on any device, with a gradient or without.

    >>> class Tensor:
    ...     dtype = "torch.float32"
    ...     def detach(self):
    ...         return self
    ...     def cpu(self):
    ...         return np.zeros(3)
    >>> from_torch(Tensor()).tolist()
    [0.0, 0.0, 0.0]
    """
    # A gradient or a device would be refused by DLPack.
    tensor = tensor.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":
        tensor = tensor.float()  # DLPack has bfloat16, NumPy has not
    return np.from_dlpack(tensor)


def is_traced(tree: Any) -> bool:
    """Return whether any leaf is a tracer: whether a caller's `jit`, `vmap` or `grad` is at work.

    >>> is_traced(np.zeros(3))
    False
    """
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))
