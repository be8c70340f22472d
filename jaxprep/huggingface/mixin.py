"""`ImageProcessingMixin`: the config of an image or video processor in a file, in a directory, on
the hub.

The methods are those of `ImageProcessingMixin`:
https://github.com/huggingface/transformers/blob/main/src/transformers/image_processing_base.py
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Self

from jaxprep import codec
from jaxprep.errors import ArgumentError, ConfigError
from jaxprep.formats import Format, HuggingFace
from jaxprep.formats.huggingface.classes import Backend
from jaxprep.formats.huggingface.frozen import Frozen, SizeDict, thawed
from jaxprep.formats.huggingface.read import IMAGES, TYPE_KEYS, Kind
from jaxprep.formats.huggingface.settings import drop_none, split_keys
from jaxprep.huggingface import hub
from jaxprep.huggingface.configs import (
    JAXPREP_KEYS,
    config_of,
    json_settings,
    parse,
)
from jaxprep.presets.files import as_path

SOURCE_KEYS = (
    "cache_dir",
    "force_download",
    "image_processor_filename",
    "local_files_only",
    "proxies",
    "revision",
    "subfolder",
    "token",
)
"""Keywords that say where a config is."""
IGNORED_KEYS = (
    "_commit_hash",
    "_from_auto",
    "_from_pipeline",
    "code_revision",
    "config",
    "resume_download",
    "trust_remote_code",
    "use_fast",
    "user_agent",
)
"""Keywords that Transformers takes and that change nothing here."""
SIZE_KEYS = {
    *("size", "crop_size", "pad_size", "mask_size", "mask_pad_size"),
    *("codebook_size", "codebook_crop_size", "high_res_size"),
}
"""Settings that are sizes in any of their forms."""
PUSH_KEYS = ("commit_message", "commit_description", "private", "revision", "create_pr")


class ImageProcessingMixin:
    """Reads the config of an image processor, and writes it back.

    >>> import tempfile
    >>> from jaxprep.huggingface import ViTImageProcessor
    >>> processor = ViTImageProcessor(size={"height": 8, "width": 8})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = processor.save_pretrained(folder)
    ...     ViTImageProcessor.from_pretrained(folder).size
    {'height': 8, 'width': 8}
    """

    class_name: ClassVar[str | None] = None
    """The row of the table; None for the base classes, where the config names it."""
    backend_name: ClassVar[Backend | None] = None
    kind: ClassVar[Kind] = IMAGES
    """Of images or of videos: which files and keys the config is in."""

    _config: Format
    _content: Frozen

    def __init__(self, backend: Backend | None = None, **kwargs: Any):
        """Make a processor of this class.

        Args:
            backend: "torchvision", the default, or "pil".
            kwargs: settings, by the names of the class; what is not given is the class' default.
                Also `exact` and `reference`, see `jaxprep.formats.HuggingFace`.

        Raises:
            ConfigError: a value that a setting does not take, or a base class, which has none.
        """
        name = self.class_name
        if name is None:
            raise ConfigError(
                f"Expected a class of its own, got `{type(self).__name__}`, which has no settings: "
                "use `from_pretrained` or `from_dict`, or one such as `CLIPImageProcessor`."
            )
        # A config's content may be passed as keywords: `cls(**content)`.
        ignored = (*TYPE_KEYS, *self.kind.type_keys, "processor_class")
        _, given = split_keys(kwargs, ignored)
        fields, given = split_keys(given, JAXPREP_KEYS)
        config = config_of(name, json_settings(given), backend or self.backend_name, **fields)
        # Transformers writes out every setting of the class, and sizes in full.
        defaults = {key: config.effective.get(key) for key in config.row.defaults}
        sizes = {key: size_of(config, key) for key in SIZE_KEYS & given.keys()}
        full = {**defaults, **drop_none(config.settings), **sizes}
        self._set(replace(config, settings=Frozen(full)), {**full, self.kind.type_keys[0]: name})

    def _set(self, config: Format, content: Mapping[str, Any]) -> None:
        # Past `__setattr__`, which is for settings.
        object.__setattr__(self, "_config", config)
        object.__setattr__(self, "_content", Frozen(content))

    @classmethod
    def _of(cls, config: Format, content: Mapping[str, Any]) -> Self:
        """A processor of a config, of this class or, on a base class, of the config's own."""
        processor = object.__new__(cls._type_of(config))
        processor._set(config, content)
        return processor

    @classmethod
    def _type_of(cls, config: Format) -> type[Self]:
        """The type of the processor of a config."""
        del config
        return cls

    # -- reading ------------------------------------------------------------------------------

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | os.PathLike[str],
        cache_dir: str | os.PathLike[str] | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        revision: str | None = "main",
        **kwargs: Any,
    ) -> Any:
        """Read the processor of a repository, a directory, or a JSON file.

        Args:
            pretrained_model_name_or_path: the id of a model repository on the hub, a directory, a
                JSON file, or the address of one.
            cache_dir, force_download, local_files_only, token, revision: as in `huggingface_hub`;
                `token` was `use_auth_token`.
            kwargs: settings that replace those of the file; `backend`, `exact`, `reference`;
                `subfolder`, `proxies` (for an address), `image_processor_filename`; and
                `return_unused_kwargs`, with which the result is the processor and the keywords that
                it has no use for.

        Raises:
            PresetNotFoundError: nothing answers to the name.
            HubError: the hub refuses or cannot be reached, and nothing is cached.
            ConfigError: an image processor that is not read, or a wrong value.
        """
        # The former name of `token`.
        old_token = kwargs.pop("use_auth_token", None)
        kwargs |= {
            "cache_dir": cache_dir,
            "force_download": force_download,
            "local_files_only": local_files_only,
            "revision": revision,
            "token": old_token if token is None else token,
        }
        source, kwargs = split_keys(kwargs, SOURCE_KEYS)
        file = hub.find(pretrained_model_name_or_path, kind=cls.kind, **source)
        try:
            return cls._read(file.content, file.model, kwargs)
        except ConfigError as error:
            raise ConfigError(f"{error} In `{file.where}`.") from error

    @classmethod
    def _read(cls, content: Any, model: Any, kwargs: Mapping[str, Any]) -> Any:
        wants_unused = kwargs.get("return_unused_kwargs", False)
        _, settings = split_keys(kwargs, (*IGNORED_KEYS, "return_unused_kwargs"))
        parsed = parse(
            content,
            settings,
            model=model,
            class_name=cls.class_name,
            backend=cls.backend_name,
            kind=cls.kind,
        )
        processor = cls._of(parsed.config, parsed.content)
        return (processor, parsed.unused) if wants_unused else processor

    @classmethod
    def get_image_processor_dict(
        cls, pretrained_model_name_or_path: str | os.PathLike[str], **kwargs: Any
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Read the content of a config file, unchanged.

        Args:
            pretrained_model_name_or_path: as in `from_pretrained`.
            kwargs: as in `from_pretrained`.

        Returns:
            the content, and the keywords that do not say where it is.
        """
        source, others = split_keys(kwargs, SOURCE_KEYS)
        content = hub.find(pretrained_model_name_or_path, kind=cls.kind, **source).content
        nested = isinstance(content, dict) and content.get(cls.kind.key)
        if isinstance(nested, dict):
            content = nested
        if not isinstance(content, dict):
            raise codec.expected("an object", content, "$")
        _, unused = split_keys(others, IGNORED_KEYS)
        return copy.deepcopy(content), unused

    @classmethod
    def from_dict(cls, image_processor_dict: Mapping[str, Any], **kwargs: Any) -> Any:
        """Make the processor of a config's content; keywords as in `from_pretrained`.

        >>> from jaxprep.huggingface import BaseImageProcessor
        >>> content = {"image_processor_type": "ViTImageProcessor", "size": 8}
        >>> BaseImageProcessor.from_dict(content).size
        {'height': 8, 'width': 8}
        """
        if not isinstance(image_processor_dict, Mapping):
            raise codec.expected("an object", image_processor_dict, "$")
        return cls._read(dict(image_processor_dict), None, kwargs)

    @classmethod
    def from_json_file(cls, json_file: str | os.PathLike[str]) -> Any:
        """Read the processor of a JSON file."""
        return cls.from_pretrained(Path(json_file))

    # -- writing ------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Return the content of the config that was read, with the settings that were replaced
        since; of a processor that was not read, all settings.
        """
        return thawed(self._content)

    def to_json_string(self) -> str:
        """Return `to_dict` as JSON: two spaces, sorted, one trailing newline."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def to_json_file(self, json_file_path: str | os.PathLike[str]) -> None:
        """Write `to_json_string` to a file."""
        hub.write(self.to_json_string(), Path(json_file_path))

    def save_pretrained(
        self, save_directory: str | os.PathLike[str], push_to_hub: bool = False, **kwargs: Any
    ) -> list[str]:
        """Write the config, `preprocessor_config.json`, to a directory, which is made if needed;
        that of a video processor is `video_preprocessor_config.json`.

        Args:
            save_directory: its path.
            push_to_hub: commit it to the hub too, to the repository `repo_id`, by default that of
                the directory's name.
            kwargs: `repo_id` and the keywords of `push_to_hub`.

        Returns:
            the path of the file, in a list.

        Raises:
            AssertionError: the path is a file.
            ConfigError: it is no path.
        """
        directory = as_path(save_directory, "save_directory")
        if directory.is_file():
            # `save_pretrained` of transformers/image_processing_base.py raises this type.
            raise AssertionError(
                f"Provided path ({save_directory}) should be a directory, not a file"
            )
        directory.mkdir(parents=True, exist_ok=True)
        file = directory / self.kind.files[0]
        self.to_json_file(file)
        if push_to_hub:
            self.push_to_hub(kwargs.pop("repo_id", directory.name), **kwargs)
        return [str(file)]

    def push_to_hub(self, repo_id: str, token: str | bool | None = None, **kwargs: Any) -> Any:
        """Commit the config, as `save_pretrained` writes it, to a repository on the hub, which is
        made if needed.

        Args:
            repo_id: of the repository, "user/name".
            token: of the hub; by default that of the log-in.
            kwargs: `commit_message`, `commit_description`, `private`, `revision`, `create_pr`, as
                in `huggingface_hub`.

        Raises:
            HubError: the hub refuses or cannot be reached.
        """
        auth = kwargs.pop("use_auth_token", None)
        unknown = sorted(set(kwargs) - set(PUSH_KEYS))
        if unknown:
            raise ArgumentError(f"Expected one of {list(PUSH_KEYS)}, got `{unknown[0]}`.")
        return hub.push(
            self.to_json_string(),
            self.kind.files[0],
            repo_id,
            token=auth if token is None else token,
            **{"commit_message": f"Upload {self.kind.noun}", **drop_none(kwargs)},
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__} {self.to_json_string()}"


def size_of(config: HuggingFace, key: str) -> SizeDict | None:
    """Return a size setting as an object with one of Transformers' sets of keys.

    >>> size_of(HuggingFace("ViTImageProcessor", {"size": 8}), "size")
    {'height': 8, 'width': 8}
    """
    edges = config.effective.edges(key)
    return None if edges is None else edges.to_dict()
