"""`AutoImageProcessor` and `AutoVideoProcessor`."""

from __future__ import annotations

import os
from typing import Any, NoReturn

from jaxprep.errors import ConfigError
from jaxprep.huggingface.processor import BaseImageProcessor
from jaxprep.huggingface.video_processor import BaseVideoProcessor


class AutoImageProcessor:
    """The image processor of any repository, directory or file:
    `AutoImageProcessor.from_pretrained(name)`, as in
    https://github.com/huggingface/transformers/blob/main/src/transformers/models/auto/image_processing_auto.py

    >>> import json, pathlib, tempfile
    >>> config = {"image_processor_type": "ViTImageProcessor", "size": {"height": 8, "width": 8}}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "preprocessor_config.json").write_text(json.dumps(config))
    ...     processor = AutoImageProcessor.from_pretrained(folder)
    >>> type(processor).__name__, processor.size
    ('ViTImageProcessor', {'height': 8, 'width': 8})
    """

    def __init__(self) -> None:
        raise ConfigError(
            "Expected `AutoImageProcessor.from_pretrained(name)`; the class itself is not "
            "instantiated."
        )

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], *inputs: Any, **kwargs: Any
    ) -> Any:
        """Return the processor of the class that the config names.

        Args:
            pretrained_model_name_or_path: as in `BaseImageProcessor.from_pretrained`.
            inputs: ignored, as in Transformers.
            kwargs: as in `BaseImageProcessor.from_pretrained`; `backend` "torchvision" (the
                default, as in Transformers 5) or "pil". `use_fast` is its old name;
                `trust_remote_code` changes nothing, since no code is ever run.

        Raises:
            PresetNotFoundError: nothing answers to the name.
            HubError: the hub refuses or cannot be reached, and nothing is cached.
            ConfigError: an image processor that is not read, or a wrong value.
        """
        del inputs
        use_fast = kwargs.pop("use_fast", None)
        if use_fast is not None and kwargs.get("backend") is None:
            kwargs["backend"] = "torchvision" if use_fast else "pil"
        return BaseImageProcessor.from_pretrained(pretrained_model_name_or_path, **kwargs)

    @staticmethod
    def register(*args: Any, **kwargs: Any) -> NoReturn:
        """Refuse a class of the caller: classes are rows of a table here, not code."""
        raise ConfigError(
            "Expected a row of `presets/huggingface.json`: image processors are data here, not "
            "classes."
        )


class AutoVideoProcessor:
    """The video processor of any repository, directory or file:
    `AutoVideoProcessor.from_pretrained(name)`, as in
    https://github.com/huggingface/transformers/blob/main/src/transformers/models/auto/video_processing_auto.py

    >>> import json, pathlib, tempfile
    >>> config = {"video_processor_type": "VideoMAEVideoProcessor", "size": 8, "crop_size": 8}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = pathlib.Path(folder, "video_preprocessor_config.json")
    ...     _ = file.write_text(json.dumps(config))
    ...     processor = AutoVideoProcessor.from_pretrained(folder)
    >>> type(processor).__name__, processor.size
    ('VideoMAEVideoProcessor', {'shortest_edge': 8})
    """

    def __init__(self) -> None:
        raise ConfigError(
            "Expected `AutoVideoProcessor.from_pretrained(name)`; the class itself is not "
            "instantiated."
        )

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], *inputs: Any, **kwargs: Any
    ) -> Any:
        """Return the processor of the class that the config names; where it names that of an image
        processor, of the class of videos with the same model.

        Args:
            pretrained_model_name_or_path: as in `BaseVideoProcessor.from_pretrained`.
            inputs: ignored, as in Transformers.
            kwargs: as in `BaseVideoProcessor.from_pretrained`; `trust_remote_code` changes nothing,
                since no code is ever run.

        Raises:
            PresetNotFoundError: nothing answers to the name.
            HubError: the hub refuses or cannot be reached, and nothing is cached.
            ConfigError: a video processor that is not read, or a wrong value.
        """
        del inputs
        return BaseVideoProcessor.from_pretrained(pretrained_model_name_or_path, **kwargs)

    @staticmethod
    def register(*args: Any, **kwargs: Any) -> NoReturn:
        """Refuse a class of the caller: classes are rows of a table here, not code."""
        raise ConfigError(
            "Expected a row of `presets/huggingface_video.json`: video processors are data here, "
            "not classes."
        )
