"""One drawn operation of a policy, as data: RandAugment, AutoAugment and colour jitter are
sequences of these.

A policy draws one of some 15 operations for each image. Under `vmap`, `lax.switch` computes all of
them and keeps one; so they are grouped into four families of which each costs one pass over the
pixels: every geometric operation is a warp, every enhancement a blend, every change of values alone
a table. On CPU, where images go one by one, only what was drawn is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Shaped, UInt8

from jaxprep.augment import color, filter, lookup
from jaxprep.augment.color import Reference
from jaxprep.augment.warping import IDENTITY, Map, forward, warp
from jaxprep.pipeline.step import FillValue, fill_value
from jaxprep.types import Array

Family = Literal["none", "warp", "blend", "table", "hue", "cutout"]
FAMILIES: tuple[Family, ...] = ("none", "warp", "blend", "table", "hue", "cutout")
PolicyMethod = Literal["nearest", "bilinear", "bicubic", "random"]
"""How warps sample; "random" draws bilinear or bicubic for each, as timm does."""
RANDOM_METHODS = ("bilinear", "bicubic")
BLENDS = ("brightness", "contrast", "saturation", "sharpness", "contrast_tpu")
TABLES = ("posterize", "solarize", "solarize_add", "invert", "autocontrast", "equalize")


class Operation(NamedTuple):
    """What is done to one image.

    Attributes:
        family: int32 scalar, an index of `FAMILIES`.
        variant: int32 scalar, an index of `BLENDS`, `TABLES` or, for a warp, `RANDOM_METHODS`; for
            a cutout the number of its middle pixel, counted row by row.
        amount: float32 scalar: the factor of a blend, the bits, threshold or addition of a table,
            the turns of a hue, half the side of a cutout.
        map: `(6,)` float32 of a warp; see `warp`.

    >>> operation = blend_of("brightness", 0.5)
    >>> jax.jit(apply_operation)(np.uint8([[[100]]]), operation).item()
    50
    """

    family: Any
    variant: Any
    amount: Any
    map: Any


def nothing() -> Operation:
    """Return the operation that changes nothing.

    >>> jax.jit(lambda image: apply_operation(image, nothing()))(np.uint8([[[100]]])).item()
    100
    """
    return _operation("none")


def without_effect(operations: Operation) -> Operation:
    """Return operations of the same shapes that change nothing.

    >>> without_effect(stack([table_of("invert")])).family.tolist()
    [0]
    """
    unmoved = jnp.broadcast_to(IDENTITY, operations.map.shape)
    return operations._replace(family=jnp.zeros_like(operations.family), map=unmoved)


def warp_of(map: Map) -> Operation:
    """Return the operation that warps by an affine map.

    >>> from jaxprep.augment.warping import translation
    >>> apply_operation(np.uint8([[[1], [2]]]), warp_of(translation(right=1.0))).ravel().tolist()
    [0, 1]
    """
    return _operation("warp", map=map)


def blend_of(name: str, factor: Any) -> Operation:
    """Return the operation that changes brightness, contrast, saturation or sharpness.

    >>> blend_of("contrast", 0.5).amount.item()
    0.5
    """
    return _operation("blend", BLENDS.index(name), factor)


def table_of(name: str, amount: Any = 0.0) -> Operation:
    """Return the operation that posterizes, solarizes, inverts, stretches or equalizes values.

    >>> apply_operation(np.uint8([[[255]]]), table_of("posterize", 4)).item()
    240
    """
    return _operation("table", TABLES.index(name), amount)


def hue_of(turns: Any) -> Operation:
    """Return the operation that turns all hues, by a part of the colour circle.

    >>> hue_of(0.5).amount.item()
    0.5
    """
    return _operation("hue", 0, turns)


def cutout_of(half_side: Any, middle: Any = 0) -> Operation:
    """Return the operation that fills a square, as far as it is inside the image.

    Args:
        half_side: pixels.
        middle: number of the pixel in the middle, counted row by row.

    >>> image = np.full((1, 3, 1), 7, np.uint8)
    >>> apply_operation(image, cutout_of(1, middle=2), names=("cutout",)).ravel().tolist()
    [7, 0, 0]
    """
    return _operation("cutout", middle, half_side)


def _operation(
    family: Family, variant: Any = 0, amount: Any = 0.0, map: Any = IDENTITY
) -> Operation:
    return Operation(
        jnp.int32(FAMILIES.index(family)),
        jnp.int32(variant),
        jnp.asarray(amount, jnp.float32),
        jnp.asarray(map, jnp.float32),
    )


def is_warp(operation: Operation) -> Any:
    """Return whether an operation moves pixels, a bool scalar.

    >>> bool(is_warp(nothing()))
    False
    """
    return operation.family == FAMILIES.index("warp")


def stack(operations: Sequence[Operation]) -> Operation:
    """Return operations as one, with a leading axis.

    >>> stack([nothing(), nothing()]).family.shape
    (2,)
    """
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *operations)


def at(operations: Operation, index: Any) -> Operation:
    """Return the operation at an index, which may be traced, of stacked ones.

    >>> jax.jit(lambda i: at(stack([nothing(), blend_of("contrast", 2.0)]), i).amount)(1).item()
    2.0
    """
    return jax.tree.map(lambda leaf: leaf[index], operations)


def apply_operation(
    image: UInt8[Array, "h w c"],
    operation: Operation,
    *,
    names: Sequence[str] = ("warp", *BLENDS, *TABLES),
    method: PolicyMethod = "nearest",
    fill: FillValue = 0.0,
    reference: Reference = "pillow",
) -> UInt8[Array, "h w c"]:
    """Do what an operation says to one image.

    Args:
        image: values 0 to 255.
        names: what may occur: "warp", "hue", "cutout", names of `BLENDS` and of `TABLES`. Others
            change nothing, and are not compiled.
        method: of a warp.
        fill: of a warp and a cutout.
        reference: of the others.

    Raises:
        InputError: the image is not uint8 with 1 or 3 channels.

    >>> apply_operation(np.uint8([[[100]]]), table_of("invert")).item()
    155
    """
    color.check_image(image, reference)
    image = jnp.asarray(image)
    blends = [name for name in BLENDS if name in names]
    tables = [name for name in TABLES if name in names]
    branches: dict[Family, Callable[[Any], Any]] = {}
    # constants follow the image before the switch
    value: Any = color.following(fill_value(fill, image.dtype), image)
    if "warp" in names:
        branches["warp"] = lambda image: _warp(image, operation, method, value)
    if blends:
        branches["blend"] = lambda image: _blend(image, operation, blends, reference)
    if tables:
        rounded = [color.following(array, image) for array in lookup.rounded_down()]
        branches["table"] = lambda image: _look_up(image, operation, tables, reference, rounded)
    if "hue" in names:
        hsv = [color.following(array, image) for array in color.hsv_tables()]
        branches["hue"] = lambda image: _turn_hue(image, operation.amount, reference, hsv)
    if "cutout" in names:
        rows, columns = (color.following(np.arange(side), image) for side in image.shape[:2])
        branches["cutout"] = lambda image: _cut_out(image, operation, value, rows, columns)
    known: list[Family] = list(branches)
    # 0 changes nothing
    which = _position(operation.family, FAMILIES, known) + 1
    return lax.switch(which, [lambda image: image, *branches.values()], image)


def _cut_out(image: Any, operation: Operation, value: Any, rows: Any, columns: Any) -> Any:
    # `cutout` of big_vision/pp/autoaugment.py
    width = image.shape[1]
    half = operation.amount.astype(jnp.int32)
    row = rows[:, None] - operation.variant // width
    column = columns[None] - operation.variant % width
    inside = (row >= -half) & (row < half) & (column >= -half) & (column < half)
    return jnp.where(inside[..., None], value, image)


def _turn_hue(image: Any, turns: Any, reference: Reference, tables: Any) -> Any:
    if reference == "torchvision" or image.shape[-1] == 1:
        return color.adjust_hue(image, turns, reference=reference)
    return color.turn_integer_hue(image, turns, tables)


def _position(index: Any, names: Sequence[str], kept: Sequence[str]) -> Any:
    """Where name `index` of `names` is among those that are kept; -1 if it is not."""
    # compared, not looked up: see `color.following`
    position = jnp.int32(-1)
    for i, name in enumerate(kept):
        position = jnp.where(index == names.index(name), i, position)
    return position


def apply_operations(
    image: UInt8[Array, "h w c"], operations: Operation, **settings: Any
) -> UInt8[Array, "h w c"]:
    """Do several operations, stacked along a leading axis, one after the other.

    Args:
        settings: of `apply_operation`.

    >>> both = stack([table_of("invert"), blend_of("brightness", 2.0)])
    >>> apply_operations(np.uint8([[[200]]]), both).item()
    110
    """

    # no `lax.scan`: inside `shard_map`, under `vmap`, jax 0.10.2 refuses a body that indexes a
    # constant ("pvary is a invariant->variant collective")
    changed: Any = jnp.asarray(image)
    for i in range(operations.family.shape[0]):
        changed = apply_operation(changed, at(operations, i), **settings)
    return changed


def move_mask(
    mask: Shaped[Array, "h w c"], operations: Operation, *, fill: FillValue = 0.0
) -> Shaped[Array, "h w c"]:
    """Move a mask as the warps among the operations move its image, by nearest neighbour.

    >>> from jaxprep.augment.warping import translation
    >>> moved = stack([warp_of(translation(right=1.0))])
    >>> move_mask(np.int32([[[1], [2]]]), moved).ravel().tolist()
    [0, 1]
    """

    moving: Any = jnp.asarray(mask)
    for i in range(operations.family.shape[0]):
        operation = at(operations, i)

        def moved(mask: Any, map: Any = operation.map) -> Any:
            return warp(mask, map, fill=fill)

        moving = lax.cond(is_warp(operation), moved, lambda mask: mask, moving)
    return moving


def position_matrix(operations: Operation) -> jax.Array:
    """Return the matrix `(3, 3)` by which positions go through stacked operations, in order.

    >>> from jaxprep.augment.warping import translation
    >>> matrix = jax.jit(lambda right: position_matrix(stack([warp_of(translation(right=right))])))
    >>> matrix(1.0).tolist()[0]
    [1.0, 0.0, 1.0]
    """
    matrix: Any = jnp.eye(3)
    for i in range(operations.family.shape[0]):
        # the others have the map that moves nothing
        matrix = jnp.matmul(forward(operations.map[i]), matrix)
    return matrix


def _warp(image: Any, operation: Operation, method: PolicyMethod, fill: Any) -> Any:
    if method != "random":
        return warp(image, operation.map, method=method, fill=fill)

    def sampled(method: Any) -> Callable[[Any], Any]:
        return lambda image: warp(image, operation.map, method=method, fill=fill)

    return lax.switch(operation.variant, [sampled(method) for method in RANDOM_METHODS], image)


def _blend(image: Any, operation: Operation, names: Sequence[str], reference: Reference) -> Any:
    # all branches must vary over the same devices, black too
    zero = color.following(np.float32(0), image)

    def degenerate(name: str) -> Callable[[Any], Any]:
        def compute(image: Any) -> Any:
            return jnp.broadcast_to(_degenerate(name, image, reference), image.shape) + zero

        return compute

    branches = [degenerate(name) for name in names]
    other = lax.switch(_position(operation.variant, BLENDS, names), branches, image)
    factor = operation.amount
    for name in names:
        if _changes_nothing(name, image):
            factor = jnp.where(operation.variant == BLENDS.index(name), np.float32(1), factor)
    return color.blend(other, image, factor, reference)


def _changes_nothing(name: str, image: Any) -> bool:
    """Whether a blend is one of the image with itself, whose rounded sum may be a level less; then
    torchvision returns the image."""
    height, width, channels = image.shape
    is_gray = name == "saturation" and channels == 1
    return is_gray or (name == "sharpness" and min(height, width) < 3)


def _degenerate(name: str, image: Any, reference: Reference) -> Any:
    if name == "brightness":
        return jnp.zeros((), jnp.float32)
    if name == "contrast":
        return color.mean_gray(image, reference)
    if name == "contrast_tpu":
        # `contrast` of big_vision/pp/autoaugment.py sums up counts of pixels instead of levels
        return jnp.float32(min(image.shape[0] * image.shape[1] // 256, 255))
    if name == "saturation":
        return color.gray_values(image, reference).astype(jnp.float32)
    return filter.smooth(image).astype(jnp.float32)


def _look_up(
    image: Any, operation: Operation, names: Sequence[str], reference: Reference, rounded: Any
) -> Any:
    channels = image.shape[-1]
    amount = operation.amount
    whole = amount.astype(jnp.int32)
    tables: dict[str, Callable[[Any], Any]] = {
        "posterize": lambda image: lookup.posterize_table(whole, channels),
        "solarize": lambda image: lookup.solarize_table(amount, channels),
        "solarize_add": lambda image: lookup.solarize_add_table(whole, channels),
        "invert": lambda image: jnp.uint8(255 - lookup.values(channels)),
        "autocontrast": lambda image: lookup.autocontrast_table(image, reference, rounded),
        "equalize": lookup.equalize_table,
    }

    def following(name: str) -> Callable[[Any], Any]:
        return lambda image: color.following(tables[name](image), image)

    position = _position(operation.variant, TABLES, names)
    table = lax.switch(position, [following(name) for name in names], image)
    return lookup.look_up(image, table)
