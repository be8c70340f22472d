"""Draws operations for one image: RandAugment, TrivialAugmentWide, AutoAugment, AugMix."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from jaxprep import codec
from jaxprep.augment import operation as operations
from jaxprep.augment.color import Reference, product, truncated
from jaxprep.augment.numbers import below, between, happens, log_gamma, normal, sign, units
from jaxprep.augment.operation import Operation, PolicyMethod, apply_operations
from jaxprep.augment.spaces import POLICIES, SPACES, Row, Space
from jaxprep.augment.warping import rotation, shear, translation
from jaxprep.errors import InputError
from jaxprep.pipeline.step import FillValue, Opaque, Sometimes, Step


def amount_of(row: Row, strength: Any, sign: Any) -> Any:
    """Return the amount of an operation at a strength: float32.

    Args:
        strength: 0 to 1.
        sign: 1 or -1, where the row is signed.

    >>> amount_of(Row("posterize", 8, -4, False, "even"), 0.3, 1).item()
    7.0
    """
    change = product(np.float32(abs(row.extent)), strength)
    if row.rounding == "even":
        change = jnp.round(change)
    # pixels are rounded where the side is known
    elif row.rounding == "truncate" and not row.name.startswith("translate"):
        change = jnp.floor(change)
    direction = np.float32(np.sign(row.extent))
    if row.signed:
        direction = direction * sign
    amount = np.float32(row.start) + direction * change
    return jnp.maximum(amount, np.float32(row.least))


def operation_of(row: Row, strength: Any, sign: Any, size: tuple[Any, Any]) -> Operation:
    """Return an operation of a space at a strength, for an image of `size` (height, width).

    >>> operation_of(Row("translate_x", 0, 0.5, True), 1.0, -1.0, (4, 8)).map.tolist()
    [1.0, 0.0, 4.0, 0.0, 1.0, -0.0]
    """
    amount = amount_of(row, strength, sign)
    height, width = (jnp.asarray(side, jnp.float32) for side in size)
    if row.name == "identity":
        return operations.nothing()
    if row.name == "rotate":
        return operations.warp_of(rotation(amount, size))
    if row.name == "shear_x":
        return operations.warp_of(shear(horizontal=amount))
    if row.name == "shear_y":
        return operations.warp_of(shear(vertical=amount))
    if row.name in ("translate_x", "shift_x"):
        right = _pixels(row, amount, width)
        return operations.warp_of(translation(right=right))
    if row.name in ("translate_y", "shift_y"):
        down = _pixels(row, amount, height)
        return operations.warp_of(translation(down=down))
    if row.name == "cutout":
        return operations.cutout_of(amount)
    if row.name in operations.BLENDS:
        return operations.blend_of(row.name, amount)
    return operations.table_of(row.name, amount)


def is_warp(row: Row) -> bool:
    """Return whether an operation moves pixels.

    >>> is_warp(Row("shear_x", 0, 0.3, True)), is_warp(Row("posterize"))
    (True, False)
    """
    return row.name == "rotate" or row.name.endswith(("_x", "_y"))


def _pixels(row: Row, amount: Any, side: Any) -> Any:
    # "translate" is by a share of the side, "shift" by pixels
    pixels = amount * side if row.name.startswith("translate") else amount
    if row.rounding == "truncate":
        return jnp.trunc(pixels)
    return pixels


NOTHING = -1
"""In place of the index of an operation: nothing is done."""


def drawn_operations(
    rows: Sequence[Row], index: Any, strength: Any, sign: Any, unit: Any, size: tuple[Any, Any]
) -> Operation:
    """Return operations of a space by their indices `(n,)`, which may be traced, stacked.

    Args:
        index: of `rows`, or `NOTHING`.
        strength, sign: `(n,)`, see `amount_of`.
        unit: `(n,)`, uniform numbers, by which method "random" chooses, and where a cutout is.

    >>> one = np.ones(2, np.float32)
    >>> drawn = jax.jit(lambda *numbers: drawn_operations(SPACES["timm"], *numbers, size=(4, 4)))
    >>> drawn(np.int32([2, -1]), one, one, one).variant.tolist()
    [3, 0]
    """
    # NOTHING, -1, is the last
    all_rows = (*rows, Row("identity"))
    bicubic = operations.RANDOM_METHODS.index("bicubic")
    cutout = operations.FAMILIES.index("cutout")
    has_cutout = any(row.name == "cutout" for row in rows)

    def one(index: Any, strength: Any, sign: Any, unit: Any) -> Operation:
        choices = [operation_of(row, strength, sign, size) for row in all_rows]
        stacked = operations.stack(choices)
        chosen = operations.at(stacked, index % len(all_rows))
        is_bicubic = operations.is_warp(chosen) & happens(unit, 0.5)
        variant = jnp.where(is_bicubic, bicubic, chosen.variant)
        if has_cutout:
            height, width = size
            pixel = below(unit, jnp.asarray(height, jnp.int32) * width)
            is_cutout = chosen.family == cutout
            variant = jnp.where(is_cutout, pixel, variant)
        return chosen._replace(variant=variant)

    numbers = (index, strength, sign, unit)
    arrays = [jnp.asarray(array) for array in numbers]
    return jax.vmap(one)(*arrays)


Spread = float | Literal["uniform"]
"""How far strengths lie from the one that is stated: a standard deviation; or they are uniform, up
to that one."""


def _check_spread(spread: Spread) -> None:
    if spread != "uniform" and not 0 <= spread <= 1:
        raise codec.expected("'uniform', or 0 to 1", spread, "$.strength_std")


def _strengths(strength: Any, spread: Spread, unit: Any) -> Any:
    """Strengths that lie around `strength`, by uniform numbers."""
    # `AugmentOp.__call__` of timm/data/auto_augment.py
    if spread == "uniform":
        return between(unit, 0, strength)
    drawn = strength + spread * normal(unit)
    return jnp.clip(drawn, 0, 1)


class Policy(Sometimes, Opaque):
    """Base class of steps that draw operations; masks, boxes and keypoints follow the warps.

    >>> issubclass(RandAugment, Policy)
    True
    """

    method: PolicyMethod = "nearest"
    fill: FillValue = 0.0
    reference: Reference = "pillow"

    @property
    @abstractmethod
    def rows(self) -> tuple[Row, ...]:
        """The operations that are drawn from."""

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of `apply_operation`."""
        kinds = {"warp" if is_warp(row) else row.name for row in self.rows}
        return {
            # sorted: every process has another order of a set of strings, and would of branches
            "names": tuple(sorted(kinds)),
            "method": self.method,
            "fill": self.fill,
            "reference": self.reference,
        }

    def apply(self, image: Any, draw: Any = None) -> Any:
        return apply_operations(image, draw, **self.settings)

    def unchanged(self, draw: Any) -> Any:
        return operations.without_effect(draw)

    def matrix(self, size: Any, draw: Any = None) -> Any:
        return operations.position_matrix(draw)

    def for_mask(self) -> Step:
        return MoveMask()

    def output_channels(self, channels: int) -> int:
        if np.size(self.fill) not in (1, channels):
            raise InputError(
                f"Expected an image of {np.size(self.fill)} channels, since "
                f"{type(self).__name__} has a fill for each, got {channels} channels."
            )
        return channels


@dataclass(frozen=True)
class MoveMask(Opaque):
    """Moves a mask by the warps that were drawn for its image; outside it is 0.

    >>> from jaxprep.augment.operation import nothing, stack
    >>> MoveMask().apply(np.int32([[[7]]]), stack([nothing()])).item()
    7
    """

    def draw(self, key: Any, size: Any) -> Operation:
        """Return that nothing moves; the pipeline passes the draws of the image."""
        del key, size
        return operations.stack([operations.nothing()])

    def apply(self, image: Any, draw: Any = None) -> Any:
        return operations.move_mask(image, draw)


@dataclass(frozen=True)
class RandAugment(Policy):
    """Does `num_ops` operations of a space, at one strength, to a uint8 image.

    https://arxiv.org/abs/1909.13719. The defaults are torchvision's `RandAugment()` on a PIL image;
    timm's `rand-m9-mstd0.5-inc1` is strength 0.9, strength_std 0.05, operation_probability 0.5,
    space "timm_increasing" and method "random".

    Attributes:
        num_ops: how many, drawn with replacement.
        strength: 0 to 1: torchvision's `magnitude / (bins - 1)`, timm's and big_vision's
            `magnitude / 10`.
        strength_std: of a normal distribution around it, cut off at 0 and 1; "uniform" draws from 0
            to `strength`, as timm's `mstd` above 100 does.
        operation_probability: of each operation.
        space: whose operations; see `SPACES`.
        method, fill: of the warps.
        reference: of the colours.
        probability, every: how many images are changed; see `ops.Sometimes`.

    >>> from jaxprep import Batch
    >>> image = np.full((8, 8, 3), 7, np.uint8)
    >>> RandAugment()(Batch(image=image), key=jax.random.key(0)).image.shape
    (8, 8, 3)
    """

    num_ops: int = 2
    strength: float = 9 / 30
    strength_std: Spread = 0.0
    operation_probability: float = 1.0
    space: Space = "torchvision"
    method: PolicyMethod = "nearest"
    fill: FillValue = 0.0
    reference: Reference = "pillow"
    probability: float = 1.0
    every: int = 1

    def check(self) -> None:
        if not 1 <= self.num_ops <= 16:
            raise codec.expected("1 to 16 operations", self.num_ops, "$.num_ops")
        for name in ("strength", "operation_probability"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise codec.expected("0 to 1", share, f"$.{name}")
        _check_spread(self.strength_std)

    @property
    def rows(self) -> tuple[Row, ...]:
        return SPACES[self.space]

    def draw(self, key: Any, size: tuple[Any, Any]) -> Operation:
        """Return `num_ops` stacked operations."""
        drawn = units(key, 5, self.num_ops)
        index = below(drawn[0], len(self.rows))
        if self.operation_probability < 1:
            is_done = happens(drawn[1], self.operation_probability)
            index = jnp.where(is_done, index, NOTHING)
        strength = _strengths(self.strength, self.strength_std, drawn[2])
        return drawn_operations(self.rows, index, strength, sign(drawn[3]), drawn[4], size)

    def describe(self) -> str:
        space, strength = self.space, self.strength
        what = f"do {self.num_ops} random operations of {space!r} at strength {strength:g}"
        return what + self.how_often()


@dataclass(frozen=True)
class TrivialAugmentWide(Policy):
    """Does one operation at a random strength to a uint8 image; torchvision's `TrivialAugmentWide`.

    https://arxiv.org/abs/2103.10158

    Attributes:
        bins: how many strengths there are.
        method, fill: of the warps.
        reference: of the colours.
        probability, every: how many images are changed; see `ops.Sometimes`.

    >>> from jaxprep import Batch
    >>> image = np.full((8, 8, 3), 7, np.uint8)
    >>> TrivialAugmentWide()(Batch(image=image), key=jax.random.key(0)).image.shape
    (8, 8, 3)
    """

    bins: int = 31
    method: PolicyMethod = "nearest"
    fill: FillValue = 0.0
    reference: Reference = "pillow"
    probability: float = 1.0
    every: int = 1

    def check(self) -> None:
        if not 2 <= self.bins <= 1000:
            raise codec.expected("2 to 1000 strengths", self.bins, "$.bins")

    @property
    def rows(self) -> tuple[Row, ...]:
        return SPACES["torchvision_wide"]

    def draw(self, key: Any, size: tuple[Any, Any]) -> Operation:
        """Return one stacked operation."""
        drawn = units(key, 4, 1)
        index = below(drawn[0], len(self.rows))
        level = below(drawn[1], self.bins).astype(jnp.float32)
        strength = level / np.float32(self.bins - 1)
        return drawn_operations(self.rows, index, strength, sign(drawn[2]), drawn[3], size)

    def describe(self) -> str:
        return f"do one random operation of 14 at a random strength{self.how_often()}"


@dataclass(frozen=True)
class AutoAugment(Policy):
    """Does the two operations of a random sub-policy to a uint8 image.

    https://arxiv.org/abs/1805.09501

    Attributes:
        policy: "imagenet", "cifar10" or "svhn" of torchvision; timm's `original` and `v0`, and
            with "r" their variants with another posterize (that of `v0` blackens images).
        strength_std: of a normal distribution around each strength, timm's `mstd` / 10; or
            "uniform", as for `RandAugment`.
        method, fill: of the warps.
        reference: of the colours.
        probability, every: how many images are changed; see `ops.Sometimes`.

    >>> from jaxprep import Batch
    >>> image = np.full((8, 8, 3), 7, np.uint8)
    >>> AutoAugment()(Batch(image=image), key=jax.random.key(0)).image.shape
    (8, 8, 3)
    """

    policy: Literal[
        "imagenet", "cifar10", "svhn", "timm_original", "timm_originalr", "timm_v0", "timm_v0r"
    ] = "imagenet"
    strength_std: Spread = 0.0
    method: PolicyMethod = "nearest"
    fill: FillValue = 0.0
    reference: Reference = "pillow"
    probability: float = 1.0
    every: int = 1

    def check(self) -> None:
        _check_spread(self.strength_std)

    @property
    def rows(self) -> tuple[Row, ...]:
        return POLICIES[self.policy].rows

    def draw(self, key: Any, size: tuple[Any, Any]) -> Operation:
        """Return two stacked operations."""
        policy = POLICIES[self.policy]
        names = [row.name for row in self.rows]
        # arrays `(sub-policies, 2)`: of each, one of the two operations
        shape = (len(policy.pairs), 2)
        indices = np.zeros(shape, np.int64)
        probability = np.zeros(shape, np.float32)
        level = np.zeros(shape, np.float32)
        for i, pair in enumerate(policy.pairs):
            for j, part in enumerate(pair):
                name, part_probability, part_level = part
                indices[i, j] = names.index(name)
                probability[i, j] = part_probability
                level[i, j] = part_level
        strength = level / np.float32(policy.levels)
        drawn = units(key, 5, 2)
        which = below(drawn[0, 0], len(policy.pairs))
        kept = happens(drawn[1], jnp.asarray(probability)[which])
        index = jnp.where(kept, jnp.asarray(indices)[which], NOTHING)
        strengths = _strengths(jnp.asarray(strength)[which], self.strength_std, drawn[2])
        return drawn_operations(self.rows, index, strengths, sign(drawn[3]), drawn[4], size)

    def describe(self) -> str:
        return f"do the operations of a random sub-policy of {self.policy!r}{self.how_often()}"


@dataclass(frozen=True)
class AugMix(Policy):
    """Mixes a uint8 image with randomly augmented copies of it; torchvision's `AugMix`.

    https://arxiv.org/abs/1912.02781

    Attributes:
        severity: 1 to 10; strengths are drawn from the first so many tenths.
        width: how many chains of operations are mixed.
        depth: operations of a chain; -1 draws 1 to 3.
        alpha: of the Dirichlet and Beta distributions of the weights.
        method, fill: of the warps; torchvision's default is bilinear.
        reference: of the colours.
        probability, every: how many images are changed; see `ops.Sometimes`.

    >>> from jaxprep import Batch
    >>> image = np.full((8, 8, 3), 7, np.uint8)
    >>> AugMix(width=1, depth=1)(Batch(image=image), key=jax.random.key(0)).image.shape
    (8, 8, 3)
    """

    severity: int = 3
    width: int = 3
    depth: int = -1
    alpha: float = 1.0
    method: PolicyMethod = "bilinear"
    fill: FillValue = 0.0
    reference: Reference = "pillow"
    probability: float = 1.0
    every: int = 1

    def check(self) -> None:
        if not 1 <= self.severity <= 10:
            raise codec.expected("1 to 10", self.severity, "$.severity")
        if not 1 <= self.width <= 8:
            raise codec.expected("1 to 8 chains", self.width, "$.width")
        if self.depth != -1 and not 1 <= self.depth <= 8:
            raise codec.expected("1 to 8 operations, or -1", self.depth, "$.depth")
        if not 0 < self.alpha <= 1e4:
            raise codec.expected("a number above 0", self.alpha, "$.alpha")

    @property
    def rows(self) -> tuple[Row, ...]:
        return SPACES["torchvision_augmix"]

    def draw(self, key: Any, size: tuple[Any, Any]) -> tuple[Operation, Any]:
        """Return the operations `(width, depth)`, and the weights `(1 + width,)` of the image and
        of each chain."""
        # `AugMix.forward` of torchvision/transforms/autoaugment.py
        depth = 3 if self.depth == -1 else self.depth
        shape = (self.width, depth)
        numbers, mix = jax.random.split(key)
        drawn = units(numbers, 5, *shape)
        index = below(drawn[0], len(self.rows))
        if self.depth == -1:
            lengths = 1 + below(drawn[1, :, :1], 3)
            is_in_chain = np.arange(depth) < lengths
            index = jnp.where(is_in_chain, index, NOTHING)
        # `magnitudes[randint(severity)]` of 10 strengths, of 0 to 1
        level = below(drawn[2], self.severity)
        strength = level.astype(jnp.float32) / np.float32(9)
        operation = drawn_operations(
            self.rows,
            index.reshape(-1),
            strength.reshape(-1),
            sign(drawn[3]).reshape(-1),
            drawn[4].reshape(-1),
            size,
        )
        stacked = jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), operation)
        logs = log_gamma(mix, self.alpha, 2 + self.width)
        kept = jax.nn.sigmoid(logs[0] - logs[1])  # Beta(alpha, alpha)
        parts = jax.nn.softmax(logs[2:])  # of Dirichlet's distribution
        image_weight = kept[None]
        chain_weights = (1 - kept) * parts
        return stacked, jnp.concatenate([image_weight, chain_weights])

    def unchanged(self, draw: Any) -> Any:
        chains, weights = draw
        nothing = operations.without_effect(chains)
        # the image alone
        image_alone = jnp.zeros_like(weights).at[0].set(1)
        return nothing, image_alone

    def apply(self, image: Any, draw: Any = None) -> Any:
        chains, weights = draw
        image = jnp.asarray(image)
        mixed = product(image.astype(jnp.float32), weights[0])
        for i in range(self.width):
            chain = operations.at(chains, i)
            augmented = apply_operations(image, chain, **self.settings)
            mixed = mixed + product(augmented.astype(jnp.float32), weights[i + 1])
        # `mix.to(dtype=img.dtype)` of torch cuts fractions off
        return truncated(mixed)

    def matrix(self, size: Any, draw: Any = None) -> Any:
        # the copies move each in its own way, the image itself does not: positions are its
        return jnp.eye(3)

    def for_mask(self) -> Step | None:  # type: ignore[override]
        return None

    def describe(self) -> str:
        return f"mix with {self.width} augmented copies, severity {self.severity}{self.how_often()}"
