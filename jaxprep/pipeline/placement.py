"""Where results go: to the devices of the images that they are made of.

What goes in: arrays of the host, or of JAX. What comes out: a *placement*, which is a
`jax.sharding.Sharding`, or None for JAX's default device, and arrays that are put there.

* An image on one device is put on a canvas on the host, computed and stored on its device.
* An image or a batch on a mesh stays there: one program of all devices computes it. What belongs
  to it (a plan, boxes, masks) is put beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.core
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from jaxprep.errors import InputError

Placement = Sharding | None
"""Where an array is put: `jax.device_put` takes it. None is JAX's default device."""


def placement_of(value: Any) -> Placement:
    """Return where an array has been put; None if it may be anywhere, as NumPy arrays and JAX
    arrays that nobody has put on a device.

    Raises:
        InputError: it is on several devices without a mesh.

    >>> device = jax.devices()[0]
    >>> placement_of(jax.device_put(np.zeros(2), device)).device_set == {device}
    True
    >>> placement_of(np.zeros(2)) is None
    True
    """
    if not isinstance(value, jax.Array) or isinstance(value, jax.core.Tracer):
        return None
    # JAX moves what is not committed to the default device itself:
    # https://docs.jax.dev/en/latest/faq.html#controlling-data-and-computation-placement-on-devices
    if not getattr(value, "committed", True):
        return None
    sharding = value.sharding
    if not isinstance(sharding, NamedSharding | SingleDeviceSharding):
        raise InputError(
            "Expected an array on one device, or on a mesh (`NamedSharding`), got one with "
            f"{sharding!r:.200}: put it there with `jax.device_put`."
        )
    return sharding


def is_on_mesh(placement: Placement) -> bool:
    """Return whether arrays are held by a mesh, whose devices compute together.

    >>> is_on_mesh(NamedSharding(jax.make_mesh((1,), ("data",)), PartitionSpec())), is_on_mesh(None)
    (True, False)
    """
    return isinstance(placement, NamedSharding)


def common(values: Sequence[Any], where: str) -> Placement:
    """Return the one placement of several arrays.

    Args:
        where: their position in the call, for the message.

    Raises:
        InputError: they are on different devices.

    >>> common([np.zeros(2), np.zeros(3)], "x") is None
    True
    """
    first: Placement = None
    for i, value in enumerate(values):
        placement = placement_of(value)
        if placement is None:
            continue
        if first is not None and placement.device_set != first.device_set:
            raise InputError(
                f"Expected arrays on the same devices, to make one batch of them, got "
                f"{_devices(first)} and, at `{where}[{i}]`, {_devices(placement)}: put them on one "
                "device with `jax.device_put`, or call them one by one."
            )
        first = placement if first is None else first
    return first


def beside(tree: Any, placement: Placement, is_batch: bool, where: str) -> Any:
    """Put the arrays of a tree where an image is, so that one program may take all of them.

    Args:
        placement: of the image, or of a batch of them.
        is_batch: whether every array has the batch axis of the images; it is sharded as theirs.
        where: the position of the tree in the call, for the message.

    Raises:
        InputError: an array has been put on other devices than the image.

    >>> placement = NamedSharding(jax.make_mesh((1,), ("data",)), PartitionSpec("data"))
    >>> beside(np.zeros((2, 3)), placement, is_batch=True, where="plan").sharding.spec
    P('data',)
    """
    if placement is None:
        return tree
    target = placement
    if isinstance(placement, NamedSharding):
        target = along_batch(placement) if is_batch else replicated(placement)

    def put(leaf: Any) -> Any:
        own = placement_of(leaf)
        if own is not None and own.device_set != placement.device_set:
            raise InputError(
                f"Expected arrays where the image is, {_devices(placement)}, got one on "
                f"{_devices(own)} - at `{where}`. Put it there with `jax.device_put`."
            )
        return jax.device_put(leaf, target)

    return jax.tree.map(put, tree)


def along_batch(placement: NamedSharding) -> NamedSharding:
    """Return the same mesh, with the first axis sharded as it is and all others whole.

    >>> mesh = jax.make_mesh((1, 1), ("data", "model"))
    >>> along_batch(NamedSharding(mesh, PartitionSpec("data", "model"))).spec
    P('data',)
    """
    return NamedSharding(placement.mesh, PartitionSpec(*placement.spec[:1]))


def replicated(placement: NamedSharding) -> NamedSharding:
    """Return the same mesh, with an array whole on each of its devices.

    >>> replicated(NamedSharding(jax.make_mesh((1,), ("data",)), PartitionSpec("data"))).spec
    P()
    """
    return NamedSharding(placement.mesh, PartitionSpec())


def of_result(placement: Placement, axes: Sequence[int | None], shape: Sequence[int]) -> Placement:
    """Return the placement of a result, from that of an image.

    Args:
        axes: for each axis of the result, the image's axis that it was; None for a new one.
        shape: of the result. An axis whose length the devices do not divide is whole on each.

    >>> placement = NamedSharding(jax.make_mesh((1,), ("data",)), PartitionSpec("data"))
    >>> of_result(placement, (None, 0), (3, 2)).spec
    P(None, 'data')
    """
    if not isinstance(placement, NamedSharding):
        return placement
    spec = []
    for axis, length in zip(axes, shape, strict=True):
        names = None
        if axis is not None and axis < len(placement.spec):
            names = placement.spec[axis]
        spec.append(names if _divides(placement, names, length) else None)
    return NamedSharding(placement.mesh, PartitionSpec(*spec))


def _divides(placement: NamedSharding, names: Any, length: int) -> bool:
    if names is None:
        return True
    sharded_over = names if isinstance(names, tuple) else (names,)
    count = int(np.prod([placement.mesh.shape[name] for name in sharded_over]))
    return length % count == 0


def _devices(placement: Sharding) -> str:
    devices = sorted(placement.device_set, key=lambda device: device.id)
    return ", ".join(str(device) for device in devices[:8])
