"""The TPU engine: products of dense matrices equal the plain sums over taps, in every bit."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxprep.resample import forms
from jaxprep.resample.engines import tpu
from jaxprep.resample.tables import Taps, fit, resize_taps

SIZE, OUT = (37, 45), (17, 12)
BATCH = 3
METHODS = ["bilinear", "bicubic", "lanczos3"]
INTEGER = [("pillow", method) for method in METHODS]
INTEGER += [("torchvision", method) for method in METHODS[:2]]


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def plain(image, vertical, horizontal, *, vertical_first, arithmetic):
    passes = [(horizontal, 1), (vertical, 0)]
    if vertical_first:
        passes.reverse()
    for taps, axis in passes:
        if taps is not None:
            image = forms.apply_taps(image, taps, axis, arithmetic)
    return image


def tables(reference: str, method: str, size=SIZE, out=OUT) -> tuple[Taps, Taps]:
    rows, columns = (
        resize_taps(n, m, method, True, reference) for n, m in zip(size, out, strict=True)
    )
    return rows, columns


def plan(reference: str, method: str, axis: int) -> Taps:
    """Tables for images of several lengths on one canvas, as a plan has them: stacked."""
    lengths = [SIZE[axis], SIZE[axis] - 7, SIZE[axis] // 2]
    alone = [resize_taps(n, OUT[axis], method, True, reference) for n in lengths]
    count = max(taps.weight.shape[1] for taps in alone)
    fitted = [fit(taps.start, taps.weight, SIZE[axis], count) for taps in alone]
    start, weight = (np.stack(arrays) for arrays in zip(*fitted, strict=True))
    return Taps(start, weight, np.stack([taps.shift for taps in alone]))


def run(engine, arithmetic, vertical_first, images, vertical, horizontal, batched):
    passes = functools.partial(engine, vertical_first=vertical_first, arithmetic=arithmetic)
    if batched:
        return jax.jit(jax.vmap(passes))(images, vertical, horizontal)
    return jax.jit(jax.vmap(lambda image: passes(image, vertical, horizontal)))(images)


@pytest.mark.parametrize("vertical_first", [False, True])
@pytest.mark.parametrize(("reference", "method"), INTEGER)
@pytest.mark.parametrize("batched", [False, True], ids=["constant", "plan"])
def test_integer_passes_equal_the_plain_form(reference, method, vertical_first, batched):
    images = noise(BATCH, *SIZE, 3)
    vertical, horizontal = tables(reference, method)
    if batched:
        vertical, horizontal = plan(reference, method, 0), plan(reference, method, 1)
    arguments = ("integer", vertical_first, images, vertical, horizontal, batched)
    result, expected = run(tpu.two_passes, *arguments), run(plain, *arguments)
    assert result.dtype == expected.dtype == jnp.uint8
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("batched", [False, True], ids=["constant", "plan"])
@pytest.mark.parametrize("dtype", [jnp.uint8, jnp.float32, jnp.bfloat16])
def test_float_passes_equal_the_sums_to_float32_rounding(dtype, batched):
    images = jnp.asarray(noise(BATCH, *SIZE, 3), dtype)
    vertical, horizontal = tables("float", "bicubic")
    if batched:
        vertical, horizontal = plan("float", "bicubic", 0), plan("float", "bicubic", 1)
    arguments = ("float", True, images, vertical, horizontal, batched)
    result, expected = run(tpu.two_passes, *arguments), run(plain, *arguments)
    assert result.dtype == expected.dtype == jnp.float32
    # sums of at most 13 terms of up to 255, in another order
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("missing", ["vertical", "horizontal", "both"])
def test_an_axis_without_a_table_stays_as_it_is(missing):
    images = noise(BATCH, *SIZE, 3)
    vertical, horizontal = tables("pillow", "bicubic")
    vertical = None if missing != "horizontal" else vertical
    horizontal = None if missing != "vertical" else horizontal
    arguments = ("integer", False, images, vertical, horizontal, False)
    np.testing.assert_array_equal(run(tpu.two_passes, *arguments), run(plain, *arguments))


@pytest.mark.parametrize("reference", ["pillow", "torchvision"])
@pytest.mark.parametrize(("n", "m"), [(1, 5), (3, 64), (700, 2), (2000, 3)])
@pytest.mark.parametrize("batched", [False, True], ids=["constant", "plan"])
def test_one_tap_or_a_thousand_are_summed_exactly(reference, n, m, batched):
    # white and black pixels reach the largest sums
    image = np.where(noise(1, n, 2, 1) > 127, np.uint8(255), np.uint8(0))
    taps = resize_taps(n, m, "bicubic", True, reference)
    taps = Taps(*(np.asarray(field)[None] for field in taps)) if batched else taps
    arguments = ("integer", True, image, taps, None, batched)
    np.testing.assert_array_equal(run(tpu.two_passes, *arguments), run(plain, *arguments))


@pytest.mark.parametrize("value", [-(2**15), -1, 0, 255, 2**15 - 1])
def test_every_int16_weight_is_exact(value):
    taps = Taps(np.int32([0, 1]), np.int16([[value, 3], [7, value]]), np.int32(14))
    arguments = ("integer", True, noise(1, 3, 4, 1), taps, None, False)
    np.testing.assert_array_equal(run(tpu.two_passes, *arguments), run(plain, *arguments))


@pytest.mark.parametrize("dtype", [np.int16, np.int32])
@pytest.mark.parametrize("shift", [8, 22])
@pytest.mark.parametrize("taps", [1, tpu.INT16_TAPS, tpu.INT16_TAPS + 1])
def test_the_largest_carry_fits_from_8_to_22_fractional_bits(dtype, shift, taps):
    image = np.full((1, taps, 1, 1), 255, np.uint8)
    weight = np.full((1, taps), 255, dtype)
    table = Taps(np.int32([0]), weight, np.int32(shift))
    arguments = ("integer", True, image, table, None, False)
    np.testing.assert_array_equal(run(tpu.two_passes, *arguments), run(plain, *arguments))


def test_finish_is_applied_to_the_result():
    image = noise(*SIZE, 3)
    vertical, horizontal = tables("pillow", "bilinear")
    shapes = []

    def finish(image: jax.Array) -> jax.Array:
        shapes.append(image.shape)
        return image.astype(jnp.float32) / 255

    options = {"vertical_first": False, "arithmetic": "integer"}
    result = tpu.two_passes(image, vertical, horizontal, **options, finish=finish)
    expected = plain(image, vertical, horizontal, **options)
    np.testing.assert_allclose(result, np.float32(expected) / 255, rtol=1e-6)
    assert shapes == [(*OUT, 3)]


@pytest.mark.parametrize("count", [1, 5, 16, 17, 40])
def test_a_table_made_in_the_graph_equals_the_one_made_on_the_host(count):
    rng = np.random.default_rng(count)
    n, m = 53, 9
    start = rng.integers(0, n - count + 1, m).astype(np.int32)
    weight = rng.integers(-(2**22), 2**22, (m, count)).astype(np.int32)
    known = tpu._dense(Taps(start, weight, np.int32(22)), n)
    traced = jax.jit(lambda start, weight: tpu._dense(Taps(start, weight, 22), n))(start, weight)
    np.testing.assert_array_equal(traced, known)
