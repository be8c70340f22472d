"""Read configs from directories, files, addresses and the Hugging Face hub, and write them there.

The order in which files of a repository count is that of `get_image_processor_dict`:
https://github.com/huggingface/transformers/blob/main/src/transformers/image_processing_base.py
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from jaxprep import codec
from jaxprep.atomic import write_files
from jaxprep.errors import HubError, InputError, MissingPackageError, PresetNotFoundError
from jaxprep.formats.huggingface.read import IMAGES, Kind
from jaxprep.presets import files
from jaxprep.presets.sources import check_token, is_repository, resolve
from jaxprep.web import SECONDS, fetch, within

FILE = files.HUGGING_FACE[1]
REPOSITORY = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")
"""The name of a repository: no absolute path, no `..`."""


class ConfigFile(NamedTuple):
    """The content of a config file.

    Attributes:
        content: JSON data.
        model: of the `config.json` beside it, None if there is none.
        where: its file or address.

    >>> ConfigFile({"size": 8}, None, "preprocessor_config.json").content
    {'size': 8}
    """

    content: Any
    model: Any
    where: str


def find(
    name: str | os.PathLike[str],
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
    token: str | bool | None = None,
    revision: str | None = None,
    subfolder: str = "",
    proxies: Mapping[str, str] | None = None,
    image_processor_filename: str | None = None,
    kind: Kind = IMAGES,
) -> ConfigFile:
    """Read the config that a name stands for: an existing path, the address of a JSON file, or a
    repository of the hub.

    Args:
        name: looked up in this order.
        cache_dir, force_download, local_files_only, token, revision: as in `huggingface_hub`.
        subfolder: of a directory or a repository.
        proxies: by scheme, for an address.
        image_processor_filename: the file of a directory or repository.

    Raises:
        PresetNotFoundError: nothing answers to the name.
        HubError: the hub refuses or cannot be reached, and nothing is cached.
        ConfigError: the file holds no JSON, or a name is not one.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write('{"size": 8}', Path(folder, FILE))
    ...     find(folder).content
    {'size': 8}
    """
    if not isinstance(name, (str, os.PathLike)) or not os.fspath(name):
        raise codec.expected(
            "a path, an address or a repository", name, "pretrained_model_name_or_path"
        )
    text = os.fspath(name)
    if isinstance(text, bytes):
        text = text.decode()
    if not isinstance(subfolder, str):
        raise codec.expected("a folder inside the repository", subfolder, "subfolder")
    if subfolder and any(part in ("", ".", "..") for part in subfolder.split("/")):
        raise codec.expected("a folder inside the repository", subfolder, "subfolder")
    if "\0" not in text and os.path.exists(text):
        path = Path(text)
        return _read(path / subfolder if path.is_dir() else path, image_processor_filename, kind)
    if text.startswith(("http://", "https://")):
        # The page of a file on the hub, as one copies it from the browser.
        address = text.replace("/blob/", "/resolve/", 1)
        content = codec.loads(fetch(address, files.MAX_BYTES, proxies), text)
        return _refuse_folders(ConfigFile(content, None, text))
    repository = f"hf://{text.removeprefix('hf://')}"
    if not is_repository(text.removeprefix("hf://")):
        raise PresetNotFoundError(
            "Expected a path that exists, the http(s) address of a JSON file, or a repository of "
            f"the Hugging Face Hub as `user/name`, got {codec.shown(text)}."
        )
    own_files = kind.files if image_processor_filename is None else (image_processor_filename,)
    wanted = (files.HUGGING_FACE[0], *own_files, files.MODEL)
    folder = resolve(
        f"{repository}/{subfolder}" if subfolder else repository,
        # "main" is what the hub takes where no revision is given.
        revision=None if revision == "main" else revision,
        token=token,
        cache_dir=cache_dir,
        local_files_only=local_files_only,
        force_download=force_download,
        files=tuple(dict.fromkeys(wanted)),
    )
    return _refuse_folders(_read(folder, image_processor_filename, kind))


def _refuse_folders(found: ConfigFile) -> ConfigFile:
    """Refuse a config from outside that names a folder of this machine: `repo_path` of OneFormer is
    read as a directory where there is one, and only who runs the processor may say so.
    """
    outer = found.content if isinstance(found.content, dict) else {}
    for where, part in (("$", outer), ("$.image_processor", outer.get("image_processor"))):
        repo = part.get("repo_path") if isinstance(part, dict) else None
        if isinstance(repo, str) and not REPOSITORY.fullmatch(repo):
            raise codec.expected("the name of a repository", repo, f"{where}.repo_path")
    return found


def _read(path: Path, name: str | None, kind: Kind) -> ConfigFile:
    content, model, file = files.read_huggingface(path, name, kind)
    return ConfigFile(content, model, str(file))


def find_file(repo: str, name: str) -> tuple[Any, str]:
    """Read JSON data of a file that a config names, in a directory or a repository of the hub.

    Args:
        repo: a directory, or a repository of data sets or, if there is none, of models.
        name: the path of the file inside.

    Returns:
        the data, and the path of the file.

    Raises:
        ConfigError: the path leads out of the repository, or the file holds no JSON.
        PresetNotFoundError: there is no such file.
        HubError: the hub refuses or cannot be reached, and nothing is cached.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write('{"0": {"name": "sky"}}', Path(folder, "classes.json"))
    ...     find_file(folder, "classes.json")[0]
    {'0': {'name': 'sky'}}
    """
    folder, _, file = name.rpartition("/")
    if any(part in ("", ".", "..") for part in name.split("/")) or os.path.isabs(name):
        raise codec.expected("the path of a file inside the repository", name, "$.class_info_file")
    path = Path(repo) / name
    if not path.is_file():
        handle = f"hf://{repo}/{folder}" if folder else f"hf://{repo}"
        # `load_metadata` of transformers/models/oneformer/image_processing_oneformer.py looks in a
        # data set; some checkpoints hold the file themselves.
        try:
            path = resolve(handle, files=(file,), repo_type="dataset") / file
        except (HubError, PresetNotFoundError) as error:
            try:
                path = resolve(handle, files=(file,)) / file
            except (HubError, PresetNotFoundError):
                raise error from None  # the first place is where it belongs
    return files.load_json(path), str(path)


def write(text: str, file: Path) -> None:
    """Write a text file; where that fails, it is as it was.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write("{}", Path(folder, "a.json"))
    ...     find(Path(folder, "a.json")).content
    {}
    """
    write_files({file: text})


def push(
    text: str,
    name: str,
    repo_id: str,
    *,
    commit_message: str | None = None,
    commit_description: str | None = None,
    private: bool | None = None,
    token: str | bool | None = None,
    revision: str | None = None,
    create_pr: bool = False,
) -> Any:
    """Commit one file to a model repository of the hub, which is made if needed.

    Args:
        text: of the file.
        name: of the file.
        repo_id: of the repository, "user/name".
        commit_message, commit_description, private, token, revision, create_pr: as in
            `huggingface_hub.HfApi`.

    Returns:
        the hub's answer.

    Raises:
        InputError: `repo_id` is no name, or `token` no token.
        HubError: the hub refuses or cannot be reached.
        MissingPackageError: `huggingface_hub` is not installed.

    >>> push("{}", FILE, "")
    Traceback (most recent call last):
    jaxprep.errors.InputError: Expected the name of a repository, got '' - at `repo_id`.
    """
    try:
        from huggingface_hub import HfApi, constants
    except ImportError as error:
        raise MissingPackageError(
            "Expected the package `huggingface_hub`: pip install huggingface_hub."
        ) from error
    if not isinstance(repo_id, str) or not repo_id:
        raise InputError(f"Expected the name of a repository, got {repo_id!r} - at `repo_id`.")
    check_token(token)
    api = HfApi(token=token, library_name="jaxprep")

    def upload() -> Any:
        made = api.create_repo(repo_id, private=private, exist_ok=True)
        return api.upload_file(
            path_or_fileobj=text.encode(),
            path_in_repo=name,
            repo_id=made.repo_id,
            commit_message=commit_message or f"Upload {name}",
            commit_description=commit_description,
            revision=revision,
            create_pr=create_pr,
        )

    try:
        return within(SECONDS, files.MAX_BYTES, upload)
    # Of any kind: the package takes the shape of the hub's answers for granted.
    except Exception as error:
        # The hub's errors go on with the request's headers and a link to the log-in page, and
        # those of the HTTP package may quote the token.
        first = next(iter(str(error).splitlines()), "")
        raise HubError(
            f"Expected to push `{name}`, got {type(error).__name__}: {first} - at {repo_id}."
        ) from (None if "@" in constants.ENDPOINT else error)
