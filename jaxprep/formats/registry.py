"""Registers the formats that configs are read from; each class says all that is known of it."""

from __future__ import annotations

from typing import Any, TypeVar

from jaxprep import codec, extensions
from jaxprep.errors import ConfigError
from jaxprep.formats.base import MODEL_FILE, Format

Registered = TypeVar("Registered", bound=type[Format])

_FORMATS: dict[str, type[Format]] = {}


def register(format: Registered) -> Registered:
    """Make the files of a format readable: a class decorator.

    `jaxprep.presets.load` then finds them in directories and repositories, and so do the facade and
    the command line. Formats are asked in the order in which they were registered. Registering a
    class of the same module and name again replaces it, as rerunning a notebook's cell does.

    Args:
        format: the class, a frozen dataclass.

    Raises:
        ConfigError: not a `Format`, or another one of this name is registered. The name is what
            `jaxprep.json` calls the format.

    >>> from dataclasses import dataclass
    >>> from jaxprep import Pipeline, ops, presets
    >>> @register
    ... @dataclass(frozen=True)
    ... class Thumbnail(Format):
    ...     side: int = 224
    ...     library = "Thumbnail (`thumbnail`)"
    ...     files = ("thumbnail.json",)
    ...     @property
    ...     def pipeline(self):
    ...         return Pipeline((ops.Resize(self.image_size),))
    ...     @property
    ...     def image_size(self):
    ...         return self.side, self.side
    ...     def with_image_size(self, size):
    ...         return Thumbnail(size[0])
    ...     @classmethod
    ...     def reads(cls, content):
    ...         return "thumbnail" in content
    ...     @classmethod
    ...     def read(cls, content, where="$", model=None):
    ...         return cls(content["thumbnail"])
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "thumbnail.json").write_text('{"thumbnail": 32}')
    ...     presets.load(folder)
    Thumbnail(side=32)
    """
    if not (isinstance(format, type) and issubclass(format, Format)):
        raise codec.expected("a subclass of `jaxprep.formats.Format`", format, "format")
    # A notebook's cell that runs again makes a new class of the same module: that one replaces.
    # `jaxprep.json` names a format by its class alone: two of one name could not be told apart.
    known = _FORMATS.get(format.__name__)
    if known is not None and known.__module__ != format.__module__:
        raise ConfigError(
            f"Expected a name that no other format has, got `{format.__name__}`, which is that of "
            f"`{known.__module__}.{known.__qualname__}` - at `format`."
        )
    _FORMATS[format.__name__] = format
    return format


def registered() -> tuple[type[Format], ...]:
    """Return all formats, in the order in which they are asked.

    >>> [format.__name__ for format in registered()][:2]
    ['KerasHub', 'Keras']
    """
    return tuple(_FORMATS.values())


def load_extensions() -> None:
    """Import the entry points `jaxprep.formats` of installed packages, which register formats.

    Whatever reads a file calls it first, so that which format reads a file does not depend on what
    was read before; built-in presets do without.

    >>> load_extensions()
    """
    extensions.load_all(extensions.FORMATS)


def format_of(content: Any) -> type[Format] | None:
    """Return the first format that reads a JSON value; None if there is none.

    >>> format_of({"pretrained_cfg": {"crop_pct": 0.9}}).__name__
    'Timm'
    """
    if not isinstance(content, dict):
        return None
    load_extensions()
    for format in _FORMATS.values():
        if format.reads(content):
            return format
    return None


def file_names() -> tuple[str, ...]:
    """Return the files that configs are read from, in the order in which those of a directory
    count.

    `config.json` comes last: it describes the model, and has the preprocessing only where no file
    of the library's does.

    >>> file_names()[-1]
    'config.json'
    """
    # A dictionary is a set that keeps its order.
    load_extensions()
    names: dict[str, None] = {}
    for format in _FORMATS.values():
        names.update(dict.fromkeys(format.files))
    others = [name for name in names if name != MODEL_FILE]
    if MODEL_FILE in names:
        return (*others, MODEL_FILE)
    return tuple(others)
