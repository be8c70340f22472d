"""FLAVA: images, the pixels of its codebook, and which patches are masked in pretraining."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from jaxtyping import Int32

from jaxprep import codec, ops
from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface.builders.resolutions import LOGIT_LAPLACE_EPS
from jaxprep.huggingface.call import Call, Family, Results, image_results, read, run_each, sizes_of
from jaxprep.huggingface.images import Reading
from jaxprep.huggingface.operations import apply
from jaxprep.pipeline import Pipeline
from jaxprep.postprocess import method

MAX_PATCHES = 1024
"""Of a mask along an axis."""


def flava(call: Call) -> Results:
    """Return images; where the settings ask for them, `codebook_pixel_values`, and
    `bool_masked_pos`, 1 at the patches that are masked.

    Masks are drawn by Python's `random`, so that `random.seed(n)` gives those of the original.

    Raises:
        InputError: masks are asked for inside of a transformation.

    >>> from jaxprep.huggingface import FlavaImageProcessor
    >>> processor = FlavaImageProcessor(return_image_mask=True)
    >>> processor(np.zeros((20, 30, 3), np.uint8)).bool_masked_pos.shape
    (1, 14, 14)
    """
    images = read(call)
    settings = call.config.effective
    results = image_results(call, images)
    if settings.flag("return_codebook_pixels"):
        results["codebook_pixel_values"] = run_each(call, images, "codebook")
    if settings.flag("return_image_mask"):
        if call.is_traced:
            raise InputError(
                "Expected `return_image_mask=False` inside a transformation of JAX, where what is "
                "drawn once would be the mask of every call."
            )
        draw = generator_of(call.config)
        results["bool_masked_pos"] = np.stack([draw() for _ in sizes_of(images)])
    return results


FLAVA = Family(flava)


@dataclass(frozen=True)
class MaskingGenerator:
    """Draws which patches are masked: blocks, until there are enough.

    It calls Python's `random` as `FlavaMaskingGenerator` of
    `transformers/models/flava/image_processing_flava.py` does, which is BEiT's:
    https://github.com/microsoft/unilm/blob/master/beit/masking_generator.py

    Attributes:
        side: patches along each axis.
        total: how many patches are masked in the end, or a few less.
        least, most: of a block, about.
        least_ratio, most_ratio: of its height to its width.

    >>> random.seed(0)
    >>> int(MaskingGenerator(14, 75, 16, 75, 0.3, 1 / 0.3)().sum())
    75
    """

    side: int
    total: int
    least: int
    most: int
    least_ratio: float
    most_ratio: float

    def get_shape(self) -> tuple[int, int]:
        """Return the shape of a mask."""
        return self.side, self.side

    def __call__(self) -> Int32[np.ndarray, "side side"]:
        mask = np.zeros(self.get_shape(), np.int32)
        count = 0
        while count < self.total:
            added = self._add_block(mask, min(self.total - count, self.most))
            if not added:
                break
            count += added
        return mask

    def _add_block(self, mask: np.ndarray, most: int) -> int:
        """Mask a block in place, and return how many patches are new."""
        log_ratios = math.log(self.least_ratio), math.log(self.most_ratio)
        for _ in range(10):
            area = random.uniform(self.least, most)
            ratio = math.exp(random.uniform(*log_ratios))
            height = round(math.sqrt(area * ratio))
            width = round(math.sqrt(area / ratio))
            if width >= self.side or height >= self.side:
                continue
            top = random.randint(0, self.side - height)
            left = random.randint(0, self.side - width)
            block = mask[top : top + height, left : left + width]
            added = height * width - int(block.sum())
            if 0 < added <= most:
                block[:] = 1
                return added
        return 0


def generator_of(config: HuggingFace) -> MaskingGenerator:
    """Return what draws the masks of a processor.

    Raises:
        ConfigError: a setting that is no number of patches, or no ratio.

    >>> generator_of(HuggingFace("FlavaImageProcessor")).most
    75
    """
    settings = config.effective
    total = most = settings.integer("total_mask_patches", 0)
    if settings.get("mask_group_max_patches") is not None:
        most = settings.integer("mask_group_max_patches", 0)
    least_ratio = settings.number("mask_group_min_aspect_ratio", 1e-6, 1e6)
    most_ratio = 1 / least_ratio
    # 0 is none, too.
    if settings.get("mask_group_max_aspect_ratio"):
        most_ratio = settings.number("mask_group_max_aspect_ratio", 1e-6, 1e6)
    return MaskingGenerator(
        side=settings.integer("input_size_patches", 1, MAX_PATCHES),
        total=total,
        least=settings.integer("mask_group_min_patches", 0),
        most=most,
        least_ratio=least_ratio,
        most_ratio=most_ratio,
    )


# -- methods -------------------------------------------------------------------------------------


@method("FlavaImageProcessor", "masking_generator")
def masking_generator(
    input_size_patches: int,
    total_mask_patches: int,
    mask_group_min_patches: int,
    mask_group_max_patches: int | None,
    mask_group_min_aspect_ratio: float,
    mask_group_max_aspect_ratio: float | None,
) -> MaskingGenerator:
    """Return what draws masks of `input_size_patches` x `input_size_patches` (FLAVA).

    >>> masking_generator(14, 75, 16, None, 0.3, None)().shape
    (14, 14)
    """
    given = dict(locals())
    return generator_of(HuggingFace("FlavaImageProcessor", codec.plain(given)))


@method("FlavaImageProcessor", "map_pixels", settings=["config"])
def map_pixels(image: Any, *, config: HuggingFace) -> jax.Array:
    """Map pixels from [0, 1] to [0.1, 0.9] (FLAVA).

    >>> from jaxprep.huggingface import FlavaImageProcessor
    >>> pixels = FlavaImageProcessor().map_pixels(np.ones((3, 2, 2), np.float32))
    >>> round(float(pixels[0, 0, 0]), 6)
    0.9
    """
    pipeline = Pipeline((ops.Rescale(1 - 2 * LOGIT_LAPLACE_EPS, LOGIT_LAPLACE_EPS),))
    reading = Reading(on_torch=config.backend == "torchvision")
    return apply(lambda _: pipeline, image, reading)
