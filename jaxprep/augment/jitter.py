"""Random steps that change colours, sharpness and values; boxes, keypoints and masks stay."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp

from jaxprep import codec
from jaxprep.augment import color, filter, lookup
from jaxprep.augment import operation as operations
from jaxprep.augment.color import Reference
from jaxprep.augment.numbers import (
    Range,
    below,
    between,
    check_range,
    units,
)
from jaxprep.augment.operation import Operation, apply_operations
from jaxprep.pipeline.step import Opaque, Sometimes

Factor = float | Range
"""A range of factors; or one number `x` for `(max(0, 1 - x), 1 + x)`."""
JITTERS = ("brightness", "contrast", "saturation")


@dataclass(frozen=True)
class ColorJitter(Sometimes, Opaque):
    """Changes brightness, contrast, saturation and hue of a uint8 image, in random order.

    torchvision's `ColorJitter`, whose order of the four is drawn, too: it matters.

    Attributes:
        brightness, contrast, saturation: ranges of factors; 0.4 means 0.6 to 1.4; 0 leaves out.
        hue: range of turns of the colour circle, up to 0.5; 0.1 means -0.1 to 0.1.
        probability: of changing anything.
        reference: "pillow" (of PIL images) or "torchvision" (of uint8 tensors).
        every: see `ops.Sometimes`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> image = np.full((4, 4, 3), 100, np.uint8)
    >>> ColorJitter(0.4, 0.4, 0.4)(Batch(image=image), key=jax.random.key(0)).image.shape
    (4, 4, 3)
    """

    brightness: Factor = 0.0
    contrast: Factor = 0.0
    saturation: Factor = 0.0
    hue: Factor = 0.0
    probability: float = 1.0
    reference: Reference = "pillow"
    every: int = 1

    def check(self) -> None:
        for name in JITTERS:
            check_range(self._range(name), f"$.{name}", 0.0)
        low, high = self._range("hue")
        if not -0.5 <= low <= high <= 0.5:
            raise codec.expected("turns within -0.5 to 0.5", self.hue, "$.hue")

    def _range(self, name: str) -> Range:
        value = getattr(self, name)
        if isinstance(value, tuple):
            return value
        if name == "hue":
            return -value, value
        return max(0.0, 1.0 - value), 1.0 + value

    @property
    def names(self) -> tuple[str, ...]:
        """What is changed: names of `JITTERS`, and "hue"."""
        unchanged = {"hue": (0.0, 0.0)}
        names = (*JITTERS, "hue")
        return tuple(n for n in names if self._range(n) != unchanged.get(n, (1.0, 1.0)))

    def draw(self, key: Any, size: Any) -> Operation:
        """Return the changes in the order in which they are made, stacked."""
        del size
        count = len(self.names) + 1
        drawn = units(key, 2 * count - 1)
        changes = [operations.nothing()]
        for name, unit in zip(self.names, drawn, strict=False):
            amount = between(unit, *self._range(name))
            if name == "hue":
                changes.append(operations.hue_of(amount))
            else:
                changes.append(operations.blend_of(name, amount))
        # a random order: that of random numbers
        order = jnp.argsort(drawn[count - 1 :])
        return operations.at(operations.stack(changes), order)

    def unchanged(self, draw: Any) -> Any:
        return operations.without_effect(draw)

    def apply(self, image: Any, draw: Any = None) -> Any:
        return apply_operations(image, draw, names=self.names, reference=self.reference)

    def describe(self) -> str:
        return f"change {', '.join(self.names) or 'nothing'}, in random order{self.how_often()}"


def _check_sigma(sigma: Range) -> None:
    check_range(sigma, "$.sigma", 0.0)
    if sigma[1] > filter.LARGEST_SIGMA:
        raise codec.expected(f"at most {filter.LARGEST_SIGMA:g} pixels", sigma, "$.sigma")


def _check_threshold(threshold: float) -> None:
    if not 0 <= threshold <= 256:
        raise codec.expected("a threshold of 0 to 256", threshold, "$.threshold")


class RandomChange(Sometimes, Opaque):
    """Base class of steps that change an image, or not.

    Attributes:
        probability: of the change.
        every: see `ops.Sometimes`; a field of all of them.

    >>> issubclass(RandomInvert, RandomChange)
    True
    """

    def draw(self, key: Any, size: Any) -> tuple[Any, Any]:
        """Return that the image is changed, and the numbers of `amounts`."""
        del size
        return jnp.bool_(True), self.amounts(key)

    def unchanged(self, draw: Any) -> Any:
        return False, draw[1]

    def amounts(self, key: Any) -> Any:
        """Return what else is drawn."""
        del key
        return ()

    def tables(self, amounts: Any) -> tuple[Any, ...]:
        """Return the arrays that `change` takes after its amounts."""
        del amounts
        return ()

    @abstractmethod
    def change(self, image: Any, amounts: Any, *tables: Any) -> Any:
        """Return the changed image."""

    def apply(self, image: Any, draw: Any = None) -> Any:
        is_changed, amounts = draw
        image = jnp.asarray(image)
        # not inside of the branch, see `following`
        tables = [color.following(array, image) for array in self.tables(amounts)]

        def changed(image: Any) -> Any:
            return self.change(image, amounts, *tables)

        return jax.lax.cond(is_changed, changed, lambda image: image, image)


@dataclass(frozen=True)
class RandomGrayscale(RandomChange):
    """Makes a uint8 image gray, with as many channels as it has; torchvision's `RandomGrayscale`.

    Attributes:
        probability: of the change.
        reference: "pillow" (of PIL images) or "torchvision" (of uint8 tensors).
        every: see `ops.Sometimes`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> image = np.uint8([[[255, 0, 0]]])
    >>> RandomGrayscale(1.0)(Batch(image=image), key=jax.random.key(0)).image.tolist()
    [[[76, 76, 76]]]
    """

    probability: float = 0.1
    reference: Reference = "pillow"
    every: int = 1

    def change(self, image: Any, amounts: Any, *tables: Any) -> Any:
        return color.grayscale(image, reference=self.reference)


@dataclass(frozen=True)
class RandomInvert(RandomChange):
    """Inverts a uint8 image; torchvision's `RandomInvert`.

    Attributes:
        probability: of each image to be changed.
        every: see `ops.Sometimes`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> RandomInvert(1.0)(Batch(image=np.uint8([[[7]]])), key=jax.random.key(0)).image.item()
    248
    """

    probability: float = 0.5
    every: int = 1

    def change(self, image: Any, amounts: Any, *tables: Any) -> Any:
        return lookup.invert(image)


@dataclass(frozen=True)
class RandomPosterize(RandomChange):
    """Keeps the highest bits of a uint8 image; torchvision's `RandomPosterize`.

    Attributes:
        bits: how many, 0 to 8.
        probability: of the change.
        every: see `ops.Sometimes`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> image = np.uint8([[[255]]])
    >>> RandomPosterize(4, 1.0)(Batch(image=image), key=jax.random.key(0)).image.item()
    240
    """

    bits: int
    probability: float = 0.5
    every: int = 1

    def check(self) -> None:
        if not 0 <= self.bits <= 8:
            raise codec.expected("0 to 8 bits", self.bits, "$.bits")

    def change(self, image: Any, amounts: Any, *tables: Any) -> Any:
        return lookup.posterize(image, self.bits)


@dataclass(frozen=True)
class RandomSolarize(RandomChange):
    """Inverts the values of a uint8 image from a threshold on; torchvision's `RandomSolarize`.

    Attributes:
        threshold: 0 (all values) to 256 (none).
        probability: of the change.
        every: see `ops.Sometimes`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> image = np.uint8([[[100]], [[200]]])
    >>> step = RandomSolarize(128.0, 1.0)
    >>> step(Batch(image=image), key=jax.random.key(0)).image.ravel().tolist()
    [100, 55]
    """

    threshold: float
    probability: float = 0.5
    every: int = 1

    def check(self) -> None:
        _check_threshold(self.threshold)

    def change(self, image: Any, amounts: Any, *tables: Any) -> Any:
        return lookup.solarize(image, self.threshold)


@dataclass(frozen=True)
class RandomAutocontrast(RandomChange):
    """Stretches the values of each channel of a uint8 image; torchvision's `RandomAutocontrast`.

    Attributes:
        probability: of each image to be changed.
        reference: "pillow" or "torchvision".
        every: see `ops.Sometimes`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> image = np.uint8([[[10], [20]]])
    >>> RandomAutocontrast(1.0)(Batch(image=image), key=jax.random.key(0)).image.ravel().tolist()
    [0, 255]
    """

    probability: float = 0.5
    reference: Reference = "pillow"
    every: int = 1

    def tables(self, amounts: Any) -> tuple[Any, ...]:
        del amounts
        return lookup.rounded_down() if self.reference == "pillow" else ()

    def change(self, image: Any, amounts: Any, *tables: Any) -> Any:
        lookup.check_image(image, self.reference)
        table = lookup.autocontrast_table(image, self.reference, tables or None)
        return lookup.look_up(image, table)


@dataclass(frozen=True)
class RandomEqualize(RandomChange):
    """Evens the histogram of each channel of a uint8 image; torchvision's `RandomEqualize`.

    Attributes:
        probability: of each image to be changed.
        every: see `ops.Sometimes`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> image = np.uint8([[[5], [6]]] * 300)
    >>> RandomEqualize(1.0)(Batch(image=image), key=jax.random.key(0)).image[0].ravel().tolist()
    [0, 255]
    """

    probability: float = 0.5
    every: int = 1

    def change(self, image: Any, amounts: Any, *tables: Any) -> Any:
        return lookup.equalize(image)


@dataclass(frozen=True)
class RandomSharpness(RandomChange):
    """Changes the sharpness of a uint8 image; torchvision's `RandomAdjustSharpness`.

    Attributes:
        factor: 0 is smooth, 1 leaves the image, 2 is sharper; a range is drawn from.
        probability: of the change.
        reference: "pillow" (of PIL images) or "torchvision" (of uint8 tensors).
        every: see `ops.Sometimes`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> image = np.uint8([[0, 0, 0], [0, 130, 0], [0, 0, 0]])[..., None]
    >>> RandomSharpness(2.0, 1.0)(Batch(image=image), key=jax.random.key(0)).image[1, 1].item()
    210
    """

    factor: float | Range
    probability: float = 0.5
    reference: Reference = "pillow"
    every: int = 1

    @property
    def factors(self) -> Range:
        """The range of factors."""
        return self.factor if isinstance(self.factor, tuple) else (self.factor, self.factor)

    def check(self) -> None:
        check_range(self.factors, "$.factor", 0.0)

    def amounts(self, key: Any) -> Any:
        return between(units(key, 1)[0], *self.factors)

    def change(self, image: Any, amounts: Any, *tables: Any) -> Any:
        return filter.adjust_sharpness(image, amounts, reference=self.reference)


@dataclass(frozen=True)
class RandomBlur(RandomChange):
    """Blurs a uint8 image with a Gaussian.

    Attributes:
        sigma: range of the standard deviation, in pixels; above 0 for reference "torchvision".
        probability: of the change.
        kernel_size: of reference "torchvision", odd.
        reference: "torchvision" (`GaussianBlur`, a sampled Gaussian) or "pillow"
            (`ImageFilter.GaussianBlur` of timm, DINO and DeiT III: three box blurs).
        every: see `ops.Sometimes`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> image = np.full((8, 8, 1), 7, np.uint8)
    >>> RandomBlur((0.1, 2.0))(Batch(image=image), key=jax.random.key(0)).image[0, 0].item()
    7
    """

    sigma: Range = (0.1, 2.0)
    probability: float = 1.0
    kernel_size: int = 23
    reference: Literal["pillow", "torchvision"] = "pillow"
    every: int = 1

    def check(self) -> None:
        _check_sigma(self.sigma)
        if self.reference == "torchvision" and self.sigma[0] == 0:
            raise codec.expected("a standard deviation above 0", self.sigma, "$.sigma")
        if not 1 <= self.kernel_size <= 999 or self.kernel_size % 2 == 0:
            raise codec.expected("an odd number of pixels", self.kernel_size, "$.kernel_size")

    def amounts(self, key: Any) -> Any:
        return between(units(key, 1)[0], *self.sigma)

    def tables(self, amounts: Any) -> tuple[Any, ...]:
        if self.reference == "torchvision":
            return (filter.gaussian_kernel(amounts, self.kernel_size),)
        return (filter.box_weights(amounts, largest=self.sigma[1]),)

    def change(self, image: Any, amounts: Any, *tables: Any) -> Any:
        if self.reference == "torchvision":
            return filter.kernel_blur(image, *tables)
        return filter.weighted_blur(image, *tables)


@dataclass(frozen=True)
class ThreeAugment(Sometimes, Opaque):
    """Makes a uint8 image gray, solarizes it, or blurs it: DeiT III's 3-Augment.

    https://arxiv.org/abs/2204.07118; its colour jitter of 0.3 is a step of its own. The numbers are
    those of timm's policy `3a`.

    Attributes:
        threshold: of solarizing.
        sigma: range of the blur's standard deviation, in pixels; Pillow's blur.
        probability, every: how many images are changed; see `ops.Sometimes`.

    >>> import numpy as np
    >>> from jaxprep import Batch
    >>> image = np.full((8, 8, 3), 7, np.uint8)
    >>> ThreeAugment()(Batch(image=image), key=jax.random.key(0)).image.shape
    (8, 8, 3)
    """

    threshold: float = 128.0
    sigma: Range = (0.1, 2.0)
    probability: float = 1.0
    every: int = 1

    def check(self) -> None:
        _check_threshold(self.threshold)
        _check_sigma(self.sigma)

    def draw(self, key: Any, size: Any) -> tuple[Any, Any]:
        """Return which of the three, and the standard deviation of the blur."""
        del size
        drawn = units(key, 2)
        return below(drawn[0], 3), between(drawn[1], *self.sigma)

    def unchanged(self, draw: Any) -> Any:
        return 3, draw[1]

    def apply(self, image: Any, draw: Any = None) -> Any:
        which, sigma = draw
        # made before the switch; see `color.following`
        weight = color.following(filter.box_weights(sigma, largest=self.sigma[1]), image)
        changes = (
            lambda image: lookup.solarize(image, self.threshold),
            color.grayscale,
            lambda image: filter.weighted_blur(image, weight),
            lambda image: image,
        )
        return jax.lax.switch(which, changes, jnp.asarray(image))

    def describe(self) -> str:
        return f"solarize, make gray, or blur{self.how_often()}"
