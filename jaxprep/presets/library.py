"""Finds presets by their names: those of published models, and those that users register."""

from __future__ import annotations

import difflib
import fnmatch
import functools
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jaxprep import codec, extensions
from jaxprep.errors import PresetNotFoundError
from jaxprep.formats import Format
from jaxprep.formats.registry import registered
from jaxprep.presets.collection import Collection, CollectionTable
from jaxprep.presets.files import load_json
from jaxprep.resources import load_json as load_resource

_REGISTERED: dict[str, Collection] = {}
_HUB_NAME = re.compile(
    r"(?:hf:/*|(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/)?"
    r"(?P<repo>(?!\.)[\w.-]{1,96}/(?!\.)[\w.-]{1,96})(?:/(?:tree|blob|resolve)/.*)?/?",
    re.IGNORECASE,
)
"""Names such as `google/vit-base-patch16-224`, of a user or an organisation and its repository, and
the addresses of their pages."""


def register_collection(
    name: str,
    table: Mapping[str, Any] | str | os.PathLike[str],
    format: type[Format],
) -> None:
    """Add presets, which `load` and the command line then find as `name/preset`.

    Registering a name again replaces what was registered under it.

    Args:
        name: letters, digits, `_`, `-` and `.`.
        table: the data, or the path of a JSON file with it; `CollectionTable` says what it holds.
        format: the class of the configs, of `jaxprep.formats` or of another package.

    Raises:
        ConfigError: a name of a collection of jaxprep's, or a table with a wrong or unknown field.

    >>> from jaxprep.formats import Timm
    >>> table = {
    ...     "source": "our training script",
    ...     "settings": {"bicubic-32": {"input_size": [3, 32, 32], "crop_pct": 1.0}},
    ...     "presets": {"tiny": "bicubic-32"},
    ... }
    >>> register_collection("ours", table, Timm)
    >>> built_in("ours/tiny").image_size
    (32, 32)
    """
    # A slash would end the name: `a/b/c` is the preset `b/c` of `a`.
    if not isinstance(name, str) or not _is_word(name):
        raise codec.expected("a word of letters, digits, `_`, `-` and `.`", name, "name")
    if name in _built_in_collections():
        raise codec.expected("a name that no collection of jaxprep has", name, "name")
    if not (isinstance(format, type) and issubclass(format, Format)):
        raise codec.expected("a subclass of `jaxprep.formats.Format`", format, "format")
    if isinstance(table, (str, os.PathLike)):
        table = load_json(Path(table))
    content = dict(table) if isinstance(table, Mapping) else table
    parsed = codec.from_json(CollectionTable, content, f"$.{name}")
    _REGISTERED[name] = Collection(name, format, parsed)


def _is_word(name: str) -> bool:
    return name.replace("-", "_").replace(".", "_").isidentifier()


# Reading and checking the 2,400 presets takes about 15 ms, once.
@functools.cache
def _built_in_collection(name: str, format: type[Format]) -> Collection:
    data = load_resource(f"{name}.json")
    table = codec.from_json(CollectionTable, data, f"$.{name}")
    return Collection(name, format, table)


def _built_in_collections() -> dict[str, type[Format]]:
    """Return the formats that have a collection, by its name."""
    formats = {}
    for format in registered():
        if format.collection is not None:
            formats[format.collection] = format
    return formats


def collections() -> tuple[Collection, ...]:
    """Return all collections: those of jaxprep, those that were registered, and those of the entry
    points `jaxprep.presets` of installed packages, which this imports.

    >>> [collection.name for collection in collections()][:2]
    ['keras_hub', 'timm']
    """
    extensions.load_all(extensions.PRESETS)
    return _known_collections()


def _known_collections() -> tuple[Collection, ...]:
    """Return all collections but those of entry points that nobody has asked for yet."""
    built_in = []
    for name, format in _built_in_collections().items():
        built_in.append(_built_in_collection(name, format))
    return (*built_in, *_REGISTERED.values())


def _collection_of(name: str) -> tuple[Collection, str] | None:
    """Return the collection that has a preset or an alias of that name, and the preset."""
    collection, slash, _ = name.partition("/")
    # Only a collection that is not known yet is looked for in other packages.
    is_known = any(known.name == collection for known in _known_collections())
    if slash and not is_known:
        extensions.load_named(extensions.PRESETS, collection)
    # KerasHub's presets have no prefix: each name is looked up there first.
    for known in _known_collections():
        if not name.startswith(known.prefix):
            continue
        preset = known.resolve(name.removeprefix(known.prefix))
        if preset is not None:
            return known, preset
    return None


def names() -> tuple[str, ...]:
    """Return the names of all presets: KerasHub's as they are, others as `collection/preset`.

    >>> "timm/resnet50.a1_in1k" in names()
    True
    """
    found: list[str] = []
    for collection in collections():
        found += collection.names()
    return tuple(found)


def matching(pattern: str = "*") -> list[str]:
    """Return the names that contain `pattern`, or match it where it holds `*`, `?` or `[`.

    Args:
        pattern: part of a name, or a pattern of the shell's.

    >>> matching("timm/resnet50d.*")[0]
    'timm/resnet50d.a1_in1k'
    """
    if not isinstance(pattern, str):
        raise codec.expected("part of a name, or a pattern", pattern, "pattern")
    # As a shell would match it; without a wildcard a part of the name is enough, in any case.
    has_wildcard = any(mark in pattern for mark in "*?[")
    if has_wildcard:
        return [name for name in names() if fnmatch.fnmatchcase(name, pattern)]
    return _containing(pattern)


def built_in(name: str) -> Format:
    """Return the config of a named preset.

    Besides the names of `names()` their aliases are found: `timm/<architecture>` is its default
    tag, and timm's deprecated names, `torchvision/<builder>` and `torchvision/<Weights>.DEFAULT`
    are those that the libraries say.

    Raises:
        PresetNotFoundError: no such name; the message has the nearest ones.
        ConfigError: the name is known, but its numbers are not, or no format reads them.

    >>> built_in("timm/resnet50").image_size
    (224, 224)
    """
    found = _collection_of(name)
    if found is not None:
        collection, _ = found
        config = collection.config(name.removeprefix(collection.prefix))
        assert config is not None  # the collection has it
        return config
    hint = ""
    similar = nearest(name)
    if similar:
        hint = f" Nearest: {', '.join(similar)}."
    starts_of_ours = tuple(f"{collection.name}/" for collection in collections())
    is_ours = name.startswith(starts_of_ours)
    hub_name = _HUB_NAME.fullmatch(name)
    # A file that is not there is a path with a slip, not a repository.
    if hub_name and not is_ours and not name.endswith(".json"):
        hint += f" A model of the Hugging Face Hub is written `hf://{hub_name['repo']}`."
    raise PresetNotFoundError(
        "Expected a path, an `hf://` or `kaggle://` handle, or a built-in preset, got "
        f"{name[:1000]!r}.{hint}"
    )


def nearest(name: str) -> list[str]:
    """Return up to five names that look like `name`: first those that differ only in the collection
    or in the case of letters, then those that begin so.

    >>> nearest("resnet_50_imagenett")[0]
    'resnet_50_imagenet'
    >>> nearest("ResNet50")[:2]
    ['timm/resnet50', 'torchvision/resnet50']
    """
    # Matching takes time in the square of the length; no name is longer than 200 characters.
    typed = name[:200]
    if not typed:
        return []
    found = [
        *_elsewhere(typed),
        *_beginning(typed),
        *_similar(typed),
        *_containing(typed),
    ]
    without_repeats = list(dict.fromkeys(found))
    return without_repeats[:5]


def _without_folder(name: str) -> str:
    """What stands after the last slash."""
    _, _, stem = name.rpartition("/")
    return stem


def _elsewhere(typed: str) -> list[str]:
    """The presets and aliases that collections have by this name, whatever stands before it."""
    stem = _without_folder(typed)
    found = []
    for collection in collections():
        for spelling in (stem, stem.lower()):
            if collection.resolve(spelling) is not None:
                found.append(collection.prefix + spelling)
                break
    return found


def _beginning(typed: str) -> list[str]:
    """Of each collection the first preset that begins so; letters and digits count, in any case."""
    start = _letters_and_digits(_without_folder(typed))
    if not start:
        return []
    found = []
    for collection in collections():
        for name in collection.table.presets:
            if _letters_and_digits(name).startswith(start):
                found.append(collection.prefix + name)
                break
    return found


def _letters_and_digits(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def _similar(typed: str) -> list[str]:
    """The presets whose name, or model without collection and tag, is spelt almost like this."""
    spellings: dict[str, str] = {}
    for known in names():
        model, _, _ = _without_folder(known).partition(".")
        builder = model.removesuffix("_Weights")
        for spelling in (known, model, builder):
            spellings.setdefault(spelling.lower(), known)
    close = difflib.get_close_matches(typed.lower(), spellings, n=8, cutoff=0.6)
    return [spellings[spelling] for spelling in close]


def _containing(typed: str) -> list[str]:
    part = typed.lower()
    return [known for known in names() if part in known.lower()]


def describe(name: str) -> dict[str, Any]:
    """Return what is known about a named preset: its collection, the source of its numbers, and
    where the collection says so its family, parameter count and description.

    Args:
        name: of a preset, built in or registered.

    Raises:
        PresetNotFoundError: no such name.

    >>> describe("resnet_50_imagenet")["family"]
    'resnet'
    """
    if not isinstance(name, str):
        raise codec.expected("the name of a built-in preset", name, "name")
    found = _collection_of(name)
    if found is not None:
        collection, preset = found
        return {
            "collection": collection.name,
            "source": collection.table.source,
            **collection.details(preset),
        }
    raise PresetNotFoundError(f"Expected the name of a built-in preset, got {name[:1000]!r}.")


def metadata() -> dict[str, dict[str, Any]]:
    """Return what is known about every preset, in the form of `keras_hub.models.Backbone.presets`.

    >>> metadata()["timm/resnet50.a1_in1k"]["metadata"]["collection"]
    'timm'
    """
    return {name: {"metadata": describe(name)} for name in names()}
