"""Videos as rows of patches with a grid of frames, rows and columns, as Qwen2-VL and its like take
them.

The pipeline makes the patches of single frames. Those of `temporal_patch_size` frames become one
patch here, by one copy of each frame to where it belongs in the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxprep.errors import InputError
from jaxprep.formats import HuggingFace
from jaxprep.formats.huggingface.builders import Source
from jaxprep.formats.huggingface.builders.patches import frames_of
from jaxprep.huggingface.call import Results
from jaxprep.huggingface.patches import grid_by, shaped
from jaxprep.huggingface.samples import split
from jaxprep.huggingface.video_call import (
    VideoCall,
    VideoFamily,
    check_results,
    frame_dtype,
    pipeline_of_video,
    repeat_last,
    row_of,
    run_frames,
    store_frames,
)
from jaxprep.huggingface.videos import Video
from jaxprep.huggingface.views import Rows, array_module, copy_runs, rows, starts_of
from jaxprep.pipeline import Pipeline
from jaxprep.types import Size

Grid = tuple[int, int, int]
"""Steps of time, rows and columns, in patches."""
PATCH_AXES = 5
"""Of the patches of a video: steps, rows and columns of squares, rows and columns in a square."""


# -- grids ---------------------------------------------------------------------------------------


def frames_per_patch(config: HuggingFace) -> int:
    """Return how many frames a patch holds.

    >>> frames_per_patch(HuggingFace("Qwen2VLVideoProcessor"))
    2
    """
    return frames_of(config.effective) if "t" in config.row.patches.order else 1


def padded_length(config: HuggingFace, length: int) -> int:
    """Return how many frames a video has after its last one is repeated.

    >>> padded_length(HuggingFace("Qwen2VLVideoProcessor"), 5)
    6
    """
    if not row_of(config).repeats_last:
        return length
    step = frames_of(config.effective)
    return -(-length // step) * step


def grid_of_clip(config: HuggingFace, pipeline: Pipeline, length: int, size: Size) -> Grid:
    """Return the grid of patches of a video of `length` frames of `size`.

    Raises:
        InputError: the rule of the class refuses the size or the length, or the sides are no
            multiples of a merged square and nothing resizes them.

    >>> config = HuggingFace("Qwen2VLVideoProcessor")
    >>> grid_of_clip(config, config.pipeline, 5, (427, 640))
    (3, 30, 46)
    """
    rows_and_columns = grid_by(pipeline, size)
    return (padded_length(config, length) // frames_per_patch(config), *rows_and_columns)


def chunks_of(grid: Grid, most: int) -> list[Grid]:
    """Return the grids of the parts of a video, of at most so many steps of time each.

    >>> chunks_of((5, 4, 6), 4)
    [(4, 4, 6), (1, 4, 6)]
    """
    steps = grid[0]
    return [(min(most, steps - start), *grid[1:]) for start in range(0, steps, most)]


def grid_entries(config: HuggingFace, grids: Sequence[Grid]) -> Results:
    """Return the grids of all videos as an array, and, for a class that parts them, into how many
    parts each.

    >>> config = HuggingFace("MiniMaxM3VLVideoProcessor")
    >>> entries = grid_entries(config, [(5, 4, 6)])
    >>> entries["video_grid_thw"].tolist(), entries["num_chunks_per_video"].tolist()
    ([[4, 4, 6], [1, 4, 6]], [2])
    """
    chunk = row_of(config).chunk
    if chunk is None:
        return {"video_grid_thw": np.asarray(grids, np.int32)}
    parts = []
    for grid in grids:
        has_bound = config.effective.get(chunk) is not None
        parts.append(chunks_of(grid, config.effective.integer(chunk) if has_bound else grid[0]))
    return {
        "video_grid_thw": np.asarray([grid for part in parts for grid in part], np.int32),
        "num_chunks_per_video": np.asarray([len(part) for part in parts], np.int32),
    }


# -- patches -------------------------------------------------------------------------------------


def join_frames(frames: Any, config: HuggingFace) -> Any:
    """Return the patches of videos from those of their frames, NumPy's or traced: the last frame
    repeated, and the frames of a patch along their axis.

    Args:
        frames: `(..., t, rows, columns, m, m, *axes of a patch)`.
        config: of the class.

    >>> config = HuggingFace("Qwen2VLVideoProcessor")
    >>> join_frames(np.zeros((5, 2, 3, 2, 2, 3, 14, 14)), config).shape
    (3, 2, 3, 2, 2, 3, 2, 14, 14)
    """
    order = config.row.patches.order
    axis = frames.ndim - len(order.replace("t", "")) - PATCH_AXES
    if row_of(config).repeats_last:
        frames = repeat_last(frames, axis, frames_of(config.effective))
    if "t" not in order:
        return frames
    step = frames_per_patch(config)
    split = frames.reshape(*frames.shape[:axis], -1, step, *frames.shape[axis + 1 :])
    return array_module(split).moveaxis(split, axis + 1, axis + PATCH_AXES + order.index("t"))


def clip_rows(call: VideoCall, videos: Sequence[Video], grids: Sequence[Grid]) -> Any:
    """Return the patches of all videos one after another, with their axes.

    >>> config = HuggingFace("Qwen2VLVideoProcessor", {"do_resize": False})
    >>> video = Video(np.zeros((5, 28, 56, 3), np.uint8), "uint8", None)
    >>> clip_rows(VideoCall(None, config), [video], [(3, 2, 4)]).shape
    (24, 3, 2, 14, 14)
    """
    config = call.config
    if call.is_traced:
        results = run_frames(call, videos)
        if results.stacked is not None:
            # Not split, so that the sharding of a batch is kept.
            return rows(join_frames(results.stacked, config), PATCH_AXES)
        joined = [join_frames(frames, config) for frames in results.per_video()]
        return rows(joined, PATCH_AXES)
    order = config.row.patches.order
    step = frames_per_patch(config)
    shapes = []
    for video, grid in zip(videos, grids, strict=True):
        pipeline = pipeline_of_video(call, video)
        shape = pipeline.result_shape(video.size, video.frames.shape[-1])
        if "t" in order:
            axis = PATCH_AXES - 1 + order.index("t")
            shape = (*shape[:axis], step, *shape[axis:])
        shapes.append((grid[0], *shape))
    check_results(shapes)
    starts, total = starts_of(math.prod(shape[:PATCH_AXES]) for shape in shapes)
    whole = Rows(starts, total, shapes[0][PATCH_AXES:], frame_dtype(call, videos))
    lengths = [padded_length(config, video.length) for video in videos]

    def store(i: int, frame: int, patches: np.ndarray) -> None:
        place = whole.place(i, shapes[i])
        if "t" in order:
            place = np.moveaxis(place, PATCH_AXES + order.index("t"), 1)
        else:
            place = place[:, None]
        is_last = frame == videos[i].length - 1
        end = lengths[i] if is_last else frame + 1
        for position in range(frame, end):
            copy_runs(patches, place[divmod(position, step)])

    store_frames(call, videos, store)
    return whole.array


# -- calls ---------------------------------------------------------------------------------------


def _patched(call: VideoCall, videos: Sequence[Video]) -> tuple[Any, list[Grid]]:
    """Return the patches of all videos one after another as rows, and the grid of each."""
    grids: list[Grid] = []
    for video in videos:
        pipeline = pipeline_of_video(call, video)
        grid = grid_of_clip(call.config, pipeline, video.length, video.size)
        grids += [grid] * video.count
    return shaped(call.config, clip_rows(call, videos, grids)), grids


def patched_video(call: VideoCall, videos: Sequence[Video]) -> Results:
    """Return the patches of all videos one after another, and the grid of each: steps of time, rows
    and columns.

    >>> from jaxprep.huggingface.video_call import read_videos
    >>> config = HuggingFace("Qwen2VLVideoProcessor", {"do_resize": False})
    >>> call = VideoCall(np.zeros((5, 28, 56, 3), np.uint8), config)
    >>> results = patched_video(call, read_videos(call))
    >>> results["pixel_values_videos"].shape, results["video_grid_thw"].tolist()
    ((24, 1176), [[3, 2, 4]])
    """
    patches, grids = _patched(call, videos)
    return {call.row.outputs[0]: patches, **grid_entries(call.config, grids)}


# -- VideoLLaMA 3 --------------------------------------------------------------------------------

LEAST_CHANGE = 0.1
"""Of a token that is kept, of 255: the mean of what its values differ from those before."""


def compressed_video(call: VideoCall, videos: Sequence[Video]) -> Results:
    """Return what `patched_video` does, the side of the squares that are merged, and which tokens
    are kept, since they differ from those of the frame before.

    That is `_get_compression_mask` of `video_llama_3/video_processing_video_llama_3.py`.

    >>> from jaxprep.huggingface.video_call import read_videos
    >>> config = HuggingFace("VideoLlama3VideoProcessor", {"do_resize": False})
    >>> call = VideoCall(np.zeros((2, 28, 56, 3), np.uint8), config)
    >>> compressed_video(call, read_videos(call))["video_compression_mask"].tolist()
    [True, True, True, False]
    """
    patches, grids = _patched(call, videos)
    settings = call.config.effective
    merge = settings.integer("merge_size")
    kept: Any = np.ones(len(patches) // merge**2, bool)
    if settings.flag("use_token_compression"):
        kept = _changing_tokens(patches, grids, merge**2)
    return {
        call.row.outputs[0]: patches,
        **grid_entries(call.config, grids),
        "video_merge_sizes": np.full(len(grids), merge, np.int32),
        "video_compression_mask": kept,
    }


def _changing_tokens(patches: Any, grids: Sequence[Grid], merged: int) -> Any:
    """Which tokens differ from those of the frame before; all of a first frame count as such."""
    xp = array_module(patches)
    masks = []
    of_videos = split(patches, [math.prod(grid) for grid in grids])
    for (steps, height, width), of_video in zip(grids, of_videos, strict=True):
        tokens = of_video.reshape(steps, height * width // merged, -1)
        kept = [xp.ones((1, tokens.shape[1]), bool)]
        for step in range(1, steps):
            change = xp.abs(tokens[step] - tokens[step - 1]).mean(-1) * 255
            mask = change > LEAST_CHANGE
            # The first token of a frame without a change is kept, so that none is empty.
            is_first = np.arange(len(change)) == 0
            kept.append((mask | (is_first & ~mask.any()))[None])
        masks.append(xp.concatenate(kept).reshape(-1))
    return xp.concatenate(masks)


# -- numbers of patches --------------------------------------------------------------------------


def grid_of_video(
    processor: Any, num_frames: int, height: int, width: int, videos_kwargs: Any = None
) -> Grid:
    """Return the grid of patches that a processor makes of a video, without its pixels.

    >>> from jaxprep.huggingface import Qwen2VLVideoProcessor
    >>> grid_of_video(Qwen2VLVideoProcessor(), 5, 427, 640)
    (3, 30, 46)
    """
    if type(num_frames) is not int or num_frames < 1:
        raise InputError(f"Expected a number of frames of at least 1, got {num_frames!r:.40}.")
    config = processor._with_call_settings(dict(videos_kwargs or {}))
    frames = num_frames if row_of(config).length_dependent else 1
    pipeline = config.pipeline_of(Source(frames=frames))
    return grid_of_clip(config, pipeline, num_frames, (height, width))


def get_num_of_video_patches(
    processor: Any, num_frames: int, height: int, width: int, videos_kwargs: Any = None
) -> int:
    """Return how many patches a video has, without its pixels.

    Args:
        num_frames: of the video, after sampling.
        height, width: of the frames, in pixels.
        videos_kwargs: settings, as in a call.

    >>> from jaxprep.huggingface import Qwen2VLVideoProcessor
    >>> Qwen2VLVideoProcessor().get_num_of_video_patches(5, 427, 640)
    4140
    """
    steps, rows, columns = grid_of_video(processor, num_frames, height, width, videos_kwargs)
    return steps * rows * columns


def get_num_and_grid(
    processor: Any, num_frames: int, height: int, width: int, videos_kwargs: Any = None
) -> tuple[int, int, int, int]:
    """Return how many patches a video has, and its grid; HunYuan-V4-VL names that
    `get_num_of_video_patches`.

    Args:
        num_frames: of the video, after sampling.
        height, width: of the frames, in pixels.
        videos_kwargs: settings, as in a call.

    >>> from jaxprep.huggingface import HYV4VLVideoProcessor
    >>> HYV4VLVideoProcessor().get_num_of_video_patches(5, 427, 640)
    (5200, 5, 26, 40)
    """
    steps, rows, columns = grid_of_video(processor, num_frames, height, width, videos_kwargs)
    return steps * rows * columns, steps, rows, columns


NUMBER = "get_num_of_video_patches"
PATCHED_VIDEO = VideoFamily(patched_video, methods={NUMBER: get_num_of_video_patches})
PATCHED_WITH_GRID = VideoFamily(patched_video, methods={NUMBER: get_num_and_grid})
COMPRESSED_VIDEO = VideoFamily(compressed_video, methods={NUMBER: get_num_of_video_patches})
