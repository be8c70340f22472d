"""Parts of images that are cut out where they are read: the same pixels as a slice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from jaxprep.resample import forms
from jaxprep.resample.part import Part
from jaxprep.resample.passes import two_pass
from jaxprep.resample.tables import resize_taps

STACK = jnp.asarray(np.random.default_rng(0).integers(0, 256, (3, 90, 70, 3), np.uint8))


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


@pytest.mark.parametrize("height", [8, 9, 31, 32, 63, 64, 65, 90])  # blocks are 32 rows, or 64 of an image alone
@pytest.mark.parametrize("number", [None, 2])
@pytest.mark.parametrize("reference", ["pillow", "torchvision"])
def test_rows_in_words_are_the_plain_pass(height, number, reference):
    part = Part.of(STACK if number is not None else STACK[2], number).window(0, 90 - height, height)
    taps = resize_taps(70, 32, "bicubic", True, reference)
    want = forms.apply_taps(part.whole(), taps, 1, "integer")
    np.testing.assert_array_equal(jax.jit(forms.packed)(part, taps), want)


def test_rows_that_nobody_reads_are_left_out():
    taps = resize_taps(70, 32, "bilinear", True, "pillow")
    part = Part.of(STACK, 0)
    done = np.asarray(jax.jit(forms.packed)(part, taps, rows=50))
    np.testing.assert_array_equal(done[:50], forms.apply_taps(part.whole(), taps, 1, "integer")[:50])
    assert not done[64:].any()


def test_a_resized_part_is_its_slice_resized():
    part = Part.of(STACK, 1).window(0, 10, 64).window(1, 4, 50)
    vertical, horizontal = (resize_taps(n, 24, "bilinear", True, "pillow") for n in (64, 50))
    done = jax.jit(lambda part: two_pass(part, vertical, horizontal, vertical_first=False, arithmetic="integer"))(part)
    want = Image.fromarray(np.asarray(STACK[1][10:74, 4:54])).resize((24, 24), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(done, want)
