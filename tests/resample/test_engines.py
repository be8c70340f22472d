"""Every engine equals the plain form: in every bit where sums are integers, to the rounding of
float32 where they are floats; constant, with tables of a plan, and in either order of passes.
"""

from __future__ import annotations

import functools

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

SIZE, OUT = (37, 45), (17, 12)
BATCH = 3
METHODS = ["bilinear", "bicubic", "lanczos3"]
INTEGER = [("pillow", method) for method in METHODS]
INTEGER += [("torchvision", method) for method in METHODS[:2]]
IDENTITY = Epilogue(lambda rows: rows)
every_engine = pytest.mark.parametrize("engine", [CpuEngine(), CpuEngine(1), TpuEngine()])
constant_or_plan = pytest.mark.parametrize("batched", [False, True], ids=["constant", "plan"])


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


def run(engine, images, vertical, horizontal, arithmetic, first, batched):
    def one(image, vertical, horizontal, first):
        passes = Passes(vertical, horizontal, arithmetic, first)
        return engine.run_segment(image, passes, IDENTITY, is_last=True)

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
def plain_integers(reference: str, method: str, vertical_first: bool, batched: bool) -> np.ndarray:
    """What every engine is compared with."""
    images, made = noise(BATCH, *SIZE, 3), tables(reference, method, batched)
    return np.asarray(run(PlainEngine(), images, *made, "integer", vertical_first, batched))


@every_engine
@pytest.mark.parametrize("vertical_first", [False, True])
@pytest.mark.parametrize(("reference", "method"), INTEGER)
@constant_or_plan
def test_integer_passes_equal_the_plain_form(engine, reference, method, vertical_first, batched):
    images, made = noise(BATCH, *SIZE, 3), tables(reference, method, batched)
    result = run(engine, images, *made, "integer", vertical_first, batched)
    expected = plain_integers(reference, method, vertical_first, batched)
    assert result.dtype == expected.dtype == jnp.uint8
    np.testing.assert_array_equal(result, expected)


@every_engine
@pytest.mark.parametrize("reference", ["pillow", "torchvision"])
def test_images_of_a_plan_may_differ_in_the_order_of_their_passes(engine, reference):
    images = noise(BATCH, *SIZE, 3)
    made = tables(reference, "bicubic", batched=True)
    first = np.array([True, False, True])
    result = run(engine, images, *made, "integer", first, True)
    both = [plain_integers(reference, "bicubic", order, True) for order in (False, True)]
    for i in range(BATCH):
        np.testing.assert_array_equal(result[i], both[int(first[i])][i])


@every_engine
@constant_or_plan
@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.float32, jnp.bfloat16])
def test_float_passes_equal_the_plain_form_to_float32_rounding(engine, dtype, batched):
    images = jnp.asarray(noise(BATCH, *SIZE, 3), dtype)
    arguments = (images, *tables("float", "bicubic", batched), "float", True, batched)
    result, expected = run(engine, *arguments), run(PlainEngine(), *arguments)
    assert result.dtype == expected.dtype == jnp.float32
    # sums of at most 13 terms of up to 255, in another order
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-4)


@every_engine
def test_the_gradient_of_float_passes_is_that_of_the_plain_form(engine):
    image = jnp.asarray(noise(*SIZE, 3), jnp.float32)
    passes = Passes(*tables("float", "bilinear", False), "float", True)
    weight = noise(*OUT, 3).astype(np.float32)

    def loss(engine, image):
        return jnp.vdot(engine.run_segment(image, passes, IDENTITY, is_last=True), weight)

    gradient = jax.jit(jax.grad(lambda image: loss(engine, image)))(image)
    expected = jax.jit(jax.grad(lambda image: loss(PlainEngine(), image)))(image)
    np.testing.assert_allclose(gradient, expected, rtol=1e-5, atol=1e-3)


@every_engine
@pytest.mark.parametrize("missing", ["vertical", "horizontal", "both"])
def test_an_axis_without_a_table_stays_as_it_is(engine, missing):
    images = noise(BATCH, *SIZE, 3)
    vertical, horizontal = tables("pillow", "bilinear", False)
    vertical = None if missing != "horizontal" else vertical
    horizontal = None if missing != "vertical" else horizontal
    arguments = (images, vertical, horizontal, "integer", False, False)
    result, expected = run(engine, *arguments), run(PlainEngine(), *arguments)
    np.testing.assert_array_equal(result, expected)
    if missing == "both":
        np.testing.assert_array_equal(result, images)


# What only the engine for TPU does: products of dense matrices


def vertical_pass(engine, image, taps: Taps, batched: bool):
    if batched:
        taps = Taps(*(np.asarray(field)[None] for field in taps))
        return run(engine, image[None], taps, None, "integer", True, True)[0]
    return run(engine, image[None], taps, None, "integer", True, False)[0]


# XLA takes 20 s for the plan of an axis of 2000
MANY_TAPS = [(1, 5, True), (3, 64, True), (1030, 2, True)]
MANY_TAPS += [(1, 5, False), (3, 64, False), (1030, 2, False), (2000, 3, False)]


@pytest.mark.parametrize("reference", ["pillow", "torchvision"])
@pytest.mark.parametrize(("n", "m", "batched"), MANY_TAPS)
def test_one_tap_or_a_thousand_are_summed_exactly(reference, n, m, batched):
    # white and black pixels reach the largest sums
    image = np.where(noise(n, 2, 1) > 127, np.uint8(255), np.uint8(0))
    taps = resize_taps(n, m, "bicubic", True, reference)
    result = vertical_pass(TpuEngine(), image, taps, batched)
    np.testing.assert_array_equal(result, vertical_pass(PlainEngine(), image, taps, batched))


@pytest.mark.parametrize("value", [-(2**15), -1, 0, 255, 2**15 - 1])
def test_every_int16_weight_is_exact(value):
    taps = Taps(np.int32([0, 1]), np.int16([[value, 3], [7, value]]), np.int32(14))
    image = noise(3, 4, 1)
    result = vertical_pass(TpuEngine(), image, taps, False)
    np.testing.assert_array_equal(result, vertical_pass(PlainEngine(), image, taps, False))


@pytest.mark.parametrize("count", [1, 5, 16, 17, 40])
def test_a_table_made_in_the_graph_equals_the_one_made_on_the_host(count):
    rng = np.random.default_rng(count)
    n, m = 53, 9
    start = rng.integers(0, n - count + 1, m).astype(np.int32)
    weight = rng.integers(-(2**22), 2**22, (m, count)).astype(np.int32)
    known = tpu.dense_matrix(Taps(start, weight, np.int32(22)), n)
    make = jax.jit(lambda start, weight: tpu.dense_matrix(Taps(start, weight, 22), n))
    np.testing.assert_array_equal(make(start, weight), known)


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
@pytest.mark.parametrize("shift", [8, 22])
@pytest.mark.parametrize("taps", [1, tpu.INT16_TAPS, tpu.INT16_TAPS + 1])
def test_the_largest_carry_fits_from_8_to_22_fractional_bits(dtype, shift, taps):
    image = np.full((taps, 1, 1), 255, np.uint8)
    table = Taps(np.int32([0]), np.full((1, taps), 255, dtype), np.int32(shift))
    result = vertical_pass(TpuEngine(), image, table, False)
    np.testing.assert_array_equal(result, vertical_pass(PlainEngine(), image, table, False))
