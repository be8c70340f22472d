"""`AutoImageProcessor`, and the classes by their names."""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from jaxprep import codec
from jaxprep.errors import ConfigError
from jaxprep.formats import HuggingFace, Timm
from jaxprep.formats.huggingface import classes, from_huggingface_json
from jaxprep.formats.huggingface.read import TYPE_KEYS
from jaxprep.formats.huggingface.settings import Frozen, merged, renamed
from jaxprep.huggingface.mixin import OWN_KEYS, ImageProcessingMixin, config_of, plain_settings
from jaxprep.huggingface.processor import CALL_KEYS, BaseImageProcessor
from jaxprep.huggingface.table import METHODS


@functools.cache
def processor_class(name: str) -> type[BaseImageProcessor] | None:
    """The class of a name of any spelling; None if it is none that is read.

    `CLIPImageProcessorPil` has the backend "pil"; `CLIPImageProcessorFast` and
    `CLIPFeatureExtractor` are `CLIPImageProcessor`.
    """
    if name == "TimmWrapperImageProcessor":
        return TimmWrapperImageProcessor
    today = classes.canonical(name)
    row = classes.rows().get(today)
    if row is None:
        return None
    is_pil = name.endswith("Pil")
    if is_pil and "pil" not in row["backends"]:
        return None
    if name not in (today, f"{today}Pil"):
        return processor_class(today)
    members = {
        "class_name": today,
        "backend_name": "pil" if is_pil else None,
        "__module__": "jaxprep.huggingface",
        "__doc__": f"The image processor of {', '.join(row['models'])}; see `BaseImageProcessor`.",
        **METHODS.get(today, {}),
    }
    return type(name, (BaseImageProcessor,), members)


class TimmWrapperImageProcessor(BaseImageProcessor):
    """The evaluation transform of a timm model."""


def read(
    cls: type[ImageProcessingMixin], content: Any, model: Any, kwargs: dict[str, Any]
) -> tuple[ImageProcessingMixin, dict[str, Any]]:
    """A processor from the content of a config, and the keywords that it has no use for.

    Args:
        cls: the class that was asked for; a base class takes what the config says.
        model: the content of the `config.json` beside it.
        kwargs: settings to replace, and `backend`.
    """
    if not isinstance(content, dict):
        raise codec.expected("an object", content, "$")
    backend = kwargs.pop("backend", None) or cls.backend_name
    own = {key: kwargs.pop(key) for key in OWN_KEYS if key in kwargs}
    nested = content.get("image_processor")
    inner = nested if isinstance(nested, dict) else content
    format_ = from_huggingface_json(content, model=model, class_name=cls.class_name)
    if isinstance(format_, Timm):
        timm = codec.field_types(Timm)
        used = {key: value for key, value in kwargs.items() if key in timm}
        made = format_.overridden({"data_format": "channels_first", **own, **used})
        return TimmWrapperImageProcessor._of(made, Frozen(inner)), _rest(kwargs, used)
    assert isinstance(format_, HuggingFace)
    name = format_.class_name
    known = classes.arguments(name) - set(CALL_KEYS[:2]) | (
        {"max_size"} & classes.rows()[name].keys()
    )
    kwargs = _today(kwargs, name, known)
    used = {key: value for key, value in kwargs.items() if key in known or key in inner}
    settings = merged(
        inner, plain_settings({key: value for key, value in used.items() if value is not None})
    )
    made = config_of(name, settings, backend, **own)
    named = cls if cls.class_name else processor_class(name)
    assert named is not None
    written = (
        settings
        if any(settings.get(key) for key in TYPE_KEYS)
        else {**settings, TYPE_KEYS[0]: name}
    )
    return named._of(made, Frozen(written)), _rest(kwargs, used)


def _today(kwargs: dict[str, Any], name: str, known: Collection[str]) -> dict[str, Any]:
    """Keywords by today's names, where they are settings that had another."""
    old = {
        key: new
        for key, new in renamed(name).items()
        if new in known and new not in kwargs and key not in known
    }
    return {old.get(key, key): value for key, value in kwargs.items()}


def _rest(kwargs: Mapping[str, Any], used: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in kwargs.items() if key not in used}


class AutoImageProcessor:
    """The image processor of any repository, directory or file:
    `AutoImageProcessor.from_pretrained(name)`.
    """

    def __init__(self) -> None:
        raise ConfigError(
            "Expected `AutoImageProcessor.from_pretrained(name)`; the class itself is not instantiated."
        )

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], *inputs: Any, **kwargs: Any
    ) -> Any:
        """The processor of the class that the config names.

        Args:
            kwargs: as in `BaseImageProcessor.from_pretrained`; `backend` "torchvision" (the
                default, as in Transformers 5) or "pil". `use_fast` is its old name;
                `trust_remote_code` changes nothing, since no code is ever run.
        """
        del inputs
        fast = kwargs.pop("use_fast", None)
        if fast is not None and kwargs.get("backend") is None:
            kwargs["backend"] = "torchvision" if fast else "pil"
        return BaseImageProcessor.from_pretrained(pretrained_model_name_or_path, **kwargs)

    @staticmethod
    def register(*args: Any, **kwargs: Any) -> NoReturn:
        """Classes are rows of a table here, not code."""
        raise ConfigError(
            "Expected a row of `presets/huggingface.json`: image processors are data here, not classes."
        )
