"""Parts of images that are cut out where they are read: the same pixels as a slice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.images import noise
from PIL import Image

from jaxprep.resample import forms
from jaxprep.resample.part import Part
from jaxprep.resample.passes import two_pass
from jaxprep.resample.tables import resize_taps

STACK = jnp.asarray(noise(3, 90, 70, 3))


@pytest.mark.parametrize("number", [None, 1])
def test_a_part_is_a_slice(number):
    image = STACK if number is not None else STACK[1]
    part = Part.of(image, number).window(0, 20, 40).window(1, 5, 60).window(0, 3, 30)
    want = STACK[1][23:53, 5:65]
    assert (part.height, part.width, part.channels) == want.shape
    np.testing.assert_array_equal(part.whole(), want)
    np.testing.assert_array_equal(part.rows(7, 11), want[7:18].reshape(11, -1))
    np.testing.assert_array_equal(
        jax.jit(lambda part, first: part.rows(first, 11))(part, 7), want[7:18].reshape(11, -1)
    )


def lines(image) -> np.ndarray:
    return np.asarray(image).reshape(len(image), -1)


@pytest.mark.parametrize(
    "height", [16, 17, 31, 32, 64, 65, 90]
)  # blocks are 16 rows, or as many as fit
@pytest.mark.parametrize("number", [None, 2])
@pytest.mark.parametrize("beside", [None, 1, 4])
@pytest.mark.parametrize("interleave", ["pixel", "line"])
@pytest.mark.parametrize("reference", ["pillow", "torchvision", "float"])
def test_turned_rows_are_the_plain_pass(height, number, beside, interleave, reference):
    part = Part.of(STACK if number is not None else STACK[2], number, beside).window(
        0, 90 - height, height
    )
    taps = resize_taps(70, 32, "bicubic", True, reference)
    arithmetic = "float" if reference == "float" else "integer"
    want = np.asarray(
        jax.jit(forms.apply_taps, static_argnums=(2, 3))(part.whole(), taps, 1, arithmetic)
    )
    want = lines(want if interleave == "pixel" else want.swapaxes(1, 2))
    done = jax.jit(lambda part: forms.turned(part, taps, arithmetic, interleave))(part)
    assert done.dtype == want.dtype
    np.testing.assert_allclose(done, want, rtol=0, atol=1e-4 if arithmetic == "float" else 0)


def test_rows_that_nobody_reads_are_left_out(monkeypatch):
    monkeypatch.setattr(forms, "BLOCK", 2**13)  # 32 rows at a time
    taps = resize_taps(70, 32, "bilinear", True, "pillow")
    part = Part.of(STACK, 0, 1)
    done = np.asarray(
        jax.jit(lambda part, rows: forms.turned(part, taps, "integer", "pixel", rows))(part, 50)
    )
    np.testing.assert_array_equal(
        done[:50], lines(forms.apply_taps(part.whole(), taps, 1, "integer")[:50])
    )
    assert not done[64:].any()


def test_a_resized_part_is_its_slice_resized():
    part = Part.of(STACK, 1).window(0, 10, 64).window(1, 4, 50)
    vertical, horizontal = (resize_taps(n, 24, "bilinear", True, "pillow") for n in (64, 50))
    done = jax.jit(
        lambda part: two_pass(
            part, vertical, horizontal, vertical_first=False, arithmetic="integer"
        )
    )(part)
    want = Image.fromarray(np.asarray(STACK[1][10:74, 4:54])).resize(
        (24, 24), Image.Resampling.BILINEAR
    )
    np.testing.assert_array_equal(done, want)
