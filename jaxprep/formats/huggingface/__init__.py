"""Hugging Face: the config of an image processor, from any of its files, and the pipeline it stands
for.

Classes are rows of `presets/huggingface.json`. A row names its family, a module of `families`, and
what that needs to know of the class.

* A new class is a row. Its `steps` are names of builders, of `families.BUILDERS`.
* A new behaviour is a builder: a function of a `Build` that reads `settings` and adds steps.
* A new family is a module here with a function of a `Build` that makes the pipeline of one image,
  entered in `families.FAMILIES`, and in `jaxprep.huggingface` a function from the images and other
  inputs of a call to named results, entered in `jaxprep.huggingface.table.FAMILIES` with the names
  of those inputs.
* A method that a class has besides those of all is entered in `jaxprep.huggingface.table.METHODS`.
* A legacy key is an entry of `settings.RENAMED`; a size rule is a class of `jaxprep.ops.sizes`.
"""

from jaxprep.formats.huggingface.config import HuggingFace, from_huggingface_json
from jaxprep.formats.huggingface.read import is_huggingface_json

__all__ = ["HuggingFace", "from_huggingface_json", "is_huggingface_json"]
