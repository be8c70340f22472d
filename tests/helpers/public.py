"""The public objects of the package, as its users see them: what the tests of docstrings list."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import jaxprep


def modules() -> Iterator[ModuleType]:
    """Import and return each module without an underscore in its name."""
    yield jaxprep
    for module in pkgutil.walk_packages(jaxprep.__path__, "jaxprep."):
        is_public = not any(part.startswith("_") for part in module.name.split("."))
        if is_public:
            yield importlib.import_module(module.name)


def objects(module: ModuleType) -> dict[str, Any]:
    """Return the public functions and classes that a module defines, by their full names."""
    defined = {}
    for name, value in vars(module).items():
        is_documented = inspect.isclass(value) or inspect.isroutine(value)
        is_defined_here = getattr(value, "__module__", None) == module.__name__
        if is_documented and is_defined_here and not name.startswith("_"):
            defined[f"{module.__name__}.{name}"] = value
    return defined
