"""EfficientLoFTR, LightGlue and SuperGlue: pairs of images whose keypoints are matched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxprep.errors import InputError
from jaxprep.huggingface.call import Call, Family, Results, run_each
from jaxprep.huggingface.groups import group_results, read_groups, ungrouped
from jaxprep.huggingface.images import Reading, images_of
from jaxprep.postprocess import method


def pairs(call: Call) -> Results:
    """Return pairs of images, `(b, 2, c, h, w)`; on the PIL backend, where images of a pair differ
    in size in the end, a list of both for each pair.

    A list of two images is one pair, otherwise it holds lists of two
    (`validate_and_format_image_pairs` of `transformers/models/superglue/
    image_processing_superglue.py`); an array may be `(2, h, w, c)` or `(b, 2, h, w, c)`.

    Raises:
        InputError: another number of images, or, on the torchvision backend, which stacks them,
            images of a pair that differ in size in the end.

    >>> from jaxprep.huggingface import SuperGlueImageProcessor
    >>> processor = SuperGlueImageProcessor(size={"height": 8, "width": 6})
    >>> image = np.zeros((16, 16, 3), np.uint8)
    >>> processor([image, image]).pixel_values.shape
    (1, 2, 3, 8, 6)
    """
    images, counts = read_groups(call)
    _check_pairs(counts)
    return {call.config.result_name: group_results(call, run_each(call, images), counts)}


PAIRS = Family(pairs)


def _check_pairs(counts: Sequence[int]) -> None:
    if set(counts) != {2}:
        raise InputError(
            "Expected two images, or a list of pairs of images, got "
            f"{', '.join(map(str, counts[:8]))} in a group - at `images`."
        )


@method(
    ("EfficientLoFTRImageProcessor", "LightGlueImageProcessor", "SuperGlueImageProcessor"),
    "visualize_keypoint_matching",
)
def visualize_keypoint_matching(
    images: Any, keypoint_matching_output: Sequence[Mapping[str, Any]]
) -> list[Any]:
    """Draw the images of each pair side by side, and a line for each match: green where its score
    is 1, red where it is 0.

    Args:
        images: as in a call, with values from 0 to 255.
        keypoint_matching_output: what `post_process_keypoint_matching` returns.

    Returns:
        a PIL image for each pair.

    >>> image = np.zeros((16, 20, 3), np.uint8)
    >>> match = {"keypoints0": [[1, 2]], "keypoints1": [[3, 4]], "matching_scores": [0.5]}
    >>> visualize_keypoint_matching([image, image], [match])[0].size
    (40, 16)
    """
    value, counts = ungrouped(images)
    _check_pairs(counts)
    pixels = [image.pixels for image in images_of(value, Reading(to_rgb=True))]
    pictures = []
    for i, matches in enumerate(keypoint_matching_output):
        first, second = pixels[2 * i : 2 * i + 2]
        pictures.append(_drawn(first, second, matches))
    return pictures


def _drawn(first: np.ndarray, second: np.ndarray, matches: Mapping[str, Any]) -> Any:
    """One pair of images as a PIL image, with its matches."""
    from PIL import Image, ImageDraw

    height = max(len(first), len(second))
    width = first.shape[1]
    canvas = np.zeros((height, width + second.shape[1], 3), np.uint8)
    canvas[: len(first), :width] = first
    canvas[: len(second), width:] = second
    picture = Image.fromarray(canvas)
    draw = ImageDraw.Draw(picture)
    names = ("keypoints0", "keypoints1", "matching_scores")
    starts, ends, scores = (np.asarray(matches[name]).tolist() for name in names)
    for (x, y), (partner_x, partner_y), score in zip(starts, ends, scores, strict=True):
        end = (partner_x + width, partner_y)
        color = (int(255 * (1 - score)), int(255 * score), 0)
        draw.line((x, y, *end), fill=color, width=3)
        for center_x, center_y in ((x, y), end):
            box = (center_x - 2, center_y - 2, center_x + 2, center_y + 2)
            draw.ellipse(box, fill="black")
    return picture
