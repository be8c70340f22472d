"""Mixes the examples of a batch: mixup and cutmix of images, labels and sample weights.

Each example is mixed with one partner, that of the reversed batch: example i with example
n - 1 - i, as timm does. Padded examples (weight 0) are never mixed, so that nothing of them reaches
another image; no other library mixes weights.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from jaxprep import codec
from jaxprep.errors import InputError
from jaxprep.pipeline.step import Mix
from jaxprep.types import Batch


class MixDraw(NamedTuple):
    """What is drawn for a batch of n images.

    Attributes:
        share: `(n,)` float32, how much of each image is its own.
        is_cut: `(n,)` bool, whether it is mixed by a rectangle.
        center: `(n, 2)` float32 in [0, 1), the middle of that rectangle, as a share of the sides.

    >>> MixDraw(np.ones(1), np.zeros(1, bool), np.zeros((1, 2))).share.tolist()
    [1.0]
    """

    share: Any
    is_cut: Any
    center: Any


@dataclass(frozen=True)
class Mixing(Mix):
    """Mixes the images of a batch with each other, and their labels and weights alike.

    https://arxiv.org/abs/1710.09412 (mixup), https://arxiv.org/abs/1905.04899 (cutmix)

    Attributes:
        num_classes: of integer labels, which become one-hot; None where labels are probabilities.
        mixup: alpha of the Beta distribution of mixup's shares; 0 is never.
        cutmix: the same of cutmix.
        probability: of mixing at all.
        switch: probability of cutmix where both may be.
        mode: who shares a draw: the "batch"; each "pair" of partners (timm's `half`, `pair`); or
            every "element" draws its own.
        scope: "global" pairs across the whole batch, which moves images between devices;
            "device" pairs within what each device holds: on a mesh of explicit axes, or inside
            your own `shard_map` or `pmap`. (An Auto mesh shows no function how it is sharded.)
        smoothing: label smoothing, `y (1 - s) + s / num_classes`.

    >>> batch = Batch(image=np.zeros((2, 4, 4, 3), np.float32), label=np.int32([0, 1]))
    >>> jax.jit(Mixing(num_classes=2, mixup=0.2))(batch, jax.random.key(0)).label.shape
    (2, 2)
    """

    num_classes: int | None = None
    mixup: float = 0.0
    cutmix: float = 0.0
    probability: float = 1.0
    switch: float = 0.5
    mode: Literal["batch", "pair", "element"] = "batch"
    scope: Literal["global", "device"] = "global"
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        codec.check_fields(self)
        if self.num_classes is not None and not 1 <= self.num_classes <= 2**24:
            raise codec.expected("1 to 2**24 classes", self.num_classes, "$.num_classes")
        for name in ("mixup", "cutmix"):
            alpha = getattr(self, name)
            if not 0 <= alpha <= 1e4:
                raise codec.expected("0, or an alpha up to 10000", alpha, f"$.{name}")
        for name in ("probability", "switch", "smoothing"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise codec.expected("0 to 1", share, f"$.{name}")

    def __call__(self, batch: Batch, key: Any = None, *, draw: MixDraw | None = None) -> Batch:
        """Mix a batch of images.

        Args:
            batch: `image` `(n, h, w, c)` or `(n, c, h, w)`, floating point; `label` `(n,)` integers
                where `num_classes` is given, or `(n, k)` probabilities; `weight` `(n,)` or None.
            key: a `jax.random` key, the same on every device.
            draw: what to use instead of drawing.

        Returns:
            the batch with mixed images, labels `(n, k)` float32, and weights.

        Raises:
            InputError: the image is no batch or not floating point, there is neither key nor draw,
                or labels and weights are not what `checked` takes.
        """
        self._check_image(batch.image)
        batch = self.checked(batch)
        labels = self.soft_labels(batch.label)
        batch = batch.replace(label=labels)
        if not (self.mixup or self.cutmix):
            return batch
        if draw is None:
            if key is None:
                raise InputError("Expected a `key` to draw with: `jax.random.key(0)`.")
            draw = self.draw(key, batch.image.shape[0])
        others = (labels, batch.weight, draw)
        mix: Any = functools.partial(_mix, is_of_pairs=self.mode == "pair")
        axis = _explicit_axis(batch.image)
        if axis is not None:
            mesh = jax.typeof(batch.image).sharding.mesh
            spec = PartitionSpec(axis)
            # they follow the images: JAX refuses to combine what is sharded otherwise
            sharding = NamedSharding(mesh, spec)
            others = jax.tree.map(lambda leaf: jax.sharding.reshard(leaf, sharding), others)
            if self.scope == "device":
                mix = jax.shard_map(mix, mesh=mesh, in_specs=spec, out_specs=spec)
        image, label, weight = mix(batch.image, *others)
        return batch.replace(image=image, label=label, weight=weight)

    def describe(self) -> str:
        parts = [f"{name} {getattr(self, name):g}" for name in ("mixup", "cutmix")]
        if self.probability < 1:
            parts.append(f"probability {self.probability:g}")
        if self.smoothing:
            parts.append(f"label smoothing {self.smoothing:g}")
        if self.num_classes is not None:
            parts.append(f"{self.num_classes} classes")
        return f"{', '.join(parts)}; drawn for each {self.mode}"

    def draw(self, key: Any, count: int) -> MixDraw:
        """Draw the shares and rectangles for a batch of `count` images; a pair uses those of its
        first."""
        if self.mode == "batch":
            one = self._draw_one(key)
            return jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (count, *leaf.shape)), one)
        position = jnp.arange(count)
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(position)
        return jax.vmap(self._draw_one)(keys)

    def _draw_one(self, key: Any) -> MixDraw:
        mixup, cutmix, happens, which, center = jax.random.split(key, 5)
        is_cut = jnp.bool_(self.cutmix > 0)
        if self.mixup and self.cutmix:
            is_cut = jax.random.bernoulli(which, self.switch)
        # an alpha of 0 is not drawn from; its share is never taken
        alpha_mixup = self.mixup or 1.0
        alpha_cutmix = self.cutmix or 1.0
        of_mixup = jax.random.beta(mixup, alpha_mixup, alpha_mixup)
        of_cutmix = jax.random.beta(cutmix, alpha_cutmix, alpha_cutmix)
        share = jnp.where(is_cut, of_cutmix, of_mixup)
        is_mixed = jax.random.bernoulli(happens, self.probability)
        share = jnp.where(is_mixed, share, 1.0)
        share = share.astype(jnp.float32)
        center = jax.random.uniform(center, (2,))
        return MixDraw(share, is_cut, center)

    def soft_labels(self, label: Any) -> Any:
        """Return labels as probabilities `(n, num_classes)` float32, smoothed.

        >>> Mixing(num_classes=4, smoothing=0.2).soft_labels(np.int32([1])).tolist()
        [[0.05000000074505806, 0.8500000238418579, 0.05000000074505806, 0.05000000074505806]]
        """
        label = jnp.asarray(label)
        if self.num_classes is not None and label.ndim == 1:
            label = jax.nn.one_hot(label, self.num_classes)
        label = label.astype(jnp.float32)
        return label * (1 - self.smoothing) + self.smoothing / label.shape[-1]

    def checked(self, batch: Batch) -> Batch:
        """Return the batch with its labels and weights as arrays of a row for each image.

        Raises:
            InputError: there are no labels, or labels and weights of another shape or type; or,
                where they are on the host, labels beyond `num_classes`.
        """
        count = np.shape(batch.image)[0]
        weight = batch.weight
        if weight is not None:
            weight = _as_numbers(weight, "batch.weight")
            if np.shape(weight) != (count,):
                raise InputError(
                    f"Expected a weight for each of {count} images, got shape {np.shape(weight)} - "
                    "at `batch.weight`."
                )
        if batch.label is None:
            raise InputError(
                "Expected labels to mix with the images, got none - at `batch.label`. Without "
                "labels, mix nothing: `pipeline.replace(mixing=None)`."
            )
        label = _as_numbers(batch.label, "batch.label")
        self._check_labels(label, weight, count)
        return batch.replace(label=label, weight=weight)

    def _check_labels(self, label: Any, weight: Any, count: int) -> None:
        shape = np.shape(label)
        is_integer = jnp.issubdtype(label.dtype, jnp.integer)
        is_hard = len(shape) == 1 and self.num_classes is not None and is_integer
        is_soft = len(shape) == 2 and self.num_classes in (None, shape[-1])
        if not (is_hard or is_soft) or shape[0] != count:
            raise InputError(
                f"Expected labels of ({count},) integers with `num_classes`, or ({count}, "
                f"{self.num_classes or 'k'}) probabilities, got {label.dtype} {shape} - at "
                "`batch.label`."
            )
        # only labels on the host: one of JAX may be traced, or its computation not be finished yet
        if not is_hard or not isinstance(label, np.ndarray):
            return
        # a padded example may have any label
        is_used = weight > 0 if isinstance(weight, np.ndarray) else weight is None
        is_wrong = (label < 0) | (label >= self.num_classes)
        wrong = label[is_used & is_wrong]
        if wrong.size:
            raise InputError(
                f"Expected labels from 0 to {self.num_classes} - 1, as of {self.num_classes} "
                f"classes, got {wrong[0]} - at `batch.label`."
            )

    def _check_image(self, image: Any) -> None:
        if image.ndim != 4 or not jnp.issubdtype(image.dtype, jnp.floating):
            raise InputError(
                "Expected a batch of floating-point images (n, h, w, c) to mix, got "
                f"{image.dtype} {tuple(image.shape)}: rescale first."
            )


def _as_numbers(value: Any, where: str) -> Any:
    """A value as an array of numbers; one of JAX as it is."""
    array = value if isinstance(value, jax.Array) else np.asarray(value)
    if not (jnp.issubdtype(array.dtype, jnp.number) or array.dtype == jnp.bool_):
        raise InputError(f"Expected numbers, got {codec.shown(value)} - at `{where}`.")
    return array


def _explicit_axis(image: Any) -> Any:
    """The axes of an explicit mesh that the batch is sharded over; None where there is none."""
    sharding = jax.typeof(image).sharding
    if sharding.mesh.empty or not sharding.mesh.are_all_axes_explicit:
        return None
    return sharding.spec[0]


def _mix(
    image: Any, label: Any, weight: Any, draw: MixDraw, *, is_of_pairs: bool
) -> tuple[Any, Any, Any]:
    if is_of_pairs:
        # here, as it is known only now which images are partners
        position = np.arange(len(image))
        is_first = position <= position[::-1]
        draw = jax.tree.map(lambda leaf: _of_first(leaf, is_first), draw)
    share = draw.share
    if weight is not None:
        weight = jnp.asarray(weight, jnp.float32)
        # an example that is padded, or whose partner is, stays as it is
        both = (weight > 0) & (weight[::-1] > 0)
        share = jnp.where(both, share, 1.0)
    height, width, channel_axis = _sides(image)
    inside, cut_share = _rectangle(share, draw.center, height, width)
    share = jnp.where(draw.is_cut, cut_share, share)
    is_cut = draw.is_cut[:, None, None]
    outside = 1.0 - inside
    kept = jnp.where(is_cut, outside, share[:, None, None])
    kept = jnp.expand_dims(kept, channel_axis)
    other = image[::-1]
    # selected where nothing is mixed: 0 * infinity is NaN
    is_kept = kept == 1
    blended = image * kept + other * (1 - kept)
    mixed = jnp.where(is_kept, image, blended)
    mixed = jnp.where(kept == 0, other, mixed)
    mixed = mixed.astype(image.dtype)
    if weight is None:
        return mixed, _mean(label, share), None
    # the weighted mass of labels is kept: w' = share w_i + (1 - share) w_j
    image_weight = share * weight
    partner_weight = (1 - share) * weight[::-1]
    total = image_weight + partner_weight
    has_weight = total > 0
    divisor = jnp.where(has_weight, total, 1)
    label_share = jnp.where(has_weight, image_weight / divisor, 1.0)
    return mixed, _mean(label, label_share), total


def _of_first(drawn: Any, is_first: np.ndarray) -> Any:
    """What is drawn for the first of each two partners, for both of them."""
    other_axes = [1] * (drawn.ndim - 1)
    is_first = is_first.reshape(-1, *other_axes)
    return jnp.where(is_first, drawn, drawn[::-1])


def _mean(label: Any, share: Any) -> Any:
    return label * share[:, None] + label[::-1] * (1 - share[:, None])


def _sides(image: Any) -> tuple[int, int, int]:
    """Height, width and the axis of the channels, of `(n, h, w, c)` or `(n, c, h, w)`."""
    _, first, second, third = image.shape
    if first in (1, 3, 4) and third not in (1, 3, 4):
        return second, third, 1
    return first, second, -1


def _rectangle(share: Any, center: Any, height: int, width: int) -> tuple[Any, Any]:
    """Which pixels `(n, h, w)` are the partner's (1.0), and the share that is left."""
    # `rand_bbox` of https://github.com/huggingface/pytorch-image-models/blob/main/timm/data/mixup.py
    # (1.0.31): a rectangle of the image's aspect ratio around a random middle, cut off at the
    # border, so that the share of labels is that of the pixels which are left
    ratio = jnp.sqrt(1 - share)
    bounds = []
    for axis, side in enumerate((height, width)):
        length = (ratio * side).astype(jnp.int32)
        middle = (center[:, axis] * side).astype(jnp.int32)
        low = jnp.clip(middle - length // 2, 0, side)
        high = jnp.clip(middle + (length + 1) // 2, 0, side)
        bounds.append((low, high))
    (top, bottom), (left, right) = bounds
    row = np.arange(height)
    column = np.arange(width)
    in_rows = (row >= top[:, None]) & (row < bottom[:, None])
    in_columns = (column >= left[:, None]) & (column < right[:, None])
    inside = in_rows[:, :, None] & in_columns[:, None, :]
    inside = inside.astype(jnp.float32)
    area = (bottom - top) * (right - left)
    area = area.astype(jnp.float32)
    return inside, 1 - area / np.float32(height * width)
