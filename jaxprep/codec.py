"""Frozen dataclasses to JSON and back, read off their fields.

Every field of a config is written, so nothing can be forgotten, and read under its annotation, so a
wrong value is refused with the place where it stands: ``Expected `int`, got `'224'` - at
`$.config.size` ``.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
import typing
from typing import Any, TypeVar

from jaxprep.errors import ConfigError

T = TypeVar("T")
MAX_DEPTH = 32


def to_json(value: Any) -> Any:
    """Plain JSON data of a config: dataclasses become objects, tuples become lists."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {
            field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
        return {**_tag(type(value)), **fields}
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    return value


def from_json(cls: type[T], data: Any, where: str = "$") -> T:
    """An instance of `cls` (a dataclass, or any annotation of one's fields) from JSON data.

    Raises:
        ConfigError: a value of another type, an unknown field or a missing one; the message says
            where.
    """
    return _read(cls, data, where, 0)


def dumps(value: Any) -> str:
    """Deterministic JSON text: two spaces, one trailing newline, no NaN."""
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def loads(text: str | bytes, where: str) -> Any:
    """JSON data of a text; `where` names the file in the error."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"Expected JSON, got text that is not: {error} - in `{where}`."
        ) from error


def register(*bases: type) -> None:
    """Makes the concrete subclasses of `bases` readable where a field is annotated with the base.

    They are told apart by the name of the class, written as ``{"<key>": "<ClassName>", ...}`` with
    the key that the base states in `tag_key`.
    """
    _TAGGED.update(bases)


_TAGGED: set[type] = set()


def _base(cls: type) -> type | None:
    return next((base for base in cls.__mro__ if base in _TAGGED), None)


def _tag(cls: type) -> dict[str, str]:
    base: Any = _base(cls)
    return {base.tag_key: cls.__name__} if base else {}


def _subclasses(base: type) -> dict[str, type]:
    found: dict[str, type] = {}
    for cls in base.__subclasses__():
        found |= _subclasses(cls)
        if dataclasses.is_dataclass(cls) and not getattr(cls, "__abstractmethods__", None):
            found[cls.__name__] = cls
    return found


def shown(value: Any) -> str:
    """A value as an error message quotes it: short, on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:77] + "..."


def expected(what: str, value: Any, where: str) -> ConfigError:
    """The error every field check raises."""
    return ConfigError(f"Expected {what}, got `{shown(value)}` - at `{where}`.")


def _read(kind: Any, data: Any, where: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ConfigError(f"Expected at most {MAX_DEPTH} nested levels - at `{where}`.")
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _read_union(args, data, where, depth)
    if origin is typing.Literal:
        if not any(data == arg and type(data) is type(arg) for arg in args):
            raise expected("one of " + ", ".join(f"`{arg!r}`" for arg in args), data, where)
        return data
    if origin is tuple:
        return _read_tuple(args, data, where, depth)
    if origin is dict:
        if not isinstance(data, dict):
            raise expected("an object", data, where)
        return {
            key: _read(args[1], item, f"{where}.{key}", depth + 1) for key, item in data.items()
        }
    if isinstance(kind, type) and (kind in _TAGGED or dataclasses.is_dataclass(kind)):
        return _read_dataclass(kind, data, where, depth)
    return _read_scalar(kind, data, where)


def _read_scalar(kind: Any, data: Any, where: str) -> Any:
    if kind is Any or type(data) is kind or (kind is type(None) and data is None):
        if isinstance(data, float) and not math.isfinite(data):
            raise expected("a finite number", data, where)
        return data
    if kind is float and type(data) is int and abs(data) < 2**1023:
        return float(data)
    raise expected(f"`{getattr(kind, '__name__', kind)}`", data, where)


def _read_union(args: tuple[Any, ...], data: Any, where: str, depth: int) -> Any:
    problems = []
    for arg in sorted(args, key=lambda arg: arg is not type(data)):
        try:
            return _read(arg, data, where, depth + 1)
        except ConfigError as error:
            problems.append(error)
    deeper = [error for error in problems if f"`{where}`" not in str(error)]
    if deeper:
        raise deeper[0]
    names = " or ".join(f"`{_name(arg)}`" for arg in args)
    raise expected(names, data, where)


def _name(kind: Any) -> str:
    if kind is type(None):
        return "null"
    return (
        getattr(kind, "__name__", str(kind))
        if not typing.get_args(kind)
        else str(kind).replace("typing.", "")
    )


def _read_tuple(args: tuple[Any, ...], data: Any, where: str, depth: int) -> Any:
    if not isinstance(data, (list, tuple)):
        raise expected("a list", data, where)
    if len(args) == 2 and args[1] is Ellipsis:
        args = (args[0],) * len(data)
    if len(args) != len(data):
        raise expected(f"a list of {len(args)}", data, where)
    return tuple(
        _read(arg, item, f"{where}[{i}]", depth + 1)
        for i, (arg, item) in enumerate(zip(args, data))
    )


def _read_dataclass(kind: Any, data: Any, where: str, depth: int) -> Any:
    if not isinstance(data, dict):
        raise expected(f"an object for `{kind.__name__}`", data, where)
    data, cls, base = dict(data), kind, _base(kind)
    if base:
        key: str = base.tag_key
        if key not in data:
            raise ConfigError(f"Missing field `{key}` - at `{where}`.")
        known = _subclasses(base)
        name = data.pop(key)
        if not isinstance(name, str) or name not in known:
            raise expected(f"one of {sorted(known)}", name, f"{where}.{key}")
        cls = known[name]
    hints = field_types(cls)
    for key in data:
        if key not in hints:
            raise ConfigError(f"Unknown field - at `{where}.{key}`. Known: {sorted(hints)}.")
    for field in dataclasses.fields(cls):
        needed = (
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        )
        if needed and field.name not in data:
            raise ConfigError(f"Missing field `{field.name}` - at `{where}`.")
    values = {
        key: _read(hints[key], item, f"{where}.{key}", depth + 1) for key, item in data.items()
    }
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(str(error).replace("`$", f"`{where}", 1)) from error


@functools.cache
def field_types(cls: Any) -> dict[str, Any]:
    """The annotations of the fields of a dataclass, resolved."""
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def check_fields(config: Any) -> None:
    """Reads the fields of a freshly made config under their annotations, turning lists into tuples
    on the way.

    Call it first in `__post_init__`: a config made in Python is held to the same rules as one read
        from a file.
    """
    for name, kind in field_types(type(config)).items():
        value = getattr(config, name)
        if dataclasses.is_dataclass(value) or _holds_configs(value):
            continue
        object.__setattr__(config, name, _read(kind, plain(value), f"$.{name}", 0))


def _holds_configs(value: Any) -> bool:
    return isinstance(value, tuple) and any(dataclasses.is_dataclass(item) for item in value)


def plain(value: Any) -> Any:
    """NumPy and JAX scalars and arrays as Python numbers and lists; anything else unchanged."""
    if hasattr(value, "tolist") and not isinstance(value, (bytes, str)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
