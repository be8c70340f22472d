"""Eager calls leave arrays on the devices where the caller has put them."""

from __future__ import annotations

from typing import Any

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.images import noise
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxprep import Batch, ImageConverter, Pipeline, huggingface
from jaxprep.errors import InputError
from jaxprep.formats import Custom
from jaxprep.ops import ChannelsFirst, Flip, Rescale, Resize

STEPS = (Resize(shortest_edge=8, reference="pillow"), Flip(), Rescale(), ChannelsFirst())
PIPELINE = Pipeline(STEPS, kinds=(("mask", "mask"),))
CONVERTER = ImageConverter(image_size=(8, 8), scale=1 / 255, bounding_box_format="xyxy")
HEIGHT, WIDTH = 16, 24
SIZES = np.int32([[16, 24], [10, 12], [9, 20], [16, 16]])
IMAGES = noise(4, HEIGHT, WIDTH, 3)
MASKS = noise(4, HEIGHT, WIDTH, seed=1)
BOXES = np.float32([[[1, 2, 10, 12]], [[0, 0, 5, 5]], [[3, 3, 4, 4]], [[2, 2, 9, 9]]])
BATCH = Batch(
    image=IMAGES, boxes=BOXES, keypoints=BOXES[..., :2], extras={"mask": MASKS, "id": MASKS[:, 0]}
)
TYPES = (AxisType.Auto, AxisType.Explicit)


def device(number: int) -> Any:
    return jax.devices()[number]


def on_mesh(*spec: str | None, axis_type: AxisType = AxisType.Auto) -> NamedSharding:
    return NamedSharding(jax.make_mesh((4,), ("data",), (axis_type,)), PartitionSpec(*spec))


def assert_equal_and_on(got: Any, want: Any, devices: set[Any]) -> None:
    """Assert equal bits and types, and that every array is on `devices`."""
    chex.assert_trees_all_equal(jax.tree.map(np.asarray, got), jax.tree.map(np.asarray, want))
    for leaf in jax.tree.leaves(got):
        if isinstance(leaf, jax.Array):
            assert leaf.sharding.device_set == devices


@pytest.mark.parametrize("shape", [(20, 30, 3), (150, 160, 3), (2, 20, 30, 3), (2, 150, 160, 3)])
def test_an_array_on_a_device_comes_back_on_it(shape: tuple[int, ...]):
    images = noise(*shape)
    got = CONVERTER(jax.device_put(images, device(3)))
    assert_equal_and_on(got, CONVERTER(images), {device(3)})


def test_a_list_of_arrays_comes_back_on_their_device():
    images = [noise(20, 30, 3), noise(150, 160, 3), noise(140, 170, 3)]
    got = CONVERTER([images[0], *jax.device_put(images[1:], device(3))])
    assert_equal_and_on(got, CONVERTER(images), {device(3)})
    alike = ImageConverter()
    assert_equal_and_on(alike(jax.device_put(images, device(3))), alike(images), {device(3)})


def test_a_list_of_arrays_on_two_devices_is_refused():
    images = [jax.device_put(IMAGES[0], device(3)), jax.device_put(IMAGES[1], device(1))]
    with pytest.raises(InputError, match=r"cpu:3 and, at `x\[1\]`, cpu:1.*jax\.device_put"):
        CONVERTER(images)


def test_what_nobody_has_put_on_a_device_goes_to_the_default_one():
    with jax.default_device(device(2)):
        image = jnp.asarray(IMAGES[0])
        assert_equal_and_on(CONVERTER(image), CONVERTER(IMAGES[0]), {device(2)})
        large = [noise(150, 160, 3)] * 3
        assert_equal_and_on(CONVERTER(large), CONVERTER(large), {device(2)})
    assert CONVERTER(image).sharding.device_set == {device(0)}


def test_boxes_and_masks_follow_their_image_to_its_device():
    image = jax.device_put(IMAGES, device(3))
    got = PIPELINE(BATCH.replace(image=image))
    assert_equal_and_on(
        got.replace(extras=got.extras["mask"]),
        PIPELINE(BATCH).replace(extras=PIPELINE(BATCH).extras["mask"]),
        {device(3)},
    )
    one = jax.tree.map(lambda leaf: leaf[0], BATCH)
    got = PIPELINE(one.replace(image=image[0])).boxes
    assert_equal_and_on(got, PIPELINE(one).boxes, {device(3)})


def test_boxes_that_were_put_elsewhere_stay_there():
    got = PIPELINE(BATCH.replace(boxes=jax.device_put(BOXES, device(1))))
    assert got.boxes.sharding.device_set == {device(1)}
    assert got.image.sharding.device_set == got.keypoints.sharding.device_set == {device(0)}


def test_labels_and_weights_are_not_moved():
    label, weight = jax.device_put((np.arange(4), np.ones(4)), device(1))
    got = PIPELINE(
        BATCH.replace(image=jax.device_put(IMAGES, device(3)), label=label, weight=weight)
    )
    assert got.label is label and got.weight is weight


@pytest.mark.parametrize(
    ("how", "axis_types"), [("plan", (None, AxisType.Explicit)), ("size", (AxisType.Auto,))]
)
def test_a_plan_of_the_host_goes_where_the_image_is(how: str, axis_types: Any):
    given: dict[str, Any] = {"plan": PIPELINE.plan(SIZES, (HEIGHT, WIDTH))}
    batch = BATCH
    if how == "size":
        given, batch = {}, BATCH.replace(size=SIZES)
    want = PIPELINE(batch, **given).image
    for axis_type in axis_types:
        placement = device(3) if axis_type is None else on_mesh("data", axis_type=axis_type)
        image = jax.device_put(IMAGES, placement)
        got = PIPELINE(batch.replace(image=image), **given)
        assert_equal_and_on(got.image, want, image.sharding.device_set)
        assert got.extras["mask"].sharding.device_set == image.sharding.device_set


def test_what_is_elsewhere_than_its_image_is_refused_in_one_program():
    plan = PIPELINE.plan(SIZES, (HEIGHT, WIDTH))
    batch = BATCH.replace(boxes=jax.device_put(BOXES, device(1)))
    for placement in (device(3), on_mesh("data")):
        with pytest.raises(InputError, match=r"got one on cpu:1 - at `batch\.boxes`"):
            PIPELINE(batch.replace(image=jax.device_put(IMAGES, placement)), plan=plan)


@pytest.mark.parametrize("axis_type", TYPES)
def test_a_sharded_batch_keeps_its_sharding(axis_type: AxisType):
    sharding = on_mesh("data", axis_type=axis_type)
    got = PIPELINE(BATCH.replace(image=jax.device_put(IMAGES, sharding)))
    want = PIPELINE(BATCH)
    for name in ("image", "boxes", "keypoints"):
        array = getattr(got, name)
        assert_equal_and_on(array, getattr(want, name), sharding.device_set)
        assert array.sharding.is_equivalent_to(sharding, array.ndim)
    assert got.extras["mask"].sharding.is_equivalent_to(sharding, 3)
    assert got.extras["id"] is BATCH.extras["id"]


@pytest.mark.parametrize("axis_type", TYPES)
@pytest.mark.parametrize("spec", [(None, "data"), ("data",), ()])
def test_one_image_and_its_pixels_keep_their_sharding(axis_type: AxisType, spec: tuple):
    sharding = on_mesh(*spec, axis_type=axis_type)
    got = CONVERTER(jax.device_put(IMAGES[0], sharding))
    assert_equal_and_on(got, CONVERTER(IMAGES[0]), sharding.device_set)
    assert got.sharding.is_equivalent_to(sharding, 3)


def test_a_sharded_axis_that_moves_keeps_its_sharding():
    got = ImageConverter.from_config(Pipeline((ChannelsFirst(),)))(
        jax.device_put(IMAGES, on_mesh("data", None))
    )
    assert got.sharding.is_equivalent_to(on_mesh("data"), 4)
    rows = Pipeline((Resize((8, 10)), ChannelsFirst()))
    got = rows(Batch(image=jax.device_put(IMAGES, on_mesh(None, "data")))).image
    assert got.sharding.is_equivalent_to(on_mesh(None, None, "data"), 4)
    # 10 columns are not divided by 4 devices
    got = rows(Batch(image=jax.device_put(IMAGES, on_mesh(None, None, "data")))).image
    assert got.sharding.is_equivalent_to(on_mesh(), 4)


def test_a_list_of_images_on_a_mesh_stays_there():
    images = [jax.device_put(image, on_mesh("data")) for image in IMAGES[:2]]
    assert_equal_and_on(CONVERTER(images), CONVERTER(IMAGES[:2]), set(jax.devices()))


@pytest.mark.parametrize("placement", ["device", "Auto", "Explicit"])
def test_a_dictionary_stays_where_its_images_are(placement: str):
    where: Any = device(3)
    if placement != "device":
        where = on_mesh("data", axis_type=getattr(AxisType, placement))
    boxes = {"boxes": BOXES, "labels": np.int32([[1], [2], [3], [4]])}
    given = {"images": IMAGES, "segmentation_masks": MASKS, "bounding_boxes": boxes}
    images = jax.device_put(IMAGES, where)
    got = CONVERTER({**given, "images": images})
    assert_equal_and_on(got, CONVERTER(given), images.sharding.device_set)


def test_labels_of_boxes_that_were_put_elsewhere_stay_there():
    labels = jax.device_put(np.int32([[1], [2], [3], [4]]), device(1))
    boxes = {"boxes": BOXES, "labels": labels}
    images = jax.device_put(IMAGES, device(3))
    got = CONVERTER({"images": images, "bounding_boxes": boxes})["bounding_boxes"]
    assert got["boxes"].sharding.device_set == {device(3)}
    assert got["labels"].sharding.device_set == {device(1)}


@pytest.mark.parametrize("axis_type", TYPES)
def test_a_plan_of_the_host_is_sharded_as_the_images_inside_jit(axis_type: AxisType):
    plan = PIPELINE.plan(SIZES, (HEIGHT, WIDTH))
    sharded = jax.device_put(IMAGES, on_mesh("data", axis_type=axis_type))
    batch = BATCH.replace(image=sharded)
    want = PIPELINE(BATCH, plan=plan)
    assert_equal = chex.assert_trees_all_equal
    assert_equal(jax.jit(lambda batch: PIPELINE(batch, plan=plan))(batch), want)
    assert_equal(jax.jit(lambda batch, plan: PIPELINE(batch, plan=plan))(batch, plan), want)


@pytest.mark.parametrize("axis_type", TYPES)
def test_a_batch_on_another_mesh_than_the_one_that_is_set_keeps_its_own(axis_type: AxisType):
    images = jax.device_put(IMAGES, on_mesh("data", axis_type=axis_type))
    want = CONVERTER(IMAGES)
    for other in TYPES:
        with jax.set_mesh(on_mesh(axis_type=other).mesh):
            assert_equal_and_on(CONVERTER(images), want, set(jax.devices()))


def test_masks_go_beside_a_plan_as_with_sizes():
    plan = PIPELINE.plan(SIZES, (HEIGHT, WIDTH))
    want = PIPELINE(BATCH.replace(size=SIZES)).extras["mask"]
    for call in (PIPELINE, jax.jit(PIPELINE)):
        got = call(BATCH, plan=plan).extras["mask"]
        np.testing.assert_array_equal(got[:, : want.shape[1], : want.shape[2]], want)
    channels = MASKS[..., None]
    got = PIPELINE(BATCH.replace(extras={"mask": channels}), plan=plan).extras["mask"]
    np.testing.assert_array_equal(got[:, : want.shape[1], : want.shape[2], 0], want)


@pytest.mark.parametrize("is_jitted", [False, True])
def test_a_mask_that_is_none_stays_none(is_jitted):
    batch = Batch(image=IMAGES, extras={"mask": None})
    call = jax.jit(PIPELINE) if is_jitted else PIPELINE
    assert call(batch).extras == {"mask": None}


def test_one_mask_goes_beside_the_plan_of_one_image():
    plan = PIPELINE.plan(SIZES[1:2], (HEIGHT, WIDTH))
    first = jax.tree.map(lambda leaf: leaf[0], plan)
    batch = Batch(image=IMAGES[1], extras={"mask": MASKS[1]})
    got = PIPELINE(batch, plan=first).extras["mask"]
    height, width = SIZES[1]
    alone = PIPELINE(
        Batch(image=IMAGES[1, :height, :width], extras={"mask": MASKS[1, :height, :width]})
    ).extras["mask"]
    np.testing.assert_array_equal(got[: alone.shape[0], : alone.shape[1]], alone)


def test_masks_with_a_plan_without_tables_for_them_are_refused():
    plan = Pipeline(STEPS).plan(SIZES, (HEIGHT, WIDTH))
    with pytest.raises(InputError, match="a plan with tables for masks"):
        PIPELINE(BATCH, plan=plan)
    PIPELINE(BATCH.replace(extras={}), plan=plan)


def test_a_mesh_of_one_device_is_a_mesh():
    sharding = NamedSharding(jax.make_mesh((1,), ("data",)), PartitionSpec("data"))
    image = jax.device_put(IMAGES, sharding)
    got = ImageConverter.from_config(Custom())(image)
    assert got.sharding.is_equivalent_to(sharding, 4)
    chex.assert_trees_all_equal(np.asarray(got), IMAGES)


@pytest.mark.parametrize("where", [3, "mesh"])
def test_results_of_hugging_face_processors_go_where_the_images_are(where: Any):
    processor = huggingface.ViTImageProcessor(size={"height": 8, "width": 8})
    images = jax.device_put(IMAGES, on_mesh("data") if where == "mesh" else device(where))
    got = processor(images).pixel_values
    assert_equal_and_on(got, processor(IMAGES).pixel_values, images.sharding.device_set)
    assert processor(IMAGES, device=device(1)).pixel_values.sharding.device_set == {device(1)}
