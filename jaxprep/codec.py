"""Convert frozen dataclasses to JSON and back, by their fields and annotations.

Every field of a config is written, so that nothing can be forgotten, and read under its annotation,
so that a wrong value is refused with its place: ``Expected `int`, got `'224'` - at
`$.config.size` ``.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import json
import math
import types
import typing
from collections.abc import Iterable
from typing import Any, TypeVar

from jaxprep.errors import ConfigError, without_credentials

T = TypeVar("T")
MAX_DEPTH = 32
"""Of nested values, more than any config has. Without it a file could cause `RecursionError`."""
MAX_FILE_DEPTH = 2 * MAX_DEPTH
"""Of nested values in a file, which may hold a config some levels down."""
MAX_DIGITS = 1000
"""Of an integer, more than any field takes. Python converts at most 4,300 to text and back."""
MAX_LISTED = 30
"""Names that an error lists, the nearest first."""


def to_json(value: Any) -> Any:
    """Return the JSON data of a config: dataclasses become objects, tuples become lists.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Size:
    ...     sides: tuple[int, int]
    >>> to_json(Size((8, 6)))
    {'sides': [8, 6]}
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        data: dict[str, Any] = _tag(type(value))
        for field in dataclasses.fields(value):
            data[field.name] = to_json(getattr(value, field.name))
        return data
    if isinstance(value, (tuple, list)):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items()}
    return value


def from_json(cls: type[T], data: Any, where: str = "$") -> T:
    """Return an instance of `cls` from JSON data.

    Args:
        cls: a dataclass, or any annotation that a field of one may have.
        data: JSON data.
        where: its place, for messages.

    Raises:
        ConfigError: a value of another type, an unknown field or a missing one; the message says
            where.

    >>> from_json(tuple[int, int], [8, 6])
    (8, 6)
    >>> from_json(int, "8")
    Traceback (most recent call last):
    ...
    jaxprep.errors.ConfigError: Expected `int`, got `'8'` - at `$`.
    """
    return _parse(cls, data, where, 0)


def dumps(value: Any) -> str:
    """JSON text with two spaces, a trailing newline and no NaN: equal data is equal text.

    >>> print(dumps({"size": 8}), end="")
    {
      "size": 8
    }
    """
    return json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def loads(text: str | bytes, where: str) -> Any:
    """Return the JSON data of a text.

    Args:
        text: JSON; of a name that an object has twice, the last value counts.
        where: the name of its file, for messages.

    Raises:
        ConfigError: it is not JSON, or holds what `dumps` would not write again, as `check_json`
            says.

    >>> loads('{"size": 8}', "a.json")
    {'size': 8}
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"Expected JSON, got text that is not: {error} - in `{where}`."
        ) from error
    try:
        check_json(data, max_depth=MAX_FILE_DEPTH)
    except ConfigError as error:
        raise ConfigError(f"{error} In `{where}`.") from error
    return data


def check_json(value: Any, where: str = "$", *, max_depth: int = MAX_DEPTH) -> None:
    """Check that a value is JSON data which can be written, hashed and shown, all the way down.

    Python's reader takes more than JSON has (`NaN`, and `1e999` as infinity) and than UTF-8 can
    say (half of a surrogate pair). A key that nobody reads would carry it into every file written.

    Args:
        value: dictionaries, lists, tuples, strings, numbers, booleans and None.
        where: its place, for messages.
        max_depth: of nested values.

    Raises:
        ConfigError: a number that is not finite or an integer of more than `MAX_DIGITS` digits, a
            lone surrogate, a key that is no string, an object of another type, or more nested
            values than `max_depth`.

    >>> check_json({"image_mean": [0.5, float("nan")]})
    Traceback (most recent call last):
    ...
    jaxprep.errors.ConfigError: Expected a finite number, got `nan` - at `$.image_mean[1]`.
    """
    _check_nested(value, where, 0, max_depth)


def _check_nested(
    value: Any,
    where: str,
    depth: int,
    max_depth: int,
) -> None:
    if depth > max_depth:
        place = _shortened(where)
        raise ConfigError(f"Expected at most {max_depth} nested levels - at `{place}`.")
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise expected("text as a key", key, where)
            _check_scalar(key, where)
            _check_nested(item, f"{where}.{key}", depth + 1, max_depth)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            _check_nested(item, f"{where}[{index}]", depth + 1, max_depth)
    else:
        _check_scalar(value, where)


def _check_scalar(value: Any, where: str) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            raise expected("text without lone surrogates", value, _shortened(where)) from None
    elif isinstance(value, int):
        if abs(value) >= 10**MAX_DIGITS:
            raise expected(f"an integer of at most {MAX_DIGITS} digits", value, where)
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise expected("a finite number", value, where)
    else:
        raise expected("JSON data", value, where)


def register(*bases: type, modules: tuple[str, ...] = ()) -> None:
    """Make the concrete subclasses of `bases` readable where a field is annotated with the base.

    The name of the class tells them apart: it is written as ``{"<key>": "<ClassName>", ...}``, with
    the key that the base states in `tag_key`. A name of jaxprep's means jaxprep's class: another
    class of that name is not written. Two other classes of one name in different places are refused
    when either is written or read. A class that is defined anew in its place, as when a notebook's
    cell runs again, replaces the one before.

    Args:
        modules: those that define subclasses, by name: imported where data names a class that is
            not known yet, so that a file is read whatever was imported before.

    >>> class Shape:
    ...     tag_key = "shape"
    >>> @dataclasses.dataclass(frozen=True)
    ... class Circle(Shape):
    ...     radius: int
    >>> register(Shape)
    >>> to_json(Circle(3))
    {'shape': 'Circle', 'radius': 3}
    >>> from_json(Shape, {"shape": "Circle", "radius": 3}).radius
    3
    """
    for base in bases:
        _TAGGED[base] = modules


_TAGGED: dict[type, tuple[str, ...]] = {}
"""The registered bases, and the modules that define their subclasses."""


def _tagged_base(cls: type) -> type | None:
    """The registered base of a class; None if it has none."""
    for base in cls.__mro__:
        if base in _TAGGED:
            return base
    return None


def _tag(cls: type) -> dict[str, str]:
    """The entry that tells a class from others of its registered base; none without a base."""
    base: Any = _tagged_base(cls)
    if not base:
        return {}
    classes = _subclasses(base).get(cls.__name__, [cls])
    meant = _class_of_name(classes, "$")
    if _place(meant) != _place(cls):
        raise _ambiguous(classes, "$")
    return {base.tag_key: cls.__name__}


def _subclasses(base: type) -> dict[str, list[type]]:
    """The concrete dataclasses below a class, by name, in the order of their definition."""
    classes: dict[str, list[type]] = {}
    for cls in base.__subclasses__():
        for name, below in _subclasses(cls).items():
            classes.setdefault(name, []).extend(below)
        is_abstract = getattr(cls, "__abstractmethods__", None)
        if dataclasses.is_dataclass(cls) and not is_abstract:
            classes.setdefault(cls.__name__, []).append(cls)
    return classes


def _class_of_name(classes: list[type], where: str) -> type:
    """The class that data means by a name, of all that have the name.

    Raises:
        ConfigError: it could be any of several.
    """
    built_in = [cls for cls in classes if cls.__module__.startswith("jaxprep.")]
    candidates = built_in or classes
    places = {_place(cls) for cls in candidates}
    if len(places) > 1:
        raise _ambiguous(candidates, where)
    return candidates[-1]


def _place(cls: type) -> str:
    return f"`{cls.__module__}.{cls.__qualname__}`"


def _ambiguous(classes: list[type], where: str) -> ConfigError:
    name = classes[0].__name__
    places = sorted({_place(cls) for cls in classes})
    got = " and ".join(places)
    return ConfigError(
        f"Expected one class of the name `{name}`, got {got}: rename one of them - at `{where}`."
    )


def shown(value: Any) -> str:
    """Return a value as an error message quotes it: at most 80 characters on one line.

    >>> shown("a" * 100)[-6:]
    'aaa...'
    """
    # `repr` refuses integers of more than 4,300 digits and nesting beyond Python's stack; and what
    # the `__repr__` of a caller's class raises must not hide the error that quotes it.
    try:
        text = " ".join(repr(value).split())
    except Exception:
        text = f"a value of the type {type(value).__name__}"
    # Before it is cut, or half of a password would be left.
    return _shortened(without_credentials(text))


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."


def expected(what: str, value: Any, where: str) -> ConfigError:
    """Return the error that a check of a field raises.

    Args:
        what: the field takes.
        value: that came.
        where: the place of the field.

    >>> str(expected("a size", -1, "$.size"))
    'Expected a size, got `-1` - at `$.size`.'
    """
    return ConfigError(f"Expected {what}, got `{shown(value)}` - at `{where}`.")


def _parse(
    kind: Any,
    data: Any,
    where: str,
    depth: int,
) -> Any:
    """A value of an annotation from JSON data, which is `depth` levels inside the whole."""
    if depth > MAX_DEPTH:
        raise ConfigError(f"Expected at most {MAX_DEPTH} nested levels - at `{where}`.")
    origin = typing.get_origin(kind)
    args = typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _parse_union(args, data, where, depth)
    if origin is typing.Literal:
        return _parse_literal(args, data, where)
    if origin is tuple:
        return _parse_tuple(args, data, where, depth)
    if origin is dict:
        return _parse_dict(args[1], data, where, depth)
    if isinstance(kind, type) and (kind in _TAGGED or dataclasses.is_dataclass(kind)):
        return _parse_dataclass(kind, data, where, depth)
    return _parse_scalar(kind, data, where)


def _parse_scalar(kind: Any, data: Any, where: str) -> Any:
    # `type(data) is kind`, not `isinstance`: True is no number here.
    if kind is Any or type(data) is kind:
        if isinstance(data, (str, int, float)):
            _check_scalar(data, where)
        return data
    # JSON writes 1.0 as 1 too. An integer beyond float64 would raise `OverflowError`.
    if kind is float and type(data) is int and abs(data) < 2**1023:
        return float(data)
    name = getattr(kind, "__name__", kind)
    if getattr(kind, "__module__", None) == "numpy":
        raise ConfigError(
            f"Expected a field that JSON holds, got one annotated as `{name}` - at `{where}`. "
            "Write an array as a tuple: `tuple[float, ...]`."
        )
    raise expected(f"`{name}`", data, where)


def _parse_literal(args: tuple[Any, ...], data: Any, where: str) -> Any:
    for arg in args:
        # 1 == True in Python: the type must agree too.
        if type(data) is type(arg) and data == arg:
            return data
    choices = ", ".join(f"`{arg!r}`" for arg in args)
    raise expected(f"one of {choices}", data, where)


def _parse_union(
    args: tuple[Any, ...],
    data: Any,
    where: str,
    depth: int,
) -> Any:
    errors = []
    # The data's own type first, so that an int of `float | int` stays an int.
    for arg in sorted(args, key=lambda arg: arg is not type(data)):
        try:
            return _parse(arg, data, where, depth + 1)
        except ConfigError as error:
            errors.append(error)
    # An error inside the value says more than that the value is none of the types.
    inside = [error for error in errors if f"`{where}`" not in str(error)]
    if inside:
        raise inside[0]
    names = " or ".join(f"`{_annotation_name(arg)}`" for arg in args)
    raise expected(names, data, where)


def _annotation_name(kind: Any) -> str:
    if kind is type(None):
        return "null"
    if typing.get_args(kind):
        return str(kind).replace("typing.", "")
    return getattr(kind, "__name__", str(kind))


def _parse_tuple(
    args: tuple[Any, ...],
    data: Any,
    where: str,
    depth: int,
) -> tuple[Any, ...]:
    if not isinstance(data, (list, tuple)):
        raise expected("a list", data, where)
    if len(args) == 2 and args[1] is Ellipsis:
        args = (args[0],) * len(data)
    if len(args) != len(data):
        raise expected(f"a list of {len(args)}", data, where)
    items = []
    for i, arg in enumerate(args):
        item = _parse(arg, data[i], f"{where}[{i}]", depth + 1)
        items.append(item)
    return tuple(items)


def _parse_dict(
    kind: Any,
    data: Any,
    where: str,
    depth: int,
) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise expected("an object", data, where)
    values = {}
    for key, item in data.items():
        values[key] = _parse(kind, item, f"{where}.{key}", depth + 1)
    return values


def _parse_dataclass(
    kind: Any,
    data: Any,
    where: str,
    depth: int,
) -> Any:
    if not isinstance(data, dict):
        raise expected(f"an object for `{kind.__name__}`", data, where)
    base: Any = _tagged_base(kind)
    cls = kind
    if base:
        cls = _tagged_class(base, kind, data, where)
        data = {key: item for key, item in data.items() if key != base.tag_key}
    hints = field_types(cls)
    for key in data:
        if key not in hints:
            raise ConfigError(f"Unknown field - at `{where}.{key}`. Known: {sorted(hints)}.")
    for field in dataclasses.fields(cls):
        defaults = (field.default, field.default_factory)
        is_required = all(default is dataclasses.MISSING for default in defaults)
        if is_required and field.name not in data:
            raise ConfigError(f"Missing field `{field.name}` - at `{where}`.")
    values = {}
    for key, item in data.items():
        values[key] = _parse(hints[key], item, f"{where}.{key}", depth + 1)
    try:
        return cls(**values)
    except ConfigError as error:  # of `__post_init__`, which does not know its place
        raise ConfigError(str(error).replace("`$", f"`{where}", 1)) from error
    except (ValueError, TypeError, ArithmeticError, LookupError) as error:  # of a user's class
        raise ConfigError(
            f"Expected values that `{cls.__name__}` takes, got {type(error).__name__}: {error} - "
            f"at `{where}`."
        ) from error


def _nearest_first(names: Iterable[str], wanted: Any) -> str:
    """The names as an error lists them: all, or the nearest to `wanted` if there are many."""
    listed = sorted(names)
    if len(listed) <= MAX_LISTED:
        return str(listed)
    near = difflib.get_close_matches(str(wanted), listed, n=MAX_LISTED, cutoff=0)
    return f"{near} and {len(listed) - len(near)} more"


def _tagged_class(
    base: Any,
    kind: type,
    data: dict[str, Any],
    where: str,
) -> type:
    """The subclass of `base` that data names: `kind` itself if that is its name."""
    key = base.tag_key
    if key not in data:
        raise ConfigError(f"Missing field `{key}` - at `{where}`.")
    name = data[key]
    if kind is not base and name == kind.__name__:
        return kind
    place = f"{where}.{key}"
    classes = _subclasses(base)
    if isinstance(name, str) and name not in classes:
        for module in _TAGGED[base]:
            importlib.import_module(module)
        classes = _subclasses(base)
    if not isinstance(name, str) or name not in classes:
        known = _nearest_first(classes, name)
        raise ConfigError(
            f"Expected one of {known}, got `{shown(name)}` - at `{place}`. If it is of another "
            "package, import the module that defines it first."
        )
    return _class_of_name(classes[name], place)


@functools.cache
def field_types(cls: Any) -> dict[str, Any]:
    """Return the annotations of the fields of a dataclass, resolved.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Size:
    ...     height: "int"
    >>> field_types(Size)
    {'height': <class 'int'>}
    """
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}


def check_fields(config: Any) -> None:
    """Check the fields of a new config by their annotations, and turn lists into tuples.

    Call it first in `__post_init__`: a config made in Python is then held to the same rules as one
    from a file.

    Raises:
        ConfigError: a value of another type.

    >>> @dataclasses.dataclass(frozen=True)
    ... class Size:
    ...     sides: tuple[int, int]
    ...     __post_init__ = check_fields
    >>> Size([8, 6]).sides
    (8, 6)
    """
    for name, kind in field_types(type(config)).items():
        value = getattr(config, name)
        # A config inside has been checked when it was made.
        if dataclasses.is_dataclass(value) or _holds_configs(value):
            continue
        parsed = _parse(kind, plain(value), f"$.{name}", 0)
        # `object`'s method, since the dataclass is frozen
        object.__setattr__(config, name, parsed)


def _holds_configs(value: Any) -> bool:
    return isinstance(value, tuple) and any(dataclasses.is_dataclass(item) for item in value)


def plain(value: Any) -> Any:
    """NumPy and JAX scalars and arrays as Python numbers and lists; anything else unchanged.

    >>> import numpy as np
    >>> plain((np.float32(0.5), np.arange(2)))
    [0.5, [0, 1]]
    """
    # `np.float16` itself is a dtype, whose method needs a number.
    if hasattr(value, "tolist") and not isinstance(value, (bytes, str, type)):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
