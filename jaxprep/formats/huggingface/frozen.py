"""JSON data that is not changed in place: settings, and everything inside them.

A config is frozen and hashed, so a change inside one of its lists would have no effect, or a wrong
one. What Transformers lets its users change in place (`processor.size["height"] = 8`) is refused
here by an error that says how to replace it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from typing import Any, NoReturn

from jaxprep.errors import ConfigError


def _refuse(value: Any, *args: Any, **kwargs: Any) -> NoReturn:
    """Raise the error of every method that would change a frozen value."""
    del args, kwargs
    wanted = "a new list" if isinstance(value, tuple) else "a new object"
    raise ConfigError(
        f"Expected {wanted}, assigned to the setting as a whole, got a change inside the one it "
        f"has: settings are not changed in place. Write `processor.size = {{**processor.size, "
        '"height": 8}` or `processor.image_mean = [0.5, 0.5, 0.5]`.'
    )


class Frozen(dict[str, Any]):
    """A JSON object that is not changed any more, with all that it holds, and so can be hashed.

    `copy()`, `dict(...)` and `{**...}` are ordinary dictionaries.

    Raises:
        ConfigError: from every method that would change it.

    >>> hash(Frozen(size=8)) == hash(Frozen(size=8))
    True
    >>> Frozen(size=8)["size"] = 6
    Traceback (most recent call last):
    jaxprep.errors.ConfigError: Expected a new object, ...
    """

    def __init__(self, *args: Any, **kwargs: Any):
        content = dict(*args, **kwargs)
        try:
            super().__init__({key: frozen(value) for key, value in content.items()})
        except RecursionError as error:
            raise ConfigError("Expected a few nested levels, got hundreds.") from error

    def __hash__(self) -> int:  # type: ignore[override]
        return self._hash

    @functools.cached_property
    def _hash(self) -> int:
        """The hash, computed once: the colours of ImageGPT are 1,536 numbers."""
        return hash(json.dumps(self, sort_keys=True, default=str))

    def __reduce__(self) -> Any:
        return type(self), (dict(self),)

    # Of what never changes, one is enough.
    def __copy__(self) -> Any:
        return self

    def __deepcopy__(self, memo: Any) -> Any:
        del memo
        return self

    __setitem__ = __delitem__ = __setattr__ = __delattr__ = _refuse
    update = setdefault = pop = popitem = clear = _refuse  # type: ignore[assignment]
    # `processor.size |= {"height": 8}` assigns a new object.
    __ior__ = dict.__or__  # type: ignore[assignment]


class SizeDict(Frozen):
    """A size setting: its sides are keys and attributes, as of `SizeDict` of
    `transformers/image_utils.py`; a side that is not given is None.

    >>> size = SizeDict(height=8, width=6)
    >>> size["height"], size.width, size.shortest_edge
    (8, 6, None)
    """

    height: int | None
    width: int | None
    longest_edge: int | None
    shortest_edge: int | None
    max_height: int | None
    max_width: int | None
    min_pixels: int | None
    max_pixels: int | None

    def __missing__(self, name: str) -> None:
        if name not in SizeDict.__annotations__:
            raise KeyError(name)

    def __getattr__(self, name: str) -> Any:
        if name not in SizeDict.__annotations__:
            raise AttributeError(f"A size has no `{name}`; it has {dict(self)}.")
        return self.get(name)


class FrozenList(tuple[Any, ...]):
    """A JSON array that is not changed any more, with all that it holds: a tuple, as means and
    deviations are in Transformers 5, that equals a list of the same items. `list(...)` and `copy()`
    are ordinary lists.

    Raises:
        ConfigError: from every method of a list that would change it.

    >>> FrozenList([0.5, 0.5]) == [0.5, 0.5] == list(FrozenList([0.5, 0.5]))
    True
    """

    def __new__(cls, values: Any = ()) -> FrozenList:
        return super().__new__(cls, (frozen(value) for value in values))

    def __eq__(self, other: object) -> bool:
        return super().__eq__(tuple(other) if isinstance(other, list) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return super().__hash__()

    def __repr__(self) -> str:
        return repr(list(self))

    def copy(self) -> list[Any]:
        return list(self)

    __setitem__ = __delitem__ = _refuse
    append = extend = insert = pop = remove = clear = sort = reverse = _refuse


def frozen(value: Any) -> Any:
    """Return JSON data with its objects and arrays frozen; tuples count as arrays.

    >>> type(frozen({"size": [8, 6]})["size"]).__name__
    'FrozenList'
    """
    if isinstance(value, (Frozen, FrozenList)):
        return value
    if isinstance(value, Mapping):
        return Frozen(value)
    if isinstance(value, (list, tuple)):
        return FrozenList(value)
    return value


def thawed(value: Any) -> Any:
    """Return a copy of JSON data in ordinary dictionaries and lists.

    >>> type(thawed(Frozen(size=8))).__name__
    'dict'
    """
    if isinstance(value, Mapping):
        return {key: thawed(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [thawed(item) for item in value]
    return value
