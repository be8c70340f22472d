"""Every family of videos by its name, as the rows of `presets/huggingface_video.json` have it.

A family is declared in its own module, next to the function that runs it.
"""

from __future__ import annotations

from jaxprep.huggingface.padded_videos import PADDED_IN_TIME, PADDED_WITH_PIXEL_MASKS
from jaxprep.huggingface.patched_videos import (
    COMPRESSED_VIDEO,
    PATCHED_VIDEO,
    PATCHED_WITH_GRID,
)
from jaxprep.huggingface.pooled_videos import POOLED_VIDEO
from jaxprep.huggingface.sliced_videos import SLICED_VIDEO
from jaxprep.huggingface.timestamps import TIMED_VIDEO
from jaxprep.huggingface.token_videos import TOKEN_VIDEO
from jaxprep.huggingface.tubelets import TUBELETS
from jaxprep.huggingface.video_call import PLAIN_VIDEO, VideoFamily

VIDEO_FAMILIES: dict[str, VideoFamily] = {
    "plain": PLAIN_VIDEO,
    "padded_in_time": PADDED_IN_TIME,
    "patched": PATCHED_VIDEO,
    "patched_with_grid": PATCHED_WITH_GRID,
    "compressed": COMPRESSED_VIDEO,
    "timed": TIMED_VIDEO,
    "tokens": TOKEN_VIDEO,
    "tubelets": TUBELETS,
    "padded_with_pixel_masks": PADDED_WITH_PIXEL_MASKS,
    "pooled": POOLED_VIDEO,
    "sliced": SLICED_VIDEO,
}
