"""Every family of videos by its name, as the rows of `presets/huggingface_video.json` have it.

A family is declared in its own module, next to the function that runs it.
"""

from __future__ import annotations

from jaxprep.huggingface.padded_videos import PADDED_IN_TIME
from jaxprep.huggingface.video_call import PLAIN_VIDEO, VideoFamily

VIDEO_FAMILIES: dict[str, VideoFamily] = {
    "plain": PLAIN_VIDEO,
    "padded_in_time": PADDED_IN_TIME,
}
