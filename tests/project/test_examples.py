"""The examples in docstrings run as they are written, and public objects have one."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest
from helpers import examples, public

EXAMPLES = list(examples.examples_of_docstrings())
WITHOUT_EXAMPLE = Path(__file__).with_name("without_example.txt")
"""What need not have an example (yet): a name per line, of an object, or `module.*` for all that a
module defines. Each line must be true: of an object with an example it says so, and the test fails.
"""


@pytest.mark.parametrize("example", EXAMPLES, ids=[example.name for example in EXAMPLES])
def test_an_example_prints_what_it_says(example: doctest.DocTest, offline_folder: Path) -> None:
    examples.run(example)


@pytest.mark.parametrize("source", [">>> 1 + 1\n3", ">>> 1 / 0\n", ">>> print('a')\n"])
def test_a_wrong_example_fails(source: str) -> None:
    example = doctest.DocTestParser().get_doctest(source, {}, "wrong", None, 0)
    with pytest.raises(AssertionError, match="Failed example"):
        examples.run(example)


def test_every_public_object_has_an_example() -> None:
    listed = set(WITHOUT_EXAMPLE.read_text("utf-8").split())
    lacking = objects_without_example()
    exempt = {name for name in lacking if {name, of_module(name)} & listed}
    needless = listed - exempt - {of_module(name) for name in exempt}
    assert not lacking - exempt, "These need an example in their docstring"
    assert not needless, f"Remove these from {WITHOUT_EXAMPLE.name}"


def objects_without_example() -> set[str]:
    """Return the names of the public functions and classes whose docstring has no example."""
    lacking = set()
    for module in public.modules():
        objects = public.objects(module)
        lacking |= {name for name, value in objects.items() if not examples.has_example(value)}
    return lacking


def of_module(name: str) -> str:
    """Return the line that exempts the whole module of an object."""
    return name.rpartition(".")[0] + ".*"


@pytest.mark.parametrize(
    "module", ["", ".formats", ".huggingface", ".ops", ".postprocess", ".presets"]
)
def test_every_exported_function_and_class_is_among_the_public_objects(module: str) -> None:
    """Else its example would not be asked for."""
    known = {id(value) for found in public.modules() for value in public.objects(found).values()}
    package = importlib.import_module(f"jaxprep{module}")
    exported = [getattr(package, name) for name in package.__all__]
    functions_and_classes = [value for value in exported if callable(value)]
    assert [value for value in functions_and_classes if id(value) not in known] == []
