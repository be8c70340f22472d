"""Laws of random steps: what they draw, that draws are replayed, and what moves with the image."""

from __future__ import annotations

import dataclasses
import functools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.images import noise
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxprep import Batch, Pipeline, augment, ops
from jaxprep.augment.geometry import CropWindow
from jaxprep.errors import ConfigError, JaxprepError

pytestmark = pytest.mark.usefixtures("quick_compilation")

KEY = jax.random.key(3)
HEIGHT, WIDTH = 24, 30
STEPS = {
    "resized crop": augment.RandomResizedCrop((12, 10)),
    "tensorflow's crop": augment.RandomResizedCrop((12, 10), rule="tensorflow"),
    "crop": augment.RandomCrop((20, 24), padding=3, fill=7.0),
    "flip": augment.RandomFlip(0.5, 0.5),
    "rotation": augment.RandomRotation((-40.0, 40.0), method="bilinear"),
    "affine": augment.RandomAffine((-9.0, 9.0), (0.1, 0.2), (0.8, 1.2), (-5.0, 5.0)),
    "perspective": augment.RandomPerspective(probability=0.8),
    "jitter": augment.ColorJitter(0.4, 0.4, 0.4, 0.1),
    "hue": augment.ColorJitter(hue=0.1),
    "grayscale": augment.RandomGrayscale(0.5),
    "invert": augment.RandomInvert(),
    "posterize": augment.RandomPosterize(3),
    "solarize": augment.RandomSolarize(99.0),
    "autocontrast": augment.RandomAutocontrast(),
    "equalize": augment.RandomEqualize(),
    "sharpness": augment.RandomSharpness((0.5, 1.9)),
    "blur": augment.RandomBlur((0.1, 2.0), 0.5),
    "3-augment": augment.ThreeAugment(),
    "erasing": augment.RandomErasing(0.7, value=3.0, count=(1, 2)),
    "randaugment": augment.RandAugment(),
    # one operation: that they follow each other shows in those of torchvision
    "timm's randaugment": augment.RandAugment(
        num_ops=1,
        strength=0.9,
        strength_std=0.05,
        operation_probability=0.5,
        space="timm_increasing",
        method="random",
    ),
    "trivialaugment": augment.TrivialAugmentWide(),
    "autoaugment": augment.AutoAugment(),
    # each chain and each of its operations is compiled by itself: two show what nine do
    "augmix": augment.AugMix(width=2, depth=1),
}


def batch_of(count: int) -> Batch:
    boxes = np.tile(np.float32([[3, 4, 20, 19]]), (count, 1, 1))
    index = np.arange(count, dtype=np.int32) + 5
    # few of the values, which every step changes
    images = noise(count, HEIGHT, WIDTH, 3) // 2 + 40
    return Batch(image=images, boxes=boxes, index=index)


def take(batch: Batch, indices: Any) -> Batch:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[indices], batch)


def assert_same(got: Batch, want: Batch) -> None:
    np.testing.assert_array_equal(got.image, want.image)
    np.testing.assert_allclose(got.boxes, want.boxes, atol=1e-4)


# crops change the size, which must be the same for all images
SOMETIMES = [name for name in STEPS if isinstance(STEPS[name], ops.Sometimes)]

# several steps a program, which is compiled once for all of them
PROGRAMS = {
    "crops": ("crop", "tensorflow's crop", "resized crop"),
    "moves": ("flip", "rotation", "affine", "perspective"),
    "colours": ("jitter", "grayscale", "sharpness", "blur", "3-augment"),
    "tables": ("invert", "posterize", "solarize", "autocontrast", "equalize", "erasing"),
    "randaugment": ("randaugment",),
    "timm's randaugment": ("timm's randaugment",),
    "every family": ("hue", "trivialaugment"),
    "autoaugment": ("autoaugment",),
    "augmix": ("augmix",),
}


@functools.cache
def program(name: str) -> Pipeline:
    """The steps of a program, each of which leaves images of an odd index out if it can."""
    steps = []
    for step_name in PROGRAMS[name]:
        step = STEPS[step_name]
        steps.append(dataclasses.replace(step, every=2) if step_name in SOMETIMES else step)
    return Pipeline(tuple(steps))


@functools.cache
def result(name: str) -> Batch:
    return jax.tree.map(np.asarray, program(name)(batch_of(8), key=KEY))


def test_every_step_is_in_a_program():
    assert sorted(STEPS) == sorted(step for steps in PROGRAMS.values() for step in steps)


@pytest.mark.parametrize("name", PROGRAMS)
def test_an_example_is_the_same_in_any_batch(name):
    pipeline, batch, want = program(name), batch_of(8), result(name)
    assert np.any(want.image != batch.image[:, : want.image.shape[1], : want.image.shape[2]])
    order = [4, 2, 7, 7, 0, 1, 3, 5]
    assert_same(pipeline(take(batch, order), key=KEY), take(want, order))
    if name in ("crops", "tables", "timm's randaugment"):  # draws of every structure
        draws = take(pipeline.draw(KEY, batch), [4, 2])
        assert_same(pipeline(take(batch, [4, 2]), draws=draws), take(want, [4, 2]))


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_saved_and_says_what_it_does(name):
    pipeline = Pipeline((STEPS[name],))
    assert Pipeline.from_json(json.loads(json.dumps(pipeline.to_json()))) == pipeline
    assert STEPS[name].describe()


def test_devices_and_meshes_change_no_bit_and_need_no_exchange():
    """One program of every family of operations, jitted and on four devices;
    `parallel/test_same_bits.py` says so of crops and flips."""
    pipeline, batch, want = program("every family"), batch_of(8), result("every family")
    run = jax.jit(lambda batch, key: pipeline(batch, key=key))
    for kind in (AxisType.Auto, AxisType.Explicit):
        mesh = jax.make_mesh((4,), ("data",), axis_types=(kind,))
        sharded = jax.device_put(batch, NamedSharding(mesh, PartitionSpec("data")))
        with jax.set_mesh(mesh):
            compiled = run.lower(sharded, KEY).compile()
        got = compiled(sharded, KEY)
        text = compiled.as_text()
        assert_same(got, want)
        assert got.image.sharding.spec[0] == "data"
        for exchange in ("all-gather", "all-reduce", "all-to-all", "collective-permute"):
            assert exchange not in text


@pytest.mark.parametrize(
    "name", ["autocontrast", "blur", "3-augment", "equalize", "erasing", "perspective"]
)
def test_a_step_keeps_a_batch_divided_over_an_explicit_mesh(name):
    """JAX says so, or refuses the step, before anything is compiled."""
    mesh = jax.make_mesh((4,), ("data",))
    pipeline = Pipeline((STEPS[name],))
    sharded = jax.device_put(batch_of(8), NamedSharding(mesh, PartitionSpec("data")))
    with jax.set_mesh(mesh):
        got = jax.eval_shape(lambda batch: pipeline(batch, key=KEY), sharded)
    assert got.image.sharding.spec[0] == "data"


TENSORFLOW = augment.RandomResizedCrop(8, rule="tensorflow", scale=(0.05, 1.0))


@functools.cache
def windows_of(step: Any) -> Any:
    return jax.jit(jax.vmap(step.draw, (0, None)))


def windows(step: Any, size: tuple[int, int], count: int = 20000) -> CropWindow:
    sides = np.int32(size[0]), np.int32(size[1])
    return windows_of(step)(jax.random.split(KEY, count), sides)


@pytest.mark.parametrize(
    ("step", "size", "area", "whole"),
    [
        # simulated with the references' own rules: ../shared/reference/augmentation.md, 1.1
        (augment.RandomResizedCrop(8), (375, 500), 0.43, None),
        (TENSORFLOW, (375, 500), 0.34, None),
        (augment.RandomResizedCrop(8, scale=(0.9, 1.0)), (375, 500), None, 0.37),
        (augment.RandomResizedCrop(8), (300, 1200), None, 0.12),
    ],
)
def test_windows_have_the_area_and_the_fallback_of_their_rule(step, size, area, whole):
    drawn = windows(step, size)
    height, width = np.asarray(drawn.height), np.asarray(drawn.width)
    assert (height >= 1).all() and (np.asarray(drawn.top) + height <= size[0]).all()
    assert (width >= 1).all() and (np.asarray(drawn.left) + width <= size[1]).all()
    # 20,000 windows: the standard error of a mean or a share is below 0.004
    if area is not None:
        assert abs(np.mean(height * width) / (size[0] * size[1]) - area) < 0.012
    if whole is not None:
        middle_width = min(size[1], round(size[0] * 4 / 3))
        fallback = (height == size[0]) & (width == middle_width)
        assert abs(np.mean(fallback) - whole) < 0.012


def test_each_operation_of_a_policy_is_drawn_as_often():
    step = augment.RandAugment(num_ops=1)
    keys = jax.random.split(KEY, 14000)
    drawn = jax.jit(jax.vmap(lambda key: step.draw(key, (jnp.int32(24), jnp.int32(30)))))(keys)
    family = np.asarray(drawn.family)[:, 0]
    # 14 operations: 1 of nothing, 5 warps, 4 blends, 4 tables; 4 standard errors are 0.017
    shares = np.bincount(family, minlength=4) / len(family)
    np.testing.assert_allclose(shares, [1 / 14, 5 / 14, 4 / 14, 4 / 14], atol=0.017)


def test_chains_of_augmix_have_one_to_three_operations_as_often():
    step = augment.AugMix()
    keys = jax.random.split(KEY, 2000)
    drawn = jax.jit(jax.vmap(lambda key: step.draw(key, (jnp.int32(24), jnp.int32(30)))))(keys)
    family = np.asarray(drawn[0].family)
    assert family.shape == (2000, 3, 3)
    is_in_chain = family != 0
    assert is_in_chain[..., 0].all()
    # 6,000 chains: 4 standard errors are 0.024
    shares = is_in_chain.mean((0, 1))
    np.testing.assert_allclose(shares, [1, 2 / 3, 1 / 3], atol=0.024)


@pytest.mark.parametrize("name", ["rotation", "affine", "perspective", "randaugment", "crop, flip"])
def test_boxes_and_masks_move_with_the_image(name):
    """A rectangle of 200s: its box is around what is seen, and its mask is where it is seen."""
    steps = (STEPS.get(name),)
    if name == "randaugment":
        steps = (augment.RandAugment(num_ops=2, strength=0.3),)
    if name == "crop, flip":
        steps = (augment.RandomCrop((56, 64), padding=4), STEPS["flip"])
    image = np.zeros((4, 60, 72, 3), np.uint8)
    image[:, 22:38, 26:46] = 200
    boxes = np.tile(np.float32([[26, 22, 46, 38]]), (4, 1, 1))
    mask = (image[..., 0] > 0).astype(np.int32)
    pipeline = Pipeline(steps, kinds=(("mask", "mask"),))
    result = pipeline(Batch(image=image, boxes=boxes, extras={"mask": mask}), key=KEY)
    result = jax.device_get(result)
    for i in range(4):
        seen = result.extras["mask"][i]
        rows, columns = np.nonzero(seen)
        around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(result.boxes[i, 0], around, atol=1.5)
        if name != "randaugment":  # whose colours change
            assert np.mean((result.image[i, ..., 0] > 100) == (seen > 0)) > 0.98


def test_a_mask_of_a_resized_crop_has_the_classes_of_the_mask_alone():
    mask = np.zeros((4, 40, 50), np.uint8)
    mask[:, 10:30, 15:35] = 200
    image = np.repeat(mask[..., None], 3, -1)
    masks = {"levels": mask, "classes": mask.astype(np.int32)}
    step = augment.RandomResizedCrop(24)
    pipeline = Pipeline((step,), kinds=dict.fromkeys(masks, "mask"))
    result = pipeline(Batch(image=image, extras=masks), key=KEY)
    for name, given in masks.items():
        seen = np.asarray(result.extras[name])
        assert seen.dtype == given.dtype and set(np.unique(seen)) == {0, 200}
        assert np.mean((np.asarray(result.image[..., 0]) > 100) == (seen > 0)) > 0.97


def test_all_steps_but_crops_may_leave_images_out():
    assert set(STEPS) - set(SOMETIMES) == {"resized crop", "tensorflow's crop", "crop"}


@pytest.mark.parametrize("name", [name for name in PROGRAMS if name != "crops"])
def test_an_image_that_is_left_out_stays_as_it_is(name):
    batch, got = batch_of(8), result(name)
    assert set(PROGRAMS[name]) <= set(SOMETIMES)
    left_out = batch.index % 2 == 1
    np.testing.assert_array_equal(got.image[left_out], batch.image[left_out])
    np.testing.assert_array_equal(got.boxes[left_out], batch.boxes[left_out])
    is_changed = (got.image != batch.image).any((1, 2, 3))
    assert is_changed[~left_out].any()


def test_an_image_is_left_out_by_its_index_or_by_its_number():
    """The draw is kept, or is the one that changes nothing, of the same structure and shapes."""
    steps = [dataclasses.replace(STEPS[name], probability=0.25, every=3) for name in SOMETIMES]

    @jax.jit
    def draw_all(index, unit):
        draws = [step.draw(KEY, (jnp.int32(7), jnp.int32(9))) for step in steps]
        chosen = [step.sometimes(draw, index, unit) for step, draw in zip(steps, draws)]
        return draws, chosen, [step.unchanged(draw) for step, draw in zip(steps, draws)]

    draws, chosen, unchanged = draw_all(6, 0.2)
    jax.tree.map(np.testing.assert_array_equal, chosen, draws)
    for index, unit in ((6, 0.3), (7, 0.2)):
        _, chosen, _ = draw_all(index, unit)
        assert jax.tree.map(jnp.shape, chosen) == jax.tree.map(jnp.shape, draws)
        jax.tree.map(np.testing.assert_array_equal, chosen, unchanged)


def test_every_counts_examples_of_the_stream_and_probability_is_drawn_for_each():
    steps = (augment.RandomInvert(1.0, every=3), augment.RandomFlip(1.0, probability=0.4))
    pipeline = Pipeline(steps, kinds={"mask": "mask"})
    index = np.arange(2000) + 7
    image = np.broadcast_to(np.uint8([[[10], [20]]]), (2000, 1, 2, 1))
    boxes = np.broadcast_to(np.float32([[0, 0, 1, 1]]), (2000, 1, 4))
    batch = Batch(image=image, index=index, boxes=boxes, extras={"mask": image})
    result = jax.tree.map(np.asarray, pipeline(batch, key=KEY))
    inverted = result.image.sum((1, 2, 3)) > 30
    np.testing.assert_array_equal(inverted, index % 3 == 0)
    mirrored = result.extras["mask"][:, 0, 0, 0] == 20
    np.testing.assert_array_equal(result.boxes[:, 0, 0] == 1, mirrored)
    # 2,000 images: 4 standard errors are 0.044
    assert abs(mirrored.mean() - 0.4) < 0.044
    assert abs(mirrored[inverted].mean() - 0.4) < 0.08
    part = jax.tree.map(lambda leaf: leaf[[70, 3]], batch)
    np.testing.assert_array_equal(pipeline(part, key=KEY).image, result.image[[70, 3]])


def test_erasing_fills_what_was_drawn_and_nothing_else():
    image = np.ones((16, 40, 50, 3), np.float32)
    modes = ("constant", "channel", "pixel")
    pipelines = [Pipeline((augment.RandomErasing(1.0, mode=mode, value=9.0),)) for mode in modes]

    @jax.jit
    def erased(batch):
        return [(one.draw(KEY, batch), one(batch, key=KEY).image) for one in pipelines]

    for mode, ((draws,), result) in zip(modes, jax.device_get(erased(Batch(image=image)))):
        for i in range(16):
            top, left, height, width = (int(leaf[i, 0]) for leaf in draws[:4])
            inside = np.zeros((40, 50), bool)
            inside[top : top + height, left : left + width] = True
            assert 0.015 < inside.mean() < 0.36
            assert (result[i][~inside] == 1).all()
            if mode == "constant":
                assert (result[i][inside] == 9).all()
            if mode == "channel":
                assert len(np.unique(result[i][inside], axis=0)) == 1
    # noise of mode "pixel" is normal
    noise_values = result[0][result[0] != 1]
    assert abs(noise_values.mean()) < 0.2 and 0.8 < noise_values.std() < 1.2


@pytest.mark.parametrize(
    "make",
    [
        lambda: augment.RandomResizedCrop(8, scale=(0.5, 2.0)),
        lambda: augment.RandomResizedCrop(8, antialias=False),
        lambda: augment.RandomFlip(1.5),
        lambda: augment.ColorJitter(hue=0.7),
        lambda: augment.RandAugment(num_ops=0),
        lambda: augment.RandAugment(strength=9),
        lambda: augment.AutoAugment("imagenet2"),  # type: ignore[arg-type]
        lambda: augment.RandomErasing(count=(2, 1)),
        lambda: augment.RandomBlur((0.1, 1e9)),
        lambda: augment.RandomPosterize(9),
        lambda: augment.RandomFlip(every=0),
        lambda: augment.TrivialAugmentWide(probability=-0.1),
        lambda: augment.RandAugment(operation_probability=2.0),
        lambda: augment.RandAugment(strength_std=-0.1),
        lambda: augment.AutoAugment(strength_std=5.0),
        lambda: augment.RandomBlur((0.0, 2.0), reference="torchvision"),
    ],
)
def test_a_number_that_means_nothing_is_refused_with_its_place(make):
    with pytest.raises(ConfigError, match=r"at `\$\.\w+`"):
        make()


def test_uniform_strengths_go_up_to_the_one_that_is_stated():
    step = augment.RandAugment(num_ops=16, strength=0.4, strength_std="uniform", space="timm")
    draw = jax.jit(jax.vmap(lambda key: step.draw(key, (jnp.int32(8), jnp.int32(8)))))
    draws = jax.tree.map(np.asarray, draw(jax.random.split(KEY, 8)))
    # the degrees of solarize_add, of 0 to 110
    added = draws.amount[(draws.family == 3) & (draws.variant == 2)]
    assert 0 <= added.min() < 15 and 29 < added.max() <= 44
    assert Pipeline.from_json(Pipeline((step,)).to_json()).steps == (step,)


def test_a_key_beside_draws_and_an_index_that_is_no_integer_are_refused():
    pipeline, batch = Pipeline((augment.RandomFlip(),)), Batch(image=np.zeros((2, 4, 4, 3)))
    with pytest.raises(JaxprepError, match="got both"):
        pipeline(batch, key=KEY, draws=pipeline.draw(KEY, batch))
    for index in (np.float32([0.2, 0.7]), np.array(["a", "b"]), [0.5, 1.0]):
        with pytest.raises(JaxprepError, match=r"integers.*at `batch\.index`"):
            pipeline(batch.replace(index=index), key=KEY)


def test_noise_on_an_image_of_integers_is_refused():
    for mode in ("channel", "pixel"):
        with pytest.raises(JaxprepError, match="after rescaling"):
            augment.RandomErasing(mode=mode)(Batch(image=np.zeros((8, 8, 3), np.uint8)), key=KEY)


@pytest.mark.parametrize(("name", "shape"), [("saturation", (16, 16, 1)), ("sharpness", (2, 256))])
def test_a_change_of_nothing_leaves_every_level(name, shape):
    image = np.resize(np.arange(256, dtype=np.uint8), (*shape[:2], 1))
    apply = functools.partial(
        augment.operation.apply_operation, names=(name,), reference="torchvision"
    )
    run = jax.jit(lambda factor: apply(image, augment.operation.blend_of(name, factor)))
    for factor in (0.3, 0.7, 1.1):
        np.testing.assert_array_equal(run(factor), image)


def test_a_fill_for_other_channels_than_those_of_the_image_is_refused():
    step = augment.TrivialAugmentWide(fill=(1.0, 2.0, 3.0))
    with pytest.raises(JaxprepError, match="3 channels"):
        step(Batch(image=np.zeros((4, 4, 1), np.uint8)), key=KEY)


def test_a_float_image_is_refused_where_the_arithmetic_is_of_uint8():
    with pytest.raises(JaxprepError, match="augment before rescaling"):
        augment.RandAugment(1)(Batch(image=np.zeros((4, 4, 3), np.float32)), key=KEY)
