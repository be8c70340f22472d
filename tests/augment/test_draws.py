"""Random steps with their draws given: what they make is what the step without a draw makes."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from jaxprep import Batch, Pipeline, augment, ops
from jaxprep.augment import operation as operations
from jaxprep.augment.geometry import CropWindow

KEY = jax.random.key(3)


@pytest.mark.parametrize("reference", ["pillow12", "torchvision"])
@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
def test_a_resized_crop_is_the_resize_of_the_crop_but_for_a_level_on_5e_4_of_the_values(
    method, reference, photos
):
    photo = np.asarray(Image.open(photos / "chelsea.jpg").convert("RGB"))
    step = augment.RandomResizedCrop((56, 48), method=method, reference=reference)  # type: ignore
    run = jax.jit(lambda image, *draws: Pipeline((step,))(Batch(image=image), draws=draws).image)
    generator = np.random.default_rng(4)
    different = count = 0
    for _ in range(12):
        height, width = generator.integers(5, 300), generator.integers(5, 450)
        top, left = generator.integers(0, 301 - height), generator.integers(0, 451 - width)
        window = CropWindow(*(np.int32(n) for n in (top, left, height, width)))
        got = np.asarray(run(photo, window)).astype(int)
        crop = photo[top : top + height, left : left + width]
        want = np.asarray(ops.resize(crop, (56, 48), method=method, reference=reference))
        assert np.abs(got - want).max() <= 1
        different += np.count_nonzero(got != want)
        count += want.size
    assert different <= 5e-4 * count


def test_a_jitter_does_its_changes_in_the_drawn_order_as_Pillow_does(photos):
    photo = np.asarray(Image.open(photos / "chelsea.jpg").convert("RGB"))[:64, :80]
    pipeline = Pipeline((augment.ColorJitter(0.4, 0.4, 0.4),))
    batch = Batch(image=np.stack([photo] * 6))
    (draws,) = pipeline.draw(KEY, batch)
    result = pipeline(batch, key=KEY).image
    enhancers = (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color)
    orders = set()
    for i in range(6):
        image, order = Image.fromarray(photo), []
        for family, variant, amount in zip(
            *(np.asarray(leaf)[i] for leaf in draws[:3]), strict=True
        ):
            if operations.FAMILIES[family] == "blend":
                order.append(int(variant))
                image = enhancers[variant](image).enhance(float(amount))
        orders.add(tuple(order))
        np.testing.assert_array_equal(result[i], np.asarray(image))
    assert len(orders) > 2


@pytest.mark.parametrize(("dtype", "low", "high"), [("uint16", 0, 60000), ("float32", -3, 900)])
def test_a_bicubic_warp_keeps_values_of_any_range(dtype, low, high):
    image = np.linspace(low, high, 16 * 20 * 3).reshape(16, 20, 3).astype(dtype)
    step = augment.RandomRotation((0.0, 0.0), method="bicubic")
    np.testing.assert_allclose(step(Batch(image=image), key=KEY).image, image, rtol=1e-6)


def test_an_index_of_python_draws_as_one_of_numpy_whatever_its_size():
    pipeline = Pipeline((augment.RandomCrop((4, 4)),))
    image = np.arange(20 * 20 * 3, dtype=np.uint16).reshape(20, 20, 3)

    def cropped(index):
        return np.asarray(pipeline(Batch(image=image, index=index), key=KEY).image)

    assert np.array_equal(cropped(2**40 + 5), cropped(np.int64(5)))
    assert np.array_equal(cropped(2**31), cropped(np.uint32(2**31)))
    assert not np.array_equal(cropped(5), cropped(6))
