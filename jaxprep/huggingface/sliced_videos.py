"""MiniCPM-V 4.6 and MiniCPM-OCR: the frames of videos as images that are cut into slices; with
`stack_frames`, the frames between those of each second as one picture.

The source is `transformers/models/minicpmv4_6/video_processing_minicpmv4_6.py`, Transformers 5.24.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxprep.errors import InputError
from jaxprep.huggingface.call import Call, Results
from jaxprep.huggingface.features import PlainList
from jaxprep.huggingface.images import Image, one_by_one
from jaxprep.huggingface.minicpm import columns_of_patches, sliced_views, views_shapes
from jaxprep.huggingface.video_call import VideoCall, VideoFamily, check_results
from jaxprep.huggingface.videos import Video
from jaxprep.huggingface.views import array_module
from jaxprep.types import Size
from jaxprep.videos.sampling import Clip, times_between

LINE_WIDTH = 6
"""Of the black lines between the frames of a picture, in pixels."""
MAX_STACK = 256
"""Frames of a second."""


# -- pictures of several frames ------------------------------------------------------------------


def picture_grid(count: int, size: Size) -> tuple[int, int]:
    """Return in how many rows and columns frames are put together: of two or three, in a row or a
    column, whichever is nearer to a square.

    >>> picture_grid(4, (40, 60)), picture_grid(3, (40, 60)), picture_grid(2, (40, 60))
    ((2, 2), (3, 1), (2, 1))
    """
    if count == 4:
        return 2, 2
    if count not in (2, 3):
        return 1, count

    def distance(rows: int, columns: int) -> float:
        height = rows * size[0] + (rows - 1) * LINE_WIDTH
        width = columns * size[1] + (columns - 1) * LINE_WIDTH
        return abs(width / height - 1)

    row, column = distance(1, count), distance(count, 1)
    # Two frames that fit as well either way are put along their longer side.
    if row == column and count == 2:
        return (1, 2) if size[1] >= size[0] else (2, 1)
    return (1, count) if row <= column else (count, 1)


def picture(frames: Any) -> Any:
    """Return frames `(n, h, w, c)`, NumPy's or traced, as one uint8 picture with black lines
    between them.

    >>> picture(np.ones((2, 4, 3, 1), np.uint8)).shape
    (14, 3, 1)
    """
    xp = array_module([frames])
    frames = frames.astype(np.uint8)
    count, height, width, channels = frames.shape
    rows, columns = picture_grid(count, (height, width))
    between = xp.zeros((height, LINE_WIDTH, channels), np.uint8)
    lines: list[Any] = []
    for row in range(rows):
        parts = []
        for column in range(columns):
            parts += [between, frames[row * columns + column]]
        line = xp.concatenate(parts[1:], 1)
        lines += [xp.zeros((LINE_WIDTH, *line.shape[1:]), np.uint8), line]
    return xp.concatenate(lines[1:])


def pictures(call: VideoCall, video: Video) -> list[Image]:
    """Return the frames of a video, none of a batch, each as an image, and after the frame of each
    second the picture of those that follow it.

    Raises:
        InputError: the duration is not known, or the frames are not those that sampling takes.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.videos.metadata import VideoMetadata
    >>> call = VideoCall(None, HuggingFace("MiniCPMV4_6VideoProcessor", {"stack_frames": 3}))
    >>> metadata = VideoMetadata(90, fps=30.0, duration=2.0)
    >>> video = Video(np.zeros((6, 40, 60, 3), np.uint8), "uint8", metadata)
    >>> [image.size for image in pictures(call, video)]
    [(40, 60), (86, 60), (40, 60), (86, 60)]
    """
    settings = call.config.effective
    stack = settings.integer("stack_frames", lowest=0, highest=MAX_STACK)
    if stack <= 1:
        return [Image(frame, video.value_range) for frame in video.frames]
    known = video.metadata
    clip = Clip(known.total_num_frames, known.fps, known.duration)
    times = times_between(clip.known_duration, stack, settings.integer("max_num_frames"))
    count = video.length - len(times)
    if count < 1:
        raise InputError(
            f"Expected a video of more than {len(times)} frames, the last of which are those "
            f"between the seconds, got {video.length} - at `videos`. Pass `do_sample_frames=True`, "
            "or `stack_frames=1`."
        )
    seconds: dict[int, list[int]] = {}
    for i, time in enumerate(times):
        seconds.setdefault(int(time), []).append(count + i)
    images = []
    for i in range(count):
        images.append(Image(video.frames[i], video.value_range))
        if i in seconds:
            chosen = video.frames[np.asarray(seconds[i])]
            images.append(Image(picture(chosen), "uint8"))
    return images


# -- calls ---------------------------------------------------------------------------------------


def sliced_video(call: VideoCall, videos: Sequence[Video]) -> Results:
    """Return the patches of all frames and of their slices, side by side, the grid of patches of
    each view, the grid of slices and the number of views of each frame, and the number of frames
    of each video.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.huggingface.video_call import read_videos
    >>> config = HuggingFace("MiniCPMV4_6VideoProcessor", {"scale_resolution": 56})
    >>> call = VideoCall(np.zeros((2, 80, 60, 3), np.uint8), config)
    >>> results = sliced_video(call.with_settings(do_sample_frames=False), [
    ...     Video(call.videos, "uint8", None)
    ... ])
    >>> results["pixel_values_videos"].shape, results["grids_videos"].tolist()
    ((1, 3, 14, 1344), [[2, 1], [2, 1]])
    """
    images: list[Image] = []
    counts: list[int] = []
    for video in videos:
        batch = video.frames if video.frames.ndim == 5 else [video.frames]
        for frames in batch:
            of_video = pictures(call, video._replace(frames=frames))
            images += of_video
            counts.append(len(of_video))
    of_images = Call(None, {}, call.config, None, call.is_traced)
    single = one_by_one(images)
    check_results(views_shapes(of_images, single))
    views = sliced_views(of_images, single)
    return {
        call.row.outputs[0]: columns_of_patches(views.patches),
        "target_sizes_videos": views.target_sizes,
        "grids_videos": np.asarray(views.grids, np.int32),
        "num_patches_per_frame": np.asarray(views.counts, np.int32),
        "num_frames_per_video": PlainList(counts),
    }


SLICED_VIDEO = VideoFamily(sliced_video)
