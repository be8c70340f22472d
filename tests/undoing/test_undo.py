"""`jaxprep.undo`: places of a model's input, back in the photograph.

The measure is an image whose pixels hold their own positions. After any geometry a pixel of the
result says where in the photograph it is from, whatever our matrices say.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from helpers.compilations import compilations

import jaxprep
from jaxprep import Batch, Pipeline, augment, huggingface, ops
from jaxprep.errors import InputError
from jaxprep.ops.mirror import MirrorAround
from jaxprep.pipeline.positions import position_matrix
from jaxprep.undoing import geometry as undoing

FILL = -1000.0
SIZES = [(37, 52), (61, 40)]
EXACT: Any = {"method": "bilinear", "antialias": False, "reference": "float"}
"""A resize that keeps a ramp: the normalised weights of antialiasing bend it a little."""


def resize(size: Any = None, **options: Any) -> ops.Resize:
    return ops.Resize(size, **options, **EXACT)


GEOMETRIES: dict[str, tuple[Any, ...]] = {
    "stretched": (resize((20, 30)),),
    "shorter side": (resize(shortest_edge=24),),
    "enlarged": (resize((90, 120)),),
    "middle": (ops.CenterCrop((21, 64), fill=FILL),),
    "window": (ops.Crop(3, 5, 20, 30),),
    "margins": (ops.Pad(1, 2, 3, 4, fill=FILL),),
    "mirrored": (ops.Flip(horizontal=True, vertical=True),),
    "letterbox": (ops.Fit(ops.Letterbox(32, 32), fill=FILL, antialias=False),),
    "square": (ops.PadToSquare(fill=FILL), resize((24, 24))),
    "aspect": (ops.CropToAspect((3, 4)), resize((30, 40))),
    "turned": (ops.AlignLongAxis((40, 30)), resize((40, 30))),
    "all": (
        ops.Flip(),
        resize(shortest_edge=30),
        ops.CenterCrop((28, 29)),
        resize((20, 25)),
        ops.Pad(2, 0, 1, 0, fill=FILL),
    ),
    "cut and padded": (ops.Crop(3, 5, 20, 30), ops.Pad(2, 3, 4, 5, fill=FILL)),
    "mirrored around": (MirrorAround(), resize((30, 40))),
}
SOME = ("middle", "turned", "all", "cut and padded")
RANDOM: dict[str, tuple[Any, ...]] = {
    "random flip": (ops.Crop(3, 5, 20, 30), augment.RandomFlip(), ops.Pad(2, 0, 1, 0, fill=FILL)),
    "random turn": (
        resize((32, 32)),
        augment.RandomRotation((-30.0, 30.0), method="bilinear", fill=FILL),
    ),
}


ALL = np.float32([[0, 0, 1000, 1000]])


def positions(size: tuple[int, int]) -> np.ndarray:
    """An image of two channels, x and y of the middle of each pixel."""
    y, x = np.mgrid[: size[0], : size[1]] + 0.5
    return np.float32(np.stack([x, y], -1))


def middles(size: tuple[int, int]) -> np.ndarray:
    return positions(size).reshape(-1, 2)


def is_inner(points: np.ndarray, size: tuple[int, int], margin: float) -> np.ndarray:
    """Which positions are so far inside that no filter there reaches the edge."""
    limit = np.array(size[::-1])
    return ((points > margin) & (points < limit - margin)).all(-1)


def check_positions(found: Any, result: np.ndarray, size: tuple[int, int], margin: float) -> None:
    where, visible = (np.asarray(values) for values in found)
    said = result.reshape(-1, 2)
    inner = is_inner(where, size, margin) & (np.abs(said) < 900).all(-1)
    assert inner.sum() > 40
    np.testing.assert_allclose(where[inner], said[inner], atol=2e-3)
    assert visible[inner].all()
    filled = (said == FILL).all(-1)
    assert not visible[filled].any()


@pytest.mark.parametrize("name", GEOMETRIES)
def test_a_pixel_goes_back_to_where_its_value_is_from(name: str) -> None:
    pipeline = Pipeline(GEOMETRIES[name])
    for size in SIZES if name in SOME else SIZES[:1]:
        result = np.asarray(pipeline(Batch(image=positions(size))).image)
        found = jaxprep.undo(pipeline, size).keypoints(middles(result.shape[:2]))
        check_positions(found, result, size, margin=5)


@pytest.mark.parametrize("name", RANDOM)
def test_so_it_does_after_random_steps(name: str) -> None:
    pipeline = Pipeline(RANDOM[name])
    images = np.stack([positions(SIZES[0])] * 2)
    draws = pipeline.draw(jax.random.key(1), Batch(image=images))
    results = np.asarray(pipeline(Batch(image=images), draws=draws).image)
    with compilations() as compiled:
        geometry = jaxprep.undo(pipeline, [SIZES[0]] * 2, draws=draws)
    # each operation on the draws was one: a minute for a random crop and flip
    assert len(compiled) <= 6
    points = np.stack([middles(results.shape[1:3])] * 2)
    where, visible = geometry.keypoints(points)
    for i, result in enumerate(results):
        check_positions((where[i], visible[i]), result, SIZES[0], margin=3)
    if name == "random flip":
        # one by one, eagerly, and with a plan on a larger canvas
        of_first = jax.tree.map(lambda leaf: np.asarray(leaf)[0], draws)
        first = jaxprep.undo(pipeline, SIZES[0], draws=of_first)
        np.testing.assert_allclose(first.keypoints(points[0])[0], where[0], atol=1e-3)
        plan = pipeline.plan([SIZES[0]] * 2, canvas=(64, 64))
        planned = jaxprep.undo(pipeline, plan=plan, draws=draws)
        np.testing.assert_allclose(planned.keypoints(points)[0], where, atol=1e-3)


PRESETS: dict[str, Any] = {
    "timm/resnet50.a1_in1k": {"image_size": 48},
    "retinanet_resnet50_fpn_coco": {"image_size": 64},
    "Qwen2VLImageProcessor": {"min_pixels": 28 * 28, "max_pixels": 28 * 28 * 6},
    "LlavaNextImageProcessor": {
        "size": {"shortest_edge": 32},
        "crop_size": 32,
        "image_grid_pinpoints": [[32, 64], [64, 32]],
    },
}


@pytest.mark.parametrize("name", PRESETS)
def test_so_it_does_after_presets_whose_normalisation_is_undone(name: str) -> None:
    if name.endswith("Processor"):
        pre = getattr(huggingface, name)(**PRESETS[name])
    else:
        pre = jaxprep.ImageClassifierPreprocessor.from_preset(name, **PRESETS[name])
    size = (96, 125)
    # whole levels of the top-left corner of each pixel
    image = np.dstack([positions(size) - 0.5, np.full(size, 77)]).astype(np.uint8)
    result = np.asarray(jaxprep.denormalize(pre.pipeline(Batch(image=image)).image, pre))
    where, _ = jaxprep.undo(pre, size).keypoints(middles(result.shape[:2]))
    inner = is_inner(np.asarray(where), size, margin=12)
    assert inner.sum() > 40
    corners = np.asarray(where)[inner] - 0.5
    assert np.abs(corners - result.reshape(-1, 3)[inner, :2]).max() <= 1.01
    assert np.abs(result.reshape(-1, 3)[inner, 2].astype(int) - 77).max() <= 1


@pytest.mark.parametrize("name", SOME)
def test_boxes_go_there_and_back(name: str) -> None:
    pipeline = Pipeline(GEOMETRIES[name], kinds={"seen": "boxes_visible"})
    rng = np.random.default_rng(0)
    for size in SIZES:
        corners = rng.uniform(-5, 70, (50, 2, 2)).astype(np.float32)
        boxes = np.concatenate([corners.min(1), corners.max(1)], -1)
        there = pipeline(Batch(image=positions(size), boxes=boxes))
        back, visible = jaxprep.undo(pipeline, size).boxes(there.boxes)
        # what is left of a box: its part in the photograph and in the region that is seen
        said = np.asarray(there.image).reshape(-1, 2)
        corners = np.asarray(jaxprep.undo(pipeline, size).boxes(ALL).positions[0])
        low, high = corners[:2], corners[2:]
        expected = np.concatenate(
            [np.clip(boxes[:, :2], low, high), np.clip(boxes[:, 2:], low, high)], -1
        )
        seen = said[(said != FILL).all(-1)]
        assert (seen > low - 0.01).all() and (seen < high + 0.01).all()
        has_area = (expected[:, 2:] > expected[:, :2]).all(-1)
        np.testing.assert_allclose(np.asarray(back)[has_area], expected[has_area], atol=2e-3)
        assert np.asarray(visible)[has_area].all()
        # the flags of the way there, as training has them, say no less
        assert np.asarray(there.extras["seen"])[has_area].all()
        assert not np.asarray(visible)[~has_area].any()


def exact(pipeline: Pipeline, size: tuple[int, int]) -> np.ndarray:
    """Where the middles of a photograph's pixels are in the result, float64."""
    points = middles(size).astype(np.float64)
    matrix = position_matrix(pipeline.segments, size)
    moved = np.concatenate([points, np.ones((len(points), 1))], -1) @ matrix.T
    return moved[:, :2] / moved[:, 2:]


@pytest.mark.parametrize("name", SOME)
def test_masks_and_heat_maps_are_sampled_where_the_photograph_is(name: str) -> None:
    pipeline = Pipeline(GEOMETRIES[name])
    rng = np.random.default_rng(0)
    for size in SIZES:
        height, width = pipeline.output_size(size)
        at = exact(pipeline, size)
        inside = ((at >= 0) & (at < (width, height))).all(-1)
        # of what was cropped away before a margin was added, the margin shows nothing
        column, row = np.floor(at).astype(int).T
        row, column = np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)
        if not any(isinstance(step, ops.Resize) for step in pipeline.steps[-1:]):
            result = np.asarray(pipeline(Batch(image=positions(size))).image)
            inside &= result[row, column, 0] != FILL
        inside = inside.reshape(size)
        geometry = jaxprep.undo(pipeline, size)

        mask = rng.integers(0, 9, (height, width), np.uint8)
        found = np.asarray(geometry.masks(mask, fill=200))
        assert found.dtype == np.uint8 and found.shape == size
        at_an_edge = np.abs(at - np.round(at)).min(-1).reshape(size) < 1e-4
        nearest = np.where(inside, mask[row, column].reshape(size), 200)
        np.testing.assert_array_equal(found[~at_an_edge], nearest[~at_an_edge])

        heat = rng.normal(size=(height // 4, width // 5)).astype(np.float32)
        shares = np.array([heat.shape[1] / width, heat.shape[0] / height])
        x, y = (at * shares - 0.5).T
        linear = scipy.ndimage.map_coordinates(heat, (y, x), order=1, mode="nearest")
        linear = np.where(inside, linear.reshape(size), np.nan)
        found = np.asarray(geometry.heat_maps(heat, fill=np.nan))
        np.testing.assert_allclose(found, linear, atol=1e-4)


@pytest.mark.parametrize("name", ["enlarged", "mirrored", "middle"])
def test_masks_go_there_and_back_where_no_pixel_is_lost(name: str) -> None:
    pipeline = Pipeline(GEOMETRIES[name], kinds={"mask": "mask"})
    for size in SIZES:
        mask = np.random.default_rng(0).integers(1, 99, size, np.int32)
        batch = Batch(image=positions(size), extras={"mask": mask})
        there = pipeline(batch).extras["mask"]
        back = np.asarray(jaxprep.undo(pipeline, size).masks(there))
        at = exact(pipeline, size)
        seen = ((at > 0) & (at < pipeline.output_size(size)[::-1])).all(-1).reshape(size)
        np.testing.assert_array_equal(back, np.where(seen, mask, 0))


def test_a_batch_is_its_images_one_by_one_with_sizes_and_with_a_traced_plan() -> None:
    pipeline = Pipeline((ops.Resize(shortest_edge=24), ops.CenterCrop(20)))
    rng = np.random.default_rng(0)
    boxes = np.sort(rng.uniform(0, 20, (2, 7, 4)).astype(np.float32))
    masks = rng.integers(0, 99, (2, 3, 20, 20), np.int32)
    canvas = (64, 64)

    @jax.jit
    def back(plan: jaxprep.Plan, boxes: Any, masks: Any) -> Any:
        geometry = jaxprep.undo(pipeline, plan=plan)
        return geometry.boxes(boxes), geometry.masks(masks)

    (planned, visible), on_canvas = back(pipeline.plan(SIZES, canvas=canvas), boxes, masks)
    batch = jaxprep.undo(pipeline, SIZES)
    assert on_canvas.shape == (2, 3, *canvas) and batch.masks(masks).shape == (2, 3, 61, 52)
    mapped = jax.vmap(lambda one, boxes: one.boxes(boxes).positions)(batch, boxes)
    for i, size in enumerate(SIZES):
        one = jaxprep.undo(pipeline, size)
        expected = one.boxes(boxes[i])
        for positions_found in (planned[i], mapped[i], batch.boxes(boxes).positions[i]):
            np.testing.assert_allclose(positions_found, expected.positions, atol=1e-4)
        np.testing.assert_array_equal(visible[i], expected.visible)
        alone = np.asarray(one.masks(masks[i]))
        for found in (on_canvas[i], batch.masks(masks)[i]):
            padded = np.zeros(found.shape, np.int32)
            padded[:, : size[0], : size[1]] = alone
            np.testing.assert_array_equal(found, padded)


def test_tiles_and_windows_are_parts_of_the_input() -> None:
    size = SIZES[0]
    pipeline = Pipeline((ops.Resize((40, 60)), ops.Tiles((20, 30))))
    whole = jaxprep.undo(pipeline, size)
    mask = np.random.default_rng(0).integers(1, 99, (40, 60), np.int32)
    together = np.zeros(size, np.int32)
    for i, (top, left) in enumerate([(0, 0), (0, 30), (20, 0), (20, 30)]):
        box = np.float32([[1, 2, 8, 9]])
        shifted = box + np.float32([left, top, left, top])
        for part in (whole.tiles(i), whole.window(top, left, (20, 30)), jax.jit(whole.tiles)(i)):
            np.testing.assert_allclose(
                part.boxes(box).positions, whole.boxes(shifted).positions, atol=1e-4
            )
        together += np.asarray(whole.tiles(i).masks(mask[top : top + 20, left : left + 30]))
    np.testing.assert_array_equal(together, whole.masks(mask))
    with pytest.raises(InputError, match="tiles"):
        jaxprep.undo(Pipeline(), size).tiles(0)


def test_a_number_for_each_patch_is_a_heat_map() -> None:
    processor = huggingface.Qwen2VLImageProcessor(min_pixels=28 * 28, max_pixels=28 * 28 * 12)
    size = (120, 200)
    grid = processor(np.zeros((*size, 3), np.uint8)).image_grid_thw[0, 1:]
    heat = np.zeros(tuple(int(n) for n in grid), np.float32)
    heat[0, -1] = 1
    found = np.asarray(jaxprep.undo(processor, size).heat_maps(heat))
    assert found.shape == size
    assert found[0, -1] == 1 and found[: size[0] // 2, size[1] // 2 :].sum() == found.sum()


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"size": (4, 4), "plan": Pipeline().plan([(4, 4)])},
        {"size": (0, 4)},
        {"size": "large"},
        {"plan": Pipeline((ops.Flip(),)).plan([(4, 4)])},
    ],
)
def test_what_says_no_geometry_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="Expected"):
        jaxprep.undo(Pipeline((ops.CenterCrop(4),)), **arguments)
    with pytest.raises(InputError, match="draws"):
        jaxprep.undo(Pipeline((augment.RandomFlip(),)), (4, 4))


@pytest.mark.parametrize(
    ("method", "array"),
    [
        ("boxes", np.zeros((2, 3))),
        ("boxes", np.zeros(4)),
        ("keypoints", np.zeros((1, 2, 2))),
        ("masks", np.zeros(4)),
        ("heat_maps", np.zeros((0, 4))),
    ],
)
def test_arrays_of_another_shape_are_refused(method: str, array: np.ndarray) -> None:
    with pytest.raises(InputError, match=method.removeprefix("heat_")):
        getattr(jaxprep.undo(Pipeline(), (4, 4)), method)(jnp.asarray(array))


def test_what_is_no_array_or_no_size_is_refused() -> None:
    geometry = jaxprep.undo(Pipeline(), (4, 4))
    with pytest.raises(InputError, match="got 'a' - at `boxes`"):
        geometry.boxes("a")
    for size in (5, (0, 4), "large"):
        with pytest.raises(InputError, match="sizes"):
            geometry.window(0, 0, size)


def test_the_way_back_needs_no_implicit_transfer() -> None:
    pipeline = Pipeline((ops.Resize((4, 8)), ops.Tiles(4)))
    with jax.transfer_guard("disallow"):
        geometry = jaxprep.undo(pipeline, (8, 16))
        part = geometry.window(0, 4, (4, 4)), geometry.tiles(1)
        matrix = part[0].matrix
    assert all(one.input_size.tolist() == [4, 4] for one in part)
    assert matrix.tolist() == [[0.5, 0, -4], [0, 0.5, 0], [0, 0, 1]]


def test_photographs_of_all_sizes_share_programs_which_change_no_bit():
    """Each size compiled a program of its own, which was kept: 2.5 MB and 0.3 s each."""
    pipeline = Pipeline((resize(shortest_edge=12), ops.CenterCrop((12, 12))))
    boxes, maps = np.float32([[1, 2, 9, 7]] * 17), np.float32(np.arange(45).reshape(5, 9))
    programs = undoing._positions_back_jitted.count(), undoing._maps_back_jitted.count()
    for size in ((37, 52), (41, 60), (45, 50), (48, 64)):
        geometry = jaxprep.undo(pipeline, size)
        found = geometry.boxes(boxes), geometry.heat_maps(maps, fill=np.nan)
        wanted = jax.jit(lambda g: (g.boxes(boxes), g.heat_maps(maps, fill=np.nan)))(geometry)
        assert found[1].shape == size
        jax.tree.map(np.testing.assert_array_equal, found, wanted)
    # those inside of `jit` are kept, too, until they are the oldest
    eager = [undoing._positions_back_jitted.count(), undoing._maps_back_jitted.count()]
    assert [n - old for n, old in zip(eager, programs)] == [1, 4]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "got None"),
        ("x", "got 'x'"),
        ([[1, 2], [3]], r"got \[\[1, 2\], \[3\]\]: "),
        (np.zeros((4, 4), object), "got an array of object"),
        (np.zeros((4, 4), complex), "got an array of complex128"),
        (np.full((4, 4), 2**40), "integers that int32 holds"),
        (np.ma.masked_equal(np.eye(4), 1), "masked: fill them"),
    ],
)
def test_what_holds_no_numbers_or_too_large_ones_is_refused(value: Any, message: str) -> None:
    geometry = jaxprep.undo(Pipeline((resize((4, 4)),)), (8, 8))
    for back in (geometry.boxes, geometry.keypoints, geometry.masks, geometry.heat_maps):
        with pytest.raises(InputError, match=message):
            back(value)
    with pytest.raises(InputError, match=message):
        jaxprep.denormalize(value, Pipeline())
