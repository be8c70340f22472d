"""Calls of a pipeline outside of `jit`: what they share with the caller, and with `jit`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import pytest
from helpers.images import noise

from jaxprep import Batch, Pipeline, ops
from jaxprep.errors import InputError
from jaxprep.ops import Geometry, Resize
from jaxprep.pipeline import eager
from jaxprep.resample.tables import Reverse, Window


@dataclass(frozen=True)
class MaybeFlip(Geometry):
    """Mirrors one image left to right, or not."""

    def draw(self, key: Any, size: Any) -> Any:
        return jax.random.bernoulli(key)

    def axes(self, size: Any, draw: Any = None) -> Any:
        return (), (Reverse(draw),)

    def output_size(self, size: Any) -> Any:
        return size


@pytest.mark.parametrize(
    ("reference", "size"),
    # of 8 rows: Pillow has no pass where an axis keeps its length
    [("pillow", (6, 5)), ("pillow", (8, 5)), ("torchvision", (8, 5)), ("float", (6, 5))],
)
def test_a_drawn_step_moves_what_a_resize_before_it_computed(reference, size):
    resize = Resize(size, reference=reference)
    image = noise(8, 9, 3)
    resized = np.asarray(Pipeline((resize,))(Batch(image=image)).image)
    for draw in (False, True):
        pipeline = Pipeline((resize, MaybeFlip()))
        wanted = resized[:, ::-1] if draw else resized
        draws = (None, np.bool_(draw))
        result = pipeline(Batch(image=image), draws=draws).image
        np.testing.assert_array_equal(result, wanted)
        plan = pipeline.plan([(8, 9)] * 2, (16, 16))
        canvases = np.full((2, 16, 16, 3), 77, np.uint8)
        canvases[:, :8, :9] = image
        many = (None, np.full(2, draw))
        results = pipeline(Batch(image=canvases), draws=many, plan=plan).image
        np.testing.assert_array_equal(results[1][: size[0], : size[1]], wanted)


@pytest.mark.parametrize(
    ("after", "dtype"),
    [
        ((), "uint8"),
        ((ops.ReverseChannels(),), "float16"),
        ((ops.Rescale(),), "uint8"),
        ((Resize((5, 4)),), "float16"),
    ],
)
def test_a_resize_to_the_same_size_gives_the_dtype_of_any_other(after, dtype):
    pipeline = Pipeline((Resize((8, 9), rounded=False), *after))
    batch = Batch(image=noise(8, 9, 3, dtype=dtype))
    eager = pipeline(batch).image
    assert eager.dtype == np.float32
    jitted = jax.jit(pipeline)(batch).image
    assert jitted.dtype == np.float32
    np.testing.assert_allclose(eager, jitted, rtol=1e-6, atol=1e-4)


def test_a_caller_may_overwrite_its_images_as_soon_as_a_call_has_returned():
    pipeline = Pipeline((Resize((224, 224)),))
    shape = (4, 64, 64, 3)
    wanted = pipeline(Batch(image=noise(*shape))).image
    for _ in range(5):
        buffer = np.empty(4 * 64 * 64 * 3 + 64, np.uint8)
        start = -buffer.ctypes.data % 64  # JAX reads an array in place that begins so
        images = buffer[start : start + 4 * 64 * 64 * 3].reshape(shape)
        images[:] = noise(*shape)
        results = pipeline(Batch(image=images)).image
        images[:] = 0
        np.testing.assert_array_equal(results, wanted)


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ((ops.CenterCropShare(0.01, 0.01),), "a result with pixels, got size .0, 0."),
        ((ops.CenterCropShare(0.01, 0.01), Resize((5, 5))), "a result with pixels"),
        ((ops.CenterCropShare(0.01, 0.01), ops.CenterCrop(7)), "a result with pixels"),
        ((ops.Pad(60000, 0, 60000, 0),), "a result of at most 67108864 pixels"),
    ],
)
@pytest.mark.parametrize("transform", [lambda pipeline: pipeline, jax.jit])
def test_results_without_pixels_or_with_too_many_are_refused(steps, message, transform):
    with pytest.raises(InputError, match=message):
        transform(Pipeline(steps))(Batch(image=noise(20, 30, 3)))


def test_a_result_that_is_never_stored_may_be_larger():
    image = noise(1, 20000, 1)
    result = Pipeline((ops.PadToSquare(), Resize((2, 3))))(Batch(image=image)).image
    assert result.shape == (2, 3, 1)


@dataclass(frozen=True)
class CropAt(Geometry):
    """A window of 8 x 8 pixels at a place that is drawn, which may exceed the image."""

    fill: float = 0.0

    @property
    def static_output_size(self) -> Any:
        return 8, 8

    def draw(self, key: Any, size: Any) -> Any:
        return jax.random.randint(key, (2,), -4, 4)

    def axes(self, size: Any, draw: Any = None) -> Any:
        return (Window(draw[0], 8),), (Window(draw[1], 8),)


@pytest.mark.parametrize(
    "before", [(), (Resize((10, 9), reference="pillow"),), (ops.Flip(), ops.Pad(1, 0, 0, 2, 99.0))]
)
def test_a_drawn_crop_fills_what_lies_outside_whatever_moved_the_pixels_before(before):
    image = noise(12, 11, 3)
    draws = (*[None] * len(before), np.int32([-3, 4]), np.bool_(True))
    pipeline = Pipeline((*before, CropAt(7.0), MaybeFlip()))
    known = Pipeline((*before, ops.Crop(-3, 4, 8, 8, 7.0), ops.Flip()))
    wanted = known(Batch(image=image)).image
    np.testing.assert_array_equal(pipeline(Batch(image=image), draws=draws).image, wanted)


def test_patches_of_a_batch_that_goes_image_by_image_are_those_of_each_image():
    pipeline = Pipeline((ops.Resize((320, 448), reference="torchvision"), ops.Patches(16)))
    images = noise(8, 19, 24, 3)
    together = np.asarray(pipeline(Batch(image=images)).image)
    assert together.shape == (8, 20, 28, 1, 1, 16, 16, 3)
    resized = np.asarray(pipeline.replace(steps=pipeline.steps[:-1])(Batch(image=images)).image)
    rows = resized.reshape(8, 20, 16, 28, 16, 3).transpose(0, 1, 3, 2, 4, 5)
    np.testing.assert_array_equal(together[:, :, :, 0, 0], rows)


MANY = [(130 + 7 * i % 190, 140 + 11 * i % 150) for i in range(21)]
"""Sizes of images that are too large to go together, but for what follows."""


@pytest.fixture
def compiled_at_once(monkeypatch):
    """Programs that take several images in turn are compiled for the first that want one."""
    eager.forget_ready()
    for ready in eager._ready_in_turn.values():
        monkeypatch.setattr(ready, "often", 1)
    yield
    eager.forget_ready()


def in_turn(pipeline: Pipeline, images: Any, sizes: Any, cores: int, monkeypatch: Any) -> list[Any]:
    """The results of a call on so many cores."""
    monkeypatch.setattr(eager, "core_count", lambda: cores)
    monkeypatch.setattr("jaxprep.pipeline.cores.core_count", lambda: cores)
    return pipeline.run_images(images, sizes).listed()


def called(monkeypatch: Any) -> list[int]:
    """How many images each call of a program takes, from now on."""
    counts: list[int] = []

    def counting(function: Any, count: Any) -> Any:
        def run(program: Any, images: Any, tables: Any) -> Any:
            counts.append(count(images))
            return function(program, images, tables)

        return run

    monkeypatch.setattr(eager, "run_in_turn", counting(eager.run_in_turn, len))
    monkeypatch.setattr(eager, "run_one", counting(eager.run_one, lambda _: 1))
    return counts


@pytest.mark.parametrize(
    "steps",
    [
        (Resize((32, 24), reference="pillow"), ops.Rescale(), ops.Normalize((0.5,), (0.2,))),
        (
            Resize(shortest_edge=40, reference="torch"),
            ops.CenterCrop((36, 36)),
            ops.ChannelsFirst(),
        ),
        (Resize((28, 56), reference="torchvision"), ops.Rescale(), ops.Patches(14)),
        (Resize(shortest_edge=24, reference="jax"), ops.PadToSquare(9)),
        # in a stage before that of the resize, on a canvas as large
        (ops.ToRGB(), Resize((200, 200), method="bicubic", reference="pillow")),
        (ops.Rescale(), Resize((224, 224), reference="torch"), ops.Normalize((0.5,), (0.2,))),
    ],
)
@pytest.mark.usefixtures("compiled_at_once")
def test_many_large_images_on_one_core_have_the_bits_of_one_by_one(steps, monkeypatch):
    pipeline = Pipeline(steps)
    sizes = [(320, 320), *MANY]  # the first reaches to the edges of the canvas of a run
    images = [noise(*size, 3, seed=i) for i, size in enumerate(sizes)]
    wanted = [np.asarray(pipeline(Batch(image=image)).image) for image in images]
    calls = called(monkeypatch)
    for got, want in zip(in_turn(pipeline, images, sizes, 1, monkeypatch), wanted, strict=True):
        np.testing.assert_array_equal(got, want)
    assert sum(calls) == len(sizes) and max(calls) == 16


@pytest.mark.usefixtures("quick_compilation_of_a_test", "compiled_at_once")
def test_images_of_one_array_go_in_turn_and_the_array_may_be_overwritten(monkeypatch):
    pipeline = Pipeline((Resize((224, 224), reference="pillow"), ops.Rescale()))
    shape = (4, 256, 256, 3)  # as large as a canvas
    images = noise(*shape)
    wanted = [np.asarray(pipeline(Batch(image=image)).image) for image in images]
    calls = called(monkeypatch)
    is_read_in_place = eager._is_read_in_place
    answers: list[bool] = []
    monkeypatch.setattr(
        eager,
        "_is_read_in_place",
        lambda *args: answers.append(is_read_in_place(*args)) or answers[-1],
    )
    for offset in (0, 16) * 3:  # read in place, and copied
        buffer = np.empty(images.size + 128, np.uint8)
        start = -buffer.ctypes.data % 64 + offset
        array = buffer[start : start + images.size].reshape(shape)
        array[:] = images
        got = in_turn(pipeline, array, [shape[1:3]] * 4, 1, monkeypatch)
        array[:] = 0
        np.testing.assert_array_equal(got, wanted)
    assert (answers, calls) == ([True, False] * 3, [4] * 6)


@pytest.mark.usefixtures("quick_compilation_of_a_test", "compiled_at_once")
def test_under_a_default_device_results_are_on_it_and_may_go_to_any_other(monkeypatch):
    device = jax.devices()[2]
    pipeline = Pipeline((Resize((24, 32), reference="pillow"),))
    images = [noise(150, 140, 3, seed=i) for i in range(5)]
    with jax.default_device(device):
        for count in (4, 5):  # one run, and one image more
            monkeypatch.setattr(eager, "core_count", lambda: 1)
            result = pipeline.run_images(images[:count], [(150, 140)] * count).stacked()
            assert result.devices() == {device} and not result.committed


@pytest.mark.usefixtures("compiled_at_once")
@pytest.mark.parametrize(
    ("count", "cores", "lengths"),
    [
        (16, 1, [16]),
        (21, 1, [16, 4]),
        (64, 1, [64]),
        (16, 2, [4]),
        (8, 2, []),
        (64, 2, [16, 8, 8, 8, 4, 4, 4]),
    ],
)
def test_cores_share_the_images_of_a_call(count, cores, lengths, monkeypatch):
    monkeypatch.setattr(eager, "core_count", lambda: cores)
    lowered = Pipeline((Resize((32, 24), reference="pillow"),)).lowered
    sizes = [MANY[i % len(MANY)] for i in range(count)]
    images = [np.empty((*size, 3), np.uint8) for size in sizes]
    found, others = eager._groups_in_turn(lowered, eager._kinds(images, sizes), None)
    assert [len(group) for _, group in found] == lengths
    members = [i for _, group in found for i in group]
    assert sorted([*members, *others]) == list(range(count))


@pytest.mark.usefixtures("compiled_at_once")
def test_a_large_image_does_not_make_small_ones_slow(monkeypatch):
    monkeypatch.setattr(eager, "core_count", lambda: 1)
    lowered = Pipeline((Resize((32, 24), reference="pillow"),)).lowered
    sizes = [(2000, 3000), *[(200, 150)] * 4]
    images = [np.empty((*size, 3), np.uint8) for size in sizes]
    [(program, group)], others = eager._groups_in_turn(lowered, eager._kinds(images, sizes), None)
    assert (group, others) == ([1, 2, 3, 4], [0])
    assert max(program.stages[0].source) < 300


@pytest.fixture
def one_core(monkeypatch):
    eager.forget_ready()
    monkeypatch.setattr(eager, "core_count", lambda: 1)
    yield
    eager.forget_ready()


def lengths_of(lowered: Any, sizes: Any) -> list[int]:
    images = [np.empty((*size, 3), np.uint8) for size in sizes]
    groups, _ = eager._groups_in_turn(lowered, eager._kinds(images, sizes), None)
    return [len(group) for _, group in groups]


@pytest.mark.usefixtures("one_core")
def test_a_program_for_several_images_is_compiled_once_many_wanted_it():
    lowered = Pipeline((Resize((32, 24), reference="pillow"),)).lowered
    calls = [lengths_of(lowered, MANY[:16]) for _ in range(17)]
    assert calls == [[]] * 15 + [[16]] * 2
    assert lengths_of(lowered, MANY[3:20]) == [16]  # of other images, which it serves


@pytest.mark.usefixtures("one_core", "compiled_at_once")
def test_after_a_warm_up_images_go_one_by_one():
    pipeline = Pipeline((Resize((32, 24), reference="pillow"),))
    assert lengths_of(pipeline.lowered, [(200, 150)] * 4) == [4]
    eager.add_ready([eager.program_of(pipeline.lowered, (200, 150), 3, np.uint8)])
    assert lengths_of(pipeline.lowered, [(200, 150)] * 4) == []


@pytest.mark.usefixtures("one_core", "compiled_at_once")
def test_images_of_several_kinds_run_with_those_of_their_own():
    lowered = Pipeline((Resize((32, 24), reference="float"),)).lowered
    kinds = [(3, np.uint8), (1, np.uint8), (3, np.float32)] * 4
    images = [np.empty((150, 140, channels), dtype) for channels, dtype in kinds]
    found, _ = eager._groups_in_turn(lowered, eager._kinds(images, [(150, 140)] * 12), None)
    assert sorted(group for _, group in found) == [[i, i + 3, i + 6, i + 9] for i in range(3)]


@pytest.mark.usefixtures("one_core")
def test_what_was_noted_of_groups_is_forgotten(monkeypatch):
    monkeypatch.setattr(eager.programs(), "limit", 3)
    for width in range(8):
        lengths_of(Pipeline((Resize((32, 24 + width), reference="pillow"),)).lowered, MANY[:4])
    assert len(eager._ready_in_turn[4].wanted) <= 4


@pytest.mark.parametrize("count", [4, 5])  # 5 go as 6, of which one only fills the bucket
def test_results_of_an_accelerator_stay_there(count, monkeypatch):
    pipeline = Pipeline((Resize((6, 5), reference="pillow"),))
    images = noise(count, 20, 24, 3)
    wanted = pipeline.run_images(images, [(20, 24)] * count).stacked()
    monkeypatch.setattr(eager, "platform_of", lambda placement: "gpu")
    results = pipeline.run_images(images, [(20, 24)] * count).results
    assert isinstance(results, jax.Array)  # what came to the host would be one of NumPy
    np.testing.assert_array_equal(results, wanted)
