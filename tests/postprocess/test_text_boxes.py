"""Boxes of text equal those that Transformers finds with OpenCV, and the outlines that they are
made of.
"""

import numpy as np
import pytest
from goldens import store

from jaxprep import huggingface
from jaxprep.errors import InputError
from jaxprep.postprocess import contours

GOLDENS = store.Golden("text_detection")
PROCESSOR = huggingface.PPOCRV5ServerDetImageProcessor()


def outputs(levels: np.ndarray) -> dict[str, np.ndarray]:
    return {"last_hidden_state": (levels / np.float32(255))[None, None]}


@pytest.mark.parametrize("kind", sorted({case["kind"] for case in GOLDENS.cases}))
def test_boxes_are_those_of_transformers(kind):
    for case in (case for case in GOLDENS.cases if case["kind"] == kind):
        levels = GOLDENS.values(case["map"]).reshape(case["map"]["shape"])
        sizes = np.asarray([case["size"]], np.float32 if case["float"] else np.int64)
        (found,) = PROCESSOR.post_process_object_detection(
            outputs(levels), target_sizes=sizes, **case["settings"]
        )
        np.testing.assert_array_equal(*GOLDENS.pair(case["boxes"], np.asarray(found["boxes"])))
        np.testing.assert_allclose(
            *GOLDENS.pair(case["scores"], np.asarray(found["scores"])), atol=1e-5
        )
        assert (
            found["labels"].shape == found["scores"].shape and not np.asarray(found["labels"]).any()
        )


def test_the_goldens_hold_boxes_of_all_kinds_that_are_not_empty_in_the_middle():
    count = {case["kind"]: 0 for case in GOLDENS.cases}
    for case in GOLDENS.cases:
        count[case["kind"]] += case["boxes"]["shape"][0]
    assert {kind for kind, boxes in count.items() if not boxes} == {"nothing", "pixel", "rings"}
    assert sum(count.values()) == 252


def test_images_of_a_batch_are_those_of_single_calls():
    levels = np.zeros((2, 32, 64), np.uint8)
    levels[0, 8:20, 10:50] = levels[1, 4:12, 3:30] = 230
    whole = {"last_hidden_state": (levels / np.float32(255))[:, None]}
    both = PROCESSOR.post_process_object_detection(whole, target_sizes=[[32, 64], [64, 128]])
    for i, size in enumerate(([32, 64], [64, 128])):
        (alone,) = PROCESSOR.post_process_object_detection(outputs(levels[i]), target_sizes=[size])
        np.testing.assert_array_equal(both[i]["boxes"], alone["boxes"])


def test_target_sizes_are_needed():
    with pytest.raises(InputError, match="target_sizes"):
        PROCESSOR.post_process_object_detection(outputs(np.zeros((32, 32), np.uint8)))


def test_a_ring_has_an_outer_and_an_inner_border():
    mask = np.zeros((9, 9), bool)
    mask[1:8, 1:8] = True
    mask[3:6, 3:6] = False
    inner, outer = contours.find_contours(mask)
    assert sorted(map(tuple, outer.tolist())) == [(1, 1), (1, 7), (7, 1), (7, 7)]
    assert contours.contour_area(outer) == 36 and contours.contour_area(inner) < 36
    np.testing.assert_array_equal(
        contours.fill_polygon(outer, 9, 9), np.pad(np.ones((7, 7), bool), 1)
    )


def test_the_smallest_box_of_a_turned_square_is_the_square():
    box = contours.min_area_rect(np.array([[5, 0], [10, 5], [5, 10], [0, 5]], np.int32))
    np.testing.assert_allclose(sorted(box.size), [50**0.5] * 2, rtol=1e-6)
    assert sorted(np.round(contours.box_points(box)).astype(int).tolist()) == [
        [0, 5],
        [5, 0],
        [5, 10],
        [10, 5],
    ]
