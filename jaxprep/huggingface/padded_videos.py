"""Videos of different lengths padded with 0 to the longest, with a mask: PE Video and SmolVLM."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from jaxprep.huggingface.call import Results
from jaxprep.huggingface.video_call import VideoCall, VideoFamily, run_frames, video_results
from jaxprep.huggingface.videos import Video
from jaxprep.huggingface.views import padded


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
    mask = np.arange(lengths.max()) < lengths[:, None]
    return {**video_results(call, videos, padded(results)), "padding_mask_videos": mask}


PADDED_IN_TIME = VideoFamily(padded_in_time)


def padded_with_pixel_masks(call: VideoCall, videos: Sequence[Video]) -> Results:
    """Return videos as one array, padded with 0 to the longest and to the largest frame, and a mask
    `(b, t, h, w)` that is 1 for the pixels of each; frames that are padding count as pixels.

    That is `_preprocess` of `transformers/models/smolvlm/video_processing_smolvlm.py`; with
    `do_pad=False` nothing is padded, and there is no mask.

    >>> from jaxprep.formats import HuggingFace
    >>> from jaxprep.huggingface.video_call import read_videos
    >>> config = HuggingFace("SmolVLMVideoProcessor", {"do_resize": False})
    >>> clips = [np.ones((3, 4, 6, 3), np.uint8), np.ones((1, 4, 4, 3), np.uint8)]
    >>> call = VideoCall(clips, config)
    >>> results = padded_with_pixel_masks(call, read_videos(call))
    >>> results["pixel_values"].shape, results["pixel_attention_mask"].sum((2, 3)).tolist()
    ((2, 3, 4, 6, 3), [[24, 24, 24], [16, 16, 16]])
    """
    results = run_frames(call, videos).stacked_or_listed()
    if not call.config.effective.flag("do_pad"):
        return video_results(call, videos, results)
    is_first = call.config.data_format == "channels_first"
    axes = slice(-2, None) if is_first else slice(-3, -1)
    sizes = [result.shape[axes] for result in results]
    if isinstance(results, list):
        results = padded(results)
    masks = np.zeros((*results.shape[:2], *results.shape[axes]), np.int32)
    for mask, (height, width) in zip(masks, sizes, strict=True):
        mask[:, :height, :width] = 1
    return {**video_results(call, videos, results), "pixel_attention_mask": masks}


PADDED_WITH_PIXEL_MASKS = VideoFamily(padded_with_pixel_masks)
