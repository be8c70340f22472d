"""Methods that say how many patches or tiles an image becomes, without its pixels: a server sizes
its prompt with them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from jaxprep.formats import HuggingFace
from jaxprep.types import Size

Count = Callable[[HuggingFace, Size], Any]
"""What there is of an image, for a config and the height and width of the image."""
ARGUMENTS = """

Args:
    height, width: of the image, in pixels.
    images_kwargs: settings, as in a call.
"""


def count_methods(**counts: Count) -> dict[str, Callable[..., Any]]:
    """Return methods of a processor, of the size of an image and of the settings of a call.

    Args:
        counts: for the name of a method what it returns, for a config and the height and width of
            an image; the docstring is that of the method.

    >>> from jaxprep.huggingface import ViTImageProcessor
    >>> methods = count_methods(get_size=lambda config, size: config.image_size)
    >>> methods["get_size"](ViTImageProcessor(), 480, 640, {"size": 8})
    (8, 8)
    """
    return {name: _method(name, count) for name, count in counts.items()}


def _method(name: str, count: Count) -> Callable[..., Any]:
    def method(
        processor: Any, height: int, width: int, images_kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        return count(config_of_call(processor, images_kwargs), (height, width))

    method.__name__ = method.__qualname__ = name
    method.__doc__ = (inspect.getdoc(count) or "").partition("\n\n")[0] + ARGUMENTS
    return method


def config_of_call(processor: Any, settings: Mapping[str, Any] | None) -> HuggingFace:
    """Return the config of a call with these settings.

    Args:
        processor: one of images.
        settings: as in a call; `patch_size` is another name of `size`, where a class cuts tiles and
            has no patches.

    Raises:
        ArgumentError: a setting that a call does not take.
        ConfigError: a setting is wrong.

    >>> from jaxprep.huggingface import ViTImageProcessor
    >>> config_of_call(ViTImageProcessor(), {"size": 8}).image_size
    (8, 8)
    """
    said = dict(settings or {})
    if "patch_size" in said and "patch_size" not in processor._class_config().row.kwargs:
        said["size"] = said.pop("patch_size")
    return processor._with_call_settings(said)
