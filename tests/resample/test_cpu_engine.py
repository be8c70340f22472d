"""The engine for CPU: views are slices, transposed rows are the plain pass."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.images import noise
from PIL import Image

from jaxprep.resample.engines import cpu
from jaxprep.resample.engines.cpu import CpuEngine, ImageView
from jaxprep.resample.passes import Epilogue, Passes, apply_taps
from jaxprep.resample.tables import resize_taps

STACK = jnp.asarray(noise(3, 90, 70, 3))


@pytest.mark.parametrize("index", [None, 1])
def test_a_view_is_a_slice(index):
    image = STACK if index is not None else STACK[1]
    view = ImageView.of(image, index).window(0, 20, 40).window(1, 5, 60).window(0, 3, 30)
    want = STACK[1][23:53, 5:65]
    assert view.shape == want.shape
    np.testing.assert_array_equal(view.pixels(), want)
    np.testing.assert_array_equal(view.rows(7, 11), want[7:18].reshape(11, -1))
    np.testing.assert_array_equal(
        jax.jit(lambda view, first: view.rows(first, 11))(view, 7), want[7:18].reshape(11, -1)
    )


def lines(image) -> np.ndarray:
    return np.asarray(image).reshape(len(image), -1)


CONCURRENT, FORMS = (None, 1, 4), ("pixels", "channels")


# blocks are 16 rows, or as many as fit
@pytest.mark.parametrize("height", [16, 17, 31, 32, 64, 65, 90])
def test_transposed_rows_are_the_plain_pass_at_any_height(height):
    check_transposed_rows(height, 2, "pillow", CONCURRENT)


@pytest.mark.parametrize("index", [None, 2])
@pytest.mark.parametrize("reference", ["pillow", "torchvision", "float"])
def test_transposed_rows_are_the_plain_pass_in_any_arithmetic(index, reference):
    check_transposed_rows(65, index, reference, (4,))


def check_transposed_rows(height, index, reference, concurrent) -> None:
    """Compare engines of these numbers of threads, in both forms, with the plain pass."""
    view = ImageView.of(STACK if index is not None else STACK[2], index).window(
        0, 90 - height, height
    )
    taps = resize_taps(70, 32, "bicubic", True, reference)
    arithmetic = "float" if reference == "float" else "integer"
    kinds = [(CpuEngine(number), form) for number in concurrent for form in FORMS]

    @jax.jit
    def passes(view):
        results = [
            engine.horizontal_pass(view, taps, arithmetic, form).values for engine, form in kinds
        ]
        return results, apply_taps(view.pixels(), taps, 1, arithmetic)

    results, plain = passes(view)
    expected = {"pixels": lines(plain), "channels": lines(np.asarray(plain).swapaxes(1, 2))}
    for (_, form), result in zip(kinds, results, strict=True):
        assert result.dtype == expected[form].dtype
        atol = 1e-4 if arithmetic == "float" else 0
        np.testing.assert_allclose(result, expected[form], rtol=0, atol=atol)


def test_rows_that_nobody_reads_are_left_out(monkeypatch):
    monkeypatch.setattr(cpu, "BLOCK_BYTES", 2**13)  # 32 rows at a time
    taps = resize_taps(70, 32, "bilinear", True, "pillow")
    view = ImageView.of(STACK, 0)
    done = np.asarray(
        jax.jit(
            lambda view, rows: (
                CpuEngine(1).horizontal_pass(view, taps, "integer", "pixels", rows).values
            )
        )(view, 50)
    )
    np.testing.assert_array_equal(
        done[:50], lines(apply_taps(view.pixels(), taps, 1, "integer")[:50])
    )
    assert not done[64:].any()


def test_a_resized_view_is_its_slice_resized():
    view = ImageView.of(STACK, 1).window(0, 10, 64).window(1, 4, 50)
    vertical, horizontal = (resize_taps(n, 24, "bilinear", True, "pillow") for n in (64, 50))
    passes = Passes(vertical, horizontal, "integer", vertical_first=False)
    run = CpuEngine().run_segment
    done = jax.jit(lambda view: run(view, passes, Epilogue(lambda rows: rows), True))(view)
    want = Image.fromarray(np.asarray(STACK[1][10:74, 4:54])).resize(
        (24, 24), Image.Resampling.BILINEAR
    )
    np.testing.assert_array_equal(done, want)
