"""Random steps for training: each draws its numbers for one image, and then does what they say.

A random step is called with a key, from which each image of a batch draws by its own index: so an
example is augmented in the same way whatever the size of its batch, and on any number of devices.
Steps that change colours take uint8 images: they stand before the rescale.

>>> import jax, numpy as np
>>> from jaxprep import Batch, Pipeline, augment, ops
>>> steps = (augment.RandomResizedCrop(8), augment.RandomFlip(), augment.ColorJitter(0.4))
>>> pipeline = Pipeline((*steps, ops.Rescale(1 / 255)))
>>> batch = Batch(image=np.zeros((2, 20, 30, 3), np.uint8), index=np.arange(2))
>>> pipeline(batch, key=jax.random.key(0)).image.shape
(2, 8, 8, 3)
"""

from jaxprep.augment.color import (
    adjust_brightness,
    adjust_contrast,
    adjust_hue,
    adjust_saturation,
    grayscale,
)
from jaxprep.augment.erase import RandomErasing
from jaxprep.augment.filter import adjust_sharpness, box_blur, gaussian_blur
from jaxprep.augment.geometry import (
    RandomAffine,
    RandomCrop,
    RandomFlip,
    RandomPerspective,
    RandomResizedCrop,
    RandomRotation,
)
from jaxprep.augment.jitter import (
    ColorJitter,
    RandomAutocontrast,
    RandomBlur,
    RandomEqualize,
    RandomGrayscale,
    RandomInvert,
    RandomPosterize,
    RandomSharpness,
    RandomSolarize,
    ThreeAugment,
)
from jaxprep.augment.lookup import autocontrast, equalize, invert, posterize, solarize, solarize_add
from jaxprep.augment.mix import Mixing
from jaxprep.augment.policies import AugMix, AutoAugment, RandAugment, TrivialAugmentWide
from jaxprep.augment.recipes import Recipe
from jaxprep.augment.warping import warp

__all__ = [
    "AugMix",
    "AutoAugment",
    "ColorJitter",
    "Mixing",
    "RandAugment",
    "RandomAffine",
    "RandomAutocontrast",
    "RandomBlur",
    "RandomCrop",
    "RandomEqualize",
    "RandomErasing",
    "RandomFlip",
    "RandomGrayscale",
    "RandomInvert",
    "RandomPerspective",
    "RandomPosterize",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomSharpness",
    "RandomSolarize",
    "Recipe",
    "ThreeAugment",
    "TrivialAugmentWide",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "autocontrast",
    "box_blur",
    "equalize",
    "gaussian_blur",
    "grayscale",
    "invert",
    "posterize",
    "solarize",
    "solarize_add",
    "warp",
]
