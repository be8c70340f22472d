"""Laws of pipelines: the lowered program is its steps one by one, for any size, any batch and any
way to call it.

Sums of integers are compared in every bit. Sums in float32 are compared within 1e-6 of the largest
value where another order of the taps is allowed (a flipped table), and integers rounded from them
within one level.
"""

from __future__ import annotations

import dataclasses
import functools
import json
from collections import Counter
from typing import Any

import jax
import numpy as np
import pytest
from helpers.compilations import compilations
from helpers.images import noise
from PIL import Image

from jaxprep import Batch, Pipeline, bounds, ops
from jaxprep.errors import ConfigError, InputError
from jaxprep.ops import (
    Cast,
    CenterCrop,
    ChannelsFirst,
    ChannelsLast,
    Crop,
    CropToAspect,
    Flip,
    Normalize,
    Pad,
    PadToAspect,
    Premultiply,
    Rescale,
    Resize,
    ReverseChannels,
    Step,
    ToRGB,
    Unpremultiply,
)
from jaxprep.pipeline import eager
from jaxprep.pipeline.cores import core_count
from jaxprep.pipeline.program import ONE_THREAD, Program, run_batch, run_one

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
NORMALISED = (Rescale(arithmetic="division"), Normalize(MEAN, STD))
CASES = [("pillow", "uint8"), ("float", "int16")]
pytestmark = pytest.mark.usefixtures("quick_compilation")
every_bit_of_floats = pytest.mark.usefixtures("compilation_of_users")
every_case = pytest.mark.parametrize(("reference", "dtype"), CASES)
in_floats = pytest.mark.parametrize(("reference", "dtype"), [("jax", "float32")])


def resize(size: Any, reference: str, method: str = "bilinear", **options: Any) -> Resize:
    return Resize(size, method=method, reference=reference, **options)  # type: ignore[arg-type]


def one_by_one(steps: tuple[Step, ...], image: np.ndarray) -> np.ndarray:
    batch = Batch(image=image)
    for step in steps:
        batch = step(batch)
    return np.asarray(batch.image)


def run(pipeline: Pipeline, image: Any, **fields: Any) -> np.ndarray:
    return np.asarray(pipeline(Batch(image=image, **fields)).image)


def assert_follows_its_steps(image: np.ndarray, *steps: Step) -> Pipeline:
    pipeline = Pipeline(steps)
    want, got = one_by_one(steps, image), run(pipeline, image)
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    if want.dtype == np.uint8:
        np.testing.assert_array_equal(got, want)
    elif np.issubdtype(want.dtype, np.integer):
        assert np.abs(got.astype(int) - want).max() <= 1
    else:
        np.testing.assert_allclose(got, want, rtol=0, atol=1e-6 * max(1, np.abs(want).max()))
    return pipeline


# Lowering: each legal rewrite is exact, and what is not legal is not done


@every_case
def test_a_crop_after_a_resize_takes_rows_of_its_table(reference, dtype):
    image = noise(97, 61, 3, dtype=dtype)
    pipeline = assert_follows_its_steps(image, resize((40, 50), reference), CenterCrop(30))
    assert len(pipeline.segments) == 1
    assert pipeline.bucket((97, 61))[0].out == (30, 30)


@every_case
def test_a_resize_after_a_crop_ends_its_taps_at_the_edge_of_the_crop(reference, dtype):
    image = noise(97, 61, 3, dtype=dtype)
    steps = CenterCrop((51, 33)), resize((40, 50), reference)
    assert len(assert_follows_its_steps(image, *steps).segments) == 1
    beyond = image.copy()
    beyond[:23], beyond[74:], beyond[:, :14], beyond[:, 47:] = (
        0,
        0,
        0,
        0,
    )  # what the crop leaves out
    np.testing.assert_array_equal(run(Pipeline(steps), beyond), run(Pipeline(steps), image))


def test_crop_then_resize_is_not_resize_then_crop():
    image = noise(64, 64, 3)
    first = run(Pipeline((CenterCrop(32), resize(16, "pillow"))), image)
    assert np.any(first != run(Pipeline((resize(32, "pillow"), CenterCrop(16))), image))


@every_case
def test_a_flip_after_a_resize_reverses_its_table(reference, dtype):
    image = noise(97, 61, 3, dtype=dtype)
    pipeline = assert_follows_its_steps(image, resize((40, 50), reference), Flip(True, True))
    assert len(pipeline.segments) == 1


@every_case
def test_a_resize_after_a_flip_reads_the_source_backwards(reference, dtype):
    image = noise(97, 61, 3, dtype=dtype)
    pipeline = assert_follows_its_steps(image, Flip(True, True), resize((40, 50), reference))
    assert len(pipeline.segments) == 1


@pytest.mark.parametrize(
    ("reference", "method", "side"), [("pillow", "nearest", 5), ("torchvision", "box", 4)]
)
def test_flip_then_resize_is_not_resize_then_flip(reference, method, side):
    image = noise(10, 10, 3)
    step = resize(side, reference, method)
    before = assert_follows_its_steps(image, Flip(), step)
    after = assert_follows_its_steps(image, step, Flip())
    assert np.any(run(before, image) != run(after, image))


@every_case
def test_zeros_around_an_image_are_left_out_of_the_sums_of_a_resize(reference, dtype):
    image = noise(97, 61, 3, dtype=dtype)
    pipeline = assert_follows_its_steps(image, Pad(3, 4, 5, 6), resize((40, 50), reference))
    assert len(pipeline.segments) == 1


@in_floats
def test_another_padding_than_zeros_before_a_resize_is_a_pass_of_its_own(reference, dtype):
    image = noise(97, 61, 3, dtype=dtype)
    pipeline = assert_follows_its_steps(
        image, Pad(3, 4, 5, 6, fill=7.0), resize((40, 50), reference)
    )
    assert len(pipeline.segments) == 2


@in_floats
def test_flip_crop_and_padding_before_a_resize_fold_into_one_table(reference, dtype):
    image = noise(97, 61, 3, dtype=dtype)
    before = Flip(True, True), Crop(3, 4, 50, 40), Pad(3, 4, 5, 6), Flip(False, True)
    assert (
        len(
            assert_follows_its_steps(
                image, *before, resize((40, 50), reference), CenterCrop(33)
            ).segments
        )
        == 1
    )


def test_a_crop_that_reaches_outside_is_padding():
    image = noise(20, 30, 3)
    assert_follows_its_steps(
        image, Crop(-5, 10, 40, 40), resize((25, 35), "torchvision"), Crop(-3, -4, 20, 60, fill=9.0)
    )
    assert not run(Pipeline((Crop(100, 100, 8, 8), resize((4, 4), "torchvision"))), image).any()


def test_padding_before_normalisation_has_the_value_in_the_unit_of_the_image():
    image = noise(30, 40, 3)
    steps = resize((20, 24), "pillow"), Pad(1, 2, 3, 4, fill=(9.0, 10.0, 300.0)), *NORMALISED
    result = run(assert_follows_its_steps(image, *steps), image)
    np.testing.assert_allclose(
        result[0, 0], (np.float64([9, 10, 255]) / 255 - MEAN) / STD, atol=1e-6
    )


def test_padding_after_normalisation_has_the_value_in_the_unit_of_the_result():
    image = noise(30, 40, 3)
    steps = resize((20, 24), "pillow"), *NORMALISED, Pad(1, 2, 3, 4, fill=(9.0, 10.0, 300.0))
    result = run(assert_follows_its_steps(image, *steps), image)
    np.testing.assert_array_equal(result[0, 0], np.float32([9, 10, 300]))


def test_each_of_several_paddings_keeps_its_own_value_and_place():
    steps = (
        Pad(1, 1, 1, 1, 5.0),
        Rescale(1 / 2),
        Pad(2, 2, 2, 2, 6.0),
        Flip(),
        Rescale(3.0),
        Pad(1, 0, 1, 0, 7.0),
    )
    result = run(assert_follows_its_steps(noise(9, 11, 3), *steps), noise(9, 11, 3))
    assert [float(result[i, i, 0]) for i in (0, 1, 3)] == [7, 18, 7.5]


@in_floats
def test_nearest_neighbours_after_a_resize_take_rows_of_its_table(reference, dtype):
    image = noise(97, 61, 3, dtype=dtype)
    steps = (
        resize((40, 50), reference),
        resize((60, 30), reference, "nearest"),
        Flip(),
        CenterCrop(20),
    )
    assert len(assert_follows_its_steps(image, *steps).segments) == 1


@in_floats
def test_nearest_neighbours_before_a_resize_are_a_pass_of_their_own(reference, dtype):
    image = noise(97, 61, 3, dtype=dtype)
    steps = resize((70, 90), reference, "nearest"), resize((40, 50), reference)
    assert len(assert_follows_its_steps(image, *steps).segments) == 2


def test_mirrored_padding_before_a_resize_is_a_pass_of_its_own():
    steps = ops.PadToNextMultiple(50), resize((40, 50), "pillow")
    assert len(assert_follows_its_steps(noise(97, 61, 3), *steps).segments) == 2


def test_nearest_neighbours_between_paddings_and_crops_only_copy():
    image = noise(97, 61, 3)
    steps = (
        Pad(3, 4, 5, 6, 7.0),
        resize((40, 50), "torchvision", "nearest"),
        CenterCrop(45, fill=1.0),
        Flip(),
    )
    assert len(assert_follows_its_steps(image, *steps).segments) == 1


@in_floats
def test_two_resizes_are_two_segments(reference, dtype):
    image = noise(97, 61, 3, dtype=dtype)
    pipeline = assert_follows_its_steps(
        image, resize((40, 50), reference), resize((60, 30), reference, "bicubic")
    )
    assert len(pipeline.segments) == 2


def test_values_changed_before_a_resize_are_what_it_mixes():
    steps = Rescale(), Resize((20, 24), reference="float"), Normalize(MEAN, STD)
    assert len(assert_follows_its_steps(noise(30, 40, 3), *steps).segments) == 2


def test_an_axis_that_keeps_its_length_is_not_resampled():
    image = noise(97, 61, 3)
    assert_follows_its_steps(image, Pad(2, 1, 2, 1), resize((100, 50), "torchvision"), Flip())
    assert_follows_its_steps(image, resize((40, 61), "torchvision"))
    np.testing.assert_array_equal(run(Pipeline((resize((97, 61), "torchvision"),)), image), image)


@pytest.mark.parametrize(
    ("channels", "before", "after"),
    [
        (1, ToRGB(), ReverseChannels()),
        (2, ToRGB(alpha="white"), ReverseChannels()),
        (4, Premultiply(), Unpremultiply()),
    ],
)
def test_colours_may_change_before_and_after_a_resize(channels, before, after):
    steps = before, resize((40, 50), "pillow"), after, ToRGB(), *NORMALISED, ChannelsFirst()
    assert_follows_its_steps(noise(97, 61, channels), *steps)


def test_the_shape_of_the_aspect_may_change_before_a_resize():
    image = noise(97, 61, 3)
    assert_follows_its_steps(image, CropToAspect((30, 40)), resize((40, 50), "pillow"))
    assert_follows_its_steps(image, PadToAspect((30, 40)), resize((40, 50), "pillow"))


def test_a_pipeline_without_steps_is_the_identity():
    for dtype in ("uint8", "int16", "float32"):
        image = noise(2, 7, 5, 3, dtype=dtype)
        np.testing.assert_array_equal(run(Pipeline(), image), image)
        np.testing.assert_array_equal(jax.jit(Pipeline())(Batch(image=image)).image, image)


def test_results_that_Pillow_defines_are_Pillow_s(photos):
    with Image.open(photos / "rocket.jpg") as file:
        photo = file.convert("RGB")
    height, width = 120, 120 * photo.width // photo.height
    want = photo.resize((width, height), Image.Resampling.BICUBIC)
    left, top = round((width - 112) / 2), round((height - 112) / 2)
    cropped = want.crop((left, top, left + 112, top + 112)).transpose(
        Image.Transpose.FLIP_LEFT_RIGHT
    )
    pipeline = Pipeline(
        (resize(None, "pillow", "bicubic", shortest_edge=120), CenterCrop(112), Flip())
    )
    np.testing.assert_array_equal(run(pipeline, np.asarray(photo)), np.asarray(cropped))


# One function, however it is called

CALLED = [
    ("pillow", "uint8", "bicubic"),
    ("float", "uint8", "bilinear"),
    ("jax", "int16", "lanczos3"),
    ("torch", "float32", "bicubic"),
]


@every_bit_of_floats
@pytest.mark.parametrize(("reference", "dtype", "method"), CALLED)
def test_jit_changes_nothing(reference, dtype, method):
    image = noise(97, 61, 3, dtype=dtype)
    steps = (
        resize((50, 44), reference, method),
        Pad(1, 2, 3, 4, 9.0),
        CenterCrop(45),
        *NORMALISED,
        ChannelsFirst(),
    )
    pipeline = Pipeline(steps)
    np.testing.assert_array_equal(run(pipeline, image), jax.jit(pipeline)(Batch(image=image)).image)


@every_bit_of_floats
def test_jit_changes_nothing_where_float_sums_follow_each_other():
    image = noise(97, 61, 3, dtype="float32")
    steps = resize((100, 90), "float", "bilinear"), resize((44, 44), "float", "bicubic")
    pipeline = Pipeline(steps)
    np.testing.assert_array_equal(run(pipeline, image), jax.jit(pipeline)(Batch(image=image)).image)


@every_bit_of_floats
def test_jit_changes_nothing_for_sizes_that_are_known():
    pipeline = Pipeline((resize(None, "pillow", shortest_edge=24), *NORMALISED))
    batch = Batch(image=noise(3, 40, 48, 3), size=np.int32([[40, 30], [31, 48], [40, 48]]))
    eager, jitted = (
        pipeline(batch),
        jax.jit(lambda image: pipeline(batch.replace(image=image)))(batch.image),
    )
    np.testing.assert_array_equal(eager.image, jitted.image)
    np.testing.assert_array_equal(eager.size, jitted.size)


@every_bit_of_floats
@pytest.mark.parametrize(("reference", "dtype"), [("pillow", "uint8"), ("jax", "float32")])
def test_a_batch_is_its_images_one_by_one(reference, dtype):
    images = noise(3, 61, 47, 3, dtype=dtype)
    pipeline = Pipeline((resize((30, 40), reference), *NORMALISED))
    alone = np.stack([run(pipeline, image) for image in images])
    np.testing.assert_array_equal(run(pipeline, images), alone)
    both = jax.jit(lambda batch: (pipeline(batch), jax.vmap(pipeline)(batch)))
    for result in both(Batch(image=images)):
        np.testing.assert_array_equal(result.image, alone)


@every_bit_of_floats
def test_vmap_alone_changes_nothing_where_no_pixel_moves():
    images = noise(4, 9, 11, 3)
    pipeline = Pipeline(NORMALISED)
    np.testing.assert_array_equal(
        jax.vmap(pipeline)(Batch(image=images)).image, run(pipeline, images)
    )


@every_bit_of_floats
def test_channels_first_at_either_end_is_a_transposition():
    image = noise(31, 47, 3)
    steps = resize((20, 24), "pillow"), *NORMALISED
    want = run(Pipeline(steps), image)
    for batched in (image, image[None]):
        moved = np.moveaxis(batched, -1, -3)
        pipeline = Pipeline((ChannelsLast(), *steps, ChannelsFirst()))
        for call in (pipeline, jax.jit(pipeline)):
            result = np.asarray(call(Batch(image=moved)).image)
            np.testing.assert_array_equal(np.moveaxis(result, -3, -1).reshape(want.shape), want)


@every_bit_of_floats
def test_a_gray_image_becomes_as_many_channels_as_normalisation_has():
    gray = noise(9, 7, 1)
    pipeline = Pipeline(NORMALISED)
    want = run(pipeline, np.repeat(gray, 3, axis=2))
    np.testing.assert_allclose(run(pipeline, gray), want, atol=1e-6)
    np.testing.assert_array_equal(
        run(pipeline.replace(exact=True), gray),
        run(pipeline.replace(exact=True), np.repeat(gray, 3, 2)),
    )


# Images of different sizes

SIZES = [(120, 30), (90, 110)]
"""With Pillow 13 the first takes its vertical pass first when resized to 32 x 32."""


def ragged(
    sizes: list[tuple[int, int]], canvas: tuple[int, int], garbage: float, dtype: str = "uint8"
) -> Any:
    images = [noise(*size, 3, dtype=dtype, seed=i) for i, size in enumerate(sizes)]
    room = np.full((len(sizes), *canvas, 3), garbage, dtype)
    for slot, image in zip(room, images):
        slot[: image.shape[0], : image.shape[1]] = image
    return images, room


@every_bit_of_floats
@pytest.mark.parametrize(
    ("reference", "dtype", "garbage"), [("torchvision", "uint8", 255), ("float", "float32", np.nan)]
)
def test_a_ragged_batch_is_its_images_one_by_one_whatever_lies_outside_of_them(
    reference, dtype, garbage
):
    pipeline = Pipeline((resize(32, reference), Pad(1, 1, 1, 1, 3.0), CenterCrop(31), *NORMALISED))
    images, room = ragged(SIZES, (128, 128), garbage, dtype)
    alone = np.stack([run(pipeline, image) for image in images])
    plan = pipeline.plan(SIZES, (128, 128))
    np.testing.assert_array_equal(run(pipeline, room, size=np.int32(SIZES)), alone)
    np.testing.assert_array_equal(jax.jit(pipeline)(Batch(image=room), plan=plan).image, alone)
    np.testing.assert_array_equal(pipeline(Batch(image=room), plan=plan).image, alone)


@every_bit_of_floats
def test_pass_orders_of_Pillow_may_be_mixed_in_a_batch():
    pipeline = Pipeline((resize(32, "pillow"), *NORMALISED), exact=True)
    images, room = ragged(SIZES, (128, 128), 255)
    plan = pipeline.plan(SIZES, (128, 128))
    assert plan.stages[0].order == "both"
    assert {pipeline.bucket(size)[0].order for size in SIZES} == {"vertical", "horizontal"}
    want = published(
        np.stack(
            [Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR) for image in images]
        )
    )
    np.testing.assert_array_equal(jax.jit(pipeline)(Batch(image=room), plan=plan).image, want)
    np.testing.assert_array_equal(run(pipeline, room, size=np.int32(SIZES)), want)


@every_bit_of_floats
def test_results_of_different_sizes_lie_in_the_corner_of_zeros():
    pipeline = Pipeline((Resize(longest_edge=40, reference="pillow"), *NORMALISED, ChannelsFirst()))
    images, room = ragged(SIZES, (128, 128), 255)
    alone = [run(pipeline, image) for image in images]
    plan = pipeline.plan(SIZES, (128, 128))
    for result in (
        pipeline(Batch(image=room, size=np.int32(SIZES))),
        jax.jit(pipeline)(Batch(image=room), plan=plan),
        pipeline(Batch(image=room, label=["any"] * 2), plan=plan),
    ):
        for want, got, size in zip(alone, np.asarray(result.image), np.asarray(result.size)):
            inside = tuple(slice(n) for n in want.shape)
            assert tuple(size) == want.shape[1:]
            np.testing.assert_array_equal(got[inside], want)
            got = got.copy()
            got[inside] = 0
            assert not got.any()


@every_bit_of_floats
def test_results_of_different_sizes_come_back_as_a_list():
    pipeline = Pipeline((Resize(longest_edge=40, reference="pillow"), *NORMALISED, ChannelsFirst()))
    images, _ = ragged(SIZES, (128, 128), 0)
    for image, result in zip(images, pipeline.run_images(images, SIZES).listed()):
        np.testing.assert_array_equal(result, run(pipeline, image))


def test_two_resizes_of_a_ragged_batch_keep_what_is_between_them_apart():
    pipeline = Pipeline(
        (
            Resize(shortest_edge=40, reference="torchvision"),
            Pad(2, 2, 2, 2, 9.0),
            resize(30, "torchvision"),
        )
    )
    images, room = ragged(SIZES, (128, 128), 255)
    alone = np.stack([run(pipeline, image) for image in images])
    plan = pipeline.plan(SIZES, (128, 128))
    np.testing.assert_array_equal(jax.jit(pipeline)(Batch(image=room), plan=plan).image, alone)


@every_bit_of_floats
def test_one_image_of_a_plan_is_the_image_alone():
    pipeline = Pipeline((resize(32, "pillow"), *NORMALISED), exact=True)
    images, room = ragged(SIZES[:1], (128, 128), 255)
    plan = jax.tree.map(lambda leaf: leaf[0], pipeline.plan(SIZES[:1], (128, 128)))
    result = jax.jit(pipeline)(Batch(image=room[0]), plan=plan)
    np.testing.assert_array_equal(result.image, run(pipeline, images[0]))
    single = pipeline(Batch(image=room[0], size=np.int32(SIZES[0])))
    np.testing.assert_array_equal(single.image, result.image)
    assert single.size.shape == result.size.shape == (2,)


# Boxes, keypoints, masks

GEOMETRIES = {
    "shortest edge and crop": (Resize(shortest_edge=64), CenterCrop(60)),
    "flip": (Flip(), Resize((70, 60))),
    "flips and padding": (Pad(5, 3, 9, 1), Resize((64, 64)), Flip(True, True), Pad(0, 4, 7, 0)),
    "aspect": (CropToAspect((40, 40)), Resize((40, 40))),
    "two resizes": (Resize((60, 90)), Resize((80, 50)), Crop(-4, -6, 90, 60)),
    "nearest": (Resize((60, 90), method="nearest"), Flip(), Pad(3, 3, 3, 3)),
}
BLOCK = (48, 40, 72, 60)
"""x0, y0, x1, y1 of what is drawn."""


def drawn(height: int = 100, width: int = 120) -> np.ndarray:
    image = np.zeros((height, width, 3), np.uint8)
    x0, y0, x1, y1 = BLOCK
    image[y0:y1, x0:x1] = 240
    return image


def found(image: Any) -> np.ndarray:
    rows, columns = (np.flatnonzero((np.asarray(image)[..., 0] > 120).any(axis)) for axis in (1, 0))
    return np.float32([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


@pytest.mark.parametrize("name", GEOMETRIES)
def test_boxes_keypoints_and_masks_follow_what_is_drawn(name):
    pipeline = Pipeline(GEOMETRIES[name], kinds=(("mask", "mask"),))
    x0, y0, x1, y1 = BLOCK
    corners = np.float32([[x0, y0], [x1, y1], [(x0 + x1) / 2, (y0 + y1) / 2]])
    image, mask = drawn(), np.where(drawn()[..., 0] > 0, 7, 0).astype(np.int32)
    batch = Batch(
        image=image,
        boxes=np.float32([BLOCK]),
        keypoints=corners,
        extras={"mask": mask, "other": mask},
    )
    eager = pipeline(batch)
    block = found(eager.image)
    np.testing.assert_allclose(eager.boxes[0], block, atol=0.75)
    points = np.asarray(eager.keypoints)
    np.testing.assert_allclose(np.r_[points[:2].min(0), points[:2].max(0)], block, atol=0.75)
    np.testing.assert_allclose(points[2], (block[:2] + block[2:]) / 2, atol=0.75)
    assert np.unique(eager.extras["mask"]).tolist() == [0, 7]
    assert eager.extras["mask"].dtype == np.int32
    np.testing.assert_allclose(
        found(np.asarray(eager.extras["mask"])[..., None] * 30), block, atol=1
    )
    np.testing.assert_array_equal(eager.extras["other"], mask)
    if name in ("flips and padding", "two resizes", "nearest"):
        jitted = jax.jit(pipeline)(batch)
        for a, b in zip(jax.tree.leaves(eager), jax.tree.leaves(jitted), strict=True):
            np.testing.assert_array_equal(a, b)


def test_boxes_are_clipped_to_the_result_and_keypoints_are_not():
    batch = Batch(
        image=drawn(),
        boxes=np.float32([[0, 0, 120, 100], [-9, 40, 30, 60]]),
        keypoints=np.float32([[0, 0]]),
    )
    result = Pipeline((Crop(10, 20, 50, 60),))(batch)
    np.testing.assert_array_equal(result.boxes, [[0, 0, 60, 50], [0, 30, 10, 50]])
    np.testing.assert_array_equal(result.keypoints, [[-20, -10]])


def test_boxes_and_masks_of_a_ragged_batch_follow_their_own_image():
    pipeline = Pipeline((Resize((50, 44)), Flip(), CenterCrop((40, 44))), kinds=(("mask", "mask"),))
    sizes = [(100, 120), (100, 75), (61, 120)]
    room = np.stack([drawn() for _ in sizes])
    mask = (room[..., 0] > 0).astype(np.uint8)
    boxes, points = np.float32([[BLOCK]] * 3), np.float32([[BLOCK[:2]]] * 3)
    batch = Batch(
        image=room, size=np.int32(sizes), boxes=boxes, keypoints=points, extras={"mask": mask}
    )
    eager = pipeline(batch)
    plain = batch.replace(size=None, extras={})
    jitted = jax.jit(pipeline)(plain, plan=pipeline.plan(sizes, (100, 120)))
    np.testing.assert_array_equal(eager.boxes, jitted.boxes)
    np.testing.assert_array_equal(eager.keypoints, jitted.keypoints)
    for i, (height, width) in enumerate(sizes):
        one = {
            "boxes": boxes[i],
            "keypoints": points[i],
            "extras": {"mask": mask[i, :height, :width]},
        }
        alone = pipeline(Batch(image=room[i, :height, :width], **one))
        np.testing.assert_array_equal(eager.boxes[i], alone.boxes)
        np.testing.assert_array_equal(eager.keypoints[i], alone.keypoints)
        np.testing.assert_array_equal(eager.extras["mask"][i], alone.extras["mask"])
        np.testing.assert_allclose(eager.boxes[i, 0], found(eager.image[i]), atol=0.75)


def test_masks_have_the_geometry_alone_and_zeros_for_padding():
    steps = resize((60, 90), "pillow"), Pad(2, 2, 2, 2, fill=9.0), *NORMALISED, ChannelsFirst()
    pipeline = Pipeline(steps, kinds=(("mask", "mask"), ("absent", "mask")))
    assert pipeline.masks.steps == (resize((60, 90), "pillow", "nearest"), Pad(2, 2, 2, 2))
    mask = noise(100, 120, dtype="int16")
    want = np.pad(
        one_by_one((resize((60, 90), "pillow", "nearest"),), mask[..., None]),
        [(2, 2), (2, 2), (0, 0)],
    )
    for given in (mask, mask[..., None]):
        result = pipeline(Batch(image=drawn(), extras={"mask": given}))
        np.testing.assert_array_equal(np.asarray(result.extras["mask"]).reshape(want.shape), want)
        assert result.extras["mask"].ndim == given.ndim


def test_labels_and_weights_of_any_kind_pass_untouched():
    label = {
        "name": ["a", "b"],
        "id": np.array([2**62, -1]),
        "text": np.array(["cat", "dog"]),
        "object": object(),
    }
    weight, index, extra = np.float64([1 / 3, 1e300]), np.int64([2**40, 1]), np.int64([2**62])
    batch = Batch(
        image=noise(2, 9, 9, 3), label=label, weight=weight, index=index, extras={"uid": extra}
    )
    pipeline = Pipeline((resize(4, "pillow"),))
    plan = pipeline.plan([(9, 9), (9, 9)], (9, 9))
    for result in (pipeline(batch), pipeline(batch, plan=plan)):
        assert result.label is label
        assert result.weight is weight and result.index is index and result.extras["uid"] is extra


# Exact


def published(image: np.ndarray) -> np.ndarray:
    """ToTensor and Normalize as torchvision publishes them, in NumPy, one operation after
    another.
    """
    x = image.astype(np.float32) / np.float32(255)
    return (x - np.float32(MEAN)) / np.float32(STD)


@every_bit_of_floats
@pytest.mark.parametrize("how", ["eager", "jit", "vmap", "jit of vmap", "plan"])
def test_an_exact_pipeline_has_every_bit_of_the_published_order(how):
    pipeline = Pipeline((resize((30, 40), "pillow", "bilinear"), *NORMALISED), exact=True)
    images = np.concatenate(
        [
            noise(3, 61, 47, 3),
            np.repeat(np.arange(2867).reshape(1, 61, 47, 1) % 256, 3, 3).astype("uint8"),
        ]
    )
    want = published(
        np.stack(
            [Image.fromarray(image).resize((40, 30), Image.Resampling.BILINEAR) for image in images]
        )
    )
    plan = pipeline.plan([(61, 47)] * 4, (61, 47))
    call = {
        "eager": pipeline,
        "jit": jax.jit(pipeline),
        "vmap": jax.vmap(pipeline),
        "jit of vmap": jax.jit(jax.vmap(pipeline)),
        "plan": lambda batch: jax.jit(pipeline)(batch, plan=plan),
    }[how]
    np.testing.assert_array_equal(
        np.asarray(call(Batch(image=images)).image).view(np.int32), want.view(np.int32)
    )


@every_bit_of_floats
@pytest.mark.parametrize(
    "steps",
    [
        (Rescale(1 / 127.5, -1.0),),
        (Rescale(1 / 255, arithmetic="float64"), Normalize(MEAN, STD)),
        (Normalize((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),),
        (Rescale(0.1), Rescale(10.0), Normalize(1e-3, 1e-3)),
    ],
)
def test_every_value_of_uint8_has_its_published_bits_where_exact_and_is_near_otherwise(steps):
    values = np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, 2)
    want: Any = values
    for step in steps:
        want = step.apply(want)
    for call in (Pipeline(steps, exact=True), jax.jit(Pipeline(steps, exact=True))):
        np.testing.assert_array_equal(call(Batch(image=values)).image, want)
    near = run(Pipeline(steps), values)
    assert np.all(np.abs(near - want) <= 1e-6 * np.maximum(1, np.abs(want)))


# Configs

NEEDED = {
    "height": 2.5,
    "width": 1.5,
    "size": (9, 8),
    "divisor": 3,
    "top": 1,
    "left": 2,
    "low": 1,
    "high": 2,
    "patch_size": 4,
    "rule": ops.Letterbox(9, 8),
    "colors": ((0.0, 0.5), (1.0, 2.0)),
    "scale": 0.5,
    "mean": 0.5,
    "std": 0.25,
    Resize: {"size": (7, 6)},
}
"""For steps that `FULL` has no place for: values of the fields that have no default."""

FULL = Pipeline(
    (
        ChannelsLast(),
        ToRGB(alpha="white"),
        ReverseChannels(),
        Pad(1, 2, 3, 4, fill=(1.0, 2.0, 3.0)),
        Crop(1, 2, 60, 50, fill=4.0),
        CropToAspect((40, 50)),
        PadToAspect((40, 30), fill=5.0),
        Resize(
            (40, 30),
            fit="contain",
            rounding="round",
            method="bicubic",
            antialias=False,
            reference="jax",
            rounded=False,
        ),
        Resize(shortest_edge=32, longest_edge=48, method="lanczos3", reference="torch"),
        CenterCrop((30, 28), rule="floor", fill=6.0),
        Flip(horizontal=False, vertical=True),
        Rescale((0.1, 0.2, 0.3), (1.0, 2.0, 3.0), arithmetic="float64"),
        Normalize(MEAN, STD),
        Cast("bfloat16"),
        ChannelsFirst(),
    ),
    kinds=(("mask", "mask"),),
    exact=True,
)


def test_JSON_returns_an_equal_pipeline_with_equal_results():
    again = Pipeline.from_json(json.loads(json.dumps(FULL.to_json())))
    assert again == FULL and hash(again) == hash(FULL)
    assert again.to_json() == FULL.to_json()
    image = noise(4, 70, 64)
    np.testing.assert_array_equal(run(again, image), run(FULL, image))


def test_JSON_can_say_every_step():
    names = {
        step
        for step in vars(ops).values()
        if isinstance(step, type) and issubclass(step, Step) and dataclasses.is_dataclass(step)
    }
    said = {type(step): step for step in FULL.steps}
    for kind in names - {ChannelsFirst, ChannelsLast}:
        needed = [
            field for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING
        ]
        step = said.get(kind) or kind(
            **{field.name: NEEDED[field.name] for field in needed}, **NEEDED.get(kind, {})
        )
        assert Pipeline.from_json(json.loads(json.dumps(Pipeline((step,)).to_json()))) == Pipeline(
            (step,)
        )


def test_pipelines_are_equal_by_value_and_share_a_program():
    def make(**changes: Any) -> Pipeline:
        return Pipeline((Resize(size=[13, 11], method="cubic"), *NORMALISED)).replace(**changes)  # type: ignore[arg-type]

    assert make() == make() and len({make(), make()}) == 1
    assert make() != make(exact=True)
    assert make() != make(kinds=(("mask", "mask"),))
    make()(Batch(image=noise(20, 20, 3)))
    with compilations() as compiled:
        make()(Batch(image=noise(20, 20, 3)))
    assert compiled == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Pipeline((ToRGB(), ChannelsLast())),
            r"`ChannelsLast` to be the first step - at `\$\.steps\[1\]`",
        ),
        (
            lambda: Pipeline((ChannelsFirst(), ToRGB())),
            r"`ChannelsFirst` to be the last step - at `\$\.steps\[0\]`",
        ),
        (lambda: Pipeline((len,)), r"a step of `jaxprep\.ops`.*at `\$\.steps\[0\]`"),
        (
            lambda: Pipeline(kinds=(("mask", "box"),)),
            r"`'keypoints_visible'`, got `'box'` - at `\$\.kinds\[0\]\[1\]`",
        ),
        (lambda: Pipeline.from_json({"steps": [{"step": "Resise"}]}), r"`\$\.steps\[0\]\.step`"),
        (
            lambda: Pipeline.from_json({"steps": [{"step": "Flip", "horizontal": 1}]}),
            r"`\$\.steps\[0\]\.horizontal`",
        ),
        (lambda: Pipeline.from_json({"stepz": []}), r"Unknown field - at `\$\.stepz`"),
    ],
)
def test_a_bad_config_says_what_was_expected_and_where(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


# Errors

PILLOW = Pipeline((resize(8, "pillow"),))
RGB = Pipeline((ToRGB(), resize(8, "pillow")))
PLAN = PILLOW.plan([(9, 9), (5, 7)], (12, 12))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: PILLOW(noise(9, 9, 3)),
            r"a `Batch`, got `ndarray`: wrap arrays as `Batch\(image=\.\.\.\)`",
        ),
        (
            lambda: PILLOW(Batch(image=noise(9, 9))),
            r"\(h, w, c\) or a batch \(batch, h, w, c\), got shape \(9, 9\)",
        ),
        (
            lambda: Pipeline((ChannelsLast(),))(Batch(image=noise(9, 9))),
            r"\(c, h, w\) or a batch \(batch, c, h, w\)",
        ),
        (lambda: PILLOW(Batch(image=noise(0, 9, 9, 3))), r"with pixels, got shape \(0, 9, 9, 3\)"),
        (lambda: PILLOW(Batch(image=noise(9, 0, 3))), r"with pixels, got shape \(9, 0, 3\)"),
        (
            lambda: PILLOW(Batch(image=noise(9, 9, 3).astype(complex))),
            r"integers or real numbers, got dtype complex128",
        ),
        (
            lambda: PILLOW(Batch(image=noise(9, 9, 3, dtype="float32"))),
            r"uint8 .* reference='pillow'.*floats in \[0, 1\] times 255.*reference='float'",
        ),
        (
            lambda: RGB(Batch(image=noise(9, 9, 5))),
            r"of 1 \(gray\), 2 \(gray, alpha\), 3 or 4 .* channels, got 5\. Channels come last",
        ),
        (
            lambda: Pipeline(NORMALISED)(Batch(image=noise(9, 9, 2))),
            r"of 3 channels, since Normalize .* got 2",
        ),
        (
            lambda: PILLOW(Batch(image=noise(2, 9, 9, 3), size=np.int32([[9, 9]]))),
            r"one size for each of the 2 images",
        ),
        (
            lambda: PILLOW(Batch(image=noise(1, 9, 9, 3), size=np.int32([[9, 10]]))),
            r"inside \(9, 9\), got \[\(9, 10\)\]",
        ),
        (
            lambda: PILLOW(Batch(image=noise(1, 9, 9, 3), size=np.int32([[0, 9]]))),
            r"heights and widths of at least 1",
        ),
        (
            lambda: PILLOW.plan([(9, 9), (20, 7)], (12, 12)),
            r"a canvas of at least \(20, 9\).*got \(12, 12\)",
        ),
        (lambda: PILLOW.plan([9, 9]), r"sizes \(batch, 2\)"),
        (
            lambda: PILLOW(Batch(image=noise(2, 9, 9, 3)), plan=PLAN),
            r"a canvas of \(12, 12\), the plan's, got \(9, 9\).*canvas=\(9, 9\)",
        ),
        (lambda: PILLOW(Batch(image=noise(3, 12, 12, 3)), plan=PLAN), r"as many as in the plan"),
        (lambda: PILLOW(Batch(image=noise(12, 12, 3)), plan=PLAN), r"as many as in the plan"),
        (lambda: RGB(Batch(image=noise(2, 12, 12, 3)), plan=PLAN), r"a plan of this pipeline"),
        (
            lambda: PILLOW.replace(kinds=(("m", "mask"),))(
                Batch(image=noise(9, 9, 3), extras={"m": noise(8, 9)})
            ),
            r"a mask of the image's \(9, 9\), got \(8, 9\) - at `batch\.extras\['m'\]`",
        ),
        (
            lambda: Pipeline((Resize(shortest_edge=2**14),)).plan([(1, 9)]),
            r"a result of at most 67108864 pixels",
        ),
    ],
)
def test_a_bad_call_says_what_was_expected_and_what_came(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_under_jit_the_same_calls_fail_with_the_same_words():
    with pytest.raises(InputError, match=r"uint8 image for reference='pillow'"):
        jax.jit(PILLOW)(Batch(image=noise(9, 9, 3, dtype="float32")))
    with pytest.raises(InputError, match=r"a canvas of \(12, 12\)"):
        jax.jit(PILLOW)(Batch(image=noise(2, 9, 9, 3)), plan=PLAN)
    with pytest.raises(
        InputError,
        match=r"sizes of the images are traced.*`plan = pipeline\.plan\(sizes, canvas=\(9, 9\)\)`",
    ):
        jax.jit(PILLOW)(Batch(image=noise(2, 9, 9, 3), size=np.int32([[9, 9], [5, 5]])))


def test_values_made_float_before_a_resize_that_wants_uint8_are_refused():
    with pytest.raises(InputError, match="uint8 image for reference='pillow'"):
        Pipeline((Rescale(), resize(8, "pillow")))(Batch(image=noise(9, 9, 3)))


# How much is compiled


def photo_sizes(count: int, seed: int) -> list[tuple[int, int]]:
    """Sizes of small photographs, two fifths of them portraits, of any aspect ratio from 1 to 2."""
    rng = np.random.default_rng(seed)
    long = rng.integers(130, 321, count)
    short = (long * rng.uniform(0.5, 1, count)).astype(int)
    portrait = rng.random(count) < 0.4
    return [(int(a), int(b)) if p else (int(b), int(a)) for a, b, p in zip(long, short, portrait)]


def programs() -> int:
    """How many programs eager callers have had compiled."""
    return run_batch.count() + run_one.count()


def test_a_hundred_sizes_compile_a_handful_of_programs_of_the_buckets(monkeypatch):
    monkeypatch.setattr(bounds.programs(), "limit", 1000)  # the tests before have filled the cache
    pipeline = Pipeline((Resize(shortest_edge=40, reference="pillow"), CenterCrop(36), *NORMALISED))
    sizes = photo_sizes(100, seed=0)
    buckets = Counter(pipeline.bucket(size) for size in sizes)
    assert len(set(sizes)) == 100 and 1 < len(buckets) <= 8
    before = programs()
    with compilations() as compiled:
        for size in sizes:
            pipeline(Batch(image=np.zeros((*size, 3), np.uint8)))
    often = sum(count >= eager.OFTEN for count in buckets.values())
    assert often <= programs() - before < len(buckets)
    assert len(compiled) <= len(buckets)  # and one that takes the image out of its batch of one
    new = [
        size
        for size in photo_sizes(40, seed=1)
        if size not in sizes and buckets[pipeline.bucket(size)] >= eager.OFTEN
    ]
    assert len(new) > 20
    with compilations() as compiled:
        for size in new:
            pipeline(Batch(image=np.zeros((*size, 3), np.uint8)))
    assert compiled == []


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="elsewhere images go together")
def test_the_program_of_one_image_keeps_to_its_thread():
    image = noise(480, 640, 3)
    pipeline = Pipeline((resize(224, "pillow"),))
    plan = jax.tree.map(lambda leaf: leaf[0], pipeline.plan([(480, 640)], (480, 640)))
    program = Program(plan.stages)

    def text(**options: Any) -> str:
        jitted = jax.jit(functools.partial(run_one.function, program), **options)
        return jitted.lower(image, plan.tables).compile().as_text()

    divided = "outer_dimension_partitions"
    if core_count() > 1:
        assert divided in text()
    assert divided not in text(compiler_options=ONE_THREAD)
    assert divided not in run_one.jitted(program).lower(image, plan.tables).compile().as_text()


def test_threads_that_share_the_images_of_a_call_return_them_in_their_order():
    pipeline = Pipeline((Resize((30, 20), reference="pillow"),))
    sizes = [(130 + 7 * i % 190, 140 + 11 * i % 150) for i in range(40)]
    images = [noise(*size, 3, seed=i) for i, size in enumerate(sizes)]
    for image, result in zip(images, pipeline.run_images(images, sizes).listed(), strict=True):
        want = Image.fromarray(image).resize((20, 30), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(result, np.asarray(want))


@pytest.mark.parametrize("crop", [(), (CenterCrop(36),)])
def test_a_second_list_of_other_sizes_compiles_nothing(crop):
    pipeline = Pipeline(
        (Resize(shortest_edge=40, reference="pillow"), *crop, *NORMALISED),
        kinds=(("mask", "mask"),),
    )

    def call(seed: int, count: int, n: int) -> None:
        rng = np.random.default_rng(seed)
        sizes = rng.integers((97, 129), (105, 134), (count, 2)).astype(np.int32)  # of one bucket
        boxes = np.zeros((count, n, 4), np.float32)
        image = np.zeros((count, 128, 192, 3), np.uint8)
        pipeline(
            Batch(
                image=image,
                size=sizes,
                boxes=boxes,
                keypoints=boxes[..., :2],
                extras={"mask": image[..., 0]},
            )
        )
        for h, w in sizes:
            pipeline(
                Batch(image=image[0, :h, :w], boxes=boxes[0], extras={"mask": image[0, :h, :w]})
            )

    with compilations() as compiled:
        call(seed=0, count=7, n=6)
    assert compiled
    with compilations() as compiled:
        call(seed=1, count=8, n=5)
    assert compiled == []


def test_plans_of_one_canvas_share_the_program_of_a_jitted_call():
    pipeline = Pipeline(
        (Resize(shortest_edge=40, reference="torchvision"), CenterCrop(36), *NORMALISED)
    )
    jitted = jax.jit(pipeline)
    image = np.zeros((4, 192, 192, 3), np.uint8)
    for seed in range(5):
        sizes = np.random.default_rng(seed).integers(97, 193, (4, 2))
        jitted(Batch(image=image), plan=pipeline.plan(sizes, (192, 192)))
    assert jitted._cache_size() == 1
