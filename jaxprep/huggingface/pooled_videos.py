"""Molmo 2: the patches of frames, and which of them are one token."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxprep.formats.huggingface.builders.slices import crop_patches, pooling
from jaxprep.huggingface.call import Results
from jaxprep.huggingface.crops import pooled, shifted
from jaxprep.huggingface.token_videos import frame_sequences
from jaxprep.huggingface.video_call import VideoCall, VideoFamily, lengths_of
from jaxprep.huggingface.videos import Video


def pooled_video(call: VideoCall, videos: Sequence[Video]) -> Results:
    """Return the patches of all frames, the numbers of those of each token, -1 where it has fewer,
    and the grid of tokens of each video: frames, rows and columns.

    That is `_preprocess` of `transformers/models/molmo2/video_processing_molmo2.py`, 5.24.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.huggingface.video_call import read_videos
    >>> config = HuggingFace("Molmo2VideoProcessor", {"do_sample_frames": False})
    >>> call = VideoCall(np.zeros((2, 40, 60, 3), np.uint8), config)
    >>> results = pooled_video(call, read_videos(call))
    >>> results["pixel_values_videos"].shape, results["video_grids"].tolist()
    ((2, 729, 588), [[2, 9, 9]])
    """
    settings = call.config.effective
    side = crop_patches(settings)
    of_frame = pooled(np.arange(side**2, dtype=np.int32).reshape(side, side), *pooling(settings))
    lengths = lengths_of(videos)
    tokens = of_frame.reshape(-1, of_frame.shape[-1])
    return {
        call.row.outputs[0]: frame_sequences(call, videos, side**2),
        "video_token_pooling": np.concatenate(
            [shifted(tokens, frame * side**2) for frame in range(sum(lengths))]
        ),
        "video_grids": np.asarray([(length, *of_frame.shape[:2]) for length in lengths], np.int32),
    }


POOLED_VIDEO = VideoFamily(pooled_video)
