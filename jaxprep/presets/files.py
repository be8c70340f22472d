"""Reads a config from a file or a directory of any registered format, and writes one."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

from jaxprep import codec
from jaxprep.atomic import check_is_local, write_files
from jaxprep.errors import ConfigError, JaxprepError, PresetNotFoundError
from jaxprep.formats import Format, HuggingFace, KerasHub
from jaxprep.formats.base import MODEL_FILE as MODEL
from jaxprep.formats.huggingface.read import IMAGES, Kind
from jaxprep.formats.keras import from_keras_json
from jaxprep.formats.keras_hub import PREPROCESSOR
from jaxprep.formats.registry import file_names, format_of, load_extensions, registered
from jaxprep.resources import NotRegularError, TooLargeError, read_regular

OURS = "jaxprep.json"
VERSION = 1
"""Of `jaxprep.json`. A file of another version is refused."""
MAX_BYTES = 10 * 2**20
"""The size of the largest file that is read; the largest that is published is below 1 MB."""
HUGGING_FACE = HuggingFace.files[:2]
"""`processor_config.json`, and `preprocessor_config.json`, which older releases write."""


def preset_files() -> tuple[str, ...]:
    """Return the files that may hold a config; of those in a directory the first that does is read.

    >>> preset_files()[0], preset_files()[-1]
    ('jaxprep.json', 'config.json')
    """
    return (OURS, *file_names())


def to_json(preprocessor: Format) -> dict[str, Any]:
    """Return the content of `jaxprep.json`, JSON data that says all of a config.

    Raises:
        ConfigError: a step of a user has a field that JSON does not hold.

    >>> to_json(KerasHub(image_size=(4, 4)))["preprocessor"]["image_size"]
    [4, 4]
    """
    content = {"jaxprep": VERSION, "preprocessor": codec.to_json(preprocessor)}
    codec.check_json(content, max_depth=codec.MAX_FILE_DEPTH)  # a step may hold a function
    return content


def from_json(content: Any, where: str = "$", model: Any = None) -> Format:
    """Return the config of JSON data, of `to_json` or of any registered format.

    Args:
        content: the data.
        where: its position in the file, for messages.
        model: the content of the `config.json` in the same folder, for a Hugging Face config that
            does not name its class.

    Raises:
        ConfigError: no format reads it; or it has a wrong value, an unknown field, or the version
            of another jaxprep.

    >>> from_json({"pretrained_cfg": {"input_size": [3, 32, 32]}}).image_size
    (32, 32)
    """
    if not isinstance(content, dict):
        raise codec.expected("an object", content, where)
    codec.check_json(content, where, max_depth=codec.MAX_FILE_DEPTH)
    if "jaxprep" in content:
        return _from_our_json(content, where)
    format = format_of(content)
    if format is None:
        libraries = ", ".join(known.library for known in registered() if known.library)
        keys = codec.shown(sorted(map(str, content)))
        raise ConfigError(
            f"Expected a config of jaxprep or one of {libraries}, got an object with the keys "
            f"{keys} - at `{where}`."
        )
    return format.read(content, where, model)


def _from_our_json(content: dict[str, Any], where: str) -> Format:
    version = content["jaxprep"]
    # A later version may mean something else by the same fields: a wrong image would not show.
    if version != VERSION:
        supported = f"version {VERSION}, which this jaxprep reads"
        raise codec.expected(supported, version, f"{where}.jaxprep")
    known = ["jaxprep", "preprocessor"]
    unknown = sorted(content.keys() - set(known))
    if unknown:
        raise ConfigError(f"Unknown field - at `{where}.{unknown[0]}`. Known: {known}.")
    load_extensions()  # it may be one of theirs
    kind: Any = Format  # abstract, which pyright refuses where a class is made
    return codec.from_json(kind, content.get("preprocessor"), f"{where}.preprocessor")


def read(path: Path, config_file: str | None = None) -> Format:
    """Read the config of a JSON file or of a directory.

    Args:
        path: of a directory the first of `preset_files()` that holds a config is read.
        config_file: the file of the directory to read instead.

    Raises:
        PresetNotFoundError: no such file, or none in the directory.
        ConfigError: a file that cannot be read as a config, or two files that contradict each
            other.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(KerasHub(image_size=(4, 4)), Path(folder))
    ...     read(Path(folder)).image_size
    (4, 4)
    """
    if not path.is_dir():
        archived = _archived(path)
        return _parse(path, load_json(path)) if archived is None else archived
    # The default of the facade, which is KerasHub's, asks for no file in particular.
    if config_file is not None and config_file != PREPROCESSOR:
        file = _inside(path, config_file)
        return _parse(file, load_json(file))
    without_config = []
    for name in preset_files():
        file = path / name
        if not file.is_file():
            continue
        without_config.append(name)
        content = load_json(file)
        if name == OURS:
            config = _parse(file, content)
            for other in KerasHub.files:
                _check_agreement(config, file, path / other)
            return config
        if format_of(content) is not None:
            return _parse(file, content)
    # The `config.json` of a model is in most folders, and often says nothing of its images.
    searched = f" in its {without_config}" if without_config else ""
    raise PresetNotFoundError(
        f"Expected one of {list(preset_files())} that holds a config of images, found "
        f"none{searched} - in `{path}`."
    )


def read_huggingface(
    path: Path, name: str | None = None, kind: Kind = IMAGES
) -> tuple[Any, Any, Path]:
    """Read the JSON data of a Hugging Face config.

    Args:
        path: a file or a directory. Of a directory `processor_config.json` is read if it holds a
            processor of the kind, else the first of `kind.files` that is there, else, for images,
            the `config.json` of a timm model.
        name: the file of the directory to read instead of `kind.files`.
        kind: of images or of videos.

    Returns:
        the data; that of the `config.json` in the same directory, None if none can be read; and the
        file.

    Raises:
        PresetNotFoundError: no such file, or none in the directory.
        ConfigError: a file that is not JSON.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     file = Path(folder, "preprocessor_config.json")
    ...     _ = file.write_text('{"image_processor_type": "ViTImageProcessor"}')
    ...     read_huggingface(Path(folder))[0]
    {'image_processor_type': 'ViTImageProcessor'}
    """
    if not path.is_dir():
        return load_json(path), _model_of(path), path
    own_files = kind.files if name is None else (name,)
    wanted = [HUGGING_FACE[0], *own_files, *([MODEL] if kind is IMAGES else [])]
    for file in [_inside(path, name) for name in wanted]:
        if not file.is_file():
            continue
        content = load_json(file)
        keys = content if isinstance(content, dict) else {}
        is_timm = kind is IMAGES and "pretrained_cfg" in keys
        holds_processor = isinstance(keys.get(kind.key), dict) or is_timm
        # A file of the kind's own is a processor's whatever it holds: that it is a wrong one is for
        # its reader to say.
        if holds_processor or file.name in own_files:
            return content, _model_of(file), file
    raise PresetNotFoundError(
        f"Expected a file of the {kind.noun}, one of {wanted}, found none - in `{path}`."
    )


def write(preprocessor: Format, directory: Path, config_file: str = PREPROCESSOR) -> None:
    """Write a config to a directory, which is made if needed; its other files stay as they are.

    Args:
        preprocessor: the config.
        directory: gets `jaxprep.json`, and the files of the format's library where they can say the
            same.
        config_file: the name of the library's main file.

    Raises:
        ConfigError: KerasHub's files are there, say something else, and cannot say this; nothing is
            written.
        OSError: a file cannot be written; all are as they were.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(KerasHub(image_size=(4, 4), interpolation="box"), Path(folder))
    ...     os.listdir(folder)  # KerasHub has no box filter
    ['jaxprep.json']
    """
    _inside(directory, config_file)
    contents = preprocessor.library_files(config_file)
    # KerasHub would read its files and not ours: they must not say something else.
    for name in {*KerasHub.files, config_file} - contents.keys():
        _check_agreement(preprocessor, directory / OURS, directory / name)
    texts = {directory / name: json.dumps(content, indent=4) for name, content in contents.items()}
    texts[directory / OURS] = codec.dumps(to_json(preprocessor))
    directory.mkdir(parents=True, exist_ok=True)
    write_files(texts)


def as_path(value: Any, where: str) -> Path:
    """Return a path that a caller gives.

    Raises:
        ConfigError: no path: nothing, an empty text, or one with a null character.
        InputError: an address.

    >>> as_path("folder", "directory").name
    'folder'
    """
    is_path = isinstance(value, (str, os.PathLike)) and isinstance(os.fspath(value), str)
    # An empty text is the working folder to `Path`, which nobody means.
    if not is_path or not os.fspath(value) or "\0" in os.fspath(value):
        raise codec.expected("a path", value, where)
    check_is_local(value, where)
    return Path(value)


def load_json(file: Path) -> Any:
    """Return the JSON data of a regular file of at most `MAX_BYTES`.

    Raises:
        PresetNotFoundError: no such file.
        ConfigError: a file that is larger, cannot be read, or is not JSON; a named pipe or device.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.json").write_text('{"size": 4}')
    ...     load_json(Path(folder, "a.json"))
    {'size': 4}
    """
    return codec.loads(_read(file), str(file))


def _archived(file: Path) -> Format | None:
    """Return the config in a `.keras` archive; None for a file that is no zip archive.

    Only `config.json` is read, into memory: nothing is extracted, and no code is run.
    https://keras.io/guides/serialization_and_saving/
    """
    if file.suffix != ".keras":
        return None
    try:
        with zipfile.ZipFile(io.BytesIO(_read(file))) as archive, archive.open(MODEL) as member:
            # What it says of its size may be a lie.
            text = member.read(MAX_BYTES + 1)
    except KeyError as error:
        raise ConfigError(
            f"Expected an archive with `{MODEL}`, got one without - in `{file}`."
        ) from (error)
    except JaxprepError:
        raise
    # Damaged, encrypted, or packed by a method that Python does not have: each has errors of its
    # own, also `lzma.LZMAError` and `OSError`.
    except Exception as error:
        raise ConfigError(f"Expected a `.keras` archive, got: {error} - in `{file}`.") from error
    if len(text) > MAX_BYTES:
        raise ConfigError(f"Expected at most {MAX_BYTES} bytes of `{MODEL}` - in `{file}`.")
    content = codec.loads(text, str(file))
    try:
        codec.check_json(content, "$", max_depth=codec.MAX_FILE_DEPTH)
        return from_keras_json(content)
    except ConfigError as error:
        raise ConfigError(f"{error} In `{file}`.") from error


def _read(file: Path) -> bytes:
    try:
        # A folder from a hub may hold weights under any name, and a path may lead to a device.
        return read_regular(file, MAX_BYTES)
    except FileNotFoundError as error:
        raise PresetNotFoundError(
            f"Expected a file or a directory, got nothing - at `{file}`."
        ) from error
    except (NotRegularError, TooLargeError) as error:
        message = str(error)
        raise ConfigError(f"{message[0].upper()}{message[1:]} - in `{file}`.") from error
    except OSError as error:
        raise ConfigError(
            f"Expected a file that can be read, got {error.strerror or error} - in `{file}`."
        ) from error


def _inside(directory: Path, name: str) -> Path:
    """Return a file of a directory, given by its bare name: never one outside of the directory."""
    is_text = isinstance(name, str)
    is_bare = is_text and name == os.path.basename(name) and "\\" not in name and "\0" not in name
    if not is_bare or name in ("", ".", ".."):
        raise codec.expected("the name of a file, without a directory", name, "config_file")
    return directory / name


def _model_of(file: Path) -> Any:
    """Return the content of the `config.json` next to a file; None if none can be read."""
    model = file.with_name(MODEL)
    if not model.is_file():
        return None
    # Only its type is looked at, and nothing of it is written again: it may hold what a config of
    # ours may not, as the `Infinity` in Mamba's.
    try:
        return json.loads(_read(model))
    except (ValueError, RecursionError):
        return None


def _parse(file: Path, content: Any) -> Format:
    """Return the config of a file's content; errors name the file."""
    try:
        return from_json(content, model=_model_of(file))
    except ConfigError as error:
        text = str(error)
        raise ConfigError(text if str(file) in text else f"{text} In `{file}`.") from error


def _check_agreement(config: Format, file: Path, other: Path) -> None:
    """Raise `ConfigError` where a file of KerasHub's says something else than the config of ours.

    Args:
        config: what our file says or will say.
        file: our file.
        other: a file that may be KerasHub's.
    """
    if not other.is_file():
        return
    content = load_json(other)
    if format_of(content) is not KerasHub:
        return
    try:
        others = from_json(content)
    except JaxprepError as error:
        raise ConfigError(
            f"Expected `{other}` to agree with `{file}`, got a file that cannot be read: {error}"
        ) from error
    # KerasHub has no word for `exact`.
    if others.pipeline.replace(exact=config.pipeline.exact) != config.pipeline:
        raise ConfigError(
            f"Expected `{other}` to agree with `{file}`, got another preprocessing: remove one of "
            "them."
        )
