"""What a config or an image asks for is bounded before memory is taken: one error, in no time.

Sizes here are of gigapixels: a test that made such an image or its tables would not end.
"""

from __future__ import annotations

import dataclasses
import tracemalloc
from typing import Any

import jax
import numpy as np
import pytest
from helpers.images import noise

import jaxprep
from jaxprep import Batch, Pipeline, formats, ops
from jaxprep.bounds import MAX_PIXELS, MAX_SIDE
from jaxprep.errors import ConfigError, InputError
from jaxprep.huggingface import MaskFormerImageProcessor
from jaxprep.ops import sizes
from jaxprep.pipeline.ragged import Ragged
from jaxprep.pipeline.segment import all_tables
from jaxprep.resample.tables import resize_taps

LINE = np.zeros((1, 60000, 3), np.uint8)
GRAY = ops.Rescale(1 / 255)


@pytest.fixture(autouse=True)
def little_memory():
    """Every test here takes less than 128 MB: nothing is made of what is refused."""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2**27


@dataclasses.dataclass(frozen=True)
class Grow(ops.Opaque):
    """Claims to make an image of any size."""

    side: int

    def output_size(self, size):
        return self.side, self.side

    def apply(self, image, draw=None):
        raise AssertionError("what is refused was run")


@dataclasses.dataclass(frozen=True)
class Repeat(ops.Layout):
    """Claims to store an image many times, as overlapping tiles do."""

    times: int

    def shape(self, size, channels):
        return (self.times, *size, channels)

    def store(self, image):
        raise AssertionError("what is refused was run")


GROWING = {
    "a square around a line, of a colour": (ops.PadToSquare(3.0), ops.Resize((4, 4))),
    "a square around a line, stored": (ops.PadToSquare(),),
    "an aspect ratio": (ops.PadToAspect((9, 8), 3.0), ops.Resize((4, 4))),
    "a multiple": (ops.PadToMultiple(2**15),),
    "a mirrored multiple": (ops.PadToNextMultiple(2**15),),
    "margins": (ops.Pad(2**16, 2**16, 0, 0),),
    "the shorter side": (ops.Resize(shortest_edge=20),),
    "both sides": (ops.Resize((8192, 4), fit="cover"), ops.CenterCrop(4)),
    "a rule": (ops.Resize(rule=sizes.MultipleAbove(sizes.LongestHalfUp(8192), 2**14)),),
    "at least so large": (ops.PadToAtLeast((8192, 8192)), GRAY),
    "one pass of two": (ops.Resize((60000, 1), reference="float"),),
    "a share": (ops.Resize((8192, 8192)), ops.CenterCropShare(64.0, 64.0)),
    "an opaque step": (Grow(2**14),),
    "step after step": (*[ops.Pad(2000, 2000, 2000, 2000, 1.0)] * 40, GRAY),
}


@pytest.mark.parametrize("steps", GROWING.values(), ids=GROWING)
def test_what_a_small_image_would_become_is_refused_in_every_way_to_call(steps):
    pipeline = Pipeline(steps)
    message = r"Expected .* at most \d+ pixels.*, got"
    with pytest.raises(InputError, match=message):
        pipeline(Batch(image=LINE))
    with pytest.raises(InputError, match=message):
        jax.jit(pipeline).lower(Batch(image=LINE))
    with pytest.raises(InputError, match=message):
        jaxprep.ImageConverter.from_config(pipeline)([LINE])
    if "Grow" not in str(steps):
        with pytest.raises(InputError, match=message):
            pipeline.plan([(1, 60000)])


@pytest.mark.parametrize("size", [(2**28, 1), (1, 10**9), (10**9, 10**9), (2**14, 2**14)])
@pytest.mark.parametrize(
    "make",
    [
        ops.Resize,
        ops.CenterCrop,
        ops.PadTo,
        ops.PadToAtLeast,
        lambda size: ops.Crop(0, 0, *size),
        lambda size: ops.resize(LINE, size),
        lambda size: formats.KerasHub(image_size=size),
        lambda size: formats.Torchvision(crop_size=size),
        lambda size: formats.Timm(input_size=(3, *size)),
        lambda size: formats.OpenClip(size=size),
        lambda size: formats.HuggingFace(
            "ViTImageProcessor", {"size": {"height": size[0], "width": size[1]}}
        ),
    ],
)
def test_a_size_that_no_image_has_is_refused_when_the_config_is_made(make, size):
    with pytest.raises(ConfigError, match=r"Expected (at most \d+ pixels|a number of pixels)"):
        make(size)


@pytest.mark.parametrize(
    "make",
    [
        lambda: ops.Resize(shortest_edge=10**9),
        lambda: ops.Resize(longest_edge=10**9),
        lambda: ops.PadToMultiple(10**9),
        lambda: ops.PadToNextMultiple(10**400),
        lambda: sizes.AspectRatio(800, 10**9),
        lambda: formats.Torchvision(resize_size=10**9),
        lambda: formats.HuggingFace("DetrImageProcessor", {"size": {"longest_edge": 10**9}}),
    ],
)
def test_so_is_a_side(make):
    with pytest.raises(ConfigError, match=r"Expected (at most|a number of pixels)"):
        make()


@pytest.mark.parametrize("preset", ["timm/resnet50.a1_in1k", "resnet_50_imagenet"])
def test_a_side_of_millions_of_pixels_is_refused_through_a_preset(preset):
    config = jaxprep.presets.load(preset)
    for size in [(1, MAX_SIDE + 1), (2**28, 2**28)]:
        with pytest.raises(InputError, match="at most 1048576 pixels a side"):
            config.pipeline.output_size(size)
        with pytest.raises(InputError, match="at most 1048576 pixels a side"):
            config.pipeline.plan([size])


def test_a_large_result_may_come_of_a_large_image():
    """Photographs of 200 megapixels exist; nothing is made of the sizes here."""
    photograph = (12240, 16320)
    assert photograph[0] * photograph[1] > MAX_PIXELS
    assert Pipeline((GRAY,)).bucket(photograph)[0].out == photograph
    padded = Pipeline((ops.Resize((8192, 8192)), ops.CenterCropShare(1.0, 1.0)))
    assert padded.output_size(photograph) == (8192, 8192)
    with pytest.raises(InputError, match=f"at most {2 * 12240 * 16320} pixels"):
        all_tables(
            Pipeline((ops.Resize((8192, 8192)), ops.Pad(0, 60000, 0, 60000))).segments, photograph
        )


def test_a_tall_and_a_wide_image_of_one_plan_need_a_canvas_that_is_refused():
    pipeline = Pipeline((ops.Resize(shortest_edge=64, reference="float"),))
    canvas = (1024, 1024)
    assert pipeline.plan([(1024, 4)], canvas).size.tolist() == [[16384, 64]]
    with pytest.raises(InputError, match="a canvas for all images of a plan of at most"):
        pipeline.plan([(1024, 4), (4, 1024)], canvas)


def test_results_of_other_shapes_are_not_padded_to_a_gigapixel():
    tall, wide = np.zeros((60000, 1, 3), np.uint8), np.zeros((1, 60000, 3), np.uint8)
    with pytest.raises(InputError, match="padded to one shape of at most"):
        Ragged.of([tall, wide]).padded()


def test_a_tall_and_a_wide_result_of_hugging_face_are_not_either():
    processor = MaskFormerImageProcessor(do_resize=False)
    with pytest.raises(InputError, match="padded to one size, of at most 67108864 pixels"):
        processor([LINE, LINE.swapaxes(0, 1)], input_data_format="channels_last")


def test_a_layout_that_stores_an_image_a_million_times_is_refused():
    pipeline = Pipeline((ops.Resize((4, 4)), Repeat(10**8)))
    for call in (pipeline, jax.jit(pipeline)):
        with pytest.raises(InputError, match=r"Expected `Repeat` to store at most .* values"):
            call(Batch(image=noise(8, 8, 3)))


def test_a_table_of_too_many_weights_is_not_made():
    with pytest.raises(InputError, match="a resize of 1048576 to 524288 pixels with at most"):
        resize_taps(2**20, 2**19, "lanczos5", True, "pillow")


def test_a_photograph_whose_rows_become_one_has_no_table_of_gigabytes():
    (stage,) = Pipeline((ops.Resize((1, 16384)),)).bucket((12240, 16320))
    assert np.dot(stage.tap_counts, stage.table_rows) < 2**20


def side_of_no_pixels(*steps: Any) -> Pipeline:
    return Pipeline((ops.CenterCropShare(0.001, 0.001), *steps))


@pytest.mark.parametrize(
    "pipeline",
    [
        side_of_no_pixels(ops.Resize((4, 4))),
        side_of_no_pixels(ops.Resize(shortest_edge=4)),
        side_of_no_pixels(ops.Resize(rule=sizes.Inside(4, 4))),
        side_of_no_pixels(ops.PadToSquare(), ops.Resize((4, 4))),
        side_of_no_pixels(GRAY, ops.Resize((4, 4))),
        side_of_no_pixels(ops.PadToNextMultiple(4)),
        Pipeline((Grow(0), ops.Resize((4, 4)))),
    ],
)
def test_a_step_that_leaves_no_pixels_says_so_whatever_follows(pipeline):
    for call in (pipeline, jax.jit(pipeline)):
        with pytest.raises(InputError, match=r"Expected a result with pixels, got size \(0, 0\)"):
            call(Batch(image=noise(20, 30, 3)))
    with pytest.raises(InputError, match="Expected a result with pixels"):
        pipeline.output_size((20, 30))
