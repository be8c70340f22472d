"""The references that sum in floating point: against `jax.image.resize` and NumPy in float64, and
their gradients.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import opt_einsum
import pytest
from helpers.definition import dense, in_float64
from helpers.images import noise, photograph

from jaxprep import ops
from jaxprep.errors import ConfigError, InputError
from jaxprep.resample.filters import METHODS
from jaxprep.resample.references import REFERENCES
from jaxprep.resample.tables import vertical_first

KERAS_METHODS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")
KERAS_OPTIONS = [(method, True) for method in KERAS_METHODS]
KERAS_OPTIONS += [(method, False) for method in KERAS_METHODS[1:]]  # nearest has no antialiasing
SIZES = (  # height and width of the image, height and width of the result
    ((397, 451), (224, 224)),
    ((97, 31), (150, 64)),
    ((1, 57), (5, 13)),
)
TIES = ((174, 29), (80, 10)), ((8, 14), (161, 71))
"""Sizes at which pixels lie exactly on the edge of a box; float64 positions would put some on the
wrong side.
"""


# --- live jax.image.resize ------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def jax_resize(image: jax.Array, size: tuple[int, int], method: str, antialias: bool) -> jax.Array:
    """As Keras calls it: on a batch. One image alone is summed in another order."""
    return jax.image.resize(image[None], (1, *size, image.shape[-1]), method, antialias=antialias)[
        0
    ]


def ours(image: np.ndarray, size: tuple[int, int], method: str, antialias: bool) -> np.ndarray:
    return np.asarray(ops.resize(image, size, method=method, antialias=antialias, reference="jax"))


@functools.cache
def floats_of_jax(sizes: tuple) -> dict[tuple[str, bool], np.ndarray]:
    """What JAX makes of a photograph of a size with each of the options, in one program."""
    size, out = sizes
    options = [option for option in KERAS_OPTIONS if sizes in sizes_for(option[1])]

    @jax.jit
    def all_options(image: jax.Array) -> list[jax.Array]:
        return [jax_resize(image, out, *option) for option in options]

    results = jax.device_get(all_options(np.float32(photograph(*size))))
    return dict(zip(options, results, strict=True))


def sizes_for(antialias: bool) -> tuple:
    """All sizes, or without antialiasing those that shrink: where both sides grow, it is none."""
    return SIZES if antialias else SIZES[::2]


@pytest.mark.parametrize(("method", "antialias"), KERAS_OPTIONS)
def test_floats_are_those_of_jax_image_resize_within_1e_4_of_255(method: str, antialias: bool):
    # JAX sums all pixels as a matrix product, we only those under the filter
    for size, out in sizes_for(antialias):
        truth = floats_of_jax((size, out))[method, antialias]
        result = ours(np.float32(photograph(*size)), out, method, antialias)
        assert result.dtype == np.float32
        np.testing.assert_allclose(
            result, truth, rtol=0, atol=1e-4 * 255 if method != "nearest" else 0
        )


def test_integers_are_those_of_jax_image_resize_but_for_one_level_in_ten_thousand():
    # where the float is within its error of a half
    size, out = SIZES[0]
    pairs = []
    for (method, antialias), floats in floats_of_jax(SIZES[0]).items():
        levels = np.clip(np.round(floats), 0, 255)
        pairs.append((ours(photograph(*size), out, method, antialias), levels))
    assert all(result.dtype == np.uint8 for result, _ in pairs)
    difference = np.concatenate(
        [np.abs(result.astype(int) - levels).ravel() for result, levels in pairs]
    )
    assert len(difference) > 10**6  # values
    assert difference.max() <= 1
    assert difference.mean() <= 1e-4


def test_the_passes_run_in_the_order_of_the_einsum_of_jax_image_resize():
    """`jnp.einsum` asks opt_einsum for the path with the fewest products."""
    rng = np.random.default_rng(0)
    for height, width, out_height, out_width in rng.integers(2, 300, (200, 4)).tolist():
        path, _ = opt_einsum.contract_path(
            "hwc,hi,wj->ijc",
            *[(height, width, 3), (height, out_height), (width, out_width)],
            shapes=True,
            optimize="optimal",
        )
        # the image is contracted with the matrix of the height, or of the width
        is_vertical_first = {(0, 1): True, (0, 2): False}[path[0]]
        size, out = (height, width), (out_height, out_width)
        assert vertical_first(REFERENCES["jax"], size, out) == is_vertical_first, (size, out)


@pytest.mark.parametrize("size", [(96, 24), (24, 96), (40, 90)])
def test_a_stretch_has_the_floats_of_jax_image_resize_whichever_pass_comes_first(size):
    """In the other order two values of five differ in the last bits; ties follow from them."""
    image = noise(*size, 3).astype(np.float32)
    result = np.asarray(ops.resize(image, (40, 56), antialias=False, reference="jax"))
    truth = jax.image.resize(image, (40, 56, 3), "bilinear", antialias=False)
    assert np.mean(result != np.asarray(truth)) < 0.15


# --- float64 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("method", METHODS)
def test_the_float_reference_is_the_definition_in_float64_within_1e_4_of_255(
    method: str, antialias: bool
):
    # float32 rounds every weight, product and sum
    # the second image grows: nothing to antialias
    for size, out in TIES if antialias else TIES[:1]:
        image = photograph(*size).astype(np.float32)
        result = ops.resize(image, out, method=method, antialias=antialias)
        np.testing.assert_allclose(
            result, in_float64(image, out, method, antialias), rtol=0, atol=1e-4 * 255
        )


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "int32", "bool"])
def test_integers_are_rounded_half_to_even_and_saturated(dtype: str):
    info = (0, 1) if dtype == "bool" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    image = np.random.default_rng(0).choice(np.array(info, dtype), (9, 13, 2))
    result = np.asarray(ops.resize(image, (20, 30), method="bicubic"))
    exact = np.clip(np.round(in_float64(image, (20, 30), "bicubic", True)), *info)
    assert result.dtype == image.dtype
    # float32 holds 24 bits; the range of int32 has 32
    np.testing.assert_allclose(
        result.astype(float), exact, rtol=0, atol=1 if info[1] < 2**24 else 2**12
    )
    resize = functools.partial(ops.resize, size=(20, 30), method="bicubic", rounded=False)
    assert jax.eval_shape(resize, image).dtype == np.float32


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_floating_point_images_come_back_as_float32(dtype: str):
    image = jnp.asarray(photograph(8, 12), dtype)
    # halves of levels are exact, however a program sums them
    halved = functools.partial(ops.resize, size=(4, 6), method="bilinear", antialias=False)
    result = halved(image)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, halved(np.asarray(image, np.float32)))  # casts are exact


def test_nearest_keeps_the_dtype():
    for dtype in ("uint8", "bool", "int32", "float16", "bfloat16"):
        image = jnp.asarray(photograph(7, 9) > 99, dtype)
        for reference in ("pillow", "torchvision", "torch", "jax", "float"):
            assert ops.resize(image, (3, 5), method="nearest", reference=reference).dtype == dtype


# --- gradients ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size, out, methods",
    [
        ((14, 31), (9, 40), ["nearest", "bilinear", "bicubic", "lanczos3"]),
        ((150, 6), (1, 6), ["bilinear", "lanczos3"]),  # more taps than are unrolled
    ],
)
def test_the_gradient_of_float_is_the_transposed_matrix(
    size: tuple[int, int], out: tuple[int, int], methods: list[str]
):
    image, cotangent = (
        np.random.default_rng(0).normal(size=(*size, 2)),
        np.random.default_rng(1).normal(size=(*out, 2)),
    )

    def loss(image: jax.Array, method: str) -> jax.Array:
        return (ops.resize(image, out, method=method) * cotangent.astype(np.float32)).sum()

    @jax.jit
    def gradients(image: jax.Array) -> list[jax.Array]:
        return [jax.grad(loss)(image, method) for method in methods]

    for method, gradient in zip(methods, gradients(image.astype(np.float32)), strict=True):
        rows, columns = (dense(n, m, method, True) for n, m in zip(size, out))
        expected = np.einsum("ah,bw,abc->hwc", rows, columns, cotangent)
        # float32 sums of values of about 1
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "method, antialias",
    [("bilinear", True), ("bicubic", False), ("lanczos5", True)],
)
def test_the_gradient_of_jax_is_that_of_jax_image_resize(method: str, antialias: bool):
    image, cotangent = (
        np.float32(photograph(14, 31)),
        np.random.default_rng(1).normal(size=(9, 40, 3)).astype(np.float32),
    )

    def ours(image: jax.Array) -> jax.Array:
        return (
            ops.resize(image, (9, 40), method=method, antialias=antialias, reference="jax")
            * cotangent
        ).sum()

    def theirs(image: jax.Array) -> jax.Array:
        return (jax_resize(image, (9, 40), method, antialias) * cotangent).sum()

    gradients = jax.jit(lambda image: (jax.grad(ours)(image), jax.grad(theirs)(image)))
    # float32 sums of values of about 1
    np.testing.assert_allclose(*gradients(image), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "reference, antialias", [("torch", True), ("torch", False), ("float", True), ("jax", False)]
)
def test_the_gradient_is_the_adjoint(reference: str, antialias: bool):
    rng = np.random.default_rng(0)
    image, cotangent = (
        rng.normal(size=(23, 14, 2)).astype(np.float32),
        rng.normal(size=(40, 9, 2)).astype(np.float32),
    )
    resize = functools.partial(
        ops.resize, size=(40, 9), method="bicubic", antialias=antialias, reference=reference
    )

    @jax.jit
    def both(image: jax.Array) -> tuple[jax.Array, jax.Array]:
        result, back = jax.vjp(resize, image)
        return result, back(cotangent)[0]

    result, gradient = both(image)
    forward, backward = np.vdot(result, cotangent), np.vdot(image, gradient)
    np.testing.assert_allclose(forward, backward, rtol=1e-4)  # <A x, y> = <x, A^T y>, in float32


# --- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, message",
    [
        ({"method": "cubik"}, r"Expected one of .*'bicubic'.* got `'cubik'` - at `\$\.method`"),
        ({"method": 6}, r"got `6` - at `\$\.method`"),
        (
            {"reference": "imagemagick"},
            r"Expected one of .*'pillow'.* got `'imagemagick'` - at `\$\.reference`",
        ),
        (
            {"size": (0, 3)},
            r"Expected a height and width of at least 1, got `\(0, 3\)` - at `\$\.size`",
        ),
        ({"size": -1}, "at least 1"),
        ({"size": 10**9}, r"Expected at most \d+ pixels"),
        ({"size": (2**15, 2**14)}, r"Expected at most \d+ pixels"),
        ({"size": "224"}, r"got `'224'` - at `\$\.size`"),
        ({"size": (3, 4, 5)}, r"Expected a list of 2|at `\$\.size`"),
    ],
)
def test_a_bad_argument_is_refused_with_what_was_expected_and_where(options: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        ops.resize(np.zeros((4, 5, 3), np.uint8), **{"size": (2, 2), **options})


@pytest.mark.parametrize("shape", [(4, 5), (2, 4, 5, 3), (0, 5, 3), (4, 0, 3), (4, 5, 0)])
def test_an_image_of_another_rank_or_without_pixels_is_refused(shape: tuple[int, ...]):
    with pytest.raises(InputError, match="Expected"):
        ops.resize(np.zeros(shape, np.uint8), (2, 2))
