"""Every engine equals the plain form: in every bit where sums are integers, to the rounding of
float32 where they are floats; constant, with tables of a plan, and in either order of passes.
"""

from __future__ import annotations

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.images import noise

from jaxprep.resample.engines import tpu
from jaxprep.resample.engines.cpu import CpuEngine
from jaxprep.resample.engines.plain import PlainEngine
from jaxprep.resample.engines.tpu import TpuEngine
from jaxprep.resample.passes import Epilogue, Passes
from jaxprep.resample.tables import Taps, fit, resize_taps

# integers are the same in any compilation
pytestmark = pytest.mark.usefixtures("quick_compilation")
sums_of_floats = pytest.mark.usefixtures("compilation_of_users")

SIZE, OUT = (37, 45), (17, 20)
BATCH = 3
IDENTITY = Epilogue(lambda rows: rows)
ENGINES = (CpuEngine(), CpuEngine(1), TpuEngine())


def tables(reference: str, method: str, batched: bool) -> tuple[Taps, Taps]:
    """Tables of both axes; for a plan those of images of several lengths on one canvas."""
    made = []
    for axis in (0, 1):
        lengths = [SIZE[axis], SIZE[axis] - 7, SIZE[axis] // 2]
        alone = [resize_taps(n, OUT[axis], method, True, reference) for n in lengths]
        if not batched:
            made.append(alone[0])
            continue
        count = max(taps.weight.shape[1] for taps in alone)
        fitted = [fit(taps.start, taps.weight, SIZE[axis], count) for taps in alone]
        start, weight = (np.stack(arrays) for arrays in zip(*fitted, strict=True))
        made.append(Taps(start, weight, np.stack([taps.shift for taps in alone])))
    return made[0], made[1]


def run(engines, images, vertical, horizontal, arithmetic, first, batched):
    """What the plain form makes of the images, and each engine, in one program."""

    def one(image, vertical, horizontal, first):
        passes = Passes(vertical, horizontal, arithmetic, first)
        return [
            engine.run_segment(image, passes, IDENTITY, is_last=True)
            for engine in (PlainEngine(), *engines)
        ]

    if batched:
        axis = 0 if isinstance(first, np.ndarray) else None
        first_argument = first if axis == 0 else None
        known = None if axis == 0 else first

        def each(image, vertical, horizontal, traced):
            return one(image, vertical, horizontal, known if traced is None else traced)

        mapped = jax.vmap(each, in_axes=(0, 0, 0, axis))
        return jax.jit(mapped)(images, vertical, horizontal, first_argument)
    return jax.jit(jax.vmap(lambda image: one(image, vertical, horizontal, first)))(images)


@functools.cache
def integers(reference: str, method: str, vertical_first: bool, batched: bool) -> list[np.ndarray]:
    images, made = noise(BATCH, *SIZE, 3), tables(reference, method, batched)
    return jax.device_get(run(ENGINES, images, *made, "integer", vertical_first, batched))


@pytest.mark.parametrize(
    ("reference", "vertical_first", "batched"),
    [
        *itertools.product(["pillow", "torchvision"], [False, True], [True]),
        ("pillow", False, False),
        ("torchvision", True, False),
    ],
)
def test_integer_passes_equal_the_plain_form(reference, vertical_first, batched):
    assert_all_equal_the_first(*integers(reference, "bicubic", vertical_first, batched))


@pytest.mark.parametrize(
    ("reference", "method", "batched"),
    [
        ("pillow", "bilinear", False),
        ("pillow", "lanczos3", True),
        ("torchvision", "bilinear", False),
    ],
)
def test_integer_passes_of_fewer_and_of_more_taps_equal_the_plain_form(reference, method, batched):
    assert_all_equal_the_first(*integers(reference, method, False, batched))


def assert_all_equal_the_first(expected: np.ndarray, *results: np.ndarray) -> None:
    assert len(results) == len(ENGINES)
    for result in results:
        assert result.dtype == expected.dtype == jnp.uint8
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("reference", ["pillow", "torchvision"])
def test_images_of_a_plan_may_differ_in_the_order_of_their_passes(reference):
    images = noise(BATCH, *SIZE, 3)
    made = tables(reference, "bicubic", batched=True)
    first = np.array([True, False, True])
    both = [integers(reference, "bicubic", order, True)[0] for order in (False, True)]
    assert (both[0] != both[1]).any()
    for result in run(ENGINES, images, *made, "integer", first, True)[1:]:
        for i in range(BATCH):
            np.testing.assert_array_equal(result[i], both[int(first[i])][i])


@sums_of_floats
@pytest.mark.parametrize(
    ("dtype", "batched"),
    [(jnp.uint8, True), (jnp.float32, True), (jnp.bfloat16, True), (jnp.float32, False)],
    ids=str,
)
def test_float_passes_equal_the_plain_form_to_float32_rounding(dtype, batched):
    images = noise(BATCH, *SIZE, 3).astype(dtype)
    made = tables("float", "bicubic", batched)
    expected, *results = run(ENGINES, images, *made, "float", True, batched)
    for result in results:
        assert result.dtype == expected.dtype == jnp.float32
        # sums of at most 13 terms of up to 255, in another order
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-4)


@sums_of_floats
def test_the_gradient_of_float_passes_is_that_of_the_plain_form():
    image = noise(*SIZE, 3).astype(np.float32)
    passes = Passes(*tables("float", "bilinear", False), "float", True)
    weight = noise(*OUT, 3).astype(np.float32)

    def loss(image, engine):
        return jnp.vdot(engine.run_segment(image, passes, IDENTITY, is_last=True), weight)

    @jax.jit
    def gradients(image):
        return [jax.grad(loss)(image, engine) for engine in (PlainEngine(), *ENGINES)]

    expected, *results = gradients(image)
    for gradient in results:
        np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("missing", ["vertical", "horizontal", "both"])
def test_an_axis_without_a_table_stays_as_it_is(missing):
    images = noise(BATCH, *SIZE, 3)
    vertical, horizontal = tables("pillow", "bilinear", False)
    vertical = None if missing != "horizontal" else vertical
    horizontal = None if missing != "vertical" else horizontal
    results = jax.device_get(run(ENGINES, images, vertical, horizontal, "integer", False, False))
    assert_all_equal_the_first(*results)
    if missing == "both":
        np.testing.assert_array_equal(results[0], images)


# What only the engine for TPU does: products of dense matrices


def vertical_pass(image, taps: Taps, batched: bool) -> tuple[np.ndarray, np.ndarray]:
    """What the plain form and the engine for TPU make of the rows of an image."""
    if batched:
        taps = Taps(*(np.asarray(field)[None] for field in taps))
    plain, dense = run([TpuEngine()], image[None], taps, None, "integer", True, batched)
    return np.asarray(plain)[0], np.asarray(dense)[0]


TAPS = [
    ("pillow", 1, 5, True),
    ("pillow", 3, 64, False),
    ("pillow", 2000, 3, False),
    # XLA takes 20 s for the plan of an axis of 2000; 300 taps are also more than are unrolled, and
    # than have a carry in int16
    ("pillow", 300, 2, True),
    ("torchvision", 1, 5, False),
    ("torchvision", 3, 64, True),
    ("torchvision", 2000, 3, False),
]


@pytest.mark.parametrize(("reference", "n", "m", "batched"), TAPS)
def test_one_tap_or_a_thousand_are_summed_exactly(reference, n, m, batched):
    # white and black pixels reach the largest sums
    image = np.where(noise(n, 2, 1) > 127, np.uint8(255), np.uint8(0))
    taps = resize_taps(n, m, "bicubic", True, reference)
    expected, result = vertical_pass(image, taps, batched)
    np.testing.assert_array_equal(result, expected)


def test_every_int16_weight_is_exact():
    values = [-(2**15), -1, 0, 255, 2**15 - 1]
    start = np.tile(np.int32([0, 1]), len(values))
    weight = np.int16([row for value in values for row in ([value, 3], [7, value])])
    expected, result = vertical_pass(noise(3, 4, 1), Taps(start, weight, np.int32(14)), False)
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("count", [1, 5, 16, 17, 40])
def test_a_table_made_in_the_graph_equals_the_one_made_on_the_host(count):
    rng = np.random.default_rng(count)
    n, m = 53, 9
    start = rng.integers(0, n - count + 1, m).astype(np.int32)
    weight = rng.integers(-(2**22), 2**22, (m, count)).astype(np.int32)
    known = tpu.dense_matrix(Taps(start, weight, np.int32(22)), n)
    make = jax.jit(lambda start, weight: tpu.dense_matrix(Taps(start, weight, 22), n))
    np.testing.assert_array_equal(make(start, weight), known)


@pytest.mark.parametrize("taps", [1, tpu.INT16_TAPS, tpu.INT16_TAPS + 1])
def test_the_largest_carry_fits_from_8_to_22_fractional_bits(taps):
    image = np.full((taps, 1, 1), 255, np.uint8)

    @jax.jit
    def passes(image):
        results = []
        for dtype, shift in itertools.product((np.int16, np.int32), (8, 22)):
            table = Taps(np.int32([0]), np.full((1, taps), 255, dtype), np.int32(shift))
            passes = Passes(table, None, "integer", True)
            both = []
            for engine in (PlainEngine(), TpuEngine()):
                both.append(engine.run_segment(image, passes, IDENTITY, is_last=True))
            results.append(both)
        return results

    results = passes(image)
    assert len(results) == 4
    for expected, result in results:
        np.testing.assert_array_equal(result, expected)
