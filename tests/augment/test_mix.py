"""Laws of mixing: labels follow the pixels, weights the labels, and padding reaches nothing."""

from __future__ import annotations

import functools
import json
from typing import Any

import jax
import numpy as np
import pytest
from helpers.images import noise
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxprep import Batch, Pipeline, augment, ops
from jaxprep.augment.mix import MixDraw
from jaxprep.errors import ConfigError, InputError

pytestmark = pytest.mark.usefixtures("quick_compilation")
KEY = jax.random.key(11)


def batch_of(count: int, weight: list[float] | None = None) -> Batch:
    """Image i has the value i, so that what is mixed shows."""
    image = np.broadcast_to(
        np.arange(count, dtype=np.float32)[:, None, None, None], (count, 16, 20, 3)
    )
    weights = None if weight is None else np.float32(weight)
    return Batch(image=np.float32(image), label=np.arange(count, dtype=np.int32), weight=weights)


@functools.cache
def jitted(mixing: augment.Mixing) -> Any:
    return jax.jit(mixing)


# a mode for each way to mix: the mode says who shares a draw, the alphas what is drawn
MIXINGS = {
    "batch": augment.Mixing(num_classes=8, cutmix=1.0, mode="batch"),
    "pair": augment.Mixing(num_classes=8, mixup=0.8, mode="pair"),
    "element": augment.Mixing(num_classes=8, mixup=0.8, cutmix=1.0, mode="element"),
}


def mixed(mode: str, key: jax.Array) -> Batch:
    """Mix eight examples by a mode: by "element" with weights, as the examples with padding are."""
    batch = batch_of(8, [1] * 8 if mode == "element" else None)
    return jitted(MIXINGS[mode])(batch, key)


@pytest.mark.parametrize("mode", MIXINGS)
def test_a_label_is_the_mean_of_labels_that_the_pixels_are_of_images(mode):
    for i in range(5):
        result = mixed(mode, jax.random.fold_in(KEY, i))
        pixels = np.asarray(result.image)[..., 0].mean((1, 2))
        labels = np.asarray(result.label)
        np.testing.assert_allclose(labels.sum(1), 1, rtol=1e-6)
        np.testing.assert_allclose(pixels, labels @ np.arange(8), rtol=1e-4, atol=1e-4)
        # only an example and its partner, of the reversed batch
        for j in range(8):
            assert set(np.flatnonzero(labels[j])) <= {j, 7 - j}


@pytest.mark.parametrize("mode", MIXINGS)
def test_shares_are_those_of_a_batch_of_a_pair_or_of_an_element(mode):
    share = np.asarray(mixed(mode, KEY).label).diagonal()
    assert len(set(share)) == {"batch": 1, "pair": 4, "element": 8}[mode]
    np.testing.assert_array_equal(share == share[::-1], mode != "element")


def test_a_padded_example_reaches_no_other_and_stays_padded():
    batch = batch_of(8, [1, 2, 1, 0.5, 1, 3, 0, 0])
    image = np.array(batch.image)
    image[6:] = np.nan
    are_cut = set()
    for i in range(5):
        key = jax.random.fold_in(KEY, i)
        result = jitted(MIXINGS["element"])(batch.replace(image=image), key)
        got = np.asarray(result.image)
        # the partners of the padded ones, 0 and 1, are left alone
        np.testing.assert_array_equal(got[:2], image[:2])
        assert np.isfinite(got[:6]).all()
        np.testing.assert_array_equal(np.asarray(result.weight)[[0, 1, 6, 7]], [1, 2, 0, 0])
        # the weighted mass of labels of a pair is that of its images by their shares
        mass = np.asarray(result.label) * np.asarray(result.weight)[:, None]
        for j, partner in ((2, 5), (3, 4)):
            share = mass[j, j] / batch.weight[j]
            np.testing.assert_allclose(
                mass[j, partner], (1 - share) * batch.weight[partner], rtol=1e-4
            )
            are_cut.add(bool(np.isin(got[j], (j, partner)).all()))
    assert are_cut == {False, True}  # some by mixup


def test_smoothing_is_that_of_optax_and_timm():
    mixing = augment.Mixing(num_classes=5, smoothing=0.1)
    labels = mixing(batch_of(5)).label
    np.testing.assert_allclose(labels, np.eye(5) * 0.9 + 0.02, rtol=1e-6)


def test_a_rectangle_of_odd_sides_is_where_timm_cuts_it():
    """`rand_bbox` of timm 1.0.31, with 0.45 of the sides, around (8, 10) and near a corner."""
    mixing = augment.Mixing(num_classes=4, cutmix=1.0, mode="element")
    share = np.full(4, 1 - 0.45**2, np.float32)
    center = np.float32([[0.5, 0.5], [0.1, 0.95]] * 2)
    draw = MixDraw(share, np.ones(4, bool), center)
    cut = jax.jit(lambda batch, draw: mixing(batch, draw=draw).image)
    result = np.asarray(cut(batch_of(4), draw))[..., 0]
    rectangles = [slice(5, 12), slice(6, 15)], [slice(0, 5), slice(15, 20)]
    for i in range(4):
        expected = np.full((16, 20), i, np.float32)
        rows, columns = rectangles[i % 2]
        expected[rows, columns] = 3 - i
        np.testing.assert_array_equal(result[i], expected)


def test_the_corrected_share_of_cutmix_averages_0_68():
    """alpha 1: rectangles are cut off at the border (measured with timm's rule)."""
    mixing = augment.Mixing(num_classes=2, cutmix=1.0, mode="element")
    image = np.zeros((4000, 32, 32, 1), np.float32)
    labels = np.zeros((4000, 2), np.float32)
    labels[:2000, 0] = labels[2000:, 1] = 1
    result = jax.jit(mixing)(Batch(image=image, label=labels), KEY)
    own = np.concatenate([np.asarray(result.label)[:2000, 0], np.asarray(result.label)[2000:, 1]])
    # 4000 shares of standard deviation 0.3: 4 standard errors are 0.02
    assert abs(own.mean() - 0.68) < 0.02


@pytest.mark.parametrize(
    ("scope", "kind"),
    # of all examples on an explicit mesh: `test_recipes.py`
    [("global", AxisType.Auto), ("device", AxisType.Auto), ("device", AxisType.Explicit)],
)
def test_devices_mix_all_examples_or_their_own(scope, kind):
    mixing = augment.Mixing(num_classes=8, mixup=0.8, cutmix=1.0, scope=scope)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(kind,))
    sharding = NamedSharding(mesh, PartitionSpec("data"))
    batch = batch_of(8, [1] * 8)
    run = jax.jit(mixing)
    with jax.set_mesh(mesh):
        sharded = jax.device_put(batch, sharding)
        compiled = run.lower(sharded, KEY).compile()
    result, text = compiled(sharded, KEY), compiled.as_text()
    assert result.image.sharding.spec[0] == "data"
    labels = np.asarray(result.label)
    own_device = scope == "device" and kind == AxisType.Explicit
    for i in range(8):
        partner = (i ^ 1) if own_device else 7 - i
        assert set(np.flatnonzero(labels[i] > 1e-6)) <= {i, partner}
    if own_device:
        assert "collective-permute" not in text and "all-gather" not in text


def test_partners_on_a_device_share_a_draw_wherever_their_labels_are():
    mixing = augment.Mixing(num_classes=16, mixup=0.8, mode="pair", scope="device")
    mesh = jax.make_mesh((4,), ("data",))
    batch = batch_of(16, [1] * 16)
    sharded = jax.device_put(batch.image, NamedSharding(mesh, PartitionSpec("data")))
    with jax.set_mesh(mesh):
        result = jax.jit(mixing)(batch.replace(image=sharded), KEY)
    own = np.asarray(result.label).diagonal().reshape(4, 4)
    np.testing.assert_allclose(own, own[:, ::-1])
    assert len(np.unique(own)) == 8


def test_no_example_shares_its_key_with_the_mixing():
    pipeline = Pipeline((augment.RandomFlip(),), mixing=augment.Mixing(mixup=0.2))
    batch = batch_of(8)
    draw = jax.jit(lambda i: pipeline.mixing.draw(jax.random.fold_in(KEY, i), 8))
    same_as = [draw(i) for i in range(8)]
    mine = jax.jit(pipeline.draw)(KEY, batch)[-1]
    assert not any(np.array_equal(mine.share, draw.share) for draw in same_as)


def test_a_pipeline_mixes_last_and_is_saved_with_it():
    mixing = augment.Mixing(num_classes=6, mixup=0.3)
    pipeline = Pipeline((augment.RandomFlip(), ops.Rescale(1 / 255)), mixing=mixing)
    batch = Batch(image=noise(6, 8, 9, 3), label=np.arange(6), weight=np.ones(6, np.float32))
    got = pipeline(batch, key=KEY)
    assert got.label.shape == (6, 6)

    @jax.jit
    def step_by_step(batch, key):
        alone = pipeline.replace(mixing=None)(batch, key=key)
        draws = pipeline.draw(key, batch)
        return pipeline(batch, key=key), mixing(alone, draw=draws[-1]), draws

    jitted, mixed, draws = step_by_step(batch, KEY)
    np.testing.assert_allclose(jitted.image, got.image, rtol=1e-6)
    np.testing.assert_allclose(mixed.image, got.image, rtol=1e-6)
    np.testing.assert_allclose(pipeline(batch, draws=draws).label, got.label, rtol=1e-6)
    assert Pipeline.from_json(json.loads(json.dumps(pipeline.to_json()))) == pipeline
    with pytest.raises(InputError, match="key"):
        pipeline(batch)
    with pytest.raises(InputError, match="batch of"):
        pipeline(Batch(image=noise(8, 9, 3)), key=KEY)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (Batch(image=np.zeros((2, 4, 4, 3), np.uint8), label=np.zeros(2, int)), "floating-point"),
        (Batch(image=np.zeros((4, 4, 3), np.float32)), "batch of floating-point"),
        (Batch(image=np.zeros((2, 4, 4, 3), np.float32), label=np.zeros((2, 3))), "labels"),
    ],
)
def test_a_batch_that_cannot_be_mixed_is_refused(batch, message):
    with pytest.raises(InputError, match=message):
        augment.Mixing(num_classes=2, mixup=0.2)(batch, KEY)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"label": None}, "labels to mix"),
        ({"label": np.float32([0, 1, 0.5])}, r"integers.*float32"),
        ({"label": np.array(["cat", "dog", "cat"])}, "numbers"),
        ({"label": np.int32([0, 1, 2])}, "got 2"),
        ({"label": np.int32([1])}, r"\(3,\) integers"),
        ({"label": np.float32([[1, 0]])}, r"\(3, 2\) probabilities"),
        ({"label": np.int32([0, 1, 0]), "weight": np.ones((3, 1))}, "a weight for each of 3"),
        ({"label": np.int32([0, 1, 0]), "weight": np.ones(1)}, "a weight for each of 3"),
    ],
)
def test_labels_and_weights_that_are_not_those_of_the_images_are_refused(fields, message):
    mixing = augment.Mixing(num_classes=2, mixup=0.2)
    with pytest.raises(InputError, match=message):
        mixing(Batch(image=np.zeros((3, 4, 4, 3), np.float32), **fields), KEY)
    # before any step runs
    pipeline = Pipeline((augment.RandomFlip(), ops.Rescale(1 / 255)), mixing=mixing)
    with pytest.raises(InputError, match=message):
        pipeline(Batch(image=np.zeros((3, 4, 4, 3), np.uint8), **fields), key=KEY)


def test_labels_in_a_list_are_taken_and_those_of_padding_may_be_any():
    pipeline = Pipeline((ops.Rescale(1 / 255),), mixing=augment.Mixing(num_classes=2, mixup=0.2))
    batch = Batch(image=np.zeros((3, 4, 4, 3), np.uint8), label=[0, 1, -1], weight=[1.0, 1, 0])
    assert pipeline(batch, key=KEY).label.shape == (3, 2)
    with pytest.raises(InputError, match="`key`"):
        pipeline.mixing(batch.replace(image=np.zeros((3, 4, 4, 3), np.float32)))


def test_numbers_that_mean_nothing_are_refused():
    for fields in ({"mixup": -1.0}, {"switch": 2.0}, {"num_classes": 0}, {"mode": "half"}):
        with pytest.raises(ConfigError, match=r"at `\$\.\w+`"):
            augment.Mixing(**fields)
