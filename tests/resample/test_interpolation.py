"""Interpolation of the nearest pixels as SciPy does it and as SLANeXt of Transformers does, which
are here; that of torch is in `test_goldens.py`.
"""

import numpy as np
import pytest
from helpers.images import noise, photograph
from scipy import ndimage

from jaxprep import Batch, Pipeline, ops
from jaxprep.errors import ConfigError
from jaxprep.ops.blur import blur_before_resize
from jaxprep.ops.fixed_point import JoinBits, SplitBits

SIZES = (  # height and width of the image, height and width of the result
    ((61, 47), (20, 64)),
    ((47, 61), (47, 30)),
    ((1, 57), (3, 13)),
    ((2, 2), (7, 1)),
)


@pytest.mark.parametrize("size, out", SIZES)
def test_scipy_zoom_of_order_1_is_met_within_2e_6(size, out):
    image = photograph(*size).astype(np.float32) / 255
    expected = np.stack([zoomed(image[..., c], out) for c in range(3)], -1)
    result = ops.resize(image, out, antialias=False, reference="scipy")
    np.testing.assert_allclose(result, expected, rtol=0, atol=2e-6)


def zoomed(plane: np.ndarray, out: tuple[int, int]) -> np.ndarray:
    factors = [1 / (n / m) for n, m in zip(plane.shape, out, strict=True)]
    return ndimage.zoom(plane, factors, order=1, mode="mirror", grid_mode=True)


@pytest.mark.parametrize("size, out", SIZES)
def test_a_blur_before_a_resize_is_scipy_gaussian_filter(size, out):
    image = photograph(*size).astype(np.float32) / 255
    sigmas = [max((n / m - 1) / 2, 0) for n, m in zip(size, out, strict=True)]
    expected = ndimage.gaussian_filter(image, [*sigmas, 0], mode="mirror")
    result = blur_before_resize(image, out)
    np.testing.assert_allclose(result, expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("size, out", SIZES)
@pytest.mark.parametrize("picture", [noise, photograph])  # by the same program
def test_bytes_resized_in_pieces_are_those_of_slanext_in_every_bit(picture, size, out):
    image = picture(*size, 3) if picture is noise else picture(*size)
    resize = ops.Resize(out, antialias=False, reference="opencv", rounded=False)
    pipeline = Pipeline((SplitBits(), resize, JoinBits()))
    result = pipeline(Batch(image=image)).image
    np.testing.assert_array_equal(result, resized_as_slanext(image, out))


def test_pieces_of_images_of_many_sizes_share_a_program_and_are_exact():
    images = [noise(*size, 3) for size, _ in SIZES[:3]]
    rule = ops.sizes.LongestRounded(40, 1)
    resize = ops.Resize(rule=rule, antialias=False, reference="opencv", rounded=False)
    pipeline = Pipeline((SplitBits(), resize, JoinBits()))
    results = pipeline.run_images(images, [image.shape[:2] for image in images]).results
    for image, result in zip(images, results, strict=True):
        out = rule.output_size(image.shape[:2])
        np.testing.assert_array_equal(result, resized_as_slanext(image, out))


def resized_as_slanext(image: np.ndarray, out: tuple[int, int]) -> np.ndarray:
    """`SLANeXtImageProcessor._resize`, in NumPy."""
    rows, below = positions(image.shape[0], out[0])
    columns, right = positions(image.shape[1], out[1])
    below, right = below[:, None, None], right[None, :, None]
    pixels = image.astype(np.int64)

    def row_of(index: np.ndarray) -> np.ndarray:
        lines = pixels[index]
        return (2048 - right) * lines[:, columns] + right * lines[:, columns + 1]

    total = (2048 - below) * row_of(rows) + below * row_of(rows + 1)
    return ((total + (1 << 21)) >> 22).astype(np.uint8)


def positions(n: int, m: int) -> tuple[np.ndarray, np.ndarray]:
    """The first of two pixels, and the second's weight of 2048."""
    half = np.float32(0.5)
    position = (np.arange(m, dtype=np.float32) + half) * np.float32(n / m) - half
    first = np.floor(position).astype(np.int64)
    fraction = position - first.astype(np.float32)
    fraction = np.where(first < 0, np.float32(0), fraction)
    fraction = np.where(first >= n - 1, np.float32(1), fraction)
    first = np.where(first < 0, 0, first)
    first = np.where(first >= n - 1, n - 2, first)  # -1, the same pixel, where there is one
    return first, np.floor(fraction * np.float32(2048) + half).astype(np.int64)


@pytest.mark.parametrize("reference", ["torch_corners", "opencv", "scipy"])
def test_a_reference_that_only_interpolates_refuses_other_filters(reference):
    with pytest.raises(ConfigError, match="antialias=False"):
        ops.Resize((4, 4), reference=reference)
    with pytest.raises(ConfigError, match="antialias=False"):
        ops.Resize((4, 4), method="lanczos3", antialias=False, reference=reference)
