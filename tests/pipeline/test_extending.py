"""Laws of steps that are written outside of the package: each runs the same alone and in a
pipeline, eagerly and in a program, image by image and in a batch, or is refused with one clear
error.

The classes use public names only, as those of a user would.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.images import noise
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxprep import Batch, ImageClassifierPreprocessor, Pipeline, ops
from jaxprep.errors import ConfigError, InputError

pytestmark = pytest.mark.usefixtures("quick_compilation")
frozen = dataclasses.dataclass(frozen=True)
Sizes = tuple[int, int]


@frozen
class Solarize(ops.Pointwise):
    """Inverts the values from a threshold on."""

    threshold: int = 128

    def apply(self, image: Any, draw: Any = None) -> Any:
        return jnp.where(image >= self.threshold, 255 - image, image)


@frozen
class Doubled(ops.Pointwise):
    """An affine whose `apply` uses `jax.numpy`, and a Python number."""

    factor: float = 0.5

    def apply(self, image: Any, draw: Any = None) -> Any:
        return jnp.add(image * self.factor, 1)

    def affine(self, draw: Any = None) -> Any:
        return self.factor, 1.0


@frozen
class BoxBlur(ops.Opaque):
    """The mean of 3 x 3 pixels."""

    def apply(self, image: Any, draw: Any = None) -> Any:
        height, width, _ = image.shape
        padded = jnp.pad(image.astype(jnp.float32), ((1, 1), (1, 1), (0, 0)), mode="edge")
        rows = padded[:height] + padded[1:-1] + padded[2:]
        return (rows[:, :width] + rows[:, 1:-1] + rows[:, 2:]) / 9


@frozen
class QuarterTurn(ops.Opaque):
    """Turns the image to the left by 90 degrees."""

    def apply(self, image: Any, draw: Any = None) -> Any:
        return jnp.rot90(image)

    def output_size(self, size: Sizes) -> Sizes:
        return size[1], size[0]

    def matrix(self, size: Sizes, draw: Any = None) -> Any:
        return jnp.array([[0, 1, 0], [-1, 0, size[1]], [0, 0, 1]], jnp.float32)

    def for_mask(self) -> QuarterTurn:
        return self


@frozen
class Third(ops.Geometry):
    """One of nine parts."""

    row: int = 1
    column: int = 2

    def axes(self, size: Sizes, draw: Any = None) -> Any:
        height, width = size[0] // 3, size[1] // 3
        top, left = self.row * height, self.column * width
        return (ops.Window(top, height),), (ops.Window(left, width), ops.Reverse())


@frozen
class Swapped(ops.Geometry):
    """Neighbouring rows in the other order."""

    keeps_window: ClassVar[bool] = False

    def axes(self, size: Sizes, draw: Any = None) -> Any:
        rows = jnp.minimum(jnp.arange(size[0]) ^ 1, size[0] - 1)
        return (ops.Take(rows, map=(1.0, 0.0)),), ()


@frozen
class RandomMirror(ops.Geometry):
    probability: float = 0.5

    def draw(self, key: Any, size: Any) -> Any:
        return jax.random.bernoulli(key, self.probability)

    def output_size(self, size: Sizes) -> Sizes:
        return size

    def axes(self, size: Sizes, draw: Any = None) -> Any:
        return (), (ops.Reverse(draw),)


@frozen
class RandomWindow(ops.Geometry):
    """A random window, resized."""

    size: Sizes = (8, 6)
    method: str = "bilinear"

    @property
    def static_output_size(self) -> Sizes:
        return self.size

    @property
    def resampling(self) -> ops.Resampling | None:
        return None if self.method == "nearest" else ops.Resampling("float")

    @property
    def keeps_window(self) -> bool:  # type: ignore[override]
        return self.method != "nearest"

    def for_mask(self) -> RandomWindow:
        return dataclasses.replace(self, method="nearest")

    def draw(self, key: Any, size: Any) -> Any:
        # one call: each call of `jax.random` compiles for 0.2 s
        drawn = jax.random.uniform(key, (4,))
        height, width = size
        share = 0.3 + 0.7 * drawn[0]
        ratio = jnp.exp(0.6 * drawn[1] - 0.3)
        window_height = jnp.clip(jnp.round(height * share * ratio), 1, height).astype(jnp.int32)
        window_width = jnp.clip(jnp.round(width * share / ratio), 1, width).astype(jnp.int32)
        return {
            "top": (drawn[2] * (height - window_height + 1)).astype(jnp.int32),
            "left": (drawn[3] * (width - window_width + 1)).astype(jnp.int32),
            "height": window_height,
            "width": window_width,
        }

    def axes(self, size: Sizes, draw: Any = None) -> Any:
        vertical = ops.Resample(self.size[0], self.method)
        horizontal = ops.Resample(self.size[1], self.method)
        return (
            (ops.Window(draw["top"], draw["height"]), vertical),
            (ops.Window(draw["left"], draw["width"]), horizontal),
        )


@frozen
class RandomShift(ops.Geometry):
    """A random crop of the image with a margin around it."""

    size: Sizes = (16, 18)
    margin: int = 5
    fill: float = 0.0

    @property
    def static_output_size(self) -> Sizes:
        return self.size

    def draw(self, key: Any, size: Any) -> Any:
        room = jnp.array([size[0] - self.size[0], size[1] - self.size[1]]) + 2 * self.margin + 1
        return (jax.random.uniform(key, (2,)) * room).astype(jnp.int32) - self.margin

    def axes(self, size: Sizes, draw: Any = None) -> Any:
        return (ops.Window(draw[0], self.size[0]),), (ops.Window(draw[1], self.size[1]),)


@frozen
class RandomGain(ops.Pointwise):
    amount: float = 0.5

    def draw(self, key: Any, size: Any) -> Any:
        return jax.random.uniform(key, minval=1 - self.amount, maxval=1 + self.amount)

    def apply(self, image: Any, draw: Any = None) -> Any:
        return image.astype(jnp.float32) * draw


@frozen
class RandomHalfTurn(ops.Opaque):
    def draw(self, key: Any, size: Any) -> Any:
        return jax.random.bernoulli(key)

    def apply(self, image: Any, draw: Any = None) -> Any:
        return jnp.where(draw, image[::-1, ::-1], image)

    def matrix(self, size: Sizes, draw: Any = None) -> Any:
        turn = jnp.array([[-1, 0, size[1]], [0, -1, size[0]], [0, 0, 1]], jnp.float32)
        return jnp.where(draw, turn, jnp.eye(3))

    def for_mask(self) -> RandomHalfTurn:
        return self


@frozen
class Grid(ops.Layout):
    """Patches in their grid, `(rows, columns, patch, patch, c)`; the rest is left out."""

    patch: int = 4
    keeps_corner: ClassVar[bool] = True

    def store(self, image: Any) -> Any:
        rows, columns, channels = image.shape[0], image.shape[1], image.shape[2]
        rows, columns = rows // self.patch, columns // self.patch
        image = image[: rows * self.patch, : columns * self.patch]
        patches = image.reshape(rows, self.patch, columns, self.patch, channels)
        return patches.swapaxes(1, 2)

    def shape(self, size: Sizes, channels: int) -> tuple[int, ...]:
        grid = size[0] // self.patch, size[1] // self.patch
        return *grid, self.patch, self.patch, channels


@frozen
class Tokens(ops.Layout):
    """Patches one after another, `(rows * columns, patch * patch * c)`."""

    patch: int = 4

    def store(self, image: Any) -> Any:
        return Grid(self.patch).store(image).reshape(self.shape(image.shape[:2], image.shape[2]))

    def shape(self, size: Sizes, channels: int) -> tuple[int, ...]:
        count = (size[0] // self.patch) * (size[1] // self.patch)
        return count, self.patch**2 * channels


HEIGHT, WIDTH = 24, 30
KEY = jax.random.key(5)
BOXES = np.float32([[3, 4, 11, 13], [0, 0, WIDTH, HEIGHT]])
FIXED = {
    "opaque that moves": (QuarterTurn(),),
    "rows, an affine, a grid": (Swapped(), Doubled(), Grid()),
    "all": (
        Third(),
        ops.Resize((16, 12), reference="pillow"),
        QuarterTurn(),
        Solarize(),
        BoxBlur(),
        Tokens(),
    ),
}
RANDOM = {
    "each kind": (RandomHalfTurn(), RandomShift(fill=7.0), RandomGain()),
    "after a resize": (ops.Resize((20, 24)), RandomMirror(), ops.CenterCrop((10, 9)), Tokens()),
    "before a resize": (RandomShift(), ops.Resize(shortest_edge=12), RandomMirror()),
    "two": (RandomWindow((20, 18)), RandomMirror(), ops.Resize((14, 13)), RandomGain(), Grid()),
}
FORMS = ("batch", "plan", "vmap")
SOME_FORMS = {
    # plans of it are below, and those of a resize of what was drawn are plans of "two"
    "before a resize": ("batch", "vmap"),
    "two": ("batch", "plan"),
}
SIZES = ((24, 30), (17, 30), (24, 15))


def batch_of(count: int, seed: int = 0) -> Batch:
    images = noise(count, HEIGHT, WIDTH, 3, seed=seed)
    boxes = np.tile(BOXES, (count, 1, 1))
    index = np.arange(count, dtype=np.int32) + 40
    return Batch(image=images, boxes=boxes, keypoints=boxes[..., :2], index=index)


def take(batch: Batch, indices: Any) -> Batch:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[indices], batch)


def assert_same(got: Batch, want: Batch) -> None:
    """Equal integers; floats within 1e-6, as XLA contracts a product and a sum where it likes."""
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(want), strict=True):
        one, other = np.asarray(one), np.asarray(other)
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        if np.issubdtype(one.dtype, np.floating):
            atol = 1e-6 * max(1, np.abs(other).max())
            np.testing.assert_allclose(one, other, rtol=0, atol=atol)
        else:
            # an integer that is rounded from such a sum may be the next one
            assert np.abs(one.astype(int) - other).max() <= 1


def in_each_form(steps: tuple[ops.Step, ...], key: Any, jitted: tuple[str, ...] = FORMS) -> None:
    pipeline = Pipeline(steps)
    batch = batch_of(3)
    want = pipeline(batch, key=key)
    assert_same(pipeline(take(batch, 1), key=key), take(want, 1))
    again = Pipeline.from_json(json.loads(json.dumps(pipeline.to_json())))
    assert again == pipeline and hash(again) == hash(pipeline)

    @jax.jit
    def forms(batch: Batch, plan: Any, key: Any) -> dict[str, Batch]:
        form = {
            "batch": lambda: pipeline(batch, key=key),
            "vmap": lambda: jax.vmap(lambda one: pipeline(one, key=key))(batch),
            "plan": lambda: pipeline(batch, plan=plan, key=key),
        }
        return {name: form[name]() for name in jitted}

    plan = pipeline.plan([(HEIGHT, WIDTH)] * 3, (HEIGHT, WIDTH))
    results = forms(batch, plan, key)
    assert tuple(results) == jitted
    for name, result in results.items():
        if name == "plan":
            result = result.replace(image=corner(result.image, want.image), size=None)
        assert_same(result, want)


def corner(array: Any, like: Any) -> Any:
    return array[tuple(slice(n) for n in like.shape)]


@pytest.mark.parametrize("name", FIXED)
def test_a_step_of_ones_own_is_the_same_in_each_form(name):
    in_each_form(FIXED[name], None)


@pytest.mark.parametrize("name", RANDOM)
def test_a_random_step_of_ones_own_is_the_same_in_each_form(name):
    in_each_form(RANDOM[name], KEY, SOME_FORMS.get(name, FORMS))


@pytest.mark.parametrize("steps", [FIXED["all"], RANDOM["two"]])
def test_a_pipeline_is_its_steps_one_by_one(steps):
    batch = batch_of(3)
    pipeline = Pipeline(steps)
    key = KEY if pipeline.is_random else None
    draws = pipeline.draw(key, batch) if pipeline.is_random else (None,) * len(steps)
    want = batch
    for i, step in enumerate(steps):
        own = None
        if i < len(draws) and draws[i] is not None:
            own = (draws[i],)
        want = Pipeline((step,))(want, draws=own)
    assert_same(pipeline(batch, key=key), want)


def test_a_step_alone_takes_a_batch_and_a_key():
    batch = batch_of(2)
    assert_same(Solarize()(batch), Pipeline((Solarize(),))(batch))
    assert_same(RandomMirror()(batch, key=KEY), Pipeline((RandomMirror(),))(batch, key=KEY))


# What the steps say is what happens


def test_the_steps_are_what_NumPy_computes():
    image = noise(HEIGHT, WIDTH, 3)

    def run(*steps: ops.Step) -> np.ndarray:
        return np.asarray(Pipeline(steps)(Batch(image=image)).image)

    np.testing.assert_array_equal(run(Solarize()), np.where(image >= 128, 255 - image, image))
    np.testing.assert_array_equal(run(Doubled()), image * np.float32(0.5) + 1)
    np.testing.assert_array_equal(run(QuarterTurn()), np.rot90(image))
    np.testing.assert_array_equal(run(Third()), image[8:16, 20:30][:, ::-1])
    np.testing.assert_array_equal(run(Swapped())[:4], image[[1, 0, 3, 2]])
    np.testing.assert_array_equal(run(Grid())[1, 2], image[4:8, 8:12])
    np.testing.assert_array_equal(run(Tokens())[9], image[4:8, 8:12].reshape(-1))
    padded = np.pad(image.astype(float), ((1, 1), (1, 1), (0, 0)), mode="edge")
    want = sum(padded[i : i + HEIGHT, j : j + WIDTH] for i in range(3) for j in range(3)) / 9
    np.testing.assert_allclose(run(BoxBlur()), want, rtol=1e-5)


@pytest.mark.parametrize("exact", [False, True])
def test_an_affine_of_ones_own_may_use_jax_numpy_also_where_a_table_is_made_of_it(exact):
    pipeline = Pipeline((Doubled(1 / 3), ops.Normalize(10.0, 7.0)), exact=exact)
    image = noise(4, 5, 3)
    want = ((image * np.float64(1 / 3) + 1) - 10) / 7
    for call in (pipeline, jax.jit(pipeline)):
        result = np.asarray(call(Batch(image=image)).image)
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, want, rtol=1e-5, atol=1e-5)


def test_a_drawn_window_is_the_crop_resized():
    batch = Batch(image=noise(6, HEIGHT, WIDTH, 3, dtype="float32"))
    pipelines = {
        method: Pipeline((RandomWindow(method=method),))
        for method in ("bicubic", "nearest")  # all: `resample/test_window.py`
    }
    (draws,) = jax.device_get(pipelines["nearest"].draw(KEY, batch))
    for method, pipeline in pipelines.items():
        results = np.asarray(pipeline(batch, draws=(draws,)).image)
        for i, image in enumerate(batch.image):
            top, left, height, width = (
                int(draws[k][i]) for k in ("top", "left", "height", "width")
            )
            want = ops.resize(image[top : top + height, left : left + width], (8, 6), method=method)
            np.testing.assert_allclose(results[i], want, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("before", "draws", "fill"),
    [
        ((), (), 0.0),
        ((ops.Flip(),), (None,), 3.0),
        ((RandomMirror(1.0),), (np.bool_(True),), 3.0),
    ],
)
def test_a_drawn_shift_is_the_crop_of_the_padded_image_also_before_a_resize(before, draws, fill):
    image = noise(HEIGHT, WIDTH, 3, dtype="float32")
    flipped = image[:, ::-1] if before else image
    padded = np.pad(flipped, ((5, 5), (5, 5), (0, 0)), constant_values=fill)
    shift = Pipeline((*before, RandomShift(fill=fill)))
    resized = Pipeline((*shift.steps, ops.Resize((7, 25))))
    for top, left in ((-5, 17), (13, -2)):
        drawn = (*draws, np.int32([top, left]))
        want = padded[5 + top : 21 + top, 5 + left : 23 + left]
        np.testing.assert_array_equal(shift(Batch(image=image), draws=drawn).image, want)
        result = resized(Batch(image=image), draws=(*drawn, None)).image
        np.testing.assert_allclose(result, ops.resize(want, (7, 25)), rtol=0, atol=2e-5)


PLACED = [
    (ops.Resize((48, 45)), RandomShift((40, 40)), RandomMirror()),
    (RandomMirror(), RandomWindow((32, 40)), RandomHalfTurn()),
    (QuarterTurn(), RandomMirror(1.0), ops.Resize((40, 48)), RandomShift((44, 50))),
]


@pytest.mark.parametrize(
    ("steps", "ragged"),
    # an opaque step takes images of one size
    [(PLACED[0], True), (PLACED[1], True), (PLACED[2], False)],
)
def test_boxes_masks_and_keypoints_follow_what_is_drawn(steps, ragged):
    """A rectangle of ones: its box in the result is the box that the pipeline returns."""
    image = np.zeros((4, 60, 72, 3), np.float32)
    image[:, 16:40, 20:44] = 1
    boxes = np.tile(np.float32([[20, 16, 44, 40]]), (4, 1, 1))
    extras = {"mask": image[..., 0].astype(np.uint8)}
    batch = Batch(image=image, boxes=boxes, keypoints=boxes[..., :2], extras=extras)
    if ragged:
        batch = batch.replace(size=np.int32([[60, 72], [50, 72], [60, 50], [48, 48]]))
    result = jax.device_get(Pipeline(steps, kinds=(("mask", "mask"),))(batch, key=KEY))
    for i in range(4):
        rows, columns = np.nonzero(np.asarray(result.image[i, ..., 0]) > 0.5)
        seen = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(np.asarray(result.boxes)[i, 0], seen, atol=1)
        corners = np.asarray(result.boxes)[i, 0].reshape(2, 2)
        point = np.asarray(result.keypoints)[i, 0]
        limit = result.image.shape[2:0:-1]
        assert np.any(np.abs(np.clip(point, 0, limit) - corners) < 1e-3)
        agrees = (np.asarray(result.image[i, ..., 0]) > 0.5) == result.extras["mask"][i]
        assert np.mean(agrees) > 0.9


def test_positions_that_are_infinite_stay_so_beside_an_opaque_step_that_moves_nothing():
    points = np.float32([[1, 2], [np.inf, np.inf]])
    for call in (Pipeline((BoxBlur(),)), jax.jit(Pipeline((BoxBlur(),)))):
        result = call(Batch(image=noise(4, 5, 3), keypoints=points))
        np.testing.assert_array_equal(result.keypoints, points)


# Draws


def test_an_example_draws_the_same_in_any_batch_and_order():
    pipeline = Pipeline(RANDOM["each kind"])
    batch = batch_of(4)
    want = pipeline(batch, key=KEY)
    for order in ([3], [2, 0, 3]):
        assert_same(pipeline(take(batch, order), key=KEY), take(want, order))


def test_without_an_index_an_example_draws_by_its_position():
    pipeline = Pipeline((RandomShift(),))
    batch = batch_of(4)
    by_position = pipeline(batch.replace(index=None), key=KEY)
    numbered = pipeline(batch.replace(index=np.arange(4, dtype=np.int32)), key=KEY)
    np.testing.assert_array_equal(by_position.image, numbered.image)
    by_index = pipeline(batch, key=KEY)
    assert not np.array_equal(by_index.image, by_position.image)


def test_two_random_steps_of_one_class_draw_each_for_itself():
    pipeline = Pipeline((RandomMirror(), RandomMirror()))
    draws = pipeline.draw(KEY, Batch(image=np.zeros((64, 4, 4, 3), np.uint8)))
    first, second = jax.device_get(draws)
    assert 10 < np.sum(first != second) < 54
    assert 10 < np.sum(first) < 54


@pytest.mark.parametrize(("name", "ragged"), [("each kind", False), ("before a resize", True)])
def test_draws_are_replayed_and_are_those_of_the_call(name, ragged):
    pipeline = Pipeline(RANDOM[name])
    batch = batch_of(3)
    if ragged:
        batch = batch.replace(size=np.int32(SIZES))
    draws = pipeline.draw(KEY, batch)
    want = pipeline(batch, key=KEY)
    assert_same(pipeline(batch, draws=draws), want)
    if not ragged:
        return
    plan = pipeline.plan(SIZES, (HEIGHT, WIDTH))
    for one, other in zip(
        jax.tree.leaves(draws), jax.tree.leaves(pipeline.draw(KEY, batch, plan=plan)), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    i, (height, width) = 1, SIZES[1]
    alone = take(batch, i).replace(image=batch.image[i, :height, :width], size=None)
    result = pipeline(alone, key=KEY)
    want = jax.device_get(want)
    assert_same(result, take(want, i).replace(image=corner(want.image[i], result.image), size=None))


@pytest.mark.parametrize(("kind", "has_index"), [(AxisType.Auto, False), (AxisType.Explicit, True)])
def test_a_mesh_changes_no_draw(kind, has_index):
    pipeline = Pipeline(RANDOM["each kind"])
    mesh = jax.make_mesh((4,), ("data",), axis_types=(kind,))
    along_batch = NamedSharding(mesh, PartitionSpec("data"))
    jitted = jax.jit(lambda batch, key: pipeline(batch, key=key))
    batch = batch_of(4) if has_index else batch_of(4).replace(index=None)
    want = pipeline(batch, key=KEY)
    with jax.set_mesh(mesh):
        got = jitted(jax.device_put(batch, along_batch), KEY)
    assert_same(got, want)
    assert got.image.sharding.spec[0] == "data"


def test_an_explicit_mesh_takes_a_plan_and_a_key():
    pipeline = Pipeline((RandomShift(), ops.Resize((12, 14))))
    batch, plan = batch_of(4), pipeline.plan([*SIZES, (20, 20)], (HEIGHT, WIDTH))
    call = jax.jit(lambda batch, plan, key: pipeline(batch, plan=plan, key=key))
    want = pipeline(batch, plan=plan, key=KEY)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Explicit,))
    sharded = jax.device_put((batch, plan), NamedSharding(mesh, PartitionSpec("data")))
    with jax.set_mesh(mesh):
        assert_same(call(*sharded, KEY), want)


def test_a_gradient_passes_through_what_is_drawn():
    pipeline = Pipeline((RandomWindow(), RandomGain()))
    image = noise(2, HEIGHT, WIDTH, 3, dtype="float32")

    def total(image: jax.Array, weight: jax.Array) -> jax.Array:
        return jnp.vdot(pipeline(Batch(image=image), key=KEY).image, weight)

    weight = noise(2, 8, 6, 3, dtype="float32", seed=1)
    other = noise(2, HEIGHT, WIDTH, 3, dtype="float32", seed=2)
    value_and_gradient = jax.jit(jax.value_and_grad(total))
    _, gradient = value_and_gradient(image, weight)
    # the pipeline is linear: its value for another image is the product with the gradient
    value, _ = value_and_gradient(other, weight)
    np.testing.assert_allclose(np.vdot(gradient, other), value, rtol=1e-3)


# Images of different sizes


def test_an_opaque_step_takes_images_of_different_sizes_one_by_one():
    pipeline = Pipeline((QuarterTurn(), BoxBlur()))
    batch = batch_of(3).replace(size=np.int32(SIZES))
    result = jax.device_get(pipeline(batch))
    for i, (height, width) in enumerate(SIZES):
        alone = pipeline(Batch(image=batch.image[i, :height, :width], boxes=BOXES))
        assert tuple(result.size[i]) == (width, height) == alone.image.shape[:2]
        np.testing.assert_allclose(result.image[i, :width, :height], alone.image, rtol=1e-6)
        assert not np.any(result.image[i, width:]) and not np.any(result.image[i, :, height:])
        np.testing.assert_allclose(result.boxes[i], alone.boxes)


@pytest.mark.parametrize("steps", [(BoxBlur(),), (RandomMirror(), RandomHalfTurn()), (Tokens(),)])
def test_a_plan_for_what_sees_the_array_around_an_image_is_refused(steps):
    with pytest.raises(InputError, match=r"images of one size before.*put a step that gives them"):
        Pipeline(steps).plan(SIZES)
    Pipeline((ops.Resize((8, 8)), RandomMirror(), *steps)).plan(SIZES)


# Refusals


@frozen
class NoKind(ops.Step):
    pass


class Undecorated(ops.Pointwise):
    def apply(self, image: Any, draw: Any = None) -> Any:
        return image


class Inherited(Solarize):
    level: int = 3


@dataclasses.dataclass
class Thawed(Undecorated):
    level: int = 3


@frozen
class Unhashable(Undecorated):
    values: Any = ()


@frozen
class OfAnArray(Undecorated):
    values: np.ndarray = ()  # pyright: ignore[reportAssignmentType]


@frozen
class Unturned(QuarterTurn):
    for_mask = ops.Opaque.for_mask


@frozen
class Called(ops.Rescale):
    """Does something alone, and nothing in a pipeline."""

    def __call__(self, batch: Any, **kwargs: Any) -> Any:
        return batch.replace(image=batch.image * 0)


@frozen
class FlipAndDarken(ops.Flip):
    def apply(self, image: Any, draw: Any = None) -> Any:
        return image // 2


@frozen
class PointwiseThatMoves(Undecorated):
    def axes(self, size: Sizes, draw: Any = None) -> Any:
        return (), (ops.Reverse(),)


@frozen
class GeometryWithMatrix(ops.Flip):
    def matrix(self, size: Sizes, draw: Any = None) -> Any:
        return np.eye(3)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Called, r"`Called` not to define `__call__`.*at `\$\.steps\[1\]`"),
        (FlipAndDarken, r"`FlipAndDarken` not to define `apply`.*`Geometry`.*`Pointwise`"),
        (PointwiseThatMoves, r"`PointwiseThatMoves` not to define `axes`.*derive from `Geometry`"),
        (GeometryWithMatrix, r"`GeometryWithMatrix` not to define `matrix`.*from `Opaque`"),
        (NoKind, r"one of the kinds .*got `NoKind` - at `\$\.steps\[1\]`"),
        (Undecorated, r"`Undecorated` to be a frozen dataclass.*at `\$\.steps\[1\]`"),
        (Inherited, r"`Inherited` to be a frozen dataclass.*at `\$\.steps\[1\]`"),
        (Thawed, r"`Thawed` to be a frozen dataclass.*at `\$\.steps\[1\]`"),
        (lambda: OfAnArray(np.ones(3)), r"that JSON holds.*`ndarray` - at `\$\.values`.*a tuple"),
        (lambda: Unhashable([1]), r"numbers, strings and tuples.*at `\$\.steps\[1\]`"),
    ],
)
def test_a_step_that_no_pipeline_can_run_is_refused_with_its_place(make, message):
    with pytest.raises(ConfigError, match=message):
        Pipeline((ops.Flip(), make()))


def test_a_mask_beside_an_opaque_step_that_says_nothing_of_masks_is_refused():
    Pipeline((Unturned(),))
    with pytest.raises(ConfigError, match=r"`Unturned\.for_mask` to return the step"):
        Pipeline((Unturned(),), kinds=(("mask", "mask"),))


@frozen
class WrongSize(ops.Opaque):
    def apply(self, image: Any, draw: Any = None) -> Any:
        return jnp.rot90(image)


@frozen
class WrongChannels(ops.Pointwise):
    def apply(self, image: Any, draw: Any = None) -> Any:
        return image[..., :1]


@frozen
class WrongShape(ops.Layout):
    def store(self, image: Any) -> Any:
        return image.reshape(-1)

    def shape(self, size: Sizes, channels: int) -> tuple[int, ...]:
        return size[0] * size[1], channels


@frozen
class Undeclared(ops.Geometry):
    """Does not say that it mixes pixels."""

    def axes(self, size: Sizes, draw: Any = None) -> Any:
        return (ops.Resample(5, "bilinear"),), ()


@frozen
class UndeclaredRows(ops.Geometry):
    def axes(self, size: Sizes, draw: Any = None) -> Any:
        return (ops.Take(np.arange(0, size[0], 2)),), ()


@frozen
class RandomUndeclared(ops.Geometry):
    """Does not say how large its results are."""

    def draw(self, key: Any, size: Any) -> Any:
        return jax.random.bernoulli(key)

    def axes(self, size: Sizes, draw: Any = None) -> Any:
        return (), (ops.Reverse(draw),)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (WrongSize(), r"`WrongSize\.apply` to return shape \(24, 30, 3\).*got \(30, 24, 3\)"),
        (WrongChannels(), r"`WrongChannels\.apply` to return shape \(.*, 3\).*got \(.*, 1\)"),
        (WrongShape(), r"`WrongShape\.store` to return shape \(720, 3\).*got \(2160,\)"),
        (Undeclared(), r"`Undeclared\.resampling` to say how its `Resample` mixes pixels"),
        (UndeclaredRows(), r"`UndeclaredRows\.keeps_window` to be False, as its `Take`"),
        (RandomUndeclared(), r"`RandomUndeclared` to define `static_output_size` or `output_size`"),
    ],
)
def test_a_step_that_does_not_do_what_it_says_is_refused(step, message):
    pipeline = Pipeline((step,))
    batch = Batch(image=noise(HEIGHT, WIDTH, 3))
    with pytest.raises(InputError, match=message):
        pipeline(batch, key=KEY if pipeline.is_random else None)
    with pytest.raises(InputError, match=message):
        jax.jit(lambda batch: pipeline(batch, key=KEY if pipeline.is_random else None))(batch)


FIXED_ONE, RANDOM_ONE = Pipeline((Solarize(),)), Pipeline((ops.Flip(), RandomMirror()))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda b: FIXED_ONE(b, key=KEY), "no `key`, as no step of this pipeline is random"),
        (lambda b: FIXED_ONE(b, draws=(None,)), "no `draws`, as no step"),
        (lambda b: FIXED_ONE.draw(KEY, b), "no `key`, as no step"),
        (lambda b: RANDOM_ONE(b), r"a `key`, as \['RandomMirror'\] draw"),
        (lambda b: RANDOM_ONE.draw(None, b), r"a `key`, as \['RandomMirror'\] draw"),
        (lambda b: RANDOM_ONE.run_images([b.image[0]], [(HEIGHT, WIDTH)]), "a `key`"),
        (lambda b: RANDOM_ONE(b, key="not a key"), "one key of `jax.random.key`, got 'not a key'"),
        (lambda b: RANDOM_ONE(b, key=3), "one key of `jax.random.key`, got 3"),
        (lambda b: RANDOM_ONE(b, key=jax.random.split(KEY, 2)), "one key of `jax.random.key`"),
        (lambda b: RANDOM_ONE(b, draws=(np.bool_(True),)), "`draws` for each of the 2 steps"),
        (lambda b: RANDOM_ONE(b, draws=(None, None)), "a draw for `RandomMirror`, got None"),
        (lambda b: RANDOM_ONE(b.replace(index=np.arange(3)), key=KEY), r"\(2,\), got \(3,\)"),
    ],
)
def test_a_key_that_is_missing_or_not_wanted_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call(batch_of(2))


def test_a_raw_key_draws_as_the_key_that_it_is():
    batch = batch_of(3)
    raw = jax.random.PRNGKey(5)
    assert_same(RANDOM_ONE(batch, key=raw), RANDOM_ONE(batch, key=KEY))


# JSON


def twin(module: str, qualname: str) -> type:
    @frozen
    class Twin(ops.Pointwise):
        level: int = 1

        def apply(self, image: Any, draw: Any = None) -> Any:
            return image

    Twin.__module__, Twin.__qualname__ = module, qualname
    return Twin


def test_two_classes_of_one_name_are_refused_and_one_defined_anew_replaces_the_first():
    first = twin("a_library", "Twin")
    data = Pipeline((first(),)).to_json()
    again = twin("a_library", "Twin")
    assert type(Pipeline.from_json(data).steps[0]) is again
    second = twin("another_library", "Twin")
    message = r"one class of the name `Twin`, got `a_library\.Twin` and `another_library\.Twin`"
    with pytest.raises(ConfigError, match=message + r".*at `\$\.steps\[0\]\.step`"):
        Pipeline.from_json(data)
    with pytest.raises(ConfigError, match=message):
        Pipeline((second(),)).to_json()


def test_a_name_of_jaxprep_s_means_jaxprep_s_step():
    @frozen
    class Flip(ops.Geometry):
        def axes(self, size: Sizes, draw: Any = None) -> Any:
            return (ops.Reverse(),), ()

    assert Pipeline.from_json(Pipeline((ops.Flip(),)).to_json()) == Pipeline((ops.Flip(),))
    with pytest.raises(ConfigError, match=r"one class of the name `Flip`, got .*ops\.crop\.Flip"):
        Pipeline((Flip(),)).to_json()


def test_a_step_whose_class_is_not_imported_is_refused_with_the_nearest_names():
    with pytest.raises(ConfigError, match=r"one of \[.*'Solarize'.*\].*, got `'Solarised'`"):
        Pipeline.from_json({"steps": [{"step": "Solarised"}]})


def test_a_line_describes_a_step_of_ones_own():
    assert Solarize(9).describe() == "Solarize: threshold 9"
    assert BoxBlur().describe() == "BoxBlur"


# What methods take and return


@frozen
class WithoutDraw(ops.Pointwise):
    def apply(self, image: Any) -> Any:  # type: ignore[override]
        return image


@frozen
class DrawOfKey(Undecorated):
    def draw(self, key: Any) -> Any:
        return jax.random.uniform(key)


@frozen
class BareAffine(Undecorated):
    def affine(self, draw: Any = None) -> Any:
        return 2.0


@frozen
class MaskOfANumber(QuarterTurn):
    def for_mask(self) -> Any:
        return 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (WithoutDraw, r"`WithoutDraw\.apply` to take \(image, draw\), got \(image.*steps\[1\]`"),
        (DrawOfKey, r"`DrawOfKey\.draw` to take \(key, size\), got \(key.*at `\$\.steps\[1\]`"),
        (BareAffine, r"`BareAffine\.affine` to return `\(scale, offset\)`, got 2\.0"),
        (MaskOfANumber, r"`MaskOfANumber\.for_mask` to return a step or None, got 3"),
    ],
)
def test_a_method_that_takes_or_returns_something_else_is_refused_with_its_name(make, message):
    with pytest.raises(ConfigError, match=message):
        Pipeline((ops.Flip(), make()), kinds={"mask": "mask"})


@frozen
class Nothing(ops.Pointwise):
    def apply(self, image: Any, draw: Any = None) -> Any:
        image + 1


@frozen
class Whole(ops.Opaque):
    def apply(self, image: Any, draw: Any = None) -> Any:
        return Batch(image=image)


@frozen
class HalfSize(BoxBlur):
    def output_size(self, size: Sizes) -> Any:
        return size[0] / 2, size[1]


@frozen
class SmallMatrix(QuarterTurn):
    def matrix(self, size: Sizes, draw: Any = None) -> Any:
        return np.eye(2)


@frozen
class TwoAffines(Doubled):
    def affine(self, draw: Any = None) -> Any:
        return np.array([1.0, 2.0]), 0.0


@frozen
class Length(Tokens):
    def shape(self, size: Sizes, channels: int) -> Any:
        return 12


@frozen
class Axes(ops.Geometry):
    """What `axes` returns, by a number."""

    which: int
    keeps_window: ClassVar[bool] = False

    def axes(self, size: Sizes, draw: Any = None) -> Any:
        return (
            None,
            (ops.Window(0, 4), ops.Window(0, 4)),  # each is a tuple itself
            ((ops.Window(0, 4),),),
            (("crop",), ()),
            ((ops.Window(0, size[0] / 2),), ()),
            ((), (ops.Take(np.array([0, 30])),)),
            ((), (ops.Window(0, 9), ops.Take(np.array([9])))),
            ((), (ops.Take(np.array([0.5])),)),
        )[self.which]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (Nothing(), r"`Nothing\.apply` to return an array, got None"),
        (Whole(), r"`Whole\.apply` to return an array, got Batch"),
        (HalfSize(), r"`HalfSize\.output_size` to return a height and a width, integers"),
        (SmallMatrix(), r"`SmallMatrix\.matrix` to return \(3, 3\), got shape \(2, 2\)"),
        (TwoAffines(), r"`TwoAffines\.affine` to return a number, or one for each of 3 channels"),
        (Length(), r"`Length\.shape` to return a tuple, got 12"),
        *((Axes(i), r"`Axes\.axes` to return two tuples of `Window`, ") for i in range(4)),
        (Axes(4), r"an integer as the `length` of a `Window` of `Axes`, got 12\.0"),
        (Axes(5), r"`rows` of a `Take` of `Axes`.* from 0 to 29, or `OUTSIDE`"),
        (Axes(6), r"`rows` of a `Take` of `Axes`.* from 0 to 8, or `OUTSIDE`"),
        (Axes(7), r"`rows` of a `Take` of `Axes`.* integers"),
    ],
)
def test_what_a_method_returns_is_checked_where_it_is_called(step, message):
    with pytest.raises(InputError, match=message):
        Pipeline((step,))(take(batch_of(1), 0))


def test_a_step_that_moves_positions_need_say_nothing_of_masks_where_there_are_none():
    batch = take(batch_of(1), 0)
    assert_same(Pipeline((Unturned(),))(batch), Pipeline((QuarterTurn(),))(batch))


def test_draws_of_another_structure_or_number_of_images_are_refused():
    pipeline = Pipeline((ops.Flip(), RandomMirror(), RandomGain()))
    batch = batch_of(2)
    draws = pipeline.draw(KEY, batch_of(3))
    with pytest.raises(InputError, match=r"what `RandomMirror` draws for each of 2 images"):
        pipeline(batch, draws=draws)
    none, mirror, _ = pipeline.draw(KEY, batch)
    with pytest.raises(InputError, match=r"what `RandomGain` draws"):
        pipeline(batch, draws=(none, mirror, {"gain": mirror}))


@frozen
class Applied(ops.Pointwise):
    function: Any = None

    def apply(self, image: Any, draw: Any = None) -> Any:
        return self.function(image)


@frozen
class Positive(Undecorated):
    gamma: float = 1.0

    def check(self) -> None:
        if self.gamma <= 0:
            raise ValueError("not positive")


def test_a_field_that_JSON_does_not_hold_is_refused_when_it_is_saved(tmp_path):
    pipeline = Pipeline((Applied(jnp.abs),))
    assert pipeline(take(batch_of(1), 0)).image.shape == (HEIGHT, WIDTH, 3)
    with pytest.raises(ConfigError, match=r"JSON data.*at `\$\.steps\[0\]\.function`"):
        pipeline.to_json()
    with pytest.raises(ConfigError, match=r"JSON data.*steps\[0\]\.function`"):
        ImageClassifierPreprocessor(pipeline).save_to_preset(tmp_path / "a")


def test_what_a_class_refuses_in_JSON_is_an_error_with_its_place():
    data = {"steps": [{"step": "Flip"}, {"step": "Positive", "gamma": -1.0}]}
    with pytest.raises(
        ConfigError, match=r"`Positive` takes.*: not positive - at `\$\.steps\[1\]`"
    ):
        Pipeline.from_json(data)


def test_a_field_may_have_the_name_of_a_method_of_another_kind_of_step():
    @frozen
    class Gained(ops.Pointwise):
        shape: tuple[int, int] = (2, 2)

        def apply(self, image: Any, draw: Any = None) -> Any:
            return image * self.shape[0]

    assert Pipeline((Gained(),))(Batch(image=np.ones((2, 2, 3), np.float32))).image.max() == 2
