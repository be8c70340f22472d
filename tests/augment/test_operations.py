"""What the operations of policies do to a photograph: as Pillow, torchvision and timm do.

Pillow is compared live; torchvision and timm by `goldens/augment.npz` (`goldens/write_augment.py`).
"""

from __future__ import annotations

import functools
from collections import defaultdict
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.images import noise
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from jaxprep.augment import color, filter, lookup, warping
from jaxprep.augment.operation import BLENDS, FAMILIES, apply_operation, cutout_of
from jaxprep.augment.policies import RandAugment, operation_of
from jaxprep.augment.spaces import SPACES
from jaxprep.errors import InputError

GOLDENS = np.load(Path(__file__).parents[1] / "goldens" / "augment.npz")
FILL = (124.0, 116.0, 104.0)
FACTORS = [0.0, 0.1, 0.5, 1.0, 1.3, 1.9]


def pictures(photos: Path) -> list[np.ndarray]:
    """A photograph, noise, few colours, one colour, and an image of 3 x 2 pixels."""
    photo = np.asarray(Image.open(photos / "chelsea.jpg").convert("RGB"))[100:161, 90:143]
    few = noise(61, 53, 3) // 51 * 51
    return [photo, noise(61, 53, 3), few, np.full((61, 53, 3), 7, np.uint8), noise(3, 2, 3)]


def assert_equal(got: Any, want: Any) -> None:
    np.testing.assert_array_equal(np.asarray(got), np.asarray(want))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (color.adjust_brightness, ImageEnhance.Brightness),
        (color.adjust_contrast, ImageEnhance.Contrast),
        (color.adjust_saturation, ImageEnhance.Color),
        (filter.adjust_sharpness, ImageEnhance.Sharpness),
    ],
)
def test_enhancements_are_those_of_Pillow_in_every_bit(ours, theirs, photos):
    ours = jax.jit(ours)
    for picture in pictures(photos):
        enhancer = theirs(Image.fromarray(picture))
        for factor in FACTORS:
            assert_equal(ours(picture, factor), enhancer.enhance(factor))


def test_tables_are_those_of_Pillow_in_every_bit(photos):
    posterize, solarize = jax.jit(lookup.posterize), jax.jit(lookup.solarize)
    without_number = {
        "autocontrast": lookup.autocontrast,
        "equalize": lookup.equalize,
        "invert": lookup.invert,
        "grayscale": color.grayscale,
    }
    others = jax.jit(lambda image: {name: run(image) for name, run in without_number.items()})
    for picture in pictures(photos):
        image = Image.fromarray(picture)
        for bits in range(1, 9):
            assert_equal(posterize(picture, bits), ImageOps.posterize(image, bits))
        for threshold in (0, 1, 100, 255, 256):
            assert_equal(solarize(picture, threshold), ImageOps.solarize(image, threshold))
        got = others(picture)
        assert_equal(got["autocontrast"], ImageOps.autocontrast(image))
        assert_equal(got["equalize"], ImageOps.equalize(image))
        assert_equal(got["invert"], ImageOps.invert(image))
        assert_equal(got["grayscale"], image.convert("L").convert("RGB"))


def test_autocontrast_truncates_as_the_float64_of_Pillow_does():
    """Where a stretched value is a whole number, float64 may fall below it."""
    stretch = jax.jit(lookup.autocontrast)
    for low in range(0, 255, 7):
        for high in range(low + 1, 256, 5):
            ramp = np.arange(256).clip(low, high).astype(np.uint8).reshape(16, 16, 1)
            image = Image.fromarray(ramp[..., 0])
            assert_equal(stretch(ramp)[..., 0], ImageOps.autocontrast(image))


@pytest.mark.parametrize("turns", [0.0, 0.1, -0.1, 0.3333, 0.5, -0.5])
def test_hues_are_those_of_Pillow_s_HSV_in_every_bit(turns, photos):
    adjust = jax.jit(color.adjust_hue)
    for picture in pictures(photos):
        hue, saturation, value = Image.fromarray(picture).convert("HSV").split()
        # `adjust_hue` of torchvision/transforms/_functional_pil.py
        turned = np.asarray(hue) + np.int32(turns * 255).astype(np.uint8)
        channels = (Image.fromarray(turned), saturation, value)
        assert_equal(adjust(picture, turns), Image.merge("HSV", channels).convert("RGB"))


@pytest.mark.parametrize("sigma", [0.1, 0.5, 1.0, 1.37, 2.0])
def test_the_box_blur_is_the_Gaussian_blur_of_Pillow_in_every_bit(sigma, photos):
    blur = jax.jit(filter.box_blur)
    for picture in pictures(photos)[:4]:
        want = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(sigma))
        assert_equal(blur(picture, sigma), want)


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
def test_warps_are_those_of_Pillow(method, photos):
    """Nearest: at most 1e-4 of the values differ, as coefficients are float32 here. Sums: by one
    level where a value is truncated, on 0.3 % of the values; at a border a position may fall on its
    other side."""
    resample = Image.Resampling[method.upper()]
    size = (61, 53)
    run = jax.jit(lambda image, map: warping.warp(image, map, method=method, fill=(1.0, 2.0, 3.0)))
    different = count = far = 0
    for picture in pictures(photos)[:3]:
        image = Image.fromarray(picture)
        pairs = []
        for degrees in (-30.0, -7.3, 12.0, 90.5, 135.0):
            rotated = image.rotate(degrees, resample=resample, fillcolor=(1, 2, 3))
            pairs.append((warping.rotation(degrees, size), rotated))
        for amount in (-0.37, 0.211, 0.99):
            data = {
                (1, amount, 0, 0, 1, 0): warping.shear(horizontal=amount),
                (1, 0, 0, amount, 1, 0): warping.shear(vertical=amount),
                (1, 0, -40 * amount, 0, 1, 0): warping.translation(right=40 * amount),
                (1, 0, 0, 0, 1, -9): warping.translation(down=9.0),
            }
            for numbers, map in data.items():
                kind = Image.Transform.AFFINE
                want = image.transform(image.size, kind, numbers, resample, fillcolor=(1, 2, 3))
                pairs.append((map, want))
        for map, want in pairs:
            difference = np.abs(np.asarray(run(picture, map)).astype(int) - np.asarray(want))
            different += np.count_nonzero(difference)
            far += np.count_nonzero(difference > 1)
            count += difference.size
    assert far <= 2e-4 * count
    assert different <= (1e-4 if method == "nearest" else 5e-3) * count


def cases() -> dict[str, list[str]]:
    found = defaultdict(list)
    for key in GOLDENS.files:
        space = key.split("/")[0]
        if space in SPACES:
            found[space].append(key)
    return found


@functools.cache
def run_of(method: str) -> Any:
    """One program for all operations, whose warps sample by `method`."""
    return jax.jit(functools.partial(apply_operation, method=method, fill=FILL))


@pytest.mark.parametrize("space", cases())
def test_each_operation_of_a_space_is_that_of_its_library(space):
    """Tables: in every bit. Colours: within a level, where the factor, float32 here and float64
    there, differs in its last bit. Warps: as in the test of Pillow's."""
    image = GOLDENS["image"]
    size = image.shape[:2]
    rows = {row.name.replace("shift", "translate"): row for row in SPACES[space]}
    operations = jax.jit(
        lambda strength, sign: {
            name: operation_of(row, strength, sign, size) for name, row in rows.items()
        }
    )
    seen = set()
    different = count = 0
    for key in cases()[space]:
        _, name, strength, sign, method = key.split("/")
        seen.add(name)
        # the translations of timm are told as `x_in = x + pixels`
        is_reversed = space.startswith("timm") and name.startswith("translate")
        direction = -float(sign) if is_reversed else float(sign)
        operation = operations(float(strength), direction)[name]
        got = np.asarray(run_of(method)(image, operation)).astype(int)
        difference = np.abs(got - GOLDENS[key])
        if name in ("rotate", "shear_x", "shear_y", "translate_x", "translate_y"):
            different += np.count_nonzero(difference > (method != "nearest"))
            count += difference.size
        else:
            assert difference.max() <= (name in BLENDS), key
    assert seen == set(rows)
    assert different <= 1e-3 * count


def test_tensors_are_changed_as_torchvision_changes_them():
    """Within one level, on at most 1 % of the values: torch contracts sums as its build does."""
    image = GOLDENS["image"]
    functions = {
        "brightness": color.adjust_brightness,
        "contrast": color.adjust_contrast,
        "saturation": color.adjust_saturation,
        "sharpness": filter.adjust_sharpness,
        "hue": color.adjust_hue,
        "grayscale": color.grayscale,
        "autocontrast": lookup.autocontrast,
    }
    for key in GOLDENS.files:
        kind, name, *amounts = key.split("/") if "/" in key else ("", "")
        if kind != "tensor" or name in ("blur", "equalize"):
            continue
        numbers = [float(amount) for amount in amounts]
        run = functools.partial(functions[name], reference="torchvision")
        # constants of the program: XLA contracts sums otherwise where a number is an argument
        got = jax.jit(lambda image, run=run, numbers=numbers: run(image, *numbers))(image)
        difference = np.abs(np.asarray(got).astype(int) - GOLDENS[key])
        assert difference.max() <= 1 and np.mean(difference > 0) <= 0.01, key
    blur = jax.jit(lambda image, sigma: filter.gaussian_blur(image, sigma, 9))
    for sigma in (0.1, 0.8, 2.0):
        got = np.asarray(blur(image, sigma)).astype(int)
        assert np.abs(got - GOLDENS[f"tensor/blur/{sigma}"]).max() <= 1
    assert_equal(jax.jit(lookup.equalize)(image), GOLDENS["tensor/equalize"])


@pytest.mark.parametrize("image", [np.zeros((4, 4, 3), np.float32), np.zeros((4, 4, 4), np.uint8)])
def test_an_image_that_has_no_such_arithmetic_is_refused(image):
    for change in (color.grayscale, lookup.equalize, lookup.invert, filter.box_blur):
        arguments = (1.0,) if change is filter.box_blur else ()
        with pytest.raises(InputError, match=r"uint8 image .* augment before rescaling"):
            jax.eval_shape(change, image, *arguments)


def test_the_operations_that_only_the_TPU_space_has_are_those_of_big_vision():
    """`cutout` and `contrast` of big_vision/pp/autoaugment.py, in NumPy."""
    assert len(SPACES["tpu"]) == 16
    rows = {row.name: row for row in SPACES["tpu"]}
    image = noise(61, 53, 3)
    run = jax.jit(
        functools.partial(apply_operation, names=("cutout", "contrast_tpu"), fill=(128.0,) * 3)
    )
    half = jax.jit(lambda: operation_of(rows["cutout"], 0.3, 1, (61, 53)).amount)()
    assert half == 12
    for row, column in ((0, 0), (30, 20), (60, 52), (5, 50)):
        want = image.copy()
        want[max(0, row - 12) : row + 12, max(0, column - 12) : column + 12] = 128
        assert_equal(run(image, cutout_of(half, row * 53 + column)), want)
    mean = np.float32(np.clip(61 * 53 / 256, 0, 255).astype(np.uint8))
    contrast = jax.jit(lambda strength: operation_of(rows["contrast_tpu"], strength, 1, (61, 53)))
    for strength in (0.0, 0.5, 1.0):
        operation = contrast(strength)
        factor = np.float32(0.1 + 1.8 * strength)
        blended = mean + factor * (image.astype(np.float32) - mean)
        got = np.asarray(run(image, operation)).astype(int)
        # the factor of float32 may be the number beside: a level where the sum is a whole number
        assert np.mean(got != np.clip(blended, 0, 255).astype(np.uint8)) < 1e-3
    drawn = RandAugment(num_ops=1, strength=1.0, space="tpu")
    keys = jax.random.split(jax.random.key(0), 4000)
    size = (jnp.int32(61), jnp.int32(53))
    draws = jax.jit(jax.vmap(lambda key: drawn.draw(key, size)))(keys)
    is_cutout = np.asarray(draws.family)[:, 0] == FAMILIES.index("cutout")
    # of 4,000: 4 standard errors are 0.016
    assert abs(is_cutout.mean() - 1 / 16) < 0.016
    rows_of, columns_of = np.divmod(np.asarray(draws.variant)[is_cutout, 0], 53)
    assert rows_of.min() < 6 and 54 < rows_of.max() < 61
    assert columns_of.min() < 6 and columns_of.max() > 46
