"""The ops but for resampling: crops, padding, flips, colours, values, boxes, size rules, and what
they refuse.

Comparisons are with Pillow and Transformers themselves, or with formulas published by torchvision,
Keras and timm. They are exact except where a tolerance is given.
"""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from goldens import keras_inputs
from helpers.images import noise
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from transformers import image_transforms
from transformers.image_utils import ChannelDimension

import jaxprep
from jaxprep import Batch, Pipeline, codec, ops
from jaxprep.bounds import MAX_SIDE
from jaxprep.errors import ConfigError, InputError, JaxprepError
from jaxprep.ops import sizes
from jaxprep.ops.boxes import BoxFormat
from jaxprep.ops.resize import keep_ratio, longest_edge, shortest_edge
from jaxprep.pipeline.step import Step

SIDE = st.integers(1, 40)
FEW = settings(max_examples=25, deadline=None, derandomize=True)  # each new shape is a compilation


# --- crops, padding, flips ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "margin, top", [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (5, 2), (6, 3), (7, 4)]
)
def test_center_crop_rounds_half_a_margin_to_even_as_torchvision_does(margin: int, top: int):
    image = noise(10 + margin, 10, 3)
    np.testing.assert_array_equal(ops.center_crop(image, 10), image[top : top + 10])
    image = noise(10, 10 + margin, 3)
    np.testing.assert_array_equal(ops.center_crop(image, 10), image[:, top : top + 10])


def torchvision_center_crop(image: np.ndarray, size: tuple[int, int], fill: int) -> np.ndarray:
    """`torchvision.transforms.functional.center_crop`."""
    (h, w, _), (ch, cw) = image.shape, size
    left, top = (cw - w) // 2 if cw > w else 0, (ch - h) // 2 if ch > h else 0
    right, bottom = (cw - w + 1) // 2 if cw > w else 0, (ch - h + 1) // 2 if ch > h else 0
    image = np.pad(image, ((top, bottom), (left, right), (0, 0)), constant_values=fill)
    top, left = round((image.shape[0] - ch) / 2.0), round((image.shape[1] - cw) / 2.0)
    return image[top : top + ch, left : left + cw]


@FEW
@given(SIDE, SIDE, SIDE, SIDE)
def test_center_crop_is_that_of_torchvision(
    height: int, width: int, crop_height: int, crop_width: int
):
    image, size = noise(height, width, 3), (crop_height, crop_width)
    np.testing.assert_array_equal(
        ops.center_crop(image, size, fill=7), torchvision_center_crop(image, size, 7)
    )


@FEW
@given(SIDE, SIDE, SIDE, SIDE)
def test_center_crop_by_floor_is_that_of_transformers(
    height: int, width: int, crop_height: int, crop_width: int
):
    image, size = noise(height, width, 3), (crop_height, crop_width)
    expected = image_transforms.center_crop(image, size, input_data_format=ChannelDimension.LAST)
    np.testing.assert_array_equal(ops.center_crop(image, size, rule="floor"), expected)


@FEW
@given(SIDE, SIDE, st.integers(-20, 20), st.integers(-20, 20), SIDE, SIDE)
def test_crop_is_a_window_of_the_image_in_a_sea_of_fill(
    height: int, width: int, top: int, left: int, h: int, w: int
):
    image = noise(height, width, 3)
    sea = np.full((120, 120, 3), (1, 2, 3), np.uint8)
    sea[40 : 40 + height, 40 : 40 + width] = image
    expected = sea[40 + top : 40 + top + h, 40 + left : 40 + left + w]
    np.testing.assert_array_equal(ops.crop(image, top, left, h, w, fill=(1.0, 2.0, 3.0)), expected)


@FEW
@given(SIDE, SIDE, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_pad_is_that_of_numpy_and_a_crop_undoes_it(
    height: int, width: int, top: int, bottom: int, left: int, right: int
):
    image = noise(height, width, 3)
    padded = ops.pad(image, top, bottom, left, right, fill=9.0)
    expected = np.pad(image, ((top, bottom), (left, right), (0, 0)), constant_values=9)
    np.testing.assert_array_equal(padded, expected)
    np.testing.assert_array_equal(ops.crop(padded, top, left, height, width), image)


def test_fill_is_rounded_and_clipped_to_the_type_of_the_image():
    image = np.zeros((1, 1, 4), np.uint8)
    np.testing.assert_array_equal(
        ops.pad(image, 1, 0, 0, 0, fill=(-5.0, 2.5, 3.5, 999.0))[0, 0], [0, 2, 4, 255]
    )
    np.testing.assert_array_equal(
        ops.pad(image.astype(np.float32), 1, 0, 0, 0, fill=2.5)[0, 0], [2.5] * 4
    )


@pytest.mark.parametrize("horizontal", [True, False])
@pytest.mark.parametrize("vertical", [True, False])
def test_flip_twice_is_the_identity_and_once_is_that_of_numpy(horizontal: bool, vertical: bool):
    image = noise(5, 8, 3)
    flipped = ops.flip(image, horizontal=horizontal, vertical=vertical)
    np.testing.assert_array_equal(
        flipped, image[:: -1 if vertical else 1, :: -1 if horizontal else 1]
    )
    np.testing.assert_array_equal(
        ops.flip(flipped, horizontal=horizontal, vertical=vertical), image
    )


def test_flip_commutes_with_center_crop_where_the_margin_is_even():
    image = noise(10, 14, 3)
    np.testing.assert_array_equal(
        ops.flip(ops.center_crop(image, 8)), ops.center_crop(ops.flip(image), 8)
    )


def keras_crop(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """What `keras.layers.Resizing(crop_to_aspect_ratio=True)` resizes, on JAX."""
    (height, width, _), (th, tw) = image.shape, size
    ch, cw = (
        max(min(height, int(float(width * th) / tw)), 1),
        max(min(width, int(float(height * tw) / th)), 1),
    )
    top, left = int(float(height - ch) / 2), int(float(width - cw) / 2)
    return image[top : top + ch, left : left + cw]


def keras_pad(image: np.ndarray, size: tuple[int, int], fill: int) -> np.ndarray:
    """What `keras.layers.Resizing(pad_to_aspect_ratio=True)` resizes, on JAX."""
    (height, width, _), (th, tw) = image.shape, size
    ph, pw = max(height, int(float(width * th) / tw)), max(width, int(float(height * tw) / th))
    rows, columns = int(float(ph - height) / 2), int(float(pw - width) / 2)
    columns = 0 if rows > 0 else columns
    return np.pad(image, ((rows, rows), (columns, columns), (0, 0)), constant_values=fill)


@FEW
@given(SIDE, SIDE, SIDE, SIDE)
def test_crop_and_pad_to_aspect_are_those_of_keras(
    height: int, width: int, target_height: int, target_width: int
):
    image, size = noise(height, width, 3), (target_height, target_width)
    np.testing.assert_array_equal(ops.crop_to_aspect(image, size), keras_crop(image, size))
    np.testing.assert_array_equal(ops.pad_to_aspect(image, size, fill=5), keras_pad(image, size, 5))


def test_boxes_and_keypoints_follow_the_image():
    boxes, keypoints = np.float32([[2, 1, 8, 5], [-3, 0, 30, 99]]), np.float32([[2, 1], [8, 5]])
    batch = Batch(image=noise(10, 20, 3), boxes=boxes, keypoints=keypoints)
    # each image is known by one pixel: the box around it is where it went
    for step, expected, point in (
        (ops.Crop(1, 2, 6, 9), [[0, 0, 6, 4], [0, 0, 9, 6]], [0, 0]),
        (ops.Pad(3, 1, 4, 2), [[6, 4, 12, 8], [1, 3, 26, 14]], [6, 4]),
        (ops.Flip(), [[12, 1, 18, 5], [0, 0, 20, 10]], [18, 1]),
        (ops.Flip(False, True), [[2, 5, 8, 9], [0, 0, 20, 10]], [2, 9]),
        (ops.Resize((20, 30)), [[3, 2, 12, 10], [0, 0, 30, 20]], [3, 2]),
        (ops.CenterCrop((10, 10)), [[0, 1, 3, 5], [0, 0, 10, 10]], [-3, 1]),
    ):
        result = step(batch)
        np.testing.assert_allclose(result.boxes, expected, atol=1e-5)  # float32 scales
        np.testing.assert_allclose(result.keypoints[0], point, atol=1e-5)


# --- colours --------------------------------------------------------------------------------------


def all_pairs() -> tuple[np.ndarray, np.ndarray]:
    """Every value and every alpha, each `(256, 256, 1)` uint8."""
    value, alpha = np.meshgrid(
        np.arange(256, dtype=np.uint8), np.arange(256, dtype=np.uint8), indexing="ij"
    )
    return value[..., None], alpha[..., None]


def test_alpha_over_white_is_pillows_alpha_composite_for_every_value_and_alpha():
    value, alpha = all_pairs()
    rgba = np.concatenate([value, value[::-1], value, alpha], axis=-1)
    white = Image.new("RGBA", (256, 256), "white")
    expected = np.asarray(Image.alpha_composite(white, Image.fromarray(rgba)).convert("RGB"))
    np.testing.assert_array_equal(ops.to_rgb(rgba, alpha="white"), expected)
    gray = np.concatenate([value, alpha], axis=-1)
    np.testing.assert_array_equal(ops.to_rgb(gray, alpha="white")[..., 0], expected[..., 0])
    np.testing.assert_array_equal(jax.jit(lambda x: ops.to_rgb(x, alpha="white"))(rgba), expected)


def test_alpha_over_white_in_float_is_within_a_level_of_pillow():
    value, alpha = all_pairs()
    image = np.concatenate([value, value, value, alpha], axis=-1)
    result = ops.to_rgb(image.astype(np.float32) / 255, alpha="white") * 255
    np.testing.assert_allclose(
        result, ops.to_rgb(image, alpha="white"), atol=0.51
    )  # Pillow rounds to a level


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_to_rgb_without_alpha_is_pillows_convert(mode: str):
    image = Image.fromarray(noise(6, 7, 4)).convert(mode)
    array = np.asarray(image).reshape(6, 7, -1)
    np.testing.assert_array_equal(ops.to_rgb(array), np.asarray(image.convert("RGB")))


def test_premultiply_and_back_are_pillows_for_every_value_and_alpha():
    value, alpha = all_pairs()
    rgba = np.concatenate([value, value[::-1], value, alpha], axis=-1)
    premultiplied = Image.fromarray(rgba).convert("RGBa")
    stored = np.frombuffer(premultiplied.tobytes(), np.uint8).reshape(rgba.shape)
    np.testing.assert_array_equal(ops.Premultiply().apply(rgba), stored)
    np.testing.assert_array_equal(
        ops.Unpremultiply().apply(stored), np.asarray(premultiplied.convert("RGBA"))
    )
    any_pair = Image.frombytes("RGBa", (256, 256), rgba.tobytes()).convert(
        "RGBA"
    )  # colours above alpha too
    np.testing.assert_array_equal(ops.Unpremultiply().apply(rgba), np.asarray(any_pair))


def test_resizing_between_premultiply_and_back_is_pillows_resize_of_rgba():
    image = keras_inputs.build(
        {"photo": "chelsea", "top": 0, "left": 0, "height": 90, "width": 120, "channels": 4}
    )
    batch = Batch(image=image)
    for step in (
        ops.Premultiply(),
        ops.Resize((41, 37), method="bicubic", reference="pillow"),
        ops.Unpremultiply(),
    ):
        batch = step(batch)
    expected = Image.fromarray(image).resize((37, 41), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(batch.image, np.asarray(expected))


RGBA = keras_inputs.build(
    {"photo": "chelsea", "top": 0, "left": 0, "height": 40, "width": 48, "channels": 4}
)


def test_an_image_with_alpha_of_the_size_it_is_resized_to_stays_as_it_is():
    """`Image.resize` of Pillow returns a copy before it multiplies by alpha."""
    resize = ops.Resize((24, 32), reference="pillow")
    steps = (ops.Premultiply(), resize, ops.Unpremultiply())
    pipeline = Pipeline((*steps, ops.CenterCrop((24, 30))))
    images = [RGBA[:24, :32], RGBA[:, :40]]
    wanted = []
    for image in images:
        resized = Image.fromarray(image).resize((32, 24), Image.Resampling.BILINEAR)
        wanted.append(np.asarray(resized)[:, 1:-1])
    np.testing.assert_array_equal(wanted[0], images[0][:, 1:-1])
    jitted = jax.jit(pipeline)(Batch(image=images[0]))
    np.testing.assert_array_equal(jitted.image, wanted[0])
    gray = images[0][..., 2:]
    np.testing.assert_array_equal(pipeline(Batch(image=gray)).image, gray[:, 1:-1])
    # Both in one program, with a plan.
    canvas, image_sizes = jaxprep.stack(images, canvas=(64, 64))
    plan = pipeline.plan(image_sizes, canvas=(64, 64))
    planned = jax.jit(lambda batch, plan: pipeline(batch, plan=plan))
    results = planned(Batch(image=canvas, size=image_sizes), plan).image
    np.testing.assert_array_equal(results, np.stack(wanted))


def test_alpha_is_multiplied_in_where_no_resize_stands_between():
    image = RGBA[:24, :32]
    there_and_back = ops.Unpremultiply()(ops.Premultiply()(Batch(image=image))).image
    assert (np.asarray(there_and_back) != image).any()
    resize = ops.Resize((24, 32), reference="pillow")
    turn = ops.AlignLongAxis((24, 32))
    for steps in (
        (resize, ops.Premultiply(), ops.Unpremultiply(), resize),
        (ops.Premultiply(), turn, ops.Unpremultiply()),
    ):
        result = Pipeline(steps)(Batch(image=image)).image
        np.testing.assert_array_equal(result, there_and_back, str(steps))


@dataclasses.dataclass(frozen=True)
class HalfBefore(ops.Rescale):
    around_resize = "before"


@dataclasses.dataclass(frozen=True)
class FloatsBefore(ops.Cast):
    around_resize = "before"


@pytest.mark.parametrize("step", [HalfBefore(0.5), FloatsBefore()])
def test_a_step_around_a_resize_that_changes_more_than_values_is_refused(step):
    pipeline = Pipeline((step, ops.Resize((8, 8), reference="pillow"), ops.Unpremultiply()))
    for call in (pipeline, jax.jit(pipeline)):
        for size in ((8, 8), (9, 9)):
            with pytest.raises(InputError, match="apply` to keep shape and type"):
                call(Batch(image=np.ones((*size, 3), np.uint8)))


def test_an_image_with_alpha_that_is_not_reduced_stays_as_it_is():
    image = RGBA[:24, :32]
    step = ops.ReducingResize(sizes.Thumbnail(24, 32))
    pipeline = Pipeline((ops.Premultiply(), step, ops.Unpremultiply()))
    np.testing.assert_array_equal(pipeline(Batch(image=image)).image, image)
    size = step.output_size(RGBA.shape[:2])
    wanted = Image.fromarray(RGBA).resize(size[::-1], Image.Resampling.BICUBIC, reducing_gap=2)
    np.testing.assert_array_equal(pipeline(Batch(image=RGBA)).image, np.asarray(wanted))


@pytest.mark.parametrize("step", [ops.Premultiply(), ops.Unpremultiply()])
def test_images_without_alpha_are_not_premultiplied_and_floats_are_refused(step: Step):
    image = noise(3, 4, 3)
    np.testing.assert_array_equal(step(Batch(image=image)).image, image)
    with pytest.raises(
        InputError, match="Expected uint8 where colours are multiplied by alpha, got float32"
    ):
        step(Batch(image=np.zeros((3, 4, 4), np.float32)))


def test_channels_reversed_twice_and_moved_there_and_back_are_the_identity():
    image = noise(3, 4, 3)
    np.testing.assert_array_equal(ops.reverse_channels(image), image[..., [2, 1, 0]])
    np.testing.assert_array_equal(ops.reverse_channels(ops.reverse_channels(image)), image)
    assert ops.channels_first(image).shape == (3, 3, 4)
    np.testing.assert_array_equal(ops.channels_last(ops.channels_first(image)), image)


# --- values ---------------------------------------------------------------------------------------

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def test_rescale_and_normalize_of_numpy_are_those_of_transformers_in_every_bit():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1).repeat(3, -1)
    for scale in (1 / 255, 1 / 127.5, 0.00392156862745098):
        rescaled = ops.rescale(image, scale, arithmetic="float64")
        np.testing.assert_array_equal(rescaled, image_transforms.rescale(image, scale))
        assert isinstance(rescaled, np.ndarray) and rescaled.dtype == np.float32
        expected = image_transforms.normalize(
            rescaled, MEAN, STD, input_data_format=ChannelDimension.LAST
        )
        np.testing.assert_array_equal(ops.normalize(rescaled, MEAN, STD), expected)


def test_rescale_is_one_float32_operation_for_keras_and_a_division_for_torchvision():
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    x = image.astype(np.float32)
    np.testing.assert_array_equal(ops.rescale(image), x * np.float32(1 / 255))
    np.testing.assert_array_equal(ops.rescale(image, arithmetic="division"), x / np.float32(255))
    scaled = ops.rescale(image, (1.5, 2.5, 3.5), (-1.0, 0.0, 1.0))
    np.testing.assert_array_equal(scaled, x * np.float32([1.5, 2.5, 3.5]) + np.float32([-1, 0, 1]))


@pytest.mark.parametrize(
    "step", [ops.Rescale((0.5, 2.0, 3.0), (1.0, 0.0, -1.0)), ops.Normalize(MEAN, STD)]
)
def test_an_affine_step_is_its_coefficients_in_numpy_and_under_jit(step):
    image = noise(5, 6, 3).astype(np.float32)
    a, b = step.affine()
    expected = a * image.astype(np.float64) + b
    # float32 rounds two operations; a compiled program may contract them
    for result in (
        step.apply(image),
        jax.jit(step.apply)(image),
        step(Batch(image=jnp.asarray(image))).image,
    ):
        np.testing.assert_allclose(result, expected, rtol=3e-7, atol=3e-7 * np.abs(expected).max())


def test_a_cast_to_integers_rounds_half_to_even_and_saturates():
    image = np.float32([-5, -0.5, 0.5, 1.5, 254.5, 255.5, 1e10]).reshape(1, 7, 1)
    np.testing.assert_array_equal(
        ops.Cast("uint8")(Batch(image=image)).image.ravel(), [0, 0, 0, 2, 254, 255, 255]
    )
    wide = ops.Cast("int32")(Batch(image=image)).image
    np.testing.assert_array_equal(wide.ravel()[:6], [-5, 0, 0, 2, 254, 256])
    assert int(wide.ravel()[6]) > 2**31 - 256  # the largest float32 that int32 holds
    assert ops.Cast("bfloat16")(Batch(image=image)).image.dtype == jnp.bfloat16


# --- boxes ----------------------------------------------------------------------------------------

SIZE, CORNERS = (50, 200), np.float32([20, 5, 60, 25])  # height, width; x0, y0, x1, y1
FORMATS = {
    "xyxy": [20, 5, 60, 25],
    "yxyx": [5, 20, 25, 60],
    "xywh": [20, 5, 40, 20],
    "center_xywh": [40, 15, 40, 20],
    "center_yxhw": [15, 40, 20, 40],
    "rel_xyxy": [0.1, 0.1, 0.3, 0.5],
    "rel_yxyx": [0.1, 0.1, 0.5, 0.3],
    "rel_xywh": [0.1, 0.1, 0.2, 0.4],
    "rel_center_xywh": [0.2, 0.3, 0.2, 0.4],
}


def test_the_box_formats_are_all_tested():
    assert set(FORMATS) == set(BoxFormat.__args__)


@pytest.mark.parametrize("box_format", FORMATS)
def test_boxes_go_to_corners_and_back(box_format: str):
    np.testing.assert_allclose(
        ops.to_corners(FORMATS[box_format], box_format, SIZE), CORNERS, rtol=1e-6
    )
    np.testing.assert_allclose(
        ops.from_corners(CORNERS, box_format, SIZE), FORMATS[box_format], rtol=1e-6
    )
    corners = np.random.default_rng(0).uniform(0, 50, (3, 7, 4)).astype(np.float32)
    back = ops.to_corners(ops.from_corners(corners, box_format, SIZE), box_format, SIZE)
    np.testing.assert_allclose(back, corners, rtol=0, atol=2e-5)  # a few roundings of float32 at 50


def test_an_unknown_box_format_is_refused():
    for convert in (ops.to_corners, ops.from_corners):
        with pytest.raises(
            ConfigError,
            match=r"Expected one of \['xyxy'.* got `'coco'` - at `\$.bounding_box_format`",
        ):
            convert(CORNERS, "coco", SIZE)


# --- size rules -----------------------------------------------------------------------------------

LENGTH = st.integers(1, 4000)


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(LENGTH, LENGTH, st.integers(1, 1000), st.none() | st.integers(1, 1500))
def test_shortest_edge_is_that_of_transformers(
    height: int, width: int, edge: int, longest: int | None
):
    longest = None if longest is None else edge + longest
    image = np.broadcast_to(np.uint8(0), (height, width, 3))
    expected = image_transforms.get_resize_output_image_size(
        image,
        edge,
        default_to_square=False,
        max_size=longest,
        input_data_format=ChannelDimension.LAST,
    )
    assert shortest_edge((height, width), edge, longest=longest) == tuple(
        max(n, 1) for n in expected
    )


def timm_keep_ratio(
    size: tuple[int, int], target: tuple[int, int], longest: float
) -> tuple[int, ...]:
    """`timm.data.transforms.ResizeKeepRatio.get_params`."""
    ratios = size[0] / target[0], size[1] / target[1]
    ratio = max(ratios) * longest + min(ratios) * (1.0 - longest)
    return tuple(round(n * factor / ratio) for n, factor in zip(size, (1.0, 1.0)))


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(LENGTH, LENGTH, st.integers(1, 1000), st.integers(1, 1000), st.booleans())
def test_keeping_the_ratio_is_that_of_timm(
    height: int, width: int, box_height: int, box_width: int, cover: bool
):
    size, box = (height, width), (box_height, box_width)
    expected = tuple(max(n, 1) for n in timm_keep_ratio(size, box, 0.0 if cover else 1.0))
    assert keep_ratio(size, box, cover) == expected
    step = ops.Resize(box, fit="cover" if cover else "contain", rounding="round")
    if max(expected) <= MAX_SIDE:
        assert step.output_size(size) == expected


@settings(max_examples=300, deadline=None, derandomize=True)
@given(LENGTH, LENGTH, st.integers(1, 1000))
def test_longest_edge_bounds_both_sides_and_keeps_the_order(height: int, width: int, edge: int):
    for rounding in ("truncate", "round"):
        out = longest_edge((height, width), edge, rounding)
        assert max(out) == edge and min(out) >= 1 and (out[0] <= out[1]) >= (height < width)
        exact = [n * edge / max(height, width) for n in (height, width)]
        assert all(
            n == 1 or abs(n - e) <= (0.5 if rounding == "round" else 1) for n, e in zip(out, exact)
        )


# --- refusals -------------------------------------------------------------------------------------

COLOUR = np.zeros((4, 5, 3), np.uint8)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ops.CenterCrop(0), r"at least 1, got `\(0, 0\)` - at `\$\.size`"),
        (lambda: ops.CenterCrop(2**15), r"Expected at most \d+ pixels"),
        (lambda: ops.CenterCrop("224"), r"got `'224'` - at `\$\.size`"),
        (lambda: ops.CenterCrop(4, rule="ceil"), r"got `'ceil'` - at `\$\.rule`"),
        (lambda: ops.Crop(0, 0, 0, 5), "at least 1"),
        (lambda: ops.Crop(2**31, 0, 4, 5), r"Expected an offset below 2\*\*30"),
        (lambda: ops.Crop(0, 0, 2**15, 2**15), r"Expected at most \d+ pixels"),
        (lambda: ops.Crop(0, 0, 4, 5, fill="black"), r"at `\$\.fill`"),
        (lambda: ops.Pad(-1), r"Expected 0 to 65536 pixels, got `-1` - at `\$\.top`"),
        (lambda: ops.Pad(0, 0, 0, 10**9), r"got `1000000000` - at `\$\.right`"),
        (lambda: ops.CropToAspect((4, 0)), "at least 1"),
        (lambda: ops.PadToAspect((0, 4)), "at least 1"),
        (lambda: ops.Flip("yes"), r"Expected `bool`, got `'yes'` - at `\$\.horizontal`"),
        (lambda: ops.ToRGB(alpha="black"), r"got `'black'` - at `\$\.alpha`"),
        (lambda: ops.Cast("int8"), r"got `'int8'` - at `\$\.dtype`"),
        (lambda: ops.Rescale(float("nan")), r"got `nan` - at `\$\.scale`"),
        (lambda: ops.Rescale(0.3, arithmetic="division"), "Expected the inverse of an integer"),
        (lambda: ops.Rescale(0.0, arithmetic="division"), "Expected the inverse of an integer"),
        (
            lambda: ops.Normalize(MEAN, (0.2, 0.0, 0.2)),
            r"Expected a positive standard deviation.* at `\$\.std`",
        ),
        (
            lambda: ops.Normalize(0.5, -1.0),
            r"Expected a positive standard deviation, got `-1.0` - at `\$\.std`",
        ),
        (lambda: ops.Normalize(0.5, float("inf")), r"got `inf` - at `\$\.std`"),
        (lambda: ops.Resize(), "Expected either `size`"),
        (lambda: ops.Resize(4, shortest_edge=4), "Expected either `size`"),
        (lambda: ops.Resize(shortest_edge=0), r"at least 1.* - at `\$\.shortest_edge`"),
        (lambda: ops.Resize(longest_edge=10**9), r"Expected at most .* - at `\$\.longest_edge`"),
        (lambda: ops.Resize(shortest_edge=4, fit="cover"), "no `size` to fit"),
        (lambda: ops.Resize(4, rounding="up"), r"at `\$\.rounding`"),
    ],
)
def test_a_bad_config_never_exists(make, message: str):
    with pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: ops.center_crop(COLOUR[..., 0], 3),
            r"Expected one image \(h, w, c\), got shape \(4, 5\)",
        ),
        (lambda: ops.flip(COLOUR[None]), "Batches go to a `Pipeline`"),
        (lambda: ops.ToRGB()(Batch(image=np.zeros((4, 5, 5), np.uint8))), r"1 \(gray\).* got 5"),
        (
            lambda: ops.Normalize(MEAN, STD)(Batch(image=COLOUR[..., :2])),
            "Expected an image of 3 channels.* got 2",
        ),
        (
            lambda: ops.pad_to_aspect(np.zeros((1, 4, 3), np.uint8), (2**20, 1)),
            r"at most \d+ pixels a side, got .* which `PadToAspect` makes of \(1, 4\)",
        ),
        (
            lambda: ops.Resize(shortest_edge=2**13).output_size((1, 2**10)),
            r"Expected a result of at most \d+ pixels",
        ),
        (
            lambda: ops.Resize(shortest_edge=64).output_size((1, 10**9)),
            r"Expected a result of at most \d+ pixels",
        ),
    ],
)
def test_a_bad_image_is_refused(call, message: str):
    with pytest.raises(InputError, match=message):
        call()


def test_every_refusal_is_a_value_error_of_the_library():
    assert issubclass(ConfigError, JaxprepError) and issubclass(InputError, JaxprepError)
    assert issubclass(JaxprepError, ValueError)


# --- configs --------------------------------------------------------------------------------------

# every field off its default; a step whose fields exclude each other is there more than once
EXAMPLES = (
    ops.AlignLongAxis((3, 4)),
    ops.Cast("int32", True),
    ops.Cast("uint8", truncated=True),
    ops.CenterCrop((3, 4), "floor", (1.0, 2.0, 3.0)),
    ops.CenterCropShare(0.5, 0.25, "down"),
    ops.ChannelsFirst(),
    ops.ChannelsLast(),
    ops.Clip(-1.0, 0.5),
    ops.Crop(-1, 2, 3, 4, 5.0),
    ops.CropToAspect((3, 4)),
    ops.CropOrResize((3, 4), method="bicubic", antialias=True, reference="float", rounded=True),
    ops.Fit(ops.Letterbox(9, 8, False), (1.0, 2.0, 3.0), "box", False, "jax", False),
    ops.Flip(False, True),
    ops.MirrorTo((9, 8), "edge"),
    ops.NearestColor(((0.0, 0.5), (1.0, 2.0)), True),
    ops.Normalize((0.1, 0.2, 0.3), 0.5),
    ops.NormalizeBfloat16(0.25, (0.1, 0.2, 0.3), 0.5),
    ops.OverCheckerboard(),
    ops.Pad(1, 2, 3, 4, (5.0, 6.0)),
    ops.PadTo((9, 8), 3.0),
    ops.PadToAspect((3, 4), 5.0),
    ops.PadToAtLeast((9, 8), 3.0),
    ops.PadToMultiple(8, True, 3.0, True),
    ops.PadToNextMultiple(8),
    ops.PadToSquare((1.0, 2.0, 3.0), False),
    ops.Patches(4, 2, "cthw", 2),
    ops.Premultiply(),
    ops.ReducingResize(sizes.Thumbnail(3, 4), 3.0, "box", "pillow12"),
    ops.Rescale(0.25, (1.0, 2.0, 3.0), "division"),
    ops.Resize(
        (3, 4),
        fit="cover",
        rounding="round",
        method="box",
        antialias=False,
        reference="jax",
        rounded=False,
    ),
    ops.Resize(shortest_edge=3, longest_edge=7),
    ops.Resize(rule=sizes.Inside(3, 4)),
    ops.ReverseChannels(True),
    ops.Tiles(2),
    ops.ToGray(),
    ops.ToRGB("white"),
    ops.Unpremultiply(),
)


def test_every_step_and_every_field_off_its_default_is_among_the_examples():
    exported = {value for name in ops.__all__ if isinstance(value := getattr(ops, name), type)}
    steps = {
        value for value in exported if dataclasses.is_dataclass(value) and issubclass(value, Step)
    }
    assert {type(example) for example in EXAMPLES} >= steps
    for cls in steps:
        examples = [example for example in EXAMPLES if type(example) is cls]
        for field in dataclasses.fields(cls):
            values = [getattr(example, field.name) for example in examples]
            assert any(value != field.default for value in values), f"{cls.__name__}.{field.name}"


@pytest.mark.parametrize("step", EXAMPLES, ids=lambda step: type(step).__name__)
def test_a_step_goes_to_json_and_back(step: Step):
    text = codec.dumps(codec.to_json(step))
    again = codec.from_json(Step, json.loads(text))
    assert again == step and type(again) is type(step) and hash(again) == hash(step)
    assert codec.dumps(codec.to_json(again)) == text


def test_an_unknown_or_missing_field_is_named_with_its_place():
    with pytest.raises(
        ConfigError, match=r"Unknown field - at `\$\.sise`\. Known: \['fill', 'rule', 'size'\]"
    ):
        codec.from_json(Step, {"step": "CenterCrop", "sise": [3, 4]})
    with pytest.raises(ConfigError, match=r"Missing field `size` - at `\$`"):
        codec.from_json(Step, {"step": "CenterCrop"})
    with pytest.raises(
        ConfigError, match=r"Expected one of .*'CenterCrop'.* got `'CentreCrop'` - at `\$\.step`"
    ):
        codec.from_json(Step, {"step": "CentreCrop", "size": [3, 4]})
