"""Preset files: reading a config from a file or a directory of any known format, and writing
one.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from jaxprep import codec
from jaxprep.atomic import write_files
from jaxprep.errors import ConfigError, JaxprepError, PresetNotFoundError
from jaxprep.formats import Format, HuggingFace, KerasHub
from jaxprep.formats.base import MODEL_FILE as MODEL
from jaxprep.formats.keras_hub import PREPROCESSOR
from jaxprep.formats.registry import file_names, format_of, registered

OURS = "jaxprep.json"
VERSION = 1
"""Of `jaxprep.json`. A file of another version is refused."""

MAX_BYTES = 10 * 2**20
"""The size of the largest file that is read; the largest that is published is below 1 MB."""

HUGGING_FACE = HuggingFace.files[:2]


def preset_files() -> tuple[str, ...]:
    """The files that may hold a config; of those in a directory the first that does is read.

    >>> preset_files()[0], preset_files()[-1]
    ('jaxprep.json', 'config.json')
    """
    return (OURS, *file_names())


def to_json(preprocessor: Format) -> dict[str, Any]:
    """The content of our own file, plain JSON data; keep it beside a checkpoint."""
    return {"jaxprep": VERSION, "preprocessor": codec.to_json(preprocessor)}


def from_json(content: Any, where: str = "$", model: Any = None) -> Format:
    """The config of JSON data of any known format.

    Args:
        model: the content of the `config.json` beside it, for a Hugging Face config that does not
            name its class.

    Raises:
        ConfigError: none of them; or one with a wrong value, an unknown field, or a version of ours
            that is newer.
    """
    if not isinstance(content, dict):
        raise codec.expected("an object", content, where)
    if "jaxprep" in content:
        if content["jaxprep"] != VERSION:
            raise codec.expected(
                f"version {VERSION}, which this jaxprep reads",
                content["jaxprep"],
                f"{where}.jaxprep",
            )
        unknown = sorted(set(content) - {"jaxprep", "preprocessor"})
        if unknown:
            raise ConfigError(
                f"Unknown field - at `{where}.{unknown[0]}`. Known: ['jaxprep', 'preprocessor']."
            )
        return codec.from_json(Format, content.get("preprocessor"), f"{where}.preprocessor")  # type: ignore[type-abstract]
    format = format_of(content)
    if format is None:
        libraries = ", ".join(known.library for known in registered() if known.library)
        raise ConfigError(
            f"Expected a config of jaxprep or one of {libraries}, got an object with the keys "
            f"{codec.shown(sorted(map(str, content)))} - at `{where}`."
        )
    return format.read(content, where, model)


def read(path: Path, config_file: str | None = None) -> Format:
    """The config of a JSON file, or of the first file of `preset_files()` that a directory has.

    Args:
        config_file: the name of the file in the directory to read instead.

    Raises:
        PresetNotFoundError: no such file, or none in the directory.
        ConfigError: a file that cannot be read as a config, or two files that contradict each
            other.
    """
    if not path.is_dir():
        return _parsed(path)
    if config_file is not None and config_file != PREPROCESSOR:
        return _parsed(_inside(path, config_file))
    found = [path / name for name in preset_files() if (path / name).is_file()]
    for file in found:
        content = load_json(file)
        if file.name != OURS and format_of(content) is None:
            continue
        result = _parsed(file)
        if file.name == OURS:
            for name in KerasHub.files:
                _check_agreement(result, file, path / name)
        return result
    raise PresetNotFoundError(
        f"Expected one of {list(preset_files())} that holds a config, found none - in `{path}`."
    )


def read_huggingface(path: Path, name: str | None = None) -> tuple[Any, Any, Path]:
    """A Hugging Face config, the `config.json` beside it (None if there is none that can be read),
    and its file.

    In a directory, `processor_config.json` counts before `preprocessor_config.json` if it holds an
    image processor; last comes the `config.json` of a timm model.

    Args:
        name: the file to read in a directory, instead of `preprocessor_config.json`.

    Raises:
        PresetNotFoundError: no such file, or none in the directory.
        ConfigError: a file that is not JSON.
    """
    if not path.is_dir():
        return load_json(path), _model_beside(path), path
    wanted = (HUGGING_FACE[0], name or HUGGING_FACE[1], MODEL)
    for file in (_inside(path, each) for each in wanted):
        if not file.is_file():
            continue
        content = load_json(file)
        keys = content if isinstance(content, dict) else {}
        if (
            isinstance(keys.get("image_processor"), dict)
            or "pretrained_cfg" in keys
            or file.name == wanted[1]
        ):
            return content, _model_beside(file), file
    raise PresetNotFoundError(
        f"Expected one of {list(wanted)} with an image processor, found none - in `{path}`."
    )


def _model_beside(file: Path) -> Any:
    model = file.with_name(MODEL)
    try:
        return load_json(model) if model.is_file() else None
    except ConfigError:
        return None


def write(preprocessor: Format, directory: Path, config_file: str = PREPROCESSOR) -> None:
    """Writes our own file, and KerasHub's beside it where they can say the same; other files stay
    as they are.

    Raises:
        ConfigError: KerasHub's files are there, say something else, and cannot say this; nothing is
            written.
    """
    _inside(directory, config_file)
    contents = preprocessor.library_files(config_file)
    for name in {*KerasHub.files, config_file} - contents.keys():
        _check_agreement(preprocessor, directory / OURS, directory / name)
    texts = {directory / name: json.dumps(content, indent=4) for name, content in contents.items()}
    texts[directory / OURS] = codec.dumps(to_json(preprocessor))
    directory.mkdir(parents=True, exist_ok=True)
    write_files(texts)


def _inside(directory: Path, name: str) -> Path:
    """A file of a directory, given by its bare name."""
    if (
        not name
        or name != os.path.basename(name)
        or name in (".", "..")
        or "\\" in name
        or "\0" in name
    ):
        raise codec.expected("the name of a file, without a directory", name, "config_file")
    return directory / name


def load_json(file: Path) -> Any:
    """JSON data of a file of bounded size."""
    try:
        if file.stat().st_size > MAX_BYTES:
            raise ConfigError(
                f"Expected at most {MAX_BYTES} bytes, got {file.stat().st_size} - in `{file}`."
            )
        return codec.loads(file.read_bytes(), str(file))
    except FileNotFoundError as error:
        raise PresetNotFoundError(
            f"Expected a file or a directory, got nothing - at `{file}`."
        ) from error
    except OSError as error:
        raise ConfigError(
            f"Expected a file that can be read, got {error} - in `{file}`."
        ) from error


def _parsed(file: Path) -> Format:
    try:
        content = load_json(file)
        return from_json(content, model=_model_beside(file))
    except PresetNotFoundError:
        raise
    except ConfigError as error:
        text = str(error)
        raise ConfigError(text if str(file) in text else f"{text} In `{file}`.") from error


def _check_agreement(ours: Format, file: Path, other: Path) -> None:
    """Raises `ConfigError` where a file of KerasHub's says something else than ours."""
    if not other.is_file():
        return
    content = load_json(other)
    if format_of(content) is not KerasHub:
        return
    try:
        theirs = from_json(content)
    except JaxprepError as error:
        raise ConfigError(
            f"Expected `{other}` to agree with `{file}`, got a file that cannot be read: {error}"
        ) from error
    if theirs.pipeline.replace(exact=ours.pipeline.exact) != ours.pipeline:
        raise ConfigError(
            f"Expected `{other}` to agree with `{file}`, got another preprocessing: remove one of them."
        )
