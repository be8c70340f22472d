"""Videos as frames of one number of patches each, padded, with what tells patches from padding, as
Gemma 4 takes them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxprep.formats.huggingface.builders.sequences import soft_tokens, token_side
from jaxprep.huggingface.call import Results
from jaxprep.huggingface.sequences import grid_within, padded_sequences, positions
from jaxprep.huggingface.video_call import (
    VideoCall,
    VideoFamily,
    check_results,
    frame_dtype,
    lengths_of,
    pipeline_of_video,
    run_frames,
    sizes_of,
    store_frames,
)
from jaxprep.huggingface.videos import Video
from jaxprep.huggingface.views import Rows, array_module, copy_runs, starts_of


def frame_sequences(call: VideoCall, videos: Sequence[Video], length: int) -> Any:
    """Return the patches of each frame as a sequence, 0 after the last, those of all videos one
    after another: `(t0 + t1 + ..., length, vector)`.

    Args:
        call: whose pipelines store `ops.Patches`.
        videos: read.
        length: of a sequence, in patches.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.huggingface.video_call import read_videos
    >>> call = VideoCall(np.zeros((2, 48, 96, 3), np.uint8), HuggingFace("Gemma4VideoProcessor"))
    >>> call = call.with_settings(do_sample_frames=False)
    >>> frame_sequences(call, read_videos(call), 630).shape
    (2, 630, 768)
    """
    vectors = [_vector(call, video) for video in videos]
    # With what is padding, which may be most of it.
    check_results(
        (video.count, video.length, length, vector)
        for video, vector in zip(videos, vectors, strict=True)
    )
    if call.is_traced:
        results = run_frames(call, videos)
        if results.stacked is not None:
            # Not split, so that the sharding of a batch is kept.
            frames = results.stacked.reshape(-1, *results.stacked.shape[2:])
            return padded_sequences(frames, length)
        sequences = [padded_sequences(frames, length) for frames in results.per_video()]
        return array_module(sequences).concatenate(sequences)
    vector = vectors[0]
    starts, total = starts_of(video.length for video in videos)
    whole = Rows(starts, total, (length, vector), frame_dtype(call, videos))

    def store(i: int, frame: int, patches: np.ndarray) -> None:
        sequence = whole.place(i, (videos[i].length, length, vector))[frame]
        count = math.prod(patches.shape[:4])
        copy_runs(patches, sequence[:count].reshape(patches.shape))
        sequence[count:] = 0

    store_frames(call, videos, store)
    return whole.array


def _vector(call: VideoCall, video: Video) -> int:
    """How many values a patch of a video has."""
    pipeline = pipeline_of_video(call, video)
    return math.prod(pipeline.result_shape(video.size, video.frames.shape[-1])[4:])


def token_video(call: VideoCall, videos: Sequence[Video]) -> Results:
    """Return frames as sequences of patches of one length, the column and the row of each patch,
    -1 for padding, how many frames each video has, and how many tokens a frame of it becomes.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.huggingface.video_call import read_videos
    >>> call = VideoCall(np.zeros((2, 48, 96, 3), np.uint8), HuggingFace("Gemma4VideoProcessor"))
    >>> call = call.with_settings(do_sample_frames=False)
    >>> results = token_video(call, read_videos(call))
    >>> results["pixel_values_videos"].shape, results["num_soft_tokens_per_video"].tolist()
    ((2, 630, 768), [55])
    """
    settings = call.config.effective
    layout: Any = call.config.pipeline.layout
    patches_per_token = (token_side(settings) // layout.patch_size) ** 2
    length = soft_tokens(settings) * patches_per_token
    # First, since it refuses sizes before any pixel is computed.
    grids = [grid_within(call.config, size, length) for size in sizes_of(videos)]
    lengths = lengths_of(videos)
    tokens = [rows * columns // patches_per_token for rows, columns in grids]
    return {
        call.row.outputs[0]: frame_sequences(call, videos, length),
        "video_position_ids": np.repeat(positions(grids, length), lengths, axis=0),
        "num_frames_per_video": np.asarray(lengths, np.int32),
        "num_soft_tokens_per_video": np.asarray(tokens, np.int32),
    }


TOKEN_VIDEO = VideoFamily(token_video)
