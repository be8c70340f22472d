"""Defines `Collection`: presets of one format under one name, from a table of JSON data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from jaxprep import codec
from jaxprep.errors import ConfigError
from jaxprep.formats import Format


@dataclass(frozen=True)
class CollectionTable:
    """Holds the JSON data of a collection, as in `presets/timm.json`.

    Attributes:
        presets: for each preset the name of its settings, or an object: `settings` is such a name,
            or the settings themselves, or null where they are not known; all else are details:
            `description`, `params`, `source`, `note`.
        settings: fields of the format by name, for the settings that presets share.
        aliases: further names of presets; a name that an alias stands for may be an alias.
        source: where the numbers come from.
        prefix: what names begin with; null means the name of the collection and a slash.

    Raises:
        ConfigError: settings or a preset that is named and not there, or an alias that is a preset.

    >>> CollectionTable(presets={"tiny": {"settings": {"size": 32}, "params": 9}}).source
    ''
    """

    presets: dict[str, Any]
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    source: str = ""
    prefix: str | None = None

    def __post_init__(self) -> None:
        # All of it is checked when it is read: a wrong entry would otherwise be met by whoever
        # happens to load that preset.
        for name, entry in self.presets.items():
            where = f"$.presets.{name}"
            settings = _parsed_entry(entry, where)["settings"]
            if isinstance(settings, str) and settings not in self.settings:
                raise codec.expected("the name of one of the `settings`", settings, where)
        for alias, name in self.aliases.items():
            if alias in self.presets:
                raise codec.expected("a name that no preset has", alias, "$.aliases")
            if name not in self.presets and name not in self.aliases:
                raise codec.expected("a preset or an alias", name, f"$.aliases.{alias}")


def _parsed_entry(entry: Any, where: str) -> dict[str, Any]:
    """Return an entry of `presets` as an object with `settings`."""
    if isinstance(entry, str):
        return {"settings": entry}
    if not isinstance(entry, dict) or "settings" not in entry:
        raise codec.expected("the name of settings, or an object with `settings`", entry, where)
    settings = entry["settings"]
    if settings is not None and not isinstance(settings, (str, dict)):
        raise codec.expected("a name, an object or null", settings, f"{where}.settings")
    return entry


@dataclass(frozen=True, eq=False)
class Collection:
    """Holds presets of one format.

    Attributes:
        name: of the collection.
        format: the class of the configs.
        table: the data.

    >>> from jaxprep.formats import Timm
    >>> table = CollectionTable(
    ...     presets={"tiny": "32"},
    ...     settings={"32": {"input_size": [3, 32, 32]}},
    ...     aliases={"t": "tiny"},
    ... )
    >>> Collection("mine", Timm, table).config("t").image_size
    (32, 32)
    """

    name: str
    format: type[Format]
    table: CollectionTable

    @property
    def prefix(self) -> str:
        """What the names of the presets begin with."""
        if self.table.prefix is None:
            return f"{self.name}/"
        return self.table.prefix

    def names(self) -> list[str]:
        """Return the presets, each with the prefix; aliases are not among them."""
        return [self.prefix + name for name in self.table.presets]

    def resolve(self, name: str) -> str | None:
        """Return the preset that a name, without the prefix, stands for; None if there is none."""
        # As many steps as there are aliases: aliases that stand for each other end here too.
        presets = self.table.presets
        aliases = self.table.aliases
        for _ in range(len(aliases) + 1):
            if name in presets:
                return name
            if name not in aliases:
                return None
            name = aliases[name]
        return None

    def details(self, preset: str) -> dict[str, Any]:
        """Return what the collection says about a preset besides its settings."""
        entry = _parsed_entry(self.table.presets[preset], "$")
        return {key: value for key, value in entry.items() if key != "settings"}

    def config(self, name: str) -> Format | None:
        """Return the config of a preset or an alias, without the prefix; None if there is none.

        Raises:
            ConfigError: the settings are not known, or not of a kind that the format reads.
        """
        preset = self.resolve(name)
        if preset is None:
            return None
        details = self.details(preset)
        settings = _parsed_entry(self.table.presets[preset], "$")["settings"]
        if isinstance(settings, str):
            settings = self.table.settings[settings]
        # Some presets of KerasHub make patches of a number that depends on the image: the name is
        # known, and what it does no format here can say.
        if settings is None:
            note = details.get("note")
            source = details.get("source") or self.table.source
            raise ConfigError(
                f"The numbers of `{self.prefix}{name}` are not known: {note} (source: {source})."
            )
        try:
            return self.format.of_preset(settings, preset, details)
        except ConfigError as error:
            # `$` stands for the settings there; a reader of the message knows the preset's name.
            path = f"`$.{self.prefix}{name}"
            raise ConfigError(str(error).replace("`$", path, 1)) from error
