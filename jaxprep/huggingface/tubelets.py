"""Nemotron H Omni: videos whose frames are stacked along the channels, a few at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxprep.formats.huggingface.builders.videos import MAX_STACKED
from jaxprep.huggingface.call import Results
from jaxprep.huggingface.video_call import (
    FrameResults,
    VideoCall,
    VideoFamily,
    repeat_last,
    run_frames,
)
from jaxprep.huggingface.videos import Video


def tubelets(frames: Any, step: int) -> Any:
    """Return frames `(..., t, c, h, w)` with `step` of them stacked along the channels; the last
    one is repeated where they are no multiple of that.

    >>> tubelets(np.zeros((5, 3, 8, 6)), 2).shape
    (3, 6, 8, 6)
    """
    axis = frames.ndim - 4
    frames = repeat_last(frames, axis, step)
    return frames.reshape(*frames.shape[:axis], -1, step * frames.shape[-3], *frames.shape[-2:])


def stacked_frames(call: VideoCall, videos: Sequence[Video]) -> Results:
    """Return tubelets, one array where videos are alike, otherwise a list, and how many frames each
    video has.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.huggingface.video_call import read_videos
    >>> settings = {"norm_mean": [0.5] * 3, "norm_std": [0.5] * 3, "video_target_num_patches": 16}
    >>> config = HuggingFace("NemotronH_Omni_Reasoning_V3VideoProcessor", settings)
    >>> call = VideoCall(np.zeros((5, 40, 40, 3), np.uint8), config)
    >>> results = stacked_frames(call, read_videos(call))
    >>> results["pixel_values_videos"].shape, results["num_frames"].tolist()
    ((1, 3, 6, 64, 64), [5])
    """
    step = call.config.effective.integer("temporal_patch_size", highest=MAX_STACKED)
    results = run_frames(call, videos)
    if results.stacked is not None:
        # Not split, so that the sharding of a batch is kept.
        values = tubelets(results.stacked, step)
    else:
        parts = [tubelets(frames, step) for frames in results.per_video()]
        lengths = tuple(len(part) for part in parts)
        values = FrameResults(lengths, separate=parts).stacked_or_listed()
    return {call.row.outputs[0]: values, "num_frames": np.asarray(results.lengths, np.int32)}


TUBELETS = VideoFamily(stacked_frames)
