"""From the JSON of a Hub repository to a config. Nothing in it is ever run."""

from __future__ import annotations

from typing import Any

from jaxprep import codec
from jaxprep.errors import ConfigError
from jaxprep.formats.huggingface import classes

TYPE_KEYS = ("image_processor_type", "feature_extractor_type")
_MARKS = ("do_resize", "do_normalize", "do_rescale", "do_center_crop", "image_mean")


def is_huggingface_json(content: Any) -> bool:
    """Whether JSON data is an image processor's config, or holds one."""
    if not isinstance(content, dict):
        return False
    if any(key in content for key in TYPE_KEYS) or isinstance(content.get("image_processor"), dict):
        return True
    return "pretrained_cfg" not in content and sum(key in content for key in _MARKS) >= 2


def class_of(content: dict[str, Any], where: str, model: Any) -> str:
    """Today's name of the class that a config is for."""
    found = [(key, content[key]) for key in TYPE_KEYS if content.get(key) is not None]
    for key, value in found:
        if not isinstance(value, str) or not value or len(value) > 200:
            raise codec.expected("the name of a class", value, f"{where}.{key}")
    names = [classes.canonical(value) for _, value in found]
    for name in names:
        if name in classes.rows():
            return name
    model_type = model.get("model_type") if isinstance(model, dict) else None
    served = classes.of_model(model_type) if isinstance(model_type, str) else None
    if not names and served in classes.rows():
        assert served is not None
        return served
    if not names and (served == "TimmWrapperImageProcessor" or "pretrained_cfg" in content):
        return "TimmWrapperImageProcessor"
    if found and names[0] == "TimmWrapperImageProcessor" and "pretrained_cfg" in content:
        return names[0]
    raise ConfigError(
        _why(
            content,
            found[0][1] if found else None,
            names[0] if names else served,
            model_type,
            where,
        )
    )


def _why(
    content: dict[str, Any], written: str | None, name: str | None, model_type: Any, where: str
) -> str:
    """Why a config is not read, in one sentence."""
    got = "no type at all"
    if written or model_type:
        got = f"`{written}`" if written else f"the model type {codec.shown(model_type)}"
    wanted = "an image processor that jaxprep reads"
    if name in classes.unread():
        kind = classes.unread()[name]["family"]
        got += ", with steps of its own" if kind == "odd" else f", of the kind '{kind}'"
        got += ", which it does not read"
    elif isinstance(content.get("auto_map"), dict):
        got += ", with code of its own in the repository (`auto_map`), which is never run"
    elif written:
        got += ", which is none of the image processors of Transformers 5"
    else:
        wanted = "`image_processor_type`, or a `config.json` beside it with a known `model_type`"
    return f"Expected {wanted}, got {got} - at `{where}.image_processor_type`."
