"""Hugging Face: the config of an image or video processor, from any of its files, and its pipeline.

Classes are rows of `presets/huggingface.json` (`classes.ProcessorRow` says what each field means).

* A new class of known behaviour is a row. Its `steps` name builders, its `family` what a call does.
* A new behaviour is a builder: a function of a `Build` that reads `settings` and adds steps, in
  `jaxprep.formats.huggingface.builders`.
* A new family, for images with other inputs beside them, is a module of `jaxprep.huggingface` with
  a function from a `Call` to named results, entered in `jaxprep.huggingface.registry`.
* A class of videos is a row of `presets/huggingface_video.json` (`classes.VideoRow`): `steps` are
  those of a frame, `sampling` names a rule of `jaxprep.videos.sampling`, `family` one of
  `jaxprep.huggingface.video_registry`. `AutoVideoProcessor` looks at these rows alone.
* A key that had another name is an entry of the row's `renamed`; a size rule is a class of
  `jaxprep.ops.sizes`.
"""

from jaxprep.formats.huggingface.config import HuggingFace, from_huggingface_json
from jaxprep.formats.huggingface.read import is_huggingface_json

__all__ = ["HuggingFace", "from_huggingface_json", "is_huggingface_json"]
