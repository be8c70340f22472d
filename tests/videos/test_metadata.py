"""Metadata of videos."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from jaxprep.errors import InputError
from jaxprep.huggingface import VideoMetadata


def test_it_is_a_mapping_and_comes_back_from_one() -> None:
    metadata = VideoMetadata(9, fps=Fraction(30000, 1001), frames_indices=[0, 4])
    assert VideoMetadata.of(dict(metadata)) == metadata
    assert hash(VideoMetadata.of(dict(metadata))) == hash(metadata)
    assert metadata["fps"] == pytest.approx(29.97, rel=1e-4)
    assert VideoMetadata(9, frames_indices=np.arange(2)).frames_indices == (0, 1)
    with pytest.raises(KeyError):
        metadata["timestamps"]


def test_that_of_transformers_is_taken() -> None:
    video_utils = pytest.importorskip("transformers.video_utils")
    theirs = video_utils.VideoMetadata(90, fps=30, frames_indices=[0, 45, 89])
    ours = VideoMetadata.of(theirs)
    assert ours.timestamps == theirs.timestamps
    assert ours.sampled_fps == theirs.sampled_fps
    assert VideoMetadata(90).sampled_fps == video_utils.VideoMetadata(90).sampled_fps


@pytest.mark.parametrize(
    "wrong",
    [
        3,
        {},
        {"fps": 30},
        {"total_num_frames": -1},
        {"total_num_frames": 2**40},
        {"total_num_frames": 3.5},
        {"total_num_frames": True},
        {"total_num_frames": 3, "fps": "30"},
        {"total_num_frames": 3, "fps": float("nan")},
        {"total_num_frames": 3, "fps": -1},
        {"total_num_frames": 3, "duration": float("inf")},
        {"total_num_frames": 3, "frames_indices": [[1]]},
        {"total_num_frames": 3, "frames_indices": ["a"]},
        {"total_num_frames": 3, "colour": 1},
    ],
)
def test_what_is_no_metadata_is_one_error(wrong: Any) -> None:
    with pytest.raises(InputError, match="video_metadata"):
        VideoMetadata.of(wrong)
