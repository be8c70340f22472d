"""PE Video: videos of different lengths padded with 0 to the longest, with a mask."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxprep.bounds import check_padded
from jaxprep.huggingface.call import Results
from jaxprep.huggingface.video_call import (
    VideoCall,
    VideoFamily,
    run_frames,
    video_results,
)
from jaxprep.huggingface.videos import Video


def padded_in_time(call: VideoCall, videos: Sequence[Video]) -> Results:
    """Return videos of one frame size as one array, short ones followed by frames of 0, and where
    there are such, a mask `(b, t)` that is true for the frames of each.

    That is `_preprocess` of `transformers/models/pe_video/video_processing_pe_video.py`; with
    `return_tensors=None` nothing is padded.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.huggingface.video_call import read_videos
    >>> clips = [np.ones((3, 4, 6, 3), np.uint8), np.ones((1, 4, 6, 3), np.uint8)]
    >>> call = VideoCall(clips, HuggingFace("PeVideoVideoProcessor"), return_tensors="np")
    >>> results = padded_in_time(call, read_videos(call))
    >>> results["pixel_values_videos"].shape, results["padding_mask_videos"].tolist()
    ((2, 3, 4, 6, 3), [[True, True, True], [True, False, False]])
    """
    results = run_frames(call, videos).stacked_or_listed()
    if not isinstance(results, list) or call.return_tensors is None or call.is_traced:
        return video_results(call, videos, results)
    if len({(result.shape[1:], result.dtype) for result in results}) > 1:
        return video_results(call, videos, results)  # of different sizes, which no array holds
    lengths = np.asarray([len(result) for result in results])
    padded = _padded(results, int(lengths.max()))
    mask = np.arange(lengths.max()) < lengths[:, None]
    return {**video_results(call, videos, padded), "padding_mask_videos": mask}


def _padded(results: Sequence[Any], length: int) -> np.ndarray:
    shape = (len(results), length, *results[0].shape[1:])
    check_padded(shape[1:], [result.shape for result in results])
    padded = np.zeros(shape, results[0].dtype)
    for video, result in zip(padded, results, strict=True):
        video[: len(result)] = result
    return padded


PADDED_IN_TIME = VideoFamily(padded_in_time)
