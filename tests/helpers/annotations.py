"""Checks of the arrays that public functions take and return, by their jaxtyping annotations.

jaxtyping has an import hook that does this for every function of a package. It does not fit here:

* it also checks that a `size` is an integer, before the function can say `Expected ..., got ...`,
  which is what many tests are about (26 tests of `tests/ops` failed);
* it checks private helpers and each step's fields at every call (`tests/ops` took 86 s of CPU time
  instead of 12 s, including what hypothesis spent on the failures).

So public functions alone are replaced, after import, and their arrays alone are checked (13 s).
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any, get_args

from beartype import beartype
from jaxtyping import AbstractArray, TypeCheckError, jaxtyped

from helpers import public
from jaxprep.settings import with_default_settings


def check_public_functions() -> list[str]:
    """Let every public function and method of jaxprep check the arrays that it is called with.

    Returns:
        The names of the functions that are checked now, those with arrays in their annotations.
    """
    replaced: dict[int, Callable] = {}
    names = []
    for module in public.modules():
        for name, value in public.objects(module).items():
            if inspect.isclass(value):
                names += [f"{name}.{method}" for method in _check_methods(value)]
            elif isinstance(value, FunctionType) and array_annotations(value):
                replaced[id(value)] = checked(value)
                names.append(name)
    _replace_everywhere(replaced)
    return names


def checked(function: FunctionType) -> Callable:
    """Return the function with a check of its annotated arrays at each call.

    Where they are not as annotated, the function may refuse them with an error of its own, which
    is then raised. A call that the annotations forbid, and that the function would accept, raises
    `jaxtyping.TypeCheckError`.
    """

    @functools.cache
    def with_check() -> Callable:
        return _with_check(function)

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return with_check()(*args, **kwargs)
        except TypeCheckError:
            function(*args, **kwargs)
            raise

    return call


def _with_check(function: FunctionType) -> Callable:
    """Compile the check, which takes a millisecond: when a function is called first, as few are."""
    # the code of a decorated function is that of its decorator
    inner = inspect.unwrap(function)
    only_arrays = FunctionType(
        inner.__code__,
        inner.__globals__,
        inner.__name__,
        inner.__defaults__,
        inner.__closure__,
    )
    only_arrays.__kwdefaults__ = inner.__kwdefaults__
    only_arrays.__module__ = inner.__module__
    only_arrays.__qualname__ = inner.__qualname__
    only_arrays.__annotations__ = array_annotations(inner)
    with_check = jaxtyped(only_arrays, typechecker=beartype)
    if inner is not function:
        with_check = with_default_settings(with_check)
    return with_check


def array_annotations(function: FunctionType) -> dict[str, Any]:
    """Return the evaluated annotations that have an array type in them, by parameter."""
    arrays = {}
    # names in annotations are those of the module of a decorated function, not of its decorator
    function = inspect.unwrap(function)
    for parameter, annotation in function.__annotations__.items():
        try:
            value = (
                eval(annotation, function.__globals__)
                if isinstance(annotation, str)
                else annotation
            )
        except (NameError, AttributeError):
            continue  # a name that is imported for type checkers only, so it is no array type
        if _has_array(value):
            arrays[parameter] = value
    return arrays


def _has_array(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, AbstractArray):
        return True
    return any(_has_array(argument) for argument in get_args(annotation))


def _check_methods(cls: type) -> list[str]:
    """Check the methods of a class that have arrays in their annotations; return their names."""
    names = []
    for name, value in list(vars(cls).items()):
        is_public = not name.startswith("_") or name == "__call__"
        if is_public and isinstance(value, FunctionType) and array_annotations(value):
            setattr(cls, name, checked(value))
            names.append(name)
    return names


def _replace_everywhere(replaced: dict[int, Callable]) -> None:
    """Put the checked functions where the modules of jaxprep import the unchecked ones."""
    modules = [module for name, module in sys.modules.items() if name.split(".")[0] == "jaxprep"]
    for module in modules:
        for name, value in list(vars(module).items()):
            if id(value) in replaced:
                setattr(module, name, replaced[id(value)])
