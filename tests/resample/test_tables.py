"""The parts of a resize: buckets, filters, and the tables of taps that every reference and every
window makes.
"""

import itertools

import jax
import numpy as np
import pytest
from helpers.definition import KERNELS, dense

from jaxprep.resample.filters import FILTERS, METHODS, canonical_method
from jaxprep.resample.references import REFERENCES
from jaxprep.resample.tables import (
    HostAxis,
    Resample,
    Taps,
    TracedAxis,
    Window,
    bucket,
    canvas,
    copy_taps,
    fit,
    resize_taps,
)


def window_taps(n: int, first: jax.Array, length: jax.Array, m: int, *how) -> Taps:
    """The table of a window that is traced, resized to `m`."""
    axis = TracedAxis(HostAxis(n).table(), n)
    axis.apply(Window(first, length), 1)
    axis.apply(Resample(m, *how, "float"), 2)
    return axis.table().taps


LENGTHS = (1, 2, 3, 4, 5, 7, 16, 29, 100, 333)


def matrix(taps: Taps, n: int) -> np.ndarray:
    """The table as a dense matrix `(m, n)`."""
    start, weight = np.asarray(taps.start), np.asarray(taps.weight, np.float64)
    result = np.zeros((len(start), n))
    for k in range(weight.shape[1]):
        result[np.arange(len(start)), start + k] += weight[:, k]
    return result


def test_a_bucket_holds_its_number_and_wastes_a_third_at_most():
    buckets = [bucket(n) for n in range(1, 5000)]
    assert all(n <= b and (n <= 4 or b - n <= b / 3) for n, b in enumerate(buckets, 1))
    assert sorted(set(buckets))[:9] == [1, 2, 3, 4, 6, 8, 12, 16, 24]
    assert [bucket(b) for b in set(buckets)] == list(set(buckets))


def test_a_canvas_holds_its_image_and_few_canvases_hold_all():
    sizes = list(itertools.product(range(1, 1500, 31), repeat=2))
    canvases = [canvas(size) for size in sizes]
    assert all(h <= room[0] and w <= room[1] for (h, w), room in zip(sizes, canvases))
    assert all(canvas((w, h)) == room[::-1] for (h, w), room in zip(sizes, canvases))
    assert len(set(canvases)) <= 50
    for (h, w), room in zip(
        sizes, canvases
    ):  # the longer side wastes a third, the shorter one less than three quarters
        assert max(room) <= max(64, bucket(max(h, w))) and min(room) <= max(64, 4 * min(h, w))
        assert room[0] == room[1] or max(h, w) < 64 or max(h, w) > 2 * min(h, w)


@pytest.mark.parametrize("method", FILTERS)
def test_a_filter_is_its_definition_and_zero_beyond_its_support(method: str):
    kernel, support = FILTERS[method]
    x = np.linspace(-6, 6, 4801)
    # the definition uses other formulas, and Hamming's constants are float32 in Pillow
    np.testing.assert_allclose(kernel(x), KERNELS[method](x), rtol=0, atol=1e-7)
    np.testing.assert_allclose(kernel(x.astype(np.float32)), KERNELS[method](x), rtol=0, atol=2e-6)
    assert kernel(x.astype(np.float32)).dtype == np.float32
    assert not kernel(x[np.abs(x) > support]).any()
    assert kernel(np.zeros(1))[0] == pytest.approx(1)


def test_methods_go_by_their_aliases_and_by_pil_integers():
    assert [canonical_method(i) for i in range(6)] == [
        "nearest",
        "lanczos3",
        "bilinear",
        "bicubic",
        "box",
        "hamming",
    ]
    names = {
        "linear": "bilinear",
        "triangle": "bilinear",
        "cubic": "bicubic",
        "lanczos": "lanczos3",
    }
    assert {name: canonical_method(name) for name in names} == names
    assert all(canonical_method(name) == name for name in METHODS)
    assert canonical_method("area") == "area" and canonical_method(None) is None


@pytest.mark.parametrize("reference", REFERENCES)
def test_every_tap_lies_inside_the_source_and_weights_sum_to_one(reference: str):
    for n, m, method, antialias in itertools.product(LENGTHS, LENGTHS, METHODS, (True, False)):
        taps = resize_taps(n, m, method, antialias, reference)
        count = taps.weight.shape[1]
        assert taps.start.shape == (m,) and taps.weight.shape[0] == m and 1 <= count <= n
        assert taps.start.min() >= 0 and taps.start.max() + count <= n
        total = taps.weight.astype(np.float64).sum(1) / 2.0 ** int(taps.shift)
        # integer weights are rounded once each; float32 ones, torch's without antialiasing, are not
        # normalised
        tolerance = count / 2.0 ** int(taps.shift) if taps.shift else 1e-6
        np.testing.assert_allclose(total, 1, rtol=0, atol=tolerance)


def test_the_tables_of_float_are_the_definition():
    for n, m, method, antialias in itertools.product(LENGTHS, LENGTHS, METHODS, (True, False)):
        found = matrix(resize_taps(n, m, method, antialias, "float"), n)
        np.testing.assert_allclose(
            found, dense(n, m, method, antialias), rtol=0, atol=1e-7
        )  # float32


def test_the_tables_of_windows_are_the_definition_between_their_edges():
    n = 29
    # a window of at most 29 that grows to 40 has nothing to antialias
    kinds = [(7, method, antialias) for method in METHODS for antialias in (True, False)]
    kinds += [(40, method, True) for method in METHODS]

    @jax.jit
    def tables(first: jax.Array, length: jax.Array) -> list[Taps]:
        return [window_taps(n, first, length, *kind) for kind in kinds]

    for first, length in ((0, n), (14, 15), (5, 8), (n - 1, 1), (0, 1)):
        for (m, method, antialias), table in zip(kinds, tables(first, length), strict=True):
            expected = np.zeros((m, n))
            expected[:, first : first + length] = dense(length, m, method, antialias)
            # positions are exact; a weight is a float32 function of a float32 distance, near 1 in
            # size
            np.testing.assert_allclose(matrix(table, n), expected, rtol=0, atol=2e-6)


def test_the_taps_of_a_traced_window_stay_inside_the_axis():
    @jax.jit
    def table(first: jax.Array, length: jax.Array) -> Taps:
        return window_taps(50, first, length, 9, "lanczos3", True)

    for length in range(1, 51):
        for first in {0, 50 - length, (50 - length) // 2}:
            start, weight, _ = table(first, length)
            assert start.min() >= 0 and start.max() + weight.shape[1] <= 50
            used = np.asarray(start)[:, None] + np.arange(weight.shape[1])
            used = used[np.asarray(weight) != 0]
            assert used.min() >= first and used.max() < first + length


def test_integer_weights_have_22_bits_for_pillow_and_fit_int16_for_torchvision():
    for n, m, method in itertools.product(LENGTHS, LENGTHS, FILTERS):
        assert resize_taps(n, m, method, True, "pillow").shift == 22
        weight, shift = resize_taps(n, m, method, True, "torchvision")[1:]
        assert weight.dtype == np.int16
        assert shift == 22 or 2 * int(weight.max()) >= 2**15 - 2


def test_the_weights_of_both_integer_references_sum_to_the_same():
    for n, m in itertools.product((1, 2, 7, 100, 1500), repeat=2):
        for method in (name for name in METHODS if name != "nearest"):
            wide = resize_taps(n, m, method, True, "pillow").weight.sum(1)
            narrow, shift = resize_taps(n, m, method, True, "torchvision")[1:]
            assert (
                abs(narrow.sum(1, dtype=np.int64) / 2.0**shift - wide / 2.0**22).max()
                < narrow.shape[1] / 2.0**shift
            )


def test_a_table_is_shared_and_cannot_be_written_to():
    taps = resize_taps(10, 4, "bicubic", True, "pillow")
    assert resize_taps(10, 4, "bicubic", True, "pillow") is taps
    with pytest.raises(ValueError, match="read-only"):
        taps.weight[0, 0] = 1
    nearest = resize_taps(10, 4, "nearest", True, "pillow")
    with pytest.raises(ValueError, match="read-only"):
        nearest.start[0] = 1


def test_fitting_moves_windows_inside_and_keeps_what_they_sum():
    start, weight = np.array([-2, 0, 8]), np.array([[0, 0, 1.0, 2], [1, 2, 3, 4], [5, 6, 0, 0]])
    inside, moved = fit(start, weight, 10)
    np.testing.assert_array_equal(inside, [0, 0, 6])
    np.testing.assert_array_equal(moved, [[1, 2, 0, 0], [1, 2, 3, 4], [0, 0, 5, 6]])


def test_copied_rows_are_a_permutation_matrix():
    np.testing.assert_array_equal(matrix(copy_taps(np.array([2, 0, 1])), 3), np.eye(3)[[2, 0, 1]])
