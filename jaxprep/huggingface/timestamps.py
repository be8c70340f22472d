"""ERNIE 4.5 VL: frames with their time drawn onto them by Pillow.

The source is `transformers/models/ernie4_5_vl_moe/video_processing_ernie4_5_vl_moe.py`,
Transformers 5.24.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxprep.errors import InputError
from jaxprep.huggingface.call import Results
from jaxprep.huggingface.fonts import font_source
from jaxprep.huggingface.patched_videos import PATCHED_VIDEO, patched_video
from jaxprep.huggingface.video_call import VideoCall, VideoFamily
from jaxprep.huggingface.videos import Video
from jaxprep.videos.sampling import DEFAULT_FPS

TEXT_SHARE = 0.1
"""The size of the text, of the shorter side of a frame; and that of its outline, of the text."""
NO_FONT = "Pass `font`, the path of a TrueType font, or `draw_on_frames=False`."


def time_text(seconds: float) -> str:
    """Return a time as it is drawn.

    >>> time_text(3723.456)
    'time: 01:02:03.46'
    """
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"time: {int(hours):02d}:{int(minutes):02d}:{rest:05.02f}"


def open_font(font: Any, size: int) -> Any:
    """Return a font of Pillow: a file by its path, or one of the system by its name.

    Raises:
        InputError: there is no such font, or Pillow cannot read it.

    >>> open_font("no_such_font.ttf", 8)
    Traceback (most recent call last):
    jaxprep.errors.InputError: Expected a TrueType font, got 'no_such_font.ttf' - at `font`. Pass \
`font`, the path of a TrueType font, or `draw_on_frames=False`.
    """
    from PIL import ImageFont

    source = font_source(font, "font", NO_FONT)
    try:
        return ImageFont.truetype(source, size)
    except (OSError, ValueError) as error:
        raise InputError(
            f"Expected a TrueType font, got {font!r:.200} - at `font`. {NO_FONT}"
        ) from error


def with_times(video: Video, font: Any) -> Video:
    """Return a video with the time of each frame in its corner, black with a white outline; the
    caller's frames stay as they are.

    Args:
        video: on the host, uint8.
        font: see `open_font`.

    Raises:
        InputError: frames of floats, which have no colours of Pillow, or too small for a letter.

    >>> import pathlib, tempfile, PIL.ImageFont
    >>> from jaxprep.videos.metadata import of_frames
    >>> font = pathlib.Path(tempfile.mkdtemp(), "font.ttf")
    >>> _ = font.write_bytes(PIL.ImageFont.load_default(36).font_bytes)
    >>> video = Video(np.zeros((2, 200, 300, 3), np.uint8), "uint8", of_frames(2, (200, 300)))
    >>> with_times(video, font).frames.any((1, 2, 3)).tolist()
    [True, True]
    """
    from PIL import Image, ImageDraw

    if video.value_range != "uint8":
        raise InputError(
            f"Expected frames of uint8, to draw times on them, got {video.frames.dtype} - at "
            "`videos`. Pass uint8, or `draw_on_frames=False`."
        )
    text_size = int(min(video.size) * TEXT_SHARE)
    if text_size < 1:
        raise InputError(
            f"Expected frames of at least {round(1 / TEXT_SHARE)} pixels a side, to draw times on "
            f"them, got {video.size} - at `videos`. Pass `draw_on_frames=False`."
        )
    letters = open_font(font, text_size)
    rate = video.metadata.fps or DEFAULT_FPS
    indices = video.metadata.frames_indices or range(video.length)
    # Gray frames become RGB here, since the colours of the text are.
    frames = np.repeat(video.frames, 3, -1) if video.frames.shape[-1] == 1 else video.frames
    drawn = []
    for frame, index in zip(frames, indices, strict=True):
        image = Image.fromarray(np.ascontiguousarray(frame))
        ImageDraw.Draw(image).text(
            (0, 0),
            time_text(index / rate),
            font=letters,
            fill=(0, 0, 0),
            stroke_width=int(text_size * TEXT_SHARE),
            stroke_fill=(255, 255, 255),
        )
        drawn.append(np.asarray(image))
    return video._replace(frames=np.stack(drawn))


def timed_video(call: VideoCall, videos: Sequence[Video]) -> Results:
    """Return what `patched_video` does, of frames with their times.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.huggingface.video_call import read_videos
    >>> config = HuggingFace("Ernie4_5_VLMoeVideoProcessor", {"draw_on_frames": False})
    >>> call = VideoCall(np.zeros((3, 56, 84, 3), np.uint8), config)
    >>> timed_video(call, read_videos(call))["video_grid_thw"].tolist()
    [[4, 30, 44]]
    """
    settings = call.config.effective
    if not settings.flag("draw_on_frames"):
        return patched_video(call, videos)
    if call.is_traced:
        raise InputError(
            "Expected frames on the host, to draw times on them, got traced ones - at `videos`. "
            "Pass `draw_on_frames=False` inside a transformation of JAX."
        )
    font = settings.get("font")
    return patched_video(call, [with_times(video, font) for video in videos])


TIMED_VIDEO = VideoFamily(timed_video, methods=PATCHED_VIDEO.methods)
