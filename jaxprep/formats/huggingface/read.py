"""Find the image processor in the JSON files of a Hub repository. No code of a repository is ever
run.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jaxprep import codec
from jaxprep.errors import ConfigError
from jaxprep.formats.huggingface import classes

MAX_KEYS = 1000
TYPE_KEYS = ("image_processor_type", "feature_extractor_type")
"""The keys that name the class; the second is that of older files."""
TIMM = "TimmWrapperImageProcessor"
"""The class of Transformers that runs timm's own transforms."""
_TYPICAL_KEYS = (
    "do_resize",
    "do_normalize",
    "do_rescale",
    "do_center_crop",
    "image_mean",
)


def is_huggingface_json(content: Any) -> bool:
    """Return whether JSON data is an image processor's config, or holds one.

    >>> is_huggingface_json({"image_processor_type": "ViTImageProcessor"})
    True
    """
    if not isinstance(content, dict):
        return False
    if any(key in content for key in TYPE_KEYS):
        return True
    if isinstance(content.get("image_processor"), dict):
        return True
    if "pretrained_cfg" in content:
        return False
    # Old files name no class; two typical keys tell them from other JSON.
    typical_keys = [key for key in _TYPICAL_KEYS if key in content]
    return len(typical_keys) >= 2


class Document(NamedTuple):
    """An image processor's config in a file of a repository, and the class that it is for.

    Attributes:
        class_name: the class in Transformers 5, read or "TimmWrapperImageProcessor".
        content: the keys of the config itself.
        where: its path inside the file, for messages.

    >>> find_config({"image_processor": {"image_processor_type": "ViTImageProcessor"}}).where
    '$.image_processor'
    """

    class_name: str
    content: dict[str, Any]
    where: str


def find_config(
    content: Any,
    where: str = "$",
    model: Any = None,
    class_name: str | None = None,
) -> Document:
    """Find the config in the content of `preprocessor_config.json`, of `processor_config.json`, or
    of timm's `config.json`.

    Args:
        content: JSON data of the file.
        where: the file's name in messages.
        model: the content of the `config.json` beside it, whose `model_type` counts where the class
            is not named.
        class_name: the class, where the caller knows it.

    Raises:
        ConfigError: an image processor that is not read; the message names its type and says why.

    >>> find_config({"feature_extractor_type": "CLIPFeatureExtractor"}).class_name
    'CLIPImageProcessor'
    """
    if not isinstance(content, dict):
        raise codec.expected("an object", content, where)
    # `processor_config.json` holds the image processor's under this key.
    if isinstance(content.get("image_processor"), dict):
        content = content["image_processor"]
        where = f"{where}.image_processor"
    # A file is data from anywhere; its keys go into hashes and error messages.
    if len(content) > MAX_KEYS:
        raise codec.expected(f"at most {MAX_KEYS} keys", len(content), where)
    if not class_name:
        class_name = _class_of(content, where, model)
    return Document(class_name, content, where)


def _class_of(content: dict[str, Any], where: str, model: Any) -> str:
    """The class that a config is for, by its name in Transformers 5."""
    written = [(key, content[key]) for key in TYPE_KEYS if content.get(key) is not None]
    for key, value in written:
        if not isinstance(value, str) or not value or len(value) > 200:
            raise codec.expected("the name of a class", value, f"{where}.{key}")
    # Both keys may be there, and one of them name a class that is read.
    names = [classes.canonical(value) for _, value in written]
    for name in names:
        if name in classes.rows():
            return name
    model_type = model.get("model_type") if isinstance(model, dict) else None
    of_model = classes.of_model(model_type) if isinstance(model_type, str) else None
    if not names and of_model is not None and of_model in classes.rows():
        return of_model
    # timm's own `config.json` has `pretrained_cfg` and no type of Transformers.
    if not names and (of_model == TIMM or "pretrained_cfg" in content):
        return TIMM
    if names and names[0] == TIMM and "pretrained_cfg" in content:
        return TIMM
    name = names[0] if names else of_model
    type_name = written[0][1] if written else None
    raise _unread(content, type_name, name, model_type, where)


def _unread(
    content: dict[str, Any],
    written: str | None,
    name: str | None,
    model_type: Any,
    where: str,
) -> ConfigError:
    """The error that says in one sentence why a config is not read."""
    got = "no type at all"
    if written:
        got = f"`{written}`"
    elif model_type:
        got = f"the model type {codec.shown(model_type)}"
    wanted = "an image processor that jaxprep reads"
    if name in classes.unread():
        family = classes.unread()[name].family
        got += ", with steps of its own" if family == "odd" else f", of the kind '{family}'"
        got += ", which it does not read"
    # `auto_map` names Python files of the repository, which Transformers runs with
    # `trust_remote_code`.
    elif isinstance(content.get("auto_map"), dict):
        got += ", with code of its own in the repository (`auto_map`), which is never run"
    elif written:
        got += ", which is none of the image processors of Transformers 5"
    else:
        wanted = "`image_processor_type`, or a `config.json` beside it with a known `model_type`"
    return ConfigError(f"Expected {wanted}, got {got} - at `{where}.image_processor_type`.")
