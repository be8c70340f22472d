"""Which boxes and keypoints are still in the picture: flags of static shapes, beside them."""

from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from helpers.images import noise
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxprep import Batch, Pipeline, augment, ops
from jaxprep.augment.geometry import CropWindow
from jaxprep.errors import ConfigError, InputError

KINDS = {"whole": "boxes_visible", "seen": "keypoints_visible"}
KEY = jax.random.key(2)
# inside the crop (8, 6) to (16, 18); over its edge; outside; of no area; padding
BOXES = np.float32([[9, 9, 12, 12], [4, 4, 9, 9], [0, 0, 8, 6], [9, 9, 9, 12], [0, 0, 0, 0]])
# at its corner; inside; outside of three edges, and padding
KEYPOINTS = np.float32([[8, 6], [15.9, 17.9], [7.9, 9], [16.1, 9], [np.inf, np.inf], [9, 18.1]])
WHOLE = [True, True, False, False, False]
SEEN = [True, True, False, False, False, False]
CROP = ops.Crop(6, 8, 12, 8)


def batch_of(count: int, **extras: np.ndarray) -> Batch:
    boxes = np.broadcast_to(BOXES, (count, *BOXES.shape))
    keypoints = np.broadcast_to(KEYPOINTS, (count, *KEYPOINTS.shape))
    image = noise(count, 20, 24, 3)
    return Batch(image=image, boxes=boxes, keypoints=keypoints, extras=extras)


def assert_flags(result: Batch, whole: list[bool], seen: list[bool]) -> None:
    assert result.extras["whole"].dtype == bool
    for got, want in ((result.extras["whole"], whole), (result.extras["seen"], seen)):
        np.testing.assert_array_equal(got, np.broadcast_to(want, got.shape))


def test_what_a_crop_cuts_off_is_flagged_in_every_way_of_calling():
    pipeline = Pipeline((CROP, ops.Resize((6, 6))), kinds=KINDS)
    assert Pipeline.from_json(json.loads(json.dumps(pipeline.to_json()))) == pipeline
    batch = batch_of(2)
    assert_flags(pipeline(batch), WHOLE, SEEN)
    assert_flags(jax.jit(pipeline)(batch), WHOLE, SEEN)
    plan = pipeline.plan([(20, 24), (20, 24)], canvas=(20, 24))
    assert_flags(pipeline(batch, plan=plan), WHOLE, SEEN)
    one = jax.tree.map(lambda leaf: leaf[0], batch)
    assert pipeline(one).extras["seen"].shape == (6,)
    assert_flags(pipeline(one), WHOLE, SEEN)


def test_flags_that_are_false_stay_false():
    pipeline = Pipeline((CROP,), kinds=KINDS)
    whole = np.array([[False, True, True, True, True]])
    for call in (pipeline, jax.jit(pipeline)):
        result = call(batch_of(1, whole=whole))
        assert_flags(result, [False, True, False, False, False], SEEN)
    assert "whole" not in pipeline(batch_of(1).replace(boxes=None)).extras


def test_flags_follow_what_is_drawn_for_each_image():
    """A crop, and then a rotation by half a turn, which brings no pixel back."""
    steps = (augment.RandomResizedCrop(8), augment.RandomRotation((180.0, 180.0)))
    pipeline = Pipeline(steps, kinds=KINDS)
    windows = CropWindow(*np.int32([[6, 0], [8, 0], [12, 20], [8, 24]]))
    batch = batch_of(2)
    turned = np.repeat(np.float32([[-1, 0, 8, 0, -1, 8]]), 2, 0)
    result = pipeline(batch, draws=(windows, turned))
    np.testing.assert_array_equal(result.extras["whole"][0], WHOLE)
    np.testing.assert_array_equal(result.extras["seen"][0], SEEN)
    # the second image is kept whole: all is seen but the box without area, and the padding
    np.testing.assert_array_equal(result.extras["whole"][1], [True, True, True, False, False])
    np.testing.assert_array_equal(result.extras["seen"][1], [True] * 4 + [False, True])
    # a quarter of the window is moved out, and what lay outside in: it stays invisible
    moved = np.repeat(np.float32([[1, 0, -4, 0, 1, 0]]), 2, 0)
    seen = pipeline(batch, draws=(windows, moved)).extras["seen"][0]
    np.testing.assert_array_equal(seen, [True, False, False, False, False, False])


def test_flags_are_sharded_as_their_boxes():
    pipeline = Pipeline((augment.RandomCrop(12), augment.RandomFlip()), kinds=KINDS)
    batch = batch_of(4)
    want = jax.tree.map(np.asarray, pipeline(batch, key=KEY).extras)
    for kind in (AxisType.Auto, AxisType.Explicit):
        mesh = jax.make_mesh((2,), ("data",), axis_types=(kind,))
        sharded = jax.device_put(batch, NamedSharding(mesh, PartitionSpec("data")))
        with jax.set_mesh(mesh):
            got = jax.jit(lambda batch: pipeline(batch, key=KEY))(sharded).extras
        for name in KINDS:
            np.testing.assert_array_equal(got[name], want[name])
            assert got[name].sharding.spec[0] == "data"


def test_flags_that_fit_no_boxes_are_refused():
    pipeline = Pipeline((CROP,), kinds=KINDS)
    with pytest.raises(InputError, match=r"shape \(1, 5\).*batch.extras\['whole'\]"):
        pipeline(batch_of(1, whole=np.ones((1, 3), bool)))
    with pytest.raises(InputError, match=r"`batch.boxes` with them"):
        pipeline(batch_of(1, whole=np.ones((1, 5), bool)).replace(boxes=None))
    with pytest.raises(ConfigError, match="kinds"):
        Pipeline((CROP,), kinds={"whole": "boxes"})
