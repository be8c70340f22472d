"""From the content of a config and the keywords of a call to a typed config: no processor yet."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, get_args

from jaxprep import codec
from jaxprep.errors import ConfigError
from jaxprep.formats import Format, HuggingFace, Timm
from jaxprep.formats.huggingface import classes
from jaxprep.formats.huggingface.classes import Backend
from jaxprep.formats.huggingface.config import to_json_value
from jaxprep.formats.huggingface.frozen import Frozen
from jaxprep.formats.huggingface.read import IMAGES, TIMM, Kind, find_config
from jaxprep.formats.huggingface.settings import constructed, drop_unsaid, merged, split_keys
from jaxprep.formats.timm import from_timm_json
from jaxprep.formats.values import DataFormatName

JAXPREP_KEYS = ("exact", "reference")
"""Settings that Transformers does not have, which are not written to files."""
RESULT_KEYS = ("return_tensors", "device")
"""Arguments of a call that a config may hold, but that change nothing in it."""
CALL_KEYS = (*RESULT_KEYS, "input_data_format", "disable_grouping", "data_format")
"""What a call takes and a config need not."""
OCR_OPTIONS = re.compile(r"(\s*--(psm|oem)[ =]\d{1,2})*\s*")
"""What a file may say to Tesseract's command line: how it reads a page, and with which engine."""


class Parsed(NamedTuple):
    """A config that was read.

    Attributes:
        config: typed.
        content: its JSON data, with what keywords replaced; it is what is written back.
        unused: the keywords that replaced nothing.

    >>> parse({"image_processor_type": "ViTImageProcessor"}, {"color": "red"}).unused
    {'color': 'red'}
    """

    config: Format
    content: Frozen
    unused: dict[str, Any]


def parse(
    content: Any,
    kwargs: Mapping[str, Any],
    *,
    model: Any = None,
    class_name: str | None = None,
    backend: Backend | None = None,
    kind: Kind = IMAGES,
) -> Parsed:
    """Read the content of a config.

    Args:
        content: JSON data.
        kwargs: settings to replace, and `backend`, `exact`, `reference`.
        model: the content of the `config.json` beside it.
        class_name: the class, where the caller knows it.
        backend: the default of that keyword.
        kind: of images or of videos.

    Raises:
        ConfigError: a processor that is not read, or a wrong value.

    >>> parse({"image_processor_type": "ViTImageProcessor"}, {"size": 8}).config.image_size
    (8, 8)
    """
    document = find_config(content, model=model, class_name=class_name, kind=kind)
    backend = kwargs.get("backend") or backend
    fields, settings = split_keys(kwargs, JAXPREP_KEYS)
    settings.pop("backend", None)
    if document.class_name == TIMM:
        return _parse_timm(document.content, settings, fields)
    name = document.class_name
    known = classes.arguments(name) - set(RESULT_KEYS)
    # A keyword of DETR's former `from_pretrained`, which is no setting any more.
    if classes.known_row(name).max_size is not None:
        known |= {"max_size"}
    settings = _rename(settings, name, known)
    used, unused = split_keys(settings, known | document.content.keys())
    replaced = json_settings(drop_unsaid(name, used))
    if "tesseract_config" not in replaced:
        _check_ocr_options(document.content, document.where)
    full = merged(document.content, replaced)
    if kind is not IMAGES:
        # The file may have been an image processor's; what is written back is not.
        _, full = split_keys(full, IMAGES.type_keys)
    # The class is no setting: a processor that was saved and loaded equals the one before.
    _, settings = split_keys(full, kind.type_keys)
    try:
        config = config_of(name, settings, backend, **fields)
    except ConfigError as error:
        raise ConfigError(str(error).replace("`$", f"`{document.where}", 1)) from error
    # Written back, it shall name its class even where it was known by its model.
    if not any(full.get(key) for key in kind.type_keys):
        full = {**full, kind.type_keys[0]: name}
    return Parsed(config, Frozen(full), unused)


def _check_ocr_options(content: Mapping[str, Any], where: str) -> None:
    """Raise `ConfigError` where a file gives Tesseract other options than `OCR_OPTIONS`: `-c` makes
    it write files, and a file is data from anywhere. A caller may pass any.
    """
    options = content.get("tesseract_config")
    if isinstance(options, str) and not OCR_OPTIONS.fullmatch(options):
        raise codec.expected(
            "`--psm` and `--oem` alone in a file (other options of Tesseract are passed as a "
            "keyword)",
            options,
            f"{where}.tesseract_config",
        )


def _parse_timm(
    content: dict[str, Any], settings: dict[str, Any], fields: dict[str, Any]
) -> Parsed:
    used, unused = split_keys(settings, codec.field_types(Timm))
    # Transformers returns channels first whatever library the model is from.
    overrides = {"data_format": "channels_first", **fields, **used}
    codec.check_json(content)  # all of it is written back, what timm does not read too
    return Parsed(from_timm_json(content).overridden(overrides), Frozen(content), unused)


def _rename(settings: Mapping[str, Any], name: str, known: Collection[str]) -> dict[str, Any]:
    """Settings that had other names in former releases, by those of Transformers 5."""
    renamed = dict(settings)
    for old, new in classes.renamed(name).items():
        is_taken = new in settings or old in known
        if old in renamed and new in known and not is_taken:
            renamed[new] = renamed.pop(old)
    return renamed


def config_of(name: str, settings: Mapping[str, Any], backend: Any, **fields: Any) -> HuggingFace:
    """Return the config of a class, channels first unless the settings say otherwise.

    Args:
        fields: other fields of `HuggingFace`.

    Raises:
        ConfigError: a backend, layout or setting that the class does not take.

    >>> config_of("ViTImageProcessor", {}, "pil").data_format
    'channels_first'
    """
    if backend not in (None, *get_args(Backend)):
        raise codec.expected(f"one of {list(get_args(Backend))}", backend, "backend")
    available = classes.known_row(name).backends
    # Transformers falls back too, where a class has one backend only.
    if backend is not None and backend not in available:
        warnings.warn(
            f"`{name}` has no backend {backend!r}; {available[0]!r} is used.", stacklevel=4
        )
    data_format = layout_named(settings.get("data_format"), "$.data_format") or "channels_first"
    settings = constructed(name, settings)
    return HuggingFace(name, settings, backend or available[0], data_format, **fields)


def json_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings of a caller as JSON has them; enumerations of Transformers by their values.

    A file of this machine as `class_info_file` of OneFormer becomes a directory and a name in it.
    Only a caller may name one: in a file, which is data from anywhere, it is refused.

    >>> json_settings({"size": (8, 6)})
    {'size': [8, 6]}
    >>> json_settings({"class_info_file": "/data/classes.json"})
    {'class_info_file': 'classes.json', 'repo_path': '/data'}
    """
    plain = {key: getattr(value, "value", value) for key, value in settings.items()}
    plain |= _local_class_info(plain)
    return {key: to_json_value(value) for key, value in plain.items()}


def _local_class_info(settings: Mapping[str, Any]) -> dict[str, str]:
    """`repo_path` and `class_info_file` for a path of this machine: an absolute one, a `Path`, or
    any where `repo_path` is None, as `load_metadata` of
    transformers/models/oneformer/image_processing_oneformer.py joins the two.
    """
    file = settings.get("class_info_file")
    is_local = isinstance(file, os.PathLike) or (isinstance(file, str) and os.path.isabs(file))
    if isinstance(file, str) and file and settings.get("repo_path", "") is None:
        is_local = True
    if not is_local:
        return {}
    assert file is not None
    folder, name = os.path.split(os.path.abspath(os.fspath(file)))
    return {"repo_path": folder, "class_info_file": name}


def layout_named(value: Any, where: str) -> DataFormatName | None:
    """Return a layout by its name, or by Transformers' `ChannelDimension`; None stays None.

    Raises:
        ConfigError: anything else.

    >>> layout_named("channels_last", "data_format")
    'channels_last'
    """
    name = getattr(value, "value", value)
    if name is not None and name not in get_args(DataFormatName):
        raise codec.expected(f"one of {list(get_args(DataFormatName))} or None", value, where)
    return name
