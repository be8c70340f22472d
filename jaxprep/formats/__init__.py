"""Foreign formats: typed frozen configs, read from their JSON, each making a `Pipeline`."""

from jaxprep.formats.base import Format
from jaxprep.formats.custom import Custom
from jaxprep.formats.huggingface import HuggingFace
from jaxprep.formats.keras_hub import KerasHub
from jaxprep.formats.open_clip import OpenClip
from jaxprep.formats.timm import Timm
from jaxprep.formats.torchvision import Torchvision

__all__ = ["Custom", "Format", "HuggingFace", "KerasHub", "OpenClip", "Timm", "Torchvision"]
