"""Resizing as Pillow 13 does it, compared with Pillow itself: 0 different pixels, no tolerance."""

import functools
import itertools
from collections.abc import Callable

import jax
import numpy as np
import pytest
from goldens import keras_inputs
from PIL import Image

from jaxprep import Pipeline, ops
from jaxprep.errors import InputError
from jaxprep.pipeline.eager import program_of
from jaxprep.pipeline.program import Program
from jaxprep.resample.references import REFERENCES
from jaxprep.resample.tables import vertical_first

pytestmark = pytest.mark.usefixtures("quick_compilation")  # integers: equal in any compilation
METHODS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos3": Image.Resampling.LANCZOS,
}
LONGEST = 1500
RESULTS, IMAGES = 2, 60  # per method: so many compiled programs, so many sizes through each

Sizes = tuple[int, int, int, int]  # height and width of the image, height and width of the result
jitted_resize = jax.jit(ops.resize, static_argnums=1, static_argnames=("method", "reference"))


@functools.cache
def large_photograph() -> np.ndarray:
    """A photograph, mirrored at its lower right to be as large as the largest size."""
    image = keras_inputs.photo("retina")
    return np.pad(image, [(0, LONGEST - n) for n in image.shape[:2]] + [(0, 0)], mode="reflect")


def photograph(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A random window of the large photograph."""
    top, left = (int(rng.integers(0, LONGEST - n + 1)) for n in (height, width))
    return np.ascontiguousarray(large_photograph()[top : top + height, left : left + width])


def pillow(image: np.ndarray, size: tuple[int, int], method: str) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((size[1], size[0]), METHODS[method]))


def different(sizes: list[Sizes], method: str, resize=ops.resize) -> dict[Sizes, int]:
    """The sizes for which `resize` differs from Pillow, with the number of different values."""
    rng, found = np.random.default_rng(0), {}
    for height, width, *size in sizes:
        image = photograph(rng, height, width)
        result = np.asarray(resize(image, tuple(size), method=method, reference="pillow"))
        expected = pillow(image, tuple(size), method)
        assert result.shape == expected.shape and result.dtype == expected.dtype
        if not np.array_equal(result, expected):
            found[height, width, *size] = int((result != expected).sum())
    return found


def program(sizes: Sizes, method: str) -> Program:
    """The program of the bucket of an image."""
    size, result = sizes[:2], sizes[2:]
    step = ops.Resize(result, method=method, reference="pillow")  # type: ignore[arg-type]
    return program_of(Pipeline((step,)).lowered, size, 3, np.uint8, may_share=False)


@functools.cache
def random_sizes(method: str) -> list[Sizes]:
    """Log-uniform sizes up to `LONGEST`: for a size of the result, images that share a program."""
    rng, sizes = np.random.default_rng(list(METHODS).index(method)), []
    for _ in range(RESULTS):
        first = np.exp(rng.uniform(0, np.log(LONGEST), 4)).round()
        around = first * np.append(rng.uniform(0.75, 1.33, (400, 2)), np.ones((400, 2)), axis=1)
        around = np.clip(around, 1, LONGEST).round()
        candidates = dict.fromkeys(tuple(map(int, row)) for row in (first, *around))
        same = program(next(iter(candidates)), method)
        sizes += itertools.islice(
            (row for row in candidates if program(row, method) == same), IMAGES
        )
    return sizes


@pytest.mark.usefixtures("compilation_of_users")  # a hundred large images run longer
@pytest.mark.parametrize("method", METHODS)
def test_random_sizes_equal_pillow(method: str):
    assert not different(random_sizes(method), method)


def test_the_random_sizes_are_at_least_500_and_of_both_pass_orders():
    sizes = [row for method in METHODS for row in random_sizes(method)]
    assert len(sizes) >= 500
    orders = [vertical_first(REFERENCES["pillow"], row[:2], row[2:]) for row in sizes]
    assert 50 <= sum(orders) <= len(orders) - 50


CHANGES = [(1, 1), (1, LONGEST), (LONGEST, 1), (LONGEST, LONGEST)]
"""What a side may become, at most: it stays, grows, shrinks."""
PAIRS = {  # which change of the height goes with which of the width: each is in both of them
    "nearest": [(0, 3), (1, 2), (2, 1), (3, 0)],
    "bilinear": [(0, 2), (1, 1), (1, 2), (2, 1), (2, 2), (2, 3), (3, 0), (3, 2)],
}


@pytest.mark.parametrize("method", PAIRS)
def test_the_smallest_and_largest_sizes_equal_pillow(method: str):
    pairs = [(CHANGES[rows], CHANGES[columns]) for rows, columns in PAIRS[method]]
    sizes = [(height, width, *out) for (height, width), out in (zip(*pair) for pair in pairs)]
    assert not different(sizes, method)


SHRUNK, HALVED, GROWN = (97, 61, 40, 53), (300, 451, 224, 224), (5, 7, 33, 21)


@pytest.mark.parametrize(
    "method, sizes",
    [
        ("nearest", [SHRUNK]),
        ("box", [HALVED]),
        ("bilinear", [HALVED]),
        ("hamming", [SHRUNK]),
        ("bicubic", [SHRUNK, HALVED, GROWN]),
        ("lanczos3", [GROWN]),
    ],
)
def test_constant_tables_under_jit_equal_pillow(method: str, sizes: list[Sizes]):
    assert not different(sizes, method, jitted_resize)


@pytest.mark.parametrize("method, resize", [("box", ops.resize), ("lanczos3", jitted_resize)])
def test_more_taps_than_are_unrolled_equal_pillow(method: str, resize: Callable):
    assert not different([(1500, 100, 3, 40), (70, 1500, 50, 3)], method, resize)


def test_the_pass_order_turns_where_that_of_pillow_13_does():
    # H - h = 2 (W - w) is still horizontal first, one row more is not
    assert not different([(61, 41, 21, 21), (62, 41, 21, 21)], "lanczos3")


def test_pillow_12_and_13_differ_on_tall_images():
    image = photograph(np.random.default_rng(0), 331, 97)
    old, new = (
        np.asarray(ops.resize(image, (24, 31), reference=name)) for name in ("pillow12", "pillow")
    )
    assert (old != new).any()


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_each_channel_is_resized_on_its_own(channels: int):
    image = np.concatenate(
        [photograph(np.random.default_rng(i), 90, 70) for i in range(2)], axis=-1
    )[..., :channels]
    result = np.asarray(ops.resize(image, (41, 53), method="bicubic", reference="pillow"))
    for channel in range(channels):
        expected = pillow(np.ascontiguousarray(image[..., channel]), (41, 53), "bicubic")
        np.testing.assert_array_equal(result[..., channel], expected)


@pytest.mark.parametrize("method", METHODS)
def test_aliases_and_pil_integers_name_the_same_method(method: str):
    height, width, *size = random_sizes(method)[0]  # whose program is there
    image = photograph(np.random.default_rng(1), height, width)
    result = ops.resize(image, tuple(size), method=METHODS[method], reference="pillow")
    np.testing.assert_array_equal(result, pillow(image, tuple(size), method))


@pytest.mark.parametrize("reference", ["pillow", "pillow12", "torchvision"])
@pytest.mark.parametrize("dtype", ["float32", "int32", "bool"])
def test_a_reference_that_rounds_takes_uint8_only_and_names_the_others(reference: str, dtype: str):
    image = np.zeros((4, 5, 3), dtype)
    with pytest.raises(
        InputError, match=r"Expected a uint8 image .* got .* reference='float', 'torch' or 'jax'"
    ):
        ops.resize(image, (2, 2), reference=reference)
    with pytest.raises(InputError, match="Expected a uint8 image"):
        jax.jit(lambda image: ops.resize(image, (2, 2), reference=reference))(image)


def test_a_gradient_through_a_reference_that_rounds_is_refused():
    def loss(image: jax.Array) -> jax.Array:
        return ops.resize(image, (2, 2), reference="pillow").sum()

    with pytest.raises(InputError, match="differentiable"):
        jax.grad(loss)(np.zeros((4, 5, 3), np.float32))
