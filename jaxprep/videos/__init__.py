"""Videos before they are images: which frames of a video are wanted, and how those are decoded.

* `jaxprep.videos.sampling`: rules for the indices of frames, host arithmetic without pixels. A new
  rule is a function there, under `@rule`, which a row of `presets/huggingface_video.json` names.
* `jaxprep.videos.metadata`: what is known of a video beside its pixels.
* `jaxprep.videos.decode`: reads chosen frames of a file, with PyAV (`pip install jaxprep[video]`).
"""

from jaxprep.videos.metadata import VideoMetadata

__all__ = ["VideoMetadata"]
