"""Find the image or video processor in the JSON files of a Hub repository. No code of a repository
is ever run.
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
"""The class of Transformers that runs timm's own transforms: `jaxprep.formats.Timm`."""
TIMM_MODEL = "timm_wrapper"
"""Its model type."""
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


class Kind(NamedTuple):
    """Tells processors of images from those of videos in the files of a repository.

    Attributes:
        key: of `processor_config.json`, under which the config is.
        type_keys: the keys that name the class; the first is the one that is written.
        files: where the config is when it is not in `processor_config.json`, in order; the first is
            the one that is written.
        noun: what messages call one.

    >>> VIDEOS.files
    ('video_preprocessor_config.json', 'preprocessor_config.json')
    """

    key: str
    type_keys: tuple[str, ...]
    files: tuple[str, ...]
    noun: str


IMAGES = Kind("image_processor", TYPE_KEYS, ("preprocessor_config.json",), "image processor")
VIDEOS = Kind(
    "video_processor",
    ("video_processor_type",),
    ("video_preprocessor_config.json", "preprocessor_config.json"),
    "video processor",
)


class Document(NamedTuple):
    """A processor's config in a file of a repository, and the class that it is for.

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
    kind: Kind = IMAGES,
) -> Document:
    """Find the config in the content of `preprocessor_config.json`, of `processor_config.json`, or
    of timm's `config.json`.

    Args:
        content: JSON data of the file.
        where: the file's name in messages.
        model: the content of the `config.json` beside it, whose `model_type` counts where the class
            is not named.
        class_name: the class, where the caller knows it.
        kind: `IMAGES` or `VIDEOS`.

    Raises:
        ConfigError: a processor that is not read; the message names its type and says why.

    >>> find_config({"feature_extractor_type": "CLIPFeatureExtractor"}).class_name
    'CLIPImageProcessor'
    """
    if not isinstance(content, dict):
        raise codec.expected("an object", content, where)
    # `processor_config.json` holds the processor's under this key.
    if isinstance(content.get(kind.key), dict):
        content = content[kind.key]
        where = f"{where}.{kind.key}"
    # A file is data from anywhere; its keys go into hashes and error messages.
    if len(content) > MAX_KEYS:
        raise codec.expected(f"at most {MAX_KEYS} keys", len(content), where)
    if not class_name:
        find_class = _class_of if kind is IMAGES else _video_class_of
        class_name = find_class(content, where, model)
    return Document(class_name, content, where)


def _written(
    content: dict[str, Any], where: str, keys: tuple[str, ...] = TYPE_KEYS
) -> list[tuple[str, str]]:
    """The keys that name a class, with the names."""
    written = [(key, content[key]) for key in keys if content.get(key) is not None]
    for key, value in written:
        if not isinstance(value, str) or not value or len(value) > 200:
            raise codec.expected("the name of a class", value, f"{where}.{key}")
    return written


def _class_of(content: dict[str, Any], where: str, model: Any) -> str:
    """The class that a config of images is for, by its name in Transformers 5."""
    written = _written(content, where)
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
    if not names and (model_type == TIMM_MODEL or "pretrained_cfg" in content):
        return TIMM
    if names and names[0] == TIMM:
        if "pretrained_cfg" not in content:
            raise codec.expected("an object, what timm is told", None, f"{where}.pretrained_cfg")
        return TIMM
    type_name = written[0][1] if written else None
    raise _unknown(content, type_name, model_type, where)


def _video_class_of(content: dict[str, Any], where: str, model: Any) -> str:
    """The class that a config of videos is for.

    The order is that of `AutoVideoProcessor.from_pretrained` in
    https://github.com/huggingface/transformers/blob/main/src/transformers/models/auto/video_processing_auto.py
    An older file is an image processor's, whose class names that of the videos.
    """
    model_type = model.get("model_type") if isinstance(model, dict) else None
    of_model = classes.video_of_model(model_type) if isinstance(model_type, str) else None
    written = _written(content, where, VIDEOS.type_keys)
    image_names = [name for _, name in _written(content, where)]
    candidates: list[str | None] = [name for _, name in written]
    if not written:
        # The name as it is, then the model's, then the name without the suffixes of former
        # releases, with which the original finds nothing.
        candidates += [_as_video(name) for name in image_names]
        candidates += [of_model, *(_as_video(classes.canonical(name)) for name in image_names)]
    rows = classes.video_rows()
    found = next((name for name in candidates if name in rows), None)
    if found is not None:
        return found
    got = "no type at all"
    if written:
        got = f"`{written[0][1]}`"
    elif image_names:
        got = f"`{image_names[0]}`, which has none for videos"
    if isinstance(content.get("auto_map"), dict):
        got += ", with code of its own in the repository (`auto_map`), which is never run"
    elif model_type and of_model is None:
        got += f", and the model type {codec.shown(model_type)}"
    raise ConfigError(
        f"Expected a video processor that jaxprep reads, got {got} - at "
        f"`{where}.video_processor_type`."
    )


def _as_video(name: str) -> str:
    return name.replace("ImageProcessor", "VideoProcessor")


def _unknown(
    content: dict[str, Any],
    written: str | None,
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
    # `auto_map` names Python files of the repository, which Transformers runs with
    # `trust_remote_code`.
    if isinstance(content.get("auto_map"), dict):
        got += ", with code of its own in the repository (`auto_map`), which is never run"
    elif written:
        got += ", which is none of the image processors of Transformers 5"
    elif isinstance(content.get(VIDEOS.type_keys[0]), str):
        got = "a processor of videos, which `jaxprep.AutoVideoProcessor` reads"
    else:
        wanted = "`image_processor_type`, or a `config.json` beside it with a known `model_type`"
    return ConfigError(f"Expected {wanted}, got {got} - at `{where}.image_processor_type`.")
