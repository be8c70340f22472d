"""Windows known only at run time: against their resized crops, and against NumPy in float64."""

import jax
import numpy as np
import pytest
from helpers.definition import in_float64
from helpers.images import photograph

from jaxprep import Pipeline, ops
from jaxprep.errors import ConfigError, InputError
from jaxprep.resample.filters import METHODS

IMAGE = (120, 150)


def windows(count: int) -> list[tuple[int, int, int, int]]:
    """Top, left, height, width: the whole image, single pixels at its corners, and random ones."""
    rng, (height, width) = np.random.default_rng(0), IMAGE
    rows = [
        (0, 0, height, width),
        (0, 0, 1, 1),
        (height - 1, width - 1, 1, 1),
        (5, 0, 1, width),
        (0, 149, height, 1),
    ]
    while len(rows) < count:
        h, w = int(rng.integers(1, height + 1)), int(rng.integers(1, width + 1))
        rows.append(
            (int(rng.integers(0, height - h + 1)), int(rng.integers(0, width - w + 1)), h, w)
        )
    return rows


@pytest.mark.parametrize(
    "method, antialias",
    [*((method, True) for method in METHODS), ("bilinear", False), ("lanczos3", False)],
)
def test_a_window_is_resized_like_its_crop_by_one_program_for_all(method: str, antialias: bool):
    image, out, traces = photograph(*IMAGE), (37, 64), []

    @jax.jit
    def resize(image: jax.Array, window: jax.Array) -> jax.Array:
        traces.append(window)
        return ops.resize_window(
            image, *window, out, method=method, antialias=antialias, rounded=False
        )

    for top, left, height, width in windows(25):
        result = resize(image, np.int32([top, left, height, width]))
        part = image[top : top + height, left : left + width]
        # weights in float32 instead of float64
        np.testing.assert_allclose(
            result, in_float64(part, out, method, antialias), rtol=0, atol=1e-4 * 255
        )
    assert len(traces) == 1


@pytest.mark.parametrize("method", ["box", "bilinear", "bicubic"])
def test_a_window_of_integers_is_a_level_from_its_resized_crop_at_most_and_rarely(method: str):
    image, out, differences = photograph(*IMAGE), (37, 64), []
    resize = jax.jit(lambda image, window: ops.resize_window(image, *window, out, method=method))
    parts = [image[top : top + h, left : left + w] for top, left, h, w in windows(25)]
    crops = Pipeline((ops.Resize(out, method=method),)).run_images(
        parts, [part.shape[:2] for part in parts]
    )
    for window, expected in zip(windows(25), crops.results, strict=True):
        result = np.asarray(resize(image, np.int32(window)))
        assert result.dtype == expected.dtype == np.uint8
        differences.append(np.abs(np.asarray(expected).astype(int) - result))
    assert np.max(differences) <= 1
    assert np.mean(differences) <= 5e-4  # of the values: a float on a half may round either way


def test_windows_are_differentiable_and_batched():
    image = np.float32(photograph(30, 40))
    boxes = np.int32([[0, 0, 30, 40], [3, 5, 7, 11], [29, 0, 1, 40]])
    resize = jax.jit(jax.vmap(lambda window: ops.resize_window(image, *window, (6, 8))))
    for window, result in zip(boxes, resize(boxes)):
        top, left, height, width = map(int, window)
        part = image[top : top + height, left : left + width]
        np.testing.assert_allclose(
            result, in_float64(part, (6, 8), "bilinear", True), rtol=0, atol=1e-4 * 255
        )
    gradient = jax.jit(jax.grad(lambda image: ops.resize_window(image, 3, 5, 7, 11, (6, 8)).sum()))(
        image
    )
    outside = np.ones(image.shape, bool)
    outside[3:10, 5:16] = False
    assert (np.asarray(gradient)[outside] == 0).all() and (np.asarray(gradient)[~outside] > 0).all()


def test_bad_windows_are_refused():
    image = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(ConfigError, match=r"got `'cubik'` - at `method`"):
        ops.resize_window(image, 0, 0, 2, 2, 3, method="cubik")
    with pytest.raises(ConfigError, match="at least 1"):
        ops.resize_window(image, 0, 0, 2, 2, (0, 3))
    with pytest.raises(InputError, match=r"Expected one image \(h, w, c\), got shape \(4, 5\)"):
        ops.resize_window(image[..., 0], 0, 0, 2, 2, 3)
