"""The boxes of KerasHub 0.32 on JAX, which go where the image goes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from goldens import keras_inputs
from helpers import parity

from jaxprep import ImageConverter

# to a hundredth of a pixel; the images are black, and nobody looks at them
pytestmark = pytest.mark.usefixtures("quick_compilation")

CASES, _, _ = keras_inputs.load(Path(keras_inputs.__file__).with_name("keras_hub.npz"))
BOXES = [case for case in CASES if case["group"] == "boxes"]


def test_boxes_follow_the_image_as_keras_hub_crops_and_pads_it():
    """Equal to KerasHub's where those are right; otherwise to where its own image went."""

    def traits(case: dict) -> set:
        mode = case["config"]["crop_to_aspect_ratio"], case["config"]["pad_to_aspect_ratio"]
        return {
            (case["config"]["bounding_box_format"], *mode),
            (len(case["image_shape"]), *mode, "defect" in case),
        }

    def check(case: dict) -> float:
        boxes = {"boxes": np.float32(case["boxes"]), "labels": np.int32(case["labels"])}
        image = np.zeros(case["image_shape"], np.uint8)
        result = ImageConverter(**case["config"])({"images": image, "bounding_boxes": boxes})[
            "bounding_boxes"
        ]
        kind = "want" if "defect" in case else "out"
        np.testing.assert_array_equal(np.asarray(result["labels"]), case[f"{kind}_labels"])
        assert (result["boxes"].dtype, result["labels"].dtype) == (np.float32, np.int32)
        return np.abs(np.asarray(result["boxes"]) - np.float32(case[f"{kind}_boxes"])).max()

    worst = max(parity.map_concurrently(check, parity.covering(BOXES, traits, photos=1)))
    assert (
        worst <= 0.01
    )  # pixels; goldens with a larger difference from KerasHub carry what is right
