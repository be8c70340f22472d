"""Pairs of images, and the frames of clips: against Transformers' PIL backend live, and its
torchvision backend by goldens."""

from __future__ import annotations

import importlib
import sys
import types
from typing import Any

import jax
import numpy as np
import pytest
from goldens import vlm_frames_cases
from helpers.huggingface.common import original
from helpers.huggingface.vision_language import assert_as_pil, assert_as_torchvision, cases_of
from helpers.images import photograph

from jaxprep import huggingface
from jaxprep.errors import InputError
from jaxprep.formats.huggingface import classes
from jaxprep.ops import sizes

PAIRS = ["EfficientLoFTRImageProcessor", "LightGlueImageProcessor", "SuperGlueImageProcessor"]
FRAMES = sorted(vlm_frames_cases.SETTINGS)
ON_TORCHVISION = [name for name in FRAMES if "torchvision" in classes.rows()[name].backends]
SMALL = {"height": 24, "width": 32}
IMAGE = np.asarray(photograph(40, 60))
OTHER = np.asarray(photograph(50, 30))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", PAIRS)
def test_pairs_are_those_of_the_pil_backend(name: str) -> None:
    for case in cases_of("pairs", "pil", name):
        assert_as_pil(case)


@pytest.mark.parametrize("name", PAIRS)
def test_pairs_are_those_of_the_torchvision_backend(name: str) -> None:
    for case in cases_of("pairs", "torchvision", name):
        assert_as_torchvision("pairs", case)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", FRAMES)
def test_clips_are_those_of_the_pil_backend(name: str) -> None:
    for case in cases_of("frames", "pil", name):
        assert_as_pil(case)


@pytest.mark.parametrize("name", ON_TORCHVISION)
def test_clips_are_those_of_the_torchvision_backend(name: str) -> None:
    for case in cases_of("frames", "torchvision", name):
        assert_as_torchvision("frames", case)


def test_sizes_of_frames_are_those_of_2000_random_sizes() -> None:
    original("TvpImageProcessor")
    module = importlib.import_module("transformers.models.tvp.image_processing_pil_tvp")
    for height, width, edge in np.random.default_rng(0).integers(8, 3000, (2000, 3)).tolist():
        image = np.broadcast_to(np.uint8(0), (3, height, width))
        wanted = module.get_resize_output_image_size(image, edge, "channels_first")
        wanted = tuple(max(side, 1) for side in wanted)
        assert sizes.LongestTruncated(edge).output_size((height, width)) == wanted


def test_pairs_and_clips_may_be_lists_arrays_and_lists_of_lists() -> None:
    pairs = huggingface.LightGlueImageProcessor(size=SMALL)
    clips = huggingface.VideoMAEImageProcessor(size=SMALL, crop_size=SMALL)

    def forms(both: Any) -> list[Any]:
        first, second = both
        return [both, both[None], [[first, second]], ((first, second),), [both]]

    both = np.stack([IMAGE, IMAGE[::-1]])
    for processor in (pairs, clips):
        wanted = np.asarray(processor([IMAGE, IMAGE[::-1]]).pixel_values)
        assert wanted.shape == (1, 2, 3, 24, 32)
        for given in forms(both):
            np.testing.assert_array_equal(processor(given).pixel_values, wanted)
        # as one program, in which XLA computes once what is the same
        call = jax.jit(lambda both: [processor(form).pixel_values for form in forms(both)])  # noqa: B023
        for found in call(both):
            np.testing.assert_array_equal(found, wanted)
        two = processor([[IMAGE, IMAGE[::-1]], [OTHER, OTHER]], return_tensors=None).pixel_values
        assert [pair.shape for pair in two] == [(2, 3, 24, 32)] * 2
        np.testing.assert_array_equal(two[0], wanted[0])
    one = clips([[IMAGE], [IMAGE, OTHER, IMAGE]]).pixel_values
    assert [clip.shape[0] for clip in one] == [1, 3]
    np.testing.assert_array_equal(clips(IMAGE).pixel_values, one[0][None])
    np.testing.assert_array_equal(clips(videos=[IMAGE]).pixel_values, one[0][None])


@pytest.mark.parametrize(
    "given", [[IMAGE], [IMAGE] * 3, [[IMAGE, OTHER], [IMAGE]], IMAGE, [[], []]]
)
def test_what_is_no_pair_is_refused(given: Any) -> None:
    with pytest.raises(InputError, match="images"):
        huggingface.SuperGlueImageProcessor(size=SMALL)(given)


def test_images_of_a_pair_that_differ_in_the_end_are_refused() -> None:
    processor = huggingface.SuperGlueImageProcessor(do_resize=False)
    with pytest.raises(InputError, match="one size"):
        processor([IMAGE, OTHER])
    assert len(processor([[IMAGE, IMAGE], [OTHER, OTHER]]).pixel_values) == 2


class Tensor(np.ndarray):
    """An array with the method of torch that the original's drawing calls."""

    def unbind(self, axis: int) -> list[np.ndarray]:
        return list(np.moveaxis(np.asarray(self), axis, 0))


def test_matches_are_drawn_as_by_the_original() -> None:
    generator = np.random.default_rng(0)
    points = generator.integers(2, 28, (2, 9, 2)).astype(np.int32)
    scores = generator.uniform(size=9).astype(np.float32)
    names = ("keypoints0", "keypoints1", "matching_scores")
    matches = dict(zip(names, (*points, scores), strict=True))
    theirs = {name: array.view(Tensor) for name, array in matches.items()}
    for name in PAIRS:
        wanted = original(name)().visualize_keypoint_matching([[IMAGE, OTHER]], [theirs])
        found = getattr(huggingface, name)().visualize_keypoint_matching([IMAGE, OTHER], [matches])
        np.testing.assert_array_equal(np.asarray(found[0]), np.asarray(wanted[0]))


def test_keypoints_are_matched_by_the_method_of_the_class() -> None:
    outputs = types.SimpleNamespace(
        mask=np.ones((1, 2, 3), np.int64),
        keypoints=np.full((1, 2, 3, 2), 0.5, np.float32),
        matches=np.array([[[0, -1, 2]] * 2]),
        matching_scores=np.full((1, 2, 3), 0.9, np.float32),
    )
    assert "torch" not in sys.modules
    for name in ("LightGlueImageProcessor", "SuperGlueImageProcessor"):
        processor = getattr(huggingface, name)()
        (result,) = processor.post_process_keypoint_matching(outputs, [[(8, 6), (4, 4)]])
        assert result["keypoints1"].tolist() == [[2, 2], [2, 2]]
