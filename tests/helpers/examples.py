"""The examples of docstrings and of Markdown pages, found and run."""

from __future__ import annotations

import doctest
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from helpers import public

OPTIONS = doctest.ELLIPSIS | doctest.REPORT_NDIFF
FENCE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def has_example(value: Any) -> bool:
    """Return whether the docstring of an object has an example, a line that begins with `>>>`."""
    return bool(doctest.DocTestParser().get_examples(value.__doc__ or ""))


def docstrings(module: ModuleType) -> Iterator[tuple[str, str]]:
    """Yield the names and docstrings of a module, its public objects and their methods."""
    yield module.__name__, module.__doc__ or ""
    for name, value in public.objects(module).items():
        yield name, value.__doc__ or ""
        if inspect.isclass(value):
            for method, function in vars(value).items():
                text = getattr(function, "__doc__", None)
                is_documented = inspect.isroutine(function) or isinstance(function, property)
                if is_documented and text:
                    yield f"{name}.{method}", text


def examples_of_docstrings() -> Iterator[doctest.DocTest]:
    """Yield the examples of the package, a `DocTest` for each docstring that has some.

    As with `python -m doctest`, the examples of a docstring see the names of its module.
    """
    parser = doctest.DocTestParser()
    for module in public.modules():
        for name, text in docstrings(module):
            if parser.get_examples(text):
                yield parser.get_doctest(text, dict(vars(module)), name, module.__file__, None)


def objects_without_example() -> set[str]:
    """Return the names of the public functions and classes whose docstring has no example."""
    lacking = set()
    for module in public.modules():
        objects = public.objects(module)
        lacking |= {name for name, value in objects.items() if not has_example(value)}
    return lacking


def whole_module(name: str) -> str:
    """Return the line that stands for all objects of an object's module in the list of those
    without an example.
    """
    return name.rpartition(".")[0] + ".*"


def list_without_example() -> list[str]:
    """Return the lines of that list: of a module without any example one, else one per object."""
    lacking = objects_without_example()
    lines = set()
    for module in public.modules():
        names = set(public.objects(module))
        if names <= lacking:
            lines |= {whole_module(name) for name in names}
        else:
            lines |= names & lacking
    return sorted(lines)


def run(test: doctest.DocTest) -> None:
    """Run the examples of one docstring.

    Raises:
        AssertionError: an example printed something else than it says, or raised an error.
    """
    report: list[str] = []
    runner = doctest.DocTestRunner(verbose=False, optionflags=OPTIONS)
    failures, _ = runner.run(test, out=report.append)
    assert not failures, "".join(report)


def run_page(page: Path) -> dict[str, Any]:
    """Run the Python code blocks of a Markdown page one after another, in one namespace.

    Returns:
        The names that the code defined.
    """
    text = page.read_text("utf-8")
    names: dict[str, Any] = {"__name__": page.name}
    for fence in FENCE.finditer(text):
        line = text.count("\n", 0, fence.start(1))
        code = "\n" * line + fence[1]  # so that an error tells the line of the page
        # `dont_inherit`: not the `__future__` imports of this module
        exec(compile(code, str(page), "exec", dont_inherit=True), names)
    return names


if __name__ == "__main__":
    print("\n".join(list_without_example()))
