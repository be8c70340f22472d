"""The built-in presets: the settings that published models were trained and measured with, as
data.
"""

from __future__ import annotations

import difflib
import fnmatch
import functools
from typing import Any

from jaxprep import codec
from jaxprep.errors import ConfigError, PresetNotFoundError
from jaxprep.formats import Format, KerasHub, OpenClip, Timm, Torchvision
from jaxprep.resources import load_json

COLLECTIONS = ("keras_hub", "timm", "torchvision", "open_clip")


@functools.cache
def names() -> tuple[str, ...]:
    """Every built-in name, KerasHub's as they are, the others behind the name of their
    collection.
    """
    found = list(_keras_hub())
    for collection in COLLECTIONS[1:]:
        found += [f"{collection}/{name}" for name in load_json(f"{collection}.json")["presets"]]
    return tuple(found)


def matching(pattern: str = "*") -> list[str]:
    """The names that contain `pattern`, or match it where it holds `*`, `?` or `[`."""
    if any(mark in pattern for mark in "*?["):
        return [name for name in names() if fnmatch.fnmatchcase(name, pattern)]
    return [name for name in names() if pattern.lower() in name.lower()]


def built_in(name: str) -> Format:
    """The config of a built-in name.

    Besides the names of `names()` these answer: `timm/<architecture>` for its default tag and
    timm's deprecated names; `torchvision/<builder>` and `torchvision/<Weights>.DEFAULT`.

    Raises:
        PresetNotFoundError: no such name; the message has the nearest ones.
        ConfigError: a name that is known, while its numbers are not, or are not of a kind that can
            be read.
    """
    collection, _, rest = name.partition("/")
    found = (
        _BUILDERS[collection](rest) if collection in _BUILDERS and rest else _from_keras_hub(name)
    )
    if found is None:
        near = nearest(name)
        raise PresetNotFoundError(
            f"Expected a path, an `hf://` or `kaggle://` handle, or a built-in preset, got {name[:1000]!r}."
            + (f" Nearest: {', '.join(near)}." if near else "")
        )
    return found


def nearest(name: str) -> list[str]:
    """Up to five built-in names that look like `name`."""
    close = difflib.get_close_matches(name[:200], names(), n=5, cutoff=0.6)
    return close or [known for known in names() if name and name.lower() in known.lower()][:5]


def describe(name: str) -> dict[str, Any]:
    """What is known about a built-in name: collection, family, parameter count, description, source
    of the numbers.
    """
    if name in _keras_hub():
        entry = {
            key: value for key, value in _keras_hub()[name].items() if key not in ("config", "name")
        }
        return {"collection": "keras_hub", **entry}
    collection = name.partition("/")[0]
    return {"collection": collection, "source": load_json(f"{collection}.json")["source"]}


def metadata() -> dict[str, dict[str, Any]]:
    """Every name with what is known about it, in the shape of KerasHub's `presets`."""
    return {name: {"metadata": describe(name)} for name in names()}


@functools.cache
def _keras_hub() -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in load_json("keras_hub.json")["presets"]}


def _from_keras_hub(name: str) -> KerasHub | None:
    entry = _keras_hub().get(name)
    if entry is None:
        return None
    if entry["config"] is None:
        raise ConfigError(
            f"The numbers of `{name}` are not known: {entry['note']} (source: {entry['source']})."
        )
    return codec.from_json(
        KerasHub, {"format": "KerasHub", "family": entry["family"], **entry["config"]}, f"$.{name}"
    )


def _from_timm(name: str) -> Timm | None:
    table = load_json("timm.json")
    name = table["deprecated"].get(name, name)
    if name in table["defaults"]:
        name = f"{name}.{table['defaults'][name]}"
    if name not in table["presets"]:
        return None
    values = dict(zip(table["fields"], table["settings"][table["presets"][name]], strict=True))
    values["architecture"] = name.partition(".")[0]
    return codec.from_json(Timm, {"format": "Timm", **values}, f"$.timm/{name}")


def _from_torchvision(name: str) -> Torchvision | None:
    table = load_json("torchvision.json")
    weights, _, member = (
        f"{table['builders'][name]}.DEFAULT".partition(".")
        if name in table["builders"]
        else name.partition(".")
    )
    if member == "DEFAULT":
        member = table["defaults"].get(weights, member)
    index = table["presets"].get(f"{weights}.{member}")
    if index is None:
        return None
    values = table["settings"][index]
    if values["preset"] not in ("ImageClassification", "SemanticSegmentation"):
        raise ConfigError(
            f"`torchvision/{name}` carries the transform `{values['preset']}`; `ImageClassification` and "
            "`SemanticSegmentation` are read."
        )
    known = codec.field_types(Torchvision)
    fields = {key: value for key, value in values.items() if key in known}
    return codec.from_json(
        Torchvision, {"format": "Torchvision", **fields}, f"$.torchvision/{name}"
    )


def _from_open_clip(name: str) -> OpenClip | None:
    table = load_json("open_clip.json")
    if name not in table["presets"]:
        return None
    values = dict(zip(table["fields"], table["settings"][table["presets"][name]], strict=True))
    return codec.from_json(OpenClip, {"format": "OpenClip", **values}, f"$.open_clip/{name}")


_BUILDERS = {"timm": _from_timm, "torchvision": _from_torchvision, "open_clip": _from_open_clip}
