"""Formats of other libraries: typed frozen configs, read from their JSON, each with a `Pipeline`.

A new format is a module here and its name below; one of another package is registered with
`jaxprep.formats.register`.
"""

from jaxprep.formats.base import Format
from jaxprep.formats.custom import Custom
from jaxprep.formats.huggingface import HuggingFace
from jaxprep.formats.keras import Keras
from jaxprep.formats.keras_hub import KerasHub
from jaxprep.formats.open_clip import OpenClip
from jaxprep.formats.registry import register
from jaxprep.formats.timm import Timm
from jaxprep.formats.torchvision import Torchvision

__all__ = [
    "Custom",
    "Format",
    "HuggingFace",
    "Keras",
    "KerasHub",
    "OpenClip",
    "Timm",
    "Torchvision",
    "register",
]

# The order in which the files of a directory count, and formats are asked whether they read one.
for _format in (KerasHub, Keras, Timm, Torchvision, OpenClip, HuggingFace, Custom):
    register(_format)
